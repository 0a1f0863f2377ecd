"""Validation rows of early stopping: the checks of those given, the random split, and their loss."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdregress.problem.objectives import DataObjective, MomentObjective, Objective
from gdregress.problem.problem import Problem
from gdregress.rows.moments import Moments
from gdregress.rows.rows import Rows
from gdregress.solve.stopping import SLOWLY

TIMES = 10.0
"""How much farther from the mean of X, or nearer, a column of X_val is than X, if it was not transformed as X was."""

CONSTANT = 1e-9
"""Deviation of a column, as a share of its mean, up to which it is constant but for rounding."""


def for_nothing(estimator: Any) -> str:
    """Return what is said where rows were held out and the descent converged all the same."""
    is_slow = (estimator.learning_rate, estimator.optimizer) == ("diagonal", "gd")
    slowly = "" if is_slow else f", or {SLOWLY} to stop on the way there"
    return (
        "early_stopping held out rows without effect, since the descent converged before the validation loss rose: "
        f"set early_stopping=False to fit all rows{slowly}."
    )


def check_validation_arguments(early_stopping: bool, X_val, y_val, sample_weight_val) -> None:
    """Raise if X_val, y_val and sample_weight_val are incomplete, or given without early stopping.

    The conditions are those of scikit-learn's HistGradientBoostingRegressor.

    Raises
    ------
    ValueError
        If one is given without another that it needs, or without early stopping.
    """
    if X_val is None and y_val is None:
        if sample_weight_val is not None:
            raise ValueError("sample_weight_val is provided, but X_val and y_val were not provided.")
        return
    if y_val is None:
        raise ValueError("X_val is provided, but y_val was not provided.")
    if X_val is None:
        raise ValueError("y_val is provided, but X_val was not provided.")
    if not early_stopping:
        raise ValueError(
            "X_val and y_val are passed to fit while early_stopping=False: "
            "set early_stopping=True to stop on them, or leave them out."
        )


def split_off(rows: Rows, fraction: float, random_state) -> tuple[Rows, Rows]:
    """Split the rows of positive weight at random into training and validation rows.

    The training rows are all rows, with a weight of zero for those held out. So only the rows held out are copied.
    """
    if math.ceil(fraction * rows.n_weighted) >= rows.n_weighted:
        counted = " of positive weight" if rows.n_weighted < rows.n_samples else ""
        raise ValueError(
            f"validation_fraction={fraction:g} of n_samples={rows.n_weighted}{counted} leaves no row to train on: "
            "pass X_val and y_val, or hold out fewer."
        )
    return rows.split(fraction, random_state)


def validation_value(
    rows: Rows, problem: Problem, *, given: bool
) -> tuple[Callable[[NDArray], NDArray], tuple[str, ...]]:
    """Return the function that evaluates the loss of points on the validation rows, and what is to be said of these.

    For squared error it uses their moments, if the problem has the products of the columns; else the rows.

    Parameters
    ----------
    rows : Rows
        Validation rows.
    problem : Problem
        The problem that is minimised, on the training rows.
    given : bool
        Whether these are the rows of X_val, and not some of X.

    Returns
    -------
    evaluate : callable
        Takes points side by side, of shape (n_coordinates, n_points * n_outputs), and returns the loss of each
        column, without the penalty.
    remarks : tuple of str
        A sentence, if most columns of X_val lie over ten times as far from the mean of X as X does, or less than a
        tenth as far.

    Raises
    ------
    ValueError
        If X_val holds NaN or infinity.
    """
    coordinates = problem.coordinates
    by_moments = problem.terms.is_squared_error and problem.moments.cross is not None
    moments = rows.moments(products=by_moments)
    remarks = _remarks_on_units(moments, problem) if given else ()
    nothing = coordinates.penalty(0.0, 0.0)
    objective: Objective
    if by_moments:
        moments = moments if coordinates.fit_intercept else moments.about_origin()
        objective = MomentObjective(moments, coordinates, nothing)
    else:
        objective = DataObjective(rows.with_targets(coordinates.targets), coordinates, problem.loss, nothing)
    return lambda points: objective.values([points])[0], remarks


def _remarks_on_units(moments: Moments, problem: Problem) -> tuple[str, ...]:
    x, x_val = problem.moments.x, moments.x
    distance = np.hypot(x_val.mean - x.mean, x_val.deviation)
    varies = x_val.deviation > CONSTANT * np.abs(x_val.mean)  # few rows may lack what is rare in X
    off = (distance > TIMES * x.deviation) | ((TIMES * distance < x.deviation) & varies)
    if off.mean() <= 0.5:
        return ()
    return (
        f"{int(off.sum())} of {len(off)} columns of X_val lie over ten times as far from the mean of X as X does, or "
        "less than a tenth as far: was X_val transformed as X was? In a pipeline, use "
        "Pipeline(..., transform_input=['X_val']).",
    )
