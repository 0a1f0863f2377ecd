"""Rows that do not fit: a file larger than memory, and worker processes."""

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
import pandas as pd

from benchmarks.report import markdown
from gdregress import GradientDescentRegressor

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


def run(*, quick: bool) -> int:
    """Measure, and print."""
    print(f"A file larger than memory\n\n{markdown(_file(quick=quick))}\n", flush=True)
    if find_spec("distributed") is None:
        print("Worker processes: left out, distributed is not installed.")
    else:
        print(f"Worker processes\n\n{markdown(_workers(quick=quick))}")
    return 0


def _file(*, quick: bool) -> pd.DataFrame:
    """Fit a file in a process that may allocate a quarter of its size, and read it."""
    n, p = (2**17, 100) if quick else (5 * 2**20, 100)
    limit = 2**29 if quick else 8 * n * p // 4
    rng = np.random.default_rng(0)
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
        reading = _fastest(lambda: _read(Path(f"{folder}/X.npy")), runs=3)
        command = [sys.executable, "-c", FIT, folder, str(limit)]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, *found = map(float, ran.stdout.split())
    error = np.abs((np.array(found) - coef) * np.logspace(-3, 3, p)).max() / y.std()
    row = {
        "file": f"{8 * n * p / 2**30:.2g} GiB",
        "may allocate": f"{limit / 2**30:.2g} GiB",
        "reading it once": f"{reading:.2f} s",
        "fit": f"{seconds:.2f} s",
        "fit / reading": f"{seconds / reading:.2f}",
        "coef. error": f"{error:.0e}",
    }
    return pd.DataFrame([row])


def _workers(*, quick: bool) -> pd.DataFrame:
    """Fit what lies on worker processes, beside the product of the columns and dask-ml's estimator.

    Coefficients are held against those of the normal equations, and with Huber's loss against a fit in memory.
    """
    import dask
    import dask.array as da
    from distributed import Client, LocalCluster, wait

    n, p = (40_000, 50) if quick else (400_000, 200)
    scale = np.logspace(-1, 1, p)
    solvers: dict[str, Callable] = {
        "GradientDescentRegressor": partial(GradientDescentRegressor, fit_intercept=False),
        "GradientDescentRegressor(huber)": partial(GradientDescentRegressor, loss="huber", fit_intercept=False),
    }
    if find_spec("dask_ml"):
        from dask_ml.linear_model import LinearRegression

        solvers["dask-ml LinearRegression"] = partial(LinearRegression, fit_intercept=False)

    def data() -> tuple[Any, Any]:
        state = da.random.default_rng(0)
        X = state.standard_normal((n, p), chunks=(n // BLOCKS, p)) * scale
        return X, X @ state.standard_normal(p, chunks=p) + state.standard_normal(n, chunks=n // BLOCKS)

    X, y = dask.compute(*data())
    exact = dict.fromkeys(solvers, np.linalg.solve(X.T @ X, X.T @ y))
    exact["GradientDescentRegressor(huber)"] = solvers["GradientDescentRegressor(huber)"]().fit(X, y).coef_
    rows = []
    for n_workers in (1, 2, 4):
        with (
            LocalCluster(n_workers=n_workers, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
            Client(cluster),
        ):
            X, y = dask.persist(*data())
            wait([X, y])
            product = _fastest(lambda X=X: (X.T @ X).compute(), runs=5)
            measured = {"X.T @ X": (product, "-")}
            for name, make in solvers.items():
                seconds = _fastest(lambda make=make, X=X, y=y: make().fit(X, y), runs=5)
                error = np.abs((make().fit(X, y).coef_ - exact[name]) * scale).max()
                measured[name] = seconds, f"{error:.0e}"
        for name, (seconds, error) in measured.items():
            row = {"worker processes": n_workers, "solver": name, "seconds": f"{seconds:.3f}"}
            rows.append(row | {"time / X.T @ X": f"{seconds / product:.2f}", "coef. error": error})
    return pd.DataFrame(rows)


def _read(path: Path) -> None:
    buffer = bytearray(BUFFER)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def _fastest(work: Callable, *, runs: int) -> float:
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
