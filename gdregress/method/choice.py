"""Which solver is taken when: `WAYS`, in the order in which they are tried, before any row is read.

A way is a function of a `Task`. It returns a `Choice` if it is for such a task, else None; the first choice counts.
`gdregress.method.assembly` builds the solver once the moments of the rows are known, and decides what depends on their
digits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from gdregress.method import assembly
from gdregress.method.assembly import Choice, Method
from gdregress.method.augmented_lagrangian import AugmentedLagrangian
from gdregress.method.column_generation import ColumnGeneration
from gdregress.method.combinations import Pair, supported_pairs
from gdregress.method.known import Factoring, Known
from gdregress.method.sketches import FINEST_TOL, accelerated_is_cheaper, cheapest_share, is_nearly_square, is_tall
from gdregress.method.spec import Spec
from gdregress.method.states import Solver
from gdregress.method.truncated_newton import TruncatedNewton
from gdregress.method.working_set import SET_LIMIT, WorkingSet, products_are_cheaper
from gdregress.problem.design import has_row_space
from gdregress.problem.terms import Terms
from gdregress.rows.chunks import MATRIX_LIMIT
from gdregress.rows.rows import Rows

MOMENTS_LIMIT = 2000
"""Largest number of features for which the products of columns, 32 MB, are gathered and factored by default."""

FACTOR_LIMIT = 2**24
"""Largest number of entries of an X with at most `MOMENTS_LIMIT` rows for which X itself is factored by default."""

DUAL_ENTRIES = 2**12
"""Entries of X from which few rows are multiplied with each other, instead of factored."""

NEWTON_LIMIT = 500
"""Largest number of features for which "auto" solves a quadratic program an epoch, or factors a matrix a chunk."""

NEWTON = Pair("curvature", "newton")
"""Newton's steps, with the second derivatives of every point."""


@dataclass(frozen=True)
class Task:
    """What the choice looks at: a specification, and the shape and the storage of the rows.

    Attributes
    ----------
    spec : Spec
        The specification.
    rows : Rows
        Training rows.
    """

    spec: Spec
    rows: Rows

    @property
    def n(self) -> int:
        """Number of rows of positive weight."""
        return self.rows.n_weighted

    @property
    def p(self) -> int:
        """Number of columns of X."""
        return self.rows.n_features

    @property
    def terms(self) -> Terms:
        """The loss and the penalty."""
        return self.spec.terms

    @cached_property
    def asked(self) -> frozenset[str]:
        """Features that the optimizer must support, besides the rung."""
        return self.spec.asked(batches=self.spec.steps.batch_rows(self.n) is not None)

    @cached_property
    def pairs(self) -> list[Pair]:
        """The rungs and optimizers that support these and are allowed by the user's words, the fastest first."""
        return supported_pairs(self.spec.steps.learning_rate, self.spec.steps.optimizer, self.asked)

    @property
    def takes_newton(self) -> bool:
        """Whether Newton's steps are among these: then they come first."""
        return self.pairs[0].is_newton

    @property
    def asks_for_matrix(self) -> bool:
        """Whether the user asks for a matrix, whatever it costs."""
        return self.spec.steps.learning_rate == "curvature"

    @property
    def is_in_memory(self) -> bool:
        """Whether single rows are at hand."""
        return self.rows.in_memory is not None

    @property
    def has_boxes(self) -> bool:
        """Whether the loss is of lines and parabolas, known as boxes of slopes, and single rows are at hand."""
        return self.terms.has_boxes and self.is_in_memory

    @property
    def has_row_space(self) -> bool:
        """Whether such a loss is minimised among the combinations of few rows."""
        return self.has_boxes and has_row_space(self.terms, self.rows)

    @property
    def is_wide(self) -> bool:
        """Whether X is dense and has no more rows than columns: its rows are factored, which keeps more digits."""
        return self.n <= self.p and not self.rows.is_sparse

    @property
    def is_short_and_wide(self) -> bool:
        """Whether X has few rows, and so few entries that it is factored as it is."""
        n = self.rows.n_samples
        return n <= MOMENTS_LIMIT and n * self.p <= FACTOR_LIMIT and not self.rows.is_sparse

    @property
    def has_few_rows(self) -> bool:
        """Whether the products of the rows are the smaller matrix, and are cheap to factor."""
        return self.is_wide and self.n <= MOMENTS_LIMIT and self.is_in_memory

    @property
    def affords_matrix(self) -> bool:
        """Whether "auto" factors the products of the columns, or else the rows."""
        if self.p <= MOMENTS_LIMIT or self.has_row_space or not self.rows.can_be_read:
            return True
        is_plain = not (self.asked or self.rows.is_sparse)
        return is_plain and (is_tall(self.n, self.p) or self.is_short_and_wide or self.has_few_rows)

    def gathers_products(self, pair: Pair) -> bool:
        """Return whether the products of the columns are gathered, for a solver that can use them."""
        if not self.rows.can_be_read:
            return True
        is_factored = self.is_wide and not pair.is_raw
        weighs_rows_anew = pair.is_newton and not self.terms.loss.is_piecewise  # and needs products of every epoch
        affords_products = self.p <= MOMENTS_LIMIT or pair.rung == "curvature"
        return affords_products and not (is_factored or weighs_rows_anew)

    def with_matrix(self, pair: Pair, build: Callable[..., Method], *, of_rows: bool) -> Choice:
        """Return the choice of a solver that may hold a matrix, also of the rows if moments have too few digits."""
        is_metric, can_be_read = pair.rung == "curvature", self.rows.can_be_read
        if is_metric and can_be_read and min(self.n, self.p) > MATRIX_LIMIT:
            cause, remedy = "learning_rate='curvature'", "'diagonal' or 'auto'"
            if pair.is_newton:
                cause, remedy = "optimizer='newton'", "learning_rate='auto' with optimizer='auto'"
            raise ValueError(f"{cause} would hold a matrix of {self.p} x {self.p} numbers: use {remedy}.")
        factor: Factoring = Known.of_moments
        if of_rows:
            factor = Known.of_steps if is_metric else Known.of_rows
        build = partial(build, factor if can_be_read else Known.of_spectrum)
        return Choice.of(pair, build, products=self.gathers_products(pair))


Way = Callable[[Task], Choice | None]
"""A way to the minimum: a function of a task; None where it is not for this."""


def choose(spec: Spec, rows: Rows) -> Choice:
    """Choose the rung, the optimizer and the solver for some rows, and which sums over the rows to gather."""
    return _first(Task(spec, rows))[1]


def choose_exact(spec: Spec, rows: Rows) -> Choice | None:
    """Choose the fastest solver that knows how low F is, to measure the gap of a descent; None if there is none.

    Least squares without L1 and `positive` needs none. Without a matrix and a penalty only Newton's steps by conjugate
    gradients know the dual. Of a loss of the user's own, none is known: there the second derivatives at the minimum, to
    which Newton's steps go on, tell what the curvature elsewhere does not.

    Parameters
    ----------
    spec : Spec
        The specification of the descent.
    rows : Rows
        Training rows.
    """
    terms = spec.terms
    if rows.in_memory is None or (terms.is_squared_error and not terms.has_prox):
        return None
    way, choice = _first(Task(spec.at_the_minimum(), rows))
    if way in BOUNDING or way is newton:
        return choice
    if terms.has_parabola and not (terms.is_squared_error or terms.is_penalised):
        return _ready(TruncatedNewton(spec.limits.tol))
    return None


def choose_for_chunks(spec: Spec, n_features: int, *, has_products: bool) -> Pair:
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
    steps = spec.steps
    has_matrix = steps.learning_rate == "curvature" or (has_products and n_features <= NEWTON_LIMIT)
    pairs = supported_pairs(steps.learning_rate, steps.optimizer, spec.asked(batches=True))
    return next(pair for pair in pairs if has_matrix or pair.rung != "curvature")


def needs_products(learning_rate: str, n_features: int) -> bool:
    """Return whether a descent over chunks needs the products of the columns."""
    return learning_rate == "curvature" or n_features <= NEWTON_LIMIT


def working_set(task: Task) -> Choice | None:
    """Squared error with L1 or signs, in memory: over 250 columns, or more than half as many as rows."""
    is_for = task.takes_newton and task.terms.is_squared_error and task.terms.has_prox and task.is_in_memory
    return _ready(WorkingSet()) if is_for and not products_are_cheaper(task.rows, SET_LIMIT) else None


def column_generation(task: Task) -> Choice | None:
    """Lines and parabolas with L1 or signs, in memory: over 500 columns, or more than rows."""
    is_for = task.takes_newton and task.has_boxes and task.terms.has_prox
    return _ready(ColumnGeneration()) if is_for and task.p > min(NEWTON_LIMIT, task.n) else None


def boxes(task: Task) -> Choice | None:
    """Lines and parabolas, in memory: up to 2000 columns, or few rows with L2 alone."""
    return boxes_of_any_size(task) if task.affords_matrix else None


def sketches(task: Task) -> Choice | None:
    """Squared error, or parabolas with lines: a large dense X, for which an approximate P is cheaper than the exact."""
    share, tol, pair = None, task.spec.limits.tol, Pair("curvature", "nesterov" if task.asked else "conjugate")
    if not tol or task.rows.is_sparse or task.rows.is_summed or pair not in task.pairs:
        return None
    if not task.asked and task.p > MOMENTS_LIMIT and is_nearly_square(task.n, task.p) and tol >= FINEST_TOL:
        share = 1.0
    elif not task.asked:
        share = cheapest_share(task.n, task.p, task.rows.n_outputs, tol, samples=task.is_in_memory)
    elif task.asked == {"any loss"} and task.terms.has_parabola and accelerated_is_cheaper(task.n, task.p):
        share = 1.0
    if share is None:
        return None
    return Choice.of(pair, partial(assembly.with_sketches, share), products=share == 1.0, precision=np.float32)


def augmented_lagrangian(task: Task) -> Choice | None:
    """Lines and parabolas with L2 alone, in memory: over 2000 columns, unless their matrix is asked for."""
    is_for = task.takes_newton and task.has_boxes and task.terms.is_ridge and not task.asks_for_matrix
    return _ready(AugmentedLagrangian()) if is_for and task.p > MOMENTS_LIMIT else None


def newton(task: Task) -> Choice | None:
    """Other losses, and rows elsewhere: up to 2000 columns, with L1 or signs up to 500."""
    affords_programs = task.p <= NEWTON_LIMIT or not task.terms.has_prox
    return newton_of_any_size(task) if task.affords_matrix and affords_programs else None


def dual_ridge(task: Task) -> Choice | None:
    """Squared error with L2 or no penalty: no more rows than columns, at most 2000, dense and in memory."""
    is_for = task.has_few_rows and not task.asked and task.rows.n_samples * task.p >= DUAL_ENTRIES
    pairs = [pair for pair in task.pairs if is_for and pair.is_exact]
    if not pairs:
        return None
    otherwise = _descent(task, pairs[0], of_rows=True)
    if task.spec.steps.learning_rate == "auto" and not task.is_short_and_wide:
        otherwise = _descent(task, next(pair for pair in task.pairs if pair.rung == "diagonal"), of_rows=False)
    return Choice.of(pairs[0], partial(assembly.by_dual, otherwise))


def descent(task: Task) -> Choice | None:
    """Everything else, by the optimizer: P is a matrix where that is asked for or affordable, else a diagonal."""
    affords_matrix = task.affords_matrix
    for pair in task.pairs:
        is_matrix = pair.rung == "curvature"
        if not pair.is_newton and (affords_matrix or task.asks_for_matrix or not is_matrix):
            return _descent(task, pair, of_rows=is_matrix or affords_matrix)
    return None


def boxes_of_any_size(task: Task) -> Choice | None:
    """Lines and parabolas, in memory."""
    build = assembly.at_kinks if task.terms.loss.is_kinked else assembly.on_parabolas
    is_for = task.takes_newton and task.has_boxes
    return task.with_matrix(NEWTON, build, of_rows=not task.has_row_space) if is_for else None


def newton_of_any_size(task: Task) -> Choice | None:
    """Other losses, and rows elsewhere."""
    is_kinked = task.terms.loss.is_kinked
    build = assembly.at_kinks_elsewhere if is_kinked else assembly.by_newton
    return task.with_matrix(NEWTON, build, of_rows=is_kinked) if task.takes_newton else None


def _ready(solver: Solver) -> Choice:
    """Return the choice of a solver with Newton's steps that looks at no moments."""
    return Choice.of(NEWTON, partial(assembly.ready, solver))


def _descent(task: Task, pair: Pair, *, of_rows: bool) -> Choice:
    """Return the choice of a descent, with the rows factored where the moments have too few digits, or not."""
    build = partial(assembly.by_descent, partial(choose_exact, task.spec, task.rows))
    return task.with_matrix(pair, build, of_rows=of_rows)


def _first(task: Task) -> tuple[Way, Choice]:
    """Return the first way that is for a task, and the choice that it comes to."""
    return next((way, choice) for way in WAYS if (choice := way(task)) is not None)


WAYS: tuple[Way, ...] = (
    working_set,
    column_generation,
    boxes,
    sketches,
    augmented_lagrangian,
    newton,
    dual_ridge,
    descent,
    boxes_of_any_size,
    newton_of_any_size,
)
"""The ways, the fastest first; at the end those for what only Newton's method supports, whatever they cost."""

BOUNDING = (working_set, column_generation, boxes, augmented_lagrangian)
"""The ways that know a lower bound on the least F."""
