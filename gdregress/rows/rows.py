"""The interface to the rows of a data set, wherever they are stored.

Every computation on X is a map over blocks of rows followed by a reduction: `sum` fills and merges accumulators. What
takes single rows asks for `in_memory`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from gdregress.rows.moments import Moments
from gdregress.rows.namespaces import HOST, Place
from gdregress.rows.threads import needs_limit, on_threads

if TYPE_CHECKING:
    from gdregress.rows.folds import SplittableRows
    from gdregress.rows.memory import RowBlocks


class Accumulator(Protocol):
    """A reduction over rows: one instance per thread, merged in the order of the rows."""

    def add(self, X, y: NDArray, weight: NDArray | None) -> None:
        """Add a block of rows."""
        ...

    def merge(self, other: Self) -> None:
        """Add the result of another thread, for rows that follow these."""
        ...


A = TypeVar("A", bound=Accumulator)


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
    in_memory : RowBlocks or None
        The rows themselves if they are in the memory of this process, where single ones can be drawn; else None.
    is_summed : bool
        Whether their moments are known, covariances included, so that `moments` takes no pass.
    """

    n_samples: int
    n_weighted: int
    n_features: int
    n_outputs: int
    dtype: np.dtype
    place: Place
    is_sparse: bool
    total_weight: float
    can_be_read: bool

    @property
    def in_memory(self) -> "RowBlocks | None": ...  # noqa: D102
    @property
    def is_summed(self) -> bool: ...  # noqa: D102

    def sum(self, make: Callable[[], A], *, min_rows: int = 1, work: float = 1.0) -> A:
        """Add every row to accumulators created by `make`, and return them merged."""
        ...

    def moments(self, *, products: bool = True, precision: type = np.float64) -> Moments:
        """Return the moments of the rows, as `gdregress.rows.gathering.gather` does."""
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

    def split(self, fraction: float, random_state: np.random.RandomState) -> "tuple[Rows, Rows]":
        """Split the rows at random into training rows and held-out rows."""
        ...


def drawable(rows: "Rows | SplittableRows") -> "RowBlocks":
    """Return the rows in memory, for what is chosen only where they are there.

    Raises
    ------
    TypeError
        If they are not in the memory of this process.
    """
    if rows.in_memory is None:
        raise TypeError(f"single rows of {type(rows).__name__} are not drawn: use rows in memory.")
    return rows.in_memory


class GoneRows:
    """Rows that were discarded after their moments were gathered: a `Rows` that cannot be read.

    Moments do not count rows of weight zero.

    Parameters
    ----------
    summed : Moments
        Moments of all rows, with the covariances of X.
    dtype : dtype
        Floating type that the numbers in X had.
    """

    can_be_read = False
    in_memory = None
    is_summed = True
    is_sparse = False
    place = HOST

    def __init__(self, summed: Moments, dtype: np.dtype):
        self.summed = summed
        self.dtype = dtype
        self.n_samples = self.n_weighted = summed.n_samples
        self.n_features, self.n_outputs = len(summed.x.mean), len(summed.y.mean)
        self.total_weight = summed.weight

    def moments(self, *, products: bool = True, precision: type = np.float64) -> Moments:
        """Return the moments of all rows, with covariances and in double precision whatever the arguments."""
        return self.summed

    def on_threads(self) -> AbstractContextManager:
        """Return a context in which BLAS has one thread: there are no passes to share threads."""
        return on_threads(1, limit=needs_limit(self.n_features, self.n_features))

    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("these rows were read once and are gone: their moments are all that is left.")

    sum = with_targets = without_features = split = _refuse


class Numbered:
    """Rows that are told apart by their numbers, with X elsewhere, y and the weights at hand, and known by their sums.

    Parameters
    ----------
    rows : Rows
        The rows.
    X : object
        Features, as the user gave them.
    y : ndarray of shape (n_samples, n_outputs)
        Targets.
    weight : ndarray of shape (n_samples,) or None
        Weights.
    columns : ndarray of str, default=None
        Names of the columns of X in error messages; None for their numbers.
    """

    in_memory = None

    def __init__(self, rows: Any, X: Any, y: NDArray, weight: NDArray | None, columns: NDArray | None = None):
        self.rows = rows
        self.X = X
        self.y = y
        self.weight = weight
        self.columns = columns
        self.n_samples, self.n_features, self.n_outputs = len(y), rows.n_features, rows.n_outputs
        self.dtype = rows.dtype

    def on_threads(self) -> AbstractContextManager[tuple[int, Callable[..., Any]]]:
        """Return a context of one thread, with the map of Python: passes run where X is."""
        return nullcontext((1, map))

    def known_by(self, chosen: NDArray | slice, moments: Moments) -> GoneRows:
        """Return some rows as what is known of them, their moments."""
        return GoneRows(moments, self.dtype)
