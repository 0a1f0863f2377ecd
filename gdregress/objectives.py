"""The objective F(w, b) = (1/W) sum_i s_i (y_i - x_i . w - b)^2 + alpha |w|^2, from moments or from data.

Both are evaluated in the coordinates of a frame, in units of its target scale squared, output
by output, at several points at once. The intercept is never penalised.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gdregress import extended
from gdregress.blocks import RowBlocks
from gdregress.frames import Frame
from gdregress.moments import Moments


class Evaluation(NamedTuple):
    """The objective at a point: value (n_outputs,) and gradient, shaped as the point."""

    value: NDArray
    gradient: NDArray


class _Ridge:
    """The penalty alpha |w|^2 in the coordinates of a frame: sum_j strength_j z_j^2."""

    def __init__(self, frame: Frame, alpha: float):
        self.strength = (alpha**0.5 * frame.inverse_scale)[:, np.newaxis] ** 2

    def value(self, z: NDArray) -> NDArray:
        return (self.strength * z * z).sum(axis=0)

    def gradient(self, z: NDArray) -> NDArray:
        return 2.0 * self.strength * z


class MomentObjective:
    """The objective from moments: an evaluation costs n_features**2, however many the rows.

    With R, rho and v the second moments in the frame and e the mean residual::

        F = v - 2 z . rho + z' R z + e^2 + penalty

    Parameters
    ----------
    moments : Moments
        With `cross`; about the origin for a model without intercept.
    frame : Frame
        Coordinates of the points.
    alpha : float
        Strength of the penalty.
    """

    def __init__(self, moments: Moments, frame: Frame, alpha: float = 0.0):
        assert moments.cross is not None
        unit = (moments.unit * frame.inverse_scale)[:, np.newaxis]
        target_unit = moments.target_unit / frame.target_scale
        self._frame = frame
        self._ridge = _Ridge(frame, alpha)
        with np.errstate(over="ignore", invalid="ignore"):
            self._second = moments.cross * unit * unit.T
            self._joint = moments.target_cross * unit * target_unit
            self._target_second = (np.sqrt(moments.target_variance) * target_unit) ** 2
            self._mean = ((moments.mean - frame.center) * frame.inverse_scale)[:, np.newaxis]
            self._target_mean = (moments.target_mean - frame.target_center) / frame.target_scale

    def evaluate(self, points: Sequence[NDArray]) -> list[Evaluation]:
        """Evaluate the objective at every point."""
        p, stacked = len(self._second), np.hstack(points)
        z = stacked[:p]
        joint = np.tile(self._joint, len(points))
        with np.errstate(over="ignore", invalid="ignore"):
            product = self._second @ z
            value = np.tile(self._target_second, len(points)) + (z * (product - 2.0 * joint)).sum(axis=0)
            value = np.maximum(value, 0.0) + self.penalty(stacked)
            gradient = np.empty_like(stacked)
            gradient[:p] = 2.0 * (product - joint) + self._ridge.gradient(z)
            if self._frame.fit_intercept:
                error = stacked[p] + (self._mean * z).sum(axis=0) - np.tile(self._target_mean, len(points))
                value += error * error
                gradient[:p] += 2.0 * self._mean * error
                gradient[p] = 2.0 * error
        return _split(value, gradient, len(points))

    def penalty(self, point: NDArray) -> NDArray:
        """Give the penalty's part in the value."""
        return self._ridge.value(point[: len(self._second)])

    def hessian(self) -> NDArray:
        """Give the matrix of second derivatives, the same for every output."""
        with np.errstate(over="ignore", invalid="ignore"):
            half = self._second + np.diag(self._ridge.strength[:, 0])
            if self._frame.fit_intercept:
                half = np.block([[half + self._mean * self._mean.T, self._mean], [self._mean.T, np.ones((1, 1))]])
            return 2.0 * half


class DataObjective:
    """The objective from the rows themselves: an evaluation is one pass over X.

    Parameters
    ----------
    rows : RowBlocks
        X, y and the weights, in the precision of the points.
    frame : Frame
        Coordinates of the points.
    alpha : float
        Strength of the penalty.
    compensated : bool
        Whether gradients are summed in twice the precision, for small dense X: a residual that
        stays large then costs the digits of an ill-conditioned X but once.
    """

    def __init__(self, rows: RowBlocks, frame: Frame, alpha: float = 0.0, *, compensated: bool = False):
        self._rows = rows
        self._frame = frame
        self._ridge = _Ridge(frame, alpha)
        self._transposed_product = extended.dot if compensated else _transposed_product

    def evaluate(self, points: Sequence[NDArray]) -> list[Evaluation]:
        """Evaluate the objective at every point, in one pass over X."""
        frame, rows = self._frame, self._rows
        p, stacked = rows.n_features, np.hstack(points)
        z, scale, center = stacked[:p], frame.inverse_scale[:, np.newaxis], frame.center[:, np.newaxis]
        slope = z * scale
        level = -(center * slope).sum(axis=0)
        if frame.fit_intercept:
            level += stacked[p]
        with np.errstate(over="ignore", invalid="ignore"):
            sums = rows.accumulate(lambda: _Residuals(frame, slope, level, self._transposed_product))
            along_z = (sums.products - center * sums.totals) * scale
            gradient = -2.0 / rows.total_weight * along_z + self._ridge.gradient(z)
            if frame.fit_intercept:
                gradient = np.vstack([gradient, -2.0 / rows.total_weight * sums.totals])
            value = sums.squares / rows.total_weight + self.penalty(stacked)
        return _split(value, gradient, len(points))

    def penalty(self, point: NDArray) -> NDArray:
        """Give the penalty's part in the value."""
        return self._ridge.value(point[: self._rows.n_features])


class _Residuals:
    """Sums over the rows of r^2, x r and r, for the residuals r of several columns of coefficients."""

    def __init__(self, frame: Frame, slope: NDArray, level: NDArray, transposed_product: Callable):
        self._frame = frame
        self._slope = slope
        self._level = level
        self._transposed_product = transposed_product
        self.squares = np.zeros_like(level)
        self.products = np.zeros_like(slope)
        self.totals = np.zeros_like(level)

    def add(self, X, y, weight):
        X = X.astype(self._slope.dtype, copy=False)
        target = (y - self._frame.target_center) / self._frame.target_scale
        residual = X @ self._slope
        residual += self._level
        residual = np.tile(target, residual.shape[1] // y.shape[1]) - residual
        weighted = residual if weight is None else residual * weight[:, np.newaxis]
        self.squares += np.einsum("ij,ij->j", weighted, residual)
        self.products += self._transposed_product(X, weighted)
        self.totals += weighted.sum(axis=0)

    def merge(self, other):
        self.squares += other.squares
        self.products += other.products
        self.totals += other.totals


def _transposed_product(X, residual: NDArray) -> NDArray:
    return X.T @ residual


def _split(value: NDArray, gradient: NDArray, n_points: int) -> list[Evaluation]:
    """Give each point its share of the columns."""
    values, gradients = np.split(value, n_points), np.split(gradient, n_points, axis=1)
    return [Evaluation(*pair) for pair in zip(values, gradients, strict=True)]
