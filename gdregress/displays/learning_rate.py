"""Display of the final loss of a descent against its learning rate."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from gdregress.displays.drawing import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    axes_or_new,
    check_regressor,
    label_few,
    n_drawn,
    name_of_loss,
    positive,
    type_size,
)
from gdregress.displays.objective import RawObjective, settled, variant
from gdregress.method.choice import MOMENTS_LIMIT
from gdregress.rows.wording import count

RATES = np.sort([*np.logspace(-4.0, 1.0, 41), 0.8, 0.9, 0.95, 0.98, 0.99, 1.01, 1.02, 1.05])
"""Default learning rates of the display, as shares of the stability ceiling."""

APART = 0.02
"""Distance of two vertical lines, as a share of the width of the axis, below which one stands for both."""

LOSSES, LEVEL = "losses", "level"
"""Values of gid that mark the drawn lines, so that a later model on the same axes finds them."""


class LearningRateDisplay:
    """The loss after some epochs of plain descent, against a constant learning rate.

    Use `from_estimator` to make one. To draw several models on the same axes, pass ``ax=display.ax_``.

    Parameters
    ----------
    learning_rates : ndarray of shape (n_rates,)
        Learning rates.
    losses : ndarray of shape (n_rates,)
        Loss of the last epoch at each rate.
    diverged : ndarray of shape (n_rates,)
        Whether the descent has diverged at each rate: see `diverged_` of GradientDescentRegressor.
    start_loss : float
        Loss at the start.
    epochs : int
        Number of epochs at each rate.
    auto_loss : float
        Final loss with ``learning_rate="auto"``.
    auto_epochs : int
        Number of epochs with ``learning_rate="auto"``.
    ceiling : float, default=None
        The stability ceiling 2/L, with L the largest curvature: the descent is stable up to this rate,
        and above it overshoots by more at every step. None if the loss is not squared error.
    best_rate : float, default=None
        The constant rate 2/(L + mu) at which the slowest direction converges fastest, with mu the least
        curvature that is not zero up to rounding; None if the loss is not squared error, or X has
        too many columns.
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
        The losses; NaN at the rates at which the descent has diverged.
    diverged_ : matplotlib Line2D
        Marks of those rates, along the upper edge.
    ceiling_, best_rate_ : matplotlib Line2D or None
        Vertical lines at `ceiling` and `best_rate`. `best_rate_` is None as well if the two rates are
        too near each other to be told apart: then the label of `ceiling_` names both.
    start_, auto_ : matplotlib Line2D
        Horizontal lines at `start_loss` and `auto_loss`.

    Examples
    --------
    >>> from gdregress import GradientDescentRegressor, LearningRateDisplay, load_house_prices
    >>> X, y = load_house_prices(return_X_y=True)
    >>> model = GradientDescentRegressor(epochs=200)
    >>> display = LearningRateDisplay.from_estimator(model, X, y)  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        learning_rates: NDArray,
        losses: NDArray,
        diverged: NDArray,
        start_loss: float,
        epochs: int,
        auto_loss: float,
        auto_epochs: int,
        ceiling: float | None = None,
        best_rate: float | None = None,
        loss_name: str = "mean loss",
        name: str | None = None,
    ):
        self.learning_rates = learning_rates
        self.losses = losses
        self.diverged = diverged
        self.start_loss = start_loss
        self.epochs = epochs
        self.auto_loss = auto_loss
        self.auto_epochs = auto_epochs
        self.ceiling = ceiling
        self.best_rate = best_rate
        self.loss_name = loss_name
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        learning_rates: Any = None,
        ax: Any = None,
        name: str | None = None,
    ) -> "LearningRateDisplay":
        """Fit an estimator at many learning rates, each for all its epochs, and draw the final losses.

        Parameters
        ----------
        estimator : GradientDescentRegressor
            The estimator, fitted or not. It is not changed: plain descents with its loss, penalty and
            epochs are fitted.
        X : {array-like, sparse matrix, array on a device} of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.
        learning_rates : array-like of shape (n_rates,), default=None
            Positive rates. None takes 49 rates, from four decades below the ceiling to one above.
        ax : matplotlib Axes, default=None
            Axes to draw on; None for a new figure.
        name : str, default=None
            Name of the model in the legend.

        Returns
        -------
        display : LearningRateDisplay
            The display that was drawn.

        Raises
        ------
        TypeError
            If it is a pipeline, a search or another kind of estimator.
        ValueError
            If a rate is not positive and finite, or there is none.
        """
        check_regressor(estimator)
        seed = 0 if estimator.random_state is None else estimator.random_state  # one start for all rates
        start = {"init": estimator.init, "random_state": seed}
        plain = settled(estimator, optimizer="gd", epochs=estimator.epochs, tol=None, **start)

        def run(rate: float | str, **parameters: Any) -> Any:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                return variant(plain, learning_rate=rate, **parameters).fit(X, y, sample_weight)

        ceiling = 2.0 * run("lipschitz", epochs=1).history_["learning_rate"][1]
        rates = ceiling * RATES if learning_rates is None else _rising(learning_rates)
        fitted = [run(rate) for rate in rates.tolist()]
        auto = settled(estimator).fit(X, y, sample_weight)
        is_quadratic = estimator.loss == "squared_error"
        best_rate = None
        if is_quadratic and fitted[0].n_features_in_ <= MOMENTS_LIMIT:
            curvatures = RawObjective(estimator, X, y, sample_weight).curvatures()
            flat = len(curvatures) * np.finfo(np.float64).eps * curvatures[-1]
            if curvatures[-1] > 0:
                best_rate = 2.0 / (curvatures[-1] + curvatures[curvatures > flat].min(initial=curvatures[-1]))
        display = cls(
            learning_rates=rates,
            losses=np.array([model.history_["loss"][-1] for model in fitted]),
            diverged=np.array([model.diverged_ for model in fitted]),
            start_loss=float(fitted[0].history_["loss"][0]),
            epochs=estimator.epochs,
            auto_loss=float(auto.history_["loss"][-1]),
            auto_epochs=auto.n_iter_,
            ceiling=float(ceiling) if is_quadratic else None,
            best_rate=None if best_rate is None else float(best_rate),
            loss_name=name_of_loss(estimator.loss),
            name=name,
        )
        return display.plot(ax)

    def plot(self, ax: Any = None, *, name: str | None = None) -> "LearningRateDisplay":
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None for a new figure.
        name : str, default=None
            Name of the model in the legend, in place of the display's own.

        Returns
        -------
        self : LearningRateDisplay
            This display.
        """
        ax = axes_or_new(ax)
        name = self.name if name is None else name
        prefix = "" if name is None else f"{name}: "
        n_before, cycle = n_drawn(ax, LOSSES), (BLUE, PURPLE, SKY, BLACK)
        color = cycle[n_before % len(cycle)]
        *losses, auto, start = positive(np.append(self.losses, [self.auto_loss, self.start_loss]), self.start_loss)
        self.start_ = ax.axhline(start, color=GREY, linestyle=":", label="start", gid=LEVEL)
        after = count(self.auto_epochs, "epoch")
        self.auto_ = ax.axhline(auto, color=GREEN, linestyle="--", label=f'rate "auto", {after}', gid=LEVEL)
        self._draw_rates(ax)
        (self.line_,) = ax.plot(
            self.learning_rates,
            np.where(self.diverged, np.nan, losses),
            "o-",
            color=color,
            markersize=3,
            zorder=3,
            label=f"{prefix}after {count(self.epochs, 'epoch')}",
            gid=LOSSES,
        )
        (self.diverged_,) = ax.plot(
            self.learning_rates[self.diverged],
            np.full(np.count_nonzero(self.diverged), 0.97 - 0.03 * n_before),
            "^",
            color=color,
            markersize=5,
            transform=ax.get_xaxis_transform(),
            label="diverged: above its start" if self.diverged.any() else None,
        )
        self._set_scales(ax)
        _draw_legend(ax)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _set_scales(self, ax: Any) -> None:
        """Make both axes logarithmic, with room for the losses that are drawn, and name them."""
        ax.set_xscale("log")
        ax.set_yscale("log")
        drawn = np.concatenate([line.get_ydata() for line in ax.lines if line.get_gid() in (LOSSES, LEVEL)])
        low, high = np.fmin.reduce(drawn), np.fmax.reduce(drawn)
        room = (high / low) ** 0.15 if high > low else 2.0
        ax.set_ylim(low / room**0.5, high * room)
        ax.set_xlabel("learning rate")
        ax.set_ylabel(self.loss_name)
        for axis in (ax.xaxis, ax.yaxis):
            label_few(axis)
        ax.grid(alpha=0.3)

    def _draw_rates(self, ax: Any) -> None:
        """Draw the vertical lines: one for both rates where two could not be told apart."""
        self.ceiling_ = self.best_rate_ = None
        aside = ""
        if self.best_rate is not None:
            best = f"{self.best_rate:.4g}"
            width = np.log(self.learning_rates[-1] / self.learning_rates[0])
            if self.ceiling is None or np.log(self.ceiling / self.best_rate) >= APART * width:
                self.best_rate_ = ax.axvline(self.best_rate, color=ORANGE, label=f"best rate {best}")
            else:
                aside = ",\nbest rate " + (best if best != f"{self.ceiling:.4g}" else "just below")
        if self.ceiling is not None:
            label = f"stable up to {self.ceiling:.4g}{aside}"
            self.ceiling_ = ax.axvline(self.ceiling, color=RED, linestyle="-.", label=label)


def _rising(learning_rates: Any) -> NDArray:
    """Return rates as rising floats, or raise a ValueError if one is not positive and finite, or there is none."""
    try:
        rates = np.sort(np.asarray(learning_rates, dtype=np.float64), axis=None)
        is_valid = rates.size > 0 and (rates > 0).all() and np.isfinite(rates).all()
    except (TypeError, ValueError):
        is_valid = False
    if not is_valid:
        raise ValueError(f"learning_rates={learning_rates!r} are not positive numbers: give a list of some.")
    return rates


def _draw_legend(ax: Any) -> None:
    """Draw the legend above the axes; models on the same data share a ceiling, which has one entry."""
    handles, labels = ax.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    ax.legend(
        once.values(),
        once.keys(),
        fontsize=type_size(ax),
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=2,
        columnspacing=1.0,
        frameon=False,
    )
