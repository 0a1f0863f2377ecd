"""Contests and curves as tables, in text and in markdown."""

import math
from collections.abc import Sequence

from benchmarks.contest import Contest, Result
from benchmarks.problems import GRAM
from benchmarks.scaling import Curves
from benchmarks.solvers import SOLVERS
from gdregress.comparison import aligned

Rows = Sequence[Sequence[str]]


def as_markdown(rows: Rows) -> str:
    """Write a markdown table.

    Parameters
    ----------
    rows : sequence of sequences of str
        The heads first.
    """
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    rule = "|" + " --- |" + " ---: |" * (len(rows[0]) - 1)
    return "\n".join([head, rule, *body])


def contest_rows(contest: Contest) -> Rows:
    """Give a row a solver, and the columns in which anybody has something to say."""
    columns = {
        "solver": [result.solver for result in contest.results],
        "seconds (runs)": [_time(result) for result in contest.results],
        f"time / {GRAM}": [_cell(result.time_to_gram, ".2f") for result in contest.results],
        "time / ours": [_cell(result.time_to_ours, ".2f") for result in contest.results],
        "an epoch more": [_cell(result.epoch_seconds, ".3g", " s") for result in contest.results],
        "excess": [_cell(result.excess, ".1e") for result in contest.results],
        "coef. error": [_cell(result.coefficient_error, ".1e") for result in contest.results],
        "pred. error": [_cell(result.prediction_error, ".1e") for result in contest.results],
        "peak MB": [_cell(_megabytes(result), ".0f") for result in contest.results],
        "busy cores": [_cell(result.busy_cores, ".1f") for result in contest.results],
        "epochs": [_cell(result.epochs, "d") for result in contest.results],
        "converged": [{None: "-", True: "yes", False: "no"}[result.converged] for result in contest.results],
        "zeros": [_cell(result.zeros, "d") for result in contest.results],
    }
    shown = {head: cells for head, cells in columns.items() if set(cells) != {"-"}}
    return [list(shown), *(list(row) for row in zip(*shown.values(), strict=True))]


def contest_notes(contest: Contest, missing: list[str]) -> list[str]:
    """Say who was left out, what was extrapolated, and what each complained of."""
    notes = [f"{name}: left out, {SOLVERS[name].package} is not installed." for name in missing]
    for result in contest.results:
        if result.extrapolated_from is not None:
            epochs = contest.problem.descent.epochs
            notes.append(
                f"{result.solver}: the time of {epochs} epochs is extrapolated from {result.extrapolated_from}."
            )
        notes += [f"{result.solver}: {' '.join(complaint.split())}" for complaint in result.complaints]
        if result.is_wrong:
            notes.append(f"{result.solver}: failed, or says that it arrived and is wrong.")
    return notes


def contest_title(contest: Contest) -> str:
    """Say what is solved."""
    problem, objective = contest.problem, contest.problem.objective
    n, p = problem.shape
    parts = [f"{problem.name}: {n} x {p}, {objective.loss}"]
    if objective.epsilon:
        parts.append(f"epsilon {objective.epsilon:.4g}")
    if objective.loss == "quantile":
        parts.append(f"quantile {objective.quantile:g}")
    if objective.penalty is not None:
        parts.append(f"{objective.penalty} {objective.alpha:g}")
    if problem.descent is not None:
        parts.append(f"{problem.descent.epochs} epochs")
    if contest.uncertainty is not None:
        parts.append(f"reference within {contest.uncertainty:.0e}")
    return ", ".join(parts)


def curve_title(curves: Curves) -> str:
    """Say what grows."""
    n, p = curves.shape
    return f"{curves.axis.title.format(n=n, p=p)}, against {curves.axis.label}: seconds (excess)"


def curve_rows(curves: Curves) -> Rows:
    """Give a row a size, with the seconds of each solver, and its excess in brackets."""
    sizes = sorted({point.size for points in curves.lines.values() for point in points})
    cells = {
        solver: {point.size: f"{point.seconds:.3g} ({_cell(point.excess, '.0e')})" for point in points}
        for solver, points in curves.lines.items()
    }
    rows = [[str(size), *(points.get(size, "-") for points in cells.values())] for size in sizes]
    return [[curves.axis.name, *cells], *rows]


def as_text(title: str, rows: Rows, notes: list[str]) -> str:
    """Write a section for a terminal."""
    return "\n".join([title, aligned(rows), *notes]) + "\n"


def as_section(title: str, rows: Rows, notes: list[str]) -> str:
    """Write a section of a markdown page."""
    return "\n".join([f"### {title}", "", as_markdown(rows), "", *(f"- {note}" for note in notes)])


def plain(value):
    """Give what JSON can hold: a number that is not finite becomes its name."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _time(result: Result) -> str:
    if result.seconds is None:
        return "failed"
    return f"{result.seconds:.3g} ({result.runs})" if result.runs else f"> {result.seconds:.3g} (0)"


def _megabytes(result: Result) -> float | None:
    return None if result.peak_bytes is None else result.peak_bytes / 1e6


def _cell(number: float | None, form: str, unit: str = "") -> str:
    return "-" if number is None else f"{number:{form}}{unit}"
