"""Rows that come in chunks: of squared error their moments are all that counts, and moments add up."""

from collections.abc import Iterable, Iterator
from typing import Any

from gdregress.blocks import RowBlocks
from gdregress.combinations import missing
from gdregress.moments import Moments, gather
from gdregress.optimizers import OPTIMIZERS

LIMIT = 2**15
"""Features beyond which a matrix of their products is refused."""

LEARN_FROM_BATCHES = [name for name in OPTIMIZERS if not missing("float", name, {"batches"})]
"""Optimizers that need not see the same rows at every epoch; but for "gd" they remember something."""


def moments_suffice(estimator: Any) -> bool:
    """Tell whether moments are all that an estimator needs of the rows.

    Parameters
    ----------
    estimator : GradientDescentRegressor
        With its parameters.
    """
    return not any(needs_rows(estimator).values())


def needs_rows(estimator: Any) -> dict[str, bool]:
    """Tell of parameters whether they are why an epoch needs the rows themselves."""
    return {
        "learning_rate": not isinstance(estimator.learning_rate, str),
        "loss": estimator.loss != "squared_error",
        "optimizer": estimator.optimizer != "gd" and estimator.optimizer in LEARN_FROM_BATCHES,
        "batch_size": estimator.batch_size is not None,
        "average": bool(estimator.average),
    }


def check_takes_chunks(estimator: Any) -> None:
    """Raise an AttributeError where an estimator does not learn from chunks: by moments or by an epoch over each."""
    if estimator.early_stopping:
        raise AttributeError(
            "early_stopping=True needs rows that are held out of all, but chunks are seen one at a time: "
            "set early_stopping=False, or use fit."
        )
    if not moments_suffice(estimator) and estimator.optimizer in set(OPTIMIZERS) - set(LEARN_FROM_BATCHES):
        raise AttributeError(
            f"optimizer={estimator.optimizer!r} needs the same rows at every epoch: of chunks that are seen but once, "
            f"{' or '.join(map(repr, LEARN_FROM_BATCHES))} can learn."
        )


def check_takes_batches(estimator: Any) -> None:
    """Raise an AttributeError where moments are not all that an estimator needs of the rows."""
    check_takes_chunks(estimator)
    for name, needs in needs_rows(estimator).items():
        if needs:
            raise AttributeError(
                f"{name}={getattr(estimator, name)!r} needs the rows at every epoch, but these are read once: "
                "use partial_fit for an epoch over each chunk, or fit."
            )


def moments_of_chunk(rows: RowBlocks, unit: float, *, cross: bool = True) -> Moments:
    """Gather the moments of a chunk.

    Parameters
    ----------
    rows : RowBlocks
        Its rows.
    unit : float
        What their weights are to be multiplied by: all chunks have one scale.
    cross : bool, default=True
        Whether to gather the covariances between the columns of X.

    Raises
    ------
    ValueError
        If X holds NaN or infinity, or has more features than a matrix of products is made for.
    """
    if cross and rows.n_features > LIMIT:
        raise ValueError(f"X has {rows.n_features} features, but chunks are merged up to {LIMIT}: use fit.")
    moments = gather(rows, cross=cross)
    return moments.with_weight(unit * moments.weight)


def check_has_products(*several: Moments) -> None:
    """Raise a ValueError where moments lack the products of the columns: those of a descent over chunks may."""
    for moments in several:
        if moments.cross is None:
            raise ValueError(
                f"the moments so far lack the products of {len(moments.x.mean)} columns, which squared error needs: "
                "begin a new stream, with a clone."
            )


def parts_of(batch: Any, number: int) -> tuple[Any, Any, Any]:
    """Give X, y and the weights, or None, of a chunk as it came.

    Raises
    ------
    ValueError
        If it is no tuple of two or three.
    """
    if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
        raise ValueError(
            f"chunk {number} is a {type(batch).__name__} and no pair or triple: yield (X, y) or (X, y, sample_weight)."
        )
    X, y, *weight = batch
    return X, y, weight[0] if weight else None


def numbered(batches: Iterable[Any], first: int) -> Iterator[tuple[int, Any]]:
    """Give chunks their numbers, from that of the first.

    Raises
    ------
    ValueError
        If there is none.
    """
    number = first - 1
    for number, batch in enumerate(batches, first):
        yield number, batch
    if number < first:
        raise ValueError("batches yielded nothing: give at least one (X, y), and an iterator that is not used up.")
