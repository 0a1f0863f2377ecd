"""Minimisers of squared error for a sequence of penalties, from moments."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from gdregress.method.active_set import Kinks, exchanged, step_to_minimum
from gdregress.method.ridge import Ridge
from gdregress.problem.coordinates import Coordinates
from gdregress.problem.objectives import MomentObjective
from gdregress.problem.penalties import Penalty
from gdregress.problem.problem import Terms
from gdregress.problem.systems import Factor
from gdregress.rows.moments import Moments

VISIBLE = 1e-8
"""Relative rounding error of a held-out error from which it is computed from the rows instead of their moments."""

PRECISE = 1e-9
"""Largest estimated relative error of a minimiser, in standard deviations, with which the moments replace the rows.

Where `tol` is less, it is `tol`.
"""

STACKED = 2**16
"""Entries of the matrices of several strengths that are solved at a time."""

FEW = 2**10
"""Entries of such matrices that take no longer than the Python around them."""

CHANGES = 6
"""Number of sets of signs that are tried along a path before the minimum is looked for by the active-set method."""


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

    def errors(self, test: Moments) -> NDArray | None:
        """Return the mean squared errors on test rows, of shape (n_penalties, n_outputs), from their moments.

        With the coordinates centred at the means of the training rows, it is the quadratic form of `MomentObjective`.
        It is None where rounding would show in it, because the error is a tiny share of its terms: coefficients of
        nearly collinear columns cancel, and so do those of columns far from zero without an intercept.

        Parameters
        ----------
        test : Moments
            Moments of the test rows, about the mean.
        """
        coordinates = self.coordinates
        about = test if coordinates.fit_intercept else test.about_origin()
        objective = MomentObjective(about, coordinates, coordinates.penalty(0.0, 0.0))
        several = self.points.reshape(len(self.points), -1)
        [value] = objective.values([several])
        value = value.reshape(self.points.shape[1:])
        # |z|' |R| |z| is at most the square of sum |z_j| sqrt(R_jj), with R about the centre.
        scale = np.hypot(about.x.deviation, about.x.mean - coordinates.center) * coordinates.inverse_scale
        terms = np.square(scale @ np.abs(several[: len(scale)])).reshape(value.shape)
        if (objective.noise + np.finfo(np.float64).eps * terms > VISIBLE * value).any():
            return None
        return value * coordinates.target_scale**2


class Chained(NamedTuple):
    """Paths over the same rows, one after the other, in raw coordinates.

    Attributes
    ----------
    parts : sequence of Path or the like
        The paths, each with `coordinates` and `points`.
    """

    parts: Sequence[Any]

    @property
    def coordinates(self) -> Coordinates:
        """The raw coordinates."""
        first = self.parts[0].coordinates
        return Coordinates.plain(len(first.center), len(first.target_scale), fit_intercept=first.fit_intercept)

    @property
    def points(self) -> NDArray:
        """The points, of shape (n_coordinates, n_points, n_outputs)."""
        several = []
        for part in self.parts:
            coef, intercept = part.coordinates.to_raw(part.points)
            level = [intercept[np.newaxis]] if part.coordinates.fit_intercept else []
            several.append(np.concatenate([coef, *level]).astype(np.float64))
        return np.concatenate(several, axis=1)


@dataclass(frozen=True)
class Minima:
    """The minimisers of squared error plus penalties, over rows that are known by their moments.

    Attributes
    ----------
    moments : Moments
        Moments of the rows with covariances; about the origin for a model without intercept.
    penalized : float or ndarray of shape (n_features,)
        Units of X in which coefficients are penalised.
    fit_intercept : bool
        Whether there is an intercept.
    precise : float
        Largest estimated relative error of a minimiser, in standard deviations.
    """

    moments: Moments
    penalized: NDArray | float
    fit_intercept: bool
    precise: float

    @classmethod
    def of(cls, terms: Terms, moments: Moments, tol: float = PRECISE) -> "Minima":
        """Return the minimisers, given the terms of the objective, the moments about the mean, and `tol` of a fit."""
        about = moments if terms.fit_intercept else moments.about_origin()
        return cls(about, terms.units(moments), terms.fit_intercept, min(PRECISE, tol))

    @cached_property
    def standard(self) -> Coordinates:
        """Coordinates with the standard deviations as scales."""
        return Coordinates.unit_curvature(
            self.moments, alpha=0.0, fit_intercept=self.fit_intercept, penalized=self.penalized
        )

    @cached_property
    def alike(self) -> Coordinates:
        """Coordinates in which the penalty is the same for each coefficient, and no column is longer than 1."""
        deviation = self.moments.x.deviation
        moves = (deviation >= np.finfo(np.float64).tiny) & np.isfinite(deviation)
        longest = (deviation / self.penalized).max(initial=0.0, where=moves) or 1.0
        scale = np.where(moves, longest * self.penalized, 0.0)
        return Coordinates.centred(self.moments, scale, fit_intercept=self.fit_intercept, penalized=self.penalized)

    @cached_property
    def covariances(self) -> tuple[NDArray, NDArray]:
        """Covariances of X, and of X and y, in the coordinates `standard`."""
        return self.standard.covariances(self.moments), self.standard.target_covariances(self.moments)

    def path(self, terms: Terms, alphas: NDArray) -> Path | None:
        """Return the minimisers for several strengths of L1 or with signs, each from the last.

        Parameters
        ----------
        terms : Terms
            Squared error, with the penalty of strength 1.
        alphas : ndarray of shape (n_penalties,)
            Strengths, best given from the strongest to the weakest.

        Returns
        -------
        Path or None
            None if one of the minimisers cannot be computed from moments as precisely.
        """
        second, joint = self.covariances
        whole, moves = terms.penalty_in(self.standard), self.standard.inverse_scale > 0
        points = np.zeros((len(joint) + self.fit_intercept, len(alphas), joint.shape[1]))
        for output, rho in enumerate(joint.T):
            program = Program(2.0 * second, 2.0 * rho, whole.l1[:, output], whole.l2[:, output], moves, whole.positive)
            found = points[: len(joint), :, output] = program.path(alphas)
            if not program.is_solved(found, alphas, self.precise):
                return None
            active = np.flatnonzero(found[:, -1])  # the last point has the most columns
            curvature = program.curvature(alphas[-1])[active[:, np.newaxis], active]
            if len(active) and self.moments.error(Factor.of(curvature).inflation) > self.precise:
                return None
        return Path(self.standard, points)


@dataclass(frozen=True)
class MinimaOfSets:
    """The minimisers over several sets of rows: without L1 and `positive` side by side, from one eigenbasis of each.

    Attributes
    ----------
    sets : sequence of Minima
        The minimisers over each set.
    computed : list of Ridge
        The eigenbases, once they have been computed.
    """

    sets: Sequence[Minima]
    computed: list[Ridge] = field(default_factory=list)

    @property
    def ridge(self) -> Ridge:
        """The eigenbases."""
        # A `cached_property` of Python 3.11 has a lock, for which the threads of other splits would wait.
        if not self.computed:
            self.computed.append(Ridge.of([(each.moments, each.alike) for each in self.sets]))
        return self.computed[0]

    def strengths(self, terms: Terms, alphas: NDArray) -> NDArray | None:
        """Return the strengths in the coordinates of each set; None if a minimiser would not be precise.

        Parameters
        ----------
        terms : Terms
            Squared error, with L2 of strength 1 or no penalty.
        alphas : ndarray of shape (n_penalties,)
            Strengths.
        """
        longest = np.array([(each.penalized * each.alike.inverse_scale).max(initial=0.0) for each in self.sets])
        strengths = np.outer(np.square(np.sqrt(terms.l2) * longest) / 2, alphas)
        is_known = np.isfinite(strengths).all() and self.ridge.is_precise(strengths.min(axis=1), self.sets[0].precise)
        return strengths if is_known else None

    def paths(self, terms: Terms, alphas: NDArray) -> list[Path] | None:
        """Return the minimisers over each set, as `Minima.path` does; None if one of them is not precise."""
        if terms.has_prox:
            found = [each.path(terms, alphas) for each in self.sets]
            paths = [path for path in found if path is not None]
            return paths if len(paths) == len(found) else None
        strengths = self.strengths(terms, alphas)
        points = None if strengths is None else self.ridge.minimisers(strengths)
        if points is None:
            return None
        if self.sets[0].fit_intercept:
            points = np.concatenate([points, np.zeros_like(points[:, :1])], axis=1)
        return [Path(each.alike, of_set) for each, of_set in zip(self.sets, points, strict=True)]


class Program(NamedTuple):
    """Minimise ``z' G z / 2 - q . z + a (l1 . |z| + l2 . z^2 / 2)``, for one output and several strengths a.

    Attributes
    ----------
    products : ndarray of shape (n_features, n_features)
        G.
    joint : ndarray of shape (n_features,)
        q.
    l1, l2 : ndarray of shape (n_features,)
        The penalty of strength 1.
    moves : ndarray of bool, of shape (n_features,)
        Whether a column varies.
    positive : bool
        Whether z must not be negative.
    """

    products: NDArray
    joint: NDArray
    l1: NDArray
    l2: NDArray
    moves: NDArray
    positive: bool

    def curvature(self, alpha: float) -> NDArray:
        """Return the second derivatives of the smooth part for a strength; 1 for a column that does not vary."""
        curvature = self.products.copy()
        curvature.flat[:: len(curvature) + 1] += np.where(self.moves, alpha * self.l2, 1.0)
        return curvature

    def path(self, alphas: NDArray) -> NDArray:
        """Return the minimisers, of shape (n_features, n_alphas): those of the same signs at once, each from the last.

        With A the columns that are not zero and s their signs, ``z_A = (G_AA + a l2_A)^-1 (q_A - a l1_A s)`` is the
        minimum as long as it has these signs and no other column violates its condition (Osborne, Presnell and
        Turlach, 2000). At the first strength for which that is not so, the columns that violate their conditions join
        and those of other signs leave. Where a few such changes do not find the signs, the active-set method does.

        Parameters
        ----------
        alphas : ndarray of shape (n_alphas,)
            Strengths.
        """
        p = len(self.joint)
        points, sign, place, n_changes = np.zeros((len(alphas), p)), self._first_signs(alphas[0]), 0, 0
        kinks = Kinks.of(self.l1, p, positive=self.positive)
        # On a line all strengths cost what one does.
        most = max(1, STACKED // p**2) if self.l2.any() else len(alphas)
        fewest = min(most, max(1, FEW // p**2))
        ahead = fewest
        while place < len(alphas):
            along, n_found = alphas[place : place + ahead], 0
            solved = self._of_signs(sign, along) if n_changes < CHANGES else None
            if solved is not None:
                found, pulls = solved
                wrong = kinks._replace(l1=along[:, np.newaxis] * self.l1).wrong(sign, found, pulls)
                is_other = wrong.any(axis=1)
                n_found = int(is_other.argmax()) if is_other.any() else len(along)
                points[place : place + n_found] = found[:n_found]
                place += n_found
                n_changes = 0 if n_found else n_changes + 1
                ahead = min(most, max(fewest, 2 * n_found))
                if n_found < len(along):
                    sign = exchanged(sign, wrong[n_found], pulls[n_found])
            else:
                here, curvature = points[max(place - 1, 0)], self.curvature(alphas[place])
                strengths = kinks._replace(l1=alphas[place] * self.l1)
                points[place] = here + step_to_minimum(curvature, curvature @ here - self.joint, strengths, here)
                sign, n_changes, place = np.sign(points[place]), 0, place + 1
        return points.T

    def _first_signs(self, alpha: float) -> NDArray:
        """Return signs to begin with: those of the minimum without L1, where L1 holds less than half of the columns."""
        pull, none = self.joint if self.positive else np.abs(self.joint), np.zeros(len(self.joint))
        if 2 * np.count_nonzero(pull > alpha * self.l1) <= len(pull):
            return none
        _, point, info = lapack.dposv(self.curvature(alpha), self.joint[:, np.newaxis], lower=1)
        sign = none if info else np.sign(point[:, 0])
        return np.maximum(sign, 0.0) if self.positive else sign

    def _of_signs(self, sign: NDArray, alphas: NDArray) -> tuple[NDArray, NDArray] | None:
        """Return z for each strength, of shape (n_alphas, n_features), and ``q - G z``; None if G_AA is singular.

        Without L2 the minimisers of all strengths are on one line.
        """
        [active], points, strength = sign.nonzero(), np.zeros((len(alphas), len(sign))), alphas[:, np.newaxis]
        second, joint = self.products[active[:, np.newaxis], active], self.joint[active]
        l1, l2 = self.l1[active] * sign[active], self.l2[active]
        if l2.any():
            curvatures = second + strength[:, :, np.newaxis] * np.diag(l2)
            try:
                solved = np.linalg.solve(curvatures, (joint - strength * l1)[:, :, np.newaxis])[:, :, 0]
            except np.linalg.LinAlgError:
                return None
        elif len(active):
            _, ends, info = lapack.dposv(second, np.array([joint, l1]).T, lower=1)
            if info:
                return None
            solved = ends[:, 0] - strength * ends[:, 1]
        else:
            return points, np.repeat(self.joint[np.newaxis], len(alphas), axis=0)
        points[:, active] = solved
        return points, self.joint - solved @ self.products[active]

    def is_solved(self, points: NDArray, alphas: NDArray, precise: float) -> bool:
        """Return whether the shortest subgradient at each point is zero, up to a share of the largest q."""
        penalty = Penalty(np.outer(self.l1, alphas), np.outer(self.l2, alphas), self.positive)
        gradient = self.products @ points - self.joint[:, np.newaxis] + penalty.gradient(points)
        left = np.abs(penalty.residual(points, gradient))[self.moves]
        return bool((left <= precise * np.abs(self.joint).max(initial=0.0)).all())
