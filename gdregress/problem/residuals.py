"""Residuals of a block of rows, and the sums over rows of losses, of slopes and of second derivatives."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gdregress.problem.coordinates import Coordinates
from gdregress.rows.namespaces import Movable, cast, is_elsewhere, namespace, taken
from gdregress.rows.sums import Sums, dot

CURVATURE_ENTRIES = 2**19
"""Entries of a block of rows for second derivatives, whose work per entry is so large that it may exceed the cache."""

SUPPORT_SHARE = 4
"""Ratio of columns to coefficients that are not zero above which a dense block is multiplied with these alone."""

UNCOPIED_COLUMNS = 256
"""Columns of X up to which a matrix-vector product reads a block from memory as fast as a copy would."""

READ_ENTRIES = 2**19
"""Entries of a block that is read once: it need not stay in the cache, and each block has a cost of its own."""


class Residuals(Movable):
    """Function from a block of rows to its residuals at several points, in units of the target scale."""

    arrays = ("slope", "level")
    movables = ("coordinates",)

    def __init__(self, coordinates: Coordinates, point: NDArray):
        p = len(coordinates.center)
        self.coordinates = coordinates
        self.point = point
        self.slope = point[:p] * coordinates.inverse_scale[:, np.newaxis]
        self.level = -(coordinates.center @ self.slope)
        if coordinates.fit_intercept:
            self.level += point[p]

    @cached_property
    def _support(self) -> NDArray:
        """The columns whose coefficients are not all zero. For rows on a device it is not looked for."""
        return np.flatnonzero(self.slope.any(axis=1))

    @cached_property
    def needs_few_columns(self) -> bool:
        """Whether so few coefficients are not zero that residuals are computed from their columns alone."""
        return SUPPORT_SHARE * len(self._support) < len(self.slope)

    def of(self, X, y) -> NDArray:
        """Return the residuals of shape (n_rows, n_points, n_outputs), given targets in the coordinates."""
        if isinstance(X, np.ndarray) and self.needs_few_columns:
            predicted = dot(X[:, self._support], self.slope[self._support])
        else:
            predicted = dot(X, self.slope)
        predicted += self.level
        return y[:, np.newaxis, :] - namespace(y).reshape(predicted, (y.shape[0], -1, y.shape[1]))

    def zeros(self) -> NDArray:
        """Return zeros, one for each point and output."""
        return np.zeros_like(self.level)


class Losses(Sums):
    """Accumulator of the sums of a loss."""

    sums = arrays = ("losses",)
    movables = ("_residuals", "_loss")

    def __init__(self, residuals: Residuals, loss: Any):
        self._residuals = residuals
        self._loss = loss
        self.losses = residuals.zeros()

    def add(self, X, y, weight):
        """Add a block of rows."""
        residual = self._residuals.of(cast(X, self.losses.dtype), y)
        self.losses += _total(self._loss.value(residual), weight)


class Slopes(Sums):
    """Accumulator of the sums of a loss, of the slopes u of the loss that is descended, and of x u."""

    sums: ClassVar[tuple[str, ...]] = ("losses", "fenchel_gap", "curved", "products", "totals")
    arrays = sums
    movables = ("_residuals", "_loss", "_descended")

    def __init__(self, residuals: Residuals, loss: Any, descended: Any, product: Callable):
        self._residuals = residuals
        self._loss = loss
        self._descended = descended
        self._is_smoothed = descended is not loss
        self._product = product
        self.losses, self.fenchel_gap, self.curved = residuals.zeros(), residuals.zeros(), residuals.zeros()
        self.products = np.zeros_like(residuals.slope)
        self.totals = residuals.zeros()
        self._buffer = np.empty((0, len(self.products)))

    def add(self, X, y, weight):
        """Add a block of rows."""
        X = self._in_cache(cast(X, self.losses.dtype))
        self._add_slopes(X, self._residuals.of(X, y), weight)

    def _in_cache(self, X):
        """Return a block, copied into the cache if BLAS would read it from memory more slowly than a copy does."""
        if not isinstance(X, np.ndarray) or not X.flags.c_contiguous:
            return X
        is_read_once = X.shape[1] <= UNCOPIED_COLUMNS or self._residuals.needs_few_columns
        if self.products.shape[1] == 1 and is_read_once:
            return X
        if len(self._buffer) < len(X):
            self._buffer = np.empty(X.shape, X.dtype)
        block = self._buffer[: len(X)]
        np.copyto(block, X)
        return block

    def _add_slopes(self, X, residual, weight):
        loss, descended = self._loss, self._descended
        slopes = descended.derivative(residual)
        self.losses += _total(loss.value(residual), weight)
        if self._is_smoothed:
            self.fenchel_gap += _total(loss.fenchel_gap(residual, slopes), weight)
        self.curved += _total(descended.curved(residual), weight)
        slopes = _weighted(slopes, weight)
        self.products += self._product(X, slopes)
        self.totals += namespace(slopes).sum(slopes, axis=0)


class SlopesOfSquaredError(Slopes):
    """The same sums for a loss that is one parabola, with fewer operations for each block."""

    def _add_slopes(self, X, residual, weight):
        xp, curvature = namespace(residual), self._loss.curvature
        residual = xp.reshape(residual, (residual.shape[0], -1))
        slopes = curvature * residual
        if weight is None:
            self.curved += residual.shape[0]
        else:
            self.curved += xp.sum(weight)
            slopes *= weight[:, np.newaxis]
        self.losses += 0.5 * _products_of_columns(residual, slopes)
        self.products += self._product(X, slopes)
        self.totals += xp.sum(slopes, axis=0)


class SecondDerivatives(Slopes):
    """The same sums, and those of x x' times second derivatives and times the excess of majorisers over them.

    If `parabola` is a curvature c > 0, `second` sums x x' times c less the second derivative, which is 0 on the
    parabola. Rows on the parabola are then skipped.
    """

    sums = (*Slopes.sums, "descended_losses", "second", "excess")
    arrays = (*sums, "_parabola")

    def __init__(self, residuals: Residuals, loss: Any, descended: Any, product: Callable, parabola):
        super().__init__(residuals, loss, descended, product)
        q, n_outputs = residuals.point.shape
        self._parabola = parabola
        self._skips_parabola = bool(np.any(parabola))
        self.descended_losses = residuals.zeros()
        self.second = np.zeros((n_outputs, q, q))
        self.excess = np.zeros((n_outputs, q, q))

    def add(self, X, y, weight):
        """Add a block of rows."""
        if not sparse.issparse(X):
            self._add_part(X, y, weight)
            return
        step = max(1, CURVATURE_ENTRIES // self.second.shape[1])
        for start in range(0, X.shape[0], step):  # a block may be too large to make dense at once
            rows = slice(start, start + step)
            self._add_part(X[rows], y[rows], None if weight is None else weight[rows])

    def _add_part(self, X, y, weight):
        X = cast(X, self.losses.dtype)
        residual = self._residuals.of(X, y)
        self._add_slopes(X, residual, weight)
        descended = self._descended
        self.descended_losses += _total(descended.value(residual), weight)
        xp, second = namespace(residual), descended.second_derivative(residual)
        excess = xp.clip(descended.majoriser_curvature(residual) - second, 0.0, None)
        if self._skips_parabola:
            second = self._parabola - second
            [off] = xp.nonzero(xp.any(second != 0, axis=(1, 2)))
            X, second, excess = (taken(array, off) for array in (X, second, excess))
            weight = None if weight is None else taken(weight, off)
        block = self._residuals.coordinates.standardised(X)
        for output in range(second.shape[2]):
            share = 1.0 if weight is None else weight
            self.second[output, :, :] += _gram(block, share * second[:, 0, output])
            self.excess[output, :, :] += _gram(block, share * excess[:, 0, output])


def _weighted(terms: NDArray, weight: NDArray | None) -> NDArray:
    """Return points and outputs flattened into columns, times the weights."""
    columns = _flattened(terms)
    return columns if weight is None else columns * weight[:, np.newaxis]


def _total(terms: NDArray, weight: NDArray | None) -> NDArray:
    columns = _flattened(terms)
    return namespace(columns).sum(columns, axis=0) if weight is None else dot(weight, columns)


def _flattened(terms: NDArray) -> NDArray:
    return namespace(terms).reshape(terms, (terms.shape[0], -1))


def _products_of_columns(one: NDArray, two: NDArray) -> NDArray:
    """Return the products of the columns of one matrix with those of another, column by column."""
    if is_elsewhere(one):
        return namespace(one).sum(one * two, axis=0)
    return np.einsum("ij,ij->j", one, two)  # without a temporary array


def _gram(block: NDArray, weight: NDArray) -> NDArray:
    """Return X' diag(weight) X, skipping rows of weight zero if they are the majority."""
    xp = namespace(block)
    [counts] = xp.nonzero(weight)
    if 2 * counts.shape[0] < weight.shape[0]:
        block, weight = taken(block, counts), taken(weight, counts)
    scaled = block * xp.sqrt(weight)[:, np.newaxis]
    return dot(scaled.T, scaled)


def transposed_product(X: Any, slopes: NDArray) -> NDArray:
    """Return ``X.T @ slopes``."""
    return dot(X.T, slopes)
