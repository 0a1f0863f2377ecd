"""Weighted first and second moments of (X, y), gathered in one pass over row blocks.

With weights s_i of sum W, and a provisional shift a near the mean that is subtracted from
every row, so that little cancels later (Chan, Golub and LeVeque, 1983)::

    mean    m = a + (1/W) sum_i s_i (x_i - a)
    cross   S = (1/W) sum_i s_i (x_i - a)(x_i - a)' - (m - a)(m - a)'

Moments are kept in units of the columns that are powers of two, 1 unless squares of the data
leave the range of a float: a power of two changes no digit.
"""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gdregress.rows.checks import check_finite
from gdregress.rows.extended import two_sum
from gdregress.rows.ranges import Motion, Ranges, power_of_two

SAMPLE_ROWS = 31
"""Rows whose median serves as the provisional shift."""

CANCELLATION_LIMIT = 1e4
"""Sum of squares over variance above which the pass is repeated about a better shift."""

SAFE_SHARE = 0.8
"""Squares beyond that power of the range of a float, large or small, are taken in other units."""

ROUNDED_ROWS = 4096
"""Rows of a block whose products are formed in less precision; rounding them goes by parts that the cache holds."""

NEAR = 12.0
"""Mean deviations from zero up to which a column need not be shifted, in double precision."""


@dataclass(frozen=True)
class Moments:
    """Moments of (X, y) in units of their columns, centred.

    Attributes
    ----------
    weight : float
        Sum of the weights, W.
    mean : ndarray of shape (n_features,)
        Means of the columns of X, in the data's own units.
    target_mean : ndarray of shape (n_outputs,)
        Means of y, in its own units.
    unit, target_unit : ndarray of shape (n_features,) and (n_outputs,)
        Powers of two in which the second moments below are expressed.
    variance : ndarray of shape (n_features,)
        Variances of the columns of X, exactly zero for columns that do not vary.
    cross : ndarray of shape (n_features, n_features) or None
        Covariances of the columns of X; None where they were not asked for.
    target_cross : ndarray of shape (n_features, n_outputs)
        Covariances of X and y.
    target_variance : ndarray of shape (n_outputs,)
        Variances of y.
    cancellation : ndarray of shape (n_features,)
        By how much centring enlarged the relative rounding error of each column's variance.
    n_samples : int
        Number of rows that count, that is of positive weight.
    remainder, target_remainder : ndarray of shape (n_features,) and (n_outputs,)
        What rounding took from the means: over many merges it would add up.
    precision : type
        Floating type in which the products of columns of X were formed.
    """

    weight: float
    mean: NDArray
    target_mean: NDArray
    unit: NDArray
    target_unit: NDArray
    variance: NDArray
    cross: NDArray | None
    target_cross: NDArray
    target_variance: NDArray
    cancellation: NDArray
    n_samples: int
    remainder: NDArray
    target_remainder: NDArray
    precision: type = np.float64

    def plain(self) -> dict[str, Any]:
        """Return it as a dict of arrays and numbers."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "precision"}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "Moments":
        """Return moments from such a dict."""
        return cls(**plain)

    def error(self, inflation: float) -> float:
        """Estimate the relative error, from rounding, of what is solved for with them.

        Parameters
        ----------
        inflation : float
            By how much solving enlarges an error of the moments.
        """
        return float(np.finfo(self.precision).eps * self.cancellation.max() * inflation)

    def with_weight(self, weight: float) -> "Moments":
        """Give the moments of the same rows with weights of another sum."""
        return replace(self, weight=weight)

    def merge(self, other: "Moments") -> "Moments":
        """Give the moments of these rows and of others together (Chan, Golub and LeVeque, 1983).

        With shares s and t of the weight, and d the difference of the means::

            m  =  m_1 + t d
            S  =  s S_1 + t S_2 + s t d d'

        Parameters
        ----------
        other : Moments
            Of other rows with the same columns; `cross` is known if it is known of both.
        """
        weight = self.weight + other.weight
        share, rest = self.weight / weight, other.weight / weight
        units = [_safe_unit(np.maximum(*both)) for both in zip(self._magnitudes(), other._magnitudes(), strict=True)]
        one, two = self._in_units(*units), other._in_units(*units)
        apart, target_apart = two._drift_from(one)
        # The means of a column that is constant are its value, up to the rounding of a sum.
        size = np.maximum(np.abs(one.mean), np.abs(two.mean)) / one.unit
        is_rounding = np.abs(apart) <= 8 * np.finfo(np.float64).eps * size
        apart[(one.variance == 0) & (two.variance == 0) & is_rounding] = 0.0

        def together(first: NDArray, second: NDArray, between: NDArray) -> NDArray:
            return share * first + rest * second + share * rest * between

        variance = together(one.variance, two.variance, apart * apart)
        lost = together(one._lost(), two._lost(), apart * apart)
        cross = None
        if one.cross is not None and two.cross is not None:
            cross = together(one.cross, two.cross, np.outer(apart, apart))
        mean, remainder = two_sum(one.mean, one.remainder + rest * apart * one.unit)
        target_mean, target_remainder = two_sum(
            one.target_mean, one.target_remainder + rest * target_apart * one.target_unit
        )
        return replace(
            one,
            weight=weight,
            n_samples=self.n_samples + other.n_samples,
            mean=mean,
            target_mean=target_mean,
            remainder=remainder,
            target_remainder=target_remainder,
            variance=variance,
            cross=cross,
            target_cross=together(one.target_cross, two.target_cross, np.outer(apart, target_apart)),
            target_variance=together(one.target_variance, two.target_variance, target_apart * target_apart),
            cancellation=np.divide(lost, variance, out=np.ones_like(lost), where=variance > 0),
        )

    def _lost(self) -> NDArray:
        """Give the sums of squares that the variances were left of."""
        return np.where(self.variance > 0, self.cancellation, 0.0) * self.variance

    def _magnitudes(self) -> tuple[NDArray, NDArray]:
        """Give how large the numbers in the columns of X and y are."""
        return (
            np.maximum(np.abs(self.mean), self.unit * np.sqrt(self.variance)),
            np.maximum(np.abs(self.target_mean), self.target_unit * np.sqrt(self.target_variance)),
        )

    def _drift_from(self, origin: "Moments") -> tuple[NDArray, NDArray]:
        """Give how far the means are from those of others, both in the same units."""
        unit, target_unit = self.unit, self.target_unit
        return (
            self.mean / unit - origin.mean / unit + (self.remainder / unit - origin.remainder / unit),
            self.target_mean / target_unit
            - origin.target_mean / target_unit
            + (self.target_remainder / target_unit - origin.target_remainder / target_unit),
        )

    def _in_units(self, unit: NDArray, target_unit: NDArray) -> "Moments":
        """Give the same moments in other powers of two."""
        if (self.unit == unit).all() and (self.target_unit == target_unit).all():
            return self
        # What does not vary may be of any size next to the new unit.
        factor = np.divide(self.unit, unit, out=np.zeros_like(unit), where=self.variance > 0)
        target_factor = np.divide(
            self.target_unit, target_unit, out=np.zeros_like(target_unit), where=self.target_variance > 0
        )
        return replace(
            self,
            unit=unit,
            target_unit=target_unit,
            variance=self.variance * factor**2,
            cross=None if self.cross is None else self.cross * np.outer(factor, factor),
            target_cross=self.target_cross * np.outer(factor, target_factor),
            target_variance=self.target_variance * target_factor**2,
        )

    def about_origin(self) -> "Moments":
        """Give the moments about the origin in place of the mean: those of a model without intercept."""
        mean = self.mean / self.unit
        target_mean = self.target_mean / self.target_unit
        return Moments(
            weight=self.weight,
            mean=np.zeros_like(mean),
            target_mean=np.zeros_like(target_mean),
            unit=self.unit,
            target_unit=self.target_unit,
            variance=self.variance + mean**2,
            cross=None if self.cross is None else self.cross + np.outer(mean, mean),
            target_cross=self.target_cross + np.outer(mean, target_mean),
            target_variance=self.target_variance + target_mean**2,
            cancellation=np.ones_like(self.variance),
            n_samples=self.n_samples,
            remainder=np.zeros_like(mean),
            target_remainder=np.zeros_like(target_mean),
            precision=self.precision,
        )


def gather(rows: Any, *, cross: bool = True, precision: type = np.float64) -> Moments:
    """Gather the moments of rows that lie together: a pass over X, or two to three where its columns are extreme.

    The finiteness of X is seen in its sums, so that it costs no pass of its own.

    Parameters
    ----------
    rows : RowBlocks
        X, y and the weights.
    cross : bool, default=True
        Whether to gather the covariances between the columns of X, n_features**2 numbers.
    precision : type, default=float64
        Floating type of the products of columns of a dense X, block by block: float32 halves the time
        of many columns. Sums, and the products of X and y, are in double precision all the same.

    Returns
    -------
    Moments

    Raises
    ------
    ValueError
        If X holds NaN or infinity.
    """
    if rows.is_sparse or not cross:
        precision = np.float64
    about = _provisional_origin(rows, NEAR if precision is np.float64 else 0.0)
    sums = _sum(rows, about, cross, precision)
    columns, outputs = sums.silent()
    vanished = (columns.size or outputs.size) and rows.sum(
        lambda: Motion(about.shift, about.target_shift, columns, outputs)
    ).found
    if vanished or not sums.in_range():
        check_finite(rows.name, rows.X)
        about = replace(about, **rows.sum(Ranges).units())
        sums = _sum(rows, about, cross, precision)
    moments = sums.moments()
    far = moments.cancellation > CANCELLATION_LIMIT * np.finfo(np.float64).eps / np.finfo(precision).eps + 10.0
    offset = ((moments.target_mean - about.target_shift) / about.target_unit) ** 2
    if far.any() or (offset > CANCELLATION_LIMIT * moments.target_variance).any():
        shift = np.where(far, moments.mean, about.shift)
        moments = _sum(rows, replace(about, shift=shift, target_shift=moments.target_mean), cross, precision).moments()
    return moments


def _safe_unit(magnitude: NDArray) -> NDArray:
    """Give the unit of numbers of a size: 1 where their squares are far inside the range of a float."""
    largest = float(np.finfo(np.float64).max) ** (SAFE_SHARE / 2)
    is_safe = (magnitude >= 1 / largest) & (magnitude <= largest)
    return np.where(is_safe, 1.0, power_of_two(magnitude))


@dataclass(frozen=True)
class _Origin:
    """Where the sums are taken about, and in what units."""

    shift: NDArray
    target_shift: NDArray
    unit: NDArray
    target_unit: NDArray


def _provisional_origin(rows: Any, near: float) -> _Origin:
    """Take the median of a few rows, or zero where the mean is too near it to cost digits.

    A median is one of the values: it meets a constant column exactly. CSR is not shifted, for that
    would fill it; a column of CSR whose mean is found to be far above its deviation has hardly any
    zeros anyway, and is shifted then.
    """
    X, y = rows.sample(SAMPLE_ROWS)
    middle = len(X) // 2
    shift = np.partition(X, middle, axis=0)[middle].astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        is_near = np.abs(shift) <= near * np.abs(X - shift).mean(axis=0)
    shift = np.where(is_near | rows.is_sparse, 0.0, shift)
    target_shift = np.partition(y, middle, axis=0)[middle]
    return _Origin(shift, target_shift, np.ones(rows.n_features), np.ones(rows.n_outputs))


def _sum(rows: Any, about: _Origin, cross: bool, precision: type) -> "_SumsOfProducts":
    min_rows = max(rows.n_features if cross else 1, 1 if precision is np.float64 else ROUNDED_ROWS)
    return rows.sum(lambda: _SumsOfProducts(rows, about, cross, precision), min_rows=min_rows)


class _SumsOfProducts:
    """Sums of rows and of their products about a fixed origin: what a pass accumulates."""

    def __init__(self, rows: Any, about: _Origin, cross: bool, precision: type):
        p, m = rows.n_features, rows.n_outputs
        self.about = about
        self.of_products = precision
        self.precision = np.finfo(rows.dtype).eps
        self.n_samples = rows.n_samples
        self.n_weighted = rows.n_weighted
        self.weight = rows.total_weight
        self.second = np.zeros((p, p) if cross else p)
        self.joint = np.zeros((p, 1 + m))  # X'[1, y]: the sums of X, and its products with y
        self.of_targets = np.zeros((1 + m, 1 + m))  # the same of [1, y]
        self._scaled = bool((about.unit != 1).any() or (about.target_unit != 1).any())
        self._is_view = (
            not (self._scaled or about.shift.any() or rows.weight is not None) and rows.dtype == precision == np.float64
        )
        self._order = "F" if not rows.is_sparse and rows.X.flags.f_contiguous else "C"
        self._buffer = np.empty((0, p))
        self._rounded: NDArray = np.empty((0, p), precision)
        self._cached_rows = rows.cached_rows

    def add(self, X, y, weight):
        targets = np.ones((len(y), 1 + y.shape[1]))
        np.subtract(y, self.about.target_shift, out=targets[:, 1:])
        if self._scaled:
            targets[:, 1:] = y / self.about.target_unit - self.about.target_shift / self.about.target_unit
        root = None if weight is None else np.sqrt(weight)
        if root is not None:
            targets *= root[:, np.newaxis]
        if sparse.issparse(X):
            self._add_sparse(X, root, targets)
        elif self.of_products is np.float64:
            X = self._dense(X, root)
            self.second += X.T @ X if self.second.ndim == 2 else np.einsum("ij,ij->j", X, X)
            self.joint += X.T @ targets
        else:
            self._add_rounded(X, root, targets)
        self.of_targets += targets.T @ targets

    def merge(self, other):
        self.second += other.second
        self.joint += other.joint
        self.of_targets += other.of_targets

    def _add_rounded(self, X, root, targets):
        """Add a block whose own products are formed in less precision: the rest in parts that the cache holds."""
        if len(self._rounded) < len(X):
            self._rounded = np.empty(X.shape, self.of_products, order=self._order)
        rounded = self._rounded[: len(X)]
        for start in range(0, len(X), self._cached_rows):
            part = slice(start, start + self._cached_rows)
            dense = self._dense(X[part], None if root is None else root[part])
            self.joint += dense.T @ targets[part]
            np.copyto(rounded[part], dense, casting="same_kind")
        self.second += rounded.T @ rounded

    def _dense(self, X, root):
        if self._is_view:
            return X
        if len(self._buffer) < len(X):
            self._buffer = np.empty(X.shape, order=self._order)
        block = self._buffer[: len(X)]
        if self._scaled:
            np.multiply(X, 1 / self.about.unit, out=block)
            block -= self.about.shift / self.about.unit
        else:
            np.subtract(X, self.about.shift, out=block)
        if root is not None:
            block *= root[:, np.newaxis]
        return block

    def _add_sparse(self, X, root, targets):
        """Add a block of CSR: its shifted columns, which have few zeros, apart and dense."""
        apart = np.flatnonzero(self.about.shift)
        entries = X.data.astype(np.float64, copy=self._scaled or root is not None or apart.size > 0)
        X = type(X)((entries, X.indices, X.indptr), shape=X.shape)
        if self._scaled:
            entries *= (1 / self.about.unit)[X.indices]
        if apart.size:  # the shift first: weights round, and what is left of a constant column is to be zero
            dense = X[:, apart].toarray()
            dense -= (self.about.shift / self.about.unit)[apart]
            if root is not None:
                dense *= root[:, np.newaxis]
        if root is not None:
            entries *= np.repeat(root, np.diff(X.indptr))
        if apart.size:
            entries[np.isin(X.indices, apart)] = 0.0
            self.joint[apart] += dense.T @ targets
        self.joint += X.T @ targets
        if self.second.ndim == 1:
            if not X.has_canonical_format:  # entries of the same place add up before they are squared
                X = X.copy()
                X.sum_duplicates()
            squares = type(X)((X.data * X.data, X.indices, X.indptr), shape=X.shape)
            self.second += squares.T @ np.ones(X.shape[0])
            if apart.size:
                self.second[apart] += np.einsum("ij,ij->j", dense, dense)
            return
        self.second += (X.T @ X).toarray()
        if apart.size:
            mixed = X.T @ dense
            self.second[:, apart] += mixed
            self.second[apart] += mixed.T
            self.second[np.ix_(apart, apart)] += dense.T @ dense

    def _squares(self):
        return np.diagonal(self.second) if self.second.ndim == 2 else self.second

    @property
    def _target_squares(self):
        return np.diagonal(self.of_targets)[1:]

    def in_range(self) -> bool:
        """Whether every square was representable; zero may be the square of what vanished."""
        squares = np.concatenate([self._squares(), self._target_squares])
        safe = float(np.finfo(self.of_products).max) ** SAFE_SHARE
        inside = (squares >= 1 / safe) & (squares <= safe) | (squares == 0)
        return bool(np.isfinite(self.joint).all() and inside.all())

    def silent(self) -> tuple[NDArray, NDArray]:
        """Give the columns of X and of y whose squares sum to zero."""
        return np.flatnonzero(self._squares() == 0), np.flatnonzero(self._target_squares == 0)

    def moments(self) -> Moments:
        """Turn the sums into moments about the mean."""
        about, second = self.about, self.second / self.weight
        drift, target_drift = self.joint[:, 0] / self.weight, self.of_targets[0, 1:] / self.weight
        squares = self._squares() / self.weight
        mean, remainder = two_sum(about.shift, about.unit * drift)
        target_mean, target_remainder = two_sum(about.target_shift, about.target_unit * target_drift)
        variance = np.maximum(squares - drift**2, 0.0)
        # A column stands still where what moves it is the rounding of its values. Where centring
        # takes all digits of its variance, whether it moves is not known about this origin.
        still = np.sqrt(squares) <= 2 * self.precision * np.abs(mean / about.unit)
        rounding = np.finfo(self.of_products).eps * max(8.0, self.n_samples**0.5)
        lost = ~still & (variance <= rounding * squares)
        constant = still | lost
        cancellation = np.divide(squares, variance, out=np.where(lost, np.inf, 1.0), where=~constant)
        target_cross = self.joint[:, 1:] / self.weight - np.outer(drift, target_drift)
        cross = None
        if second.ndim == 2:
            cross = second - np.outer(drift, drift)
            cross[constant] = 0.0
            cross[:, constant] = 0.0
        return Moments(
            weight=self.weight,
            mean=mean,
            target_mean=target_mean,
            unit=about.unit,
            target_unit=about.target_unit,
            variance=np.where(constant, 0.0, variance),
            cross=cross,
            target_cross=np.where(constant[:, np.newaxis], 0.0, target_cross),
            target_variance=np.maximum(self._target_squares / self.weight - target_drift**2, 0.0),
            cancellation=cancellation,
            n_samples=self.n_weighted,
            remainder=remainder,
            target_remainder=target_remainder,
            precision=self.of_products,
        )
