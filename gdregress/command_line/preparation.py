"""Numbers made of a table: gaps filled, text one-hot encoded, all that is done to it said in notes."""

import math
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import OneHotEncoder

from gdregress.command_line.cells import UUID, Numbers, Reading, all_are
from gdregress.command_line.columns import Columns, Written, read
from gdregress.command_line.csv_tables import Table
from gdregress.command_line.decisions import decide, without_totals
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

MANY_ROWS = 10
"""Rows from which on it is no accident that a column counts them."""

MOSTLY_GAPS = 0.5
"""Share of gaps in a column of numbers above which it is said that their median says little."""

COINCIDENT = 0.999
"""Correlation, of either sign, above which two columns all but coincide."""

MOST_PAIRED = 200
"""Columns of numbers and dates up to which each is compared with each other."""

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
        numbers, texts = _names_by_kind(columns.readings)
        medians = encoder.named_transformers_["numbers"].statistics_ if numbers else []
        text = categories(texts, encoder)
        dates = {name: columns.readings[name].first for name in numbers if columns.readings[name].kind == "date"}
        return {
            "fills": {name: float(median) for name, median in zip(numbers, medians, strict=True)},
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

    Parameters
    ----------
    table : Table
        The file.
    target : str or None, default=None
        Name of the column to learn; None stands for the last.
    dropped : iterable of str
        Columns not to learn from; several may stand in one, separated by commas.
    kept : iterable of str
        Columns to learn from although they seem to name the rows; likewise.
    test_size : float or None, default=None
        Share of the rows to hold out at random, in (0, 1); None for none.

    Returns
    -------
    Dataset

    Raises
    ------
    TableError
        If there is no such column, it does not hold numbers, or nothing is left to learn from.
    """
    if len(table.columns) == 1:
        raise TableError(
            f"{table.name} has only one column, {shorten(table.columns[0])}: learning needs at least two, "
            "separated by a comma, semicolon, tab or |, or by what --sep says."
        )
    n_columns = len(table.columns)
    dropped, asked = table.find_all(dropped), table.find_all(kept)
    if both := [quote(name) for name in asked if name in dropped]:
        raise TableError(f"{few(both)} of {table.name} cannot be both dropped and kept: leave out --drop or --keep.")
    used = [name for name in table.columns if name not in dropped]
    is_last = target is None
    target = table.find(target) if target is not None else used[-1] if used else table.columns[-1]
    if target in dropped:
        raise TableError(f"{table.name} is left without {quote(target)}, its target: drop others.")
    table = without_totals(table)
    table = replace(table, frame=table.frame[used]) if dropped else table
    frame, readings, decisions = decide(table, target)
    y = _read_target(table, target, frame[target], readings[target])
    has_target = ~np.isnan(y)
    columns = Columns({name: reading for name, reading in readings.items() if name != target}, target)
    with warnings.catch_warnings(action="ignore"):  # the decisions say what it would warn of
        values = columns.transform(frame)
    if not has_target.all():
        values, y = values[has_target], y[has_target]
    train, test = _split(len(y), test_size)
    reasons, suspects = _judge(values, columns.readings, train, asked)
    columns.readings = {name: reading for name, reading in columns.readings.items() if name not in reasons}
    remarks = _describe_reasons(reasons)
    if not columns.readings:
        why = "; ".join([*decisions, *remarks]) or "all are dropped"
        raise TableError(
            f"{table.name} has no column to learn {shorten(target)} from, as {why}: "
            "add a column of numbers or of categories."
        )
    values = values[list(columns.readings)] if reasons else values
    training = values.iloc[train] if len(test) else values
    numbers = training[[name for name, reading in columns.readings.items() if reading.kind == "number"]]
    columns.ranges = dict(zip(numbers, zip(numbers.min().tolist(), numbers.max().tolist(), strict=True), strict=True))
    encoder = _fit_encoder(training, columns.readings)
    X = encoder.transform(training)
    return Dataset(
        name=table.name,
        n_rows=len(table.frame),
        n_columns=n_columns - 1,
        target=target,
        X=X,
        y=y[train],
        X_test=encoder.transform(values.iloc[test]) if len(test) else X[:0],
        y_test=y[test],
        preparation=Preparation(
            distinct(name.partition("__")[2] for name in encoder.get_feature_names_out()),
            [("columns", columns), ("features", encoder)],
            [*dropped, *reasons],
        ),
        notes=[
            *table.notes,
            *([f"the target is {shorten(target)}, the last column"] if is_last else []),
            *([f"dropped: {few(map(shorten, dropped))}"] if dropped else []),
            *_describe_rows(target, int((~has_target).sum()), len(y), len(test)),
            *decisions,
            *remarks,
            *suspects,
            *_describe_coincident(training, columns.readings),
            *_describe_fills(values, columns.readings, encoder),
            *_describe_text(values, columns.readings, encoder, test),
            *_describe_target(y[train]),
        ],
    )


def _read_target(table: Table, target: str, column: Any, reading: Reading) -> NDArray:
    """Return the numbers of the target, NaN where it has a gap."""
    if reading.kind == "number":
        y = read(column, reading)
        if np.isnan(y).all():
            raise TableError(
                f"{table.name} has no value of {shorten(target)} in any row: choose another column with --target."
            )
        return y
    cells = Written.of(table.texts([target])[target])
    is_other = np.isnan(Numbers().values(cells.present))
    names_classes = is_other.all() and not any(map(str.isdecimal, cells.characters))
    repair = (
        f"{CLASSIFIER} if it names classes"
        if names_classes
        else "make it a number, empty the cell to leave out its row"
    )
    remedy = f"{repair}, or choose another column with --target."
    row = cells.row_of(compress(cells.present, is_other if is_other.any() else ~is_other))
    raise TableError(
        f"{table.name}, line {table.line_of(row)}: {shorten(target)} is {quote(cells.texts[cells.codes[row]])}, "
        f"not a number, but it is the target: {remedy}"
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


def _describe_rows(target: str, n_dropped: int, n_kept: int, n_test: int) -> list[str]:
    """Say which rows are not learnt from."""
    notes = []
    if n_dropped:
        notes.append(f"{count(n_dropped, 'row')} without {shorten(target)} dropped")
    if n_test:
        notes.append(f"{n_test} of {count(n_kept, 'row')} held out at random for the test MSE")
    return notes


def _judge(
    values: Any, readings: dict[str, Reading], train: NDArray, asked: list[str]
) -> tuple[dict[str, str], list[str]]:
    """Return why columns are of no use, unless they are asked for, and what is to be said of suspect ones."""
    reasons: dict[str, str] = {}
    naming: list[str] = []
    counting: list[str] = []
    standing: list[str] = []
    constant: list[str] = []
    for name, series in values.items():
        reading, column = readings[name], series.to_numpy()
        present = column[train] if len(train) < len(column) else column
        n_rows = len(present)
        present = present[~_gaps(present)]
        if not present.size:
            reasons[name] = "no value in any row to learn from"
        elif name not in asked and (reason := _identity(name, reading, column, present)):
            reasons[name] = reason
            naming.append(shorten(name))
        elif len(present) == n_rows > 1 and (present == present[0]).all():
            constant.append(shorten(name))
        elif reading.kind == "number" and len(column) >= MANY_ROWS and (np.diff(column) == 1).all():
            counting.append(name)
        elif reading.kind == "number" and (note := _describe_stand_in(present)):
            standing.append(f"{shorten(name)} ({note})")
    counting = [shorten(name) for name in counting if name not in asked]
    remarks = {
        f"numbers far from all others are learnt from: {few(standing)}; empty such cells if they are gaps": standing,
        f"what seems to name the rows is learnt from with --keep: {few(naming)}": naming,
        f"{few(counting)}: goes up by one from row to row; if it only numbers the rows, use --drop": counting,
        f"the same in every row that is learnt from, and so without effect: {few(constant)}": constant,
    }
    return reasons, [remark for remark, names in remarks.items() if names]


def _describe_coincident(training: Any, readings: dict[str, Reading]) -> list[str]:
    """Say which columns of numbers or dates all but coincide, so that their coefficients cannot be told apart."""
    numbers, _ = _names_by_kind(readings)
    if not 1 < len(numbers) <= MOST_PAIRED or len(training) < MANY_ROWS:
        return []
    with np.errstate(all="ignore"):
        alike = np.triu(training[numbers].corr().abs().to_numpy() > COINCIDENT, 1)
    items = [f"{shorten(numbers[i])} and {shorten(numbers[j])}" for i, j in np.argwhere(alike)]
    return [f"columns that all but coincide, whose effects cancel: {few(items)}; --drop one of them"] if items else []


def _describe_reasons(reasons: dict[str, str]) -> list[str]:
    """Say which columns are left out, in a line for each kind of reason."""
    kinds: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        kinds.setdefault(reason.partition(" (")[0], []).append(f"{shorten(name)} left out: {reason}")
    return [few(items, "; ") for items in kinds.values()]


def _identity(name: str, reading: Reading, column: NDArray, present: NDArray) -> str | None:
    """Return why a column only names the rows, if it does."""
    if reading.kind == "text":
        if all_are(UUID, present[:20]) and all_are(UUID, present[20:]):
            return "uuids, which name things"
        n_distinct = len(set(present))
        if n_distinct > max(1, IDENTIFIER_SHARE * present.size):
            return f"text with another value in nearly every row ({n_distinct} in {present.size})"
    elif reading.kind == "number" and column.size > 2 and IDENTIFIER_NAME.fullmatch(name):
        is_whole = not np.isnan(column).any() and (column == np.floor(column)).all()
        if is_whole and np.unique(column).size == column.size:
            return "whole numbers that never repeat, which name the rows"
    return None


def _describe_stand_in(present: NDArray) -> str:
    """Say which number of nines, far from all others, is in several rows and may stand for a gap: 60 cells -999."""
    for extreme in (present.min(), present.max()):
        others = present[present != extreme]
        n_cells = len(present) - len(others)
        is_stand_in = n_cells > 1 and len(others) > 0 and STAND_IN.fullmatch(f"{extreme:.15g}")
        if is_stand_in and np.abs(others - extreme).min() > np.ptp(others):
            return f"{count(n_cells, 'cell')} {extreme:.15g}"
    return ""


def _gaps(values: NDArray) -> NDArray:
    import pandas as pd

    return pd.isna(values)


def _names_by_kind(readings: dict[str, Reading]) -> tuple[list[str], list[str]]:
    """Return the names of the columns of numbers, and of those of text."""
    texts = [name for name, reading in readings.items() if reading.kind == "text"]
    return [name for name, reading in readings.items() if reading.kind != "text"], texts


def _fit_encoder(values: Any, readings: dict[str, Reading]) -> ColumnTransformer:
    """Fit what fills the gaps of numbers with their median and makes a feature of every category."""
    numbers, texts = _names_by_kind(readings)
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


def categories(texts: list[str], encoder: ColumnTransformer) -> list[tuple[str, list[str], list[str]]]:
    """Return, for each column of text, its name, the values of the training rows, and those that share a feature."""
    if not texts:
        return []
    one_hot = encoder.named_transformers_["text"]

    def named(values: Any) -> list[str]:
        return [] if values is None else ["missing" if value is None else value for value in values]

    return [
        (name, named(known), named(rare))
        for name, known, rare in zip(texts, one_hot.categories_, one_hot.infrequent_categories_, strict=True)
    ]


def _describe_fills(values: Any, readings: dict[str, Reading], encoder: ColumnTransformer) -> list[str]:
    """Say which gaps were filled, and with what."""
    numbers, _ = _names_by_kind(readings)
    if not numbers:
        return []
    n_gaps = values[numbers].isna().sum().to_numpy()
    medians = encoder.named_transformers_["numbers"].statistics_
    sizes = sorted(zip(n_gaps.tolist(), numbers, medians, strict=True), key=lambda each: -each[0])
    filled = [f"{count(n, 'gap')} in {shorten(name)} filled with the median, {fill:g}" for n, name, fill in sizes if n]
    mostly = [shorten(name) for n, name, _ in sizes if n > MOSTLY_GAPS * len(values)]
    notes = [few(filled, "; ")] if filled else []
    if mostly:
        notes.append(f"the median is in most rows of {few(mostly)}: --drop leaves them out")
    return notes


def _describe_text(values: Any, readings: dict[str, Reading], encoder: ColumnTransformer, test: NDArray) -> list[str]:
    """Say what the text columns became, and which of their values have no feature of their own."""
    sizes, missing, shared, unknown, alike = [], [], [], [], []
    _, texts = _names_by_kind(readings)
    for name, known, rare in categories(texts, encoder):
        called = shorten(name)
        column = values[name].to_numpy()
        n_gaps = int(_gaps(column).sum())
        sizes.append(f"{called} ({len(known) - max(0, len(rare) - 1)})")
        if n_gaps and "missing" in known:
            missing.append(f"{count(n_gaps, 'gap')} in {called} made a category, missing")
        spellings: dict[str, list[str]] = {}
        for value in known:
            spellings.setdefault(value.casefold(), []).append(quote(value))
        alike += [f"{called} ({' and '.join(same)})" for same in spellings.values() if len(same) > 1]
        if rare:
            shared.append(
                f"the {len(rare)} rarest values of {called} share a feature, {called}=other: too few rows each"
            )
        unknown.append(describe_unknown(column[test], "test row", called, known, rare))
    notes = [few(missing, "; "), few(shared, "; "), few(filter(None, unknown), "; ")]
    if alike:
        notes.append(f"categories that differ in case alone: {few(alike)}; write them alike if they mean one")
    return [f"text one-hot encoded (number of features): {few(sizes)}", *filter(None, notes)] if sizes else []


def describe_unknown(column: NDArray, noun: str, name: str, known: list[str], rare: list[str]) -> str:
    """Say how many values of a column are none of the known ones, or nothing; a gap is the value missing."""
    names = set(known)
    n_unknown = sum((value or "missing") not in names for value in column)
    if not n_unknown:
        return ""
    counts, whose = ("it counts as other", "its") if n_unknown == 1 else ("they count as other", "their")
    treatment = counts if rare else f"{whose} features are all 0"
    verb = "has" if n_unknown == 1 else "have"
    return f"{count(n_unknown, noun)} {verb} a value of {name} that no training row has: {treatment}"
