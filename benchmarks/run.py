"""Every problem with every solver, and how cost grows: printed, and written to a folder."""

import json
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from benchmarks import machine, tables
from benchmarks.contest import competitors, hold
from benchmarks.measure import Effort
from benchmarks.problems import PROBLEMS
from benchmarks.report import (
    Rows,
    as_section,
    as_text,
    contest_notes,
    contest_rows,
    contest_title,
    curve_rows,
    curve_title,
    plain,
)
from benchmarks.scaling import AXES, grow

REAL = "real"
"""Name of the problem that is many: the tables that come inside `REAL_PACKAGES`."""

REAL_PACKAGES = ("sklearn", "statsmodels")

NAMES = (*(problem.name for problem in PROBLEMS), REAL, *(axis.name for axis in AXES))
"""All that can be asked for: problems, and what grows."""

SLOW_SECONDS = 5.0
"""Seconds of a fit at which a curve ends."""


def run(names: list[str] | None, solvers: list[str] | None, *, quick: bool, repeats: int | None, output: Path) -> int:
    """Run problems, print how all did, and write ``results.json``, ``tables.md`` and the plots.

    Parameters
    ----------
    names : list of str or None
        Problems, of `NAMES`; None for all.
    solvers : list of str or None
        Solvers, of those that the problems name; None for all.
    quick : bool
        Whether sizes are small, to see that all works: the figures mean little.
    repeats : int or None
        Fits of which the fastest counts; None leaves it to each problem.
    output : Path
        Folder for the files; made if it is not there.

    Returns
    -------
    status : int
        1 if ours failed, or says that it arrived where it did not, else 0.
    """
    effort = Effort(repeats, 0.1, 3.0) if quick else Effort(repeats, 20.0, 60.0)
    output.mkdir(parents=True, exist_ok=True)
    draw_contest, draw_curves = _plotters()
    setting = machine.describe()
    content: dict = {"machine": setting, "quick": quick, "contests": [], "curves": [], "tables": []}
    sections = [machine.sentence(setting)]
    print(*sections, "", sep="\n", flush=True)
    is_right = True

    def say(title: str, rows: Rows, notes: list[str]) -> None:
        """Print a section, and write all so far: what is known stays known if something breaks later."""
        print(as_text(title, rows, notes), flush=True)
        sections.append(as_section(title, rows, notes))
        (output / "results.json").write_text(json.dumps(plain(content), indent=2, allow_nan=False) + "\n")
        (output / "tables.md").write_text("\n\n".join(sections) + "\n")

    for problem in _chosen(PROBLEMS, names):
        sized = replace(problem, shape=problem.quick_shape) if quick else problem
        installed, missing = competitors(sized, solvers)
        if installed:
            contest = hold(sized, installed, effort)
            is_right &= not any(result.is_wrong for result in contest.results)
            content["contests"].append(contest.as_dict())
            say(contest_title(contest), contest_rows(contest), contest_notes(contest, missing))
            draw_contest(contest, output / f"{problem.name}.svg")
    if names is None or REAL in names:
        packages = [name for name in REAL_PACKAGES[: 1 if quick else None] if find_spec(name)]
        survey = tables.survey(packages) if find_spec("pandas") else []
        if survey:
            is_right &= all(result.is_right for result in survey)
            content["tables"] = tables.as_dicts(survey)
            say(f"{REAL}: {len(survey)} tables of {' and '.join(packages)}, as they are", tables.summary(survey), [])
        else:
            print(f"{REAL}: left out, pandas is not installed.\n")
    for axis in _chosen(AXES, names):
        installed, _ = competitors(axis.problem, solvers)
        if installed:
            curves = grow(axis, installed, replace(effort, repeats=repeats or 3), slow=SLOW_SECONDS, quick=quick)
            content["curves"].append(curves.as_dict())
            say(curve_title(curves), curve_rows(curves), [])
            draw_curves(curves, output / f"{axis.name}.svg")
    print(f"results.json, tables.md and plots are in {output}.")
    return 0 if is_right else 1


def _plotters() -> tuple[Callable, Callable]:
    """Give what draws contests and curves; nothing is drawn where matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        print("Plots are left out: matplotlib is not installed.\n")
        return lambda *_: None, lambda *_: None
    from benchmarks import plots

    return plots.draw_contest, plots.draw_curves


def _chosen(things: tuple, names: list[str] | None) -> list:
    return [thing for thing in things if names is None or thing.name in names]
