"""Mini-batches: the rows in random order, a few at a time, each an objective of its own."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdregress.blocks import RowBlocks


def endless_batches(rows: RowBlocks, size: int, random_state: np.random.RandomState | None) -> Iterator[RowBlocks]:
    """Give the rows of positive weight `size` at a time, pass after pass.

    Parameters
    ----------
    rows : RowBlocks
        All rows.
    size : int
        Rows in a batch; the last of a pass may have fewer.
    random_state : RandomState or None
        Shuffles before every pass; None leaves the rows in their order, and a batch of them is a
        view of X where no row has weight zero.

    Yields
    ------
    RowBlocks
    """
    if random_state is None and rows.n_weighted == rows.n_samples:
        while True:
            for start in range(0, rows.n_samples, size):
                yield _part(rows, slice(start, start + size))
    counted = np.arange(rows.n_samples) if rows.weight is None else np.flatnonzero(rows.weight)
    while True:
        order = counted if random_state is None else random_state.permutation(counted)
        for start in range(0, len(order), size):
            yield _part(rows, order[start : start + size])


def n_batches(rows: RowBlocks, size: int) -> int:
    """Count the batches of a pass."""
    return -(-rows.n_weighted // size)


def _part(rows: RowBlocks, chosen: NDArray | slice) -> RowBlocks:
    weight = None if rows.weight is None else rows.weight[chosen]
    if isinstance(chosen, slice) or rows.is_sparse:
        return RowBlocks(rows.X[chosen], rows.y[chosen], weight, n_threads=1)
    return RowBlocks(rows.X.take(chosen, axis=0), rows.y.take(chosen, axis=0), weight, n_threads=1)


def batch_share(batch: RowBlocks, rows: RowBlocks) -> float:
    """Give what the sums over a batch are divided by, so that on average they are those over all rows."""
    return rows.total_weight * batch.n_samples / rows.n_weighted


def fourth_moment(rows: RowBlocks, coordinates: Callable[[Any], NDArray], sample: int) -> float:
    """Estimate E|x|^4 / E|x|^2 from a sample of rows: what a batch of one adds to the largest curvature.

    Parameters
    ----------
    rows : RowBlocks
        All rows.
    coordinates : callable
        From rows of X to the coordinates in which they are measured.
    sample : int
        How many rows to look at.
    """
    X, _ = rows.sample(sample)
    squares = (coordinates(X) ** 2).sum(axis=1)
    return float((squares**2).mean() / squares.mean()) if squares.any() else 0.0


def weight_moments(rows: RowBlocks, mean_weight: float | None = None) -> tuple[float, float]:
    """Give the mean weight of the rows that count, and the mean square over the mean, in units of a mean weight.

    Parameters
    ----------
    rows : RowBlocks
        Rows.
    mean_weight : float, default=None
        The unit; None for the mean weight of these rows.
    """
    mean = rows.total_weight / rows.n_weighted
    unit = mean if mean_weight is None else mean_weight
    if rows.weight is None:
        return mean / unit, mean / unit
    squares = float(rows.weight @ rows.weight) / rows.n_weighted
    return mean / unit, squares / mean / unit
