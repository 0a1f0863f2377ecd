"""How good coefficients are, whoever found them: from the coefficients, the intercept and the data alone."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from benchmarks import storage
from benchmarks.objective import Objective
from benchmarks.reference import Reference, least_squares

SMALL_SHARE = 1e-3
"""Share of the best constant's objective below which that of the best solver is no longer the unit of `excess`."""


@dataclass(frozen=True)
class Score:
    """The score of one solution; empty where there is no solution.

    Attributes
    ----------
    objective : float or None
        Its value.
    coefficient_error, prediction_error : float or None
        Distances from the reference, in standard deviations of y; None where there is none.
    """

    objective: float | None = None
    coefficient_error: float | None = None
    prediction_error: float | None = None


@dataclass(frozen=True)
class Judge:
    """What scores the solvers of one problem.

    Attributes
    ----------
    folder : Path
        With its data.
    objective : Objective
        What is minimised.
    of_constant : float
        Objective of the best constant.
    reference : Reference or None
        Solution of least squares with more rows than columns; None of other problems.
    interpolates : bool
        Whether the minimum of least squares is zero, for there are no more rows than columns.
    """

    folder: Path
    objective: Objective
    of_constant: float
    reference: Reference | None
    interpolates: bool

    def score(self, coef: NDArray, intercept: float) -> Score:
        """Score a solution."""
        value = objective_value(self.objective, self.folder, coef, intercept)
        if self.interpolates:
            return Score(value, None, float(np.sqrt(value / self.of_constant)))
        if self.reference is None:
            return Score(value)
        return Score(value, self.reference.coefficient_error(coef), self.reference.prediction_error(coef, intercept))

    def excess(self, objective: float, best: float) -> float:
        """Give the distance from the best objective found, as a share of it, or of what is not zero by rounding."""
        return (objective - best) / max(best, SMALL_SHARE * self.of_constant)


def judge(objective: Objective, folder: Path, shape: tuple[int, int], *, with_reference: bool) -> Judge:
    """Prepare what scores the solvers of the data in a folder.

    Parameters
    ----------
    objective : Objective
        What they minimise.
    folder : Path
        With the data.
    shape : tuple of int
        That of X.
    with_reference : bool
        Whether least squares is solved, so that errors can be told.
    """
    n_samples, n_features = shape
    measured = objective.is_least_squares and with_reference
    is_tall = n_samples > n_features
    return Judge(
        folder,
        objective,
        _best_constant_value(objective, folder),
        least_squares(folder) if measured and is_tall else None,
        measured and not is_tall,
    )


def objective_value(objective: Objective, folder: Path, coef: NDArray, intercept: float) -> float:
    """Give the value of an objective at coefficients of the columns as they are."""
    total, n = np.longdouble(0.0), 0
    with np.errstate(over="ignore", invalid="ignore"):
        for X, y in storage.blocks(folder):
            total += np.sum(objective.losses(y - (X @ coef + intercept)), dtype=np.longdouble)
            n += len(y)
        return float(total / n + objective.price(coef))


def _best_constant_value(objective: Objective, folder: Path) -> float:
    y = np.load(folder / "y.npy")
    best = minimize_scalar(lambda constant: objective.losses(y - constant).mean(), (y.min(), y.max()))
    return float(best.fun)
