"""The objective of an estimator as a function of raw coefficients, on the original scale of X and y."""

import warnings
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_array, check_consistent_length

from gdregress.method.effects import EFFECTS
from gdregress.method.spec import PARAMETERS_TO_MINIMUM, Spec, epsilon_of
from gdregress.problem.coordinates import Coordinates
from gdregress.problem.objectives import DataObjective, MomentObjective
from gdregress.rows.checks import check_weights
from gdregress.rows.gathering import gather
from gdregress.rows.memory import RowBlocks
from gdregress.rows.moments import Moments
from gdregress.rows.sources import fetched

POINTS_AT_ONCE = 256
"""Number of points that are evaluated in one pass over the rows."""


class RawObjective:
    """The objective of an estimator for one target, as a function of raw coefficients and intercept.

    A point holds the coefficients and, if the estimator has an intercept, the intercept last.

    Parameters
    ----------
    estimator : GradientDescentRegressor
        The estimator, whose parameters define the objective. It need not be fitted.
    X : {array-like, sparse matrix, array on a device} of shape (n_samples, n_features)
        Rows. Those of a device are copied to the host, and so are y and the weights.
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        Targets.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.
    target : int, default=0
        Number of the target.

    Raises
    ------
    ValueError
        If y has no such target.
    """

    def __init__(self, estimator: Any, X: Any, y: Any, sample_weight: Any = None, *, target: int = 0):
        X, y, sample_weight = (fetched(*named) for named in (("X", X), ("y", y), ("sample_weight", sample_weight)))
        self.X = check_array(X, accept_sparse="csr", dtype=np.float64)
        y = check_array(y, ensure_2d=False, dtype=np.float64)
        check_consistent_length(self.X, y)
        y = y.reshape(len(y), -1)
        if not 0 <= target < y.shape[1]:
            raise ValueError(f"target={target} is none of the targets of y, which are 0 to {y.shape[1] - 1}.")
        self.y = y[:, target]
        self.weight = check_weights("sample_weight", sample_weight, self.X.shape[0])
        self.estimator = copy(estimator).set_params(epsilon=epsilon_of(estimator))
        self._rows = RowBlocks(self.X, self.y[:, np.newaxis], self.weight)
        about_mean = gather(self._rows, cross=False)
        self._moments = self._centred(about_mean)
        terms = Spec.of(self.estimator).terms
        plain = Coordinates.plain(self._rows.n_features, self._rows.n_outputs, fit_intercept=terms.fit_intercept)
        self._coordinates = replace(plain, penalized=terms.units(about_mean))
        loss = terms.loss.in_units(self._coordinates.target_scale)
        self._objective = DataObjective(self._rows, self._coordinates, loss, terms.penalty_in(self._coordinates))

    @property
    def moments(self) -> Moments:
        """Moments of the rows; about the origin if there is no intercept."""
        return self._moments

    @np.errstate(all="ignore")
    def values(self, points: NDArray) -> NDArray:
        """Return the objective at points of shape (n_points, n_features + fit_intercept)."""
        parts = [np.concatenate(self._objective.values(part)) for part in self._parts(points)]
        return np.concatenate(parts)

    @np.errstate(all="ignore")
    def derivatives(self, points: NDArray) -> NDArray:
        """Return the shortest subgradient at points of shape (n_points, n_features + fit_intercept)."""
        gradients = []
        for part in self._parts(points):
            for point, there in zip(part, self._objective.evaluate(part), strict=True):
                gradients.append(self._objective.penalty.residual(point, there.gradient)[:, 0])
        return np.array(gradients)

    @np.errstate(all="ignore")
    def curvatures(self) -> NDArray:
        """Return the eigenvalues of the second derivatives of squared error with L2, in ascending order."""
        moments = self._centred(gather(self._rows, cross=True))
        return np.linalg.eigvalsh(MomentObjective(moments, self._coordinates, self._objective.penalty).hessian())

    def minimum(self) -> NDArray:
        """Return the minimiser of the objective, from a fit."""
        model = self._fitted(self.X, self.y)
        return self.point(model.coef_, model.intercept_)

    def point(self, coef: NDArray, intercept: NDArray) -> NDArray:
        """Return points from coefficients of shape (..., n_features) and intercepts of shape (...)."""
        if not self.estimator.fit_intercept:
            return np.asarray(coef)
        return np.concatenate([coef, np.asarray(intercept)[..., np.newaxis]], axis=-1)

    def best_others(self, chosen: list[int], values: NDArray) -> NDArray:
        """Return the minimiser of the objective with the chosen coordinates fixed at some values."""
        n_features = self.X.shape[1]
        others = [column for column in range(n_features) if column not in chosen]
        has_intercept = self.estimator.fit_intercept and n_features not in chosen
        point = np.zeros(n_features + self.estimator.fit_intercept)
        point[chosen] = values
        if not (others or has_intercept):
            return point
        y = self.y - np.asarray(self.X @ point[:n_features])
        if self.estimator.fit_intercept:
            y = y - point[-1]
        X = self.X[:, others] if others else np.zeros((len(y), 1))  # a fit needs a column: one of zeros has no effect
        model = self._fitted(X, y, fit_intercept=has_intercept)
        point[others] = model.coef_[: len(others)]
        if has_intercept:
            point[-1] = model.intercept_
        return point

    def _fitted(self, X: Any, y: NDArray, **parameters: Any) -> Any:
        """Return a model at the minimum, fitted without the warning on epsilon, which is that of the user's own fit."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"epsilon=\S+ is far below the residuals")
            return settled(self.estimator, **parameters).fit(X, y, self.weight)

    def _centred(self, moments: Moments) -> Moments:
        """Return moments about the mean as they are, or about the origin if there is no intercept."""
        return moments if self.estimator.fit_intercept else moments.about_origin()

    @staticmethod
    def _parts(points: NDArray) -> Iterator[list[NDArray]]:
        for start in range(0, len(points), POINTS_AT_ONCE):
            yield list(np.ascontiguousarray(points[start : start + POINTS_AT_ONCE])[:, :, np.newaxis])


def variant(estimator: Any, **parameters: Any) -> Any:
    """Return an unfitted estimator with some parameters changed and, unlike a clone, without callbacks.

    Parameters without an effect have their defaults, so that a fit says nothing of them.
    """
    parameters = {**estimator.get_params(deep=False), **parameters}
    asked = type(estimator)(**parameters)
    idle = {name for name, effect in EFFECTS.items() if not effect.holds(asked)}
    return type(estimator)(**{name: value for name, value in parameters.items() if name not in idle})


def settled(estimator: Any, **parameters: Any) -> Any:
    """Return an unfitted estimator of the same objective that converges, except for the parameters given."""
    return variant(estimator, **{**PARAMETERS_TO_MINIMUM, **parameters})
