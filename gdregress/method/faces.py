"""The minimum on a face: where an active set is known, it is the solution of a linear system, with all digits."""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack, qr

from gdregress.problem.boxes import LITTLE, NOISE, OUTSIDE, BoxProblem, Iterate

CANDIDATES, FEW_CANDIDATES = 3, 1.5
"""Rows among which those of a vertex are looked for, as a multiple of their number: of few and of many."""

MANY = 200
"""Number of columns from which a QR factorisation with pivots costs far more than an epoch."""

INSIDE = 1e-6
"""Share of a box by which the slopes of a vertex are inside; if one is at an end, the minimum is not at one point."""


def vertex(box: BoxProblem, curvature: NDArray, slope: NDArray, zeros: NDArray) -> Iterate | None:
    """Return the vertex near a state, the solution of as many rows of A as there are coefficients, if there is one.

    The rows are those of coefficients that are zero, and for the others those of the largest t that are independent.
    Its slopes solve A'S u = 0, with those of the other rows at the end that their residual names. If they are inside
    their boxes, the vertex is the minimum, and the only one.

    Parameters
    ----------
    box : BoxProblem
        The problem, of kinks only and without L2.
    curvature : ndarray of shape (n_rows,)
        t, the curvature of the barrier along each row.
    slope : ndarray of shape (n_rows,)
        Slopes of rows on the vertex that are not among the independent ones.
    zeros : ndarray of int
        Coefficients that are zero; none in a basis. Their equations need not be solved.
    """
    design, zeros = box.design, zeros[: box.design.rank - 1]  # LAPACK takes no system without equations
    free, of_zeros = np.delete(np.arange(design.rank), zeros), box.n_data + zeros
    rank = len(free)
    likely = np.argsort(-curvature, kind="stable")
    candidates = CANDIDATES if rank <= MANY else FEW_CANDIDATES
    likely = likely[np.isin(likely, of_zeros, invert=True)][: int(candidates * rank)]
    rows = design.chosen(likely)[:, free]
    order = _independent(rows * np.sqrt(curvature[likely])[:, np.newaxis])
    chosen, rows = likely[order], rows[order]
    if len(chosen) < rank:
        return None
    lu, pivots, info = lapack.dgetrf(rows)
    if info != 0:
        return None
    inner = np.zeros(design.rank)
    inner[free] = lapack.dgetrs(lu, pivots, box.target[chosen])[0]
    inner[free] += lapack.dgetrs(lu, pivots, box.target[chosen] - rows @ inner[free])[0]
    point = design.point(inner)
    point[chosen[chosen >= box.n_data] - box.n_data] = 0.0
    if not np.isfinite(point).all():
        return None
    point = box.allowed(point)
    residual = box.residual(point)
    noise = NOISE * (np.abs(box.target) + np.abs(box.target - residual) + LITTLE)
    residual = np.where(np.abs(residual) > noise, residual, 0.0)
    slope = np.where(residual == 0, slope, box.slopes(residual))
    slope[chosen] = slope[of_zeros] = 0.0
    slope[chosen] = lapack.dgetrs(lu, pivots, -box.pulled(slope)[free], trans=1)[0] / box.weight[chosen]
    slope[of_zeros] = -box.pull(slope)[zeros] / box.weight[of_zeros]
    on = np.concatenate([chosen, of_zeros])
    room, depth = (distance[on] for distance in box.distances(slope))
    if (np.minimum(room, depth) <= INSIDE * np.minimum(box.reach, box.reach[: box.n_data].max())[on]).any():
        return None
    return box.measured(point, residual, slope, box.pull(slope))


def _independent(rows: NDArray) -> NDArray:
    """Return as many numbers of rows as there are columns, of rows that are long and independent: the pivots.

    Those of QR keep the longest rows. With many columns those of LU are found in a tenth of the time.
    """
    n, rank = rows.shape
    if rank <= MANY:
        return qr(rows.T, mode="r", pivoting=True)[1][:rank]
    _, swaps, _ = lapack.dgetrf(rows)
    order = np.arange(n)
    for place, other in enumerate(swaps):
        order[place], order[other] = order[other], order[place]
    return order[:rank]


def face(box: BoxProblem, point: NDArray, residual: NDArray, is_inside: NDArray, zeros: NDArray) -> Iterate | None:
    """Return the minimum for an active set, if it is the minimum of the problem.

    Of the rows whose slopes are inside their boxes, some lie on a parabola, and the others, E, on a kink. With H the
    curvature of the parabolas and of L2, and F the coefficients that are not zero, a step d and the slopes u of E
    solve::

        H d - E'S u  =  A'S u' - L w  (for F)            u': the slopes of the other rows, at w
        E d          =  r             (for E)

    A coefficient that is zero has a slope of its own, which balances its gradient.

    Parameters
    ----------
    box : BoxProblem
        The problem.
    point, residual : ndarray of shape (n_coordinates,), (n_rows,)
        w and its residuals.
    is_inside : ndarray of bool, shape (n_data,)
        Which rows of X have slopes inside their boxes.
    zeros : ndarray of int
        Coefficients that are zero.
    """
    design, n_data = box.design.without_basis(), box.n_data
    point, of_zeros = point.copy(), n_data + zeros
    point[zeros] = 0.0
    residual = residual.copy()
    residual[of_zeros] = 0.0
    slope = box.slopes(residual)
    kinks = np.flatnonzero(is_inside & (box.flatness[:n_data] == 0))
    on = np.append(is_inside & (box.flatness[:n_data] > 0), np.zeros(len(slope) - n_data, bool))
    slope[kinks] = slope[of_zeros] = 0.0
    slope[on] = residual[on] / box.flatness[on]
    curvature = np.divide(1.0, box.flatness, out=np.zeros_like(slope), where=on)
    free = np.setdiff1d(np.arange(len(point)), zeros)
    if len(kinks) > len(free):
        return None
    second = np.diag(box.l2[free])
    if on.any() and len(free):
        of_free = design.of_columns(free[free < design.n_penalised]) if len(zeros) else design
        second += of_free.gram(np.delete(box.weight * curvature, of_zeros))
    along = design.chosen(kinks)[:, free]
    system = np.block([[second, -along.T], [along, np.zeros((len(kinks),) * 2)]])
    lack = box.lack(point, box.pull(slope))[free]
    if not np.isfinite(system).all():
        return None
    solution = _solved(system, np.concatenate([lack, residual[kinks]]))
    step = np.zeros_like(point)
    step[free] = solution[: len(free)]
    moved = point + step
    penalised = free[free < design.n_penalised]
    if (moved[penalised] * point[penalised] < 0).any():
        return None
    slope -= curvature * design.dot(step)
    slope[kinks] = solution[len(free) :] / box.weight[kinks]
    lack = box.lack(moved, box.pull(slope))
    slope[of_zeros] = -lack[zeros] / box.weight[of_zeros]
    slack = OUTSIDE * box.reach
    if not ((slope >= box.low - slack) & (slope <= box.high + slack)).all():
        return None
    residual = box.residual(moved)
    if not box.is_curved:
        return box.measured(moved, residual, slope, box.pull(slope))
    here = box.slopes(residual)
    here[of_zeros] = slope[of_zeros]
    # What rounding has left of the lack is projected once more, without rounding it again: E is empty here.
    left, rest = lack[free], np.zeros_like(lack)
    further = _solved(system, left)
    rest[free] = left - system @ further
    step[free] = further
    gap = 0.5 * float(left @ further) + box.cost(moved, rest)
    gap += float(box.weight @ ((here - slope) * (residual - 0.5 * box.flatness * (here + slope))))
    dual = slope - curvature * design.dot(step)
    return box.iterate(moved, residual, here, max(gap, 0.0))._replace(dual=dual)


def _solved(matrix: NDArray, right: NDArray) -> NDArray:
    """Return the solution of a linear system, or its least-squares solution of least norm where it is singular."""
    if not len(right):
        return right
    _, _, solution, info = lapack.dgesv(matrix, right)
    if info == 0 and np.isfinite(solution).all():
        return solution
    return np.linalg.lstsq(matrix, right, rcond=None)[0]
