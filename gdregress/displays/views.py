"""The two views of a path over a surface: contours from above, and a relief in three dimensions."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gdregress.displays.drawing import GREY, RED, pyplot

LEVELS, LEVELS_PER_DECADE = 15, 4
"""Number of contours, and contours per decade of the height above the minimum: valley and slopes are both visible."""

FILLS, STEMS = 40, 12
"""Numbers of epochs whose own heights are shown: by fills on contours, by lines down to a surface."""

CUT = 2.0
"""Most height of the axis, as a multiple of the surface or of the path's lowest point: a path may start far above."""


class Contours:
    """The surface from above. A point of the path is filled with the colour of its own height."""

    kind, noun, n_dimensions = "contour", "contours", 2
    subplot_kw: ClassVar[dict[str, Any] | None] = None
    n_ticks, n_legend_columns = 5, 3
    untitled: ClassVar[dict[str, str]] = {}  # labels of axes that say no more than a title beside them
    legend_place: ClassVar[dict[str, Any]] = {  # within the axes it would hide a part of the path
        "loc": "lower center",
        "bbox_to_anchor": (0.5, 1.0),
        "columnspacing": 1.0,
        "handletextpad": 0.4,
    }

    def draw(self, display: Any, ax: Any, size: str) -> Any:
        """Draw the surface, and return its artist."""
        levels, colors = self._levels(display)
        above = np.maximum(display.values - display.minimum_value, 0.0)
        contours = ax.contourf(display.first, display.second, above, [0.0, *levels], colors=colors[:-1])
        ax.contour(display.first, display.second, above, levels, colors=GREY, linewidths=0.4)
        ax.set_xlim(display.first[0], display.first[-1])
        ax.set_ylim(display.second[0], display.second[-1])
        exponents = np.rint(LEVELS_PER_DECADE * np.log10(levels)).astype(int)
        decades = exponents[exponents % LEVELS_PER_DECADE == 0] // LEVELS_PER_DECADE
        bar = ax.figure.colorbar(contours, ax=ax)
        bar.set_ticks(10.0**decades, labels=[f"$10^{{{decade}}}$" for decade in decades])
        bar.set_label(f"{display.loss_name}\nabove its minimum", fontsize=size)
        return contours

    def draw_path(self, display: Any, ax: Any) -> None:
        """Draw the path; its points are filled with the colours of their own heights."""
        levels, colors = self._levels(display)
        shown = evenly(len(display.path), FILLS)
        above = np.searchsorted(levels, display.path_objective[shown] - display.minimum_value)
        display.fills_ = ax.scatter(
            *inside(display)[shown].T,
            s=16,
            facecolors=[colors[level] for level in above],
            edgecolors=RED,
            linewidths=0.6,
            zorder=5.5,
            label="epochs (fill: own height)",
        )
        display.path_ = path_line(ax, self.along(display, ax))

    def along(self, display: Any, ax: Any) -> NDArray:
        """Return the points of the path where they are drawn, of shape (n_points, 2)."""
        return inside(display)

    def lowest(self, display: Any) -> NDArray:
        """Return the place of the minimum."""
        return display.minimum

    def label(self, ax: Any, names: tuple[str, str], size: str) -> None:
        """Name the two coefficients."""
        ax.set(xlabel=names[0], ylabel=names[1])

    def move(self, line: Any, points: NDArray) -> None:
        """Let a line go through other points."""
        line.set_data(*points.T)

    def follow(self, display: Any, points: NDArray, frame: int) -> None:
        """Show the path's own heights up to a frame of an animation."""
        shown = evenly(len(points), FILLS)
        display.fills_.set_offsets(points[shown[shown <= frame]])

    @staticmethod
    def _levels(display: Any) -> tuple[NDArray, list[Any]]:
        """Return the heights of the contours above the minimum, and the colours below, between and above them."""
        top = np.ceil(LEVELS_PER_DECADE * np.log10((display.values - display.minimum_value).max()))
        levels = 10.0 ** (np.arange(top - LEVELS + 1, top + 1) / LEVELS_PER_DECADE)
        return levels, ["white", *pyplot().get_cmap("Blues")(np.linspace(0.1, 0.75, len(levels)))]


class Relief:
    """The surface in three dimensions. A point of the path is at its own height, with a line down to its place."""

    kind, noun, n_dimensions = "surface", "surface", 3
    subplot_kw: ClassVar[dict[str, Any] | None] = {"projection": "3d"}
    n_ticks, n_legend_columns = 4, 2
    untitled: ClassVar[dict[str, str]] = {"zlabel": ""}  # the name of the loss
    legend_place: ClassVar[dict[str, Any]] = {"loc": "upper center"}

    def draw(self, display: Any, ax: Any, size: str) -> Any:
        """Draw the surface, and return its artist."""
        first, second = np.meshgrid(display.first, display.second)
        surface = ax.plot_surface(
            first, second, display.values, cmap="Blues", alpha=0.6, linewidth=0, rcount=40, ccount=40
        )
        ax.set_zlabel(display.loss_name.replace(" and ", "\nand "), labelpad=14, fontsize=size)
        ax.tick_params(axis="z", pad=7)
        ax.set_box_aspect(None, zoom=0.8)  # leaves room for the labels, which the layout does not see
        own = display.path_objective[np.isfinite(inside(display)[:, 0])]
        low = min(display.values.min(), display.minimum_value, own.min())
        tall = CUT * max(display.values.max() - low, own.min() - low)
        ax.set_zlim(low, max(display.values.max(), min(own.max(), low + tall)))
        return surface

    def draw_path(self, display: Any, ax: Any) -> None:
        """Draw the path, its places on the surface and lines down to some of them."""
        shown = evenly(len(display.path), STEMS)
        seen, below = self.along(display, ax), self._below(display)
        display.path_ = path_line(ax, seen, marker="o", label="epochs, at their own heights")
        (display.shadow_,) = ax.plot(*below.T, color=GREY, linewidth=1.2, label="their places on the surface")
        stems = np.stack([seen, below, np.full_like(below, np.nan)], axis=1)[shown].reshape(-1, 3)
        (display.stems_,) = ax.plot(*stems.T, color=GREY, linewidth=0.6)

    def along(self, display: Any, ax: Any) -> NDArray:
        """Return the points of the path where they are drawn, of shape (n_points, 3); none above the axes."""
        top = ax.get_zlim()[1]
        heights = np.where(display.path_objective <= top, display.path_objective, np.nan)
        return np.column_stack([inside(display), heights])

    def lowest(self, display: Any) -> NDArray:
        """Return the place of the minimum."""
        return np.append(display.minimum, display.minimum_value)

    def label(self, ax: Any, names: tuple[str, str], size: str) -> None:
        """Name the two coefficients."""
        ax.set_xlabel(names[0], labelpad=9, fontsize=size)
        ax.set_ylabel(names[1], labelpad=9, fontsize=size)

    def move(self, line: Any, points: NDArray) -> None:
        """Let a line go through other points."""
        line.set_data_3d(*points.T)

    def follow(self, display: Any, points: NDArray, frame: int) -> None:
        """Show the places on the surface up to a frame of an animation, and the line down from its point."""
        below = self._below(display)
        display.shadow_.set_data_3d(*below[: frame + 1].T)
        display.stems_.set_data_3d(*np.stack([points[frame], below[frame]]).T)

    @staticmethod
    def _below(display: Any) -> NDArray:
        """Return the path's places on the surface, of shape (n_points, 3)."""
        return np.column_stack([inside(display), display.path_values])


VIEWS: dict[str, Contours | Relief] = {view.kind: view for view in (Contours(), Relief())}
"""The views of a surface by their `kind`."""


def view_of(kind: str) -> Contours | Relief:
    """Return the view of a kind; raise a ValueError if there is none."""
    if kind not in VIEWS:
        raise ValueError(f"kind={kind!r} is neither 'contour' nor 'surface': use one of them.")
    return VIEWS[kind]


def path_line(ax: Any, points: NDArray, **style: Any) -> Any:
    """Draw the line of a path through points of shape (n_points, n_dimensions), and return it."""
    (line,) = ax.plot(*points.T, color=RED, markersize=3, linewidth=0.6, zorder=5, **style)
    return line


def inside(display: Any) -> NDArray:
    """Return the path, with NaN where it leaves the surface."""
    low, high = np.transpose([(values[0], values[-1]) for values in (display.first, display.second)])
    return np.where(np.all((display.path >= low) & (display.path <= high), axis=1, keepdims=True), display.path, np.nan)


def evenly(n_points: int, n_shown: int) -> NDArray:
    """Return up to `n_shown` indices evenly spaced on a logarithmic axis, the first and the last included."""
    if n_points <= n_shown:
        return np.arange(n_points)
    return np.unique(np.rint(np.geomspace(1, n_points, n_shown)).astype(int)) - 1
