"""Numbers made of a table: gaps filled, text one-hot encoded, all that is done to it said in notes."""

import difflib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from gdregress.command_line.csv_tables import (
    Record,
    Table,
    TableError,
    count,
    distinct,
    is_missing,
    parse_number,
    quote,
)

MAX_CATEGORIES = 30
"""Features that a text column becomes at most; the rarest values share the last."""

IDENTIFIER_SHARE = 0.9
"""Distinct values per value above which a text column is an identifier or free text, of no use to a linear model."""


@dataclass(frozen=True)
class Dataset:
    """Numbers to learn from.

    Attributes
    ----------
    name : str
        Where they come from.
    n_rows, n_columns : int
        Rows of the source, and columns beside the target.
    target : str
        Name of the target.
    features : list of str
        Names of the columns of `X`, each different.
    X, X_test : ndarray of shape (n_samples, n_features)
        Training rows and test rows; the latter may be none.
    y, y_test : ndarray of shape (n_samples,)
        Their targets.
    notes : list of str
        What was done to the source, a sentence each.
    """

    name: str
    n_rows: int
    n_columns: int
    target: str
    features: list[str]
    X: NDArray
    y: NDArray
    X_test: NDArray
    y_test: NDArray
    notes: list[str]


def prepare(table: Table, target: str | None = None, test_size: float | None = None) -> Dataset:
    """Make numbers of a table: gaps filled, text one-hot encoded, both as the training rows say.

    Parameters
    ----------
    table : Table
        The file.
    target : str, default=None
        Name of the column to learn; None stands for the last.
    test_size : float, default=None
        Share of the rows to hold out at random, in (0, 1); None for none.

    Returns
    -------
    Dataset

    Raises
    ------
    TableError
        If there is no such column, it does not hold numbers, or nothing is left to learn from.
    """
    place = len(table.columns) - 1 if target is None else _find(table, target)
    name = table.columns[place]
    records = [record for record in table.records if not is_missing(record.fields[place])]
    y = _read_target(table, place, records)
    train, test = _split(len(records), test_size)
    columns, remarks = _choose(
        [_read_column(table, i, records) for i in range(len(table.columns)) if i != place], train
    )
    if not columns:
        raise TableError(
            f"{table.name} has no column to learn {name} from, as {'; '.join(remarks)}: "
            "add a column of numbers or of categories."
        )
    values = np.column_stack([column.values.astype(object) for column in columns])
    encoder = _make_encoder(columns).fit(values[train])
    X = encoder.transform(values)
    return Dataset(
        name=table.name,
        n_rows=len(table.records),
        n_columns=len(table.columns) - 1,
        target=name,
        features=_feature_names(columns, encoder),
        X=X[train],
        y=y[train],
        X_test=X[test],
        y_test=y[test],
        notes=[
            *table.notes,
            *([f"the target is {name}, the last column"] if target is None else []),
            *_describe_rows(name, len(table.records) - len(records), len(records), len(test)),
            *remarks,
            *_describe_numbers(columns, encoder),
            *_describe_text(columns, encoder, test),
        ],
    )


def _find(table: Table, target: str) -> int:
    """Give the place of a column."""
    if target in table.columns:
        return table.columns.index(target)
    folded = {name.casefold(): name for name in table.columns}
    close = difflib.get_close_matches(target.casefold(), folded, n=1)
    remedy = f"did you mean {folded[close[0]]!r}?" if close else f"its columns are {', '.join(table.columns)}."
    raise TableError(f"{table.name} has no column {target!r}: {remedy}")


def _read_target(table: Table, place: int, records: list[Record]) -> NDArray:
    name = table.columns[place]
    if not records:
        raise TableError(f"{table.name} has no value of {name} in any row: choose another column with --target.")
    numbers = []
    for line, fields in records:
        number = parse_number(fields[place])
        if number is None:
            raise TableError(
                f"{table.name}, line {line}: {name} is {quote(fields[place])}, not a number: "
                "correct it, or choose another column with --target."
            )
        numbers.append(number)
    return np.array(numbers)


def _split(n_rows: int, test_size: float | None) -> tuple[NDArray, NDArray]:
    """Give the places of the training rows and of the test rows."""
    rows = np.arange(n_rows)
    if test_size is None:
        return rows, rows[:0]
    if math.ceil(test_size * n_rows) == n_rows:
        raise TableError(f"a test size of {test_size:g} leaves none of {count(n_rows, 'row')} to learn from: lower it.")
    train, test = train_test_split(rows, test_size=test_size, random_state=0)
    return train, test


def _describe_rows(target: str, n_dropped: int, n_kept: int, n_test: int) -> list[str]:
    """Say which rows are not learnt from."""
    notes = []
    if n_dropped:
        notes.append(f"{count(n_dropped, 'row')} without {target} dropped")
    if n_test:
        notes.append(f"{n_test} of {count(n_kept, 'row')} held out at random for the test MSE")
    return notes


@dataclass(frozen=True)
class _Column:
    """Floats with NaN in the gaps or, for text, strings with None in the gaps."""

    name: str
    values: NDArray
    note: str | None = None

    @property
    def is_text(self) -> bool:
        return self.values.dtype == object

    @property
    def gaps(self) -> NDArray:
        return np.array([value is None for value in self.values]) if self.is_text else np.isnan(self.values)


def _read_column(table: Table, place: int, records: list[Record]) -> _Column:
    """Read numbers where every value is one, else text."""
    name = table.columns[place]
    fields = [record.fields[place] for record in records]
    numbers = [math.nan if is_missing(field) else parse_number(field) for field in fields]
    if None not in numbers:
        return _Column(name, np.array(numbers, dtype=np.float64))
    texts = [None if is_missing(field) else " ".join(field.split()) for field in fields]
    first = numbers.index(None)
    note = None
    if sum(number is not None and not math.isnan(number) for number in numbers) > numbers.count(None):
        note = f"{name} is text, not numbers, because of {quote(fields[first])} on line {records[first].line}"
    return _Column(name, np.array(texts, dtype=object), note)


def _choose(columns: list[_Column], train: NDArray) -> tuple[list[_Column], list[str]]:
    """Give the columns of use, and say which are not and why."""
    chosen, notes = [], []
    for column in columns:
        if column.note:
            notes.append(column.note)
        reason = _uselessness(column, train)
        if reason:
            notes.append(f"{column.name} left out: {reason}")
        else:
            chosen.append(column)
    return chosen, notes


def _uselessness(column: _Column, train: NDArray) -> str | None:
    present = column.values[train][~column.gaps[train]]
    if not present.size:
        return "no value in any row to learn from"
    if not column.is_text:
        return None
    n_distinct = len(set(present))
    if n_distinct > max(1, IDENTIFIER_SHARE * present.size):
        return f"text with another value in nearly every row ({n_distinct} in {present.size})"
    return None


def _make_encoder(columns: list[_Column]) -> ColumnTransformer:
    """Build what fills the gaps of numbers with their median and makes a feature of every category."""
    to_features = make_pipeline(
        SimpleImputer(missing_values=None, strategy="constant", fill_value="missing"),
        OneHotEncoder(
            handle_unknown="infrequent_if_exist",
            max_categories=MAX_CATEGORIES,
            sparse_output=False,
            feature_name_combiner=lambda name, value: f"{name}={'other' if value == 'infrequent_sklearn' else value}",
        ),
    )
    return ColumnTransformer(
        [
            (
                "numbers",
                SimpleImputer(strategy="median"),
                [i for i, column in enumerate(columns) if not column.is_text],
            ),
            ("text", to_features, [i for i, column in enumerate(columns) if column.is_text]),
        ]
    )


def _feature_names(columns: list[_Column], encoder: ColumnTransformer) -> list[str]:
    names = encoder.get_feature_names_out([column.name for column in columns])
    return distinct(name.partition("__")[2] for name in names)


def _describe_numbers(columns: list[_Column], encoder: ColumnTransformer) -> list[str]:
    """Say which gaps were filled, and with what."""
    numbers = [column for column in columns if not column.is_text]
    if not numbers:
        return []
    medians = encoder.named_transformers_["numbers"].statistics_
    return [
        f"{count(int(column.gaps.sum()), 'gap')} in {column.name} filled with the median, {median:g}"
        for column, median in zip(numbers, medians, strict=True)
        if column.gaps.any()
    ]


def _describe_text(columns: list[_Column], encoder: ColumnTransformer, test: NDArray) -> list[str]:
    """Say what the text columns became, and which of their values have no feature of their own."""
    texts = [column for column in columns if column.is_text]
    if not texts:
        return []
    one_hot = encoder.named_transformers_["text"][-1]
    sizes, notes = [], []
    for column, categories, rare in zip(texts, one_hot.categories_, one_hot.infrequent_categories_, strict=True):
        known, n_rare = set(categories), 0 if rare is None else len(rare)
        sizes.append(f"{column.name} ({len(categories) - max(0, n_rare - 1)})")
        if column.gaps.any() and "missing" in known:
            notes.append(f"{count(int(column.gaps.sum()), 'gap')} in {column.name} made a category, missing")
        if n_rare:
            notes.append(f"the {n_rare} rarest values of {column.name} share a feature, {column.name}=other")
        n_unknown = sum((value or "missing") not in known for value in column.values[test])
        if n_unknown:
            treatment = "counted as other" if n_rare else "given none of its features"
            notes.append(f"{count(n_unknown, 'test row')} with a {column.name} of no training row {treatment}")
    return [f"text one-hot encoded, a feature a value: {', '.join(sizes)}", *notes]
