"""Losses that end in straight lines: a sequence of smoothed problems, each from where the last has settled."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gdregress.method.states import Block, Solver
from gdregress.problem.problem import Problem

SHARPER = 0.1, 0.5
"""The next mu, as a share of the last: at least, and at most."""

LEAST_MU = 1e-12
"""The mu of a loss that is as sharp as floats allow, in standard deviations of y."""

SETTLED = 0.3
"""Share of what a smaller mu would gain, below which what is left to gain with this one is small."""


@dataclass(frozen=True)
class Smoothed:
    """A sequence of smoothed problems (Nesterov, 2005), each from where the last has settled.

    The first mu is the spread of y. A descent has settled where it has less to gain than a smaller mu has. How much
    smaller the next is follows from what it may gain, and from how large the residuals are.

    Parameters
    ----------
    inner : Solver
        Of each smoothed problem.
    tol : float
        Optimality at which mu is small enough; 0 for no end.
    """

    inner: Solver
    tol: float

    @property
    def goes_below_tol(self) -> bool:
        """As the inner solver."""
        return self.inner.goes_below_tol

    @property
    def limit(self) -> str:
        """As the inner solver."""
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
                known = int(n_states == 0 and not is_first)  # the start, but for the first
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
        """Tell of every state whether a smaller mu is due."""
        decrement, smoothing, _ = block.gap
        has_settled = (decrement <= SETTLED * smoothing).all(axis=1)
        return has_settled & ~(problem.optimality(block.value, smoothing) <= self.tol)

    def _next_mu(self, problem: Problem, last: Block) -> float:
        due = float(problem.optimality(last.value, last.gap.smoothing)[0])
        share = 0.5 * self.tol / due if due > 0 else 0.0
        steepest = problem.standard_curvature * problem.mu
        typical = float((problem.in_standard_units(last.value) / steepest).max())
        return min(problem.mu * float(np.clip(share, *SHARPER)), typical)
