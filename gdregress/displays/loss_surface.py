"""Display of the path of a descent over the surface of its objective, and its animation."""

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator
from sklearn.utils.validation import validate_data

from gdregress.displays.drawing import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    axes_or_new,
    check_estimator,
    name_of_loss,
    pyplot,
    type_size,
)
from gdregress.displays.objective import RawObjective
from gdregress.rows.moments import Moments
from gdregress.rows.namespaces import to_host
from gdregress.rows.through import fetched

MOST_EPOCHS = 1000
"""Largest number of epochs shown; of more, those evenly spaced on a logarithmic axis are taken."""

NODES = 13
"""Values of each coefficient at which the others are fitted, if they are no linear function of the two."""

CROWDING = 4.0
"""How densely these values lie near the minimum: their spacing there is cosh(4) times smaller than at the ends."""

MARGIN = 0.15
"""Margin of the axes, as a share of the range of a coefficient."""

LEVELS, LEVELS_PER_DECADE = 15, 4
"""Number of contours, and contours per decade of the height above the minimum: valley and slopes are both visible."""

FILLS, STEMS = 40, 12
"""Numbers of epochs whose own heights are shown: by fills on contours, by lines down to a surface."""

CUT = 2.0
"""Most height of the axis, as a multiple of the surface or of the path's lowest point: a path may start far above."""

FAINT = 1e-6
"""Range of a coefficient that counts as zero, as a share of (deviation of y) / (deviation of its column)."""

FLAT = 1e-10
"""Least relative change of the objective over a surface: less may be the error of the fits of the others."""

ANOTHER = 1e-3
"""Relative difference of a loss from the recorded one that means other rows; float32 alone causes less."""


class LossSurfaceDisplay:
    """The surface of the objective over two coefficients, and the path of a descent over it.

    Use `from_estimator` to make one. The objective is that of the estimator: loss, weights and penalty.

    With more than two coefficients, the surface shows the lowest objective that the others allow. Along the path the
    others are not yet at their best, so the path lies above the surface, and meets it only at the minimum. The path may
    therefore cross contours uphill while its own objective falls. With ``others="fixed"`` the surface takes the others
    as fitted, and the path may lie on either side of it.

    Contours fill each point of the path with the colour of its own height. In three dimensions each point is at its own
    height, with a line on the surface that shows its place there. Points that are far above the surface are left out.

    Parameters
    ----------
    first, second : ndarray of shape (resolution,)
        Values of the two coefficients.
    values : ndarray of shape (resolution, resolution)
        The objective, with a row for each value of the second coefficient.
    path : ndarray of shape (n_points, 2)
        The two coefficients at the epochs shown, the start first.
    path_values : ndarray of shape (n_points,)
        Height of the surface at these points; for a point beyond the surface, that of its edge.
    path_objective : ndarray of shape (n_points,)
        Objective at these epochs, with all coefficients as they were.
    epochs : ndarray of shape (n_points,)
        Numbers of the epochs shown.
    derivatives : ndarray of shape (n_points, 2)
        Derivatives of the objective with respect to the two coefficients at these epochs, with all
        coefficients as they were.
    minimum : ndarray of shape (2,)
        The two coefficients at the minimum of the objective.
    minimum_value : float
        The objective at its minimum.
    names : tuple of str
        Names of the two coefficients.
    data : tuple of ndarray
        With one feature: its values, the targets, and the coefficient and intercept of each epoch.
        Otherwise: the targets, and the predictions at each epoch. Both hold the rows that an
        animation shows.
    others : {"optimal", "fixed"}, default=None
        How the other coefficients are chosen on the surface; None if there are no others.
    loss_name : str, default="mean loss"
        Name of the objective.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes drawn on.
    figure_ : matplotlib Figure
        The figure of these axes.
    surface_ : matplotlib QuadContourSet or Poly3DCollection
        The contours, or the surface.
    path_ : matplotlib Line2D
        The path, a point for each epoch.
    fills_ : matplotlib PathCollection or None
        The points of the path in the colours of their own heights; None if there are no other
        coefficients, or in three dimensions.
    shadow_, stems_ : matplotlib Line3D or None
        The path as it lies on the surface, and lines from some of its points down to there; None if
        there are no other coefficients, or in two dimensions.
    start_, minimum_ : matplotlib Line2D
        The marks of the start and of the minimum.

    Examples
    --------
    >>> from gdregress import GradientDescentRegressor, LossSurfaceDisplay, load_house_prices
    >>> X, y = load_house_prices(return_X_y=True)
    >>> model = GradientDescentRegressor(learning_rate=0.08, epochs=100, tol=None, record_path=True).fit(X, y)
    >>> display = LossSurfaceDisplay.from_estimator(model, X, y)  # doctest: +SKIP
    >>> display.animate().save("descent.gif", writer="pillow")  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        first: NDArray,
        second: NDArray,
        values: NDArray,
        path: NDArray,
        path_values: NDArray,
        path_objective: NDArray,
        epochs: NDArray,
        derivatives: NDArray,
        minimum: NDArray,
        minimum_value: float,
        names: tuple[str, str],
        data: tuple[NDArray, ...],
        others: str | None = None,
        loss_name: str = "mean loss",
    ):
        self.first = first
        self.second = second
        self.values = values
        self.path = path
        self.path_values = path_values
        self.path_objective = path_objective
        self.epochs = epochs
        self.derivatives = derivatives
        self.minimum = minimum
        self.minimum_value = minimum_value
        self.names = names
        self.data = data
        self.others = others
        self.loss_name = loss_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        coefficients: Sequence[int | str] | None = None,
        others: str = "optimal",
        target: int = 0,
        resolution: int = 80,
        ax: Any = None,
        kind: str = "contour",
    ) -> "LossSurfaceDisplay":
        """Draw the path of a fitted estimator.

        Parameters
        ----------
        estimator : GradientDescentRegressor
            The estimator, fitted with ``record_path=True``.
        X : {array-like, sparse matrix, array on a device} of shape (n_samples, n_features)
            The training rows. They are drawn from a copy on the host if they are on a device.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Their targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Their weights.
        coefficients : pair of int or str, default=None
            Numbers or names of two features, or ``"intercept"``. With one feature, None takes its
            coefficient and the intercept. Otherwise it takes the two coefficients that moved most,
            relative to the standard deviations of y and of their columns.
        others : {"optimal", "fixed"}, default="optimal"
            The other coefficients at each point of the surface: "optimal" minimises the objective over
            them, "fixed" takes the fitted ones. "optimal" costs 4 fits for squared error without L1 and
            `positive`, else 169. The surface interpolates between these fits: in the second case it may
            be a little too high, but never too low.
        target : int, default=0
            Number of the target, if there are several.
        resolution : int, default=80
            Number of points along each coefficient. The objective of all rows is evaluated at
            ``resolution**2`` points.
        ax : matplotlib Axes, default=None
            Axes to draw on; None for a new figure.
        kind : {"contour", "surface"}, default="contour"
            Contours, or a surface in three dimensions.

        Returns
        -------
        display : LossSurfaceDisplay
            The display that was drawn.

        Raises
        ------
        ValueError
            If no path was recorded, if `coefficients` are not two different ones of the estimator, or
            if the objective does not depend on them.

        Warns
        -----
        UserWarning
            If the loss on these rows is not the one that the fit recorded.
        """
        check_estimator(estimator)
        history = estimator.history_
        if "coef" not in history:
            raise ValueError("The path was not recorded: fit the estimator with record_path=True.")
        if resolution < 2:
            raise ValueError(f"resolution={resolution} draws no surface: use 2 points or more along each coefficient.")
        if others not in ("optimal", "fixed"):
            raise ValueError(f"others={others!r} is neither 'optimal' nor 'fixed': use one of them.")
        X = validate_data(estimator, fetched("X", X), accept_sparse="csr", dtype=np.float64, reset=False)
        objective = RawObjective(estimator, X, y, sample_weight, target=target)
        coef, intercept = history["coef"], history["intercept"]
        if coef.ndim == 3:
            coef, intercept = coef[:, target], intercept[:, target]
        shown = _evenly(len(coef), MOST_EPOCHS)
        points = objective.point(coef, intercept)
        unit = _units(objective.moments)[: points.shape[1]]
        chosen = _chosen(estimator, coefficients, points / unit)
        minimum = objective.minimum()
        _check_are_the_rows(objective, points, history["loss"])
        fell = history["loss"] <= history["loss"][0]
        first, second = (_range(points[:, each], minimum[each], unit[each], fell, resolution) for each in chosen)
        kept, level = np.atleast_2d(to_host(estimator.coef_)), to_host(estimator.intercept_)
        fitted = objective.point(kept[target], np.broadcast_to(level, len(kept))[target])
        complete = _completion(objective, chosen, (first, second), others, fitted, minimum)
        grid = np.stack(np.meshgrid(first, second), axis=-1)
        inside = np.clip(points[shown][:, chosen], [first[0], second[0]], [first[-1], second[-1]])
        with np.errstate(over="ignore", invalid="ignore"):
            derivatives = objective.derivatives(points[shown])[:, chosen]
        values = np.array([objective.values(complete(row)) for row in grid])
        if np.ptp(values) <= FLAT * values.max():
            raise ValueError("The objective is the same whatever these two coefficients are: name others.")
        below, own = objective.values(complete(inside)), objective.values(points[shown])
        display = cls(
            first=first,
            second=second,
            values=values,
            path=points[shown][:, chosen],
            path_values=np.fmin(below, own) if others == "optimal" else below,  # where interpolation is too high
            path_objective=own,
            epochs=shown,
            derivatives=derivatives,
            minimum=minimum[chosen],
            minimum_value=float(objective.values(minimum[np.newaxis])[0]),
            names=_names(estimator, chosen),
            data=_data(objective, points[shown]),
            others=others if points.shape[1] > 2 else None,
            loss_name=name_of_loss(estimator.loss) + ("" if estimator.penalty is None else " and penalty"),
        )
        return display.plot(ax, kind=kind)

    def plot(self, ax: Any = None, *, kind: str = "contour") -> "LossSurfaceDisplay":
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None for a new figure. A surface needs axes with ``projection="3d"``.
        kind : {"contour", "surface"}, default="contour"
            Contours, or a surface in three dimensions.

        Returns
        -------
        self : LossSurfaceDisplay
            This display.

        Raises
        ------
        ValueError
            If `kind` is unknown, or the axes have the wrong number of dimensions for it.
        """
        if kind not in ("contour", "surface"):
            raise ValueError(f"kind={kind!r} is neither 'contour' nor 'surface': use one of them.")
        is_flat = kind == "contour"
        if ax is not None and is_flat == (ax.name == "3d"):
            remedy = "without projection='3d'" if is_flat else "with projection='3d'"
            raise ValueError(
                f"The axes have {3 if is_flat else 2} dimensions, unlike kind={kind!r}: make them {remedy}."
            )
        ax = axes_or_new(ax, subplot_kw=None if is_flat else {"projection": "3d"})
        size, has_others = type_size(ax), self.others is not None
        self.fills_: Any = None
        self.shadow_: Any = None
        self.stems_: Any = None
        if is_flat:
            self._draw_contours(ax, size)
        else:
            self._draw_surface(ax, size)
        seen = self._seen().T if is_flat else [*self._seen().T, self._heights(ax)]
        label = "epochs, at their own heights" if has_others else "epochs"
        line, label = ("-", None) if self.fills_ else ("o-", label)
        (self.path_,) = ax.plot(*seen, line, color=RED, markersize=3, linewidth=0.6, label=label, zorder=5)
        if has_others and not is_flat:
            self._draw_shadow(ax)
        mark = {"linestyle": "none", "zorder": 6}
        label = "start" if np.isfinite(seen[-1][0]) else "start: above the picture"
        (self.start_,) = ax.plot(*(each[:1] for each in seen), marker="s", color=RED, label=label, **mark)
        bottom = [] if is_flat else [[self.minimum_value]]
        star = {"marker": "*", "markersize": 12, "color": "black", "markeredgecolor": "white"}
        label = "overall minimum" if self.others == "fixed" else "minimum"
        (self.minimum_,) = ax.plot(*self.minimum[:, np.newaxis], *bottom, label=label, **star, **mark)
        looks: dict[str, Any] = {} if is_flat else {"labelpad": 9, "fontsize": size}
        ax.set_xlabel(self.names[0], **looks)
        ax.set_ylabel(self.names[1], **looks)
        ax.locator_params(nbins=5 if is_flat else 4)
        place: dict[str, Any] = {"loc": "upper center"}
        if is_flat:  # inside, it would hide a part of the path
            place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "columnspacing": 1.0, "handletextpad": 0.4}
        ncols = 2 if has_others and not is_flat else 3
        ax.legend(title=self._aside(kind), fontsize=size, title_fontsize=size, ncols=ncols, frameon=False, **place)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _draw_contours(self, ax: Any, size: str) -> None:
        above = np.maximum(self.values - self.minimum_value, 0.0)
        top = np.ceil(LEVELS_PER_DECADE * np.log10(above.max()))
        exponents = np.arange(top - LEVELS + 1, top + 1) / LEVELS_PER_DECADE
        levels, decades = 10.0**exponents, exponents[exponents % 1 == 0]
        colors = ["white", *pyplot().get_cmap("Blues")(np.linspace(0.1, 0.75, len(levels)))]
        self.surface_ = ax.contourf(self.first, self.second, above, [0.0, *levels], colors=colors[:-1])
        ax.contour(self.first, self.second, above, levels, colors=GREY, linewidths=0.4)
        ax.set_xlim(self.first[0], self.first[-1])
        ax.set_ylim(self.second[0], self.second[-1])
        bar = ax.figure.colorbar(self.surface_, ax=ax)
        bar.set_ticks(10.0**decades, labels=[f"$10^{{{decade:.0f}}}$" for decade in decades])
        bar.set_label(f"{self.loss_name}\nabove its minimum", fontsize=size)
        if self.others is not None:
            shown = _evenly(len(self.path), FILLS)
            above = np.searchsorted(levels, self.path_objective[shown] - self.minimum_value)
            self.fills_ = ax.scatter(
                *self._seen()[shown].T,
                s=16,
                facecolors=[colors[level] for level in above],
                edgecolors=RED,
                linewidths=0.6,
                zorder=5.5,
                label="epochs (fill: own height)",
            )

    def _draw_surface(self, ax: Any, size: str) -> None:
        first, second = np.meshgrid(self.first, self.second)
        self.surface_ = ax.plot_surface(
            first, second, self.values, cmap="Blues", alpha=0.6, linewidth=0, rcount=40, ccount=40
        )
        ax.set_zlabel(self.loss_name.replace(" and ", "\nand "), labelpad=14, fontsize=size)
        ax.tick_params(axis="z", pad=7)
        ax.set_box_aspect(None, zoom=0.8)  # leaves room for the labels, which the layout does not see
        own = self.path_objective[np.isfinite(self._seen()[:, 0])]
        low = min(self.values.min(), self.minimum_value, own.min())
        tall = CUT * max(self.values.max() - low, own.min() - low)
        ax.set_zlim(low, max(self.values.max(), min(own.max(), low + tall)))

    def _draw_shadow(self, ax: Any) -> None:
        shown = _evenly(len(self.path), STEMS)
        seen, below = self._seen(), self.path_values
        ends = np.column_stack([self._heights(ax), below, np.full(len(below), np.nan)])[shown]
        (self.shadow_,) = ax.plot(*seen.T, below, color=GREY, linewidth=1.2, label="their places on the surface")
        (self.stems_,) = ax.plot(*np.repeat(seen[shown], 3, axis=0).T, ends.ravel(), color=GREY, linewidth=0.6)

    def _heights(self, ax: Any) -> NDArray:
        """Return the objective of the path's points, with NaN above the axes of a surface."""
        top = ax.get_zlim()[1]
        return np.where(self.path_objective <= top, self.path_objective, np.nan)

    def _aside(self, kind: str) -> str | None:
        """Return the sentence that tells where the other coefficients are; None if there are none."""
        if self.others is None:
            return None
        what = "contours" if kind == "contour" else "surface"
        return f"{what}: other coefficients {'at their best' if self.others == 'optimal' else 'as fitted'}"

    def _seen(self) -> NDArray:
        """Return the path, with NaN where it leaves the surface."""
        low, high = np.transpose([(self.first[0], self.first[-1]), (self.second[0], self.second[-1])])
        inside = np.all((self.path >= low) & (self.path <= high), axis=1, keepdims=True)
        return np.where(inside, self.path, np.nan)

    def animate(self, *, kind: str = "contour", interval: int = 100, max_frames: int = 60) -> Any:
        """Animate the descent: its point on the surface, its fit to the data, and its derivatives.

        Parameters
        ----------
        kind : {"contour", "surface"}, default="contour"
            Contours, or a surface in three dimensions.
        interval : int, default=100
            Time from frame to frame, in milliseconds.
        max_frames : int, default=60
            Largest number of frames. Of more epochs, those evenly spaced on a logarithmic axis are shown.

        Returns
        -------
        animation : matplotlib.animation.FuncAnimation
            The animation. ``animation.save("descent.gif", writer="pillow")`` writes it to a file.
        """
        plt = pyplot()
        from matplotlib.animation import FuncAnimation

        figure = plt.figure(figsize=(9.0, 4.5), layout="constrained")
        left, right = figure.subfigures(1, 2, width_ratios=[1.15, 1.0])
        surface = left.subplots(subplot_kw={"projection": "3d"} if kind == "surface" else None)
        upper, *lower = right.subplots(3, 1, height_ratios=[2, 1, 1])
        self.plot(surface, kind=kind)
        if kind == "surface":
            surface.set_zlabel("")  # the title already shows the loss
        (here,) = surface.plot(
            *np.empty((2 + (kind == "surface"), 0)), "o", color=ORANGE, markeredgecolor="black", markersize=8, zorder=7
        )
        move = self._draw_data(upper)
        slopes = []
        for axes, name, slope in zip(lower, self.names, self.derivatives.T, strict=True):
            axes.axhline(0.0, color=GREY, linewidth=0.6)
            bound = 1.1 * np.abs(slope[~np.isnan(self._seen()[:, 0]) & np.isfinite(slope)]).max(initial=0.0) or 1.0
            axes.set_ylim(-bound, bound)
            axes.set_title(f"derivative along {name}", fontsize="small", loc="left")
            slopes.append(axes.plot([], [], color=GREEN)[0])
        lower[0].tick_params(labelbottom=False)
        lower[-1].set_xlabel("epoch")
        title = left.suptitle("", fontsize="medium")
        filled = _evenly(len(self.path), FILLS)
        seen = np.column_stack([self._seen(), self._heights(surface)]) if kind == "surface" else self._seen()

        def draw(frame: int) -> list:
            upto, last = slice(0, frame + 1), slice(frame, frame + 1)
            for line, points in ((self.path_, seen[upto]), (here, seen[last])):
                line.set_data_3d(*points.T) if kind == "surface" else line.set_data(*points.T)
            if self.fills_:
                self.fills_.set_offsets(seen[filled[filled <= frame]])
            if self.shadow_:
                below = np.column_stack([self._seen(), self.path_values])
                self.shadow_.set_data_3d(*below[upto].T)
                self.stems_.set_data_3d(*np.concatenate([seen[last], below[last]]).T)
            move(frame)
            for slope, values in zip(slopes, self.derivatives.T, strict=True):
                slope.set_data(self.epochs[upto], values[upto])
                slope.axes.set_xlim(0, max(1, self.epochs[frame]))
            title.set_text(f"epoch {self.epochs[frame]}, {self.loss_name} {self.path_objective[frame]:.6g}")
            return [self.path_, here, *slopes, title]

        frames = _evenly(len(self.path), max_frames)
        draw(int(frames[-1]))
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # one layout is enough: only the lines change
        return FuncAnimation(figure, draw, frames=frames, interval=interval)

    def _draw_data(self, ax: Any) -> Any:
        """Draw the data of the animation; return the function that moves their line, or points, to an epoch."""
        if len(self.data) == 4:
            column, y, coef, intercept = self.data
            ax.plot(column, y, "o", color=BLUE, markersize=4)
            (line,) = ax.plot([], [], color=RED)
            ax.set(xlabel=self.names[0].removeprefix("coefficient of ").replace("coefficient", "x"), ylabel="y")
            ends = np.array([column.min(), column.max()])
            low, high = y.min(), y.max()
            ax.set_ylim(low - 0.2 * (high - low), high + 0.2 * (high - low))
            return lambda frame: line.set_data(ends, intercept[frame] + coef[frame] * ends)
        y, predicted = self.data
        (points,) = ax.plot([], [], "o", color=BLUE, markersize=3, alpha=0.6)
        low, high = y.min(), y.max()
        ax.plot([low, high], [low, high], color=GREY, linewidth=1)
        ax.set(xlabel="y", ylabel="predicted", xlim=(low, high), ylim=(low, high))
        return lambda frame: points.set_data(y, predicted[frame])


def _evenly(n_points: int, n_shown: int) -> NDArray:
    """Return up to `n_shown` indices evenly spaced on a logarithmic axis, the first and the last included."""
    if n_points <= n_shown:
        return np.arange(n_points)
    return np.unique(np.rint(np.geomspace(1, n_points, n_shown)).astype(int)) - 1


def _units(moments: Moments) -> NDArray:
    """Return the natural units of coefficients and intercept: deviation of y over deviations of the columns and 1."""
    target = float(moments.y.deviation[0]) or abs(float(moments.y.mean[0]))
    deviation = moments.x.deviation
    return (target or 1.0) / np.append(np.where(deviation > 0.0, deviation, 1.0), 1.0)


def _chosen(estimator: Any, coefficients: Sequence[int | str] | None, points: NDArray) -> list[int]:
    """Return the indices of the two coefficients in a point; `points` are those of the path, in natural units."""
    n_features, n_coordinates = estimator.n_features_in_, points.shape[1]
    if n_coordinates < 2:
        raise ValueError("A surface needs two coefficients, but there is one and no intercept: use fit_intercept=True.")
    if coefficients is None:
        if n_features == 1:
            return [0, 1]
        moved = np.ptp(np.where(np.isfinite(points), points, 0.0)[:, :n_features], axis=0)
        return sorted(np.argsort(-moved, kind="stable")[:2].tolist())
    names = [*getattr(estimator, "feature_names_in_", range(n_features))]
    places = []
    for each in coefficients if isinstance(coefficients, Iterable) else (coefficients,):
        if each == "intercept" and estimator.fit_intercept:
            places.append(n_features)
        elif each in names:
            places.append(names.index(each))
        elif isinstance(each, int | np.integer) and 0 <= each < n_features:
            places.append(int(each))
        else:
            known = "'intercept'" if estimator.fit_intercept else "no intercept"
            raise ValueError(
                f"coefficients={coefficients!r}: {each!r} is none of the {n_features} features, nor {known}."
            )
    if len(set(places)) != 2:
        raise ValueError(f"coefficients={coefficients!r} are not two different ones: name two.")
    return places


def _names(estimator: Any, chosen: list[int]) -> tuple[str, str]:
    """Return the names of the coefficients at two indices."""
    n_features = estimator.n_features_in_
    names = ["coefficient"] if n_features == 1 else [f"coefficient {column}" for column in range(n_features)]
    if hasattr(estimator, "feature_names_in_"):
        names = [f"coefficient of {name}" for name in estimator.feature_names_in_]
    first, second = ([*names, "intercept"][place] for place in chosen)
    return first, second


def _check_are_the_rows(objective: RawObjective, points: NDArray, losses: NDArray) -> None:
    """Warn if the loss on the rows is not the one that was recorded.

    A penalty, held-out rows or several targets make the two incomparable: then there is no check.
    """
    estimator = objective.estimator
    if estimator.penalty is not None or estimator.early_stopping or np.ndim(estimator.coef_) > 1:
        return
    best = np.nanargmin(losses)
    [here] = objective.values(points[best : best + 1])
    if not np.isclose(here, losses[best], rtol=ANOTHER, atol=ANOTHER * losses[0]):
        warnings.warn(
            f"the loss on these rows is {here:.6g} where that of the fit was {losses[best]:.6g}: "
            "pass the rows it was fitted to, as the steps before it in a pipeline transform them.",
            UserWarning,
            stacklevel=3,
        )


def _range(path: NDArray, minimum: float, unit: float, fell: NDArray, resolution: int) -> NDArray:
    """Return values of a coefficient that cover the start, the minimum and the nearby part of the path.

    Epochs whose loss is at most that of the start (`fell`) are covered however far away.
    """
    away = np.abs(path - minimum)
    reach = next(far for far in (away[0], away[np.isfinite(away)].max(), unit) if far > FAINT * unit)
    near = path[fell | (away <= 2.0 * reach)]
    low, high = near.min(initial=minimum), near.max(initial=minimum)
    if high - low <= FAINT * unit:
        low, high = minimum - reach, minimum + reach
    low, high = min(low, minimum - 0.5 * (high - low)), max(high, minimum + 0.5 * (high - low))
    edge = MARGIN * (high - low)
    return np.linspace(low - edge, high + edge, resolution)


def _completion(
    objective: RawObjective, chosen: list[int], ranges: tuple, others: str, fitted: NDArray, minimum: NDArray
) -> Any:
    """Return a function from values of the two coefficients (n, 2) to points (n, n_coordinates).

    For squared error with L2, the optimal others are linear functions of the two, which four fits determine. For other
    objectives they are interpolated between fits. These lie more densely near the minimum, where small errors matter.
    """
    if others == "fixed" or len(fitted) == 2:

        def fixed(values: NDArray) -> NDArray:
            points = np.tile(fitted, (len(values), 1))
            points[:, chosen] = values
            return points

        return fixed
    estimator = objective.estimator
    is_linear = estimator.loss == "squared_error" and estimator.penalty in (None, "l2") and not estimator.positive
    ways = np.sinh(CROWDING * np.linspace(-1.0, 1.0, 2 if is_linear else NODES)) / np.sinh(CROWDING)
    nodes = [
        np.interp(ways, [-1.0, 0.0, 1.0], [values[0], minimum[place], values[-1]])
        for values, place in zip(ranges, chosen, strict=True)
    ]
    best = np.array([[objective.best_others(chosen, np.array([a, b])) for b in nodes[1]] for a in nodes[0]])
    interpolate = RegularGridInterpolator(nodes, best)

    def optimal(values: NDArray) -> NDArray:
        points = interpolate(values)
        points[:, chosen] = values
        return points

    return optimal


def _data(objective: RawObjective, points: NDArray) -> tuple[NDArray, ...]:
    """Return the data that an animation shows, of at most 500 rows: see the parameter `data`."""
    rows = np.linspace(0, len(objective.y) - 1, min(len(objective.y), 500)).astype(int)
    n_features = objective.X.shape[1]
    coef = points[:, :n_features]
    intercept = points[:, n_features] if points.shape[1] > n_features else np.zeros(len(points))
    X = objective.X[rows]
    if n_features == 1:
        column = X.toarray().ravel() if hasattr(X, "toarray") else X[:, 0]
        return column, objective.y[rows], coef[:, 0], intercept
    with np.errstate(over="ignore", invalid="ignore"):
        return objective.y[rows], np.asarray((X @ coef.T).T) + intercept[:, np.newaxis]
