"""The printed numbers of the textbook: seven houses, plain descent from zero."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import SGDRegressor

from gdregress import GradientDescentRegressor, closed_form, load_house_prices

X, y = load_house_prices(return_X_y=True)


def textbook(rate, epochs, X=X, y=y):
    """The loop as the articles write it: predictions, partial derivatives, step."""
    w, b, losses = np.zeros(X.shape[1]), 0.0, []
    for epoch in range(epochs + 1):
        error = y - (X @ w + b)
        losses.append(np.mean(error**2))
        if epoch < epochs:
            dw, db = -2 / len(y) * X.T @ error, -2 / len(y) * error.sum()
            w, b = w - rate * dw, b - rate * db
    return w, b, np.array(losses)


def test_25_epochs_at_a_thousandth():
    with pytest.warns(ConvergenceWarning, match="all 25 epochs were used"):
        model = GradientDescentRegressor(learning_rate=0.001, epochs=25).fit(X, y)
    assert f"{model.coef_[0]:.8f}" == "31.03371126"
    assert f"{model.intercept_:.8f}" == "8.19030548"
    loss = model.history_["loss"]
    assert len(loss) == 26
    assert [f"{loss[k]:.3f}" for k in (0, 1, 25)] == ["65228.571", "62362.294", "23223.728"]
    assert not model.converged_


def test_200_epochs_near_the_ceiling():
    model = GradientDescentRegressor(learning_rate=0.075, epochs=200, tol=None).fit(X, y)
    assert f"{model.history_['loss'][-1]:.3f}" == "5692.005"
    assert f"{model.max_learning_rate_:.8f}" == "0.08128431"


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.075, 0.0812])
@pytest.mark.parametrize("epochs", [1, 25, 300])
def test_every_state_is_that_of_the_textbook_loop(rate, epochs):
    model = GradientDescentRegressor(learning_rate=rate, epochs=epochs, tol=None, record_path=True).fit(X, y)
    w, b, losses = textbook(rate, epochs)
    np.testing.assert_allclose(model.history_["loss"], losses, rtol=1e-12)
    np.testing.assert_allclose(model.coef_, w, rtol=1e-11)
    np.testing.assert_allclose(model.intercept_, b, rtol=1e-10)
    np.testing.assert_array_equal(model.history_["coef"][-1], model.coef_)
    np.testing.assert_array_equal(model.history_["intercept"][0], 0.0)
    np.testing.assert_array_equal(model.history_["learning_rate"][1:], rate)


def test_several_features_and_outputs_at_once():
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(50, 3)) * [1, 3, 0.2] + [0, 5, -1]
    Y = Z @ rng.normal(size=(3, 2)) + rng.normal(size=(50, 2))
    model = GradientDescentRegressor(learning_rate=0.01, epochs=40, tol=None).fit(Z, Y)
    for k in range(2):
        w, b, _ = textbook(0.01, 40, Z, Y[:, k])
        np.testing.assert_allclose(model.coef_[k], w, rtol=1e-10)
        np.testing.assert_allclose(model.intercept_[k], b, rtol=1e-10)
    each = [textbook(0.01, 40, Z, Y[:, k])[2] for k in range(2)]
    np.testing.assert_allclose(model.history_["loss"], np.mean(each, axis=0), rtol=1e-10)


def test_a_rate_above_the_ceiling_diverges_and_says_why():
    above = r"learning_rate=0\.085 is above the stability ceiling 0\.08128 \(2/L\)"
    with pytest.warns(ConvergenceWarning, match=above):
        model = GradientDescentRegressor(learning_rate=0.085).fit(X, y)
    assert not model.converged_
    assert np.isfinite(model.coef_).all()
    assert np.isfinite(model.predict(X)).all()
    assert "learning_rate='auto'" in model.stop_reason_
    assert model.history_["loss"][-1] > model.history_["loss"][0]


def test_the_ceiling_is_where_it_is_said_to_be():
    below = GradientDescentRegressor(learning_rate=0.081, epochs=20_000).fit(X, y)
    assert below.converged_
    np.testing.assert_allclose([below.coef_[0], below.intercept_], [84.73684211, -46.31578947], rtol=1e-6)
    with pytest.warns(ConvergenceWarning, match="stability ceiling"):
        GradientDescentRegressor(learning_rate=0.082, epochs=20_000).fit(X, y)


def test_few_epochs_above_the_ceiling_say_so_too():
    with pytest.warns(ConvergenceWarning, match="the loss rose from"):
        GradientDescentRegressor(learning_rate=0.085, epochs=30).fit(X, y)


def test_the_minimum():
    model = GradientDescentRegressor().fit(X, y)
    np.testing.assert_allclose([model.coef_[0], model.intercept_], [84.73684210526316, -46.31578947368421], rtol=1e-13)
    assert f"{model.history_['loss'][-1]:.3f}" == "5691.729"
    assert model.converged_
    np.testing.assert_allclose(closed_form(X, y)[0], model.coef_, rtol=1e-13)


def test_the_stochastic_descent_it_is_compared_with():
    sgd = SGDRegressor(learning_rate="constant", eta0=0.0075, max_iter=200, random_state=42).fit(X, y)
    np.testing.assert_allclose([sgd.coef_[0], sgd.intercept_[0]], [68.95520002, 12.285233], rtol=1e-8)


def test_loss_small_enough():
    model = GradientDescentRegressor(learning_rate=0.05, epochs=1000, target_loss=6000).fit(X, y)
    loss = model.history_["loss"]
    assert loss[-1] <= 6000 < loss[-2]
    assert "target_loss=6000" in model.stop_reason_


def test_random_start():
    model = GradientDescentRegressor(0.05, epochs=2, tol=None, init="random", random_state=3, record_path=True)
    model.fit(X, y)
    start = np.random.RandomState(3).standard_normal((2, 1)).ravel()
    np.testing.assert_array_equal([model.history_["coef"][0, 0], model.history_["intercept"][0]], start)
