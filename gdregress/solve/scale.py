"""The scale of residuals that ``epsilon="auto"`` gives Huber's loss: fitted along with the coefficients."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gdregress.method.assembly import Method
from gdregress.method.choice import MOMENTS_LIMIT, choose
from gdregress.method.followed import Followed
from gdregress.method.huber_scale import FittedScale, descend_with_scale
from gdregress.method.spec import Spec
from gdregress.problem.loss import ROUNDING
from gdregress.problem.losses import HUBER_SHARE, huber
from gdregress.problem.problem import Problem
from gdregress.rows.memory import RowBlocks
from gdregress.rows.rows import Rows, drawable
from gdregress.solve.solve import solve
from gdregress.solve.start import Start, point_of, starting_point
from gdregress.solve.stopping import Result, Stopping

CLOSE = 1e-10
"""Relative change of the scale at which it is found."""

ROUNDS = 200
"""Number of fits at most, where Newton's method has not found both; some five are usual."""

BEGUN_AGAIN = 1e-6
"""Optimality above which a fit begins once more, from zero. Rounding may keep that of a sharp fit above its `tol`."""

SECANT_LIMIT = 0.999
"""Change of the scale of the residuals for a change of the scale, up to which the secant is followed."""

PATIENCE = 8
"""Rounds after which the range of the scale is halved, on a logarithmic axis."""

LEAST_SCALE = 1e-8
"""Least scale, as a share of the root mean square of y."""

NEEDS_RESIDUALS = "epsilon='auto' needs the residuals of rows in memory"
"""What is said where single rows are not at hand."""

NOT_FOUND = (
    f"the scale of the residuals is not found after {ROUNDS} fits, so that epsilon='auto' is not exact: "
    "drop columns that are nearly collinear, or give epsilon a number."
)
"""What is said where the rounds are used up."""


class AtScale(NamedTuple):
    """What is known of a fit once the scale of its residuals is.

    Attributes
    ----------
    spec : Spec
        The specification, with a number for `epsilon`.
    found : dict of str to float
        The fitted attribute that says which; none if `epsilon` was a number.
    start : Start
        Returns where the descent begins: where the search of the scale did if it is to end at the minimum, else as the
        specification says.
    is_found : bool
        Whether the scale is that of the residuals, to all its digits.
    after : list of (ndarray of shape (n_features,), float)
        Coefficients and intercepts that it passes from there on, up to those that came with the scale.
    """

    spec: Spec
    found: dict[str, float]
    start: Start
    is_found: bool
    after: list[tuple[NDArray, float]]

    def method(self, method: Method) -> Method:
        """Return a method that passes these points, and goes on from the last as another one does."""
        if not self.after:
            return method
        points = [point_of(method.problem, *each) for each in self.after]
        return replace(method, solver=Followed(points, method.solver, self.spec.limits.tol))

    def of_scale(self, result: Result) -> Result:
        """Return the result; with a warning, if it has no other, where the scale is not that of the residuals."""
        return result if self.is_found or result.is_warning else replace(result, reason=NOT_FOUND, is_warning=True)


def at_scale(spec: Spec, rows: Rows, past: Mapping[str, Any]) -> AtScale:
    """Fit the scale of the residuals, if `epsilon` is to follow from it."""
    if not spec.fits_scale:
        return AtScale(spec, {}, partial(starting_point, spec, past=past), True, [])
    if rows.n_outputs > 1:
        raise ValueError(
            f"epsilon='auto' fits the scale of one target, but y has {rows.n_outputs}: give epsilon a number, or "
            "fit each target by itself."
        )
    fitted = fit_scale(spec, drawable(rows), past)
    scaled, found = spec.at_scale(fitted.scale), {"scale_": fitted.scale}
    if spec.goes_to_minimum and np.isfinite([*fitted.coef, fitted.intercept]).all():
        first, *after = fitted.path
        return AtScale(scaled, found, lambda method, _: point_of(method.problem, *first), fitted.is_found, after)
    return AtScale(scaled, found, partial(starting_point, scaled, past=past), fitted.is_found, [])


def fit_scale(spec: Spec, rows: RowBlocks, past: Mapping[str, Any]) -> FittedScale:
    """Return the scale sigma of the residuals of Huber's loss with epsilon = 1.35 sigma, and the coefficients.

    Coefficients and sigma minimise, with H_e(z) = z^2 up to abs(z) = e and 2 e abs(z) - e^2 beyond::

        sum s_i (sigma + sigma H_1.35(r_i / sigma))  +  penalty / sigma

    over the coefficients for the sigma that is returned, and over sigma for these coefficients without the penalty
    (Huber, 1981, section 7.8; Owen, 2007). There are two ways:

    - Newton's method finds both (`descend_with_scale`) where there are fewer columns than rows, so few that their
      products are gathered. It takes half the time of the other way, or less.
    - The two are alternated where it is not tried, does not end, or has too few digits. Each fit begins at the last,
      and Newton's method is tried again from there. From the second round on sigma is where the secant of the change
      is zero, within the bounds that the rounds before have found.

    Parameters
    ----------
    spec : Spec
        The specification of the fit; how it descends does not count.
    rows : RowBlocks
        Training rows.
    past : mapping of str to object
        Attributes of the last fit, from whose scale and coefficients a specification with `warm_start` begins.
    """
    found = minimum_with_scale(spec, rows, past)
    if found is not None:
        return found
    y, weight, (least, scale, raw) = rows.y, rows.weight, _start(spec, rows, past)
    tried: list[tuple[float, float]] = []
    spec = spec.at_the_minimum()
    choice, rng = choose(spec, rows), spec.rng()
    moments = choice.moments(rows)
    for _ in range(ROUNDS):
        scaled = spec.at_scale(scale)
        method = choice.method(scaled, Problem.of(scaled.terms, moments, rows), rng)
        problem = method.problem
        start = np.zeros((problem.n_coordinates, 1)) if raw is None else problem.coordinates.from_raw(*raw)
        stopping = Stopping.of(scaled, method)
        result = _finished(solve(problem, method.solver, start, stopping))
        if result.kept.optimality > BEGUN_AGAIN and raw is not None:  # the last coefficients may be a bad start
            result = _finished(solve(problem, method.solver, np.zeros_like(start), stopping))
        coef, intercept = raw = problem.coordinates.to_raw(result.kept.point)
        residual = y - rows.product(coef.astype(np.float64)) - intercept.astype(np.float64)
        tried.append((scale, max(scale_of(residual[:, 0], weight), least)))
        of_coef = coef[:, 0].astype(np.float64), float(np.ravel(intercept)[0])
        here = FittedScale.starting(residual[:, 0], tried[-1][1], *of_coef)
        if abs(tried[-1][1] - scale) <= _last_digits(scale, y, here.intercept):
            return here
        found = _by_newton(spec, rows, least, here)
        if found is not None:
            return found
        foretold = _on_support(spec, rows, least, here)
        scale = _next(tried, least, _by_secant(tried, least) if foretold is None else foretold.scale)
    return here._replace(is_found=False)


def minimum_with_scale(spec: Spec, rows: RowBlocks, past: Mapping[str, Any]) -> FittedScale | None:
    """Return the coefficients and the scale that `fit_scale` looks for; None if Newton's method does not find them."""
    y, (least, scale, raw) = rows.y, _start(spec, rows, past)
    constant = float(np.median(y)) if spec.terms.fit_intercept else 0.0
    coef, level = (np.zeros(rows.n_features), constant) if raw is None else (raw[0][:, 0], float(raw[1][0]))
    residual = y[:, 0] - level if raw is None else y[:, 0] - rows.product(raw[0])[:, 0] - level
    return _by_newton(spec, rows, least, FittedScale.starting(residual, scale, coef, level))


def _by_newton(spec: Spec, rows: RowBlocks, least: float, start: FittedScale) -> FittedScale | None:
    """Return the coefficients and the scale, at least `least`, that Newton's method finds from a start, if it does."""
    if rows.n_features > min(MOMENTS_LIMIT, rows.n_weighted - 1):
        return None
    found, y, weight = descend_with_scale(spec.terms, rows, start), rows.y, rows.weight
    if found is None:
        return None
    of_residuals = scale_of(found.residual, weight)
    change = abs(of_residuals - found.scale)
    is_exact = of_residuals >= least and change <= _last_digits(found.scale, y, found.intercept)
    return found._replace(scale=of_residuals) if is_exact else None


def _last_digits(scale: float, y: NDArray, intercept: float) -> float:
    """Return the change of a scale at which it is found.

    Residuals are differences of numbers as large as y and the intercept, and have no more digits than these.
    """
    return CLOSE * scale + ROUNDING * (float(np.abs(y).max()) + abs(intercept))


def _on_support(spec: Spec, rows: RowBlocks, least: float, here: FittedScale) -> FittedScale | None:
    """Return what Newton's method finds on the columns whose coefficients are not zero; None where these are all.

    With L1 few of many columns have one. What is found is right for all columns if the others stay at zero there.
    """
    support = np.flatnonzero(here.coef)
    if not 0 < len(support) < rows.n_features:
        return None
    return _by_newton(spec, rows.of_columns(support), least, here._replace(coef=here.coef[support]))


def _start(spec: Spec, rows: RowBlocks, past: Mapping[str, Any]) -> tuple[float, float, tuple[NDArray, NDArray] | None]:
    """Return the least scale, that to begin with, and coefficients with their intercept; None for the best constant."""
    y, weight = rows.y, rows.weight
    largest = float(np.abs(y).max()) or 1.0  # the squares of these shares are in the range of floats
    mean = np.average(y[:, 0] / largest, weights=weight)
    deviation = float(np.sqrt(np.average(np.square(y[:, 0] / largest - mean), weights=weight)))
    least = LEAST_SCALE * largest * (float(np.hypot(deviation, mean)) or 1.0)
    has_past = spec.warm_start and "scale_" in past and past["coef_"].size == rows.n_features
    # Where most residuals are zero, the least scale solves the equations whatever the penalty: no other is found there.
    if not has_past or past["scale_"] <= 2.0 * least:
        size = deviation if spec.terms.fit_intercept else float(np.hypot(deviation, mean))
        return least, max(largest * size, least), None
    coef = past["coef_"].astype(np.float64)  # in the digits of the residuals that are computed from them
    coef = np.maximum(coef, 0.0) if spec.terms.positive else coef
    intercept = np.ravel(past["intercept_"]) if spec.terms.fit_intercept else np.zeros(1)
    return least, max(past["scale_"], least), (coef.reshape(-1, 1), intercept)


def scale_of_constant(y: NDArray, weight: NDArray | None, *, fit_intercept: bool) -> float:
    """Return the scale of the residuals of the best constant, fitted along with it; of y itself without an intercept.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        Targets.
    weight : ndarray of shape (n_samples,) or None
        Weights.
    fit_intercept : bool
        Whether there is a constant.
    """
    least = LEAST_SCALE * (float(np.sqrt(np.mean(np.square(y)))) or 1.0)
    scale = max(scale_of(y, weight), least)
    for _ in range(ROUNDS if fit_intercept else 0):
        constant = huber(HUBER_SHARE * scale).best_constant(y, weight)
        last, scale = scale, max(scale_of(y - constant, weight), least)
        if abs(scale - last) <= CLOSE * last:
            break
    return scale


def _by_secant(tried: list[tuple[float, float]], least: float) -> float:
    """Return the scale at which the secant of the last two changes is zero; the last found where there is none."""
    scale, found = tried[-1]
    if len(tried) == 1 or tried[-2][0] == scale:
        return found
    share = (found - tried[-2][1]) / (scale - tried[-2][0])
    return max(scale + (found - scale) / (1.0 - share), least) if share <= SECANT_LIMIT else found


def _next(tried: list[tuple[float, float]], least: float, guess: float) -> float:
    """Return the scale to try next, given those that were tried with the scales of their residuals, and a guess.

    The objective is convex, so that the minimum is below a scale whose residuals have a smaller one, and else above it.
    The guess is followed between these bounds, and every `PATIENCE` rounds their geometric mean is tried.
    """
    low = max((this for this, that in tried if that > this), default=0.0)
    high = min((this for this, that in tried if that < this), default=np.inf)
    if np.isinf(high) or (low < guess < high and len(tried) % PATIENCE):
        return guess
    return float(np.sqrt(max(low, least)) * np.sqrt(high))


def _finished(result: Result) -> Result:
    """Return a result, or raise the interrupt that ended the descent: there is no model yet that could keep it."""
    if result.interrupt is not None:
        raise result.interrupt
    return result


def scale_of(residual: NDArray, weight: NDArray | None = None) -> float:
    """Return the sigma at which the mean of ``min(r / sigma, 1.35)^2`` is 1; 0 if too few residuals are not zero.

    With S the sum of the k smallest squares and W - C the weight of the others, it is the one for which
    ``(1.35 sigma)^2 = S / (W / 1.35^2 - (W - C))`` is between the square number k and the next.

    Parameters
    ----------
    residual : ndarray of shape (n_samples,)
        Residuals r.
    weight : ndarray of shape (n_samples,), default=None
        Their weights; None for ones.
    """
    weight = np.ones(len(residual)) if weight is None else weight
    order = np.argsort(np.abs(residual), kind="stable")
    largest = float(np.abs(residual[order[-1]]))
    if largest == 0:
        return 0.0
    squares, weight = np.square(residual[order] / largest), weight[order]
    share = weight.sum() / HUBER_SHARE**2 - (weight.sum() - np.cumsum(weight))
    sums = np.cumsum(weight * squares)
    bend = np.divide(sums, share, out=np.full(len(share), np.inf), where=share > 0)
    is_between = bend <= np.append(squares[1:], np.inf)
    return largest * float(np.sqrt(bend[is_between.argmax()])) / HUBER_SHARE
