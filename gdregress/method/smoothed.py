"""Losses that end in straight lines, minimised by a sequence of problems with smoothed losses."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gdregress.method.states import Block, Solver
from gdregress.problem.problem import Problem

SHARPER = 0.1, 0.5
"""Smallest and largest ratio of a smoothing parameter mu to the one before."""

LEAST_MU = 1e-12
"""The mu, in standard deviations of y, that is as small as floating-point numbers allow."""

SETTLED = 0.3
"""Ratio of the decrement to the Fenchel gap up to which the descent on a smoothed problem has settled."""


@dataclass(frozen=True)
class Smoothed:
    """Continuation in the smoothing parameter mu (Nesterov, 2005).

    With F_mu the objective of the smoothed loss, `decrement` the estimate of F_mu(w) - min F_mu, and `smoothing` the
    Fenchel gap, a bound on what smoothing costs at w::

        mu <- root mean square of y
        repeat
            minimise F_mu by `inner`, from w, until decrement <= 0.3 smoothing
            share = tol / (2 optimality(smoothing)), clipped to [0.1, 0.5]
            mu <- min(share mu, typical residual);  mu <- 0 where F_mu is nearly as curved as F
        until mu <= 1e-12

    Once optimality(smoothing) is at most tol, mu is small enough, and stays while `inner` makes progress.

    Parameters
    ----------
    inner : Solver
        The solver of each smoothed problem.
    tol : float
        Optimality at which the descent has converged; 0 to go on as far as floating-point numbers allow.
    """

    inner: Solver
    tol: float

    @property
    def goes_below_tol(self) -> bool:
        """Whether the inner solver goes on below `tol`."""
        return self.inner.goes_below_tol

    @property
    def limit(self) -> str:
        """Reason and remedy where the inner solver has ended above `tol`."""
        return self.inner.limit

    def iterates(self, problem: Problem, start: NDArray, epoch: int = 0) -> Iterator[Block]:
        """Yield the states of all smoothed problems, the start once."""
        smoothed, point, is_first = problem.smoothed(problem.spread), start, True
        while True:
            is_last = smoothed.mu <= LEAST_MU
            n_states = 0
            for block in self.inner.iterates(smoothed, point, epoch):
                settled = not is_last and self._has_settled(smoothed, block)
                if np.any(settled):
                    block = block.between(0, int(np.argmax(settled)) + 1)
                known = int(n_states == 0 and not is_first)  # the start is the last state of the problem before
                if len(block) > known:
                    yield block.between(known, len(block))
                n_states, last = n_states + len(block), block.between(len(block) - 1, len(block))
                if np.any(settled):
                    break
            epoch, point, is_first = epoch + n_states - 1, last.points.at(0), False
            if is_last:
                return
            smoothed = problem.smoothed(self._next_mu(smoothed, last))

    def _has_settled(self, problem: Problem, block: Block) -> NDArray:
        """Return for each state whether the next problem should begin there."""
        decrement, smoothing, _ = block.gap
        has_settled = (decrement <= SETTLED * smoothing).all(axis=1)
        return has_settled & ~(problem.optimality(block.value, smoothing) <= self.tol)

    def _next_mu(self, problem: Problem, last: Block) -> float:
        cost = float(problem.optimality(last.value, last.gap.smoothing)[0])
        share = 0.5 * self.tol / cost if cost > 0 else 0.0
        steepest_slope = problem.standard_curvature * problem.mu
        residual = float((problem.in_standard_units(last.value) / steepest_slope).max())
        return min(problem.mu * float(np.clip(share, *SHARPER)), residual)
