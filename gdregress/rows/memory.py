"""Rows in memory, processed block by block on several threads.

A block is small enough to stay in the cache while it is used several times. So its product with the coefficients
and the product of its transpose with the residuals together read it from memory once. Passes never copy X as a
whole.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.model_selection import train_test_split

from gdregress.rows.checks import check_finite
from gdregress.rows.gathering import gather, gather_parts
from gdregress.rows.moments import Moments
from gdregress.rows.namespaces import HOST
from gdregress.rows.rows import A
from gdregress.rows.threads import needs_limit, on_threads

BLOCK_BYTES = 2**20
"""Size of a block, such that the second-level cache of a core holds it together with its intermediate results."""

RUN_ROWS = 2**10
"""Least number of rows in a block where columns are contiguous: shorter pieces of a column are slow to read."""

BYTES_PER_THREAD = 2**21
"""Bytes of X that each thread must have for starting it to pay off, if each entry is multiplied once."""

BYTES_PER_PIECE = 2**27
"""The same for threads that would share contiguous columns, and have fewer than `RUN_ROWS` of their rows each."""


class RowBlocks:
    """The rows of a data set in memory, an implementation of `gdregress.rows.rows.Rows`.

    Parameters
    ----------
    X : ndarray or CSR matrix or CSR array of shape (n_samples, n_features)
        Features, of any floating dtype and memory order; may be read-only or memory-mapped.
    y : ndarray of shape (n_samples, n_outputs)
        Targets.
    weight : ndarray of shape (n_samples,), default=None
        Non-negative sample weights; None for weights of 1.
    n_threads : int, default=None
        Threads of a pass; None for one per `BYTES_PER_THREAD` of X, up to the number that BLAS is allowed.
    index : ndarray of shape (n_samples,), default=None
        Row of X that belongs to each row of y; None if the rows correspond one to one.
    name : str, default="X"
        Name of X in error messages.
    columns : ndarray of str, default=None
        Names of the columns of X in error messages; None for their numbers.
    """

    can_be_read = True
    place = HOST

    def __init__(self, X, y, weight=None, *, n_threads=None, index=None, name="X", columns=None):
        self.X = X
        self.index = index
        self.y = y
        self.weight = weight
        self.n_threads = n_threads
        self.name = name
        self.columns = columns
        self.known: Moments | None = None
        self.n_samples = len(y)
        self.n_features = X.shape[1]
        self.n_outputs = y.shape[1]
        self.dtype = X.dtype
        self.is_sparse = sparse.issparse(X)
        self._has_whole_rows = self.is_sparse or X.flags.c_contiguous  # the entries of a row are next to each other
        whole = X.data.nbytes + X.indices.nbytes if self.is_sparse else X.nbytes
        self._n_bytes = whole * self.n_samples // max(1, X.shape[0])
        self.total_weight = float(self.n_samples if weight is None else weight.sum())
        self.n_weighted = self.n_samples if weight is None else int(np.count_nonzero(weight))

    @property
    def in_memory(self) -> "RowBlocks":
        """These rows."""
        return self

    @property
    def is_summed(self) -> bool:
        """Whether their moments are known."""
        return self.known is not None

    @property
    def cached_rows(self) -> int:
        """Number of rows that fit in a block.

        Blocks of CSR are up to 32 times as large, since their rows need not stay in the cache.
        """
        block_bytes = BLOCK_BYTES * (32 if self.is_sparse else 1)
        least = 1 if self._has_whole_rows else RUN_ROWS
        return max(least, block_bytes * self.n_samples // max(1, self._n_bytes))

    def dense_as(self, dtype: type, limit: int) -> "RowBlocks | None":
        """Return the rows in a floating type; None if X is sparse or has more than `limit` entries."""
        if self.is_sparse or self.n_samples * self.n_features > limit:
            return None
        weight = None if self.weight is None else self.weight.astype(dtype, copy=False)
        return self._with(self._features.astype(dtype, copy=False), self.y.astype(dtype, copy=False), weight)

    def with_targets(self, transform: Callable[[NDArray], NDArray]) -> "RowBlocks":
        """Return the same rows with transformed targets."""
        other = copy(self)
        other.known = None
        other.y = transform(self.y)
        other.n_outputs = other.y.shape[1]
        return other

    def without_features(self) -> "RowBlocks":
        """Return these rows: a pass over y alone does not touch X."""
        return self

    def with_weight(self, weight: NDArray) -> "RowBlocks":
        """Return the same rows with other weights."""
        other = copy(self)
        other.known = None
        other.weight, other.total_weight = weight, float(weight.sum())
        other.n_weighted = int(np.count_nonzero(weight))
        return other

    def with_moments(self, moments: Moments) -> "RowBlocks":
        """Return the same rows with their moments, products included, so that these need not be gathered."""
        other = copy(self)
        other.known = moments
        return other

    def check_finite(self) -> None:
        """Raise a ValueError that names the position of the first NaN or infinity in X."""
        check_finite(self.name, self.X, self.columns)

    def part(self, chosen: NDArray | slice) -> "RowBlocks":
        """Return some of the rows; X is not copied here.

        Parameters
        ----------
        chosen : ndarray of int or slice
            Consecutive rows as a slice, which are then never copied, or indices of any rows.
        """
        places = self._places(chosen)
        X, index = (_rows_of(self.X, places), None) if isinstance(places, slice) else (self.X, places)
        return self._with(X, _rows_of(self.y, chosen), None if self.weight is None else self.weight[chosen], index)

    def known_by(self, chosen: NDArray | slice, moments: Moments) -> "RowBlocks":
        """Return some of the rows with their moments."""
        return self.part(chosen).with_moments(moments)

    def copied(self) -> "RowBlocks":
        """Return the same rows with an X of their own if they are picked from a larger one, which is slower to read."""
        return self if self.index is None else self._with(self._features, self.y, self.weight)

    def counted(self) -> "RowBlocks":
        """Return the rows of positive weight; X is not copied here."""
        return self if self.n_weighted == self.n_samples else self.part(self._counted)

    def features_of(self, rows: NDArray | slice) -> Any:
        """Return some rows of X; consecutive ones are not copied, if X has no others."""
        return _rows_of(self.X, self._places(rows))

    def of_columns(self, columns: NDArray) -> "RowBlocks":
        """Return the rows with some columns of X, which are copied."""
        X = self.X[:, columns]
        return RowBlocks(X, self.y, self.weight, n_threads=self.n_threads, index=self.index).copied()

    def product(self, coef: NDArray) -> NDArray:
        """Return X @ coef."""
        return np.asarray(self._features @ coef)

    def sample(self, size: int) -> tuple[NDArray, NDArray]:
        """Return at most `size` rows of X and y, evenly spaced among those of positive weight; X is dense."""
        every = max(1, -(-self.n_weighted // size))
        rows = np.s_[::every] if self.weight is None else self._counted[::every]
        X = self.features_of(rows)
        return (X.toarray() if self.is_sparse else X), self.y[rows]

    def subsample(self, share: float, neighbours: int, random_state: np.random.RandomState) -> "RowBlocks":
        """Return a random share of the rows of positive weight, stratified by position.

        Groups of consecutive rows are drawn, one from each stratum. X is not copied here: each pass copies the rows of
        a block when it reaches it.

        Parameters
        ----------
        share : float
            Share of the rows, at most a half.
        neighbours : int
            Number of consecutive rows drawn as one group.
        random_state : RandomState
            Generator of the draws.
        """
        rows = self._counted
        n_groups = max(1, int(share * len(rows) / neighbours))
        stratum = len(rows) / n_groups
        first = (np.arange(n_groups) + random_state.uniform(size=n_groups)) * stratum
        first = np.minimum(first, len(rows) - neighbours).astype(np.intp)
        return self.part(np.unique(rows[first[:, np.newaxis] + np.arange(neighbours)]))

    def sum(self, make: Callable[[], A], *, min_rows: int = 1, work: float = 1.0) -> A:
        """Add every row to accumulators created by `make`, one per thread, and return them merged.

        Each thread has one contiguous range of rows, and accumulators are merged in the order of the rows. So
        the result is reproducible for a given number of threads. Floating-point warnings are suppressed:
        overflow shows in the sums.

        Parameters
        ----------
        make : callable
            Function without arguments that returns an empty accumulator.
        min_rows : int, default=1
            Least number of rows in a block, for work with a large cost per block.
        work : float, default=1.0
            Number of multiplications for each entry of X. The less there is to do, the fewer threads pay off.

        Returns
        -------
        accumulator
            The merged accumulator.
        """
        [total] = self.sums_of([self], lambda _: make(), min_rows=min_rows, work=work)
        return total

    def sums_of(
        self, parts: "Sequence[RowBlocks]", make: "Callable[[RowBlocks], A]", *, min_rows: int, work: float
    ) -> list[A]:
        """Add the rows of some parts of these to accumulators, one for each part, in one pass as `sum` makes it.

        Each thread has as many rows, of one part or of several, so that parts of any size keep all threads busy.

        Parameters
        ----------
        parts : sequence of RowBlocks
            The parts.
        make : callable
            Function from a part to an empty accumulator.
        min_rows, work
            As `sum` has them.
        """

        def run(shares: list[tuple[int, int, int]], size: int) -> dict[int, A]:
            sums: dict[int, A] = {}
            with np.errstate(all="ignore"):
                for number, start, stop in shares:
                    part, accumulator = parts[number], make(parts[number])
                    n_blocks = -(-(stop - start) // size)
                    step = -(-(stop - start) // n_blocks)
                    for first in range(start, stop, step):
                        accumulator.add(*part._block(first, min(first + step, stop)))
                    sums[number] = accumulator
            return sums

        with self.on_threads() as (n_threads, map_on_threads):
            n_threads = self._paying(n_threads, work)
            size = self._block_rows(min_rows, n_threads)
            shares = _shares([part.n_samples for part in parts], n_threads)
            map_on_threads = map if n_threads == 1 else map_on_threads
            sums, *others = map_on_threads(run, shares, [size] * n_threads)
        for other in others:
            for number, accumulator in other.items():
                if number in sums:
                    with np.errstate(all="ignore"):
                        sums[number].merge(accumulator)
                else:
                    sums[number] = accumulator
        return list(sums.values())

    def moments(self, *, products: bool = True, precision: type = np.float64) -> Moments:
        """Return the moments of the rows, as `gdregress.rows.gathering.gather` does, or those that are known."""
        if self.known is not None:
            return self.known
        return gather(self, cross=products, precision=precision)

    def moments_of_parts(self, parts: Sequence[NDArray | slice]) -> list[Moments | None]:
        """Return the moments of some parts of the rows; None for one without a row of positive weight.

        Parameters
        ----------
        parts : sequence of slice or ndarray of int
            Rows of each part.

        Raises
        ------
        ValueError
            If X contains NaN or infinity.
        """
        several = [self.part(chosen) for chosen in parts]
        try:
            found = iter(gather_parts(self, [part for part in several if part.total_weight > 0]))
        except ValueError:
            check_finite(self.name, self.X, self.columns)  # the row of the part is not that of the whole
            raise
        return [next(found) if part.total_weight > 0 else None for part in several]

    def batches(self, size: int, random_state: np.random.RandomState | None) -> "Iterator[RowBlocks]":
        """Yield the rows of positive weight, `size` at a time, in an endless sequence of passes.

        Parameters
        ----------
        size : int
            Rows in a batch; the last batch of a pass may have fewer.
        random_state : RandomState or None
            Generator that shuffles the rows before every pass. None keeps their order; batches are then views of
            X, provided that no row has weight zero.
        """
        rows, counted = copy(self), self._counted
        rows.n_threads = 1
        is_view = random_state is None and self.n_weighted == self.n_samples
        while True:
            order = counted if random_state is None else random_state.permutation(counted)
            for start in range(0, len(order), size):
                batch = slice(start, start + size)
                yield rows.part(batch if is_view else order[batch])

    def split(self, fraction: float, random_state: np.random.RandomState) -> "tuple[RowBlocks, RowBlocks]":
        """Split the rows of positive weight at random into training rows and held-out rows.

        The training part keeps all rows and gives those held out the weight zero, so that only the held-out
        rows of X are copied.
        """
        _, held_out = train_test_split(self._counted, test_size=fraction, random_state=random_state)
        weight = np.ones(self.n_samples) if self.weight is None else self.weight.copy()
        weight[held_out] = 0.0
        return self.with_weight(weight), self.part(held_out).copied()

    def _with(self, X: Any, y: NDArray, weight: NDArray | None, index: NDArray | None = None) -> "RowBlocks":
        """Return other rows with the name and the threads of these."""
        return RowBlocks(X, y, weight, n_threads=self.n_threads, index=index, name=self.name, columns=self.columns)

    def _block(self, start: int, stop: int):
        weight = None if self.weight is None else self.weight[start:stop]
        return _rows_of(self.X, self._places(slice(start, stop))), self.y[start:stop], weight

    def _block_rows(self, min_rows: int, n_threads: int) -> int:
        """Return the number of rows in a block."""
        return min(max(self.cached_rows, min_rows), -(-self.n_samples // n_threads))

    def _places(self, rows: NDArray | slice) -> NDArray | slice:
        """Return where some of the rows are in X: as a slice if they are one, and X has no other rows."""
        return rows if self.index is None else self.index[rows]

    @property
    def _features(self) -> Any:
        """The rows of X; a copy if X has others."""
        return self.X if self.index is None else _rows_of(self.X, self.index)

    @property
    def _counted(self) -> NDArray:
        """The numbers of the rows of positive weight."""
        return np.arange(self.n_samples) if self.weight is None else np.flatnonzero(self.weight)

    def _paying(self, n_threads: int, work: float) -> int:
        """Return how many of some threads save time, for so many multiplications of each entry of X."""
        if self.n_threads is not None:
            return n_threads
        load, is_long = work * self._n_bytes, self._has_whole_rows or self.n_samples >= RUN_ROWS * n_threads
        if not is_long and load < BYTES_PER_PIECE * n_threads:
            return 1
        return min(n_threads, max(1, int(load // BYTES_PER_THREAD)))

    @property
    def worth_threads(self) -> int:
        """Number of threads that pay off for a pass, if there are as many cores."""
        return self.n_threads or max(1, self._n_bytes // BYTES_PER_THREAD)

    def on_threads(self) -> AbstractContextManager[tuple[int, Callable[..., Any]]]:
        """Return a context of `gdregress.rows.threads.on_threads` with threads in proportion to the size of X."""
        limit = needs_limit(self.n_samples, self.n_features)
        return on_threads(self.worth_threads, limit=limit, exact=self.n_threads is not None)


def _shares(lengths: list[int], n_threads: int) -> list[list[tuple[int, int, int]]]:
    """Return which rows each thread has, given the lengths of parts: numbers of parts, first rows, and ends."""
    if n_threads == 1:
        return [[(number, 0, length) for number, length in enumerate(lengths)]]
    total, begin = sum(lengths), 0
    shares: list[list[tuple[int, int, int]]] = [[] for _ in range(n_threads)]
    for number, length in enumerate(lengths):
        for k, share in enumerate(shares):
            start, stop = max(0, total * k // n_threads - begin), min(length, total * (k + 1) // n_threads - begin)
            if start < stop:
                share.append((number, start, stop))
        begin += length
    return shares


def _rows_of(X, places: NDArray | slice) -> Any:
    """Return some rows, consecutive ones as views: SciPy, and its constructor from arrays, would copy CSR."""
    if not isinstance(places, slice):
        # `take` is twice as fast, but where rows are not contiguous it begins with a copy of all of X.
        return X.take(places, axis=0) if isinstance(X, np.ndarray) and X.flags.c_contiguous else X[places]
    if isinstance(X, np.ndarray) or places.step is not None:
        return X[places]
    start, stop, _ = places.indices(X.shape[0])
    indptr = X.indptr[start : stop + 1]
    entries = slice(indptr[0], indptr[-1])
    rows = type(X)((len(indptr) - 1, X.shape[1]), dtype=X.dtype)
    rows.data, rows.indices, rows.indptr = X.data[entries], X.indices[entries], indptr - indptr[0]
    return rows
