"""Rows that do not fit: a file larger than memory, worker processes, and a cluster on paper.

``python -m benchmarks pieces`` prints three tables. The first two are measured. The third takes the times of
blocks and merges measured here, and plays the reduction of a cluster through with them.
"""

import heapq
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.report import Rows
from gdregress import GradientDescentRegressor
from gdregress.comparison import aligned
from gdregress.rows.dask import FAN_IN
from gdregress.rows.memory import RowBlocks
from gdregress.rows.moments import gather

BUFFER = 2**23
"""Bytes that are read at a time where a file is only read."""

FIT = """
import resource, sys, time
import numpy as np
from gdregress import GradientDescentRegressor
resource.setrlimit(resource.RLIMIT_DATA, 2 * (int(sys.argv[2]),))
X = np.load(sys.argv[1] + "/X.npy", mmap_mode="r")
y = np.load(sys.argv[1] + "/y.npy")
start = time.perf_counter()
model = GradientDescentRegressor().fit(X, y)
print(time.perf_counter() - start, *model.coef_)
"""
"""What a process of its own runs, in which what is allocated is bounded: pages of a mapped file are not."""

BLOCKS = 16
"""Of the rows on worker processes."""

NODES, CORES, ROWS, COLUMNS = 100, 16, 10**9, 1000
"""The cluster on paper, and what it is to fit."""

BANDWIDTH = 1.25e9
"""Bytes a second from node to node: ten gigabits."""


def run(*, quick: bool) -> int:
    """Measure, and print."""
    rng = np.random.default_rng(0)
    print(f"A file larger than memory\n\n{aligned(_file(rng, quick=quick))}\n", flush=True)
    if find_spec("distributed") is None:
        print("Worker processes: left out, distributed is not installed.\n")
    else:
        print(f"Worker processes\n\n{aligned(_workers(quick=quick))}\n", flush=True)
    print(f"{ROWS:.0e} rows on {NODES} nodes, on paper\n\n{aligned(_paper(rng, quick=quick))}")
    return 0


def _file(rng: Generator, *, quick: bool) -> Rows:
    """Fit a file in a process that may allocate a quarter of its size, and read it."""
    n, p = (2**17, 100) if quick else (5 * 2**20, 100)
    size = 8 * n * p
    limit = 2**29 if quick else size // 4
    coef = rng.standard_normal(p)
    with tempfile.TemporaryDirectory() as folder:
        X = np.lib.format.open_memmap(f"{folder}/X.npy", "w+", np.float64, (n, p))
        y = np.empty(n)
        for start in range(0, n, 2**16):
            block = slice(start, start + 2**16)
            X[block] = rng.standard_normal(X[block].shape) * np.logspace(-3, 3, p) + 10
            y[block] = X[block] @ coef
        X.flush()
        del X
        np.save(f"{folder}/y.npy", y)
        reading = min(_seconds(lambda: _read(Path(f"{folder}/X.npy"))) for _ in range(3))
        command = [sys.executable, "-c", FIT, folder, str(limit)]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, *found = map(float, ran.stdout.split())
    error = np.abs((np.array(found) - coef) * np.logspace(-3, 3, p)).max() / y.std()
    heads = ["file", "may allocate", "reading it once", "fit", "fit / reading", "coef. error"]
    return [
        heads,
        [
            _bytes(size),
            _bytes(limit),
            f"{reading:.2f} s",
            f"{seconds:.2f} s",
            f"{seconds / reading:.2f}",
            f"{error:.0e}",
        ],
    ]


def _workers(*, quick: bool) -> Rows:
    """Fit what lies on worker processes, beside the product of the columns and dask-ml's estimator.

    Coefficients are held against those of the normal equations, and with Huber's loss against a fit in memory. What
    is foretold is the reduction on as many cores as there are workers, played through with the time of a block here.
    """
    import dask
    import dask.array as da
    from distributed import Client, LocalCluster, wait

    n, p = (40_000, 50) if quick else (400_000, 200)
    solvers: dict[str, Callable] = {
        "GradientDescentRegressor": partial(GradientDescentRegressor, fit_intercept=False),
        "GradientDescentRegressor(huber)": partial(GradientDescentRegressor, loss="huber", fit_intercept=False),
    }
    if find_spec("dask_ml"):
        from dask_ml.linear_model import LinearRegression

        solvers["dask-ml LinearRegression"] = partial(LinearRegression, fit_intercept=False)

    def data() -> tuple[Any, Any]:
        state = da.random.default_rng(0)
        X = state.standard_normal((n, p), chunks=(n // BLOCKS, p)) * np.logspace(-1, 1, p)
        return X, X @ state.standard_normal(p, chunks=p) + state.standard_normal(n, chunks=n // BLOCKS)

    rng = np.random.default_rng(0)
    times, merging = _block_times(n // BLOCKS, p, rng)
    measured, found = [], []
    for n_workers in (1, 2, 4):
        with (
            LocalCluster(n_workers=n_workers, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
            Client(cluster),
        ):
            X, y = dask.persist(*data())
            wait([X, y])
            product = _fastest(lambda X=X: (X.T @ X).compute(), runs=5)
            measured.append((n_workers, "X.T @ X", product, product))
            for name, make in solvers.items():
                seconds = _fastest(lambda make=make, X=X, y=y: make().fit(X, y), runs=5)
                measured.append((n_workers, name, seconds, product))
                found.append(make().fit(X, y).coef_)
    X, y = dask.compute(*data())
    exact = np.linalg.solve(X.T @ X, X.T @ y), solvers["GradientDescentRegressor(huber)"]().fit(X, y).coef_
    errors = iter(
        np.abs((coef - exact[k % len(solvers) == 1]) * np.logspace(-1, 1, p)).max() for k, coef in enumerate(found)
    )
    rows = [["worker processes", "solver", "seconds", "foretold", "time / X.T @ X", "coef. error"]]
    for n_workers, name, seconds, product in measured:
        error = "-" if name == "X.T @ X" else f"{next(errors):.0e}"
        foretold = "-"
        if name == "GradientDescentRegressor":
            cores = min(n_workers, os.cpu_count() or 1)
            foretold = f"{simulate(times, merging, 0.0, nodes=1, cores=cores, blocks=BLOCKS, rng=rng)[1]:.3f}"
        rows.append([str(n_workers), name, f"{seconds:.3f}", foretold, f"{seconds / product:.2f}", error])
    return rows


def _paper(rng: Generator, *, quick: bool) -> Rows:
    """Take the times of a block and of a merge here, and play the reduction of a cluster through with them."""
    p, block_rows = (200, 2000) if quick else (COLUMNS, 20_000)
    times, merging = _block_times(block_rows, p, rng)
    size = 8 * (p * p + 4 * p)
    blocks = ROWS // block_rows // NODES
    gathered, reduced = simulate(times, merging, size / BANDWIDTH, nodes=NODES, cores=CORES, blocks=blocks, rng=rng)
    ideal = np.mean(times) * blocks / CORES
    return [
        ["what", "figure"],
        [
            "a block here, one core",
            f"{block_rows} x {p}: {1e3 * np.mean(times):.0f} ms, of {_bytes(8 * block_rows * p)}",
        ],
        ["a merge here", f"{1e3 * merging:.1f} ms, of {_bytes(size)}"],
        ["passes over X", "1"],
        ["floating-point operations", f"{float(ROWS) * p * p:.0e}, {float(ROWS) * p * p / NODES:.0e} a node"],
        ["bytes read", f"{_bytes(8.0 * ROWS * p)}, {_bytes(8.0 * ROWS * p / NODES)} a node"],
        [
            "bytes sent from node to node",
            f"{_bytes((NODES - 1) * size)} in all, in {_depth(NODES)} levels of {FAN_IN} to one",
        ],
        [f"blocks on {CORES} cores of each node, at best", f"{ideal:.0f} s"],
        ["blocks, simulated", f"{gathered:.0f} s"],
        ["with the merges between nodes, simulated", f"{reduced:.0f} s"],
    ]


def _block_times(n_rows: int, n_columns: int, rng: Generator) -> tuple[NDArray, float]:
    """Measure the seconds of a block, ten times over, and those of a merge, on one core."""
    X, y = rng.standard_normal((n_rows, n_columns)), rng.standard_normal((n_rows, 1))
    with threadpool_limits(1):
        moments = gather(RowBlocks(X, y, n_threads=1))
        times = np.array([_seconds(lambda: gather(RowBlocks(X, y, n_threads=1))) for _ in range(12)])
        return times[2:], _fastest(lambda: moments.merge(moments))


def simulate(
    times: NDArray, merging: float, sending: float, *, nodes: int, cores: int, blocks: int, rng: Generator
) -> tuple[float, float]:
    """Play through the reduction: blocks on the cores of each node, then a tree of nodes, `FAN_IN` to one.

    What is sent to a node comes in by one wire, and is merged by one core, one after the other.

    Parameters
    ----------
    times : ndarray
        Seconds that blocks took, to be drawn from.
    merging, sending : float
        Seconds to merge two sets of moments, and to send one.
    nodes, cores, blocks : int
        Nodes, cores of each, and blocks on each.
    rng : Generator
        Draws the times.

    Returns
    -------
    gathered, reduced : float
        Seconds until the last node has its moments, and until one has those of all.
    """
    ready = []
    for _ in range(nodes):
        free = [0.0] * cores
        for seconds in rng.choice(times, blocks):
            heapq.heapreplace(free, free[0] + float(seconds) + merging)
        ready.append(max(free) + (cores - 1) * merging)
    gathered, level = max(ready), ready
    while len(level) > 1:
        groups = [level[k : k + FAN_IN] for k in range(0, len(level), FAN_IN)]
        level = [max(group) + (len(group) - 1) * (sending + merging) for group in groups]
    return gathered, level[0]


def _depth(leaves: int) -> int:
    """Count the levels of the tree."""
    return 0 if leaves <= 1 else 1 + _depth(-(-leaves // FAN_IN))


def _read(path: Path) -> None:
    buffer = bytearray(BUFFER)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def _fastest(work: Callable, *, runs: int = 3) -> float:
    return min(_seconds(work) for _ in range(runs))


def _seconds(work: Callable) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _bytes(number: float) -> str:
    """Write a number of bytes in a unit that suits it."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if number < 1024 or unit == "TiB":
            return f"{number:.3g} {unit}"
        number /= 1024
    raise AssertionError
