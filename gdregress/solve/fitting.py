"""What every fit is wrapped in: errors that leave an estimator as it was, threads given back, warnings at its end."""

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

from gdregress.method.effects import without_effect
from gdregress.rows.threads import given_back
from gdregress.solve.stopping import Result
from gdregress.solve.validation import for_nothing


@contextmanager
def fitting(estimator: BaseEstimator) -> Iterator[None]:
    """Give back the threads that a fit has taken, and the estimator as it was if an error is raised."""
    with given_back(), _unchanged_on_error(estimator):
        yield


@contextmanager
def _unchanged_on_error(estimator: BaseEstimator) -> Iterator[None]:
    """Restore the attributes of an estimator if an exception is raised."""
    before = dict(estimator.__dict__)
    try:
        yield
    except BaseException:
        estimator.__dict__.clear()
        estimator.__dict__.update(before)
        raise


def in_any_range() -> AbstractContextManager:
    """Ignore floating-point errors, whatever the user's NumPy settings: the descent handles divergence itself.

    An overflow shows as infinity or NaN in the objective, which is checked after every epoch.
    """
    return np.errstate(all="ignore")


def finished(estimator: Any, result: Result | None = None, **facts: bool) -> Any:
    """Return the estimator after its warnings (placed at the user's call), or raise the interrupt that ended the fit.

    Parameters
    ----------
    estimator, result, **facts
        As in `warnings_of`.
    """
    for warning in warnings_of(estimator, result, **facts):
        warnings.warn(warning, stacklevel=3)
    if result is not None and result.interrupt is not None:
        raise result.interrupt
    return estimator


def warnings_of(
    estimator: Any, result: Result | None = None, *, given: bool = False, in_chunks: bool = False, is_first: bool = True
) -> Iterator[Warning]:
    """Yield what is to be said of a fit.

    Parameters
    ----------
    estimator : GradientDescentRegressor
        The fitted estimator.
    result : Result or None, default=None
        How the descent ended; None after an epoch over a chunk.
    given, in_chunks : bool, default=False
        Whether validation rows were given, and whether there was an epoch over a chunk.
    is_first : bool, default=True
        Whether these are the first rows, so that nothing was said yet of the parameters.
    """
    if result is not None and result.is_warning:
        yield ConvergenceWarning(result.reason)
    if is_first:
        yield from map(UserWarning, without_effect(estimator, given=given, in_chunks=in_chunks))
    if result is not None:
        yield from map(UserWarning, result.remarks)
    if estimator.early_stopping and estimator.converged_ and not given:
        yield UserWarning(for_nothing(estimator))
