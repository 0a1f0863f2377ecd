"""Time and peak memory of one solver, in a process of its own.

Runs of the solver alternate with the product `GRAM`, so that the fastest product, which all are
compared with, is the fastest of a whole benchmark and not of one moment of it.
"""

import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.solvers import COMMON, DIRECT, linear_model, raw_coefficients

GRAM = "X.T @ X"
"""The product alone, which every method that squares X has to form."""

WARM_UP_ROWS = 1000
"""Rows of a fit that comes before those that count, so that what is loaded at the first is in memory."""

ENOUGH_SECONDS = 20.0
"""Time after which a solver is not run again."""

LIMIT_SECONDS = 60.0
"""Time after which a solver that has not finished a run is given up."""

STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Measurement:
    """What a solver took, and what it gave.

    Attributes
    ----------
    solver : str
        Its name.
    seconds : float
        Time of the fastest run; where there is none, that for which it was waited.
    gram_seconds : float
        Time of the fastest product `GRAM` meanwhile.
    runs : int
        Number of runs; 0 for a solver that was given up.
    complaints : tuple of str
        What it warned of, and the error it raised.
    peak_bytes : int or None
        By how much resident memory rose, at most, during the first run.
    coef : ndarray of shape (n_features,) or None
        Coefficients; None without any.
    intercept : float or None
        Intercept; None without any.
    epochs : int or None
        Epochs it counted; None where it counts none.
    """

    solver: str
    seconds: float
    gram_seconds: float
    runs: int
    complaints: tuple[str, ...]
    peak_bytes: int | None = None
    coef: NDArray | None = None
    intercept: float | None = None
    epochs: int | None = None


def measure(solver: str, folder: Path, repeats: int) -> Measurement:
    """Measure a solver in a fresh process, which loads the data itself.

    Parameters
    ----------
    solver : str
        `GRAM`, or a key of `COMMON` or `DIRECT`.
    folder : Path
        With ``X.npy`` and ``y.npy``.
    repeats : int
        Runs, of which there are fewer where `ENOUGH_SECONDS` are spent.

    Returns
    -------
    Measurement
    """
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(sender, solver, folder, repeats))
    process.start()
    sender.close()
    try:
        gram_seconds = receiver.recv()
        if receiver.poll(LIMIT_SECONDS):
            return receiver.recv()
        return Measurement(solver, LIMIT_SECONDS, gram_seconds, 0, (f"given up after {LIMIT_SECONDS:.0f} s.",))
    except EOFError as error:
        raise MemoryError(f"The process of {solver} died, for want of memory perhaps: lower --rows.") from error
    finally:
        process.kill()
        process.join()


def _measure(sender: Connection, solver: str, folder: Path, repeats: int) -> None:
    """Send the time of a product when the solver is about to start, and the measurement when it is done."""
    X, y = np.load(folder / "X.npy"), np.load(folder / "y.npy")
    make = (COMMON | DIRECT).get(solver)

    def work(X: NDArray, y: NDArray):
        return X.T @ X if make is None else make().fit(X, y)

    _attempt(lambda: work(X[:WARM_UP_ROWS], y[:WARM_UP_ROWS]))
    products = [_attempt(lambda: X.T @ X)[1]]
    sender.send(products[0])
    before = _forget_peak()
    result, seconds, complaints = _attempt(lambda: work(X, y))
    peak = _peak() - before
    times = [seconds]
    while len(times) < repeats and sum(times) < ENOUGH_SECONDS:
        products.append(_attempt(lambda: X.T @ X)[1])
        times.append(_attempt(lambda: work(X, y))[1])
    measurement = Measurement(solver, min(times), min(products), len(times), complaints, peak)
    if make is not None and result is not None:
        coef, intercept = raw_coefficients(result)
        epochs = getattr(linear_model(result), "n_iter_", None)
        measurement = replace(measurement, coef=coef, intercept=intercept, epochs=epochs)
    sender.send(measurement)


def _attempt(work: Callable) -> tuple:
    """Give what `work` returns, None where it fails, its time, and what it complained of."""
    with warnings.catch_warnings(record=True) as caught, np.errstate(over="ignore", invalid="ignore"):
        warnings.simplefilter("always")
        start = time.perf_counter()
        try:
            result, failures = work(), []
        except ValueError as failure:
            result, failures = None, [str(failure)]
        seconds = time.perf_counter() - start
    return result, seconds, (*failures, *dict.fromkeys(str(warning.message) for warning in caught))


def _forget_peak() -> int:
    """Let the peak start from what is resident now, and give it in bytes: Linux can, elsewhere the old peak stays."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return _peak()
    return _status("VmRSS")


def _peak() -> int:
    """Give the peak of resident memory in bytes."""
    if STATUS.exists():
        return _status("VmHWM")
    import resource

    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else 1024 * largest


def _status(name: str) -> int:
    """Give a size that Linux tells of this process, in bytes."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return 1024 * int(line.split()[1])
