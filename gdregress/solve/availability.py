"""Methods that an estimator has where its parameters allow them."""

from collections.abc import Callable
from functools import partial, update_wrapper
from types import MethodType
from typing import Any, cast

from gdregress.method.combinations import OPTIMIZERS, missing

LEARN_FROM_BATCHES = [name for name in OPTIMIZERS if not missing("float", name, {"batches"})]
"""Optimizers that need not see the same rows at every epoch; but for "gd" they remember something."""


def needs_rows(estimator: Any) -> dict[str, bool]:
    """Tell of parameters whether they are why an epoch needs the rows themselves."""
    return {
        "learning_rate": not isinstance(estimator.learning_rate, str),
        "loss": estimator.loss != "squared_error",
        "optimizer": estimator.optimizer != "gd" and estimator.optimizer in LEARN_FROM_BATCHES,
        "batch_size": estimator.batch_size is not None,
        "average": bool(estimator.average),
    }


def moments_suffice(estimator: Any) -> bool:
    """Tell whether moments are all that an estimator needs of the rows.

    Parameters
    ----------
    estimator : GradientDescentRegressor
        With its parameters.
    """
    return not any(needs_rows(estimator).values())


def check_takes_chunks(estimator: Any) -> None:
    """Raise an AttributeError where an estimator does not learn from chunks: by moments or by an epoch over each."""
    if estimator.early_stopping:
        raise AttributeError(
            "early_stopping=True needs rows that are held out of all, but chunks are seen one at a time: "
            "set early_stopping=False, or use fit."
        )
    if not moments_suffice(estimator) and estimator.optimizer in set(OPTIMIZERS) - set(LEARN_FROM_BATCHES):
        raise AttributeError(
            f"optimizer={estimator.optimizer!r} needs the same rows at every epoch: of chunks that are seen but once, "
            f"{' or '.join(map(repr, LEARN_FROM_BATCHES))} can learn."
        )


def check_takes_batches(estimator: Any) -> None:
    """Raise an AttributeError where moments are not all that an estimator needs of the rows."""
    check_takes_chunks(estimator)
    for name, needs in needs_rows(estimator).items():
        if needs:
            raise AttributeError(
                f"{name}={getattr(estimator, name)!r} needs the rows at every epoch, but these are read once: "
                "use partial_fit for an epoch over each chunk, or fit."
            )


class Available:
    """A method that an estimator has where its parameters allow it, and that is missing, with a reason, elsewhere.

    It is `sklearn.utils.metaestimators.available_if`, but for what is said: there the last line of a traceback
    is that there is no such attribute, and never why.

    Parameters
    ----------
    method : callable
        What is called.
    check : callable
        Takes the estimator, and raises an AttributeError that says why it has no such method.
    """

    def __init__(self, method: Callable[..., Any], check: Callable[[Any], None]):
        self.method, self.check = method, check
        update_wrapper(cast(Any, self), method)  # doctests are found by it

    def __get__(self, estimator: Any, owner: type | None = None) -> Callable[..., Any]:
        """Give the method, or of the class the function."""
        if estimator is None:
            return self.method
        self.check(estimator)
        return MethodType(self.method, estimator)


def available_where(check: Callable[[Any], None]) -> Callable[[Callable[..., Any]], Available]:
    """Decorate a method that is there where a check passes: see `Available`."""
    return partial(Available, check=check)
