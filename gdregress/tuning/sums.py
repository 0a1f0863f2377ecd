"""What follows from the sums over the rows of each split, with no fit: minimisers, epochs, and errors on test rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gdregress.method.epochs import (
    EpochPath,
    FromFew,
    HeldOut,
    PlainDescent,
    Stretch,
    Times,
    held_out_errors,
    times_between,
)
from gdregress.method.left_out import LeftOut, WithoutRow
from gdregress.method.minima import Chained, Minima, MinimaOfSets, Path
from gdregress.method.ridge import MANY_COLUMNS
from gdregress.rows.folds import Fold, Folds, gather_folds
from gdregress.rows.moments import Moments
from gdregress.rows.rows import drawable
from gdregress.tuning.grid import Curve, as_array
from gdregress.tuning.of_splits import OfSplits
from gdregress.tuning.resampling import Resampling

STACKED = 2**20
"""Entries of the covariances of training sets whose eigenvectors are computed side by side: 8 MB."""

THREADED_POINTS = 10_000
"""Number of points of plain descents with a test of convergence from which arrays take longer than Python."""

OF_ALL_EPOCHS = ("exponential", "cosine")
"""Schedules that depend on the number of epochs."""

AnyPath = Path | EpochPath | WithoutRow | Chained
"""Points fitted to the same rows."""


class Fits(NamedTuple):
    """The fits along a curve to the training rows of each split, and what came with them.

    Attributes
    ----------
    paths : sequence of AnyPath
        The points fitted to the training rows of each split.
    losses : OfSplits or None
        Their losses on the test rows, of shape (n_splits, n_outputs, n_points); None if these rows have to be read.
    whole : AnyPath or None
        The points fitted to all rows, where these came with the others.
    failures : sequence of str
        Reasons of the fits that ended elsewhere than they were to.
    unfinished : (int, int) or None
        Number of a split, and of a strength, whose descent does not converge in the most epochs; None if all do.
    """

    paths: Sequence[AnyPath]
    losses: OfSplits | None
    whole: AnyPath | None = None
    failures: Sequence[str] = ()
    unfinished: tuple[int, int] | None = None


class PlainSpec(NamedTuple):
    """What plain descents at all rates have in common.

    Attributes
    ----------
    l2 : float
        Strength of L2, for the strength 1 of the penalty.
    numbers : ndarray of int64, of shape (n_points,)
        Numbers of epochs.
    factors : ndarray of shape (n_epochs,)
        Factors of the rate, up to the most epochs.
    largest : float
        The largest of them.
    tol : float
        Optimality at which a descent has converged; 0 for no such test.
    """

    l2: float
    numbers: NDArray
    factors: NDArray
    largest: float
    tol: float


@dataclass(frozen=True)
class Sums:
    """The sums over the rows of each split.

    Attributes
    ----------
    given : Resampling
        The model and the splits.
    """

    given: Resampling

    @cached_property
    def whole(self) -> Moments:
        """Moments of all rows."""
        if not self._leaves_one_out:
            return self._folds.whole
        with self.given.rows.on_threads(), np.errstate(all="ignore"):
            return drawable(self.given.rows).moments()

    def of_split(self, number: int) -> Fold:
        """Return the moments of the training rows and the test rows of a split."""
        return self._folds.folds[number]

    @cached_property
    def _folds(self) -> Folds:
        return gather_folds(self.given.rows, self.given.splits)

    @cached_property
    def _leaves_one_out(self) -> bool:
        """Whether each split tests one row, each row once, and all other rows are its training rows."""
        splits, n, rows = self.given.splits, self.given.rows.n_samples, self.given.rows.in_memory
        if len(splits) != n or rows is None or rows.n_weighted < n:
            return False
        is_one = all(len(test) == 1 and len(train) == n - 1 for train, test in splits)
        total = n * (n - 1) // 2
        return (
            is_one
            and len({int(test[0]) for _, test in splits}) == n
            and all(len(np.unique(train)) == n - 1 and train.sum() + test[0] == total for train, test in splits)
        )

    @cached_property
    def _minima_of_whole(self) -> MinimaOfSets:
        return MinimaOfSets([Minima.of(self.given.spec.terms, self.whole, self.given.spec.limits.tol)])

    @cached_property
    def _minima(self) -> list[MinimaOfSets]:
        """The minimisers over the training rows of each split and, last, over all rows: a part for each thread.

        Those of few columns are computed side by side.
        """
        spec, p = self.given.spec, self.given.rows.n_features
        trains = [Minima.of(spec.terms, fold.train, spec.limits.tol) for fold in self._folds.folds]
        several = [*trains, *self._minima_of_whole.sets]
        size = 1 if p >= MANY_COLUMNS else max(1, STACKED // max(1, p) ** 2)
        return [MinimaOfSets(several[first : first + size]) for first in range(0, len(several), size)]

    def path_of_whole(self, curve: Curve) -> Path | None:
        """Return the points of a curve fitted to all rows; None if these do not follow from the sums."""
        if not self.given.ends_at_minima(curve):
            return None
        with np.errstate(all="ignore"):
            paths = self._minima_of_whole.paths(self.given.spec_of(curve).terms, curve.alphas)
        return None if paths is None else paths[0]

    def fitted(self, curves: Sequence[Curve]) -> list[Fits | None]:
        """Return what the sums tell of some curves of the same epochs; None for one whose points they do not tell.

        Parameters
        ----------
        curves : sequence of Curve
            The curves.
        """
        found = [self._at_minima(curve) if self.given.ends_at_minima(curve) else None for curve in curves]
        others = [curve for curve, known in zip(curves, found, strict=True) if known is None]
        descended = iter(self._of_plain_descents(others) if others else [])
        return [next(descended) if known is None else known for known in found]

    def _at_minima(self, curve: Curve) -> Fits | None:
        """Return the minimisers along a curve and their losses; None if moments do not tell them."""
        if self._leaves_one_out:
            found = self._left_out(curve)
            if found is not None:
                return found
        terms = self.given.spec_of(curve).terms
        is_wide = self._is_wide and not terms.has_prox  # steps from set to set hold the interpreter's lock
        parts = self._each(lambda minima: minima.paths(terms, curve.alphas), self._minima, on_threads=is_wide)
        known = [paths for paths in parts if paths is not None]
        if len(known) < len(parts):
            return None
        *of_splits, whole = [path for paths in known for path in paths]
        return Fits(of_splits, self.losses(of_splits), whole)

    def losses(self, paths: Sequence[AnyPath]) -> OfSplits | None:
        """Return the losses on the test rows, of shape (n_splits, n_outputs, n_points); None if rounding shows in one.

        Parameters
        ----------
        paths : sequence of AnyPath
            Points fitted to the training rows of each split.
        """
        of_splits = self._each(
            lambda path, fold: path.errors(fold.test), paths, self._folds.folds, on_threads=self._is_wide
        )
        known = [each.T for each in of_splits if each is not None]
        return OfSplits.whole(np.stack(known)) if len(known) == len(paths) else None

    def _left_out(self, curve: Curve) -> Fits | None:
        """Return the minimisers without each row and the squared errors of these; None if moments do not tell them."""
        terms = self.given.spec_of(curve).terms
        if terms.has_prox or terms.standardize:  # the deviations are other ones without a row
            return None
        with self.given.rows.on_threads(), np.errstate(all="ignore"):
            every = LeftOut.of(self._minima_of_whole, drawable(self.given.rows), terms, curve.alphas)
            residuals = None if every is None else every.residuals
        if every is None or residuals is None:
            return None
        errors = np.square(residuals * every.coordinates.target_scale)
        tested = [int(test[0]) for _, test in self.given.splits]
        paths = [WithoutRow(every, row) for row in tested]
        return Fits(paths, OfSplits.whole(np.moveaxis(errors[tested], 1, 2)))

    def _of_plain_descents(self, curves: Sequence[Curve]) -> list[Fits | None]:
        """Return the points of plain descents in closed form and their errors; None where fits would not come to these.

        All rates of a split are computed side by side.
        """
        numbers = as_array(curves[0].epochs).astype(np.int64)
        specs = {
            ratio: self._plain_spec(curve, numbers) for ratio, curve in {each.l1_ratio: each for each in curves}.items()
        }
        if not any(specs.values()):
            return [None] * len(curves)
        times = times_between(numbers)  # the same of all rates and splits, unless `tol` ends the descents

        def times_of(some: NDArray) -> Times:
            return times if some is numbers else times_between(some)

        def of_split(number: int) -> list[tuple[EpochPath, list[FromFew | None]] | None]:
            descent_of = cache(partial(self._descent, number))  # once for all rates
            several = [_stretches(curve, specs[curve.l1_ratio], descent_of) for curve in curves]
            errors = iter(held_out_errors([one for some in several for one in some], times_of))
            return [
                (EpochPath([one for one, _ in some]), list(islice(errors, len(some)))) if some else None
                for some in several
            ]

        self._folds  # noqa: B018  gathered before the threads begin
        n_points = sum(curve.n_points for curve in curves) if self.given.spec.limits.tol else 0
        pays = self._is_wide or n_points >= THREADED_POINTS
        of_splits = self._each(of_split, range(len(self.given.splits)), on_threads=pays)
        return [_of_all_splits(of_curve) for of_curve in zip(*of_splits, strict=True)]

    def _plain_spec(self, curve: Curve, numbers: NDArray) -> PlainSpec | None:
        """Return what descents at all rates that are numbers have in common; None if they are not plain."""
        model, spec = self.given.model, self.given.spec_of(curve)
        schedule = spec.steps.schedule.known_ahead
        is_plain = model.optimizer in ("auto", "gd") and model.init == "zeros" and not spec.steps.average
        is_plain = is_plain and not spec.terms.has_prox and model.target_loss is None
        if schedule is None or not is_plain or model.schedule in OF_ALL_EPOCHS:
            return None
        factors = schedule.ahead(0, int(numbers.max()))
        return PlainSpec(spec.terms.l2, numbers, factors, float(factors.max()), spec.limits.tol)

    def _descent(self, number: int, l2: float) -> tuple[PlainDescent, HeldOut] | None:
        """Return the plain descent over the training rows of a split, and its error on the test rows."""
        fold = self.of_split(number)
        descent = PlainDescent.of(replace(self.given.spec.terms, l1=0.0, l2=l2), fold.train)
        return None if descent is None else (descent, HeldOut.of(descent, fold.test))

    @property
    def _is_wide(self) -> bool:
        """Whether there are columns enough for threads to pay off where matrices are factored."""
        return self.given.rows.n_features >= MANY_COLUMNS

    def _each(self, function: Callable[..., Any], *several: Sequence[Any], on_threads: bool) -> list[Any]:
        """Return what a function finds for each split, perhaps on threads; overflow shows as infinity."""
        with self.given.rows.on_threads() as (_, map_on_threads):
            return list((map_on_threads if on_threads else map)(np.errstate(all="ignore")(function), *several))


def _stretches(
    curve: Curve, spec: PlainSpec | None, descent_of: Callable[[float], tuple[PlainDescent, HeldOut] | None]
) -> list[tuple[Stretch, HeldOut]]:
    """Return the descents of a split along a curve, one for each strength, with their errors; none if not plain."""
    if spec is None or (isinstance(curve.learning_rate, str) and curve.learning_rate != "lipschitz"):
        return []
    stretches = []
    for alpha in curve.alphas.tolist():
        found = descent_of(alpha * spec.l2)
        rate = None if found is None else found[0].rate(curve.learning_rate, spec.largest)
        if found is None or rate is None:
            return []
        descent, held_out = found
        end = descent.end(rate * spec.factors, spec.tol) if spec.tol else None
        numbers = spec.numbers if end is None else np.minimum(spec.numbers, end)
        is_finished = end is not None or not spec.tol
        stretches.append((Stretch(descent, rate, spec.factors, numbers, is_finished), held_out))
    return stretches


def _of_all_splits(several: Sequence[tuple[EpochPath, list[FromFew | None]] | None]) -> Fits | None:
    """Return what the sums tell of a curve, given this for each split; None if they do not tell it for one."""
    told = [each for each in several if each is not None]
    if len(told) < len(several):
        return None
    known = [[part for part in parts if part is not None] for _, parts in told]
    is_known = all(len(some) == len(parts) for some, (_, parts) in zip(known, told, strict=True))
    paths = [path for path, _ in told]
    ends = [(number, place) for number, path in enumerate(paths) for place in path.unfinished]
    return Fits(paths, OfSplits.stacked(known) if is_known else None, unfinished=ends[0] if ends else None)
