"""Dask arrays and data frames: the moments of each block are gathered where it lies, and merged pair by pair.

dask itself is imported where there is something of it: what has a graph.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdregress.checks import check_finite, check_weights
from gdregress.moments import Moments
from gdregress.streams import moments_of_chunk


def is_dask(values: Any) -> bool:
    """Tell a collection of dask by its graph."""
    return hasattr(values, "__dask_graph__")


def as_array(values: Any) -> Any:
    """Give a dask array: of a data frame or a series, its values."""
    return values.to_dask_array() if hasattr(values, "to_dask_array") else values


def row_like(X: Any) -> Any:
    """Give a row of zeros with as many columns as X, of the same names.

    Raises
    ------
    ValueError
        If X has not two dimensions.
    """
    if X.ndim != 2:
        raise ValueError(f"Expected 2D array, got {X.ndim}D array instead: give X rows and columns.")
    row = np.zeros((1, int(X.shape[1])))
    if not hasattr(X, "columns"):
        return row
    import pandas as pd

    return pd.DataFrame(row, columns=X.columns)


def in_memory(*values: Any) -> tuple[Any, ...]:
    """Compute what is of dask, all at once; the rest stays as it is."""
    if not any(map(is_dask, values)):
        return values
    import dask

    return dask.compute(*(as_array(each) if is_dask(each) else each for each in values))


def gather_blocks(X: Any, y: Any, sample_weight: Any = None) -> tuple[Moments, int]:
    """Gather the moments of all rows: one graph, of which a client sees the moments alone.

    Parameters
    ----------
    X : dask array or data frame of shape (n_samples, n_features)
        Rows; chunks of unknown size and empty ones are welcome, and those along columns are put together.
    y : dask array, series or data frame, or array-like, of shape (n_samples,) or (n_samples, n_targets)
        Targets.
    sample_weight : dask array or series, or array-like, of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    moments : Moments
        Those of all rows.
    n_blocks : int
        In how many blocks they were.

    Raises
    ------
    ValueError
        If X, y and the weights have different rows; if a block holds NaN or infinity; if no row has weight.
    """
    import dask

    X = as_array(X).rechunk({1: -1})
    parts = [_blocks(X, "X", X), _blocks(y, "y", X)]
    parts.append([None] * len(parts[0]) if sample_weight is None else _blocks(sample_weight, "sample_weight", X))
    block, merge = dask.delayed(_moments, pure=False), dask.delayed(_merged, pure=False)
    level = [block(*pieces, number) for number, pieces in enumerate(zip(*parts, strict=True), 1)]
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [merge(one, other) for one, other in pairs] + level[len(level) // 2 * 2 :]
    [moments] = dask.compute(level[0])
    if moments is None:
        raise ValueError("No row of X has a positive weight: every block is empty, or every weight is zero.")
    return moments, len(parts[0])


def _blocks(values: Any, name: str, X: Any) -> list[Any]:
    """Split values into the blocks of rows that X has."""
    import dask.array as da

    n_rows = X.shape[0]
    values = as_array(values) if is_dask(values) else da.from_array(np.asarray(values), chunks=-1)
    if values.ndim > 1:
        values = values.rechunk({1: -1})
    known, wanted = not np.isnan(values.shape[0]), not np.isnan(n_rows)
    if known and wanted:
        if values.shape[0] != n_rows:
            raise ValueError(f"X has {n_rows} rows, but {name} has {values.shape[0]}: give both the same.")
        values = values.rechunk({0: X.chunks[0]})
    blocks = list(values.to_delayed().ravel())
    if len(blocks) != X.numblocks[0]:
        raise ValueError(
            f"X has {X.numblocks[0]} blocks of rows and {name} has {len(blocks)}, of sizes that are not known: "
            "give both the same, or call compute_chunk_sizes() on them."
        )
    return blocks


def _moments(X: Any, y: NDArray, weight: NDArray | None, number: int) -> Moments | None:
    """Gather the moments of a block; None where none of its rows has weight."""
    X, y = np.asarray(X), np.asarray(y, dtype=np.float64)
    if X.dtype not in (np.float32, np.float64):
        X = X.astype(np.float64)
    for name, values in (("y", y), ("sample_weight", weight)):
        if values is not None and len(values) != len(X):
            raise ValueError(
                f"X has {len(X)} rows in block {number}, but {name} has {len(values)}: give both the same."
            )
    check_finite(f"y of chunk {number}", y)
    if len(X) == 0 or (weight is not None and not np.any(weight)):
        return None
    scaled = check_weights("sample_weight", weight, len(X))
    unit = 1.0 if weight is None or scaled is None else float(np.max(weight) / scaled.max())
    return moments_of_chunk(X, y, scaled, unit, number)


def _merged(one: Moments | None, other: Moments | None) -> Moments | None:
    if one is None or other is None:
        return one or other
    return one.merge(other)
