"""A model saved, and the rows of another file predicted with it."""

import warnings
from dataclasses import replace
from typing import Any, cast

import joblib
import numpy as np
from sklearn.pipeline import Pipeline

from gdregress.command_line.cells import SWAPPED, Dates, Numbers, Reading
from gdregress.command_line.columns import Columns, read, unread
from gdregress.command_line.csv_tables import Dialect, Table, read_table
from gdregress.command_line.decisions import Signs, with_text
from gdregress.command_line.preparation import Preparation, categories, describe_unknown
from gdregress.command_line.wording import TableError, distinct, few, nearest, quote, shorten
from gdregress.regressor import GradientDescentRegressor
from gdregress.rows.wording import count


def save(path: str, preparation: Preparation, model: GradientDescentRegressor) -> None:
    """Write the pipeline of a fit.

    Parameters
    ----------
    path : str
        The file.
    preparation : Preparation
        The fitted steps before the model.
    model : GradientDescentRegressor
        The fitted model.
    """
    try:
        joblib.dump(Pipeline([*preparation.steps, ("model", model)]), path)
    except (OSError, ValueError) as error:
        raise TableError(f"{path!r} cannot be written ({_reason(error)}): give --save another path.") from error


def load(path: str) -> Pipeline:
    """Read a pipeline that `save` has written.

    Parameters
    ----------
    path : str
        The file.
    """
    try:
        with open(path, "rb") as file:
            pipeline = _unpickle(path, file)
    except TableError:
        raise
    except (OSError, ValueError) as error:
        raise TableError(f"{path!r} cannot be read ({_reason(error)}): give what --save wrote.") from error
    steps = getattr(pipeline, "named_steps", {})
    if list(steps) != ["columns", "features", "model"] or not hasattr(steps["columns"], "ranges"):
        raise TableError(f"{path!r} holds no pipeline of gdregress --save: give what it wrote.")
    return pipeline


def _unpickle(path: str, file: Any) -> Any:
    try:
        return joblib.load(file)
    except Exception as error:  # a file that is no pickle raises nearly anything
        raise TableError(f"{path!r} is no model ({type(error).__name__}): give what --save wrote.") from error


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or " ".join(str(error).split())


def predict(pipeline: Pipeline, path: str, dialect: Dialect, kept: list[str]) -> tuple[str, list[str]]:
    """Predict the rows of a file, whose numbers may be written in another way than those of the learnt one.

    Parameters
    ----------
    pipeline : Pipeline
        What `load` gives.
    path : str
        The file.
    dialect : Dialect
        What is known of it.
    kept : list of str
        Columns of the file to print before the predictions; several may stand in one, separated by commas.

    Returns
    -------
    str
        A CSV file with a prediction for each row, under the name of the target.
    list of str
        What is to be said of the rows.
    """
    columns, encoder, model = pipeline.named_steps.values()
    known = columns.readings
    table = read_table(path, dialect, texts=[name for name, reading in known.items() if reading.kind != "number"])
    kept = table.find_all(kept)
    lacking = [name for name in known if name not in table.columns]
    if lacking:
        others = [name for name in table.columns if name not in known]
        hints = [(quote(name), nearest(name, others, 1)) for name in lacking]
        raise TableError(
            f"{table.name} cannot be predicted: {count(len(lacking), 'column')} lacking that the model has learnt "
            f"from: {few(f'{name} (it has {near})' if near else name for name, near in hints)}."
        )
    notes = list(table.notes)
    others = [name for name in table.columns if name not in known and name not in (columns.target, *kept)]
    if [name for name in table.columns if name in known] != list(known):
        notes.append("the columns are in another order than the model's: they were taken by name")
    if others:
        notes.append(f"not used, as the model has not learnt from them: {few(map(shorten, others))}")
    table = replace(table, frame=table.frame[list(known)])
    frame, readings, differing = _as_the_file_writes(known, table)
    swapped = _in_other_order(frame, readings, table.day_first)
    readings |= swapped
    notes += differing
    notes += [f"{name}: dates read as {dates.written}, unlike those learnt from" for name, dates in swapped.items()]
    with warnings.catch_warnings(action="ignore"):  # the notes say what it would warn of
        values = Columns(readings, columns.target, columns.ranges).transform(frame)
    notes += _describe_gaps(table.name, frame, values, readings)
    notes += _describe_far(values, columns.ranges)
    notes += _describe_unknown(values, readings, encoder)
    rows = table.texts(kept) if kept else table.frame[[]]
    target = f"predicted {columns.target}" if columns.target in kept else columns.target
    target = distinct([*kept, target])[-1]
    rows = rows.assign(**{target: model.predict(encoder.transform(values))})
    return rows.to_csv(index=False, lineterminator="\n"), notes


def _as_the_file_writes(known: dict[str, Reading], table: Table) -> tuple[Any, dict[str, Reading], list[str]]:
    """Return the rows, the readings with the decimal signs of the file, and what differs from the rows learnt from.

    A column whose cells are numbers with one sign only has that sign. Any other has the sign that it was learnt with,
    unless all that show theirs have changed it. Where none shows one, and what separates the fields speaks for another
    than the learnt one, it has to be said.
    """
    ways = {way.decimal: way for way in table.ways}
    numbers: dict[str, Any] = {name: reading for name, reading in known.items() if reading.kind == "number"}
    table = replace(table, frame=with_text(table))
    signs = Signs.of(replace(table, frame=table.frame[list(numbers)]))
    likely = "," if table.separator == ";" else "."
    for name in signs.doubtful if not signs.sure else ():
        if numbers[name].decimal != likely:
            raise TableError(f"{table.name} {signs.question(name)}")
    changed = {name: sign for name, sign in signs.sure.items() if sign != numbers[name].decimal}
    new = set(changed.values()) if len(changed) == len(signs.sure) else set()

    def way(name: str) -> Numbers:
        sign = signs.sure.get(name, next(iter(new)) if len(new) == 1 else numbers[name].decimal)
        return ways.get(sign, next(iter(ways.values())))

    readings = known | {name: replace(way(name), unit=reading.unit) for name, reading in numbers.items()}
    bare = [
        f"{shorten(name)} ({quote(reading.unit)})"
        for name, reading in numbers.items()
        if reading.unit and not (name in signs.written and set(reading.unit) <= signs.written[name].characters)
    ]
    notes = [f"units lack where the model has learnt with them: {few(bare)}"] if bare else []
    if changed and len(ways) > 1:
        items = [f"{shorten(name)} ({sign!r})" for name, sign in changed.items()]
        notes.append(f"the decimal sign is another than in the rows learnt from, as the cells show: {few(items)}")
    return table.frame.assign(**{name: signs.frame[name] for name in numbers}), readings, notes


def _in_other_order(frame: Any, readings: dict[str, Reading], day_first: bool | None) -> dict[str, Dates]:
    """Return the dates whose days and months stand in the other order than in those learnt from.

    The order is what the user says, and else that in which more of the cells are dates.
    """
    swapped, dates = {}, {name: cast(Dates, reading) for name, reading in readings.items() if reading.kind == "date"}
    for name, reading in dates.items():
        if reading.written in SWAPPED:
            other = reading.swapped()
            n_here, n_there = (unread(frame[name], read(frame[name], way))[0] for way in (reading, other))
            is_said = day_first is not None and day_first == (other.written == "day/month/year")
            if is_said or (day_first is None and n_there < n_here):
                swapped[name] = other
    return swapped


def _describe_gaps(source: str, frame: Any, values: Any, readings: dict[str, Reading]) -> list[str]:
    """Say which gaps were filled, and which cells could not be read; refuse a column of which none could be."""
    gaps, strays = [], []
    for name, reading in readings.items():
        column = values[name].to_numpy()
        if reading.kind == "text" or not np.isnan(column).any():
            continue
        n_strays, text = unread(frame[name], column)
        if n_strays and np.isnan(column).all():
            remedy = "write dates as 2024-12-31" if reading.kind == "date" else "write numbers, or empty its cells"
            if reading.kind == "number" and any(np.isfinite(way.values([text])).any() for way in Dialect().ways):
                remedy = "leave out --decimal and --thousands, which count for all columns"
            raise TableError(f"{source} has no {reading.kind} in {shorten(name)} but {quote(text)}: {remedy}.")
        if n_strays:
            strays.append(f"{shorten(name)} ({n_strays}, such as {quote(text)})")
        if n_gaps := int(np.isnan(column).sum()) - n_strays:
            gaps.append(f"{shorten(name)} ({n_gaps})")
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


def _describe_unknown(values: Any, readings: dict[str, Reading], encoder: Any) -> list[str]:
    """Say which categories no training row had."""
    texts = [name for name, reading in readings.items() if reading.kind == "text"]
    items = [
        describe_unknown(values[name].to_numpy(), "row", shorten(name), known, rare)
        for name, known, rare in categories(texts, encoder)
    ]
    return [few(filter(None, items), "; ")] if any(items) else []
