"""The matrix of a problem as slopes in boxes see it: products with it, block by block.

A loss of lines and parabolas is the largest of the functions u r - k u^2 / 2 over the slopes u of a box: see `boxes`.
L1 and the sign constraint are such losses too, of a row that holds one coordinate and has the target 0. A tube of
half-width d is the sum of two losses with one side each, of r - d and of -r - d. So the whole objective is, with A the
stacked rows and L the strength of L2::

    F(w) = sum_i s_i l_i(r_i) + w' L w / 2,        r = y - A w
"""

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gdregress.problem.coordinates import Coordinates
from gdregress.problem.objectives import CURVATURE_ENTRIES, READ_ENTRIES, Residuals
from gdregress.problem.problem import EXTENDED_LIMIT, Problem, Terms
from gdregress.problem.view import COPY_LIMIT
from gdregress.rows.memory import RowBlocks
from gdregress.rows.rows import Rows, drawable
from gdregress.rows.sums import Sums, dot

ROW_SPACE = 2**31
"""Multiplications of the factorisation of X' up to which points are looked for among combinations of the rows."""

CACHED_ENTRIES = 2**18
"""Entries of a block whose products are formed: a megabyte, which stays in the cache of a core."""


@dataclass(frozen=True)
class Design:
    """The matrix A, as a map of vectors.

    Its rows are those of X, for a tube those of -X too, then one for each coefficient if L1 or signs are there.

    Attributes
    ----------
    rows : RowBlocks
        The rows of X that have a positive weight.
    coordinates : Coordinates
        The coordinates of points.
    copies : int
        How often the rows of X stand in A.
    n_penalised : int
        Number of coefficients that have a row.
    basis : ndarray of shape (n_coordinates, rank) or None
        Columns that make the rows of X orthonormal, for columns that are nearly collinear; None for none.
    combined : ndarray of shape (n_given, n_coordinates) or None, default=None
        Coordinates of the problem for each coordinate of points, where X stands for combinations of its columns.
    inverse : ndarray of shape (n_coordinates, n_given) or None, default=None
        A left inverse of `combined`.
    whole : ndarray of shape (n_coordinates, n_coordinates) or None, default=None
        Mean of the products of the rows of X in the coordinates, where the moments know it and no basis is needed.
    """

    rows: RowBlocks
    coordinates: Coordinates
    copies: int
    n_penalised: int
    basis: NDArray | None
    combined: NDArray | None = None
    inverse: NDArray | None = None
    whole: NDArray | None = None

    @classmethod
    def of(cls, problem: Problem, basis: NDArray | None) -> "Design":
        """Make the matrix of a problem.

        Parameters
        ----------
        problem : Problem
            The problem, in its unit-curvature coordinates.
        basis : ndarray of shape (n_features, rank) or None
            Columns that make the rows of X orthonormal; None if they need not be.
        """
        whole = problem.view.gram if basis is None else None
        view = replace(problem.view, rows=drawable(problem.rows).counted()).standardised
        if basis is not None and basis.shape[1] < len(basis) and problem.terms.is_penalised:
            # The minimum is not among the combinations of rows: a penalty decides along the other directions too.
            basis = np.hstack([basis, np.linalg.qr(basis, mode="complete")[0][:, basis.shape[1] :]])
        if basis is not None and problem.terms.fit_intercept:
            basis = _with_intercept(basis)
        loss: Any = problem.terms.loss
        n_penalised = problem.n_coordinates - problem.terms.fit_intercept if problem.terms.has_prox else 0
        return cls(drawable(view.scaled), view.coordinates, 1 + loss.has_tube, n_penalised, basis, whole=whole)

    @classmethod
    def of_combinations(cls, problem: Problem, basis: NDArray) -> "Design | None":
        """Make the matrix of combinations of the columns, which are multiplied in extended precision.

        Where columns are closer than 1e-8 of each other, a product with the basis has lost half of its digits, and so
        has one with their coefficients, which are large. Points in the coordinates of the combinations lose none.

        Parameters
        ----------
        problem : Problem
            The problem, without a penalty, in its unit-curvature coordinates.
        basis : ndarray of shape (n_features, rank)
            The combinations.

        Returns
        -------
        Design or None
            None if X is sparse or large.
        """
        rows, coordinates = drawable(problem.rows).counted(), problem.coordinates
        exact = rows.dense_as(np.longdouble, EXTENDED_LIMIT)
        if exact is None:
            return None
        X = (exact.X - coordinates.center) * coordinates.inverse_scale @ basis.astype(np.longdouble)
        if coordinates.fit_intercept:
            X, basis = np.column_stack([X, np.ones(len(X))]), _with_intercept(basis)
        columns = cls.of(problem, None)
        return columns._combined(X.astype(np.float64), basis.astype(np.longdouble), np.linalg.pinv(basis))

    @classmethod
    def of_row_space(cls, problem: Problem) -> "Design":
        """Make the matrix for fewer rows than columns and L2 alone, in as many coordinates as there are rows.

        With L the strengths of L2, c the largest, and ``X (L / c)^(-1/2) = R'Q'``, the minimum is at some
        ``w = (L / c)^(-1/2) Q z``: of all w with the same predictions it has the least penalty, which is ``c z'z / 2``.
        R' takes the place of X. Its singular values show which directions of Q there are.

        Parameters
        ----------
        problem : Problem
            The problem, in its unit-curvature coordinates: see `has_row_space`.
        """
        columns, p = cls.of(problem, None), len(problem.penalty.l2)
        rows = columns.dense[:, :p]
        moves = rows.any(axis=0)
        strength = np.where(moves, problem.penalty.l2[:, 0], 0.0)[:, np.newaxis]
        root = np.sqrt(np.where(strength > 0, strength / (strength.max() or 1.0), 1.0))  # it may have come to nothing
        Q, R = np.linalg.qr(rows.T / root)
        turned, values, left = np.linalg.svd(R)
        # Where rows depend on others, Q has directions in which there is nothing of them.
        rank = max(1, np.count_nonzero(values > p * np.finfo(np.float64).eps * values[0]))
        Q, X = Q @ turned[:, :rank], np.ascontiguousarray(left[:rank].T * values[:rank])
        Q[~moves] = 0.0
        combined, inverse = Q / root, (Q * root).T
        if problem.terms.fit_intercept:
            X = np.column_stack([X, np.ones(len(X))])
            combined, inverse = _with_intercept(combined), _with_intercept(inverse)
        return columns._combined(X, combined, inverse)

    def _combined(self, X: NDArray, combined: NDArray, inverse: NDArray) -> "Design":
        """Return the matrix of combinations of the columns, with the same targets."""
        return replace(self._with_rows(X), basis=None, whole=None, combined=combined, inverse=inverse)

    def _with_rows(self, X: NDArray) -> "Design":
        """Return the matrix with the rows of an array, which are in the coordinates already, and the same targets."""
        rows = RowBlocks(X, self.rows.y, self.rows.weight)
        return replace(self, rows=rows, coordinates=Coordinates.identity(rows.n_features, rows.n_outputs))

    def given(self, point: NDArray) -> NDArray:
        """Return the coordinates of the problem at a point."""
        return point if self.combined is None else self.combined @ point

    def of_given(self, given: NDArray) -> NDArray:
        """Return the point with these coordinates of the problem, or the nearest."""
        return given if self.inverse is None else self.inverse @ given

    def l2_of_given(self, l2: NDArray) -> NDArray:
        """Return the strengths of L2 of the coordinates of points, given those of the coordinates of the problem."""
        return l2 if self.combined is None else (np.square(self.combined).T @ l2).astype(np.float64)

    @property
    def n_coordinates(self) -> int:
        """Number of coordinates of a point."""
        return len(self.coordinates.center) + self.coordinates.fit_intercept

    @property
    def rank(self) -> int:
        """Number of coordinates in the basis."""
        return self.n_coordinates if self.basis is None else self.basis.shape[1]

    def without_basis(self) -> "Design":
        """Return the same matrix, in its coordinates."""
        return replace(self, basis=None)

    @property
    def once(self) -> "Design":
        """The same matrix, in which each row of X stands once."""
        return replace(self, copies=1)

    @property
    def side(self) -> NDArray:
        """What an intercept of 1 adds to A w: -1 for the rows of -X."""
        n = self.rows.n_samples
        return np.concatenate([np.ones(n), np.full(n * (self.copies - 1), -1.0), np.zeros(self.n_penalised)])

    @cached_property
    def stored(self) -> NDArray | None:
        """X in the coordinates, where it is small and stored so: to multiply it takes less than a pass over rows."""
        is_small = self.rows.n_samples * self.rows.n_features <= COPY_LIMIT
        if not is_small or self.rows.is_sparse or not self.coordinates.is_identity:
            return None
        return self.rows.features_of(np.s_[:])

    def drawn(self, rows: NDArray) -> "Design":
        """Return the matrix of some rows of X, which are copied."""
        return replace(self, rows=RowBlocks(self.rows.features_of(rows), np.zeros((len(rows), 1))), whole=None)

    def of_columns(self, columns: NDArray) -> "Design":
        """Return the matrix of some penalised columns of X, which are copied, with the intercept.

        A small copy is in the coordinates, so that it is `stored`.
        """
        of_X = np.append(columns, np.arange(self.n_penalised, self.rows.n_features))
        rows, coordinates = self.rows.of_columns(of_X), self.coordinates.of_columns(of_X)
        design = replace(self, rows=rows, coordinates=coordinates, n_penalised=len(columns), whole=None)
        if rows.is_sparse or rows.n_samples * design.n_coordinates > COPY_LIMIT or coordinates.is_identity:
            return design
        return design._with_rows(design.dense)

    def point(self, inner: NDArray) -> NDArray:
        """Return the point whose coordinates in the basis are given."""
        return inner if self.basis is None else self.basis @ inner

    def within(self, gradient: NDArray) -> NDArray:
        """Return a gradient with respect to the coordinates in the basis."""
        return gradient if self.basis is None else self.basis.T @ gradient

    def dot(self, point: NDArray) -> NDArray:
        """Return A z of a point z, or of several points z, the columns of an array."""
        points = point.reshape(len(point), -1)
        if self.stored is None:
            make = partial(_Products, Residuals(self.coordinates, points))
            products = self.rows.sum(make, min_rows=READ_ENTRIES // self.n_coordinates).joined()
        else:
            products = self.stored @ points
        if self.copies == 1 and not self.n_penalised:
            return products.reshape(len(products), *point.shape[1:])
        stacked = np.vstack([products, -products[: len(products) * (self.copies - 1)], points[: self.n_penalised]])
        return stacked.reshape(len(stacked), *point.shape[1:])

    def transposed(self, vectors: NDArray) -> NDArray:
        """Return A' v of vectors v, the columns of an array."""
        n = self.rows.n_samples
        of_rows = vectors[:n] if self.copies == 1 else vectors[:n] - vectors[n : 2 * n]
        turned = self._transposed(of_rows) if self.stored is None else self.stored.T @ of_rows
        turned[: self.n_penalised] += vectors[n * self.copies :]
        return turned

    def _transposed(self, of_rows: NDArray) -> NDArray:
        """Return X' v in the coordinates, by a pass over the rows."""
        coordinates, rows = self.coordinates, self.rows.with_targets(lambda _: of_rows)
        sums = rows.sum(_Transposed, min_rows=READ_ENTRIES // self.n_coordinates)
        center, inverse_scale = coordinates.center[:, np.newaxis], coordinates.inverse_scale[:, np.newaxis]
        turned = (sums.products - center * sums.totals) * inverse_scale
        return np.vstack([turned, sums.totals]) if coordinates.fit_intercept else turned

    def gram(self, weight: NDArray) -> NDArray:
        """Return A' diag(weight) A in the basis."""
        n = self.rows.n_samples
        of_rows = weight[: n * self.copies].reshape(self.copies, n).sum(axis=0)
        gram = self._gram(of_rows)
        if self.n_penalised:
            along, penalised = weight[n * self.copies :], np.arange(self.n_penalised)
            if self.basis is None:
                gram[penalised, penalised] += along
            else:
                gram += (self.basis[penalised].T * along) @ self.basis[penalised]
        return gram

    def _gram(self, weight: NDArray) -> NDArray:
        """Return X' diag(weight) X in the basis: at once if X is stored and a block, else by a pass over the rows."""
        X = self.stored
        if X is None or X.size > CACHED_ENTRIES:
            rows, width = self.rows.with_targets(lambda _: weight[:, np.newaxis]), self.n_coordinates
            scale = np.append(self.coordinates.inverse_scale, np.ones(int(self.coordinates.fit_intercept)))
            basis = None if self.basis is None else scale[:, np.newaxis] * self.basis
            make = partial(_Gram, self.coordinates.center, width, basis)
            gram = rows.sum(make, min_rows=CURVATURE_ENTRIES // width, work=width).total()
            if basis is None:
                gram *= scale
                gram *= scale[:, np.newaxis]
            return gram
        counted = np.flatnonzero(weight)
        if 2 * len(counted) < len(weight):
            block, weight = X.take(counted, axis=0), weight[counted]
            block *= np.sqrt(weight)[:, np.newaxis]
        else:
            block = np.sqrt(weight)[:, np.newaxis] * X
        if self.basis is not None:
            block = block @ self.basis
        return block.T @ block

    def chosen(self, indices: NDArray) -> NDArray:
        """Return some rows of A, in the basis."""
        n = self.rows.n_samples
        of_rows = indices[indices < n * self.copies]
        sign = np.where(of_rows < n, 1.0, -1.0)[:, np.newaxis]
        dense = np.zeros((len(indices), self.n_coordinates))
        residuals = Residuals(self.coordinates, np.zeros((self.n_coordinates, 1)))
        dense[indices < n * self.copies] = sign * residuals.standardised(self.rows.features_of(of_rows % n))
        penalised = np.flatnonzero(indices >= n * self.copies)
        dense[penalised, indices[penalised] - n * self.copies] = 1.0
        return dense if self.basis is None else dense @ self.basis

    @cached_property
    def dense(self) -> NDArray:
        """The rows of X in the coordinates, with ones for an intercept."""
        residuals = Residuals(self.coordinates, np.zeros((self.n_coordinates, 1)))
        return residuals.standardised(self.rows.features_of(np.arange(self.rows.n_samples))).astype(np.float64)


def has_row_space(terms: Terms, rows: Rows) -> bool:
    """Return whether `Design.of_row_space` serves: L2 alone, and few rows in memory, dense."""
    n, p = rows.n_weighted, rows.n_features
    is_few = rows.in_memory is not None and not rows.is_sparse and n < p and n * n * p <= ROW_SPACE
    return is_few and terms.is_ridge


def _with_intercept(basis: NDArray) -> NDArray:
    """Return a basis with a further coordinate, the intercept."""
    return np.block([[basis, np.zeros((len(basis), 1))], [np.zeros((1, basis.shape[1])), np.ones((1, 1))]])


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
    as many rows as there are columns, since a product costs as much as adding it up if it has fewer. Without a
    basis the products are still to be scaled: they are fewer numbers than the rows.
    """

    sums = ("gram",)
    _filled = 0  # a sum that comes back has no rows in a buffer

    def __init__(self, center: NDArray, width: int, basis: NDArray | None):
        self._center = center
        self._basis = basis
        self._buffer = np.empty((max(CACHED_ENTRIES // max(1, width), width), width))
        self._product = np.empty((width if basis is None else basis.shape[1],) * 2)
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
        block = self._buffer[: self._filled]
        if self._basis is not None:
            block = dot(block, self._basis)
        self.gram += np.dot(block.T, block, out=self._product)
        self._filled = 0
