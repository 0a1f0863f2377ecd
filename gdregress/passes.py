"""An epoch of descent over a chunk of rows, and what is carried on to the next: SGDRegressor's partial_fit.

What is carried on is in raw coordinates, and each chunk has a course of its own: a number in these
coordinates, or frame, metric and rate from the moments of all rows so far.
"""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdregress.batches import endless_batches, n_batches
from gdregress.blocks import RowBlocks
from gdregress.combinations import choose, features
from gdregress.descent import Mean, run_epoch
from gdregress.frames import Frame
from gdregress.learning_rates import identity
from gdregress.losses import Loss
from gdregress.objectives import DataObjective
from gdregress.optimizers import OPTIMIZERS, Step
from gdregress.penalties import Penalty
from gdregress.plan import Plan
from gdregress.schedules import Pace, Plateau
from gdregress.task import Task

LEAST_BATCH, BATCHES = 32, 50
"""Rows in a mini-batch, at least, and mini-batches in a chunk, where neither that nor the rate is the user's."""

MOVED = 2.0
"""By what a unit of a coordinate may change for what was remembered in the old one to be of use."""

SHARPENING = 0.2
"""Time, in steps of a quadratic, after which a twin grows sharper: a few mini-batches."""

DIVERGED = 2.0
"""How many times worse than none at all coefficients are beyond the noise of mini-batches."""


@dataclass(frozen=True)
class Pass:
    """Where a descent over chunks stands, after so many of them.

    Attributes
    ----------
    last : ndarray of shape (n_coordinates, n_outputs)
        The coefficients and intercepts that the next epoch starts from, one below the other.
    mean : tuple or None
        The running mean of such points, as in `Mean`, where one is asked for.
    optimizer : str
        A key of `OPTIMIZERS`.
    memory : ndarray, tuple or None
        What that rule remembers, in the coordinates of its steps: forgotten where these are others now.
    units : ndarray of shape (n_features, n_outputs) or None
        How large a coordinate is where the coefficient is 1.
    plateau : tuple or None
        What a schedule that follows the loss remembers, as in `Plateau`.
    n_epochs : int
        Chunks descended.
    time : float
        Sum of the rates of all updates so far, as a share of what one step of a quadratic would need.
    n_samples : int
        Rows of positive weight in them.
    weight : float
        Sum of their weights.
    loss : float
        Mean loss of the latest chunk before it was learned from, averaged over outputs.
    rate : float
        Learning rate of its epoch.
    has_diverged : bool
        Whether that epoch has left the chunk worse off than before it, and by far than with no coefficients at all.
    """

    last: NDArray
    mean: tuple | None = None
    optimizer: str = ""
    memory: Any = None
    units: Any = None
    plateau: tuple | None = None
    n_epochs: int = 0
    time: float = 0.0
    n_samples: int = 0
    weight: float = 0.0
    loss: float = float("nan")
    rate: float = float("nan")
    has_diverged: bool = False

    @classmethod
    def of_attributes(cls, past: dict[str, Any]) -> "Pass | None":
        """Go on from what an estimator has reached: by such a descent, by moments, or by a fit; None where by nothing.

        Parameters
        ----------
        past : dict
            The estimator's attributes.
        """
        if "descent_" in past:
            return cls(**past["descent_"])
        if not past:
            return None
        coef = np.atleast_2d(past["coef_"])
        raw = np.vstack([coef.T, np.broadcast_to(past["intercept_"], (1, len(coef)))])
        moments = past.get("moments_", {})
        seen = {name: moments[name] for name in ("n_samples", "weight") if name in moments}
        return cls(raw.astype(np.float64), **seen)

    @property
    def point(self) -> NDArray:
        """Coefficients and intercepts to predict with."""
        return self.last if self.mean is None else Mean(*self.mean).point

    def plain(self) -> dict[str, Any]:
        """Give it as a dict of arrays, numbers, strings, and tuples of these."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def taking_in(self, rows: RowBlocks, unit: float) -> tuple[RowBlocks, "Pass"]:
        """Take in a chunk's rows and weights: these count next to the mean weight of all rows so far.

        Parameters
        ----------
        rows : RowBlocks
            The chunk.
        unit : float
            What its weights are to be multiplied by: all chunks have one scale.

        Returns
        -------
        rows : RowBlocks
            The chunk, with weights in units of that mean.
        reached : Pass
            With the rows counted.
        """
        n_samples, weight = self.n_samples + rows.n_weighted, self.weight + unit * rows.total_weight
        relative = unit * n_samples / weight
        if rows.weight is not None or relative != 1.0:
            rows = rows.with_weight(relative * (np.ones(rows.n_samples) if rows.weight is None else rows.weight))
        return rows, replace(self, n_samples=n_samples, weight=weight)

    def descend(self, rows: RowBlocks, course: "Course") -> "Pass":
        """Descend over another chunk, a mini-batch at a time.

        Parameters
        ----------
        rows : RowBlocks
            The chunk, as `taking_in` gives it.
        course : Course
            How to step.

        Raises
        ------
        ValueError
            If it leaves the numbers that a float holds.
        """
        task, frame = course.task, course.frame
        loss, penalty = task.loss_in(frame.target_scale), task.penalty_in(frame)
        to_y = frame.target_scale**task.degree
        whole = DataObjective(rows, frame, loss, penalty)
        with np.errstate(over="ignore", invalid="ignore"):
            [before] = whole.values([course.from_raw(self.point)])
            pace = self._pace(task, float((before * to_y).sum()))
            rate = course.rate * pace(self.n_epochs)
            step, mean = self._epoch(rows, course, loss, penalty, rate)
            last = course.to_raw(step.point)
            after, without = whole.values([step.point, course.from_raw(np.zeros_like(last))])
        if not np.isfinite(last).all():
            raise ValueError(
                f"the descent diverged at learning_rate={rate:g}: use a smaller one, or scale the columns."
            )
        value = before - penalty.value(course.from_raw(self.point))
        return replace(
            self,
            last=last,
            mean=mean and tuple(mean._replace(point=course.to_raw(mean.point))),
            optimizer=course.optimizer,
            memory=step.memory,
            units=course.units,
            plateau=tuple(pace) if isinstance(pace, Plateau) else None,
            n_epochs=self.n_epochs + 1,
            time=self.time + n_batches(rows, course.batch_size) * course.stride,
            loss=float((value * to_y).mean()),
            rate=rate,
            has_diverged=not after.sum() <= max(before.sum(), DIVERGED * without.sum()),
        )

    def _pace(self, task: Task, value: float) -> Pace | Plateau:
        """Give the schedule, told of the objective of this chunk where it follows that."""
        return task.pace if self.plateau is None else Plateau(*self.plateau).after(value)

    def _epoch(
        self, rows: RowBlocks, course: "Course", loss: Loss, penalty: Penalty, rate: float
    ) -> tuple[Step, Mean | None]:
        """Step down every mini-batch; what was remembered in other units is forgotten."""
        task, size = course.task, course.batch_size
        shuffle = task.shuffle if size < rows.n_weighted else None
        batches = (
            DataObjective(part, course.frame, loss, penalty, twin=course.twin, total_weight=part.n_samples)
            for part in endless_batches(rows, size, shuffle)
        )
        step = course.rule.start(course.from_raw(self.last), next(batches))
        if course.optimizer == self.optimizer and _are_near(course.units, self.units):
            step = step._replace(memory=self.memory)
        mean = None
        if task.average:
            mean = Mean(*self.mean) if self.mean else Mean(-(-(task.average - 1) // size))
            mean = mean._replace(point=None if mean.point is None else course.from_raw(mean.point))
        return run_epoch(step, mean, course.rule, batches, course.metric, rate, n_batches(rows, size))


@dataclass(frozen=True)
class Course:
    """How an epoch over a chunk steps.

    Attributes
    ----------
    task : Task
        What is asked for.
    frame : Frame
        Coordinates of the steps.
    optimizer : str
        A key of `OPTIMIZERS`.
    rule : Optimizer
        That rule.
    metric : callable
        What a gradient is multiplied by, beside the rate.
    rate : float
        Learning rate, but for the schedule.
    batch_size : int
        Rows in a mini-batch.
    twin : Loss or None
        What is descended in place of the loss.
    rung : str or float
        What the learning rate came to.
    stride : float
        Share of the way to the minimum of a quadratic that an update goes, along its steepest direction.
    """

    task: Task
    frame: Frame
    optimizer: str
    rule: Any
    metric: Any
    rate: float
    batch_size: int
    rung: str | float
    twin: Any = None
    stride: float = 0.0

    @classmethod
    def raw(cls, rows: RowBlocks, task: Task) -> "Course":
        """Step at the user's rate, in raw coordinates: a chunk at once where no size of a batch is given.

        Raises
        ------
        ValueError
            If what is asked for does not go together.
        """
        asked = features(
            loss=task.loss, has_prox=task.has_prox, schedule=task.schedule, batches=True, average=bool(task.average)
        )
        _, optimizer = choose(task.learning_rate, task.optimizer, asked, set())
        frame = Frame.plain(rows.n_features, rows.n_outputs, fit_intercept=task.fit_intercept)
        rule, size = OPTIMIZERS[optimizer](task.momentum), task.batch_size or rows.n_weighted
        return cls(task, frame, optimizer, rule, identity, float(task.learning_rate), size, float(task.learning_rate))

    @classmethod
    def planned(cls, plan: Plan, time: float) -> "Course":
        """Step as is planned for a chunk, at some time.

        The twin of a loss that ends in straight lines grows sharper with the root of time, and the rate, in
        proportion, falls on when it is as sharp as the loss (Robbins and Monro, 1951).
        """
        width = plan.first_width / (1.0 + time / SHARPENING) ** 0.5
        loss = plan.task.loss_in(plan.unit_frame.target_scale)
        stage, fall = plan.stage_of_width(width), 1.0
        if getattr(loss, "is_straight", False) and loss.width > 0.0 and not plan.finds_its_rate:
            fall = min(1.0, width / loss.width)
        stride = plan.rate * (plan.largest_curvature or 2.0) / 2.0
        size = plan.task.batch_size
        assert size is not None
        return cls(
            plan.task,
            plan.frame,
            plan.optimizer_name,
            plan.optimizer,
            plan.metric,
            fall * stage.rate,
            size,
            plan.rung,
            None if stage.twin is stage.loss else stage.twin,
            stride,
        )

    @property
    def units(self) -> NDArray:
        """How large a coordinate is where the coefficient is 1."""
        scale = np.append(self.frame.scale, np.ones(int(self.frame.fit_intercept)))
        return np.outer(scale, 1.0 / self.frame.target_scale)

    def from_raw(self, point: NDArray) -> NDArray:
        """Turn coefficients and intercepts, one below the other, into coordinates."""
        return self.frame.from_raw(point[:-1], point[-1])

    def to_raw(self, point: NDArray) -> NDArray:
        """Turn coordinates into coefficients and intercepts."""
        coef, intercept = self.frame.to_raw(point)
        return np.vstack([coef, intercept.astype(np.float64)])


def _are_near(units: NDArray, before: NDArray | None) -> bool:
    """Tell whether units are about what they were; a column that has just begun to move has nothing to remember."""
    if before is None or before.shape != units.shape:
        return False
    ratio = np.divide(units, before, out=np.ones_like(units), where=(before > 0) & (units > 0))
    return bool((np.maximum(ratio, 1.0 / ratio) <= MOVED).all())
