"""The estimator: parameters and data in, fitted attributes out."""

from dataclasses import replace

import numpy as np

from gdregress.method.choice import choose
from gdregress.method.spec import Spec, used_epsilon
from gdregress.problem.problem import Problem
from gdregress.rows.rows import Rows
from gdregress.solve.attributes import FITTED, OutputFormat
from gdregress.solve.callbacks import NOBODY, CallbackSupportMixin, Task, with_callbacks
from gdregress.solve.chunked import ChunksMixin
from gdregress.solve.fitting import finished, fitting, in_any_range
from gdregress.solve.linear_predictor import LinearPredictor
from gdregress.solve.progress import Progress
from gdregress.solve.reading import training_rows, validation_rows
from gdregress.solve.scale import at_scale
from gdregress.solve.scale_remarks import remarks_on_epsilon, remarks_on_scale
from gdregress.solve.solve import Observer, solve
from gdregress.solve.stopping import Result, Stopping
from gdregress.solve.validation import check_validation_arguments, split_off, validation_value


class GradientDescentRegressor(CallbackSupportMixin, ChunksMixin, LinearPredictor):
    r"""Linear regression by gradient descent that needs no scaling and no learning-rate tuning.

    Minimises, over coefficients w and an intercept b,

    .. math::

        F(w, b) = \frac{1}{\sum_i s_i} \sum_i s_i l(y_i - x_i \cdot w - b)
            + k \alpha \left(\rho \|w\|_1 + \frac{1 - \rho}{2} \|w\|_2^2\right)

    with sample weights s, a loss l of each residual and a penalty with rho = `l1_ratio`. The
    intercept is never penalised. The factor k is 2 for "squared_error" and "huber" and 1 for the
    other losses. These two losses are twice SGDRegressor's, so that the reported loss is the mean
    squared error; with k the same `alpha` gives the same minimiser as SGDRegressor's.

    Every epoch steps ``w <- prox(w - eta * P * gradient)``. The preconditioner P is 1, one
    number for each feature, or a matrix. By default P is the inverse of the curvature (the second
    derivatives of F), so that raw, unscaled columns need no preparation. If columns are collinear,
    least squares has many solutions; the model returns the one of least norm in standardised
    coordinates.

    Parameters
    ----------
    learning_rate : float or {"auto", "lipschitz", "diagonal", "curvature"}, default="auto"
        What each epoch multiplies the gradient by:

        - a float: that number, in the raw coordinates (w, b), as in the textbooks. The gradient
          is that of the mean loss, ``-2/n * X.T @ (y - X @ w - b)``, of each output on its own;
        - "lipschitz": the number 1/L, in the raw coordinates. L is the largest curvature;
        - "diagonal": one number per feature, the inverse of that feature's own curvature. It
          replaces a `StandardScaler`;
        - "curvature": a matrix, the inverse of the curvature;
        - "auto": "curvature" where the matrix is affordable, as for up to 2000 features, else "diagonal".
          "Choosing a learning rate" in the documentation says where else it is.
    epochs : int, default=1000
        Largest number of epochs.
    loss : str or object, default="squared_error"
        Loss of a residual r:

        - "squared_error": r^2;
        - "huber": r^2 up to abs(r) = `epsilon`, then 2 epsilon abs(r) - epsilon^2;
        - "absolute_error": abs(r);
        - "quantile": `quantile` r for r > 0, else (quantile - 1) r;
        - "epsilon_insensitive": max(abs(r) - epsilon, 0);
        - "squared_epsilon_insensitive": the square of "epsilon_insensitive";
        - an object with `value`, `derivative` and `curvature`: see `gdregress.Loss`.
    epsilon : float or {"auto"}, default=0.1
        Residual at which "huber" turns from a parabola into a straight line, or half the width of
        the tube of the insensitive losses. It is in raw units, those of y: y in cents needs a
        hundred times the `epsilon` of y in euros. With residuals of some thousands, the default, which
        is SGDRegressor's, makes "huber" all but the absolute error. "auto" is for "huber": 1.35 times
        the scale of the residuals, which is fitted along with the coefficients as by `HuberRegressor`.
        If the descent is to end at the minimum, whatever `init` says, `history_` is the way to these.
        Beside losses that have no `epsilon` it has no effect.
    quantile : float, default=0.5
        Quantile that ``loss="quantile"`` predicts, in (0, 1).
    penalty : {"l2", "l1", "elasticnet"} or None, default=None
        Penalty on the coefficients. It acts on them in raw units, those of y per unit of the column:
        a column in millimetres has a thousandth of the coefficient of the same column in metres, so
        that it is penalised less. With ``standardize=True`` it treats all columns alike.
    alpha : float, default=1e-4
        Strength of the penalty; it has no effect with ``penalty=None``. Without `standardize` it is in
        raw units too: the same strength is another number if the unit of a column changes. It means the
        same as in `SGDRegressor`, `Lasso`, `ElasticNet` and `QuantileRegressor`. The same penalty in `Ridge`
        is ``alpha=n_samples * alpha``.
    l1_ratio : float, default=0.15
        Share of L1 in ``penalty="elasticnet"``, in [0, 1].
    positive : bool, default=False
        Whether to keep all coefficients at 0 or above.
    standardize : bool, default=False
        Whether the penalty acts on coefficients in standard deviations of their columns, those of the
        training rows with their weights. The model predicts as one behind a `StandardScaler`, but X
        is neither copied nor centred, and `coef_` is on the original scale. A column that does not
        vary counts in its own unit. Over chunks, the deviations are those of the rows so far.
    fit_intercept : bool, default=True
        Whether the model has an intercept.
    optimizer : str, default="auto"
        How the gradient becomes a step:

        - "gd": plain gradient descent;
        - "momentum": the heavy ball method;
        - "nesterov": Nesterov's acceleration with adaptive restart;
        - "conjugate": conjugate gradient, which computes the best rate and momentum at every epoch.
          Only for squared error without L1 and `positive`;
        - "newton": Newton steps, with the curvature at the current point. For the losses by name other
          than squared error, and rows in memory, they end at the exact minimum. For others they are
          damped. Meant for losses other than squared error, and for L1;
        - "adagrad", "rmsprop", "adam": a step size for each coordinate, from the gradients seen so
          far. Where `learning_rate` is not a float, their rates are 0.5, 0.01 and 0.05 standardised
          units, and the intercept starts within one of these from the best constant, of the first chunk
          in `partial_fit`: no step is much longer than the rate, so that a distant mean of y would take
          thousands of epochs;
        - "auto": the fastest optimizer that can minimise the objective.

        An optimizer that cannot be combined with other parameters raises an error, which names
        those that can.
    momentum : float, default=0.9
        Share of the last step that "momentum" keeps, or of the mean gradient that "adam" keeps,
        in [0, 1).
    schedule : str or callable, default="constant"
        Factor of the learning rate after k epochs:

        - "constant": 1;
        - "invscaling": (k + 1) ** -power_t;
        - "exponential": 0.01 ** (k / epochs);
        - "cosine": (1 + cos(pi k / epochs)) / 2;
        - "adaptive": divided by 5 whenever the objective has reached no new minimum for
          `n_iter_no_change` epochs;
        - a callable that takes k and returns a number of at least 0.
    power_t : float, default=0.25
        Exponent of ``schedule="invscaling"``.
    batch_size : int or None, default=None
        Rows in a mini-batch, at most the number of samples; None takes all rows at once. An epoch
        is one pass over the rows in batches. After each epoch the objective of all rows is
        evaluated: for squared error from its moments, for other losses by a second pass over X.
    average : bool or int, default=False
        Whether each epoch returns the running mean of all points so far (Polyak and Ruppert)
        instead of the last point. An int is the number of rows to see before the mean begins.
    shuffle : bool, default=True
        Whether to draw mini-batches in a new order at every epoch. If False, they are views of X,
        in the order of its rows.
    random_state : int, RandomState instance or None, default=None
        Seed of the start of ``init="random"``, of the split of `early_stopping`, of the order of
        mini-batches, and of the rows that a large fit may sample for its matrix. With None this
        sample is the same at every fit.
    init : {"zeros", "random"}, default="zeros"
        Where to start: at coefficients and intercept 0, or at standard normal draws in the
        coordinates of the descent. These are the raw coordinates for a float and "lipschitz", else
        the standardised ones. The intercept of some optimizers starts elsewhere, as told there.
    warm_start : bool, default=False
        Whether to start from the coefficients of the last fit. With a loss with kinks that is epoch 0
        only: the interior point and the smoothed losses begin anew, so that the loss may rise before it
        falls.
    tol : float or None, default=1e-6
        The descent has converged when `optimality_` is at most `tol`. With None or 0 it runs
        exactly `epochs` epochs and gives no warning that it has not converged.
    target_loss : float or None, default=None
        Training loss at which to stop. Losses computed from moments are accurate to about 1e-15 of
        the variance of y: a descent may reach a smaller target unnoticed.
    early_stopping : bool, default=False
        Whether to stop when the loss of the validation rows no longer improves, and to return
        the coefficients of the best epoch, ``history_["validation_loss"].argmin()``. A descent that
        converges first gains nothing from it: without `X_val`, the rows held out are then missing from
        the fit, and a warning says so. Early stopping is for slow descents, such as "diagonal" with
        ``optimizer="gd"``, or "lipschitz" on scaled columns.
    validation_fraction : float, default=0.1
        Share of the rows that `early_stopping` holds out, if `fit` gets no `X_val`.
    n_iter_no_change : int, default=10
        Number of epochs without a better validation loss after which `early_stopping` stops.
    record_path : bool, default=False
        Whether `history_` holds the coefficients of every epoch.
    verbose : int or bool, default=0
        Print the first, every `verbose`-th and the last epoch, and why the descent ended. A
        `partial_fit` that descends an epoch over each chunk prints every `verbose`-th chunk. 0
        prints nothing.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Coefficients on the original scale, in the dtype of X.
    intercept_ : float or ndarray of shape (n_targets,)
        Intercept; 0.0 if ``fit_intercept=False``.
    n_iter_ : int
        Number of epochs run.
    best_epoch_ : int
        Number of the epoch whose coefficients are returned, where 0 is the start: the last, but with
        `early_stopping` the best, and so where the descent diverged. An epoch over each chunk leaves none.
    converged_ : bool
        Whether `optimality_` is at most `tol`.
    diverged_ : bool
        Whether the descent diverged, so that the best epoch was kept: the objective went far beyond that of
        the start or left the range of floats, or that of the last epoch, or its mean over the second half of
        the epochs, was above the start, at a rate that is not below a known stability ceiling.
    scale_ : float
        Scale of the residuals; only with ``epsilon="auto"``. The mean of ``min(abs(r) / scale_, 1.35)^2`` over
        the residuals r of the minimum is 1. It is at least 1e-8 of the root mean square of y: where more
        than 45 % of the rows are fitted exactly there is no other. `n_iter_` and `history_` are those of the
        way to the coefficients that came with this scale, or of the descent for it: the fits that were made
        to find it are not counted.
    epsilon_ : float
        `epsilon` as used, in units of y: 1.35 times `scale_` with "auto". Only for losses that have an `epsilon`.
    stop_reason_ : str
        Why the descent ended, and what to do about it where there is a remedy.
    optimality_ : float
        How far the returned coefficients are from the optimum, a number without a unit, and of several
        outputs that of the worst. For squared error without L1 and `positive`, where a matrix is made, it
        is sqrt(2) times the root-mean-square distance of the predictions from the optimal ones, in
        standard deviations of y. For "huber" and "squared_epsilon_insensitive" it is ``sqrt(2 gap / F0)``,
        and for losses with kinks ``gap / max(F, F0 / 1000)``, where F is the objective, F0 the mean loss
        of the best constant prediction, and the gap F minus its minimum. With ``optimizer="auto"`` or
        "newton" and rows in memory, up to 2000 features, or any number with L1, L2 or `positive`, the gap
        of a loss by name is a bound up to rounding. The other optimizers are held to such a bound, or to
        conjugate gradients from the point, before they count as converged. Elsewhere it may be an
        estimate: "The mathematics" in the documentation says where, and how it is measured.
    learning_rate_ : float or str
        The learning rate used: the number, or "diagonal" or "curvature".
    optimizer_ : str
        The optimizer used.
    max_learning_rate_ : float
        The ceiling 2/L, above which plain descent in raw coordinates diverges. Only for squared
        error with a float or "lipschitz" as `learning_rate`. Momentum and Nesterov's acceleration
        have other ceilings, which a warning names.
    moments_ : dict of str to float, int or ndarray
        Weight, means and covariances of the rows seen by `partial_fit` and `fit_batches`. With a
        number as `learning_rate`, chunks add means and variances to it if `standardize` is set, else
        nothing.
    n_samples_seen_ : int
        Number of rows of positive weight seen by `partial_fit` and `fit_batches`.
    n_chunks_seen_ : int
        Number of chunks that these rows came in.
    descent_ : dict of str to float, int, str, tuple or ndarray
        State from which the next `partial_fit` goes on, where it descends an epoch over each chunk.
    history_ : dict of str to ndarray
        "loss", "optimality" and "learning_rate" of every epoch; "validation_loss" with
        `early_stopping`; "coef" and "intercept" with `record_path`. Entry 0 is the starting
        point, so that each array has ``n_iter_ + 1`` entries. The loss is the weighted mean of
        `loss`, averaged over outputs, without the penalty. After an epoch over each chunk: "loss"
        and "learning_rate" of every chunk.
    n_features_in_ : int
        Number of features of X.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if all columns of X have a name that is a string.

    See Also
    --------
    sklearn.linear_model.SGDRegressor : Stochastic gradient descent; needs scaled columns.
    sklearn.linear_model.LinearRegression : Least squares by a singular value decomposition.
    compare : This model beside other solvers of its objective on the same data.

    References
    ----------
    Nesterov (1983), A method of solving a convex programming problem with convergence rate
    O(1/k^2). Hestenes and Stiefel (1952), Methods of conjugate gradients for solving linear
    systems. Bjorck (1996), Numerical Methods for Least Squares Problems. Lee, Sun and Saunders
    (2014), Proximal Newton-type methods for minimizing composite functions. Nesterov (2005),
    Smooth minimization of non-smooth functions. Mehrotra (1992), On the implementation of a
    primal-dual interior point method. Madsen and Nielsen (1990), Finite algorithms for robust linear
    regression. Portnoy and Koenker (1997), The Gaussian hare and the Laplacian tortoise.

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

    A median instead of a mean, and coefficients that are exactly zero:

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
        standardize=False,
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
        self.standardize = standardize
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
        """Descend from the start to the minimum of the objective, or until a reason to stop.

        If `fit` raises an error, the estimator stays as it was. An interrupt (Ctrl-C) stores the
        coefficients reached before KeyboardInterrupt is raised.

        Callbacks set by `set_callbacks` (scikit-learn 1.9 and later) are called for every epoch, in
        order. They receive X and y as given here, and the model that `fit` would return if it ended
        there. The fit ends if one of them returns True. `partial_fit` and `fit_batches` call no
        callbacks.

        Rows of dask arrays and data frames stay where they are. For squared error, one graph computes
        the moments of each block on the worker that holds it. A fit that needs the rows at every
        epoch keeps the blocks in the memory of the workers (in this process, if there are none), and
        runs one graph for each pass over them. Chunks along columns are joined. y, the weights and
        the validation rows may be of dask or not.

        Arrays of PyTorch and CuPy stay on their device if scikit-learn dispatches by arrays, that is
        after ``sklearn.set_config(array_api_dispatch=True)``. Only sums over the rows come to the host,
        and rows near a kink of the loss. `coef_` and `intercept_` are then arrays of that library, on
        that device; `history_` is on the host. What `through_device` returns goes through a device in
        blocks of rows, at each pass over the rows, and what is fitted is on the host.

        Parameters
        ----------
        X : {array-like, sparse matrix, dask array or data frame, array on a device} of shape (n_samples, n_features)
            Training rows, scaled or not. Floats in an array or a CSR matrix are not copied, unless X
            is small and ill-conditioned. A CSR matrix is never made dense as a whole, and a memory
            map is read block by block. Encode text columns first.
        y : array-like or dask array of shape (n_samples,) or (n_samples, n_targets)
            Targets. They are moved to the device of X if they live elsewhere, and so are the weights.
        sample_weight : array-like or dask array of shape (n_samples,), default=None
            Weights of the rows. A weight of 2 counts a row twice, a weight of 0 leaves it out.
        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            Validation rows for `early_stopping`, in place of a random split. A pipeline transforms
            them only if it has ``transform_input=["X_val"]``, metadata routing is enabled, and the
            model has ``set_fit_request(X_val=True, y_val=True)``.
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
            If a parameter is invalid, alone or combined with another; if X, y or the weights hold
            NaN or infinity or have the wrong shape; if weights are negative or all zero; if
            `X_val` is given without `y_val` or without `early_stopping`; if rows on a device or of dask
            are to be drawn in mini-batches.
        TypeError
            If X is an array on a device that holds other numbers than 32-bit or 64-bit floats, or of a
            library that is not known.

        Warns
        -----
        ConvergenceWarning
            If the descent ends above `tol`, because the epochs are used up or rounding allows no
            better; if it diverges; if no epoch has a better validation loss than the start; if coefficients
            are beyond the range of their dtype; or if the scale of ``epsilon="auto"`` is not found.
        UserWarning
            If a parameter that differs from its default has no effect beside the others; if hardly any
            residual of a converged fit by "huber" is below `epsilon`, or "auto" finds no scale because there
            are no more rows than coefficients, or because most targets are equal, or a penalty leaves most
            residuals zero; if `early_stopping` held out rows for nothing; or if most columns of `X_val` are ten
            times as far from the mean of X as X is, or a tenth as far, as they may be if only X was scaled.
        """
        with fitting(self):
            result = self._fit(X, y, sample_weight, X_val, y_val, sample_weight_val)
        return finished(self, result, given=X_val is not None)

    def __sklearn_tags__(self):
        """Return the tags: X may be sparse or on a device, and y may have several columns."""
        tags = super().__sklearn_tags__()
        tags.array_api_support = self.batch_size is None  # batches are drawn from rows in memory
        return tags

    @with_callbacks
    def _fit(self, X, y, sample_weight, X_val, y_val, sample_weight_val) -> Result:
        """Read the rows, hold out the validation rows, minimise."""
        spec = Spec.of(self)
        check_validation_arguments(self.early_stopping, X_val, y_val, sample_weight_val)
        rows, form = training_rows(self, spec, X, y, sample_weight)
        task = Task.begin(self, X, y, sample_weight, n_subtasks=int(self.epochs))
        rng, held_out = spec.rng(), None
        if X_val is not None:
            held_out = validation_rows(self, X_val, y_val, sample_weight_val, rows.n_outputs)
        return self._minimise(spec, rows, form, rng, held_out=held_out, task=task)

    def _fit_rows(self, rows: Rows, form: OutputFormat, task: Task = NOBODY) -> Result:
        """Minimise over rows that have been read."""
        with fitting(self):
            spec = Spec.of(self)
            return self._minimise(spec, rows, form, spec.rng(), task=task)

    def _minimise(
        self,
        spec: Spec,
        rows: Rows,
        form: OutputFormat,
        rng: np.random.RandomState,
        *,
        held_out: Rows | None = None,
        task: Task = NOBODY,
    ) -> Result:
        """Choose a method, minimise by it, and store the fitted attributes."""
        given = held_out is not None
        if not given and spec.limits.early_stopping:
            rows, held_out = split_off(rows, spec.limits.validation_fraction, rng)
        with rows.on_threads(), in_any_range():
            known = at_scale(spec, rows, self.__dict__)
            spec, found = known.spec, known.found
            choice = choose(spec, rows)
            problem = Problem.of(spec.terms, choice.moments(rows), rows)
            method = known.method(choice.method(spec, problem, rng))
            problem = method.problem
            start = known.start(method, rng)
            validate = None
            remarks: tuple[str, ...] = ()
            if held_out is not None:
                validate, remarks = validation_value(held_out, problem, given=given)
            self._forget()
            told = task.observers(lambda epoch: form.solution(problem, epoch))
            progress = Progress(spec.verbose, validates=held_out is not None)
            observers: list[Observer] = [*told, *([progress] if spec.verbose else [])]
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
                one_by_one=bool(told),
            )
            result = known.of_scale(form.in_range(problem, spec.limits.tol, result))
            if spec.verbose:
                progress.close(result)
            self.__dict__.update(form.fitted(spec, method, result), **found)
            self.__dict__.update(used_epsilon(self))
            if found:
                remarks += remarks_on_scale(found["scale_"], problem, result)
            elif self.loss == "huber" and self.converged_:
                remarks += remarks_on_epsilon(self.epsilon, problem, result)
        if result.interrupt is None:
            task.end()
        return replace(result, remarks=remarks)

    def _forget(self) -> None:
        """Delete the attributes that an earlier fit has set, except those of the columns."""
        for name in FITTED:
            self.__dict__.pop(name, None)
