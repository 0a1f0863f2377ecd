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
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gdregress.descent import State
from gdregress.objectives import MomentObjective
from gdregress.schedules import Pace

FIRST_STRETCH = 16
"""Epochs of the first stretch; each next one is twice as long, so that little is wasted where one is cut short."""

RELIABLE = 1e-7
"""Share of the largest curvature above which one is known to nine digits: enough for the states of the loop."""

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
    is_stuck = False

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
        state = State(int(self.epoch[k]), point, there, float(self.rate[k]))
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


class Eigenbasis(NamedTuple):
    """Eigenvectors of the second derivatives of a quadratic, the curvatures along them, and which are not 0."""

    objective: MomentObjective
    vectors: NDArray
    curvature: NDArray
    bends: NDArray

    @classmethod
    def of(cls, objective: MomentObjective, start: NDArray) -> "Eigenbasis | None":
        """Factor the second derivatives; None where their curvatures, or the slopes at the start, tell too little.

        An eigenvalue is known to the rounding of the largest. One that is a small share of it is not
        known well enough to foretell thousands of epochs, but for one that is zero: of a direction in
        which nothing moves, and has no slope.
        """
        hessian = objective.hessian()
        if not np.isfinite(hessian).all():
            return None
        curvature, vectors = np.linalg.eigh(hessian)
        rounding = len(curvature) * np.finfo(np.float64).eps
        bends = curvature > RELIABLE * curvature[-1]
        if (np.abs(curvature[~bends]) > rounding * curvature[-1]).any():
            return None
        gradient = objective.evaluate([start])[0].gradient
        slope = np.abs(vectors.T @ gradient)
        if not (slope[~bends] <= rounding * np.linalg.norm(gradient, axis=0)).all():
            return None
        return cls(objective, vectors, np.where(bends, curvature, 0.0), bends)


def descend_by_stretches(
    eigenbasis: Eigenbasis, scale: float, rate: float, start: NDArray, *, pace: Pace, epochs: int, first: int = 0
) -> Iterator[State | Stretch]:
    """Yield the states of plain descent in stretches of consecutive epochs.

    Parameters
    ----------
    eigenbasis : Eigenbasis
        Of a quadratic.
    scale : float
        The metric: what every coordinate of a gradient is multiplied by.
    rate : float
        Learning rate.
    start : ndarray of shape (n_coordinates, n_outputs)
        Where to start.
    pace : Pace
        By what the rate is multiplied, as a function of the epoch alone.
    epochs : int
        The last epoch: a schedule is not asked about those beyond.
    first : int, default=0
        Epochs run before.

    Yields
    ------
    State or Stretch
        The start; then stretches.
    """
    objective, basis, curvature, bends = eigenbasis
    longest = max(1, STRETCH_ENTRIES // start.size)
    length = min(FIRST_STRETCH, longest)
    [here] = objective.evaluate([start])
    last = State(first, start, here, float("nan"))
    yield last
    while last.epoch < epochs:
        rates = rate * pace.ahead(last.epoch, min(length, epochs - last.epoch))
        steps = scale * rates
        slope = np.where(bends[:, np.newaxis], basis.T @ last.gradient, 0.0)
        gain = np.divide(0.5 * slope * slope, curvature[:, np.newaxis], out=np.zeros_like(slope), where=slope != 0)
        with np.errstate(over="ignore", invalid="ignore"):
            shrunk = np.multiply.outer(-steps, np.where(gain.any(axis=1), curvature, 0.0))
            shrunk += 1.0
            np.cumprod(shrunk, axis=0, out=shrunk)
            value = np.maximum(last.value - gain.sum(axis=0), 0.0) + np.square(shrunk) @ gain
        numbers = last.epoch + 1 + np.arange(len(rates))
        stretch = Stretch(numbers, rates, value, objective, last.point, basis, shrunk, slope, steps)
        yield stretch
        last, length = stretch.at(-1), min(2 * length, longest)
