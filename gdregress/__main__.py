"""The command line: fit and compare on the embedded house prices or on a CSV file, and predict with what was saved."""

import argparse
import io
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from sklearn.model_selection import KFold

from gdregress.command_line.arguments import CommandLineError, in_options, parse
from gdregress.command_line.csv_tables import Dialect, read_table
from gdregress.command_line.predictions import load, predict, save
from gdregress.command_line.preparation import Dataset, Preparation, prepare
from gdregress.command_line.reports import printable, to_json, to_text, wild_targets
from gdregress.command_line.wording import TableError
from gdregress.comparison.compare import ALONE, compare
from gdregress.comparison.peers import peers
from gdregress.comparison.table import Comparison
from gdregress.datasets import load_house_prices
from gdregress.displays.drawing import name_of_error
from gdregress.method.parameters import check_parameters
from gdregress.method.spec import epsilon_of, fits_scale
from gdregress.regressor import GradientDescentRegressor
from gdregress.rows.wording import count
from gdregress.tuning.cross_validation import GradientDescentRegressorCV

FOR_FILES = ("target", "drop", "keep", "test_size", "save", "sep", "decimal", "thousands", "day_first", "gaps")
"""Options that say something of a file."""

COMPARED_ROWS = 50_000
"""Rows up to which the comparison is made unasked: SGDRegressor takes a thousand epochs of them where it does badly."""

FOLDS = 5
"""Number of folds in which ``--alpha auto`` is chosen."""

UNFORESEEN = "an error that was not foreseen"
"""How the sentence on a fault of this program begins: its user is shown no traceback."""


class DivergenceError(Exception):
    """A descent that has diverged. The message is the model's reason."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, default=None
        Arguments; None for those of the process.

    Returns
    -------
    int
        Exit status: 0 for success, 1 for a descent that has diverged, 2 for whatever else is wrong, such as
        invalid arguments or an invalid file, 130 for an interrupt.
    """
    if sys.stdout is None:
        return _refuse("standard output is closed: open it, such as with > report.txt.")
    try:
        status = _run(sys.argv[1:] if argv is None else list(argv))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _discard_output()
        return 0
    except OSError as error:  # of printing: whatever is read or saved is told apart
        _discard_output()
        return _refuse(f"the output cannot be written ({error.strerror}): write it elsewhere.")
    return status


def _discard_output() -> None:
    """Send the rest of the output nowhere: the interpreter flushes once more at exit, which must not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(arguments: list[str]) -> int:
    try:
        options = parse(arguments)
        with _warnings_as_lines():
            report = _report(options) if options.model is None else _predictions(options)
    except SystemExit:  # argparse exits after it has printed the help or the version
        return 0
    except (CommandLineError, TableError) as error:
        return _refuse(error)
    except DivergenceError as error:
        return _refuse(error, 1)
    except MemoryError:
        return _refuse("there is not memory enough for the file and its fit: take fewer rows or columns.")
    except OSError as error:
        what = repr(error.filename) if error.filename else "a file"
        return _refuse(f"{what} cannot be read or written ({error.strerror or error}): check its path and the disk.")
    except Exception as error:
        return _refuse(f"{UNFORESEEN} ({type(error).__name__}: {error}): please report it, with the file if you can.")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # the terminal may not be able to show the names of columns
    print(report)
    return 0


def _refuse(error: Any, status: int = 2) -> int:
    """Say what is wrong, and return the exit status."""
    _say(f"error: {error}")
    return status


def _say(message: str) -> None:
    """Print a line on the standard error, if there is one."""
    if sys.stderr is not None:
        with suppress(OSError):
            print(printable(f"gdregress: {' '.join(message.split())}"), file=sys.stderr)


@contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Print each warning of the model once, on one line, and ignore others (ConvergenceWarning is a UserWarning)."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        yield
    for sentence in dict.fromkeys(str(warning.message) for warning in caught):
        _say(f"warning: {in_options(sentence)}")


def _predictions(options: argparse.Namespace) -> str:
    """Return the predictions for a file."""
    predictions, notes = predict(load(options.model), options.data, _dialect(options), options.keep or [])
    for note in notes:
        _say(f"note: {note}")
    return predictions.rstrip("\n")


def _report(options: argparse.Namespace) -> str:
    """Return the report of a fit and a comparison."""
    model = _make_model(options)
    data = _load(options)
    try:
        if options.early_stopping and len(data.y) < 2:
            raise CommandLineError("--early-stopping holds out a row, but there is no other: leave it out.")
        if options.alpha == "auto":
            _choose_alpha(model, data)
        model.fit(data.X, data.y)
        if model.diverged_:
            raise DivergenceError(in_options(model.stop_reason_))
        comparison = _compare(data, model, is_asked=options.compare)
    except ValueError as error:
        raise CommandLineError(f"{data.name} cannot be fitted: {in_options(str(error))}") from error
    if fits_scale(model):
        data.notes.append(f"epsilon {epsilon_of(model):.4g}, 1.35 times the scale of the residuals")
    data.notes.extend(wild_targets(data, model))
    if model.penalty is None and len(model.coef_) >= len(data.y):
        data.notes.append(
            f"no fewer features than rows ({len(model.coef_)} and {len(data.y)}), so that the training rows are fitted "
            "whatever they say: try --penalty l2, and see by --test-size"
        )
    if options.early_stopping:
        table = "the other solvers saw them, and the table, unlike the last line, is of all rows"
        others = "" if comparison is None else f"; {table}"
        data.notes.append(f"a tenth of the rows held out by the model for early stopping{others}")
    if options.save is not None:
        data.notes.append(_save(options.save, data, model))
    return (to_json if options.json else to_text)(data, comparison, model)


def _save(path: str, data: Dataset, model: GradientDescentRegressor) -> str:
    """Write the pipeline whose scores are reported, and say which rows it has learnt from."""
    save(path, data.preparation, model)
    note = f"the pipeline saved in {path}, fitted to {count(len(data.y), 'row')}"
    if not len(data.y_test):
        return note
    return f"{note}, not to the {count(len(data.y_test), 'test row')}: without --test-size it learns from all"


def _make_model(options: argparse.Namespace) -> GradientDescentRegressor:
    """Return the model of the options, each of which must be valid and count for something."""
    penalty = None if options.penalty == "none" else options.penalty
    counts = {
        "quantile": (options.loss == "quantile", "--loss quantile"),
        "epsilon": (options.loss == "huber" or "insensitive" in options.loss, "--loss huber or an insensitive one"),
        "alpha": (penalty is not None, "--penalty"),
        "l1_ratio": (penalty == "elasticnet", "--penalty elasticnet"),
        "standardize": (penalty is not None, "--penalty"),
    }
    given = {name: getattr(options, name) for name in counts if getattr(options, name) is not None}
    for name in given:
        does, partner = counts[name]
        if not does:
            option = f"--{name.replace('_', '-')}"
            raise CommandLineError(f"{option} counts only with {partner}: give that too, or leave {option} out.")
    if penalty is not None:
        given.setdefault("standardize", True)  # the columns of a file have units of all sizes
    if options.loss == "huber":
        given.setdefault("epsilon", "auto")  # and so has its target
    model = GradientDescentRegressor(
        options.learning_rate,
        options.epochs,
        loss=options.loss,
        optimizer=options.optimizer,
        penalty=penalty,
        tol=options.tol,
        early_stopping=options.early_stopping,
        random_state=0,
        **{name: value for name, value in given.items() if (name, value) != ("alpha", "auto")},
    )
    try:
        check_parameters(model)
    except ValueError as error:
        raise CommandLineError(in_options(str(error))) from error
    return model


def _choose_alpha(model: GradientDescentRegressor, data: Dataset) -> None:
    """Set the strength of the penalty to the best in cross-validation, and say which it is.

    The folds are drawn at random, for the rows of a file are often sorted.
    """
    if len(data.y) < FOLDS:
        raise CommandLineError(f"--alpha auto needs {FOLDS} rows, but there are {len(data.y)}: give --alpha a number.")
    shared = {name: value for name, value in model.get_params().items() if name != "alpha"}
    folds = KFold(FOLDS, shuffle=True, random_state=0)
    tuned = GradientDescentRegressorCV(cv=folds, refit=False, **shared).fit(data.X, data.y)
    model.set_params(alpha=float(tuned.alpha_))
    error = tuned.cv_results_["se_test_score"][tuned.best_index_]
    data.notes.append(
        f"alpha {tuned.alpha_:.4g} chosen from {len(tuned.alphas_)} by cross-validation in {FOLDS} random folds: "
        f"{name_of_error(model)} of held-out rows {-tuned.best_score_:.6g} +- {error:.4g}"
    )


def _dialect(options: argparse.Namespace) -> Dialect:
    """Return how the user says that the file is written."""
    if options.decimal is not None and options.decimal == options.thousands:
        raise CommandLineError(f"--decimal and --thousands are both {options.decimal!r}: choose two.")
    gaps = tuple(options.gaps.split(",")) if options.gaps else ()
    return Dialect(
        options.sep, options.decimal, options.thousands, options.encoding, options.day_first, options.skip, gaps
    )


def _compare(data: Dataset, model: GradientDescentRegressor, *, is_asked: bool) -> Comparison | None:
    """Compare a model with the others of its objective, or say why that is not done."""
    if len(data.y) > COMPARED_ROWS and not is_asked:
        data.notes.append("not compared with other solvers, which take long on so many rows: --compare does it")
        return None
    if not peers(model, len(data.y)):
        data.notes.append(f"not compared: {ALONE}")
        return None
    test = {"X_test": data.X_test, "y_test": data.y_test} if len(data.y_test) else {}
    comparison = compare(data.X, data.y, model, **test)
    comparison.notes = [in_options(note) for note in comparison.notes]
    return comparison


def _load(options: argparse.Namespace) -> Dataset:
    """Return the data of the user's file, or the house prices."""
    if options.data is not None:
        table = read_table(options.data, _dialect(options))
        dropped, kept = options.drop or [], options.keep or []
        return prepare(table, options.target, dropped=dropped, kept=kept, test_size=options.test_size)
    given = [f"--{name.replace('_', '-')}" for name in FOR_FILES if getattr(options, name) is not None]
    if given:
        raise CommandLineError(f"a file is needed for {' and '.join(given)}: name it before the options.")
    houses = load_house_prices()
    X, y = houses.data, houses.target
    return Dataset(
        name="house prices",
        n_rows=X.shape[0],
        n_columns=X.shape[1],
        target=houses.target_name,
        X=X,
        y=y,
        X_test=X[:0],
        y_test=y[:0],
        preparation=Preparation(houses.feature_names),
        notes=[],
    )


if __name__ == "__main__":
    sys.exit(main())
