"""Weighted first and second moments of (X, y).

Each column has a unit, a power of two in which its second moments are expressed. The unit is 1 unless squares of the
data come near the limits of the range of floats. Scaling by a power of two is exact.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray


class Columns(NamedTuple):
    """Means and variances of the columns of X, or of y.

    Attributes
    ----------
    mean : ndarray of shape (n_columns,)
        Means, in the units of the data.
    remainder : ndarray of shape (n_columns,)
        Rounding errors of the means, carried along because they would add up over many merges.
    unit : ndarray of shape (n_columns,)
        Powers of two: variances are in units of their squares, covariances in units of their products.
    variance : ndarray of shape (n_columns,)
        Variances; exactly zero for columns of X that are constant.
    cancellation : ndarray of shape (n_columns,)
        Factors by which centring enlarged the relative rounding errors of the variances.
    """

    mean: NDArray
    remainder: NDArray
    unit: NDArray
    variance: NDArray
    cancellation: NDArray

    @property
    def deviation(self) -> NDArray:
        """Standard deviations in the units of the data, ``unit * sqrt(variance)``."""
        return self.unit * np.sqrt(self.variance)

    @property
    def magnitude(self) -> NDArray:
        """The larger of the mean's size and the standard deviation, in the units of the data."""
        return np.maximum(np.abs(self.mean), self.deviation)

    def in_unit(self, unit: NDArray) -> tuple["Columns", NDArray]:
        """Return the same moments in other units, and the factors by which the columns were multiplied."""
        # The ratio may overflow for a constant column, which needs no factor.
        factor = np.divide(self.unit, unit, out=np.zeros_like(unit), where=self.variance > 0)
        return self._replace(unit=unit, variance=self.variance * factor**2), factor

    def about_origin(self) -> "Columns":
        """Return the moments about the origin instead of the mean."""
        zero = np.zeros_like(self.mean)
        return Columns(zero, zero, self.unit, self.variance + (self.mean / self.unit) ** 2, np.ones_like(zero))


@dataclass(frozen=True, eq=False)
class Moments:
    """Weighted means, variances and covariances of (X, y).

    Attributes
    ----------
    weight : float
        Sum of the weights, W.
    n_samples : int
        Number of rows of positive weight.
    x : Columns
        Moments of each column of X.
    y : Columns
        Moments of each column of y.
    cross : ndarray of shape (n_features, n_features) or None
        Covariances of the columns of X; None if they were not gathered.
    target_cross : ndarray of shape (n_features, n_outputs)
        Covariances of X and y.
    precision : type
        Floating type in which products of columns of X were formed.
    """

    weight: float
    n_samples: int
    x: Columns
    y: Columns
    cross: NDArray | None
    target_cross: NDArray
    precision: type = np.float64

    def error(self, inflation: float) -> float:
        """Estimate the relative rounding error of a solution computed from these moments.

        Parameters
        ----------
        inflation : float
            Factor by which solving enlarges a relative error of the moments.
        """
        return float(np.finfo(self.precision).eps * self.x.cancellation.max() * inflation)

    def plain(self) -> dict[str, Any]:
        """Return the moments as a flat dict of arrays and numbers, with the prefix "target_" for those of y.

        The dict omits `precision` and the cancellation of y.
        """
        return {
            "weight": self.weight,
            "n_samples": self.n_samples,
            **self.x._asdict(),
            **{f"target_{name}": value for name, value in self.y._asdict().items() if name != "cancellation"},
            "cross": self.cross,
            "target_cross": self.target_cross,
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Self:
        """Return the moments that a flat dict describes.

        Parameters
        ----------
        plain : dict of str to float, int, ndarray or None
            Result of `plain` for moments in double precision. The cancellation of y becomes 1: no fit reads it.
        """
        known = {"target_cancellation": np.ones_like(plain["target_mean"]), **plain}
        x, y = (Columns(*(known[prefix + name] for name in Columns._fields)) for prefix in ("", "target_"))
        return cls(plain["weight"], plain["n_samples"], x, y, plain["cross"], plain["target_cross"])

    def with_weight(self, weight: float) -> "Moments":
        """Return the moments of the same rows, their weights scaled to another sum."""
        return replace(self, weight=weight)

    def in_units(self, unit: NDArray, target_unit: NDArray) -> "Moments":
        """Return the same moments in other units."""
        if (self.x.unit == unit).all() and (self.y.unit == target_unit).all():
            return self
        (x, factor), (y, target_factor) = self.x.in_unit(unit), self.y.in_unit(target_unit)
        cross = None if self.cross is None else self.cross * np.outer(factor, factor)
        return replace(self, x=x, y=y, cross=cross, target_cross=self.target_cross * np.outer(factor, target_factor))

    def about_origin(self) -> "Moments":
        """Return the moments about the origin instead of the mean, as a model without intercept needs them."""
        mean, target_mean = self.x.mean / self.x.unit, self.y.mean / self.y.unit
        return replace(
            self,
            x=self.x.about_origin(),
            y=self.y.about_origin(),
            cross=None if self.cross is None else self.cross + np.outer(mean, mean),
            target_cross=self.target_cross + np.outer(mean, target_mean),
        )
