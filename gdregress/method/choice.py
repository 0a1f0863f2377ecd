"""The choice of rung, optimizer and solver, before any row is read."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from gdregress.method.combinations import OPTIMIZERS, choose_pair
from gdregress.method.sketches import FINEST_TOL, accelerated_is_cheaper, cheapest_share, is_nearly_square, is_tall
from gdregress.method.spec import Spec
from gdregress.problem.design import has_row_space
from gdregress.problem.problem import Terms
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

SET_LIMIT = 250
"""Number of features, at most half the rows, up to which products of all columns are cheaper than working sets."""


Way = Literal["sketches", "working set", "matrix-free", "dual", "boxes", "newton", "descent"]
"""How a problem is solved: see `Choice`."""


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
    way : {"sketches", "working set", "matrix-free", "dual", "boxes", "newton", "descent"}
        How the problem is solved: with approximate preconditioners; on a growing set of columns; by products of X with
        vectors alone; by the products of the rows; as slopes in boxes; by Newton's method; or by a descent.
    """

    rung: str
    optimizer: str
    asked: frozenset[str]
    share: float | None = None
    products: bool = True
    factored: Literal["rows", "spectrum", "nothing"] = "spectrum"
    way: Way = "descent"

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
        rung, optimizer = choose_pair(spec.steps.learning_rate, spec.steps.optimizer, asked, costly)
        return cls(rung, optimizer, asked, way="newton" if optimizer == "newton" else "descent")

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
    has_boxes = _has_boxes(terms, rows)
    is_short = has_boxes and has_row_space(terms, rows)
    newtons = _way_of_newton(spec, rows, is_short=is_short)
    has_set, needs_no_matrix = newtons == "working set", newtons in ("working set", "matrix-free")
    share = _share(spec, rows, asked, steps_are_newton=has_boxes and p <= MOMENTS_LIMIT)
    is_plain = not (asked or rows.is_sparse)
    is_factored = (is_tall(n, p) or is_short_and_wide(rows) or _has_few_rows(rows)) and is_plain
    has_matrix = p <= MOMENTS_LIMIT or share is not None or is_factored or is_short
    costly = _costly(p, spec, has_boxes=has_boxes) | (set() if has_matrix or needs_no_matrix else {"curvature"})
    if share is not None:
        costly |= {"gd", "newton"}  # both need the exact curvature
    elif needs_no_matrix or is_short:
        costly -= {"newton"}
    choice = Choice.of(spec, asked, costly)
    is_matrix_free = choice.is_newton and needs_no_matrix
    if choice.rung == "curvature" and min(n, p) > MATRIX_LIMIT and not is_matrix_free:
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
        not choice.is_newton or (not is_short and (has_boxes or terms.loss.is_kinked))
    )
    return replace(
        choice,
        share=share,
        products=products if share is None else share == 1.0,
        factored="rows" if factors_rows else "nothing",
        way="sketches" if share is not None else _way(choice, spec, rows, newtons),
    )


def _way(choice: Choice, spec: Spec, rows: Rows, newtons: Way) -> Way:
    """Return how a problem is solved whose rows can be read, without a sketch: see `Choice`."""
    if choice.is_newton:
        return newtons
    return "dual" if _is_dual(choice, spec, rows) else "descent"


def _way_of_newton(spec: Spec, rows: Rows, *, is_short: bool) -> Way:
    """Return how Newton's method goes, if it is chosen; `is_short` says that the rows have a space of their own."""
    terms, is_asked_for = spec.terms, spec.steps.learning_rate == "curvature"
    if _has_set(terms, rows):
        return "working set"
    if not _has_boxes(terms, rows):
        return "newton"
    is_wide = rows.n_features > MOMENTS_LIMIT and not (is_asked_for or is_short)
    return "matrix-free" if is_wide and terms.is_ridge else "boxes"


def choose_exact(spec: Spec, rows: Rows) -> Choice | None:
    """Choose the fastest solver that knows how low F is, to measure the gap of a descent; None if there is none.

    Least squares without L1 and `positive` needs none. Without a matrix and a penalty none knows the dual.

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
    choice = choose(spec.at_the_minimum(), rows)
    knows = choice.way in ("boxes", "working set", "matrix-free") or (terms.is_squared_error and choice.way == "newton")
    return choice if knows else None


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
    return terms.has_boxes and rows.in_memory is not None


def _has_set(terms: Terms, rows: Rows) -> bool:
    """Return whether Newton's method goes by working sets: a loss by name, L1 or signs, many columns in memory."""
    if not terms.has_prox or rows.in_memory is None:
        return False
    if terms.is_squared_error:
        return rows.n_features > min(SET_LIMIT, rows.n_weighted // 2)
    return _has_boxes(terms, rows) and rows.n_features > min(NEWTON_LIMIT, rows.n_weighted)


def _share(spec: Spec, rows: Rows, asked: frozenset[str], *, steps_are_newton: bool) -> float | None:
    """Return the share of the rows for an approximate preconditioner; None for the exact one."""
    n, p, steps, tol = rows.n_weighted, rows.n_features, spec.steps, spec.limits.tol
    is_exact = rows.is_sparse or rows.is_summed
    if is_exact or not tol or asked - {"any loss"} or steps.learning_rate not in ("auto", "curvature"):
        return None
    if not asked and steps.optimizer in ("auto", "conjugate"):
        if p > MOMENTS_LIMIT and is_nearly_square(n, p) and tol >= FINEST_TOL:
            return 1.0
        return cheapest_share(n, p, rows.n_outputs, tol, samples=rows.in_memory is not None)
    accelerates = steps.optimizer == "nesterov" or (steps.optimizer == "auto" and not steps_are_newton)
    if asked and spec.terms.is_mostly_parabola and accelerates:
        return 1.0 if accelerated_is_cheaper(n, p) else None
    return None


def is_short_and_wide(rows: Rows) -> bool:
    """Return whether X has few rows, and so few entries that it is factored as it is."""
    small = rows.n_samples <= MOMENTS_LIMIT and rows.n_samples * rows.n_features <= FACTOR_LIMIT
    return small and not rows.is_sparse


def _has_few_rows(rows: Rows) -> bool:
    """Return whether the products of the rows are the smaller matrix, and are cheap to factor."""
    is_few = rows.n_weighted <= min(MOMENTS_LIMIT, rows.n_features)
    return is_few and not rows.is_sparse and rows.in_memory is not None


def _is_dual(choice: Choice, spec: Spec, rows: Rows) -> bool:
    """Return whether least squares goes by the products of the rows: these are few, and worth it."""
    if choice.asked or choice.is_newton or choice.rung != "curvature" or not _has_few_rows(rows):
        return False
    is_worth_it = rows.n_samples * rows.n_features >= DUAL_ENTRIES
    return is_worth_it and OPTIMIZERS[choice.optimizer](spec.steps.momentum).is_exact
