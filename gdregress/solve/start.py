"""The starting point of a descent."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdregress.method.assembly import Method
from gdregress.method.spec import Spec
from gdregress.problem.coordinates import Coordinates
from gdregress.problem.problem import Problem
from gdregress.rows.namespaces import to_host

Start = Callable[[Method, np.random.RandomState], NDArray]
"""A function that returns the starting point for a method, with a generator for a random one."""


def starting_point(spec: Spec, method: Method, rng: np.random.RandomState, past: Mapping[str, Any]) -> NDArray:
    """Return the starting point in long doubles: zero, random, or the coefficients of the last fit, with allowed signs.

    Where a target does not vary, its value is the intercept to start with: it is the minimum of every objective, and
    far from zero the rounding of a large value would decide where a descent ends. The steps of some optimizers are
    bounded: theirs begins near the best constant (see `Method.starts_near_constant`). In raw coordinates, those of the
    textbook, the start is zero all the same.
    """
    return method.problem.penalty.allowed(_any_point(spec, method, rng, past))


def _any_point(spec: Spec, method: Method, rng: np.random.RandomState, past: Mapping[str, Any]) -> NDArray:
    """Return the starting point, whatever its signs."""
    problem, coordinates = method.problem, method.problem.coordinates
    p, m = len(coordinates.center), len(coordinates.target_center)
    if spec.warm_start and "coef_" in past:
        coef = np.atleast_2d(to_host(past["coef_"])).T
        if coef.shape != (p, m):
            raise ValueError(
                f"warm_start=True would go on from {coef.shape[0]} features and {coef.shape[1]} outputs, "
                f"but these data have {p} and {m}: set warm_start=False, or fit a clone."
            )
        intercept = np.ravel(to_host(past["intercept_"]))
        for name, values in (("coef_", coef), ("intercept_", intercept)):
            if not np.isfinite(values).all():
                raise ValueError(
                    f"warm_start=True would go on from {values[~np.isfinite(values)][0]} in {name}: "
                    "set warm_start=False, or fit a clone."
                )
        return coordinates.from_raw(coef.astype(np.longdouble), intercept.astype(np.longdouble))
    if spec.init == "random":
        return random_point(coordinates, rng)
    start = np.zeros((p + coordinates.fit_intercept, m), np.longdouble)
    if coordinates.fit_intercept:
        first = -coordinates.target_center.astype(np.longdouble) / coordinates.target_scale  # an intercept of 0
        if method.starts_near_constant:
            first = np.clip(first, problem.constant - 1.0, problem.constant + 1.0)
        start[p] = np.where(problem.moments.y.deviation > 0, first, 0.0)
    return start


def point_of(problem: Problem, coef: NDArray, intercept: float) -> NDArray:
    """Return the point of coefficients and an intercept in the units of one target, in long doubles."""
    raw = coef[:, np.newaxis].astype(np.longdouble), np.array([intercept], np.longdouble)
    return problem.penalty.allowed(problem.coordinates.from_raw(*raw))


def random_point(coordinates: Coordinates, rng: np.random.RandomState) -> NDArray:
    """Return a standard normal draw in long doubles, of shape (n_coordinates, n_outputs)."""
    shape = (len(coordinates.center) + coordinates.fit_intercept, len(coordinates.target_center))
    return rng.standard_normal(shape).astype(np.longdouble)
