"""An epoch of descent over a chunk of rows, and what is carried on to the next: SGDRegressor's partial_fit.

The rate is a number in raw coordinates, so that nothing depends on which rows came first.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdregress.batches import endless_batches, n_batches
from gdregress.blocks import RowBlocks
from gdregress.combinations import choose, features
from gdregress.descent import Mean
from gdregress.frames import Frame
from gdregress.learning_rates import identity
from gdregress.objectives import DataObjective
from gdregress.optimizers import OPTIMIZERS
from gdregress.schedules import Plateau
from gdregress.task import Task


@dataclass(frozen=True)
class Pass:
    """Where a descent over chunks stands, after so many of them.

    Attributes
    ----------
    last : ndarray of shape (n_coordinates, n_outputs)
        The coefficients and intercepts that the next epoch starts from.
    mean : tuple or None
        The running mean of such points, as in `Mean`, where one is asked for.
    optimizer : str
        A key of `OPTIMIZERS`.
    memory : ndarray, tuple or None
        What that rule remembers.
    plateau : tuple or None
        What a schedule that follows the loss remembers, as in `Plateau`.
    n_epochs : int
        Chunks descended.
    n_samples : int
        Rows of positive weight in them.
    weight : float
        Sum of their weights.
    loss : float
        Mean loss of the latest chunk before it was learned from, averaged over outputs.
    rate : float
        Learning rate of its epoch.
    """

    last: NDArray
    mean: tuple | None = None
    optimizer: str = ""
    memory: Any = None
    plateau: tuple | None = None
    n_epochs: int = 0
    n_samples: int = 0
    weight: float = 0.0
    loss: float = float("nan")
    rate: float = float("nan")

    @property
    def point(self) -> NDArray:
        """Coefficients and intercepts to predict with."""
        return self.last if self.mean is None else Mean(*self.mean).point

    def plain(self) -> dict[str, Any]:
        """Give it as a dict of arrays, numbers, strings, and tuples of these."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def over(self, rows: RowBlocks, unit: float, task: Task) -> "Pass":
        """Descend over another chunk, a mini-batch at a time, or all of it at once where none are asked for.

        A weight counts next to the mean weight of all rows so far.

        Parameters
        ----------
        rows : RowBlocks
            The chunk.
        unit : float
            What its weights are to be multiplied by: all chunks have one scale.
        task : Task
            What is asked for; the rate is a number.

        Raises
        ------
        ValueError
            If what is asked for does not go together, or the descent has left the range of numbers.
        """
        asked = features(
            loss=task.loss, has_prox=task.has_prox, schedule=task.schedule, batches=True, average=bool(task.average)
        )
        _, optimizer = choose(task.learning_rate, task.optimizer, asked, set())
        rule, frame = OPTIMIZERS[optimizer](task.momentum), raw_frame(rows, task)
        loss, penalty = task.loss_in(frame.target_scale), task.penalty_in(frame)
        size = task.batch_size or rows.n_weighted
        n_samples, weight = self.n_samples + rows.n_weighted, self.weight + unit * rows.total_weight
        mean_weight = weight / n_samples / unit
        shuffle = task.shuffle if size < rows.n_weighted else None
        with np.errstate(over="ignore", invalid="ignore"):
            [before] = DataObjective(rows, frame, loss, penalty).evaluate([self.point])
            pace = task.pace if self.plateau is None else Plateau(*self.plateau).after(float(before.value.sum()))
            rate = float(task.learning_rate) * pace(self.n_epochs)
            batches = (
                DataObjective(part, frame, loss, penalty, total_weight=mean_weight * part.n_samples)
                for part in endless_batches(rows, size, shuffle)
            )
            step = rule.start(self.last, next(batches))
            if optimizer == self.optimizer:
                step = step._replace(memory=self.memory)
            mean = Mean(*self.mean or (-(-(task.average - 1) // size),)) if task.average else None
            for _ in range(n_batches(rows, size)):
                step = rule.update(step, next(batches), identity, rate)
                mean = mean and mean.after(step.point)
        if not np.isfinite(step.point).all():
            raise ValueError(
                f"the descent diverged at learning_rate={rate:g}: use a smaller one, or scale the columns."
            )
        return Pass(
            last=step.point,
            mean=mean and tuple(mean),
            optimizer=optimizer,
            memory=step.memory,
            plateau=tuple(pace) if isinstance(pace, Plateau) else None,
            n_epochs=self.n_epochs + 1,
            n_samples=n_samples,
            weight=weight,
            loss=float((before.value - penalty.value(self.point)).mean()),
            rate=rate,
        )


def raw_frame(rows: RowBlocks, task: Task) -> Frame:
    """Give the frame in which a point is (w, b), all in units of 1."""
    ones, outputs = np.ones(rows.n_features), rows.n_outputs
    return Frame(task.fit_intercept, 0.0 * ones, ones, ones, np.zeros(outputs), np.ones(outputs))
