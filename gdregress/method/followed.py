"""A descent whose first points are known, with a solver that goes on from the last of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gdregress.method.states import Block, Points, Solver
from gdregress.problem.problem import Gap, Problem


@dataclass(frozen=True)
class Followed:
    """Points on the way to the minimum, and then the epochs of a solver from the last of them.

    All points are measured in one pass over the rows. The solver bounds how far the last of them is above the minimum,
    and so how far the others are. Those that are within `tol` are left out, so that the descent goes on to the last.

    Attributes
    ----------
    points : sequence of ndarray of shape (n_coordinates, n_outputs)
        The points after the start.
    solver : Solver
        The solver.
    tol : float
        Optimality at which the descent has converged.
    """

    points: Sequence[NDArray]
    solver: Solver
    tol: float

    goes_below_tol = False

    @property
    def limit(self) -> str:
        """Reason and remedy where the solver has ended above tol."""
        return self.solver.limit

    def iterates(self, problem: Problem, start: NDArray, epoch: int = 0) -> Iterator[Block]:
        """Yield the start and the points, then what the solver yields."""
        *before, last = [start, *self.points]
        points = [point.astype(np.float64) for point in before]
        blocks = self.solver.iterates(problem, last, epoch + len(points))
        first = next(blocks)
        lowest = problem.in_standard_units(first.value[0]) - first.gap.total[0]
        value = np.array(problem.from_rows().values(points))
        gap = np.maximum(problem.in_standard_units(value) - lowest, 0.0)
        [ahead] = np.nonzero(~(problem.optimality(value, gap) <= self.tol))
        if len(ahead):
            value, gap, points = value[ahead], gap[ahead], [points[k] for k in ahead]
            is_finite = np.isfinite(value).all(axis=1) & np.isfinite(points).all(axis=(1, 2))
            optimality = problem.optimality(value, gap)
            yield Block(np.ones(len(points) - 1), value, Gap.unsmoothed(gap), optimality, is_finite, Points.of(points))
            first = replace(first, rate=np.append(1.0, first.rate))
        yield first
        yield from blocks
