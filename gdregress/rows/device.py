"""Rows on a device: X stays where it is, or comes block by block from the host, and only sums leave the device.

A pass goes through blocks of rows: see `gdregress.rows.transfer`. Sums are in the widest floats of the device. Where
these have 32 bits, the sums of each block are added up on the host, in double precision.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager, closing
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import validate_data

from gdregress.rows.checks import check_finite, check_weights
from gdregress.rows.gathering import gather
from gdregress.rows.inputs import check_same_rows, names_of, read_targets
from gdregress.rows.moments import Moments
from gdregress.rows.namespaces import Place, cast, place_of
from gdregress.rows.rows import A, Numbered
from gdregress.rows.threads import on_threads
from gdregress.rows.transfer import ROUNDED_ENTRIES, Features, pieces_of


class DeviceRows:
    """The rows of a data set on a device, an implementation of `gdregress.rows.rows.Rows`.

    Parameters
    ----------
    X : Features
        X in blocks that lie on the device.
    y : array of shape (n_samples, n_outputs)
        Targets, in the widest floats of the device, on it.
    weight : array of shape (n_samples,) or None
        Non-negative sample weights, in the widest floats of the device, on it; None for weights of 1.
    name : str, default="X"
        Name of X in error messages.
    columns : ndarray of str, default=None
        Names of the columns of X in error messages; None for their numbers.
    """

    can_be_read = True
    in_memory = None
    is_summed = False
    is_sparse = False

    def __init__(self, X: Features, y, weight, *, name: str = "X", columns: NDArray | None = None):
        self.X = X
        self.y = y
        self.weight = weight
        self.place = X.place
        self.name = name
        self.columns = columns
        self.n_samples, self.n_features = X.shape
        self.n_outputs = y.shape[1]
        self.dtype = X.dtype
        self.total_weight, self.n_weighted = float(self.n_samples), self.n_samples
        if weight is not None:
            xp = self.place.xp
            self.total_weight = float(xp.sum(weight))
            self.n_weighted = int(xp.sum(cast(weight > 0, xp.int32)))

    def with_targets(self, transform: Callable[[Any], Any]) -> "DeviceRows":
        """Return the same rows with transformed targets."""
        other = copy(self)
        other.y = transform(self.y)
        other.n_outputs = other.y.shape[1]
        return other

    def without_features(self) -> "DeviceRows":
        """Return the same rows without the columns of X, for passes over y and the weights alone."""
        other = copy(self)
        other.X = self.X.without_columns()
        return other

    def sum(self, make: Callable[[], A], *, min_rows: int = 1, work: float = 1.0) -> A:
        """Add every row to accumulators created by `make`, which are sent to the device, and return them merged."""
        is_exact = self.place.has_doubles
        entries = self.X.block_entries if is_exact else min(self.X.block_entries, ROUNDED_ENTRIES)
        pieces = pieces_of(self.n_samples, max(entries // max(1, self.n_features), min_rows))
        with closing(self._blocks(pieces)) as blocks:
            if is_exact:
                return self._sum(make, blocks)
            first, *others = (self._sum(make, [block]) for block in blocks)
        for other in others:
            first.merge(other)
        return first

    def moments(self, *, products: bool = True, precision: type = np.float64) -> Moments:
        """Return the moments of the rows, in the widest floats of the device."""
        return gather(self, cross=products, precision=np.float64 if self.place.has_doubles else np.float32)

    def sample(self, size: int) -> tuple[Any, Any]:
        """Return at most `size` rows of X and y, evenly spaced among those of positive weight, on the device."""
        step = max(1, -(-self.n_weighted // size))
        if self.weight is None or self.n_weighted == self.n_samples:
            return self.X.sample(slice(None, None, step)), self.y[::step, :]
        [counted] = self.place.xp.nonzero(self.weight)
        sampled = counted[::step]
        return self.X.sample(sampled), self.place.xp.take(self.y, sampled, axis=0)

    def split(self, fraction: float, random_state: np.random.RandomState) -> "tuple[DeviceRows, DeviceRows]":
        """Split the rows of positive weight at random into training rows and held-out rows.

        The training part keeps all rows and gives those held out the weight zero, so that only the held-out rows of an
        X on the device are copied.
        """
        weight = np.ones(self.n_samples) if self.weight is None else self.place.fetch(self.weight).copy()
        _, held_out = train_test_split(np.flatnonzero(weight), test_size=fraction, random_state=random_state)
        held_out = np.sort(held_out)  # a file is read in the order of its rows
        of_held_out = None if self.weight is None else self.place.put(weight[held_out])
        weight[held_out] = 0.0
        training = DeviceRows(self.X, self.y, self.place.put(weight), columns=self.columns)
        held = self.part(held_out)
        return training, DeviceRows(held.X, held.y, of_held_out, columns=self.columns)

    def part(self, chosen: NDArray | slice) -> "DeviceRows":
        """Return some of the rows, as a view if they are a slice; of others y and the weights are copied."""
        arrays = (self.y, self.weight)
        if isinstance(chosen, slice):
            y, weight = (None if array is None else array[(chosen, ...)] for array in arrays)
        else:
            index = self.place.put(np.asarray(chosen, np.int64))
            y, weight = (None if array is None else self.place.xp.take(array, index, axis=0) for array in arrays)
        return DeviceRows(self.X.part(chosen), y, weight, name=self.name, columns=self.columns)

    def check_finite(self) -> None:
        """Raise a ValueError that names the position of the first NaN or infinity in X."""
        self.X.check_finite(self.name, self.columns)

    def on_threads(self) -> AbstractContextManager:
        """Return a context in which BLAS has one thread on the host, where matrices are factored."""
        return on_threads(1)

    def _blocks(self, pieces: list[slice]) -> Generator[tuple[Any, Any, Any], None, None]:
        """Yield X, y and the weights of each block of rows."""
        with closing(self.X.blocks(pieces)) as blocks:
            for rows, X in zip(pieces, blocks, strict=True):
                yield X, self.y[rows, :], None if self.weight is None else self.weight[rows]

    def _sum(self, make: Callable[[], Any], blocks: Iterable[tuple[Any, Any, Any]]) -> Any:
        sums = make()
        there = sums.moved(self.place)
        for block in blocks:
            there.add(*block)
        sums.take_from(there, self.place)
        return sums


class NumberedDeviceRows(Numbered):
    """Rows on a device that are told apart by their numbers: X stays there."""

    @classmethod
    def of(cls, rows: DeviceRows, X: Any) -> "NumberedDeviceRows":
        """Return rows with their targets and weights on the host too, given X as it was passed."""
        fetch = rows.place.fetch
        return cls(rows, X, fetch(rows.y), None if rows.weight is None else fetch(rows.weight), rows.columns)

    def part(self, chosen: NDArray | slice) -> DeviceRows:
        """Return some of the rows."""
        return self.rows.part(chosen)

    def moments_of_parts(self, parts: Sequence[NDArray | slice]) -> list[Moments | None]:
        """Return the moments of some parts of the rows; None for one without a row of positive weight."""
        several = map(self.part, parts)
        return [part.moments() if part.n_weighted else None for part in several]


def rows_beside(X: Features, y: Any, sample_weight: Any, *, estimator: Any, suffix: str) -> DeviceRows:
    """Return rows, given their features, after y and the weights were validated and put where the blocks of X lie."""
    n_samples, place = X.shape[0], X.place
    y = _targets(y, place, suffix)
    check_same_rows("X" + suffix, n_samples, "y" + suffix, y.shape[0])
    weight = _weights(sample_weight, n_samples, place, suffix)
    y = place.xp.reshape(y, (n_samples, -1))
    return DeviceRows(X, y, weight, name="X" + suffix, columns=names_of(estimator))


def read_device_features(X: Any, place: Place, *, estimator: Any, reset: bool = False, suffix: str = "") -> Any:
    """Validate X where it lives, but leave NaN and infinity in it to the caller."""
    if X.dtype not in (place.xp.float32, place.xp.float64):
        raise TypeError(
            f"X{suffix} holds {_type_of(X)} on {place}, where fits take float32 and float64: convert it to one of them."
        )
    layout = str(getattr(X, "layout", "torch.strided"))
    if layout != "torch.strided":
        raise TypeError(f"X{suffix} is of {place} with the layout {layout}: make it dense, or pass a matrix of SciPy.")
    return validate_data(estimator, _untraced(X), reset=reset, dtype=None, ensure_all_finite=False)


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
