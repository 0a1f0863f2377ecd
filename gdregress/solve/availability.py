"""Which of `partial_fit`, `fit_batches` and `merge` an estimator has, given its parameters."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial, update_wrapper
from types import MethodType
from typing import Any, cast

from gdregress.method.combinations import OPTIMIZERS, Pair
from gdregress.method.spec import Spec

LEARN_FROM_BATCHES = [name for name in OPTIMIZERS if not Pair("float", name).missing({"batches"})]
"""Optimizers that can learn from chunks, because they need not see the same rows at every epoch."""


def needs_rows(spec: Spec) -> dict[str, bool]:
    """Return, for each parameter that decides it, whether an epoch needs the rows because of its value."""
    steps = spec.steps
    return {
        "learning_rate": steps.is_number,
        "loss": not spec.terms.is_squared_error,
        "optimizer": steps.optimizer != "gd" and steps.optimizer in LEARN_FROM_BATCHES,
        "batch_size": steps.batch_size is not None,
        "average": steps.average > 0,
    }


def moments_suffice(spec: Spec) -> bool:
    """Return whether the moments of the rows are all that a fit needs."""
    return not any(needs_rows(spec).values())


def check_takes_chunks(estimator: Any) -> None:
    """Raise an AttributeError if the parameters allow neither the moments of chunks nor an epoch over each."""
    spec = Spec.of(estimator)
    if spec.limits.early_stopping:
        raise AttributeError(
            "early_stopping=True needs validation rows from the whole data, but partial_fit sees one chunk at a time: "
            "set early_stopping=False, or use fit."
        )
    if spec.fits_scale:
        raise AttributeError(
            "epsilon='auto' needs the residuals of all rows, but partial_fit sees one chunk at a time: give epsilon a "
            "number, or use fit."
        )
    optimizer = spec.steps.optimizer
    if not moments_suffice(spec) and optimizer in set(OPTIMIZERS) - set(LEARN_FROM_BATCHES):
        raise AttributeError(
            f"optimizer={optimizer!r} needs the same rows at every epoch, but a chunk is seen only once: "
            f"use {' or '.join(map(repr, LEARN_FROM_BATCHES))}."
        )


def check_takes_batches(estimator: Any) -> None:
    """Raise an AttributeError if the parameters need more of the rows than their moments."""
    check_takes_chunks(estimator)
    for name, needs in needs_rows(Spec.of(estimator)).items():
        if needs:
            raise AttributeError(
                f"{name}={getattr(estimator, name)!r} needs the rows at every epoch, but these are read once: "
                "use partial_fit for an epoch over each chunk, or fit."
            )


class Available:
    """A method that an estimator has only if its parameters allow it.

    It replaces `sklearn.utils.metaestimators.available_if`, whose tracebacks end by saying that there is no such
    attribute. Here they end with the reason.

    Parameters
    ----------
    method : callable
        The method.
    check : callable
        Takes the estimator, and raises an AttributeError with the reason if it has no such method.
    """

    def __init__(self, method: Callable[..., Any], check: Callable[[Any], None]):
        self.method, self.check = method, check
        update_wrapper(cast(Any, self), method)  # so that doctest finds the examples

    def __get__(self, estimator: Any, owner: type | None = None) -> Callable[..., Any]:
        """Return the bound method of an estimator; the function, if it is looked up on the class."""
        if estimator is None:
            return self.method
        with suppress(ValueError):  # of parameters that are not valid: the call raises it
            self.check(estimator)
        return MethodType(self.method, estimator)


def available_where(check: Callable[[Any], None]) -> Callable[[Callable[..., Any]], Available]:
    """Return a decorator for methods that an estimator has only if `check` passes: see `Available`."""
    return partial(Available, check=check)
