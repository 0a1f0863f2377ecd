"""Callbacks of scikit-learn 1.9 and later: a fit is a task with its epochs as subtasks, a search one with its parts."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from sklearn.base import BaseEstimator

from gdregress.rows.wording import count
from gdregress.solve.solve import Observer
from gdregress.solve.stopping import Result
from gdregress.solve.trace import Epoch, Measured, Trace

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """An empty base class: this version of scikit-learn has no callbacks."""

    def with_callbacks(method):
        """Return the method: this version of scikit-learn has no callbacks."""
        return method


class Task:
    """A fit or a search of an estimator without callbacks: nobody is told of it."""

    @staticmethod
    def begin(estimator: Any, X, y, sample_weight, *, n_subtasks: int) -> "Task":
        """Call the callbacks of an estimator, if it has any, at the beginning of a fit or a search.

        Parameters
        ----------
        estimator : estimator
            The estimator.
        X, y, sample_weight : object
            Its training rows, as the user gave them.
        n_subtasks : int
            Number of epochs or parts, at most.
        """
        if not hasattr(estimator, "_skl_callbacks"):  # scikit-learn has no public name for this
            return NOBODY
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        told = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        context = estimator._init_callback_context(max_subtasks=n_subtasks)
        context.call_on_fit_task_begin(**told)
        return ToldTask(context, told)

    def observers(self, solution: Callable[[Epoch], dict[str, Any]]) -> Sequence[Observer]:
        """Return the observers of the epochs of a fit, which expect blocks of one epoch.

        Parameters
        ----------
        solution : callable
            Takes an epoch and returns the fitted attributes of it. A callback that asks for them gets those of
            the epoch that the fit would return if it ended there.
        """
        return ()

    def part(self, name: str, model: BaseEstimator | None = None) -> AbstractContextManager[None]:
        """Return the context of a part of a search; a model that is fitted in it calls the callbacks too."""
        return nullcontext()

    def end(self) -> None:
        """End the fit or the search."""


NOBODY = Task()
"""The task of an estimator without callbacks."""


@dataclass(frozen=True)
class ToldTask(Task):
    """A fit or a search that calls callbacks.

    Attributes
    ----------
    context : CallbackContext
        Its context. The epochs of a fit, or the parts of a search, are its subtasks.
    told : dict
        Arguments of every call: the estimator, X and y as the user gave them, and the weights.
    """

    context: Any
    told: dict[str, Any]

    def observers(self, solution: Callable[[Epoch], dict[str, Any]]) -> Sequence[Observer]:
        """Return an observer that calls the callbacks at every epoch, and stops if one of them returns True."""
        task: Any = None

        def observe(trace: Trace, latest: Measured, result: Result | None) -> Result | None:
            nonlocal task
            kept = trace.kept if result is None else result.kept
            told = {**self.told, "reconstruction_attributes": lambda: solution(kept)}
            if task is not None and task.call_on_fit_task_end(**told) and result is None:
                result = Result(trace, kept, f"stopped by a callback after {count(trace.number, 'epoch')}")
            if result is None:
                task = self.context.subcontext(task_name="epoch")
                task.call_on_fit_task_begin(**told)
            return result

        return [observe]

    @contextmanager
    def part(self, name: str, model: BaseEstimator | None = None) -> Iterator[None]:
        """Call the callbacks around a part of the search."""
        context = self.context.subcontext(task_name=name)
        with nullcontext() if model is None else context.propagate_callback_context(model):
            context.call_on_fit_task_begin(**self.told)
            yield
        context.call_on_fit_task_end(**self.told)

    def end(self) -> None:
        """Call the callbacks at the end."""
        self.context.call_on_fit_task_end(**self.told, reconstruction_attributes={})
