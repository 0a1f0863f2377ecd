"""The objective F(w, b) = (1/W) sum_i s_i l(y_i - x_i . w - b) + penalty, from moments or from data.

Both are evaluated in the coordinates given, in units of its target scale to the power of
the loss's degree, output by output, at several points at once.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gdregress.problem.coordinates import Coordinates
from gdregress.problem.penalties import Penalty
from gdregress.rows.moments import Moments
from gdregress.rows.rows import Rows, Sums

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
        The objective, that of the loss itself and not of a smoothed one.
    gradient : ndarray of shape (n_coordinates, n_outputs)
        Gradient of the smooth part; of the smoothed loss where that is descended.
    fenchel_gap : ndarray of shape (n_outputs,)
        Mean of l(r) + l*(u) - u r for the slopes u of the smoothed loss: what smoothing may cost.
    curved : ndarray of shape (n_outputs,)
        Mean second derivative of the loss over its bound: 1 for a parabola.
    """

    value: NDArray
    gradient: NDArray
    fenchel_gap: NDArray | float = 0.0
    curved: NDArray | float = 1.0

    @classmethod
    def side_by_side(cls, several: "Sequence[Evaluation]") -> "Evaluation":
        """Return the evaluation of several points, side by side."""
        value, gradient, *others = zip(*several, strict=True)
        beside = (np.concatenate(other) if np.ndim(other[0]) else other[0] for other in others)
        return cls(np.concatenate(value), np.concatenate(gradient, axis=1), *beside)


class Curvatures(NamedTuple):
    """The objective at a point with its second derivatives.

    Attributes
    ----------
    evaluation : Evaluation
        The objective.
    second : ndarray of shape (n_outputs, n_coordinates, n_coordinates)
        Second derivatives H of the smooth part.
    majoriser : ndarray of shape (n_outputs, n_coordinates, n_coordinates)
        Second derivatives M of a quadratic that touches the objective at the point and lies above it everywhere.
    descended : ndarray of shape (n_outputs,)
        The objective with the smoothed loss in place of the loss.
    """

    evaluation: Evaluation
    second: NDArray
    majoriser: NDArray
    descended: NDArray


class MomentObjective:
    """The objective for squared error from moments: an evaluation costs n_features**2, however many the rows.

    With R, rho and v the second moments in the coordinates and e the mean residual::

        F = v - 2 z . rho + z' R z + e^2 + penalty

    Parameters
    ----------
    moments : Moments
        With `cross`, but for an objective that is asked of zero coefficients alone; about the origin
        for a model without intercept.
    coordinates : Coordinates
        Coordinates of the points.
    penalty : Penalty
        In these coordinates.

    Attributes
    ----------
    noise : ndarray of shape (n_outputs,)
        How far rounding may put a value off, beside its own digits: F is a small difference from v.
    work : int
        Multiplications of an evaluation.
    """

    dtype = np.dtype(np.float64)
    is_quadratic = True

    def __init__(self, moments: Moments, coordinates: Coordinates, penalty: Penalty):
        unit = (moments.x.unit * coordinates.inverse_scale)[:, np.newaxis]
        target_unit = moments.y.unit / coordinates.target_scale
        self._coordinates = coordinates
        self.penalty = penalty
        self._second = None if moments.cross is None else moments.cross * unit * unit.T
        self._joint = moments.target_cross * unit * target_unit
        self._target_second = (np.sqrt(moments.y.variance) * target_unit) ** 2
        self.noise = NOISE * self._target_second
        self._mean = ((moments.x.mean - coordinates.center) * coordinates.inverse_scale)[:, np.newaxis]
        self._target_mean = (moments.y.mean - coordinates.target_center) / coordinates.target_scale
        self._is_off_center = self._mean.any()
        self.work = len(self._joint) * self._joint.size

    def evaluate(self, points: Sequence[NDArray]) -> list[Evaluation]:
        """Evaluate the objective at every point."""
        p, stacked = len(self._joint), _side_by_side(points)
        z, joint, target_second, target_mean = stacked[:p], self._joint, self._target_second, self._target_mean
        if stacked.shape[1] > joint.shape[1]:
            times = stacked.shape[1] // joint.shape[1]  # a point may be several already
            joint, target_second = np.tile(joint, times), np.tile(target_second, times)
            target_mean = np.tile(target_mean, times)
        product = 0.0 if self._second is None else self._second @ z
        value = np.maximum(target_second + (z * (product - 2.0 * joint)).sum(axis=0), 0.0)
        gradient = np.empty_like(stacked)
        gradient[:p] = 2.0 * (product - joint)
        if not self.penalty.is_nothing:
            value += self.penalty.value(stacked)
            gradient[:p] += self.penalty.gradient(stacked)
        if self._coordinates.fit_intercept:
            error = stacked[p] - target_mean
            if self._is_off_center:
                error = error + (self._mean * z).sum(axis=0)
            value += error * error
            gradient[p] = 2.0 * error
            if self._is_off_center:
                gradient[:p] += self._mean * gradient[p]
        return [Evaluation(one, slope) for one, slope in _split(len(points), value, gradient)]

    def values(self, points: Sequence[NDArray]) -> list[NDArray]:
        """Return the objective alone at every point."""
        return [evaluation.value for evaluation in self.evaluate(points)]

    def curvatures(self, point: NDArray) -> Curvatures:
        """Evaluate the objective and its second derivatives, which are the same everywhere: a majoriser is itself."""
        [evaluation] = self.evaluate([point])
        second = np.array([self.hessian(output) for output in range(point.shape[1])])
        return Curvatures(evaluation, second, second, evaluation.value)

    def hessian(self, output: int = 0) -> NDArray:
        """Return the matrix of second derivatives of one output's smooth part."""
        p = len(self._joint)
        hessian = np.empty((p + self._coordinates.fit_intercept,) * 2)
        hessian[:p, :p] = self.products(output)
        if self._coordinates.fit_intercept:
            hessian[p, :p] = hessian[:p, p] = self._mean[:, 0]
            hessian[p, p] = 1.0
        hessian *= 2.0
        return hessian

    def products(self, output: int = 0) -> NDArray:
        """Return half the second derivatives of one output by the coefficients, a copy."""
        assert self._second is not None
        products = self._second.copy()
        if self._is_off_center and self._coordinates.fit_intercept:
            products += self._mean * self._mean.T
        if not self.penalty.is_nothing:
            products.flat[:: len(products) + 1] += 0.5 * self.penalty.l2[:, output]
        return products


class DataObjective:
    """The objective from the rows themselves: an evaluation is one pass over X.

    Parameters
    ----------
    rows : Rows
        X, the targets in these coordinates, and the weights, in the precision of the points.
    coordinates : Coordinates
        Coordinates of the points.
    loss : Loss
        Of residuals in units of the target scale.
    penalty : Penalty
        In these coordinates.
    smoothed : Loss, default=None
        What is descended in place of the loss; None for the loss itself.
    total_weight : float, default=None
        What sums over the rows are divided by; None for the sum of their weights.
    gram : ndarray of shape (n_coordinates, n_coordinates), default=None
        Mean of x x' over the rows, in these coordinates: with it the curvatures of a loss
        that is mostly a parabola cost hardly more than its gradient.
    product : callable, default=None
        From a block of X and slopes to ``X.T @ slopes``; None for that of BLAS.

    Attributes
    ----------
    noise : float
        How far rounding may put a value off, beside its own digits: a sum of losses is no difference.
    dtype : dtype
        Of the points.
    work : int
        Multiplications of an evaluation.
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
        smoothed: Any = None,
        total_weight: float | None = None,
        gram: NDArray | None = None,
        product: Callable[[Any, NDArray], NDArray] | None = None,
    ):
        self._rows = rows
        self._coordinates = coordinates
        self._loss = loss
        self._smoothed = smoothed
        self.penalty = penalty
        self._total_weight = rows.total_weight if total_weight is None else total_weight
        self._gram = gram
        self._product = product or _transposed_product
        self.dtype = np.dtype(np.longdouble if rows.dtype == np.longdouble else np.float64)
        self.work = rows.n_samples * rows.n_features * rows.n_outputs

    @property
    def n_weighted(self) -> int:
        """Rows of positive weight."""
        return self._rows.n_weighted

    @property
    def degree(self) -> int:
        """Power of the unit of y in which the loss is expressed."""
        return self._loss.degree

    def exact(self) -> "DataObjective":
        """Return the objective of the loss itself, where a smoothed one is descended."""
        return DataObjective(self._rows, self._coordinates, self._loss, self.penalty)

    @property
    def _descended(self) -> Any:
        return self._loss if self._smoothed is None else self._smoothed

    def batches(
        self, size: int, random_state: np.random.RandomState | None, mean_weight: float
    ) -> "Iterator[DataObjective]":
        """Return the objectives of mini-batches, for ever: on average they are this one.

        Parameters
        ----------
        size : int
            Rows in a batch.
        random_state : RandomState or None
            Shuffles the rows before every pass; None leaves them in their order.
        mean_weight : float
            Weight of a row, on average: sums over a batch are divided by so much for each of its rows.
        """
        for part in self._rows.batches(size, random_state):
            yield DataObjective(
                part,
                self._coordinates,
                self._loss,
                self.penalty,
                smoothed=self._smoothed,
                total_weight=mean_weight * part.n_samples,
            )

    def evaluate(self, points: Sequence[NDArray]) -> list[Evaluation]:
        """Evaluate the objective at every point, in one pass over X."""
        stacked = _side_by_side(points)
        residuals = _Residuals(self._coordinates, stacked)
        is_parabola = self._smoothed is None and self._loss.is_parabola
        make = _SquaredErrorSlopes if is_parabola else _Slopes
        sums = self._rows.sum(partial(make, residuals, self._loss, self._smoothed, self._product))
        parts = _split(len(points), *self._means(sums, stacked))
        return [Evaluation(*part) for part in parts]

    def _means(self, sums: "_Slopes", point: NDArray) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """Turn sums over the rows into value, gradient, Fenchel gap and share of curved residuals."""
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
        """Return the objective alone, of the loss that is descended, at every point, in one pass over X."""
        stacked = _side_by_side(points)
        residuals = _Residuals(self._coordinates, stacked)
        sums = self._rows.sum(partial(_Losses, residuals, self._descended))
        value = sums.losses / self._total_weight + self.penalty.value(stacked)
        return [part for [part] in _split(len(points), value)]

    def curvatures(self, point: NDArray) -> Curvatures:
        """Evaluate the objective and its curvatures at a point, in one pass over X.

        That is n_features**2 work for each row; with `gram` only for those that are not on the parabola.
        """
        residuals, parabola = _Residuals(self._coordinates, point), 0.0
        if self._gram is not None:
            parabola = self._descended.curvature
        sums = self._rows.sum(
            partial(_Curvatures, residuals, self._loss, self._smoothed, self._product, parabola),
            min_rows=CURVATURE_ENTRIES // len(point),
        )
        here = Evaluation(*self._means(sums, point))
        second, above = sums.second / self._total_weight, sums.above / self._total_weight
        if self._gram is not None:
            second = np.broadcast_to(parabola, len(second))[:, np.newaxis, np.newaxis] * self._gram - second
        for output, strength in enumerate(self.penalty.l2.T):
            along = np.arange(len(strength))
            second[output, along, along] += strength
        descended = here.value + (sums.descended_losses - sums.losses) / self._total_weight
        return Curvatures(here, second, second + above, descended)


Objective = MomentObjective | DataObjective


class _Residuals:
    """From a block of rows to the residuals of several points, in units of the target scale."""

    def __init__(self, coordinates: Coordinates, point: NDArray):
        p = len(coordinates.center)
        self.coordinates = coordinates
        self.point = point
        self.slope = point[:p] * coordinates.inverse_scale[:, np.newaxis]
        self.is_standardised = coordinates.is_identity
        self.level = -(coordinates.center[:, np.newaxis] * self.slope).sum(axis=0)
        if coordinates.fit_intercept:
            self.level += point[p]

    def of(self, X, y) -> NDArray:
        """Return the residuals of targets in the coordinates, of shape (n_rows, n_points, n_outputs)."""
        predicted = X @ self.slope
        predicted += self.level
        return y[:, np.newaxis] - predicted.reshape(len(y), -1, y.shape[1])

    def standardised(self, X) -> NDArray:
        """Return the rows in the coordinates: what the residuals depend on the point by."""
        if self.is_standardised:
            return X.toarray() if sparse.issparse(X) else X
        coordinates = self.coordinates
        p, block = len(coordinates.center), np.empty((X.shape[0], len(self.point)))
        np.subtract(X.toarray() if sparse.issparse(X) else X, coordinates.center, out=block[:, :p])
        block[:, :p] *= coordinates.inverse_scale
        block[:, p:] = 1.0
        return block

    def zeros(self) -> NDArray:
        """Return a sum to begin with, one number a column."""
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
    """Sums over the rows of a loss, its slopes u at the residuals, and x u; u is that of a smoothed loss if given."""

    def __init__(self, residuals: _Residuals, loss: Any, smoothed: Any, product: Callable):
        self._residuals = residuals
        self._loss = loss
        self._smoothed = smoothed
        self._product = product
        self.losses, self.fenchel_gap, self.curved = residuals.zeros(), residuals.zeros(), residuals.zeros()
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
        loss, descended = self._loss, self._loss
        if self._smoothed is not None:
            descended = self._smoothed
        slopes = descended.derivative(residual)
        self.losses += _total(loss.value(residual), weight)
        if self._smoothed is not None:
            self.fenchel_gap += _total(loss.fenchel_gap(residual, slopes), weight)
        self.curved += _total(descended.curved(residual), weight)
        slopes = _weighted(slopes, weight)
        self.products += self._product(X, slopes)
        self.totals += slopes.sum(axis=0)

    def merge(self, other):
        for name in ("losses", "fenchel_gap", "curved", "products", "totals"):
            mine = getattr(self, name)
            mine += getattr(other, name)


class _SquaredErrorSlopes(_Slopes):
    """The same for a loss that is the same parabola everywhere: the fewest operations for each block."""

    def _add_slopes(self, X, residual, weight):
        curvature = self._loss.curvature
        residual = residual.reshape(len(residual), -1)
        slopes = curvature * residual
        if weight is None:
            self.curved += len(residual)
        else:
            self.curved += weight.sum()
            slopes *= weight[:, np.newaxis]
        self.losses += 0.5 * np.einsum("ij,ij->j", residual, slopes)
        self.products += self._product(X, slopes)
        self.totals += slopes.sum(axis=0)


class _Curvatures(_Slopes):
    """The same, and the sums of x x' times the second derivatives, and times what majorisers have above them.

    With a parabola of curvature c > 0 it is c less the second derivative that is summed: 0 for most rows.
    """

    def __init__(self, residuals: _Residuals, loss: Any, smoothed: Any, product: Callable, parabola):
        super().__init__(residuals, loss, smoothed, product)
        q, n_outputs = residuals.point.shape
        self._parabola = parabola
        self.descended_losses = residuals.zeros()
        self.second = np.zeros((n_outputs, q, q))
        self.above = np.zeros((n_outputs, q, q))

    def add(self, X, y, weight):
        step = max(1, CURVATURE_ENTRIES // self.second.shape[1]) if sparse.issparse(X) else X.shape[0]
        for start in range(0, X.shape[0], step):  # a block of CSR may have very many rows
            rows = slice(start, start + step)
            self._add_part(X[rows], y[rows], None if weight is None else weight[rows])

    def _add_part(self, X, y, weight):
        residual = self._residuals.of(X.astype(self.losses.dtype, copy=False), y)
        self._add_slopes(X, residual, weight)
        descended = self._loss if self._smoothed is None else self._smoothed
        self.descended_losses += _total(descended.value(residual), weight)
        second = descended.second_derivative(residual)
        above = np.maximum(descended.majoriser_curvature(residual) - second, 0.0)
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
        self.descended_losses += other.descended_losses
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
    """Return X' diag(weight) X, of the rows that count."""
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
    """Return each point its share of the columns."""
    if n_points == 1:
        return [columns]
    return list(zip(*(np.split(part, n_points, axis=-1) for part in columns), strict=True))
