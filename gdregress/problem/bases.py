"""Bases in which the linear system of a step is set up: the coordinates of points, or combinations of them."""

from collections.abc import Callable
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gdregress.rows.sums import dot


class Basis:
    """The coordinates themselves, B = 1.

    Parameters
    ----------
    rank : int
        Number of coordinates.
    """

    is_standard: ClassVar[bool] = True

    def __init__(self, rank: int):
        self.rank = rank

    def point(self, inner: NDArray) -> NDArray:
        """Return the point B z whose coordinates z in the basis are given."""
        return inner

    def within(self, gradient: NDArray) -> NDArray:
        """Return B'g, a gradient with respect to the coordinates in the basis."""
        return gradient

    def of_rows(self, rows: NDArray) -> NDArray:
        """Return rows X in the basis, X B."""
        return rows

    def add_diagonal(self, matrix: NDArray, diagonal: NDArray) -> NDArray:
        """Add B' diag(d) B to a matrix in place and return it; coordinates beyond the end of d have none."""
        step = len(matrix) + 1
        matrix.flat[: len(diagonal) * step : step] += diagonal
        return matrix

    def gram(self, gram_of: "Callable[[Basis], NDArray]", scale: NDArray) -> NDArray:
        """Return the products of the rows X diag(scale) in the basis, given those of X in any other basis."""
        gram = gram_of(self)  # to scale the products is less than to scale the rows
        gram *= scale
        gram *= scale[:, np.newaxis]
        return gram

    def products(self, gram: Callable[[], NDArray], copies: int) -> NDArray:
        """Return the products of all rows with their own weights, so many times; `gram` computes them."""
        return gram()


class BasisOfMoments(Basis):
    """The coordinates themselves, of rows whose products the moments know.

    Parameters
    ----------
    mean_products : ndarray of shape (n_coordinates, n_coordinates)
        Mean of the products of all rows.
    """

    def __init__(self, mean_products: NDArray):
        super().__init__(len(mean_products))
        self.mean_products = mean_products

    def products(self, gram: Callable[[], NDArray], copies: int) -> NDArray:
        """Return the products of all rows with their own weights, so many times."""
        return copies * self.mean_products


class Combinations(Basis):
    """Combinations of the coordinates, which make the rows of X orthonormal where its columns are nearly collinear.

    Parameters
    ----------
    columns : ndarray of shape (n_coordinates, rank)
        B.
    """

    is_standard = False

    def __init__(self, columns: NDArray):
        super().__init__(columns.shape[1])
        self._columns = columns

    def point(self, inner: NDArray) -> NDArray:
        """Return the point B z whose coordinates z in the basis are given."""
        return self._columns @ inner

    def within(self, gradient: NDArray) -> NDArray:
        """Return B'g, a gradient with respect to the coordinates in the basis."""
        return self._columns.T @ gradient

    def of_rows(self, rows: NDArray) -> NDArray:
        """Return rows X in the basis, X B."""
        return dot(rows, self._columns)

    def add_diagonal(self, matrix: NDArray, diagonal: NDArray) -> NDArray:
        """Add B' diag(d) B to a matrix in place and return it; coordinates beyond the end of d have none."""
        some = self._columns[: len(diagonal)]
        matrix += (some.T * diagonal) @ some
        return matrix

    def gram(self, gram_of: Callable[[Basis], NDArray], scale: NDArray) -> NDArray:
        """Return the products of the rows X diag(scale) in the basis, given those of X in any other basis."""
        return gram_of(Combinations(scale[:, np.newaxis] * self._columns))
