"""What is said of an epsilon, or of a scale of residuals, with which Huber's loss is none."""

import numpy as np

from gdregress.problem.losses import HUBER_SHARE
from gdregress.problem.problem import Problem
from gdregress.rows.rows import drawable
from gdregress.solve.scale import LEAST_SCALE, scale_of
from gdregress.solve.stopping import Result

INTERPOLATED = (
    "epsilon='auto' finds no scale of the residuals, since there are no more rows than coefficients, so that these fit "
    "every row: set a penalty, such as penalty='l2', or give epsilon a number."
)
"""What is said where the scale is the least there is, whatever the targets are."""

MOSTLY_ZERO = (
    "epsilon='auto' finds no scale of the residuals, since most of them are zero: give epsilon a number, in units of y."
)
"""What is said where coefficients fit most rows, but not all."""

FAR_OUTSIDE, FEW_INSIDE = 100.0, 0.02
"""Mean size of a residual, in epsilons, and share of residuals below epsilon, at which Huber's loss has no parabola."""

TOO_SMALL = (
    "so that loss='huber' is all but the absolute error: set epsilon='auto', or a number near their size, "
    "in units of y."
)
"""What is said where epsilon is far below the residuals."""


def remarks_on_epsilon(epsilon: float, problem: Problem, result: Result) -> tuple[str, ...]:
    """Return what to say where Huber's loss has converged and hardly any residual is below epsilon.

    That is where the mean residual is more than a hundred times epsilon, and no more residuals are below it than must
    be: as many as there are coefficients are, whatever it is.
    """
    mean = 0.5 * epsilon + result.kept.loss / (2.0 * epsilon)
    if not FAR_OUTSIDE * epsilon < mean < np.inf:
        return ()
    [there] = problem.from_rows().evaluate([result.kept.point])
    if np.max(there.curved) > FEW_INSIDE + problem.n_coordinates / problem.rows.n_weighted:
        return ()
    return (f"epsilon={epsilon:g} is far below the residuals, whose mean size is {mean:.3g}, {TOO_SMALL}",)


def remarks_on_scale(scale: float, problem: Problem, result: Result) -> tuple[str, ...]:
    """Return what to say where coefficients fit every row, or most rows for no good reason: the scale is the least.

    Most rows are fitted where their targets are equal, or by coefficients that a penalty has shrunk. Other coefficients
    that fit most rows are a find.
    """
    of_y, rows = problem.moments.y, problem.rows
    if scale > 2.0 * LEAST_SCALE * float(np.hypot(of_y.deviation, of_y.mean)[0]):
        return ()
    if rows.n_weighted <= rows.n_features + problem.terms.fit_intercept:
        return (INTERPOLATED,)
    if result.kept.loss <= (FAR_OUTSIDE * HUBER_SHARE * scale) ** 2:
        return ()
    y, weight = drawable(rows).y, drawable(rows).weight
    numbers, place = np.unique(y[:, 0], return_inverse=True)
    mode = numbers[np.bincount(place, weights=weight).argmax()] if problem.terms.fit_intercept else 0.0
    is_penalised = problem.terms.l1 > 0 or problem.terms.l2 > 0
    return (MOSTLY_ZERO,) if is_penalised or scale_of(y[:, 0] - mode, weight) == 0 else ()
