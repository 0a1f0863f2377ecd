"""Rows, their moments and coordinates, from which objectives are built."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gdregress.problem.coordinates import Coordinates
from gdregress.problem.objectives import MomentObjective
from gdregress.rows.memory import RowBlocks
from gdregress.rows.moments import Moments
from gdregress.rows.rows import Rows

COPY_LIMIT = 2**19
"""Entries of a dense X up to which a standardised copy is kept for second derivatives."""


@dataclass(frozen=True)
class View:
    """Rows, their moments and coordinates, with quantities derived from them that are computed once.

    Attributes
    ----------
    rows : Rows
        X, y and the weights, in the original units.
    moments : Moments
        Moments of these rows, about the origin for a model without intercept.
    coordinates : Coordinates
        Coordinates of points.
    """

    rows: Rows
    moments: Moments
    coordinates: Coordinates

    @cached_property
    def scaled(self) -> Rows:
        """The rows, with targets in the coordinates."""
        return self.rows.with_targets(self.coordinates.targets)

    @cached_property
    def gram(self) -> NDArray | None:
        """Mean of x x' over the rows x in the coordinates; None if the moments lack covariances."""
        if self.moments.cross is None:
            return None
        return 0.5 * MomentObjective(self.moments, self.coordinates, self.coordinates.penalty(0.0, 0.0)).hessian()

    @property
    def standardised(self) -> "View":
        """The same view with a copy of X that is in the coordinates, if X is dense and small; else this view."""
        return self._copied or self  # which does not hold itself: it would not be freed at once

    @cached_property
    def _copied(self) -> "View | None":
        here = self.scaled.in_memory
        floats = None if here is None else here.dense_as(np.float64, COPY_LIMIT)
        if floats is None:
            return None
        rows = RowBlocks(self.coordinates.standardised(floats.X), floats.y, floats.weight)
        plain = Coordinates.identity(rows.n_features, rows.n_outputs)
        return View(rows, self.moments, plain)
