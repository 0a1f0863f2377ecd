"""Losses: against their formulas, finite differences, and what convexity says of every one of them."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.linear_model import SGDRegressor

from gdregress.problem.loss import InUnits, Loss
from gdregress.problem.losses import LOSSES, as_loss
from gdregress.problem.piecewise import PiecewiseLoss

EPSILON, QUANTILE, UNIT = 0.3, 0.2, 2.5

FORMULAS = {
    "squared_error": lambda r: r * r,
    "huber": lambda r: r * r if abs(r) <= EPSILON else 2 * EPSILON * abs(r) - EPSILON**2,
    "absolute_error": lambda r: abs(r),
    "quantile": lambda r: QUANTILE * r if r > 0 else (QUANTILE - 1) * r,
    "epsilon_insensitive": lambda r: max(abs(r) - EPSILON, 0.0),
    "squared_epsilon_insensitive": lambda r: max(abs(r) - EPSILON, 0.0) ** 2,
}


class LogCosh(Loss):
    """All is derived but what must be written."""

    curvature = 1.0

    def value(self, residual):
        return np.logaddexp(residual, -residual) - math.log(2.0)

    def derivative(self, residual):
        return np.tanh(residual)


class PseudoHuber(Loss):
    """Of degree 1, with a second derivative of its own."""

    curvature = 2.0
    degree = 1

    def value(self, residual):
        return np.hypot(2.0 * residual, 1.0) / 2.0

    def derivative(self, residual):
        return 2.0 * residual / np.hypot(2.0 * residual, 1.0)

    def second_derivative(self, residual):
        return 2.0 * np.hypot(2.0 * residual, 1.0) ** -3.0


@dataclass
class Foreign:
    """Somebody else's, without our base class."""

    curvature = 1.0

    def value(self, residual):
        return LogCosh().value(residual)

    def derivative(self, residual):
        return np.tanh(residual)


NAMED = {name: make(EPSILON, QUANTILE) for name, make in LOSSES.items()}
OWN = {"log_cosh": LogCosh(), "pseudo_huber": PseudoHuber()}
IN_UNITS = {
    **{f"{name}/{UNIT}": loss.in_units(UNIT) for name, loss in NAMED.items()},
    **{f"{name}/{UNIT}": InUnits(loss, UNIT) for name, loss in OWN.items()},
    f"foreign/{UNIT}": InUnits(Foreign(), UNIT),
}
SHARPER = [
    (f"{name}~{width}", loss, loss.smoothed(width))
    for name, loss in {**NAMED, "huber/2.5": NAMED["huber"].in_units(UNIT)}.items()
    for width in (0.125, 1.0)
    if loss.smoothed(width) != loss
]
ALL = {**NAMED, **OWN, **IN_UNITS, **{name: twin for name, _, twin in SHARPER}}
SMOOTH = {name: loss for name, loss in ALL.items() if np.isfinite(loss.curvature)}
PIECEWISE = {name: loss for name, loss in ALL.items() if isinstance(loss, PiecewiseLoss)}

GRID = np.linspace(-4.0, 4.0, 8001)


def every(losses):
    return pytest.mark.parametrize("loss", losses.values(), ids=losses.keys())


def corners(loss):
    """Where the second derivative jumps."""
    if not isinstance(loss, PiecewiseLoss):
        return np.empty(0)
    ends = [loss.low / loss.curvature - loss.tube, -loss.tube, loss.tube, loss.high / loss.curvature + loss.tube]
    return np.array(ends)[np.isfinite(ends)]


def away_from_corners(loss, distance=5e-3):
    grid = np.linspace(-3.0, 3.0, 401)
    return grid[(np.abs(grid[:, None] - corners(loss)) > distance).all(axis=1)]


def pairs(loss, n=2000, seed=0):
    """Two residuals each, among them all the corners."""
    rng = np.random.default_rng(seed)
    pool = np.concatenate([rng.normal(size=n // 2), 10.0 * rng.normal(size=n // 2), np.tile(corners(loss), 20), [0.0]])
    return rng.choice(pool, n), rng.choice(pool, n)


def fourth_order_difference(f, r, h=1e-3):
    return (8.0 * (f(r + h) - f(r - h)) - (f(r + 2.0 * h) - f(r - 2.0 * h))) / (12.0 * h)


def mean_loss(loss, y, weight=None):
    return lambda constant: float(np.average(loss.value(y - constant), weights=weight))


@pytest.mark.parametrize("name", LOSSES)
class TestTheSix:
    def test_formula(self, name):
        np.testing.assert_allclose(
            NAMED[name].value(GRID), [FORMULAS[name](r) for r in GRID.tolist()], rtol=1e-14, atol=1e-16
        )

    def test_formula_far_away(self, name):
        far = np.array([-1e9, 1e9])
        np.testing.assert_allclose(NAMED[name].value(far), [FORMULAS[name](r) for r in far.tolist()], rtol=1e-15)

    def test_sgd_regressor_takes_the_same_step_up_to_the_factor_of_alpha(self, name):
        if name in ("absolute_error", "quantile"):
            pytest.skip("SGDRegressor has none")
        loss = NAMED[name]
        for r in (-2.0, -0.4, -0.1, 0.0, 0.2, 0.9):
            sgd = SGDRegressor(name, epsilon=EPSILON, penalty=None, fit_intercept=False, learning_rate="constant")
            step = sgd.set_params(eta0=1.0).partial_fit([[1.0]], [r]).coef_
            np.testing.assert_allclose(loss.derivative(np.array([r])), loss.alpha_factor * step, rtol=1e-14)


def test_squared_error_and_huber_are_twice_sgd_regressors():
    factors = {name: loss.alpha_factor for name, loss in NAMED.items()}
    assert factors == {name: 2.0 if name in ("squared_error", "huber") else 1.0 for name in LOSSES}


@every(ALL)
class TestEveryLoss:
    def test_derivative_is_that_of_the_value(self, loss):
        r = away_from_corners(loss)
        np.testing.assert_allclose(loss.derivative(r), fourth_order_difference(loss.value, r), rtol=1e-9, atol=1e-10)

    def test_second_derivative_is_that_of_the_derivative(self, loss):
        r = away_from_corners(loss)
        with np.errstate(invalid="ignore"):
            second = loss.second_derivative(r)
        if np.isfinite(loss.curvature):
            expected = fourth_order_difference(loss.derivative, r)
            np.testing.assert_allclose(second, expected, rtol=1e-6, atol=1e-8)
            np.testing.assert_allclose(loss.curved(r), expected / loss.curvature, rtol=1e-6, atol=1e-8)

    def test_lies_above_its_tangents(self, loss):
        r, s = pairs(loss)
        tangent = loss.value(r) + loss.derivative(r) * (s - r)
        assert (loss.value(s) - tangent >= -1e-12 * (1.0 + np.abs(tangent))).all()

    def test_curvature_bounds_the_change_of_the_derivative(self, loss):
        r, s = pairs(loss)
        r, s = np.minimum(r, s)[r != s], np.maximum(r, s)[r != s]
        change = loss.derivative(s) - loss.derivative(r)
        assert (change >= -1e-14).all()
        assert (change <= loss.curvature * (s - r) * (1.0 + 1e-9) + 1e-14).all()

    def test_is_least_at_zero(self, loss):
        assert loss.derivative(np.zeros(1)) == 0.0
        assert (loss.value(GRID) >= loss.value(np.zeros(1))).all()

    def test_is_finite_far_away(self, loss):
        far = np.array([-1e9, 1e9])
        assert np.isfinite(loss.value(far)).all()
        np.testing.assert_array_equal(np.sign(loss.derivative(far)), [-1.0, 1.0])
        assert np.isfinite(loss.derivative(far)).all()

    @pytest.mark.parametrize("shape", [(5,), (4, 2), (1, 1), (0, 3)])
    def test_keeps_shapes_and_inputs(self, loss, shape):
        r = np.random.default_rng(0).normal(size=shape)
        before = r.copy()
        functions = [loss.value, loss.derivative]
        if np.isfinite(loss.curvature):
            functions += [loss.second_derivative, loss.curved, loss.majoriser_curvature]
        for function in functions:
            assert function(r).shape == shape
        np.testing.assert_array_equal(r, before)


def test_second_derivatives_from_differences_are_right_far_away_too_and_never_above_their_bound():
    class Square(Loss):
        curvature = 2.0

        def derivative(self, residual):
            return 2.0 * residual

    second = Square().second_derivative(np.append(GRID, [-1e3, 1e9, 1e100]))
    np.testing.assert_allclose(second, 2.0, rtol=1e-8)
    assert second.max() == 2.0


@pytest.mark.parametrize("loss", [NAMED["huber"], NAMED["absolute_error"].smoothed(0.1)])
def test_a_residual_of_zero_is_on_the_parabola(loss):
    assert loss.second_derivative(np.zeros(1)) == loss.curvature


@every({**NAMED, **OWN, **IN_UNITS})
@pytest.mark.parametrize("dtype", [np.float32, np.longdouble])
def test_precision_stays(loss, dtype):
    r = np.linspace(-3.0, 3.0, 50).astype(np.float32)
    for function in (loss.value, loss.derivative):
        assert function(r.astype(dtype)).dtype == dtype
        np.testing.assert_allclose(function(r.astype(dtype)), function(r.astype(float)), rtol=1e-5, atol=1e-6)


@every(SMOOTH)
class TestMajoriser:
    def test_lies_above(self, loss):
        r, s = np.linspace(-3.0, 3.0, 241)[:, None], np.concatenate([np.linspace(-6.0, 6.0, 481), corners(loss)])
        parabola = loss.value(r) + loss.derivative(r) * (s - r) + 0.5 * loss.majoriser_curvature(r) * (s - r) ** 2
        assert (parabola >= loss.value(s) - 1e-12).all()

    def test_is_no_steeper_than_need_be(self, loss):
        touching = loss.majoriser_curvature(GRID)
        assert (touching <= loss.curvature).all()
        assert (touching >= np.minimum(loss.second_derivative(GRID), loss.curvature) * (1.0 - 1e-9)).all()


@pytest.mark.parametrize("name", ["absolute_error", "huber", "quantile"])
def test_the_parabola_touches_on_the_other_side_too(name):
    """Without a tube it cannot be any flatter: reflected about the middle of the curved part it touches again."""
    loss = NAMED[name].smoothed(1e-3) if name != "huber" else NAMED[name]
    r = np.linspace(-3.0, 3.0, 100)
    r = r[loss.curved(r) == 0]
    other = (loss.high + loss.low) / loss.curvature - r
    parabola = loss.value(r) + loss.derivative(r) * (other - r)
    parabola += 0.5 * loss.majoriser_curvature(r) * (other - r) ** 2
    np.testing.assert_allclose(parabola, loss.value(other), rtol=1e-9)


def test_majoriser_curvature_of_the_absolute_error_is_that_of_reweighted_least_squares():
    twin = NAMED["absolute_error"].smoothed(0.01)
    np.testing.assert_allclose(twin.majoriser_curvature(GRID), 1.0 / np.maximum(np.abs(GRID), 0.01), rtol=1e-12)


def test_majoriser_curvature_beside_a_tube_is_the_sum_of_two_sides():
    twin = NAMED["epsilon_insensitive"].smoothed(0.01)
    np.testing.assert_allclose(
        twin.majoriser_curvature(np.array([0.0, 2.0])), [1.0 / 0.305, 0.5 / 1.695 + 0.5 / 2.305], rtol=1e-12
    )


@every(PIECEWISE)
class TestFenchelYoung:
    def slopes(self, loss):
        return np.linspace(max(loss.low, -4.0), min(loss.high, 4.0), 41)

    def test_conjugate_is_the_supremum(self, loss):
        slopes = self.slopes(loss)
        brute_force = (slopes[:, None] * GRID - loss.value(GRID)).max(axis=1)
        np.testing.assert_allclose(loss.conjugate(slopes), brute_force, atol=2e-6)

    def test_fenchel_gap_is_what_the_inequality_leaves(self, loss):
        r, slopes = np.linspace(-2.0, 2.0, 81), self.slopes(loss)[:, None]
        supremum = (slopes * GRID - loss.value(GRID)).max(axis=1)[:, None]
        slack = loss.fenchel_gap(r, slopes)
        np.testing.assert_allclose(slack, loss.value(r) + supremum - slopes * r, atol=2e-6)
        assert (slack >= 0).all()

    def test_fenchel_gap_is_zero_for_the_slope(self, loss):
        np.testing.assert_allclose(loss.fenchel_gap(GRID, loss.derivative(GRID)), 0.0, atol=1e-14)
        far = np.array([-1e9, 1e9])
        assert (loss.fenchel_gap(far, loss.derivative(far)) <= 1e-15 * loss.value(far)).all()


@pytest.mark.parametrize(("loss", "twin"), [(loss, twin) for _, loss, twin in SHARPER], ids=[n for n, _, _ in SHARPER])
class TestSmoothing:
    def width(self, loss, twin):
        return 1.0 / twin.curvature - 1.0 / loss.curvature

    def test_is_the_moreau_envelope(self, loss, twin):
        r = np.linspace(-2.0, 2.0, 81)[:, None]
        envelope = (loss.value(GRID) + (r - GRID) ** 2 / (2.0 * self.width(loss, twin))).min(axis=1)
        np.testing.assert_allclose(twin.value(r[:, 0]), envelope, atol=2e-6)

    def test_derivative_is_a_slope_of_the_loss_nearby(self, loss, twin):
        r = np.linspace(-2.0, 2.0, 81)
        slope = twin.derivative(r)
        assert (slope >= loss.low).all()
        assert (slope <= loss.high).all()
        np.testing.assert_allclose(loss.fenchel_gap(r - self.width(loss, twin) * slope, slope), 0.0, atol=1e-14)

    def test_lies_below_by_what_the_slopes_tell(self, loss, twin):
        below = loss.value(GRID) - twin.value(GRID)
        half = self.width(loss, twin) / 2.0
        assert (below >= half * twin.derivative(GRID) ** 2 - 1e-14).all()
        steepest = max(-loss.low, loss.high)
        assert (below <= half * steepest**2 + 1e-14).all()

    def test_lies_below_by_the_fenchel_gap_and_a_parabola(self, loss, twin):
        slope = twin.derivative(GRID)
        due = loss.value(GRID) - twin.value(GRID) - loss.fenchel_gap(GRID, slope)
        np.testing.assert_allclose(due, self.width(loss, twin) / 2.0 * slope**2, atol=1e-13)

    def test_far_away_is_the_loss_less_a_constant(self, loss, twin):
        far = np.array([-1e9, 1e9])
        np.testing.assert_array_equal(twin.derivative(far), [loss.low, loss.high])
        np.testing.assert_allclose(twin.value(far), loss.value(far), rtol=1e-8)


def test_the_curved_part_is_as_wide_as_the_smoothing_parameter():
    for name in ("absolute_error", "quantile", "epsilon_insensitive"):
        twin = NAMED[name].smoothed(0.01)
        assert np.abs(corners(twin)).max() == pytest.approx(0.01 + twin.tube, rel=1e-12)


def test_a_loss_that_is_smooth_enough_stays_as_it_is():
    assert NAMED["huber"].smoothed(EPSILON / 2.0) == NAMED["huber"]
    assert NAMED["huber"].smoothed(2.0 * EPSILON).curvature == 1.0
    for name in ("squared_error", "squared_epsilon_insensitive"):
        assert NAMED[name].smoothed(1.0) is NAMED[name]


@every({**NAMED, **OWN})
class TestUnits:
    def in_units(self, loss, unit):
        return loss.in_units(unit) if isinstance(loss, PiecewiseLoss) else InUnits(loss, unit)

    @pytest.mark.parametrize("unit", [1e-6, 0.4, 1.0, 1e6])
    def test_nothing_but_the_unit_changes(self, loss, unit):
        changed = self.in_units(loss, unit)
        assert changed.degree == loss.degree
        np.testing.assert_allclose(changed.value(GRID / unit) * unit**loss.degree, loss.value(GRID), rtol=1e-9)
        np.testing.assert_allclose(
            changed.derivative(GRID / unit) * unit ** (loss.degree - 1), loss.derivative(GRID), rtol=1e-9
        )
        if np.isfinite(loss.curvature):
            assert changed.curvature == pytest.approx(loss.curvature * unit ** (2 - loss.degree), rel=1e-12)

    def test_outputs_have_each_their_own(self, loss):
        units, r = np.array([0.5, 1.0, 20.0]), np.random.default_rng(0).normal(size=(50, 3))
        together = self.in_units(loss, units)
        for k, unit in enumerate(units):
            alone = self.in_units(loss, float(unit))
            np.testing.assert_allclose(together.value(r)[:, k], alone.value(r[:, k]), rtol=1e-14)
            np.testing.assert_allclose(together.derivative(r)[:, k], alone.derivative(r[:, k]), rtol=1e-14)


@pytest.mark.parametrize("name", ["huber", "absolute_error", "quantile", "epsilon_insensitive"])
def test_the_smoothing_parameter_is_in_the_same_unit(name):
    loss = NAMED[name]
    twin, in_units = loss.smoothed(UNIT * 0.5), loss.in_units(UNIT).smoothed(0.5)
    np.testing.assert_allclose(in_units.value(GRID / UNIT) * UNIT**loss.degree, twin.value(GRID), rtol=1e-12)


@every(ALL)
class TestBestConstant:
    def check(self, loss, y, weight=None):
        mean = mean_loss(loss, y, weight)
        found = mean(loss.best_constant(y, weight))
        searched = minimize_scalar(mean, bounds=(y.min(), y.max()), options={"xatol": 1e-12}).fun
        others = min(mean(y_i + e) for y_i in y for e in (-EPSILON, 0.0, EPSILON))
        assert found <= min(searched, others) + 1e-9

    @pytest.mark.parametrize("n", [2, 3, 10, 31])
    def test_none_is_better(self, loss, n):
        rng = np.random.default_rng(n)
        y, weight = rng.exponential(size=n).round(1), rng.uniform(0.0, 3.0, size=n)
        y[-1] += 0.1
        self.check(loss, y)
        self.check(loss, y, weight)

    def test_one_dear_row_takes_it_all(self, loss):
        y = np.array([0.0, 1.0, 2.0, 50.0])
        self.check(loss, y, np.array([1.0, 1.0, 1e3, 1.0]))
        assert loss.best_constant(y, np.array([1e-9, 1e-9, 1.0, 1e-9])) == pytest.approx(2.0, abs=EPSILON + 1e-3)

    def test_weights_are_repetitions(self, loss):
        rng = np.random.default_rng(3)
        y, weight = rng.normal(size=15), rng.integers(1, 5, size=15).astype(float)
        repeated = np.repeat(y, weight.astype(int))
        mean = mean_loss(loss, repeated)
        assert mean(loss.best_constant(y, weight)) == pytest.approx(mean(loss.best_constant(repeated)), abs=1e-9)

    def test_rows_of_weight_zero_have_no_say(self, loss):
        y, rng = np.linspace(0.0, 1.0, 8) ** 2, np.random.default_rng(0)
        weight = rng.uniform(1.0, 2.0, 8)
        far, nothing = np.append(y, [1e12, -1e12]), np.append(weight, [0.0, 0.0])
        mean = mean_loss(loss, y, weight)
        assert mean(loss.best_constant(far, nothing)) == pytest.approx(mean(loss.best_constant(y, weight)), rel=1e-6)

    def test_equal_targets_are_their_own(self, loss):
        assert loss.best_constant(np.full(4, 7.5)) == 7.5
        assert loss.best_constant(np.full(4, 7.5), np.arange(1.0, 5.0)) == 7.5


@pytest.mark.parametrize("name", ["epsilon_insensitive", "squared_epsilon_insensitive"])
def test_any_constant_will_do_within_the_tube(name):
    y = np.array([1.0, 1.1, 1.2])
    assert mean_loss(NAMED[name], y)(NAMED[name].best_constant(y)) == 0.0


@pytest.mark.parametrize("name", ["epsilon_insensitive", "squared_epsilon_insensitive"])
@pytest.mark.parametrize("y", [[0.0, 0.0, 2.0], [1e6 + 0.3, 1e6 + 2.3], [-0.7, 1.3, 1.3]], ids=str)
def test_a_tube_that_just_contains_all_targets_has_a_constant_without_loss(name, y):
    y = np.array(y)
    loss, unit = LOSSES[name](np.ptp(y) / 2.0, 0.5), 0.3
    own = loss.in_units(unit)
    constant = own.best_constant(y / unit)
    assert constant == pytest.approx((y.min() + y.max()) / 2 / unit, rel=1e-15)
    assert own.is_zero_at(constant, y / unit)
    assert not own.is_zero_at(constant * (1.0 + 1e-12), y / unit)
    assert not own.is_zero_at(constant, np.append(y, y.max() * (1.0 + 1e-12)) / unit)


@pytest.mark.parametrize("name", ["huber", "squared_epsilon_insensitive"])
def test_the_best_constant_of_targets_whose_spacing_is_wide(name):
    """Floats at 1e9 are 1e-7 apart: no root can be found nearer than that, and the search ends all the same."""
    loss = LOSSES[name](1.0, 0.5)
    for seed in range(5):
        y = 1e9 + np.random.default_rng(seed).normal(size=60)
        constant = loss.best_constant(y)
        assert abs(loss.derivative(y - constant).mean()) < 1e-6


@pytest.mark.parametrize("epsilon", [1e-12, 1e-6, 1e-2])
def test_the_best_constant_of_a_narrow_parabola_is_all_but_the_median(epsilon):
    """Where a row is on the parabola every step of Newton's is short, however far the minimum is."""
    constant = as_loss("huber", epsilon, 0.5).best_constant(np.array([-1.0, -1.0, -1.0, 0.0, 3.0]))
    assert abs(constant + 1.0) <= epsilon
