"""Losses of lines and parabolas with L2 on many columns: an augmented Lagrangian method that needs no matrix."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from gdregress.method.finite_newton import FollowedPoint, step_length
from gdregress.method.interior_point import EXACT, in_lockstep
from gdregress.method.states import Block
from gdregress.method.truncated_newton import LEAST_DAMPING, mean_squares, next_damping, truncated_step
from gdregress.problem.box_gaps import measured_with_l2
from gdregress.problem.boxes import BoxProblem, Iterate
from gdregress.problem.problem import Problem

SETTLED = 0.1
"""Share of the mean Fenchel gap by which the duality gap may exceed it where an inner problem is solved."""

NEAREST = 1e-3
"""Mean residual at the start, as a share of that of the best constant, below which the first mu follows no further."""

MOST_STEPS = 10
"""Largest number of Newton steps on an inner problem."""

SHARPER, HARDLY_SHARPER, FEW_STEPS = 0.7, 0.85, 3
"""Ratios of mu to the one before: where the last inner problem took few steps, where it took more, and what is few."""

FORCED, FINEST = 0.3, 1e-3
"""Share of its first length to which conjugate gradients bring the residual of a Newton step, and the least share."""

MOST_PRODUCTS = 60
"""Largest number of products in a Newton step: where a step needs more, shorter ones gain more for each product."""

DIGITS = 4.0 * float(np.finfo(np.float64).eps)
"""Rounding of the dual value of a point that is far higher, as a share of how much higher it is."""

SEARCHES, LEVEL = 50, 1e-16
"""Number of intercepts that are tried, and the mean slope, as a share of the steepest, that is rounding."""

IDLE = 100
"""Number of consecutive epochs without a smaller gap after which the solver ends."""

NO_NARROWER = (
    "the duality gap no longer narrows. "
    "Raise alpha or tol, or drop columns that are nearly collinear or far smaller than the others."
)
"""Reason and remedy where the solver ends above `tol`."""


@dataclass(frozen=True)
class AugmentedLagrangian:
    """Semismooth Newton augmented Lagrangian method (Li, Sun and Toh, 2018), for L2 without a matrix.

    With u the multipliers of r = y - A w, which are slopes in their boxes, k the flatness of the loss, and c the
    curvature of an inner problem::

        u <- 0,   mu <- mean |r| over the steepest slope, but no more than at the best constant
        repeat
            repeat
                b  <-  b with mean(u+) = 0                           the intercept
                u+  =  clip(c (r + mu u), low, high)                 c = 1 / (k + mu)
                dw  =  (A'S diag(c on) A + L)^-1 (A'S u+ - L w)      on_i = 1 where u+_i is inside its box, else e
                w  <-  w + t dw                                      t: where the inner objective is least along dw
                e  <-  10 e,  at least 1e-4, where t < 0.01,         else 0.3 e, until it is 0
            until the duality gap at u+ is at most 1.1 mean(l(r) + l*(u+) - u+ r)
            u <- u+,   mu <- 0.7 mu                                  0.85 mu after more than three steps
        until the duality gap at u+ is closed

    An inner problem is one of parabolas and lines, as for Huber's loss, so that its steps are those of `FiniteNewton`.
    They are solved by conjugate gradients, preconditioned by the diagonal: to 0.3 of the residual, and to less while
    t = 1. A product needs only the rows whose `on` is not 0, which are few: near the end, those on a kink. Since the
    multipliers move the kinks, mu need not be as small as smoothing alone would need it, and steps stay well
    conditioned. Where mu is below k, as it soon is for Huber's loss and at once for the squared insensitive one, it
    becomes 0, and Newton's method goes on alone.

    An epoch is a Newton step. It yields the lowest point so far, with the gap to the highest dual value so far.
    """

    goes_below_tol = False
    limit = NO_NARROWER

    def iterates(self, problem: Problem, start: NDArray, epoch: int = 0) -> Iterator[Block]:
        """Yield the states in blocks of one, the start first; end where the gap is closed or no longer narrows."""
        descend = partial(_descend, variance=mean_squares(problem), has_intercept=problem.terms.fit_intercept)
        return in_lockstep(problem, start, None, descend)


def _descend(box: BoxProblem, start: NDArray, variance: NDArray, *, has_intercept: bool) -> Iterator[Iterate]:
    """Yield the start, then the best point so far after each Newton step, until the gap is closed.

    ``variance`` is the diagonal of A'S A.
    """
    place, side = FollowedPoint.at(box, start), box.design.side
    point, residual, _ = place
    slope = box.slopes(residual)
    best = measured_with_l2(box, point, residual, slope, box.pull(slope), has_intercept=has_intercept)
    yield best
    if best.gap <= EXACT**box.degree * best.scale:
        return
    steepest = float(box.reach[0])
    mu = float(np.clip(steepest * (box.weight @ np.abs(residual)), NEAREST, 1.0)) / steepest**2
    multiplier, damping, idle = np.zeros_like(residual), 0.0, 0
    while True:
        mu = mu if mu > box.flatness[0] else 0.0
        forced = FORCED
        inner = replace(box, target=box.target + mu * multiplier, flatness=box.flatness + mu)
        for steps in range(MOST_STEPS + 1):
            shifted = place.residual + mu * multiplier
            if has_intercept:
                level = _level(inner, shifted, side)
                place = place.moved(box, np.append(np.zeros(len(start) - 1), level), level * side)
                shifted = shifted - level * side
            point, residual, _ = place
            slope = inner.slopes(shifted)
            pull = box.pull(slope)
            here = measured_with_l2(box, point, residual, slope, pull, has_intercept=has_intercept)
            last, best = best, _better(best, here)
            if steps:
                yield best
                idle = 0 if best.gap < last.gap else idle + 1
                if best.gap <= EXACT**box.degree * best.scale or idle >= IDLE:
                    return
            smoothing = box.fenchel_gap(residual, box.slopes(residual), slope)
            if steps and mu and here.gap <= (1.0 + SETTLED) * smoothing:
                break
            lack = box.lack(point, pull)
            on = np.where((slope > inner.low) & (slope < inner.high), 1.0, damping)
            step, *_ = truncated_step(inner, on, lack, variance, forced, MOST_PRODUCTS)
            change = box.design.dot(step)
            length = step_length(inner, point, step, shifted, change, float(lack @ step))
            place = place.moved(box, length * step, length * change)
            forced = max(FORCED * forced, FINEST) if length == 1.0 else FORCED
            damping = next_damping(damping, length)
            damping = damping if damping >= LEAST_DAMPING else 0.0
        multiplier = slope
        mu *= SHARPER if steps <= FEW_STEPS else HARDLY_SHARPER


def _better(best: Iterate, here: Iterate) -> Iterate:
    """Return the lower of two points, of equal ones the later, with the gap to the higher of their dual values."""
    lower, other = (here, best) if here.value <= (1.0 + DIGITS) * best.value else (best, here)
    rise = other.value - lower.value
    return lower._replace(gap=min(lower.gap, max(other.gap - rise, 0.0) + DIGITS * abs(rise)))


def _level(inner: BoxProblem, shifted: NDArray, side: NDArray) -> float:
    """Return what to add to the intercept so that the mean slope is 0, by Newton's method or halving."""
    level, highest, rounding = 0.0, float(np.abs(shifted).max()), LEVEL * float(inner.reach[0])
    lowest = -highest
    for _ in range(SEARCHES):
        slope = inner.slopes(shifted - level * side)
        mean = float((inner.weight * side) @ slope)
        if abs(mean) <= rounding:
            break
        lowest, highest = (level, highest) if mean > 0 else (lowest, level)
        bend = float((inner.weight * inner.curvature) @ ((slope > inner.low) & (slope < inner.high)))
        level = level + mean / bend if bend > 0 else np.inf
        if not lowest < level < highest:
            level = 0.5 * (lowest + highest)
    return level
