"""Squared error plus L2 for many strengths from one factorization, whether columns are few or many."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from gdregress.method.ridge import MANY_COLUMNS, Eigendecompositions, Ridge, Tridiagonals
from gdregress.problem.coordinates import Coordinates
from gdregress.rows.memory import RowBlocks


def matrices(n_sets, p):
    X = np.random.default_rng(p).normal(size=(n_sets, 4 * p, p)) * np.linspace(0.1, 1, p)
    X += X[:, :, :1]
    return X.transpose(0, 2, 1) @ X / (4 * p)


@pytest.mark.parametrize("kind", [Eigendecompositions, Tridiagonals])
@pytest.mark.parametrize("p", [2, 3, 40])
def test_each_column_is_solved_for_its_strength(kind, p):
    second, rng = matrices(3, p), np.random.default_rng(0)
    right, strengths = rng.normal(size=(3, p, 7)), np.geomspace(1e-3, 10, 21).reshape(3, 7)
    factored = kind.of(second)
    solved = factored.solve(right, strengths)
    for number in range(3):
        for column in range(7):
            system = second[number] + strengths[number, column] * np.eye(p)
            assert_allclose(solved[number, :, column], np.linalg.solve(system, right[number, :, column]), rtol=1e-9)


@pytest.mark.parametrize("kind", [Eigendecompositions, Tridiagonals])
def test_bounds_hold_for_each_matrix(kind):
    """The largest eigenvalue may be a third of its bound, and the trace is at least the true one."""
    second = matrices(3, 20)
    factored, values = kind.of(second), np.linalg.eigvalsh(second)
    assert_allclose(factored.least, values[:, 0], rtol=1e-8)
    assert (factored.most >= values[:, -1] * (1 - 1e-12)).all()
    assert (factored.most <= 3 * values[:, -1]).all()
    diagonal, strength = np.random.default_rng(0).uniform(0.5, 2, (3, 20)), np.array([[0.1], [1.0], [0.0]])
    inverse = np.linalg.inv(second + strength[:, :, np.newaxis] * np.eye(20)).diagonal(axis1=1, axis2=2)
    assert (factored.inflation(diagonal, strength) >= (inverse * diagonal).sum(axis=1) * (1 - 1e-9)).all()


@pytest.mark.parametrize("p", [5, MANY_COLUMNS])
@pytest.mark.parametrize("apart", [1.0, 1e-7])
def test_the_precision_is_estimated_where_bounds_do_not_tell_it(p, apart):
    """Two columns that are nearly alike cost digits; columns of other units do not, but make the bound useless."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3 * p, p))
    X[:, 1] = X[:, 0] + apart * X[:, 1]
    X *= np.geomspace(1e-4, 1, p)
    moments = RowBlocks(X, rng.normal(size=(3 * p, 1))).moments()
    alike = Coordinates.centred(moments, np.ones(p), fit_intercept=True, penalized=1.0)
    ridge = Ridge.of([(moments, alike)])
    assert ridge.is_precise(np.array([0.0]), 1e-9) == (apart == 1.0)
    [points], [second], [joint] = ridge.minimisers(np.array([[1e-3, 0.0]])), ridge.second, ridge.joint
    assert_allclose(points[:, 0], np.linalg.solve(second + 1e-3 * np.eye(p), joint), rtol=1e-9)
    if apart == 1.0:
        assert_allclose(second @ points[:, 1], joint, rtol=1e-9, atol=1e-12)
