"""Damped proximal Newton steps, with the second derivatives of every point."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from gdregress.method.active_set import Kinks, step_to_minimum
from gdregress.method.optimizers import Step
from gdregress.method.states import NO_STEP_LOWERS, Block
from gdregress.problem.dual import by_products, squared_error_gap
from gdregress.problem.objectives import Curvatures, Objective
from gdregress.problem.penalties import Penalty
from gdregress.problem.problem import Gap, Problem

SINGULAR = 1e-13
"""Ratio of the smallest to the largest pivot, or eigenvalue, below which a matrix counts as singular."""

TIE = 1e-14
"""Relative difference up to which two values of the objective count as equal."""

BLIND = 1e-6
"""Share of M in the curvature that measures the gap, for directions in which H is zero."""

FIRST_DAMPING, LEAST_DAMPING = 1e-2, 1e-7
"""Damping d of the first epoch, and the smallest damping."""

AROUND = (0.03, 0.3, 3.0)
"""Dampings that an epoch tries besides d = 1, as multiples of the damping before."""

TIMES = (0.25, 0.5, 2.0, 4.0)
"""Step sizes that an epoch tries along its best step, besides 1."""

IDLE = 3
"""Number of consecutive epochs without improvement after which the solver ends."""


@dataclass(frozen=True)
class Newton:
    """Damped proximal Newton method (Lee, Sun and Saunders, 2014).

    With g the gradient and H the second derivatives at w, and M the second derivatives of a majoriser: a quadratic that
    touches F at w and lies above it, as in iteratively reweighted least squares (Hunter and Lange, 2004)::

        repeat
            for e in 0.03 d, 0.3 d, 3 d and 1
                H_e = (1 - e) H + e M
                z_e = argmin_z  g . (z - w) + (z - w)' H_e (z - w) / 2 + penalty(z)
            z, d <- the lowest F(z_e), and its e              10 d if w is lower still, or if e = 1
            w <- the lowest F(prox(w + t (z - w)))            t in 1/4, 1/2, 1, 2, 4
        until no step lowers F

    The step with e = 1 never goes uphill, since M is a majoriser. Other step sizes t are tried unless the smallest
    damping is the best. An epoch compares the points in one or two passes over X, and takes one more pass for H and M.

    Parameters
    ----------
    objective : callable, default=Problem.with_curvatures
        Function from a problem to an objective that has second derivatives.
    """

    objective: Callable[[Problem], Objective] = Problem.with_curvatures
    takes = frozenset({"curvature", "prox", "matrix prox", "any loss"})
    has_bounded_steps = False
    goes_below_tol = False
    limit = NO_STEP_LOWERS

    def iterates(self, problem: Problem, start: NDArray, epoch: int = 0) -> Iterator[Block]:
        """Yield the states in blocks of one, the start first; end where no step lowers the objective."""
        objective, point = self.objective(problem), start.astype(np.float64)
        here, idle = objective.curvatures(point), 0
        yield _block(problem, point, here, None)
        damping = np.full_like(here.descended, FIRST_DAMPING)
        while True:
            dampings = [np.clip(damping * around, LEAST_DAMPING, 1.0) for around in AROUND] + [np.ones_like(damping)]
            if objective.is_quadratic and all(map(is_definite, here.second)):
                dampings = dampings[-1:]  # H is M, and only a singular one needs damping
            trials = [_trial(point, here, objective.penalty, each) for each in dampings]
            values = [*objective.values(trials), here.descended]
            lowest, value, best = _lowest([*trials, point], values, objective.noise)
            if best.any():
                further = [point + times * (lowest - point) for times in TIMES]
                further = [objective.penalty.prox(each, 0.0) for each in further]  # signs may be violated
                values = [value, *objective.values(further)]
                lowest, value, _ = _lowest([lowest, *further], values, objective.noise)
            has_gained = (here.descended - value > TIE * np.abs(here.descended) + objective.noise).any()
            idle = 0 if has_gained else idle + 1
            if idle >= IDLE or (best == len(trials)).all():
                return
            raised = np.minimum(10.0 * damping, 1.0)
            damping = np.choose(best, [*dampings[:-1], raised, raised])
            point, here = lowest, objective.curvatures(lowest)
            yield _block(problem, point, here, 1.0)


def _block(problem: Problem, point: NDArray, here: Curvatures, rate: float | None) -> Block:
    state = Step(point, here.evaluation, rate)
    return Block.of_one(problem, state, _gap(problem, point, here))


def _gap(problem: Problem, point: NDArray, here: Curvatures) -> Gap:
    """Bound the gap of squared error with L1 or signs by duality; else estimate it.

    The estimate is r' H_e^-1 r / 2, with r the shortest subgradient and e = `BLIND`.
    Where columns are collinear, H_e is singular, and r holds only rounding along its null space. So no curvature counts
    as less than the rounding of the largest.
    """
    if problem.terms.is_squared_error and problem.terms.has_prox:
        members = np.arange(len(problem.penalty.l1))
        bound = squared_error_gap(problem.penalty, point, here.evaluation, members, by_products(here.second[0]))
        return Gap.unsmoothed(bound)
    residual = problem.subgradient(point, here.evaluation.gradient)
    decrement = np.zeros(residual.shape[1])
    for output, (r, second, majoriser) in enumerate(zip(residual.T, here.second, here.majoriser, strict=True)):
        model = second + BLIND * (majoriser - second)
        if not (r.any() and np.isfinite(model).all()):
            decrement[output] = np.inf if r.any() else 0.0
            continue
        curvature, directions = np.linalg.eigh(model)
        least = 4.0 * len(r) * np.finfo(np.float64).eps * curvature[-1]
        along = directions.T @ r
        squared = along * along / np.maximum(curvature, least)
        decrement[output] = 0.5 * float(squared.sum()) if least > 0 else np.inf
    return problem.gap_of_decrement(decrement, here.evaluation)


def _trial(point: NDArray, here: Curvatures, penalty: Penalty, damping: NDArray) -> NDArray:
    """Return the minimum of the quadratic model of each output."""
    gradient, trial = here.evaluation.gradient, np.empty_like(point)
    for output, (second, majoriser) in enumerate(zip(here.second, here.majoriser, strict=True)):
        model = second + damping[output] * (majoriser - second)
        w, g = point[:, output], gradient[:, output]
        if penalty.is_smooth:
            trial[:, output] = w - newton_step(model, g)
        else:
            kinks = Kinks.of(penalty.l1[:, output], len(w), positive=penalty.positive)
            trial[:, output] = w + step_to_minimum(model, g, kinks, w)
    return trial


def newton_step(curvature: NDArray, gradient: NDArray) -> NDArray:
    """Return H^-1 g, or the pseudo-inverse times g where H is singular.

    Parameters
    ----------
    curvature : ndarray of shape (n_coordinates, n_coordinates)
        H, positive semidefinite.
    gradient : ndarray of shape (n_coordinates,)
        g.
    """
    if is_definite(curvature):
        return lapack.dposv(curvature, gradient, lower=1)[1]
    if not np.isfinite(curvature).all():
        return np.zeros_like(gradient)
    values, directions = np.linalg.eigh(curvature)
    curved = values > SINGULAR * values[-1]
    return directions[:, curved] @ (directions[:, curved].T @ gradient / values[curved])


def is_definite(curvature: NDArray) -> bool:
    """Return whether a matrix of second derivatives is positive definite beyond rounding."""
    factor, info = lapack.dpotrf(curvature, lower=1)
    pivots = np.diagonal(factor) ** 2
    return info == 0 and bool(pivots.min() > SINGULAR * pivots.max())


def _lowest(points: list[NDArray], values: list[NDArray], noise: NDArray | float) -> tuple[NDArray, NDArray, NDArray]:
    """Return, for each output, the point of the lowest value, that value, and its index.

    Values that differ by no more than rounding count as equal, and the first of them wins. So a row given twice leads
    to the same point as a row of twice the weight, and a step whose gain is below the noise of the objective is taken.
    """
    stacked = np.array(values)
    stacked = np.where(np.isfinite(stacked), stacked, np.inf)
    lowest = stacked.min(axis=0)
    best = (stacked <= lowest + TIE * np.abs(lowest) + noise).argmax(axis=0)
    return np.choose(best, points), np.choose(best, values), best
