"""Newton's steps by conjugate gradients: losses with parabolas and no penalty, where no matrix is made."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from gdregress.method.augmented_lagrangian import DOWN, LEAST, newton_step
from gdregress.method.finite_newton import FollowedPoint, step_length
from gdregress.method.interior_point import EXACT, NO_NEARER, in_lockstep
from gdregress.method.states import Block
from gdregress.problem.boxes import BoxProblem, Iterate
from gdregress.problem.problem import Problem

FORCED = 0.1
"""Share of its first length to which conjugate gradients bring the residual of a step."""

CLOSER = 0.1
"""Share of a tolerance to which the distance from the minimum is estimated to be, at the end."""

SOLVED = 1e-12
"""Length of the residual, in units of the root of the scale, to which the last step is solved: nearly collinear columns
are to be seen whatever the tolerance."""

MOST_STEPS, MOST_PRODUCTS = 200, 200
"""Largest number of steps, and of products in a step."""


@dataclass(frozen=True)
class TruncatedNewton:
    """Newton's method with a line search, whose steps are solved roughly (Dembo and Steihaug, 1983).

    With u the slopes at w and c the curvature of the parabola::

        repeat
            dw  =  (A'S diag(c on) A)^-1 A'S u       on_i = 1 where u_i is inside its box, else e
            w  <-  w + t dw                          t: where F is least along dw
            e  <-  0.3 e, at least 1e-4                  1 at first, as for least squares
        until u . A dw is rounding, or as little as the tolerance allows, with dw solved to all but rounding,
        or F has not fallen since dw was last solved so

    The gap is an estimate, by how much a step lowers its model. If a step that is not solved within its products would
    be the last, it says nothing: then the gap is F, which bounds it.

    Attributes
    ----------
    tol : float
        Optimality, of which a tenth is left at the end.
    """

    tol: float
    goes_below_tol = True
    limit = NO_NEARER

    def iterates(self, problem: Problem, start: NDArray, epoch: int = 0) -> Iterator[Block]:
        """Yield the states in blocks of one, the start first."""
        variance = (problem.moments.x.deviation * problem.standard.inverse_scale) ** 2
        variance = np.append(variance, np.ones(int(problem.terms.fit_intercept)))
        return in_lockstep(problem, start, None, partial(_descend, variance=variance, tol=self.tol))


def _descend(box: BoxProblem, start: NDArray, variance: NDArray, tol: float) -> Iterator[Iterate]:
    """Yield the start, then a point for each step; ``variance`` is the diagonal of A'S A."""
    place, damping, lowest = FollowedPoint.at(box, start), 1.0, np.inf
    for _ in range(MOST_STEPS):
        point, residual, _ = place
        slope = box.slopes(residual)
        on = np.where((slope > box.low) & (slope < box.high), 1.0, damping)
        lack = box.lack(point, box.pull(slope))
        step, is_solved = newton_step(box, on, lack, variance, FORCED, MOST_PRODUCTS)
        here = box.iterate(point, residual, slope, 0.5 * float(lack @ step))
        enough = max(EXACT, CLOSER * tol) ** 2 * here.scale
        may_be_last = here.gap <= enough
        if may_be_last:
            shorter = SOLVED * float(np.sqrt(here.scale / (lack @ lack))) if lack.any() else FORCED
            step, is_solved = newton_step(box, on, lack, variance, min(shorter, FORCED), MOST_PRODUCTS)
            here = box.iterate(point, residual, slope, 0.5 * float(lack @ step) if is_solved else here.value)
        yield here
        if here.gap <= enough or (may_be_last and here.value >= lowest):
            return
        lowest = here.value if may_be_last else lowest
        decrement = float(lack @ step)
        change = box.design.dot(step)
        length = step_length(box, point, step, residual, change, decrement)
        place = place.moved(box, length * step, length * change)
        damping = max(DOWN * damping, LEAST)
