"""Which optimizer supports which features, and the choice of a rung and an optimizer that support all required ones.

Each optimizer declares its features in `takes`. The choice, the error messages and the table of the documentation are
all made from these declarations.
"""

from collections.abc import Callable, Iterator, Set
from typing import Any

from gdregress.method.newton import Newton
from gdregress.method.optimizers import (
    FEATURES,
    AdaGrad,
    Adam,
    Conjugate,
    GradientDescent,
    Momentum,
    Nesterov,
    RMSProp,
)

OPTIMIZERS: dict[str, Callable[[float], Any]] = {
    "gd": lambda momentum: GradientDescent(),
    "momentum": Momentum,
    "nesterov": lambda momentum: Nesterov(),
    "conjugate": lambda momentum: Conjugate(),
    "newton": lambda momentum: Newton(),
    "adagrad": lambda momentum: AdaGrad(),
    "rmsprop": lambda momentum: RMSProp(),
    "adam": Adam,
}
"""Constructors of the update rules and of Newton's solver by name; each is called with `momentum`."""

QUADRATIC = (
    ("curvature", "gd"),
    ("curvature", "conjugate"),
    ("diagonal", "conjugate"),
    ("diagonal", "nesterov"),
    ("diagonal", "gd"),
)
"""The order in which "auto" tries rungs and optimizers for squared error without a prox: the fastest first."""

GENERAL = (
    ("curvature", "newton"),
    ("curvature", "nesterov"),
    ("diagonal", "nesterov"),
    ("curvature", "gd"),
    ("diagonal", "gd"),
)
"""The order in which "auto" tries rungs and optimizers for any other objective: the fastest first."""


def choose_pair(learning_rate: float | str, optimizer: str, asked: Set[str], costly: Set[str]) -> tuple[str, str]:
    """Return the rung and the optimizer as given, with "auto" replaced by the fastest that supports the features.

    Parameters
    ----------
    learning_rate : float or str
        As the user gave it.
    optimizer : str
        As the user gave it.
    asked : set of str
        Features that the optimizer must support, besides the rung.
    costly : set of str
        Rungs and optimizers that "auto" takes only where all others are costly too or lack a feature.

    Returns
    -------
    rung : str
        "float", "lipschitz", "diagonal" or "curvature".
    optimizer : str
        A key of `OPTIMIZERS`.

    Raises
    ------
    ValueError
        If no allowed pair supports all features; the message names one that does.
    """
    supported = [pair for pair in _pairs(learning_rate, optimizer, asked) if not missing(*pair, asked)]
    if not supported:
        raise ValueError(_refusal(learning_rate, optimizer, asked))
    for rung, name in supported:
        is_costly = (rung in costly and learning_rate == "auto") or (name in costly and optimizer == "auto")
        if not is_costly:
            return rung, name
    return supported[0]


def missing(rung: str, optimizer: str, asked: Set[str]) -> set[str]:
    """Return the features that an optimizer does not support on a rung.

    Parameters
    ----------
    rung : str
        "float", "lipschitz", "diagonal" or "curvature".
    optimizer : str
        A key of `OPTIMIZERS`.
    asked : set of str
        Features that the optimizer must support, besides the rung.
    """
    needed = {rung, *asked}
    takes = _rule(optimizer).takes
    if rung == "curvature" and "prox" in asked & takes:
        needed |= {"matrix prox"}
    return needed - takes


def _pairs(learning_rate: float | str, optimizer: str, asked: Set[str]) -> Iterator[tuple[str, str]]:
    """Yield the pairs of rung and optimizer that the parameters allow, the fastest first."""
    rung = learning_rate if isinstance(learning_rate, str) else "float"
    ranking: tuple[tuple[str, str], ...] = QUADRATIC if not asked & {"any loss", "prox"} else GENERAL
    if optimizer != "auto":
        ranking = (("curvature", optimizer), ("diagonal", optimizer))
    if rung in ("float", "lipschitz"):
        ranking = ((rung, "gd" if optimizer == "auto" else optimizer),)
    for pair in ranking:
        if rung in ("auto", pair[0]):
            yield pair


def _refusal(learning_rate: float | str, optimizer: str, asked: Set[str]) -> str:
    """Return the message that names the unsupported features and a choice that supports them."""
    rung, name = next(_pairs(learning_rate, optimizer, asked))
    refused = " or ".join(FEATURES[feature] for feature in FEATURES if feature in missing(rung, name, asked))
    others = [
        other for other in OPTIMIZERS if any(not missing(*pair, asked) for pair in _pairs(learning_rate, other, asked))
    ]
    if others:
        given = "" if learning_rate == "auto" else f" with learning_rate={learning_rate!r}"
        remedy = f"use optimizer={' or '.join(map(repr, others))}{given}"
    elif any(not missing(other, name, asked) for other in ("diagonal", "float")):
        remedy = f"use learning_rate='auto' with optimizer={name!r}"
    else:
        pair = next(pair for pair in GENERAL if not missing(*pair, asked))
        remedy = f"use learning_rate='auto' with optimizer='auto', which choose {pair[0]!r} and {pair[1]!r}"
    subject = f"optimizer={name!r}"
    if optimizer == "auto":
        subject = f"learning_rate={learning_rate!r} (here with {subject})"
    return f"{subject} cannot be combined with {refused}: {remedy}."


def table() -> list[list[str]]:
    """Return the table of the documentation: a row for each optimizer, a column for each feature.

    Returns
    -------
    list of list of str
        The first row holds the headings.
    """
    rows = [["optimizer", *FEATURES]]
    for name in OPTIMIZERS:
        rows.append([name, *("yes" if feature in _rule(name).takes else "-" for feature in FEATURES)])
    return rows


def _rule(name: str) -> Any:
    return OPTIMIZERS[name](0.0)
