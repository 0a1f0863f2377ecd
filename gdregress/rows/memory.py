"""Row blocks of any X, on threads: everything that touches X is a map over them and a sum.

A block is small enough to stay in the cache while it is used several times, so that a
product with the coefficients and the product of its transpose with the residual cost one
trip through memory. Nothing here copies X as a whole.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.model_selection import train_test_split

from gdregress.rows.moments import Moments, gather
from gdregress.rows.rows import A, R
from gdregress.rows.threads import needs_limit, on_threads

BLOCK_BYTES = 2**20
"""Bytes of a block: what a core's second-level cache holds beside the work done on it."""

BYTES_PER_THREAD = 2**21
"""Below this many bytes of X a second thread costs more than it brings."""


class RowBlocks:
    """The rows of a data set in memory, handed out block by block: a `Rows`, see there.

    Parameters
    ----------
    X : ndarray or CSR matrix or CSR array of shape (n_samples, n_features)
        Rows; any floating dtype, either order, read-only and memory-mapped included.
    y : ndarray of shape (n_samples, n_outputs)
        Targets.
    weight : ndarray of shape (n_samples,), default=None
        Non-negative sample weights; None stands for ones.
    block_rows : int, default=None
        Rows in a block; None takes what `BLOCK_BYTES` hold.
    n_threads : int, default=None
        Threads of a pass; None takes as many as BLAS is allowed to use, and one for small X.
    index : ndarray of shape (n_samples,), default=None
        Which rows of X are meant, one for each of y; None for all.
    name : str, default="X"
        What X is called where it was passed in.
    """

    can_be_read = True
    can_be_drawn = True

    def __init__(self, X, y, weight=None, *, block_rows=None, n_threads=None, index=None, name="X"):
        self.X = X
        self.index = index
        self.y = y
        self.weight = weight
        self.block_rows = block_rows
        self.n_threads = n_threads
        self.name = name
        self.n_samples = len(y)
        self.n_features = X.shape[1]
        self.n_outputs = y.shape[1]
        self.dtype = X.dtype
        self.is_sparse = sparse.issparse(X)
        self.total_weight = float(self.n_samples if weight is None else weight.sum())
        self.n_weighted = self.n_samples if weight is None else int(np.count_nonzero(weight))

    @property
    def cached_rows(self) -> int:
        """Rows that fit in a block; a block of CSR may be larger: it is not its rows that need the cache."""
        block_bytes = BLOCK_BYTES * (32 if self.is_sparse else 1)
        return max(1, block_bytes * self.n_samples // max(1, self._bytes()))

    def dense_copy(self, dtype: type, limit: int) -> "RowBlocks | None":
        """Return a copy in another floating type; None where X is sparse, or of more than `limit` entries."""
        if self.is_sparse or self.n_samples * self.n_features > limit:
            return None
        weight = None if self.weight is None else self.weight.astype(dtype)
        X = self.X if self.index is None else self.X[self.index]
        return RowBlocks(
            X.astype(dtype), self.y.astype(dtype), weight, block_rows=self.block_rows, n_threads=self.n_threads
        )

    def with_targets(self, transform: Callable[[NDArray], NDArray]) -> "RowBlocks":
        """Return the same rows with targets that are made from theirs."""
        other = copy(self)
        other.y = transform(self.y)
        other.n_outputs = other.y.shape[1]
        return other

    def with_weight(self, weight: NDArray) -> "RowBlocks":
        """Return the same rows with other weights."""
        other = copy(self)
        other.weight, other.total_weight = weight, float(weight.sum())
        other.n_weighted = int(np.count_nonzero(weight))
        return other

    def targets(self) -> tuple[NDArray, NDArray | None]:
        """Return y and the weights."""
        return self.y, self.weight

    def sample(self, size: int) -> tuple[NDArray, NDArray]:
        """Give `size` rows of X and y, or fewer, spread evenly over those that count."""
        rows: NDArray = np.arange(self.n_samples)
        if self.weight is not None:
            rows = np.flatnonzero(self.weight)
        rows = rows[:: max(1, -(-len(rows) // size))]
        X = self.X[rows if self.index is None else self.index[rows]]
        return (X.toarray() if self.is_sparse else X), self.y[rows]

    def subsample(self, share: float, neighbours: int, random_state: np.random.RandomState) -> "RowBlocks":
        """Give a share of the rows that count, drawn over their whole range; those of X are copied block by block.

        Parameters
        ----------
        share : float
            Share of the rows, at most a half.
        neighbours : int
            Consecutive rows that are drawn together.
        random_state : RandomState
            Draws them.
        """
        rows: NDArray = np.arange(self.n_samples)
        if self.weight is not None:
            rows = np.flatnonzero(self.weight)
        n_groups = max(1, int(share * len(rows) / neighbours))
        stratum = len(rows) / n_groups
        first = (np.arange(n_groups) + random_state.uniform(size=n_groups)) * stratum
        first = np.minimum(first, len(rows) - neighbours).astype(np.intp)
        drawn = np.unique(rows[first[:, np.newaxis] + np.arange(neighbours)])
        weight = None if self.weight is None else self.weight[drawn]
        index = drawn if self.index is None else self.index[drawn]
        return RowBlocks(self.X, self.y[drawn], weight, n_threads=self.n_threads, index=index)

    def sum(self, make: Callable[[], A], *, min_rows: int = 1) -> A:
        """Run every row through accumulators made by `make`, one per thread, and merge them.

        The rows are split into as many contiguous ranges as there are threads, and merged in
        their order: with the same number of threads the result is the same from run to run.
        Overflow in a block is not reported there: it shows in the sums.

        Parameters
        ----------
        make : callable
            Makes an empty accumulator.
        min_rows : int, default=1
            Rows a block should have at least, for work whose cost per block is not in its rows.

        Returns
        -------
        accumulator
            The first thread's, with the others' merged in.
        """
        rows_per_block = self.block_rows or max(self.cached_rows, min_rows)
        n_blocks = -(-self.n_samples // rows_per_block)

        def run(first_block: int, last_block: int) -> A:
            accumulator = make()
            with np.errstate(all="ignore"):
                for k in range(first_block, last_block):
                    accumulator.add(*self._block(k * rows_per_block, (k + 1) * rows_per_block))
            return accumulator

        with self.on_threads() as (n_threads, map_on_threads):
            n_threads = min(n_threads, n_blocks)
            bounds = [n_blocks * k // n_threads for k in range(n_threads + 1)]
            first, *others = map_on_threads(run, bounds[:-1], bounds[1:])
        for other in others:
            with np.errstate(all="ignore"):
                first.merge(other)
        return first

    def map_blocks(self, work: "Callable[[RowBlocks], R]", merge: Callable[[R, R], R]) -> R:
        """Do the work on the rows: they lie together, and there is nothing to merge."""
        return work(self)

    def moments(self, *, products: bool = True, precision: type = np.float64) -> Moments:
        """Return the moments of the rows: see `gdregress.rows.moments.gather`."""
        return gather(self, cross=products, precision=precision)

    def batches(self, size: int, random_state: np.random.RandomState | None) -> "Iterator[RowBlocks]":
        """Return the rows of positive weight `size` at a time, pass after pass, for ever.

        Parameters
        ----------
        size : int
            Rows in a batch; the last of a pass may have fewer.
        random_state : RandomState or None
            Shuffles before every pass; None leaves the rows in their order, and a batch of them is a view of X
            where no row has weight zero.
        """
        if random_state is None and self.n_weighted == self.n_samples:
            while True:
                for start in range(0, self.n_samples, size):
                    yield self._part(slice(start, start + size))
        counted = np.arange(self.n_samples) if self.weight is None else np.flatnonzero(self.weight)
        while True:
            order = counted if random_state is None else random_state.permutation(counted)
            for start in range(0, len(order), size):
                yield self._part(order[start : start + size])

    def _part(self, chosen: NDArray | slice) -> "RowBlocks":
        weight = None if self.weight is None else self.weight[chosen]
        if isinstance(chosen, slice) or self.is_sparse:
            return RowBlocks(self.X[chosen], self.y[chosen], weight, n_threads=1)
        return RowBlocks(self.X.take(chosen, axis=0), self.y.take(chosen, axis=0), weight, n_threads=1)

    def split(self, fraction: float, random_state: np.random.RandomState) -> "tuple[RowBlocks, RowBlocks]":
        """Split the rows at random into training rows and held-out rows.

        The training rows are all the rows, those held out with a weight of zero: X is not copied,
        but for the rows held out.
        """
        _, held_out = train_test_split(np.arange(self.n_samples), test_size=fraction, random_state=random_state)
        weight = np.ones(self.n_samples) if self.weight is None else self.weight.copy()
        held_weight = None if self.weight is None else weight[held_out]
        weight[held_out] = 0.0
        return RowBlocks(self.X, self.y, weight), RowBlocks(self.X[held_out], self.y[held_out], held_weight)

    def _block(self, start: int, stop: int):
        weight = None if self.weight is None else self.weight[start:stop]
        if self.index is not None:
            X = self.X[self.index[start:stop]]
        else:
            X = _csr_rows(self.X, start, stop) if self.is_sparse else self.X[start:stop]
        return X, self.y[start:stop], weight

    def _bytes(self) -> int:
        whole = self.X.data.nbytes + self.X.indices.nbytes if self.is_sparse else self.X.nbytes
        return whole * self.n_samples // max(1, self.X.shape[0])

    def on_threads(self) -> AbstractContextManager[tuple[int, Callable[..., Any]]]:
        """Return a context that gives the number of threads that these rows deserve, and a `map` over them.

        It is that of `threads.on_threads`.
        """
        n_threads = self.n_threads or max(1, self._bytes() // BYTES_PER_THREAD)
        limit = needs_limit(self.n_samples, self.n_features)
        return on_threads(n_threads, limit=limit, exact=self.n_threads is not None)


def _csr_rows(X, start: int, stop: int):
    """Give consecutive rows of CSR, which slicing would copy, and the constructor from arrays, too."""
    indptr = X.indptr[start : stop + 1]
    entries = slice(indptr[0], indptr[-1])
    rows = type(X)((len(indptr) - 1, X.shape[1]), dtype=X.dtype)
    rows.data, rows.indices, rows.indptr = X.data[entries], X.indices[entries], indptr - indptr[0]
    return rows
