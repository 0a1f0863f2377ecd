"""From a plan to what a user is given: the descent is followed, and where it led is put in terms of the raw columns."""

from dataclasses import replace
from functools import partial
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from gdregress.blocks import RowBlocks, Rows
from gdregress.callbacks import FitTask
from gdregress.checks import check_finite
from gdregress.descent import Epoch, History, Observer, State, Stop, anneal, follow, one_by_one
from gdregress.eigenbasis import Stretch
from gdregress.frames import Frame
from gdregress.inputs import check_same
from gdregress.moments import Moments
from gdregress.passes import BATCHES, LEAST_BATCH, Course, Pass
from gdregress.plan import Plan, Stage
from gdregress.planner import needs_products, plan_for_chunk
from gdregress.progress import Progress
from gdregress.stopping import plural, stopping_rules
from gdregress.streams import moments_of_chunk
from gdregress.task import Task
from gdregress.validation import validation_value


class Shape(NamedTuple):
    """Of what coefficients are made: their dtype, and whether they are those of a single target."""

    dtype: Any
    single: bool

    def of(self, raw: NDArray, dtype: Any = None) -> NDArray:
        """Turn (n_features, n_outputs) or (n_outputs,) into the shape, and the dtype, of a fitted attribute."""
        raw = raw.T.astype(self.dtype if dtype is None else dtype)
        return raw[0] if self.single else np.ascontiguousarray(raw)


class Outcome(NamedTuple):
    """What a descent came to: fitted attributes, why it ended, and the interrupt that ended it, if one did."""

    attributes: dict[str, Any]
    stop: Stop
    interrupt: KeyboardInterrupt | None


def starting_point(estimator: Any, frame: Frame, dtype: Any, rng: np.random.RandomState) -> NDArray:
    """Give the point to start from: zeros, random, or where the last fit ended.

    Raises
    ------
    ValueError
        If the last fit was one of other features or outputs.
    """
    p, m = len(frame.center), len(frame.target_center)
    if estimator.warm_start and hasattr(estimator, "coef_"):
        coef = np.atleast_2d(estimator.coef_).T
        if coef.shape != (p, m):
            raise ValueError(
                f"warm_start=True would go on from {coef.shape[0]} features and {coef.shape[1]} outputs, "
                f"but these data have {p} and {m}: set warm_start=False, or fit a clone."
            )
        return frame.from_raw(coef.astype(dtype), np.ravel(estimator.intercept_).astype(dtype))
    if estimator.init == "random":
        return rng.standard_normal((p + estimator.fit_intercept, m)).astype(dtype)
    return frame.from_raw(np.zeros((p, m), dtype), np.zeros(m, dtype))


def carry_out(
    estimator: Any,
    plan: Plan,
    start: NDArray,
    shape: Shape,
    *,
    held_out: Rows | None = None,
    callbacks: FitTask | None = None,
) -> Outcome:
    """Follow the descent that is planned.

    Parameters
    ----------
    estimator : GradientDescentRegressor
        Its parameters say when to stop, and what to record and to print.
    plan : Plan
        The descent.
    start : ndarray of shape (n_coordinates, n_outputs)
        Where it starts.
    shape : Shape
        Of the coefficients.
    held_out : Rows, default=None
        Rows for early stopping.
    callbacks : FitTask, default=None
        Told of every epoch.

    Returns
    -------
    Outcome
    """
    validate = None if held_out is None else validation_value(held_out, plan)

    def measure(stage: Stage, state: State | Stretch) -> Epoch:
        certificate = stage.certificate(state)
        optimality = plan.optimality(state.value, certificate.gap)
        penalty = plan.whole.penalty
        loss = plan.mean_loss(state.value if penalty.is_nothing else state.value - state.each(penalty.value))
        raw = plan.frame.to_raw(state.point) if estimator.record_path else None
        merit, validation_loss = optimality if plan.refine else plan.merit(state.value), np.nan
        if validate is not None:
            value = state.each(validate)
            merit, validation_loss = plan.merit(value), plan.mean_loss(value)
        return Epoch(state, loss, optimality, certificate, validation_loss, merit, raw)

    rules = stopping_rules(
        plan,
        tol=estimator.tol or None,
        target_loss=estimator.target_loss,
        patience=estimator.n_iter_no_change if estimator.early_stopping else None,
        epochs=estimator.epochs,
    )
    history = History(keep_best=plan.refine or held_out is not None)
    epochs = anneal(plan.first_stage(), start, measure)
    observers: list[Observer] = []
    if callbacks is not None:
        epochs = one_by_one(epochs)
        observers.append(callbacks.observer(partial(_solution, plan, shape)))
    progress = Progress(int(estimator.verbose), validates=held_out is not None)
    if estimator.verbose:
        observers.append(progress)
    interrupt = None
    try:
        stop = follow(epochs, rules, history, observers)
    except KeyboardInterrupt as exception:
        if not history.rows:
            raise
        interrupt = exception
        reason = f"interrupted after {plural(history.last.number)}: the coefficients reached are kept"
        stop = Stop(reason, history.kept)
        if estimator.verbose:
            progress.close(history, stop)
    attributes = _solution(plan, shape, stop.kept) | {
        "n_iter_": len(history.rows) - 1,
        "converged_": bool(estimator.tol and stop.kept.optimality <= estimator.tol),
        "stop_reason_": stop.reason,
        "learning_rate_": plan.rung,
        "optimizer_": plan.optimizer_name,
        "history_": _history(history, shape, validates=validate is not None, records=estimator.record_path),
    }
    if plan.largest_curvature is not None and plan.task.is_squared_error:
        attributes["max_learning_rate_"] = plan.max_learning_rate
    return Outcome(attributes, stop, interrupt)


def pass_over(
    estimator: Any, rows: RowBlocks, unit: float, number: int, shape: Shape, past: dict[str, Any]
) -> tuple[dict[str, Any], str | None]:
    """Descend an epoch over a chunk, from where the last has ended.

    Parameters
    ----------
    estimator : GradientDescentRegressor
        With its parameters.
    rows : RowBlocks
        The chunk.
    unit : float
        What its weights are to be multiplied by; 0 where none of its rows counts.
    number : int
        Which chunk it is, from 1.
    shape : Shape
        Of the coefficients.
    past : dict
        The estimator's attributes after the chunk before; none for the first.

    Returns
    -------
    attributes : dict
        Fitted attributes.
    warning : str or None
        What is to be warned of.
    """
    check_finite(rows.name, rows.X)
    if past:
        check_same("n_targets", 1 if shape.single else len(past["coef_"]), rows.n_outputs)
    rng = check_random_state(estimator.random_state)
    if isinstance(estimator.random_state, Integral):  # each chunk draws numbers of its own
        rng = np.random.RandomState([int(estimator.random_state), number])
    reached = Pass.of_attributes(past)
    carried = ("moments_", "learning_rate_", "optimizer_", *(["history_"] if "descent_" in past else []))
    attributes = {name: past[name] for name in carried if name in past}
    if unit > 0:
        with rows.on_threads():
            before = reached or Pass(np.empty((0, 0)))
            weighed, counted = before.taking_in(rows, unit)
            moments = _moments_so_far(estimator, rows, unit, past)
            course = _course(estimator, weighed, moments, before.time, rng)
            if reached is None:
                start = course.to_raw(starting_point(estimator, course.frame, np.float64, rng))
                counted = replace(counted, last=start)
            reached = counted.descend(weighed, course)
        if moments is not None:
            attributes["moments_"] = moments.plain()
        attributes["learning_rate_"], attributes["optimizer_"] = course.rung, course.optimizer
        latest, history = {"loss": reached.loss, "learning_rate": reached.rate}, attributes.get("history_", {})
        attributes["history_"] = {name: np.append(history.get(name, []), value) for name, value in latest.items()}
        if estimator.verbose and number % int(estimator.verbose) == 0:
            print(f"chunk {number}: loss {reached.loss:.8g} before it was learned from, rate {reached.rate:.4g}")
    assert reached is not None  # of the first chunk a row counts
    p = rows.n_features
    warning = None
    if unit > 0 and reached.has_diverged:
        warning = (
            f"the descent diverged over chunk {number} at learning_rate={reached.rate:g}: 0 for every row would be far "
            "nearer. Use a smaller rate, or learning_rate='auto'."
        )
    fitted = attributes | {
        "coef_": shape.of(reached.point[:p]),
        "intercept_": shape.of(reached.point[p])[()] if estimator.fit_intercept else 0.0,
        "n_iter_": reached.n_epochs,
        "stop_reason_": f"an epoch over chunk {number}",
        "n_samples_seen_": reached.n_samples,
        "n_chunks_seen_": number,
        "descent_": reached.plain(),
    }
    return fitted, warning


def _moments_so_far(estimator: Any, rows: RowBlocks, unit: float, past: dict[str, Any]) -> Moments | None:
    """Add a chunk's moments to those of the chunks before; None where the rate is a number, which needs none."""
    if not isinstance(estimator.learning_rate, str):
        return None
    moments = moments_of_chunk(rows, unit, cross=needs_products(estimator.learning_rate, rows.n_features))
    return Moments.from_plain(past["moments_"]).merge(moments) if "moments_" in past else moments


def _course(
    estimator: Any, rows: RowBlocks, moments: Moments | None, time: float, rng: np.random.RandomState
) -> Course:
    """Choose how to step over a chunk."""
    task = Task.of(estimator, rows.n_weighted, rng)
    if moments is None:
        return Course.raw(rows, task)
    size = estimator.batch_size or max(LEAST_BATCH, rows.n_weighted // BATCHES)
    task = replace(task, batch_size=min(size, rows.n_weighted))
    return Course.planned(plan_for_chunk(rows, moments, task), time)


def _solution(plan: Plan, shape: Shape, epoch: Epoch) -> dict[str, Any]:
    """Give the fitted attributes that are an epoch's own, fresh, on the original scale."""
    coef, intercept = plan.frame.to_raw(epoch.state.point)
    rounded = coef.astype(shape.dtype)
    # Coefficients of float32 take the mean prediction with them: the intercept makes up for it.
    intercept = intercept + plan.moments.x.mean @ (coef.astype(np.float64) - rounded)
    return {
        "coef_": shape.of(rounded),
        "intercept_": shape.of(intercept)[()] if plan.frame.fit_intercept else 0.0,
        "optimality_": epoch.optimality,
    }


def _history(history: History, shape: Shape, *, validates: bool, records: bool) -> dict[str, NDArray]:
    """Give what was measured of every epoch."""
    loss, validation_loss, optimality, rate, raw = zip(*history.rows, strict=True)
    columns: dict[str, Any] = {"loss": loss, "optimality": optimality, "learning_rate": rate}
    if validates:
        columns["validation_loss"] = validation_loss
    if records:
        columns["coef"] = [shape.of(coef, np.float64) for coef, _ in raw]
        columns["intercept"] = [shape.of(intercept, np.float64) for _, intercept in raw]
    return {name: np.array(column) for name, column in columns.items()}
