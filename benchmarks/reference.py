"""The solution of least squares to more digits than a solver can be expected to give.

The reference never holds more of X than a block. A triangular factor R of (1, X, y) comes from
QR factorisations of block after block (TSQR; Demmel, Grigori, Hoemmen and Langou, 2012), all in
float64. Its solution is then corrected by ``R'R step = (1, X)' residual`` (the corrected
seminormal equations; Bjorck, 1987), with residual and product in extended precision, so that
what remains is the rounding of the correction, not of the factor.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from benchmarks.storage import blocks

CORRECTIONS = 3
"""Corrections of the reference; the size of the last is reported."""


@dataclass(frozen=True)
class Reference:
    """The least-squares solution of a problem, and what errors are measured with.

    Attributes
    ----------
    solution : ndarray of shape (1 + n_features,)
        Intercept and coefficients, in extended precision.
    triangle : ndarray of shape (1 + n_features, 1 + n_features)
        R of (1, X), divided by the root of the number of rows.
    scale : ndarray of shape (n_features,)
        Standard deviations of the columns of X.
    target_scale : float
        Standard deviation of y.
    uncertainty : float
        Prediction error that the last correction took away.
    """

    solution: NDArray
    triangle: NDArray
    scale: NDArray
    target_scale: float
    uncertainty: float

    def coefficient_error(self, coef: NDArray) -> float:
        """Give the largest distance of a coefficient, in deviations of y per deviation of its column."""
        return float(np.abs((coef - self.solution[1:]) * self.scale).max() / self.target_scale)

    def prediction_error(self, coef: NDArray, intercept: float) -> float:
        """Give the root-mean-square distance of the predictions of all rows, in deviations of y."""
        step = np.append(intercept, coef) - self.solution
        return float(np.linalg.norm((self.triangle @ step).astype(np.float64)) / self.target_scale)


def least_squares(folder: Path) -> Reference:
    """Solve least squares with an intercept.

    Parameters
    ----------
    folder : Path
        With a dense X of full rank and more rows than columns, and y.

    Returns
    -------
    Reference
    """
    stacked = np.empty((0, 0))
    n = 0
    for X, y in _with_ones(folder):
        block = np.column_stack([X, y])
        stacked = np.linalg.qr(np.vstack([stacked, block]) if n else block, mode="r")
        n += len(y)
    stacked /= np.sqrt(n)
    triangle = stacked[:-1, :-1]
    scale = np.linalg.norm(stacked[1:], axis=0)
    solution = solve_triangular(triangle, stacked[:-1, -1]).astype(np.longdouble)
    for _ in range(CORRECTIONS):
        gradient = np.zeros_like(solution)
        for X, y in _with_ones(folder):
            X = X.astype(np.longdouble)
            gradient += (y - X @ solution) @ X
        projected = solve_triangular(triangle, (gradient / n).astype(np.float64), trans="T")
        solution = solution + solve_triangular(triangle, projected)
    uncertainty = float(np.linalg.norm(projected) / scale[-1])
    return Reference(solution, triangle, scale[1:-1], float(scale[-1]), uncertainty)


def _with_ones(folder: Path) -> Iterator[tuple[NDArray, NDArray]]:
    """Yield blocks of (1, X) and y."""
    for X, y in blocks(folder):
        yield np.column_stack([np.ones(len(y)), X]), y
