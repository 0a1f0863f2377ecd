"""Columns made numbers and categories, as all their cells say they are written."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from gdregress.command_line.cells import Reading, is_gap
from gdregress.command_line.wording import few, quote
from gdregress.rows.wording import count


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
        """Do nothing.

        Parameters
        ----------
        X : DataFrame
            Ignored.
        y : array-like, default=None
            Ignored.

        Returns
        -------
        self : Columns
        """
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def get_feature_names_out(self, input_features=None):
        """Return the names of the columns.

        Parameters
        ----------
        input_features : object, default=None
            Ignored.

        Returns
        -------
        ndarray of str
        """
        return np.array(list(self.readings), dtype=object)

    def transform(self, X):
        """Return the columns, with NaN or None in the gaps.

        Parameters
        ----------
        X : DataFrame
            The rows, as text or as pandas reads them; other columns are ignored, in any order.

        Returns
        -------
        DataFrame

        Raises
        ------
        ValueError
            If X is no data frame or lacks columns.

        Warns
        -----
        UserWarning
            If cells of a column of numbers or dates are neither, nor gaps.
        """
        import pandas as pd

        if not isinstance(X, pd.DataFrame):
            raise ValueError(f"the columns are read by name: pass a DataFrame with {few(map(quote, self.readings))}.")
        lacking = [quote(name) for name in self.readings if name not in X.columns]
        if lacking:
            raise ValueError(f"{count(len(lacking), 'column')} lacking that the model has learnt from: {few(lacking)}.")
        kinds = dict(zip(X.columns, X.dtypes, strict=True))
        plain = [name for name, way in self.readings.items() if way.kind == "number" and kinds[name].kind in way.takes]
        rows = X if len(plain) == X.shape[1] else X[plain]
        numbers = pd.DataFrame(rows.to_numpy(dtype=np.float64, na_value=np.nan), index=X.index, columns=rows.columns)
        known = set(plain)
        if len(known) == len(self.readings):
            return numbers[plain] if list(numbers.columns) != plain else numbers
        values = {name: read(X[name], self.readings[name]) for name in self.readings if name not in known}
        strays = {name: unread(X[name], part) for name, part in values.items() if part.dtype != object}
        items = [
            f"{quote(name)} ({n_cells}, such as {quote(text)})" for name, (n_cells, text) in strays.items() if n_cells
        ]
        if items:
            warnings.warn(
                f"cells that are neither numbers nor dates count as gaps: {few(items)}.", UserWarning, stacklevel=2
            )
        # Of objects pandas would make text of its own, in which None is NaN.
        series = {name: pd.Series(part, index=X.index, dtype=part.dtype, copy=False) for name, part in values.items()}
        return pd.concat([numbers, pd.DataFrame(series, copy=False)], axis=1)[list(self.readings)]


@dataclass(frozen=True)
class Written:
    """The cells of a column, each text once.

    Attributes
    ----------
    codes : ndarray of shape (n_rows,)
        Which of the texts is in each row; -1 for none.
    texts : list of str
        The different texts, in the order in which they appear.
    odd : frozenset of str, default=frozenset()
        Texts that stand for a missing value, beside what stands for one in any column.
    """

    codes: NDArray
    texts: list[str]
    odd: frozenset[str] = frozenset()

    @classmethod
    def of(cls, column: Any) -> "Written":
        """Return the cells of a column of text."""
        codes, texts = column.factorize()
        return cls(codes, [str(text).strip() for text in texts])

    def without(self, odd: Iterable[str]) -> "Written":
        """Return the same cells with some texts made gaps."""
        return replace(self, odd=frozenset(odd))

    @cached_property
    def counts(self) -> NDArray:
        """In how many rows each text is."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.texts))

    @cached_property
    def is_gap(self) -> NDArray:
        """Which of the texts stand for a missing value."""
        return np.array([is_gap(text) or text in self.odd for text in self.texts], dtype=bool)

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

    def row_of(self, texts: Iterable[str]) -> int:
        """Return the first row that has one of some texts."""
        wanted = set(texts)
        return int(np.isin(self.codes, [i for i, text in enumerate(self.texts) if text in wanted]).argmax())


def read(column: Any, reading: Reading) -> NDArray:
    """Return the values of a column of a data frame: floats with NaN, or objects with None in the gaps."""
    return reading.of(column) if column.dtype.kind in reading.takes else Written.of(column).values(reading)


def unread(column: Any, values: NDArray) -> tuple[int, str]:
    """Return how many cells of a column are no gaps and yet have no value, and the first of them."""
    written = Written.of(column[np.isnan(values) & column.notna().to_numpy()])
    return int(written.counts[~written.is_gap].sum()), next(iter(written.present), "")
