"""The solvers that are compared, by the names under which they are printed.

Each gives the problem's objective to its estimator in that estimator's own convention; all else is
its default, a seed aside, so that a run can be repeated. Nobody's number of threads is touched.
"""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import (
    HuberRegressor,
    Lasso,
    LinearRegression,
    QuantileRegressor,
    Ridge,
    RidgeCV,
    SGDRegressor,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVR

from benchmarks.problems import GRAM, INTEL, OURS, QUANTREG, TORCH, Problem
from gdregress import GradientDescentRegressor

CLOSE = 1e-6
"""Tolerance for solvers that stop at a gap which they can measure: what ours has by default."""


class Product(BaseEstimator):
    """The product ``X.T @ X`` alone, which every method that squares X has to form."""

    def fit(self, X, y):
        """Multiply."""
        self.product_ = X.T @ X
        return self


class NumpyDescent(RegressorMixin, BaseEstimator):
    """Plain descent on the mean squared error as it stands in textbooks, with its loss history."""

    def __init__(self, learning_rate, epochs):
        self.learning_rate = learning_rate
        self.epochs = epochs

    def fit(self, X, y):
        """Descend from zero."""
        w, b, losses = np.zeros(X.shape[1]), 0.0, []
        for _ in range(self.epochs):
            residual = y - (X @ w + b)
            losses.append(np.mean(residual**2))
            w = w + 2 * self.learning_rate * (X.T @ residual) / len(y)
            b = b + 2 * self.learning_rate * residual.mean()
        self.coef_, self.intercept_, self.n_iter_, self.history_ = w, b, self.epochs, np.array(losses)
        return self


class TorchLBFGS(RegressorMixin, BaseEstimator):
    """L-BFGS of torch with its strong Wolfe line search, on all rows at once; its tolerances are its defaults."""

    def __init__(self, loss="squared_error", epsilon=1.35, max_iter=1000):
        self.loss = loss
        self.epsilon = epsilon
        self.max_iter = max_iter  # torch's own 20 is for those who call it again and again

    def fit(self, X, y):
        """Minimise from zero, in the dtype of X."""
        import torch
        from torch.nn import functional

        rows, targets = torch.from_numpy(X), torch.from_numpy(y)
        w = torch.zeros(X.shape[1], dtype=rows.dtype, requires_grad=True)
        b = torch.zeros(1, dtype=rows.dtype, requires_grad=True)
        optimizer = torch.optim.LBFGS([w, b], max_iter=self.max_iter, line_search_fn="strong_wolfe")

        def closure():
            optimizer.zero_grad()
            predictions = rows @ w + b
            if self.loss == "squared_error":
                value = functional.mse_loss(predictions, targets)
            else:
                value = 2 * functional.huber_loss(predictions, targets, delta=self.epsilon)
            value.backward()
            return value

        optimizer.step(closure)
        self.coef_, self.intercept_ = w.detach().numpy(), float(b.detach())
        self.n_iter_ = optimizer.state[w]["n_iter"]
        return self


class StatsmodelsQuantReg(RegressorMixin, BaseEstimator):
    """The quantile regression of statsmodels, by reweighted least squares; its tolerances are its defaults."""

    def __init__(self, quantile=0.5):
        self.quantile = quantile

    def fit(self, X, y):
        """Fit with a column of ones in front."""
        from statsmodels.regression.quantile_regression import QuantReg

        found = QuantReg(y, np.column_stack([np.ones(len(X)), X])).fit(q=self.quantile)
        self.intercept_, self.coef_ = float(found.params[0]), found.params[1:]
        self.n_iter_ = found.iterations
        return self


def _ours(problem: Problem, **settings) -> GradientDescentRegressor:
    objective, descent = problem.objective, problem.descent
    model = GradientDescentRegressor(loss=objective.loss, penalty=objective.penalty, alpha=objective.alpha)
    model.set_params(quantile=objective.quantile)
    if objective.epsilon is not None:
        model.set_params(epsilon=objective.epsilon)
    if descent is not None:
        model.set_params(epochs=descent.epochs, batch_size=descent.batch_size, tol=None, random_state=0)
        if descent.learning_rate is not None:
            model.set_params(learning_rate=descent.learning_rate)
    return model.set_params(**settings)


def _ridge(problem: Problem, *, solver: str) -> Ridge:
    """Ridge adds its penalty to the sum of squares, not to the mean."""
    return Ridge(alpha=problem.shape[0] * problem.objective.alpha, solver=solver, random_state=0)


def _sgd(problem: Problem, **settings) -> SGDRegressor:
    """SGDRegressor minimises half of squared error and of Huber's loss, and half the penalty with it."""
    objective, descent = problem.objective, problem.descent
    model = SGDRegressor(loss=objective.loss, penalty=objective.penalty, alpha=objective.alpha, random_state=0)
    if objective.epsilon is not None:
        model.set_params(epsilon=objective.epsilon)
    if descent is not None:
        model.set_params(max_iter=descent.epochs, tol=None)
        if descent.learning_rate is not None:
            model.set_params(eta0=2 * descent.learning_rate)
    return model.set_params(**settings)


def _svr(problem: Problem) -> LinearSVR:
    """LinearSVR weighs the sum of the losses by C, not the penalty by alpha."""
    objective = problem.objective
    weight = 1 / (objective.alpha * problem.shape[0])
    return LinearSVR(epsilon=objective.epsilon, C=weight, tol=CLOSE, max_iter=10_000, random_state=0)


def _quantile(problem: Problem) -> QuantileRegressor:
    return QuantileRegressor(quantile=problem.objective.quantile, alpha=problem.objective.alpha)


def _lasso(problem: Problem, **settings) -> Lasso:
    return Lasso(alpha=problem.objective.alpha, **settings)


def _celer(problem: Problem, **settings):
    from celer import Lasso as CelerLasso

    return CelerLasso(alpha=problem.objective.alpha, **settings)


def _intel(problem: Problem):
    from sklearnex.linear_model import LinearRegression as IntelLinearRegression

    return IntelLinearRegression()


def _scaled(problem: Problem, *, make: Callable):
    """Put a StandardScaler before a solver, as the documentation of those that need one recommends."""
    return make_pipeline(StandardScaler(), make(problem))


def _named(name: str, make: Callable, **values: dict) -> dict[str, Callable]:
    """Name the same solver with several settings."""
    return {f"{name}({value})": partial(make, **settings) for value, settings in values.items()}


SOLVERS: dict[str, Callable[[Problem], BaseEstimator]] = {
    GRAM: lambda _: Product(),
    OURS: _ours,
    **_named(OURS, _ours, diagonal={"learning_rate": "diagonal"}, newton={"optimizer": "newton"}),
    **{
        f"{OURS}({name})": partial(_ours, schedule=name) for name in ("constant", "invscaling", "exponential", "cosine")
    },
    f"{OURS}(early stopping)": partial(_ours, learning_rate="lipschitz", early_stopping=True, random_state=0),
    "NumPy loop": lambda problem: NumpyDescent(problem.descent.learning_rate, problem.descent.epochs),
    "LinearRegression": lambda _: LinearRegression(),
    INTEL: _intel,
    **{
        f"Ridge({solver})": partial(_ridge, solver=solver)
        for solver in ("svd", "cholesky", "lsqr", "sparse_cg", "sag", "saga")
    },
    "RidgeCV": lambda _: RidgeCV(alphas=np.logspace(-2, 4, 25)),
    "SGDRegressor": _sgd,
    **{f"SGDRegressor({name})": partial(_sgd, learning_rate=name) for name in ("constant", "invscaling", "adaptive")},
    "SGDRegressor(early stopping)": partial(_sgd, early_stopping=True),
    "StandardScaler + SGDRegressor": partial(_scaled, make=_sgd),
    # It finds a scale for its epsilon of 1.35.
    "StandardScaler + HuberRegressor": partial(_scaled, make=lambda _: HuberRegressor(alpha=0.0, max_iter=1000)),
    "QuantileRegressor": _quantile,
    QUANTREG: lambda problem: StatsmodelsQuantReg(problem.objective.quantile),
    "LinearSVR": _svr,
    "Lasso": _lasso,
    "Lasso(tol=1e-6)": partial(_lasso, tol=CLOSE),
    "Lasso(tol=1e-6, precompute)": partial(_lasso, tol=CLOSE, precompute=True),
    "Lasso (celer)": _celer,
    "Lasso(tol=1e-6) (celer)": partial(_celer, tol=CLOSE),
    TORCH: partial(_scaled, make=lambda problem: TorchLBFGS(problem.objective.loss, problem.objective.epsilon)),
}
"""Every solver by its name; a problem names those that compete."""

NEEDED = {
    "(intelex)": ("sklearnex", "scikit-learn-intelex"),
    "(celer)": ("celer", "celer"),
    "(torch)": ("torch", "torch"),
    "(statsmodels)": ("statsmodels", "statsmodels"),
}
"""Module and package that a solver needs, by the end of its name."""


def missing(solver: str) -> str:
    """Name the package that a solver needs and that is not installed; an empty name where it can run."""
    needed = [names for end, names in NEEDED.items() if solver.endswith(end)]
    return next((package for module, package in needed if find_spec(module) is None), "")


def fit(model: BaseEstimator, X, y: NDArray, sample_weight: NDArray | None) -> BaseEstimator:
    """Fit an estimator or a pipeline, each step with the weights."""
    if sample_weight is None:
        return model.fit(X, y)
    steps = [f"{name}__" for name, _ in model.steps] if hasattr(model, "steps") else [""]
    return model.fit(X, y, **{f"{step}sample_weight": sample_weight for step in steps})


def linear_model(fitted: BaseEstimator) -> BaseEstimator:
    """Give the last step of a pipeline, or the estimator itself."""
    return fitted[-1] if hasattr(fitted, "steps") else fitted


def raw_coefficients(fitted: BaseEstimator) -> tuple[NDArray, float]:
    """Give the coefficients and the intercept for the columns as they are, the scaler's work undone."""
    model = linear_model(fitted)
    coef, intercept = np.ravel(model.coef_), np.ravel(model.intercept_)[0]
    if model is not fitted:
        coef = coef / fitted[0].scale_
        intercept = intercept - coef @ fitted[0].mean_
    return coef, float(intercept)
