"""Columns of very different units, far from zero, for the tests of rows on a device."""

import numpy as np

from gdregress.rows.namespaces import to_host


def make(n=400, p=5, m=None, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)) * np.logspace(-3, 3, p) + rng.uniform(-5, 5, p)
    y = X @ (rng.standard_normal((p, m or 1)) / np.logspace(-3, 3, p)[:, np.newaxis]) + rng.standard_normal((n, m or 1))
    weight = rng.uniform(0, 2, n)
    weight[:7] = 0.0
    return X, y if m else y[:, 0], weight


def distance(one, other, X):
    """Return the largest difference of coefficients, in standard deviations of the columns."""
    size = np.abs(X).max(axis=0)
    return np.abs((to_host(one.coef_) - to_host(other.coef_)) * size * (X / size).std(axis=0)).max()
