"""Schedules: their formulas, what they may give, and the plateau by hand."""

import math
import re
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from gdregress import GradientDescentRegressor
from gdregress.method.schedules import SCHEDULES, Cosine, EpochSchedule, Exponential, InverseScaling, Plateau, constant

FORMULAS = [
    (constant, [(0, 1.0), (1, 1.0), (10**6, 1.0)]),
    (InverseScaling(0.5), [(0, 1.0), (3, 0.5), (99, 0.1)]),
    (InverseScaling(1.0), [(0, 1.0), (1, 0.5), (9, 0.1)]),
    (Exponential(40), [(0, 1.0), (10, 10**-0.5), (20, 0.1), (40, 0.01), (60, 0.001)]),
    (Cosine(12), [(0, 1.0), (3, 0.5 + 2**-1.5), (4, 0.75), (6, 0.5), (8, 0.25), (12, 0.0), (13, 0.0), (24, 0.0)]),
]


@pytest.mark.parametrize(("schedule", "factors"), FORMULAS)
def test_formula(schedule, factors):
    for k, factor in factors:
        assert schedule(k) == pytest.approx(factor, rel=1e-14, abs=1e-16)


def test_the_names():
    assert list(SCHEDULES) == ["constant", "invscaling", "exponential", "cosine", "adaptive"]


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("epochs", [1, 2, 30])
@pytest.mark.parametrize("power", [0.0, 0.25, 2.0])
class TestEverySchedule:
    def factors(self, name, epochs, power):
        pace = SCHEDULES[name](epochs, power, 3)
        for k in range(epochs):
            yield pace(k)
            pace = pace.after(1.0)

    def test_begins_with_one(self, name, epochs, power):
        assert next(self.factors(name, epochs, power)) == 1.0

    def test_is_positive_and_never_rises(self, name, epochs, power):
        factors = list(self.factors(name, epochs, power))
        assert min(factors) > 0
        assert (np.diff(factors) <= 0).all()


@pytest.mark.parametrize(
    ("name", "at_ten"),
    [("constant", 1.0), ("invscaling", 11**-0.25), ("exponential", 0.1), ("cosine", 0.5), ("adaptive", 1 / 125)],
)
def test_names_hand_on_what_they_are_made_of(name, at_ten):
    pace = SCHEDULES[name](20, 0.25, 3)
    for _ in range(10):
        pace = pace.after(1.0)
    assert pace(10) == pytest.approx(at_ten, rel=1e-14)


class TestPace:
    @pytest.mark.parametrize(
        "given", [math.nan, math.inf, -math.inf, -1e-9, "fast", None, [1.0], 1j, np.float64("nan")]
    )
    def test_names_what_is_not_a_factor(self, given):
        with pytest.raises(ValueError, match=re.escape(f"schedule gave {given!r} for epoch 7: it must")):
            EpochSchedule(lambda k: given)(7)

    @pytest.mark.parametrize("given", [0, 1, 3, 0.0, 0.5, 7.5, np.float64(0.25), np.float32(0.25), np.int64(2)])
    def test_gives_a_plain_float(self, given):
        factor = EpochSchedule(lambda k: given)(0)
        assert type(factor) is float
        assert factor == given

    def test_asks_with_the_epoch(self):
        assert [EpochSchedule(lambda k: k / 4)(k) for k in range(4)] == [0.0, 0.25, 0.5, 0.75]

    def test_does_not_look_at_the_objective(self):
        pace = EpochSchedule(constant)
        assert pace.after(5.0) is pace


class TestPlateau:
    @pytest.mark.parametrize(
        ("patience", "values", "fifths"),
        [
            (1, [9, 8, 8, 8, 7, 8], [0, 0, 1, 2, 2, 3]),
            (2, [9, 9, 9, 9, 9, 9], [0, 0, 1, 1, 2, 2]),
            (3, [9, 9, 9, 9, 9, 9, 9], [0, 0, 0, 1, 1, 1, 2]),
            (3, [9, 9, 9, 8, 9, 9, 8, 7], [0, 0, 0, 0, 0, 0, 1, 1]),
            (2, [9, 10, 8, 8.5, 8.5, 8.5, 8.5], [0, 0, 0, 0, 1, 1, 2]),
            (2, [-1, -2, -3, -4, -5], [0, 0, 0, 0, 0]),
            (2, [-1, -1, -2, -1, -1], [0, 0, 0, 0, 1]),
            (2, [0, 0, 0, 0, 0], [0, 0, 1, 1, 2]),
        ],
    )
    def test_divides_by_five_after_epochs_without_a_new_low(self, patience, values, fifths):
        plateau, factors = Plateau(patience), []
        for k, value in enumerate(values):
            plateau = plateau.after(float(value))
            factors.append(plateau(k))
        np.testing.assert_allclose(factors, 0.2 ** np.array(fifths), rtol=1e-14)

    def test_with_a_new_rate_the_search_starts_over(self):
        plateau = Plateau(2)
        for value in (5.0, 9.0, 9.0, 8.0, 7.0, 6.0):
            plateau = plateau.after(value)
        assert plateau(6) == 0.2
        assert plateau.after(6.0).after(6.0)(8) == pytest.approx(0.04, rel=1e-15)

    @pytest.mark.parametrize("level", [1e9, 1.0, -1.0, -1e-9])
    def test_a_low_within_rounding_is_not_new(self, level):
        begun = Plateau(1).after(level)
        assert begun.after(level - 1e-13 * abs(level))(0) == 0.2
        assert begun.after(level - 1e-11 * abs(level))(0) == 1.0

    def test_remembers_what_it_has_seen_but_not_another_patience(self):
        begun = Plateau(1).after(3.0).after(3.0)
        assert Plateau(7).recalling(begun.memory) == Plateau(7, factor=0.2, lowest=3.0)

    def test_stays_what_it_was(self):
        old = Plateau(1).after(3.0)
        before = tuple(old)
        new = old.after(3.0).after(2.0)
        assert tuple(old) == before
        assert (old(0), new(0), old.lowest, new.lowest) == (1.0, 0.2, 3.0, 2.0)
        with pytest.raises(AttributeError):
            old.factor = 0.5


rng = np.random.default_rng(0)
X = rng.normal(size=(200, 3)) @ np.array([[1.0, 0.3, 0.0], [0.0, 1.0, -0.2], [0.0, 0.0, 1.0]])
y = X @ [1.5, -0.7, 0.0] + 0.4 + rng.standard_t(3, size=200)

PAUSES = {
    "warm-up from 0": lambda k: min(1.0, k / 10),
    "cosine with restarts": lambda k: 0.5 * (1.0 + math.cos(math.pi * (k % 20) / 19)),
    "every third epoch": lambda k: float(k % 3 != 1),
}
"""Schedules that are exactly 0 at times: for that epoch, and for no other."""

KINKED = {
    "absolute_error": np.abs,
    "quantile": lambda residual: np.maximum(0.7 * residual, -0.3 * residual),
    "epsilon_insensitive": lambda residual: np.maximum(np.abs(residual) - 0.5, 0.0),
    "huber": lambda residual: np.where(np.abs(residual) < 0.5, residual**2, np.abs(residual) - 0.25),
}


def fitted(rate, epochs=1000, **params):
    model = GradientDescentRegressor(rate, epochs, epsilon=0.5, quantile=0.7, random_state=0, **params)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X, y)


@pytest.mark.filterwarnings("ignore:.* has no effect with")
@pytest.mark.grid(1)
@pytest.mark.parametrize("pause", PAUSES.values(), ids=PAUSES)
@pytest.mark.parametrize("loss", KINKED)
@pytest.mark.parametrize(
    "params",
    [
        {"learning_rate": "auto"},
        {"learning_rate": "auto", "penalty": "l1", "alpha": 0.01},
        {"learning_rate": "auto", "positive": True},
        {"learning_rate": "lipschitz"},
        {"learning_rate": "diagonal"},
        {"learning_rate": "diagonal", "optimizer": "gd"},
        {"learning_rate": "diagonal", "penalty": "l1", "alpha": 0.01},
        {"learning_rate": "curvature", "optimizer": "gd"},
        {"learning_rate": 0.1},
        {"learning_rate": 0.1, "penalty": "l1", "alpha": 0.01},
    ],
    ids=str,
)
def test_an_epoch_at_rate_0_is_a_pause_and_no_end(pause, loss, params):
    """The least objective, computed here, is that of Newton's steps without a schedule."""

    def objective(model):
        residual = y - model.predict(X)
        strength = model.alpha * (2.0 if loss == "huber" else 1.0) if model.penalty else 0.0
        return KINKED[loss](residual).mean() + strength * np.abs(model.coef_).sum()

    params = dict(params)
    rate = params.pop("learning_rate")
    paused = fitted(rate, loss=loss, schedule=pause, **params)
    params.pop("optimizer", None)
    best = objective(fitted("auto", loss=loss, tol=1e-8, **params))
    assert best * (1 - 1e-6) <= objective(paused) <= best * (1 + 2e-3)
    start = objective(fitted(1e-9, 1, loss=loss, **params))
    assert best < 0.75 * start


@pytest.mark.parametrize("pause", PAUSES.values(), ids=PAUSES)
@pytest.mark.parametrize(
    "params",
    [
        {"learning_rate": 0.05},
        {"learning_rate": 0.05, "optimizer": "adam"},
        {"learning_rate": 0.05, "optimizer": "adagrad", "penalty": "l1"},
        {"learning_rate": 0.05, "optimizer": "rmsprop", "batch_size": 40},
        {"learning_rate": 0.05, "penalty": "l1"},
        {"learning_rate": 0.05, "batch_size": 40},
        {"learning_rate": "lipschitz"},
        {"learning_rate": "diagonal", "optimizer": "gd", "penalty": "l2"},
        {"learning_rate": "diagonal", "optimizer": "gd", "penalty": "l1"},
        {"learning_rate": "diagonal", "optimizer": "adam", "batch_size": 40},
        {"learning_rate": "curvature", "optimizer": "gd"},
    ],
    ids=str,
)
@pytest.mark.parametrize("loss", ["squared_error", "huber"])
def test_at_rate_0_it_stays_where_it_is_for_that_epoch(pause, params, loss):
    model = GradientDescentRegressor(
        epochs=45, loss=loss, schedule=pause, tol=None, record_path=True, random_state=0, **params
    ).fit(X, y)
    assert model.n_iter_ == 45
    moved = np.abs(np.diff(model.history_["coef"], axis=0)).max(axis=1) + np.abs(np.diff(model.history_["intercept"]))
    np.testing.assert_array_equal(model.history_["learning_rate"][1:] == 0, [pause(k) == 0 for k in range(45)])
    is_pause = model.history_["learning_rate"][1:] == 0
    assert not moved[is_pause].any()
    assert is_pause.any()
    if params["learning_rate"] != "curvature":  # which arrives at once
        assert moved[~is_pause][:20].all()


@pytest.mark.parametrize("rate", ["auto", "diagonal", 0.05])
@pytest.mark.parametrize("loss", ["squared_error", "huber", "absolute_error"])
def test_a_chunk_at_rate_0_changes_nothing_and_the_next_does(rate, loss):
    model = GradientDescentRegressor(rate, loss=loss, batch_size=20, random_state=0, schedule=lambda k: float(k != 1))
    before = model.partial_fit(X, y).coef_
    np.testing.assert_allclose(model.partial_fit(X, y).coef_, before, rtol=1e-12)
    assert np.abs(model.partial_fit(X, y).coef_ - before).max() > 1e-6


@pytest.mark.filterwarnings("ignore:.* has no effect with")
@pytest.mark.parametrize(("optimizer", "rate"), [("momentum", 0.02), ("nesterov", 0.02), ("nesterov", "diagonal")])
@pytest.mark.parametrize("pause", PAUSES.values(), ids=PAUSES)
@pytest.mark.parametrize("params", [{}, {"penalty": "l1", "alpha": 0.05}, {"positive": True}], ids=str)
def test_what_rolls_on_through_a_pause_arrives_all_the_same(optimizer, pause, params, rate):
    model = fitted(rate, 2000, optimizer=optimizer, schedule=pause, tol=1e-8, **params)
    assert model.converged_
    np.testing.assert_allclose(model.coef_, fitted("auto", **params).coef_, atol=1e-6)
