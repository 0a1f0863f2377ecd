"""Cross-validation: equal to a grid search with a fit of its own for every point and split."""

import pickle
import re
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import ElasticNetCV, LassoCV, RidgeCV
from sklearn.metrics import accuracy_score, get_scorer, make_scorer, max_error, mean_squared_error
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LeaveOneOut,
    RepeatedKFold,
    ShuffleSplit,
    StratifiedKFold,
    TimeSeriesSplit,
)

from gdregress import (
    GradientDescentRegressor,
    GradientDescentRegressorCV,
    one_standard_error,
    regularization_path,
)
from gdregress.rows.folds import gather_folds
from gdregress.rows.memory import RowBlocks
from gdregress.tuning.scoring import Scoring, minus_mean_loss, takes

ALPHAS = [10.0, 1.0, 0.1]

LOSSES = ["squared_error", "huber", "absolute_error", "quantile", "epsilon_insensitive", "squared_epsilon_insensitive"]

SPLITTERS = {
    "KFold": KFold(4),
    "shuffled": KFold(4, shuffle=True, random_state=0),
    "StratifiedKFold": StratifiedKFold(3),
    "GroupKFold": GroupKFold(3),
    "TimeSeriesSplit": TimeSeriesSplit(4),
    "RepeatedKFold": RepeatedKFold(n_splits=3, n_repeats=2, random_state=0),
    "ShuffleSplit": ShuffleSplit(3, random_state=0),
}

pytestmark = [
    pytest.mark.filterwarnings("ignore:the best (alpha|number of epochs)"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.fixture(scope="module")
def diabetes():
    return load_diabetes(return_X_y=True, scaled=False)


@pytest.fixture(scope="module")
def raw():
    """Columns in units that differ by a factor of a hundred thousand, and far from zero."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((90, 6)) * [1.0, 100.0, 0.01, 5.0, 1.0, 1.0] + [0.0, 1000.0, 0.1, -5.0, 3.0, 0.0]
    return X, X @ [1.0, 0.02, 50.0, 0.0, -1.0, 0.0] + rng.standard_t(3, 90)


def of_splits(results, name="score"):
    """Return the scores of each split and each point."""
    names = [key for key in results if re.fullmatch(rf"split\d+_test_{name}", key)]
    return np.array([results[key] for key in names])


def groups_for(name):
    """Return the groups that a splitter needs."""
    return np.repeat(np.arange(9), 10) if name == "GroupKFold" else None


def targets_for(name, y):
    """Return targets, as classes if a splitter needs these."""
    return np.round(y > np.median(y)).astype(float) if name == "StratifiedKFold" else y


def naive_scores(points, X, y, splits, sample_weight=None, **params):
    """Score each point on each split by a fit of its own, in the obvious way."""
    weight = np.ones(len(y)) if sample_weight is None else sample_weight
    scores = np.empty((len(splits), len(points)))
    for split, (train, test) in enumerate(splits):
        for place, point in enumerate(points):
            model = GradientDescentRegressor(**{"tol": 1e-10, **params, **point})
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.fit(X[train], y[train], weight[train])
            scores[split, place] = minus_mean_loss(model, X[test], y[test], weight[test])
    return scores


def assert_equal_to_fits(X, y, splitter, *, alphas=ALPHAS, groups=None, sample_weight=None, **params):
    """Assert scores equal to those of a fit for each point and split up to 1e-6, and the same choice."""
    params = {"penalty": "l2", **params}
    splits = list(splitter.split(X, y if y.ndim == 1 else None, groups))
    model = GradientDescentRegressorCV(alphas, cv=splits, **params).fit(X, y, sample_weight)
    points = [{"alpha": alpha} for alpha in alphas]
    expected = naive_scores(points, X, y, splits, sample_weight, **params)
    assert_allclose(of_splits(model.cv_results_), expected, rtol=1e-6)
    assert model.best_index_ == expected.mean(axis=0).argmax()
    return model


def test_it_equals_grid_search_cv(diabetes):
    X, y = diabetes
    model = GradientDescentRegressorCV(ALPHAS).fit(X, y)
    inner = GradientDescentRegressor(penalty="l2", tol=1e-10)
    search = GridSearchCV(inner, {"alpha": ALPHAS}, scoring="neg_mean_squared_error").fit(X, y)
    for name in ("mean_test_score", "std_test_score", *(f"split{k}_test_score" for k in range(5))):
        assert_allclose(model.cv_results_[name], search.cv_results_[name], rtol=1e-6)
    assert_array_equal(model.cv_results_["rank_test_score"], search.cv_results_["rank_test_score"])
    assert model.cv_results_["params"] == search.cv_results_["params"]
    assert model.best_params_ == search.best_params_
    assert_allclose(model.coef_, search.best_estimator_.coef_, rtol=1e-6)
    assert_allclose(model.predict(X), search.predict(X))


def test_a_mean_of_points_is_no_minimum(diabetes):
    X, y = diabetes
    alphas = [0.1, 1.0, 10.0]
    model = GradientDescentRegressorCV(alphas, penalty="l1", average=True).fit(X, y)
    search = GridSearchCV(
        GradientDescentRegressor(penalty="l1", average=True), {"alpha": alphas}, scoring="neg_mean_squared_error"
    ).fit(X, y)
    assert_allclose(model.cv_results_["mean_test_score"], search.cv_results_["mean_test_score"][::-1], rtol=1e-9)


def test_it_equals_ridge_cv(raw):
    """The penalty of Ridge is n times ours, and the n of a training set differs from that of all rows."""
    X, y = raw
    cv = KFold(5)
    ours = GradientDescentRegressorCV(ALPHAS, cv=cv).fit(X, y)
    n_train = len(y) * 4 / 5
    theirs = RidgeCV(np.array(ALPHAS) * n_train, cv=cv, scoring="neg_mean_squared_error").fit(X, y)
    assert_allclose(ours.best_score_, theirs.best_score_, rtol=1e-6)
    assert_allclose(ours.alpha_, theirs.alpha_ / n_train)


@pytest.mark.parametrize("ratio", [1.0, 0.5])
def test_it_equals_lasso_cv_and_elastic_net_cv(raw, ratio):
    X, y = raw
    ours = GradientDescentRegressorCV(20, penalty="elasticnet", l1_ratio=ratio, cv=4).fit(X, y)
    params = {"alphas": ours.alphas_, "cv": 4, "tol": 1e-10, "max_iter": 10**6}
    theirs = LassoCV(**params) if ratio == 1 else ElasticNetCV(l1_ratio=ratio, **params)
    theirs.fit(X, y)
    assert_allclose(ours.mse_path_, theirs.mse_path_, rtol=1e-6)
    assert_allclose(ours.alpha_, theirs.alpha_)
    assert_allclose(ours.coef_, theirs.coef_, rtol=1e-5, atol=1e-8)


def test_the_automatic_grid_begins_where_all_coefficients_become_zero(raw):
    X, y = raw
    for loss in ("squared_error", "huber", "absolute_error"):
        model = GradientDescentRegressorCV(4, penalty="l1", cv=3, loss=loss).fit(X, y)
        path = model.coef_path_
        assert_allclose(path[0], 0.0, atol=1e-12)  # the least strength itself, up to its rounding
        assert path[1].any()
        inner = GradientDescentRegressor(loss=loss, penalty="l1", alpha=0.99 * model.alphas_[0])
        assert inner.fit(X, y).coef_.any()
    largest = np.abs((X - X.mean(axis=0)).T @ (y - y.mean())).max() / len(y)
    ours = GradientDescentRegressorCV(5, penalty="l1", cv=3).fit(X, y)
    assert_allclose(ours.alphas_[:5], largest * np.logspace(0, -3, 5))


@pytest.mark.parametrize("name", SPLITTERS)
def test_every_splitter(raw, name):
    X, y = raw
    assert_equal_to_fits(X, targets_for(name, y), SPLITTERS[name], groups=groups_for(name))


@pytest.mark.parametrize("params", [{}, {"penalty": "l1"}, {"fit_intercept": False}, {"positive": True}])
def test_weights_of_zero_to_two(raw, params):
    X, y = raw
    weight = np.random.default_rng(1).integers(0, 3, len(y)).astype(float)
    assert_equal_to_fits(X, y, KFold(4), sample_weight=weight, **params)


def test_weights_are_repeated_rows(raw):
    X, y = raw
    weight = np.random.default_rng(1).integers(0, 3, len(y))
    group = np.arange(len(y)) % 4
    splits = [(np.flatnonzero(group != k), np.flatnonzero(group == k)) for k in range(4)]
    again = np.repeat(group, weight)
    repeated = [(np.flatnonzero(again != k), np.flatnonzero(again == k)) for k in range(4)]
    one = GradientDescentRegressorCV(12, cv=splits).fit(X, y, weight.astype(float))
    two = GradientDescentRegressorCV(12, cv=repeated).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    assert_allclose(one.alphas_, two.alphas_)
    assert_allclose(one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"])
    assert_allclose(one.coef_, two.coef_, rtol=1e-9)
    for k in range(4):
        assert one.cv_results_[f"split{k}_test_weight"][0] == two.cv_results_[f"split{k}_test_weight"][0]


def test_several_targets(raw):
    X, y = raw
    model = assert_equal_to_fits(X, np.column_stack([y, -2 * y + X[:, 1]]), KFold(3))
    assert model.coef_.shape == (2, 6)
    assert model.coef_path_.shape == (3, 2, 6)


@pytest.mark.parametrize("penalty", ["l2", "l1"])
def test_each_target_has_its_own_alpha(raw, penalty):
    X, y = raw
    Y = np.column_stack([y, np.random.default_rng(0).standard_normal(len(y)), X[:, 1]])
    params = {"alphas": np.geomspace(100.0, 0.01, 9), "penalty": penalty, "cv": 3, "store_cv_predictions": True}
    model = GradientDescentRegressorCV(alpha_per_target=True, **params).fit(X, Y)
    alone = [GradientDescentRegressorCV(**params).fit(X, y) for y in Y.T]
    assert_array_equal(model.alpha_, [each.alpha_ for each in alone])
    assert len(set(model.alpha_)) > 1
    assert_array_equal(model.alpha_1se_, [each.alpha_1se_ for each in alone])
    assert_allclose(model.best_score_, [each.best_score_ for each in alone])
    assert_allclose(model.coef_, [each.coef_ for each in alone], rtol=1e-6, atol=1e-9)
    assert_allclose(model.intercept_, [each.intercept_ for each in alone], rtol=1e-6, atol=1e-9)
    assert_allclose(model.cv_predictions_, np.column_stack([each.cv_predictions_ for each in alone]), rtol=1e-6)
    assert_allclose(model.predict(X), np.column_stack([each.predict(X) for each in alone]), rtol=1e-6, atol=1e-6)


def test_sparse_and_float32(raw):
    X, y = raw
    thin = np.where(np.abs(X - X.mean(axis=0)) > X.std(axis=0), X, 0.0)
    dense = GradientDescentRegressorCV(ALPHAS, cv=3).fit(thin, y)
    csr = GradientDescentRegressorCV(ALPHAS, cv=3).fit(sparse.csr_matrix(thin), y)
    assert_allclose(of_splits(dense.cv_results_), of_splits(csr.cv_results_), rtol=1e-9)
    single = GradientDescentRegressorCV(ALPHAS, cv=3).fit(thin.astype(np.float32), y)
    assert single.coef_.dtype == single.coef_path_.dtype == np.float32
    assert_allclose(of_splits(single.cv_results_), of_splits(dense.cv_results_), rtol=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss(raw, loss):
    X, y = raw
    assert_equal_to_fits(X, y, KFold(2), loss=loss, alphas=[1.0, 0.01], tol=1e-8)


@pytest.mark.exhaustive
@pytest.mark.parametrize("penalty", ["l2", "l1", "elasticnet"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", SPLITTERS)
def test_everything_with_everything(raw, loss, penalty, name):
    X, y = raw
    weight = np.random.default_rng(2).integers(0, 3, len(y)).astype(float)
    for positive in (False, True):
        assert_equal_to_fits(
            X,
            targets_for(name, y),
            SPLITTERS[name],
            groups=groups_for(name),
            sample_weight=weight,
            loss=loss,
            penalty=penalty,
            positive=positive,
            alphas=[1.0, 0.01],
            tol=1e-8,
        )


def test_more_columns_than_rows():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20, 50))
    y = X[:, 0] + rng.standard_normal(20)
    assert_equal_to_fits(X, y, KFold(4))
    assert_equal_to_fits(X, y, KFold(4), penalty="l1", alphas=[1.0, 0.3])


def test_epochs_are_those_of_a_descent_of_that_many(diabetes):
    X, y = diabetes
    params = {"penalty": None, "learning_rate": "lipschitz", "tol": None}
    model = GradientDescentRegressorCV(epochs=range(1, 41), cv=3, **params).fit(X, y)
    splits = list(KFold(3).split(X))
    for epochs in (1, 7, 40):
        [expected] = naive_scores([{"epochs": epochs}], X, y, splits, **params).T
        assert_allclose(of_splits(model.cv_results_)[:, epochs - 1], expected, rtol=1e-9)
    assert model.epochs_ == model.n_iter_ == model.best_params_["epochs"]


@pytest.mark.parametrize("optimizer", ["auto", "momentum", "adam"])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_rates_and_epochs_are_axes(raw, optimizer, schedule):
    """The last rate is too large: the descent diverges, and its best epoch is kept."""
    X, y = raw
    params = {"tol": None, "optimizer": optimizer, "schedule": schedule}
    rates, epochs = [1e-7, 1e-6, 1.0], [2, 5, 60, 200]
    model = GradientDescentRegressorCV([1.0, 0.1], learning_rate=rates, epochs=epochs, cv=3, **params).fit(X, y)
    points = model.cv_results_["params"]
    assert len(points) == 24
    expected = naive_scores(points, X, y, list(KFold(3).split(X)), penalty="l2", **params)
    assert_allclose(of_splits(model.cv_results_), expected, rtol=1e-9)
    assert model.best_params_ == points[expected.mean(axis=0).argmax()]


@pytest.mark.parametrize("n_targets", [None, 2])
@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize(
    "params",
    [
        {"tol": None},
        {"tol": 0.05},
        {"tol": 0.05, "penalty": None},
        {"tol": 0.05, "fit_intercept": False},
        {"tol": None, "standardize": True},
        {"tol": None, "schedule": "invscaling"},
        {"tol": None, "schedule": lambda k: 1.0 / (1 + k)},
    ],
    ids=lambda params: "-".join(params),
)
def test_epochs_of_any_rate_in_closed_form(params, is_weighted, n_targets, monkeypatch):
    """No descent is run, and all is as if one were."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(70, 4)) * [1.0, 2.0, 0.5, 1.0] + 1
    Y = X @ rng.normal(size=(4, n_targets or 1)) + rng.normal(size=(70, n_targets or 1))
    y, weight = (Y if n_targets else Y[:, 0]), rng.integers(0, 3, 70).astype(float) if is_weighted else None
    params, rates, epochs = {"penalty": "l2", **params}, [0.01, "lipschitz", 0.05], [1, 3, 40, 400]
    points = [
        {"learning_rate": rate, "epochs": number, **({"alpha": alpha} if params["penalty"] else {})}
        for rate in rates
        for alpha in ([0.5, 0.1] if params["penalty"] else [0])
        for number in epochs
    ]
    splits = list(KFold(3).split(X))
    expected = naive_scores(points, X, y, splits, weight, **params)
    monkeypatch.setattr("gdregress.tuning.search.told_path", None)
    alphas = [0.5, 0.1] if params["penalty"] else 100
    model = GradientDescentRegressorCV(
        alphas, learning_rate=rates, epochs=epochs, cv=splits, store_cv_results=True, **params
    ).fit(X, y, weight)
    assert_allclose(of_splits(model.cv_results_), expected, rtol=1e-9)
    first = GradientDescentRegressor(**{**params, **points[2]})
    with warnings.catch_warnings(action="ignore"):
        first.fit(X[splits[0][0]], y[splits[0][0]], None if weight is None else weight[splits[0][0]])
    assert_allclose(model.fold_coef_path_[0, 2], first.coef_, rtol=1e-9, atol=1e-12)
    assert_allclose(model.fold_intercept_path_[0, 2], first.intercept_, rtol=1e-9)


@pytest.mark.parametrize("tol", [None, 0.3])
def test_epochs_on_raw_columns_in_closed_form(diabetes, tol, monkeypatch):
    """Some eigenvalues are a hundred-millionth of the largest; the expected scores take their epochs one by one."""
    X, y = diabetes
    params = {"learning_rate": "lipschitz", "tol": tol, "penalty": None}
    points = [{"epochs": number} for number in (1, 30, 5000)]
    with monkeypatch.context() as one_by_one:
        one_by_one.setattr("gdregress.method.assembly._is_geometric", lambda *args: False)
        expected = naive_scores(points, X, y, list(KFold(3).split(X)), **params)
    monkeypatch.setattr("gdregress.tuning.search.told_path", None)
    model = GradientDescentRegressorCV(epochs=[1, 30, 5000], cv=3, **params).fit(X, y)
    assert_allclose(of_splits(model.cv_results_), expected, rtol=1e-8)


def test_a_rate_above_the_ceiling_of_a_split_is_descended(diabetes):
    X, y = diabetes
    ceiling = GradientDescentRegressor("lipschitz", 1, tol=None).fit(X, y).max_learning_rate_
    params = {"learning_rate": 1.01 * ceiling, "tol": None, "penalty": None}
    model = GradientDescentRegressorCV(epochs=[1, 2000], cv=3, **params)
    with warnings.catch_warnings(action="ignore"):
        model.fit(X, y)
    expected = naive_scores([{"epochs": 1}, {"epochs": 2000}], X, y, list(KFold(3).split(X)), **params)
    assert_allclose(of_splits(model.cv_results_), expected, rtol=1e-9)


@pytest.mark.parametrize("name", SPLITTERS)
def test_moments_of_cells_are_those_of_the_rows(raw, name):
    X, y = raw
    rng = np.random.default_rng(3)
    rows = RowBlocks(X, y[:, np.newaxis], rng.uniform(0.0, 1.0, len(y)))
    splits = list(SPLITTERS[name].split(X, targets_for(name, y), groups_for(name)))
    folds = gather_folds(rows, splits)
    for fold, chosen in zip(folds.folds, splits, strict=True):
        for moments, part in zip(fold, chosen, strict=True):
            expected = rows.part(part).moments()
            assert moments.n_samples == expected.n_samples
            assert_allclose(moments.weight, expected.weight)
            assert_allclose(moments.x.mean, expected.x.mean, rtol=1e-12)
            scale = np.outer(expected.x.deviation, expected.x.deviation)
            assert_allclose(moments.cross / scale, expected.cross / scale, atol=1e-12)
    assert_allclose(folds.whole.cross, rows.moments().cross, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("cv", [KFold(7), TimeSeriesSplit(6), TimeSeriesSplit(20)], ids=str)
def test_each_row_is_read_once(raw, cv, monkeypatch):
    """Also where there are so few rows that a pass costs less than unions of more cells."""
    X, y = raw
    read, gather = [], RowBlocks.moments_of_parts
    monkeypatch.setattr(RowBlocks, "moments_of_parts", lambda self, parts: read.extend(parts) or gather(self, parts))
    rows = RowBlocks(X, y[:, np.newaxis])
    gather_folds(rows, list(cv.split(X)))
    every = np.arange(len(y))
    assert_array_equal(np.sort(np.concatenate([every[part] for part in read])), every)


def test_rows_that_are_drawn_twice_count_twice(raw):
    X, y = raw
    train, test = np.r_[np.arange(50), np.arange(10), np.arange(5)], np.r_[np.arange(50, 90), 60, 60]
    rows = RowBlocks(X, y[:, np.newaxis])
    [fold] = gather_folds(rows, [(train, test)]).folds
    for moments, part in zip(fold, (train, test), strict=True):
        assert_allclose(moments.x.mean, X[part].mean(axis=0))
        assert moments.weight == len(part)


@pytest.mark.parametrize("times", [3, 300])
def test_many_cells_and_rows_that_are_drawn_often(times):
    """More cells, and more draws of a row, than the smallest integers count."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40_000, 1))
    of_train = [rng.integers(0, 2, len(X)) for _ in range(8)]
    splits = [(np.flatnonzero(each), np.flatnonzero(each == 0)) for each in of_train]
    splits = [(np.append(train, np.full(times, train[0])), np.append(test, [test[5]] * 2)) for train, test in splits]
    rows = RowBlocks(X, X**2)
    folds = gather_folds(rows, splits)
    for split, fold in zip(splits, folds.folds, strict=True):
        for chosen, found in zip(split, fold, strict=True):
            assert found.weight == len(chosen)
            assert_allclose(found.x.mean, X[chosen].mean(axis=0), rtol=1e-10)
            assert_allclose(found.cross, X[chosen].var(axis=0)[np.newaxis], rtol=1e-10)


def test_one_standard_error_takes_the_strongest_penalty_that_is_near(raw):
    X, y = raw
    model = GradientDescentRegressorCV(30, penalty="l1", refit=one_standard_error, cv=5).fit(X, y)
    results = model.cv_results_
    mean, error = results["mean_test_score"], results["se_test_score"]
    assert_allclose(error, of_splits(results).std(axis=0, ddof=1) / np.sqrt(5))
    near = mean >= (mean - error)[mean.argmax()]
    assert model.alpha_ == model.alpha_1se_ == model.alphas_[near].max()
    assert model.alpha_min_ == model.alphas_[mean.argmax()] < model.alpha_
    assert_allclose(model.coef_, model.at(model.alpha_).coef_, atol=1e-6)


def test_one_standard_error_of_several_scores_is_refused(raw):
    model = GradientDescentRegressorCV(ALPHAS, scoring=["r2", "neg_mean_squared_error"], refit="r2").fit(*raw)
    with pytest.raises(ValueError, match="chooses by a single score, but these results have several"):
        one_standard_error(model.cv_results_)


def test_scores_by_name_by_callable_and_several(raw):
    X, y = raw
    names = ["r2", "neg_mean_absolute_error", "neg_root_mean_squared_error"]
    model = GradientDescentRegressorCV(ALPHAS, cv=3, scoring=names, refit="r2").fit(X, y)
    inner = GradientDescentRegressor(penalty="l2", tol=1e-10)
    search = GridSearchCV(inner, {"alpha": ALPHAS}, scoring=names, refit="r2", cv=3).fit(X, y)
    for name in names:
        assert_allclose(of_splits(model.cv_results_, name), of_splits(search.cv_results_, name), rtol=1e-6)
    assert model.best_params_ == search.best_params_
    by_callable = GradientDescentRegressorCV(ALPHAS, cv=3, scoring=make_scorer(mean_squared_error)).fit(X, y)
    by_loss = GradientDescentRegressorCV(ALPHAS, cv=3).fit(X, y)
    assert_allclose(of_splits(by_callable.cv_results_), -of_splits(by_loss.cv_results_))


def test_groups_go_to_the_splitter_with_routing_and_without(raw):
    X, y = raw
    groups = np.repeat(np.arange(9), 10)
    plain = GradientDescentRegressorCV(ALPHAS, cv=GroupKFold(3)).fit(X, y, groups=groups)
    with config_context(enable_metadata_routing=True):
        routed = GradientDescentRegressorCV(ALPHAS, cv=GroupKFold(3)).fit(X, y, groups=groups)
    assert_array_equal(of_splits(plain.cv_results_), of_splits(routed.cv_results_))
    with pytest.raises(TypeError, match="fit takes groups, but not extra"):
        plain.fit(X, y, extra=1)


@pytest.mark.parametrize("routing", [False, True])
def test_validation_rows_of_your_own_are_none_of_a_search(raw, routing):
    X, y = raw
    model = GradientDescentRegressorCV(ALPHAS)
    refused = pytest.raises(TypeError, match="takes no X_val: with early_stopping=True each split holds out")
    with config_context(enable_metadata_routing=routing), refused:
        model.fit(X, y, X_val=X, y_val=y)


def test_predictions_are_of_models_that_have_not_seen_the_row(raw):
    X, y = raw
    model = GradientDescentRegressorCV(ALPHAS, cv=3, store_cv_predictions=True, store_cv_results=True).fit(X, y)
    for split, (train, test) in enumerate(KFold(3).split(X)):
        inner = GradientDescentRegressor(penalty="l2", alpha=model.alpha_, tol=1e-10).fit(X[train], y[train])
        assert_allclose(model.cv_predictions_[test], inner.predict(X[test]), rtol=1e-6)
        assert_allclose(model.fold_coef_path_[split, model.best_index_], inner.coef_, rtol=1e-6)
    series = GradientDescentRegressorCV(ALPHAS, cv=TimeSeriesSplit(2), store_cv_predictions=True).fit(X, y)
    assert np.isnan(series.cv_predictions_[:30]).all()
    assert np.isfinite(series.cv_predictions_[30:]).all()


def test_the_path_is_that_of_fits(raw):
    X, y = raw
    model = GradientDescentRegressorCV(5, penalty="elasticnet", l1_ratio=[0.2, 0.9], cv=3).fit(X, y)
    assert model.alphas_.shape == model.coef_path_.shape[:2]
    for alpha in model.alphas_[[0.2, 0.9].index(model.l1_ratio_)]:
        inner = GradientDescentRegressor(penalty="elasticnet", l1_ratio=model.l1_ratio_, alpha=alpha, tol=1e-10)
        assert_allclose(model.at(alpha).predict(X), inner.fit(X, y).predict(X), rtol=1e-6)
    with pytest.raises(ValueError, match="alpha=-1 is not in alphas_: the nearest is"):
        model.at(-1)


def test_the_fit_to_all_rows_takes_the_products_that_are_known(monkeypatch):
    """With L1 on many columns, where a fit by itself gathers the products of a few columns."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(700, 260)) + rng.normal(size=(700, 1)) + 5.0
    y = X[:, :6] @ rng.normal(size=6) + rng.normal(size=700)
    alone = GradientDescentRegressor(penalty="l1", alpha=0.1, tol=1e-10).fit(X, y)
    monkeypatch.setattr("gdregress.problem.products._Products", None)
    model = GradientDescentRegressorCV([0.1, 0.05], penalty="l1", tol=1e-10, refit=lambda results: 0).fit(X, y)
    assert_allclose(model.coef_, alone.coef_, rtol=1e-7, atol=1e-10)
    assert 0 < np.count_nonzero(model.coef_) < 260
    assert model.converged_
    assert_array_equal(model.history_["loss"].shape, alone.history_["loss"].shape)


def test_the_grid_grows_while_it_improves_at_its_end(raw):
    X, y = raw
    model = GradientDescentRegressorCV(6, eps=0.5, penalty="l1", cv=3).fit(X, y)
    assert len(model.alphas_) == 12
    assert_allclose(np.diff(np.log(model.alphas_)), np.log(model.alphas_[1] / model.alphas_[0]))
    assert model.mse_path_.shape == (12, 3)


def test_a_given_grid_does_not_grow_but_warns(raw):
    X, y = raw
    with pytest.warns(UserWarning, match="the best alpha, 10, is the smallest that was tried"):
        model = GradientDescentRegressorCV([100.0, 10.0], penalty="l1", cv=3).fit(X, y)
    assert_array_equal(model.alphas_, [100.0, 10.0])


@pytest.mark.parametrize("standardize", [False, True])
def test_what_helps_where_the_smallest_alpha_is_the_best(raw, standardize):
    with pytest.warns(UserWarning, match="is the smallest that was tried") as caught:
        GradientDescentRegressorCV([100.0, 1.0], cv=3, standardize=standardize).fit(*raw)
    assert str(caught[0].message) == (
        "the best alpha, 1, is the smallest that was tried, and the score still improves there: "
        + "set standardize=True, so that the units of the columns do not count, " * (not standardize)
        + "give alphas with smaller ones, or set penalty=None if no penalty is needed."
    )


def test_pickle_clone_and_refit(raw):
    X, y = raw
    model = GradientDescentRegressorCV(ALPHAS, cv=3).fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    assert_array_equal(again.predict(X), model.predict(X))
    fresh = clone(model)
    assert not hasattr(fresh, "alpha_")
    assert_array_equal(fresh.fit(X, y).coef_, model.fit(X, y).coef_)
    unfitted = GradientDescentRegressorCV(ALPHAS, cv=3, refit=False).fit(X, y)
    assert unfitted.alpha_ == model.alpha_
    with pytest.raises(NotFittedError, match=r"^refit=False has fitted no model to all rows: set refit=True"):
        unfitted.predict(X)


def test_an_error_leaves_the_model_as_it_was(raw):
    X, y = raw
    model = GradientDescentRegressorCV(ALPHAS, cv=3).fit(X, y)
    before = dict(vars(model))
    with pytest.raises(ValueError, match="NaN"):
        model.fit(np.full_like(X, np.nan), y)
    assert vars(model).keys() == before.keys()
    assert model.alpha_ == before["alpha_"]


BAD = [
    ({"alphas": []}, "alphas is empty: give at least one strength, or their number."),
    ({"alphas": ["a"]}, "alphas must be an int or a list of numbers, but is ['a']."),
    ({"scoring": "R2"}, "scoring='R2' is no score: did you mean 'r2'?"),
    ({"scoring": "RMSE"}, "scoring='RMSE' is no score: did you mean 'neg_root_mean_squared_error'?"),
    ({"scoring": "neg_mae"}, "scoring='neg_mae' is no score: did you mean 'neg_mean_absolute_error'?"),
    (
        {"scoring": "accuracy"},
        "scoring='accuracy' scores classes or clusters, not numbers: use a score of regression, such as 'r2' or",
    ),
    ({"scoring": ["r2", "neg_log_loss"], "refit": "r2"}, "scoring='neg_log_loss' scores classes or clusters"),
    ({"alphas": None}, "alphas must be an int or a list of numbers, but is None."),
    ({"alphas": 0.5}, "alphas must be an int or a list of numbers, but is 0.5: pass [0.5]."),
    ({"scoring": {"one": "?"}, "refit": "one"}, "scoring='?' is no score: sklearn.metrics.get_scorer_names() lists"),
    ({"alphas": [1.0, -2.0]}, "alphas has the value -2: give finite strengths of at least 0."),
    ({"alphas": 0}, "alphas=0 is no number of strengths: give at least 1, or a list of them."),
    ({"alphas": True}, "alphas must be an int or a list of numbers, but is True."),
    (
        {"alphas": "many"},
        "alphas must be an int or a list of numbers, but is 'many': leave it out, so",
    ),
    ({"eps": 1.0}, "The 'eps' parameter must be a float in the range (0, 1). Got 1.0 instead."),
    ({"l1_ratio": [0.1, 0.5]}, "several l1_ratio need penalty='elasticnet', but it is 'l2': give no list."),
    ({"l1_ratio": [], "penalty": "elasticnet"}, "l1_ratio is empty: give GradientDescentRegressorCV at least one"),
    ({"epochs": [5, 0]}, "The 'epochs' parameter of GradientDescentRegressorCV must be an int"),
    ({"epochs": [5, 6], "early_stopping": True}, "several epochs are early stopping by cross-validation: set early_"),
    ({"cv": []}, "cv yields no split: give a splitter that yields at least one."),
    ({"cv": [([0, 1], [])]}, "split 0 of cv has no test rows of positive weight: give each split both."),
    ({"cv": [([], [0, 1])]}, "split 0 of cv has no training rows of positive weight: give each split both."),
    (
        {"scoring": ["r2", "neg_max_error"]},
        "several scores need refit to name the one that decides: r2, neg_max_error.",
    ),
    ({"scoring": ["r2"], "refit": "neg_max_error"}, "refit='neg_max_error' names no score: use one of r2."),
    ({"refit": "neg_max_error"}, "refit='neg_max_error' names no score: set scoring='neg_max_error'."),
    ({"refit": "one_se"}, "refit='one_se' names no score: use True, or the function one_standard_error."),
    ({"scoring": []}, "scoring is empty: give a name or a callable, or None for minus the mean loss."),
    ({"refit": lambda results: 99}, "refit returned 99: it must return an index from 0 to 2."),
    ({"alpha_per_target": True, "scoring": "r2"}, "alpha_per_target=True chooses by the mean loss: leave out scoring"),
    (
        {"alpha_per_target": True, "epochs": [1, 2]},
        "alpha_per_target=True chooses alpha alone, but ['alpha', 'epochs']",
    ),
    ({"loss": "square"}, "The 'loss' parameter of"),
]


@pytest.mark.parametrize(("params", "sentence"), BAD, ids=lambda part: str(part)[:40])
def test_bad_input(raw, params, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        GradientDescentRegressorCV(**{"alphas": ALPHAS, "cv": 3, **params}).fit(*raw)


def test_splits_that_need_a_fit_each_are_told_of(raw, capsys):
    params = {"alphas": [0.1, 0.01], "loss": "absolute_error", "penalty": "l1", "cv": 3, "refit": False}
    GradientDescentRegressorCV(**params).fit(*raw)
    assert not capsys.readouterr().out
    GradientDescentRegressorCV(**params, verbose=1).fit(*raw)
    told = capsys.readouterr().out.splitlines()
    assert [line.partition(" points")[0] for line in told] == [f"split {k} of 3: 2" for k in (1, 2, 3)]


@pytest.mark.parametrize(
    "params", [{"loss": "huber", "epsilon": 1.0}, {"loss": "absolute_error"}], ids=lambda p: p["loss"]
)
def test_l1_of_other_losses_on_more_columns_than_rows(params):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 60))
    y = X[:, :3].sum(axis=1) + rng.standard_normal(40)
    assert_equal_to_fits(X, y, KFold(4), alphas=[0.3, 0.1, 0.03], penalty="l1", **params)


@pytest.mark.parametrize("apart", [1e-5, 1e-6, 1e-7])
def test_errors_whose_terms_cancel_are_computed_from_the_rows(apart):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 3))
    X[:, 1] = X[:, 0] + apart * rng.standard_normal(40)
    y = X[:, 0] + 3 * (X[:, 1] - X[:, 0]) / apart + 0.1 * rng.standard_normal(40)
    model = GradientDescentRegressorCV(penalty=None, cv=KFold(5), store_cv_results=True).fit(X, y)
    for number, (_, test) in enumerate(KFold(5).split(X)):
        residual = y[test] - X[test] @ model.fold_coef_path_[number, 0] - model.fold_intercept_path_[number, 0]
        assert_allclose(model.mse_path_[0, number], np.mean(residual**2), rtol=1e-6)


@pytest.mark.parametrize("cv", [LeaveOneOut(), KFold(5)], ids=["leave one out", "folds"])
def test_a_column_of_ones_beside_one_far_from_zero(cv):
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=30) + 1e6, np.ones(30), rng.normal(size=30)])
    y = X @ [1.0, 2.0, 3.0] - 1e6 + rng.normal(size=30)
    params = {"penalty": "l2", "fit_intercept": False}
    model = GradientDescentRegressorCV([1e-9], cv=cv, store_cv_results=True, **params).fit(X, y)
    for number, (_, test) in enumerate(cv.split(X)):
        residual = y[test] - X[test] @ model.fold_coef_path_[number, 0]
        assert_allclose(model.mse_path_[0, number], np.mean(residual**2), rtol=1e-4)


def test_overlapping_folds_are_fine(raw):
    X, y = raw
    splits = [(np.arange(60), np.arange(40, 90)), (np.arange(90), np.arange(90))]
    model = GradientDescentRegressorCV(ALPHAS, cv=splits).fit(X, y)
    expected = naive_scores([{"alpha": alpha} for alpha in ALPHAS], X, y, splits, penalty="l2")
    assert_allclose(of_splits(model.cv_results_), expected, rtol=1e-6)


def test_constant_targets_and_columns(raw):
    X, y = raw
    for X_of, y_of in ((X, np.full_like(y, 3.0)), (np.ones_like(X), y), (np.column_stack([X, np.ones(len(X))]), y)):
        model = GradientDescentRegressorCV(5, cv=3).fit(X_of, y_of)
        assert np.isfinite(model.predict(X_of)).all()
        assert np.isfinite(model.best_score_)


def test_a_scorer_that_fails_gives_nan_and_a_warning(raw):
    X, y = raw

    def fails_on_small(estimator, X, y):
        if estimator.alpha < 0.5:
            raise ValueError("no score")
        return minus_mean_loss(estimator, X, y)

    with pytest.warns(UserWarning, match="the scorer 'score' failed"):
        model = GradientDescentRegressorCV(ALPHAS, cv=3, scoring=fails_on_small).fit(X, y)
    assert_array_equal(np.isnan(model.cv_results_["mean_test_score"]), [False, False, True])
    assert model.alpha_ == 1.0
    with pytest.warns(UserWarning, match="the scorer 'score' failed .*: its score is 9"):
        model.set_params(error_score=9).fit(X, y)
    assert model.alpha_ == ALPHAS[2]
    before = dict(vars(model))
    with pytest.raises(ValueError, match="no score"):
        model.set_params(error_score="raise").fit(X, y)
    assert vars(model).keys() == before.keys()
    with pytest.raises(ValueError, match="error_score='nan' must be a number, such as NaN, or 'raise'"):
        model.set_params(error_score="nan").fit(X, y)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_scorers_and_splitters_see_data_frames(raw, library):
    made = pytest.importorskip(library)
    X, y = raw
    frame = made.DataFrame({f"x{k}": column for k, column in enumerate(X.T)})
    seen = []

    class Splitter(KFold):
        def split(self, X, y=None, groups=None):
            seen.append(list(X.columns))
            return super().split(X, y, groups)

    def by_column(estimator, X, y):
        seen.append(list(X.columns))
        return -np.mean(np.abs(y - estimator.predict(X)) * (X["x0"].to_numpy() > 0))

    def by_place(estimator, X, y):
        return -np.mean(np.abs(y - estimator.predict(X)) * (X[:, 0] > 0))

    model = GradientDescentRegressorCV(ALPHAS, cv=Splitter(3), scoring=by_column).fit(frame, y)
    assert seen == [list(frame.columns)] * len(seen)
    plain = GradientDescentRegressorCV(ALPHAS, cv=3, scoring=by_place).fit(X, y)
    assert_allclose(of_splits(model.cv_results_), of_splits(plain.cv_results_))


def test_what_squared_errors_cannot_tell_is_left_to_scorers():
    scoring = Scoring.of(GradientDescentRegressorCV(scoring="neg_max_error"))
    assert scoring.from_loss(np.ones((2, 1)), np.ones((3, 1)), None) is None


class TestLeaveOneOut:
    @pytest.mark.parametrize("n_targets", [None, 2])
    @pytest.mark.parametrize("fit_intercept", [True, False])
    @pytest.mark.parametrize("kind", ["dense", "weighted", "sparse", "wide", "float32"])
    def test_all_rows_tell_the_fits_without_each(self, raw, kind, fit_intercept, n_targets, monkeypatch):
        X, y = raw[0][:25], raw[1][:25]
        if kind == "wide":
            X = np.random.default_rng(0).normal(size=(25, 36)) * np.linspace(0.5, 2, 36)
        X = X.astype(np.float32) if kind == "float32" else X
        y = np.column_stack([y, y**2]) if n_targets else y
        weight = np.random.default_rng(1).uniform(0.5, 3.0, 25) if kind == "weighted" else None
        splits = list(LeaveOneOut().split(X))
        params = {"penalty": "l2", "fit_intercept": fit_intercept}
        expected = naive_scores([{"alpha": alpha} for alpha in ALPHAS], X, y, splits, weight, **params)
        model = GradientDescentRegressorCV(ALPHAS, cv=LeaveOneOut(), store_cv_results=True, **params)
        monkeypatch.setattr("gdregress.tuning.sums.gather_folds", None)
        model.fit(sparse.csr_matrix(X) if kind == "sparse" else X, y, weight)
        assert_allclose(of_splits(model.cv_results_), expected, rtol=2e-3 if kind == "float32" else 1e-7, atol=1e-9)
        train = splits[3][0]
        without = GradientDescentRegressor(**params, alpha=ALPHAS[1], tol=1e-12)
        without.fit(X[train], y[train], None if weight is None else weight[train])
        near = {"rtol": 1e-3 if kind == "float32" else 1e-6, "atol": 1e-9}
        assert_allclose(model.fold_coef_path_[3, 1] @ X[3], without.coef_ @ X[3], **near)
        assert_allclose(model.fold_intercept_path_[3, 1], without.intercept_, **near)

    def test_in_any_order_with_predictions_and_other_scores(self, raw):
        X, y = raw[0][:25], raw[1][:25]
        order = np.random.default_rng(0).permutation(25)
        splits = [(np.delete(np.arange(25), row)[::-1], np.array([row])) for row in order]
        params = {"store_cv_predictions": True, "scoring": "neg_root_mean_squared_error"}
        model = GradientDescentRegressorCV(ALPHAS, cv=splits, **params).fit(X, y)
        fits = GradientDescentRegressorCV(ALPHAS, cv=splits, optimizer="conjugate", tol=1e-10, **params).fit(X, y)
        assert_allclose(of_splits(model.cv_results_), of_splits(fits.cv_results_), rtol=1e-6)
        assert_allclose(model.cv_predictions_, fits.cv_predictions_, rtol=1e-6)

    def test_it_chooses_as_ridge_cv_does(self, diabetes):
        X, y = diabetes
        alphas = np.geomspace(1e-3, 10, 9)
        model = GradientDescentRegressorCV(alphas, cv=LeaveOneOut()).fit(X, y)
        ridge = RidgeCV(alphas * len(y)).fit(X, y)  # of n rows, where ours is of n - 1
        assert model.alpha_ * len(y) == pytest.approx(ridge.alpha_)
        assert model.best_score_ == pytest.approx(ridge.best_score_, rel=1e-3)

    @pytest.mark.parametrize("change", ["a row twice", "a row less to train on", "two rows to test"])
    def test_splits_that_are_nearly_so_are_gathered(self, raw, change):
        X, y = raw[0][:20], raw[1][:20]
        splits = list(LeaveOneOut().split(X))
        splits[2] = {
            "a row twice": (np.r_[splits[2][0][:-2], 0, splits[2][0][-1]], splits[2][1]),
            "a row less to train on": (splits[2][0][1:], splits[2][1]),
            "two rows to test": (splits[2][0], np.array([2, 3])),
        }[change]
        expected = naive_scores([{"alpha": alpha} for alpha in ALPHAS], X, y, splits, penalty="l2")
        model = GradientDescentRegressorCV(ALPHAS, cv=splits).fit(X, y)
        assert_allclose(of_splits(model.cv_results_), expected, rtol=1e-6)

    @pytest.mark.parametrize("params", [{"penalty": "l1"}, {"standardize": True}], ids=["l1", "standardize"])
    def test_what_it_cannot_tell_is_gathered(self, raw, params):
        assert_equal_to_fits(raw[0][:20], raw[1][:20], LeaveOneOut(), **params)

    def test_a_row_that_alone_decides_its_prediction(self):
        X = np.zeros((12, 2))
        X[0, 0] = 1.0
        X[:, 1] = np.arange(12)
        assert_equal_to_fits(X, np.arange(12) ** 2.0, LeaveOneOut(), alphas=[1.0, 1e-9])


class TestWhatIsSaid:
    def test_each_cause_once_in_all_splits(self):
        X, y = load_diabetes(return_X_y=True)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            GradientDescentRegressorCV([10.0, 1.0, 0.1], learning_rate=[0.5, 2.0], epochs=20).fit(X, y)
        assert 2 <= len(caught) <= 4  # a rate that is too large, epochs that are used up, and the fit to all rows

    def test_a_score_that_is_never_a_number(self):
        X, y = load_diabetes(return_X_y=True)
        with (
            warnings.catch_warnings(action="ignore"),
            pytest.raises(ValueError, match="the score 'score' is NaN in split 0: use a score of regression, such"),
        ):
            GradientDescentRegressorCV([1.0, 0.1], scoring=make_scorer(accuracy_score)).fit(X[:20], y[:20])
        with pytest.raises(ValueError, match="scoring='r2' needs two test rows in each split, but split 0 has one"):
            GradientDescentRegressorCV([1.0, 0.1], cv=LeaveOneOut(), scoring="r2").fit(X[:20], y[:20])

    def test_a_scorer_that_cannot_work_is_told_once(self):
        (X, y), fails = load_diabetes(return_X_y=True), make_scorer(accuracy_score)
        with warnings.catch_warnings(record=True, action="always") as caught:
            GradientDescentRegressorCV([1.0, 0.1], scoring=fails, refit=False, cv=2, error_score=0).fit(X, y)
        assert len([warning for warning in caught if "the scorer" in str(warning.message)]) == 1

    @pytest.mark.parametrize("scoring", [None, "r2"])
    @pytest.mark.parametrize("table", ["wine", "another unit"])
    def test_the_grid_of_l2_reaches_the_columns_in_small_units(self, table, scoring):
        """The first strengths are those of the column in the largest unit; without the others it says little."""
        if table == "wine":
            columns = load_wine().data[np.random.default_rng(0).permutation(178)]
            X, y = np.delete(columns, 8, axis=1), columns[:, 8]
        else:
            X, y = load_diabetes(return_X_y=True, scaled=False)
            X = np.column_stack([X, np.random.default_rng(0).lognormal(10.5, 1, len(X))])
        model = GradientDescentRegressorCV(scoring=scoring).fit(X, y)
        grid = {"alpha": [1e-4, 1e-2, 1.0, 100.0]}
        plain = GradientDescentRegressor(penalty="l2")
        search = GridSearchCV(plain, grid, scoring=scoring or "neg_mean_squared_error").fit(X, y)
        assert model.best_score_ > search.best_score_ - 0.01 * abs(search.best_score_)

    def test_nothing_is_smaller_than_zero(self):
        X, y = load_diabetes(return_X_y=True)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert GradientDescentRegressorCV([0.0, 1.0]).fit(X, y).alpha_ == 0.0

    @pytest.mark.parametrize(
        ("params", "sentence"),
        [
            ({"eps": 0.1}, "eps=0.1 has no effect with a list of alphas: give their number, or leave it out."),
            ({"penalty": None}, "alphas has no effect with penalty=None: set penalty='l2', 'l1' or 'elasticnet', or"),
        ],
    )
    def test_what_has_no_effect(self, params, sentence):
        X, y = load_diabetes(return_X_y=True)
        with pytest.warns(UserWarning, match=re.escape(sentence)):
            GradientDescentRegressorCV([1e-3, 1e-4], **params).fit(X, y)

    @pytest.mark.parametrize("refit", [True, False])
    def test_what_has_no_effect_on_any_fit_is_said_with_a_refit_and_without(self, refit):
        X, y = load_diabetes(return_X_y=True)
        with pytest.warns(UserWarning, match=r"quantile=0\.9 has no effect with loss='squared_error'") as caught:
            GradientDescentRegressorCV([1e-3, 1e-4], quantile=0.9, refit=refit).fit(X, y)
        assert sum("no effect" in str(each.message) for each in caught) == 1

    def test_the_most_epochs_are_the_best(self):
        X, y = load_diabetes(return_X_y=True)
        with pytest.warns(UserWarning, match="the best number of epochs, 20, is the largest that was tried"):
            GradientDescentRegressorCV(penalty=None, learning_rate=0.5, epochs=[10, 20], tol=None).fit(X, y)

    def test_the_path_takes_numbers_and_keeps_its_ratios(self):
        X, y = load_diabetes(return_X_y=True)
        model = GradientDescentRegressorCV([1.0, 0.1], penalty="elasticnet", l1_ratio=[0.5, 0.9]).fit(X, y)
        model.set_params(l1_ratio=0.1)
        assert_array_equal(model.at(1.0).coef_, model.coef_path_[[0.5, 0.9].index(model.l1_ratio_), 0])
        for alpha in ("1", True, None):
            with pytest.raises(TypeError, match=r"alpha must be a number, but is .*: take one of alphas_\.$"):
                model.at(alpha)

    def test_the_rule_by_its_name(self):
        X, y = load_diabetes(return_X_y=True)
        with pytest.raises(ValueError, match="pass the function, without the quotes"):
            GradientDescentRegressorCV(refit="one_standard_error").fit(X, y)

    def test_there_is_no_path_without_refit(self):
        X, y = load_diabetes(return_X_y=True)
        with pytest.raises(ValueError, match="there is no path: it is kept with refit=True"):
            GradientDescentRegressorCV(refit=False).fit(X, y).at(1.0)

    def test_each_target_at_the_end_of_its_grid(self):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(60, 5))
        Y = np.column_stack([1e3 * (rng.normal(size=60) + 0.3 * X[:, 1]), X[:, 0] + 0.1 * rng.normal(size=60)])
        with pytest.warns(UserWarning, match="the best alpha of target 1, .* is the smallest that was tried"):
            GradientDescentRegressorCV(20, penalty="l1", alpha_per_target=True).fit(X, Y)


def test_a_generator_of_splits_with_routing(raw):
    X, y = raw
    with config_context(enable_metadata_routing=True):
        model = GradientDescentRegressorCV(ALPHAS, cv=(split for split in KFold(4).split(X)))
        model.fit(X, y, sample_weight=np.ones(len(y)))
    assert_allclose(
        model.cv_results_["mean_test_score"],
        GradientDescentRegressorCV(ALPHAS, cv=KFold(4)).fit(X, y).cv_results_["mean_test_score"],
    )


def of_many(y, predicted, **params):
    """Score the rows, of which there are to be ten at least."""
    if len(y) < 10:
        raise ValueError("too few")
    return mean_squared_error(y, predicted, **params)


def of_changing(y, predicted):
    """Score the rows, with a warning where all predictions are the same."""
    return np.corrcoef(y, predicted)[0, 1]


@pytest.mark.parametrize(
    ("scorer", "expected"),
    [
        (get_scorer("r2"), True),
        (get_scorer("neg_median_absolute_error"), True),
        (get_scorer("neg_mean_gamma_deviance"), True),
        (get_scorer("neg_max_error"), False),
        (make_scorer(lambda y, predicted: 0.0), False),
        (make_scorer(of_many), True),
        (make_scorer(of_changing), False),
        (lambda model, X, y: 0.0, False),
        (lambda model, X, y, sample_weight=None: 0.0, True),
        (lambda model, X, y, **params: 0.0, True),
    ],
)
def test_which_scorers_take_weights(scorer, expected):
    """What fails on a few rows all the same would be believed to take them; a warning is no failure."""
    assert takes(scorer, "sample_weight") == expected


def test_a_scorer_that_takes_no_weights_gets_none(raw):
    X, y = raw
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(y))
    model = GradientDescentRegressorCV([1.0, 0.1], cv=KFold(3), scoring="neg_max_error").fit(X, y, weight)
    for split, (train, test) in enumerate(KFold(3).split(X)):
        fitted = GradientDescentRegressor(penalty="l2", alpha=1.0).fit(X[train], y[train], weight[train])
        score = model.cv_results_[f"split{split}_test_score"][0]
        assert_allclose(score, -max_error(y[test], fitted.predict(X[test])), rtol=1e-6)


def test_values_of_an_axis_keep_their_types(raw):
    X, y = raw
    with warnings.catch_warnings(action="ignore"):
        model = GradientDescentRegressorCV([1.0], learning_rate=["auto", 1e-6], epochs=5).fit(X, y)
    assert model.cv_results_["param_learning_rate"].tolist() == ["auto", 1e-6]


@pytest.mark.parametrize("penalty", [{"penalty": "l2"}, {"penalty": "elasticnet", "l1_ratio": 0.5}], ids=str)
@pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
def test_the_unit_of_y_does_not_count_for_an_automatic_grid(diabetes, loss, penalty):
    """Its weakest strength leaves the coefficients as they are, in dollars as in millions of them."""
    X, y = diabetes
    scores = []
    for unit in (1e-6, 1.0, 1e6):
        model = GradientDescentRegressorCV(12, loss=loss, standardize=True, cv=3, **penalty).fit(X, unit * y)
        scores.append(model.score(X, unit * y))
    assert min(scores) > 0.98 * max(scores) > 0.4


class TestNothingLeft:
    """A search that ends at a constant says so, with the remedy where units are mixed."""

    def tables(self, scale):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(45, 400))
        return X * scale, X[:, :5] @ [3.0, -2.0, 1.0, 4.0, 1.0] + rng.normal(size=45)

    @pytest.mark.parametrize("penalty", ["l1", "l2"])
    def test_columns_in_mixed_units(self, penalty):
        X, y = self.tables(10.0 ** np.linspace(-3, 4, 400))
        with pytest.warns(UserWarning, match=r"is no better than a constant.*: set standardize=True") as said:
            GradientDescentRegressorCV(penalty=penalty).fit(X, y)
        assert len(said) == 1
        model = GradientDescentRegressorCV(penalty=penalty, standardize=True).fit(X, y)
        assert np.abs(model.coef_).max() > 0
        assert model.score(X, y) > 0.5

    @pytest.mark.parametrize("params", [{}, {"standardize": True}])
    def test_columns_that_tell_nothing(self, params):
        X, _ = self.tables(1.0)
        y = np.random.default_rng(1).normal(size=45)
        with pytest.warns(UserWarning, match="is no better than a constant.*: the columns tell little of y"):
            GradientDescentRegressorCV(penalty="l1", **params).fit(X, y)

    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
    @pytest.mark.parametrize(
        ("params", "far", "noise"),
        [
            ({"alphas": [1e6, 1e5]}, 0.0, 1.0),
            ({"optimizer": "gd", "learning_rate": 1e-9, "epochs": 1}, 0.0, 1.0),
            ({"fit_intercept": False, "alphas": [1e3, 1e4]}, 100.0, 1.0),
            ({}, 1.0, 0.0),
        ],
    )
    def test_what_shows_nothing_of_the_columns_says_nothing_of_them(self, params, far, noise):
        """Strengths that are all too large, descents that have hardly begun, no constant at all, a constant y."""
        X = np.random.default_rng(0).normal(size=(60, 5))
        y = noise * (X @ [1.0, 2.0, 3.0, 0.0, 0.0]) + far
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            GradientDescentRegressorCV(penalty="l1", cv=3, **params).fit(X, y)
        assert not any("no better than a constant" in str(each.message) for each in said)


@pytest.mark.parametrize("cv", [2, 5])
def test_a_split_whose_rows_have_no_weight_is_refused_with_a_remedy_that_helps(cv):
    X, y = np.random.default_rng(0).normal(size=(2, 40))
    X, weight = X[:, np.newaxis], np.repeat([1.0, 0.0], [10, 30])
    with pytest.raises(ValueError, match="rows of positive weight: shuffle the rows, or drop those of weight zero"):
        GradientDescentRegressorCV(cv=cv).fit(X, y, sample_weight=weight)
    GradientDescentRegressorCV(cv=KFold(cv, shuffle=True, random_state=0)).fit(X, y, sample_weight=weight)
    GradientDescentRegressorCV(cv=cv).fit(X[:10], y[:10], sample_weight=weight[:10])


def test_the_points_of_a_path_in_single_precision_have_the_mean_of_the_targets():
    """Rounding of the coefficients of columns far from zero takes the mean prediction with it."""
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(500, 30)) + 2e4).astype(np.float32)
    y = (X.astype(np.float64) - 2e4) @ rng.normal(size=30) + rng.normal(size=500)
    model = GradientDescentRegressorCV([1.0, 0.1], penalty="l2").fit(X, y)
    path = regularization_path(X, y, penalty="l1", alphas=[0.1])
    point = model.at(0.1)
    for coef, intercept in (
        (point.coef_, point.intercept_),
        (model.coef_path_[1], model.intercept_path_[1]),
        (path.coefs[:, 0], path.intercepts[0]),
    ):
        assert coef.dtype == np.float32
        shift = (y - X.astype(np.float64) @ coef.astype(np.float64) - float(intercept)).mean()
        assert abs(shift) <= np.spacing(np.float32(np.abs(intercept)))


def test_a_point_of_the_path_keeps_its_intercept_whatever_is_set_after_the_fit():
    X, y = load_diabetes(return_X_y=True, scaled=False)
    model = GradientDescentRegressorCV([1.0, 0.1]).fit(X, y)
    before = model.predict(X)
    model.set_params(fit_intercept=False)
    np.testing.assert_allclose(model.at(model.alpha_).predict(X), before, rtol=1e-10)
