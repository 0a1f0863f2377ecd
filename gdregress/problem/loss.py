"""Losses of a residual r = y - y_hat: the base class, and a user's loss in other units.

A user's loss is an object with `value`, `derivative` and `curvature`, as `Loss` describes them. `InUnits` wraps it and
derives all other quantities from these.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from gdregress.rows.namespaces import Movable, namespace

REQUIRED = ("value", "derivative", "curvature")
"""Attributes that a user's loss must have."""

INFINITY = float("inf")

ROUNDING = 4 * float(np.finfo(np.float64).eps)
"""Rounding error of a residual, as a share of the numbers whose difference it is."""

DIFFERENCE = 1e-6
"""Step of the finite differences that approximate second derivatives, relative to 1 + abs(residual)."""


class Loss:
    """Base class of losses of a residual r = y - y_hat.

    To define a convex loss, subclass it and write `value`, `derivative` and `curvature`. All else is derived from these
    three. Residuals are arrays of any shape, and results have the same shape. They are arrays of NumPy or, where rows
    are on a device, of the library of X.

    Attributes
    ----------
    value : callable
        Function from residuals to their losses l(r).
    derivative : callable
        Function from residuals to the derivatives l'(r) with respect to the residuals.
    curvature : float
        Positive upper bound on the second derivative l''(r).
    degree : int, default=2
        Power of the unit of y in which the loss is expressed, 1 or 2.
    alpha_factor : float, default=1.0
        Factor k of `alpha` in the objective, ``mean l(r) + k alpha (rho |w|_1 + (1 - rho)/2 |w|_2^2)``.
    is_piecewise, is_straight, is_parabola, is_kinked : bool
        What is known of the shape of the loss; all False for a user's loss.

    Examples
    --------
    The logarithm of the hyperbolic cosine is close to a parabola near 0, and to a straight line far from 0:

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
        """Whether the loss is known to be linear for large residuals."""
        return False

    @property
    def is_parabola(self) -> bool:
        """Whether the loss is a parabola."""
        return False

    @property
    def is_kinked(self) -> bool:
        """Whether the loss has kinks, that is c = infinity."""
        return False

    @property
    def width(self) -> float:
        """Distance from the minimiser at which the loss becomes linear; infinite if unknown."""
        return INFINITY

    def in_units(self, unit: NDArray | float) -> "Loss":
        """Return the same loss as a function of residuals in other units.

        Parameters
        ----------
        unit : float or ndarray of shape (n_outputs,)
            New unit of the residuals, in the present unit.

        Returns
        -------
        Loss
            Loss whose argument is in units of `unit` and whose value is in units of ``unit**degree``.
        """
        return InUnits(self, unit)

    def smoothed(self, mu: float) -> "Loss":
        """Return the loss smoothed with parameter mu: by default the loss itself, which is already smooth.

        Parameters
        ----------
        mu : float
            Smoothing parameter, in units of the residual.

        Returns
        -------
        Loss
            The loss itself.
        """
        return self

    def second_derivative(self, residual: NDArray) -> NDArray:
        """Return the second derivative at each residual, by default from central differences of `derivative`.

        Parameters
        ----------
        residual : ndarray
            Residuals y - y_hat.

        Returns
        -------
        ndarray
            Second derivatives, between 0 and `curvature`.
        """
        xp = namespace(residual)
        step = DIFFERENCE * (1.0 + xp.abs(residual))
        difference = self.derivative(residual + step) - self.derivative(residual - step)
        return xp.clip(difference / (2.0 * step), 0.0, self.curvature)

    def majoriser_curvature(self, residual: NDArray) -> NDArray:
        """Return the curvature of a quadratic majoriser: it touches the loss at the residual and is nowhere below it.

        Parameters
        ----------
        residual : ndarray
            Residuals y - y_hat.

        Returns
        -------
        ndarray
            Curvatures; by default `curvature` at every residual.
        """
        return namespace(residual).zeros_like(residual) + self.curvature

    def curved(self, residual: NDArray) -> NDArray:
        """Return the second derivative at each residual, divided by `curvature`.

        Parameters
        ----------
        residual : ndarray
            Residuals y - y_hat.

        Returns
        -------
        ndarray
            Shares, between 0 and 1.
        """
        return self.second_derivative(residual) / self.curvature

    def is_zero_at(self, constant: float, y: NDArray) -> bool:
        """Return whether no target has a loss where a constant is predicted, apart from what rounding may make.

        Parameters
        ----------
        constant : float
            The constant prediction, in the units of y.
        y : ndarray of shape (n_samples,)
            Targets.

        Returns
        -------
        bool
            Whether all losses are zero, of residuals without the part that may be rounding.
        """
        ends = np.array([np.min(y), np.max(y)])  # the loss is convex, so that no other target has a larger one
        residual, rounding = ends - constant, ROUNDING * (np.abs(ends) + abs(constant))
        return not self.value(residual - np.clip(residual, -rounding, rounding)).any()

    def best_constant(self, y: NDArray, weight: NDArray | None = None) -> float:
        """Return the constant prediction with the least weighted mean loss, by default from a bounded search.

        Parameters
        ----------
        y : ndarray of shape (n_samples,)
            Targets.
        weight : ndarray of shape (n_samples,), default=None
            Non-negative sample weights; None for weights of 1.

        Returns
        -------
        float
            The constant, in the units of y.
        """
        counted = y if weight is None else y[weight > 0]
        low, high = float(np.min(counted)), float(np.max(counted))
        if low == high:
            return low
        found = minimize_scalar(
            lambda constant: float(np.average(self.value(y - constant), weights=weight)),
            bounds=(low, high),
            options={"xatol": 1e-9 * (high - low)},
        )
        return float(found.x)


@dataclass(frozen=True)
class InUnits(Movable, Loss):
    """A user's loss of residuals in units of `unit`, its values in units of ``unit**degree``.

    Attributes
    ----------
    loss : object
        User's loss, with the attributes in `REQUIRED`.
    unit : float or ndarray of shape (n_outputs,), default=1.0
        Unit of the residuals, in units of y.
    """

    arrays = ("unit",)

    loss: Any
    unit: NDArray | float = 1.0

    @property
    def degree(self) -> int:  # type: ignore[override]
        """Power of the unit of y in which the loss is expressed."""
        return getattr(self.loss, "degree", Loss.degree)

    @property
    def alpha_factor(self) -> float:  # type: ignore[override]
        """Factor k of `alpha` in the objective."""
        return getattr(self.loss, "alpha_factor", Loss.alpha_factor)

    def in_units(self, unit: NDArray | float) -> "InUnits":
        """Return the same loss of residuals in other units: see `Loss.in_units`."""
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
        """Return the second derivative of the user's loss, from 0 to `curvature`, if any; else central differences."""
        if not hasattr(self.loss, "second_derivative"):
            return super().second_derivative(residual)
        second = namespace(residual).clip(self.loss.second_derivative(residual * self.unit), 0.0, self.loss.curvature)
        return second * self.unit ** (2 - self.degree)
