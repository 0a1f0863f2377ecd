"""The duality gap with L2, where there is no matrix: a bound at every point, and what "converged" claims is true."""

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import minimize_scalar

from gdregress import GradientDescentRegressor
from gdregress.method import choice as choosing
from gdregress.method import sketches
from gdregress.method.spec import Spec
from gdregress.problem.dual import DualityGap
from gdregress.problem.problem import Problem
from gdregress.rows.memory import RowBlocks

QUANTILE, EPSILON = 0.8, 0.5
DEGREE = {"squared_error": 2, "huber": 2, "squared_epsilon_insensitive": 2}

LOSSES = {
    "squared_error": lambda r: r**2,
    "huber": lambda r: np.where(np.abs(r) <= EPSILON, r**2, 2 * EPSILON * np.abs(r) - EPSILON**2),
    "absolute_error": np.abs,
    "quantile": lambda r: np.where(r > 0, QUANTILE * r, (QUANTILE - 1) * r),
    "epsilon_insensitive": lambda r: np.maximum(np.abs(r) - EPSILON, 0),
    "squared_epsilon_insensitive": lambda r: np.maximum(np.abs(r) - EPSILON, 0) ** 2,
}
FACTOR = {"squared_error": 2, "huber": 2}

PENALTIES = [
    {"penalty": "l2", "alpha": 1e-1},
    {"penalty": "l2", "alpha": 1e-4, "fit_intercept": False},
    {"penalty": "elasticnet", "alpha": 1e-2, "l1_ratio": 0.3},
    {"penalty": "l2", "alpha": 1e-2, "positive": True},
]


def data(n=40, p=6, m=1, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)) * (rng.random((n, p)) < 0.5) * 10.0 ** rng.integers(-1, 2, p) + rng.random(p)
    y = (X / X.std(axis=0)).sum(axis=1, keepdims=True) * np.arange(1.0, m + 1) + rng.standard_t(2, (n, m)) + 3
    return X, y, rng.integers(0, 3, n).astype(float)


def objectives(X, y, weight, coef, intercept, loss, *, alpha, l1_ratio=0.0, penalty="l2", **_):
    """F of each output."""
    share = (weight / weight.sum())[:, np.newaxis]
    ratio = l1_ratio if penalty == "elasticnet" else 0.0
    coef = np.atleast_2d(coef)
    size = ratio * np.abs(coef).sum(axis=1) + (1 - ratio) / 2 * (coef**2).sum(axis=1)
    return (share * LOSSES[loss](y - X @ coef.T - intercept)).sum(axis=0) + FACTOR.get(loss, 1) * alpha * size


def regressor(loss, **params):
    shape = {"quantile": {"quantile": QUANTILE}, "squared_error": {}, "absolute_error": {}}.get(
        loss, {"epsilon": EPSILON}
    )
    return GradientDescentRegressor(loss=loss, **shape, **params)


def best(X, y, weight, loss, **params):
    """The least F of each output, from a solver that knows all second derivatives."""
    found = []
    for target in y.T:
        model = regressor(loss, optimizer="newton", tol=1e-8, **params)
        model.fit(X, target, weight)
        found.append(objectives(X, target[:, np.newaxis], weight, model.coef_, model.intercept_, loss, **params).item())
    return np.array(found)


@pytest.fixture
def no_matrix(monkeypatch):
    """More columns than any matrix is made for."""
    monkeypatch.setattr(choosing, "MOMENTS_LIMIT", 4)
    monkeypatch.setattr(sketches, "WIDEST", 4)


def test_raw_points_have_the_coefficients_and_gradients_of_the_standard_ones():
    """The gradient is that of F in units of each output, by the chain rule of the affine map."""
    X, y, weight = data(m=2)
    rows = RowBlocks(sparse.csr_array(X), y, weight)
    standard = Problem.of(Spec.of(regressor("huber")).terms, rows.moments(products=False), rows)
    raw, point = standard.in_raw_coordinates(), np.random.default_rng(0).standard_normal((7, 2))
    same = raw.point_of(standard, point), raw.coordinates.from_raw(*standard.coordinates.to_raw(point)).astype(float)
    assert same[0] is point
    np.testing.assert_allclose(raw.standard_coefficients(same[1]), point[:6], rtol=1e-12)
    slopes = [problem.from_rows().evaluate([w])[0].gradient for problem, w in ((standard, point), (raw, same[1]))]
    np.testing.assert_allclose(raw.standard_gradient(slopes[1]), standard.standard_gradient(slopes[0]), rtol=1e-9)
    np.testing.assert_allclose(raw.mean_residual(same[1]), standard.mean_residual(point), atol=1e-12)


@np.errstate(all="ignore")  # as in a fit
@pytest.mark.parametrize("params", PENALTIES, ids=str)
@pytest.mark.parametrize("loss", LOSSES)
def test_the_gap_of_any_point_bounds_how_far_it_is_from_the_minimum(loss, params):
    """Of the start, of points far off and near the minimum, of the loss and its smoothed twins, raw and scaled."""
    X, y, weight = data(m=2)
    least = best(X, y, weight, loss, **params)
    spec = Spec.of(regressor(loss, **params))
    rows = RowBlocks(sparse.csr_array(X), y, weight)
    standard = Problem.of(spec.terms, rows.moments(products=False), rows)
    rng = np.random.default_rng(1)
    near = regressor(loss, optimizer="newton", **params).fit(X, y, weight)
    for problem in (standard, standard.in_raw_coordinates()):
        unit = problem.standard.target_scale ** DEGREE.get(loss, 1)
        minimum = problem.coordinates.from_raw(near.coef_.T, np.broadcast_to(near.intercept_, 2))
        off = problem.coordinates.from_raw(rng.standard_normal((6, 2)), np.ones(2))
        above = np.vstack([np.zeros((6, 2)), np.full((len(minimum) - 6, 2), 0.1)])  # the intercept, if there is one
        for point in (
            0.0 * minimum,
            minimum,
            minimum + 1e-6 * off,
            minimum + above,
            minimum - 5 * above,
            0.9 * minimum,
            off,
        ):
            point = problem.penalty.prox(point, 0.0)  # the signs that are allowed
            coef, intercept = problem.coordinates.to_raw(point)
            value = objectives(X, y, weight, coef.T, intercept.astype(float), loss, **params)
            for mu in (0.0, 1e-3, 1.0):
                smoothed = problem.smoothed(mu)
                [here] = smoothed.from_rows().evaluate([point])
                gap = DualityGap(0.0)(smoothed, point, here).total
                assert (value - unit * gap <= least * (1 + 1e-9)).all()
                # A tolerance at which the gap is measured again, with a better intercept.
                tol = 0.999 * problem.optimality(here.value, gap)
                again = DualityGap(tol)(smoothed, point, here).total
                assert (again <= gap).all()
                assert (value - unit * again <= least * (1 + 1e-9)).all()


@np.errstate(all="ignore")  # as in a fit
@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss != "squared_error"])
def test_the_gap_is_that_of_slopes_inside_their_box(loss):
    """No bound is nearer than the dual at the best of the points t (u - m), with m the mean slope."""
    X, y, weight = data()
    alpha = 3.0
    spec = Spec.of(regressor(loss, penalty="l2", alpha=alpha))
    rows, share = RowBlocks(X, y, weight), weight / weight.sum()
    problem = Problem.of(spec.terms, rows.moments(products=False), rows)
    kind, l2 = spec.terms.loss, alpha * FACTOR.get(loss, 1)
    for level in (-8.0, -0.5, 0.3, 4.0):
        coef, intercept = np.full((6, 1), 0.05), np.array([np.median(y) + level])
        point = problem.coordinates.from_raw(coef, intercept)
        [here] = problem.from_rows().evaluate([point])
        [gap] = problem.standard.target_scale ** DEGREE.get(loss, 1) * DualityGap(0.0)(problem, point, here).total
        value = objectives(X, y, weight, coef.T, intercept, loss, alpha=alpha).item()
        u = kind.derivative(y[:, 0] - X @ coef[:, 0] - intercept)
        u -= share @ u
        ends = np.where(u > 0, kind.high, kind.low)[u != 0] / u[u != 0]
        t = np.linspace(0.0, min(1.0, ends.min()), 1001)
        slopes = t[:, np.newaxis] * u
        v = slopes @ (share[:, np.newaxis] * X)
        dual = (slopes * y[:, 0] - kind.conjugate(slopes)) @ share - (v**2).sum(axis=1) / (2 * l2)
        assert gap >= value - dual.max() - 1e-12 * value


def claimed(loss, value, optimality, y, weight, fit_intercept=True):
    """The gap that an optimality says."""
    share = weight / weight.sum()

    def constant(b):
        return share @ LOSSES[loss](y - b)

    F0 = minimize_scalar(constant, bounds=(y.min(), y.max())).fun if fit_intercept else constant(0.0)
    return optimality**2 / 2 * F0 if loss in DEGREE else optimality * np.maximum(value, F0 / 1000)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("learning_rate", "params"),
    [*(("auto", params) for params in PENALTIES[:2]), *(("diagonal", params) for params in PENALTIES)],
    ids=str,
)
@pytest.mark.parametrize("loss", LOSSES)
def test_what_a_fit_says_is_true(no_matrix, learning_rate, loss, params):
    """Of every epoch, and of those that end a fit, converged or not."""
    X, y, weight = data()
    least, y = best(X, y, weight, loss, **params).item(), y.ravel()
    for tol, epochs in ((1e-6, 150), (1e-6, 3)):
        model = regressor(loss, learning_rate=learning_rate, tol=tol, epochs=epochs, record_path=True, **params)
        history = model.fit(sparse.csr_array(X), y, weight).history_
        path, optimality = zip(history["coef"], history["intercept"], strict=True), history["optimality"]
        targets = y[:, np.newaxis]
        value = np.array([objectives(X, targets, weight, *each, loss, **params).item() for each in path])
        gap = claimed(loss, value, optimality, y, weight, params.get("fit_intercept", True))
        assert (value - gap <= least * (1 + 1e-9)).all()
        assert model.converged_ == (model.optimality_ <= tol)
        assert np.isfinite(optimality).all()
        assert model.converged_ or epochs == 3 or (model.learning_rate_ == "diagonal" and loss not in DEGREE)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("loss", LOSSES)
def test_what_a_fit_to_rows_of_dask_says_is_true(no_matrix, loss):
    """These are read in passes, and what is said of them is what is said of the same rows in memory."""
    da = pytest.importorskip("dask.array")
    params = PENALTIES[0]
    X, y, _ = data(200)
    least, ones = best(X, y, np.ones(200), loss, **params), np.ones(200)
    model = regressor(loss, learning_rate="diagonal", epochs=100, **params)
    model.fit(da.from_array(X, (50, 6)), da.from_array(y[:, 0], 50))
    same = regressor(loss, epochs=100, learning_rate="diagonal", **params).fit(sparse.csr_array(X), y[:, 0])
    assert model.n_iter_ == same.n_iter_
    assert model.optimality_ == pytest.approx(same.optimality_, rel=1e-6, abs=1e-6)  # where it is rounding
    value = objectives(X, y, ones, model.coef_, model.intercept_, loss, **params)
    assert value - claimed(loss, value, model.optimality_, y[:, 0], ones) <= least * (1 + 1e-9)
    assert model.converged_ or loss not in DEGREE
