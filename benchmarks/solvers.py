"""The solvers that are compared, by the names under which they are printed: all with their defaults.

SGDRegressor gets a seed, so that a run can be repeated. Ridge gets no penalty, so that it solves
the same problem as the others. Nobody's number of threads is touched.
"""

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression, Ridge, SGDRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gdregress import GradientDescentRegressor

OURS = "GradientDescentRegressor"
INTEL = "LinearRegression (intelex)"


def sgd():
    """Make scikit-learn's stochastic gradient descent, to run on the columns as they are."""
    return SGDRegressor(random_state=0)


def scaled_sgd():
    """Make the same behind a StandardScaler, as its documentation recommends."""
    return make_pipeline(StandardScaler(), sgd())


def ridge():
    """Make the normal equations, solved by a Cholesky factorisation."""
    return Ridge(alpha=0.0, solver="cholesky")


def intel():
    """Make the LinearRegression of scikit-learn-intelex."""
    from sklearnex.linear_model import LinearRegression as IntelLinearRegression

    return IntelLinearRegression()


COMMON: dict[str, Callable] = {
    OURS: GradientDescentRegressor,
    "SGDRegressor": sgd,
    "StandardScaler + SGDRegressor": scaled_sgd,
    "LinearRegression": LinearRegression,
}

DIRECT: dict[str, Callable] = {"Ridge(cholesky, alpha=0)": ridge}
if find_spec("sklearnex"):
    DIRECT[INTEL] = intel


def linear_model(fitted):
    """Give the last step of a pipeline, or the estimator itself."""
    return fitted[-1] if hasattr(fitted, "steps") else fitted


def raw_coefficients(fitted) -> tuple[NDArray, float]:
    """Give the coefficients and the intercept for the columns as they are, the scaler's work undone."""
    model = linear_model(fitted)
    coef, intercept = model.coef_, np.ravel(model.intercept_)[0]
    if model is not fitted:
        coef = coef / fitted[0].scale_
        intercept = intercept - coef @ fitted[0].mean_
    return coef, float(intercept)
