"""Squared error with L2, with each row left out in turn: from one eigenbasis of all rows."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gdregress.method.minima import VISIBLE, MinimaOfSets
from gdregress.method.ridge import Eigendecompositions
from gdregress.problem.coordinates import Coordinates
from gdregress.problem.terms import Terms
from gdregress.rows.memory import RowBlocks

LEVERAGE = 1e-6
"""Least value of 1 - h at which a residual of a row that is left out is divided by it."""


@dataclass(frozen=True)
class LeftOut:
    """The minimisers for several strengths a of L2, with each row left out in turn.

    With R = Q diag(lambda) Q' the covariances of X and rho those of X and y over all rows, x_i, y_i a row about the
    means and s_i its share of the weights, the share of the strength that is left without the row is a_i = a (1 - s_i),
    and::

        r_i  =  y_i - x_i . Q (Q' rho / (lambda + a_i))
        h_i  =  s_i (1 + sum (Q' x_i)^2 / (lambda + a_i))
        e_i  =  r_i / (1 - h_i)                                          the residual of the row that is left out
        z_i  =  Q (Q' rho - s_i e_i Q' x_i) / (lambda + a_i),   c_i = -s_i e_i     the minimiser without it

    Without an intercept the means are zero, and the 1 in h_i and c_i are missing (Allen, 1974; Golub, Heath and Wahba,
    1979).

    Attributes
    ----------
    coordinates : Coordinates
        Coordinates in which the penalty is the same for each coefficient.
    along : ndarray of shape (n_samples, n_features)
        Q' x_i.
    target : ndarray of shape (n_samples, n_outputs)
        y_i.
    share : ndarray of shape (n_samples,)
        s_i.
    curvature : ndarray of shape (n_features,)
        lambda.
    joint : ndarray of shape (n_features, n_outputs)
        Q' rho.
    basis : ndarray of shape (n_features, n_features)
        Q.
    strengths : ndarray of shape (n_strengths,)
        a.
    noise : ndarray of shape (n_samples,)
        Size of what is subtracted to make Q' x_i, in units of its rounding.
    """

    coordinates: Coordinates
    along: NDArray
    target: NDArray
    share: NDArray
    curvature: NDArray
    joint: NDArray
    basis: NDArray
    strengths: NDArray
    noise: NDArray

    @classmethod
    def of(cls, minima: MinimaOfSets, rows: RowBlocks, terms: Terms, alphas: NDArray) -> "LeftOut | None":
        """Return the minimisers; None if moments are not precise enough for one of the strengths.

        Parameters
        ----------
        minima : MinimaOfSets
            The minimisers over all rows.
        rows : RowBlocks
            All rows, each of positive weight.
        terms : Terms
            Squared error, with L2 of strength 1 on coefficients in raw units, or no penalty.
        alphas : ndarray of shape (n_strengths,)
            Strengths.
        """
        found = minima.strengths(terms, alphas)
        if found is None:
            return None
        [strengths], ridge, coordinates = found, minima.ridge, minima.sets[0].alike
        ([curvature], [vectors]), [joint] = Eigendecompositions.of(ridge.second), ridge.joint
        share = np.full(rows.n_samples, 1.0 / rows.n_samples)
        if rows.weight is not None:
            share = rows.weight / rows.total_weight
        if not ridge.has_digits(found * (1.0 - share.max())).all():
            return None
        raw = vectors * coordinates.inverse_scale[:, np.newaxis]
        level = coordinates.center @ raw
        along = np.asarray(rows.X @ raw) - level
        joint = vectors.T @ joint
        # Q' x_i has the rounding of the terms that cancel in it, which enters the prediction by the coefficients.
        smallest = float(strengths.min()) * (1.0 - share.max())
        steepest = np.abs(joint / (curvature + smallest)[:, np.newaxis]).max(axis=1)
        noise = (np.abs(along) + np.abs(level)) @ steepest
        return cls(coordinates, along, coordinates.targets(rows.y), share, curvature, joint, vectors, strengths, noise)

    @cached_property
    def residuals(self) -> NDArray | None:
        """e_i, of shape (n_samples, n_strengths, n_outputs).

        None where a row alone decides its prediction, or where rounding would show in their mean square.
        """
        left = np.empty((len(self.along), len(self.strengths), self.joint.shape[1]))
        for place, strength in enumerate(self.strengths):
            inverse = self._inverse(strength, self.share)
            lever = self.share * (self.coordinates.fit_intercept + (np.square(self.along) * inverse).sum(axis=1))
            if not (1.0 - lever > LEVERAGE).all():
                return None
            predicted = (self.along * inverse) @ self.joint
            left[:, place] = (self.target - predicted) / (1.0 - lever)[:, np.newaxis]
            rounding = self.noise[:, np.newaxis] + (np.abs(self.along) * inverse) @ np.abs(self.joint)
            rounding *= np.finfo(np.float64).eps / (1.0 - lever)[:, np.newaxis]
            if (rounding > VISIBLE * np.sqrt(np.mean(np.square(left[:, place]), axis=0))).any():
                return None
        return left

    def points_without(self, row: int) -> NDArray:
        """Return the minimisers without a row, of shape (n_coordinates, n_strengths, n_outputs).

        The residuals of all rows must be known: `residuals` is not None.
        """
        assert self.residuals is not None
        moved = self.share[row] * self.residuals[row]
        points = np.empty((len(self.basis), *moved.shape))
        for place, strength in enumerate(self.strengths):
            [inverse] = self._inverse(strength, self.share[row : row + 1])
            along = self.joint - np.outer(self.along[row], moved[place])
            points[:, place] = self.basis @ (along * inverse[:, np.newaxis])
        return np.concatenate([points, -moved[np.newaxis]]) if self.coordinates.fit_intercept else points

    def _inverse(self, strength: NDArray, share: NDArray) -> NDArray:
        """Return 1 / (lambda + a_i), of shape (n_rows, n_features)."""
        return 1.0 / (self.curvature + strength * (1.0 - share)[:, np.newaxis])


class WithoutRow(NamedTuple):
    """The minimisers without one row, computed where they are asked for.

    Attributes
    ----------
    each : LeftOut
        Those without each row.
    row : int
        Number of the row.
    """

    each: LeftOut
    row: int

    @property
    def coordinates(self) -> Coordinates:
        """Coordinates of the points."""
        return self.each.coordinates

    @property
    def points(self) -> NDArray:
        """The points, of shape (n_coordinates, n_strengths, n_outputs)."""
        return self.each.points_without(self.row)
