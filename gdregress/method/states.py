"""States of a descent, blocks of consecutive states as arrays, and the interface of the solvers that yield them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from gdregress.method.optimizers import Step
from gdregress.problem.objectives import Evaluation
from gdregress.problem.problem import Gap, Problem

LONGEST = 64
"""Largest number of states in a block: up to so many epochs may be wasted when a descent stops inside a block."""

CHEAP = 2**15
"""Number of multiplications an epoch up to which measuring a state costs more than the epoch, so that blocks pay."""


NO_STEP_LOWERS = (
    "no step lowers the objective. "
    "Drop columns that are nearly collinear, use penalty='l2', or raise tol; "
    "of a loss of your own, check the derivative and the curvature."
)
"""Reason and remedy where a solver has ended because it found no better point."""


GapFunction = Callable[[Problem, NDArray, Evaluation], Gap]
"""Function from a problem, points side by side and their evaluation to the gap of each."""


def estimated_by(preconditioner: Callable[[NDArray], NDArray]) -> GapFunction:
    """Return the measure that estimates the gap by an inverse Hessian: see `Problem.gap`."""
    return partial(Problem.gap, preconditioner=preconditioner)


def is_zero(problem: Problem, start: NDArray) -> bool:
    """Return whether all coefficients of a start are zero; any other start is taken to be near the minimum."""
    return not start[: len(problem.penalty.l2)].any()


Latest = TypeVar("Latest")
"""Where a descent stands."""


class Points(NamedTuple):
    """The points of the states in a block, which may be computed only when they are needed.

    Attributes
    ----------
    at : callable
        Function from k to the point of state k, of shape (n_coordinates, n_outputs).
    stacked : callable
        Function that returns all points, of shape (n_coordinates, n_epochs, n_outputs).
    """

    at: Callable[[int], NDArray]
    stacked: Callable[[], NDArray]

    @classmethod
    def of(cls, points: Sequence[NDArray]) -> "Points":
        """Return points that are there."""
        return cls(points.__getitem__, lambda: np.stack(points, axis=1))

    def between(self, first: int, last: int) -> "Points":
        """Return the points of the states from `first` up to, but without, `last`."""
        return Points(lambda k: self.at(k + (first if k >= 0 else last)), lambda: self.stacked()[:, first:last])


@dataclass(frozen=True)
class Block:
    """Consecutive states of a descent, as arrays whose first axis is the epochs.

    Attributes
    ----------
    rate : ndarray of shape (n_steps,)
        Learning rates of the steps that led to the states: one for each, but none for the start of a descent.
    value : ndarray of shape (n_epochs, n_outputs)
        The objective.
    gap : Gap
        Estimates of how far the objective is above its minimum, of shape (n_epochs, n_outputs).
    optimality : ndarray of shape (n_epochs,)
        The gap without units, for the worst output: see `Problem.optimality`.
    is_finite : ndarray of shape (n_epochs,)
        Whether the point and the objective there are finite.
    points : Points
        The points.
    """

    rate: NDArray
    value: NDArray
    gap: Gap
    optimality: NDArray
    is_finite: NDArray
    points: Points

    @classmethod
    def of(cls, problem: Problem, states: list[Step], measure: "GapFunction") -> "Block":
        """Make the block of some states, with their gap.

        Parameters
        ----------
        problem : Problem
            The problem that is minimised.
        states : list of Step
            Consecutive states, at least one.
        measure : callable
            Function that returns the gap: see `GapFunction`.
        """
        if len(states) == 1:
            [state] = states
            return cls.of_one(problem, state, measure(problem, state.point, state.evaluation))
        points, evaluations, rates, *_ = zip(*states, strict=True)
        side_by_side, beside = np.concatenate(points, axis=1), Evaluation.side_by_side(evaluations)
        gap = problem.with_hidden(measure(problem, side_by_side, beside), side_by_side, beside)
        shape = (len(states), -1)
        gap = Gap(*(part.reshape(shape) for part in gap))
        value = beside.value.reshape(shape)
        is_finite = np.isfinite(value).all(axis=1) & np.isfinite(side_by_side).all(axis=0).reshape(shape).all(axis=1)
        optimality = problem.optimality(value, gap.total)
        return cls(_of_steps(*rates), value, gap, optimality, is_finite, Points.of(points))

    @classmethod
    def of_one(cls, problem: Problem, state: Step, gap: Gap) -> "Block":
        """Make the block of a single state, whose gap is known."""
        gap = problem.with_hidden(gap, state.point, state.evaluation)
        return cls.of_value(problem, state.point, state.evaluation.value, gap, state.rate)

    @classmethod
    def of_value(cls, problem: Problem, point: NDArray, value: NDArray, gap: Gap, rate: float | None) -> "Block":
        """Make the block of a single state from its point, its value, its gap and its rate; the start has none."""
        value = value[np.newaxis]
        is_finite = np.array([np.isfinite(value).all() and np.isfinite(point).all()])
        gap = Gap(*(part[np.newaxis] for part in gap))
        optimality = problem.optimality(value, gap.total)
        return cls(_of_steps(rate), value, gap, optimality, is_finite, Points.of([point]))

    @classmethod
    def bounded(cls, point: NDArray, value: NDArray, gap: NDArray, optimality: float, rate: float | None) -> "Block":
        """Make the block of a single state whose gap is a bound, and so hides nothing.

        Parameters
        ----------
        point : ndarray of shape (n_coordinates, n_outputs)
            The point.
        value, gap : ndarray of shape (n_outputs,)
            The objective, and how far it is above its minimum at most.
        optimality : float
            The gap without units.
        rate : float or None
            Learning rate of the step to it; None for the start.
        """
        is_finite = np.array([np.isfinite(point).all() and np.isfinite(value).all()])
        whole = Gap.unsmoothed(gap[np.newaxis])
        return cls(_of_steps(rate), value[np.newaxis], whole, np.array([optimality]), is_finite, Points.of([point]))

    def __len__(self) -> int:
        """Return the number of states."""
        return len(self.value)

    def rate_at(self, k: int) -> float | None:
        """Return the learning rate of the step to state k; None if that is the start."""
        step = k - self._n_starts
        return float(self.rate[step]) if step >= 0 else None

    @property
    def _n_starts(self) -> int:
        """Number of states to which no step has led: 1 if the first is the start."""
        return len(self) - len(self.rate)

    def between(self, first: int, last: int) -> "Block":
        """Return the states from `first` up to, but without, `last`."""
        if first == 0 and last == len(self):
            return self
        part, steps = slice(first, last), slice(max(first - self._n_starts, 0), last - self._n_starts)
        gap = Gap(*(each[part] for each in self.gap))
        points = self.points.between(first, last)
        return Block(self.rate[steps], self.value[part], gap, self.optimality[part], self.is_finite[part], points)


def _of_steps(*rates: float | None) -> NDArray:
    """Return the learning rates of states to which a step has led."""
    return np.array([rate for rate in rates if rate is not None])


class Solver(Protocol):
    """An algorithm that minimises a problem.

    Attributes
    ----------
    goes_below_tol : bool
        Whether the descent goes on below `tol`, until the solver ends it.
    limit : str
        Reason and remedy, for the user, where the solver has ended above `tol`.
    """

    @property
    def goes_below_tol(self) -> bool: ...  # noqa: D102
    @property
    def limit(self) -> str: ...  # noqa: D102

    def iterates(self, problem: Problem, start: NDArray, epoch: int = 0) -> Iterator[Block]:
        """Yield blocks of states, the start first; end where the solver can do no better.

        Parameters
        ----------
        problem : Problem
            The problem to minimise.
        start : ndarray of shape (n_coordinates, n_outputs)
            The point to start from, in the coordinates of the problem.
        epoch : int, default=0
            Number of epochs run before, for the schedule.

        Yields
        ------
        Block
            The next states.
        """
        ...


def abreast(latest: list[Latest], descents: Sequence[Iterator[Latest]]) -> Iterator[list[Latest]]:
    """Yield where several descents stand, and go on until all have ended; one that has ended stays.

    Parameters
    ----------
    latest : list
        Where they stand now.
    descents : sequence of iterator
        Where each will stand.
    """
    yield latest
    while any(further := [next(descent, None) for descent in descents]):
        latest = [new or old for new, old in zip(further, latest, strict=True)]
        yield latest


def in_blocks(
    problem: Problem, states: Iterator[Step], measure: "GapFunction", longest: int, n_states: float
) -> Iterator[Block]:
    """Collect states in blocks, each twice as long as the one before, up to `longest`.

    If an error is raised between two states, the states before it are yielded first. An interrupt comes at once.

    Parameters
    ----------
    problem : Problem
        The problem that is minimised.
    states : iterator of Step
        The states of a descent.
    measure : callable
        Function that returns the gap of states: see `GapFunction`.
    longest : int
        Largest number of states in a block.
    n_states : float
        Number of states that are needed at most; states beyond come one by one.

    Yields
    ------
    Block
        The next states.
    """
    length, raised = min(2, longest), None
    while raised is None:
        collected: list[Step] = []
        try:
            for state in islice(states, int(max(1, min(length, n_states)))):
                collected.append(state)
        except Exception as error:
            raised = error
        n_states -= len(collected)
        if collected:
            yield Block.of(problem, collected, measure)
        elif raised is None:
            return
        length = min(2 * length, longest)
    raise raised
