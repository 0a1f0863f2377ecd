"""The animation of a descent: panels that are drawn once, and moved from epoch to epoch."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from gdregress.displays.drawing import GREEN, GREY, ORANGE, pyplot
from gdregress.displays.views import Contours, Relief, evenly, inside

Move = Callable[[int], None]
"""Function that moves what a panel shows to an epoch of those that are shown."""


def animated(display: Any, view: Contours | Relief, interval: int, max_frames: int) -> Any:
    """Return the animation of a `LossSurfaceDisplay` in one of its views: see `LossSurfaceDisplay.animate`."""
    plt = pyplot()
    from matplotlib.animation import FuncAnimation

    figure = plt.figure(figsize=(9.0, 4.5), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1.15, 1.0])
    surface = left.subplots(subplot_kw=view.subplot_kw)
    upper, *lower = right.subplots(3, 1, height_ratios=[2, 1, 1])
    moves = [
        _draw_point(display, view, surface),
        display.data.draw(upper, display.names[0]),
        _draw_derivatives(display, lower),
    ]
    title = left.suptitle("", fontsize="medium")

    def show(frame: int) -> None:
        for move in moves:
            move(frame)
        objective = f"{display.loss_name} {display.path_objective[frame]:.6g}"
        title.set_text(f"epoch {display.epochs[frame]}, {objective}")

    frames = evenly(len(display.path), max_frames)
    show(int(frames[-1]))
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # one layout is enough: only the lines change
    return FuncAnimation(figure, show, frames=frames, interval=interval)


def _draw_point(display: Any, view: Contours | Relief, ax: Any) -> Move:
    """Draw the surface, with the path up to an epoch and a point there."""
    display.plot(ax, kind=view.kind)
    ax.set(**view.untitled)
    nowhere = np.empty((view.n_dimensions, 0))
    (here,) = ax.plot(*nowhere, "o", color=ORANGE, markeredgecolor="black", markersize=8, zorder=7)
    seen = view.along(display, ax)

    def move(frame: int) -> None:
        view.move(display.path_, seen[: frame + 1])
        view.move(here, seen[frame : frame + 1])
        if display.others is not None:
            view.follow(display, seen, frame)

    return move


def _draw_derivatives(display: Any, several: Iterable[Any]) -> Move:
    """Draw the two derivatives up to an epoch, each on axes of its own."""
    first, last = several
    slopes, shown = [], ~np.isnan(inside(display)[:, 0])
    for ax, name, slope in zip((first, last), display.names, display.derivatives.T, strict=True):
        ax.axhline(0.0, color=GREY, linewidth=0.6)
        bound = 1.1 * np.abs(slope[shown & np.isfinite(slope)]).max(initial=0.0) or 1.0
        ax.set_ylim(-bound, bound)
        ax.set_title(f"derivative along {name}", fontsize="small", loc="left")
        slopes.append(ax.plot([], [], color=GREEN)[0])
    first.tick_params(labelbottom=False)
    last.set_xlabel("epoch")

    def move(frame: int) -> None:
        for slope, values in zip(slopes, display.derivatives.T, strict=True):
            slope.set_data(display.epochs[: frame + 1], values[: frame + 1])
            slope.axes.set_xlim(0, max(1, display.epochs[frame]))

    return move
