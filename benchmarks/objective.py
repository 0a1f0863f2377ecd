"""What a problem asks to be minimised, as data, and its value: the one score of every solver.

    F(w, b) = mean_i l(y_i - x_i . w - b) + k alpha (|w|_1 or |w|_2^2 / 2)

in the convention of the estimator: k = 2 for squared error and Huber's loss, which are twice
scikit-learn's, and 1 for the others. Nothing of gdregress is used.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Objective:
    """A mean loss and a penalty; the intercept is never penalised.

    Attributes
    ----------
    loss : str, default="squared_error"
        Loss of a residual.
    penalty : {"l1", "l2"} or None, default=None
        Penalty on the coefficients.
    alpha : float, default=0.0
        Its strength.
    epsilon : float, default=None
        Where Huber's loss becomes straight, or half the width of the tube; None for a loss without.
    quantile : float, default=0.5
        Quantile of the pinball loss.
    """

    loss: Literal["squared_error", "huber", "quantile", "epsilon_insensitive"] = "squared_error"
    penalty: Literal["l1", "l2"] | None = None
    alpha: float = 0.0
    epsilon: float | None = None
    quantile: float = 0.5

    @property
    def is_least_squares(self) -> bool:
        """Whether nothing but squared error counts."""
        return self.loss == "squared_error" and self.penalty is None

    def losses(self, residuals: NDArray) -> NDArray:
        """Give the loss of each residual."""
        sizes = np.abs(residuals)
        match self.loss:
            case "squared_error":
                return residuals**2
            case "huber":
                return np.where(sizes <= self.epsilon, sizes**2, self.epsilon * (2 * sizes - self.epsilon))
            case "quantile":
                return np.maximum(self.quantile * residuals, (self.quantile - 1) * residuals)
            case "epsilon_insensitive":
                return np.maximum(sizes - self.epsilon, 0.0)

    def price(self, coef: NDArray) -> float:
        """Give the penalty, alpha and k included."""
        if self.penalty is None:
            return 0.0
        size = np.sum(np.abs(coef)) if self.penalty == "l1" else np.sum(coef**2) / 2
        return float((2 if self.loss in ("squared_error", "huber") else 1) * self.alpha * size)

    def __str__(self) -> str:
        epsilon = "" if self.epsilon is None else f", epsilon {self.epsilon:g}"
        quantile = f", quantile {self.quantile:g}" if self.loss == "quantile" else ""
        penalty = f", {self.penalty} {self.alpha:g}" if self.penalty else ""
        return f"{self.loss}{epsilon}{quantile}{penalty}"
