"""Scores of cross-validation: from squared errors where these are enough, else by scorers, as in GridSearchCV."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from inspect import signature
from numbers import Real
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.dummy import DummyRegressor
from sklearn.metrics import check_scoring, get_scorer, get_scorer_names

from gdregress.method.spec import fits_scale, loss_of
from gdregress.tuning.selection import one_standard_error

Scorer = Callable[..., Any]

FROM_ERRORS: dict[str, Callable[[NDArray, NDArray], NDArray]] = {
    "neg_mean_squared_error": lambda errors, variance: -mean_of_outputs(errors),
    "neg_root_mean_squared_error": lambda errors, variance: -mean_of_outputs(np.sqrt(errors)),
    "r2": lambda errors, variance: mean_of_outputs(1.0 - errors / variance),
}
"""Scores of mean squared errors of shape (n_points, n_outputs), given the variances of y in the test rows."""

FOR_ANY_SCALE = "neg_mean_absolute_error"
"""The score of models whose losses do not compare, since each has the epsilon that suits its residuals."""

ABBREVIATED = {
    "mse": "neg_mean_squared_error",
    "rmse": "neg_root_mean_squared_error",
    "mae": "neg_mean_absolute_error",
    "medae": "neg_median_absolute_error",
    "mape": "neg_mean_absolute_percentage_error",
    "msle": "neg_mean_squared_log_error",
    "rmsle": "neg_root_mean_squared_log_error",
    "r2_score": "r2",
}
"""Scores by the names that they have elsewhere."""


@dataclass(frozen=True)
class Scoring:
    """What scores a point of the grid on test rows.

    Attributes
    ----------
    scorers : dict of str to callable
        Scorers by name; a single one is named "score".
    names : dict of str to str or None
        The parameter `scoring` of each scorer, if it is a string; None for the mean loss and for callables.
    is_loss : bool
        Whether the score is minus the mean loss.
    params : dict of str to dict
        What each scorer takes besides X and y, for all rows.
    error_score : float or {"raise"}
        The score where a scorer raises an error, or that it is raised.
    failed : set of str
        What has been said of scorers that failed.
    """

    scorers: Mapping[str, Scorer]
    names: Mapping[str, str | None]
    is_loss: bool
    params: Mapping[str, Mapping[str, Any]]
    error_score: float | str
    failed: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, estimator: Any) -> "Scoring":
        """Return what the parameters `scoring` and `error_score` of an estimator say.

        Raises
        ------
        ValueError
            If `scoring` names no scorer or is empty, or if `error_score` is not valid.
        """
        scoring, error_score = estimator.scoring, estimator.error_score
        if scoring is None and fits_scale(estimator):
            scoring = FOR_ANY_SCALE
        if error_score != "raise" and (isinstance(error_score, bool) or not isinstance(error_score, Real)):
            raise ValueError(f"error_score={error_score!r} must be a number, such as NaN, or 'raise'.")
        if scoring is None:
            return cls({"score": minus_mean_loss}, {"score": None}, True, {"score": {}}, error_score)
        several = {"score": scoring}
        if isinstance(scoring, Mapping):
            several = dict(scoring)
        elif isinstance(scoring, list | tuple | set):
            several = {name: name for name in scoring}
        if not several:
            raise ValueError("scoring is empty: give a name or a callable, or None for minus the mean loss.")
        for each in several.values():
            check_name(each)
        scorers = {name: check_scoring(estimator, each) for name, each in several.items()}
        names = {name: each if isinstance(each, str) else None for name, each in several.items()}
        return cls(scorers, names, False, {name: {} for name in several}, error_score)

    @property
    def is_single(self) -> bool:
        """Whether there is one score, named "score"."""
        return list(self.scorers) == ["score"]

    def primary(self, refit: Any) -> str:
        """Return the name of the score that decides, given the parameter `refit`.

        Raises
        ------
        ValueError
            If `refit` names no score, or several scores leave it open which decides.
        """
        names = ", ".join(self.scorers)
        if isinstance(refit, str):
            if refit == "one_standard_error":
                raise ValueError("refit='one_standard_error' is no score: pass the function, without the quotes.")
            if refit not in self.scorers:
                remedy = "use True, or the function one_standard_error"
                if not self.is_single:
                    remedy = f"use one of {names}"
                elif refit in get_scorer_names():
                    remedy = f"set scoring={refit!r}"
                raise ValueError(f"refit={refit!r} names no score: {remedy}.")
            return refit
        if not self.is_single and refit is True:
            raise ValueError(f"several scores need refit to name the one that decides: {names}.")
        if not self.is_single and refit is one_standard_error:
            raise ValueError("refit=one_standard_error needs a single score, such as scoring='r2': give one.")
        return next(iter(self.scorers))

    @property
    def follows_from_errors(self) -> bool:
        """Whether squared errors on the test rows are all that the scores need."""
        return self.is_loss or all(name in FROM_ERRORS for name in self.names.values())

    def from_loss(self, loss: NDArray, y: NDArray, weight: NDArray | None) -> dict[str, NDArray] | None:
        """Return the scores that follow from squared errors; None if some do not.

        Parameters
        ----------
        loss : ndarray of shape (n_points, n_outputs)
            Mean squared errors of the test rows.
        y : ndarray of shape (n_samples, n_outputs)
            Targets of the test rows.
        weight : ndarray of shape (n_samples,) or None
            Their weights.
        """
        if not self.follows_from_errors:
            return None
        variance = np.average(np.square(y - np.average(y, axis=0, weights=weight)), axis=0, weights=weight)
        if "r2" in self.names.values() and not (variance > 0).all():
            return None
        return {key: FROM_ERRORS[str(name)](loss, variance) for key, name in self.names.items()}

    def by_scorers(self, model: Any, X: Any, y: NDArray, test: NDArray) -> dict[str, float]:
        """Return the scores of a fitted model on test rows; `error_score` where a scorer raises an error.

        Parameters
        ----------
        model : GradientDescentRegressor
            The model.
        X, y : ndarray or CSR matrix or data frame, ndarray
            Test rows.
        test : ndarray of int
            Their places among all rows, by which what the scorers take is chosen.
        """
        scores = {}
        for name, scorer in self.scorers.items():
            params = {key: np.asarray(value)[test] for key, value in self.params[name].items()}
            try:
                scores[name] = scorer(model, X, y, **params)
            except Exception as error:
                if self.error_score == "raise":
                    raise
                scores[name] = float(self.error_score)
                said = f"the scorer {name!r} failed ({error}): its score is {scores[name]:g}."
                if said not in self.failed:
                    warnings.warn(said, UserWarning, stacklevel=2)
                    self.failed.add(said)
        return scores


def mean_of_outputs(loss: NDArray) -> NDArray:
    """Return the mean along the last axis; that of one number takes NumPy long."""
    return loss[..., 0] if loss.shape[-1] == 1 else loss.mean(axis=-1)


def check_name(scoring: Any) -> None:
    """Raise a ValueError if a string names no scorer of scikit-learn, or one of classes or clusters."""
    names = get_scorer_names()
    if not isinstance(scoring, str):
        return
    if scoring not in names:
        plain = scoring.strip().lower().removeprefix("neg_")
        near = [ABBREVIATED[plain]] if plain in ABBREVIATED else get_close_matches(plain, names, n=1)
        remedy = f"did you mean {near[0]!r}?" if near else "sklearn.metrics.get_scorer_names() lists them."
        raise ValueError(f"scoring={scoring!r} is no score: {remedy}")
    if scoring not in FROM_ERRORS and not _scores_numbers(scoring):
        raise ValueError(
            f"scoring={scoring!r} scores classes or clusters, not numbers: use a score of regression, such as 'r2' or "
            "'neg_mean_absolute_error'."
        )


@cache
def _scores_numbers(name: str) -> bool:
    """Return whether a scorer of scikit-learn takes numbers that are no classes."""
    return _scores_rows(get_scorer(name), {}, "error")


def _scores_rows(scorer: Scorer, params: Mapping[str, Any], action: Literal["error", "ignore"]) -> bool:
    """Return whether a scorer scores twenty rows, whose targets are no classes; `action` is taken on its warnings."""
    y = np.linspace(0.5, 2.25, 20)
    X = y[:, np.newaxis]
    with warnings.catch_warnings(action=action):
        try:
            scorer(DummyRegressor().fit(X, y), X, y, **params)
        except Exception:  # each has its own for this
            return False
    return True


def takes(scorer: Scorer, name: str) -> bool:
    """Return whether a scorer takes a keyword; one that passes any on to a metric is tried on a few rows.

    A scorer that fails on these rows without the keyword too is believed to take it.
    """
    parameters = signature(scorer).parameters.values()
    if not any(each.kind is each.VAR_KEYWORD for each in parameters):
        return any(each.name == name for each in parameters)
    return _scores_rows(scorer, {name: np.ones(20)}, "ignore") or not _scores_rows(scorer, {}, "ignore")


def minus_mean_loss(estimator: Any, X: Any, y: Any, sample_weight: Any = None) -> float:
    """Return minus the mean loss of the predictions of an estimator, averaged over targets: a scorer.

    Parameters
    ----------
    estimator : GradientDescentRegressor or GradientDescentRegressorCV
        A fitted estimator, whose `loss` is taken.
    X, y : array-like
        Rows.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.
    """
    loss = loss_of(estimator)
    residual = np.asarray(y, dtype=np.float64) - estimator.predict(X)
    return -float(np.mean(np.average(loss.value(residual), axis=0, weights=sample_weight)))
