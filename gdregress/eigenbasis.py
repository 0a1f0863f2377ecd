"""Plain descent of a quadratic, many epochs at once.

In the basis Q of eigenvectors of the second derivatives, with curvatures lambda, each coordinate of
the gradient shrinks by a factor of its own at every epoch, whatever the others do, so that the
descent is a geometric sequence. With g = Q' gradient at the start of a stretch::

    shrunk_k  =  prod_{j<k} (1 - eta_j lambda)
    F_k  =  F_0  -  sum_i (1 - shrunk_ki^2) g_i^2 / (2 lambda_i)
    w_k  =  w_0  -  Q sum_{j<k} eta_j shrunk_j g

An epoch costs a few operations a coordinate. Points are made of those epochs that are asked for.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gdregress.descent import State
from gdregress.objectives import MomentObjective
from gdregress.schedules import Pace

FIRST_STRETCH = 16
"""Epochs of the first stretch; each next one is twice as long, so that little is wasted where one is cut short."""

STRETCH_ENTRIES = 2**17
"""Coordinates of a stretch, at most: 1 MB, which the cache holds beside what is made of it."""


@dataclass(frozen=True)
class Stretch:
    """States of consecutive epochs: what `State` tells of one, with an axis of epochs before that of outputs.

    Attributes
    ----------
    epoch : ndarray of shape (n_epochs,)
        Epochs it took to get here.
    rate : ndarray of shape (n_epochs,)
        The rates that led here.
    value : ndarray of shape (n_epochs, n_outputs)
        The objective.
    """

    epoch: NDArray
    rate: NDArray
    value: NDArray
    _objective: MomentObjective = field(repr=False)
    _start: NDArray = field(repr=False)
    _basis: NDArray = field(repr=False)
    _shrunk: NDArray = field(repr=False)
    _slope: NDArray = field(repr=False)
    _steps: NDArray = field(repr=False)
    _states: dict[int, State] = field(default_factory=dict, repr=False)

    is_stretch = True
    evaluation = None

    def __len__(self) -> int:
        """Count the epochs."""
        return len(self.epoch)

    @cached_property
    def point(self) -> NDArray:
        """All points, of shape (n_coordinates, n_epochs, n_outputs)."""
        return self._points(np.cumsum(self._lengths(len(self)), axis=0))

    @property
    def is_finite(self) -> NDArray:
        """Whether the objective is finite, and with it the point."""
        return np.isfinite(self.value).all(axis=-1)

    def each(self, function: Callable[[NDArray], NDArray]) -> NDArray:
        """Apply a function of points side by side, of shape (n_epochs, n_outputs)."""
        return function(self.point.reshape(len(self.point), -1)).reshape(self.value.shape)

    def at(self, k: int) -> State:
        """Give the state of one epoch."""
        k %= len(self)
        if k in self._states:
            return self._states[k]
        if "point" in vars(self):  # to the bit what was recorded
            point = self.point[:, k]
        else:
            point = self._points(self._lengths(k + 1).sum(axis=0, keepdims=True))[:, 0]
        [there] = self._objective.evaluate([point])
        state = State(int(self.epoch[k]), point, there._replace(value=self.value[k]), float(self.rate[k]))
        self._states[k] = state
        return state

    def squared_gradient(self, root: NDArray) -> NDArray:
        """Give |C g|^2 for the gradients g and a matrix C, of shape (n_epochs, n_outputs)."""
        turned, squares = (root @ self._basis).T, np.empty_like(self.value)
        for output, slope in enumerate(self._slope.T):
            lengths = (self._shrunk * slope) @ turned
            squares[:, output] = np.einsum("ki,ki->k", lengths, lengths)
        return squares

    def _lengths(self, n_epochs: int) -> NDArray:
        """Give the share of the slope at the start that each of the first epochs steps down."""
        lengths = np.empty((n_epochs, len(self._start)))
        lengths[0] = self._steps[0]
        np.multiply(self._shrunk[: n_epochs - 1], self._steps[1:n_epochs, np.newaxis], out=lengths[1:])
        return lengths

    def _points(self, lengths: NDArray) -> NDArray:
        way = lengths.T[:, :, np.newaxis] * self._slope[:, np.newaxis]
        return self._start[:, np.newaxis] - np.tensordot(self._basis, way, axes=1)


def descend_by_stretches(
    objective: MomentObjective, scale: float, rate: float, start: NDArray, *, pace: Pace, first: int = 0
) -> Iterator[State | Stretch]:
    """Yield the states of plain descent, for ever, in stretches of consecutive epochs.

    Parameters
    ----------
    objective : MomentObjective
        A quadratic.
    scale : float
        The metric: what every coordinate of a gradient is multiplied by.
    rate : float
        Learning rate.
    start : ndarray of shape (n_coordinates, n_outputs)
        Where to start.
    pace : Pace
        By what the rate is multiplied, as a function of the epoch alone.
    first : int, default=0
        Epochs run before.

    Yields
    ------
    State or Stretch
        The start; then stretches.
    """
    curvature, basis = np.linalg.eigh(objective.hessian())
    # Where there is no curvature but rounding there is no slope but rounding either.
    bends = curvature > len(curvature) * np.finfo(np.float64).eps * curvature[-1]
    curvature = np.where(bends, curvature, 0.0)
    longest = max(1, STRETCH_ENTRIES // len(start))
    length = min(FIRST_STRETCH, longest)
    [here] = objective.evaluate([start])
    last = State(first, start, here, float("nan"))
    yield last
    while True:
        rates = rate * pace.ahead(last.epoch, length)
        steps = scale * rates
        slope = np.where(bends[:, np.newaxis], basis.T @ last.gradient, 0.0)
        gain = np.divide(0.5 * slope * slope, curvature[:, np.newaxis], out=np.zeros_like(slope), where=slope != 0)
        with np.errstate(over="ignore", invalid="ignore"):
            shrunk = np.multiply.outer(-steps, np.where(gain.any(axis=1), curvature, 0.0))
            shrunk += 1.0
            np.cumprod(shrunk, axis=0, out=shrunk)
            value = np.maximum(last.value - gain.sum(axis=0), 0.0) + np.square(shrunk) @ gain
        epochs = last.epoch + 1 + np.arange(len(rates))
        stretch = Stretch(epochs, rates, value, objective, last.point, basis, shrunk, slope, steps)
        yield stretch
        last, length = stretch.at(-1), min(2 * length, longest)
