"""Least squares once more, by another method and in extended precision.

The predictions of least squares are the projection of y onto the span of the columns of X and a
constant. Predictions are therefore as far from them as their residual reaches into that span.
"""

import numpy as np
from numpy.typing import NDArray

DEPENDENT = 1e-13
"""Share of its length that a column keeps beside the others, below which it is taken to depend on them."""

INDEPENDENT = 1e-10
"""Share above which it is taken not to; between the two, the digits of the data leave it open."""


def orthonormal_span(X: NDArray) -> NDArray | None:
    """Give an orthonormal basis of the span of the columns of X and a constant.

    Gram and Schmidt's orthogonalisation, done twice (Giraud, Langou and Rozloznik, 2005), of
    the columns as they are: neither centred nor scaled, neither squared nor factored.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Rows.

    Returns
    -------
    basis : ndarray of shape (rank, n_samples) or None
        Of dtype longdouble; None where the rank is open to doubt.
    """
    n = len(X)
    basis = np.empty((min(n, 1 + X.shape[1]), n), dtype=np.longdouble)
    basis[0] = 1 / np.sqrt(np.longdouble(n))
    rank = 1
    for column in X[:, np.ptp(X, axis=0) > 0].T.astype(np.longdouble):
        if rank == n:
            break
        rest = column
        for _ in range(2):
            rest = rest - (basis[:rank] @ rest) @ basis[:rank]
        share = np.sqrt(rest @ rest) / np.sqrt(column @ column)
        if DEPENDENT < share < INDEPENDENT:
            return None
        if share >= INDEPENDENT:
            basis[rank] = rest / np.sqrt(rest @ rest)
            rank += 1
    return basis[:rank]


def distance(basis: NDArray, y: NDArray, predictions: NDArray) -> float:
    """Give the root-mean-square distance of predictions from those of least squares, in deviations of y.

    Parameters
    ----------
    basis : ndarray of shape (rank, n_samples)
        Of the span of the columns and a constant.
    y, predictions : ndarray of shape (n_samples,)
        Targets, and predictions that lie in that span.
    """
    inside = basis @ (y - predictions)
    return float(np.sqrt(inside @ inside / len(y)) / y.std())
