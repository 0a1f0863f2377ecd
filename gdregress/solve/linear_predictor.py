"""What a fitted linear model does, however it was fitted: it predicts, scores, and is pickled with its version."""

import warnings

from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted

from gdregress._version import __version__
from gdregress.rows.checks import check_finite
from gdregress.rows.dask import blocks_of, in_memory, predict_blocks, score_blocks, see_columns
from gdregress.rows.device import read_device_features, read_device_rows
from gdregress.rows.inputs import is_dask, names_of, read_features, read_rows
from gdregress.rows.namespaces import Place, cast, check_same_place, place_of
from gdregress.rows.through import on_the_host
from gdregress.rows.transfer import Resident


class LinearPredictor(RegressorMixin, BaseEstimator):
    """An estimator with `coef_` and `intercept_` once it is fitted."""

    def _check_has_coefficients(self) -> None:
        """Raise a NotFittedError if there are no coefficients."""
        check_is_fitted(self, "coef_")

    def predict(self, X):
        """Predict the targets.

        Parameters
        ----------
        X : {array-like, sparse matrix, dask array or data frame, array on a device} of shape (n_samples, n_features)
            Rows. They must live where those of `fit` did. Those of `through_device` are on the host.

        Returns
        -------
        array or dask array of shape (n_samples,) or (n_samples, n_targets)
            Predictions ``X @ coef_.T + intercept_``, where X lives. For dask they are lazy.
        """
        self._check_has_coefficients()
        X = on_the_host(X)
        if is_dask(X):
            see_columns(self, X, reset=False)
            return predict_blocks(X, self.coef_, self.intercept_)
        place = place_of("X", X)
        check_same_place(self, X, place, "predict")
        if not place.is_host:
            return self._predict_on(place, read_device_features(X, place, estimator=self))
        X = read_features(X, estimator=self)
        check_finite("X", X, names_of(self))
        return self._predict(X)

    def score(self, X, y, sample_weight=None):
        """Return the coefficient of determination R^2 of the predictions.

        Parameters
        ----------
        X : {array-like, sparse matrix, dask array or data frame} of shape (n_samples, n_features)
            Rows.
        y : array-like or dask array of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : array-like or dask array of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        score : float
            R^2 = 1 - (squared error of the predictions) / (squared error of the mean of y),
            averaged over targets.
        """
        self._check_has_coefficients()
        X = on_the_host(X)
        if is_dask(X):
            see_columns(self, X, reset=False)
            return score_blocks(blocks_of(X, y, sample_weight), self.coef_, self.intercept_)
        place = place_of("X", X)
        check_same_place(self, X, place, "score")
        if not place.is_host:
            rows = read_device_rows(X, y, sample_weight, place, estimator=self)
            predicted = place.xp.reshape(self._predict_on(place, X), (rows.n_samples, -1))
            m, n_outputs = rows.n_outputs, predicted.shape[1]
            if m != n_outputs:
                raise ValueError(f"y has {m} outputs, but the model has {n_outputs}: pass as many.")
            both = (each[:, 0] if m == 1 else each for each in (rows.y, cast(predicted, rows.y.dtype)))
            return float(r2_score(*both, sample_weight=rows.weight))
        X, y, weight = read_rows(X, *in_memory(y, sample_weight), estimator=self)
        check_finite("X", X, names_of(self))
        return r2_score(y, self._predict(X), sample_weight=weight)

    def _predict(self, X):
        """Predict the targets of rows that have been read."""
        return X @ self.coef_.T + self.intercept_

    def _predict_on(self, place: Place, X):
        """Predict the targets of rows on a device; NaN and infinity in X show in the predictions."""
        wider = place.xp.result_type(X.dtype, self.coef_.dtype)
        coef = cast(self.coef_, wider)
        predicted = cast(X, wider) @ (coef if coef.ndim == 1 else coef.T) + self.intercept_
        if not bool(place.xp.all(place.xp.isfinite(predicted))):
            Resident(X, place).check_finite("X", names_of(self))
        return predicted

    def __sklearn_tags__(self):
        """Return the tags: X may be sparse, and y may have several columns."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.multi_output = True
        return tags

    def __getstate__(self):
        """Return the state to pickle, with the version of the package."""
        return {**super().__getstate__(), "_gdregress_version": __version__}

    def __setstate__(self, state):
        """Restore a pickled state; warn if another version wrote it."""
        state = dict(state)
        version = state.pop("_gdregress_version", "an unknown version")
        if version != __version__:
            warnings.warn(
                InconsistentVersionWarning(
                    estimator_name=type(self).__name__,
                    current_sklearn_version=f"gdregress {__version__}",
                    original_sklearn_version=f"gdregress {version}",
                ),
                stacklevel=2,
            )
        super().__setstate__(state)
