"""What `verbose` prints: a table of every k-th epoch, and the reason why the descent ended."""

from dataclasses import dataclass

from gdregress.solve.stopping import Result
from gdregress.solve.trace import Epoch, Measured, Trace

EPOCH_WIDTH = 8
"""Width of the column of epoch numbers, in characters."""

COLUMNS = (("loss", 15, ".8g"), ("validation loss", 15, ".8g"), ("optimality", 10, ".2e"), ("rate", 10, ".4g"))
"""Heading, width and format of the other columns; any float fits the widths."""


@dataclass
class Progress:
    """An observer that prints the start and every `every`-th epoch; closed, the last one and why the descent ended.

    Parameters
    ----------
    every : int
        Number of epochs from one printed row to the next, at least 1.
    validates : bool
        Whether to print a validation loss.
    """

    every: int
    validates: bool
    _printed: int = -1

    def __call__(self, trace: Trace, latest: Measured, result: Result | None) -> Result | None:
        """Print the latest epochs whose number is a multiple of `every`; see `Observer`."""
        first = trace.n_states - len(latest.block)
        if first == 0:
            self._print("epoch", [name for name, _, _ in COLUMNS])
        for k in range(-first % self.every, len(latest.block), self.every):
            self._print_row(latest.epoch(first + k, k))
        return result

    def close(self, result: Result) -> None:
        """Print the last epoch, if it has not been printed, and why the descent ended."""
        last = result.trace.last
        if last.number != self._printed:
            self._print_row(last)
        print(result.reason)

    def _print_row(self, epoch: Epoch) -> None:
        numbers = (epoch.loss, epoch.validation_loss, epoch.optimality, epoch.rate)
        cells = [
            "-" if number is None else format(number, form)
            for number, (_, _, form) in zip(numbers, COLUMNS, strict=True)
        ]
        self._printed = epoch.number
        self._print(epoch.number, cells)

    def _print(self, first: int | str, cells: list[str]) -> None:
        columns = [f"{cell:>{width}}" for cell, (_, width, _) in zip(cells, COLUMNS, strict=True)]
        if not self.validates:
            del columns[1]
        print(f"{first:>{EPOCH_WIDTH}}", *columns)
