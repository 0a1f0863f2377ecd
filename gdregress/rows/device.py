"""Rows on a device: X stays where it is, and only sums over the rows come to the host.

A pass goes through blocks of rows, each so large that starting the work on it costs little beside the work itself.
Sums are in the widest floats of the device. Where these have 32 bits, the sums of each block are added up on the host,
in double precision.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import validate_data

from gdregress.rows.checks import check_finite, check_weights
from gdregress.rows.inputs import check_same_rows, names_of, read_targets
from gdregress.rows.moments import Moments, gather
from gdregress.rows.namespaces import Place, cast, place_of, to_host
from gdregress.rows.rows import A, Numbered, R

BLOCK_ENTRIES = 2**25
"""Entries of a block. Its 256 MB take an H100 some 0.1 ms to read, ten times as long as to start an operation."""

ROUNDED_ENTRIES = 2**20
"""Entries of a block where sums over it are in single precision: the fewer, the less is lost."""


class DeviceRows:
    """The rows of a data set on a device, an implementation of `gdregress.rows.rows.Rows`.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        Features, in 32-bit or 64-bit floats.
    y : array of shape (n_samples, n_outputs)
        Targets, in the widest floats of the device.
    weight : array of shape (n_samples,) or None
        Non-negative sample weights, in the widest floats of the device; None for weights of 1.
    place : Place
        Where these arrays live.
    name : str, default="X"
        Name of X in error messages.
    columns : ndarray of str, default=None
        Names of the columns of X in error messages; None for their numbers.
    """

    can_be_read = True
    can_be_drawn = False
    is_summed = False
    is_sparse = False

    def __init__(self, X, y, weight, place: Place, *, name: str = "X", columns: NDArray | None = None):
        self.X = X
        self.y = y
        self.weight = weight
        self.place = place
        self.name = name
        self.columns = columns
        self.n_samples, self.n_features = X.shape
        self.n_outputs = y.shape[1]
        self.dtype = np.dtype(np.float32 if X.dtype == place.xp.float32 else np.float64)
        self.total_weight, self.n_weighted = float(self.n_samples), self.n_samples
        if weight is not None:
            self.total_weight = float(place.xp.sum(weight))
            self.n_weighted = int(place.xp.sum(cast(weight > 0, place.xp.int32)))

    def with_targets(self, transform: Callable[[Any], Any]) -> "DeviceRows":
        """Return the same rows with transformed targets."""
        other = copy(self)
        other.y = transform(self.y)
        other.n_outputs = other.y.shape[1]
        return other

    def sum(self, make: Callable[[], A], *, min_rows: int = 1) -> A:
        """Add every row to accumulators created by `make`, which are sent to the device, and return them merged."""
        if self.place.has_doubles:
            return self._sum(make, self._blocks(max(BLOCK_ENTRIES // self._width, min_rows)))
        blocks = self._blocks(max(ROUNDED_ENTRIES // self._width, min_rows))
        first, *others = (self._sum(make, [block]) for block in blocks)
        for other in others:
            first.merge(other)
        return first

    def map_blocks(self, work: "Callable[[DeviceRows], R]", merge: Callable[[R, R], R]) -> R:
        """Return `work` of these rows: they are stored together, so there is nothing to merge."""
        return work(self)

    def moments(self, *, products: bool = True, precision: type = np.float64) -> Moments:
        """Return the moments of the rows, in the widest floats of the device."""
        return gather(self, cross=products, precision=np.float64 if self.place.has_doubles else np.float32)

    def sample(self, size: int) -> tuple[Any, Any]:
        """Return at most `size` rows of X and y, evenly spaced; they stay on the device."""
        step = max(1, -(-self.n_samples // size))
        return self.X[::step, :], self.y[::step, :]

    def split(self, fraction: float, random_state: np.random.RandomState) -> "tuple[DeviceRows, DeviceRows]":
        """Split the rows of positive weight at random into training rows and held-out rows.

        The training part keeps all rows and gives those held out the weight zero, so that only the held-out rows of X
        are copied.
        """
        weight = np.ones(self.n_samples) if self.weight is None else self.place.fetch(self.weight).copy()
        _, held_out = train_test_split(np.flatnonzero(weight), test_size=fraction, random_state=random_state)
        of_held_out = None if self.weight is None else self.place.put(weight[held_out])
        weight[held_out] = 0.0
        training = DeviceRows(self.X, self.y, self.place.put(weight), self.place, columns=self.columns)
        held = self.part(held_out)
        return training, DeviceRows(held.X, held.y, of_held_out, self.place, columns=self.columns)

    def part(self, chosen: NDArray | slice) -> "DeviceRows":
        """Return some of the rows, as a view if they are a slice, else copied."""
        arrays = (self.X, self.y, self.weight)
        if isinstance(chosen, slice):
            X, y, weight = (None if array is None else array[(chosen, ...)] for array in arrays)
        else:
            index = self.place.put(np.asarray(chosen, np.int64))
            X, y, weight = (None if array is None else self.place.xp.take(array, index, axis=0) for array in arrays)
        return DeviceRows(X, y, weight, self.place, name=self.name, columns=self.columns)

    def check_finite(self) -> None:
        """Raise a ValueError that names the position of the first NaN or infinity in X; blocks of it come here."""
        for rows in self._blocks(ROUNDED_ENTRIES // self._width):
            block = self.X[rows, :]
            if not bool(self.place.xp.all(self.place.xp.isfinite(block))):
                check_finite(self.name, self.place.fetch(block), self.columns, first_row=rows.start)

    def targets(self) -> None:
        """Return None: the targets are on the device."""

    def dense_copy(self, dtype: type, limit: int) -> None:
        """Return None: X is on the device."""

    def on_threads(self) -> AbstractContextManager:
        """Return a context that does nothing: passes run on the device."""
        return nullcontext()

    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("single rows on a device are not drawn: use rows in memory.")

    counted = features_of = of_columns = subsample = batches = _refuse

    @property
    def _width(self) -> int:
        return max(1, self.n_features)

    def _blocks(self, size: int) -> list[slice]:
        step = max(1, size)
        return [slice(start, min(start + step, self.n_samples)) for start in range(0, self.n_samples, step)]

    def _sum(self, make: Callable[[], Any], blocks: list[slice]) -> Any:
        sums = make()
        there = sums.moved(self.place)
        for rows in blocks:
            there.add(self.X[rows, :], self.y[rows, :], None if self.weight is None else self.weight[rows])
        sums.take_from(there, self.place)
        return sums


@dataclass(frozen=True)
class NumberedDeviceRows(Numbered):
    """Rows on a device that are told apart by their numbers: X stays there, y and the weights are at hand.

    Attributes
    ----------
    rows : DeviceRows
        The rows.
    y : ndarray of shape (n_samples, n_outputs)
        Targets.
    weight : ndarray of shape (n_samples,) or None
        Weights.
    """

    rows: DeviceRows
    y: NDArray
    weight: NDArray | None

    @classmethod
    def of(cls, rows: DeviceRows) -> "NumberedDeviceRows":
        """Return rows with their targets and weights on the host too."""
        place = rows.place
        return cls(rows, place.fetch(rows.y), None if rows.weight is None else place.fetch(rows.weight))

    @property
    def X(self) -> Any:  # noqa: N802
        """Features."""
        return self.rows.X

    @property
    def columns(self) -> NDArray | None:
        """Names of the columns of X."""
        return self.rows.columns

    def part(self, chosen: NDArray | slice) -> DeviceRows:
        """Return some of the rows."""
        return self.rows.part(chosen)

    def moments_of_parts(self, parts: Sequence[NDArray | slice]) -> list[Moments | None]:
        """Return the moments of some parts of the rows; None for one without a row of positive weight."""
        several = map(self.part, parts)
        return [part.moments() if part.n_weighted else None for part in several]


def read_device_rows(
    X: Any, y: Any, sample_weight: Any, place: Place, *, estimator: Any = None, reset: bool = False, suffix: str = ""
) -> DeviceRows:
    """Validate rows where X lives, but leave NaN and infinity in X to the pass that gathers its moments.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        Features.
    y, sample_weight : array-like
        Targets and weights. They follow X, wherever they live.
    place : Place
        Where X lives.
    estimator, reset, suffix
        As in `gdregress.rows.inputs.read_rows`.

    Raises
    ------
    TypeError
        If X holds other numbers than 32-bit or 64-bit floats.
    ValueError
        If X, y or the weights are not valid.
    """
    X = read_device_features(X, place, estimator=estimator, reset=reset, suffix=suffix)
    y = _targets(y, place, suffix)
    check_same_rows("X" + suffix, X.shape[0], "y" + suffix, y.shape[0])
    weight = _weights(sample_weight, X.shape[0], place, suffix)
    columns = None if estimator is None else names_of(estimator)
    return DeviceRows(X, place.xp.reshape(y, (y.shape[0], -1)), weight, place, name="X" + suffix, columns=columns)


def read_device_chunk(
    X: Any, y: Any, sample_weight: Any, place: Place, estimator: Any, number: int, *, is_first: bool
) -> tuple[DeviceRows, float]:
    """Validate a chunk of rows where X lives, and return it with the unit of its weights: see `read_chunk`."""
    where = f" of chunk {number}"
    given = to_host(sample_weight)
    if given is not None and not is_first and not np.any(given):
        check_weights("sample_weight" + where, np.ones_like(given, dtype=float), X.shape[0])
        return read_device_rows(X, y, None, place, estimator=estimator, suffix=where), 0.0
    rows = read_device_rows(X, y, sample_weight, place, estimator=estimator, reset=is_first, suffix=where)
    return rows, 1.0 if rows.weight is None else float(np.max(given)) / float(place.xp.max(rows.weight))


def read_device_features(X: Any, place: Place, *, estimator: Any, reset: bool = False, suffix: str = "") -> Any:
    """Validate X where it lives, but leave NaN and infinity in it to the caller: see `read_device_rows`."""
    if X.dtype not in (place.xp.float32, place.xp.float64):
        raise TypeError(
            f"X{suffix} holds {_type_of(X)} on {place}, where fits take float32 and float64: convert it to one of them."
        )
    layout = str(getattr(X, "layout", "torch.strided"))
    if layout != "torch.strided":
        raise TypeError(f"X{suffix} is of {place} with the layout {layout}: make it dense, or pass a matrix of SciPy.")
    return validate_data(estimator, _untraced(X), reset=reset, dtype=None, ensure_all_finite=False)


def check_takes_device(estimator: Any) -> None:
    """Raise a ValueError if the parameters require mini-batches, which are drawn from rows in memory alone.

    Parameters
    ----------
    estimator : GradientDescentRegressor
        Estimator whose `batch_size` is checked.
    """
    if estimator.batch_size is not None:
        raise ValueError(
            f"batch_size={estimator.batch_size} draws rows, but rows on a device are summed as a whole: use "
            "batch_size=None, or rows in memory."
        )


def _targets(y: Any, place: Place, suffix: str) -> Any:
    """Return validated targets in the widest floats, where X lives."""
    if place_of("y" + suffix, y) != place:
        y = read_targets(y, suffix=suffix)
        check_finite("y" + suffix, y)
        return place.put(y)
    if y.ndim not in (1, 2):
        raise ValueError(
            f"y{suffix} must have shape (n_samples,) or (n_samples, n_targets), but has shape {tuple(y.shape)}."
        )
    y = _real("y" + suffix, y, place)
    if not bool(place.xp.all(place.xp.isfinite(y))):
        check_finite("y" + suffix, place.fetch(y))
    return y


def _weights(weight: Any, n_samples: int, place: Place, suffix: str) -> Any:
    """Return validated weights below 1 in the widest floats, where X lives; None if there are none."""
    name = "sample_weight" + suffix
    if weight is None:
        return None
    if place_of(name, weight) != place:
        return _checked(name, weight, n_samples, place)
    xp, weight = place.xp, _real(name, weight, place)
    is_valid = xp.isfinite(weight) & (weight >= 0)
    largest = float(xp.max(weight)) if bool(xp.all(is_valid)) and tuple(weight.shape) == (n_samples,) else 0.0
    if largest <= 0:  # the check says what is wrong, unless one number stands for all
        return _checked(name, place.fetch(weight), n_samples, place)
    return weight * 2.0 ** -int(np.frexp(largest)[1])


def _checked(name: str, weight: Any, n_samples: int, place: Place) -> Any:
    return place.put(np.asarray(check_weights(name, weight, n_samples)))


def _real(name: str, values: Any, place: Place) -> Any:
    """Return numbers that live there in its widest floats."""
    if not place.xp.isdtype(values.dtype, ("bool", "integral", "real floating")):
        raise TypeError(f"{name} holds {_type_of(values)} on {place}: pass real numbers.")
    return cast(_untraced(values), place.widest)


def _untraced(array: Any) -> Any:
    """Return an array without what torch would remember of it for derivatives."""
    return array.detach() if hasattr(array, "detach") else array


def _type_of(array: Any) -> str:
    return str(array.dtype).rpartition(".")[2]
