"""Newton's method for losses of parabolas and straight lines, which ends at the minimum after finitely many steps."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from gdregress.method.active_set import Kinks, step_to_minimum
from gdregress.method.interior_point import AT_THE_END, EXACT, NO_NEARER, in_lockstep, interior_points
from gdregress.method.newton import is_definite
from gdregress.method.states import Block
from gdregress.problem.box_gaps import measured, measured_by_shrinking
from gdregress.problem.boxes import BoxProblem, Iterate
from gdregress.problem.problem import Problem
from gdregress.problem.systems import Factor

DAMPED = 1e-3
"""Share of the curvature of all rows that is added where that of the rows on the parabola is singular."""

FLAT = 0.1
"""Share of the first slope at which the search along a step ends."""

SEARCHES = 30
"""Largest number of points along a step."""

LONGER = 10.0
"""Multiple of a length along which F still falls that is tried next, at most."""

STALE = 1e-3
"""Share of the largest residual below which residuals are computed anew: the rounding of larger ones would show."""

PATIENCE, IDLE = 12, 4
"""Numbers of epochs after which an interior point method takes over: in all, and since fewest rows have changed."""


class FollowedPoint(NamedTuple):
    """A point whose residuals follow from those of the point before.

    Attributes
    ----------
    point : ndarray of shape (n_coordinates,)
        w.
    residual : ndarray of shape (n_rows,)
        r = y - A w.
    largest : float
        The largest residual where they were last computed from the point, whose rounding they have.
    """

    point: NDArray
    residual: NDArray
    largest: float

    @classmethod
    def at(cls, box: BoxProblem, point: NDArray) -> Self:
        """Follow a point from here on."""
        residual = box.residual(point)
        return cls(point, residual, float(np.abs(residual).max()))

    def moved(self, box: BoxProblem, step: NDArray, change: NDArray) -> Self:
        """Return the point after a step, of which A dw is the change."""
        point, residual = self.point + step, self.residual - change
        if np.abs(residual).max() < STALE * self.largest:
            return self.at(box, point)
        return self._replace(point=point, residual=residual)


@dataclass(frozen=True)
class FiniteNewton:
    """Newton's method with a line search, for Huber's loss and the squared insensitive one (Madsen and Nielsen, 1990).

    With u the slopes of the rows of X at w, c = 1 / k the curvature of the parabola, and p(w) the part of the penalty
    with kinks, which is L1 and the signs::

        H   = A'S diag(c on) A + L           on_i = 1 where u_i is inside its box, else 0
        g   = A'S u - L w
        dw  = argmin dw'H dw / 2 - g . dw + p(w + dw),  exactly;  H^-1 g where there is no p
        w  <- w + t dw                       t: where F is least along dw

    Once no row changes between parabola and line, a step ends at the minimum. The first step has the curvature of all
    rows, that of least squares. Only the rows of one kind, the fewer, are multiplied: those on their parabola, or the
    others. The slopes ``u - c on A dw`` are feasible for w + dw. If they are inside their boxes, the duality gap is
    what the step lowers its model by, and else they are drawn together until they are. Where it takes many steps, as
    for a parabola that is all but a kink, an interior point method takes over.

    Attributes
    ----------
    basis : ndarray of shape (n_features, rank) or None
        Columns that make the rows of X orthonormal, for columns that are nearly collinear; None for none.
    """

    basis: NDArray | None = None
    goes_below_tol = True
    limit = NO_NEARER

    def iterates(self, problem: Problem, start: NDArray, epoch: int = 0) -> Iterator[Block]:
        """Yield the states in blocks of one, the start first; end where no step narrows the gap."""
        return in_lockstep(problem, start, self.basis, _descend)


def _descend(box: BoxProblem, start: NDArray) -> Iterator[Iterate]:
    """Yield the start, then a point for each epoch, until the gap is closed; an interior point method takes over."""
    design, c = box.design, box.curvature
    data, kinks = np.s_[: box.n_data], _kinks(box)
    whole = c[0] * box.products
    place, last = FollowedPoint.at(box, box.allowed(start)), np.inf
    before, fewest, idle = np.ones(len(box.target), bool), np.inf, 0
    for number in range(PATIENCE):
        point, residual, _ = place
        slope = box.slopes(residual)
        on = (slope > box.low) & (slope < box.high)
        on[box.n_data :] = False
        n_changed = float(np.count_nonzero(on != before))
        idle = 0 if n_changed < fewest else idle + 1
        if idle > IDLE:
            break
        before, fewest = on, min(fewest, n_changed)
        if number <= 1 or n_changed:
            counted: NDArray | float = on if number else 1.0 / design.copies
            second = box.ridge + (_of_parabolas(box, whole, on) if number else whole / design.copies)
            if not is_definite(second):
                counted, second = counted + DAMPED, second + DAMPED * whole
        gradient = design.basis.within(box.lack(point, box.pull_of_data(slope)))
        along, decrement, decrease = _step(second, gradient, kinks, point)
        step = design.basis.point(along)
        change = design.dot(step)
        turned = c * counted  # in place: of many rows few arrays are held
        turned *= change
        np.subtract(slope, turned, out=turned)
        turned[box.n_data :] = 0.0
        if box.contains(turned) and np.all(np.equal(counted, on)[data]):
            here = box.iterate(point, residual, slope, decrease)
        else:
            del slope  # of many rows: it is not needed while the gap is measured
            pull = box.pull(turned)
            if kinks.free.all():
                here = measured(box, point, residual, turned, pull)
            else:
                here = measured_by_shrinking(box, point, residual, turned, pull)
        yield here
        if here.gap <= EXACT**2 * here.scale or AT_THE_END**2 * here.scale >= here.gap >= last:
            return
        last = here.gap
        length = step_length(box, point, step, residual, change, decrement)
        place = place.moved(box, length * step, length * change)
    yield from interior_points(box, place.point)


def _kinks(box: BoxProblem) -> Kinks:
    """Return L1 and the signs, whose rows have no parabola."""
    rows, design = np.s_[box.n_data :], box.design
    l1 = -(box.weight * box.low)[rows]
    return Kinks.of(l1, design.basis.rank, positive=bool(design.n_penalised) and not box.capped[-1])


def _step(second: NDArray, gradient: NDArray, kinks: Kinks, point: NDArray) -> tuple[NDArray, float, float]:
    """Return dw, how steeply F falls along it at its beginning, and by how much it lowers its model.

    Without kinks the last is ``g . dw / 2``. Else ``v = g - H dw`` is a subgradient of p at w + dw, so that it is
    ``dw'H dw / 2 + p(w) - v . w``. Coefficients that keep their signs add nothing to the difference.
    """
    if kinks.free.all():
        along = Factor.of(second).solve(gradient)
        decrement = float(gradient @ along)
        return along, decrement, 0.5 * decrement
    along = step_to_minimum(second, -gradient, kinks, point)
    bent = second @ along
    rise = kinks.l1 @ np.where(point != 0, np.sign(point) * along, np.abs(along))
    changes = ~kinks.free & (np.sign(point + along) != np.sign(point))
    lower = (kinks.l1 * np.abs(point) - (gradient - bent) * point)[changes].sum()
    return along, float(gradient @ along - rise), float(0.5 * along @ bent + lower)


def _of_parabolas(box: BoxProblem, whole: NDArray, on: NDArray) -> NDArray:
    """Return A'S diag(c on) A, from the products of the rows on their parabola or from those of the others."""
    weight = box.weight * box.curvature
    if 2 * np.count_nonzero(on) <= box.n_data:
        return box.design.gram(weight * on)
    return whole - box.design.gram(weight * ~on)


class Bracket(NamedTuple):
    """Lengths of a step between which F is least along it, and the one to try.

    Attributes
    ----------
    shortest, longest : float
        The longest known at which F still falls, and the shortest at which it rises; infinite while none is known.
    length : float
        The length to try.
    """

    shortest: float = 0.0
    longest: float = np.inf
    length: float = 1.0

    def narrowed(self, downhill: float, curved: float) -> Self:
        """Return what is left to search, by Newton's method, or by halving where that leads out.

        Parameters
        ----------
        downhill, curved : float
            How steeply F falls at the length that was tried, and its second derivative there.
        """
        shortest, longest, length = self
        shortest, longest = (length, longest) if downhill > 0 else (shortest, length)
        length = length + downhill / curved if curved > 0 else np.inf
        if not shortest < length < min(longest, LONGER * max(shortest, 1.0)):
            length = LONGER * shortest if longest == np.inf else 0.5 * (shortest + longest)
        return type(self)(shortest, longest, length)


def step_length(
    box: BoxProblem, point: NDArray, step: NDArray, residual: NDArray, change: NDArray, decrement: float
) -> float:
    """Return how far along a step F is least, up to a tenth of its first slope: by Newton's method, or by halving.

    Parameters
    ----------
    box : BoxProblem
        The problem, of parabolas and lines.
    point, step : ndarray of shape (n_coordinates,)
        w and dw.
    residual, change : ndarray of shape (n_rows,)
        r and A dw.
    decrement : float
        How steeply F falls along the step at its beginning.
    """
    level, bend = float((box.l2 * point) @ step), float(box.l2 @ (step * step))
    penalty = np.s_[box.n_data :]
    w, dw = -residual[penalty], change[penalty]
    falls = ~box.capped[penalty] & (dw < 0)
    farthest = float((w[falls] / -dw[falls]).min(initial=np.inf))  # where the first sign would be wrong
    bends = box.weight[penalty] * -box.low[penalty] * np.abs(dw)
    bracket = Bracket()
    for _ in range(SEARCHES):
        length = bracket.length
        slope = box.slopes(residual - length * change)
        downhill = float((box.weight * slope) @ change) - level - length * bend
        width = float(bends[w == -length * dw].sum())  # F has a kink there, for which its slope is the mean
        if abs(downhill) <= FLAT * decrement + width or (downhill > 0 and length >= farthest):
            return length
        on = (slope > box.low) & (slope < box.high)
        curved = float((box.weight * box.curvature * on) @ (change * change)) + bend
        bracket = bracket.narrowed(downhill, curved)
        bracket = bracket._replace(length=min(bracket.length, farthest))
    return bracket.shortest  # F is lower there than at the point, since it falls all the way
