"""epsilon="auto": the scale of the residuals of Huber's loss is fitted along with the coefficients."""

import re
import warnings
from dataclasses import replace
from inspect import currentframe

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse
from scipy.optimize import brentq
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import HuberRegressor
from sklearn.model_selection import GridSearchCV, KFold

from gdregress import GradientDescentRegressor, GradientDescentRegressorCV, LossSurfaceDisplay
from gdregress.method import huber_scale
from gdregress.method.huber_scale import Equations
from gdregress.method.spec import Spec
from gdregress.problem.losses import huber
from gdregress.rows.memory import RowBlocks
from gdregress.solve import scale
from gdregress.solve.scale import at_scale, fit_scale, scale_of, scale_of_constant
from gdregress.solve.solve import solve
from gdregress.tuning import search


def make(n=120, p=4, wild=0.2, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * [1.0, 100.0, 0.01, 5.0][:p] + [0.0, 500.0, 0.1, 0.0][:p]
    y = X @ np.array([1.0, 0.01, 70.0, 0.0][:p]) + rng.normal(size=n)
    is_wild = rng.uniform(size=n) < wild
    y[is_wild] += 30 * rng.normal(size=is_wild.sum())
    return X, y, rng.uniform(0.2, 3.0, n)


def mean_bounded(residual, weight, scale):
    return np.average(np.minimum((residual / scale) ** 2, 1.35**2), weights=weight)


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("wild", [0.0, 0.1, 0.4])
def test_the_scale_of_residuals_solves_its_equation(wild, is_weighted):
    rng = np.random.default_rng(3)
    for n in (1, 2, 5, 100):
        residual = rng.standard_t(1, n) if wild else rng.normal(size=n)
        weight = rng.uniform(0.1, 2.0, n) if is_weighted else None
        scale = scale_of(residual, weight)
        expected = brentq(lambda log, *rows: mean_bounded(*rows, np.exp(log)) - 1.0, -30, 30, (residual, weight), 1e-14)
        assert_allclose(scale, np.exp(expected), rtol=1e-9)
        assert_allclose(scale_of(1e200 * residual, weight), 1e200 * scale, rtol=1e-12)


def test_of_residuals_that_are_mostly_zero_there_is_no_scale():
    assert scale_of(np.zeros(5)) == 0.0
    assert scale_of(np.r_[np.zeros(60), np.ones(40)]) == 0.0
    assert scale_of(np.r_[np.zeros(40), np.ones(60)]) > 0.0


@pytest.mark.parametrize("kind", ["dense", "weighted", "sparse", "float32", "no intercept"])
@pytest.mark.parametrize("penalty", [None, "l2", "l1", "elasticnet"])
def test_both_conditions_hold(penalty, kind):
    """The scale is that of the residuals, and the coefficients are those of Huber's loss for it."""
    X, y, weight = make()
    weight = weight if kind == "weighted" else None
    X = {"sparse": sparse.csr_matrix, "float32": np.float32}.get(kind, np.asarray)(X)
    params = {"loss": "huber", "penalty": penalty, "fit_intercept": kind != "no intercept"}
    params |= {"alpha": 0.1, "standardize": True} if penalty else {}
    model = GradientDescentRegressor(epsilon="auto", **params).fit(X, y, weight)
    near = 1e-4 if kind == "float32" else 1e-8
    assert model.converged_
    assert mean_bounded(y - model.predict(X), weight, model.scale_) == pytest.approx(1.0, abs=near)
    plain = GradientDescentRegressor(epsilon=1.35 * model.scale_, **params).fit(X, y, weight)
    assert_allclose(model.coef_, plain.coef_, rtol=1e-9)


@pytest.mark.parametrize("alpha", [0.0, 3.0])
@pytest.mark.parametrize("is_weighted", [False, True])
def test_it_is_huber_regressor(is_weighted, alpha):
    X, y, weight = make(wild=0.1)
    X, weight = (X - X.mean(axis=0)) / X.std(axis=0), weight if is_weighted else None
    other = HuberRegressor(alpha=alpha, tol=1e-12, max_iter=100_000).fit(X, y, weight)
    total = len(y) if weight is None else weight.sum()
    strength = {"penalty": "l2", "alpha": alpha * other.scale_ / total} if alpha else {}
    model = GradientDescentRegressor(loss="huber", epsilon="auto", **strength).fit(X, y, weight)
    assert_allclose(model.scale_, other.scale_, rtol=2e-3)
    assert_allclose(model.coef_, other.coef_, atol=2e-3)
    assert_allclose(model.intercept_, other.intercept_, atol=2e-3)


@pytest.mark.parametrize("unit", [1e-9, 1e6, 2.0**510])
def test_the_unit_of_y_does_not_count(unit):
    X, y, _ = make()
    one, other = (GradientDescentRegressor(loss="huber", epsilon="auto").fit(X, each) for each in (y, unit * y))
    assert_allclose(other.coef_, unit * one.coef_, rtol=1e-9)
    assert_allclose(other.scale_, unit * one.scale_, rtol=1e-9)


@pytest.mark.parametrize("exact", ["all", "most", "constant", "zero"])
def test_rows_that_are_fitted_exactly(exact):
    X, y, _ = make()
    plane = X @ np.array([1.0, 0.01, 70.0, 0.0]) + 2.0
    y = {"all": plane, "most": np.where(np.arange(len(y)) % 3, plane, y), "constant": 0 * y + 7, "zero": 0 * y}[exact]
    model = GradientDescentRegressor(loss="huber", epsilon="auto").fit(X, y)
    assert model.converged_
    size = np.sqrt(np.mean(y**2)) or 1.0
    assert 1e-8 <= model.scale_ / size <= 1e-6
    if exact == "most":
        assert_allclose(model.coef_, [1.0, 0.01, 70.0, 0.0], atol=1e-5)


@pytest.mark.parametrize(("p", "seed", "n_exact"), [(1, 0, 10), (2, 36, 10), (4, 53, 12)])
def test_the_scale_is_found_where_about_half_the_rows_are_exact(p, seed, n_exact):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(20, p))
    y = X.sum(axis=1)
    y[n_exact:] += 100 * rng.normal(size=20 - n_exact)
    model = GradientDescentRegressor(loss="huber", epsilon="auto").fit(X, y)
    least = 1e-8 * np.sqrt(np.mean(y**2))
    assert model.scale_ == pytest.approx(max(scale_of(y - model.predict(X)), least), rel=1e-6)


@pytest.mark.parametrize(
    "steps", [{"learning_rate": "lipschitz", "epochs": 5}, {"batch_size": 20, "epochs": 3}], ids=str
)
def test_the_scale_is_that_of_the_minimum_however_the_model_descends(steps):
    X, y, _ = make()
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    least = GradientDescentRegressor(loss="huber", epsilon="auto").fit(X, y)
    with warnings.catch_warnings(action="ignore"):
        model = GradientDescentRegressor(loss="huber", epsilon="auto", **steps).fit(X, y)
    assert model.scale_ == pytest.approx(least.scale_, rel=1e-9)
    assert model.n_iter_ == steps["epochs"]


@pytest.mark.parametrize("penalty", [None, "l2", "elasticnet"])
def test_the_history_is_the_way_to_the_coefficients_that_came_with_the_scale(penalty):
    X, y, weight = make()
    params = {"loss": "huber", "penalty": penalty}
    model = GradientDescentRegressor(epsilon="auto", record_path=True, **params).fit(X, y, weight)
    coarse = GradientDescentRegressor(epsilon="auto", tol=0.1, **params).fit(X, y, weight)
    found = fit_scale(Spec.of(model), RowBlocks(X, y[:, np.newaxis], weight), {})
    for each in (model, coarse):  # a point within tol on the way is none to end at
        assert_allclose(each.coef_, found.coef, rtol=1e-12, atol=1e-14)
    assert model.converged_
    assert 2 < len(model.history_["loss"]) <= len(found.path)
    points = list(zip(model.history_["coef"], model.history_["intercept"], strict=True))
    for (coef, intercept), (w, b) in zip(points[:-1], found.path, strict=False):
        assert_allclose([*coef, intercept], [*w, b], rtol=1e-9, atol=1e-12)
    loss = huber(1.35 * model.scale_)
    assert_allclose(
        model.history_["loss"], [np.average(loss.value(y - X @ w - b), weights=weight) for w, b in points], rtol=1e-9
    )
    if penalty is None:
        constant = np.average(loss.value(y - loss.best_constant(y, weight)), weights=weight)
        above = model.history_["loss"] - model.history_["loss"][-1]
        assert_allclose(model.history_["optimality"][:-1], np.sqrt(2.0 * above / constant)[:-1], rtol=1e-3)
    cold = GradientDescentRegressor(epsilon=1.35 * model.scale_, **params, tol=1e-10).fit(X, y, weight)
    assert cold.n_iter_ > 0
    assert_allclose(model.coef_ * X.std(axis=0), cold.coef_ * X.std(axis=0), rtol=1e-7, atol=1e-8)
    assert GradientDescentRegressor(epsilon="auto", epochs=50, **params).fit(X, y, weight).n_iter_ > 0


@pytest.mark.parametrize("params", [{}, {"init": "random", "random_state": 0}, {"warm_start": True}], ids=str)
@pytest.mark.parametrize("penalty", [None, "elasticnet"])
def test_it_begins_there_whatever_else_it_would_begin_at_and_the_specification_says_no_other(penalty, params):
    X, y, weight = make()
    model = GradientDescentRegressor(loss="huber", epsilon="auto", penalty=penalty, **params)
    first = [model.fit(X, y, weight).history_["loss"][0] for _ in range(2)]
    loss = huber(1.35 * model.scale_)
    of_median = np.average(loss.value(y - np.median(y)), weights=weight)
    assert first[0] == pytest.approx(of_median)
    assert (len(model.history_["loss"]) == 1) == model.warm_start
    assert (first[1] == pytest.approx(of_median)) != model.warm_start
    spec = Spec.of(model)
    there = at_scale(spec, RowBlocks(X, y[:, np.newaxis], weight), {})
    assert there.spec == spec.at_scale(there.found["scale_"])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_more_columns_than_rows(penalty, seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(40, 60))
    y = X[:, :3].sum(axis=1) + rng.standard_t(2, 40)
    model = GradientDescentRegressor(loss="huber", epsilon="auto", penalty=penalty, alpha=0.1).fit(X, y)
    assert model.converged_
    assert mean_bounded(y - model.predict(X), None, model.scale_) == pytest.approx(1.0, abs=1e-7)


@pytest.mark.parametrize("kind", ["dense", "weighted", "sparse", "float32", "far from zero", "clean"])
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"penalty": "l2", "alpha": 0.1},
        {"penalty": "l2", "alpha": 3.0, "standardize": True},
        {"penalty": "l2", "alpha": 0.1, "fit_intercept": False},
        {"penalty": "l1", "alpha": 0.1, "standardize": True},
        {"penalty": "l1", "alpha": 0.05, "fit_intercept": False},
        {"penalty": "elasticnet", "alpha": 0.5, "l1_ratio": 0.5},
        {"positive": True},
    ],
    ids=str,
)
def test_newton_finds_what_alternation_finds(monkeypatch, params, kind):
    """With weights of zero too, from zero and from the last fit, without a fit on the way."""
    X, y, weight = make(wild=0.0 if kind == "clean" else 0.2)
    weight = weight * (np.arange(len(y)) % 5 > 0) if kind == "weighted" else None
    X = {"sparse": sparse.csr_matrix, "float32": np.float32}.get(kind, np.asarray)(X)
    X = X + 1e5 if kind == "far from zero" and "fit_intercept" not in params else X
    params = {"loss": "huber", "epsilon": "auto", **params}
    with monkeypatch.context() as patch:
        patch.setattr("gdregress.solve.scale.descend_with_scale", lambda *given: None)
        slow = GradientDescentRegressor(**params).fit(X, y, weight)
    monkeypatch.setattr("gdregress.solve.scale.solve", None)
    fast = GradientDescentRegressor(**params, warm_start=True).fit(X, y, weight)
    for _ in range(2):
        assert_allclose(fast.scale_, slow.scale_, rtol=1e-9)
        assert_allclose(fast.coef_, slow.coef_, rtol=1e-4 if kind == "float32" else 1e-7, atol=1e-12)
        fast.fit(X, y, weight)


def with_categories(seed, *rows_of_each):
    """Numbers beside a column for each value of some texts, all of them, so that the columns are collinear."""
    rng = np.random.default_rng(seed)
    codes = [rng.permutation(np.repeat(np.arange(len(counts)), counts)) for counts in rows_of_each]
    indicators = [np.eye(len(counts))[of_rows] for counts, of_rows in zip(rows_of_each, codes, strict=True)]
    X = np.hstack([rng.normal(size=(sum(rows_of_each[0]), 2)) * [1.0, 100.0], *indicators])
    return X, X @ rng.normal(size=X.shape[1]) / X.std(axis=0).max() + rng.standard_t(3, len(X))


def alternated(monkeypatch, X, y, **params):
    """How many fits the scale takes with Newton's method and without, where it comes to the same."""
    fits = []
    monkeypatch.setattr("gdregress.solve.scale.solve", lambda *given: fits.append(1) or solve(*given))
    model = GradientDescentRegressor(loss="huber", epsilon="auto", **params).fit(X, y)
    n_fits = len(fits)
    monkeypatch.setattr("gdregress.solve.scale.descend_with_scale", lambda *given: None)
    slow = GradientDescentRegressor(loss="huber", epsilon="auto", **params).fit(X, y)
    assert_allclose(model.scale_, slow.scale_, rtol=1e-9)
    assert model.converged_
    return n_fits, len(fits) - n_fits


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"penalty": "l1", "alpha": 1e-2, "standardize": True},
        {"penalty": "l1", "alpha": 1e-4, "standardize": True},
        {"penalty": "l1", "alpha": 1e-3, "fit_intercept": False},
        {"penalty": "elasticnet", "alpha": 1e-3},
        {"positive": True},
    ],
    ids=str,
)
def test_newton_finds_the_scale_of_columns_that_are_collinear(monkeypatch, params):
    X, y = with_categories(0, [60, 50, 40, 50], [80, 70, 50])
    n_fits, n_without = alternated(monkeypatch, X, y, **params)
    assert (n_fits, n_without > 3) == (0, True)


@pytest.mark.parametrize("params", [{}, {"penalty": "l1", "alpha": 1e-4, "standardize": True}], ids=str)
@pytest.mark.parametrize("seed", range(2))
def test_where_no_row_of_a_category_is_on_the_parabola_newton_follows_a_fit(monkeypatch, seed, params):
    """Nothing ends a step along such a column; after a fit one of its rows is there."""
    X, y = with_categories(seed, [150, 48, 2])
    y[X[:, -1] == 1] += 1e3
    n_fits, n_without = alternated(monkeypatch, X, y, **params)
    assert 1 <= n_fits <= 2 < n_without


def test_a_penalty_that_overflows_in_units_of_the_columns_leaves_the_best_constant():
    X, y, _ = make()
    model = GradientDescentRegressor(loss="huber", epsilon="auto", penalty="l2", alpha=1e250).fit(1e-160 * X, y)
    assert_allclose(model.scale_, scale_of_constant(y, None, fit_intercept=True), rtol=1e-9)
    assert not model.coef_.any()


def test_a_scale_that_is_not_found_is_said(monkeypatch):
    X, y, _ = make()
    monkeypatch.setattr("gdregress.solve.scale.ROUNDS", 2)
    model = GradientDescentRegressor(loss="huber", epsilon="auto", penalty="l1", alpha=0.1)
    with warnings.catch_warnings(action="error"):
        model.fit(X, y)
    monkeypatch.setattr("gdregress.solve.scale.descend_with_scale", lambda *given: None)
    with pytest.warns(ConvergenceWarning, match="the scale of the residuals is not found"):
        model.fit(X, y)
    assert not model.converged_


def test_an_interrupt_while_the_scale_is_looked_for_is_not_lost(monkeypatch):
    X, y, _ = make()
    calls = []

    def interrupted(*args, **kwargs):
        calls.append(args)
        result = solve(*args, **kwargs)
        return replace(result, interrupt=KeyboardInterrupt()) if len(calls) == 2 else result

    monkeypatch.setattr("gdregress.solve.scale.solve", interrupted)
    monkeypatch.setattr("gdregress.solve.scale.descend_with_scale", lambda *given: None)
    with pytest.raises(KeyboardInterrupt):
        GradientDescentRegressor(loss="huber", epsilon="auto", penalty="l1").fit(X, y)
    assert len(calls) == 2


def test_the_scale_of_a_constant():
    _, y, weight = make()
    model = GradientDescentRegressor(loss="huber", epsilon="auto").fit(np.zeros((len(y), 1)), y, weight)
    assert scale_of_constant(y, weight, fit_intercept=True) == pytest.approx(model.scale_, rel=1e-8)
    assert scale_of_constant(y, weight, fit_intercept=False) == pytest.approx(scale_of(y, weight))


def test_in_a_search_each_fit_has_its_own():
    X, y, _ = make()
    alphas, params = [1.0, 0.01], {"loss": "huber", "epsilon": "auto", "penalty": "l1"}
    grid_search = GridSearchCV(
        GradientDescentRegressor(**params), {"alpha": alphas}, cv=3, scoring="neg_mean_absolute_error"
    ).fit(X, y)
    with warnings.catch_warnings(action="ignore"):
        model = GradientDescentRegressorCV(alphas, cv=3, **params).fit(X, y)
        grid = GradientDescentRegressorCV(3, cv=3, **params).fit(X, y)
    assert_allclose(model.cv_results_["mean_test_score"], grid_search.cv_results_["mean_test_score"], rtol=1e-5)
    assert model.scale_ == pytest.approx(grid_search.best_estimator_.scale_, rel=1e-6)
    assert not grid.coef_path_[0].any()


@pytest.mark.filterwarnings("ignore:the best alpha")
@pytest.mark.parametrize(
    "params",
    [
        {"penalty": "l2"},
        {"penalty": "l1", "standardize": True},
        {"penalty": "elasticnet", "l1_ratio": 0.5, "positive": True},
        {"penalty": "l2", "fit_intercept": False},
    ],
    ids=lambda params: "-".join(map(str, params)),
)
def test_along_a_path_one_fit_is_enough(monkeypatch, params):
    """The strengths that follow start Newton's method for coefficients and scale, which ends at the same points."""
    X, y, weight = make()
    alphas, params = np.geomspace(1.0, 0.001, 8), {"loss": "huber", "epsilon": "auto", **params}
    splits = list(KFold(3).split(X))
    fits, fitted, rounds, one_round = [], search.fitted_point, [], huber_scale._round
    monkeypatch.setattr(search, "fitted_point", lambda *given: fits.append(1) or fitted(*given))
    monkeypatch.setattr(huber_scale, "_round", lambda *given: rounds.append(1) or one_round(*given))
    model = GradientDescentRegressorCV(alphas, cv=splits, store_cv_results=True, **params).fit(X, y, weight)
    assert len(fits) == len(splits) + 1
    assert len(rounds) < 4 * len(alphas) * len(fits)
    for number, (train, _) in enumerate([*splits, (slice(None), None)]):
        for place, alpha in enumerate(alphas):
            one = GradientDescentRegressor(alpha=alpha, tol=1e-9, **params).fit(X[train], y[train], weight[train])
            paths = (model.fold_coef_path_, model.fold_intercept_path_) if number < len(splits) else ()
            coef, intercept = (path[number] for path in paths) if paths else (model.coef_path_, model.intercept_path_)
            spread = X[train].std(axis=0)
            assert_allclose(coef[place] * spread, one.coef_ * spread, rtol=1e-6, atol=1e-7)
            assert_allclose(intercept[place], one.intercept_, rtol=1e-6, atol=1e-6)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore:the best alpha")
@pytest.mark.parametrize("asked", [{"epochs": 2}, {"optimizer": "nesterov"}], ids=lambda asked: "".join(asked))
def test_a_path_that_is_asked_for_more_than_the_minimum_consists_of_fits(monkeypatch, asked):
    X, y, _ = make()
    fits, fitted = [], search.fitted_point
    monkeypatch.setattr(search, "fitted_point", lambda *given: fits.append(1) or fitted(*given))
    params = {"loss": "huber", "epsilon": "auto", "scoring": "r2", "cv": 3, **asked}
    GradientDescentRegressorCV([1.0, 0.3, 0.5], **params).fit(X, y)
    assert len(fits) == 4 * 3


def test_newton_goes_on_where_most_rows_are_on_lines(monkeypatch):
    """Far from the solution the equation of the scale is one of a parabola that bends the other way."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(300, 6))
    y = X @ rng.normal(size=6) * 3 + rng.standard_t(2, size=300)
    bends, solve_for = [], Equations._of_signs
    monkeypatch.setattr(Equations, "_of_signs", lambda self, *a: bends.append(bend(self, *a)) or solve_for(self, *a))
    monkeypatch.setattr("gdregress.solve.scale.solve", None)
    for alpha in np.geomspace(3.0, 0.01, 12):
        GradientDescentRegressor(loss="huber", epsilon="auto", penalty="l1", alpha=alpha).fit(X, y)
    assert min(bends) < 0


def bend(equations, active, sign):
    """Return what sigma^2 is multiplied with, once the coefficients are on their line in sigma."""
    if not active.any():
        return equations.bend
    some = np.ix_(active, active)
    along = np.linalg.solve(equations.curved[some], equations.pull[active])
    return equations.bend - along @ equations.second[some] @ along


def test_the_surface_is_that_of_the_scale_that_was_found():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    X, y, _ = make(p=2)
    params = {"loss": "huber", "epsilon": "auto", "record_path": True}
    model = GradientDescentRegressor(**params).fit(X, y)
    display = LossSurfaceDisplay.from_estimator(model, X, y)
    assert display.path_objective[-1] == pytest.approx(model.history_["loss"][-1])
    matplotlib.pyplot.close("all")


REFUSED = [
    (
        lambda X, y: GradientDescentRegressor(loss="epsilon_insensitive", epsilon="auto").fit(X, y),
        "epsilon='auto' is the scale of residuals for loss=",
    ),
    (
        lambda X, y: GradientDescentRegressor(loss="huber", epsilon="auto").fit(X, np.column_stack([y, y])),
        "epsilon='auto' fits the scale of one target, but y has 2: give epsilon a number",
    ),
    (
        lambda X, y: GradientDescentRegressor(loss="huber", epsilon="wide").fit(X, y),
        "must be a float in the range [0, inf) or 'auto'. Got 'wide' instead.",
    ),
]


@pytest.mark.parametrize(("act", "sentence"), REFUSED, ids=["loss", "targets", "word"])
def test_what_it_does_not_take(act, sentence):
    X, y, _ = make()
    with pytest.raises(ValueError, match=re.escape(sentence)):
        act(X, y)


def test_streams_and_blocks_have_no_scale():
    X, y, _ = make()
    model = GradientDescentRegressor(loss="huber", epsilon="auto")
    assert not hasattr(model, "partial_fit")
    dask = pytest.importorskip("dask.array")
    with pytest.raises(ValueError, match="epsilon='auto' needs the residuals of rows in memory, and those of dask"):
        model.fit(dask.from_array(X, chunks=(50, 4)), y)


class TestWhatIsSaid:
    SMALL = r"epsilon=0.1 is far below the residuals, whose mean size is .*: set epsilon='auto', or a number"

    @staticmethod
    def said(X, y, weight=None, **params):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            here = currentframe().f_lineno
            GradientDescentRegressor(**{"loss": "huber", **params}).fit(X, y, weight)
        assert all((warning.filename, warning.lineno) == (__file__, here + 1) for warning in caught)
        return [str(warning.message) for warning in caught]

    @pytest.mark.parametrize("m", [1, 2])
    @pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
    def test_an_epsilon_of_another_unit(self, kind, m):
        X, y, weight = make(wild=0.0)
        several = np.column_stack([y, -y][:m]).squeeze()
        assert self.said(kind(X), several, weight) == []
        [sentence] = self.said(kind(X), 1e3 * several, weight)
        assert re.match(self.SMALL, sentence)

    def test_that_it_matters_is_known_from_most_residuals_and_not_from_their_mean(self):
        X, y, _ = make(wild=0.0)
        y[:3] += 1e6
        assert self.said(X, y) == []

    @pytest.mark.parametrize(
        "params",
        [{"epsilon": "auto"}, {"epsilon": 500.0}, {"loss": "absolute_error"}, {"epochs": 2, "tol": None}],
        ids=str,
    )
    def test_nothing_where_it_does_not_matter(self, params):
        X, y, _ = make(wild=0.0)
        assert self.said(X, 1e3 * y, **params) == []

    def test_once_in_a_search_of_our_own_with_its_last_fit(self):
        X, y, _ = make(wild=0.0)
        model = GradientDescentRegressorCV([1e-4], cv=2, loss="huber", penalty="l1")
        with pytest.warns(UserWarning, match=self.SMALL) as caught:
            model.fit(X, 1e3 * y)
        assert len(caught) == 1

    def test_what_was_fitted_stays_where_it_is_an_error(self):
        X, y, _ = make(wild=0.0)
        model = GradientDescentRegressor(loss="huber")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(UserWarning, match=self.SMALL):
                model.fit(X, 1e3 * y)
        assert model.converged_
        assert model.coef_.shape == (4,)

    def test_nothing_of_the_fits_of_a_display(self):
        X, y, _ = make(p=3, wild=0.0)
        X = (X - X.mean(axis=0)) / X.std(axis=0)
        model = GradientDescentRegressor(0.1, 20, loss="huber", tol=None, record_path=True).fit(X, 1e3 * y)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            LossSurfaceDisplay.from_estimator(model, X, 1e3 * y, resolution=3)

    def test_no_scale_where_the_coefficients_fit_every_row(self):
        X, y, _ = make(n=5)
        assert self.said(X[:, :2], y, epsilon="auto", penalty="l2", alpha=0.1) == []
        [sentence] = self.said(X, y, epsilon="auto")
        assert sentence.startswith("epsilon='auto' finds no scale of the residuals, since there are no more rows than")
        assert self.said(np.tile(X, 2), y, epsilon="auto", penalty="l2", alpha=0.1) == []
        X = make()[0]
        assert self.said(X, X[:, 0], epsilon="auto") == []  # fitted exactly, but not whatever the targets are


@pytest.mark.parametrize("alpha", [1e-2, 1e-3, 1e-4, 1e-5, 1e-6])
def test_residuals_far_smaller_than_y_have_a_scale_with_all_their_digits(monkeypatch, alpha):
    """Of an exact y L1 leaves residuals, in proportion to its strength. Newton finds their scale without a fit."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 4))
    y = X @ [1.0, 2.0, 3.0, 1.0]
    monkeypatch.setattr("gdregress.solve.scale.solve", None)
    params = {"loss": "huber", "epsilon": "auto", "penalty": "l1", "standardize": True}
    weak, strong = (GradientDescentRegressor(**params, alpha=each).fit(X, y).scale_ for each in (alpha, 0.01))
    assert_allclose(weak / alpha, strong / 0.01, rtol=1e-10 + np.finfo(float).eps * np.abs(y).max() / weak)


class TestMostTargetsEqual:
    """Where most targets are equal, strong L1 leaves residuals of zero, and the least scale fits the others to them."""

    @staticmethod
    def counts():
        rng = np.random.default_rng(1)
        X = rng.normal(size=(400, 6))
        return X, rng.poisson(np.exp(0.8 * X[:, 0] - 0.5 * X[:, 1] - 1.0)).astype(float)

    def test_a_path_does_not_stay_at_the_least_scale(self):
        X, y = self.counts()
        alphas = [1.0, 0.1, 0.01, 0.001]
        model = GradientDescentRegressor(loss="huber", epsilon="auto", penalty="l1")
        with warnings.catch_warnings(action="ignore"):
            search = GradientDescentRegressorCV(
                alphas, loss="huber", epsilon="auto", penalty="l1", cv=5, scoring="neg_mean_squared_error"
            ).fit(X, y)
            cold = [model.set_params(alpha=alpha).fit(X, y).coef_ for alpha in alphas]
        assert not cold[0].any()
        assert cold[-1].all()
        assert_allclose(search.coef_path_, cold, atol=1e-8)

    def test_a_warm_start_does_not_stay_there_and_the_scale_is_said_to_be_missing(self):
        X, y = self.counts()
        model = GradientDescentRegressor(loss="huber", epsilon="auto", penalty="l1", alpha=1.0, warm_start=True)
        with pytest.warns(UserWarning, match="finds no scale of the residuals, since most of them are zero"):
            model.fit(X, y)
        assert not model.coef_.any()
        warm = model.set_params(alpha=0.01).fit(X, y).coef_
        assert_allclose(warm, clone(model).fit(X, y).coef_, atol=1e-8)

    @pytest.mark.parametrize("level", [0.0, 3.0])
    @pytest.mark.parametrize("is_weighted", [False, True])
    @pytest.mark.parametrize("penalty", [None, "l2", "l1"])
    def test_it_is_said_with_and_without_a_penalty(self, penalty, is_weighted, level):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(500, 3))
        y = level + np.where(rng.uniform(size=500) < 0.84, 0.0, 10.0 * np.abs(X @ [1.0, 2.0, 0.0]))
        weight = np.where(y == level, 1.0, 0.5) if is_weighted else None
        model = GradientDescentRegressor(loss="huber", epsilon="auto", penalty=penalty)
        with pytest.warns(UserWarning, match="finds no scale") as caught:
            model.fit(X, y, weight)
        assert [str(warning.message) for warning in caught] == [
            "epsilon='auto' finds no scale of the residuals, since most of them are zero: give epsilon a number, in "
            "units of y."
        ]

    def test_coefficients_that_fit_most_rows_are_a_find(self):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(500, 3))
        y = X @ [1.0, 2.0, 0.5] + np.where(rng.uniform(size=500) < 0.84, 0.0, 100.0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model = GradientDescentRegressor(loss="huber", epsilon="auto").fit(X, y)
        assert_allclose(model.coef_, [1.0, 2.0, 0.5], atol=1e-5)

    def test_a_constant_target_has_no_scale_and_nothing_is_said(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            GradientDescentRegressor(loss="huber", epsilon="auto").fit(make()[0], np.full(120, 3.0))


@pytest.mark.parametrize(
    ("loss", "has_epsilon"), [("huber", True), ("epsilon_insensitive", True), ("absolute_error", False)]
)
def test_epsilon_as_used_is_an_attribute_of_the_losses_that_have_one(loss, has_epsilon):
    X, y, _ = make()
    model = GradientDescentRegressor(loss=loss, epsilon=0.5 if has_epsilon else 0.1)
    for fit in (model.fit, model.partial_fit):
        assert getattr(fit(X, y), "epsilon_", None) == (0.5 if has_epsilon else None)
    model.set_params(loss="squared_error", epsilon=0.1).fit(X, y)
    assert not hasattr(model, "epsilon_")


def test_epsilon_as_used_follows_from_the_scale():
    X, y, _ = make()
    model = GradientDescentRegressor(loss="huber", epsilon="auto").fit(X, y)
    assert model.epsilon_ == 1.35 * model.scale_


@pytest.mark.parametrize("alpha", [1.0, 0.1])
def test_on_more_columns_than_rows_the_support_foretells_the_scale(monkeypatch, alpha):
    """By secants alone some ten fits are made."""
    rng, n_fits = np.random.default_rng(0), []
    X = rng.normal(size=(45, 400))
    y = X[:, :5] @ [3.0, -2.0, 1.0, 4.0, 1.0] + rng.normal(size=45)

    def counted(*args, **given):
        n_fits.append(1)
        return solve(*args, **given)

    monkeypatch.setattr(scale, "solve", counted)
    model = GradientDescentRegressor(loss="huber", epsilon="auto", penalty="l1", alpha=alpha).fit(X, y)
    assert model.converged_
    assert_allclose(scale_of(y - model.predict(X)), model.scale_, rtol=1e-9)
    assert len(n_fits) <= 6


@pytest.mark.parametrize("seed", [6, 8, 15])
def test_a_scale_far_below_y_has_no_more_digits_than_residuals(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(15, 24))
    y = X[:, :3].sum(axis=1) + rng.normal(size=15)
    far = GradientDescentRegressor(loss="huber", epsilon="auto", penalty="l1", alpha=0.01).fit(X, y + 1e6)
    assert far.converged_
    assert far.scale_ == pytest.approx(clone(far).fit(X, y).scale_, rel=1e-7)
