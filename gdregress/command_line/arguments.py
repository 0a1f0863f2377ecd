"""The options of the commands; those of the model are checked by the model, in the words of the command line."""

import argparse
import codecs
import re
from functools import cache
from typing import NoReturn

from gdregress._version import __version__
from gdregress.method.combinations import OPTIMIZERS
from gdregress.method.parameters import CONSTRAINTS
from gdregress.problem.losses import LOSSES

DESCRIPTION = """\
Fit a line by gradient descent and compare it with other solvers: on seven house prices, or on a
file of yours, whose gaps are filled and whose text is encoded."""

EXAMPLES = """\
examples:
  gdregress
  gdregress --learning-rate 0.001 --epochs 25
  gdregress houses.csv --target price --test-size 0.2
  gdregress houses.csv --target price --penalty l1 --alpha auto
  gdregress houses.csv --target price --save model.joblib
  gdregress predict model.joblib new.csv --keep id > predictions.csv
"""

PREDICTING = """\
Predict the rows of a CSV file with a model that gdregress --save wrote. Its columns are found by name.
Open only models that you trust: a model file can run any code."""


class CommandLineError(ValueError):
    """An invalid command line. The message is one sentence for the user."""


class _Parser(argparse.ArgumentParser):
    """A parser that raises an error instead of printing its usage and exiting."""

    def error(self, message: str) -> NoReturn:
        raise CommandLineError(f"{message} (see {self.prog} --help)")


def parse(arguments: list[str]) -> argparse.Namespace:
    """Parse the arguments of ``gdregress``, or of ``gdregress predict``; `model` is None unless it is the latter."""
    if arguments[:1] == ["predict"]:
        return _make_prediction_parser().parse_args(arguments[1:])
    return _make_parser().parse_args(arguments)


def in_options(sentence: str) -> str:
    """Return a sentence on parameters of the model in the words of the command line: ``--epochs 5`` for ``epochs=5``.

    Parameters without an option stay as they are, but what is said to be another choice is left out.
    """
    names, value = "|".join(_parameters()), r"'[^']*'(?:(?:,| or) '[^']*')*|[^\s,;:)]*[^\s,;:.)]"
    others = "|".join(name for name in CONSTRAINTS if name not in _parameters())
    sentence = re.sub(rf"The '({names})' parameter of \w+", lambda found: _option(found[1]), sentence)
    sentence = re.sub(rf" or (?:{others})=(?:{value})", "", sentence)
    sentence = re.sub(rf"\b({names})=({value})", lambda found: _option(found[1], found[2]), sentence)
    advised = rf"(?:(?<=[Rr]aise )|(?<=give ))({names})(?: or ({names}))?\b"
    sentence = re.sub(advised, lambda found: " or ".join(map(_option, filter(None, found.groups()))), sentence)
    no_words = "|".join(name for name in _parameters() if "_" in name)  # others may be words of the sentence
    return re.sub(rf"\b({no_words})\b", lambda found: _option(found[1]), sentence)


def _option(name: str, value: str = "") -> str:
    """Return an option as it is typed, for a parameter and a value as they are written in Python."""
    name = name.replace("_", "-")
    if value in ("True", "False"):
        return f"--{name}" if value == "True" else f"--no-{name}"
    return f"--{name} {'none' if value == 'None' else value}".rstrip().replace("'", "")


@cache
def _parameters() -> tuple[str, ...]:
    """Return the parameters of the model that are options."""
    options = vars(_make_parser().parse_args([]))
    return tuple(name for name in CONSTRAINTS if name in options)


def _make_prediction_parser() -> _Parser:
    parser = _Parser(prog="gdregress predict", description=PREDICTING)
    add = parser.add_argument
    add("model", metavar="model.joblib", help="what gdregress --save wrote")
    add("data", metavar="new.csv", help="a file with the columns that the model has learnt from")
    columns = "columns of the file to print before the predictions, such as an id"
    add("--keep", metavar="COLUMNS", action="append", help=columns)
    _add_file_options(parser)
    return parser


def _make_parser() -> _Parser:
    parser = _Parser(
        prog="gdregress",
        usage="gdregress [data.csv] [options]\n       gdregress predict model.joblib new.csv [options]",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(model=None)
    add = parser.add_argument
    data = "a CSV file, also a compressed one, a workbook or a Parquet file; default: seven house prices"
    add("data", nargs="?", metavar="data.csv", help=data)
    add("--target", metavar="NAME", help="the column to learn; default: the last")
    add("--drop", metavar="COLUMNS", action="append", help="columns not to learn from, separated by commas")
    keep = "columns to learn from although they seem to name the rows"
    add("--keep", metavar="COLUMNS", action="append", help=keep)
    add("--test-size", metavar="FRACTION", type=_share, help="share of the rows to hold out and test on")
    add("--save", metavar="FILE", help="write the fitted pipeline, for gdregress predict and joblib")
    add("--compare", action="store_true", help="compare on more than 50,000 rows too")
    add("--json", action="store_true", help="write one JSON document")
    add("--version", action="version", version=f"gdregress {__version__}")
    _add_file_options(parser)
    _add_model_options(parser)
    return parser


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the parameters of the model, whose values it checks itself."""
    add, yes_or_no = parser.add_argument_group("the model").add_argument, argparse.BooleanOptionalAction
    rates = "a number, or one of auto, lipschitz, diagonal, curvature; default: auto"
    add("--learning-rate", metavar="RATE", type=_number_or_name, default="auto", help=rates)
    optimizers = f"auto, or one of {', '.join(OPTIMIZERS)}; default: auto"
    add("--optimizer", metavar="NAME", default="auto", help=optimizers)
    add("--epochs", metavar="INT", type=int, default=1000, help="at most; default: 1000")
    tol = "the optimality at which the descent has converged, or 0 to run all epochs; default: 1e-06"
    add("--tol", metavar="NUMBER", type=float, default=1e-6, help=tol)
    stopping = "stop when a tenth of the rows, held out, is no longer better fit"
    add("--early-stopping", action=yes_or_no, default=False, help=stopping)
    losses = f"one of {', '.join(LOSSES)}; default: squared_error"
    add("--loss", metavar="NAME", default="squared_error", help=losses)
    add("--quantile", metavar="NUMBER", type=float, help="the quantile of --loss quantile; default: 0.5")
    epsilon = (
        "where huber turns straight, or half the width of a tube; in units of the target; or auto, which is 1.35 times "
        "the scale of the residuals, for huber; default: auto for huber, else 0.1"
    )
    add("--epsilon", metavar="NUMBER", type=_number_or_name, help=epsilon)
    add("--penalty", metavar="NAME", default="none", help="l2, l1, elasticnet or none; default: none")
    alpha = (
        "strength of the penalty, or auto, which chooses it by cross-validation in five random folds; default: 0.0001"
    )
    add("--alpha", metavar="NUMBER", type=_number_or_name, help=alpha)
    ratio = "the share of L1 in --penalty elasticnet; default: 0.15"
    add("--l1-ratio", metavar="NUMBER", type=float, help=ratio)
    standardize = (
        "whether --penalty is on coefficients in standard deviations of the columns, so that their units do not count; "
        "default: yes"
    )
    add("--standardize", action=yes_or_no, help=standardize)


def _add_file_options(parser: argparse.ArgumentParser) -> None:
    """Add what the user may say of a file."""
    add = parser.add_argument
    add("--sep", metavar="CHAR", type=_separator, help="what separates fields, or tab; default: found out")
    add("--skip", metavar="INT", type=_lines, default=0, help="lines above the heading; default: 0")
    add(
        "--gaps", metavar="CELLS", help="cells that stand for a missing value, separated by commas, such as unknown,nil"
    )
    add("--encoding", metavar="NAME", type=_encoding, default="utf-8", help="such as cp1252; default: utf-8")
    add("--decimal", metavar="CHAR", choices=[*".,"], help="what stands before fractions; default: found out")
    add("--thousands", metavar="CHAR", choices=[*",.' "], help="what groups digits; default: found out")
    order = "whether 01/02/2024 is the first of February; default: found out, else no"
    add("--day-first", action=argparse.BooleanOptionalAction, help=order)


def _number_or_name(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _lines(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a number of lines, got {text!r}")
    return int(text)


def _share(text: str) -> float:
    value = _number_or_name(text)
    if isinstance(value, str) or not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"must be a number between 0 and 1, got {text!r}")
    return value


def _separator(text: str) -> str:
    text = "\t" if text in ("tab", r"\t") else text
    if len(text) != 1 or not text.isascii() or text.isalnum() or text in '"\n\r\0':
        raise argparse.ArgumentTypeError(f"must be one character, such as ; or tab, got {text!r}")
    return text


def _encoding(text: str) -> str:
    try:
        "".encode(text)
        return codecs.lookup(text).name
    except (LookupError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"must be the name of an encoding, such as cp1252, got {text!r}") from error
