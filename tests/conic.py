"""Least objectives by an interior-point method that shares nothing with us.

Run in a process of its own: cvxpy brings BLAS libraries whose threads cannot be limited, which
other tests count.
"""

import warnings

import numpy as np
from sklearn.datasets import load_diabetes

EPSILON, QUANTILE = 0.1, 0.5


def data():
    """Raw columns, and targets with noise of heavy tails."""
    X, y = load_diabetes(return_X_y=True, scaled=False)
    return X, y + 20 * np.random.default_rng(0).standard_t(1.5, size=len(y))


def minimum(loss, l1, l2, positive=False):
    """Minimise mean loss + l1 |w|_1 + l2 |w|^2 / 2 with cvxpy and Clarabel, in standardised columns and units of y."""
    import cvxpy as cp

    formulas = {
        "squared_error": cp.square,
        "huber": lambda r: cp.huber(r, EPSILON),
        "absolute_error": cp.abs,
        "quantile": lambda r: cp.maximum(QUANTILE * r, (QUANTILE - 1) * r),
        "epsilon_insensitive": lambda r: cp.pos(cp.abs(r) - EPSILON),
        "squared_epsilon_insensitive": lambda r: cp.square(cp.pos(cp.abs(r) - EPSILON)),
    }
    X, y = data()
    scale, unit = X.std(axis=0), y.std()
    z, level = cp.Variable(X.shape[1], nonneg=positive), cp.Variable()
    residual = y - unit * ((X - X.mean(axis=0)) / scale @ z + level)
    coef = cp.multiply(z, unit / scale)
    size = unit ** (2 if "square" in loss else 1)
    value = cp.sum(formulas[loss](residual)) / len(y) + l1 * cp.norm1(coef) + l2 / 2 * cp.sum_squares(coef)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        accuracy = {"tol_gap_rel": 1e-10, "tol_gap_abs": 1e-10, "tol_feas": 1e-10}
        return float(cp.Problem(cp.Minimize(value / size)).solve(solver="CLARABEL", **accuracy) * size)
