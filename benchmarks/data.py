"""Data of every kind: each function draws n rows of p columns from a random generator."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import sparse
from sklearn.datasets import load_diabetes
from sklearn.linear_model import HuberRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, normalize

BLOCK_ROWS = 2**14
"""Rows drawn at once, so that nothing as large as X stands beside it."""

WORDS = 36
"""Entries that are drawn for a row of `text`."""


class Data(NamedTuple):
    """Rows that solvers fit, and rows that score them.

    Attributes
    ----------
    X : ndarray or csr_array of shape (n_samples, n_features)
        Columns.
    y : ndarray of shape (n_samples,)
        Targets.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights; None where each row counts the same.
    unseen : tuple of ndarray, default=None
        X and y of rows that no solver is given and that score all; None where the rows that are fitted do.
    """

    X: Any
    y: NDArray
    sample_weight: NDArray | None = None
    unseen: tuple[NDArray, NDArray] | None = None


Draw = Callable[[Generator, int, int], Data]


def badly_scaled(rng: Generator, n: int, p: int) -> Data:
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
    return Data(X, y)


def mixed_units(rng: Generator, n: int, p: int, *, noise: Callable[[Generator, int], NDArray]) -> Data:
    """Draw correlated columns far from zero, in units four orders of magnitude apart, and y of their standardised."""
    X = rng.standard_normal((n, p)) @ (np.eye(p) + 0.3 * rng.standard_normal((p, p)))
    X *= 10 ** rng.uniform(-2, 2, p)
    X += 5
    coef = rng.standard_normal(p) / X.std(axis=0)
    return Data(X, X @ coef - X.mean(axis=0) @ coef + noise(rng, n))


def same_units(rng: Generator, n: int, p: int) -> Data:
    """Draw what `mixed_units` draws, with normal noise, and standardise the columns.

    So that a penalty means the same to those who scale columns and those who don't; and LinearSVR
    penalises its intercept as well, which is next to nothing where X and y are centred.
    """
    X, y, *_ = mixed_units(rng, n, p, noise=normal)
    return Data(StandardScaler().fit_transform(X), y)


def neighbours(rng: Generator, n: int, p: int) -> Data:
    """Draw standardised columns that are correlated with the next ones: curvatures from a half to eight."""
    correlation = 0.6
    X = rng.standard_normal((n, p))
    X[:, 1:] *= np.sqrt(1 - correlation**2)
    for column in range(1, p):
        X[:, column] += correlation * X[:, column - 1]
    X = StandardScaler(copy=False).fit_transform(X)
    return Data(X, X @ (rng.standard_normal(p) / np.sqrt(p)) + rng.standard_normal(n))


def few_of_many(rng: Generator, n: int, p: int) -> Data:
    """Draw independent columns of which ten count."""
    X = rng.standard_normal((n, p))
    return Data(X, X[:, :10] @ rng.standard_normal(10) + rng.standard_normal(n))


def factors(rng: Generator, n: int, p: int) -> Data:
    """Draw columns that share twenty factors, of which thirty count."""
    n_factors, n_true = 20, 30
    X = rng.standard_normal((n, n_factors)) @ rng.standard_normal((n_factors, p)) + 0.7 * rng.standard_normal((n, p))
    true = rng.choice(p, n_true, replace=False)
    return Data(X, X[:, true] @ rng.standard_normal(n_true) + 3 * rng.standard_normal(n))


def common_factor(rng: Generator, n: int, p: int) -> Data:
    """Draw columns that share one factor, of which twenty count; L1 of 1 is the least that leaves none of them."""
    X = np.asfortranarray(rng.standard_normal((n, p)) + 0.5 * rng.standard_normal((n, 1)))
    y = X[:, :20] @ rng.standard_normal(20) * 3 + rng.standard_normal(n)
    return Data(X, y / _largest_l1(X, y))


def sparse_columns(rng: Generator, n: int, p: int) -> Data:
    """Draw CSR with a thousandth of its entries, of which twenty columns count; L1 of 1 leaves none of them."""
    X = sparse.random_array((n, p), density=1e-3, format="csr", rng=rng, data_sampler=rng.standard_normal)
    y = X[:, :20] @ rng.standard_normal(20) * 3 + 0.1 * rng.standard_normal(n)
    return Data(X, y / _largest_l1(X, y))


def _largest_l1(X: Any, y: NDArray) -> float:
    """Return the strength of L1 from which on all coefficients of squared error are zero."""
    return float(np.abs(X.T @ (y - y.mean())).max()) / len(y)


def one_hot(rng: Generator, n: int, p: int) -> Data:
    """Draw categories as columns of zeros and ones in CSR: of 2, 4, 8, ... values, the last of all that are left."""
    ends = np.append(0, 2 ** np.arange(2, int(np.log2(p + 2))) - 2)
    starts, sizes = ends, np.diff(np.append(ends, p))
    values = rng.integers(0, sizes, (n, len(sizes)))
    rows = np.arange(n)[:, np.newaxis]
    values = np.where(rows < sizes, rows, values)  # each value is there
    columns = (starts + values).ravel().astype(np.int32)
    X = sparse.csr_array((np.ones(columns.size), columns, np.arange(0, columns.size + 1, len(sizes))), shape=(n, p))
    return Data(X, X @ rng.standard_normal(p) + rng.standard_normal(n))


def text(rng: Generator, n: int, p: int) -> Data:
    """Draw the words of texts by Zipf's law, and weigh them as TfidfTransformer does; every word counts."""
    share = np.cumsum(1 / (10 + np.arange(p)))
    words = np.searchsorted(share, share[-1] * rng.random(n * WORDS)).astype(np.int32)
    starts = np.arange(0, n * WORDS + 1, WORDS, dtype=np.int32)
    X = sparse.csr_array((np.ones(n * WORDS), words, starts), shape=(n, p))
    X.sum_duplicates()
    texts = np.bincount(X.indices, minlength=p)
    X.data *= np.log((1 + n) / (1 + texts))[X.indices] + 1
    X = normalize(X, copy=False)
    return Data(X, X @ rng.standard_normal(p) + 0.1 * rng.standard_normal(n))


def nearly_collinear(rng: Generator, n: int, p: int) -> Data:
    """Draw columns of which five are the same up to a hundred-thousandth: correlated by 1 - 1e-10."""
    X = rng.standard_normal((n, p))
    X[:, 1:5] = X[:, :1] + 1e-5 * X[:, 1:5]
    y = X @ rng.standard_normal(p) + rng.standard_normal(n)
    return Data(X + 3, y)


def heavy_tailed(rng: Generator, n: int, p: int) -> Data:
    """Draw columns without a variance: Student's t with two degrees of freedom."""
    X = rng.standard_t(2, (n, p))
    return Data(X, X @ rng.standard_normal(p) + X.std() * rng.standard_normal(n))


def diabetes(rng: Generator, n: int, p: int) -> Data:
    """Load the table of 442 patients that comes with scikit-learn, in its own units; nothing is drawn."""
    X, y = load_diabetes(return_X_y=True, scaled=False)
    return Data(np.ascontiguousarray(X[:n, :p]), y[:n])


def weighted(rng: Generator, n: int, p: int, *, draw: Draw) -> Data:
    """Draw rows, and weights of which a tenth are zero."""
    return draw(rng, n, p)._replace(sample_weight=rng.exponential(size=n) * (rng.random(n) > 0.1))


def with_unseen(rng: Generator, n: int, p: int, *, draw: Draw) -> Data:
    """Draw twice as many rows, of which the second half score and are not fitted."""
    X, y, *_ = draw(rng, 2 * n, p)
    return Data(X[:n], y[:n], unseen=(X[n:], y[n:]))


def at_unit_scale(rng: Generator, n: int, p: int, *, draw: Draw) -> Data:
    """Draw rows, and divide y so that HuberRegressor's scale is 1: then its loss is that of a fixed epsilon."""
    X, y, *_ = draw(rng, n, p)
    model = make_pipeline(StandardScaler(), HuberRegressor(alpha=0.0, max_iter=1000, tol=1e-9)).fit(X, y)
    return Data(X, y / model[-1].scale_)


def normal(rng: Generator, n: int) -> NDArray:
    """Draw noise of deviation 1."""
    return rng.standard_normal(n)


def students(rng: Generator, n: int) -> NDArray:
    """Draw noise by Student's t with three degrees of freedom."""
    return rng.standard_t(3, n)


def outliers(rng: Generator, n: int) -> NDArray:
    """Draw noise that is thirty times as large for a tenth of the rows."""
    return rng.standard_normal(n) * np.where(rng.random(n) < 0.1, 30.0, 1.0)
