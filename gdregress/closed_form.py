"""Least squares without descent: the reference solution of the comparison."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import svd

from gdregress.rows.checks import check_finite
from gdregress.rows.inputs import read_rows
from gdregress.rows.ranges import power_of_two
from gdregress.rows.sources import source_of
from gdregress.rows.threads import given_back, on_threads

BLOCK = 1000
"""Least number of rows that are factorised at a time: they stay in the cache."""


def closed_form(X, y, sample_weight=None, *, alpha=0.0, standardize=False, fit_intercept=True):
    """Solve least squares by an orthogonal factorisation of the standardised columns.

    Minimises ``(1/W) sum_i s_i (y_i - x_i . w - b)^2 + alpha |w|^2``. The columns are centred (if
    there is an intercept) and scaled before the decomposition, so that their units and means do not
    decide which singular values count as zero. If there are several solutions, it returns the one of
    least norm in standardised coordinates. The descent is not used.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows; a sparse matrix is made dense.
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        Targets.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights s_i of sum W; None for ones.
    alpha : float, default=0.0
        Strength of the L2 penalty, as in ``Ridge(alpha=W * alpha)``.
    standardize : bool, default=False
        Whether w in the penalty are coefficients in standard deviations of their columns.
    fit_intercept : bool, default=True
        Whether there is an intercept. It is not penalised.

    Returns
    -------
    coef : ndarray of shape (n_features,) or (n_targets, n_features)
        Coefficients.
    intercept : float or ndarray of shape (n_targets,)
        Intercept; 0.0 if ``fit_intercept=False``.

    References
    ----------
    Bjorck (1996), Numerical Methods for Least Squares Problems, SIAM.

    Examples
    --------
    >>> from gdregress import closed_form, load_house_prices
    >>> coef, intercept = closed_form(*load_house_prices(return_X_y=True))
    >>> print(f"{coef[0]:.8f} {intercept:.8f}")
    84.73684211 -46.31578947
    """
    X, y, weight = read_rows(source_of("X", X).in_memory().X, y, sample_weight)
    check_finite("X", X)
    X = X.astype(np.float64, copy=False)
    weight = np.ones(X.shape[0]) if weight is None else weight
    X = X.toarray() if sparse.issparse(X) else X
    targets = y.reshape(len(y), -1)
    center, target_center = np.zeros(X.shape[1]), np.zeros(targets.shape[1])
    if fit_intercept:
        center, target_center = _mean(X, weight), _mean(targets, weight)
    root = np.sqrt(weight / weight.sum())[:, np.newaxis]
    # Dividing by powers of two is exact, and keeps the squares below in range.
    unit, target_unit = power_of_two(np.abs(X).max(axis=0)), power_of_two(np.abs(targets).max(axis=0))
    columns = root * (X / unit - center / unit)
    scale = np.linalg.norm(columns, axis=0)
    size = np.linalg.norm(root * (X / unit), axis=0)
    moves = scale > 2 * np.finfo(np.float64).eps * size
    scale = np.where(moves, scale, 1.0)
    columns = np.where(moves, columns / scale, 0.0)
    right = root * (targets / target_unit - target_center / target_unit)
    if alpha > 0:
        penalized = 1.0
        if standardize:
            deviation = np.linalg.norm(root * (X / unit - _mean(X, weight) / unit), axis=0) * unit
            penalized = np.where(deviation > 0, deviation, 1.0)
        columns = np.vstack([columns, np.diag(np.sqrt(alpha) * penalized / unit / scale)])
        right = np.vstack([right, np.zeros((X.shape[1], targets.shape[1]))])
    # Singular values below this may come from the rounding of the data or of the factorisation alone.
    rounding = np.finfo(np.float64).eps * (4 + len(X) ** 0.5) * np.linalg.norm(size[moves] / scale[moves])
    with given_back(), on_threads(1):
        z = _least_norm(columns, right, rounding)
    coef = (z / scale[:, np.newaxis] / unit[:, np.newaxis] * target_unit).T
    intercept = target_center - coef @ center if fit_intercept else np.zeros(targets.shape[1])
    if y.ndim == 1:
        return coef[0], float(intercept[0])
    return coef, intercept if fit_intercept else 0.0


def _least_norm(A: NDArray, B: NDArray, rounding: float) -> NDArray:
    """Return the Z of least norm among those with the least |A Z - B|, without singular values up to `rounding`."""
    p = A.shape[1]
    if len(A) > p:
        # Of the orthogonal factor only its products with B count, and they are columns of the triangular one.
        rows = np.hstack([A, B])
        triangle = rows[:0]
        size = max(4 * p, BLOCK)
        for start in range(0, len(rows), size):
            triangle = np.asarray(np.linalg.qr(np.vstack([triangle, rows[start : start + size]]), mode="r"))
        A, B = triangle[:p, :p], triangle[:p, p:]
    left, singular, directions = svd(A, full_matrices=False)
    inverse = np.divide(1.0, singular, out=np.zeros_like(singular), where=singular > rounding)
    return directions.T @ (inverse[:, np.newaxis] * (left.T @ B))


def _mean(columns: NDArray, weight: NDArray) -> NDArray:
    """Return the means of columns, corrected by the mean deviation: exact for a constant column."""
    mean = np.average(columns, axis=0, weights=weight)
    return mean + np.average(columns - mean, axis=0, weights=weight)
