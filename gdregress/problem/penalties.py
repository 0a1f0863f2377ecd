"""Penalties on coefficients: L1 and the sign constraint enter by their prox, L2, which is smooth, by its gradient.

In coordinates z, the penalty of coefficient j and output k is::

    l1_jk |z_jk| + l2_jk z_jk^2 / 2,    with z_jk >= 0 if `positive`

The intercept, the row below the coefficients, is not penalised.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Penalty:
    """A penalty on the coefficients in some coordinates.

    Attributes
    ----------
    l1, l2 : ndarray of shape (n_features, n_outputs)
        Non-negative strengths.
    positive : bool
        Whether coefficients must not be negative.
    """

    l1: NDArray
    l2: NDArray
    positive: bool = False

    @cached_property
    def is_smooth(self) -> bool:
        """Whether the penalty is smooth, so that its prox is the identity."""
        return not (self.positive or self.l1.any())

    @cached_property
    def has_no_strength(self) -> bool:
        """Whether both strengths are zero for all coefficients."""
        return not (self.l1.any() or self.l2.any())

    @cached_property
    def is_finite(self) -> NDArray:
        """Whether the conjugate of a coefficient's penalty is finite for slopes beyond l1: with L2."""
        return self.l2 > 0

    def of_output(self, output: int) -> "Penalty":
        """Return the penalty of one output."""
        if self.l1.shape[1] == 1:
            return self
        return Penalty(self.l1[:, output : output + 1], self.l2[:, output : output + 1], self.positive)

    def of_columns(self, columns: NDArray, output: int) -> "Penalty":
        """Return the penalty of some columns for one output."""
        return Penalty(self.l1[columns, output, np.newaxis], self.l2[columns, output, np.newaxis], self.positive)

    def value(self, point: NDArray) -> NDArray:
        """Return the penalty of each column of a point, or of several points side by side."""
        if self.has_no_strength:
            return np.zeros(point.shape[1])
        z = point[: len(self.l1)]
        l1, l2 = (tiled(strength, z.shape[1]) for strength in (self.l1, self.l2))
        return (l1 * np.abs(z) + 0.5 * l2 * z * z).sum(axis=0)

    def gradient(self, point: NDArray) -> NDArray:
        """Return the gradient of the L2 part with respect to the coefficients, at points side by side."""
        z = point[: len(self.l2)]
        if self.has_no_strength:
            return np.zeros_like(z)
        return tiled(self.l2, z.shape[1]) * z

    def prox(self, point: NDArray, step: float | NDArray) -> NDArray:
        """Return the proximal point of the nonsmooth part of the penalty.

        With v a coordinate of `point`, it is ``argmin_z (z - v)^2 / (2 step) + l1 |z|``, which is soft thresholding;
        with `positive`, z is restricted to z >= 0.

        Parameters
        ----------
        point : ndarray of shape (n_coordinates, n_outputs)
            The point v after a gradient step.
        step : float or ndarray of shape (n_coordinates, n_outputs)
            Step size of the gradient step, one for all coordinates or one for each.
        """
        if self.is_smooth:
            return point
        p = len(self.l1)
        threshold = self.l1 * (step[:p] if isinstance(step, np.ndarray) else step)
        z, moved = point[:p], point.copy()
        moved[:p] = np.maximum(z - threshold, 0.0) if self.positive else z - np.clip(z, -threshold, threshold)
        return moved

    def allowed(self, point: NDArray) -> NDArray:
        """Return the nearest point whose signs are allowed."""
        if not self.positive:
            return point
        p, allowed = len(self.l1), point.copy()
        allowed[:p] = np.maximum(point[:p], 0.0)
        return allowed

    def violation(self, gradient: NDArray) -> NDArray:
        """Return by how much the slope of each coefficient exceeds what holds it at zero; negative where it is held."""
        along_z = gradient[: len(self.l1)]
        return (-along_z if self.positive else np.abs(along_z)) - self.l1

    def residual(self, point: NDArray, gradient: NDArray) -> NDArray:
        """Return the shortest subgradient at points side by side, given the gradient of the smooth part."""
        if self.is_smooth:
            return gradient
        p = len(self.l1)
        z, along_z = point[:p], gradient[:p]
        l1 = tiled(self.l1, z.shape[1])
        at_zero = np.sign(along_z) * np.maximum(np.abs(along_z) - l1, 0.0)
        if self.positive:
            at_zero = np.minimum(along_z + l1, 0.0)
        shortest = gradient.copy()
        shortest[:p] = np.where(z == 0, at_zero, along_z + l1 * np.sign(z))
        return shortest


def tiled(of_outputs: NDArray | float, n_columns: int) -> NDArray:
    """Return numbers of the outputs for points side by side, once for each point; one number does for all."""
    numbers = np.asarray(of_outputs)
    if numbers.ndim == 0 or numbers.shape[-1] in (1, n_columns):
        return numbers
    return np.concatenate([numbers] * (n_columns // numbers.shape[-1]), axis=-1)
