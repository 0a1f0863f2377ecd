"""A typical loss: a mean that a few wild rows cannot move."""

import numpy as np
from numpy.typing import NDArray

WINSORISED = 10.0
"""Multiple of an ordinary loss at which a row's loss is cut off in the scale of the gap."""

ORDINARY = 0.8
"""Share of the rows whose losses are at most an ordinary one."""


def typical(losses: NDArray, weight: NDArray) -> float:
    """Return the weighted mean of losses, each cut off where it is wild.

    A tenth of wild rows can own the objective, but they cannot move this.
    """
    return float(weight @ np.minimum(losses, cut_off(losses)))


def cut_off(losses: NDArray) -> float:
    """Return the loss from which one is wild: ten times an ordinary one, which a fifth of the rows exceed.

    If four fifths of the rows have no loss, an ordinary one is the median of the others.
    """
    ordinary = quantile(losses, ORDINARY)
    if not ordinary > 0:
        positive = losses[losses > 0]
        ordinary = float(np.median(positive)) if len(positive) else 0.0
    return WINSORISED * ordinary


def quantile(values: NDArray, share: float) -> float:
    """Return a quantile as `numpy.quantile` does, in a tenth of its time for some hundred values."""
    place = share * (len(values) - 1)
    low = int(place)
    ordered = np.partition(values, (low, min(low + 1, len(values) - 1)))
    return float(ordered[low] + (place - low) * (ordered[min(low + 1, len(values) - 1)] - ordered[low]))
