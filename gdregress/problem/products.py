"""Products of some columns of X, or of its rows, in the coordinates of a problem."""

from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gdregress.problem.view import View
from gdregress.rows.memory import RowBlocks
from gdregress.rows.sums import Sums, dot

PRODUCT_ENTRIES = 2**18
"""Entries of a block of chosen columns whose products are formed: 2 MB, so that BLAS works on large enough matrices."""

COLUMN_ENTRIES, FEWEST_COLUMNS, ROW_ENTRIES = 2**20, 4, 2**22
"""Size of a block of columns whose rows are multiplied: so many entries, but at least so many columns for each row,
since products cost less than adding them up only then, and at most so many entries, 32 MB."""


def products_of_rows(rows: RowBlocks, center: NDArray, factor: NDArray) -> NDArray:
    """Return the products of the rows with each other, in one pass over the columns.

    Parameters
    ----------
    rows : RowBlocks
        Rows of a dense X.
    center, factor : ndarray of shape (n_features,)
        What is subtracted from each column, and by what it is multiplied then.

    Returns
    -------
    ndarray of shape (n_samples, n_samples)
        The products; not finite where they are beyond the range of floats.
    """
    X, n, p = rows.features_of(slice(None)), rows.n_samples, rows.n_features
    step = max(1, min(max(COLUMN_ENTRIES // n, FEWEST_COLUMNS * n), ROW_ENTRIES // n, p))
    common = float(factor.max())
    relative = None if (factor == common).all() else factor / common
    order: Literal["C", "F"] = "F" if X.flags.f_contiguous else "C"  # BLAS is as fast with either, but copies are not

    def of_columns(start: int, stop: int) -> NDArray:
        total, products, buffer = np.zeros((n, n)), np.empty((n, n)), np.empty(n * min(step, stop - start))
        with np.errstate(all="ignore"):
            for first in range(start, stop, step):
                columns = slice(first, min(first + step, stop))
                block = buffer[: n * (columns.stop - first)].reshape((n, -1), order=order)
                np.subtract(X[:, columns], center[columns], out=block)
                if relative is not None:
                    block *= relative[columns]
                total += np.matmul(block, block.T, out=products)
        return total

    with rows.on_threads() as (n_threads, map_on_threads):
        n_threads = min(n_threads, p)
        bounds = [p * k // n_threads for k in range(n_threads + 1)]
        total, *others = map_on_threads(of_columns, bounds[:-1], bounds[1:])
    with np.errstate(all="ignore"):
        for other in others:
            total += other
        total *= common * common
    return total


def products_of_columns(view: View, members: NDArray, n_known: int) -> NDArray:
    """Return the means of products of the columns from number `n_known` on with all of `members`.

    They are gathered in one pass, unless the moments have those of all columns.

    Parameters
    ----------
    view : View
        The rows, and the coordinates in which the columns are centred and scaled.
    members : ndarray of shape (n_members,)
        Indices of the columns.
    n_known : int
        Number of columns at the beginning of `members` whose products with each other are not needed.

    Returns
    -------
    ndarray of shape (n_members - n_known, n_members)
        Means over the rows.
    """
    if view.gram is not None:
        return view.gram[members[n_known:, np.newaxis], members]
    center, inverse_scale = view.coordinates.center[members], view.coordinates.inverse_scale[members]
    work = (len(members) - n_known) * len(members) / view.rows.n_features
    min_rows = max(1, PRODUCT_ENTRIES // len(members))
    sums = view.rows.sum(partial(_Products, members, n_known, center), min_rows=min_rows, work=work)
    return sums.centred() / view.rows.total_weight * inverse_scale * inverse_scale[n_known:, np.newaxis]


class _Products(Sums):
    """Accumulator of products of columns.

    Those of a dense X are centred block by block. Those of CSR stay as they are, and the products are centred.
    """

    sums = ("products", "totals", "weight")

    def __init__(self, members: NDArray, n_known: int, center: NDArray):
        self._members, self._n_known, self._center = members, n_known, center
        self.products = np.zeros((len(members) - n_known, len(members)))
        self.totals, self.weight = np.zeros(len(members)), 0.0

    def add(self, X, y, weight):
        if sparse.issparse(X):
            block = X[:, self._members].astype(np.float64, copy=False)
            weighted = block if weight is None else sparse.diags_array(weight) @ block
            self.products += (weighted[:, self._n_known :].T.tocsr() @ block).toarray()
            self.totals += np.asarray(weighted.sum(axis=0)).ravel()
            self.weight += X.shape[0] if weight is None else float(weight.sum())
            return
        block = X[:, self._members].astype(np.float64, copy=False)
        block -= self._center
        weighted = block if weight is None else block * weight[:, np.newaxis]
        self.products += dot(weighted[:, self._n_known :].T, block)

    def centred(self) -> NDArray:
        """Return the sums of products of the centred columns."""
        if self.weight == 0:
            return self.products
        center, new = self._center, np.s_[self._n_known :]
        mixed = np.outer(center[new], self.totals) + np.outer(self.totals[new], center)
        return self.products - mixed + self.weight * np.outer(center[new], center)
