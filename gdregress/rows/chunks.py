"""Rows that arrive in chunks: unpacking, numbering and moments of each chunk."""

from collections.abc import Iterable, Iterator
from functools import partial
from inspect import isgeneratorfunction
from typing import Any

from gdregress.rows.moments import Moments
from gdregress.rows.rows import Rows

MATRIX_LIMIT = 2**15
"""Largest number of rows and columns of a square matrix, which then has 8 GB: larger ones would not fit into memory."""


def moments_of_chunk(rows: Rows, unit: float, *, cross: bool = True) -> Moments:
    """Gather the moments of a chunk.

    Parameters
    ----------
    rows : Rows
        Rows of the chunk, stored together.
    unit : float
        Factor from the weights of `rows` to the scale that all chunks share: see `Source.chunk`.
    cross : bool, default=True
        Whether to gather the covariances between the columns of X.

    Raises
    ------
    ValueError
        If X contains NaN or infinity; if `cross` is true and X has more than `MATRIX_LIMIT` features.
    """
    p = rows.n_features
    if cross and p > MATRIX_LIMIT:
        raise ValueError(f"the sums of a chunk would hold a matrix of {p} x {p} numbers: use fit.")
    moments = rows.moments(products=cross)
    return moments.with_weight(unit * moments.weight)


def check_has_products(*several: Moments) -> None:
    """Raise a ValueError if any of the moments lack the covariances of X.

    A stream that takes gradient steps over chunks may not have gathered them.
    """
    for moments in several:
        if moments.cross is None:
            raise ValueError(
                f"the sums so far lack the products of {len(moments.x.mean)} columns, which squared error needs: "
                "begin a new stream, with a clone."
            )


def parts_of(batch: Any, number: int) -> tuple[Any, Any, Any]:
    """Return X, y and the weights of a chunk; the weights are None if the chunk is a pair.

    Raises
    ------
    ValueError
        If the chunk is not a tuple or list of two or three.
    """
    if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
        raise ValueError(
            f"chunk {number} is of type {type(batch).__name__} and no pair or triple: "
            "yield (X, y) or (X, y, sample_weight)."
        )
    X, y, *weight = batch
    return X, y, weight[0] if weight else None


def numbered(batches: Iterable[Any], first: int) -> Iterator[tuple[int, Any]]:
    """Yield pairs (number, chunk), counting from `first`.

    Raises
    ------
    TypeError
        If `batches` is no iterable of chunks.
    ValueError
        If `batches` yields nothing.
    """
    if isgeneratorfunction(batches) and not isinstance(batches, partial):
        name = getattr(batches, "__name__", "batches")
        raise TypeError(f"batches is the function {name} and not what it yields: pass {name}().")
    if callable(batches) and not isinstance(batches, Iterable):
        raise TypeError(f"batches is a {type(batches).__name__} and not what it yields: call it, and pass the result.")
    if not isinstance(batches, Iterable):
        raise TypeError(f"batches is a {type(batches).__name__}: pass an iterable of (X, y), such as a generator.")
    number = first - 1
    for number, batch in enumerate(batches, first):
        yield number, batch
    if number < first:
        raise ValueError("batches yielded nothing: give at least one (X, y), and an iterator that is not used up.")
