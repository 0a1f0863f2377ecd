"""Validation of sample weights, and a search for NaN and infinity."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils import check_array

from gdregress.rows.kinds import WEIGHTS, check_numbers
from gdregress.rows.namespaces import place_of


def check_finite(name: str, values, columns: NDArray | None = None, *, first_row: int = 0) -> None:
    """Raise a ValueError that names the position of the first NaN or infinity.

    Parameters
    ----------
    name : str
        Name of the values in the error message.
    values : ndarray or CSR matrix or CSR array
        Values to check. They are read a few rows at a time, without a copy of the whole.
    columns : ndarray of str, default=None
        Names of the columns; None to give their numbers.
    first_row : int, default=0
        Number of the first of these rows among all.

    Raises
    ------
    ValueError
        If a value is NaN or infinite.
    """
    step = max(1, 2**20 // max(1, int(np.prod(values.shape[1:]))))
    for start in range(0, values.shape[0], step):
        block = values[start : start + step]
        entries = block.data if sparse.issparse(block) else block
        if np.isfinite(entries).all():
            continue
        if sparse.issparse(block):
            block = block.tocoo()
            bad = np.flatnonzero(~np.isfinite(block.data))[0]
            value, place = block.data[bad], (block.row[bad], block.col[bad])
        else:
            place = tuple(np.argwhere(~np.isfinite(block))[0])
            value = block[place]
        where = f"row {first_row + start + place[0]}"
        if len(place) > 1:
            where += f", column {place[1] if columns is None else repr(columns[place[1]])}"
        what, remedy = ("NaN", "fill it (sklearn.impute.SimpleImputer) or ") if np.isnan(value) else ("infinity", "")
        if values.ndim == 1 or not name.startswith("X"):
            remedy = ""  # targets must not be imputed
        raise ValueError(f"Input {name} contains {what} at {where}: {remedy}drop the row.")


def check_weights(name: str, weight, n_samples: int) -> NDArray | None:
    """Return sample weights as floats, divided by a power of two so that the largest lies in [1/2, 1).

    The objective is a weighted mean, so only ratios of weights matter.

    Parameters
    ----------
    name : str
        Name of the weights in error messages.
    weight : array-like of shape (n_samples,), float or None
        Non-negative and not all zero. A single number gives all rows the same weight.
    n_samples : int
        Number of rows.

    Returns
    -------
    ndarray of shape (n_samples,) or None
        None if `weight` is None.

    Raises
    ------
    ValueError
        If the shape is wrong, if a weight is negative, NaN or infinite, or if all are zero.
    """
    if weight is None:
        return None
    if isinstance(weight, str):
        raise ValueError(f"{name} is the text {weight!r}: pass the weights themselves, one per row.")
    weight = place_of(name, weight).fetch(weight)
    check_numbers(name, weight, WEIGHTS)
    weight = weight if hasattr(weight, "shape") else np.asarray(weight)  # scikit-learn may dispatch by arrays alone
    weight = check_array(
        weight, ensure_2d=False, dtype=np.float64, ensure_all_finite=False, input_name=name, ensure_min_samples=0
    )
    if weight.ndim == 0:
        weight = np.full(n_samples, float(weight))
    if weight.shape != (n_samples,):
        raise ValueError(f"{name} must have shape ({n_samples},), one weight per row, but has shape {weight.shape}.")
    check_finite(name, weight)
    if (weight < 0).any():
        row = int(np.argmin(weight))
        raise ValueError(f"Negative values in {name}: {weight[row]:g} at row {row}; weights must be zero or positive.")
    if not weight.any():
        raise ValueError(
            f"{name} must have a positive weight, but every weight is zero: leave it out to weigh all rows alike."
        )
    return np.ldexp(weight, -np.frexp(weight.max())[1])
