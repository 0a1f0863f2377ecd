"""The inverse Hessian of exactly collinear columns: from products and one look at the rows."""

import numpy as np
import pytest
from scipy import sparse

from gdregress import GradientDescentRegressor
from gdregress.method import known
from gdregress.method.collinear import inverse_of_collinear
from gdregress.method.known import STEP_ERROR
from gdregress.method.preconditioners import InverseHessian
from gdregress.method.spec import Spec
from gdregress.problem.problem import Problem
from gdregress.rows.memory import RowBlocks


def one_hot(n=300, sizes=(2, 3, 5, 8), seed=0):
    """Columns of 1 where a category has a value, else 0; those of each category sum to 1."""
    rng = np.random.default_rng(seed)
    return np.hstack([np.eye(size)[np.append(np.arange(size), rng.integers(0, size, n - size))] for size in sizes])


def normal(n=300, p=6, seed=1):
    return np.random.default_rng(seed).normal(size=(n, p)) * 10.0 ** np.arange(p)


def problem_of(X, weight=None, *, fit_intercept=True):
    y = np.random.default_rng(2).normal(size=(X.shape[0], 1))
    rows = RowBlocks(X, y, weight)
    spec = Spec.of(GradientDescentRegressor(fit_intercept=fit_intercept))
    return Problem.of(spec.terms, rows.moments(), rows)


def inverse_of(problem):
    return inverse_of_collinear(problem.quadratic, problem.rows, problem.moments, problem.standard, STEP_ERROR)


def standardised(problem):
    """The rows in the coordinates, times the roots of the shares of their weights."""
    rows, standard = problem.rows, problem.standard
    X = rows.X.toarray() if rows.is_sparse else rows.X
    share = np.ones(len(X)) if rows.weight is None else rows.weight
    return np.sqrt(share / share.sum())[:, np.newaxis] * (X - standard.center) * standard.inverse_scale


COLLINEAR = {
    "one-hot": one_hot(),
    "one-hot CSR": sparse.csr_array(one_hot()),
    "one-hot CSR beside numbers": sparse.csr_array(np.hstack([one_hot(), normal()])),
    "a column twice": np.hstack([normal(), normal()[:, 2:3]]),
    "a sum of columns, and a constant": np.hstack([normal(), normal()[:, :1] + normal()[:, 1:2], np.full((300, 1), 7)]),
    "combinations of other units": np.hstack([normal(), 1e-3 * normal() @ np.ones((6, 2)) + 5]),
}


@pytest.mark.parametrize("name", COLLINEAR)
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_it_is_the_pseudo_inverse(name, weighted, fit_intercept):
    X = COLLINEAR[name]
    problem = problem_of(
        X, np.random.default_rng(3).uniform(0.5, 2, 300) if weighted else None, fit_intercept=fit_intercept
    )
    inverse = inverse_of(problem)
    assert inverse is not None
    Z = standardised(problem)
    expected = np.linalg.pinv(Z.T @ Z, rcond=1e-11, hermitian=True)
    np.testing.assert_allclose(inverse.basis @ inverse.basis.T, expected, atol=1e-11 * inverse.inflation)
    assert inverse.is_singular


@pytest.mark.parametrize("tilt", [1e-3, 1e-6, 1e-9, 1e-11])
def test_what_is_not_constant_on_the_rows_is_no_null_space(tilt):
    """The products of the last two columns cannot tell them from one column twice; their differences can."""
    X = normal() / 10.0 ** np.arange(6)
    X = np.hstack([X, X[:, :1] + tilt * np.random.default_rng(4).normal(size=(300, 1))])
    problem = problem_of(X)
    assert inverse_of(problem) is None
    assert InverseHessian.from_rows(problem.rows, problem.moments, problem.standard, 0.0).basis.shape[1] == 7


def test_where_nothing_is_collinear_there_is_none():
    assert inverse_of(problem_of(normal())) is None


def test_a_null_space_that_the_products_know_badly_is_refined_on_the_rows():
    """Six columns are nearly the same, so each is enlarged by rounding; the seventh is a sum of them."""
    rng = np.random.default_rng(5)
    X = rng.normal(size=(300, 1)) + 1e-4 * rng.normal(size=(300, 6))
    problem = problem_of(np.hstack([X, X @ np.array([[1.0, -2.0, 3.0, -1.0, 0.5, 0.25]]).T]))
    inverse = inverse_of(problem)
    exact = InverseHessian.from_rows(problem.rows, problem.moments, problem.standard, 0.0)
    one, other = (each.basis @ each.basis.T for each in (inverse, exact))
    np.testing.assert_allclose(one, other, atol=1e-6 * np.abs(other).max())
    lost = standardised(problem) @ np.linalg.svd(inverse.basis)[0][:, 6:]
    assert np.linalg.norm(lost) < 1e-13


def test_a_fit_takes_it_and_is_the_least_squares_solution_of_least_norm(monkeypatch):
    X = COLLINEAR["one-hot CSR beside numbers"]
    y = X @ np.random.default_rng(6).normal(size=X.shape[1]) + np.random.default_rng(7).normal(size=300)
    monkeypatch.setattr(known, "COSTLY", 0)
    monkeypatch.setattr(known.InverseHessian, "from_rows", None)
    model = GradientDescentRegressor().fit(X, y)
    dense = X.toarray()
    scale = dense.std(axis=0)
    Z = (dense - dense.mean(axis=0)) / scale
    z = np.linalg.lstsq(Z, y - y.mean(), rcond=1e-11)[0]
    np.testing.assert_allclose(model.predict(X), y.mean() + Z @ z, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(model.coef_ * scale, z, atol=1e-10 * np.abs(z).max())
    assert model.converged_
    assert model.optimality_ < 1e-12
