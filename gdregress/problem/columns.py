"""Squared error along some columns of CSR, near a point, without the products of these columns."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gdregress.problem.objectives import Evaluation
from gdregress.problem.penalties import Penalty
from gdregress.problem.view import View


class ColumnsObjective:
    """The change of mean squared error plus a penalty from a point on, for one output.

    With x the rows of the set's columns, m their mean, w the point, and g the gradient there::

        F(z) - F(w)  =  g . (z - w) + (1/W) sum_i s_i ((x_i - m) . (z - w))^2 + sum_j l2_j (z_j - w_j)^2 / 2
                        + sum_j l1_j (|z_j| - |w_j|)

    An evaluation costs a few operations for each entry of these columns that is not zero.

    Parameters
    ----------
    view : View
        Rows of CSR, and the coordinates of points; without an intercept the columns are not centred.
    members : ndarray of shape (n_members,)
        Indices of the columns.
    point, gradient : ndarray of shape (n_members, 1)
        w, and the gradient of the smooth part of F there.
    penalty : Penalty
        Penalty of these columns.
    """

    is_quadratic = False

    @property
    def work(self) -> int:
        """Number of multiplications of one evaluation and of the step to it, about a quarter of them."""
        return self._X.nnz + 5 * self._X.shape[1]

    def __init__(self, view: View, members: NDArray, point: NDArray, gradient: NDArray, penalty: Penalty):
        inverse_scale = view.coordinates.inverse_scale[members]
        self.penalty = penalty
        self._point, self._gradient = point, gradient
        self._mean = (view.coordinates.center[members] * inverse_scale)[:, np.newaxis]
        self._X = view.rows.features_of(np.s_[:])[:, members].astype(np.float64)
        self._X.data *= inverse_scale[self._X.indices]
        self._transposed = self._X.T.tocsr()
        known = view.rows.targets()
        assert known is not None, "the rows are in memory"
        weight = known[1]
        share = np.ones(self._X.shape[0]) if weight is None else weight
        self._share = (share / view.rows.total_weight)[:, np.newaxis]

    def evaluate(self, points: Sequence[NDArray]) -> list[Evaluation]:
        """Evaluate the change of the objective at every point."""
        z = np.hstack(points)
        step = z - self._point
        change = self._transposed @ (self._share * (self._X @ step)) - self._mean * (self._mean.T @ step)
        change += 0.5 * self.penalty.l2 * step
        gradient = self._gradient + 2.0 * change
        value = (step * (self._gradient + change) + self.penalty.l1 * (np.abs(z) - np.abs(self._point))).sum(axis=0)
        return [Evaluation(value[k : k + 1], gradient[:, k : k + 1]) for k in range(len(points))]
