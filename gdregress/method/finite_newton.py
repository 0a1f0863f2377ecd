"""Newton's method for losses of parabolas and straight lines, which ends at the minimum after finitely many steps."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from gdregress.method.interior_point import AT_THE_END, EXACT, NO_NEARER, in_lockstep, interior_points
from gdregress.method.newton import is_definite
from gdregress.method.states import Block
from gdregress.problem.boxes import OUTSIDE, BoxProblem, Iterate
from gdregress.problem.problem import Problem
from gdregress.problem.systems import ColumnSystem, Factor

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

PATIENCE = 12
"""Number of epochs after which an interior point method takes over, unless the minimum is near."""


class Place(NamedTuple):
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
        """Return the place of a point."""
        residual = box.residual(point)
        return cls(point, residual, float(np.abs(residual).max()))

    def moved(self, box: BoxProblem, step: NDArray, change: NDArray) -> Self:
        """Return the place after a step, of which A dw is the change."""
        point, residual = self.point + step, self.residual - change
        if np.abs(residual).max() < STALE * self.largest:
            return self.at(box, point)
        return self._replace(point=point, residual=residual)


@dataclass(frozen=True)
class FiniteNewton:
    """Newton's method with a line search, for Huber's loss and the squared insensitive one (Madsen and Nielsen, 1990).

    With u the slopes at w, and c = 1 / k the curvature of the parabola::

        H   = A'S diag(c on) A + L           on_i = 1 where u_i is inside its box, else 0
        dw  = H^-1 (A'S u - L w)
        w  <- w + t dw                       t: where F is least along dw

    Once no row changes between parabola and line, a step ends at the minimum. The first step has the curvature of all
    rows, that of least squares. Only the rows of one kind, the fewer, are multiplied: those on their parabola, or the
    others. The slopes ``u - c on A dw`` are feasible for w + dw. If they are inside their boxes, the duality gap is
    g'H^-1 g / 2, with g = A'S u - L w, and else they are drawn together until they are. Where it takes many steps, as
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
        gram = problem.view.gram if self.basis is None else None
        return in_lockstep(problem, start, self.basis, partial(_descend, gram=gram))


def _descend(box: BoxProblem, start: NDArray, gram: NDArray | None) -> Iterator[Iterate]:
    """Yield the start, then a point for each epoch, until the gap is closed; an interior point method takes over.

    ``gram`` is A'S A, where it is known.
    """
    design, slack, c = box.design, OUTSIDE * float(box.reach[0]), float(box.curvature[0])
    whole = design.gram(box.weight * box.curvature) if gram is None else c * gram
    metric = ColumnSystem(design, box.weight, box.freedom, Factor.of(whole / c + box.ridge))
    place, last = Place.at(box, start), np.inf
    for number in range(PATIENCE):
        point, residual, _ = place
        slope = box.slopes(residual)
        on = (slope > box.low) & (slope < box.high)
        counted: NDArray | float = on if number else 1.0
        second = box.ridge + (_of_parabolas(box, whole, on) if number else whole)
        if not is_definite(second):
            counted, second = counted + DAMPED, second + DAMPED * whole
        gradient = design.within(box.lack(point, box.pull(slope)))
        along = Factor.of(second).solve(gradient)
        step = design.point(along)
        change = design.dot(step)
        turned = slope - c * counted * change
        is_inside = bool(((turned >= box.low - slack) & (turned <= box.high + slack)).all())
        decrement = float(gradient @ along)
        if is_inside and np.all(counted == on):
            here = box.iterate(point, residual, slope, 0.5 * decrement)
        else:
            del slope  # of many rows: it is not needed while the gap is measured
            here = box.measured(point, residual, turned, box.pull(turned), metric)
        yield here
        if here.gap <= EXACT**2 * here.scale or AT_THE_END**2 * here.scale >= here.gap >= last:
            return
        last = here.gap
        length = step_length(box, point, step, residual, change, decrement)
        place = place.moved(box, length * step, length * change)
    yield from interior_points(box, place.point)


def _of_parabolas(box: BoxProblem, whole: NDArray, on: NDArray) -> NDArray:
    """Return A'S diag(c on) A, from the products of the rows on their parabola or from those of the others."""
    weight = box.weight * box.curvature
    if 2 * np.count_nonzero(on) <= len(on):
        return box.design.gram(weight * on)
    return whole - box.design.gram(weight * ~on)


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
    shortest, longest, length = 0.0, np.inf, 1.0
    for _ in range(SEARCHES):
        slope = box.slopes(residual - length * change)
        downhill = float((box.weight * slope) @ change) - level - length * bend
        if abs(downhill) <= FLAT * decrement:
            break
        shortest, longest = (length, longest) if downhill > 0 else (shortest, length)
        on = (slope > box.low) & (slope < box.high)
        curved = float((box.weight * box.curvature * on) @ (change * change)) + bend
        length = length + downhill / curved if curved > 0 else np.inf
        if not shortest < length < min(longest, LONGER * max(shortest, 1.0)):
            length = LONGER * shortest if longest == np.inf else 0.5 * (shortest + longest)
    else:
        return shortest  # F is lower there than at the point, since it falls all the way
    return length
