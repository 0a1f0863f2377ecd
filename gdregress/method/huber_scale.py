"""Huber's loss with a scale of the residuals that is fitted too: Newton's method for both."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from gdregress.problem.losses import HUBER_SHARE
from gdregress.problem.problem import Terms
from gdregress.rows.memory import RowBlocks

ROUNDS = 20
"""Number of rounds after which it goes in circles; some five are usual."""

DIGITS = 1e-11
"""Largest estimated relative error of the coefficients of a round."""


class Place(NamedTuple):
    """Coefficients, and the scale that goes with them.

    Attributes
    ----------
    residual : ndarray of shape (n_samples,)
        Residuals r.
    scale : float
        sigma.
    """

    residual: NDArray
    scale: float


def descend_with_scale(terms: Terms, rows: RowBlocks, start: Place) -> Place | None:
    """Return where coefficients and scale solve their equations; None where Newton's method does not find it.

    With k = 1.35, L2 of strength l on coefficients in units D, P the rows with ``|r_i| < k sigma``, which are on the
    parabola of the loss, Q the others, and t_i the signs of their residuals, the equations are::

        sum_P s_i r_i x_i + k sigma sum_Q s_i t_i x_i  =  W l D^2 w / 2,     sum_P s_i r_i + k sigma sum_Q s_i t_i  =  0
        sum_P s_i r_i^2 + k^2 sigma^2 W_Q  =  sigma^2 W

    (Huber, 1981, section 7.8). While no row changes between P and Q, w is on a straight line in sigma, and sigma is the
    root of a quadratic. With C the covariances of X in P, c those of X and y, v the variance of y, and q and q_0 the
    sums over Q of s_i t_i (x_i - mean of x in P) and of s_i t_i::

        repeat
            P, Q, t  <-  from r and sigma
            (C + l W D^2 / (2 W_P)) (a, d)  =  (c, k q / W_P)
            sigma  <-  the root of  v - 2 w . c + w' C w + (k sigma q_0 / W_P)^2  =  sigma^2 (W - k^2 W_Q) / W_P,
                       with w = a + sigma d
            r  <-  y - mean of y in P - w . (x - mean of x in P) - k sigma q_0 / W_P
        until P, Q and t stay

    A round takes three passes over X. Without an intercept the moments are about zero, and q_0 is 0.

    Parameters
    ----------
    terms : Terms
        Terms of the objective, without L1 and signs; which loss it has does not count.
    rows : RowBlocks
        Training rows, of one target.
    start : Place
        Where to start.
    """
    units = terms.units(rows.moments(products=False)) if terms.standardize else 1.0
    weight = np.ones(rows.n_samples) if rows.weight is None else rows.weight
    here, before = start, np.empty(0)
    for _ in range(ROUNDS):
        line = np.where(np.abs(here.residual) < HUBER_SHARE * here.scale, 0.0, np.sign(here.residual))
        if np.array_equal(line, before):
            return here
        after = _round(terms, rows, weight, line, units)
        if after is None:
            return None
        here, before = after, line
    return None


def _round(terms: Terms, rows: RowBlocks, weight: NDArray, line: NDArray, units: NDArray | float) -> Place | None:
    """Return the solution while each row stays on its line, 0 for the parabola; None if there is none with digits."""
    on = weight * (line == 0)
    total, on_parabola = float(weight.sum()), float(on.sum())
    if not on_parabola:
        return None
    parabola = rows.with_weight(on).moments()
    about = parabola if terms.fit_intercept else parabola.about_origin()
    size = about.x.deviation
    if about.cross is None or not (size > 0).all():
        return None
    unit = about.x.unit / size
    second, joint = about.cross * np.outer(unit, unit), about.target_cross[:, 0] * unit * about.y.unit[0]
    slope, level = _sums_over_lines(rows, weight - on, line, about.x.mean)
    pull, shift = HUBER_SHARE * slope / size / on_parabola, HUBER_SHARE * level / on_parabola * terms.fit_intercept
    curved = second.copy()
    curved.flat[:: len(curved) + 1] += total * terms.l2 * (units / size) ** 2 / (2 * on_parabola)
    lower, info = lapack.dpotrf(curved, lower=1, clean=1)
    if info or not about.error(_trace_of_inverse(lower)) <= DIGITS:
        return None
    a, d = lapack.dpotrs(lower, np.array([joint, pull]).T, lower=1)[0].T
    # v - 2 w . c + w' C w + (shift sigma)^2 - share sigma^2  =  constant + linear sigma - bend sigma^2
    share = (total - HUBER_SHARE**2 * (total - on_parabola)) / on_parabola
    constant = float(about.y.deviation[0] ** 2 - 2 * a @ joint + a @ second @ a)
    linear, bend = float(2 * d @ (second @ a - joint)), float(share - d @ second @ d - shift**2)
    inside = linear**2 + 4 * bend * constant
    if not (bend > 0 and inside > 0):
        return None
    scale = (linear + float(np.sqrt(inside))) / (2 * bend)
    coef = ((a + scale * d) / size)[:, np.newaxis]
    intercept = about.y.mean[0] - about.x.mean @ coef[:, 0] + scale * shift
    return Place(rows.y[:, 0] - rows.product(coef)[:, 0] - intercept, scale)


def _sums_over_lines(rows: RowBlocks, weight: NDArray, line: NDArray, center: NDArray) -> tuple[NDArray, float]:
    """Return q and q_0, the sums of s_i t_i (x_i - center) and of s_i t_i over the rows that have a weight."""
    total = float(weight.sum())
    if not total:
        return np.zeros(len(center)), 0.0
    lines = rows.with_weight(weight).with_targets(lambda _: line[:, np.newaxis]).moments(products=False)
    sign = float(lines.y.mean[0])
    slope = lines.target_cross[:, 0] * lines.x.unit * lines.y.unit[0] + (lines.x.mean - center) * sign
    return total * slope, total * sign


def _trace_of_inverse(lower: NDArray) -> float:
    """Return the trace of (L L')^-1, given L; infinity if it is singular."""
    inverse, info = lapack.dtrtri(lower, lower=1)
    return np.inf if info else float(np.vdot(inverse, inverse))
