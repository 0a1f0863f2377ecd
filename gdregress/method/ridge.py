"""Squared error plus L2 for every strength, from one factorization of a matrix."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigvalsh_tridiagonal, lapack

from gdregress.problem.coordinates import Coordinates
from gdregress.problem.systems import Factor
from gdregress.rows.moments import Moments

REFINED = 1e-3
"""Largest relative error of a solution from the factorization for which one step of refinement is enough."""

MANY_COLUMNS = 100
"""Number of columns from which a tridiagonal form of each matrix takes less time than the eigenvectors of all."""


class Eigendecompositions(NamedTuple):
    """R = Q diag(lambda) Q', for several matrices side by side.

    Attributes
    ----------
    curvature : ndarray of shape (n_sets, n_features)
        lambda, ascending.
    vectors : ndarray of shape (n_sets, n_features, n_features)
        Q.
    """

    curvature: NDArray
    vectors: NDArray

    @classmethod
    def of(cls, second: NDArray) -> "Eigendecompositions":
        """Factor matrices of shape (n_sets, n_features, n_features)."""
        curvature, vectors = np.linalg.eigh(second)
        return cls(np.maximum(curvature, 0.0), vectors)

    @property
    def least(self) -> NDArray:
        """The least lambda of each matrix."""
        return self.curvature[:, 0]

    @property
    def most(self) -> NDArray:
        """The largest lambda of each matrix."""
        return self.curvature[:, -1]

    def inflation(self, diagonal: NDArray, strength: NDArray) -> NDArray:
        """Return the traces of diag(diagonal) (R + a)^-1, for a strength of each matrix."""
        inverse = (np.square(self.vectors) @ (1.0 / (self.curvature + strength))[:, :, np.newaxis])[:, :, 0]
        return (inverse * diagonal).sum(axis=1)

    def solve(self, right: NDArray, strength: NDArray) -> NDArray:
        """Return (R + a)^-1 times columns (n_sets, n_features, n_columns), for strengths (n_sets, n_columns)."""
        along = self.vectors.transpose(0, 2, 1) @ right
        along /= self.curvature[:, :, np.newaxis] + strength[:, np.newaxis]
        return self.vectors @ along


class Tridiagonals(NamedTuple):
    """R = Q T Q' with T tridiagonal, for several matrices.

    It takes a quarter of the time of the eigenvectors, and T + a is solved in no time (after Eldén, 1977).

    Attributes
    ----------
    diagonal : ndarray of shape (n_sets, n_features)
        Diagonals of T.
    beside : ndarray of shape (n_sets, n_features - 1)
        Entries of T beside its diagonal.
    reflectors : sequence of (ndarray, ndarray)
        Householder vectors whose reflections are Q, but for its first row and column, and their factors.
    least : ndarray of shape (n_sets,)
        The least lambda of each matrix.
    most : ndarray of shape (n_sets,)
        A bound on the largest lambda of each matrix, at most three times as large.
    """

    diagonal: NDArray
    beside: NDArray
    reflectors: Sequence[tuple[NDArray, NDArray]]
    least: NDArray
    most: NDArray

    @classmethod
    def of(cls, second: NDArray) -> "Tridiagonals":
        """Factor matrices of shape (n_sets, n_features, n_features)."""
        size, _ = lapack.dsytrd_lwork(second.shape[-1], lower=1)
        found = [lapack.dsytrd(matrix.T, lower=1, lwork=int(size)) for matrix in second]
        reflectors = [(np.asfortranarray(vectors[1:, :-1]), factors) for vectors, _, _, factors, _ in found]
        diagonal, beside = np.array([each[1] for each in found]), np.array([each[2] for each in found])
        both = zip(diagonal, beside, strict=True)
        least = [eigvalsh_tridiagonal(*each, select="i", select_range=(0, 0))[0] for each in both]
        most = diagonal.max(axis=1) + 2.0 * np.abs(beside).max(axis=1)
        return cls(diagonal, beside, reflectors, np.maximum(least, 0.0), most)

    def inflation(self, diagonal: NDArray, strength: NDArray) -> NDArray:
        """Return bounds on the traces of diag(diagonal) (R + a)^-1, for a strength of each matrix."""
        return diagonal.sum(axis=1) / (self.least + strength[:, 0])

    def solve(self, right: NDArray, strength: NDArray) -> NDArray:
        """Return (R + a)^-1 times columns (n_sets, n_features, n_columns), for strengths (n_sets, n_columns)."""
        found = np.array(right.transpose(0, 2, 1))  # columns are contiguous
        for number, columns in enumerate(found):
            self._rotate(number, columns, "T")
            for column, a in zip(columns, strength[number].tolist(), strict=True):
                column[:] = lapack.dptsv(self.diagonal[number] + a, self.beside[number], column)[2]
            self._rotate(number, columns, "N")
        return found.transpose(0, 2, 1)

    def _rotate(self, number: int, columns: NDArray, which: str) -> None:
        """Multiply columns, given as rows, by Q ("N") or its transpose ("T") in place."""
        vectors, factors = self.reflectors[number]
        lwork = 64 * max(1, len(columns))
        columns[:, 1:] = lapack.dormqr("L", which, vectors, factors, columns[:, 1:].T, lwork)[0].T


class Ridge(NamedTuple):
    """The minimisers of mean squared error + a |z|_2^2 for every strength a, over several sets of rows.

    With R the covariances of X in the coordinates z, rho those of X and y::

        z_a  =  (R + a)^-1 rho
        z_a <-  z_a + (R + a)^-1 (rho - R z_a - a z_a)

    from one factorization of R for all a. The second line is a step of refinement. Where the least eigenvalue of R is
    so small that it has no digits, and a is no larger, a Cholesky factor for each a takes the place of the
    factorization. It loses nothing to columns of different units.

    Attributes
    ----------
    second : ndarray of shape (n_sets, n_features, n_features)
        R, with 1 on the diagonal for a column that does not vary.
    joint : ndarray of shape (n_sets, n_features, n_outputs)
        rho.
    factored : Eigendecompositions or Tridiagonals
        The factorization of R.
    precision : ndarray of shape (n_sets,)
        Relative error of R and rho in units of the standard deviations.
    """

    second: NDArray
    joint: NDArray
    factored: Eigendecompositions | Tridiagonals
    precision: NDArray

    @classmethod
    def of(cls, sets: Sequence[tuple[Moments, Coordinates]]) -> "Ridge":
        """Factor R.

        Parameters
        ----------
        sets : sequence of (Moments, Coordinates)
            Moments of each set with covariances, about the origin for a model without intercept; and coordinates in
            which the penalty is the same for each coefficient.
        """
        second = np.array([coordinates.covariances(moments) for moments, coordinates in sets])
        joint = np.array([coordinates.target_covariances(moments) for moments, coordinates in sets])
        diagonal = np.arange(second.shape[-1])
        second[:, diagonal, diagonal] += [coordinates.inverse_scale == 0 for _, coordinates in sets]
        factored = (Tridiagonals if len(diagonal) >= MANY_COLUMNS else Eigendecompositions).of(second)
        return cls(second, joint, factored, np.array([moments.error(1.0) for moments, _ in sets]))

    def minimisers(self, strengths: NDArray) -> NDArray | None:
        """Return the minimisers, of shape (n_sets, n_features, n_strengths, n_outputs).

        None if R + a is singular up to rounding for one of them.

        Parameters
        ----------
        strengths : ndarray of shape (n_sets, n_strengths)
            Strengths for each set.
        """
        n_sets, p, n_outputs = self.joint.shape
        joint, strength = np.tile(self.joint, strengths.shape[1]), np.repeat(strengths, n_outputs, axis=1)
        z = self.factored.solve(joint, strength)
        z += self.factored.solve(joint - self.second @ z - strength[:, np.newaxis] * z, strength)
        z = z.reshape(n_sets, p, -1, n_outputs)
        for number, place in np.argwhere(~self.has_digits(strengths)).tolist():
            scaled, scale = self._scaled(number, strengths[number, place])
            _, solution, info = lapack.dposv(scaled, self.joint[number] / scale, lower=1)
            if info:
                return None
            z[number, :, place] = solution / scale
        return z

    def is_precise(self, strengths: NDArray, limit: float) -> bool:
        """Return whether the relative errors of the minimisers, in standard deviations, are within a limit.

        They are estimated as that of R and rho, times the trace of (R + a)^-1 once the diagonal of R + a is scaled
        to 1.

        Parameters
        ----------
        strengths : ndarray of shape (n_sets,)
            A strength of each set.
        limit : float
            The limit.
        """
        strength = strengths[:, np.newaxis]
        inflation = self.factored.inflation(self.second.diagonal(axis1=1, axis2=2) + strength, strength)
        is_within = (self.precision * inflation <= limit) & self.has_digits(strength)[:, 0]
        return all(
            self.precision[number] * Factor.of(self._scaled(number, strengths[number])[0]).inflation <= limit
            for number in np.flatnonzero(~is_within).tolist()
        )

    def has_digits(self, strengths: NDArray) -> NDArray:
        """Return for which strengths, of shape (n_sets, n_strengths), each lambda + a has enough digits."""
        rounding = self.joint.shape[1] * np.finfo(float).eps * self.factored.most
        return rounding[:, np.newaxis] < REFINED * (self.factored.least[:, np.newaxis] + strengths)

    def _scaled(self, number: int, strength: float) -> tuple[NDArray, NDArray]:
        """Return R + a of a set with its diagonal scaled to 1, and the scale as a column."""
        scale = np.sqrt(np.diagonal(self.second[number]) + strength)[:, np.newaxis]
        matrix = self.second[number] / (scale * scale.T)
        matrix.flat[:: len(matrix) + 1] = 1.0
        return matrix, scale
