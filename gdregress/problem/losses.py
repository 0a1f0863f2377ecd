"""The losses by their names."""

from collections.abc import Callable
from functools import cache
from typing import Any

from gdregress.problem.loss import INFINITY, InUnits
from gdregress.problem.piecewise import PiecewiseLoss

HUBER_SHARE = 1.35
"""Residual at which Huber's loss turns straight, in units of their scale: 95 % efficient if they are normal."""


def as_loss(loss: Any, epsilon: float, quantile: float) -> "PiecewiseLoss | InUnits":
    """Return the loss for the value of the parameter `loss` of the estimator.

    Parameters
    ----------
    loss : str or object
        A key of `LOSSES`, or an object with the attributes in `REQUIRED`.
    epsilon, quantile : float
        Parameters of the losses by name; each loss uses those that it has.

    Returns
    -------
    PiecewiseLoss or InUnits
        A loss by name, or the object wrapped.
    """
    return LOSSES[loss](epsilon, quantile) if isinstance(loss, str) else InUnits(loss)


@cache
def squared_error() -> PiecewiseLoss:
    """Return the loss r^2, twice that of SGDRegressor, so that its mean is the mean squared error."""
    return PiecewiseLoss(-INFINITY, INFINITY, 2.0, degree=2, alpha_factor=2.0)


def huber(epsilon: float = 0.1) -> PiecewiseLoss:
    """Return twice SGDRegressor's Huber loss: r^2 if abs(r) <= epsilon, else 2 epsilon abs(r) - epsilon^2 (1964)."""
    return PiecewiseLoss(-2.0 * epsilon, 2.0 * epsilon, 2.0, degree=2, alpha_factor=2.0)


def absolute_error() -> PiecewiseLoss:
    """Return the loss abs(r), whose minimiser estimates the conditional median."""
    return PiecewiseLoss(-1.0, 1.0, INFINITY)


def quantile_loss(quantile: float = 0.5) -> PiecewiseLoss:
    """Return the loss quantile r for r > 0, else (quantile - 1) r (Koenker and Bassett, 1978)."""
    return PiecewiseLoss(quantile - 1.0, quantile, INFINITY)


def epsilon_insensitive(epsilon: float = 0.1) -> PiecewiseLoss:
    """Return the loss max(abs(r) - epsilon, 0), that of support vector regression (Vapnik, 1995)."""
    return PiecewiseLoss(-1.0, 1.0, INFINITY, tube=epsilon)


def squared_epsilon_insensitive(epsilon: float = 0.1) -> PiecewiseLoss:
    """Return the loss max(abs(r) - epsilon, 0)^2."""
    return PiecewiseLoss(-INFINITY, INFINITY, 2.0, tube=epsilon, degree=2)


LOSSES: dict[str, Callable[[float, float], PiecewiseLoss]] = {
    "squared_error": lambda epsilon, quantile: squared_error(),
    "huber": lambda epsilon, quantile: huber(epsilon),
    "absolute_error": lambda epsilon, quantile: absolute_error(),
    "quantile": lambda epsilon, quantile: quantile_loss(quantile),
    "epsilon_insensitive": lambda epsilon, quantile: epsilon_insensitive(epsilon),
    "squared_epsilon_insensitive": lambda epsilon, quantile: squared_epsilon_insensitive(epsilon),
}
"""Functions of `epsilon` and `quantile` that return the loss of each name."""
