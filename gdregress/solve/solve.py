"""The one loop: a solver yields states, rules say when it is enough, observers look on."""

from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

from gdregress.method.states import Solver
from gdregress.problem.problem import Problem
from gdregress.solve.stopping import Result, Stopping, plural
from gdregress.solve.trace import Measured, Trace

Observer = Callable[[Trace, Measured, Result | None], Result | None]
"""Looks on: told of the trace, of the epochs that were appended last, and how the descent ends there, if it does.

What it returns is how the descent ends there: what it was told, or a result of its own.
"""


def solve(
    problem: Problem,
    solver: Solver,
    start: NDArray,
    stopping: Stopping,
    observers: Sequence[Observer] = (),
    *,
    validate: Callable[[NDArray], NDArray] | None = None,
    record: Callable[[NDArray], Any] | None = None,
    one_by_one: bool = False,
) -> Result:
    """Minimise a problem until a rule, an observer, the solver itself or an interrupt ends it.

    Parameters
    ----------
    problem : Problem
        What is minimised.
    solver : Solver
        What yields states.
    start : ndarray of shape (n_coordinates, n_outputs)
        Where it starts.
    stopping : Stopping
        When it is enough.
    observers : sequence of Observer, default=()
        Told of every block of epochs, in this order, once the rules have been asked; they may stop too.
    validate : callable, default=None
        From points side by side to the losses of validation rows, output by output; the epoch of least is kept.
    record : callable, default=None
        From points of shape (n_coordinates, n_epochs, n_outputs) to what is recorded of them.
    one_by_one : bool, default=False
        Whether rules and observers are asked after every single epoch, and not after blocks of them.

    Returns
    -------
    Result
    """
    trace = Trace(keeps_best=validate is not None, record=record)
    try:
        for block in solver.iterates(problem, start):
            measured = Measured.of(problem, block, validate)
            for epochs in measured.one_by_one() if one_by_one else [measured]:
                latest, rule = stopping.first(trace, epochs)
                trace.append(latest)
                result = _observed(observers, trace, latest, None if rule is None else rule.result(trace))
                if result is not None:
                    return result
        result = stopping.ended(trace)
        return _observed(observers, trace, latest.head(0), result) or result
    except KeyboardInterrupt as interrupt:
        if trace.n_states == 0:
            raise
        reason = f"interrupted after {plural(trace.number)}: the coefficients reached are kept"
        return Result(trace, trace.kept, reason, interrupt=interrupt)


def _observed(observers: Sequence[Observer], trace: Trace, latest: Measured, result: Result | None) -> Result | None:
    for observe in observers:
        result = observe(trace, latest, result)
    return result
