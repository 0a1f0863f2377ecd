"""Rows and their moments, seen in coordinates."""

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
"""Entries of a dense X up to which its standardised columns are kept, where every epoch multiplies them out."""


@dataclass(frozen=True)
class View:
    """Rows and their moments, seen in coordinates: what objectives are made from, made once.

    Attributes
    ----------
    rows : Rows
        X, y and the weights, as they are.
    moments : Moments
        Of these rows; about the origin without an intercept.
    coordinates : Coordinates
        Of points.
    """

    rows: Rows
    moments: Moments
    coordinates: Coordinates

    @cached_property
    def scaled(self) -> Rows:
        """The rows with targets in the coordinates."""
        return self.rows.with_targets(self.coordinates.targets)

    @cached_property
    def gram(self) -> NDArray | None:
        """Mean of x x' over the rows in the coordinates; None where the products of columns are not known."""
        if self.moments.cross is None:
            return None
        return 0.5 * MomentObjective(self.moments, self.coordinates, self.coordinates.penalty(0.0, 0.0)).hessian()

    @cached_property
    def standardised(self) -> "View":
        """The same with rows that are multiplied out, if there are few; they are copied then."""
        copy = self.scaled.dense_copy(np.float64, COPY_LIMIT)
        if copy is None:
            return self
        coordinates = self.coordinates
        X = (copy.X - coordinates.center) * coordinates.inverse_scale
        if coordinates.fit_intercept:
            X = np.column_stack([X, np.ones(len(X))])
        rows = RowBlocks(X, copy.y, copy.weight)
        plain = Coordinates.plain(rows.n_features, rows.n_outputs, fit_intercept=False)
        return View(rows, self.moments, plain)
