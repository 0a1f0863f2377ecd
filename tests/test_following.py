"""scikit-learn's callbacks: told of every epoch in order, able to stop there, and of no other consequence."""

import pickle
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from recorder import Recorder
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from gdregress import GradientDescentRegressor, GradientDescentRegressorCV, load_house_prices
from gdregress.solve.callbacks import ToldTask

callback = pytest.importorskip("sklearn.callback", reason="scikit-learn has callbacks from version 1.9 on")

X, y = load_diabetes(return_X_y=True, scaled=False)
Z = (X - X.mean(axis=0)) / X.std(axis=0)
Y = np.column_stack([y, 1e3 * y**2])
weight = np.random.default_rng(0).integers(0, 4, len(y)).astype(float)

STRETCHES = {"learning_rate": 0.1, "epochs": 60, "tol": None}
LOOP = {"learning_rate": 0.1, "optimizer": "nesterov", "epochs": 60, "tol": None}
DESCENTS = {
    "refined": {},
    "in stretches": STRETCHES,
    "in a loop": LOOP,
    "until converged": {"learning_rate": "lipschitz", "tol": 0.05},
    "with a path": {**STRETCHES, "record_path": True},
    "with validation": {**STRETCHES, "early_stopping": True, "random_state": 0, "n_iter_no_change": 60},
    "of a sequence of twins": {"loss": "absolute_error"},
    "of Newton's steps": {"loss": "huber", "epsilon": 30.0, "penalty": "l1", "alpha": 0.5},
    "in batches": {"batch_size": 50, "epochs": 10, "tol": None, "random_state": 0},
    "of averages": {**LOOP, "optimizer": "gd", "average": 100},
}


ENDS_BY_ITSELF = ("absolute_error", "huber")
"""Losses whose solver has begun an epoch when it finds that no point is nearer to the minimum."""


class Failing(Recorder):
    """Fail in one of the four hooks."""

    def __init__(self, hook):
        super().__init__()
        setattr(self, hook, self.fail)

    def fail(self, estimator, context):
        raise RuntimeError("a callback failed")


def fitted(params, *callbacks, X=Z, y=y, **more):
    model = GradientDescentRegressor(**params)
    return model.set_callbacks(*callbacks).fit(X, y, **more)


def same(model, other):
    """Assert that two models are fitted alike, to the bit."""
    ours, theirs = ({n: v for n, v in vars(m).items() if n.endswith("_")} for m in (model, other))
    assert set(ours) == set(theirs)
    for name, value in ours.items():
        np.testing.assert_equal(value, theirs[name], err_msg=name)


@pytest.mark.parametrize("params", DESCENTS.values(), ids=DESCENTS)
class TestEveryDescent:
    def test_epochs_are_told_in_order(self, params):
        recorder = Recorder()
        model = fitted(params, recorder)
        begun = model.n_iter_ + (model.loss in ENDS_BY_ITSELF)
        epochs = [(hook, "epoch", k) for k in range(begun) for hook in ("begin", "end")]
        assert recorder.told == ["setup", ("begin", "fit", 0), *epochs, ("end", "fit", 0), "teardown"]

    def test_looking_on_changes_nothing(self, params):
        same(fitted(params, Recorder()), fitted(params))

    def test_the_last_epoch_told_is_the_fit(self, params):
        recorder = Recorder()
        model = fitted(params, recorder)
        assert_array_equal(recorder.fitted[-1].predict(Z), model.predict(Z))
        assert recorder.fitted[-1].optimality_ == model.optimality_
        assert_array_equal(recorder.fitted[-1].predict(Z), fitted(params).predict(Z))

    def test_an_epoch_begins_where_the_last_ended(self, params):
        recorder = Recorder()
        fitted(params, recorder)
        _, _, *begun = recorder.begun
        for ended, begins in zip(recorder.fitted[:-1], begun, strict=True):
            assert_array_equal(begins.coef_, ended.coef_)


# Stopping


@pytest.mark.parametrize("k", [1, 16, 17, 33, 59])
@pytest.mark.parametrize("params", [STRETCHES, LOOP], ids=["in stretches", "in a loop"])
def test_a_stop_leaves_that_epoch(params, k):
    whole = fitted({**params, "record_path": True})
    model = fitted({**params, "record_path": True}, Recorder(at_epoch=k))
    assert model.n_iter_ == k
    assert model.stop_reason_ == f"stopped by a callback after {k} epoch{'s' if k > 1 else ''}"
    assert not model.converged_
    for name, values in whole.history_.items():
        assert_array_equal(model.history_[name], values[: k + 1])
    assert_array_equal(model.coef_, whole.history_["coef"][k])
    assert_allclose(model.intercept_, whole.history_["intercept"][k], rtol=1e-14)
    shorter = fitted({**params, "epochs": k})
    assert_allclose(model.coef_, shorter.coef_, rtol=1e-11)
    assert_allclose(model.history_["loss"], shorter.history_["loss"], rtol=1e-11)


def test_one_of_many_is_enough():
    first, second = Recorder(), Recorder(at_epoch=7)
    assert fitted(LOOP, first, second, Recorder()).n_iter_ == 7
    assert first.told == second.told


def test_a_stop_restores_the_best_epoch():
    """A rate above the ceiling: the validation loss falls at first, and rises from then on."""
    params = {"learning_rate": 0.26, "epochs": 40, "early_stopping": True, "tol": None, "n_iter_no_change": 40}
    split = {"X": Z[::2], "y": y[::2], "X_val": Z[1::2], "y_val": y[1::2]}
    with pytest.warns(UserWarning, match="is above the stability ceiling"):
        whole = fitted({**params, "record_path": True}, **split)
    best = int(np.argmin(whole.history_["validation_loss"][:21]))
    assert 0 < best < 20
    recorder = Recorder(at_epoch=20)
    model = fitted(params, recorder, **split)
    assert model.n_iter_ == 20
    assert_allclose(model.coef_, whole.history_["coef"][best], rtol=1e-13)
    assert_array_equal(recorder.fitted[-1].coef_, model.coef_)


def test_a_rule_has_the_first_word():
    model = fitted({"learning_rate": "lipschitz", "tol": 0.5})
    stopped = fitted({"learning_rate": "lipschitz", "tol": 0.5}, Recorder(at_epoch=model.n_iter_))
    same(stopped, model)
    assert stopped.converged_


def test_of_a_descent_that_diverges_the_best_point_is_shown():
    bedrooms, price = load_house_prices(return_X_y=True)
    recorder = Recorder()
    with pytest.warns(UserWarning, match="is above the stability ceiling") as caught:
        model = fitted({"learning_rate": 10.0}, recorder, X=bedrooms, y=price)
    assert {warning.filename for warning in caught} == {__file__}
    assert_array_equal(recorder.fitted[-1].coef_, model.coef_)
    assert np.isfinite(model.coef_).all()


# What callbacks see


@pytest.mark.parametrize("y", [y, Y, Y[:, :1]], ids=["one output", "two outputs", "a column"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_each_epoch_predicts_as_its_point(y, dtype, fit_intercept):
    recorder = Recorder()
    params = {**STRETCHES, "fit_intercept": fit_intercept, "record_path": True}
    model = fitted(params, recorder, X=Z.astype(dtype), y=y)
    for k, shown in enumerate(recorder.fitted, 1):
        assert shown.coef_.shape == model.coef_.shape
        assert shown.coef_.dtype == dtype
        assert np.shape(shown.intercept_) == np.shape(model.intercept_)
        predicted = Z @ model.history_["coef"][k].T + model.history_["intercept"][k]
        scale = np.abs(predicted).max()
        assert_allclose(shown.predict(Z.astype(dtype)), predicted, atol=20 * np.finfo(dtype).eps * scale)


def test_what_is_shown_is_a_copy():
    def spoil():
        recorder.fitted[-1].coef_[:] = np.nan
        recorder.fitted[-1].intercept_[:] = np.nan

    recorder = Recorder(at_epoch=60, do=spoil)
    model = fitted({**STRETCHES, "record_path": True}, recorder, y=Y)
    assert np.isnan(recorder.fitted[-1].coef_).all()
    same(model, fitted({**STRETCHES, "record_path": True}, y=Y))


def test_what_is_shown_has_nothing_of_an_earlier_fit():
    recorder = Recorder()
    model = fitted(STRETCHES)
    model.set_callbacks(recorder).fit(Z, y)
    assert {name for name in vars(recorder.fitted[0]) if name.endswith("_") and not name.startswith("_")} == {
        "n_features_in_",
        "coef_",
        "intercept_",
        "optimality_",
    }


def test_a_warm_start_is_shown_from_the_first_epoch_on():
    recorder = Recorder()
    model = fitted({**STRETCHES, "warm_start": True})
    before = model.coef_
    model.set_callbacks(recorder).fit(Z, y)
    assert_allclose(recorder.begun[1].coef_, before, rtol=1e-12)
    whole = fitted({**STRETCHES, "epochs": 120})
    assert_allclose(recorder.fitted[-1].coef_, whole.coef_, rtol=1e-9)


# scikit-learn's own callbacks

KINDS = {
    "arrays": (Z, y, {}),
    "weights": (Z, y, {"sample_weight": weight}),
    "two outputs": (Z, Y, {}),
    "two outputs and weights": (Z, Y, {"sample_weight": weight}),
    "CSR": (sparse.csr_array(Z), y, {"sample_weight": weight}),
    "float32": (Z.astype(np.float32), y, {}),
    "a data frame": (pd.DataFrame(Z).add_prefix("x"), pd.Series(y), {}),
    "lists": (Z.tolist(), y.tolist(), {}),
}


@pytest.mark.parametrize("params", [{}, STRETCHES, DESCENTS["with validation"]], ids=["auto", "stretches", "best"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_last_score_is_that_of_the_fit(kind, params):
    X, y, more = KINDS[kind]
    monitor = callback.ScoringMonitor(scoring="r2")
    model = fitted(params, monitor, X=X, y=y, **more)
    fit, *epochs = [row["r2"] for row in monitor.get_logs().data]
    assert len(epochs) == model.n_iter_
    assert epochs[-1] == fit == model.score(X, y, **more)


def test_scores_are_those_of_the_history():
    monitor = callback.ScoringMonitor(scoring="neg_mean_squared_error")
    model = fitted(STRETCHES, monitor)
    scores = [row["neg_mean_squared_error"] for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert_allclose(-np.array(scores), model.history_["loss"][1:], rtol=1e-12)


def test_a_monitor_of_a_step_of_a_pipeline():
    monitor = callback.ScoringMonitor(scoring="r2")
    recorder = Recorder()
    step = GradientDescentRegressor(**STRETCHES).set_callbacks(monitor, recorder)
    model = make_pipeline(StandardScaler(), step).fit(X, y)
    assert monitor.get_logs().data[-1]["r2"] == model.score(X, y)
    assert recorder.told[0] == "setup"
    assert recorder.told[-1] == "teardown"


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_monitor_in_a_search(n_jobs):
    monitor = callback.ScoringMonitor(scoring="r2")
    model = GradientDescentRegressor(**{**STRETCHES, "epochs": 5}).set_callbacks(monitor)
    search = GridSearchCV(model, {"learning_rate": [0.01, 0.1]}, cv=2, n_jobs=n_jobs).fit(Z, y)
    data = monitor.get_logs().data
    assert len(data) == (2 * 2 + 1) * (5 + 1)
    assert search.score(Z, y) in [row["r2"] for row in data]


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("around", ["nothing", "a pipeline", "a search"])
def test_a_progress_bar(around, n_jobs, capsys, monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setenv("COLUMNS", "200")
    model = GradientDescentRegressor(**{**STRETCHES, "epochs": 5})
    if around != "nothing":
        model = make_pipeline(StandardScaler(), model)
    if around == "a search":
        model = GridSearchCV(model, {"gradientdescentregressor__learning_rate": [0.01, 0.1]}, cv=2, n_jobs=n_jobs)
    model.set_callbacks(callback.ProgressBar(max_propagation_depth=None)).fit(Z, y)
    bars = [line for line in capsys.readouterr().out.splitlines() if "GradientDescentRegressor - fit" in line]
    assert len(bars) == (2 * 2 + 1 if around == "a search" else 1)
    assert all("100%" in bar for bar in bars)


# What goes wrong


@pytest.mark.parametrize("hook", ["setup", "on_fit_task_begin", "on_fit_task_end", "teardown"])
@pytest.mark.parametrize("params", [{}, STRETCHES, LOOP], ids=["auto", "in stretches", "in a loop"])
def test_an_error_in_a_callback_leaves_the_estimator_as_it_was(params, hook):
    model = fitted(params, X=Z[:200], y=y[:200])
    other = Recorder()
    model.set_callbacks(other, Failing(hook))
    before = dict(vars(model))
    with pytest.raises(RuntimeError, match="a callback failed"):
        model.fit(Z[:, :3], y)
    assert vars(model) == before
    assert other.told[-1] == "teardown"
    same(model.set_callbacks().fit(Z, y), fitted(params))


def test_an_error_of_the_fit_is_torn_down():
    recorder = Recorder()
    with pytest.raises(ValueError, match="conjugate"):
        fitted({"optimizer": "conjugate", "penalty": "l1"}, recorder)
    assert recorder.told == ["setup", ("begin", "fit", 0), "teardown"]


def test_wrong_parameters_and_data_are_found_before_callbacks_are_set_up():
    recorder = Recorder()
    with pytest.raises(ValueError, match="epochs"):
        fitted({"epochs": 0}, recorder)
    with pytest.raises(ValueError, match="X has 442 rows, but y has 3"):
        fitted({}, recorder, y=y[:3])
    assert recorder.told == []


def test_an_interrupt_in_a_callback_keeps_its_epoch():
    def interrupt():
        raise KeyboardInterrupt

    recorder = Recorder(at_epoch=20, do=interrupt)
    model = GradientDescentRegressor(**STRETCHES).set_callbacks(recorder)
    with pytest.raises(KeyboardInterrupt):
        model.fit(Z, y)
    assert model.n_iter_ == 20
    assert_allclose(model.coef_, fitted({**STRETCHES, "epochs": 20}).coef_, rtol=1e-11)
    assert recorder.told[-2:] == [("end", "epoch", 19), "teardown"]


# Around it


def test_without_callbacks_nobody_is_told(monkeypatch):
    def telling(*args, **kwargs):
        raise AssertionError("somebody was told")

    monkeypatch.setattr(GradientDescentRegressor, "_init_callback_context", telling)
    monkeypatch.setattr(ToldTask, "observers", telling)
    monkeypatch.setattr("gdregress.solve.trace.Measured.one_by_one", telling)
    fitted(STRETCHES)


def test_the_fit_says_how_many_epochs_it_may_take():
    class Ahead(Recorder):
        def setup(self, estimator, context):
            self.told.append((context.max_subtasks, estimator.n_features_in_))

    ahead = Ahead()
    fitted({"epochs": 77}, ahead)
    assert ahead.told[0] == (77, Z.shape[1])


def test_callbacks_go_along_with_clones_and_pickles():
    monitor = callback.ScoringMonitor(scoring="r2")
    model = fitted(STRETCHES, monitor)
    clone(model).fit(Z, y)
    assert len(monitor.get_logs(select="all")) == 2
    same(pickle.loads(pickle.dumps(model)), model)


@pytest.mark.filterwarnings("ignore:.* has no effect with")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "params",
    [
        pytest.param({}, id="auto", marks=pytest.mark.exhaustive),
        pytest.param({**STRETCHES, "learning_rate": "lipschitz"}, id="in stretches"),
    ],
)
def test_every_check_of_an_estimator_passes_while_callbacks_look_on(params):
    recorder = Recorder()
    check_estimator(GradientDescentRegressor(**params).set_callbacks(recorder))
    assert ("end", "epoch", 0) in recorder.told


def test_the_example_of_the_docs(capsys):
    page = (Path(__file__).parents[1] / "docs/extending.md").read_text()
    [code] = re.findall(r"<!-- callbacks -->\n```python\n(.*?)```", page, re.DOTALL)
    exec(code, {"GradientDescentRegressor": GradientDescentRegressor})
    assert capsys.readouterr().out.splitlines() == re.findall(r"# prints: (.*)", code)


# A search


def search(**params):
    return GradientDescentRegressorCV(10, **{"cv": 3, "penalty": "l1", **params})


@pytest.mark.parametrize("params", [{}, {"loss": "huber", "epsilon": 30.0}], ids=["squared error", "huber"])
def test_a_search_is_told_of_its_parts_and_of_the_epochs_of_the_last_fit(params):
    recorder = Recorder()
    model = search(**params).set_callbacks(recorder).fit(X, y, weight)
    epochs = model.n_iter_ + ("loss" in params)
    parts = [("begin", "fit", 0), ("begin", "cross-validation", 0), ("end", "cross-validation", 0)]
    assert recorder.told[:4] == ["setup", *parts]
    of_epochs = [told for told in recorder.told if told[1] == "epoch"]
    assert of_epochs == [(when, "epoch", k) for k in range(epochs) for when in ("begin", "end")][: len(of_epochs)]
    assert recorder.told[-2:] == [("end", "fit", 0), "teardown"]
    same_model = search(**params).fit(X, y, weight)
    assert_array_equal(model.coef_, same_model.coef_)


def test_the_bars_of_a_search_are_full(capsys, monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setenv("COLUMNS", "200")
    search().set_callbacks(callback.ProgressBar(max_propagation_depth=None)).fit(Z, y)
    bars = [line for line in capsys.readouterr().out.splitlines() if "GradientDescentRegressorCV - " in line]
    assert len(bars) == 2
    assert all("100%" in bar for bar in bars)


@pytest.mark.parametrize("hook", ["setup", "on_fit_task_begin", "on_fit_task_end", "teardown"])
def test_an_error_in_a_callback_leaves_a_search_as_it_was(hook):
    model = search().fit(Z[:200], y[:200])
    model.set_callbacks(Failing(hook))
    before = dict(vars(model))
    with pytest.raises(RuntimeError, match="a callback failed"):
        model.fit(Z[:, :3], y)
    assert vars(model) == before


@pytest.mark.parametrize("params", [{}, {"loss": "huber", "epsilon": 30.0}], ids=["squared error", "huber"])
def test_an_interrupt_in_the_last_fit_leaves_a_search_as_it_was(params):
    class Stopping(Recorder):
        max_propagation_depth = None

    def interrupt():
        raise KeyboardInterrupt

    recorder = Stopping(at_epoch=1, do=interrupt)
    model = search(**params).fit(Z[:200], y[:200]).set_callbacks(recorder)
    before = dict(vars(model))
    with pytest.raises(KeyboardInterrupt):
        model.fit(Z[:, :3], y)
    assert vars(model) == before
    assert recorder.told[-2:] == [("end", "epoch", 0), "teardown"]
