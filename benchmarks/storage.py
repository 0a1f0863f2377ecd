"""X and y on disk, so that processes share data and not memory."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

BLOCK_ENTRIES = 2**21
"""Entries of X that `blocks` holds in memory at once."""


def write(folder: Path, X, y: NDArray) -> None:
    """Write ``X.npy``, or ``X.npz`` for CSR, and ``y.npy``."""
    if sparse.issparse(X):
        sparse.save_npz(folder / "X.npz", X, compressed=False)
    else:
        np.save(folder / "X.npy", X)
    np.save(folder / "y.npy", y)


def read(folder: Path, *, mapped: bool = False):
    """Give X and y; a dense X as a memory map where that is asked for."""
    y = np.load(folder / "y.npy")
    if (folder / "X.npz").exists():
        return sparse.load_npz(folder / "X.npz"), y
    return np.load(folder / "X.npy", mmap_mode="r" if mapped else None), y


def blocks(folder: Path) -> Iterator[tuple]:
    """Yield rows of X and y, block by block."""
    X, y = read(folder, mapped=True)
    entries = X.nnz if sparse.issparse(X) else X.size
    rows = max(1, BLOCK_ENTRIES * len(y) // max(entries, 1))
    for start in range(0, len(y), rows):
        block = slice(start, start + rows)
        yield X[block], y[block]
