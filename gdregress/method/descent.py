"""The textbook's loop: evaluate, step down, repeat.

Open this file first. `Descent.states` is the loop, and `Descent.advance` the epoch that it repeats.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, repeat
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gdregress.method.optimizers import Optimizer, Step
from gdregress.method.preconditioners import Preconditioner
from gdregress.method.rates import Rate
from gdregress.method.schedules import EpochSchedule, Plateau
from gdregress.method.states import CHEAP, LONGEST, Block, State, in_blocks
from gdregress.problem.objectives import Objective
from gdregress.problem.problem import Problem


class Mean(NamedTuple):
    """Running mean of the points of a descent (Polyak and Juditsky, 1992), after the first `skip` of them."""

    skip: int = 0
    point: Any = None
    n_points: int = 0

    def after(self, point: NDArray) -> "Mean":
        """Take in a point."""
        if self.skip > 0:
            return self._replace(skip=self.skip - 1, point=point)
        n_points = self.n_points + 1
        mean = point if self.point is None or n_points == 1 else self.point + (point - self.point) / n_points
        return self._replace(point=mean, n_points=n_points)


class Batches(NamedTuple):
    """How an epoch goes over the rows: so many at a time.

    Attributes
    ----------
    size : int
        Rows in a mini-batch.
    shuffle : RandomState or None
        Shuffles the rows before every epoch; None leaves them in their order.
    mean_weight : float
        Weight of a row, on average.
    """

    size: int
    shuffle: np.random.RandomState | None
    mean_weight: float

    def count(self, n_samples: int) -> int:
        """Count the batches of an epoch over so many rows."""
        return -(-n_samples // self.size)


class Position(NamedTuple):
    """Where a descent stands, and all that it remembers: what the next epoch goes on from.

    Attributes
    ----------
    step : Step
        The last step of the optimizer.
    schedule : EpochSchedule or Plateau
        By what the rate is multiplied.
    mean : Mean or None
        Running mean of the points, where one is asked for.
    """

    step: Step
    schedule: EpochSchedule | Plateau
    mean: Mean | None

    @property
    def point(self) -> NDArray:
        """The point to predict with: the mean, where there is one."""
        return self.step.point if self.mean is None or self.mean.point is None else self.mean.point


@dataclass(frozen=True)
class Descent:
    """Descent by one optimizer: every epoch is ``w <- prox(w - eta P g)``, or what the optimizer makes of it.

    Parameters
    ----------
    optimizer : Optimizer
        How a point follows from the last.
    preconditioner : Preconditioner
        P: what a gradient is multiplied by, beside the rate.
    rate : Rate
        eta, but for the schedule.
    schedule : EpochSchedule or Plateau
        By what the rate is multiplied.
    objective : callable
        From a problem to its objective, from moments or from rows.
    measure : callable
        Inverse curvature in which the distance from the minimum is measured.
    batches : Batches, default=None
        Mini-batches; None for all rows at once.
    mean : Mean, default=None
        The empty mean of the points, to yield in place of the last of them; None for the last.
    """

    optimizer: Optimizer
    preconditioner: Preconditioner
    rate: Rate
    schedule: EpochSchedule | Plateau
    objective: Callable[[Problem], Objective]
    measure: Callable[[NDArray], NDArray]
    batches: Batches | None = None
    mean: Mean | None = None
    goes_below_tol = False
    limit = ""

    def iterates(self, problem: Problem, start: NDArray, epoch: int = 0) -> Iterator[Block]:
        """Yield the states, measured: those of cheap epochs many at a time."""
        objective = self.objective(problem)
        is_cheap = self.batches is None and objective.work <= CHEAP
        return in_blocks(problem, self.states(problem, start, epoch), self.measure, LONGEST if is_cheap else 1)

    def states(self, problem: Problem, start: NDArray, epoch: int = 0) -> Iterator[State]:
        """Yield states for ever, the start first: the consumer decides when it is enough."""
        objective = self.objective(problem)
        point = start.astype(objective.dtype)
        here = problem.evaluate_start(objective, point)
        yield State(point, here, np.nan)
        rate, updates, first = self.rate.of(problem), 1, here
        seen: Iterator[Any] = repeat(objective)
        if self.batches is not None:
            updates = self.batches.count(problem.rows.n_weighted)
            seen = problem.from_rows().batches(*self.batches)
            [first] = next(seen).evaluate([point])
        position = Position(self.optimizer.start(point, first), self.schedule, self.mean)
        for number in count(epoch):
            eta = rate * position.schedule(number)
            position = self.advance(position, seen, eta, updates)
            step, point = position.step, position.point
            is_evaluated = self.batches is None and (position.mean is None or position.mean.n_points <= 1)
            here = step.evaluation if is_evaluated else objective.evaluate([point])[0]
            yield State(point, here, step.rate, step.is_stuck)
            position = position._replace(schedule=position.schedule.after(float(here.value.sum())))

    def advance(self, position: Position, seen: Iterator[Any], rate: float, updates: int) -> Position:
        """Run an epoch.

        Parameters
        ----------
        position : Position
            Where the last has ended.
        seen : iterator of objectives
            What each update sees of the objective.
        rate : float
            Learning rate.
        updates : int
            Updates in the epoch.
        """
        step, mean = position.step, position.mean
        for _ in range(updates):
            step = self.optimizer.update(step, next(seen), self.preconditioner, rate)
            mean = mean and mean.after(step.point)
        return Position(step, position.schedule, mean)
