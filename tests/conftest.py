"""What is quick of a test over a grid of parameters, and what the tests of the command line share.

A test marked `grid(strength)` runs for all combinations of its parameters. A few of them are quick:
among those every combination of values of `strength` parameters occurs. The others are exhaustive.
"""

import json
import os
import re
from collections import defaultdict
from itertools import combinations

import pytest

os.environ.setdefault("SCIPY_ARRAY_API", "1")  # SciPy reads it when it is imported, and scikit-learn asks for it

from gdregress.__main__ import main

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
        assert 1 <= strength <= len(values), f"{item.nodeid} has {len(values)} parameters"
        combined[item] = set(combinations(values, strength))
    unseen, chosen = set().union(*combined.values()), set()
    while unseen:
        best = max(items, key=lambda item: len(combined[item] & unseen))
        chosen.add(best)
        unseen -= combined[best]
    return chosen


@pytest.fixture
def write(tmp_path):
    """Write a file, text or bytes, and give its path."""

    def write(content, name="data.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


@pytest.fixture
def succeed(capsys):
    """Run to success, and give what was printed."""

    def succeed(*arguments):
        assert main(list(arguments)) == 0
        out, err = capsys.readouterr()
        assert err == ""
        return out

    return succeed


@pytest.fixture
def document(succeed):
    """Run to success with --json, and give the document."""

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    def document(*arguments):
        return json.loads(succeed(*arguments, "--json"), parse_constant=refuse)

    return document


@pytest.fixture
def fail(capsys):
    """Run to failure, and give the sentence."""

    def fail(*arguments):
        assert main(list(arguments)) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert re.fullmatch(r"gdregress: error: .+\n", err)
        return err.removeprefix("gdregress: error: ").rstrip("\n")

    return fail
