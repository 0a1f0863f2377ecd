"""What is descended and how: the one place where names become objects for the data at hand."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from gdregress.batches import batch_share, endless_batches, fourth_moment, n_batches
from gdregress.blocks import RowBlocks
from gdregress.combinations import choose, features
from gdregress.descent import Epoch, Mean, State, descend
from gdregress.frames import Frame, target_scale
from gdregress.learning_rates import Curvature, half, identity, largest_curvature
from gdregress.losses import InUnits, PiecewiseLoss, squared_error
from gdregress.moments import Moments, gather
from gdregress.objectives import DataObjective, MomentObjective
from gdregress.optimizers import OPTIMIZERS, Optimizer, definite
from gdregress.penalties import Penalty

MOMENTS_LIMIT = 2000
"""Features up to which the moments, 32 MB of them, are gathered and factored."""

FACTOR_LIMIT = 2**24
"""Entries of X up to which a wide X, of at most `MOMENTS_LIMIT` rows, is factored itself."""

CURVATURE_LIMIT = 2**15
"""Features beyond which, or rows if fewer, a matrix of curvatures is refused even if asked for."""

NEWTON_LIMIT = 500
"""Features up to which the curvature is taken anew at every epoch."""

DIGITS = 1e-10
"""Relative error of a fit from moments, as estimated, up to which they are taken for the data."""

EXTENDED_LIMIT = 2**17
"""Entries of a dense X, times outputs, up to which a recomputed residual is so in extended precision."""

COPY_LIMIT = 2**19
"""Entries of a dense X up to which its standardised columns are kept, where every epoch multiplies them out."""

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

CAUTION = 0.1
"""Share of the largest sensible rate that mini-batches take: their noise is as large as their rate."""

RATE_ROWS = 1000
"""Rows from which the rate of mini-batches is estimated."""


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
    tol: float | None

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


@dataclass(frozen=True)
class Plan:
    """A descent, ready to run.

    Attributes
    ----------
    task : Task
        What was asked for.
    rows : RowBlocks
        Training rows, in the precision of the points.
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
    certificate_metric : callable
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
    rung : str or float
        What ``learning_rate="auto"`` came to; the number, where the rate is one.
    optimizer_name : str
        What ``optimizer="auto"`` came to.
    """

    task: Task
    rows: RowBlocks
    whole: MomentObjective | DataObjective
    pointwise: Any
    frame: Frame
    unit_frame: Frame
    optimizer: Optimizer
    metric: Callable[[NDArray], NDArray]
    rate: float
    certificate_metric: Callable[[NDArray], NDArray]
    baseline: NDArray
    first_width: float
    refine: bool
    dtype: type
    moments: Moments
    largest_curvature: float | None
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

    @property
    def _unit_to_frame(self) -> NDArray:
        """Factor from losses in units of `unit_frame` to those in units of `frame`."""
        return (self.unit_frame.target_scale / self.frame.target_scale) ** self.degree

    def first_stage(self) -> "Stage":
        """Give the descent to begin with: of the loss itself, but for one that ends in straight lines.

        Where the user has chosen the rate, the loss itself is descended, but for kinks far narrower
        than `tol`.
        """
        loss = self.pointwise
        if not isinstance(loss, PiecewiseLoss) or not loss.is_straight:
            return self.stage_of_width(0.0)
        if isinstance(self.task.learning_rate, str):
            return self.stage_of_width(self.first_width)
        return self.stage_of_width(KINK * (self.task.tol or SMOOTHEST) if loss.is_kinked else 0.0, is_last=True)

    def stage_of_width(self, width: float, *, is_last: bool = False) -> "Stage":
        """Give the descent of the twin of a width, in standard deviations of y; 0 for the loss itself."""
        loss, own = self.pointwise, self.task.loss_in(self.unit_frame.target_scale)
        if width > 0:
            unit = float((self.unit_frame.target_scale / self.frame.target_scale).max())
            twin, own = loss.smoothed(width * unit), own.smoothed(width)
        if width == 0 or np.all(twin.curvature >= NARROW * loss.curvature):
            twin, own, is_last = loss, self.task.loss_in(self.unit_frame.target_scale), True
        steepest = float(np.max(twin.curvature)), float(np.max(own.curvature))
        return Stage(self, loss, twin, width, *steepest, is_last=is_last or width <= LEAST_WIDTH)

    def optimality(self, value: NDArray, decrement: NDArray, slack: NDArray) -> float:
        """Measure the certificate from the objective and what is left to gain: the worst output's.

        sqrt(2 gap / F0) for losses of degree 2. For those of degree 1 the gap as a share of the
        objective itself, or of a thousandth of F0 if that is more.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            gap = decrement + slack
            if self.degree == 1:
                return float((gap / np.maximum(value / self._unit_to_frame, SMALL_SHARE * self.baseline)).max())
            return float(np.sqrt(2.0 * gap / self.baseline).max())

    def mean_loss(self, value: NDArray) -> float:
        """Average a value over outputs, in the units of y to the power of the degree."""
        with np.errstate(over="ignore"):
            if self.degree == 1:
                return float((value * self.frame.target_scale).mean())
            return float(((np.sqrt(np.maximum(value, 0.0)) * self.frame.target_scale) ** 2).mean())

    def merit(self, value: NDArray) -> float:
        """Average a value over outputs, in the largest unit of an output: representable for any y."""
        scale = self.frame.target_scale
        return float((value * (scale / scale.max()) ** self.degree).mean())


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

    def descend(self, start: NDArray, first: int) -> Iterator[State]:
        """Descend from a point, `first` epochs after the start of it all."""
        task, rows = self.plan.task, self.plan.rows
        batches, updates = None, 1
        if task.batch_size is not None:
            batches, updates = self._batches(task.batch_size), n_batches(rows, task.batch_size)
        mean = None
        if task.average:
            mean = Mean(skip=-(-(task.average - 1) // (task.batch_size or rows.n_weighted)))
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

    def _batches(self, size: int) -> Iterator[DataObjective]:
        plan = self.plan
        penalty = plan.task.penalty_in(plan.frame)
        for part in endless_batches(plan.rows, size, plan.task.shuffle):
            share = batch_share(part, plan.rows)
            yield DataObjective(part, plan.frame, self.twin, penalty, total_weight=share)

    def certificate(self, state: State) -> tuple[NDArray, NDArray]:
        """Bound by how much the objective lies above its minimum, in units of the plan's unit frame.

        Returns
        -------
        decrement : ndarray of shape (n_outputs,)
            r' H^-1 r / 2 for the shortest subgradient r: what is left to gain with this twin.
        slack : ndarray of shape (n_outputs,)
            What the width of the twin may cost.
        """
        plan, evaluation = self.plan, state.evaluation
        gradient = evaluation.gradient
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            if plan.is_raw:
                in_raw = gradient * plan.frame.target_scale ** (plan.degree - 1)
                gradient = plan.unit_frame.gradient_from_raw(in_raw, plan.degree)
            residual = plan.task.penalty_in(plan.unit_frame).residual(state.point, gradient)
            slack = evaluation.slack / plan._unit_to_frame * np.ones(state.point.shape[1])
            if evaluation.curvatures is not None:
                decrement = _newton_decrement(residual, *evaluation.curvatures)
            else:
                squared = (residual * plan.certificate_metric(residual)).sum(axis=0)
                shown = 0.5 * self.unit_curvature * evaluation.bend
                decrement = np.divide(0.5 * squared, shown, out=np.zeros_like(squared), where=squared > 0)
        return decrement if plan.task.is_squared_error else MISTRUST * decrement, slack

    def sharper(self, epoch: Epoch) -> "Stage | None":
        """Give the next stage, if this one has settled and its width is what keeps it from the tolerance."""
        if self.is_last:
            return None
        tol = self.plan.task.tol or 0.0
        due = self.plan.optimality(epoch.state.value, np.zeros_like(epoch.slack), epoch.slack)
        has_settled = epoch.state.rate == 0.0 or bool((epoch.decrement <= SETTLED * epoch.slack).all())
        if not has_settled or (due <= tol and epoch.state.rate != 0.0):
            return None
        share = 0.5 * tol / due if due > 0 else 0.0
        typical = float((epoch.state.value / self.plan._unit_to_frame / self.steepest).max())
        return self.plan.stage_of_width(min(self.width * float(np.clip(share, *SHARPER)), typical))

    @property
    def steepest(self) -> float:
        """Largest slope of the loss, in units of the plan's unit frame."""
        return self.unit_curvature * self.width


def _newton_decrement(residual: NDArray, second: NDArray, above: NDArray) -> NDArray:
    """Give r' H^-1 r / 2 for each output, with a millionth of the curvature above H where H shows none."""
    decrement = np.empty(residual.shape[1])
    for k, r in enumerate(residual.T):
        model = definite(second[k] + BLIND * (above[k] - second[k]))
        _, step, info = lapack.dposv(model, r, lower=1)
        decrement[k] = 0.5 * r @ step if info == 0 else np.inf
    return decrement


BLIND = 1e-6
"""Share of the curvature of a touching parabola that counts where the second derivatives show none."""


def make_plan(rows: RowBlocks, task: Task) -> Plan:
    """Choose the objective, the frame, the metric, the optimizer and the rate for these rows.

    Parameters
    ----------
    rows : RowBlocks
        Training rows.
    task : Task
        What is asked for.

    Returns
    -------
    Plan

    Raises
    ------
    ValueError
        If X holds NaN or infinity, or if what is asked for does not go together.
    """
    n, p = rows.n_weighted, rows.n_features
    asked = features(
        loss=task.loss,
        has_prox=task.has_prox,
        schedule=task.schedule,
        batches=task.batch_size is not None,
        average=bool(task.average),
    )
    has_matrix = p <= MOMENTS_LIMIT or (_is_short_and_wide(rows, task.l2) and not asked)
    costly = set() if has_matrix else {"curvature"}
    if p > NEWTON_LIMIT:
        costly |= {"newton"}
    rung, name = choose(task.learning_rate, task.optimizer, asked, costly)
    if rung == "curvature" and min(n, p) > CURVATURE_LIMIT:
        raise ValueError(
            f"learning_rate='curvature' would hold a matrix of {p} x {p} numbers: use 'diagonal' or 'auto'."
        )
    rule = OPTIMIZERS[name](task.momentum)
    raw = rung in ("float", "lipschitz")
    is_newton, on_data = name == "newton", not task.is_squared_error
    is_mostly_parabola = isinstance(task.pointwise, PiecewiseLoss) and task.degree == 2
    gathers_cross = (p <= MOMENTS_LIMIT or (rung == "curvature" and n > p)) and not (
        is_newton and on_data and not is_mostly_parabola
    )
    factors_rows = (rung == "curvature" or has_matrix) and not is_newton

    moments = gather(rows, cross=gathers_cross)
    if not task.fit_intercept:
        moments = moments.about_origin()
    unit = target_scale(moments)
    first_width = float(_root_mean_square(moments, unit).max())
    alpha = _relative_alpha(task, unit, first_width)
    unit_frame = Frame.unit_curvature(moments, alpha=alpha, fit_intercept=task.fit_intercept)

    def keep_digits(curvature: Curvature | None) -> bool:
        """Whether a fit from the moments is as good as one from the data."""
        if curvature is None or not gathers_cross:
            return False
        eps = np.finfo(np.float64).eps
        return bool(eps * moments.cancellation.max() * curvature.inflation <= DIGITS)

    curvature = Curvature.from_moments(moments, unit_frame, alpha) if gathers_cross and n > p else None
    moments_suffice = keep_digits(curvature)
    if factors_rows and not moments_suffice:
        curvature = Curvature.from_rows(rows, moments, unit_frame, alpha)
        # Of collinear columns the moments are as good, in a metric that keeps off what is only rounding.
        moments_suffice = rung == "curvature" and keep_digits(curvature)

    frame = Frame.raw(moments, fit_intercept=task.fit_intercept) if raw else unit_frame
    penalty, pointwise = task.penalty_in(frame), task.loss_in(frame.target_scale)
    dtype: type = np.float64
    uses_matrix = rung == "curvature" and curvature is not None and not is_newton
    whole: MomentObjective | DataObjective
    if task.is_squared_error and gathers_cross and (raw or moments_suffice):
        whole = MomentObjective(moments, frame, penalty)
    else:
        small = rows.n_samples * p * rows.n_outputs <= EXTENDED_LIMIT
        if task.is_squared_error and not (asked or raw or rows.is_sparse) and small:
            dtype = np.longdouble
        rows = rows if dtype is np.float64 else rows.astype(dtype)
        seen, through, gram = rows, frame, None
        if is_newton and gathers_cross and is_mostly_parabola:
            gram = 0.5 * MomentObjective(moments, frame, frame.penalty(0.0, 0.0)).hessian()
        if is_newton and not rows.is_sparse and rows.n_samples * p <= COPY_LIMIT:
            seen, through = _standardised(rows, frame)
        whole = DataObjective(seen, through, pointwise, penalty, gram=gram, compensated=dtype is np.longdouble)

    metric: Any = curvature if uses_matrix else identity
    steepest, rate = None, float(getattr(rule, "rate", 1.0 if uses_matrix else 0.5))
    if raw or (rule.stability < float("inf") and not uses_matrix):
        steepest = _steepest(rows, moments, frame, alpha)
        rate = 1.0 / steepest if steepest > 0 else 1.0
    if task.batch_size is not None and rule.stability < float("inf"):
        rate = _batch_rate(rows, task.batch_size, frame, curvature if uses_matrix else None, steepest)
        rate *= rule.batch_share
    if rung == "float":
        rate = float(task.learning_rate)
    return Plan(
        task=task,
        rows=rows,
        whole=whole,
        pointwise=pointwise,
        frame=frame,
        unit_frame=unit_frame,
        optimizer=rule,
        metric=metric,
        rate=rate,
        certificate_metric=curvature or half,
        baseline=_baseline(task, rows, unit_frame),
        first_width=first_width,
        refine=uses_matrix and not asked and not moments_suffice and rule.lands,
        dtype=dtype,
        moments=moments,
        largest_curvature=steepest if raw else None,
        rung=rate if raw else rung,
        optimizer_name=name,
    )


def _standardised(rows: RowBlocks, frame: Frame) -> tuple[RowBlocks, Frame]:
    """Give the same rows in the coordinates of a frame, and the frame that leaves these as they are."""
    X = (rows.X - frame.center) * frame.inverse_scale
    if frame.fit_intercept:
        X = np.column_stack([X, np.ones(rows.n_samples)])
    y = (rows.y - frame.target_center) / frame.target_scale
    return RowBlocks(X, y, rows.weight), Frame.identity(X.shape[1], y.shape[1])


def _root_mean_square(moments: Moments, unit: NDArray) -> NDArray:
    """Give that of y in some unit: how far from y a start at zero is."""
    return np.hypot(moments.target_unit * np.sqrt(moments.target_variance) / unit, moments.target_mean / unit)


def _relative_alpha(task: Task, unit: NDArray, first_width: float) -> float:
    """Give alpha of the squared error whose curvatures are at least those of the first twin, up to a factor."""
    loss = task.loss_in(unit)
    if isinstance(loss, PiecewiseLoss):
        loss = loss.smoothed(first_width)
    with np.errstate(over="ignore"):
        return float((task.l2 * unit ** (2 - task.degree) / loss.curvature).max())


def _baseline(task: Task, rows: RowBlocks, frame: Frame) -> NDArray:
    """Give the mean loss of the best constant (without an intercept: of 0), in units of the frame; 1 for 0."""
    y = np.asarray((rows.y - frame.target_center) / frame.target_scale, dtype=np.float64)
    weight = None if rows.weight is None else np.asarray(rows.weight, dtype=np.float64)
    zero = -frame.target_center / frame.target_scale
    losses = np.empty(y.shape[1])
    for k in range(y.shape[1]):
        loss = task.loss_in(frame.target_scale[k])
        constant = zero[k]
        if task.fit_intercept:
            constant = loss.best_constant(y[:, k], weight)
        losses[k] = np.average(loss.value(y[:, k] - constant), weights=weight)
    return np.where(losses > 0, losses, 1.0)


def _steepest(rows: RowBlocks, moments: Moments, frame: Frame, alpha: float) -> float:
    """Give the largest curvature for squared error in the coordinates of a frame."""
    first = replace(frame, target_center=frame.target_center[:1], target_scale=frame.target_scale[:1])
    penalty = first.penalty(0.0, 2.0 * alpha)
    objective: MomentObjective | DataObjective
    if moments.cross is not None:
        objective = MomentObjective(moments, first, penalty)
    else:
        one_output = RowBlocks(rows.X, rows.y[:, :1], rows.weight)
        objective = DataObjective(one_output, first, squared_error(), penalty)
    return largest_curvature(objective, rows.n_features + frame.fit_intercept)


def _batch_rate(rows: RowBlocks, size: int, frame: Frame, curvature: Curvature | None, steepest: float | None) -> float:
    """Give a rate for mini-batches: a share of 1/L, with what the rows of a batch add to L (Ma et al., 2018)."""

    def coordinates(X: NDArray) -> NDArray:
        standardised = (X - frame.center) * frame.inverse_scale
        if curvature is not None:
            standardised = standardised @ curvature.basis
        return np.column_stack([standardised, np.ones(len(X))]) if frame.fit_intercept else standardised

    added = fourth_moment(rows, coordinates, RATE_ROWS) / min(size, rows.n_weighted)
    return CAUTION / (1.0 + added) if curvature is not None else CAUTION / ((steepest or 2.0) + 2.0 * added)


def _is_short_and_wide(rows: RowBlocks, l2: float) -> bool:
    small = rows.n_samples <= MOMENTS_LIMIT and rows.n_samples * rows.n_features <= FACTOR_LIMIT
    return small and not rows.is_sparse and l2 == 0
