"""Row blocks of any X, on threads: everything that touches X is a map over them and a sum.

A block is small enough to stay in the cache while it is used several times, so that a
product with the coefficients and the product of its transpose with the residual cost one
trip through memory. Nothing here copies X as a whole.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from typing import Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import ThreadpoolController

BLOCK_BYTES = 2**20
"""Bytes of a block: what a core's second-level cache holds beside the work done on it."""

BYTES_PER_THREAD = 2**21
"""Below this many bytes of X a second thread costs more than it brings."""


class Accumulator(Protocol):
    """What a pass over the rows fills: one per thread, merged in the order of the rows."""

    def add(self, X, y: NDArray, weight: NDArray | None) -> None:
        """Take in a block of rows."""
        ...

    def merge(self, other: Self) -> None:
        """Take in what another thread accumulated over the rows that follow."""
        ...


A = TypeVar("A", bound=Accumulator)


class RowBlocks:
    """The rows of a data set, handed out block by block.

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
    """

    def __init__(self, X, y, weight=None, *, block_rows=None, n_threads=None):
        self.X = X
        self.y = y
        self.weight = weight
        self.block_rows = block_rows
        self.n_threads = n_threads

    @property
    def n_samples(self) -> int:
        """Rows, those of weight zero included."""
        return self.X.shape[0]

    @property
    def n_features(self) -> int:
        """Columns of X."""
        return self.X.shape[1]

    @property
    def n_outputs(self) -> int:
        """Columns of y."""
        return self.y.shape[1]

    @property
    def is_sparse(self) -> bool:
        """Whether X is a CSR matrix or array."""
        return sparse.issparse(self.X)

    @property
    def total_weight(self) -> float:
        """Sum of the weights: the number of rows where there are none."""
        return float(self.n_samples if self.weight is None else self.weight.sum())

    @property
    def n_weighted(self) -> int:
        """Number of rows that count, that is of positive weight."""
        return self.n_samples if self.weight is None else int(np.count_nonzero(self.weight))

    def astype(self, dtype) -> "RowBlocks":
        """Give the same rows in another floating dtype (a copy: for small X only)."""
        weight = None if self.weight is None else self.weight.astype(dtype)
        return RowBlocks(self.X.astype(dtype), self.y.astype(dtype), weight)

    def sample(self, size: int) -> tuple[NDArray, NDArray]:
        """Give `size` rows of X and y, or fewer, spread evenly over those that count."""
        rows: NDArray = np.arange(self.n_samples)
        if self.weight is not None:
            rows = np.flatnonzero(self.weight)
        rows = rows[:: max(1, -(-len(rows) // size))]
        X = self.X[rows]
        return (X.toarray() if self.is_sparse else X), self.y[rows]

    def accumulate(self, make: Callable[[], A], *, min_rows: int = 1) -> A:
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
        rows_per_block = self.block_rows or max(self._cached_rows(), min_rows)
        n_blocks = -(-self.n_samples // rows_per_block)
        n_threads = min(self.n_threads or self._affordable_threads(), n_blocks)

        def run(first_block: int, last_block: int) -> A:
            accumulator = make()
            with np.errstate(all="ignore"):
                for k in range(first_block, last_block):
                    accumulator.add(*self._block(k * rows_per_block, (k + 1) * rows_per_block))
            return accumulator

        bounds = [n_blocks * k // n_threads for k in range(n_threads + 1)]
        with _workers(n_threads) as map_on_threads:
            first, *others = map_on_threads(run, bounds[:-1], bounds[1:])
        with np.errstate(all="ignore"):
            for other in others:
                first.merge(other)
        return first

    def _block(self, start: int, stop: int):
        weight = None if self.weight is None else self.weight[start:stop]
        return self.X[start:stop], self.y[start:stop], weight

    def _bytes(self) -> int:
        return self.X.data.nbytes + self.X.indices.nbytes if self.is_sparse else self.X.nbytes

    def _cached_rows(self) -> int:
        """Rows that fit in a block; a block of CSR may be larger, for slicing it costs more."""
        block_bytes = BLOCK_BYTES * (4 if self.is_sparse else 1)
        return max(1, block_bytes * self.n_samples // max(1, self._bytes()))

    def _affordable_threads(self) -> int:
        if self._bytes() < 2 * BYTES_PER_THREAD:
            return 1
        return min(blas_threads(), self._bytes() // BYTES_PER_THREAD)


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def blas_threads() -> int:
    """Count the threads that BLAS may use now: the threads a pass over blocks may use."""
    pools = _controller().select(user_api="blas").info()
    return max((pool["num_threads"] for pool in pools), default=1)


_cores = threading.Lock()
"""Held by the pass that is on threads: of fits side by side, one has the cores and the others one thread each."""


@contextmanager
def _workers(n_threads: int) -> Iterator[Callable]:
    """Give a `map` over `n_threads` threads, each with single-threaded BLAS; the builtin where there is one.

    BLAS libraries differ in whether a limit belongs to the process or to the thread that sets it.
    It is set in both places, and lifted by whoever set it: with the cores given to one pass at a
    time, no other can restore it in between.
    """
    if n_threads <= 1 or not _cores.acquire(blocking=False):
        yield map
        return

    def alone(function: Callable, *arguments):
        with _controller().limit(limits=1, user_api="blas"):
            return function(*arguments)

    try:
        with _controller().limit(limits=1, user_api="blas"), ThreadPoolExecutor(n_threads) as pool:
            yield lambda function, *ranges: pool.map(partial(alone, function), *ranges)
    finally:
        _cores.release()
