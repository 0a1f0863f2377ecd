"""Rows that come in chunks: how they are counted, numbered and summed."""

from collections.abc import Iterable, Iterator
from typing import Any

from gdregress.rows.memory import RowBlocks
from gdregress.rows.moments import Moments, gather

LIMIT = 2**15
"""Features beyond which a matrix of their products is refused."""


def moments_of_chunk(rows: RowBlocks, unit: float, *, cross: bool = True) -> Moments:
    """Gather the moments of a chunk.

    Parameters
    ----------
    rows : RowBlocks
        Its rows.
    unit : float
        What their weights are to be multiplied by: all chunks have one scale.
    cross : bool, default=True
        Whether to gather the covariances between the columns of X.

    Raises
    ------
    ValueError
        If X holds NaN or infinity, or has more features than a matrix of products is made for.
    """
    if cross and rows.n_features > LIMIT:
        raise ValueError(f"X has {rows.n_features} features, but chunks are merged up to {LIMIT}: use fit.")
    moments = gather(rows, cross=cross)
    return moments.with_weight(unit * moments.weight)


def check_has_products(*several: Moments) -> None:
    """Raise a ValueError where moments lack the products of the columns: those of a descent over chunks may."""
    for moments in several:
        if moments.cross is None:
            raise ValueError(
                f"the moments so far lack the products of {len(moments.x.mean)} columns, which squared error needs: "
                "begin a new stream, with a clone."
            )


def parts_of(batch: Any, number: int) -> tuple[Any, Any, Any]:
    """Return X, y and the weights, or None, of a chunk as it came.

    Raises
    ------
    ValueError
        If it is no tuple of two or three.
    """
    if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
        raise ValueError(
            f"chunk {number} is a {type(batch).__name__} and no pair or triple: yield (X, y) or (X, y, sample_weight)."
        )
    X, y, *weight = batch
    return X, y, weight[0] if weight else None


def numbered(batches: Iterable[Any], first: int) -> Iterator[tuple[int, Any]]:
    """Yield chunks with their numbers, from that of the first.

    Raises
    ------
    ValueError
        If there is none.
    """
    number = first - 1
    for number, batch in enumerate(batches, first):
        yield number, batch
    if number < first:
        raise ValueError("batches yielded nothing: give at least one (X, y), and an iterator that is not used up.")
