"""What the columns of a table hold: numbers; or text, dates and other objects, which are refused by name.

Every library of arrays or data frames gives its columns as NumPy arrays. So one rule for these arrays holds for all of
them, and none has to be imported.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import date, time, timedelta
from numbers import Number
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gdregress.rows.wording import cut

NUMERIC = frozenset("biuf")
"""Kinds of NumPy types whose values are numbers."""

OTHERS: dict[str, tuple[type, ...]] = {
    "text": (str, bytes),
    "dates": (date, time, np.datetime64),
    "durations": (timedelta, np.timedelta64),
}
"""What columns of objects are refused for, in the order in which it is looked for."""

PERHAPS_NUMBERS = (Number, np.bool_, type(None))
"""Types of which NumPy makes floats, unless they are complex or too large; it makes NaN of None."""

COMPLEX = (complex, np.complexfloating)
"""Types of numbers that are no floats."""

DATE = re.compile(
    r"(\d{4}([-/.])\d{1,2}\2\d{1,2}|\d{1,2}([-/.])\d{1,2}\3\d{4}"
    r"|\d{1,2}([-.])(0[1-9]|1[0-2])\4\d{2}|\d{1,2}/\d{1,2}/\d{2})([T ].*)?",
    re.DOTALL,
)
"""What the text of a date looks like. With a year of two digits, a month between dots has two: 1.2.34 is a version."""

DRESSED = re.compile(
    r"\W*(\d+([.,]\d*)?|\d{1,3}(?P<group>[., '\u00a0\u202f])(\d{2,3}(?P=group))*\d{3}((?!(?P=group))[.,]\d*)?)\W*"
)
"""What the text of a number looks like that has signs of currency or percent, groups of digits or a decimal comma."""

TEXT_OF_DATES = "turn it into dates (pandas.to_datetime), and these into numbers, such as days since the first"
TEXT_OF_NUMBERS = "turn it into numbers such as 1234.5, with a decimal point and nothing around them"

SHOWN = 40
"""Characters of a text that a message shows at most."""


class Remedies(NamedTuple):
    """What to do about values that are no numbers.

    Attributes
    ----------
    text : str
        About text that is not the text of a number.
    stray : str
        About the same where most of a column is numbers.
    gap : str
        About a missing value.
    otherwise : str
        What may be done in place of turning values into numbers, or nothing.
    columns : str, default=""
        About other columns than those that were expected, or nothing.
    """

    text: str
    stray: str
    gap: str
    otherwise: str
    columns: str = ""


FEATURES = Remedies(
    "encode it (OneHotEncoder in a ColumnTransformer)",
    "make it NaN (pandas.to_numeric, errors='coerce') and fill that (sklearn.impute.SimpleImputer), or drop the row",
    "fill it (sklearn.impute.SimpleImputer) or drop the row",
    ", or drop the column",
)
KNOWN_FEATURES = Remedies(
    "fit was given numbers, so transform X as it was then",
    "make it NaN (pandas.to_numeric, errors='coerce') and fill that (sklearn.impute.SimpleImputer)",
    "fill it (sklearn.impute.SimpleImputer)",
    "",
)
ROUTING = "in a pipeline by transform_input=['X_val'] and set_fit_request(X_val=True, y_val=True)"
VALIDATION_FEATURES = FEATURES._replace(
    text=f"encode it as X is, {ROUTING}", columns=f" (transform X_val as X is, {ROUTING})"
)
STRAY = "make it a number, or drop the row"
TARGETS = Remedies("turn it into numbers, or take a classifier if it names classes", STRAY, "drop the row", "")
WEIGHTS = Remedies("turn it into numbers", STRAY, "drop the row", "")


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

    def refuse(self, words: str, example: str = "", remedy: str = "") -> NoReturn:
        """Raise the ValueError of a column of text, dates or durations."""
        where = "" if self.label is None else f" in column {self.label!r}"
        usual = {
            "text": self.remedies.text,
            "dates": "turn them into numbers, such as days since the first",
            "durations": "turn them into numbers, such as by a division by numpy.timedelta64(1, 'D')",
        }
        raise ValueError(f"{self.name} has {words}{where}{example}: {remedy or usual[words]}{self.remedies.otherwise}.")

    def check(self, values: NDArray) -> None:
        """Raise an error if a value is no number."""
        if values.dtype.kind in "mM":
            self.refuse({"M": "dates", "m": "durations"}[values.dtype.kind])
        if values.dtype.kind not in "OSUT" or _are_numbers(values):
            return
        for words, kinds in OTHERS.items():
            found = {row: value for row, value in enumerate(values) if isinstance(value, kinds) and not _is_gap(value)}
            if found and words == "text":
                n_others = sum(isinstance(value, Number) and value == value for value in values)
                self._refuse_text(found, n_others)
            for row, value in found.items():
                self.refuse(words, _example(row, value))
        for row, value in enumerate(values):
            self._check_object(row, value)

    def _refuse_text(self, texts: dict[int, Any], n_others: int) -> NoReturn:
        """Raise the ValueError of text in some rows, beside numbers in others: what is no number is named."""
        strays = {row: text for row, text in texts.items() if not _is_number(text)}
        if not strays:
            self.refuse("text", _example(*next(iter(texts.items()))), "turn it into numbers (astype(float))")
        with_digits = {row: text for row, text in strays.items() if any(map(str.isdigit, str(text)))}
        if 2 * len(with_digits) > len(strays):  # the others may be marks of gaps, such as "?"
            for kind, remedy in ((DATE, TEXT_OF_DATES), (DRESSED, TEXT_OF_NUMBERS)):
                if _all_are(kind, with_digits.values()):
                    self.refuse("text", _example(*next(iter(with_digits.items()))), remedy)
        row, text = next(iter(strays.items()))
        if len(texts) - len(strays) + n_others < len(strays):
            self.refuse("text", _example(row, text))
        where = "" if self.label is None else f" of column {self.label!r}"
        raise ValueError(f"{self.name} has text among the numbers{where}{_example(row, text)}: {self.remedies.stray}.")

    def _check_object(self, row: int, value: Any) -> None:
        kind = type(value).__name__
        where = f"row {row}" + ("" if self.label is None else f", column {self.label!r}")
        if _is_gap(value):
            gap = "NA" if kind == "NAType" else "NaT"
            raise ValueError(f"Input {self.name} contains {gap} at {where}: {self.remedies.gap}.")
        try:
            float(value)
        except OverflowError:
            remedy = f"divide by a power of ten{self.remedies.otherwise}"
            raise ValueError(f"{self.name} has a number too large for a float at {where}: {remedy}.") from None
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
        and so are arrays of complex numbers.
    remedies : Remedies
        What the error message advises.

    Raises
    ------
    ValueError
        If a column holds text, dates, durations, NA, NaT or a number too large for a float; if entries are masked; or
        if two columns of a data frame have one name.
    TypeError
        If a column holds objects that are no numbers; if the values are a structured array or a query that has not run.
    """
    if type(values) is np.ndarray and values.dtype.kind in NUMERIC:
        return
    if isinstance(values, np.ndarray):
        _check_array(name, values)
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

    The only column of a vector comes with None. The schema is looked at first, because a table can have many columns.
    Attributes of pandas are looked for before those of others, because its columns may have the names of these.
    """
    is_array = isinstance(values, np.ndarray)
    if not is_array and hasattr(values, "iloc") and hasattr(values, "dtypes"):  # pandas and what is like it
        if hasattr(values, "columns"):
            yield from _doubtful_of_pandas(name, values)
        else:
            yield from () if _is_numeric(values.dtype) else [(None, _as_array(values))]
    elif not is_array and hasattr(values, "column_names"):  # Arrow
        _check_different(name, values.column_names)
        places = _places(values.schema.types, _is_numeric_in_arrow)
        yield from ((values.column_names[place], values.column(place)) for place in places)
    elif not is_array and hasattr(values, "collect_schema") and not hasattr(values, "to_numpy"):  # Polars, not run yet
        raise TypeError(f"{name} is a {type(values).__name__}, which has not run yet: pass its collect().")
    elif not is_array and hasattr(values, "columns"):  # Polars
        labels = values.columns
        yield from ((labels[place], _as_array(values[labels[place]])) for place in _places(values.dtypes, _is_numeric))
    elif not (sparse.issparse(values) or _is_numeric(getattr(values, "dtype", None))):
        array = _as_array(values)
        if array.ndim == 2:
            yield from enumerate(array.T)
        elif array.ndim == 1:
            yield None, array


def _doubtful_of_pandas(name: str, table: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the doubtful columns of a data frame; objects are looked at in one block, which takes one pass."""
    _check_different(name, table.columns)
    places = _places(table.dtypes, _is_numeric)
    if {str(dtype) for dtype in set(table.dtypes.iloc[places])} == {"object"}:
        block = table.iloc[:, places].to_numpy()
        if not _are_numbers(block.ravel()):
            yield from zip(table.columns[places], block.T, strict=True)
    else:
        yield from ((table.columns[place], table.iloc[:, place]) for place in places)


def _places(dtypes: Iterable[Any], is_numeric: Callable[[Any], bool]) -> list[int]:
    """Return the places of the columns whose type is not numeric; each type is asked once."""
    dtypes = list(dtypes)
    doubtful = {dtype for dtype in set(dtypes) if not is_numeric(dtype)}
    return [place for place, dtype in enumerate(dtypes) if dtype in doubtful] if doubtful else []


def _are_numbers(values: NDArray) -> bool:
    """Return whether NumPy can make floats of all objects of a vector."""
    kinds = set(map(type, values))
    if not all(issubclass(kind, PERHAPS_NUMBERS) and not issubclass(kind, COMPLEX) for kind in kinds):
        return False
    if int not in kinds:
        return True
    try:
        values.astype(np.float64)
    except OverflowError:
        return False
    return True


def _is_gap(value: Any) -> bool:
    """Return whether a value is NA or NaT, of pandas or of NumPy."""
    return type(value).__name__ in ("NAType", "NaTType") or bool(
        isinstance(value, np.datetime64 | np.timedelta64) and np.isnat(value)
    )


def _is_numeric_in_arrow(dtype: Any) -> bool:
    """Return whether a type of Arrow is one of numbers."""
    return str(dtype).startswith(("int", "uint", "float", "double", "halffloat", "bool", "decimal"))


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


def _check_array(name: str, values: NDArray) -> None:
    if values.dtype.names:
        fields = ", ".join(map(repr, values.dtype.names))
        raise TypeError(
            f"{name} is a structured array with the fields {cut(fields, SHOWN)}: pass its columns side by side, "
            "as numpy.lib.recfunctions.structured_to_unstructured gives them."
        )
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        row, *column = np.argwhere(np.ma.getmaskarray(values))[0]
        where = f"row {row}" + "".join(f", column {number}" for number in column)
        raise ValueError(f"{name} has masked entries, the first at {where}: fill them, or drop the rows.")


def _is_number(text: Any) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _all_are(pattern: re.Pattern[str], texts: Iterable[Any]) -> bool:
    return all(pattern.fullmatch(text if isinstance(text, str) else text.decode(errors="replace")) for text in texts)


def _example(row: int, value: Any) -> str:
    return f", such as {_shown(value)} at row {row}"


def _shown(value: Any) -> str:
    return cut(repr(str(value)) if isinstance(value, str | bytes) else str(value), SHOWN)
