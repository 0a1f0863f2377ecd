"""Losses of a residual r = y - y_hat that are zero, then a parabola, then straight lines: six losses from one formula.

Each of the six is the convex conjugate of d |u| + u^2 / (2 c) over slopes u in [low, high]::

    l'(r) = u = clip(c soft(r, d), low, high)          soft(r, d) = sign(r) max(|r| - d, 0)
    l(r)  = u r - d |u| - u^2 / (2 c)

Such a loss is zero in a tube of half-width d, then a parabola of curvature c, then a straight line of slope low or
high. A loss with kinks has c = infinity.

Smoothing with parameter mu replaces c by s / mu if that is smaller, with s = max(-low, high) the steepest slope. A
loss with kinks exceeds the smoothed loss by at most s mu / 2 (Nesterov, 2005). The slope u of the smoothed loss is
also in [low, high], so the Fenchel gap l(r) + l*(u) - u r bounds the cost of smoothing at a point (`fenchel_gap`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdregress.problem.loss import ROUNDING, Loss
from gdregress.rows.namespaces import Movable, cast, namespace

NARROW = 1e-3
"""Length of a step to the best constant, as a share of the width of the parabola, up to which it may be the last."""

ROOT = 1e-9
"""Error of the best constant, as a share of the extent of y, where it is not exact."""


@dataclass(frozen=True)
class PiecewiseLoss(Movable, Loss):
    """A loss that is zero, then a parabola, then linear: see the formula of this module.

    Attributes
    ----------
    low, high : float or ndarray of shape (n_outputs,)
        Slopes of the linear parts, low <= 0 <= high; infinite if there are none.
    curvature : float
        Curvature c of the parabola; infinite for a kink.
    tube : float or ndarray of shape (n_outputs,)
        Half-width d of the tube in which the loss is zero.
    degree : int, default=1
        Power of the unit of y in which the loss is expressed: 2 for a loss with a parabola.
    alpha_factor : float, default=1.0
        Factor k of `alpha` in the objective: 2 if the loss is twice that of SGDRegressor.
    """

    arrays = ("low", "high", "curvature", "tube")

    low: float | NDArray
    high: float | NDArray
    curvature: float | NDArray
    tube: float | NDArray = 0.0
    degree: int = 1
    alpha_factor: float = 1.0

    is_piecewise = True

    @cached_property
    def has_tube(self) -> bool:
        """Whether the loss has a tube in which it is zero."""
        return bool(np.any(self.tube))

    @cached_property
    def is_straight(self) -> bool:
        """Whether the loss is linear for large residuals."""
        return bool(np.all(np.isfinite(self.high)))

    @cached_property
    def width(self) -> float:
        """Distance from the tube at which the loss becomes linear: 0 at a kink, infinite if it never does."""
        return float(np.max(np.maximum(np.abs(self.low), self.high) / self.curvature))

    @cached_property
    def is_parabola(self) -> bool:
        """Whether the loss is a parabola."""
        return not (self.is_straight or self.has_tube)

    @cached_property
    def is_kinked(self) -> bool:
        """Whether the loss has kinks, that is c = infinity."""
        return bool(np.all(np.isinf(self.curvature)))

    def mapped(self, function: Callable[[NDArray], Any]) -> "PiecewiseLoss":
        """Return the same loss with a function of its arrays; its shape is looked at before."""
        for fact in ("has_tube", "is_straight", "is_parabola", "is_kinked"):
            getattr(self, fact)
        return super().mapped(function)

    def _beyond_tube(self, residual: NDArray) -> NDArray:
        if not self.has_tube:
            return residual
        return residual - namespace(residual).clip(residual, -self.tube, self.tube)

    def derivative(self, residual: NDArray) -> NDArray:
        """Return the slope u at each residual, with 0 at a kink."""
        xp, beyond = namespace(residual), self._beyond_tube(residual)
        if self.is_kinked:
            return self.high * cast(beyond > 0, beyond.dtype) + self.low * cast(beyond < 0, beyond.dtype)
        slope = self.curvature * beyond
        return xp.clip(slope, self.low, self.high) if self.is_straight else slope

    def value(self, residual: NDArray) -> NDArray:
        """Return the loss of each residual."""
        xp, beyond = namespace(residual), self._beyond_tube(residual)
        if self.is_kinked:
            return xp.maximum(self.low * beyond, self.high * beyond)
        if not self.is_straight:
            return 0.5 * self.curvature * beyond * beyond
        slope = xp.clip(self.curvature * beyond, self.low, self.high)
        return slope * (beyond - slope / (2.0 * self.curvature))

    def conjugate(self, slope: NDArray) -> NDArray:
        """Return the convex conjugate l*(u) of the loss at slopes u in [low, high]."""
        return self.tube * namespace(slope).abs(slope) + slope * slope / (2.0 * self.curvature)

    def fenchel_gap(self, residual: NDArray, slope: NDArray) -> NDArray:
        """Return l(r) + l*(u) - u r, which is 0 if u is a subgradient of the loss at r, and positive otherwise."""
        gap = self.value(residual) + self.conjugate(slope) - slope * residual
        return namespace(gap).clip(gap, 0.0, None)

    def curved(self, residual: NDArray) -> NDArray:
        """Return 1 on the parabola and 0 on the linear parts and inside the tube."""
        if self.is_parabola:
            return namespace(residual).ones_like(residual)
        curved = namespace(residual).abs(residual) >= self.tube
        if self.is_straight:
            slope = self.curvature * self._beyond_tube(residual)
            curved &= (slope > self.low) & (slope < self.high)
        return cast(curved, residual.dtype)

    def second_derivative(self, residual: NDArray) -> NDArray:
        """Return c on the parabola and 0 on the linear parts and inside the tube."""
        return self.curvature * self.curved(residual)

    def majoriser_curvature(self, residual: NDArray) -> NDArray:
        """Return the curvature of a quadratic majoriser: it touches the loss at the residual and is nowhere below it.

        It is the weight of iteratively reweighted least squares, 1 / |r| for the absolute error. A loss with a tube
        is the sum of two losses without one, and the sum of their majorisers is a majoriser.
        """
        if not self.is_straight:
            return namespace(residual).zeros_like(residual) + self.curvature
        if not self.has_tube:
            return self._touching(residual, self.low, self.high)
        right = self._touching(residual - self.tube, 0.0, self.high)
        left = self._touching(residual + self.tube, self.low, 0.0)
        return namespace(residual).clip(left + right, None, self.curvature)

    def _touching(self, residual, low, high) -> NDArray:
        """Return the majoriser's curvature for slopes from low to high and no tube.

        Up to a linear term, this loss is symmetric about the residual at which its slope is (low + high) / 2.
        """
        xp, half, middle = namespace(residual), (high - low) / 2.0, (high + low) / 2.0
        distance = xp.abs(self.curvature * residual - middle)
        return self.curvature * xp.clip(half / xp.clip(distance, half, None), None, 1.0)

    def smoothed(self, mu: float) -> "PiecewiseLoss":
        """Return the loss with the curvature c reduced to max(-low, high) / mu, and the same linear parts.

        Its steepest linear part begins at the distance mu from the tube. If that of the loss begins no nearer, this is
        the loss itself. So it is if the loss has no linear parts.
        """
        steepest = np.maximum(np.abs(self.low), self.high)
        if not np.all(np.isfinite(steepest)):
            return self
        return replace(self, curvature=np.minimum(self.curvature, steepest / mu))

    def in_units(self, unit: NDArray | float) -> "PiecewiseLoss":
        """Return the same loss of residuals in units of `unit`, its values in units of ``unit**degree``."""
        if self.degree == 1:
            return replace(self, curvature=self.curvature * unit, tube=self.tube / unit)
        if self.is_parabola:
            return self
        return replace(self, low=self.low / unit, high=self.high / unit, tube=self.tube / unit)

    def best_constant(self, y: NDArray, weight: NDArray | None = None) -> float:
        """Return the constant prediction with the least weighted mean loss.

        It is a mean for squared error, a quantile for a loss with a kink and no tube, and else a root of the mean
        slope, or the middle of the targets if the tube contains all of them.
        """
        if self.is_parabola:
            return float(np.average(y, weights=weight))
        if self.is_kinked and not self.has_tube:
            return _quantile(y, weight, self.high / (self.high - self.low))

        counted = y if weight is None else y[weight > 0]
        low, high = float(np.min(counted)), float(np.max(counted))
        middle = low + (high - low) / 2.0
        return middle if self.is_zero_at(middle, counted) else self._root(y, weight, low, high)

    def _root(self, y: NDArray, weight: NDArray | None, low: float, high: float) -> float:
        """Return the constant between two ends at which the mean slope is zero.

        Newton's method begins at the mean. It ends after finitely many steps, where halving takes some thirty. The last
        step is far shorter than the parabola is wide: on a narrow one every step is short.
        """
        share = np.full(len(y), 1.0 / len(y)) if weight is None else weight / weight.sum()
        constant = min(max(float(share @ y), low), high)
        width = np.inf if self.is_kinked else float((self.high - self.low) / self.curvature)
        near = max(min(ROOT * (high - low), NARROW * width), ROUNDING * max(abs(low), abs(high)))
        while high - low > near:
            residual = y - constant
            mean = float(share @ self.derivative(residual))
            bend = 0.0 if self.is_kinked else float(self.curvature * (share @ self.curved(residual)))
            low, high = (constant, high) if mean > 0 else (low, constant)
            step = mean / bend if bend > 0 else high - low
            if abs(step) <= near:
                return constant + step
            constant = constant + step if low < constant + step < high else low + (high - low) / 2.0
        return constant


def _quantile(y: NDArray, weight: NDArray | None, quantile: Any) -> float:
    """Return the least target up to which the cumulative weight reaches the share `quantile`."""
    if weight is None:
        return float(np.quantile(y, float(quantile), method="inverted_cdf"))
    order = np.argsort(y)
    below = np.cumsum(weight[order])
    return float(y[order][np.searchsorted(below, quantile * below[-1])])
