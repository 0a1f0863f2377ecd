"""The moments of rows together, from the moments of their parts: no row is read again."""

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdregress.rows.extended import two_sum
from gdregress.rows.moments import Columns, Moments
from gdregress.rows.ranges import safe_unit

UNITED_ENTRIES = 2**22
"""Entries of the means of all parts that are held for a group of unions at a time: 32 MB."""


def union(one: Moments, other: Moments) -> Moments:
    """Return the moments of some rows and others together, as `united` does."""
    [both] = united([one, other], np.ones((1, 2), np.intp))
    return both


def united(parts: Sequence[Moments], counts: NDArray) -> list[Moments]:
    """Return the moments of unions of parts, all of them in a few steps (after Chan, Golub and LeVeque, 1983).

    With w_k the share of part k in the weight of a union, and m_0 the mean of its heaviest part::

        mean   =  m_0 + sum_k w_k (m_k - m_0)
        cross  =  sum_k w_k cross_k + sum_k w_k (m_k - mean)(m_k - mean)'

    Nothing is subtracted but means from means. The moments of a union of one part are those of this part.

    Parameters
    ----------
    parts : sequence of Moments
        Moments of rows with the same columns. The results have `cross` if all have.
    counts : ndarray of int, of shape (n_unions, n_parts)
        How often the rows of each part are in each union, which has at least one part.
    """
    is_one = counts.sum(axis=1) == 1
    joined = iter(_joined(parts, counts[~is_one]))
    return [parts[int(times.argmax())] if one else next(joined) for times, one in zip(counts, is_one, strict=True)]


def _joined(parts: Sequence[Moments], counts: NDArray) -> list[Moments]:
    """Return the moments of unions of several parts."""
    columns = _columns_of(parts)
    if (columns[2] == _safe_units(columns)).all():
        crosses: Any = [part.cross for part in parts]
        if len(counts) > 1 and all(cross is not None for cross in crosses):
            crosses = np.stack(crosses)
        at_a_time = max(1, UNITED_ENTRIES // columns[0].size)
        groups = [
            _united(parts, columns, crosses, counts[first : first + at_a_time])
            for first in range(0, len(counts), at_a_time)
        ]
        return [union for group in groups for union in group]
    several = []
    for times in counts:
        some = np.flatnonzero(times)
        units = np.split(_safe_units(columns[:, some]), [len(parts[0].x.mean)])
        same = [parts[k].in_units(*units) for k in some.tolist()]
        several += _united(same, _columns_of(same), [part.cross for part in same], times[np.newaxis, some])
    return several


def _columns_of(parts: Sequence[Moments]) -> NDArray:
    """Return the fields of `Columns` in their order, of shape (5, n_parts, n_columns), with the columns of y last."""
    return np.stack([np.concatenate([part.x, part.y], axis=1) for part in parts], axis=1)


def _safe_units(columns: NDArray) -> NDArray:
    """Return units of the columns in which the squares of all parts are in range."""
    mean, _, unit, variance, _ = columns
    return safe_unit(np.maximum(np.abs(mean), unit * np.sqrt(variance)).max(axis=0))


def _united(parts: Sequence[Moments], columns: NDArray, crosses: Any, counts: NDArray) -> list[Moments]:
    """Return the moments of unions of parts in the same units, given the columns and the `cross` of each."""
    p, (mean, remainder, (unit, *_), variance, cancellation) = len(parts[0].x.mean), columns
    weights = counts * [part.weight for part in parts]
    totals, first = weights.sum(axis=1), weights.argmax(axis=1)
    share, is_in = weights / totals[:, np.newaxis], counts > 0
    scaled, rest = mean / unit, remainder / unit
    drift = scaled - scaled[first][:, np.newaxis] + (rest - rest[first][:, np.newaxis])
    # If a column is constant, the means of all parts are its value and differ only by the rounding of a sum.
    varies = is_in @ (variance > 0)
    if not varies[:, :p].all():
        size = np.where(is_in[:, :, np.newaxis], np.abs(scaled), 0.0).max(axis=1, keepdims=True)
        is_rounding = np.abs(drift) <= 8 * np.finfo(np.float64).eps * size
        is_rounding[:, :, p:] = False
        drift[is_rounding & ~varies[:, np.newaxis]] = 0.0
    moved = (share[:, np.newaxis] @ drift)[:, 0]
    drift -= moved[:, np.newaxis]
    drift *= np.sqrt(share)[:, :, np.newaxis]
    mean, remainder = two_sum(mean[first], remainder[first] + moved * unit)
    between = np.square(drift).sum(axis=1)
    mean_squares = share @ (np.where(variance > 0, cancellation, 0.0) * variance) + between
    variance = share @ variance + between
    turned = drift[:, :, :p].transpose(0, 2, 1)
    joint = _weighted_sums(share, [part.target_cross for part in parts]) + turned @ drift[:, :, p:]
    cross: Iterable[Any] = repeat(None)
    if all(each is not None for each in crosses):
        cross = _weighted_sums(share, crosses)
        for products, one, other in zip(cross, turned, drift, strict=True):
            products += one @ other[:, :p]
        variance[:, :p] = cross.diagonal(axis1=1, axis2=2)
    cancellation = np.divide(mean_squares, variance, out=np.ones_like(variance), where=variance > 0)
    n_samples = counts @ [part.n_samples for part in parts]
    precision = max({part.precision for part in parts}, key=lambda kind: np.finfo(kind).eps)
    both = np.stack([mean, remainder, np.broadcast_to(unit, mean.shape), variance, cancellation], axis=1)
    return [
        Moments(weight, n, Columns(*each[:, :p]), Columns(*each[:, p:]), of_x, of_y, precision)
        for weight, n, each, of_x, of_y in zip(totals.tolist(), n_samples.tolist(), both, cross, joint, strict=False)
    ]


def _weighted_sums(share: NDArray, matrices: Any) -> NDArray:
    """Return a weighted sum of matrices for each row of `share`; for one row they need not be brought together."""
    if len(share) == 1:
        total, part = share[0, 0] * matrices[0], np.empty_like(matrices[0])
        for weight, matrix in zip(share[0, 1:].tolist(), matrices[1:], strict=True):
            total += np.multiply(weight, matrix, out=part)
        return total[np.newaxis]
    return np.dot(share, np.reshape(matrices, (len(matrices), -1))).reshape(len(share), *matrices[0].shape)
