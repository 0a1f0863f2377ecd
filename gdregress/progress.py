"""What `verbose` prints: every k-th epoch as a row of a table, and the closing sentence."""

from dataclasses import dataclass

import numpy as np

from gdregress.descent import Epoch, Stop


@dataclass(frozen=True)
class Progress:
    """Print every `every`-th epoch; nothing where that is 0."""

    every: int

    def show(self, latest: Epoch, n_epochs: int) -> None:
        """Print an epoch, or the first of a stretch, under a heading before the first of all."""
        if self.every == 0:
            return
        if np.min(latest.number) == 0:
            print(f"{'epoch':>7} {'loss':>14} {'validation':>14} {'optimality':>11} {'rate':>11}")
        for k in np.flatnonzero(np.atleast_1d(latest.number)[:n_epochs] % self.every == 0):
            self._print(latest.at(int(k)))

    def close(self, stop: Stop, last: Epoch) -> None:
        """Print the last epoch, if it was not, and why the descent ended."""
        if self.every == 0:
            return
        if last.number % self.every:
            self._print(last)
        print(stop.reason)

    @staticmethod
    def _print(epoch: Epoch) -> None:
        numbers = (epoch.loss, epoch.validation_loss, epoch.optimality, epoch.state.rate)
        columns = zip(numbers, (".8g", ".8g", ".2e", ".4g"), (14, 14, 11, 11), strict=True)
        cells = (f"{'-' if np.isnan(number) else format(number, form):>{width}}" for number, form, width in columns)
        print(f"{epoch.number:>7}", *cells)
