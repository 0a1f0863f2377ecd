"""The plots: three of growing cost, and one of time against error for each problem."""

from collections.abc import Iterable
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from benchmarks.contest import Contest
from benchmarks.problems import GRAM, OURS
from benchmarks.scaling import AXES, Curves

SIZE = (7.0, 4.2)
"""Inches: 700 pixels wide at 100 dots per inch."""

STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.9",
    "svg.hashsalt": "gdregress",
}

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Those that Okabe and Ito chose for all kinds of colour vision; the first is ours."""

MARKERS = "osD^vP*X<>hdp"

LABEL_STEP = 0.11
"""Least distance between labels of two lines, as a share of the height of the axes."""

SMALLEST = 1e-17
"""Error that stands for all that are smaller, zero among them."""

ERRORS = {
    "prediction_error": "distance from least squares, standard deviations of y",
    "excess": "objective above the lowest, relative",
}
"""What stands beside the axis of an error."""


def draw_curves(curves: Curves, file: Path) -> None:
    """Draw times against what grows, each line with its last time beside it."""
    n, p = curves.shape
    lines = {solver: points for solver, points in curves.lines.items() if points}
    if not lines:
        return
    styles = _styles(solver for axis in AXES for solver in axis.problem.solvers)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        axes.set(xscale="log", yscale="log", xlabel=curves.axis.label, ylabel="seconds")
        axes.set_title(curves.axis.title.format(n=n, p=p), loc="left", fontsize=11)
        for solver, points in lines.items():
            color, marker = styles[solver]
            is_ours = solver == OURS
            axes.plot(
                [point.size for point in points],
                [point.seconds for point in points],
                color=color,
                marker=marker,
                markersize=5,
                linewidth=2.4 if is_ours else 1.4,
                zorder=3 if is_ours else 2,
            )
        axes.set_ylim(_decades([point.seconds for points in lines.values() for point in points]))
        _label_ends(axes, lines, styles)
        _save(figure, file)


def draw_contest(contest: Contest, file: Path) -> None:
    """Draw error against time over ours, which is ringed: the lower and the further to the left, the better."""
    error = "prediction_error" if contest.problem.objective.is_least_squares else "excess"
    shown = [
        result for result in contest.results if result.time_to_ours is not None and _is_finite(getattr(result, error))
    ]
    if not shown:
        return
    n, p = contest.problem.shape
    styles = _styles(result.solver for result in shown)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        axes.set(xscale="log", yscale="log", xlabel=f"time / {OURS}", ylabel=ERRORS[error])
        axes.set_title(f"{contest.problem.name}: {n:,} x {p:,}", loc="left", fontsize=11)
        heights = [max(getattr(result, error), SMALLEST) for result in shown]
        times = [result.time_to_ours for result in shown]
        for result, time, height in zip(shown, times, heights, strict=True):
            color, marker = styles[result.solver]
            ring = {"markersize": 13, "fillstyle": "none", "markeredgewidth": 2.5} if result.solver == OURS else {}
            axes.plot(time, height, marker, color=color, label=result.solver, **{"markersize": 8} | ring)
        if SMALLEST in heights:
            axes.axhline(SMALLEST, color="0.6", linewidth=1, linestyle=":", zorder=0)
            axes.set_title(f"dotted: {SMALLEST:g} and below", loc="right", fontsize=8, color="0.4")
        axes.set(xlim=_decades(times), ylim=_decades(heights))
        figure.legend(loc="outside right upper", frameon=False, fontsize=8.5, labelspacing=0.8)
        _save(figure, file)


def _is_finite(value: float | None) -> bool:
    return value is not None and bool(np.isfinite(value))


def _decades(values: list[float]) -> tuple[float, float]:
    """Give whole powers of ten around values, so that none is without a tick or at the edge."""
    return 10 ** np.floor(np.log10(min(values) / 1.5)), 10 ** np.ceil(np.log10(1.5 * max(values)))


def _styles(solvers: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Give each solver a colour and a marker: ours the first, the others in their order, the product grey."""
    others = [solver for solver in dict.fromkeys(solvers) if solver not in (OURS, GRAM)]
    styles = {OURS: (COLORS[0], MARKERS[0]), GRAM: ("0.45", MARKERS[1])}
    for k, solver in enumerate(others):
        styles[solver] = (COLORS[1 + k % (len(COLORS) - 1)], MARKERS[2 + k % (len(MARKERS) - 2)])
    return styles


def _label_ends(axes, lines: dict, styles: dict) -> None:
    """Write name and last time at the right, in the order of the ends of the lines, and lead there from them."""
    axes.autoscale_view()
    to_share = axes.transScale + axes.transLimits
    ends = {solver: (points[-1].size, points[-1].seconds) for solver, points in lines.items()}
    heights = _spread({solver: float(to_share.transform(end)[1]) for solver, end in ends.items()})
    for solver, end in ends.items():
        color = styles[solver][0]
        leader = {"arrowstyle": "-", "color": color, "linewidth": 0.8, "linestyle": ":", "relpos": (0, 0.5)}
        axes.annotate(
            f"{solver}\n{end[1]:.2g} s",
            xy=end,
            xytext=(1.08, heights[solver]),
            textcoords="axes fraction",
            color=color,
            fontsize=8.5,
            va="center",
            arrowprops=leader | {"shrinkA": 0, "shrinkB": 4},
        )


def _spread(heights: dict[str, float]) -> dict[str, float]:
    """Move labels apart: upwards from the lowest, and back down where that leads above the axes."""
    ordered = sorted(heights, key=heights.__getitem__)
    moved: dict[str, float] = {}
    lowest = 0.05
    for solver in ordered:
        moved[solver] = max(heights[solver], lowest)
        lowest = moved[solver] + LABEL_STEP
    highest = 0.95
    for solver in reversed(ordered):
        moved[solver] = min(moved[solver], highest)
        highest = moved[solver] - LABEL_STEP
    return moved


def _save(figure: Figure, file: Path) -> None:
    """Write the same bytes for the same numbers."""
    figure.savefig(file, dpi=100, metadata={"Date": None} if file.suffix == ".svg" else None)
