"""The rows of a fit, wherever the user has them: in memory, on dask, on a device, or on the way through one."""

from typing import Any

import numpy as np

from gdregress.method.spec import Spec
from gdregress.rows.dask import (
    DaskRows,
    as_array,
    blocks_of,
    check_takes_blocks,
    gather_blocks,
    in_memory,
    see_columns,
)
from gdregress.rows.device import check_takes_device, read_brought_rows, read_device_chunk, read_device_rows
from gdregress.rows.inputs import check_outputs, is_dask, names_of, read_chunk, read_rows, read_validation_rows
from gdregress.rows.memory import RowBlocks
from gdregress.rows.namespaces import place_of
from gdregress.rows.rows import GoneRows, Rows
from gdregress.rows.through import goes_through
from gdregress.solve.attributes import OutputFormat
from gdregress.solve.availability import moments_suffice


def training_rows(estimator: Any, spec: Spec, X, y, sample_weight) -> tuple[Rows, OutputFormat]:
    """Return the validated training rows; dask rows that no epoch needs are reduced to their moments."""
    if hasattr(X, "__next__"):
        raise TypeError(f"X is a {type(X).__name__}: pass an iterator of (X, y) to fit_batches.")
    if goes_through(X):
        check_takes_device(estimator)
        brought = read_brought_rows(X, y, sample_weight, estimator=estimator, reset=True)
        return brought, OutputFormat(brought.dtype, np.ndim(y) == 1)
    place = place_of("X", X)
    if not place.is_host:
        check_takes_device(estimator)
        on_device = read_device_rows(X, y, sample_weight, place, estimator=estimator, reset=True)
        return on_device, OutputFormat(on_device.dtype, np.ndim(y) == 1, place)
    if not is_dask(X):
        X, y, weight = read_rows(X, y, sample_weight, estimator=estimator, reset=True)
        rows = RowBlocks(X, y.reshape(len(y), -1), weight, columns=names_of(estimator))
        return rows, OutputFormat(X.dtype, y.ndim == 1)
    check_takes_blocks(estimator)
    see_columns(estimator, X, reset=True)
    blocks, is_single = blocks_of(X, y, sample_weight), np.ndim(y) == 1
    if moments_suffice(spec) and not spec.limits.early_stopping:
        dtype = np.float32 if as_array(X).dtype == np.float32 else np.float64
        return GoneRows(gather_blocks(blocks), np.dtype(dtype)), OutputFormat(dtype, is_single)
    on_workers = DaskRows.of(blocks)
    return on_workers, OutputFormat(on_workers.dtype, is_single)


def validation_rows(estimator: Any, X_val, y_val, sample_weight_val, n_outputs: int) -> Rows:
    """Return the given validation rows, validated; those of dask and of a device stay where they are."""
    if goes_through(X_val):
        brought = read_brought_rows(X_val, y_val, sample_weight_val, estimator=estimator, suffix="_val")
        check_outputs(brought.n_outputs, n_outputs)
        return brought
    place = place_of("X_val", X_val)
    if not place.is_host:
        on_device = read_device_rows(X_val, y_val, sample_weight_val, place, estimator=estimator, suffix="_val")
        check_outputs(on_device.n_outputs, n_outputs)
        return on_device
    if not is_dask(X_val):
        y_val, sample_weight_val = in_memory(y_val, sample_weight_val)
        return read_validation_rows(estimator, X_val, y_val, sample_weight_val, n_outputs)
    see_columns(estimator, X_val, reset=False)
    rows = DaskRows.of(blocks_of(X_val, y_val, sample_weight_val, suffix="_val"))
    check_outputs(rows.n_outputs, n_outputs)
    return rows


def rows_of_chunk(estimator: Any, X, y, sample_weight, number: int, *, is_first: bool) -> tuple[Rows, bool, float]:
    """Return the rows of a chunk, whether y is a vector, and the unit of the weights: see `read_chunk`."""
    name = f"X of chunk {number}"
    place = place_of(name, X)
    if not place.is_host:
        on_device, unit = read_device_chunk(X, y, sample_weight, place, estimator, number, is_first=is_first)
        return on_device, np.ndim(y) == 1, unit
    X, y, weight, unit = read_chunk(estimator, X, y, sample_weight, number, is_first=is_first)
    targets = y[:, np.newaxis] if y.ndim == 1 else y
    return RowBlocks(X, targets, weight, name=name, columns=names_of(estimator)), y.ndim == 1, unit
