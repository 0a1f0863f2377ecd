"""The augmented Lagrangian method: minima of other solvers, a gap that is a bound at every epoch, and its parts."""

import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from hard_problems import CURVED, KINKED, conic_program, draw, objective
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from gdregress import GradientDescentRegressor
from gdregress.method import augmented_lagrangian, truncated_newton
from gdregress.method import choice as choosing
from gdregress.method.augmented_lagrangian import AugmentedLagrangian
from gdregress.method.choice import choose
from gdregress.method.spec import Spec
from gdregress.problem.box_gaps import cost_with_l2, measured_with_l2
from gdregress.problem.boxes import BoxProblem
from gdregress.problem.design import Design
from gdregress.problem.problem import Problem
from gdregress.rows.memory import RowBlocks

GIVEN = {
    "huber": {"epsilon": 1.35},
    "absolute_error": {},
    "quantile": {"quantile": 0.9},
    "epsilon_insensitive": {"epsilon": 0.5},
    "squared_epsilon_insensitive": {"epsilon": 0.5},
}
losses_by_name = pytest.mark.parametrize("loss", GIVEN)


@pytest.fixture(autouse=True)
def no_matrix(monkeypatch):
    """More columns than any matrix is made for."""
    monkeypatch.setattr(choosing, "MOMENTS_LIMIT", 2)


@pytest.fixture(scope="module")
def elsewhere():
    """A process to solve in."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield pool


def data(n=80, p=30, seed=0):
    """Half the entries are zero; columns of several scales, one that does not vary, and long tails."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)) * (rng.random((n, p)) < 0.5) * 10.0 ** rng.integers(-1, 2, p)
    X[:, 3] = 2.5
    return X, X[:, :5] @ rng.standard_normal(5) + rng.standard_t(2, n) + 7.0


def make(loss, alpha=1e-3, **params):
    return GradientDescentRegressor(loss=loss, penalty="l2", alpha=alpha, **GIVEN[loss], **params)


def box_of(loss, X, y, weight=None, **params):
    """The boxes of a problem, and whether the last coordinate is an intercept."""
    spec, rows = Spec.of(make(loss, **params)), RowBlocks(X, y.reshape(len(y), -1), weight)
    problem = Problem.of(spec.terms, rows.moments(products=False), rows)
    return BoxProblem.of(problem, Design.of(problem, None), 0), spec.terms.fit_intercept


def test_it_is_chosen_where_there_is_no_matrix():
    X, y = data()
    for loss in GIVEN:
        assert isinstance(solver(make(loss), X, y), AugmentedLagrangian)
        assert isinstance(solver(make(loss), sparse.csr_array(X), y), AugmentedLagrangian)
        assert not isinstance(solver(make(loss, learning_rate="diagonal"), X, y), AugmentedLagrangian)
        assert not isinstance(solver(make(loss, learning_rate="curvature"), X, y), AugmentedLagrangian)
        assert not isinstance(solver(make(loss, positive=True), X, y), AugmentedLagrangian)
        assert not isinstance(solver(GradientDescentRegressor(loss=loss, **GIVEN[loss]), X, y), AugmentedLagrangian)


def solver(model, X, y):
    spec, rows = Spec.of(model), RowBlocks(X, y[:, np.newaxis])
    choice = choose(spec, rows)
    problem = Problem.of(spec.terms, choice.moments(rows), rows)
    return choice.method(spec, problem, np.random.RandomState(0)).solver


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("alpha", [1.0, 1e-2, 1e-5])
@losses_by_name
def test_the_minimum_of_another_solver(elsewhere, loss, alpha, fit_intercept):
    """And the optimality of every epoch is a bound."""
    X, y = data()
    weight = np.random.default_rng(1).integers(0, 4, len(y)).astype(float)
    params = {"loss": loss, "epsilon": 0.1, "quantile": 0.5, "penalty": "l2", "alpha": alpha, **GIVEN[loss]}
    params |= {"positive": False, "fit_intercept": fit_intercept}
    least, _ = elsewhere.submit(conic_program, X, y, weight, params).result()
    model = make(loss, alpha, fit_intercept=fit_intercept, record_path=True).fit(X, y, weight)
    assert model.converged_
    assert model.optimizer_ == "newton"
    power, history = 1 + (loss in CURVED), model.history_
    path = zip(history["coef"], history["intercept"], strict=True)
    value = np.array([objective(params, X, y, weight, *each) for each in path])
    F0 = value[0]  # the loss at zero: that of the best constant is no larger
    share = history["optimality"] if power == 1 else 0.5 * history["optimality"] ** 2
    bound = share * (np.maximum(value, F0 / 1000) if power == 1 else F0)
    assert (value - bound <= least * (1 + 1e-7)).all()
    assert value[-1] <= least + 1e-6 * max(least, F0 / 1000)
    assert (np.diff(value) <= 1e-12 * F0).all()  # the lowest point so far


def hard(seed):
    """A problem of any kind with L2, of any strength."""
    X, y, weight, params = draw(seed)
    strength = params["alpha"] * float(10 ** np.random.default_rng(seed).uniform(-4, 1))
    return X, y, weight, params | {"penalty": "l2", "positive": False, "alpha": strength}


def check_hard(seeds, monkeypatch):
    """Return how many have not converged; nothing that has is above what the interior point method has found."""
    unfinished = 0
    for seed in seeds:
        X, y, weight, params = hard(seed)
        with warnings.catch_warnings(action="ignore"):
            model = GradientDescentRegressor(**params).fit(X, y, weight)
            with monkeypatch.context() as patch:
                patch.setattr(choosing, "MOMENTS_LIMIT", 2000)
                other = GradientDescentRegressor(**params, tol=1e-9).fit(X, y, weight)
        least = objective(params, X, y, weight, other.coef_, other.intercept_)
        scatter, power = np.median(np.abs(y - np.median(y))), 1 + (params["loss"] in CURVED)
        rounding = 1e-10 * np.abs(y).max()
        size = max(least, 1e-3 * scatter**power, rounding * max(scatter, rounding) ** (power - 1))
        above = (objective(params, X, y, weight, model.coef_, model.intercept_) - least) / size
        assert above <= 1e-5 or not model.converged_, f"seed {seed}: {above:.1e}, {model.stop_reason_}"
        unfinished += not model.converged_
    return unfinished


def test_hard_problems(monkeypatch):
    assert check_hard([*range(12), 27, 54, 171], monkeypatch) == 0  # the last ones go nowhere without damping


@pytest.mark.exhaustive
def test_more_hard_problems(monkeypatch):
    assert check_hard(range(12, 84), monkeypatch) <= 4  # columns of scales from 1e-8 to 1e8, with hardly any L2


@losses_by_name
def test_weights_are_repeated_rows_and_outputs_stand_by_themselves(loss):
    X, y = data()
    weight = np.random.default_rng(2).integers(0, 3, len(y))
    both = np.column_stack([y, 3.0 - y**2])
    model = make(loss, tol=1e-9).fit(X, both, weight)
    times = np.repeat(np.arange(len(y)), weight)
    for target, coef, intercept in zip(both.T, model.coef_, model.intercept_, strict=True):
        params = {"loss": loss, "penalty": "l2", "alpha": 1e-3, **GIVEN[loss]}
        alone = make(loss, tol=1e-9).fit(X[times], target[times])
        ours = objective(params, X, target, weight, coef, intercept)
        assert ours == pytest.approx(objective(params, X, target, weight, alone.coef_, alone.intercept_), rel=1e-8)


@losses_by_name
def test_dense_sparse_and_single_precision(loss):
    X, y = data()
    X, params = X.astype(np.float32).astype(float), {"loss": loss, "penalty": "l2", "alpha": 1e-3, **GIVEN[loss]}
    expected = make(loss).fit(X, y)
    single = X.astype(np.float32)
    for given in (sparse.csr_array(X), np.asfortranarray(X), single, sparse.csr_array(single)):
        model = make(loss).fit(given, y)
        assert model.converged_
        ours, theirs = (objective(params, X, y, None, each.coef_, each.intercept_) for each in (model, expected))
        assert ours == pytest.approx(theirs, rel=3e-6)
        assert model.coef_.dtype == given.dtype


@pytest.mark.parametrize("loss", KINKED)
def test_multipliers_spare_a_small_mu(loss):
    """It need not come down to the tolerance, as smoothing alone would have it."""
    rng = np.random.default_rng(5)
    X = sparse.random_array((1000, 400), density=0.05, format="csr", random_state=rng, data_sampler=rng.standard_normal)
    y = X @ rng.standard_normal(400) + rng.standard_normal(1000)
    model = make(loss, 1e-2).fit(X, y)
    assert model.converged_
    assert model.n_iter_ <= 45  # without multipliers at least 200


@losses_by_name
def test_a_start_at_the_minimum_ends_soon(loss):
    X, y = data()
    model = make(loss, warm_start=True).fit(X, y)
    first, coef, intercept = model.n_iter_, model.coef_, model.intercept_
    model.fit(X, y)
    params = {"loss": loss, "penalty": "l2", "alpha": 1e-3, **GIVEN[loss]}
    value = objective(params, X, y, None, model.coef_, model.intercept_)
    # Where the loss has kinks, the slopes on them are not known from the point, and are found anew.
    assert model.n_iter_ <= (0 if loss in CURVED else 1.25 * first)
    assert value <= objective(params, X, y, None, coef, intercept) * (1 + 1e-9)


def test_a_product_goes_by_the_rows_that_count(monkeypatch):
    """A copy of few rows, all rows, or none: the same product."""
    X, y = data()
    for loss in ("quantile", "epsilon_insensitive"):
        box, _ = box_of(loss, X, y)
        rng, inner = np.random.default_rng(0), augmented_lagrangian.replace(box, flatness=box.flatness + 0.5)
        A = inner.design.dot(np.eye(len(inner.l2)))
        v = rng.standard_normal(len(inner.l2))
        for share in (0.1, 0.9, 0.0):
            weight = rng.uniform(1, 2, len(box.target)) * (rng.random(len(box.target)) < share)
            expected = A.T @ (weight * (A @ v)) + inner.l2 * v
            np.testing.assert_allclose(truncated_newton._product(inner, weight)(v), expected, rtol=1e-9, atol=1e-12)


@losses_by_name
def test_a_newton_step_solves_its_system(loss):
    X, y = data()
    box, _ = box_of(loss, X, y)
    inner = augmented_lagrangian.replace(box, flatness=box.flatness + 0.5)
    residual = inner.residual(np.zeros(len(inner.l2)))
    slope = inner.slopes(residual)
    on = np.where((slope > inner.low) & (slope < inner.high), 1.0, 1e-3)
    lack = inner.pull(slope)
    variance = np.append((X.std(axis=0) > 0).astype(float), 1.0)
    step, _, is_solved = truncated_newton.truncated_step(inner, on, lack, variance, 1e-12, 10_000)
    assert is_solved
    A = inner.design.dot(np.eye(len(inner.l2)))
    matrix = A.T @ ((inner.weight * inner.curvature * on)[:, np.newaxis] * A) + np.diag(inner.l2)
    np.testing.assert_allclose(matrix @ step, lack, atol=1e-9 * np.abs(lack).max())


@pytest.mark.parametrize("mu", [1e-3, 0.5, 20.0])
@losses_by_name
def test_the_intercept_makes_the_mean_slope_zero(loss, mu):
    X, y = data()
    box, _ = box_of(loss, X, y, np.random.default_rng(3).uniform(0, 2, len(y)))
    inner, side = augmented_lagrangian.replace(box, flatness=box.flatness + mu), box.design.side
    for shift in (0.0, 100.0, -1e6):
        residual = inner.residual(np.zeros(len(inner.l2))) - shift * side
        level = augmented_lagrangian._level(inner, residual, side)
        mean = (inner.weight * side) @ inner.slopes(residual - level * side)
        assert abs(mean) <= 1e-9 * max(1.0, abs(shift)) * inner.reach[0] / mu**0.5


@pytest.mark.parametrize("fit_intercept", [True, False])
@losses_by_name
def test_the_gap_at_any_slopes_is_that_of_the_dual(loss, fit_intercept):
    """Recomputed in the units of y, with the slopes that are said to be those of the gap."""
    X, y = data()
    box, has_intercept = box_of(loss, X, y, fit_intercept=fit_intercept)
    rng = np.random.default_rng(4)
    point = rng.standard_normal(len(box.l2)) * np.append(box.l2[: X.shape[1]] > 0, np.ones(int(fit_intercept)))
    residual = box.residual(point)
    ends = np.where(np.isfinite(box.high), box.high, 2.0)
    slope = box.low.clip(-2.0) + rng.random(len(ends)) * (ends - box.low.clip(-2.0))
    here = measured_with_l2(box, point, residual, slope, box.pull(slope), has_intercept=has_intercept)
    u = here.dual
    assert (u >= box.low - 1e-12).all()
    assert (u <= box.high + 1e-12).all()
    pull = box.pull(u)
    assert not has_intercept or abs(pull[-1]) <= 1e-12
    penalised = box.l2 > 0
    dual = box.weight @ (u * box.target - 0.5 * box.flatness * u * u)
    dual -= 0.5 * (pull[penalised] ** 2 / box.l2[penalised]).sum()
    assert here.gap == pytest.approx(here.value - dual, rel=1e-9)


def test_what_cannot_be_reached_is_said():
    X, y = data()
    with pytest.warns(ConvergenceWarning, match="the duality gap no longer narrows. Raise alpha or tol"):
        model = make("quantile", tol=1e-30).fit(X, y)
    assert not model.converged_
    assert model.optimality_ < 1e-9


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # squared errors of 1e-11 of those of y
@pytest.mark.parametrize("tol", [1e-6, None])
@losses_by_name
def test_a_constant_target_and_an_exact_fit(loss, tol):
    X, _ = data()
    model = make(loss, tol=tol, epochs=20).fit(X, np.full(len(X), 1e3))
    assert (model.coef_ == 0).all()
    assert model.intercept_ == pytest.approx(1e3, abs=GIVEN[loss].get("epsilon", 0.0) + 1e-9)
    y = X @ np.ones(X.shape[1])
    model = make(loss, 1e-9, tol=tol, epochs=100, warm_start=True)
    model.coef_, model.intercept_, model.n_features_in_ = np.ones(X.shape[1]), 0.0, X.shape[1]
    model.fit(X, y)  # from residuals of 0, where only the penalty is not least
    params = {"loss": loss, "penalty": "l2", "alpha": 1e-9, **GIVEN[loss]}
    start = objective(params, X, y, None, np.ones(X.shape[1]), 0.0)
    assert objective(params, X, y, None, model.coef_, model.intercept_) <= start * (1 + 1e-6)


def test_columns_of_many_scales():
    """From 1e-8 to 1e8: those that are small are hardly penalised, and those that are large hardly free."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 60)) * 10 ** rng.uniform(-8, 8, 60)
    assert make("quantile", 1e-6).fit(X, rng.standard_normal(60)).converged_


def test_what_lacks_l2_costs_everything():
    X, y = data()
    box, _ = box_of("absolute_error", X, y)
    box = augmented_lagrangian.replace(box, l2=np.array([2.0, 0.0, 0.0]))
    assert cost_with_l2(np.array([-3.0, 0.0, 0.0]), box.l2) == 2.25
    for lack in (-1e-300, 1e-300):
        assert cost_with_l2(np.array([-3.0, lack, 0.0]), box.l2) == np.inf


def test_losses_are_those_of_the_suite():
    assert set(GIVEN) == set(KINKED + CURVED)
