"""A descent whose gap is an estimate, until that is small: then it has to be confirmed by a measurement."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from gdregress.method.states import Block, Solver
from gdregress.problem.problem import Problem

CLOSER, NEAREST = 1e-4, 1e-20
"""Squared length of the gradient at which conjugate gradients end, as a share of that at the point and of F0: nearly
collinear columns are to be seen whatever the tolerance."""

NO_CURVATURE = 1e-15
"""Curvature that may be rounding, of columns of length 1."""

LEAST_PASSES = 300
"""Number of passes that they may take for a gap that may be small, however few epochs the descent has taken."""

SELDOM = 2
"""Number of epochs for each of these passes after which a gap is measured again."""


class Measurement(NamedTuple):
    """What a measurement at a point says of the gap there, and at the points that follow.

    Attributes
    ----------
    gap : callable
        Function from F and the estimate of the gap to the gap, all in units of the standard coordinates.
    rounding : ndarray of shape (n_outputs,)
        The part of it that no point can be without.
    holds : float
        The last epoch at which it confirms that a gap is small.
    again : float
        The epoch from which it is worth another measurement if it has found the gap large.
    measure : Measure
        What measures the gap then.
    """

    gap: Callable[[NDArray, NDArray], NDArray]
    rounding: NDArray
    holds: float
    again: float
    measure: "Measure"

    @classmethod
    def first(cls, measure: "Measure", n_outputs: int, epoch: int) -> Self:
        """Return what is known without a measurement: the estimate."""
        return cls(lambda value, estimate: estimate, np.zeros(n_outputs), epoch - 1, np.inf, measure)


Measure = Callable[[Problem, NDArray, NDArray, int], Measurement]
"""Function from a problem in its unit-curvature coordinates, a point, the estimate of the gap there and the epoch to a
measurement."""


@dataclass(frozen=True)
class Confirmed:
    """A descent that has converged only if a measurement of its gap says so.

    An estimate takes the curvature for that of the point, or columns for orthogonal ones. It can be far too small::

        for each w of the descent
            gap = its estimate, corrected by the last measurement;  F where that is so small as to be within tol
            if optimality(gap) <= tol < optimality(F) and no measurement holds for w, or at the last epoch
                measure the gap at w, and correct it
        until rounding alone keeps the measured gap above tol, and it no longer falls

    Attributes
    ----------
    descent : Solver
        The descent.
    measure : Measure
        The first measurement.
    standard : Problem
        The problem in its unit-curvature coordinates.
    tol : float
        Optimality at which the descent has converged.
    last : float
        The epoch at which the gap is measured in any case; infinite for none.
    limit : str
        Reason and remedy, for the user, where it has ended above `tol`.
    """

    descent: Solver
    measure: Measure
    standard: Problem
    tol: float
    last: float
    limit: str

    @property
    def goes_below_tol(self) -> bool:
        """Whether the descent goes on below `tol`."""
        return self.descent.goes_below_tol

    def iterates(self, problem: Problem, start: NDArray, epoch: int = 0) -> Iterator[Block]:
        """Yield the states of the descent with their gap."""
        known, number, before = Measurement.first(self.measure, start.shape[1], epoch), epoch, np.inf
        for block in self.descent.iterates(problem, start, epoch):
            left = block
            while len(left):
                corrected, is_due = self._corrected(problem, known, left, number)
                n_known = int(is_due.argmax()) if is_due.any() else len(left)
                if n_known:
                    yield corrected.between(0, n_known)
                left, number = left.between(n_known, len(left)), number + n_known
                if len(left):
                    here = left.between(0, 1)
                    point = self.standard.point_of(problem, here.points.at(0))
                    known = known.measure(self.standard, point, here.gap.total[0], number)
                    here, _ = self._corrected(problem, known, here, number)
                    yield here
                    rounding = problem.optimality(here.value[0], known.rounding)
                    if rounding > self.tol and here.optimality[0] >= before:
                        return
                    left, number, before = left.between(1, len(left)), number + 1, here.optimality[0]

    def _corrected(self, problem: Problem, known: Measurement, block: Block, number: int) -> tuple[Block, NDArray]:
        """Return the states of a block with their gap, and for each whether that is to be measured."""
        value, numbers = problem.in_standard_units(block.value), np.arange(number, number + len(block))
        of_value = problem.optimality(block.value, value)
        total = np.where((of_value <= self.tol)[:, np.newaxis], value, known.gap(value, block.gap.total))
        optimality = problem.optimality(block.value, total)
        is_doubtful = (optimality <= self.tol) & (numbers > known.holds)
        may_be_small = (numbers >= known.again) & (block.optimality <= self.tol)
        is_due = (is_doubtful | may_be_small | (numbers >= self.last)) & (of_value > self.tol)
        return replace(block, gap=block.gap._replace(total=total), optimality=optimality), is_due


@dataclass(frozen=True)
class Dual:
    """The gap to a lower bound on the minimum, once and for all points.

    ::

        D    <- F(z) - gap(z) at the point z at which the exact solver ends, from w on,       min F >= D
        gap   = the estimate, but no less than F - D, less the rounding of F

    Beyond the digits of F only the estimate can tell. If the gap at z is above the tolerance, it may be D that is low.
    Then D is measured again after twice as many epochs, and the highest counts.

    Attributes
    ----------
    exact : callable
        Function that makes the solver whose gap is a bound.
    tol : float
        Optimality at which the descent has converged.
    highest : ndarray of shape (n_outputs,) or float, default=0.0
        The highest D so far.
    """

    exact: Callable[[], Solver]
    tol: float
    highest: NDArray | float = 0.0

    def __call__(self, problem: Problem, point: NDArray, estimate: NDArray, number: int) -> Measurement:
        """Return a measurement: see `Measure`."""
        *_, end = self.exact().iterates(problem, point, number)
        least = np.maximum((end.value - end.gap.total)[-1], self.highest)
        rounding = np.where(least > 0, np.finfo(np.float64).eps * end.value[-1], 0.0)
        again = np.inf if end.optimality[-1] <= self.tol else SELDOM * number
        holds = np.inf if (least > 0).all() else number
        return Measurement(partial(_above, least + rounding), rounding, holds, again, replace(self, highest=least))


def _above(least: NDArray, value: NDArray, estimate: NDArray) -> NDArray:
    """Return an estimate of the gap, but no less than how far F is above a lower bound."""
    return np.maximum(estimate, value - least)


@dataclass(frozen=True)
class Projection:
    """The gap of squared error without a penalty, by a projection of the residuals off the columns.

    The gap g' H^-1 g / 2 is what the columns can still explain of the residuals. Without a matrix, P is the inverse of
    the diagonal of H, and g' P g / 2 is far less where columns are nearly collinear. So the projection is carried out,
    by conjugate gradients for H z = g (Hestenes and Stiefel, 1952; Golub and Meurant, 1997)::

        d = g at w,  fall = 0
        repeat
            h    = d'H d / d'd,     least <- min(least, h)
            s    = g'g / d'H d
            fall <- fall + s g'g / 2
            g    <- g - s H d,      d <- g + (g'g / the last g'g) d
        until |g| <= 1e-10 sqrt(F0) and |g| <= |g at w| / 100, or h is rounding
        gap     <- fall + (|g| + eps (1 + |w|))^2 / (2 least)
        stretch <- gap / (g' P g / 2 at w)

    As the descent goes on, its gap is that stretch of its estimate. This confirms nothing: the gap is measured anew
    where it is small, and, where the stretch keeps it large, after twice as many epochs as the last measurement took
    passes. If the passes run out, or h is rounding before g is, a measurement can only say that the gap is large.

    Attributes
    ----------
    tol : float
        Optimality at which a descent has converged.
    least : ndarray of shape (n_outputs,)
        The least curvature h so far.
    """

    tol: float
    least: NDArray

    def __call__(self, problem: Problem, point: NDArray, estimate: NDArray, number: int) -> Measurement:
        """Return a measurement: see `Measure`."""
        objective = problem.from_rows()
        here, origin = objective.evaluate([point, np.zeros_like(point)])
        least, fall, direction = self.least, np.zeros_like(estimate), here.gradient
        gradient, left = direction, _squared(direction)
        nearest, n_passes = np.minimum(CLOSER * left, NEAREST * problem.constant_loss), 1
        moves = left > nearest
        may_be_small = problem.optimality(here.value, estimate) <= self.tol
        most = max(number, LEAST_PASSES) if may_be_small else number
        while moves.any() and n_passes < most:
            length, n_passes = np.where(moves, np.sqrt(_squared(direction)), 1.0), n_passes + 1
            unit = direction / length
            [there] = objective.evaluate([unit])
            turned = there.gradient - origin.gradient  # H times a vector of length 1: no digits are lost
            bend = (unit * turned).sum(axis=0)
            moves &= bend > NO_CURVATURE
            least = np.where(moves, np.minimum(least, bend), least)
            step = np.divide(left, length * bend, out=np.zeros_like(left), where=moves)
            fall = fall + 0.5 * step * left / length
            gradient, last = gradient - step * turned, left
            left = _squared(gradient)
            direction = gradient + np.divide(left, last, out=np.zeros_like(left), where=moves) * direction
            moves &= left > nearest
        noise = np.finfo(np.float64).eps * (1.0 + np.sqrt(_squared(problem.standard_coefficients(point))))
        gap = np.minimum(fall + (np.sqrt(left) + noise) ** 2 / (2.0 * least), here.value)
        if (left > nearest).any() and problem.optimality(here.value, gap) <= self.tol:
            gap = here.value  # what has not been seen, of columns or of their combinations, might explain all of it
        stretch = np.divide(gap, estimate, out=np.ones_like(gap), where=estimate > 0)
        rounding, again = noise**2 / (2.0 * least), number + SELDOM * n_passes
        return Measurement(partial(_stretched, stretch), rounding, number, again, replace(self, least=least))


def _stretched(stretch: NDArray, value: NDArray, estimate: NDArray) -> NDArray:
    """Return an estimate of the gap times what it has been found to lack."""
    return stretch * estimate


def _squared(columns: NDArray) -> NDArray:
    return (columns * columns).sum(axis=0)
