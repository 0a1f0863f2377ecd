"""The duality gap of squared error: a bound on how far a point is from the minimum, not an estimate."""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from gdregress.problem.objectives import Evaluation
from gdregress.problem.penalties import Penalty

NOISE = 100.0 * float(np.finfo(np.float64).eps)
"""Rounding of a gradient, as a share of 1 + |z|_1: a violation that is no larger lowers F by its square at most."""


def squared_error_gap(
    penalty: Penalty, point: NDArray, evaluation: Evaluation, members: NDArray, curvature: NDArray
) -> NDArray:
    """Return a bound on F - min F for each output, in coordinates whose columns are centred if there is an intercept.

    With r the residuals less their mean, and z the coefficients, every u_i = 2 t r_i is a point of the dual::

        v     =  (2/W) sum_i s_i r_i x_i
        gap   =  (1/W) sum_i s_i (1 - t)^2 r_i^2 + sum_j (pen_j(z_j) + pen*_j(t v_j) - t z_j v_j)
        pen*_j(v)  =  max(|v| - l1_j, 0)^2 / (2 l2_j),    with v in place of |v| if z >= 0

    t is 1, or shrinks the residuals until |t v_j| <= l1_j for all j: the latter if there is no L2, else whichever is
    better. Where there is neither L1 nor L2, but z >= 0, what v_j lacks is not shrunk away. It then costs at most its
    product with the coefficients of the minimum, which are taken to be no larger than 1 + max |z|.

    This is of the size of rounding at best. If the step to the minimum for the signs of z changes none of them, and no
    other column can violate its condition there by more than rounding, then that is the minimum of F, and what F falls
    on the way is exact.

    Parameters
    ----------
    penalty : Penalty
        The penalty in these coordinates.
    point : ndarray of shape (n_coordinates, n_outputs)
        The point.
    evaluation : Evaluation
        The objective and its gradient there.
    members : ndarray of shape (n_members,)
        Columns whose products are known, with all whose coefficients are not zero.
    curvature : ndarray of shape (n_members, n_members)
        Second derivatives along these columns, those of L2 included, which are those of every output.

    Returns
    -------
    ndarray of shape (n_outputs,)
        The bound.
    """
    z, l1, l2 = point[: len(penalty.l1)], penalty.l1, penalty.l2
    v = l2 * z - evaluation.gradient[: len(z)]
    off = 0.25 * (evaluation.gradient[len(z) :] ** 2).sum(axis=0)
    loss = np.maximum(evaluation.value - penalty.value(point) - off, 0.0)
    size = v if penalty.positive else np.abs(v)
    largest = np.divide(size, l1, out=np.zeros_like(size), where=l1 > 0).max(axis=0, initial=1.0)
    inverse = np.divide(1.0, l2, out=np.zeros_like(l2), where=l2 > 0)
    reach = 1.0 + np.abs(z).max(axis=0, initial=0.0)

    def gap(t: NDArray) -> NDArray:
        excess = np.maximum(t * size - l1, 0.0)
        straight = np.where(l1 > 0, 0.0, excess * reach)
        conjugate = np.where(l2 > 0, 0.5 * excess * excess * inverse, straight)
        of_penalty = l1 * np.abs(z) + 0.5 * l2 * z * z + conjugate - t * z * v
        return (1.0 - t) ** 2 * loss + np.maximum(of_penalty, 0.0).sum(axis=0)

    bound = gap(1.0 / largest)
    if l2.any():
        bound = np.minimum(bound, gap(np.ones_like(largest)))
    residual = penalty.residual(point, evaluation.gradient)[: len(z)]
    for output in range(z.shape[1]):
        violation = (size - l1)[:, output] - NOISE * (1.0 + np.abs(z[:, output]).sum())
        fall = _fall(curvature, residual[:, output], z[:, output], violation, members)
        bound[output] = min(bound[output], fall)
    return off + bound


def _fall(curvature: NDArray, residual: NDArray, z: NDArray, violation: NDArray, members: NDArray) -> float:
    """Return how far F falls on the way to the minimum for the signs of z, if that is the minimum of F; else infinity.

    No column is longer than 1. So the gradient changes by no more than twice the root of the fall along any of them.
    """
    support = np.flatnonzero(z[members])
    on, off = members[support], np.delete(violation, members[support])
    if not off.max(initial=-np.inf) <= 0 or len(on) < np.count_nonzero(z):
        return np.inf
    if not len(on):
        return 0.0
    factor, info = lapack.dpotrf(curvature[np.ix_(support, support)], lower=1)
    if info != 0:
        return np.inf
    step = -lapack.dpotrs(factor, residual[on], lower=1)[0]
    fall = -0.5 * float(residual[on] @ step)
    is_minimum = (z[on] * (z[on] + step) > 0).all() and off.max(initial=-np.inf) + 2.0 * np.sqrt(max(fall, 0.0)) <= 0
    return fall if is_minimum else np.inf
