"""Squared error without a matrix or a penalty: what counts as closed, conjugate gradients have measured."""

import numpy as np
import pytest
from scipy import sparse

from gdregress import GradientDescentRegressor, closed_form
from gdregress.method import choice as choosing
from gdregress.method import sketches
from gdregress.method.projected import Projected


@pytest.fixture
def _without_matrix(monkeypatch):
    """As for thousands of columns."""
    monkeypatch.setattr(choosing, "MOMENTS_LIMIT", 4)
    monkeypatch.setattr(sketches, "WIDEST", 4)


def nearly_collinear(apart, n=200, p=6):
    rng = np.random.default_rng(1)
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
        monkeypatch.setattr(Projected, "iterates", None)
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
