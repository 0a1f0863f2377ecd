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
from gdregress.problem.systems import Factor
from gdregress.problem.terms import Terms
from gdregress.rows.moments import Moments

VISIBLE = 1e-8
"""Relative rounding error of a held-out error from which it is computed from the rows instead of their moments."""

PRECISE = 1e-9
"""Largest estimated relative error of a minimiser, in standard deviations, with which the moments replace the rows.

Where `tol` is less, it is `tol`.
"""

STACKED = 2**16
"""Entries of the matrices of several strengths that are solved at a time."""

FEW_ENTRIES = 2**10
"""Entries of such matrices that take no longer than the Python around them."""

WORTH_CHOLESKY = 48
"""Number of columns from which a Cholesky factor of each matrix takes less time than LU factors of a stack."""

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
        """Covariances of X, and of y and X, in the coordinates `standard`."""
        return self.standard.covariances(self.moments), self.standard.target_covariances(self.moments).T


@dataclass(frozen=True)
class MinimaOfSets:
    """The minimisers over several sets of rows, side by side.

    Without L1 and `positive` they come from one eigenbasis of each set, else from one strength to the next.

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
        """Return the minimisers over each set; None if one of them cannot be computed from moments as precisely.

        Parameters
        ----------
        terms : Terms
            Squared error, with the penalty of strength 1.
        alphas : ndarray of shape (n_penalties,)
            Strengths, best given from the strongest to the weakest.
        """
        if terms.has_prox:
            return self._paths_with_kinks(terms, alphas)
        strengths = self.strengths(terms, alphas)
        points = None if strengths is None else self.ridge.minimisers(strengths)
        if points is None:
            return None
        if self.sets[0].fit_intercept:
            points = np.concatenate([points, np.zeros_like(points[:, :1])], axis=1)
        return [Path(each.alike, of_set) for each, of_set in zip(self.sets, points, strict=True)]

    def _paths_with_kinks(self, terms: Terms, alphas: NDArray) -> list[Path] | None:
        """Return the minimisers over each set with L1 or signs, each from the last."""
        precise, programs = self.sets[0].precise, Programs.of(self.sets, terms)
        found = programs.paths(alphas)
        if not programs.are_solved(found, alphas, precise):
            return None
        n_outputs = len(found) // len(self.sets)
        for number, points in enumerate(found):

            def has_digits(alpha: float, active: NDArray, number: int = number) -> bool:
                inflation = programs.inflation(number, alpha, active)
                return self.sets[number // n_outputs].moments.error(inflation) <= precise

            # Fewer columns and more L2 inflate less: each point is looked at only where the columns of all do too much.
            if not has_digits(alphas.min(), points.any(axis=1)) and not all(map(has_digits, alphas, points.T != 0)):
                return None
        of_sets = found.reshape(len(self.sets), n_outputs, -1, len(alphas)).transpose(0, 2, 3, 1)
        if self.sets[0].fit_intercept:
            of_sets = np.concatenate([of_sets, np.zeros_like(of_sets[:, :1])], axis=1)
        return [Path(each.standard, points) for each, points in zip(self.sets, of_sets, strict=True)]


class Programs(NamedTuple):
    """Minimise ``z' G z / 2 - q . z + a (l1 . |z| + l2 . z^2 / 2)`` for several strengths a: programs side by side.

    Attributes
    ----------
    products : ndarray of shape (n_programs, n_features, n_features)
        G.
    joint : ndarray of shape (n_programs, n_features)
        q.
    l1, l2 : ndarray of shape (n_programs, n_features)
        The penalty of strength 1.
    moves : ndarray of bool, of shape (n_programs, n_features)
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

    @classmethod
    def of(cls, sets: Sequence[Minima], terms: Terms) -> "Programs":
        """Return the programs of all sets, one for each output of a set, in the coordinates `Minima.standard`."""
        joint = [each.covariances[1] for each in sets]
        second = [each.covariances[0] for each, rho in zip(sets, joint, strict=True) for _ in rho]
        moves = [each.standard.inverse_scale > 0 for each, rho in zip(sets, joint, strict=True) for _ in rho]
        penalties = [terms.penalty_in(each.standard) for each in sets]
        l1, l2 = (np.concatenate(each) for each in zip(*((one.l1.T, one.l2.T) for one in penalties), strict=True))
        return cls(2.0 * np.stack(second), 2.0 * np.concatenate(joint), l1, l2, np.stack(moves), terms.positive)

    def curvatures(self, alpha: float, which: NDArray) -> NDArray:
        """Return the second derivatives of some smooth parts for a strength; 1 for a column that does not vary."""
        curvatures = self.products[which]
        _diagonal(curvatures)[:] += np.where(self.moves[which], alpha * self.l2[which], 1.0)
        return curvatures

    def inflation(self, which: int, alpha: float, active: NDArray) -> float:
        """Return the inflation of some columns of a program for a strength: see `Factor.inflation`."""
        if not active.any():
            return 0.0
        [curvature] = self.curvatures(alpha, np.array([which]))
        return Factor.of(curvature[active][:, active]).inflation

    def paths(self, alphas: NDArray) -> NDArray:
        """Return the minimisers, of shape (n_programs, n_features, n_alphas): those of the same signs at once.

        With A the columns that are not zero and s their signs, ``z_A = (G_AA + a l2_A)^-1 (q_A - a l1_A s)`` is the
        minimum as long as it has these signs and no other column violates its condition (Osborne, Presnell and
        Turlach, 2000). At the first strength for which that is not so, the columns that violate their conditions join
        and those of other signs leave. Where a few such changes do not find the signs, the active-set method does,
        from the minimum of the last strength. All programs take such a step at a time, each from where it is.

        Parameters
        ----------
        alphas : ndarray of shape (n_alphas,)
            Strengths.
        """
        n_programs, p = self.joint.shape
        points, sign = np.zeros((n_programs, len(alphas), p)), self._first_signs(alphas[0])
        still, programs = np.arange(n_programs), self
        place, n_changes = np.zeros((2, n_programs), np.intp)
        # On a line all strengths cost what one does.
        most = max(1, STACKED // (n_programs * p**2)) if self.l2.any() else len(alphas)
        fewest = min(most, max(1, FEW_ENTRIES // p**2))
        ahead = fewest
        while len(still):
            number = np.minimum(place[:, np.newaxis] + np.arange(ahead), len(alphas) - 1)
            along = alphas[number][:, :, np.newaxis]
            solved, is_lost = programs._of_signs(sign, along), np.ones(len(still), bool)
            if solved is not None:
                found, pulls = solved
                points[still[:, np.newaxis], number] = found  # those for which the signs are wrong are found again
                wrong = programs._kinks(along).wrong(sign[:, np.newaxis], found, pulls)
                is_other = np.any(wrong, axis=2)
                n_found = np.where(is_other.any(axis=1), is_other.argmax(axis=1), ahead)
                [ended] = (n_found < ahead).nonzero()
                at = ended, n_found[ended]
                sign[ended] = exchanged(sign[ended], wrong[at], pulls[at])
                place += n_found
                ahead = min(most, max(fewest, 2 * int(n_found.max())))
                n_changes = np.where(n_found > 0, 0, n_changes + 1)
                is_lost = n_changes >= CHANGES
            for lost in np.flatnonzero(is_lost).tolist():
                which, here = still[lost], place[lost]
                start = points[which, here - 1] if here > 0 else np.zeros(p)
                point = points[which, here] = self._minimum(which, alphas[here], start)
                sign[lost], n_changes[lost], place[lost] = np.sign(point), 0, here + 1
            is_open = place < len(alphas)
            if not is_open.all():
                still, programs = still[is_open], programs.some(is_open)
                sign, place, n_changes = sign[is_open], place[is_open], n_changes[is_open]
        return points.transpose(0, 2, 1)

    def some(self, which: NDArray) -> "Programs":
        """Return some of the programs."""
        products, joint, l1, l2, moves = (
            each[which] for each in (self.products, self.joint, self.l1, self.l2, self.moves)
        )
        return Programs(products, joint, l1, l2, moves, self.positive)

    def _kinks(self, alphas: NDArray) -> Kinks:
        """Return the kinks for strengths of shape (n_programs, n_alphas, 1)."""
        l1 = self.l1[:, np.newaxis]
        return Kinks(alphas * l1, (l1 == 0) & (not self.positive), self.positive)

    def _minimum(self, which: int, alpha: float, start: NDArray) -> NDArray:
        """Return the minimiser of a program for a strength by the active-set method."""
        [curvature] = self.curvatures(alpha, np.array([which]))
        kinks = Kinks.of(alpha * self.l1[which], len(start), positive=self.positive)
        return start + step_to_minimum(curvature, curvature @ start - self.joint[which], kinks, start)

    def _first_signs(self, alpha: float) -> NDArray:
        """Return signs to begin with: those of the minimum without L1, where L1 holds less than half of the columns."""
        sign, pull = np.zeros_like(self.joint), self.joint if self.positive else np.abs(self.joint)
        [held_by_few] = (2 * np.count_nonzero(pull > alpha * self.l1, axis=1) > pull.shape[1]).nonzero()
        curvatures = self.curvatures(alpha, held_by_few)
        for which, curvature in zip(held_by_few.tolist(), curvatures, strict=True):
            _, point, info = lapack.dposv(curvature, self.joint[which, :, np.newaxis], lower=1)
            sign[which] = 0.0 if info else np.sign(point[:, 0])
        return np.maximum(sign, 0.0) if self.positive else sign

    def _of_signs(self, sign: NDArray, alphas: NDArray) -> tuple[NDArray, NDArray] | None:
        """Return z for each strength, and ``q - G z``, of shape (n_programs, n_alphas, n_features).

        None if a matrix G_AA is singular. Without L2 the minimisers of all strengths are on one line.

        Parameters
        ----------
        sign : ndarray of shape (n_programs, n_features)
            The signs.
        alphas : ndarray of shape (n_programs, n_alphas, 1)
            The strengths.
        """
        columns = np.flatnonzero(sign.any(axis=0))
        n_programs, n_alphas = alphas.shape[:2]
        among, is_active = self.products.take(columns, axis=1), sign[:, columns] != 0
        matrices = among.take(columns, axis=2)
        joint, l2, l1 = self.joint[:, columns], self.l2[:, columns], self.l1[:, columns] * sign[:, columns]
        if not is_active.all():  # a program without one of the columns has a 1 there
            matrices *= is_active[:, :, np.newaxis] & is_active[:, np.newaxis]
            _diagonal(matrices)[:] += ~is_active
            joint, l2 = np.where(is_active, joint, 0.0), np.where(is_active, l2, 0.0)
        if self.l2.any():
            several = np.repeat(matrices[:, np.newaxis], n_alphas, axis=1)
            _diagonal(several)[:] += alphas * l2[:, np.newaxis]
            right = joint[:, np.newaxis] - alphas * l1[:, np.newaxis]
            ends = _solved(several, right[:, :, :, np.newaxis])
            solved = None if ends is None else ends[:, :, :, 0]
        else:
            ends = _solved(matrices, np.array([joint, l1]).transpose(1, 2, 0))
            solved = None if ends is None else ends[:, np.newaxis, :, 0] - alphas * ends[:, np.newaxis, :, 1]
        if solved is None:
            return None
        points = np.zeros((n_programs, n_alphas, sign.shape[1]))
        points[:, :, columns] = solved
        return points, self.joint[:, np.newaxis] - solved @ among

    def are_solved(self, points: NDArray, alphas: NDArray, precise: float) -> bool:
        """Return whether the shortest subgradient at each point is zero, up to a share of the largest q."""
        l1, l2 = (np.outer(each, alphas) for each in (self.l1, self.l2))
        penalty, pull = Penalty(l1, l2, self.positive), self.products @ points - self.joint[:, :, np.newaxis]
        below = points.reshape(l1.shape)  # one program below the other
        left = np.abs(penalty.residual(below, pull.reshape(l1.shape) + penalty.gradient(below)))[self.moves.ravel()]
        most = np.broadcast_to(precise * np.abs(self.joint).max(axis=1, initial=0.0, keepdims=True), self.joint.shape)
        return bool((left <= most[self.moves][:, np.newaxis]).all())


def _solved(matrices: NDArray, right: NDArray) -> NDArray | None:
    """Return the solutions of positive definite systems, whose matrices are lost; None if one of these is singular."""
    size = matrices.shape[-1]
    if size < WORTH_CHOLESKY:
        try:
            return np.linalg.solve(matrices, right)
        except np.linalg.LinAlgError:
            return None
    solutions = np.empty_like(right)
    of_each = zip(*(each.reshape(-1, *each.shape[-2:]) for each in (matrices, right, solutions)), strict=True)
    for matrix, columns, solution in of_each:
        # A symmetric matrix is its own transpose, of which LAPACK needs no copy.
        _, solution[:], info = lapack.dposv(matrix.T, columns, lower=1, overwrite_a=1)
        if info:
            return None
    return solutions


def _diagonal(matrices: NDArray) -> NDArray:
    """Return the diagonals of matrices, to be changed in place."""
    return np.einsum("...ii->...i", matrices)
