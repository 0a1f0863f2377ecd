"""L1 on many columns of CSR, without their products: conjugate gradients on faces, and Nesterov's rule between them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gdregress.method.conjugate_gradients import conjugate_gradients
from gdregress.method.optimizers import Nesterov
from gdregress.method.preconditioners import identity
from gdregress.method.rates import inverse_curvature, largest_eigenvalue
from gdregress.problem.columns import ColumnsObjective, SparseColumns
from gdregress.problem.dual import NOISE
from gdregress.problem.objectives import Evaluation
from gdregress.problem.penalties import Penalty
from gdregress.problem.problem import Problem

LEFT_VIOLATED = 3e-3
"""Share of the largest violation up to which a descent leaves the conditions of the set violated."""

MANY_DIGITS = 1e5
"""Ratio of a violation to that which is to be left, above which to solve the set takes less than Nesterov's rule."""

FORCED = 0.03
"""Length of the residual to which conjugate gradients solve the system of a face, as a share of the first."""

FINE = 1e-6
"""The same for the step that bounds how far F can still fall."""

MOST_GRADIENTS = 100
"""Most conjugate gradients on a face: where they need more, its columns depend on each other."""

SPARSE = 4
"""Least ratio of the products of the columns to their entries: two copies of these take no more memory than those."""

MOST_PRODUCTS, FACTOR = 3000, 120
"""Most products with a vector, and the least ratio of the cube of the number of columns to the work of all of these:
that many take about as long as three Cholesky factors of the products of the columns."""

EIGENVALUE_ERROR = 1e-2
"""Relative error of the largest eigenvalue, which Nesterov's rule tolerates."""

EPS = float(np.finfo(np.float64).eps)


class ManyColumns(NamedTuple):
    """Many columns of CSR, with whose second derivatives vectors are multiplied.

    Attributes
    ----------
    members : ndarray of shape (n_members,)
        Indices of the columns.
    columns : SparseColumns
        Copies of the columns.
    l2 : ndarray of shape (n_members, 1)
        Strengths of L2, which are those of every output.
    """

    members: NDArray
    columns: SparseColumns
    l2: NDArray

    @classmethod
    def of(cls, problem: Problem, members: NDArray) -> "ManyColumns | None":
        """Copy some columns; return None if the copies would take more memory than the products of the columns."""
        columns = SparseColumns.of(problem.view, members, len(members) ** 2 // SPARSE)
        return None if columns is None else cls(members, columns, problem.penalty.l2[members, :1])

    @property
    def n_products(self) -> int:
        """Number of products with a vector that take about as long as to solve the set, at most `MOST_PRODUCTS`."""
        return min(MOST_PRODUCTS, len(self.members) ** 3 // (FACTOR * self.columns.work))

    def multiply(self, direction: NDArray) -> NDArray:
        """Return the product of the second derivatives with a vector."""
        direction = direction[:, np.newaxis]
        return (2.0 * self.columns.product(direction) + self.l2 * direction)[:, 0]

    def solve(self, places: NDArray, right: NDArray) -> NDArray | None:
        """Return the solution of the system of some of the columns; None where it takes too long: see `dual.Solve`."""

        def multiply(direction: NDArray) -> NDArray:
            whole[places] = direction
            return self.multiply(whole)[places]

        whole = np.zeros(len(self.members))
        step, _, is_solved = conjugate_gradients(multiply, np.ones_like(right), right, FINE, MOST_PRODUCTS)
        return step if is_solved else None


def descended(
    many: ManyColumns, penalty: Penalty, point: NDArray, gradient: NDArray, n_violated: int
) -> tuple[NDArray, NDArray]:
    """Return a point near the minimum on a set of columns, and for which outputs it is near.

    The other outputs stay where they are: to come near takes too long.

    Parameters
    ----------
    many : ManyColumns
        The columns; at the end those that violate their conditions.
    penalty : Penalty
        Penalty of all columns.
    point, gradient : ndarray of shape (n_coordinates, n_outputs)
        Where to start, and the gradient there.
    n_violated : int
        Number of these columns. If there are none, the point is the minimum up to rounding.

    Returns
    -------
    reached : ndarray of shape (n_coordinates, n_outputs)
        The point.
    is_near : ndarray of bool, of shape (n_outputs,)
        Whether it is near the minimum.
    """
    members, p, tol, rate = many.members, len(penalty.l1), EPS, None
    if n_violated:
        tol = LEFT_VIOLATED * float(penalty.violation(gradient)[members[len(members) - n_violated :]].max())
    reached, is_near = point.copy(), np.zeros(point.shape[1], bool)
    for output in range(point.shape[1]):
        descent = _Descent(many, penalty.of_columns(members, output), rate)
        found = descent.to(tol, _Place(point[members, output], gradient[members, output]))
        rate = descent.rate
        if found is not None:
            is_near[output] = True
            reached[members, output] = found
            reached[p:, output] -= 0.5 * gradient[p:, output]
    return reached, is_near


class _Place(NamedTuple):
    """A point of the columns, and the gradient of the smooth part of F there."""

    point: NDArray
    gradient: NDArray


class _Descent:
    """The descent of one output.

    G are the second derivatives, which are only multiplied with vectors, and s the signs of the coefficients::

        repeat
            S  =  the columns that are not zero or violate |g_j| <= l1_j
            z  =  w + d on S,  with zeros in place of wrong signs;   G_SS d = -(g_S + l1_S s_S)  by conjugate gradients
            w <-  z, if F is lower there;   else where Nesterov's rule leads from w, far nearer to the minimum
        until all conditions hold up to a tolerance

    These are the steps of a primal-dual active set method (Hintermueller, Ito and Kunisch, 2002), with systems that are
    solved roughly. Where columns are nearly orthogonal, as those of words are, a few of them find the signs of
    thousands of coefficients. Where columns depend on each other, they go in circles, and F does not fall.

    Parameters
    ----------
    many : ManyColumns
        The columns.
    penalty : Penalty
        Penalty of these columns, for one output.
    rate : float or None
        Learning rate of Nesterov's rule, if it is known.
    """

    def __init__(self, many: ManyColumns, penalty: Penalty, rate: float | None):
        self._many, self._penalty, self._left = many, penalty, many.n_products
        self.rate = rate

    def to(self, tol: float, place: _Place) -> NDArray | None:
        """Return a point whose conditions hold up to a tolerance, or up to rounding; None if it takes too long."""
        while True:
            lack = self._lack(place)
            size = float(np.abs(lack).max())
            if size <= tol:
                return place.point
            lower = self._on_face(place, lack)
            if lower is None:
                if size <= NOISE * (1.0 + np.abs(place.point).sum()):
                    return place.point
                if size > MANY_DIGITS * tol:
                    return None
                lower = self._by_nesterov(place, max(tol, LEFT_VIOLATED * size))
            if lower is None or self._left <= 0:
                return None
            place = lower

    def _multiply(self, direction: NDArray) -> NDArray:
        self._left -= 1
        return self._many.multiply(direction)

    def _lack(self, place: _Place) -> NDArray:
        """Return the shortest negative subgradient of F."""
        return -self._penalty.residual(place.point[:, np.newaxis], place.gradient[:, np.newaxis])[:, 0]

    def _on_face(self, place: _Place, lack: NDArray) -> _Place | None:
        """Return the minimum for the signs at a place, with zeros in place of wrong signs, if F is lower there."""
        w, g = place
        on = (w != 0) | (lack != 0)
        sign = np.sign(np.where(w != 0, w, lack))
        step, *_ = conjugate_gradients(
            lambda v: np.where(on, self._multiply(v), 0.0), np.ones_like(w), lack, FORCED, MOST_GRADIENTS
        )
        z = np.where((w + step) * sign > 0, w + step, 0.0)
        step = z - w
        change = self._multiply(step)
        is_lower = step @ (0.5 * change - lack) < 0  # no sign changes on the way
        return _Place(z, g + change) if is_lower else None

    def _by_nesterov(self, place: _Place, tol: float) -> _Place | None:
        """Return the place to which Nesterov's rule leads, where all conditions hold up to a tolerance."""
        if self.rate is None:
            largest = largest_eigenvalue(self._multiply, len(place.point), max(self._left, 1), EIGENVALUE_ERROR)
            if largest is None:
                return None
            self.rate = inverse_curvature(largest)
        start, slope = place.point[:, np.newaxis], place.gradient[:, np.newaxis]
        rule, objective = Nesterov(), ColumnsObjective(self._many.columns, start, slope, self._penalty)
        step = rule.start(start, Evaluation(np.zeros(1), slope))
        while self._left > 0:
            self._left -= 1
            step = rule.update(step, objective, identity, self.rate)
            here = _Place(step.point[:, 0], step.evaluation.gradient[:, 0])
            if np.abs(self._lack(here)).max() <= tol:
                return here
        return None
