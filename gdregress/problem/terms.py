"""The terms of an objective: a loss, a penalty and constraints, before there are rows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gdregress.problem.coordinates import Coordinates
from gdregress.problem.loss import Loss
from gdregress.problem.penalties import Penalty
from gdregress.rows.moments import Moments


@dataclass(frozen=True)
class Terms:
    """The terms of an objective, in units of y: a loss, the penalty ``l1 |v|_1 + l2 |v|_2^2 / 2`` and constraints.

    v are the coefficients w, or those of standardised columns.

    Attributes
    ----------
    loss : Loss
        Loss of residuals in units of y.
    l1, l2 : float
        Non-negative strengths of the penalty.
    positive : bool
        Whether coefficients must not be negative.
    fit_intercept : bool
        Whether there is an intercept.
    standardize : bool
        Whether coefficients are penalised in standard deviations of their columns.
    """

    loss: Loss
    l1: float
    l2: float
    positive: bool
    fit_intercept: bool
    standardize: bool = False

    @property
    def is_squared_error(self) -> bool:
        """Whether the loss is squared error, for which moments are enough."""
        return self.loss.is_parabola

    @property
    def has_parabola(self) -> bool:
        """Whether the loss has a parabola: squared error, its insensitive form and Huber's loss have one."""
        return self.loss.is_piecewise and self.loss.degree == 2

    @property
    def has_prox(self) -> bool:
        """Whether the penalty has a nonsmooth part, L1 or the sign constraint."""
        return self.l1 > 0 or self.positive

    @property
    def is_ridge(self) -> bool:
        """Whether the penalty is L2 alone."""
        return self.l2 > 0 and not self.has_prox

    @property
    def is_penalised(self) -> bool:
        """Whether there is a penalty or a sign constraint."""
        return self.has_prox or self.l2 > 0

    @property
    def has_boxes(self) -> bool:
        """Whether the loss is solved as slopes in boxes: of lines and parabolas, and not squared error."""
        return self.loss.is_piecewise and not self.is_squared_error

    def units(self, moments: Moments) -> NDArray | float:
        """Return the units of X in which coefficients are penalised, given the moments of the rows about the mean.

        They are 1, or the standard deviation of each column. That of a column that does not vary is 1 too.
        """
        deviation = moments.x.deviation
        return np.where(deviation > 0, deviation, 1.0) if self.standardize else 1.0

    def penalty_in(self, coordinates: Coordinates) -> Penalty:
        """Return the penalty as a function of points in some coordinates."""
        return coordinates.penalty(self.l1, self.l2, positive=self.positive, degree=self.loss.degree)
