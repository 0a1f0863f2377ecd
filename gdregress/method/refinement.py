"""Iterative refinement of a least-squares solution, with residuals recomputed from the rows."""

from collections.abc import Iterator
from dataclasses import dataclass

from numpy.typing import NDArray

from gdregress.method.descent import Descent
from gdregress.method.states import Block
from gdregress.problem.problem import Problem


@dataclass(frozen=True)
class Refinement:
    """Iterative refinement of least squares (Bjorck, 1967).

    With P the exact inverse Hessian::

        repeat
            g = gradient at w, from the rows
            w <- w - P g
        until the optimality is more than half that of the epoch before

    The first step reaches the minimum up to rounding, and each further step reduces what rounding has left. A small,
    dense X is read in extended precision. The epoch that ends the loop is kept if it is better than the one before.

    Parameters
    ----------
    descent : Descent
        Descent at rate 1, with P as its preconditioner and the rows as its objective.
    """

    descent: Descent
    goes_below_tol = True
    limit = "some columns are nearly collinear. Drop them, or use penalty='l2'."

    def iterates(self, problem: Problem, start: NDArray, epoch: int = 0) -> Iterator[Block]:
        """Yield the states in blocks of one; end with the last that is better than the one before."""
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
