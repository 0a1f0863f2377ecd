"""Weighted first and second moments of (X, y), gathered in one pass over row blocks.

With weights s_i of sum W, and a provisional `shift` near the mean that is subtracted from
every row, so that little cancels later (Chan, Golub and LeVeque, 1983)::

    drift  =  (1/W) sum_i s_i (x_i - shift)
    mean   =  shift + drift
    cross  =  (1/W) sum_i s_i (x_i - shift)(x_i - shift)' - drift drift'

Moments are kept in units of the columns that are powers of two, 1 unless squares of the data
leave the range of a float: a power of two changes no digit.
"""

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gdregress.rows.checks import check_finite
from gdregress.rows.extended import two_sum
from gdregress.rows.ranges import Both, Motion, Ranges, power_of_two

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
class Columns:
    """Moments of each column of X, or of y, about its mean.

    Attributes
    ----------
    mean : ndarray of shape (n_columns,)
        Means, in the data's own units.
    remainder : ndarray of shape (n_columns,)
        What rounding took from the means: over many merges it would add up.
    unit : ndarray of shape (n_columns,)
        Powers of two in which the variances, and the covariances with other columns, are expressed.
    variance : ndarray of shape (n_columns,)
        Variances, exactly zero for columns of X that do not vary.
    cancellation : ndarray of shape (n_columns,)
        By how much centring enlarged the relative rounding error of each variance.
    """

    mean: NDArray
    remainder: NDArray
    unit: NDArray
    variance: NDArray
    cancellation: NDArray

    @property
    def deviation(self) -> NDArray:
        """Standard deviations in the data's own units, ``unit * sqrt(variance)``."""
        return self.unit * np.sqrt(self.variance)

    def _magnitude(self) -> NDArray:
        return np.maximum(np.abs(self.mean), self.deviation)

    def _lost(self) -> NDArray:
        """Return the sums of squares that the variances were left of."""
        return np.where(self.variance > 0, self.cancellation, 0.0) * self.variance

    def _in_unit(self, unit: NDArray) -> tuple["Columns", NDArray]:
        """Return the same moments in other powers of two, and by what the columns were multiplied."""
        # What does not vary may be of any size next to the new unit.
        factor = np.divide(self.unit, unit, out=np.zeros_like(unit), where=self.variance > 0)
        return replace(self, unit=unit, variance=self.variance * factor**2), factor

    def _drift_from(self, origin: "Columns") -> NDArray:
        """Return how far the means are from those of others, both in the same units."""
        unit = self.unit
        return self.mean / unit - origin.mean / unit + (self.remainder / unit - origin.remainder / unit)

    def _merge(self, other: "Columns", drift: NDArray, share: float, rest: float) -> "Columns":
        """Return the moments of these rows and of others, in the same units, whose means are apart by `drift`."""
        mean, remainder = two_sum(self.mean, self.remainder + rest * drift * self.unit)
        variance = _together(share, rest, self.variance, other.variance, drift * drift)
        lost = _together(share, rest, self._lost(), other._lost(), drift * drift)
        cancellation = np.divide(lost, variance, out=np.ones_like(lost), where=variance > 0)
        return Columns(mean, remainder, self.unit, variance, cancellation)

    def _about_origin(self) -> "Columns":
        zero = np.zeros_like(self.mean)
        return Columns(zero, zero, self.unit, self.variance + (self.mean / self.unit) ** 2, np.ones_like(zero))


@dataclass(frozen=True)
class Moments:
    """Moments of (X, y) in units of their columns, centred.

    Attributes
    ----------
    weight : float
        Sum of the weights, W.
    n_samples : int
        Number of rows that count, that is of positive weight.
    x : Columns
        Moments of each column of X.
    y : Columns
        Moments of each column of y.
    cross : ndarray of shape (n_features, n_features) or None
        Covariances of the columns of X; None where they were not asked for.
    target_cross : ndarray of shape (n_features, n_outputs)
        Covariances of X and y.
    precision : type
        Floating type in which the products of columns of X were formed.
    """

    weight: float
    n_samples: int
    x: Columns
    y: Columns
    cross: NDArray | None
    target_cross: NDArray
    precision: type = np.float64

    def error(self, inflation: float) -> float:
        """Estimate the relative error, from rounding, of what is solved for with them.

        Parameters
        ----------
        inflation : float
            By how much solving enlarges an error of the moments.
        """
        return float(np.finfo(self.precision).eps * self.x.cancellation.max() * inflation)

    def plain(self) -> dict[str, Any]:
        """Return them as a flat dict of arrays and numbers: names of moments of y begin with "target_".

        The dict lacks the precision and the cancellation of y.
        """
        return {
            "weight": self.weight,
            "n_samples": self.n_samples,
            **vars(self.x),
            **{f"target_{name}": value for name, value in vars(self.y).items() if name != "cancellation"},
            "cross": self.cross,
            "target_cross": self.target_cross,
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Self:
        """Make moments of a flat dict.

        Parameters
        ----------
        plain : dict of str to float, int, ndarray or None
            What `plain` returned, of moments in double precision. The cancellation of y becomes 1: no fit reads it.
        """
        names = [field.name for field in fields(Columns)]
        known = {"target_cancellation": np.ones_like(plain["target_mean"]), **plain}
        x, y = (Columns(*(known[prefix + name] for name in names)) for prefix in ("", "target_"))
        return cls(plain["weight"], plain["n_samples"], x, y, plain["cross"], plain["target_cross"])

    def with_weight(self, weight: float) -> "Moments":
        """Return the moments of the same rows with weights of another sum."""
        return replace(self, weight=weight)

    def merge(self, other: "Moments") -> "Moments":
        """Return the moments of these rows and of others together (Chan, Golub and LeVeque, 1983).

        With `share` and `rest` of the weight, and `drift` the difference of the means::

            mean   =  mean_1 + rest drift
            cross  =  share cross_1 + rest cross_2 + share rest drift drift'

        Parameters
        ----------
        other : Moments
            Of other rows with the same columns; `cross` is known if it is known of both.
        """
        weight = self.weight + other.weight
        share, rest = self.weight / weight, other.weight / weight
        both = (self.x, other.x), (self.y, other.y)
        units = [_safe_unit(np.maximum(one._magnitude(), two._magnitude())) for one, two in both]
        one, two = self._in_units(*units), other._in_units(*units)
        drift, target_drift = two.x._drift_from(one.x), two.y._drift_from(one.y)
        # The means of a column that is constant are its value, up to the rounding of a sum.
        size = np.maximum(np.abs(one.x.mean), np.abs(two.x.mean)) / one.x.unit
        is_rounding = np.abs(drift) <= 8 * np.finfo(np.float64).eps * size
        drift[(one.x.variance == 0) & (two.x.variance == 0) & is_rounding] = 0.0
        cross = None
        if one.cross is not None and two.cross is not None:
            cross = _together(share, rest, one.cross, two.cross, np.outer(drift, drift))
        return replace(
            one,
            weight=weight,
            n_samples=self.n_samples + other.n_samples,
            x=one.x._merge(two.x, drift, share, rest),
            y=one.y._merge(two.y, target_drift, share, rest),
            cross=cross,
            target_cross=_together(share, rest, one.target_cross, two.target_cross, np.outer(drift, target_drift)),
        )

    def _in_units(self, unit: NDArray, target_unit: NDArray) -> "Moments":
        """Return the same moments in other powers of two."""
        if (self.x.unit == unit).all() and (self.y.unit == target_unit).all():
            return self
        (x, factor), (y, target_factor) = self.x._in_unit(unit), self.y._in_unit(target_unit)
        cross = None if self.cross is None else self.cross * np.outer(factor, factor)
        return replace(self, x=x, y=y, cross=cross, target_cross=self.target_cross * np.outer(factor, target_factor))

    def about_origin(self) -> "Moments":
        """Return the moments about the origin in place of the mean: those of a model without intercept."""
        mean, target_mean = self.x.mean / self.x.unit, self.y.mean / self.y.unit
        return replace(
            self,
            x=self.x._about_origin(),
            y=self.y._about_origin(),
            cross=None if self.cross is None else self.cross + np.outer(mean, mean),
            target_cross=self.target_cross + np.outer(mean, target_mean),
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
    x, y = _provisional_origins(rows, NEAR if precision is np.float64 else 0.0)
    sums = _sum(rows, x, y, cross, precision)
    if not sums.in_range() and (sums.some_vanished() or not sums.representable()):
        check_finite(rows.name, rows.X)
        ranges = rows.sum(lambda: Both(Ranges(), Ranges()))
        x, y = replace(x, unit=power_of_two(ranges.x.largest)), replace(y, unit=power_of_two(ranges.y.largest))
        sums = _sum(rows, x, y, cross, precision)
    moments = sums.moments()
    far = moments.x.cancellation > CANCELLATION_LIMIT * np.finfo(np.float64).eps / np.finfo(precision).eps + 10.0
    if far.any() or (moments.y.cancellation > CANCELLATION_LIMIT).any():
        x, y = replace(x, shift=np.where(far, moments.x.mean, x.shift)), replace(y, shift=moments.y.mean)
        moments = _sum(rows, x, y, cross, precision).moments()
    return moments


def _together(share: float, rest: float, first: NDArray, second: NDArray, between: NDArray) -> NDArray:
    return share * first + rest * second + share * rest * between


def _safe_unit(magnitude: NDArray) -> NDArray:
    """Return the unit of numbers of a size: 1 where their squares are far inside the range of a float."""
    largest = float(np.finfo(np.float64).max) ** (SAFE_SHARE / 2)
    is_safe = (magnitude >= 1 / largest) & (magnitude <= largest)
    return np.where(is_safe, 1.0, power_of_two(magnitude))


@dataclass(frozen=True)
class _Origin:
    """Where the sums of columns of X, or of y, are taken about, and in what units."""

    shift: NDArray
    unit: NDArray

    @cached_property
    def is_scaled(self) -> bool:
        """Whether a unit is not 1."""
        return bool((self.unit != 1).any())

    def center(self, columns: NDArray, root: NDArray | None, out: NDArray) -> NDArray:
        """Write rows, about the origin and times the roots of their weights, to an array."""
        if self.is_scaled:
            np.multiply(columns, 1 / self.unit, out=out)
            out -= self.shift / self.unit
        else:
            np.subtract(columns, self.shift, out=out)
        # The shift comes first: weights round, and what is left of a constant column is to be zero.
        if root is not None:
            out *= root[:, np.newaxis]
        return out

    def columns(self, drift: NDArray, squares: NDArray) -> Columns:
        """Turn means and mean squares about the origin into moments about the mean."""
        mean, remainder = two_sum(self.shift, self.unit * drift)
        variance = np.maximum(squares - drift * drift, 0.0)
        if variance.all():
            return Columns(mean, remainder, self.unit, variance, squares / variance)
        cancellation = np.divide(squares, variance, out=np.where(squares > 0, np.inf, 1.0), where=variance > 0)
        return Columns(mean, remainder, self.unit, variance, cancellation)


def _provisional_origins(rows: Any, near: float) -> tuple[_Origin, _Origin]:
    """Take the median of a few rows, or zero where the mean of a column of X is too near it to cost digits.

    A median is one of the values: it meets a constant column exactly. CSR is not shifted, for that
    would fill it; a column of CSR whose mean is found to be far above its deviation has hardly any
    zeros anyway, and is shifted then.
    """
    X, y = rows.sample(SAMPLE_ROWS)
    middle = len(X) // 2
    shift = np.partition(X, middle, axis=0)[middle].astype(np.float64)
    if rows.is_sparse:
        shift = np.zeros_like(shift)
    else:
        shift[np.abs(shift) * len(X) <= near * np.abs(X - shift).sum(axis=0)] = 0.0
    target_shift = np.partition(y, middle, axis=0)[middle]
    return _Origin(shift, np.ones(rows.n_features)), _Origin(target_shift, np.ones(rows.n_outputs))


def _sum(rows: Any, x: _Origin, y: _Origin, cross: bool, precision: type) -> "_SumsOfProducts":
    min_rows = max(rows.n_features if cross else 1, 1 if precision is np.float64 else ROUNDED_ROWS)
    return rows.sum(lambda: _SumsOfProducts(rows, x, y, cross, precision), min_rows=min_rows)


class _SumsOfProducts:
    """Sums of rows and of their products about fixed origins of X and y: what a pass accumulates."""

    def __init__(self, rows: Any, x: _Origin, y: _Origin, cross: bool, precision: type):
        p, m = rows.n_features, rows.n_outputs
        self.rows = rows
        self.x, self.y = x, y
        self.of_products = precision
        self.second = np.zeros((p, p) if cross else p)
        self.joint = np.zeros((p, 1 + m))  # X'[1, y]: the sums of X, and its products with y
        self.of_targets = np.zeros((1 + m, 1 + m))  # the same of [1, y]
        self._is_view = (
            not (x.is_scaled or x.shift.any() or rows.weight is not None) and rows.dtype == precision == np.float64
        )
        self._order = "F" if not rows.is_sparse and rows.X.flags.f_contiguous else "C"
        self._buffer = np.empty((0, p))
        self._rounded: NDArray = np.empty((0, p), precision)

    def add(self, X, y, weight):
        root = None if weight is None else np.sqrt(weight)
        targets = np.empty((len(y), 1 + y.shape[1]))
        targets[:, 0] = 1.0 if root is None else root
        self.y.center(y, root, out=targets[:, 1:])
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
        cached_rows = self.rows.cached_rows
        for start in range(0, len(X), cached_rows):
            part = slice(start, start + cached_rows)
            dense = self._dense(X[part], None if root is None else root[part])
            self.joint += dense.T @ targets[part]
            np.copyto(rounded[part], dense, casting="same_kind")
        self.second += rounded.T @ rounded

    def _dense(self, X, root):
        if self._is_view:
            return X
        if len(self._buffer) < len(X):
            self._buffer = np.empty(X.shape, order=self._order)
        return self.x.center(X, root, out=self._buffer[: len(X)])

    def _add_sparse(self, X, root, targets):
        """Add a block of CSR: its shifted columns, which have few zeros, apart and dense."""
        apart = np.flatnonzero(self.x.shift)
        rest = self._unshifted(X, root, apart)
        self.joint += rest.T @ targets
        self.second += _sums_of_squares(rest) if self.second.ndim == 1 else (rest.T @ rest).toarray()
        if not apart.size:
            return
        dense = self._shifted(X, root, apart)
        self.joint[apart] += dense.T @ targets
        if self.second.ndim == 1:
            self.second[apart] += np.einsum("ij,ij->j", dense, dense)
        else:
            mixed = rest.T @ dense
            self.second[:, apart] += mixed
            self.second[apart] += mixed.T
            self.second[np.ix_(apart, apart)] += dense.T @ dense

    def _shifted(self, X, root, apart):
        """Return the shifted columns of a block of CSR, dense."""
        dense = X[:, apart].astype(np.float64).toarray()
        return _Origin(self.x.shift[apart], self.x.unit[apart]).center(dense, root, out=dense)

    def _unshifted(self, X, root, apart):
        """Return a block of CSR with zeros in place of the shifted columns."""
        entries = X.data.astype(np.float64, copy=False)
        if self.x.is_scaled or apart.size:
            entries = entries * np.where(self.x.shift == 0, 1 / self.x.unit, 0.0)[X.indices]
        if root is not None:
            entries = entries * np.repeat(root, np.diff(X.indptr))
        return type(X)((entries, X.indices, X.indptr), shape=X.shape)

    def _squares(self) -> tuple[NDArray, NDArray]:
        """Return the sums of the squares of X and of y."""
        return np.diagonal(self.second) if self.second.ndim == 2 else self.second, np.diagonal(self.of_targets)[1:]

    def in_range(self) -> bool:
        """Return whether every sum of squares is far inside the range of a float, and with it every sum of products."""
        safe = float(np.finfo(self.of_products).max) ** SAFE_SHARE
        squares = np.concatenate(self._squares())
        return bool(squares.min() >= 1 / safe and squares.max() <= safe)

    def representable(self) -> bool:
        """Return whether every square was representable; zero may be the square of what vanished."""
        squares = np.concatenate(self._squares())
        safe = float(np.finfo(self.of_products).max) ** SAFE_SHARE
        inside = (squares >= 1 / safe) & (squares <= safe) | (squares == 0)
        return bool(np.isfinite(self.joint).all() and inside.all())

    def some_vanished(self) -> bool:
        """Whether the squares of a column that moves sum to zero: a pass where any do."""
        silent, silent_targets = (np.flatnonzero(squares == 0) for squares in self._squares())
        if not (silent.size or silent_targets.size):
            return False
        motion = self.rows.sum(lambda: Both(Motion(self.x.shift, silent), Motion(self.y.shift, silent_targets)))
        return motion.x.found or motion.y.found

    def moments(self) -> Moments:
        """Turn the sums into moments about the mean."""
        weight = self.rows.total_weight
        squares, target_squares = (sums / weight for sums in self._squares())
        drift, target_drift = self.joint[:, 0] / weight, self.of_targets[0, 1:] / weight
        x, y = self.x.columns(drift, squares), self.y.columns(target_drift, target_squares)
        # A column stands still where what moves it is the rounding of its values. Where centring
        # takes all digits of its variance, whether it moves is not known about this origin.
        still = np.sqrt(squares) <= 2 * np.finfo(self.rows.dtype).eps * np.abs(x.mean / x.unit)
        rounding = np.finfo(self.of_products).eps * max(8.0, self.rows.n_samples**0.5)
        constant = still | (x.variance <= rounding * squares)
        across = drift[:, np.newaxis]
        target_cross = self.joint[:, 1:] / weight - across * target_drift
        cross = self.second / weight - across * drift if self.second.ndim == 2 else None
        if constant.any():
            cancellation = np.where(still, 1.0, np.where(constant, np.inf, x.cancellation))
            x = replace(x, variance=np.where(constant, 0.0, x.variance), cancellation=cancellation)
            target_cross[constant] = 0.0
            if cross is not None:
                cross[constant] = 0.0
                cross[:, constant] = 0.0
        return Moments(weight, self.rows.n_weighted, x, y, cross, target_cross, self.of_products)


def _sums_of_squares(X: sparse.csr_array) -> NDArray:
    """Return those of the columns of CSR."""
    if not X.has_canonical_format:  # entries of the same place add up before they are squared
        X = X.copy()
        X.sum_duplicates()
    squares = type(X)((X.data * X.data, X.indices, X.indptr), shape=X.shape)
    return squares.T @ np.ones(X.shape[0])
