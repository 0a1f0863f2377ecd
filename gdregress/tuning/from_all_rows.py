"""Fits to the training rows of all splits from the fit to all rows, for losses with kinks or straight lines and L2."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdregress.method.choice import NEWTON_LIMIT
from gdregress.method.minima import Chained, Path
from gdregress.method.spec import Spec
from gdregress.method.training_sets import TrainingSets
from gdregress.problem.boxes import BoxProblem
from gdregress.problem.design import Design
from gdregress.problem.problem import Problem
from gdregress.rows.folds import Split, SplittableRows
from gdregress.rows.memory import RowBlocks

ENTRIES = 2**21
"""Entries of an array with a column for each split, or of their second derivatives, at most: 16 MB."""


def begins_with_all_rows(spec: Spec, rows: SplittableRows, splits: Sequence[Split]) -> bool:
    """Return whether the minima over training sets are found from that over all rows.

    Parameters
    ----------
    spec : Spec
        The specification of the fits, which end at the minimum.
    rows : SplittableRows
        All rows.
    splits : sequence of (ndarray of int, ndarray of int)
        Training rows and test rows of each split.
    """
    terms = spec.terms
    is_known = terms.has_boxes and not spec.fits_scale
    fewest = min(len(train) for train, _ in splits)
    is_small = rows.n_features <= min(NEWTON_LIMIT, fewest - 1)
    return is_known and terms.is_ridge and is_small and rows.in_memory is not None


def paths_from_all_rows(
    spec: Spec,
    alphas: NDArray,
    rows: RowBlocks,
    splits: Sequence[Split],
    fit: Callable[[RowBlocks, float], Path],
) -> tuple[Path, list[Path]]:
    """Return the points fitted to all rows, and those fitted to the training rows of each split.

    Those of all rows are found from that of the last strength, and those of training rows from those of all rows.

    Parameters
    ----------
    spec : Spec
        The specification of the fits, for the strength 1.
    alphas : ndarray of shape (n_alphas,)
        The strengths.
    rows : RowBlocks
        All rows, with their moments.
    splits : sequence of (ndarray of int, ndarray of int)
        Training rows and test rows of each split.
    fit : callable
        Function that fits a point to rows, given a strength: that to all rows for the first strength, unless these are
        few, and those whose duality gap stays open.
    """
    terms = spec.terms
    problem = Problem.of(replace(terms, l2=0.0), rows.moments(), rows).with_penalty(0.0, terms.l2)
    coordinates, design = problem.coordinates, Design.of(problem, None)
    boxes = [BoxProblem.of(problem, design, output) for output in range(rows.n_outputs)]

    def fitted(some_rows: RowBlocks, alpha: float) -> NDArray:
        path = fit(some_rows, alpha)
        return coordinates.from_raw(*path.coordinates.to_raw(path.points[:, 0]))

    ones = [TrainingSets.of(box, np.ones((rows.n_weighted, 1)), np.ones((rows.n_features, 1))) for box in boxes]
    whole = np.zeros((problem.n_coordinates, len(alphas), rows.n_outputs))
    for place, alpha in enumerate(alphas.tolist()):
        is_found = place > 0 or ones[0].takes_all
        if is_found:
            last = whole[:, max(place - 1, 0)].T
            each = [one.minima(alpha, start) for one, start in zip(ones, last, strict=True)]
            whole[:, place], is_found = np.hstack([points for points, _ in each]), all(found[0] for _, found in each)
        if not is_found:
            whole[:, place] = fitted(rows, alpha)

    def of_group(some: Sequence[Split]) -> list[Path]:
        counts, units = _counts(rows, some), _units(terms, problem, rows, some)
        points, is_closed = np.empty((len(some), *whole.shape)), np.ones((len(some), len(alphas)), bool)
        with np.errstate(all="ignore"):  # that of the caller is not that of its threads
            for output, box in enumerate(boxes):
                sets = TrainingSets.of(box, counts, units)
                for place, alpha in enumerate(alphas.tolist()):
                    found, closed = sets.minima(alpha, whole[:, place, output])
                    points[:, :, place, output] = found.T
                    is_closed[:, place] &= closed
        for (train, _), path, closed in zip(some, points, is_closed, strict=True):
            training_rows = rows if closed.all() else rows.part(train).copied()
            for place in np.flatnonzero(~closed).tolist():
                path[:, place] = fitted(training_rows, float(alphas[place]))
        return [_raw(Path(coordinates, path)) for path in points]

    with rows.on_threads() as (n_threads, map_on_threads):
        of_groups = list(map_on_threads(of_group, _groups(rows, splits, n_threads)))
    return _raw(Path(coordinates, whole)), [path for paths in of_groups for path in paths]


def _raw(path: Path) -> Path:
    """Return a path in raw coordinates, in which no loss is out of range that is not so in units of y."""
    chained = Chained([path])
    return Path(chained.coordinates, chained.points)


def _groups(rows: RowBlocks, splits: Sequence[Split], n_threads: int) -> Iterator[Sequence[Split]]:
    """Yield the splits, as many at a time as have few entries, and a share for each thread."""
    size = min(ENTRIES // max(rows.n_samples, (rows.n_features + 1) ** 2), -(-len(splits) // n_threads))
    size = max(1, size)
    for first in range(0, len(splits), size):
        yield splits[first : first + size]


def _counts(rows: RowBlocks, splits: Sequence[Split]) -> NDArray:
    """Return how often each row of positive weight is in each training set."""
    counts = np.column_stack([np.bincount(train, minlength=rows.n_samples) for train, _ in splits]).astype(np.float64)
    return counts if rows.weight is None else counts[rows.weight > 0]


def _units(terms: Any, problem: Problem, rows: RowBlocks, splits: Sequence[Split]) -> NDArray:
    """Return the units of X in which coefficients are penalised in each training set, in those of all rows."""
    if not terms.standardize:
        return np.ones((rows.n_features, len(splits)))
    units = [terms.units(rows.part(train).moments(products=False)) for train, _ in splits]
    return np.column_stack(units) / np.reshape(problem.standard.penalized, (-1, 1))
