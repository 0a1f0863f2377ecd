"""Rows that come in chunks: the methods that learn from one chunk after the other, and that merge what was learned."""

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

from gdregress.method.spec import Spec, used_epsilon
from gdregress.rows.chunks import check_has_products, moments_of_chunk, numbered, parts_of
from gdregress.rows.inputs import check_same, is_vector
from gdregress.rows.moments import Moments
from gdregress.rows.namespaces import HOST, to_host, where_is
from gdregress.rows.rows import GoneRows
from gdregress.rows.sources import source_of
from gdregress.rows.unions import union
from gdregress.solve.attributes import OutputFormat
from gdregress.solve.availability import available_where, check_takes_batches, check_takes_chunks, moments_suffice
from gdregress.solve.fitting import finished, fitting, in_any_range
from gdregress.solve.stopping import Result
from gdregress.solve.streams import Stream, descend_chunk


class ChunksMixin(BaseEstimator):
    """An estimator that learns from rows in chunks.

    It has two more methods: `_minimise` minimises over rows and stores what is fitted, and `_forget` deletes what was
    fitted before.
    """

    @available_where(check_takes_chunks)
    def partial_fit(self, X, y, sample_weight=None):
        """Learn from a chunk of rows: minimise over all rows so far, or descend one epoch over the chunk.

        Squared error with a str as `learning_rate` needs only sums over rows. The moments of each
        chunk are added to those of the chunks before, the rows are not kept, and the objective of all
        rows so far is minimised. Chunks of any size, in any order, give the result of one `fit`.

        With another loss, a number as `learning_rate`, `batch_size`, `average`, or one of the
        optimizers "momentum", "adagrad", "rmsprop" and "adam", a call is one epoch of mini-batches
        over the chunk, as in SGDRegressor. More chunks, or more passes over the same chunks, bring the
        coefficients nearer to the minimum. Then:

        - The coefficients, the memory of the optimizer, the schedule and the average continue from
          chunk to chunk. The schedule counts chunks.
        - `history_` holds the loss of every chunk, measured before learning from it. There is no
          `optimality_` and no `converged_`: when the loss no longer falls is for you to see.
        - With a str as `learning_rate`, columns need no scaling: the moments of all rows so far decide
          coordinates, preconditioner and rate. For losses that end in straight lines the rate falls
          from chunk to chunk. If `batch_size` is None, a mini-batch has a fiftieth of the rows of the
          chunk, but at least 32.
        - With a number as `learning_rate` and `batch_size` None, the whole chunk is one batch.

        After a `fit`, epochs over chunks start from its coefficients, as in SGDRegressor. The rows of
        that fit are not kept, so that the minimum of squared error is that of the rows of `partial_fit`
        alone; a warning says so. Parameters may change between two calls: an epoch then starts from the
        current coefficients, and squared error is minimised over all rows whose moments were kept.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows, scaled or not. One row is enough.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, on the same scale for all chunks.

        Returns
        -------
        self : GradientDescentRegressor
            The fitted estimator.

        Raises
        ------
        AttributeError
            If the parameters need the same rows at every epoch. The estimator then has no such
            method, and `hasattr` returns False.
        ValueError
            If the features or targets are not those of the chunks before; else as in `fit`. The
            estimator stays as it was.

        Warns
        -----
        ConvergenceWarning
            If the descent diverges over the chunk; for squared error with a str as
            `learning_rate`, as in `fit`.
        UserWarning
            If earlier rows are left out because their moments were not kept; at the first chunk, if a
            parameter that differs from its default has no effect beside the others.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.datasets import load_diabetes
        >>> from gdregress import GradientDescentRegressor
        >>> X, y = load_diabetes(return_X_y=True, scaled=False)
        >>> model, whole = GradientDescentRegressor(), GradientDescentRegressor().fit(X, y)
        >>> for start in range(0, len(X), 50):
        ...     model = model.partial_fit(X[start : start + 50], y[start : start + 50])
        >>> print(model.n_samples_seen_, np.allclose(model.predict(X), whole.predict(X), rtol=1e-10))
        442 True
        """
        past = {name: to_host(value) for name, value in vars(self).items()} if "coef_" in vars(self) else {}
        if not moments_suffice(Spec.of(self)):
            with fitting(self):
                warning = self._descend_chunk(X, y, sample_weight, past)
            if warning is not None:
                warnings.warn(warning, ConvergenceWarning, stacklevel=2)
            return finished(self, in_chunks=True, is_first=not past)
        with fitting(self):
            result = self._stream([(X, y, sample_weight)], past)
        if past and ("moments_" not in past or past["moments_"]["n_samples"] != past["n_samples_seen_"]):
            warnings.warn(
                "fit, or a number as learning_rate, has used rows without keeping their sums: these are the "
                f"coefficients of the other {self.n_samples_seen_} rows. Give all rows to partial_fit or "
                "fit_batches, or start again with a clone.",
                UserWarning,
                stacklevel=2,
            )
        return finished(self, result, is_first=not past)

    @available_where(check_takes_batches)
    def fit_batches(self, batches):
        """Fit to chunks of rows, each read once, so that the data need not fit in memory.

        The result is that of a new estimator that takes each chunk by `partial_fit`, but there is only
        one descent, after the last chunk.

        Parameters
        ----------
        batches : iterable of tuple
            ``(X, y)`` or ``(X, y, sample_weight)``, as `partial_fit` takes them.

        Returns
        -------
        self : GradientDescentRegressor
            The fitted estimator.

        Raises
        ------
        AttributeError
            If the parameters need the rows themselves at every epoch. The estimator then has no such
            method, and `hasattr` returns False.
        TypeError
            If `batches` is no iterable of chunks.
        ValueError
            If there is no chunk; else as in `partial_fit`. The estimator stays as it was.

        Examples
        --------
        >>> import numpy as np
        >>> from gdregress import GradientDescentRegressor
        >>> def chunks(rng):
        ...     for _ in range(1000):
        ...         X = rng.normal(size=(100, 3))
        ...         yield X, X @ [1.0, 2.0, 3.0] + 4.0
        >>> model = GradientDescentRegressor().fit_batches(chunks(np.random.default_rng(0)))
        >>> print(model.n_samples_seen_, model.coef_.round(12), round(model.intercept_, 12))
        100000 [1. 2. 3.] 4.0
        """
        with fitting(self):
            result = self._stream(batches, {})
        return finished(self, result)

    def merge(self, other):
        """Add the rows of another estimator, fitted on another machine for instance, and minimise over both.

        Parameters
        ----------
        other : GradientDescentRegressor
            Fitted by `partial_fit` or `fit_batches` to rows with the same features and targets. It is
            not changed.

        Returns
        -------
        self : GradientDescentRegressor
            This estimator, fitted to the rows of both with its own parameters.

        Raises
        ------
        ValueError
            If one of the two has no moments, if the parameters need the rows themselves, or if the
            features or targets differ.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.datasets import load_diabetes
        >>> from gdregress import GradientDescentRegressor
        >>> X, y = load_diabetes(return_X_y=True, scaled=False)
        >>> here, there = GradientDescentRegressor(), GradientDescentRegressor()
        >>> here = here.partial_fit(X[:200], y[:200]).merge(there.partial_fit(X[200:], y[200:]))
        >>> np.allclose(here.predict(X), GradientDescentRegressor().fit(X, y).predict(X), rtol=1e-10)
        True
        """
        spec = Spec.of(self)
        _check_moments_suffice(self, "Of two streams the moments are merged")
        for side in (self, other):
            if not hasattr(side, "moments_"):
                which = "this model" if side is self else f"the {type(other).__name__} to merge"
                raise ValueError(
                    f"{which} has no sums of its rows: fit it with squared error by partial_fit or fit_batches."
                )
        mine, theirs = Moments.from_plain(self.moments_), Moments.from_plain(other.moments_)
        check_has_products(mine, theirs)
        check_same("n_features", len(mine.x.mean), len(theirs.x.mean))
        check_same("n_targets", len(mine.y.mean), len(theirs.y.mean))
        names = [list(getattr(side, "feature_names_in_", [])) for side in (self, other)]
        check_same("feature_names_in_", *names)
        dtype = np.result_type(to_host(self.coef_), to_host(other.coef_))
        form = OutputFormat(dtype, self.coef_.ndim == 1, where_is(self.coef_))
        with fitting(self):
            n_chunks = self.n_chunks_seen_ + other.n_chunks_seen_
            with in_any_range():
                moments = union(mine, theirs)
            result = self._minimise_streamed(spec, moments, form, n_chunks)
        return finished(self, result, is_first=False)

    def _stream(self, batches: Iterable, past: dict[str, Any]) -> Result:
        """Add the moments of new chunks to those of the chunks before, and minimise over all rows."""
        spec = Spec.of(self)
        moments = Moments.from_plain(past["moments_"]) if "moments_" in past else None
        if moments is not None:
            check_has_products(moments)
        n_targets, is_single, dtypes, place = None, False, [], HOST
        if past:
            coef = past["coef_"]
            n_targets, is_single, dtypes = len(np.atleast_2d(coef)), coef.ndim == 1, [coef.dtype]
        for number, batch in numbered(batches, past.get("n_chunks_seen_", 0) + 1):
            X, y, sample_weight = parts_of(batch, number)
            source = source_of(f"X of chunk {number}", X)
            rows, unit = source.chunk(self, y, sample_weight, number, is_first=n_targets is None)
            if n_targets is None:
                n_targets, is_single = rows.n_outputs, is_vector(y)
            check_same("n_targets", n_targets, rows.n_outputs)
            place = rows.place
            if unit > 0:
                dtypes.append(rows.dtype)
                with in_any_range():
                    chunk = moments_of_chunk(rows, unit)
                    moments = chunk if moments is None else union(moments, chunk)
        if moments is None:
            raise ValueError(
                f"every row of chunk {number} has weight zero: give the first chunk a row of positive weight."
            )
        form = OutputFormat(np.result_type(*dtypes), is_single, place)
        return self._minimise_streamed(spec, moments, form, number)

    def _minimise_streamed(self, spec: Spec, moments: Moments, form: OutputFormat, n_chunks: int) -> Result:
        """Minimise over rows that are known by their moments only, and store the moments."""
        result = self._minimise(spec, GoneRows(moments, np.dtype(form.dtype)), form, spec.rng())
        self.moments_ = moments.plain()
        self.n_samples_seen_, self.n_chunks_seen_ = moments.n_samples, n_chunks
        return result

    def _descend_chunk(self, X, y, sample_weight, past: dict[str, Any]) -> str | None:
        """Descend an epoch over a chunk from where the last one ended; store the attributes, return a warning."""
        spec, number = Spec.of(self), past.get("n_chunks_seen_", 0) + 1
        name = f"X of chunk {number}"
        rows, unit = source_of(name, X).in_memory(name).chunk(self, y, sample_weight, number, is_first=not past)
        rows.check_finite()
        dtypes = [rows.dtype, *([past["coef_"].dtype] if past else [])]
        form = OutputFormat(np.result_type(*dtypes), is_vector(past.get("coef_", y)))
        if past:
            check_same("n_targets", 1 if form.is_single else len(past["coef_"]), rows.n_outputs)
        carried = ("moments_", "learning_rate_", "optimizer_", *(["history_"] if "descent_" in past else []))
        attributes, warning = {name: past[name] for name in carried if name in past}, None
        if unit > 0:
            with in_any_range():
                stream, told, warning = descend_chunk(spec, rows, unit, number, past)
            attributes |= told
        else:
            stream = Stream.of_attributes(past)
        self._forget()
        self.__dict__.update(attributes)
        self.coef_ = form.of(stream.point[:-1])
        self.intercept_ = form.of(stream.point[-1])[()] if spec.terms.fit_intercept else 0.0
        self.n_iter_, self.stop_reason_ = stream.n_epochs, f"an epoch over chunk {number}"
        self.n_samples_seen_, self.n_chunks_seen_ = stream.n_samples, number
        self.__dict__.update(used_epsilon(self))
        self.descent_ = stream.plain()
        return warning


def _check_moments_suffice(estimator: Any, because: str) -> None:
    try:
        check_takes_batches(estimator)
    except AttributeError as needs_rows:
        raise ValueError(f"{because}: {needs_rows}") from None
