"""A primal-dual interior point method for losses with kinks, L1 and signs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack, qr

from gdregress.method.states import Block, Points
from gdregress.problem.boxes import BoxProblem, Factor, Iterate, typical
from gdregress.problem.design import Design
from gdregress.problem.problem import Gap, Problem

NEARLY = 0.9995
"""Share of the way to the nearest end of a box that a step takes."""

STEEPEST = 1e14
"""Largest curvature t of the barrier along a row."""

NEAR = 1e-2
"""Largest gap, as a share of the scale, at which a vertex is looked for."""

NEARER = 0.1
"""Share of the last such gap at which it is looked for again."""

EXACT = 1e-13
"""Gap, as a share of the scale, below which there is nothing to gain."""

CANDIDATES = 3
"""Rows among which those of a vertex are looked for, as a multiple of their number."""

LITTLE = 1e-10
"""Least multiplier of the first state, in the unit of the boxes."""

NOISE = 1e-12
"""Residuals below this share of the target and of the prediction are zero but for rounding."""

INSIDE = 1e-6
"""Share of a box by which the slopes of a vertex are inside; if one is at an end, the minimum is not at one point."""

IDLE, IDLE_AT_THE_END = 10, 2
"""Numbers of consecutive epochs without a smaller gap after which the solver ends: early on, and where it is small."""

AT_THE_END = 1e-8
"""Gap, as a share of the scale, that counts as small."""


class State(NamedTuple):
    """A point of the interior.

    Attributes
    ----------
    inner : ndarray of shape (rank,)
        The coefficients w, in the basis.
    slope : ndarray of shape (n_rows,)
        The slopes u, strictly inside their boxes.
    above, below : ndarray of shape (n_rows,)
        Multipliers p and q of the upper and of the lower ends.
    """

    inner: NDArray
    slope: NDArray
    above: NDArray
    below: NDArray

    @classmethod
    def first(cls, box: BoxProblem) -> Self:
        """Return the state of least squares, with slopes in the middle of their boxes."""
        inner = box.least_squares()
        residual = box.residual(box.design.point(inner))
        data = np.s_[: box.n_data]
        little = max(0.1 * typical(np.abs(residual[data]), box.weight[data]), LITTLE)
        middle = np.where(box.capped, 0.5 * (box.low + box.cap), np.maximum(box.low + 0.1 / box.weight, 0.0))
        slope = np.where((box.low < 0) & (box.high > 0) & box.capped, 0.0, middle)
        room, depth = box.distances(slope)
        inside = np.minimum(np.where(box.capped, room, np.inf), depth)
        # The products that are to become zero are of one size: the boxes of the penalty may be far smaller or larger.
        inside[: box.n_data] = inside[: box.n_data].mean()
        little = little * np.clip(inside[0] / inside, 1e-3, 1e3)
        above = box.capped * (np.maximum(residual, 0.0) + little)
        return cls(inner, slope, above, np.maximum(-residual, 0.0) + little)

    def curvature(self, box: BoxProblem) -> NDArray:
        """Return t, the curvature of the barrier along each row."""
        room, depth = box.distances(self.slope)
        return np.minimum(1.0 / (self.above / room + self.below / depth), STEEPEST)

    def complementarity(self, box: BoxProblem) -> float:
        """Return mu, the mean of the products that are to become zero."""
        room, depth = box.distances(self.slope)
        return float(box.weight @ (room * self.above + depth * self.below)) / box.n_ends


@dataclass(frozen=True)
class InteriorPoint:
    """Predictor and corrector steps (Mehrotra, 1992), as for quantiles by Portnoy and Koenker (1997).

    With p, q > 0 the multipliers of the ends of the boxes, whose slopes u are strictly inside, the minimum is where::

        r = p - q,    A'S u = L w,    p (high - u) = 0,    q (u - low) = 0

    An epoch is a step of Newton's towards the same with a small mu in place of the last two zeros::

        1/t = p / (high - u) + q / (u - low)
        dw  = (A'S diag(t) A + L)^-1 (A'S (t k + u) - L w)      k: what the rows lack, for the mu that is aimed at
        du  = t (k - A dw)
        w, p, q <- as far along as p and q stay positive;  u <- as far along as u stays inside

    It is taken twice with the same factor: the predictor aims at mu = 0, and the corrector at the cube of what the
    predictor reached, with its products dp du and dq du. Once the gap is small, the rows with the largest t are those
    on which the minimum lies: without L2 it is a vertex, the solution of as many equations as there are coefficients.

    Attributes
    ----------
    basis : ndarray of shape (n_features, rank) or None
        Columns that make the rows of X orthonormal, for columns that are nearly collinear; None for none.
    goes_below_tol : bool, default=False
        Whether it goes on below `tol`, as far as floats do. With L2 there is no vertex that would have all digits, and
        a gap of 1e-6 leaves three of them in the coefficients.
    """

    basis: NDArray | None = None
    goes_below_tol: bool = False
    takes = frozenset({"curvature", "prox", "matrix prox", "any loss"})
    limit = (
        "the slopes of the loss and its residuals come no nearer to each other. "
        "Drop columns that are nearly collinear, use penalty='l2', or raise tol."
    )

    def iterates(self, problem: Problem, start: NDArray, epoch: int = 0) -> Iterator[Block]:
        """Yield the states in blocks of one, the start first; end where no step narrows the gap."""
        design = Design.of(problem, self.basis)
        boxes = [BoxProblem.of(problem, design, output) for output in range(start.shape[1])]
        descents = [_descend(box, column / box.unit) for box, column in zip(boxes, start.T, strict=True)]
        units = np.array([box.unit for box in boxes])
        latest, rate = [next(descent) for descent in descents], np.nan
        while True:
            yield _block(latest, rate, units)
            further = [next(descent, None) for descent in descents]
            if not any(further):
                return
            latest, rate = [new or old for new, old in zip(further, latest, strict=True)], 1.0


def _block(latest: list[Iterate], rate: float, units: NDArray) -> Block:
    points, value, gap, scale = (np.array(part) for part in zip(*latest, strict=True))
    optimality = np.array([(gap / scale).max()])
    is_finite = np.array([np.isfinite(points).all() and np.isfinite(value).all()])
    values, gaps = (value * units)[np.newaxis], (gap * units)[np.newaxis]
    point = (points.T * units).reshape(points.T.shape)
    return Block(
        np.array([rate]), values, Gap(gaps, np.zeros_like(gaps), gaps), optimality, is_finite, Points.of([point])
    )


def _descend(box: BoxProblem, start: NDArray) -> Iterator[Iterate]:
    """Yield the start, then a point for each epoch, until the gap is closed or no longer narrows."""
    residual = box.residual(start)
    slope = np.where(residual > 0, box.cap, np.where(residual < 0, box.low, 0.0))
    best = box.measured(start, residual, slope, box.pull(slope))
    yield best
    if best.gap <= EXACT * best.scale:
        return
    state, idle, least, near = State.first(box), 0, np.inf, NEAR
    while idle < (IDLE if best.gap > AT_THE_END * best.scale else IDLE_AT_THE_END):
        here, place = _measure(box, state)
        distance = state.complementarity(box)
        if not (np.isfinite(here.gap) and distance > 0):
            break  # no float is nearer
        if here.gap <= near * here.scale and not box.l2.any():
            near = NEARER * here.gap / here.scale
            vertex = _vertex(box, state)
            if vertex is not None and vertex.value <= here.value:
                here = vertex
        idle = 0 if here.gap < best.gap or distance < least else idle + 1
        least = min(least, distance)
        best = min(best, here, key=lambda each: each.gap)
        yield here
        if here.gap <= EXACT * here.scale:
            return
        try:
            state = _advance(box, state, place)
        except FloatingPointError:
            break
    yield best


class Place(NamedTuple):
    """Where a state is: what each needs a pass over X.

    Attributes
    ----------
    point : ndarray of shape (n_coordinates,)
        The coefficients w.
    residual : ndarray of shape (n_rows,)
        r = y - A w.
    pull : ndarray of shape (n_coordinates,)
        A'S u.
    """

    point: NDArray
    residual: NDArray
    pull: NDArray


def _measure(box: BoxProblem, state: State) -> tuple[Iterate, Place]:
    """Return how far a state is, with zeros where it shows that coefficients are zero, and its place."""
    point = box.design.point(state.inner)
    place = Place(point, box.residual(point), box.pull(state.slope))
    zeros = _zeros(box, state, point)
    if not zeros.size:
        return box.measured(point, place.residual, state.slope, place.pull), place
    exact = point.copy()
    exact[zeros] = 0.0
    return box.measured(exact, box.residual(exact), state.slope, place.pull), place


def _zeros(box: BoxProblem, state: State, point: NDArray) -> NDArray:
    """Return the coefficients that are zero at the minimum, as far as the state shows, or have the wrong sign.

    Of the two factors of a product that becomes zero, that of the residual is the smaller one, each in its own unit:
    the slopes in that of their boxes, and the residuals in that of y.
    """
    rows = np.s_[box.n_data :]
    room, depth = box.distances(state.slope)
    steepest = float(np.maximum(-box.low, box.cap)[: box.n_data].max())
    of_slope = np.minimum(np.where(box.capped, box.high, np.inf)[rows], steepest / box.weight[rows])
    inside = np.minimum(np.where(box.capped, room, np.inf), depth)[rows] / of_slope
    away = np.maximum(state.above, state.below)[rows]
    is_wrong = ~box.capped[rows] & (point[: box.design.n_penalised] < 0)
    return np.flatnonzero((inside > away) | is_wrong)


def _advance(box: BoxProblem, state: State, place: Place) -> State:
    """Take an epoch: a predictor and a corrector with one factor."""
    inner, slope, above, below = state
    design, weight, capped = box.design, box.weight, box.capped
    room, depth = box.distances(slope)
    off = place.residual - above + below
    curvature = state.curvature(box)
    lack = design.within(place.pull - box.l2 * place.point)
    factor = Factor.of(design.gram(weight * curvature) + box.ridge)

    def direction(at_top: NDArray, at_bottom: NDArray) -> tuple[NDArray, ...]:
        """Return the changes of w, u, p and q that make p (high - u) and q (u - low) change as given."""
        rest = off - at_top / room + at_bottom / depth
        along = factor.solve(box.pulled(curvature * rest) + lack)
        turn = curvature * (rest - design.dot(design.point(along)))
        return along, turn, (at_top + above * turn) / room, (at_bottom - below * turn) / depth

    def lengths(turn: NDArray, of_above: NDArray, of_below: NDArray) -> tuple[float, float]:
        """Return how far w, p and q may go, and how far u may."""
        primal = min(_longest(above, of_above), _longest(below, of_below))
        return primal, min(_longest(depth, turn), _longest(room, -turn * capped))

    _, turn, of_above, of_below = direction(-room * above, -depth * below)
    primal, dual = lengths(turn, of_above, of_below)
    mu = state.complementarity(box)
    top = (room - capped * dual * turn) * (above + primal * of_above)
    reached = float(weight @ (top + (depth + dual * turn) * (below + primal * of_below))) / box.n_ends
    aim = mu * min(max(reached / mu, 0.0), 1.0) ** 3
    along, turn, of_above, of_below = direction(
        capped * (aim - room * above + of_above * turn), aim - depth * below - of_below * turn
    )
    primal, dual = lengths(turn, of_above, of_below)
    return State(inner + primal * along, slope + dual * turn, above + primal * of_above, below + primal * of_below)


def _longest(distance: NDArray, change: NDArray) -> float:
    """Return how far a change may go, at most 1, so that distances stay positive."""
    nearer = change < 0
    if not nearer.any():
        return 1.0
    return min(1.0, NEARLY * float((-distance[nearer] / change[nearer]).min()))


def _vertex(box: BoxProblem, state: State) -> Iterate | None:
    """Return the vertex near a state, the solution of as many rows of A as there are coefficients, if there is one.

    The rows are those of the largest t that are independent. Its slopes solve A'S u = 0, with those of the other rows
    at the end that their residual names. If they are inside their boxes, the vertex is the minimum, and the only one.
    """
    design, rank = box.design, len(state.inner)
    curvature = state.curvature(box)
    likely = np.argsort(-curvature, kind="stable")[: CANDIDATES * rank]
    rows = design.chosen(likely)
    *_, order = qr((rows * np.sqrt(curvature[likely])[:, np.newaxis]).T, mode="economic", pivoting=True)
    chosen, rows = likely[order[:rank]], rows[order[:rank]]
    if len(chosen) < rank:
        return None
    lu, pivots, info = lapack.dgetrf(rows)
    if info != 0:
        return None
    inner = lapack.dgetrs(lu, pivots, box.target[chosen])[0]
    inner += lapack.dgetrs(lu, pivots, box.target[chosen] - rows @ inner)[0]
    point = design.point(inner)
    point[chosen[chosen >= box.n_data] - box.n_data] = 0.0
    if not np.isfinite(point).all():
        return None
    point = box.allowed(point)
    residual = box.residual(point)
    noise = NOISE * (np.abs(box.target) + np.abs(box.target - residual) + LITTLE)
    residual = np.where(np.abs(residual) > noise, residual, 0.0)
    slope = np.where(residual > 0, box.cap, np.where(residual < 0, box.low, state.slope))
    slope[chosen] = 0.0
    slope[chosen] = lapack.dgetrs(lu, pivots, -box.pulled(slope), trans=1)[0] / box.weight[chosen]
    room, depth = (distance[chosen] for distance in box.distances(slope))
    if min(room.min(), depth.min()) <= INSIDE * np.minimum(box.high, -box.low)[chosen].max():
        return None
    return box.measured(point, residual, slope, box.pull(slope))
