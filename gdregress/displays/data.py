"""What an animation shows of the data beside the surface: a line through them, or predictions."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gdregress.displays.drawing import BLUE, GREY, RED
from gdregress.displays.objective import RawObjective

MOST_ROWS = 500
"""Largest number of rows shown; of more, those evenly spaced are taken."""


class LineThroughData(NamedTuple):
    """One feature and the target, and the line of each epoch.

    Attributes
    ----------
    column, y : ndarray of shape (n_rows,)
        Values of the feature, and targets.
    coef, intercept : ndarray of shape (n_points,)
        Coefficient and intercept of each epoch shown.
    """

    column: NDArray
    y: NDArray
    coef: NDArray
    intercept: NDArray

    def draw(self, ax: Any, name: str) -> Callable[[int], None]:
        """Draw the rows; return the function that moves the line to an epoch. `name` is that of the coefficient."""
        ax.plot(self.column, self.y, "o", color=BLUE, markersize=4)
        (line,) = ax.plot([], [], color=RED)
        ax.set(xlabel=name.removeprefix("coefficient of ").replace("coefficient", "x"), ylabel="y")
        ends = np.array([self.column.min(), self.column.max()])
        low, high = self.y.min(), self.y.max()
        ax.set_ylim(low - 0.2 * (high - low), high + 0.2 * (high - low))
        return lambda frame: line.set_data(ends, self.intercept[frame] + self.coef[frame] * ends)


class Predictions(NamedTuple):
    """The target, and what each epoch predicts.

    Attributes
    ----------
    y : ndarray of shape (n_rows,)
        Targets.
    predicted : ndarray of shape (n_points, n_rows)
        Predictions of each epoch shown.
    """

    y: NDArray
    predicted: NDArray

    def draw(self, ax: Any, name: str) -> Callable[[int], None]:
        """Draw the line of perfect predictions; return the function that moves the rows to those of an epoch."""
        (points,) = ax.plot([], [], "o", color=BLUE, markersize=3, alpha=0.6)
        low, high = self.y.min(), self.y.max()
        ax.plot([low, high], [low, high], color=GREY, linewidth=1)
        ax.set(xlabel="y", ylabel="predicted", xlim=(low, high), ylim=(low, high))
        return lambda frame: points.set_data(self.y, self.predicted[frame])


def shown_data(objective: RawObjective, points: NDArray) -> LineThroughData | Predictions:
    """Return what is shown of the rows of an objective at points of shape (n_points, n_coordinates)."""
    rows = np.linspace(0, len(objective.y) - 1, min(len(objective.y), MOST_ROWS)).astype(int)
    n_features = objective.X.shape[1]
    coef = points[:, :n_features]
    intercept = points[:, n_features] if points.shape[1] > n_features else np.zeros(len(points))
    X, y = objective.X[rows], objective.y[rows]
    if n_features == 1:
        column = X.toarray().ravel() if hasattr(X, "toarray") else X[:, 0]
        return LineThroughData(column, y, coef[:, 0], intercept)
    with np.errstate(over="ignore", invalid="ignore"):
        return Predictions(y, np.asarray((X @ coef.T).T) + intercept[:, np.newaxis])
