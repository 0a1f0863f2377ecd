"""The solvers of scikit-learn that minimise the objective of a model."""

import math
from typing import Any, NamedTuple

from sklearn.linear_model import (
    ElasticNet,
    HuberRegressor,
    Lasso,
    LinearRegression,
    QuantileRegressor,
    Ridge,
    SGDRegressor,
)

from gdregress.method.spec import epsilon_of, fits_scale
from gdregress.regressor import GradientDescentRegressor

SCALER = "StandardScaler + "
"""What the name of a solver on standardised columns begins with."""

PROGRAM_LIMIT = 4 * 10**6
"""Largest product of rows and the larger side of X up to which QuantileRegressor takes about a second."""


class Peer(NamedTuple):
    """Another solver of the objective of a model.

    Attributes
    ----------
    name : str
        Its name in the table.
    estimator : estimator
        The solver, for one target.
    standardizes : bool
        Whether it is behind a StandardScaler, so that its penalty is on standardised coefficients.
    largest : float
        Largest product of rows and the larger side of X for which it is run.
    """

    name: str
    estimator: Any
    standardizes: bool
    largest: float


def peers(model: GradientDescentRegressor, n_samples: int, random_state: Any = 0) -> list[Peer]:
    """Return the solvers of scikit-learn that minimise the objective of a model.

    Parameters
    ----------
    model : GradientDescentRegressor
        The model, which must be fitted if it fits the scale of the residuals.
    n_samples : int
        Number of rows, and the sum of their weights: those of the peers have a mean of 1.
    random_state : int, RandomState or None, default=0
        Random state of SGDRegressor.

    Returns
    -------
    list of Peer
        SGDRegressor on raw and on standardised columns, as far as it has the loss, and the solver of that loss and
        penalty, on standardised columns if the model penalises standardised coefficients.
    """
    if not isinstance(model.loss, str):
        return []
    epsilon, penalty = epsilon_of(model), model.penalty
    alpha = model.alpha if penalty is not None else 0.0
    shared: dict[str, Any] = {"fit_intercept": model.fit_intercept}
    found = []
    if model.loss != "quantile" and not model.positive:
        loss, tube = ("epsilon_insensitive", 0.0) if model.loss == "absolute_error" else (model.loss, epsilon)
        sgd = SGDRegressor(loss=loss, penalty=penalty, epsilon=tube, random_state=random_state, **shared)
        sgd.set_params(alpha=model.alpha, l1_ratio=model.l1_ratio)
        found = [(sgd, False, math.inf), (sgd, True, math.inf)]
    own: Any = None
    largest = math.inf
    if model.loss == "squared_error":
        shared["positive"] = model.positive
        own = {
            None: LinearRegression(**shared) if model.positive else None,
            "l2": Ridge(alpha * n_samples, **shared),
            "l1": Lasso(alpha, **shared),
            "elasticnet": ElasticNet(alpha, l1_ratio=model.l1_ratio, **shared),
        }[penalty]
    elif fits_scale(model) and penalty in (None, "l2") and not model.positive:
        own = HuberRegressor(alpha=alpha * n_samples / model.scale_, **shared)
    elif model.loss in ("quantile", "absolute_error") and penalty in (None, "l1") and not model.positive:
        of_half = {"quantile": 0.5, "alpha": alpha / 2.0} if model.loss == "absolute_error" else {}
        own = QuantileRegressor(**{"quantile": model.quantile, "alpha": alpha} | of_half, **shared)
        largest = PROGRAM_LIMIT
    if own is not None:
        found.append((own, bool(model.standardize) and penalty is not None, largest))
    return [Peer(SCALER * scaled + type(one).__name__, one, scaled, most) for one, scaled, most in found]
