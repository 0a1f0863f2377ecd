"""The choice of rung, optimizer and solver.

`choose` picks the rung and the optimizer before any row is read. `make_method` makes the solver once the moments of
the rows are known.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gdregress.method.augmented_lagrangian import AugmentedLagrangian
from gdregress.method.collinear import inverse_of_collinear
from gdregress.method.column_generation import ColumnGeneration
from gdregress.method.combinations import OPTIMIZERS, choose_pair
from gdregress.method.descent import Batches, Descent, Mean
from gdregress.method.dual_ridge import DualRidge
from gdregress.method.finite_newton import FiniteNewton
from gdregress.method.geometric import Geometric
from gdregress.method.interior_point import InteriorPoint
from gdregress.method.newton import Newton
from gdregress.method.preconditioners import InverseCurvature, InverseHessian, Raised, half, identity
from gdregress.method.rates import CurvatureRate, FixedRate, Rate, batch_rate, inverse_curvature, steepest_curvature
from gdregress.method.refinement import Refinement
from gdregress.method.sampled import Sampled
from gdregress.method.sketches import (
    DOUBTFUL,
    FINEST_TOL,
    Sketches,
    accelerated_is_cheaper,
    cheapest_share,
    is_nearly_square,
    is_tall,
)
from gdregress.method.smoothed import Smoothed
from gdregress.method.spec import Spec
from gdregress.method.states import Measure, Solver, estimated_by
from gdregress.method.working_rows import MOST_ENTRIES, WorkingRows, pays
from gdregress.method.working_set import WorkingSet
from gdregress.problem.dual import DualityGap
from gdregress.problem.problem import EXTENDED_LIMIT, Problem, Terms
from gdregress.problem.spectrum import Spectrum
from gdregress.rows.rows import Rows

MOMENTS_LIMIT = 2000
"""Largest number of features for which the products of columns, 32 MB, are gathered and factored by default."""

FACTOR_LIMIT = 2**24
"""Largest number of entries of an X with at most `MOMENTS_LIMIT` rows for which X itself is factored by default."""

COSTLY = 2**23
"""Multiplications of a factorisation of the rows from which another way is tried first where columns are collinear."""

DUAL_ENTRIES = 2**12
"""Entries of X from which few rows are multiplied with each other, instead of factored."""

FEW_DIGITS, MOST_DIGITS = 1e-2, 1e-9
"""Largest estimated share of an error that a step of refinement by products of rows leaves, for it to be used. The
second is for an X so small that extended precision reaches more digits where columns or rows are nearly collinear."""

CURVATURE_LIMIT = 2**15
"""Smaller of n_samples and n_features above which `learning_rate="curvature"` is refused: its matrix would not fit."""

NEWTON_LIMIT = 500
"""Largest number of features for which "auto" solves a quadratic program an epoch, or factors a matrix a chunk."""

SET_LIMIT = 250
"""Number of features, at most half the rows, up to which products of all columns are cheaper than working sets."""

DIGITS = 1e-10
"""Largest estimated relative error of a fit from moments with which the moments replace the rows."""

STEPS = 1e-6
"""Largest such error of a matrix of second derivatives with which Newton's steps need no orthonormal columns."""

KINK = 0.1
"""Smoothing parameter mu of a loss with kinks, as a share of `tol`, where the learning rate is a number."""

SMOOTHEST = 1e-6
"""The value that replaces `tol` in this product where `tol` is None or 0."""


@dataclass(frozen=True)
class Choice:
    """What a specification and the shape of the rows decide, before any row is read.

    Attributes
    ----------
    rung : {"float", "lipschitz", "diagonal", "curvature"}
        Rung of the ladder of learning rates.
    optimizer : str
        A key of `OPTIMIZERS`.
    asked : frozenset of str
        Features that the specification requires, besides the rung.
    share : float or None
        Share of the rows from which an approximate preconditioner is made; None for the exact one.
    products : bool
        Whether the products of the columns are gathered.
    factored : {"rows", "spectrum", "nothing"}
        What is factored where the products have lost too many digits for a Cholesky factor: the rows themselves;
        the spectrum of the products, without the eigenvalues that rounding may have made; or nothing.
    """

    rung: str
    optimizer: str
    asked: frozenset[str]
    share: float | None = None
    products: bool = True
    factored: Literal["rows", "spectrum", "nothing"] = "spectrum"

    @classmethod
    def of(cls, spec: Spec, asked: frozenset[str], costly: set[str]) -> "Choice":
        """Choose the rung and the optimizer.

        Parameters
        ----------
        spec : Spec
            The specification.
        asked : frozenset of str
            Features that the specification requires, besides the rung.
        costly : set of str
            Rungs and optimizers that are chosen only where the user names them, or where no others will do.

        Raises
        ------
        ValueError
            If no rung and optimizer support all required features.
        """
        return cls(*choose_pair(spec.steps.learning_rate, spec.steps.optimizer, asked, costly), asked)

    @property
    def is_raw(self) -> bool:
        """Whether the descent is in raw coordinates, at one rate for all of them."""
        return self.rung in ("float", "lipschitz")

    @property
    def is_newton(self) -> bool:
        """Whether the solver takes Newton's steps, with the second derivatives of every point."""
        return self.optimizer == "newton"

    @property
    def precision(self) -> type:
        """Floating-point type in which products of columns are computed."""
        return np.float64 if self.share is None else np.float32


def choose(spec: Spec, rows: Rows) -> Choice:
    """Choose the rung and the optimizer for some rows, and which sums over the rows to gather.

    Parameters
    ----------
    spec : Spec
        The specification.
    rows : Rows
        Training rows; only their shape and kind are looked at.

    Raises
    ------
    ValueError
        If no rung and optimizer support all required features, or if the requested matrix would not fit into memory.
    """
    n, p, terms = rows.n_weighted, rows.n_features, spec.terms
    asked = spec.asked(batches=spec.steps.batch_rows(n) is not None)
    if not rows.can_be_read:
        return Choice.of(spec, asked, _costly(p, spec))
    has_boxes, has_set = _has_boxes(terms, rows), _has_set(terms, rows)
    share = _share(spec, rows, asked, steps_are_newton=has_boxes and p <= MOMENTS_LIMIT)
    is_plain = not (asked or rows.is_sparse)
    is_factored = (is_tall(n, p) or _is_short_and_wide(rows) or _has_few_rows(rows)) and is_plain
    needs_no_matrix = has_set or _goes_without_matrix(spec, rows)
    has_matrix = p <= MOMENTS_LIMIT or share is not None or is_factored
    costly = _costly(p, spec, has_boxes=has_boxes) | (set() if has_matrix or needs_no_matrix else {"curvature"})
    if share is not None:
        costly |= {"gd", "newton"}  # both need the exact curvature
    elif needs_no_matrix:
        costly -= {"newton"}
    choice = Choice.of(spec, asked, costly)
    is_matrix_free = choice.is_newton and needs_no_matrix
    if choice.rung == "curvature" and min(n, p) > CURVATURE_LIMIT and not is_matrix_free:
        cause, remedy = "learning_rate='curvature'", "'diagonal' or 'auto'"
        if choice.is_newton:
            cause, remedy = "optimizer='newton'", "learning_rate='auto' with optimizer='auto'"
        raise ValueError(f"{cause} would hold a matrix of {p} x {p} numbers: use {remedy}.")
    products = p <= MOMENTS_LIMIT or choice.rung == "curvature"
    if n <= p and not (choice.is_raw or rows.is_sparse):
        products = False  # factoring the rows is cheaper and keeps more digits
    is_known = terms.is_mostly_parabola or terms.loss.is_kinked
    if is_matrix_free or (choice.is_newton and not (is_known or has_boxes)):
        products = False  # every epoch weighs the rows anew, and needs products of its own
    factors_rows = (choice.rung == "curvature" or has_matrix or has_set) and (
        has_boxes or terms.loss.is_kinked or not choice.is_newton
    )
    return replace(
        choice,
        share=share,
        products=products if share is None else share == 1.0,
        factored="rows" if factors_rows else "nothing",
    )


def choose_for_chunks(spec: Spec, n_features: int, *, has_products: bool) -> Choice:
    """Choose the rung and the optimizer for mini-batches of rows that come in chunks.

    Parameters
    ----------
    spec : Spec
        The specification.
    n_features : int
        Number of columns of X.
    has_products : bool
        Whether the moments of all rows so far include the products of the columns.

    Raises
    ------
    ValueError
        If no rung and optimizer support all required features.
    """
    costly = {"curvature"} if n_features > NEWTON_LIMIT or not has_products else set()
    return replace(Choice.of(spec, spec.asked(batches=True), costly), products=has_products)


def needs_products(learning_rate: str, n_features: int) -> bool:
    """Return whether a descent over chunks needs the products of the columns."""
    return learning_rate == "curvature" or n_features <= NEWTON_LIMIT


def _costly(n_features: int, spec: Spec, *, has_boxes: bool = False) -> set[str]:
    """Return the optimizers that "auto" does not choose for so many features."""
    solves_programs = spec.terms.has_prox and not has_boxes
    return {"newton"} if n_features > (NEWTON_LIMIT if solves_programs else MOMENTS_LIMIT) else set()


def _has_boxes(terms: Terms, rows: Rows) -> bool:
    """Return whether the loss is known as boxes of slopes, and single rows are at hand."""
    return terms.loss.is_piecewise and not terms.is_squared_error and rows.can_be_drawn


def _has_set(terms: Terms, rows: Rows) -> bool:
    """Return whether Newton's method goes by working sets: a loss by name, L1 or signs, many columns in memory."""
    if not (terms.has_prox and rows.can_be_drawn):
        return False
    if terms.is_squared_error:
        return rows.n_features > min(SET_LIMIT, rows.n_weighted // 2)
    return _has_boxes(terms, rows) and rows.n_features > min(NEWTON_LIMIT, rows.n_weighted)


def _goes_without_matrix(spec: Spec, rows: Rows) -> bool:
    """Return whether Newton's method goes by products with vectors: such a loss, L2 alone, many columns in memory."""
    terms, is_asked_for = spec.terms, spec.steps.learning_rate == "curvature"
    is_wide = rows.n_features > MOMENTS_LIMIT and not is_asked_for
    return is_wide and terms.l2 > 0 and not terms.has_prox and _has_boxes(terms, rows)


def _share(spec: Spec, rows: Rows, asked: frozenset[str], *, steps_are_newton: bool) -> float | None:
    """Return the share of the rows for an approximate preconditioner; None for the exact one."""
    n, p, steps, tol = rows.n_weighted, rows.n_features, spec.steps, spec.limits.tol
    is_exact = rows.is_sparse or rows.is_summed
    if is_exact or not tol or asked - {"any loss"} or steps.learning_rate not in ("auto", "curvature"):
        return None
    if not asked and steps.optimizer in ("auto", "conjugate"):
        if p > MOMENTS_LIMIT and is_nearly_square(n, p) and tol >= FINEST_TOL:
            return 1.0
        return cheapest_share(n, p, rows.n_outputs, tol, samples=rows.can_be_drawn)
    accelerates = steps.optimizer == "nesterov" or (steps.optimizer == "auto" and not steps_are_newton)
    if asked and spec.terms.is_mostly_parabola and accelerates:
        return 1.0 if accelerated_is_cheaper(n, p) else None
    return None


def _is_short_and_wide(rows: Rows) -> bool:
    small = rows.n_samples <= MOMENTS_LIMIT and rows.n_samples * rows.n_features <= FACTOR_LIMIT
    return small and not rows.is_sparse


def _has_few_rows(rows: Rows) -> bool:
    """Return whether the products of the rows are the smaller matrix, and are cheap to factor."""
    return rows.can_be_drawn and not rows.is_sparse and rows.n_weighted <= min(MOMENTS_LIMIT, rows.n_features)


def _is_dual(choice: Choice, spec: Spec, rows: Rows) -> bool:
    """Return whether least squares goes by the products of the rows: these are few, and worth it."""
    if choice.asked or choice.is_newton or choice.rung != "curvature" or not _has_few_rows(rows):
        return False
    is_worth_it = rows.n_samples * rows.n_features >= DUAL_ENTRIES
    return is_worth_it and OPTIMIZERS[choice.optimizer](spec.steps.momentum).is_exact


def _is_large(rows: Rows) -> bool:
    """Return whether rows have too many entries to be read in extended precision."""
    return rows.n_samples * rows.n_features * rows.n_outputs > EXTENDED_LIMIT


@dataclass(frozen=True)
class Method:
    """How a problem is minimised, and what is reported about it.

    Attributes
    ----------
    problem : Problem
        The problem, in the coordinates of the descent.
    solver : Solver
        The solver that minimises it.
    rung : float or str
        The learning rate as a number in raw coordinates, or else the rung that was chosen.
    optimizer : str
        The optimizer that was chosen.
    rate : float
        The learning rate before the schedule multiplies it.
    ceiling : float
        Rate above which the descent diverges; infinite outside raw coordinates, and where every rate converges.
    stability : float
        The ceiling in units of 1/L.
    largest_curvature : float or None
        L of squared error, where the descent is in raw coordinates.
    """

    problem: Problem
    solver: Solver
    rung: float | str
    optimizer: str
    rate: float
    ceiling: float = float("inf")
    stability: float = float("inf")
    largest_curvature: float | None = None


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
    if choice.share is not None:
        return _with_sketches(choice, spec, problem, rng)
    if choice.is_newton and _has_set(problem.terms, problem.rows):
        on_columns = WorkingSet() if problem.terms.is_squared_error else ColumnGeneration()
        return Method(problem, on_columns, choice.rung, choice.optimizer, 1.0)
    if choice.is_newton and _goes_without_matrix(spec, problem.rows):
        return Method(problem, AugmentedLagrangian(), choice.rung, choice.optimizer, 1.0)
    if _is_dual(choice, spec, problem.rows):
        dual = DualRidge.of(problem, FEW_DIGITS if _is_large(problem.rows) else MOST_DIGITS)
        if dual is not None:
            return Method(problem, dual, choice.rung, choice.optimizer, 1.0)
        if spec.steps.learning_rate == "auto" and not _is_short_and_wide(problem.rows):
            choice = replace(Choice.of(spec, choice.asked, {"curvature"}), products=False, factored="nothing")
    known = know(choice, problem)
    if known.spectrum is not None:
        problem = replace(problem, spectrum=known.spectrum)
    if choice.is_newton and _has_boxes(problem.terms, problem.rows):
        if problem.terms.is_mostly_parabola and not problem.terms.has_prox:
            return Method(problem, FiniteNewton(known.basis), choice.rung, choice.optimizer, 1.0)
        if problem.terms.loss.is_kinked and pays(problem.rows.n_weighted, problem.n_coordinates):
            on_all = InteriorPoint(known.basis)
            few = WorkingRows(known.basis, on_all, spec.limits.tol or 0.0, most=problem.rows.n_weighted)
            return Method(problem, few, choice.rung, choice.optimizer, 1.0)
        return Method(problem, InteriorPoint(known.basis), choice.rung, choice.optimizer, 1.0)
    if choice.is_newton:
        from_moments = problem.terms.is_squared_error and known.moments_suffice
        newton = Newton(Problem.from_moments if from_moments else Problem.with_curvatures)
        solver = _annealed(newton, spec, problem)
        if problem.terms.loss.is_kinked:
            most = MOST_ENTRIES // (problem.n_coordinates + 2)
            solver = WorkingRows(known.basis, solver, spec.limits.tol or 0.0, most)
        return Method(problem, solver, choice.rung, choice.optimizer, 1.0)
    return _descent(choice, spec, problem, known, rng)


def _with_sketches(choice: Choice, spec: Spec, problem: Problem, rng: np.random.RandomState) -> Method:
    """Make a solver with an approximate P: conjugate gradient for squared error, else accelerated descent."""
    assert choice.share is not None
    tol, standard = spec.limits.tol, problem.standard
    sketches = Sketches(
        problem.rows, problem.moments, standard, problem.alpha, choice.share, tol, spec.steps.sampling(rng)
    )
    if problem.terms.is_squared_error:
        return Method(problem, Sampled(sketches, tol), choice.rung, choice.optimizer, 1.0)
    sketch, rule = next(iter(sketches)), OPTIMIZERS[choice.optimizer](spec.steps.momentum)
    rate = CurvatureRate(1.0)
    descent = Descent(
        rule, sketch.preconditioner, rate, spec.steps.schedule, Problem.from_rows, estimated_by(sketch.bound)
    )
    return Method(problem, _annealed(descent, spec, problem), choice.rung, choice.optimizer, rate.rate)


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
        """The basis in which columns are orthonormal, where they are too nearly collinear as they are, else None."""
        if self.inverse is None or (self.moments_suffice and not self.inverse.is_singular):
            return None
        return self.inverse.basis


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


def _descent(choice: Choice, spec: Spec, problem: Problem, known: Known, rng: np.random.RandomState) -> Method:
    """Make a descent by one optimizer, or a solver that gets further with it (refinement, blocks, smoothing)."""
    limits, loss = spec.limits, problem.terms.loss
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
    if choice.rung == "curvature" and descent.optimizer.is_exact and not (choice.asked or suffices):
        solver = Refinement(descent)
    elif schedule is not None and by_moments and _is_geometric(choice, spec, problem):
        solver = Geometric(descent, schedule, known.inverse or half)
    elif not spec.steps.is_number:
        solver = _annealed(descent, spec, problem)
    elif loss.is_kinked:
        problem = problem.smoothed(KINK * (limits.tol or SMOOTHEST))
    rate = descent.rate.rate
    if not choice.is_raw:
        return Method(problem, solver, choice.rung, choice.optimizer, rate)
    curvature, ceiling = float(np.max(problem.loss.curvature)), float("inf")
    if steepest is not None and steepest > 0 and np.isfinite(curvature):
        ceiling = descent.optimizer.stability / steepest * 2.0 / curvature
    return Method(problem, solver, rate, choice.optimizer, rate, ceiling, descent.optimizer.stability, steepest)


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
        optimizer=rule,
        preconditioner=matrix or identity,
        rate=rate,
        schedule=steps.schedule,
        objective=Problem.from_moments if _by_moments(choice, problem, known) else Problem.from_rows,
        measure=_measure(known.inverse, problem, spec.limits.tol),
        batches=batches,
        mean=empty_mean(steps.average, n_rows),
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
