"""How long a step is: the user's rate, 1/L for the largest curvature L, or what mini-batches bear."""

from collections.abc import Callable
from dataclasses import replace
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigvalsh
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from gdregress.problem.losses import squared_error
from gdregress.problem.objectives import DataObjective, MomentObjective
from gdregress.problem.problem import Problem
from gdregress.rows.rows import Rows

CAUTION = 0.1
"""Share of the largest sensible rate that mini-batches take: their noise is as large as their rate."""

RATE_ROWS = 1000
"""Rows from which the rate of mini-batches is estimated."""

LANCZOS_TOL = 1e-6
"""Relative error of a largest curvature that is found from data."""


class FixedRate(NamedTuple):
    """A learning rate that is the same whatever is minimised."""

    rate: float

    def of(self, problem: Problem) -> float:
        """Return the rate."""
        return self.rate


class CurvatureRate(NamedTuple):
    """A learning rate for a loss of curvature 2: as much longer as the loss that is descended is less curved."""

    rate: float

    def of(self, problem: Problem) -> float:
        """Return the rate for the curvature of a problem."""
        return self.rate * 2.0 / problem.curvature


Rate = FixedRate | CurvatureRate


def steepest_curvature(problem: Problem) -> float:
    """Return the largest curvature L of squared error and L2 in the coordinates of a problem.

    Parameters
    ----------
    problem : Problem
        Its loss does not count.
    """
    coordinates, moments = problem.coordinates, problem.moments
    first = replace(coordinates, target_center=coordinates.target_center[:1], target_scale=coordinates.target_scale[:1])
    penalty = first.penalty(0.0, 2.0 * problem.alpha)
    objective: MomentObjective | DataObjective
    if moments.cross is not None:
        objective = MomentObjective(moments, first, penalty)
    else:
        one_output = problem.view.scaled.with_targets(itemgetter(np.s_[:, :1]))
        objective = DataObjective(one_output, first, squared_error(), penalty)
    return largest_curvature(objective, problem.n_coordinates)


def largest_curvature(objective: Any, n_coordinates: int) -> float:
    """Return L, the largest eigenvalue of the second derivatives; infinity where it overflows.

    Exact from moments; from data to about six digits (Lanczos, a pass over X a step).

    Parameters
    ----------
    objective : MomentObjective or DataObjective
        A quadratic, of one output where it is from data.
    n_coordinates : int
        Number of coordinates of its points.
    """
    if objective.is_quadratic:
        hessian = objective.hessian()
        if not np.isfinite(hessian).all():
            return float("inf")
        return float(eigvalsh(hessian, subset_by_index=[n_coordinates - 1] * 2)[0])
    [at_origin] = objective.evaluate([np.zeros((n_coordinates, 1))])

    def multiply(direction: NDArray) -> NDArray:
        [there] = objective.evaluate([direction.reshape(-1, 1)])
        return (there.gradient - at_origin.gradient).ravel()

    start = np.random.default_rng(0).standard_normal(n_coordinates)  # nearly orthogonal to no direction
    along = multiply(start)
    if n_coordinates == 1 or not along.any():
        return float(along[0] / start[0])
    hessian = LinearOperator((n_coordinates, n_coordinates), matvec=multiply, dtype=np.float64)
    try:
        largest = eigsh(hessian, k=1, which="LA", v0=start, tol=LANCZOS_TOL, return_eigenvectors=False)
    except ArpackNoConvergence as stalled:
        largest = stalled.eigenvalues
        if not len(largest):
            raise ValueError("The largest curvature of X was not found: use learning_rate='auto'.") from stalled
    return float(largest[0])


def batch_rate(problem: Problem, size: int, curvature: float, matrix: Any, mean_weight: float | None) -> float:
    """Return a rate for mini-batches: a share of 1/L, with what the rows of a batch add to L (Ma et al., 2018).

    Parameters
    ----------
    problem : Problem
        What is minimised.
    size : int
        Rows in a batch.
    curvature : float
        L; with a matrix it does not count.
    matrix : InverseHessian or None
        What gradients are multiplied by, if anything.
    mean_weight : float or None
        What weights count next to; None for the mean weight of the rows. Heavy rows add as much as many light ones.
    """
    rows, coordinates = problem.rows, problem.coordinates

    def standardised(X: NDArray) -> NDArray:
        Z = (X - coordinates.center) * coordinates.inverse_scale
        if matrix is not None:
            Z = np.sqrt(2.0) * matrix.root(Z.T).T
        return np.column_stack([Z, np.ones(len(X))]) if coordinates.fit_intercept else Z

    heavy, uneven = weight_moments(rows, mean_weight)
    added = uneven * fourth_moment(rows, standardised, RATE_ROWS) / min(size, rows.n_weighted)
    if matrix is not None:
        return CAUTION / (heavy + added)
    return CAUTION / (heavy * curvature + 2.0 * added)


def fourth_moment(rows: Rows, coordinates: Callable[[Any], NDArray], sample: int) -> float:
    """Estimate E|x|^4 / E|x|^2 from a sample of rows: what a batch of one adds to the largest curvature.

    Parameters
    ----------
    rows : Rows
        All rows.
    coordinates : callable
        From rows of X to the coordinates in which they are measured.
    sample : int
        How many rows to look at.
    """
    X, _ = rows.sample(sample)
    squares = (coordinates(X) ** 2).sum(axis=1)
    return float((squares**2).mean() / squares.mean()) if squares.any() else 0.0


def weight_moments(rows: Rows, mean_weight: float | None = None) -> tuple[float, float]:
    """Return the mean weight of the rows that count, and the mean square over the mean, in units of a mean weight.

    Parameters
    ----------
    rows : Rows
        Rows that are here.
    mean_weight : float, default=None
        The unit; None for the mean weight of these rows.
    """
    mean = rows.total_weight / rows.n_weighted
    unit = mean if mean_weight is None else mean_weight
    here = rows.targets()
    if here is None or here[1] is None:
        return mean / unit, mean / unit
    squares = float(here[1] @ here[1]) / rows.n_weighted
    return mean / unit, squares / mean / unit
