"""States of a descent, and blocks of consecutive states as arrays: what every solver yields."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gdregress.problem.objectives import Evaluation
from gdregress.problem.problem import Gap, Problem

LONGEST = 64
"""States of a block that is made of single ones, at most: so many epochs may be run in vain after the last."""

CHEAP = 2**15
"""Multiplications of an epoch up to which measuring it costs more than running it, so that blocks grow."""


class State(NamedTuple):
    """A state of a descent.

    Attributes
    ----------
    point : ndarray of shape (n_coordinates, n_outputs)
        Where it stands.
    evaluation : Evaluation
        The objective there.
    rate : float
        The rate that led there; NaN at the start, where none did.
    is_stuck : bool
        Whether no step was found that lowers the objective.
    """

    point: NDArray
    evaluation: Evaluation
    rate: float
    is_stuck: bool = False


class Points(Protocol):
    """The points of a block of states."""

    def at(self, k: int) -> NDArray:
        """Return one point, of shape (n_coordinates, n_outputs)."""
        ...

    def stacked(self) -> NDArray:
        """Return all points, of shape (n_coordinates, n_epochs, n_outputs)."""
        ...

    def between(self, first: int, last: int) -> "Points":
        """Return the points of some epochs."""
        ...


class PointList(NamedTuple):
    """Points that were made one by one."""

    points: list[NDArray]

    def at(self, k: int) -> NDArray:
        """Return one point."""
        return self.points[k]

    def stacked(self) -> NDArray:
        """Return all points."""
        return np.stack(self.points, axis=1)

    def between(self, first: int, last: int) -> "PointList":
        """Return the points of some epochs."""
        return PointList(self.points[first:last])


@dataclass(frozen=True)
class Block:
    """Consecutive states, as arrays with an axis of epochs.

    Attributes
    ----------
    rate : ndarray of shape (n_epochs,)
        The rates that led to the states; NaN for the start.
    value : ndarray of shape (n_epochs, n_outputs)
        The objective.
    gap : Gap
        How far it may be above its minimum, of shape (n_epochs, n_outputs).
    optimality : ndarray of shape (n_epochs,)
        The same without a scale, of the worst output.
    is_finite : ndarray of shape (n_epochs,)
        Whether a state can be kept: its point and the objective there are finite.
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
    def of(cls, problem: Problem, states: list[State], preconditioner: Any) -> "Block":
        """Measure states in the inverse curvature of a preconditioner."""
        if len(states) == 1:
            [state] = states
            return cls.of_one(problem, state, problem.gap(state.point, state.evaluation, preconditioner))
        points, evaluations, rates, _ = zip(*states, strict=True)
        side_by_side, beside = np.concatenate(points, axis=1), Evaluation.side_by_side(evaluations)
        gap = problem.gap(side_by_side, beside, preconditioner)
        shape = (len(states), -1)
        gap = Gap(*(part.reshape(shape) for part in gap))
        value = beside.value.reshape(shape)
        is_finite = np.isfinite(value).all(axis=1) & np.isfinite(side_by_side).all(axis=0).reshape(shape).all(axis=1)
        optimality = problem.optimality(value, gap.total)
        return cls(np.array(rates), value, gap, optimality, is_finite, PointList(list(points)))

    @classmethod
    def of_one(cls, problem: Problem, state: State, gap: Gap) -> "Block":
        """Make the block of a state whose gap is known."""
        value = state.evaluation.value[np.newaxis]
        is_finite = np.array([np.isfinite(value).all() and np.isfinite(state.point).all()])
        gap = Gap(*(part[np.newaxis] for part in gap))
        optimality = problem.optimality(value, gap.total)
        return cls(np.array([state.rate]), value, gap, optimality, is_finite, PointList([state.point]))

    def __len__(self) -> int:
        """Count the states."""
        return len(self.rate)

    def between(self, first: int, last: int) -> "Block":
        """Return some of the states."""
        if first == 0 and last == len(self):
            return self
        part = slice(first, last)
        gap = Gap(*(each[part] for each in self.gap))
        points = self.points.between(first, last)
        return Block(self.rate[part], self.value[part], gap, self.optimality[part], self.is_finite[part], points)


class Solver(Protocol):
    """What minimises a problem: an iterator of blocks of states, the start first.

    Attributes
    ----------
    goes_below_tol : bool
        Whether it goes on below `tol` until it ends by itself.
    limit : str
        What is in the way, and the remedy, where it has ended by itself above `tol`.
    """

    @property
    def goes_below_tol(self) -> bool: ...  # noqa: D102
    @property
    def limit(self) -> str: ...  # noqa: D102

    def iterates(self, problem: Problem, start: NDArray, epoch: int = 0) -> Iterator[Block]:
        """Yield blocks of states, the start first; end where nothing better is to be had.

        Parameters
        ----------
        problem : Problem
            What is minimised.
        start : ndarray of shape (n_coordinates, n_outputs)
            Where to start.
        epoch : int, default=0
            Epochs that were run before, as a schedule counts.
        """
        ...


def in_blocks(problem: Problem, states: Iterator[State], preconditioner: Any, longest: int) -> Iterator[Block]:
    """Collect states in blocks, each up to twice as long as the one before.

    What is raised between two states is raised once those before it are yielded.

    Parameters
    ----------
    problem : Problem
        What is minimised.
    states : iterator of State
        A descent.
    preconditioner : callable
        Inverse curvature, in which the states are measured.
    longest : int
        States of a block, at most.
    """
    length, raised = min(2, longest), None
    while raised is None:
        collected: list[State] = []
        try:
            for state in islice(states, length):
                collected.append(state)
        except BaseException as error:
            raised = error
        if collected:
            yield Block.of(problem, collected, preconditioner)
        elif raised is None:
            return
        length = min(2 * length, longest)
    raise raised
