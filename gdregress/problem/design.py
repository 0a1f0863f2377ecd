"""The matrix of a problem as slopes in boxes see it: products with it, block by block.

A loss of lines and parabolas is the largest of the functions u r - k u^2 / 2 over the slopes u of a box: see `boxes`.
L1 and the sign constraint are such losses too, of a row that holds one coordinate and has the target 0. A tube of
half-width d is the sum of two losses with one side each, of r - d and of -r - d. So the whole objective is, with A the
stacked rows and L the strength of L2::

    F(w) = sum_i s_i l_i(r_i) + w' L w / 2,        r = y - A w
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gdregress.problem.bases import Basis, BasisOfMoments, Combinations
from gdregress.problem.features import Features
from gdregress.problem.problem import EXTENDED_LIMIT, Problem
from gdregress.problem.terms import Terms
from gdregress.rows.memory import RowBlocks
from gdregress.rows.rows import Rows, drawable

ROW_SPACE = 2**31
"""Multiplications of the factorisation of X' up to which points are looked for among combinations of the rows."""


@dataclass(frozen=True)
class Design:
    """The matrix A, as a map of vectors.

    Its rows are those of X, for a tube those of -X too, then one for each coefficient if L1 or signs are there.

    Attributes
    ----------
    features : Features
        X in the coordinates of points, of the rows that have a positive weight.
    copies : int
        How often the rows of X stand in A.
    n_penalised : int
        Number of coefficients that have a row.
    basis : Basis
        Where linear systems are set up.
    """

    features: Features
    copies: int
    n_penalised: int
    basis: Basis

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
        view = replace(problem.view, rows=drawable(problem.rows).counted()).standardised
        loss: Any = problem.terms.loss
        n_penalised = problem.n_coordinates - problem.terms.fit_intercept if problem.terms.has_prox else 0
        features = Features.of(drawable(view.scaled), view.coordinates)
        return Design(features, 1 + loss.has_tube, n_penalised, _basis_of(problem, basis))

    def to_problem(self, point: NDArray) -> NDArray:
        """Return the coordinates of the problem of a point, given those of A."""
        return point

    def from_problem(self, point: NDArray) -> NDArray:
        """Return the coordinates of A of a point of the problem, or of the nearest that has some."""
        return point

    def l2_from_problem(self, l2: NDArray) -> NDArray:
        """Return the strengths of L2 of the coordinates of A, given those of the coordinates of the problem."""
        return l2

    @property
    def rows(self) -> RowBlocks:
        """The rows of X, with their targets and weights."""
        return self.features.rows

    def without_basis(self) -> Self:
        """Return the same matrix, with systems in the coordinates of points."""
        return self if self.basis.is_standard else replace(self, basis=Basis(self.features.coordinates.n_coordinates))

    @property
    def side(self) -> NDArray:
        """What an intercept of 1 adds to A w: -1 for the rows of -X."""
        n = self.rows.n_samples
        return np.concatenate([np.ones(n), np.full(n * (self.copies - 1), -1.0), np.zeros(self.n_penalised)])

    def of_columns(self, columns: NDArray) -> Self:
        """Return the matrix of some penalised columns of X, which are copied, with the intercept."""
        features = self.features.of_columns(np.append(columns, np.arange(self.n_penalised, self.rows.n_features)))
        return replace(
            self, features=features, n_penalised=len(columns), basis=Basis(features.coordinates.n_coordinates)
        )

    def dot(self, point: NDArray) -> NDArray:
        """Return A z of a point z, or of several points z, the columns of an array."""
        points = point.reshape(len(point), -1)
        products = self.features.dot(points)
        if self.copies == 1 and not self.n_penalised:
            return products.reshape(len(products), *point.shape[1:])
        stacked = np.vstack([products, -products[: len(products) * (self.copies - 1)], points[: self.n_penalised]])
        return stacked.reshape(len(stacked), *point.shape[1:])

    def transposed(self, vectors: NDArray) -> NDArray:
        """Return A' v of vectors v, the columns of an array."""
        n = self.rows.n_samples
        of_rows = vectors[:n] if self.copies == 1 else vectors[:n] - vectors[n : 2 * n]
        turned = self.features.transposed(of_rows)
        turned[: self.n_penalised] += vectors[n * self.copies :]
        return turned

    def gram(self, weight: NDArray) -> NDArray:
        """Return A' diag(weight) A in the basis."""
        n = self.rows.n_samples * self.copies
        of_rows = weight[:n].reshape(self.copies, -1).sum(axis=0)
        return self.basis.add_diagonal(self.features.gram(of_rows, self.basis), weight[n:])

    def products(self, weight: NDArray) -> NDArray:
        """Return A'SA of the rows of X in the basis, given the weights of these rows; the moments may know it."""
        return self.basis.products(partial(self.gram, weight), self.copies)

    def chosen(self, indices: NDArray) -> NDArray:
        """Return some rows of A, in the basis."""
        n = self.rows.n_samples
        is_data = indices < n * self.copies
        dense = np.zeros((len(indices), self.features.coordinates.n_coordinates))
        sign = np.where(indices[is_data] < n, 1.0, -1.0)[:, np.newaxis]
        dense[is_data] = sign * self.features.dense_rows(indices[is_data] % n)
        [penalised] = np.nonzero(~is_data)
        dense[penalised, indices[penalised] - n * self.copies] = 1.0
        return self.basis.of_rows(dense)


@dataclass(frozen=True)
class DesignOfCombinations(Design):
    """The matrix for points in other coordinates than those of the problem: X stands for combinations of its columns.

    Attributes
    ----------
    combined : ndarray of shape (n_given, n_coordinates)
        Coordinates of the problem for each coordinate of points.
    inverse : ndarray of shape (n_coordinates, n_given)
        A left inverse of `combined`.
    """

    combined: NDArray
    inverse: NDArray

    @classmethod
    def exact(cls, problem: Problem, basis: NDArray) -> Self | None:
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
        DesignOfCombinations or None
            None if X is sparse or large.
        """
        rows, coordinates = drawable(problem.rows).counted(), problem.coordinates
        exact = rows.dense_as(np.longdouble, EXTENDED_LIMIT)
        if exact is None:
            return None
        X = (exact.X - coordinates.center) * coordinates.inverse_scale @ basis.astype(np.longdouble)
        if coordinates.fit_intercept:
            X, basis = np.column_stack([X, np.ones(len(X))]), _with_intercept(basis)
        columns = Design.of(problem, None)
        return cls._of(columns, X.astype(np.float64), basis.astype(np.longdouble), np.linalg.pinv(basis))

    @classmethod
    def of_row_space(cls, problem: Problem) -> Self:
        """Make the matrix for fewer rows than columns and L2 alone, in as many coordinates as there are rows.

        With L the strengths of L2, c the largest, and ``X (L / c)^(-1/2) = R'Q'``, the minimum is at some
        ``w = (L / c)^(-1/2) Q z``: of all w with the same predictions it has the least penalty, which is ``c z'z / 2``.
        R' takes the place of X. Its singular values show which directions of Q there are.

        Parameters
        ----------
        problem : Problem
            The problem, in its unit-curvature coordinates: see `has_row_space`.
        """
        columns, p = Design.of(problem, None), len(problem.penalty.l2)
        rows = columns.features.dense[:, :p]
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
        return cls._of(columns, X, combined, inverse)

    @classmethod
    def _of(cls, columns: Design, X: NDArray, combined: NDArray, inverse: NDArray) -> Self:
        """Return the matrix of combinations of the columns, with the same targets."""
        features = columns.features.replaced_by(X)
        return cls(features, columns.copies, columns.n_penalised, Basis(X.shape[1]), combined, inverse)

    def to_problem(self, point: NDArray) -> NDArray:
        """Return the coordinates of the problem of a point, given those of A."""
        return self.combined @ point

    def from_problem(self, point: NDArray) -> NDArray:
        """Return the coordinates of A of a point of the problem, or of the nearest that has some."""
        return self.inverse @ point

    def l2_from_problem(self, l2: NDArray) -> NDArray:
        """Return the strengths of L2 of the coordinates of A, given those of the coordinates of the problem."""
        return (np.square(self.combined).T @ l2).astype(np.float64)


def _basis_of(problem: Problem, columns: NDArray | None) -> Basis:
    """Return the basis of some columns, with an intercept; the coordinates themselves if these need not be changed."""
    if columns is None:
        known = problem.view.gram
        return Basis(problem.n_coordinates) if known is None else BasisOfMoments(known)
    if columns.shape[1] < len(columns) and problem.terms.is_penalised:
        # The minimum is not among the combinations of rows: a penalty decides along the other directions too.
        columns = np.hstack([columns, np.linalg.qr(columns, mode="complete")[0][:, columns.shape[1] :]])
    return Combinations(_with_intercept(columns) if problem.terms.fit_intercept else columns)


def has_row_space(terms: Terms, rows: Rows) -> bool:
    """Return whether `DesignOfCombinations.of_row_space` serves: L2 alone, and few rows in memory, dense."""
    n, p = rows.n_weighted, rows.n_features
    is_few = rows.in_memory is not None and not rows.is_sparse and n < p and n * n * p <= ROW_SPACE
    return is_few and terms.is_ridge


def _with_intercept(basis: NDArray) -> NDArray:
    """Return a basis with a further coordinate, the intercept."""
    return np.block([[basis, np.zeros((len(basis), 1))], [np.zeros((1, basis.shape[1])), np.ones((1, 1))]])
