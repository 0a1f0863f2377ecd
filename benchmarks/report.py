"""Contests as tables of Markdown, and the plots of growing cost."""

import os
import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
from threadpoolctl import threadpool_info

from benchmarks.problems import GRAM, OURS, Curve

PACKAGES = ("gdregress", "numpy", "scipy", "scikit-learn", "scikit-learn-intelex", "celer", "torch")
"""Those whose versions matter, installed or not."""

COLUMNS: dict[str, tuple[str, Callable[[float], str]]] = {
    f"time / {GRAM}": (f"time / {GRAM}", "{:.2f}".format),
    "time / ours": ("time / ours", "{:.2f}".format),
    "excess": ("excess", "{:.1e}".format),
    "coef. error": ("coef. error", "{:.1e}".format),
    "pred. error": ("pred. error", "{:.1e}".format),
    "peak_bytes": ("peak MB", lambda size: f"{size / 1e6:.0f}"),
    "busy_cores": ("busy cores", "{:.1f}".format),
    "epochs": ("epochs", "{:.0f}".format),
    "converged": ("converged", lambda converged: "yes" if converged else "no"),
    "zeros": ("zeros", "{:.0f}".format),
}
"""Head and form of each figure; a column without any value is left out."""

NEAR = 1e-3
"""Largest excess of a solver that is near the minimum."""

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Those that Okabe and Ito chose for all kinds of colour vision; the first is ours."""

STYLE = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "0.9"}


def machine() -> str:
    """Say what the figures were measured on."""
    info = Path("/proc/cpuinfo")
    models = [line for line in info.read_text().splitlines() if "model name" in line] if info.exists() else []
    processor = models[0].split(": ")[1] if models else platform.processor() or platform.machine()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = {pool["prefix"]: f"{pool['prefix']} on {pool['num_threads']} threads" for pool in threadpool_info()}
    versions = [f"python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return f"{processor}, {cores} cores, {', '.join(threads.values())}; {', '.join(versions)}."


def section(frame: pd.DataFrame) -> str:
    """Write the table of a contest, and below it who was left out and what each complained of."""
    ran = frame[frame["missing"] == ""]
    table = {"solver": list(ran["solver"]), "seconds (runs)": [_time(row) for _, row in ran.iterrows()]}
    for name, (head, form) in COLUMNS.items():
        if name in ran and ran[name].notna().any():
            table[head] = ["-" if pd.isna(value) else form(value) for value in ran[name]]
    notes = [f"- {row.solver}: left out, {row.missing} is not installed." for row in frame.itertuples() if row.missing]
    notes += [f"- {row.solver}: {row.complaints}" for row in ran.itertuples() if row.complaints]
    notes += [f"- {name}: failed, or says that it arrived and is wrong." for name in ran["solver"][ran["is_wrong"]]]
    parts = [f"### {frame['problem'].iloc[0]}", markdown(pd.DataFrame(table)), "\n".join(notes)]
    return "\n\n".join(part for part in parts if part)


def standings(frame: pd.DataFrame) -> tuple[str, str]:
    """Write two tables with a row for each problem: where ours is the fastest near the minimum, and where it is not."""
    rows = {True: [], False: []}
    for name, contest in frame[frame["missing"] == ""].groupby("problem", sort=False):
        near = contest[contest["runs"].gt(0) & contest["excess"].le(NEAR) & contest["solver"].ne(GRAM)]
        others = near[~near["solver"].str.startswith(OURS)].sort_values("seconds")
        for ours in contest[contest["solver"].eq(OURS) & contest["runs"].gt(0)].itertuples():
            short, text = str(name).split(": ", 1)
            best = others.iloc[0] if len(others) else None
            ratio = float("inf") if best is None else best["seconds"] / ours.seconds
            rows[ours.excess <= NEAR and ratio > 1].append(
                {
                    "problem": short,
                    "rows x columns, loss": text,
                    "seconds of ours": f"{ours.seconds:.3g}",
                    "excess of ours": f"{ours.excess:.1e}",
                    "fastest other solver near the minimum": "none" if best is None else best["solver"],
                    "its time / ours": ratio,
                    "its excess": "-" if best is None else f"{best['excess']:.1e}",
                }
            )
    return _standing(rows[True]), _standing(rows[False])


def title(curve: Curve, frame: pd.DataFrame) -> str:
    """Say what is measured; rows and columns are those of the first size."""
    return curve.title.format(n=frame["n"].iloc[0], p=frame["p"].iloc[0])


def curve_section(curve: Curve, frame: pd.DataFrame) -> str:
    """Write a table of a row a size, with the seconds of each solver, and its excess in brackets."""
    cells = frame[["size", "solver"]].assign(
        cell=[
            f"{row.seconds:.3g} ({'-' if pd.isna(row.excess) else f'{row.excess:.0e}'})" if row.runs else "-"
            for row in frame.itertuples()
        ]
    )
    table = cells.pivot(index="size", columns="solver", values="cell")[list(frame["solver"].unique())]
    head = f"### {title(curve, frame)}, against {curve.label}: seconds (excess)"
    return f"{head}\n\n{markdown(table.fillna('-').reset_index(names=curve.name))}"


def markdown(frame: pd.DataFrame) -> str:
    """Write a table that is readable as it is: the first column to the left, the others to the right."""
    rows = [list(frame.columns), *frame.astype(str).to_numpy().tolist()]
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = [
        [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        for row in rows
    ]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])


def draw(curve: Curve, frame: pd.DataFrame, file: Path) -> None:
    """Draw times against what grows, where matplotlib is installed; ours is drawn thicker."""
    if find_spec("matplotlib") is None:
        return
    import matplotlib as mpl
    from matplotlib.figure import Figure

    ran = frame[frame["runs"].gt(0)]
    others = [solver for solver in ran["solver"].unique() if solver not in (OURS, GRAM)]
    colors = dict(zip([OURS, *others], COLORS, strict=False)) | {GRAM: "0.45"}
    with mpl.rc_context(STYLE | {"svg.hashsalt": "gdregress"}):
        figure = Figure(figsize=(7.0, 4.2), layout="constrained")
        axes = figure.subplots()
        axes.set(xscale="log", yscale="log", xlabel=curve.label, ylabel="seconds")
        axes.set_title(title(curve, frame), loc="left", fontsize=11)
        slowest_first = ran.groupby("solver")["seconds"].last().sort_values(ascending=False)
        for solver in slowest_first.index:
            line = ran[ran["solver"] == solver]
            width = 2.4 if solver == OURS else 1.4
            axes.plot(line["size"], line["seconds"], "o-", color=colors[solver], linewidth=width, label=solver, ms=5)
        figure.legend(loc="outside right center", frameon=False, fontsize=8.5)
        # Without a date the same numbers give the same bytes.
        figure.savefig(file, dpi=100, metadata={"Date": None})


def _standing(rows: list[dict[str, object]]) -> str:
    """Write the rows of one table of `standings`, the one furthest ahead first."""
    if not rows:
        return "none"
    frame = pd.DataFrame(rows).sort_values("its time / ours", ascending=False, kind="stable")
    frame["its time / ours"] = ["-" if ratio == float("inf") else f"{ratio:.2f}" for ratio in frame["its time / ours"]]
    return markdown(frame)


def _time(row: pd.Series) -> str:
    if pd.isna(row["seconds"]):
        return "failed"
    return f"{row['seconds']:.3g} ({row['runs']:.0f})" if row["runs"] else f"> {row['seconds']:.3g} (0)"
