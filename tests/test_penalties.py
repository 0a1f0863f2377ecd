"""Penalties: against naive minimisation, coordinate by coordinate."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

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
