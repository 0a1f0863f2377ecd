"""When a descent has diverged: one answer, for the sentence of a fit, for chunks, and for the epochs of a search."""

import numpy as np
from numpy.typing import NDArray

ROUNDING = 1e-9
"""Relative rise above the start that counts as none: a descent that swings comes by its start up to rounding."""


def has_diverged(values: NDArray, baseline: float = 0.0) -> NDArray:
    """Return, for each epoch, whether a descent has diverged if it is the last one.

    It has, if any value of the second half of the epochs is above the start. The last epoch alone does not tell. Where
    the loss grows only linearly its slope is bounded, so a rate that is too large makes the descent swing to and fro,
    and every second epoch may be as good as the start.

    Parameters
    ----------
    values : ndarray of shape (n_epochs + 1,)
        The objective, that of the start first.
    baseline : float, default=0.0
        An objective that is not bad: what is not above it has not diverged, however good the start.
    """
    is_above = ~(values <= max(baseline, float(values[0])) * (1.0 + ROUNDING))
    n_above = np.append(0, np.cumsum(is_above))
    lengths = np.arange(1, len(values) + 1)
    return n_above[lengths] > n_above[lengths // 2]
