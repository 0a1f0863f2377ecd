"""A loss of one's own, written as docs/extending.md shows it, wherever a loss may go."""

import warnings

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning

from gdregress import GradientDescentRegressor, Loss

rng = np.random.default_rng(0)
X = rng.normal(size=(240, 3)) @ np.array([[1.0, 0.3, 0.0], [0.0, 1.0, -0.2], [0.0, 0.0, 1.0]])
y = X @ [1.5, -0.7, 0.0] + 0.4 + 0.5 * rng.standard_t(3, size=240)
Y = np.column_stack([y, 1.0 - y + rng.normal(size=240)])
weight = rng.uniform(0.0, 2.0, 240)


class Logistic(Loss):
    """What is required of a subclass."""

    curvature = 0.5

    def value(self, residual):
        return np.logaddexp(0.0, residual) + np.logaddexp(0.0, -residual) - 2.0 * np.log(2.0)

    def derivative(self, residual):
        return np.tanh(residual / 2.0)


class WithSecondDerivative(Logistic):
    def second_derivative(self, residual):
        return 0.5 / np.cosh(residual / 2.0) ** 2


class OfDegreeOne(Logistic):
    degree = 1


class Plain:
    """What is required of an object of no class of ours."""

    curvature = 0.5

    def value(self, residual):
        return Logistic().value(residual)

    def derivative(self, residual):
        return Logistic().derivative(residual)


LOSSES = [Logistic(), WithSecondDerivative(), OfDegreeOne(), Plain()]
BOTH_KINDS = pytest.mark.parametrize("loss", [Logistic(), Plain()], ids=lambda loss: type(loss).__name__)
EVERY_LOSS = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)

EVERY_RATE = ("lipschitz", "diagonal", "curvature", "auto", 0.5)
TAKES_ANY_LOSS = {
    "auto": EVERY_RATE,
    "gd": EVERY_RATE,
    "momentum": (*EVERY_RATE[:-1], 0.1),
    "nesterov": EVERY_RATE,
    "newton": ("curvature", "auto"),
    "adagrad": ("diagonal", "auto", 0.3),
    "rmsprop": ("diagonal", "auto", 0.01),
    "adam": ("diagonal", "auto", 0.03),
}
PAIRS = [(optimizer, rate) for optimizer, rates in TAKES_ANY_LOSS.items() for rate in rates]
LEARNS_FROM_BATCHES = ("auto", "gd", "momentum", "adagrad", "rmsprop", "adam")


def objective(coef, intercept, targets, l1=0.0, weight=None):
    """The objective, averaged over outputs."""
    coef = np.atleast_2d(coef)
    losses = Logistic().value(targets.reshape(len(X), -1) - X @ coef.T - intercept)
    return np.average(losses, axis=0, weights=weight).mean() + l1 * np.abs(coef).sum() / len(coef)


def least(targets, l1=0.0, weight=None, positive=False):
    """The least objective: of w = u - v with u and v not negative it is smooth."""

    def of(target):
        def at(point):
            return objective(point[:3] - point[3:6], point[6], target, weight=weight) + l1 * point[:6].sum()

        bounds = [(0, None)] * 3 + [(0, 0 if positive else None)] * 3 + [(None, None)]
        return minimize(at, np.zeros(7), method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-15, "gtol": 1e-9}).fun

    return np.mean([of(target) for target in targets.reshape(len(X), -1).T])


def excess(model, targets, l1=0.0, weight=None):
    """By what share of itself the objective lies above its minimum."""
    best = least(targets, l1, weight, model.positive)
    return objective(model.coef_, model.intercept_, targets, l1, weight) / best - 1.0


@pytest.mark.grid(2)
@BOTH_KINDS
@pytest.mark.parametrize(("optimizer", "rate"), PAIRS, ids=str)
def test_every_optimizer_and_rung_that_takes_it(loss, optimizer, rate):
    schedule = "cosine" if optimizer == "rmsprop" else "constant"  # it hovers at a constant rate
    model = GradientDescentRegressor(rate, 400, loss=loss, optimizer=optimizer, schedule=schedule, tol=None)
    assert -1e-8 < excess(model.fit(X, y), y) < 1e-4


@pytest.mark.grid(1)
@EVERY_LOSS
@pytest.mark.parametrize("targets", [y, Y], ids=["one output", "two outputs"])
@pytest.mark.parametrize(
    "params",
    [
        {"penalty": "l1", "alpha": 0.05},
        {"penalty": "l1", "alpha": 0.05, "learning_rate": "diagonal"},
        {"penalty": "l1", "alpha": 0.05, "learning_rate": 0.5},
        {"positive": True},
        {},
    ],
    ids=str,
)
def test_l1_signs_weights_and_outputs(loss, targets, params):
    model = GradientDescentRegressor(loss=loss, **params).fit(X, targets, weight)
    l1 = params.get("alpha", 0.0)
    assert model.converged_
    assert -1e-8 < excess(model, targets, l1, weight) < 1e-4


@pytest.mark.grid(2)
@BOTH_KINDS
@pytest.mark.parametrize("targets", [y, Y], ids=["one output", "two outputs"])
@pytest.mark.parametrize("penalty", [{}, {"penalty": "l1", "alpha": 0.05}], ids=str)
@pytest.mark.parametrize("rate", ["auto", "diagonal", 0.5])
@pytest.mark.parametrize("optimizer", LEARNS_FROM_BATCHES)
def test_mini_batches(loss, targets, penalty, rate, optimizer):
    rate = {"momentum": 0.05, "adam": 0.03, "rmsprop": 0.03}.get(optimizer, rate) if rate == 0.5 else rate
    model = GradientDescentRegressor(rate, 40, loss=loss, optimizer=optimizer, batch_size=24, random_state=0, **penalty)
    model.set_params(schedule="cosine", tol=None).fit(X, targets)
    assert excess(model, targets, penalty.get("alpha", 0.0)) < 0.02


@pytest.mark.grid(1)
@BOTH_KINDS
@pytest.mark.parametrize("targets", [y, Y], ids=["one output", "two outputs"])
@pytest.mark.parametrize(
    "params", [{}, {"penalty": "l1", "alpha": 0.05}, {"batch_size": 30}, {"average": 3000}, {"positive": True}], ids=str
)
@pytest.mark.parametrize("rate", ["auto", "diagonal", 0.4])
def test_chunks(loss, targets, params, rate):
    model = GradientDescentRegressor(rate, loss=loss, random_state=0, **params)
    for _ in range(20):
        for chunk in (slice(0, 100), slice(100, 240)):
            model.partial_fit(X[chunk], targets[chunk], weight[chunk])
    assert excess(model, targets, params.get("alpha", 0.0), weight) < 0.05


@EVERY_LOSS
@pytest.mark.parametrize("optimizer", LEARNS_FROM_BATCHES)
@pytest.mark.parametrize("rate", ["auto", "diagonal", 0.05])
def test_chunks_with_every_optimizer(loss, optimizer, rate):
    model = GradientDescentRegressor(rate, loss=loss, optimizer=optimizer, batch_size=40, random_state=0)
    before = objective(np.zeros(3), 0.0, y)
    for _ in range(10):
        model.partial_fit(X, y)
    assert objective(model.coef_, model.intercept_, y) < 0.9 * before


@EVERY_LOSS
def test_early_stopping_and_a_start_from_the_last_fit(loss):
    model = GradientDescentRegressor(loss=loss, early_stopping=True, random_state=0, warm_start=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        assert excess(model.fit(X, y).fit(X, y), y) < 0.05


def test_the_stability_ceiling_is_that_of_its_curvature():
    """Logistic loss is four times less curved than squared error: of one column of ones, signs apart, L is 1/2."""
    signs = np.array([1.0, -1.0])
    model = GradientDescentRegressor(4.5, 5, loss=Logistic(), fit_intercept=False)
    with pytest.warns(ConvergenceWarning, match=r"above the stability ceiling 4 \(2/L\)"):
        model.fit(signs[:, np.newaxis], 1e-3 * signs)


def test_a_second_derivative_is_no_more_than_the_curvature():
    class TooCurved(Logistic):
        def second_derivative(self, residual):
            return np.full_like(residual, 5e5)

    model, same = (GradientDescentRegressor(loss=each).fit(X, y) for each in (TooCurved(), Logistic()))
    assert model.converged_
    np.testing.assert_allclose(model.coef_, same.coef_, atol=1e-4)
