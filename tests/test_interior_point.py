"""Losses with kinks by an interior point: published digits, linear programs beside it, and a gap that is a bound."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hard_problems import linear_program, objective
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from gdregress import GradientDescentRegressor
from gdregress.method import faces, interior_point
from gdregress.problem import losses
from gdregress.problem.bases import Basis
from gdregress.problem.box_gaps import measured
from gdregress.problem.boxes import BoxProblem
from gdregress.problem.design import Design
from gdregress.problem.problem import Problem
from gdregress.problem.terms import Terms
from gdregress.problem.typical import quantile, typical
from gdregress.rows.gathering import gather
from gdregress.rows.memory import RowBlocks

ENGEL = np.loadtxt(Path(__file__).parent / "data" / "engel.csv", delimiter=",", skiprows=1)
STACK_LOSS = np.array(
    [
        [80, 27, 89, 42],
        [80, 27, 88, 37],
        [75, 25, 90, 37],
        [62, 24, 87, 28],
        [62, 22, 87, 18],
        [62, 23, 87, 18],
        [62, 24, 93, 19],
        [62, 24, 93, 20],
        [58, 23, 87, 15],
        [58, 18, 80, 14],
        [58, 18, 89, 14],
        [58, 17, 88, 13],
        [58, 18, 82, 11],
        [58, 19, 93, 12],
        [50, 18, 89, 8],
        [50, 18, 86, 7],
        [50, 19, 72, 8],
        [50, 19, 79, 8],
        [50, 20, 80, 9],
        [56, 20, 82, 15],
        [70, 20, 91, 15],
    ]
)
"""Brownlee's plant: air flow, water temperature, acid concentration and ten times the percentage of acid lost."""

KINKED = ["absolute_error", "quantile", "epsilon_insensitive"]


@pytest.mark.parametrize(
    ("quantile", "intercept", "slope"),
    [
        (0.05, 124.88004, 0.34336),
        (0.25, 95.48354, 0.47410),
        (0.5, 81.48225, 0.56018),
        (0.75, 62.39659, 0.64401),
        (0.95, 64.10396, 0.70907),
    ],
)
def test_engel(quantile, intercept, slope):
    """Food expenditure of 235 households: the digits that R's quantreg prints."""
    model = GradientDescentRegressor(loss="quantile", quantile=quantile).fit(ENGEL[:, :1], ENGEL[:, 1])
    assert model.converged_
    assert model.intercept_ == pytest.approx(intercept, abs=6e-6)
    assert model.coef_[0] == pytest.approx(slope, abs=6e-6)
    assert (np.abs(model.predict(ENGEL[:, :1]) - ENGEL[:, 1]) < 1e-9).sum() == 2  # two rows lie on the line


def test_stack_loss():
    """The median plane, with the digits that R's quantreg prints; four rows lie on it."""
    X, y = STACK_LOSS[:, :3].astype(float), STACK_LOSS[:, 3].astype(float)
    model = GradientDescentRegressor(loss="absolute_error").fit(X, y)
    np.testing.assert_allclose(model.coef_, [0.83188, 0.57391, -0.06087], atol=6e-6)
    assert model.intercept_ == pytest.approx(-39.68986, abs=6e-6)
    assert (np.abs(model.predict(X) - y) < 1e-9).sum() >= 4


# The certificate


@pytest.mark.filterwarnings("ignore:.* has no effect with")
@pytest.mark.parametrize("params", [{}, {"penalty": "l1", "alpha": 0.05}, {"positive": True}], ids=str)
@pytest.mark.parametrize("loss", KINKED)
def test_optimality_bounds_the_distance_from_the_minimum_at_every_epoch(loss, params):
    rng = np.random.default_rng(2)
    X = rng.standard_normal((80, 6))
    y = X @ rng.standard_normal(6) + rng.standard_t(2, 80)
    given = {"loss": loss, "quantile": 0.8, "epsilon": 0.3, "penalty": None, "alpha": 0.0, "positive": False, **params}
    least = linear_program(X, y, None, {**given, "fit_intercept": True})
    with warnings.catch_warnings(action="ignore"):
        for epochs in range(1, 9):
            model = GradientDescentRegressor(**given, epochs=epochs, tol=None).fit(X, y)
            value = objective(given, X, y, None, model.coef_, model.intercept_)
            scale = max(value, 1e-3 * np.abs(y).mean())  # no row is wild: the typical loss is at most the mean
            assert value - least <= model.optimality_ * scale + 1e-9


@pytest.mark.parametrize("given", [{}, {"penalty": "l1", "alpha": 0.05}, {"positive": True}], ids=str)
@pytest.mark.parametrize("loss", [losses.absolute_error(), losses.quantile_loss(0.8), losses.epsilon_insensitive(0.5)])
def test_the_gap_is_a_bound_whatever_the_slopes(loss, given):
    """Feasible or not, inside their boxes or not: they are projected and drawn together, and what they lack is paid."""
    rng = np.random.default_rng(9)
    X = rng.standard_normal((30, 4))
    y = X @ [1.0, -1.0, 0.5, 0.0] + rng.standard_t(2, 30)
    rows = RowBlocks(X, y[:, np.newaxis])
    terms = Terms(loss, given.get("alpha", 0.0), 0.0, given.get("positive", False), True)
    problem = Problem.of(terms, gather(rows), rows)
    box = BoxProblem.of(problem, Design.of(problem, None), 0)
    name = {1.0: "absolute_error", 0.8: "quantile"}[loss.high] if not loss.has_tube else "epsilon_insensitive"
    params = {"loss": name, "quantile": 0.8, "epsilon": 0.5, "penalty": None, "positive": False, **given}
    least = linear_program(X, y, None, {**params, "fit_intercept": True})
    for size in (0.1, 1.0, 3.0):
        for _ in range(20):
            point = box.allowed(rng.standard_normal(5))
            slope = size * rng.standard_normal(len(box.target))
            found = measured(box, point, box.residual(point), slope, box.pull(slope))
            unit = box.unit * problem.coordinates.target_scale[0]
            assert found.gap * unit >= found.value * unit - least - 1e-9


@pytest.mark.parametrize("given", [{}, {"alpha": 0.05}, {"positive": True}], ids=str)
@pytest.mark.parametrize("loss", [losses.absolute_error(), losses.quantile_loss(0.8), losses.epsilon_insensitive(0.5)])
def test_slopes_that_suit_a_point_are_those_of_the_central_path(loss, given):
    rng = np.random.default_rng(9)
    X = rng.standard_normal((30, 4))
    y = X @ [1.0, -1.0, 0.5, 0.0] + rng.standard_t(1, 30) * 10.0 ** rng.uniform(0, 12, 30)
    rows = RowBlocks(X, y[:, np.newaxis], rng.uniform(0.1, 10, 30))
    terms = Terms(loss, given.get("alpha", 0.0), 0.0, given.get("positive", False), True)
    problem = Problem.of(terms, gather(rows), rows)
    box = BoxProblem.of(problem, Design.of(problem, None), 0)
    point = box.allowed(rng.standard_normal(5))
    state, residual, ends = interior_point.State.near(box, point), box.residual(point), box.capped
    for part in state[1:]:
        assert (part[ends] > 0).all()
    np.testing.assert_allclose((state.room + state.depth)[ends], (box.high - box.low)[ends], rtol=1e-14)
    np.testing.assert_allclose((state.above - state.below)[ends], residual[ends], rtol=1e-9, atol=1e-9)
    products = np.concatenate([(state.room * state.above)[ends], state.depth * state.below])
    mu = products / np.concatenate([box.lightness[ends], box.lightness])
    np.testing.assert_allclose(mu, state.complementarity(box), rtol=1e-12)


@pytest.mark.parametrize("given", [{}, {"alpha": 0.05}, {"positive": True}, {"l2": 0.1}], ids=str)
@pytest.mark.parametrize("loss", [losses.absolute_error(), losses.quantile_loss(0.8), losses.epsilon_insensitive(0.5)])
def test_the_metric_of_the_moments_is_that_of_the_rows(loss, given):
    rng = np.random.default_rng(9)
    X, y = rng.standard_normal((30, 4)) + 3.0, rng.standard_t(2, (30, 1))
    rows = RowBlocks(X, y, rng.integers(0, 4, 30).astype(float))
    terms = Terms(loss, given.get("alpha", 0.0), given.get("l2", 0.0), given.get("positive", False), True)
    problem = Problem.of(terms, gather(rows), rows)
    design = Design.of(problem, None)
    assert problem.view.gram is not None
    boxes = [BoxProblem.of(problem, each, 0) for each in (design, replace(design, basis=Basis(design.basis.rank)))]
    rest, lack = rng.standard_normal(len(boxes[0].target)), rng.standard_normal(5)
    for known, gathered in zip(*(box.metric.solve(rest, lack) for box in boxes), strict=True):
        np.testing.assert_allclose(known, gathered, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n_columns", [5, faces.COSTLY_PIVOTS + 1])
def test_rows_of_a_vertex_are_independent_and_long(n_columns):
    rng = np.random.default_rng(0)
    short = rng.standard_normal((n_columns, n_columns))
    rows = np.vstack([np.tile(rng.standard_normal(n_columns), (n_columns, 1)), 1e-9 * short, short[::-1]])
    chosen = faces._independent(rows)
    assert np.linalg.matrix_rank(rows[chosen]) == n_columns
    assert ((chosen < n_columns) | (chosen >= 2 * n_columns)).all()


def test_wild_rows_do_not_own_the_scale():
    """A tenth of wild rows make the objective a thousand million times that of the others."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1000, 2))
    y = X @ [3.0, -1.0] + rng.standard_normal(1000)
    y[:100] = -2147483648.0
    params = {"loss": "absolute_error", "penalty": None, "positive": False, "fit_intercept": True}
    model = GradientDescentRegressor(loss="absolute_error").fit(X, y)
    assert model.converged_
    value = objective(params, X, y, None, model.coef_, model.intercept_)
    assert value <= linear_program(X, y, None, params) * (1 + 1e-14)
    np.testing.assert_allclose(model.coef_, [3.0, -1.0], atol=0.2)


@pytest.mark.parametrize("apart", [1e-3, 1e-5, 1e-7])
@pytest.mark.parametrize("loss", KINKED)
def test_columns_that_are_all_but_one(loss, apart):
    rng = np.random.default_rng(0)
    x, e, z = rng.standard_normal((3, 200))
    y = x + z + e + rng.standard_normal(200)
    near = GradientDescentRegressor(loss=loss).fit(np.column_stack([x, x + apart * e, z]), y)
    far = GradientDescentRegressor(loss=loss).fit(np.column_stack([x, e, z]), y)
    assert near.converged_
    assert near.history_["loss"][-1] == pytest.approx(far.history_["loss"][-1], rel=1e-6)


# Kinds of data


@pytest.mark.filterwarnings("ignore:.* has no effect with")
@pytest.mark.parametrize("params", [{}, {"penalty": "l1", "alpha": 0.02}, {"penalty": "l2", "alpha": 0.02}], ids=str)
@pytest.mark.parametrize("loss", KINKED)
def test_a_weight_is_a_row_given_so_often(loss, params):
    rng = np.random.default_rng(1)
    X, y, weight = rng.standard_normal((60, 4)), rng.standard_t(2, 60), rng.integers(0, 4, 60)
    model = GradientDescentRegressor(loss=loss, **params).fit(X, y, weight)
    repeated = GradientDescentRegressor(loss=loss, **params).fit(X.repeat(weight, axis=0), y.repeat(weight))
    np.testing.assert_allclose(model.predict(X), repeated.predict(X), atol=1e-5)


@pytest.mark.parametrize("make", [sparse.csr_array, np.asfortranarray, lambda X: X.astype(np.float32)])
@pytest.mark.parametrize("loss", KINKED)
def test_other_containers(loss, make):
    rng = np.random.default_rng(3)
    X = np.round(rng.standard_normal((300, 8)) * (rng.random((300, 8)) < 0.4), 2).astype(np.float32).astype(float)
    y = X @ rng.standard_normal(8) + rng.standard_t(2, 300)
    expected = GradientDescentRegressor(loss=loss).fit(X, y)
    model = GradientDescentRegressor(loss=loss).fit(make(X), y)
    assert model.history_["loss"][-1] == pytest.approx(expected.history_["loss"][-1], rel=1e-6)


def test_blocks_of_a_large_x_give_what_a_small_one_gives(monkeypatch):
    rng = np.random.default_rng(4)
    X, y = rng.standard_normal((3000, 5)) * [1, 10, 0.1, 1, 1] + [5, 0, 0, 0, 0], rng.standard_t(2, 3000)
    params = {"loss": "quantile", "quantile": 0.7, "penalty": "l1", "alpha": 0.01}
    expected = GradientDescentRegressor(**params).fit(X, y)
    monkeypatch.setattr("gdregress.problem.view.COPY_LIMIT", 0)
    monkeypatch.setattr("gdregress.problem.features.CACHED_ENTRIES", 700)
    model = GradientDescentRegressor(**params).fit(X, y)
    np.testing.assert_allclose(model.coef_, expected.coef_, atol=1e-6)
    assert model.n_iter_ == expected.n_iter_


def test_elastic_net_has_exact_zeros():
    rng = np.random.default_rng(5)
    X = rng.standard_normal((200, 30))
    y = X[:, :3] @ [3.0, -2.0, 1.0] + rng.standard_t(2, 200)
    params = {"loss": "absolute_error", "penalty": "elasticnet", "alpha": 0.2, "l1_ratio": 0.7}
    model = GradientDescentRegressor(**params).fit(X, y)
    assert model.converged_
    assert (model.coef_ == 0).sum() >= 20
    assert (np.abs(model.coef_[model.coef_ != 0]) > 1e-3).all()


def test_zeros_are_exact_among_nearly_collinear_columns():
    rng = np.random.default_rng(10)
    X = rng.standard_normal((80, 6))
    X = np.hstack([X, X + 1e-7 * rng.standard_normal(X.shape)])
    y = X[:, 0] - X[:, 1] + rng.standard_t(2, 80)
    model = GradientDescentRegressor(loss="absolute_error", penalty="l1", alpha=0.1).fit(X, y)
    assert model.converged_
    assert (model.coef_ == 0).sum() >= 6


def test_no_epoch_has_a_coefficient_of_the_wrong_sign():
    rng = np.random.default_rng(11)
    X = rng.standard_normal((100, 8))
    y = X @ np.linspace(-2, 2, 8) + rng.standard_t(2, 100)
    model = GradientDescentRegressor(loss="quantile", positive=True, record_path=True).fit(X, y)
    assert model.n_iter_ > 3
    assert (model.history_["coef"] >= 0).all()


@pytest.mark.parametrize("shape", [(200, 3), (1000, 20), (300, 60)])
@pytest.mark.parametrize("loss", KINKED)
def test_a_dozen_epochs(loss, shape):
    """Without the corrector, or with a mu that shrinks slowly, it would be twenty."""
    rng = np.random.default_rng(12)
    X = rng.standard_normal(shape)
    model = GradientDescentRegressor(loss=loss, quantile=0.9 if loss == "quantile" else 0.5)
    assert model.fit(X, X @ rng.standard_normal(shape[1]) + rng.standard_t(2, shape[0])).n_iter_ <= 13


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("loss", [{"loss": "absolute_error"}, {"loss": "epsilon_insensitive", "epsilon": 0.5}], ids=str)
def test_further_correctors_spare_epochs_with_many_coefficients(loss, ties, monkeypatch):
    """The vertex is the same, also where more rows than coefficients lie on it."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2000, 250))
    y = X @ rng.standard_normal(250) + rng.standard_t(2, 2000)
    y = np.round(X[:, 0] + y / 20) if ties else y
    model = GradientDescentRegressor(**loss).fit(X, y)
    monkeypatch.setattr(interior_point, "CORRECTORS", 0)
    monkeypatch.setattr(interior_point, "CLEAR", np.inf)
    plain = GradientDescentRegressor(**loss).fit(X, y)
    assert model.converged_
    assert plain.converged_
    assert model.history_["loss"][-1] == pytest.approx(plain.history_["loss"][-1], rel=1e-9)
    assert model.n_iter_ < plain.n_iter_


def test_where_it_ends_by_itself_the_best_epoch_is_the_last():
    rng = np.random.default_rng(13)
    X = np.vander(rng.uniform(0, 1, 60), 12)
    y = rng.standard_t(2, 60)
    with pytest.warns(ConvergenceWarning, match="rounding allows no better"):
        model = GradientDescentRegressor(loss="absolute_error", penalty="l2", alpha=1e-12, tol=1e-30).fit(X, y)
    assert model.optimality_ == model.history_["optimality"].min()


def test_more_than_five_hundred_columns_with_l1():
    rng = np.random.default_rng(6)
    X = rng.standard_normal((100, 600))
    y = X[:, :3] @ [3.0, -2.0, 1.0] + rng.standard_t(2, 100)
    params = {"loss": "absolute_error", "penalty": "l1", "alpha": 0.1}
    model = GradientDescentRegressor(**params).fit(X, y)
    assert model.converged_
    assert model.n_iter_ <= 30
    least = linear_program(X, y, None, {**params, "positive": False, "fit_intercept": True})
    assert objective(params, X, y, None, model.coef_, model.intercept_) <= least * (1 + 1e-6)


@pytest.mark.parametrize("loss", KINKED)
def test_a_constant_y_and_a_y_that_columns_explain(loss):
    rng = np.random.default_rng(7)
    X = rng.standard_normal((50, 3))
    for y in (np.full(50, 3.0), np.full(50, 1e15), X @ [1.0, 2.0, 3.0] + 4.0):
        model = GradientDescentRegressor(loss=loss).fit(X, y)
        assert model.converged_
        np.testing.assert_allclose(model.predict(X), y, atol=0.11, rtol=1e-12)


def test_it_ends_by_itself_where_no_float_is_nearer():
    rng = np.random.default_rng(8)
    X, y = rng.standard_normal((40, 3)), rng.standard_normal(40)
    model = GradientDescentRegressor(loss="absolute_error", epochs=60, tol=None).fit(X, y)
    assert model.n_iter_ == 60
    assert np.isfinite(model.history_["loss"]).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        assert GradientDescentRegressor(loss="absolute_error", tol=1e-12).fit(X, y).converged_


def test_a_wild_loss_counts_as_ten_ordinary_ones():
    losses = np.where(np.arange(1000) < 100, 1e9, 1.0)
    assert typical(losses, np.full(1000, 1e-3)) == pytest.approx(0.9 + 0.1 * 10.0)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 501])
def test_a_quantile_is_that_of_numpy(n):
    values = np.random.default_rng(n).standard_normal(n)
    for share in (0.0, 0.3, 0.8, 1.0):
        assert quantile(values, share) == pytest.approx(np.quantile(values, share), abs=1e-15)


@pytest.mark.parametrize("given", ["", "weights", "no intercept", "several outputs", "standardize"])
@pytest.mark.parametrize(
    "loss",
    [
        {"loss": "huber", "epsilon": 0.5},
        {"loss": "squared_epsilon_insensitive", "epsilon": 0.5},
        {"loss": "absolute_error"},
        {"loss": "quantile", "quantile": 0.3},
    ],
    ids=str,
)
def test_few_rows_and_columns_of_any_unit(loss, given):
    """With L2 the coefficients are combinations of the rows: those of as many columns as there are rows."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((40, 2100)) * 10.0 ** rng.uniform(-4, 4, 2100), rng.standard_t(2, 40) + 3.0
    y = np.column_stack([y, 5.0 * y[::-1]]) if given == "several outputs" else y
    weight = rng.integers(0, 3, 40) if given == "weights" else None
    params = {"penalty": "l2", "alpha": 1e-2, "standardize": given == "standardize"}
    wide = GradientDescentRegressor(**loss, **params, fit_intercept=given != "no intercept")
    coef = wide.fit(X, y, weight).coef_
    if given != "no intercept":
        X = X - np.average(X, axis=0, weights=weight)
    if given == "standardize":
        deviation = X.std(axis=0)
        X, coef = X / deviation, coef * deviation
    left, values, right = np.linalg.svd(X, full_matrices=False)
    square = clone(wide).set_params(standardize=False).fit(left * values, y, weight)
    assert wide.converged_
    assert square.converged_
    np.testing.assert_allclose(coef, square.coef_ @ right, atol=1e-7 * np.abs(coef).max())


@pytest.mark.parametrize("size", [1e-150, 1.0, 1e150, 1e300])
@pytest.mark.parametrize("loss", ["huber", "quantile"])
def test_few_rows_of_columns_that_are_constant_or_of_any_size(loss, size):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 80)), rng.standard_t(2, 30)
    X[:, 3], X[:, 7], X[:, 9], X[5] = 1.0, 0.0, X[:, 8], X[6]
    model = GradientDescentRegressor(loss=loss, penalty="l2", alpha=0.1).fit(size * X, y)
    assert model.converged_
    assert not model.coef_[[3, 7]].any()
    assert model.coef_[8] == pytest.approx(model.coef_[9], rel=1e-6)


@pytest.mark.parametrize("sparse_format", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("penalty", [{}, {"penalty": "l1"}, {"penalty": "l2"}, {"positive": True}], ids=str)
@pytest.mark.parametrize("loss", ["huber", "squared_epsilon_insensitive", *KINKED])
def test_few_rows_of_zeros_alone_leave_every_coefficient_at_zero(loss, penalty, sparse_format):
    for shape in [(1, 1), (2, 5)]:
        model = GradientDescentRegressor(loss=loss, fit_intercept=False, **penalty)
        model.fit(sparse_format(np.zeros(shape)), np.arange(5.0, 5.0 + shape[0]))
        assert model.converged_
        assert not model.coef_.any()


@pytest.mark.parametrize("penalty", [{}, {"penalty": "l1"}, {"penalty": "l2"}, {"positive": True}], ids=str)
@pytest.mark.parametrize("loss", ["epsilon_insensitive", "squared_epsilon_insensitive"])
def test_a_tube_that_just_contains_all_rows_is_fitted_without_loss(loss, penalty):
    """The best constant has no loss but for rounding, which is no unit to measure a gap in."""
    for y, epsilon in [([0, 0, 0, 2], 1.0), ([0.3, 0.5, 0.3, 0.3], 0.1), ([0.1, 0.1, 0.1, 0.7], 0.3)]:
        model = GradientDescentRegressor(loss=loss, epsilon=epsilon, **penalty).fit(np.arange(4.0)[:, np.newaxis], y)
        assert model.converged_
        assert model.history_["loss"][-1] == pytest.approx(0.0, abs=1e-12)
    for y, epsilon in [([0.3, -0.3, 0.3, 0.3], 0.1 + 0.2), ([-0.3, 0.3, 0.3, 0.3], np.nextafter(0.3, 0.0))]:
        model = GradientDescentRegressor(loss=loss, epsilon=epsilon, fit_intercept=False, **penalty)
        assert model.fit(np.arange(4.0)[:, np.newaxis], y).converged_
