"""Words for the sentences that a user reads: counts of things, and the beginnings of what is long."""


def count(number: int, noun: str) -> str:
    """Write a number of things: 1 row, 2 rows."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def cut(text: str, longest: int) -> str:
    """Return a text, or its beginning with an ellipsis if it is longer than `longest` characters."""
    return text if len(text) <= longest else text[: longest - 3] + "..."
