"""The estimator among scikit-learn's own tools: pipelines, searches, routing, pickles, frames, threads."""

import copy
import html
import inspect
import io
import pickle
import re
import warnings
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from joblib import Parallel, delayed
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import make_regression
from sklearn.ensemble import BaggingRegressor
from sklearn.exceptions import ConvergenceWarning, InconsistentVersionWarning, NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import get_scorer
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    cross_val_predict,
    cross_val_score,
    cross_validate,
)
from sklearn.multioutput import MultiOutputRegressor, RegressorChain
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from small_blocks import SmallBlocks
from threadpoolctl import threadpool_info, threadpool_limits

from gdregress import GradientDescentRegressor, __version__

rng = np.random.default_rng(0)
n, p = 60, 4
X = rng.normal(size=(n, p)) * [1.0, 30.0, 0.02, 5.0] + [0.0, 100.0, 1.0, -40.0]
y = X @ [1.0, -0.2, 30.0, 0.7] + 10.0 + rng.normal(size=n)
Y = np.column_stack([y, y**2])
weight = rng.integers(0, 4, size=n).astype(float)
Z = StandardScaler().fit_transform(X)
folds = KFold(3, shuffle=True, random_state=0)


def fit_weighted(rows, **params):
    return GradientDescentRegressor(**params).fit(X[rows], y[rows], weight[rows])


# Pipelines and searches


@pytest.mark.parametrize("rate", ["auto", "diagonal", "curvature"])
def test_a_scaler_changes_nothing(rate):
    raw = make_pipeline(GradientDescentRegressor(rate, tol=1e-12)).fit(X, y)
    scaled = make_pipeline(StandardScaler(), GradientDescentRegressor(rate, tol=1e-12)).fit(X, y)
    np.testing.assert_allclose(raw.predict(X), scaled.predict(X), rtol=1e-10)
    np.testing.assert_allclose(raw.predict(X), LinearRegression().fit(X, y).predict(X), rtol=1e-9)
    np.testing.assert_allclose(raw[-1].coef_, scaled[-1].coef_ / scaled[0].scale_, rtol=1e-9)
    assert raw.score(X, y) == pytest.approx(LinearRegression().fit(X, y).score(X, y), abs=1e-12)


def test_a_pipeline_takes_parameters_by_name():
    model = make_pipeline(StandardScaler(), GradientDescentRegressor())
    model.set_params(gradientdescentregressor__learning_rate=0.01, gradientdescentregressor__epochs=7)
    model.set_params(gradientdescentregressor__tol=None).fit(X, y)
    assert model[-1].n_iter_ == 7
    assert model[-1].learning_rate_ == 0.01


def test_a_grid_over_alpha_finds_what_ridge_finds():
    alphas = [1e-4, 1e-2, 1.0, 100.0]
    model = GridSearchCV(GradientDescentRegressor(penalty="l2"), {"alpha": alphas}, cv=folds, error_score="raise")
    model.fit(Z, y)
    expected = [cross_val_score(Ridge(alpha=40 * alpha), Z, y, cv=folds).mean() for alpha in alphas]
    np.testing.assert_allclose(model.cv_results_["mean_test_score"], expected, rtol=1e-9)
    assert model.best_params_ == {"alpha": alphas[int(np.argmax(expected))]}
    best = Ridge(alpha=n * model.best_params_["alpha"]).fit(Z, y)
    np.testing.assert_allclose(model.best_estimator_.coef_, best.coef_, rtol=1e-9)


def test_a_grid_over_rates_and_epochs():
    """More epochs at a stable rate come nearer to the minimum, and a larger rate comes nearer in as many epochs."""
    grid = {"learning_rate": [0.001, 0.01, 0.1], "epochs": [5, 50]}
    search = GridSearchCV(GradientDescentRegressor(tol=None), grid, cv=folds, error_score="raise", refit=True)
    search.fit(Z, y)
    score = search.cv_results_["mean_test_score"].reshape(2, 3)
    assert (np.diff(score, axis=0) > 0).all()
    assert (np.diff(score, axis=1) > 0).all()
    assert search.best_params_ == {"learning_rate": 0.1, "epochs": 50}
    assert search.best_estimator_.n_iter_ == 50


@pytest.mark.parametrize("in_pipeline", [False, True])
def test_a_candidate_that_diverges_scores_badly_and_does_not_stop_the_search(in_pipeline):
    model, prefix = GradientDescentRegressor(epochs=300), ""
    if in_pipeline:
        model, prefix = Pipeline([("scale", StandardScaler()), ("model", model)]), "model__"
    rates = [0.1, 10.0, 1e6, "auto"]
    search = GridSearchCV(model, {f"{prefix}learning_rate": rates}, cv=folds, error_score="raise")
    with pytest.warns(ConvergenceWarning, match="is above the stability ceiling") as caught:
        search.fit(X if in_pipeline else Z, y)
    assert len(caught) == 2 * folds.get_n_splits()
    score = search.cv_results_["mean_test_score"]
    assert np.isfinite(score).all()
    assert max(score[1:3]) < min(score[0], score[3]) - 0.5
    assert search.best_params_[f"{prefix}learning_rate"] != 10.0


def test_halving_over_epochs():
    """Epochs are the resource: the candidates that get ahead are run for longer."""
    candidates = {"learning_rate": [1e-4, 1e-3, 1e-2, 1e-1]}
    search = HalvingGridSearchCV(
        GradientDescentRegressor(tol=None),
        candidates,
        resource="epochs",
        min_resources=5,
        max_resources=45,
        factor=3,
        cv=folds,
        error_score="raise",
        random_state=0,
    )
    search.fit(Z, y)
    assert search.best_params_["learning_rate"] == 0.1
    assert search.n_resources_ == [5, 15]
    assert search.best_estimator_.n_iter_ == search.best_params_["epochs"] == 15


def test_cross_validation_is_fold_by_fold():
    result = cross_validate(
        GradientDescentRegressor(), X, y, cv=folds, return_estimator=True, return_indices=True, error_score="raise"
    )
    predicted = cross_val_predict(GradientDescentRegressor(), X, y, cv=folds)
    for k, (train, test) in enumerate(folds.split(X)):
        direct = GradientDescentRegressor().fit(X[train], y[train])
        np.testing.assert_array_equal(result["estimator"][k].coef_, direct.coef_)
        np.testing.assert_array_equal(predicted[test], direct.predict(X[test]))
        assert result["test_score"][k] == direct.score(X[test], y[test])


def test_cross_validation_of_several_outputs_and_of_sparse_rows():
    predicted = cross_val_predict(GradientDescentRegressor(), X, Y, cv=folds)
    assert predicted.shape == Y.shape
    rows = sparse.csr_array(Z * (np.abs(Z) > 0.7))
    one = cross_val_predict(GradientDescentRegressor(), rows, y, cv=folds)
    np.testing.assert_allclose(
        one, cross_val_predict(GradientDescentRegressor(), rows.toarray(), y, cv=folds), rtol=1e-9
    )


# Parameters: clone, get, set, pickle

OTHER = {
    "learning_rate": "diagonal",
    "epochs": 17,
    "penalty": "l2",
    "alpha": 0.25,
    "fit_intercept": False,
    "optimizer": "momentum",
    "momentum": 0.5,
    "random_state": 3,
    "init": "random",
    "warm_start": True,
    "tol": None,
    "target_loss": 1e-9,
    "early_stopping": True,
    "validation_fraction": 0.3,
    "n_iter_no_change": 4,
    "record_path": True,
    "verbose": 1,
}


def test_every_parameter_is_set_read_and_cloned(capsys):
    model = GradientDescentRegressor(**OTHER)
    unnamed = {"loss"}
    assert set(OTHER) | unnamed <= set(model.get_params())
    assert {name: model.get_params()[name] for name in OTHER} == OTHER
    assert GradientDescentRegressor().set_params(**model.get_params()).get_params() == model.get_params()
    default = GradientDescentRegressor().get_params()
    assert all(OTHER[name] != default[name] for name in OTHER)
    copied = clone(model.fit(X, y))
    capsys.readouterr()
    assert copied.get_params() == model.get_params()
    assert {name: model.get_params()[name] for name in OTHER} == OTHER
    assert set(vars(copied)) == set(model.get_params())
    with pytest.raises(NotFittedError):
        copied.predict(X)


def test_parameters_are_given_in_the_order_of_the_call():
    assert (
        GradientDescentRegressor(0.1, 7).get_params()
        == GradientDescentRegressor(learning_rate=0.1, epochs=7).get_params()
    )
    with pytest.raises(TypeError):
        GradientDescentRegressor(0.1, 7, "squared_error")
    with pytest.raises(ValueError, match="Invalid parameter 'max_iter'"):
        GradientDescentRegressor().set_params(max_iter=7)


def dump_and_load(model, how):
    if how == "joblib":
        file = io.BytesIO()
        joblib.dump(model, file)
        file.seek(0)
        return joblib.load(file)
    if how == "deepcopy":
        return copy.deepcopy(model)
    return pickle.loads(pickle.dumps(model, protocol=how))


@pytest.mark.parametrize("how", [2, pickle.HIGHEST_PROTOCOL, "joblib", "deepcopy"])
@pytest.mark.parametrize(
    "params", [{}, {"record_path": True, "early_stopping": True, "random_state": 0, "tol": None}], ids=str
)
def test_a_copy_on_disk_is_the_model(how, params):
    for target in (y, Y):
        model = GradientDescentRegressor(**params).fit(X, target)
        loaded = dump_and_load(model, how)
        np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
        assert list(vars(loaded)) == list(vars(model))
        assert loaded.get_params() == model.get_params()
        for name, values in model.history_.items():
            np.testing.assert_array_equal(loaded.history_[name], values)
        np.testing.assert_array_equal(loaded.fit(X, target).coef_, model.coef_)


def test_an_unfitted_model_is_pickled_unfitted():
    loaded = pickle.loads(pickle.dumps(GradientDescentRegressor(0.5)))
    assert loaded.learning_rate == 0.5
    with pytest.raises(NotFittedError):
        loaded.predict(X)


@pytest.mark.parametrize("how", [pickle.HIGHEST_PROTOCOL, "joblib"])
def test_a_pickle_of_another_version_says_so(monkeypatch, how):
    model = GradientDescentRegressor().fit(X, y)
    with monkeypatch.context() as patch:
        patch.setattr("gdregress.solve.linear_predictor.__version__", "0.0.7")
        file = io.BytesIO()
        joblib.dump(model, file) if how == "joblib" else pickle.dump(model, file, protocol=how)
    file.seek(0)
    with pytest.warns(InconsistentVersionWarning, match="GradientDescentRegressor.*0.0.7") as caught:
        loaded = joblib.load(file) if how == "joblib" else pickle.load(file)
    assert len(caught) == 1
    assert __version__ in str(caught[0].message)
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert not [name for name in vars(loaded) if "version" in name]
    assert dump_and_load(loaded, how).n_iter_ == model.n_iter_


def test_a_state_without_a_version_says_so():
    model = GradientDescentRegressor().fit(X, y)
    state = model.__getstate__()
    assert state.pop("_gdregress_version") == __version__
    with pytest.warns(InconsistentVersionWarning, match="an unknown version"):
        GradientDescentRegressor.__new__(GradientDescentRegressor).__setstate__(state)
    assert "_gdregress_version" not in state


# Metadata routing

MODES = pytest.mark.parametrize("routing", [False, True], ids=["routing off", "routing on"])


def routing_is_on():
    return sklearn.get_config()["enable_metadata_routing"]


def requested(**params):
    """A model that asks for the weights, where routing is on."""
    model = GradientDescentRegressor(**params)
    return model.set_fit_request(sample_weight=True) if routing_is_on() else model


def scoring():
    """The score of a regressor, which asks for the weights too, where routing is on."""
    r2 = get_scorer("r2")
    return r2.set_score_request(sample_weight=True) if routing_is_on() else r2


def scaler():
    step = StandardScaler()
    return step.set_fit_request(sample_weight=True) if routing_is_on() else step


def test_the_weights_of_these_tests_matter():
    weighted, plain = fit_weighted(slice(None)), GradientDescentRegressor().fit(X, y)
    assert np.abs(weighted.coef_ / plain.coef_ - 1).min() > 1e-3


@MODES
def test_weights_through_a_pipeline(routing):
    with sklearn.config_context(enable_metadata_routing=routing):
        model = Pipeline([("scale", scaler()), ("model", requested())])
        if routing:
            model.fit(X, y, sample_weight=weight)
        else:
            model.fit(X, y, model__sample_weight=weight, scale__sample_weight=weight)
        np.testing.assert_allclose(model.predict(X), fit_weighted(slice(None)).predict(X), rtol=1e-10)


@MODES
@pytest.mark.parametrize("in_pipeline", [False, True])
def test_weights_through_a_grid_search(routing, in_pipeline):
    with sklearn.config_context(enable_metadata_routing=routing):
        model, prefix = requested(penalty="l2"), ""
        if in_pipeline:
            same = FunctionTransformer()
            model, prefix = Pipeline([("same", same), ("model", model)]), "model__"
        search = GridSearchCV(model, {f"{prefix}alpha": [0.0, 1.0]}, cv=folds, scoring=scoring(), error_score="raise")
        name = "sample_weight" if routing or not in_pipeline else "model__sample_weight"
        search.fit(X, y, **{name: weight})
        best = search.best_params_[f"{prefix}alpha"]
        fitted = search.best_estimator_[-1] if in_pipeline else search.best_estimator_
        np.testing.assert_array_equal(fitted.coef_, fit_weighted(slice(None), penalty="l2", alpha=best).coef_)
        if name == "sample_weight" and not routing:
            return  # whether the score is weighted then depends on scikit-learn's version
        for k, (train, test) in enumerate(folds.split(X)):
            direct = fit_weighted(train, penalty="l2", alpha=0.0)
            scored = direct.score(X[test], y[test], weight[test] if routing else None)
            assert search.cv_results_[f"split{k}_test_score"][0] == pytest.approx(scored, rel=1e-12)


@MODES
@pytest.mark.parametrize("in_pipeline", [False, True])
def test_weights_through_cross_validate(routing, in_pipeline):
    with sklearn.config_context(enable_metadata_routing=routing):
        model = requested()
        name = "sample_weight"
        if in_pipeline:
            model = Pipeline([("same", FunctionTransformer()), ("model", model)])
            name = name if routing else "model__sample_weight"
        options = {"cv": folds, "params": {name: weight}, "scoring": scoring(), "error_score": "raise"}
        result = cross_validate(model, X, y, return_estimator=True, **options)
        for estimator, (train, _) in zip(result["estimator"], folds.split(X), strict=True):
            fitted = estimator[-1] if in_pipeline else estimator
            np.testing.assert_array_equal(fitted.coef_, fit_weighted(train).coef_)
        if not routing:
            predicted = cross_val_predict(model, X, y, cv=folds, params={name: weight})
            for train, test in folds.split(X):
                np.testing.assert_array_equal(predicted[test], fit_weighted(train).predict(X[test]))


def test_weights_that_nobody_asked_for_are_an_error():
    with sklearn.config_context(enable_metadata_routing=True):
        model = Pipeline([("model", GradientDescentRegressor())])
        with pytest.raises(ValueError, match=r"\[sample_weight\] are passed but are not explicitly set as requested"):
            model.fit(X, y, sample_weight=weight)
        refused = Pipeline([("model", GradientDescentRegressor().set_fit_request(sample_weight=False))])
        with pytest.raises(TypeError, match="sample_weight"):
            refused.fit(X, y, sample_weight=weight)


def test_what_fit_can_ask_for():
    with sklearn.config_context(enable_metadata_routing=True):
        requests = GradientDescentRegressor().get_metadata_routing().fit.requests
    assert requests == dict.fromkeys(["sample_weight", "X_val", "y_val", "sample_weight_val"])


train, held = slice(0, 45), slice(45, None)
EARLY = {"early_stopping": True, "learning_rate": 0.05, "epochs": 400, "n_iter_no_change": 5, "tol": None}
REQUESTS = {"X_val": True, "y_val": True, "sample_weight_val": True, "sample_weight": True}
VALIDATION = {"X_val": X[held], "y_val": y[held], "sample_weight_val": weight[held]}


def by_hand(**params):
    scale = StandardScaler().fit(X[train])
    validation = VALIDATION | {"X_val": scale.transform(X[held])}
    return GradientDescentRegressor(**EARLY | params).fit(
        scale.transform(X[train]), y[train], weight[train], **validation
    )


def test_validation_rows_through_a_pipeline_are_transformed():
    with sklearn.config_context(enable_metadata_routing=True):
        steps = [
            ("scale", StandardScaler().set_fit_request(sample_weight=False)),
            ("model", GradientDescentRegressor(**EARLY).set_fit_request(**REQUESTS)),
        ]
        model = Pipeline(steps, transform_input=["X_val"])
        model.fit(X[train], y[train], sample_weight=weight[train], **VALIDATION)
    expected = by_hand()
    np.testing.assert_array_equal(model[-1].coef_, expected.coef_)
    np.testing.assert_array_equal(model[-1].history_["validation_loss"], expected.history_["validation_loss"])
    best = int(np.argmin(expected.history_["validation_loss"]))
    error = model.predict(X[held]) - y[held]
    assert np.average(error**2, weights=weight[held]) == pytest.approx(expected.history_["validation_loss"][best])


def test_validation_rows_through_a_grid_search_of_a_pipeline():
    with sklearn.config_context(enable_metadata_routing=True):
        steps = [
            ("scale", StandardScaler().set_fit_request(sample_weight=False)),
            (
                "model",
                GradientDescentRegressor(**EARLY).set_fit_request(**REQUESTS),
            ),
        ]
        model = Pipeline(steps, transform_input=["X_val"])
        grid = {"model__learning_rate": [0.01, 0.05]}
        search = GridSearchCV(model, grid, cv=folds, scoring=scoring(), error_score="raise")
        search.fit(X[train], y[train], sample_weight=weight[train], **VALIDATION)
    expected = by_hand(**{"learning_rate": search.best_params_["model__learning_rate"]})
    np.testing.assert_array_equal(search.best_estimator_[-1].coef_, expected.coef_)


@MODES
def test_validation_rows_that_were_not_transformed_are_noticed(routing):
    with sklearn.config_context(enable_metadata_routing=routing):
        model = GradientDescentRegressor(**EARLY)
        if routing:
            model.set_fit_request(X_val=True, y_val=True)
        prefix = "" if routing else "model__"
        far = X * [1e3, 1e3, 1.0, 1e3] + [1e6, 1e6, 1e4, 1e6]
        pipe = Pipeline([("scale", StandardScaler()), ("model", model)])
        with (
            pytest.warns(ConvergenceWarning, match="No epoch was better than the start"),
            pytest.warns(UserWarning, match=r"4 of 4 columns of X_val .*transform_input=\['X_val'\]"),
        ):
            pipe.fit(far[train], y[train], **{f"{prefix}X_val": far[held], f"{prefix}y_val": y[held]})
        scaled = StandardScaler().fit(far[train]).transform(far[held])
        pipe.fit(far[train], y[train], **{f"{prefix}X_val": scaled, f"{prefix}y_val": y[held]})


# Frames


def pandas_frame(values):
    return pytest.importorskip("pandas").DataFrame(values, columns=["rooms", "area", "tax", "age"])


def polars_frame(values):
    frame = pytest.importorskip("polars").DataFrame(values, schema=["rooms", "area", "tax", "age"], orient="row")
    if not hasattr(StandardScaler().fit(frame), "feature_names_in_"):
        pytest.skip("this scikit-learn does not read the names of this polars")
    return frame


FRAMES = pytest.mark.parametrize("frame", [pandas_frame, polars_frame])


@FRAMES
def test_frames_keep_their_names(frame):
    model = GradientDescentRegressor().fit(frame(X), y)
    plain = GradientDescentRegressor().fit(X, y)
    assert model.feature_names_in_.tolist() == ["rooms", "area", "tax", "age"]
    assert model.feature_names_in_.dtype == object
    assert model.n_features_in_ == 4
    np.testing.assert_allclose(model.coef_, plain.coef_, rtol=1e-12)
    np.testing.assert_allclose(model.predict(frame(X)), plain.predict(X), rtol=1e-12)
    assert not hasattr(model.fit(X, y), "feature_names_in_")


@FRAMES
def test_frames_with_validation_rows_and_weights(frame):
    validation = {"X_val": frame(X[held]), "y_val": y[held]}
    model = GradientDescentRegressor(early_stopping=True).fit(frame(X[train]), y[train], weight[train], **validation)
    plain = GradientDescentRegressor(early_stopping=True)
    plain.fit(X[train], y[train], weight[train], X_val=X[held], y_val=y[held])
    np.testing.assert_allclose(model.history_["validation_loss"], plain.history_["validation_loss"], rtol=1e-12)
    np.testing.assert_allclose(model.coef_, plain.coef_, rtol=1e-12)


@FRAMES
def test_frames_through_a_pipeline_and_a_search(frame):
    model = make_pipeline(StandardScaler(), GradientDescentRegressor(penalty="l2"))
    search = GridSearchCV(model, {"gradientdescentregressor__alpha": [1e-6, 10.0]}, cv=folds, error_score="raise")
    search.fit(frame(X), y)
    assert search.best_params_ == {"gradientdescentregressor__alpha": 1e-6}
    assert search.feature_names_in_.tolist() == ["rooms", "area", "tax", "age"]


def test_a_scaler_that_gives_frames_gives_names():
    scale = StandardScaler().set_output(transform="pandas")
    model = make_pipeline(scale, GradientDescentRegressor()).fit(pandas_frame(X), y)
    assert model[-1].feature_names_in_.tolist() == ["rooms", "area", "tax", "age"]


def test_frames_and_series_of_targets_and_weights():
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    expected = GradientDescentRegressor().fit(X, y, weight)
    index = np.arange(n)[::-1] + 1000
    series = pandas.Series(y, index=index), pandas.Series(weight, index=index)
    for target, weights in (series, (polars.Series(y), polars.Series(weight)), (y.tolist(), weight.tolist())):
        model = GradientDescentRegressor().fit(X, target, weights)
        np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-12)
        assert model.coef_.shape == (p,)
    for target in (pandas.DataFrame(Y), polars.DataFrame(Y)):
        model = GradientDescentRegressor().fit(X, target)
        np.testing.assert_allclose(model.coef_, GradientDescentRegressor().fit(X, Y).coef_, rtol=1e-12)


# Other estimators around it


def test_a_transformed_target():
    model = TransformedTargetRegressor(GradientDescentRegressor(), func=np.arcsinh, inverse_func=np.sinh).fit(X, y)
    direct = GradientDescentRegressor().fit(X, np.arcsinh(y))
    np.testing.assert_allclose(model.predict(X), np.sinh(direct.predict(X)), rtol=1e-12)
    scaled = TransformedTargetRegressor(GradientDescentRegressor(), transformer=StandardScaler()).fit(X, y)
    np.testing.assert_allclose(scaled.predict(X), GradientDescentRegressor().fit(X, y).predict(X), rtol=1e-10)


@pytest.mark.parametrize("rate", ["auto", "diagonal"])
def test_outputs_one_by_one_are_outputs_at_once(rate):
    together = GradientDescentRegressor(rate, tol=1e-12).fit(X, Y)
    separate = MultiOutputRegressor(GradientDescentRegressor(rate, tol=1e-12)).fit(X, Y, sample_weight=np.ones(n))
    np.testing.assert_allclose(together.predict(X), separate.predict(X), rtol=1e-8)
    np.testing.assert_allclose(together.coef_, [one.coef_ for one in separate.estimators_], rtol=1e-7)


def test_a_chain_of_outputs():
    """Least squares on its own predictions adds nothing: a chain is the outputs on their own."""
    chain = RegressorChain(GradientDescentRegressor(), order=[0, 1]).fit(X, Y)
    np.testing.assert_allclose(chain.predict(X), GradientDescentRegressor().fit(X, Y).predict(X), rtol=1e-7)


def test_bagging_in_two_processes():
    options = {"n_estimators": 4, "random_state": 0, "max_features": 3}
    two = BaggingRegressor(GradientDescentRegressor(), n_jobs=2, **options).fit(X, y)
    one = BaggingRegressor(GradientDescentRegressor(), n_jobs=1, **options).fit(X, y)
    np.testing.assert_allclose(two.predict(X), one.predict(X), rtol=1e-10)
    assert len({round(float(model.coef_[0]), 12) for model in two.estimators_}) == 4


def test_permutation_importance():
    columns, target, coef = make_regression(200, 5, n_informative=2, coef=True, random_state=0)
    model = GradientDescentRegressor().fit(columns, target)
    importance = permutation_importance(model, columns, target, n_repeats=3, random_state=0).importances_mean
    assert set(np.argsort(importance)[-2:]) == set(np.flatnonzero(coef))
    np.testing.assert_allclose(importance[coef == 0], 0.0, atol=1e-10)


# Threads


def test_fits_side_by_side_in_threads():
    """Each fit uses threads of its own; the limit that it sets on BLAS is the process's, and is put back."""
    source = np.random.default_rng(1)
    data = [
        (A := source.normal(size=(20_000, 40)), A @ source.normal(size=40) + source.normal(size=20_000))
        for _ in range(4)
    ]
    assert data[0][0].nbytes > 2 * 2**21
    models = [GradientDescentRegressor(rate) for rate in ("auto", "diagonal", "curvature", "lipschitz")]
    sequential = [clone(model).fit(*each) for model, each in zip(models, data, strict=True)]
    for limit in (2, 1):
        with threadpool_limits(limit, user_api="blas"):
            before = threadpool_info()
            assert {pool["num_threads"] for pool in before if pool["user_api"] == "blas"} <= {limit}
            parallel = Parallel(n_jobs=4, prefer="threads")(
                delayed(clone(model).fit)(*each) for model, each in zip(models, data, strict=True)
            )
            assert threadpool_info() == before
        for one, other in zip(sequential, parallel, strict=True):
            np.testing.assert_allclose(one.coef_, other.coef_, rtol=1e-9)
            np.testing.assert_allclose(
                one.predict(X[:, :1] * np.ones(40)), other.predict(X[:, :1] * np.ones(40)), rtol=1e-9
            )
            assert one.n_iter_ == other.n_iter_


def test_the_limit_on_blas_is_put_back_after_an_error():
    A = np.ones((40_000, 20))
    A[-1, -1] = np.nan
    with threadpool_limits(2, user_api="blas"):
        before = threadpool_info()
        with pytest.raises(ValueError, match="NaN"):
            GradientDescentRegressor().fit(A, np.ones(40_000))
        assert threadpool_info() == before


class Waiting:
    """An accumulator that says when it is at work, and works until it is told to end."""

    def __init__(self, at_work, end):
        self.at_work = at_work
        self.end = end

    def add(self, X, y, weight):
        self.at_work.set()
        assert self.end.wait(30)

    def merge(self, other):
        pass


def test_the_limit_on_blas_is_put_back_whichever_of_two_passes_ends_last():
    """With recent versions of threadpoolctl, only the thread that set a limit on OpenBLAS can lift it."""
    with threadpool_limits(None, user_api="blas"):
        pass  # no thread holds a limit of its own now
    before = threadpool_info()
    rows = SmallBlocks(np.zeros((4, 1)), np.zeros((4, 1)), block_rows=1, n_threads=2)
    first_is_at_work, second_is_at_work, first_has_ended = Event(), Event(), Event()

    def first():
        rows.sum(lambda: Waiting(first_is_at_work, second_is_at_work))
        first_has_ended.set()

    def second():
        assert first_is_at_work.wait(30)
        rows.sum(lambda: Waiting(second_is_at_work, first_has_ended))

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(first), pool.submit(second)]:
            done.result()
        assert threadpool_info() == before


def test_one_model_predicts_in_many_threads():
    model = GradientDescentRegressor().fit(X, y)
    expected = model.predict(X)
    for predicted in Parallel(n_jobs=4, prefer="threads")(delayed(model.predict)(X) for _ in range(20)):
        np.testing.assert_array_equal(predicted, expected)


# What is shown


@pytest.mark.parametrize("fitted", [False, True])
def test_the_html_view(fitted):
    model = GradientDescentRegressor(learning_rate=0.0125, epochs=3, tol=None)
    page = (model.fit(Z, y) if fitted else model)._repr_html_()
    assert page.count("<div") == page.count("</div>")
    assert "GradientDescentRegressor" in page
    assert "0.0125" in page
    assert ("Not fitted" in page) != fitted
    inside = make_pipeline(StandardScaler(), model)._repr_html_()
    assert "GradientDescentRegressor" in inside
    assert "StandardScaler" in inside


def described(section):
    """Names in a section of the class docstring, and what is said of each, without white space."""
    _, body = inspect.getdoc(GradientDescentRegressor).split(f"\n{section}\n{'-' * len(section)}\n")
    body = re.split(r"\n\n\w[\w ]*\n---", body)[0]
    entries = re.split(r"^(\w+) : ", body, flags=re.MULTILINE)[1:]
    return {name: squeezed(text) for name, text in zip(entries[::2], entries[1::2], strict=True)}


def squeezed(text):
    return re.sub(r"\s", "", text)


def described_in(page):
    """Names with a tooltip on a page, and what each says."""
    found = {}
    for anchor in re.findall(r'<a class="param-doc-link".*?</a>', page, re.DOTALL):
        name, text = re.search(
            r'>([^<]*)<span class="param-doc-description".*?>(.*)</span>', anchor, re.DOTALL
        ).groups()
        link = re.search(r'href="([^"]*)"', anchor).group(1)
        assert link.startswith(GradientDescentRegressor()._get_doc_link() + f"#:~:text={name.strip()},-")
        name, text = name.strip(), squeezed(html.unescape(text.replace("<br>", "\n")))
        assert text.startswith(f"{name}:")
        found[name] = text.removeprefix(f"{name}:")
    return found


class Counting(GradientDescentRegressor):
    """Keep attributes of one's own: one from before a fit, which scikit-learn's estimators leave too."""

    def fit(self, X, y, **more):
        self.fits_ = getattr(self, "fits_", 0) + 1
        return super().fit(X, y, **more)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"loss": "huber"},
        {"learning_rate": 1e-6, "tol": None},
        {"batch_size": 50, "tol": None, "random_state": 0},
        {"early_stopping": True, "tol": None, "random_state": 0},
    ],
    ids=str,
)
def test_attributes_of_a_subclass_stay(params):
    model = Counting(epochs=20, **params).fit(X, y)
    model.note_ = "mine"
    assert model.fit(X, y).fits_ == 2
    assert model.note_ == "mine"


@pytest.mark.parametrize("params", [{}, {"loss": "huber"}, {"learning_rate": 1e-6}], ids=str)
def test_attributes_of_a_subclass_stay_in_a_stream(params):
    model = Counting(**params)
    model.note_ = "mine"
    assert model.partial_fit(X, y).partial_fit(X, y).note_ == "mine"


def test_attributes_of_a_subclass_stay_when_streams_are_merged():
    model, other = Counting().fit(X, y), GradientDescentRegressor().fit_batches([(X[50:], y[50:])])
    assert model.fit_batches([(X[:50], y[:50])]).merge(other).fits_ == 1
    assert (model.n_samples_seen_, set(vars(model)) - set(vars(other))) == (len(X), {"fits_"})


@pytest.mark.skipif(
    tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 9),
    reason="scikit-learn shows docstrings in its HTML view from version 1.9 on",
)
def test_the_html_view_shows_what_the_docstring_says():
    model = GradientDescentRegressor(learning_rate=0.0125, epochs=3, tol=None, record_path=True)
    parameters, attributes = described("Parameters"), described("Attributes")
    assert set(parameters) == set(model.get_params())
    assert described_in(model._repr_html_()) == parameters
    frame = pd.DataFrame(Z).add_prefix("x")
    for fitted in (model.fit(frame, y), GradientDescentRegressor().partial_fit(frame, y)):
        own = set(vars(fitted)) - set(model.get_params())
        assert described_in(fitted._repr_html_()) == parameters | {name: attributes[name] for name in own}


def test_the_html_view_links_to_the_page_of_the_class():
    base = "https://gdregress.readthedocs.io/en/latest/api/generated"
    link = f'href="{base}/gdregress.GradientDescentRegressor.html"'
    model = GradientDescentRegressor()
    assert link in model._repr_html_()
    assert link in make_pipeline(StandardScaler(), model)._repr_html_()


def test_the_text_view_shows_what_differs_from_the_defaults():
    assert repr(GradientDescentRegressor()) == "GradientDescentRegressor()"
    text = repr(GradientDescentRegressor(0.5, penalty="l2"))
    assert text == "GradientDescentRegressor(learning_rate=0.5, penalty='l2')"


def test_nothing_is_said_where_all_is_well(capfd):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = make_pipeline(StandardScaler(), GradientDescentRegressor()).fit(X, y)
        model.predict(X)
    assert not caught
    assert capfd.readouterr() == ("", "")
