"""Every loss with every penalty on real, unscaled data, beside an independent conic solver."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from conic import EPSILON, QUANTILE, data, minimum

from gdregress import GradientDescentRegressor
from gdregress.problem.losses import LOSSES

TWICE = ("squared_error", "huber")
RATIOS = {None: 0.0, "l2": 0.0, "l1": 1.0, "elasticnet": 0.15}
FORMULAS = {
    "squared_error": lambda r: r**2,
    "huber": lambda r: np.where(np.abs(r) <= EPSILON, r**2, 2 * EPSILON * np.abs(r) - EPSILON**2),
    "absolute_error": np.abs,
    "quantile": lambda r: np.maximum(QUANTILE * r, (QUANTILE - 1) * r),
    "epsilon_insensitive": lambda r: np.maximum(np.abs(r) - EPSILON, 0),
    "squared_epsilon_insensitive": lambda r: np.maximum(np.abs(r) - EPSILON, 0) ** 2,
}

X, y = data()


@pytest.fixture(scope="module")
def elsewhere():
    """A process to solve in."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield pool


@pytest.mark.filterwarnings("ignore:.* has no effect with")
@pytest.mark.filterwarnings("ignore:epsilon.* is far below the residuals")
@pytest.mark.parametrize("alpha", [1e-4, 1.0])
@pytest.mark.parametrize("penalty", RATIOS)
@pytest.mark.parametrize("loss", LOSSES)
def test_the_objective_is_within_a_millionth_of_the_least(loss, penalty, alpha, elsewhere):
    strength = (2.0 if loss in TWICE else 1.0) * (0.0 if penalty is None else alpha)
    l1, l2 = strength * RATIOS[penalty], strength * (1.0 - RATIOS[penalty])
    least = elsewhere.submit(minimum, loss, l1, l2)
    model = GradientDescentRegressor(loss=loss, penalty=penalty, alpha=alpha).fit(X, y)
    mean_loss = FORMULAS[loss](y - model.predict(X)).mean()
    reached = mean_loss + l1 * np.abs(model.coef_).sum() + l2 / 2 * (model.coef_**2).sum()
    assert model.converged_
    assert model.history_["loss"][-1] == pytest.approx(mean_loss, rel=1e-12)
    assert reached <= least.result() * (1 + 1e-6)


@pytest.mark.filterwarnings("ignore:epsilon.* is far below the residuals")
@pytest.mark.parametrize("loss", LOSSES)
def test_positive_coefficients(loss, elsewhere):
    least = elsewhere.submit(minimum, loss, 0.0, 0.0, positive=True)
    model = GradientDescentRegressor(loss=loss, positive=True).fit(X, y)
    assert model.converged_
    assert (model.coef_ >= 0).all()
    assert (model.coef_ == 0).any()
    assert FORMULAS[loss](y - model.predict(X)).mean() <= least.result() * (1 + 1e-6)
