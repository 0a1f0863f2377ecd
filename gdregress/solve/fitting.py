"""What every fit is wrapped in: errors that leave an estimator as it was, threads given back, warnings at its end."""

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


def finished(
    estimator: Any, result: Result | None = None, *, given: bool = False, in_chunks: bool = False, is_first: bool = True
) -> Any:
    """Return the estimator after its warnings (placed at the user's call), or raise the interrupt that ended it.

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
    if result is not None and result.notice is not None:
        estimator._warn(result.reason, result.notice, ConvergenceWarning, stacklevel=3)
    if result is not None and result.interrupt is not None:
        raise result.interrupt
    varied = estimator._varied if estimator._is_candidate else ()
    notices = list(without_effect(estimator, varied, given=given, in_chunks=in_chunks)) if is_first else []
    if result is not None and result.remark is not None and "epsilon" not in varied:
        notices.append(result.remark)
    if estimator.early_stopping and estimator.converged_ and not given:
        reason = notice = for_nothing(estimator)
        notices.append((reason, notice))
    for reason, notice in notices:
        if not estimator._was_said(notice):  # of parameters, which the last fit of a search shares with the others
            estimator._warn(reason, notice, UserWarning, stacklevel=3)
    estimator._forget_search()
    return estimator
