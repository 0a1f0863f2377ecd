"""Newton's steps by conjugate gradients: how low losses with parabolas are on many columns, without a penalty."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from hard_problems import objective
from scipy import sparse

from gdregress import GradientDescentRegressor
from gdregress.method import choice as choosing
from gdregress.method import sketches, truncated_newton
from gdregress.method.truncated_newton import TruncatedNewton
from gdregress.problem.problem import Problem

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


def solved(monkeypatch, params, X, y, weight=None, tol=1e-6):
    """Run the steps from coefficients of zero, and return where they end and how far that is from the minimum."""
    problems, make = [], Problem.of
    with monkeypatch.context() as patched:
        patched.setattr(Problem, "of", lambda *given: problems.append(make(*given)) or problems[-1])
        exact = GradientDescentRegressor(**params).fit(X, y, weight)
    problem = problems[0]
    blocks = list(TruncatedNewton(tol).iterates(problem, np.zeros((problem.n_coordinates, 1))))
    coef, intercept = problem.standard.to_raw(blocks[-1].points.at(0))
    reached = objective(params, X, y, weight, coef[:, 0], intercept[0])
    excess = reached - objective(params, X, y, weight, exact.coef_, exact.intercept_)
    end = blocks[-1]
    return SimpleNamespace(steps=len(blocks) - 1, value=end.value[0, 0], gap=end.gap.total[0, 0], excess=excess)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("n", "p", "most"), [(300, 60, 25), (200, 60, 25)])
def test_they_end_at_the_minimum_and_know_it(n, p, most, loss, monkeypatch):
    X, y = drawn(n, p)
    weight = np.random.default_rng(1).uniform(0.1, 2.0, n)
    end = solved(monkeypatch, {"loss": loss, "epsilon": 0.5, "penalty": None}, X, y, weight)
    assert end.steps <= most
    assert end.gap <= 1e-12
    assert end.excess <= 1e-12 * y.std() ** 2


@pytest.mark.parametrize("products", [3, 20])
@pytest.mark.parametrize("loss", LOSSES)
def test_nothing_is_known_where_products_run_out(loss, products, monkeypatch):
    X, y = drawn(300, 60)
    X[:, 1] = X[:, 0] + 1e-4 * X[:, 1]
    monkeypatch.setattr(truncated_newton, "LEAST_PRODUCTS", products)
    end = solved(monkeypatch, {"loss": loss, "epsilon": 0.5, "penalty": None}, X, y, tol=1e-2)
    assert end.gap == end.value


@pytest.mark.parametrize("epsilon", [0.1, 0.02])
@pytest.mark.parametrize("loss", LOSSES)
def test_where_products_run_out_slopes_projected_over_all_rows_bound_the_gap(loss, epsilon, monkeypatch):
    """On half as many rows again as columns, those on their parabolas are all but a square matrix."""
    X, y = drawn(90, 60)
    monkeypatch.setattr(truncated_newton, "LEAST_PRODUCTS", 160)
    end = solved(monkeypatch, {"loss": loss, "epsilon": epsilon, "penalty": None}, X, y)
    assert end.excess / y.var() - 1e-12 <= end.gap <= 0.6 * end.value


@pytest.mark.filterwarnings("ignore:epsilon=0.01 is far below")
@pytest.mark.parametrize("inside", [0.0, 0.5])
def test_rows_off_their_parabolas_say_nothing(inside, monkeypatch):
    """At coefficients of zero the rows of each group all but cancel. A row on its parabola soon leaves it."""
    groups, few, tol = 40, 50, 5e-2
    size = 2 * few + 2
    X = np.repeat(np.eye(groups), size, axis=0)
    sign = np.where(np.arange(groups) % 2 == 0, 1.0, -1.0)
    y = 10.0 * np.outer(sign, np.r_[np.ones(few + 1), -np.ones(few), 0.0]).ravel()
    weight = np.tile(np.r_[np.ones(size - 1), inside], groups)
    params = {"loss": "huber", "epsilon": 0.01, "penalty": None}
    monkeypatch.setattr(truncated_newton, "DAMPED", 1.0)  # estimates are the smallest then
    end = solved(monkeypatch, params, X, y, weight, tol=tol)
    assert end.gap >= 0.99 * end.excess / np.average(y**2, weights=weight)
    monkeypatch.setattr(choosing, "MOMENTS_LIMIT", 4)
    monkeypatch.setattr(sketches, "WIDEST", 4)
    model = GradientDescentRegressor(**params, tol=tol).fit(X, y, weight)
    best = 10.0 - 0.01 * (few + inside) / (few + 1)
    least = objective(params, X, y, weight, best * sign, 0.0)
    reached = objective(params, X, y, weight, model.coef_, model.intercept_)
    assert model.converged_
    assert reached - least <= 0.5 * tol**2 * model.history_["loss"][0]


@pytest.mark.usefixtures("_without_matrix")
def test_a_gap_that_was_not_known_is_measured_again(monkeypatch):
    X, y = drawn(300, 60)
    params = {"loss": "squared_epsilon_insensitive", "epsilon": 0.5, "tol": 1e-3}
    soon = GradientDescentRegressor(**params).fit(X, y)
    monkeypatch.setattr(truncated_newton, "LEAST_PRODUCTS", 10)
    with warnings.catch_warnings(action="ignore"):
        late = GradientDescentRegressor(**params).fit(X, y)
    assert soon.converged_
    assert late.converged_
    assert late.n_iter_ > soon.n_iter_


def test_thousands_of_sparse_columns_by_default():
    rng = np.random.default_rng(0)
    rows, columns = rng.integers(0, 9000, 90000), rng.integers(0, 2500, 90000)
    X = sparse.csr_array((rng.random(90000), (rows, columns)), shape=(9000, 2500))
    y = X @ rng.standard_normal(2500) + rng.standard_t(2, 9000)
    model = GradientDescentRegressor(loss="huber", epsilon=1.0).fit(X, y)
    assert (model.optimizer_, model.converged_) == ("nesterov", True)
    finer = GradientDescentRegressor(loss="huber", epsilon=1.0, tol=1e-8).fit(X, y)
    gap = model.history_["loss"][-1] - finer.history_["loss"][-1]
    assert gap <= 1.1e-12 * y.std() ** 2
