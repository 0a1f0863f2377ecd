"""The loop of every fit: a solver yields states, stopping rules end the descent, observers follow it."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from numpy.typing import NDArray

from gdregress.method.states import LONGEST, Block, Solver
from gdregress.problem.problem import Problem
from gdregress.rows.wording import count
from gdregress.solve.stopping import Result, Stopping
from gdregress.solve.trace import Measured, Trace

Observer = Callable[[Trace, Measured, Result | None], Result | None]
"""A function called after every block of epochs with the trace, the block, and the result if the descent ends there.

It returns the result it was given, or, where that is None, a result that ends the descent.
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
    """Minimise a problem until a stopping rule, an observer, the solver or an interrupt ends the descent.

    Parameters
    ----------
    problem : Problem
        The problem to minimise.
    solver : Solver
        Yields blocks of states.
    start : ndarray of shape (n_coordinates, n_outputs)
        The starting point.
    stopping : Stopping
        The stopping rules.
    observers : sequence of Observer, default=()
        Called in this order after every block of epochs, once the stopping rules have been checked.
    validate : callable, default=None
        Takes points side by side, of shape (n_coordinates, n_points * n_outputs), and returns the loss on the
        validation rows for each column. If given, the epoch of least validation loss is kept.
    record : callable, default=None
        Takes points of shape (n_coordinates, n_epochs, n_outputs) and returns what the trace records of them.
    one_by_one : bool, default=False
        Whether to check the rules and call the observers after every single epoch, instead of after every block.

    Returns
    -------
    Result
        How the descent ended, with its trace and the epoch to return.

    Raises
    ------
    KeyboardInterrupt
        If an interrupt comes before the start is measured. A later one is stored in the result.
    """
    trace = Trace(keeps_best=validate is not None, record=record)
    try:
        for measured in _measured(problem, solver.iterates(problem, start), validate, stopping.stands_still):
            for epochs in measured.one_by_one() if one_by_one else [measured]:
                latest, rule = stopping.first(trace, epochs)
                trace.append(latest)
                result = _observed(observers, trace, latest, None if rule is None else rule.result(trace))
                if result is not None:
                    return result
        result = stopping.ended(trace)
        _observed(observers, trace, latest.head(0), result)
        return result
    except KeyboardInterrupt as interrupt:
        if trace.n_states == 0:
            raise
        reason = f"interrupted after {count(trace.number, 'epoch')}: the coefficients reached are kept"
        return Result(trace, trace.kept, reason, interrupt=interrupt)


def _measured(
    problem: Problem,
    blocks: Iterator[Block],
    validate: Callable[[NDArray], NDArray] | None,
    stands_still: bool,
) -> Iterator[Measured]:
    """Yield measured blocks; epochs that stand still once the solver has ended, for ever, if there are to be more."""
    for block in blocks:
        measured = Measured.of(problem, block, validate)
        yield measured
    while stands_still:
        yield measured.standing(LONGEST)


def _observed(observers: Sequence[Observer], trace: Trace, latest: Measured, result: Result | None) -> Result | None:
    for observe in observers:
        result = observe(trace, latest, result)
    return result
