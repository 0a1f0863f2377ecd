"""Squared error along some columns of CSR, near a point, without the products of these columns."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gdregress.problem.objectives import Evaluation
from gdregress.problem.penalties import Penalty
from gdregress.problem.view import View
from gdregress.rows.sums import Sums


class SparseColumns(NamedTuple):
    """Copies of some columns of CSR in 64 bits, one by rows and one by columns.

    Attributes
    ----------
    X : csr_array of shape (n_samples, n_members)
        The columns, scaled and not centred.
    transposed : csr_array of shape (n_members, n_samples)
        The same by columns.
    mean : ndarray of shape (n_members, 1)
        What centres the columns; zero without an intercept.
    share : ndarray of shape (n_samples, 1)
        Weights of the rows as shares of their sum.
    """

    X: Any
    transposed: Any
    mean: NDArray
    share: NDArray

    @classmethod
    def of(cls, view: View, members: NDArray, most: int) -> "SparseColumns | None":
        """Return the columns in the coordinates; None if more than so many of their entries are not zero."""
        some = view.rows.sum(partial(_Entries, members, most), work=len(members) / view.rows.n_features)
        if some.n_entries > most:
            return None
        inverse_scale = view.coordinates.inverse_scale[members]
        X, weight = sparse.vstack(some.blocks, format="csr"), np.concatenate(some.weights)
        del some
        X.data *= inverse_scale[X.indices]
        mean, share = view.coordinates.center[members] * inverse_scale, weight / view.rows.total_weight
        return cls(X, X.T.tocsr(), mean[:, np.newaxis], share[:, np.newaxis])

    @property
    def work(self) -> int:
        """Number of multiplications of an evaluation and of the step to it, about a quarter of them."""
        return self.X.nnz + 5 * self.X.shape[1]

    def product(self, step: NDArray) -> NDArray:
        """Return the means of the products of the centred columns, times some steps side by side."""
        return self.transposed @ (self.share * (self.X @ step)) - self.mean * (self.mean.T @ step)


class _Entries(Sums):
    """Accumulator of the entries of some columns; once they are too many, they are only counted."""

    sums = ("blocks", "weights", "n_entries")

    def __init__(self, members: NDArray, most: int):
        self._members, self._most = members, most
        self.blocks: list[Any] = []
        self.weights: list[NDArray] = []
        self.n_entries = 0

    def add(self, X, y, weight):
        block = X[:, self._members].astype(np.float64, copy=False)
        self.n_entries += block.nnz
        self.blocks = [*self.blocks, block] if self.n_entries <= self._most else []
        self.weights.append(np.ones(len(y)) if weight is None else weight)


class ColumnsObjective:
    """The change of mean squared error plus a penalty from a point on, for one output.

    With x the rows of the set's columns, m their mean, w the point, and g the gradient there::

        F(z) - F(w)  =  g . (z - w) + (1/W) sum_i s_i ((x_i - m) . (z - w))^2 + sum_j l2_j (z_j - w_j)^2 / 2
                        + sum_j l1_j (|z_j| - |w_j|)

    An evaluation costs a few operations for each entry of these columns that is not zero.

    Parameters
    ----------
    columns : SparseColumns
        The columns.
    point, gradient : ndarray of shape (n_members, 1)
        w, and the gradient of the smooth part of F there.
    penalty : Penalty
        Penalty of these columns.
    """

    def __init__(self, columns: SparseColumns, point: NDArray, gradient: NDArray, penalty: Penalty):
        self.penalty = penalty
        self._columns, self._point, self._gradient = columns, point, gradient

    def evaluate(self, points: Sequence[NDArray]) -> list[Evaluation]:
        """Evaluate the change of the objective at every point."""
        z = np.hstack(points)
        step = z - self._point
        change = self._columns.product(step) + 0.5 * self.penalty.l2 * step
        gradient = self._gradient + 2.0 * change
        value = (step * (self._gradient + change) + self.penalty.l1 * (np.abs(z) - np.abs(self._point))).sum(axis=0)
        return [Evaluation(value[k : k + 1], gradient[:, k : k + 1]) for k in range(len(points))]
