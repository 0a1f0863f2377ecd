"""Ridge regression with fewer rows than columns, from the products of the rows.

Few rows have fewer products than many columns. A solution of the system of these products costs a small part of a
singular value decomposition of the rows, and residuals from the rows make it as precise.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from gdregress.method.states import Block
from gdregress.problem.design import Design
from gdregress.problem.problem import Gap, Problem
from gdregress.problem.products import products_of_rows
from gdregress.rows.rows import drawable

REFINED = 1e-14
"""Optimality at which another step of refinement is not worth a pass over the rows."""


@dataclass(frozen=True)
class DualRidge:
    """Ridge regression in dual variables (Saunders, Gammerman and Vovk, 1998), refined on the rows.

    Let Z be the standardised rows times the roots of their shares s of the weight, v the targets times these roots, and
    D the scale of the columns, in the units in which they are penalised, relative to the largest; D is 1 without a
    penalty. L2 is ``a |D^-1 z|^2``. With c one dual variable for each row, and t a positive number that only makes the
    matrix regular::

        z = D^2 Z' c
        repeat
            r  <-  v - Z z - s^(1/2) b - a c                   from the rows
            c  <-  c + (Z D^2 Z' + a + t s^(1/2) s^(1/2)')^-1 r,    orthogonal to s^(1/2)
            b  <-  b + s^(1/2) . r                             the intercept
        until |r| is more than half that of the epoch before, or rounding

    The squared length of r is the duality gap: F is at most so far above its minimum, whatever rounding did to the
    products.

    Parameters
    ----------
    design : Design
        The rows of positive weight, as a map of vectors.
    root : ndarray of shape (n_rows, 1)
        s^(1/2).
    reach : ndarray of shape (n_features, 1)
        D^2; 0 for a column that does not vary.
    ridge : float
        a.
    lower : ndarray of shape (n_rows, n_rows)
        Cholesky factor of the matrix.
    """

    design: Design
    root: NDArray
    reach: NDArray
    ridge: float
    lower: NDArray
    goes_below_tol = True
    limit = "residuals are known no better. Raise tol, or use a larger alpha."

    @classmethod
    def of(cls, problem: Problem, digits: float) -> Self | None:
        """Factor the products of the rows; None where they have too few digits for a refinement.

        Parameters
        ----------
        problem : Problem
            Squared error with L2 or without a penalty, over rows of a dense X in memory, in the unit-curvature
            coordinates.
        digits : float
            Largest estimated share of an error that a step of refinement leaves.
        """
        standard, rows = problem.standard, drawable(problem.rows).counted()
        moves = standard.inverse_scale > 0
        if not moves.any():
            return None
        scale, ridge = moves.astype(np.float64), 0.0
        if problem.alpha > 0:
            scale, ridge = standard.reach(problem.alpha)
        design = Design.of(problem, None)
        weight = design.rows.weight
        share = np.ones(rows.n_samples) if weight is None else weight
        root = np.sqrt(share / share.sum())[:, np.newaxis]
        matrix = products_of_rows(rows, standard.center, standard.inverse_scale * scale)
        if standard.fit_intercept:
            matrix += float(np.diagonal(matrix).max())
        matrix *= root
        matrix *= root.T
        matrix.flat[:: len(matrix) + 1] += ridge
        norm = float(lapack.dlange("1", matrix.T))
        lower, info = lapack.dpotrf(matrix.T, lower=1, clean=0, overwrite_a=1)
        if info or not np.isfinite(norm):
            return None
        inverse_condition, _ = lapack.dpocon(lower, norm, uplo="L")
        if not len(matrix) * np.finfo(np.float64).eps <= digits * inverse_condition:
            return None
        return cls(design, root, scale[:, np.newaxis] ** 2, ridge, lower)

    def iterates(self, problem: Problem, start: NDArray, epoch: int = 0) -> Iterator[Block]:
        """Yield the states in blocks of one; end with the last that is better than the one before."""
        start = start.astype(np.float64)
        origin = start
        if problem.alpha > 0 and start[: len(self.reach)].any():  # the minimum is the same from anywhere
            origin = np.vstack([np.zeros_like(self.reach @ start[:1]), start[len(self.reach) :]])
        targets = self._targets
        states = self._states(targets, origin)
        _, fitted, _ = next(states)
        if origin is not start:
            fitted = self._fitted(start)
        state = next(states)
        yield self._first(problem, start, targets, fitted, state)
        before = np.inf
        while True:
            point, fitted, rest = state
            value = _squares(targets - fitted) + problem.penalty.value(point)
            block = Block.of_value(problem, point, value, Gap.unsmoothed(_squares(rest)), 1.0)
            optimality = float(block.optimality[0])
            if not optimality < before:
                return
            yield block
            if not REFINED < optimality <= before / 2:
                return
            before, state = optimality, next(states)

    def _states(self, targets: NDArray, origin: NDArray) -> Iterator[tuple[NDArray, NDArray, NDArray]]:
        """Yield points with Z z + s^(1/2) b and r there, the origin first."""
        p, root = len(self.reach), self.root
        point, fitted, dual = origin, self._fitted(origin), np.zeros_like(targets)
        while True:
            rest = targets - fitted - self.ridge * dual
            yield point, fitted, rest
            step, _ = lapack.dpotrs(self.lower, rest, lower=1)
            if len(origin) > p:
                step -= root * (root.T @ step)
            dual = dual + step
            turned = self.design.transposed(root * dual)[:p]
            point = np.vstack([origin[:p] + self.reach * turned, point[p:] + root.T @ rest])
            fitted = self._fitted(point)

    @property
    def _targets(self) -> NDArray:
        """The targets times the roots of the shares, v."""
        return self.root * self.design.rows.y

    def _fitted(self, point: NDArray) -> NDArray:
        """Return Z z + s^(1/2) b."""
        if not point[: len(self.reach)].any():
            return self.root @ point[len(self.reach) :].sum(axis=0, keepdims=True)
        return self.root * self.design.dot(point)

    def _first(
        self, problem: Problem, start: NDArray, targets: NDArray, fitted: NDArray, state: tuple[NDArray, ...]
    ) -> Block:
        """Return the block of the start, whose gap is bounded by its distance from the first epoch's point."""
        point, of_point, rest = state
        value = _squares(targets - fitted) + problem.penalty.value(start)
        apart = _squares(of_point - fitted) + problem.penalty.value(point - start)
        gap = Gap.unsmoothed((np.sqrt(apart) + np.sqrt(_squares(rest))) ** 2)
        return Block.of_value(problem, start, value, gap, None)


def _squares(columns: NDArray) -> NDArray:
    """Return the squared lengths of columns."""
    return np.einsum("ij,ij->j", columns, columns)
