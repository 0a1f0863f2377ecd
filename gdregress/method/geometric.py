"""Plain descent on a quadratic in closed form, in blocks of many epochs."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdregress.method.descent import Descent
from gdregress.method.optimizers import Step
from gdregress.method.schedules import EpochSchedule
from gdregress.method.states import Block, Points
from gdregress.problem.objectives import MomentObjective
from gdregress.problem.problem import Problem

FIRST_BLOCK = 64
"""Number of epochs in the first block. Each further block is four times as long: a stop inside it wastes the rest, but
every block has a fixed cost too."""

RELIABLE = 1e-7
"""Share of the largest eigenvalue above which the others have nine digits, enough to reproduce the loop."""

REPRODUCED = 1e-9
"""Largest relative error that rounding of an eigenvalue, however small, may cause over all epochs."""

ORTHOGONAL = 1e-10
"""Cosine of the angle between two columns below which they count as orthogonal."""

BLOCK_ENTRIES = 2**17
"""Largest number of coordinates in a block: 1 MB, which fits into the cache together with its results."""


@dataclass(frozen=True)
class Geometric:
    """Plain descent on a quadratic, whose epochs are geometric sequences along the eigenvectors (see Goh, 2017).

    With H = Q diag(lambda) Q', and from the point w_0 and the value F_0 at the start of each block::

        g = Q' gradient at w_0
        shrunk_k = prod_{j<k} (1 - eta_j lambda)
        F_k = F_0 - sum_i (1 - shrunk_ki^2) g_i^2 / (2 lambda_i)
        w_k = w_0 - Q sum_{j<k} eta_j shrunk_j g
        decrement_k = |C Q shrunk_k g|^2 / 2,   C' C = P

    An epoch costs a few operations a coordinate; points are computed only for the epochs that need them. Where the
    eigenvalues have too few digits for so many epochs, the loop of `descent` takes them one by one.

    Parameters
    ----------
    descent : Descent
        The plain descent whose states are computed.
    schedule : EpochSchedule
        Its schedule, which depends on the epoch alone.
    inverse : callable
        P, the inverse Hessian in which the gap is measured.

    References
    ----------
    G. Goh, "Why momentum really works", Distill, 2017.
    """

    descent: Descent
    schedule: EpochSchedule
    inverse: Any
    goes_below_tol = False
    limit = ""

    def iterates(self, problem: Problem, start: NDArray, epoch: int = 0) -> Iterator[Block]:
        """Yield blocks of states, the start first, up to the last epoch."""
        start = start.astype(np.float64)
        # An absolute error d of an eigenvalue changes a share (1 - eta lambda)^k by k eta d, and eta < 2 / L.
        from_rounding = 2.0 * self.descent.epochs * len(start) * np.finfo(np.float64).eps
        reliable = RELIABLE if from_rounding > REPRODUCED else 0.0
        basis = Eigenbasis.of(problem.from_moments(), start, problem.root(self.inverse), reliable=reliable)
        if basis is None:
            yield from self.descent.iterates(problem, start, epoch)
            return
        rate, length = self.descent.rate.of(problem), FIRST_BLOCK
        longest = max(1, BLOCK_ENTRIES // start.size)
        [here] = basis.objective.evaluate([start])
        point = start
        yield Block.of(problem, [Step(start, here)], self.descent.measure)
        while epoch < self.descent.epochs:
            rates = rate * self.schedule.ahead(epoch, int(min(length, longest, self.descent.epochs - epoch)))
            points, value, decrement = basis.ahead(point, here.gradient, here.value, rates)
            gap = problem.gap_of_quadratic(decrement)
            is_finite = np.isfinite(value).all(axis=1)
            yield Block(rates, value, gap, problem.optimality(value, gap.total), is_finite, points)
            epoch, length = epoch + len(rates), 4 * length
            point = points.at(len(rates) - 1)
            [here] = basis.objective.evaluate([point])


@dataclass(frozen=True)
class GeometricPoints:
    """The points of a block, computed when they are first used.

    Attributes
    ----------
    start : ndarray of shape (n_coordinates, n_outputs)
        The point before the block, w_0.
    slope : ndarray of shape (n_coordinates, n_outputs)
        Gradient there along the eigenvectors, g.
    steps : ndarray of shape (n_epochs,)
        Step sizes, eta_j.
    shrunk : ndarray of shape (n_epochs, n_coordinates)
        Share of g that is left after each epoch, shrunk_k.
    vectors : ndarray of shape (n_coordinates, n_coordinates)
        Eigenvectors, the columns of Q.
    computed : list of ndarray
        All points, once they have been computed.
    """

    start: NDArray
    slope: NDArray
    steps: NDArray
    shrunk: NDArray
    vectors: NDArray
    computed: list[NDArray] = field(default_factory=list)

    def at(self, k: int) -> NDArray:
        """Return the point of epoch k; that of `stacked`, bit for bit, once all points have been computed."""
        if self.computed:
            return self.computed[0][:, k]
        length = self.steps[0] + self.steps[1 : k + 1] @ self.shrunk[:k]
        return self._after(length[np.newaxis])[:, 0]

    def stacked(self) -> NDArray:
        """Return all points, of shape (n_coordinates, n_epochs, n_outputs)."""
        if not self.computed:
            self.computed.append(self._after(np.cumsum(lengths(self.steps, self.shrunk), axis=0)))
        return self.computed[0]

    def _after(self, from_start: NDArray) -> NDArray:
        steps = from_start.T[:, :, np.newaxis] * self.slope[:, np.newaxis]
        return self.start[:, np.newaxis] - np.tensordot(self.vectors, steps, axes=1)


def _powers(base: NDArray, n_powers: int) -> NDArray:
    """Return the first powers of several numbers, one below the other: each multiplication doubles those known."""
    powers, n_known = np.empty((n_powers, len(base))), 1
    powers[0] = base
    while n_known < n_powers:
        n_more = min(n_known, n_powers - n_known)
        np.multiply(powers[:n_more], powers[n_known - 1], out=powers[n_known : n_known + n_more])
        n_known += n_more
    return powers


def lengths(steps: NDArray, shrunk: NDArray) -> NDArray:
    """Return how far each epoch goes along the eigenvectors, eta_k shrunk_(k-1), as a share of the slope g."""
    lengths = np.empty_like(shrunk)
    lengths[0] = steps[0]
    np.multiply(shrunk[:-1], steps[1:, np.newaxis], out=lengths[1:])
    return lengths


@dataclass(frozen=True)
class Eigenbasis:
    """Eigenvectors of the second derivatives of a quadratic.

    Attributes
    ----------
    objective : MomentObjective
        The quadratic.
    vectors : ndarray of shape (n_coordinates, n_coordinates)
        Eigenvectors, the columns of Q.
    curvature : ndarray of shape (n_coordinates,)
        Eigenvalues, lambda; those that are only rounding are 0.
    is_curved : ndarray of shape (n_coordinates,)
        Whether an eigenvalue is positive.
    root : ndarray of shape (n_rows, n_coordinates)
        C Q, with C the root of the inverse Hessian in which the gap is measured.
    """

    objective: MomentObjective
    vectors: NDArray
    curvature: NDArray
    is_curved: NDArray
    root: NDArray

    @classmethod
    def of(
        cls, objective: MomentObjective, start: NDArray, root: NDArray, *, reliable: float = RELIABLE
    ) -> "Eigenbasis | None":
        """Return the eigenvectors, or None where an eigenvalue has too few digits to predict thousands of epochs.

        The absolute error of every eigenvalue is the rounding of the largest, so small ones have few digits. The
        exception is an eigenvalue of zero along which the gradient at the start is zero: there nothing moves. It must
        be zero in the metric of the gap too: where the numbers of X are small, so is the gradient, but not the gap.

        Parameters
        ----------
        objective : MomentObjective
            The quadratic.
        start : ndarray of shape (n_coordinates, n_outputs)
            The point that the descent starts from.
        root : ndarray of shape (n_rows, n_coordinates)
            C, the root of the inverse Hessian in which the gap is measured.
        reliable : float, default=RELIABLE
            Share of the largest eigenvalue above which the others have digits enough. Values F need those of each
            eigenvalue over many epochs; points do not, since an absolute error of an eigenvalue moves them by no more.
        """
        hessian = objective.hessian()
        if not np.isfinite(hessian).all():
            return None
        curvature, vectors = np.linalg.eigh(hessian)
        rounding = len(curvature) * np.finfo(np.float64).eps
        is_curved = curvature > max(reliable, rounding) * curvature[-1]
        root = root @ vectors
        if is_curved.all():
            return cls(objective, vectors, curvature, is_curved, root)
        if (np.abs(curvature[~is_curved]) > rounding * curvature[-1]).any():
            return None
        gradient = objective.evaluate([start])[0].gradient
        slope = np.abs(vectors.T @ gradient)
        if not (slope[~is_curved] <= rounding * np.linalg.norm(gradient, axis=0)).all():
            return None
        measured = np.abs(root).max(axis=0)[:, np.newaxis] * slope
        if not (measured[~is_curved] <= rounding * measured.max(axis=0)).all():
            return None
        curvature, root = np.where(is_curved, curvature, 0.0), np.where(is_curved, root, 0.0)
        return cls(objective, vectors, curvature, is_curved, root)

    @cached_property
    def is_orthogonal(self) -> bool:
        """Whether the columns of C Q are orthogonal, as where C is the root of this quadratic's inverse Hessian."""
        products, lengths = self.root.T @ self.root, np.sqrt(np.square(self.root).sum(axis=0))
        products.flat[:: len(products) + 1] = 0.0
        return bool((np.abs(products) <= ORTHOGONAL * np.outer(lengths, lengths)).all())

    def ahead(
        self, point: NDArray, gradient: NDArray, value: NDArray, steps: NDArray
    ) -> tuple[Points, NDArray, NDArray]:
        """Return the states of the epochs that follow a point.

        Parameters
        ----------
        point, gradient, value : ndarray
            w_0, and the gradient and the value of the objective there.
        steps : ndarray of shape (n_epochs,)
            Step sizes, eta_j.

        Returns
        -------
        points : Points
            The points w_k.
        values : ndarray of shape (n_epochs, n_outputs)
            The objective F_k.
        decrements : ndarray of shape (n_epochs, n_outputs)
            Half the squared length of C times the gradient.
        """
        slope = np.where(self.is_curved[:, np.newaxis], self.vectors.T @ gradient, 0.0)
        curvature = self.curvature[:, np.newaxis]
        gain = np.divide(0.5 * slope * slope, curvature, out=np.zeros_like(slope), where=slope != 0)
        shrunk = self.shrunk(steps, gain.any(axis=1))
        # An eigenvalue without digits makes a gain wrong by as much in both terms, so that their difference has digits.
        squares = np.square(shrunk)
        values = np.maximum(value - gain.sum(axis=0) + squares @ gain, 0.0)
        points = GeometricPoints(point, slope, steps, shrunk, self.vectors)
        return Points(points.at, points.stacked), values, 0.5 * self._squared(shrunk, squares, slope)

    def shrunk(self, steps: NDArray, moves: NDArray | bool = True) -> NDArray:
        """Return the share of the slope that is left after each epoch, of shape (n_epochs, n_coordinates).

        Parameters
        ----------
        steps : ndarray of shape (n_epochs,)
            Step sizes, eta_j.
        moves : ndarray of bool, of shape (n_coordinates,), default=True
            Whether there is a slope along each eigenvector; where there is none, nothing shrinks.
        """
        curvature = np.where(moves, self.curvature, 0.0)
        if (steps == steps[0]).all():
            return _powers(1.0 - steps[0] * curvature, len(steps))
        shrunk = np.multiply.outer(-steps, curvature)
        shrunk += 1.0
        return np.cumprod(shrunk, axis=0, out=shrunk)

    def decrement(self, gradient: NDArray) -> NDArray:
        """Return half the squared length of C times a gradient, for each output."""
        slope = np.where(self.is_curved[:, np.newaxis], self.vectors.T @ gradient, 0.0)
        one = np.ones((1, len(slope)))
        return 0.5 * self._squared(one, one, slope)[0]

    def _squared(self, shrunk: NDArray, squares: NDArray, slope: NDArray) -> NDArray:
        """Return the squared length of C times the gradient of each epoch, given the shares that are left."""
        if self.is_orthogonal:
            return squares @ (slope * slope * np.square(self.root).sum(axis=0)[:, np.newaxis])
        squares = np.empty((len(shrunk), slope.shape[1]))
        for output, along in enumerate(slope.T):
            transformed = (shrunk * along) @ self.root.T
            squares[:, output] = np.einsum("ki,ki->k", transformed, transformed)
        return squares
