"""Schedules: the factor by which an epoch multiplies the base rate, 1 at the first epoch.

A schedule is a function of k, the epochs run so far. What depends on the objective is not one:
`Plateau` is asked with the objective's value, and remembers.
"""

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Schedule = Callable[[int], float]

LAST_FACTOR = 0.01
"""What the exponential schedule comes to after all epochs."""


def constant(k: int) -> float:
    """Return 1."""
    return 1.0


@dataclass(frozen=True)
class InverseScaling:
    """``(k + 1) ** -power``, as SGDRegressor's, but by epoch (Robbins and Monro, 1951)."""

    power: float

    def __call__(self, k: int) -> float:
        """Return the factor after k epochs."""
        return (k + 1.0) ** -self.power


@dataclass(frozen=True)
class Exponential:
    """``0.01 ** (k / epochs)``: a hundredth when all epochs are run."""

    epochs: int

    def __call__(self, k: int) -> float:
        """Return the factor after k epochs."""
        return LAST_FACTOR ** (k / self.epochs)


@dataclass(frozen=True)
class Cosine:
    """``(1 + cos(pi k / epochs)) / 2``: half a wave down to 0 (Loshchilov and Hutter, 2017)."""

    epochs: int

    def __call__(self, k: int) -> float:
        """Return the factor after k epochs."""
        return 0.5 * (1.0 + math.cos(math.pi * min(k, self.epochs) / self.epochs))


class Plateau(NamedTuple):
    """A fifth of the rate whenever the objective has had no new low for `patience` epochs, as in SGDRegressor.

    A new low is one by more than `least` of the objective; with a new rate the search for it starts
    over, for a rule with momentum may be far above its lowest then.
    """

    patience: int
    factor: float = 1.0
    lowest: float = math.inf
    since: int = 0
    least: float = 1e-12

    @property
    def is_constant(self) -> bool:
        """Whether the factor is always 1."""
        return False

    @property
    def known_ahead(self) -> None:
        """None: the factor depends on the objective."""
        return None

    @property
    def memory(self) -> tuple:
        """What it remembers."""
        return tuple(self)

    def recalling(self, memory: tuple) -> "Plateau":
        """Return it with what another has remembered."""
        return Plateau(*memory)

    def __call__(self, k: int) -> float:
        """Return the factor, whatever the epoch."""
        return self.factor

    def after(self, value: float) -> "Plateau":
        """Return what it becomes after an epoch that ended with this value of the objective."""
        if not math.isfinite(self.lowest) or value < self.lowest - self.least * abs(self.lowest):
            return self._replace(lowest=value, since=0)
        if self.since + 1 < self.patience:
            return self._replace(since=self.since + 1)
        return self._replace(factor=self.factor / 5.0, lowest=value, since=0)


@dataclass(frozen=True)
class EpochSchedule:
    """A schedule as the descent asks it: the factor after k epochs, whatever the objective."""

    schedule: Schedule

    @property
    def is_constant(self) -> bool:
        """Whether the factor is always 1."""
        return self.schedule == constant

    @property
    def known_ahead(self) -> "EpochSchedule":
        """The schedule itself: the factor depends on the epoch alone."""
        return self

    @property
    def memory(self) -> None:
        """None: it remembers nothing."""
        return None

    def recalling(self, memory: tuple) -> "EpochSchedule":
        """Return the schedule itself: it remembers nothing."""
        return self

    def __call__(self, k: int) -> float:
        """Return the factor after k epochs.

        Raises
        ------
        ValueError
            If the schedule gives no finite number of at least 0.
        """
        given: Any = self.schedule(k)
        try:
            factor = float(given)
        except (TypeError, ValueError, OverflowError):
            factor = math.nan
        if not 0 <= factor < math.inf:
            raise ValueError(
                f"schedule gave {given!r} for epoch {k}: it must give a finite number of at least 0, "
                "by which the learning rate is multiplied."
            )
        return factor

    def ahead(self, k: int, n_epochs: int) -> NDArray:
        """Return the factors of the epochs from k on: fewer where there is none for an epoch that may never come.

        What a schedule raises is raised when its epoch comes first, and it is asked again.
        """
        if self.is_constant:
            return np.ones(n_epochs)
        factors = [self(k)]
        with suppress(Exception):
            for later in range(k + 1, k + n_epochs):
                factors.append(self(later))
        return np.array(factors)

    def after(self, value: float) -> "EpochSchedule":
        """Stay what it is."""
        return self


SCHEDULES: dict[str, Callable[[int, float, int], EpochSchedule | Plateau]] = {
    "constant": lambda epochs, power, patience: EpochSchedule(constant),
    "invscaling": lambda epochs, power, patience: EpochSchedule(InverseScaling(power)),
    "exponential": lambda epochs, power, patience: EpochSchedule(Exponential(epochs)),
    "cosine": lambda epochs, power, patience: EpochSchedule(Cosine(epochs)),
    "adaptive": lambda epochs, power, patience: Plateau(patience),
}
"""The schedules by name, made from `epochs`, `power_t` and `n_iter_no_change`."""
