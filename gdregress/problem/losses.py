"""Losses of a residual r = y - y_hat: six of them, and one formula.

Every loss here is the convex conjugate of d |u| + u^2 / (2 c) over slopes u in [low, high]::

    l'(r) = u = clip(c soft(r, d), low, high)          soft(r, d) = sign(r) max(|r| - d, 0)
    l(r)  = u r - d |u| - u^2 / (2 c)

that is: flat in a tube of half-width d, then a parabola of curvature c, then straight lines of
slope low and high. A loss with kinks has c = infinity. Smoothed with parameter mu it is the same loss with
c = 1 / mu: it lies below by at most mu u^2 / 2 (Nesterov, 2005), and the slope u of the smoothed loss,
which the loss itself could have, tells exactly how much of that is due where the descent stands
(`fenchel_gap`).

A loss of one's own is an object with `value`, `derivative`, `curvature` and `best_constant`, as
`Loss` describes them; what else a descent asks for, `Loss` derives from these.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize_scalar

REQUIRED = ("value", "derivative", "curvature", "best_constant")
"""What a loss of one's own must have."""

INFINITY = float("inf")

DIFFERENCE = 1e-6
"""Relative step of a difference that stands for a derivative."""


class Loss:
    """What a descent asks of a loss, derived from `value`, `derivative` and `curvature`.

    Subclass it and write these three; residuals are arrays of any shape, and results have
    that shape.

    Attributes
    ----------
    value, derivative : methods
        From residuals to losses, and to their derivatives with respect to the residuals.
    curvature : float
        Bound on the second derivative, positive.
    degree : int, default=2
        Power of the unit of y in which the loss is expressed.
    alpha_factor : float, default=1.0
        Factor k of `alpha` in the objective.
    is_piecewise, is_straight, is_parabola, is_kinked : bool
        What is known of its form: False for a loss of one's own.

    Examples
    --------
    The logarithm of the hyperbolic cosine is a parabola near 0 and a straight line far away:

    >>> import numpy as np
    >>> from gdregress import GradientDescentRegressor, Loss, load_house_prices
    >>> class LogCosh(Loss):
    ...     curvature = 1.0
    ...
    ...     def value(self, residual):
    ...         return np.logaddexp(residual, -residual) - np.log(2.0)
    ...
    ...     def derivative(self, residual):
    ...         return np.tanh(residual)
    >>> X, y = load_house_prices(return_X_y=True)
    >>> model = GradientDescentRegressor(loss=LogCosh()).fit(X, y)
    >>> print(model.converged_, model.coef_.round(2), round(model.intercept_, 2))
    True [63.49] 16.86
    """

    curvature: float | NDArray
    degree: int = 2
    alpha_factor: float = 1.0
    is_piecewise = False

    value: Callable[[NDArray], NDArray]
    derivative: Callable[[NDArray], NDArray]

    @property
    def is_straight(self) -> bool:
        """Whether the loss ends in straight lines."""
        return False

    @property
    def is_parabola(self) -> bool:
        """Whether the loss is one parabola, of one curvature for all outputs."""
        return False

    @property
    def is_kinked(self) -> bool:
        """Whether the loss has kinks in place of parabolas."""
        return False

    @property
    def width(self) -> float:
        """How far from its middle the loss becomes straight: infinite, as far as is known."""
        return INFINITY

    def in_units(self, unit: NDArray | float) -> "Loss":
        """Return the loss of residuals in other units.

        Parameters
        ----------
        unit : float or ndarray of shape (n_outputs,)
            The unit of the residuals, in units of y.

        Returns
        -------
        Loss
            Of residuals in units of `unit`, itself in units of ``unit**degree``.
        """
        return InUnits(self, unit)

    def smoothed(self, mu: float) -> "Loss":
        """Return the loss itself: it has no kinks, and is not known to end in straight lines.

        Parameters
        ----------
        mu : float
            How wide the parabola is to be that takes the place of a kink.

        Returns
        -------
        Loss
            The loss itself.
        """
        return self

    def second_derivative(self, residual: NDArray) -> NDArray:
        """Return the second derivative at each residual: by default, by central differences.

        Parameters
        ----------
        residual : ndarray
            Residuals y - y_hat.

        Returns
        -------
        ndarray
            Second derivatives, from 0 to `curvature`.
        """
        step = DIFFERENCE * (1.0 + np.abs(residual))
        difference = self.derivative(residual + step) - self.derivative(residual - step)
        return np.clip(difference / (2.0 * step), 0.0, self.curvature)

    def majoriser_curvature(self, residual: NDArray) -> NDArray:
        """Return the curvature of a parabola that touches the loss at each residual and lies above it everywhere.

        Parameters
        ----------
        residual : ndarray
            Residuals y - y_hat.

        Returns
        -------
        ndarray
            Curvatures: by default, `curvature` for all.
        """
        return np.full_like(residual, self.curvature)

    def curved(self, residual: NDArray) -> NDArray:
        """Return the second derivative at each residual as a share of its bound.

        Parameters
        ----------
        residual : ndarray
            Residuals y - y_hat.

        Returns
        -------
        ndarray
            Shares, from 0 to 1.
        """
        return self.second_derivative(residual) / self.curvature

    def best_constant(self, y: NDArray, weight: NDArray | None = None) -> float:
        """Return the constant prediction of least weighted mean loss.

        Parameters
        ----------
        y : ndarray of shape (n_samples,)
            Targets.
        weight : ndarray of shape (n_samples,), default=None
            Weights; None for ones.

        Returns
        -------
        float
            The constant, in units of y.
        """
        low, high = float(np.min(y)), float(np.max(y))
        if low == high:
            return low
        found = minimize_scalar(
            lambda constant: float(np.average(self.value(y - constant), weights=weight)),
            bounds=(low, high),
            options={"xatol": 1e-9 * (high - low)},
        )
        return float(found.x)


@dataclass(frozen=True)
class PiecewiseLoss(Loss):
    """A loss that is flat, then a parabola, then straight: see the formula of this module.

    Attributes
    ----------
    low, high : float or ndarray of shape (n_outputs,)
        Slopes of the straight parts, low <= 0 <= high; infinite where there are none.
    curvature : float
        Curvature c of the parabola; infinity for a kink in its place.
    tube : float or ndarray of shape (n_outputs,)
        Half-width d of the flat part.
    degree : int
        Power of the unit of y in which the loss is expressed: 2 for a loss with parabolas.
    alpha_factor : float
        Factor k of `alpha` in the objective: 2 where the loss is twice SGDRegressor's.
    """

    low: float | NDArray
    high: float | NDArray
    curvature: float | NDArray
    tube: float | NDArray = 0.0
    degree: int = 1
    alpha_factor: float = 1.0

    is_piecewise = True

    @cached_property
    def has_tube(self) -> bool:
        """Whether the loss has a flat part."""
        return bool(np.any(self.tube))

    @cached_property
    def is_straight(self) -> bool:
        """Whether the loss ends in straight lines."""
        return bool(np.all(np.isfinite(self.high)))

    @cached_property
    def width(self) -> float:
        """How far from the flat part the loss becomes straight: 0 for one with kinks, infinite where it never does."""
        return float(np.max(np.maximum(np.abs(self.low), self.high) / self.curvature))

    @cached_property
    def is_parabola(self) -> bool:
        """Whether the loss is one parabola, of one curvature for all outputs."""
        return not (self.is_straight or self.has_tube or np.ndim(self.curvature))

    @cached_property
    def is_kinked(self) -> bool:
        """Whether the loss has kinks in place of parabolas."""
        return bool(np.all(np.isinf(self.curvature)))

    def _beyond_tube(self, residual: NDArray) -> NDArray:
        if not self.has_tube:
            return residual
        return residual - np.clip(residual, -self.tube, self.tube)

    def derivative(self, residual: NDArray) -> NDArray:
        """Return the slope u at each residual; 0 at a kink."""
        beyond = self._beyond_tube(residual)
        if self.is_kinked:
            return np.where(beyond > 0, self.high, np.where(beyond < 0, self.low, 0.0)).astype(beyond.dtype)
        slope = self.curvature * beyond
        return np.clip(slope, self.low, self.high) if self.is_straight else slope

    def value(self, residual: NDArray) -> NDArray:
        """Return the loss of each residual."""
        beyond = self._beyond_tube(residual)
        if self.is_kinked:
            return np.maximum(self.low * beyond, self.high * beyond)
        if not self.is_straight:
            return 0.5 * self.curvature * beyond * beyond
        slope = np.clip(self.curvature * beyond, self.low, self.high)
        return slope * (beyond - slope / (2.0 * self.curvature))

    def conjugate(self, slope: NDArray) -> NDArray:
        """Return the convex conjugate of the loss at slopes in [low, high]."""
        return self.tube * np.abs(slope) + slope * slope / (2.0 * self.curvature)

    def fenchel_gap(self, residual: NDArray, slope: NDArray) -> NDArray:
        """Return l(r) + l*(u) - u r, which is 0 where u is a slope of the loss at r, and positive elsewhere."""
        return np.maximum(self.value(residual) + self.conjugate(slope) - slope * residual, 0.0)

    def curved(self, residual: NDArray) -> NDArray:
        """Return 1 on the parabola and 0 where the loss is flat or straight."""
        if not (self.is_straight or self.has_tube):
            return np.ones_like(residual)
        curved = np.abs(residual) >= self.tube
        if self.is_straight:
            slope = self.curvature * self._beyond_tube(residual)
            curved &= (slope > self.low) & (slope < self.high)
        return curved.astype(residual.dtype)

    def second_derivative(self, residual: NDArray) -> NDArray:
        """Return c on the parabola and 0 where the loss is flat or straight."""
        return self.curvature * self.curved(residual)

    def majoriser_curvature(self, residual: NDArray) -> NDArray:
        """Return the curvature of a parabola that touches the loss at each residual and lies above it.

        That of iteratively reweighted least squares: for the absolute error 1 / |r|. A loss with a
        tube is the sum of two without, one for each side.
        """
        if not self.is_straight:
            return np.full_like(residual, self.curvature)
        if not self.has_tube:
            return self._touching(residual, self.low, self.high)
        right = self._touching(residual - self.tube, 0.0, self.high)
        left = self._touching(residual + self.tube, self.low, 0.0)
        return np.minimum(self.curvature, left + right)

    def _touching(self, residual, low, high) -> NDArray:
        """Return that curvature for slopes from low to high without a tube: the loss is symmetric about the mean."""
        half, middle = (high - low) / 2.0, (high + low) / 2.0
        distance = np.abs(self.curvature * residual - middle)
        return self.curvature * np.minimum(1.0, half / np.maximum(distance, half))

    def smoothed(self, mu: float) -> "PiecewiseLoss":
        """Return the loss with a parabola that is mu wide: curvature `high / mu` at most, and the same straight lines.

        Of a loss without kinks that ends in straight lines it is the wider one of the same kind,
        and from its own width on the loss itself.
        """
        steepest = np.maximum(np.abs(self.low), self.high)
        if not np.all(np.isfinite(steepest)):
            return self
        return replace(self, curvature=np.minimum(self.curvature, steepest / mu))

    def in_units(self, unit: NDArray | float) -> "PiecewiseLoss":
        """Return the loss of residuals in units of `unit`, itself in units of `unit**degree`."""
        if self.degree == 1:
            return replace(self, curvature=self.curvature * unit, tube=self.tube / unit)
        if not (self.has_tube or self.is_straight):
            return self
        return replace(self, low=self.low / unit, high=self.high / unit, tube=self.tube / unit)

    def best_constant(self, y: NDArray, weight: NDArray | None = None) -> float:
        """Return the constant prediction of least weighted mean loss.

        It is where the mean slope changes its sign: a mean, a quantile, or in between.
        """
        if not (self.is_straight or self.has_tube):
            return float(np.average(y, weights=weight))
        if self.is_kinked and not self.has_tube:
            return _quantile(y, weight, self.high / (self.high - self.low))

        def mean_slope(constant: float) -> float:
            return float(np.average(self.derivative(y - constant), weights=weight))

        counted = y if weight is None else y[weight > 0]
        low, high = float(np.min(counted)), float(np.max(counted))
        if mean_slope(low) <= 0 or mean_slope(high) >= 0:
            return low + (high - low) / 2.0  # in a tube that holds all
        return float(brentq(mean_slope, low, high, xtol=1e-9 * (high - low)))


@dataclass(frozen=True)
class InUnits(Loss):
    """A loss of somebody else's, of residuals in units of `unit`, itself in units of `unit**degree`."""

    loss: Any
    unit: NDArray | float = 1.0

    @property
    def degree(self) -> int:  # type: ignore[override]
        """Power of the unit in which the loss is expressed."""
        return getattr(self.loss, "degree", Loss.degree)

    @property
    def alpha_factor(self) -> float:  # type: ignore[override]
        """Factor k of `alpha` in the objective."""
        return getattr(self.loss, "alpha_factor", Loss.alpha_factor)

    def in_units(self, unit: NDArray | float) -> "InUnits":
        """Return the loss of residuals in other units, itself in units of `unit**degree`."""
        return replace(self, unit=self.unit * unit)

    @property
    def curvature(self) -> NDArray:  # type: ignore[override]
        """Bound on the second derivative."""
        return self.loss.curvature * self.unit ** (2 - self.degree)

    def value(self, residual: NDArray) -> NDArray:
        """Return the loss of each residual."""
        return self.loss.value(residual * self.unit) / self.unit**self.degree

    def derivative(self, residual: NDArray) -> NDArray:
        """Return the derivative with respect to each residual."""
        return self.loss.derivative(residual * self.unit) / self.unit ** (self.degree - 1)

    def second_derivative(self, residual: NDArray) -> NDArray:
        """Return the second derivative where the loss tells it, else by central differences."""
        if not hasattr(self.loss, "second_derivative"):
            return super().second_derivative(residual)
        return self.loss.second_derivative(residual * self.unit) * self.unit ** (2 - self.degree)


def as_loss(loss: Any, epsilon: float, quantile: float) -> "PiecewiseLoss | InUnits":
    """Return the loss that a parameter means: one of `LOSSES` by its name, or somebody else's in a `Loss` of ours.

    Parameters
    ----------
    loss : str or object
        A key of `LOSSES`, or an object with `REQUIRED`.
    epsilon, quantile : float
        What some of `LOSSES` are made from.
    """
    return LOSSES[loss](epsilon, quantile) if isinstance(loss, str) else InUnits(loss)


@cache
def squared_error() -> PiecewiseLoss:
    """Make r^2: twice SGDRegressor's, so that its mean is the mean squared error."""
    return PiecewiseLoss(-INFINITY, INFINITY, 2.0, degree=2, alpha_factor=2.0)


def huber(epsilon: float = 0.1) -> PiecewiseLoss:
    """Make r^2 for abs(r) <= epsilon, else 2 epsilon abs(r) - epsilon^2 (Huber, 1964): twice SGDRegressor's."""
    return PiecewiseLoss(-2.0 * epsilon, 2.0 * epsilon, 2.0, degree=2, alpha_factor=2.0)


def absolute_error() -> PiecewiseLoss:
    """Make abs(r): its minimiser is a conditional median."""
    return PiecewiseLoss(-1.0, 1.0, INFINITY)


def quantile_loss(quantile: float = 0.5) -> PiecewiseLoss:
    """Make quantile r for r > 0, else (quantile - 1) r (Koenker and Bassett, 1978)."""
    return PiecewiseLoss(quantile - 1.0, quantile, INFINITY)


def epsilon_insensitive(epsilon: float = 0.1) -> PiecewiseLoss:
    """Make max(abs(r) - epsilon, 0), that of support vector regression."""
    return PiecewiseLoss(-1.0, 1.0, INFINITY, tube=epsilon)


def squared_epsilon_insensitive(epsilon: float = 0.1) -> PiecewiseLoss:
    """Make max(abs(r) - epsilon, 0)^2."""
    return PiecewiseLoss(-INFINITY, INFINITY, 2.0, tube=epsilon, degree=2)


LOSSES: dict[str, Callable[[float, float], PiecewiseLoss]] = {
    "squared_error": lambda epsilon, quantile: squared_error(),
    "huber": lambda epsilon, quantile: huber(epsilon),
    "absolute_error": lambda epsilon, quantile: absolute_error(),
    "quantile": lambda epsilon, quantile: quantile_loss(quantile),
    "epsilon_insensitive": lambda epsilon, quantile: epsilon_insensitive(epsilon),
    "squared_epsilon_insensitive": lambda epsilon, quantile: squared_epsilon_insensitive(epsilon),
}
"""The losses by name, made from `epsilon` and `quantile`."""


def _quantile(y: NDArray, weight: NDArray | None, quantile: Any) -> float:
    """Return a value at which the weight below it comes to the share `quantile`."""
    if weight is None:
        return float(np.quantile(y, float(quantile), method="inverted_cdf"))
    order = np.argsort(y)
    below = np.cumsum(weight[order])
    return float(y[order][np.searchsorted(below, quantile * below[-1])])
