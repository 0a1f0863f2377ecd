"""The starting point of a descent."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdregress.method.spec import Spec
from gdregress.problem.coordinates import Coordinates


def starting_point(spec: Spec, coordinates: Coordinates, rng: np.random.RandomState, past: dict[str, Any]) -> NDArray:
    """Return the starting point in long doubles: zero, random, or the coefficients of the last fit.

    Parameters
    ----------
    spec : Spec
        The specification: `init` and `warm_start`.
    coordinates : Coordinates
        Coordinates of the point.
    rng : RandomState
        Draws a random start.
    past : dict
        Attributes of the estimator.

    Returns
    -------
    ndarray of shape (n_coordinates, n_outputs)
        The point whose coefficients and intercept are zero, a standard normal draw, or the last fit.

    Raises
    ------
    ValueError
        If the last fit had another number of features or outputs.
    """
    p, m = len(coordinates.center), len(coordinates.target_center)
    if spec.warm_start and "coef_" in past:
        coef = np.atleast_2d(past["coef_"]).T
        if coef.shape != (p, m):
            raise ValueError(
                f"warm_start=True would go on from {coef.shape[0]} features and {coef.shape[1]} outputs, "
                f"but these data have {p} and {m}: set warm_start=False, or fit a clone."
            )
        return coordinates.from_raw(coef.astype(np.longdouble), np.ravel(past["intercept_"]).astype(np.longdouble))
    if spec.init == "random":
        return rng.standard_normal((p + coordinates.fit_intercept, m)).astype(np.longdouble)
    start = np.zeros((p + coordinates.fit_intercept, m), np.longdouble)
    if coordinates.fit_intercept:
        start[p] = -coordinates.target_center.astype(np.longdouble) / coordinates.target_scale
    return start
