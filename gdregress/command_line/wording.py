"""Words for the sentences of the command line: lists, counts, quotations and the nearest names."""

import difflib
from collections import Counter
from collections.abc import Iterable, Sequence

from gdregress.rows.wording import cut

SHOWN = 5
"""Items of a list that are shown at most."""

LONGEST = 43
"""Characters of a text that are shown at most."""


class TableError(ValueError):
    """A file that cannot be learnt from; the message is one sentence for its owner."""


def distinct(names: Iterable[str]) -> list[str]:
    """Tell apart what is named alike: a, a (2)."""
    seen: dict[str, None] = {}
    taken: Counter[str] = Counter()
    for name in names:
        distinct, taken[name] = name, max(1, taken[name])
        while distinct in seen:
            taken[name] += 1
            distinct = f"{name} ({taken[name]})"
        seen[distinct] = None
    return list(seen)


def few(items: Iterable[str], separator: str = ", ") -> str:
    """Write the first items of a list, and how many more there are."""
    listed = list(items)
    n_more = len(listed) - SHOWN
    more = [f"and {n_more} more"] if n_more > 0 else []
    return separator.join(listed[:SHOWN] + more)


def shorten(text: str) -> str:
    """Return a text, or its beginning if it is long."""
    return cut(text, LONGEST)


def quote(text: str) -> str:
    """Quote the beginning of a text on one line."""
    return repr(shorten(text))


def nearest(name: str, names: Sequence[str], n: int = 3) -> str:
    """Return the names that are most like one, or contain it: 'a', 'b' or 'c', or nothing."""
    folded = {other.casefold(): other for other in reversed(names)}
    asked = name.casefold()
    close = [*difflib.get_close_matches(asked, folded, n=n), *(other for other in folded if asked and asked in other)]
    quoted = [quote(folded[near]) for near in dict.fromkeys(close)][:n]
    return " or ".join(filter(None, [", ".join(quoted[:-1]), *quoted[-1:]]))
