"""The minimum of a quadratic plus L1 and signs, exactly: on the columns of a working set, and in Newton's steps."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

SINGULAR = 1e-12
"""Squared distance from the span of other columns, as a share of its square, below which a column is in it."""

PIVOT_NOISE = 2e-15
"""Rounding of such a share, before the coefficients that express the column by those before it have enlarged it."""

NOISE_UNITS = 100.0
"""Multiple of the rounding of a slope below which a violated condition is attributed to rounding."""

ROUNDS = 20
"""Rounds for each coordinate after which only rounding can still lower F."""

EPS, TINY = float(np.finfo(np.float64).eps), float(np.finfo(np.float64).tiny)


class Kinks(NamedTuple):
    """The part of a penalty that is not smooth, for each coordinate.

    Attributes
    ----------
    l1 : ndarray of shape (..., n_coordinates)
        Strengths of L1.
    free : ndarray of shape (n_coordinates,) of bool
        Whether a coordinate has no kink: its strength is 0, and it may have either sign.
    positive : bool
        Whether the coordinates that are not free must not be negative.
    """

    l1: NDArray
    free: NDArray
    positive: bool

    @classmethod
    def of(cls, l1: NDArray, n_coordinates: int, *, positive: bool) -> Self:
        """Return the kinks of the coordinates that have strengths; those after them are free."""
        strengths = np.zeros(n_coordinates)
        strengths[: len(l1)] = l1
        free = np.ones(n_coordinates, bool)
        free[: len(l1)] = (l1 == 0) & (not positive)
        return cls(strengths, free, positive)

    def feasible(self, point: NDArray) -> NDArray:
        """Return a point with zeros in place of negative coordinates, where these are not allowed."""
        return np.where(self.free, point, np.maximum(point, 0.0)) if self.positive else point

    def violation(self, pull: NDArray) -> NDArray:
        """Return by how much the negative gradient exceeds what holds a coordinate at zero."""
        return (np.where(self.free, np.abs(pull), pull) if self.positive else np.abs(pull)) - self.l1

    def wrong(self, sign: NDArray, w: NDArray, pull: NDArray) -> NDArray:
        """Return where the minimum for some signs is no minimum: by another sign, or by a pull that no zero holds.

        Parameters
        ----------
        sign : ndarray of shape (..., n_coordinates)
            The signs; 0 for a coordinate that was to be zero. That of a free one does not count.
        w, pull : ndarray of shape (..., n_coordinates)
            That minimum, and the negative gradient of the smooth part there.
        """
        return np.where((sign != 0) | self.free, (np.sign(w) != sign) & ~self.free, self.violation(pull) > 0)


def exchanged(sign: NDArray, wrong: NDArray, pull: NDArray) -> NDArray:
    """Return signs without the wrong ones, and with those by which coordinates leave a zero that does not hold them."""
    return np.where(wrong, np.where(sign != 0, 0.0, np.sign(pull)), sign)


class ActiveSet(NamedTuple):
    """A point, the coordinates that may move, and the signs for which |w_j| is s_j w_j.

    Attributes
    ----------
    w : ndarray of shape (n_coordinates,)
        The point.
    active : ndarray of shape (n_active,)
        Indices of the coordinates that are not zero, and of free ones; their columns are independent.
    sign : ndarray of shape (n_active,)
        Their signs s.
    """

    w: NDArray
    active: NDArray
    sign: NDArray

    @classmethod
    def at(cls, w: NDArray, kinks: Kinks) -> Self:
        """Return the active set of a point."""
        [active] = ((w != 0) | kinks.free).nonzero()
        return cls(w, active, np.sign(w[active]))

    def moved(self, w: NDArray, kinks: Kinks) -> "ActiveSet":
        """Return another point, from whose coordinates those are taken that have become zero."""
        stays = (w[self.active] != 0) | kinks.free[self.active]
        active = self.active[stays]
        return ActiveSet(w, active, np.sign(w[active]))


def step_to_minimum(curvature: NDArray, gradient: NDArray, kinks: Kinks, point: NDArray) -> NDArray:
    """Return the step from a point v to the exact minimiser of F, over w >= 0 if so constrained.

    With g the gradient at v, q = G v - g and w = v + step::

        F(w)  =  g . (w - v) + (w - v)' G (w - v) / 2 + sum_j l1_j |w_j|
              =  w' G w / 2 - q . w + sum_j l1_j |w_j| + constant

    It is an active-set method (Osborne, Presnell and Turlach, 2000; the feature-sign search of Lee, Battle, Raina and
    Ng, 2006). A are the coordinates that are not zero, and s their signs::

        w <- v
        repeat
            repeat
                z = argmin F with the signs s:  z_A = G_AA^-1 (q_A - l1_A s_A),  z = 0 elsewhere
                w <- z, with zeros in place of wrong signs, if that is lower;  else w <- the first zero on the way to z
                A, s <- the coordinates of w that are not zero, and their signs
            until z has the signs s
            J = the coordinates that violate |q - G w|_j <= l1_j, the largest violation first
            for k = |J|, |J| / 2, |J| / 4, ...
                z = argmin F with the signs s on A and those of q - G w on the first k of J
                w <- z, with zeros in place of wrong signs, if that is lower;  end for
            else
                w <- the lowest point in the direction in which the first of J moves and A follows
        until J is empty
        step = w - v elsewhere than on A, and on A the solution of  (G step)_A = -(g_A + l1_A s_A)

    Up to rounding every step goes down, and each repetition of the inner loop leaves fewer coordinates. So w is again
    and again the minimum for its signs, each time a lower one, and no signs come back: it ends. Columns that depend on
    those of A never join them: in the last step F then falls in a straight line up to the first zero, whose coordinate
    leaves. A start that is the minimum for its signs is not solved again. The last line makes the error of the step a
    share of the step, however large w is.

    Parameters
    ----------
    curvature : ndarray of shape (n_coordinates, n_coordinates)
        G, positive semidefinite.
    gradient : ndarray of shape (n_coordinates,)
        g.
    kinks : Kinks
        l1, and where signs are constrained.
    point : ndarray of shape (n_coordinates,)
        v; the nearer it is to the minimiser, the fewer rounds are needed.

    Returns
    -------
    ndarray of shape (n_coordinates,)
        The step, in the precision of the point. Where w is zero, it is exactly -v.
    """
    v = point.astype(np.float64)
    slope, factors = curvature.dot(v) - gradient, Factors(curvature)
    _, active, sign = _minimum(curvature, slope, kinks, v, factors)
    factor = factors.of(active)
    active, sign, step = active[: len(factor)], sign[: len(factor)], -point
    step[active] = 0.0
    right = -(gradient + curvature.dot(step.astype(np.float64)))[active] - kinks.l1[active] * sign
    step[active] = _solve(factor, right)
    is_rounding = (v[active] + step[active]) * sign < 0
    zero = active[is_rounding & ~kinks.free[active]]
    step[zero] = -point[zero]
    return step


class Slopes(NamedTuple):
    """Slopes of F at an active set.

    Attributes
    ----------
    gradient : ndarray of shape (n_coordinates,)
        Gradient of the smooth part of F.
    left : ndarray of shape (n_active,)
        Sizes of the slopes of F along the coordinates that may move.
    rounding : ndarray of shape (n_coordinates,)
        Rounding of the gradient.
    """

    gradient: NDArray
    left: NDArray
    rounding: NDArray

    @classmethod
    def at(cls, curvature: NDArray, slope: NDArray, kinks: Kinks, root: NDArray, here: ActiveSet) -> Self:
        """Compute the slopes, given the roots of the second derivatives along each coordinate."""
        gradient = curvature.dot(here.w) - slope
        left = np.abs(gradient[here.active] + kinks.l1[here.active] * here.sign)
        return cls(gradient, left, EPS * (np.abs(slope) + root * root.dot(np.abs(here.w))))

    def vanish(self, here: ActiveSet) -> bool:
        """Return whether the active set is the minimum for its signs up to rounding, and no column of it is zero."""
        return np.count_nonzero(self.left < NOISE_UNITS * self.rounding[here.active]) == len(self.left)


def _minimum(curvature: NDArray, slope: NDArray, kinks: Kinks, start: NDArray, factors: "Factors") -> ActiveSet:
    """Return the minimum of w' G w / 2 - q . w + sum_j l1_j |w_j|."""
    root = np.sqrt(curvature.diagonal())
    here = ActiveSet.at(kinks.feasible(start), kinks)
    slopes = Slopes.at(curvature, slope, kinks, root, here)
    if not slopes.vanish(here):
        here = _settled(curvature, slope, kinks, _independent(factors, here), factors)
        slopes = Slopes.at(curvature, slope, kinks, root, here)
    for _ in range(ROUNDS * (len(slope) + 5)):
        active, gradient = here.active, slopes.gradient
        rounding = np.maximum(root * (slopes.left / root[active]).max(initial=0.0), slopes.rounding)
        violation = kinks.violation(-gradient)
        violation[active] = -np.inf
        [joining] = (violation > NOISE_UNITS * rounding).nonzero()
        if not len(joining):
            break
        joining = joining[(-violation[joining]).argsort()]
        joined = _joined(curvature, slope, kinks, here, factors, gradient, joining)
        if joined is None:
            break
        here = _settled(curvature, slope, kinks, joined, factors)
        slopes = Slopes.at(curvature, slope, kinks, root, here)
    return here


def _independent(factors: "Factors", here: ActiveSet) -> ActiveSet:
    """Return an active set without the coordinates whose columns depend on others."""
    active = here.active
    while (n := len(factors.of(active))) < len(active):
        active = np.delete(active, n)
    kept = np.zeros_like(here.w)
    kept[active] = here.w[active]
    return ActiveSet(kept, active, np.sign(kept[active]))


def _settled(curvature: NDArray, slope: NDArray, kinks: Kinks, here: ActiveSet, factors: "Factors") -> ActiveSet:
    """Return an active set that is no higher, and is the minimum for its signs."""
    while True:
        w, active, sign = here
        z, factor = np.zeros(len(w)), factors.of(active)
        some, signs = active[: len(factor)], sign[: len(factor)]
        z[some] = _solve(factor, slope[some] - kinks.l1[some] * signs)
        wrong = active[(z[active] * sign <= 0) & ~kinks.free[active]]
        if not len(wrong):
            return ActiveSet(z, some, signs)
        step = z - w
        z[wrong] = 0.0
        lower = _lower(curvature, slope, kinks, w, z)
        here = here.moved(_to_first_zero(w, step, wrong) if lower is None else lower, kinks)


def _joined(
    curvature: NDArray,
    slope: NDArray,
    kinks: Kinks,
    here: ActiveSet,
    factors: "Factors",
    gradient: NDArray,
    joining: NDArray,
) -> ActiveSet | None:
    """Return a lower active set than the minimum for some signs, with some coordinates that violate it, if any is."""
    w, active, sign = here
    n, candidates = len(active), np.concatenate([active, joining])
    signs = np.concatenate([sign, -np.sign(gradient[joining])])
    factor = factors.of(candidates)
    size = len(factor)
    if size < n:  # a factor of another size is rounded otherwise, and a column that was just independent may not be
        active = active[:size]
        return ActiveSet(np.where(np.isin(np.arange(len(w)), active), w, 0.0), active, sign[:size])
    while size > n + 1:
        some, z = candidates[:size], np.zeros(len(w))
        of_some = _solve(factor[:size, :size], slope[some] - kinks.l1[some] * signs[:size])
        of_some[(of_some * signs[:size] < 0) & ~kinks.free[some]] = 0.0
        z[some] = of_some
        if _lower(curvature, slope, kinks, w, z) is not None:
            return ActiveSet(w, some, signs[:size]).moved(z, kinks)
        size = n + (size - n) // 2
    for first, direction in zip(joining, signs[n:], strict=True):
        step = np.zeros(len(w))
        step[first] = direction
        step[active] = -direction * _solve(factor[:n, :n], curvature[active, first])
        bend, pull = direction * float(step.dot(curvature[:, first])), abs(gradient[first]) - kinks.l1[first]
        length = pull / bend if bend > SINGULAR * curvature[first, first] else np.inf
        [falling] = ((w * step < 0) & ~kinks.free).nonzero()
        if (-w[falling] / step[falling]).min(initial=np.inf) <= length:
            if not len(falling):
                continue  # F has no end in this direction, which only rounding can cause
            w = _to_first_zero(w, step, falling)
        else:
            w = w + length * step
        return ActiveSet(w, np.append(active, first), np.append(sign, direction)).moved(w, kinks)
    return None


def _lower(curvature: NDArray, slope: NDArray, kinks: Kinks, w: NDArray, z: NDArray) -> NDArray | None:
    """Return z if F is lower there than at w, else None.

    The change of F is summed so that the small terms of a point near the minimum do not cancel.
    """
    step = z - w
    sign = np.sign(np.where(w == 0, step, w))
    slopes = curvature.dot(w + 0.5 * step) - slope + kinks.l1 * sign
    change = slopes.dot(step) - 2.0 * kinks.l1.dot(np.minimum(sign * z, 0.0))
    return z if change < 0 else None


def _to_first_zero(w: NDArray, step: NDArray, falling: NDArray) -> NDArray:
    """Return the first point on the way at which one of the coordinates that fall towards zero is zero."""
    times = -w[falling] / step[falling]
    first = float(times.min())
    reached = w + first * step
    reached[falling[times <= first]] = 0.0
    return reached


class Factors:
    """Cholesky factors of parts of a matrix; the last one is kept, since it often serves for the next part as well.

    Parameters
    ----------
    matrix : ndarray of shape (n_coordinates, n_coordinates)
        The matrix, symmetric.
    """

    def __init__(self, matrix: NDArray):
        self._matrix = matrix
        self._order = np.empty(0, np.intp)
        self._factor = np.empty((0, 0))

    def of(self, order: NDArray) -> NDArray:
        """Return the factor of the first columns of some, up to the first that depends on those before it.

        Parameters
        ----------
        order : ndarray of int
            The columns.
        """
        n = len(order)
        if not np.array_equal(self._order[:n], order):
            self._order, self._factor = order, _factor(self._matrix.take(order, axis=0).take(order, axis=1))
        return self._factor[:n, :n]


def _factor(matrix: NDArray) -> NDArray:
    """Return the Cholesky factor of the first columns, up to the first that depends on those before it."""
    if not len(matrix):
        return matrix
    sizes = matrix.diagonal().copy()
    factor, info = lapack.dpotrf(matrix.T, lower=1, clean=0, overwrite_a=1)
    n = len(sizes) if info == 0 else info - 1
    pivots, sizes = factor.diagonal()[:n], sizes[:n]
    share = pivots * pivots / np.maximum(sizes, TINY)
    least = share.min(initial=1.0)
    if not least > SINGULAR:
        n = _first_of(~(share > SINGULAR))
    if not least**2 > PIVOT_NOISE:  # no product of two shares is smaller
        inverse, _ = lapack.dtrtri(factor[:n, :n], lower=1)
        enlarged = np.abs(np.tril(inverse)) @ np.sqrt(sizes[:n])
        n = _first_of(~(enlarged * enlarged * PIVOT_NOISE < 1))
    return factor[:n, :n]


def _first_of(holds: NDArray) -> int:
    """Return the first place at which something holds; the number of places if it holds nowhere."""
    places = np.flatnonzero(holds)
    return int(places[0]) if len(places) else len(holds)


def _solve(factor: NDArray, right: NDArray) -> NDArray:
    return lapack.dpotrs(factor, right, lower=1)[0] if len(right) else right
