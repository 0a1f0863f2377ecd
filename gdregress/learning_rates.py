"""The ladder of learning rates: from one number to a matrix.

Every epoch steps down `rate * metric(gradient)`. A number multiplies the raw gradient;
one number per feature is the unit-curvature frame, in which the metric is the identity again;
the inverse of the curvature is a matrix, held as a basis B in which the curvature is 1::

    H / 2 = R + penalty,    P = H^-1 = B B' / 2

That is for squared error, of curvature 2. A loss of curvature c takes steps 2 / c as long.

With an intercept the frame is centred, so its coordinate stands alone, with the curvature 2.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import eigvalsh, lapack
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from gdregress.blocks import Rows, Sums
from gdregress.frames import Frame
from gdregress.moments import Moments
from gdregress.objectives import DataObjective, MomentObjective

CLEAR = 1e-7
"""Share of the largest eigenvalue of products above which the others are known to enough digits."""

LARGE = 256
"""Columns from which on it pays to try for directions that are clear."""

FAINT = 1e-12
"""Curvature that L2 adds to a coordinate, up to which rounding of the data may be more."""

LANCZOS_TOL = 1e-6
"""Relative error of a largest curvature that is found from data."""


@dataclass(frozen=True)
class Scalar:
    """Metric of a single number, in whatever frame.

    Attributes
    ----------
    scale : float
        What each coordinate of a gradient is multiplied by: also the step of the prox.
    """

    scale: float = 1.0

    def __call__(self, gradient: NDArray) -> NDArray:
        """Multiply a gradient."""
        return gradient if self.scale == 1.0 else self.scale * gradient

    def root(self, gradient: NDArray) -> NDArray:
        """Multiply a gradient by a root of the metric: its squared length is then g' P g."""
        return np.sqrt(self.scale) * gradient


identity = Scalar()
"""Metric of the raw frame."""

half = Scalar(0.5)
"""Metric of the unit-curvature frame for squared error: the inverse of each coordinate's own curvature."""


@dataclass(frozen=True)
class Curvature:
    """Metric of the inverse curvature in the unit-curvature frame.

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
    scale = float("nan")
    """There is no one number for each coordinate, and hence no prox, coordinate by coordinate, in this metric."""

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

    def enlarged(self, factor: float) -> "Curvature":
        """Give `factor` times this metric of the coefficients, and at least this of the intercept."""
        return self if factor == 1.0 else replace(self, basis=np.sqrt(factor) * self.basis)

    def root(self, gradient: NDArray) -> NDArray:
        """Multiply a gradient by a root of P: its squared length is then g' P g."""
        p = len(self.basis)
        return np.sqrt(0.5) * np.vstack([self.basis.T @ gradient[:p], gradient[p:]])

    @classmethod
    def from_quadratic(cls, quadratic: MomentObjective, frame: Frame, *, is_own: bool = True) -> "Curvature | None":
        """Factor the second derivatives of squared error (Cholesky); None where they are not positive definite.

        Parameters
        ----------
        quadratic : MomentObjective
            In the unit-curvature frame, L2 included.
        frame : Frame
            That frame.
        is_own : bool, default=True
            Whether the frame was made from these moments: each coordinate has the curvature 1 then, to the bit.
        """
        hessian = quadratic.hessian()
        p = len(frame.center)
        correlation = hessian[:p, :p] / 2
        moves = frame.inverse_scale > 0
        correlation[range(p), range(p)] = 1.0 if is_own else np.where(moves, np.diagonal(correlation), 1.0)
        lower, info = lapack.dpotrf(correlation, lower=1, clean=1, overwrite_a=1)
        if info:
            return None
        inverse, info = lapack.dtrtri(lower, lower=1, overwrite_c=1)
        if info:
            return None
        return cls(inverse.T * moves[:, np.newaxis], float(np.vdot(inverse, inverse)))

    @classmethod
    def from_spectrum(cls, quadratic: MomentObjective, frame: Frame, rounding: float) -> "Curvature":
        """Factor the second derivatives of squared error where they may be singular: eigenvectors.

        A direction whose curvature rounding alone could have made is dropped: along it nothing moves.

        Parameters
        ----------
        quadratic : MomentObjective
            In the unit-curvature frame, L2 included.
        frame : Frame
            That frame.
        rounding : float
            Relative error of the moments.
        """
        p = len(frame.center)
        squared, directions = np.linalg.eigh(quadratic.hessian()[:p, :p] / 2)
        kept = squared > p * rounding * max(1.0, squared[-1]) if p else squared > 0
        return cls(directions[:, kept] / np.sqrt(squared[kept]), float((1 / squared[kept]).sum()))

    @classmethod
    def from_rows(cls, rows: Rows, moments: Moments, frame: Frame, alpha: float) -> "Curvature | WideCurvature":
        """Factor the rows themselves: a QR of the standardised columns, then an SVD of its triangle.

        The triangle is accumulated block by block, so X is neither copied nor squared. A singular
        value is dropped where rounding alone could have made it, that of the numbers in X along
        its direction and that of the factorisation: along collinear columns nothing moves, and
        the minimum-norm answer in the frame's coordinates is what remains.

        Parameters
        ----------
        rows : Rows
            X and the weights.
        moments : Moments
            Means and variances of the columns.
        frame : Frame
            The unit-curvature frame.
        alpha : float
            Strength of the penalty.
        """
        n, p = rows.n_samples, rows.n_features
        moving = frame.inverse_scale[frame.inverse_scale > 0]
        if n <= p and (alpha * moving**2 > FAINT).all() and moving.size:
            return WideCurvature.from_rows(rows, frame, alpha)
        triangle = rows.accumulate(partial(_Triangle, frame, rows.total_weight), min_rows=4 * p)
        factor = triangle.factor
        if alpha > 0 and n > p:
            factor = np.vstack([factor, np.diag(np.sqrt(alpha) * frame.inverse_scale)])
        singular, directions = _directions(factor)
        size = np.hypot(moments.x.deviation, moments.x.mean) * frame.inverse_scale
        of_data = 4 * np.finfo(rows.dtype).eps * np.linalg.norm(directions * size[:, np.newaxis], axis=0)
        of_factor = np.finfo(np.float64).eps * (4 + n**0.5) * np.linalg.norm(singular)
        kept = singular > of_data + of_factor
        basis = directions[:, kept] / singular[kept]
        return cls(basis, float((1 / singular[kept] ** 2).sum()))


@dataclass(frozen=True)
class WideCurvature:
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
    scale = float("nan")
    is_singular = False

    @classmethod
    def from_rows(cls, rows: Rows, frame: Frame, alpha: float) -> "WideCurvature":
        """Factor the rows, which are made dense."""
        moves = frame.inverse_scale > 0
        reach = np.divide(1.0, np.sqrt(alpha) * frame.inverse_scale, out=np.zeros(len(moves)), where=moves)
        triangle = rows.accumulate(partial(_Triangle, frame, rows.total_weight), min_rows=rows.n_samples)
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


Metric = Curvature | WideCurvature


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
    """The triangular factor of the rows in a frame, accumulated block by block.

    Blocks of CSR, which may span many rows, are made dense a few rows at a time.
    """

    def __init__(self, frame: Frame, total_weight: float):
        self._frame = frame
        self._total_weight = total_weight
        self.factor = np.empty((0, len(frame.center)))

    def add(self, X, y, weight):
        step = 4 * X.shape[1] if sparse.issparse(X) else X.shape[0]
        for start in range(0, X.shape[0], step):
            rows = slice(start, start + step)
            block = X[rows].toarray() if sparse.issparse(X) else X
            block = (block - self._frame.center) * self._frame.inverse_scale
            share = 1.0 if weight is None else weight[rows, np.newaxis]
            self._stack(np.sqrt(share / self._total_weight) * block)

    def merge(self, other):
        self._stack(other.factor)

    def _stack(self, block):
        self.factor = np.vstack([self.factor, block])
        if self.factor.shape[0] > self.factor.shape[1]:
            self.factor = np.linalg.qr(self.factor, mode="r")


def largest_curvature(objective: MomentObjective | DataObjective, n_coordinates: int) -> float:
    """Give L, the largest eigenvalue of the second derivatives; infinity where it overflows.

    Exact from moments; from data to about six digits (Lanczos, a pass over X a step).

    Parameters
    ----------
    objective : MomentObjective or DataObjective
        A quadratic, of one output where it is from data.
    n_coordinates : int
        Number of coordinates of its points.
    """
    if isinstance(objective, MomentObjective):
        hessian = objective.hessian()
        if not np.isfinite(hessian).all():
            return float("inf")
        return float(eigvalsh(hessian, subset_by_index=[n_coordinates - 1] * 2)[0])
    [at_origin] = objective.evaluate([np.zeros((n_coordinates, 1))])

    def multiply(direction: NDArray) -> NDArray:
        [there] = objective.evaluate([direction.reshape(-1, 1)])
        return (there.gradient - at_origin.gradient).ravel()

    start = np.random.default_rng(0).standard_normal(n_coordinates)  # nearly orthogonal to no direction
    along = multiply(start)
    if n_coordinates == 1 or not along.any():
        return float(along[0] / start[0])
    hessian = LinearOperator((n_coordinates, n_coordinates), matvec=multiply, dtype=np.float64)
    try:
        largest = eigsh(hessian, k=1, which="LA", v0=start, tol=LANCZOS_TOL, return_eigenvectors=False)
    except ArpackNoConvergence as stalled:
        largest = stalled.eigenvalues
        if not len(largest):
            raise ValueError("The largest curvature of X was not found: use learning_rate='auto'.") from stalled
    return float(largest[0])
