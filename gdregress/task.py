"""What is asked for, in objects: the parameters of the estimator, checked and named."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdregress.frames import Frame
from gdregress.losses import InUnits, PiecewiseLoss
from gdregress.penalties import Penalty


@dataclass(frozen=True)
class Task:
    """What a user asks for, checked: see the parameters of the estimator of the same names.

    Attributes
    ----------
    loss : str or object
        Name of the loss, or the loss itself where it is somebody else's.
    pointwise : Loss
        The loss.
    pace : Pace or Plateau
        The schedule.
    l1, l2 : float
        Strengths of the penalty ``l1 |w|_1 + l2 |w|_2^2 / 2``.
    shuffle : RandomState or None
        Shuffles the rows before every pass of mini-batches.
    sampling : RandomState or int
        Draws samples of rows, or its seed.
    """

    learning_rate: float | str
    optimizer: str
    momentum: float
    loss: str | object
    pointwise: Any
    l1: float
    l2: float
    positive: bool
    fit_intercept: bool
    schedule: str | object
    pace: Any
    batch_size: int | None
    average: int
    shuffle: np.random.RandomState | None
    sampling: np.random.RandomState | int
    tol: float | None
    epochs: int

    @property
    def is_squared_error(self) -> bool:
        """Whether the loss is squared error, for which moments are enough."""
        return self.loss == "squared_error"

    @property
    def degree(self) -> int:
        """Power of the unit of y in which the loss is expressed."""
        return getattr(self.pointwise, "degree", 2)

    @property
    def has_prox(self) -> bool:
        """Whether a part of the penalty is not smooth."""
        return self.l1 > 0 or self.positive

    def loss_in(self, unit: NDArray) -> Any:
        """Give the loss of residuals in units of `unit`, itself in units of `unit**degree`."""
        return (
            self.pointwise.in_units(unit)
            if isinstance(self.pointwise, PiecewiseLoss)
            else InUnits(self.pointwise, unit)
        )

    def penalty_in(self, frame: Frame) -> Penalty:
        """Give the penalty of the coordinates of a frame."""
        return frame.penalty(self.l1, self.l2, positive=self.positive, degree=self.degree)
