"""Conjugate gradient with approximate preconditioners, each replaced by a finer one if it is too slow."""

from collections.abc import Iterator
from dataclasses import dataclass

from numpy.typing import NDArray

from gdregress.method.descent import Descent, Update
from gdregress.method.optimizers import Conjugate
from gdregress.method.rates import FixedRate
from gdregress.method.schedules import EpochSchedule, constant
from gdregress.method.sketches import Sketches
from gdregress.method.states import NO_STEP_LOWERS, Block, estimated_by
from gdregress.problem.problem import Problem


@dataclass(frozen=True)
class Sampled:
    """Conjugate gradient, preconditioned by a sample of the rows (Avron, Maymounkov and Toledo, 2010).

    ::

        for each P, max_epochs in sketches               each finer than the one before, the last one exact
            repeat
                d <- -P g + max(0, beta) d,   w <- w + s d    conjugate gradient, with the gradients of all rows
            until max_epochs have passed, or no step lowers F

    The preconditioner of a sample can be poor, so each one has a number of epochs within which it should reach `tol`.
    Once the optimality is at most `tol`, the preconditioner stays.

    Parameters
    ----------
    sketches : Sketches
        The preconditioners, each finer than the one before.
    tol : float
        Optimality at which the descent has converged.
    """

    sketches: Sketches
    tol: float
    goes_below_tol = False
    limit = NO_STEP_LOWERS

    def iterates(self, problem: Problem, start: NDArray, epoch: int = 0) -> Iterator[Block]:
        """Yield the states under all preconditioners in blocks of one, the start once."""
        point, is_first = start, True
        for sketch in self.sketches:
            update = Update(Conjugate(), sketch.preconditioner, EpochSchedule(constant))
            descent = Descent(update, FixedRate(1.0), Problem.from_rows, estimated_by(sketch.bound))
            for n_epochs, state in enumerate(descent.states(problem, point, epoch)):
                block = Block.of(problem, [state], descent.measure)
                is_done = bool(block.optimality[0] <= self.tol)
                if state.is_stuck and not is_done:
                    break
                if n_epochs > 0 or is_first:
                    yield block
                point, is_first = state.point, False
                if n_epochs >= sketch.max_epochs and not is_done:
                    break
