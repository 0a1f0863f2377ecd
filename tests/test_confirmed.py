"""Descents whose gap is an estimate: a measurement confirms it before one has converged."""

import warnings

import numpy as np
import pytest
from hard_problems import objective
from scipy import sparse
from scipy.optimize import minimize

from gdregress import GradientDescentRegressor, Loss, closed_form
from gdregress.method import choice as choosing
from gdregress.method import confirmed, sketches, truncated_newton
from gdregress.problem.objectives import DataObjective
from gdregress.problem.problem import Problem


def few_rows(seed):
    """Two to eight rows with L2, a loss with parabolas, and a descent by some optimizer at some rate."""
    rng = np.random.default_rng(seed)
    n, p = int(rng.integers(2, 9)), int(rng.integers(1, 13))
    X = rng.standard_normal((n, p))
    if rng.random() < 0.3:
        X *= 10 ** rng.uniform(-3, 3, p)
    y = X @ rng.standard_normal(p) * rng.integers(0, 2) / X.std() + rng.standard_t(2, n)
    params = {
        "loss": str(rng.choice(["huber", "squared_epsilon_insensitive"])),
        "epsilon": float(10 ** rng.uniform(-2, 0.5) * y.std()),
        "penalty": "l2",
        "alpha": float(10 ** rng.uniform(-6, 1)),
        "fit_intercept": bool(rng.random() < 0.8),
    }
    optimizer = str(rng.choice(["gd", "momentum", "nesterov", "adagrad", "rmsprop", "adam"]))
    rates = ["diagonal"]
    if optimizer in ("gd", "momentum", "nesterov"):
        rates += ["lipschitz", "curvature"]
    how = {"optimizer": optimizer, "learning_rate": str(rng.choice(rates)), "random_state": 0}
    if rng.random() < 0.3 and optimizer != "nesterov":
        how["batch_size"] = int(rng.integers(1, n + 1))
    return X, y, params, how


# In the first ten of these an estimate was up to 60 times too small: most rows leave their parabola on the way.
@pytest.mark.parametrize("seed", [7, 130, 269, 277, 463, 701, 720, 1077, 1084, 1163, *range(20, 40)])
def test_few_rows(seed):
    X, y, params, how = few_rows(seed)
    with warnings.catch_warnings(action="ignore"):
        exact = GradientDescentRegressor(**params).fit(X, y)
        model = GradientDescentRegressor(**params, **how, epochs=400).fit(X, y)
        alone = GradientDescentRegressor(**{**params, "penalty": None}).fit(np.zeros((len(X), 1)), y)
    least, reached = (objective(params, X, y, None, each.coef_, each.intercept_) for each in (exact, model))
    distance = np.sqrt(2.0 * max(reached - least, 0.0) / (alone.history_["loss"][-1] or 1.0))
    assert exact.converged_
    assert not model.converged_ or distance <= 1.001 * model.optimality_ + 1e-8


@pytest.mark.parametrize("tol", [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("apart", [1e-1, 1e-4, 1e-5])
@pytest.mark.parametrize("loss", ["huber", "squared_epsilon_insensitive"])
def test_nearly_collinear_columns_without_a_matrix_or_a_penalty(loss, apart, tol, monkeypatch):
    """Steps by conjugate gradients show how low the objective is, where the diagonal does not."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 6)) @ rng.standard_normal((6, 6))
    X = np.column_stack([X, X[:, 0] + apart * rng.standard_normal(300)])
    y = (X / X.std(axis=0)).sum(axis=1) + rng.standard_t(2, 300)
    params = {"loss": loss, "epsilon": 0.5, "penalty": None}
    exact = GradientDescentRegressor(**params).fit(X, y)
    monkeypatch.setattr(choosing, "MOMENTS_LIMIT", 4)
    monkeypatch.setattr(sketches, "WIDEST", 4)
    with warnings.catch_warnings(action="ignore"):
        model = GradientDescentRegressor(**params, tol=tol).fit(X, y)
        alone = GradientDescentRegressor(**params).fit(np.zeros((300, 1)), y)
    least, reached = (objective(params, X, y, None, each.coef_, each.intercept_) for each in (exact, model))
    distance = np.sqrt(2.0 * max(reached - least, 0.0) / alone.history_["loss"][-1])
    assert (model.optimizer_, model.learning_rate_) == ("nesterov", "diagonal")
    assert model.converged_ or apart < 1e-1 or tol < 1e-4
    assert not model.converged_ or distance <= 1.1 * model.optimality_


class PseudoHuber(Loss):
    curvature = 2.0

    def value(self, residual):
        return 2.0 * (np.hypot(1.0, residual) - 1.0)

    def derivative(self, residual):
        return 2.0 * residual / np.hypot(1.0, residual)

    def second_derivative(self, residual):
        return 2.0 / np.hypot(1.0, residual) ** 3


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("how", [{"learning_rate": "diagonal"}, {"optimizer": "nesterov"}], ids=str)
@pytest.mark.parametrize("seed", [3, 8, 20, 24, 66])
def test_a_loss_of_the_users_own_whose_last_column_only_wild_rows_have(seed, how):
    """Most rows are near their minimum, but these are where the loss has little curvature."""
    rng = np.random.default_rng(seed)
    n, p = int(rng.choice([50, 200, 1000])), int(rng.choice([1, 3, 8]))
    X, k = rng.standard_normal((n, p)), max(2, n // int(rng.choice([5, 10, 20])))
    X[:, -1] = 0.0
    X[:k, -1] = rng.standard_normal(k)
    y = X @ rng.standard_normal(p) + 10.0 ** rng.uniform(-3, 0) * rng.standard_normal(n)
    y[:k] += 10.0 ** rng.uniform(1, 4) * rng.standard_normal(k)
    loss, A = PseudoHuber(), np.column_stack([X, np.ones(n)])
    model = GradientDescentRegressor(loss=loss, epochs=3000, **how).fit(X, y)

    def objective(w):
        return loss.value(y - A @ w).mean()

    reached = np.append(model.coef_, model.intercept_)
    least = minimize(
        objective,
        reached,
        jac=lambda w: -A.T @ loss.derivative(y - A @ w) / n,
        hess=lambda w: A.T @ (loss.second_derivative(y - A @ w)[:, np.newaxis] * A) / n,
        method="trust-exact",
        options={"gtol": 1e-12, "initial_trust_radius": 1e3, "max_trust_radius": 1e6},
    )
    constant = min(loss.value(y - level).mean() for level in np.linspace(*np.quantile(y, [0.1, 0.9]), 2001))
    distance = np.sqrt(2.0 * max(objective(reached) - least.fun, 0.0) / constant)
    assert not model.converged_ or distance <= 1.1 * model.optimality_ + 2e-8


@pytest.mark.parametrize(
    ("params", "how"),
    [
        ({"loss": "huber"}, {"optimizer": "nesterov"}),
        ({"loss": "huber"}, {"learning_rate": 0.05}),
        ({"loss": "squared_epsilon_insensitive", "penalty": "l1", "alpha": 0.1}, {"optimizer": "nesterov"}),
        ({"loss": "absolute_error"}, {"optimizer": "nesterov", "tol": 1e-3}),
        ({"loss": "quantile", "penalty": "elasticnet", "alpha": 0.01}, {"optimizer": "nesterov", "tol": 1e-3}),
        ({"loss": "squared_error", "penalty": "l1", "alpha": 0.1}, {"optimizer": "nesterov"}),
    ],
    ids=str,
)
def test_the_optimality_is_no_less_than_the_bound(params, how, monkeypatch):
    """For several outputs, and the other solver is asked once."""
    bounds, measured = [], confirmed.Dual.__call__

    def recorded(*given):
        bounds.append(measured(*given).gap.args[0])
        return measured(*given)

    monkeypatch.setattr(confirmed.Dual, "__call__", recorded)
    problems, make = [], Problem.of
    monkeypatch.setattr(Problem, "of", lambda *given: problems.append(make(*given)) or problems[-1])
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 4))
    Y = X @ rng.standard_normal((4, 2)) + rng.standard_t(3, (200, 2))
    with warnings.catch_warnings(action="ignore"):
        model = GradientDescentRegressor(**params, **how, epochs=3000).fit(X, Y)
    assert model.converged_
    assert len(bounds) == 1
    [problem] = problems
    coef, intercept = model.coef_.T, model.intercept_
    [there] = problem.from_rows().evaluate([problem.coordinates.from_raw(coef, intercept)])
    optimality = float(problem.optimality(there.value, np.maximum(there.value - bounds[0], 0.0)))
    assert model.optimality_ >= 0.99 * optimality - 1e-8


def test_a_bound_that_is_low_is_raised_as_the_descent_goes_on(monkeypatch):
    """Steps that run out of products bound the gap by the slopes where they end."""
    monkeypatch.setattr(choosing, "MOMENTS_LIMIT", 4)
    monkeypatch.setattr(sketches, "WIDEST", 4)
    monkeypatch.setattr(truncated_newton, "LEAST_PRODUCTS", 60)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((150, 60)) * (rng.random((150, 60)) < 0.3)
    y = X @ rng.standard_normal(60) + rng.standard_t(1.5, 150)
    model = GradientDescentRegressor(loss="huber", epsilon=0.5, tol=0.1).fit(X, y)
    assert model.converged_


def test_the_rounding_of_the_objective_keeps_no_descent_from_its_end():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((500, 5))
    y = X @ rng.standard_normal(5) + rng.standard_t(2, 500)
    model = GradientDescentRegressor("curvature", optimizer="gd", loss="huber", tol=1e-14).fit(X, y)
    assert model.converged_


def test_nothing_is_bounded_where_nobody_asks(monkeypatch):
    monkeypatch.setattr(confirmed.Dual, "__call__", None)
    X, y, params, _ = few_rows(0)
    given = {**params, "optimizer": "rmsprop"}
    assert GradientDescentRegressor(**given, epochs=50, tol=None).fit(X, y).n_iter_ == 50
    with pytest.warns(match="all 2 epochs were used"):
        GradientDescentRegressor(**given, epochs=2).fit(X, y)


@pytest.fixture
def _without_matrix(monkeypatch):
    """As for thousands of columns."""
    monkeypatch.setattr(choosing, "MOMENTS_LIMIT", 4)
    monkeypatch.setattr(sketches, "WIDEST", 4)


@pytest.mark.parametrize("loss", ["huber", "squared_epsilon_insensitive"])
def test_an_objective_that_is_all_but_zero_needs_no_measurement(loss, monkeypatch):
    """It bounds the gap itself, as without a penalty where there are fewer rows than columns."""
    monkeypatch.setattr(confirmed.Dual, "__call__", None)
    X, y = np.random.default_rng(0).standard_normal((20, 60)), np.random.default_rng(1).standard_normal(20)
    model = GradientDescentRegressor(loss=loss, epsilon=0.5, optimizer="nesterov").fit(X, y)
    assert model.converged_
    assert 0.0 < model.history_["loss"][-1] <= model.optimality_**2 * np.mean(y**2)


def nearly_collinear(apart, n=200, p=6, seed=1):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)) @ rng.standard_normal((p, p))
    X = np.column_stack([X, X[:, 0] + apart * rng.standard_normal(n)])
    return X, (X / X.std(axis=0)).sum(axis=1) + rng.standard_normal(n)


def distance(model, X, y):
    """How far predictions are from the best ones, in the unit of `optimality_`."""
    coef, intercept = closed_form(X, y)
    best = X.astype(np.longdouble) @ coef.astype(np.longdouble) + intercept
    found = X.astype(np.longdouble) @ model.coef_.astype(np.longdouble) + model.intercept_
    return float(np.sqrt(2.0 * np.mean((found - best) ** 2)) / y.std())


@pytest.mark.usefixtures("_without_matrix")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
class TestNearlyCollinear:
    @pytest.mark.parametrize("apart", [1.0, 1e-2, 1e-4, 1e-5, 1e-6, 1e-7])
    @pytest.mark.parametrize(
        ("learning_rate", "optimizer"), [("auto", "auto"), ("diagonal", "nesterov"), ("lipschitz", "gd")]
    )
    def test_a_fit_is_as_far_from_the_best_as_it_says(self, learning_rate, optimizer, apart):
        X, y = nearly_collinear(apart)
        model = GradientDescentRegressor(learning_rate, optimizer=optimizer).fit(X, y)
        assert distance(model, X, y) <= (1.1 if model.converged_ else 2.0) * model.optimality_
        assert model.converged_ == (model.optimality_ <= 1e-6)

    @pytest.mark.parametrize("apart", [1.0, 1e-2, 1e-4])
    def test_what_can_be_told_apart_converges(self, apart):
        X, y = nearly_collinear(apart)
        model = GradientDescentRegressor().fit(X, y)
        assert (model.optimizer_, model.learning_rate_) == ("conjugate", "diagonal")
        assert model.converged_
        assert model.n_iter_ <= 50

    @pytest.mark.parametrize("apart", [1e-6, 1e-7])
    def test_where_rounding_allows_no_better_it_ends_and_says_so(self, apart):
        X, y = nearly_collinear(apart)
        model = GradientDescentRegressor().fit(X, y)
        assert not model.converged_
        assert model.n_iter_ < 1000
        assert model.stop_reason_.endswith("some columns are nearly collinear. Drop them, or use penalty='l2'.")

    def test_several_outputs(self):
        X, y = nearly_collinear(1e-4)
        Y = np.column_stack([y, X[:, 1], 1e6 * (y + X[:, 2])])
        model = GradientDescentRegressor().fit(X, Y)
        assert model.converged_
        alone = [GradientDescentRegressor().fit(X, each) for each in Y.T]
        apart = model.predict(X) - np.column_stack([each.predict(X) for each in alone])
        assert (np.sqrt(np.mean(apart**2, axis=0)) <= 2e-6 * Y.std(axis=0)).all()

    def test_an_exact_combination_explains_nothing_more(self):
        X, y = nearly_collinear(0.0)
        model = GradientDescentRegressor().fit(X, y)
        assert model.converged_
        assert model.n_iter_ <= 20
        assert distance(model, X, y) <= 1e-6

    def test_no_passes_for_what_nobody_asked(self, monkeypatch):
        """Without a `tol` nothing is measured."""
        monkeypatch.setattr(confirmed.Projection, "__call__", None)
        X, y = nearly_collinear(1e-2)
        assert GradientDescentRegressor(epochs=30, tol=None).fit(X, y).n_iter_ == 30


def test_thousands_of_sparse_columns():
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 900, 6000), rng.integers(0, 1200, 6000)
    parts = (sparse.csr_array((np.ones(6000), (np.arange(6000), part)), shape=(6000, 1200)) for part in (users, items))
    X = sparse.hstack(list(parts)).tocsr()
    y = rng.standard_normal(900)[users] + rng.standard_normal(1200)[items] + rng.standard_normal(6000)
    model = GradientDescentRegressor().fit(X, y)
    assert model.converged_
    best = sparse.linalg.lsqr(
        sparse.hstack([X, np.ones((6000, 1))]).tocsr(), y, atol=1e-15, btol=1e-15, iter_lim=20000
    )[0]
    off = model.predict(X) - X @ best[:-1] - best[-1]
    assert np.sqrt(2.0 * np.mean(off**2)) / y.std() <= 1e-6


def passes_of(monkeypatch):
    """Count the points at which a loss is evaluated on the rows."""
    counted, evaluate = [], DataObjective.evaluate
    monkeypatch.setattr(DataObjective, "evaluate", lambda self, points: counted.append(1) or evaluate(self, points))
    return counted


@pytest.mark.usefixtures("_without_matrix")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
class TestMeasuredByConjugateGradients:
    @pytest.mark.parametrize("seed", range(4))
    @pytest.mark.parametrize("tol", [1e-2, 1e-4])
    @pytest.mark.parametrize("apart", [1e-3, 1e-5, 1e-6])
    def test_a_coarse_tol_sees_nearly_collinear_columns_too(self, apart, tol, seed):
        X, y = nearly_collinear(apart, seed=seed)
        for optimizer in ("auto", "nesterov"):
            model = GradientDescentRegressor(optimizer=optimizer, learning_rate="diagonal", tol=tol).fit(X, y)
            assert distance(model, X, y) <= (1.1 if model.converged_ else 2.0) * model.optimality_

    def test_nothing_is_confirmed_where_passes_run_out(self, monkeypatch):
        """What differs by a ten-thousandth takes passes to find."""
        X, y = nearly_collinear(1e-4)
        seen = GradientDescentRegressor(tol=1e-2).fit(X, y)
        monkeypatch.setattr(confirmed, "LEAST_PASSES", 3)
        model = GradientDescentRegressor(tol=1e-2).fit(X, y)
        assert distance(model, X, y) <= 1.1 * model.optimality_
        assert model.n_iter_ > seen.n_iter_

    @pytest.mark.parametrize("apart", [3.2e-8, 2e-8, 1e-8, 5e-9])
    def test_nothing_is_confirmed_where_the_only_curvature_is_rounding(self, apart):
        """The difference of the two columns is the target, and g at zero shows a hundred-millionth of it."""
        rng = np.random.default_rng(0)
        _, first, y = np.linalg.qr(np.column_stack([np.ones(300), rng.normal(size=(300, 2))]))[0].T * np.sqrt(300)
        columns = [first, first + apart * y, *np.zeros((6, 300))]
        model = GradientDescentRegressor(epochs=3).fit(sparse.csr_array(np.column_stack(columns)), y)
        assert np.sqrt(2.0 * (1.0 - model.score(np.column_stack(columns), y))) <= 1.1 * model.optimality_

    def test_passes_are_a_few_times_the_epochs(self, monkeypatch):
        """A large gap is measured again only after twice as many epochs as the last measurement took."""
        X, y = nearly_collinear(1e-5)
        counted = passes_of(monkeypatch)
        model = GradientDescentRegressor("diagonal", optimizer="nesterov", epochs=1000).fit(X, y)
        assert model.n_iter_ > 500
        assert len(counted) <= 2.0 * model.n_iter_

    def test_a_descent_that_is_cut_short_is_measured_in_as_many_passes_as_epochs(self, monkeypatch):
        X, y = nearly_collinear(1e-5, n=400, p=60)
        counted, given = passes_of(monkeypatch), {"optimizer": "nesterov", "learning_rate": "diagonal", "epochs": 10}
        GradientDescentRegressor(**given, tol=None).fit(X, y)
        alone = len(counted)
        model = GradientDescentRegressor(**given).fit(X, y)
        assert not model.converged_
        assert alone < len(counted) - alone <= alone + 10
