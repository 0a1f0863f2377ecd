"""Plain descent over rows that are known by their moments: its points after any number of epochs, at any rate."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gdregress.method.choice import Choice, know
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
    numbers : ndarray of int, of shape (n_points,)
        Numbers of epochs after which the points are.
    """

    descent: PlainDescent
    rates: NDArray
    numbers: NDArray

    def steps(self) -> tuple[NDArray, NDArray]:
        """Return how far along each eigenvector the points are from the start, and the slope at the start.

        Returns
        -------
        lengths : ndarray of shape (n_points, n_coordinates)
            Sum of the rates times the shares of the slope that were left.
        slope : ndarray of shape (n_coordinates, n_outputs)
            Gradient at the start, along the eigenvectors.
        """
        basis = self.descent.basis
        slope = np.where(basis.is_curved[:, np.newaxis], basis.vectors.T @ self.descent.here.gradient, 0.0)
        from_start = np.zeros((len(self.rates) + 1, len(slope)))
        np.cumsum(lengths(self.rates, basis.shrunk(self.rates)), axis=0, out=from_start[1:])
        return from_start[self.numbers], slope


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
        parts = []
        for stretch in self.stretches:
            steps, slope = stretch.steps()
            moved = steps.T[:, :, np.newaxis] * slope[:, np.newaxis]
            parts.append(-np.tensordot(stretch.descent.basis.vectors, moved, axes=1))
        return np.concatenate(parts, axis=1)

    def errors(self, test: Moments) -> NDArray | None:
        """Return the mean squared errors on test rows, of shape (n_points, n_outputs), from their moments.

        With G and K the gradient and half the second derivatives of the test error at zero along the eigenvectors, and
        -u how far a point is from zero along them, it is ``error at zero - u . G + u' K u``. It is None where rounding
        would show.
        """
        return _joined([_errors(stretch, test) for stretch in self.stretches])


def _errors(stretch: Stretch, test: Moments) -> NDArray | None:
    """Return the errors of the points of one stretch."""
    coordinates, vectors = stretch.descent.problem.coordinates, stretch.descent.basis.vectors
    about = test if coordinates.fit_intercept else test.about_origin()
    objective = MomentObjective(about, coordinates, coordinates.penalty(0.0, 0.0))
    [zero] = objective.evaluate([stretch.descent.start])
    half_second = vectors.T @ (0.5 * objective.hessian()) @ vectors
    steps, slope = stretch.steps()
    errors = np.empty((len(steps), slope.shape[1]))
    for output, along in enumerate(slope.T):
        moved = steps * along
        errors[:, output] = zero.value[output] - moved @ (vectors.T @ zero.gradient[:, output])
        errors[:, output] += np.einsum("ij,ij->i", moved @ half_second, moved)
    rounding = np.finfo(np.float64).eps * len(slope) * zero.value + objective.noise
    return None if (rounding > VISIBLE * errors).any() else errors * coordinates.target_scale**2


def _joined(parts: Sequence[NDArray | None]) -> NDArray | None:
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if len(known) == len(parts) else None
