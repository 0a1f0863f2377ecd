"""Rows in blocks of a given number of rows, as the package makes them where X is large."""

from gdregress.rows.memory import RowBlocks


class SmallBlocks(RowBlocks):
    """Rows in memory, `block_rows` of them in a block."""

    def __init__(self, *rows, block_rows, n_threads=None):
        super().__init__(*rows, n_threads=n_threads)
        self.block_rows = block_rows

    def _block_rows(self, min_rows, n_threads):
        return self.block_rows
