"""Display of the loss of every epoch."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdregress.displays.drawing import (
    CYCLE,
    axes_or_new,
    check_history,
    label_few,
    n_drawn,
    name_of_loss,
    positive,
    type_size,
)
from gdregress.rows.wording import count

HEADROOM, SKY_HIGH = 1e2, 1e50
"""Upper limit of the axis, times the largest starting loss: if any curve falls below that loss, and if none does."""

TRAINING, VALIDATION = "training loss", "validation loss"
"""Values of gid that mark the curves, so that a later model on the same axes finds them."""


class LossCurveDisplay:
    """The loss of every epoch of a descent, on a logarithmic axis.

    Use `from_estimator` to make one. To draw several models on the same axes, pass ``ax=display.ax_``.

    Parameters
    ----------
    loss : ndarray of shape (n_epochs + 1,)
        Mean loss of the training rows; entry 0 is that of the start.
    validation_loss : ndarray of shape (n_epochs + 1,), default=None
        Mean loss of the validation rows.
    best_epoch : int, default=None
        Epoch whose coefficients were kept; None for the last.
    ending : str, default="stopped"
        How the descent ended, for the legend: "converged", "stopped" or "diverged", as
        `stop_reason_` says.
    loss_name : str, default="mean loss"
        Label of the axis of losses.
    name : str, default=None
        Name of the model in the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes drawn on.
    figure_ : matplotlib Figure
        The figure of these axes.
    line_ : matplotlib Line2D
        The training loss.
    validation_line_ : matplotlib Line2D or None
        The validation loss.
    best_ : matplotlib Line2D or None
        The mark of the epoch that was kept, if that is not the last.
    stop_ : matplotlib Line2D
        The mark of the last epoch.

    Examples
    --------
    >>> from gdregress import GradientDescentRegressor, LossCurveDisplay, load_house_prices
    >>> X, y = load_house_prices(return_X_y=True)
    >>> model = GradientDescentRegressor(learning_rate=0.08, epochs=100, tol=None).fit(X, y)
    >>> display = LossCurveDisplay.from_estimator(model, name="rate 0.08")  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        loss: NDArray,
        validation_loss: NDArray | None = None,
        best_epoch: int | None = None,
        ending: str = "stopped",
        loss_name: str = "mean loss",
        name: str | None = None,
    ):
        self.loss = loss
        self.validation_loss = validation_loss
        self.best_epoch = best_epoch
        self.ending = ending
        self.loss_name = loss_name
        self.name = name

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None, name: str | None = None) -> "LossCurveDisplay":
        """Draw the history of a fitted estimator.

        Parameters
        ----------
        estimator : GradientDescentRegressor
            The fitted estimator, or a GradientDescentRegressorCV, whose fit to all rows is drawn.
        ax : matplotlib Axes, default=None
            Axes to draw on; None for a new figure.
        name : str, default=None
            Name of the model in the legend.

        Returns
        -------
        display : LossCurveDisplay
            The display that was drawn.

        Raises
        ------
        TypeError
            If it is a pipeline or another kind of estimator.
        ValueError
            If there is no history of one descent to all rows.
        """
        check_history(estimator)
        history = estimator.history_
        ending = "converged" if estimator.converged_ else "diverged" if estimator.diverged_ else "stopped"
        display = cls(
            loss=history["loss"],
            validation_loss=history.get("validation_loss"),
            best_epoch=estimator.best_epoch_,
            ending=ending,
            loss_name=name_of_loss(estimator.loss),
            name=name,
        )
        return display.plot(ax)

    def plot(self, ax: Any = None, *, name: str | None = None) -> "LossCurveDisplay":
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None for a new figure.
        name : str, default=None
            Name of the model in the legend, in place of the display's own.

        Returns
        -------
        self : LossCurveDisplay
            This display.
        """
        ax = axes_or_new(ax)
        name = self.name if name is None else name
        color = CYCLE[n_drawn(ax, TRAINING) % len(CYCLE)]
        prefix = "" if name is None else f"{name}: "
        training = shown = positive(self.loss, self.loss[0])
        last = len(training) - 1
        best = last if self.best_epoch is None else self.best_epoch
        how = f"{self.ending} after {count(last, 'epoch')} at {self.loss[last]:.4g}"
        if self.validation_loss is not None:
            how += f",\nvalidation {self.validation_loss[last]:.4g}"
        (self.line_,) = ax.plot(training, color=color, label=f"{prefix}{how}" if name else "training", gid=TRAINING)
        self.validation_line_ = self.best_ = None
        if self.validation_loss is not None:
            shown = positive(self.validation_loss, self.loss[0])
            (self.validation_line_,) = ax.plot(
                shown, color=color, linestyle="--", label=f"{prefix}validation", gid=VALIDATION
            )
        marks = {"color": color, "linestyle": "none"}
        (self.stop_,) = ax.plot(last, shown[last], marker="s", markersize=5, label=None if name else how, **marks)
        if best != last:
            label = f"{prefix}epoch {best} is kept"
            (self.best_,) = ax.plot(best, shown[best], marker="*", markersize=11, label=label, **marks)
        self._limit(ax)
        ax.set_yscale("log")
        if ax.get_xscale() == "linear":
            ax.locator_params(axis="x", integer=True)
        ax.set_xlabel("epoch")
        ax.set_ylabel(self.loss_name if ax.get_ylabel() in ("", self.loss_name) else "mean loss")
        ax.grid(alpha=0.3)
        label_few(ax.yaxis)
        ax.legend(fontsize=type_size(ax), loc="best")
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @staticmethod
    def _limit(ax: Any) -> None:
        """Limit the axis of losses, so that a diverging curve leaves it and the others stay legible.

        Set the limits before the logarithmic scale: its margins overflow for values near the largest float.
        """
        curves = [line.get_ydata() for line in ax.lines if line.get_gid() in (TRAINING, VALIDATION)]
        start = np.fmax.reduce([curve[0] for curve in curves])
        lowest = np.fmin.reduce(np.concatenate(curves))
        highest = start * (HEADROOM if lowest < start else SKY_HIGH)
        if np.fmax.reduce(np.concatenate(curves)) > highest:
            ax.set_ylim(lowest / (highest / lowest) ** 0.05, highest)
