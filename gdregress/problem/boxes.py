"""A loss with kinks as boxes of slopes: its dual, and a gap that bounds how far a point is from the minimum."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from gdregress.problem.design import Design
from gdregress.problem.problem import SMALL_SHARE, Problem

WINSORISED = 10.0
"""Multiple of the median loss at which a row's loss is cut off in the scale of the gap."""

FEASIBLE = 1e-9
"""Cost of slopes that are not feasible, in typical losses, up to which they are not projected."""

RAISED = (0.0, 1e-15, 1e-13, 1e-11, 1e-9, 1e-7)
"""Shares of its diagonal by which a matrix is raised in turn until it has a Cholesky factor."""


class Iterate(NamedTuple):
    """A point, and how far it is from the minimum.

    Attributes
    ----------
    point : ndarray of shape (n_coordinates,)
        The point.
    value : float
        The objective F there.
    gap : float
        F(w) - D(u) for a feasible u: it bounds how far F is above its minimum.
    scale : float
        What the gap is a share of: the mean loss of the rows, of which a few wild ones do not own a share.
    """

    point: NDArray
    value: float
    gap: float
    scale: float


@dataclass(frozen=True)
class BoxProblem:
    """The problem of one output, with a box of slopes for each row of A.

    The dual of F at slopes u inside their boxes is, where A'S u = L w for some w::

        D(u) = sum_i s_i u_i y_i - w' L w / 2            F(w) - D(u) >= F(w) - min F >= 0

    Attributes
    ----------
    design : Design
        A.
    target : ndarray of shape (n_rows,)
        y.
    low, high : ndarray of shape (n_rows,)
        Ends of the boxes; `high` is infinite for a sign constraint.
    weight : ndarray of shape (n_rows,)
        s.
    l2 : ndarray of shape (n_coordinates,)
        Diagonal of L.
    n_data : int
        Number of rows of A that are rows of X; the others are those of the penalty.
    unit : float
        Unit of y, in that of the problem: the typical loss of the best constant.
    """

    design: Design
    target: NDArray
    low: NDArray
    high: NDArray
    weight: NDArray
    l2: NDArray
    n_data: int
    unit: float

    @classmethod
    def of(cls, problem: Problem, design: Design, output: int) -> Self:
        """Make the boxes of one output of a problem."""
        loss: Any = problem.terms.loss.in_units(problem.coordinates.target_scale[output])
        penalty = problem.penalty
        targets, given = design.targets()
        target, n, p = targets[:, output], len(targets), design.n_penalised
        weight = np.broadcast_to(1.0 / n, n) if given is None else given / given.sum()
        constant = loss.best_constant(target, weight) if problem.terms.fit_intercept else 0.0
        unit = typical(loss.value(target - constant), weight) or 1.0
        target = target / unit
        low, high = (np.broadcast_to(float(end), n) for end in (loss.low, loss.high))
        if loss.has_tube:
            tube = loss.tube / unit
            target, weight = np.concatenate([target - tube, target + tube]), np.tile(weight, 2)
            zeros = np.zeros(n)
            low, high = np.concatenate([zeros, low]), np.concatenate([high, zeros])
        # A row of the penalty weighs as much as one of the data, so that one barrier suits both. A coefficient without
        # a penalty belongs to a column that does not vary: any will do.
        ends = n * np.where(penalty.l1[:p, output] > 0, penalty.l1[:p, output], 0.0 if penalty.positive else 1.0)
        l2 = np.zeros(problem.n_coordinates)
        l2[: len(penalty.l2)] = unit * penalty.l2[:, output]
        n_data = len(target)
        if p:
            target, weight = np.append(target, np.zeros(p)), np.append(weight, np.full(p, 1.0 / n))
            low, high = np.append(low, -ends), np.append(high, np.full(p, np.inf) if penalty.positive else ends)
        return cls(design, target, low, high, weight, l2, n_data, unit)

    @cached_property
    def capped(self) -> NDArray:
        """Which boxes have an upper end."""
        return np.isfinite(self.high)

    @cached_property
    def cap(self) -> NDArray:
        """The upper ends; 0 where there is none, which only counts for signs that are violated."""
        return self.high if self.capped.all() else np.where(self.capped, self.high, 0.0)

    @cached_property
    def ridge(self) -> NDArray:
        """L in the basis."""
        basis = self.design.basis
        return np.diag(self.l2) if basis is None else (basis.T * self.l2) @ basis

    @cached_property
    def metric(self) -> "Factor":
        """Factor of A'SDA + L."""
        return Factor.of(self.design.gram(self.weight * self.freedom) + self.ridge)

    @cached_property
    def freedom(self) -> NDArray:
        """D, how far a projection may move slopes: those of a penalty less than others if their boxes are small."""
        steepest = float(np.maximum(-self.low, self.cap)[: self.n_data].max())
        return np.where(self.capped, np.minimum(1.0, (np.maximum(-self.low, self.cap) / steepest) ** 2), 1.0)

    @property
    def n_ends(self) -> float:
        """Number of ends of the boxes, by the weight of their rows."""
        return float(self.weight.sum() + self.weight @ self.capped)

    def distances(self, slope: NDArray) -> tuple[NDArray, NDArray]:
        """Return the distances of slopes from the upper and from the lower end; 1 from an end that is not there."""
        return np.where(self.capped, self.high - slope, 1.0), slope - self.low

    def least_squares(self) -> NDArray:
        """Return the coefficients of least squares, in the basis."""
        return self.metric.solve(self.pulled(self.target))  # the targets of the penalty are 0

    def residual(self, point: NDArray) -> NDArray:
        """Return r = y - A w."""
        return self.target - self.design.dot(point)

    def pull(self, vector: NDArray) -> NDArray:
        """Return A'S v."""
        return self.design.transposed((self.weight * vector)[:, np.newaxis])[:, 0]

    def pulled(self, vector: NDArray) -> NDArray:
        """Return A'S v, in the basis."""
        return self.design.within(self.pull(vector))

    def allowed(self, point: NDArray) -> NDArray:
        """Return the nearest point whose signs are allowed."""
        if self.capped.all():
            return point
        allowed, p = point.copy(), self.design.n_penalised
        allowed[:p] = np.maximum(point[:p], 0.0)
        return allowed

    def measured(self, point: NDArray, residual: NDArray, slope: NDArray, pull: NDArray) -> Iterate:
        """Return how far a point whose signs are allowed is from the minimum, from slopes that need not be feasible.

        Of the slopes u, ``pull`` is A'S u. They are projected, u <- u - D A (A'SDA + L)^-1 (A'S u - L w), and drawn
        together until they are in their boxes. What they lack then costs at most its product with the coefficients of
        the minimum, which are taken to be no larger than 1 + max |w|: a standard deviation of y for one of the column.
        """
        lack = pull - self.l2 * point
        if self._cost(point, lack) > FEASIBLE:
            step = self.metric.solve(self.design.within(lack))
            slope = self._drawn_together(slope - self.freedom * self.design.dot(self.design.point(step)))
            lack = self.pull(slope) - self.l2 * point
        losses = np.maximum(self.low * residual, self.cap * residual)
        room, depth = self.distances(slope)
        gap = self.weight @ (room * self.capped * np.maximum(residual, 0.0) + depth * np.maximum(-residual, 0.0))
        gap += self._cost(point, lack)
        of_data, value = losses[: self.n_data], self.weight @ losses + 0.5 * self.l2 @ (point * point)
        weight = self.weight[: self.n_data]
        scale = typical(of_data, weight) + value - weight @ of_data
        return Iterate(point, float(value), float(gap), max(scale, SMALL_SHARE))

    def _drawn_together(self, slope: NDArray) -> NDArray:
        """Return slopes times the largest number, at most 1, that puts them into their boxes.

        A box without an upper end is entered along its own coordinate instead, since 0 may be its lower end.
        The two slopes of a row with a tube count as one: only their sum matters, and it is shared between them anew.
        """
        low, high = self.low, self.high
        n = self.n_data // self.design.copies
        if self.design.copies == 2:
            slope = np.concatenate([slope[:n] + slope[n : 2 * n], slope[2 * n :]])
            low, high = np.delete(low, np.s_[:n]), np.delete(high, np.s_[n : 2 * n])
        with np.errstate(divide="ignore", invalid="ignore"):
            ends = np.where(slope > 0, high / slope, np.where(slope < 0, low / slope, np.inf))
        slope = min(1.0, float(ends[high < np.inf].min())) * slope
        slope = np.where(high < np.inf, slope, np.maximum(slope, low))
        if self.design.copies == 2:
            return np.concatenate([np.maximum(slope[:n], 0.0), np.minimum(slope[:n], 0.0), slope[n:]])
        return slope

    def _cost(self, point: NDArray, lack: NDArray) -> float:
        """Return by how much D(u) is too large where slopes are not feasible."""
        curved = self.l2 > 0
        straight = np.abs(lack[~curved]).sum() * (1.0 + np.abs(point).max(initial=0.0))
        return float(straight + 0.5 * (lack[curved] ** 2 / self.l2[curved]).sum())


def typical(losses: NDArray, weight: NDArray) -> float:
    """Return the weighted mean of losses, each cut off at ten times the median of those that are not zero.

    A tenth of wild rows can own the objective, but they cannot move this.
    """
    positive = losses[losses > 0]
    if not len(positive):
        return 0.0
    return float(weight @ np.minimum(losses, WINSORISED * np.median(positive)))


@dataclass(frozen=True)
class Factor:
    """A Cholesky factor of a positive semidefinite matrix, whose diagonal is made 1 and raised where it has none.

    Attributes
    ----------
    lower : ndarray of shape (n, n)
        The factor.
    size : ndarray of shape (n,)
        Square roots of the diagonal of the matrix.
    """

    lower: NDArray
    size: NDArray

    @classmethod
    def of(cls, matrix: NDArray) -> Self:
        """Factor a matrix.

        Raises
        ------
        FloatingPointError
            If the matrix is not finite.
        """
        size = np.sqrt(np.diagonal(matrix))
        size = np.where(size > 0, size, 1.0)
        scaled = matrix / size / size[:, np.newaxis]
        for raised in RAISED:
            scaled.flat[:: len(scaled) + 1] += raised
            lower, info = lapack.dpotrf(scaled, lower=1)
            if info == 0 and np.isfinite(np.diagonal(lower)).all():
                return cls(lower, size)
        raise FloatingPointError

    def solve(self, right: NDArray) -> NDArray:
        """Return the inverse of the matrix times a vector."""
        return lapack.dpotrs(self.lower, right / self.size, lower=1)[0] / self.size
