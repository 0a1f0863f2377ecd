"""Refinement: the step of an exact metric, repeated with the residual recomputed from the rows."""

from collections.abc import Iterator
from dataclasses import dataclass

from numpy.typing import NDArray

from gdregress.method.descent import Descent
from gdregress.method.states import Block
from gdregress.problem.problem import Problem


@dataclass(frozen=True)
class Refinement:
    """Iterative refinement of least squares (Bjorck, 1967), until an epoch no longer halves the distance left.

    In the exact inverse Hessian a step leaves nothing but rounding, and the next step, from the residual of the
    point that was reached, takes that away too. X of few entries is read in extended precision.

    Parameters
    ----------
    descent : Descent
        The steps.
    """

    descent: Descent
    goes_below_tol = True
    limit = "some columns are all but collinear. Drop them, or use penalty='l2'."

    def iterates(self, problem: Problem, start: NDArray, epoch: int = 0) -> Iterator[Block]:
        """Yield the states; end with the last that is better than those before."""
        problem = problem.in_extended_precision()
        left: list[float] = []
        for state in self.descent.states(problem, start, epoch):
            block = Block.of(problem, [state], self.descent.measure)
            left.append(float(block.optimality[0]))
            if len(left) > 1 and not left[-1] < left[-2]:
                return
            yield block
            if len(left) > 1 and not 0 < left[-1] <= left[-2] / 2:
                return
