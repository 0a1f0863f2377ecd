"""How large columns are: whether they move at all, and units in which their squares can be represented."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


class Motion:
    """Whether columns of X or y whose squares sum to zero move at all: then their squares have vanished."""

    def __init__(self, shift: NDArray, silent: NDArray):
        self._shift = shift[silent]
        self._silent = silent
        self.found = False

    def add(self, columns, weight):
        """Take in a block of rows."""
        counts = slice(None) if weight is None else weight > 0
        columns = columns[counts][:, self._silent]
        moved = columns.count_nonzero() if sparse.issparse(columns) else np.count_nonzero(columns - self._shift)
        self.found |= bool(moved)

    def merge(self, other):
        """Take in what another thread accumulated."""
        self.found |= other.found


class Ranges:
    """Largest magnitudes of columns of X or y: the units in which their squares are safe."""

    def __init__(self):
        self.largest = np.zeros(1)

    def add(self, columns, weight):
        """Take in a block of rows."""
        largest = abs(columns).max(axis=0)
        self.largest = np.maximum(self.largest, largest.toarray().ravel() if sparse.issparse(largest) else largest)

    def merge(self, other):
        """Take in what another thread accumulated."""
        self.largest = np.maximum(self.largest, other.largest)


class Both:
    """What a pass accumulates of the columns of X, and of those of y."""

    def __init__(self, x: Motion | Ranges, y: Motion | Ranges):
        self.x: Any = x
        self.y: Any = y

    def add(self, X, y, weight):
        """Take in a block of rows."""
        self.x.add(X, weight)
        self.y.add(y, weight)

    def merge(self, other):
        """Take in what another thread accumulated."""
        self.x.merge(other.x)
        self.y.merge(other.y)


def power_of_two(magnitude: NDArray) -> NDArray:
    """Return the powers of two next to some magnitudes; 1 for zero."""
    exponent = np.clip(np.frexp(magnitude)[1], -1000, 1000)
    return np.where(magnitude > 0, np.ldexp(1.0, exponent), 1.0)
