"""An epoch of descent over each chunk: what is carried on makes of many chunks one descent."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import SGDRegressor

from gdregress import GradientDescentRegressor


def make(n=60, p=3, m=None, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) + 1
    y = X @ rng.normal(size=(p, m or 1)) + 2 + 0.1 * rng.normal(size=(n, m or 1))
    return X, y if m else y[:, 0], rng.uniform(0.1, 2, n)


def passes(model, n, *chunk):
    for _ in range(n):
        model.partial_fit(*chunk)
    return model


CARRIED = [
    {},
    {"batch_size": 7},
    {"batch_size": 1, "fit_intercept": False},
    {"optimizer": "momentum", "batch_size": 7},
    {"optimizer": "momentum"},
    {"optimizer": "adagrad", "batch_size": 7},
    {"optimizer": "rmsprop", "batch_size": 7},
    {"optimizer": "adam", "batch_size": 7},
    {"optimizer": "adam", "momentum": 0.5},
    {"average": True, "batch_size": 7},
    {"average": 30, "batch_size": 7},
    {"schedule": "invscaling", "batch_size": 7},
    {"schedule": "cosine", "batch_size": 7},
    {"schedule": "adaptive", "n_iter_no_change": 1, "optimizer": "momentum", "momentum": 0.98, "batch_size": 7},
    {"schedule": lambda k: 1 / (1 + k), "batch_size": 7},
    {"loss": "huber", "batch_size": 7},
    {"loss": "squared_epsilon_insensitive", "batch_size": 7},
    {"penalty": "l2", "alpha": 0.1, "batch_size": 7},
    {"penalty": "elasticnet", "alpha": 0.1, "batch_size": 7},
    {"positive": True, "batch_size": 7},
]


@pytest.mark.filterwarnings("ignore:.* has no effect with")
@pytest.mark.parametrize("m", [None, 2])
@pytest.mark.parametrize("params", CARRIED, ids=str)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_passes_over_the_same_rows_are_the_epochs_of_one_fit(params, m):
    """Point, memory, epoch, schedule and mean: each is carried on, or these part."""
    X, y, weight = make(m=m)
    settings = {"epochs": 6, "tol": None, "shuffle": False, **params}
    for weights in (None, weight):
        whole = GradientDescentRegressor(0.02, **settings).fit(X, y, weights)
        model = passes(GradientDescentRegressor(0.02, **settings), 6, X, y, weights)
        np.testing.assert_allclose(model.coef_, whole.coef_, rtol=1e-9)
        np.testing.assert_allclose(model.intercept_, whole.intercept_, rtol=1e-9)
        assert np.shape(model.intercept_) == np.shape(whole.intercept_)
        np.testing.assert_allclose(model.history_["loss"], whole.history_["loss"][:-1], rtol=1e-9)
        np.testing.assert_allclose(model.history_["learning_rate"], whole.history_["learning_rate"][1:], rtol=1e-12)
        assert (model.n_iter_, model.n_chunks_seen_, model.n_samples_seen_) == (6, 6, 360)


def test_row_by_row_it_is_sgd_regressor():
    """Whose loss is half of ours, at a rate that is twice ours, and whose penalty shrinks before the step."""
    X, y, _ = make(50)
    theirs = SGDRegressor(penalty=None, learning_rate="constant", eta0=0.02, shuffle=False)
    ours = GradientDescentRegressor(0.01, batch_size=1, shuffle=False)
    for part in np.array_split(np.arange(50), 6):
        theirs.partial_fit(X[part], y[part])
        ours.partial_fit(X[part], y[part])
        np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-10)
        np.testing.assert_allclose(ours.intercept_, theirs.intercept_[0], rtol=1e-10)


def test_what_is_carried_on_survives_a_pickle():
    X, y, weight = make()
    model = GradientDescentRegressor(0.01, optimizer="adam", average=True, batch_size=7, random_state=3)
    passes(model, 2, X, y, weight)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(passes(copy, 2, X, y, weight).coef_, passes(model, 2, X, y, weight).coef_)


def test_each_chunk_is_shuffled_in_its_own_way_and_the_same_again():
    X, y, _ = make()
    params = {"batch_size": 1, "random_state": 0}
    one, again = (passes(GradientDescentRegressor(0.01, **params), 3, X, y).coef_ for _ in range(2))
    np.testing.assert_array_equal(one, again)
    first = GradientDescentRegressor(0.01, **params).partial_fit(X, y)
    second = GradientDescentRegressor(0.01, **params).partial_fit(np.zeros((60, 3)), np.zeros(60))
    assert not second.coef_.any()
    assert np.abs(second.partial_fit(X, y).coef_ - first.coef_).max() > 1e-6


@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csr_matrix, np.asfortranarray, pd.DataFrame])
def test_containers(container):
    X, y, weight = make()
    model = GradientDescentRegressor(0.01, batch_size=7, random_state=0)
    expected = passes(GradientDescentRegressor(0.01, batch_size=7, random_state=0), 2, X, y, weight)
    np.testing.assert_allclose(passes(model, 2, container(X), y, weight).coef_, expected.coef_, rtol=1e-12)


def test_float32_stays_float32_until_a_chunk_is_not():
    X, y, _ = make()
    model = GradientDescentRegressor(0.01).partial_fit(X.astype(np.float32), y)
    assert model.coef_.dtype == np.float32
    assert model.partial_fit(X, y).coef_.dtype == np.float64
    assert model.partial_fit(X.astype(np.float32), y).coef_.dtype == np.float64


def test_the_rate_falls_where_the_loss_of_chunks_does_not():
    X, y, _ = make()
    model = GradientDescentRegressor(0.01, schedule="adaptive", n_iter_no_change=1)
    for level in (0, 1e2, 1e3, 1e4, 0):
        model.partial_fit(X, y + level)
    np.testing.assert_allclose(model.history_["learning_rate"], [0.01, 0.01, 0.002, 4e-4, 4e-4], rtol=1e-12)


def test_what_is_carried_on_is_plain():
    X, y, _ = make()
    for optimizer in ("gd", "adam"):
        model = GradientDescentRegressor(0.01, optimizer=optimizer, average=True, schedule="adaptive")
        for value in model.partial_fit(X, y).descent_.values():
            parts = value if type(value) is tuple else [value]
            assert {type(part) for part in parts} <= {np.ndarray, float, int, bool, str, type(None)}


def test_weights_have_one_scale_over_chunks():
    """A row of weight 5 after rows of weight 1 moves the point by 5 over the mean weight so far."""
    X, y, _ = make(2)
    model = GradientDescentRegressor(0.01).partial_fit(X[:1], y[:1], [1.0])
    coef, intercept = model.coef_, model.intercept_
    model.partial_fit(X[1:], y[1:], [5.0])
    residual = y[1] - X[1] @ coef - intercept
    np.testing.assert_allclose(model.coef_, coef + 0.02 * 5 / 3 * residual * X[1], rtol=1e-12)


def test_a_chunk_without_weight_changes_nothing_but_the_count():
    X, y, _ = make()
    model = GradientDescentRegressor(0.01, optimizer="momentum").partial_fit(X, y)
    coef, descent = model.coef_, model.descent_
    model.partial_fit(X, -y, np.zeros(60))
    np.testing.assert_array_equal(model.coef_, coef)
    assert (model.n_chunks_seen_, model.n_iter_, model.n_samples_seen_) == (2, 1, 60)
    assert model.descent_ == {**descent, "last": model.descent_["last"], "memory": model.descent_["memory"]}


def test_fit_forgets_the_stream_and_a_stream_forgets_the_fit():
    X, y, _ = make()
    model = GradientDescentRegressor(0.01, 20, tol=None).partial_fit(X, -y).fit(X, y)
    assert not hasattr(model, "descent_")
    fresh = GradientDescentRegressor(0.01, 20, tol=None).fit(X, y)
    np.testing.assert_array_equal(model.coef_, fresh.coef_)


@pytest.mark.parametrize("params", [{"learning_rate": 0.01}, {"loss": "huber", "random_state": 0}], ids=str)
def test_a_stream_goes_on_from_the_coefficients_of_a_fit(params):
    """What SGDRegressor does: after a fit on all rows so far a few new ones move it a little."""
    X, y, _ = make(2000)
    model = GradientDescentRegressor(epochs=5000, **params).fit(X[:1900], y[:1900])
    before = model.predict(X)
    assert model.partial_fit(X[1900:], y[1900:]) is model
    assert 0 < np.std(model.predict(X) - before) < 0.1 * before.std()
    assert (model.n_samples_seen_, model.n_chunks_seen_) == (100, 1)
    coef, intercept = model.coef_, model.intercept_
    with pytest.raises(ValueError, match="X has 2 features, but GradientDescentRegressor is expecting 3"):
        model.partial_fit(X[:, :2], y)
    assert model.coef_ is coef
    assert model.partial_fit(X[:5], y[:5], np.zeros(5)).intercept_ == intercept


def test_a_weightless_chunk_after_a_fit_keeps_its_coefficients_and_not_its_history():
    X, y, _ = make()
    model = GradientDescentRegressor(0.01, 5, tol=None).fit(X, y)
    coef = model.coef_
    model.partial_fit(X, y, np.zeros(60))
    np.testing.assert_array_equal(model.coef_, coef)
    assert not hasattr(model, "history_")


@pytest.mark.parametrize("params", [{"learning_rate": 1e-7, "optimizer": "momentum"}, {"loss": "huber"}], ids=str)
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_intercept_may_come_and_go(params, fit_intercept):
    X, y, _ = make()
    model = GradientDescentRegressor(**params, fit_intercept=fit_intercept, average=10).partial_fit(X, y)
    model.set_params(fit_intercept=not fit_intercept).partial_fit(X, y)
    assert np.isfinite(model.predict(X)).all()
    assert bool(model.intercept_ == 0.0) is fit_intercept


def test_another_optimizer_starts_with_no_memory():
    X, y, _ = make()
    model = GradientDescentRegressor(0.01, optimizer="adam").partial_fit(X, y)
    model.set_params(optimizer="momentum").partial_fit(X, y)
    assert model.optimizer_ == "momentum"


@pytest.mark.filterwarnings("ignore:.* has no effect with")
@pytest.mark.parametrize("loss", ["absolute_error", "quantile", "epsilon_insensitive"])
def test_losses_with_kinks_come_near(loss):
    X, y, _ = make(2000)
    params = {"loss": loss, "epsilon": 0.0, "schedule": "invscaling", "power_t": 0.5, "batch_size": 5}
    model = GradientDescentRegressor(0.3, random_state=0, **params)
    for part in np.array_split(np.arange(2000), 40):
        model.partial_fit(X[part], y[part])
    whole = GradientDescentRegressor(loss=loss, epsilon=0.0).fit(X, y)
    assert np.std(model.predict(X) - whole.predict(X)) < 0.1 * y.std()


CHOSEN = [
    {},
    {"learning_rate": "diagonal"},
    {"learning_rate": "lipschitz"},
    {"learning_rate": "lipschitz", "penalty": "l1", "alpha": 0.1},
    {"optimizer": "momentum"},
    {"optimizer": "adam"},
    {"average": True},
    {"average": 30, "schedule": "invscaling"},
    {"penalty": "l2", "alpha": 0.1},
    {"penalty": "elasticnet", "alpha": 0.1, "positive": True},
    {"fit_intercept": False},
    {"loss": "squared_epsilon_insensitive"},
]


@pytest.mark.parametrize("m", [None, 2])
@pytest.mark.parametrize("params", CHOSEN, ids=str)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_chosen_rate_is_that_of_one_fit_of_mini_batches(params, m):
    """The moments of the same rows, six times over, have the same means and curvature."""
    X, y, weight = make(m=m)
    X = X * [1e-3, 1.0, 1e3] + 50
    settings = {"epochs": 6, "tol": None, "shuffle": False, "batch_size": 7, **params}
    for weights in (None, weight):
        whole = GradientDescentRegressor(**settings).fit(X, y, weights)
        model = passes(GradientDescentRegressor(**settings), 6, X, y, weights)
        np.testing.assert_allclose(model.predict(X), whole.predict(X), rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(model.history_["learning_rate"], whole.history_["learning_rate"][1:], rtol=1e-9)
        assert (model.learning_rate_, model.optimizer_) == (whole.learning_rate_, whole.optimizer_)


def raw_columns(n, p=8, seed=0):
    """Columns of many scales about a mean of 100, and a tenth of outliers."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * np.logspace(-3, 3, p) + 100
    y = (X - 100) @ (rng.normal(size=p) / np.logspace(-3, 3, p)) + 0.3 * rng.normal(size=n)
    return X, y + 20.0 * (rng.uniform(size=n) < 0.1)


@pytest.mark.parametrize(
    "params",
    [
        {"loss": "huber"},
        {"loss": "absolute_error"},
        {"loss": "quantile", "quantile": 0.4},
        {"loss": "epsilon_insensitive", "epsilon": 0.2},
        {"loss": "huber", "learning_rate": "diagonal"},
        {"loss": "huber", "optimizer": "momentum"},
        {"loss": "huber", "average": 5000},
        {"loss": "huber", "penalty": "l1", "alpha": 1e-3},
    ],
    ids=str,
)
def test_other_losses_come_near_on_raw_columns(params):
    X, y = raw_columns(20_000)
    whole = GradientDescentRegressor(**{**params, "average": False, "optimizer": "auto"}).fit(X, y)
    model = GradientDescentRegressor(**params, random_state=0)
    for part in np.array_split(np.random.default_rng(1).permutation(20_000), 37):
        model.partial_fit(X[part], y[part])
    near = 0.05 if "penalty" in params else 0.02  # raw L1 weighs most on the column of the least scale
    assert np.std(model.predict(X) - whole.predict(X)) < near * whole.predict(X).std()
    assert model.moments_["n_samples"] == model.n_samples_seen_ == 20_000
    assert model.history_["loss"].shape == (37,)
    assert model.history_["loss"][-5:].mean() < 0.8 * model.history_["loss"][0]


def test_chunks_shorter_than_there_are_columns_and_a_column_that_moves_late():
    X, y = raw_columns(3000)
    X[:1000, 3] = 7.0
    whole = GradientDescentRegressor(loss="huber").fit(X, y)
    model = GradientDescentRegressor(loss="huber", random_state=0)
    for k in range(0, 3000, 5):
        model.partial_fit(X[k : k + 5], y[k : k + 5])
    assert np.isfinite(model.coef_).all()
    assert np.std(model.predict(X) - whole.predict(X)) < 0.3 * whole.predict(X).std()


def test_many_columns_of_csr_take_one_rate_each():
    rng = np.random.default_rng(0)
    X = sparse.csr_array(sparse.random(10_000, 600, density=0.05, random_state=0))
    y = X @ rng.normal(size=600) + 0.1 * rng.normal(size=10_000)
    model = GradientDescentRegressor(loss="huber", random_state=0)
    for k in range(0, 10_000, 500):
        model.partial_fit(X[k : k + 500], y[k : k + 500])
    assert model.learning_rate_ == "diagonal"
    assert model.moments_["cross"] is None
    assert model.score(X, y) > 0.8


def test_every_second_chunk_is_printed(capsys):
    X, y, _ = make()
    model = passes(GradientDescentRegressor(0.01, verbose=2), 5, X, y)
    loss = model.history_["loss"]
    lines = [f"chunk {k}: loss {loss[k - 1]:.8g} before learning from it, rate 0.01" for k in (2, 4)]
    assert capsys.readouterr().out.splitlines() == lines


@pytest.mark.parametrize("seed", [35, 52, 89, 136])
def test_the_noise_of_a_first_chunk_is_no_divergence(seed):
    """After twenty rows these orders of them leave a loss a little above that of no coefficients: nobody is warned."""
    X, y, _ = make(2000)
    model = GradientDescentRegressor(0.3, loss="absolute_error", schedule="invscaling", batch_size=5, random_state=seed)
    model.set_params(power_t=0.5).partial_fit(X[:20], y[:20])
    assert np.abs(y[:20] - model.predict(X[:20])).mean() > np.abs(y[:20]).mean()


def test_a_stream_with_a_chosen_rate_survives_a_pickle():
    X, y = raw_columns(500)
    model = GradientDescentRegressor(loss="huber", optimizer="adam", average=True, random_state=3)
    passes(model, 2, X, y)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(passes(copy, 2, X, y).coef_, passes(model, 2, X, y).coef_)


def test_a_batch_has_32_rows_or_a_fiftieth_where_nobody_says():
    X, y = raw_columns(500)
    model = GradientDescentRegressor(loss="huber").partial_fit(X, y)
    asked = GradientDescentRegressor(loss="huber", batch_size=32, random_state=0).partial_fit(X, y)
    model = GradientDescentRegressor(loss="huber", random_state=0).partial_fit(X, y)
    np.testing.assert_array_equal(model.coef_, asked.coef_)
    X2, y2 = raw_columns(4000)
    asked = GradientDescentRegressor(loss="huber", batch_size=80, random_state=0).partial_fit(X2, y2)
    model2 = GradientDescentRegressor(loss="huber", random_state=0).partial_fit(X2, y2)
    np.testing.assert_array_equal(model2.coef_, asked.coef_)
    whole = GradientDescentRegressor(loss="huber", batch_size=500).partial_fit(X, y)
    assert np.abs(whole.coef_ - model.coef_).max() > 0.01
    one = GradientDescentRegressor(1e-7).partial_fit(X, y)
    np.testing.assert_allclose(one.intercept_, 2e-7 * y.mean(), rtol=1e-12)


def test_the_rate_of_a_robust_loss_falls_on_once_it_is_smoothed_no_more():
    """With the root of the total step size (Robbins and Monro): by half while that grows fourfold."""
    X, y = raw_columns(200)
    model = passes(GradientDescentRegressor(loss="huber", epsilon=0.5, batch_size=10, random_state=0), 401, X, y)
    rate = model.history_["learning_rate"]
    assert rate[400] / rate[100] == pytest.approx(0.5, rel=0.1)


def test_a_rule_that_adapts_its_own_rate_keeps_it_for_robust_losses():
    X, y = raw_columns(200)
    model = passes(GradientDescentRegressor(loss="huber", epsilon=0.9, optimizer="adagrad", random_state=0), 9, X, y)
    np.testing.assert_array_equal(model.history_["learning_rate"], 0.5)


@pytest.mark.filterwarnings("ignore:.* has no effect with")
@pytest.mark.parametrize("rate", ["auto", 1e-6])
@pytest.mark.parametrize("params", [{}, {"penalty": "l2", "alpha": 0.1}, {"average": True}], ids=str)
@pytest.mark.parametrize("loss", ["squared_error", "huber", "absolute_error"])
def test_the_loss_of_a_chunk_is_that_of_the_coefficients_before_it(loss, params, rate):
    X, y = raw_columns(200)
    model = GradientDescentRegressor(rate, loss=loss, epsilon=0.5, batch_size=10, random_state=0, **params)
    model.partial_fit(X[:100], 30.0 * y[:100])
    residuals = 30.0 * y[100:] - model.predict(X[100:])
    model.partial_fit(X[100:], 30.0 * y[100:])
    expected = {
        "squared_error": residuals**2,
        "huber": np.where(np.abs(residuals) <= 0.5, residuals**2, np.abs(residuals) - 0.25),
        "absolute_error": np.abs(residuals),
    }
    np.testing.assert_allclose(model.history_["loss"][1], expected[loss].mean(), rtol=1e-9)


@pytest.mark.parametrize("rate", [0.01, "auto"])
def test_rows_of_weight_zero_in_a_chunk_are_not_there(rate):
    X, y, weight = make()
    weight = np.where(np.arange(len(y)) % 3 == 0, 0.0, weight)
    seen = weight > 0
    params = {"loss": "huber", "batch_size": 7, "shuffle": False}
    given, left = (GradientDescentRegressor(rate, **params) for _ in range(2))
    passes(given, 2, X, y, weight)
    passes(left, 2, X[seen], y[seen], weight[seen])
    np.testing.assert_allclose(given.coef_, left.coef_, rtol=1e-9)


def test_with_one_rate_for_all_columns_their_common_unit_drops_out():
    X, y = raw_columns(400, p=3)
    X = X / 1e3
    model, other = (GradientDescentRegressor("lipschitz", loss="huber", fit_intercept=False) for _ in range(2))
    model.set_params(random_state=0).partial_fit(X[:200], y[:200]).partial_fit(X[200:], y[200:])
    other.set_params(random_state=0).partial_fit(64 * X[:200], y[:200]).partial_fit(64 * X[200:], y[200:])
    np.testing.assert_allclose(64 * other.coef_, model.coef_, rtol=1e-9)


def test_a_rate_that_is_too_large_is_said():
    X, y = raw_columns(1000)
    model = GradientDescentRegressor(1e-3, batch_size=10, random_state=0)
    with pytest.warns(ConvergenceWarning, match="diverged over chunk 1 at learning_rate=0.001: predicting 0 for every"):
        model.partial_fit(X[:20], y[:20])
    with pytest.warns(ConvergenceWarning, match="diverged over chunk 2"):
        model.partial_fit(X[20:40], y[20:40])


def test_what_was_remembered_in_other_units_is_forgotten():
    X, y = raw_columns(2000)
    model, fresh = (GradientDescentRegressor(optimizer="momentum", random_state=0) for _ in range(2))
    model.partial_fit(X[:64], 1e-3 * y[:64] + 1)
    for k in range(64, 2000, 64):
        model.partial_fit(X[k : k + 64], 1e3 * y[k : k + 64])
        fresh.partial_fit(X[k : k + 64], 1e3 * y[k : k + 64])
    assert model.score(X, 1e3 * y) > 0.8 * fresh.score(X, 1e3 * y) > 0


@pytest.mark.parametrize(("times", "is_said"), [(1.5, False), (3.0, True), (30.0, True)])
def test_a_chunk_that_is_left_twice_as_bad_as_without_coefficients_has_diverged(times, is_said):
    """Of rows that are alike an epoch multiplies the residual by 1 - 2 rate."""
    X, y = np.ones((10, 1)), np.ones(10)
    model = GradientDescentRegressor((1 + times**0.5) / 2, fit_intercept=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.partial_fit(X, y)
    assert np.mean((model.predict(X) - y) ** 2) == pytest.approx(times)
    assert ["diverged over chunk 1" in str(warning.message) for warning in caught] == [True] * is_said


@pytest.mark.parametrize(("scale", "is_forgotten"), [(1.0, False), (1.5, False), (3.0, True), (10.0, True)])
def test_what_was_remembered_is_forgotten_where_units_have_doubled(scale, is_forgotten):
    """Columns that grow threefold make those of all rows so far grow more than twofold."""
    X, y, _ = make(400)
    model, without = (GradientDescentRegressor(optimizer="momentum", random_state=0) for _ in range(2))
    for each in (model, without):
        each.partial_fit(X[:200] - 1, y[:200])
    without.descent_ = without.descent_ | {"optimizer": "another", "memory": None}
    for each in (model, without):
        each.partial_fit(scale * (X[200:] - 1), y[200:])
    assert np.array_equal(model.coef_, without.coef_) == is_forgotten


def test_a_rate_does_not_fall_while_the_loss_in_units_of_y_does():
    X, y, _ = make(200)
    params = {"schedule": "adaptive", "n_iter_no_change": 1, "batch_size": 20, "shuffle": False}
    model = GradientDescentRegressor(**params).partial_fit(X, 100 * y)
    passes(model, 4, X, 100 * y + 1e-9)
    far = GradientDescentRegressor(**params).partial_fit(X, 100 * y)
    passes(far, 4, X, y)
    loss, rate = far.history_["loss"], far.history_["learning_rate"]
    assert (np.diff(loss) < 0).all()
    assert rate.min() > 0.5 * rate.max()


@pytest.mark.parametrize("heavy", [1e2, 1e4])
def test_a_heavy_row_slows_its_chunk_down(heavy):
    X, y = raw_columns(2000)
    model = GradientDescentRegressor(batch_size=32, random_state=0)
    for k in range(0, 1984, 64):
        model.partial_fit(X[k : k + 64], y[k : k + 64], np.ones(64))
    before = model.score(X, y)
    weight = np.ones(64)
    weight[3] = heavy
    model.partial_fit(X[:64], y[:64], weight)
    assert model.score(X, y) > before - 0.1
    uneven = np.ones(2000)
    uneven[7] = heavy
    whole = GradientDescentRegressor(batch_size=32, random_state=0, epochs=20, tol=None).fit(X, y, uneven)
    assert np.isfinite(whole.history_["loss"]).all()
    assert whole.history_["loss"][-1] < whole.history_["loss"][0]


def test_collinear_columns_of_a_chunk():
    X, y = raw_columns(3000)
    X = np.column_stack([X, X[:, 5] - 10 * X[:, 4], X[:, 2]])
    model = GradientDescentRegressor(loss="huber", random_state=0)
    for part in np.array_split(np.arange(3000), 20):
        model.partial_fit(X[part], y[part])
    assert np.abs(model.coef_ * X.std(axis=0)).max() < 10 * y.std()
    whole = GradientDescentRegressor(loss="huber").fit(X, y)
    assert np.std(model.predict(X) - whole.predict(X)) < 0.1 * whole.predict(X).std()


def test_moments_without_products_are_no_stream_of_squared_error():
    X, y = np.random.default_rng(0).normal(size=(900, 600)), np.arange(900.0)
    robust = GradientDescentRegressor(loss="huber").partial_fit(X, y)
    with pytest.raises(ValueError, match="the sums so far lack the products of 600 columns"):
        robust.set_params(loss="squared_error").partial_fit(X, y)
    with pytest.raises(ValueError, match="the sums so far lack the products of 600 columns"):
        GradientDescentRegressor().partial_fit(X, y).merge(robust)


def test_squared_error_of_the_rows_whose_moments_were_kept_is_said_to_be_that():
    X, y, _ = make()
    whole = GradientDescentRegressor().partial_fit(X[:20], y[:20]).partial_fit(X[40:], y[40:])
    model = GradientDescentRegressor().partial_fit(X[:20], y[:20])
    model.set_params(learning_rate=0.01).partial_fit(X[20:40], y[20:40]).set_params(learning_rate="auto")
    with pytest.warns(UserWarning, match="these are the coefficients of the other 40"):
        model.partial_fit(X[40:], y[40:])
    np.testing.assert_array_equal(model.coef_, whole.coef_)
    assert (model.n_samples_seen_, model.n_chunks_seen_) == (40, 3)
    model.partial_fit(X[:5], y[:5])  # what was said once is not said again


def test_epochs_go_on_from_the_minimum_of_squared_error():
    """And back: the moments of all rows are kept on the way."""
    X, y = raw_columns(4000)
    model = GradientDescentRegressor(random_state=0)
    passes(model, 1, X[:2000], y[:2000])
    squared = model.coef_.copy()
    model.set_params(loss="huber", optimizer="gd", batch_size=2000).partial_fit(X[2000:], y[2000:])
    assert model.n_chunks_seen_ == 2
    assert model.n_samples_seen_ == model.moments_["n_samples"] == 4000
    assert model.history_["loss"].shape == (1,)
    assert 0 < np.abs((model.coef_ - squared) * X.std(axis=0)).max() < 0.5
    model.set_params(loss="squared_error", optimizer="auto", batch_size=None).partial_fit(X[:0], y[:0])
    whole = GradientDescentRegressor().fit(X, y)
    np.testing.assert_allclose(model.predict(X), whole.predict(X), rtol=1e-8, atol=1e-9)


def test_a_weightless_chunk_and_a_bad_one_leave_a_chosen_rate_as_it_was():
    X, y = raw_columns(200)
    model = GradientDescentRegressor(loss="huber", random_state=0).partial_fit(X, y)
    before = vars(model).copy()
    with pytest.raises(ValueError, match="X of chunk 2 contains NaN at row 3, column 1"):
        model.partial_fit(np.where(np.arange(1600).reshape(200, 8) == 25, np.nan, X), y)
    assert vars(model) == before
    model.partial_fit(X, y, np.zeros(200))
    np.testing.assert_array_equal(model.coef_, before["coef_"])
    assert (model.n_chunks_seen_, model.n_iter_, model.moments_) == (2, 1, before["moments_"])


class TestBadInput:
    @pytest.mark.parametrize(
        ("chunk", "sentence"),
        [
            (lambda X, y: (X[:, :2], y), "chunk 2: X has 2 features"),
            (lambda X, y: (X, np.column_stack([y, y])), "n_targets is 2, but was 1"),
            (
                lambda X, y: (np.where(np.arange(180).reshape(60, 3) == 22, np.nan, X), y),
                "X of chunk 2 contains NaN at row 7, column 1",
            ),
            (lambda X, y: (1e200 * X, y), "diverged at learning_rate=0.01"),
        ],
        ids=["columns", "targets", "NaN", "diverges"],
    )
    def test_leaves_the_descent_as_it_was(self, chunk, sentence):
        X, y, _ = make()
        model = GradientDescentRegressor(0.01, batch_size=7).partial_fit(X, y)
        before = vars(model).copy()
        with pytest.raises(ValueError, match=sentence):
            model.partial_fit(*chunk(X, y))
        assert vars(model) == before

    def test_batches_are_read_but_once(self):
        X, y, _ = make()
        with pytest.raises(AttributeError, match="needs the rows at every epoch, but these are read once"):
            GradientDescentRegressor(0.1).fit_batches([(X, y)])

    def test_an_optimizer_that_needs_all_rows(self):
        X, y, _ = make()
        with pytest.raises(AttributeError, match=r"^optimizer='nesterov' needs the same rows at every epoch"):
            GradientDescentRegressor(0.1, optimizer="nesterov").partial_fit(X, y)
