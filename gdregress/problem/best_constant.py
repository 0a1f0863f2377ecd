"""The best constant prediction, and F0, its mean loss, to which `optimality_` is relative."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdregress.problem.loss import Loss
from gdregress.problem.view import View
from gdregress.rows.namespaces import namespace
from gdregress.rows.rows import Rows
from gdregress.rows.sums import Sums

CONSTANTS = 33
"""Number of constants whose losses one pass over y evaluates."""

CLOSE = 1e-3
"""Relative error allowed in a search for F0, since no one reads more digits of an optimality."""


def best_constant(loss: Loss, view: View) -> tuple[NDArray, NDArray]:
    """Return the best constant prediction of each output and its mean loss, in the coordinates of a view.

    Parameters
    ----------
    loss : Loss
        Loss of residuals in units of y.
    view : View
        Training rows and coordinates. For squared error only the moments are used.

    Returns
    -------
    prediction : ndarray of shape (n_outputs,)
        The constant; 0 without an intercept.
    loss : ndarray of shape (n_outputs,)
        F0, its mean loss; 1 in place of 0, because others are divided by it.
    """
    coordinates, moments = view.coordinates, view.moments
    scale = coordinates.target_scale
    constants = np.zeros(len(scale))  # the centre of y is 0 too
    if loss.is_parabola:
        losses = (moments.y.deviation / scale) ** 2
        return constants, np.where(losses > 0, losses, 1.0)
    here, rows = view.scaled.in_memory, view.scaled.without_features()
    if here is not None:
        constants, losses = _exact(here.y, here.weight, loss, scale, fit_intercept=coordinates.fit_intercept)
    elif not coordinates.fit_intercept:
        [losses] = _losses(rows, loss.in_units(scale), constants[np.newaxis])
    else:
        extent = rows.sum(_Extent)
        constants, losses = _searched(rows, loss.in_units(scale), extent.low, extent.high)
        for output, ends in enumerate(np.column_stack([extent.low, extent.high])):
            middle = ends[0] + (ends[1] - ends[0]) / 2.0
            if loss.in_units(scale[output]).is_zero_at(middle, ends):
                constants[output], losses[output] = middle, 0.0
    return constants, np.where(losses > 0, losses, 1.0)


def _exact(
    y: NDArray, weight: NDArray | None, loss: Loss, scale: NDArray, *, fit_intercept: bool
) -> tuple[NDArray, NDArray]:
    constants, losses = np.zeros((2, y.shape[1]))
    for output, targets in enumerate(y.T):
        own = loss.in_units(scale[output])
        constant = own.best_constant(targets, weight) if fit_intercept else 0.0
        constants[output] = constant
        if not own.is_zero_at(constant, targets if weight is None else targets[weight > 0]):
            losses[output] = np.average(own.value(targets - constant), weights=weight)
    return constants, losses


def _searched(rows: Rows, loss: Loss, low: NDArray, high: NDArray) -> tuple[NDArray, NDArray]:
    """Search for the least mean loss between `low` and `high`, with one pass over y for each narrower interval.

    The mean loss is a convex function of the constant. So the least of the three losses around the
    minimum exceeds the minimum by no more than the largest of the three exceeds the least.
    """
    while True:
        constants = np.linspace(low, high, CONSTANTS)
        losses = _losses(rows, loss, constants)
        outputs, middle = np.arange(losses.shape[1]), np.clip(losses.argmin(axis=0), 1, CONSTANTS - 2)
        three = losses[middle + [[-1], [0], [1]], outputs]
        best, least = constants[losses.argmin(axis=0), outputs], three.min(axis=0)
        low, high = constants[middle - 1, outputs], constants[middle + 1, outputs]
        is_wide = constants[0] < constants[1]
        if not (is_wide & (three.max(axis=0) - least > CLOSE * least)).any():
            return best, least


def _losses(rows: Rows, loss: Loss, constants: NDArray) -> NDArray:
    """Return the mean losses of constants; both have the shape (n_constants, n_outputs)."""
    return rows.sum(partial(_ConstantLosses, loss, constants)).losses / rows.total_weight


class _ConstantLosses(Sums):
    """Accumulator of the losses of constants."""

    sums = ("losses",)
    arrays = (*sums, "_constants")
    movables = ("_loss",)

    def __init__(self, loss: Loss, constants: NDArray):
        self._loss = loss
        self._constants = constants
        self.losses = np.zeros(constants.shape)

    def add(self, X, y, weight):
        losses = self._loss.value(y[:, np.newaxis, :] - self._constants)
        if weight is not None:
            losses = losses * weight[:, np.newaxis, np.newaxis]
        self.losses += namespace(losses).sum(losses, axis=0)


class _Extent(Sums):
    """Accumulator of the least and the largest target of each output."""

    sums = ("low", "high")

    def __init__(self):
        self.low: Any = np.inf
        self.high: Any = -np.inf

    def add(self, X, y, weight):
        xp = namespace(y)
        self.low, self.high = xp.clip(xp.min(y, axis=0), None, self.low), xp.clip(xp.max(y, axis=0), self.high, None)

    def merge(self, other):
        self.low, self.high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
