"""A model saved, and the rows of another file predicted with it."""

import warnings
from dataclasses import replace
from typing import Any

import joblib
import numpy as np
from sklearn.pipeline import Pipeline

from gdregress.command_line.columns import Columns, Written, unread
from gdregress.command_line.csv_tables import Dialect, Table, read_table
from gdregress.command_line.decisions import Signs, decide_numbers
from gdregress.command_line.preparation import Preparation, categories, describe_unknown
from gdregress.command_line.readings import as_dates, order_of
from gdregress.command_line.wording import TableError, distinct, few, nearest, quote, shorten
from gdregress.regressor import GradientDescentRegressor
from gdregress.rows.wording import count


def save(path: str, preparation: Preparation, model: GradientDescentRegressor) -> None:
    """Write the pipeline of a fit."""
    try:
        joblib.dump(Pipeline([*preparation.steps, ("model", model)]), path)
    except (OSError, ValueError) as error:
        raise TableError(f"{path!r} cannot be written ({_reason(error)}): give --save another path.") from error


def load(path: str) -> Pipeline:
    """Read a pipeline that `save` has written."""
    try:
        with open(path, "rb") as file:
            pipeline = joblib.load(file)
    except Exception as error:  # a file that is no pickle raises nearly anything
        raise TableError(f"{path!r} cannot be read as a model ({_reason(error)}): give what --save wrote.") from error
    steps = getattr(pipeline, "named_steps", {})
    if list(steps) != ["columns", "features", "model"] or not hasattr(steps["columns"], "ranges"):
        raise TableError(f"{path!r} holds no pipeline of gdregress --save: give what it wrote.")
    return pipeline


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__


def predict(pipeline: Pipeline, path: str, dialect: Dialect, kept: list[str]) -> tuple[str, list[str]]:
    """Return a CSV file with the columns of a file that are kept and a prediction for each row, and what is to be said.

    Numbers and dates of the file may be written in another way than those that were learnt from.
    """
    columns, encoder, model = pipeline.named_steps.values()
    known = columns.readings
    table = read_table(path, dialect, texts=[name for name, reading in known.items() if reading.kind != "number"])
    kept = table.find_all(kept)
    others = [name for name in table.columns if name not in known]
    if lacking := [name for name in known if name not in table.columns]:
        hints = [(quote(name), nearest(name, others, 1)) for name in lacking]
        raise TableError(
            f"{table.name} cannot be predicted: {count(len(lacking), 'column')} lacking that the model has learnt "
            f"from: {few(f'{name} (it has {near})' if near else name for name, near in hints)}."
        )
    notes = list(table.notes)
    if [name for name in table.columns if name in known] != list(known):
        notes.append("the columns are in another order than the model's: they were taken by name")
    if unused := [shorten(name) for name in others if name not in (columns.target, *kept)]:
        notes.append(f"not used, as the model has not learnt from them: {few(unused)}")
    frame, readings, differing = _as_the_file_writes(known, table)
    with warnings.catch_warnings(action="ignore"):  # the notes say what it would warn of
        values = Columns(readings, columns.target).transform(frame)
    unknown = [
        describe_unknown(values[name], "row", shorten(name), values_known, rare)
        for name, values_known, rare in categories(encoder)
    ]
    notes += [*differing, *_describe_gaps(table.name, frame, values, readings), *_describe_far(values, columns.ranges)]
    notes += [few(filter(None, unknown), "; ")] if any(unknown) else []
    target = f"predicted {columns.target}" if columns.target in kept else columns.target
    rows = table.texts(kept) if kept else table.frame[[]]
    rows = rows.assign(**{distinct([*kept, target])[-1]: model.predict(encoder.transform(values))})
    return rows.to_csv(index=False, lineterminator="\n"), notes


def _as_the_file_writes(known: dict[str, Any], table: Table) -> tuple[Any, dict[str, Any], list[str]]:
    """Return the rows, the readings with the signs and the order of days of the file, and what differs from learning.

    The order of day and month is what the user says, and else what was learnt, if that fits.
    """
    numbers = {name: reading for name, reading in known.items() if reading.kind == "number"}
    table_of_numbers = replace(table, frame=table.frame[list(numbers)])
    signs = Signs.of(table_of_numbers, numbers, {name: reading.unit for name, reading in numbers.items()})
    readings = decide_numbers(table, signs, numbers)
    changed = [f"{shorten(name)} ({new!r})" for name, new in signs.sure.items() if new != numbers[name].decimal]
    bare = [
        f"{shorten(name)} ({quote(reading.unit)})"
        for name, reading in numbers.items()
        if reading.unit and not (name in signs.cells and set(reading.unit) <= signs.cells[name].characters)
    ]
    notes = [f"units lack where the model has learnt with them: {few(bare)}"] if bare else []
    if changed and len(table.ways) > 1:
        notes.append(f"the decimal sign is another than in the rows learnt from, as the cells show: {few(changed)}")
    for name, reading in known.items():
        if reading.kind == "date" and (order := order_of(reading.format)):
            day_first = order == "%d" if table.dialect.day_first is None else table.dialect.day_first
            dates = as_dates(Written.of(table.frame[name]).present, day_first=day_first)
            if dates is not None and order_of(dates.format) not in ("", order):
                readings[name] = reading.swapped()
                notes.append(f"{name}: dates read as {readings[name].written}, unlike those learnt from")
    frame = table.frame[list(known)].assign(**{name: signs.frame[name] for name in signs.frame})
    return frame, known | readings, notes


def _describe_gaps(source: str, frame: Any, values: Any, readings: dict[str, Any]) -> list[str]:
    """Say which gaps were filled, and which cells could not be read; refuse a column of which none could be."""
    gaps, strays = [], []
    for name, n_empty in values.isna().sum().items():
        if readings[name].kind == "text" or not n_empty:
            continue
        n_strays, text = unread(frame[name], values[name].to_numpy())
        if n_strays and n_empty == len(values):
            kind = readings[name].kind
            remedy = "write numbers, or leave out --decimal and --thousands, which count for all columns"
            remedy = "write dates as 2024-12-31" if kind == "date" else remedy
            raise TableError(f"{source} has no {kind} in {shorten(name)} but {quote(text)}: {remedy}.")
        strays += [f"{shorten(name)} ({n_strays}, such as {quote(text)})"] if n_strays else []
        gaps += [f"{shorten(name)} ({n_empty - n_strays})"] if n_empty > n_strays else []
    notes = [f"gaps filled with the medians of the training rows: {few(gaps)}"] if gaps else []
    if strays:
        notes.append(f"cells that are neither numbers nor dates filled with the medians: {few(strays)}")
    return notes


def _describe_far(values: Any, ranges: dict[str, tuple[float, float]]) -> list[str]:
    """Say which numbers are farther from those learnt from than these are from each other."""
    items = []
    for name, (low, high) in ranges.items():
        column = values[name].to_numpy()
        beyond = np.maximum(low - column, column - high)
        n_cells = int((beyond > high - low).sum()) if high > low else 0  # of equal numbers nothing was learnt
        if n_cells:
            far = column[np.nanargmax(beyond)]
            cells = f"{shorten(name)}: {count(n_cells, 'cell')} far outside what the model has learnt from"
            items.append(f"{cells} ({far:.6g}; {low:.6g} to {high:.6g})")
    return [few(items, "; ")] if items else []
