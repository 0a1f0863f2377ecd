"""Newton's steps by conjugate gradients: losses with parabolas and no penalty, where no matrix is made."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from gdregress.method.conjugate_gradients import conjugate_gradients
from gdregress.method.finite_newton import DAMPED, FollowedPoint, step_length
from gdregress.method.interior_point import EXACT, in_lockstep
from gdregress.method.states import Block
from gdregress.problem.box_gaps import measured_if_projected
from gdregress.problem.boxes import BoxProblem, Iterate
from gdregress.problem.problem import Problem

FORCED = 0.1
"""Share of its first length to which conjugate gradients bring the residual of a step."""

END_SHARE = 0.1
"""Share of a tolerance to which the distance from the minimum is estimated to be, at the end."""

SOLVED = 1e-10
"""Length of the residual, in units of the root of the scale, to which the last step is solved: nearly collinear columns
are to be seen whatever the tolerance."""

LEAST_PRODUCTS = 1000
"""Number of products of all steps together, however few epochs have been run before."""

SHORT = 1e-2
"""Length of a step below which the next one is damped more."""

LEAST_DAMPING, UP, DOWN = 1e-4, 10.0, 0.3
"""The least damping besides 0, and the factors by which it changes."""

COPIED = 0.5
"""Share of the rows up to which those that count in a Newton step are copied."""


@dataclass(frozen=True)
class TruncatedNewton:
    """Newton's method with a line search, whose steps are solved roughly (Dembo and Steihaug, 1983).

    With u the slopes at w and c the curvature of the parabola::

        repeat
            dw  =  (A'S diag(c on) A)^-1 A'S u       on_i = 1 where u_i is inside its box, else e
            w  <-  w + t dw                          t: where F is least along dw
            e  <-  10 e where t < 0.01, else 0.3 e
        until u . A dw is rounding, or as little as the tolerance allows, with e = 0 and dw solved to all but rounding,
        or F has not fallen since dw was last solved so

    The slopes ``u - c on A dw`` of that last step, with e = 0, are feasible. If they are inside their boxes, the gap is
    what the step lowers its model by. There are as many products as epochs have been run before, but no less than 1000.
    If that step is not among them, the slopes of the last point are projected, ``u - A (A'S A)^-1 A'S u``, and drawn
    together until they are in their boxes. That takes as many products more at most: all rows together tell columns
    apart far better than those on their parabolas. Everywhere else the gap is F: nothing is known.

    Attributes
    ----------
    tol : float
        Optimality, of which a tenth is left at the end.
    """

    tol: float
    goes_below_tol = True
    limit = "conjugate gradients did not solve Newton's steps in as many products as epochs. Raise epochs or tol."

    def iterates(self, problem: Problem, start: NDArray, epoch: int = 0) -> Iterator[Block]:
        """Yield the states in blocks of one, the start first."""
        descend = partial(_descend, variance=mean_squares(problem), tol=self.tol, most=max(epoch, LEAST_PRODUCTS))
        return in_lockstep(problem, start, None, descend)


def _descend(box: BoxProblem, start: NDArray, variance: NDArray, tol: float, most: int) -> Iterator[Iterate]:
    """Yield the start, then a point for each step; ``variance`` is the diagonal of A'S A."""
    place, damping, lowest, left = FollowedPoint.at(box, start), DAMPED, np.inf, most
    while True:
        point, residual, _ = place
        slope = box.slopes(residual)
        on = (slope > box.low) & (slope < box.high)
        lack = box.lack(point, box.pull(slope))
        step, n_products, _ = truncated_step(box, np.where(on, 1.0, damping), lack, variance, FORCED, left)
        left, decrement = left - n_products, float(lack @ step)
        here = box.iterate(point, residual, slope, 0.5 * decrement)
        enough = max(EXACT, END_SHARE * tol) ** 2 * here.scale
        may_be_last, is_bounded, here = here.gap <= enough, False, here._replace(gap=here.value)
        if may_be_last:
            exact, n_products, is_solved = truncated_step(box, on, lack, variance, _shortest(here.scale, lack), left)
            left -= n_products
            if is_solved:
                step, decrement = exact, float(lack @ exact)
                is_bounded = box.contains(slope - box.curvature * on * box.design.dot(exact))
                here = here._replace(gap=0.5 * decrement if is_bounded else here.value)
        is_last = left <= 0 or here.gap <= enough or (may_be_last and here.value >= lowest)
        if is_last and not is_bounded:
            here = _projected(box, point, residual, slope, variance, most)
        yield here
        if is_last:
            return
        lowest = here.value if may_be_last else lowest
        change = box.design.dot(step)
        length = step_length(box, point, step, residual, change, decrement)
        place = place.moved(box, length * step, length * change)
        damping = max(next_damping(damping, length), LEAST_DAMPING)


def _shortest(scale: float, lack: NDArray) -> float:
    """Return the share of the first residual of conjugate gradients at which only rounding is left of it."""
    return min(SOLVED * float(np.sqrt(scale / (lack @ lack))), FORCED) if lack.any() else FORCED


def _projected(
    box: BoxProblem, point: NDArray, residual: NDArray, slope: NDArray, variance: NDArray, most: int
) -> Iterate:
    """Return a point with the gap to its slopes, projected and drawn together; with F where they are not projected."""
    lack = box.lack(point, box.pull(slope))
    here = box.iterate(point, residual, slope, 0.0)
    here = here._replace(gap=here.value)
    every = np.ones(len(slope), bool)
    step, _, is_solved = truncated_step(box, every, lack, variance, _shortest(here.scale, lack), most)
    if not is_solved:
        return here
    feasible = slope - box.curvature * box.design.dot(step)
    there = measured_if_projected(box, point, residual, feasible, box.pull(feasible))
    return min(here, there, key=lambda each: each.gap)


def mean_squares(problem: Problem) -> NDArray:
    """Return the diagonal of A'S A, the mean squares of the columns of A."""
    squares = (problem.moments.x.deviation * problem.standard.inverse_scale) ** 2
    return np.append(squares, np.ones(int(problem.terms.fit_intercept)))


def next_damping(damping: float, length: float) -> float:
    """Return the damping of the next step: more than before where a step was short, else less."""
    return min(max(UP * damping, LEAST_DAMPING), 1.0) if length < SHORT else DOWN * damping


def truncated_step(
    inner: BoxProblem, on: NDArray, lack: NDArray, variance: NDArray, forced: float, most: int
) -> tuple[NDArray, int, bool]:
    """Solve (A'S diag(c on) A + L) dw = `lack` by conjugate gradients, to a residual of `forced` times the first.

    Parameters
    ----------
    inner : BoxProblem
        The problem, of parabolas and lines.
    on : ndarray of shape (n_rows,)
        Share of its curvature with which each row counts.
    lack, variance : ndarray of shape (n_coordinates,)
        Right side, and the diagonal of A'S A.
    forced : float
        Length of the residual at the end, as a share of the first.
    most : int
        Largest number of products.

    Returns
    -------
    tuple of (ndarray of shape (n_coordinates,), int, bool)
        dw, the number of products, and whether it is solved: see `conjugate_gradients`.
    """
    weight = inner.weight * inner.curvature * on
    product, diagonal = _product(inner, weight), float(weight.sum()) * variance + inner.l2
    inverse = np.divide(1.0, diagonal, out=np.zeros_like(diagonal), where=diagonal > 0)
    return conjugate_gradients(product, inverse, lack, forced, most)


def _product(inner: BoxProblem, weight: NDArray) -> Callable[[NDArray], NDArray]:
    """Return the function from v to (A'diag(weight) A + L) v, over a copy of the rows that count if they are few."""
    features, of_rows = inner.design.features, weight.reshape(inner.design.copies, -1).sum(axis=0)
    counted = np.flatnonzero(of_rows)
    if not len(counted):
        return lambda v: inner.l2 * v
    if len(counted) <= COPIED * len(of_rows):
        features, of_rows = features.of_rows(counted), of_rows[counted]
    of_rows = of_rows[:, np.newaxis]
    return lambda v: features.transposed(of_rows * features.dot(v[:, np.newaxis]))[:, 0] + inner.l2 * v
