"""A model saved, and the rows of another file predicted with it."""

import csv
import io
from typing import Any

import joblib
import numpy as np
from sklearn.pipeline import Pipeline

from gdregress.command_line.cells import Reading
from gdregress.command_line.columns import Written
from gdregress.command_line.csv_tables import Dialect, TableError, few, quote, read_table, shorten
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


def predict(pipeline: Pipeline, path: str, dialect: Dialect) -> tuple[str, list[str]]:
    """Predict the rows of a file.

    Parameters
    ----------
    pipeline : Pipeline
        What `load` gives.
    path : str
        The file.
    dialect : Dialect
        What is known of it.

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
        values = columns.transform(table.frame)
    except ValueError as error:
        raise TableError(f"{table.name} cannot be predicted: {error}") from error
    notes = list(table.notes)
    known = list(columns.readings)
    others = [name for name in table.columns if name not in columns.readings and name != columns.target]
    if [name for name in table.columns if name in columns.readings] != known:
        notes.append("the columns are in another order than the model's: they were taken by name")
    if others:
        notes.append(f"not used, as the model has not learnt from them: {few(map(shorten, others))}")
    notes += _describe_gaps(table.frame, values, columns.readings)
    notes += _describe_unknown(values, columns.readings, encoder)
    predicted = model.predict(encoder.transform(values))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([columns.target])
    writer.writerows([repr(float(value))] for value in predicted)
    return file.getvalue(), notes


def _describe_gaps(frame: Any, values: Any, readings: dict[str, Reading]) -> list[str]:
    """Say which gaps were filled, and which cells could not be read."""
    gaps, strays = [], []
    for name, reading in readings.items():
        if reading.kind != "text":
            written = Written.of(frame[name])
            is_stray = np.append(~written.is_gap, False)[written.codes] & np.isnan(values[name].to_numpy())
            n_gaps = int(values[name].isna().sum() - is_stray.sum())
            if n_gaps:
                gaps.append(f"{shorten(name)} ({n_gaps})")
            if is_stray.any():
                text = written.texts[written.codes[is_stray.argmax()]]
                strays.append(f"{shorten(name)} ({int(is_stray.sum())}, such as {quote(text)})")
    notes = [f"gaps filled with the medians of the training rows: {few(gaps)}"] if gaps else []
    return notes + ([f"cells that are neither numbers nor dates taken as gaps: {few(strays)}"] if strays else [])


def _describe_unknown(values: Any, readings: dict[str, Reading], encoder: Any) -> list[str]:
    """Say which categories no training row had."""
    items = []
    for name, known, rare in categories(
        [name for name, reading in readings.items() if reading.kind == "text"], encoder
    ):
        items.append(describe_unknown(values[name].to_numpy(), "row", shorten(name), known, rare))
    return [few(filter(None, items), "; ")] if any(items) else []
