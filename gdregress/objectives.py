"""The objective F(w, b) = (1/W) sum_i s_i l(y_i - x_i . w - b) + penalty, from moments or from data.

Both are evaluated in the coordinates of a frame, in units of its target scale to the power of
the loss's degree, output by output, at several points at once.
"""

from collections.abc import Callable, Sequence
from copy import copy
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gdregress import extended
from gdregress.blocks import Rows, Sums
from gdregress.frames import Frame
from gdregress.moments import Moments
from gdregress.penalties import Penalty

CURVATURE_ENTRIES = 2**19
"""Entries of a block of standardised rows, where there is so much to do with each that no cache need hold them."""

NOISE = 1e-15
"""Share of the targets' second moment by which rounding may put an objective off that is a difference from it."""

EVEN = 256
"""Columns up to which a product of a block with a vector reads memory as fast as a copy does."""


class Evaluation(NamedTuple):
    """The objective at a point.

    Attributes
    ----------
    value : ndarray of shape (n_outputs,)
        The objective, that of the loss itself and not of a twin.
    gradient : ndarray of shape (n_coordinates, n_outputs)
        Gradient of the smooth part; of a twin where that is descended.
    slack : ndarray of shape (n_outputs,)
        Mean of l(r) + l*(u) - u r for the slopes u of the twin: what its width may cost.
    bend : ndarray of shape (n_outputs,)
        Mean second derivative of the loss over its bound: 1 for a parabola.
    curvatures : tuple of two ndarrays of shape (n_outputs, n_coordinates, n_coordinates), or None
        Second derivatives of the smooth part, and those of a quadratic that touches it at the
        point and lies above it everywhere; where they were asked for.
    descended : ndarray of shape (n_outputs,), or None
        The objective with the twin in place of the loss; where curvatures were asked for.
    """

    value: NDArray
    gradient: NDArray
    slack: NDArray | float = 0.0
    bend: NDArray | float = 1.0
    curvatures: Any = None
    descended: Any = None


class MomentObjective:
    """The objective for squared error from moments: an evaluation costs n_features**2, however many the rows.

    With R, rho and v the second moments in the frame and e the mean residual::

        F = v - 2 z . rho + z' R z + e^2 + penalty

    Parameters
    ----------
    moments : Moments
        With `cross`, but for an objective that is asked of zero coefficients alone; about the origin
        for a model without intercept.
    frame : Frame
        Coordinates of the points.
    penalty : Penalty
        In these coordinates.

    Attributes
    ----------
    noise : ndarray of shape (n_outputs,)
        How far rounding may put a value off, beside its own digits: F is a small difference from v.
    """

    def __init__(self, moments: Moments, frame: Frame, penalty: Penalty):
        unit = (moments.unit * frame.inverse_scale)[:, np.newaxis]
        target_unit = moments.target_unit / frame.target_scale
        self._frame = frame
        self.penalty = penalty
        with np.errstate(over="ignore", invalid="ignore"):
            self._second = None if moments.cross is None else moments.cross * unit * unit.T
            self._joint = moments.target_cross * unit * target_unit
            self._target_second = (np.sqrt(moments.target_variance) * target_unit) ** 2
            self.noise = NOISE * self._target_second
            self._mean = ((moments.mean - frame.center) * frame.inverse_scale)[:, np.newaxis]
            self._target_mean = (moments.target_mean - frame.target_center) / frame.target_scale
        self._is_off_center = self._mean.any()

    def evaluate(self, points: Sequence[NDArray]) -> list[Evaluation]:
        """Evaluate the objective at every point."""
        p, stacked = len(self._joint), _side_by_side(points)
        z, joint, target_second, target_mean = stacked[:p], self._joint, self._target_second, self._target_mean
        if stacked.shape[1] > joint.shape[1]:
            times = stacked.shape[1] // joint.shape[1]  # a point may be several already
            joint, target_second = np.tile(joint, times), np.tile(target_second, times)
            target_mean = np.tile(target_mean, times)
        with np.errstate(over="ignore", invalid="ignore"):
            product = 0.0 if self._second is None else self._second @ z
            value = target_second + (z * (product - 2.0 * joint)).sum(axis=0)
            value = np.maximum(value, 0.0)
            gradient = np.empty_like(stacked)
            gradient[:p] = 2.0 * (product - joint)
            if not self.penalty.is_nothing:
                value += self.penalty.value(stacked)
                gradient[:p] += self.penalty.gradient(stacked)
            if self._frame.fit_intercept:
                error = stacked[p] - target_mean
                if self._is_off_center:
                    error = error + (self._mean * z).sum(axis=0)
                value += error * error
                gradient[p] = 2.0 * error
                if self._is_off_center:
                    gradient[:p] += self._mean * gradient[p]
        return [Evaluation(one, slope) for one, slope in _split(len(points), value, gradient)]

    def values(self, points: Sequence[NDArray]) -> list[NDArray]:
        """Give the objective alone at every point."""
        return [evaluation.value for evaluation in self.evaluate(points)]

    def evaluate_with_curvatures(self, point: NDArray) -> Evaluation:
        """Evaluate the objective and its second derivatives, which are the same everywhere."""
        [evaluation] = self.evaluate([point])
        curvatures = np.array([self.hessian(output) for output in range(point.shape[1])])
        return evaluation._replace(curvatures=(curvatures, curvatures), descended=evaluation.value)

    def hessian(self, output: int = 0) -> NDArray:
        """Give the matrix of second derivatives of one output's smooth part."""
        assert self._second is not None
        p, mean = len(self._second), self._mean[:, 0]
        half = np.empty((p + self._frame.fit_intercept,) * 2)
        half[:p, :p] = self._second
        with np.errstate(over="ignore", invalid="ignore"):
            half[range(p), range(p)] += 0.5 * self.penalty.l2[:, output]
            if self._frame.fit_intercept:
                if self._is_off_center:
                    half[:p, :p] += np.outer(mean, mean)
                half[p, :p] = half[:p, p] = mean
                half[p, p] = 1.0
            half *= 2.0
        return half


class DataObjective:
    """The objective from the rows themselves: an evaluation is one pass over X.

    Parameters
    ----------
    rows : Rows
        X, y and the weights, in the precision of the points.
    frame : Frame
        Coordinates of the points.
    loss : Loss
        Of residuals in units of the frame's target scale.
    penalty : Penalty
        In the coordinates of the frame.
    twin : Loss, default=None
        What is descended in place of the loss; None for the loss itself.
    total_weight : float, default=None
        What sums over the rows are divided by; None for the sum of their weights.
    gram : ndarray of shape (n_coordinates, n_coordinates), default=None
        Mean of x x' over the rows, in the coordinates of the frame: with it the curvatures of a loss
        that is mostly a parabola cost hardly more than its gradient.
    at_zero : MomentObjective, default=None
        The same objective, of squared error, where all coefficients are zero: no pass over X is needed there.
    compensated : bool
        Whether gradients are summed in twice the precision, for small dense X: a residual that
        stays large then costs the digits of an ill-conditioned X but once.

    Attributes
    ----------
    noise : float
        How far rounding may put a value off, beside its own digits: a sum of losses is no difference.
    """

    noise = 0.0

    def __init__(
        self,
        rows: Rows,
        frame: Frame,
        loss: Any,
        penalty: Penalty,
        *,
        twin: Any = None,
        total_weight: float | None = None,
        gram: NDArray | None = None,
        at_zero: MomentObjective | None = None,
        compensated: bool = False,
    ):
        with np.errstate(over="ignore"):
            self._rows = rows.with_targets(frame.targets)
        self._frame = frame
        self._loss = loss
        self._twin = loss if twin is None else twin
        self.penalty = penalty
        self._total_weight = rows.total_weight if total_weight is None else total_weight
        self._gram = gram
        self._at_zero = at_zero
        self._transposed_product = extended.dot if compensated else _transposed_product

    def with_twin(self, twin: Any) -> "DataObjective":
        """Give the same objective, with another twin descended."""
        other = copy(self)
        other._twin = twin
        return other

    def evaluate(self, points: Sequence[NDArray]) -> list[Evaluation]:
        """Evaluate the objective at every point, in one pass over X."""
        stacked = _side_by_side(points)
        if self._at_zero is not None and not stacked[: len(self._frame.center)].any():
            return self._at_zero.evaluate(points)
        residuals = _Residuals(self._frame, stacked)
        with np.errstate(over="ignore", invalid="ignore"):
            make = _Slopes
            if self._twin is self._loss and getattr(self._loss, "is_parabola", False):
                make = _SquaredErrorSlopes
            sums = self._rows.accumulate(partial(make, residuals, self._loss, self._twin, self._transposed_product))
            parts = _split(len(points), *self._means(sums, stacked))
        return [Evaluation(one, slope, loose, bent) for one, slope, loose, bent in parts]

    def _means(self, sums: "_Slopes", point: NDArray) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """Turn sums over the rows into value, gradient, slack and bend."""
        frame, total = self._frame, self._total_weight
        along_z = (sums.products - frame.center[:, np.newaxis] * sums.totals) * frame.inverse_scale[:, np.newaxis]
        gradient = np.empty_like(point)
        gradient[: len(along_z)] = -along_z / total
        gradient[len(along_z) :] = -sums.totals / total
        gradient[: len(self.penalty.l2)] += self.penalty.gradient(point)
        value = sums.losses / total + self.penalty.value(point)
        return value, gradient, sums.slack / total, sums.bend / total

    def values(self, points: Sequence[NDArray]) -> list[NDArray]:
        """Give the objective alone, with the twin in place of the loss, at every point, in one pass over X."""
        stacked = _side_by_side(points)
        residuals = _Residuals(self._frame, stacked)
        with np.errstate(over="ignore", invalid="ignore"):
            sums = self._rows.accumulate(partial(_Losses, residuals, self._twin))
            value = sums.losses / self._total_weight + self.penalty.value(stacked)
        return [part for [part] in _split(len(points), value)]

    def evaluate_with_curvatures(self, point: NDArray) -> Evaluation:
        """Evaluate the objective and its curvatures at a point, in one pass over X.

        That is n_features**2 work for each row; with `gram` only for those that are not on the parabola.
        """
        residuals, parabola = _Residuals(self._frame, point), 0.0 if self._gram is None else self._twin.curvature
        with np.errstate(over="ignore", invalid="ignore"):
            sums = self._rows.accumulate(
                partial(_Curvatures, residuals, self._loss, self._twin, self._transposed_product, parabola),
                min_rows=CURVATURE_ENTRIES // len(point),
            )
            means = self._means(sums, point)
        second, above = sums.second / self._total_weight, sums.above / self._total_weight
        if self._gram is not None:
            second = np.broadcast_to(parabola, len(second))[:, np.newaxis, np.newaxis] * self._gram - second
        for output, strength in enumerate(self.penalty.l2.T):
            along = np.arange(len(strength))
            second[output, along, along] += strength
        descended = means[0] + (sums.twin_losses - sums.losses) / self._total_weight
        return Evaluation(*means, (second, second + above), descended)


class _Residuals:
    """From a block of rows to the residuals of several points, in units of the frame's target scale."""

    def __init__(self, frame: Frame, point: NDArray):
        p = len(frame.center)
        self.frame = frame
        self.point = point
        self.slope = point[:p] * frame.inverse_scale[:, np.newaxis]
        self.is_standardised = frame.is_identity
        self.level = -(frame.center[:, np.newaxis] * self.slope).sum(axis=0)
        if frame.fit_intercept:
            self.level += point[p]

    def of(self, X, y) -> NDArray:
        """Give the residuals of targets in the frame, of shape (n_rows, n_points, n_outputs)."""
        predicted = X @ self.slope
        predicted += self.level
        return y[:, np.newaxis] - predicted.reshape(len(y), -1, y.shape[1])

    def standardised(self, X) -> NDArray:
        """Give the rows in the coordinates of the frame, dense: what the residuals depend on the point by."""
        X = X.toarray() if sparse.issparse(X) else X
        if self.is_standardised:
            return X
        frame = self.frame
        p, block = len(frame.center), np.empty((X.shape[0], len(self.point)))
        np.subtract(X, frame.center, out=block[:, :p])
        block[:, :p] *= frame.inverse_scale
        block[:, p:] = 1.0
        return block

    def zeros(self) -> NDArray:
        """Give a sum to begin with, one number a column."""
        return np.zeros_like(self.level)


class _Losses(Sums):
    """Sums over the rows of a loss."""

    def __init__(self, residuals: _Residuals, loss: Any):
        self._residuals = residuals
        self._loss = loss
        self.losses = residuals.zeros()

    def add(self, X, y, weight):
        residual = self._residuals.of(X.astype(self.losses.dtype, copy=False), y)
        self.losses += _total(self._loss.value(residual), weight)

    def merge(self, other):
        self.losses += other.losses


class _Slopes(Sums):
    """Sums over the rows of a loss, its slopes u at the residuals, and x u; of a twin, where there is one."""

    def __init__(self, residuals: _Residuals, loss: Any, twin: Any, transposed_product: Callable):
        self._residuals = residuals
        self._loss = loss
        self._twin = twin
        self._transposed_product = transposed_product
        self.losses, self.slack, self.bend = residuals.zeros(), residuals.zeros(), residuals.zeros()
        self.products = np.zeros_like(residuals.slope)
        self.totals = residuals.zeros()
        self._buffer = np.empty((0, len(self.products)))

    def add(self, X, y, weight):
        X = self._in_cache(X.astype(self.losses.dtype, copy=False))
        self._add_slopes(X, self._residuals.of(X, y), weight)

    def _in_cache(self, X):
        """Copy a block from memory to the cache where BLAS would read it there less evenly."""
        is_even = self.products.shape[1] == 1 and X.shape[1] <= EVEN
        if sparse.issparse(X) or is_even or not X.flags.c_contiguous:
            return X
        if len(self._buffer) < len(X):
            self._buffer = np.empty(X.shape, X.dtype)
        block = self._buffer[: len(X)]
        np.copyto(block, X)
        return block

    def _add_slopes(self, X, residual, weight):
        loss, twin = self._loss, self._twin
        slopes = twin.derivative(residual)
        self.losses += _total(loss.value(residual), weight)
        if twin is not loss:
            self.slack += _total(loss.slack(residual, slopes), weight)
        self.bend += _total(twin.bend(residual), weight)
        slopes = _weighted(slopes, weight)
        self.products += self._transposed_product(X, slopes)
        self.totals += slopes.sum(axis=0)

    def merge(self, other):
        for name in ("losses", "slack", "bend", "products", "totals"):
            mine = getattr(self, name)
            mine += getattr(other, name)


class _SquaredErrorSlopes(_Slopes):
    """The same for a loss that is the same parabola everywhere: the fewest operations for each block."""

    def _add_slopes(self, X, residual, weight):
        curvature = self._loss.curvature
        residual = residual.reshape(len(residual), -1)
        slopes = curvature * residual
        if weight is None:
            self.bend += len(residual)
        else:
            self.bend += weight.sum()
            slopes *= weight[:, np.newaxis]
        self.losses += 0.5 * np.einsum("ij,ij->j", residual, slopes)
        self.products += self._transposed_product(X, slopes)
        self.totals += slopes.sum(axis=0)


class _Curvatures(_Slopes):
    """The same, and the sums of x x' times the second derivatives, and times what touching parabolas have above.

    With a parabola of curvature c > 0 it is c less the second derivative that is summed: 0 for most rows.
    """

    def __init__(self, residuals: _Residuals, loss: Any, twin: Any, transposed_product: Callable, parabola):
        super().__init__(residuals, loss, twin, transposed_product)
        q, n_outputs = residuals.point.shape
        self._parabola = parabola
        self.twin_losses = residuals.zeros()
        self.second = np.zeros((n_outputs, q, q))
        self.above = np.zeros((n_outputs, q, q))

    def add(self, X, y, weight):
        step = max(1, CURVATURE_ENTRIES // self.second.shape[1]) if sparse.issparse(X) else X.shape[0]
        for start in range(0, X.shape[0], step):  # a block of CSR may have very many rows
            rows = slice(start, start + step)
            self._add_dense(X[rows], y[rows], None if weight is None else weight[rows])

    def _add_dense(self, X, y, weight):
        residual = self._residuals.of(X.astype(self.losses.dtype, copy=False), y)
        self._add_slopes(X, residual, weight)
        self.twin_losses += _total(self._twin.value(residual), weight)
        second = self._twin.second_derivative(residual)
        above = np.maximum(self._twin.touching_curvature(residual) - second, 0.0)
        if np.any(self._parabola):
            second = self._parabola - second
            off = np.flatnonzero(second.any(axis=(1, 2)))
            X, second, above = X[off], second[off], above[off]
            weight = None if weight is None else weight[off]
        block = self._residuals.standardised(X)
        for output in range(second.shape[2]):
            share = 1.0 if weight is None else weight
            self.second[output] += _gram(block, share * second[:, 0, output])
            self.above[output] += _gram(block, share * above[:, 0, output])

    def merge(self, other):
        super().merge(other)
        self.twin_losses += other.twin_losses
        self.second += other.second
        self.above += other.above


def _weighted(terms: NDArray, weight: NDArray | None) -> NDArray:
    """Flatten points and outputs into columns, times the weights."""
    columns = terms.reshape(len(terms), -1)
    return columns if weight is None else columns * weight[:, np.newaxis]


def _total(terms: NDArray, weight: NDArray | None) -> NDArray:
    columns = terms.reshape(len(terms), -1)
    return columns.sum(axis=0) if weight is None else weight @ columns


def _gram(block: NDArray, weight: NDArray) -> NDArray:
    """Give X' diag(weight) X, of the rows that count."""
    counts = np.flatnonzero(weight)
    if 2 * len(counts) < len(weight):
        block, weight = block[counts], weight[counts]
    scaled = block * np.sqrt(weight)[:, np.newaxis]
    return scaled.T @ scaled


def _transposed_product(X, residual: NDArray) -> NDArray:
    return X.T @ residual


def _side_by_side(points: Sequence[NDArray]) -> NDArray:
    return points[0] if len(points) == 1 else np.hstack(points)


def _split(n_points: int, *columns: NDArray) -> list[tuple[NDArray, ...]]:
    """Give each point its share of the columns."""
    if n_points == 1:
        return [columns]
    return list(zip(*(np.split(part, n_points, axis=-1) for part in columns), strict=True))
