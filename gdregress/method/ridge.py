"""Squared error plus L2 for every strength, from the eigenvectors of one matrix."""

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
    """The minimisers of mean squared error + a |z|_2^2 for every strength a.

    With R the covariances of X in the coordinates z, rho those of X and y, and R = Q diag(lambda) Q'::

        z_a  =  Q (Q' rho / (lambda + a))
        z_a <-  z_a + Q (Q' (rho - R z_a - a z_a) / (lambda + a))

    The second line is a step of refinement. Where a lambda is so small that it has no digits, and a is no larger, a
    Cholesky factor for each a takes the place of the eigenvectors. It loses nothing to columns of different units.

    Attributes
    ----------
    second : ndarray of shape (n_moving, n_moving)
        R, of the columns that vary.
    joint : ndarray of shape (n_moving, n_outputs)
        rho.
    curvature : ndarray of shape (n_moving,)
        lambda, ascending.
    vectors : ndarray of shape (n_moving, n_moving)
        Q.
    moves : ndarray of bool, of shape (n_features,)
        Whether a column varies.
    precision : float
        Relative error of R and rho in units of the standard deviations.
    """

    second: NDArray
    joint: NDArray
    curvature: NDArray
    vectors: NDArray
    moves: NDArray
    precision: float

    @classmethod
    def of(cls, moments: Moments, coordinates: Coordinates) -> "Ridge":
        """Compute the eigenvectors.

        Parameters
        ----------
        moments : Moments
            Moments with covariances; about the origin for a model without intercept.
        coordinates : Coordinates
            Coordinates in which the penalty is the same for each coefficient.
        """
        second, joint = covariances(moments, coordinates)
        moves = coordinates.inverse_scale > 0
        if not moves.all():
            second, joint = second[np.ix_(moves, moves)], joint[moves]
        curvature, vectors = np.linalg.eigh(second)
        return cls(second, joint, np.maximum(curvature, 0.0), vectors, moves, moments.error(1.0))

    def minimisers(self, strengths: NDArray) -> NDArray | None:
        """Return the minimisers for some strengths, of shape (n_features, n_strengths, n_outputs).

        None if R + a is singular up to rounding for one of them.
        """
        z = np.zeros((len(self.moves), len(strengths), self.joint.shape[1]))
        within = np.empty((len(self.joint), *z.shape[1:]))
        apart = self._has_digits(strengths)
        within[:, apart] = self._from_vectors(strengths[apart])
        for place in np.flatnonzero(~apart):
            scaled, scale = self._scaled(strengths[place])
            _, solution, info = lapack.dposv(scaled, self.joint / scale, lower=1)
            if info:
                return None
            within[:, place] = solution / scale
        z[self.moves] = within
        return z

    def error(self, strength: float) -> float:
        """Estimate the relative error of the minimiser for a strength, in units of the standard deviations.

        It is that of R and rho, times the trace of (R + a)^-1 once the diagonal of R + a is scaled to 1.
        """
        if not len(self.joint):
            return 0.0
        if self._has_digits(np.array([strength]))[0]:
            inverse = np.square(self.vectors) @ (1.0 / (self.curvature + strength))
            return self.precision * float(inverse @ (np.diagonal(self.second) + strength))
        return self.precision * Factor.of(self._scaled(strength)[0]).inflation

    def is_precise(self, strengths: NDArray) -> bool:
        """Return whether the eigenvalues have enough digits for some strengths."""
        return bool(self._has_digits(strengths).all())

    def _has_digits(self, strengths: NDArray) -> NDArray:
        """Return for which strengths each lambda + a has enough digits."""
        rounding = len(self.joint) * np.finfo(float).eps * self.curvature.max(initial=0.0)
        return rounding < REFINED * (self.curvature.min(initial=1.0) + strengths)

    def _from_vectors(self, strengths: NDArray) -> NDArray:
        n_outputs = self.joint.shape[1]
        strength, joint = np.repeat(strengths, n_outputs), np.tile(self.joint, len(strengths))
        inverse = 1.0 / (self.curvature[:, np.newaxis] + strength)
        z = self.vectors @ (self.vectors.T @ joint * inverse)
        residual = joint - self.second @ z - strength * z
        z += self.vectors @ (self.vectors.T @ residual * inverse)
        return z.reshape(len(z), len(strengths), n_outputs)

    def _scaled(self, strength: float) -> tuple[NDArray, NDArray]:
        """Return R + a with its diagonal scaled to 1, and the scale as a column."""
        scale = np.sqrt(np.diagonal(self.second) + strength)[:, np.newaxis]
        matrix = self.second / (scale * scale.T)
        matrix.flat[:: len(matrix) + 1] = 1.0
        return matrix, scale


def covariances(moments: Moments, coordinates: Coordinates) -> tuple[NDArray, NDArray]:
    """Return the covariances of X, and those of X and y, in some coordinates."""
    assert moments.cross is not None, "the products are gathered"
    unit = (moments.x.unit * coordinates.inverse_scale)[:, np.newaxis]
    return moments.cross * unit * unit.T, moments.target_cross * unit * (moments.y.unit / coordinates.target_scale)
