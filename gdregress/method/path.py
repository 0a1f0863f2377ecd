"""The minima along a sequence of penalties, each from the last, with the columns whose products are known."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gdregress.method.known import FIT_ERROR
from gdregress.method.working_set import NO_COLUMNS, Position, WorkingColumns, positions
from gdregress.problem.objectives import Evaluation
from gdregress.problem.penalties import Penalty
from gdregress.problem.problem import Problem
from gdregress.problem.terms import Terms
from gdregress.rows.moments import Moments
from gdregress.rows.rows import Rows


class PathPoint(NamedTuple):
    """The minimum for one penalty.

    Attributes
    ----------
    point : ndarray of shape (n_coordinates, n_outputs)
        The point, in the coordinates of the problem.
    gap : ndarray of shape (n_outputs,)
        Bound on how far F is above its minimum, in units of the standard coordinates.
    optimality : float
        The same without units: see `Problem.optimality`.
    n_steps : int
        Number of times that the problem was solved on a set of columns.
    """

    point: NDArray
    gap: NDArray
    optimality: float
    n_steps: int


def problem_of_path(terms: Terms, moments: Moments, rows: Rows) -> Problem:
    """Return the problem without a penalty, in whose coordinates a path stays whatever the strength of L2."""
    return Problem.of(replace(terms, l1=0.0, l2=0.0), moments, rows)


def descend_path(problem: Problem, strengths: Sequence[tuple[float, float]], tol: float) -> Iterator[PathPoint]:
    """Yield the minimum for each penalty, from that of the penalty before and with its working set.

    Parameters
    ----------
    problem : Problem
        The problem without a penalty: see `problem_of_path`.
    strengths : sequence of (float, float)
        Strengths of L1 and L2. The nearer a pair is to the one before, the less there is to do.
    tol : float
        Optimality at which a minimum is reached; at least one step is taken towards each.
    """
    moments, p = problem.moments, len(problem.standard.center)
    by_moments = moments.cross is not None and moments.error(1.0) <= FIT_ERROR
    working = NO_COLUMNS
    if problem.view.gram is not None:
        working = WorkingColumns(np.arange(p), problem.view.gram[:p, :p])
    zero = np.zeros((problem.n_coordinates, len(problem.constant_loss)))
    position = Position(zero, problem.evaluate_start(problem.from_rows(), zero), working)
    for l1, l2 in strengths:
        before, problem = problem.penalty, problem.with_penalty(l1, l2)
        objective = problem.from_moments() if by_moments else problem.from_rows()
        start = position._replace(here=_with_penalty(problem.penalty, before, position))
        for n_steps, (position, gap) in enumerate(positions(problem, objective, start)):
            optimality = float(problem.optimality(position.here.value, gap))
            if gap.max() == 0 or (n_steps > 0 and optimality <= tol):
                break
        yield PathPoint(position.point, gap, optimality, n_steps)


def _with_penalty(penalty: Penalty, before: Penalty, position: Position) -> Evaluation:
    """Return the objective at a position with another penalty than before, without a pass over X."""
    point, here, _ = position
    gradient = here.gradient.copy()
    gradient[: len(penalty.l1)] += penalty.gradient(point) - before.gradient(point)
    return Evaluation(here.value - before.value(point) + penalty.value(point), gradient)
