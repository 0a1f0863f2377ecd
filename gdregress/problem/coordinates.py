"""The coordinates of a descent, and the affine map between them and the raw coefficients (w, b).

Coordinates have a centre a, scales d, a target centre t and a target scale u. A point in them consists of z and, if
there is an intercept, of c in its last row. It predicts::

    (y_hat - t) / u  =  z . (x - a) / d + c
    w = u z / d,    b = t + u c - a . w

The raw coordinates (a = 0, d = 1, t = 0, u = 1) are (w, b) itself. In the unit-curvature coordinates squared error
has the curvature 2 along every coordinate. They have the effect of standardised columns, but transform the
coefficients instead of the data.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gdregress.problem.penalties import Penalty, tiled
from gdregress.rows.moments import Moments
from gdregress.rows.namespaces import Movable, beside, is_elsewhere, namespace


@dataclass(frozen=True)
class Coordinates(Movable):
    """An affine map between points and raw coefficients: see the formulas of this module.

    Attributes
    ----------
    fit_intercept : bool
        Whether the last row of a point is an intercept.
    center, scale : ndarray of shape (n_features,)
        Centre a and scales d of the columns of X; d is zero for a constant column.
    inverse_scale : ndarray of shape (n_features,)
        1 / d, or zero for a constant column.
    target_center, target_scale : ndarray of shape (n_outputs,)
        Centre t and scale u of the targets.
    penalized : float or ndarray of shape (n_features,)
        Units of X in which coefficients are penalised: 1, or the standard deviation of each column.
    """

    is_raw: ClassVar[bool] = False
    arrays = ("center", "scale", "inverse_scale", "target_center", "target_scale", "penalized")

    fit_intercept: bool
    center: NDArray
    scale: NDArray
    inverse_scale: NDArray
    target_center: NDArray
    target_scale: NDArray
    penalized: NDArray | float = 1.0

    @property
    def n_coordinates(self) -> int:
        """Number of coordinates of a point, including the intercept."""
        return len(self.center) + self.fit_intercept

    @cached_property
    def is_identity(self) -> bool:
        """Whether these coordinates leave rows of X unchanged."""
        return not (self.fit_intercept or self.center.any() or (self.inverse_scale != 1).any())

    def mapped(self, function: Callable[[NDArray], Any]) -> Self:
        """Return the same coordinates with a function of their arrays; if they are the identity is looked at before."""
        self.is_identity  # noqa: B018
        return super().mapped(function)

    @classmethod
    def identity(cls, n_features: int, n_outputs: int, *, fit_intercept: bool = False) -> Self:
        """Return the coordinates of rows that are given in them."""
        ones = np.ones(n_features)
        return cls(fit_intercept, np.zeros(n_features), ones, ones, np.zeros(n_outputs), np.ones(n_outputs))

    @staticmethod
    def plain(n_features: int, n_outputs: int, *, fit_intercept: bool) -> "RawCoordinates":
        """Return the raw coordinates, in which a point is (w, b)."""
        return RawCoordinates.identity(n_features, n_outputs, fit_intercept=fit_intercept)

    @staticmethod
    def raw(moments: Moments, *, fit_intercept: bool, penalized: NDArray | float = 1.0) -> "RawCoordinates":
        """Return the raw coordinates, up to a target scale that differs from 1 only if y is extreme in size."""
        plain = Coordinates.plain(len(moments.x.mean), len(moments.y.mean), fit_intercept=fit_intercept)
        return replace(plain, target_scale=moments.y.unit, penalized=penalized)

    @classmethod
    def unit_curvature(
        cls, moments: Moments, *, alpha: float, fit_intercept: bool, penalized: NDArray | float = 1.0
    ) -> Self:
        """Return the coordinates along each of which mean squared error + alpha |w|^2 has the curvature 2.

        The coefficients in |w|^2 are those of columns in the units `penalized`.

        The target scale is the standard deviation of y, so that squared errors are relative to that of the best
        constant. For a model without intercept, pass moments about the origin.
        """
        scale = moments.x.deviation
        if alpha > 0:
            scale = np.hypot(scale, np.sqrt(alpha) * penalized)
        return cls.centred(moments, scale, fit_intercept=fit_intercept, penalized=penalized)

    @classmethod
    def centred(cls, moments: Moments, scale: NDArray, *, fit_intercept: bool, penalized: NDArray | float) -> Self:
        """Return the coordinates about the means in units of some scales, those of `unit_curvature` for example.

        A column whose scale is 0, or has no reciprocal in double precision, does not move.
        """
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
            penalized=penalized,
        )

    def of_columns(self, columns: NDArray) -> Self:
        """Return the coordinates of points for some columns of X."""
        per_column = {"center": self.center, "scale": self.scale, "inverse_scale": self.inverse_scale}
        penalized = np.broadcast_to(self.penalized, self.center.shape)[columns]
        return replace(self, **{name: values[columns] for name, values in per_column.items()}, penalized=penalized)

    def standardised(self, X: Any) -> Any:
        """Return rows of X in these coordinates as a dense array, with ones for an intercept."""
        if self.is_identity:
            return X.toarray() if sparse.issparse(X) else X
        if is_elsewhere(X):
            xp = namespace(X)
            block = (X - self.center) * self.inverse_scale
            return xp.concat([block, xp.ones_like(block[:, :1])], axis=1) if self.fit_intercept else block
        p, n_ones = len(self.center), int(self.fit_intercept)
        block = np.empty((X.shape[0], self.n_coordinates))  # as a whole it is moved faster than a part of its columns
        block[:, :p], block[:, p:] = X.toarray() if sparse.issparse(X) else X, 1.0
        block -= np.append(self.center, np.zeros(n_ones))
        block *= np.append(self.inverse_scale, np.ones(n_ones))
        return block

    def to_raw(self, point: NDArray) -> tuple[NDArray, NDArray]:
        """Return coefficients (n_features, ..., n_outputs) and intercepts (..., n_outputs) of points.

        Points have the shape (n_coordinates, ..., n_outputs).
        """
        z = point[: len(self.center)]
        coef = (z.T * self.inverse_scale).T * self.target_scale
        if not self.fit_intercept:
            return coef, np.zeros(point.shape[1:], point.dtype)
        level = self.target_center + self.target_scale * point[-1].astype(np.longdouble)
        used = np.flatnonzero(coef.reshape(len(coef), -1).any(axis=1))
        return coef, level - (coef[used].T @ self.center[used].astype(np.longdouble)).T

    def from_raw(self, coef: NDArray, intercept: NDArray) -> NDArray:
        """Return the point with these coefficients (n_features, n_outputs) and intercepts (n_outputs,)."""
        z = coef / self.target_scale * self.scale[:, np.newaxis]
        if not self.fit_intercept:
            return z
        c = (intercept - self.target_center + self.center @ coef) / self.target_scale
        return np.vstack([z, c])

    def targets(self, y: NDArray) -> NDArray:
        """Return targets (n_samples, n_outputs) in these coordinates, (y - t) / u."""
        return (y - beside(y, self.target_center)) / beside(y, self.target_scale)

    def penalty(self, l1: float, l2: float, *, positive: bool = False, degree: int = 2) -> Penalty:
        """Return the penalty l1 |v|_1 + l2 |v|_2^2 / 2 as a function of z, in units of ``target_scale**degree``.

        v are the coefficients of columns in the units `penalized`.
        """
        if l1 == 0 and l2 == 0:
            nothing = np.zeros((len(self.center), len(self.target_scale)))
            return Penalty(nothing, nothing, positive)
        per_unit = self.penalized * self.inverse_scale
        along_l1 = l1 * np.outer(per_unit, self.target_scale ** (1 - degree))
        along_l2 = np.outer((np.sqrt(l2) * per_unit) ** 2, self.target_scale ** (2 - degree))
        return Penalty(along_l1, along_l2, positive)

    def reach(self, alpha: float) -> tuple[NDArray, float]:
        """Return D and a, for which the penalty ``alpha |v|^2`` of a positive `alpha` is ``a |z / D|^2``.

        D is the scale of the columns, in the units in which they are penalised, relative to the largest; it is 0 for a
        column that does not vary. So a may be as small as floats allow.
        """
        per_unit = self.penalized * self.inverse_scale
        moves = self.inverse_scale > 0
        largest = 1.0 / per_unit[moves].min()
        reach = np.divide(1.0 / largest, per_unit, out=np.zeros(len(moves)), where=moves)
        return reach, (np.sqrt(alpha) / largest) ** 2

    def covariances(self, moments: Moments) -> NDArray:
        """Return the covariances of X."""
        assert moments.cross is not None, "the products are gathered"
        unit = (moments.x.unit * self.inverse_scale)[:, np.newaxis]
        return moments.cross * unit * unit.T

    def target_covariances(self, moments: Moments) -> NDArray:
        """Return the covariances of X and y, (n_features, n_outputs)."""
        unit = (moments.x.unit * self.inverse_scale)[:, np.newaxis]
        return moments.target_cross * unit * (moments.y.unit / self.target_scale)

    def coefficients_in(self, standard: "Coordinates", points: NDArray) -> NDArray:
        """Return the coefficients of points side by side in the standard coordinates, which these are."""
        return points[: len(standard.center)]

    def gradient_in(self, standard: "Coordinates", gradient: NDArray, degree: int) -> NDArray:
        """Return gradients of losses of some degree in the standard coordinates, which these are."""
        return gradient

    def turned(self, gradient: NDArray) -> NDArray:
        """Return gradients with respect to (w, b) as gradients in these coordinates, without the target scale."""
        p = len(self.center)
        along_z = gradient[:p]
        if self.fit_intercept:
            along_z = along_z - np.outer(self.center, gradient[-1])
        return np.vstack([along_z * self.inverse_scale[:, np.newaxis], gradient[p:]])


class RawCoordinates(Coordinates):
    """Coordinates in which points are coefficients and intercepts, up to the target scale."""

    is_raw = True

    def coefficients_in(self, standard: Coordinates, points: NDArray) -> NDArray:
        """Return the coefficients of points side by side in the standard coordinates."""
        to_standard = tiled(self.target_scale / standard.target_scale, points.shape[1])
        return points[: len(standard.center)] * standard.scale[:, np.newaxis] * to_standard

    def gradient_in(self, standard: Coordinates, gradient: NDArray, degree: int) -> NDArray:
        """Return gradients of losses of some degree in the standard coordinates."""
        turned = standard.turned(gradient)
        if degree == 1:  # they have no unit
            return turned
        return turned * tiled((self.target_scale / standard.target_scale) ** (degree - 1), gradient.shape[1])


def rounded(coef: NDArray, intercept: NDArray, mean: NDArray, dtype: Any) -> tuple[NDArray, NDArray]:
    """Return raw coefficients in a dtype, and the intercepts that suit them.

    Rounding takes the mean prediction with it, which the intercepts make up for.

    Parameters
    ----------
    coef : ndarray of shape (n_features, ..., n_outputs)
        Coefficients.
    intercept : ndarray of shape (..., n_outputs)
        Their intercepts.
    mean : ndarray of shape (n_features,)
        Means of the columns; zeros for a model without intercept.
    dtype : dtype
        The floating type of the coefficients. Intercepts keep theirs, or that of coefficients of more digits.
    """
    kept = coef.astype(dtype)
    return kept, intercept if kept.dtype == coef.dtype else intercept + np.tensordot(mean, coef - kept, 1)


def target_scale(moments: Moments) -> NDArray:
    """Return the standard deviation of each output, but at least sqrt(eps) times its root mean square.

    eps is the machine precision. If y varies by less, fractions of its standard deviation are not representable. The
    scale of a zero output is its unit.
    """
    eps = np.finfo(np.float64).eps
    size = np.hypot(np.sqrt(moments.y.variance), moments.y.mean / moments.y.unit)
    scale = np.maximum(np.sqrt(moments.y.variance), np.sqrt(eps) * size)
    return np.where(scale > 0, scale, 1.0) * moments.y.unit
