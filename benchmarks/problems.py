"""The problems: data, what is minimised, and those who compete; what each makes of it is in `solvers`."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from benchmarks import data
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
    """

    epochs: int
    learning_rate: float | None = None
    batch_size: int | None = None


@dataclass(frozen=True)
class Problem:
    """Data, what is minimised, and by whom.

    Attributes
    ----------
    name : str
        What it is asked for by, and printed under.
    draw : callable
        Draws the data from a generator, for a number of rows and of columns.
    shape, quick_shape : tuple of int
        That of X, and that for ``--quick``.
    solvers : tuple of str
        Names of those who compete.
    objective : Objective
        What is minimised; by default the mean squared error.
    descent : Descent, default=None
        Epochs to be run; None where the minimum is asked for.
    repeats : int, default=5
        Fits of which the fastest counts.
    """

    name: str
    draw: data.Draw
    shape: tuple[int, int]
    quick_shape: tuple[int, int]
    solvers: tuple[str, ...]
    objective: Objective = field(default_factory=Objective)
    descent: Descent | None = None
    repeats: int = 5

    def quick(self) -> "Problem":
        """Give the problem in its small size."""
        return replace(self, shape=self.quick_shape)

    def data(self) -> data.Data:
        """Draw the data, the same each time."""
        return self.draw(np.random.default_rng(0), *self.shape)

    def __str__(self) -> str:
        n, p = self.shape
        epochs = f", {self.descent.epochs} epochs" if self.descent else ""
        return f"{self.name}: {n:,} x {p:,}, {self.objective}{epochs}"


@dataclass(frozen=True)
class Curve:
    """The same problem in sizes that grow.

    Attributes
    ----------
    name, label : str
        What it is asked for by, and what grows.
    title : str
        What is measured, with ``{n}`` rows and ``{p}`` columns.
    at : callable
        Gives the problem of a size.
    sizes : tuple of int
        What grows; ``--quick`` takes the first three.
    """

    name: str
    label: str
    title: str
    at: Callable[[int], Problem]
    sizes: tuple[int, ...]


GRAM = "X.T @ X"
OURS = "GradientDescentRegressor"
LINEAR = "LinearRegression"
INTEL = "LinearRegression (intelex)"
SCALED_SGD = "StandardScaler + SGDRegressor"
SGD = ("SGDRegressor", SCALED_SGD)
TORCH = "StandardScaler + L-BFGS (torch)"
QUANTREG = "QuantReg (statsmodels)"
QUANTILES = (OURS, "QuantileRegressor", QUANTREG)
RIDGES = tuple(f"Ridge({solver})" for solver in ("svd", "cholesky", "lsqr", "sparse_cg", "sag", "saga"))
SVD, CHOLESKY, LSQR, SPARSE_CG, SAG, _ = RIDGES
LASSOS = ("Lasso", "Lasso(tol=1e-6)", "Lasso (celer)", "Lasso(tol=1e-6) (celer)")
TALL = (GRAM, OURS, CHOLESKY, LINEAR, INTEL, *SGD, TORCH)
DIRECT = (GRAM, OURS, LINEAR, CHOLESKY, SCALED_SGD)
SCHEDULES = (
    *(f"{OURS}({name})" for name in ("constant", "invscaling", "exponential", "cosine")),
    *(f"SGDRegressor({name})" for name in ("constant", "invscaling", "adaptive")),
)
SMALL = (OURS, f"{OURS}(diagonal)", LINEAR, *RIDGES, *SGD)
STOPPING = (OURS, f"{OURS}(early stopping)", "SGDRegressor(early stopping)", "RidgeCV")
HUBER = Objective("huber", epsilon=1.35)
L1 = Objective(penalty="l1", alpha=0.1)
WEAK_L1 = Objective(penalty="l1", alpha=0.01)

weighted = partial(data.weighted, draw=data.badly_scaled)
with_unseen = partial(data.with_unseen, draw=data.few_of_many)
with_normal, with_students, with_outliers = (
    partial(data.mixed_units, noise=noise) for noise in (data.normal, data.students, data.outliers)
)
at_unit_scale = partial(data.at_unit_scale, draw=with_outliers)

# fmt: off
PLAIN = Problem("plain-descent", data.neighbours, (100_000, 100), (2000, 20), (OURS, "NumPy loop"),
                descent=Descent(epochs=1000, learning_rate=0.1))
PROBLEMS: tuple[Problem, ...] = (
    Problem("tall", data.badly_scaled, (1_000_000, 100), (5000, 20), TALL),
    Problem("tall-1000", data.badly_scaled, (100_000, 1000), (2000, 100), TALL),
    Problem("small", data.diabetes, (442, 10), (442, 10), SMALL, repeats=200),
    Problem("weights", weighted, (200_000, 100), (2000, 20), (OURS, LINEAR, CHOLESKY, SCALED_SGD)),
    PLAIN,
    Problem("batches", with_normal, (1_000_000, 100), (5000, 20), (OURS, *SGD),
            descent=Descent(epochs=3, batch_size=256)),
    Problem("schedules", data.neighbours, (100_000, 100), (2000, 20), SCHEDULES,
            descent=Descent(epochs=10, learning_rate=0.002, batch_size=256)),
    Problem("early-stopping", with_unseen, (2000, 1500), (200, 150), STOPPING),
    Problem("wide", data.few_of_many, (100, 100_000), (50, 2000), (OURS, LINEAR, SVD, CHOLESKY, LSQR)),
    Problem("wide-l2", data.few_of_many, (1000, 20_000), (100, 3000),
            (OURS, SVD, CHOLESKY, LSQR, SPARSE_CG, SAG, "SGDRegressor"), Objective(penalty="l2", alpha=0.1)),
    Problem("wide-200", data.few_of_many, (200, 5000), (40, 400),
            (OURS, SVD, CHOLESKY, LSQR, SPARSE_CG), Objective(penalty="l2", alpha=0.005)),
    Problem("nearly-square", data.few_of_many, (5000, 4000), (100, 80),
            (GRAM, OURS, CHOLESKY, LSQR, SPARSE_CG, LINEAR), repeats=3),
    Problem("one-hot", data.one_hot, (20_000, 869), (2000, 60), (OURS, LINEAR, LSQR, SPARSE_CG)),
    # Ridge(sag) hands sparse X with an intercept on to sparse_cg: it would be here twice.
    Problem("sparse", data.text, (100_000, 100_000), (3000, 3000),
            (OURS, LSQR, SPARSE_CG, "SGDRegressor"), Objective(penalty="l2", alpha=1e-6)),
    Problem("collinear", data.nearly_collinear, (20_000, 50), (2000, 20),
            (OURS, LINEAR, SVD, CHOLESKY, LSQR, *SGD, TORCH)),
    Problem("heavy-tailed", data.heavy_tailed, (100_000, 300), (2000, 30), TALL),
    Problem("huber", with_outliers, (200_000, 50), (5000, 20), (OURS, SCALED_SGD, TORCH), HUBER),
    Problem("huber-1000", with_outliers, (100_000, 1000), (5000, 50),
            (OURS, f"{OURS}(newton)", f"{OURS}(diagonal)", SCALED_SGD, TORCH), HUBER, repeats=3),
    Problem("huber-scale", at_unit_scale, (20_000, 20), (2000, 20), (OURS, "StandardScaler + HuberRegressor"), HUBER),
    Problem("huber-2000", at_unit_scale, (2000, 20), (500, 5), (OURS, "StandardScaler + HuberRegressor"), HUBER,
            repeats=20),
    Problem("quantile-small", with_students, (500, 10), (100, 3), QUANTILES, Objective("quantile"), repeats=20),
    Problem("quantile", with_students, (5000, 20), (1000, 10), QUANTILES, Objective("quantile", quantile=0.7)),
    Problem("quantile-tall", with_students, (20_000, 20), (2000, 10), QUANTILES, Objective("quantile", quantile=0.95)),
    Problem("quantile-million", with_students, (1_000_000, 20), (30_000, 3), QUANTILES,
            Objective("quantile", quantile=0.9), repeats=3),
    Problem("quantile-wide", with_students, (1000, 300), (200, 60), QUANTILES, Objective("quantile", quantile=0.95)),
    Problem("median", with_students, (20_000, 500), (2000, 50), (GRAM, *QUANTILES), Objective("quantile"), repeats=3),
    Problem("svr", data.same_units, (20_000, 20), (2000, 10), (OURS, "LinearSVR"),
            Objective("epsilon_insensitive", "l2", alpha=1e-4, epsilon=0.1)),
    Problem("lasso", data.factors, (100_000, 200), (2000, 50), (OURS, *LASSOS, "Lasso(tol=1e-6, precompute)"), L1),
    Problem("lasso-wide", data.factors, (300, 5000), (100, 400), (OURS, *LASSOS), L1),
    Problem("lasso-100", data.common_factor, (100, 500), (50, 100), (OURS, *LASSOS), L1, repeats=20),
    Problem("lasso-500", data.common_factor, (500, 5000), (100, 400), (OURS, *LASSOS), L1),
    Problem("lasso-500-low", data.common_factor, (500, 5000), (100, 400), (OURS, *LASSOS), WEAK_L1),
    Problem("lasso-widest", data.common_factor, (300, 20_000), (50, 1000), (OURS, *LASSOS), L1),
    Problem("lasso-square", data.common_factor, (2000, 1000), (200, 100), (OURS, *LASSOS), L1),
    Problem("lasso-large", data.common_factor, (20_000, 2000), (500, 100), (OURS, *LASSOS), WEAK_L1, repeats=3),
    Problem("lasso-sparse", data.sparse_columns, (50_000, 20_000), (2000, 1000), (OURS, *LASSOS), WEAK_L1, repeats=3),
    Problem("huber-l1", data.common_factor, (500, 2000), (100, 400), (OURS, "SGDRegressor"),
            Objective("huber", "l1", alpha=0.005, epsilon=0.1), repeats=3),
    Problem("quantile-l1", data.common_factor, (500, 2000), (100, 400), QUANTILES[:2],
            Objective("quantile", "l1", alpha=0.03, quantile=0.7), repeats=3),
)
# fmt: on
"""Every problem, in the order in which they are run."""

CURVES: tuple[Curve, ...] = (
    Curve(
        "n",
        "rows of X",
        "Time of a fit, {p} columns",
        lambda n: Problem("n", data.badly_scaled, (n, 100), (n, 20), DIRECT, repeats=20),
        (1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000),
    ),
    Curve(
        "p",
        "columns of X",
        "Time of a fit, {n:,} rows",
        lambda p: Problem("p", data.badly_scaled, (100_000, p), (2000, p), DIRECT, repeats=20),
        (10, 30, 100, 300, 1000, 2000),
    ),
    Curve(
        "epochs",
        "epochs",
        "Time of plain descent with its loss history, {n:,} rows, {p} columns",
        lambda epochs: replace(PLAIN, name="epochs", descent=Descent(epochs, learning_rate=0.1), repeats=3),
        (10, 100, 1000, 10_000, 100_000),
    ),
)
"""What grows."""
