"""Tall data and losses with kinks: rows far from a kink count as a few means, and the minimum is that of all rows."""

import numpy as np
import pytest
from scipy import sparse

from gdregress import GradientDescentRegressor
from gdregress.method import choice
from gdregress.method.working_rows import SHARE, pays, sample_size
from gdregress.problem import losses
from gdregress.problem.boxes import BoxProblem
from gdregress.problem.design import Design
from gdregress.problem.problem import Problem, Terms
from gdregress.rows.memory import RowBlocks
from gdregress.rows.moments import gather

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
        patch.setattr(choice, "pays", lambda n, p: False)
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


@pytest.mark.parametrize("loss", [losses.absolute_error(), losses.quantile_loss(0.9), losses.epsilon_insensitive(0.3)])
def test_means_are_below_the_objective_and_equal_where_no_row_has_changed_its_line(loss):
    X, y = tall(2000)
    rows = RowBlocks(X, y[:, np.newaxis])
    problem = Problem.of(Terms(loss, 0.0, 0.0, False, True), gather(rows), rows)
    box = BoxProblem.of(problem, Design.of(problem, None), 0)
    rng = np.random.default_rng(3)
    here = 0.1 * rng.standard_normal(4)
    residual = box.residual(here)
    kept = np.argsort(box.distance_from_kink(residual))[:300]
    few = box.restricted(kept, residual)
    assert few.design.rows.n_samples < 400

    def value(problem, point):
        at = problem.residual(point)
        return problem.iterate(point, at, problem.slopes(at), 0.0).value

    assert value(few, here) == pytest.approx(value(box, here), rel=1e-13)
    for size in (1e-6, 1e-2, 1.0):
        for _ in range(10):
            point = here + size * rng.standard_normal(4)
            assert value(few, point) <= value(box, point) * (1 + 1e-13)
    far = here + 3.0
    assert value(few, far) < 0.999 * value(box, far)


@pytest.mark.parametrize(("n", "p", "faster"), [(2_000_000, 20, True), (20_000, 20, False), (30_000, 3, True)])
def test_where_it_pays(n, p, faster):
    assert pays(n, p) == faster
    assert (sample_size(n, p) <= SHARE * n) == faster
