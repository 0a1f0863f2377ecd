"""Schedules: the factor that multiplies the learning rate after k epochs.

A schedule is a function of k alone; those defined here start at 1. The factor of a `Plateau` depends on the values of
the objective too, so it has a memory that it carries from epoch to epoch.
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
"""The factor of the exponential schedule after the last epoch."""


def constant(k: int) -> float:
    """Return 1."""
    return 1.0


@dataclass(frozen=True)
class InverseScaling:
    """``(k + 1) ** -power`` (Robbins and Monro, 1951); SGDRegressor counts rows where this counts epochs.

    Attributes
    ----------
    power : float
        The exponent.
    """

    power: float

    def __call__(self, k: int) -> float:
        """Return the factor after k epochs."""
        return (k + 1.0) ** -self.power


@dataclass(frozen=True)
class Exponential:
    """``0.01 ** (k / epochs)``: falls to a hundredth at the end.

    Attributes
    ----------
    epochs : int
        Number of epochs of the whole descent.
    """

    epochs: int

    def __call__(self, k: int) -> float:
        """Return the factor after k epochs."""
        return LAST_FACTOR ** (k / self.epochs)


@dataclass(frozen=True)
class Cosine:
    """``(1 + cos(pi k / epochs)) / 2``: falls to 0 at the end (Loshchilov and Hutter, 2017).

    Attributes
    ----------
    epochs : int
        Number of epochs of the whole descent.
    """

    epochs: int

    def __call__(self, k: int) -> float:
        """Return the factor after k epochs."""
        return 0.5 * (1.0 + math.cos(math.pi * min(k, self.epochs) / self.epochs))


class Plateau(NamedTuple):
    """Divides the rate by 5 when the objective has not improved for `patience` epochs, as SGDRegressor does.

    A value improves on the lowest if it is lower by more than the share `least`. After each division the
    current value counts as the lowest: with momentum it may be far above values seen before.

    Attributes
    ----------
    patience : int
        Number of epochs without improvement after which the rate is divided.
    factor : float, default=1.0
        The current factor.
    lowest : float, default=inf
        Lowest value of the objective since the last division.
    since : int, default=0
        Number of epochs since that value.
    least : float, default=1e-12
        Least relative improvement that counts.
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
        """None: the factor depends on the objective, so it is not known in advance."""
        return None

    @property
    def memory(self) -> tuple:
        """Its attributes, to carry on in a later call of `partial_fit`."""
        return tuple(self)

    def recalling(self, memory: tuple) -> "Plateau":
        """Return the plateau with the memory of an earlier one."""
        return Plateau(*memory)._replace(patience=self.patience, least=self.least)

    def __call__(self, k: int) -> float:
        """Return the factor, whatever the epoch."""
        return self.factor

    def after(self, value: float) -> "Plateau":
        """Return the plateau after an epoch at the end of which the objective has this value."""
        if not math.isfinite(self.lowest) or value < self.lowest - self.least * abs(self.lowest):
            return self._replace(lowest=value, since=0)
        if self.since + 1 < self.patience:
            return self._replace(since=self.since + 1)
        return self._replace(factor=self.factor / 5.0, lowest=value, since=0)


@dataclass(frozen=True)
class EpochSchedule:
    """A schedule that depends on the epoch alone, with its factors checked.

    Attributes
    ----------
    schedule : callable
        Function from k, the number of epochs so far, to a factor.
    """

    schedule: Schedule

    @property
    def is_constant(self) -> bool:
        """Whether the factor is always 1."""
        return self.schedule == constant

    @property
    def known_ahead(self) -> "EpochSchedule":
        """The schedule itself: its factors are known in advance."""
        return self

    @property
    def memory(self) -> None:
        """None: there is nothing to remember."""
        return None

    def recalling(self, memory: tuple) -> "EpochSchedule":
        """Return the schedule itself."""
        return self

    def __call__(self, k: int) -> float:
        """Return the factor after k epochs.

        Raises
        ------
        ValueError
            If the factor is negative, infinite, NaN, or not a number.
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
        """Return the factors of up to `n_epochs` epochs, from epoch k on.

        The array ends before the first later epoch for which the schedule fails. That epoch may never come, so an
        error is raised only for epoch k itself.
        """
        if self.is_constant:
            return np.ones(n_epochs)
        factors = [self(k)]
        with suppress(Exception):
            for later in range(k + 1, k + n_epochs):
                factors.append(self(later))
        return np.array(factors)

    def after(self, value: float) -> "EpochSchedule":
        """Return the schedule, whatever the objective."""
        return self


SCHEDULES: dict[str, Callable[[int, float, int], EpochSchedule | Plateau]] = {
    "constant": lambda epochs, power, patience: EpochSchedule(constant),
    "invscaling": lambda epochs, power, patience: EpochSchedule(InverseScaling(power)),
    "exponential": lambda epochs, power, patience: EpochSchedule(Exponential(epochs)),
    "cosine": lambda epochs, power, patience: EpochSchedule(Cosine(epochs)),
    "adaptive": lambda epochs, power, patience: Plateau(patience),
}
"""Constructors of the schedules by name; each is called with `epochs`, `power_t` and `n_iter_no_change`."""
