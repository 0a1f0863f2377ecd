"""L1 and signs on many columns: the problem is solved exactly on a few of them, which grow by those that violate it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gdregress.method.active_set import Kinks, step_to_minimum
from gdregress.method.optimizers import Nesterov, Step
from gdregress.method.preconditioners import identity
from gdregress.method.rates import inverse_curvature, largest_eigenvalue
from gdregress.method.states import NO_STEP_LOWERS, Block
from gdregress.problem.columns import ColumnsObjective, SparseColumns
from gdregress.problem.dual import squared_error_gap
from gdregress.problem.objectives import Evaluation, Objective
from gdregress.problem.penalties import Penalty
from gdregress.problem.problem import Gap, Problem
from gdregress.problem.products import products_of_columns
from gdregress.problem.view import View

FEWEST, FEWEST_OF_CSR = 20, 50
"""Least number of columns that join a working set at a time, if so many violate their conditions."""

CROWDED, RELAXED = 100, 0.3
"""Columns above which L1 falls in steps, and the share of the largest slope to which it falls in each."""

MANY = 500
"""Columns of CSR up to which L1 on them is solved at once; more of them are descended until no other column joins."""

CLOSER = 3e-3
"""Share of the largest violation up to which a descent leaves the conditions of the set violated."""

SPARSE = 4
"""Least ratio of the products of the columns to their entries: two copies of these take no more memory than those."""

MOST, FACTOR = 3000, 120
"""Most steps of a descent, those included that find its rate, and the least ratio of the cube of the number of columns
to the work of all steps: that many take about as long as three Cholesky factors of the products."""


class WorkingColumns(NamedTuple):
    """Some columns, and their products.

    Attributes
    ----------
    members : ndarray of shape (n_members,)
        Indices of the columns, in the order in which they joined.
    products : ndarray of shape (n_members, n_members)
        Means of their products, centred and scaled.
    """

    members: NDArray
    products: NDArray

    def joined(self, view: View, joining: NDArray) -> "WorkingColumns":
        """Return the set with more columns, of whose products only those are computed that are not known."""
        if not len(joining):
            return self
        members, n = np.concatenate([self.members, joining]), len(self.members)
        products = np.empty((len(members), len(members)))
        products[:n, :n] = self.products
        products[n:] = products_of_columns(view, members, n)
        products[:n, n:] = products[n:, :n].T
        return WorkingColumns(members, products)

    def curvature(self, penalty: Penalty) -> NDArray:
        """Return the second derivatives of the smooth part of F along the columns, which are those of every output."""
        curvature = 2.0 * self.products
        curvature.flat[:: len(curvature) + 1] += penalty.l2[self.members, 0]
        return curvature


NO_COLUMNS = WorkingColumns(np.empty(0, np.intp), np.empty((0, 0)))
"""The set at the start of a fit."""


class Position(NamedTuple):
    """A point, the objective there, and the columns whose products are known.

    Attributes
    ----------
    point : ndarray of shape (n_coordinates, n_outputs)
        The point.
    here : Evaluation
        The objective and its gradient.
    working : WorkingColumns
        The columns.
    """

    point: NDArray
    here: Evaluation
    working: WorkingColumns


@dataclass(frozen=True)
class WorkingSet:
    """Minimum on a growing set of columns, for squared error with L1 or signs.

    With g the gradient of the smooth part of F, from a pass over all columns, and G the second derivatives on the set
    A, whose products are gathered once and extended by the columns that join::

        repeat
            g = gradient at z, from the rows
            A <- A and the columns that violate |g_j| <= l1_j most, as many as z has coefficients
            z <- argmin_z  g_A . (z - z') + (z - z')' G (z - z') / 2 + penalty(z)  on A, exactly;  z' the z before
        until the duality gap over all columns is small, or no column joins and the gap is no longer halved

    On a set of many columns l1 is first raised to three tenths of max |g_j|, if that is larger. It falls from epoch to
    epoch: the signs of a few hundred coefficients are found in several steps with far less work than in one.
    Many columns of CSR are descended by Nesterov's rule instead, without their products, until no other column joins:
    only then they are solved.

    The gap bounds F - min F: see `squared_error_gap`. The idea is that of Massias, Gramfort and Salmon (2018); here the
    problem on the set is not descended but solved, by `active_set.step_to_minimum`.
    """

    goes_below_tol = False
    limit = NO_STEP_LOWERS

    def iterates(self, problem: Problem, start: NDArray, epoch: int = 0) -> Iterator[Block]:
        """Yield the states in blocks of one, the start first; end where the gap is no longer halved."""
        objective, point = problem.from_rows(), problem.penalty.prox(start.astype(np.float64), 0.0)
        rate, position = np.nan, Position(point, problem.evaluate_start(objective, point), NO_COLUMNS)
        for (point, here, _), gap in positions(problem, objective, position):
            yield Block.of_one(problem, Step(point, here, rate), Gap.unsmoothed(gap))
            rate = 1.0


def positions(problem: Problem, objective: Objective, position: Position) -> Iterator[tuple[Position, NDArray]]:
    """Yield positions with their duality gaps, the given one first; end where the gap is no longer halved.

    Parameters
    ----------
    problem : Problem
        The problem, in coordinates in which no column is longer than 1.
    objective : Objective
        Its objective.
    position : Position
        Where to start, with all that is known of the columns.
    """
    penalty, left, is_solved = problem.penalty, np.inf, np.ones(position.point.shape[1], bool)
    curvature = position.working.curvature(penalty)
    fewest, most = (FEWEST_OF_CSR, MANY) if problem.rows.is_sparse else (FEWEST, len(penalty.l1))
    while True:
        point, here, working = position
        gap = squared_error_gap(penalty, point, here, working.members, curvature)
        yield position, gap
        nonzero, violated = _joining(penalty, point, here.gradient, working.members, fewest)
        members = np.concatenate([working.members, nonzero, violated])
        if not (len(members) > len(working.members) or gap.sum() < 0.5 * left or not is_solved.all()):
            return
        left, is_near, is_solved = gap.sum(), np.zeros_like(is_solved), np.zeros_like(is_solved)
        if len(working.members) <= most < len(members) and len(violated) and penalty.l1.any():
            point, is_near = _descended(problem, members, point, here.gradient, len(violated))
        if not is_near.all():
            factor = _factor_of_l1(penalty, here.gradient, len(members))
            working = working.joined(problem.view, members[len(working.members) :])
            curvature = working.curvature(penalty)
            point = _solved(penalty, factor, members, curvature, point, here.gradient, np.flatnonzero(~is_near))
            is_solved = ~is_near & (factor <= 1)
        position = Position(point, objective.evaluate([point])[0], working)


def _joining(
    penalty: Penalty, point: NDArray, gradient: NDArray, members: NDArray, fewest: int
) -> tuple[NDArray, NDArray]:
    """Return the columns that join the set: those of coefficients, and those of the largest violations."""
    is_new = np.ones(len(penalty.l1), bool)
    is_new[members] = False
    if not is_new.any():
        return members[:0], members[:0]
    has_coefficients = (point[: len(is_new)] != 0).any(axis=1)
    violation = penalty.violation(gradient).max(axis=1)
    violated = np.flatnonzero(is_new & ~has_coefficients & (violation > 0))
    size = max(fewest, int(np.count_nonzero(has_coefficients)))
    if size < len(violated):
        violated = violated[np.argpartition(-violation[violated], size)[:size]]
    return np.flatnonzero(is_new & has_coefficients), violated


def _factor_of_l1(penalty: Penalty, gradient: NDArray, n_members: int) -> NDArray:
    """Return the factor by which L1 of each output is raised for the next step on a set of so many columns."""
    l1, slopes = penalty.l1, gradient[: len(penalty.l1)]
    if n_members <= CROWDED:
        return np.ones(l1.shape[1])
    size = -slopes if penalty.positive else np.abs(slopes)
    ratio = np.divide(size, l1, out=np.zeros_like(l1), where=l1 > 0)
    factor = RELAXED * ratio.max(axis=0, initial=0.0)
    return np.where(factor > 2.0, factor, 1.0)  # a point for nearly the same penalty could pass for the minimum


def _descended(
    problem: Problem, members: NDArray, point: NDArray, gradient: NDArray, n_violated: int
) -> tuple[NDArray, NDArray]:
    """Return a point near the minimum on a set of columns of CSR, without their products, and for which outputs it is.

    The other outputs stay where they are: to come near takes too long, or more memory than the products.

    Parameters
    ----------
    problem : Problem
        The problem.
    members : ndarray of shape (n_members,)
        The columns; at the end those that violate their conditions.
    point, gradient : ndarray of shape (n_coordinates, n_outputs)
        Where to start, and the gradient there.
    n_violated : int
        Number of these columns.

    Returns
    -------
    reached : ndarray of shape (n_coordinates, n_outputs)
        The point.
    is_near : ndarray of bool, of shape (n_outputs,)
        Whether it is near the minimum.
    """
    reached, is_near, n, p = point.copy(), np.zeros(point.shape[1], bool), len(members), len(problem.penalty.l1)
    columns = SparseColumns.of(problem.view, members, n * n // SPARSE)
    if columns is None:
        return reached, is_near
    l2, n_steps = problem.penalty.l2[members, 0], min(MOST, n**3 // (FACTOR * columns.work))

    def multiply(direction: NDArray) -> NDArray:
        nonlocal n_steps
        n_steps -= 1
        return 2.0 * columns.product(direction.reshape(-1, 1)).ravel() + l2 * direction.ravel()

    largest = largest_eigenvalue(multiply, n, n_steps)
    if largest is None:
        return reached, is_near
    rate, rule = inverse_curvature(largest), Nesterov()
    tol = CLOSER * float(problem.penalty.violation(gradient)[members[n - n_violated :]].max())
    for output in range(point.shape[1]):
        penalty = problem.penalty.of_columns(members, output)
        start, slope = point[members, output, np.newaxis], gradient[members, output, np.newaxis]
        objective = ColumnsObjective(columns, start, slope, penalty)
        step = rule.start(start, Evaluation(np.zeros(1), slope))
        for _ in range(n_steps):
            if np.abs(penalty.residual(step.point, step.evaluation.gradient)).max() <= tol:
                is_near[output] = True
                reached[members, output] = step.point[:, 0]
                reached[p:, output] -= 0.5 * gradient[p:, output]
                break
            step = rule.update(step, objective, identity, rate)
    return reached, is_near


def _solved(
    penalty: Penalty,
    factor: NDArray,
    members: NDArray,
    curvature: NDArray,
    point: NDArray,
    gradient: NDArray,
    outputs: NDArray,
) -> NDArray:
    """Return the minimum on the set of some outputs; the intercept of centred columns is that of the constant."""
    solved, p = point.copy(), len(penalty.l1)
    for output in outputs.tolist():
        l1 = factor[output] * penalty.l1[members, output]
        kinks = Kinks.of(l1, len(l1), positive=penalty.positive)
        step = step_to_minimum(curvature, gradient[members, output], kinks, point[members, output])
        solved[members, output] += step
        solved[p:, output] -= 0.5 * gradient[p:, output]
    return solved
