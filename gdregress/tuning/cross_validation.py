"""The estimator that chooses its parameters by cross-validation."""

import warnings
from collections.abc import Callable
from functools import cached_property
from numbers import Real

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import check_cv
from sklearn.utils.validation import check_is_fitted

from gdregress.method import effects
from gdregress.method.parameters import BOOLEANS
from gdregress.method.spec import Spec, fits_scale
from gdregress.regressor import GradientDescentRegressor
from gdregress.rows.folds import SplittableRows
from gdregress.rows.inputs import is_vector
from gdregress.rows.namespaces import where_is
from gdregress.rows.sources import source_of
from gdregress.solve.attributes import FITTED, OutputFormat
from gdregress.solve.callbacks import CallbackSupportMixin, Task, with_callbacks
from gdregress.solve.fitting import fitting
from gdregress.solve.linear_predictor import LinearPredictor
from gdregress.solve.scale import NEEDS_RESIDUALS
from gdregress.tuning.grid import Axes, automatic_alphas, given_alphas, share_of_l1, without_effect
from gdregress.tuning.refit import of_all_targets, of_each_target
from gdregress.tuning.resampling import Resampling, splits_of
from gdregress.tuning.results import (
    check_alpha_per_target,
    choice,
    choice_of_targets,
    ends,
    ends_of_targets,
    failures,
    fold_paths,
    of_nothing,
    paths,
    predictions,
)
from gdregress.tuning.routing import routed, router_of
from gdregress.tuning.scoring import FROM_ERRORS, Scoring
from gdregress.tuning.search import Search, grown
from gdregress.tuning.selection import Scores

SHARED = tuple(name for name in GradientDescentRegressor().get_params() if name != "alpha")
"""Parameters that this estimator has in common with GradientDescentRegressor."""

REFIT = "refit-with-best-params"
"""Name of the task of the last fit, which is GridSearchCV's."""

FOUND = (
    *("alpha_", "l1_ratio_", "learning_rate_", "epochs_", "alpha_min_", "alpha_1se_", "epochs_1se_"),
    *("best_params_", "best_index_", "best_score_", "n_splits_", "scorer_", "_primary", "_scores", "cv_results_"),
    *("alphas_", "mse_path_"),
    *("coef_path_", "intercept_path_", "fold_coef_path_", "fold_intercept_path_", "cv_predictions_"),
)
"""Names of the attributes that the search sets, besides those of the model."""


class GradientDescentRegressorCV(CallbackSupportMixin, LinearPredictor):
    r"""GradientDescentRegressor whose penalty, learning rate and epochs are chosen by cross-validation.

    Squared error needs only sums over rows. So one pass over X gathers the sums of each fold, the
    training sets are merged from them, and with L2 every `alpha` comes from one eigenbasis of a
    training set, or of all rows if each is left out in turn. Errors on the test rows are quadratic
    forms in their sums. Then the model is fitted to all rows, from the same sums.

    Other losses with a name consist of parabolas and straight lines. With L2 and up to 500 columns the
    model is fitted to all rows, along `alphas`. In a training set all but a few rows have residuals on
    the same parabola or line. So each of its minima follows from these few and from sums over the
    others. It takes seconds where squared error takes milliseconds.

    If the sums have too few digits, or cannot be gathered because X has more columns than a training
    set has rows or more than 2000, or with another loss or penalty, every split is fitted by a
    GradientDescentRegressor of its own. So absolute error with L1 takes 500 fits with five splits and the
    default of `alphas`: fewer of these, and `n_jobs`, make it faster, and ``verbose=1`` tells of each split
    that is done.

    X may be a dask array or data frame. Its blocks stay on their workers, and only sums come from
    them, so that the loss is squared error, and what these sums do not tell is refused.

    Parameters
    ----------
    alphas : int or array-like of float, default=100
        Strengths of the penalty, `alpha` of GradientDescentRegressor. An int is their number: they
        then fall from the smallest strength that makes all coefficients zero to `eps` times that, on
        a logarithmic scale. Without L1 no strength does so: they begin where the largest coefficient
        has an effect of a thousandth of the spread of y, whatever its unit, and fall further by the ratio
        of the smallest to the largest variance of a column. An elastic net goes down to
        `eps` times the smaller of the two. Such a grid grows while its best point is at an end and the
        score still improves there by more than a ten-thousandth, or a hundredth of all that it has
        gained: each time by a third of `alphas`, up to six times (three with L1).
    eps : float, default=1e-3
        Smallest strength of an automatic grid, as a share of the largest, in (0, 1).
    l1_ratio : float or array-like of float, default=0.15
        Share of L1 in ``penalty="elasticnet"``, or several to choose from.
    epochs : int or array-like of int, default=1000
        Largest number of epochs, or several to choose from. With several, each descent is run once to
        the largest, and its epochs are what is chosen from, so that ``epochs=range(1, 501)`` is early
        stopping with no rows held out. With ``tol=None`` nobody is warned that they end before they converge.
    learning_rate : float, str or list of these, default="auto"
        The learning rate, or several to choose from.
    cv : int, cross-validation generator or iterable, default=None
        How the rows are split, as in GridSearchCV; None for five folds of consecutive rows. Rows that are sorted
        need shuffled ones: ``KFold(5, shuffle=True, random_state=0)``.
    scoring : str, callable, list or dict, default=None
        What is maximised on the test rows, as in GridSearchCV. None is minus the mean of the loss; with
        ``epsilon="auto"``, where each fit has a loss of its own, minus the mean absolute error.
    refit : bool, str or callable, default=True
        Whether to fit to all rows with what was chosen. With several scores it is the name of the one
        that decides. A callable takes `cv_results_` and returns the index of its choice, as
        `one_standard_error` does.
    error_score : float or {"raise"}, default=nan
        The score of a point where a scorer fails on the test rows of a split, with a warning; or "raise". An
        error in a fit is always raised.
    alpha_per_target : bool, default=False
        Whether each target has an `alpha` of its own, chosen by its own mean loss. Then `alpha_`, `alpha_min_`,
        `alpha_1se_`, `best_index_` and `best_score_` have shape (n_targets,), and there is no `history_`.
        `cv_results_` has the scores averaged over targets.
    store_cv_results : bool, default=False
        Whether to keep the coefficients of each split in `fold_coef_path_`.
    store_cv_predictions : bool, default=False
        Whether to predict every row by models that have not seen it, in `cv_predictions_`.
    n_jobs : int, default=None
        Number of splits that are fitted at the same time, where they need a fit each.
    verbose : int or bool, default=0
        As in GradientDescentRegressor, for the fit to all rows. With 1 or more, a line is printed for each split
        that needs a fit of its own.
    loss : str or object, default="squared_error"
        This and the parameters that follow are those of GradientDescentRegressor.
    epsilon : float or {"auto"}, default=0.1
        Where "huber" turns straight, or half the width of the tube of the insensitive losses. With "auto"
        each fit has the one that suits the scale of its residuals.
    quantile : float, default=0.5
        Quantile that ``loss="quantile"`` predicts.
    penalty : {"l2", "l1", "elasticnet"} or None, default="l2"
        Penalty on the coefficients. With None there are no `alphas`, and ``alpha_`` is 0.
    positive : bool, default=False
        Whether to keep all coefficients at 0 or above.
    standardize : bool, default=False
        Whether the penalty acts on coefficients in standard deviations of their columns: in each split
        those of its training rows.
    fit_intercept : bool, default=True
        Whether the model has an intercept.
    optimizer : str, default="auto"
        How the gradient becomes a step.
    momentum : float, default=0.9
        Share of the last step that is kept.
    schedule : str or callable, default="constant"
        Factor of the learning rate.
    power_t : float, default=0.25
        Exponent of ``schedule="invscaling"``.
    batch_size : int or None, default=None
        Rows in a mini-batch.
    average : bool or int, default=False
        Whether the mean of the points is returned.
    shuffle : bool, default=True
        Whether mini-batches are drawn anew at every epoch.
    random_state : int, RandomState instance or None, default=None
        Seed of everything random in a fit. That of the splits is the splitter's.
    init : {"zeros", "random"}, default="zeros"
        Where a descent starts.
    warm_start : bool, default=False
        There for `set_params` and `clone` alone: every fit of this estimator begins anew.
    tol : float or None, default=1e-6
        Value of `optimality_` at which a descent has converged.
    target_loss : float or None, default=None
        Training loss at which a descent stops.
    early_stopping : bool, default=False
        Whether a descent stops by validation rows, held out of the training rows of each split.
    validation_fraction : float, default=0.1
        Share of these validation rows.
    n_iter_no_change : int, default=10
        Epochs without a better validation loss after which a descent stops.
    record_path : bool, default=False
        Whether `history_` holds the coefficients of every epoch.

    Attributes
    ----------
    alpha_ : float or ndarray of shape (n_targets,)
        The strength that was chosen; one for each target with `alpha_per_target`.
    l1_ratio_ : float
        The share of L1 that was chosen.
    learning_rate_ : float or str
        The learning rate that was chosen; after the fit to all rows, the one it used.
    epochs_ : int
        The number of epochs that was chosen.
    alpha_min_ : float
        The strength of the best mean score, whatever `refit` chooses.
    alpha_1se_ : float
        The strength that `one_standard_error` chooses; only for at least two splits.
    epochs_1se_ : int
        The number of epochs that it chooses; only for at least two splits.
    best_params_ : dict of str to object
        The parameters of the chosen point that are axes of the grid.
    best_index_ : int
        Its index in `cv_results_`.
    best_score_ : float
        Its mean score.
    n_splits_ : int
        Number of splits.
    scorer_ : callable or dict of str to callable
        What scores a model on rows.
    cv_results_ : dict of str to ndarray
        The grid and its scores in the form of GridSearchCV: "params", "param_alpha" and such,
        "split0_test_score" and such, "mean_test_score", "std_test_score", "rank_test_score". With
        them "se_test_score", the standard error of the mean, for at least two splits, and
        "split0_test_weight" and such, the weights of the test rows. There are no times, since all
        points are computed together.
    alphas_ : ndarray of shape (n_alphas,) or (n_l1_ratio, n_alphas)
        The strengths, from the largest to the smallest.
    mse_path_ : ndarray of shape (n_alphas, n_splits) or (n_l1_ratio, n_alphas, n_splits)
        Mean squared errors on the test rows, as in LassoCV. Only for squared error with one learning
        rate and one number of epochs.
    coef_path_ : ndarray of shape ([n_l1_ratio], n_alphas, [n_targets], n_features)
        Coefficients of the fits to all rows, along `alphas_`. This, `intercept_path_`, `at` and all that
        follows are there if `refit` is not False. Only with one learning rate and one number of epochs.
    intercept_path_ : ndarray of shape ([n_l1_ratio], n_alphas, [n_targets])
        Their intercepts.
    fold_coef_path_ : ndarray of shape (n_splits, n_points, [n_targets], n_features)
        Coefficients fitted to the training rows of each split, in the order of `cv_results_`. Only
        with `store_cv_results`.
    fold_intercept_path_ : ndarray of shape (n_splits, n_points, [n_targets])
        Their intercepts.
    cv_predictions_ : ndarray of shape (n_samples,) or (n_samples, n_targets)
        Predictions of each row at the chosen point, the mean over the splits that test it; NaN for a row
        that none does. Only with `store_cv_predictions`.
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Coefficients of the fit to all rows with what was chosen. This and the following are as in
        GradientDescentRegressor.
    intercept_ : float or ndarray of shape (n_targets,)
        Intercept.
    n_iter_ : int
        Number of epochs run.
    best_epoch_ : int
        Number of the epoch whose coefficients are returned; not with `alpha_per_target` and several targets.
    converged_ : bool
        Whether `optimality_` is at most `tol`.
    diverged_ : bool
        Whether the descent diverged.
    stop_reason_ : str
        Why the descent ended.
    optimality_ : float
        How far the coefficients are from the optimum.
    optimizer_ : str
        The optimizer used.
    max_learning_rate_ : float
        The stability ceiling, for a number or "lipschitz".
    history_ : dict of str to ndarray
        Measurements of every epoch.
    n_features_in_ : int
        Number of features of X.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if all are strings.

    See Also
    --------
    GradientDescentRegressor : The model itself.
    one_standard_error : A value of `refit` that prefers strong penalties.

    References
    ----------
    Chan, Golub and LeVeque (1983), Algorithms for computing the sample variance. Hastie, Tibshirani and
    Friedman (2009), The Elements of Statistical Learning, section 7.10.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from gdregress import GradientDescentRegressorCV
    >>> X, y = load_diabetes(return_X_y=True, scaled=False)
    >>> model = GradientDescentRegressorCV(penalty="l1").fit(X, y)
    >>> print(f"alpha {model.alpha_:.3f}, R2 {model.score(X, y):.3f}, {(model.coef_ == 0).sum()} zero")
    alpha 0.053, R2 0.518, 0 zero

    The number of epochs of plain descent, chosen from all up to 2000:

    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = GradientDescentRegressorCV(penalty=None, learning_rate="lipschitz", epochs=range(1, 2001), tol=None)
    >>> print(model.fit(X, y).epochs_)
    1280
    """

    _doc_link_module = GradientDescentRegressor._doc_link_module
    _doc_link_template = GradientDescentRegressor._doc_link_template

    def __init__(
        self,
        alphas=100,
        *,
        eps=1e-3,
        l1_ratio=0.15,
        epochs=1000,
        learning_rate="auto",
        cv=None,
        scoring=None,
        refit=True,
        error_score=np.nan,
        alpha_per_target=False,
        store_cv_results=False,
        store_cv_predictions=False,
        n_jobs=None,
        verbose=0,
        loss="squared_error",
        epsilon=0.1,
        quantile=0.5,
        penalty="l2",
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
    ):
        self.alphas = alphas
        self.eps = eps
        self.l1_ratio = l1_ratio
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.cv = cv
        self.scoring = scoring
        self.refit = refit
        self.error_score = error_score
        self.alpha_per_target = alpha_per_target
        self.store_cv_results = store_cv_results
        self.store_cv_predictions = store_cv_predictions
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.loss = loss
        self.epsilon = epsilon
        self.quantile = quantile
        self.penalty = penalty
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

    def fit(self, X, y, sample_weight=None, **params):
        """Choose the parameters by cross-validation, and fit to all rows with them.

        If `fit` raises an error, the estimator stays as it was.

        Parameters
        ----------
        X : {array-like, sparse matrix, dask array or data frame, array on a device} of shape (n_samples, n_features)
            Rows, scaled or not.
        y : array-like or dask array of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : array-like or dask array of shape (n_samples,), default=None
            Weights of the rows, in the fits and in the scores. A scorer that takes no weights gets none.
        **params : dict
            What the splitter and the scorer take: ``groups`` for the splitter or, with metadata routing
            enabled, whatever they request.

        Returns
        -------
        self : GradientDescentRegressorCV
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter is invalid, alone or combined with another; if a split has no training or no
            test rows of positive weight; else as GradientDescentRegressor.

        Warns
        -----
        UserWarning
            If the best point is at an end of the strengths, or at the most epochs, while the score still
            improves there; if the best strength is no better than a constant; if `alphas` or `eps` has no effect.
        ConvergenceWarning
            If fits to training rows did not converge, with the reason of one of them; if the fit to all rows
            did not.
        """
        with fitting(self):
            said = self._choose(X, y, sample_weight, params)
        for warning in said:
            warnings.warn(warning, stacklevel=2)
        return self

    @cached_property
    def cv_results_(self):
        """The grid and its scores, a dict in the form of GridSearchCV, which is made when it is first read."""
        if "_scores" not in self.__dict__:
            raise AttributeError(f"this {type(self).__name__} has no cv_results_: it is not fitted.")
        return self._scores.table

    def __getstate__(self):
        """Return what a pickle holds: `cv_results_` itself, and not what it is made from."""
        state = super().__getstate__()
        if "_scores" not in state:
            return state
        return {name: value for name, value in state.items() if name != "_scores"} | {"cv_results_": self.cv_results_}

    def at(self, alpha):
        """Return the model of the path of all rows with one of the strengths in `alphas_`.

        Parameters
        ----------
        alpha : float
            One of `alphas_`, up to a relative difference of 1e-9. Of several `l1_ratio`, `l1_ratio_` is
            taken.

        Returns
        -------
        model : GradientDescentRegressor
            A model that predicts with the coefficients of that strength. It has no history.

        Raises
        ------
        ValueError
            If there is no such strength.

        Examples
        --------
        >>> from sklearn.datasets import load_diabetes
        >>> from gdregress import GradientDescentRegressorCV
        >>> X, y = load_diabetes(return_X_y=True, scaled=False)
        >>> model = GradientDescentRegressorCV(alphas=[100.0, 10.0, 0.05, 0.01], penalty="l1").fit(X, y)
        >>> print([int((model.at(alpha).coef_ != 0).sum()) for alpha in model.alphas_])
        [5, 6, 10, 10]
        """
        alphas, coef, intercept = self._path_of_choice()
        if isinstance(alpha, BOOLEANS) or not isinstance(alpha, Real):
            raise TypeError(f"alpha must be a number, but is {alpha!r}: take one of alphas_.")
        near = int(np.argmin(np.abs(alphas - alpha)))
        if not np.isclose(alphas[near], alpha, rtol=1e-9, atol=0.0):
            raise ValueError(f"alpha={alpha} is not in alphas_: the nearest is {alphas[near]:.6g}.")
        model = self._model(**{**Axes.of(self).first, "l1_ratio": self.l1_ratio_, "alpha": float(alphas[near])})
        form = OutputFormat(coef.dtype, coef.ndim == 2, where_is(getattr(self, "coef_", coef)))
        model.coef_ = form.placed(coef[near].copy())
        model.intercept_ = form.placed(intercept[near][()])
        model.stop_reason_ = "a point of the path of GradientDescentRegressorCV"
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self, name):
                setattr(model, name, getattr(self, name))
        return model

    def _path_of_choice(self) -> tuple[NDArray, NDArray, NDArray]:
        """Return strengths, coefficients and intercepts of the fits to all rows with the chosen `l1_ratio`."""
        check_is_fitted(self, "n_splits_")
        if not hasattr(self, "coef_path_"):
            raise ValueError("there is no path: it is kept with refit=True, one learning_rate and one epochs.")
        if self.alphas_.ndim == 1:
            return self.alphas_, self.coef_path_, self.intercept_path_
        ratios = list(dict.fromkeys(point["l1_ratio"] for point in self.cv_results_["params"]))
        chosen = ratios.index(self.l1_ratio_)
        return self.alphas_[chosen], self.coef_path_[chosen], self.intercept_path_[chosen]

    def get_metadata_routing(self):
        """Return what `fit` passes on, and to whom: to the splitter and to each scorer.

        Returns
        -------
        routing : MetadataRouter
            The routing.
        """
        return router_of(self, check_cv(self.cv), Scoring.of(self))

    def _check_has_coefficients(self) -> None:
        """Raise a NotFittedError if there are no coefficients."""
        if hasattr(self, "n_splits_") and not hasattr(self, "coef_"):
            raise NotFittedError(
                "refit=False has fitted no model to all rows: set refit=True to predict, and fit again."
            )
        super()._check_has_coefficients()

    def _model(self, **point) -> GradientDescentRegressor:
        """Return a model with the parameters of this estimator, and those of a point of the grid."""
        shared = {name: getattr(self, name) for name in SHARED}
        return GradientDescentRegressor(**{**shared, "verbose": 0, **point})

    @with_callbacks
    def _choose(self, X, y, sample_weight, params) -> list[Warning]:
        """Read the rows, evaluate the grid, choose a point, fit to all rows; return what is to be said of it."""
        axes, scoring = Axes.of(self), Scoring.of(self)
        alphas = np.zeros(1) if self.penalty is None else given_alphas(self.alphas, self.eps)
        primary = scoring.primary(self.refit)
        model = self._model(alpha=1.0, **axes.first)
        spec = Spec.of(model)
        if self.alpha_per_target:
            check_alpha_per_target(self, axes)
        sentences = [*without_effect(self), *(() if self.refit else effects.without_effect(self._model(**axes.first)))]
        rows, form = self._read(X, y, sample_weight, scoring)
        splitter = check_cv(self.cv, form.targets(rows.y))  # a generator is used up by this
        scoring, to_splitter = routed(self, splitter, scoring, rows.weight, params)
        given = Resampling(model, spec, rows, form, splits_of(splitter, X, rows, form, to_splitter))
        with rows.on_threads():  # held throughout, so that BLAS has one thread and the others start once
            search = Search.of(given, X, scoring, self.n_jobs, bool(self.verbose))
            task = Task.begin(self, X, y, sample_weight, n_subtasks=1 + bool(self.refit))
            with task.part("cross-validation"):
                found = search.evaluate(axes.curves(self._strengths(alphas, search)))
                if alphas is None and self.alphas > 1:
                    found = grown(search, found, primary)
            for name in (*FITTED, *FOUND):
                self.__dict__.pop(name, None)
            weights, scorers = given.test_weights(sample_weight), scoring.scorers
            self._scores = Scores([each.curve for each in found], axes.varied, [each.scores for each in found], weights)
            self._primary = primary
            self.n_splits_, self.scorer_ = len(weights), scorers["score"] if scoring.is_single else dict(scorers)
            self.__dict__.update(choice(self._scores, self.refit, primary))
            best, _ = self._scores.place(self._scores.best(primary))
            standardize = bool(self.standardize)
            sentences += ends(found[best], primary, is_automatic=alphas is None, standardize=standardize)
            if alphas is None and self.penalty is not None:
                sentences += of_nothing(search, found[best], primary)
            if self.alpha_per_target and not form.is_single:
                self.__dict__.update(choice_of_targets(found[0]))
                sentences += ends_of_targets(found[0], standardize=standardize)
            self.__dict__.update(paths(found, search, axes, refit=bool(self.refit)))
            if self.store_cv_results:
                self.fold_coef_path_, self.fold_intercept_path_ = fold_paths(found, form)
            if self.store_cv_predictions:
                self.cv_predictions_ = predictions(found, search, self.best_index_)
            of_refit = self._refit(search, task) if self.refit else []
        task.end()
        return [*map(ConvergenceWarning, failures(found)), *map(UserWarning, sentences), *of_refit]

    def _read(self, X, y, sample_weight, scoring: Scoring) -> tuple[SplittableRows, OutputFormat]:
        """Return the validated rows, and the format of what is fitted; X of dask or on a device stays there."""
        source = source_of("X", X)
        if fits_scale(self):
            source.check_single_rows(NEEDS_RESIDUALS, "give epsilon a number")
        if not scoring.follows_from_errors:
            known = ", ".join(map(repr, FROM_ERRORS))
            source.check_single_rows(f"scoring={self.scoring!r} needs the rows of X", f"leave it out, or use {known}")
        if self.store_cv_predictions:
            source.check_single_rows("store_cv_predictions=True needs the rows of X", "leave it out")
        rows = source.numbered(self, y, sample_weight)
        return rows, OutputFormat(rows.dtype, is_vector(y), source.place)

    def _strengths(self, alphas: NDArray | None, search: Search) -> Callable[[float], NDArray]:
        """Return the function from an l1_ratio to the strengths, which are those given or found."""
        if alphas is not None:
            return lambda l1_ratio: alphas
        largest, eps, number = search.largest_strengths(), self.eps, int(self.alphas)
        return lambda l1_ratio: automatic_alphas(largest, share_of_l1(self.penalty, l1_ratio), eps, number)

    def _refit(self, search: Search, task: Task) -> list[Warning]:
        """Fit to all rows with what was chosen; return what is said of it."""
        point = {name: getattr(self, f"{name}_") for name in ("alpha", "l1_ratio", "learning_rate", "epochs")}
        model = self._model(verbose=self.verbose, **point)
        is_one = np.ndim(self.alpha_) == 0
        with task.part(REFIT, *([model] if is_one else [])):
            fit = of_all_targets(model, search) if is_one else of_each_target(model, search, self.alpha_.tolist())
        self.__dict__.update(fit.attributes)
        return fit.said
