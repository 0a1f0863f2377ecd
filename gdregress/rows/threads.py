"""Who has the cores: the threads of passes over rows have them, and BLAS has one thread.

The threads of BLAS wait for each other after each part of a product, and keep their cores meanwhile. Where a
pass or another process needs a core, they wait in vain. Measured were products, factorizations and
eigendecompositions of orders 50 to 3000 on two cores. Alone, two threads took 0.5 to 1.8 times as long as
one. Beside a process that kept one core busy they took up to 14 times as long, at orders 500 and 3000 alike.
So within a fit BLAS has one thread, whatever the order.
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
"""OpenBLAS starts no thread for a product of two matrices that takes fewer multiplications."""

SMALL_SHARE = 29
"""Nor does it for a product of a matrix and a vector that takes fewer than `SMALL` over this number."""


@dataclass(eq=False)
class Holder:
    """One that has the cores, or asks for them.

    Parameters
    ----------
    thread : Thread
        The thread that it runs in.
    before : list of (LibController, int)
        How many threads each BLAS library was allowed before.
    pool : ThreadPoolExecutor, default=None
        The threads of its passes.
    """

    thread: threading.Thread = field(default_factory=threading.current_thread)
    before: list[tuple[LibController, int]] = field(default_factory=list)
    pool: ThreadPoolExecutor | None = None

    @property
    def allowed(self) -> int:
        """How many threads BLAS was allowed before: those that a pass may use."""
        return max((n_threads for _, n_threads in self.before), default=1)


class Cores:
    """The cores of the machine, which one holder has at a time.

    All changes are made under one lock. The holder on record alone says who has the cores, and giving back
    twice is giving back once: so an interrupt may fall anywhere, and who gives back need not know where.
    """

    def __init__(self) -> None:
        self.holder: Holder | None = None
        # An interrupted fit can be cleared away, and give back, while this thread is changing something.
        self._changing = threading.RLock()

    def ask(self, asking: Holder) -> Holder:
        """Return who has the cores: the one that asks, where nobody has; BLAS is then allowed one thread.

        BLAS libraries differ in whether a limit belongs to the process or to the thread that sets it. So the
        threads of a pass set it too (`limit`), and it is lifted by the thread that asked.
        """
        with self._changing:
            if self.holder is None:
                asking.before = [(library, library.num_threads) for library in _controller().lib_controllers]
                self.holder = asking
                self.limit(asking)
            return self.holder

    def limit(self, holder: Holder) -> None:
        """Allow BLAS one thread, if the holder has the cores still."""
        with self._changing:
            if self.holder is holder:
                for library, _ in holder.before:
                    library.set_num_threads(1)

    def give_back(self, holder: Holder) -> None:
        """Allow BLAS what it was allowed before, if the holder has the cores still."""
        with self._changing:
            if self.holder is holder:
                for library, n_threads in holder.before:
                    library.set_num_threads(n_threads)
                self.holder = None
                # With recent versions of threadpoolctl a thread that sets a number keeps all others from it
                # until it leaves a limit: here one on no library. It comes last: a thread of a pass that starts
                # late would otherwise set its limit after an interrupt here, and keep this one from lifting it.
                with _nothing().limit():
                    pass

    def begin_anew(self) -> None:
        """Give back what another thread has: a fork of the process has only the thread that forked."""
        self._changing = threading.RLock()
        if self.holder is not None and self.holder.thread is not threading.current_thread():
            self.give_back(self.holder)


CORES = Cores()
"""Those of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=CORES.begin_anew)


def needs_limit(n_rows: int, n_columns: int) -> bool:
    """Return whether BLAS would start threads for X, or for its columns' products, if it were allowed to."""
    return max(n_rows, n_columns) * n_columns * max(n_columns, SMALL_SHARE) >= SMALL


@contextmanager
def on_threads(n_threads: int, *, limit: bool = True, exact: bool = False) -> Iterator[tuple[int, Callable[..., Any]]]:
    """Allow BLAS one thread, and return how many threads passes may use, with a `map` over them.

    Within, all passes share the threads, and BLAS has one in each. Of several fits side by side one has the
    cores, and the others work on one thread each. The number that is returned does not depend on who has them:
    it says into how many ranges the rows are split.

    Parameters
    ----------
    n_threads : int
        Threads that the rows deserve.
    limit : bool, default=True
        Whether BLAS needs a limit. Where the rows deserve one thread, False leaves it as it is, which saves
        ten microseconds.
    exact : bool, default=False
        Whether there are to be as many threads even where BLAS is allowed fewer.
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
    """See to it that whatever this thread takes within is given back, wherever an interrupt falls.

    An interrupt can fall on the very step that gives back, which is then not taken. It is taken here again.
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
