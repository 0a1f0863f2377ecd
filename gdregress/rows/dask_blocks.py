"""Collections of Dask in blocks of rows, each validated on its worker, and functions of blocks reduced in a tree.

Functions import Dask when they first need it, because it is an optional dependency.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import validate_data

from gdregress.rows.checks import check_finite, check_weights
from gdregress.rows.inputs import check_largest_weight, check_same_rows, read_features, read_targets
from gdregress.rows.kinds import check_types

R = TypeVar("R")

FAN_IN = 8
"""Number of results that one task merges, chosen so that scheduling the task costs about as much as the merging."""


class Block(NamedTuple):
    """Rows stored together: X, targets (n_samples, n_outputs), weights or None, and the name of X in errors."""

    X: Any
    y: NDArray
    weight: NDArray | None
    name: str


def is_dask(values: Any) -> bool:
    """Return whether values are a Dask collection, that is whether they have a task graph."""
    return hasattr(values, "__dask_graph__")


def as_array(values: Any) -> Any:
    """Return a Dask array unchanged, and a Dask data frame or series as an array."""
    return values.to_dask_array() if hasattr(values, "to_dask_array") else values


def floats_of(X: Any) -> np.dtype:
    """Return the floating type in which a collection is read."""
    return np.dtype(np.float32 if as_array(X).dtype == np.float32 else np.float64)


def see_columns(estimator: Any, X: Any, *, reset: bool) -> None:
    """Check number and names of the columns of a collection, by one row in memory that has the same.

    Parameters
    ----------
    estimator : estimator
        The estimator that holds both.
    X : dask array or data frame
        The collection.
    reset : bool
        Whether to set both from X. If False, X is checked against them.

    Raises
    ------
    ValueError
        If X is not two-dimensional, is a data frame with columns of dates or text, or has other columns than those
        that the estimator has seen.
    """
    if hasattr(X, "dtypes"):
        check_types("X", X)
    if X.ndim != 2:
        raise ValueError(f"Expected 2D array, got {X.ndim}D array instead: give X rows and columns.")
    row: Any = np.zeros((1, int(X.shape[1])))
    if hasattr(X, "columns"):
        import pandas as pd

        row = pd.DataFrame(row, columns=X.columns)
    validate_data(estimator, row, reset=reset)


def computed(*values: Any) -> tuple[Any, ...]:
    """Return the values with Dask collections computed, all in one call, and others unchanged."""
    if not any(map(is_dask, values)):
        return values
    import dask

    return dask.compute(*(as_array(each) if is_dask(each) else each for each in values))


def blocks_of(X: Any, y: Any, sample_weight: Any = None, *, suffix: str = "") -> list[Any]:
    """Return one delayed object for each block of rows, which validates the block on its worker.

    It computes a `Block`, or None if no row of the block has a positive weight.

    Parameters
    ----------
    X : dask array or data frame of shape (n_samples, n_features)
        Features. Chunks may be empty or of unknown size, and chunks along columns are joined. If y or the weights
        are not Dask collections, unknown sizes are computed at once.
    y : dask array, series or data frame, or array-like, of shape (n_samples,) or (n_samples, n_targets)
        Targets.
    sample_weight : dask array or series, or array-like, of shape (n_samples,), default=None
        Weights of the rows.
    suffix : str, default=""
        Appended to the names X, y and sample_weight in error messages.

    Returns
    -------
    list of Delayed
        One for each block, in the order of the rows.

    Raises
    ------
    ValueError
        If X, y and the weights differ in their rows. Invalid values in a block raise when it is computed.
    """
    import dask

    if np.ndim(y) == 0:
        raise ValueError(f"y is {y!r}: pass the target of each row.")
    X = as_array(X).rechunk({1: -1})
    if sample_weight is not None and np.ndim(sample_weight) == 0:
        check_weights("sample_weight" + suffix, sample_weight, 1)
        sample_weight = None  # equal weights have no effect
    columns = {"X": X, "y": y, "sample_weight": sample_weight}
    if np.isnan(X.shape[0]) and not all(values is None or is_dask(values) for values in columns.values()):
        X = columns["X"] = X.compute_chunk_sizes()  # an array in memory is cut into chunks of the same sizes
    parts = [
        [None] * X.numblocks[0] if values is None else _split(values, name + suffix, X, "X" + suffix)
        for name, values in columns.items()
    ]
    read = dask.delayed(_read, pure=False)
    return [read(*pieces, suffix, number) for number, pieces in enumerate(zip(*parts, strict=True), 1)]


def reduced(blocks: list[Any], work: Callable[[Block], R | None], combine: Callable[[list[R]], R]) -> R:
    """Apply `work` to blocks with rows of positive weight, and combine the results in a tree, in one graph.

    Raises
    ------
    ValueError
        If no row has a positive weight.
    """
    import dask

    # Delayed functions are sent once and not with each task: `work` may contain a large array of coefficients.
    shared, both = (dask.delayed(function, pure=False, traverse=False) for function in (work, combine))
    on_block, together = dask.delayed(_on_block, pure=False), dask.delayed(_together, pure=False)
    level = [on_block(block, shared) for block in blocks]
    while len(level) > 1:
        level = [together(level[k : k + FAN_IN], both) for k in range(0, len(level), FAN_IN)]
    [found] = dask.compute(level[0])
    if found is None:
        raise ValueError("No row of X has a positive weight: every block is empty, or every weight is zero.")
    return found


def _on_block(block: Block | None, work: Callable[[Block], R | None]) -> R | None:
    return None if block is None else work(block)


def _together(several: list[R | None], combine: Callable[[list[R]], R]) -> R | None:
    counted = [one for one in several if one is not None]
    return combine(counted) if counted else None


def _split(values: Any, name: str, X: Any, of_X: str) -> list[Any]:
    """Return values split into blocks of rows as X is split."""
    import dask.array as da

    n_rows = X.shape[0]
    values = as_array(values) if is_dask(values) else da.from_array(np.asarray(values), chunks=-1)
    if values.ndim > 1:
        values = values.rechunk({1: -1})
    known, wanted = not np.isnan(values.shape[0]), not np.isnan(n_rows)
    if known and wanted:
        check_same_rows(of_X, n_rows, name, values.shape[0])
        values = values.rechunk({0: X.chunks[0]})
    blocks = list(values.to_delayed().ravel())
    if len(blocks) != X.numblocks[0]:
        raise ValueError(
            f"{of_X} has {X.numblocks[0]} blocks of rows and {name} has {len(blocks)}, of sizes that are not known: "
            "take both from one data frame, or give arrays of known chunks, such as to_dask_array(lengths=True)."
        )
    return blocks


def _read(X: Any, y: Any, weight: Any, suffix: str, number: int) -> Block | None:
    """Return a validated block; None if none of its rows has a positive weight."""
    where = f" of block {number}"
    of_X, of_y, of_weight = (name + suffix + where for name in ("X", "y", "sample_weight"))
    X, y = read_features(X, suffix=suffix + where, min_rows=0), read_targets(y, suffix=suffix + where, min_rows=0)
    n = X.shape[0]
    for name, values in ((of_y, y), (of_weight, weight)):
        if values is not None:
            check_same_rows(of_X, n, name, len(values))
    check_finite(of_y, y)
    if weight is not None and np.any(weight):
        check_weights(of_weight, weight, n)
        weight = np.asarray(weight, dtype=np.float64)
        check_largest_weight(of_weight, weight.max())
    elif n == 0 or weight is not None:
        check_finite(of_X, X)
        return None
    return Block(X, y.reshape(n, -1), weight, of_X)
