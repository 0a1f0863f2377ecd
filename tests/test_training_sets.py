"""Losses with kinks or lines in cross-validation: the minima over training sets, from that over all rows."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse
from sklearn.model_selection import GroupKFold, KFold, RepeatedKFold, ShuffleSplit, TimeSeriesSplit

import gdregress.tuning.search as search
from gdregress import GradientDescentRegressor, GradientDescentRegressorCV
from gdregress.method import training_sets
from gdregress.method.side_by_side import Found, Objectives, WeightedRows, minima
from gdregress.tuning.scoring import minus_mean_loss

LOSSES = {
    "huber": {"loss": "huber", "epsilon": 0.8},
    "huber, all but a kink": {"loss": "huber", "epsilon": 1e-3},
    "absolute error": {"loss": "absolute_error"},
    "quantile": {"loss": "quantile", "quantile": 0.73},
    "tube": {"loss": "epsilon_insensitive", "epsilon": 0.4},
    "squared, tube": {"loss": "squared_epsilon_insensitive", "epsilon": 0.8},
}

SPLITTERS = {
    "KFold": KFold(4),
    "shuffled": KFold(3, shuffle=True, random_state=0),
    "GroupKFold": GroupKFold(3),
    "TimeSeriesSplit": TimeSeriesSplit(4),
    "RepeatedKFold": RepeatedKFold(n_splits=3, n_repeats=2, random_state=0),
    "ShuffleSplit": ShuffleSplit(3, random_state=0),
    "rows twice": [(np.r_[0:200, 0:50], np.r_[200:241]), (np.r_[41:241, 100:120, 100:120], np.r_[0:41])],
}

ALPHAS = [0.5, 0.1, 0.01]

pytestmark = pytest.mark.filterwarnings("ignore:the best alpha")


@pytest.fixture
def few_are_near(monkeypatch):
    """Few rows are near at first, so that some join them, and the others are sums."""
    monkeypatch.setattr(training_sets, "ALL_NEAR", 10)
    monkeypatch.setattr(training_sets, "NEAR_ROWS", 1.0)


@pytest.fixture
def fits(monkeypatch):
    """The number of rows of each fit of a model."""
    seen, fitted_path = [], search.fitted_path

    def counted(model, rows, curve):
        seen.append(rows.n_samples)
        return fitted_path(model, rows, curve)

    monkeypatch.setattr(search, "fitted_path", counted)
    return seen


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((241, 5)) * [1.0, 30.0, 0.1, 1.0, 2.0] + [0.0, 100.0, 0.0, -3.0, 1.0]
    return X, X @ [1.0, 0.05, 10.0, 0.0, -0.5] + rng.standard_t(3, 241)


def assert_equal_to_fits(X, y, splits, weight=None, *, rtol=1e-6, **params):
    """Assert scores on test rows, and coefficients, equal to those of a fit for each strength and split."""
    model = GradientDescentRegressorCV(ALPHAS, cv=splits, store_cv_results=True, **params).fit(X, y, weight)
    for number, (train, test) in enumerate(splits):
        w_train, w_test = (None, None) if weight is None else (weight[train], weight[test])
        for place, alpha in enumerate(ALPHAS):
            one = GradientDescentRegressor(penalty="l2", alpha=alpha, tol=1e-8, **params)
            one.fit(X[train], y[train], w_train)
            score = minus_mean_loss(one, X[test], y[test], w_test)
            assert_allclose(model.cv_results_[f"split{number}_test_score"][place], score, rtol=rtol)
            size = np.abs(one.coef_).max()
            assert_allclose(model.fold_coef_path_[number, place], one.coef_, rtol=rtol, atol=rtol * size)
    return model


def splits_of(name):
    splitter = SPLITTERS[name]
    groups = np.arange(241) % 9 if name == "GroupKFold" else None
    return splitter if isinstance(splitter, list) else list(splitter.split(np.zeros(241), groups=groups))


@pytest.mark.filterwarnings("ignore:epsilon.* is far below the residuals")
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", ["KFold", "TimeSeriesSplit", "RepeatedKFold"])
def test_scores_are_those_of_fits(table, loss, name, few_are_near, fits):
    assert_equal_to_fits(*table, splits_of(name), **LOSSES[loss])
    assert fits[0] == 241
    assert len(fits) <= 4  # few rows and much L2 may leave a minimum that is not unique


@pytest.mark.filterwarnings("ignore:epsilon.* is far below the residuals")
@pytest.mark.exhaustive
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", ["shuffled", "GroupKFold", "ShuffleSplit", "rows twice"])
@pytest.mark.parametrize("params", [{}, {"standardize": True}, {"fit_intercept": False}], ids=str)
def test_scores_are_those_of_fits_in_every_way(table, loss, name, params, few_are_near):
    weight = np.random.default_rng(1).uniform(0.0, 2.0, 241) * (np.arange(241) % 7 > 0)
    assert_equal_to_fits(*table, splits_of(name), weight, **LOSSES[loss], **params)


@pytest.mark.parametrize("loss", ["huber", "quantile", "tube"])
@pytest.mark.parametrize("kind", ["weights", "two targets", "sparse", "float32", "no intercept", "standardize"])
def test_what_rows_and_models_may_be(table, kind, loss, few_are_near, fits):
    (X, y), weight, params, rtol = table, None, {}, 1e-6
    if kind == "weights":
        weight = np.random.default_rng(1).integers(0, 3, 241).astype(float)
    elif kind == "two targets":
        y = np.column_stack([y, 3.0 * X[:, 0] - y])
    elif kind == "sparse":
        X = sparse.csr_matrix(np.where(np.abs(X - X.mean(axis=0)) > X.std(axis=0), X, 0.0))
    elif kind == "float32":
        X, y, rtol = X.astype(np.float32), y.astype(np.float32), 1e-4
    elif kind == "no intercept":
        params = {"fit_intercept": False}
    else:
        params = {"standardize": True}
    assert_equal_to_fits(X, y, splits_of("shuffled"), weight, rtol=rtol, **LOSSES[loss], **params)
    assert len(fits) <= 2


@pytest.mark.parametrize("loss", ["huber", "absolute error"])
def test_the_path_of_all_rows_is_that_of_fits(table, loss, fits):
    X, y = table
    model = GradientDescentRegressorCV(ALPHAS, cv=3, **LOSSES[loss]).fit(X, y)
    for place, alpha in enumerate(model.alphas_):
        one = GradientDescentRegressor(penalty="l2", alpha=alpha, tol=1e-10, **LOSSES[loss]).fit(X, y)
        assert_allclose(model.coef_path_[place], one.coef_, rtol=1e-6, atol=1e-8)
        assert_allclose(model.intercept_path_[place], one.intercept_, rtol=1e-6)
    assert fits == []  # all rows are near


FREE = {
    "absolute error": {"loss": "absolute_error"},
    "quantile": {"loss": "quantile", "quantile": 0.25},
    "tube": {"loss": "epsilon_insensitive", "epsilon": 0.4},
    "standardized": {"loss": "absolute_error", "standardize": True},
}


@pytest.mark.parametrize("seed", [0, 1, 6])
@pytest.mark.parametrize("params", FREE.values(), ids=FREE)
def test_an_intercept_that_is_free_is_the_middle_of_where_it_may_be(params, seed, fits):
    """With so much L2 no row is at a kink, and any intercept between two residuals will do."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((80, 3))
    y = X[:, 0] + rng.standard_normal(80)
    model = GradientDescentRegressorCV([10.0, 1.0], cv=KFold(4), store_cv_results=True, **params).fit(X, y)
    assert fits == []
    n_free, tube = 0, params.get("epsilon", 0.0)
    for number, (train, _) in enumerate(KFold(4).split(X)):
        for place, alpha in enumerate(model.alphas_):
            one = GradientDescentRegressor(penalty="l2", alpha=alpha, tol=1e-9, **params).fit(X[train], y[train])
            assert_allclose(model.fold_coef_path_[number, place], one.coef_, rtol=1e-7, atol=1e-9)
            assert_allclose(model.fold_intercept_path_[number, place], one.intercept_, rtol=1e-7, atol=1e-9)
            residual = y[train] - one.predict(X[train])
            kinks = np.concatenate([residual - tube, residual + tube])
            if np.abs(kinks).min() > 1e-6:
                n_free += 1
                assert_allclose(kinks[kinks > 0].min(), -kinks[kinks < 0].max(), rtol=1e-7)
    assert n_free > 0


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "params", [{"epochs": 2}, {"optimizer": "newton"}, {"penalty": "l1"}, {"tol": None, "epochs": 3}], ids=str
)
def test_what_does_not_end_there_or_asks_for_a_way_is_fitted(table, params, fits):
    X, y = table
    GradientDescentRegressorCV([0.1], cv=KFold(3), refit=False, **LOSSES["huber"], **params).fit(X, y)
    assert sorted(fits) == [160, 161, 161]


def test_in_several_groups_and_fit_by_fit(table, monkeypatch):
    X, y = table
    params = {"cv": 4, **LOSSES["quantile"]}
    one = GradientDescentRegressorCV(ALPHAS, **params).fit(X, y)
    fits = GradientDescentRegressorCV(ALPHAS, optimizer="newton", **params).fit(X, y)
    monkeypatch.setattr("gdregress.tuning.from_all_rows.ENTRIES", 500)
    groups = GradientDescentRegressorCV(ALPHAS, **params).fit(X, y)
    for name in ("mean_test_score", "std_test_score"):
        assert_allclose(groups.cv_results_[name], one.cv_results_[name], rtol=1e-9)
        assert_allclose(fits.cv_results_[name], one.cv_results_[name], rtol=1e-6)


@pytest.mark.parametrize(
    ("low", "high", "k"), [(-1.0, 1.0, 0.0), (-0.2, 0.9, 0.0), (0.0, np.inf, 0.5), (-1.0, 1.0, 0.5)], ids=str
)
def test_slopes_prove_each_of_several_minima(low, high, k):
    """They balance the quadratic, they are in their boxes, and they fit the residuals."""
    rng = np.random.default_rng(0)
    m, p, n = 70, 4, 3
    A, y = rng.standard_normal((m, p)), 2.0 * rng.standard_normal(m)
    weight = rng.uniform(0.0, 2.0, (m, n)) / m
    root = 0.2 * rng.standard_normal((n, p, p))
    column = (np.full((m, 1), end) for end in (low, high))
    objectives = Objectives(
        WeightedRows(A, y[:, np.newaxis], *column, weight),
        k,
        origin=rng.standard_normal((p, 1)),
        pull=0.1 * rng.standard_normal((p, n)),
        curvature=root @ root.transpose(0, 2, 1) + 0.01 * np.eye(p),
    )
    first = Found.first(objectives, np.zeros((p, 1)), [objectives.second(place) for place in range(n)])
    found = minima(objectives, first)
    assert found.is_closed.all()
    for place, (w, u) in enumerate(zip(found.points.T, found.slopes.T, strict=True)):
        away = w - objectives.origin[:, 0]
        rest = objectives.pull[:, place] - objectives.curvature[place] @ away
        assert_allclose(A.T @ (weight[:, place] * u) + rest, 0.0, atol=1e-13)
        assert u.min() >= low
        assert u.max() <= high
        r = y - A @ w
        slope = np.clip(r / k, low, high) if k else np.where(np.abs(r) < 1e-9, u, np.where(r > 0, high, low))
        assert_allclose(u, slope, atol=1e-8)
        assert (np.abs(r) < 1e-9).sum() <= p
    again = minima(objectives, first._replace(points=found.points))
    assert_allclose(again.points, found.points, atol=1e-9)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:overflow")  # in the standard deviation of such scores
def test_a_loss_that_is_in_range_where_squares_are_not(table):
    X, y = table
    model = GradientDescentRegressorCV(ALPHAS, cv=KFold(3), loss="huber", epsilon=1.0, refit=False).fit(X, 1e200 * y)
    for number, (train, test) in enumerate(KFold(3).split(X)):
        one = GradientDescentRegressor(penalty="l2", alpha=ALPHAS[0], loss="huber", epsilon=1.0)
        score = minus_mean_loss(one.fit(X[train], 1e200 * y[train]), X[test], 1e200 * y[test])
        assert_allclose(model.cv_results_[f"split{number}_test_score"][0], score, rtol=1e-6)


def test_a_grid_that_grows_has_a_path_of_all_rows(table):
    X, y = table
    model = GradientDescentRegressorCV(4, eps=0.5, cv=3, **LOSSES["huber"]).fit(X, y)
    assert len(model.alphas_) > 4
    one = GradientDescentRegressor(penalty="l2", tol=1e-10, **LOSSES["huber"])
    for alpha, coef in zip(model.alphas_, model.coef_path_, strict=True):
        assert_allclose(coef, one.set_params(alpha=alpha).fit(X, y).coef_, rtol=1e-6, atol=1e-9)


def test_a_slope_at_an_end_up_to_rounding_holds_no_row():
    ones = np.ones((3, 1))
    rows = WeightedRows(ones, ones, -ones, ones, np.repeat(ones, 2, axis=1))
    free = Objectives(rows, 0.0, np.zeros((1, 1)), np.zeros((1, 2)), np.zeros((2, 1, 1)))
    slopes = np.array([[1.0, 1.0], [-1.0, 0.5], [1.0 - 1e-15, -1.0]])
    assert free.are_unique(slopes, np.ones(2, bool)).tolist() == [False, True]
    assert free._replace(curvature=np.ones((2, 1, 1))).are_unique(slopes, np.zeros(2, bool)).all()


def test_what_is_beyond_the_range_of_floats_is_given_up_where_it_stands():
    ones = np.ones((3, 1))
    huge = Objectives(
        WeightedRows(1e200 * ones, ones, -ones, ones, np.repeat(ones, 2, axis=1)),
        0.5,
        np.zeros((1, 1)),
        np.zeros((1, 2)),
        np.zeros((2, 1, 1)),
    )
    with np.errstate(all="ignore"):
        first = Found.first(huge, np.zeros((1, 1)), [huge.second(place) for place in range(2)])
        found = minima(huge, first)
    assert not found.is_closed.any()
    assert np.isfinite(found.points).all()
