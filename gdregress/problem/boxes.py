"""A loss as boxes of slopes, and its dual."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from gdregress.problem.design import Design
from gdregress.problem.problem import SMALL_SHARE, Problem
from gdregress.problem.systems import ColumnSystem, Factor, RowSystem, System
from gdregress.problem.typical import typical

HOLDS = 2.0
"""Strength of L1, in slopes at the minimum, that holds a coefficient at zero beyond doubt."""

ROUNDING = 1e-14
"""Entry of A'S u - L w that may be rounding alone."""

FAR = 1e3
"""How far beyond the largest coefficient one of the minimum is taken to be, where slopes cannot be made feasible."""

ROUNDED = {1: 1e-9, 2: 1e-3}
"""Share of the mean of slope times prediction below which the gap is not a share of less; for each degree."""

LEAST_FREEDOM = 1e-10
"""Least share of the way of other slopes that a projection may move one: along the rows of X, whose matrix holds the
inverses, those of coefficients with far weaker L1 would take all digits of the others."""

OUTSIDE = 1e-13
"""Share of its box by which rounding may put a slope outside."""

NOISE = 1e-12
"""Residuals below this share of the target and of the prediction are zero but for rounding."""

DEFINITE = 1e-12
"""Smallest squared pivot of a matrix whose diagonal is 1 from which its factor is used as it is, without a basis."""

LITTLE = 1e-10
"""A residual or a multiplier that counts as little, in the unit of the boxes."""

WELL_INSIDE = 1e-8
"""Distance from an end of its box, in the unit of the boxes, at which a slope is clearly inside."""


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
    dual : ndarray of shape (n_rows,)
        Slopes u: those of which the gap is, where they were measured, and else those of the loss at the residuals.
    """

    point: NDArray
    value: float
    gap: float
    scale: float
    dual: NDArray


@dataclass(frozen=True)
class BoxProblem:
    """The problem of one output, with a box of slopes for each row of A.

    A row's loss is the largest of ``u r - k u^2 / 2`` over the slopes u of its box, with 1/k the curvature of its
    parabola, and k = 0 for a kink. The dual of F at slopes u inside their boxes is, where A'S u = L w for some w::

        D(u) = sum_i s_i (u_i y_i - k_i u_i^2 / 2) - w' L w / 2            F(w) - D(u) >= F(w) - min F >= 0

    Attributes
    ----------
    design : Design
        A.
    target : ndarray of shape (n_rows,)
        y.
    low, high : ndarray of shape (n_rows,)
        Ends of the boxes; `high` is infinite where there is none.
    flatness : ndarray of shape (n_rows,)
        k.
    weight : ndarray of shape (n_rows,)
        s.
    l2 : ndarray of shape (n_coordinates,)
        Diagonal of L.
    n_data : int
        Number of rows of A that are rows of X; the others are those of the penalty.
    unit : float
        Unit of y, in that of the problem. The typical loss of the best constant is 1 in units of ``unit**degree``.
    level : float
        What is taken off y, the best constant: wild rows move the mean of y so far that the others lose their digits.
    """

    design: Design
    target: NDArray
    low: NDArray
    high: NDArray
    flatness: NDArray
    weight: NDArray
    l2: NDArray
    n_data: int
    unit: float
    level: float

    @classmethod
    def of(cls, problem: Problem, design: Design, output: int) -> Self:
        """Make the boxes of one output of a problem."""
        loss: Any = problem.terms.loss.in_units(problem.coordinates.target_scale[output])
        penalty = problem.penalty
        targets, given = design.rows.y, design.rows.weight
        target, n, p = targets[:, output], len(targets), design.n_penalised
        weight = np.broadcast_to(1.0 / n, n) if given is None else given / given.sum()
        constant, unit = float(problem.constant[output]), 1.0
        if not loss.is_zero_at(constant, target):
            losses = loss.value(target - constant)
            unit = (typical(losses, weight) if loss.is_straight else float(weight @ losses)) ** (1 / loss.degree) or 1.0
        slope_unit = unit ** (loss.degree - 1)
        target = (target - constant) / unit
        low, high = (np.broadcast_to(float(end) / slope_unit, n) for end in (loss.low, loss.high))
        if loss.has_tube:
            tube = loss.tube / unit
            target, weight = np.concatenate([target - tube, -target - tube]), np.tile(weight, 2)
            low, high = np.zeros(2 * n), np.concatenate([high, -low])
        flatness = np.full(len(target), 1.0 / loss.curvature)
        # A row of the penalty weighs as much as one of the data, so that one barrier suits both. The coefficient of a
        # column that does not vary has no penalty: any will do. Other penalties may have come to nothing by underflow.
        # More L1 than holds a coefficient at zero changes nothing, and would be out of reach of the barrier.
        l1 = np.minimum(penalty.l1[:p, output] / slope_unit, HOLDS * _steepest(low, high, loss.curvature))
        varies = problem.moments.x.deviation > 0
        ends = n * np.where(l1 > 0, l1, np.where(varies[:p], 0.0 if penalty.positive else LITTLE, 1.0))
        l2 = np.zeros(problem.n_coordinates)
        l2[: len(penalty.l2)] = unit * penalty.l2[:, output] / slope_unit
        n_data = len(target)
        if p:
            target, weight = np.append(target, np.zeros(p)), np.append(weight, np.full(p, 1.0 / n))
            low, high = np.append(low, -ends), np.append(high, np.full(p, np.inf) if penalty.positive else ends)
            flatness = np.append(flatness, np.zeros(p))
        l2 = design.l2_from_problem(l2)
        return cls(design, target, low, high, flatness, weight, l2, n_data, unit, constant)

    def of_point(self, point: NDArray) -> NDArray:
        """Return a point of the problem in the units of the boxes."""
        return self.design.from_problem(self._shifted(point, -self.level)) / self.unit

    def to_point(self, point: NDArray) -> NDArray:
        """Return a point in the units of the problem."""
        return self._shifted(self.design.to_problem(point * self.unit), self.level)

    def _shifted(self, point: NDArray, by: float) -> NDArray:
        if not by:
            return point
        shifted = point.copy()
        shifted[-1] += by
        return shifted

    def of_columns(self, columns: NDArray) -> Self:
        """Return the problem in which the coefficients of all other columns are zero."""
        penalised = np.arange(self.n_data, len(self.target))
        rows = np.concatenate([np.arange(self.n_data), penalised[columns]])
        return replace(
            self,
            design=self.design.of_columns(columns),
            target=self.target[rows],
            low=self.low[rows],
            high=self.high[rows],
            flatness=self.flatness[rows],
            weight=self.weight[rows],
            l2=np.append(self.l2[columns], self.l2[self.design.n_penalised :]),
        )

    @cached_property
    def capped(self) -> NDArray:
        """Which boxes have an upper end."""
        return np.isfinite(self.high)

    @cached_property
    def cap(self) -> NDArray:
        """The upper ends; 0 where there is none."""
        return self.high if self.capped.all() else np.where(self.capped, self.high, 0.0)

    @cached_property
    def is_curved(self) -> bool:
        """Whether the loss has a parabola, so that it is of degree 2."""
        return bool(self.flatness[0] > 0)

    @property
    def degree(self) -> int:
        """Power of the unit of y in which the loss is expressed."""
        return 1 + self.is_curved

    @cached_property
    def is_smooth(self) -> bool:
        """Whether no row has a kink."""
        return self.is_curved and self.n_data == len(self.target)

    @cached_property
    def curvature(self) -> NDArray:
        """Curvature c = 1 / k of the rows; 0 of those of the penalty, which have no parabola."""
        return np.divide(1.0, self.flatness, out=np.zeros_like(self.flatness), where=self.flatness > 0)

    @cached_property
    def reach(self) -> NDArray:
        """Size of the slopes of each box: that of its ends, but no more than a parabola has where the loss is 1."""
        ends = np.where(self.capped, np.maximum(-self.low, self.cap), np.inf)
        with np.errstate(divide="ignore"):
            return np.minimum(ends, np.sqrt(2.0 / self.flatness))

    @cached_property
    def ridge(self) -> NDArray:
        """L in the basis."""
        basis = self.design.basis
        return basis.add_diagonal(np.zeros((basis.rank, basis.rank)), self.l2)

    @cached_property
    def products(self) -> NDArray:
        """The products A'SA of the rows of X in the basis, which the moments may know."""
        return self.design.products(np.append(self.weight[: self.n_data], np.zeros(self.design.n_penalised)))

    @cached_property
    def metric(self) -> System:
        """The system with D for t, whose matrix is A'SDA + L: that of least squares."""
        return self.system(self.freedom)

    def system(self, curvature: NDArray) -> System:
        """Return the system of a step with the weights t of the rows, along the fewer of columns and rows of X.

        Raises
        ------
        FloatingPointError
            If its matrix is not finite.
        """
        design, weight = self.design, self.weight
        if design.basis.is_standard and design.rows.n_samples < design.n_penalised:
            of_rows = RowSystem.of(design, weight, curvature, self.l2)
            if of_rows.keeps_digits:
                return of_rows
        if not design.basis.is_standard and design.n_penalised:
            # The penalty may hold the coefficients of nearly collinear columns. The basis would make them imprecise.
            plain = design.without_basis()
            factor = Factor.of(plain.gram(weight * curvature) + np.diag(self.l2))
            if np.square(np.diagonal(factor.lower)).min() > DEFINITE:
                return ColumnSystem(plain, weight, curvature, factor)
        return ColumnSystem(design, weight, curvature, Factor.of(self._gram(curvature) + self.ridge))

    def _gram(self, curvature: NDArray) -> NDArray:
        """Return A'S diag(t) A in the basis: from the products of the rows of X where t is 1 there."""
        if (curvature[: self.n_data] != 1).any():
            return self.design.gram(self.weight * curvature)
        along = (self.weight * curvature)[self.n_data :]
        return self.design.basis.add_diagonal(self.products.copy(), along)

    @cached_property
    def freedom(self) -> NDArray:
        """D, how far a projection may move slopes: those of a penalty less than others if their boxes are small."""
        steepest = float(self.reach[: self.n_data].max())
        return np.clip((self.reach / steepest) ** 2, LEAST_FREEDOM, 1.0)

    @cached_property
    def hidden(self) -> float:
        """What the rounding of y hides of F: wild rows move the mean that was taken off it, and digits went with it."""
        lost = np.finfo(np.float64).eps * abs(self.level) / self.unit
        return float(0.5 * self.curvature[0] * lost**2 if self.is_curved else self.reach[0] * lost)

    @cached_property
    def is_held(self) -> NDArray:
        """Which coefficients have so much L1 that they are zero."""
        data, rows = np.s_[: self.n_data], np.s_[self.n_data :]
        steepest = _steepest(self.low[data], self.high[data], 1.0 / self.flatness[0] if self.is_curved else np.inf)
        return self.capped[rows] & (self.weight[rows] * self.cap[rows] >= 0.99 * HOLDS * steepest)

    @property
    def n_ends(self) -> float:
        """Number of ends of the boxes, each with the mean weight of a row."""
        return float(self.weight.mean() * (len(self.weight) + np.count_nonzero(self.capped)))

    @cached_property
    def lightness(self) -> NDArray:
        """Mean weight of a row, in that of each row; 1 for rows without a weight."""
        return np.divide(self.weight.mean(), self.weight, out=np.ones_like(self.weight), where=self.weight > 0)

    def distances(self, slope: NDArray) -> tuple[NDArray, NDArray]:
        """Return the distances of slopes from the upper and from the lower end; 1 from an end that is not there."""
        return np.where(self.capped, self.high - slope, 1.0), slope - self.low

    def least_squares(self) -> NDArray:
        """Return the coefficients of least squares."""
        return self.metric.solve(self.target, np.zeros(len(self.l2)))[0]  # the targets of the penalty are 0

    def residual(self, point: NDArray) -> NDArray:
        """Return r = y - A w."""
        return self.target - self.design.dot(point)

    def slopes(self, residual: NDArray) -> NDArray:
        """Return the slopes of the loss at residuals, 0 at a kink."""
        k, data = float(self.flatness[0]), np.s_[: self.n_data]
        if self.is_smooth:
            return slopes_in(self.low, self.high, k, residual)
        slope = slopes_in(self.low, self.cap, 0.0, residual)
        if self.is_curved:
            slope[data] = slopes_in(self.low[data], self.high[data], k, residual[data])
        return slope

    def contains(self, slope: NDArray) -> bool:
        """Return whether the slopes of the rows of X are in their boxes, but for rounding."""
        slack, data = OUTSIDE * float(self.reach[0]), np.s_[: self.n_data]
        return bool((slope - self.low)[data].min() >= -slack and (self.high - slope)[data].min() >= -slack)

    def pull(self, vector: NDArray) -> NDArray:
        """Return A'S v."""
        return self.design.transposed((self.weight * vector)[:, np.newaxis])[:, 0]

    def pull_of_data(self, vector: NDArray) -> NDArray:
        """Return A'S v, the rows of the penalty left out."""
        pull, rows = self.pull(vector), np.s_[self.n_data :]
        pull[: self.design.n_penalised] -= self.weight[rows] * vector[rows]
        return pull

    def pulled(self, vector: NDArray) -> NDArray:
        """Return A'S v, in the basis."""
        return self.design.basis.within(self.pull(vector))

    def lack(self, point: NDArray, pull: NDArray) -> NDArray:
        """Return A'S u - L w for slopes u, given A'S u: it is 0 where they are feasible."""
        return pull - self.l2 * point

    def allowed(self, point: NDArray) -> NDArray:
        """Return the nearest point whose signs are allowed."""
        n_signs = self.design.n_penalised
        if not n_signs or self.capped[-1]:
            return point
        allowed = point.copy()
        allowed[:n_signs] = np.maximum(point[:n_signs], 0.0)
        return allowed

    def fenchel_gap(self, residual: NDArray, here: NDArray, slope: NDArray) -> float:
        """Return the mean of l(r) + l*(u) - u r for slopes u, given those of the loss at the residuals r."""
        return max(float(self.weight @ fenchel_gaps(residual, here, slope, self.flatness)), 0.0)

    def loss(self, residual: NDArray) -> float:
        """Return the mean loss at residuals, with the penalties of rows of A."""
        return float(self.weight @ losses_at(residual, self.slopes(residual), self.flatness))

    def iterate(self, point: NDArray, residual: NDArray, slope: NDArray, gap: float) -> Iterate:
        """Return a point with its objective, from the slopes at its residuals, and with its gap."""
        losses = losses_at(residual, slope, self.flatness)
        loss = self.weight @ losses
        value = loss + 0.5 * self.l2 @ (point * point)
        gap += self.hidden
        data = np.s_[: self.n_data]
        of_data, weight, predicted = losses[data], self.weight[data], (self.target - residual)[data]
        steep = np.abs(slope[data]) if self.is_curved else self.reach[data]
        rounding = ROUNDED[self.degree] * float(weight @ (steep * np.abs(predicted)))
        if self.is_curved:
            return Iterate(point, float(value), gap, max(1.0, rounding), slope)
        noise = NOISE * steep * (np.abs(self.target[data]) + np.abs(predicted))
        scale = typical(np.where(of_data > noise, of_data, 0.0), weight) + value - weight @ of_data
        return Iterate(point, float(value), gap, max(scale, SMALL_SHARE, rounding), slope)

    def cost(self, point: NDArray, lack: NDArray) -> float:
        """Return by how much D(u) is too large where A'S u - L w is not zero.

        With L2 that is half its square over L. Without, it is its product with the coefficients of the minimum. Those
        are taken to be no larger than 1 + 2 max |w| for what may be rounding, and `FAR` times that for what is more.
        """
        size = np.abs(lack)
        cost = size * np.where(size <= ROUNDING, 1.0, FAR) * (1.0 + 2.0 * np.abs(point).max(initial=0.0))
        has_l2 = self.l2 > 0
        cost[has_l2] = np.minimum(cost, 0.5 * size * (size / np.where(has_l2, self.l2, 1.0)))[has_l2]
        return float(cost.sum())


def _steepest(low: NDArray, high: NDArray, curvature: float) -> float:
    """Return the root mean square of the slopes at the minimum, at most: of a mean loss of 1 if they have no ends.

    The mean square of a column is at most 1. So this is also what a coefficient gains at most from leaving zero.
    """
    largest = max(-float(low.min()), float(high.max()))
    return largest if np.isfinite(largest) else float(np.sqrt(2.0 * curvature))


def slopes_in(low: NDArray, high: NDArray, flatness: float, residual: NDArray) -> NDArray:
    """Return the slopes u of the loss at residuals, in boxes of one k: 0 at a kink."""
    if flatness > 0:
        return np.clip(residual / flatness, low, high)
    return np.where(residual > 0, high, np.where(residual < 0, low, 0.0))


def losses_at(residual: NDArray, slope: NDArray, flatness: NDArray | float) -> NDArray:
    """Return the loss of each row, given its slopes at the residuals, and k."""
    return slope * (residual - 0.5 * flatness * slope)


def fenchel_gaps(residual: NDArray, here: NDArray, slope: NDArray, flatness: NDArray | float) -> NDArray:
    """Return l(r) + l*(u) - u r of each row for slopes u, given those of the loss at the residuals r, and k."""
    return (here - slope) * (residual - 0.5 * flatness * (here + slope))


def to_the_middle(residual: NDArray, along: NDArray, is_high: NDArray) -> float:
    """Return how far a coordinate is from the middle of where no row changes the end of its box.

    Parameters
    ----------
    residual, along : ndarray of shape (n_rows,)
        Residuals, and the entries of A of this coordinate.
    is_high : ndarray of bool, of shape (n_rows,)
        Whether a slope is at the upper end of its box, so that the residual must not become negative; else the other
        way round.
    """
    some = along != 0
    at_zero, rises = residual[some] / along[some], is_high[some] == (along[some] > 0)
    above, below = at_zero[rises].min(initial=np.inf), at_zero[~rises].max(initial=-np.inf)
    return 0.5 * float(above + below) if np.isfinite(above) and np.isfinite(below) else 0.0
