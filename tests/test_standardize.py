"""standardize=True is a StandardScaler before the model, with coefficients on the original scale."""

from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.linear_model import Lasso, Ridge
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gdregress import (
    GradientDescentRegressor,
    GradientDescentRegressorCV,
    LossSurfaceDisplay,
    closed_form,
    compare,
    regularization_path,
)
from gdregress.problem.losses import as_loss

PENALTIES = ("l2", "l1", "elasticnet")
LOSSES = ("squared_error", "huber", "absolute_error", "epsilon_insensitive", "squared_epsilon_insensitive")


def make(n=60, p=6, m=None, seed=0):
    """Return columns of other units and means, the first constant, and weights with zeros among them."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * 10.0 ** rng.uniform(-3, 3, p) + 10.0 ** rng.uniform(-2, 2, p)
    y = (X - X.mean(axis=0)) / X.std(axis=0) @ rng.normal(size=(p, m or 1)) + rng.normal(size=(n, m or 1)) + 3
    X[:, 0] = 5.0
    return X, y if m else y[:, 0], rng.integers(0, 3, n).astype(float)


def objective(model, X, y, weight):
    """Return F at the coefficients of a model, with the penalty on those of columns in standard deviations."""
    weight = np.ones(len(y)) if weight is None else weight
    deviation = StandardScaler().fit(X, sample_weight=weight).scale_
    loss = as_loss(model.loss, model.epsilon, model.quantile)
    share = {"l1": 1.0, "l2": 0.0, "elasticnet": model.l1_ratio}[model.penalty]
    w = np.atleast_2d(model.coef_) * deviation
    penalty = share * np.abs(w).sum(axis=1) + 0.5 * (1 - share) * np.square(w).sum(axis=1)
    residual = (y - X @ model.coef_.T - model.intercept_).reshape(len(y), -1)
    return np.average(loss.value(residual), axis=0, weights=weight) + loss.alpha_factor * model.alpha * penalty


def behind_a_scaler(X, y, weight, **params):
    """Return a model fitted to standardised columns, with its coefficients for X."""
    scaler = StandardScaler(with_mean=params["fit_intercept"]).fit(X, sample_weight=weight)
    model = GradientDescentRegressor(**params).fit(scaler.transform(X), y, weight)
    model.coef_ = model.coef_ / scaler.scale_
    if params["fit_intercept"]:
        model.intercept_ = model.intercept_ - model.coef_ @ scaler.mean_
    return model


@pytest.mark.filterwarnings("ignore:optimality")
@pytest.mark.parametrize("shape", [(60, 6), (20, 40)], ids=["tall", "wide"])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("loss", LOSSES)
def test_is_a_scaler_before_the_model(loss, penalty, fit_intercept, shape):
    for m, is_weighted, is_sparse in product((None, 2), (False, True), (False, True)):
        X, y, weight = make(*shape, m)
        weight = weight if is_weighted else None
        params = {"loss": loss, "penalty": penalty, "alpha": 0.05, "fit_intercept": fit_intercept, "tol": 1e-8}
        model = GradientDescentRegressor(**params, standardize=True)
        model.fit(sparse.csr_matrix(X) if is_sparse else X, y, weight)
        other = behind_a_scaler(X, y, weight, **params)
        assert max(model.optimality_, other.optimality_) < 1e-4
        near = 1e-9 + model.optimality_ + other.optimality_
        assert_allclose(objective(model, X, y, weight), objective(other, X, y, weight), rtol=near)


@pytest.mark.parametrize(
    "steps",
    [
        {"learning_rate": "lipschitz", "tol": 1e-3, "epochs": 20_000},
        {"learning_rate": "diagonal"},
        {"learning_rate": "diagonal", "optimizer": "gd", "epochs": 20_000},
        {"optimizer": "nesterov", "tol": 1e-9},
        {"optimizer": "newton"},
        {"batch_size": 20, "average": True, "epochs": 400, "random_state": 0, "tol": 0.05},
    ],
    ids=str,
)
@pytest.mark.parametrize("penalty", PENALTIES)
def test_every_way_leads_to_the_same_minimum(penalty, steps):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 4)) * [0.3, 1.0, 2.0, 5.0]  # in raw coordinates a descent is slow
    y = X @ [2.0, -1.0, 0.5, 0.1] + rng.normal(size=80)
    params = {"penalty": penalty, "alpha": 0.1, "standardize": True}
    least = GradientDescentRegressor(**params, tol=1e-12).fit(X, y)
    model = GradientDescentRegressor(**params, **steps).fit(X, y)
    assert model.converged_
    distance = np.sqrt(np.mean((model.predict(X) - least.predict(X)) ** 2)) / y.std()
    assert distance <= max(2 * steps.get("tol", 1e-6), 1e-9)


def test_a_number_descends_in_raw_coordinates():
    X, y, _ = make()
    X = StandardScaler().fit_transform(X[:, 1:]) * [1, 2, 3, 0.5, 0.1] + 1
    model = GradientDescentRegressor(0.01, 1, penalty="l2", alpha=0.7, standardize=True, tol=None, init="random")
    model.set_params(random_state=0, record_path=True).fit(X, y)
    w, b = model.history_["coef"][0], model.history_["intercept"][0]
    residual = y - X @ w - b
    gradient = -2 * X.T @ residual / len(y) + 2 * 0.7 * X.std(axis=0) ** 2 * w
    assert_allclose(model.coef_, w - 0.01 * gradient, rtol=1e-9)
    assert_allclose(model.intercept_, b + 0.02 * residual.mean(), rtol=1e-9)


@pytest.mark.parametrize("loss", ["squared_error", "huber"])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_the_unit_of_a_column_changes_its_coefficient_alone(penalty, loss):
    X, y, _ = make()
    scale = np.array([1.0, 1e3, 1e-3, 1.0, 8.0, 1e6])
    params = {"loss": loss, "penalty": penalty, "alpha": 0.1, "standardize": True, "tol": 1e-10}
    one, other = (GradientDescentRegressor(**params).fit(each, y) for each in (X, X * scale))
    assert_allclose(other.coef_ * scale, one.coef_, rtol=1e-7, atol=1e-12)
    assert_array_equal(other.coef_ == 0, one.coef_ == 0)


@pytest.mark.filterwarnings("ignore:the best alpha")
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("loss", ["squared_error", "huber"])
def test_cross_validation_takes_the_deviations_of_each_training_set(loss, penalty):
    X, y, _ = make(90)
    grid, cv = [1.0, 0.1, 0.01], KFold(4, shuffle=True, random_state=0)
    params = {"loss": loss, "penalty": penalty, "tol": 1e-8}
    pipeline = make_pipeline(StandardScaler(), GradientDescentRegressor(**params))
    search = GridSearchCV(
        pipeline, {"gradientdescentregressor__alpha": grid}, cv=cv, scoring="neg_mean_squared_error"
    ).fit(X, y)
    model = GradientDescentRegressorCV(grid, cv=cv, scoring="neg_mean_squared_error", standardize=True, **params)
    model.fit(X, y)
    for number in range(4):
        name = f"split{number}_test_score"
        assert_allclose(model.cv_results_[name], search.cv_results_[name], rtol=1e-6)
    assert_allclose(model.predict(X), search.predict(X), atol=1e-4)


@pytest.mark.parametrize("loss", ["squared_error", "huber"])
def test_the_largest_strength_of_a_grid_makes_all_coefficients_zero(loss):
    X, y, _ = make()
    params = {"loss": loss, "penalty": "l1", "standardize": True}
    largest = GradientDescentRegressorCV(5, cv=3, **params).fit(X, y).alphas_[0]
    assert not GradientDescentRegressor(alpha=largest * (1 + 1e-9), **params).fit(X, y).coef_.any()
    assert GradientDescentRegressor(alpha=largest * (1 - 1e-6), tol=1e-8, **params).fit(X, y).coef_.any()


def test_a_path_is_that_of_standardised_columns():
    X, y, weight = make()
    path = regularization_path(X, y, sample_weight=weight, alphas=6, l1_ratio=0.7, standardize=True)
    scaler = StandardScaler().fit(X, sample_weight=weight)
    other = regularization_path(scaler.transform(X), y, sample_weight=weight, alphas=6, l1_ratio=0.7)
    assert_allclose(path.alphas, other.alphas)
    assert_allclose(path.coefs * scaler.scale_[:, np.newaxis], other.coefs, atol=1e-6)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_closed_form(fit_intercept):
    X, y, weight = make()
    coef, intercept = closed_form(X, y, weight, alpha=0.1, standardize=True, fit_intercept=fit_intercept)
    scaler = StandardScaler(with_mean=fit_intercept).fit(X, sample_weight=weight)
    ridge = Ridge(0.1 * weight.sum(), fit_intercept=fit_intercept, solver="svd")
    ridge.fit(scaler.transform(X), y, weight)
    assert_allclose(X @ coef + intercept, ridge.predict(scaler.transform(X)), rtol=1e-9)


def test_rows_that_come_in_pieces():
    dask = pytest.importorskip("dask.array")
    X, y, weight = make(90)
    params = {"penalty": "l2", "alpha": 0.1, "standardize": True}
    whole = GradientDescentRegressor(**params).fit(X, y, weight)
    stream = GradientDescentRegressor(**params)
    for part in (slice(0, 20), slice(20, 70), slice(70, 90)):
        stream.partial_fit(X[part], y[part], weight[part])
    blocks = GradientDescentRegressor(**params).fit(dask.from_array(X, chunks=(40, 6)), y, weight)
    for model in (stream, blocks):
        assert_allclose(model.predict(X), whole.predict(X), rtol=1e-9)


def test_a_descent_over_chunks_at_a_number_has_the_deviations_of_the_rows_so_far():
    """One step over the second chunk is one of the textbook, with the deviations over both."""
    rng = np.random.default_rng(4)
    X = rng.normal(size=(80, 3)) * [1.0, 2.0, 0.5] + 1.0
    y, weight = X @ [1.0, -1.0, 2.0] + rng.normal(size=80), rng.integers(1, 4, 80).astype(float)
    model = GradientDescentRegressor(0.05, penalty="l2", alpha=0.7, standardize=True)
    coef, intercept = np.zeros(3), 0.0
    for start, end in ((0, 50), (50, 80)):
        Z, s = X[start:end], weight[start:end]
        model.partial_fit(Z, y[start:end], s)
        scale = StandardScaler().fit(X[:end], sample_weight=weight[:end]).scale_
        r = s * (y[start:end] - Z @ coef - intercept) / weight[:end].mean() / len(Z)
        slope = 2.0 * (-Z.T @ r + 0.7 * scale**2 * coef)
        coef, intercept = coef - 0.05 * slope, intercept + 0.1 * r.sum()
    assert_allclose(model.coef_, coef, rtol=1e-10)
    assert_allclose(model.intercept_, intercept, rtol=1e-10)


def test_chunks_at_a_number_end_at_the_minimum():
    rng = np.random.default_rng(4)
    X = rng.normal(size=(80, 3)) * [1.0, 2.0, 0.5] + 1.0
    y = X @ [1.0, -1.0, 2.0] + rng.normal(size=80)
    params = {"penalty": "elasticnet", "alpha": 0.1, "l1_ratio": 0.5, "standardize": True}
    exact = GradientDescentRegressor(**params, tol=1e-10).fit(X, y)
    model = GradientDescentRegressor(0.1, **params)
    for _ in range(1500):
        model.partial_fit(X, y)
    assert_allclose(model.coef_, exact.coef_, rtol=1e-8)


def test_the_comparison_says_which_solver_has_another_problem():
    X, y, _ = make()
    comparison = compare(X, y, GradientDescentRegressor(penalty="l2", alpha=0.1, standardize=True))
    assert "SGDRegressor solves another problem: it penalises raw coefficients" in comparison.notes
    assert comparison.rows[0].measures["prediction_error"] < 1e-9


def test_the_surface_has_its_minimum_where_the_model_is():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    X, y, _ = make()
    params = {"penalty": "l2", "alpha": 1.0, "standardize": True, "record_path": True}
    model = GradientDescentRegressor(**params).fit(X[:, 1:3], y)
    display = LossSurfaceDisplay.from_estimator(model, X[:, 1:3], y)
    deviation = X[:, 1:3].std(axis=0)
    squared = np.mean((y - model.predict(X[:, 1:3])) ** 2) + np.sum((deviation * model.coef_) ** 2)
    assert display.path_objective[-1] == pytest.approx(squared)
    matplotlib.pyplot.close("all")


def test_a_lasso_on_raw_columns_finds_what_a_scaler_would():
    X, y, _ = make(200, 8, seed=3)
    model = GradientDescentRegressor(penalty="l1", alpha=0.3, standardize=True, tol=1e-10).fit(X, y)
    scaler = StandardScaler().fit(X)
    lasso = Lasso(0.3, tol=1e-12).fit(scaler.transform(X), y)
    assert_allclose(model.coef_ * scaler.scale_, lasso.coef_, atol=1e-8)
    assert_array_equal(model.coef_ == 0, lasso.coef_ == 0)
