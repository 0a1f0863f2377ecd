"""`partial_fit` where the moments of the rows are not enough: one epoch of mini-batches over each chunk.

Points are carried from one chunk to the next in raw coordinates. Each chunk has its own coordinates, preconditioner
and rate. If the user gives the rate, the steps are in raw coordinates; otherwise all three follow from the moments of
all rows so far.
"""

from dataclasses import dataclass, fields, replace
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdregress.method.assembly import empty_mean, make_batches, make_update
from gdregress.method.choice import choose_for_chunks, needs_products
from gdregress.method.combinations import OPTIMIZERS, supported_pairs
from gdregress.method.descent import Batches, DescentState, Mean, Update
from gdregress.method.known import Known
from gdregress.method.preconditioners import identity
from gdregress.method.rates import steepest_curvature
from gdregress.method.sketches import DOUBTFUL
from gdregress.method.spec import Spec
from gdregress.problem.coordinates import Coordinates
from gdregress.problem.objectives import DataObjective
from gdregress.problem.problem import Problem
from gdregress.rows.chunks import moments_of_chunk
from gdregress.rows.memory import RowBlocks
from gdregress.rows.moments import Moments
from gdregress.rows.unions import union
from gdregress.solve.divergence import has_diverged
from gdregress.solve.start import random_point

LEAST_BATCH, BATCHES = 32, 50
"""Smallest default size of a mini-batch, and default number of mini-batches in a chunk, unless the rate is given."""

MOVED = 2.0
"""Factor by which the unit of a coordinate may change before the memory of the optimizer is discarded."""

SHARPENING = 0.2
"""Total step size after which mu has fallen by the factor sqrt(2): a few mini-batches."""

DIVERGED = 2.0
"""An objective above this multiple of that of zero coefficients is divergence, not the noise of mini-batches."""


@dataclass(frozen=True)
class Stream:
    """The state of a descent over chunks, between two chunks.

    Attributes
    ----------
    last : ndarray of shape (n_features + 1, n_outputs)
        The coefficients, and below them the intercepts, that the next epoch starts from.
    mean : tuple or None
        The running mean of such points, as the fields of a `Mean`, if the specification has `average`.
    optimizer : str
        A key of `OPTIMIZERS`.
    memory : ndarray, tuple or None
        Memory of that optimizer, in the coordinates of the last chunk. It is discarded if the next chunk has others.
    units : ndarray of shape (n_coordinates, n_outputs) or None
        Value of each coordinate of the last chunk for a coefficient of 1.
    plateau : tuple or None
        Fields of a `Plateau`, if the schedule is "adaptive".
    n_epochs : int
        Number of chunks descended.
    total_step_size : float
        Sum of the step sizes of all updates so far: see `ChunkDescent.step_size`.
    n_samples : int
        Number of rows of positive weight so far.
    weight : float
        Sum of their weights.
    """

    last: NDArray
    mean: tuple | None = None
    optimizer: str = ""
    memory: Any = None
    units: Any = None
    plateau: tuple | None = None
    n_epochs: int = 0
    total_step_size: float = 0.0
    n_samples: int = 0
    weight: float = 0.0

    @classmethod
    def of_attributes(cls, past: dict[str, Any]) -> "Stream":
        """Return the state from which a fitted estimator goes on: after chunks, moments or a fit.

        Parameters
        ----------
        past : dict
            Attributes of the estimator.
        """
        if "descent_" in past:
            return cls(**past["descent_"])
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
        """Return the state as a dict of arrays, numbers, strings, and tuples of these."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def counting(self, rows: RowBlocks, unit: float) -> "Stream":
        """Return the state with the rows of a chunk added to `n_samples` and `weight`.

        Parameters
        ----------
        rows : RowBlocks
            The chunk.
        unit : float
            Factor of its weights, which gives all chunks the same scale.
        """
        return replace(self, n_samples=self.n_samples + rows.n_weighted, weight=self.weight + unit * rows.total_weight)

    def weighing(self, rows: RowBlocks, unit: float) -> RowBlocks:
        """Return a chunk with its weights divided by the mean weight of all rows so far, its own included."""
        relative = unit * self.n_samples / self.weight
        if rows.weight is None and relative == 1.0:
            return rows
        return rows.with_weight(relative * (np.ones(rows.n_samples) if rows.weight is None else rows.weight))


@dataclass(frozen=True)
class ChunkDescent:
    """The descent of one epoch over a chunk.

    Attributes
    ----------
    update : Update
        What the epoch does.
    batches : Batches
        The division into mini-batches.
    objective : DataObjective
        The objective of the chunk, possibly smoothed.
    coordinates : Coordinates
        Coordinates of the steps.
    optimizer : str
        A key of `OPTIMIZERS`.
    rung : str or float
        The learning rate used: the number, or "diagonal" or "curvature".
    rate : float
        The learning rate before the factor of the schedule.
    step_size : float
        Share of the distance to the minimum of squared error that an update covers along the direction of largest
        curvature; 0 where the rate is the user's.
    start : ndarray of shape (n_features + 1, n_outputs)
        Coefficients, and below them intercepts, from which the first chunk is descended unless ``init="random"``.
    """

    update: Update
    batches: Batches
    objective: DataObjective
    coordinates: Coordinates
    optimizer: str
    rung: str | float
    rate: float
    step_size: float
    start: NDArray

    @classmethod
    def at_number(
        cls, spec: Spec, rows: RowBlocks, units: NDArray | float, rng: np.random.RandomState
    ) -> "ChunkDescent":
        """Return a descent at the user's rate, in raw coordinates. Without a batch size the chunk is one batch.

        Raises
        ------
        ValueError
            If the optimizer cannot be combined with the other parameters.
        """
        steps, terms = spec.steps, spec.terms
        optimizer = supported_pairs(steps.learning_rate, steps.optimizer, spec.asked(batches=True))[0].optimizer
        coordinates = Coordinates.plain(rows.n_features, rows.n_outputs, fit_intercept=terms.fit_intercept)
        coordinates = replace(coordinates, penalized=units)
        size, rate = steps.batch_rows(rows.n_weighted) or rows.n_weighted, float(steps.learning_rate)
        batches = make_batches(spec, rows, size, rng, 1.0)
        update = Update(
            OPTIMIZERS[optimizer](steps.momentum), identity, steps.schedule, empty_mean(steps.average, size)
        )
        loss = terms.loss.in_units(coordinates.target_scale)
        objective = DataObjective(rows, coordinates, loss, terms.penalty_in(coordinates))
        zero = np.zeros((rows.n_features + 1, rows.n_outputs))
        return cls(update, batches, objective, coordinates, optimizer, rate, rate, 0.0, zero)

    @classmethod
    def by_curvature(
        cls, spec: Spec, rows: RowBlocks, moments: Moments, total_step_size: float, rng: np.random.RandomState
    ) -> "ChunkDescent":
        """Return a descent whose coordinates, preconditioner and rate follow from the moments of all rows so far.

        A loss that ends in straight lines is smoothed by mu, which falls with the square root of the total step size.
        The rate falls in proportion to mu. It goes on falling when mu is so small that the loss itself is descended
        (Robbins and Monro, 1951). With bounded steps an optimizer starts near the best constant.
        """
        has_products = moments.cross is not None
        pair = choose_for_chunks(spec, rows.n_features, has_products=has_products)
        problem = Problem.of(spec.terms, moments, rows)
        size = min(spec.steps.batch_size or max(LEAST_BATCH, rows.n_weighted // BATCHES), rows.n_weighted)
        known = Known.of_spectrum(problem, DOUBTFUL, products=has_products)
        if pair.is_raw:
            problem = problem.in_raw_coordinates()
        batches = make_batches(spec, rows, size, rng, 1.0)
        update, base, steepest = make_update(pair, spec, problem, known.inverse, batches)
        rate, start = base.rate, np.zeros((rows.n_features + 1, rows.n_outputs))
        spread, standard = problem.spread, problem.standard
        if update.optimizer.has_bounded_steps:
            spread = min(spread, 2.0**0.5)  # the size of residuals a standard deviation from the mean
            if spec.terms.fit_intercept:
                middle = standard.target_center + standard.target_scale * problem.constant
                start[-1] = np.clip(0.0, middle - standard.target_scale, middle + standard.target_scale)
        mu = spread / (1.0 + total_step_size / SHARPENING) ** 0.5
        own, fall = spec.terms.loss.in_units(problem.standard.target_scale), 1.0
        if own.is_straight and own.width > 0.0 and update.optimizer.own_rate is None:
            fall = min(1.0, mu / own.width)
        problem = problem.smoothed(mu)
        return cls(
            update,
            batches,
            problem.from_rows(),
            problem.coordinates,
            pair.optimizer,
            rate if pair.is_raw else pair.rung,
            fall * base.of(problem),
            rate * (steepest / 2.0 if pair.is_raw and steepest is not None else 1.0),
            start,
        )

    @property
    def units(self) -> NDArray:
        """Value of each coordinate for a coefficient of 1, of shape (n_coordinates, n_outputs)."""
        scale = np.append(self.coordinates.scale, np.ones(int(self.coordinates.fit_intercept)))
        return np.outer(scale, 1.0 / self.coordinates.target_scale)

    def from_raw(self, point: NDArray) -> NDArray:
        """Return the point whose coefficients, and below them intercepts, are given."""
        return self.coordinates.from_raw(point[:-1], point[-1])

    def to_raw(self, point: NDArray) -> NDArray:
        """Return the coefficients of a point, and below them its intercepts."""
        coef, intercept = self.coordinates.to_raw(point)
        return np.vstack([coef, intercept.astype(np.float64)])

    def position(self, stream: Stream, seen: Any, value: float) -> DescentState:
        """Return the position at which the last chunk ended, in the coordinates of this chunk.

        The memory of the optimizer is discarded if the optimizer or the coordinates have changed.

        Parameters
        ----------
        stream : Stream
            The state after the chunk before.
        seen : iterator of DataObjective
            The objectives of the mini-batches; the first is consumed.
        value : float
            The objective of this chunk, for ``schedule="adaptive"``.
        """
        point = self.from_raw(stream.last)
        step, schedule, mean = self.update.first(point, next(seen).evaluate([point])[0])
        if self.optimizer == stream.optimizer and _are_near(self.units, stream.units):
            step = step._replace(memory=stream.memory)
        if mean is not None and stream.mean is not None:
            mean = Mean(*stream.mean)
            mean = mean._replace(point=None if mean.point is None else self.from_raw(mean.point))
        if stream.plateau is not None:
            schedule = schedule.recalling(stream.plateau).after(value)
        return DescentState(step, schedule, mean)

    def epoch(self, stream: Stream) -> "ChunkEpoch":
        """Descend over the chunk, one mini-batch after the other.

        Raises
        ------
        ValueError
            If a coefficient is no longer finite.
        """
        whole, batches = self.objective.exact(), self.batches
        to_y = self.coordinates.target_scale**whole.degree
        [before] = whole.values([self.from_raw(stream.point)])
        seen = self.objective.batches(*batches)
        position = self.position(stream, seen, float((before * to_y).sum()))
        rate = self.rate * position.schedule(stream.n_epochs)
        updates = batches.count(self.objective.n_weighted)
        position = self.update.advance(position, seen, rate, updates)
        step, mean = position.step, position.mean
        last = self.to_raw(step.point)
        after, without = whole.values([step.point, self.from_raw(np.zeros_like(last))])
        value = before - whole.penalty.value(self.from_raw(stream.point))
        if not np.isfinite(last).all():
            raise ValueError(
                f"the descent diverged at learning_rate={rate:g}: use a smaller one, or scale the columns."
            )
        after_chunk = replace(
            stream,
            last=last,
            mean=mean and tuple(mean._replace(point=self.to_raw(mean.point))),
            optimizer=self.optimizer,
            memory=step.memory,
            units=self.units,
            plateau=position.schedule.memory,
            n_epochs=stream.n_epochs + 1,
            total_step_size=stream.total_step_size + updates * self.step_size,
        )
        diverged = has_diverged(np.array([before.sum(), after.sum()]), DIVERGED * float(without.sum()))
        return ChunkEpoch(after_chunk, float((value * to_y).mean()), rate, bool(diverged[-1]))


@dataclass(frozen=True)
class ChunkEpoch:
    """The result of an epoch over a chunk.

    Attributes
    ----------
    stream : Stream
        The state after the chunk.
    loss : float
        Mean loss of the chunk before the epoch, averaged over outputs.
    rate : float
        Learning rate of the epoch.
    has_diverged : bool
        Whether the objective of the chunk has risen, and is more than `DIVERGED` times that of zero coefficients.
    """

    stream: Stream
    loss: float
    rate: float
    has_diverged: bool


def descend_chunk(
    spec: Spec, rows: RowBlocks, unit: float, number: int, past: dict[str, Any]
) -> tuple[Stream, dict[str, Any], str | None]:
    """Descend one epoch over a chunk, from where the chunk before ended.

    Parameters
    ----------
    spec : Spec
        The specification.
    rows : RowBlocks
        The chunk, with at least one row of positive weight.
    unit : float
        Factor of its weights, which gives all chunks the same scale.
    number : int
        Number of the chunk, from 1.
    past : dict
        Attributes of the estimator after the chunk before; empty for the first chunk.

    Returns
    -------
    stream : Stream
        The state after the chunk.
    attributes : dict
        Fitted attributes that describe the epoch.
    warning : str or None
        The text of a warning, if the descent diverged.
    """
    rng = _rng_of_chunk(spec, number)
    before = Stream.of_attributes(past) if past else Stream(np.zeros((rows.n_features + 1, rows.n_outputs)))
    counted = before.counting(rows, unit)
    attributes: dict[str, Any] = {}
    with rows.on_threads():
        weighed = counted.weighing(rows, unit)
        if spec.steps.is_number:
            units: NDArray | float = 1.0
            if spec.terms.standardize:
                moments = _moments_so_far(spec, rows, unit, past)
                attributes["moments_"], units = moments.plain(), spec.terms.units(moments)
            chunk = ChunkDescent.at_number(spec, weighed, units, rng)
        else:
            moments = _moments_so_far(spec, rows, unit, past)
            attributes["moments_"] = moments.plain()
            chunk = ChunkDescent.by_curvature(spec, weighed, moments, before.total_step_size, rng)
        if not past:
            start = chunk.start
            if spec.init == "random":
                start = chunk.to_raw(random_point(chunk.coordinates, rng).astype(np.float64))
            counted = replace(counted, last=start)
        done = chunk.epoch(counted)
    history = past.get("history_", {}) if "descent_" in past else {}
    latest = {"loss": done.loss, "learning_rate": done.rate}
    attributes["learning_rate_"], attributes["optimizer_"] = chunk.rung, chunk.optimizer
    attributes["history_"] = {name: np.append(history.get(name, []), value) for name, value in latest.items()}
    if spec.verbose and number % spec.verbose == 0:
        print(f"chunk {number}: loss {done.loss:.8g} before learning from it, rate {done.rate:.4g}")
    warning = None
    if done.has_diverged:
        smaller = "a smaller rate"
        if spec.steps.is_number:
            ceiling = _ceiling(spec, weighed, chunk.update.optimizer.stability)
            smaller = (
                f"a rate below {ceiling:.4g}, the stability ceiling of this chunk" if ceiling < np.inf else smaller
            )
        warning = (
            f"the descent diverged over chunk {number} at learning_rate={done.rate:g}: predicting 0 for every "
            f"row would be far better. Use {smaller}, or learning_rate='auto'."
        )
    return done.stream, attributes, warning


def _ceiling(spec: Spec, rows: RowBlocks, stability: float) -> float:
    """Return the rate above which a descent of a chunk in raw coordinates diverges; infinite where none is known."""
    moments = moments_of_chunk(rows, 1.0, cross=needs_products("auto", rows.n_features))
    problem = Problem.of(spec.terms, moments, rows).in_raw_coordinates()
    share = 0.5 * problem.curvature * steepest_curvature(problem)
    return stability / share if 0 < share < np.inf else np.inf


def _rng_of_chunk(spec: Spec, number: int) -> np.random.RandomState:
    """Return the random state of a chunk. With a seed, every chunk draws other numbers."""
    seed = spec.steps.random_state
    return np.random.RandomState([int(seed), number]) if isinstance(seed, Integral) else spec.rng()


def _moments_so_far(spec: Spec, rows: RowBlocks, unit: float, past: dict[str, Any]) -> Moments:
    """Return the moments of all rows so far, those of the chunk included."""
    steps = spec.steps
    cross = not steps.is_number and needs_products(str(steps.learning_rate), rows.n_features)
    moments = moments_of_chunk(rows, unit, cross=cross)
    return union(Moments.from_plain(past["moments_"]), moments) if "moments_" in past else moments


def _are_near(units: NDArray, before: NDArray | None) -> bool:
    """Return whether no unit has changed by more than the factor `MOVED`.

    Units of 0 are left out: a column that has not varied before has no memory to discard.
    """
    if before is None or before.shape != units.shape:
        return False
    ratio = np.divide(units, before, out=np.ones_like(units), where=(before > 0) & (units > 0))
    return bool((np.maximum(ratio, 1.0 / ratio) <= MOVED).all())
