"""The optimisation problem: the terms of an objective over given rows.

A `Problem` provides objectives, from moments or from rows, and related problems: in raw coordinates, in extended
precision, or smoothed. It converts all units, knows the loss F0 of the best constant, and estimates suboptimality.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gdregress.problem.best_constant import best_constant
from gdregress.problem.coordinates import Coordinates, target_scale
from gdregress.problem.objectives import DataObjective, Evaluation, MomentObjective, Objective
from gdregress.problem.penalties import Penalty, tiled
from gdregress.problem.residuals import transposed_product
from gdregress.problem.spectrum import Spectrum
from gdregress.problem.terms import Terms
from gdregress.problem.view import View
from gdregress.rows import extended
from gdregress.rows.moments import Moments
from gdregress.rows.rows import Rows

ENOUGH_CURVATURE = 0.2
"""Ratio of the curvature of a smoothed loss to that of the loss at which smoothing ends."""

SAFETY_FACTOR = 10.0
"""Factor on the estimated decrement of an objective that is not quadratic, whose curvature may fall on the way."""

SMALL_SHARE = 1e-3
"""Share of F0 that is the least value to which a suboptimality in units of y is relative."""

OF_SHIFT = 4.0
"""Multiple of the rounding of its terms that the shift of all predictions stays within, that of the means included."""

EXTENDED_LIMIT = 2**17
"""Entries of a dense X, times outputs, up to which the problem is available in extended precision."""


class Gap(NamedTuple):
    """Estimate of the suboptimality of a point, for each output, in units of the standard coordinates.

    Attributes
    ----------
    decrement : ndarray of shape (..., n_outputs)
        Estimated suboptimality for the objective that is descended, with the smoothed loss if there is one.
    smoothing : ndarray of shape (..., n_outputs)
        Mean Fenchel gap, the part that is due to smoothing.
    total : ndarray of shape (..., n_outputs)
        Estimated suboptimality for the loss itself: the sum of the two, or more for losses of degree 1, and where the
        rounding of moments may hide more.
    """

    decrement: NDArray
    smoothing: NDArray
    total: NDArray

    @classmethod
    def unsmoothed(cls, total: NDArray) -> "Gap":
        """Return the gap of a loss that is not smoothed."""
        return cls(total, np.zeros_like(total), total)


@dataclass(frozen=True)
class Problem:
    """An objective over given rows, as a function of points in given coordinates.

    Attributes
    ----------
    terms : Terms
        Terms of the objective, in units of y.
    view : View
        The rows, their moments, and the coordinates of points.
    standard : Coordinates
        Unit-curvature coordinates, whose units those of `Gap` and F0 are.
    alpha : float
        Strength of L2 in mean squared error + alpha |v|^2, the quadratic from which preconditioners are made.
    constant, constant_loss : ndarray of shape (n_outputs,)
        The best constant prediction and F0, its mean loss, in units of `standard`.
    mu : float
        Smoothing parameter, in standard deviations of y; 0 for the loss itself.
    spectrum : Spectrum or None
        Spectrum of the moments, where the rows are gone and the moments have too few digits; None elsewhere.
    """

    terms: Terms
    view: View
    standard: Coordinates
    alpha: float
    constant: NDArray
    constant_loss: NDArray
    mu: float = 0.0
    spectrum: Spectrum | None = None

    @classmethod
    def of(cls, terms: Terms, moments: Moments, rows: Rows) -> "Problem":
        """Return the problem over given rows, in their unit-curvature coordinates.

        Parameters
        ----------
        terms : Terms
            Terms of the objective.
        moments : Moments
            Moments of the rows, about the mean.
        rows : Rows
            Training rows.
        """
        units = terms.units(moments)
        if not terms.fit_intercept:
            moments = moments.about_origin()
        alpha = _relative_alpha(terms, moments)
        standard = Coordinates.unit_curvature(moments, alpha=alpha, fit_intercept=terms.fit_intercept, penalized=units)
        view = View(rows, moments, standard)
        return cls(terms, view, standard, alpha, *best_constant(terms.loss, view))

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
        """Number of coordinates of a point, including the intercept."""
        return self.standard.n_coordinates

    def point_of(self, other: "Problem", point: NDArray) -> NDArray:
        """Return in these coordinates a point of `other`, which is this problem in raw coordinates or in these."""
        if not other.coordinates.is_raw:
            return point
        coef, intercept = other.coordinates.to_raw(point)
        return self.coordinates.from_raw(coef, intercept.astype(np.float64))

    def in_raw_coordinates(self) -> "Problem":
        """Return the same problem in raw coordinates."""
        raw = Coordinates.raw(self.moments, fit_intercept=self.terms.fit_intercept, penalized=self.standard.penalized)
        return replace(self, view=replace(self.view, coordinates=raw))

    def with_penalty(self, l1: float, l2: float) -> "Problem":
        """Return the problem with other strengths of the penalty, in the same coordinates."""
        return replace(self, terms=replace(self.terms, l1=l1, l2=l2))

    def in_extended_precision(self) -> "Problem":
        """Return the same problem with rows in long double precision, if X is dense and small; else this problem."""
        here = self.rows.in_memory
        copy = None if here is None else here.dense_as(np.longdouble, EXTENDED_LIMIT // here.n_outputs)
        return self if copy is None else replace(self, view=replace(self.view, rows=copy))

    @cached_property
    def spread(self) -> float:
        """Root mean square of y in standard deviations, of the output where it is largest; 1 if y is 0.

        It is the size of the residuals at coefficients and intercepts of zero.
        """
        return float(_root_mean_square(self.moments).max())

    def smoothed(self, mu: float) -> "Problem":
        """Return the problem with the loss smoothed by mu standard deviations of y.

        The loss is not smoothed if it has no linear parts, or if its curvature would hardly fall.
        """
        smoothed = replace(self, mu=mu if self.terms.loss.is_straight else 0.0)
        if np.all(smoothed.descended.curvature >= ENOUGH_CURVATURE * self.loss.curvature):
            return replace(self, mu=0.0)
        return smoothed

    @cached_property
    def loss(self) -> Any:
        """The loss as a function of residuals in units of `coordinates`."""
        return self.terms.loss.in_units(self.coordinates.target_scale)

    @cached_property
    def descended(self) -> Any:
        """The loss that is descended, which is smoothed if mu is positive."""
        if self.mu == 0:
            return self.loss
        return self.loss.smoothed(self.mu * float((self.standard.target_scale / self.coordinates.target_scale).max()))

    @cached_property
    def curvature(self) -> float:
        """Bound on the second derivative of `descended`, in units of `coordinates`."""
        return float(np.max(self.descended.curvature))

    @cached_property
    def standard_curvature(self) -> float:
        """Bound on the second derivative of the loss that is descended, in units of `standard`."""
        loss = self.terms.loss.in_units(self.standard.target_scale)
        return float(np.max((loss.smoothed(self.mu) if self.mu > 0 else loss).curvature))

    @cached_property
    def penalty(self) -> Penalty:
        """The penalty in `coordinates`."""
        return self.terms.penalty_in(self.coordinates) if self.coordinates.is_raw else self.standard_penalty

    @cached_property
    def standard_penalty(self) -> Penalty:
        """The penalty in `standard`."""
        return self.terms.penalty_in(self.standard)

    def from_moments(self) -> MomentObjective:
        """Return the objective of squared error from moments."""
        return self._from_moments

    def from_rows(self) -> DataObjective:
        """Return the objective from the rows.

        If these are in long double precision, products are accumulated in twice that precision.
        """
        return self._from_rows

    def with_curvatures(self) -> DataObjective:
        """Return the objective from the rows, set up for fast second derivatives."""
        view = self.view.standardised
        return DataObjective(
            view.scaled, view.coordinates, self.loss, self.penalty, descended=self.descended, gram=self.view.gram
        )

    @cached_property
    def quadratic(self) -> MomentObjective:
        """Mean squared error + alpha |w|^2 in `standard`, from which preconditioners are made for any loss."""
        return MomentObjective(self.moments, self.standard, self.standard.penalty(0.0, 2.0 * self.alpha))

    @cached_property
    def _from_moments(self) -> MomentObjective:
        if not (self.coordinates.is_raw or self.terms.has_prox):
            return self.quadratic
        return MomentObjective(self.moments, self.coordinates, self.penalty)

    @cached_property
    def _from_rows(self) -> DataObjective:
        product = extended.dot if self.rows.dtype == np.longdouble else transposed_product
        return DataObjective(
            self.view.scaled, self.coordinates, self.loss, self.penalty, descended=self.descended, product=product
        )

    def evaluate_start(self, objective: Objective, point: NDArray) -> Evaluation:
        """Evaluate an objective at the start.

        If all coefficients are zero, squared error is evaluated from moments, without a pass over X.

        Parameters
        ----------
        objective : MomentObjective or DataObjective
            Objective of this problem.
        point : ndarray of shape (n_coordinates, n_outputs)
            Starting point.
        """
        is_known = self.terms.is_squared_error and not point[: len(self.standard.center)].any()
        if is_known and not objective.is_quadratic and objective.dtype == np.float64:
            objective = MomentObjective(replace(self.moments, cross=None), self.coordinates, self.penalty)
        return objective.evaluate([point])[0]

    def gap(self, points: NDArray, evaluation: Evaluation, preconditioner: Any) -> Gap:
        """Estimate the suboptimality F - min F of points side by side.

        Let g be the shortest subgradient, P the preconditioner and H the second derivatives. A quadratic has the
        suboptimality g' H^-1 g / 2, and H is taken as P^-1 times the share of curved residuals. Other objectives
        multiply this by `SAFETY_FACTOR`. If the loss has degree 1, the estimate may still be far too small, and the
        total is of first order: sqrt(2 g' P g) F + the Fenchel gap.

        Parameters
        ----------
        points : ndarray of shape (n_coordinates, n_points * n_outputs)
            Points side by side.
        evaluation : Evaluation
            Evaluation of these points.
        preconditioner : callable
            Function from g to P g in `standard`, with P for a loss of curvature 2.

        Returns
        -------
        Gap
            Estimate for each column of `points`.
        """
        residual = self.subgradient(points, evaluation.gradient)
        squared = (residual * preconditioner(residual)).sum(axis=0)
        if self.terms.is_squared_error:
            return Gap.unsmoothed(0.5 * squared)
        to_coordinates = tiled(self._to_coordinates, len(squared))
        smoothing = evaluation.fenchel_gap / to_coordinates * np.ones_like(squared)
        curvature = 0.5 * self.standard_curvature * evaluation.curved
        decrement = SAFETY_FACTOR * np.divide(0.5 * squared, curvature, out=np.zeros_like(squared), where=squared != 0)
        if self.terms.loss.degree == 1:
            return Gap(decrement, smoothing, np.sqrt(2.0 * squared) * evaluation.value / to_coordinates + smoothing)
        return Gap(decrement, smoothing, decrement + smoothing)

    def gap_of_decrement(self, decrement: NDArray, evaluation: Evaluation) -> Gap:
        """Return the gap, given the decrement g' H^-1 g / 2 with the second derivatives H at the point.

        Parameters
        ----------
        decrement : ndarray of shape (n_outputs,)
            The decrement, with g the shortest subgradient: see `subgradient`.
        evaluation : Evaluation
            Evaluation of the point.
        """
        decrement = decrement if self.terms.is_squared_error else SAFETY_FACTOR * decrement
        smoothing = evaluation.fenchel_gap / self._to_coordinates * np.ones_like(decrement)
        return Gap(decrement, smoothing, decrement + smoothing)

    def gap_of_quadratic(self, decrement: NDArray) -> Gap:
        """Return the gap of squared error without a prox, given the decrement in units of `coordinates`."""
        return Gap.unsmoothed(decrement * self._gradient_to_standard**2)

    def with_hidden(self, gap: Gap, points: NDArray, evaluation: Evaluation) -> Gap:
        """Return the gap of points side by side, raised by what the rounding of the moments may hide.

        The total is raised to the bound of `Spectrum.hidden`.

        Parameters
        ----------
        gap : Gap
            The gap as the moments tell it.
        points : ndarray of shape (n_coordinates, n_points * n_outputs)
            The points.
        evaluation : Evaluation
            Their evaluation.
        """
        if self.spectrum is None:
            return gap
        p, value = len(self.standard.center), evaluation.value / tiled(self._to_coordinates, points.shape[1])
        slope = self.standard_gradient(evaluation.gradient)
        shortest = self.standard_penalty.residual(points, slope)
        hidden = self.spectrum.hidden(self.standard_coefficients(points), slope[:p], shortest[:p], value)
        return gap._replace(total=np.maximum(gap.total, hidden))

    def subgradient(self, points: NDArray, gradient: NDArray) -> NDArray:
        """Return the shortest subgradient in `standard`, at points side by side.

        Parameters
        ----------
        points : ndarray of shape (n_coordinates, n_points * n_outputs)
            Points side by side.
        gradient : ndarray of shape (n_coordinates, n_points * n_outputs)
            Gradient of the smooth part, in `coordinates`.
        """
        return self.standard_penalty.residual(points, self.standard_gradient(gradient))

    def standard_coefficients(self, points: NDArray) -> NDArray:
        """Return the coefficients of points side by side in `standard`, of shape (n_features, n_columns)."""
        return self.coordinates.coefficients_in(self.standard, points)

    def mean_residual(self, points: NDArray) -> NDArray:
        """Return the weighted mean of the residuals at points side by side, in units of `standard`."""
        coordinates, p = self.coordinates, len(self.standard.center)
        mean = (self.moments.x.mean - coordinates.center) * coordinates.inverse_scale
        target_mean = (self.moments.y.mean - coordinates.target_center) / coordinates.target_scale
        residual = tiled(target_mean, points.shape[1]) - mean @ points[:p]
        if coordinates.fit_intercept:
            residual = residual - points[p]
        return residual * tiled(coordinates.target_scale / self.standard.target_scale, points.shape[1])

    def standard_gradient(self, gradient: NDArray) -> NDArray:
        """Return gradients in `coordinates` as gradients in `standard`."""
        return self.coordinates.gradient_in(self.standard, gradient, self.terms.loss.degree)

    def root(self, preconditioner: Any) -> NDArray:
        """Return a matrix C with |C g|^2 = g' P g for gradients g in `coordinates`, without the target scale."""
        identity = np.eye(self.n_coordinates)
        return preconditioner.root(self.coordinates.gradient_in(self.standard, identity, degree=1))

    def optimality(self, value: NDArray, gap: NDArray) -> NDArray:
        """Return `optimality_`, which has no unit, for the output where it is largest.

        It is sqrt(2 gap / F0) for losses of degree 2, and gap / max(F, F0 / 1000) for losses of degree 1.

        Parameters
        ----------
        value : ndarray of shape (n_epochs, n_outputs)
            The objective, in units of `coordinates`.
        gap : ndarray of shape (n_epochs, n_outputs)
            Estimated suboptimality, in units of `standard`.
        """
        if self.terms.loss.degree == 1:
            share = gap / np.maximum(value / self._to_coordinates, SMALL_SHARE * self.constant_loss)
            return share.max(axis=-1)
        return np.sqrt(2.0 * gap / self.constant_loss).max(axis=-1)

    def optimality_of_rounding(self, value: float, point: NDArray, raw: tuple[NDArray, NDArray], tol: float) -> float:
        """Return the optimality that the rounding of raw coefficients and intercepts alone leaves at a minimum.

        It shifts all predictions. For losses with kinks F rises by no more than their steepest slope times the shift.
        For the others it is sqrt(2) times the shift, in standard deviations of y. For squared error the shift is the
        mean residual, which the means know in twice the digits; else that of the prediction at the center.

        What the terms of the shift may lose is a bound. Where that is above `tol`, error-free sums tell. The second
        digits of means are those of deviations from them: they tell nothing of large coefficients that cancel.

        Parameters
        ----------
        value : float
            The objective summed over outputs, in units of `coordinates`.
        point : ndarray of shape (n_coordinates, n_outputs)
            The point before it is rounded.
        raw : tuple of ndarray
            Its raw coefficients and intercepts.
        tol : float
            Optimality up to which a bound is enough.
        """
        if not self.terms.fit_intercept:
            return 0.0
        coef, intercept = (each.astype(np.float64) for each in raw)
        moments, coordinates = self.moments, self.coordinates
        if self.terms.is_squared_error:
            of_x, of_y = [moments.x.mean, moments.x.remainder], [moments.y.mean, moments.y.remainder]
        else:
            of_x = [coordinates.center]
            of_y = [coordinates.target_center, coordinates.target_scale * point[-1].astype(np.longdouble)]
        size = np.abs(intercept) + np.abs(of_y).sum(axis=0) + np.abs(of_x[0]) @ np.abs(coef)
        bound = self._optimality_of_shift(value, (OF_SHIFT * np.finfo(np.float64).eps * size).astype(np.float64))
        if bound <= tol:
            return bound
        used = np.flatnonzero(coef.any(axis=1))
        terms = np.concatenate([*(-coef[used] for _ in of_x), of_y, -intercept[np.newaxis]], dtype=np.longdouble)
        factors = np.concatenate([*(each[used] for each in of_x), np.ones(len(of_y) + 1)])[:, np.newaxis]
        shift = np.abs(extended.dot(terms, factors.astype(np.longdouble))[:, 0])
        unsure = OF_SHIFT * np.finfo(np.float64).eps * (moments.x.deviation @ np.abs(coef))  # of the second digits
        shift = np.where(shift > unsure, shift, 0.0) if self.terms.is_squared_error else shift
        return self._optimality_of_shift(value, shift.astype(np.float64))

    def _optimality_of_shift(self, value: float, shift: NDArray) -> float:
        """Return what a shift of all predictions from a minimum costs at most, given F summed over outputs."""
        shift = shift / self.standard.target_scale
        if not self.terms.loss.is_kinked:
            return float(np.sqrt(2.0) * shift.max())
        loss: Any = self.terms.loss
        of_each = np.full(len(shift), value / len(shift))
        return float(self.optimality(of_each, np.maximum(-loss.low, loss.high) * shift))

    def mean_loss(self, value: NDArray) -> NDArray:
        """Return values averaged over outputs, in units of y to the power of the degree."""
        if self.terms.loss.degree == 1:
            return _mean(value * self.coordinates.target_scale)
        return _mean((np.sqrt(np.maximum(value, 0.0)) * self.coordinates.target_scale) ** 2)

    def criterion(self, value: NDArray) -> NDArray:
        """Return values averaged over outputs, in units of the largest target scale so that they cannot overflow."""
        scale = self.coordinates.target_scale
        if len(scale) == 1:
            return value[..., 0]
        return _mean(value * (scale / scale.max()) ** self.terms.loss.degree)

    @property
    def constant_value(self) -> float:
        """F0 summed over outputs, in units of `coordinates`."""
        return float((self.constant_loss * self._to_coordinates).sum())

    def in_standard_units(self, value: NDArray) -> NDArray:
        """Return values converted from units of `coordinates` to units of `standard`."""
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
    """Return alpha such that c/2 (mean squared error + alpha |w|^2) bounds the curvature of the smoothed objective.

    c is the curvature of the loss under the strongest smoothing. Of several outputs, the largest alpha is returned.
    """
    if terms.l2 == 0:
        return 0.0
    unit = target_scale(moments)
    loss: Any = terms.loss.in_units(unit)
    if loss.is_straight:
        loss = loss.smoothed(float(_root_mean_square(moments).max()))
    return float((terms.l2 * unit ** (2 - loss.degree) / loss.curvature).max())


def _mean(of_outputs: NDArray) -> NDArray:
    """Return the mean over the last axis, the outputs; a single output is returned exactly, without rounding."""
    return of_outputs[..., 0] if of_outputs.shape[-1] == 1 else of_outputs.mean(axis=-1)
