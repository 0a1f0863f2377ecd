"""What the displays share: axes, colours, and the words for losses."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

BLUE, ORANGE, GREEN, RED, PURPLE, SKY, BLACK, GREY = (
    *("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000"),
    "#666666",
)
"""Colours that colour-blind readers tell apart (Okabe and Ito, 2008)."""

CYCLE = (BLUE, RED, GREEN, ORANGE, PURPLE, SKY, BLACK)
"""Those of several models on the same axes."""

LOSSES = {
    "squared_error": "mean squared error",
    "huber": "mean Huber loss",
    "absolute_error": "mean absolute error",
    "quantile": "mean pinball loss",
    "epsilon_insensitive": "mean insensitive loss",
    "squared_epsilon_insensitive": "mean squared insensitive loss",
}


def pyplot() -> Any:
    """Import matplotlib's pyplot.

    Raises
    ------
    ImportError
        If it is not installed: with the line that installs it.
    """
    try:
        from matplotlib import pyplot as plt
    except ImportError as missing:
        raise ImportError(
            'Displays are drawn by matplotlib, which is not installed: python -m pip install "gdregress[plot]".'
        ) from missing
    return plt


def axes_or_new(ax: Any, **settings: Any) -> Any:
    """Give the axes to draw on: those given, or those of a new figure."""
    plt = pyplot()
    return plt.subplots(layout="constrained", **settings)[1] if ax is None else ax


def name_of_loss(loss: Any) -> str:
    """Name what is averaged over the rows."""
    return LOSSES.get(loss, "mean loss") if isinstance(loss, str) else "mean loss"


def check_estimator(estimator: Any, *, fitted: bool = True) -> None:
    """Raise where it is not one of ours, or not fitted.

    Parameters
    ----------
    estimator : GradientDescentRegressor
        What a display is to be made from.
    fitted : bool, default=True
        Whether it has to be fitted.

    Raises
    ------
    TypeError
        If it is a pipeline or another kind of estimator.
    sklearn.exceptions.NotFittedError
        If it is not fitted, and has to be.
    ValueError
        If its history is one of chunks.
    """
    if isinstance(estimator, Pipeline):
        raise TypeError(
            "A display is made from a GradientDescentRegressor, not from a Pipeline: "
            "pass its last step, and X as the steps before transform it."
        )
    if not hasattr(estimator, "record_path"):
        raise TypeError(
            f"A display is made from a GradientDescentRegressor, not from a {type(estimator).__name__}: pass one."
        )
    if not fitted:
        return
    check_is_fitted(estimator)
    if "optimality" not in estimator.history_:
        raise ValueError(
            "A display is made from the history of a fit, but partial_fit has descended an epoch over one chunk "
            "after the other: plot history_['loss'], in which there is one for each."
        )


def kept_epoch(estimator: Any) -> int:
    """Give the epoch whose coefficients a fitted estimator has."""
    optimality, validation = estimator.history_["optimality"], estimator.history_.get("validation_loss")
    candidates = np.flatnonzero(optimality == estimator.optimality_)
    if not len(candidates):
        return estimator.n_iter_
    return int(candidates[-1] if validation is None else candidates[np.argmin(validation[candidates])])


def positive(values: NDArray, start: float) -> NDArray:
    """Give values for a logarithmic axis: zero as the rounding of the start, what is not finite left out."""
    known = np.where(np.isfinite(values), values, np.nan)
    rounding = np.finfo(np.float64).eps * (start if 0.0 < start < np.inf else 1.0)
    return np.where(known <= 0.0, np.fmin.reduce(known[known > 0.0], initial=rounding), known)


def n_drawn(ax: Any, what: str) -> int:
    """Count the models that axes show already: each has a line whose gid is `what`."""
    return sum(line.get_gid() == what for line in ax.lines)
