"""What `verbose` prints: every k-th epoch as a row of a table, and the closing sentence."""

from dataclasses import dataclass

import numpy as np

from gdregress.descent import History, Stop

EPOCH_WIDTH = 8

COLUMNS = (("loss", 15, ".8g"), ("validation loss", 15, ".8g"), ("optimality", 10, ".2e"), ("rate", 10, ".4g"))
"""Of a row of the history: heading, width, which any float fits, and format."""


@dataclass
class Progress:
    """Print the start, every `every`-th epoch and the last, under a heading, and why the descent ended.

    Parameters
    ----------
    every : int
        How many epochs lie between two rows, at least 1.
    validates : bool
        Whether there is a validation loss to print.
    """

    every: int
    validates: bool
    _printed: int = -1

    def __call__(self, history: History, n_epochs: int, stop: Stop | None) -> Stop | None:
        """Print an epoch, or those of the first of a stretch that are due; an `Observer`."""
        numbers = np.atleast_1d(history.latest.number)[:n_epochs]
        if numbers[0] == 0:
            self._print("epoch", [name for name, _, _ in COLUMNS])
        for k in np.flatnonzero(numbers % self.every == 0).tolist():
            self._print_row(numbers[k], history.latest.rows(k, k + 1)[0])
        if stop is not None:
            self.close(history, stop)
        return stop

    def close(self, history: History, stop: Stop) -> None:
        """Print the last epoch, if it was not, and why the descent ended."""
        if history.last.number != self._printed:
            self._print_row(history.last.number, history.rows[-1])
        print(stop.reason)

    def _print_row(self, number: int, row: tuple) -> None:
        formats = (form for _, _, form in COLUMNS)
        cells = zip(row, formats, strict=False)  # the coefficients of a recorded path are not printed
        self._printed = number
        self._print(number, ["-" if np.isnan(value) else format(value, form) for value, form in cells])

    def _print(self, first: int | str, cells: list[str]) -> None:
        columns = [f"{cell:>{width}}" for cell, (_, width, _) in zip(cells, COLUMNS, strict=True)]
        if not self.validates:
            del columns[1]
        print(f"{first:>{EPOCH_WIDTH}}", *columns)
