"""Tables of strings, as markdown; `gdregress.comparison.aligned` writes them as text."""

from collections.abc import Sequence

Rows = Sequence[Sequence[str]]


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
