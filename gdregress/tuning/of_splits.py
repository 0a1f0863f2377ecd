"""Losses and scores of all splits along a curve, computed where they are asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gdregress.method.epochs import FromFew, as_they_are


@dataclass(frozen=True)
class OfSplits:
    """Numbers of each split along the points of a curve.

    There may be millions. Where they follow from a few by a linear map, the mean over the splits follows from the means
    of these few, and the numbers themselves are computed when they are first read.

    Attributes
    ----------
    parts : sequence of FromFew
        Stretches of the curve, one after the other, with values of shape (n_splits, ..., n_values).
    """

    parts: Sequence[FromFew]

    @classmethod
    def whole(cls, values: NDArray) -> "OfSplits":
        """Return numbers that are all known, of shape (n_splits, ..., n_points)."""
        return cls([FromFew(values, as_they_are)])

    @classmethod
    def stacked(cls, of_splits: Sequence[Sequence[FromFew]]) -> "OfSplits":
        """Return the numbers, given the stretches of each split."""
        return cls([_stacked(parts) for parts in zip(*of_splits, strict=True)])

    def mapped(self, function: Callable[[NDArray], NDArray]) -> "OfSplits":
        """Return a linear function of the numbers at each point."""
        return OfSplits([FromFew(function(part.values), part.fill) for part in self.parts])

    def followed_by(self, other: "OfSplits") -> "OfSplits":
        """Return these numbers with others at their end."""
        return OfSplits.whole(np.concatenate([self.all, other.all], axis=-1))

    @cached_property
    def all(self) -> NDArray:
        """The numbers, of shape (n_splits, ..., n_points)."""
        filled = [part.fill(part.values) for part in self.parts]
        return filled[0] if len(filled) == 1 else np.concatenate(filled, axis=-1)

    @cached_property
    def mean(self) -> NDArray:
        """The mean over the splits, of shape (..., n_points)."""
        return means([self])


def _stacked(parts: Sequence[FromFew]) -> FromFew:
    """Return a stretch of all splits: as few numbers if these are at the same places in each, else all of them."""
    if any(part.fill != parts[0].fill for part in parts):
        return FromFew(np.stack([part.fill(part.values) for part in parts]), as_they_are)
    return FromFew(np.stack([part.values for part in parts]), parts[0].fill)


def means(several: Sequence[OfSplits]) -> NDArray:
    """Return the means over the splits along curves that are one after the other.

    Stretches that follow from their values by the same map are computed side by side.

    Parameters
    ----------
    several : sequence of OfSplits
        Numbers along each curve.
    """
    parts = [part for each in several for part in each.parts]
    found: list[NDArray] = [part.values.mean(axis=0) for part in parts]
    alike: dict[Callable[[NDArray], NDArray], list[int]] = {}
    for place, part in enumerate(parts):
        alike.setdefault(part.fill, []).append(place)
    for fill, places in alike.items():
        for place, mean in zip(places, fill(np.stack([found[place] for place in places])), strict=True):
            found[place] = mean
    return np.concatenate(found, axis=-1)
