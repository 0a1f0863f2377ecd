"""Tall data and losses with kinks: an interior point method on the rows near a kink, with the others as means."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gdregress.method.interior_point import NO_NEARER, interior_points
from gdregress.method.states import Block, Points, Solver
from gdregress.problem.boxes import ORDINARY, WINSORISED, BoxProblem, Iterate
from gdregress.problem.coordinates import Coordinates
from gdregress.problem.design import Design
from gdregress.problem.near import Nearness, NearRows
from gdregress.problem.objectives import Residuals
from gdregress.problem.problem import Gap, Problem
from gdregress.problem.view import View
from gdregress.rows.rows import Rows

ROUGH = 1e-3
"""Gap, as a share of the scale, to which the sample is solved."""

SOLVED = 1e-12
"""Gap, as a share of the scale, at which the minimum is found."""

FIRST = 40
"""Rows for each coefficient that are near at first, from a start that is not zero."""

SHARE = 0.25
"""Largest share of the rows that may be near at first where all rows at once are the other way."""

MOST_ENTRIES = 2**24
"""Entries of the rows that are brought, at most: 128 MB."""

NARROWER = 0.1
"""Share of the gap to which a round should narrow it: else more rows count as near."""

IDLE = 4
"""Number of consecutive rounds that do not narrow the gap after which another solver takes over."""


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
    """

    point: NDArray
    value: float
    gap: float
    scale: float


@dataclass(frozen=True)
class WorkingRows:
    """Preprocessing (Portnoy and Koenker, 1997): few rows decide where the minimum is.

    ::

        w = minimum of a sample of m = (n p)^(2/3) rows;    of a start that is not zero, w is that, and m = 40 p
        L = 0
        repeat
            N, means, F(w) <- one pass:  the rows within d of a kink, and means of the others on each line of the loss
            gap = F(w) - L
            w, L <- minimum over N and the means, and the dual objective there
            d <- max(2 d, distance of the m nearest rows of N)    where the gap is not a tenth of the last one
        until the gap is closed

    The loss of a mean is at most the mean loss (Jensen), so that L is nowhere above the least F. Where no row has
    changed to another line the two are equal, and the minimum is exact, whatever the sample was. At first, d is so
    large that m rows are near. An epoch is one round, with one pass. Rows are only summed, wherever they are stored.
    Where m is more than a share of the rows, another solver is faster.

    Attributes
    ----------
    basis : ndarray of shape (n_features, rank) or None
        Columns that make the rows of X orthonormal, for columns that are nearly collinear; None for none.
    otherwise : Solver
        What takes over where the near rows are too many, where most rows of the sample have no loss, or where the gap
        does not close.
    tol : float
        Share of its scale up to which the gap may stay open.
    share : float
        The largest m, as a share of the rows.
    """

    basis: NDArray | None
    otherwise: Solver
    tol: float
    share: float
    goes_below_tol = True
    limit = NO_NEARER

    def iterates(self, problem: Problem, start: NDArray, epoch: int = 0) -> Iterator[Block]:
        """Yield the states in blocks of one, the start first; end where the gap is closed."""
        is_zero, n = not start[: len(problem.penalty.l2)].any(), problem.rows.n_weighted
        size = sample_size(n, len(start)) if is_zero else FIRST * len(start)
        if size > self.share * n:
            yield from self.otherwise.iterates(problem, start, epoch)
            return
        columns = np.hsplit(start.astype(np.float64), start.shape[1])
        ones = [OneOutput(problem, output, self.basis, size) for output in range(len(columns))]
        descents = [_descend(one, column, is_zero=is_zero) for one, column in zip(ones, columns, strict=True)]
        latest, rate = [next(descent) for descent in descents], np.nan
        while True:
            yield _block(latest, rate)
            further = [next(descent, None) for descent in descents]
            if not any(further):
                break
            latest, rate = [new or old for new, old in zip(further, latest, strict=True)], 1.0
            epoch += 1
        if max(each.gap / each.scale for each in latest) > max(self.tol, SOLVED):
            blocks = self.otherwise.iterates(problem, np.hstack([each.point for each in latest]), epoch)
            first = next(blocks)
            if len(first) > 1:
                yield first.between(1, len(first))
            yield from blocks


def sample_size(n_samples: int, rank: int) -> int:
    """Return m, the number of rows in a sample, for so many coefficients with the intercept."""
    return int((n_samples * rank) ** (2 / 3))


def pays(n_samples: int, rank: int) -> bool:
    """Return whether there are so many rows that a few of them are much faster, at least from a near start."""
    return FIRST * rank <= SHARE * n_samples


def _block(latest: list[Round], rate: float) -> Block:
    value, gap, scale = (np.array(part) for part in list(zip(*latest, strict=True))[1:])
    point = np.hstack([each.point for each in latest])
    gaps, is_finite = gap[np.newaxis], np.array([np.isfinite(point).all() and np.isfinite(value).all()])
    return Block(
        np.array([rate]),
        value[np.newaxis],
        Gap(gaps, np.zeros_like(gaps), gaps),
        np.array([(gap / scale).max()]),
        is_finite,
        Points.of([point]),
    )


class Sample(NamedTuple):
    """What a sample of the rows tells.

    Attributes
    ----------
    point : ndarray of shape (n_coordinates, 1)
        Its minimum, roughly.
    scale : float
        What its gap is a share of.
    cut : float
        Loss at which those of wild rows are cut off.
    distance : float
        Distance from a kink at that point up to which a round brings as many rows as the sample has.
    """

    point: NDArray
    scale: float
    cut: float
    distance: float


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
    size : int
        m.
    """

    problem: Problem
    output: int
    basis: NDArray | None
    size: int

    @cached_property
    def rows(self) -> Rows:
        """The rows with this target, in the coordinates."""
        return self.problem.view.scaled.with_targets(lambda y: y[:, self.output : self.output + 1])

    @cached_property
    def loss(self) -> Any:
        """The loss of residuals in the coordinates."""
        return self.problem.terms.loss.in_units(float(self.problem.coordinates.target_scale[self.output]))

    @property
    def most(self) -> int:
        """Largest number of rows that are brought."""
        return MOST_ENTRIES // (self.problem.n_coordinates + 2)

    def look(self, point: NDArray, nearness: Nearness) -> NearRows:
        """Return what one pass brings: see `NearRows`."""
        residuals = Residuals(self.problem.coordinates, point)
        return self.rows.sum(partial(NearRows, residuals, self.loss, nearness)).joined()

    def sampled(self, start: NDArray, *, is_zero: bool) -> Sample | None:
        """Return what m rows tell; None if four fifths of them have no loss, so that an ordinary one is not known."""
        n = self.rows.n_weighted
        seen = self.look(start, Nearness(np.inf, self.most, np.inf, step=max(1, n // self.size)))
        if not seen.near.size:
            return None
        box = restricted(self.problem, seen, self.output, self.basis)
        y, point = seen.near[:, -2], box.of_point(start[:, 0])
        if not np.quantile(self.loss.value(y - box.level), ORDINARY) > 0:
            return None
        residual = box.residual(point)
        found = _solved(box, point, ROUGH) if is_zero else box.iterate(point, residual, box.slopes(residual), 0.0)
        least = box.to_point(found.point)[:, np.newaxis]
        cut = WINSORISED * float(np.quantile(self.loss.value(y - seen.near[:, :-2] @ least[:, 0]), ORDINARY))
        few = len(y) * self.size // n
        return Sample(least, found.scale * box.unit, cut, self.distance(seen, least, few) if n > self.size else np.inf)

    def distance(self, seen: NearRows, point: NDArray, size: int) -> float:
        """Return how far from a kink so many of the rows are, of those that a look has brought."""
        residual = seen.near[:, -2] - seen.near[:, :-2] @ point[:, 0]
        distance = np.sort(np.abs(np.abs(residual) - self.loss.tube))
        return float(distance[min(size, len(distance) - 1)])

    def minimum(self, seen: NearRows, point: NDArray) -> tuple[NDArray, float]:
        """Return the minimum over the rows and the means that a look has brought, and the dual objective there."""
        box = restricted(self.problem, seen, self.output, self.basis)
        found = _solved(box, box.of_point(point[:, 0]), 0.0)
        return box.to_point(found.point)[:, np.newaxis], (found.value - found.gap) * box.unit

    def measured(self, seen: NearRows, point: NDArray, bound: float, least_scale: float) -> Round:
        """Return a point with its objective, given a bound on the least one."""
        of_penalty = float(self.problem.penalty.of_output(self.output).value(point)[0])
        value, scale = (float(sums[0]) / self.rows.total_weight + of_penalty for sums in (seen.losses, seen.clipped))
        return Round(point, value, max(value - bound, 0.0), max(scale, least_scale) or 1.0)


def _descend(one: OneOutput, start: NDArray, *, is_zero: bool) -> Iterator[Round]:
    """Yield the start, then a point for each round, until the gap is closed or no longer narrows."""
    sample = one.sampled(start, is_zero=is_zero)
    if sample is None:
        yield one.measured(one.look(start, Nearness(-1.0, 0, np.inf)), start, 0.0, 0.0)
        return
    _, scale, cut, distance = sample
    here = best = one.measured(one.look(start, Nearness(-1.0, 0, cut)), start, 0.0, scale)
    yield here
    point, bound, idle = sample.point, 0.0, 0
    while idle < IDLE:
        seen = one.look(point, Nearness(distance, one.most, cut))
        last, here = here, one.measured(seen, point, bound, scale)
        yield here
        if here.gap <= SOLVED * here.scale or seen.count[0] > one.most:
            break
        idle = 0 if here.value < best.value else idle + 1
        best = min(best, here, key=lambda each: each.value)
        point, lower = one.minimum(seen, point)
        bound = max(bound, lower)
        if here.gap > NARROWER * last.gap:
            distance = max(2.0 * distance, one.distance(seen, point, one.size))
        del seen  # before the next look brings as many rows
    if best.value < here.value:
        yield best._replace(gap=max(best.value - bound, 0.0))


def restricted(problem: Problem, seen: NearRows, output: int, basis: NDArray | None) -> BoxProblem:
    """Return the problem over the rows that a look has brought."""
    rows = seen.rows(len(problem.constant_loss))
    plain = replace(Coordinates.plain(rows.n_features, rows.n_outputs, fit_intercept=False), is_raw=False)
    design = Design.of(replace(problem, view=View(rows, problem.moments, plain)), basis)
    return BoxProblem.of(problem, design, output)


def _solved(box: BoxProblem, start: NDArray, tol: float) -> Iterate:
    """Return the minimum, or the first point whose gap is at most tol."""
    for here in interior_points(box, start):
        if here.gap <= tol * here.scale:
            break
    return here
