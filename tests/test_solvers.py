"""Solvers: blocks tell what single states tell, each sequence is the one that its algorithm says, and the one loop."""

from itertools import chain, islice

import numpy as np
import pytest
from sklearn.datasets import load_diabetes

from gdregress import GradientDescentRegressor
from gdregress.method.choice import choose
from gdregress.method.descent import Descent, Update
from gdregress.method.optimizers import Momentum
from gdregress.method.preconditioners import half, identity
from gdregress.method.rates import FixedRate
from gdregress.method.refinement import Refinement
from gdregress.method.schedules import EpochSchedule, constant
from gdregress.method.smoothed import Smoothed
from gdregress.method.spec import Spec
from gdregress.method.states import Block, estimated_by, in_blocks
from gdregress.problem.problem import Problem
from gdregress.rows.memory import RowBlocks
from gdregress.rows.rows import GoneRows, drawable
from gdregress.solve.solve import solve
from gdregress.solve.start import starting_point
from gdregress.solve.stopping import Result, Stopping

X, y = load_diabetes(return_X_y=True, scaled=False)
Y = np.column_stack([y, 1e3 * y**2])


def method(targets=y, X=X, **params):
    """What a fit with these parameters minimises, how, and where it starts."""
    rows = RowBlocks(X, targets.reshape(len(targets), -1))
    spec = Spec.of(GradientDescentRegressor(**params))
    choice = choose(spec, rows)
    moments = choice.moments(rows)
    made = choice.method(spec, Problem.of(spec.terms, moments, rows), spec.rng())
    return spec, made, starting_point(spec, made, spec.rng(), {})


MEASURE, RATE = estimated_by(half), FixedRate(0.1)


def descent(rate=RATE):
    return Descent(Update(Momentum(0.5), identity, EpochSchedule(constant)), rate, Problem.from_rows, MEASURE)


OBJECTIVES = [
    {},
    {"loss": "huber", "epsilon": 20.0},
    {"loss": "quantile", "quantile": 0.7},
    {"penalty": "l1", "alpha": 1.0},
    {"penalty": "l2", "alpha": 1.0, "fit_intercept": False},
    {"positive": True},
]


@np.errstate(all="ignore")  # as in a fit
@pytest.mark.parametrize("params", OBJECTIVES, ids=str)
@pytest.mark.parametrize("learning_rate", [1e-6, "diagonal"], ids=["raw", "standardised"])
def test_states_that_are_measured_together_are_measured_alike(params, learning_rate):
    _, made, start = method(Y, learning_rate=learning_rate, optimizer="nesterov", **params)
    problem = made.problem.smoothed(0.1) if params.get("loss") == "quantile" else made.problem
    rate = FixedRate(1e-6 if learning_rate == 1e-6 else 0.05)
    states = list(islice(descent(rate).states(problem, start), 7))
    together = Block.of(problem, states, MEASURE)
    for k, state in enumerate(states):
        alone = Block.of(problem, [state], MEASURE)
        assert together.rate_at(k) == alone.rate_at(0) == (None if k == 0 else state.rate)
        for name in ("value", "optimality", "is_finite"):
            np.testing.assert_allclose(getattr(together, name)[k], getattr(alone, name)[0], rtol=1e-12, err_msg=name)
        for ours, theirs in zip(together.gap, alone.gap, strict=True):
            np.testing.assert_allclose(ours[k], theirs[0], rtol=1e-12)
        np.testing.assert_array_equal(together.points.at(k), state.point)
    part = together.between(2, 5)
    assert len(part) == 3
    assert part.rate.tolist() == together.rate[1:4].tolist()
    assert len(together.between(0, 3).rate) == 2
    np.testing.assert_array_equal(part.points.stacked(), together.points.stacked()[:, 2:5])


def test_a_state_is_finite_where_its_point_and_its_value_are():
    _, made, start = method(Y, learning_rate="diagonal", optimizer="nesterov")
    state = next(made.solver.states(made.problem, start))
    lost = state._replace(point=np.where(np.arange(len(start))[:, np.newaxis] == 3, np.nan, state.point))
    over = state._replace(evaluation=state.evaluation._replace(value=np.array([1.0, np.inf])))
    states = [state, lost, over, state]
    assert Block.of(made.problem, states, MEASURE).is_finite.tolist() == [True, False, False, True]
    assert [bool(Block.of(made.problem, [each], MEASURE).is_finite[0]) for each in states] == [
        True,
        False,
        False,
        True,
    ]


def test_what_is_raised_between_states_comes_after_the_states_before_it():
    _, made, start = method(learning_rate="diagonal", optimizer="nesterov")
    states = list(islice(made.solver.states(made.problem, start), 9))

    def broken():
        yield from states
        raise OSError("out of luck")

    blocks = in_blocks(made.problem, broken(), MEASURE, 64, 1000)
    assert [len(next(blocks)) for _ in range(3)] == [2, 4, 3]
    with pytest.raises(OSError, match="out of luck"):
        next(blocks)


def test_a_descent_that_stops_and_goes_on_is_the_descent():
    """What a position holds is all that the next epochs need."""
    _, made, start = method(learning_rate="diagonal", optimizer="nesterov")
    problem = made.problem
    whole = descent()
    point, objective = start.astype(float), problem.from_rows()
    position = whole.update.first(point, objective.evaluate([point])[0])
    for _ in range(2):
        position = whole.update.advance(position, iter([objective] * 3), 0.1, 3)
    *_, last = islice(whole.states(problem, start), 7)
    np.testing.assert_allclose(position.point, last.point, rtol=1e-10)


@pytest.mark.parametrize("loss", ["absolute_error", "epsilon_insensitive", "huber"])
def test_smoothed_problems_follow_each_other_without_a_gap(loss):
    """The start comes once, and a schedule is asked for every epoch, in order."""
    asked = []
    _, made, start = method(
        loss=loss, learning_rate="diagonal", optimizer="gd", schedule=lambda k: asked.append(k) or 1
    )
    assert isinstance(made.solver.descent, Smoothed)
    values = np.concatenate([b.value for b in islice(made.solver.iterates(made.problem, start), 40)])
    assert sorted(set(asked)) == list(range(max(asked) + 1))
    assert len(values) - 1 <= max(asked) + 1 <= len(values) + 64
    assert len(np.unique(values[:2])) == 2


def test_smoothed_problems_leave_no_epoch_of_a_schedule_out():
    """A rate that does not follow the curvature shows which epoch it was asked for."""
    params = {"loss": "absolute_error", "learning_rate": "diagonal", "optimizer": "adagrad", "epochs": 200, "tol": None}
    model = GradientDescentRegressor(**params, schedule=lambda k: 1.0 + k % 7).fit(X, y)
    np.testing.assert_allclose(model.history_["learning_rate"][1:], 0.5 * (1.0 + np.arange(200) % 7))


def test_refinement_ends_with_its_best_state():
    rng = np.random.default_rng(0)
    nearly = np.column_stack([X, X[:, 0] * (1 + 1e-6 * rng.standard_normal(len(X)))])
    _, made, start = method(X=nearly)
    assert isinstance(made.solver, Refinement)
    optimality = np.concatenate([block.optimality for block in made.solver.iterates(made.problem, start)])
    assert (np.diff(optimality) < 0).all()
    assert (optimality[1:-1] <= optimality[:-2] / 2).all()


def test_rows_that_are_gone_cannot_be_read():
    gone = GoneRows(RowBlocks(X, y[:, np.newaxis]).moments(), X.dtype)
    assert (gone.n_features, gone.n_outputs, gone.n_weighted) == (10, 1, 442)
    assert not gone.can_be_read
    for read in (gone.sum, gone.with_targets, gone.split):
        with pytest.raises(RuntimeError, match="read once and are gone"):
            read(None)
    with pytest.raises(TypeError, match="single rows of GoneRows are not drawn: use rows in memory"):
        drawable(gone)


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize(
    "params", [{"learning_rate": 0.001}, {"learning_rate": "diagonal", "optimizer": "nesterov"}], ids=str
)
def test_observers_are_told_of_every_epoch_once(params, one_by_one):
    spec, made, start = method((y - y.mean()), X=(X - X.mean(axis=0)) / X.std(axis=0), epochs=50, tol=None, **params)
    told = []

    def look(trace, latest, result):
        told.append((trace.n_states - len(latest.block), trace.n_states, result is None))
        return result

    result = solve(made.problem, made.solver, start, Stopping.of(spec, made), [look], one_by_one=one_by_one)
    numbers = list(chain.from_iterable(range(first, last) for first, last, _ in told))
    assert numbers == list(range(51))
    assert [is_none for *_, is_none in told] == [True] * (len(told) - 1) + [False]
    assert (len(told) == 51) == one_by_one
    assert result.trace.number == 50


def test_an_observer_may_end_the_descent():
    spec, made, start = method(learning_rate="diagonal", optimizer="nesterov")
    stopping = Stopping.of(spec, made)

    def end(trace, latest, result):
        return Result(trace, trace.kept, "enough") if trace.number == 6 else result

    result = solve(made.problem, made.solver, start, stopping, [end], one_by_one=True)
    assert (result.reason, result.trace.number) == ("enough", 6)
