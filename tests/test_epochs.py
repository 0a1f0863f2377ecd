"""Errors of plain descent after many epochs, equal to those of a loop, and the table of their scores."""

import copy
import pickle
import warnings
from itertools import product

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import rankdata
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, ParameterGrid

from gdregress import GradientDescentRegressor, GradientDescentRegressorCV, one_standard_error
from gdregress.method.epochs import times_between
from gdregress.tuning.grid import Curve
from gdregress.tuning.selection import ranks

pytestmark = pytest.mark.filterwarnings("ignore:the best (alpha|number of epochs)")

NUMBERS = {
    "all": np.arange(1, 5001),
    "with zero and twice the same": np.r_[0, np.arange(300, 2000), 1999, 1999, 7],
    "backwards": np.arange(1000, 0, -1),
    "few": np.array([10**6, 3, 500]),
    "even": np.arange(2, 3000, 2),
}


@pytest.mark.parametrize("alternates", [False, True])
@pytest.mark.parametrize("numbers", NUMBERS.values(), ids=NUMBERS)
def test_powers_of_every_size_follow_from_few_times(numbers, alternates):
    """Products of two of them, as in an error, are such powers too."""
    times = times_between(numbers)
    assert len(times.times) <= min(len(np.unique(numbers)), 150)
    size = np.concatenate([1.0 - np.geomspace(1e-9, 0.999, 300), np.geomspace(1e-12, 1e-3, 20), [0.0]])[:, np.newaxis]
    even = size**times.times
    for sign in (1.0, -1.0) if alternates else (1.0,):
        found = times.interpolate_both(np.hstack([even, sign * even])) if alternates else times.interpolate(even)
        assert_allclose(found, (sign * size) ** numbers, rtol=0, atol=3e-15)


@pytest.mark.parametrize("share", [1e-3, 0.5, 0.999])
@pytest.mark.parametrize("n_targets", [None, 2])
def test_errors_after_each_of_many_epochs_are_those_of_a_loop(share, n_targets):
    """At the last rate the descent jumps back and forth across the valley."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4)) * [3.0, 1.0, 0.3, 0.02] + [1.0, 0.0, 2.0, 0.0]
    y = X @ rng.normal(size=(4, n_targets or 1)) + rng.normal(size=(60, n_targets or 1))
    y = y if n_targets else y[:, 0]
    splits = list(KFold(3).split(X))
    rate = share * GradientDescentRegressor("lipschitz", 1, tol=None).fit(X, y).max_learning_rate_ * 0.9
    model = GradientDescentRegressorCV(penalty=None, learning_rate=rate, epochs=range(1, 1501), tol=None, cv=splits)
    results = model.fit(X, y).cv_results_
    for number, (train, test) in enumerate(splits):
        A = np.column_stack([X, np.ones(60)])
        coef, errors = np.zeros((5, *y.shape[1:])), []
        for _ in range(1500):
            coef = coef - rate * 2 / len(train) * A[train].T @ (A[train] @ coef - y[train])
            errors.append(np.mean((A[test] @ coef - y[test]) ** 2))
        assert_allclose(results[f"split{number}_test_score"], -np.array(errors), rtol=1e-11)


@pytest.mark.parametrize("tol", [None, 1e-3])
@pytest.mark.filterwarnings("ignore:fits to training rows did not converge")
def test_means_are_those_of_the_scores_of_each_split(tol):
    """Means follow from the means at few epochs, unless `tol` ends the descents of each split after other ones."""
    X, y = load_diabetes(return_X_y=True)
    y = np.column_stack([y, X[:, 0]])
    params = {"alphas": [1e-2, 1e-4], "learning_rate": [0.05, 0.1, 0.3, 0.9], "epochs": range(1, 900)}
    results = GradientDescentRegressorCV(**params, tol=tol, refit=False).fit(X, y).cv_results_
    several = np.array([results[f"split{number}_test_score"] for number in range(5)])
    assert_allclose(results["mean_test_score"], several.mean(axis=0), rtol=1e-12)
    assert_allclose(results["std_test_score"], several.std(axis=0), rtol=1e-12)


@pytest.mark.parametrize("schedule", ["constant", "invscaling"])
def test_errors_that_are_small_differences_of_large_numbers_are_those_of_fits(schedule):
    """Targets of zero where two large products cancel: the error at zero, which is zero, says nothing of rounding."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 2))
    X[:30, 1] = X[:30, 0]
    y, split = X[:, 0] - X[:, 1], [(np.arange(30, 90), np.arange(30))]
    shared = {"learning_rate": 0.3, "schedule": schedule, "fit_intercept": False, "tol": None}
    epochs = [5, 30, 50] if schedule == "invscaling" else [5, 12, 20]
    model = GradientDescentRegressorCV(penalty=None, epochs=epochs, cv=split, **shared).fit(X, y)
    fits = [GradientDescentRegressor(epochs=each, **shared).fit(X[30:], y[30:]) for each in epochs]
    expected = [-np.mean(fit.predict(X[:30]) ** 2) for fit in fits]
    assert -1e-11 < expected[-1] < -1e-20
    assert_allclose(model.cv_results_["mean_test_score"], expected, rtol=1e-6)


def test_ranks_are_those_of_scipy():
    rng = np.random.default_rng(0)
    for mean in (rng.normal(size=50), rng.integers(0, 5, 50).astype(float), np.ones(3), np.array([2.0])):
        assert_array_equal(ranks(mean), rankdata(-mean, method="min"))
    assert_array_equal(ranks(np.array([np.nan, 1.0, 2.0, np.nan, 1.0])), [4, 2, 1, 4, 2])
    assert ranks(np.ones(3)).dtype == np.int32


def test_the_table_of_a_grid_has_the_points_of_a_loop():
    axes = {"alpha": [1.0, 0.1], "epochs": [3, 5, 9], "l1_ratio": [0.5], "learning_rate": ["lipschitz", 1e-3]}
    curves = [Curve(0.5, rate, np.array(axes["alpha"]), axes["epochs"]) for rate in axes["learning_rate"]]
    names = ["alpha", "epochs", "learning_rate"]
    expected = [
        {"alpha": alpha, "epochs": epochs, "learning_rate": rate}
        for rate, alpha, epochs in product(axes["learning_rate"], axes["alpha"], axes["epochs"])
    ]
    params = [point for curve in curves for point in curve.params(names)]
    assert params == expected
    assert [list(point) for point in params] == [names] * 12
    assert [{**curve.point(k), "l1_ratio": 0.5} for curve in curves for k in range(6)] == [
        {**point, "l1_ratio": 0.5} for point in expected
    ]
    assert all(point in list(ParameterGrid(axes)) for point in ({**each, "l1_ratio": 0.5} for each in params))
    assert len({id(point) for point in params}) == 12


@pytest.fixture
def small_search():
    X = np.random.default_rng(0).normal(size=(40, 2))
    model = GradientDescentRegressorCV([1.0, 0.1], learning_rate=["lipschitz", 1e-3], epochs=[2, 4], tol=None, cv=2)
    return model.fit(X, X[:, 0])


def test_the_table_is_made_once_and_pickled_as_a_dict(small_search):
    unread = pickle.loads(pickle.dumps(small_search))
    assert type(vars(unread)["cv_results_"]) is dict
    results = small_search.cv_results_
    assert small_search.cv_results_ is results
    for copied in (unread, pickle.loads(pickle.dumps(small_search)), copy.deepcopy(small_search)):
        assert list(copied.cv_results_) == list(results)
        assert copied.cv_results_["params"] == results["params"]
        for name in set(results) - {"params"}:
            assert_array_equal(copied.cv_results_[name], results[name])
    assert not hasattr(clone(small_search), "cv_results_")
    small_search.fit([[0.0, 1.0], [1.0, 3.0], [2.0, 2.0], [5.0, 1.0]], [0.0, 1.0, 3.0, 2.0])
    assert small_search.cv_results_ is not results


def test_the_choice_is_that_of_the_table():
    """`fit` does not read the table, and the rule is of use on the table alone."""
    X, y = load_diabetes(return_X_y=True)
    axes = {"learning_rate": [1e-3, 0.3, 1e-3, 0.3], "epochs": [9, 3, 400, *range(20, 400, 9)], "cv": 4, "tol": None}
    for params in ({"alphas": [3e-4, 1e-4, 1e-3]}, {"penalty": None}):
        model = GradientDescentRegressorCV(**params, **axes).fit(X, y)
        results, simple = model.cv_results_, one_standard_error(model.cv_results_)
        assert model.best_index_ == np.argmin(results["rank_test_score"])
        assert model.best_score_ == results["mean_test_score"][model.best_index_]
        assert model.best_params_ == results["params"][model.best_index_]
        one = GradientDescentRegressorCV(**params, **axes, refit=one_standard_error).fit(X, y)
        assert one.best_index_ == simple != model.best_index_
        assert (one.alpha_, one.epochs_) == (model.alpha_1se_, model.epochs_1se_)


def test_the_table_becomes_a_frame(small_search):
    model = small_search
    frame = pd.DataFrame(model.cv_results_)
    for name in ("alpha", "epochs", "learning_rate"):
        assert frame[f"param_{name}"].tolist() == [point[name] for point in model.cv_results_["params"]]
    assert isinstance(model.cv_results_["params"], list)


@pytest.mark.parametrize("rates", [["lipschitz"], [1e-3, "lipschitz"]])
def test_descents_that_do_not_converge_are_told_of_as_fits_are(rates):
    X, y = load_diabetes(return_X_y=True)
    params = {"penalty": None, "learning_rate": rates, "epochs": [3, 20], "cv": 3, "refit": False}
    with pytest.warns(ConvergenceWarning) as said:
        GradientDescentRegressorCV(**params).fit(X, y)
    fit = GradientDescentRegressor(rates[0], epochs=20)
    train, _ = next(KFold(3).split(X))
    with pytest.warns(ConvergenceWarning, match="all 20 epochs were used") as of_fit:
        fit.fit(X[train], y[train])
    expected = f"fits to training rows did not converge, such as: {of_fit[0].message}"
    assert [str(each.message) for each in said if each.category is ConvergenceWarning] == [expected]
    for enough in ({"tol": None}, {"tol": 5.0}):
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            GradientDescentRegressorCV(**params, **enough).fit(X, y)
