"""The moments of rows, gathered in one pass over their blocks.

The weights s_i have the sum W. A provisional `shift` near the mean is subtracted from every row, so that
little cancels later (Chan, Golub and LeVeque, 1983)::

    drift  =  (1/W) sum_i s_i (x_i - shift)
    mean   =  shift + drift
    cross  =  (1/W) sum_i s_i (x_i - shift)(x_i - shift)' - drift drift'
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gdregress.rows.extended import two_sum
from gdregress.rows.moments import Columns, Moments
from gdregress.rows.namespaces import Movable, namespace
from gdregress.rows.ranges import SAFE_SHARE, Both, Ranges, Underflow, power_of_two
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

ROUNDED_ROWS = 4096
"""Least number of rows in a block whose products are formed in single precision."""

NEAR = 12.0
"""Ratio of median to mean absolute deviation up to which a column is not shifted, in double precision."""


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
    return _moments(rows, x, y, _sum(rows, x, y, cross, precision), cross, precision)


def gather_parts(rows: Any, parts: Sequence[Any]) -> list[Moments]:
    """Return the moments of some parts of rows in memory, with covariances, as `gather` does, in one pass for all.

    The provisional shift is the same for all of them. The pass is repeated for those parts whose means are far from it.

    Parameters
    ----------
    rows : RowBlocks
        All rows.
    parts : sequence of RowBlocks
        The parts, each with a row of positive weight.
    """
    x, y = _provisional_origins(rows, NEAR)
    several = rows.sums_of(parts, lambda part: _SumsOfProducts(part, x, y, True, np.float64), **_costs(rows, True))
    return [_moments(part, x, y, sums, True, np.float64) for part, sums in zip(parts, several, strict=True)]


def _moments(rows: Any, x: "_Origin", y: "_Origin", sums: "_SumsOfProducts", cross: bool, precision: type) -> Moments:
    """Return the moments of rows from their sums, which are gathered again where these have too few digits."""
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


@dataclass(frozen=True)
class _Origin(Movable):
    """The shifts about which columns of X, or of y, are summed, and their units."""

    arrays = ("shift", "unit")

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
            X = np.ascontiguousarray(X)  # a few rows of columns that are contiguous are read from memory once
            # Each value on the other side of zero is at least as far from the median as that is from zero.
            n_negative = (X < 0).sum(axis=0, dtype=np.int8)
            doubtful = np.flatnonzero(np.minimum(n_negative, n - n_negative) < (n / near if near else np.inf))
        of_doubtful = X[:, doubtful]
        median = xp.sort(of_doubtful, axis=0)[n // 2, :]
        spread = xp.sum(xp.abs(of_doubtful - median), axis=0)
        median, spread = (fetch(each).astype(np.float64) for each in (median, spread))
        shift[doubtful] = np.where(np.abs(median) * n > near * spread, median, 0.0)
    target_shift = fetch(xp.sort(y, axis=0)[n // 2, :]).astype(np.float64)
    return _Origin(shift, np.ones(rows.n_features)), _Origin(target_shift, np.ones(rows.n_outputs))


def _sum(rows: Any, x: _Origin, y: _Origin, cross: bool, precision: type) -> "_SumsOfProducts":
    make = _SumsOfProducts if rows.place.is_host else _SumsOnDevice
    return rows.sum(lambda: make(rows, x, y, cross, precision), **_costs(rows, cross, precision))


def _costs(rows: Any, cross: bool, precision: type = np.float64) -> dict[str, int]:
    """Return the least number of rows in a block, and the multiplications for each entry of X."""
    work = max(1, rows.n_features) if cross else 1
    return {"min_rows": max(work, 1 if precision is np.float64 else ROUNDED_ROWS), "work": work}


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

    arrays = _SumsOfProducts.sums
    movables = ("_x", "_y")

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
