"""How large columns are: whether they move at all, and units in which their squares can be represented."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


class Motion:
    """Whether columns whose squares sum to zero move at all: then their squares have vanished."""

    def __init__(self, shift: NDArray, target_shift: NDArray, columns: NDArray, outputs: NDArray):
        self._shift = shift[columns]
        self._target_shift = target_shift[outputs]
        self._columns = columns
        self._outputs = outputs
        self.found = False

    def add(self, X, y, weight):
        """Take in a block of rows."""
        counts = slice(None) if weight is None else weight > 0
        X, y = X[counts][:, self._columns], y[counts][:, self._outputs]
        moved = X.count_nonzero() if sparse.issparse(X) else np.count_nonzero(X - self._shift)
        self.found |= bool(moved or np.count_nonzero(y - self._target_shift))

    def merge(self, other):
        """Take in what another thread accumulated."""
        self.found |= other.found


class Ranges:
    """Largest magnitudes of the columns of X and y: the units in which their squares are safe."""

    def __init__(self):
        self.largest = self.target_largest = np.zeros(1)

    def add(self, X, y, weight):
        """Take in a block of rows."""
        self._take(abs(X).max(axis=0), np.abs(y).max(axis=0))

    def merge(self, other):
        """Take in what another thread accumulated."""
        self._take(other.largest, other.target_largest)

    def _take(self, largest, target_largest):
        largest = largest.toarray().ravel() if sparse.issparse(largest) else largest
        self.largest = np.maximum(self.largest, largest)
        self.target_largest = np.maximum(self.target_largest, target_largest)

    def units(self) -> dict[str, NDArray]:
        """Give the powers of two next to the largest magnitudes."""
        return {"unit": power_of_two(self.largest), "target_unit": power_of_two(self.target_largest)}


def power_of_two(magnitude: NDArray) -> NDArray:
    """Give the powers of two next to some magnitudes; 1 for zero."""
    exponent = np.clip(np.frexp(magnitude)[1], -1000, 1000)
    return np.where(magnitude > 0, np.ldexp(1.0, exponent), 1.0)
