"""Penalties on coefficients: L1 and the sign constraint enter by their prox, L2, which is smooth, by its gradient.

In coordinates z, the penalty of coefficient j and output k is::

    l1_jk |z_jk| + l2_jk z_jk^2 / 2,    with z_jk >= 0 if `positive`

The intercept, the row below the coefficients, is not penalised.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

BLOCK_ROUNDS = 3
"""Rounds without fewer wrong guesses after which block pivoting corrects only one guess a round."""

ROUNDS = 30
"""Rounds of block pivoting after which it counts as cycling."""

ROUNDING = 1e-9
"""Size of a coordinate, relative to the largest, below which its sign is attributed to rounding."""

NOISE = 10.0
"""Multiple of the residual of a solved system below which a violated condition is attributed to rounding."""


@dataclass(frozen=True)
class Penalty:
    """A penalty on the coefficients in some coordinates.

    Attributes
    ----------
    l1, l2 : ndarray of shape (n_features, n_outputs)
        Non-negative strengths.
    positive : bool
        Whether coefficients must not be negative.
    """

    l1: NDArray
    l2: NDArray
    positive: bool = False

    @cached_property
    def is_smooth(self) -> bool:
        """Whether the penalty is smooth, so that its prox is the identity."""
        return not (self.positive or self.l1.any())

    @cached_property
    def is_nothing(self) -> bool:
        """Whether both strengths are zero for all coefficients."""
        return not (self.l1.any() or self.l2.any())

    def value(self, point: NDArray) -> NDArray:
        """Return the penalty of each column of a point, or of several points side by side."""
        if self.is_nothing:
            return np.zeros(point.shape[1])
        z = point[: len(self.l1)]
        times = z.shape[1] // self.l1.shape[1]
        return (_tiled(self.l1, times) * np.abs(z) + 0.5 * _tiled(self.l2, times) * z * z).sum(axis=0)

    def gradient(self, point: NDArray) -> NDArray:
        """Return the gradient of the L2 part with respect to the coefficients, at points side by side."""
        z = point[: len(self.l2)]
        if self.is_nothing:
            return np.zeros_like(z)
        return _tiled(self.l2, z.shape[1] // self.l2.shape[1]) * z

    def prox(self, point: NDArray, step: float | NDArray) -> NDArray:
        """Return the proximal point of the nonsmooth part of the penalty.

        With v a coordinate of `point`, it is ``argmin_z (z - v)^2 / (2 step) + l1 |z|``, which is soft thresholding;
        with `positive`, z is restricted to z >= 0.

        Parameters
        ----------
        point : ndarray of shape (n_coordinates, n_outputs)
            The point v after a gradient step.
        step : float or ndarray of shape (n_coordinates, n_outputs)
            Step size of the gradient step, one for all coordinates or one for each.
        """
        if self.is_smooth:
            return point
        p = len(self.l1)
        threshold = self.l1 * (step[:p] if isinstance(step, np.ndarray) else step)
        z, moved = point[:p], point.copy()
        moved[:p] = np.maximum(z - threshold, 0.0) if self.positive else z - np.clip(z, -threshold, threshold)
        return moved

    def residual(self, point: NDArray, gradient: NDArray) -> NDArray:
        """Return the shortest subgradient at points side by side, given the gradient of the smooth part."""
        if self.is_smooth:
            return gradient
        p = len(self.l1)
        z, along_z = point[:p], gradient[:p]
        l1 = _tiled(self.l1, z.shape[1] // self.l1.shape[1])
        at_zero = np.sign(along_z) * np.maximum(np.abs(along_z) - l1, 0.0)
        if self.positive:
            at_zero = np.minimum(along_z + l1, 0.0)
        shortest = gradient.copy()
        shortest[:p] = np.where(z == 0, at_zero, along_z + l1 * np.sign(z))
        return shortest

    def model_minimum(self, curvature: NDArray, slope: NDArray, start: NDArray, output: int) -> NDArray | None:
        """Return the exact minimiser of a quadratic plus the nonsmooth part of the penalty of one output.

        It is ``argmin_z z' H z / 2 - q . z + sum_j l1_j |z_j|``, found by block principal pivoting (Judice and Pires,
        1994). Each round guesses which coordinates are zero and which signs the others have, solves for these, and
        corrects all wrong guesses. If their number stops falling, it corrects one guess a round.

        Parameters
        ----------
        curvature : ndarray of shape (n_coordinates, n_coordinates)
            H, positive definite, with the L2 part of the penalty included.
        slope : ndarray of shape (n_coordinates,)
            The vector q.
        start : ndarray of shape (n_coordinates,)
            A point whose signs are the first guess.
        output : int
            Index of the output, a column of `l1`.

        Returns
        -------
        ndarray of shape (n_coordinates,) or None
            The minimiser. None if the guesses cycle, which a nearly singular H can cause, or if a system is singular.
        """
        if self.is_smooth:
            return _solve(curvature, slope)
        q, p = len(slope), len(self.l1)
        l1 = np.concatenate([self.l1[:, output], np.zeros(q - p)])
        free = (l1 == 0) & (not self.positive)
        free[p:] = True
        sign = np.where(free, 1.0, np.maximum(np.sign(start), 0.0) if self.positive else np.sign(start))
        largest = np.abs(slope).max(initial=0.0)
        fewest, rounds_left = q + 1, BLOCK_ROUNDS
        for _ in range(ROUNDS):
            active = sign != 0
            z = np.zeros(q)
            solution = _solve(curvature[np.ix_(active, active)], (slope - l1 * sign)[active])
            if solution is None:
                return None
            z[active] = solution
            residual = slope - curvature @ z
            noise = NOISE * max(np.abs((residual - l1 * sign)[active]).max(initial=0.0), np.finfo(float).eps * largest)
            leaves = active & ~free & (z * sign < -ROUNDING * np.abs(z).max(initial=0.0))
            enters = ~active & ((residual if self.positive else np.abs(residual)) > l1 + noise)
            wrong = leaves | enters
            n_wrong = int(wrong.sum())
            if n_wrong == 0:
                return np.where(free | (z * sign > 0), z, 0.0)
            if n_wrong < fewest:
                fewest, rounds_left = n_wrong, BLOCK_ROUNDS
            elif rounds_left > 0:
                rounds_left -= 1
            else:
                wrong[: np.flatnonzero(wrong)[-1]] = False
            sign = np.where(wrong, np.where(active, 0.0, np.sign(residual)), sign)
        return None


def _solve(matrix: NDArray, right: NDArray) -> NDArray | None:
    """Return the solution of a positive definite system; None if it is not numerically positive definite."""
    if not len(right):
        return right
    _, solution, info = lapack.dposv(matrix, right, lower=1)
    return solution if info == 0 and np.isfinite(solution).all() else None


def _tiled(strength: NDArray, times: int) -> NDArray:
    return strength if times == 1 else np.tile(strength, times)
