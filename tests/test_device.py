"""Rows on a device: the fit is that of the same rows in memory, and only sums over them leave the device."""

import copy
import pickle
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from inspect import signature

import numpy as np
import pytest
import sklearn
from devices import NAMES, device_of
from mixed_units import distance, make
from recorder import Recorder
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, KFold, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_array_api_input_and_values

from gdregress import (
    GradientDescentRegressor,
    GradientDescentRegressorCV,
    LearningRateDisplay,
    Loss,
    LossSurfaceDisplay,
    closed_form,
    compare,
    regularization_path,
    through_device,
)
from gdregress.rows import threads
from gdregress.rows.device import DeviceRows
from gdregress.rows.gathering import gather
from gdregress.rows.memory import RowBlocks
from gdregress.rows.namespaces import HOST, Place, place_of, to_host, where_is
from gdregress.rows.threads import Holder
from gdregress.rows.transfer import BLOCK_ENTRIES, Resident

strict = pytest.importorskip("array_api_strict")
pytest.importorskip("array_api_compat")

CONFIGURATIONS = [
    {},
    {"fit_intercept": False},
    {"penalty": "l2", "alpha": 0.1, "standardize": True},
    {"penalty": "l1", "alpha": 0.05, "standardize": True},
    {"positive": True},
    {"optimizer": "newton"},
    {"learning_rate": "diagonal", "tol": 1e-12},
    {"learning_rate": "lipschitz", "epochs": 30, "tol": None},
    {"learning_rate": 1e-7, "optimizer": "nesterov", "epochs": 20, "tol": None},
    {"loss": "huber", "epsilon": 0.5, "tol": 1e-9},
    {"loss": "huber", "epsilon": 0.5, "penalty": "elasticnet", "alpha": 0.01, "l1_ratio": 0.5, "tol": 1e-9},
    {"loss": "huber", "optimizer": "nesterov", "tol": 1e-9},
    {"loss": "absolute_error"},
    {"loss": "quantile", "quantile": 0.9},
    {"loss": "quantile", "quantile": 0.3, "penalty": "l2", "alpha": 0.01, "standardize": True},
    {"loss": "epsilon_insensitive", "epsilon": 0.2, "penalty": "l2", "alpha": 0.01},
]


@pytest.fixture(autouse=True)
def dispatched():
    with sklearn.config_context(array_api_dispatch=True):
        yield


@pytest.fixture(autouse=True)
def pretended(monkeypatch):
    """Let the devices of array_api_strict pass for GPUs: DLPack says that they are the host, as they are."""
    decided = Place.is_processor.func
    monkeypatch.setattr(
        Place, "is_processor", property(lambda place: place.library != "array_api_strict" and decided(place))
    )


@pytest.fixture(params=NAMES)
def put(request):
    """Put an array on a device."""
    _, place = device_of(request.param)
    return lambda array: place.xp.asarray(np.array(array), device=place.device)


def on_a_device(array, name="device1"):
    return strict.asarray(np.array(array), device=strict.Device(name))


@pytest.mark.parametrize("m", [None, 2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("params", CONFIGURATIONS, ids=str)
def test_coefficients_are_those_of_rows_in_memory(put, params, weighted, m):
    X, y, weight = make(m=m, seed=7)  # of other draws Newton's steps sometimes end at an optimality of 1e-8
    weight = weight if weighted else None
    here = GradientDescentRegressor(**params).fit(X, y, weight)
    there = GradientDescentRegressor(**params).fit(put(X), put(y), None if weight is None else put(weight))
    assert distance(here, there, X) < 1e-9
    assert there.converged_ == here.converged_
    assert there.history_["loss"][-1] == pytest.approx(here.history_["loss"][-1], rel=1e-9)
    assert there.score(put(X), put(y)) == pytest.approx(here.score(X, y), abs=1e-9)
    np.testing.assert_allclose(to_host(there.predict(put(X))), here.predict(X), atol=1e-8)


@pytest.mark.parametrize("params", [{}, {"penalty": "l1", "alpha": 0.01}, {"loss": "huber"}, {"loss": "quantile"}])
def test_single_precision_is_as_good_as_that_of_numpy(put, params):
    X, y, weight = make(2000)
    X = X.astype(np.float32)
    exact = GradientDescentRegressor(**params).fit(X.astype(np.float64), y, weight)
    here = GradientDescentRegressor(**params).fit(X, y, weight)
    there = GradientDescentRegressor(**params).fit(put(X), put(y), put(weight))
    assert to_host(there.coef_).dtype == np.float32
    assert distance(there, exact, X) <= 1.5 * distance(here, exact, X) + 1e-9


@pytest.mark.parametrize("m", [None, 2])
def test_the_squared_insensitive_loss_ends_where_no_step_lowers_it(put, m):
    """Newton's steps compare objectives, which tells coefficients to half of the digits and some more."""
    X, y, weight = make(m=m)
    model = GradientDescentRegressor(loss="squared_epsilon_insensitive", epsilon=0.5)
    here, there = clone(model).fit(X, y, weight), clone(model).fit(put(X), put(y), put(weight))
    assert there.converged_
    assert distance(here, there, X) < 1e-7


@pytest.mark.parametrize("configuration", CONFIGURATIONS[:9], ids=str)
@pytest.mark.parametrize("library", NAMES)
def test_values_by_the_check_of_scikit_learn(library, configuration):
    device, _ = device_of(library)
    if "check_sample_weight" not in signature(check_array_api_input_and_values).parameters:
        pytest.skip("this scikit-learn has an older check")
    estimator = GradientDescentRegressor(**configuration)
    for weighted in (False, True):
        check_array_api_input_and_values(
            "GradientDescentRegressor", estimator, library, device, check_sample_weight=weighted
        )


@pytest.mark.parametrize("params", [{}, {"loss": "absolute_error"}, {"loss": "huber", "learning_rate": "diagonal"}])
def test_blocks_of_rows_are_added_up(monkeypatch, params):
    X, y, weight = make(1000)
    whole = GradientDescentRegressor(**params).fit(on_a_device(X), on_a_device(y), on_a_device(weight))
    monkeypatch.setattr("gdregress.rows.transfer.BLOCK_ENTRIES", 5 * 70)
    parts = GradientDescentRegressor(**params).fit(on_a_device(X), on_a_device(y), on_a_device(weight))
    assert X.size < BLOCK_ENTRIES
    assert 0 < distance(whole, parts, X) < 1e-9


@pytest.mark.parametrize("params", [{}, {"loss": "huber"}, {"loss": "absolute_error"}, {"penalty": "l1"}], ids=str)
def test_only_sums_leave_the_device_once_a_pass(monkeypatch, params):
    X, y, weight = make(20_000)
    fetched, passes = [], []
    fetch, sum_of = Place.fetch, DeviceRows._sum
    monkeypatch.setattr(Place, "fetch", lambda *given: fetched.append(fetch(*given)) or fetched[-1])
    monkeypatch.setattr(DeviceRows, "_sum", lambda *given: passes.append(1) or sum_of(*given))
    put, sent = Place.put, []
    X, y, weight = map(on_a_device, (X, y, weight))
    monkeypatch.setattr(Place, "put", lambda *given: sent.append(np.size(given[1])) or put(*given))
    GradientDescentRegressor(**params).fit(X, y, weight)
    assert len(sent) <= len(passes) + 3  # what a pass needs goes there together
    sizes = [array.size for array in fetched if not isinstance(array, float)]
    brought = 0.25 * X.size if params.get("loss") == "absolute_error" else 100  # rows near a kink, or p^2 numbers
    assert 0 < max(sizes) < brought
    assert len(sizes) <= len(passes) + 3


def test_columns_without_products_of_columns():
    """More columns than products are gathered for: conjugate gradient, and as many passes as epochs."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((300, 40)), rng.standard_normal(300)
    for params in ({"learning_rate": "diagonal"}, {"learning_rate": "diagonal", "penalty": "l1", "alpha": 0.01}):
        here = GradientDescentRegressor(**params, tol=1e-10).fit(X, y)
        there = GradientDescentRegressor(**params, tol=1e-10).fit(on_a_device(X), on_a_device(y))
        assert distance(here, there, X) < 1e-9


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_columns_whose_squares_leave_the_range_of_floats(scale):
    X, y, weight = make()
    X[:, 1] *= scale
    here = GradientDescentRegressor().fit(X, y, weight)
    there = GradientDescentRegressor().fit(on_a_device(X), on_a_device(y), on_a_device(weight))
    assert distance(here, there, X) < 1e-9


@pytest.mark.parametrize("params", [{}, {"loss": "huber"}, {"loss": "quantile"}])
def test_nearly_collinear_and_constant_columns(params):
    X, y, _ = make()
    X = np.column_stack([X, X[:, 0] + 1e-9 * X[:, 1], np.full(len(X), 7.0), X[:, 0]])
    here = GradientDescentRegressor(**params).fit(X, y)
    there = GradientDescentRegressor(**params).fit(on_a_device(X), on_a_device(y))
    assert there.history_["loss"][-1] == pytest.approx(here.history_["loss"][-1], rel=1e-5)


@pytest.mark.parametrize("params", [{}, {"loss": "huber"}, {"learning_rate": "diagonal"}])
def test_a_device_without_doubles(params):
    """Sums of each block are in single precision there, and are added up on the host."""
    X, y, weight = make(3000, seed=6)  # of some draws single precision allows no better than 1e-5
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    here = GradientDescentRegressor(**params).fit(X, y, weight)
    put = lambda array: on_a_device(array.astype(np.float32), "no_float64")  # noqa: E731
    there = GradientDescentRegressor(**params).fit(put(X), put(y), put(weight))
    assert there.converged_
    assert distance(here, there, X) < 5e-6
    assert there.coef_.dtype == strict.float32


class TestFollowingX:
    def test_what_is_fitted_lives_where_x_does(self, put):
        X, y, _ = make(m=2)
        model = GradientDescentRegressor(record_path=True).fit(put(X), put(y))
        place = place_of("X", put(X))
        assert not place.is_host
        assert where_is(model.coef_) == where_is(model.intercept_) == where_is(model.predict(put(X))) == place
        assert isinstance(model.score(put(X), put(y)), float)
        assert all(isinstance(values, np.ndarray) for values in model.history_.values())
        assert GradientDescentRegressor(fit_intercept=False).fit(put(X), put(y[:, 0])).intercept_ == 0.0

    def test_y_and_weights_follow(self, put):
        X, y, weight = make()
        here = GradientDescentRegressor().fit(X, y, weight)
        for given in ((put(X), y, weight), (put(X), y, put(weight)), (X, put(y), put(weight))):
            model = GradientDescentRegressor().fit(*given)
            assert distance(here, model, X) < 1e-12
            assert where_is(model.coef_) == place_of("X", given[0])
            assert model.score(*given[:2]) == pytest.approx(here.score(X, y), abs=1e-12)

    def test_y_on_another_device(self):
        X, y, weight = make()
        model = GradientDescentRegressor().fit(
            on_a_device(X), on_a_device(y, "device2"), on_a_device(weight, "device2")
        )
        assert distance(model, GradientDescentRegressor().fit(X, y, weight), X) < 1e-12

    def test_arrays_of_numpy_are_as_before(self):
        X, y, weight = make()
        dispatched = GradientDescentRegressor(loss="huber").fit(X, y, weight)
        with sklearn.config_context(array_api_dispatch=False):
            plain = GradientDescentRegressor(loss="huber").fit(X, y, weight)
        np.testing.assert_array_equal(dispatched.coef_, plain.coef_)

    def test_floats_of_other_types_are_promoted(self, put):
        X, y, _ = make(m=2)
        small = X.astype(np.float32)
        for fitted, given in ((X, small), (small, X)):
            here = GradientDescentRegressor().fit(fitted, y)
            there = GradientDescentRegressor().fit(put(fitted), put(y))
            np.testing.assert_allclose(to_host(there.predict(put(given))), here.predict(given), rtol=1e-3, atol=1e-3)
            assert there.score(put(given), put(y)) == pytest.approx(here.score(given, y), abs=1e-5)

    def test_one_number_as_weight(self, put):
        X, y, _ = make()
        for given in ((X, y), (put(X), put(y))):
            assert (
                distance(GradientDescentRegressor().fit(*given, 2.0), GradientDescentRegressor().fit(X, y), X) < 1e-12
            )

    @pytest.mark.parametrize("m", [None, 2])
    def test_weighted_scores(self, put, m):
        if tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 7):
            pytest.skip("r2_score of this scikit-learn gives a list as a shape, which the standard does not allow")
        X, y, weight = make(m=m)
        here = GradientDescentRegressor(penalty="l2", alpha=10.0).fit(X, y)
        there = clone(here).fit(put(X), put(y))
        assert there.score(put(X), put(y), put(weight)) == pytest.approx(here.score(X, y, weight), abs=1e-9)

    def test_a_model_of_a_device_without_dispatch(self):
        torch = pytest.importorskip("torch")
        X, y, _ = make()
        model = GradientDescentRegressor().fit(torch.asarray(X), torch.asarray(y))
        said = r"X in fit was of torch on cpu, but predict would convert X to numpy, .*array_api_dispatch=True"
        with sklearn.config_context(array_api_dispatch=False), pytest.raises(ValueError, match=said):
            model.predict(torch.asarray(X))

    def test_without_dispatch_arrays_are_converted(self):
        torch = pytest.importorskip("torch")
        X, y, _ = make()
        with sklearn.config_context(array_api_dispatch=False):
            model = GradientDescentRegressor().fit(torch.asarray(X), torch.asarray(y))
        assert isinstance(model.coef_, np.ndarray)

    @pytest.mark.parametrize("method", ["predict", "score"])
    def test_other_places_are_refused(self, method):
        X, y, _ = make()
        there, here = (
            GradientDescentRegressor().fit(on_a_device(X), on_a_device(y)),
            GradientDescentRegressor().fit(X, y),
        )
        rest = (y,) if method == "score" else ()
        match = (
            rf"GradientDescentRegressor\.{method}\(\) must use the same namespace .*strict on .*device1.*is of numpy"
        )
        with pytest.raises(ValueError, match=match):
            getattr(there, method)(X, *rest)
        with pytest.raises(ValueError, match="which was of numpy, but X is of array_api_strict"):
            getattr(here, method)(on_a_device(X), *rest)
        with pytest.raises(ValueError, match=r"device1'\), but X is of .*device2"):
            getattr(there, method)(on_a_device(X, "device2"), *rest)


def test_passes_over_rows_that_were_brought_share_their_threads(monkeypatch):
    """Of a loss with kinks some rows come to the host, where dozens of passes are made over them."""
    made, used = [], []

    class Pool(ThreadPoolExecutor):
        def __init__(self, *args, **more):
            made.append(self)
            super().__init__(*args, **more)

        def map(self, *args):
            used.append(self)
            return super().map(*args)

    monkeypatch.setattr(threads, "ThreadPoolExecutor", Pool)
    monkeypatch.setattr(Holder, "allowed", 2)
    monkeypatch.setattr(RowBlocks, "worth_threads", 2)
    monkeypatch.setattr(RowBlocks, "_paying", lambda rows, n_threads, work: n_threads)
    monkeypatch.setattr("gdregress.problem.features.COPY_LIMIT", 0)
    X, y, _ = make(4000)
    GradientDescentRegressor(loss="absolute_error").fit(on_a_device(X), on_a_device(y))
    assert 1 <= len(made) <= 4
    assert len(used) > 10 * len(made)


class TestTheRestOfAFit:
    @pytest.mark.parametrize(
        "params", [{"learning_rate": "diagonal", "optimizer": "gd"}, {"loss": "huber", "optimizer": "nesterov"}]
    )
    def test_early_stopping(self, put, params):
        X, y, weight = make()
        params = {**params, "early_stopping": True, "random_state": 0, "epochs": 50}
        with warnings.catch_warnings(action="ignore"):
            here = GradientDescentRegressor(**params).fit(X, y, weight)
            there = GradientDescentRegressor(**params).fit(put(X), put(y), put(weight))
            assert distance(here, there, X) < 1e-9
            kept = {"X_val": X[:100], "y_val": y[:100], "sample_weight_val": weight[:100]}
            here.fit(X, y, **kept)
            there.fit(put(X), put(y), **{name: put(value) for name, value in kept.items()})
        assert distance(here, there, X) < 1e-9
        np.testing.assert_allclose(there.history_["validation_loss"], here.history_["validation_loss"], rtol=1e-9)

    def test_a_warm_start_of_a_loss_with_kinks_is_taken_to_be_near(self):
        X, y, _ = make()
        model = GradientDescentRegressor(loss="absolute_error", warm_start=True).fit(on_a_device(X), on_a_device(y))
        cold = model.history_["loss"]
        assert len(cold) > 3
        assert len(model.fit(on_a_device(X), on_a_device(y)).history_["loss"]) == 2
        assert model.history_["loss"][-1] == pytest.approx(cold[-1], rel=1e-14)

    def test_warm_start_callbacks_and_pickles(self, put):
        X, y, _ = make()
        model = GradientDescentRegressor(loss="huber", warm_start=True).fit(put(X), put(y))
        epochs = model.n_iter_
        assert model.fit(put(X), put(y)).n_iter_ < epochs
        assert distance(copy.deepcopy(model), model, X) == 0
        assert clone(model).warm_start

    def test_pickles_of_torch(self):
        torch = pytest.importorskip("torch")
        X, y, _ = make()
        model = GradientDescentRegressor().fit(torch.asarray(X), torch.asarray(y))
        again = pickle.loads(pickle.dumps(model))
        assert bool((again.predict(torch.asarray(X)) == model.predict(torch.asarray(X))).all())

    @pytest.mark.skipif(not hasattr(GradientDescentRegressor, "set_callbacks"), reason="this scikit-learn has none")
    def test_callbacks_see_models_that_live_there(self):
        X, y, _ = make()
        recorder = Recorder()
        model = GradientDescentRegressor(loss="huber").set_callbacks(recorder)
        model.fit(on_a_device(X), on_a_device(y))
        assert model.converged_

    def test_a_loss_of_ones_own_gets_arrays_of_the_device(self):
        seen = set()

        class Half(Loss):
            curvature = 1.0

            def value(self, residual):
                seen.add(type(residual))
                return 0.5 * residual * residual

            def derivative(self, residual):
                return residual

        X, y, _ = make()
        model = GradientDescentRegressor(loss=Half()).fit(on_a_device(X), on_a_device(y))
        assert distance(model, GradientDescentRegressor().fit(X, y), X) < 1e-5
        assert type(on_a_device(y)) in seen

    def test_in_a_pipeline_and_in_a_search(self):
        torch = pytest.importorskip("torch")
        X, y, _ = make()
        search = GridSearchCV(
            make_pipeline(StandardScaler(), GradientDescentRegressor(penalty="l2")),
            {"gradientdescentregressor__alpha": [1e-3, 1.0]},
        )
        here, there = clone(search).fit(X, y), search.fit(torch.asarray(X), torch.asarray(y))
        assert there.best_params_ == here.best_params_
        np.testing.assert_allclose(there.cv_results_["mean_test_score"], here.cv_results_["mean_test_score"])

    def test_the_surface_of_a_model_that_lives_there(self):
        X, y, _ = make(100, 1)
        model = GradientDescentRegressor("lipschitz", epochs=10, tol=None, record_path=True)
        model.fit(on_a_device(X), on_a_device(y))
        here = LossSurfaceDisplay.from_estimator(clone(model).fit(X, y), X, y)
        weight = on_a_device(np.ones(100))
        for given in (
            (X, y),
            (on_a_device(X), on_a_device(y), weight),
            (through_device(X, "device1", library="array_api_strict"), y),
        ):
            there = LossSurfaceDisplay.from_estimator(model, *given)
            np.testing.assert_allclose(there.path, here.path, rtol=1e-9)
            np.testing.assert_allclose(there.values, here.values, rtol=1e-9)

    def test_learning_rates_on_rows_that_live_there(self):
        X, y, weight = make(100, 1)
        model = GradientDescentRegressor(epochs=10)
        here = LearningRateDisplay.from_estimator(model, X, y, weight)
        there = LearningRateDisplay.from_estimator(model, *map(on_a_device, (X, y, weight)))
        np.testing.assert_allclose(there.losses, here.losses, rtol=1e-9)
        np.testing.assert_allclose(there.best_rate, here.best_rate, rtol=1e-9)


class TestChunks:
    @pytest.mark.parametrize("weighted", [False, True])
    def test_sums_of_chunks_are_those_of_all_rows(self, put, weighted):
        X, y, weight = make(m=2)
        parts = [slice(0, 150), slice(150, 151), slice(151, 400)]
        chunks = [(X[part], y[part], *([weight[part]] if weighted else [])) for part in parts]
        whole = GradientDescentRegressor().fit(X, y, weight if weighted else None)
        there = GradientDescentRegressor().fit_batches([tuple(map(put, chunk)) for chunk in chunks])
        assert distance(whole, there, X) < 1e-9
        assert where_is(there.coef_) == place_of("X", put(X))
        one, other = GradientDescentRegressor(), GradientDescentRegressor()
        one.partial_fit(*map(put, chunks[0]))
        other.partial_fit(*map(put, chunks[1])).partial_fit(*map(put, chunks[2]))
        assert distance(one.merge(other), whole, X) < 1e-9
        assert where_is(one.coef_) == where_is(there.coef_)

    def test_a_chunk_without_weight_adds_nothing(self):
        X, y, _ = make()
        model = GradientDescentRegressor().partial_fit(on_a_device(X), on_a_device(y))
        before = to_host(model.coef_)
        model.partial_fit(on_a_device(X[:9] + 1), on_a_device(y[:9]), on_a_device(np.zeros(9)))
        np.testing.assert_array_equal(to_host(model.coef_), before)
        assert model.n_chunks_seen_ == 2

    def test_bad_weights(self, put):
        X, y, _ = make()
        with pytest.raises(ValueError, match="sample_weight of chunk 1 has text"):
            GradientDescentRegressor().partial_fit(put(X), put(y), ["a"] * 400)
        with pytest.raises(ValueError, match=r"sample_weight of chunk 1 must have shape \(400,\)"):
            GradientDescentRegressor().partial_fit(put(X), put(y), [])

    def test_other_losses_are_refused(self):
        X, y, _ = make()
        with pytest.raises(TypeError, match="for squared error by partial_fit, fit_batches and"):
            GradientDescentRegressor(loss="huber").partial_fit(on_a_device(X), on_a_device(y))


class TestCrossValidation:
    @pytest.mark.parametrize(
        ("params", "m", "weighted"),
        [
            ({"penalty": "l2"}, None, False),
            ({"penalty": "l2", "standardize": True}, 2, True),
            ({"penalty": "l1"}, None, True),
            ({"penalty": "l1", "alphas": 12}, 2, False),
            ({"penalty": "elasticnet", "l1_ratio": [0.2, 0.8]}, None, False),
            ({"penalty": "l2", "alpha_per_target": True}, 2, False),
            ({"penalty": None, "learning_rate": [1e-7, 1e-6], "epochs": range(1, 50), "tol": None}, None, False),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("cv", [5, KFold(4, shuffle=True, random_state=0), TimeSeriesSplit(3)], ids=str)
    def test_scores_and_choice_are_those_of_rows_in_memory(self, put, params, m, weighted, cv):
        X, y, weight = make(m=m)
        weight = weight + 0.1 if weighted else None
        alphas = [1e-3] if params["penalty"] is None else [10.0, 0.1, 1e-3]
        model = GradientDescentRegressorCV(**{"alphas": alphas, "cv": cv, **params})
        with warnings.catch_warnings(action="ignore"):
            here = clone(model).fit(X, y, weight)
            there = clone(model).fit(put(X), put(y), None if weight is None else put(weight))
        scores = (each.cv_results_["mean_test_score"] for each in (here, there))
        np.testing.assert_allclose(*scores, rtol=1e-9)
        np.testing.assert_array_equal(here.best_index_, there.best_index_)
        np.testing.assert_allclose(here.alpha_, there.alpha_, rtol=1e-12)  # that of a grid is computed from sums
        assert distance(here, there, X) < 1e-9
        assert where_is(there.coef_) == where_is(there.predict(put(X))) == place_of("X", put(X))

    def test_the_models_of_the_path_live_there(self, put):
        X, y, _ = make()
        with warnings.catch_warnings(action="ignore"):
            model = GradientDescentRegressorCV([1.0, 0.1], penalty="l2").fit(put(X), put(y))
        assert where_is(model.at(0.1).predict(put(X))) == place_of("X", put(X))

    @pytest.mark.parametrize(
        ("params", "said"),
        [
            ({"loss": "huber"}, "rows of dask and on a device are cross-validated by their sums"),
            ({"scoring": "neg_mean_absolute_error"}, "needs the rows of X, and those on a device stay there: leave it"),
            ({"store_cv_predictions": True}, "store_cv_predictions=True needs the rows of X, and those on a device"),
        ],
        ids=str,
    )
    def test_what_needs_the_rows_is_refused(self, params, said):
        X, y, _ = make()
        with pytest.raises(ValueError, match=said):
            GradientDescentRegressorCV([1.0], penalty="l2", **params).fit(on_a_device(X), on_a_device(y))


class TestBadInput:
    @pytest.mark.parametrize("value", [np.nan, np.inf])
    @pytest.mark.parametrize("params", [{}, {"loss": "huber"}, {"learning_rate": "diagonal"}])
    def test_nan_is_found_in_the_sums_and_named_by_its_position(self, put, params, value):
        X, y, _ = make()
        model = GradientDescentRegressor(**params).fit(put(X), put(y))
        before = to_host(model.coef_)
        X[277, 3] = value
        what = "NaN" if np.isnan(value) else "infinity"
        with pytest.raises(ValueError, match=f"Input X contains {what} at row 277, column 3"):
            model.fit(put(X), put(y))
        with pytest.raises(ValueError, match=f"Input X contains {what} at row 277, column 3"):
            model.predict(put(X))
        np.testing.assert_array_equal(to_host(model.coef_), before)

    def test_targets_and_weights(self, put):
        X, y, weight = make()
        wrong = y.copy()
        wrong[5] = np.nan
        for where in (put, np.asarray):
            with pytest.raises(ValueError, match="Input y contains NaN at row 5: drop the row"):
                GradientDescentRegressor().fit(put(X), where(wrong))
            with pytest.raises(ValueError, match="X has 400 rows, but y has 399: give both the same"):
                GradientDescentRegressor().fit(put(X), where(y[:-1]))
            with pytest.raises(ValueError, match="Negative values in sample_weight: -1 at row 3"):
                GradientDescentRegressor().fit(put(X), put(y), where(np.where(np.arange(400) == 3, -1.0, weight)))
            with pytest.raises(ValueError, match="sample_weight must have a positive weight"):
                GradientDescentRegressor().fit(put(X), put(y), where(np.zeros(400)))
            with pytest.raises(ValueError, match=r"sample_weight must have shape \(400,\)"):
                GradientDescentRegressor().fit(put(X), put(y), where(weight[:-1]))
        with pytest.raises(ValueError, match=r"y must have shape .* but has shape \(2, 2, 100\)"):
            GradientDescentRegressor().fit(put(X), put(y.reshape(2, 2, 100)))
        model = GradientDescentRegressor().fit(put(X), put(y))
        with pytest.raises(ValueError, match="y has 2 outputs, but the model has 1"):
            model.score(put(X), put(np.column_stack([y, y])))
        with pytest.raises(ValueError, match="X has 4 features, but GradientDescentRegressor is expecting 5"):
            model.predict(put(X[:, :4]))

    def test_other_numbers_than_floats(self, put):
        X, y, _ = make()
        with pytest.raises(TypeError, match=r"X holds int64 on .*, where fits take float32 and float64: convert"):
            GradientDescentRegressor().fit(put(np.rint(X).astype(np.int64)), put(y))
        counts = GradientDescentRegressor().fit(put(X), put(np.rint(y).astype(np.int64)))
        assert distance(counts, GradientDescentRegressor().fit(X, np.rint(y)), X) < 1e-12

    def test_half_precision(self):
        torch = pytest.importorskip("torch")
        X, y, _ = make()
        with pytest.raises(TypeError, match="X holds float16 on torch on cpu, where fits take float32 and float64"):
            GradientDescentRegressor().fit(torch.asarray(X).to(torch.float16), y)

    def test_what_only_torch_has(self):
        torch = pytest.importorskip("torch")
        X, y, _ = make()
        with pytest.raises(TypeError, match=r"X is of torch on cpu with the layout torch.sparse_coo: make"):
            GradientDescentRegressor().fit(torch.asarray(X).to_sparse(), torch.asarray(y))
        with pytest.raises(TypeError, match="y holds complex128 on torch on cpu: pass real numbers"):
            GradientDescentRegressor().fit(torch.asarray(X), torch.asarray(y + 0j))

        class Named(torch.Tensor):
            pass

        named = torch.asarray(X).as_subclass(Named)
        assert distance(GradientDescentRegressor().fit(named, y), GradientDescentRegressor().fit(X, y), X) < 1e-12
        traced = torch.asarray(X).requires_grad_()
        GradientDescentRegressor().fit(X, torch.asarray(y).requires_grad_())
        model = GradientDescentRegressor(loss="huber").fit(traced, torch.asarray(y).requires_grad_())
        assert not model.predict(traced).requires_grad

    def test_mini_batches_and_a_scale_of_residuals(self, put):
        X, y, _ = make()
        with pytest.raises(
            ValueError, match="batch_size=8 draws rows, and those on a device stay there: use batch_size=None"
        ):
            GradientDescentRegressor(batch_size=8).fit(put(X), put(y))
        with pytest.raises(ValueError, match="epsilon='auto' needs the residuals of rows in memory"):
            GradientDescentRegressor(loss="huber", epsilon="auto").fit(put(X), put(y))

    def test_an_unknown_library(self):
        class Array(np.ndarray):
            pass

        class Foreign:
            __module__ = "elsewhere.arrays"
            dtype, shape = np.dtype(float), (3, 2)

            def __dlpack__(self):
                raise NotImplementedError

        with pytest.raises(
            TypeError, match="X is an array of elsewhere, which is not known here: pass one of numpy, torch"
        ):
            GradientDescentRegressor().fit(Foreign(), [1.0, 2.0, 3.0])
        assert place_of("X", np.zeros(3).view(Array)) is HOST

    def test_a_device_that_numpy_cannot_read_without_dispatch(self):
        class OnGPU:
            __module__ = "torch.cuda"
            dtype, shape = np.dtype(float), (3, 2)

            def __dlpack__(self):
                raise NotImplementedError

            def __dlpack_device__(self):
                return 2, 0

        said = r"X is an array of torch on a device, .*: call sklearn.set_config\(array_api_dispatch=True\) before, or"
        with sklearn.config_context(array_api_dispatch=False):
            for use in (GradientDescentRegressor().fit, compare, closed_form, regularization_path):
                with pytest.raises(TypeError, match=said):
                    use(OnGPU(), [1.0, 2.0, 3.0])

    def test_array_api_compat_is_not_installed(self, monkeypatch):
        X, y, _ = make()
        given = on_a_device(X)
        monkeypatch.setitem(sys.modules, "array_api_compat", None)
        with pytest.raises(
            ImportError, match=r"needs array-api-compat: python -m pip install 'gdregress\[array-api\]'"
        ):
            GradientDescentRegressor().fit(given, y)

    @pytest.mark.parametrize(
        "use",
        [
            compare,
            closed_form,
            regularization_path,
        ],
        ids=["compare", "closed_form", "regularization_path"],
    )
    def test_what_takes_rows_in_memory_alone_says_so(self, use):
        X, y, _ = make()
        with pytest.raises(TypeError, match=r"X is an array of array_api_strict on .*: pass a copy as an array"):
            use(on_a_device(X), on_a_device(y))


def test_moments_are_those_of_rows_in_memory():
    X, y, weight = make(m=2)
    here = gather(RowBlocks(X, y, weight))
    features = Resident(on_a_device(X), Place(strict, strict.Device("device1")))
    there = DeviceRows(features, on_a_device(y), on_a_device(weight)).moments()
    assert there.n_samples == here.n_samples
    for name in ("mean", "variance"):
        np.testing.assert_allclose(getattr(there.x, name), getattr(here.x, name), rtol=1e-12)
    np.testing.assert_allclose(there.cross, here.cross, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(there.target_cross, here.target_cross, rtol=1e-9, atol=1e-12)


def test_rows_without_weight_are_not_in_a_sample(put):
    """Whatever they hold: the moments are summed about the medians of the sample."""
    X, y, weight = make()
    weight = np.where(np.arange(len(y)) % 3, weight, 0.0)
    X[weight == 0] = 1e30
    y = y[:, np.newaxis]
    there, rows = put(X), RowBlocks(X, y, weight)
    there = DeviceRows(Resident(there, where_is(there)), put(y), put(weight))
    for size in (1, 7, 10**6):
        for found, expected in zip(there.sample(size), rows.sample(size), strict=True):
            np.testing.assert_array_equal(to_host(found), expected)


def test_a_descent_that_does_not_arrive_says_so():
    X, y, _ = make()
    with pytest.warns(ConvergenceWarning, match="all 2 epochs were used and optimality"):
        GradientDescentRegressor("diagonal", epochs=2).fit(on_a_device(X), on_a_device(y))
