"""Newton's steps where the curvature at hand misleads: singular, all but singular, of one output among several."""

import warnings

import numpy as np
import pytest

from gdregress import GradientDescentRegressor, Loss
from gdregress.method.newton import _lowest, is_definite, newton_step
from gdregress.problem.objectives import DataObjective

PENALTIES = {
    "no penalty": {},
    "l1": {"penalty": "l1"},
    "l2": {"penalty": "l2"},
    "elastic net": {"penalty": "elasticnet", "l1_ratio": 0.5},
    "positive": {"positive": True},
}


class OwnHuber(Loss):
    """Huber's loss as one that is not known to be made of parabolas and lines."""

    curvature = 2.0

    def __init__(self, epsilon=0.1):
        self.epsilon = epsilon

    def value(self, residual):
        size = np.abs(residual)
        return np.where(size <= self.epsilon, size**2, 2 * self.epsilon * size - self.epsilon**2)

    def derivative(self, residual):
        return 2.0 * np.clip(residual, -self.epsilon, self.epsilon)

    def second_derivative(self, residual):
        return np.where(np.abs(residual) <= self.epsilon, 2.0, 0.0)


def singular(kind, seed=0):
    """Columns whose products are singular, and targets with outliers."""
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(12 if kind == "more columns than rows" else 50, 15 if kind == "more columns than rows" else 4))
    y = A[:, :3] @ [1.0, 2.0, -2.0] + rng.standard_t(2, size=len(A))
    if kind == "a column twice":
        A = np.column_stack([A, A[:, 0]])
    elif kind == "a sum of columns":
        A = np.column_stack([A, A[:, 0] - A[:, 1], 3 * A[:, 2]])
    return A, y


def violation(model, X, y, derivative, alpha):
    """How far the coefficients are from the conditions of a minimum, from their definition."""
    slope = -X.T @ derivative(y - model.predict(X)) / len(y)
    l1 = {"l1": alpha, "elasticnet": 0.5 * alpha}.get(model.penalty, 0.0)
    l2 = {"l2": alpha, "elasticnet": 0.5 * alpha}.get(model.penalty, 0.0)
    w, slope = model.coef_, slope + l2 * model.coef_
    if model.positive:
        return np.where(w > 0, np.abs(slope), np.maximum(-slope, 0.0)).max()
    return np.where(w != 0, np.abs(slope + l1 * np.sign(w)), np.maximum(np.abs(slope) - l1, 0.0)).max()


DERIVATIVES = {
    "huber": lambda r: 2 * np.clip(r, -0.5, 0.5),
    "squared_epsilon_insensitive": lambda r: 2 * np.sign(r) * np.maximum(np.abs(r) - 0.5, 0.0),
}


@pytest.mark.filterwarnings("ignore:.* has no effect with")
@pytest.mark.parametrize("kind", ["a column twice", "a sum of columns", "more columns than rows"])
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("loss", DERIVATIVES)
def test_a_singular_fit_comes_to_a_minimum(loss, penalty, kind):
    X, y = singular(kind)
    model = GradientDescentRegressor(loss=loss, epsilon=0.5, alpha=0.02, optimizer="newton", **PENALTIES[penalty])
    model.fit(X, y)
    assert model.converged_
    alpha = 0.04 if loss == "huber" else 0.02
    assert violation(model, X, y, DERIVATIVES[loss], alpha) < 1e-5
    assert not model.positive or (model.coef_ >= 0).all()


@pytest.mark.parametrize("loss", ["huber", "absolute_error", "quantile"])
def test_no_epoch_leaves_what_is_positive(loss):
    """Steps that go on for four times their length end where coefficients may be."""
    for seed in range(12):
        rng = np.random.default_rng(seed)
        A = rng.normal(size=(40, 6))
        y = A @ [1.0, -1.0, 0.5, -0.5, 2.0, -2.0] + rng.standard_t(1.5, size=40)
        model = GradientDescentRegressor(loss=loss, positive=True, record_path=True).fit(A, y)
        assert (model.history_["coef"] >= 0).all()


@pytest.mark.parametrize(("ratio", "definite"), [(1e-11, True), (1e-12, True), (1e-14, False), (1e-15, False)])
def test_a_matrix_is_definite_beyond_rounding(ratio, definite):
    """Where it is not, a step goes along what it shows, and rounding moves nothing."""
    turned, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    assert is_definite(np.diag([1.0, 0.5, ratio])) == definite
    step = newton_step(np.diag([1.0, 0.5, ratio]), np.array([1.0, 1.0, 1e-15]))
    np.testing.assert_allclose(step, [1.0, 2.0, 1e-15 / ratio if definite else 0.0], rtol=1e-9)
    if not definite:
        curvature = turned @ np.diag([1.0, 0.5, 0.0]) @ turned.T
        step = newton_step(curvature, turned @ [1.0, 1.0, 1e-15])
        np.testing.assert_allclose(turned.T @ step, [1.0, 2.0, 0.0], atol=1e-9)


def test_where_no_second_derivative_is_seen_the_certificate_is_measured_by_a_millionth_of_the_majoriser():
    """At the start every residual is far beyond epsilon. Tenfold, as of every loss that is no parabola."""
    rng = np.random.default_rng(0)
    A, y = rng.normal(size=(50, 3)), np.where(np.arange(50) % 2, 1.0, -1.0)
    model = GradientDescentRegressor(loss=OwnHuber(0.2), fit_intercept=False, optimizer="newton").fit(A, y)
    slope, majoriser, alone = -0.4 * A.T @ y / 50, 2.0 * A.T @ A / 50, 0.4 - 0.2**2
    decrement = 10.0 * slope @ np.linalg.solve(1e-6 * majoriser, slope) / 2
    assert model.history_["optimality"][0] == pytest.approx(np.sqrt(2.0 * decrement / alone), rel=1e-9)


def test_where_no_damping_helped_the_next_epoch_tries_more():
    """Of seven outputs some have nothing to gain while others go on: in a quarter more epochs than they take here."""
    epochs = 0
    for seed in range(1, 5):
        rng = np.random.default_rng(seed)
        A = rng.normal(size=(30, 5))
        Y = np.column_stack([A @ rng.normal(size=5) + 10.0**k * rng.standard_t(1, size=30) for k in range(-3, 4)])
        model = GradientDescentRegressor(loss="absolute_error", optimizer="newton", epochs=100).fit(A, Y)
        assert model.converged_
        epochs += model.n_iter_
    assert epochs <= 320


def test_an_epoch_tries_a_quarter_to_four_times_its_best_step(monkeypatch):
    """From zero, where the step is the point itself."""
    tried, values = [], DataObjective.values
    monkeypatch.setattr(DataObjective, "values", lambda self, points: tried.append(points) or values(self, points))
    X, y = singular("a sum of columns")
    GradientDescentRegressor(loss=OwnHuber(), epochs=1, tol=None, optimizer="newton", fit_intercept=False).fit(X, y)
    steps, further = tried[0], tried[1]
    assert any(np.array_equal(further[2], 2.0 * step) for step in steps)
    for point, times in zip(further, (0.25, 0.5, 2.0, 4.0), strict=True):
        np.testing.assert_allclose(point, 0.5 * times * further[2])


def test_what_is_not_a_number_is_no_lowest_value():
    points = [np.full((1, 2), each) for each in (1.0, 2.0, 3.0)]
    values = [np.array([np.nan, 5.0]), np.array([4.0, np.nan]), np.array([np.inf, 6.0])]
    point, value, index = _lowest(points, values, 0.0)
    np.testing.assert_array_equal(point, [[2.0, 1.0]])
    np.testing.assert_array_equal(value, [4.0, 5.0])
    np.testing.assert_array_equal(index, [1, 0])


def test_l1_on_more_columns_than_rows_with_kinks_rarely_takes_sixty_epochs():
    """Its models are singular: what they are raised by is neither so little nor so much that steps are lost."""
    unfinished = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        A, y = rng.normal(size=(10, 14)), rng.standard_t(2, size=10)
        for loss in ("absolute_error", "quantile", "squared_epsilon_insensitive"):
            model = GradientDescentRegressor(loss=loss, quantile=0.8, penalty="l1", alpha=0.05, optimizer="newton")
            with warnings.catch_warnings(action="ignore"):
                unfinished += not model.set_params(epochs=60).fit(A, y).converged_
    assert unfinished <= 2
