"""The kinds of storage that features come in: memory, Dask, a device, or the host by way of a device.

`source_of` is the one place that asks of which kind X is. What then differs is a method of its source: reading rows and
chunks, predicting, scoring, and telling rows apart for cross-validation.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

import numpy as np
from sklearn.metrics import r2_score
from sklearn.utils.validation import validate_data

from gdregress.rows.checks import check_finite, check_weights
from gdregress.rows.dask import DaskRows, NumberedRows, gather_blocks, predict_blocks, score_blocks
from gdregress.rows.dask_blocks import blocks_of, computed, floats_of, is_dask, see_columns
from gdregress.rows.device import DeviceRows, NumberedDeviceRows, read_device_features, rows_beside
from gdregress.rows.folds import SplittableRows
from gdregress.rows.inputs import check_largest_weight, names_of, read_features, read_rows
from gdregress.rows.memory import RowBlocks
from gdregress.rows.namespaces import HOST, Place, affine, cast, check_same_place, place_of, to_host
from gdregress.rows.rows import GoneRows, Rows
from gdregress.rows.through import ThroughDevice, goes_through
from gdregress.rows.transfer import Resident


class Source(ABC):
    """Features of one kind of storage.

    Attributes
    ----------
    X : object
        Features as the user gave them.
    place : Place
        Where what is fitted to them lives.
    stays : str
        Why single rows are not at hand, where they are not.
    """

    X: Any
    place: Place = HOST
    stays: ClassVar[str]

    @abstractmethod
    def rows(self, estimator: Any, y: Any, sample_weight: Any, *, reset: bool = False, suffix: str = "") -> Rows:
        """Return the rows, validated but for NaN and infinity in X, which the first pass over them finds.

        Parameters
        ----------
        estimator : GradientDescentRegressor
            Estimator that holds the number and names of the features.
        y, sample_weight : array-like
            Targets and weights, wherever they are.
        reset : bool, default=False
            Whether to set the number and names of the features. If False, X is checked against them.
        suffix : str, default=""
            What follows X, y and sample_weight in error messages, such as "_val".
        """

    def summed(self, estimator: Any, y: Any, sample_weight: Any) -> Rows:
        """Return training rows for a fit that needs nothing but their moments."""
        return self.rows(estimator, y, sample_weight, reset=True)

    @abstractmethod
    def chunk(
        self, estimator: Any, y: Any, sample_weight: Any, number: int, *, is_first: bool
    ) -> tuple[RowBlocks | DeviceRows, float]:
        """Return the validated rows of a chunk, and the factor from their weights to `sample_weight`.

        It puts the weights of all chunks on one scale, and is 0 for a later chunk without rows of positive weight.
        Chunks have numbers from 1. The first sets the features of the estimator.
        """

    @abstractmethod
    def numbered(self, estimator: Any, y: Any, sample_weight: Any) -> SplittableRows:
        """Return training rows that are told apart by their numbers, for cross-validation."""

    @abstractmethod
    def predict(self, estimator: Any) -> Any:
        """Return the predictions of a fitted estimator, where X lives."""

    @abstractmethod
    def score(self, estimator: Any, y: Any, sample_weight: Any) -> float:
        """Return R^2 of the predictions, averaged over targets."""

    def on_host(self) -> Any:
        """Return X on the host, as a copy if it is on a device; what SciPy, pandas or Dask holds stays so."""
        return self.X

    def check_single_rows(self, needs: str, remedy: str) -> None:
        """Raise a ValueError if single rows are not at hand; given what needs them, and the remedy."""
        raise ValueError(f"{needs}, and {self.stays}: {remedy}.")

    def in_memory(self, name: str = "X") -> "MemorySource":
        """Return X as features in memory, or raise a TypeError; a Dask collection is computed when it is read."""
        return MemorySource(self.X)


@dataclass(frozen=True)
class MemorySource(Source):
    """An array, a sparse matrix, or a table in the memory of this process."""

    X: Any

    def rows(self, estimator: Any, y: Any, sample_weight: Any, *, reset: bool = False, suffix: str = "") -> RowBlocks:
        """Return the rows."""
        of_rows = read_rows(self.X, *computed(y, sample_weight), estimator=estimator, reset=reset, suffix=suffix)
        return _blocks(estimator, *of_rows, suffix)

    def chunk(
        self, estimator: Any, y: Any, sample_weight: Any, number: int, *, is_first: bool
    ) -> tuple[RowBlocks, float]:
        """Return the rows of a chunk."""
        where = f" of chunk {number}"
        if any(map(is_dask, (self.X, y, sample_weight))):
            raise ValueError(f"chunk {number} is of dask, and would be fetched whole: use fit, or compute it before.")
        is_weightless = not is_first and sample_weight is not None and not np.any(sample_weight)
        given = None if is_weightless else sample_weight
        of_rows = read_rows(self.X, y, given, estimator=estimator, reset=is_first, suffix=where, min_rows=int(is_first))
        rows = _blocks(estimator, *of_rows, where)
        if rows.n_samples == 0:
            return rows, 0.0
        if is_weightless:
            check_weights("sample_weight" + where, np.ones_like(sample_weight, dtype=float), rows.n_samples)
            rows.check_finite()
            return rows, 0.0
        if rows.weight is None:
            return rows, 1.0
        largest = float(np.max(sample_weight))
        check_largest_weight("sample_weight" + where, largest)
        return rows, largest / float(rows.weight.max())

    def numbered(self, estimator: Any, y: Any, sample_weight: Any) -> RowBlocks:
        """Return the rows."""
        return self.rows(estimator, y, sample_weight, reset=True)

    def predict(self, estimator: Any) -> Any:
        """Return the predictions."""
        check_same_place(estimator, self.X, HOST, "predict")
        X = read_features(self.X, estimator=estimator)
        check_finite("X", X, names_of(estimator))
        return affine(X, estimator.coef_, estimator.intercept_)

    def score(self, estimator: Any, y: Any, sample_weight: Any) -> float:
        """Return R^2."""
        check_same_place(estimator, self.X, HOST, "score")
        rows = self.rows(estimator, y, sample_weight)
        rows.check_finite()
        predicted = affine(rows.X, estimator.coef_, estimator.intercept_)
        return r2_score(rows.y, predicted, sample_weight=rows.weight)

    def check_single_rows(self, needs: str, remedy: str) -> None:
        """Do nothing: they are at hand."""


@dataclass(frozen=True)
class DaskSource(Source):
    """A Dask array or data frame, whose blocks stay on their workers."""

    X: Any
    stays: ClassVar[str] = "those of dask stay on their workers"

    def rows(self, estimator: Any, y: Any, sample_weight: Any, *, reset: bool = False, suffix: str = "") -> DaskRows:
        """Return the rows."""
        see_columns(estimator, self.X, reset=reset)
        return DaskRows.of(blocks_of(self.X, y, sample_weight, suffix=suffix))

    def summed(self, estimator: Any, y: Any, sample_weight: Any) -> GoneRows:
        """Return the moments of the rows, which are read once and need not be kept."""
        see_columns(estimator, self.X, reset=True)
        return GoneRows(gather_blocks(blocks_of(self.X, y, sample_weight)), floats_of(self.X))

    def chunk(self, estimator: Any, y: Any, sample_weight: Any, number: int, *, is_first: bool) -> Any:
        """Raise a ValueError: it would be fetched whole."""
        return self.in_memory().chunk(estimator, y, sample_weight, number, is_first=is_first)

    def numbered(self, estimator: Any, y: Any, sample_weight: Any) -> NumberedRows:
        """Return the rows, with X on the workers."""
        see_columns(estimator, self.X, reset=True)
        return NumberedRows.of(self.X, y, sample_weight)

    def predict(self, estimator: Any) -> Any:
        """Return the predictions, as a lazy Dask array."""
        see_columns(estimator, self.X, reset=False)
        return predict_blocks(self.X, estimator.coef_, estimator.intercept_)

    def score(self, estimator: Any, y: Any, sample_weight: Any) -> float:
        """Return R^2, from sums over the blocks."""
        see_columns(estimator, self.X, reset=False)
        return score_blocks(blocks_of(self.X, y, sample_weight), estimator.coef_, estimator.intercept_)


@dataclass(frozen=True)
class DeviceSource(Source):
    """An array that lies on a device, and stays there."""

    X: Any
    place: Place
    stays: ClassVar[str] = "those on a device stay there"

    def rows(self, estimator: Any, y: Any, sample_weight: Any, *, reset: bool = False, suffix: str = "") -> DeviceRows:
        """Return the rows; y and the weights follow X, wherever they are."""
        X = read_device_features(self.X, self.place, estimator=estimator, reset=reset, suffix=suffix)
        return rows_beside(Resident(X, self.place), y, sample_weight, estimator=estimator, suffix=suffix)

    def chunk(
        self, estimator: Any, y: Any, sample_weight: Any, number: int, *, is_first: bool
    ) -> tuple[DeviceRows, float]:
        """Return the rows of a chunk."""
        where, given = f" of chunk {number}", to_host(sample_weight)
        if given is not None and not is_first and not np.any(given):
            check_weights("sample_weight" + where, np.ones_like(given, dtype=float), self.X.shape[0])
            return self.rows(estimator, y, None, suffix=where), 0.0
        rows = self.rows(estimator, y, sample_weight, reset=is_first, suffix=where)
        return rows, 1.0 if rows.weight is None else float(np.max(given)) / float(self.place.xp.max(rows.weight))

    def numbered(self, estimator: Any, y: Any, sample_weight: Any) -> NumberedDeviceRows:
        """Return the rows, with X on the device."""
        return NumberedDeviceRows.of(self.rows(estimator, y, sample_weight, reset=True), self.X)

    def predict(self, estimator: Any) -> Any:
        """Return the predictions, on the device."""
        check_same_place(estimator, self.X, self.place, "predict")
        return self._predictions(estimator, read_device_features(self.X, self.place, estimator=estimator))

    def score(self, estimator: Any, y: Any, sample_weight: Any) -> float:
        """Return R^2."""
        check_same_place(estimator, self.X, self.place, "score")
        rows = self.rows(estimator, y, sample_weight)
        predicted = self.place.xp.reshape(self._predictions(estimator, self.X), (rows.n_samples, -1))
        m, n_outputs = rows.n_outputs, predicted.shape[1]
        if m != n_outputs:
            raise ValueError(f"y has {m} outputs, but the model has {n_outputs}: pass as many.")
        both = (each[:, 0] if m == 1 else each for each in (rows.y, cast(predicted, rows.y.dtype)))
        return float(r2_score(*both, sample_weight=rows.weight))

    def _predictions(self, estimator: Any, X: Any) -> Any:
        """Return the predictions for features that were read; NaN and infinity in X show in them."""
        xp = self.place.xp
        wider = xp.result_type(X.dtype, estimator.coef_.dtype)
        predicted = affine(cast(X, wider), cast(estimator.coef_, wider), estimator.intercept_)
        if not bool(xp.all(xp.isfinite(predicted))):
            Resident(X, self.place).check_finite("X", names_of(estimator))
        return predicted

    def on_host(self) -> Any:
        """Return a copy on the host."""
        return self.place.fetch(self.X)

    def in_memory(self, name: str = "X") -> NoReturn:
        """Raise a TypeError."""
        raise TypeError(
            f"{name} is an array of {self.place}, which is taken by fit, predict and score, and for squared error by "
            "partial_fit, fit_batches and GradientDescentRegressorCV: pass a copy as an array of NumPy."
        )


@dataclass(frozen=True)
class BroughtSource(Source):
    """An array of the host whose blocks go through a device, because the user asks for it."""

    X: ThroughDevice
    stays: ClassVar[str] = DeviceSource.stays

    def rows(self, estimator: Any, y: Any, sample_weight: Any, *, reset: bool = False, suffix: str = "") -> DeviceRows:
        """Return the rows; all of y and the weights go to the device."""
        validate_data(estimator, self.X.array[:1], reset=reset, dtype=None, ensure_all_finite=False)  # its columns
        return rows_beside(self.X.__through_device__(), y, sample_weight, estimator=estimator, suffix=suffix)

    def chunk(self, estimator: Any, y: Any, sample_weight: Any, number: int, *, is_first: bool) -> NoReturn:
        """Raise a TypeError: a chunk is small enough to lie on the device."""
        self.in_memory(f"X of chunk {number}")

    def numbered(self, estimator: Any, y: Any, sample_weight: Any) -> NumberedDeviceRows:
        """Return the rows."""
        return NumberedDeviceRows.of(self.rows(estimator, y, sample_weight, reset=True), self.X)

    def predict(self, estimator: Any) -> Any:
        """Return the predictions, computed on the host."""
        return MemorySource(self.X.array).predict(estimator)

    def score(self, estimator: Any, y: Any, sample_weight: Any) -> float:
        """Return R^2, computed on the host."""
        return MemorySource(self.X.array).score(estimator, y, sample_weight)

    def on_host(self) -> Any:
        """Return the array."""
        return self.X.array

    def in_memory(self, name: str = "X") -> NoReturn:
        """Raise a TypeError."""
        raise TypeError(
            f"{name} is of through_device, which fit, predict and score of GradientDescentRegressor and "
            "GradientDescentRegressorCV take: pass its array."
        )


def source_of(name: str, X: Any) -> Source:
    """Return features as the source that they are.

    Parameters
    ----------
    name : str
        Name of X in error messages.
    X : object
        What the user gives as features.

    Raises
    ------
    ImportError, TypeError
        If X is an array of a library that is not known here, or not installed: see `place_of`.
    """
    if type(X) is np.ndarray:
        return MemorySource(X)
    if goes_through(X):
        return BroughtSource(X)
    if is_dask(X):
        return DaskSource(X)
    place = place_of(name, X)
    return MemorySource(X) if place.is_host else DeviceSource(X, place)


def fetched(name: str, values: Any) -> Any:
    """Return what a user gives as `name` on the host: that of a device as a copy, and anything else as it is."""
    return source_of(name, values).on_host()


def _blocks(estimator: Any, X: Any, y: Any, weight: Any, suffix: str) -> RowBlocks:
    return RowBlocks(X, y[:, np.newaxis] if y.ndim == 1 else y, weight, name="X" + suffix, columns=names_of(estimator))
