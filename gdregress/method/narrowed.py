"""Many rows and losses with kinks: an interior point method on all rows, which ends on those near a kink."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from gdregress.method.interior_point import NO_NEARER, InteriorPoint
from gdregress.method.states import Block
from gdregress.method.working_rows import PARTS, SOLVED, begin, rounds
from gdregress.problem.problem import Problem

SIDES_SETTLED = 0.2
"""Optimality from which few rows change sides any more."""

PART = 7
"""Number of parts of the rows of which one, that nearest a kink, is near at first."""

FEWEST_ROWS, FEWEST_A_COEFFICIENT = 3000, 32
"""Numbers of rows, in all and for each coefficient, from which an epoch of all rows costs several of a part of them."""


@dataclass(frozen=True)
class Narrowed:
    """An interior point method that narrows the rows: fewer and fewer decide where the minimum is.

    ::

        w <- epochs over all n rows                      until the gap is a fifth of its scale
        w <- rounds of `WorkingRows` from w              with the n / 7 rows nearest a kink at first
        w <- the best of that and of further epochs      where a round raises F or needs more than half of the rows

    At a point of the interior with slopes u, a row's distance from the end of its box times its residual is mu. Steps
    change residuals by a few mu, so that rows whose slopes are next to an end stay where they are: they count as sums.
    Leaving rows out of the steps is due to Tits, Absil and Woessner (2006), and the sums, with which the gap is that of
    all rows, to Portnoy and Koenker (1997). The further epochs go on from the interior point at which the rounds began.
    From the best round, with slopes that suit it, they are more.

    Attributes
    ----------
    whole : InteriorPoint
        The method.
    tol : float
        Share of its scale up to which the gap may stay open.
    """

    whole: InteriorPoint
    tol: float
    goes_below_tol = True
    limit = NO_NEARER

    def iterates(self, problem: Problem, start: NDArray, epoch: int = 0) -> Iterator[Block]:
        """Yield the states in blocks of one, the start first; end where the gap is closed."""
        epochs, n = self.whole.iterates(problem, start, epoch), problem.rows.n_weighted
        closed = max(self.tol, SOLVED)
        for last in epochs:
            yield last
            if last.optimality[-1] <= SIDES_SETTLED:
                break
        columns, values = np.hsplit(last.points.at(-1).astype(np.float64), start.shape[1]), last.value[-1]
        if begun := begin(problem, columns, self.whole.basis, n // PART, n // PARTS, is_near=True):
            for block in islice(rounds(begun, columns, values), 1, None):
                has_moved = not np.array_equal(block.points.at(0), last.points.at(-1))
                if not has_moved and block.optimality[0] > closed:
                    break  # the near rows leave so much open that their minimum is far off
                yield block
                last = block
        if last.optimality[-1] > closed:
            for block in epochs:
                last = min(last, block, key=lambda each: each.optimality[-1])
                yield last


def narrows(n_samples: int, rank: int) -> bool:
    """Return whether there are so many rows that to leave some out is faster."""
    return n_samples >= max(FEWEST_ROWS, FEWEST_A_COEFFICIENT * rank)
