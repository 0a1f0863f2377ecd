"""Learning rates: the user's number, 1/L for the largest curvature L, or a smaller rate for mini-batches."""

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
from gdregress.rows.rows import Rows, drawable

CAUTION = 0.1
"""Share of the largest stable rate that mini-batches take, since the noise of their gradients grows with the rate."""

RATE_ROWS = 1000
"""Number of rows from which the rate of mini-batches is estimated."""

LANCZOS_TOL = 1e-6
"""Relative error of the largest curvature L where Lanczos iterations find it from the rows."""

RESTARTED = 20
"""Number of Lanczos vectors from which these iterations begin anew; the value of SciPy."""


class FixedRate(NamedTuple):
    """A learning rate that is the same for every problem.

    Attributes
    ----------
    rate : float
        eta.
    """

    rate: float

    def of(self, problem: Problem) -> float:
        """Return eta."""
        return self.rate


class CurvatureRate(NamedTuple):
    """A learning rate in inverse proportion to the curvature c of the loss: ``2 eta / c``.

    Attributes
    ----------
    rate : float
        eta, for a loss of curvature 2 such as squared error.
    """

    rate: float

    def of(self, problem: Problem) -> float:
        """Return the rate for the loss of a problem, smoothed by its mu."""
        return self.rate * 2.0 / problem.curvature


Rate = FixedRate | CurvatureRate


def steepest_curvature(problem: Problem) -> float:
    """Return the largest curvature L of squared error and L2 in the coordinates of a problem.

    Parameters
    ----------
    problem : Problem
        The problem; L does not depend on its loss.
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
    """Return L, the largest eigenvalue of the second derivatives; infinity where they overflow.

    From moments L is exact. From rows it has about six digits; each Lanczos iteration is a pass over X.

    Parameters
    ----------
    objective : MomentObjective or DataObjective
        A quadratic; with one output if it is a DataObjective.
    n_coordinates : int
        Number of coordinates of its points.

    Raises
    ------
    ValueError
        If the Lanczos iterations do not converge.
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

    largest = largest_eigenvalue(multiply, n_coordinates)
    if largest is None:
        raise ValueError("The largest curvature of X was not found: use learning_rate='auto'.")
    return largest


def largest_eigenvalue(
    multiply: Callable[[NDArray], NDArray], size: int, most_products: int | None = None, tol: float = LANCZOS_TOL
) -> float | None:
    """Return the largest eigenvalue of a symmetric matrix, by Lanczos iterations; None if they do not converge.

    Parameters
    ----------
    multiply : callable
        Function from a vector to its product with the matrix.
    size : int
        Number of rows of the matrix.
    most_products : int, default=None
        About how many products to take at most; None for as many as the size suggests.
    tol : float, default=LANCZOS_TOL
        Relative error.
    """
    start = np.random.default_rng(0).standard_normal(size)  # random, so orthogonal to no eigenvector
    along = multiply(start)
    if size == 1 or not along.any():
        return float(along[0] / start[0])
    matrix = LinearOperator((size, size), matvec=multiply, dtype=np.float64)
    restarts = None if most_products is None else max(1, most_products // RESTARTED)
    try:
        largest = eigsh(
            matrix,
            k=1,
            which="LA",
            v0=start,
            ncv=min(RESTARTED, size),
            maxiter=restarts,
            tol=tol,
            return_eigenvectors=False,
        )
    except ArpackNoConvergence as stalled:
        largest = stalled.eigenvalues
    return float(largest[0]) if len(largest) else None


def inverse_curvature(curvature: float) -> float:
    """Return 1/L, or 1 where L is 0: where every row is 0, any rate will do."""
    return 1.0 / curvature if curvature > 0 else 1.0


def batch_rate(problem: Problem, size: int, mean_weight: float, curvature: float, matrix: Any) -> float:
    """Return the learning rate of mini-batches (after Ma, Bassily and Belkin, 2018).

    With s the weights in units of `mean_weight`, and k rows in a batch, the rate is `CAUTION` times ::

        1 / (E s L + 2 (E s^2 / E s) (E |x|^4 / E |x|^2) / k)

    With a matrix as preconditioner, x is measured in its coordinates, in which L = 2, and the rate is twice this.

    Parameters
    ----------
    problem : Problem
        The problem.
    size : int
        Rows in a batch, k; at most those of positive weight.
    mean_weight : float
        Weight that counts as 1.
    curvature : float
        L; with a matrix it has no effect.
    matrix : InverseHessian or None
        Preconditioner P; None for the identity.
    """
    rows, coordinates = problem.rows, problem.coordinates

    def standardised(X: NDArray) -> NDArray:
        Z = (X - coordinates.center) * coordinates.inverse_scale
        if matrix is not None:
            Z = np.sqrt(2.0) * matrix.root(Z.T).T
        return np.column_stack([Z, np.ones(len(X))]) if coordinates.fit_intercept else Z

    heavy, uneven = weight_moments(rows, mean_weight)
    added = uneven * fourth_moment(rows, standardised, RATE_ROWS) / size
    if matrix is not None:
        return CAUTION / (heavy + added)
    return CAUTION * inverse_curvature(heavy * curvature + 2.0 * added)


def fourth_moment(rows: Rows, coordinates: Callable[[Any], NDArray], sample: int) -> float:
    """Estimate E |x|^4 / E |x|^2 from a sample of rows: half of what batches of one row add to L.

    Parameters
    ----------
    rows : Rows
        All rows.
    coordinates : callable
        Function from rows of X to the coordinates in which |x| is measured.
    sample : int
        Number of rows in the sample.
    """
    X, _ = drawable(rows).sample(sample)
    squares = (coordinates(X) ** 2).sum(axis=1)
    return float((squares**2).mean() / squares.mean()) if squares.any() else 0.0


def weight_moments(rows: Rows, mean_weight: float) -> tuple[float, float]:
    """Return E s and E s^2 / E s, for the weights s of the rows of positive weight.

    Parameters
    ----------
    rows : Rows
        The rows.
    mean_weight : float
        Unit of the weights.

    Returns
    -------
    heavy : float
        E s.
    uneven : float
        E s^2 / E s; E s where the weights are equal or not in memory.
    """
    mean, here = rows.total_weight / rows.n_weighted, rows.in_memory
    if here is None or here.weight is None:
        return mean / mean_weight, mean / mean_weight
    squares = float(here.weight @ here.weight) / rows.n_weighted
    return mean / mean_weight, squares / mean / mean_weight
