"""Certified digits of the NIST Statistical Reference Datasets, with default parameters."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from gdregress import GradientDescentRegressor

SETS = json.loads((Path(__file__).parent / "data" / "nist_strd.json").read_text())


def load(name):
    data = SETS[name]
    X, y = np.array(data["x"]), np.array(data["y"])
    if data["polynomial_degree"] is not None:
        X = np.hstack([X**power for power in range(1, data["polynomial_degree"] + 1)])
    return X, y, data["fit_intercept"], np.array(data["certified"])


def correct_digits(model, name):
    """Correct significant digits of the worst coefficient."""
    X, y, fit_intercept, certified = load(name)
    model.set_params(fit_intercept=fit_intercept).fit(X, y)
    found = np.r_[model.intercept_, model.coef_] if fit_intercept else model.coef_
    error = np.abs(found - certified) / np.abs(certified)
    return -np.log10(max(error.max(), 1e-15))


@pytest.mark.parametrize("name", SETS)
def test_certified_digits(name):
    assert correct_digits(GradientDescentRegressor(), name) >= (7 if name == "filip" else 9)


@pytest.mark.parametrize("name", SETS)
def test_converged_by_its_own_account(name):
    X, y, fit_intercept, _ = load(name)
    model = GradientDescentRegressor(fit_intercept=fit_intercept).fit(X, y)
    assert model.converged_
    assert model.n_iter_ <= 6


@pytest.mark.skipif(not hasattr(LinearRegression(), "tol"), reason="the cut-off came with scikit-learn 1.7")
def test_the_sets_are_hard():
    """Least squares with a cut-off relative to the largest raw column has no digit on half of them."""
    digits = [correct_digits(LinearRegression(), name) for name in SETS]
    assert sum(d < 1 for d in digits) >= 6
