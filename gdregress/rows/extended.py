"""Sums of products in twice the working precision, by error-free transformations.

The rounding errors of a sum fl(a + b) and of a product fl(a b) are floats themselves and can be computed
(Knuth, 1969; Dekker, 1971). Accumulating these errors alongside the values doubles the number of digits
(Ogita, Rump and Oishi, 2005). The cost is about twenty times that of a plain product, so this is for small X only.
"""

import numpy as np
from numpy.typing import NDArray


def dot(X: NDArray, R: NDArray) -> NDArray:
    """Compute ``X.T @ R`` as if in twice the precision of R, rounded once.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Left factor, of the same dtype as R.
    R : ndarray of shape (n_samples, n_columns)
        Right factor.

    Returns
    -------
    ndarray of shape (n_features, n_columns)
    """
    return np.stack([_dot(X, column[:, np.newaxis]) for column in R.T], axis=1)


def _dot(X: NDArray, column: NDArray) -> NDArray:
    product, error = _two_product(X, column)
    while len(product) > 1:
        half = len(product) // 2
        total, lost = two_sum(product[:half], product[half : 2 * half])
        error = np.concatenate([error[:half] + error[half : 2 * half] + lost, error[2 * half :]])
        product = np.concatenate([total, product[2 * half :]])
    return product[0] + error[0]


def two_sum(a: NDArray, b: NDArray) -> tuple[NDArray, NDArray]:
    """Return the rounded sum of two arrays and its rounding error (Knuth, 1969).

    Parameters
    ----------
    a, b : ndarray
        Summands of the same shape.

    Returns
    -------
    total, lost : ndarray
        ``fl(a + b)`` and its error: ``total + lost`` equals ``a + b`` exactly.
    """
    total = a + b
    of_b = total - a
    return total, (a - (total - of_b)) + (b - of_b)


def _two_product(a: NDArray, b: NDArray) -> tuple[NDArray, NDArray]:
    """Return fl(a b) and its rounding error (Dekker, 1971)."""
    product = a * b
    a_high, a_low = _split(a)
    b_high, b_low = _split(b)
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def _split(a: NDArray) -> tuple[NDArray, NDArray]:
    """Split each number into two numbers of half as many digits (Dekker, 1971)."""
    digits = np.finfo(a.dtype).nmant + 1
    scaled = a * (2.0 ** ((digits + 1) // 2) + 1)
    high = scaled - (scaled - a)
    return high, a - high
