"""Tall data and losses with kinks: an interior point method on the rows near a kink, with the others as one sum."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from gdregress.method.interior_point import NO_NEARER, in_lockstep, interior_points
from gdregress.method.states import Block
from gdregress.problem.boxes import BoxProblem, Iterate
from gdregress.problem.problem import Problem

ROUGH = 1e-3
"""Gap, as a share of the scale, to which the sample is solved."""

SOLVED = 1e-12
"""Gap, as a share of the scale, at which the minimum is found."""

MANY = 0.1
"""Wrong rows, as a share of the working set, for which it is doubled."""

FIRST = 40
"""Rows for each coefficient in the first working set of a start that is not zero."""

SHARE = 0.25
"""Largest share of the rows in a sample, or in a working set, with which this is faster than all rows at once."""


@dataclass(frozen=True)
class WorkingRows:
    """Preprocessing (Portnoy and Koenker, 1997): few rows decide where the minimum is.

    ::

        w = minimum of a sample of m = (n p)^(2/3) rows;    of a start that is not zero, w is that, and m = 40 p
        repeat
            N = the m rows that are nearest to a kink at w, and those that were wrong
            w = minimum over N and a few means, which represent the other rows
            wrong = rows outside N that have changed to another line of the loss;    if they are many, m <- 2 m
        until the gap is closed

    An epoch is one round, with two passes over all rows. The means are those of rows on one line of the loss: their
    objective is nowhere above that of all rows, so that its duality gap and the difference of the two objectives bound
    how far w is from the minimum. In the end they are equal, and the minimum is exact, whatever the sample was. Where m
    is more than a quarter of the rows, all of them are taken.

    Attributes
    ----------
    basis : ndarray of shape (n_features, rank) or None
        Columns that make the rows of X orthonormal, for columns that are nearly collinear; None for none.
    """

    basis: NDArray | None = None
    goes_below_tol = True
    limit = NO_NEARER

    def iterates(self, problem: Problem, start: NDArray, epoch: int = 0) -> Iterator[Block]:
        """Yield the states in blocks of one, the start first; end where the gap is closed."""
        is_zero = not start[: len(problem.penalty.l2)].any()
        return in_lockstep(problem, start, self.basis, partial(_descend, is_zero=is_zero))


def sample_size(n_samples: int, rank: int) -> int:
    """Return m, the number of rows in a sample, for so many coefficients with the intercept."""
    return int((n_samples * rank) ** (2 / 3))


def pays(n_samples: int, rank: int) -> bool:
    """Return whether there are so many rows that a few of them are much faster, at least from a near start."""
    return FIRST * rank <= SHARE * n_samples


def _descend(box: BoxProblem, start: NDArray, *, is_zero: bool) -> Iterator[Iterate]:
    """Yield the start, then a point for each round; ``is_zero`` says whether all coefficients are zero at the start."""
    n, rank = box.design.rows.n_samples, box.design.rank
    size = sample_size(n, rank) if is_zero else FIRST * rank
    if size > SHARE * n:
        yield from interior_points(box, start)
        return
    residual, point = box.residual(start), start
    slope = box.slopes(residual)
    yield box.measured(start, residual, slope, box.pull(slope))
    if is_zero:
        point = _solved(box.sampled(np.arange(0, n, n // size)), start, ROUGH).point
        residual = box.residual(point)
    wrong = np.empty(0, np.intp)
    while size <= SHARE * n:
        nearest = np.argpartition(box.distance_from_kink(residual), size)[:size]
        rows, line = np.union1d(nearest, wrong), box.line(residual)
        found = _solved(box.restricted(rows, residual), point, 0.0)
        point, residual = found.point, box.residual(found.point)
        is_wrong = box.line(residual) != line
        is_wrong[rows] = False
        here = box.iterate(point, residual, box.slopes(residual), found.gap)
        if is_wrong.any():
            here = here._replace(gap=found.gap + max(here.value - found.value, 0.0))
        yield here
        wrong = np.flatnonzero(is_wrong)
        if here.gap <= SOLVED * here.scale:
            return
        if len(wrong) > MANY * size or not wrong.size:
            size *= 2
    yield from interior_points(box, point)


def _solved(box: BoxProblem, start: NDArray, tol: float) -> Iterate:
    """Return the minimum, or the first point whose gap is at most tol."""
    for here in interior_points(box, start):
        if here.gap <= tol * here.scale:
            break
    return here
