"""What is minimised: the terms of an objective, and the problem that they make of some rows.

A problem gives objectives, from moments or from rows, and other problems: in raw coordinates, smoothed. It alone knows
the units of y, the loss of the best constant and how far a point is from the minimum.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gdregress.problem.best_constant import best_constant_loss
from gdregress.problem.coordinates import Coordinates, target_scale
from gdregress.problem.losses import Loss
from gdregress.problem.objectives import DataObjective, Evaluation, MomentObjective, Objective
from gdregress.problem.penalties import Penalty
from gdregress.problem.view import View
from gdregress.rows import extended
from gdregress.rows.moments import Moments
from gdregress.rows.rows import Rows

NARROW = 0.2
"""Curvature of a smoothed loss, as a share of that of the loss, from which on the loss itself takes its place."""

MISTRUST = 10.0
"""Times the gain left of a quadratic that is reckoned with where the objective is none: its curvature may fall."""

SMALL_SHARE = 1e-3
"""Share of the loss of the best constant, below which an objective counts as no smaller."""

EXTENDED_LIMIT = 2**17
"""Entries of a dense X, times outputs, up to which residuals are computed in extended precision."""


@dataclass(frozen=True)
class Terms:
    """The terms of an objective, in units of y: a loss, ``l1 |w|_1 + l2 |w|_2^2 / 2``, and signs.

    Attributes
    ----------
    loss : Loss
        Of a residual.
    l1, l2 : float
        Strengths of the penalty.
    positive : bool
        Whether coefficients must not be negative.
    fit_intercept : bool
        Whether there is an intercept.
    """

    loss: Loss
    l1: float
    l2: float
    positive: bool
    fit_intercept: bool

    @property
    def is_squared_error(self) -> bool:
        """Whether the loss is squared error, for which moments are enough."""
        return self.loss.is_parabola

    @property
    def is_mostly_parabola(self) -> bool:
        """Whether the loss is one of ours, and a parabola for most residuals."""
        return self.loss.is_piecewise and self.loss.degree == 2

    @property
    def has_prox(self) -> bool:
        """Whether a part of the penalty is not smooth."""
        return self.l1 > 0 or self.positive

    def penalty_in(self, coordinates: Coordinates) -> Penalty:
        """Return the penalty of coordinates."""
        return coordinates.penalty(self.l1, self.l2, positive=self.positive, degree=self.loss.degree)


class Gap(NamedTuple):
    """How far an objective may be above its minimum, output by output, in units of the standard coordinates.

    Attributes
    ----------
    decrement : ndarray of shape (..., n_outputs)
        What further descent of the same, perhaps smoothed, problem is expected to gain.
    smoothing : ndarray of shape (..., n_outputs)
        What less smoothing would gain.
    total : ndarray of shape (..., n_outputs)
        The two together, reckoned with care.
    """

    decrement: NDArray
    smoothing: NDArray
    total: NDArray


@dataclass(frozen=True)
class Problem:
    """An objective over some rows, in coordinates.

    Attributes
    ----------
    terms : Terms
        Of the objective, in units of y.
    view : View
        The rows, their moments, and the coordinates of points.
    standard : Coordinates
        The unit-curvature coordinates, in which distances from the minimum are measured.
    alpha : float
        Strength of L2, relative to the loss.
    constant_loss : ndarray of shape (n_outputs,)
        Mean loss of the best constant, in units of `standard`.
    mu : float
        How far the loss is smoothed, in standard deviations of y; 0 for the loss itself.
    """

    terms: Terms
    view: View
    standard: Coordinates
    alpha: float
    constant_loss: NDArray
    mu: float = 0.0

    @classmethod
    def of(cls, terms: Terms, moments: Moments, rows: Rows) -> "Problem":
        """Make the problem of some rows, in the unit-curvature coordinates.

        Parameters
        ----------
        terms : Terms
            What is minimised.
        moments : Moments
            Of the rows.
        rows : Rows
            Training rows.
        """
        if not terms.fit_intercept:
            moments = moments.about_origin()
        alpha = _relative_alpha(terms, moments)
        standard = Coordinates.unit_curvature(moments, alpha=alpha, fit_intercept=terms.fit_intercept)
        view = View(rows, moments, standard)
        return cls(terms, view, standard, alpha, best_constant_loss(terms.loss, view))

    @property
    def coordinates(self) -> Coordinates:
        """Coordinates of points."""
        return self.view.coordinates

    @property
    def moments(self) -> Moments:
        """Moments of the rows."""
        return self.view.moments

    @property
    def rows(self) -> Rows:
        """Training rows."""
        return self.view.rows

    @property
    def n_coordinates(self) -> int:
        """Coordinates of a point, that of the intercept included."""
        return len(self.standard.center) + self.terms.fit_intercept

    @property
    def is_raw(self) -> bool:
        """Whether points are coefficients and intercepts themselves."""
        return self.coordinates.is_raw

    def in_raw_coordinates(self) -> "Problem":
        """Return the same problem, its points being coefficients and intercepts."""
        raw = Coordinates.raw(self.moments, fit_intercept=self.terms.fit_intercept)
        return replace(self, view=replace(self.view, coordinates=raw))

    def in_extended_precision(self) -> "Problem":
        """Return the same problem, its rows of long doubles, if X is dense and small; else the problem as it is."""
        copy = self.rows.dense_copy(np.longdouble, EXTENDED_LIMIT // self.rows.n_outputs)
        return self if copy is None else replace(self, view=replace(self.view, rows=copy))

    @cached_property
    def spread(self) -> float:
        """Root mean square of y in standard deviations, or 1 where y is 0: how far from y a start at zero is."""
        return float(_root_mean_square(self.moments).max())

    def smoothed(self, mu: float) -> "Problem":
        """Return the problem of the loss smoothed by mu standard deviations of y.

        It is that of the loss itself where that has no straight ends, or is hardly sharper.
        """
        smoothed = replace(self, mu=mu if self.terms.loss.is_straight else 0.0)
        if np.all(smoothed.descended.curvature >= NARROW * self.loss.curvature):
            return replace(self, mu=0.0)
        return smoothed

    @cached_property
    def loss(self) -> Any:
        """The loss of residuals in units of `coordinates`."""
        return self.terms.loss.in_units(self.coordinates.target_scale)

    @cached_property
    def descended(self) -> Any:
        """The loss that is descended: smoothed, if mu is positive."""
        if self.mu == 0:
            return self.loss
        return self.loss.smoothed(self.mu * float((self.standard.target_scale / self.coordinates.target_scale).max()))

    @cached_property
    def curvature(self) -> float:
        """Bound on the second derivative of the loss that is descended, in units of `coordinates`."""
        return float(np.max(self.descended.curvature))

    @cached_property
    def standard_curvature(self) -> float:
        """The same in units of `standard`."""
        loss = self.terms.loss.in_units(self.standard.target_scale)
        return float(np.max((loss.smoothed(self.mu) if self.mu > 0 else loss).curvature))

    @cached_property
    def penalty(self) -> Penalty:
        """The penalty in `coordinates`."""
        return self.terms.penalty_in(self.coordinates) if self.is_raw else self._standard_penalty

    @cached_property
    def _standard_penalty(self) -> Penalty:
        return self.terms.penalty_in(self.standard)

    def from_moments(self) -> MomentObjective:
        """Return the objective of squared error from moments."""
        return self._from_moments

    def from_rows(self) -> DataObjective:
        """Return the objective from the rows; with products in twice the precision, if these are long doubles."""
        return self._from_rows

    def with_curvatures(self) -> DataObjective:
        """Return the objective from the rows whose curvatures are asked for: what is the same everywhere is kept."""
        view = self.view.standardised
        return DataObjective(
            view.scaled, view.coordinates, self.loss, self.penalty, smoothed=self._smoothed, gram=self.view.gram
        )

    @cached_property
    def quadratic(self) -> MomentObjective:
        """Squared error and L2 in `standard`, whatever the loss: what preconditioners are made from."""
        return MomentObjective(self.moments, self.standard, self.standard.penalty(0.0, 2.0 * self.alpha))

    @cached_property
    def _from_moments(self) -> MomentObjective:
        if not (self.is_raw or self.terms.has_prox):
            return self.quadratic
        return MomentObjective(self.moments, self.coordinates, self.penalty)

    @cached_property
    def _from_rows(self) -> DataObjective:
        product = extended.dot if self.rows.dtype == np.longdouble else None
        return DataObjective(
            self.view.scaled, self.coordinates, self.loss, self.penalty, smoothed=self._smoothed, product=product
        )

    @property
    def _smoothed(self) -> Any:
        return None if self.mu == 0 else self.descended

    def evaluate_start(self, objective: Objective, point: NDArray) -> Evaluation:
        """Evaluate an objective at the start: of squared error without a pass over X, where all coefficients are 0.

        Parameters
        ----------
        objective : MomentObjective or DataObjective
            Of this problem.
        point : ndarray of shape (n_coordinates, n_outputs)
            The start.
        """
        is_known = self.terms.is_squared_error and not point[: len(self.standard.center)].any()
        if is_known and not objective.is_quadratic and objective.dtype == np.float64:
            objective = MomentObjective(replace(self.moments, cross=None), self.coordinates, self.penalty)
        return objective.evaluate([point])[0]

    def gap(self, points: NDArray, evaluation: Evaluation, preconditioner: Any) -> Gap:
        """Estimate by how much the objective lies above its minimum, at points side by side.

        With r the shortest subgradient and H the curvature, r' H^-1 r / 2 is what a quadratic has left to gain. H is
        that of the preconditioner times the share of curved residuals. For a loss with kinks that may be far from the
        truth, and the bound is of first order: the length of r times the root-mean-square distance of two predictions
        that are as far from each other as the residuals are long.

        Parameters
        ----------
        points : ndarray of shape (n_coordinates, n_points * n_outputs)
            Points.
        evaluation : Evaluation
            Of all of them.
        preconditioner : callable with a `root`
            Inverse curvature in `standard`, for a loss of curvature 2.
        """
        residual = self.subgradient(points, evaluation.gradient)
        squared = (residual * preconditioner(residual)).sum(axis=0)
        if self.terms.is_squared_error:
            return Gap(0.5 * squared, np.zeros_like(squared), 0.5 * squared)
        to_coordinates = _tiled(self._to_coordinates, len(squared) // len(self.constant_loss))
        smoothing = evaluation.fenchel_gap / to_coordinates * np.ones_like(squared)
        curvature = 0.5 * self.standard_curvature * evaluation.curved
        decrement = MISTRUST * np.divide(0.5 * squared, curvature, out=np.zeros_like(squared), where=squared > 0)
        if self.terms.loss.degree == 1:
            return Gap(decrement, smoothing, np.sqrt(2.0 * squared) * evaluation.value / to_coordinates + smoothing)
        return Gap(decrement, smoothing, decrement + smoothing)

    def gap_of_decrement(self, decrement: NDArray, evaluation: Evaluation) -> Gap:
        """Return the gap where the decrement r' H^-1 r / 2 is that of the second derivatives H at the point.

        Parameters
        ----------
        decrement : ndarray of shape (n_outputs,)
            Of the shortest subgradient r: see `subgradient`.
        evaluation : Evaluation
            Of the point.
        """
        decrement = decrement if self.terms.is_squared_error else MISTRUST * decrement
        smoothing = evaluation.fenchel_gap / self._to_coordinates * np.ones_like(decrement)
        return Gap(decrement, smoothing, decrement + smoothing)

    def gap_of_quadratic(self, decrement: NDArray) -> Gap:
        """Return the gap of squared error without a prox: the decrement itself, in units of `coordinates`."""
        decrement = decrement * self._gradient_to_standard**2
        return Gap(decrement, np.zeros_like(decrement), decrement)

    def subgradient(self, points: NDArray, gradient: NDArray) -> NDArray:
        """Return the shortest subgradient in `standard`, at points side by side.

        Parameters
        ----------
        points : ndarray of shape (n_coordinates, n_points * n_outputs)
            Points.
        gradient : ndarray of shape (n_coordinates, n_points * n_outputs)
            Of the smooth part, in `coordinates`.
        """
        if self.is_raw:
            times = points.shape[1] // len(self.constant_loss)
            gradient = self.standard.turned(gradient) * _tiled(self._gradient_to_standard, times)
        return self._standard_penalty.residual(points, gradient)

    def root(self, preconditioner: Any) -> NDArray:
        """Return a matrix C with |C g|^2 = g' P g for gradients g in `coordinates`, but for the target's scale."""
        identity = np.eye(self.n_coordinates)
        return preconditioner.root(self.standard.turned(identity) if self.is_raw else identity)

    def optimality(self, value: NDArray, gap: NDArray) -> NDArray:
        """Return the scale-free distance from the optimum, of the worst output.

        sqrt(2 gap / F0) for losses of degree 2. For those of degree 1 the gap as a share of the objective itself, or
        of a thousandth of F0 if that is more.

        Parameters
        ----------
        value : ndarray of shape (n_epochs, n_outputs)
            The objective, in units of `coordinates`.
        gap : ndarray of shape (n_epochs, n_outputs)
            Its distance from the minimum, in units of `standard`.
        """
        if self.terms.loss.degree == 1:
            share = gap / np.maximum(value / self._to_coordinates, SMALL_SHARE * self.constant_loss)
            return share.max(axis=-1)
        return np.sqrt(2.0 * gap / self.constant_loss).max(axis=-1)

    def mean_loss(self, value: NDArray) -> NDArray:
        """Average values over outputs, in the units of y to the power of the degree."""
        if self.terms.loss.degree == 1:
            return _mean(value * self.coordinates.target_scale)
        return _mean((np.sqrt(np.maximum(value, 0.0)) * self.coordinates.target_scale) ** 2)

    def criterion(self, value: NDArray) -> NDArray:
        """Average values over outputs, in the largest unit of an output: representable for any y."""
        scale = self.coordinates.target_scale
        if len(scale) == 1:
            return value[..., 0]
        return _mean(value * (scale / scale.max()) ** self.terms.loss.degree)

    @property
    def constant_value(self) -> float:
        """Objective of the best constant, summed over outputs, in units of `coordinates`."""
        return float((self.constant_loss * self._to_coordinates).sum())

    def in_standard_units(self, value: NDArray) -> NDArray:
        """Return values in units of `coordinates` in those of `standard`."""
        return value / self._to_coordinates

    @cached_property
    def _gradient_to_standard(self) -> NDArray:
        """Factor from gradients in units of `coordinates` to those in units of `standard`."""
        return (self.coordinates.target_scale / self.standard.target_scale) ** (self.terms.loss.degree - 1)

    @cached_property
    def _to_coordinates(self) -> NDArray:
        """Factor from losses in units of `standard` to those in units of `coordinates`."""
        return (self.standard.target_scale / self.coordinates.target_scale) ** self.terms.loss.degree


def _root_mean_square(moments: Moments) -> NDArray:
    unit = target_scale(moments)
    size = np.hypot(moments.y.deviation / unit, moments.y.mean / unit)
    return np.where(size > 0, size, 1.0)


def _relative_alpha(terms: Terms, moments: Moments) -> float:
    """Return alpha of the squared error whose curvatures are at least those of the loss when smoothed most."""
    if terms.l2 == 0:
        return 0.0
    unit = target_scale(moments)
    loss: Any = terms.loss.in_units(unit)
    if loss.is_straight:
        loss = loss.smoothed(float(_root_mean_square(moments).max()))
    return float((terms.l2 * unit ** (2 - loss.degree) / loss.curvature).max())


def _mean(of_outputs: NDArray) -> NDArray:
    """Average over the last axis; that of one output is taken as it is."""
    return of_outputs[..., 0] if of_outputs.shape[-1] == 1 else of_outputs.mean(axis=-1)


def _tiled(numbers: NDArray, times: int) -> NDArray:
    return numbers if times == 1 else np.tile(numbers, times)
