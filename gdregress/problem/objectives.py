"""The objective F(w, b) = (1/W) sum_i s_i l(y_i - x_i . w - b) + penalty, computed from moments or from rows.

Both classes take points in given coordinates and evaluate several at once, each output on its own. Values are in
units of the target scale to the power of the loss's degree.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gdregress.problem.coordinates import Coordinates
from gdregress.problem.penalties import Penalty, tiled
from gdregress.problem.residuals import (
    CURVATURE_ENTRIES,
    READ_ENTRIES,
    Losses,
    Residuals,
    SecondDerivatives,
    Slopes,
    SlopesOfSquaredError,
    transposed_product,
)
from gdregress.rows.moments import Moments
from gdregress.rows.rows import Rows, drawable

NOISE = 1e-15
"""Rounding error of an objective computed from moments, relative to the second moment of the targets."""


class Evaluation(NamedTuple):
    """The objective at a point.

    Attributes
    ----------
    value : ndarray of shape (n_outputs,)
        The objective, with the loss itself even if a smoothed loss is descended.
    gradient : ndarray of shape (n_coordinates, n_outputs)
        Gradient of the smooth part of the objective that is descended.
    fenchel_gap : ndarray of shape (n_outputs,) or float, default=0.0
        Mean of l(r) + l*(u) - u r for the slopes u of the smoothed loss, which bounds the cost of smoothing.
    curved : ndarray of shape (n_outputs,) or float, default=1.0
        Share of curved residuals: the mean second derivative of the loss divided by its bound.
    """

    value: NDArray
    gradient: NDArray
    fenchel_gap: NDArray | float = 0.0
    curved: NDArray | float = 1.0

    @classmethod
    def side_by_side(cls, several: "Sequence[Evaluation]") -> "Evaluation":
        """Return evaluations of several points as one, its arrays joined along their last axes."""
        value, gradient, *others = zip(*several, strict=True)
        beside = (np.concatenate(other) if np.ndim(other[0]) else other[0] for other in others)
        return cls(np.concatenate(value), np.concatenate(gradient, axis=1), *beside)


class Curvatures(NamedTuple):
    """The objective and its second derivatives at a point.

    Attributes
    ----------
    evaluation : Evaluation
        Value and gradient.
    second : ndarray of shape (n_outputs, n_coordinates, n_coordinates)
        Second derivatives H of the smooth part of the objective that is descended.
    majoriser : ndarray of shape (n_outputs, n_coordinates, n_coordinates)
        Second derivatives M of a quadratic majoriser, which touches it at the point and is nowhere below it.
    descended : ndarray of shape (n_outputs,)
        The objective that is descended, with the smoothed loss if there is one.
    """

    evaluation: Evaluation
    second: NDArray
    majoriser: NDArray
    descended: NDArray


class MomentObjective:
    """The objective of squared error, computed from moments.

    The cost of an evaluation, n_features**2, does not depend on the number of rows. In the coordinates, let R be the
    covariances of X, rho those of X and y, v the variance of y, and e the mean residual::

        F = v - 2 z . rho + z' R z + e^2 + penalty

    Parameters
    ----------
    moments : Moments
        Moments of the rows, about the origin for a model without intercept. They may lack `cross` if all points have
        zero coefficients.
    coordinates : Coordinates
        Coordinates of the points.
    penalty : Penalty
        Penalty in these coordinates.

    Attributes
    ----------
    joint : ndarray of shape (n_features, n_outputs)
        rho.
    noise : ndarray of shape (n_outputs,)
        Absolute rounding error of a value, beyond eps times the value: F is a small difference from v.
    work : int
        Number of multiplications of one evaluation.
    """

    dtype = np.dtype(np.float64)
    is_quadratic = True

    def __init__(self, moments: Moments, coordinates: Coordinates, penalty: Penalty):
        self._coordinates = coordinates
        self.penalty = penalty
        self._second = None if moments.cross is None else coordinates.covariances(moments)
        self.joint = coordinates.target_covariances(moments)
        self._target_second = (np.sqrt(moments.y.variance) * (moments.y.unit / coordinates.target_scale)) ** 2
        self.noise = NOISE * self._target_second
        self._mean = ((moments.x.mean - coordinates.center) * coordinates.inverse_scale)[:, np.newaxis]
        self._target_mean = (moments.y.mean - coordinates.target_center) / coordinates.target_scale
        self._is_off_center = self._mean.any()
        self.work = len(self.joint) * self.joint.size

    def evaluate(self, points: Sequence[NDArray]) -> list[Evaluation]:
        """Evaluate the objective at every point."""
        p, stacked = len(self.joint), _side_by_side(points)
        error = self._error(stacked)
        value, slope = self._value(stacked, error)
        gradient = np.empty_like(stacked)
        gradient[:p] = 2.0 * slope
        if not self.penalty.has_no_strength:
            gradient[:p] += self.penalty.gradient(stacked)
        if self._coordinates.fit_intercept:
            gradient[p] = 2.0 * error
            if self._is_off_center:
                gradient[:p] += self._mean * gradient[p]
        return [Evaluation(one, slope) for one, slope in _split(len(points), value, gradient)]

    def values(self, points: Sequence[NDArray]) -> list[NDArray]:
        """Return the value of the objective at every point."""
        stacked = _side_by_side(points)
        value, _ = self._value(stacked, self._error(stacked))
        return [part for [part] in _split(len(points), value)]

    def _error(self, stacked: NDArray) -> NDArray | float:
        """Return e at points side by side; it is 0 without an intercept, where moments are about the origin."""
        if not self._coordinates.fit_intercept:
            return 0.0
        p = len(self.joint)
        error = stacked[p] - tiled(self._target_mean, stacked.shape[1])
        return error + (self._mean * stacked[:p]).sum(axis=0) if self._is_off_center else error

    def _value(self, stacked: NDArray, error: NDArray | float) -> tuple[NDArray, NDArray]:
        """Return F, and R z - rho, at points side by side, given e."""
        z, joint = stacked[: len(self.joint)], tiled(self.joint, stacked.shape[1])
        product = 0.0 if self._second is None else self._second @ z
        slope = product - joint
        value = tiled(self._target_second, stacked.shape[1]) + (z * (slope - joint)).sum(axis=0)
        np.maximum(value, 0.0, out=value)
        if not self.penalty.has_no_strength:
            value += self.penalty.value(stacked)
        return value + error * error, slope

    def curvatures(self, point: NDArray) -> Curvatures:
        """Evaluate the objective and its second derivatives; the quadratic F is its own majoriser."""
        [evaluation] = self.evaluate([point])
        second = np.array([self.hessian(output) for output in range(point.shape[1])])
        return Curvatures(evaluation, second, second, evaluation.value)

    def hessian(self, output: int = 0) -> NDArray:
        """Return the second derivatives of the smooth part of one output."""
        p = len(self.joint)
        hessian = np.empty((p + self._coordinates.fit_intercept,) * 2)
        hessian[:p, :p] = self.products(output)
        if self._coordinates.fit_intercept:
            hessian[p, :p] = hessian[:p, p] = self._mean[:, 0]
            hessian[p, p] = 1.0
        hessian *= 2.0
        return hessian

    def products(self, output: int = 0) -> NDArray:
        """Return half the second derivatives of one output with respect to the coefficients, as a new array."""
        assert self._second is not None
        products = self._second.copy()
        if self._is_off_center and self._coordinates.fit_intercept:
            products += self._mean * self._mean.T
        if not self.penalty.has_no_strength:
            products.flat[:: len(products) + 1] += 0.5 * self.penalty.l2[:, output]
        return products


class DataObjective:
    """The objective computed from the rows: one evaluation is one pass over X.

    Parameters
    ----------
    rows : Rows
        Rows of X, with targets in these coordinates and weights, in the precision of the points.
    coordinates : Coordinates
        Coordinates of the points.
    loss : Loss
        Loss of residuals in units of the target scale.
    penalty : Penalty
        Penalty in these coordinates.
    descended : Loss, default=None
        Loss to descend, a smoothed one for example; None for the loss itself.
    total_weight : float, default=None
        Divisor W of sums over the rows; None for the sum of their weights.
    gram : ndarray of shape (n_coordinates, n_coordinates), default=None
        Mean of x x' over the rows x in these coordinates. If most residuals of a loss are on its parabola, second
        derivatives then cost hardly more than a gradient.
    product : callable
        Function from a block of X and an array of slopes to ``X.T @ slopes``, by default the product of BLAS.

    Attributes
    ----------
    noise : float
        Absolute rounding error of a value, beyond eps times the value: zero, for a sum of losses does not cancel.
    dtype : dtype
        Floating type of the points.
    work : int
        Number of multiplications of one evaluation.
    """

    noise = 0.0
    is_quadratic = False

    def __init__(
        self,
        rows: Rows,
        coordinates: Coordinates,
        loss: Any,
        penalty: Penalty,
        *,
        descended: Any = None,
        total_weight: float | None = None,
        gram: NDArray | None = None,
        product: Callable[[Any, NDArray], NDArray] = transposed_product,
    ):
        self._rows = rows
        self._coordinates = coordinates
        self._loss = loss
        self._descended = loss if descended is None else descended
        self.penalty = penalty
        self._total_weight = rows.total_weight if total_weight is None else total_weight
        self._gram = gram
        self._product = product
        self.dtype = np.dtype(np.longdouble if rows.dtype == np.longdouble else np.float64)
        self.work = rows.n_samples * rows.n_features * rows.n_outputs

    @property
    def n_weighted(self) -> int:
        """Number of rows of positive weight."""
        return self._rows.n_weighted

    @property
    def degree(self) -> int:
        """Power of the unit of y in which the loss is expressed."""
        return self._loss.degree

    def exact(self) -> "DataObjective":
        """Return the same objective without smoothing."""
        return DataObjective(self._rows, self._coordinates, self._loss, self.penalty)

    def batches(
        self, size: int, random_state: np.random.RandomState | None, mean_weight: float
    ) -> "Iterator[DataObjective]":
        """Yield the objectives of mini-batches, in an endless sequence of passes; their mean is this objective.

        Parameters
        ----------
        size : int
            Number of rows in a batch.
        random_state : RandomState or None
            Generator that shuffles the rows before every pass; None keeps their order.
        mean_weight : float
            Mean weight of a row. Sums over a batch are divided by this times its number of rows.
        """
        for part in drawable(self._rows).batches(size, random_state):
            yield DataObjective(
                part,
                self._coordinates,
                self._loss,
                self.penalty,
                descended=self._descended,
                total_weight=mean_weight * part.n_samples,
            )

    def evaluate(self, points: Sequence[NDArray]) -> list[Evaluation]:
        """Evaluate the objective at every point, in one pass over X."""
        stacked = _side_by_side(points)
        residuals = Residuals(self._coordinates, stacked)
        make = SlopesOfSquaredError if self._descended.is_parabola else Slopes
        min_rows = READ_ENTRIES // len(stacked) if residuals.needs_few_columns else 1
        sums = self._rows.sum(partial(make, residuals, self._loss, self._descended, self._product), min_rows=min_rows)
        parts = _split(len(points), *self._means(sums, stacked))
        return [Evaluation(*part) for part in parts]

    def _means(self, sums: "Slopes", point: NDArray) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """Return value, gradient, Fenchel gap and share of curved residuals, from sums over the rows."""
        coordinates, total = self._coordinates, self._total_weight
        center, inverse_scale = coordinates.center[:, np.newaxis], coordinates.inverse_scale[:, np.newaxis]
        gradient = np.empty_like(point)
        p = len(center)
        gradient[:p] = -(sums.products - center * sums.totals) * inverse_scale / total
        gradient[p:] = -sums.totals / total
        gradient[: len(self.penalty.l2)] += self.penalty.gradient(point)
        value = sums.losses / total + self.penalty.value(point)
        return value, gradient, sums.fenchel_gap / total, sums.curved / total

    def values(self, points: Sequence[NDArray]) -> list[NDArray]:
        """Return the value of the objective that is descended at every point, in one pass over X."""
        stacked = _side_by_side(points)
        residuals = Residuals(self._coordinates, stacked)
        sums = self._rows.sum(partial(Losses, residuals, self._descended))
        value = sums.losses / self._total_weight + self.penalty.value(stacked)
        return [part for [part] in _split(len(points), value)]

    def curvatures(self, point: NDArray) -> Curvatures:
        """Evaluate the objective and its second derivatives at a point, in one pass over X.

        The work is n_features**2 for each row or, with `gram`, for each row whose residual is not on the parabola.
        """
        residuals, parabola = Residuals(self._coordinates, point), 0.0
        if self._gram is not None:
            parabola = self._descended.curvature
        sums = self._rows.sum(
            partial(SecondDerivatives, residuals, self._loss, self._descended, self._product, parabola),
            min_rows=CURVATURE_ENTRIES // len(point),
            work=len(point),
        )
        here = Evaluation(*self._means(sums, point))
        second, excess = sums.second / self._total_weight, sums.excess / self._total_weight
        if self._gram is not None:
            second = np.broadcast_to(parabola, len(second))[:, np.newaxis, np.newaxis] * self._gram - second
        for output, strength in enumerate(self.penalty.l2.T):
            along = np.arange(len(strength))
            second[output, along, along] += strength
        descended = here.value + (sums.descended_losses - sums.losses) / self._total_weight
        return Curvatures(here, second, second + excess, descended)


Objective = MomentObjective | DataObjective


def _side_by_side(points: Sequence[NDArray]) -> NDArray:
    return points[0] if len(points) == 1 else np.hstack(points)


def _split(n_points: int, *columns: NDArray) -> list[tuple[NDArray, ...]]:
    """Return one tuple for each point, with its part of the columns."""
    if n_points == 1:
        return [columns]
    size = columns[0].shape[-1] // n_points
    return [tuple(part[..., k * size : (k + 1) * size] for part in columns) for k in range(n_points)]
