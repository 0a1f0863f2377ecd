"""The spectrum of second moments, and how much of an objective their rounding hides.

Sums of products know the covariances R of the columns, and their covariances rho with y, up to rounding errors E and e.
Where the rows are gone, no residual is at hand to correct them.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from gdregress.problem.coordinates import Coordinates
from gdregress.problem.objectives import MomentObjective
from gdregress.rows.moments import Moments

OF_DATA = 4.0
"""Multiple of the rounding of the numbers in X up to which a spread may be rounding alone."""


@dataclass(frozen=True)
class Spectrum:
    """The eigenvectors d of H / 2 = R + penalty, and the rounding of the moments.

    With eps the relative error of a moment and n rows, errors along any d stay within ::

        |d' (E z - e)|  <=  eps max(sqrt n, p) (1 + |z|)
        |d' E d|        <=  eps max(sqrt n, p lambda_max)

    The first factor covers a sum of n terms whose roundings are independent, the second the eigenvectors themselves.

    Attributes
    ----------
    values : ndarray of shape (n_features,)
        Eigenvalues lambda, ascending.
    vectors : ndarray of shape (n_features, n_features)
        Eigenvectors, the columns.
    joint : ndarray of shape (n_features, n_outputs)
        rho.
    rounding : float
        eps.
    of_data : ndarray of shape (n_features,)
        Rounding of the numbers in X along each eigenvector, as a root mean square.
    n_samples : int
        n.
    ridge : float
        The least curvature that the penalty adds along any direction, over 2.
    """

    values: NDArray
    vectors: NDArray
    joint: NDArray
    rounding: float
    of_data: NDArray
    n_samples: int
    ridge: float

    @classmethod
    def of(cls, quadratic: MomentObjective, moments: Moments, coordinates: Coordinates, precision: np.dtype) -> Self:
        """Return the spectrum of a quadratic in the unit-curvature coordinates.

        Parameters
        ----------
        quadratic : MomentObjective
            Squared error and L2.
        moments : Moments
            The moments that it was made from.
        coordinates : Coordinates
            The unit-curvature coordinates.
        precision : dtype
            Floating type of the numbers in X.
        """
        values, vectors = np.linalg.eigh(quadratic.products())
        size = np.hypot(moments.x.deviation, moments.x.mean) * coordinates.inverse_scale
        of_data = np.finfo(precision).eps * np.linalg.norm(vectors * size[:, np.newaxis], axis=0)
        ridge = 0.5 * float(quadratic.penalty.l2.min()) if len(values) else 0.0
        return cls(values, vectors, quadratic.joint, moments.error(1.0), of_data, moments.n_samples, ridge)

    @property
    def largest(self) -> float:
        """The largest eigenvalue, but at least 1, the size of the entries of R."""
        return float(self.values.max(initial=1.0))

    @property
    def is_kept(self) -> NDArray:
        """Whether an eigenvalue is more than rounding alone, so that a step along its eigenvector may gain."""
        return self._is_above(len(self.values) * self.rounding * self.largest)

    def _is_above(self, resolution: float) -> NDArray:
        """Return whether an eigenvalue is above a resolution, and above what rounding of the numbers in X may make."""
        return self.values > np.maximum(resolution, (OF_DATA * self.of_data) ** 2)

    def hidden(self, z: NDArray, gradient: NDArray, subgradient: NDArray, value: NDArray) -> NDArray:
        """Return a bound on the gap F - min F of the rows themselves, for points side by side.

        With g the subgradient, and with the errors above, the gap of the rows is at most ::

            sum_d (|d'g| + 2 noise)^2 / (4 least),    least = max(lambda - resolution, ridge)

        over those d whose curvature the moments resolve. Any other d may have hardly any. If d'rho is rounding, then
        such a d is a combination of columns that is constant, and nothing is to be gained along it. Otherwise columns
        differ along d, and only F itself bounds the gap, unless the subgradient of L1 or of a sign balances d'rho. The
        moments know F up to ``noise (1 + |z|)``.

        Parameters
        ----------
        z : ndarray of shape (n_features, n_points * n_outputs)
            Coefficients of the points.
        gradient, subgradient : ndarray of shape (n_features, n_points * n_outputs)
            Gradient of the smooth part with respect to z, and the shortest subgradient of F.
        value : ndarray of shape (n_points * n_outputs,)
            F.

        Returns
        -------
        ndarray of shape (n_points * n_outputs,)
            The bounds.
        """
        p, length = len(self.values), 1.0 + np.linalg.norm(z, axis=0)
        eps = self.rounding * max(self.n_samples**0.5, p)
        resolution = self.rounding * max(self.n_samples**0.5, p * self.largest)
        curved = self._is_above(resolution)
        slope = np.abs(self.vectors[:, curved].T @ subgradient) + 2.0 * eps * length
        least = np.maximum(self.values[curved] - resolution, self.ridge)[:, np.newaxis]
        bound, largest = (slope**2 / (4.0 * least)).sum(axis=0), value + eps * length**2
        flat = self.vectors[:, ~curved].T
        joint = np.tile(flat @ self.joint, z.shape[1] // self.joint.shape[1])
        balance = flat @ (subgradient - gradient)
        noise = eps + self.of_data[~curved, np.newaxis] / self.n_samples**0.5  # rounding that is independent of y
        is_lost = (np.abs(joint) > noise) & (
            np.abs(balance - 2.0 * joint) > 2.0 * (noise + eps * length * (balance != 0))
        )
        return np.where(is_lost.any(axis=0), largest, np.minimum(bound, largest))
