"""Descend an objective with an optimizer in a metric until it stops, keeping a history.

Open this file first: the loop is `descend`, an endless stream of states; `anneal` chains the
descents of a twin that grows sharper; `follow` consumes what comes and decides when it is enough.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, repeat
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class State:
    """A point of a descent, and the objective there.

    Attributes
    ----------
    epoch : int
        Epochs it took to get here; 0 at the start.
    point : ndarray of shape (n_coordinates, n_outputs)
        Coordinates in the frame of the descent.
    evaluation : Evaluation
        The objective there, output by output, its gradient, and what else is known of it.
    rate : float
        The rate that led here; NaN at the start.
    is_stuck : bool
        Whether the optimizer has looked for a step from here and found none.
    """

    epoch: int
    point: NDArray
    evaluation: Any
    rate: float
    is_stuck: bool = False

    is_stretch = False

    def __len__(self) -> int:
        """Count the epochs: a stretch of a descent has more."""
        return 1

    def each(self, function: Callable[[NDArray], NDArray]) -> NDArray:
        """Apply a function of points side by side."""
        return function(self.point)

    @property
    def value(self) -> NDArray:
        """The objective, output by output."""
        return self.evaluation.value

    @property
    def gradient(self) -> NDArray:
        """Gradient of its smooth part."""
        return self.evaluation.gradient

    @property
    def is_finite(self) -> bool:
        """Whether the point and the objective there are numbers that can be kept."""
        return bool(np.isfinite(self.value).all() and np.isfinite(self.point).all())


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


def descend(
    objective: Any,
    optimizer: Any,
    metric: Any,
    rate: float,
    start: NDArray,
    *,
    pace: Any,
    batches: Iterator[Any] | None = None,
    updates: int = 1,
    mean: Mean | None = None,
    first: int = 0,
) -> Iterator[State]:
    """Yield the states of a descent, for ever: the consumer decides when it is enough.

    Parameters
    ----------
    objective : object with ``evaluate(points)``
        What is minimised.
    optimizer : object with ``start`` and ``update``
        How a point follows from the last.
    metric : callable
        Turns a gradient into the direction of steepest ascent.
    rate : float
        Learning rate: the share of that direction that an epoch steps down.
    start : ndarray of shape (n_coordinates, n_outputs)
        Where to start.
    pace : Pace or Plateau
        By what the rate is multiplied.
    batches : iterator of objectives, default=None
        What each update sees of the objective; None for the whole of it.
    updates : int, default=1
        Updates in an epoch.
    mean : Mean, default=None
        The empty mean of the points, to yield in place of the last of them; None for the last.
    first : int, default=0
        Epochs run before.

    Yields
    ------
    State
        Fresh at every epoch, the start first.
    """
    seen = repeat(objective) if batches is None else batches
    step = optimizer.start(start, next(seen))
    point: NDArray = start
    for epoch in count(first):
        is_whole = batches is None and point is step.point
        evaluation = step.evaluation if is_whole else objective.evaluate([point])[0]
        yield State(epoch, point, evaluation, step.rate, step.is_stuck)
        if epoch > first:
            pace = pace.after(float(evaluation.value.sum()))
        step, mean = run_epoch(step, mean, optimizer, seen, metric, rate * pace(epoch), updates)
        point = step.point if mean is None else mean.point


def run_epoch(
    step: Any, mean: Mean | None, optimizer: Any, seen: Iterator[Any], metric: Any, rate: float, updates: int
) -> tuple[Any, Mean | None]:
    """Update a step as often as an epoch does, and the mean of the points with it."""
    for _ in range(updates):
        step = optimizer.update(step, next(seen), metric, rate)
        mean = mean and mean.after(step.point)
    return step, mean


def anneal(stage: Any, start: NDArray, measure: Callable[[Any, State], "Epoch"]) -> Iterator["Epoch"]:
    """Descend stage after stage, each from where the last had settled; most objectives have but one.

    Parameters
    ----------
    stage : Stage
        The first. It says after every epoch whether a sharper one is due.
    start : ndarray of shape (n_coordinates, n_outputs)
        Where to start.
    measure : callable
        From a stage and a state of it to an epoch.

    Yields
    ------
    Epoch
        The states of all stages, measured.
    """
    reached = -1
    while True:
        first = max(reached, 0)
        for state in stage.descend(start, first=first):
            epoch = measure(stage, state)
            sharper = stage.sharper(epoch, epoch.last_number - first)
            has_stalled = sharper is not None and state.is_stuck  # no epoch, if a sharper stage can go on from here
            if epoch.last_number > reached and not has_stalled:
                reached = epoch.last_number
                yield epoch
            if sharper:
                stage, start = sharper, state.point
                break


class Certificate(NamedTuple):
    """How far an objective may be above its minimum, output by output.

    Attributes
    ----------
    decrement : ndarray of shape (n_outputs,)
        What further descent is expected to gain.
    slack : ndarray of shape (n_outputs,)
        What a sharper twin would gain.
    gap : ndarray of shape (n_outputs,)
        The two together, reckoned with care.
    """

    decrement: NDArray
    slack: NDArray
    gap: NDArray


@dataclass(frozen=True)
class Epoch:
    """A state, and what is measured of it: numbers, or arrays of them for a stretch.

    Attributes
    ----------
    state : State or Stretch
        Where the descent stands.
    loss : float
        Mean loss of the training rows, averaged over outputs, without the penalty.
    optimality : float
        The certificate: how far the point is from the optimum.
    certificate : Certificate
        What it is made from.
    validation_loss : float
        The same loss of the validation rows; NaN without any.
    merit : float
        What the best epoch has least of: the objective, the certificate, or the loss of the
        validation rows, in the units of the descent.
    raw : tuple of ndarray or None
        Coefficients and intercepts on the original scale, where they are recorded; of a stretch
        with an axis of epochs before the last.
    """

    state: Any
    loss: Any
    optimality: Any
    certificate: Certificate
    validation_loss: Any
    merit: Any
    raw: tuple[NDArray, NDArray] | None = None

    @property
    def number(self) -> Any:
        """Epochs run so far."""
        return self.state.epoch

    @property
    def last_number(self) -> int:
        """The last of them, of a stretch."""
        return int(self.number[-1]) if self.state.is_stretch else self.number

    @property
    def value(self) -> Any:
        """The objective, summed over outputs."""
        return self.state.value.sum(axis=-1)

    @property
    def is_finite(self) -> Any:
        """Whether the point and the objective there are numbers that can be kept."""
        return self.state.is_finite

    def at(self, k: int) -> "Epoch":
        """Give one epoch of a stretch."""
        if not self.state.is_stretch:
            return self
        [(loss, validation_loss, optimality, _, raw)] = self.rows(k, k + 1)
        merit = float(self.merit[k])
        return Epoch(self.state.at(k), loss, optimality, self.certificate, validation_loss, merit, raw)

    def rows(self, first: int, last: int) -> list[tuple]:
        """Give ``(loss, validation_loss, optimality, rate, raw)`` of some epochs."""
        numbers = (self.loss, self.validation_loss, self.optimality, self.state.rate)
        if not self.state.is_stretch:
            return [(*numbers, self.raw)]
        columns = (np.broadcast_to(number, len(self.state))[first:last].tolist() for number in numbers)
        if self.raw is None:
            return list(zip(*columns, repeat(None), strict=False))
        coef, intercept = self.raw
        return list(zip(*columns, ((coef[:, k], intercept[k]) for k in range(first, last)), strict=True))

    def best(self, n_epochs: int) -> "Epoch":
        """Give the epoch of least merit among the first ones, of those that can be kept."""
        if not self.state.is_stretch:
            return self
        return self.at(int(np.argmin(np.where(self.is_finite, self.merit, np.inf)[:n_epochs])))


class History:
    """What a descent has shown so far.

    Parameters
    ----------
    keep_best : bool
        Whether the best epoch is kept in place of the last.

    Attributes
    ----------
    start, last, best : Epoch
        The first epoch, the last, and the best.
    latest : Epoch
        The epoch that is looked at, or the stretch, the first epochs of which may be appended.
    rows : list of tuple
        ``(loss, validation_loss, optimality, rate, raw)`` of every epoch, the start included.
    """

    start: Epoch
    last: Epoch
    best: Epoch
    latest: Epoch
    _before: tuple[Epoch, int]

    def __init__(self, *, keep_best: bool = False):
        self._keep_best = keep_best
        self.rows: list[tuple] = []

    @property
    def previous(self) -> Epoch:
        """The last epoch but one; the first, at first."""
        epoch, k = self._before
        return epoch.at(k)

    @property
    def kept(self) -> Epoch:
        """The epoch to return, should the descent end here."""
        return self.best if self._keep_best else self.last

    @property
    def since_best(self) -> Any:
        """Epochs since the best, to each that is looked at."""
        latest = self.latest
        if not latest.state.is_stretch:
            return 0 if latest.is_finite and latest.merit < self.best.merit else latest.number - self.best.number
        improves = np.where(latest.is_finite, latest.merit, np.inf)
        lowest = np.minimum.accumulate(np.append(self.best.merit, improves))
        best = np.where(lowest[1:] < lowest[:-1], latest.number, self.best.number)
        return latest.number - np.maximum.accumulate(best)

    def look_at(self, epoch: Epoch) -> None:
        """Look at the next epoch, or stretch of epochs."""
        if not self.rows:
            self.start = self.last = self.best = epoch
        self.latest = epoch

    def append(self, n_epochs: int = 1) -> None:
        """Append the first epochs of what is looked at."""
        rows, last, best = self.latest.rows(0, n_epochs), self.latest.at(n_epochs - 1), self.latest.best(n_epochs)
        if not (best.is_finite and best.merit < self.best.merit):
            best = self.best
        before = (self.latest, n_epochs - 2) if n_epochs > 1 else (self.last, 0)
        self._before, self.last, self.best = before, last, best  # at once: an interrupt finds all or nothing
        self.rows += rows


@dataclass(frozen=True)
class Stop:
    """Why a descent ended, in a sentence with the remedy where there is one, and what is kept."""

    reason: str
    kept: Epoch
    is_warning: bool = False


class Rule(Protocol):
    """A reason to stop."""

    def fires(self, history: History) -> Any:
        """Whether to stop after the epoch that is looked at; for each epoch of a stretch."""
        ...

    def stop(self, history: History) -> Stop:
        """Say why, once that epoch is appended."""
        ...


Observer = Callable[[History, int, Stop | None], Stop | None]
"""Looks on: told after every epoch, or stretch, how many of its epochs count and why the descent ends there, if so.

What it gives back is why the descent ends there: what it was told, or a reason of its own.
"""


def one_by_one(epochs: Iterable[Epoch]) -> Iterator[Epoch]:
    """Yield the epochs of stretches each on its own."""
    for epoch in epochs:
        yield from map(epoch.at, range(len(epoch.state)))


def follow(epochs: Iterable[Epoch], rules: Sequence[Rule], history: History, observers: Sequence[Observer]) -> Stop:
    """Consume epochs into the history until a rule, or an observer, says stop.

    Parameters
    ----------
    epochs : iterable of Epoch
        A descent, measured.
    rules : sequence of Rule
        Asked after every epoch, in this order.
    history : History
        Filled on the way: it holds what was reached should the descent be interrupted.
    observers : sequence of Observer
        Told after every epoch, in this order, once the rules have been asked; they may stop too.

    Returns
    -------
    Stop
    """
    for epoch in epochs:
        history.look_at(epoch)
        n_epochs, due = len(epoch.state), None
        for rule in rules:
            fired = rule.fires(history)
            places = np.flatnonzero(fired) if isinstance(fired, np.ndarray) else [0] * bool(fired)
            if len(places) and (due is None or places[0] + 1 < n_epochs):
                n_epochs, due = int(places[0]) + 1, rule
        history.append(n_epochs)
        stop = None if due is None else due.stop(history)
        for observe in observers:
            stop = observe(history, n_epochs, stop)
        if stop is not None:
            return stop
    raise AssertionError("a descent does not end by itself")
