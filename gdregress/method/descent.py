"""The textbook's loop: evaluate the gradient, step down, repeat.

Read this file first. `Descent.states` is the loop; `Update.advance` is one epoch of it.
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
from gdregress.method.states import CHEAP, LONGEST, Block, GapFunction, in_blocks
from gdregress.problem.objectives import Evaluation, Objective
from gdregress.problem.problem import Problem


class Mean(NamedTuple):
    """Running mean of the points of a descent, without the first ones (Polyak and Juditsky, 1992).

    Attributes
    ----------
    skip : int, default=0
        Number of points still to be left out.
    point : ndarray of shape (n_coordinates, n_outputs), default=None
        The mean; while points are left out, the last of them.
    n_points : int, default=0
        Number of points in the mean.
    """

    skip: int = 0
    point: Any = None
    n_points: int = 0

    def after(self, point: NDArray) -> "Mean":
        """Return the mean with one more point."""
        if self.skip > 0:
            return self._replace(skip=self.skip - 1, point=point)
        n_points = self.n_points + 1
        mean = point if self.point is None or n_points == 1 else self.point + (point - self.point) / n_points
        return self._replace(point=mean, n_points=n_points)


class Batches(NamedTuple):
    """How an epoch is divided into mini-batches.

    Attributes
    ----------
    size : int
        Rows in a mini-batch.
    shuffle : RandomState or None
        Generator that shuffles the rows before every epoch; None for no shuffling.
    mean_weight : float
        Weight that counts as 1: the gradient of a batch is divided by it.
    """

    size: int
    shuffle: np.random.RandomState | None
    mean_weight: float

    def count(self, n_samples: int) -> int:
        """Return the number of mini-batches in an epoch over `n_samples` rows."""
        return -(-n_samples // self.size)


class DescentState(NamedTuple):
    """The state that a descent carries from one epoch to the next.

    Attributes
    ----------
    step : Step
        The last step of the update rule.
    schedule : EpochSchedule or Plateau
        The schedule, with its memory.
    mean : Mean or None
        Running mean of the points; None without averaging.
    """

    step: Step
    schedule: EpochSchedule | Plateau
    mean: Mean | None

    @property
    def point(self) -> NDArray:
        """The point to predict with: the mean of the points, or w without averaging."""
        return self.step.point if self.mean is None or self.mean.point is None else self.mean.point


@dataclass(frozen=True)
class Update:
    """What an epoch does to the position of a descent.

    Attributes
    ----------
    optimizer : Optimizer
        The update rule.
    preconditioner : Preconditioner
        P.
    schedule : EpochSchedule or Plateau
        Factor of the learning rate at each epoch.
    mean : Mean or None, default=None
        An empty mean, if the points are to be averaged; None for no averaging.
    """

    optimizer: Optimizer
    preconditioner: Preconditioner
    schedule: EpochSchedule | Plateau
    mean: Mean | None = None

    def first(self, point: NDArray, evaluation: Evaluation) -> DescentState:
        """Return the position before the first epoch."""
        return DescentState(self.optimizer.start(point, evaluation), self.schedule, self.mean)

    def advance(self, position: DescentState, seen: Iterator[Any], rate: float, updates: int) -> DescentState:
        """Return the position after one more epoch.

        Parameters
        ----------
        position : DescentState
            The position after the last epoch.
        seen : iterator of Objective
            The objectives of the updates: of the next mini-batches, or of all rows each time.
        rate : float
            eta.
        updates : int
            Number of updates in the epoch.
        """
        step, mean = position.step, position.mean
        for _ in range(updates):
            step = self.optimizer.update(step, next(seen), self.preconditioner, rate)
            mean = None if mean is None else mean.after(step.point)
        return DescentState(step, position.schedule, mean)


@dataclass(frozen=True)
class Descent:
    """Preconditioned proximal gradient descent, with one update rule (Cauchy, 1847).

    ::

        for k = 0, 1, 2, ...
            eta = rate * schedule(k)
            for each mini-batch, or once for all rows
                w <- prox(w - eta P g),          g the gradient at w
                mean <- mean + (w - mean) / n,   n the number of points in the mean
            yield w, or the mean

    The update of w is that of plain descent; every other optimizer has its own. Mini-batches are the method of Robbins
    and Monro (1951), the mean that of Polyak and Juditsky (1992).

    Parameters
    ----------
    update : Update
        The update rule, P and the schedule.
    rate : Rate
        Learning rate before the schedule multiplies it.
    objective : callable
        Function from a problem to its objective: `Problem.from_moments` or `Problem.from_rows`.
    measure : callable
        Function that returns the gap: see `GapFunction`.
    batches : Batches, default=None
        Mini-batches; None for all rows at once.
    epochs : float, default=inf
        The last epoch: a schedule is not called for epochs from there on.
    tol : float, default=0.0
        Optimality at which a descent may end: no predicted evaluation is enough for that.
    """

    update: Update
    rate: Rate
    objective: Callable[[Problem], Objective]
    measure: GapFunction
    batches: Batches | None = None
    epochs: float = float("inf")
    tol: float = 0.0
    goes_below_tol = False
    limit = ""

    def iterates(self, problem: Problem, start: NDArray, epoch: int = 0) -> Iterator[Block]:
        """Yield the states in blocks: of many states where epochs are cheap, else of one."""
        objective = self.objective(problem)
        is_cheap = self.batches is None and objective.work <= CHEAP
        states, longest = self.states(problem, start, epoch), LONGEST if is_cheap else 1
        return in_blocks(problem, states, self.measure, longest, self.epochs - epoch + 1)

    def states(self, problem: Problem, start: NDArray, epoch: int = 0) -> Iterator[Step]:
        """Yield states without end, the start first; the caller decides when to stop.

        Parameters
        ----------
        problem, start, epoch
            As for `iterates`.

        Yields
        ------
        Step
            The state after the next epoch.
        """
        objective = self.objective(problem)
        point = start.astype(objective.dtype)
        here = problem.evaluate_start(objective, point)
        yield Step(point, here)
        rate, (seen, updates), first = self.rate.of(problem), self.seen(problem), here
        if self.batches is not None:
            [first] = next(seen).evaluate([point])
        position = self.update.first(point, first)
        for number in count(epoch):
            eta = rate * position.schedule(number)
            position = self.update.advance(position, seen, eta, updates)
            step, point = position.step, position.point
            is_evaluated = self.batches is None and (position.mean is None or position.mean.n_points <= 1)
            here = step.evaluation if is_evaluated else objective.evaluate([point])[0]
            if self.tol and step.is_predicted and self._is_optimal(problem, point, here):
                [here] = objective.evaluate([point])
            yield step._replace(point=point, evaluation=here)
            position = position._replace(schedule=position.schedule.after(float(here.value.sum())))

    def _is_optimal(self, problem: Problem, point: NDArray, evaluation: Evaluation) -> bool:
        """Return whether a point counts as optimal, by an evaluation that was predicted."""
        gap = self.measure(problem, point, evaluation)
        return bool(problem.optimality(evaluation.value, gap.total) <= self.tol)

    def seen(self, problem: Problem) -> tuple[Iterator[Any], int]:
        """Return the objectives that the updates see, one after the other, and the number of updates in an epoch."""
        if self.batches is None:
            return repeat(self.objective(problem)), 1
        rows = problem.rows.n_weighted
        return problem.from_rows().batches(*self.batches), self.batches.count(rows)
