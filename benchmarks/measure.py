"""Time, memory and threads of one solver on one problem, in a process of its own.

The process is new and has computed nothing; where the system can, it comes from a server that has
imported scikit-learn already. Runs of the solver alternate with the product `GRAM` where that
competes, so that the fastest product is the fastest of a whole benchmark and not of one moment of it.
"""

import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_info

from benchmarks.problems import GRAM, Problem
from benchmarks.solvers import SOLVERS, linear_model, raw_coefficients
from benchmarks.storage import read

WARM_UP_ENTRIES = 10**5
"""Entries of X in a fit that comes before those that count, so that what is loaded at the first is in memory."""

REST_SECONDS = 0.2
"""Time between a product and a fit: BLAS's threads look for more work for a while, on the cores of others."""

STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Effort:
    """How often and how long a solver is run.

    Attributes
    ----------
    repeats : int or None
        Fits of which the fastest counts; None leaves it to the problem.
    enough_seconds : float
        Time that further fits may take.
    limit_seconds : float
        Time after which a solver that has not finished its first fit is given up.
    """

    repeats: int | None
    enough_seconds: float
    limit_seconds: float


@dataclass(frozen=True)
class Measurement:
    """What a solver took, and what it gave.

    Attributes
    ----------
    solver : str
        Its name.
    seconds : float or None
        Time of the fastest fit; of a solver that was given up, that for which it was waited; None
        of one that failed.
    runs : int
        Number of fits; 0 for a solver that was given up or failed.
    complaints : tuple of str
        What it warned of, and the error it raised.
    gram_seconds : float or None
        Time of the fastest product `GRAM` meanwhile.
    longer_seconds : float or None
        Time of the fastest fit of as many epochs as `Descent.longer` says.
    peak_bytes : int or None
        By how much resident memory rose, at most, during the first fit.
    busy_cores : float or None
        Processor time over time, of the fastest fit.
    threads : dict of str to int
        Threads that each library may use.
    coef : ndarray of shape (n_features,) or None
        Coefficients; None without any.
    intercept : float or None
        Intercept; None without any.
    epochs : int or None
        Epochs or iterations, as it counts them.
    converged : bool or None
        Whether it says that it arrived; None where it doesn't say, or was not asked to.
    """

    solver: str
    seconds: float | None
    runs: int
    complaints: tuple[str, ...]
    gram_seconds: float | None = None
    longer_seconds: float | None = None
    peak_bytes: int | None = None
    busy_cores: float | None = None
    threads: dict[str, int] | None = None
    coef: NDArray | None = None
    intercept: float | None = None
    epochs: int | None = None
    converged: bool | None = None


@dataclass(frozen=True)
class _Run:
    """One run: what came of it, its time, its processor time, and what it complained of."""

    result: object
    seconds: float
    processor_seconds: float
    complaints: tuple[str, ...]


def measure(solver: str, problem: Problem, folder: Path, effort: Effort) -> Measurement:
    """Measure a solver in a new process, which loads the data itself.

    Parameters
    ----------
    solver : str
        A key of `SOLVERS`.
    problem : Problem
        What it solves.
    folder : Path
        With the data of the problem.
    effort : Effort
        How often, and for how long.
    """
    context = get_context("forkserver" if "forkserver" in get_all_start_methods() else "spawn")
    if context.get_start_method() == "forkserver":
        context.set_forkserver_preload([__name__])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(sender, solver, problem, folder, effort))
    process.start()
    sender.close()
    limit = effort.limit_seconds
    try:
        receiver.recv()  # it is warm
        for patience in (limit, None):
            if not receiver.poll(patience):
                return Measurement(solver, limit, 0, (f"given up after {limit:.0f} s.",))
            message = receiver.recv()
    except EOFError:
        process.join()
        return Measurement(solver, None, 0, (f"its process ended with exit code {process.exitcode}.",))
    finally:
        process.kill()
        process.join()
    return message


def _measure(sender: Connection, solver: str, problem: Problem, folder: Path, effort: Effort) -> None:
    """Send word when the solver is warm and when its first fit is done, and then the measurement."""
    X, y = read(folder)
    make = SOLVERS[solver].make

    has_gram = GRAM in problem.solvers

    def fit(problem: Problem) -> _Run:
        model = make(problem)
        return after_rest(lambda: model.fit(X, y))

    def after_rest(work: Callable) -> _Run:
        if has_gram:
            time.sleep(REST_SECONDS)
        return _run(work)

    rows = max(20, WARM_UP_ENTRIES // X.shape[1])
    _run(lambda: make(problem).fit(X[:rows], y[:rows]))
    sender.send(None)
    before = _forget_peak()
    first = fit(problem)
    peak = _peak() - before
    sender.send(None)

    longer = problem.descent and problem.descent.longer and replace(problem.descent, epochs=problem.descent.longer)
    fits, products, more = [first], [], []
    start = time.perf_counter()
    while first.result is not None:
        if has_gram:
            products.append(after_rest(lambda: X.T @ X).seconds)
        if longer:
            more.append(fit(replace(problem, descent=longer)).seconds)
        spent = time.perf_counter() - start
        a_round = spent / len(fits) + first.seconds
        if len(fits) >= (effort.repeats or problem.repeats) or spent + a_round > effort.enough_seconds:
            break
        fits.append(fit(problem))

    if first.result is None:
        sender.send(Measurement(solver, None, 0, first.complaints))
        return
    fastest = min(fits, key=lambda run: run.seconds)
    measurement = Measurement(
        solver,
        fastest.seconds,
        len(fits),
        first.complaints,
        min(products, default=None),
        min(more, default=None),
        peak,
        fastest.processor_seconds / fastest.seconds,
        threads_allowed(),
    )
    if hasattr(linear_model(first.result), "coef_"):
        coef, intercept = raw_coefficients(first.result)
        epochs, converged = _progress(linear_model(first.result))
        measurement = replace(measurement, coef=coef, intercept=intercept, epochs=epochs, converged=converged)
    sender.send(measurement)


def _run(work: Callable) -> _Run:
    """Time `work`, of which nothing comes where it fails."""
    with warnings.catch_warnings(record=True) as caught, np.errstate(over="ignore", invalid="ignore"):
        warnings.simplefilter("always")
        start, processor_start = time.perf_counter(), time.process_time()
        try:
            result, failures = work(), []
        except Exception as failure:
            result, failures = None, [f"{type(failure).__name__}: {failure}"]
        seconds, processor_seconds = (time.perf_counter() - start, time.process_time() - processor_start)
    return _Run(
        result, seconds, processor_seconds, (*failures, *dict.fromkeys(str(warning.message) for warning in caught))
    )


def _progress(model) -> tuple[int | None, bool | None]:
    """Give the epochs of a model, and whether it says that it arrived: else it stops short of its iterations."""
    epochs = getattr(model, "n_iter_", None)
    if epochs is None:
        return None, None
    epochs = int(np.max(epochs))
    if getattr(model, "tol", 0.0) is None:
        return epochs, None
    if hasattr(model, "converged_"):
        return epochs, bool(model.converged_)
    most = getattr(model, "max_iter", None)
    return epochs, None if most is None else epochs < most


def threads_allowed() -> dict[str, int]:
    """Give the threads of each library that tells, of those that are loaded."""
    pools = threadpool_info()
    return {
        pool["prefix"]: max(one["num_threads"] for one in pools if one["prefix"] == pool["prefix"]) for pool in pools
    }


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
