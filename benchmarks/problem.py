"""A tall least-squares problem on disk, and its solution to more digits than a solver can be expected to give.

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

BLOCK_ROWS = 2**14
"""Rows that are in memory at once."""

CORRECTIONS = 3
"""Corrections of the reference; the size of the last is reported."""


def write_problem(folder: Path, n_samples: int, n_features: int) -> None:
    """Write ``X.npy`` and ``y.npy``: columns of all scales about means that are not zero.

    The deviations of the columns spread evenly over four decades, less than the six at which
    LinearRegression's `tol` begins to drop columns, and their means over five deviations to
    either side. The deviation of y is 1, for SGDRegressor's `tol` is not relative to it; half of
    its variance is explained.

    Parameters
    ----------
    folder : Path
        Where to.
    n_samples, n_features : int
        Shape of X.
    """
    rng = np.random.default_rng(0)
    scale = rng.permutation(np.logspace(-2, 2, n_features))
    mean = scale * rng.uniform(-5, 5, n_features)
    effect = rng.standard_normal(n_features)
    effect /= np.sqrt(2) * np.linalg.norm(effect)
    X = np.lib.format.open_memmap(folder / "X.npy", mode="w+", dtype=np.float64, shape=(n_samples, n_features))
    y = np.empty(n_samples)
    for start in range(0, n_samples, BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        Z = rng.standard_normal(X[block].shape)
        X[block] = mean + scale * Z
        y[block] = 1 + Z @ effect + np.sqrt(0.5) * rng.standard_normal(len(Z))
    X.flush()
    np.save(folder / "y.npy", y)


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


def solve(folder: Path) -> Reference:
    """Solve the problem in a folder.

    Parameters
    ----------
    folder : Path
        With ``X.npy`` and ``y.npy``.

    Returns
    -------
    Reference
    """
    stacked = np.empty((0, 0))
    n = 0
    for X, y in _blocks(folder):
        block = np.column_stack([X, y])
        stacked = np.linalg.qr(np.vstack([stacked, block]) if n else block, mode="r")
        n += len(y)
    stacked /= np.sqrt(n)
    triangle = stacked[:-1, :-1]
    scale = np.linalg.norm(stacked[1:], axis=0)
    solution = solve_triangular(triangle, stacked[:-1, -1]).astype(np.longdouble)
    for _ in range(CORRECTIONS):
        gradient = np.zeros_like(solution)
        for X, y in _blocks(folder):
            X = X.astype(np.longdouble)
            gradient += (y - X @ solution) @ X
        projected = solve_triangular(triangle, (gradient / n).astype(np.float64), trans="T")
        solution = solution + solve_triangular(triangle, projected)
    uncertainty = float(np.linalg.norm(projected) / scale[-1])
    return Reference(solution, triangle, scale[1:-1], float(scale[-1]), uncertainty)


def _blocks(folder: Path) -> Iterator[tuple[NDArray, NDArray]]:
    """Yield blocks of (1, X) and y."""
    X, y = np.load(folder / "X.npy", mmap_mode="r"), np.load(folder / "y.npy")
    for start in range(0, len(y), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        yield np.column_stack([np.ones(len(y[block])), X[block]]), y[block]
