"""Every loss with every penalty on real, unscaled data, beside an interior-point method that shares nothing with us."""

import warnings

import cvxpy as cp
import numpy as np
import pytest
from sklearn.datasets import load_diabetes

from gdregress import GradientDescentRegressor
from gdregress.losses import LOSSES

EPSILON, QUANTILE = 0.1, 0.5
TWICE = ("squared_error", "huber")
RATIOS = {None: 0.0, "l2": 0.0, "l1": 1.0, "elasticnet": 0.15}

X, y = load_diabetes(return_X_y=True, scaled=False)
y = y + 20 * np.random.default_rng(0).standard_t(1.5, size=len(y))

FORMULAS = {
    "squared_error": cp.square,
    "huber": lambda r: cp.huber(r, EPSILON),
    "absolute_error": cp.abs,
    "quantile": lambda r: cp.maximum(QUANTILE * r, (QUANTILE - 1) * r),
    "epsilon_insensitive": lambda r: cp.pos(cp.abs(r) - EPSILON),
    "squared_epsilon_insensitive": lambda r: cp.square(cp.pos(cp.abs(r) - EPSILON)),
}


def minimum(loss, l1, l2, *, positive=False):
    """The least objective, in standardised columns and units of y for the solver's sake."""
    scale, unit = X.std(axis=0), y.std()
    z, level = cp.Variable(X.shape[1], nonneg=positive), cp.Variable()
    residual = y - unit * ((X - X.mean(axis=0)) / scale @ z + level)
    coef = cp.multiply(z, unit / scale)
    size = unit ** (2 if "square" in loss else 1)
    value = cp.sum(FORMULAS[loss](residual)) / len(y) + l1 * cp.norm1(coef) + l2 / 2 * cp.sum_squares(coef)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        accuracy = {"tol_gap_rel": 1e-10, "tol_gap_abs": 1e-10, "tol_feas": 1e-10}
        return cp.Problem(cp.Minimize(value / size)).solve(solver="CLARABEL", **accuracy) * size


@pytest.mark.parametrize("alpha", [1e-4, 1.0])
@pytest.mark.parametrize("penalty", RATIOS)
@pytest.mark.parametrize("loss", LOSSES)
def test_the_objective_is_within_a_millionth_of_the_least(loss, penalty, alpha):
    strength = (2.0 if loss in TWICE else 1.0) * (0.0 if penalty is None else alpha)
    l1, l2 = strength * RATIOS[penalty], strength * (1.0 - RATIOS[penalty])
    model = GradientDescentRegressor(loss=loss, penalty=penalty, alpha=alpha).fit(X, y)
    residual = y - model.predict(X)
    data = float(np.mean(FORMULAS[loss](residual).value))
    reached = data + l1 * np.abs(model.coef_).sum() + l2 / 2 * (model.coef_**2).sum()
    assert model.converged_
    assert model.history_["loss"][-1] == pytest.approx(data, rel=1e-12)
    assert reached <= minimum(loss, l1, l2) * (1 + 1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_positive_coefficients(loss):
    model = GradientDescentRegressor(loss=loss, positive=True).fit(X, y)
    assert model.converged_
    assert (model.coef_ >= 0).all()
    assert (model.coef_ == 0).any()
    reached = float(np.mean(FORMULAS[loss](y - model.predict(X)).value))
    assert reached <= minimum(loss, 0.0, 0.0, positive=True) * (1 + 1e-6)
