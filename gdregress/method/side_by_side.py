"""Several objectives over the same few rows, each with weights of its own: minimised all at once."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from gdregress.method.finite_newton import DAMPED, FLAT, SEARCHES, Bracket
from gdregress.method.interior_point import EXACT
from gdregress.method.newton import SINGULAR, is_definite
from gdregress.problem.boxes import LITTLE, WELL_INSIDE, fenchel_gaps, slopes_in, to_the_middle
from gdregress.problem.systems import Factor

ON = 4
"""Rows for each coordinate that are inside their boxes at first, at least."""

SHARPER = 0.5
"""Ratio of mu to the one before."""

AGAIN = 1000.0
"""Ratio of the first mu of a second search to the last one of the first."""

STEPS, ROUNDS = 30, 50
"""Largest number of Newton steps for one mu, and of values of mu."""


class WeightedRows(NamedTuple):
    """Rows whose losses are boxes of slopes (see `gdregress.problem.boxes`), with weights in several objectives.

    Attributes
    ----------
    features : ndarray of shape (n_rows, n_coordinates)
        A.
    target, low, high : ndarray of shape (n_rows, 1)
        y, and the ends of the boxes; `high` is infinite where there is none.
    weight : ndarray of shape (n_rows, n_objectives)
        s.
    """

    features: NDArray
    target: NDArray
    low: NDArray
    high: NDArray
    weight: NDArray

    def followed_by(self, other: "WeightedRows") -> "WeightedRows":
        """Return these rows and others."""
        return WeightedRows(*(np.vstack(both) for both in zip(self, other, strict=True)))

    def sums(self, slope: NDArray) -> NDArray:
        """Return A'S u for the slopes of each row, of shape (n_coordinates, n_objectives)."""
        return self.features.T @ (self.weight * slope)

    def is_inside(self, slope: NDArray) -> NDArray:
        """Return which slopes are inside their boxes, of rows that have a weight."""
        return (slope > self.low) & (slope < self.high) & (self.weight > 0)


class Objectives(NamedTuple):
    """Several objectives over the same rows, beside a quadratic.

    ::

        F_c(w)  =  sum_i s_ic l_i(y_i - a_i . w)  -  h_c . (w - o)  +  (w - o)' Q_c (w - o) / 2

    Attributes
    ----------
    rows : WeightedRows
        A, y and s.
    flatness : float
        k of the loss, the largest of ``u r - k u^2 / 2`` over the slopes u of a box.
    origin : ndarray of shape (n_coordinates, 1)
        o.
    pull : ndarray of shape (n_coordinates, n_objectives)
        h.
    curvature : ndarray of shape (n_objectives, n_coordinates, n_coordinates)
        Q.
    """

    rows: WeightedRows
    flatness: float
    origin: NDArray
    pull: NDArray
    curvature: NDArray

    def only(self, chosen: NDArray) -> "Objectives":
        """Return some of the objectives."""
        if len(chosen) == len(self.curvature):
            return self
        rows = self.rows._replace(weight=self.rows.weight[:, chosen])
        return self._replace(rows=rows, pull=self.pull[:, chosen], curvature=self.curvature[chosen])

    def with_rows(self, rows: WeightedRows, slope: NDArray, on: NDArray) -> "Objectives":
        """Return the objectives with more rows that were in the quadratic.

        Parameters
        ----------
        rows : WeightedRows
            The rows.
        slope : ndarray of shape (n_rows,)
            Their slopes at o, which were in h.
        on : ndarray of bool, of shape (n_rows,)
            Which of them are on a parabola, and were in Q.
        """
        curvature = self.curvature
        if on.any():
            curved, firm = rows.features[on], rows.weight[on] / self.flatness
            curvature = curvature - np.array([(curved.T * each) @ curved for each in firm.T])
        pull = self.pull - rows.sums(slope[:, np.newaxis])
        return self._replace(rows=self.rows.followed_by(rows), pull=pull, curvature=curvature)

    def residual(self, points: NDArray) -> NDArray:
        """Return r = y - A w, of shape (n_rows, n_objectives)."""
        return self.rows.target - self.rows.features @ points

    def of_quadratic(self, points: NDArray) -> NDArray:
        """Return h - Q (w - o)."""
        return self.pull - _products(self.curvature, points - self.origin)

    def second(self, place: int) -> "Second":
        """Return the second derivatives of one objective where no row is inside its box."""
        return Second(np.zeros(len(self.rows.target), bool), self.curvature[place])

    def fit_together(self, residual: NDArray, slope: NDArray) -> NDArray:
        """Return for which objectives slopes u and residuals r fit together.

        The sum of s (l(r) + l*(u) - u r) is zero then, and a row whose slope is inside its box is on its parabola or
        at its kink. The sum does not show that where the slope is all but at an end, from which the row may be far.
        """
        _, _, low, high, weight = self.rows
        k = self.flatness
        gaps = fenchel_gaps(residual, slopes_in(low, high, k, residual), slope, k)
        gap = np.einsum("ic,ic->c", weight, np.maximum(gaps, 0.0))
        is_off = self.rows.is_inside(slope) & (np.abs(residual - k * slope) > LITTLE)
        return (gap <= EXACT ** (1 + (k > 0))) & ~is_off.any(axis=0)

    def are_unique(self, slope: NDArray, is_single: NDArray) -> NDArray:
        """Return which minima are unique, given the slopes there: a slope at an end up to rounding holds no row.

        Parameters
        ----------
        slope : ndarray of shape (n_rows, n_objectives)
            The slopes.
        is_single : ndarray of bool, of shape (n_objectives,)
            Whether second derivatives with the rows inside their boxes are positive definite. They are looked at anew
            where some of these rows are not clearly inside.
        """
        is_clear = self.are_clear(slope)
        is_unique = is_single & (is_clear == self.rows.is_inside(slope)).all(axis=0)
        for place in np.flatnonzero(~is_unique).tolist():
            second = self.second(place).moved(self, place, is_clear[:, place], 1.0)
            is_unique[place] = is_definite(second.matrix)
        return is_unique

    def are_clear(self, slope: NDArray) -> NDArray:
        """Return which slopes are clearly inside their boxes, of rows that have a weight."""
        return (slope > self.rows.low + WELL_INSIDE) & (slope < self.rows.high - WELL_INSIDE) & (self.rows.weight > 0)

    def centred(self, place: int, point: NDArray, slope: NDArray) -> tuple[NDArray, NDArray] | None:
        """Return the middle of the minima of one objective, with its slopes, if these differ in one coordinate alone.

        That is the intercept, the one coordinate without L2, where no slope is inside its box and the loss has kinks.
        The others solve ``L (w - o) = A'S u + h``.
        """
        rows, diagonal = self.rows, np.diagonal(self.curvature[place])
        [free], weight = np.nonzero(diagonal == 0), rows.weight[:, place]
        if self.flatness > 0 or len(free) != 1 or self.are_clear(slope[:, np.newaxis])[:, place].any():
            return None
        low, high, origin = rows.low[:, 0], rows.high[:, 0], self.origin[:, 0]
        is_high = slope - low > high - slope
        slope = np.where(is_high, high, low)
        pull = self.pull[:, place] + rows.features.T @ (weight * slope)
        middle = origin + np.divide(pull, diagonal, out=point - origin, where=diagonal > 0)
        residual, along = rows.target[:, 0] - rows.features @ middle, rows.features[:, free[0]]
        middle[free] += to_the_middle(residual, np.where(weight > 0, along, 0.0), is_high)
        return middle, slope


class Second(NamedTuple):
    """Second derivatives of an objective.

    Attributes
    ----------
    on : ndarray of bool, of shape (n_rows,)
        Which rows are inside their boxes.
    matrix : ndarray of shape (n_coordinates, n_coordinates)
        A'S diag(on / k) A + Q.
    """

    on: NDArray
    matrix: NDArray

    def moved(self, objectives: Objectives, place: int, on: NDArray, flatness: float) -> "Second":
        """Return the second derivatives where other rows are inside, from those that changed or, if fewer, from all.

        Parameters
        ----------
        objectives : Objectives
            The objectives.
        place : int
            Number of the objective.
        on : ndarray of bool, of shape (n_rows,)
            Which rows are inside their boxes.
        flatness : float
            k.
        """
        last = self if 2 * np.count_nonzero(on != self.on) <= np.count_nonzero(on) else objectives.second(place)
        [changed] = np.nonzero(on != last.on)
        features, firm = objectives.rows.features[changed], objectives.rows.weight[changed, place] / flatness
        return Second(on, last.matrix + (features.T * np.where(on[changed], firm, -firm)) @ features)


class Found(NamedTuple):
    """What a search begins with, or has found.

    Attributes
    ----------
    points : ndarray of shape (n_coordinates, n_objectives)
        The points w.
    slopes : ndarray of shape (n_rows, n_objectives)
        The slopes u of the rows.
    mu : float
        The last mu.
    seconds : list of Second
        Second derivatives for mu = 0, of points nearby.
    is_closed : ndarray of bool, of shape (n_objectives,)
        Which points are minima.
    """

    points: NDArray
    slopes: NDArray
    mu: float
    seconds: list[Second]
    is_closed: NDArray

    @classmethod
    def first(cls, objectives: Objectives, start: NDArray, seconds: list[Second]) -> "Found":
        """Return what a first search begins with: slopes in the middle of their boxes, and the first mu.

        Parameters
        ----------
        objectives : Objectives
            The objectives.
        start : ndarray of shape (n_coordinates, 1)
            A point for all of them.
        seconds : list of Second
            Second derivatives there, for mu = 0.
        """
        low, high, n = objectives.rows.low, objectives.rows.high, len(seconds)
        middle = np.where(np.isfinite(high), 0.5 * (low + np.where(np.isfinite(high), high, 0.0)), low)
        mu = _first_mu(objectives, objectives.residual(start), middle)
        return cls(np.repeat(start, n, axis=1), np.repeat(middle, n, axis=1), mu, seconds, np.zeros(n, bool))

    def with_rows(self, slope: NDArray, on: NDArray) -> "Found":
        """Return what a second search begins with, over more rows: see `Objectives.with_rows`."""
        more = np.repeat(slope[:, np.newaxis], len(self.seconds), axis=1)
        seconds = [second._replace(on=np.concatenate([second.on, on])) for second in self.seconds]
        return self._replace(slopes=np.vstack([self.slopes, more]), mu=AGAIN * self.mu, seconds=seconds)


def minima(objectives: Objectives, start: Found) -> Found:
    """Minimise by an augmented Lagrangian method (Li, Sun and Toh, 2018), for all objectives side by side.

    With v the multipliers of r = y - A w::

        v <- the middle of each box,    mu <- the least with which 4 p rows are inside their boxes at the start
        repeat
            w_c <- the minimum of F_c for the losses  max_u u r - k u^2 / 2 - mu (u - v)^2 / 2       by Newton's method
            v <- clip((r + mu v) / (k + mu), low, high),    mu <- mu / 2
        until v are the slopes of the loss at r

    A loss of parabolas on which rows enough lie has mu = 0, so that Newton's method alone finds the minimum. So it has
    once mu is below k. An objective is given up where Newton's method does not end, or the minimum is not unique. Where
    the intercept alone is not, its middle is taken. Where a matrix is not finite, all that are open are given up.

    Parameters
    ----------
    objectives : Objectives
        The objectives.
    start : Found
        What the search begins with.
    """
    points, slopes, mu, seconds, _ = start
    points, slopes, seconds, open_ = points.copy(), slopes.copy(), list(seconds), np.arange(len(seconds))
    is_closed = np.zeros(len(seconds), bool)
    for _ in range(ROUNDS):
        now, shift = objectives.only(open_), mu * slopes[:, open_]
        flatness = now.flatness + mu
        known = [now.second(place) if mu > 0 else seconds[number] for place, number in enumerate(open_)]
        try:
            here, residual, has_ended, is_single = _newton(now, points[:, open_], shift, flatness, known)
        except FloatingPointError:
            break
        points[:, open_] = here
        slope = slopes_in(now.rows.low, now.rows.high, flatness, residual + shift)
        slopes[:, open_] = slope
        fits = now.fit_together(residual, slope)
        [closed] = np.nonzero(fits & has_ended)
        is_closed[open_[closed]] = now.only(closed).are_unique(slope[:, closed], is_single[closed])
        for place in closed[~is_closed[open_[closed]]].tolist():
            middle, number = now.centred(place, here[:, place], slope[:, place]), open_[place]
            if middle is not None:
                points[:, number], slopes[:, number] = middle
                is_closed[number] = True
        if mu == 0:
            for number, second in zip(open_, known, strict=True):
                seconds[number] = second
            break
        open_ = open_[~fits & has_ended]
        if not len(open_):
            break
        mu = SHARPER * mu if SHARPER * mu >= now.flatness else 0.0
    return Found(points, slopes, mu, seconds, is_closed)


def _first_mu(objectives: Objectives, residual: NDArray, middle: NDArray) -> float:
    """Return the least mu with which rows enough are inside their boxes, given residuals and the first multipliers."""
    low, high, k = objectives.rows.low, objectives.rows.high, objectives.flatness
    with np.errstate(all="ignore"):
        above = np.where(np.isfinite(high), (residual - k * high) / (high - middle), -np.inf)
        from_low = np.where(residual > k * low, -np.inf, np.inf)
        below = np.where(middle > low, (k * low - residual) / (middle - low), from_low)
    needed = np.maximum(above, below)[:, 0]
    needed = needed[needed < np.inf]
    few = min(ON * len(objectives.origin), len(needed) - 1)
    return max(float(np.partition(needed, few)[few]), 0.0) if few >= 0 else 0.0


def _newton(
    objectives: Objectives, points: NDArray, shift: NDArray, flatness: float, seconds: list[Second]
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Return the minima for parabolas of curvature 1 / flatness about shifted residuals, with their residuals.

    With Q, h and o of the objectives, and r + shift in place of r::

        u   = clip(r / k, low, high)
        dw  = (A'S diag(on / k) A + Q)^-1 (A'S u + h - Q (w - o))      on_i = 1 where u_i is inside its box, else 0
        w  <- w + t dw                                                 t: where F is least along dw

    It ends where t = 1 and no row has changed between parabola and line. ``seconds`` are kept up to date. The third
    result is for which objectives it has ended, and the fourth where the minimum is unique.
    """
    points, residual = points.copy(), objectives.residual(points) + shift
    open_, (has_ended, is_unique) = np.arange(len(seconds)), np.zeros((2, len(seconds)), bool)
    for _ in range(STEPS):
        now, here, left = objectives.only(open_), points[:, open_], residual[:, open_]
        slope = slopes_in(now.rows.low, now.rows.high, flatness, left)
        on, of_quadratic = now.rows.is_inside(slope), now.of_quadratic(here)
        gradient = now.rows.sums(slope) + of_quadratic
        along, is_newtons = np.empty_like(gradient), np.ones(len(open_), bool)
        for place, number in enumerate(open_):
            seconds[number] = seconds[number].moved(now, place, on[:, place], flatness)
            along[:, place], is_newtons[place] = _step(now, place, seconds[number], flatness, gradient[:, place])
        change = now.rows.features @ along
        decrement, level = np.einsum("jc,jc->c", gradient, along), np.einsum("jc,jc->c", of_quadratic, along)
        bend = np.einsum("jc,jc->c", along, _products(now.curvature, along))
        length = _lengths(now.rows, left, change, flatness, (decrement, level, bend))
        points[:, open_] = here + length * along
        residual[:, open_] = left = left - length * change
        turned = now.rows.is_inside(left / flatness)
        is_open = ((length != 1.0) | (turned != on).any(axis=0)) & (decrement > EXACT**2)
        has_ended[open_], is_unique[open_] = ~is_open, is_newtons
        open_ = open_[is_open]
        if not len(open_):
            break
    return points, residual - shift, has_ended, is_unique


def _step(
    objectives: Objectives, place: int, second: Second, flatness: float, gradient: NDArray
) -> tuple[NDArray, bool]:
    """Return a Newton step, damped where the second derivatives are singular, and whether they are not."""
    try:
        factor = np.linalg.cholesky(second.matrix)  # that of SciPy does not let other threads run
    except np.linalg.LinAlgError:
        factor = np.zeros_like(second.matrix)
    pivots = np.diagonal(factor) ** 2
    if pivots.min() > SINGULAR * pivots.max():
        along, _ = lapack.dpotrs(factor.T, gradient)
        return along, True
    rows = objectives.rows
    whole = rows.weight[:, place] @ np.square(rows.features) / flatness
    return Factor.of(second.matrix + DAMPED * np.diag(whole)).solve(gradient), False


def _lengths(
    rows: WeightedRows, residual: NDArray, change: NDArray, flatness: float, along: tuple[NDArray, NDArray, NDArray]
) -> NDArray:
    """Return how far along each step F is least, up to a tenth of its first slope: see `finite_newton.step_length`.

    Parameters
    ----------
    rows : WeightedRows
        The rows.
    residual, change : ndarray of shape (n_rows, n_objectives)
        r and A dw.
    flatness : float
        k.
    along : tuple of ndarray of shape (n_objectives,)
        How steeply F falls along each step at its beginning, the share of the quadratic in this, and how that bends.
    """
    decrement, level, bend = along
    brackets, open_ = [Bracket()] * len(decrement), np.arange(len(decrement))
    weighted = rows.weight * change
    for _ in range(SEARCHES):
        tried = np.array([brackets[number].length for number in open_])
        steps, pulls = change[:, open_], weighted[:, open_]
        slope = (residual[:, open_] - tried * steps) / flatness
        downhill = np.einsum("ic,ic->c", pulls, np.clip(slope, rows.low, rows.high))
        downhill += level[open_] - tried * bend[open_]
        searches = ~(np.abs(downhill) <= FLAT * decrement[open_])
        open_, bends = open_[searches], bend[open_][searches]
        if not len(open_):
            break
        on = (slope > rows.low) & (slope < rows.high)
        curved = np.einsum("ic,ic->c", pulls * on, steps)[searches] / flatness + bends
        for number, *there in zip(open_.tolist(), downhill[searches].tolist(), curved.tolist(), strict=True):
            brackets[number] = brackets[number].narrowed(*there)
    length = np.array([bracket.length for bracket in brackets])
    length[open_] = [brackets[number].shortest for number in open_]
    return length


def _products(matrices: NDArray, vectors: NDArray) -> NDArray:
    """Return the product of each matrix with its column of vectors."""
    return np.matmul(matrices, vectors.T[:, :, np.newaxis])[:, :, 0].T
