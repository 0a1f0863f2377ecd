"""What is asked for, in objects: the parameters of the estimator, checked and named."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdregress.frames import Frame
from gdregress.losses import LOSSES, InUnits, PiecewiseLoss
from gdregress.penalties import Penalty
from gdregress.schedules import SCHEDULES, Pace, Plateau


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

    @classmethod
    def of(cls, estimator: Any, n_samples: int, rng: np.random.RandomState) -> "Task":
        """Turn the parameters of an estimator into what is to be done.

        Parameters
        ----------
        estimator : GradientDescentRegressor
            Its parameters, checked.
        n_samples : int
            Number of rows that count.
        rng : RandomState
            What is drawn is drawn from it.
        """
        loss, schedule, batch_size = estimator.loss, estimator.schedule, estimator.batch_size
        pointwise = LOSSES[loss](estimator.epsilon, estimator.quantile) if isinstance(loss, str) else loss
        l1_ratio = {None: 0.0, "l2": 0.0, "l1": 1.0, "elasticnet": float(estimator.l1_ratio)}[estimator.penalty]
        strength = 0.0
        if estimator.penalty is not None:
            strength = getattr(pointwise, "alpha_factor", 1.0) * float(estimator.alpha)
        pace: Pace | Plateau = Pace(schedule)
        if isinstance(schedule, str):
            pace = SCHEDULES[schedule](estimator.epochs, float(estimator.power_t), estimator.n_iter_no_change)
        return cls(
            learning_rate=estimator.learning_rate,
            optimizer=estimator.optimizer,
            momentum=float(estimator.momentum),
            loss=loss,
            pointwise=pointwise,
            l1=strength * l1_ratio,
            l2=strength * (1.0 - l1_ratio),
            positive=bool(estimator.positive),
            fit_intercept=bool(estimator.fit_intercept),
            schedule=schedule,
            pace=pace,
            batch_size=None if batch_size is None or batch_size >= n_samples else int(batch_size),
            average=int(estimator.average),
            shuffle=rng if estimator.shuffle else None,
            # A sample that nobody asked for is the same at every fit.
            sampling=0 if estimator.random_state is None else rng,
            tol=estimator.tol or None,
            epochs=estimator.epochs,
        )

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
