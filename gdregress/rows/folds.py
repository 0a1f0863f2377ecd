"""Cross-validation from moments: those of every training set and every test set, for about one pass over X.

Rows are cut into cells. The rows of a cell belong to the same training sets and test sets, so that each of these sets
is a union of cells. One pass gathers the moments of each cell, and those of all unions follow from these (`united`).
No sums are subtracted, so none cancel. K folds have K cells, and the splits of a time series K + 1. Splits with too
many cells in common, such as random ones, are gathered in groups, each in a pass.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gdregress.rows.memory import RowBlocks
from gdregress.rows.moments import Moments
from gdregress.rows.unions import united

ROWS_OF_A_MERGE = 32
"""Number of rows whose products cost as much as the merge of two moments."""

CELL_ENTRIES = 2**22
"""Largest number of products, over all cells, of a group whose splits have more cells than folds have: 32 MB."""

MOST_LABELS = 2**16
"""Number of labels of cells from which those that occur are numbered anew, which takes a look at each row."""

Split = tuple[NDArray, NDArray]
"""Indices of the training rows and of the test rows; a row that is there twice counts twice."""


class SplittableRows(Protocol):
    """Rows that are told apart by their numbers: in memory (`RowBlocks`), or with X elsewhere.

    X is on Dask's workers (`NumberedRows`), or on a device (`NumberedDeviceRows`).

    Attributes
    ----------
    X : array, CSR matrix, dask array or array of a device, of shape (n_samples, n_features)
        Features.
    y : ndarray of shape (n_samples, n_outputs)
        Targets.
    weight : ndarray of shape (n_samples,) or None
        Weights; None for weights of 1.
    columns : ndarray of str of shape (n_features,) or None
        Names of the columns.
    n_samples, n_features, n_outputs : int
        Number of rows, and of columns of X and of y.
    dtype : dtype
        Floating type of X.
    in_memory : RowBlocks or None
        The rows themselves if they are in memory, where single ones can be read; else None.
    """

    X: Any
    y: NDArray
    weight: NDArray | None
    columns: NDArray | None
    n_samples: int
    n_features: int
    n_outputs: int
    dtype: np.dtype

    @property
    def in_memory(self) -> RowBlocks | None: ...  # noqa: D102

    def on_threads(self) -> AbstractContextManager[tuple[int, Callable[..., Any]]]:
        """Return a context in which all passes share one set of threads, with their number and their `map`."""
        ...

    def moments_of_parts(self, parts: Sequence[NDArray | slice]) -> list[Moments | None]:
        """Return the moments of some parts of the rows; None for one without a row of positive weight."""
        ...

    def part(self, chosen: NDArray | slice) -> Any:
        """Return some of the rows, if they are in memory."""
        ...

    def known_by(self, chosen: NDArray | slice, moments: Moments) -> Any:
        """Return some of the rows with their moments, or as these alone."""
        ...


class Fold(NamedTuple):
    """The moments of a split.

    Attributes
    ----------
    train : Moments
        Moments of the training rows.
    test : Moments
        Moments of the test rows.
    """

    train: Moments
    test: Moments


class Folds(NamedTuple):
    """The moments of all splits.

    Attributes
    ----------
    folds : list of Fold
        Moments of each split, in their order.
    whole : Moments
        Moments of all rows.
    """

    folds: list[Fold]
    whole: Moments


def gather_folds(rows: SplittableRows, splits: Sequence[Split]) -> Folds:
    """Gather the moments of the training rows and the test rows of each split.

    Parameters
    ----------
    rows : SplittableRows
        All rows.
    splits : sequence of (ndarray of int, ndarray of int)
        Indices of training rows and of test rows, neither of which are empty: see `check_not_empty`.

    Returns
    -------
    Folds

    Raises
    ------
    ValueError
        If X contains NaN or infinity.
    """
    folds: list[Fold] = []
    with rows.on_threads(), np.errstate(all="ignore"):
        for group in _groups(rows, splits):
            sets = [each for split in group.counts for each in split]
            if not folds:
                sets.append(np.ones_like(sets[0]))
            found = _unions(rows, group, np.array(sets))
            if not folds:
                whole = found.pop()
            folds += map(Fold, found[::2], found[1::2])
    return Folds(folds, whole)


def check_not_empty(rows: SplittableRows, splits: Sequence[Split]) -> None:
    """Raise a ValueError if a split has no training rows or no test rows of positive weight."""
    if not splits:
        raise ValueError("cv yields no split: give a splitter that yields at least one.")
    for number, split in enumerate(splits):
        for name, chosen in zip(("training", "test"), split, strict=True):
            if not len(chosen) or (rows.weight is not None and not rows.weight[chosen].any()):
                remedy = (
                    "give each split both" if rows.weight is None else "shuffle the rows, or drop those of weight zero"
                )
                raise ValueError(f"split {number} of cv has no {name} rows of positive weight: {remedy}.")


@dataclass(frozen=True)
class Cells:
    """The cells of a group of splits.

    Attributes
    ----------
    order : ndarray of shape (n_samples,)
        All rows, sorted by cell, and within a cell in their order.
    ends : ndarray of shape (n_cells,)
        Place in `order` at which each cell ends.
    counts : list of (ndarray of shape (n_cells,), ndarray of shape (n_cells,))
        For each split, how often the rows of each cell are in the training set and in the test set.
    """

    order: NDArray
    ends: NDArray
    counts: list[tuple[NDArray, NDArray]]

    def rows(self) -> Iterator[NDArray | slice]:
        """Yield the rows of each cell, as a slice where they are consecutive."""
        for start, end in zip([0, *self.ends[:-1]], self.ends, strict=True):
            first, last = self.order[start], self.order[end - 1]
            yield slice(first, last + 1) if last - first == end - start - 1 else self.order[start:end]


@dataclass
class _Labels:
    """The cell of each row, while splits are added one by one.

    Attributes
    ----------
    of_rows : ndarray of shape (n_samples,)
        The label of each row, in the smallest integers.
    present : ndarray of shape (n_cells,)
        The labels that occur, in ascending order.
    codes : list of ndarray of shape (n_cells,)
        For each split, how often the rows of each cell are in the training set, plus its base times how often they are
        in the test set.
    bases : list of int
        One more than the most times that a row is in a training set, for each split.
    """

    of_rows: NDArray
    present: NDArray
    codes: list[NDArray]
    bases: list[int]

    @classmethod
    def none(cls, n_samples: int) -> "_Labels":
        """Return the labels of no split: all rows are in one cell."""
        return cls(np.zeros(n_samples, np.uint8), np.zeros(1, np.intp), [], [])

    def with_split(self, split: Split) -> "_Labels":
        """Return the labels with one split more."""
        train, test = (_counts(chosen, len(self.of_rows)) for chosen in split)
        base = int(train.max()) + 1
        n_codes = base * (int(test.max()) + 1)
        n_joint = (int(self.present[-1]) + 1) * n_codes
        joint = self.of_rows.astype(np.min_scalar_type(n_joint))
        joint *= n_codes
        joint += train.astype(joint.dtype)
        joint += base * test.astype(joint.dtype)
        occurs = np.zeros(n_joint, bool)
        occurs[joint[_first_of_runs(joint)]] = True  # consecutive rows are mostly in the same cell
        [present] = occurs.nonzero()
        before, code = np.divmod(present, n_codes)
        cells = np.searchsorted(self.present, before)
        if n_joint > MOST_LABELS:
            labels = (occurs.cumsum() - 1).astype(np.min_scalar_type(len(present)))
            joint, present = labels.take(joint), np.arange(len(present))
        return _Labels(joint, present, [*(codes[cells] for codes in self.codes), code], [*self.bases, base])

    def cells(self) -> Cells:
        """Return the cells, in the order of their first rows."""
        n_cells, first = len(self.present), _first_of_runs(self.of_rows)
        if len(first) == n_cells:  # each cell is a run of rows
            ends = np.append(first[1:], len(self.of_rows))
            by_row = np.searchsorted(self.present, self.of_rows[first])
            return Cells(np.arange(len(self.of_rows)), ends, self._counts_of(by_row))
        order = np.argsort(self.of_rows, kind="stable")  # NumPy sorts small integers by radix, in a time that is linear
        ends = np.searchsorted(self.of_rows.take(order), self.present, side="right")
        starts = np.concatenate([[0], ends[:-1]])
        by_row = np.argsort(order[starts], kind="stable")
        if (by_row != np.arange(n_cells)).any():
            order = np.concatenate([order[starts[cell] : ends[cell]] for cell in by_row])
            ends = np.cumsum((ends - starts)[by_row])
        return Cells(order, ends, self._counts_of(by_row))

    def _counts_of(self, cells: NDArray) -> list[tuple[NDArray, NDArray]]:
        """Return how often the rows of some cells are in each training set and in each test set."""
        of_splits = zip(self.codes, self.bases, strict=True)
        return [(codes[cells] % base, codes[cells] // base) for codes, base in of_splits]


def _first_of_runs(labels: NDArray) -> NDArray:
    """Return the first row of each run of rows with the same label."""
    is_first = np.ones(len(labels), bool)
    np.not_equal(labels[1:], labels[:-1], out=is_first[1:])
    return is_first.nonzero()[0]


def _counts(chosen: NDArray, n_samples: int) -> NDArray:
    """Return how often each row was chosen, in the smallest integers."""
    once = np.zeros(n_samples, np.uint8)
    once[chosen] = 1
    if np.count_nonzero(once) == len(chosen):
        return once
    counts = np.bincount(chosen, minlength=n_samples)
    return counts.astype(np.min_scalar_type(counts.max()))


def _groups(rows: SplittableRows, splits: Iterable[Split]) -> Iterator[Cells]:
    """Yield the cells of successive groups of splits, each to be gathered in one pass.

    A group of folds has at most one cell more than splits. It may have more where merging costs less than a pass.
    """
    labels = _Labels.none(rows.n_samples)
    for split in splits:
        more = labels.with_split(split)
        n_splits, n_cells = (
            len(more.bases),
            np.count_nonzero(np.any(more.codes, axis=0)),
        )
        is_cheap = n_splits * n_cells * ROWS_OF_A_MERGE <= rows.n_samples
        if n_cells > n_splits + 1 and not (is_cheap and n_cells * rows.n_features**2 <= CELL_ENTRIES) and n_splits > 1:
            yield labels.cells()
            more = _Labels.none(rows.n_samples).with_split(split)
        labels = more
    yield labels.cells()


def _unions(rows: SplittableRows, cells: Cells, counts: NDArray) -> list[Moments]:
    """Return the moments of unions of cells, given how often the rows of each cell are in each union."""
    asked = np.flatnonzero(counts.any(axis=0))
    rows_of = list(cells.rows())
    found = rows.moments_of_parts([rows_of[k] for k in asked])
    known = [k for k, moments in zip(asked, found, strict=True) if moments is not None]
    return united([moments for moments in found if moments is not None], counts[:, known])
