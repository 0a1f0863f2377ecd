"""Warnings to the user: with figures where a model is fitted by itself, once a cause where a search fits many."""

import warnings
from functools import lru_cache
from inspect import currentframe
from typing import Any
from uuid import uuid4

from sklearn.base import BaseEstimator

SEARCHES = ("sklearn.model_selection", "gdregress.tuning.search")
"""Beginnings of the names of the modules whose functions fit many candidates."""


@lru_cache(maxsize=16)
def said_in(search: str) -> set[str]:
    """Return what this process has said in one of the last searches; other processes remember their own."""
    return set()


def is_in_search() -> bool:
    """Return whether a search is running: scikit-learn's model selection or our own, in each of its processes."""
    frame = currentframe()
    while frame is not None:
        if str(frame.f_globals.get("__name__")).startswith(SEARCHES):
            return True
        frame = frame.f_back
    return False


class NoticesMixin(BaseEstimator):
    """An estimator that says each cause once in a search.

    A candidate is a clone of a clone, or one that `set_params` has configured, both made and fitted while a search
    runs: the same in a loop of the user's is no search, and every fit there warns. A
    search clones the estimator, and clones that clone for each candidate and split, so that the clones of a clone share
    the name of a search. Python's own memory does not do for it: scikit-learn changes the filters of warnings for a
    moment wherever it checks arrays, and with every change Python forgets what it has shown.
    """

    def set_params(self, **params: Any) -> Any:
        """Set parameters. In a search it is remembered which were set together: those that the search varies.

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
        if params and "_search" in vars(self):
            self._varied = tuple(params)
        return self

    def __sklearn_clone__(self) -> Any:
        """Return a clone. In a search it is of the same search as the other clones of this estimator."""
        clone = super().__sklearn_clone__()
        if is_in_search():
            if "_search" in vars(self):
                clone._search, clone._varied = self._search, ()
            else:
                clone._lead_search()
        return clone

    def _lead_search(self) -> None:
        """Be what a search clones for its candidates, so that these share its name."""
        self._search = uuid4().hex

    @property
    def _is_candidate(self) -> bool:
        """Whether this is a candidate of a search."""
        return {"_search", "_varied"} <= vars(self).keys() and is_in_search()

    def _follow(self, other: Any) -> None:
        """Be a candidate of the same search as another one, also after a fit."""
        if "_search" in vars(other):
            self._search, self._varied = other._search, ()

    def _conclude(self, other: Any) -> None:
        """Be the fit with what the search of another one has chosen, which is told of by itself."""
        self._search = other._search

    def _forget_search(self) -> None:
        """Keep nothing of the search that this was a candidate of."""
        for name in ("_search", "_varied"):
            if name in vars(self):
                delattr(self, name)

    def _was_said(self, notice: str) -> bool:
        """Return whether the search that this is of has said it."""
        return "_search" in vars(self) and notice in said_in(self._search)

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
        is_candidate = self._is_candidate
        if is_candidate and self._was_said(notice):
            return
        warnings.warn(notice if is_candidate else reason, category, stacklevel=stacklevel + 1)
        if "_search" in vars(self):
            said_in(self._search).add(notice)
