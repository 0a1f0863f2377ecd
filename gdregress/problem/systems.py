"""The linear system of a step: with weights t of the rows of A, along the columns or, where they are fewer, the rows.

With s the weights of the rows, L the strength of L2, e what the rows lack, and g what the columns lack, it is::

    du = t (e - A dw),    A'S du + g = L dw
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from gdregress.problem.design import Design

RAISED = (0.0, 1e-15, 1e-13, 1e-11, 1e-9, 1e-7)
"""Shares of its diagonal by which a matrix is raised in turn until it has a Cholesky factor."""


MET = 1e-3
"""Error up to which e = 1 is met by a system along the rows that has enough digits."""


class System(Protocol):
    """The system with a factor of its matrix."""

    def solve(self, rest: NDArray, lack: NDArray) -> tuple[NDArray, NDArray]:
        """Return dw and du for e = `rest` and g = `lack`."""
        ...


@dataclass(frozen=True)
class Factor:
    """A Cholesky factor of a positive semidefinite matrix, whose diagonal is made 1 and raised where it has none.

    Attributes
    ----------
    lower : ndarray of shape (n, n)
        The factor.
    size : ndarray of shape (n,)
        Square roots of the diagonal of the matrix.
    """

    lower: NDArray
    size: NDArray

    @classmethod
    def of(cls, matrix: NDArray) -> Self:
        """Factor a matrix.

        Raises
        ------
        FloatingPointError
            If the matrix is not finite.
        """
        size = np.sqrt(np.diagonal(matrix))
        size = np.where(size > 0, size, 1.0)
        scaled = matrix / size / size[:, np.newaxis]
        for raised in RAISED:
            scaled.flat[:: len(scaled) + 1] += raised
            lower, info = lapack.dpotrf(scaled, lower=1)
            if info == 0 and np.isfinite(np.diagonal(lower)).all():
                return cls(lower, size)
        raise FloatingPointError

    def solve(self, right: NDArray) -> NDArray:
        """Return the inverse of the matrix times a vector."""
        return lapack.dpotrs(self.lower, right / self.size, lower=1)[0] / self.size

    @property
    def inflation(self) -> float:
        """The factor by which solving enlarges a relative error: the trace of the inverse, of a diagonal of 1."""
        inverse, info = lapack.dtrtri(self.lower, lower=1)
        return np.inf if info else float(np.vdot(inverse, inverse))


@dataclass(frozen=True)
class ColumnSystem:
    """The system along the columns: (A'S diag(t) A + L) dw = A'S t e + g.

    Attributes
    ----------
    design : Design
        A.
    weight, curvature : ndarray of shape (n_rows,)
        s and t.
    factor : Factor
        Factor of the matrix, in the basis of the design.
    """

    design: Design
    weight: NDArray
    curvature: NDArray
    factor: Factor

    def solve(self, rest: NDArray, lack: NDArray) -> tuple[NDArray, NDArray]:
        """Return dw and du for e = `rest` and g = `lack`."""
        design, right = self.design, lack
        if rest.any():  # a pass over X; a projection has none
            right = lack + design.transposed((self.weight * (self.curvature * rest))[:, np.newaxis])[:, 0]
        step = design.basis.point(self.factor.solve(design.basis.within(right)))
        return step, self.curvature * (rest - design.dot(step))


@dataclass(frozen=True)
class RowSystem:
    """The system along the rows of X, for more columns than rows, each with a row of the penalty.

    With v = S du, d = s t and e of a row of X, of both its copies together for a tube, E = s t + l2 of the
    coefficients, c = g + s t e of theirs, and b what the intercept lacks::

        (X E^-1 X' + diag(1 / d)) v + db  =  e - X E^-1 c,    sum_i v_i + b = 0
        dw  =  E^-1 (X'v + c)

    It is solved once more for what rounding has left of e and g, since E ranges over many orders of magnitude.

    Attributes
    ----------
    design : Design
        A, without a basis.
    weight, curvature : ndarray of shape (n_rows,)
        s and t.
    l2 : ndarray of shape (n_coordinates,)
        Diagonal of L.
    bend : ndarray of shape (n_penalised,)
        E.
    factor : Factor
        Factor of the matrix of the rows.
    """

    design: Design
    weight: NDArray
    curvature: NDArray
    l2: NDArray
    bend: NDArray
    factor: Factor

    @classmethod
    def of(cls, design: Design, weight: NDArray, curvature: NDArray, l2: NDArray) -> Self:
        """Factor the matrix of the rows.

        Raises
        ------
        FloatingPointError
            If the matrix is not finite.
        """
        X, p = design.features.dense, design.n_penalised
        firm = weight * curvature
        of_data, bend = firm[: len(firm) - p].reshape(design.copies, -1).sum(axis=0), firm[len(firm) - p :] + l2[:p]
        root = X[:, :p] / np.sqrt(bend)
        matrix = root @ root.T
        matrix.flat[:: len(matrix) + 1] += 1.0 / of_data
        return cls(design, weight, curvature, l2, bend, Factor.of(matrix))

    @property
    def keeps_digits(self) -> bool:
        """Whether e = 1 is met: coefficients of far weaker penalties than others can take all digits of the matrix."""
        ones = np.ones(len(self.weight))
        rest, _ = self._left(ones, np.zeros(len(self.l2)), *self.solve(ones, np.zeros(len(self.l2))))
        return bool(np.abs(rest).max() <= MET)

    def solve(self, rest: NDArray, lack: NDArray) -> tuple[NDArray, NDArray]:
        """Return dw and du for e = `rest` and g = `lack`."""
        along, turn = self._solved(rest, lack)
        further, turned = self._solved(*self._left(rest, lack, along, turn))
        return along + further, turn + turned

    @cached_property
    def _of_intercept(self) -> NDArray:
        """What an intercept of -1 adds to v."""
        return self.factor.solve(np.ones(self.design.rows.n_samples))

    def _left(self, rest: NDArray, lack: NDArray, along: NDArray, turn: NDArray) -> tuple[NDArray, NDArray]:
        """Return what dw = `along` and du = `turn` leave of e and g."""
        pulled = self.design.transposed((self.weight * turn)[:, np.newaxis])[:, 0]
        return rest - self.design.dot(along) - turn / self.curvature, lack + pulled - self.l2 * along

    def _solved(self, rest: NDArray, lack: NDArray) -> tuple[NDArray, NDArray]:
        p, copies, curvature = self.design.n_penalised, self.design.copies, self.curvature
        X, intercept, firm = *np.split(self.design.features.dense, [p], axis=1), self.weight * curvature
        data, of_penalty = np.s_[: len(rest) - p], np.s_[len(rest) - p :]
        sign = np.array([[1.0], [-1.0]])[:copies]
        each, of_rest = firm[data].reshape(copies, -1), rest[data].reshape(copies, -1)
        firmness = each.sum(axis=0)
        e = (sign * each * of_rest).sum(axis=0) / firmness
        c = lack[:p] + (firm * rest)[of_penalty]
        v = self.factor.solve(e - X @ (c / self.bend))
        along = np.zeros(len(lack))
        if intercept.size:
            along[p] = (v.sum() + lack[p]) / self._of_intercept.sum()
            v = v - along[p] * self._of_intercept
        along[:p] = (X.T @ v + c) / self.bend
        turn = curvature * rest
        turn[data] = curvature[data] * (of_rest - sign * e + sign * (v / firmness)).ravel()
        turn[of_penalty] -= curvature[of_penalty] * along[:p]
        return along, turn
