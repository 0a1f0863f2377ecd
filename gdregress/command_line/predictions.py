"""A model saved, and the rows of another file predicted with it."""

import csv
import io
from dataclasses import replace
from typing import Any

import joblib
import numpy as np
from sklearn.pipeline import Pipeline

from gdregress.command_line.cells import Numbers, Reading
from gdregress.command_line.columns import Columns, Written
from gdregress.command_line.csv_tables import Dialect, Table, TableError, few, quote, read_table, shorten
from gdregress.command_line.decisions import Convention
from gdregress.command_line.preparation import Preparation, categories, describe_unknown
from gdregress.regressor import GradientDescentRegressor


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
        raise TableError(f"{quote(path)} cannot be written ({_reason(error)}): give --save another path.") from error


def load(path: str) -> Pipeline:
    """Read a pipeline that `save` has written.

    Parameters
    ----------
    path : str
        The file.
    """
    try:
        pipeline = joblib.load(path)
    except (OSError, ValueError) as error:
        raise TableError(f"{quote(path)} cannot be read ({_reason(error)}): give what --save wrote.") from error
    except Exception as error:  # a file that is no pickle raises nearly anything
        raise TableError(f"{quote(path)} is no model ({type(error).__name__}): give what --save wrote.") from error
    steps = getattr(pipeline, "named_steps", {})
    if list(steps) != ["columns", "features", "model"] or not hasattr(steps["columns"], "readings"):
        raise TableError(f"{quote(path)} holds no pipeline of gdregress --save: give what it wrote.")
    return pipeline


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or " ".join(str(error).split())


def predict(pipeline: Pipeline, path: str, dialect: Dialect, convention: Convention) -> tuple[str, list[str]]:
    """Predict the rows of a file, whose numbers may be written in another way than those of the learnt one.

    Parameters
    ----------
    pipeline : Pipeline
        What `load` gives.
    path : str
        The file.
    dialect : Dialect
        What is known of it.
    convention : Convention
        How its numbers are written, as far as that is known.

    Returns
    -------
    str
        A CSV file with a prediction for each row, under the name of the target.
    list of str
        What is to be said of the rows.
    """
    columns, encoder, model = pipeline.named_steps.values()
    table = read_table(path, dialect, as_text=True)
    try:
        columns.transform(table.frame.iloc[:0])
    except ValueError as error:
        raise TableError(f"{table.name} cannot be predicted: {error}") from error
    notes = list(table.notes)
    known = list(columns.readings)
    columns = Columns(_as_the_file_writes(columns.readings, table, convention), columns.target)
    values = columns.transform(table.frame)
    others = [name for name in table.columns if name not in columns.readings and name != columns.target]
    if [name for name in table.columns if name in columns.readings] != known:
        notes.append("the columns are in another order than the model's: they were taken by name")
    if others:
        notes.append(f"not used, as the model has not learnt from them: {few(map(shorten, others))}")
    notes += _describe_gaps(table, values, columns.readings)
    notes += _describe_unknown(values, columns.readings, encoder)
    predicted = model.predict(encoder.transform(values))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([columns.target])
    writer.writerows([repr(float(value))] for value in predicted)
    return file.getvalue(), notes


def _as_the_file_writes(readings: dict[str, Reading], table: Table, convention: Convention) -> dict[str, Reading]:
    """Return the readings with the decimal sign of the file."""
    ways = {way.decimal: way for way in convention.candidates}
    numbers: dict[str, Any] = {name: reading for name, reading in readings.items() if reading.kind == "number"}
    sign = next(iter(ways)) if len(ways) == 1 else _decimal_sign(numbers, table, ways)
    return readings | {name: replace(ways[sign], percent=reading.percent) for name, reading in numbers.items()}


def _decimal_sign(numbers: dict[str, Any], table: Table, ways: dict[str, Numbers]) -> str:
    """Return the decimal sign of a file.

    Cells that are numbers with one sign only decide. Where there are none, but cells that are numbers with either, the
    sign is the model's, unless what separates the fields speaks for the other: then it has to be said.
    """
    sure: set[str] = set()
    doubtful = []
    for name, reading in numbers.items():
        for text in Written.of(table.frame[name]).present:
            if set(".,") & set(text):
                fits = [sign for sign in ways if np.isfinite(replace(ways[sign], percent=reading.percent).value(text))]
                if len(fits) == 1:
                    sure.update(fits)
                elif fits:
                    doubtful.append(text)
    likely = "," if table.source.separator == ";" else "."
    learnt = next((reading.decimal for reading in numbers.values()), likely)
    if doubtful and not sure and likely != learnt:
        raise TableError(
            f"{table.name} has {quote(doubtful[0])}, whose sign may be decimal or of thousands: say which by --decimal."
        )
    return sure.pop() if len(sure) == 1 else learnt


def _describe_gaps(table: Table, values: Any, readings: dict[str, Reading]) -> list[str]:
    """Say which gaps were filled, and which cells could not be read; refuse a column of which none could be."""
    gaps, strays = [], []
    for name, reading in readings.items():
        if reading.kind != "text":
            written = Written.of(table.frame[name])
            is_stray = np.append(~written.is_gap, False)[written.codes] & np.isnan(values[name].to_numpy())
            n_gaps = int(values[name].isna().sum() - is_stray.sum())
            if n_gaps:
                gaps.append(f"{shorten(name)} ({n_gaps})")
            if is_stray.any():
                text = written.texts[written.codes[is_stray.argmax()]]
                if values[name].isna().all():
                    raise TableError(
                        f"{table.name} has no {reading.kind} in {shorten(name)} but {quote(text)}: correct it."
                    )
                strays.append(f"{shorten(name)} ({int(is_stray.sum())}, such as {quote(text)})")
    notes = [f"gaps filled with the medians of the training rows: {few(gaps)}"] if gaps else []
    if strays:
        notes.append(f"cells that are neither numbers nor dates filled with the medians: {few(strays)}")
    return notes


def _describe_unknown(values: Any, readings: dict[str, Reading], encoder: Any) -> list[str]:
    """Say which categories no training row had."""
    items = []
    for name, known, rare in categories(
        [name for name, reading in readings.items() if reading.kind == "text"], encoder
    ):
        items.append(describe_unknown(values[name].to_numpy(), "row", shorten(name), known, rare))
    return [few(filter(None, items), "; ")] if any(items) else []
