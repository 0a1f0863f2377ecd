"""The minimum of a quadratic plus L1 and `positive`, exactly: the prox of a penalty in the metric of a matrix."""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from gdregress.problem.penalties import Penalty

BLOCK_ROUNDS = 3
"""Rounds without fewer wrong guesses after which block pivoting corrects only one guess a round."""

ROUNDS = 30
"""Rounds of block pivoting after which it counts as cycling."""

NOISE = 10.0
"""Multiple of the residual of a solved system below which a violated condition is attributed to rounding."""


def model_minimum(penalty: Penalty, curvature: NDArray, slope: NDArray, start: NDArray, output: int) -> NDArray | None:
    """Return the exact minimiser of a quadratic plus the nonsmooth part of the penalty of one output.

    It is ``argmin_z z' H z / 2 - q . z + sum_j l1_j |z_j|``, found by block principal pivoting (Judice and Pires,
    1994). Each round guesses which coordinates are zero and which signs the others have, solves for these, and
    corrects all wrong guesses. If their number stops falling, it corrects one guess a round.

    Parameters
    ----------
    penalty : Penalty
        The penalty.
    curvature : ndarray of shape (n_coordinates, n_coordinates)
        H, positive definite, with the L2 part of the penalty included.
    slope : ndarray of shape (n_coordinates,)
        The vector q.
    start : ndarray of shape (n_coordinates,)
        A point whose signs are the first guess.
    output : int
        Index of the output, a column of `l1`.

    Returns
    -------
    ndarray of shape (n_coordinates,) or None
        The minimiser. None if the guesses cycle, which a nearly singular H can cause, or if a system is singular.
    """
    if penalty.is_smooth:
        return _solve(curvature, slope)
    q, p = len(slope), len(penalty.l1)
    l1 = np.concatenate([penalty.l1[:, output], np.zeros(q - p)])
    free = (l1 == 0) & (not penalty.positive)
    free[p:] = True
    sign = np.where(free, 1.0, np.maximum(np.sign(start), 0.0) if penalty.positive else np.sign(start))
    largest = np.abs(slope).max(initial=0.0)
    fewest, rounds_left = q + 1, BLOCK_ROUNDS
    for _ in range(ROUNDS):
        active = sign != 0
        z = np.zeros(q)
        solution = _solve(curvature[np.ix_(active, active)], (slope - l1 * sign)[active])
        if solution is None:
            return None
        z[active] = solution
        residual = slope - curvature @ z
        noise = NOISE * max(np.abs((residual - l1 * sign)[active]).max(initial=0.0), np.finfo(float).eps * largest)
        leaves = active & ~free & (z * sign < 0)
        enters = ~active & ((residual if penalty.positive else np.abs(residual)) > l1 + noise)
        wrong = leaves | enters
        n_wrong = int(wrong.sum())
        if n_wrong == 0:
            return z
        if n_wrong < fewest:
            fewest, rounds_left = n_wrong, BLOCK_ROUNDS
        elif rounds_left > 0:
            rounds_left -= 1
        else:
            wrong[: np.flatnonzero(wrong)[-1]] = False
        sign = np.where(wrong, np.where(active, 0.0, np.sign(residual)), sign)
    return None


def _solve(matrix: NDArray, right: NDArray) -> NDArray | None:
    """Return the solution of a positive definite system; None if it is not numerically positive definite."""
    if not len(right):
        return right
    _, solution, info = lapack.dposv(matrix, right, lower=1)
    return solution if info == 0 and np.isfinite(solution).all() else None
