"""A typical loss: a mean that a few wild rows cannot move."""

import numpy as np
from numpy.typing import NDArray

WINSORISED = 10.0
"""Multiple of an ordinary loss at which a row's loss is cut off in the scale of the gap."""

ORDINARY = 0.8
"""Share of the weight whose losses are at most an ordinary one."""

ROUNDING = 1e-9
"""Share of the weight that sums of weights may lack by rounding: a row of weight 2 is two rows."""

FEW = 2**12
"""Values that are sorted at once."""


def typical(losses: NDArray, weight: NDArray) -> float:
    """Return the weighted mean of losses, each cut off where it is wild.

    Wild rows of a tenth of the weight can own the objective, but they cannot move this.
    """
    return float(weight @ np.minimum(losses, cut_off(losses, weight)))


def cut_off(losses: NDArray, weight: NDArray) -> float:
    """Return the loss from which one is wild: ten times an ordinary one, which a fifth of the weight exceeds.

    If four fifths of the weight have no loss, an ordinary one is the median of the others.
    """
    ordinary = quantile(losses, weight, ORDINARY)
    if not ordinary > 0:
        has_loss = losses > 0
        ordinary = quantile(losses[has_loss], weight[has_loss], 0.5) if has_loss.any() else 0.0
    return WINSORISED * ordinary


def quantile(values: NDArray, weight: NDArray, share: float) -> float:
    """Return the least value that is not exceeded by a share of the weight.

    Parameters
    ----------
    values, weight : ndarray of shape (n_values,)
        Values, and their non-negative weights.
    share : float
        The share.
    """
    share *= 1.0 - ROUNDING
    if (weight == weight[0]).all():
        place = int(np.ceil(share * len(values))) - 1
        return float(np.partition(values, place)[place])
    left = share * float(weight.sum())
    while (n := len(values)) > FEW:
        middle = np.partition(values, n // 2)[n // 2]
        is_low = values < middle
        below = float(weight[is_low].sum())
        if below < left:
            left, is_low = left - below, ~is_low
        if is_low.all():
            break  # half of the values are equal
        values, weight = values[is_low], weight[is_low]
    order = np.argsort(values)
    place = int(np.searchsorted(np.cumsum(weight[order]), left))
    return float(values[order[min(place, len(order) - 1)]])
