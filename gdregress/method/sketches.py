"""Cheaper metrics than the exact one, what they cost, and what takes their place where they mislead.

Conjugate gradient needs no exact metric, but one in which the curvature is near 1 everywhere: that of
a sample of the rows, or of all rows with their products in single precision (Avron, Maymounkov and
Toledo, 2010). With m rows that sample n of p columns, an epoch, which is a pass over X, shrinks the
error by about r = sqrt(p / m). What a fit costs, in passes over X at one point::

    exact moments     1.8 + p / 80
    single precision  2.2 + p / 170 + 1
    a sample          1.2 + (3 + p / 170) m / n + log(2 / tol) / log(1 / r)

The constants were measured on two cores with AVX-512 and OpenBLAS, with dense X of 1e6 x 100 and
1e5 x 1000.

A sample may miss what is rare, and rows may be alike. Its sum of products is at most that of all
rows, so that g' P g of the certificate, times the weight of all rows over that of the sample, is a
bound whatever the sample; and a descent that is slower than foretold goes on in a finer metric, up
to the exact one.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from gdregress.method.preconditioners import InverseCurvature, InverseHessian
from gdregress.problem.coordinates import Coordinates
from gdregress.problem.objectives import MomentObjective
from gdregress.rows.moments import Moments
from gdregress.rows.rows import Rows

EXACT, PER_COLUMN = 1.8, 1 / 80
"""Cost of exact moments, and for each column."""

SINGLE, SINGLE_PER_COLUMN = 2.2, 1 / 170
"""Cost of moments with products in single precision, and for each column."""

FIRST_PASS, SAMPLED, EPOCH = 1.2, 3.0, 1.0
"""Cost of means and variances alone, of sampling all rows, and of an epoch."""

ACCELERATED = 200
"""Columns from which Newton's steps for a robust loss, four or five, cost more than Nesterov's, a dozen."""

LEAST_ENTRIES = 2**21
"""Entries of X below which the exact moments are a matter of milliseconds."""

WIDEST = 4096
"""Columns up to which there is a matrix: 128 MB, several of which are needed at a time."""

ROWS_PER_COLUMN = 4
"""Rows of a sample for each column, at least."""

SHARES = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4)
"""Sizes of a sample that are considered."""

NEIGHBOURS = 8
"""Consecutive rows that are sampled together: where columns are contiguous, what comes with a cache line."""

MISSED = 0.25
"""Share of the variance of a column that a sample is to show."""

LENIENCE = 2
"""Times the epochs foretold after which a metric is given up."""

DOUBTFUL = 0.1
"""Largest relative error of the metric, from rounding, with which it is used."""

FINEST_TOL = 1e-13
"""Tolerance below which only the exact moments are of use."""


def cheapest_share(
    n_samples: int, n_features: int, n_outputs: int, tol: float, *, samples: bool = True
) -> float | None:
    """Return the share of the rows whose products in single precision make the cheapest fit; None for exact moments.

    Parameters
    ----------
    n_samples, n_features, n_outputs : int
        Shape of a dense X and of y.
    tol : float
        Certificate to meet.
    samples : bool, default=True
        Whether a share of the rows can be drawn.
    """
    n, p = n_samples, n_features
    if n * p < LEAST_ENTRIES or not is_tall(n, p) or tol < FINEST_TOL:
        return None
    epoch = EPOCH * (1.0 + 0.1 * (n_outputs - 1))
    costs: dict[float | None, float] = {None: EXACT + p * PER_COLUMN, 1.0: SINGLE + p * SINGLE_PER_COLUMN + epoch}
    for share in SHARES if samples else ():
        if share * n >= ROWS_PER_COLUMN * p:
            sample = FIRST_PASS + share * (SAMPLED + p * SINGLE_PER_COLUMN)
            costs[share] = sample + epoch * epochs_needed(share, n, p, tol)
    return min(costs, key=costs.__getitem__)


def accelerated_is_cheaper(n_samples: int, n_features: int) -> bool:
    """Whether Nesterov's steps in a metric from products in single precision are cheaper than Newton's.

    Parameters
    ----------
    n_samples, n_features : int
        Shape of a dense X.
    """
    return n_samples * n_features >= LEAST_ENTRIES and is_tall(n_samples, n_features) and n_features >= ACCELERATED


def is_tall(n_samples: int, n_features: int) -> bool:
    """Whether a dense X has rows enough for its columns, and its columns are few enough for a matrix of them."""
    return n_samples >= ROWS_PER_COLUMN * n_features and n_features <= WIDEST


def epochs_needed(share: float, n_samples: int, n_features: int, tol: float) -> int:
    """Foretell the epochs of conjugate gradient in the metric of a share of the rows."""
    if share == 1:
        return 1
    return math.ceil(math.log(2.0 / (tol * math.sqrt(share))) / math.log(math.sqrt(share * n_samples / n_features)))


@dataclass(frozen=True)
class Sketch:
    """A metric, and how long it may take.

    Attributes
    ----------
    preconditioner : InverseHessian
        The inverse of what curvature was seen.
    bound : InverseHessian
        The same, so enlarged that a distance from the minimum that is measured in it is a bound.
    max_epochs : float
        Epochs after which to go on in a finer metric.
    """

    preconditioner: InverseCurvature
    bound: InverseCurvature
    max_epochs: float


@dataclass(frozen=True)
class Sketches:
    """Metrics for some rows, each finer than the one before, the exact one last.

    Attributes
    ----------
    rows : Rows
        X, y and the weights.
    moments : Moments
        Of all rows; with the products of columns in single precision, or none.
    coordinates : Coordinates
        The unit-curvature coordinates.
    alpha : float
        Strength of the penalty, relative to the loss.
    share : float
        Of the rows, for the first.
    tol : float
        Certificate to meet.
    random_state : RandomState or int
        Draws the samples, or its seed.
    """

    rows: Rows
    moments: Moments
    coordinates: Coordinates
    alpha: float
    share: float
    tol: float
    random_state: np.random.RandomState | int

    def __iter__(self) -> Iterator[Sketch]:
        """Make one after the other, but for those that are seen to mislead."""
        share = self.share
        while share <= 1.0:
            sketch = self._sketch(share)
            if sketch is not None:
                yield sketch
            share = math.inf if share == 1.0 else min(4.0 * share, 1.0)
        exact = self._exact()
        yield Sketch(exact, exact, math.inf)

    def _sketch(self, share: float) -> Sketch | None:
        """Factor the products of a share of the rows; None where they miss a column, or rounding spoils them."""
        rows = self.rows
        if share < 1.0:
            rows = rows.subsample(share, NEIGHBOURS, check_random_state(self.random_state))
        moments = self.moments
        if share < 1.0 or moments.cross is None:
            moments = self._gather(rows, np.float32)
        shown = moments.x.variance * (moments.x.unit * self.coordinates.inverse_scale) ** 2
        if (shown < MISSED * self._variance).any():
            return None
        curvature = self._factor(moments)
        if curvature is None:
            return None
        epochs = epochs_needed(share, self.rows.n_weighted, self.rows.n_features, self.tol)
        bound = curvature.enlarged(self.rows.total_weight / rows.total_weight / (1.0 - DOUBTFUL))
        return Sketch(curvature, bound, LENIENCE * (epochs + 1))

    def _exact(self) -> InverseCurvature:
        """Factor the moments in double precision, or the rows themselves where that is not enough."""
        moments = self._gather(self.rows, np.float64)
        curvature = self._factor(moments)
        return curvature or InverseHessian.from_rows(self.rows, moments, self.coordinates, self.alpha)

    def _factor(self, moments: Moments) -> InverseHessian | None:
        """Return the metric of some moments; None where rounding could have changed it by more than `DOUBTFUL`.

        Rounding adds to the products a matrix of about root p times the error of an entry, and the sum
        of the inverse curvatures is at least the inverse of the least.
        """
        quadratic = MomentObjective(moments, self.coordinates, self.coordinates.penalty(0.0, 2.0 * self.alpha))
        curvature = InverseHessian.from_quadratic(quadratic, self.coordinates, is_own=moments is self.moments)
        if curvature is None or moments.error(curvature.inflation) * len(self.coordinates.center) ** 0.5 > DOUBTFUL:
            return None
        return curvature

    def _gather(self, rows: Rows, precision: type) -> Moments:
        moments = rows.moments(precision=precision)
        return moments if self.coordinates.fit_intercept else moments.about_origin()

    @property
    def _variance(self) -> NDArray:
        """Variances of the columns in the coordinates, as all rows have them."""
        return self.moments.x.variance * (self.moments.x.unit * self.coordinates.inverse_scale) ** 2
