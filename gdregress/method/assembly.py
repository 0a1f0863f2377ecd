"""The building of the solver that was chosen, for a problem whose moments are known.

`gdregress.method.choice` says which of these functions builds the solver when.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gdregress.method.approached import Approached
from gdregress.method.combinations import OPTIMIZERS, Pair
from gdregress.method.confirmed import Confirmed, Dual, Projection
from gdregress.method.descent import Batches, Descent, Mean, Update
from gdregress.method.dual_ridge import DualRidge
from gdregress.method.finite_newton import FiniteNewton
from gdregress.method.geometric import Geometric
from gdregress.method.interior_point import InteriorPoint
from gdregress.method.known import FIT_ERROR, STEP_ERROR, Factoring, Known
from gdregress.method.narrowed import Narrowed, narrows
from gdregress.method.newton import Newton
from gdregress.method.preconditioners import InverseCurvature, Raised, half, identity
from gdregress.method.rates import CurvatureRate, FixedRate, Rate, batch_rate, inverse_curvature, steepest_curvature
from gdregress.method.refinement import Refinement
from gdregress.method.sampled import Sampled
from gdregress.method.sketches import DOUBTFUL, Sketches
from gdregress.method.smoothed import Smoothed
from gdregress.method.spec import Spec
from gdregress.method.states import GapFunction, Solver, estimated_by
from gdregress.method.working_rows import WorkingRows, pays
from gdregress.problem.dual import DualityGap
from gdregress.problem.objectives import Objective
from gdregress.problem.problem import EXTENDED_LIMIT, Problem
from gdregress.rows.moments import Moments
from gdregress.rows.rows import Rows

Rng = np.random.RandomState
"""Generator of samples and mini-batches."""

FEW_DIGITS, MOST_DIGITS = 1e-2, 1e-9
"""Largest estimated share of an error that a step of refinement by products of rows leaves, for it to be used. The
second is for an X so small that extended precision reaches more digits where columns or rows are nearly collinear."""

KINK = 0.1
"""Smoothing parameter mu of a loss with kinks, as a share of `tol`, where the learning rate is a number."""

SMOOTHEST = 1e-6
"""The value that replaces `tol` in this product where `tol` is None or 0."""


@dataclass(frozen=True)
class RawRate:
    """The learning rate of a descent in raw coordinates, and the largest one.

    Attributes
    ----------
    rate : float
        The learning rate before the schedule multiplies it.
    ceiling : float
        Rate above which the descent diverges; infinite where every rate converges, or none is known.
    stability : float
        The ceiling in units of 1/L.
    largest_curvature : float or None
        L of squared error; None where nothing depends on it.
    """

    rate: float
    ceiling: float
    stability: float
    largest_curvature: float | None

    @classmethod
    def of(cls, problem: Problem, rate: float, stability: float, steepest: float | None) -> "RawRate":
        """Return a rate with its ceiling, given the largest curvature of squared error."""
        curvature, ceiling = float(np.max(problem.loss.curvature)), float("inf")
        if steepest is not None and steepest > 0 and np.isfinite(curvature):
            ceiling = stability / steepest * 2.0 / curvature
        return cls(rate, ceiling, stability, steepest)


@dataclass(frozen=True)
class Choice(Pair):
    """A rung, an optimizer and what builds their solver, for rows of which none has been read.

    Attributes
    ----------
    build : callable
        Function from this choice, the specification, the problem in its unit-curvature coordinates, and a generator of
        samples and mini-batches to the solver.
    products : bool, default=False
        Whether the products of the columns are gathered.
    precision : type, default=float64
        Floating-point type in which they are computed.
    """

    build: "Build"
    products: bool = False
    precision: type = np.float64

    @classmethod
    def of(cls, pair: Pair, build: "Build", *, products: bool = False, precision: type = np.float64) -> "Choice":
        """Return the choice of a solver for a rung and an optimizer."""
        return cls(pair.rung, pair.optimizer, build, products, precision)

    def moments(self, rows: Rows) -> Moments:
        """Return the sums over the rows that the solver needs, by a pass over X."""
        return rows.moments(products=self.products, precision=self.precision)

    def method(self, spec: Spec, problem: Problem, rng: Rng) -> "Method":
        """Build the solver, with its preconditioner and its learning rate."""
        return self.build(self, spec, problem, rng)


@dataclass(frozen=True)
class Method:
    """How a problem is minimised, and what is reported about it.

    Attributes
    ----------
    problem : Problem
        The problem, in the coordinates of the descent.
    solver : Solver
        The solver that minimises it.
    choice : Choice
        The rung and the optimizer that were chosen.
    raw : RawRate or None, default=None
        The learning rate of a descent in raw coordinates; None for other solvers.
    """

    problem: Problem
    solver: Solver
    choice: Choice
    raw: RawRate | None = None

    @property
    def learning_rate(self) -> float | str:
        """The learning rate as a number in raw coordinates, or else the rung that was chosen."""
        return self.choice.rung if self.raw is None else self.raw.rate

    @property
    def starts_near_constant(self) -> bool:
        """Whether the descent from zero begins no farther from the best constant than a standard deviation of y.

        It does where its steps are bounded, so that they would take too long to a distant mean. At the constant itself
        the slope is rounding, of which such an optimizer makes steps as long as any. In raw coordinates, those of the
        textbook, it begins at zero all the same.
        """
        return not self.choice.is_raw and OPTIMIZERS[self.choice.optimizer](0.0).has_bounded_steps


Build = Callable[[Choice, Spec, Problem, Rng], Method]
"""Function that builds a solver: see `Choice`."""


def ready(solver: Solver, choice: Choice, spec: Spec, problem: Problem, rng: Rng) -> Method:
    """Return a solver that needs to know nothing of the problem."""
    return Method(problem, solver, choice)


def on_parabolas(factor: Factoring, choice: Choice, spec: Spec, problem: Problem, rng: Rng) -> Method:
    """Build Newton's method for a loss of parabolas; beside a prox, columns that need a basis have interior points."""
    basis = factor(problem, STEP_ERROR, products=choice.products).basis
    has_both = problem.terms.has_prox and basis is not None
    return Method(problem, InteriorPoint(basis) if has_both else FiniteNewton(basis), choice)


def at_kinks(factor: Factoring, choice: Choice, spec: Spec, problem: Problem, rng: Rng) -> Method:
    """Build the interior point method for a loss of lines: if rows are many, it narrows them, or begins with few."""
    basis = factor(problem, STEP_ERROR, products=choice.products).basis
    n, q, tol = problem.rows.n_weighted, problem.n_coordinates, spec.limits.tol
    whole = InteriorPoint(basis)
    solver: Solver = Narrowed(whole, tol) if narrows(n, q) else whole
    if pays(n, q):
        solver = WorkingRows.of_memory(basis, solver, tol, n)
    return Method(problem, solver, choice)


def at_kinks_elsewhere(factor: Factoring, choice: Choice, spec: Spec, problem: Problem, rng: Rng) -> Method:
    """Build Newton's method for smoothed losses, and that of few rows near a kink, if so few can be brought."""
    basis = factor(problem, STEP_ERROR, products=choice.products).basis
    solver: Solver = _annealed(Newton(Problem.with_curvatures), spec, problem)
    n, q = problem.rows.n_weighted, problem.n_coordinates
    near_kinks = WorkingRows.from_elsewhere(basis, solver, spec.limits.tol, q)
    if problem.rows.place.is_processor and near_kinks.takes_sample(n, q):
        solver = near_kinks
    elif near_kinks.takes_near_start(q):  # a GPU is near before the host has solved a sample; dask's is too large
        solver = Approached(solver, near_kinks)
    return Method(problem, solver, choice)


def by_newton(factor: Factoring, choice: Choice, spec: Spec, problem: Problem, rng: Rng) -> Method:
    """Build Newton's method, for squared error from the moments where these suffice."""
    objective: Callable[[Problem], Objective] = Problem.with_curvatures
    if problem.terms.is_squared_error:
        known = factor(problem, FIT_ERROR, products=choice.products)
        problem = known.told(problem)
        objective = Problem.from_moments if known.moments_suffice else objective
    return Method(problem, _annealed(Newton(objective), spec, problem), choice)


def with_sketches(share: float, choice: Choice, spec: Spec, problem: Problem, rng: Rng) -> Method:
    """Build a solver with approximate P: conjugate gradient for squared error, else accelerated descent."""
    tol, sampling = spec.limits.tol, spec.steps.sampling(rng)
    sketches = Sketches(problem.rows, problem.moments, problem.standard, problem.alpha, share, tol, sampling)
    if problem.terms.is_squared_error:
        return Method(problem, Sampled(sketches, tol), choice)
    sketch, rule = next(iter(sketches)), OPTIMIZERS[choice.optimizer](spec.steps.momentum)
    update = Update(rule, sketch.preconditioner, spec.steps.schedule)
    descent = Descent(update, CurvatureRate(1.0), Problem.from_rows, estimated_by(sketch.bound))
    return Method(problem, _annealed(descent, spec, problem), choice)


def by_dual(otherwise: Choice, choice: Choice, spec: Spec, problem: Problem, rng: Rng) -> Method:
    """Build the solver by the products of the rows or, where these have too few digits, that of another choice."""
    is_large = problem.rows.n_samples * problem.rows.n_features * problem.rows.n_outputs > EXTENDED_LIMIT
    dual = DualRidge.of(problem, FEW_DIGITS if is_large else MOST_DIGITS)
    return otherwise.method(spec, problem, rng) if dual is None else Method(problem, dual, choice)


def by_descent(
    exact: Callable[[], Choice | None], factor: Factoring, choice: Choice, spec: Spec, problem: Problem, rng: Rng
) -> Method:
    """Build a descent by one optimizer, or a solver that gets further with it (refinement, blocks, smoothing).

    `exact` chooses the solver that knows how low F is.
    """
    rows, limits, loss, batches = problem.rows, spec.limits, problem.terms.loss, None
    size = spec.steps.batch_rows(rows.n_weighted)
    if size is not None:
        batches = make_batches(spec, rows, size, rng, rows.total_weight / rows.n_weighted)
    # The noise of mini-batches exceeds the rounding of moments by far.
    known = factor(problem, FIT_ERROR if batches is None else DOUBTFUL, products=choice.products)
    problem = standard = known.told(problem)
    if choice.is_raw:
        problem = problem.in_raw_coordinates()
    by_moments = problem.terms.is_squared_error and choice.products and (choice.is_raw or known.moments_suffice)
    update, rate, steepest = make_update(choice, spec, problem, known.inverse, batches)
    descent = Descent(
        update=update,
        rate=rate,
        objective=Problem.from_moments if by_moments else Problem.from_rows,
        measure=_measure(known.inverse, problem, limits.tol),
        batches=batches,
        epochs=limits.epochs,
        tol=limits.tol,
    )
    asked, schedule = spec.asked(batches=batches is not None), spec.steps.schedule.known_ahead
    solver: Solver = descent
    if choice.is_exact and not asked and not (by_moments and rows.can_be_read):
        solver = Refinement(descent)
    elif schedule is not None and by_moments and _is_geometric(choice, asked, problem, limits.epochs):
        solver = Geometric(descent, schedule, known.inverse or half)
    elif not spec.steps.is_number:
        solver = _annealed(descent, spec, problem)
    elif loss.is_kinked:
        problem = problem.smoothed(KINK * (limits.tol or SMOOTHEST))
    if limits.tol:
        solver = _confirmed(exact, solver, spec, standard, known, rng)
    raw = RawRate.of(problem, rate.rate, update.optimizer.stability, steepest) if choice.is_raw else None
    return Method(problem, solver, choice, raw)


def make_update(
    pair: Pair, spec: Spec, problem: Problem, inverse: InverseCurvature | None, batches: Batches | None
) -> tuple[Update, Rate, float | None]:
    """Make what a descent by one optimizer does in an epoch.

    Parameters
    ----------
    pair : Pair
        The rung and the optimizer.
    spec : Spec
        The specification.
    problem : Problem
        The problem, in the coordinates of the descent.
    inverse : InverseCurvature or None
        The inverse Hessian of squared error, where it is known.
    batches : Batches or None
        Mini-batches; None for all rows at once.

    Returns
    -------
    update : Update
        The update.
    rate : Rate
        Its learning rate, before the schedule multiplies it.
    largest_curvature : float or None
        L of squared error in these coordinates; None where nothing depends on it.
    """
    steps, rule = spec.steps, OPTIMIZERS[pair.optimizer](spec.steps.momentum)
    matrix = inverse if pair.rung == "curvature" else None
    needs_steepest = pair.is_raw or (matrix is None and rule.own_rate is None)
    steepest = steepest_curvature(problem) if needs_steepest else None
    rate: Rate
    if steps.is_number:
        rate = FixedRate(float(steps.learning_rate))
    elif rule.own_rate is not None:
        rate = FixedRate(rule.own_rate if matrix is None else 1.0)
    elif batches is not None:
        curvature = 2.0 if steepest is None else steepest
        share = batch_rate(problem, batches.size, batches.mean_weight, curvature, matrix)
        rate = CurvatureRate(rule.batch_share * share)
    else:
        rate = CurvatureRate(1.0 if steepest is None else inverse_curvature(steepest))
    n_rows = problem.moments.n_samples if batches is None else batches.size
    return Update(rule, matrix or identity, steps.schedule, empty_mean(steps.average, n_rows)), rate, steepest


def make_batches(spec: Spec, rows: Rows, size: int, rng: Rng, mean_weight: float) -> Batches:
    """Make mini-batches of `size` rows, shuffled if the specification says so and there are several."""
    return Batches(size, rng if spec.steps.shuffle and size < rows.n_weighted else None, mean_weight)


def empty_mean(average: int, n_rows: int) -> Mean | None:
    """Return the mean that begins with row number `average`, for updates of `n_rows` rows; None if `average` is 0."""
    return Mean(-(-(average - 1) // n_rows)) if average else None


def _is_geometric(choice: Choice, asked: frozenset[str], problem: Problem, epochs: int) -> bool:
    """Return whether the descent is a geometric sequence that is long enough for a factorisation to pay."""
    is_plain = choice.optimizer == "gd" and choice.rung != "curvature" and not asked & {"prox", "batches", "average"}
    return is_plain and len(problem.standard.center) < epochs


def _confirmed(
    exact: Callable[[], Choice | None], descent: Solver, spec: Spec, problem: Problem, known: Known, rng: Rng
) -> Solver:
    """Return a descent whose gap is measured where its estimate is small, if that is an estimate."""
    limits, terms = spec.limits, problem.terms
    is_least_squares = terms.is_squared_error and not terms.is_penalised
    if is_least_squares and known.inverse is None and problem.rows.can_be_read:
        projection = Projection(limits.tol, np.full_like(problem.constant_loss, problem.curvature))
        return Confirmed(descent, projection, problem, limits.tol, limits.epochs, Refinement.limit)
    choice = exact()
    if choice is None:
        return descent

    def solver() -> Solver:  # it may not be needed, and to build it may take a factorisation
        return choice.method(spec.at_the_minimum(), problem, rng).solver

    return Confirmed(descent, Dual(solver, limits.tol), problem, limits.tol, np.inf, descent.limit)


def _annealed(inner: Solver, spec: Spec, problem: Problem) -> Solver:
    """Wrap a solver in a sequence of smoothed problems, if the loss ends in straight lines."""
    return Smoothed(inner, spec.limits.tol) if problem.terms.loss.is_straight else inner


def _measure(inverse: InverseCurvature | None, problem: Problem, tol: float) -> GapFunction:
    """Return how the gap is measured: by the inverse Hessian, else by duality, else by the diagonal alone.

    The prox can leave a subgradient along directions that a singular inverse ignores; there the measure is their sum.
    """
    terms = problem.terms
    if inverse is not None:
        return estimated_by(Raised(inverse) if terms.has_prox and inverse.is_singular else inverse)
    return DualityGap(tol) if terms.l2 > 0 and terms.loss.is_piecewise else estimated_by(half)
