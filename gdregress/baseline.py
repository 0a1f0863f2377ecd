"""The loss of the best constant: what a certificate is measured against."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdregress.blocks import RowBlocks, Rows, Sums
from gdregress.frames import Frame
from gdregress.moments import Moments
from gdregress.task import Task

CONSTANTS = 33
"""Constants that are tried at once, in a pass over y."""

CLOSE = 1e-3
"""Relative error of the least loss that is found so: a certificate is read to as many digits."""


def baseline(task: Task, rows: Rows | None, moments: Moments, frame: Frame) -> NDArray:
    """Give the mean loss of the best constant (without an intercept: of 0), in units of the frame; 1 for 0.

    Parameters
    ----------
    task : Task
        What is asked for.
    rows : Rows or None
        Training rows; they are needed for losses other than squared error.
    moments : Moments
        Of these rows.
    frame : Frame
        The unit-curvature frame.
    """
    loss, scale = task.loss_in(frame.target_scale), frame.target_scale
    if task.is_squared_error:
        losses = (moments.y.deviation / scale) ** 2
    elif isinstance(rows, RowBlocks):
        losses = _of_rows_at_hand(task, rows, frame)
    else:
        assert rows is not None
        rows = rows.with_targets(frame.targets)
        if task.fit_intercept:
            extent = rows.accumulate(_Extent)
            losses = _searched(rows, loss, extent.low, extent.high)
        else:
            zero = -frame.target_center / scale
            [losses] = _losses(rows, loss, zero[np.newaxis])
    return np.where(losses > 0, losses, 1.0)


def _of_rows_at_hand(task: Task, rows: RowBlocks, frame: Frame) -> NDArray:
    y = np.asarray(frame.targets(rows.y), dtype=np.float64)
    weight = None if rows.weight is None else np.asarray(rows.weight, dtype=np.float64)
    zero = -frame.target_center / frame.target_scale
    losses = np.empty(y.shape[1])
    for k in range(y.shape[1]):
        loss = task.loss_in(frame.target_scale[k])
        constant = loss.best_constant(y[:, k], weight) if task.fit_intercept else zero[k]
        losses[k] = np.average(loss.value(y[:, k] - constant), weights=weight)
    return losses


def _searched(rows: Rows, loss: Any, low: NDArray, high: NDArray) -> NDArray:
    """Narrow down the best constant, a pass over y at a time: the mean loss is convex.

    The least of three losses in a row is above the minimum by no more than it is below the largest of them.
    """
    while True:
        constants = np.linspace(low, high, CONSTANTS)
        losses = _losses(rows, loss, constants)
        outputs, middle = np.arange(losses.shape[1]), np.clip(losses.argmin(axis=0), 1, CONSTANTS - 2)
        three = losses[middle + [[-1], [0], [1]], outputs]
        least = three.min(axis=0)
        low, high = constants[middle - 1, outputs], constants[middle + 1, outputs]
        is_wide = constants[0] < constants[1]
        if not (is_wide & (three.max(axis=0) - least > CLOSE * least)).any():
            return least


def _losses(rows: Rows, loss: Any, constants: NDArray) -> NDArray:
    """Give the mean losses of constants (n_constants, n_outputs)."""
    return rows.accumulate(partial(_ConstantLosses, loss, constants)).losses / rows.total_weight


class _ConstantLosses(Sums):
    """Sums of the losses of constants."""

    def __init__(self, loss: Any, constants: NDArray):
        self._loss = loss
        self._constants = constants
        self.losses = np.zeros(constants.shape)

    def add(self, X, y, weight):
        losses = self._loss.value(y[:, np.newaxis] - self._constants)
        self.losses += losses.sum(axis=0) if weight is None else np.einsum("i,ikm->km", weight, losses)

    def merge(self, other):
        self.losses += other.losses


class _Extent:
    """The least and the largest of targets."""

    def __init__(self):
        self.low, self.high = np.inf, -np.inf

    def add(self, X, y, weight):
        self.low, self.high = np.minimum(self.low, y.min(axis=0)), np.maximum(self.high, y.max(axis=0))

    def merge(self, other):
        self.low, self.high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
