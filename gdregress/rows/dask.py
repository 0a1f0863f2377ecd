"""Rows of Dask arrays and data frames: passes over their blocks, each on its worker.

Functions import Dask when they first need it, because it is an optional dependency.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from functools import partial, reduce
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gdregress.rows.checks import check_finite, check_weights
from gdregress.rows.chunks import moments_of_chunk
from gdregress.rows.dask_blocks import Block, as_array, blocks_of, computed, floats_of, reduced
from gdregress.rows.gathering import gather
from gdregress.rows.inputs import read_features, read_targets
from gdregress.rows.memory import RowBlocks
from gdregress.rows.moments import Moments
from gdregress.rows.namespaces import HOST, affine
from gdregress.rows.rows import A, Numbered
from gdregress.rows.unions import union

R = TypeVar("R")


def gather_blocks(blocks: list[Any]) -> Moments:
    """Return the moments of all rows, computed in one graph that sends only moments to the client.

    Raises
    ------
    ValueError
        If X contains NaN or infinity, or if no row has a positive weight.
    """
    return reduced(blocks, _moments, partial(reduce, union))


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


class DaskRows:
    """Rows in the blocks of a Dask collection, an implementation of `gdregress.rows.rows.Rows`.

    Blocks stay in the memory of the workers, and a pass is one task for each block. Weights are shares of the largest.

    Parameters
    ----------
    blocks : list of Delayed
        Persisted results of `blocks_of`.
    facts : Facts
        Metadata of all rows.
    transforms : tuple of callable
        Functions applied in turn to the targets of each block, anew in every pass.
    """

    can_be_read = True
    in_memory = None
    is_summed = False
    place = HOST

    def __init__(self, blocks: list[Any], facts: Facts, transforms: tuple[Callable[[NDArray], NDArray], ...] = ()):
        self.blocks = blocks
        self.facts = facts
        self.transforms = transforms
        self.n_samples, self.n_weighted, self.n_features = facts.n_samples, facts.n_weighted, facts.n_features
        self.n_outputs = _transformed(np.zeros((1, facts.n_outputs)), transforms).shape[1]
        self.dtype, self.is_sparse = facts.dtype, facts.is_sparse
        self.total_weight = facts.weight / facts.largest_weight

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
        return cls(blocks, reduced(blocks, Facts.of, partial(reduce, Facts.merge)))

    def with_targets(self, transform: Callable[[NDArray], NDArray]) -> "DaskRows":
        """Return the same rows with transformed targets; each pass applies the transform anew."""
        return DaskRows(self.blocks, self.facts, (*self.transforms, transform))

    def without_features(self) -> "DaskRows":
        """Return these rows: a pass over y alone does not touch X, which stays on the workers."""
        return self

    def sum(self, make: Callable[[], A], *, min_rows: int = 1, work: float = 1.0) -> A:
        """Add every row to accumulators created by `make`, and return them merged."""
        return self._reduce(partial(_accumulated, make=make, min_rows=min_rows, work=work), _merged_accumulators)

    def _reduce(self, work: Callable[[RowBlocks], R], combine: Callable[[list[R]], R]) -> R:
        on_block = partial(_work_on, work=work, transforms=self.transforms, largest=self.facts.largest_weight)
        return reduced(self.blocks, on_block, combine)

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


class NumberedRows(Numbered):
    """Rows of Dask that are told apart by their numbers: X stays on the workers."""

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
        y, weight = computed(y, sample_weight)
        if weight is not None:
            weight = np.broadcast_to(np.asarray(weight, np.float64), X.shape[:1]) / rows.facts.largest_weight
        return cls(rows, X, read_targets(y, min_rows=0).reshape(X.shape[0], -1), weight)

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
        pieces = np.split(labels, np.cumsum(self.X.chunks[0])[:-1])
        pair = dask.delayed(_labelled, pure=False)
        labelled = [pair(*each) for each in zip(self.rows.blocks, pieces, strict=True)]
        work = partial(_moments_by_label, largest=self.rows.facts.largest_weight)
        by_label = reduced(labelled, work, partial(reduce, _merged_by_label))
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
    moments = reduced(blocks, work, partial(reduce, union))
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
