"""The objective: its gradient by finite differences, and from moments as from data."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from small_blocks import SmallBlocks

from gdregress.problem.coordinates import Coordinates
from gdregress.problem.losses import squared_error
from gdregress.problem.objectives import DataObjective, MomentObjective
from gdregress.rows import extended
from gdregress.rows.gathering import gather
from gdregress.rows.memory import RowBlocks


def problem(fit_intercept=True, frame="unit", alpha=0.0, weighted=True, seed=0, n=60, p=4, m=2):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * [1, 20, 0.1, 3][:p] + [0, 5, 1, -40][:p]
    y = X @ rng.normal(size=(p, m)) + rng.normal(size=(n, m)) * 3 + 10
    weight = rng.uniform(0, 2, n) if weighted else None
    rows = SmallBlocks(X, y, weight, block_rows=17)
    moments = gather(rows)
    if not fit_intercept:
        moments = moments.about_origin()
    if frame == "unit":
        frame = Coordinates.unit_curvature(moments, alpha=alpha, fit_intercept=fit_intercept)
    else:
        frame = Coordinates.raw(moments, fit_intercept=fit_intercept)
    return rows, moments, frame


def from_moments(moments, frame, alpha=0.0):
    return MomentObjective(moments, frame, frame.penalty(0.0, 2.0 * alpha))


def from_data(rows, frame, alpha=0.0):
    return DataObjective(rows.with_targets(frame.targets), frame, squared_error(), frame.penalty(0.0, 2.0 * alpha))


def direct(rows, frame, alpha, point):
    """The objective as the formula says it, in units of the target scale squared."""
    coef, intercept = frame.to_raw(point)
    weight = np.ones(rows.n_samples) if rows.weight is None else rows.weight
    residual = rows.y - rows.X @ coef - intercept
    value = (weight[:, np.newaxis] * residual**2).sum(axis=0) / weight.sum() + alpha * (coef**2).sum(axis=0)
    return np.asarray(value / frame.target_scale**2, dtype=float)


CASES = [
    pytest.param(
        fit_intercept, frame, alpha, id=f"{'with' if fit_intercept else 'no'} intercept, {frame}, alpha={alpha}"
    )
    for fit_intercept in (True, False)
    for frame in ("raw", "unit")
    for alpha in (0.0, 0.3)
]


@pytest.mark.parametrize("kind", [from_moments, from_data])
@pytest.mark.parametrize(("fit_intercept", "frame", "alpha"), CASES)
class TestObjective:
    def make(self, kind, fit_intercept, frame, alpha):
        rows, moments, frame = problem(fit_intercept, frame, alpha)
        objective = kind(moments if kind is from_moments else rows, frame, alpha)
        point = np.random.default_rng(1).normal(size=(rows.n_features + fit_intercept, rows.n_outputs))
        return rows, frame, objective, point

    def test_value_is_that_of_the_formula(self, kind, fit_intercept, frame, alpha):
        rows, frame, objective, point = self.make(kind, fit_intercept, frame, alpha)
        np.testing.assert_allclose(objective.evaluate([point])[0].value, direct(rows, frame, alpha, point), rtol=1e-11)

    def test_gradient_is_the_finite_difference(self, kind, fit_intercept, frame, alpha):
        rows, frame, objective, point = self.make(kind, fit_intercept, frame, alpha)
        gradient = objective.evaluate([point])[0].gradient
        for j in range(len(point)):
            h = np.zeros_like(point)
            h[j] = 1e-3
            f = [direct(rows, frame, alpha, point + k * h) for k in (-2, -1, 1, 2)]
            difference = (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * 1e-3)
            np.testing.assert_allclose(gradient[j], difference, rtol=1e-6, atol=1e-7 * np.abs(gradient).max())

    def test_several_points_in_one_trip(self, kind, fit_intercept, frame, alpha):
        _, _, objective, point = self.make(kind, fit_intercept, frame, alpha)
        points = [point, 2 * point, point - 1]
        for together, alone in zip(
            objective.evaluate(points), (objective.evaluate([q])[0] for q in points), strict=True
        ):
            np.testing.assert_allclose(together.value, alone.value, rtol=1e-13)
            np.testing.assert_allclose(together.gradient, alone.gradient, rtol=1e-10, atol=1e-12)

    def test_penalty_is_its_part_of_the_value(self, kind, fit_intercept, frame, alpha):
        _, frame, objective, point = self.make(kind, fit_intercept, frame, alpha)
        coef, _ = frame.to_raw(point)
        np.testing.assert_allclose(
            objective.penalty.value(point), alpha * (coef**2).sum(axis=0) / frame.target_scale**2
        )


def test_squared_error_of_an_exact_fit_is_not_negative():
    """From moments it is a difference of numbers that are equal up to rounding."""
    rows, _, _ = problem(m=1)
    coef = np.random.default_rng(2).normal(size=(4, 50))
    rows = RowBlocks(rows.X, rows.X @ coef, rows.weight)
    moments = gather(rows)
    frame = Coordinates.unit_curvature(moments, alpha=0.0, fit_intercept=True)
    value = from_moments(moments, frame).evaluate([frame.from_raw(coef, np.zeros(50))])[0].value
    assert ((value >= 0) & (value < 1e-13)).all()


@pytest.mark.parametrize("container", [np.asarray, np.asfortranarray, sparse.csr_array, lambda X: X.astype(np.float32)])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_data_of_any_kind(container, n_threads):
    rows, _, frame = problem()
    point = np.random.default_rng(1).normal(size=(5, 2))
    expected = from_data(rows, frame).evaluate([point])[0]
    other = SmallBlocks(container(rows.X), rows.y, rows.weight, block_rows=7, n_threads=n_threads)
    found = from_data(other, frame).evaluate([point])[0]
    rtol = 1e-5 if other.X.dtype == np.float32 else 1e-11
    np.testing.assert_allclose(found.value, expected.value, rtol=rtol)
    np.testing.assert_allclose(found.gradient, expected.gradient, rtol=rtol, atol=rtol)


@pytest.mark.parametrize(("fit_intercept", "frame", "alpha"), CASES)
def test_hessian_is_the_change_of_the_gradient(fit_intercept, frame, alpha):
    _, moments, frame = problem(fit_intercept, frame, alpha)
    objective = from_moments(moments, frame, alpha)
    q = 4 + fit_intercept
    origin, unit = np.zeros((q, 2)), np.eye(q)
    at_origin = objective.evaluate([origin])[0].gradient[:, 0]
    columns = [objective.evaluate([np.tile(unit[:, [j]], 2)])[0].gradient[:, 0] - at_origin for j in range(q)]
    np.testing.assert_allclose(np.array(columns), objective.hessian(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1e4])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_unit_curvature_is_two_in_every_coordinate(fit_intercept, alpha):
    _, moments, frame = problem(fit_intercept, "unit", alpha)
    np.testing.assert_allclose(np.diag(from_moments(moments, frame, alpha).hessian()), 2.0, rtol=1e-12)


class TestFrame:
    @pytest.mark.parametrize(("fit_intercept", "frame", "alpha"), CASES)
    def test_there_and_back(self, fit_intercept, frame, alpha):
        _, _, frame = problem(fit_intercept, frame, alpha)
        point = np.random.default_rng(0).normal(size=(4 + fit_intercept, 2))
        np.testing.assert_allclose(frame.from_raw(*frame.to_raw(point)).astype(float), point, rtol=1e-11, atol=1e-12)

    def test_the_intercept_has_the_rounding_of_long_doubles(self):
        """Its terms may be far larger than their sum."""
        rng = np.random.default_rng(0)
        ones, center, point = np.ones(30), rng.normal(size=30), rng.normal(size=(31, 1))
        coef, intercept = Coordinates(True, center, ones, ones, np.ones(1) / 3, np.full(1, 1.1)).to_raw(point)
        terms = [Fraction(1 / 3), Fraction(1.1) * Fraction(point[30, 0])]
        terms += [-Fraction(w) * Fraction(a) for w, a in zip(coef[:, 0], center, strict=True)]
        error = abs(Fraction(*intercept[0].as_integer_ratio()) - sum(terms))
        assert error <= 4 * float(np.finfo(np.longdouble).eps) * sum(map(abs, terms))

    @pytest.mark.parametrize("fit_intercept", [True, False])
    def test_a_raw_gradient_becomes_the_frames_own(self, fit_intercept):
        rows, moments, unit = problem(fit_intercept, "unit", 0.2)
        raw = Coordinates.raw(moments, fit_intercept=fit_intercept)
        point = np.random.default_rng(0).normal(size=(4 + fit_intercept, 2))
        in_raw = np.vstack([part.astype(float) for part in unit.to_raw(point)][: 1 + fit_intercept])
        expected = from_data(rows, unit, 0.2).evaluate([point])[0].gradient
        found = unit.turned(from_moments(moments, raw, 0.2).evaluate([in_raw])[0].gradient) / unit.target_scale
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)

    def test_a_column_that_does_not_vary_has_no_coordinate(self):
        rows, _, _ = problem()
        rows.X[:, 1] = 3.0
        frame = Coordinates.unit_curvature(gather(rows), alpha=0.0, fit_intercept=True)
        coef, intercept = frame.to_raw(np.ones((5, 2)))
        assert not coef[1].any()
        shifted = frame.from_raw(coef + [[0.0], [2.0], [0.0], [0.0]], intercept)
        np.testing.assert_allclose((shifted[-1] - 1) * frame.target_scale, 6.0)

    def test_a_constant_target_is_measured_by_its_size(self):
        rows, _, _ = problem()
        rows.y[:, 0], rows.y[:, 1] = 5.0, 0.0
        frame = Coordinates.unit_curvature(gather(rows), alpha=0.0, fit_intercept=True)
        np.testing.assert_allclose(frame.target_scale, [5 * 2.0**-26, 1.0])


class TestExtended:
    @settings(deadline=None, max_examples=30, derandomize=True)
    @given(n=st.integers(1, 40), seed=st.integers(0, 10**6), dtype=st.sampled_from([np.float64, np.longdouble]))
    def test_dot_cancels_exactly(self, n, seed, dtype):
        """Products that cancel in pairs leave the small one that is added, to the last digit."""
        rng = np.random.default_rng(seed)
        X, R = (rng.normal(size=(n, k)).astype(dtype) for k in (2, 1))
        X = np.vstack([X, X, np.full((1, 2), 2.0**-40)])
        R = np.vstack([R, -R, np.ones((1, 1))]).astype(dtype)
        np.testing.assert_array_equal(extended.dot(X.astype(dtype), R), np.full((2, 1), 2.0**-40))

    def test_twice_the_precision(self):
        rng = np.random.default_rng(0)
        X, R = rng.normal(size=(31, 3)) * 10.0 ** rng.integers(-8, 8, (31, 1)), rng.normal(size=(31, 2))
        R -= X @ np.linalg.lstsq(X, R, rcond=None)[0]
        exact = [[float(sum(Fraction(a) * Fraction(b) for a, b in zip(x, r, strict=True))) for r in R.T] for x in X.T]
        np.testing.assert_allclose(extended.dot(X, R), exact, rtol=1e-13)
        assert not np.allclose(X.T @ R, exact, rtol=1e-9, atol=0)
