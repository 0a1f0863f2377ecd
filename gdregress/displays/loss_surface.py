"""Display of the path of a descent over the surface of its objective, and its animation."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import validate_data

from gdregress.displays.animation import animated
from gdregress.displays.data import LineThroughData, Predictions, shown_data
from gdregress.displays.drawing import (
    RED,
    axes_or_new,
    check_history,
    check_regressor,
    name_of_loss,
    type_size,
)
from gdregress.displays.objective import RawObjective
from gdregress.displays.two_coefficients import (
    chosen_coefficients,
    completion,
    names_of,
    natural_units,
    values_about,
)
from gdregress.displays.views import evenly, path_line, view_of
from gdregress.rows.namespaces import to_host
from gdregress.rows.sources import fetched

MOST_EPOCHS = 1000
"""Largest number of epochs shown; of more, those evenly spaced on a logarithmic axis are taken."""

FLAT = 1e-10
"""Least relative change of the objective over a surface: less may be the error of the fits of the others."""

ANOTHER = 1e-3
"""Relative difference of a loss from the recorded one that means other rows; float32 alone causes less."""

OTHERS = {"optimal": "at their best", "fixed": "as fitted"}
"""Where the other coefficients are, by the parameter `others`."""


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
    data : LineThroughData or Predictions
        What an animation shows of the rows. With one feature: its values, the targets, and the
        coefficient and intercept of each epoch. Otherwise: the targets, and the predictions at each epoch.
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
        data: LineThroughData | Predictions,
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
        TypeError
            If it is a pipeline, a search or another kind of estimator.
        ValueError
            If the estimator has no history, if no path was recorded, if `coefficients` are not two different ones of
            the estimator, or if the objective does not depend on them.

        Warns
        -----
        UserWarning
            If the loss on these rows is not the one that the fit recorded.
        """
        check_regressor(estimator)
        check_history(estimator)
        history = estimator.history_
        if "coef" not in history:
            raise ValueError("The path was not recorded: fit the estimator with record_path=True.")
        if resolution < 2:
            raise ValueError(f"resolution={resolution} draws no surface: use 2 points or more along each coefficient.")
        if others not in OTHERS:
            raise ValueError(f"others={others!r} is neither 'optimal' nor 'fixed': use one of them.")
        X = validate_data(estimator, fetched("X", X), accept_sparse="csr", dtype=np.float64, reset=False)
        objective = RawObjective(estimator, X, y, sample_weight, target=target)
        coef, intercept = history["coef"], history["intercept"]
        if coef.ndim == 3:
            coef, intercept = coef[:, target], intercept[:, target]
        shown = evenly(len(coef), MOST_EPOCHS)
        points = objective.point(coef, intercept)
        unit = natural_units(objective.moments)[: points.shape[1]]
        chosen = chosen_coefficients(estimator, coefficients, points / unit)
        minimum = objective.minimum()
        _check_are_the_rows(objective, points, history["loss"])
        fell = history["loss"] <= history["loss"][0]
        first, second = (values_about(points[:, each], minimum[each], unit[each], fell, resolution) for each in chosen)
        kept, level = np.atleast_2d(to_host(estimator.coef_)), to_host(estimator.intercept_)
        fitted = objective.point(kept[target], np.broadcast_to(level, len(kept))[target])
        complete = completion(objective, chosen, (first, second), others, fitted, minimum)
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
            names=names_of(estimator, chosen),
            data=shown_data(objective, points[shown]),
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
        view = view_of(kind)
        if ax is not None and (ax.name == "3d") != (view.n_dimensions == 3):
            without, there = ("out", 3) if view.n_dimensions == 2 else ("", 2)
            raise ValueError(
                f"The axes have {there} dimensions, unlike kind={kind!r}: make them with{without} projection='3d'."
            )
        ax = axes_or_new(ax, subplot_kw=view.subplot_kw)
        size, has_others = type_size(ax), self.others is not None
        self.surface_ = view.draw(self, ax, size)
        seen = view.along(self, ax)
        self.fills_ = self.shadow_ = self.stems_ = None
        if has_others:
            view.draw_path(self, ax)
        else:
            self.path_ = path_line(ax, seen, marker="o", label="epochs")
        mark = {"linestyle": "none", "zorder": 6}
        label = "start" if np.isfinite(seen[0]).all() else "start: above the picture"
        (self.start_,) = ax.plot(*seen[:1].T, marker="s", color=RED, label=label, **mark)
        star = {"marker": "*", "markersize": 12, "color": "black", "markeredgecolor": "white"}
        label = "overall minimum" if self.others == "fixed" else "minimum"
        (self.minimum_,) = ax.plot(*view.lowest(self)[:, np.newaxis], label=label, **star, **mark)
        view.label(ax, self.names, size)
        ax.locator_params(nbins=view.n_ticks)
        title = None if self.others is None else f"{view.noun}: other coefficients {OTHERS[self.others]}"
        ncols = view.n_legend_columns if has_others else 3
        ax.legend(title=title, fontsize=size, title_fontsize=size, ncols=ncols, frameon=False, **view.legend_place)
        self.ax_, self.figure_ = ax, ax.figure
        return self

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
        return animated(self, view_of(kind), interval, max_frames)


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
