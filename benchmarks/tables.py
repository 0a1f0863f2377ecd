"""Accuracy on real tables as they are: how far from least squares do predictions with no parameter set end."""

import time
import warnings
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression, SGDRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.oracle import distance, orthonormal_span
from benchmarks.problems import OURS
from benchmarks.report import Rows, as_markdown
from benchmarks.sources import Table, load_tables
from gdregress import GradientDescentRegressor, closed_form
from gdregress.comparison import aligned

COMMON: dict[str, Callable] = {
    OURS: GradientDescentRegressor,
    "SGDRegressor": lambda: SGDRegressor(random_state=0),
    "StandardScaler + SGDRegressor": lambda: make_pipeline(StandardScaler(), SGDRegressor(random_state=0)),
    "LinearRegression": LinearRegression,
}
"""What is dropped in as it is: no parameter is set, a seed aside, so that a run can be repeated."""

CLOSE = 1e-6
"""Distance from least squares, in standard deviations of y, up to which predictions count as right."""


@dataclass(frozen=True)
class Fit:
    """How a solver did on a table.

    Attributes
    ----------
    error : float
        Root-mean-square distance of its predictions from the reference's, in standard deviations
        of y; infinity where it failed.
    seconds : float
        Time of the fit.
    complaints : tuple of str
        What it warned of, and the error it raised.
    checked : float
        The same distance from least squares in extended precision; NaN where that was not computed.
    """

    error: float
    seconds: float
    complaints: tuple[str, ...]
    checked: float


@dataclass(frozen=True)
class Result:
    """How all solvers did on a table.

    Attributes
    ----------
    table : Table
        The problem.
    rank : int
        Number of directions in which the standardised columns vary.
    condition : float
        Largest over smallest of their singular values, those that are rounding aside.
    fits : dict of str to Fit
        By solver.
    reference : float
        Distance of the reference from least squares in extended precision; NaN where not computed.
    """

    table: Table
    rank: int
    condition: float
    fits: dict[str, Fit]
    reference: float

    @property
    def is_right(self) -> bool:
        """Whether ours is close and silent."""
        return self.fits[OURS].error <= CLOSE and not self.fits[OURS].complaints


def run(packages: list[str] | None = None, *, show_all: bool = False, markdown: str | None = None) -> int:
    """Fit every table with every solver and print how they did.

    Parameters
    ----------
    packages : list of str, default=None
        Packages whose tables are fitted, as they stand before the name of a table; None for all.
    show_all : bool, default=False
        Print a line for each table.
    markdown : str, default=None
        File for the summary and the line of each table.

    Returns
    -------
    status : int
        0 if ours is within `CLOSE` on every table without a warning, else 1.
    """
    tables, left_out = load_tables(packages)
    results = _solve_all(tables)
    wrong = [result for result in results if not result.is_right]
    preface = [_count(tables, left_out), _check(results)]
    totals, lines = summary(results), _lines(results)
    print(*preface, "", aligned(totals), sep="\n")
    if show_all:
        print("", aligned(lines), sep="\n")
    if wrong:
        print("", aligned(_lines(wrong)), *_complaints(wrong), sep="\n")
    if markdown is not None:
        Path(markdown).write_text("\n\n".join([*preface, as_markdown(totals), as_markdown(lines)]) + "\n")
    return 1 if wrong else 0


def survey(packages: Collection[str]) -> list[Result]:
    """Fit every table of some packages with every solver, without a word."""
    return _solve_all(load_tables(packages)[0])


def as_dicts(results: list[Result]) -> list[dict]:
    """Give plain values for each table."""
    return [
        {
            "table": result.table.name,
            "shape": result.table.X.shape,
            "rank": result.rank,
            "condition": result.condition,
            "fits": {name: asdict(fit) for name, fit in result.fits.items()},
        }
        for result in results
    ]


def _solve_all(tables: list[Table]) -> list[Result]:
    for make in COMMON.values():  # what is loaded at the first fit is nobody's time
        _fit(make(), tables[0], np.zeros(len(tables[0].y)), None)
    return [_solve(table) for table in tables]


def _solve(table: Table) -> Result:
    X, y = table.X, table.y
    reference = _least_squares(X, y)
    span = orthonormal_span(X)
    fits = {name: _fit(make(), table, reference, span) for name, make in COMMON.items()}
    checked = np.nan if span is None else distance(span, y, reference)
    return Result(table, *_rank_and_condition(X), fits, checked)


def _least_squares(X: NDArray, y: NDArray) -> NDArray:
    """Predict by the closed form, its residual recomputed in extended precision and solved for twice more."""
    predictions = np.zeros(len(y), dtype=np.longdouble)
    for _ in range(3):
        coef, intercept = closed_form(X, (y - predictions).astype(np.float64))
        predictions += X.astype(np.longdouble) @ coef + intercept
    return predictions


def _fit(estimator, table: Table, reference: NDArray, span: NDArray | None) -> Fit:
    complaints = []
    error = checked = np.inf
    with warnings.catch_warnings(record=True) as caught, np.errstate(over="ignore", invalid="ignore"):
        warnings.simplefilter("always")
        start = time.perf_counter()
        try:
            estimator.fit(table.X, table.y)
        except ValueError as failure:
            complaints.append(str(failure))
        seconds = time.perf_counter() - start
        if not complaints:
            predictions = estimator.predict(table.X)
            error = float(np.sqrt(np.mean((predictions - reference) ** 2)) / table.y.std())
            checked = np.nan if span is None else distance(span, table.y, predictions)
    complaints.extend(str(warning.message) for warning in caught)
    return Fit(error if np.isfinite(error) else np.inf, seconds, tuple(complaints), checked)


def _rank_and_condition(X: NDArray) -> tuple[int, float]:
    """Read both off the singular values of the standardised columns, as `numpy.linalg.matrix_rank` does."""
    moving = X[:, np.ptp(X, axis=0) > 0].astype(np.longdouble)
    if not moving.shape[1]:
        return 0, 1.0
    deviations = moving - moving.mean(axis=0)
    standardised = (deviations / np.sqrt((deviations**2).mean(axis=0))).astype(np.float64)
    singular = np.linalg.svd(standardised, compute_uv=False)
    rank = int((singular > max(X.shape) * np.finfo(np.float64).eps * singular[0]).sum())
    return rank, float(singular[0] / singular[rank - 1])


def _count(tables: list[Table], left_out: Counter[str]) -> str:
    reasons = ", ".join(f"{number} {reason}" for reason, number in left_out.most_common())
    return f"{len(tables)} tables; left out by rule: {left_out.total()} ({reasons})."


def _check(results: list[Result]) -> str:
    checked = [result for result in results if not np.isnan(result.reference)]
    reference = max(checked, key=lambda result: result.reference)
    ours = max(checked, key=lambda result: result.fits[OURS].checked)
    return (
        f"Least squares in extended precision, on the {len(checked)} tables whose rank is beyond doubt: the reference "
        f"is within {reference.reference:.1e} ({reference.table.name}), ours within {ours.fits[OURS].checked:.1e} "
        f"({ours.table.name}) standard deviations of y."
    )


def summary(results: list[Result]) -> Rows:
    """Give a row a solver: how many tables it got right, and its time."""
    heads = ["solver", f"within {CLOSE:g}", "median error", "worst error", "off by > 1 sd or failed"]
    rows = [[*heads, "total time / ours", "median time / ours"]]
    ours = np.array([result.fits[OURS].seconds for result in results])
    for name in COMMON:
        errors = np.array([result.fits[name].error for result in results])
        seconds = np.array([result.fits[name].seconds for result in results])
        rows.append(
            [
                name,
                f"{(errors <= CLOSE).sum()} of {len(results)}",
                _error(float(np.median(errors))),
                _error(errors.max()),
                str((errors > 1).sum()),
                f"{seconds.sum() / ours.sum():.2f}",
                f"{np.median(seconds / ours):.2f}",
            ]
        )
    return rows


def _lines(results: list[Result]) -> Rows:
    rows = [["table", "rows", "columns", "rank", "condition", *COMMON]]
    for result in results:
        n, p = result.table.X.shape
        errors = [_error(result.fits[name].error) for name in COMMON]
        rows.append([result.table.name, str(n), str(p), str(result.rank), f"{result.condition:.1e}", *errors])
    return rows


def _complaints(results: list[Result]) -> list[str]:
    return [f"{result.table.name}: {complaint}" for result in results for complaint in result.fits[OURS].complaints]


def _error(error: float) -> str:
    return f"{error:.1e}" if np.isfinite(error) else "failed"
