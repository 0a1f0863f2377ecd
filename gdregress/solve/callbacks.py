"""Callbacks of scikit-learn 1.9 and later: a fit is a task with its epochs as subtasks, a search one with its parts."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
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
        """An empty base class: this version of scikit-learn has no callbacks."""

    def with_callbacks(method):
        """Return a wrapper of a method, so that the stack is as deep as with callbacks: `stacklevel` counts on it."""

        @wraps(method)
        def without_callbacks(estimator, *args, **kwargs):
            return method(estimator, *args, **kwargs)

        return without_callbacks


@dataclass(frozen=True)
class FitTask:
    """A fit that calls callbacks.

    Attributes
    ----------
    context : CallbackContext
        The context of the fit. The epochs are its subtasks.
    told : dict
        Arguments of every call: the estimator, X and y as the user gave them, and the weights.
    """

    context: Any
    told: dict[str, Any]

    @classmethod
    def begin(cls, estimator: BaseEstimator, X, y, sample_weight) -> "FitTask | None":
        """Call the callbacks at the beginning of a fit; return None if the estimator has none."""
        begun = _begin(estimator, X, y, sample_weight, int(estimator.epochs))
        return None if begun is None else cls(*begun)

    def observer(self, solution: Callable[[Epoch], dict[str, Any]]) -> Observer:
        """Return an observer that calls the callbacks at every epoch, and stops if one of them returns True.

        It expects blocks of one epoch.

        Parameters
        ----------
        solution : callable
            Takes an epoch and returns the fitted attributes of it. A callback that asks for them gets those of
            the epoch that the fit would return if it ended there.
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
        """Call the callbacks at the end of the fit."""
        self.context.call_on_fit_task_end(**self.told, reconstruction_attributes={})


@dataclass(frozen=True)
class SearchTask:
    """A search that calls callbacks at the beginning and at the end of each of its parts.

    Attributes
    ----------
    context : CallbackContext
        The context of the search. The parts are its subtasks.
    told : dict
        Arguments of every call: the estimator, X and y as the user gave them, and the weights.
    """

    context: Any
    told: dict[str, Any]

    @classmethod
    def begin(cls, estimator: BaseEstimator, X, y, sample_weight, *, n_parts: int) -> "SearchTask | None":
        """Call the callbacks at the beginning of a search; return None if the estimator has none."""
        begun = _begin(estimator, X, y, sample_weight, n_parts)
        return None if begun is None else cls(*begun)

    @contextmanager
    def part(self, name: str, model: BaseEstimator | None = None) -> Iterator[None]:
        """Call the callbacks around a part of the search; a model that is fitted in it calls them too."""
        context = self.context.subcontext(task_name=name)
        with nullcontext() if model is None else context.propagate_callback_context(model):
            context.call_on_fit_task_begin(**self.told)
            yield
        context.call_on_fit_task_end(**self.told)

    def end(self) -> None:
        """Call the callbacks at the end of the search."""
        self.context.call_on_fit_task_end(**self.told, reconstruction_attributes={})


def _begin(estimator: Any, X, y, sample_weight, n_subtasks: int) -> tuple[Any, dict[str, Any]] | None:
    """Call the callbacks at the beginning of a task; return its context and what they are told, None without them."""
    if not hasattr(estimator, "_skl_callbacks"):
        return None
    metadata = None if sample_weight is None else {"sample_weight": sample_weight}
    told = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
    context = estimator._init_callback_context(max_subtasks=n_subtasks)
    context.call_on_fit_task_begin(**told)
    return context, told


def part_of(task: SearchTask | None, name: str, model: BaseEstimator | None = None) -> AbstractContextManager:
    """Return the context of a part of a search; one that does nothing if there are no callbacks."""
    return nullcontext() if task is None else task.part(name, model)
