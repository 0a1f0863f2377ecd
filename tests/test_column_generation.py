"""Column generation: the conditions of the minimum recomputed, linear programs beside it, and a gap that is a bound."""

import warnings

import numpy as np
import pytest
from hard_problems import linear_program, objective
from scipy import sparse
from scipy.optimize import linprog

from gdregress import GradientDescentRegressor
from gdregress.method import column_generation, faces
from gdregress.method.choice import choose
from gdregress.method.column_generation import ColumnGeneration
from gdregress.method.interior_point import interior_points
from gdregress.method.spec import Spec
from gdregress.problem import features, view
from gdregress.problem.box_gaps import measured_by_shrinking
from gdregress.problem.boxes import BoxProblem
from gdregress.problem.design import Design
from gdregress.problem.losses import LOSSES
from gdregress.problem.problem import Problem
from gdregress.rows.memory import RowBlocks

GIVEN = {
    "huber": {"epsilon": 1.35},
    "absolute_error": {},
    "quantile": {"quantile": 0.7},
    "epsilon_insensitive": {"epsilon": 0.5},
    "squared_epsilon_insensitive": {"epsilon": 0.5},
}
PENALTIES = {
    "l1": {"penalty": "l1"},
    "elastic net": {"penalty": "elasticnet", "l1_ratio": 0.5},
    "positive": {"positive": True},
    "l1 positive": {"penalty": "l1", "positive": True},
}
losses_by_name = pytest.mark.parametrize("loss", GIVEN)
penalties = pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)


def data(n=40, p=120, seed=0, factor=0.5):
    """Columns with a common factor, five true ones, and long tails."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) + factor * rng.normal(size=(n, 1)) + 3.0
    return X, X[:, :5] @ rng.normal(size=5) * 3 + rng.standard_t(2, size=n) + 7.0


def make(loss, penalty, alpha=0.1, **params):
    if penalty.get("penalty"):
        params["alpha"] = alpha
    return GradientDescentRegressor(loss=loss, **GIVEN[loss], **penalty, **params)


def gap(model, X, y, weight=None):
    """F less the largest dual objective for slopes of the loss at the residuals, as a share of F0, by a program.

    The slopes of rows on a kink are free inside their ends: they are those that violate the conditions least.
    """
    weight = np.ones(len(y)) if weight is None else weight
    share = weight / weight.sum()
    loss = LOSSES[model.loss](model.epsilon, model.quantile)
    w, b = model.coef_.astype(float), float(np.ravel(model.intercept_)[0])
    residual = y - X @ w - b
    unit = np.abs(y - np.median(y)).mean()
    near = 1e-9 * (unit + np.abs(y) + np.abs(X) @ np.abs(w))
    first, last = (loss.derivative(residual + sign * near) for sign in (-1.0, 1.0))
    factor = loss.alpha_factor * model.alpha * (model.penalty is not None)
    ratio = {"l1": 1.0, "elasticnet": model.l1_ratio, None: 0.0}[model.penalty]
    l1, l2 = factor * ratio, factor * (1 - ratio)
    center = share @ X if model.fit_intercept else np.zeros(X.shape[1])
    scale = np.sqrt(share @ (X - center) ** 2)
    Z = (X - center)[:, scale > 0] / scale[scale > 0]
    z, l1, l2 = w[scale > 0], l1 / scale[scale > 0], l2 / scale[scale > 0]
    low = np.where(z > 0, l1, -np.inf if model.positive else -l1)
    high = np.where(z < 0, -l1, l1)
    # u in [first, last], |low - e| <= Z'Su - l2 w <= high + e:  the least e
    products = Z.T * share
    bounded, below = np.isfinite(low), low[np.isfinite(low)]
    pull = l2 * z
    A = np.block(
        [
            [products, -np.ones((len(z), 1))],
            [-products[bounded], -np.ones((len(below), 1))],
        ]
    )
    right = np.concatenate([high + pull, -(below + pull[bounded])])
    equal = {"A_eq": np.append(share, 0.0)[np.newaxis], "b_eq": [0.0]} if model.fit_intercept else {}
    slack = 1e-9 * np.abs(np.append(first, last)).max()
    bounds = [*zip(np.minimum(first, last) - slack, np.maximum(first, last) + slack, strict=True), (0, None)]
    found = linprog(np.append(np.zeros(len(y)), 1.0), A, right, bounds=bounds, **equal)
    assert found.status == 0
    return found.x[-1] / np.abs(loss.derivative(y - np.median(y))).mean()


def solver_of(model, X, y):
    rows = RowBlocks(X, y.reshape(len(y), -1).astype(float))
    spec = Spec.of(model)
    choice = choose(spec, rows)
    problem = Problem.of(spec.terms, choice.moments(rows), rows)
    return choice.method(spec, problem, np.random.RandomState(0))


def box_of(model, X, y):
    problem = solver_of(model, X, y).problem
    box = BoxProblem.of(problem, Design.of(problem, None), 0)
    return box, box.of_point(np.zeros(problem.n_coordinates))


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("loss", ["quantile", "epsilon_insensitive"])
@pytest.mark.parametrize("limit", [0, 2**19])
def test_some_columns_are_multiplied_as_within_all(limit, loss, fit_intercept, monkeypatch):
    """Whether a small copy of them is in the coordinates or not."""
    X, y = data(p=60)
    problem = solver_of(make(loss, {"penalty": "l1"}, fit_intercept=fit_intercept), X, y).problem
    monkeypatch.setattr(view, "COPY_LIMIT", 0)
    monkeypatch.setattr(features, "COPY_LIMIT", limit)
    whole, rng = Design.of(problem, None), np.random.default_rng(0)
    columns = rng.permutation(60)[:7]
    some = whole.of_columns(columns)
    assert hasattr(some.features, "stored") == (limit > 0)
    n_data = len(y) * whole.copies
    of_point = np.append(columns, np.arange(60, problem.n_coordinates))
    of_rows = np.append(np.arange(n_data), n_data + columns)
    point, vector = np.zeros(problem.n_coordinates), np.zeros((n_data + 60, 1))
    point[of_point], vector[of_rows, 0] = rng.normal(size=len(of_point)), rng.random(len(of_rows))
    np.testing.assert_allclose(some.dot(point[of_point]), whole.dot(point)[of_rows], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(
        some.transposed(vector[of_rows]), whole.transposed(vector)[of_point], rtol=1e-12, atol=1e-12
    )
    exact = whole.gram(vector[:, 0])[np.ix_(of_point, of_point)]
    np.testing.assert_allclose(some.gram(vector[of_rows, 0]), exact, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(
        some.chosen(np.arange(9)), whole.chosen(of_rows[:9])[:, of_point], rtol=1e-12, atol=1e-12
    )


@losses_by_name
@penalties
class TestMinimum:
    @pytest.mark.grid(2)
    @pytest.mark.parametrize("fit_intercept", [True, False])
    def test_the_conditions_hold_with_weights(self, loss, penalty, fit_intercept):
        X, y = data()
        weight = np.random.default_rng(1).integers(0, 4, size=len(y)).astype(float)
        model = make(loss, penalty, fit_intercept=fit_intercept).fit(X, y, sample_weight=weight)
        assert model.converged_
        assert gap(model, X, y, weight) < 1e-6
        counts = weight.astype(int)
        repeated = make(loss, penalty, fit_intercept=fit_intercept).fit(np.repeat(X, counts, 0), np.repeat(y, counts))
        assert repeated.history_["loss"][-1] == pytest.approx(model.history_["loss"][-1], rel=1e-6, abs=1e-9)

    @pytest.mark.grid(2)
    @pytest.mark.parametrize("change", ["duplicated", "flipped", "constant", "units"])
    def test_columns_that_depend_on_others(self, loss, penalty, change):
        X, y = data(p=80)
        if change in ("duplicated", "flipped"):
            X = np.hstack([X, X if change == "duplicated" else -X])
        elif change == "constant":
            X[:, ::2] = 5.0
        else:
            X *= 10.0 ** np.linspace(-4, 4, X.shape[1])
        model = make(loss, penalty, 0.02).fit(X, y)
        assert model.converged_
        assert gap(model, X, y) < 1e-6

    @pytest.mark.grid(2)
    @pytest.mark.parametrize("kind", ["float32", "F order", "CSR", "CSR array", "read-only"])
    def test_kinds_of_data(self, loss, penalty, kind):
        X, y = data()
        X[np.random.default_rng(2).uniform(size=X.shape) < 0.7] = 0.0
        X = X.astype(np.float32).astype(float)
        model = make(loss, penalty, 0.05)
        plain = model.fit(X, y).history_["loss"][-1]
        change = {"float32": np.float32, "CSR": sparse.csr_matrix, "CSR array": sparse.csr_array}
        other = np.asfortranarray(X) if kind == "F order" else change.get(kind, np.array)(X)
        if kind == "read-only":
            other.setflags(write=False)
        model.fit(other, y)
        assert model.converged_
        assert model.coef_.dtype == other.dtype
        assert model.history_["loss"][-1] == pytest.approx(plain, rel=1e-7, abs=1e-7)
        if kind != "float32":
            assert gap(model, X, y) < 1e-6

    @pytest.mark.grid(1)
    def test_each_output_has_its_own_set(self, loss, penalty):
        X, y = data()
        Y = np.column_stack([y, data(seed=1)[1], np.full(len(y), 2.0)])
        model = make(loss, penalty, 0.05).fit(X, Y)
        assert model.converged_
        for output in range(3):
            alone = make(loss, penalty, 0.05).fit(X, Y[:, output])
            np.testing.assert_allclose(model.coef_[output], alone.coef_, rtol=1e-6, atol=1e-6)

    @pytest.mark.grid(1)
    def test_a_set_is_entered_and_grows(self, loss, penalty, monkeypatch):
        sizes = []

        def recorded(box, start):
            sizes.append(box.design.n_penalised)
            return interior_points(box, start)

        monkeypatch.setattr(column_generation, "interior_points", recorded)
        X, y = data(p=600)
        assert make(loss, penalty, 0.05).fit(X, y).converged_
        assert len(sizes) > 1
        assert sizes == sorted(set(sizes))
        assert sizes[-1] < 600


@pytest.mark.parametrize("share", [0.3, 0.1, 0.03, 0.01])
@pytest.mark.parametrize("params", [{}, {"positive": True}], ids=str)
def test_a_linear_program_beside_it(share, params):
    X, y = data(n=50, p=400)
    slopes = np.where(y > np.quantile(y, 0.7), 0.7, -0.3)
    alpha = share * np.abs((X - X.mean(axis=0)).T @ (slopes - slopes.mean())).max() / len(y)
    model = make("quantile", {"penalty": "l1"}, alpha, **params).fit(X, y)
    assert model.converged_
    given = {"loss": "quantile", "quantile": 0.7, "penalty": "l1", "positive": False, "fit_intercept": True, **params}
    given["alpha"] = alpha
    least = linear_program(X, y, None, given)
    assert objective(given, X, y, None, model.coef_, model.intercept_) == pytest.approx(least, rel=1e-9)


@pytest.mark.parametrize("loss", ["huber", "quantile"])
def test_at_the_least_alpha_that_makes_all_zero_and_just_below(loss):
    """It is bisected, and of a loss without kinks the slopes at the best constant name it."""
    X, y = data()
    center = X - X.mean(axis=0)
    low, high = 0.0, 100.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        model = make(loss, {"penalty": "l1"}, middle).fit(X, y)
        assert model.converged_
        low, high = (low, middle) if not model.coef_.any() else (middle, high)
    just_above, just_below = (make(loss, {"penalty": "l1"}, high * share).fit(X, y) for share in (1.0001, 0.999))
    assert not just_above.coef_.any()
    assert just_below.coef_.any()
    assert just_above.converged_
    assert just_below.converged_
    piece = LOSSES[loss](just_above.epsilon, 0.7)
    if piece.degree == 2:
        slope = piece.derivative(y - just_above.intercept_)
        assert high * piece.alpha_factor == pytest.approx(np.abs(center.T @ slope).max() / len(y), rel=1e-5)


@pytest.mark.grid(2)
@losses_by_name
@penalties
@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
@np.errstate(divide="ignore")
def test_the_gap_is_a_bound_whatever_the_slopes(loss, penalty, scale):
    X, y = data(n=25, p=60)
    box, start = box_of(make(loss, penalty, 0.3), X, y)
    *_, least = interior_points(box, start)
    rng = np.random.default_rng(4)
    for _ in range(10):
        point = box.allowed(rng.standard_normal(len(start)) * (rng.uniform(size=len(start)) < 0.2))
        slope = scale * rng.standard_normal(len(box.target))
        slope[box.n_data :] = 0.0
        found = measured_by_shrinking(box, point, box.residual(point), slope, box.pull(slope))
        assert found.gap >= found.value - least.value - 1e-9
        inside = found.dual
        assert (inside >= box.low - 1e-12).all()
        assert (inside <= box.high + 1e-12).all()


def test_what_is_not_converged_is_said():
    X, y = data(p=300)
    with warnings.catch_warnings(record=True, action="always") as caught:
        model = make("huber", {"penalty": "l1"}, 0.02, epochs=2).fit(X, y)
    assert not model.converged_
    assert model.optimality_ > 1e-6
    assert any("epochs" in str(each.message) for each in caught)


@pytest.mark.parametrize(("shape", "is_chosen"), [((40, 120), True), ((600, 501), True), ((600, 300), False)])
@pytest.mark.parametrize("loss", ["huber", "quantile"])
def test_what_auto_chooses(loss, shape, is_chosen):
    X, y = np.random.default_rng(0).normal(size=shape), np.zeros(shape[0])
    y[0] = 1.0
    found = solver_of(make(loss, {"penalty": "l1"}), X, y)
    assert isinstance(found.solver, ColumnGeneration) == is_chosen
    assert found.choice.optimizer == "newton"


def test_more_columns_than_any_other_exact_solver_takes():
    rng = np.random.default_rng(0)
    X = sparse.random(60, 5000, density=0.05, format="csr", random_state=0, data_rvs=rng.standard_normal)
    y = X[:, :5] @ (3 * rng.normal(size=5)) + rng.standard_t(2, size=60)
    for loss in ("huber", "quantile"):
        model = make(loss, {"penalty": "l1"}, 0.01).fit(X, y)
        assert model.converged_
        assert gap(model, X.toarray(), y) < 1e-6
        assert model.n_iter_ < 30


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(200))
@np.errstate(all="ignore")
def test_the_same_minimum_as_on_all_columns_at_once(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(5, 50))
    p = int(rng.integers(2, 100))
    X, y = data(n, max(p, 5), seed, factor=rng.choice([0.0, 0.5, 3.0]))
    loss, penalty = rng.choice(list(GIVEN)), PENALTIES[rng.choice(list(PENALTIES))]
    box, start = box_of(make(loss, penalty, 10.0 ** rng.uniform(-3, 0)), X, y)
    *_, all_at_once = interior_points(box, start)
    *_, found = column_generation.column_generation(box, start)
    assert found.gap <= 1e-6**box.degree * found.scale
    tolerance = 1e-9 * found.scale + max(found.gap, all_at_once.gap)
    assert abs(found.value - all_at_once.value) <= tolerance


@pytest.mark.parametrize("loss", ["huber", "absolute_error"])
@pytest.mark.parametrize("start", ["warm", "random"])
def test_it_starts_anywhere(start, loss):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 60))
    y = X[:, :3].sum(axis=1) + rng.standard_normal(40)
    params = {"loss": loss, "penalty": "l1", **({"epsilon": 1.0} if loss == "huber" else {})}
    cold = GradientDescentRegressor(alpha=0.03, **params).fit(X, y)
    if start == "random":
        model = GradientDescentRegressor(alpha=0.03, init="random", random_state=0, **params).fit(X, y)
    else:
        model = GradientDescentRegressor(alpha=0.3, warm_start=True, **params).fit(X, y)
        model.set_params(alpha=0.03).fit(X, y)
    assert model.converged_
    np.testing.assert_allclose(model.coef_, cold.coef_, atol=1e-5)


@pytest.mark.parametrize("loss", ["absolute_error", "quantile"])
def test_no_vertex_is_looked_for_that_needs_more_rows_than_there_are(loss, monkeypatch):
    """Signs alone leave a thousand coefficients of two rows positive: a factor of all would take most of the time."""
    rng, n_columns, independent = np.random.default_rng(0), [], faces._independent
    monkeypatch.setattr(faces, "_independent", lambda rows: n_columns.append(rows.shape[1]) or independent(rows))
    X, y = rng.normal(size=(2, 1200)), rng.normal(size=2)
    model = GradientDescentRegressor(loss=loss, positive=True).fit(X, y)
    assert model.converged_
    assert np.count_nonzero(model.coef_) > faces.COSTLY_PIVOTS
    assert max(n_columns, default=0) <= faces.COSTLY_PIVOTS
    np.testing.assert_allclose(model.predict(X), y, atol=1e-6)


def test_the_minimum_is_reached_whatever_the_units_of_few_rows():
    """The slopes of L1 span twelve orders of magnitude: the squares of all of them are more than digits can hold."""
    counts = np.array([[-2, -3, 1, -3, 0, 0], [-3, 2, 0, -1, 0, -1], [-1, -3, -2, 3, 3, 1], [-1, -1, 1, 1, 1, -1]])
    counts = np.vstack([counts, [2, 3, -2, -1, 3, 3]])
    X, y = counts * [7e5, 3.3e-5, 1.4e-3, 1e3, 7.5e-4, 1.25e-6], np.full(5, 1.13e5)
    alpha, epsilon = 7.6e-7, 1e-3
    params = {"penalty": "l1", "alpha": alpha, "epsilon": epsilon, "fit_intercept": False}
    model = GradientDescentRegressor(loss="squared_epsilon_insensitive", **params).fit(X, y)
    assert model.converged_
    # All rows are met but for epsilon, so that the coefficients are those of a linear program, the basis pursuit.
    unit = np.abs(X).max(axis=0)
    both = np.hstack([X / unit, -X / unit]) / y[0]
    ends = np.concatenate([y + epsilon, epsilon - y]) / y[0]
    found = linprog(np.tile(unit.min() / unit, 2), np.vstack([both, -both]), ends)
    least = alpha * found.fun / unit.min()
    assert alpha * np.abs(model.coef_).sum() == pytest.approx(least, rel=1e-3)
    assert model.history_["loss"][-1] <= 1e-3 * least
