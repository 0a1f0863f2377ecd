"""Many epochs at once: the states of the loop, one by one, and the same end."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning

from gdregress import GradientDescentRegressor
from gdregress.method import assembly, geometric
from gdregress.method.descent import Descent, Update
from gdregress.method.geometric import Geometric
from gdregress.method.optimizers import GradientDescent
from gdregress.method.preconditioners import half, identity
from gdregress.method.rates import FixedRate
from gdregress.method.schedules import Cosine, EpochSchedule, constant
from gdregress.method.states import estimated_by
from gdregress.problem.losses import squared_error
from gdregress.problem.objectives import MomentObjective
from gdregress.problem.problem import Problem
from gdregress.problem.terms import Terms
from gdregress.rows.memory import RowBlocks

X, y = load_diabetes(return_X_y=True, scaled=False)
Z = (X - X.mean(axis=0)) / X.std(axis=0)
Y = np.column_stack([y, 1e3 * y**2])


def problem(X=Z, y=Y, alpha=0.0, fit_intercept=True):
    rows = RowBlocks(X, y.reshape(len(y), -1))
    terms = Terms(squared_error(), 0.0, alpha, positive=False, fit_intercept=fit_intercept)
    return Problem.of(terms, rows.moments(), rows).in_raw_coordinates()


def solvers(schedule, scale=1.0, rate=0.2):
    """Plain descent, and what does the same many epochs at once."""
    pace = EpochSchedule(schedule)
    settings = {
        "rate": FixedRate(scale * rate),
        "objective": Problem.from_moments,
        "measure": estimated_by(half),
    }
    descent = Descent(Update(GradientDescent(), identity, pace), epochs=10_000, **settings)
    return descent, Geometric(descent, pace, half)


def first_states(blocks, n):
    """The rates of the first n - 1 steps, and arrays of what else blocks tell of the first n states."""
    found, count = [], 0
    for block in blocks:
        found.append((block.rate, block.value, block.optimality, np.moveaxis(block.points.stacked(), 1, 0)))
        count += len(block)
        if count >= n:
            rates, *others = map(np.concatenate, zip(*found, strict=True))
            return [rates[: n - 1], *(other[:n] for other in others)]
    raise AssertionError("a descent does not end")


@pytest.mark.parametrize("longest", [5, 64, 2**17], ids="blocks of {} entries".format)
@pytest.mark.parametrize(
    "schedule", [constant, Cosine(150), lambda k: 1.0 / (1 + k % 7)], ids=["constant", "cosine", "own"]
)
@pytest.mark.parametrize(("alpha", "fit_intercept", "scale"), [(0.0, True, 1.0), (0.3, False, 0.5)])
def test_the_states_of_the_loop(monkeypatch, longest, schedule, alpha, fit_intercept, scale):
    monkeypatch.setattr(geometric, "BLOCK_ENTRIES", longest)
    start = np.random.default_rng(0).normal(size=(10 + fit_intercept, 2)) * [1.0, 1e3]
    minimised = problem(alpha=alpha, fit_intercept=fit_intercept)
    loop, at_once = (
        first_states(solver.iterates(minimised, start, 3), 150) for solver in solvers(schedule, scale=scale)
    )
    for found, expected, name in zip(at_once, loop, ("rate", "value", "optimality", "point"), strict=True):
        assert_allclose(found, expected, rtol=0, atol=1e-13 * np.abs(expected).max(), err_msg=name)
    assert_allclose(at_once[3][..., 0], loop[3][..., 0], rtol=0, atol=1e-13 * np.abs(loop[3][..., 0]).max())


def test_a_block_tells_of_all_its_states():
    _, solver = solvers(constant, rate=0.1)
    blocks = solver.iterates(problem(), np.zeros((11, 2)))
    next(blocks)
    block = next(blocks)
    assert len(block) == geometric.FIRST_BLOCK
    one_by_one = [block.points.at(k) for k in range(len(block))]
    for k, point in enumerate(one_by_one):
        assert_allclose(block.points.stacked()[:, k], point, rtol=1e-12, atol=1e-12)
        assert_array_equal(block.points.at(k), block.points.stacked()[:, k])  # to the bit, once all are made
    part = block.between(5, 9)
    assert_array_equal(part.value, block.value[5:9])
    assert_allclose(part.points.stacked(), block.points.stacked()[:, 5:9], rtol=1e-12)


def slowly(monkeypatch):
    """Take epochs one by one, as every other descent does."""
    monkeypatch.setattr(assembly, "_is_geometric", lambda *args: False)


@pytest.mark.parametrize(
    "params",
    [
        {"epochs": 700, "tol": None},
        {"epochs": 5000},
        {"epochs": 5000, "tol": 1e-3, "record_path": True},
        {"epochs": 400, "target_loss": 2900},
        {"epochs": 400, "schedule": "cosine", "penalty": "l2", "alpha": 0.1},
        {"epochs": 600, "early_stopping": True, "random_state": 0, "n_iter_no_change": 3},
        {"epochs": 3000, "early_stopping": True, "random_state": 3, "n_iter_no_change": 200},
        {"epochs": 90, "fit_intercept": False, "schedule": "invscaling", "init": "random", "random_state": 1},
        {"epochs": 90, "learning_rate": "lipschitz"},
        {"epochs": 90, "learning_rate": "diagonal", "optimizer": "gd"},
    ],
    ids=lambda params: " ".join(map(str, params.values())),
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_fit_is_the_same(monkeypatch, params):
    params = {"learning_rate": 0.1, "record_path": True} | params
    fast = GradientDescentRegressor(**params).fit(Z, y)
    slowly(monkeypatch)
    slow = GradientDescentRegressor(**params).fit(Z, y)
    assert fast.n_iter_ == slow.n_iter_
    assert fast.stop_reason_ == slow.stop_reason_
    assert fast.history_.keys() == slow.history_.keys()
    for name, found in fast.history_.items():
        largest = np.nanmax(np.abs(slow.history_[name])) or 1.0
        assert_allclose(found / largest, slow.history_[name] / largest, rtol=0, atol=1e-9, err_msg=name)
    assert_allclose(fast.coef_, slow.coef_, rtol=1e-9)


def test_diverging_ends_at_the_same_epoch_with_the_same_words(monkeypatch):
    with pytest.warns(UserWarning, match="stability ceiling") as fast:
        a = GradientDescentRegressor(0.5, epochs=5000).fit(Z, y)
    slowly(monkeypatch)
    with pytest.warns(UserWarning, match="stability ceiling") as slow:
        b = GradientDescentRegressor(0.5, epochs=5000).fit(Z, y)
    assert a.n_iter_ == b.n_iter_
    assert str(fast[0].message) == str(slow[0].message)


def test_a_direction_without_slope_stays_where_it_is_whatever_the_rate():
    """The rate is above the ceiling of the first column alone, and y does not depend on it."""
    corners = np.array([[10.0, 0.125], [10.0, -0.125], [-10.0, 0.125], [-10.0, -0.125]])
    model = GradientDescentRegressor(0.05, epochs=20_000).fit(corners, corners[:, 1])
    assert model.converged_
    assert_allclose(model.coef_, [0.0, 1.0], atol=1e-5)


RAW = {
    "tiny units": (1e-9, 100.0, 50.0),
    "huge units": (1e9, 0.0, 50.0),
    "moderate units": (1e4, 3.0, 5.0),
    "far from zero": (1.0, 1e4, 0.0),
}


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("case", RAW, ids=str)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_raw_columns_of_very_different_curvature(monkeypatch, case, fit_intercept):
    """Where a factorisation knows too little of small curvatures, it is not what the fit rests on."""
    unit, offset, level = RAW[case]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2))
    raw = np.column_stack([unit * (offset + 10 * x[:, 0]), x[:, 1]])
    target = x.sum(axis=1) + level + 0.1 * rng.normal(size=60)
    weight = rng.uniform(0, 2, 60)
    params = {"learning_rate": "lipschitz", "epochs": 400, "fit_intercept": fit_intercept}
    fast = GradientDescentRegressor(**params).fit(raw, target, weight)
    slowly(monkeypatch)
    slow = GradientDescentRegressor(**params).fit(raw, target, weight)
    assert (fast.n_iter_, fast.converged_) == (slow.n_iter_, slow.converged_)
    assert_allclose(fast.history_["optimality"], slow.history_["optimality"], rtol=1e-6, atol=1e-12)
    assert_allclose(fast.history_["loss"], slow.history_["loss"], rtol=1e-9)


@pytest.mark.parametrize("noise", [0.0, 1.0])
@pytest.mark.parametrize("power", [4.0, 6.0])
def test_few_epochs_need_no_digits_of_small_eigenvalues(monkeypatch, power, noise):
    """The smallest is 1e-10 or 1e-14 of the largest, and yet the loop is not needed."""
    rng = np.random.default_rng(0)
    raw = rng.normal(size=(80, 4)) @ rng.normal(size=(4, 4)) * 10.0 ** np.linspace(0, power, 4) + 1.0
    target = raw @ 10.0 ** -np.linspace(0, power, 4) + noise * rng.normal(size=80)
    evaluations, evaluate = [], MomentObjective.evaluate
    monkeypatch.setattr(MomentObjective, "evaluate", lambda self, p: evaluations.append(1) or evaluate(self, p))
    model = GradientDescentRegressor("lipschitz", epochs=3000, tol=None, record_path=True)
    fast = clone(model).fit(raw, target)
    assert len(evaluations) < 60
    slowly(monkeypatch)
    slow = clone(model).fit(raw, target)
    assert len(evaluations) > 3000
    for name in ("loss", "optimality", "coef", "intercept"):
        found, expected = fast.history_[name], slow.history_[name]
        assert_allclose(found, expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max(), err_msg=name)


def test_collinear_and_constant_columns_stay_put():
    wide = np.column_stack([Z, Z[:, 0], np.full(len(Z), 3.0)])
    model = GradientDescentRegressor(0.05, epochs=20_000).fit(wide, y)
    assert model.converged_
    assert model.coef_[0] == pytest.approx(model.coef_[10], rel=1e-9)


def test_no_epoch_costs_a_pass_over_the_rows(monkeypatch):
    """Ten thousand epochs read the rows once, and evaluate the objective a few dozen times."""
    passes, evaluations = [], []
    accumulate, evaluate = RowBlocks.sum, MomentObjective.evaluate
    monkeypatch.setattr(RowBlocks, "sum", lambda self, *a, **k: passes.append(1) or accumulate(self, *a, **k))
    monkeypatch.setattr(MomentObjective, "evaluate", lambda self, p: evaluations.append(1) or evaluate(self, p))
    model = GradientDescentRegressor(0.1, epochs=10_000, tol=None).fit(Z, y)
    assert len(model.history_["loss"]) == 10_001
    assert len(passes) == 1
    assert len(evaluations) < 60


def test_a_schedule_that_ends_with_the_epochs_is_asked_no_further():
    factors = [1.0] * 5 + [0.5] * 20
    model = GradientDescentRegressor(0.1, epochs=25, tol=None, schedule=lambda k: factors[k]).fit(Z, y)
    assert_array_equal(model.history_["learning_rate"][1:], 0.1 * np.array(factors))


def test_a_schedule_with_no_answer_is_an_error_when_its_epoch_comes():
    with pytest.raises(ValueError, match="schedule gave -1 for epoch 12"):
        GradientDescentRegressor(0.1, epochs=50, tol=None, schedule=lambda k: 1 if k < 12 else -1).fit(Z, y)


def test_a_schedule_with_no_answer_for_an_epoch_that_does_not_come_is_no_error():
    def factor(k):
        if k == 12:
            raise ValueError("no answer")
        return 1.0

    params = {"learning_rate": 0.1, "schedule": factor}
    whole = GradientDescentRegressor(**params, epochs=12, tol=None).fit(Z, y)
    model = GradientDescentRegressor(**params, epochs=50, target_loss=whole.history_["loss"][9]).fit(Z, y)
    assert model.n_iter_ == 9


@pytest.mark.parametrize("columns", [Z * np.linspace(0.5, 2.0, 10), np.column_stack([Z, Z[:, 0] + 2.0 * Z[:, 1]])])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_optimality_is_that_of_the_loop_in_any_metric(monkeypatch, columns):
    """Its metric has other axes than the curvature: its own scales, or fewer directions."""
    own = problem(X=columns)
    loop, at_once = (
        first_states(solver.iterates(own, np.zeros((len(own.standard.center) + 1, 2))), 50)
        for solver in solvers(constant, scale=0.3)
    )
    assert_allclose(at_once[2], loop[2], rtol=1e-9)
    fast = GradientDescentRegressor(0.05, 50).fit(columns, y)
    slowly(monkeypatch)
    slow = GradientDescentRegressor(0.05, 50).fit(columns, y)
    assert_allclose(fast.history_["optimality"], slow.history_["optimality"], rtol=1e-9)


def test_verbose_shows_the_epochs_of_blocks(capsys):
    GradientDescentRegressor(0.1, epochs=45, tol=None, verbose=20).fit(Z, y)
    shown = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert shown[:5] == ["epoch", "0", "20", "40", "45"]


@pytest.mark.parametrize("unit", [1e-12, 1e-16, 1e-100, 1e-160, 1e-300, 1e12, 1e100])
@pytest.mark.parametrize("rate", ["lipschitz", 0.01])
def test_columns_far_smaller_than_the_intercept_are_still_measured(unit, rate):
    """The optimality is the distance of the predictions from the optimal ones, in whatever unit X is."""
    if unit > 1 and rate != "lipschitz":
        rate /= unit**2
    model = GradientDescentRegressor(rate, 20, tol=1e-12)
    with pytest.warns(ConvergenceWarning, match="all 20 epochs were used"):
        model.fit(unit * Z, y)
    distance = model.predict(unit * Z) - GradientDescentRegressor().fit(Z, y).predict(Z)
    assert_allclose(model.optimality_, np.sqrt(2.0) * np.sqrt(np.mean(distance**2)) / y.std(), rtol=1e-6)
    assert not model.converged_
    assert np.isfinite(model.history_["optimality"]).all()
