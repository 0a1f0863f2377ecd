"""Huber's loss with a scale of the residuals that is fitted too: Newton's method for both."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from gdregress.method.active_set import NOISE_UNITS, Kinks, step_to_minimum
from gdregress.problem.losses import HUBER_SHARE
from gdregress.problem.systems import Factor
from gdregress.problem.terms import Terms
from gdregress.rows.memory import RowBlocks

ROUNDS = 20
"""Number of rounds after which it goes in circles; some five are usual."""

CHANGES = 20
"""Number of supports of the coefficients after which a round goes in circles."""

COEFFICIENT_ERROR = 1e-11
"""Largest estimated relative error of the coefficients of a round."""


class FittedScale(NamedTuple):
    """Coefficients, their residuals, and the scale that is fitted along with them.

    Attributes
    ----------
    residual : ndarray of shape (n_samples,)
        Residuals r.
    scale : float
        sigma.
    coef : ndarray of shape (n_features,)
        Coefficients w.
    intercept : float
        The intercept.
    path : list of (ndarray of shape (n_features,), float)
        Coefficients and intercept after each round of Newton's method, those at its start first; these last.
    is_found : bool, default=True
        Whether the scale is that of the residuals, to all its digits.
    """

    residual: NDArray
    scale: float
    coef: NDArray
    intercept: float
    path: list[tuple[NDArray, float]]
    is_found: bool = True

    @classmethod
    def starting(cls, residual: NDArray, scale: float, coef: NDArray, intercept: float) -> Self:
        """Return where to start."""
        return cls(residual, scale, coef, intercept, [(coef, intercept)])


def descend_with_scale(terms: Terms, rows: RowBlocks, start: FittedScale) -> FittedScale | None:
    """Return where coefficients and scale solve their equations; None where Newton's method does not find it.

    With k = 1.35, L1 and L2 of strengths l_1 and l on coefficients in units D, P the rows with ``|r_i| < k sigma``,
    which are on the parabola of the loss, Q the others, and t_i the signs of their residuals, the equations are::

        sum_P s_i r_i x_i + k sigma sum_Q s_i t_i x_i  =  W (l D^2 w + l_1 D sign(w)) / 2
        sum_P s_i r_i + k sigma sum_Q s_i t_i  =  0,     sum_P s_i r_i^2 + k^2 sigma^2 W_Q  =  sigma^2 W

    (Huber, 1981, section 7.8). While no row changes between P and Q and no coefficient its sign, w is on a straight
    line in sigma, and sigma is the root of a quadratic. With w_0 the coefficients before a round, C the covariances of
    X in P, c those of X and r, v the variance of r, q and q_0 the sums over Q of s_i t_i (x_i - mean of x in P) and of
    s_i t_i, A the coefficients that are not zero, and N the others::

        repeat
            P, Q, t  <-  from r and sigma
            A, sign  <-  from w_0
            repeat
                a_N  =  -w_0,    d_N  =  0
                (C + l W D^2 / (2 W_P))_AA a_A  =  (c - C a_N - (l_1 W D sign + l W D^2 w_0) / (2 W_P))_A
                (C + l W D^2 / (2 W_P))_AA d_A  =  (k q / W_P)_A
                sigma  <-  the root of  v - 2 e . c + e' C e + (k sigma q_0 / W_P)^2  =  sigma^2 (W - k^2 W_Q) / W_P,
                           with the step e = a + sigma d
                w  <-  w_0 + e
                A, sign  <-  those of the minimum for this sigma (`active_set.step_to_minimum`), unless w is that
            until w is that
            b  <-  b + mean of r in P - e . mean of x in P + k sigma q_0 / W_P
            r  <-  y - w . x - b
        until P, Q and t stay

    The steps are from the residuals, so that sigma has its digits where these are far smaller than y. A round takes
    three passes over X. Without an intercept the moments are about zero, and q_0 is 0. Of collinear columns, such as
    those of all categories of a text, only independent ones stay in A.
    """
    units = terms.units(rows.moments(products=False)) if terms.standardize else np.ones(rows.n_features)
    weight = np.ones(rows.n_samples) if rows.weight is None else rows.weight
    here, before = start, np.empty(0)
    for _ in range(ROUNDS):
        line = np.where(np.abs(here.residual) < HUBER_SHARE * here.scale, 0.0, np.sign(here.residual))
        if np.array_equal(line, before):
            return here
        after = _round(terms, rows, weight, line, np.asarray(units), here)
        if after is None:
            return None
        here, before = after, line
    return None


def _round(
    terms: Terms, rows: RowBlocks, weight: NDArray, line: NDArray, units: NDArray, here: FittedScale
) -> FittedScale | None:
    """Return the solution while each row stays on its line, 0 for the parabola; None if there is none with digits.

    It is found as a step from `here`, with the residuals there as targets: sigma has their digits, not those of y.
    """
    on = weight * (line == 0)
    total, on_parabola = float(weight.sum()), float(on.sum())
    if not on_parabola:
        return None
    parabola = rows.with_weight(on).with_targets(lambda _: here.residual[:, np.newaxis]).moments()
    about = parabola if terms.fit_intercept else parabola.about_origin()
    if about.cross is None:
        return None
    size = np.where(about.x.deviation > 0, about.x.deviation, 1.0)
    unit, per_unit = about.x.unit / size, units / size
    second, joint = about.cross * np.outer(unit, unit), about.target_cross[:, 0] * unit * about.y.unit[0]
    slope, level = _sums_over_lines(rows, weight - on, line, about.x.mean)
    shift = HUBER_SHARE * level / on_parabola * terms.fit_intercept
    curved, share = second.copy(), total / (2 * on_parabola)
    curved.flat[:: len(curved) + 1] += share * terms.l2 * per_unit**2
    if not np.isfinite(curved).all():
        return None
    equations = Equations(
        second=second,
        curved=curved,
        joint=joint,
        start=here.coef * size,
        pull=HUBER_SHARE * slope / size / on_parabola,
        price=share * terms.l1 * per_unit,
        positive=terms.positive,
        variance=float(np.square(about.y.deviation[0])),
        bend=(total - HUBER_SHARE**2 * (total - on_parabola)) / on_parabola - shift**2,
        precision=about.error(1.0),
    )
    found = equations.solution(here.scale)
    if found is None:
        return None
    z, scale = found
    coef = z / size
    step = float(about.y.mean[0] - about.x.mean @ ((z - equations.start) / size) + scale * shift)
    intercept = here.intercept + step
    residual = rows.y[:, 0] - rows.product(coef[:, np.newaxis])[:, 0] - intercept
    return FittedScale(residual, scale, coef, intercept, [*here.path, (coef, intercept)])


class Equations(NamedTuple):
    """The equations for coefficients and scale while each row stays on its line, in deviations of the columns in P.

    Attributes
    ----------
    second, curved : ndarray of shape (n_features, n_features)
        C, and C with the curvature of L2.
    joint, start, pull, price : ndarray of shape (n_features,)
        Covariances c of X and the residuals at the start, w there, k q / W_P, and l_1 W D / (2 W_P).
    positive : bool
        Whether coefficients must not be negative.
    variance, bend : float
        Variance v of these residuals, and what sigma^2 is multiplied with in the equation of sigma, but for w.
    precision : float
        Relative error of the moments.
    """

    second: NDArray
    curved: NDArray
    joint: NDArray
    start: NDArray
    pull: NDArray
    price: NDArray
    positive: bool
    variance: float
    bend: float
    precision: float

    def solution(self, scale: float) -> tuple[NDArray, float] | None:
        """Return w and sigma; None where there are none, or none with digits, or their support is not found.

        There are none where the lines pull along a combination of columns that does not vary on the parabola.

        Parameters
        ----------
        scale : float
            The sigma to begin with.
        """
        kinks, z = Kinks.of(self.price, len(self.price), positive=self.positive), self.start
        is_flat, sign = np.diagonal(self.curved) == 0, np.sign(z)
        active = (sign != 0) | kinks.free
        for number in range(CHANGES):
            found = self._of_signs(active, sign)
            if found is not None:
                z, scale = found
                is_wrong = np.where(active, (np.sign(z) != sign) & ~kinks.free, self._violates(z, scale, kinks))
                if not is_wrong.any():
                    return found
            elif number:
                return None
            if self._violates(z, scale, kinks)[is_flat].any():
                return None
            slope = (self.curved - self.second) @ z - self._pull(z, scale)
            z = z + step_to_minimum(self.curved, slope, kinks, z)
            sign, active = np.sign(z), z != 0
            if self._violates(z, scale, kinks)[~active].any():
                return None
        return None

    def _pull(self, z: NDArray, scale: float) -> NDArray:
        """Return the negative gradient at w and sigma of all but the penalty."""
        return self.joint - self.second @ (z - self.start) + scale * self.pull

    def _violates(self, z: NDArray, scale: float, kinks: Kinks) -> NDArray:
        """Return which coefficients are pulled away from zero by more than holds them there, up to rounding."""
        pull = self._pull(z, scale)
        size = np.sqrt(self.variance) + np.abs(z - self.start).sum() + np.abs(pull).max()
        return kinks.violation(pull) > NOISE_UNITS * self.precision * size

    def _of_signs(self, active: NDArray, sign: NDArray) -> tuple[NDArray, float] | None:
        """Return w and sigma where the coefficients of A have some signs, and the others are zero."""
        # The step from the start is a + sigma d.
        a, d = np.where(active, 0.0, -self.start), np.zeros(len(active))
        if active.any():
            factor = Factor.of(self.curved[np.ix_(active, active)])
            if not self.precision * factor.inflation <= COEFFICIENT_ERROR:
                return None
            of_penalty = self.price * sign + (self.curved - self.second) @ self.start
            a[active] = factor.solve((self.joint - of_penalty - self.second @ a)[active])
            d[active] = factor.solve(self.pull[active])
        # v - 2 w . c + w' C w  =  bend sigma^2,  that is  constant + linear sigma  =  bend sigma^2
        constant = self.variance - 2 * a @ self.joint + a @ self.second @ a
        linear, bend = 2 * d @ (self.second @ a - self.joint), self.bend - d @ self.second @ d
        inside = linear**2 + 4 * bend * constant
        if not inside > 0:
            return None
        # Far from the solution the bend may be negative: then it is the smaller of two roots, if both are positive.
        root = np.sqrt(inside)
        if not (bend > 0 or linear < 0):
            return None
        scale = float((linear + root) / (2 * bend) if bend > 0 else 2 * constant / (root - linear))
        return (self.start + a + scale * d, scale) if 0 < scale < np.inf else None


def _sums_over_lines(rows: RowBlocks, weight: NDArray, line: NDArray, center: NDArray) -> tuple[NDArray, float]:
    """Return q and q_0, the sums of s_i t_i (x_i - center) and of s_i t_i over the rows that have a weight."""
    total = float(weight.sum())
    if not total:
        return np.zeros(len(center)), 0.0
    lines = rows.with_weight(weight).with_targets(lambda _: line[:, np.newaxis]).counted().moments(products=False)
    sign = float(lines.y.mean[0])
    slope = lines.target_cross[:, 0] * lines.x.unit * lines.y.unit[0] + (lines.x.mean - center) * sign
    return total * slope, total * sign
