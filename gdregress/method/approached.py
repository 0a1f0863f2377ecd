"""Two solvers in turn: one that soon is near the minimum, and one that from there soon is at it."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from gdregress.method.states import Block, Solver, is_zero
from gdregress.problem.problem import Problem

HANDED_OVER = 1e-3
"""Optimality from which the other solver goes on."""


@dataclass(frozen=True)
class Approached:
    """A solver that begins where another one has come near the minimum.

    ::

        w <- epochs of `nearing`      until the gap is a thousandth of its scale, or no step lowers F
        w <- epochs of `ending`       from w

    A start that is not zero is taken to be near: `ending` begins there, and from a random one it arrives too.

    Attributes
    ----------
    nearing, ending : Solver
        The two.
    """

    nearing: Solver
    ending: Solver

    @property
    def goes_below_tol(self) -> bool:
        """Whether the solver that ends goes on below tol."""
        return self.ending.goes_below_tol

    @property
    def limit(self) -> str:
        """Reason and remedy where the solver that ends has ended above tol."""
        return self.ending.limit

    def iterates(self, problem: Problem, start: NDArray, epoch: int = 0) -> Iterator[Block]:
        """Yield the states of the one and the other, that in between once and in a block of its own."""
        if not is_zero(problem, start):
            yield from self.ending.iterates(problem, start, epoch)
            return
        for block in self.nearing.iterates(problem, start, epoch):
            is_near = block.optimality <= HANDED_OVER
            last = int(np.argmax(is_near)) if is_near.any() else len(block) - 1
            yield block.between(0, last + 1)
            epoch, point = epoch + last + 1, block.points.at(last)
            if is_near.any():
                break
        yield from islice(self.ending.iterates(problem, point, epoch - 1), 1, None)
