"""The ladder of learning rates: from one number to a matrix.

Every epoch steps down `rate * metric(gradient)`. A number multiplies the raw gradient;
one number per feature is the unit-curvature coordinates, in which the metric is the identity again;
the inverse of the curvature is a matrix, held as a basis B in which the curvature is 1::

    H / 2 = R + penalty,    P = H^-1 = B B' / 2

That is for squared error, of curvature 2. A loss of curvature c takes steps 2 / c as long.

With an intercept the coordinates is centred, so its coordinate stands alone, with the curvature 2.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import lapack

from gdregress.problem.coordinates import Coordinates
from gdregress.problem.objectives import MomentObjective
from gdregress.problem.penalties import Penalty
from gdregress.rows.moments import Moments
from gdregress.rows.rows import Rows, Sums

CLEAR = 1e-7
"""Share of the largest eigenvalue of products above which the others are known to enough digits."""

LARGE = 256
"""Columns from which on it pays to try for directions that are clear."""

FAINT = 1e-12
"""Curvature that L2 adds to a coordinate, up to which rounding of the data may be more."""


class Preconditioner(Protocol):
    """What a gradient g is multiplied by, beside the rate: P."""

    def __call__(self, gradient: NDArray) -> NDArray:
        """Return P g."""
        ...

    def root(self, gradient: NDArray) -> NDArray:
        """Return C g for a root C of P: its squared length is g' P g."""
        ...

    def prox(self, penalty: Penalty, point: NDArray, rate: float) -> NDArray:
        """Return the prox of a penalty at a point, for steps of `rate` times P."""
        ...

    def inverse(self, step: NDArray) -> NDArray:
        """Return the gradient g of a step P g."""
        ...


@dataclass(frozen=True)
class Scalar:
    """A single number for all coordinates.

    Attributes
    ----------
    scale : float
        The number.
    """

    scale: float = 1.0

    def __call__(self, gradient: NDArray) -> NDArray:
        """Multiply a gradient."""
        return gradient if self.scale == 1.0 else self.scale * gradient

    def root(self, gradient: NDArray) -> NDArray:
        """Multiply a gradient by the root of the number."""
        return np.sqrt(self.scale) * gradient

    def prox(self, penalty: Penalty, point: NDArray, rate: float) -> NDArray:
        """Return the prox of a penalty, coordinate by coordinate."""
        return penalty.prox(point, rate * self.scale)

    def inverse(self, step: NDArray) -> NDArray:
        """Divide a step by the number."""
        return step / self.scale


identity = Scalar()
"""Preconditioner of the raw coordinates."""

half = Scalar(0.5)
"""In the unit-curvature coordinates, for squared error: the inverse of each coordinate's own curvature."""


class Matrix:
    """What a matrix of preconditioning has not: a prox, coordinate by coordinate, and a need for its inverse."""

    def prox(self, penalty: Penalty, point: NDArray, rate: float) -> NDArray:
        """Return the point itself: of a smooth penalty that is the prox.

        Raises
        ------
        TypeError
            If the penalty is not smooth.
        """
        if not penalty.is_smooth:
            raise TypeError("a matrix as preconditioner has no prox of L1 or signs: use Scalar, or Newton's steps.")
        return point

    def inverse(self, step: NDArray) -> NDArray:
        """Refuse: only a prox asks for the gradient of a step.

        Raises
        ------
        TypeError
            Always.
        """
        raise TypeError("the inverse of a matrix as preconditioner is not known: only a prox would need it.")


@dataclass(frozen=True)
class Raised:
    """A singular preconditioner and half the identity: what the first does not see, the second does.

    Attributes
    ----------
    singular : InverseHessian
        The first.
    """

    singular: "InverseCurvature"

    def __call__(self, gradient: NDArray) -> NDArray:
        """Multiply a gradient."""
        return self.singular(gradient) + half(gradient)


@dataclass(frozen=True)
class InverseHessian(Matrix):
    """Metric of the inverse curvature in the unit-curvature coordinates.

    Attributes
    ----------
    basis : ndarray of shape (n_features, rank)
        B; its columns span the directions in which the data vary.
    inflation : float
        Trace of the inverse of R, the sum of the variance inflation factors: by how much
        the metric enlarges an error of the moments, and a bound on the condition of R / p.
    """

    basis: NDArray
    inflation: float

    @property
    def is_singular(self) -> bool:
        """Whether there are directions in which nothing moves."""
        return self.basis.shape[1] < len(self.basis)

    def __call__(self, gradient: NDArray) -> NDArray:
        """Multiply a gradient by P."""
        p = len(self.basis)
        along_z = gradient[:p].astype(np.float64, copy=False)
        step = 0.5 * gradient
        step[:p] = self.basis @ (self.basis.T @ along_z) * 0.5
        return step

    def enlarged(self, factor: float) -> "InverseHessian":
        """Give `factor` times this metric of the coefficients, and at least this of the intercept."""
        return self if factor == 1.0 else replace(self, basis=np.sqrt(factor) * self.basis)

    def root(self, gradient: NDArray) -> NDArray:
        """Multiply a gradient by a root of P: its squared length is then g' P g."""
        p = len(self.basis)
        return np.sqrt(0.5) * np.vstack([self.basis.T @ gradient[:p], gradient[p:]])

    @classmethod
    def from_quadratic(
        cls, quadratic: MomentObjective, coordinates: Coordinates, *, is_own: bool = True
    ) -> "InverseHessian | None":
        """Factor the second derivatives of squared error (Cholesky); None where they are not positive definite.

        Parameters
        ----------
        quadratic : MomentObjective
            In the unit-curvature coordinates, L2 included.
        coordinates : Coordinates
            That coordinates.
        is_own : bool, default=True
            Whether the coordinates was made from these moments: each coordinate has the curvature 1 then, to the bit.
        """
        correlation, moves = quadratic.products(), coordinates.inverse_scale > 0
        diagonal = 1.0 if is_own else np.where(moves, np.diagonal(correlation), 1.0)
        correlation.flat[:: len(correlation) + 1] = diagonal
        lower, info = lapack.dpotrf(correlation, lower=1, clean=1, overwrite_a=1)
        if info:
            return None
        inverse, info = lapack.dtrtri(lower, lower=1, overwrite_c=1)
        if info:
            return None
        return cls(inverse.T * moves[:, np.newaxis], float(np.vdot(inverse, inverse)))

    @classmethod
    def from_spectrum(cls, quadratic: MomentObjective, coordinates: Coordinates, rounding: float) -> "InverseHessian":
        """Factor the second derivatives of squared error where they may be singular: eigenvectors.

        A direction whose curvature rounding alone could have made is dropped: along it nothing moves.

        Parameters
        ----------
        quadratic : MomentObjective
            In the unit-curvature coordinates, L2 included.
        coordinates : Coordinates
            That coordinates.
        rounding : float
            Relative error of the moments.
        """
        p = len(coordinates.center)
        squared, directions = np.linalg.eigh(quadratic.products())
        kept = squared > p * rounding * max(1.0, squared[-1]) if p else squared > 0
        return cls(directions[:, kept] / np.sqrt(squared[kept]), float((1 / squared[kept]).sum()))

    @classmethod
    def from_rows(
        cls, rows: Rows, moments: Moments, coordinates: Coordinates, alpha: float
    ) -> "InverseHessian | WideInverseHessian":
        """Factor the rows themselves: a QR of the standardised columns, then an SVD of its triangle.

        The triangle is accumulated block by block, so X is neither copied nor squared. A singular
        value is dropped where rounding alone could have made it, that of the numbers in X along
        its direction and that of the factorisation: along collinear columns nothing moves, and
        the minimum-norm answer in the coordinates's coordinates is what remains.

        Parameters
        ----------
        rows : Rows
            X and the weights.
        moments : Moments
            Means and variances of the columns.
        coordinates : Coordinates
            The unit-curvature coordinates.
        alpha : float
            Strength of the penalty.
        """
        n, p = rows.n_samples, rows.n_features
        moving = coordinates.inverse_scale[coordinates.inverse_scale > 0]
        if n <= p and (alpha * moving**2 > FAINT).all() and moving.size:
            return WideInverseHessian.from_rows(rows, coordinates, alpha)
        triangle = rows.sum(partial(_Triangle, coordinates, rows.total_weight), min_rows=4 * p)
        factor = triangle.factor
        if alpha > 0 and n > p:
            factor = np.vstack([factor, np.diag(np.sqrt(alpha) * coordinates.inverse_scale)])
        singular, directions = _directions(factor)
        size = np.hypot(moments.x.deviation, moments.x.mean) * coordinates.inverse_scale
        of_data = 4 * np.finfo(rows.dtype).eps * np.linalg.norm(directions * size[:, np.newaxis], axis=0)
        of_factor = np.finfo(np.float64).eps * (4 + n**0.5) * np.linalg.norm(singular)
        kept = singular > of_data + of_factor
        basis = directions[:, kept] / singular[kept]
        return cls(basis, float((1 / singular[kept] ** 2).sum()))


@dataclass(frozen=True)
class WideInverseHessian(Matrix):
    """The same of few rows and L2, by the identity of Sherman, Morrison and Woodbury: no matrix of all features.

    With A the diagonal that L2 adds to R, and U' s V' the singular values of the rows times A^-1/2::

        2 P  =  A^-1/2 (I - V V' + V diag(1 / (1 + s^2)) V') A^-1/2

    Attributes
    ----------
    directions : ndarray of shape (n_features, n_samples)
        V.
    singular : ndarray of shape (n_samples,)
        s.
    reach : ndarray of shape (n_features,)
        Diagonal of A^-1/2; 0 for a column that does not vary.
    """

    directions: NDArray
    singular: NDArray
    reach: NDArray
    is_singular = False

    @classmethod
    def from_rows(cls, rows: Rows, coordinates: Coordinates, alpha: float) -> "WideInverseHessian":
        """Factor the rows, which are made dense."""
        moves = coordinates.inverse_scale > 0
        reach = np.divide(1.0, np.sqrt(alpha) * coordinates.inverse_scale, out=np.zeros(len(moves)), where=moves)
        triangle = rows.sum(partial(_Triangle, coordinates, rows.total_weight), min_rows=rows.n_samples)
        singular, directions = _directions(triangle.factor * reach)
        return cls(directions, singular, reach)

    @property
    def inflation(self) -> float:
        """Trace of the inverse of R + A."""
        shrunk = self.singular**2 / (1.0 + self.singular**2)
        along = np.square(self.directions * self.reach[:, np.newaxis]).sum(axis=0)
        return float(np.square(self.reach).sum() - shrunk @ along)

    def __call__(self, gradient: NDArray) -> NDArray:
        """Multiply a gradient by P."""
        p, step = len(self.reach), 0.5 * gradient
        along = self._shrink(step[:p], 1.0 / (1.0 + self.singular**2))
        step[:p] = along * self.reach[:, np.newaxis]
        return step

    def root(self, gradient: NDArray) -> NDArray:
        """Multiply a gradient by a root of P: its squared length is then g' P g."""
        p, step = len(self.reach), np.sqrt(0.5) * gradient
        step[:p] = self._shrink(step[:p], 1.0 / np.sqrt(1.0 + self.singular**2))
        return step

    def _shrink(self, gradient: NDArray, share: NDArray) -> NDArray:
        """Multiply by A^-1/2, and what then lies along V by `share`; the rest is freed of that twice, to be sure."""
        along = gradient.astype(np.float64, copy=False) * self.reach[:, np.newaxis]
        inside = self.directions.T @ along
        outside = along - self.directions @ inside
        outside -= self.directions @ (self.directions.T @ outside)
        return outside + self.directions @ (share[:, np.newaxis] * inside)


InverseCurvature = InverseHessian | WideInverseHessian


def _directions(factor: NDArray) -> tuple[NDArray, NDArray]:
    """Give the singular values and, as columns, the right singular vectors of a matrix.

    Those of a large or a wide one come from the products of its columns, or its rows if these are fewer, where each
    direction holds either nothing but rounding or far more: that takes a third of the time. Else a wide one is
    factored by QR first.
    """
    n, p = factor.shape
    narrow = factor if n >= p else factor.T
    if n < p or p >= LARGE:
        squared, rotation = np.linalg.eigh(narrow.T @ narrow)
        images = narrow @ rotation
        singular, largest = np.linalg.norm(images, axis=0), np.sqrt(max(squared[-1], 0.0))
        is_rounding = singular <= len(squared) * np.finfo(np.float64).eps * largest
        if (is_rounding | (squared > CLEAR * squared[-1])).all():
            kept, singular = ~is_rounding, singular[~is_rounding]
            return singular, rotation[:, kept] if n >= p else images[:, kept] / singular
    if n >= p:
        _, singular, directions = np.linalg.svd(factor, full_matrices=False)
        return singular, directions.T
    orthogonal, triangle = np.linalg.qr(factor.T)
    rotation, singular, _ = np.linalg.svd(triangle)
    return singular, orthogonal @ rotation


class _Triangle(Sums):
    """The triangular factor of the rows in a coordinates, accumulated block by block.

    Blocks of CSR, which may span many rows, are made dense a few rows at a time.
    """

    def __init__(self, coordinates: Coordinates, total_weight: float):
        self._coordinates = coordinates
        self._total_weight = total_weight
        self.factor = np.empty((0, len(coordinates.center)))

    def add(self, X, y, weight):
        step = 4 * X.shape[1] if sparse.issparse(X) else X.shape[0]
        for start in range(0, X.shape[0], step):
            rows = slice(start, start + step)
            block = X[rows].toarray() if sparse.issparse(X) else X
            block = (block - self._coordinates.center) * self._coordinates.inverse_scale
            share = 1.0 if weight is None else weight[rows, np.newaxis]
            self._stack(np.sqrt(share / self._total_weight) * block)

    def merge(self, other):
        self._stack(other.factor)

    def _stack(self, block):
        self.factor = np.vstack([self.factor, block])
        if self.factor.shape[0] > self.factor.shape[1]:
            self.factor = np.linalg.qr(self.factor, mode="r")
