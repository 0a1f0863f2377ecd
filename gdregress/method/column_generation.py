"""L1 and signs on many columns, for losses of lines and parabolas: an interior point on a growing set of columns."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gdregress.method.interior_point import EXACT, NO_NEARER, in_lockstep, interior_points
from gdregress.method.states import Block
from gdregress.problem.box_gaps import measured_by_shrinking
from gdregress.problem.boxes import BoxProblem, Iterate
from gdregress.problem.problem import Problem

FEWEST = 20
"""Least number of columns that join the set at a time."""

MORE = 2
"""Number of columns that join for each coefficient: every set is solved from the beginning, so that few are better."""

CLOSER = 0.1
"""Share of the gap over all columns to which the problem on the set is solved before the next look at all columns."""

OF_THE_SET = 0.5
"""Share of the gap over all columns from which on that of the set accounts for it, so that no column joins."""


@dataclass(frozen=True)
class ColumnGeneration:
    """Column generation (Dantzig and Wolfe, 1960) for losses of lines and parabolas with L1 or signs.

    ::

        u = slopes at the best constant
        repeat
            v = A'S u,  by a pass over all columns
            A <- A and the columns that violate |v_j| <= l1_j most or come nearest, twice as many as w has coefficients
            w, u <- minimum on A and its dual point, to a tenth of the gap over all columns
        until the gap over all columns is closed

    An epoch is one round. The gap over all columns is that of the slopes t u, with t <= 1 so that |t v_j| <= l1_j for
    all j: see `box_gaps.measured_by_shrinking`. Where it is hardly larger than that on A, no column joins, and the
    same interior point method goes on. So the last set is solved exactly, with its vertex or face. As sets only grow,
    there are finitely many.
    """

    goes_below_tol = True
    limit = NO_NEARER

    def iterates(self, problem: Problem, start: NDArray, epoch: int = 0) -> Iterator[Block]:
        """Yield the states in blocks of one, the start first; end where the gap is closed or no longer narrows."""
        return in_lockstep(problem, start, None, column_generation)


def column_generation(box: BoxProblem, start: NDArray) -> Iterator[Iterate]:
    """Yield the start, then a point for each round."""
    p = box.design.n_penalised
    residual = box.residual(start)
    slope = box.slopes(residual)
    slope[box.n_data :] = 0.0
    pull = box.pull(slope)
    here = measured_by_shrinking(box, start, residual, slope, pull)
    yield here
    members, found = np.flatnonzero(start[:p]), here
    inner: Iterator[Iterate] | None = None
    while here.gap > EXACT**box.degree * here.scale:
        if inner is None or found.gap < OF_THE_SET * here.gap:
            joining = _joining(box, here.point, pull, members)
            if inner is None or len(joining):
                members = np.concatenate([members, joining])
                on_set = box.of_columns(members)
                of_set = np.append(members, np.arange(p, len(start)))
                inner = interior_points(on_set, here.point[of_set])
        last = found
        for found in inner:
            if found.gap <= CLOSER * here.gap:
                break
        if found is last:
            return
        point = np.zeros_like(start)
        point[of_set] = found.point
        residual = np.concatenate([on_set.residual(found.point)[: box.n_data], -point[:p]])
        slope = np.concatenate([found.dual[: box.n_data], np.zeros(p)])
        pull = box.pull(slope)
        here = measured_by_shrinking(box, point, residual, slope, pull)
        yield here


def _joining(box: BoxProblem, point: NDArray, pull: NDArray, members: NDArray) -> NDArray:
    """Return the columns that join the set: those of the largest violations, and those nearest to one."""
    p, of_penalty = box.design.n_penalised, np.s_[box.n_data :]
    needed = (box.l2 * point - pull)[:p]
    weight = box.weight[of_penalty]
    above = np.where(box.capped[of_penalty], needed - weight * box.cap[of_penalty], -np.inf)
    violation = np.maximum(above, weight * box.low[of_penalty] - needed)
    violation[members] = -np.inf
    size = max(FEWEST, MORE * int(np.count_nonzero(point[:p])))
    if len(members) and not (violation > 0).any():
        return members[:0]
    first = np.argpartition(-violation, size)[:size] if size < p else np.arange(p)
    return first[violation[first] > -np.inf]
