"""Least squares with few rows, by the products of the rows."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from gdregress import GradientDescentRegressor
from gdregress.method import dual_ridge
from gdregress.method.choice import choose
from gdregress.method.dual_ridge import DualRidge
from gdregress.method.refinement import Refinement
from gdregress.method.spec import Spec
from gdregress.problem import products
from gdregress.problem.problem import Problem
from gdregress.rows.memory import RowBlocks

N, P = 40, 3500
"""A few more numbers than are read in extended precision."""


def wide(n=N, p=P, seed=0, *, n_outputs=1):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) + rng.normal(size=(n, 1)) + 3 * rng.normal(size=p)
    y = X[:, :20].sum(axis=1, keepdims=True) + rng.normal(size=(n, n_outputs)) * (1 + np.arange(n_outputs)) + 5
    return X, y


def method_of(X, y, weight=None, **settings):
    spec = Spec.of(GradientDescentRegressor(**settings))
    rows = RowBlocks(X, y, weight)
    chosen = choose(spec, rows)
    problem = Problem.of(spec.terms, chosen.moments(rows), rows)
    return chosen.method(spec, problem, np.random.RandomState(0))


def naive(X, y, alpha, weight=None, *, fit_intercept=True, standardise=False):
    """The minimum in extended precision: three steps of refinement of the dual system in long doubles."""
    X, y = X.astype(np.longdouble), y.astype(np.longdouble)
    share = np.ones(len(X)) if weight is None else weight
    root = np.sqrt(share / share.sum())[:, np.newaxis]
    mean, level = (root**2 * X).sum(axis=0) * fit_intercept, (root**2 * y).sum(axis=0) * fit_intercept
    A, v = root * (X - mean), root * (y - level)
    scale = np.sqrt((A**2).sum(axis=0)) if standardise else np.ones(X.shape[1])
    A = A / scale
    matrix = A @ A.T + alpha * np.eye(len(A)) + fit_intercept * root @ root.T + np.diag((root[:, 0] == 0) * 1.0)
    inverse, dual = np.linalg.inv(matrix.astype(float)), np.zeros_like(v)
    for _ in range(6):
        dual = dual + inverse @ (v - A @ (A.T @ dual) - alpha * dual)
    coef = A.T @ dual / scale[:, np.newaxis]
    return coef, level - mean @ coef


def excess(X, y, alpha, weight, found, coef, intercept):
    """How far the objective is above its minimum, whose coefficients are given last, over the variance of y."""
    share = np.ones(len(X), np.longdouble) if weight is None else weight.astype(np.longdouble)
    share = (share / share.sum())[:, np.newaxis]
    apart = np.atleast_2d(found[0]).T.astype(np.longdouble) - coef
    move = X.astype(np.longdouble) @ apart + (np.atleast_1d(found[1]) - intercept)
    variance = (share * (y - (share * y).sum(axis=0)) ** 2).sum(axis=0)
    return float((((share * move**2).sum(axis=0) + alpha * (apart**2).sum(axis=0)) / variance).max())


WEIGHTS = {
    "none": None,
    "random": np.random.default_rng(1).uniform(0.1, 3, N),
    "some are zero": np.random.default_rng(2).integers(0, 3, N).astype(float),
}


@pytest.mark.parametrize("alpha", [10.0, 1e-3, 1e-12, 1e-300])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weight", WEIGHTS)
def test_it_is_the_minimum_and_the_gap_is_a_bound(alpha, fit_intercept, weight):
    (X, y), weight = wide(n_outputs=2), WEIGHTS[weight]
    settings = {"penalty": "l2", "alpha": alpha, "fit_intercept": fit_intercept}
    assert isinstance(method_of(X, y, weight, **settings).solver, DualRidge)
    model = GradientDescentRegressor(**settings).fit(X, y, sample_weight=weight)
    coef, intercept = naive(X, y, alpha, weight, fit_intercept=fit_intercept)
    np.testing.assert_allclose(model.coef_.T, coef.astype(float), atol=1e-12 * float(np.abs(coef).max()))
    assert model.converged_
    assert model.optimality_ < 1e-13
    assert excess(X, y, alpha, weight, (model.coef_, model.intercept_), coef, intercept) < 1e-24


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("alpha", [1.0, 1e-6])
def test_the_bound_holds_with_products_of_few_digits(steps, alpha, monkeypatch):
    """Products in half precision leave a large rest, which the gap of each epoch must cover."""
    X, y = wide()
    known = dual_ridge.products_of_rows
    monkeypatch.setattr(dual_ridge, "products_of_rows", lambda *about: known(*about).astype(np.float16).astype(float))
    model = GradientDescentRegressor(penalty="l2", alpha=alpha, epochs=steps, tol=None).fit(X, y)
    coef, intercept = naive(X, y, alpha)
    share = excess(X, y, alpha, None, (model.coef_, model.intercept_), coef, intercept)
    assert 1e-16 < share <= model.optimality_**2 / 2 * (1 + 1e-6)


def test_without_a_penalty_it_is_the_solution_of_least_norm():
    X, y = wide()
    X = X * 10.0 ** np.random.default_rng(3).integers(-6, 7, P)
    assert isinstance(method_of(X, y).solver, DualRidge)
    model = GradientDescentRegressor().fit(X, y[:, 0])
    coef, _ = naive(X, y, 0.0, standardise=True)
    np.testing.assert_allclose(model.coef_ * X.std(axis=0), coef[:, 0].astype(float) * X.std(axis=0), atol=1e-13)
    np.testing.assert_allclose(model.predict(X), y[:, 0], rtol=1e-11)


@pytest.mark.parametrize("alpha", [1.0, 1e-8, 1e-16, 1e-320])
def test_columns_of_other_units(alpha):
    """What rounding of the products may hide, the rest shows: the gap is that of the true objective."""
    X, y = wide()
    X = X * 10.0 ** np.random.default_rng(4).integers(-6, 4, P)
    model = GradientDescentRegressor(penalty="l2", alpha=alpha).fit(X, y[:, 0])
    coef, intercept = naive(X, y, alpha)
    assert model.converged_
    assert excess(X, y, alpha, None, (model.coef_, model.intercept_), coef, intercept) < 1e-20


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_order_and_precision(order, dtype):
    X, y = wide(50, 4000)
    X = np.asarray(X, dtype=dtype, order=order)
    model = GradientDescentRegressor(penalty="l2", alpha=0.02).fit(X, y[:, 0])
    expected = Ridge(alpha=1.0, solver="svd").fit(X.astype(float), y[:, 0])
    np.testing.assert_allclose(model.coef_, expected.coef_, atol=4 * np.finfo(dtype).eps + 1e-12)
    np.testing.assert_allclose(model.intercept_, expected.intercept_, rtol=4 * np.finfo(dtype).eps + 1e-11)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_the_products_of_blocks_of_columns_add_up(order, n_threads, monkeypatch):
    """The last block of each thread has fewer columns than the others."""
    monkeypatch.setattr(products, "COLUMN_ENTRIES", 1)
    monkeypatch.setattr(products, "FEWEST_COLUMNS", 1)
    X, y = wide()
    center, factor = X.mean(axis=0), np.random.default_rng(6).uniform(0.5, 2, P)
    rows = RowBlocks(np.asarray(X, order=order), y, n_threads=n_threads)
    scaled = (X - center) * factor
    found = products.products_of_rows(rows, center, factor)
    np.testing.assert_allclose(found, scaled @ scaled.T, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("alpha", [1.0, 1e-9])
def test_a_penalty_on_standardised_coefficients(alpha):
    X, y = wide()
    X = X * 10.0 ** np.random.default_rng(3).integers(-6, 7, P)
    model = GradientDescentRegressor(penalty="l2", alpha=alpha, standardize=True).fit(X, y[:, 0])
    expected = GradientDescentRegressor(penalty="l2", alpha=alpha).fit(X / X.std(axis=0), y[:, 0])
    np.testing.assert_allclose(model.coef_ * X.std(axis=0), expected.coef_, atol=1e-12)
    assert model.optimality_ < 1e-13


@pytest.mark.parametrize("alpha", [0.0, 1e-6, 1.0])
def test_small_rows_are_as_precise_as_in_extended_precision(alpha):
    settings = {"penalty": "l2", "alpha": alpha} if alpha else {}
    X, y = wide(30, 400)
    assert isinstance(method_of(X, y, **settings).solver, DualRidge)
    model = GradientDescentRegressor(**settings).fit(X, y[:, 0])
    coef, _ = naive(X, y, alpha, standardise=not alpha)
    np.testing.assert_allclose(model.coef_, coef[:, 0].astype(float), atol=1e-15)
    X[1] = X[0] + 1e-4 * X[1]
    assert isinstance(method_of(X, y, **settings).solver, Refinement) == (alpha < 1)


@pytest.mark.parametrize(
    ("n", "p", "is_dual"), [(32, 128, True), (32, 127, False), (128, 128, True), (128, 127, False)]
)
def test_for_which_shapes(n, p, is_dual):
    X, y = wide(n, p)
    assert isinstance(method_of(X, y, penalty="l2", alpha=1.0).solver, DualRidge) == is_dual


def test_rows_that_are_collinear_are_factored_themselves():
    X, y = wide()
    X[1], X[2] = X[0], X[3] + 1e-9 * X[4]
    method = method_of(X, y, penalty="l2", alpha=1e-12)
    assert isinstance(method.solver, Refinement)
    model = GradientDescentRegressor(penalty="l2", alpha=1e-12).fit(X, y[:, 0])
    assert model.converged_
    assert isinstance(method_of(X, y, penalty="l2", alpha=1e-2).solver, DualRidge)


def test_rows_that_are_collinear_and_many_are_descended():
    X, y = np.ones((30, 1)) * np.random.default_rng(5).normal(size=(1, 600_000)), np.ones((30, 1))
    X[:3] += np.eye(3, 600_000)
    method = method_of(X, y, penalty="l2", alpha=1e-18)
    assert (method.choice.rung, method.choice.optimizer) == ("diagonal", "conjugate")


class TestStart:
    def test_a_warm_start_at_the_minimum_ends_at_once(self):
        X, y = wide()
        model = GradientDescentRegressor(penalty="l2", alpha=0.1, warm_start=True).fit(X, y[:, 0])
        first = model.coef_
        model.fit(X, y[:, 0])
        assert model.n_iter_ == 0
        np.testing.assert_allclose(model.coef_, first, rtol=1e-14)

    @pytest.mark.parametrize("alpha", [0.0, 0.1])
    def test_the_gap_of_any_start_is_a_bound(self, alpha):
        X, y = wide()
        settings = {"penalty": "l2" if alpha else None, "alpha": alpha, "init": "random", "random_state": 0}
        model = GradientDescentRegressor(record_path=True, **settings).fit(X, y[:, 0])
        start = (model.history_["coef"][0], model.history_["intercept"][0])
        least = GradientDescentRegressor(**{**settings, "init": "zeros"}).fit(X, y[:, 0])
        share = excess(X, y, alpha, None, start, least.coef_[:, np.newaxis], least.intercept_)
        assert share == pytest.approx(model.history_["optimality"][0] ** 2 / 2, rel=1e-6)

    def test_without_a_penalty_the_solution_is_the_one_nearest_to_the_start(self):
        X, y = wide()
        model = GradientDescentRegressor(init="random", random_state=0, record_path=True).fit(X, y[:, 0])
        scale = X.std(axis=0)
        move = (model.coef_ - model.history_["coef"][0]) * scale
        Z = (X - X.mean(axis=0)) / scale
        np.testing.assert_allclose(move, Z.T @ np.linalg.lstsq(Z.T, move)[0], atol=1e-11)
        np.testing.assert_allclose(model.predict(X), y[:, 0], rtol=1e-9)
