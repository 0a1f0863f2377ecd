"""Working sets: the conditions of the minimum recomputed, the gap beside a naive dual, and Lasso's zeros."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import nnls
from scipy.sparse.linalg import ArpackNoConvergence
from sklearn.base import clone
from sklearn.datasets import make_regression
from sklearn.linear_model import ElasticNet, Lasso
from small_blocks import SmallBlocks

from gdregress import GradientDescentRegressor
from gdregress.method import rates, without_products, working_set
from gdregress.method.choice import choose
from gdregress.method.conjugate_gradients import conjugate_gradients
from gdregress.method.spec import Spec
from gdregress.method.without_products import ManyColumns
from gdregress.method.working_set import WorkingSet
from gdregress.problem.columns import ColumnsObjective, SparseColumns
from gdregress.problem.dual import by_products, squared_error_gap
from gdregress.problem.problem import Problem
from gdregress.rows.memory import RowBlocks


def data(n=40, p=120, seed=0, factor=0.5):
    """Columns with a common factor, ten true ones."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) + factor * rng.normal(size=(n, 1)) + 3.0
    return X, X[:, :10] @ rng.normal(size=10) * 3 + rng.normal(size=n) + 7.0


def strengths(model):
    ratio = {"l1": 1.0, "elasticnet": model.l1_ratio, None: 0.0}[model.penalty]
    return model.alpha * ratio, model.alpha * (1.0 - ratio) * (model.penalty is not None)


def violation(model, X, y, weight=None):
    """How far the conditions of the minimum are from holding, as a share of the largest slope at zero."""
    weight = np.ones(len(y)) if weight is None else weight
    center = weight @ X / weight.sum() if model.fit_intercept else np.zeros(X.shape[1])
    worst = 0.0
    for target, w, b in zip(
        y.reshape(len(y), -1).T, *map(np.atleast_2d, (model.coef_, [model.intercept_])), strict=False
    ):
        l1, l2 = strengths(model)
        residual = target - X @ w - np.ravel(b)[0]
        gradient = -(X - center).T @ (weight * residual) / weight.sum() + l2 * w
        at_zero = np.maximum((-gradient if model.positive else np.abs(gradient)) - l1, 0.0)
        off = np.where(w == 0, at_zero, np.abs(gradient + l1 * np.sign(w)))
        size = np.abs((X - center).T @ (weight * (target - target.mean()))).max() / weight.sum()
        worst = max(worst, off.max() / size)
        assert (w >= 0).all() or not model.positive
    return worst


def largest(X, y):
    return np.abs((X - X.mean(axis=0)).T @ (y - y.mean())).max() / len(y)


def penalised(alpha, params):
    """The parameters, with `alpha` where it has an effect."""
    return {"alpha": alpha, **params} if params.get("penalty") else params


PENALTIES = {
    "l1": {"penalty": "l1"},
    "elastic net": {"penalty": "elasticnet", "l1_ratio": 0.5},
    "positive": {"positive": True},
    "l1 positive": {"penalty": "l1", "positive": True},
}


@pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)
class TestMinimum:
    @pytest.mark.parametrize("share", [0.5, 1e-2, 1e-5, 1e-8])
    def test_the_conditions_hold(self, penalty, share):
        X, y = data()
        model = GradientDescentRegressor(**penalised(share * largest(X, y), penalty)).fit(X, y)
        assert model.converged_
        assert violation(model, X, y) < 1e-11

    def test_without_intercept_and_with_weights(self, penalty):
        X, y = data()
        weight = np.random.default_rng(1).integers(0, 4, size=len(y)).astype(float)
        for fit_intercept in (True, False):
            model = GradientDescentRegressor(fit_intercept=fit_intercept, **penalised(0.1, penalty))
            assert violation(model.fit(X, y, sample_weight=weight), X, y, weight) < 1e-11
            repeated = (
                model.coef_,
                model.fit(np.repeat(X, weight.astype(int), axis=0), np.repeat(y, weight.astype(int))),
            )
            np.testing.assert_allclose(repeated[0], repeated[1].coef_, rtol=1e-8, atol=1e-10)

    @pytest.mark.parametrize("change", ["duplicated", "flipped", "constant", "units"])
    def test_columns_that_depend_on_others(self, penalty, change):
        X, y = data()
        if change in ("duplicated", "flipped"):
            X = np.hstack([X, X if change == "duplicated" else -X])
        elif change == "constant":
            X[:, ::2] = 5.0
        else:
            X *= 10.0 ** np.linspace(-5, 5, X.shape[1])
        for share in (0.9, 1e-2, 1e-6):
            model = GradientDescentRegressor(**penalised(share * largest(X, y), penalty)).fit(X, y)
            assert model.converged_
            assert violation(model, X, y) < 1e-11

    def test_as_many_rows_as_columns(self, penalty):
        X, y = data(n=30, p=30)
        model = GradientDescentRegressor(**penalised(1e-6 * largest(X, y), penalty)).fit(X, y)
        assert model.converged_
        assert violation(model, X, y) < 1e-11

    @pytest.mark.parametrize("kind", ["float32", "F order", "CSR", "CSR array", "read-only"])
    def test_kinds_of_data(self, penalty, kind):
        X, y = data()
        X[np.random.default_rng(2).uniform(size=X.shape) < 0.7] = 0.0
        X = X.astype(np.float32).astype(float)
        model = GradientDescentRegressor(**penalised(0.05 * largest(X, y), penalty))
        plain = model.fit(X, y).coef_
        other = {
            "float32": lambda X: X.astype(np.float32),
            "F order": np.asfortranarray,
            "CSR": sparse.csr_matrix,
            "CSR array": sparse.csr_array,
            "read-only": lambda X: X,
        }[kind](X)
        if kind == "read-only":
            other.setflags(write=False)
        found = model.fit(other, y).coef_
        assert found.dtype == other.dtype
        tolerance = 1e-6 if kind == "float32" else 1e-10
        np.testing.assert_allclose(found, plain, rtol=tolerance, atol=tolerance * np.abs(plain).max())
        np.testing.assert_array_equal(found == 0, plain == 0)

    def test_each_output_has_its_own_minimum(self, penalty):
        X, y = data()
        Y = np.column_stack([y, 1000.0 * data(seed=1)[1], np.full(len(y), 2.0)])
        alpha = 0.05 * largest(X, y)
        model = GradientDescentRegressor(**penalised(alpha, penalty)).fit(X, Y)
        assert model.converged_
        for output in range(3):
            alone = GradientDescentRegressor(**penalised(alpha, penalty)).fit(X, Y[:, output])
            np.testing.assert_allclose(
                model.coef_[output], alone.coef_, rtol=1e-9, atol=1e-11 * np.abs(alone.coef_).max()
            )

    def test_a_start_from_other_coefficients_ends_at_the_same(self, penalty):
        X, y = data()
        model = GradientDescentRegressor(**penalised(0.1, penalty)).fit(X, y)
        cold = model.coef_.copy()
        model.set_params(warm_start=True).fit(X, y)
        assert model.n_iter_ <= 1
        np.testing.assert_allclose(model.coef_, cold, rtol=1e-9, atol=1e-12)
        if model.penalty is not None:
            model.set_params(alpha=0.01).fit(X, y).set_params(alpha=0.1).fit(X, y)
        np.testing.assert_allclose(model.coef_, cold, rtol=1e-9, atol=1e-12)
        random = GradientDescentRegressor(init="random", random_state=0, **penalised(0.1, penalty)).fit(X, y)
        np.testing.assert_allclose(random.coef_, cold, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("share", [0.3, 1e-2, 1e-4])
def test_zeros_are_those_of_lasso(share):
    X, y = data()
    alpha = share * largest(X, y)
    model = GradientDescentRegressor(penalty="l1", alpha=alpha).fit(X, y)
    lasso = Lasso(alpha=alpha, tol=1e-12, max_iter=10**6).fit(X, y)
    np.testing.assert_allclose(model.coef_, lasso.coef_, rtol=1e-5, atol=1e-6 * np.abs(lasso.coef_).max())
    slack = alpha - np.abs((X - X.mean(axis=0)).T @ (y - lasso.predict(X))) / len(y)
    beyond_doubt = slack > 1e-6 * alpha
    assert beyond_doubt.sum() > 50
    assert (model.coef_[beyond_doubt] == 0).all()


def test_elastic_net_is_that_of_scikit_learn():
    X, y = data()
    model = GradientDescentRegressor(penalty="elasticnet", alpha=0.1, l1_ratio=0.3).fit(X, y)
    other = ElasticNet(alpha=0.1, l1_ratio=0.3, tol=1e-12, max_iter=10**6).fit(X, y)
    np.testing.assert_allclose(model.coef_, other.coef_, rtol=1e-6, atol=1e-8)


def test_the_example_on_which_block_pivoting_went_in_circles():
    X, y = make_regression(16, 15, n_informative=15, random_state=31, noise=1.0)
    model = GradientDescentRegressor(penalty="l1", alpha=1.0).fit(X, y)
    assert model.converged_
    assert model.n_iter_ <= 5
    np.testing.assert_allclose(model.coef_, Lasso(alpha=1.0, tol=1e-12, max_iter=10**6).fit(X, y).coef_, rtol=1e-7)


def problem_of(X, y, **params):
    rows = RowBlocks(X, y.reshape(len(y), -1))
    spec = Spec.of(GradientDescentRegressor(**params))
    return spec, Problem.of(spec.terms, choose(spec, rows).moments(rows), rows)


@pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_gap_bounds_the_suboptimality_of_every_state(penalty, fit_intercept):
    X, y = data()
    _, problem = problem_of(X, y, alpha=0.02, fit_intercept=fit_intercept, **penalty)
    rng, p = np.random.default_rng(0), X.shape[1]
    states = list(WorkingSet().iterates(problem, np.zeros((p + fit_intercept, 1))))
    least = float(states[-1].value[0, 0])
    bounds = [float(state.gap.total[0, 0]) for state in states]
    for state, bound in zip(states, bounds, strict=True):
        assert bound >= float(state.value[0, 0]) - least - 1e-14
    assert bounds[-1] < 1e-20
    assert len(states) > 2
    members, second = np.empty(0, int), np.empty((0, 0))
    for size in np.geomspace(1e-6, 1.0, 20):
        point = problem.penalty.prox(states[-1].points.at(0) + size * rng.normal(size=(p + fit_intercept, 1)), 0.0)
        [here] = problem.from_rows().evaluate([point])
        bound = squared_error_gap(problem.penalty, point, here, members, by_products(second))
        assert bound >= here.value - least - 1e-14


def test_the_bound_is_that_of_the_dual_written_out():
    """For L1: D(u) = mean(u y - u^2 / 4), u the residuals doubled, centred, and shrunk until no column exceeds l1."""
    X, y = data()
    _, problem = problem_of(X, y, alpha=0.3, penalty="l1")
    rng, p = np.random.default_rng(0), X.shape[1]
    point = np.vstack([0.05 * rng.normal(size=(p, 1)), [[0.3]]])
    [here] = problem.from_rows().evaluate([point])
    bound = squared_error_gap(problem.penalty, point, here, np.empty(0, int), by_products(np.empty((0, 0))))
    Z, target = (X - X.mean(axis=0)) / X.std(axis=0), (y - y.mean()) / y.std()
    u = 2.0 * (target - Z @ point[:p, 0])
    u *= min(1.0, (problem.penalty.l1[:, 0] / np.abs(Z.T @ u / len(y))).min())
    dual = np.mean(u * target - u * u / 4)
    np.testing.assert_allclose(bound, here.value - dual, rtol=1e-12)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize(("alpha", "positive"), [(0.0, True), (0.05, True), (0.05, False)])
def test_the_gap_of_any_support_bounds_the_suboptimality(alpha, positive, seed):
    """Of points that are far from the minimum for their signs, at which further columns leave zero, with all products.

    Other columns may well violate no condition at the point itself.
    """
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(60, 4)) @ rng.normal(size=(4, 4))
    y = X @ rng.normal(size=4) + rng.normal(size=60)
    _, problem = problem_of(X, y, alpha=alpha, penalty="l1" if alpha else None, positive=positive)
    Z, target = (X - X.mean(axis=0)) / X.std(axis=0), (y - y.mean()) / y.std()
    l1 = problem.penalty.l1[:, 0]
    if positive:  # the linear term by completing the square, since Z is of full rank
        shifted = target - Z @ np.linalg.solve(Z.T @ Z, len(y) * l1 / 2)
        w = nnls(Z, shifted)[0]
    else:
        w = Lasso(alpha=0.5, fit_intercept=False, tol=1e-14, max_iter=10**5).fit(Z / l1, target).coef_ / l1
    least = np.mean((target - Z @ w) ** 2) + l1 @ np.abs(w)
    for _ in range(50):
        z = np.where(rng.random(4) < 0.5, rng.normal(size=4) * rng.choice([0.1, 1.0, 3.0]), 0.0)
        point = np.append(np.abs(z) if positive else z, 0.0)[:, np.newaxis]
        [here] = problem.from_rows().evaluate([point])
        bound = squared_error_gap(problem.penalty, point, here, np.arange(4), by_products(2.0 * Z.T @ Z / len(y)))
        assert bound >= here.value - least - 1e-9
        assert bound <= here.value


@pytest.mark.parametrize(
    ("apart", "tol"), [(1e-1, 1e-1), (1e-3, 1e-1), (2e-7, 1e-3), (2e-9, 1e-4), (1e-12, 1e-6), (1e-13, 1e-6)]
)
@pytest.mark.parametrize("n_columns", [2, 200])
def test_a_large_coefficient_at_the_minimum_is_no_converged_fit_without_it(n_columns, apart, tol):
    """Two columns of opposite sign differ by so little of the target that only coefficients of 1 / apart explain it."""
    rng = np.random.default_rng(0)
    _, first, rest = np.linalg.qr(np.column_stack([np.ones(300), rng.normal(size=(300, 2))]))[0].T * np.sqrt(300)
    X, y = np.zeros((300, n_columns)), rest
    X[:, 0], X[:, -1] = first, -first + apart * rest
    with warnings.catch_warnings(action="ignore"):
        model = GradientDescentRegressor(positive=True, tol=tol).fit(X, y)
    centred = X - X.mean(axis=0)
    least = np.mean((y - (centred[:, 0] + centred[:, -1]) / apart) ** 2)
    assert least <= 1e-4
    reached = np.mean((y - model.predict(X)) ** 2)
    assert np.sqrt(2.0 * max(reached - least, 0.0)) <= 1.01 * model.optimality_ + 1e-6
    assert model.converged_ or apart < 1e-5


def test_what_is_known_of_some_columns_proves_nothing_of_the_others():
    """Both coefficients of an orthogonal design are too large, and the set knows of that which is nearly right."""
    X = np.repeat([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], 5, axis=0)
    _, problem = problem_of(X, X @ [2.0, 1.0], alpha=0.1, penalty="l1")
    least = list(WorkingSet().iterates(problem, np.zeros((3, 1))))[-1]
    point = np.array([[1.001], [1.05], [1.0]]) * least.points.at(0)
    [here] = problem.from_rows().evaluate([point])
    bound = squared_error_gap(problem.penalty, point, here, np.array([0]), by_products(np.array([[2.0]])))
    assert bound >= here.value - least.value[0] > 1e-4


def test_products_of_columns_are_gathered_once(monkeypatch):
    """Each pass over the set extends the products by the columns that join, and a repeated fit gathers no more."""
    import gdregress.method.working_set as solver

    gathered, products = [], solver.products_of_columns
    monkeypatch.setattr(
        solver,
        "products_of_columns",
        lambda view, members, n_known: gathered.append((list(members), n_known)) or products(view, members, n_known),
    )
    X, y = data()
    GradientDescentRegressor(penalty="l1", alpha=1e-3 * largest(X, y)).fit(X, y)
    assert len(gathered) > 2
    for (before, _), (after, n_known) in pairwise(gathered):
        assert after[:n_known] == before
        assert len(set(after)) == len(after)


def check_csr(p, penalty, alpha):
    """Most columns have one entry or none: they are one another's multiples, and many have no effect."""
    rng = np.random.default_rng(0)
    of_entries = rng.random(2 * p // 5), (rng.integers(200, size=2 * p // 5), rng.integers(p, size=2 * p // 5))
    X = sparse.csr_array(sparse.coo_array(of_entries, shape=(200, p)))
    y = X[:, :1000] @ rng.normal(size=1000) + rng.normal(size=200)
    model = GradientDescentRegressor(**penalised(alpha, penalty), tol=1e-12).fit(X, y)
    assert model.converged_
    l1, l2 = strengths(model)
    residual = y - model.predict(X)
    gradient = -(X.T @ residual) / 200 + np.asarray(X.mean(axis=0)).ravel() * residual.mean() + l2 * model.coef_
    at_zero = np.maximum((-gradient if model.positive else np.abs(gradient)) - l1, 0.0)
    assert np.where(model.coef_ == 0, at_zero, np.abs(gradient + l1 * np.sign(model.coef_))).max() < 1e-12


@pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)
def test_more_columns_of_csr_than_a_matrix_could_have(penalty):
    check_csr(40_000, penalty, 1e-2)


def many(m=2):
    """CSR of many columns with few entries, of which 400 are true ones, and weights."""
    rng = np.random.default_rng(0)
    X = sparse.random_array(
        (600, 3000), density=0.003, format="csr", random_state=rng, data_sampler=rng.standard_normal
    )
    y = X[:, :400] @ rng.normal(size=(400, m)) + rng.normal(size=(600, m))
    return X, y, rng.integers(3, size=600)


def texts(n=1500, p=1500, words=30):
    """CSR of words that are drawn by Zipf's law, and rows of length 1; every word counts."""
    rng = np.random.default_rng(0)
    share = np.cumsum(1.0 / (10.0 + np.arange(p)))
    columns = np.searchsorted(share, share[-1] * rng.random(n * words))
    X = sparse.csr_array((np.ones(n * words), columns, np.arange(0, n * words + 1, words)), shape=(n, p))
    X.sum_duplicates()
    X.data /= np.repeat(np.sqrt(np.add.reduceat(X.data**2, X.indptr[:-1])), np.diff(X.indptr))
    return X, X @ rng.normal(size=p) + 0.1 * rng.normal(size=n)


@pytest.fixture
def descents(monkeypatch):
    """For each descent of a fit, the number of columns, and for which outputs it has come near the minimum."""
    found, descended = [], working_set.descended

    def kept(many, *others):
        point, is_near = descended(many, *others)
        found.append((len(many.members), is_near.tolist()))
        return point, is_near

    monkeypatch.setattr(working_set, "descended", kept)
    return found


@pytest.fixture
def solved(monkeypatch):
    """For each set that a fit solves with its products, the number of columns."""
    found, by_products = [], working_set._solved

    def kept(penalty, factor, members, *others):
        found.append(len(members))
        return by_products(penalty, factor, members, *others)

    monkeypatch.setattr(working_set, "_solved", kept)
    return found


@pytest.mark.parametrize("penalty", [PENALTIES[name] for name in ("l1", "elastic net", "l1 positive")])
def test_many_columns_of_csr_go_without_their_products(penalty, descents, solved, monkeypatch):
    """With weights and two outputs; a descent that takes too long changes nothing."""
    X, y, weight = many()
    model = GradientDescentRegressor(**penalised(2e-3, penalty))
    fitted = clone(model).fit(X, y, weight)
    assert fitted.converged_
    assert violation(fitted, X.toarray(), y, weight) < 1e-12
    assert descents[0][0] > working_set.MANY
    assert descents[0][1] == [True, True]
    assert max(solved[:-1]) <= working_set.MANY
    monkeypatch.setattr(without_products, "MOST_PRODUCTS", 1)
    descents.clear()
    other = clone(model).fit(X, y, weight)
    assert descents[0][1] == [False, False]
    np.testing.assert_allclose(other.coef_, fitted.coef_, rtol=1e-9, atol=1e-12 * np.abs(fitted.coef_).max())


@pytest.mark.parametrize("penalty", [PENALTIES[name] for name in ("l1", "elastic net", "l1 positive")])
def test_texts_with_many_words_are_never_solved_with_products(penalty, descents, solved):
    """Words are nearly orthogonal: faces by conjugate gradients lead to the minimum, and prove that it is one."""
    X, y = texts()
    model = GradientDescentRegressor(**penalised(1e-4, penalty), tol=1e-14, epochs=40).fit(X, y)
    assert np.count_nonzero(model.coef_) > working_set.MANY
    assert model.converged_
    assert model.optimality_ < 1e-14
    assert violation(model, X.toarray(), y) < 1e-12
    assert max(solved) <= working_set.MANY
    assert all(all(is_near) for _, is_near in descents)


def test_columns_that_violate_their_conditions_by_rounding_join_no_more(descents, monkeypatch):
    """They would be descended again and again; here everything is rounding."""
    X, y = texts()
    monkeypatch.setattr(working_set, "NOISE", 1e3)
    with warnings.catch_warnings(action="ignore"):
        GradientDescentRegressor(**penalised(1e-4, PENALTIES["l1"]), tol=1e-12).fit(X, y)
    sizes = [size for size, _ in descents]
    first = [is_near for _, is_near in descents].index([True])
    assert sizes[first + 1] <= sizes[first]


def test_a_warm_start_of_many_words_corrects_the_intercept():
    X, y = texts()
    model = GradientDescentRegressor(**penalised(1e-4, PENALTIES["l1"]), tol=1e-12, warm_start=True).fit(X, y)
    intercept, coef = model.intercept_, model.coef_
    model.intercept_ = intercept + 5.0
    model.fit(X, y)
    assert model.converged_
    np.testing.assert_allclose(model.intercept_, intercept, rtol=1e-9)
    np.testing.assert_allclose(model.coef_, coef, rtol=1e-9, atol=1e-12)


def test_columns_that_depend_on_each_other_are_descended_by_nesterovs_rule(monkeypatch):
    """F is then higher on most faces: what Nesterov's rule reaches is where the next one begins."""
    found, by_nesterov = [], without_products._Descent._by_nesterov

    def kept(self, place, tol):
        reached = by_nesterov(self, place, tol)
        found.append(reached is not None)
        return reached

    X, y, _ = many(1)
    monkeypatch.setattr(without_products._Descent, "_by_nesterov", kept)
    model = GradientDescentRegressor(**penalised(2e-3, PENALTIES["l1"])).fit(X, y.ravel())
    assert model.converged_
    assert any(found)
    assert violation(model, X.toarray(), y) < 1e-12


def test_a_target_of_one_column_beside_one_of_many_is_descended_too(descents):
    """The columns that join later violate nothing for it."""
    X, y, _ = many()
    y[:, 1] = 3.0 * X[:, [0]].toarray().ravel()
    model = GradientDescentRegressor(**penalised(2e-3, PENALTIES["l1"])).fit(X, y)
    assert model.converged_
    assert violation(model, X.toarray(), y) < 1e-12
    assert len(descents) > 1
    assert all(all(is_near) for _, is_near in descents)
    assert np.count_nonzero(model.coef_[1]) == 1


def test_outputs_that_a_descent_has_not_reached_are_solved(descents, monkeypatch):
    X, y, _ = many()
    y[:, 1] = 3.0 * X[:, [0]].toarray().ravel() + 1e-3 * y[:, 1]
    model = GradientDescentRegressor(**penalised(2e-3, PENALTIES["l1"]))
    monkeypatch.setattr(without_products, "MOST_PRODUCTS", 60)
    model.fit(X, y)
    assert [False, True] in [is_near for _, is_near in descents]
    assert model.converged_
    assert violation(model, X.toarray(), y) < 1e-12


@pytest.mark.parametrize("stalled", [True, False])
def test_where_the_rate_of_a_descent_is_not_found_the_set_is_solved(stalled, descents, monkeypatch):
    """Nor is it descended if copies of its columns would take more memory than their products."""

    def stalls(*args, **kwargs):
        raise ArpackNoConvergence("%s", np.empty(0), np.empty((0, 0)))

    X, y, weight = many()
    model = GradientDescentRegressor(**penalised(2e-3, PENALTIES["l1"]))
    if stalled:
        monkeypatch.setattr(without_products, "MOST_GRADIENTS", 0)
        monkeypatch.setattr(rates, "eigsh", stalls)
    else:
        monkeypatch.setattr(without_products, "SPARSE", 10**9)
    model.fit(X, y, weight)
    assert [is_near for _, is_near in descents[:1]] == [[False, False]] * stalled
    assert model.converged_
    assert violation(model, X.toarray(), y, weight) < 1e-12


def test_conjugate_gradients_solve_to_the_length_asked_for():
    rng = np.random.default_rng(0)
    root, right = rng.normal(size=(30, 20)), rng.normal(size=20)
    matrix = root.T @ root
    inverse = 1.0 / np.diagonal(matrix)
    for forced in (0.1, 1e-6):
        solution, n_products, is_solved = conjugate_gradients(matrix.__matmul__, inverse, right, forced, 100)
        rest = right - matrix @ solution
        assert is_solved
        assert rest @ (inverse * rest) <= forced**2 * right @ (inverse * right)
        assert n_products <= 25
    *_, n_products, is_solved = conjugate_gradients(matrix.__matmul__, inverse, right, 1e-6, 3)
    assert (n_products, is_solved) == (3, False)
    singular = np.diag([1.0, 0.0])
    solution, _, is_solved = conjugate_gradients(singular.__matmul__, np.ones(2), np.array([0.0, 1.0]), 1e-6, 9)
    assert not is_solved
    np.testing.assert_array_equal(solution, 0.0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_objective_of_some_columns_is_that_of_all(fit_intercept, dtype):
    rng = np.random.default_rng(0)
    X = sparse.random_array((50, 80), density=0.1, format="csr", random_state=rng, data_sampler=rng.standard_normal)
    weight = rng.integers(3, size=50).astype(np.float64)
    rows = SmallBlocks(X.astype(dtype), rng.normal(size=(50, 1)), weight, block_rows=7)
    params = {"penalty": "elasticnet", "alpha": 0.1, "fit_intercept": fit_intercept}
    spec = Spec.of(GradientDescentRegressor(**params))
    problem = Problem.of(spec.terms, rows.moments(products=False), rows)
    members, here = rng.permutation(80)[:20], 0.1 * rng.normal(size=(80 + fit_intercept, 1))
    there, ahead = here.copy(), here.copy()
    there[members] += rng.normal(size=(20, 1))
    ahead[members] -= rng.normal(size=(20, 1))
    at_here, at_there, at_ahead = (problem.from_rows().evaluate([point])[0] for point in (here, there, ahead))
    penalty, n_entries = problem.penalty.of_columns(members, 0), X[:, members].nnz
    assert SparseColumns.of(problem.view, members, n_entries - 1) is None
    columns = SparseColumns.of(problem.view, members, n_entries)
    objective = ColumnsObjective(columns, here[members], at_here.gradient[members], penalty)
    for found, exact in zip(objective.evaluate([there[members], ahead[members]]), (at_there, at_ahead), strict=True):
        np.testing.assert_allclose(found.value, exact.value - at_here.value, rtol=1e-10)
        np.testing.assert_allclose(found.gradient, exact.gradient[members], rtol=1e-10, atol=1e-12)
    Z = (X[:, members].toarray() - problem.coordinates.center[members]) * problem.coordinates.inverse_scale[members]
    second = 2.0 * (Z.T * weight) @ Z / weight.sum() + np.diag(penalty.l2[:, 0])
    places, right = np.array([7, 0, 12]), rng.normal(size=3)
    step = ManyColumns(members, columns, penalty.l2).solve(places, right)
    np.testing.assert_allclose(second[np.ix_(places, places)] @ step, right, rtol=1e-5, atol=1e-6)


@pytest.mark.exhaustive
@pytest.mark.parametrize("penalty", [PENALTIES["l1"], PENALTIES["l1 positive"]], ids=["l1", "l1 positive"])
def test_a_million_columns_of_csr(penalty):
    check_csr(1_000_000, penalty, 1e-3)


def small(seed):
    """A small problem, near-square as often as not, and the parameters of a model."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 31))
    p = int(np.clip(n + rng.integers(-2, 3), 3, 30)) if seed % 2 else int(rng.integers(3, 31))
    X, y = make_regression(n, p, n_informative=p, random_state=seed, noise=float(rng.choice([0.0, 0.1, 1.0, 10.0])))
    X += 5.0 * (seed % 5 == 1) * rng.normal(size=(n, 1))
    if seed % 7 == 1:
        X[:, -1] = rng.choice([-1.0, 1.0]) * X[:, 0]
    if seed % 13 == 1:
        X[:, 1] = 3.0
    penalty = PENALTIES[rng.choice(list(PENALTIES))]
    alpha = largest(X, y) * 10.0 ** rng.uniform(-8 if seed % 3 == 0 else -3, 0)
    return X, y, {"fit_intercept": bool(rng.integers(2)), **penalised(alpha, penalty)}


def check_small(seed):
    X, y, params = small(seed)
    model = GradientDescentRegressor(**params).fit(X, y)
    assert model.converged_, seed
    assert violation(model, X, y) < 1e-11, seed
    return X, y, model


def test_small_problems_are_solved():
    for seed in range(300):
        check_small(seed)


@pytest.mark.exhaustive
def test_ten_thousand_small_problems_are_solved():
    for seed in range(300, 10_300):
        check_small(seed)


@pytest.mark.exhaustive
def test_no_small_problem_ends_above_coordinate_descent():
    """Where scikit-learn's coordinate descent has the penalty, and within a billionth of the objective."""
    compared = 0
    for seed in range(2000):
        X, y, model = check_small(seed)
        l1, l2 = strengths(model)
        if l1 == 0:
            continue
        other = ElasticNet(
            alpha=l1 + l2,
            l1_ratio=l1 / (l1 + l2),
            positive=model.positive,
            fit_intercept=model.fit_intercept,
            tol=1e-10,
            max_iter=5000,
        )
        with warnings.catch_warnings(action="ignore"):
            other.fit(X, y)
        ours, theirs = (
            np.mean((y - each.predict(X)) ** 2) / 2 + l1 * np.abs(each.coef_).sum() + l2 * (each.coef_**2).sum() / 2
            for each in (model, other)
        )
        assert ours <= theirs * (1 + 1e-9), seed
        compared += 1
    assert compared > 1000


@pytest.mark.parametrize("pairs", [1, 2, 5])
@pytest.mark.parametrize("apart", [1e-2, 1e-4])
def test_pairs_of_columns_that_are_nearly_one(pairs, apart):
    """How near a column is to those before it says nothing about a pair that it does not belong to."""
    rng = np.random.default_rng(0)
    A = rng.normal(size=(100, pairs))
    B = A + apart * rng.normal(size=(100, pairs))
    X, y = np.hstack([A, B]), A.sum(axis=1) + (B - A).sum(axis=1) / apart + 0.1 * rng.normal(size=100)
    model = GradientDescentRegressor(penalty="l1", alpha=1e-7).fit(X, y)
    assert model.converged_
    least_squares = GradientDescentRegressor().fit(np.hstack([A, (B - A) / apart]), y)
    assert model.history_["loss"][-1] == pytest.approx(least_squares.history_["loss"][-1], rel=0.01)
