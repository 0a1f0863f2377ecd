"""Sketches: approximate preconditioners that cost less than the exact one.

Conjugate gradient does not need the exact inverse Hessian as its preconditioner P. That of a sample of the rows is
enough, or that of all rows with products in single precision (Avron, Maymounkov and Toledo, 2010). With a sample of m
out of n rows, and p columns, each epoch shrinks the error by about r = sqrt(p / m). A fit costs, in passes over X::

    exact moments     1.8 + p / 80
    single precision  2.2 + p / 170 + 1
    a sample          1.2 + (3 + p / 170) m / n + log(2 / (tol sqrt(m / n))) / log(1 / r)

The constants were measured on two cores with AVX-512 and OpenBLAS, with dense X of 1e6 x 100 and 1e5 x 1000.

A sample can miss rare rows, and some rows can weigh much more than others. Two rules make up for this. The products
summed over a sample are at most those over all rows, W_sample H_sample <= W H, so g' P g W / W_sample bounds the gap
for every sample. And a descent that takes more epochs than predicted continues with a finer preconditioner, up to the
exact one.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from gdregress.method.collinear import inverse_of_collinear
from gdregress.method.preconditioners import CholeskyFactor, InverseCurvature, InverseHessian
from gdregress.problem.coordinates import Coordinates
from gdregress.problem.objectives import MomentObjective
from gdregress.rows.moments import Moments
from gdregress.rows.rows import Rows, drawable

DOUBLE, DOUBLE_PER_COLUMN = 1.8, 1 / 80
"""Cost of exact moments in passes over X, and what each column adds."""

SINGLE, SINGLE_PER_COLUMN = 2.2, 1 / 170
"""Cost of moments with products in single precision in passes over X, and what each column adds."""

FIRST_PASS, SAMPLED, EPOCH = 1.2, 3.0, 1.0
"""Costs in passes over X of the means and variances, of a sample of all rows, and of an epoch."""

ACCELERATED = 200
"""Number of columns from which a dozen of Nesterov's steps cost less than Newton's four or five, for robust losses."""

LEAST_ENTRIES = 2**21
"""Number of entries of X below which exact moments take only milliseconds."""

WIDEST = 4096
"""Largest number of columns for a square matrix: it has 128 MB, and several are needed at a time."""

INVERTED = 2000
"""Largest number of columns for which a Cholesky factor is inverted, which then costs less than an epoch or two."""

ROWS_PER_COLUMN = 4
"""Least number of rows in a sample, for each column."""

SHARES = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4)
"""Shares of the rows that a sample may have."""

NEIGHBOURS = 8
"""Number of consecutive rows that are sampled together: those in a cache line where columns are contiguous."""

MISSED = 0.25
"""Ratio of a column's variance in the sample to that in all rows, below which the sample is not used."""

LENIENCE = 2
"""Multiple of the predicted number of epochs after which a preconditioner is replaced by a finer one."""

DOUBTFUL = 0.1
"""Largest relative error from rounding with which a preconditioner is used."""

FINEST_TOL = 1e-13
"""Tolerance below which only exact moments are precise enough."""


def cheapest_share(
    n_samples: int, n_features: int, n_outputs: int, tol: float, *, samples: bool = True
) -> float | None:
    """Return the share of the rows for the cheapest preconditioner; None where exact moments are cheapest.

    Parameters
    ----------
    n_samples, n_features, n_outputs : int
        Shape of a dense X and of y.
    tol : float
        Optimality to reach.
    samples : bool, default=True
        Whether the rows can be sampled.
    """
    n, p = n_samples, n_features
    if n * p < LEAST_ENTRIES or not is_tall(n, p) or tol < FINEST_TOL:
        return None
    epoch = EPOCH * (1.0 + 0.1 * (n_outputs - 1))
    costs: dict[float | None, float] = {None: DOUBLE + p * DOUBLE_PER_COLUMN}
    costs[1.0] = SINGLE + p * SINGLE_PER_COLUMN + epoch
    for share in SHARES if samples else ():
        if share * n >= ROWS_PER_COLUMN * p:
            sample = FIRST_PASS + share * (SAMPLED + p * SINGLE_PER_COLUMN)
            costs[share] = sample + epoch * epochs_needed(share, n, p, tol)
    return min(costs, key=costs.__getitem__)


def accelerated_is_cheaper(n_samples: int, n_features: int) -> bool:
    """Return whether Nesterov's steps, preconditioned in single precision, are cheaper than Newton's.

    Parameters
    ----------
    n_samples, n_features : int
        Shape of a dense X.
    """
    return n_samples * n_features >= LEAST_ENTRIES and is_tall(n_samples, n_features) and n_features >= ACCELERATED


def is_tall(n_samples: int, n_features: int) -> bool:
    """Return whether X has several times more rows than columns, and few enough columns for a square matrix."""
    return n_samples >= ROWS_PER_COLUMN * n_features and n_features <= WIDEST


def is_nearly_square(n_samples: int, n_features: int) -> bool:
    """Return whether X has more rows than columns, not several times more, and few enough for a square matrix."""
    return n_features < n_samples and n_features <= WIDEST and not is_tall(n_samples, n_features)


def epochs_needed(share: float, n_samples: int, n_features: int, tol: float) -> int:
    """Return the predicted number of epochs of conjugate gradient, preconditioned by a share of the rows.

    Parameters
    ----------
    share : float
        Share of the rows, m / n; 1 for all rows in single precision.
    n_samples, n_features : int
        Shape of X, (n, p).
    tol : float
        Optimality to reach.
    """
    if share == 1:
        return 1
    return math.ceil(math.log(2.0 / (tol * math.sqrt(share))) / math.log(math.sqrt(share * n_samples / n_features)))


@dataclass(frozen=True)
class Sketch:
    """An approximate preconditioner, with the number of epochs in which it should converge.

    Attributes
    ----------
    preconditioner : InverseHessian
        P, the inverse Hessian of the sampled rows.
    bound : InverseHessian
        P times W / W_sample and a margin for rounding, so that the gap measured in it is an upper bound.
    max_epochs : float
        Number of epochs after which to continue with a finer preconditioner.
    """

    preconditioner: InverseCurvature
    bound: InverseCurvature
    max_epochs: float


@dataclass(frozen=True)
class Sketches:
    """The preconditioners for some rows, each finer than the one before, the last one exact.

    Attributes
    ----------
    rows : Rows
        X, y and the weights.
    moments : Moments
        Moments of all rows, with the products of columns in single precision or without products.
    coordinates : Coordinates
        The unit-curvature coordinates.
    alpha : float
        Strength of L2, relative to the loss.
    share : float
        Share of the rows for the first preconditioner.
    tol : float
        Optimality to reach.
    random_state : RandomState or int
        Generator of the samples, or its seed.
    """

    rows: Rows
    moments: Moments
    coordinates: Coordinates
    alpha: float
    share: float
    tol: float
    random_state: np.random.RandomState | int

    def __iter__(self) -> Iterator[Sketch]:
        """Yield the preconditioners, without those of samples that are not representative."""
        share = self.share
        while share <= 1.0:
            sketch = self._sketch(share)
            if sketch is not None:
                yield sketch
            share = math.inf if share == 1.0 else min(4.0 * share, 1.0)
        exact = self._exact()
        yield Sketch(exact, exact, math.inf)

    def _sketch(self, share: float) -> Sketch | None:
        """Make the preconditioner of a share of the rows; None if it misses a column or loses digits."""
        rows = self.rows
        if share < 1.0:
            rows = drawable(rows).subsample(share, NEIGHBOURS, check_random_state(self.random_state))
        moments = self.moments
        if share < 1.0 or moments.cross is None:
            moments = self._gather(rows, np.float32)
        variance = moments.x.variance * (moments.x.unit * self.coordinates.inverse_scale) ** 2
        if (variance < MISSED * self._variance).any():
            return None
        curvature = self._factor(moments)
        if curvature is None:
            return None
        epochs = epochs_needed(share, self.rows.n_weighted, self.rows.n_features, self.tol)
        bound = curvature.enlarged(self.rows.total_weight / rows.total_weight / (1.0 - DOUBTFUL))
        return Sketch(curvature, bound, LENIENCE * (epochs + 1))

    def _exact(self) -> InverseCurvature:
        """Make P from moments in double precision or, where these have too few digits, from the rows."""
        moments = self._gather(self.rows, np.float64)
        curvature: InverseCurvature | None = self._factor(moments)
        if curvature is None and self.alpha == 0:
            curvature = inverse_of_collinear(
                self._quadratic(moments), self.rows, moments, self.coordinates, DOUBTFUL / self.rows.n_features**0.5
            )
        return curvature or InverseHessian.from_rows(self.rows, moments, self.coordinates, self.alpha)

    def _factor(self, moments: Moments) -> InverseHessian | CholeskyFactor | None:
        """Make P from moments; None where rounding may have changed it by more than `DOUBTFUL`.

        Rounding adds to the products a matrix whose norm is about sqrt(p) times the error of an entry. Its relative
        effect is largest along the smallest eigenvalue of R, whose inverse is at most the trace of R^-1.
        """
        quadratic = self._quadratic(moments)
        curvature: InverseHessian | CholeskyFactor | None
        if len(self.coordinates.center) > INVERTED:
            curvature = CholeskyFactor.from_quadratic(quadratic, self.coordinates, moments.precision)
        else:
            curvature = InverseHessian.from_quadratic(quadratic, self.coordinates, is_own=moments is self.moments)
        if curvature is None or moments.error(curvature.inflation) * len(self.coordinates.center) ** 0.5 > DOUBTFUL:
            return None
        return curvature

    def _quadratic(self, moments: Moments) -> MomentObjective:
        """Return squared error and L2 from moments."""
        return MomentObjective(moments, self.coordinates, self.coordinates.penalty(0.0, 2.0 * self.alpha))

    def _gather(self, rows: Rows, precision: type) -> Moments:
        moments = rows.moments(precision=precision)
        return moments if self.coordinates.fit_intercept else moments.about_origin()

    @property
    def _variance(self) -> NDArray:
        """Variances of the columns over all rows, in the unit-curvature coordinates."""
        return self.moments.x.variance * (self.moments.x.unit * self.coordinates.inverse_scale) ** 2
