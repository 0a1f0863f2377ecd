"""A descent whose gap is an estimate, until that is small: then it is no less than a bound."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gdregress.method.states import Block, Solver
from gdregress.problem.problem import Problem


@dataclass(frozen=True)
class Bounded:
    """A descent that has converged only if a lower bound on the minimum says so.

    An estimate takes the curvature for that of the point, but a loss of lines and parabolas has less where its rows
    have left their parabolas. A solver that knows the dual bounds the minimum from below, once and for all points::

        for each w of the descent
            gap = its estimate
            if optimality(gap) <= tol for the first time
                D <- F(z) - gap(z) at the point z at which the exact solver ends,       min F >= D
            gap <- F(w) - D,  if that is larger, once D is known

    Beyond the digits of F only the estimate can tell. Where no solver knows the dual, D is F as far as Newton's steps
    bring it, and their own estimate of the rest (`TruncatedNewton`).

    Attributes
    ----------
    descent : Solver
        The descent.
    exact : callable
        Function that makes the solver whose gap is a bound.
    standard : Problem
        The problem in its unit-curvature coordinates, for the exact solver.
    tol : float
        Optimality at which the descent has converged.
    """

    descent: Solver
    exact: Callable[[], Solver]
    standard: Problem
    tol: float

    @property
    def goes_below_tol(self) -> bool:
        """Whether the descent goes on below `tol`."""
        return self.descent.goes_below_tol

    @property
    def limit(self) -> str:
        """Reason and remedy where the descent has ended above `tol`."""
        return self.descent.limit

    def iterates(self, problem: Problem, start: NDArray, epoch: int = 0) -> Iterator[Block]:
        """Yield the states of the descent with their gap."""
        least: NDArray | None = None
        for block in self.descent.iterates(problem, start, epoch):
            if least is None and (block.optimality <= self.tol).any():
                least = _least(self.exact(), self.standard, self.standard.point_of(problem, block.points.at(-1)))
            yield block if least is None else _above(problem, block, least)


def _least(exact: Solver, problem: Problem, start: NDArray) -> NDArray:
    """Return the lower bound on the minimum of each output with which a solver ends."""
    *_, last = exact.iterates(problem, start)
    return (last.value - last.gap.total)[-1]


def _above(problem: Problem, block: Block, least: NDArray) -> Block:
    """Return a block whose gaps are no less than how far its values are above a lower bound on the minimum."""
    total = np.maximum(block.gap.total, problem.in_standard_units(block.value) - least)
    return replace(block, gap=block.gap._replace(total=total), optimality=problem.optimality(block.value, total))
