"""Validation of X, y and the weights as users pass them, and their conversion to arrays.

This is the one place that reads those in memory, the blocks of Dask among them.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from gdregress.rows.checks import check_finite, check_weights
from gdregress.rows.kinds import FEATURES, KNOWN_FEATURES, TARGETS, VALIDATION_FEATURES, check_numbers
from gdregress.rows.namespaces import place_of

X_FORMAT: dict[str, Any] = {"accept_sparse": "csr", "dtype": [np.float64, np.float32], "ensure_all_finite": False}
Y_FORMAT = {"ensure_2d": False, "dtype": np.float64, "ensure_all_finite": False}

LARGEST_WEIGHT = 1e290
"""Largest weight that a row of a chunk may have, so that the sum over all chunks does not overflow."""


def read_rows(
    X: Any,
    y: Any,
    sample_weight: Any,
    *,
    estimator: Any = None,
    reset: bool = False,
    suffix: str = "",
    min_rows: int = 1,
) -> tuple[Any, NDArray, Any]:
    """Validate X, y and the weights, but leave NaN and infinity in X to the pass that gathers its moments.

    Parameters
    ----------
    X, y, sample_weight : array-like
        Data as passed by the user.
    estimator, reset, suffix, min_rows
        As in `read_features`. The suffix is that of y and of the weights too.

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
    ValueError, TypeError
        If X, y or the weights are not valid.
    """
    if isinstance(y, str):
        raise ValueError(f"y{suffix} is the text {y!r}: pass the targets themselves, such as table[{y!r}].")
    X = read_features(X, estimator=estimator, reset=reset, suffix=suffix, min_rows=min_rows)
    y = read_targets(y, suffix=suffix, min_rows=min_rows)
    check_same_rows("X" + suffix, X.shape[0], "y" + suffix, len(y))
    check_finite("y" + suffix, y)
    return X, y, check_weights("sample_weight" + suffix, sample_weight, X.shape[0])


def read_features(X: Any, *, estimator: Any = None, reset: bool = False, suffix: str = "", min_rows: int = 1) -> Any:
    """Validate X, but leave NaN and infinity in it to the caller.

    Parameters
    ----------
    X : array-like
        Features as passed by the user.
    estimator : GradientDescentRegressor, default=None
        Estimator that holds the number and names of the features; None for any features.
    reset : bool, default=False
        Whether to set the number and names of the estimator's features from X. If False, X is checked against them.
    suffix : str, default=""
        What follows X in its name, such as "_val" or " of chunk 3", for error messages.
    min_rows : int, default=1
        Least number of rows.

    Returns
    -------
    ndarray or CSR matrix or CSR array of shape (n_samples, n_features)
        float32 or float64.

    Raises
    ------
    ValueError, TypeError
        If X is no table of numbers, or has other columns than the estimator has seen.
    """
    if estimator is not None and _needs_no_check(X, estimator, reset=reset, min_rows=min_rows):
        if reset:
            vars(estimator).pop("feature_names_in_", None)
            estimator.n_features_in_ = X.shape[1]
        return X
    X, remedies = with_names(X), FEATURES if estimator is None or reset else KNOWN_FEATURES
    if suffix == "_val":
        remedies = VALIDATION_FEATURES
    check_numbers("X" + suffix, X, remedies)
    with _named("X", suffix, remedies.columns):
        if estimator is None:
            return check_array(X, ensure_min_samples=min_rows, input_name="X" + suffix, **X_FORMAT)
        return validate_data(estimator, X, reset=reset, ensure_min_samples=min_rows, **X_FORMAT)


def _needs_no_check(X: Any, estimator: Any, *, reset: bool, min_rows: int) -> bool:
    """Return whether X is an array of floats without names, of as many columns as expected: all checks take longer."""
    if not (type(X) is np.ndarray and X.ndim == 2 and X.dtype in X_FORMAT["dtype"] and len(X) >= min_rows):
        return False
    seen = vars(estimator)
    is_expected = "feature_names_in_" not in seen and seen.get("n_features_in_") == X.shape[1]
    return X.shape[1] > 0 and (reset or is_expected)


def read_targets(y: Any, *, suffix: str = "", min_rows: int = 1) -> NDArray:
    """Validate targets, but leave NaN and infinity in them to the caller; the parameters are those of `read_features`.

    Returns
    -------
    ndarray of shape (n_samples,) or (n_samples, n_targets)
        float64.
    """
    name = "y" + suffix
    y = place_of(name, y).fetch(y)
    if y is None:
        raise ValueError(f"a regressor requires y to be passed, but the target {name} is None.")
    if not (type(y) is np.ndarray and y.dtype == np.float64 and y.ndim in (1, 2)):  # skips a costly conversion
        check_numbers(name, y, TARGETS)
        with _named("y", suffix):
            y = check_array(y, ensure_min_samples=min_rows, input_name=name, **Y_FORMAT)
    if y.ndim > 2 or y.size < min_rows:
        raise ValueError(f"{name} must have shape (n_samples,) or (n_samples, n_targets), but has shape {y.shape}.")
    return y


def is_vector(y: Any) -> bool:
    """Return whether targets as the user gave them, which were read, have one axis: else there are columns of them."""
    return (y.ndim if hasattr(y, "ndim") else np.asarray(y).ndim) == 1


@contextmanager
def _named(name: str, suffix: str, advice: str = "") -> Iterator[None]:
    """Put the name of a part of the data before scikit-learn's error, which says X or y of each."""
    try:
        yield
    except (ValueError, TypeError) as error:
        if not suffix or name + suffix in str(error):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        lists = re.sub(r":\n- ", ": ", str(error)).replace("\n- ", ", ")
        lists = lists.replace("\nFeature names seen", "; feature names seen").replace("\nFeature", " feature")
        sentence = " ".join(lists.split()).rstrip(".:").replace(". ", ": ")
        if not sentence.startswith(f"{name} has "):
            sentence = f"{name}{suffix}: {sentence}"
        elif suffix.startswith("_"):
            sentence = name + suffix + sentence.removeprefix(name)
        else:  # scikit-learn's checks of estimators look for its words
            sentence = f"{suffix.removeprefix(' of ')}: {sentence}"
        raise kind(f"{sentence}{advice}.") from error


def check_same_rows(name: str, n: int, other: str, n_other: int) -> None:
    """Raise a ValueError if two parts of the data differ in their number of rows."""
    if n != n_other:
        raise ValueError(f"{name} has {n} rows, but {other} has {n_other}: give both the same.")


def check_largest_weight(name: str, largest: float) -> None:
    """Raise a ValueError if the largest weight of a chunk is above `LARGEST_WEIGHT`."""
    if largest > LARGEST_WEIGHT:
        raise ValueError(f"{name} has values up to {largest:g}, and their sum may overflow: divide all by one number.")


def check_outputs(n_val: int, n_outputs: int) -> None:
    """Raise a ValueError if validation and training targets differ in the number of outputs."""
    if n_val != n_outputs:
        raise ValueError(f"y_val has {n_val} outputs, but y has {n_outputs}: pass the same columns for both.")


def check_same(name: str, before: Any, now: Any) -> None:
    """Raise a ValueError if a chunk differs from earlier chunks in the property `name`."""
    if before != now:
        raise ValueError(f"{name} is {now}, but was {before} in the rows before: give all chunks the same columns.")


def names_of(estimator: Any) -> NDArray | None:
    """Return the names of the features that an estimator has seen, or None if these have no names."""
    return getattr(estimator, "feature_names_in_", None)


def with_names(X: Any) -> Any:
    """Return X unchanged, but an Arrow record batch as a table, whose column names scikit-learn can read."""
    arrow = sys.modules.get("pyarrow")
    return arrow.Table.from_batches([X]) if arrow is not None and isinstance(X, arrow.RecordBatch) else X
