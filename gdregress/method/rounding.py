"""Coefficients in double precision whose predictions are those of a point in other coordinates, or the nearest."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from gdregress.problem.box_gaps import measured_with_l2
from gdregress.problem.boxes import BoxProblem, Iterate
from gdregress.problem.coordinates import Coordinates
from gdregress.problem.design import Design
from gdregress.problem.problem import Problem
from gdregress.rows import extended
from gdregress.rows.rows import drawable

Adjustment = Callable[[list[BoxProblem], list[Iterate], NDArray], tuple[NDArray, NDArray, NDArray]]
"""Function from the boxes, their iterates and the point of the problem to that, or one near it, with its F and gap."""


@dataclass(frozen=True)
class Rounding:
    """The rounding of points to raw coefficients and intercepts in double precision.

    Large coefficients of nearly collinear columns cancel, and an intercept those of columns far from zero. Each of them
    rounded by itself would change predictions by far more than their own digits.

    Attributes
    ----------
    coordinates : Coordinates
        The coordinates of points.
    columns : ndarray of shape (n_rows, n_coordinates)
        The columns of X that move, with ones for an intercept, times the roots of the shares of the rows.
    """

    coordinates: Coordinates
    columns: NDArray

    @classmethod
    def of(cls, problem: Problem) -> Self:
        """Make the rounding of the points of a problem with rows in memory, dense."""
        rows, coordinates = drawable(problem.rows).counted(), problem.coordinates
        columns = rows.features_of(np.s_[:])[:, np.flatnonzero(coordinates.inverse_scale)].astype(np.float64)
        if coordinates.fit_intercept:
            columns = np.column_stack([columns, np.ones(len(columns))])
        if rows.weight is not None:
            columns = np.sqrt(rows.weight)[:, np.newaxis] * columns
        return cls(coordinates, columns)

    def rounded(self, point: NDArray) -> NDArray:
        """Return the point, in extended precision, of rounded coefficients and intercepts."""
        return np.column_stack([self._rounded(column, output) for output, column in enumerate(point.T)])

    def _rounded(self, point: NDArray, output: int) -> NDArray:
        """Return the rounded point of one output: what is left of an intercept is a difference of large products."""
        coordinates, rounded = self.coordinates, point.astype(np.longdouble)
        moves, unit = np.flatnonzero(coordinates.inverse_scale), coordinates.target_scale[output]
        center, level = coordinates.center[moves], coordinates.target_center[output]
        factor = coordinates.inverse_scale[moves].astype(np.longdouble) * unit
        coef = rounded[moves] * factor
        floats = coef.astype(np.float64)
        if not coordinates.fit_intercept:
            rounded[moves] = nearest_floats(self.columns, floats, coef - floats) / factor
            return rounded
        intercept = float(level + unit * rounded[-1] - center @ coef)
        parts = np.array([level, unit, -intercept, *-center]), np.array([1.0, rounded[-1], 1.0, *coef])
        rest = np.append(coef - floats, _sum_of_products(*parts))
        floats = nearest_floats(self.columns, np.append(floats, intercept), rest)
        rounded[moves] = floats[:-1] / factor
        rounded[-1] = _sum_of_products(np.array([-level, *center, 1.0]), np.array([1.0, *floats])) / unit
        return rounded


def unchanged(boxes: list[BoxProblem], latest: list[Iterate], point: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Return a point as it is, with the objective and the gap there."""
    return point, np.array([here.value for here in latest]), np.array([here.gap for here in latest])


def rounded(
    rounding: Rounding, columns: Design, boxes: list[BoxProblem], latest: list[Iterate], point: NDArray
) -> tuple[NDArray, NDArray, NDArray]:
    """Return a point with rounded coefficients, and the objective and the gap there.

    It is the change of predictions that is computed, since they themselves lose as many digits.
    """
    point, exact = rounding.rounded(point), point
    values, gaps = np.empty(len(boxes)), np.empty(len(boxes))
    for output, (box, here) in enumerate(zip(boxes, latest, strict=True)):
        change = (point - exact)[:, output].astype(np.float64) / box.unit
        values[output] = box.loss(box.residual(here.point) - columns.dot(change))
        gaps[output] = max(here.gap + values[output] - here.value, 0.0)
    return point, values, gaps


def matched(
    of_columns: list[BoxProblem], n_free: int, boxes: list[BoxProblem], latest: list[Iterate], point: NDArray
) -> tuple[NDArray, NDArray, NDArray]:
    """Return the point whose predictions are those of a combination of rows, and the objective and the gap there.

    Of columns in very different units the combination has lost the digits of coefficients that are far smaller than
    others. What it predicts too little is the prediction of a further combination, which is added if F is less with it.
    The gap is that of the known slopes and of the coefficients that come out, in `of_columns`: the problems with X
    itself. Where L2 is so weak in some column that it has no bound, the gap is that of the rows and by how much F has
    changed.
    """
    point, values, gaps = point.copy(), np.empty(len(boxes)), np.empty(len(boxes))
    for output, (whole, box, here) in enumerate(zip(of_columns, boxes, latest, strict=True)):
        design, further, rank = box.design, np.zeros_like(here.point), len(here.point) - n_free
        given, X = design.to_problem(here.point), design.features.dense[:, :rank]
        off = (design.dot(here.point) - whole.design.dot(given))[: len(X)]
        further[rank:] = box.weight[: len(X)] @ off  # the columns have a mean of 0
        size = np.square(X).sum(axis=0)
        np.divide((off - further[rank:].sum()) @ X, size, out=further[:rank], where=size > 0)
        pull, has_intercept = whole.pull(here.dual), n_free > 0
        tried = [
            measured_with_l2(whole, moved, whole.residual(moved), here.dual, pull, has_intercept=has_intercept)
            for moved in (given, given + design.to_problem(further))
        ]
        there = min(tried, key=lambda each: each.value)
        point[:, output] += (there.point - given) * box.unit
        values[output], gaps[output] = there.value, min(there.gap, here.gap + abs(there.value - here.value))
    return point, values, gaps


def nearest_floats(columns: NDArray, floats: NDArray, rest: NDArray) -> NDArray:
    """Round numbers v to floats d so that X (d - v) is short: to the nearest plane (Babai, 1986).

    With X = QR, whose columns are in the order of their length times the spacing of floats at v_j::

        d_j  =  v_j - sum_{k > j} R_jk (d_k - v_k) / R_jj,  rounded            for each j, the last first

    So the finer coefficients take up what the rounding of the coarser ones changes. A column that depends on those
    before it is rounded by itself, since they take up all of it.

    Parameters
    ----------
    columns : ndarray of shape (n_rows, n)
        X.
    floats, rest : ndarray of shape (n,)
        v, as the sum of floats that are near and of what is left, which is in extended precision.

    Returns
    -------
    ndarray of shape (n,)
        d.
    """
    length = np.linalg.norm(columns, axis=0)
    order = np.argsort(np.spacing(np.abs(floats)) * length, kind="stable")
    triangle = linalg.qr(columns[:, order], mode="r", check_finite=False)[0]
    least = len(columns) * np.finfo(np.float64).eps * length
    changes, rounded = np.zeros(len(order)), floats.copy()
    for place, column in reversed(list(enumerate(order))):
        wanted = rest[column]
        if place < len(triangle) and abs(triangle[place, place]) > least[column]:
            wanted = wanted - triangle[place, place + 1 :] @ changes[place + 1 :] / triangle[place, place]
        rounded[column] = floats[column] + wanted
        changes[place] = rounded[column] - floats[column] - rest[column]
    return rounded


def _sum_of_products(left: NDArray, right: NDArray) -> np.longdouble:
    """Return the sum of products in twice the digits of extended precision."""
    return extended.dot(left[:, np.newaxis].astype(np.longdouble), right[:, np.newaxis].astype(np.longdouble))[0, 0]
