"""Newton's steps by conjugate gradients: losses with parabolas and no penalty, where no matrix is made."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from gdregress.method.augmented_lagrangian import DOWN, LEAST_DAMPING, SHORT, UP, newton_step
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
        variance = (problem.moments.x.deviation * problem.standard.inverse_scale) ** 2
        variance = np.append(variance, np.ones(int(problem.terms.fit_intercept)))
        most = max(epoch, LEAST_PRODUCTS)
        return in_lockstep(problem, start, None, partial(_descend, variance=variance, tol=self.tol, most=most))


def _descend(box: BoxProblem, start: NDArray, variance: NDArray, tol: float, most: int) -> Iterator[Iterate]:
    """Yield the start, then a point for each step; ``variance`` is the diagonal of A'S A."""
    place, damping, lowest, left = FollowedPoint.at(box, start), DAMPED, np.inf, most
    while True:
        point, residual, _ = place
        slope = box.slopes(residual)
        on = (slope > box.low) & (slope < box.high)
        lack = box.lack(point, box.pull(slope))
        step, n_products, _ = newton_step(box, np.where(on, 1.0, damping), lack, variance, FORCED, left)
        left, decrement = left - n_products, float(lack @ step)
        here = box.iterate(point, residual, slope, 0.5 * decrement)
        enough = max(EXACT, END_SHARE * tol) ** 2 * here.scale
        may_be_last, is_bounded, here = here.gap <= enough, False, here._replace(gap=here.value)
        if may_be_last:
            exact, n_products, is_solved = newton_step(box, on, lack, variance, _shortest(here.scale, lack), left)
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
        damping = max(min(UP * damping, 1.0) if length < SHORT else DOWN * damping, LEAST_DAMPING)


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
    step, _, is_solved = newton_step(box, every, lack, variance, _shortest(here.scale, lack), most)
    if not is_solved:
        return here
    feasible = slope - box.curvature * box.design.dot(step)
    there = measured_if_projected(box, point, residual, feasible, box.pull(feasible))
    return min(here, there, key=lambda each: each.gap)
