"""How far a point is from the minimum: slopes of boxes made feasible, and the gap that these prove."""

import numpy as np
from numpy.typing import NDArray

from gdregress.problem.boxes import ROUNDING, BoxProblem, Iterate

FEASIBLE = 1e-9
"""Cost of slopes that are not feasible, in typical losses, up to which they are not projected."""


def measured(box: BoxProblem, point: NDArray, residual: NDArray, slope: NDArray, pull: NDArray) -> Iterate:
    """Return how far a point whose signs are allowed is from the minimum, from slopes that need not be feasible.

    Of the slopes u, ``pull`` is A'S u. They are projected, u <- u - D A (A'SDA + L)^-1 (A'S u - L w), and drawn
    together until they are in their boxes. Only rounding is left of what they lack without L2, and the slopes of
    the penalty take up what they can of that.
    """
    lack = box.lack(point, pull)
    if box.cost(point, lack) > FEASIBLE or np.abs(lack[box.l2 == 0]).max(initial=0.0) > ROUNDING:
        slope = slope + box.metric.solve(np.zeros_like(slope), lack)[1]
        pull = box.pull(slope)
    return measured_if_projected(box, point, residual, slope, pull)


def measured_if_projected(box: BoxProblem, point: NDArray, residual: NDArray, slope: NDArray, pull: NDArray) -> Iterate:
    """Return how far a point is from the minimum, as `measured` does, from slopes that have been projected."""
    lack = box.lack(point, pull)
    if ((slope < box.low) | (slope > box.high)).any():
        slope = _drawn_together(box, slope)
        lack = box.lack(point, box.pull(slope))
    if box.design.n_penalised and lack.any():
        slope, lack = _taken_up(box, slope, lack)
    here = box.slopes(residual)
    gap = box.fenchel_gap(residual, here, slope) + box.cost(point, lack)
    return box.iterate(point, residual, here, gap)._replace(dual=slope)


def measured_by_shrinking(box: BoxProblem, point: NDArray, residual: NDArray, slope: NDArray, pull: NDArray) -> Iterate:
    """Return how far a point is from the minimum, without a factor: that would be of all columns.

    Of slopes u of the rows of X, ``pull`` is A'S u. They are shrunk to t u, and the other rows of A, those of the
    penalty, have the slopes that follow, or the nearest in their boxes::

        u_j  =  (L w - t A'S u)_j / s_j    for each coefficient j

    t is the largest number, at most 1, with which u_j is in its box for all j. It may also be 1, if that is better,
    with L2 or if only rounding puts a u_j outside its box.

    Parameters
    ----------
    box : BoxProblem
        The problem.
    point, residual : ndarray of shape (n_coordinates,), (n_rows,)
        w, whose signs are allowed, and its residuals.
    slope : ndarray of shape (n_rows,)
        u. If there is an intercept, their mean becomes 0.
    pull : ndarray of shape (n_coordinates,)
        A'S u, the rows of the penalty left out.
    """
    of_penalty, p, n = np.s_[box.n_data :], box.design.n_penalised, box.n_data // box.design.copies
    weight, low, cap = box.weight[of_penalty], box.low[of_penalty], box.cap[of_penalty]
    level, pull, slope = pull[p:].sum(), np.append(pull[:p], np.zeros(len(pull) - p)), slope.copy()
    slope[:n] -= level
    slope[of_penalty] = 0.0
    inside = _share_inside(box, slope)
    here, level_l2 = box.slopes(residual), box.l2 * point

    def proved(share: float) -> tuple[float, NDArray]:
        """Return the gap at t u, and its slopes."""
        dual = _shared(box, share * slope)
        needed = (level_l2 - share * pull)[:p] / weight
        dual[of_penalty] = np.where(box.capped[of_penalty], np.clip(needed, low, cap), np.maximum(needed, low))
        lack = share * pull - level_l2
        lack[:p] += weight * dual[of_penalty]
        return box.fenchel_gap(residual, here, dual) + box.cost(point, lack), dual

    size, held = np.abs(pull[:p]), np.where(pull[:p] > 0, -low, cap) * weight
    excess = np.where(held > 0, size - held, 0.0)
    ends = np.divide(held, size, out=np.ones(p), where=excess > 0)
    shares = [inside * float(ends.min(initial=1.0))]
    if box.l2.any() or excess.max(initial=0.0) <= ROUNDING:
        shares.append(inside)
    gap, dual = min(map(proved, shares), key=lambda each: each[0])
    return box.iterate(point, residual, here, gap)._replace(dual=dual)


def measured_with_l2(
    box: BoxProblem, point: NDArray, residual: NDArray, slope: NDArray, pull: NDArray, *, has_intercept: bool
) -> Iterate:
    """Return how far a point is from the minimum, where all coefficients have L2 and neither L1 nor signs.

    Of slopes u in their boxes, ``pull`` is A'S u. If there is an intercept, their mean becomes 0, and they are
    shrunk until they are in their boxes again. Then they are feasible, and what A'S u - L w is costs half its
    square over L.

    Parameters
    ----------
    box : BoxProblem
        The problem.
    point, residual : ndarray of shape (n_coordinates,), (n_rows,)
        w and its residuals.
    slope : ndarray of shape (n_rows,)
        u.
    pull : ndarray of shape (n_coordinates,)
        A'S u.
    has_intercept : bool
        Whether the last coordinate is an intercept.
    """
    if has_intercept:
        n = box.n_data // box.design.copies
        slope, pull = slope.copy(), pull.copy()
        slope[:n] -= pull[-1]
        pull[-1] = 0.0
        share = _share_inside(box, slope)
        slope, pull = _shared(box, share * slope), share * pull
    here = box.slopes(residual)
    gap = box.fenchel_gap(residual, here, slope) + cost_with_l2(box.lack(point, pull), box.l2)
    return box.iterate(point, residual, here, gap)._replace(dual=slope)


def cost_with_l2(lack: NDArray, l2: NDArray) -> float:
    """Return by how much D(u) is too large where A'S u - L w is not zero, if no coefficient lacks L2."""
    infinite = np.where(lack == 0, 0.0, np.copysign(np.inf, lack))
    return 0.5 * float(np.divide(lack, l2, out=infinite, where=l2 > 0) @ lack)


def _taken_up(box: BoxProblem, slope: NDArray, lack: NDArray) -> tuple[NDArray, NDArray]:
    """Return slopes and A'S u - L w, of which the slopes of the penalty have taken up what their boxes allow."""
    rows, p = np.s_[box.n_data :], box.design.n_penalised
    weight, slope, lack = box.weight[rows], slope.copy(), lack.copy()
    wanted = slope[rows] - np.where(box.l2[:p] > 0, 0.0, lack[:p]) / weight
    taken = np.clip(wanted, box.low[rows], box.high[rows])
    lack[:p] += weight * (taken - slope[rows])
    slope[rows] = taken
    return slope, lack


def _drawn_together(box: BoxProblem, slope: NDArray) -> NDArray:
    """Return slopes times the largest number, at most 1, that puts them into their boxes.

    A box without an upper end is entered along its own coordinate instead, since 0 may be its lower end.
    """
    slope = _shared(box, _share_inside(box, slope) * slope)
    return np.where(box.capped, slope, np.maximum(slope, box.low))


def _share_inside(box: BoxProblem, slope: NDArray) -> float:
    """Return the largest number, at most 1, times which slopes are in their boxes, apart from those without an end.

    The two slopes of a row with a tube count as one: only their difference matters.
    """
    low, high = box.low, box.high
    n = box.n_data // box.design.copies
    if box.design.copies == 2:
        slope = np.concatenate([slope[:n] - slope[n : 2 * n], slope[2 * n :]])
        low, high = np.concatenate([-high[n : 2 * n], low[2 * n :]]), np.delete(high, np.s_[n : 2 * n])
    outside = np.flatnonzero(((slope > high) | (slope < low)) & (high < np.inf))
    slope = slope[outside]
    return float((np.where(slope > 0, high[outside], low[outside]) / slope).min(initial=1.0))


def _shared(box: BoxProblem, slope: NDArray) -> NDArray:
    """Return slopes of which those of a row with a tube are shared anew, so that one of them is zero."""
    if box.design.copies == 1:
        return slope
    n = box.n_data // 2
    both = slope[:n] - slope[n : 2 * n]
    return np.concatenate([np.maximum(both, 0.0), np.maximum(-both, 0.0), slope[2 * n :]])
