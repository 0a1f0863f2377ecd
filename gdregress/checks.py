"""What parameters, weights and numbers may be, and what is said where they are something else."""

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils import check_array

INFINITY = float("inf")


@dataclass(frozen=True)
class Constraint:
    """A test and the words for it, to follow "must be"."""

    words: str
    holds: Callable[[Any], bool]

    def __or__(self, other: "Constraint") -> "Constraint":
        """Accept what either accepts."""
        return Constraint(f"{self.words} or {other.words}", lambda value: self.holds(value) or other.holds(value))


def interval(kind: str, low: float, high: float, closed: str = "neither") -> Constraint:
    """Accept a "float" or an "int" between two bounds; NaN and booleans lie in no interval."""
    left, right = closed in ("left", "both"), closed in ("right", "both")
    number: Any = {"float": Real, "int": Integral}[kind]

    def holds(value: Any) -> bool:
        if isinstance(value, bool | np.bool_) or not isinstance(value, number):
            return False
        return (low <= value if left else low < value) and (value <= high if right else value < high)

    article = "an" if kind == "int" else "a"
    form = "d" if kind == "int" and high < INFINITY else "g"
    bounds = f"{'[' if left else '('}{low:{form}}, {high:{form}}{']' if right else ')'}"
    return Constraint(f"{article} {kind} in the range {bounds}", holds)


def choice(*names: str) -> Constraint:
    """Accept one of some names."""
    quoted = ", ".join(repr(name) for name in names)
    words = f"a str among {{{quoted}}}" if len(names) > 1 else quoted
    return Constraint(words, lambda value: isinstance(value, str) and value in names)


NONE = Constraint("None", lambda value: value is None)
BOOL = Constraint("a bool", lambda value: isinstance(value, bool | np.bool_))
RANDOM_STATE = Constraint("a RandomState", lambda value: isinstance(value, np.random.RandomState))

CONSTRAINTS: dict[str, Constraint] = {
    "learning_rate": interval("float", 0, INFINITY) | choice("auto", "lipschitz", "diagonal", "curvature"),
    "epochs": interval("int", 1, INFINITY, "left"),
    "loss": choice("squared_error"),
    "penalty": choice("l2") | NONE,
    "alpha": interval("float", 0, INFINITY, "left"),
    "fit_intercept": BOOL,
    "optimizer": choice("auto", "gd", "momentum", "nesterov", "conjugate"),
    "momentum": interval("float", 0, 1, "left"),
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

SGD_SCHEDULES = ("constant", "optimal", "invscaling", "adaptive")


def check_parameters(owner: str, parameters: dict[str, Any]) -> None:
    """Raise a ValueError of one sentence for the first parameter, or pair of them, that makes no sense.

    Parameters
    ----------
    owner : str
        Name of the estimator.
    parameters : dict
        Its parameters, as `get_params` gives them.

    Raises
    ------
    ValueError
        In scikit-learn's words: the parameter, what it must be, and what it was.
    """
    for name, constraint in CONSTRAINTS.items():
        value = parameters[name]
        if not constraint.holds(value):
            hint = ""
            if name == "learning_rate" and isinstance(value, str) and value in SGD_SCHEDULES:
                hint = " SGDRegressor's schedules of that name are not rates: pass its eta0 as a float, or 'auto'."
            raise ValueError(
                f"The {name!r} parameter of {owner} must be {constraint.words}. Got {value!r} instead.{hint}"
            )
    rate, optimizer = parameters["learning_rate"], parameters["optimizer"]
    if optimizer == "conjugate" and not isinstance(rate, str):
        raise ValueError(
            f"optimizer='conjugate' finds the rate of every epoch itself, so learning_rate={rate!r} has no meaning "
            "with it: use learning_rate='lipschitz', 'diagonal' or 'auto', or optimizer='gd', 'momentum' or 'nesterov'."
        )


def check_finite(name: str, values) -> None:
    """Raise a ValueError that names the place of the first NaN or infinity.

    Parameters
    ----------
    name : str
        What the values are called where they were passed in.
    values : ndarray or CSR matrix or CSR array
        Read a few rows at a time: no copy of their size is made.

    Raises
    ------
    ValueError
        If a value is NaN or infinite.
    """
    step = max(1, 2**20 // max(1, int(np.prod(values.shape[1:]))))
    for start in range(0, values.shape[0], step):
        block = values[start : start + step]
        entries = block.data if sparse.issparse(block) else block
        if np.isfinite(entries).all():
            continue
        if sparse.issparse(block):
            block = block.tocoo()
            bad = np.flatnonzero(~np.isfinite(block.data))[0]
            value, place = block.data[bad], (block.row[bad], block.col[bad])
        else:
            place = tuple(np.argwhere(~np.isfinite(block))[0])
            value = block[place]
        where = f"row {start + place[0]}" + (f", column {place[1]}" if len(place) > 1 else "")
        what, remedy = (
            ("NaN", "fill it (sklearn.impute.SimpleImputer)") if np.isnan(value) else ("infinity", "replace it")
        )
        raise ValueError(f"Input {name} contains {what} at {where}: {remedy} or drop the row.")


def check_weights(name: str, weight, n_samples: int) -> NDArray | None:
    """Give sample weights as floats of at most 1, or None for none: only their ratios count.

    Parameters
    ----------
    name : str
        What the weights are called where they were passed in.
    weight : array-like of shape (n_samples,), float or None
        Non-negative, not all zero; a number weighs all rows alike.
    n_samples : int
        Number of rows.

    Returns
    -------
    ndarray of shape (n_samples,) or None

    Raises
    ------
    ValueError
        If a weight is not a number, is negative, or all are zero, or their number is another.
    """
    if weight is None:
        return None
    weight = check_array(
        weight, ensure_2d=False, dtype=np.float64, ensure_all_finite=False, input_name=name, ensure_min_samples=0
    )
    if weight.ndim == 0:
        weight = np.full(n_samples, float(weight))
    if weight.shape != (n_samples,):
        raise ValueError(f"{name} must have shape ({n_samples},), one weight per row, but has shape {weight.shape}.")
    check_finite(name, weight)
    if (weight < 0).any():
        row = int(np.argmin(weight))
        raise ValueError(f"Negative values in {name}: {weight[row]:g} at row {row}; weights must be zero or positive.")
    if not weight.any():
        raise ValueError(
            f"{name} must have a positive weight, but every weight is zero: leave it out to weigh all rows alike."
        )
    return np.ldexp(weight, -np.frexp(weight.max())[1])
