"""Duality gaps from the sums that a gradient needs: bounds on how far a point is from the minimum, not estimates."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from gdregress.problem.objectives import Evaluation
from gdregress.problem.penalties import Penalty, tiled
from gdregress.problem.problem import Gap, Problem

NOISE = 100.0 * float(np.finfo(np.float64).eps)
"""Rounding of a gradient, as a share of 1 + |z|_1: a violation that is no larger lowers F by its square at most."""


Solve = Callable[[NDArray, NDArray], NDArray | None]
"""A function from places among some columns, and a right side, to the solution of the system of the second derivatives
along these columns; None where it is not found. The derivatives include those of L2, and are those of every output."""


def by_products(curvature: NDArray) -> Solve:
    """Return the function that solves by a Cholesky factor of a part of the second derivatives."""

    def solve(places: NDArray, right: NDArray) -> NDArray | None:
        factor, info = lapack.dpotrf(curvature.take(places, axis=0).take(places, axis=1), lower=1)
        return lapack.dpotrs(factor, right, lower=1)[0] if info == 0 else None

    return solve


def squared_error_gap(
    penalty: Penalty, point: NDArray, evaluation: Evaluation, members: NDArray, solve: Solve
) -> NDArray:
    """Return a bound on F - min F for each output, in coordinates whose columns are centred if there is an intercept.

    With r the residuals less their mean, and z the coefficients, every u_i = 2 t r_i is a point of the dual::

        v     =  (2/W) sum_i s_i r_i x_i
        gap   =  (1/W) sum_i s_i (1 - t)^2 r_i^2 + sum_j (pen_j(z_j) + pen*_j(t v_j) - t z_j v_j)
        pen*_j(v)  =  max(|v| - l1_j, 0)^2 / (2 l2_j),    with v in place of |v| if z >= 0

    t is 0, 1, or shrinks the residuals until |t v_j| <= l1_j for all j: whichever is best. pen*_j is infinite above
    l1_j if there is no L2. So with neither L1 nor L2, but z >= 0, it is 0: the bound is F.

    This is of the size of rounding at best. If no other column can violate its condition by more than rounding at the
    minimum for the signs of z, that bounds F too, and so does what F falls on the way: with s the signs, l1_j s_j z_j
    is no larger than l1_j |z_j|. It is exact, as far as the systems are solved.

    Parameters
    ----------
    penalty : Penalty
        The penalty in these coordinates.
    point : ndarray of shape (n_coordinates, n_outputs)
        The point.
    evaluation : Evaluation
        The objective and its gradient there.
    members : ndarray of shape (n_members,)
        Columns along which the second derivatives are known.
    solve : callable
        Function that solves systems of these: see `Solve`.

    Returns
    -------
    ndarray of shape (n_outputs,)
        The bound.
    """
    p = len(penalty.l1)
    z, gradient = point[:p], evaluation.gradient[:p]
    off = 0.25 * (evaluation.gradient[p:] ** 2).sum(axis=0)
    loss = np.maximum(evaluation.value - penalty.value(point) - off, 0.0)
    for k in range(z.shape[1]):
        off[k] += _gap_of_output(penalty.of_output(k), z[:, k], gradient[:, k], float(loss[k]), members, solve)
    return off


def _gap_of_output(
    penalty: Penalty, z: NDArray, gradient: NDArray, loss: float, members: NDArray, solve: Solve
) -> float:
    """Return the bound for one output whose residuals are centred, given their mean square."""
    is_on, v = z != 0, -gradient
    [on] = is_on.nonzero()
    v[on] += penalty.l2[on, 0] * z[on]
    violation = (v if penalty.positive else np.abs(v)) - penalty.l1[:, 0]
    is_beyond = violation > 0
    [beyond] = (is_beyond & (penalty.l1[:, 0] > 0)).nonzero()
    largest = 1.0 + float((violation[beyond] / penalty.l1[beyond, 0]).max(initial=0.0))
    [some] = (is_on | (is_beyond & penalty.is_finite[:, 0])).nonzero()  # the terms of all others are 0
    l1, l2, of_z, of_v, size = penalty.l1[some, 0], penalty.l2[some, 0], z[some], v[some], np.abs(z[some])
    slope = of_v if penalty.positive else np.abs(of_v)
    inverse = np.divide(1.0, l2, out=np.zeros(len(l2)), where=l2 > 0)

    def gap(t: float) -> float:
        excess = np.maximum(t * slope - l1, 0.0)
        of_penalty = 0.5 * excess * excess * inverse + size * (l1 + 0.5 * l2 * size) - t * of_z * of_v
        return (1.0 - t) ** 2 * loss + float(np.maximum(of_penalty, 0.0).sum())

    bound, is_infinite = gap(0.0), is_beyond & ~penalty.is_finite[:, 0]
    if (penalty.l1[is_infinite, 0] > 0).all():
        bound = min(bound, gap(1.0 / largest))
    if largest > 1.0 and not is_infinite.any():
        bound = min(bound, gap(1.0))
    violation[on] = -np.inf
    worst = float(violation.max(initial=-np.inf)) - NOISE * (1.0 + float(size.sum()))
    [support] = z[members].nonzero()
    if worst <= 0 and len(support) == len(on):
        on = members[support]
        residual = gradient[on] + penalty.l1[on, 0] * np.sign(z[on])
        step = solve(support, -residual) if len(on) else residual
        if step is not None:
            bound = min(bound, _fall(step, residual, worst))
    return bound


def _fall(step: NDArray, residual: NDArray, violation: float) -> float:
    """Return how far F falls on the way to the minimum for some signs, if no other column leaves zero; else infinity.

    No column is longer than 1. So the gradient changes by no more than twice the root of the fall along any of them.

    Parameters
    ----------
    step, residual : ndarray of shape (n_nonzero,)
        The way, and the slopes of F along the columns whose coefficients are not zero.
    violation : float
        The largest violation of any other column, not positive.
    """
    fall = -0.5 * float(residual @ step)
    return fall if violation + 2.0 * np.sqrt(max(fall, 0.0)) <= 0 else np.inf


@dataclass(frozen=True)
class DualityGap:
    """The duality gap with L2, for any loss of lines and parabolas: a bound where there is no matrix.

    With u the slopes of the loss, or of the smoothed loss, at the residuals r, and m their mean, every v is that of a
    point of the dual. x are the rows in coordinates whose columns are centred if there is an intercept::

        u'   =  t (u - m)                       t <= 1 until u' is in [low, high];  t = 1, m = 0 without an intercept
        v    =  (1/W) sum_i s_i u'_i x_i
        gap  =  (1/W) sum_i s_i (l(r_i) + l*(u'_i) - u'_i r_i)  +  sum_j (pen_j(z_j) + pen*_j(v_j) - z_j v_j)

    The first mean is no larger than this one, which needs no further sums: l* is convex, and 0 at 0. With d the tube
    and c the curvature of the loss::

        t (1/W) sum_i s_i (l(r_i) + l*(u_i) - u_i r_i)  +  (1 - t) F  +  t m mean(r) + t d |m| - t^2 m^2 / (2 c)

    The gap of the loss is of second order in the distance from the minimum, but m is of first order in that of the
    intercept. So where only m keeps the gap above `tol`, it is measured again in another pass, with the intercept that
    a Newton step on it alone leads to. The gap of the point is larger than that by how far F falls.

    Attributes
    ----------
    tol : float
        Optimality at which a descent has converged.
    """

    tol: float

    def __call__(self, problem: Problem, points: NDArray, evaluation: Evaluation) -> Gap:
        """Return the gap of points side by side.

        Parameters
        ----------
        problem : Problem
            The problem, which has L2.
        points : ndarray of shape (n_coordinates, n_points * n_outputs)
            Points side by side.
        evaluation : Evaluation
            Their evaluation.
        """
        uncentred, total = _l2_gaps(problem, points, evaluation)

        def is_optimal(gap: NDArray) -> NDArray:
            shape = (-1, len(problem.constant_loss))
            return problem.optimality(evaluation.value.reshape(shape), gap.reshape(shape)) <= self.tol

        if (is_optimal(uncentred) & ~is_optimal(total)).any():
            moved = _with_better_intercept(problem, points, evaluation)
            [there] = problem.from_rows().evaluate([moved])
            fall = problem.in_standard_units((evaluation.value - there.value).reshape(-1, len(problem.constant_loss)))
            total = np.fmin(total, np.maximum(fall.ravel(), 0.0) + _l2_gaps(problem, moved, there)[1])
        if problem.terms.is_squared_error:
            return Gap.unsmoothed(total)
        return problem.gap(points, evaluation, _half)._replace(total=total)


def _half(gradient: NDArray) -> NDArray:
    """Return the inverse of the diagonal of the second derivatives of squared error, times a gradient."""
    return 0.5 * gradient


def _l2_gaps(problem: Problem, points: NDArray, evaluation: Evaluation) -> tuple[NDArray, NDArray]:
    """Return the gap as it would be if u were centred, and a bound on that of centred u."""
    loss: Any = problem.terms.loss.in_units(problem.standard.target_scale)
    n_columns, p = points.shape[1], len(problem.standard.center)
    z, penalty = problem.standard_coefficients(points), problem.standard_penalty
    gradient = problem.standard_gradient(evaluation.gradient)
    l1, l2 = (tiled(strength, n_columns) for strength in (penalty.l1, penalty.l2))
    strength = l2 * z
    v = strength - gradient[:p]

    def of_penalty(slope: NDArray) -> NDArray:
        """Return sum_j (pen_j(z_j) + pen*_j(v_j) - z_j v_j), without the cancellation of its terms."""
        straight: Any = 0.0
        if not penalty.is_smooth:
            straight = np.minimum(slope, l1) if penalty.positive else np.clip(slope, -l1, l1)
        off = slope - straight - strength
        ratio = np.divide(off, l2, out=np.where(off == 0, 0.0, np.copysign(np.inf, off)), where=l2 > 0)
        bound = 0.5 * np.einsum("ij,ij->j", ratio, off)
        return bound if penalty.is_smooth else bound + np.maximum(l1 * np.abs(z) - straight * z, 0.0).sum(axis=0)

    unit = tiled(problem.in_standard_units(np.ones(len(problem.constant_loss))), n_columns)
    low, high, tube, curvature = (tiled(end, n_columns) for end in (loss.low, loss.high, loss.tube, loss.curvature))
    smoothing = np.broadcast_to(evaluation.fenchel_gap, evaluation.value.shape) * unit
    at_v = of_penalty(v)
    uncentred = smoothing + at_v
    if not problem.terms.fit_intercept:
        return uncentred, uncentred
    mean = -gradient[p]
    t = 1.0 / (1.0 + np.abs(mean) / np.where(mean > 0, -low, high))
    value = evaluation.value * unit
    shifted = t * (mean * problem.mean_residual(points) + tube * np.abs(mean))
    of_losses = t * smoothing + (1.0 - t) * value + shifted - (t * mean) ** 2 / (2.0 * curvature)
    return uncentred, np.maximum(of_losses, 0.0) + (at_v if (t == 1.0).all() else of_penalty(t * v))


def _with_better_intercept(problem: Problem, points: NDArray, evaluation: Evaluation) -> NDArray:
    """Return the points after a Newton step on their intercepts alone."""
    bend = tiled(problem.descended.curvature, points.shape[1]) * evaluation.curved * np.ones(points.shape[1])
    moved = points.copy()
    moved[-1] -= np.divide(evaluation.gradient[-1], bend, out=np.zeros(len(bend)), where=(bend > 0) & (bend < np.inf))
    return moved
