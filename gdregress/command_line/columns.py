"""Columns made numbers and categories, as all their cells say they are written."""

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from gdregress.command_line.readings import Reading, is_gap
from gdregress.command_line.wording import few, quote
from gdregress.rows.wording import count


@dataclass(frozen=True)
class Written:
    """The cells of a column, each text once.

    Attributes
    ----------
    codes : ndarray of shape (n_rows,)
        Which of the texts is in each row; -1 for none.
    texts : list of str
        The different texts, in the order in which they appear.
    """

    codes: NDArray
    texts: list[str]

    @classmethod
    def of(cls, column: Any) -> "Written":
        """Return the cells of a column of any type as text; whole numbers beside gaps are floats to pandas."""
        codes, values = column.factorize()
        return cls(codes, [f"{value:.0f}" if _is_whole(value) else str(value).strip() for value in values])

    @cached_property
    def counts(self) -> NDArray:
        """In how many rows each text is."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.texts))

    @cached_property
    def is_gap(self) -> NDArray:
        """Which of the texts stand for a missing value."""
        return np.array([is_gap(text) for text in self.texts], dtype=bool)

    @cached_property
    def present(self) -> list[str]:
        """The texts that are no gaps."""
        return [text for text, gap in zip(self.texts, self.is_gap, strict=True) if not gap]

    @cached_property
    def characters(self) -> set[str]:
        """The characters of the texts that are no gaps."""
        return set("".join(self.present))

    def values(self, reading: Reading) -> NDArray:
        """Return the value of each row."""
        read = reading.values(self.present)
        values = np.full(len(self.texts) + 1, None if read.dtype == object else np.nan, dtype=read.dtype)
        values[:-1][~self.is_gap] = read
        return values[self.codes]

    def row_of(self, text: str) -> int:
        """Return the first row that has a text."""
        return int((self.codes == self.texts.index(text)).argmax())


def _is_whole(value: Any) -> bool:
    return isinstance(value, float) and value % 1 == 0 and abs(value) < 1e15


def read(column: Any, reading: Reading) -> NDArray:
    """Return the values of a column of a data frame: floats with NaN, or objects with None in the gaps."""
    if reading.kind == "number" and column.dtype.kind in "iuf":
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return Written.of(column).values(reading)


def unread(column: Any, values: NDArray) -> tuple[int, str]:
    """Return how many cells of a column are no gaps and yet have no value, and the first of them."""
    is_stray = np.isnan(values)
    if not is_stray.any():
        return 0, ""
    written = Written.of(column[is_stray & column.notna().to_numpy()])
    return int(written.counts[~written.is_gap].sum()), next(iter(written.present), "")


class Columns(TransformerMixin, BaseEstimator):
    """Read the columns of a data frame by name: numbers, dates and text as they were written where it was decided.

    It learns nothing from rows: how each column is written is a parameter.

    Parameters
    ----------
    readings : dict of str to Reading
        What becomes of the cells of each column, in the order of the result.
    target : str
        Name of the column that the pipeline predicts.
    ranges : dict of str to (float, float), default=()
        The least and the largest number of each column of numbers that was learnt from.
    """

    def __init__(self, readings, target, ranges=()):
        self.readings = readings
        self.target = target
        self.ranges = ranges

    def fit(self, X, y=None):
        """Learn nothing."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def get_feature_names_out(self, input_features=None):
        """Return the names of the columns."""
        return np.array(list(self.readings), dtype=object)

    def transform(self, X):
        """Return the columns of a data frame, in any order, with NaN or None in the gaps; warn of what is no gap."""
        import pandas as pd

        if not isinstance(X, pd.DataFrame):
            raise ValueError(f"the columns are read by name: pass a DataFrame with {few(map(quote, self.readings))}.")
        lacking = [quote(name) for name in self.readings if name not in X.columns]
        if lacking:
            raise ValueError(f"{count(len(lacking), 'column')} lacking that the model has learnt from: {few(lacking)}.")
        values = {name: read(X[name], reading) for name, reading in self.readings.items()}
        strays = {name: unread(X[name], part) for name, part in values.items() if part.dtype != object}
        items = [f"{quote(name)} ({n}, such as {quote(text)})" for name, (n, text) in strays.items() if n]
        if items:
            warnings.warn(
                f"cells that are neither numbers nor dates count as gaps: {few(items)}.", UserWarning, stacklevel=2
            )
        # Of objects pandas would make text of its own, in which None is NaN.
        return pd.DataFrame({name: pd.Series(part, X.index, part.dtype) for name, part in values.items()}, X.index)
