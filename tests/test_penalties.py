"""Penalties: against naive minimisation, coordinate by coordinate and over all sign patterns."""

from itertools import product

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from gdregress.method.pivoting import model_minimum
from gdregress.problem.penalties import Penalty

P, M = 6, 3


def penalty(kind, p=P, m=M, seed=0):
    rng = np.random.default_rng(seed)
    l1 = rng.uniform(0.1, 1.0, size=(p, m)) * (rng.uniform(size=(p, m)) < 0.8)
    return Penalty(l1 if "l1" in kind else np.zeros((p, m)), rng.uniform(0.0, 2.0, size=(p, m)), "positive" in kind)


KINDS = ["smooth", "l1", "positive", "l1 positive"]
WITH_PROX = KINDS[1:]
PENALTIES = {kind: penalty(kind) for kind in KINDS}

every_penalty = pytest.mark.parametrize("cost", PENALTIES.values(), ids=KINDS)
every_prox = pytest.mark.parametrize("cost", [PENALTIES[kind] for kind in WITH_PROX], ids=WITH_PROX)


def points(n=1, rows=P + 1, seed=0):
    """Coefficients above intercepts, some of them 0."""
    rng = np.random.default_rng(seed)
    point = 2.0 * rng.normal(size=(rows, M * n))
    return point * (rng.uniform(size=point.shape) < 0.8)


def feasible(cost, point):
    point = point.copy()
    if cost.positive:
        point[:P] = np.abs(point[:P])
    return point


@every_penalty
class TestValueAndGradient:
    def test_value_by_loops(self, cost):
        point = feasible(cost, points())
        value = [
            sum(cost.l1[j, k] * abs(point[j, k]) + cost.l2[j, k] * point[j, k] ** 2 / 2 for j in range(P))
            for k in range(M)
        ]
        np.testing.assert_allclose(cost.value(point), value, rtol=1e-14)

    def test_points_side_by_side_are_points_one_by_one(self, cost):
        together = points(n=4)
        apart = np.hsplit(together, 4)
        np.testing.assert_array_equal(cost.value(together), np.concatenate([cost.value(one) for one in apart]))
        np.testing.assert_array_equal(cost.gradient(together), np.hstack([cost.gradient(one) for one in apart]))

    def test_gradient_is_that_of_the_smooth_part(self, cost):
        point, smooth = points(), Penalty(np.zeros((P, M)), cost.l2)
        for j in range(P):
            step = np.zeros_like(point)
            step[j] = 0.5
            difference = smooth.value(point + step) - smooth.value(point - step)
            np.testing.assert_allclose(cost.gradient(point)[j], difference, rtol=1e-12, atol=1e-12)

    def test_the_intercept_is_free(self, cost):
        point, moved = points(), points()
        moved[P] += 7.0
        np.testing.assert_array_equal(cost.value(point), cost.value(moved))
        assert cost.gradient(point).shape == (P, M)


def test_what_is_smooth_has_no_prox():
    smooth, point = PENALTIES["smooth"], points()
    assert smooth.is_smooth
    assert smooth.prox(point, 0.5) is point
    assert smooth.residual(point, point) is point
    assert not any(PENALTIES[kind].is_smooth for kind in WITH_PROX)


@every_prox
class TestProx:
    @pytest.mark.parametrize("step", [0.01, 0.7, 3.0])
    def test_is_the_minimum_coordinate_by_coordinate(self, cost, step):
        point = points()
        moved = cost.prox(point, step)
        for j, k in np.ndindex(P, M):
            l1, v = cost.l1[j, k], point[j, k]
            found = minimize_scalar(
                lambda z, l1=l1, v=v: (z - v) ** 2 / (2 * step) + l1 * abs(z),
                bounds=(0.0 if cost.positive else -10.0, 10.0),
                options={"xatol": 1e-10},
            )
            assert moved[j, k] == pytest.approx(found.x, abs=1e-6)

    def test_three_points(self, cost):
        """A strongly convex function grows from its minimum at least as its parabola."""
        t, v = 0.7, points()
        z = cost.prox(v, t)

        def objective(w):
            return cost.l1 * np.abs(w[:P]) + (w - v)[:P] ** 2 / (2 * t)

        for seed in range(200):
            w = feasible(cost, points(seed=seed))
            assert (objective(z) + (w - z)[:P] ** 2 / (2 * t) <= objective(w) + 1e-12).all()

    def test_a_step_for_each_coordinate_is_many_steps(self, cost):
        point, steps = points(), np.random.default_rng(1).uniform(0.1, 3.0, size=(P + 1, M))
        moved = cost.prox(point, steps)
        for j, k in np.ndindex(P, M):
            assert moved[j, k] == cost.prox(point, float(steps[j, k]))[j, k]

    def test_leaves_the_intercept_and_the_point(self, cost):
        point = points()
        before = point.copy()
        moved = cost.prox(point, 10.0)
        np.testing.assert_array_equal(moved[P], point[P])
        np.testing.assert_array_equal(point, before)

    def test_is_feasible(self, cost):
        moved = cost.prox(points(), 0.5)[:P]
        assert (moved == 0).any()
        assert (moved > 0).any()
        assert (moved < 0).any() == (not cost.positive)

    def test_brings_points_closer(self, cost):
        v, w = points(seed=1), points(seed=2)
        assert (np.abs(cost.prox(v, 0.5) - cost.prox(w, 0.5)) <= np.abs(v - w) + 1e-15).all()


@every_prox
class TestResidual:
    def test_is_the_shortest_subgradient(self, cost):
        point, gradient = feasible(cost, points()), points(seed=1)
        residual = cost.residual(point, gradient)
        for j, k in np.ndindex(P, M):
            z, g, l1 = point[j, k], gradient[j, k], cost.l1[j, k]
            highest = g + l1 if z >= 0 else g - l1
            lowest = g + l1 if z > 0 else -np.inf if z == 0 and cost.positive else g - l1
            assert residual[j, k] == pytest.approx(np.clip(0.0, lowest, highest), rel=1e-14, abs=1e-15)
        np.testing.assert_array_equal(residual[P], gradient[P])

    def test_is_zero_where_the_prox_stays(self, cost):
        v = points()
        z = cost.prox(v, 0.5)
        residual = cost.residual(z, (z - v) / 0.5)
        np.testing.assert_allclose(residual, 0.0, atol=1e-14)
        assert not residual[z == 0].any()

    def test_is_not_zero_where_the_prox_moves(self, cost):
        point, gradient = feasible(cost, points()), points(seed=1)
        moves = ~np.isclose(cost.prox(point - 1e-3 * gradient, 1e-3), point, rtol=0, atol=1e-12)
        np.testing.assert_array_equal(cost.residual(point, gradient) != 0, moves)


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
class TestModelMinimum:
    @pytest.mark.parametrize("p", [1, 2, 4])
    def test_is_that_of_all_sign_patterns(self, kind, p):
        for seed in range(6):
            H, q, cost = problem(kind, p, seed)
            for output in (0, 1):
                found = model_minimum(cost, H, q, np.zeros(p + 1), output)
                np.testing.assert_allclose(found, by_brute_force(H, q, cost, output), rtol=1e-9, atol=1e-10)

    @pytest.mark.parametrize("seed", range(10))
    def test_is_optimal(self, kind, seed):
        H, q, cost = problem(kind, 25, seed)
        z = model_minimum(cost, H, q, np.zeros(26), 1)
        assert violation(H, q, cost, z, 1) < 1e-12
        assert (z[:-1] >= 0).all() or not cost.positive
        least, rng = model(H, q, cost, z, 1), np.random.default_rng(seed)
        for size in np.geomspace(1e-4, 10, 100):
            other = feasible(cost, (z + size * rng.normal(size=26))[:, None])[:, 0]
            other[:-1] = np.abs(other[:-1]) if cost.positive else other[:-1]
            assert model(H, q, cost, other, 1) >= least

    def test_zeros_are_exact(self, kind):
        H, q, cost = problem(kind, 25, 0)
        zeros = (model_minimum(cost, H, q, np.zeros(26), 0)[:-1] == 0).sum()
        assert (zeros > 0) == (kind != "smooth")

    @pytest.mark.parametrize("p", [3, 25])
    def test_does_not_depend_on_the_start(self, kind, p):
        H, q, cost = problem(kind, p, 5)
        first, rng = model_minimum(cost, H, q, np.zeros(p + 1), 0), np.random.default_rng(0)
        for _ in range(30):
            start = rng.choice([-1.0, 0.0, 1.0], size=p + 1)
            np.testing.assert_allclose(model_minimum(cost, H, q, start, 0), first, rtol=1e-9, atol=1e-11)

    def test_strong_penalties_leave_the_intercept_alone(self, kind):
        if "l1" not in kind:
            pytest.skip("nothing holds the coefficients")
        H, q, cost = problem(kind, 5, 1)
        z = model_minimum(Penalty(cost.l1 + 100.0, cost.l2, cost.positive), H, q, np.ones(6), 0)
        np.testing.assert_allclose(z, [0, 0, 0, 0, 0, q[-1] / H[-1, -1]], rtol=1e-12)

    @pytest.mark.parametrize("p", [3, 5, 10])
    def test_guesses_that_go_in_circles_get_out_of_them(self, kind, p):
        for seed in range(30):
            H, q, cost = problem(kind, p, seed, condition=1e6)
            assert violation(H, q, cost, model_minimum(cost, H, q, np.zeros(p + 1), 0), 0) < 1e-9

    def test_ties_have_no_wrong_sign(self, kind):
        """Where a coordinate is 0 and the pull is just the strength, the sign of the solution is rounding."""
        for seed in range(30):
            H, _, cost = problem(kind, 6, seed)
            signs = np.ones(7) if cost.positive else np.array([1, -1, 1, -1, 1, -1, 1])
            z = signs * np.array([1, 0, 2, 0, 0, 3, 1])
            found = model_minimum(cost, H, H @ z + np.append(cost.l1[:, 0], 0.0) * signs, signs, 0)
            np.testing.assert_allclose(found, z, atol=1e-12)
            held = np.append((cost.l1[:, 0] > 0) | cost.positive, False)
            assert (found * signs >= 0)[held].all()

    def test_ill_conditioned_models_are_minimised_or_given_up(self, kind):
        found = 0
        for seed in range(20):
            H, q, cost = problem(kind, 15, seed, condition=1e8)
            z = model_minimum(cost, H, q, np.zeros(16), 0)
            if z is not None:
                found += 1
                assert violation(H, q, cost, z, 0) < 1e-8
        assert found >= 15

    def test_singular_models_are_given_up(self, kind):
        cost = penalty(kind, 3, 1)
        assert model_minimum(cost, np.ones((4, 4)), np.ones(4), np.ones(4), 0) is None
        assert model_minimum(cost, -np.eye(4), np.ones(4), np.ones(4), 0) is None

    def test_inputs_stay(self, kind):
        H, q, cost = problem(kind, 8, 2)
        start = np.linspace(-1.0, 1.0, 9)
        before = [a.copy() for a in (H, q, start, cost.l1)]
        model_minimum(cost, H, q, start, 0)
        for one, other in zip((H, q, start, cost.l1), before, strict=True):
            np.testing.assert_array_equal(one, other)
