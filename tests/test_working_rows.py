"""Tall data and losses with kinks: rows far from a kink count as a few means, and the minimum is that of all rows."""

import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from small_blocks import SmallBlocks

from gdregress import GradientDescentRegressor
from gdregress.method import assembly, working_rows
from gdregress.method.working_rows import BROUGHT_SHARE, ROWS_EACH, Round, WorkingRows, pays, restricted, sample_size
from gdregress.problem import losses
from gdregress.problem.boxes import BoxProblem
from gdregress.problem.design import Design
from gdregress.problem.near import Nearness, NearRows
from gdregress.problem.problem import Problem
from gdregress.problem.residuals import Residuals
from gdregress.problem.terms import Terms
from gdregress.rows.gathering import gather
from gdregress.rows.memory import RowBlocks

LOSSES = [
    {"loss": "absolute_error"},
    {"loss": "quantile", "quantile": 0.95},
    {"loss": "quantile", "quantile": 0.02},
    {"loss": "epsilon_insensitive", "epsilon": 0.5},
]


def tall(n=30_000, p=3):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, p)) * [1.0, 100.0, 1e-3] + [0.0, 50.0, 0.0]
    return X, X @ [1.0, 0.02, 500.0] + np.exp(rng.standard_normal(n)) * rng.standard_normal(n)


def both(monkeypatch, params, X, y, weight=None, rounds_at_most=6):
    """The fit by working rows, and by an interior point method on all of them."""
    rounds = GradientDescentRegressor(**params).fit(X, y, weight)
    with monkeypatch.context() as patch:
        patch.setattr(assembly, "pays", lambda n, p: False)
        whole = GradientDescentRegressor(**params).fit(X, y, weight)
    assert rounds.converged_
    assert whole.converged_
    assert rounds.n_iter_ <= rounds_at_most
    return rounds, whole


@pytest.mark.parametrize("given", ["", "weights", "CSR", "float32"])
@pytest.mark.parametrize("params", LOSSES, ids=str)
def test_the_vertex_is_that_of_all_rows(monkeypatch, params, given):
    X, y = tall()
    weight = np.random.default_rng(1).integers(0, 4, len(y)).astype(float) if given == "weights" else None
    X = {"CSR": sparse.csr_array, "float32": np.float32}.get(given, np.asarray)(X)
    rounds, whole = both(monkeypatch, params, X, y, weight)
    np.testing.assert_allclose(
        rounds.predict(X), whole.predict(X), rtol=1e-6, atol=1e-6 if given == "float32" else 1e-9
    )


@pytest.mark.parametrize("params", LOSSES, ids=str)
@pytest.mark.parametrize(
    "penalty", [{"penalty": "l1", "alpha": 1e-3}, {"penalty": "l2", "alpha": 1e-3}, {"positive": True}], ids=str
)
def test_penalties(monkeypatch, params, penalty):
    X, y = tall()
    rounds, whole = both(monkeypatch, {**params, **penalty}, X, y)
    np.testing.assert_allclose(rounds.predict(X), whole.predict(X), rtol=1e-7, atol=1e-8)
    np.testing.assert_array_equal(rounds.coef_ == 0, whole.coef_ == 0)


def test_several_outputs(monkeypatch):
    X, y = tall()
    rounds, whole = both(monkeypatch, {"loss": "absolute_error"}, X, np.column_stack([y, y**2]))
    np.testing.assert_allclose(rounds.predict(X), whole.predict(X), rtol=1e-8, atol=1e-8)


def test_a_sample_that_is_unlike_the_other_rows(monkeypatch):
    """The sample lies on another plane, so that most rows are on the wrong side of the first solution."""
    X, y = tall()
    y[:: len(y) // sample_size(len(y), 4)] = X[:: len(y) // sample_size(len(y), 4)] @ [-9.0, 3.0, 0.0] + 100.0
    rounds, whole = both(monkeypatch, {"loss": "absolute_error"}, X, y, rounds_at_most=20)
    np.testing.assert_allclose(rounds.predict(X), whole.predict(X), rtol=1e-8, atol=1e-8)


def test_ties(monkeypatch):
    """Integers, of which hundreds lie on the plane: the minimum may be a face, but there is one least objective."""
    rng = np.random.default_rng(2)
    X = rng.integers(0, 5, (30_000, 3)).astype(float)
    y = X @ [1.0, 2.0, -1.0] + rng.integers(-3, 4, 30_000)
    rounds, whole = both(monkeypatch, {"loss": "absolute_error"}, X, y, rounds_at_most=10)
    assert rounds.history_["loss"][-1] == pytest.approx(whole.history_["loss"][-1], rel=1e-12)


@pytest.mark.parametrize("params", LOSSES, ids=str)
def test_a_loss_of_zero(params):
    X, y = tall()
    for targets in (np.full(len(y), 3.0), np.where(y > 0, 0.1, -0.1) if "epsilon" in params else np.zeros(len(y))):
        model = GradientDescentRegressor(**params).fit(X, targets)
        assert model.converged_
        assert model.history_["loss"][-1] == 0


@pytest.mark.parametrize("seed", range(20))
def test_ties_of_rounded_targets_and_few_different_rows(monkeypatch, seed):
    rng = np.random.default_rng(seed)
    x = (rng.random((4000, 1)) < 0.5).astype(float)
    y = np.round(x[:, 0] * rng.standard_normal() + rng.standard_normal(4000) * rng.choice([0.3, 0.5, 1]))
    rounds, whole = both(monkeypatch, {"loss": "absolute_error"}, x, y, rounds_at_most=30)
    assert rounds.history_["loss"][-1] == pytest.approx(whole.history_["loss"][-1], rel=1e-12)


def test_a_sample_of_wild_rows_of_hardly_a_weight():
    X, y = tall()
    step, weight = len(y) // sample_size(len(y), 4), np.ones(len(y))
    weight[::step] = 1e-9
    y[::step] = 1e9 * np.random.default_rng(0).standard_normal(len(y[::step]))
    model = GradientDescentRegressor(loss="absolute_error", tol=1e-3).fit(X, y, weight)
    least = GradientDescentRegressor(loss="absolute_error").fit(X[weight == 1], y[weight == 1])
    assert model.converged_
    np.testing.assert_allclose(model.predict(X), least.predict(X), atol=1e-2)


def test_an_optimal_start_that_the_other_solver_proves():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((8000, 1)) * (rng.random((8000, 1)) < 0.1), rng.standard_normal(8000)
    y[np.flatnonzero(x[:, 0] == 0)[:100]] = 1e3
    model = GradientDescentRegressor(loss="epsilon_insensitive", epsilon=10.0, fit_intercept=False).fit(x, y)
    assert model.converged_
    assert model.n_iter_ == 0


@pytest.mark.parametrize("most", [0, 5, 10**6])
def test_no_more_near_rows_are_kept_than_may_be_brought(most):
    X, y = tall(3000)
    rows = SmallBlocks(X, y[:, np.newaxis], block_rows=100, n_threads=2)
    problem = Problem.of(Terms(losses.absolute_error(), 0.0, 0.0, False, True), gather(rows), rows)
    residuals = Residuals(problem.coordinates, np.zeros((4, 1)))
    seen = rows.sum(lambda: NearRows(residuals, losses.absolute_error(), Nearness(np.inf, most, np.inf))).joined()
    assert seen.count[0] == 3000
    assert len(seen.near) == {0: 0, 5: 0, 10**6: 3000}[most]  # blocks of a hundred rows, as a whole or not at all


@pytest.mark.parametrize("loss", [losses.absolute_error(), losses.quantile_loss(0.9), losses.epsilon_insensitive(0.3)])
def test_means_are_below_the_objective_and_equal_where_no_row_has_changed_its_line(loss):
    X, y = tall(2000)
    rows = RowBlocks(X, y[:, np.newaxis])
    problem = Problem.of(Terms(loss, 0.0, 0.0, False, True), gather(rows), rows)
    box = BoxProblem.of(problem, Design.of(problem, None), 0)
    rng = np.random.default_rng(3)
    here = 0.1 * rng.standard_normal(4)
    distance = 0.1 * float(np.quantile(np.abs(y), 0.3)) / problem.coordinates.target_scale[0]
    in_units = loss.in_units(problem.coordinates.target_scale[0])
    residuals = Residuals(problem.coordinates, here[:, np.newaxis])
    seen = problem.view.scaled.sum(lambda: NearRows(residuals, in_units, Nearness(distance, 10**6, np.inf))).joined()
    few = restricted(problem, seen, 0, None)
    assert 4 < seen.count[0] < 1000
    assert few.design.rows.n_samples <= seen.count[0] + 3

    def value(problem, point):
        point = problem.of_point(point)
        at = problem.residual(point)
        return problem.iterate(point, at, problem.slopes(at), 0.0).value * problem.unit

    assert value(few, here) == pytest.approx(value(box, here), rel=1e-13)
    assert seen.losses[0] / 2000 == pytest.approx(value(box, here), rel=1e-13)
    for size in (1e-6, 1e-2, 1.0):
        for _ in range(10):
            point = here + size * rng.standard_normal(4)
            assert value(few, point) <= value(box, point) * (1 + 1e-13)
    far = here + 3.0
    assert value(few, far) < 0.999 * value(box, far)


@pytest.mark.parametrize(("n", "faster"), [(9200, False), (9250, True)])
def test_where_it_pays_there_are_rounds(monkeypatch, n, faster):
    """From 64 times the square of the number of coefficients on, a round has at most a quarter of the rows."""
    assert (sample_size(n, 12) <= BROUGHT_SHARE * n) == faster
    X, y = np.random.default_rng(4).standard_normal((n, 11)), np.random.default_rng(5).standard_normal(n)
    rounds = []
    monkeypatch.setattr(assembly, "narrows", lambda n, rank: False)
    monkeypatch.setattr(working_rows, "restricted", lambda *given: rounds.append(1) or restricted(*given))
    GradientDescentRegressor(loss="absolute_error").fit(X, y)
    assert bool(rounds) == faster


@pytest.mark.parametrize("params", LOSSES, ids=str)
@pytest.mark.parametrize("penalty", [{}, {"penalty": "l1"}, {"positive": True}], ids=str)
def test_from_a_start_that_is_near_no_sample_is_solved(monkeypatch, params, penalty):
    """The minimum is that of all rows, and few rows are solved on the way from one strength to the next."""
    X, y = tall(4000)
    assert pays(4000, 4)
    params = {"penalty": "l2", **params, **penalty}
    model = GradientDescentRegressor(alpha=0.02, warm_start=True, **params).fit(X, y)
    whole = GradientDescentRegressor(alpha=0.01, **params).fit(X, y)
    counts = []
    monkeypatch.setattr(
        working_rows, "restricted", lambda *given: counts.append(len(given[1].near)) or restricted(*given)
    )
    model.set_params(alpha=0.01).fit(X, y)
    sample, *rounds = counts
    assert sample <= 4000 / (4000 // (ROWS_EACH * 4)) + 1
    assert 0 <= len(rounds) <= model.n_iter_ <= 5
    assert max(rounds, default=0) < 1000
    assert model.converged_
    np.testing.assert_allclose(model.predict(X), whole.predict(X), rtol=1e-7, atol=1e-8)


def test_from_a_start_that_is_far_the_minimum_is_found_all_the_same():
    X, y = tall(4000)
    model = GradientDescentRegressor(loss="absolute_error", warm_start=True).fit(X, -3.0 * y[::-1])
    model.fit(X, y)
    whole = GradientDescentRegressor(loss="absolute_error").fit(X, y)
    assert model.converged_
    np.testing.assert_allclose(model.predict(X), whole.predict(X), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("loss", ["absolute_error", "quantile", "epsilon_insensitive"])
def test_more_near_rows_than_may_be_brought_are_left_to_another_solver(monkeypatch, loss):
    X, y = tall()
    left, otherwise = [], WorkingRows._otherwise
    monkeypatch.setattr(WorkingRows, "_otherwise", lambda self, *at: left.append(self) or otherwise(self, *at))
    best = GradientDescentRegressor(loss=loss).fit(X, y)
    assert not left
    monkeypatch.setattr(working_rows, "PARTS", 100)
    other = GradientDescentRegressor(loss=loss).fit(X, y)
    assert len(left) == 1
    assert other.converged_
    assert other.history_["loss"][-1] == pytest.approx(best.history_["loss"][-1], rel=1e-12)


def test_rounds_with_more_than_half_of_the_rows_are_left_to_another_solver(monkeypatch):
    """Columns with heavy tails, of which rounds would bring nearly all rows."""
    rng = np.random.default_rng(0)
    X = rng.standard_t(1.5, size=(10_000, 4))
    y = X.sum(axis=1) + rng.standard_cauchy(10_000)
    counts = []
    monkeypatch.setattr(
        working_rows, "restricted", lambda *given: counts.append(len(given[1].near)) or restricted(*given)
    )
    rounds, _ = both(monkeypatch, {"loss": "quantile", "quantile": 0.9}, X, y, rounds_at_most=40)
    assert max(counts) <= 5000
    assert rounds.n_iter_ > 6


@pytest.mark.parametrize("loss", ["absolute_error", "quantile", "epsilon_insensitive", "huber"])
@pytest.mark.parametrize("apart", [1e-2, 1e-3])
def test_at_a_loose_tolerance_the_start_is_no_minimum(loss, apart):
    """The targets are the difference of two columns, of which each alone says nothing: the start is far off."""
    rng = np.random.default_rng(0)
    x, e = rng.standard_normal((2, 20_000))
    y = e + 0.1 * rng.standard_normal(20_000)
    model = GradientDescentRegressor(loss=loss, epsilon=0.1, tol=2e-2).fit(np.column_stack([x, x + apart * e]), y)
    least = GradientDescentRegressor(loss=loss, epsilon=0.1).fit(e[:, np.newaxis], y).history_["loss"][-1]
    assert model.converged_
    assert model.history_["loss"][-1] <= least * 1.03


@pytest.mark.parametrize(("quarter", "apart"), [(8000, 1e-6), (25, 1e-9), (25, 1e-11)])
@pytest.mark.parametrize("loss", ["absolute_error", "quantile", "epsilon_insensitive", "huber"])
def test_a_balanced_design_whose_start_has_hardly_a_slope(loss, quarter, apart):
    """All slopes at the start cancel but along the difference of two columns, which is small and counts."""
    rng = np.random.default_rng(0)
    x, e, u = (
        np.outer(signs, v).ravel()
        for signs, v in zip(
            ([1, 1, -1, -1], [1, -1, 1, -1], [1, -1, 1, -1]), rng.standard_normal((3, quarter)), strict=True
        )
    )
    y = e + 0.1 * u
    with warnings.catch_warnings(action="ignore"):
        model = GradientDescentRegressor(loss=loss).fit(np.column_stack([x, x + apart * e]), y)
    least = GradientDescentRegressor(loss=loss).fit(e[:, np.newaxis], y).history_["loss"][-1]
    assert model.history_["loss"][-1] <= least * 1.001 or not model.converged_


def test_a_gap_to_any_bound_includes_the_rounding_of_the_objective():
    here = Round(np.zeros((1, 1)), value=2.0, gap=np.inf, scale=1.0, rounding=1e-12)
    assert [here.above(bound).gap for bound in (1.5, 2.0, 3.0)] == [0.5 + 1e-12, 1e-12, 1e-12]


def test_two_rows_of_wild_columns():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(50_000)
    y = 3 * x + rng.standard_normal(50_000)
    x[:2], y[:2] = 1e9, [3.3e9, -3.3e9]
    model = GradientDescentRegressor(loss="absolute_error", fit_intercept=False).fit(x[:, np.newaxis], y)
    assert model.converged_
    assert model.coef_[0] == pytest.approx(3.0, abs=0.01)


def test_wild_targets_beyond_the_digits_of_floats_are_no_minimum():
    """The mean of y takes the digits of the other rows with it."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1000, 2))
    y = X @ [3.0, -1.0] + rng.standard_normal(1000)
    y[:10] = np.iinfo(np.int64).min
    for loss in ("absolute_error", "huber"):
        with pytest.warns(ConvergenceWarning):
            assert not GradientDescentRegressor(loss=loss).fit(X, y).converged_
