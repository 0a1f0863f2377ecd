"""Allocation of the cores: passes over rows run on several threads, and BLAS runs on one.

The threads of BLAS synchronise after each part of a product and spin while they wait. If a pass or another
process takes one of their cores, all of them wait for it. We measured products, factorizations and
eigendecompositions of orders 50 to 3000 on two cores. On an idle machine, two threads took 0.5 to 1.8 times as
long as one. Beside a process that kept one core busy they took up to 14 times as long, at orders 500 and 3000
alike. Therefore BLAS has one thread within a fit, whatever the order.
"""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

from threadpoolctl import LibController, ThreadpoolController

SMALL = 2**18
"""Multiplications below which OpenBLAS computes a product of two matrices on one thread."""

SMALL_SHARE = 29
"""OpenBLAS computes a matrix-vector product on one thread below `SMALL` / `SMALL_SHARE` multiplications."""


@dataclass(eq=False)
class Holder:
    """A computation that holds the cores or requests them.

    Parameters
    ----------
    thread : Thread
        Thread of the computation; by default, the current thread.
    before : list of (LibController, int)
        BLAS libraries, and the number of threads that each was allowed before.
    pool : ThreadPoolExecutor, default=None
        Threads of its passes.
    """

    thread: threading.Thread = field(default_factory=threading.current_thread)
    before: list[tuple[LibController, int]] = field(default_factory=list)
    pool: ThreadPoolExecutor | None = None

    @property
    def allowed(self) -> int:
        """Number of threads that BLAS was allowed before, which is the number that a pass may use."""
        return max((n_threads for _, n_threads in self.before), default=1)


class Cores:
    """The cores of the machine, held by at most one computation at a time.

    Every change happens under one lock. `holder` is the only record of who holds the cores, and `give_back` may
    be called twice. So an interrupt may fall anywhere, and cleaning up does not depend on where it fell.
    """

    def __init__(self) -> None:
        self.holder: Holder | None = None
        # Reentrant, because garbage collection can close an interrupted fit, which gives back the cores, while this
        # very thread has the lock.
        self._changing = threading.RLock()

    def ask(self, asking: Holder) -> Holder:
        """Return the holder of the cores; if there is none, `asking` becomes it and BLAS is limited to one thread.

        In some BLAS libraries a limit applies to the process, in others to the thread that sets it. So the
        threads of a pass set it too (`limit`), and the thread that asked lifts it.
        """
        with self._changing:
            if self.holder is None:
                asking.before = [(library, library.num_threads) for library in _controller().lib_controllers]
                self.holder = asking
                self.limit(asking)
            return self.holder

    def limit(self, holder: Holder) -> None:
        """Limit BLAS to one thread, if `holder` still holds the cores."""
        with self._changing:
            if self.holder is holder:
                for library, _ in holder.before:
                    library.set_num_threads(1)

    def give_back(self, holder: Holder) -> None:
        """Allow BLAS as many threads as before, if `holder` still holds the cores."""
        with self._changing:
            if self.holder is holder:
                for library, n_threads in holder.before:
                    library.set_num_threads(n_threads)
                self.holder = None
                # In recent versions of threadpoolctl, a thread that sets a number of threads locks out all others
                # until it leaves a `limit` context. We enter and leave one that covers no library. This comes
                # last: otherwise, after an interrupt here, a pass thread that starts late could set its limit
                # and lock this thread out of lifting it.
                with _nothing().limit():
                    pass

    def begin_anew(self) -> None:
        """Release, in a forked process, cores held by a thread that the fork does not have."""
        self._changing = threading.RLock()
        if self.holder is not None and self.holder.thread is not threading.current_thread():
            self.give_back(self.holder)


CORES = Cores()
"""The one instance of this process, which all fits share."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=CORES.begin_anew)


def needs_limit(n_rows: int, n_columns: int) -> bool:
    """Return whether products of X are large enough for BLAS to start threads, if it were allowed to."""
    return max(n_rows, n_columns) * n_columns * max(n_columns, SMALL_SHARE) >= SMALL


@contextmanager
def on_threads(n_threads: int, *, limit: bool = True, exact: bool = False) -> Iterator[tuple[int, Callable[..., Any]]]:
    """Limit BLAS to one thread, and provide a number of threads for passes and a `map` that runs on them.

    All passes within the context share the threads. If several fits run concurrently, one holds the cores and
    the others run on one thread each. The number yielded is the same in either case: it is the number of ranges
    into which the rows are split, and so decides how sums are rounded.

    Parameters
    ----------
    n_threads : int
        Number of threads worth starting for the rows.
    limit : bool, default=True
        Whether BLAS needs a limit. False leaves BLAS alone if `n_threads` is 1, which saves ten microseconds.
    exact : bool, default=False
        Whether to use `n_threads` even if BLAS is allowed fewer.

    Yields
    ------
    n_threads : int
        Number of ranges into which a pass splits the rows.
    map : callable
        Applies a function to several ranges, in order, as the built-in `map` does.
    """
    if n_threads == 1 and (not limit or CORES.holder is not None):
        yield 1, map
        return
    asking = Holder()
    try:
        holder = CORES.ask(asking)
        n_threads = n_threads if exact else min(holder.allowed, n_threads)
        if n_threads == 1 or holder.thread is not asking.thread:
            yield n_threads, map
        elif holder.pool is not None:
            yield n_threads, holder.pool.map
        else:
            with ThreadPoolExecutor(n_threads, initializer=partial(CORES.limit, holder)) as pool:
                try:
                    holder.pool = pool
                    yield n_threads, pool.map
                finally:
                    holder.pool = None
    finally:
        CORES.give_back(asking)


@contextmanager
def given_back() -> Iterator[None]:
    """Release on exit the cores that this thread took within the context, even after an interrupt.

    An interrupt can fall on the call that releases them and prevent it. The call is repeated here.
    """
    before = CORES.holder
    try:
        yield
    finally:
        after = CORES.holder
        if after is not None and after is not before and after.thread is threading.current_thread():
            CORES.give_back(after)


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")


@cache
def _nothing() -> ThreadpoolController:
    return _controller().select(prefix=[])
