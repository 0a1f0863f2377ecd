"""Data of every kind: each function draws X of n x p and y from a random generator."""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import sparse
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import StandardScaler, normalize

BLOCK_ROWS = 2**14
"""Rows drawn at once, so that nothing as large as X stands beside it."""

WORDS = 36
"""Entries that are drawn for a row of `text`."""


def badly_scaled(rng: Generator, n: int, p: int) -> tuple[NDArray, NDArray]:
    """Draw columns of all scales about means that are not zero.

    The deviations of the columns spread evenly over four decades, less than the six at which
    LinearRegression's `tol` begins to drop columns, and their means over five deviations to
    either side. The deviation of y is 1, for SGDRegressor's `tol` is not relative to it; half of
    its variance is explained.
    """
    scale = rng.permutation(np.logspace(-2, 2, p))
    mean = scale * rng.uniform(-5, 5, p)
    effect = rng.standard_normal(p)
    effect /= np.sqrt(2) * np.linalg.norm(effect)
    X, y = np.empty((n, p)), np.empty(n)
    for start in range(0, n, BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        Z = rng.standard_normal(X[block].shape)
        X[block] = mean + scale * Z
        y[block] = 1 + Z @ effect + np.sqrt(0.5) * rng.standard_normal(len(Z))
    return X, y


def mixed_units(
    rng: Generator, n: int, p: int, *, noise: Callable[[Generator, int], NDArray]
) -> tuple[NDArray, NDArray]:
    """Draw correlated columns far from zero, in units four orders of magnitude apart, and y of their standardised."""
    X = rng.standard_normal((n, p)) @ (np.eye(p) + 0.3 * rng.standard_normal((p, p)))
    X *= 10 ** rng.uniform(-2, 2, p)
    X += 5
    coef = rng.standard_normal(p) / X.std(axis=0)
    return X, X @ coef - X.mean(axis=0) @ coef + noise(rng, n)


def same_units(rng: Generator, n: int, p: int) -> tuple[NDArray, NDArray]:
    """Draw what `mixed_units` draws, with normal noise, and standardise the columns.

    So that a penalty means the same to those who scale columns and those who don't; and LinearSVR
    penalises its intercept as well, which is next to nothing where X and y are centred.
    """
    X, y = mixed_units(rng, n, p, noise=normal)
    return StandardScaler().fit_transform(X), y


def neighbours(rng: Generator, n: int, p: int) -> tuple[NDArray, NDArray]:
    """Draw standardised columns that are correlated with the next ones: curvatures from a half to eight."""
    correlation = 0.6
    X = rng.standard_normal((n, p))
    X[:, 1:] *= np.sqrt(1 - correlation**2)
    for column in range(1, p):
        X[:, column] += correlation * X[:, column - 1]
    X = StandardScaler(copy=False).fit_transform(X)
    return X, X @ (rng.standard_normal(p) / np.sqrt(p)) + rng.standard_normal(n)


def few_of_many(rng: Generator, n: int, p: int) -> tuple[NDArray, NDArray]:
    """Draw independent columns of which ten count."""
    X = rng.standard_normal((n, p))
    return X, X[:, :10] @ rng.standard_normal(10) + rng.standard_normal(n)


def factors(rng: Generator, n: int, p: int) -> tuple[NDArray, NDArray]:
    """Draw columns that share twenty factors, of which thirty count."""
    n_factors, n_true = 20, 30
    X = rng.standard_normal((n, n_factors)) @ rng.standard_normal((n_factors, p)) + 0.7 * rng.standard_normal((n, p))
    true = rng.choice(p, n_true, replace=False)
    return X, X[:, true] @ rng.standard_normal(n_true) + 3 * rng.standard_normal(n)


def text(rng: Generator, n: int, p: int) -> tuple[sparse.csr_array, NDArray]:
    """Draw the words of texts by Zipf's law, and weigh them as TfidfTransformer does; every word counts."""
    share = np.cumsum(1 / (10 + np.arange(p)))
    words = np.searchsorted(share, share[-1] * rng.random(n * WORDS)).astype(np.int32)
    starts = np.arange(0, n * WORDS + 1, WORDS, dtype=np.int32)
    X = sparse.csr_array((np.ones(n * WORDS), words, starts), shape=(n, p))
    X.sum_duplicates()
    texts = np.bincount(X.indices, minlength=p)
    X.data *= np.log((1 + n) / (1 + texts))[X.indices] + 1
    X = normalize(X, copy=False)
    return X, X @ rng.standard_normal(p) + 0.1 * rng.standard_normal(n)


def nearly_collinear(rng: Generator, n: int, p: int) -> tuple[NDArray, NDArray]:
    """Draw columns of which five are the same up to a hundred-thousandth: correlated by 1 - 1e-10."""
    X = rng.standard_normal((n, p))
    X[:, 1:5] = X[:, :1] + 1e-5 * X[:, 1:5]
    y = X @ rng.standard_normal(p) + rng.standard_normal(n)
    return X + 3, y


def heavy_tailed(rng: Generator, n: int, p: int) -> tuple[NDArray, NDArray]:
    """Draw columns without a variance: Student's t with two degrees of freedom."""
    X = rng.standard_t(2, (n, p))
    return X, X @ rng.standard_normal(p) + X.std() * rng.standard_normal(n)


def diabetes(rng: Generator, n: int, p: int) -> tuple[NDArray, NDArray]:
    """Load the table of 442 patients that comes with scikit-learn, in its own units; nothing is drawn."""
    X, y = load_diabetes(return_X_y=True, scaled=False)
    return np.ascontiguousarray(X[:n, :p]), y[:n]


def normal(rng: Generator, n: int) -> NDArray:
    """Draw noise of deviation 1."""
    return rng.standard_normal(n)


def students(rng: Generator, n: int) -> NDArray:
    """Draw noise by Student's t with three degrees of freedom."""
    return rng.standard_t(3, n)


def outliers(rng: Generator, n: int) -> NDArray:
    """Draw noise that is thirty times as large for a tenth of the rows."""
    return rng.standard_normal(n) * np.where(rng.random(n) < 0.1, 30.0, 1.0)
