"""Validation of X, y and the weights as users pass them, and their conversion to arrays."""

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.validation import validate_data

from gdregress.rows.checks import check_finite, check_weights
from gdregress.rows.memory import RowBlocks

X_FORMAT = {"accept_sparse": "csr", "dtype": [np.float64, np.float32], "ensure_all_finite": False}
Y_FORMAT = {"ensure_2d": False, "dtype": np.float64, "ensure_all_finite": False}

LARGEST_WEIGHT = 1e290
"""Largest weight that a row of a chunk may have, so that the sum over all chunks does not overflow."""


def read_rows(
    estimator: Any, X: Any, y: Any, sample_weight: Any, *, reset: bool = True, part: str = "", min_rows: int = 1
) -> tuple[Any, NDArray, Any]:
    """Validate X, y and the weights, but leave NaN and infinity in X to the pass that gathers its moments.

    Parameters
    ----------
    estimator : GradientDescentRegressor
        Estimator that holds the number and names of the features.
    X, y, sample_weight : array-like
        Data as passed by the user.
    reset : bool, default=True
        Whether to set the number and names of the estimator's features from X. If False, X is checked against them.
    part : str, default=""
        Name of the part of the data that these rows are, for error messages.
    min_rows : int, default=1
        Least number of rows.

    Returns
    -------
    X : ndarray or CSR matrix or CSR array of shape (n_samples, n_features)
        Features, float32 or float64.
    y : ndarray of shape (n_samples,) or (n_samples, n_targets)
        Targets, float64.
    weight : ndarray of shape (n_samples,) or None
        Weights below 1: see `check_weights`.

    Raises
    ------
    ValueError
        If X, y or the weights are not valid.
    """
    where = f" of {part}" if part else ""
    x_format, y_format = ({**each, "ensure_min_samples": min_rows} for each in (X_FORMAT, Y_FORMAT))
    if isinstance(y, str):
        raise ValueError(f"y{where} is the text {y!r}: pass the targets themselves, such as table[{y!r}].")
    X = with_names(X)
    check_numeric("X" + where, X)
    try:
        if type(y) is np.ndarray and y.dtype == np.float64 and y.ndim in (1, 2):  # skips a costly conversion
            X = validate_data(estimator, X, reset=reset, **x_format)
        else:
            X, y = validate_data(estimator, X, y, reset=reset, validate_separately=(x_format, y_format))
        check_consistent_length(X, y)
    except ValueError as error:
        if not part:
            raise
        raise ValueError(f"{part}: {error}") from error
    _check_targets("y" + where, y, min_rows)
    return X, y, check_weights("sample_weight" + where, sample_weight, X.shape[0])


def read_chunk(
    estimator: Any, X: Any, y: Any, sample_weight: Any, number: int, *, is_first: bool
) -> tuple[Any, NDArray, Any, float]:
    """Validate a chunk of rows, and return a factor that puts the weights of all chunks on one scale.

    Parameters
    ----------
    estimator : GradientDescentRegressor
        Estimator that holds the number and names of the features.
    X, y, sample_weight : array-like
        Data as passed by the user.
    number : int
        Number of the chunk, from 1.
    is_first : bool
        Whether this is the first chunk, which sets the features of the estimator.

    Returns
    -------
    X, y, weight
        As returned by `read_rows`.
    unit : float
        Factor from `weight` to `sample_weight`; 0 for a later chunk without rows of positive weight.

    Raises
    ------
    ValueError
        If the chunk is not valid, is a Dask collection, or has a weight above `LARGEST_WEIGHT`.
    """
    part = f"chunk {number}"
    where = f" of {part}"
    if any(map(is_dask, (X, y, sample_weight))):
        raise ValueError(f"chunk {number} is of dask, and would be fetched whole: use fit, or compute it before.")
    is_weightless = not is_first and sample_weight is not None and not np.any(sample_weight)
    given = None if is_weightless else sample_weight
    X, y, weight = read_rows(estimator, X, y, given, reset=is_first, part=part, min_rows=int(is_first))
    if X.shape[0] == 0:
        return X, y, None, 0.0
    if is_weightless:
        check_weights("sample_weight" + where, np.ones_like(sample_weight, dtype=float), X.shape[0])
        check_finite("X" + where, X)
        return X, y, None, 0.0
    largest = 1.0 if weight is None else float(np.max(sample_weight))
    if largest > LARGEST_WEIGHT:
        raise ValueError(f"sample_weight{where} is up to {largest:g}, whose sum may overflow: divide all by a number.")
    return X, y, weight, 1.0 if weight is None else largest / float(weight.max())


def read_validation_rows(estimator: Any, X_val: Any, y_val: Any, sample_weight_val: Any, n_outputs: int) -> RowBlocks:
    """Return validation rows, checked against the features and the number of outputs seen in training."""
    try:
        X_val = validate_data(estimator, with_names(X_val), reset=False, **X_FORMAT)
    except ValueError as error:
        error.add_note("X is X_val here.")
        raise
    y_val = check_array(y_val, input_name="y_val", **Y_FORMAT)
    check_consistent_length(X_val, y_val)
    _check_targets("y_val", y_val)
    y_val = y_val.reshape(len(y_val), -1)
    check_outputs(y_val.shape[1], n_outputs)
    weight = check_weights("sample_weight_val", sample_weight_val, X_val.shape[0])
    return RowBlocks(X_val, y_val, weight, name="X_val")


def check_outputs(n_val: int, n_outputs: int) -> None:
    """Raise a ValueError if validation and training targets differ in the number of outputs."""
    if n_val != n_outputs:
        raise ValueError(f"y_val has {n_val} outputs, but y has {n_outputs}: pass the same columns for both.")


def check_same(name: str, before: Any, now: Any) -> None:
    """Raise a ValueError if a chunk differs from earlier chunks in the property `name`."""
    if before != now:
        raise ValueError(f"{name} is {now}, but was {before} in the rows before: give all chunks the same columns.")


def is_dask(values: Any) -> bool:
    """Return whether values are a Dask collection, that is whether they have a task graph."""
    return hasattr(values, "__dask_graph__")


def with_names(X: Any) -> Any:
    """Return X unchanged, but an Arrow record batch as a table, whose column names scikit-learn can read."""
    arrow = sys.modules.get("pyarrow")
    return arrow.Table.from_batches([X]) if arrow is not None and isinstance(X, arrow.RecordBatch) else X


def check_numeric(name: str, X: Any) -> None:
    """Raise a ValueError for the first column of a pandas or Dask data frame that contains dates or text.

    Parameters
    ----------
    name : str
        Name of X in the error message.
    X : object
        Rows. Anything other than such a data frame is left to scikit-learn.

    Raises
    ------
    ValueError
        If a column contains dates or text.
    """
    if not (hasattr(X, "columns") and hasattr(X, "dtypes") and hasattr(X.dtypes, "items")):
        return
    for column, dtype in X.dtypes.items():
        kind = getattr(dtype, "kind", "O")
        if kind in "mM":
            raise ValueError(f"{name} has dates in column {column!r}: turn them into numbers, or drop the column.")
        categories = () if is_dask(X) else getattr(dtype, "categories", ())  # Dask may not know the categories yet
        if str(dtype) in ("string", "str") or any(isinstance(category, str) for category in categories):
            raise ValueError(f"{name} has text in column {column!r}: encode it, or drop the column.")


def _check_targets(name: str, y: NDArray, min_rows: int = 1) -> None:
    if y.ndim > 2 or y.size < min_rows:
        raise ValueError(f"{name} must have shape (n_samples,) or (n_samples, n_targets), but has shape {y.shape}.")
    check_finite(name, y)
