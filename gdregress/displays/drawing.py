"""Helpers that the displays share: axes, colours, names of losses, checks."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from gdregress.method.spec import fits_scale
from gdregress.regressor import GradientDescentRegressor
from gdregress.solve.linear_predictor import LinearPredictor

BLUE, ORANGE, GREEN, RED, PURPLE, SKY, BLACK, GREY = (
    *("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000"),
    "#666666",
)
"""Colours that colour-blind readers can tell apart (Okabe and Ito, 2008), and a grey."""

CYCLE = (BLUE, RED, GREEN, ORANGE, PURPLE, SKY, BLACK)
"""Colours of several models on the same axes, in order."""

LOSSES = {
    "squared_error": "mean squared error",
    "huber": "mean Huber loss",
    "absolute_error": "mean absolute error",
    "quantile": "mean pinball loss",
    "epsilon_insensitive": "mean insensitive loss",
    "squared_epsilon_insensitive": "mean squared insensitive loss",
}
"""Name of the mean of each loss on an axis."""

NARROW = 4.0
"""Width of axes in inches below which legends and titles are set in smaller type."""

NAMED = 7
"""Number of columns whose coefficients are drawn in colour and named, those of the largest; the others are grey."""

LONGEST = 28
"""Number of letters of a name of a column that a legend shows."""

FEW, FEWER = 100.0, 10.0
"""Ratio of the ends of a logarithmic axis below which powers of ten, and even 1, 2 and 5, are too few ticks."""


def pyplot() -> Any:
    """Return the module pyplot of matplotlib.

    Returns
    -------
    module
        ``matplotlib.pyplot``.

    Raises
    ------
    ImportError
        If matplotlib is not installed; the message tells how to install it.
    """
    try:
        from matplotlib import pyplot as plt
    except ImportError as missing:
        raise ImportError(
            'Displays are drawn by matplotlib, which is not installed: python -m pip install "gdregress[plot]".'
        ) from missing
    return plt


def axes_or_new(ax: Any, **settings: Any) -> Any:
    """Return the axes to draw on: those given, or those of a new figure."""
    plt = pyplot()
    return plt.subplots(layout="constrained", **settings)[1] if ax is None else ax


def type_size(ax: Any) -> str:
    """Return the size of type that fits the width of axes, before a colour bar takes some of it."""
    return "small" if ax.bbox.width >= NARROW * ax.figure.dpi else "x-small"


def label_few(axis: Any) -> None:
    """Label few round numbers along a logarithmic axis, whose limits are set."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    low, high = axis.get_view_interval()
    if high < FEW * low:
        axis.set_major_locator(
            LogLocator(subs=(1, 2, 5)) if high > FEWER * low else MaxNLocator(5, steps=(1, 2, 5, 10))
        )
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())


def fall_to_the_right(axis: Any, strengths: NDArray) -> None:
    """Make an axis of strengths of a penalty logarithmic and falling, so that models become richer to the right.

    A strength of 0 has no place on a logarithmic axis: with one the axis stays linear.
    """
    axes = axis.axes
    if (strengths > 0).all():
        axes.set_xscale("log")
        if len(strengths) > 1:
            axes.set_xlim(strengths.min(), strengths.max())
        label_few(axis)
    axes.invert_xaxis()


def draw_coefficients(
    ax: Any, strengths: NDArray, coefs: NDArray, names: Any, label: str = "coefficient"
) -> tuple[list[Any], list[Any]]:
    """Draw the coefficients of each column along strengths of a penalty, those of the largest in colour.

    Parameters
    ----------
    ax : matplotlib Axes
        Axes to draw on.
    strengths : ndarray of shape (n_strengths,)
        Strengths of the penalty.
    coefs : ndarray of shape (n_features, n_strengths)
        Coefficients.
    names : sequence of str or None
        Names of the columns; None for their numbers.
    label : str, default="coefficient"
        What the coefficients are, for the axis.

    Returns
    -------
    lines, named : list of matplotlib Line2D
        A line for each column in their order, and those in colour from the largest coefficient down, which are not
        zero throughout; after these a grey one that says how many columns have no name.
    """
    from matplotlib.lines import Line2D

    size = np.abs(coefs).max(axis=1)
    largest = [column for column in np.argsort(-size, kind="stable")[:NAMED].tolist() if size[column] > 0]
    colors = dict(zip(largest, CYCLE, strict=False))
    lines = []
    for column, path in enumerate(coefs):
        name = str(column if names is None else names[column])
        is_named = column in colors
        lines += ax.plot(
            strengths,
            path,
            color=colors.get(column, GREY),
            linewidth=1.5 if is_named else 0.7,
            alpha=1.0 if is_named else 0.5,
            zorder=3 if is_named else 2,
            label=name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}\u2026",
        )
    ax.axhline(0.0, color=GREY, linewidth=0.5)
    ax.set_ylabel(label)
    named, n_others = [lines[column] for column in largest], len(coefs) - len(largest)
    if n_others:
        label = "1 other" if n_others == 1 else f"{n_others} others"
        named.append(Line2D([], [], color=GREY, linewidth=0.7, alpha=0.5, label=label))
    return lines, named


def check_names(names: Any, n_features: int) -> None:
    """Raise a ValueError unless there are no names, or one for each column."""
    if names is not None and len(names) != n_features:
        raise ValueError(f"there are {len(names)} feature_names for {n_features} columns: name each.")


def legend_beside(ax: Any, **settings: Any) -> Any:
    """Draw a legend to the right of the axes, for curves leave no corner free."""
    style = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "frameon": False, "fontsize": type_size(ax)}
    return ax.legend(**style, **settings)


def name_of_loss(loss: Any) -> str:
    """Return the name of the mean of a loss."""
    return LOSSES.get(loss, "mean loss") if isinstance(loss, str) else "mean loss"


def name_of_error(estimator: Any) -> str:
    """Return the name of what a search minimises without a score: that of `GradientDescentRegressorCV`."""
    return name_of_loss("absolute_error" if fits_scale(estimator) else estimator.loss)


def check_regressor(estimator: Any) -> None:
    """Raise a TypeError if an estimator is not a GradientDescentRegressor, whose descents are drawn."""
    _check_is_a(GradientDescentRegressor, estimator)


def check_history(estimator: Any) -> None:
    """Raise if an estimator has no history of epochs.

    Parameters
    ----------
    estimator : GradientDescentRegressor or GradientDescentRegressorCV
        The estimator to draw.

    Raises
    ------
    TypeError
        If it is a pipeline or another kind of estimator.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    ValueError
        If no fit to all rows has left a history, or one by an epoch over each chunk, which has an entry for each chunk.
    """
    _check_is_a(LinearPredictor, estimator)
    check_is_fitted(estimator)
    if not hasattr(estimator, "history_"):
        raise ValueError(
            f"This {type(estimator).__name__} has no history of one descent to all rows: "
            "fit a GradientDescentRegressor with the alpha_ of the search."
        )
    if "optimality" not in estimator.history_:
        raise ValueError(
            "A display is made from the history of a fit, but partial_fit has descended an epoch over one chunk "
            "after the other: plot history_['loss'], in which there is one for each."
        )


def _check_is_a(kind: type, estimator: Any) -> None:
    """Raise a TypeError if an estimator is of another kind than a display is made from."""
    if isinstance(estimator, kind):
        return
    remedy = "pass one"
    if isinstance(estimator, Pipeline):
        remedy = "pass its last step, and X as the steps before transform it"
    elif isinstance(estimator, LinearPredictor):
        remedy = "pass one with the alpha_ of the search"
    name = type(estimator).__name__
    raise TypeError(f"A display is made from a GradientDescentRegressor, not from a {name}: {remedy}.")


def positive(values: NDArray, start: float) -> NDArray:
    """Return values that a logarithmic axis can show.

    What is not finite becomes NaN. What is not positive becomes the least positive value, or the rounding error of
    the start if that is less.
    """
    known = np.where(np.isfinite(values), values, np.nan)
    rounding = np.finfo(np.float64).eps * (start if 0.0 < start < np.inf else 1.0)
    return np.where(known <= 0.0, np.fmin.reduce(known[known > 0.0], initial=rounding), known)


def n_drawn(ax: Any, what: str) -> int:
    """Return the number of models that axes show already: each has one line whose gid is `what`."""
    return sum(line.get_gid() == what for line in ax.lines)
