"""Plain descent over rows that are known by their moments: its points after any number of epochs, at any rate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gdregress.method.geometric import Eigenbasis, lengths
from gdregress.method.known import FIT_ERROR, Known
from gdregress.method.minima import VISIBLE
from gdregress.method.preconditioners import half
from gdregress.method.rates import CurvatureRate, inverse_curvature, steepest_curvature
from gdregress.problem.coordinates import Coordinates
from gdregress.problem.objectives import Evaluation, MomentObjective
from gdregress.problem.problem import Problem
from gdregress.problem.terms import Terms
from gdregress.rows.moments import Moments
from gdregress.rows.rows import GoneRows

BELOW_THE_CEILING = 1.0 - 1e-9
"""Share of the stability ceiling 2/L up to which a rate cannot diverge, whatever the rounding of L."""

RANGE = 4
"""Binary logarithm of the ratio of the last to the first epoch for which the same times stand, at most."""

STACKED = 2**20
"""Coordinates of the points at which errors are computed at a time: 8 MB."""

LOG_OF_NOTHING = -745.0
"""Logarithm of the smallest positive float."""


@dataclass(frozen=True)
class PlainDescent:
    """Plain descent from zero on a quadratic, in raw coordinates.

    Attributes
    ----------
    problem : Problem
        Squared error, with L2 or no penalty.
    basis : Eigenbasis
        Eigenvectors of its second derivatives.
    start : ndarray of shape (n_coordinates, n_outputs)
        The point of zeros.
    here : Evaluation
        The objective there.
    """

    problem: Problem
    basis: Eigenbasis
    start: NDArray
    here: Evaluation

    @classmethod
    def of(cls, terms: Terms, moments: Moments) -> "PlainDescent | None":
        """Return the descent over rows of some moments; None where the eigenvalues have too few digits.

        Parameters
        ----------
        terms : Terms
            Squared error, with L2 or no penalty.
        moments : Moments
            Moments of the rows about the mean, with covariances.
        """
        standard = Problem.of(terms, moments, GoneRows(moments, np.dtype(np.float64)))
        known, problem = Known.of_spectrum(standard, FIT_ERROR, products=True), standard.in_raw_coordinates()
        if known.spectrum is not None:
            return None
        start = np.zeros((problem.n_coordinates, len(problem.constant_loss)))
        basis = Eigenbasis.of(problem.from_moments(), start, problem.root(known.inverse or half), reliable=0.0)
        return None if basis is None else cls(problem, basis, start, basis.objective.evaluate([start])[0])

    def rate(self, learning_rate: float | str, largest: float) -> float | None:
        """Return the rate that the factors of a schedule multiply; None if an epoch may diverge.

        Parameters
        ----------
        learning_rate : float or {"lipschitz"}
            The rate.
        largest : float
            The largest factor.
        """
        eta = self._lipschitz if isinstance(learning_rate, str) else float(learning_rate)
        return eta if eta * largest * self.basis.curvature[-1] < 2.0 * BELOW_THE_CEILING else None  # the largest

    @cached_property
    def slope(self) -> NDArray:
        """Gradient at the start along the eigenvectors; 0 where rounding alone curves the objective."""
        return np.where(self.basis.is_curved[:, np.newaxis], self.basis.vectors.T @ self.here.gradient, 0.0)

    @property
    def inverse(self) -> NDArray:
        """Inverse eigenvalues; 0 where rounding alone curves the objective."""
        curvature = self.basis.curvature
        return np.divide(1.0, curvature, out=np.zeros_like(curvature), where=self.basis.is_curved)

    @property
    def minimum(self) -> NDArray:
        """The minimum along the eigenvectors, seen from the start."""
        return -self.inverse[:, np.newaxis] * self.slope

    def shares(self, rates: NDArray, times: NDArray, *, alternates: bool) -> NDArray:
        """Return which share of the way to the minimum descents at constant rates have gone at some times.

        It is ``1 - (1 - rate lambda)^t`` along each eigenvector, of shape (n_rates, n_times, n_coordinates), or
        (n_rates, 2 n_times, n_coordinates): then powers of negative numbers are those of even epochs at first, and
        those of odd epochs after them.

        Parameters
        ----------
        rates : ndarray of shape (n_rates,)
            The rates.
        times : ndarray of shape (n_times,)
            The times t.
        alternates : bool
            Whether there are powers of negative numbers.
        """
        share = np.multiply.outer(rates, self.basis.curvature)
        # The logarithm of abs(1 - share), with all its digits where share is tiny.
        decay = np.maximum(np.log1p(np.where(share < 1, -share, share - 2)), LOG_OF_NOTHING)
        gone = times[:, np.newaxis] * decay[:, np.newaxis]
        np.negative(np.expm1(gone, out=gone), out=gone)
        if not alternates:
            return gone
        return np.concatenate([gone, np.where((share > 1)[:, np.newaxis], 2.0 - gone, gone)], axis=1)

    @cached_property
    def _lipschitz(self) -> float:
        return CurvatureRate(inverse_curvature(steepest_curvature(self.problem))).of(self.problem)

    def end(self, rates: NDArray, tol: float) -> int | None:
        """Return the number of epochs after which a fit has converged to `tol`; None if it does not."""
        problem = self.problem
        _, values, decrements = self.basis.ahead(self.start, self.here.gradient, self.here.value, rates)
        first = self.basis.decrement(self.here.gradient)
        of_epochs = np.vstack([first, decrements])
        gap = problem.gap_of_quadratic(of_epochs).total
        is_near = problem.optimality(np.vstack([self.here.value, values]), gap) <= tol
        return int(is_near.argmax()) if is_near.any() else None


class Stretch(NamedTuple):
    """Some epochs of a plain descent.

    Attributes
    ----------
    descent : PlainDescent
        The descent.
    rate : float
        The rate, before the factors multiply it.
    factors : ndarray of shape (n_epochs,)
        The factor of each epoch.
    numbers : ndarray of int64, of shape (n_points,)
        Numbers of epochs after which the points are.
    is_finished : bool
        Whether the descent converges, or has no test whether it does.
    """

    descent: PlainDescent
    rate: float
    factors: NDArray
    numbers: NDArray
    is_finished: bool

    @property
    def is_constant(self) -> bool:
        """Whether all epochs have the same rate."""
        return bool((self.factors == self.factors[0]).all())

    @property
    def first_rate(self) -> float:
        """The rate of the first epoch."""
        return self.rate * float(self.factors[0])

    @property
    def alternates(self) -> bool:
        """Whether the first rate makes the descent jump back and forth along an eigenvector."""
        return bool(self.first_rate * self.descent.basis.curvature[-1] > 1.0)  # the largest is the last

    def points(self) -> NDArray:
        """Return the points, of shape (n_coordinates, n_points, n_outputs)."""
        moved = self.lengths().T[:, :, np.newaxis] * self.descent.slope[:, np.newaxis]
        return -np.tensordot(self.descent.basis.vectors, moved, axes=1)

    def lengths(self) -> NDArray:
        """Return how far along each eigenvector the points are from the start, as a share of the slope there.

        It is the sum of the rates times the shares of the slope that were left, of shape (n_points, n_coordinates).
        """
        basis, rates = self.descent.basis, self.rate * self.factors
        from_start = np.zeros((len(rates) + 1, len(basis.curvature)))
        np.cumsum(lengths(rates, basis.shrunk(rates)), axis=0, out=from_start[1:])
        return from_start[self.numbers]


class EpochPath(NamedTuple):
    """The points of plain descents after some numbers of epochs, computed where they are asked for.

    Attributes
    ----------
    stretches : sequence of Stretch
        Descents over the same rows, one for each strength of L2.
    """

    stretches: Sequence[Stretch]

    @property
    def coordinates(self) -> Coordinates:
        """Coordinates of the points."""
        return self.stretches[0].descent.problem.coordinates

    @property
    def points(self) -> NDArray:
        """The points, of shape (n_coordinates, n_points, n_outputs)."""
        return np.concatenate([stretch.points() for stretch in self.stretches], axis=1)

    @property
    def unfinished(self) -> list[int]:
        """Numbers of the descents that do not converge."""
        return [number for number, stretch in enumerate(self.stretches) if not stretch.is_finished]


class HeldOut(NamedTuple):
    """The mean squared error on test rows as a function of the point of a descent over the training rows.

    Where a point is at u along the eigenvectors, seen from zero, it is ``error at zero + u . G + u' K u``.

    Attributes
    ----------
    zero : ndarray of shape (n_outputs,)
        The error at zero, in the units of the descent.
    gradient : ndarray of shape (n_coordinates, n_outputs)
        G.
    half_second : ndarray of shape (n_coordinates, n_coordinates)
        K.
    rounding : ndarray of shape (n_outputs,)
        Rounding error of an error.
    unit : ndarray of shape (n_outputs,)
        Unit of the errors.
    """

    zero: NDArray
    gradient: NDArray
    half_second: NDArray
    rounding: NDArray
    unit: NDArray

    @classmethod
    def of(cls, descent: PlainDescent, test: Moments) -> "HeldOut":
        """Return the error on test rows, given their moments about the mean."""
        coordinates, vectors = descent.problem.coordinates, descent.basis.vectors
        about = test if coordinates.fit_intercept else test.about_origin()
        objective = MomentObjective(about, coordinates, coordinates.penalty(0.0, 0.0))
        [zero] = objective.evaluate([descent.start])
        half_second = vectors.T @ (0.5 * objective.hessian()) @ vectors
        # Large numbers may cancel at zero, and also as far as twice the minimum, where no descent is farther.
        farthest = np.square(2.0 * descent.minimum).sum(axis=0)
        largest = len(vectors) * zero.value + np.trace(half_second) * farthest
        return cls(
            zero.value,
            vectors.T @ zero.gradient,
            half_second,
            np.finfo(np.float64).eps * largest + objective.noise,
            coordinates.target_scale**2,
        )

    def errors(self, shares: NDArray, along: NDArray) -> NDArray:
        """Return the errors of some points, of shape (n_outputs, n_points).

        Parameters
        ----------
        shares : ndarray of shape (n_points, n_coordinates)
            Where the points are along each eigenvector, seen from zero, as shares of `along`.
        along : ndarray of shape (n_coordinates, n_outputs)
            A point along the eigenvectors.
        """
        errors = np.empty((len(self.zero), len(shares)))
        for output, whole in enumerate(along.T):
            pull = shares @ (self.half_second * np.outer(whole, whole))
            pull += self.gradient[:, output] * whole
            errors[output] = self.zero[output] + np.einsum("ij,ij->i", pull, shares)
        return errors * self.unit[:, np.newaxis]

    def has_digits(self, errors: NDArray) -> NDArray:
        """Return for which points rounding does not show in the errors, which are of shape (n_outputs, n_points)."""
        return ((self.rounding * self.unit)[:, np.newaxis] <= VISIBLE * errors).all(axis=0)


class Times(NamedTuple):
    """The times at which errors of a descent at a constant rate are computed, and how those of some epochs follow.

    The error after t epochs is a sum of terms ``c a^t`` with a in (-1, 1). If no a is negative, it is a smooth function
    of t; else that for even t is one, and that for odd t another. It is smooth in ``s = log t`` too: ``a^exp(s)`` is
    bounded where t has a positive real part, and so where the imaginary part of s is below pi / 2. So the polynomial
    in s through n Chebyshev points between epochs T_0 and T_1 stands for all epochs between. With the ellipse of this
    height, each point divides its error by ``rho = b + sqrt(b^2 + 1)``, where ``b = pi / log(T_1 / T_0)`` (Trefethen,
    2019, Approximation Theory and Approximation Practice, section 8).

    Attributes
    ----------
    times : ndarray of shape (n_times,)
        The times, which may be between two epochs.
    is_odd : ndarray of bool, of shape (n_epochs,)
        Whether an epoch is odd.
    parts : list of (slice or ndarray of int, ndarray of shape (n_times_of_part, n_epochs_of_part))
        For each range of epochs: places of the epochs, and the weights of the times of this part, which follow on those
        of the part before.
    """

    times: NDArray
    is_odd: NDArray
    parts: list[tuple[slice | NDArray, NDArray]]

    def interpolate(self, errors: NDArray) -> NDArray:
        """Return the errors after the epochs, of shape (..., n_epochs).

        Parameters
        ----------
        errors : ndarray of shape (..., n_times)
            The errors at the times.
        """
        few = errors.reshape(-1, errors.shape[-1])
        found, first = np.empty((len(few), len(self.is_odd))), 0
        for places, weights in self.parts:
            last = first + len(weights)
            if isinstance(places, slice):
                np.matmul(few[:, first:last], weights, out=found[:, places])  # a view, which needs no copy
            else:
                found[:, places] = few[:, first:last] @ weights
            first = last
        return found.reshape(*errors.shape[:-1], -1)

    def interpolate_both(self, errors: NDArray) -> NDArray:
        """Return what `interpolate` does, given the errors of even epochs at the times, and after them those of odd."""
        even, odd = (self.interpolate(each) for each in np.split(errors, 2, axis=-1))
        return np.where(self.is_odd, odd, even)


def times_between(epochs: NDArray) -> Times:
    """Return the times for some numbers of epochs, which are the same for all constant rates.

    Parameters
    ----------
    epochs : ndarray of int64, of shape (n_epochs,)
        Numbers of epochs.
    """
    of_range = -(-np.frexp(epochs)[1] // RANGE)
    times, parts = [], []
    for part in range(int(of_range.min()), int(of_range.max()) + 1):
        places = np.flatnonzero(of_range == part)
        if not len(places):
            continue
        of_part = epochs[places]
        rises = bool((of_part[1:] > of_part[:-1]).all())
        asked, back = (of_part, slice(None)) if rises else np.unique(of_part, return_inverse=True)
        n_nodes = nodes_between(asked[0], asked[-1])
        nodes, weights = chebyshev(asked, n_nodes) if n_nodes < len(asked) else (asked, np.eye(len(asked)))
        is_run = places[-1] - places[0] == len(places) - 1
        times.append(nodes)
        parts.append((slice(places[0], places[-1] + 1) if is_run else places, weights[:, back]))
    return Times(np.concatenate(times), epochs % 2 == 1, parts)


def nodes_between(first: int, last: int) -> int:
    """Return the number of Chebyshev points between two epochs whose polynomial has errors of rounding.

    It is even, so that no point is in the middle, whose time may be a whole number.
    """
    if first == 0 or first == last:
        return int(last - first) + 1
    b = np.pi / np.log(last / first)
    return 2 * int(np.ceil(-np.log(np.finfo(np.float64).eps) / np.log(b + np.sqrt(b * b + 1.0)) / 2))


def chebyshev(epochs: NDArray, n_nodes: int) -> tuple[NDArray, NDArray]:
    """Return times for some epochs in ascending order, and the weights by which values at these times follow.

    The logarithms of the times are Chebyshev points of the first kind. The weights are those of the barycentric formula
    (Berrut and Trefethen, 2004). None of its differences is zero: a time is no whole number, by the theorem of Gelfond
    and Schneider, as the cosines of an even number of points are algebraic and not rational.
    """
    angle = (2 * np.arange(n_nodes) + 1) * np.pi / (2 * n_nodes)
    logs = np.log(epochs)
    nodes = (logs[0] + logs[-1]) / 2 + (logs[-1] - logs[0]) / 2 * np.cos(angle)
    share = np.where(np.arange(n_nodes) % 2, -1.0, 1.0) * np.sin(angle)
    weights = np.subtract.outer(-nodes, -logs)
    np.divide(share[:, np.newaxis], weights, out=weights)
    weights /= weights.sum(axis=0)
    return np.exp(nodes), weights


class FromFew(NamedTuple):
    """Numbers along some points, as the few from which all follow by a linear map.

    Attributes
    ----------
    values : ndarray of shape (..., n_values)
        The numbers that are known.
    fill : callable
        The map to those of all points, along the last axis.
    """

    values: NDArray
    fill: Callable[[NDArray], NDArray]


def as_they_are(values: NDArray) -> NDArray:
    """Return the numbers, where all are known."""
    return values


def held_out_errors(
    several: Sequence[tuple[Stretch, HeldOut]], times_of: Callable[[NDArray], Times]
) -> list[FromFew | None]:
    """Return the mean squared errors on test rows after some epochs, of shape (n_outputs, n_points).

    At a constant rate they are computed at a few `Times` only, for all rates of a descent side by side. None takes the
    place of errors in which rounding would show.

    Parameters
    ----------
    several : sequence of (Stretch, HeldOut)
        Epochs of plain descents over the same rows, and the error on the test rows as a function of the point.
    times_of : callable
        Function from numbers of epochs to their `Times`.
    """
    found: list[FromFew | None] = [None] * len(several)
    alike: dict[tuple[int, int, int, bool], list[int]] = {}
    for place, (stretch, _) in enumerate(several):
        key = id(stretch.descent), id(stretch.numbers), id(stretch.factors), stretch.alternates
        alike.setdefault(key, []).append(place)
    for places in alike.values():
        stretch, held_out = several[places[0]]
        descent, alternates, n_coordinates = stretch.descent, stretch.alternates, len(held_out.gradient)
        if not stretch.is_constant:
            for place in places:
                errors = held_out.errors(several[place][0].lengths(), -descent.slope)
                found[place] = FromFew(errors, as_they_are) if held_out.has_digits(errors).all() else None
            continue
        times = times_of(stretch.numbers)
        fill, n_times = (times.interpolate_both, 2) if alternates else (times.interpolate, 1)
        n_times *= len(times.times)
        at_a_time = max(1, STACKED // (n_times * n_coordinates))
        for first in range(0, len(places), at_a_time):
            some = places[first : first + at_a_time]
            rates = np.array([several[place][0].first_rate for place in some])
            shares = descent.shares(rates, times.times, alternates=alternates).reshape(-1, n_coordinates)
            errors = held_out.errors(shares, descent.minimum)
            have_digits = held_out.has_digits(errors).reshape(len(some), -1).all(axis=1)
            of_rates = errors.reshape(-1, len(some), n_times)
            for number in np.flatnonzero(have_digits).tolist():
                found[some[number]] = FromFew(of_rates[:, number], fill)
    return found
