"""Tuning: a grid of parameters with five folds, beside the estimators that people use for it."""

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.datasets import load_diabetes
from sklearn.linear_model import ElasticNetCV, LassoCV, RidgeCV
from sklearn.model_selection import GridSearchCV

from benchmarks.report import markdown
from gdregress import GradientDescentRegressor, GradientDescentRegressorCV

ALPHAS = np.geomspace(10.0, 1e-3, 24)
"""The grid of L2. Grids of L1 have as many strengths, each estimator its own, which are the same."""

SHARES, EPOCHS = np.geomspace(1e-3, 0.9, 20), range(1, 5001)
"""The grid of plain descent, a hundred thousand points; rates are shares of the largest stable one."""

FEW_ALPHAS = np.geomspace(1.0, 1e-3, 6)
"""The grid of the other losses."""

HUBER, QUANTILE = {"loss": "huber", "epsilon": 1.0}, {"loss": "quantile", "quantile": 0.7}
"""The other losses."""

SHAPES = ((442, 10), (50_000, 30), (20_000, 300))
"""Rows and columns; the first are the diabetes data."""

SLOW_SECONDS = 2.0
"""Seconds above which a measurement is not repeated."""

RUNS, ENOUGH_SECONDS = 5, 0.5
"""Least number of fits of which the fastest counts, and time that they take together at least."""


def run(*, quick: bool) -> int:
    """Measure, and print a table for each shape."""
    for n, p in SHAPES[:1] if quick else SHAPES:
        X, y = table(n, p)
        print(f"Tuning, {n:,} x {p}: 24 strengths, 5 folds\n\n{markdown(measured(X, y))}\n", flush=True)
    return 0


def table(n: int, p: int) -> tuple[NDArray, NDArray]:
    """Return the diabetes data; for other shapes correlated normal columns, a tenth of which count."""
    if (n, p) == SHAPES[0]:
        return load_diabetes(return_X_y=True, scaled=False)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, p)) + rng.standard_normal((n, 1))
    return X, X[:, : p // 10] @ rng.standard_normal(p // 10) + 3.0 * rng.standard_normal(n)


def measured(X: NDArray, y: NDArray) -> pd.DataFrame:
    """Return a row for each estimator: seconds, and how many fits of ours these are."""
    one = seconds(GradientDescentRegressor(), X, y)
    rows = [{"": "one fit of GradientDescentRegressor", "seconds": f"{one:.4g}", "fits": "1"}]
    ceiling = GradientDescentRegressor("lipschitz", epochs=1, tol=None).fit(X, y).max_learning_rate_
    for name, make in contenders(list(ceiling * SHARES)).items():
        took = seconds(make(), X, y)
        rows.append({"": name, "seconds": f"{took:.4g}", "fits": f"{took / one:.3g}"})
    return pd.DataFrame(rows)


def contenders(rates: list[float]) -> dict[str, Callable[[], Any]]:
    """Return what makes each estimator, by what it does, given the rates of plain descent."""
    ours, one = GradientDescentRegressorCV, GradientDescentRegressor
    return {
        "L2: ours": lambda: ours(ALPHAS),
        "L2: GridSearchCV of ours": lambda: GridSearchCV(one(penalty="l2"), {"alpha": ALPHAS}, cv=5),
        "L2: RidgeCV, leave one out": lambda: RidgeCV(ALPHAS),
        "L2: RidgeCV(cv=5)": lambda: RidgeCV(ALPHAS, cv=5),
        "L1: ours": lambda: ours(24, penalty="l1"),
        "L1: LassoCV": lambda: LassoCV(alphas=24, cv=5),
        "elastic net: ours": lambda: ours(24, penalty="elasticnet", l1_ratio=0.5),
        "elastic net: ElasticNetCV": lambda: ElasticNetCV(alphas=24, l1_ratio=0.5, cv=5),
        "Huber, 6 strengths: ours": lambda: ours(FEW_ALPHAS, **HUBER),
        "Huber, 6 strengths: GridSearchCV of ours": lambda: GridSearchCV(
            one(penalty="l2", **HUBER), {"alpha": FEW_ALPHAS}, cv=5
        ),
        "quantile, 6 strengths: ours": lambda: ours(FEW_ALPHAS, **QUANTILE),
        "quantile, 6 strengths: GridSearchCV of ours": lambda: GridSearchCV(
            one(penalty="l2", **QUANTILE), {"alpha": FEW_ALPHAS}, cv=5
        ),
        "20 rates, 5,000 epochs: ours": lambda: ours(penalty=None, learning_rate=rates, epochs=EPOCHS, tol=None),
    }


def seconds(model: Any, X: NDArray, y: NDArray) -> float:
    """Return the time of the fastest fit."""
    took: list[float] = []
    while (len(took) < RUNS or sum(took) < ENOUGH_SECONDS) and max(took, default=0.0) <= SLOW_SECONDS:
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(X, y)
        took.append(time.perf_counter() - start)
    return min(took)
