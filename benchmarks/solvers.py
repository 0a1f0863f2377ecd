"""The solvers that are compared, by the names under which they are printed.

Each gives the problem's objective to its estimator in that estimator's own convention; all else is
its default, a seed aside, so that a run can be repeated. Nobody's number of threads is touched.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import HuberRegressor, Lasso, LinearRegression, QuantileRegressor, Ridge, SGDRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVR

from benchmarks.baselines import NumpyDescent, Product, TorchLBFGS
from benchmarks.problems import GRAM, OURS, Problem
from gdregress import GradientDescentRegressor

CLOSE = 1e-6
"""Tolerance for solvers that stop at a gap which they can measure: what ours has by default."""


@dataclass(frozen=True)
class Solver:
    """A solver and what it needs.

    Attributes
    ----------
    make : callable
        Makes an unfitted estimator that minimises the objective of a problem.
    requires : str, default=None
        Module without which it is left out.
    package : str, default=None
        Package that brings the module.
    """

    make: Callable[[Problem], object]
    requires: str | None = None
    package: str | None = None

    @property
    def is_installed(self) -> bool:
        """Whether it can run here."""
        return self.requires is None or find_spec(self.requires) is not None


def linear_model(fitted):
    """Give the last step of a pipeline, or the estimator itself."""
    return fitted[-1] if hasattr(fitted, "steps") else fitted


def raw_coefficients(fitted) -> tuple[NDArray, float]:
    """Give the coefficients and the intercept for the columns as they are, the scaler's work undone."""
    model = linear_model(fitted)
    coef, intercept = np.ravel(model.coef_), np.ravel(model.intercept_)[0]
    if model is not fitted:
        coef = coef / fitted[0].scale_
        intercept = intercept - coef @ fitted[0].mean_
    return coef, float(intercept)


def _ours(problem: Problem, **settings) -> GradientDescentRegressor:
    objective, descent = problem.objective, problem.descent
    model = GradientDescentRegressor(
        loss=objective.loss, penalty=objective.penalty, alpha=objective.alpha, quantile=objective.quantile, **settings
    )
    if objective.epsilon:
        model.set_params(epsilon=objective.epsilon)
    if descent is not None:
        model.set_params(epochs=descent.epochs, batch_size=descent.batch_size, tol=None, random_state=0)
        if descent.learning_rate is not None:
            model.set_params(learning_rate=descent.learning_rate)
    return model


def _ridge(problem: Problem, *, solver: str) -> Ridge:
    """Ridge adds its penalty to the sum of squares, not to the mean."""
    return Ridge(alpha=problem.shape[0] * problem.objective.alpha, solver=solver, random_state=0)


def _sgd(problem: Problem) -> SGDRegressor:
    """SGDRegressor minimises half of squared error and of Huber's loss, and half the penalty with it."""
    objective, descent = problem.objective, problem.descent
    model = SGDRegressor(loss=objective.loss, penalty=objective.penalty, alpha=objective.alpha, random_state=0)
    if objective.epsilon:
        model.set_params(epsilon=objective.epsilon)
    if descent is not None:
        model.set_params(max_iter=descent.epochs, tol=None)
    return model


def _huber(problem: Problem) -> HuberRegressor:
    """HuberRegressor finds a scale for its epsilon of 1.35, at which the problem's epsilon is taken."""
    return HuberRegressor(alpha=0.0, max_iter=1000)


def _quantile(problem: Problem) -> QuantileRegressor:
    return QuantileRegressor(quantile=problem.objective.quantile, alpha=problem.objective.alpha)


def _svr(problem: Problem) -> LinearSVR:
    """LinearSVR weighs the sum of the losses by C, not the penalty by alpha."""
    objective = problem.objective
    weight = 1 / (objective.alpha * problem.shape[0])
    return LinearSVR(epsilon=objective.epsilon, C=weight, tol=CLOSE, max_iter=10_000, random_state=0)


def _lasso(problem: Problem, **settings) -> Lasso:
    return Lasso(alpha=problem.objective.alpha, **settings)


def _celer(problem: Problem, **settings):
    from celer import Lasso as CelerLasso

    return CelerLasso(alpha=problem.objective.alpha, **settings)


def _intel(problem: Problem):
    from sklearnex.linear_model import LinearRegression as IntelLinearRegression

    return IntelLinearRegression()


def _torch(problem: Problem) -> TorchLBFGS:
    return TorchLBFGS(loss=problem.objective.loss, epsilon=problem.objective.epsilon)


def _loop(problem: Problem) -> NumpyDescent:
    return NumpyDescent(learning_rate=problem.descent.learning_rate, epochs=problem.descent.epochs)


def _scaled(problem: Problem, *, make: Callable):
    """Put a StandardScaler before a solver, as the documentation of those that need one recommends."""
    return make_pipeline(StandardScaler(), make(problem))


SOLVERS: dict[str, Solver] = {
    GRAM: Solver(lambda _: Product()),
    OURS: Solver(_ours),
    f"{OURS}(curvature)": Solver(partial(_ours, learning_rate="curvature")),
    f"{OURS}(diagonal)": Solver(partial(_ours, learning_rate="diagonal")),
    f"{OURS}(newton)": Solver(partial(_ours, optimizer="newton")),
    "NumPy loop": Solver(_loop),
    "LinearRegression": Solver(lambda _: LinearRegression()),
    "LinearRegression (intelex)": Solver(_intel, "sklearnex", "scikit-learn-intelex"),
    **{
        f"Ridge({solver})": Solver(partial(_ridge, solver=solver))
        for solver in ("svd", "cholesky", "lsqr", "sparse_cg", "sag", "saga")
    },
    "SGDRegressor": Solver(_sgd),
    "StandardScaler + SGDRegressor": Solver(partial(_scaled, make=_sgd)),
    "StandardScaler + HuberRegressor": Solver(partial(_scaled, make=_huber)),
    "QuantileRegressor": Solver(_quantile),
    "LinearSVR": Solver(_svr),
    "Lasso": Solver(_lasso),
    "Lasso(tol=1e-6)": Solver(partial(_lasso, tol=CLOSE)),
    "Lasso(tol=1e-6, precompute)": Solver(partial(_lasso, tol=CLOSE, precompute=True)),
    "Lasso (celer)": Solver(_celer, "celer", "celer"),
    "Lasso(tol=1e-6) (celer)": Solver(partial(_celer, tol=CLOSE), "celer", "celer"),
    "StandardScaler + L-BFGS (torch)": Solver(partial(_scaled, make=_torch), "torch", "torch"),
}
"""Every solver by its name; a problem names those that minimise its objective."""
