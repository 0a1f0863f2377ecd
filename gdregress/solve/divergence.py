"""When a descent has diverged: one answer, for the sentence of a fit, for chunks, and for the epochs of a search."""

import numpy as np
from numpy.typing import NDArray

NO_RISE = 1e-9
"""Relative rise above the start that counts as none: a descent that swings comes by its start up to rounding."""

FAR = 2.0
"""Multiple of the start above which a value counts as that: a few that are far above do not decide a mean."""

BETTER = 0.5
"""Share of the start below which the last epoch shows that the descent has arrived, whatever came before."""


def has_diverged(values: NDArray, baseline: float = 0.0) -> NDArray:
    """Return, for each epoch, whether a descent has diverged if it is the last one.

    It has, if that epoch is above the start, or if the mean over the second half of the epochs is, and that epoch is
    not far below. The last epoch alone does not tell. Where the loss grows only linearly its slope is bounded, so a
    rate that is too large makes the descent swing to and fro, and every second epoch may be as good as the start. Nor
    does the worst epoch: mini-batches have noise.

    Parameters
    ----------
    values : ndarray of shape (n_epochs + 1,)
        The objective, that of the start first.
    baseline : float, default=0.0
        An objective that is not bad: what is not above it has not diverged, however good the start.
    """
    level = max(baseline, float(values[0])) * (1.0 + NO_RISE)
    most = max(FAR * level, np.finfo(np.float64).tiny)
    here = np.minimum(np.where(np.isfinite(values), values, most), most)
    above = here - level
    total, lengths = np.append(0.0, np.cumsum(above)), np.arange(1, len(values) + 1)
    return (above > 0.0) | ((total[lengths] > total[lengths // 2]) & (here > BETTER * level))
