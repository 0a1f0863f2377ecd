"""Methods that an estimator has where its parameters allow them."""

from collections.abc import Callable
from functools import partial, update_wrapper
from types import MethodType
from typing import Any, cast


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
