"""What the rest of the package asks of the rows of a data set, wherever they lie.

Everything that touches X is a map over blocks of rows and a sum: `sum` for accumulators, `map_blocks` for work on
all rows that lie together. What rows can or cannot do is said by facts, and never asked by type.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from gdregress.rows.moments import Moments
from gdregress.rows.threads import needs_limit, on_threads


class Accumulator(Protocol):
    """What a pass over the rows fills: one per thread, merged in the order of the rows."""

    def add(self, X, y: NDArray, weight: NDArray | None) -> None:
        """Take in a block of rows."""
        ...

    def merge(self, other: Self) -> None:
        """Take in what another thread accumulated over the rows that follow."""
        ...


class Sums:
    """An accumulator that is copied, and sent, without what it was made from: that has names with an underscore."""

    def __getstate__(self):
        """Return the sums."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}


A = TypeVar("A", bound=Accumulator)
R = TypeVar("R")


class Rows(Protocol):
    """The rows of a data set.

    Attributes
    ----------
    n_samples : int
        Rows, those of weight zero included.
    n_weighted : int
        Rows of positive weight.
    n_features, n_outputs : int
        Columns of X and of y.
    dtype : dtype
        Floating type of X.
    is_sparse : bool
        Whether X is CSR.
    total_weight : float
        Sum of the weights; the number of rows where there are none.
    can_be_read : bool
        Whether the rows can be read again, as often as needed.
    can_be_drawn : bool
        Whether single rows can be drawn: `sample`, `subsample` and `batches` need that.
    """

    @property
    def n_samples(self) -> int: ...  # noqa: D102
    @property
    def n_weighted(self) -> int: ...  # noqa: D102
    @property
    def n_features(self) -> int: ...  # noqa: D102
    @property
    def n_outputs(self) -> int: ...  # noqa: D102
    @property
    def dtype(self) -> np.dtype: ...  # noqa: D102
    @property
    def is_sparse(self) -> bool: ...  # noqa: D102
    @property
    def total_weight(self) -> float: ...  # noqa: D102
    @property
    def can_be_read(self) -> bool: ...  # noqa: D102
    @property
    def can_be_drawn(self) -> bool: ...  # noqa: D102

    def sum(self, make: Callable[[], A], *, min_rows: int = 1) -> A:
        """Run every row through accumulators made by `make`, and merge them."""
        ...

    def map_blocks(self, work: Callable[[Any], R], merge: Callable[[R, R], R]) -> R:
        """Do the work on the rows that lie together, and merge what comes of it."""
        ...

    def moments(self, *, products: bool = True, precision: type = np.float64) -> Moments:
        """Return the moments of the rows: see `gdregress.rows.moments.gather`."""
        ...

    def on_threads(self) -> AbstractContextManager:
        """Keep the threads of passes from one to the next."""
        ...

    def with_targets(self, transform: Callable[[NDArray], NDArray]) -> "Rows":
        """Return the same rows with targets that are made from theirs."""
        ...

    def targets(self) -> tuple[NDArray, NDArray | None] | None:
        """Return y and the weights; None where they are not here."""
        ...

    def dense_copy(self, dtype: type, limit: int) -> Any:
        """Return `RowBlocks`, a copy in another floating type; None where X is not dense, not here, or larger."""
        ...

    def sample(self, size: int) -> tuple[NDArray, NDArray]:
        """Return `size` rows of X and y, or fewer, spread evenly over those of positive weight."""
        ...

    def subsample(self, share: float, neighbours: int, random_state: np.random.RandomState) -> "Rows":
        """Return a share of the rows of positive weight, drawn over their whole range."""
        ...

    def batches(self, size: int, random_state: np.random.RandomState | None) -> "Iterator[Rows]":
        """Return the rows of positive weight `size` at a time, pass after pass, for ever."""
        ...

    def split(self, fraction: float, random_state: np.random.RandomState) -> "tuple[Rows, Rows]":
        """Split the rows at random into training rows and held-out rows."""
        ...


@dataclass(frozen=True)
class GoneRows:
    """Rows that were read once, of which the moments are left: a `Rows` that cannot be read again.

    Parameters
    ----------
    summed : Moments
        Of all rows, the products of the columns included.
    """

    summed: Moments
    can_be_read = False
    can_be_drawn = False
    is_sparse = False
    dtype = np.dtype(np.float64)

    @property
    def n_samples(self) -> int:
        """Rows of positive weight: others were not counted."""
        return self.summed.n_samples

    @property
    def n_weighted(self) -> int:
        """Rows of positive weight."""
        return self.summed.n_samples

    @property
    def n_features(self) -> int:
        """Columns of X."""
        return len(self.summed.x.mean)

    @property
    def n_outputs(self) -> int:
        """Columns of y."""
        return len(self.summed.y.mean)

    @property
    def total_weight(self) -> float:
        """Sum of the weights."""
        return self.summed.weight

    def moments(self, *, products: bool = True, precision: type = np.float64) -> Moments:
        """Return what was summed."""
        return self.summed

    def on_threads(self) -> AbstractContextManager:
        """Keep BLAS to one thread: there are no passes."""
        return on_threads(1, limit=needs_limit(self.n_features, self.n_features))

    def targets(self) -> None:
        """Return None: the targets are gone too."""

    def dense_copy(self, dtype: type, limit: int) -> None:
        """Return None: there is nothing to copy."""

    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("these rows were read once and are gone: their moments are all that is left.")

    sum = map_blocks = with_targets = sample = subsample = batches = split = _refuse
