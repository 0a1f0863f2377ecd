"""Threads: how many BLAS has while a fit works, that it is given them back, and who has the cores meanwhile."""

import concurrent.futures.thread
import contextlib
import dis
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread

import numpy as np
import pytest
import threadpoolctl
from small_blocks import SmallBlocks
from threadpoolctl import threadpool_info, threadpool_limits

from gdregress import GradientDescentRegressor, through_device
from gdregress.rows import memory as blocks
from gdregress.rows import threads
from gdregress.rows.memory import RowBlocks
from gdregress.rows.sums import dot
from gdregress.rows.threads import CORES, Holder, given_back, on_threads

source = np.random.default_rng(0)
X = source.normal(size=(600, 5))
y = X @ np.arange(5.0) + source.normal(size=600)


@pytest.fixture(autouse=True)
def two_threads(monkeypatch):
    """Allow BLAS two threads; see that it has them at the end, and that nobody has the cores."""
    monkeypatch.setattr(threads, "SMALL", 0)
    limits = threadpool_limits(2, user_api="blas")
    with threadpool_limits(None):
        pass  # with recent versions of threadpoolctl, other threads can set limits now
    before = threadpool_info()
    yield
    assert threadpool_info() == before
    assert_free()
    limits.restore_original_limits()
    with threadpool_limits(None):
        pass


def assert_free():
    """Assert that another thread gets the cores."""

    def ask():
        asking = Holder()
        found = CORES.ask(asking)
        CORES.give_back(asking)
        return found is asking

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(ask).result(timeout=30)


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


class Observing:
    """An accumulator that notes how many threads BLAS has in each block, and the sum of its rows."""

    def __init__(self, seen):
        self.seen = seen
        self.total = 0.0

    def add(self, X, y, weight):
        self.seen.append(blas_threads())
        self.total += X.sum()

    def merge(self, other):
        self.total += other.total


def observe(**params):
    """Give the limits that BLAS had in the blocks of a pass, and its sum."""
    seen = []
    total = SmallBlocks(X, y[:, np.newaxis], block_rows=50, **params).sum(lambda: Observing(seen)).total
    return seen, total


class TestBlas:
    @pytest.mark.parametrize("n_threads", [None, 1, 2, 3])
    def test_one_thread_in_every_block(self, n_threads):
        seen, _ = observe(n_threads=n_threads)
        assert seen == [{1}] * 12
        assert blas_threads() == {2}

    def test_no_limit_where_openblas_starts_no_thread(self, monkeypatch):
        monkeypatch.setattr(threads, "SMALL", 600 * 5 * threads.SMALL_SHARE + 1)
        assert observe()[0] == [{2}] * 12
        assert observe(n_threads=2)[0] == [{1}] * 12

    @pytest.mark.parametrize("params", [{}, {"loss": "quantile"}, {"learning_rate": 0.1}, {"penalty": "l1"}])
    def test_one_limit_for_a_whole_fit(self, params, monkeypatch):
        limits = self.count_limits(monkeypatch)
        GradientDescentRegressor(epochs=20, tol=None, **params).fit(X, y)
        assert len(limits) == 1

    def test_one_limit_for_a_fit_through_a_device(self, monkeypatch):
        pytest.importorskip("array_api_strict")
        file, limits = through_device(X, "device1", library="array_api_strict"), self.count_limits(monkeypatch)
        GradientDescentRegressor(loss="huber").fit(file, y)
        assert len(limits) == 1

    def test_one_limit_for_a_chunk_and_one_for_the_descent(self, monkeypatch):
        limits = self.count_limits(monkeypatch)
        GradientDescentRegressor().fit_batches([(X[:300], y[:300]), (X[300:], y[300:])])
        assert len(limits) == 3

    def count_limits(self, monkeypatch):
        limits, limit = [], CORES.limit
        monkeypatch.setattr(CORES, "limit", lambda holder: limits.append(holder) or limit(holder))
        return limits

    def test_given_back_after_an_error(self):
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                SmallBlocks(X, y[:, np.newaxis], block_rows=50, n_threads=2).sum(lambda: 1 / 0)
            assert blas_threads() == {2}


class TestCores:
    def test_side_by_side_one_has_them(self, monkeypatch):
        """A pass that starts while another has the cores stays on its own thread, and gives the same sums."""
        _, alone = observe(n_threads=2)
        at_work, end = Event(), Event()

        def other():
            with on_threads(2, exact=True):
                at_work.set()
                assert end.wait(30)

        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(other)
            assert at_work.wait(30)
            monkeypatch.setattr(threads, "ThreadPoolExecutor", None)
            seen, beside = observe(n_threads=2)
            with on_threads(100) as (n_threads, _):
                assert n_threads == 2
            end.set()
            done.result()
        assert seen == [{1}] * 12
        assert beside == alone

    def test_what_another_thread_took_meanwhile_is_not_given_back(self):
        other = Holder(thread=Thread())
        try:
            with given_back():
                CORES.ask(other)
            assert CORES.holder is other
        finally:
            CORES.give_back(other)

    def test_passes_share_the_threads_of_a_fit(self, monkeypatch):
        rows = RowBlocks(X, y[:, np.newaxis], n_threads=2)
        with rows.on_threads():
            monkeypatch.setattr(threads, "ThreadPoolExecutor", None)
            assert observe(n_threads=2)[0] == [{1}] * 12

    def test_a_larger_pass_within_has_threads_of_its_own(self):
        """As of validation rows beside few that are learned from."""
        with on_threads(1):
            for _ in range(2):
                with on_threads(2) as (n_threads, map_on_threads):
                    assert n_threads == 2
                    assert list(map_on_threads(lambda _: blas_threads(), range(2))) == [{1}] * 2
            assert blas_threads() == {1}

    def test_a_thread_that_starts_late_sets_no_limit(self):
        """As one of a pass that an interrupt has ended."""
        asking = Holder()
        CORES.ask(asking)
        CORES.give_back(asking)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(CORES.limit, asking).result()
            assert blas_threads() == {2}

    def test_what_another_thread_holds_is_not_given_back(self, monkeypatch):
        taken, end = Event(), Event()

        def other():
            with on_threads(2, exact=True):
                taken.set()
                assert end.wait(30)

        with ThreadPoolExecutor(1) as pool:
            with monkeypatch.context() as patched, given_back():
                done = pool.submit(other)
                assert taken.wait(30)
                given = []
                patched.setattr(CORES, "give_back", given.append)
            end.set()
            done.result()
        assert given == []

    def test_as_many_threads_as_blas_was_allowed(self, monkeypatch):
        asked = []

        class Pool(ThreadPoolExecutor):
            def __init__(self, n_threads, **more):
                asked.append(n_threads)
                super().__init__(n_threads, **more)

        monkeypatch.setattr(threads, "ThreadPoolExecutor", Pool)
        monkeypatch.setattr(blocks, "BYTES_PER_THREAD", 100)
        with threadpool_limits(1, user_api="blas"):
            observe()
        assert asked == []
        observe()
        observe(n_threads=3)
        assert asked == [2, 3]

    def test_small_data_start_no_thread(self, monkeypatch):
        monkeypatch.setattr(threads, "ThreadPoolExecutor", None)
        observe()

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_a_fork_does_not_wait_for_a_thread_that_it_lacks(self):
        at_work, end = Event(), Event()

        def other():
            with on_threads(2, exact=True):
                at_work.set()
                assert end.wait(30)

        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(other)
            assert at_work.wait(30)
            child = os.fork()
            if child == 0:
                asking = Holder()
                os._exit(0 if CORES.ask(asking) is asking and asking.allowed == 2 else 1)
            end.set()
            done.result()
        assert os.waitpid(child, 0)[1] == 0


class Interrupt:
    """A trace that interrupts at the k-th moment at which an interrupt can come.

    CPython looks for signals at the start of functions, after calls and at jumps back, and nowhere else.
    """

    FILES = frozenset(module.__file__ for module in (threads, contextlib, concurrent.futures.thread, threadpoolctl))

    def __init__(self, moment):
        self.left = moment

    def __call__(self, frame, event, arg):
        if frame.f_code.co_filename not in self.FILES:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        last = ""

        def watch(frame, event, arg):
            nonlocal last
            if event == "opcode":
                if last.startswith(("RESUME", "CALL", "JUMP_BACKWARD", "POP_JUMP_BACKWARD")):
                    self.left -= 1
                    if self.left == 0:
                        raise KeyboardInterrupt
                last = dis.opname[frame.f_code.co_code[frame.f_lasti]]
            return watch

        return watch


def interrupted_everywhere(work):
    """Interrupt the work at each moment in turn, and give what each interrupt, once handled, has left to see."""
    moment, interrupt = 0, None
    while interrupt is None or interrupt.left == 0:
        moment += 1
        interrupt = Interrupt(moment)
        tracing = sys.gettrace()
        try:
            sys.settrace(interrupt)
            work()
        except KeyboardInterrupt as exception:
            yield exception
        finally:
            sys.settrace(tracing)
    assert moment > 100


def nested():
    with given_back(), on_threads(2):
        for _ in range(2):
            with given_back(), on_threads(2) as (_, map_on_threads):
                assert sum(map_on_threads(abs, range(3))) == 3


def pass_within_few_rows():
    with given_back(), on_threads(1), on_threads(2) as (_, map_on_threads):
        assert sum(map_on_threads(abs, range(3))) == 3


def fit():
    GradientDescentRegressor().fit(X, y)


@pytest.mark.parametrize("work", [nested, pass_within_few_rows, pytest.param(fit, marks=pytest.mark.exhaustive)])
def test_blas_and_the_cores_are_given_back_wherever_an_interrupt_falls(work, monkeypatch):
    """While the interrupt is held, as an interactive session holds the last."""
    monkeypatch.setattr(blocks, "BYTES_PER_THREAD", 12_000)
    work()
    for held in interrupted_everywhere(work):
        assert blas_threads() == {2}, held
        assert CORES.holder is None
        assert_free()


def seen_within(product):
    """Whether this thread ran in the middle of a product that another one computes, in some of many tries."""

    def work():
        started.append(time.perf_counter())
        product()
        ended.append(time.perf_counter())

    for _ in range(50):
        started, ended, seen = [], [], []
        thread = Thread(target=work)
        thread.start()
        while not ended:
            seen.append(time.perf_counter())
        thread.join()
        quarter = (ended[0] - started[0]) / 4
        if any(started[0] + quarter < moment < ended[0] - quarter for moment in seen):
            return True
    return False


def test_other_threads_run_during_a_product_with_few_entries():
    rows = np.ones((1_000_000, 5))
    assert seen_within(lambda: dot(rows.T, rows))
    assert seen_within(lambda: dot(rows.T, np.ones((len(rows), 1))))


@pytest.mark.parametrize(
    ("order", "n", "parts"), [("F", 2 * blocks.RUN_ROWS - 1, 1), ("F", 2 * blocks.RUN_ROWS, 2), ("C", 600, 2)]
)
def test_contiguous_columns_are_cut_only_where_each_piece_is_long(order, n, parts, monkeypatch):
    """Unless X is large, or each entry takes much work."""
    monkeypatch.setattr(blocks, "BYTES_PER_THREAD", 100)
    rows = RowBlocks(np.ones((n, 5), order=order), np.ones((n, 1)))
    assert len(rows.sum(Sizes).sizes) == parts
    assert len(rows.sum(Sizes, work=1e4).sizes) == 2
    monkeypatch.setattr(blocks, "BYTES_PER_PIECE", 100)
    assert len(rows.sum(Sizes).sizes) == 2


def test_threads_do_not_pay_off_for_little_work(monkeypatch):
    """For each of two threads, 2400 bytes times the multiplications of an entry must be a hundred."""
    monkeypatch.setattr(blocks, "BYTES_PER_THREAD", 100)
    rows = RowBlocks(np.ones((30, 10)), np.ones((30, 1)))
    assert len(rows.sum(Sizes).sizes) == 2
    assert len(rows.sum(Sizes, work=0.1).sizes) == 2
    assert len(rows.sum(Sizes, work=0.05).sizes) == 1


class Sizes:
    """Accumulator of the numbers of rows that come together."""

    def __init__(self):
        self.sizes = []

    def add(self, X, y, weight):
        self.sizes.append(len(X))

    def merge(self, other):
        self.sizes += other.sizes
