"""The trace of a descent: what was measured of every epoch, and which epoch is kept."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gdregress.method.states import Block, Points
from gdregress.problem.problem import Gap, Problem


class Epoch(NamedTuple):
    """One epoch of a trace: its number, its point, and the measurements of `Measured`."""

    number: int
    point: NDArray
    rate: float | None
    loss: float
    validation_loss: float | None
    optimality: float
    value: float


class Measured(NamedTuple):
    """A block of states with its measurements, each an array of shape (n_epochs,).

    Attributes
    ----------
    block : Block
        The states.
    loss : ndarray
        Mean loss of the training rows, averaged over outputs, without the penalty.
    value : ndarray
        The objective, summed over outputs.
    validation_loss : ndarray or None
        Mean loss of the validation rows, averaged over outputs, if there are any.
    criterion : ndarray
        The selection criterion, least at the best epoch: the objective, or the loss of the validation rows.
    """

    block: Block
    loss: NDArray
    value: NDArray
    validation_loss: NDArray | None
    criterion: NDArray

    @classmethod
    def of(cls, problem: Problem, block: Block, validate: Callable[[NDArray], NDArray] | None) -> "Measured":
        """Measure a block.

        Parameters
        ----------
        problem : Problem
            The problem that is minimised.
        block : Block
            States of its descent.
        validate : callable or None
            Takes points side by side, of shape (n_coordinates, n_points * n_outputs), and returns the loss on the
            validation rows for each column.
        """
        value, losses, validation_loss = block.value, block.value, None
        if not problem.penalty.has_no_strength:
            losses = value - _of_each(problem.penalty.value, block)
        criterion = problem.criterion(value)
        if validate is not None:
            validation = _of_each(validate, block)
            criterion, validation_loss = problem.criterion(validation), problem.mean_loss(validation)
        return cls(block, problem.mean_loss(losses), value.sum(axis=1), validation_loss, criterion)

    def epoch(self, number: int, k: int) -> Epoch:
        """Return the k-th epoch of the block, which has the given number in the descent."""
        validation_loss = None if self.validation_loss is None else float(self.validation_loss[k])
        block = self.block
        return Epoch(
            number,
            block.points.at(k),
            block.rate_at(k),
            float(self.loss[k]),
            validation_loss,
            float(block.optimality[k]),
            float(self.value[k]),
        )

    def one_by_one(self) -> "list[Measured]":
        """Return the block as blocks of one epoch."""
        return [self._between(k, k + 1) for k in range(len(self.block))]

    def standing(self, n_epochs: int) -> "Measured":
        """Return epochs that stay where the last of these has ended, at a rate of 0."""
        last = self._between(len(self.block) - 1, len(self.block))
        block, point = last.block, last.block.points.at(0)
        value, optimality, is_finite = (
            np.repeat(part, n_epochs, axis=0) for part in (block.value, block.optimality, block.is_finite)
        )
        gap = Gap(*(np.repeat(part, n_epochs, axis=0) for part in block.gap))
        standing = Block(np.zeros(n_epochs), value, gap, optimality, is_finite, Points.of([point] * n_epochs))
        loss, total, criterion = (np.repeat(part, n_epochs) for part in (last.loss, last.value, last.criterion))
        validation_loss = None if last.validation_loss is None else np.repeat(last.validation_loss, n_epochs)
        return Measured(standing, loss, total, validation_loss, criterion)

    def head(self, n_epochs: int) -> "Measured":
        """Return the first `n_epochs` epochs of the block."""
        return self if n_epochs == len(self.block) else self._between(0, n_epochs)

    def _between(self, first: int, last: int) -> "Measured":
        loss, value, criterion = (part[first:last] for part in (self.loss, self.value, self.criterion))
        validation_loss = None if self.validation_loss is None else self.validation_loss[first:last]
        return Measured(self.block.between(first, last), loss, value, validation_loss, criterion)


def _of_each(function: Callable[[NDArray], NDArray], block: Block) -> NDArray:
    """Apply a function of points side by side to a block; return an array of shape (n_epochs, n_outputs)."""
    points = block.points.stacked()
    return function(points.reshape(len(points), -1)).reshape(block.value.shape)


class Reached(NamedTuple):
    """How far a trace reaches: replaced as a whole, so that an interrupt finds a block appended or not.

    Attributes
    ----------
    n_states, n_parts : int
        Numbers of states and of blocks.
    last : Measured
        The last block.
    best : tuple of (int, int, Measured)
        The best epoch: its number, its place in a block, and that block.
    least : float
        Its criterion.
    """

    n_states: int
    n_parts: int
    last: Measured
    best: tuple[int, int, Measured]
    least: float


class Trace:
    """The history of a descent.

    Parameters
    ----------
    keeps_best : bool, default=False
        Whether the best epoch is kept instead of the last.
    record : callable, default=None
        Takes points of shape (n_coordinates, n_epochs, n_outputs) and returns what is recorded of them.

    Attributes
    ----------
    start : Epoch
        Epoch 0, the starting point.
    """

    start: Epoch

    def __init__(self, *, keeps_best: bool = False, record: Callable[[NDArray], Any] | None = None):
        self._keeps_best = keeps_best
        self._record = record
        self._columns: list[tuple[NDArray | None, ...]] = []
        self._values: list[NDArray] = []
        self._recorded: list[Any] = []
        self._reached: Reached | None = None

    @property
    def n_states(self) -> int:
        """Number of states so far, the start included."""
        return 0 if self._reached is None else self._reached.n_states

    @property
    def recorded(self) -> list[Any]:
        """What `record` has returned for each block."""
        return self._recorded[: self._at.n_parts]

    @property
    def values(self) -> NDArray:
        """The objective of each state so far, summed over outputs."""
        return np.concatenate(self._values[: self._at.n_parts])

    @property
    def _at(self) -> Reached:
        assert self._reached is not None, "nothing was appended yet"
        return self._reached

    @property
    def number(self) -> int:
        """Number of epochs run so far."""
        return self.n_states - 1

    @property
    def last(self) -> Epoch:
        """The last epoch."""
        last = self._at.last
        return last.epoch(self.number, len(last.block) - 1)

    @property
    def best(self) -> Epoch:
        """The epoch of least criterion among the finite ones; the start, if none is better."""
        number, k, measured = self._at.best
        return measured.epoch(number, k)

    @property
    def kept(self) -> Epoch:
        """The epoch to return if the descent ends here."""
        return self.best if self._keeps_best else self.last

    def since_best(self, latest: Measured) -> NDArray:
        """Return, for each of the latest epochs (not yet in the trace), the number of epochs since the best."""
        numbers = self.n_states + np.arange(len(latest.block))
        criterion = np.where(latest.block.is_finite, latest.criterion, np.inf)
        number, least = (0, np.inf) if self._reached is None else (self._reached.best[0], self._reached.least)
        lowest = np.minimum.accumulate(np.append(least, criterion))
        best = np.where(lowest[1:] < lowest[:-1], numbers, number)
        return numbers - np.maximum.accumulate(best)

    def append(self, latest: Measured) -> None:
        """Append a block of epochs, so that an interrupt leaves all of them in the trace or none."""
        block, before = latest.block, self._reached
        criterion = np.where(block.is_finite, latest.criterion, np.inf)
        if before is None:
            self.start = latest.epoch(0, 0)
            before = Reached(0, 0, latest, (0, 0, latest), float(criterion[0]))
        k, best, least = int(criterion.argmin()), before.best, before.least
        if criterion[k] < least:
            best, least = (before.n_states + k, k, latest), float(criterion[k])
        if self._record is not None:
            self._recorded.append(self._record(block.points.stacked()))
        self._values.append(latest.value)
        self._columns.append((latest.loss, latest.validation_loss, block.optimality, block.rate))
        self._reached = Reached(before.n_states + len(block), before.n_parts + 1, latest, best, least)

    def columns(self) -> dict[str, NDArray]:
        """Return the arrays of `history_`, an entry for each state, by name."""
        loss, validation_loss, optimality, rates = zip(*self._columns[: self._at.n_parts], strict=True)
        columns = {"loss": loss, "validation_loss": validation_loss, "optimality": optimality}
        columns["learning_rate"] = ([np.nan], *rates)  # no step has led to the start
        return {name: np.concatenate(parts) for name, parts in columns.items() if parts[0] is not None}
