"""Plain descent of a quadratic, many epochs at once.

In the basis Q of eigenvectors of the second derivatives, with curvatures lambda, each coordinate of
the gradient shrinks by a factor of its own at every epoch, whatever the others do, so that the
descent is a geometric sequence. With g = Q' gradient at the start of a block::

    shrunk_k  =  prod_{j<k} (1 - eta_j lambda)
    F_k  =  F_0  -  sum_i (1 - shrunk_ki^2) g_i^2 / (2 lambda_i)
    w_k  =  w_0  -  Q sum_{j<k} eta_j shrunk_j g

An epoch costs a few operations a coordinate. Points are made of those epochs that are asked for.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gdregress.method.descent import Descent
from gdregress.method.preconditioners import Scalar
from gdregress.method.schedules import EpochSchedule
from gdregress.method.states import Block, State
from gdregress.problem.objectives import MomentObjective
from gdregress.problem.problem import Problem

FIRST_BLOCK = 16
"""Epochs of the first block; each next one is twice as long, so that little is wasted where one is cut short."""

RELIABLE = 1e-7
"""Share of the largest curvature above which one is known to nine digits: enough for the states of the loop."""

ORTHOGONAL = 1e-10
"""Cosine of the angle between two columns below which they count as orthogonal."""

BLOCK_ENTRIES = 2**17
"""Coordinates of a block, at most: 1 MB, which the cache holds beside what is made of it."""


@dataclass(frozen=True)
class Geometric:
    """Plain descent of a quadratic, its epochs being a geometric sequence in the basis of eigenvectors.

    Where the eigenvalues tell too little, it is the descent itself, epoch by epoch.

    Parameters
    ----------
    descent : Descent
        Plain descent at the rate and by the schedule that the epochs take.
    preconditioner : Scalar
        What every coordinate of a gradient is multiplied by.
    schedule : EpochSchedule
        By what the rate is multiplied, as a function of the epoch alone.
    epochs : int
        The last epoch: a schedule is not asked about those beyond.
    """

    descent: Descent
    preconditioner: Scalar
    schedule: EpochSchedule
    epochs: int
    goes_below_tol = False
    limit = ""

    def iterates(self, problem: Problem, start: NDArray, epoch: int = 0) -> Iterator[Block]:
        """Yield blocks of states, the start first, up to the last epoch."""
        start = start.astype(np.float64)
        basis = Eigenbasis.of(problem.from_moments(), start, problem.root(self.descent.measure))
        if basis is None:
            yield from self.descent.iterates(problem, start, epoch)
            return
        rate, length = self.descent.rate.of(problem), FIRST_BLOCK
        longest = max(1, BLOCK_ENTRIES // start.size)
        [here] = basis.objective.evaluate([start])
        point = start
        yield Block.of(problem, [State(start, here, np.nan)], self.descent.measure)
        while epoch < self.epochs:
            rates = rate * self.schedule.ahead(epoch, min(length, longest, self.epochs - epoch))
            steps = self.preconditioner.scale * rates
            points, value, decrement = basis.ahead(point, here.gradient, here.value, steps)
            gap = problem.gap_of_quadratic(decrement)
            is_finite = np.isfinite(value).all(axis=1)
            yield Block(rates, value, gap, problem.optimality(value, gap.total), is_finite, points)
            epoch, length = epoch + len(rates), 2 * length
            point = points.at(len(rates) - 1)
            [here] = basis.objective.evaluate([point])


@dataclass(frozen=True)
class GeometricPoints:
    """The points of a block, made when they are asked for.

    Attributes
    ----------
    start : ndarray of shape (n_coordinates, n_outputs)
        The point before the block.
    way : ndarray of shape (n_coordinates, n_outputs)
        Gradient there, along the eigenvectors.
    steps : ndarray of shape (n_epochs,)
        What each epoch multiplies its gradient by.
    shrunk : ndarray of shape (n_epochs, n_coordinates)
        Share of the gradient before the block that is left after each epoch.
    vectors : ndarray of shape (n_coordinates, n_coordinates)
        Eigenvectors.
    """

    start: NDArray
    way: NDArray
    steps: NDArray
    shrunk: NDArray
    vectors: NDArray

    def at(self, k: int) -> NDArray:
        """Return one point; to the bit that of all of them, where these were made."""
        if "_all" in vars(self):
            return self._all[:, k]
        length = self.steps[0] + self.steps[1 : k + 1] @ self.shrunk[:k]
        return self._after(length[np.newaxis])[:, 0]

    def stacked(self) -> NDArray:
        """Return all points, of shape (n_coordinates, n_epochs, n_outputs)."""
        return self._all

    def between(self, first: int, last: int) -> "PartOfPoints":
        """Return the points of some epochs."""
        return PartOfPoints(self, first, last)

    @cached_property
    def _all(self) -> NDArray:
        lengths = np.empty_like(self.shrunk)
        lengths[0] = self.steps[0]
        np.multiply(self.shrunk[:-1], self.steps[1:, np.newaxis], out=lengths[1:])
        return self._after(np.cumsum(lengths, axis=0))

    def _after(self, lengths: NDArray) -> NDArray:
        steps = lengths.T[:, :, np.newaxis] * self.way[:, np.newaxis]
        return self.start[:, np.newaxis] - np.tensordot(self.vectors, steps, axes=1)


class PartOfPoints(NamedTuple):
    """Points of some of the epochs of a block: those of the block, to the bit."""

    whole: GeometricPoints
    first: int
    last: int

    def at(self, k: int) -> NDArray:
        """Return one point."""
        return self.whole.at(self.first + k)

    def stacked(self) -> NDArray:
        """Return all points, of shape (n_coordinates, n_epochs, n_outputs)."""
        return self.whole.stacked()[:, self.first : self.last]

    def between(self, first: int, last: int) -> "PartOfPoints":
        """Return the points of some epochs."""
        return PartOfPoints(self.whole, self.first + first, self.first + last)


class Eigenbasis(NamedTuple):
    """The eigenvectors of the second derivatives of a quadratic.

    Attributes
    ----------
    objective : MomentObjective
        The quadratic.
    vectors : ndarray of shape (n_coordinates, n_coordinates)
        Eigenvectors Q, as columns.
    curvature : ndarray of shape (n_coordinates,)
        Curvatures along them.
    is_curved : ndarray of shape (n_coordinates,)
        Whether they are not 0.
    root : ndarray of shape (n_rows, n_coordinates)
        C Q for the matrix C in which gradients are measured.
    is_orthogonal : bool
        Whether the columns of C Q are orthogonal: they are, where C is a root of the inverse Hessian.
    """

    objective: MomentObjective
    vectors: NDArray
    curvature: NDArray
    is_curved: NDArray
    root: NDArray
    is_orthogonal: bool

    @classmethod
    def of(cls, objective: MomentObjective, start: NDArray, root: NDArray) -> "Eigenbasis | None":
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
        is_curved = curvature > RELIABLE * curvature[-1]
        if (np.abs(curvature[~is_curved]) > rounding * curvature[-1]).any():
            return None
        gradient = objective.evaluate([start])[0].gradient
        slope = np.abs(vectors.T @ gradient)
        if not (slope[~is_curved] <= rounding * np.linalg.norm(gradient, axis=0)).all():
            return None
        root = root @ vectors
        products, lengths = root.T @ root, np.sqrt(np.square(root).sum(axis=0))
        products.flat[:: len(products) + 1] = 0.0
        is_orthogonal = bool((np.abs(products) <= ORTHOGONAL * np.outer(lengths, lengths)).all())
        return cls(objective, vectors, np.where(is_curved, curvature, 0.0), is_curved, root, is_orthogonal)

    def ahead(
        self, point: NDArray, gradient: NDArray, value: NDArray, steps: NDArray
    ) -> tuple[GeometricPoints, NDArray, NDArray]:
        """Return the points of the epochs that follow, the objective there, and half the squared length of C g.

        Parameters
        ----------
        point, gradient, value : ndarray
            Where the epochs start, and the objective there.
        steps : ndarray of shape (n_epochs,)
            What each epoch multiplies its gradient by.
        """
        slope = np.where(self.is_curved[:, np.newaxis], self.vectors.T @ gradient, 0.0)
        curvature = self.curvature[:, np.newaxis]
        gain = np.divide(0.5 * slope * slope, curvature, out=np.zeros_like(slope), where=slope != 0)
        shrunk = np.multiply.outer(-steps, np.where(gain.any(axis=1), self.curvature, 0.0))
        shrunk += 1.0
        np.cumprod(shrunk, axis=0, out=shrunk)
        values = np.maximum(value - gain.sum(axis=0), 0.0) + np.square(shrunk) @ gain
        return GeometricPoints(point, slope, steps, shrunk, self.vectors), values, 0.5 * self._squared(shrunk, slope)

    def _squared(self, shrunk: NDArray, slope: NDArray) -> NDArray:
        """Return |C g|^2 for the gradients of the epochs."""
        if self.is_orthogonal:
            return np.square(shrunk) @ (slope * slope * np.square(self.root).sum(axis=0)[:, np.newaxis])
        squares = np.empty((len(shrunk), slope.shape[1]))
        for output, along in enumerate(slope.T):
            lengths = (shrunk * along) @ self.root.T
            squares[:, output] = np.einsum("ki,ki->k", lengths, lengths)
        return squares
