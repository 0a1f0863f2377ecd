"""What is descended and how: a plan, and its stages, each a descent with its certificate."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdregress.batches import batch_share, endless_batches, n_batches
from gdregress.blocks import RowBlocks, Rows
from gdregress.descent import Certificate, Epoch, Mean, State, descend
from gdregress.eigenbasis import Eigenbasis, Stretch, descend_by_stretches
from gdregress.frames import Frame
from gdregress.learning_rates import Scalar
from gdregress.losses import PiecewiseLoss
from gdregress.moments import Moments
from gdregress.objectives import DataObjective, MomentObjective
from gdregress.optimizers import GradientDescent, Optimizer
from gdregress.penalties import Penalty
from gdregress.schedules import Pace
from gdregress.sketches import Sketch
from gdregress.task import Task

BLIND = 1e-6
"""Share of the curvature of a touching parabola that counts where the second derivatives show none."""

KINK = 0.1
"""Width, in units of `tol` standard deviations of y, of the only twin where the rate is the user's."""

SHARPER = 0.1, 0.5
"""Width of a twin, as a share of that of the one before: at least, and at most."""

NARROW = 0.2
"""Curvature of a twin, as a share of that of its loss, from which on the loss itself takes its place."""

LEAST_WIDTH = 1e-12
"""Width of a twin that is as sharp as floats allow."""

SETTLED = 0.3
"""Share of what a sharper twin would gain, below which what is left to gain with this one is small."""

SMOOTHEST = 1e-6
"""Width of the only twin where the rate is a number and no `tol` is given."""

MISTRUST = 10.0
"""Times what a quadratic has left to gain that is reckoned with where the objective is none: rows cease to bend."""

SMALL_SHARE = 1e-3
"""Share of the loss of the best constant, below which an objective counts as no smaller."""


@dataclass(frozen=True)
class Plan:
    """A descent, ready to run.

    Attributes
    ----------
    task : Task
        What was asked for.
    rows : Rows or None
        Training rows, in the precision of the points; None where their moments are all that is known.
    whole : MomentObjective or DataObjective
        What is minimised, in the coordinates of `frame`.
    pointwise : Loss
        The loss of residuals in units of `frame`.
    frame : Frame
        Coordinates of the descent.
    unit_frame : Frame
        The unit-curvature frame, in which the certificate is measured.
    optimizer : Optimizer
        How a point follows from the last.
    metric : callable
        What a gradient is multiplied by, beside `rate`.
    rate : float
        Learning rate; for a loss of curvature 2, where it is not the user's.
    certificate_metric : callable, with `root` where there is no prox
        Metric of the certificate, in `unit_frame`, for a loss of curvature 2.
    baseline : ndarray of shape (n_outputs,)
        Mean loss of the best constant, in units of `unit_frame`.
    first_width : float
        Width of the first twin, in standard deviations of y.
    refine : bool
        Whether the descent goes on below `tol`, to the digits that the moments had lost.
    dtype : type
        Precision of the points.
    moments : Moments
        Moments of the rows.
    largest_curvature : float or None
        L of the raw problem, where the rate is a number in raw coordinates.
    patience : float
        Epochs after which to go on in a finer metric.
    finer : iterator of Sketch
        Finer metrics.
    rung : str or float
        What ``learning_rate="auto"`` came to; the number, where the rate is one.
    optimizer_name : str
        What ``optimizer="auto"`` came to.
    """

    task: Task
    rows: Rows | None
    whole: MomentObjective | DataObjective
    pointwise: Any
    frame: Frame
    unit_frame: Frame
    optimizer: Optimizer
    metric: Callable[[NDArray], NDArray]
    rate: float
    certificate_metric: Any
    baseline: NDArray
    first_width: float
    refine: bool
    dtype: type
    moments: Moments
    largest_curvature: float | None
    patience: float
    finer: Iterator[Sketch]
    rung: str | float
    optimizer_name: str

    @property
    def degree(self) -> int:
        """Power of the unit of y in which the loss is expressed."""
        return self.task.degree

    @property
    def is_raw(self) -> bool:
        """Whether the rate is a number in the raw coordinates."""
        return self.largest_curvature is not None

    @property
    def finds_its_rate(self) -> bool:
        """Whether the rate is neither the user's nor derived from the largest curvature."""
        return self.optimizer.stability == float("inf")

    @property
    def max_learning_rate(self) -> float:
        """2/L of the raw problem for squared error."""
        return 2.0 / self.largest_curvature if self.largest_curvature else float("inf")

    @property
    def stability_ceiling(self) -> float:
        """Rate above which the optimizer diverges; infinite where nobody chooses it, or nothing diverges."""
        curvature = float(np.max(self.pointwise.curvature))
        if not self.largest_curvature or np.isinf(curvature):
            return float("inf")
        return self.optimizer.stability / self.largest_curvature * 2.0 / curvature

    @property
    def is_too_steep(self) -> bool:
        """Whether the user's rate is above the ceiling."""
        return not isinstance(self.task.learning_rate, str) and self.rate >= self.stability_ceiling

    @property
    def start_value(self) -> float:
        """Objective of the best constant, summed over outputs, in the units of the descent."""
        with np.errstate(over="ignore"):
            return float((self.baseline * self._unit_to_frame).sum())

    @cached_property
    def unit_penalty(self) -> Penalty:
        """The penalty in the coordinates of `unit_frame`."""
        return self.task.penalty_in(self.unit_frame)

    @cached_property
    def certificate_root(self) -> NDArray:
        """A matrix C with |C g|^2 = g' P g for gradients of squared error in `frame` and the certificate's P."""
        identity = np.eye(len(self.frame.center) + self.frame.fit_intercept)
        return self.certificate_metric.root(self.unit_frame.turned(identity) if self.is_raw else identity)

    def gradient_in_unit_frame(self, gradient: NDArray) -> NDArray:
        """Turn a gradient in the raw frame into that in `unit_frame`."""
        return self.unit_frame.turned(gradient) * self._gradient_to_unit

    @cached_property
    def _gradient_to_unit(self) -> NDArray:
        """Factor from gradients in units of `frame` to those in units of `unit_frame`."""
        return (self.frame.target_scale / self.unit_frame.target_scale) ** (self.degree - 1)

    @cached_property
    def _unit_to_frame(self) -> NDArray:
        """Factor from losses in units of `unit_frame` to those in units of `frame`."""
        return (self.unit_frame.target_scale / self.frame.target_scale) ** self.degree

    def in_metric(self, sketch: Sketch) -> "Plan":
        """Give the same descent in another metric."""
        return replace(
            self,
            metric=sketch.metric,
            certificate_metric=sketch.certificate_metric,
            patience=sketch.patience,
        )

    def first_stage(self) -> "Stage":
        """Give the descent to begin with: of the loss itself, but for one that ends in straight lines.

        Where the user has chosen the rate, the loss itself is descended, but for kinks far narrower
        than `tol`.
        """
        if isinstance(self.task.learning_rate, str):
            return self.stage_of_width(self.first_width)
        has_kinks = getattr(self.pointwise, "is_kinked", False)
        return self.stage_of_width(KINK * (self.task.tol or SMOOTHEST) if has_kinks else 0.0, is_last=True)

    def stage_of_width(self, width: float, *, is_last: bool = False) -> "Stage":
        """Give the descent of the twin of a width, in standard deviations of y.

        Of the loss itself for a width of 0, or one that is no wider than its own, or where no lines are straight.
        """
        loss, own = self.pointwise, self.task.loss_in(self.unit_frame.target_scale)
        if not (isinstance(loss, PiecewiseLoss) and loss.is_straight):
            width = 0.0
        if width > 0:
            unit = float((self.unit_frame.target_scale / self.frame.target_scale).max())
            twin, own = loss.smoothed(width * unit), own.smoothed(width)
        if width == 0 or np.all(twin.curvature >= NARROW * loss.curvature):
            twin, own, is_last = loss, self.task.loss_in(self.unit_frame.target_scale), True
        steepest = float(np.max(twin.curvature)), float(np.max(own.curvature))
        return Stage(self, loss, twin, width, *steepest, is_last=is_last or width <= LEAST_WIDTH)

    def optimality(self, value: NDArray, gap: NDArray) -> Any:
        """Measure the certificate from the objective and its distance from the minimum: the worst output's.

        sqrt(2 gap / F0) for losses of degree 2. For those of degree 1 the gap as a share of the
        objective itself, or of a thousandth of F0 if that is more.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            if self.degree == 1:
                return (gap / np.maximum(value / self._unit_to_frame, SMALL_SHARE * self.baseline)).max(axis=-1)
            return np.sqrt(2.0 * gap / self.baseline).max(axis=-1)

    def mean_loss(self, value: NDArray) -> Any:
        """Average a value over outputs, in the units of y to the power of the degree."""
        with np.errstate(over="ignore"):
            if self.degree == 1:
                return (value * self.frame.target_scale).mean(axis=-1)
            return ((np.sqrt(np.maximum(value, 0.0)) * self.frame.target_scale) ** 2).mean(axis=-1)

    def merit(self, value: NDArray) -> Any:
        """Average a value over outputs, in the largest unit of an output: representable for any y."""
        scale = self.frame.target_scale
        return (value * (scale / scale.max()) ** self.degree).mean(axis=-1)


@dataclass(frozen=True)
class Stage:
    """One descent of a plan: of the loss itself, or of a twin of it.

    Attributes
    ----------
    plan : Plan
        What all stages share.
    loss, twin : Loss
        The loss and what is descended in its place, in units of the plan's frame.
    width : float
        Width of the twin, in standard deviations of y.
    curvature, unit_curvature : float
        Bound on the second derivative of the twin, in units of the plan's frame and of its unit frame.
    is_last : bool
        Whether no sharper twin follows.
    """

    plan: Plan
    loss: Any
    twin: Any
    width: float
    curvature: float
    unit_curvature: float
    is_last: bool

    @property
    def objective(self) -> MomentObjective | DataObjective:
        """What is descended, over all rows."""
        if isinstance(self.plan.whole, DataObjective):
            return self.plan.whole.with_twin(self.twin)
        return self.plan.whole

    @property
    def rate(self) -> float:
        """Learning rate: for the curvature of the twin, where it is not the user's."""
        plan = self.plan
        if plan.finds_its_rate or not isinstance(plan.task.learning_rate, str):
            return plan.rate
        return plan.rate * 2.0 / self.curvature

    def descend(self, start: NDArray, first: int) -> Iterator[State | Stretch]:
        """Descend from a point, `first` epochs after the start of it all."""
        task, rows = self.plan.task, self.plan.rows
        batches, updates = None, 1
        if task.batch_size is not None and isinstance(rows, RowBlocks):
            batches, updates = self._batches(rows, task.batch_size), n_batches(rows, task.batch_size)
        whole, metric = self.plan.whole, self.plan.metric
        if isinstance(whole, MomentObjective) and isinstance(metric, Scalar) and self.is_geometric:
            basis = Eigenbasis.of(whole, start)
            if basis is not None:
                return descend_by_stretches(
                    basis, metric.scale, self.rate, start, pace=task.pace, epochs=task.epochs, first=first
                )
        mean = None
        if task.average:
            mean = Mean(skip=-(-(task.average - 1) // (task.batch_size or self.plan.moments.n_samples)))
        return descend(
            self.objective,
            self.plan.optimizer,
            self.plan.metric,
            self.rate,
            start,
            pace=task.pace,
            batches=batches,
            updates=updates,
            mean=mean,
            first=first,
        )

    @property
    def is_geometric(self) -> bool:
        """Whether the epochs on a quadratic are a geometric sequence; with a factorisation that pays in that many."""
        plan, task = self.plan, self.plan.task
        return (
            isinstance(plan.optimizer, GradientDescent)
            and isinstance(task.pace, Pace)
            and not (task.has_prox or task.batch_size or task.average)
            and len(plan.frame.center) < task.epochs
        )

    def _batches(self, rows: RowBlocks, size: int) -> Iterator[DataObjective]:
        plan = self.plan
        penalty = plan.task.penalty_in(plan.frame)
        for part in endless_batches(rows, size, plan.task.shuffle):
            share = batch_share(part, rows)
            yield DataObjective(part, plan.frame, self.twin, penalty, total_weight=share)

    def certificate(self, state: State | Stretch) -> Certificate:
        """Estimate by how much the objective lies above its minimum.

        With the second derivatives at hand the decrement r' H^-1 r / 2 is what a quadratic has left to
        gain, r being the shortest subgradient. Without, H is the metric's, times the share of rows
        that bend. For a loss with kinks that may be far from the truth, and the bound is of first
        order: the length of r times the rms distance of two predictions that are as far from each
        other as the residuals are long.
        """
        plan = self.plan
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            if isinstance(state, Stretch):
                decrement = 0.5 * state.squared_gradient(plan.certificate_root) * plan._gradient_to_unit**2
                return Certificate(decrement, np.zeros_like(decrement), decrement)
            evaluation = state.evaluation
            gradient = evaluation.gradient
            if plan.is_raw:
                gradient = plan.gradient_in_unit_frame(gradient)
            residual = plan.unit_penalty.residual(state.point, gradient)
            slack = evaluation.slack / plan._unit_to_frame * np.ones(state.point.shape[1])
            mistrust = 1.0 if plan.task.is_squared_error else MISTRUST
            if evaluation.curvatures is not None:
                decrement = mistrust * _newton_decrement(residual, *evaluation.curvatures)
                return Certificate(decrement, slack, decrement + slack)
            squared = (residual * plan.certificate_metric(residual)).sum(axis=0)
            shown = 0.5 * self.unit_curvature * evaluation.bend
            decrement = mistrust * np.divide(0.5 * squared, shown, out=np.zeros_like(squared), where=squared > 0)
            if plan.degree == 2:
                return Certificate(decrement, slack, decrement + slack)
            size = state.value / plan._unit_to_frame
            return Certificate(decrement, slack, np.sqrt(2.0 * squared) * size + slack)

    def sharper(self, epoch: Epoch, n_epochs: int) -> "Stage | None":
        """Give the next stage, if this one has settled and its width is what keeps it from the tolerance.

        And if, after `n_epochs` of it, its metric is seen to be too coarse.
        """
        if self.plan.patience < np.inf and not epoch.optimality <= (self.plan.task.tol or 0.0):
            if n_epochs < self.plan.patience and not epoch.state.is_stuck:
                return None
            return self.plan.in_metric(next(self.plan.finer)).first_stage()
        if self.is_last:
            return None
        tol = self.plan.task.tol or 0.0
        certificate = epoch.certificate
        due = self.plan.optimality(epoch.state.value, certificate.slack)
        has_settled = epoch.state.is_stuck or bool((certificate.decrement <= SETTLED * certificate.slack).all())
        if not has_settled or (due <= tol and not epoch.state.is_stuck):
            return None
        share = 0.5 * tol / due if due > 0 else 0.0
        typical = float((epoch.state.value / self.plan._unit_to_frame / self.steepest).max())
        return self.plan.stage_of_width(min(self.width * float(np.clip(share, *SHARPER)), typical))

    @property
    def steepest(self) -> float:
        """Largest slope of the loss, in units of the plan's unit frame."""
        return self.unit_curvature * self.width


def _newton_decrement(residual: NDArray, second: NDArray, above: NDArray) -> NDArray:
    """Give r' H^-1 r / 2 for each output, with a millionth of the curvature above H where H shows none.

    Where columns are collinear, r has no more than rounding along what they do not show, and no
    curvature counts as less than the rounding of the largest.
    """
    decrement = np.zeros(residual.shape[1])
    for k, r in enumerate(residual.T):
        model = second[k] + BLIND * (above[k] - second[k])
        if not (r.any() and np.isfinite(model).all()):
            decrement[k] = np.inf if r.any() else 0.0
            continue
        curvature, directions = np.linalg.eigh(model)
        least = 4.0 * len(r) * np.finfo(np.float64).eps * curvature[-1]
        along = directions.T @ r
        decrement[k] = 0.5 * float((along * along / np.maximum(curvature, least)).sum()) if least > 0 else np.inf
    return decrement
