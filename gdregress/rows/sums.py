"""Sums over rows, as accumulators that can be sent to where the rows are."""

from typing import Any, ClassVar, Self

import numpy as np

from gdregress.rows.namespaces import Movable, Place, is_elsewhere


class Sums(Movable):
    """An accumulator that can be pickled, copied and moved, and of which only the sums come back.

    Of its other attributes, the inputs, none is sent by a Dask worker or a device. Those that a device needs are in
    `arrays` and `movables`.

    Attributes
    ----------
    sums : tuple of str
        Names of the attributes that hold the sums.
    """

    sums: ClassVar[tuple[str, ...]]

    def __getstate__(self):
        """Return the sums."""
        return {name: getattr(self, name) for name in self.sums}

    def merge(self, other: Self) -> None:
        """Add the sums of another thread, block or device, for rows that follow these."""
        for name in self.sums:
            mine = getattr(self, name)
            mine += getattr(other, name)
            setattr(self, name, mine)

    def take_from(self, other: Self, place: Place) -> None:
        """Take over the sums of a copy that lives in another place, in one transfer.

        Parameters
        ----------
        other : Sums
            Copy of this accumulator, to which rows were added.
        place : Place
            Where it lives.
        """
        sums = other.__getstate__()
        arrays = {name: value for name, value in sums.items() if is_elsewhere(value)}
        self.__dict__.update({name: value for name, value in sums.items() if name not in arrays})
        if not arrays:
            return
        joined = place.xp.concat([place.xp.reshape(array, (-1,)) for array in arrays.values()])
        shapes = [tuple(array.shape) for array in arrays.values()]
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
        parts = np.split(place.fetch(joined).astype(np.float64), ends[:-1])
        for name, shape, part in zip(arrays, shapes, parts, strict=True):
            setattr(self, name, part.reshape(shape))


def dot(left: Any, right: Any) -> Any:
    """Return ``left @ right``, and let other threads run meanwhile.

    NumPy's ``@`` keeps the interpreter's lock where the product has at most 500 entries, however many rows it sums
    over, and `scipy.linalg.blas` always does. A pass on several threads would take as long as on one. `np.dot` never
    does, but copies a part of a matrix whose columns are contiguous, which takes longer than the product.
    """
    are_arrays = isinstance(left, np.ndarray) and isinstance(right, np.ndarray)
    return np.dot(left, right) if are_arrays and left.flags.forc and right.flags.forc else left @ right
