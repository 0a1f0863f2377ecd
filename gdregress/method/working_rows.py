"""Tall data and losses with kinks: an interior point method on the rows near a kink, with the others as means."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain, islice
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from gdregress.method.interior_point import NO_NEARER, State, interior_points
from gdregress.method.states import Block, Solver, abreast, is_zero
from gdregress.problem.boxes import ROUNDED, BoxProblem, Iterate
from gdregress.problem.coordinates import Coordinates
from gdregress.problem.design import Design
from gdregress.problem.near import Nearness, NearRows
from gdregress.problem.problem import Problem
from gdregress.problem.residuals import Residuals
from gdregress.problem.typical import ORDINARY, cut_off, quantile
from gdregress.problem.view import View
from gdregress.rows.rows import Rows

ROUGH = 1e-3
"""Gap, as a share of the scale, to which the sample is solved, and that shows a start to be near."""

PATIENCE = 15
"""Number of points within which that gap is reached from a state near the start, or else a round begins anew."""

SOLVED = 1e-12
"""Gap, as a share of the scale, at which the minimum is found."""

ROWS_EACH = 40
"""Rows for each coefficient that are near at first, from a start that is not zero."""

BROUGHT_SHARE = 0.25
"""Largest share of the rows that may be brought, all of them in memory, with which this is worth a try."""

PARTS = 2
"""Number of parts of the rows of which one may be near: rounds with more cost as much as epochs over all rows."""

BROUGHT_ENTRIES = 2**26
"""Entries of the rows that are brought from elsewhere, at most: 512 MB."""

LEFT = 2.0
"""Multiple of the gap that is left over the near rows, and of rounding, below which more rows narrow it no further."""

NARROWER = 0.1
"""Share of the gap to which a round should narrow it: else more rows count as near."""

WIDER = 1.0 + 1e-6
"""Factor on a distance, so that rows at that distance count as near however their residuals are rounded."""

IDLE = 4
"""Number of consecutive rounds that bring F and its bound no nearer to each other: then another solver takes over."""

ROUNDING_UNITS = 8.0
"""Rounding error of F, in units of the precision, of the mean loss and of the mean slope times prediction."""


class Round(NamedTuple):
    """A point of one output.

    Attributes
    ----------
    point : ndarray of shape (n_coordinates, 1)
        The point.
    value, gap : float
        The objective F there, and how far it is above a lower bound of the least F.
    scale : float
        What the gap is a share of: see `gdregress.problem.boxes.Iterate`.
    rounding : float
        Part of the gap that is owed to the rounding of F.
    """

    point: NDArray
    value: float
    gap: float
    scale: float
    rounding: float

    def above(self, bound: float) -> "Round":
        """Return the same point with the gap to a lower bound of the least F."""
        return self._replace(gap=max(self.value - bound, 0.0) + self.rounding)

    @property
    def optimality(self) -> float:
        """The gap as a share of its scale; 0 where there is none."""
        if self.gap == 0:
            return 0.0
        return self.gap / self.scale if self.scale > 0 else np.inf


@dataclass(frozen=True)
class WorkingRows:
    """Preprocessing (Portnoy and Koenker, 1997): few rows decide where the minimum is.

    ::

        w = minimum of a sample of m = (n p)^(2/3) rows;    of a start that is not zero, w is that, and m = 40 p
        N, means, F(w) <- a pass:  the rows within d of a kink, and means of the others on each line of the loss
        repeat
            w, L <- minimum over N and the means, and the dual objective there
            N, means, F(w) <- a pass
            gap = F(w) - L
            d <- max(2 d, distance of the m nearest rows of N)    where the gap is not a tenth of the last one
        until the gap is closed

    The loss of a mean is at most the mean loss (Jensen), so that L is nowhere above the least F. Where no row has
    changed to another line the two are equal, and the minimum is exact, whatever the sample was. At first, d is so
    large that m rows are near. Rows are only summed, wherever they are stored. Another solver takes over where these
    rows are too many, where most rows of the sample have no loss, so that an ordinary one is not known, or where the
    gap does not close.

    Attributes
    ----------
    basis : ndarray of shape (n_features, rank) or None
        Columns that make the rows of X orthonormal, for columns that are nearly collinear; None for none.
    otherwise : Solver
        The other solver.
    tol : float
        Share of its scale up to which the gap may stay open.
    first, most : int
        Largest numbers of rows that are brought, for the sample and later.
    """

    basis: NDArray | None
    otherwise: Solver
    tol: float
    first: int
    most: int
    goes_below_tol = True
    limit = NO_NEARER

    @classmethod
    def of_memory(cls, basis: NDArray | None, otherwise: Solver, tol: float, n_samples: int) -> Self:
        """Return the solver for so many rows in memory."""
        return cls(basis, otherwise, tol, int(BROUGHT_SHARE * n_samples), n_samples // PARTS)

    @classmethod
    def from_elsewhere(cls, basis: NDArray | None, otherwise: Solver, tol: float, rank: int) -> Self:
        """Return the solver for rows that are brought from elsewhere, for so many coefficients with the intercept."""
        most = BROUGHT_ENTRIES // (rank + 2)
        return cls(basis, otherwise, tol, int(BROUGHT_SHARE * most), most)

    def takes_sample(self, n_samples: int, rank: int) -> bool:
        """Return whether a sample of so many rows can be brought, so that a start of zero will do."""
        return sample_size(n_samples, rank) <= self.first

    def takes_near_start(self, rank: int) -> bool:
        """Return whether the rows near a kink can be brought, so that a start near the minimum will do."""
        return ROWS_EACH * rank <= self.first

    def iterates(self, problem: Problem, start: NDArray, epoch: int = 0) -> Iterator[Block]:
        """Yield the states in blocks of one, the start first; end where the gap is closed."""
        columns = np.hsplit(start.astype(np.float64), start.shape[1])
        is_near = not is_zero(problem, start)
        size = ROWS_EACH * len(start) if is_near else sample_size(problem.rows.n_weighted, len(start))
        begun = begin(problem, columns, self.basis, size, self.most, is_near=is_near) if size <= self.first else []
        if not begun:
            yield from self._otherwise(problem, start, epoch)
            return
        values = problem.from_rows().values([start.astype(np.float64)])[0]
        for number, block in enumerate(rounds(begun, columns, values), start=epoch):  # noqa: B007
            yield block
        if block.optimality[0] > max(self.tol, SOLVED):
            blocks = self._otherwise(problem, block.points.at(0), number)
            first = next(blocks)
            if first.optimality[0] < block.optimality[0]:
                yield first
            yield from blocks

    def _otherwise(self, problem: Problem, start: NDArray, epoch: int) -> Iterator[Block]:
        """Yield the states of the other solver one by one, the start first, until it has converged."""
        for block in self.otherwise.iterates(problem, start, epoch):
            for number in range(len(block)):
                yield block.between(number, number + 1)
                if block.optimality[number] <= self.tol and not self.otherwise.goes_below_tol:
                    return


def sample_size(n_samples: int, rank: int) -> int:
    """Return m, the number of rows in a sample, for so many coefficients with the intercept."""
    return int((n_samples * rank) ** (2 / 3))


def pays(n_samples: int, rank: int) -> bool:
    """Return whether there are so many rows that a few of them are much faster, at least from a near start."""
    return ROWS_EACH * rank <= BROUGHT_SHARE * n_samples


def _block(latest: list[Round], rate: float | None) -> Block:
    point = np.hstack([each.point for each in latest])
    value, gap = (np.array([getattr(each, name) for each in latest]) for name in ("value", "gap"))
    return Block.bounded(point, value, gap, max(each.optimality for each in latest), rate)


class Sample(NamedTuple):
    """What a sample of the rows tells.

    Attributes
    ----------
    point : ndarray of shape (n_coordinates, 1)
        Where the rounds begin.
    cut : float
        Loss at which those of wild rows are cut off.
    distance : float
        Distance from a kink at that point up to which a pass brings as many rows as the sample has.
    """

    point: NDArray
    cut: float
    distance: float


class Minimum(NamedTuple):
    """The minimum over near rows and means.

    Attributes
    ----------
    point : ndarray of shape (n_coordinates, 1)
        The point.
    bound, gap : float
        The dual objective there, and how far the objective is above it.
    """

    point: NDArray
    bound: float
    gap: float


@dataclass(frozen=True)
class OneOutput:
    """One output of a problem, over rows that are only summed.

    Attributes
    ----------
    problem : Problem
        The problem.
    output : int
        Number of the output.
    basis : ndarray of shape (n_features, rank) or None
        See `WorkingRows`.
    size, most : int
        m, and the largest number of rows that are brought.
    """

    problem: Problem
    output: int
    basis: NDArray | None
    size: int
    most: int

    @cached_property
    def rows(self) -> Rows:
        """The rows with this target, in the coordinates."""
        return self.problem.view.scaled.with_targets(lambda y: y[:, self.output : self.output + 1])

    @cached_property
    def loss(self) -> Any:
        """The loss of residuals in the coordinates."""
        return self.problem.terms.loss.in_units(float(self.problem.coordinates.target_scale[self.output]))

    def look(self, point: NDArray, nearness: Nearness) -> NearRows:
        """Return what one pass brings: see `NearRows`."""
        residuals = Residuals(self.problem.coordinates, point)
        return self.rows.sum(partial(NearRows, residuals, self.loss, nearness)).joined()

    def sampled(self, start: NDArray, *, is_near: bool) -> Sample | None:
        """Return what m rows tell; None if four fifths of them have no loss, so that an ordinary one is not known."""
        n = self.rows.n_weighted
        seen = self.look(start, Nearness(np.inf, self.most, np.inf, step=max(1, n // self.size)))
        if not len(seen.near):
            return None
        box = restricted(self.problem, seen, self.output, self.basis)
        X, y = seen.near[:, :-2], seen.near[:, -2]
        if not quantile(self.loss.value(y - box.level), ORDINARY) > 0:
            return None
        point = start
        if not is_near:
            with box.design.rows.on_threads():
                points = interior_points(box, box.of_point(start[:, 0]))
                point = box.to_point(_last(points, ROUGH).point)[:, np.newaxis]
        cut = cut_off(self.loss.value(y - X @ point[:, 0]))
        few = len(y) * self.size // n
        distance = self.distance(seen, point, few) if n > self.size else np.inf
        return Sample(point, cut, distance)

    def distance(self, seen: NearRows, point: NDArray, size: int) -> float:
        """Return how far from a kink so many of the rows are, of those that a look has brought; 0 of none."""
        if not len(seen.near):
            return 0.0
        residual = seen.near[:, -2] - seen.near[:, :-2] @ point[:, 0]
        distance = np.sort(np.abs(np.abs(residual) - self.loss.tube))
        return WIDER * float(distance[min(size, len(distance) - 1)]) + SOLVED * float(np.abs(seen.near[:, -2]).max())

    def minimum(self, seen: NearRows, point: NDArray) -> Minimum:
        """Return the minimum over the rows and the means that a look has brought."""
        box = restricted(self.problem, seen, self.output, self.basis)
        start = box.of_point(point[:, 0])
        with box.design.rows.on_threads():  # those of the problem may have no passes here
            points = interior_points(box, start, partial(State.near, point=start))
            here = _last(islice(points, PATIENCE), ROUGH)
            if here.gap > ROUGH * here.scale:  # the start is far from it
                points = interior_points(box, start)
            found = _last(chain([here], points), 0.0)
        gap = found.gap * box.unit
        return Minimum(box.to_point(found.point)[:, np.newaxis], found.value * box.unit - gap, gap)

    def measured(self, seen: NearRows, point: NDArray, bound: float) -> Round:
        """Return a point with its objective, given a bound on the least one."""
        sums = (seen.losses, seen.clipped, seen.predicted)
        loss, clipped, predicted = (float(each[0]) / self.rows.total_weight for each in sums)
        pull = max(-self.loss.low, self.loss.high) * predicted
        of_penalty = float(self.problem.penalty.of_output(self.output).value(point)[0])
        rounding = ROUNDING_UNITS * float(np.finfo(self.rows.place.precision).eps) * (loss + pull)
        scale = max(clipped + of_penalty, ROUNDED[1] * pull)
        return Round(point, loss + of_penalty, np.inf, scale, rounding).above(bound)


def begin(
    problem: Problem, columns: list[NDArray], basis: NDArray | None, size: int, most: int, *, is_near: bool
) -> list[tuple[OneOutput, Sample]]:
    """Return the outputs, with what samples of so many rows tell of each; none where a sample does not serve."""
    begun = []
    for output, column in enumerate(columns):
        one = OneOutput(problem, output, basis, size, most)
        sample = one.sampled(column, is_near=is_near)
        if sample is None:
            return []
        begun.append((one, sample))
    return begun


def rounds(begun: list[tuple[OneOutput, Sample]], columns: list[NDArray], values: NDArray) -> Iterator[Block]:
    """Yield a block for the start and each round of all outputs, until none has another; F and the gap never rise."""
    start = [Round(column, value, value, value, 0.0) for column, value in zip(columns, values.tolist(), strict=True)]
    descents = [_descend(one, first, sample) for (one, sample), first in zip(begun, start, strict=True)]
    for number, latest in enumerate(abreast(start, descents)):
        yield _block(latest, 1.0 if number else None)


def _descend(one: OneOutput, start: Round, sample: Sample) -> Iterator[Round]:
    """Yield the best point up to each round, with the best bound, until the gap is closed or no longer narrows."""
    point, cut, distance = sample
    seen = one.look(point, Nearness(distance, one.most, cut))
    here = one.measured(seen, point, 0.0)
    has_moved = not np.array_equal(point, start.point)  # where it has not, the two values differ by rounding
    if has_moved and start.value < here.value:  # the sample is unlike the other rows
        point, distance = start.point, max(distance, one.distance(seen, start.point, one.size))
        seen = one.look(point, Nearness(distance, one.most, cut))
        here = one.measured(seen, point, 0.0)
    best, bound, idle, is_narrower = here, 0.0, 0, True
    narrowest = best.value
    while idle < IDLE and seen.count[0] <= one.most:
        point, lower, left = one.minimum(seen, point)
        if not is_narrower:
            distance = max(2.0 * distance, one.distance(seen, point, one.size))
        del seen  # before the next look brings as many rows
        bound, last = max(bound, lower), here
        seen = one.look(point, Nearness(distance, one.most, cut))
        here = one.measured(seen, point, bound)
        is_narrower, best = here.gap <= NARROWER * last.gap, min(best, here, key=lambda each: each.value)
        yield best.above(bound)
        if here.gap <= max(SOLVED * here.scale, LEFT * (left + here.rounding)):
            return
        idle = 0 if best.value - bound < narrowest else idle + 1
        narrowest = min(narrowest, best.value - bound)


def restricted(problem: Problem, seen: NearRows, output: int, basis: NDArray | None) -> BoxProblem:
    """Return the problem over the rows that a look has brought."""
    rows = seen.rows(len(problem.constant_loss))
    plain = Coordinates.identity(rows.n_features, rows.n_outputs)
    moments = replace(problem.moments, cross=None)  # the products are those of all rows
    design = Design.of(replace(problem, view=View(rows, moments, plain)), basis)
    return BoxProblem.of(problem, design, output)


def _last(points: Iterator[Iterate], tol: float) -> Iterate:
    """Return the last point, or the first whose gap is at most tol."""
    for here in points:
        if here.gap <= tol * here.scale:
            break
    return here
