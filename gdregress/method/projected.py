"""Least squares without a matrix: conjugate gradients measure the gap before it counts as closed."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gdregress.method.descent import Descent
from gdregress.method.optimizers import Conjugate
from gdregress.method.preconditioners import identity
from gdregress.method.refinement import Refinement
from gdregress.method.states import Block
from gdregress.problem.problem import Gap, Problem

SHRUNK = 1e-2
"""Length of the gradient, as a share of that at the point, at which conjugate gradients end."""

MOST_PASSES = 100
"""Largest number of passes in which they measure a gap."""

SELDOM = 2
"""Number of epochs for each of these passes after which the gap is measured again."""


@dataclass(frozen=True)
class Projected:
    """A descent of squared error whose residuals are projected off the columns before their gap counts as closed.

    The gap g' H^-1 g / 2 is what the columns can still explain of the residuals. Without a matrix, P is the inverse of
    the diagonal of H, and g' P g / 2 is far less where columns are nearly collinear. So the projection is carried out,
    by conjugate gradients from w (Golub and Meurant, 1997), where that matters::

        for each w of the descent
            gap = s g' P g / 2                                      s = 1 at first
            if optimality(gap) <= tol, or at the last epoch
                z_0 = w;  z_1, z_2, ..., z_m  by conjugate gradients,  until |g(z_m)| <= |g(w)| / 100
                h <- the least curvature along a step so far
                gap = F(w) - F(z_m) + (|g(z_m)| + rounding)^2 / (2 h),      rounding = eps (1 + |w|)
                s <- gap / (g' P g / 2)

    Where s alone keeps the gap above `tol`, it is measured anew after twice as many epochs as the last measurement took
    passes. The descent ends where rounding alone keeps the gap above `tol`, and the gap no longer falls.

    Attributes
    ----------
    descent : Descent
        The descent.
    standard : Problem
        The problem in its unit-curvature coordinates.
    tol : float
        Optimality at which the descent has converged.
    """

    descent: Descent
    standard: Problem
    tol: float
    goes_below_tol = False
    limit = Refinement.limit

    def iterates(self, problem: Problem, start: NDArray, epoch: int = 0) -> Iterator[Block]:
        """Yield the states of the descent in blocks of one, with their gap."""
        stretch, due, numbers = np.ones(start.shape[1]), 0, count(epoch)
        least, last, is_lost = np.full(start.shape[1], self.standard.curvature), stretch * np.inf, False
        for block in self.descent.iterates(problem, start, epoch):
            for place in range(len(block)):
                state, number = block.between(place, place + 1), next(numbers)
                estimate = state.gap.total
                seems_closed = problem.optimality(state.value, stretch * estimate)[0] <= self.tol
                is_due = number >= due and state.optimality[0] <= self.tol
                if seems_closed or is_due or number >= self.descent.epochs:
                    most = MOST_PASSES if seems_closed else min(number, MOST_PASSES)
                    rest = _projected(self.standard, self.standard.point_of(problem, state.points.at(0)), least, most)
                    stretch = np.divide(rest.gap, estimate[0], out=np.ones_like(rest.gap), where=estimate[0] > 0)
                    is_above = self.standard.optimality(self.standard.constant_loss, rest.rounding) > self.tol
                    is_lost = bool(is_above and (rest.gap >= last).all())
                    least, last, due = rest.least, rest.gap, number + SELDOM * rest.n_passes
                total = stretch * estimate
                yield replace(state, gap=Gap.unsmoothed(total), optimality=problem.optimality(state.value, total))
                if is_lost:
                    return


class Projection(NamedTuple):
    """What conjugate gradients find at a point.

    Attributes
    ----------
    gap, rounding : ndarray of shape (n_outputs,)
        How far F is above its minimum, and what part of that is rounding.
    least : ndarray of shape (n_outputs,)
        The least curvature along a step so far.
    n_passes : int
        Number of passes over X.
    """

    gap: NDArray
    rounding: NDArray
    least: NDArray
    n_passes: int


def _projected(problem: Problem, point: NDArray, least: NDArray, most: int) -> Projection:
    """Descend from a point by conjugate gradients, in at most so many passes."""
    objective, rule, n_passes = problem.from_rows(), Conjugate(), 1
    [first] = objective.evaluate([point])
    step, size, fall = rule.start(point, first), _squared(first.gradient), np.zeros_like(least)
    left = size
    while n_passes <= most and not (step.is_stuck or (left <= SHRUNK**2 * size).all()):
        last, step, n_passes = step, rule.update(step, objective, identity, rule.own_rate), n_passes + 1
        moved, slope, before = step.point - last.point, step.evaluation.gradient, last.evaluation.gradient
        fall -= 0.5 * (moved * (slope + before)).sum(axis=0)  # a difference of values would be rounding
        bend, length, left = (moved * (slope - before)).sum(axis=0), _squared(moved), _squared(slope)
        least = np.minimum(least, np.divide(bend, length, out=least.copy(), where=(bend > 0) & (length > 0)))
    noise = np.finfo(np.float64).eps * (1.0 + np.sqrt(_squared(problem.standard_coefficients(point))))
    gap = np.maximum(fall, 0.0) + (np.sqrt(left) + noise) ** 2 / (2.0 * least)
    return Projection(np.minimum(gap, first.value), noise**2 / (2.0 * least), least, n_passes)


def _squared(columns: NDArray) -> NDArray:
    return (columns * columns).sum(axis=0)
