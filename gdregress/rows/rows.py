"""The interface to the rows of a data set, wherever they are stored.

Every computation on X is a map over blocks of rows followed by a reduction: `sum` fills and merges accumulators,
`map_blocks` applies a function to all rows stored together. The attributes `can_be_read` and `can_be_drawn` state
what an implementation supports, so callers need not check its type.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from gdregress.rows.moments import Moments
from gdregress.rows.namespaces import HOST, Place
from gdregress.rows.threads import needs_limit, on_threads


class Accumulator(Protocol):
    """A reduction over rows: one instance per thread, merged in the order of the rows."""

    def add(self, X, y: NDArray, weight: NDArray | None) -> None:
        """Add a block of rows."""
        ...

    def merge(self, other: Self) -> None:
        """Add the result of another thread, for rows that follow these."""
        ...


A = TypeVar("A", bound=Accumulator)
R = TypeVar("R")


class Rows(Protocol):
    """The rows of a data set.

    Attributes
    ----------
    n_samples : int
        Number of rows, including those of weight zero.
    n_weighted : int
        Number of rows of positive weight.
    n_features, n_outputs : int
        Number of columns of X and of y.
    dtype : dtype
        Floating type of X.
    place : Place
        Where the arrays of a block live: on the host, or on a device.
    is_sparse : bool
        Whether X is CSR.
    total_weight : float
        Sum of the weights, or the number of rows if there are no weights.
    can_be_read : bool
        Whether passes over the rows are possible, any number of times.
    can_be_drawn : bool
        Whether single rows can be drawn, as `sample`, `subsample` and `batches` do.
    is_summed : bool
        Whether their moments are known, covariances included, so that `moments` takes no pass.
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
    def place(self) -> Place: ...  # noqa: D102
    @property
    def is_sparse(self) -> bool: ...  # noqa: D102
    @property
    def total_weight(self) -> float: ...  # noqa: D102
    @property
    def can_be_read(self) -> bool: ...  # noqa: D102
    @property
    def can_be_drawn(self) -> bool: ...  # noqa: D102
    @property
    def is_summed(self) -> bool: ...  # noqa: D102

    def sum(self, make: Callable[[], A], *, min_rows: int = 1, work: float = 1.0) -> A:
        """Add every row to accumulators created by `make`, and return them merged."""
        ...

    def map_blocks(self, work: Callable[[Any], R], merge: Callable[[R, R], R]) -> R:
        """Apply `work` to each set of rows stored together, and return the results merged."""
        ...

    def moments(self, *, products: bool = True, precision: type = np.float64) -> Moments:
        """Return the moments of the rows, as `gdregress.rows.moments.gather` does."""
        ...

    def on_threads(self) -> AbstractContextManager:
        """Return a context in which all passes share one set of threads."""
        ...

    def with_targets(self, transform: Callable[[NDArray], NDArray]) -> "Rows":
        """Return the same rows with transformed targets."""
        ...

    def without_features(self) -> "Rows":
        """Return the same rows for passes over y and the weights alone, so that X need not be read for these."""
        ...

    def targets(self) -> tuple[NDArray, NDArray | None] | None:
        """Return y and the weights; None if they are not in this process's memory."""
        ...

    def dense_as(self, dtype: type, limit: int) -> Any:
        """Return the rows as `RowBlocks` of a floating type, copied if X and y are of another.

        None if X is sparse, is not in this process's memory, or has more than `limit` entries.
        """
        ...

    def counted(self) -> "Rows":
        """Return the rows of positive weight."""
        ...

    def features_of(self, rows: NDArray | slice) -> Any:
        """Return some rows of X."""
        ...

    def of_columns(self, columns: NDArray) -> "Rows":
        """Return the rows with some columns of X."""
        ...

    def sample(self, size: int) -> tuple[NDArray, NDArray]:
        """Return at most `size` rows of X and y, evenly spaced among those of positive weight."""
        ...

    def subsample(self, share: float, neighbours: int, random_state: np.random.RandomState) -> "Rows":
        """Return a random share of the rows of positive weight, stratified by position."""
        ...

    def batches(self, size: int, random_state: np.random.RandomState | None) -> "Iterator[Rows]":
        """Yield the rows of positive weight, `size` at a time, in an endless sequence of passes."""
        ...

    def split(self, fraction: float, random_state: np.random.RandomState) -> "tuple[Rows, Rows]":
        """Split the rows at random into training rows and held-out rows."""
        ...


@dataclass(frozen=True)
class GoneRows:
    """Rows that were discarded after their moments were gathered: a `Rows` that cannot be read.

    Parameters
    ----------
    summed : Moments
        Moments of all rows, with the covariances of X.
    dtype : dtype
        Floating type that the numbers in X had.
    """

    summed: Moments
    dtype: np.dtype
    can_be_read = False
    can_be_drawn = False
    is_summed = True
    is_sparse = False
    place = HOST

    @property
    def n_samples(self) -> int:
        """Number of rows of positive weight: moments do not count the others."""
        return self.summed.n_samples

    @property
    def n_weighted(self) -> int:
        """Number of rows of positive weight."""
        return self.summed.n_samples

    @property
    def n_features(self) -> int:
        """Number of columns of X."""
        return len(self.summed.x.mean)

    @property
    def n_outputs(self) -> int:
        """Number of columns of y."""
        return len(self.summed.y.mean)

    @property
    def total_weight(self) -> float:
        """Sum of the weights."""
        return self.summed.weight

    def moments(self, *, products: bool = True, precision: type = np.float64) -> Moments:
        """Return the moments of all rows, with covariances and in double precision whatever the arguments."""
        return self.summed

    def on_threads(self) -> AbstractContextManager:
        """Return a context in which BLAS has one thread: there are no passes to share threads."""
        return on_threads(1, limit=needs_limit(self.n_features, self.n_features))

    def targets(self) -> None:
        """Return None: the targets were discarded too."""

    def dense_as(self, dtype: type, limit: int) -> None:
        """Return None: there is nothing left of X."""

    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("these rows were read once and are gone: their moments are all that is left.")

    sum = map_blocks = with_targets = without_features = counted = features_of = of_columns = _refuse
    sample = subsample = batches = split = _refuse


class Numbered:
    """Rows that are told apart by their numbers, with X elsewhere, y at hand, and known by their sums.

    Attributes
    ----------
    rows : Rows
        The rows.
    y : ndarray of shape (n_samples, n_outputs)
        Targets.
    """

    rows: Any
    y: NDArray
    can_be_drawn = False

    @property
    def n_samples(self) -> int:
        """Number of rows, including those of weight zero."""
        return len(self.y)

    @property
    def n_features(self) -> int:
        """Number of columns of X."""
        return self.rows.n_features

    @property
    def n_outputs(self) -> int:
        """Number of columns of y."""
        return self.rows.n_outputs

    @property
    def dtype(self) -> np.dtype:
        """Floating type of X."""
        return self.rows.dtype

    def on_threads(self) -> AbstractContextManager[tuple[int, Callable[..., Any]]]:
        """Return a context of one thread, with the map of Python: passes run where X is."""
        return nullcontext((1, map))

    def known_by(self, chosen: NDArray | slice, moments: Moments) -> GoneRows:
        """Return some rows as what is known of them, their moments."""
        return GoneRows(moments, self.dtype)
