"""What is printed of a fit: as text for a terminal, or as a JSON document."""

import json
import math
from typing import Any

import numpy as np
from sklearn.preprocessing import StandardScaler

from gdregress.command_line.arguments import in_options
from gdregress.command_line.preparation import Dataset
from gdregress.command_line.wording import shorten
from gdregress.comparison.table import Comparison
from gdregress.method.spec import loss_of
from gdregress.regressor import GradientDescentRegressor
from gdregress.rows.wording import count

FEW_FEATURES = 10
"""Largest number of features whose whole equation is shown; of more, this many largest coefficients are shown."""

OWNED, OWNERS, FEWEST_OWNED = 0.9, 0.05, 10
"""Share of the squared distances from the median that belongs to wild targets, the largest share of the rows that these
can be, and how many rows it takes to tell."""

MEANS = {"squared_error": "MSE", "absolute_error": "mean absolute error"}
"""Names of the mean losses that are measures of their own."""


def to_text(data: Dataset, comparison: Comparison | None, model: GradientDescentRegressor) -> str:
    """Return the report for a terminal, with control characters escaped."""
    n_features = len(data.preparation.features)
    heading = (
        f"{data.name}: {count(data.n_rows, 'row')}, {count(data.n_columns, 'column')} -> "
        f"{count(n_features, 'feature')}, target {shorten(data.target)}"
    )
    notes = [f"- {note}" for note in data.notes]
    result = _equation(data, model) if n_features <= FEW_FEATURES else _largest_coefficients(data, model)
    table = [] if comparison is None else [str(comparison), ""]
    reason = model.stop_reason_ if model.converged_ else in_options(model.stop_reason_)
    ending = [reason] if comparison is None or model.converged_ else []  # the comparison has said it
    parts = [heading, *notes, "", *table, *_describe_scores(data, model), "", result, *ending]
    return "\n".join(printable(line) for part in parts for line in part.split("\n"))


def printable(line: str) -> str:
    """Return a line with what a terminal would obey, or not show, escaped."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in line)


def scores(data: Dataset, model: GradientDescentRegressor) -> dict[str, dict[str, float]]:
    """Return how well a model fits the training rows, and test rows if there are any, by the names of the measures."""
    loss, found = loss_of(model), {}
    own = MEANS.get(model.loss, f"mean {model.loss.replace('_', ' ')} loss")
    for name, X, y in (("train", data.X, data.y), ("test", data.X_test, data.y_test)):
        if len(y):
            residual = y - model.predict(X)
            rounding = 1e-9 * float(np.abs(y).max())  # quantiles pass through some of the rows
            below = {"share of rows not above the prediction": float(np.mean(residual <= rounding))}
            with np.errstate(all="ignore"):
                mse, variance = float(np.mean(residual**2)), float(np.var(y))
                found[name] = {
                    own: float(np.mean(loss.value(residual))),  # what was minimised comes first
                    **(below if model.loss == "quantile" else {}),
                    "MSE": mse,
                    "mean absolute error": float(np.mean(np.abs(residual))),
                    "median absolute error": float(np.median(np.abs(residual))),  # a few wild rows do not move it
                    "RMSE": math.sqrt(mse),
                    "R2": 1 - mse / variance if variance > 0 else math.nan,
                }
    return found


def wild_targets(data: Dataset, model: GradientDescentRegressor) -> list[str]:
    """Say that a few targets lie so far out that they decide what squared errors are least."""
    if not model.loss.startswith("squared") or len(data.y) < FEWEST_OWNED:
        return []
    distance = np.abs(data.y - np.median(data.y))
    order = np.argsort(-distance, kind="stable")
    squares = np.square(distance[order] / (distance.max() or 1.0))
    n_wild = 1 + int(np.searchsorted(np.cumsum(squares), OWNED * squares.sum()))
    # Where most targets are equal the others are no accident, but what is to be learnt.
    if n_wild > max(1, OWNERS * len(data.y)) or np.median(squares) == 0:
        return []
    wild = f"{n_wild} of {count(len(data.y), 'value')} of {shorten(data.target)}, such as {data.y[order[0]]:g}"
    far = "lies so far out that it decides" if n_wild == 1 else "lie so far out that they decide"
    return [f"{wild}, {far} the fit: empty such cells if they are wrong, or try --loss huber"]


def _describe_scores(data: Dataset, model: GradientDescentRegressor) -> list[str]:
    """Say how well the model fits, in a line for the training rows and one for the test rows."""
    return [
        ", ".join(f"{name} {kind} {'-' if math.isnan(value) else format(value, '.6g')}" for kind, value in part.items())
        for name, part in scores(data, model).items()
    ]


def _equation(data: Dataset, model: GradientDescentRegressor) -> str:
    first, *others = [
        *((coef, f" * {shorten(name)}") for coef, name in zip(model.coef_, data.preparation.features, strict=True)),
        (model.intercept_, ""),
    ]
    start = f"{shorten(data.target)} = {first[0]:.6g}{first[1]}"
    return start + "".join(f" {'-' if value < 0 else '+'} {abs(value):.6g}{name}" for value, name in others)


def _largest_coefficients(data: Dataset, model: GradientDescentRegressor) -> str:
    effects = model.coef_ * np.sqrt(StandardScaler(with_mean=False).fit(data.X).var_)
    is_zero = model.coef_ == 0
    largest = [i for i in np.argsort(-np.abs(effects), kind="stable")[:FEW_FEATURES] if not is_zero[i]]
    lines = [f"{model.coef_[i]:>12.6g}  {effects[i]:>12.6g}  {shorten(data.preparation.features[i])}" for i in largest]
    zeros = f", {is_zero.sum()} of them zero" if is_zero.any() else ""
    return "\n".join(
        [
            f"{'coefficient':>12}  {'effect':>12}  the largest by effect: coefficient times standard deviation",
            *lines,
            f"{'...':>12}  {'':>12}  and {len(effects) - len(largest)} more{zeros} (--json has all)",
            f"{model.intercept_:>12.6g}  {'':>12}  (intercept)",
        ]
    )


def to_json(data: Dataset, comparison: Comparison | None, model: GradientDescentRegressor) -> str:
    """Return the report as a JSON document."""
    document = {
        "data": {
            "name": data.name,
            "rows": data.n_rows,
            "columns": data.n_columns,
            "features": len(data.preparation.features),
            "target": data.target,
            "train_rows": len(data.y),
            "test_rows": len(data.y_test),
        },
        "notes": data.notes + ([] if comparison is None else comparison.notes),
        "preparation": data.preparation.to_dict(),
        "parameters": model.get_params(),
        "scores": {
            name: {kind.lower().replace(" ", "_"): value for kind, value in part.items()}
            for name, part in scores(data, model).items()
        },
        "comparison": [] if comparison is None else comparison.to_dicts(),
        "coefficients": dict(zip(data.preparation.features, model.coef_.tolist(), strict=True)),
        "intercept": float(model.intercept_),
        "epochs": model.n_iter_,
        "converged": model.converged_,
        "stop_reason": model.stop_reason_,
    }
    return json.dumps(_null_where_not_finite(document), indent=2, allow_nan=False)


def _null_where_not_finite(value: Any) -> Any:
    """Return a value with NaN and infinity replaced by None, because JSON has neither."""
    if isinstance(value, dict):
        return {key: _null_where_not_finite(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_null_where_not_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
