"""Huber's loss and the squared insensitive one: a few steps, the last of which ends at the minimum."""

from dataclasses import replace

import numpy as np
import pytest
from hard_problems import CURVED, objective
from scipy import sparse

from gdregress import GradientDescentRegressor
from gdregress.method import finite_newton
from gdregress.problem import losses
from gdregress.problem.bases import Basis
from gdregress.problem.boxes import BoxProblem
from gdregress.problem.design import Design
from gdregress.problem.problem import Problem
from gdregress.problem.terms import Terms
from gdregress.rows.gathering import gather
from gdregress.rows.memory import RowBlocks

DERIVATIVES = {
    "huber": lambda r, epsilon: 2 * np.clip(r, -epsilon, epsilon),
    "squared_epsilon_insensitive": lambda r, epsilon: 2 * np.sign(r) * np.maximum(np.abs(r) - epsilon, 0.0),
}


def data(n=400, p=6):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, p)) * 10.0 ** np.arange(-p // 2, p - p // 2) + 3.0
    return X, (X / X.std(axis=0)) @ rng.standard_normal(p) + rng.standard_t(1.5, n)


@pytest.mark.filterwarnings("ignore:epsilon.* is far below the residuals")
@pytest.mark.parametrize("epsilon", [0.05, 1.0, 20.0])
@pytest.mark.parametrize("given", ["", "weights", "CSR", "no intercept", "several outputs"])
@pytest.mark.parametrize(
    "penalty",
    [
        {},
        {"penalty": "l2", "alpha": 0.1},
        {"penalty": "l1", "alpha": 0.3},
        {"penalty": "elasticnet", "alpha": 0.2, "l1_ratio": 0.5},
        {"positive": True},
        {"penalty": "l1", "alpha": 0.1, "positive": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("loss", CURVED)
def test_the_shortest_subgradient_is_zero(loss, penalty, given, epsilon):
    X, y = data()
    has_kink = "positive" in penalty or penalty.get("penalty") in ("l1", "elasticnet")
    if has_kink and (given in ("several outputs", "no intercept") or epsilon < 1):
        y, epsilon = y - y.mean(), max(epsilon, 1.0)  # else an interior point takes over, within `tol`
    y = np.column_stack([y, 10.0 - (y if has_kink else y**2)]) if given == "several outputs" else y[:, np.newaxis]
    weight = np.random.default_rng(1).uniform(0, 2, len(y)) if given == "weights" else np.ones(len(y))
    model = GradientDescentRegressor(loss=loss, epsilon=epsilon, fit_intercept=given != "no intercept", **penalty)
    model.fit(sparse.csr_array(X) if given == "CSR" else X, y.squeeze(), weight if given == "weights" else None)
    assert model.converged_
    assert model.optimizer_ == "newton"
    residual = y - model.predict(X).reshape(y.shape)
    slope = weight[:, np.newaxis] * DERIVATIVES[loss](residual, epsilon) / weight.sum()
    alpha, share = penalty.get("alpha", 0.0), {"l1": 1.0, "elasticnet": 0.5}.get(penalty.get("penalty"), 0.0)
    l1, l2 = alpha * share * (2 if loss == "huber" else 1), alpha * (1 - share) * (2 if loss == "huber" else 1)
    # A slope on a parabola has the rounding of its target, and nothing else is hidden.
    allowed = 1e-10 * np.abs(slope).sum(axis=0) + 1e-15 * np.abs(y).max(axis=0)
    if given != "no intercept":
        assert (np.abs(slope.sum(axis=0)) <= allowed).all()
        X = X - np.average(X, axis=0, weights=weight)
    coef = model.coef_.reshape(y.shape[1], -1).T
    gradient = X.T @ slope - l2 * coef
    at_zero = np.maximum((gradient if "positive" in penalty else np.abs(gradient)) - l1, 0.0)
    left = np.where((coef == 0) & has_kink, at_zero, np.abs(gradient - l1 * np.sign(coef)))
    assert (left <= np.sqrt((X**2).mean(axis=0))[:, np.newaxis] * allowed).all()
    assert "positive" not in penalty or (coef >= 0).all()


@pytest.mark.parametrize("loss", CURVED)
def test_a_few_steps(loss):
    """Where no row changes between parabola and line, the next step is the last one."""
    X, y = data(5000)
    model = GradientDescentRegressor(loss=loss, epsilon=1.0).fit(X, y)
    assert model.n_iter_ <= 8
    assert model.optimality_ < 1e-12


@pytest.mark.parametrize("epsilon", [0.1, 1.35])
@pytest.mark.parametrize("apart", [1e-5, 1e-7])
@pytest.mark.parametrize("loss", CURVED)
def test_columns_that_are_all_but_one(loss, apart, epsilon):
    rng = np.random.default_rng(0)
    x, e, z = rng.standard_normal((3, 200))
    y = x + z + e + rng.standard_normal(200)
    near = GradientDescentRegressor(loss=loss, epsilon=epsilon).fit(np.column_stack([x, x + apart * e, z]), y)
    far = GradientDescentRegressor(loss=loss, epsilon=epsilon).fit(np.column_stack([x, e, z]), y)
    assert near.converged_
    assert near.history_["loss"][-1] == pytest.approx(far.history_["loss"][-1], rel=1e-6)


def test_a_parabola_that_is_all_but_a_kink_is_left_to_an_interior_point():
    X, y = data()
    with pytest.warns(UserWarning, match="epsilon=1e-07 is far below the residuals"):
        huber = GradientDescentRegressor(loss="huber", epsilon=1e-7).fit(X, y)
    assert huber.converged_
    assert finite_newton.PATIENCE < huber.n_iter_ <= 30
    absolute = GradientDescentRegressor(loss="absolute_error").fit(X, y)
    np.testing.assert_allclose(huber.predict(X), absolute.predict(X), atol=1e-4)


@pytest.mark.parametrize("size", [1e6, 1e10, 1e14])
@pytest.mark.parametrize(
    ("shape", "params"),
    [
        ((30, 5), {"loss": "squared_epsilon_insensitive", "epsilon": 0.01}),
        ((5, 25), {"loss": "squared_epsilon_insensitive", "epsilon": 0.01}),
        ((5, 25), {"loss": "squared_epsilon_insensitive", "epsilon": 0.01, "penalty": "l2", "alpha": 1e-3}),
        ((60, 2100), {"loss": "absolute_error", "penalty": "l2", "alpha": 1e-2}),
        ((60, 2100), {"loss": "huber", "epsilon": 0.5, "penalty": "l2", "alpha": 1e-2}),
    ],
    ids=str,
)
def test_a_start_far_away_leaves_no_rounding_behind(shape, params, size):
    """Residuals that follow from those before have the rounding of the largest, and so has a gap from a far point."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal(shape), rng.standard_t(2, shape[0])
    cold = GradientDescentRegressor(**params).fit(X, y)
    model = GradientDescentRegressor(**params, warm_start=True).fit(X, y)
    model.coef_ = size * rng.standard_normal(shape[1])
    model.fit(X, y)
    assert model.converged_
    params = {"penalty": None, **params}
    least, reached = (objective(params, X, y, None, each.coef_, each.intercept_) for each in (cold, model))
    assert reached <= least * (1 + 1e-5) + 1e-12


def test_rows_that_columns_explain():
    """More columns than rows: F is all but flat along a step, and no length of it is out of reach."""
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal((13, 17)), rng.standard_normal(13) * (rng.random(13) < 0.4)
    for loss in CURVED:
        model = GradientDescentRegressor(loss=loss, epsilon=1e-3, fit_intercept=False).fit(X, y)
        assert model.converged_
        assert np.abs(model.predict(X) - y).max() < 1.01e-3


@pytest.mark.parametrize("penalty", [{"penalty": "l1", "alpha": 0.1}, {"positive": True}], ids=str)
@pytest.mark.parametrize("loss", CURVED)
def test_a_few_steps_with_l1_and_signs(loss, penalty):
    """The zeros are exact, and found from zero as from another minimum."""
    X, y = data(5000)
    model = GradientDescentRegressor(loss=loss, epsilon=1.0, warm_start=True, **penalty)
    epochs = model.fit(X, y).n_iter_
    assert model.optimizer_ == "newton"
    assert epochs <= 8
    assert model.optimality_ < 1e-7
    assert 0 < np.count_nonzero(model.coef_) < X.shape[1]
    cold = model.coef_
    model.fit(X, -y).fit(X, y)
    np.testing.assert_allclose(model.coef_, cold, rtol=1e-9)
    np.testing.assert_array_equal(model.coef_ == 0, cold == 0)


@pytest.mark.parametrize("l1", [0.0, 0.05])
@pytest.mark.parametrize("loss", [losses.huber(0.5), losses.squared_epsilon_insensitive(0.5)])
def test_products_that_the_moments_know_lead_as_those_of_the_rows(loss, l1):
    """The rows of a tube stand twice in A: both know it, the metric of projections and the first step."""
    X, y = data(300, 4)
    rows = RowBlocks(X, y[:, np.newaxis])
    problem = Problem.of(Terms(loss, l1, 0.1, False, True), gather(rows), rows)
    design = Design.of(problem, None)
    of_rows = replace(design, basis=Basis(design.basis.rank))
    known, unknown = (BoxProblem.of(problem, each, 0) for each in (design, of_rows))
    assert problem.view.gram is not None
    factors = [box.metric.factor.lower @ box.metric.factor.lower.T for box in (known, unknown)]
    np.testing.assert_allclose(*factors, rtol=1e-12, atol=1e-14)
    start = 0.1 * np.random.default_rng(4).standard_normal(5)
    descents = [list(finite_newton._descend(box, start)) for box in (known, unknown)]
    np.testing.assert_allclose(*([each.point for each in steps] for steps in descents), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("l1", [0.0, 0.05])
@pytest.mark.parametrize("loss", [losses.huber(0.5), losses.squared_epsilon_insensitive(0.5)])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_the_length_of_a_step_is_where_the_objective_is_least(loss, size, l1):
    X, y = data(300, 4)
    rows = RowBlocks(X, y[:, np.newaxis])
    problem = Problem.of(Terms(loss, l1, 0.1, False, True), gather(rows), rows)
    box = BoxProblem.of(problem, Design.of(problem, None), 0)
    point = 0.1 * np.random.default_rng(4).standard_normal(5)
    residual = box.residual(point)
    gradient = box.lack(point, box.pull(box.slopes(residual)))
    step = size * gradient

    def value(length):
        at = box.residual(point + length * step)
        return box.iterate(point + length * step, at, box.slopes(at), 0.0).value

    length = finite_newton.step_length(box, point, step, residual, box.design.dot(step), float(gradient @ step))
    lengths = length * np.linspace(0.0, 3.0, 601)
    values = np.array([value(each) for each in lengths])
    assert value(length) <= values.min() + 0.1 * (values[0] - values.min())
