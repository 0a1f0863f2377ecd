"""The options of the commands, each checked before anything is read."""

import argparse
import codecs
import re
from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches
from functools import cache
from typing import Any, NoReturn

from gdregress._version import __version__
from gdregress.method.combinations import OPTIMIZERS
from gdregress.method.hints import meant
from gdregress.method.parameters import CONSTRAINTS, POSITIVE, Constraint, interval
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

SEPARATORS = {"tab": "\t", r"\t": "\t"}
"""Separators that are hard to type."""

ELSEWHERE = {
    **dict.fromkeys(("lr", "eta", "eta0", "step-size", "rate"), "learning-rate"),
    **dict.fromkeys(("max-iter", "n-iter", "iterations", "steps"), "epochs"),
    **dict.fromkeys(("delimiter", "separator", "delim"), "sep"),
    **dict.fromkeys(("label", "y", "response", "outcome"), "target"),
    **dict.fromkeys(("exclude", "ignore", "without"), "drop"),
    **dict.fromkeys(("holdout", "validation-size", "split"), "test-size"),
    **dict.fromkeys(("dayfirst", "date-format"), "day-first"),
    **dict.fromkeys(("output", "out", "model-out"), "save"),
    **dict.fromkeys(("lambda", "regularization"), "alpha"),
}
"""What other programs call an option."""

ALIKE = 0.8
"""Likeness of two names, as difflib measures it, from which one may be meant by the other."""

POSITIONAL = ("model", "data")
"""Arguments that are told by their place."""


class CommandLineError(ValueError):
    """An invalid command line. The message is one sentence for the user."""


class _Parser(argparse.ArgumentParser):
    """A parser that raises an error instead of printing its usage and exiting."""

    def error(self, message: str) -> NoReturn:
        raise CommandLineError(f"{message} (see {self.prog} --help)")


def parse(arguments: list[str]) -> argparse.Namespace:
    """Parse the arguments of ``gdregress``, or of ``gdregress predict``.

    Parameters
    ----------
    arguments : list of str
        The arguments.

    Returns
    -------
    Namespace
        `model` is None unless the command is to predict.
    """
    is_prediction = arguments[:1] == ["predict"]
    parser = _make_prediction_parser() if is_prediction else _make_parser()
    options, unknown = parser.parse_known_args(arguments[is_prediction:])
    if unknown:
        ours = [option.replace("_", "-") for option in vars(options) if option not in POSITIONAL]
        parser.error(_about(unknown, ours, is_prediction=is_prediction))
    return options


def _about(unknown: list[str], ours: list[str], *, is_prediction: bool) -> str:
    """Return the sentence on arguments that are not known, with the option that was probably meant by the first."""
    is_option, name = unknown[0].startswith("-"), unknown[0].lstrip("-").partition("=")[0].replace("_", "-")
    elsewhere = [] if is_prediction else [parameter.replace("_", "-") for parameter in _parameters_of_python()]
    if is_option and name.removeprefix("no-") in elsewhere:
        return (
            f"--{name} is a parameter of GradientDescentRegressor, but no option of the command line: "
            "use it from Python"
        )
    names = dict(zip(ours, ours, strict=True))
    names |= {theirs: option for theirs, option in ELSEWHERE.items() if option in ours}
    near = [names[other] for other in get_close_matches(name, names, n=1, cutoff=ALIKE)]
    hint = f": did you mean --{near[0]}?" if near and is_option else ""
    return f"unrecognized arguments: {' '.join(unknown)}{hint}"


def in_options(sentence: str) -> str:
    """Return a sentence on parameters of the model in the words of the command line: ``--epochs 5`` for ``epochs=5``.

    Parameters
    ----------
    sentence : str
        A warning or an error of the model.

    Returns
    -------
    str
        The sentence; parameters without an option stay as they are, but what is said to be another choice is left out.
    """
    names, value = "|".join(_parameters()), r"'[^']*'(?:(?:,| or) '[^']*')*|[^\s,;:)]*[^\s,;:.)]"
    sentence = re.sub(rf" or (?:{'|'.join(_parameters_of_python())})=(?:{value})", "", sentence)
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


def _parameters_of_python() -> tuple[str, ...]:
    """Return the parameters of the model that are no options."""
    return tuple(name for name in CONSTRAINTS if name not in _parameters())


def _make_prediction_parser() -> _Parser:
    parser = _Parser(prog="gdregress predict", description=PREDICTING)
    parser.add_argument("model", metavar="model.joblib", help="what gdregress --save wrote")
    parser.add_argument("data", metavar="new.csv", help="a file with the columns that the model has learnt from")
    parser.add_argument(
        "--keep",
        metavar="COLUMNS",
        action="append",
        help="columns of the file to print before the predictions, such as an id",
    )
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
    parser.add_argument(
        "data",
        nargs="?",
        metavar="data.csv",
        help="a CSV file, also a compressed one, a workbook or a Parquet file; default: seven house prices",
    )
    parser.add_argument("--target", metavar="NAME", help="the column to learn; default: the last")
    parser.add_argument(
        "--drop", metavar="COLUMNS", action="append", help="columns not to learn from, separated by commas"
    )
    parser.add_argument(
        "--keep", metavar="COLUMNS", action="append", help="columns to learn from although they seem to name the rows"
    )
    parser.add_argument(
        "--test-size",
        metavar="FRACTION",
        type=_number(float, interval("float", 0, 1)),
        help="share of the rows to hold out and test on",
    )
    parser.add_argument("--save", metavar="FILE", help="write the fitted pipeline, for gdregress predict and joblib")
    parser.add_argument("--compare", action="store_true", help="compare on more than 50,000 rows too")
    parser.add_argument("--json", action="store_true", help="write one JSON document")
    parser.add_argument("--version", action="version", version=f"gdregress {__version__}")
    _add_file_options(parser)
    model = parser.add_argument_group("the model")
    model.add_argument(
        "--learning-rate",
        metavar="RATE",
        type=_number_or_name("learning_rate"),
        default="auto",
        help="a number, or one of auto, lipschitz, diagonal, curvature; default: auto",
    )
    model.add_argument(
        "--optimizer",
        metavar="NAME",
        type=_named("optimizer"),
        default="auto",
        help=f"auto, or one of {', '.join(OPTIMIZERS)}; default: auto",
    )
    model.add_argument(
        "--epochs", metavar="INT", type=_number(int, CONSTRAINTS["epochs"]), default=1000, help="at most; default: 1000"
    )
    model.add_argument(
        "--tol",
        metavar="NUMBER",
        type=_number(float, interval("float", 0, float("inf"), "left")),
        default=1e-6,
        help="the optimality at which the descent has converged, or 0 to run all epochs; default: 1e-06",
    )
    model.add_argument(
        "--early-stopping",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="stop when a tenth of the rows, held out, is no longer better fit",
    )
    model.add_argument(
        "--loss",
        metavar="NAME",
        type=_named("loss"),
        default="squared_error",
        help=f"one of {', '.join(LOSSES)}; default: squared_error",
    )
    _add_number(model, "--quantile", "the quantile of --loss quantile; default: 0.5")
    _add_number(
        model,
        "--epsilon",
        "where huber turns straight, or half the width of a tube; in units of the target; or auto, which is 1.35 times "
        "the scale of the residuals, for huber; default: auto for huber, else 0.1",
    )
    model.add_argument(
        "--penalty", metavar="NAME", type=_named("penalty", "none"), help="l2, l1, elasticnet or none; default: none"
    )
    model.add_argument(
        "--alpha",
        metavar="NUMBER",
        type=_number_or("auto", CONSTRAINTS["alpha"]),
        help="strength of the penalty, or auto, which chooses it by cross-validation in five random folds; "
        "default: 0.0001",
    )
    _add_number(model, "--l1-ratio", "the share of L1 in --penalty elasticnet; default: 0.15")
    model.add_argument(
        "--standardize",
        action=argparse.BooleanOptionalAction,
        help="whether --penalty is on coefficients in standard deviations of the columns, so that their units do not "
        "count; default: yes",
    )
    return parser


def _add_file_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sep", metavar="CHAR", type=_parse_separator, help="what separates fields, or tab; default: found out"
    )
    parser.add_argument(
        "--encoding", metavar="NAME", type=_parse_encoding, default="utf-8", help="such as cp1252; default: utf-8"
    )
    parser.add_argument(
        "--decimal", metavar="CHAR", choices=[*".,"], help="what stands before fractions; default: found out"
    )
    parser.add_argument(
        "--thousands",
        metavar="CHAR",
        choices=[*",.' "],
        help="what groups digits; default: found out",
    )
    parser.add_argument(
        "--day-first",
        action=argparse.BooleanOptionalAction,
        help="whether 01/02/2024 is the first of February; default: found out, else no",
    )


def _add_number(group: Any, option: str, words: str) -> None:
    kind = _number(float, CONSTRAINTS[option.lstrip("-").replace("-", "_")])
    group.add_argument(option, metavar="NUMBER", type=kind, help=words)


def _number(kind: type, constraint: Constraint) -> Callable[[str], Any]:
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


def _named(name: str, nothing: str = "") -> Callable[[str], str | None]:
    """Return the function that takes a name that a parameter may have or a word for None, and says what was meant."""
    names = [*CONSTRAINTS[name].names, *filter(None, [nothing])]

    def parse(text: str) -> str | None:
        if text not in names:
            raise argparse.ArgumentTypeError(f"must be one of {', '.join(names)}, got {text!r}{_hint(name, text)}")
        return None if text == nothing else text

    return parse


def _number_or_name(name: str) -> Callable[[str], Any]:
    """Return the function that takes a positive number or one of the names that a parameter may have."""
    constraint = CONSTRAINTS[name]
    words = f"{POSITIVE.words}, or one of {', '.join(constraint.names)}"
    parse = _number(float, replace(constraint, words=words))

    def parse_with_hint(text: str) -> Any:
        try:
            return parse(text)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(f"{error}{_hint(name, text)}") from error

    return parse_with_hint


def _hint(name: str, text: str) -> str:
    """Return the end of a sentence: what was probably meant by a value, if that is known and is an option."""
    sentence = in_options(meant(name, text, CONSTRAINTS[name].names, takes_none=False)).rstrip(".")
    is_known = "--" in sentence and set(_parameters_of_python()).isdisjoint(re.findall(r"\w+", sentence))
    return f": {sentence[0].lower()}{sentence[1:]}" if is_known else ""


def _number_or(word: str, constraint: Constraint) -> Callable[[str], Any]:
    """Return the function that takes a word as it is, and else turns the text of an argument into a number."""
    parse = _number(float, replace(constraint, words=f"{constraint.words}, or {word!r}"))
    return lambda text: word if text == word else parse(text)


def _parse_separator(text: str) -> str:
    text = SEPARATORS.get(text, text)
    if (
        len(text) != 1
        or not text.isascii()
        or not (text == "\t" or text.isprintable())
        or text == '"'
        or text.isalnum()
    ):
        raise argparse.ArgumentTypeError(f"must be one character, such as ; or tab, got {text!r}")
    return text


def _parse_encoding(text: str) -> str:
    try:
        "".encode(text)
        return codecs.lookup(text).name
    except (LookupError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"must be the name of an encoding, such as cp1252, got {text!r}") from error
