"""Plain descent over rows that are known by their moments: its points after any number of epochs, at any rate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gdregress.method.assembly import know
from gdregress.method.choice import Choice
from gdregress.method.geometric import Eigenbasis, lengths
from gdregress.method.minima import VISIBLE
from gdregress.method.preconditioners import half
from gdregress.method.rates import CurvatureRate, FixedRate, inverse_curvature, steepest_curvature
from gdregress.method.schedules import EpochSchedule
from gdregress.problem.coordinates import Coordinates
from gdregress.problem.objectives import Evaluation, MomentObjective
from gdregress.problem.problem import Problem, Terms
from gdregress.rows.moments import Moments
from gdregress.rows.rows import GoneRows

BELOW_THE_CEILING = 1.0 - 1e-9
"""Share of the stability ceiling 2/L up to which a rate cannot diverge, whatever the rounding of L."""

NODES = 20
"""Number of times that stand for the even or the odd epochs of an octave, which leaves an error of 1e-15."""

LOG_OF_NOTHING = -745.0
"""Logarithm of the smallest positive float."""

PLAIN = Choice("float", "gd", frozenset())
"""The choice of plain descent in raw coordinates."""


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
        known, problem = know(PLAIN, standard), standard.in_raw_coordinates()
        if known.spectrum is not None:
            return None
        start = np.zeros((problem.n_coordinates, len(problem.constant_loss)))
        basis = Eigenbasis.of(problem.from_moments(), start, problem.root(known.inverse or half), reliable=0.0)
        return None if basis is None else cls(problem, basis, start, basis.objective.evaluate([start])[0])

    def rates(self, learning_rate: float | str, schedule: EpochSchedule, n_epochs: int) -> NDArray | None:
        """Return the rates of some epochs; None if one of them may diverge.

        Parameters
        ----------
        learning_rate : float or {"lipschitz"}
            The rate before the schedule multiplies it.
        schedule : EpochSchedule
            The schedule, which depends on the epoch alone.
        n_epochs : int
            Number of epochs.
        """
        rate = FixedRate(float(learning_rate)) if learning_rate != "lipschitz" else self._lipschitz
        rates = rate.of(self.problem) * schedule.ahead(0, n_epochs)
        return rates if rates.max() * self.basis.curvature.max() < 2.0 * BELOW_THE_CEILING else None

    @cached_property
    def slope(self) -> NDArray:
        """Gradient at the start along the eigenvectors; 0 where rounding alone curves the objective."""
        return np.where(self.basis.is_curved[:, np.newaxis], self.basis.vectors.T @ self.here.gradient, 0.0)

    def lengths(self, rate: float, times: "Times") -> NDArray:
        """Return how far along each eigenvector the descent at a constant rate is from the start at some times.

        It is ``(1 - (1 - rate lambda)^t) / lambda`` as a share of the slope at the start, of shape
        (n_times, n_coordinates).

        Parameters
        ----------
        rate : float
            The rate.
        times : Times
            The times, as numbers of epochs that need not be whole.
        """
        share, is_curved = rate * self.basis.curvature, self.basis.is_curved
        # The logarithm of abs(1 - share), with all its digits where share is tiny.
        decay = np.maximum(np.log1p(np.where(share < 1, -share, share - 2)), LOG_OF_NOTHING)
        gone = -np.expm1(np.multiply.outer(times.times, decay))
        alternates = np.ix_(times.is_odd, share > 1)
        gone[alternates] = 2.0 - gone[alternates]
        return np.divide(gone, self.basis.curvature, out=np.zeros_like(gone), where=is_curved)

    @property
    def _lipschitz(self) -> CurvatureRate:
        return CurvatureRate(inverse_curvature(steepest_curvature(self.problem)))

    def end(self, rates: NDArray, tol: float) -> int:
        """Return the number of epochs after which a fit to `tol` ends: all, if it does not converge before."""
        if not tol:
            return len(rates)
        problem = self.problem
        _, values, decrements = self.basis.ahead(self.start, self.here.gradient, self.here.value, rates)
        first = self.basis.decrement(self.here.gradient)
        of_epochs = np.vstack([first, decrements])
        gap = problem.gap_of_quadratic(of_epochs).total
        is_near = problem.optimality(np.vstack([self.here.value, values]), gap) <= tol
        return int(is_near.argmax()) if is_near.any() else len(rates)


class Stretch(NamedTuple):
    """Some epochs of a plain descent.

    Attributes
    ----------
    descent : PlainDescent
        The descent.
    rates : ndarray of shape (n_epochs,)
        The rate of each epoch.
    numbers : ndarray of int64, of shape (n_points,)
        Numbers of epochs after which the points are.
    """

    descent: PlainDescent
    rates: NDArray
    numbers: NDArray

    def points(self) -> NDArray:
        """Return the points, of shape (n_coordinates, n_points, n_outputs)."""
        moved = self._lengths().T[:, :, np.newaxis] * self.descent.slope[:, np.newaxis]
        return -np.tensordot(self.descent.basis.vectors, moved, axes=1)

    def errors(self, held_out: "HeldOut", times_between: Callable[[bytes], "Times"]) -> NDArray | None:
        """Return the mean squared errors on test rows, of shape (n_points, n_outputs); None where rounding would show.

        At a constant rate they are computed at a few `Times` only.

        Parameters
        ----------
        held_out : HeldOut
            The error on the test rows as a function of the point.
        times_between : callable
            The function of that name, which may remember what it has returned.
        """
        if (self.rates != self.rates[0]).any():
            return held_out.errors(self._lengths(), self.descent.slope)
        times = times_between(self.numbers.tobytes())
        few = held_out.errors(self.descent.lengths(self.rates[0], times), self.descent.slope)
        return None if few is None else times.interpolate(few)

    def _lengths(self) -> NDArray:
        """Return how far along each eigenvector the points are from the start, as a share of the slope there.

        It is the sum of the rates times the shares of the slope that were left, of shape (n_points, n_coordinates).
        """
        basis = self.descent.basis
        from_start = np.zeros((len(self.rates) + 1, len(basis.curvature)))
        np.cumsum(lengths(self.rates, basis.shrunk(self.rates)), axis=0, out=from_start[1:])
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

    def errors(self, held_out: Sequence["HeldOut"], times_between: Callable[[bytes], "Times"]) -> NDArray | None:
        """Return the mean squared errors on test rows, of shape (n_points, n_outputs); None where rounding would show.

        Parameters
        ----------
        held_out : sequence of HeldOut
            The error on the test rows as a function of the point of each descent.
        times_between : callable
            The function of that name, which may remember what it has returned.
        """
        both = zip(self.stretches, held_out, strict=True)
        parts = [stretch.errors(of_test, times_between) for stretch, of_test in both]
        known = [part for part in parts if part is not None]
        return np.concatenate(known) if len(known) == len(parts) else None


class HeldOut(NamedTuple):
    """The mean squared error on test rows as a function of the point of a descent over the training rows.

    Where a point is at -u along the eigenvectors, seen from zero, it is ``error at zero - u . G + u' K u``.

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
        return cls(
            zero.value,
            vectors.T @ zero.gradient,
            vectors.T @ (0.5 * objective.hessian()) @ vectors,
            np.finfo(np.float64).eps * len(vectors) * zero.value + objective.noise,
            coordinates.target_scale**2,
        )

    def errors(self, lengths: NDArray, slope: NDArray) -> NDArray | None:
        """Return the errors of some points, of shape (n_points, n_outputs); None where rounding would show.

        Parameters
        ----------
        lengths : ndarray of shape (n_points, n_coordinates)
            How far along each eigenvector a point is from zero, as a share of the slope there.
        slope : ndarray of shape (n_coordinates, n_outputs)
            The slope.
        """
        errors = np.empty((len(lengths), len(self.zero)))
        for output, along in enumerate(slope.T):
            moved = lengths * along
            errors[:, output] = self.zero[output] - moved @ self.gradient[:, output]
            errors[:, output] += np.einsum("ij,ij->i", moved @ self.half_second, moved)
        return None if (self.rounding > VISIBLE * errors).any() else errors * self.unit


class Times(NamedTuple):
    """The times at which errors of a descent at a constant rate are computed, and how those of some epochs follow.

    The error after t epochs is a sum of terms ``c a^t`` with a in (-1, 1). For even t it is one smooth function of t,
    and for odd t another. It has no more detail between 2T and 4T than between T and 2T. So in each octave the
    polynomial through `NODES` Chebyshev points stands for all even epochs, and another for all odd epochs. Since a^t is
    bounded where t has a positive real part, each point more divides the error of these polynomials by 3 + sqrt(8), so
    that `NODES` are enough for rounding (Trefethen, 2019, Approximation Theory and Approximation Practice, section 8).

    Attributes
    ----------
    times : ndarray of shape (n_times,)
        The times, which may be between two epochs.
    is_odd : ndarray of bool, of shape (n_times,)
        Whether a time is one for odd epochs.
    parts : list of (ndarray of int, ndarray of shape (n_epochs_of_part, n_times_of_part))
        For each octave, and for even and odd epochs: places of the epochs, and the weights of the times of this part,
        which follow on those of the part before.
    """

    times: NDArray
    is_odd: NDArray
    parts: list[tuple[NDArray, NDArray]]

    def interpolate(self, errors: NDArray) -> NDArray:
        """Return the errors after the epochs, given those at the times, of shape (n_times, n_outputs)."""
        found, first = np.empty((sum(len(places) for places, _ in self.parts), errors.shape[1])), 0
        for places, weights in self.parts:
            last = first + weights.shape[1]
            found[places] = weights @ errors[first:last]
            first = last
        return found


def times_between(numbers: bytes) -> Times:
    """Return the times for some numbers of epochs, which are the same for every rate.

    Parameters
    ----------
    numbers : bytes
        Numbers of epochs, an array of int64; as bytes, so that a cache can tell them.
    """
    epochs = np.frombuffer(numbers, np.int64)
    code = 2 * np.frexp(epochs)[1] + epochs % 2
    times, is_odd, parts = [], [], []
    for part in np.unique(code):
        places = np.flatnonzero(code == part)
        asked, back = np.unique(epochs[places], return_inverse=True)
        nodes, weights = chebyshev(asked) if len(asked) > NODES else (asked, np.eye(len(asked)))
        times.append(nodes)
        is_odd.append(np.full(len(nodes), part % 2 == 1))
        parts.append((places, weights[back]))
    return Times(np.concatenate(times), np.concatenate(is_odd), parts)


def chebyshev(epochs: NDArray) -> tuple[NDArray, NDArray]:
    """Return Chebyshev points for some epochs in ascending order, and the weights by which values at these follow.

    The second is the barycentric formula of the points of the first kind. None of them is rational, so that no
    difference in it is zero (Berrut and Trefethen, 2004).
    """
    angle = (2 * np.arange(NODES) + 1) * np.pi / (2 * NODES)
    first, last = epochs[0], epochs[-1]
    nodes = (first + last) / 2 + (last - first) / 2 * np.cos(angle)
    weights = np.where(np.arange(NODES) % 2, -1.0, 1.0) * np.sin(angle) / (epochs[:, np.newaxis] - nodes)
    return nodes, weights / weights.sum(axis=1, keepdims=True)
