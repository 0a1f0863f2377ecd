"""Every problem with every solver, and how cost grows: printed, and written to a folder."""

from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import joblib
import pandas as pd
from scipy import sparse

from benchmarks import report
from benchmarks.measure import measure
from benchmarks.problems import CURVES, GRAM, OURS, PROBLEMS, Curve, Problem
from benchmarks.score import best_constant_value, excess, least_squares, objective_value
from benchmarks.solvers import CLOSE, SOLVERS, missing

SLOW_SECONDS = 5.0
"""Seconds of a fit at which a curve ends."""

FIGURES = (
    *("seconds", "runs", "complaints", "peak_bytes", "busy_cores", "epochs", "converged"),
    *("objective", "zeros", "coef. error", "pred. error"),
)
"""What is told of each solver, where it is known."""

STANDINGS = ("ahead", "behind")
"""Names of the tables of where ours is the fastest near the minimum, and where it is not."""

NAMES = (*(problem.name for problem in PROBLEMS), *(curve.name for curve in CURVES))
"""All that can be asked for: problems, and what grows."""


def run(names: list[str] | None, solvers: list[str] | None, *, quick: bool, repeats: int | None, output: Path) -> int:
    """Run problems, print how all did, and write ``results.csv``, ``tables.md``, where ours stands, and the plots.

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
    if quick and repeats is None:
        repeats = 1
    output.mkdir(parents=True, exist_ok=True)
    sections, frames = [report.machine()], []
    print(*sections, flush=True)

    def publish(section: str, frame: pd.DataFrame) -> None:
        """Print a section, and write all so far: what is known stays known if something breaks later."""
        print(f"\n{section}", flush=True)
        sections.append(section)
        frames.append(frame)
        (output / "tables.md").write_text("\n\n".join(sections) + "\n")
        pd.concat(frames).to_csv(output / "results.csv", index=False)

    for problem in PROBLEMS:
        if names is None or problem.name in names:
            frame = contest(problem.quick() if quick else problem, solvers, repeats)
            if len(frame):
                publish(report.section(frame), frame)
    contests = list(frames)
    for curve in CURVES:
        if names is None or curve.name in names:
            frame = grow(curve, solvers, quick=quick, repeats=repeats)
            if len(frame):
                publish(report.curve_section(curve, frame), frame)
                report.draw(curve, frame, output / f"{curve.name}.svg")
    if contests:
        for name, table in zip(STANDINGS, report.standings(pd.concat(contests)), strict=True):
            print(f"\n{name.capitalize()}:\n\n{table}", flush=True)
            (output / f"{name}.md").write_text(f"{table}\n")
    print(f"\nThe tables, results.csv and the plots are in {output}.")
    return int(any(frame["is_wrong"].any() for frame in frames))


def contest(problem: Problem, chosen: list[str] | None, repeats: int | None = None) -> pd.DataFrame:
    """Measure every solver of a problem, score them by the same objective, and give a row for each.

    Parameters
    ----------
    problem : Problem
        What is to be solved.
    chosen : list of str or None
        Solvers of interest; None for all.
    repeats : int, default=None
        Fits of which the fastest counts; None leaves it to the problem.
    """
    names = [name for name in problem.solvers if chosen is None or name in chosen]
    if all(missing(name) for name in names):
        return pd.DataFrame()
    data = problem.data()
    measured = {}
    with TemporaryDirectory() as folder:
        file = Path(folder) / "data"
        joblib.dump(tuple(data), file)
        for name in names:
            if not missing(name):
                measured[name] = measure(SOLVERS[name](problem), file, repeats or problem.repeats)
    n, p = problem.shape
    is_full_rank = n > p and not sparse.issparse(data.X)
    has_reference = problem.objective.is_least_squares and is_full_rank and data.unseen is None
    reference = least_squares(data) if has_reference else None
    rows = []
    for name in names:
        row = {"problem": str(problem), "n": n, "p": p, "solver": name, "missing": missing(name)}
        if name in measured:
            row |= asdict(measured[name])
            coef, intercept = row.pop("coef"), row.pop("intercept")
            if coef is not None:
                row["objective"] = objective_value(problem.objective, data, coef, intercept)
                row["zeros"] = int((coef == 0).sum()) if problem.objective.penalty == "l1" else None
                if reference is not None:
                    row["coef. error"] = reference.coefficient_error(coef)
                    row["pred. error"] = reference.prediction_error(coef, intercept)
        rows.append(row)
    frame = pd.DataFrame(rows).reindex(columns=["problem", "n", "p", "solver", "missing", *FIGURES])
    of_constant, best = best_constant_value(problem.objective, data), frame["objective"].min()
    frame["excess"] = [excess(value, best, of_constant) for value in frame["objective"]]
    seconds = frame.set_index("solver")["seconds"]
    for unit, name in ((GRAM, GRAM), (OURS, "ours")):
        if unit in seconds:
            frame[f"time / {name}"] = frame["seconds"] / seconds[unit]
    is_ours = frame["solver"].str.startswith(OURS)
    error = frame["excess"] if reference is None else frame["pred. error"]
    arrived = frame["converged"].eq(True) & (data.unseen is None)
    frame["is_wrong"] = is_ours & (frame["seconds"].isna() | (arrived & ~(error <= CLOSE)))
    return frame


def grow(curve: Curve, chosen: list[str] | None, *, quick: bool, repeats: int | None) -> pd.DataFrame:
    """Measure the problems of a curve as `contest` does; a solver whose fits become slow drops out."""
    frames = []
    running = chosen
    for size in curve.sizes[: 3 if quick else None]:
        problem = curve.at(size)
        frame = contest(problem.quick() if quick else problem, running, repeats).assign(size=size)
        frames.append(frame)
        if frame.empty:
            break
        running = list(frame["solver"][frame["seconds"] < SLOW_SECONDS])
    return pd.concat(frame for frame in frames if len(frame)) if len(frames[0]) else frames[0]
