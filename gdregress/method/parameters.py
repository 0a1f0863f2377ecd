"""The valid values of each parameter, and the messages for invalid ones."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from numbers import Integral, Real
from typing import Any

import numpy as np

from gdregress.method.combinations import OPTIMIZERS
from gdregress.method.hints import meant
from gdregress.method.schedules import SCHEDULES
from gdregress.problem.loss import REQUIRED
from gdregress.problem.losses import LOSSES
from gdregress.rows.wording import cut

INFINITY = float("inf")

SHOWN = 200
"""Characters of a value that a message shows at most."""

BOOLEANS = (bool, np.bool_)
"""Types that Python and NumPy count as numbers, but that no numeric parameter accepts."""


SEARCHED = {"alpha": "alphas", "l1_ratio": "l1_ratio", "learning_rate": "learning_rate", "epochs": "epochs"}
"""Parameters among whose values GradientDescentRegressorCV chooses, with what it calls these."""

SEVERAL = (list, tuple, set, range, np.ndarray)
"""Types of which a user may give several values."""


@dataclass(frozen=True)
class Constraint:
    """A set of valid values.

    Attributes
    ----------
    words : str
        Description of the values, to follow "must be".
    holds : callable
        Function that returns whether a value is valid.
    names : tuple of str, default=()
        The valid strings.
    """

    words: str
    holds: Callable[[Any], bool]
    names: tuple[str, ...] = ()

    def __or__(self, other: "Constraint") -> "Constraint":
        """Return the union of two constraints."""
        return Constraint(
            f"{self.words} or {other.words}",
            lambda value: self.holds(value) or other.holds(value),
            self.names + other.names,
        )


def as_float(value: Any) -> float | None:
    """Return a real number as a float; None if it is beyond the range of floats, as 10**400 is."""
    try:
        nearest = float(value)
    except OverflowError:
        return None
    return nearest if isfinite(nearest) or value == nearest or value != value else None


def interval(kind: str, low: float, high: float, closed: str = "neither") -> Constraint:
    """Return the constraint of numbers in an interval; NaN, booleans and numbers beyond floats lie in none.

    Parameters
    ----------
    kind : {"float", "int"}
        Kind of number; integers are valid floats, but floats are no valid integers.
    low, high : float
        The bounds.
    closed : {"left", "right", "both", "neither"}, default="neither"
        Which of the bounds belong to the interval.
    """
    left, right = closed in ("left", "both"), closed in ("right", "both")
    number: Any = {"float": Real, "int": Integral}[kind]

    def holds(value: Any) -> bool:
        if type(value) not in (int, float) and (isinstance(value, BOOLEANS) or not isinstance(value, number)):
            return False
        if kind == "int" and type(value) is float:
            return False
        nearest = as_float(value)
        if nearest is None:
            return False
        return (low <= nearest if left else low < nearest) and (nearest <= high if right else nearest < high)

    article = "an" if kind == "int" else "a"
    form = "d" if kind == "int" and high < INFINITY else "g"
    bounds = f"{'[' if left else '('}{low:{form}}, {high:{form}}{']' if right else ')'}"
    return Constraint(f"{article} {kind} in the range {bounds}", holds)


def choice(*names: str) -> Constraint:
    """Return the constraint of strings that are one of some names."""
    quoted = ", ".join(repr(name) for name in names)
    words = f"a str among {{{quoted}}}" if len(names) > 1 else quoted
    return Constraint(words, lambda value: isinstance(value, str) and value in names, names)


NONE = Constraint("None", lambda value: value is None)
BOOL = Constraint("a bool", lambda value: isinstance(value, BOOLEANS))
RANDOM_STATE = Constraint("a RandomState", lambda value: isinstance(value, np.random.RandomState))


POSITIVE = interval("float", 0, INFINITY)


def _is_loss(value: Any) -> bool:
    """Return whether a value is an instance of the form of `Loss`; a class with the same attributes is none."""
    named = all(hasattr(value, name) for name in REQUIRED) and not isinstance(value, type)
    return named and POSITIVE.holds(value.curvature)


WITH_EPSILON = ("huber", "epsilon_insensitive", "squared_epsilon_insensitive")
"""Losses that have an epsilon."""

LOSS = Constraint(f"an object with {', '.join(REQUIRED)}", _is_loss)

CONSTRAINTS: dict[str, Constraint] = {
    "learning_rate": POSITIVE | choice("auto", "lipschitz", "diagonal", "curvature"),
    "epochs": interval("int", 1, INFINITY, "left"),
    "loss": choice(*LOSSES) | LOSS,
    "epsilon": interval("float", 0, INFINITY, "left") | choice("auto"),
    "quantile": interval("float", 0, 1),
    "penalty": choice("l2", "l1", "elasticnet") | NONE,
    "alpha": interval("float", 0, INFINITY, "left"),
    "l1_ratio": interval("float", 0, 1, "both"),
    "positive": BOOL,
    "standardize": BOOL,
    "fit_intercept": BOOL,
    "optimizer": choice("auto", *OPTIMIZERS),
    "momentum": interval("float", 0, 1, "left"),
    "schedule": choice(*SCHEDULES) | Constraint("a callable", callable),
    "power_t": interval("float", 0, INFINITY, "left"),
    "batch_size": interval("int", 1, INFINITY, "left") | NONE,
    "average": BOOL | interval("int", 0, INFINITY, "left"),
    "shuffle": BOOL,
    "random_state": interval("int", 0, 2**32 - 1, "both") | RANDOM_STATE | NONE,
    "init": choice("zeros", "random"),
    "warm_start": BOOL,
    "tol": interval("float", 0, INFINITY, "left") | NONE,
    "target_loss": interval("float", 0, INFINITY, "left") | NONE,
    "early_stopping": BOOL,
    "validation_fraction": interval("float", 0, 1),
    "n_iter_no_change": interval("int", 1, INFINITY, "left"),
    "record_path": BOOL,
    "verbose": BOOL | interval("int", 0, INFINITY, "left"),
}


def shown(value: Any) -> str:
    """Return a value as it is written, but no more of it than a message needs."""
    try:
        words = repr(value)
    except ValueError:  # Python writes no number of more than some thousand digits
        words = f"a number that is written in more than {sys.get_int_max_str_digits()} digits"
    return cut(words, SHOWN)


def check_parameters(estimator: Any) -> None:
    """Check the parameters of an estimator.

    Parameters
    ----------
    estimator : estimator
        An object with an attribute for each key of `CONSTRAINTS`.

    Raises
    ------
    ValueError
        If a parameter is invalid; the message has the form of scikit-learn's and names the first such parameter.
    """
    for name, constraint in CONSTRAINTS.items():
        value = getattr(estimator, name)
        if not constraint.holds(value):
            raise ValueError(
                f"The {name!r} parameter of {type(estimator).__name__} must be {constraint.words}. "
                f"Got {shown(value)} instead."
                f"{_hint(name, value)}"
            )
    if estimator.penalty is not None and 2.0 * float(estimator.alpha) == INFINITY:
        raise ValueError(f"alpha={estimator.alpha:g} makes a penalty beyond the range of floats: use a smaller alpha.")
    is_tube = isinstance(estimator.loss, str) and estimator.loss.endswith("epsilon_insensitive")
    if is_tube and isinstance(estimator.epsilon, str):
        raise ValueError(
            f"epsilon='auto' is the scale of residuals for loss='huber', but loss={estimator.loss!r}: give a number."
        )
    if estimator.loss == "huber" and estimator.epsilon == 0:
        raise ValueError(
            "epsilon=0 makes loss='huber' zero everywhere: use a positive epsilon, or loss='absolute_error'."
        )


def _is_written(kind: type, value: str) -> bool:
    """Return whether a string is a number of some kind."""
    try:
        kind(value)
    except ValueError:
        return False
    return True


def _hint(name: str, value: Any) -> str:
    """Return a sentence on what the user probably meant, or nothing."""
    if isinstance(value, str):
        constraint = CONSTRAINTS[name]
        sentence = meant(name, value, constraint.names, takes_none=constraint.holds(None))
        if value == "auto" and name in SEARCHED:
            sentence = f"GradientDescentRegressorCV chooses {name} by cross-validation."
        number = next((kind(value) for kind in (int, float) if _is_written(kind, value)), None)
        if not sentence and number is not None and constraint.holds(number):
            sentence = f"Pass the number {shown(number)}, without quotes."
        return sentence and f" {sentence}"
    if isinstance(value, Real) and as_float(value) is None:
        return " It is beyond the range of floats."
    if isinstance(value, SEVERAL) and name in SEARCHED:
        return f" GradientDescentRegressorCV chooses among several: pass them as its {SEARCHED[name]}."
    if isinstance(value, SEVERAL) and name != "loss":
        return " GridSearchCV chooses among several: pass one here."
    if name == "loss":
        if isinstance(value, type):
            return " It is a class: pass an instance of it."
        lacking = " and ".join(required for required in REQUIRED if not hasattr(value, required))
        curvature = shown(getattr(value, "curvature", None))
        fault = f"It has no {lacking}" if lacking else f"Its curvature is {curvature}, not a positive number"
        return f" {fault}: see gdregress.Loss."
    return ""
