"""Squared error plus L2 for every strength, from the eigenvectors of one matrix."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from gdregress.problem.coordinates import Coordinates
from gdregress.problem.systems import Factor
from gdregress.rows.moments import Moments

REFINED = 1e-3
"""Largest relative error of a solution from the eigenvectors for which one step of refinement is enough."""


class Ridge(NamedTuple):
    """The minimisers of mean squared error + a |z|_2^2 for every strength a, over several sets of rows side by side.

    With R the covariances of X in the coordinates z, rho those of X and y, and R = Q diag(lambda) Q'::

        z_a  =  Q (Q' rho / (lambda + a))
        z_a <-  z_a + Q (Q' (rho - R z_a - a z_a) / (lambda + a))

    The second line is a step of refinement. Where a lambda is so small that it has no digits, and a is no larger, a
    Cholesky factor for each a takes the place of the eigenvectors. It loses nothing to columns of different units.

    Attributes
    ----------
    second : ndarray of shape (n_sets, n_features, n_features)
        R, with 1 on the diagonal for a column that does not vary.
    joint : ndarray of shape (n_sets, n_features, n_outputs)
        rho.
    curvature : ndarray of shape (n_sets, n_features)
        lambda, ascending.
    vectors : ndarray of shape (n_sets, n_features, n_features)
        Q.
    precision : ndarray of shape (n_sets,)
        Relative error of R and rho in units of the standard deviations.
    """

    second: NDArray
    joint: NDArray
    curvature: NDArray
    vectors: NDArray
    precision: NDArray

    @classmethod
    def of(cls, sets: Sequence[tuple[Moments, Coordinates]]) -> "Ridge":
        """Compute the eigenvectors.

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
        curvature, vectors = np.linalg.eigh(second)
        precision = np.array([moments.error(1.0) for moments, _ in sets])
        return cls(second, joint, np.maximum(curvature, 0.0), vectors, precision)

    def minimisers(self, strengths: NDArray) -> NDArray | None:
        """Return the minimisers, of shape (n_sets, n_features, n_strengths, n_outputs).

        None if R + a is singular up to rounding for one of them.

        Parameters
        ----------
        strengths : ndarray of shape (n_sets, n_strengths)
            Strengths for each set.
        """
        z = self._from_vectors(strengths)
        for number, place in np.argwhere(~self.has_digits(strengths)).tolist():
            scaled, scale = self._scaled(number, strengths[number, place])
            _, solution, info = lapack.dposv(scaled, self.joint[number] / scale, lower=1)
            if info:
                return None
            z[number, :, place] = solution / scale
        return z

    def error(self, strengths: NDArray) -> NDArray:
        """Estimate the relative errors of the minimisers for a strength of each set, in units of standard deviations.

        It is that of R and rho, times the trace of (R + a)^-1 once the diagonal of R + a is scaled to 1.
        """
        strength = strengths[:, np.newaxis]
        inverse = (np.square(self.vectors) @ (1.0 / (self.curvature + strength))[:, :, np.newaxis])[:, :, 0]
        error = (inverse * (self.second.diagonal(axis1=1, axis2=2) + strength)).sum(axis=1)
        for number in np.flatnonzero(~self.has_digits(strength)).tolist():
            error[number] = Factor.of(self._scaled(number, strengths[number])[0]).inflation
        return self.precision * error

    def has_digits(self, strengths: NDArray) -> NDArray:
        """Return for which strengths, of shape (n_sets, n_strengths), each lambda + a has enough digits."""
        rounding = self.joint.shape[1] * np.finfo(float).eps * self.curvature.max(axis=1, initial=0.0)
        return rounding[:, np.newaxis] < REFINED * (self.curvature.min(axis=1, initial=1.0)[:, np.newaxis] + strengths)

    def _from_vectors(self, strengths: NDArray) -> NDArray:
        n_sets, p, n_outputs = self.joint.shape
        strength = np.repeat(strengths, n_outputs, axis=1)[:, np.newaxis]
        joint, across = np.tile(self.joint, strengths.shape[1]), self.vectors.transpose(0, 2, 1)
        inverse = 1.0 / (self.curvature[:, :, np.newaxis] + strength)
        z = self.vectors @ (across @ joint * inverse)
        residual = joint - self.second @ z - strength * z
        z += self.vectors @ (across @ residual * inverse)
        return z.reshape(n_sets, p, -1, n_outputs)

    def _scaled(self, number: int, strength: float) -> tuple[NDArray, NDArray]:
        """Return R + a of a set with its diagonal scaled to 1, and the scale as a column."""
        scale = np.sqrt(np.diagonal(self.second[number]) + strength)[:, np.newaxis]
        matrix = self.second[number] / (scale * scale.T)
        matrix.flat[:: len(matrix) + 1] = 1.0
        return matrix, scale
