"""Rows of Dask arrays and data frames: each block is processed on its worker, and results are merged in a tree.

Functions import Dask when they first need it, because it is an optional dependency.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils.validation import validate_data

from gdregress.rows.checks import check_finite, check_weights
from gdregress.rows.chunks import moments_of_chunk
from gdregress.rows.gathering import gather
from gdregress.rows.inputs import check_largest_weight, check_same_rows, read_features, read_targets
from gdregress.rows.kinds import check_types
from gdregress.rows.memory import RowBlocks
from gdregress.rows.moments import Moments
from gdregress.rows.namespaces import HOST, affine
from gdregress.rows.rows import A, Numbered
from gdregress.rows.unions import union

R = TypeVar("R")

FAN_IN = 8
"""Number of results that one task merges, chosen so that scheduling the task costs about as much as the merging."""


def is_dask(values: Any) -> bool:
    """Return whether values are a Dask collection, that is whether they have a task graph."""
    return hasattr(values, "__dask_graph__")


def as_array(values: Any) -> Any:
    """Return a Dask array unchanged, and a Dask data frame or series as an array."""
    return values.to_dask_array() if hasattr(values, "to_dask_array") else values


def floats_of(X: Any) -> np.dtype:
    """Return the floating type in which a collection is read."""
    return np.dtype(np.float32 if as_array(X).dtype == np.float32 else np.float64)


def see_columns(estimator: Any, X: Any, *, reset: bool) -> None:
    """Check number and names of the columns of a collection, by one row in memory that has the same.

    Parameters
    ----------
    estimator : estimator
        The estimator that holds both.
    X : dask array or data frame
        The collection.
    reset : bool
        Whether to set both from X. If False, X is checked against them.

    Raises
    ------
    ValueError
        If X is not two-dimensional, is a data frame with columns of dates or text, or has other columns than those
        that the estimator has seen.
    """
    if hasattr(X, "dtypes"):
        check_types("X", X)
    if X.ndim != 2:
        raise ValueError(f"Expected 2D array, got {X.ndim}D array instead: give X rows and columns.")
    row: Any = np.zeros((1, int(X.shape[1])))
    if hasattr(X, "columns"):
        import pandas as pd

        row = pd.DataFrame(row, columns=X.columns)
    validate_data(estimator, row, reset=reset)


def in_memory(*values: Any) -> tuple[Any, ...]:
    """Return the values with Dask collections computed, all in one call, and others unchanged."""
    if not any(map(is_dask, values)):
        return values
    import dask

    return dask.compute(*(as_array(each) if is_dask(each) else each for each in values))


def blocks_of(X: Any, y: Any, sample_weight: Any = None, *, suffix: str = "") -> list[Any]:
    """Return one delayed object for each block of rows, which validates the block on its worker.

    It computes a `Block`, or None if no row of the block has a positive weight.

    Parameters
    ----------
    X : dask array or data frame of shape (n_samples, n_features)
        Features. Chunks may be empty or of unknown size, and chunks along columns are joined. If y or the weights
        are not Dask collections, unknown sizes are computed at once.
    y : dask array, series or data frame, or array-like, of shape (n_samples,) or (n_samples, n_targets)
        Targets.
    sample_weight : dask array or series, or array-like, of shape (n_samples,), default=None
        Weights of the rows.
    suffix : str, default=""
        Appended to the names X, y and sample_weight in error messages.

    Returns
    -------
    list of Delayed
        One for each block, in the order of the rows.

    Raises
    ------
    ValueError
        If X, y and the weights differ in their rows. Invalid values in a block raise when it is computed.
    """
    import dask

    if np.ndim(y) == 0:
        raise ValueError(f"y is {y!r}: pass the target of each row.")
    X = as_array(X).rechunk({1: -1})
    if sample_weight is not None and np.ndim(sample_weight) == 0:
        check_weights("sample_weight" + suffix, sample_weight, 1)
        sample_weight = None  # equal weights have no effect
    columns = {"X": X, "y": y, "sample_weight": sample_weight}
    if np.isnan(X.shape[0]) and not all(values is None or is_dask(values) for values in columns.values()):
        X = columns["X"] = X.compute_chunk_sizes()  # an array in memory is cut into chunks of the same sizes
    parts = [
        [None] * X.numblocks[0] if values is None else _split(values, name + suffix, X, "X" + suffix)
        for name, values in columns.items()
    ]
    read = dask.delayed(_read, pure=False)
    return [read(*pieces, suffix, number) for number, pieces in enumerate(zip(*parts, strict=True), 1)]


def gather_blocks(blocks: list[Any]) -> Moments:
    """Return the moments of all rows, computed in one graph that sends only moments to the client.

    Raises
    ------
    ValueError
        If X contains NaN or infinity, or if no row has a positive weight.
    """
    return _reduce(blocks, _moments, partial(reduce, union))


class Block(NamedTuple):
    """Rows stored together: X, targets (n_samples, n_outputs), weights or None, and the name of X in errors."""

    X: Any
    y: NDArray
    weight: NDArray | None
    name: str


class Facts(NamedTuple):
    """Metadata of the rows of one block, or of all blocks; `weight` is the sum of the weights."""

    n_samples: int
    n_weighted: int
    n_features: int
    n_outputs: int
    weight: float
    largest_weight: float
    dtype: np.dtype
    is_sparse: bool

    @classmethod
    def of(cls, block: Block) -> "Facts":
        """Return the metadata of a block.

        Raises
        ------
        ValueError
            If X contains NaN or infinity.
        """
        check_finite(block.name, block.X)
        n, p = block.X.shape
        weight = np.ones(n) if block.weight is None else block.weight
        n_weighted, largest = int(np.count_nonzero(weight)), float(weight.max())
        return cls(
            n, n_weighted, p, block.y.shape[1], float(weight.sum()), largest, block.X.dtype, sparse.issparse(block.X)
        )

    def merge(self, other: "Facts") -> "Facts":
        """Return the metadata of the rows of both."""
        return self._replace(
            n_samples=self.n_samples + other.n_samples,
            n_weighted=self.n_weighted + other.n_weighted,
            weight=self.weight + other.weight,
            largest_weight=max(self.largest_weight, other.largest_weight),
            dtype=np.result_type(self.dtype, other.dtype),
        )


@dataclass(frozen=True)
class DaskRows:
    """Rows in the blocks of a Dask collection, an implementation of `gdregress.rows.rows.Rows`.

    Blocks stay in the memory of the workers, and a pass is one task for each block.

    Attributes
    ----------
    blocks : list of Delayed
        Persisted results of `blocks_of`.
    facts : Facts
        Metadata of all rows.
    transforms : tuple of callable
        Functions applied in turn to the targets of each block, anew in every pass.
    """

    blocks: list[Any]
    facts: Facts
    transforms: tuple[Callable[[NDArray], NDArray], ...] = ()

    @classmethod
    def of(cls, blocks: list[Any]) -> "DaskRows":
        """Return the rows of some blocks, after loading these into the memory of their workers.

        Parameters
        ----------
        blocks : list of Delayed
            Result of `blocks_of`.

        Raises
        ------
        ValueError
            If X contains NaN or infinity, or if no row has a positive weight.
        """
        import dask

        blocks = list(dask.persist(*blocks))
        return cls(blocks, _reduce(blocks, Facts.of, partial(reduce, Facts.merge)))

    can_be_read = True
    in_memory = None
    is_summed = False
    place = HOST

    @property
    def n_samples(self) -> int:
        """Number of rows, including those of weight zero in blocks that have a positive weight."""
        return self.facts.n_samples

    @property
    def n_weighted(self) -> int:
        """Number of rows of positive weight."""
        return self.facts.n_weighted

    @property
    def n_features(self) -> int:
        """Number of columns of X."""
        return self.facts.n_features

    @property
    def n_outputs(self) -> int:
        """Number of columns of y."""
        return _transformed(np.zeros((1, self.facts.n_outputs)), self.transforms).shape[1]

    @property
    def dtype(self) -> np.dtype:
        """Floating type of X."""
        return self.facts.dtype

    @property
    def is_sparse(self) -> bool:
        """Whether the blocks are CSR."""
        return self.facts.is_sparse

    @property
    def total_weight(self) -> float:
        """Sum of the weights, after division by the largest."""
        return self.facts.weight / self.facts.largest_weight

    def with_targets(self, transform: Callable[[NDArray], NDArray]) -> "DaskRows":
        """Return the same rows with transformed targets; each pass applies the transform anew."""
        return replace(self, transforms=(*self.transforms, transform))

    def without_features(self) -> "DaskRows":
        """Return these rows: a pass over y alone does not touch X, which stays on the workers."""
        return self

    def sum(self, make: Callable[[], A], *, min_rows: int = 1, work: float = 1.0) -> A:
        """Add every row to accumulators created by `make`, and return them merged."""
        return self._reduce(partial(_accumulated, make=make, min_rows=min_rows, work=work), _merged_accumulators)

    def _reduce(self, work: Callable[[RowBlocks], R], combine: Callable[[list[R]], R]) -> R:
        on_block = partial(_work_on, work=work, transforms=self.transforms, largest=self.facts.largest_weight)
        return _reduce(self.blocks, on_block, combine)

    def split(self, fraction: float, random_state: np.random.RandomState) -> "tuple[DaskRows, DaskRows]":
        """Split the rows of positive weight at random into training rows and held-out rows, block by block."""
        import dask

        sizes = dask.compute(*map(dask.delayed(_n_weighted, pure=False), self.blocks))
        draw = np.random.Generator(np.random.MT19937(random_state.randint(2**31)))
        numbers = draw.multivariate_hypergeometric(sizes, math.ceil(fraction * sum(sizes)), method="marginals")
        sides = dask.delayed(_sides, pure=False, nout=2)
        seeds = random_state.randint(2**31, size=len(sizes))
        split = [sides(*each) for each in zip(self.blocks, numbers.tolist(), seeds.tolist(), strict=True)]
        training, held_out = map(list, zip(*split, strict=True))
        return DaskRows.of(training), DaskRows.of(held_out)

    def moments(self, *, products: bool = True, precision: type = np.float64) -> Moments:
        """Return the moments of the rows, as `gdregress.rows.gathering.gather` does."""
        return self._reduce(partial(gather, cross=products, precision=precision), partial(reduce, union))

    def on_threads(self) -> AbstractContextManager:
        """Return a context that does nothing: passes run on the threads of the workers."""
        return nullcontext()


@dataclass(frozen=True)
class NumberedRows(Numbered):
    """Rows of Dask that are told apart by their numbers: X stays on the workers, y and the weights are at hand.

    Attributes
    ----------
    X : dask array of shape (n_samples, n_features)
        Features.
    rows : DaskRows
        The rows.
    sizes : tuple of int
        Number of rows in each block.
    y : ndarray of shape (n_samples, n_outputs)
        Targets.
    weight : ndarray of shape (n_samples,) or None
        Weights, as a share of the largest.
    """

    X: Any
    rows: DaskRows
    sizes: tuple[int, ...]
    y: NDArray
    weight: NDArray | None
    columns = None

    @classmethod
    def of(cls, X: Any, y: Any, sample_weight: Any) -> "NumberedRows":
        """Return the rows of Dask collections, after loading X into the memory of the workers.

        Sizes of blocks that are not known are computed.

        Raises
        ------
        ValueError
            As `blocks_of` and `DaskRows.of`.
        """
        X = as_array(X)
        X = X.compute_chunk_sizes() if np.isnan(X.shape[0]) else X
        rows = DaskRows.of(blocks_of(X, y, sample_weight))
        y, weight = in_memory(y, sample_weight)
        if weight is not None:
            weight = np.broadcast_to(np.asarray(weight, np.float64), X.shape[:1]) / rows.facts.largest_weight
        return cls(X, rows, X.chunks[0], read_targets(y, min_rows=0).reshape(X.shape[0], -1), weight)

    def part(self, chosen: NDArray | slice) -> Any:
        """Raise a ValueError: these rows are known by their sums alone."""
        raise ValueError(
            "the sums over rows of dask have too few digits for these errors, and X stays on its workers: "
            "give rows in memory, or columns of like sizes."
        )

    def moments_of_parts(self, parts: Sequence[NDArray | slice]) -> list[Moments | None]:
        """Return the moments of some parts of the rows, in one graph; None for one without a row of positive weight.

        Parameters
        ----------
        parts : sequence of slice or ndarray of int
            Rows of each part. A row is in one part or in none.
        """
        import dask

        labels = np.full(self.n_samples, -1, np.int32)
        for label, chosen in enumerate(parts):
            labels[chosen] = label
        pieces = np.split(labels, np.cumsum(self.sizes)[:-1])
        pair = dask.delayed(_labelled, pure=False)
        labelled = [pair(*each) for each in zip(self.rows.blocks, pieces, strict=True)]
        work = partial(_moments_by_label, largest=self.rows.facts.largest_weight)
        by_label = _reduce(labelled, work, partial(reduce, _merged_by_label))
        return [by_label.get(label) for label in range(len(parts))]


def _labelled(block: Block | None, labels: NDArray) -> tuple[Block, NDArray] | None:
    return None if block is None else (block, labels)


def _moments_by_label(labelled: tuple[Block, NDArray], *, largest: float) -> dict[int, Moments]:
    """Return the moments of the rows of each label that is not negative, but for those of weight zero."""
    block, labels = labelled
    weight = None if block.weight is None else block.weight / largest
    rows, counts = RowBlocks(block.X, block.y, weight, name=block.name), weight is None or weight > 0
    present = np.unique(labels[counts & (labels >= 0)])
    with np.errstate(all="ignore"):
        return {int(label): gather(rows.part(np.flatnonzero(labels == label)).copied()) for label in present}


def _merged_by_label(one: dict[int, Moments], two: dict[int, Moments]) -> dict[int, Moments]:
    both = {label: union(one[label], two[label]) for label in one.keys() & two.keys()}
    return {**one, **two, **both}


def predict_blocks(X: Any, coef: NDArray, intercept: Any) -> Any:
    """Return the predictions for a Dask array or data frame, as a Dask array."""
    X = as_array(X).rechunk({1: -1})
    shape: dict[str, Any] = {"drop_axis": 1} if coef.ndim == 1 else {"chunks": (X.chunks[0], (len(coef),))}
    meta = np.empty((0,) * coef.ndim, np.result_type(floats_of(X), coef, intercept))
    return X.map_blocks(_predict_block, coef=coef, intercept=intercept, meta=meta, **shape)


def score_blocks(blocks: list[Any], coef: NDArray, intercept: Any) -> float:
    """Return R^2 averaged over outputs, from the moments of targets and residuals, computed in one graph."""
    work = partial(_moments_of_residuals, coef=np.atleast_2d(coef), intercept=intercept)
    moments = _reduce(blocks, work, partial(reduce, union))
    of_y, of_residuals = np.split(moments.y.deviation, 2)
    error = np.hypot(of_residuals, np.split(moments.y.mean, 2)[1])
    share = np.divide(error, of_y, out=np.where(error > 0, 1.0, 0.0), where=of_y > 0)
    return float(np.mean(1.0 - share * share))


def _moments_of_residuals(block: Block, *, coef: NDArray, intercept: Any) -> Moments:
    check_finite(block.name, block.X)
    if block.y.shape[1] != len(coef):
        raise ValueError(f"y has {block.y.shape[1]} outputs, but the model has {len(coef)}: pass as many.")
    both = np.hstack([block.y, block.y - affine(block.X, coef, intercept)])
    return _moments(block._replace(X=block.X[:, :0], y=both))


def _predict_block(X: Any, *, coef: NDArray, intercept: Any, block_info: Any = None) -> NDArray:
    where = f" of block {block_info[0]['chunk-location'][0] + 1}"
    X = read_features(X, suffix=where, min_rows=0)
    check_finite("X" + where, X)
    return affine(X, coef, intercept)


def _reduce(blocks: list[Any], work: Callable[[Block], R | None], combine: Callable[[list[R]], R]) -> R:
    """Apply `work` to blocks with rows of positive weight, and combine the results in a tree, in one graph.

    Raises
    ------
    ValueError
        If no row has a positive weight.
    """
    import dask

    # Delayed functions are sent once and not with each task: `work` may contain a large array of coefficients.
    shared, both = (dask.delayed(function, pure=False, traverse=False) for function in (work, combine))
    on_block, together = dask.delayed(_on_block, pure=False), dask.delayed(_together, pure=False)
    level = [on_block(block, shared) for block in blocks]
    while len(level) > 1:
        level = [together(level[k : k + FAN_IN], both) for k in range(0, len(level), FAN_IN)]
    [reduced] = dask.compute(level[0])
    if reduced is None:
        raise ValueError("No row of X has a positive weight: every block is empty, or every weight is zero.")
    return reduced


def _on_block(block: Block | None, work: Callable[[Block], R | None]) -> R | None:
    return None if block is None else work(block)


def _together(several: list[R | None], combine: Callable[[list[R]], R]) -> R | None:
    counted = [one for one in several if one is not None]
    return combine(counted) if counted else None


def _work_on(block: Block, *, work: Callable[[RowBlocks], R], transforms: tuple, largest: float) -> R | None:
    weight = None if block.weight is None else block.weight / largest
    if weight is not None and not weight.any():
        return None  # these weights underflow when divided by the largest
    return work(RowBlocks(block.X, _transformed(block.y, transforms), weight, name=block.name))


def _n_weighted(block: Block | None) -> int:
    if block is None:
        return 0
    return len(block.y) if block.weight is None else int(np.count_nonzero(block.weight))


def _sides(block: Block | None, number: int, seed: int) -> tuple[Block | None, Block | None]:
    """Return the block with weight zero for the held-out rows, and a copy of the held-out rows."""
    if block is None:
        return None, None
    weight = np.ones(len(block.y)) if block.weight is None else block.weight
    counted = np.flatnonzero(weight)
    held = counted[np.random.RandomState(seed).permutation(len(counted)) < number]
    kept = weight.copy()
    kept[held] = 0.0
    held_out = Block(block.X[held], block.y[held], weight[held], block.name) if len(held) else None
    return block._replace(weight=kept) if kept.any() else None, held_out


def _transformed(y: NDArray, transforms: tuple) -> NDArray:
    for transform in transforms:
        y = transform(y)
    return y


def _accumulated(rows: RowBlocks, *, make: Callable[[], A], min_rows: int, work: float) -> A:
    return rows.sum(make, min_rows=min_rows, work=work)


def _merged_accumulators(accumulators: list[A]) -> A:
    """Merge into a copy: Dask may pass the same inputs to another task if a worker is lost."""
    total = deepcopy(accumulators[0])
    for other in accumulators[1:]:
        total.merge(other)
    return total


def _moments(block: Block) -> Moments:
    scaled = check_weights("sample_weight", block.weight, len(block.y))
    unit = 1.0 if block.weight is None or scaled is None else float(block.weight.max() / scaled.max())
    return moments_of_chunk(RowBlocks(block.X, block.y, scaled, name=block.name), unit)


def _split(values: Any, name: str, X: Any, of_X: str) -> list[Any]:
    """Return values split into blocks of rows as X is split."""
    import dask.array as da

    n_rows = X.shape[0]
    values = as_array(values) if is_dask(values) else da.from_array(np.asarray(values), chunks=-1)
    if values.ndim > 1:
        values = values.rechunk({1: -1})
    known, wanted = not np.isnan(values.shape[0]), not np.isnan(n_rows)
    if known and wanted:
        check_same_rows(of_X, n_rows, name, values.shape[0])
        values = values.rechunk({0: X.chunks[0]})
    blocks = list(values.to_delayed().ravel())
    if len(blocks) != X.numblocks[0]:
        raise ValueError(
            f"{of_X} has {X.numblocks[0]} blocks of rows and {name} has {len(blocks)}, of sizes that are not known: "
            "take both from one data frame, or give arrays of known chunks, such as to_dask_array(lengths=True)."
        )
    return blocks


def _read(X: Any, y: Any, weight: Any, suffix: str, number: int) -> Block | None:
    """Return a validated block; None if none of its rows has a positive weight."""
    where = f" of block {number}"
    of_X, of_y, of_weight = (name + suffix + where for name in ("X", "y", "sample_weight"))
    X, y = read_features(X, suffix=suffix + where, min_rows=0), read_targets(y, suffix=suffix + where, min_rows=0)
    n = X.shape[0]
    for name, values in ((of_y, y), (of_weight, weight)):
        if values is not None:
            check_same_rows(of_X, n, name, len(values))
    check_finite(of_y, y)
    if weight is not None and np.any(weight):
        check_weights(of_weight, weight, n)
        weight = np.asarray(weight, dtype=np.float64)
        check_largest_weight(of_weight, weight.max())
    elif n == 0 or weight is not None:
        check_finite(of_X, X)
        return None
    return Block(X, y.reshape(n, -1), weight, of_X)
