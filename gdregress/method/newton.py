"""Newton's steps, damped and proximal: the curvature of the point where the descent stands."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from gdregress.method.states import Block, State
from gdregress.problem.objectives import Curvatures, Objective
from gdregress.problem.penalties import Penalty
from gdregress.problem.problem import Gap, Problem

SINGULAR = 1e-13
"""Ratio of the least pivot of a matrix to its largest below which it counts as singular."""

FLOOR = 1e-6
"""Share of its mean diagonal that a singular matrix gets in every direction: rounding is not to move it."""

DAMPED = 0.1
"""The same as a share of the damping, for the majorisers are flat where the data are."""

TIE = 1e-14
"""Relative difference of two values of the objective below which neither is lower."""

BLIND = 1e-6
"""Share of the curvature of a majoriser that counts where the second derivatives show none."""

FIRST, LEAST = 1e-2, 1e-7
"""Damping of the first epoch, and the least."""

AROUND = (0.03, 0.3, 3.0)
"""Dampings that an epoch tries, times that of the last; the full damping is tried besides."""

TIMES = (0.25, 0.5, 2.0, 4.0)
"""Lengths that an epoch tries, times that of its best step."""

IDLE = 3
"""Epochs in a row without a gain after which there is none to be had."""


@dataclass(frozen=True)
class Newton:
    """Descent in the curvature of the point where it stands, damped and proximal (Lee, Sun and Saunders, 2014).

    With H the second derivatives at w and M those of a quadratic that touches the objective there
    and lies above it (iteratively reweighted least squares), an epoch minimises ::

        g . (z - w) + (z - w)' H_d (z - w) / 2 + penalty(z),    H_d = (1 - d) H + d M

    for several dampings d about the last, d = 1 among them, which cannot go uphill, goes to the
    lowest of them, and, but for the least d, some times as far if that is lower still. One or two
    trips compare the points, another evaluates the one it took. It ends where no step lowers the objective.

    Parameters
    ----------
    objective : callable
        From a problem to the objective whose curvatures are asked for.
    """

    objective: Callable[[Problem], Objective] = Problem.with_curvatures
    takes = frozenset({"curvature", "prox", "matrix prox", "any loss"})
    stability = float("inf")
    is_exact = False
    goes_below_tol = False
    limit = (
        "no step lowers the objective. "
        "Drop columns that are all but collinear, use penalty='l2', or raise tol; "
        "of a loss of your own, check the derivative and the curvature."
    )

    def iterates(self, problem: Problem, start: NDArray, epoch: int = 0) -> Iterator[Block]:
        """Yield the states of the descent, the start first."""
        objective, point = self.objective(problem), start.astype(np.float64)
        here, idle = objective.curvatures(point), 0
        yield _block(problem, point, here, np.nan)
        damping = np.full_like(here.descended, FIRST)
        while True:
            dampings = [np.clip(damping * around, LEAST, 1.0) for around in AROUND] + [np.ones_like(damping)]
            if objective.is_quadratic and all(map(is_definite, here.second)):
                dampings = dampings[-1:]  # it is its own model, and damping is for what is singular
            trials = [_model_minimum(point, here, objective.penalty, each) for each in dampings]
            values = [*objective.values(trials), here.descended]
            lowest, value, best = _lowest([*trials, point], values, objective.noise)
            if best.any():
                further = [point + times * (lowest - point) for times in TIMES]
                further = [objective.penalty.prox(each, 0.0) for each in further]  # back to where it may be
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


def _block(problem: Problem, point: NDArray, here: Curvatures, rate: float) -> Block:
    state = State(point, here.evaluation, rate)
    return Block.of_one(problem, state, _gap(problem, point, here))


def _gap(problem: Problem, point: NDArray, here: Curvatures) -> Gap:
    """Estimate the gap by r' H^-1 r / 2, with `BLIND` of the majoriser added to H where H shows nothing.

    Where columns are collinear, r has no more than rounding along what they do not show, and no
    curvature counts as less than the rounding of the largest.
    """
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


def _model_minimum(point: NDArray, here: Curvatures, penalty: Penalty, damping: NDArray) -> NDArray:
    """Return the minimum of the model of each output; a step of the prox where that is not to be had."""
    gradient, trial = here.evaluation.gradient, np.empty_like(point)
    for output, (second, majoriser) in enumerate(zip(here.second, here.majoriser, strict=True)):
        model = second + damping[output] * (majoriser - second)
        w, g = point[:, output], gradient[:, output]
        if penalty.is_smooth:
            trial[:, output] = w - newton_step(model, g)
            continue
        if not is_definite(model):
            model = raised(model, max(FLOOR, DAMPED * damping[output]))
        minimum = penalty.model_minimum(model, model @ w - g, w, output)
        if minimum is None:
            largest = float(np.trace(majoriser))
            minimum = penalty.prox(point - gradient / largest, 1.0 / largest)[:, output]
        trial[:, output] = minimum
    return trial


def newton_step(curvature: NDArray, gradient: NDArray) -> NDArray:
    """Solve for the step of a gradient; where the matrix is singular, along what it does show."""
    if is_definite(curvature):
        return lapack.dposv(curvature, gradient, lower=1)[1]
    if not np.isfinite(curvature).all():
        return np.zeros_like(gradient)
    values, directions = np.linalg.eigh(curvature)
    shown = values > SINGULAR * values[-1]
    return directions[:, shown] @ (directions[:, shown].T @ gradient / values[shown])


def is_definite(curvature: NDArray) -> bool:
    """Tell whether a matrix of second derivatives is positive definite beyond rounding."""
    factor, info = lapack.dpotrf(curvature, lower=1)
    pivots = np.diagonal(factor) ** 2
    return info == 0 and bool(pivots.min() > SINGULAR * pivots.max())


def raised(curvature: NDArray, floor: float) -> NDArray:
    """Return a singular matrix of second derivatives with a share of its mean diagonal more."""
    higher, mean = curvature.copy(), np.trace(curvature) / len(curvature)
    higher.flat[:: len(higher) + 1] += floor * mean + np.finfo(np.float64).tiny
    return higher


def _lowest(points: list[NDArray], values: list[NDArray], noise: NDArray | float) -> tuple[NDArray, NDArray, NDArray]:
    """Return, for each output, the point of the lowest value, that value, and which it is.

    Of values that rounding alone may have ordered, their own or the noise of an objective that is a small
    difference, it is the first: so two copies of a row lead where one of twice the weight does, and a step
    whose gain drowns in that noise is taken.
    """
    stacked = np.array(values)
    stacked = np.where(np.isfinite(stacked), stacked, np.inf)
    lowest = stacked.min(axis=0)
    best = (stacked <= lowest + TIE * np.abs(lowest) + noise).argmax(axis=0)
    return np.choose(best, points), np.choose(best, values), best
