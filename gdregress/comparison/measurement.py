"""A solver fitted to the rows of a comparison, and what is measured of it."""

import time
import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gdregress.closed_form import closed_form
from gdregress.comparison.peers import Peer
from gdregress.problem.terms import Terms
from gdregress.regressor import GradientDescentRegressor
from gdregress.rows.checks import check_finite
from gdregress.rows.inputs import names_of, read_rows
from gdregress.rows.sources import source_of

AT_MINIMUM = 0.01
"""Largest distance of the predictions from the minimum's, in standard deviations of y, that is told as convergence."""


class Fit(NamedTuple):
    """What a solver has found.

    Attributes
    ----------
    coef : ndarray of shape (n_outputs, n_features)
        Coefficients.
    intercept : ndarray of shape (n_outputs,)
        Intercepts.
    cost : dict of str to float
        What it took: seconds, and epochs if the solver has any.
    converged : bool
        Whether the solver reports convergence.
    """

    coef: NDArray
    intercept: NDArray
    cost: dict[str, float]
    converged: bool

    def residual(self, X: Any, y: NDArray) -> NDArray:
        """Return the residuals of rows, of shape (n_samples, n_outputs)."""
        return y.reshape(len(y), -1) - np.asarray(X @ self.coef.T) - self.intercept


class Data:
    """The data of a comparison, and the measurement of a solver on them.

    Parameters
    ----------
    X, y, weight
        The training rows, as `read_rows` gives them.
    test : (X, y) or None
        The test rows.
    names : ndarray of str or None
        Names of the columns.
    """

    def __init__(
        self, X: Any, y: NDArray, weight: NDArray | None, test: tuple[Any, NDArray] | None, names: NDArray | None
    ):
        self.names = names
        self.X = X
        self.y = y
        # SGDRegressor minimises the sum of the weighted losses over the number of rows: its weights need a mean of 1.
        weight = self.weight = None if weight is None else weight * (len(y) / weight.sum())
        self.test = test
        targets = y.reshape(len(y), -1)
        mean = np.average(targets, axis=0, weights=weight)
        spread = np.sqrt(np.average((targets - mean) ** 2, axis=0, weights=weight))
        self.target_scale = np.where(spread > 0, spread, 1.0)
        with np.errstate(invalid="ignore"):  # the variance of a constant column may be less than 0 by rounding
            self.scale = StandardScaler(with_mean=False).fit(X, sample_weight=weight).scale_

    @classmethod
    def read(cls, model: GradientDescentRegressor, X, y, sample_weight, X_test, y_test) -> "Data":
        """Read what the user passed, as `fit` does."""
        X = source_of("X", X).in_memory().X
        X, y, weight = read_rows(X, y, sample_weight, estimator=model, reset=True)
        check_finite("X", X, names_of(model))
        if X_test is None:
            return cls(X, y, weight, None, names_of(model))
        X_test = source_of("X_test", X_test).in_memory("X_test").X
        X_test, y_test, _ = read_rows(X_test, y_test, None, estimator=model, suffix="_test")
        check_finite("X_test", X_test, names_of(model))
        return cls(X, y, weight, (X_test, y_test), names_of(model))

    def fit(self, estimator: Any) -> tuple[Fit, Any]:
        """Fit an estimator, and return its results and itself."""
        steps = [step for step, _ in getattr(estimator, "steps", [])]
        keys = [f"{step}__sample_weight" for step in steps] or ["sample_weight"]
        weights = {} if self.weight is None else dict.fromkeys(keys, self.weight)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            fitted, seconds = _timed(lambda: clone(estimator).fit(self.X, self.y, **weights))
        coef, intercept, epochs, converged = _outcome(fitted[-1] if steps else fitted)
        if steps:
            coef = coef / fitted[0].scale_
            if fitted[0].with_mean:
                intercept = intercept - coef @ fitted[0].mean_
        if hasattr(fitted, "converged_") and self.names is not None:
            fitted.feature_names_in_ = self.names
        return Fit(coef, intercept, epochs | {"seconds": seconds}, bool(converged)), fitted

    def fit_peer(self, peer: Peer, *, with_mean: bool) -> Fit:
        """Fit a peer to all targets, and return its results; what scikit-learn raises says why it failed."""
        one = MultiOutputRegressor(peer.estimator) if self.y.ndim == 2 else peer.estimator
        scaler = StandardScaler(with_mean=with_mean and not sparse.issparse(self.X))
        fit, _ = self.fit(make_pipeline(scaler, one) if peer.standardizes else one)
        if not np.isfinite(fit.coef).all():
            raise ValueError("It has found coefficients that are not finite.")
        return fit

    def closed_form(self, model: GradientDescentRegressor) -> Fit:
        """Return the closed form of the objective of a model."""
        alpha = model.alpha if model.penalty == "l2" else 0.0
        options = {"alpha": alpha, "standardize": model.standardize, "fit_intercept": model.fit_intercept}
        (coef, intercept), seconds = _timed(lambda: closed_form(self.X, self.y, self.weight, **options))
        return Fit(np.atleast_2d(coef), np.atleast_1d(intercept), {"seconds": seconds}, True)

    def measures(self, fit: Fit, exact: Fit | None, terms: Terms) -> dict[str, float]:
        """Return what is measured of a fit, as `Row` names it."""
        measures = {}
        with np.errstate(all="ignore"):  # coefficients that have diverged overflow
            residual = fit.residual(self.X, self.y)
            if exact is not None:
                apart = (fit.coef - exact.coef) * self.scale / self.target_scale[:, np.newaxis]
                distance = (residual - exact.residual(self.X, self.y)) / self.target_scale
                measures = {
                    "coefficient_error": np.abs(apart).max(),
                    "prediction_error": np.sqrt(np.average(distance**2, axis=0, weights=self.weight).mean()),
                }
            sizes = np.abs(fit.coef) * (self.scale if terms.standardize else 1.0)
            losses = np.average(terms.loss.value(residual), axis=0, weights=self.weight)
            penalties = terms.l1 * sizes.sum(axis=1) + terms.l2 / 2.0 * np.square(sizes).sum(axis=1)
            measures["objective"] = np.mean(losses + penalties)
            measures["train_mse"] = np.average(residual**2, axis=0, weights=self.weight).mean()
            if self.test is not None:
                measures["test_mse"] = np.mean(fit.residual(*self.test) ** 2)
        return {name: float(value) for name, value in (measures | fit.cost).items()}

    def largest(self, least: float, terms: Terms) -> float:
        """Return the largest objective that is taken for the least."""
        levels = []
        for y in self.y.reshape(len(self.y), -1).T:
            constant = terms.loss.best_constant(y, self.weight) if terms.fit_intercept else 0.0
            levels.append(np.average(terms.loss.value(y - constant), weights=self.weight) or 1.0)
        return float(least + AT_MINIMUM**2 * np.mean(levels))


def _outcome(fitted) -> tuple[NDArray, NDArray, dict[str, float], bool]:
    """Return coefficients, intercepts, epochs if there are any, and convergence of any of the fitted estimators."""
    if isinstance(fitted, MultiOutputRegressor):
        parts = [_outcome(one) for one in fitted.estimators_]
        coefs, intercepts, epochs, converged = zip(*parts, strict=True)
        most_epochs = {"epochs": max(one["epochs"] for one in epochs)} if all(epochs) else {}
        return np.vstack(coefs), np.concatenate(intercepts), most_epochs, all(converged)
    coef, intercept = np.atleast_2d(fitted.coef_), np.atleast_1d(fitted.intercept_)
    if getattr(fitted, "n_iter_", None) is None:  # a direct solver
        return coef, intercept, {}, True
    n_epochs, most = float(np.max(fitted.n_iter_)), getattr(fitted, "max_iter", None)
    converged = fitted.converged_ if hasattr(fitted, "converged_") else most is None or n_epochs < most
    return coef, intercept, {"epochs": n_epochs}, converged


def _timed(fit, *, runs: int = 3, enough: float = 0.5):
    """Return what `fit` returns, and its fastest time in up to `runs` runs, or until `enough` seconds have passed."""
    times: list[float] = []
    while len(times) < runs and sum(times) < enough:
        start = time.perf_counter()
        result = fit()
        times.append(time.perf_counter() - start)
    return result, min(times)
