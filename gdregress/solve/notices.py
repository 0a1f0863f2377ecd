"""Warnings to the user: with figures where a model is fitted by itself, once a cause where a search fits many."""

import warnings
from functools import lru_cache
from typing import Any
from uuid import uuid4

from sklearn.base import BaseEstimator


@lru_cache(maxsize=16)
def said_in(search: str) -> set[str]:
    """Return what this process has said in one of the last searches; other processes remember their own."""
    return set()


class NoticesMixin(BaseEstimator):
    """An estimator that says each cause once in a search.

    A candidate is a clone that `set_params` has configured, or a clone of a clone. A search clones the estimator, and
    clones that clone for each candidate and split, so that the clones of a clone share the name of a search. Python's
    own memory does not do for it: scikit-learn changes the filters of warnings for a moment wherever it checks arrays,
    and with every change Python forgets what it has shown.
    """

    def set_params(self, **params: Any) -> Any:
        """Set parameters, and remember which were set together: a search sets those that it varies.

        Parameters
        ----------
        **params : dict
            Values by name.

        Returns
        -------
        self : estimator
            This estimator.
        """
        super().set_params(**params)
        if params:
            self._varied = tuple(params)
        return self

    def __sklearn_clone__(self) -> Any:
        """Return a clone. It is of the same search as the other clones of this estimator, if this is a clone too."""
        clone = super().__sklearn_clone__()
        if "_search" in vars(self):
            clone._search, clone._varied = self._search, ()
        else:
            clone._search = uuid4().hex
        return clone

    def _warn(self, reason: str, notice: str, category: type[Warning], *, stacklevel: int) -> None:
        """Warn with the reason; with the notice, and once, if this is a candidate of a search.

        Parameters
        ----------
        reason : str
            What is said of a single fit.
        notice : str
            The same without figures of the data and without values that the search varies.
        category : type
            Class of the warning.
        stacklevel : int
            As in `warnings.warn`, counted from the caller.
        """
        is_candidate = {"_search", "_varied"} <= vars(self).keys()
        if not is_candidate:
            warnings.warn(reason, category, stacklevel=stacklevel + 1)
        elif notice not in said_in(self._search):
            warnings.warn(notice, category, stacklevel=stacklevel + 1)
            said_in(self._search).add(notice)
