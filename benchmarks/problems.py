"""The problems: data, an objective, and those who compete.

Data are drawn from a seed, in a full and in a quick size. Who competes is decided here and nowhere
else; what each makes of the objective is in `solvers`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.linear_model import HuberRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks import generators, storage
from benchmarks.objective import Objective


@dataclass(frozen=True)
class Descent:
    """Epochs to be run, where it is they and not a minimum that is asked for.

    Attributes
    ----------
    epochs : int
        Their number.
    learning_rate : float, default=None
        What the gradient of the mean loss is multiplied by; None leaves it to each solver.
    batch_size : int, default=None
        Rows of a mini-batch, where the solver has a choice; None takes all.
    longer : int, default=None
        Epochs of a second fit, where their difference is to tell the time of an epoch.
    """

    epochs: int
    learning_rate: float | None = None
    batch_size: int | None = None
    longer: int | None = None


@dataclass(frozen=True)
class Problem:
    """Data, what is minimised, and by whom.

    Attributes
    ----------
    name : str
        What it is asked for by, and printed under.
    generate : callable
        Draws X and y from a generator, for a number of rows and of columns.
    shape, quick_shape : tuple of int
        That of X, and that for ``--quick``.
    solvers : tuple of str
        Names of those who compete, ours first but for the product.
    objective : Objective
        What is minimised; by default the mean squared error.
    adapt : callable, default=None
        Gives the objective that suits X and y, where it depends on them.
    descent : Descent, default=None
        Epochs to be run; None where the minimum is asked for.
    repeats : int, default=5
        Fits of which the fastest counts.
    """

    name: str
    generate: Callable
    shape: tuple[int, int]
    quick_shape: tuple[int, int]
    solvers: tuple[str, ...]
    objective: Objective = Objective()  # noqa: RUF009 - it is frozen
    adapt: Callable | None = None
    descent: Descent | None = None
    repeats: int = 5

    def write(self, folder: Path) -> "Problem":
        """Write its data to a folder, and give the problem with its objective settled."""
        X, y = self.generate(np.random.default_rng(0), *self.shape)
        storage.write(folder, X, y)
        return self if self.adapt is None else replace(self, objective=self.adapt(self.objective, X, y))


def _at_fitted_scale(objective: Objective, X, y) -> Objective:
    """Take the scale that HuberRegressor finds: at that scale both minimise the same."""
    model = make_pipeline(StandardScaler(), HuberRegressor(epsilon=objective.epsilon, alpha=0.0, max_iter=1000))
    return replace(objective, epsilon=objective.epsilon * model.fit(X, y)[-1].scale_)


GRAM = "X.T @ X"
OURS = "GradientDescentRegressor"
SGD = ("SGDRegressor", "StandardScaler + SGDRegressor")
TORCH = "StandardScaler + L-BFGS (torch)"
LASSOS = ("Lasso", "Lasso(tol=1e-6)", "Lasso (celer)", "Lasso(tol=1e-6) (celer)")
TALL = (
    *(GRAM, OURS, f"{OURS}(curvature)", "Ridge(cholesky)", "LinearRegression", "LinearRegression (intelex)"),
    *(*SGD, TORCH),
)
RIDGES = tuple(f"Ridge({solver})" for solver in ("svd", "cholesky", "lsqr", "sparse_cg", "sag", "saga"))

PROBLEMS: tuple[Problem, ...] = (
    Problem("tall", generators.badly_scaled, (1_000_000, 100), (5000, 20), TALL),
    Problem("tall-1000", generators.badly_scaled, (100_000, 1000), (2000, 100), TALL),
    Problem(
        "small",
        generators.diabetes,
        (442, 10),
        (442, 10),
        (OURS, f"{OURS}(curvature)", f"{OURS}(diagonal)", "LinearRegression", *RIDGES, *SGD),
        repeats=200,
    ),
    Problem(
        "plain-descent",
        generators.neighbours,
        (100_000, 100),
        (2000, 20),
        (OURS, "NumPy loop"),
        descent=Descent(epochs=10_000, learning_rate=0.1),
    ),
    Problem(
        "batches",
        partial(generators.mixed_units, noise=generators.normal),
        (1_000_000, 100),
        (5000, 20),
        (OURS, *SGD),
        descent=Descent(epochs=1, batch_size=256, longer=3),
    ),
    Problem(
        "wide",
        generators.few_of_many,
        (100, 100_000),
        (50, 2000),
        (OURS, "LinearRegression", "Ridge(svd)", "Ridge(cholesky)", "Ridge(lsqr)"),
    ),
    Problem(
        "wide-l2",
        generators.few_of_many,
        (1000, 20_000),
        (100, 3000),
        (OURS, "Ridge(svd)", "Ridge(cholesky)", "Ridge(lsqr)", "Ridge(sparse_cg)", "Ridge(sag)", "SGDRegressor"),
        Objective(penalty="l2", alpha=0.1),
    ),
    Problem(
        "sparse",
        generators.text,
        (100_000, 100_000),
        (3000, 3000),
        # Ridge(sag) hands sparse X with an intercept on to sparse_cg: it would be here twice.
        (OURS, "Ridge(lsqr)", "Ridge(sparse_cg)", "SGDRegressor"),
        Objective(penalty="l2", alpha=1e-6),
    ),
    Problem(
        "collinear",
        generators.nearly_collinear,
        (20_000, 50),
        (2000, 20),
        (OURS, "LinearRegression", "Ridge(svd)", "Ridge(cholesky)", "Ridge(lsqr)", *SGD, TORCH),
    ),
    Problem("heavy-tailed", generators.heavy_tailed, (100_000, 300), (2000, 30), TALL),
    Problem(
        "huber",
        partial(generators.mixed_units, noise=generators.outliers),
        (200_000, 50),
        (5000, 20),
        (OURS, "StandardScaler + SGDRegressor", TORCH),
        Objective("huber", epsilon=1.35),
    ),
    Problem(
        "huber-1000",
        partial(generators.mixed_units, noise=generators.outliers),
        (100_000, 1000),
        (5000, 50),
        (OURS, f"{OURS}(newton)", f"{OURS}(diagonal)", "StandardScaler + SGDRegressor", TORCH),
        Objective("huber", epsilon=1.35),
        repeats=3,
    ),
    Problem(
        "huber-scale",
        partial(generators.mixed_units, noise=generators.outliers),
        (20_000, 20),
        (2000, 20),
        (OURS, "StandardScaler + HuberRegressor"),
        Objective("huber", epsilon=1.35),
        adapt=_at_fitted_scale,
    ),
    Problem(
        "quantile",
        partial(generators.mixed_units, noise=generators.students),
        (5000, 20),
        (1000, 10),
        (OURS, "QuantileRegressor"),
        Objective("quantile", quantile=0.7),
    ),
    Problem(
        "svr",
        generators.same_units,
        (20_000, 20),
        (2000, 10),
        (OURS, "LinearSVR"),
        Objective("epsilon_insensitive", "l2", alpha=1e-4, epsilon=0.1),
    ),
    Problem(
        "lasso",
        generators.factors,
        (100_000, 200),
        (2000, 50),
        (OURS, *LASSOS, "Lasso(tol=1e-6, precompute)"),
        Objective(penalty="l1", alpha=0.1),
    ),
    Problem(
        "lasso-wide", generators.factors, (300, 5000), (100, 400), (OURS, *LASSOS), Objective(penalty="l1", alpha=0.1)
    ),
)
"""Every problem, in the order in which they are run."""
