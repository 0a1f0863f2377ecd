"""Numbers made of a table: gaps filled, text one-hot encoded, all that is done to it said in notes."""

import math
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import OneHotEncoder

from gdregress.command_line.columns import Columns, Written, read
from gdregress.command_line.csv_tables import Table
from gdregress.command_line.decisions import decide, describe
from gdregress.command_line.readings import Numbers, Reading
from gdregress.command_line.wording import TableError, distinct, few, quote, shorten
from gdregress.rows.wording import count

MAX_CATEGORIES = 30
"""Features that a text column may become whatever the number of rows; the rarest values share the last."""

ROWS_A_CATEGORY = 10
"""Rows for each further one, of all text columns together."""

IDENTIFIER_SHARE = 0.9
"""Distinct values per value above which a text column is an identifier or free text, of no use to a linear model."""

IDENTIFIER_NAME = re.compile(
    r"(?i:(.*[\s_.-])?(id|ids|uuid|guid|index|idx|row ?(id|names?|num|number|no|nr)?)|#|column \d+|unnamed: \d+)"
    r"|.*[a-z](Id|ID)"
)
"""Names under which whole numbers that never repeat only number the rows."""

STAND_IN = re.compile(r"-?999*")
"""Numbers that some write where a value is missing: 99, -999."""

CLASSIFIER = "take a classifier, such as scikit-learn's LogisticRegression,"
"""What is advised where a target names classes."""

FEW_CLASSES, MANY_A_CLASS = 3, 10
"""Different whole numbers of a target, and rows for each, up to and from which it is said that these may be classes."""

DENSE_LIMIT = 2**24
"""Largest number of entries, rows times features, that are kept with their zeros."""


@dataclass(frozen=True)
class Preparation:
    """What makes features of the columns.

    Attributes
    ----------
    features : list of str
        Names of the features, each different.
    steps : list of (str, transformer)
        The fitted steps of the pipeline before the model.
    left_out : list of str
        Names of the columns that are not used.
    """

    features: list[str]
    steps: list[tuple[str, Any]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return what fills the gaps and what the text became as plain values."""
        if not self.steps:
            return {}
        columns, encoder = (step for _, step in self.steps)
        text = categories(encoder)
        dates = {name: reading.first for name, reading in columns.readings.items() if reading.kind == "date"}
        return {
            "fills": medians(encoder),
            "days_since": dates,
            "categories": {name: known for name, known, _ in text},
            "other": {name: rare for name, _, rare in text if rare},
            "left_out": self.left_out,
        }


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
    X, X_test : {ndarray, sparse matrix} of shape (n_samples, n_features)
        Training rows and test rows; the latter may be none.
    y, y_test : ndarray of shape (n_samples,)
        Their targets.
    preparation : Preparation
        What makes `X` of the source.
    notes : list of str
        What was done to the source, a sentence each.
    """

    name: str
    n_rows: int
    n_columns: int
    target: str
    X: Any
    y: NDArray
    X_test: Any
    y_test: NDArray
    preparation: Preparation
    notes: list[str]


def prepare(
    table: Table,
    target: str | None = None,
    *,
    dropped: Iterable[str] = (),
    kept: Iterable[str] = (),
    test_size: float | None = None,
) -> Dataset:
    """Make numbers of a table: gaps filled, text one-hot encoded, both as the training rows say.

    The target is the last column if none is named. Columns that are `dropped`, or `kept` although they seem to name the
    rows, may stand in one text, separated by commas. `test_size` is the share of the rows that are held out at random.
    """
    dropped, asked = table.find_all(dropped), table.find_all(kept)
    target, notes = _choose_target(table, target, dropped, asked)
    used = [name for name in table.columns if name not in dropped]
    n_columns, table = len(table.columns) - 1, replace(table, frame=table.frame[used])
    signs, readings = decide(table, target)
    y = _read_target(table, target, signs.frame[target], readings[target])
    decisions = describe(table, signs, readings)
    readings = {name: reading for name, reading in readings.items() if name != target}
    with warnings.catch_warnings(action="ignore"):  # the decisions say what it would warn of
        values = Columns(readings, target).transform(signs.frame)[~np.isnan(y)]
    y = y[~np.isnan(y)]
    train, test = _split(len(y), test_size)
    training = values.iloc[train] if len(test) else values
    reasons, remarks = _judge(training, readings, asked)
    if n_dropped := len(table.frame) - len(y):
        notes.append(f"{count(n_dropped, 'row')} without {shorten(target)} dropped")
    if len(test):
        notes.append(f"{len(test)} of {count(len(y), 'row')} held out at random for the test MSE")
    if len(reasons) == len(readings):
        why = "; ".join([*decisions, *remarks]) or "all are dropped"
        raise TableError(
            f"{table.name} has no column to learn {shorten(target)} from, as {why}: "
            "add a column of numbers or of categories."
        )
    training = training.drop(columns=list(reasons))
    readings = {name: readings[name] for name in training}
    numbers = training[[name for name in training if readings[name].kind == "number"]]
    ranges = dict(zip(numbers, zip(numbers.min().tolist(), numbers.max().tolist(), strict=True), strict=True))
    encoder = _fit_encoder(training, readings)
    X = encoder.transform(training)
    return Dataset(
        name=table.name,
        n_rows=len(table.frame),
        n_columns=n_columns,
        target=target,
        X=X,
        y=y[train],
        X_test=encoder.transform(values.iloc[test]) if len(test) else X[:0],
        y_test=y[test],
        preparation=Preparation(
            distinct(name.partition("__")[2] for name in encoder.get_feature_names_out()),
            [("columns", Columns(readings, target, ranges)), ("features", encoder)],
            [*dropped, *reasons],
        ),
        notes=[
            *table.notes,
            *notes,
            *decisions,
            *remarks,
            *_describe_fills(values, encoder),
            *_describe_text(values, encoder, test),
            *_describe_target(y[train]),
        ],
    )


def _choose_target(table: Table, target: str | None, dropped: list[str], asked: list[str]) -> tuple[str, list[str]]:
    """Return the target, and what is to be said of it and of the columns that are dropped; or refuse the choice."""
    if len(table.columns) == 1:
        raise TableError(
            f"{table.name} has only one column, {shorten(table.columns[0])}: learning needs at least two, "
            "separated by a comma, semicolon, tab or |, or by what --sep says."
        )
    if both := [quote(name) for name in asked if name in dropped]:
        raise TableError(f"{few(both)} of {table.name} cannot be both dropped and kept: leave out --drop or --keep.")
    notes = [f"dropped: {few(map(shorten, dropped))}"] if dropped else []
    if target is None:
        target = ([name for name in table.columns if name not in dropped] or table.columns)[-1]
        notes.insert(0, f"the target is {shorten(target)}, the last column")
    if table.find(target) in dropped:
        raise TableError(f"{table.name} is left without {quote(target)}, its target: drop others.")
    return target, notes


def _read_target(table: Table, target: str, column: Any, reading: Reading) -> NDArray:
    """Return the numbers of the target, NaN where it has a gap."""
    if reading.kind == "number":
        y = read(column, reading)
        if np.isnan(y).all():
            raise TableError(
                f"{table.name} has no value of {shorten(target)} in any row: choose another column with --target."
            )
        return y
    cells = Written.of(column)
    is_other = np.isnan(Numbers().values(cells.present))
    names_classes = is_other.all() and not any(map(str.isdecimal, cells.characters))
    repair = f"{CLASSIFIER} if it names classes"
    if not names_classes:
        repair = "make it a number, empty the cell to leave out its row"
    text = cells.present[int((is_other if is_other.any() else ~is_other).argmax())]
    row = cells.row_of(text)
    repair += "" if row else ", say by --skip how many lines stand above the heading"
    raise TableError(
        f"{table.name}, line {table.line_of(row)}: {shorten(target)} is {quote(text)}, "
        f"not a number, but it is the target: {repair}, or choose another column with --target."
    )


def _describe_target(y: NDArray) -> list[str]:
    """Say that a target is constant, or that its numbers may be classes."""
    values = np.unique(y)
    if len(values) == 1:
        return [f"the target is {y[0]:g} in every row that is learnt from"]
    if len(values) > FEW_CLASSES or len(y) < MANY_A_CLASS * len(values) or (values % 1 != 0).any():
        return []
    numbers = [f"{value:g}" for value in values]
    return [f"the target is {', '.join(numbers[:-1])} or {numbers[-1]} in every row: {CLASSIFIER} if these are classes"]


def _split(n_rows: int, test_size: float | None) -> tuple[NDArray, NDArray]:
    """Give the places of the training rows and of the test rows."""
    rows = np.arange(n_rows)
    if test_size is None:
        return rows, rows[:0]
    if math.ceil(test_size * n_rows) == n_rows:
        raise TableError(f"a test size of {test_size:g} leaves none of {count(n_rows, 'row')} to learn from: lower it.")
    train, test = train_test_split(rows, test_size=test_size, random_state=0)
    return train, test


def _judge(training: Any, readings: dict[str, Reading], asked: list[str]) -> tuple[dict[str, str], list[str]]:
    """Return why columns are of no use, unless they are asked for, and what is to be said of them and of others."""
    reasons: dict[str, str] = {}
    naming, standing, constant = [], [], []
    for name, series in training.items():
        present = series.dropna().to_numpy()
        if not present.size:
            reasons[name] = "no value in any row to learn from"
        elif name not in asked and (reason := _identity(name, readings[name], present, len(series))):
            reasons[name] = reason
            naming.append(shorten(name))
        elif len(present) == len(series) > 1 and (present == present[0]).all():
            constant.append(shorten(name))
        elif readings[name].kind == "number" and (note := _describe_stand_in(present)):
            standing.append(f"{shorten(name)} ({note})")
    kinds: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        kinds.setdefault(reason.partition(" (")[0], []).append(f"{shorten(name)} left out: {reason}")
    remarks = {
        f"numbers far from all others are learnt from: {few(standing)}; empty such cells if they are gaps": standing,
        f"what seems to name the rows is learnt from with --keep: {few(naming)}": naming,
        f"the same in every row that is learnt from, and so without effect: {few(constant)}": constant,
    }
    return reasons, [few(items, "; ") for items in kinds.values()] + [remark for remark in remarks if remarks[remark]]


def _identity(name: str, reading: Reading, present: NDArray, n_rows: int) -> str:
    """Return why a column only names the rows, if it does."""
    n_distinct = len(set(present)) if reading.kind == "text" or IDENTIFIER_NAME.fullmatch(name) else 0
    if reading.kind == "text" and n_distinct > max(1, IDENTIFIER_SHARE * present.size):
        return f"text with another value in nearly every row ({n_distinct} in {present.size})"
    if reading.kind == "number" and n_distinct == n_rows > 2 and (present == np.floor(present)).all():
        return "whole numbers that never repeat, which name the rows"
    return ""


def _describe_stand_in(present: NDArray) -> str:
    """Say which number of nines, far from all others, is in several rows and may stand for a gap: 60 cells -999."""
    for extreme in (present.min(), present.max()):
        others = present[present != extreme]
        n_cells = len(present) - len(others)
        is_stand_in = n_cells > 1 and len(others) > 0 and STAND_IN.fullmatch(f"{extreme:.15g}")
        if is_stand_in and np.abs(others - extreme).min() > np.ptp(others):
            return f"{count(n_cells, 'cell')} {extreme:.15g}"
    return ""


def _fit_encoder(values: Any, readings: dict[str, Reading]) -> ColumnTransformer:
    """Fit what fills the gaps of numbers with their median and makes a feature of every category."""
    texts = [name for name, reading in readings.items() if reading.kind == "text"]
    numbers = [name for name, reading in readings.items() if reading.kind != "text"]
    limit = max(MAX_CATEGORIES, len(values) // (ROWS_A_CATEGORY * max(1, len(texts))))
    n_features = len(numbers) + sum(min(limit, values[name].nunique(dropna=False)) for name in texts)
    is_sparse = bool(texts) and len(values) * n_features > DENSE_LIMIT
    encoder = OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        max_categories=limit,
        sparse_output=is_sparse,
        feature_name_combiner=name_feature,
    )
    return ColumnTransformer(
        [("numbers", SimpleImputer(strategy="median"), numbers), ("text", encoder, texts)],
        sparse_threshold=float(is_sparse),
    ).fit(values)


def name_feature(column: str, value: str | None) -> str:
    """Return the name of the feature of a category; None is that of the gaps."""
    return f"{column}={'missing' if value is None else 'other' if value == 'infrequent_sklearn' else value}"


def medians(encoder: ColumnTransformer) -> dict[str, float]:
    """Return what fills the gaps of each column of numbers."""
    _, imputer, names = encoder.transformers_[0]
    return dict(zip(names, imputer.statistics_.tolist(), strict=True)) if names else {}


def categories(encoder: ColumnTransformer) -> list[tuple[str, list[str], list[str]]]:
    """Return, for each column of text, its name, the values of the training rows, and those that share a feature."""
    _, one_hot, names = encoder.transformers_[1]
    if not names:
        return []

    def named(values: Any) -> list[str]:
        return [] if values is None else ["missing" if value is None else value for value in values]

    return [
        (name, named(known), named(rare))
        for name, known, rare in zip(names, one_hot.categories_, one_hot.infrequent_categories_, strict=True)
    ]


def _describe_fills(values: Any, encoder: ColumnTransformer) -> list[str]:
    """Say which gaps were filled, and with what."""
    fills = medians(encoder)
    sizes = sorted(values[list(fills)].isna().sum().items(), key=lambda each: -each[1])
    filled = [f"{count(n, 'gap')} in {shorten(name)} filled with the median, {fills[name]:g}" for name, n in sizes if n]
    return [few(filled, "; ")] if filled else []


def _describe_text(values: Any, encoder: ColumnTransformer, test: NDArray) -> list[str]:
    """Say what the text columns became, and which of their values have no feature of their own."""
    sizes, missing, shared, unknown = [], [], [], []
    for name, known, rare in categories(encoder):
        called, column = shorten(name), values[name]
        n_gaps = int(column.isna().sum())
        sizes.append(f"{called} ({len(known) - max(0, len(rare) - 1)})")
        if n_gaps and "missing" in known:
            missing.append(f"{count(n_gaps, 'gap')} in {called} made a category, missing")
        if rare:
            shared.append(
                f"the {len(rare)} rarest values of {called} share a feature, {called}=other: too few rows each"
            )
        unknown.append(describe_unknown(column.iloc[test], "test row", called, known, rare))
    notes = [few(missing, "; "), few(shared, "; "), few(filter(None, unknown), "; ")]
    return [f"text one-hot encoded (number of features): {few(sizes)}", *filter(None, notes)] if sizes else []


def describe_unknown(column: Any, noun: str, name: str, known: list[str], rare: list[str]) -> str:
    """Say in how many rows a column has none of the known values, or nothing; a gap is the value missing."""
    names = set(known)
    n_unknown = sum((value or "missing") not in names for value in column)
    treatment = "counted as other" if rare else "its features are all 0"
    return f"{name} has a value that no training row has in {count(n_unknown, noun)}: {treatment}" if n_unknown else ""
