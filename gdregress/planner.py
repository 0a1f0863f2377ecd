"""The one place where what is asked for meets the data at hand: objective, frame, metric, optimizer and rate."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdregress.baseline import baseline
from gdregress.batches import fourth_moment, weight_moments
from gdregress.blocks import RowBlocks, Rows
from gdregress.combinations import choose, features
from gdregress.frames import Frame, target_scale
from gdregress.learning_rates import Curvature, Metric, half, identity, largest_curvature
from gdregress.losses import PiecewiseLoss, squared_error
from gdregress.moments import Moments, gather
from gdregress.objectives import DataObjective, MomentObjective
from gdregress.optimizers import OPTIMIZERS
from gdregress.plan import Plan
from gdregress.sketches import DOUBTFUL, Sketch, Sketches, accelerated_is_cheaper, cheapest_share, is_tall
from gdregress.task import Task

MOMENTS_LIMIT = 2000
"""Features up to which the moments, 32 MB of them, are gathered and factored."""

FACTOR_LIMIT = 2**24
"""Entries of X up to which a wide X, of at most `MOMENTS_LIMIT` rows, is factored itself."""

CURVATURE_LIMIT = 2**15
"""Features beyond which, or rows if fewer, a matrix of curvatures is refused even if asked for."""

NEWTON_LIMIT = 500
"""Features up to which Newton's steps solve quadratic programs; without a prox there are none to solve."""

DIGITS = 1e-10
"""Relative error of a fit from moments, as estimated, up to which they are taken for the data."""

EXTENDED_LIMIT = 2**17
"""Entries of a dense X, times outputs, up to which a recomputed residual is so in extended precision."""

COPY_LIMIT = 2**19
"""Entries of a dense X up to which its standardised columns are kept, where every epoch multiplies them out."""

CAUTION = 0.1
"""Share of the largest sensible rate that mini-batches take: their noise is as large as their rate."""

RATE_ROWS = 1000
"""Rows from which the rate of mini-batches is estimated."""


def make_plan(rows: Rows, task: Task) -> Plan:
    """Choose the objective, the frame, the metric, the optimizer and the rate for these rows.

    Parameters
    ----------
    rows : Rows
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
    choice = _choose(rows, task)
    moments = gather(rows, cross=choice.cross, precision=np.float64 if choice.share is None else np.float32)
    return _plan(rows, task, choice, moments)


def plan_from_moments(moments: Moments, task: Task) -> Plan:
    """Plan a descent from moments alone, the rows being gone: squared error, full batches.

    Parameters
    ----------
    moments : Moments
        Of all rows, with `cross`.
    task : Task
        What is asked for.

    Returns
    -------
    Plan
    """
    return _plan(None, task, Choice.of(task, _costly(len(moments.x.mean), task)), moments)


def needs_products(learning_rate: str, n_features: int) -> bool:
    """Tell whether a descent over chunks is to know the products of their columns."""
    return learning_rate == "curvature" or n_features <= NEWTON_LIMIT


def plan_for_chunk(rows: RowBlocks, moments: Moments, task: Task) -> Plan:
    """Plan the mini-batches of a chunk of rows, with the curvature of all rows so far.

    Parameters
    ----------
    rows : RowBlocks
        The chunk, with weights in units of the mean weight of all rows so far.
    moments : Moments
        Of all rows so far, those of the chunk included.
    task : Task
        What is asked for; the rate is not a number.

    Returns
    -------
    Plan
    """
    has_matrix = moments.cross is not None
    costly = {"curvature"} if len(moments.x.mean) > NEWTON_LIMIT or not has_matrix else set()
    return _plan(rows, task, replace(Choice.of(task, costly), cross=has_matrix), moments, mean_weight=1.0)


def _plan(
    rows: Rows | None, task: Task, choice: "Choice", moments: Moments, *, mean_weight: float | None = None
) -> Plan:
    """Put together what was chosen, and what the moments say."""
    if not task.fit_intercept:
        moments = moments.about_origin()
    unit = target_scale(moments)
    first_width = float(_root_mean_square(moments, unit).max())
    alpha = _relative_alpha(task, unit, first_width)
    unit_frame = Frame.unit_curvature(moments, alpha=alpha, fit_intercept=task.fit_intercept)
    frame = Frame.raw(moments, fit_intercept=task.fit_intercept) if choice.is_raw else unit_frame
    known = _know(rows, task, choice, moments, unit_frame, alpha)
    pointwise = task.loss_in(frame.target_scale)
    whole, rows, dtype = _objective(rows, task, choice, moments, frame, known, pointwise)
    matrix = known.metric if choice.rung == "curvature" and not choice.is_newton else None
    needs_steepest = choice.is_raw or (choice.rule.stability < float("inf") and matrix is None)
    steepest = _steepest(rows, moments, frame, alpha) if needs_steepest else None
    rate = _rate(task, choice.rule, choice.rung, rows, frame, matrix, steepest, mean_weight)
    is_exact = matrix is not None and choice.share is None and choice.rule.lands
    return Plan(
        task=task,
        rows=rows,
        whole=whole,
        pointwise=pointwise,
        frame=frame,
        unit_frame=unit_frame,
        optimizer=choice.rule,
        metric=matrix or identity,
        rate=rate,
        certificate_metric=_certificate_metric(task, known.certificate_metric),
        baseline=baseline(task, rows, moments, unit_frame),
        first_width=first_width,
        refine=is_exact and not choice.asked and (rows is None or not known.moments_suffice),
        dtype=dtype,
        moments=moments,
        largest_curvature=steepest if choice.is_raw else None,
        patience=known.patience,
        finer=known.finer,
        rung=rate if choice.is_raw else choice.rung,
        optimizer_name=choice.optimizer,
    )


@dataclass(frozen=True)
class Choice:
    """What these rows and this task come to, before a row is read.

    Attributes
    ----------
    rung, optimizer : str
        Of the ladder, and a key of `OPTIMIZERS`.
    rule : Optimizer
        The optimizer itself.
    asked : set of str
        Features that are asked for, beside the rung.
    share : float or None
        Share of the rows that the metric is made from; None for the exact one.
    cross : bool
        Whether the products of the columns are gathered.
    fallback : {"rows", "spectrum"} or None
        What is factored where the moments have lost too many digits for a triangle of their products: the rows
        themselves, or the products with what rounding may have made left out.
    """

    rung: str
    optimizer: str
    rule: Any
    asked: set[str]
    share: float | None = None
    cross: bool = True
    fallback: str | None = "spectrum"

    @classmethod
    def of(cls, task: Task, costly: set[str]) -> "Choice":
        """Choose rung and optimizer; what is costly is left to those who ask for it by name.

        Parameters
        ----------
        task : Task
            What is asked for.
        costly : set of str
            Rungs and optimizers.
        """
        asked = _asked(task)
        rung, optimizer = choose(task.learning_rate, task.optimizer, asked, costly)
        return cls(rung, optimizer, OPTIMIZERS[optimizer](task.momentum), asked)

    @property
    def is_raw(self) -> bool:
        """Whether the rate is a number in the raw coordinates."""
        return self.rung in ("float", "lipschitz")

    @property
    def is_newton(self) -> bool:
        """Whether curvatures are those of the point."""
        return self.optimizer == "newton"


def _choose(rows: Rows, task: Task) -> Choice:
    """Choose rung and optimizer, and what is to be known of the rows."""
    n, p = rows.n_weighted, rows.n_features
    asked = _asked(task)
    share = _share(rows, task, asked)
    is_tall_or_wide = is_tall(n, p) or _is_short_and_wide(rows)
    has_matrix = p <= MOMENTS_LIMIT or share is not None or (is_tall_or_wide and not (asked or rows.is_sparse))
    costly = _costly(p, task) | (set() if has_matrix else {"curvature"})
    if share is not None:
        costly |= {"gd", "newton"}  # which need exact curvatures
    choice = Choice.of(task, costly)
    if choice.rung == "curvature" and min(n, p) > CURVATURE_LIMIT:
        raise ValueError(
            f"learning_rate='curvature' would hold a matrix of {p} x {p} numbers: use 'diagonal' or 'auto'."
        )
    cross = p <= MOMENTS_LIMIT or choice.rung == "curvature"
    if n <= p and not (choice.is_raw or rows.is_sparse):
        cross = False  # the rows themselves say more, and are fewer
    if choice.is_newton and not _is_mostly_parabola(task):
        cross = False  # the products that it needs are others at every epoch
    return replace(
        choice,
        share=share,
        cross=cross if share is None else share == 1.0,
        fallback="rows" if (choice.rung == "curvature" or has_matrix) and not choice.is_newton else None,
    )


def _costly(n_features: int, task: Task) -> set[str]:
    """Name the optimizers that are too dear for so many columns."""
    return {"newton"} if n_features > (NEWTON_LIMIT if task.has_prox else MOMENTS_LIMIT) else set()


def _asked(task: Task) -> set[str]:
    """Name what is asked of the optimizer, beside the rung."""
    return features(
        loss=task.loss,
        has_prox=task.has_prox,
        schedule=task.schedule,
        batches=task.batch_size is not None,
        average=bool(task.average),
    )


def _share(rows: Rows, task: Task, asked: set[str]) -> float | None:
    """Give the share of the rows that the metric is made from; None for the exact one, or none."""
    n, p, loss = rows.n_weighted, rows.n_features, {"any loss"}
    if not task.tol or rows.is_sparse or asked - loss or task.learning_rate not in ("auto", "curvature"):
        return None
    if not asked and task.optimizer in ("auto", "conjugate"):
        return cheapest_share(n, p, rows.n_outputs, task.tol, samples=isinstance(rows, RowBlocks))
    if asked == loss and _is_mostly_parabola(task) and task.optimizer in ("auto", "nesterov"):
        return 1.0 if accelerated_is_cheaper(n, p) else None
    return None


@dataclass(frozen=True)
class Known:
    """What the moments, and where they do not suffice the rows, tell of the curvature.

    Attributes
    ----------
    metric, certificate_metric : Curvature, WideCurvature or None
        The inverse curvature, and one in which the certificate is a bound; None where the diagonal has to do.
    quadratic : MomentObjective or None
        Squared error and L2 in the unit-curvature frame; None where it is not known from moments.
    moments_suffice : bool
        Whether a fit from the moments is as good as one from the data.
    patience : float
        Epochs after which to go on in a finer metric.
    finer : iterator of Sketch
        Finer metrics.
    """

    metric: Metric | None
    certificate_metric: Metric | None
    quadratic: MomentObjective | None = None
    moments_suffice: bool = False
    patience: float = float("inf")
    finer: Iterator[Sketch] = field(default_factory=lambda: iter(()))


def _know(rows: Rows | None, task: Task, choice: Choice, moments: Moments, frame: Frame, alpha: float) -> Known:
    """Factor what there is to factor."""
    if choice.share is not None:
        assert rows is not None
        finer = iter(Sketches(rows, moments, frame, alpha, choice.share, task.tol or 0.0, task.sampling))
        sketch = next(finer)
        patience = sketch.patience if task.is_squared_error else float("inf")  # what is foretold is of a quadratic
        return Known(sketch.metric, sketch.certificate_metric, patience=patience, finer=finer)

    def is_known_to(error: float, metric: Metric | None) -> bool:
        return metric is not None and choice.cross and moments.error(metric.inflation) <= error

    quadratic: MomentObjective | None = None
    metric: Metric | None = None
    if choice.cross:
        quadratic = MomentObjective(moments, frame, frame.penalty(0.0, 2.0 * alpha))
        if moments.n_samples > len(moments.x.mean) or alpha > 0:
            metric = Curvature.from_quadratic(quadratic, frame)
    # Mini-batches are far from the digits that moments lose.
    suffice = is_known_to(DIGITS if task.batch_size is None else DOUBTFUL, metric)
    if choice.fallback == "spectrum" and quadratic is not None and not suffice:
        metric, suffice = Curvature.from_spectrum(quadratic, frame, moments.error(1.0)), True
    elif choice.fallback == "rows" and not suffice:
        assert rows is not None
        metric = Curvature.from_rows(rows, moments, frame, alpha)
        # Of collinear columns the moments are as good, in a metric that keeps off what is only rounding.
        suffice = choice.rung == "curvature" and is_known_to(DIGITS, metric)
    return Known(metric, metric, quadratic, suffice)


def _objective(
    rows: Rows | None, task: Task, choice: Choice, moments: Moments, frame: Frame, known: Known, pointwise: Any
) -> tuple[MomentObjective | DataObjective, Rows | None, type]:
    """Give the objective, the rows in its precision, and that."""
    if task.is_squared_error and known.quadratic is not None and (choice.is_raw or known.moments_suffice):
        if choice.is_raw or task.has_prox:
            return MomentObjective(moments, frame, task.penalty_in(frame)), rows, np.float64
        return known.quadratic, rows, np.float64
    assert rows is not None
    if choice.is_newton:
        return _newton_objective(rows, moments, frame, task, pointwise), rows, np.float64
    penalty = task.penalty_in(frame)
    is_small = isinstance(rows, RowBlocks) and rows.X.size * rows.n_outputs <= EXTENDED_LIMIT
    if task.is_squared_error and is_small and not (choice.asked or choice.is_raw or rows.is_sparse):
        assert isinstance(rows, RowBlocks)
        rows = rows.astype(np.longdouble)
        return DataObjective(rows, frame, pointwise, penalty, compensated=True), rows, np.longdouble
    at_zero = None
    if task.is_squared_error:
        at_zero = MomentObjective(replace(moments, cross=None), frame, penalty)
    return DataObjective(rows, frame, pointwise, penalty, at_zero=at_zero), rows, np.float64


def _certificate_metric(task: Task, curvature: Metric | None) -> Callable[[NDArray], NDArray]:
    """Give the inverse of the curvature, or its diagonal's; both where the first is blind to what a prox leaves."""
    if curvature is None:
        return half
    if task.has_prox and curvature.is_singular:
        return lambda gradient: curvature(gradient) + half(gradient)
    return curvature


def _is_mostly_parabola(task: Task) -> bool:
    return isinstance(task.pointwise, PiecewiseLoss) and task.degree == 2


def _newton_objective(rows: Rows, moments: Moments, frame: Frame, task: Task, pointwise: Any) -> DataObjective:
    """Make the objective from data for Newton's steps: what is the same at every epoch is done once."""
    gram = None
    if moments.cross is not None:
        gram = 0.5 * MomentObjective(moments, frame, frame.penalty(0.0, 0.0)).hessian()
    penalty = task.penalty_in(frame)
    if isinstance(rows, RowBlocks) and not rows.is_sparse and rows.n_samples * rows.n_features <= COPY_LIMIT:
        rows, frame = _standardised(rows, frame)
    return DataObjective(rows, frame, pointwise, penalty, gram=gram)


def _rate(
    task: Task,
    rule: Any,
    rung: str,
    rows: Rows | None,
    frame: Frame,
    matrix: Metric | None,
    steepest: float | None,
    mean_weight: float | None,
) -> float:
    """Give the rate: the user's, that of the rule, or 1/L for a loss of curvature 2."""
    if rung == "float":
        return float(task.learning_rate)
    if rule.stability == float("inf"):
        return float(getattr(rule, "rate", 0.5 if matrix is None else 1.0))
    if task.batch_size is not None:
        assert isinstance(rows, RowBlocks)
        return rule.batch_share * _batch_rate(rows, task.batch_size, frame, matrix, steepest, mean_weight)
    if matrix is not None:
        return 1.0
    return 1.0 / steepest if steepest else 1.0


def _standardised(rows: RowBlocks, frame: Frame) -> tuple[RowBlocks, Frame]:
    """Give the same rows in the coordinates of a frame, and the frame that leaves these as they are."""
    X = (rows.X - frame.center) * frame.inverse_scale
    if frame.fit_intercept:
        X = np.column_stack([X, np.ones(rows.n_samples)])
    y = frame.targets(rows.y)
    return RowBlocks(X, y, rows.weight), Frame.plain(X.shape[1], y.shape[1], fit_intercept=False)


def _root_mean_square(moments: Moments, unit: NDArray) -> NDArray:
    """Give the root mean square of y in some unit, or 1 where y is 0: how far from y a start at zero is."""
    size = np.hypot(moments.y.deviation / unit, moments.y.mean / unit)
    return np.where(size > 0, size, 1.0)


def _relative_alpha(task: Task, unit: NDArray, first_width: float) -> float:
    """Give alpha of the squared error whose curvatures are at least those of the first twin, up to a factor."""
    if task.l2 == 0:
        return 0.0
    loss = task.loss_in(unit)
    if isinstance(loss, PiecewiseLoss):
        loss = loss.smoothed(first_width)
    with np.errstate(over="ignore"):
        return float((task.l2 * unit ** (2 - task.degree) / loss.curvature).max())


def _steepest(rows: Rows | None, moments: Moments, frame: Frame, alpha: float) -> float:
    """Give the largest curvature for squared error in the coordinates of a frame."""
    first = replace(frame, target_center=frame.target_center[:1], target_scale=frame.target_scale[:1])
    penalty = first.penalty(0.0, 2.0 * alpha)
    objective: MomentObjective | DataObjective
    if moments.cross is not None:
        objective = MomentObjective(moments, first, penalty)
    else:
        assert rows is not None
        one_output = rows.with_targets(itemgetter(np.s_[:, :1]))
        objective = DataObjective(one_output, first, squared_error(), penalty)
    return largest_curvature(objective, len(frame.center) + frame.fit_intercept)


def _batch_rate(
    rows: RowBlocks,
    size: int,
    frame: Frame,
    curvature: Metric | None,
    steepest: float | None,
    mean_weight: float | None,
) -> float:
    """Give a rate for mini-batches: a share of 1/L, with what the rows of a batch add to L (Ma et al., 2018).

    Weights count next to `mean_weight`, that of the rows if None: heavy rows add as much as many light ones.
    """

    def coordinates(X: NDArray) -> NDArray:
        standardised = (X - frame.center) * frame.inverse_scale
        if curvature is not None:
            standardised = np.sqrt(2.0) * curvature.root(standardised.T).T
        return np.column_stack([standardised, np.ones(len(X))]) if frame.fit_intercept else standardised

    heavy, uneven = weight_moments(rows, mean_weight)
    added = uneven * fourth_moment(rows, coordinates, RATE_ROWS) / min(size, rows.n_weighted)
    if curvature is not None:
        return CAUTION / (heavy + added)
    return CAUTION / (heavy * (steepest or 2.0) + 2.0 * added)


def _is_short_and_wide(rows: Rows) -> bool:
    small = rows.n_samples <= MOMENTS_LIMIT and rows.n_samples * rows.n_features <= FACTOR_LIMIT
    return small and not rows.is_sparse
