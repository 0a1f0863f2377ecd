"""Cheaper preconditioners: what they cost, that nothing deceives them, and that the optimality stays a bound."""

import tracemalloc
from itertools import islice

import numpy as np
import pytest
from scipy import sparse
from scipy.linalg import eigh

from gdregress import GradientDescentRegressor, closed_form
from gdregress.method import choice, sketches
from gdregress.method.preconditioners import CholeskyFactor, InverseHessian, Scalar, half
from gdregress.method.sampled import Sampled
from gdregress.method.sketches import Sketch, Sketches, cheapest_share, epochs_needed
from gdregress.method.spec import Spec
from gdregress.problem.coordinates import Coordinates
from gdregress.problem.problem import Problem
from gdregress.rows.gathering import gather
from gdregress.rows.memory import RowBlocks


def ordinary(rng, n=6000, p=40):
    return rng.normal(size=(n, p)) * 10.0 ** rng.uniform(-3, 3, p) + 10.0 ** rng.uniform(-2, 2, p)


def rare_columns(rng, n=6000, p=40):
    X = ordinary(rng, n, p)
    X[:, 5:25] = 0.0
    for column in range(5, 25):
        X[rng.choice(n, 3, replace=False), column] = 1.0
    return X


def rare_and_nearly_collinear(rng, n=6000, p=40):
    X = rare_columns(rng, n, p)
    X[:, 6] = X[:, 5] + 1e-3 * X[:, 7]
    return X


def heavy_tails(rng, n=6000, p=40):
    return rng.standard_t(1.2, size=(n, p))


def sorted_rows(rng, n=6000, p=40):
    X = np.sort(rng.normal(size=(n, p)), axis=0)
    return X + 0.3 * rng.normal(size=(n, p))


def duplicated_rows(rng, n=6000, p=40):
    return np.repeat(ordinary(rng, n // 60, p), 60, axis=0)


def few_rows_hold_it_all(rng, n=6000, p=40):
    X = 1e-6 * rng.normal(size=(n, p))
    X[rng.choice(n, 2 * p, replace=False)] += rng.normal(size=(2 * p, p))
    return X


def collinear(rng, n=6000, p=40):
    X = ordinary(rng, n, p)
    X[:, 1] = X[:, 0]
    X[:, 2] = 7.0
    return X


def all_but_collinear(distance):
    def make(rng, n=6000, p=40):
        X = ordinary(rng, n, p)
        X[:, 1] = X[:, 0] * (1 + distance * rng.normal(size=n))
        return X

    make.__name__ = f"all but collinear to {distance:g}"
    return make


DECEIVERS = [
    *map(all_but_collinear, (1e-3, 1e-5, 1e-7)),
    ordinary,
    rare_columns,
    rare_and_nearly_collinear,
    heavy_tails,
    sorted_rows,
    duplicated_rows,
    few_rows_hold_it_all,
    collinear,
]


def force(monkeypatch, share):
    monkeypatch.setattr(choice, "cheapest_share", lambda *shape, samples: share)


@pytest.mark.grid(1)
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("fit_intercept", [True, False], ids=["", "without intercept"])
@pytest.mark.parametrize("share", [1 / 16, 1 / 4, 1.0])
@pytest.mark.parametrize("make", DECEIVERS, ids=lambda make: make.__name__)
def test_nothing_deceives_a_sketch(monkeypatch, make, share, fit_intercept, weighted):
    """The fit converges, and the optimality is at least the true distance of the predictions."""
    force(monkeypatch, share)
    rng = np.random.default_rng(0)
    X = make(rng)
    Z = (X - X.mean(axis=0)) / np.where(X.std(axis=0) > 0, X.std(axis=0), 1.0)
    y = Z @ rng.normal(size=X.shape[1]) + 3 * rng.standard_t(3, size=len(X)) + 5
    weight = rng.integers(0, 4, len(X)).astype(float) if weighted else None
    model = GradientDescentRegressor(fit_intercept=fit_intercept).fit(X, y, sample_weight=weight)
    assert (model.learning_rate_, model.optimizer_) == ("curvature", "conjugate")
    assert model.converged_, model.stop_reason_
    coef, intercept = closed_form(X, y, sample_weight=weight, fit_intercept=fit_intercept)
    total = np.ones(len(X)) if weight is None else weight
    center = np.average(y, weights=total) if fit_intercept else 0.0
    distance = np.sqrt(np.average((model.predict(X) - X @ coef - intercept) ** 2, weights=total))
    deviation = np.sqrt(np.average((y - center) ** 2, weights=total))
    assert 2**0.5 * distance / deviation <= 1.01 * model.optimality_ + 1e-9
    assert model.optimality_ <= 1e-6


@pytest.mark.parametrize("share", [1 / 16, 1.0])
def test_several_outputs_and_l2(monkeypatch, share):
    force(monkeypatch, share)
    rng = np.random.default_rng(0)
    X = ordinary(rng)
    Y = (X / X.std(axis=0)) @ rng.normal(size=(40, 3)) * [1, 1e3, 1e-6] + rng.normal(size=(6000, 3)) * [1, 1e3, 1e-6]
    model = GradientDescentRegressor(penalty="l2", alpha=0.1).fit(X, Y)
    assert model.converged_
    force(monkeypatch, None)
    exact = GradientDescentRegressor(penalty="l2", alpha=0.1).fit(X, Y)
    assert np.abs((model.predict(X) - exact.predict(X)) / Y.std(axis=0)).max() < 1e-5


@pytest.mark.grid(1)
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("loss", ["huber", "squared_epsilon_insensitive"])
@pytest.mark.parametrize("make", DECEIVERS, ids=lambda make: make.__name__)
def test_nothing_deceives_accelerated_descent_of_other_losses(monkeypatch, make, loss, weighted):
    """With P from rounded products it comes to what Newton's steps come to, and no further than it says."""
    rng = np.random.default_rng(0)
    X = make(rng)
    Z = (X - X.mean(axis=0)) / np.where(X.std(axis=0) > 0, X.std(axis=0), 1.0)
    y = Z @ rng.normal(size=X.shape[1]) + 3 * rng.standard_t(3, size=len(X)) + 5
    weight = rng.integers(0, 4, len(X)).astype(float) if weighted else None
    params = {"loss": loss, "epsilon": 1.0}
    exact = GradientDescentRegressor(**params).fit(X, y, sample_weight=weight)
    monkeypatch.setattr(choice, "accelerated_is_cheaper", lambda *shape: True)
    model = GradientDescentRegressor(**params, optimizer="nesterov").fit(X, y, sample_weight=weight)
    assert (exact.optimizer_, model.learning_rate_, model.optimizer_) == ("newton", "curvature", "nesterov")
    assert model.converged_, model.stop_reason_
    assert model.optimality_ <= 1e-6
    least = exact.history_["loss"][-1]
    best_constant = GradientDescentRegressor(**params).fit(np.ones((len(X), 1)), y, sample_weight=weight)
    above = 2 * (model.history_["loss"][-1] - least) / best_constant.history_["loss"][-1]
    # That of its sums, which cannot tell columns that are as near as 1e-7, as the exact steps can, by BLAS kernels.
    rounding = 1e-12 if make.__name__.endswith("1e-07") else 2e-13
    assert above <= 1.01 * model.optimality_**2 + exact.optimality_**2 + rounding


def sketches_of(X, share, weight=None, alpha=0.0):
    rows = RowBlocks(X, np.ones((len(X), 1)) * np.arange(len(X))[:, None], weight)
    moments = gather(rows, cross=share == 1.0, precision=np.float32)
    frame = Coordinates.unit_curvature(moments, alpha=alpha, fit_intercept=True)
    return frame, Sketches(rows, moments, frame, alpha, share, 1e-6, 0)


@pytest.mark.parametrize("inverted", [sketches.INVERTED, 0])
@pytest.mark.parametrize("kind", ["", "weighted", "nearly collinear", "a light sample with all there is of a column"])
@pytest.mark.parametrize("share", [1 / 16, 1 / 4, 1.0])
def test_the_bound_of_a_sample_bounds_that_of_all_rows(share, kind, inverted, monkeypatch):
    monkeypatch.setattr(sketches, "INVERTED", inverted)
    rng = np.random.default_rng(0)
    X = rng.standard_t(2.5, size=(6000, 20))
    weight = rng.integers(0, 4, 6000).astype(float) if kind == "weighted" else None
    if kind == "nearly collinear":
        X[:, :10] = X[:, 10:] + 0.02 * X[:, :10]  # about as much as single precision can tell
    if kind.startswith("a light") and share < 1:
        drawn = RowBlocks(X, np.ones((6000, 1))).subsample(share, sketches.NEIGHBOURS, np.random.RandomState(0)).index
        outside = np.setdiff1d(np.arange(6000), drawn)
        X[outside, 0] = 0.0
        weight = np.where(np.isin(np.arange(6000), outside), 9.0, 1.0)
    frame, ladder = sketches_of(X, share, weight)
    Z = (X - frame.center) * frame.inverse_scale
    curvature = 2 * np.average(Z[:, :, None] * Z[:, None, :], axis=0, weights=weight)
    for sketch in ladder:
        P = sketch.bound(np.eye(21))[:20, :20]
        assert eigh(P, np.linalg.inv(curvature), eigvals_only=True).min() > 1 - 1e-4


class TestNearlySquare:
    def problem(self, alpha=0.0, fit_intercept=True):
        X = np.random.default_rng(0).normal(size=(60, 40)) * 10.0 ** np.arange(-20, 20)
        X[:, 7] = 3.0
        rows = RowBlocks(X, X[:, :1] * 1e20 + np.random.default_rng(1).normal(size=(60, 1)))
        model = GradientDescentRegressor(penalty="l2" if alpha else None, alpha=alpha, fit_intercept=fit_intercept)
        return Problem.of(Spec.of(model).terms, rows.moments(), rows)

    @pytest.mark.parametrize(("precision", "digits"), [(np.float32, 1e-4), (np.float64, 1e-12)])
    @pytest.mark.parametrize("alpha", [0.0, 1e-5])
    @pytest.mark.parametrize("fit_intercept", [True, False])
    def test_a_factor_that_is_not_inverted_is_the_same_preconditioner(self, precision, digits, alpha, fit_intercept):
        problem = self.problem(alpha, fit_intercept)
        inverse = InverseHessian.from_quadratic(problem.quadratic, problem.standard)
        factor = CholeskyFactor.from_quadratic(problem.quadratic, problem.standard, precision)
        gradient = np.random.default_rng(2).normal(size=(problem.n_coordinates, 2))
        for small in (1.0, 1e-60):
            expected = inverse.enlarged(3.0)(small * gradient)
            found = factor.enlarged(3.0)(small * gradient)
            np.testing.assert_allclose(found, expected, atol=digits * np.abs(expected).max())
        length = (factor.root(gradient) ** 2).sum(axis=0)
        np.testing.assert_allclose(length, (gradient * inverse(gradient)).sum(axis=0), rtol=digits)

    def test_its_inflation_is_no_less_than_the_largest_eigenvalue(self):
        for seed in range(50):
            X = np.random.default_rng(seed).normal(size=(50, 40)) @ np.random.default_rng(seed).normal(size=(40, 40))
            rows = RowBlocks(X, X[:, :1])
            problem = Problem.of(Spec.of(GradientDescentRegressor()).terms, rows.moments(), rows)
            factor = CholeskyFactor.from_quadratic(problem.quadratic, problem.standard, np.float64)
            assert factor.inflation >= np.linalg.norm(np.linalg.inv(problem.quadratic.products()), 2)

    def test_columns_that_are_no_basis_have_no_factor(self):
        X = np.random.default_rng(0).normal(size=(60, 4))
        rows = RowBlocks(np.column_stack([X, X.sum(axis=1)]), X[:, :1])
        problem = Problem.of(Spec.of(GradientDescentRegressor()).terms, rows.moments(), rows)
        assert CholeskyFactor.from_quadratic(problem.quadratic, problem.standard, np.float32) is None

    @pytest.mark.parametrize("kind", ["", "weighted", "l2", "nearly collinear", "collinear", "two outputs"])
    def test_a_fit_is_least_squares_in_a_few_epochs(self, kind, monkeypatch):
        monkeypatch.setattr(choice, "MOMENTS_LIMIT", 40)
        monkeypatch.setattr(sketches, "INVERTED", 40)
        rng = np.random.default_rng(0)
        X = rng.normal(size=(300, 100)) * 10.0 ** rng.integers(-3, 4, 100) + 5
        if "collinear" in kind:
            X[:, 99] = X[:, 0] + 1e3 * X[:, 1] + (1e-5 * X[:, 2] if kind.startswith("nearly") else 0)
        y = X[:, :3] @ (1 / X[:, :3].std(axis=0)) + rng.normal(size=(2, 300))
        y = y.T if kind == "two outputs" else y[0]
        weight = rng.uniform(0.5, 2, 300) if kind == "weighted" else None
        params = {"penalty": "l2", "alpha": 0.5} if kind == "l2" else {}
        model = GradientDescentRegressor(**params).fit(X, y, sample_weight=weight)
        assert (model.learning_rate_, model.optimizer_) == ("curvature", "conjugate")
        monkeypatch.undo()
        exact = GradientDescentRegressor(**params).fit(X, y, sample_weight=weight)
        assert model.converged_
        assert model.n_iter_ <= 6
        error = np.sqrt(np.average((model.predict(X) - exact.predict(X)) ** 2, axis=0, weights=weight))
        assert (error <= 1.01 * model.optimality_ * y.std(axis=0) + 1e-12).all()


def test_the_spectrum_is_as_foretold():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40_000, 50))
    frame, ladder = sketches_of(X, 1 / 16)
    Z = (X - frame.center) * frame.inverse_scale
    P = next(iter(ladder)).preconditioner(np.eye(51))[:50, :50]
    spectrum = eigh(2 * Z.T @ Z / len(Z), np.linalg.inv(P), eigvals_only=True)
    rate = np.sqrt(50 / 2500)
    assert 0.9 * (1 + rate) ** -2 < spectrum.min()
    assert spectrum.max() < 1.1 * (1 - rate) ** -2


def test_a_column_that_a_sample_misses_leads_to_more_rows():
    X = np.random.default_rng(0).normal(size=(6000, 5))
    X[:, 2:] = 0.0
    X[[77, 2077, 4077], [2, 3, 4]] = 1.0
    _, ladder = sketches_of(X, 1 / 16)
    assert [np.isinf(sketch.max_epochs) for sketch in ladder] == [False, True]  # all rows, rounded and exact


def test_a_column_of_which_a_sample_shows_too_little_leads_to_more_rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(6000, 5))
    X[:, 2:] *= 1e-3
    X[[77, 2077, 4077], [2, 3, 4]] = 1.0
    _, ladder = sketches_of(X, 1 / 16)
    assert [np.isinf(sketch.max_epochs) for sketch in ladder] == [False, True]


def test_columns_that_single_precision_cannot_tell_apart_lead_to_exact_moments():
    X = np.random.default_rng(0).normal(size=(6000, 10))
    X[:, :5] = X[:, 5:] + 1e-3 * X[:, :5]
    _, ladder = sketches_of(X, 1 / 16)
    assert [np.isinf(sketch.max_epochs) for sketch in ladder] == [True]


def test_a_sample_is_taken_as_it_is(monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.standard_t(3, size=(6000, 4))
    frame, ladder = sketches_of(X, 1 / 16)
    seen = []
    sampled = RowBlocks.subsample
    monkeypatch.setattr(RowBlocks, "subsample", lambda *args: seen.append(sampled(*args)) or seen[-1])
    sketch = next(iter(ladder))
    [rows] = seen
    assert (np.diff(rows.index) > 0).all()
    assert len(rows.index) == pytest.approx(6000 / 16, rel=0.03)
    assert np.histogram(rows.index, bins=10, range=(0, 6000))[0].min() >= 24
    Z = (X[rows.index] - frame.center) * frame.inverse_scale
    np.testing.assert_allclose(
        sketch.preconditioner(np.eye(5))[:4, :4], np.linalg.inv(2 * Z.T @ Z / len(Z)), rtol=1e-4, atol=1e-5
    )


def test_a_slow_descent_goes_on_with_a_finer_preconditioner(monkeypatch):
    monkeypatch.setattr(sketches, "LENIENCE", 0.2)
    force(monkeypatch, 1 / 16)
    seen = []
    make = Sketches._sketch
    monkeypatch.setattr(Sketches, "_sketch", lambda self, share: seen.append(share) or make(self, share))
    rng = np.random.default_rng(0)
    X = ordinary(rng)
    model = GradientDescentRegressor().fit(X, X[:, 0] / X[:, 0].std() + rng.normal(size=len(X)))
    assert model.converged_
    assert seen[:2] == [1 / 16, 1 / 4]
    assert (np.diff(model.history_["loss"]) < 0).all()
    assert len(model.history_["loss"]) == model.n_iter_ + 1


def test_where_no_step_lowers_the_objective_a_finer_preconditioner_goes_on():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 4))
    rows = RowBlocks(X, X @ [[1.0], [2.0], [0.0], [-1.0]] + rng.normal(size=(600, 1)))
    terms = Spec.of(GradientDescentRegressor()).terms
    problem = Problem.of(terms, rows.moments(), rows)
    exact = InverseHessian.from_quadratic(problem.quadratic, problem.standard)
    ladder = [Sketch(Scalar(0.0), half, 9), Sketch(exact, exact, np.inf)]
    blocks = list(islice(Sampled(ladder, 1e-6).iterates(problem, np.zeros((5, 1))), 2))
    assert blocks[-1].optimality[0] <= 1e-6


def passes_of(monkeypatch, model, X, y):
    """Count the rows read by a fit, in units of all of them."""
    rows = []
    block = RowBlocks._block

    def counting(self, start, stop):
        taken = block(self, start, stop)
        rows.append(taken[0].shape[0])
        return taken

    monkeypatch.setattr(RowBlocks, "_block", counting)
    model.fit(X, y)
    return sum(rows) / len(X)


@pytest.mark.parametrize(("share", "passes"), [(None, 1.0), (1.0, 2.0), (1 / 16, 11 + 1 / 16)])
def test_passes_over_the_rows(monkeypatch, share, passes):
    """Moments are one, in single precision one epoch more; of a sample each epoch is one, but none the start."""
    force(monkeypatch, share)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(32_000, 50))
    model = GradientDescentRegressor()
    read = passes_of(monkeypatch, model, X, X[:, 0] + rng.normal(size=len(X)))
    assert read <= passes
    if share is not None:
        assert model.n_iter_ == round(read - (1 if share == 1 else 1 + share))


@pytest.mark.parametrize("share", [None, 1.0, 1 / 16])
def test_memory_above_the_rows_is_bounded(monkeypatch, share):
    """No copy of X: blocks, their roundings and matrices of n_features^2 numbers are all that is allocated."""
    force(monkeypatch, share)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200_000, 50))
    y = rng.normal(size=len(X))
    GradientDescentRegressor().fit(X[:2000], y[:2000])
    tracemalloc.start()
    try:
        GradientDescentRegressor().fit(X, y)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < X.nbytes / 4


def test_the_same_from_fit_to_fit_unless_a_seed_says_otherwise(monkeypatch):
    force(monkeypatch, 1 / 16)
    rng = np.random.default_rng(0)
    X = ordinary(rng)
    y = rng.normal(size=len(X))
    coef = GradientDescentRegressor().fit(X, y).coef_
    np.testing.assert_array_equal(GradientDescentRegressor().fit(X, y).coef_, coef)
    assert (GradientDescentRegressor(random_state=5).fit(X, y).coef_ != coef).any()


class TestCosts:
    @pytest.mark.parametrize(
        ("shape", "share"),
        [
            ((442, 10), None),
            ((1_000_000, 100), None),
            ((100_000, 1000), 1.0),
            ((2_000_000, 500), 1.0),
            ((2_000_000, 3000), 1 / 16),
        ],
    )
    def test_what_is_cheapest(self, shape, share):
        assert cheapest_share(*shape, 1, 1e-6) == share

    @pytest.mark.parametrize(
        "case",
        [(10_000, 3000, 1, 1e-6), (10_000_000, 5000, 1, 1e-6), (100_000, 1000, 1, 1e-14)],
        ids=["p close to n", "a matrix too large", "all digits asked for"],
    )
    def test_where_only_exact_moments_are_considered(self, case):
        assert cheapest_share(*case) is None

    def test_epochs_are_those_of_the_rate(self):
        assert epochs_needed(1.0, 10**6, 100, 1e-6) == 1
        epochs = epochs_needed(1 / 16, 160_000, 100, 1e-6)
        assert 0.1**epochs <= 1e-6 / 8 <= 0.1 ** (epochs - 1)

    @pytest.mark.parametrize(
        "params",
        [{"tol": None}, {"optimizer": "gd"}, {"schedule": "cosine"}, {"loss": "huber"}, {"learning_rate": 0.1}],
        ids=str,
    )
    def test_what_asks_for_something_else_gets_it(self, monkeypatch, params):
        force(monkeypatch, 1.0)
        monkeypatch.setattr(Sketches, "__iter__", lambda self: 1 / 0)
        rng = np.random.default_rng(0)
        GradientDescentRegressor(**{"epochs": 300, **params}).fit(rng.normal(size=(500, 3)), rng.normal(size=500))

    def test_sparse_rows_have_their_own_moments(self, monkeypatch):
        force(monkeypatch, 1.0)
        X = sparse.random(500, 6, density=0.3, format="csr", random_state=0)
        assert GradientDescentRegressor().fit(X, X @ np.ones(6)).optimizer_ == "gd"
