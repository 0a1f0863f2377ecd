"""What the columns of a table hold: numbers; or text, dates and other objects, which are refused by name.

Every library of arrays or data frames gives its columns as NumPy arrays. So one rule for these arrays holds for all of
them, and none has to be imported.
"""

from collections.abc import Iterable, Iterator
from datetime import date, time, timedelta
from numbers import Number
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

NUMERIC = frozenset("biuf")
"""Kinds of NumPy types whose values are numbers."""

OTHERS: dict[str, tuple[type, ...]] = {
    "text": (str, bytes),
    "dates": (date, time, np.datetime64),
    "durations": (timedelta, np.timedelta64),
}
"""What columns of objects are refused for, in the order in which it is looked for."""

PERHAPS_NUMBERS = (Number, np.bool_, type(None))
"""Types of which NumPy makes floats; it makes NaN of None."""

SHOWN = 40
"""Characters of a text that a message shows at most."""


class Remedies(NamedTuple):
    """What to do about values that are no numbers.

    Attributes
    ----------
    text : str
        About text that is not the text of a number.
    gap : str
        About a missing value.
    otherwise : str
        What may be done in place of turning values into numbers, or nothing.
    columns : str, default=""
        About other columns than those that were expected, or nothing.
    """

    text: str
    gap: str
    otherwise: str
    columns: str = ""


FEATURES = Remedies(
    "encode it (OneHotEncoder in a ColumnTransformer)",
    "fill it (sklearn.impute.SimpleImputer) or drop the row",
    ", or drop the column",
)
ROUTING = "in a pipeline by transform_input=['X_val'] and set_fit_request(X_val=True, y_val=True)"
VALIDATION_FEATURES = FEATURES._replace(
    text=f"encode it as X is, {ROUTING}", columns=f" (transform X_val as X is, {ROUTING})"
)
TARGETS = Remedies("turn it into numbers, or take a classifier if it names classes", "drop the row", "")
WEIGHTS = Remedies("turn it into numbers", "drop the row", "")


class Column(NamedTuple):
    """A column in which something else than numbers is found.

    Attributes
    ----------
    name : str
        Name of the table, as in "X".
    label : object
        Name or number of the column; None if there is but one.
    remedies : Remedies
        What to do about it.
    """

    name: str
    label: Any
    remedies: Remedies

    def refuse(self, words: str, example: str = "", *, is_number: bool = False) -> NoReturn:
        """Raise the ValueError of a column of text, dates or durations."""
        where = "" if self.label is None else f" in column {self.label!r}"
        remedy = {
            "text": "turn it into numbers" if is_number else self.remedies.text,
            "dates": "turn them into numbers, such as days since the first",
            "durations": "turn them into numbers, such as by a division by numpy.timedelta64(1, 'D')",
        }[words]
        raise ValueError(f"{self.name} has {words}{where}{example}: {remedy}{self.remedies.otherwise}.")

    def check(self, values: NDArray) -> None:
        """Raise an error if a value is no number."""
        if values.dtype.kind in "mM":
            self.refuse({"M": "dates", "m": "durations"}[values.dtype.kind])
        if values.dtype.kind not in "OSUT" or all(issubclass(each, PERHAPS_NUMBERS) for each in set(map(type, values))):
            return
        for words, kinds in OTHERS.items():
            for row, value in enumerate(values):
                if isinstance(value, kinds):
                    example = f", such as {_shown(value)} at row {row}"
                    self.refuse(words, example, is_number=words == "text" and _is_number(value))
        for row, value in enumerate(values):
            self._check_object(row, value)

    def _check_object(self, row: int, value: Any) -> None:
        kind = type(value).__name__
        where = f"row {row}" + ("" if self.label is None else f", column {self.label!r}")
        if kind == "NAType":
            raise ValueError(f"Input {self.name} contains NA at {where}: {self.remedies.gap}.")
        try:
            float(value)
        except (TypeError, ValueError) as error:
            remedy = f"turn it into a number{self.remedies.otherwise}"
            raise TypeError(f"{self.name} has a value of type {kind} at {where} ({error}): {remedy}.") from None


def check_numbers(name: str, values: Any, remedies: Remedies) -> None:
    """Raise an error for the first column that holds something else than numbers.

    Parameters
    ----------
    name : str
        Name of the values in the error message.
    values : array-like or sparse matrix
        Features, targets or weights. What is neither a table nor an array is left to the conversion by scikit-learn,
        and so are complex numbers.
    remedies : Remedies
        What the error message advises.

    Raises
    ------
    ValueError
        If a column holds text, dates, durations or pandas' NA; if entries are masked; or if two columns of a data
        frame have one name.
    TypeError
        If a column holds objects that are no numbers.
    """
    if type(values) is np.ndarray and values.dtype.kind in NUMERIC:
        return
    _check_mask(name, values)
    for label, column in _doubtful_columns(name, values):
        Column(name, label, remedies).check(np.asarray(column))


def check_types(name: str, table: Any) -> None:
    """Raise a ValueError for the first column of a Dask data frame that has a type of text or dates; read no row."""
    _check_different(name, table.columns)
    for label, dtype in table.dtypes.items():
        kind = getattr(dtype, "kind", "O")
        if str(dtype) in ("string", "str") or kind in "mM":
            Column(name, label, FEATURES).refuse({"M": "dates", "m": "durations"}.get(kind, "text"))


def _doubtful_columns(name: str, values: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the columns whose type does not say that they are numbers, each with its name or number.

    The only column of a vector comes with None.
    """
    if hasattr(values, "column_names"):  # Arrow
        _check_different(name, values.column_names)
        yield from zip(values.column_names, values.itercolumns(), strict=True)
    elif hasattr(values, "iloc") and hasattr(values, "columns"):  # pandas and what is like it
        _check_different(name, values.columns)
        places = [place for place, dtype in enumerate(values.dtypes) if not _is_numeric(dtype)]
        yield from ((values.columns[place], values.iloc[:, place]) for place in places)
    elif hasattr(values, "columns"):  # Polars
        labels = [label for label, dtype in zip(values.columns, values.dtypes, strict=True) if not _is_numeric(dtype)]
        yield from ((label, _as_array(values[label])) for label in labels)
    elif not (sparse.issparse(values) or _is_numeric(getattr(values, "dtype", None))):
        array = _as_array(values)
        if array.ndim == 2:
            yield from enumerate(array.T)
        elif array.ndim == 1:
            yield None, array


def _is_numeric(dtype: Any) -> bool:
    """Return whether a type of NumPy, pandas or Polars is one of numbers."""
    return getattr(dtype, "kind", "O") in NUMERIC or (hasattr(dtype, "is_numeric") and dtype.is_numeric())


def _as_array(values: Any) -> NDArray:
    """Return values as an array; an empty one if they are none, which scikit-learn will say."""
    if hasattr(getattr(values, "dtype", None), "is_numeric"):  # of Polars, some versions of which crash in to_numpy
        return np.array(values.to_list(), dtype=object)
    try:
        array = np.asarray(values)
    except (ValueError, TypeError):
        return np.empty(0)
    # NumPy makes text of the numbers that stand beside text in a list.
    return np.array(values, dtype=object) if array.dtype.kind in "SU" and isinstance(values, list | tuple) else array


def _check_different(name: str, labels: Iterable[Any]) -> None:
    seen = set()
    for label in labels:
        if label in seen:
            raise ValueError(f"{name} has two columns named {label!r}: rename one, or pass an array without names.")
        seen.add(label)


def _check_mask(name: str, values: Any) -> None:
    if np.ma.is_masked(values):
        row, *column = np.argwhere(np.ma.getmaskarray(values))[0]
        where = f"row {row}" + "".join(f", column {number}" for number in column)
        raise ValueError(f"{name} has masked entries, the first at {where}: fill them, or drop the rows.")


def _is_number(text: Any) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _shown(value: Any) -> str:
    words = repr(str(value)) if isinstance(value, str | bytes) else str(value)
    return words if len(words) <= SHOWN else words[: SHOWN - 3] + "..."
