"""Preconditioners P, from one number to a matrix: the ladder of learning rates.

Every epoch steps down ``eta P g``. On the rungs "float" and "lipschitz", P is 1 in raw coordinates. On "diagonal" it is
1 again, but in the unit-curvature coordinates: that is one number for each feature. On "curvature" P is the inverse
Hessian of squared error, of which a basis B is stored::

    H / 2 = R + penalty,    P = H^-1 = B B' / 2

A loss of curvature c, in place of 2, takes steps 2 / c times as long.

With an intercept the unit-curvature coordinates are centred. The intercept is then a coordinate of curvature 2 that no
other depends on, so B leaves it out.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import lapack, solve_triangular

from gdregress.problem.coordinates import Coordinates
from gdregress.problem.objectives import MomentObjective
from gdregress.problem.spectrum import Spectrum
from gdregress.rows.moments import Moments
from gdregress.rows.namespaces import cast, namespace
from gdregress.rows.rows import Rows
from gdregress.rows.sums import Sums

ENOUGH_DIGITS = 1e-7
"""Share of the largest eigenvalue of a Gram matrix above which the others have enough digits."""

EIGENVECTORS_FIRST = 256
"""Number of columns from which eigenvectors of a Gram matrix are tried before a singular value decomposition."""

NORM_FACTOR = 3.0
"""Factor on LAPACK's estimate of the norm of an inverse, which is seldom less than a third of the norm."""

OUTSIDE = 2e-15
"""Share of a gradient up to which its part outside of the row space is rounding."""


class Preconditioner(Protocol):
    """The matrix P by which gradients g are multiplied, besides the rate."""

    def __call__(self, gradient: NDArray) -> NDArray:
        """Return P g."""
        ...

    def root(self, gradient: NDArray) -> NDArray:
        """Return C g, where C' C = P: its squared length is g' P g."""
        ...


@dataclass(frozen=True)
class Scalar:
    """A multiple of the identity.

    Attributes
    ----------
    scale : float, default=1.0
        The multiple.
    """

    scale: float = 1.0

    def __call__(self, gradient: NDArray) -> NDArray:
        """Return P g."""
        return gradient if self.scale == 1.0 else self.scale * gradient

    def root(self, gradient: NDArray) -> NDArray:
        """Return C g, where C' C = P."""
        return np.sqrt(self.scale) * gradient


identity = Scalar()
"""P of every rung but "curvature"."""

half = Scalar(0.5)
"""Inverse of the diagonal of H, for squared error in the unit-curvature coordinates."""


@dataclass(frozen=True)
class Raised:
    """The sum of a singular inverse Hessian and `half`, which measures the directions that the first ignores.

    Attributes
    ----------
    singular : InverseCurvature
        The singular inverse Hessian.
    """

    singular: "InverseCurvature"

    def __call__(self, gradient: NDArray) -> NDArray:
        """Return P g."""
        return self.singular(gradient) + half(gradient)


@dataclass(frozen=True)
class InverseHessian:
    """The inverse Hessian of squared error and L2, in the unit-curvature coordinates.

    Attributes
    ----------
    basis : ndarray of shape (n_features, rank)
        B; its columns span the directions in which the data vary.
    inflation : float
        Trace of (R + penalty)^-1; without a penalty, the sum of the variance inflation factors. It is the factor by
        which P enlarges an error of the moments, and bounds the condition number of R over p.
    """

    basis: NDArray
    inflation: float

    @property
    def is_singular(self) -> bool:
        """Whether P is 0 along some directions."""
        return self.basis.shape[1] < len(self.basis)

    def __call__(self, gradient: NDArray) -> NDArray:
        """Return P g."""
        p = len(self.basis)
        along_z = gradient[:p].astype(np.float64, copy=False)
        step = 0.5 * gradient
        step[:p] = self.basis @ (self.basis.T @ along_z) * 0.5
        return step

    def enlarged(self, factor: float) -> "InverseHessian":
        """Return the preconditioner with `factor` times P for the coefficients, and the same P for the intercept."""
        return self if factor == 1.0 else replace(self, basis=np.sqrt(factor) * self.basis)

    def root(self, gradient: NDArray) -> NDArray:
        """Return C g, where C' C = P."""
        p = len(self.basis)
        return np.sqrt(0.5) * np.vstack([self.basis.T @ gradient[:p], gradient[p:]])

    @classmethod
    def from_quadratic(
        cls, quadratic: MomentObjective, coordinates: Coordinates, *, is_own: bool = True
    ) -> "InverseHessian | None":
        """Make P from a Cholesky factor of H / 2, or return None where H is not positive definite.

        Parameters
        ----------
        quadratic : MomentObjective
            Squared error and L2, in the unit-curvature coordinates.
        coordinates : Coordinates
            The unit-curvature coordinates.
        is_own : bool, default=True
            Whether the coordinates were made from the moments of `quadratic`. If so, the diagonal of H / 2 is 1 up to
            rounding, and is set to exactly 1.
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
    def from_spectrum(cls, spectrum: Spectrum) -> "InverseHessian":
        """Make P from the eigenvectors of H / 2, which may be singular.

        Eigenvectors whose eigenvalue may be rounding alone are dropped; P is 0 along them.

        Parameters
        ----------
        spectrum : Spectrum
            Eigenvectors of H / 2 in the unit-curvature coordinates.
        """
        kept = spectrum.is_kept
        squared = spectrum.values[kept]
        return cls(spectrum.vectors[:, kept] / np.sqrt(squared), float((1 / squared).sum()))

    @classmethod
    def from_rows(
        cls, rows: Rows, moments: Moments, coordinates: Coordinates, alpha: float
    ) -> "InverseHessian | WideInverseHessian":
        """Make P from a QR factorisation of the standardised columns and an SVD of its triangle.

        The triangle is accumulated block by block, so X is neither copied nor squared. A singular value is dropped
        where it may be rounding alone: that of the numbers in X along its direction, plus that of the factorisation.
        Along collinear columns P is 0, so a descent from zero ends at the minimum of least norm in these coordinates.

        Parameters
        ----------
        rows : Rows
            X and the weights.
        moments : Moments
            Means and variances of the columns.
        coordinates : Coordinates
            The unit-curvature coordinates.
        alpha : float
            Strength of L2, relative to the loss.
        """
        n, p = rows.n_samples, rows.n_features
        moving = coordinates.inverse_scale[coordinates.inverse_scale > 0]
        if n <= p and alpha > 0 and moving.size:
            return WideInverseHessian.from_rows(rows, coordinates, alpha)
        triangle = rows.sum(partial(_Triangle, coordinates, rows.total_weight), min_rows=4 * p, work=p)
        factor = triangle.factor
        if alpha > 0 and n > p:
            factor = np.vstack([factor, np.diag(np.sqrt(alpha) * coordinates.penalized * coordinates.inverse_scale)])
        singular, directions = _directions(factor)
        kept = singular > most_of_rounding(rows, moments, coordinates, directions, float(np.linalg.norm(singular)))
        basis = directions[:, kept] / singular[kept]
        return cls(basis, float((1 / singular[kept] ** 2).sum()))


@dataclass(frozen=True)
class WideInverseHessian:
    """The inverse Hessian of squared error and L2 for few rows, without a matrix of n_features^2 numbers.

    It follows from the identity of Sherman, Morrison and Woodbury. L2 adds the diagonal a D^-2 to R. With U diag(s) V'
    the singular value decomposition of the standardised rows times D::

        2 P  =  D ((I - V V') / a + V diag(1 / (a + s^2)) V') D

    D is the scale of the columns, in the units in which they are penalised, relative to the largest. So a may be as
    small as floats allow.

    Attributes
    ----------
    directions : ndarray of shape (n_features, rank)
        V.
    singular : ndarray of shape (rank,)
        s.
    reach : ndarray of shape (n_features,)
        D; 0 for a column that does not vary.
    ridge : float
        a.
    """

    directions: NDArray
    singular: NDArray
    reach: NDArray
    ridge: float
    is_singular = False
    basis = None

    @classmethod
    def from_rows(cls, rows: Rows, coordinates: Coordinates, alpha: float) -> "WideInverseHessian":
        """Make P from the rows, which are made dense, for a positive `alpha`."""
        reach, ridge = coordinates.reach(alpha)
        make = partial(_Triangle, coordinates, rows.total_weight)
        triangle = rows.sum(make, min_rows=rows.n_samples, work=rows.n_samples)
        singular, directions = _directions(triangle.factor * reach)
        kept = singular > 8 * np.finfo(np.float64).eps * singular.max(initial=0.0)  # the others are rounding
        return cls(directions[:, kept], singular[kept], reach, max(ridge, np.finfo(np.float64).tiny))

    @property
    def inflation(self) -> float:
        """Trace of the inverse of R + A."""
        along = np.square(self.directions * self.reach[:, np.newaxis]).sum(axis=0)
        outside = max(float(np.square(self.reach).sum() - along.sum()), 0.0)
        return outside / self.ridge + float((along / (self.ridge + self.singular**2)).sum())

    def __call__(self, gradient: NDArray) -> NDArray:
        """Return P g."""
        p, step = len(self.reach), 0.5 * gradient
        inside, outside = self._parts(step[:p])
        along = outside / self.ridge + self.directions @ (inside.T / (self.ridge + self.singular**2)).T
        step[:p] = along * self.reach[:, np.newaxis]
        return step

    def root(self, gradient: NDArray) -> NDArray:
        """Return C g, where C' C = P."""
        p, step = len(self.reach), np.sqrt(0.5) * gradient
        inside, outside = self._parts(step[:p])
        share = np.sqrt(self.ridge + self.singular**2)
        step[:p] = outside / np.sqrt(self.ridge) + self.directions @ (inside.T / share).T
        return step

    def _parts(self, gradient: NDArray) -> tuple[NDArray, NDArray]:
        """Return V' D g, and the part of D g that is not along V.

        The part along V is subtracted from the rest twice, since rounding leaves some of it the first time. What it
        leaves then is no rest: divided by a small a it would be a large step.
        """
        along = gradient.astype(np.float64, copy=False) * self.reach[:, np.newaxis]
        inside = self.directions.T @ along
        outside = along - self.directions @ inside
        outside -= self.directions @ (self.directions.T @ outside)
        is_rounding = np.linalg.norm(outside, axis=0) <= OUTSIDE * np.linalg.norm(along, axis=0)
        return inside, np.where(is_rounding, 0.0, outside)


@dataclass(frozen=True)
class CholeskyFactor:
    """The inverse Hessian of squared error and L2 by a Cholesky factor, which is not inverted.

    For thousands of columns the inverse costs as much as the factor, and a conjugate gradient of few epochs multiplies
    by it a few times only::

        H / 2 = L L',    P = L'^-1 L^-1 / 2

    Attributes
    ----------
    lower : ndarray of shape (n_features, n_features)
        L, in the precision of the products of columns.
    moves : ndarray of bool, of shape (n_features,)
        Whether a column varies.
    inflation : float
        Cautious estimate of the largest eigenvalue of (R + penalty)^-1.
    factor : float, default=1.0
        Multiple of P for the coefficients.
    """

    lower: NDArray
    moves: NDArray
    inflation: float
    factor: float = 1.0
    is_singular = False
    basis = None

    @classmethod
    def from_quadratic(
        cls, quadratic: MomentObjective, coordinates: Coordinates, precision: type
    ) -> "CholeskyFactor | None":
        """Make P from H / 2, or return None where H is not positive definite, or is so by rounding alone.

        Parameters
        ----------
        quadratic : MomentObjective
            Squared error and L2, in the unit-curvature coordinates.
        coordinates : Coordinates
            The unit-curvature coordinates.
        precision : type
            Floating type of the factor.
        """
        correlation: NDArray = quadratic.products().astype(precision, copy=False).T
        moves = coordinates.inverse_scale > 0
        correlation.flat[:: len(correlation) + 1] += np.where(moves, 0.0, 1.0)
        norm = float(np.abs(correlation).sum(axis=0).max())
        factor, condition = (
            (lapack.spotrf, lapack.spocon) if precision is np.float32 else (lapack.dpotrf, lapack.dpocon)
        )
        lower, info = factor(correlation, lower=1, clean=0, overwrite_a=1)
        if info:
            return None
        share, _ = condition(lower, norm, uplo="L")
        return cls(lower, moves, NORM_FACTOR / (float(share) * norm)) if share > np.finfo(precision).eps else None

    def __call__(self, gradient: NDArray) -> NDArray:
        """Return P g."""
        p, step = len(self.lower), 0.5 * gradient
        step[:p] = self.factor * self._solved(step[:p])
        return step

    def enlarged(self, factor: float) -> "CholeskyFactor":
        """Return the preconditioner with `factor` times P for the coefficients, and the same P for the intercept."""
        return replace(self, factor=factor * self.factor)

    def root(self, gradient: NDArray) -> NDArray:
        """Return C g, where C' C = P."""
        p, root = len(self.lower), np.sqrt(0.5) * gradient
        moving = (root[:p] * self.moves[:, np.newaxis]).astype(self.lower.dtype)
        root[:p] = np.sqrt(self.factor) * solve_triangular(self.lower, moving, lower=True)
        return root

    def _solved(self, gradient: NDArray) -> NDArray:
        """Return (L L')^-1 g. A g near zero would vanish in single precision, so it is scaled."""
        size = np.abs(gradient).max(axis=0, initial=0.0)
        scale = np.where(size > 0, size, 1.0)
        solve = lapack.spotrs if self.lower.dtype == np.float32 else lapack.dpotrs
        solved, _ = solve(self.lower, (gradient / scale).astype(self.lower.dtype), lower=1)
        return solved * scale * self.moves[:, np.newaxis]


InverseCurvature = InverseHessian | WideInverseHessian | CholeskyFactor


def most_of_rounding(
    rows: Rows, moments: Moments, coordinates: Coordinates, directions: NDArray, norm: float
) -> NDArray:
    """Return the root mean squares of combinations of standardised columns up to which they may be rounding alone.

    Parameters
    ----------
    rows : Rows
        X and the weights.
    moments : Moments
        Means and variances of the columns.
    coordinates : Coordinates
        The unit-curvature coordinates.
    directions : ndarray of shape (n_features, n_combinations)
        The combinations, of length 1.
    norm : float
        Root mean square of the standardised rows.

    Returns
    -------
    ndarray of shape (n_combinations,)
        The rounding of the numbers in X along each direction, plus that of a factorisation of the rows.
    """
    size = np.hypot(moments.x.deviation, moments.x.mean) * coordinates.inverse_scale
    of_data = 4 * np.finfo(rows.dtype).eps * np.linalg.norm(directions * size[:, np.newaxis], axis=0)
    return of_data + np.finfo(np.float64).eps * (4 + rows.n_samples**0.5) * norm


def _directions(factor: NDArray) -> tuple[NDArray, NDArray]:
    """Return the singular values and, as columns, the right singular vectors of a matrix.

    For a large or a wide matrix, the eigenvectors of its smaller Gram matrix take a third of the time of an SVD. They
    are precise enough where every singular value is either only rounding or clearly above it. Otherwise a wide matrix
    is reduced by QR before its SVD.
    """
    n, p = factor.shape
    narrow = factor if n >= p else factor.T
    if n < p or p >= EIGENVECTORS_FIRST:
        squared, rotation = np.linalg.eigh(narrow.T @ narrow)
        images = narrow @ rotation
        singular, largest = np.linalg.norm(images, axis=0), np.sqrt(max(squared[-1], 0.0))
        is_rounding = singular <= len(squared) * np.finfo(np.float64).eps * largest
        if (is_rounding | (squared > ENOUGH_DIGITS * squared[-1])).all():
            kept, singular = ~is_rounding, singular[~is_rounding]
            return singular, rotation[:, kept] if n >= p else images[:, kept] / singular
    if n >= p:
        _, singular, directions = np.linalg.svd(factor, full_matrices=False)
        return singular, directions.T
    orthogonal, triangle = np.linalg.qr(factor.T)
    rotation, singular, _ = np.linalg.svd(triangle)
    return singular, orthogonal @ rotation


class _Triangle(Sums):
    """The triangular factor of the standardised rows, accumulated block by block.

    Blocks of CSR can have many rows, so they are made dense a few rows at a time.
    """

    sums = arrays = ("factor",)
    movables = ("_coordinates",)

    def __init__(self, coordinates: Coordinates, total_weight: float):
        self._coordinates = coordinates
        self._total_weight = total_weight
        self.factor = np.empty((0, len(coordinates.center)))

    def add(self, X, y, weight):
        step = 4 * X.shape[1] if sparse.issparse(X) else X.shape[0]
        for start in range(0, X.shape[0], step):
            rows = slice(start, start + step)
            block = X[rows].toarray() if sparse.issparse(X) else X
            block = (cast(block, self.factor.dtype) - self._coordinates.center) * self._coordinates.inverse_scale
            share = 1.0 if weight is None else weight[rows, np.newaxis]
            self._stack((share / self._total_weight) ** 0.5 * block)

    def merge(self, other):
        self._stack(other.factor)

    def _stack(self, block):
        xp = namespace(block)
        self.factor = xp.concat([self.factor, block])
        if self.factor.shape[0] > self.factor.shape[1]:
            self.factor = np.linalg.qr(self.factor, mode="r") if xp is np else xp.linalg.qr(self.factor)[1]
