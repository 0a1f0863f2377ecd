"""What of a test over a grid of parameters is quick, and what is exhaustive.

A test marked `grid(strength)` runs for all combinations of its parameters. A few of them are quick:
among those every combination of values of `strength` parameters occurs. The others are exhaustive.
"""

from collections import defaultdict
from itertools import combinations

import pytest


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
    """Choose items, each the one with the most combinations of values, told apart by `repr`, that none before it has."""
    unseen = {}
    for item in items:
        values = [(name, repr(value)) for name, value in item.callspec.params.items()]
        unseen[item] = set(combinations(values, strength))
    chosen = set()
    while most := max(unseen.values(), key=len):
        item = next(item for item, values in unseen.items() if values is most)
        chosen.add(item)
        for values in unseen.values():
            if values is not most:
                values -= most
        most.clear()
    return chosen
