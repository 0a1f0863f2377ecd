"""Descend an objective with an optimizer in a metric until it stops, keeping a history.

Open this file first: the loop is `descend`, an endless stream of states; `follow` consumes it
and decides when it is enough.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

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
    value : ndarray of shape (n_outputs,)
        The objective, output by output.
    gradient : ndarray of shape (n_coordinates, n_outputs)
        Its gradient.
    rate : float
        The rate that led here; NaN at the start.
    """

    epoch: int
    point: NDArray
    value: NDArray
    gradient: NDArray
    rate: float


def descend(objective: Any, optimizer: Any, metric: Any, rate: float, start: NDArray) -> Iterator[State]:
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

    Yields
    ------
    State
        Fresh at every epoch, the start first.
    """

    def evaluate(*points: NDArray) -> list:
        return objective.evaluate(points)

    [here] = evaluate(start)
    step = optimizer.start(start, here)
    for epoch in count():
        yield State(epoch, step.point, step.evaluation.value, step.evaluation.gradient, step.rate)
        step = optimizer.update(step, evaluate, metric, rate)


@dataclass(frozen=True)
class Epoch:
    """A state, and what is measured of it.

    Attributes
    ----------
    state : State
        Where the descent stands.
    loss : float
        Mean loss of the training rows, averaged over outputs, without the penalty.
    optimality : float
        The certificate: how far the point is from the optimum, in standard deviations of y.
    validation_loss : float
        The same loss of the validation rows; NaN without any.
    merit : float
        What the best epoch has least of: the objective, the certificate, or the loss of the
        validation rows, in the units of the descent.
    raw : tuple of ndarray or None
        Coefficients and intercepts on the original scale, where they are recorded.
    """

    state: State
    loss: float
    optimality: float
    validation_loss: float
    merit: float
    raw: tuple[NDArray, NDArray] | None = None

    @property
    def number(self) -> int:
        """Epochs run so far."""
        return self.state.epoch

    @property
    def value(self) -> float:
        """The objective, summed over outputs."""
        return float(self.state.value.sum())

    @property
    def is_finite(self) -> bool:
        """Whether the point and the objective there are numbers that can be kept."""
        return bool(np.isfinite(self.value) and np.isfinite(self.state.point).all())


class History:
    """What a descent has shown so far.

    Parameters
    ----------
    keep_best : bool
        Whether the best epoch is kept in place of the last.

    Attributes
    ----------
    start, previous, last, best : Epoch
        The first epoch, the last but one (the first, at first), the last, and the best.
    rows : list of tuple
        ``(loss, validation_loss, optimality, rate, raw)`` of every epoch, the start included.
    """

    start: Epoch
    previous: Epoch
    last: Epoch
    best: Epoch

    def __init__(self, *, keep_best: bool = False):
        self._keep_best = keep_best
        self.rows: list[tuple] = []

    @property
    def kept(self) -> Epoch:
        """The epoch to return, should the descent end here."""
        return self.best if self._keep_best else self.last

    def append(self, epoch: Epoch) -> None:
        """Take in the next epoch."""
        if not self.rows:
            self.start = self.last = self.best = epoch
        self.rows.append((epoch.loss, epoch.validation_loss, epoch.optimality, epoch.state.rate, epoch.raw))
        self.previous, self.last = self.last, epoch
        if epoch.is_finite and epoch.merit < self.best.merit:
            self.best = epoch


@dataclass(frozen=True)
class Stop:
    """Why a descent ended, in a sentence with the remedy where there is one, and what is kept."""

    reason: str
    kept: Epoch
    is_warning: bool = False


Rule = Callable[[History], Stop | None]


def follow(epochs: Iterable[Epoch], rules: Sequence[Rule], history: History, show: Callable[[Epoch], None]) -> Stop:
    """Consume epochs into the history until the first rule says stop.

    Parameters
    ----------
    epochs : iterable of Epoch
        A descent, measured.
    rules : sequence of callables
        Asked after every epoch, in this order.
    history : History
        Filled on the way: it holds what was reached should the descent be interrupted.
    show : callable
        Called with every epoch.

    Returns
    -------
    Stop
    """
    for epoch in epochs:
        history.append(epoch)
        show(epoch)
        for rule in rules:
            if stop := rule(history):
                return stop
    raise AssertionError("a descent does not end by itself")
