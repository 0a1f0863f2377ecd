"""Devices for the tests of rows on a device: a GPU where there is one, else the CPU in the hands of torch."""

import pytest

from gdregress.rows.namespaces import place_by_name

NAMES = {"array_api_strict": ["device1"], "torch": ["cuda", "cpu"], "cupy": [0]}
"""Libraries, each with the names of devices, the best one first; array_api_strict only pretends to have them."""


def device_of(library):
    """Return the name of the best device of a library, and where that is; skip the test if there is none."""
    pytest.importorskip(library)
    reasons = []
    for name in NAMES[library]:
        try:
            return name, place_by_name(library, name)
        except ValueError as error:
            reasons.append(str(error))
    return pytest.skip(reasons[-1])
