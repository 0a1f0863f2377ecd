"""The assembly of the solver that was chosen, for a problem whose moments are known."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from gdregress.method.approached import Approached
from gdregress.method.augmented_lagrangian import AugmentedLagrangian
from gdregress.method.choice import Choice, Way, choose_exact, is_short_and_wide
from gdregress.method.collinear import inverse_of_collinear
from gdregress.method.column_generation import ColumnGeneration
from gdregress.method.combinations import OPTIMIZERS
from gdregress.method.confirmed import Confirmed, Dual, Projection
from gdregress.method.descent import Batches, Descent, Mean, Update
from gdregress.method.dual_ridge import DualRidge
from gdregress.method.finite_newton import FiniteNewton
from gdregress.method.geometric import Geometric
from gdregress.method.interior_point import InteriorPoint
from gdregress.method.narrowed import Narrowed, narrows
from gdregress.method.newton import Newton
from gdregress.method.preconditioners import InverseCurvature, InverseHessian, Raised, half, identity
from gdregress.method.rates import CurvatureRate, FixedRate, Rate, batch_rate, inverse_curvature, steepest_curvature
from gdregress.method.refinement import Refinement
from gdregress.method.sampled import Sampled
from gdregress.method.sketches import DOUBTFUL, Sketches
from gdregress.method.smoothed import Smoothed
from gdregress.method.spec import Spec
from gdregress.method.states import Measure, Solver, estimated_by
from gdregress.method.truncated_newton import TruncatedNewton
from gdregress.method.working_rows import FIRST, HALF, MOST_ENTRIES, SHARE, WorkingRows, pays, sample_size
from gdregress.method.working_set import WorkingSet
from gdregress.problem.dual import DualityGap
from gdregress.problem.problem import EXTENDED_LIMIT, Problem
from gdregress.problem.spectrum import Spectrum
from gdregress.rows.rows import Rows

COSTLY = 2**23
"""Multiplications of a factorisation of the rows from which another way is tried first where columns are collinear."""

FEW_DIGITS, MOST_DIGITS = 1e-2, 1e-9
"""Largest estimated share of an error that a step of refinement by products of rows leaves, for it to be used. The
second is for an X so small that extended precision reaches more digits where columns or rows are nearly collinear."""

DIGITS = 1e-10
"""Largest estimated relative error of a fit from moments with which the moments replace the rows."""

STEPS = 1e-6
"""Largest such error of a matrix of second derivatives with which Newton's steps need no orthonormal columns."""

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


def make_method(choice: Choice, spec: Spec, problem: Problem, rng: np.random.RandomState) -> Method:
    """Make the solver of a choice, with its preconditioner and its learning rate.

    Parameters
    ----------
    choice : Choice
        The rung, the optimizer and the factorisation.
    spec : Spec
        The specification.
    problem : Problem
        The problem, in the unit-curvature coordinates.
    rng : RandomState
        Generator of samples and mini-batches.
    """
    return WAYS[choice.way](choice, spec, problem, rng)


def _with_sketches(choice: Choice, spec: Spec, problem: Problem, rng: np.random.RandomState) -> Method:
    """Return a solver with an approximate P: conjugate gradient for squared error, else accelerated descent."""
    assert choice.share is not None
    tol, standard = spec.limits.tol, problem.standard
    sketches = Sketches(
        problem.rows, problem.moments, standard, problem.alpha, choice.share, tol, spec.steps.sampling(rng)
    )
    if problem.terms.is_squared_error:
        return Method(problem, Sampled(sketches, tol), choice)
    sketch, rule = next(iter(sketches)), OPTIMIZERS[choice.optimizer](spec.steps.momentum)
    update = Update(rule, sketch.preconditioner, spec.steps.schedule)
    descent = Descent(update, CurvatureRate(1.0), Problem.from_rows, estimated_by(sketch.bound))
    return Method(problem, _annealed(descent, spec, problem), choice)


def _on_working_set(choice: Choice, spec: Spec, problem: Problem, rng: np.random.RandomState) -> Method:
    """Return a solver on a growing set of columns."""
    solver = WorkingSet() if problem.terms.is_squared_error else ColumnGeneration()
    return Method(problem, solver, choice)


def _without_matrix(choice: Choice, spec: Spec, problem: Problem, rng: np.random.RandomState) -> Method:
    """Return a solver that multiplies X with vectors alone."""
    return Method(problem, AugmentedLagrangian(), choice)


def _by_dual(choice: Choice, spec: Spec, problem: Problem, rng: np.random.RandomState) -> Method:
    """Return a solver by the products of the rows; a descent where these have too few digits."""
    is_large = problem.rows.n_samples * problem.rows.n_features * problem.rows.n_outputs > EXTENDED_LIMIT
    dual = DualRidge.of(problem, FEW_DIGITS if is_large else MOST_DIGITS)
    if dual is not None:
        return Method(problem, dual, choice)
    if spec.steps.learning_rate == "auto" and not is_short_and_wide(problem.rows):
        choice = replace(Choice.of(spec, choice.asked, {"curvature"}), products=False, factored="nothing")
    return _by_descent(choice, spec, problem, rng)


def _in_boxes(choice: Choice, spec: Spec, problem: Problem, rng: np.random.RandomState) -> Method:
    """Return a solver for a loss of lines and parabolas, whose slopes are in boxes."""
    known = know(choice, problem)
    problem, n, tol = known.told(problem), problem.rows.n_weighted, spec.limits.tol or 0.0
    solver: Solver = InteriorPoint(known.basis)
    if problem.terms.is_mostly_parabola and not (problem.terms.has_prox and known.basis is not None):
        solver = FiniteNewton(known.basis)
    elif problem.terms.loss.is_kinked:
        if narrows(n, problem.n_coordinates):
            solver = Narrowed(InteriorPoint(known.basis), tol)
        if pays(n, problem.n_coordinates):
            solver = WorkingRows(known.basis, solver, tol, first=int(SHARE * n), most=n // HALF)
    return Method(problem, solver, choice)


def _by_newton(choice: Choice, spec: Spec, problem: Problem, rng: np.random.RandomState) -> Method:
    """Return Newton's method, on the rows near a kink where the loss has some."""
    known = know(choice, problem)
    problem = known.told(problem)
    from_moments = problem.terms.is_squared_error and known.moments_suffice
    newton = Newton(Problem.from_moments if from_moments else Problem.with_curvatures)
    solver = _annealed(newton, spec, problem)
    if problem.terms.loss.is_kinked:
        n, q = problem.rows.n_weighted, problem.n_coordinates
        most = MOST_ENTRIES // (q + 2)
        first = int(SHARE * most)
        on_near_rows = WorkingRows(known.basis, solver, spec.limits.tol or 0.0, first, most)
        if problem.rows.place.is_processor and sample_size(n, q) <= first:
            solver = on_near_rows
        elif FIRST * q <= first:  # a GPU is near before the host has solved a sample; one of dask would be too large
            solver = Approached(solver, on_near_rows)
    return Method(problem, solver, choice)


@dataclass(frozen=True)
class Known:
    """The curvature as factored from the moments or, where these have too few digits, from the rows.

    Attributes
    ----------
    inverse : InverseCurvature or None
        The inverse Hessian of squared error; None where only its diagonal is known.
    moments_suffice : bool
        Whether a fit from the moments is as precise as one from the rows, or all there is.
    spectrum : Spectrum or None
        The spectrum of the moments, where they are all there is and have too few digits; None elsewhere.
    """

    inverse: InverseCurvature | None
    moments_suffice: bool
    spectrum: Spectrum | None = None

    @property
    def basis(self) -> NDArray | None:
        """The basis in which columns are orthonormal, where they are too nearly collinear as they are, else None.

        Columns of which none varies are not: their coefficients stay where they are, in coordinates of their own.
        """
        if self.inverse is None or (self.moments_suffice and not self.inverse.is_singular):
            return None
        basis = self.inverse.basis
        return basis if basis is not None and basis.shape[1] else None

    def told(self, problem: Problem) -> Problem:
        """Return a problem that knows its spectrum, if that was computed."""
        return problem if self.spectrum is None else replace(problem, spectrum=self.spectrum)


def know(choice: Choice, problem: Problem) -> Known:
    """Factor the second derivatives of squared error, from the moments or from the rows.

    Parameters
    ----------
    choice : Choice
        What to factor.
    problem : Problem
        The problem, in the unit-curvature coordinates.
    """
    moments, standard, alpha = problem.moments, problem.standard, problem.alpha
    inverse: InverseCurvature | None = None

    def is_known_to(error: float) -> bool:
        return inverse is not None and choice.products and moments.error(inverse.inflation) <= error

    if choice.products and (moments.n_samples > len(moments.x.mean) or alpha > 0):
        inverse = InverseHessian.from_quadratic(problem.quadratic, standard)
    # The noise of mini-batches exceeds the rounding of moments by far. Newton's steps take gradients from the rows.
    digits = STEPS if choice.is_newton and not problem.terms.is_squared_error else DIGITS
    suffice = is_known_to(DOUBTFUL if "batches" in choice.asked else digits)
    if suffice or choice.factored == "nothing":
        return Known(inverse, suffice)
    if choice.factored == "spectrum":
        if not choice.products:
            return Known(inverse, suffice)
        spectrum = Spectrum.of(problem.quadratic, moments, standard, problem.rows.dtype)
        return Known(InverseHessian.from_spectrum(spectrum), True, spectrum)
    n, p = moments.n_samples, len(moments.x.mean)
    inverse = None
    if choice.products and alpha == 0 and n > p and n * p * p >= COSTLY:
        inverse = inverse_of_collinear(problem.quadratic, problem.rows, moments, standard, STEPS)
    inverse = inverse or InverseHessian.from_rows(problem.rows, moments, standard, alpha)
    # Where columns are collinear, the moments suffice once the preconditioner leaves out the directions of rounding.
    return Known(inverse, choice.rung == "curvature" and is_known_to(DIGITS))


def _by_descent(choice: Choice, spec: Spec, problem: Problem, rng: np.random.RandomState) -> Method:
    """Return a descent by one optimizer, or a solver that gets further with it (refinement, blocks, smoothing)."""
    known = know(choice, problem)
    problem = known.told(problem)
    limits, loss, standard = spec.limits, problem.terms.loss, problem
    if choice.is_raw:
        problem = problem.in_raw_coordinates()
    rows, batches = problem.rows, None
    size = spec.steps.batch_rows(rows.n_weighted)
    if size is not None:
        batches = make_batches(spec, rows, size, rng, rows.total_weight / rows.n_weighted)
    descent, steepest = make_descent(choice, spec, problem, known, batches)
    by_moments = _by_moments(choice, problem, known)
    schedule = spec.steps.schedule.known_ahead
    suffices = by_moments and rows.can_be_read
    solver: Solver = descent
    if choice.rung == "curvature" and descent.update.optimizer.is_exact and not (choice.asked or suffices):
        solver = Refinement(descent)
    elif schedule is not None and by_moments and _is_geometric(choice, spec, problem):
        solver = Geometric(descent, schedule, known.inverse or half)
    elif not spec.steps.is_number:
        solver = _annealed(descent, spec, problem)
    elif loss.is_kinked:
        problem = problem.smoothed(KINK * (limits.tol or SMOOTHEST))
    if limits.tol:
        solver = _confirmed(solver, spec, standard, known, rng)
    if not choice.is_raw:
        return Method(problem, solver, choice)
    curvature, ceiling = float(np.max(problem.loss.curvature)), float("inf")
    stability = descent.update.optimizer.stability
    if steepest is not None and steepest > 0 and np.isfinite(curvature):
        ceiling = stability / steepest * 2.0 / curvature
    return Method(problem, solver, choice, RawRate(descent.rate.rate, ceiling, stability, steepest))


def make_descent(
    choice: Choice, spec: Spec, problem: Problem, known: Known, batches: Batches | None
) -> tuple[Descent, float | None]:
    """Make a descent by one optimizer.

    Parameters
    ----------
    choice : Choice
        The rung and the optimizer.
    spec : Spec
        The specification.
    problem : Problem
        The problem, in the coordinates of the descent.
    known : Known
        The curvature of squared error.
    batches : Batches or None
        Mini-batches; None for all rows at once.

    Returns
    -------
    descent : Descent
        The descent.
    largest_curvature : float or None
        L of squared error in these coordinates; None where nothing depends on it.
    """
    steps = spec.steps
    rule = OPTIMIZERS[choice.optimizer](steps.momentum)
    matrix = known.inverse if choice.rung == "curvature" else None
    needs_steepest = choice.is_raw or (matrix is None and rule.own_rate is None)
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
    descent = Descent(
        update=Update(rule, matrix or identity, steps.schedule, empty_mean(steps.average, n_rows)),
        rate=rate,
        objective=Problem.from_moments if _by_moments(choice, problem, known) else Problem.from_rows,
        measure=_measure(known.inverse, problem, spec.limits.tol),
        batches=batches,
        epochs=spec.limits.epochs,
        tol=spec.limits.tol,
    )
    return descent, steepest


def make_batches(spec: Spec, rows: Rows, size: int, rng: np.random.RandomState, mean_weight: float) -> Batches:
    """Make mini-batches of `size` rows, shuffled if the specification says so and there are several.

    Parameters
    ----------
    spec : Spec
        The specification.
    rows : Rows
        The rows.
    size : int
        Rows in a mini-batch.
    rng : RandomState
        Generator that shuffles them.
    mean_weight : float
        Weight of a row that counts as 1.
    """
    return Batches(size, rng if spec.steps.shuffle and size < rows.n_weighted else None, mean_weight)


def empty_mean(average: int, n_rows: int) -> Mean | None:
    """Return the mean that begins with row number `average`, for updates of `n_rows` rows; None if `average` is 0."""
    return Mean(-(-(average - 1) // n_rows)) if average else None


def _by_moments(choice: Choice, problem: Problem, known: Known) -> bool:
    """Return whether the objective is evaluated from moments."""
    return problem.terms.is_squared_error and choice.products and (choice.is_raw or known.moments_suffice)


def _is_geometric(choice: Choice, spec: Spec, problem: Problem) -> bool:
    """Return whether the descent is a geometric sequence that is long enough for a factorisation to pay."""
    is_plain = choice.optimizer == "gd" and choice.rung != "curvature"
    pays = len(problem.standard.center) < spec.limits.epochs
    return is_plain and pays and not choice.asked & {"prox", "batches", "average"}


def _confirmed(descent: Solver, spec: Spec, problem: Problem, known: Known, rng: np.random.RandomState) -> Solver:
    """Return a descent whose gap is measured where its estimate is small, if that is an estimate."""
    limits, terms = spec.limits, problem.terms
    is_least_squares = terms.is_squared_error and not terms.is_penalised
    if is_least_squares and known.inverse is None and problem.rows.can_be_read:
        projection = Projection(limits.tol, np.full_like(problem.constant_loss, problem.curvature))
        return Confirmed(descent, projection, problem, limits.tol, limits.epochs, Refinement.limit)
    exact = _exact(spec, problem, rng)
    if exact is None:
        return descent
    return Confirmed(descent, Dual(exact, limits.tol), problem, limits.tol, np.inf, descent.limit)


def _exact(spec: Spec, problem: Problem, rng: np.random.RandomState) -> Callable[[], Solver] | None:
    """Return what makes the fastest solver that knows how low F is, or shows it; None if there is none.

    It may not be needed, and to make it may take a factorisation.
    """
    choice, terms = choose_exact(spec, problem.rows), problem.terms
    if choice is not None:
        return lambda: make_method(choice, spec.at_the_minimum(), problem, rng).solver
    has_parabolas = terms.is_mostly_parabola and not terms.is_squared_error
    has_steps = has_parabolas and problem.rows.in_memory is not None and not terms.is_penalised
    return partial(TruncatedNewton, spec.limits.tol) if has_steps else None


def _annealed(inner: Solver, spec: Spec, problem: Problem) -> Solver:
    """Wrap a solver in a sequence of smoothed problems, if the loss ends in straight lines."""
    return Smoothed(inner, spec.limits.tol) if problem.terms.loss.is_straight else inner


def _measure(inverse: InverseCurvature | None, problem: Problem, tol: float) -> Measure:
    """Return how the gap is measured: by the inverse Hessian, else by duality, else by the diagonal alone.

    The prox can leave a subgradient along directions that a singular inverse ignores; there the measure is their sum.
    """
    terms = problem.terms
    if inverse is not None:
        return estimated_by(Raised(inverse) if terms.has_prox and inverse.is_singular else inverse)
    return DualityGap(tol) if terms.l2 > 0 and terms.loss.is_piecewise else estimated_by(half)


WAYS: dict[Way, Callable[[Choice, Spec, Problem, np.random.RandomState], Method]] = {
    "sketches": _with_sketches,
    "working set": _on_working_set,
    "matrix-free": _without_matrix,
    "dual": _by_dual,
    "boxes": _in_boxes,
    "newton": _by_newton,
    "descent": _by_descent,
}
"""What makes the solver for each way of `Choice`."""
