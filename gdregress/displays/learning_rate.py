"""The loss that a descent comes to, against its learning rate."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from gdregress.displays.drawing import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    axes_or_new,
    check_estimator,
    name_of_loss,
    positive,
)
from gdregress.displays.objective import RawObjective, settled
from gdregress.stopping import plural

RATES = np.sort([*np.logspace(-4.0, 1.0, 41), 0.8, 0.9, 0.95, 0.98, 0.99, 1.01, 1.02, 1.05])
"""Rates that are tried, as shares of the ceiling."""


class LearningRateDisplay:
    """The loss after some epochs of plain descent, against a constant learning rate.

    Made by `from_estimator`.

    Parameters
    ----------
    learning_rates : ndarray of shape (n_rates,)
        The rates.
    losses : ndarray of shape (n_rates,)
        The loss of the last epoch at each rate.
    start_loss : float
        The loss at the start.
    epochs : int
        Epochs that were run.
    auto_loss : float
        The loss that ``learning_rate="auto"`` comes to.
    auto_epochs : int
        Epochs that it takes.
    ceiling : float, default=None
        The stability ceiling 2/L; None where the loss is not squared error.
    best_rate : float, default=None
        The constant rate at which the slowest direction shrinks fastest, 2/(L + mu).
    loss_name : str, default="mean loss"
        What stands beside the axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it is drawn.
    figure_ : matplotlib Figure
        The figure of these axes.
    line_ : matplotlib Line2D
        The losses of the rates at which the descent ends below its start.
    diverged_ : matplotlib Line2D
        The rates at which it ends above, along the upper edge.
    ceiling_, best_rate_ : matplotlib Line2D or None
        The two rates, as vertical lines.
    start_, auto_ : matplotlib Line2D
        The two losses, as horizontal lines.

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
        start_loss: float,
        epochs: int,
        auto_loss: float,
        auto_epochs: int,
        ceiling: float | None = None,
        best_rate: float | None = None,
        loss_name: str = "mean loss",
    ):
        self.learning_rates = learning_rates
        self.losses = losses
        self.start_loss = start_loss
        self.epochs = epochs
        self.auto_loss = auto_loss
        self.auto_epochs = auto_epochs
        self.ceiling = ceiling
        self.best_rate = best_rate
        self.loss_name = loss_name

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, sample_weight: Any = None, *, learning_rates: Any = None, ax: Any = None
    ) -> "LearningRateDisplay":
        """Fit an estimator at many rates, and draw what it comes to.

        Parameters
        ----------
        estimator : GradientDescentRegressor
            Fitted or not: its clones are fitted, with its loss, penalty and epochs, and plain descent.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.
        learning_rates : array-like of shape (n_rates,), default=None
            Positive rates; None takes 49 from four decades below the ceiling to one above.
        ax : matplotlib Axes, default=None
            Where to draw; None for a new figure.

        Returns
        -------
        display : LearningRateDisplay

        Raises
        ------
        ValueError
            If a rate is not positive.
        """
        check_estimator(estimator, fitted=False)
        plain = clone(estimator).set_params(
            optimizer="gd", schedule="constant", tol=None, target_loss=None, early_stopping=False, batch_size=None
        )
        plain.set_params(average=False, record_path=False, verbose=0, warm_start=False)

        def run(rate: float | str, **settings: Any) -> Any:
            model = clone(plain).set_params(learning_rate=rate, **settings)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                return model.fit(X, y, sample_weight)

        ceiling = 2.0 * run("lipschitz", epochs=1).history_["learning_rate"][1]
        if learning_rates is None:
            learning_rates = ceiling * RATES
        learning_rates = np.sort(np.asarray(learning_rates, dtype=np.float64))
        if learning_rates.ndim != 1 or not (learning_rates > 0).all():
            raise ValueError(f"learning_rates={learning_rates} are not all positive: give a list of positive numbers.")
        fitted = [run(rate) for rate in learning_rates]
        auto = settled(estimator).fit(X, y, sample_weight)
        is_quadratic = estimator.loss == "squared_error" and not estimator.positive
        best_rate = None
        if is_quadratic:
            curvatures = RawObjective(estimator, X, y, sample_weight).curvatures()
            rounding = len(curvatures) * np.finfo(np.float64).eps * curvatures[-1]
            best_rate = 2.0 / (curvatures[-1] + max(curvatures[0], 0.0) * (curvatures[0] > rounding))
        display = cls(
            learning_rates=learning_rates,
            losses=np.array([model.history_["loss"][-1] for model in fitted]),
            start_loss=float(fitted[0].history_["loss"][0]),
            epochs=estimator.epochs,
            auto_loss=float(auto.history_["loss"][-1]),
            auto_epochs=auto.n_iter_,
            ceiling=float(ceiling) if is_quadratic else None,
            best_rate=None if best_rate is None else float(best_rate),
            loss_name=name_of_loss(estimator.loss),
        )
        return display.plot(ax)

    def plot(self, ax: Any = None) -> "LearningRateDisplay":
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None for a new figure.

        Returns
        -------
        self : LearningRateDisplay
        """
        ax = axes_or_new(ax)
        fell = self.losses <= self.start_loss
        shown = positive(np.append(self.losses[fell], [self.auto_loss, self.start_loss]))
        (self.line_,) = ax.plot(
            self.learning_rates[fell], shown[:-2], "o-", color=BLUE, markersize=3, label=f"after {plural(self.epochs)}"
        )
        self.start_ = ax.axhline(self.start_loss, color=GREY, linestyle=":", label="start")
        auto = f'learning_rate="auto", {plural(self.auto_epochs)}'
        self.auto_ = ax.axhline(shown[-2], color=GREEN, linestyle="--", label=auto)
        self.ceiling_ = self.best_rate_ = None
        if self.best_rate is not None:
            label = f"best constant rate 2/(L+mu) = {self.best_rate:.4g}"
            self.best_rate_ = ax.axvline(self.best_rate, color=ORANGE, label=label)
        if self.ceiling is not None:
            self.ceiling_ = ax.axvline(
                self.ceiling, color=RED, linestyle="-.", label=f"ceiling 2/L = {self.ceiling:.4g}"
            )
        n_diverged = int((~fell).sum())
        (self.diverged_,) = ax.plot(
            self.learning_rates[~fell],
            np.full(n_diverged, 0.97),
            "^",
            color=RED,
            markersize=5,
            transform=ax.get_xaxis_transform(),
            label="diverged" if n_diverged else None,
        )
        ax.set_xscale("log")
        ax.set_yscale("log")
        low, high = min(shown), self.start_loss
        room = (high / low) ** 0.15 if high > low else 2.0
        ax.set_ylim(low / room**0.5, high * room)
        ax.set_xlabel("learning rate")
        ax.set_ylabel(self.loss_name)
        ax.grid(alpha=0.3)
        ax.legend(fontsize="small", loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, frameon=False)
        self.ax_, self.figure_ = ax, ax.figure
        return self
