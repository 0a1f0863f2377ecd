"""Display of the errors and times of the solvers of a comparison."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdregress.displays.drawing import BLUE, GREY, RED, axes_or_new, type_size

LEAST = 1e-16
"""Least error that is shown, also for an error of zero."""


class ComparisonDisplay:
    """The prediction error of each solver on a logarithmic axis, and its time.

    Use ``compare(X, y).plot()`` to make one.

    Parameters
    ----------
    solvers : list of str
        Names of the solvers.
    errors : ndarray of shape (n_solvers,)
        Weighted root-mean-square distance of the predictions from those of the closed form, in standard
        deviations of y.
    seconds : ndarray of shape (n_solvers,)
        Time of a fit in seconds.
    failed : list of str, default=()
        Names of solvers that failed.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes drawn on.
    figure_ : matplotlib Figure
        The figure of these axes.
    points_ : matplotlib PathCollection
        A point for each solver that did not fail.
    texts_ : list of matplotlib Text
        The error and the time beside each solver, or that it failed.

    Examples
    --------
    >>> from gdregress import compare, load_house_prices
    >>> display = compare(*load_house_prices(return_X_y=True)).plot()  # doctest: +SKIP
    """

    def __init__(self, *, solvers: list[str], errors: NDArray, seconds: NDArray, failed: Sequence[str] = ()):
        self.solvers = solvers
        self.errors = errors
        self.seconds = seconds
        self.failed = failed

    def plot(self, ax: Any = None) -> "ComparisonDisplay":
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None for a new figure.

        Returns
        -------
        self : ComparisonDisplay
            This display.
        """
        names = [*self.solvers, *self.failed]
        ax = axes_or_new(ax, figsize=(7.0, 1.2 + 0.45 * len(names)))
        size = type_size(ax)
        places, n_ran = np.arange(len(names)), len(self.solvers)
        shown = np.maximum(self.errors, LEAST)
        ax.hlines(places[:n_ran], LEAST, shown, color=GREY, linewidth=1)
        colors = [BLUE if place == 0 else GREY for place in places[:n_ran]]
        self.points_ = ax.scatter(shown, places[:n_ran], color=colors, zorder=3, clip_on=False)
        said = [
            f"{error:.1e}".replace("0.0e+00", "0") + f",  {_time(seconds)}"
            for error, seconds in zip(self.errors, self.seconds, strict=True)
        ]
        self.texts_ = [
            ax.text(1.02, place, words, transform=ax.get_yaxis_transform(), va="center", fontsize=size, color=color)
            for place, words, color in zip(
                places,
                [*said, *("failed" for _ in self.failed)],
                [None] * n_ran + [RED] * len(self.failed),
                strict=True,
            )
        ]
        ax.set_yticks(places, [name.replace(" + ", "\n+ ") for name in names])
        ax.set_ylim(len(places) - 0.5, -0.5)
        ax.set_xscale("log")
        most = max([1e-15, *shown[np.isfinite(shown)]])
        ax.set_xlim(LEAST / 2, most * (most / LEAST) ** 0.05)
        ax.locator_params(axis="x", numticks=int(ax.bbox.width / ax.figure.dpi))
        ax.set_xlabel("distance from the closed form\n(standard deviations of y)")
        ax.text(1.02, 1.02, "error,  time", transform=ax.transAxes, va="bottom", color=GREY, fontsize=size)
        ax.tick_params(labelsize=size)
        ax.grid(axis="x", alpha=0.3)
        ax.spines[["top", "right"]].set_visible(False)
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _time(seconds: float) -> str:
    """Format a time in seconds, or in milliseconds if it is less than one second."""
    number, unit = (seconds, "s") if seconds >= 1 else (1e3 * seconds, "ms")
    return f"{number:.0f} {unit}" if number >= 10 else f"{number:.2g} {unit}"
