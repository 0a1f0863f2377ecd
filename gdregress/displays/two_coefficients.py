"""Two coefficients of a fitted model: which, over which values, and with what values of the others."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator

from gdregress.displays.objective import RawObjective
from gdregress.rows.moments import Moments

NODES = 13
"""Values of each coefficient at which the others are fitted, if they are no linear function of the two."""

CROWDING = 4.0
"""How densely these values lie near the minimum: their spacing there is cosh(4) times smaller than at the ends."""

MARGIN = 0.15
"""Margin of the axes, as a share of the range of a coefficient."""

FAINT = 1e-6
"""Range of a coefficient that counts as zero, as a share of (deviation of y) / (deviation of its column)."""


def natural_units(moments: Moments) -> NDArray:
    """Return the natural units of coefficients and intercept: deviation of y over deviations of the columns and 1."""
    target = float(moments.y.deviation[0]) or abs(float(moments.y.mean[0]))
    deviation = moments.x.deviation
    return (target or 1.0) / np.append(np.where(deviation > 0.0, deviation, 1.0), 1.0)


def chosen_coefficients(estimator: Any, coefficients: Sequence[int | str] | None, points: NDArray) -> list[int]:
    """Return the indices of the two coefficients in a point; `points` are those of the path, in natural units."""
    n_features, n_coordinates = estimator.n_features_in_, points.shape[1]
    if n_coordinates < 2:
        raise ValueError("A surface needs two coefficients, but there is one and no intercept: use fit_intercept=True.")
    if coefficients is None:
        if n_features == 1:
            return [0, 1]
        moved = np.ptp(np.where(np.isfinite(points), points, 0.0)[:, :n_features], axis=0)
        return sorted(np.argsort(-moved, kind="stable")[:2].tolist())
    names = [*getattr(estimator, "feature_names_in_", range(n_features))]
    places = []
    for each in coefficients if isinstance(coefficients, Iterable) else (coefficients,):
        if each == "intercept" and estimator.fit_intercept:
            places.append(n_features)
        elif each in names:
            places.append(names.index(each))
        elif isinstance(each, int | np.integer) and 0 <= each < n_features:
            places.append(int(each))
        else:
            known = "'intercept'" if estimator.fit_intercept else "no intercept"
            raise ValueError(
                f"coefficients={coefficients!r}: {each!r} is none of the {n_features} features, nor {known}."
            )
    if len(set(places)) != 2:
        raise ValueError(f"coefficients={coefficients!r} are not two different ones: name two.")
    return places


def names_of(estimator: Any, chosen: list[int]) -> tuple[str, str]:
    """Return the names of the coefficients at two indices."""
    n_features = estimator.n_features_in_
    names = ["coefficient"] if n_features == 1 else [f"coefficient {column}" for column in range(n_features)]
    if hasattr(estimator, "feature_names_in_"):
        names = [f"coefficient of {name}" for name in estimator.feature_names_in_]
    first, second = ([*names, "intercept"][place] for place in chosen)
    return first, second


def values_about(path: NDArray, minimum: float, unit: float, fell: NDArray, resolution: int) -> NDArray:
    """Return values of a coefficient that cover the start, the minimum and the nearby part of the path.

    Epochs whose loss is at most that of the start (`fell`) are covered however far away.
    """
    away = np.abs(path - minimum)
    reach = next(far for far in (away[0], away[np.isfinite(away)].max(), unit) if far > FAINT * unit)
    near = path[fell | (away <= 2.0 * reach)]
    low, high = near.min(initial=minimum), near.max(initial=minimum)
    if high - low <= FAINT * unit:
        low, high = minimum - reach, minimum + reach
    low, high = min(low, minimum - 0.5 * (high - low)), max(high, minimum + 0.5 * (high - low))
    edge = MARGIN * (high - low)
    return np.linspace(low - edge, high + edge, resolution)


def completion(
    objective: RawObjective, chosen: list[int], ranges: tuple, others: str, fitted: NDArray, minimum: NDArray
) -> Callable[[NDArray], NDArray]:
    """Return a function from values of the two coefficients (n, 2) to points (n, n_coordinates).

    For squared error with L2, the optimal others are linear functions of the two, which four fits determine. For other
    objectives they are interpolated between fits. These lie more densely near the minimum, where small errors matter.
    """
    if others == "fixed" or len(fitted) == 2:
        return lambda values: _with(chosen, values, np.tile(fitted, (len(values), 1)))
    estimator = objective.estimator
    is_linear = estimator.loss == "squared_error" and estimator.penalty in (None, "l2") and not estimator.positive
    ways = np.sinh(CROWDING * np.linspace(-1.0, 1.0, 2 if is_linear else NODES)) / np.sinh(CROWDING)
    nodes = [
        np.interp(ways, [-1.0, 0.0, 1.0], [values[0], minimum[place], values[-1]])
        for values, place in zip(ranges, chosen, strict=True)
    ]
    best = np.array([[objective.best_others(chosen, np.array([a, b])) for b in nodes[1]] for a in nodes[0]])
    interpolate = RegularGridInterpolator(nodes, best)
    return lambda values: _with(chosen, values, interpolate(values))


def _with(chosen: list[int], values: NDArray, points: NDArray) -> NDArray:
    """Return points whose two coefficients have other values."""
    points[:, chosen] = values
    return points
