"""Which optimizer supports which features, and the choice of a rung and an optimizer that support all required ones.

Each optimizer declares its features in `takes`. The choice, the error messages and the table of the documentation are
all made from these declarations.
"""

from collections.abc import Callable, Set
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Pair:
    """A rung of the ladder of learning rates, and an optimizer.

    Attributes
    ----------
    rung : {"float", "lipschitz", "diagonal", "curvature"}
        The rung.
    optimizer : str
        A key of `OPTIMIZERS`.
    """

    rung: str
    optimizer: str

    @property
    def is_raw(self) -> bool:
        """Whether the descent is in raw coordinates, at one rate for all of them."""
        return self.rung in ("float", "lipschitz")

    @property
    def is_newton(self) -> bool:
        """Whether the solver takes Newton's steps, with the second derivatives of every point."""
        return self.optimizer == "newton"

    @property
    def is_exact(self) -> bool:
        """Whether the first step of least squares reaches the minimum, up to rounding, at rate 1 with an exact P."""
        return self.rung == "curvature" and not self.is_newton and _rule(self.optimizer).is_exact

    def missing(self, asked: Set[str]) -> set[str]:
        """Return the features that the optimizer does not support on this rung.

        Parameters
        ----------
        asked : set of str
            Features that it must support, besides the rung.
        """
        needed, takes = {self.rung, *asked}, _rule(self.optimizer).takes
        if self.rung == "curvature" and "prox" in asked & takes:
            needed |= {"matrix prox"}
        return needed - takes


QUADRATIC = (
    Pair("curvature", "gd"),
    Pair("curvature", "conjugate"),
    Pair("diagonal", "conjugate"),
    Pair("diagonal", "nesterov"),
    Pair("diagonal", "gd"),
)
"""The order in which "auto" tries rungs and optimizers for squared error without a prox: the fastest first."""

GENERAL = (
    Pair("curvature", "newton"),
    Pair("curvature", "nesterov"),
    Pair("diagonal", "nesterov"),
    Pair("curvature", "gd"),
    Pair("diagonal", "gd"),
)
"""The order in which "auto" tries rungs and optimizers for any other objective: the fastest first."""


def supported_pairs(learning_rate: float | str, optimizer: str, asked: Set[str]) -> list[Pair]:
    """Return the rungs and optimizers that the parameters allow and that support all features, the fastest first.

    Parameters
    ----------
    learning_rate : float or str
        As the user gave it.
    optimizer : str
        As the user gave it.
    asked : set of str
        Features that the optimizer must support, besides the rung.

    Raises
    ------
    ValueError
        If no allowed pair supports all features; the message names one that does.
    """
    supported = [pair for pair in _pairs(learning_rate, optimizer, asked) if not pair.missing(asked)]
    if not supported:
        raise ValueError(_refusal(learning_rate, optimizer, asked))
    return supported


def _pairs(learning_rate: float | str, optimizer: str, asked: Set[str]) -> list[Pair]:
    """Return the pairs that the parameters allow, the fastest first."""
    rung = learning_rate if isinstance(learning_rate, str) else "float"
    if rung in ("float", "lipschitz"):
        return [Pair(rung, "gd" if optimizer == "auto" else optimizer)]
    ranking: tuple[Pair, ...] = GENERAL if asked & {"any loss", "prox"} else QUADRATIC
    if optimizer != "auto":
        ranking = (Pair("curvature", optimizer), Pair("diagonal", optimizer))
    return [pair for pair in ranking if rung in ("auto", pair.rung)]


def _refusal(learning_rate: float | str, optimizer: str, asked: Set[str]) -> str:
    """Return the message that names the unsupported features and a choice that supports them."""
    first = _pairs(learning_rate, optimizer, asked)[0]
    refused = " or ".join(words for feature, words in FEATURES.items() if feature in first.missing(asked))
    others = [
        other for other in OPTIMIZERS if any(not pair.missing(asked) for pair in _pairs(learning_rate, other, asked))
    ]
    subject = f"optimizer={first.optimizer!r}"
    if others:
        given = "" if learning_rate == "auto" else f" with learning_rate={learning_rate!r}"
        remedy = f"use optimizer={' or '.join(map(repr, others))}{given}"
    elif any(not Pair(other, first.optimizer).missing(asked) for other in ("diagonal", "float")):
        remedy = f"use learning_rate='auto' with {subject}"
    else:
        pair = next(pair for pair in GENERAL if not pair.missing(asked))
        remedy = f"use learning_rate='auto' with optimizer='auto', which choose {pair.rung!r} and {pair.optimizer!r}"
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
