"""A fit that goes on from another one with other parameters ends where a fresh one does."""

import warnings

import numpy as np
import pytest
from hard_problems import CURVED, KINKED
from sklearn.exceptions import ConvergenceWarning

from gdregress import GradientDescentRegressor

CHANGES = [
    {"positive": True},
    {"penalty": "l1", "alpha": 0.3},
    {"penalty": "l1", "alpha": 0.1, "positive": True},
    {"penalty": "l2", "alpha": 1.0, "standardize": True},
    {"fit_intercept": False},
]


def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 4))
    return X, X @ [1.0, -2.0, 0.1, -1.0] + 0.5 + rng.standard_normal(200)


@pytest.mark.parametrize("changes", CHANGES, ids=str)
@pytest.mark.parametrize("optimizer", ["auto", "gd", "nesterov", "newton"])
@pytest.mark.parametrize("loss", ["squared_error", *CURVED, *KINKED])
def test_what_was_set_decides(loss, optimizer, changes):
    X, y = data()
    if optimizer != "auto" and loss in KINKED:
        pytest.skip("a smoothed loss ends within `tol` alone")
    model = GradientDescentRegressor(loss=loss, optimizer=optimizer, warm_start=True, epochs=5000)
    with warnings.catch_warnings(action="ignore"):
        model.fit(X, y).set_params(**changes).fit(X, y)
        fresh = GradientDescentRegressor(loss=loss, optimizer=optimizer, epochs=5000, **changes).fit(X, y)
    assert model.converged_
    assert fresh.converged_
    np.testing.assert_allclose(model.coef_, fresh.coef_, atol=1e-4)
    assert (model.coef_ >= 0).all() or "positive" not in changes


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_with_a_scale_of_residuals(changes):
    X, y = data()
    model = GradientDescentRegressor(loss="huber", epsilon="auto", warm_start=True).fit(X, y)
    model.set_params(**changes).fit(X, y)
    fresh = GradientDescentRegressor(loss="huber", epsilon="auto", **changes).fit(X, y)
    assert model.scale_ == pytest.approx(fresh.scale_, rel=1e-9)
    np.testing.assert_allclose(model.coef_, fresh.coef_, atol=1e-9)


def test_a_start_that_is_kept_has_allowed_signs():
    """The rate diverges."""
    X, y = data()
    with pytest.warns(ConvergenceWarning, match="stability ceiling"):
        model = GradientDescentRegressor(10.0, positive=True, init="random", random_state=1).fit(X, y)
    assert (model.coef_ >= 0).all()
