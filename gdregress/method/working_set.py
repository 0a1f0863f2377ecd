"""L1 and signs on many columns: the problem is solved exactly on a few of them, which grow by those that violate it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gdregress.method.active_set import Kinks, step_to_minimum
from gdregress.method.optimizers import Step
from gdregress.method.states import NO_STEP_LOWERS, Block
from gdregress.method.without_products import ManyColumns, descended
from gdregress.problem.dual import NOISE, by_products, squared_error_gap
from gdregress.problem.objectives import Evaluation, Objective
from gdregress.problem.penalties import Penalty
from gdregress.problem.problem import Gap, Problem
from gdregress.problem.products import products_of_columns
from gdregress.problem.view import View
from gdregress.rows.rows import Rows

FEWEST, FEWEST_OF_CSR = 20, 50
"""Least number of columns that join a working set at a time, if so many violate their conditions."""

CROWDED, RELAXED = 100, 0.3
"""Columns above which L1 falls in steps, and the share of the largest slope to which it falls in each."""

SET_LIMIT, PATH_LIMIT = 250, 2000
"""Number of features, at most half the rows, up to which products of all columns are cheaper than working sets: for
one fit, and for a path."""

MANY = 500
"""Columns of CSR up to which L1 on them is solved with their products; on more of them it is descended without."""


def products_are_cheaper(rows: Rows, limit: int) -> bool:
    """Return whether products of all columns cost less than working sets, given the largest number of features."""
    return rows.n_features <= min(limit, rows.n_weighted // 2)


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
        curvature.reshape(-1)[:: len(curvature) + 1] += penalty.l2[self.members, 0]
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
    Many columns of CSR go without their products: see `without_products.descended`.

    The gap bounds F - min F: see `squared_error_gap`. The idea is that of Massias, Gramfort and Salmon (2018); here the
    problem on the set is not descended but solved, by `active_set.step_to_minimum`.
    """

    goes_below_tol = False
    limit = NO_STEP_LOWERS

    def iterates(self, problem: Problem, start: NDArray, epoch: int = 0) -> Iterator[Block]:
        """Yield the states in blocks of one, the start first; end where the gap is no longer halved."""
        objective, point = problem.from_rows(), start.astype(np.float64)
        rate: float | None = None
        position = Position(point, problem.evaluate_start(objective, point), NO_COLUMNS)
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
    penalty, left, is_near = problem.penalty, np.inf, np.zeros(position.point.shape[1], bool)
    is_solved, descends = ~is_near, problem.rows.is_sparse and bool(penalty.l1.any())
    fewest, curvature = FEWEST_OF_CSR if problem.rows.is_sparse else FEWEST, position.working.curvature(penalty)
    many: ManyColumns | None = None
    while True:
        point, here, working = position
        known, solve = (working.members, by_products(curvature)) if many is None else (many.members, many.solve)
        gap = squared_error_gap(penalty, point, here, known, solve)
        yield position, gap
        # A column that does not stay in the set would violate its condition by rounding again and again.
        least = NOISE * (1.0 + np.abs(point[: len(penalty.l1)]).sum(axis=0).max()) if is_near.any() else 0.0
        nonzero, violated = _joining(penalty, point, here.gradient, working.members, fewest, least)
        members = np.concatenate([working.members, nonzero, violated])
        if not (len(violated) or gap.sum() < 0.5 * left or not is_solved.all()):
            return
        left, is_near = gap.sum(), np.zeros_like(is_near)
        many = ManyColumns.of(problem, members) if descends and len(members) > MANY else None
        if many is not None:
            point, is_near = descended(many, penalty, point, here.gradient, len(violated))
        is_solved = is_near & (len(violated) == 0)
        many = many if is_solved.all() else None
        if not is_near.all():
            factor = _factor_of_l1(penalty, here.gradient, len(members))
            working = working.joined(problem.view, members[len(working.members) :])
            curvature = working.curvature(penalty)
            point = _solved(penalty, factor, members, curvature, point, here.gradient, np.flatnonzero(~is_near))
            is_solved |= ~is_near & (factor <= 1)
        position = Position(point, objective.evaluate([point])[0], working)


def _joining(
    penalty: Penalty, point: NDArray, gradient: NDArray, members: NDArray, fewest: int, least: float
) -> tuple[NDArray, NDArray]:
    """Return the columns that join the set: those of coefficients, and those of the largest violations."""
    is_new = np.ones(len(penalty.l1), bool)
    is_new[members] = False
    if not is_new.any():
        return members[:0], members[:0]
    has_coefficients = (point[: len(is_new)] != 0).any(axis=1)
    violation = penalty.violation(gradient).max(axis=1)
    [violated] = (is_new & ~has_coefficients & (violation > least)).nonzero()
    size = max(fewest, int(np.count_nonzero(has_coefficients)))
    if size < len(violated):
        violated = violated[np.argpartition(-violation[violated], size)[:size]]
    return (is_new & has_coefficients).nonzero()[0], violated


def _factor_of_l1(penalty: Penalty, gradient: NDArray, n_members: int) -> NDArray:
    """Return the factor by which L1 of each output is raised for the next step on a set of so many columns."""
    l1, slopes = penalty.l1, gradient[: len(penalty.l1)]
    if n_members <= CROWDED:
        return np.ones(l1.shape[1])
    size = -slopes if penalty.positive else np.abs(slopes)
    ratio = np.divide(size, l1, out=np.zeros_like(l1), where=l1 > 0)
    factor = RELAXED * ratio.max(axis=0, initial=0.0)
    return np.where(factor > 2.0, factor, 1.0)  # a point for nearly the same penalty could pass for the minimum


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
