"""Sums over rows, as accumulators that can be sent to where the rows are."""

from typing import Self

import numpy as np

from gdregress.rows.namespaces import Movable, Place, is_elsewhere


class Sums(Movable):
    """An accumulator that can be pickled, copied and moved, and of which only the sums come back.

    Private attributes hold the inputs of the computation, public ones the sums. So a Dask worker or a device sends only
    sums.
    """

    def __getstate__(self):
        """Return the public attributes."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def take_from(self, other: Self, place: Place) -> None:
        """Take over the sums of a copy that lives in another place, in one transfer.

        Parameters
        ----------
        other : Sums
            Copy of this accumulator, to which rows were added.
        place : Place
            Where it lives.
        """
        arrays = {name: value for name, value in vars(other).items() if is_elsewhere(value) and name[0] != "_"}
        joined = place.xp.concat([place.xp.reshape(array, (-1,)) for array in arrays.values()])
        fetched, start = place.fetch(joined).astype(np.float64), 0
        for name, array in arrays.items():
            shape = tuple(array.shape)
            stop = start + int(np.prod(shape))
            setattr(self, name, fetched[start:stop].reshape(shape))
            start = stop
