"""Time and memory of one solver on one problem, in a process of its own.

The process is new and has computed nothing; where the system can, it comes from a server that has
imported scikit-learn already.
"""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.connection import Connection
from pathlib import Path

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from benchmarks.solvers import fit, linear_model, raw_coefficients

WARM_UP_ENTRIES = 10**5
"""Entries of X in a fit that comes before those that count, so that what is loaded at the first is in memory."""

ENOUGH_SECONDS = 20.0
"""Time that fits after the first may take."""

LIMIT_SECONDS = 60.0
"""Time after which a solver that has not finished its first fit is given up."""

STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Measurement:
    """What a solver took, and what it gave.

    Attributes
    ----------
    seconds : float or None
        Time of the fastest fit; of a solver that was given up, that for which it was waited; None of one that failed.
    runs : int, default=0
        Number of fits; 0 for a solver that was given up or failed.
    complaints : str, default=""
        What it warned of, and the error it raised.
    peak_bytes : int, default=None
        By how much resident memory rose, at most, during the first fit; None where the system does not tell.
    busy_cores : float, default=None
        Processor time over time, of the fastest fit.
    coef : ndarray of shape (n_features,), default=None
        Coefficients; None without any.
    intercept : float, default=None
        Intercept; None without any.
    epochs : int, default=None
        Epochs or iterations, as it counts them.
    converged : bool, default=None
        Whether it says that it arrived; None where it doesn't say, or was not asked to.
    """

    seconds: float | None
    runs: int = 0
    complaints: str = ""
    peak_bytes: int | None = None
    busy_cores: float | None = None
    coef: NDArray | None = None
    intercept: float | None = None
    epochs: int | None = None
    converged: bool | None = None


def measure(model: BaseEstimator, file: Path, repeats: int) -> Measurement:
    """Measure the fit of a model in a new process, which loads the data itself.

    Parameters
    ----------
    model : estimator
        What is fitted.
    file : Path
        With the data.
    repeats : int
        Fits of which the fastest counts, as far as time allows.
    """
    context = get_context("forkserver" if "forkserver" in get_all_start_methods() else "spawn")
    if context.get_start_method() == "forkserver":
        context.set_forkserver_preload([__name__])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(sender, model, file, repeats))
    process.start()
    sender.close()
    try:
        receiver.recv()  # it is warm
        if not receiver.poll(LIMIT_SECONDS):
            return Measurement(LIMIT_SECONDS, complaints=f"given up after {LIMIT_SECONDS:.0f} s.")
        receiver.recv()  # its first fit is done
        return receiver.recv()
    except EOFError:
        process.join()
        return Measurement(None, complaints=f"its process ended with exit code {process.exitcode}.")
    finally:
        process.kill()
        process.join()


def _measure(sender: Connection, model: BaseEstimator, file: Path, repeats: int) -> None:
    """Send word when the model is warm and when its first fit is done, and then the measurement."""
    X, y, sample_weight, _ = joblib.load(file)
    few = slice(max(20, WARM_UP_ENTRIES // X.shape[1]))
    _run(lambda: fit(model, X[few], y[few], None if sample_weight is None else sample_weight[few]))
    sender.send(None)
    before = _status("VmRSS") if _forget_peak() else None
    runs = [_run(lambda: fit(model, X, y, sample_weight))]
    peak = None if before is None else _status("VmHWM") - before
    sender.send(None)
    start = time.perf_counter()
    first_seconds, _, complaints, has_failed = runs[0]
    while not has_failed and len(runs) < repeats and time.perf_counter() - start + first_seconds < ENOUGH_SECONDS:
        runs.append(_run(lambda: fit(model, X, y, sample_weight)))
    if has_failed:
        sender.send(Measurement(None, complaints=complaints))
        return
    seconds, processor_seconds, *_ = min(runs)
    solution = (*raw_coefficients(model), *_progress(model)) if hasattr(linear_model(model), "coef_") else ()
    sender.send(Measurement(seconds, len(runs), complaints, peak, processor_seconds / seconds, *solution))


def _run(work: Callable) -> tuple[float, float, str, bool]:
    """Give the time of work, its processor time, what it complained of, and whether it failed."""
    with warnings.catch_warnings(record=True) as caught, np.errstate(over="ignore", invalid="ignore"):
        warnings.simplefilter("always")
        start, processor_start = time.perf_counter(), time.process_time()
        failures: list[str] = []
        try:
            work()
        except Exception as failure:
            failures = [f"{type(failure).__name__}: {failure}"]
        times = time.perf_counter() - start, time.process_time() - processor_start
    complaints = dict.fromkeys([*failures, *(str(warning.message) for warning in caught)])
    return *times, " ".join(" ".join(complaints).split()), bool(failures)


def _progress(fitted: BaseEstimator) -> tuple[int | None, bool | None]:
    """Give the epochs of a model, and whether it says that it arrived: else it stops short of its iterations."""
    model = linear_model(fitted)
    if getattr(model, "n_iter_", None) is None:
        return None, None
    epochs, most = int(np.max(model.n_iter_)), getattr(model, "max_iter", None)
    if getattr(model, "tol", 0.0) is None:
        return epochs, None
    return epochs, getattr(model, "converged_", None if most is None else epochs < most)


def _forget_peak() -> bool:
    """Let the peak of resident memory start from what is resident now: Linux can, and tells so."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return STATUS.exists()


def _status(name: str) -> int:
    """Give a size that Linux tells of this process, in bytes."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return 1024 * int(line.split()[1])
