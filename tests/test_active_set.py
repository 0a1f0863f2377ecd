"""The exact minimum of a quadratic plus L1 and signs: against all sign patterns and against coordinate descent."""

from itertools import product

import numpy as np
import pytest

from gdregress.method import active_set
from gdregress.method.active_set import Kinks, step_to_minimum
from gdregress.problem.penalties import Penalty

KINDS = ["smooth", "l1", "positive", "l1 positive"]


def penalty(kind, p, m, seed):
    rng = np.random.default_rng(seed)
    l1 = rng.uniform(0.1, 1.0, size=(p, m)) * (rng.uniform(size=(p, m)) < 0.8)
    return Penalty(l1 if "l1" in kind else np.zeros((p, m)), np.zeros((p, m)), "positive" in kind)


def kinks(cost, n_coordinates, output):
    return Kinks.of(cost.l1[:, output], n_coordinates, positive=cost.positive)


def minimum(cost, H, q, start, output):
    start = start.astype(float)
    return start + step_to_minimum(H, H @ start - q, kinks(cost, len(q), output), start)


def problem(kind, p, seed, condition=30.0):
    """A positive definite H, slopes q, and a penalty, for p coefficients and an intercept."""
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.normal(size=(p + 1, p + 1)))
    return basis * np.geomspace(1 / condition, 1, p + 1) @ basis.T, rng.normal(size=p + 1), penalty(kind, p, 2, seed)


def model(H, q, cost, z, output):
    return z @ H @ z / 2 - q @ z + cost.l1[:, output] @ np.abs(z[:-1])


def by_brute_force(H, q, cost, output):
    l1, best, lowest = np.append(cost.l1[:, output], 0.0), None, np.inf
    for pattern in product((0, 1) if cost.positive else (-1, 0, 1), repeat=len(q) - 1):
        signs = np.array([*pattern, 1])
        on, z = signs != 0, np.zeros(len(q))
        z[on] = np.linalg.solve(H[np.ix_(on, on)], (q - l1 * signs * (np.arange(len(q)) < len(q) - 1))[on])
        if (z[:-1] * signs[:-1] >= 0).all() and model(H, q, cost, z, output) < lowest:
            best, lowest = z, model(H, q, cost, z, output)
    return best


def violation(H, q, cost, z, output):
    """How far the optimality conditions are from holding, relative to what their terms amount to."""
    pull, l1 = q - H @ z, np.append(cost.l1[:, output], 0.0)
    off = np.abs(pull - l1 * np.sign(z))
    at_zero = np.maximum((pull if cost.positive else np.abs(pull)) - l1, 0.0)
    inner = np.where(z == 0, at_zero, off)[:-1].max()
    return max(inner, abs(pull[-1])) / (np.abs(q).max() + (np.abs(H) @ np.abs(z)).max())


@pytest.mark.parametrize("kind", KINDS)
class TestMinimum:
    @pytest.mark.parametrize("p", [1, 2, 4])
    def test_is_that_of_all_sign_patterns(self, kind, p):
        for seed in range(6):
            H, q, cost = problem(kind, p, seed)
            for output in (0, 1):
                found = minimum(cost, H, q, np.zeros(p + 1), output)
                np.testing.assert_allclose(found, by_brute_force(H, q, cost, output), rtol=1e-9, atol=1e-10)

    @pytest.mark.parametrize("seed", range(10))
    def test_is_optimal(self, kind, seed):
        H, q, cost = problem(kind, 25, seed)
        z = minimum(cost, H, q, np.zeros(26), 1)
        assert violation(H, q, cost, z, 1) < 1e-12
        assert (z[:-1] >= 0).all() or not cost.positive
        least, rng = model(H, q, cost, z, 1), np.random.default_rng(seed)
        for size in np.geomspace(1e-4, 10, 100):
            other = z + size * rng.normal(size=26)
            other[:-1] = np.abs(other[:-1]) if cost.positive else other[:-1]
            assert model(H, q, cost, other, 1) >= least

    def test_zeros_are_exact(self, kind):
        H, q, cost = problem(kind, 25, 0)
        zeros = (minimum(cost, H, q, np.zeros(26), 0)[:-1] == 0).sum()
        assert (zeros > 0) == (kind != "smooth")

    @pytest.mark.parametrize("p", [3, 25])
    def test_does_not_depend_on_the_start(self, kind, p):
        H, q, cost = problem(kind, p, 5)
        first, rng = minimum(cost, H, q, np.zeros(p + 1), 0), np.random.default_rng(0)
        for _ in range(30):
            start = rng.choice([-1.0, 0.0, 1.0], size=p + 1)
            np.testing.assert_allclose(minimum(cost, H, q, start, 0), first, rtol=1e-9, atol=1e-11)

    def test_strong_penalties_leave_the_intercept_alone(self, kind):
        if "l1" not in kind:
            pytest.skip("nothing holds the coefficients")
        H, q, cost = problem(kind, 5, 1)
        z = minimum(Penalty(cost.l1 + 100.0, cost.l2, cost.positive), H, q, np.ones(6), 0)
        np.testing.assert_allclose(z, [0, 0, 0, 0, 0, q[-1] / H[-1, -1]], rtol=1e-12)

    @pytest.mark.parametrize("p", [3, 5, 10])
    def test_is_optimal_where_block_pivoting_goes_in_circles(self, kind, p):
        for seed in range(30):
            H, q, cost = problem(kind, p, seed, condition=1e6)
            assert violation(H, q, cost, minimum(cost, H, q, np.zeros(p + 1), 0), 0) < 1e-12

    def test_ties_have_no_wrong_sign(self, kind):
        """Where a coordinate is 0 and the pull is just the strength, the sign of the solution is rounding."""
        for seed in range(30):
            H, _, cost = problem(kind, 6, seed)
            signs = np.ones(7) if cost.positive else np.array([1, -1, 1, -1, 1, -1, 1])
            z = signs * np.array([1, 0, 2, 0, 0, 3, 1])
            found = minimum(cost, H, H @ z + np.append(cost.l1[:, 0], 0.0) * signs, signs, 0)
            np.testing.assert_allclose(found, z, atol=1e-12)
            held = np.append((cost.l1[:, 0] > 0) | cost.positive, False)
            assert (found * signs >= 0)[held].all()

    def test_ill_conditioned_models_are_minimised(self, kind):
        for seed in range(20):
            H, q, cost = problem(kind, 15, seed, condition=1e8)
            assert violation(H, q, cost, minimum(cost, H, q, np.zeros(16), 0), 0) < 1e-12

    def test_a_step_from_the_minimum_is_a_share_of_rounding(self, kind):
        """However ill-conditioned the model is, and although the sum of point and step is rounded."""
        for seed in range(20):
            H, q, cost = problem(kind, 15, seed, condition=1e6)
            z = minimum(cost, H, q, np.zeros(16), 0)
            exact = z.astype(np.longdouble)
            for _ in range(3):
                gradient = H.astype(np.longdouble) @ exact - q
                exact += step_to_minimum(H, gradient.astype(float), kinks(cost, 16, 0), exact)
            np.testing.assert_array_equal(exact == 0, z == 0)
            pull, l1 = q - H.astype(np.longdouble) @ exact, np.append(cost.l1[:, 0], 0.0)
            assert np.abs(pull - l1 * np.sign(exact))[exact != 0].max() < 1e-16 * np.abs(exact).max()

    def test_inputs_stay(self, kind):
        H, q, cost = problem(kind, 8, 2)
        start = np.linspace(-1.0, 1.0, 9)
        before = [a.copy() for a in (H, q, start, cost.l1)]
        minimum(cost, H, q, start, 0)
        for one, other in zip((H, q, start, cost.l1), before, strict=True):
            np.testing.assert_array_equal(one, other)


def by_coordinates(H, q, cost, sweeps=20000):
    """Coordinate descent, the naive twin."""
    z, l1 = np.zeros(len(q)), np.append(cost.l1[:, 0], 0.0)
    for _ in range(sweeps):
        before = z.copy()
        for j in np.flatnonzero(np.diagonal(H) > 0):
            v = q[j] - H[j] @ z + H[j, j] * z[j]
            away = max(abs(v) - l1[j], 0.0) / H[j, j]
            z[j] = max(np.sign(v) * away, 0.0) if cost.positive and j < len(q) - 1 else np.sign(v) * away
        if np.abs(z - before).max() <= 1e-13 * np.abs(z).max():
            break
    return z


CHANGES = ["none", "duplicated", "flipped", "constant", "nearly duplicated", "units", "integers", "common factor"]


def semidefinite(change, seed):
    """Products of the columns of a small X, which may be wide, with its columns changed; and a penalty."""
    rng = np.random.default_rng(seed)
    n, p = rng.integers(1, 31, size=2)
    X = rng.normal(size=(n, p + 1))
    if change in ("duplicated", "flipped", "nearly duplicated"):
        X[:, 0] = {"flipped": -1.0}.get(change, 1.0) * X[:, p] + 1e-9 * (change[0] == "n") * rng.normal(size=n)
        X[:, p // 2] = X[:, 0]
    if change == "constant":
        X[:, : 1 + p // 3] = 0.0
    if change == "units":
        X *= 10.0 ** rng.uniform(-4, 4, size=p + 1)
    if change == "integers":
        X = np.round(X)
    if change == "common factor":
        X += 5.0 * rng.normal(size=(n, 1))
    y = X @ rng.normal(size=p + 1) + rng.choice([1e-9, 0.1, 10.0]) * rng.normal(size=n)
    X[0, 0] += 1e-9  # so that the products are not all zero
    l1 = np.abs(X.T @ y / n).max() * 10.0 ** rng.uniform(-8, 0.1) * np.ones((p, 1))
    return X.T @ X / n, X.T @ y / n, Penalty(l1, np.zeros((p, 1)), bool(rng.integers(2))), rng


def check_semidefinite(change, seed):
    H, q, cost, rng = semidefinite(change, seed)
    for start in (np.zeros(len(q)), rng.normal(size=len(q))):
        z = minimum(cost, H, q, start, 0)
        assert (z[:-1] >= 0).all() or not cost.positive
        assert violation(H, q, cost, z, 0) < 1e-12
    return H, q, cost, z


@pytest.mark.parametrize("change", CHANGES)
def test_singular_models_are_minimised(change):
    for seed in range(40):
        check_semidefinite(change, seed)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_from_the_minimum_for_other_slopes_or_the_same_the_minimum_is_found(change, shift):
    """A start with zeros, signs and columns that depend on each other: the minimum again, or far from it."""
    for seed in range(20):
        H, q, cost, rng = semidefinite(change, seed)
        z = minimum(cost, H, q, np.zeros(len(q)), 0)
        q = q + shift * H @ rng.normal(size=len(q))
        assert violation(H, q, cost, minimum(cost, H, q, z, 0), 0) < 1e-12


def test_two_equal_columns_may_share_a_coefficient_at_the_start():
    """It is the minimum for its signs, but the columns depend on each other."""
    H, q = np.ones((3, 3)) + np.diag([0.0, 0.0, 1.0]), np.array([2.0, 2.0, 9.0])
    l1 = np.array([1.0, 1.0, 1.0])
    start = np.array([0.5, 0.5, 0.0])
    found = start + step_to_minimum(H, H @ start - q, Kinks.of(l1, 3, positive=False), start)
    pull = q - H @ found
    assert np.abs(np.where(found == 0, np.maximum(np.abs(pull) - l1, 0), pull - l1 * np.sign(found))).max() < 1e-14


def test_a_start_that_is_the_minimum_for_its_signs_is_not_solved_again(monkeypatch):
    H, q, cost = problem("l1", 12, 3)
    z = minimum(cost, H, q, np.zeros(13), 0)
    assert 1 < np.count_nonzero(z[:-1]) < 12
    monkeypatch.delattr(active_set, "_settled")
    np.testing.assert_allclose(minimum(cost, H, q, z, 0), z, rtol=1e-12)


@pytest.mark.exhaustive
@pytest.mark.parametrize("change", CHANGES)
def test_thousands_of_singular_models_are_minimised(change):
    for seed in range(40, 2000):
        check_semidefinite(change, seed)


@pytest.mark.exhaustive
@pytest.mark.parametrize("change", CHANGES)
def test_is_no_higher_than_coordinate_descent(change):
    for seed in range(8):
        H, q, cost, z = check_semidefinite(change, seed)
        least = model(H, q, cost, by_coordinates(H, q, cost), 0)
        assert model(H, q, cost, z, 0) <= least + 1e-12 * np.abs(q).max() * np.abs(z).max()
