"""Newton's steps by conjugate gradients: losses with parabolas and no penalty on many columns, without a matrix."""

import warnings

import numpy as np
import pytest
from hard_problems import objective
from scipy import sparse

from gdregress import GradientDescentRegressor
from gdregress.method import choice as choosing
from gdregress.method import sketches, truncated_newton

LOSSES = ["huber", "squared_epsilon_insensitive"]


@pytest.fixture
def _without_matrix(monkeypatch):
    """As for thousands of columns."""
    monkeypatch.setattr(choosing, "MOMENTS_LIMIT", 4)
    monkeypatch.setattr(sketches, "WIDEST", 4)


def drawn(n, p, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)) * (rng.random((n, p)) < 0.3)
    return X, X @ rng.standard_normal(p) + rng.standard_t(1.5, n)


@pytest.mark.usefixtures("_without_matrix")
class TestTruncatedNewton:
    @pytest.mark.parametrize("loss", LOSSES)
    @pytest.mark.parametrize("as_", [np.asarray, sparse.csr_array], ids=["dense", "csr"])
    @pytest.mark.parametrize(("n", "p", "most"), [(300, 60, 25), (200, 150, 100), (60, 80, 40)])
    def test_it_ends_at_the_minimum_within_few_steps(self, n, p, most, as_, loss, monkeypatch):
        X, y = drawn(n, p)
        weight = np.random.default_rng(1).uniform(0.1, 2.0, n)
        params = {"loss": loss, "epsilon": 0.1, "penalty": None}
        model = GradientDescentRegressor(**params).fit(as_(X), y, weight)
        assert (model.optimizer_, model.converged_) == ("newton", True)
        assert model.n_iter_ <= most
        monkeypatch.undo()
        exact = GradientDescentRegressor(**params).fit(X, y, weight)
        least, reached = (objective(params, X, y, weight, each.coef_, each.intercept_) for each in (exact, model))
        assert reached - least <= 1e-12 * y.std() ** 2

    def test_several_outputs_and_no_intercept(self, monkeypatch):
        X, y = drawn(200, 40)
        Y = np.column_stack([y, X[:, 0] - y**2])
        params = {"loss": "huber", "epsilon": 1.0, "fit_intercept": False}
        model = GradientDescentRegressor(**params).fit(X, Y)
        assert (model.optimizer_, model.converged_) == ("newton", True)
        monkeypatch.undo()
        exact = GradientDescentRegressor(**params).fit(X, Y)
        assert np.allclose(model.coef_, exact.coef_, rtol=0, atol=1e-4 * np.abs(exact.coef_).max())

    @pytest.mark.parametrize("loss", LOSSES)
    def test_nothing_is_claimed_by_a_step_that_is_not_solved(self, loss, monkeypatch):
        X, y = drawn(300, 60)
        X[:, 1] = X[:, 0] + 1e-4 * X[:, 1]
        params = {"loss": loss, "epsilon": 0.1, "penalty": None, "tol": 1e-2}
        monkeypatch.setattr(truncated_newton, "MOST_PRODUCTS", 3)
        with warnings.catch_warnings(action="ignore"):
            model = GradientDescentRegressor(**params).fit(X, y)
        assert not model.converged_
        assert model.optimality_ >= 0.1

    def test_it_ends_where_it_gets_no_lower(self, monkeypatch):
        X, y = drawn(300, 60)
        monkeypatch.setattr(truncated_newton, "MOST_PRODUCTS", 12)
        monkeypatch.setattr(truncated_newton, "SOLVED", 1e-300)
        with pytest.warns(match="no nearer"):
            model = GradientDescentRegressor(loss="huber", epsilon=0.1).fit(X, y)
        assert model.n_iter_ < truncated_newton.MOST_STEPS - 1

    def test_a_start_at_the_minimum(self):
        X, y = drawn(300, 60)
        model = GradientDescentRegressor(loss="huber", epsilon=1.0, warm_start=True).fit(X, y)
        assert model.fit(X, y).n_iter_ <= 2
        model = GradientDescentRegressor(loss="huber", epsilon=1.0).fit(X, np.full(300, 7.0))
        assert model.n_iter_ == 0
        assert np.all(model.coef_ == 0)


def test_thousands_of_sparse_columns_by_default():
    rng = np.random.default_rng(0)
    rows, columns = rng.integers(0, 9000, 90000), rng.integers(0, 2500, 90000)
    X = sparse.csr_array((rng.random(90000), (rows, columns)), shape=(9000, 2500))
    y = X @ rng.standard_normal(2500) + rng.standard_t(2, 9000)
    model = GradientDescentRegressor(loss="huber", epsilon=1.0).fit(X, y)
    assert (model.optimizer_, model.converged_) == ("newton", True)
    assert model.n_iter_ <= 30
    slow = GradientDescentRegressor(loss="huber", epsilon=1.0, optimizer="nesterov", tol=1e-5).fit(X, y)
    assert model.history_["loss"][-1] <= slow.history_["loss"][-1]
