"""The minimisers of squared error for a sequence of penalties, from moments."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from gdregress.method import minima
from gdregress.method.minima import Minima, MinimaOfSets, Programs
from gdregress.problem.losses import squared_error
from gdregress.problem.systems import Factor
from gdregress.problem.terms import Terms
from gdregress.rows.memory import RowBlocks


def programs(seeds, *, positive=False, l2=0.0, kind="random"):
    """Return a program for each seed, side by side."""
    several = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(40, 8)) + rng.normal(size=(40, 1))
        if kind == "duplicated":
            X[:, 5] = X[:, 2]
        if kind == "flipped":
            X[:, 5] = -X[:, 2]
        if kind == "constant":
            X[:, 3] = 0.0
        y = X @ (rng.normal(size=8) * (rng.uniform(size=8) < 0.5)) + rng.normal(size=40)
        X, y = X - X.mean(axis=0), y - y.mean()
        several.append((2 * X.T @ X / 40, 2 * X.T @ y / 40, rng.uniform(0.5, 2.0, 8), np.full(8, l2), X.any(axis=0)))
    return Programs(*map(np.stack, zip(*several, strict=True)), positive)


def lack(several, points, alpha):
    """Return by how much the conditions of a minimum fail, in the obvious way."""
    gradient = np.einsum("nij,nj->ni", several.products, points) - several.joint + alpha * several.l2 * points
    l1 = alpha * several.l1
    at_zero = np.maximum(-gradient - l1, 0.0) if several.positive else np.maximum(np.abs(gradient) - l1, 0.0)
    return np.where(points == 0, at_zero, np.abs(gradient + l1 * np.sign(points))).max()


@pytest.mark.parametrize("kind", ["random", "duplicated", "flipped", "constant"])
@pytest.mark.parametrize("l2", [0.0, 0.3])
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("n_programs", [1, 5])
def test_each_point_of_a_path_is_a_minimum(n_programs, positive, l2, kind):
    for first in range(0, 20, n_programs):
        several = programs(range(first, first + n_programs), positive=positive, l2=l2, kind=kind)
        largest = np.abs(several.joint / several.l1).max()
        for n_alphas in (3, 100):
            alphas = np.geomspace(1.1 * largest, 1e-4 * largest, n_alphas)
            points = several.paths(alphas)
            assert max(lack(several, points[:, :, k], alpha) for k, alpha in enumerate(alphas)) < 1e-9
            assert not points[:, :, 0].any()
            assert not positive or (points >= 0).all()
            assert several.are_solved(points, alphas, 1e-9)


@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_a_path_by_signs_is_that_of_the_active_set_method(l2, monkeypatch):
    several = programs(range(3), l2=l2)
    alphas = np.geomspace(3.0, 1e-3, 60)
    by_signs = several.paths(alphas)
    monkeypatch.setattr(Programs, "_of_signs", lambda self, sign, alphas: None)
    assert_allclose(by_signs, several.paths(alphas), atol=1e-12)
    assert_array_equal(by_signs == 0, several.paths(alphas) == 0)


@pytest.mark.parametrize("l2", [0.0, 0.3])
@pytest.mark.parametrize("kind", ["random", "duplicated"])
def test_programs_side_by_side_are_those_one_by_one(kind, l2):
    several, alphas = programs(range(6), l2=l2, kind=kind), np.geomspace(3.0, 1e-3, 60)
    together = several.paths(alphas)
    for number in range(6):
        [alone] = programs([number], l2=l2, kind=kind).paths(alphas)
        products, pull = several.products[number], several.joint[number]
        assert_allclose(products @ together[number], products @ alone, atol=1e-11 * np.abs(pull).max())


@pytest.mark.parametrize("l2", [0.0, 0.3])
@pytest.mark.parametrize("positive", [False, True])
def test_a_path_may_begin_anywhere(l2, positive):
    """At a weak strength it begins with the signs of the minimum without L1."""
    alphas = np.geomspace(3.0, 1e-3, 60)
    for seed in range(5):
        several = programs([seed, seed + 5], l2=l2)._replace(positive=positive)
        whole = several.paths(alphas)
        for first in (10, 30, 59):
            assert_allclose(several.paths(alphas[first:]), whole[:, :, first:], atol=1e-12)


@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_most_points_are_found_by_their_signs(l2, monkeypatch):
    calls = []
    monkeypatch.setattr(minima, "step_to_minimum", lambda *given: calls.append(given) or np.zeros(8))
    programs([0], l2=l2).paths(np.geomspace(3.0, 1e-3, 60))
    assert len(calls) <= 2


def test_points_that_are_no_minimum_are_not_returned(monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 4))
    y = X @ [1.0, 2.0, 0.0, -1.0] + rng.normal(size=50)
    terms = Terms(squared_error(), 1.0, 0.0, positive=False, fit_intercept=True)
    known = MinimaOfSets([Minima.of(terms, RowBlocks(X, y[:, np.newaxis]).moments())])
    assert known.paths(terms, np.array([0.1])) is not None
    monkeypatch.setattr(Programs, "paths", lambda self, alphas: np.full((1, 4, 1), 0.1))
    assert known.paths(terms, np.array([0.1])) is None


def test_a_path_that_rounding_shows_in_is_not_returned():
    """Two columns that are all but one: the products of their differences have too few digits."""
    rng = np.random.default_rng(0)
    x, e = rng.normal(size=(2, 300))
    terms = Terms(squared_error(), 1.0, 0.0, positive=False, fit_intercept=True)
    for apart, is_known in ((1e-1, True), (1e-5, False)):
        X = np.column_stack([x, x + apart * e])
        y = x + e + 0.1 * rng.normal(size=300)
        known = MinimaOfSets([Minima.of(terms, RowBlocks(X, y[:, np.newaxis]).moments())])
        assert (known.paths(terms, np.array([1e-9, 1e-12])) is not None) == is_known


@pytest.mark.parametrize("l1", [0.0, 1.0])
def test_a_path_is_as_precise_as_tol_or_is_not_returned(l1):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3)) + 3.0 * rng.normal(size=(300, 1))
    terms = Terms(squared_error(), l1, 1.0 - l1, positive=False, fit_intercept=True)
    moments = RowBlocks(X, X[:, :1] + rng.normal(size=(300, 1))).moments()
    for tol, is_known in ((1e-6, True), (1e-12, True), (1e-16, False)):
        found = MinimaOfSets([Minima.of(terms, moments, tol)]).paths(terms, np.array([1e-3]))
        assert (found is not None) == is_known


@pytest.mark.parametrize("is_reversed", [False, True])
def test_every_point_of_a_path_has_enough_digits(is_reversed):
    """A column and its near twin that two others replace at the end; and with the weakest penalty first."""
    terms, n_accepted = Terms(squared_error(), 1.0, 0.0, False, True), 0
    for seed in [*range(20), 1194, 1348, 1626, 1689]:
        rng, n = np.random.default_rng(seed), 40
        apart = 10.0 ** rng.uniform(-5, -3)
        base, x = rng.standard_normal((n, 3)), rng.standard_normal(n)
        u = rng.standard_normal(n)
        X = np.column_stack([x, x + apart * rng.standard_normal(n), u + 0.3 * base[:, 0], x - u + 0.3 * base[:, 1]])
        y = x + rng.uniform(0, 3) * apart * rng.standard_normal(n) + 0.3 * (base[:, 0] + base[:, 1])
        y += rng.uniform(0, 1) * rng.standard_normal(n)
        moments = RowBlocks(X, y[:, np.newaxis], None).moments()
        known, alphas = Minima.of(terms, moments), np.geomspace(10, 1e-7, 60)
        paths = MinimaOfSets([known]).paths(terms, alphas[::-1] if is_reversed else alphas)
        if paths is None:
            continue
        n_accepted += 1
        second, _ = known.covariances
        for active in {tuple(np.flatnonzero(point)) for point in paths[0].points[:4, :, 0].T} - {()}:
            variance = np.linalg.inv(second[np.ix_(active, active)])
            assert moments.error(np.trace(variance)) <= 1.001 * known.precise
    assert n_accepted > 0


def test_the_inflation_is_the_trace_of_the_inverse_and_has_no_unit():
    [products] = programs([3]).products
    scale = np.sqrt(np.diagonal(products))
    trace = np.trace(np.linalg.inv(products / np.outer(scale, scale)))
    unit = np.geomspace(1e-8, 1e8, len(products))
    assert_allclose(Factor.of(products).inflation, trace, rtol=1e-10)
    assert_allclose(Factor.of(products * np.outer(unit, unit)).inflation, trace, rtol=1e-10)
    assert Factor.of(programs([0], kind="duplicated").products[0]).inflation > 1e12
