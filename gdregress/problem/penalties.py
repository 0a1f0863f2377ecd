"""What coefficients cost beside the loss: L1 and the sign, by their prox; L2, which is smooth, by its gradient.

In the coordinates z, for each coefficient j and output k::

    l1_jk |z_jk| + l2_jk z_jk^2 / 2,    and z_jk >= 0 where it must be positive

The intercept, a row below the coefficients, costs nothing.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

PATIENCE = 3
"""Rounds of correcting all wrong guesses at once that may pass without there being fewer."""

ROUNDS = 30
"""Rounds, beside one per coordinate, after which guesses go in circles."""

ROUNDING = 1e-9
"""Relative size of a coordinate below which its sign is rounding."""

NOISE = 10.0
"""Times the residual of a solved system below which a pull is rounding."""


@dataclass(frozen=True)
class Penalty:
    """A penalty on the coefficients in some coordinates.

    Attributes
    ----------
    l1, l2 : ndarray of shape (n_features, n_outputs)
        Strengths, not negative.
    positive : bool
        Whether coefficients must not be negative.
    """

    l1: NDArray
    l2: NDArray
    positive: bool = False

    @cached_property
    def is_smooth(self) -> bool:
        """Whether the prox does nothing."""
        return not (self.positive or self.l1.any())

    @cached_property
    def is_nothing(self) -> bool:
        """Whether no coefficient costs anything."""
        return not (self.l1.any() or self.l2.any())

    def value(self, point: NDArray) -> NDArray:
        """Return the penalty of a point, or of several side by side, output by output."""
        if self.is_nothing:
            return np.zeros(point.shape[1])
        z = point[: len(self.l1)]
        times = z.shape[1] // self.l1.shape[1]
        return (_tiled(self.l1, times) * np.abs(z) + 0.5 * _tiled(self.l2, times) * z * z).sum(axis=0)

    def gradient(self, point: NDArray) -> NDArray:
        """Return the gradient of the smooth part, for the coefficients of a point or of several side by side."""
        z = point[: len(self.l2)]
        if self.is_nothing:
            return np.zeros_like(z)
        return _tiled(self.l2, z.shape[1] // self.l2.shape[1]) * z

    def prox(self, point: NDArray, step: float | NDArray) -> NDArray:
        """Return the point that minimises the distance to `point` plus the part of the penalty that is not smooth.

        Coordinate by coordinate ``argmin_z |z - v|^2 / (2 step) + l1 |z|``: soft thresholding.

        Parameters
        ----------
        point : ndarray of shape (n_coordinates, n_outputs)
            Where a step led.
        step : float or ndarray of shape (n_coordinates, n_outputs)
            What the gradient was multiplied by, one number or one per coordinate.
        """
        if self.is_smooth:
            return point
        p = len(self.l1)
        threshold = self.l1 * (step[:p] if isinstance(step, np.ndarray) else step)
        z, moved = point[:p], point.copy()
        moved[:p] = np.maximum(z - threshold, 0.0) if self.positive else z - np.clip(z, -threshold, threshold)
        return moved

    def residual(self, point: NDArray, gradient: NDArray) -> NDArray:
        """Return the shortest subgradient at points side by side; `gradient` is that of the smooth part."""
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
        """Minimise a quadratic plus this penalty of one output: a prox in the metric of a matrix, exact.

        ``argmin_z z' H z / 2 - q . z + sum_j l1_j |z_j|`` by block principal pivoting (Judice and
        Pires, 1994): guess which coordinates are zero and the signs of the others, solve for
        these, correct all wrong guesses at once, and one at a time where that does not help.

        Parameters
        ----------
        curvature : ndarray of shape (n_coordinates, n_coordinates)
            H, positive definite; the L2 part of the penalty is in it.
        slope : ndarray of shape (n_coordinates,)
            q.
        start : ndarray of shape (n_coordinates,)
            Whose signs are the first guess.
        output : int
            Which column of the strengths.

        Returns
        -------
        ndarray of shape (n_coordinates,) or None
            None where the guesses went in circles, as they may for an all but singular H.
        """
        if self.is_smooth:
            return _solve(curvature, slope)
        q, p = len(slope), len(self.l1)
        l1 = np.concatenate([self.l1[:, output], np.zeros(q - p)])
        free = (l1 == 0) & (not self.positive)
        free[p:] = True
        sign = np.where(free, 1.0, np.maximum(np.sign(start), 0.0) if self.positive else np.sign(start))
        pull_scale = np.abs(slope).max(initial=0.0)
        fewest, patience = q + 1, PATIENCE
        for _ in range(ROUNDS):
            active = sign != 0
            z = np.zeros(q)
            solution = _solve(curvature[np.ix_(active, active)], (slope - l1 * sign)[active])
            if solution is None:
                return None
            z[active] = solution
            pull = slope - curvature @ z
            noise = NOISE * max(np.abs((pull - l1 * sign)[active]).max(initial=0.0), np.finfo(float).eps * pull_scale)
            leaves = active & ~free & (z * sign < -ROUNDING * np.abs(z).max(initial=0.0))
            enters = ~active & ((pull if self.positive else np.abs(pull)) > l1 + noise)
            wrong = leaves | enters
            n_wrong = int(wrong.sum())
            if n_wrong == 0:
                return np.where(free | (z * sign > 0), z, 0.0)
            if n_wrong < fewest:
                fewest, patience = n_wrong, PATIENCE
            elif patience > 0:
                patience -= 1
            else:
                wrong[: np.flatnonzero(wrong)[-1]] = False
            sign = np.where(wrong, np.where(active, 0.0, np.sign(pull)), sign)
        return None


def _solve(matrix: NDArray, right: NDArray) -> NDArray | None:
    """Solve a positive definite system; None where rounding has made it another."""
    if not len(right):
        return right
    _, solution, info = lapack.dposv(matrix, right, lower=1)
    return solution if info == 0 and np.isfinite(solution).all() else None


def _tiled(strength: NDArray, times: int) -> NDArray:
    return strength if times == 1 else np.tile(strength, times)
