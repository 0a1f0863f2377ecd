"""X in the coordinates of points: products with it, by passes over the rows or at once."""

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gdregress.problem.bases import Basis
from gdregress.problem.coordinates import Coordinates
from gdregress.problem.residuals import CURVATURE_ENTRIES, READ_ENTRIES, Residuals
from gdregress.problem.view import COPY_LIMIT
from gdregress.rows.memory import RowBlocks
from gdregress.rows.sums import Sums, dot

CACHED_ENTRIES = 2**18
"""Entries of a block whose products are formed: a megabyte, which stays in the cache of a core."""


@dataclass(frozen=True)
class Features:
    """X in the coordinates, with ones for an intercept, as a map of vectors: a product with it is a pass over its rows.

    Attributes
    ----------
    rows : RowBlocks
        The rows.
    coordinates : Coordinates
        The coordinates.
    """

    rows: RowBlocks
    coordinates: Coordinates

    @staticmethod
    def of(rows: RowBlocks, coordinates: Coordinates) -> "Features":
        """Return the rows in the coordinates: those that are few and stored so are multiplied at once."""
        is_small = rows.n_samples * rows.n_features <= COPY_LIMIT
        is_stored = is_small and not rows.is_sparse and coordinates.is_identity
        return (StoredFeatures if is_stored else Features)(rows, coordinates)

    def replaced_by(self, X: NDArray) -> "Features":
        """Return other features of the same rows, as an array."""
        rows = RowBlocks(X, self.rows.y, self.rows.weight)
        return Features.of(rows, Coordinates.identity(rows.n_features, rows.n_outputs))

    def of_columns(self, columns: NDArray) -> "Features":
        """Return some columns of X, which are copied: into the coordinates where they are few, to be stored."""
        rows, coordinates = self.rows.of_columns(columns), self.coordinates.of_columns(columns)
        some = Features.of(rows, coordinates)
        is_small = not rows.is_sparse and rows.n_samples * coordinates.n_coordinates <= COPY_LIMIT
        return self.replaced_by(some.dense) if is_small else some

    def of_rows(self, rows: NDArray) -> "Features":
        """Return some rows, without targets; they are copied."""
        return Features.of(RowBlocks(self.rows.features_of(rows), np.zeros((len(rows), 1))), self.coordinates)

    def dense_rows(self, rows: NDArray | slice) -> NDArray:
        """Return some rows as an array."""
        return self.coordinates.standardised(self.rows.features_of(rows))

    @cached_property
    def dense(self) -> NDArray:
        """All rows as an array."""
        return self.dense_rows(np.s_[:]).astype(np.float64, copy=False)

    def dot(self, points: NDArray) -> NDArray:
        """Return X z of points z, the columns of an array."""
        make = partial(_Products, Residuals(self.coordinates, points))
        return self.rows.sum(make, min_rows=READ_ENTRIES // self.coordinates.n_coordinates).joined()

    def transposed(self, vectors: NDArray) -> NDArray:
        """Return X'v of vectors v, the columns of an array."""
        coordinates, rows = self.coordinates, self.rows.with_targets(lambda _: vectors)
        sums = rows.sum(_Transposed, min_rows=READ_ENTRIES // self.coordinates.n_coordinates)
        center, inverse_scale = coordinates.center[:, np.newaxis], coordinates.inverse_scale[:, np.newaxis]
        turned = (sums.products - center * sums.totals) * inverse_scale
        return np.vstack([turned, sums.totals]) if coordinates.fit_intercept else turned

    def gram(self, weight: NDArray, basis: Basis) -> NDArray:
        """Return X' diag(weight) X in a basis."""
        rows, coordinates = self.rows.with_targets(lambda _: weight[:, np.newaxis]), self.coordinates
        scale = np.append(coordinates.inverse_scale, np.ones(int(coordinates.fit_intercept)))

        def gram_of(basis: Basis) -> NDArray:
            make = partial(_Gram, coordinates.center, len(scale), basis)
            return rows.sum(make, min_rows=CURVATURE_ENTRIES // len(scale), work=len(scale)).total()

        return basis.gram(gram_of, scale)


class StoredFeatures(Features):
    """X as an array in the coordinates, small: to multiply it takes less than a pass over rows."""

    @cached_property
    def stored(self) -> NDArray:
        """X in the coordinates."""
        return self.rows.features_of(np.s_[:])

    def dot(self, points: NDArray) -> NDArray:
        """Return X z of points z, the columns of an array."""
        return self.stored @ points

    def transposed(self, vectors: NDArray) -> NDArray:
        """Return X'v of vectors v, the columns of an array."""
        return self.stored.T @ vectors

    def gram(self, weight: NDArray, basis: Basis) -> NDArray:
        """Return X' diag(weight) X in a basis."""
        if self.stored.size > CACHED_ENTRIES:
            return super().gram(weight, basis)
        X, counted = self.stored, np.flatnonzero(weight)
        if 2 * len(counted) < len(weight):
            X, weight = X.take(counted, axis=0), weight[counted]
        block = basis.of_rows(np.sqrt(weight)[:, np.newaxis] * X)
        return block.T @ block


class _Products(Sums):
    """Accumulator of the products of rows with points, in the order of the rows."""

    sums = ("parts",)

    def __init__(self, residuals: Residuals):
        self._residuals = residuals
        self.parts: list[NDArray] = []

    def add(self, X, y, weight):
        self.parts.append(dot(X, self._residuals.slope) + self._residuals.level)

    def joined(self) -> NDArray:
        return np.concatenate(self.parts)


class _Transposed(Sums):
    """Accumulator of X' v, with v in place of the targets, and of the sums of v."""

    sums = ("products", "totals")

    def __init__(self):
        self.products: Any = 0.0
        self.totals: Any = 0.0

    def add(self, X, y, weight):
        self.products = self.products + dot(X.T, y)
        self.totals = self.totals + y.sum(axis=0)


class _Gram(Sums):
    """Accumulator of X' diag(v) X in a basis, with v in place of the targets.

    Rows with a v of zero are left out. The others are centred in a buffer, which stays in the cache but holds at least
    as many rows as there are columns, since a product costs as much as adding it up if it has fewer.
    """

    sums = ("gram",)
    _filled = 0  # a sum that comes back has no rows in a buffer

    def __init__(self, center: NDArray, width: int, basis: Basis):
        self._center = center
        self._basis = basis
        self._buffer = np.empty((max(CACHED_ENTRIES // max(1, width), width), width))
        self._product = np.empty((basis.rank, basis.rank))
        self.gram = np.zeros_like(self._product)

    def add(self, X, y, weight):
        share, p = y[:, 0], len(self._center)
        counted = np.flatnonzero(share)
        if 2 * len(counted) < len(share):
            X, share = X[counted], share[counted]
        start = 0
        while start < len(share):
            size = min(len(self._buffer) - self._filled, len(share) - start)
            part, block = X[start : start + size], self._buffer[self._filled : self._filled + size]
            np.subtract(part.toarray() if sparse.issparse(part) else part, self._center, out=block[:, :p])
            block[:, p:] = 1.0
            block *= np.sqrt(share[start : start + size])[:, np.newaxis]
            self._filled, start = self._filled + size, start + size
            if self._filled == len(self._buffer):
                self._flush()

    def __getstate__(self):
        self._flush()
        return super().__getstate__()

    def merge(self, other):
        self._flush()
        other._flush()
        super().merge(other)

    def total(self) -> NDArray:
        """Return the sum over all rows."""
        self._flush()
        return self.gram

    def _flush(self):
        if not self._filled:
            return
        block = self._basis.of_rows(self._buffer[: self._filled])
        self.gram += np.dot(block.T, block, out=self._product)
        self._filled = 0
