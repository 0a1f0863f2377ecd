"""Weighted first and second moments of (X, y), gathered in one pass over row blocks.

The weights s_i have the sum W. A provisional `shift` near the mean is subtracted from every row, so that
little cancels later (Chan, Golub and LeVeque, 1983)::

    drift  =  (1/W) sum_i s_i (x_i - shift)
    mean   =  shift + drift
    cross  =  (1/W) sum_i s_i (x_i - shift)(x_i - shift)' - drift drift'

Each column has a unit, a power of two in which its second moments are expressed. The unit is 1 unless
squares of the data come near the limits of the range of floats. Scaling by a power of two is exact.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import repeat
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gdregress.rows.extended import two_sum
from gdregress.rows.namespaces import Movable, namespace
from gdregress.rows.ranges import Both, Ranges, Underflow, power_of_two
from gdregress.rows.sums import Sums, dot

SAMPLE_ROWS, FEWEST_ROWS, SAMPLE_ENTRIES = 31, 7, 2**14
"""Number of rows whose median is the provisional shift: the second for so many columns that the first have more entries
than the third."""

PIECE_ENTRIES = 2**16
"""Entries of some columns of a block that stay in the cache of a core while all their sums are computed."""

FEW_TARGETS = 3
"""Number of targets, with the column of ones, up to which products with each by itself take less time than with all."""

CANCELLATION_LIMIT = 1e4
"""Ratio of mean square about the shift to variance above which the pass is repeated with the mean as shift."""

SAFE_SHARE = 0.8
"""Power of the largest float which, with its inverse, bounds the squares that are computed in the unit 1."""

UNITED_ENTRIES = 2**22
"""Entries of the means of all parts that are held for a group of unions at a time: 32 MB."""

ROUNDED_ROWS = 4096
"""Least number of rows in a block whose products are formed in single precision."""

NEAR = 12.0
"""Ratio of median to mean absolute deviation up to which a column is not shifted, in double precision."""


class Columns(NamedTuple):
    """Means and variances of the columns of X, or of y.

    Attributes
    ----------
    mean : ndarray of shape (n_columns,)
        Means, in the units of the data.
    remainder : ndarray of shape (n_columns,)
        Rounding errors of the means, carried along because they would add up over many merges.
    unit : ndarray of shape (n_columns,)
        Powers of two: variances are in units of their squares, covariances in units of their products.
    variance : ndarray of shape (n_columns,)
        Variances; exactly zero for columns of X that are constant.
    cancellation : ndarray of shape (n_columns,)
        Factors by which centring enlarged the relative rounding errors of the variances.
    """

    mean: NDArray
    remainder: NDArray
    unit: NDArray
    variance: NDArray
    cancellation: NDArray

    @property
    def deviation(self) -> NDArray:
        """Standard deviations in the units of the data, ``unit * sqrt(variance)``."""
        return self.unit * np.sqrt(self.variance)

    @property
    def magnitude(self) -> NDArray:
        """The larger of the mean's size and the standard deviation, in the units of the data."""
        return np.maximum(np.abs(self.mean), self.deviation)

    def _in_unit(self, unit: NDArray) -> tuple["Columns", NDArray]:
        """Return the same moments in other units, and the factors by which the columns were multiplied."""
        # The ratio may overflow for a constant column, which needs no factor.
        factor = np.divide(self.unit, unit, out=np.zeros_like(unit), where=self.variance > 0)
        return self._replace(unit=unit, variance=self.variance * factor**2), factor

    def _about_origin(self) -> "Columns":
        zero = np.zeros_like(self.mean)
        return Columns(zero, zero, self.unit, self.variance + (self.mean / self.unit) ** 2, np.ones_like(zero))


@dataclass(frozen=True, eq=False)
class Moments:
    """Weighted means, variances and covariances of (X, y).

    Attributes
    ----------
    weight : float
        Sum of the weights, W.
    n_samples : int
        Number of rows of positive weight.
    x : Columns
        Moments of each column of X.
    y : Columns
        Moments of each column of y.
    cross : ndarray of shape (n_features, n_features) or None
        Covariances of the columns of X; None if they were not gathered.
    target_cross : ndarray of shape (n_features, n_outputs)
        Covariances of X and y.
    precision : type
        Floating type in which products of columns of X were formed.
    """

    weight: float
    n_samples: int
    x: Columns
    y: Columns
    cross: NDArray | None
    target_cross: NDArray
    precision: type = np.float64

    def error(self, inflation: float) -> float:
        """Estimate the relative rounding error of a solution computed from these moments.

        Parameters
        ----------
        inflation : float
            Factor by which solving enlarges a relative error of the moments.
        """
        return float(np.finfo(self.precision).eps * self.x.cancellation.max() * inflation)

    def plain(self) -> dict[str, Any]:
        """Return the moments as a flat dict of arrays and numbers, with the prefix "target_" for those of y.

        The dict omits `precision` and the cancellation of y.
        """
        return {
            "weight": self.weight,
            "n_samples": self.n_samples,
            **self.x._asdict(),
            **{f"target_{name}": value for name, value in self.y._asdict().items() if name != "cancellation"},
            "cross": self.cross,
            "target_cross": self.target_cross,
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Self:
        """Return the moments that a flat dict describes.

        Parameters
        ----------
        plain : dict of str to float, int, ndarray or None
            Result of `plain` for moments in double precision. The cancellation of y becomes 1: no fit reads it.
        """
        known = {"target_cancellation": np.ones_like(plain["target_mean"]), **plain}
        x, y = (Columns(*(known[prefix + name] for name in Columns._fields)) for prefix in ("", "target_"))
        return cls(plain["weight"], plain["n_samples"], x, y, plain["cross"], plain["target_cross"])

    def with_weight(self, weight: float) -> "Moments":
        """Return the moments of the same rows, their weights scaled to another sum."""
        return replace(self, weight=weight)

    def merge(self, other: "Moments") -> "Moments":
        """Return the moments of these rows and others together, as `united` does.

        Parameters
        ----------
        other : Moments
            Moments of other rows with the same columns. The result has `cross` if both have.
        """
        [both] = united([self, other], np.ones((1, 2), np.intp))
        return both

    def _in_units(self, unit: NDArray, target_unit: NDArray) -> "Moments":
        """Return the same moments in other units."""
        if (self.x.unit == unit).all() and (self.y.unit == target_unit).all():
            return self
        (x, factor), (y, target_factor) = self.x._in_unit(unit), self.y._in_unit(target_unit)
        cross = None if self.cross is None else self.cross * np.outer(factor, factor)
        return replace(self, x=x, y=y, cross=cross, target_cross=self.target_cross * np.outer(factor, target_factor))

    def about_origin(self) -> "Moments":
        """Return the moments about the origin instead of the mean, as a model without intercept needs them."""
        mean, target_mean = self.x.mean / self.x.unit, self.y.mean / self.y.unit
        return replace(
            self,
            x=self.x._about_origin(),
            y=self.y._about_origin(),
            cross=None if self.cross is None else self.cross + np.outer(mean, mean),
            target_cross=self.target_cross + np.outer(mean, target_mean),
        )


def gather(rows: Any, *, cross: bool = True, precision: type = np.float64) -> Moments:
    """Return the moments of rows that are stored together.

    This takes one pass over X. It takes more if squares of X come near the limits of the range of floats, or if a
    mean is far from zero and from the provisional shift. NaN and infinity in X show in the sums, so that the check
    for them needs no pass of its own.

    Parameters
    ----------
    rows : RowBlocks
        Rows of X and y, with their weights.
    cross : bool, default=True
        Whether to gather the covariances between the columns of X, n_features**2 numbers.
    precision : type, default=float64
        Floating type in which products of columns of a dense X are formed within a block. For many columns,
        float32 halves the time. Sums over blocks, and products of X and y, are always in double precision.

    Returns
    -------
    Moments

    Raises
    ------
    ValueError
        If X contains NaN or infinity.
    """
    if rows.is_sparse or not cross:
        precision = np.float64
    x, y = _provisional_origins(rows, NEAR if precision is np.float64 else 0.0)
    sums = _sum(rows, x, y, cross, precision)
    if not sums.in_range() and (sums.has_underflowed() or not sums.representable()):
        rows.check_finite()
        ranges = rows.sum(lambda: Both(Ranges(), Ranges()))
        x, y = replace(x, unit=power_of_two(ranges.x.largest)), replace(y, unit=power_of_two(ranges.y.largest))
        sums = _sum(rows, x, y, cross, precision)
    moments = sums.moments()
    limit = CANCELLATION_LIMIT * np.finfo(np.float64).eps / np.finfo(precision).eps
    # A column of CSR whose mean is that far from zero has at most one zero in NEAR^2 entries: a shift fills hardly any.
    far = moments.x.cancellation > (NEAR**2 if rows.is_sparse else limit) + 10.0
    if far.any() or (moments.y.cancellation > CANCELLATION_LIMIT).any():
        x, y = replace(x, shift=np.where(far, moments.x.mean, x.shift)), replace(y, shift=moments.y.mean)
        moments = _sum(rows, x, y, cross, precision).moments()
    return moments


def united(parts: Sequence[Moments], counts: NDArray) -> list[Moments]:
    """Return the moments of unions of parts, all of them in a few steps (after Chan, Golub and LeVeque, 1983).

    With w_k the share of part k in the weight of a union, and m_0 the mean of its heaviest part::

        mean   =  m_0 + sum_k w_k (m_k - m_0)
        cross  =  sum_k w_k cross_k + sum_k w_k (m_k - mean)(m_k - mean)'

    Nothing is subtracted but means from means. The moments of a union of one part are those of this part.

    Parameters
    ----------
    parts : sequence of Moments
        Moments of rows with the same columns. The results have `cross` if all have.
    counts : ndarray of int, of shape (n_unions, n_parts)
        How often the rows of each part are in each union, which has at least one part.
    """
    is_one = counts.sum(axis=1) == 1
    joined = iter(_joined(parts, counts[~is_one]))
    return [parts[int(times.argmax())] if one else next(joined) for times, one in zip(counts, is_one, strict=True)]


def _joined(parts: Sequence[Moments], counts: NDArray) -> list[Moments]:
    """Return the moments of unions of several parts."""
    columns = _columns_of(parts)
    if (columns[2] == _safe_units(columns)).all():
        crosses: Any = [part.cross for part in parts]
        if len(counts) > 1 and all(cross is not None for cross in crosses):
            crosses = np.stack(crosses)
        at_a_time = max(1, UNITED_ENTRIES // columns[0].size)
        groups = [
            _united(parts, columns, crosses, counts[first : first + at_a_time])
            for first in range(0, len(counts), at_a_time)
        ]
        return [union for group in groups for union in group]
    several = []
    for times in counts:
        some = np.flatnonzero(times)
        units = np.split(_safe_units(columns[:, some]), [len(parts[0].x.mean)])
        same = [parts[k]._in_units(*units) for k in some.tolist()]
        several += _united(same, _columns_of(same), [part.cross for part in same], times[np.newaxis, some])
    return several


def _columns_of(parts: Sequence[Moments]) -> NDArray:
    """Return the fields of `Columns` in their order, of shape (5, n_parts, n_columns), with the columns of y last."""
    return np.stack([np.concatenate([part.x, part.y], axis=1) for part in parts], axis=1)


def _safe_units(columns: NDArray) -> NDArray:
    """Return units of the columns in which the squares of all parts are in range."""
    mean, _, unit, variance, _ = columns
    return _safe_unit(np.maximum(np.abs(mean), unit * np.sqrt(variance)).max(axis=0))


def _united(parts: Sequence[Moments], columns: NDArray, crosses: Any, counts: NDArray) -> list[Moments]:
    """Return the moments of unions of parts in the same units, given the columns and the `cross` of each."""
    p, (mean, remainder, (unit, *_), variance, cancellation) = len(parts[0].x.mean), columns
    weights = counts * [part.weight for part in parts]
    totals, first = weights.sum(axis=1), weights.argmax(axis=1)
    share, is_in = weights / totals[:, np.newaxis], counts > 0
    scaled, rest = mean / unit, remainder / unit
    drift = scaled - scaled[first][:, np.newaxis] + (rest - rest[first][:, np.newaxis])
    # If a column is constant, the means of all parts are its value and differ only by the rounding of a sum.
    varies = is_in @ (variance > 0)
    if not varies[:, :p].all():
        size = np.where(is_in[:, :, np.newaxis], np.abs(scaled), 0.0).max(axis=1, keepdims=True)
        is_rounding = np.abs(drift) <= 8 * np.finfo(np.float64).eps * size
        is_rounding[:, :, p:] = False
        drift[is_rounding & ~varies[:, np.newaxis]] = 0.0
    moved = (share[:, np.newaxis] @ drift)[:, 0]
    drift -= moved[:, np.newaxis]
    drift *= np.sqrt(share)[:, :, np.newaxis]
    mean, remainder = two_sum(mean[first], remainder[first] + moved * unit)
    between = np.square(drift).sum(axis=1)
    mean_squares = share @ (np.where(variance > 0, cancellation, 0.0) * variance) + between
    variance = share @ variance + between
    turned = drift[:, :, :p].transpose(0, 2, 1)
    joint = _weighted_sums(share, [part.target_cross for part in parts]) + turned @ drift[:, :, p:]
    cross: Iterable[Any] = repeat(None)
    if all(each is not None for each in crosses):
        cross = _weighted_sums(share, crosses)
        for products, one, other in zip(cross, turned, drift, strict=True):
            products += one @ other[:, :p]
        variance[:, :p] = cross.diagonal(axis1=1, axis2=2)
    cancellation = np.divide(mean_squares, variance, out=np.ones_like(variance), where=variance > 0)
    n_samples = counts @ [part.n_samples for part in parts]
    precision = max({part.precision for part in parts}, key=lambda kind: np.finfo(kind).eps)
    both = np.stack([mean, remainder, np.broadcast_to(unit, mean.shape), variance, cancellation], axis=1)
    return [
        Moments(weight, n, Columns(*each[:, :p]), Columns(*each[:, p:]), of_x, of_y, precision)
        for weight, n, each, of_x, of_y in zip(totals.tolist(), n_samples.tolist(), both, cross, joint, strict=False)
    ]


def _weighted_sums(share: NDArray, matrices: Any) -> NDArray:
    """Return a weighted sum of matrices for each row of `share`; for one row they need not be brought together."""
    if len(share) == 1:
        total, part = share[0, 0] * matrices[0], np.empty_like(matrices[0])
        for weight, matrix in zip(share[0, 1:].tolist(), matrices[1:], strict=True):
            total += np.multiply(weight, matrix, out=part)
        return total[np.newaxis]
    return np.dot(share, np.reshape(matrices, (len(matrices), -1))).reshape(len(share), *matrices[0].shape)


def _safe_unit(magnitude: NDArray) -> NDArray:
    """Return the units of columns of given magnitudes: 1 if their squares are well within the range of floats."""
    largest = float(np.finfo(np.float64).max) ** (SAFE_SHARE / 2)
    is_safe = (magnitude >= 1 / largest) & (magnitude <= largest)
    if is_safe.all():
        return np.ones_like(magnitude)
    return np.where(is_safe, 1.0, power_of_two(magnitude))


@dataclass(frozen=True)
class _Origin(Movable):
    """The shifts about which columns of X, or of y, are summed, and their units."""

    shift: NDArray
    unit: NDArray

    @cached_property
    def is_scaled(self) -> bool:
        """Whether any unit differs from 1."""
        return bool((self.unit != 1).any())

    def center(self, columns: NDArray, root: NDArray | None, out: NDArray) -> NDArray:
        """Write rows to `out`, shifted, in units, and multiplied by the roots of their weights."""
        if self.is_scaled:
            np.multiply(columns, 1 / self.unit, out=out)
            out -= self.shift / self.unit
        else:
            np.subtract(columns, self.shift, out=out)
        # Shifting first keeps a constant column exactly zero, which multiplying first would not: it rounds.
        if root is not None:
            out *= root[:, np.newaxis]
        return out

    def columns(self, drift: NDArray, squares: NDArray) -> Columns:
        """Return moments about the mean, from means and mean squares about the shift."""
        mean, remainder = two_sum(self.shift, self.unit * drift)
        variance = np.maximum(squares - drift * drift, 0.0)
        if variance.all():
            return Columns(mean, remainder, self.unit, variance, squares / variance)
        cancellation = np.divide(squares, variance, out=np.where(squares > 0, np.inf, 1.0), where=variance > 0)
        return Columns(mean, remainder, self.unit, variance, cancellation)


def _provisional_origins(rows: Any, near: float) -> tuple[_Origin, _Origin]:
    """Return as shifts the medians of a few rows, or zero for columns of X too near zero to lose digits.

    The upper median is one of the values, so it equals a constant column exactly. A shift would fill a CSR matrix
    with nonzeros, so its columns begin unshifted. If the first pass finds a mean far larger than the deviation, that
    column has hardly any zeros, and is shifted in the next pass.
    """
    sample = rows.sample(min(SAMPLE_ROWS, max(FEWEST_ROWS, SAMPLE_ENTRIES // max(1, rows.n_features))))
    (X, y), xp, fetch = sample, rows.place.xp, rows.place.fetch
    n, shift = X.shape[0], np.zeros(rows.n_features)
    if not rows.is_sparse:
        doubtful: Any = np.s_[:]
        if rows.place.is_host:
            # Each value on the other side of zero is at least as far from the median as that is from zero.
            n_negative = (X < 0).sum(axis=0)
            doubtful = np.flatnonzero(near * np.minimum(n_negative, n - n_negative) < n)
        of_doubtful = X[:, doubtful]
        median = xp.sort(of_doubtful, axis=0)[n // 2, :]
        spread = xp.sum(xp.abs(of_doubtful - median), axis=0)
        median, spread = (fetch(each).astype(np.float64) for each in (median, spread))
        shift[doubtful] = np.where(np.abs(median) * n > near * spread, median, 0.0)
    target_shift = fetch(xp.sort(y, axis=0)[n // 2, :]).astype(np.float64)
    return _Origin(shift, np.ones(rows.n_features)), _Origin(target_shift, np.ones(rows.n_outputs))


def _sum(rows: Any, x: _Origin, y: _Origin, cross: bool, precision: type) -> "_SumsOfProducts":
    work = max(1, rows.n_features) if cross else 1
    min_rows = max(work, 1 if precision is np.float64 else ROUNDED_ROWS)
    make = _SumsOfProducts if rows.place.is_host else _SumsOnDevice
    return rows.sum(lambda: make(rows, x, y, cross, precision), min_rows=min_rows, work=work)


class _SumsOfProducts(Sums):
    """Accumulator of the sums of rows and of their products, about fixed shifts of X and y."""

    sums = ("second", "joint", "of_targets")

    def __init__(self, rows: Any, x: _Origin, y: _Origin, cross: bool, precision: type):
        p, m = rows.n_features, rows.n_outputs
        self._rows = rows
        self._x, self._y = x, y
        self._of_products = precision
        self.second = np.zeros((p, p) if cross else p)
        self.joint = np.zeros((p, 1 + m))  # X'[1, y]: sums of X, and products of X and y
        self.of_targets = np.zeros((1 + m, 1 + m))  # [1, y]'[1, y]
        self._is_view = (
            not (x.is_scaled or x.shift.any() or rows.weight is not None) and rows.dtype == precision == np.float64
        )
        self._order = "F" if isinstance(rows.X, np.ndarray) and rows.X.flags.f_contiguous else "C"
        self._buffer = np.empty((0, p))
        self._rounded: NDArray = np.empty((0, p), precision)

    def add(self, X, y, weight):
        root = None if weight is None else np.sqrt(weight)
        targets = np.empty((len(y), 1 + y.shape[1]), order="F")
        targets[:, 0] = 1.0 if root is None else root
        self._y.center(y, root, out=targets[:, 1:])
        if sparse.issparse(X):
            self._add_sparse(X, root, targets)
        elif self._of_products is np.float64:
            self._add_dense(self._dense(X, root), targets)
        else:
            self._add_rounded(X, root, targets)
        self.of_targets += dot(targets.T, targets)

    def _add_dense(self, X, targets):
        if self.second.ndim == 2:
            self.second += dot(X.T, X)
            self._add_joint(np.s_[:], X, targets)
            return
        step = max(1, X.shape[1] if X.flags.c_contiguous else PIECE_ENTRIES // max(1, len(X)))
        for start in range(0, X.shape[1], step):
            columns = slice(start, start + step)
            part = X[:, columns]
            self.second[columns] += _squares_of_columns(part)
            self._add_joint(columns, part, targets)

    def _add_joint(self, columns, X, targets):
        """Add the products of some columns of X with targets: with few of them, one after the other takes less time."""
        if targets.shape[1] > FEW_TARGETS:
            self.joint[columns] += dot(X.T, targets)
            return
        for joint, target in zip(self.joint[columns].T, targets.T, strict=True):
            joint += dot(X.T, target)

    def _add_rounded(self, X, root, targets):
        """Add a block, forming products of columns of X in single precision.

        Centring, rounding and products with y proceed in parts that fit in the cache.
        """
        if len(self._rounded) < len(X):
            self._rounded = np.empty(X.shape, self._of_products, order=self._order)
        rounded = self._rounded[: len(X)]
        cached_rows = self._rows.cached_rows
        for start in range(0, len(X), cached_rows):
            part = slice(start, start + cached_rows)
            dense = self._dense(X[part], None if root is None else root[part])
            self._add_joint(np.s_[:], dense, targets[part])
            np.copyto(rounded[part], dense, casting="same_kind")
        self.second += dot(rounded.T, rounded)

    def _dense(self, X, root):
        if self._is_view:
            return X
        if len(self._buffer) < len(X):
            self._buffer = np.empty(X.shape, order=self._order)
        return self._x.center(X, root, out=self._buffer[: len(X)])

    def _add_sparse(self, X, root, targets):
        """Add a block of CSR, with its shifted columns, which have few zeros, as a dense array."""
        apart = np.flatnonzero(self._x.shift)
        rest = self._unshifted(X, root, apart)
        self.joint += rest.T @ targets
        self.second += _sums_of_squares(rest) if self.second.ndim == 1 else (rest.T @ rest).toarray()
        if not apart.size:
            return
        dense = self._shifted(X, root, apart)
        self.joint[apart] += dot(dense.T, targets)
        if self.second.ndim == 1:
            self.second[apart] += np.einsum("ij,ij->j", dense, dense)
        else:
            mixed = rest.T @ dense
            self.second[:, apart] += mixed
            self.second[apart] += mixed.T
            self.second[np.ix_(apart, apart)] += dot(dense.T, dense)

    def _shifted(self, X, root, apart):
        """Return the shifted columns of a block of CSR, dense."""
        dense = X[:, apart].astype(np.float64).toarray()
        return _Origin(self._x.shift[apart], self._x.unit[apart]).center(dense, root, out=dense)

    def _unshifted(self, X, root, apart):
        """Return a block of CSR with zeros in the shifted columns."""
        entries = X.data.astype(np.float64, copy=False)
        if self._x.is_scaled or apart.size:
            entries = entries * np.where(self._x.shift == 0, 1 / self._x.unit, 0.0)[X.indices]
        if root is not None:
            entries = entries * np.repeat(root, np.diff(X.indptr))
        return type(X)((entries, X.indices, X.indptr), shape=X.shape)

    def _squares(self) -> tuple[NDArray, NDArray]:
        """Return the sums of squares of the columns of X and of y."""
        return np.diagonal(self.second) if self.second.ndim == 2 else self.second, np.diagonal(self.of_targets)[1:]

    def in_range(self) -> bool:
        """Return whether every sum of squares is far inside the range of a float, and with it every sum of products."""
        safe = float(np.finfo(self._of_products).max) ** SAFE_SHARE
        squares = np.concatenate(self._squares())
        return bool(squares.min() >= 1 / safe and squares.max() <= safe)

    def representable(self) -> bool:
        """Return whether all sums of squares are safely representable; zero passes, but may be due to underflow."""
        squares = np.concatenate(self._squares())
        safe = float(np.finfo(self._of_products).max) ** SAFE_SHARE
        inside = (squares >= 1 / safe) & (squares <= safe) | (squares == 0)
        return bool(np.isfinite(self.joint).all() and inside.all())

    def has_underflowed(self) -> bool:
        """Return whether squares underflowed to zero, which takes a pass over X if any sum of squares is zero."""
        zero, zero_targets = (np.flatnonzero(squares == 0) for squares in self._squares())
        if not (zero.size or zero_targets.size):
            return False
        underflow = self._rows.sum(lambda: Both(Underflow(self._x.shift, zero), Underflow(self._y.shift, zero_targets)))
        return underflow.x.found or underflow.y.found

    def moments(self) -> Moments:
        """Return the moments about the mean."""
        weight = self._rows.total_weight
        squares, target_squares = (sums / weight for sums in self._squares())
        drift, target_drift = self.joint[:, 0] / weight, self.of_targets[0, 1:] / weight
        x, y = self._x.columns(drift, squares), self._y.columns(target_drift, target_squares)
        # A column counts as constant if its deviations from the shift are no larger than the rounding of its values.
        # If centring cancels all digits of a variance, this shift cannot decide. Its cancellation is then infinite,
        # which triggers another pass.
        is_rounding = np.sqrt(squares) <= 2 * np.finfo(self._rows.dtype).eps * np.abs(x.mean / x.unit)
        rounding = np.finfo(self._of_products).eps * max(8.0, self._rows.n_samples**0.5)
        constant = is_rounding | (x.variance <= rounding * squares)
        across = drift[:, np.newaxis]
        target_cross = self.joint[:, 1:] / weight - across * target_drift
        cross = self.second / weight - across * drift if self.second.ndim == 2 else None
        if constant.any():
            cancellation = np.where(is_rounding, 1.0, np.where(constant, np.inf, x.cancellation))
            x = x._replace(variance=np.where(constant, 0.0, x.variance), cancellation=cancellation)
            target_cross[constant] = 0.0
            if cross is not None:
                cross[constant] = 0.0
                cross[:, constant] = 0.0
        return Moments(weight, self._rows.n_weighted, x, y, cross, target_cross, self._of_products)


class _SumsOnDevice(_SumsOfProducts):
    """The same sums for rows on a device, in the widest floats it has; a block is centred as a whole."""

    def __init__(self, rows: Any, x: _Origin, y: _Origin, cross: bool, precision: type):
        super().__init__(rows, x, y, cross, precision)
        self._is_scaled = x.is_scaled or y.is_scaled

    def add(self, X, y, weight):
        xp = namespace(X)
        Z, targets = self._centered(self._x, X), self._centered(self._y, y)
        targets = xp.concat([xp.ones_like(targets[:, :1]), targets], axis=1)
        if weight is not None:
            root = xp.sqrt(weight)[:, np.newaxis]
            Z, targets = root * Z, root * targets
        self.second += Z.T @ Z if self.second.ndim == 2 else xp.sum(Z * Z, axis=0)
        self.joint += Z.T @ targets
        self.of_targets += targets.T @ targets

    def _centered(self, origin: Any, columns: Any) -> Any:
        # Types are promoted: one operation makes one copy, in the widest floats.
        return (columns - origin.shift) / origin.unit if self._is_scaled else columns - origin.shift


def _squares_of_columns(X: NDArray) -> NDArray:
    """Return the sums of squares of the columns of a dense block; BLAS is faster than NumPy on contiguous columns."""
    if X.flags.c_contiguous:
        return np.einsum("ij,ij->j", X, X)
    return np.matmul(X.T[:, np.newaxis], X.T[:, :, np.newaxis])[:, 0, 0]


def _sums_of_squares(X: sparse.csr_array) -> NDArray:
    """Return the sums of squares of the columns of a CSR matrix."""
    if not X.has_canonical_format:  # duplicate entries must be added before they are squared
        X = X.copy()
        X.sum_duplicates()
    squares = type(X)((X.data * X.data, X.indices, X.indptr), shape=X.shape)
    return squares.T @ np.ones(X.shape[0])
