"""What of a test over a grid of parameters is quick, and what is exhaustive.

A test marked `grid(strength)` runs for all combinations of its parameters. A few of them are quick:
among those every combination of values of `strength` parameters occurs. The others are exhaustive.
"""

from collections import defaultdict
from itertools import combinations

import pytest

collect_ignore = ["conftest.py"]  # it has no doctests, and docs/ has one of that name too


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    grids = defaultdict(list)
    for item in items:
        if marker := item.get_closest_marker("grid"):
            grids[item.parent, item.originalname, *marker.args].append(item)
    for (_, _, strength), members in grids.items():
        for item in set(members) - covering(members, strength):
            item.add_marker(pytest.mark.exhaustive)


def covering(items, strength):
    """Choose items until each combination of values has occurred; values are told apart by their `repr`."""
    combined = {}
    for item in items:
        values = [(name, repr(value)) for name, value in item.callspec.params.items()]
        combined[item] = set(combinations(values, strength))
    unseen, chosen = set().union(*combined.values()), set()
    while unseen:
        best = max(items, key=lambda item: len(combined[item] & unseen))
        chosen.add(best)
        unseen -= combined[best]
    return chosen
