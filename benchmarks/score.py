"""How good coefficients are, whoever found them: from the coefficients, the intercept and the data alone.

Least squares has a reference of more digits than a solver can be expected to give. A triangular
factor R of (1, X) comes from a QR factorisation in float64. Its solution is then corrected by
``R'R step = (1, X)' residual`` (the corrected seminormal equations; Bjorck, 1987), with residual
and product in extended precision, so that what remains is the rounding of the correction, not of
the factor.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.optimize import minimize_scalar

from benchmarks.data import Data
from benchmarks.objective import Objective

CORRECTIONS = 3
"""Corrections of the reference."""

SMALL_SHARE = 1e-3
"""Share of the best constant's objective below which that of the best solver is no longer the unit of `excess`."""

BLOCK_ENTRIES = 2**21
"""Entries of X that are held in extended precision at once."""


@dataclass(frozen=True)
class Reference:
    """The least-squares solution of a problem, and what errors are measured with.

    Attributes
    ----------
    solution : ndarray of shape (1 + n_features,)
        Intercept and coefficients, in extended precision.
    triangle : ndarray of shape (1 + n_features, 1 + n_features)
        R of (1, X), divided by the root of the sum of the weights.
    scale : ndarray of shape (n_features,)
        Standard deviations of the columns of X.
    target_scale : float
        Standard deviation of y.
    """

    solution: NDArray
    triangle: NDArray
    scale: NDArray
    target_scale: float

    def coefficient_error(self, coef: NDArray) -> float:
        """Give the largest distance of a coefficient, in deviations of y per deviation of its column."""
        return float(np.abs((coef - self.solution[1:]) * self.scale).max() / self.target_scale)

    def prediction_error(self, coef: NDArray, intercept: float) -> float:
        """Give the root-mean-square distance of the predictions of all rows, in deviations of y."""
        step = np.append(intercept, coef) - self.solution
        return float(np.linalg.norm((self.triangle @ step).astype(np.float64)) / self.target_scale)


def least_squares(data: Data) -> Reference:
    """Solve weighted least squares with an intercept, of a dense X of full rank with more rows than columns."""
    X, y, weight, _ = data
    weight = np.ones(len(y)) if weight is None else weight
    weight = weight / weight.sum()
    rows = np.column_stack([np.ones(len(y)), X, y])
    rows *= np.sqrt(weight)[:, None]
    factor = np.linalg.qr(rows, mode="r")
    triangle = factor[:-1, :-1]
    scale = np.linalg.norm(factor[1:], axis=0)
    solution = solve_triangular(triangle, factor[:-1, -1]).astype(np.longdouble)
    for _ in range(CORRECTIONS):
        gradient = np.zeros_like(solution)
        for block in np.array_split(np.arange(len(y)), 1 + X.size // BLOCK_ENTRIES):
            ones_X = np.column_stack([np.ones(len(block)), X[block]]).astype(np.longdouble)
            gradient += (weight[block] * (y[block] - ones_X @ solution)) @ ones_X
        projected = solve_triangular(triangle, gradient.astype(np.float64), trans="T")
        solution = solution + solve_triangular(triangle, projected)
    return Reference(solution, triangle, scale[1:-1], float(scale[-1]))


def objective_value(objective: Objective, data: Data, coef: NDArray, intercept: float) -> float:
    """Give the value of an objective at coefficients of the columns as they are, on the rows that score."""
    X, y, weight, unseen = data
    X, y, weight = (X, y, weight) if unseen is None else (*unseen, None)
    with np.errstate(over="ignore", invalid="ignore"):
        losses = objective.losses(y - (X @ coef + intercept)).astype(np.longdouble)
        return float(np.average(losses, weights=weight) + objective.price(coef))


def best_constant_value(objective: Objective, data: Data) -> float:
    """Give the value of an objective at the best intercept, all coefficients zero."""
    zero, bracket = np.zeros(data.X.shape[1]), (data.y.min(), data.y.max())
    return float(minimize_scalar(lambda constant: objective_value(objective, data, zero, constant), bracket).fun)


def excess(value: float, best: float, of_constant: float) -> float:
    """Give the distance from the best objective, as a share of it, or of a thousandth of the constant's if larger."""
    return (value - best) / max(best, SMALL_SHARE * of_constant)
