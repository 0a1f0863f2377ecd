"""The estimator: parameters and data in, fitted attributes out."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import ConvergenceWarning, InconsistentVersionWarning
from sklearn.utils import check_array, check_consistent_length, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from gdregress._version import __version__
from gdregress.blocks import RowBlocks
from gdregress.checks import check_finite, check_parameters, check_weights
from gdregress.descent import (
    Converged,
    Diverged,
    Epoch,
    EpochsUsedUp,
    History,
    Patience,
    Rule,
    State,
    Stop,
    TargetLoss,
    descend,
    follow,
    plural,
)
from gdregress.plan import Plan, make_plan
from gdregress.progress import Progress
from gdregress.validation import check_validation_arguments, split_off, validation_loss

X_FORMAT = {"accept_sparse": "csr", "dtype": [np.float64, np.float32], "ensure_all_finite": False}
Y_FORMAT = {"ensure_2d": False, "dtype": np.float64, "ensure_all_finite": False}
FITTED = (
    "coef_",
    "intercept_",
    "n_iter_",
    "optimality_",
    "converged_",
    "stop_reason_",
    "learning_rate_",
    "optimizer_",
    "max_learning_rate_",
    "history_",
)


class GradientDescentRegressor(RegressorMixin, BaseEstimator):
    """Linear regression by gradient descent that needs no scaling and no learning-rate tuning.

    DOC
    """

    def __init__(
        self,
        learning_rate="auto",
        epochs=1000,
        *,
        loss="squared_error",
        penalty=None,
        alpha=1e-4,
        fit_intercept=True,
        optimizer="auto",
        momentum=0.9,
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
        self.penalty = penalty
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.optimizer = optimizer
        self.momentum = momentum
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
        """Descend from `init` to the minimum of the objective, or until told to stop."""
        with _unchanged_on_error(self):
            interrupt = self._fit(X, y, sample_weight, X_val, y_val, sample_weight_val)
        if interrupt is not None:
            raise interrupt
        return self

    def predict(self, X):
        """Predict with the fitted coefficients."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False)
        return X @ self.coef_.T + self.intercept_

    def _fit(self, X, y, sample_weight, X_val, y_val, sample_weight_val) -> KeyboardInterrupt | None:
        """Fit, store, warn; give back the interrupt that ended the descent, if one did."""
        check_parameters(type(self).__name__, self.get_params(deep=False))
        check_validation_arguments(self.early_stopping, X_val, y_val, sample_weight_val)
        X, y, weight = self._read(X, y, sample_weight)
        rows = RowBlocks(X, y.reshape(len(y), -1), weight)
        rng = check_random_state(self.random_state)
        held_out = None
        if X_val is not None:
            held_out = self._read_validation(X_val, y_val, sample_weight_val, rows.n_outputs)
        elif self.early_stopping:
            rows, held_out = split_off(rows, self.validation_fraction, rng)
        plan = make_plan(
            rows,
            learning_rate=self.learning_rate,
            optimizer=self.optimizer,
            momentum=self.momentum,
            alpha=0.0 if self.penalty is None else float(self.alpha),
            fit_intercept=self.fit_intercept,
        )
        validate = (lambda point: np.nan) if held_out is None else validation_loss(held_out, plan)
        path: list = []

        def measure(state: State) -> Epoch:
            loss = plan.loss(state.value - plan.objective.penalty(state.point))
            return Epoch(state, loss, plan.optimality(state.gradient), validate(state.point))

        def show(epoch: Epoch) -> None:
            if self.record_path:
                path.append(plan.frame.to_raw(epoch.state.point))
            progress.show(epoch)

        progress = Progress(int(self.verbose))
        history = History("value" if held_out is None else "validation_loss", keep_best=held_out is not None)
        states = descend(plan.objective, plan.optimizer, plan.metric, plan.rate, self._start(plan, rng))
        interrupt = None
        try:
            stop = follow(map(measure, states), self._rules(plan), history, show)
        except KeyboardInterrupt as exception:
            if not history.loss:
                raise
            interrupt = exception
            stop = Stop(
                f"interrupted after {plural(history.last.number)}: the coefficients reached are kept", history.kept
            )
        progress.close(stop)
        self._store(plan, history, stop, path, dtype=X.dtype, single=y.ndim == 1)
        if stop.is_warning:
            warnings.warn(stop.reason, ConvergenceWarning, stacklevel=3)
        return interrupt

    def _read(self, X, y, sample_weight):
        """Validate the training data; the finiteness of X is seen in its moments."""
        X, y = validate_data(self, X, y, validate_separately=(X_FORMAT, Y_FORMAT))
        _check_targets("y", X, y)
        return X, y, check_weights("sample_weight", sample_weight, X.shape[0])

    def _read_validation(self, X_val, y_val, sample_weight_val, n_outputs) -> RowBlocks:
        """Validate the validation data against the training data."""
        X_val = validate_data(self, X_val, reset=False, **X_FORMAT)
        y_val = check_array(y_val, input_name="y_val", **Y_FORMAT)
        _check_targets("y_val", X_val, y_val)
        y_val = y_val.reshape(len(y_val), -1)
        if y_val.shape[1] != n_outputs:
            raise ValueError(
                f"y_val has {y_val.shape[1]} outputs, but y has {n_outputs}: pass the same columns for both."
            )
        return RowBlocks(X_val, y_val, check_weights("sample_weight_val", sample_weight_val, X_val.shape[0]))

    def _start(self, plan: Plan, rng: np.random.RandomState) -> NDArray:
        """Give the point to start from: zeros, random, or where the last fit ended."""
        p, m = len(plan.frame.center), len(plan.frame.target_center)
        if self.warm_start and hasattr(self, "coef_"):
            coef = np.atleast_2d(self.coef_).T
            if coef.shape != (p, m):
                raise ValueError(
                    f"warm_start=True would go on from {coef.shape[0]} features and {coef.shape[1]} outputs, "
                    f"but these data have {p} and {m}: set warm_start=False, or fit a clone."
                )
            return plan.frame.from_raw(coef.astype(plan.dtype), np.ravel(self.intercept_).astype(plan.dtype))
        if self.init == "random":
            return rng.standard_normal((p + self.fit_intercept, m)).astype(plan.dtype)
        return plan.frame.from_raw(np.zeros((p, m), plan.dtype), np.zeros(m, plan.dtype))

    def _rules(self, plan: Plan) -> list[Rule]:
        """Give the reasons to stop, in the order in which they are asked."""
        tol = self.tol or None
        cause, cure = "the descent diverged", "Use learning_rate='auto' with optimizer='auto'."
        advice = "Raise epochs or tol, or use learning_rate='auto' with optimizer='auto'."
        if plan.largest_curvature is not None and np.isfinite(plan.optimizer.stability):
            ceiling = plan.optimizer.stability / plan.largest_curvature if plan.largest_curvature else np.inf
            if plan.rate >= ceiling:
                times = f"{plan.optimizer.stability:.4g}/L"
                cause = (
                    f"learning_rate={plan.rate:g} is above the stability ceiling {ceiling:.4g} ({times}) of these data"
                )
                cure = "Use a smaller rate or learning_rate='auto'."
            advice = f"Raise epochs or tol, take a rate nearer the ceiling {ceiling:.4g}, or use learning_rate='auto'."
        diverged = Diverged(plan.baseline, cause, cure)
        rules: list[Rule] = [diverged]
        if tol is not None:
            rules.append(Converged(tol, plan.refine))
        if self.target_loss is not None:
            rules.append(TargetLoss(self.target_loss))
        if self.early_stopping:
            rules.append(Patience(self.n_iter_no_change))
        return [*rules, EpochsUsedUp(self.epochs, tol, diverged, advice)]

    def _store(self, plan: Plan, history: History, stop: Stop, path: list, *, dtype, single: bool) -> None:
        """Set the fitted attributes, those of an earlier fit removed."""
        for name in FITTED:
            self.__dict__.pop(name, None)
        coef, intercept = plan.frame.to_raw(stop.kept.state.point)
        self.coef_ = _shaped(coef, dtype, single)
        self.intercept_ = _shaped(intercept, dtype, single)[()] if self.fit_intercept else 0.0
        self.n_iter_ = history.last.number
        self.optimality_ = stop.kept.optimality
        self.converged_ = bool(self.tol and stop.kept.optimality <= self.tol)
        self.stop_reason_ = stop.reason
        self.learning_rate_ = plan.rung
        self.optimizer_ = plan.optimizer_name
        if plan.largest_curvature is not None:
            self.max_learning_rate_ = 2.0 / plan.largest_curvature if plan.largest_curvature else float("inf")
        self.history_ = {
            "loss": np.array(history.loss),
            "optimality": np.array(history.optimality),
            "learning_rate": np.array(history.learning_rate),
        }
        if self.early_stopping:
            self.history_["validation_loss"] = np.array(history.validation_loss)
        if path:
            self.history_["coef"] = np.array([_shaped(coef, np.float64, single) for coef, _ in path])
            self.history_["intercept"] = np.array([_shaped(intercept, np.float64, single) for _, intercept in path])

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


def _check_targets(name: str, X, y: NDArray) -> None:
    check_consistent_length(X, y)
    if y.ndim > 2 or y.size == 0:
        raise ValueError(f"{name} must have shape (n_samples,) or (n_samples, n_targets), but has shape {y.shape}.")
    check_finite(name, y)


def _shaped(raw: NDArray, dtype, single: bool) -> NDArray:
    """Turn (n_features, n_outputs) or (n_outputs,) into the shape and dtype of a fitted attribute."""
    raw = raw.T.astype(dtype)
    return raw[0] if single else np.ascontiguousarray(raw)


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
