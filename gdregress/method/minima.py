"""Minimisers of squared error for a sequence of penalties, from moments."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gdregress.method.active_set import Kinks, step_to_minimum
from gdregress.method.ridge import Ridge, covariances
from gdregress.problem.coordinates import Coordinates
from gdregress.problem.objectives import MomentObjective
from gdregress.problem.problem import Terms
from gdregress.rows.moments import Moments

VISIBLE = 1e-8
"""Relative rounding error of a held-out error from which it is computed from the rows instead of their moments."""

PRECISE = 1e-9
"""Largest estimated relative error of a minimiser, in standard deviations, with which the moments replace the rows."""


class Path(NamedTuple):
    """Points for a sequence of penalties.

    Attributes
    ----------
    coordinates : Coordinates
        Their coordinates.
    points : ndarray of shape (n_coordinates, n_penalties, n_outputs)
        The points.
    """

    coordinates: Coordinates
    points: NDArray

    def raw(self) -> "Path":
        """Return the same points in raw coordinates."""
        coef, intercept = self.coordinates.to_raw(self.points)
        level = [intercept[np.newaxis]] if self.coordinates.fit_intercept else []
        plain = Coordinates.plain(len(coef), coef.shape[2], fit_intercept=self.coordinates.fit_intercept)
        return Path(plain, np.concatenate([coef, *level]).astype(np.float64))

    def followed_by(self, other: Any) -> "Path":
        """Return this path with another at its end, in raw coordinates."""
        one, two = self.raw(), other.raw()
        return Path(one.coordinates, np.concatenate([one.points, two.points], axis=1))

    def errors(self, test: Moments) -> NDArray | None:
        """Return the mean squared errors on test rows, of shape (n_penalties, n_outputs), from their moments.

        With the coordinates centred at the means of the training rows, it is the quadratic form of `MomentObjective`.
        It is None where rounding would show in it, because the error is a tiny share of the variance of y.

        Parameters
        ----------
        test : Moments
            Moments of the test rows, about the mean.
        """
        coordinates = self.coordinates
        about = test if coordinates.fit_intercept else test.about_origin()
        objective = MomentObjective(about, coordinates, coordinates.penalty(0.0, 0.0))
        [here] = objective.evaluate([self.points.reshape(len(self.points), -1)])
        value = here.value.reshape(self.points.shape[1:])
        if (objective.noise > VISIBLE * value).any():
            return None
        return value * coordinates.target_scale**2


@dataclass(frozen=True)
class Minima:
    """The minimisers of squared error plus penalties, over rows that are known by their moments.

    Without L1 and `positive` all come from one eigenbasis. Otherwise each is the start of the next.

    Attributes
    ----------
    moments : Moments
        Moments of the rows with covariances; about the origin for a model without intercept.
    penalized : float or ndarray of shape (n_features,)
        Units of X in which coefficients are penalised.
    fit_intercept : bool
        Whether there is an intercept.
    """

    moments: Moments
    penalized: NDArray | float
    fit_intercept: bool

    @classmethod
    def of(cls, terms: Terms, moments: Moments) -> "Minima":
        """Return the minimisers, given the terms of the objective and the moments about the mean."""
        about = moments if terms.fit_intercept else moments.about_origin()
        return cls(about, terms.units(moments), terms.fit_intercept)

    def path(self, terms: Terms, alphas: NDArray) -> Path | None:
        """Return the minimisers for several strengths of a penalty, best given from the strongest to the weakest.

        Parameters
        ----------
        terms : Terms
            Squared error, with the penalty of strength 1.
        alphas : ndarray of shape (n_penalties,)
            Strengths.

        Returns
        -------
        Path or None
            None if one of the minimisers cannot be computed from moments to a relative error of `PRECISE`.
        """
        path = self._with_prox(terms, alphas) if terms.has_prox else self._smooth(terms, alphas)
        if path is None or not self.fit_intercept:
            return path
        level = np.zeros((1, *path.points.shape[1:]))
        return path._replace(points=np.concatenate([path.points, level]))

    @cached_property
    def _standard(self) -> Coordinates:
        """Coordinates with the standard deviations as scales."""
        return Coordinates.unit_curvature(
            self.moments, alpha=0.0, fit_intercept=self.fit_intercept, penalized=self.penalized
        )

    @cached_property
    def _alike(self) -> Coordinates:
        """Coordinates in which the penalty is the same for each coefficient, and no column is longer than 1."""
        moves, scale = self._standard.inverse_scale > 0, self._standard.scale / self.penalized
        alike = (scale.max(initial=0.0) or 1.0) * self.penalized
        inverse_scale = np.where(moves, 1.0 / alike, 0.0)
        return replace(self._standard, scale=np.where(moves, alike, 0.0), inverse_scale=inverse_scale)

    @cached_property
    def _ridge(self) -> Ridge:
        return Ridge.of(self.moments, self._alike)

    def _smooth(self, terms: Terms, alphas: NDArray) -> Path | None:
        """Return the minimisers without the row of the intercept."""
        strengths = alphas * terms.penalty_in(self._alike).l2.max(initial=0.0) / 2
        if not np.isfinite(strengths).all() or self._ridge.error(strengths.min()) > PRECISE:
            return None
        points = self._ridge.minimisers(strengths)
        return None if points is None else Path(self._alike, points)

    def _with_prox(self, terms: Terms, alphas: NDArray) -> Path | None:
        """Return the minimisers without the row of the intercept."""
        second, joint = covariances(self.moments, self._standard)
        whole, moves = terms.penalty_in(self._standard), self._standard.inverse_scale > 0
        points = np.zeros((len(joint), len(alphas), joint.shape[1]))
        for output, rho in enumerate(joint.T):
            here = np.zeros(len(rho))
            for place, alpha in enumerate(alphas):
                penalty = replace(whole, l1=alpha * whole.l1, l2=alpha * whole.l2)
                curvature = 2.0 * second
                curvature.flat[:: len(curvature) + 1] += np.where(moves, penalty.l2[:, output], 1.0)
                kinks = Kinks.of(penalty.l1[:, output], len(rho), positive=penalty.positive)
                here = here + step_to_minimum(curvature, curvature @ here - 2.0 * rho, kinks, here)
                points[:, place, output] = here
            if self.moments.error(_inflation(curvature, here != 0)) > PRECISE:  # the last point has the most columns
                return None
        return Path(self._standard, points)


def _inflation(curvature: NDArray, is_active: NDArray) -> float:
    """Return the factor by which solving for the active coordinates enlarges a relative error."""
    active = curvature[np.ix_(is_active, is_active)]
    scale = np.sqrt(np.diagonal(active))
    curvatures = np.linalg.eigvalsh(active / np.outer(scale, scale))
    smallest = curvatures.min(initial=1.0)
    return float((1.0 / curvatures).sum()) if smallest > 0 else float("inf")
