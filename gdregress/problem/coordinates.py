"""The coordinates of a descent: an affine map between them and the raw (w, b).

In coordinates with centre a, scales d, target centre t and target scale u, a point holds z and,
with an intercept, c in its last row, and predicts::

    (y_hat - t) / u  =  z . (x - a) / d + c
    w = u z / d,    b = t + u c - a . w

The raw coordinates (a = 0, d = 1, t = 0, u = 1) are (w, b) itself: those of the textbook. In the
unit-curvature coordinates every coordinate of squared error has the curvature 2: it is what
standardising the columns was for, done to the coefficients in place of the data.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from gdregress.problem.penalties import Penalty
from gdregress.rows.moments import Moments


@dataclass(frozen=True)
class Coordinates:
    """Centre, scales and their inverses, both zero for a column that does not vary; whether points are (w, b)."""

    fit_intercept: bool
    center: NDArray
    scale: NDArray
    inverse_scale: NDArray
    target_center: NDArray
    target_scale: NDArray
    is_raw: bool = False

    @property
    def is_identity(self) -> bool:
        """Whether rows are in these coordinates as they are."""
        return not (self.fit_intercept or self.center.any() or (self.inverse_scale != 1).any())

    @classmethod
    def plain(cls, n_features: int, n_outputs: int, *, fit_intercept: bool) -> Self:
        """Return the coordinates in which a point is (w, b)."""
        ones = np.ones(n_features)
        return cls(fit_intercept, np.zeros(n_features), ones, ones, np.zeros(n_outputs), np.ones(n_outputs), True)

    @classmethod
    def raw(cls, moments: Moments, *, fit_intercept: bool) -> Self:
        """Return the coordinates in which a point is (w, b), in units of y that are 1 but for extreme y."""
        plain = cls.plain(len(moments.x.mean), len(moments.y.mean), fit_intercept=fit_intercept)
        return replace(plain, target_scale=moments.y.unit)

    @classmethod
    def unit_curvature(cls, moments: Moments, *, alpha: float, fit_intercept: bool) -> Self:
        """Return the coordinates in which each coordinate of squared error plus alpha |w|^2 has curvature 2.

        Its target scale is the standard deviation of y, so that losses come out as shares of
        the best constant's. Without an intercept the moments are to be about the origin.
        """
        scale = np.hypot(moments.x.deviation, np.sqrt(alpha))
        with np.errstate(divide="ignore", over="ignore"):
            inverse_scale = 1 / scale
        moves = np.isfinite(inverse_scale) & np.isfinite(scale)
        return cls(
            fit_intercept,
            moments.x.mean,
            np.where(moves, scale, 0.0),
            np.where(moves, inverse_scale, 0.0),
            moments.y.mean,
            target_scale(moments),
        )

    def to_raw(self, point: NDArray) -> tuple[NDArray, NDArray]:
        """Return the coefficients (n_features, ..., n_outputs) and intercepts (..., n_outputs) of points alike."""
        z = point[: len(self.center)]
        coef = (z.T * self.inverse_scale).T * self.target_scale
        if not self.fit_intercept:
            return coef, np.zeros(point.shape[1:], point.dtype)
        level = self.target_center + self.target_scale * point[-1].astype(np.longdouble)
        return coef, level - (coef.T @ self.center.astype(np.longdouble)).T

    def from_raw(self, coef: NDArray, intercept: NDArray) -> NDArray:
        """Return the point with these coefficients (n_features, n_outputs) and intercepts (n_outputs,)."""
        z = coef / self.target_scale * self.scale[:, np.newaxis]
        if not self.fit_intercept:
            return z
        c = (intercept - self.target_center + self.center @ coef) / self.target_scale
        return np.vstack([z, c])

    def targets(self, y: NDArray) -> NDArray:
        """Turn targets (n_samples, n_outputs) into those in these coordinates."""
        return (y - self.target_center) / self.target_scale

    def penalty(self, l1: float, l2: float, *, positive: bool = False, degree: int = 2) -> Penalty:
        """Turn l1 |w|_1 + l2 |w|_2^2 / 2 into a penalty of the coordinates, in units of target_scale**degree."""
        if l1 == 0 and l2 == 0:
            nothing = np.zeros((len(self.center), len(self.target_scale)))
            return Penalty(nothing, nothing, positive)
        along_l1 = l1 * np.outer(self.inverse_scale, self.target_scale ** (1 - degree))
        along_l2 = np.outer((np.sqrt(l2) * self.inverse_scale) ** 2, self.target_scale ** (2 - degree))
        return Penalty(along_l1, along_l2, positive)

    def turned(self, gradient: NDArray) -> NDArray:
        """Turn gradients with respect to (w, b), into those in these coordinates, but for the target's scale."""
        p = len(self.center)
        along_z = gradient[:p]
        if self.fit_intercept:
            along_z = along_z - np.outer(self.center, gradient[-1])
        return np.vstack([along_z * self.inverse_scale[:, np.newaxis], gradient[p:]])


def target_scale(moments: Moments) -> NDArray:
    """Root of the loss of the best constant: the standard deviation of each output.

    Where y varies by less than the root of the machine precision, relative to its size, no
    fraction of its deviation is representable, and its size takes the place of the deviation.
    """
    eps = np.finfo(np.float64).eps
    size = np.hypot(np.sqrt(moments.y.variance), moments.y.mean / moments.y.unit)
    scale = np.maximum(np.sqrt(moments.y.variance), np.sqrt(eps) * size)
    return np.where(scale > 0, scale, 1.0) * moments.y.unit
