"""The inverse Hessian of squared error where columns are exactly collinear, without a factorisation of the rows.

One-hot columns are the usual case: those of each category sum to a constant, so R is singular. Products of columns tell
a combination that is constant from one that is nearly so only up to rounding. One look at the rows decides.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from gdregress.method.preconditioners import InverseHessian, most_of_rounding
from gdregress.problem.coordinates import Coordinates
from gdregress.problem.losses import squared_error
from gdregress.problem.objectives import DataObjective, MomentObjective
from gdregress.rows.moments import Moments
from gdregress.rows.namespaces import beside
from gdregress.rows.rows import Rows

ATTEMPTS = 2
"""Number of looks at the rows; all but the last refine the null space."""


def inverse_of_collinear(
    quadratic: MomentObjective, rows: Rows, moments: Moments, coordinates: Coordinates, error: float
) -> InverseHessian | None:
    """Make P from a pivoted Cholesky factor of R, where the other columns are combinations of its pivots.

    With R the products of the standardised columns Z, in the order of the pivots (Higham, 1990)::

        R    =  [L; M] [L; M]'                     up to the rounding of R
        G    =  diag((L L')^-1, 0),   N = orth [-L'^-1 M'; 1]
        repeat unless |Z N| is rounding
            N  <-  orth (N - G Z'Z N)              with products from the rows
        R^+  =  (1 - N N') G (1 - N N')

    N spans the combinations of columns that are constant. As R^+ is the pseudo-inverse, a descent from zero ends at the
    minimum of least norm.

    Parameters
    ----------
    quadratic : MomentObjective
        Squared error without a penalty, in the unit-curvature coordinates.
    rows : Rows
        X and the weights.
    moments : Moments
        The moments that `quadratic` was made from.
    coordinates : Coordinates
        The unit-curvature coordinates.
    error : float
        Largest relative error of G for which N and the steps of a refinement converge.

    Returns
    -------
    InverseHessian or None
        None where R has too few digits to tell, or where its digits and the rows do not agree on what is constant.
    """
    moves = np.flatnonzero(coordinates.inverse_scale > 0)
    correlation = quadratic.products()[np.ix_(moves, moves)]
    correlation.flat[:: len(moves) + 1] = 1.0
    resolution = max(moments.n_samples**0.5, len(moves)) * moments.error(1.0)
    lower, order, rank, _ = lapack.dpstrf(correlation, tol=resolution, lower=1, overwrite_a=1)
    inverse, info = lapack.dtrtri(lower[:rank, :rank], lower=1)
    if info or rank == len(moves):
        return None
    inverse, order = np.tril(inverse), moves[order - 1]
    inflation = float(np.vdot(inverse, inverse))
    if not moments.error(inflation) <= error:
        return None
    basis = np.zeros((len(coordinates.center), rank))
    basis[order[:rank]] = inverse.T
    null = np.zeros((len(basis), len(order) - rank))
    null[order[:rank]] = -inverse.T @ lower[rank:, :rank].T
    null[order[rank:], np.arange(null.shape[1])] = 1.0
    for _ in range(ATTEMPTS):
        null = np.linalg.qr(null)[0]
        spread, products = _spread(rows, coordinates, null)
        if (spread <= most_of_rounding(rows, moments, coordinates, null, len(order) ** 0.5)).all():
            return InverseHessian(basis - null @ (null.T @ basis), inflation)
        null = null - basis @ (basis.T @ products)
    return None


def _spread(rows: Rows, coordinates: Coordinates, combinations: NDArray) -> tuple[NDArray, NDArray]:
    """Return the root mean squares of Z v for combinations v of columns, and the means of Z' Z v, from the rows."""
    n_combinations = combinations.shape[1]
    frame = replace(coordinates, target_center=np.zeros(n_combinations), target_scale=np.ones(n_combinations))
    zeros = rows.with_targets(lambda y: beside(y, np.zeros((y.shape[0], n_combinations))))
    objective = DataObjective(zeros, frame, squared_error(), frame.penalty(0.0, 0.0))
    level = np.zeros((int(frame.fit_intercept), n_combinations))
    [evaluation] = objective.evaluate([np.vstack([combinations, level])])
    return np.sqrt(evaluation.value), 0.5 * evaluation.gradient[: len(combinations)]
