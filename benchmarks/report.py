"""Tables of strings, as text and as markdown."""

from collections.abc import Sequence

Rows = Sequence[Sequence[str]]


def as_text(rows: Rows) -> str:
    """Align columns under their heads: the first to the left, the others to the right.

    Parameters
    ----------
    rows : sequence of sequences of str
        The heads first.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, *cells in rows:
        numbers = (f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True))
        lines.append("  ".join([f"{name:<{widths[0]}}", *numbers]))
    return "\n".join(lines)


def as_markdown(rows: Rows) -> str:
    """Write a markdown table.

    Parameters
    ----------
    rows : sequence of sequences of str
        The heads first.
    """
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    rule = "|" + " --- |" + " ---: |" * (len(rows[0]) - 1)
    return "\n".join([head, rule, *body])
