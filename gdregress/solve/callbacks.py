"""scikit-learn's callbacks, which it has from version 1.9 on: every epoch is a task of the fit."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from sklearn.base import BaseEstimator

from gdregress.solve.solve import Observer
from gdregress.solve.stopping import Result, plural
from gdregress.solve.trace import Epoch, Measured, Trace

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing: this scikit-learn has no callbacks to set."""

    def with_callbacks(method):
        """Return a method that does the same, as deep in the stack as with callbacks: warnings count that."""

        @wraps(method)
        def without_callbacks(estimator, *args, **kwargs):
            return method(estimator, *args, **kwargs)

        return without_callbacks


@dataclass(frozen=True)
class FitTask:
    """A fit of which callbacks are told.

    Attributes
    ----------
    context : CallbackContext
        That of the fit; the epochs are its subtasks.
    told : dict
        What every callback may ask for: the estimator, X and y as they were given, and the weights.
    """

    context: Any
    told: dict[str, Any]

    @classmethod
    def begin(cls, estimator: BaseEstimator, X, y, sample_weight) -> "FitTask | None":
        """Tell that a fit begins; None where nobody is to be told."""
        if not hasattr(estimator, "_skl_callbacks"):
            return None
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        told = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        context = estimator._init_callback_context(max_subtasks=int(estimator.epochs))
        context.call_on_fit_task_begin(**told)
        return cls(context, told)

    def observer(self, solution: Callable[[Epoch], dict[str, Any]]) -> Observer:
        """Return the observer that tells of epochs, one by one, and stops where a callback asks to.

        Parameters
        ----------
        solution : callable
            From an epoch to fresh attributes that predict as it does. It is asked for the epoch that would
            be returned, should the fit end there.
        """
        task: Any = None

        def observe(trace: Trace, latest: Measured, result: Result | None) -> Result | None:
            nonlocal task
            kept = trace.kept if result is None else result.kept
            told = {**self.told, "reconstruction_attributes": lambda: solution(kept)}
            if task is not None and task.call_on_fit_task_end(**told) and result is None:
                result = Result(trace, kept, f"stopped by a callback after {plural(trace.number)}")
            if result is None:
                task = self.context.subcontext(task_name="epoch")
                task.call_on_fit_task_begin(**told)
            return result

        return observe

    def end(self) -> None:
        """Tell that the estimator is fitted."""
        self.context.call_on_fit_task_end(**self.told, reconstruction_attributes={})
