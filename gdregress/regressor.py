"""The estimator: parameters and data in, fitted attributes out."""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import ConvergenceWarning, InconsistentVersionWarning
from sklearn.utils.validation import check_is_fitted, validate_data

from gdregress._version import __version__
from gdregress.method.choice import choose, make_method
from gdregress.method.spec import Spec
from gdregress.problem.problem import Problem
from gdregress.rows.checks import check_finite
from gdregress.rows.chunks import check_has_products, moments_of_chunk, numbered, parts_of
from gdregress.rows.dask import (
    DaskRows,
    as_array,
    blocks_of,
    check_takes_blocks,
    gather_blocks,
    in_memory,
    predict_blocks,
    row_like,
    score_blocks,
)
from gdregress.rows.inputs import (
    X_FORMAT,
    check_numeric,
    check_outputs,
    check_same,
    is_dask,
    read_chunk,
    read_rows,
    read_validation_rows,
    with_names,
)
from gdregress.rows.memory import RowBlocks
from gdregress.rows.moments import Moments
from gdregress.rows.rows import GoneRows, Rows
from gdregress.rows.threads import given_back
from gdregress.solve.attributes import FITTED, OutputFormat
from gdregress.solve.availability import available_where, check_takes_batches, check_takes_chunks, moments_suffice
from gdregress.solve.callbacks import CallbackSupportMixin, FitTask, with_callbacks
from gdregress.solve.progress import Progress
from gdregress.solve.solve import Observer, solve
from gdregress.solve.start import starting_point
from gdregress.solve.stopping import Result, Stopping
from gdregress.solve.streams import Stream, descend_chunk
from gdregress.solve.validation import check_validation_arguments, split_off, validation_value


class GradientDescentRegressor(CallbackSupportMixin, RegressorMixin, BaseEstimator):
    r"""Linear regression by gradient descent that needs no scaling and no learning-rate tuning.

    Minimises, over coefficients w and an intercept b,

    .. math::

        F(w, b) = \frac{1}{\sum_i s_i} \sum_i s_i l(y_i - x_i \cdot w - b)
            + k \alpha \left(\rho \|w\|_1 + \frac{1 - \rho}{2} \|w\|_2^2\right)

    with sample weights s, a loss l of each residual and a penalty with rho = `l1_ratio`; the
    intercept is never penalised. k is 2 for "squared_error" and "huber", which are twice
    SGDRegressor's so that the loss reported is the mean squared error, and 1 for other losses: the
    same `alpha` gives the same minimiser as SGDRegressor's.

    Every epoch steps ``w <- prox(w - eta * P * gradient)``: the learning rate is a ladder from one
    number to a matrix, and by default the matrix is the inverse of the curvature, so that raw,
    unscaled columns are right at once. Of the many answers of least squares for collinear columns
    it gives the one of least norm in standardised coordinates.

    Parameters
    ----------
    learning_rate : float or {"auto", "lipschitz", "diagonal", "curvature"}, default="auto"
        What each epoch multiplies the gradient by:

        - a float: that number, in the raw coordinates (w, b), as in the textbooks; the gradient
          is that of the mean loss, ``-2/n * X.T @ (y - X @ w - b)``, of each output on its own;
        - "lipschitz": the same with the number computed, 1/L for the largest curvature L;
        - "diagonal": one number per feature, from each feature's own curvature: what
          `StandardScaler` was for, done inside;
        - "curvature": a matrix, the inverse of the curvature; of large data with many columns one
          from rounded products, or from a sample of the rows, if that is cheaper for this `tol`;
        - "auto": "curvature" up to 2000 features (with L1 or `positive`, up to 500) and, for squared
          error without these, for dense X of up to 2000 samples and 2**24 entries, or of up to
          4096 features and four samples for each; "diagonal" beyond.
    epochs : int, default=1000
        Largest number of epochs.
    loss : str or object, default="squared_error"
        Loss of a residual r:

        - "squared_error": r^2;
        - "huber": r^2 up to abs(r) = `epsilon`, then 2 epsilon abs(r) - epsilon^2;
        - "absolute_error": abs(r);
        - "quantile": `quantile` r for r > 0, else (quantile - 1) r;
        - "epsilon_insensitive": max(abs(r) - epsilon, 0);
        - "squared_epsilon_insensitive": its square;
        - an object with `value`, `derivative`, `curvature` and `best_constant`: see
          `gdregress.Loss`.
    epsilon : float, default=0.1
        Where "huber" becomes straight, or half the width of the tube of the insensitive losses, in
        units of y.
    quantile : float, default=0.5
        Quantile that ``loss="quantile"`` predicts, in (0, 1).
    penalty : {"l2", "l1", "elasticnet"} or None, default=None
        Penalty on the coefficients.
    alpha : float, default=1e-4
        Strength of the penalty; without one it has no effect. It has the meaning of that of
        `SGDRegressor`, `Lasso`, `ElasticNet` and `QuantileRegressor`; `Ridge` multiplies by n.
    l1_ratio : float, default=0.15
        Share of L1 in ``penalty="elasticnet"``, in [0, 1].
    positive : bool, default=False
        Whether coefficients must not be negative.
    fit_intercept : bool, default=True
        Whether the model has an intercept.
    optimizer : str, default="auto"
        How the gradient becomes a step:

        - "gd": plain descent;
        - "momentum": heavy ball;
        - "nesterov": Nesterov's acceleration with adaptive restart;
        - "conjugate": conjugate gradient, which finds the best rate and momentum at every epoch;
          for squared error without L1;
        - "newton": descent in the curvature of the point where it stands, damped as needed; for
          losses other than squared error and for L1;
        - "adagrad", "rmsprop", "adam": a rate for each coordinate from the gradients seen; without
          a float as `learning_rate`, of 0.5, 0.01 and 0.05 standardised units;
        - "auto": the fastest that takes the objective.

        What does not go together is refused in a sentence that names what does.
    momentum : float, default=0.9
        Share of the last step that "momentum" keeps, or of the mean gradient that "adam" keeps,
        in [0, 1).
    schedule : str or callable, default="constant"
        What the rate is multiplied by after k epochs:

        - "constant": 1;
        - "invscaling": (k + 1) ** -power_t;
        - "exponential": 0.01 ** (k / epochs);
        - "cosine": (1 + cos(pi k / epochs)) / 2;
        - "adaptive": a fifth of what it was, whenever the objective has had no new low for
          `n_iter_no_change` epochs;
        - a callable from k to a number of at least 0.
    power_t : float, default=0.25
        Exponent of ``schedule="invscaling"``.
    batch_size : int or None, default=None
        Rows in a mini-batch, clipped to the number of samples; None takes all rows at once. An
        epoch is one pass over the rows in batches, after which the whole objective is evaluated: for
        squared error from its moments, for other losses by a second pass over X.
    average : bool or int, default=False
        Whether the mean of the points so far is what each epoch ends with (Polyak and Ruppert); an
        int is the number of rows to see before the mean begins.
    shuffle : bool, default=True
        Whether mini-batches are drawn in a new order at every epoch; else they are views of X in
        the order of its rows.
    random_state : int, RandomState instance or None, default=None
        Decides the start of ``init="random"``, the split of `early_stopping`, the order of
        mini-batches, and the rows that a large fit may draw for its metric: these are always
        the same where it is None.
    init : {"zeros", "random"}, default="zeros"
        Where to start: coefficients and intercept zero, or standard normal draws in the
        coordinates of the descent (the raw ones for a float and "lipschitz", else the
        standardised ones).
    warm_start : bool, default=False
        Whether to start from the coefficients of the last fit. A loss with kinks is descended smoothed
        at first all the same, so that it may go up before it goes down.
    tol : float or None, default=1e-6
        Certificate `optimality_` at which the descent has converged. None, or 0, switches that
        off: exactly `epochs` epochs are run, and nobody is warned.
    target_loss : float or None, default=None
        Training loss at which to stop. Where `history_` is of moments, losses are known to
        about 1e-15 of the variance of y: a smaller target may not be seen to be reached.
    early_stopping : bool, default=False
        Whether to stop when the loss of validation rows no longer gets better, and to return
        the best epoch's coefficients: ``history_["validation_loss"].argmin()`` is that epoch.
    validation_fraction : float, default=0.1
        Share of the rows held out for `early_stopping` where `fit` is not given `X_val`.
    n_iter_no_change : int, default=10
        Epochs without a better validation loss after which `early_stopping` stops.
    record_path : bool, default=False
        Whether `history_` holds the coefficients of every epoch.
    verbose : int or bool, default=0
        Print every `verbose`-th epoch, the first and the last, and why the descent ended; of epochs over
        chunks every `verbose`-th.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Coefficients on the original scale, in the dtype of X.
    intercept_ : float or ndarray of shape (n_targets,)
        Intercept; 0.0 if ``fit_intercept=False``.
    n_iter_ : int
        Epochs run.
    converged_ : bool
        Whether `optimality_` is at most `tol`.
    stop_reason_ : str
        Why the descent ended, with the remedy where there is one.
    optimality_ : float
        Certificate at the coefficients returned, of the worst output: ``sqrt(g' P g / F0)``, where g
        is the gradient (with L1: the shortest subgradient), F0 the loss of the best constant, and P
        the inverse of the curvature (its diagonal, where "diagonal" was all that
        `learning_rate="auto"` could afford). With the matrix it is for squared error sqrt(2) times
        the root-mean-square distance of the predictions from the optimal ones, in standard
        deviations of y; with its diagonal alone, which says less of nearly collinear columns, that
        distance can be larger. For the losses with kinks, which are descended through smoothed
        twins, it is the distance of the objective from its minimum, as a share of the objective (of
        F0 / 1000, if that is more), as estimated from the curvature at that point; infinite where
        no row shows any. It is measured before coefficients are rounded to the dtype of X.
    learning_rate_ : float or str
        What `learning_rate` came to: the number, or the name of the rung.
    optimizer_ : str
        What `optimizer` came to.
    max_learning_rate_ : float
        Ceiling 2/L above which plain descent in raw coordinates diverges; only for squared error
        with a float or "lipschitz" as `learning_rate`. Momentum and Nesterov's acceleration have ceilings of
        their own, which a warning names.
    moments_ : dict of str to float, int or ndarray
        After `partial_fit` and `fit_batches`: the weight, means and covariances of all rows taken in.
    n_samples_seen_ : int
        Then: how many rows, those of weight zero left out.
    n_chunks_seen_ : int
        Then: in how many chunks.
    descent_ : dict of str to float, int, str, tuple or ndarray
        After `partial_fit`, where it descends an epoch over each chunk: what the next goes on from.
    history_ : dict of str to ndarray
        "loss", "optimality" and "learning_rate" of every epoch; "validation_loss" with
        `early_stopping`; "coef" and "intercept" with `record_path`. Entry 0 is the starting
        point, so each has ``n_iter_ + 1`` entries. The loss is the weighted mean of `loss`, averaged
        over outputs, without the penalty.
    n_features_in_ : int
        Number of features of X.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X had names that are all strings.

    See Also
    --------
    sklearn.linear_model.SGDRegressor : Stochastic gradient descent; needs scaled columns.
    sklearn.linear_model.LinearRegression : Least squares by a singular value decomposition.
    compare : This model beside SGDRegressor and the closed form on the same data.

    References
    ----------
    Nesterov (1983), A method of solving a convex programming problem with convergence rate
    O(1/k^2). Hestenes and Stiefel (1952), Methods of conjugate gradients for solving linear
    systems. Bjorck (1996), Numerical Methods for Least Squares Problems. Lee, Sun and Saunders
    (2014), Proximal Newton-type methods for minimizing composite functions. Nesterov (2005),
    Smooth minimization of non-smooth functions.

    Examples
    --------
    Raw columns, nothing to tune:

    >>> from gdregress import GradientDescentRegressor, load_house_prices
    >>> X, y = load_house_prices(return_X_y=True)
    >>> model = GradientDescentRegressor().fit(X, y)
    >>> print(f"{model.coef_[0]:.6f} {model.intercept_:.6f} after {model.n_iter_} epoch")
    84.736842 -46.315789 after 1 epoch

    The textbook's descent, digit for digit:

    >>> model = GradientDescentRegressor(learning_rate=0.001, epochs=25, tol=None).fit(X, y)
    >>> print(f"w = {model.coef_[0]:.8f}, b = {model.intercept_:.8f}")
    w = 31.03371126, b = 8.19030548
    >>> print(model.history_["loss"][[0, 1, 25]].round(3))
    [65228.571 62362.294 23223.728]
    >>> print(f"{model.max_learning_rate_:.8f}")
    0.08128431

    A median in place of a mean, and coefficients that are exactly zero:

    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True, scaled=False)
    >>> model = GradientDescentRegressor(loss="absolute_error", penalty="l1", alpha=1.0).fit(X, y)
    >>> print(model.converged_, (model.coef_ == 0.0).sum(), "coefficients are zero")
    True 4 coefficients are zero
    """

    _doc_link_module = "gdregress"
    _doc_link_template = "https://gdregress.readthedocs.io/en/latest/api/generated/gdregress.{estimator_name}.html"

    def __init__(
        self,
        learning_rate="auto",
        epochs=1000,
        *,
        loss="squared_error",
        epsilon=0.1,
        quantile=0.5,
        penalty=None,
        alpha=1e-4,
        l1_ratio=0.15,
        positive=False,
        fit_intercept=True,
        optimizer="auto",
        momentum=0.9,
        schedule="constant",
        power_t=0.25,
        batch_size=None,
        average=False,
        shuffle=True,
        random_state=None,
        init="zeros",
        warm_start=False,
        tol=1e-6,
        target_loss=None,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=10,
        record_path=False,
        verbose=0,
    ):
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.loss = loss
        self.epsilon = epsilon
        self.quantile = quantile
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.positive = positive
        self.fit_intercept = fit_intercept
        self.optimizer = optimizer
        self.momentum = momentum
        self.schedule = schedule
        self.power_t = power_t
        self.batch_size = batch_size
        self.average = average
        self.shuffle = shuffle
        self.random_state = random_state
        self.init = init
        self.warm_start = warm_start
        self.tol = tol
        self.target_loss = target_loss
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.record_path = record_path
        self.verbose = verbose

    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Descend from the start to the minimum of the objective, or until told to stop.

        What is raised leaves the estimator as it was. An interrupt (Ctrl-C) stores the
        coefficients reached, and then goes on.

        Callbacks given to `set_callbacks` (scikit-learn 1.9 and later) are told of every epoch,
        in order: of X and y as they are given here, and of the model as it would be, should the
        fit end there. It does where one of them returns True. `partial_fit` and `fit_batches` do not
        tell them.

        Of dask arrays and data frames no row is fetched. For squared error the moments of each block are
        gathered where it lies, in one graph. For what needs the rows at every epoch, blocks are kept
        in the memory of the workers (here, where there are none), and a pass over them is a graph of its
        own. Chunks along columns are put together. y, the weights and validation rows may be of dask or
        not.

        Parameters
        ----------
        X : {array-like, sparse matrix, dask array or data frame} of shape (n_samples, n_features)
            Training rows, scaled or not. Floats in an array or CSR are not copied, but for small
            ill-conditioned X; CSR is never made dense, and a memory map is read block by block. Text is
            to be encoded before.
        y : array-like or dask array of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : array-like or dask array of shape (n_samples,), default=None
            Weights of the rows: 2 is a row given twice, 0 a row left out.
        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            Validation rows for `early_stopping`, in place of a random split. A pipeline hands
            them on as they are, unless it is told ``transform_input=["X_val"]``, metadata routing
            is enabled, and the model has ``set_fit_request(X_val=True, y_val=True)``.
        y_val : array-like of shape (n_val,) or (n_val, n_targets), default=None
            Targets of the validation rows.
        sample_weight_val : array-like of shape (n_val,), default=None
            Weights of the validation rows.

        Returns
        -------
        self : GradientDescentRegressor
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter makes no sense, alone or with another; if X, y or the weights hold
            NaN or infinity or have the wrong shape; if weights are negative or all zero; if
            `X_val` comes without `y_val` or without `early_stopping`.

        Warns
        -----
        ConvergenceWarning
            If the epochs are used up before `tol` is met, or the descent diverged.
        """
        with given_back(), _unchanged_on_error(self):
            result = self._fit(X, y, sample_weight, X_val, y_val, sample_weight_val)
        return _finished(self, result)

    @available_where(check_takes_chunks)
    def partial_fit(self, X, y, sample_weight=None):
        """Take in a chunk of rows: move to the minimum over all rows taken in so far, or an epoch towards it.

        For squared error with `learning_rate` a str, the sums over rows are all that counts. Their
        moments are kept and added up, and the rows are not: chunks of any sizes, in any order, come to
        what one fit comes to.

        With another loss, a number as `learning_rate`, `batch_size`, `average`, or one of the optimizers
        "momentum", "adagrad", "rmsprop" and "adam" it is SGDRegressor's: an epoch of mini-batches over
        the chunk, which comes near the minimum as chunks, or passes over the same ones, go on.
        Coefficients, the optimizer's memory, the schedule and the average go on from the chunk before;
        `history_` holds the loss of every chunk before it was learned from, and there is no
        certificate. With a str as `learning_rate` columns need no scaling: frame, metric and rate are
        those of the moments of all rows so far, the rate of the losses that end in straight lines falls as
        time goes on, and where `batch_size` is None batches have a fiftieth of the rows, or 32 if that is
        more. With a number a chunk is one batch then.

        Of a `fit` before, the coefficients are where epochs over chunks go on from, as SGDRegressor's do; its
        rows are not remembered, so that the minimum of squared error is that of the rows of `partial_fit`
        alone, which is warned of. Parameters may change between two calls: epochs go on from the
        coefficients there are, and squared error is that of all rows whose moments were taken.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows, scaled or not; one will do.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, on one scale for all chunks.

        Returns
        -------
        self : GradientDescentRegressor
            The fitted estimator.

        Raises
        ------
        AttributeError
            If the parameters ask for the same rows again and again: there is no such method then.
        ValueError
            If features or targets are others than those of the chunks before; else as `fit` does.
            The estimator stays as it was.

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
        past = vars(self).copy() if "coef_" in vars(self) else {}
        if not moments_suffice(self):
            with given_back(), _unchanged_on_error(self):
                warning = self._descend_chunk(X, y, sample_weight, past)
            if warning is not None:
                warnings.warn(warning, ConvergenceWarning, stacklevel=2)
            return self
        with given_back(), _unchanged_on_error(self):
            result = self._stream([(X, y, sample_weight)], past)
        if past and ("moments_" not in past or past["moments_"]["n_samples"] != past["n_samples_seen_"]):
            warnings.warn(
                "rows were fitted before whose sums were not kept, by fit or with a number as learning_rate: "
                f"these are the coefficients of the other {self.n_samples_seen_}. Take in all rows by "
                "partial_fit or fit_batches, or begin a stream with a clone.",
                UserWarning,
                stacklevel=2,
            )
        return _finished(self, result)

    @available_where(check_takes_batches)
    def fit_batches(self, batches):
        """Fit to the rows of many chunks, each read once: what does not fit in memory is never there as a whole.

        The same as `partial_fit` chunk by chunk, from the beginning, with one descent at the end.

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
        ValueError
            If there is no chunk; else as `partial_fit` does. The estimator stays as it was.

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
        with given_back(), _unchanged_on_error(self):
            result = self._stream(batches, {})
        return _finished(self, result)

    def merge(self, other):
        """Take in the rows that another estimator has taken in: on another machine, say.

        Parameters
        ----------
        other : GradientDescentRegressor
            Fitted by `partial_fit` or `fit_batches` to rows with the same features and targets; it stays as it is.

        Returns
        -------
        self : GradientDescentRegressor
            This estimator, fitted to the rows of both by its own parameters.

        Raises
        ------
        ValueError
            If one of them has no moments, if the parameters ask for more than moments tell, or
            features or targets are not the same.

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
                raise ValueError(f"{which} has no moments: fit it by partial_fit or fit_batches to squared error.")
        mine, theirs = Moments.from_plain(self.moments_), Moments.from_plain(other.moments_)
        check_has_products(mine, theirs)
        check_same("n_features", len(mine.x.mean), len(theirs.x.mean))
        check_same("n_targets", len(mine.y.mean), len(theirs.y.mean))
        names = [list(getattr(side, "feature_names_in_", [])) for side in (self, other)]
        check_same("feature_names_in_", *names)
        form = OutputFormat(np.result_type(self.coef_, other.coef_), self.coef_.ndim == 1)
        with given_back(), _unchanged_on_error(self):
            n_chunks = self.n_chunks_seen_ + other.n_chunks_seen_
            with _in_any_range():
                moments = mine.merge(theirs)
            result = self._minimise_streamed(spec, moments, form, n_chunks)
        return _finished(self, result)

    def predict(self, X):
        """Predict the targets of rows.

        Parameters
        ----------
        X : {array-like, sparse matrix, dask array or data frame} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray or dask array of shape (n_samples,) or (n_samples, n_targets)
            Predictions ``X @ coef_ + intercept_``; of dask they are lazy.
        """
        check_is_fitted(self)
        if is_dask(X):
            self._see_columns(X, reset=False)
            return predict_blocks(X, self.coef_, self.intercept_)
        check_numeric("X", X)
        X = validate_data(self, with_names(X), reset=False, **X_FORMAT)
        check_finite("X", X)
        return X @ self.coef_.T + self.intercept_

    def score(self, X, y, sample_weight=None):
        """Give the coefficient of determination R^2 of the predictions.

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
            1 less the squared error over that of the mean, averaged over targets.
        """
        if is_dask(X):
            check_is_fitted(self)
            self._see_columns(X, reset=False)
            return score_blocks(blocks_of(X, y, sample_weight), self.coef_, self.intercept_)
        y, sample_weight = in_memory(y, sample_weight)
        return super().score(X, y, sample_weight)

    @with_callbacks
    def _fit(self, X, y, sample_weight, X_val, y_val, sample_weight_val) -> Result:
        """Read, hold out, minimise."""
        spec = Spec.of(self)
        check_validation_arguments(self.early_stopping, X_val, y_val, sample_weight_val)
        rows, form = self._read(spec, X, y, sample_weight)
        task = FitTask.begin(self, X, y, sample_weight)
        rng, held_out = spec.rng(), None
        if X_val is not None:
            held_out = self._validation_rows(X_val, y_val, sample_weight_val, rows.n_outputs)
        elif spec.limits.early_stopping:
            rows, held_out = split_off(rows, spec.limits.validation_fraction, rng)
        return self._minimise(spec, rows, form, rng, held_out=held_out, task=task)

    def _read(self, spec: Spec, X, y, sample_weight) -> tuple[Rows, OutputFormat]:
        """Validate training rows: in memory, on dask's workers, or summed there at once where no epoch needs them."""
        if hasattr(X, "__next__"):
            raise TypeError(f"X is a {type(X).__name__}: pass an iterator of (X, y) to fit_batches.")
        if not is_dask(X):
            X, y, weight = read_rows(self, X, y, sample_weight)
            return RowBlocks(X, y.reshape(len(y), -1), weight), OutputFormat(X.dtype, y.ndim == 1)
        check_takes_blocks(self)
        self._see_columns(X, reset=True)
        blocks, is_single = blocks_of(X, y, sample_weight), np.ndim(y) == 1
        if moments_suffice(self) and not spec.limits.early_stopping:
            dtype = np.float32 if as_array(X).dtype == np.float32 else np.float64
            return GoneRows(gather_blocks(blocks)), OutputFormat(dtype, is_single)
        rows = DaskRows.of(blocks)
        return rows, OutputFormat(rows.dtype, is_single)

    def _validation_rows(self, X_val, y_val, sample_weight_val, n_outputs: int) -> Rows:
        """Validate the validation rows that were given; those of dask stay where they lie."""
        if not is_dask(X_val):
            y_val, sample_weight_val = in_memory(y_val, sample_weight_val)
            return read_validation_rows(self, X_val, y_val, sample_weight_val, n_outputs)
        self._see_columns(X_val, reset=False)
        rows = DaskRows.of(blocks_of(X_val, y_val, sample_weight_val, suffix="_val"))
        check_outputs(rows.n_outputs, n_outputs)
        return rows

    def _see_columns(self, X, *, reset: bool) -> None:
        """Check number and names of the columns of a dask collection as those of an array: by a row like them."""
        validate_data(self, row_like(X), reset=reset)

    def _minimise(
        self,
        spec: Spec,
        rows: Rows,
        form: OutputFormat,
        rng: np.random.RandomState,
        *,
        held_out: Rows | None = None,
        task: FitTask | None = None,
    ) -> Result:
        """Choose a method, follow it to its end, and store where it led."""
        with rows.on_threads(), _in_any_range():
            choice = choose(spec, rows)
            moments = rows.moments(products=choice.products, precision=choice.precision)
            method = make_method(choice, spec, Problem.of(spec.terms, moments, rows), rng)
            problem = method.problem
            start = starting_point(spec, problem.coordinates, rng, self.__dict__)
            validate = None if held_out is None else validation_value(held_out, problem)
            self._forget()
            observers: list[Observer] = []
            if task is not None:
                observers.append(task.observer(lambda epoch: form.solution(problem, epoch)))
            progress = Progress(spec.verbose, validates=held_out is not None)
            if spec.verbose:
                observers.append(progress)
            record = problem.coordinates.to_raw if spec.record_path else None
            stopping = Stopping.of(spec, method)
            result = solve(
                problem,
                method.solver,
                start,
                stopping,
                observers,
                validate=validate,
                record=record,
                one_by_one=task is not None,
            )
            self.__dict__.update(form.fitted(spec, method, result))
        if spec.verbose and result.interrupt is not None:
            progress.close(result)
        if task is not None and result.interrupt is None:
            task.end()
        return result

    def _stream(self, batches: Iterable, past: dict[str, Any]) -> Result:
        """Add the moments of chunks to those of the chunks before, and minimise over their sum."""
        spec = Spec.of(self)
        moments = Moments.from_plain(past["moments_"]) if "moments_" in past else None
        if moments is not None:
            check_has_products(moments)
        n_targets, is_single, dtypes = None, False, []
        if past:
            coef = past["coef_"]
            n_targets, is_single, dtypes = len(np.atleast_2d(coef)), coef.ndim == 1, [coef.dtype]
        for number, batch in numbered(batches, past.get("n_chunks_seen_", 0) + 1):
            X, y, weight, unit = read_chunk(self, *parts_of(batch, number), number, is_first=n_targets is None)
            targets = y[:, np.newaxis] if y.ndim == 1 else y
            if n_targets is None:
                n_targets, is_single = targets.shape[1], y.ndim == 1
            check_same("n_targets", n_targets, targets.shape[1])
            if unit > 0:
                dtypes.append(X.dtype)
                with _in_any_range():
                    chunk = moments_of_chunk(RowBlocks(X, targets, weight, name=f"X of chunk {number}"), unit)
                    moments = chunk if moments is None else moments.merge(chunk)
        if moments is None:
            raise ValueError(f"no row of chunk {number} counts: begin a stream with rows of positive weight.")
        return self._minimise_streamed(spec, moments, OutputFormat(np.result_type(*dtypes), is_single), number)

    def _minimise_streamed(self, spec: Spec, moments: Moments, form: OutputFormat, n_chunks: int) -> Result:
        """Minimise over rows of which the moments are left, and keep these."""
        result = self._minimise(spec, GoneRows(moments), form, spec.rng())
        self.moments_ = moments.plain()
        self.n_samples_seen_, self.n_chunks_seen_ = moments.n_samples, n_chunks
        return result

    def _descend_chunk(self, X, y, sample_weight, past: dict[str, Any]) -> str | None:
        """Descend an epoch over a chunk from where the last has ended, and store where that led."""
        spec, number = Spec.of(self), past.get("n_chunks_seen_", 0) + 1
        X, y, weight, unit = read_chunk(self, X, y, sample_weight, number, is_first=not past)
        form = OutputFormat(np.result_type(X.dtype, past.get("coef_", X)), past.get("coef_", y).ndim == 1)
        rows = RowBlocks(X, y.reshape(len(y), -1), weight, name=f"X of chunk {number}")
        check_finite(rows.name, rows.X)
        if past:
            check_same("n_targets", 1 if form.is_single else len(past["coef_"]), rows.n_outputs)
        carried = ("moments_", "learning_rate_", "optimizer_", *(["history_"] if "descent_" in past else []))
        attributes, warning = {name: past[name] for name in carried if name in past}, None
        if unit > 0:
            with _in_any_range():
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
        self.descent_ = stream.plain()
        return warning

    def _forget(self) -> None:
        """Forget what an earlier fit has set, but for what is known of the columns."""
        for name in FITTED:
            self.__dict__.pop(name, None)

    def __sklearn_tags__(self):
        """Say that X may be sparse and y may have several columns."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.multi_output = True
        return tags

    def __getstate__(self):
        """Stamp the version that pickles."""
        return {**super().__getstate__(), "_gdregress_version": __version__}

    def __setstate__(self, state):
        """Warn where another version pickled."""
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


def _check_moments_suffice(estimator: Any, because: str) -> None:
    try:
        check_takes_batches(estimator)
    except AttributeError as needs_rows:
        raise ValueError(f"{because}: {needs_rows}") from None


def _finished(estimator: Any, result: Result) -> Any:
    """Warn where the user called the method that calls this, and let an interrupt go on, once all is stored."""
    if result.is_warning:
        warnings.warn(result.reason, ConvergenceWarning, stacklevel=3)
    if result.interrupt is not None:
        raise result.interrupt
    return estimator


@contextmanager
def _unchanged_on_error(estimator: BaseEstimator) -> Iterator[None]:
    """Give an estimator back as it was where something is raised."""
    before = dict(estimator.__dict__)
    try:
        yield
    except BaseException:
        estimator.__dict__.clear()
        estimator.__dict__.update(before)
        raise


def _in_any_range() -> AbstractContextManager:
    """Let numbers leave the range of floats, whatever the user has NumPy do then: a descent that diverges is seen to.

    What is too large ends as infinity, or as NaN, in the objective, which is looked at after every epoch.
    """
    return np.errstate(all="ignore")
