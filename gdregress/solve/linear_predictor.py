"""What a fitted linear model does, however it was fitted: it predicts, scores, and is pickled with its version."""

import warnings

from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.utils.validation import check_is_fitted

from gdregress._version import __version__
from gdregress.rows.sources import source_of


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
        return source_of("X", X).predict(self)

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
        return source_of("X", X).score(self, y, sample_weight)

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
