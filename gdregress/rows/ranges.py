"""Magnitudes of columns: which underflow when squared, and powers of two that prevent it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gdregress.rows.namespaces import cast, namespace
from gdregress.rows.sums import Sums

SAFE_SHARE = 0.8
"""Power of the largest float which, with its inverse, bounds the squares that are computed in the unit 1."""


class Underflow(Sums):
    """Accumulator that finds out whether squares of columns of X, or of y, underflowed to zero.

    Parameters
    ----------
    shift : ndarray of shape (n_columns,)
        Values that were subtracted from the columns before squaring.
    zero : ndarray of int
        Indices of the columns whose sums of squares are zero.

    Attributes
    ----------
    found : bool
        Whether one of these columns differs from its shift in a row of positive weight.
    """

    sums = ("found",)
    arrays = ("_shift", "_zero")

    def __init__(self, shift: NDArray, zero: NDArray):
        self._shift = shift[zero]
        self._zero = zero
        self.found = False

    def add(self, columns, weight):
        """Add a block of rows."""
        if sparse.issparse(columns):
            counts = slice(None) if weight is None else weight > 0
            self.found |= bool(columns[counts][:, self._zero].count_nonzero())
            return
        xp = namespace(columns)
        differs = xp.take(columns, self._zero, axis=1) != self._shift
        self.found |= bool(xp.any(differs if weight is None else differs & (weight > 0)[:, np.newaxis]))

    def merge(self, other):
        """Add the result of another thread."""
        self.found |= other.found


class Ranges(Sums):
    """Accumulator of the largest magnitude in each column of X, or of y."""

    sums = arrays = ("largest",)

    def __init__(self):
        self.largest = np.zeros(1)

    def add(self, columns, weight):
        """Add a block of rows."""
        xp, size = namespace(self.largest), abs(columns)
        largest = size.max(axis=0).toarray().ravel() if sparse.issparse(size) else xp.max(size, axis=0)
        self.largest = xp.maximum(self.largest, cast(largest, self.largest.dtype))

    def merge(self, other):
        """Add the result of another thread."""
        self.largest = np.maximum(self.largest, other.largest)


class Both(Sums):
    """A pair of accumulators, one for the columns of X and one for those of y."""

    sums = movables = ("x", "y")

    def __init__(self, x: Underflow | Ranges, y: Underflow | Ranges):
        self.x: Any = x
        self.y: Any = y

    def add(self, X, y, weight):
        """Add a block of rows."""
        self.x.add(X, weight)
        self.y.add(y, weight)

    def merge(self, other):
        """Add the result of another thread."""
        self.x.merge(other.x)
        self.y.merge(other.y)

    def take_from(self, other, place):
        """Take over the sums of a copy that lives in another place."""
        self.x.take_from(other.x, place)
        self.y.take_from(other.y, place)


def power_of_two(magnitude: NDArray) -> NDArray:
    """Return the smallest power of two above each magnitude, within 2^-1000 and 2^1000; 1 for zero."""
    exponent = np.clip(np.frexp(magnitude)[1], -1000, 1000)
    return np.where(magnitude > 0, np.ldexp(1.0, exponent), 1.0)


def safe_unit(magnitude: NDArray) -> NDArray:
    """Return the units of columns of given magnitudes: 1 if their squares are well within the range of floats."""
    largest = float(np.finfo(np.float64).max) ** (SAFE_SHARE / 2)
    is_safe = (magnitude >= 1 / largest) & (magnitude <= largest)
    if is_safe.all():
        return np.ones_like(magnitude)
    return np.where(is_safe, 1.0, power_of_two(magnitude))
