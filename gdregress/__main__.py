"""The command line: fit and compare on the embedded house prices or on a CSV file."""

import argparse
import io
import json
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np

from gdregress._version import __version__
from gdregress.command_line.csv_tables import TableError, read_table
from gdregress.command_line.preparation import Dataset, prepare
from gdregress.comparison import Comparison, compare
from gdregress.datasets import load_house_prices
from gdregress.method.parameters import CONSTRAINTS, Constraint, interval
from gdregress.regressor import GradientDescentRegressor

FEW_FEATURES = 10
"""Largest number of features whose whole equation is shown; of more, this many largest coefficients are shown."""

DESCRIPTION = """\
Fit a line by gradient descent and compare it with SGDRegressor and the closed form: on seven
house prices, or on a CSV file of yours, whose gaps are filled and whose text is encoded."""

EXAMPLES = """\
examples:
  gdregress
  gdregress --learning-rate 0.001 --epochs 25
  gdregress houses.csv --target price --test-size 0.2
"""


class CommandLineError(ValueError):
    """An invalid command line. The message is one sentence for the user."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, default=None
        Arguments; None for those of the process.

    Returns
    -------
    int
        Exit status: 0 for success, 2 for invalid arguments or an invalid file, 130 for an interrupt.
    """
    try:
        status = _run(argv)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader has closed the pipe. The interpreter flushes once more at exit, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def _run(argv: Sequence[str] | None) -> int:
    try:
        options = _make_parser().parse_args(argv)
        with _warnings_as_lines():
            report = _report(options)
    except SystemExit:  # argparse exits after it has printed the help or the version
        return 0
    except (CommandLineError, TableError) as error:
        print(f"gdregress: error: {_one_line(error)}", file=sys.stderr)
        return 2
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # the terminal may not be able to show the names of columns
    print(report)
    return 0


class _Parser(argparse.ArgumentParser):
    """A parser that raises an error instead of printing its usage and exiting."""

    def error(self, message: str) -> NoReturn:
        raise CommandLineError(f"{message} (see gdregress --help)")


def _make_parser() -> _Parser:
    parser = _Parser(
        prog="gdregress",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", nargs="?", metavar="data.csv", help="a CSV file; default: seven house prices")
    parser.add_argument("--target", metavar="NAME", help="the column to learn; default: the last")
    parser.add_argument(
        "--test-size",
        metavar="FRACTION",
        type=_parse_as(float, interval("float", 0, 1)),
        help="share of the rows to hold out and test on",
    )
    parser.add_argument(
        "--learning-rate",
        metavar="RATE",
        type=_parse_as(float, CONSTRAINTS["learning_rate"]),
        default="auto",
        help="a number, or one of auto, lipschitz, diagonal, curvature; default: auto",
    )
    parser.add_argument(
        "--epochs",
        metavar="INT",
        type=_parse_as(int, CONSTRAINTS["epochs"]),
        default=1000,
        help="at most; default: 1000",
    )
    parser.add_argument(
        "--early-stopping", action="store_true", help="stop when a tenth of the rows, held out, is no longer better fit"
    )
    parser.add_argument("--json", action="store_true", help="write one JSON document")
    parser.add_argument("--version", action="version", version=f"gdregress {__version__}")
    return parser


def _parse_as(kind: type, constraint: Constraint) -> Callable[[str], Any]:
    """Return the function that turns the text of an argument into a number, if it is one, and checks the constraint."""

    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = text
        if not constraint.holds(value):
            raise argparse.ArgumentTypeError(f"must be {constraint.words}, got {text!r}")
        return value

    return parse


@contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Print each warning of the model on one line, and ignore others (ConvergenceWarning is a UserWarning)."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        yield
    for warning in caught:
        print(f"gdregress: warning: {_one_line(warning.message)}", file=sys.stderr)


def _one_line(message: Any) -> str:
    return " ".join(str(message).split())


def _report(options: argparse.Namespace) -> str:
    """Return the report of a fit and a comparison."""
    data = _load(options)
    model = GradientDescentRegressor(
        options.learning_rate, options.epochs, early_stopping=options.early_stopping, random_state=0
    )
    test = {"X_test": data.X_test, "y_test": data.y_test} if len(data.y_test) else {}
    try:
        comparison = compare(data.X, data.y, model, **test)
        model.fit(data.X, data.y)
    except ValueError as error:
        raise CommandLineError(f"{data.name} cannot be fitted: {error}") from error
    if options.early_stopping:
        data.notes.append("a tenth of the rows held out by the model for early stopping; the other solvers saw them")
    return _to_json(data, comparison, model) if options.json else _to_text(data, comparison, model)


def _load(options: argparse.Namespace) -> Dataset:
    """Return the data of the user's file, or the house prices."""
    if options.data is not None:
        return prepare(read_table(options.data), options.target, options.test_size)
    if options.target is not None or options.test_size is not None:
        raise CommandLineError("--target and --test-size are for a CSV file: name it before them.")
    houses = load_house_prices()
    X, y = houses.data, houses.target
    return Dataset(
        name="house prices",
        n_rows=X.shape[0],
        n_columns=X.shape[1],
        target=houses.target_name,
        features=houses.feature_names,
        X=X,
        y=y,
        X_test=X[:0],
        y_test=y[:0],
        notes=[],
    )


def _to_text(data: Dataset, comparison: Comparison, model: GradientDescentRegressor) -> str:
    n_features = len(data.features)
    heading = (
        f"{data.name}: {data.n_rows} row{'s'[: data.n_rows != 1]}, "
        f"{data.n_columns} column{'s'[: data.n_columns != 1]} -> "
        f"{n_features} feature{'s'[: n_features != 1]}, target {data.target}"
    )
    notes = [f"- {note}" for note in data.notes]
    result = _equation(data, model) if n_features <= FEW_FEATURES else _largest_coefficients(data, model)
    return "\n".join([heading, *notes, "", str(comparison), "", result, model.stop_reason_])


def _equation(data: Dataset, model: GradientDescentRegressor) -> str:
    first, *others = [
        *((coef, f" * {name}") for coef, name in zip(model.coef_, data.features, strict=True)),
        (model.intercept_, ""),
    ]
    start = f"{data.target} = {first[0]:.6g}{first[1]}"
    return start + "".join(f" {'-' if value < 0 else '+'} {abs(value):.6g}{name}" for value, name in others)


def _largest_coefficients(data: Dataset, model: GradientDescentRegressor) -> str:
    effects = model.coef_ * data.X.std(axis=0)
    largest = np.argsort(-np.abs(effects), kind="stable")[:FEW_FEATURES]
    lines = [f"{effects[i]:>12.6g}  {data.features[i]}" for i in largest]
    return "\n".join([f"the {len(lines)} largest coefficients, each times its column's standard deviation:", *lines])


def _to_json(data: Dataset, comparison: Comparison, model: GradientDescentRegressor) -> str:
    document = {
        "data": {
            "name": data.name,
            "rows": data.n_rows,
            "columns": data.n_columns,
            "features": len(data.features),
            "target": data.target,
            "train_rows": len(data.y),
            "test_rows": len(data.y_test),
        },
        "notes": data.notes,
        "parameters": model.get_params(),
        "comparison": comparison.to_dicts(),
        "coefficients": dict(zip(data.features, model.coef_.tolist(), strict=True)),
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


if __name__ == "__main__":
    sys.exit(main())
