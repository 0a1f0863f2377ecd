"""Dask collections: the fit is that of the same rows in memory, whatever the blocks and the scheduler."""

import os
import pickle
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from recorder import Recorder
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import KFold, RepeatedKFold, TimeSeriesSplit

from gdregress import GradientDescentRegressor, GradientDescentRegressorCV, Loss
from gdregress.method.spec import Spec
from gdregress.problem.best_constant import _ConstantLosses, best_constant
from gdregress.problem.coordinates import Coordinates
from gdregress.problem.losses import huber
from gdregress.problem.objectives import DataObjective
from gdregress.problem.view import View
from gdregress.rows.dask import DaskRows, NumberedRows, _merged_accumulators
from gdregress.rows.dask_blocks import blocks_of
from gdregress.rows.folds import gather_folds
from gdregress.rows.gathering import gather
from gdregress.rows.memory import RowBlocks
from gdregress.rows.ranges import Both, Ranges

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")

NAMES = list("abcdef")


def make(n=6000, m=None, seed=0, p=6):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * np.logspace(-3, 3, p) + 100
    coef = rng.normal(size=(p, m or 1)) / np.logspace(-3, 3, p)[:, np.newaxis]
    y = (X - 100) @ coef + rng.normal(size=(n, m or 1))
    return X, y if m else y[:, 0], rng.uniform(0, 2, n)


def distance(one, other, X, y):
    return np.max(np.abs(one.predict(X) - other.predict(X)) / y.std(axis=0))


@pytest.mark.parametrize("m", [None, 2])
@pytest.mark.parametrize("chunks", [(6000, 6), (700, 6), (1000, 4), ((1, 5000, 999), 6)], ids=str)
def test_arrays(chunks, m):
    X, y, weight = make(m=m)
    whole = GradientDescentRegressor().fit(X, y, weight)
    lazy = da.from_array(X, chunks=chunks)
    model = GradientDescentRegressor().fit(
        lazy, da.from_array(y, chunks=(1000, 1)[: y.ndim]), da.from_array(weight, chunks=333)
    )
    assert distance(model, whole, X, y) < 1e-9
    assert model.coef_.shape == whole.coef_.shape
    predicted = model.predict(lazy)
    assert isinstance(predicted, da.Array)
    np.testing.assert_allclose(predicted.compute(), model.predict(X), atol=1e-9)
    assert model.score(lazy, da.from_array(y), da.from_array(weight)) == pytest.approx(whole.score(X, y, weight))


@pytest.mark.parametrize("m", [None, 2])
def test_scores(m):
    X, y, weight = make(m=m)
    model = GradientDescentRegressor(alpha=10.0, penalty="l2").fit(X, y)
    lazy = [da.from_array(each, chunks=700) for each in (X, y, weight)]
    assert model.score(*lazy) == pytest.approx(model.score(X, y, weight), abs=1e-12)
    assert model.score(*lazy[:2]) == pytest.approx(model.score(X, y), abs=1e-12)
    assert model.score(X, *lazy[1:]) == model.score(X, y, weight)
    assert model.score(lazy[0], y + 5.0) == pytest.approx(model.score(X, y + 5.0), abs=1e-12)
    model = GradientDescentRegressor(fit_intercept=False).fit(X, y)
    assert model.score(lazy[0], y) == pytest.approx(model.score(X, y), abs=1e-12)
    constant = np.full_like(y, 0.5)
    assert model.score(lazy[0], constant) == model.score(X, constant) == 0.0
    with pytest.raises(ValueError, match="X has 5 features"):
        model.score(lazy[0][:, :5], y)
    with pytest.raises(ValueError, match="y has 3 outputs, but the model has"):
        model.score(lazy[0], np.column_stack([X[:, 0]] * 3))


def test_targets_and_weights_in_memory():
    X, y, weight = make()
    model = GradientDescentRegressor(penalty="l1", alpha=0.1).fit(da.from_array(X, chunks=(700, 6)), y, weight)
    whole = GradientDescentRegressor(penalty="l1", alpha=0.1).fit(X, y, weight)
    np.testing.assert_array_equal(model.coef_ == 0, whole.coef_ == 0)
    assert distance(model, whole, X, y) < 1e-6


def test_data_frames_with_empty_partitions():
    X, y, _ = make()
    frame = pd.DataFrame(X, columns=NAMES).assign(y=y)
    lazy = dd.from_pandas(frame, npartitions=7)
    some = lazy[lazy["f"] > 100]
    kept = frame[frame["f"] > 100]
    emptied = dd.concat([some, lazy[lazy["f"] > 1e9]])
    model = GradientDescentRegressor().fit(emptied[NAMES], emptied["y"])
    whole = GradientDescentRegressor().fit(kept[NAMES], kept["y"])
    assert distance(model, whole, kept[NAMES], kept["y"].to_numpy()) < 1e-9
    assert model.feature_names_in_.tolist() == NAMES
    assert model.score(some[NAMES], some["y"]) == pytest.approx(whole.score(kept[NAMES], kept["y"]))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(lazy[NAMES[::-1]])


def test_float32_and_integers():
    X, y, _ = make()
    lazy = da.from_array(X.astype(np.float32), chunks=(700, 6))
    model = GradientDescentRegressor().fit(lazy, y)
    assert model.coef_.dtype == np.float32
    counts = np.rint(10 * X[:, :3])
    whole = GradientDescentRegressor().fit(counts, y)
    assert (
        distance(GradientDescentRegressor().fit(da.from_array(counts.astype(int), chunks=500), y), whole, counts, y)
        < 1e-9
    )


@pytest.mark.parametrize("kind", ["mostly zero", "nearly collinear"])
def test_the_solver_that_takes_over_ends_at_tol(kind):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2000, 3))
    y = X @ [1.0, 2.0, 3.0] + rng.standard_normal(2000)
    if kind == "mostly zero":
        y[rng.random(2000) < 0.85] = 0.0
    else:
        X[:, 2] = X[:, 0] + 1e-8 * rng.standard_normal(2000)
    model = GradientDescentRegressor(loss="absolute_error").fit(da.from_array(X, chunks=(500, 3)), y)
    best = GradientDescentRegressor(loss="absolute_error").fit(X, y).history_["loss"][-1]
    assert model.converged_
    assert model.n_iter_ < 30
    assert model.history_["loss"][-1] <= best * (1 + 1e-6)


def test_no_block_comes_to_the_client():
    X, y, _ = make()
    sizes = []

    class Watch(dask.callbacks.Callback):
        def _finish(self, graph, state, failed):
            sizes.extend(np.size(value) for key in state["cache"] for value in [state["cache"][key]])

    with Watch(), dask.config.set(scheduler="sync"):
        GradientDescentRegressor().fit(da.from_array(X, chunks=(700, 6)), da.from_array(y, chunks=700))
    assert max(sizes, default=0) < 700


def test_nothing_of_a_fit_is_kept_for_a_stream():
    X, y, _ = make()
    model = GradientDescentRegressor().fit(da.from_array(X, chunks=(700, 6)), y)
    assert not hasattr(model, "moments_")
    with pytest.warns(UserWarning, match="these are the coefficients of the other 1000"):
        model.partial_fit(X[:1000], y[:1000])


def test_targets_in_memory_beside_a_data_frame_of_unknown_partitions():
    X, y, weight = make()
    lazy = dd.from_pandas(pd.DataFrame(X, columns=NAMES), npartitions=7)
    whole = GradientDescentRegressor(loss="huber").fit(pd.DataFrame(X, columns=NAMES), y, weight)
    model = GradientDescentRegressor(loss="huber").fit(lazy, pd.Series(y), weight)
    assert distance(model, whole, lazy.compute(), y) < 1e-6
    assert model.score(lazy, y) == pytest.approx(whole.score(lazy.compute(), y))


def contaminated(n=6000, m=None, p=6):
    X, y, weight = make(n, m, p=p)
    rng = np.random.default_rng(1)
    return X, y + 30.0 * (rng.uniform(size=y.shape) < 0.1), weight


class HuberOfOnesOwn(Loss):
    """Which rows in memory are minimised for by the same steps as blocks of dask."""

    curvature = 2.0

    def value(self, residual):
        size = np.abs(residual)
        return np.where(size <= 0.1, size**2, 0.2 * size - 0.01)

    def derivative(self, residual):
        return 2.0 * np.clip(residual, -0.1, 0.1)


ROWS_NEEDED = [
    {"loss": HuberOfOnesOwn()},
    {"loss": "huber", "optimizer": "nesterov"},
    {"loss": "huber", "learning_rate": "diagonal"},
    {"loss": HuberOfOnesOwn(), "fit_intercept": False},
    {"loss": HuberOfOnesOwn(), "penalty": "l1", "alpha": 0.05},
    {"loss": HuberOfOnesOwn(), "positive": True, "penalty": "l2", "alpha": 0.1},
    {"learning_rate": 1e-7, "epochs": 20, "tol": None},
    {"loss": "huber", "learning_rate": "lipschitz", "optimizer": "momentum", "epochs": 20, "tol": None},
    {"loss": "huber", "optimizer": "adam", "epochs": 20, "tol": None, "init": "random", "random_state": 0},
    {"average": True, "schedule": "invscaling", "epochs": 20, "tol": None},
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("params", ROWS_NEEDED, ids=str)
def test_what_needs_the_rows_at_every_epoch(params):
    X, y, weight = contaminated()
    whole = GradientDescentRegressor(**params).fit(X, y, weight)
    model = GradientDescentRegressor(**params).fit(da.from_array(X, chunks=(700, 6)), y, da.from_array(weight))
    assert distance(model, whole, X, y) < 1e-6
    assert model.n_iter_ == whole.n_iter_
    assert model.converged_ == whole.converged_
    np.testing.assert_allclose(model.history_["loss"], whole.history_["loss"], rtol=1e-6)
    np.testing.assert_allclose(
        model.history_["optimality"][:3], whole.history_["optimality"][:3], rtol=1e-4, atol=1e-12
    )
    np.testing.assert_array_equal(model.coef_ == 0, whole.coef_ == 0)


PIECEWISE = [
    {"loss": "absolute_error"},
    {"loss": "quantile", "quantile": 0.8},
    {"loss": "epsilon_insensitive"},
    {"loss": "huber"},
    {"loss": "squared_epsilon_insensitive"},
]


@pytest.mark.parametrize("params", PIECEWISE, ids=str)
@pytest.mark.parametrize("penalty", [{}, {"penalty": "l1", "alpha": 0.01}], ids=str)
def test_losses_of_lines_and_parabolas_have_another_solver_in_memory_and_the_same_minimum(params, penalty):
    X, y, weight = contaminated()
    whole = GradientDescentRegressor(**params, **penalty).fit(X, y, weight)
    model = GradientDescentRegressor(**params, **penalty).fit(da.from_array(X, chunks=(700, 6)), y, weight)
    assert model.converged_
    assert whole.converged_
    strength = (2.0 if params["loss"] == "huber" else 1.0) * penalty.get("alpha", 0.0)
    paid = [strength * np.abs(each.coef_).sum() for each in (model, whole)]
    objectives = [each.history_["loss"][-1] + price for each, price in zip((model, whole), paid, strict=True)]
    assert objectives[1] <= objectives[0] * (1 + 1e-12)
    assert objectives[0] <= objectives[1] * (1 + 2e-6)


def test_many_columns_of_float32_and_several_targets():
    """Products in single precision, block by block, and coefficients of the dtype of X."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(11_000, 200)).astype(np.float32) * 100
    Y = X @ rng.normal(size=(200, 2)) + rng.standard_t(2, size=(11_000, 2))
    whole = GradientDescentRegressor(loss="huber", optimizer="nesterov").fit(X, Y)
    model = GradientDescentRegressor(loss="huber").fit(da.from_array(X, chunks=(1500, 90)), da.from_array(Y))
    assert model.optimizer_ == "nesterov"
    assert model.coef_.dtype == np.float32
    assert distance(model, whole, X, Y) < 1e-5


def test_blocks_of_csr():
    rng = np.random.default_rng(0)
    X = sparse.csr_array(sparse.random(3000, 20, density=0.2, random_state=0))
    y = X @ rng.normal(size=20) + rng.normal(size=3000)
    parts = [
        da.from_delayed(dask.delayed(X[k : k + 700]), (min(700, 3000 - k), 20), meta=X[:0]) for k in range(0, 3000, 700)
    ]
    lazy = da.concatenate(parts)
    for loss in ("squared_error", "huber"):
        whole = GradientDescentRegressor(loss=loss).fit(X, y)
        model = GradientDescentRegressor(loss=loss).fit(lazy, y)
        assert np.abs(model.predict(X) - whole.predict(X)).max() < 1e-7
        np.testing.assert_allclose(model.predict(lazy).compute(), model.predict(X))


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csr_matrix])
@pytest.mark.parametrize("params", [{}, {"penalty": "l1", "alpha": 0.01}, {"positive": True}], ids=str)
@pytest.mark.parametrize("loss", ["squared_error", "huber", "squared_epsilon_insensitive"])
def test_blocks_of_csr_of_plus_and_minus_one(kind, params, loss):
    rng = np.random.default_rng(0)
    X = rng.choice([-1.0, 1.0], size=(90, 4))
    X[15:30], X[45:60], X[75:] = -X[:15], -X[30:45], -X[60:75]  # each block is centred as it is
    y = X @ [3.0, 1.0, -1.0, 0.0] + rng.standard_t(2, size=90)
    blocks = [da.from_delayed(dask.delayed(kind(X[k : k + 30])), (30, 4), meta=kind(X[:0])) for k in range(0, 90, 30)]
    model = GradientDescentRegressor(loss=loss, fit_intercept=False, **params)
    whole = clone(model).fit(X, y)
    model.fit(da.concatenate(blocks), y)
    assert model.history_["loss"][-1] == pytest.approx(whole.history_["loss"][-1], rel=1e-6)
    if not (loss == "huber" and "positive" in params):  # there more than one point is a minimum
        np.testing.assert_allclose(model.predict(X), whole.predict(X), atol=1e-5)


@pytest.mark.parametrize("loss", ["squared_error", "huber"])
def test_early_stopping(loss):
    X, y, weight = contaminated()
    lazy = [da.from_array(each, chunks=700) for each in (X[:5000], y[:5000], weight[:5000])]
    params = {"loss": loss, "early_stopping": True, "learning_rate": "diagonal", "optimizer": "nesterov", "tol": None}
    model, whole = (GradientDescentRegressor(**params) for _ in range(2))
    whole.fit(X[:5000], y[:5000], weight[:5000], X_val=X[5000:], y_val=y[5000:])
    for held_out in ((X[5000:], y[5000:]), [da.from_array(each, chunks=300) for each in (X[5000:], y[5000:])]):
        model.fit(*lazy, X_val=held_out[0], y_val=held_out[1])
        assert model.n_iter_ == whole.n_iter_
        np.testing.assert_allclose(model.history_["validation_loss"], whole.history_["validation_loss"], rtol=1e-6)
    split = GradientDescentRegressor(**params, random_state=0).fit(*lazy)
    again = GradientDescentRegressor(**params, random_state=0).fit(*lazy)
    np.testing.assert_array_equal(split.coef_, again.coef_)
    assert split.history_["validation_loss"][-1] > split.history_["validation_loss"].min() > 0
    assert 1e-9 < distance(split, whole, X, y) < 0.2


def test_a_split_holds_out_the_share_asked_for():
    X, y, weight = make()
    weight[:700] = 0.0
    rows = DaskRows.of(blocks_of(da.from_array(X, chunks=(700, 6)), y, weight))
    training, held_out = rows.split(0.25, np.random.RandomState(0))
    assert training.n_weighted + held_out.n_weighted == rows.n_weighted == 5300
    assert held_out.n_weighted == 1325
    whole = training.facts.weight + held_out.facts.weight
    assert whole == pytest.approx(weight.sum())


def test_a_split_draws_other_rows_of_each_block():
    places = da.from_array(np.tile(np.arange(100.0), 2)[:, np.newaxis], chunks=100)
    _, held_out = DaskRows.of(blocks_of(places, np.zeros(200))).split(0.5, np.random.RandomState(0))
    one, other = (set(block.X[:, 0]) for block in dask.compute(*held_out.blocks))
    assert len(one & other) < 0.8 * min(len(one), len(other))


@pytest.mark.parametrize(("n", "fraction"), [(41, 0.1), (40, 0.1), (7, 0.5)])
def test_a_split_holds_out_as_many_rows_as_in_memory(n, fraction):
    X, y, _ = make(n)
    rows = DaskRows.of(blocks_of(da.from_array(X, chunks=(9, 6)), y))
    _, held_out = rows.split(fraction, np.random.RandomState(0))
    _, expected = RowBlocks(X, y[:, np.newaxis]).split(fraction, np.random.RandomState(0))
    assert held_out.n_samples == expected.n_samples


@pytest.mark.parametrize("m", [None, 3])
@pytest.mark.parametrize(
    "params", [{"loss": "huber"}, {"loss": "quantile", "quantile": 0.9}, {"loss": "absolute_error"}]
)
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_best_constant_is_found_without_the_targets(params, fit_intercept, m):
    X, y, weight = contaminated(m=m)
    y[-3] += 1e6
    rows = RowBlocks(X, y.reshape(len(y), -1), weight)
    terms = Spec.of(GradientDescentRegressor(**params, fit_intercept=fit_intercept)).terms
    moments = gather(rows)
    frame = Coordinates.unit_curvature(moments, alpha=0.0, fit_intercept=fit_intercept)
    far = DaskRows.of(blocks_of(da.from_array(X, chunks=(700, 6)), y, weight))
    exact, found = (best_constant(terms.loss, View(each, moments, frame))[1] for each in (rows, far))
    np.testing.assert_allclose(found, exact, rtol=1e-3)


@pytest.mark.parametrize("loss", ["epsilon_insensitive", "squared_epsilon_insensitive"])
def test_a_tube_that_just_contains_all_targets_leaves_nothing_to_measure_in(loss):
    X, y, weight = contaminated()
    y = np.where(y > 0, 0.9, 0.2)
    terms = Spec.of(GradientDescentRegressor(loss=loss, epsilon=0.35)).terms
    moments = gather(RowBlocks(X, y[:, np.newaxis], weight))
    frame = Coordinates.unit_curvature(moments, alpha=0.0, fit_intercept=True)
    far = DaskRows.of(blocks_of(da.from_array(X, chunks=(700, 6)), y, weight))
    assert best_constant(terms.loss, View(far, moments, frame))[1] == 1.0


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_split_of_a_few_rows_leaves_some_on_both_sides():
    X, y, _ = make(12)
    for seed in range(10):
        model = GradientDescentRegressor(loss="huber", epochs=3, tol=None, early_stopping=True, random_state=seed)
        assert model.fit(da.from_array(X, chunks=(6, 6)), y).n_iter_ > 0
    with pytest.raises(ValueError, match=r"validation_fraction=0\.99 of n_samples=12 leaves no row to train on"):
        model.set_params(validation_fraction=0.99).fit(da.from_array(X, chunks=(6, 6)), y)


@pytest.mark.parametrize("heavy", [5.0, 1e200])
def test_weights_have_one_scale_over_blocks(heavy):
    X, y, weight = contaminated()
    weight[2000:2500] *= heavy
    if heavy > 1e100:
        weight[:1400] *= 1e-150
    whole = GradientDescentRegressor(loss="huber").fit(X, y, weight)
    model = GradientDescentRegressor(loss="huber").fit(da.from_array(X, chunks=(700, 6)), y, weight)
    assert distance(model, whole, X, y) < 1e-5
    alike = GradientDescentRegressor(loss="huber").fit(da.from_array(X, chunks=(700, 6)), y, 2.0)
    assert distance(alike, GradientDescentRegressor(loss="huber").fit(X, y), X, y) < 1e-6


def test_blocks_of_several_dtypes():
    X, y, _ = contaminated(2000)
    parts = [da.from_array(part, chunks=(500, 6)) for part in (X[:1000].astype(np.float32), X[1000:])]
    both = np.concatenate([X[:1000].astype(np.float32), X[1000:]])
    whole = GradientDescentRegressor(loss="huber").fit(both, y)
    blocks = [dask.delayed(part) for part in (X[:1000].astype(np.float32), X[1000:])]
    lazy = da.concatenate([da.from_delayed(block, (1000, 6), dtype=np.float32) for block in blocks])
    for mixed in (da.concatenate(parts), lazy):
        model = GradientDescentRegressor(loss="huber").fit(mixed, y)
        assert model.coef_.dtype == np.float64
        assert distance(model, whole, both, y) < 1e-6


def test_a_frame_of_flags_and_numbers():
    X, y, _ = make(200)
    frame = pd.DataFrame(X, columns=NAMES).assign(flag=X[:, 0] > 100, count=pd.array(np.arange(200), dtype="Int64"))
    lazy = dd.from_pandas(frame, npartitions=3)
    model = GradientDescentRegressor().fit(lazy, y)
    predicted = model.predict(lazy)
    assert predicted.dtype == np.float64
    np.testing.assert_allclose(predicted.compute(), model.predict(frame), atol=1e-8)


@pytest.mark.filterwarnings("ignore:early_stopping held out rows without effect")
def test_no_sample_of_rows_is_drawn(monkeypatch):
    """Where many rows would have a preconditioner from a sample, the products of all are formed in less precision."""
    monkeypatch.setattr("gdregress.method.sketches.LEAST_ENTRIES", 1)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40_000, 300)).astype(np.float32)
    y = X @ rng.normal(size=300) + rng.normal(size=40_000)
    params = {"early_stopping": True, "tol": 1e-2, "random_state": 0}
    model = GradientDescentRegressor(**params).fit(da.from_array(X, chunks=(10_000, 300)), y)
    assert distance(model, GradientDescentRegressor(**params).fit(X, y), X, y) < 0.02


def test_merging_leaves_what_is_merged_as_it_was():
    """A scheduler may hand it to another task, should a worker be lost."""
    X, y, _ = make(100)
    frame = Coordinates.unit_curvature(gather(RowBlocks(X, y[:, np.newaxis])), alpha=0.0, fit_intercept=True)
    terms = Spec.of(GradientDescentRegressor(loss="huber")).terms
    kept = []
    far = DaskRows.of(blocks_of(da.from_array(X, chunks=(50, 6)), y))
    ranges = partial(RowBlocks.sum, make=lambda: Both(Ranges(), Ranges()))
    far._reduce(lambda rows: kept.append(ranges(rows)) or kept[-1], lambda several: several[0])
    before = [each.x.largest.copy() for each in kept]
    _merged_accumulators(kept)
    np.testing.assert_array_equal([each.x.largest for each in kept], before)
    objective = DataObjective(far, frame, terms.loss.in_units(frame.target_scale), terms.penalty_in(frame))
    once, twice = (objective.evaluate([np.ones((7, 1))])[0].gradient for _ in range(2))
    np.testing.assert_array_equal(once, twice)


def test_a_worker_sends_sums_and_not_what_they_were_computed_from():
    sums = _ConstantLosses(huber(), np.zeros((33, 1)))
    assert vars(pickle.loads(pickle.dumps(sums))).keys() == {"losses"}


@pytest.mark.parametrize("loss", ["squared_error", "huber"])
def test_callbacks_are_told(loss):
    pytest.importorskip("sklearn.callback")
    X, y, _ = make()
    recorder = Recorder(at_epoch=1)
    model = GradientDescentRegressor(loss=loss).set_callbacks(recorder)
    model.fit(da.from_array(X, chunks=(700, 6)), y)
    assert model.stop_reason_ == "stopped by a callback after 1 epoch"
    np.testing.assert_array_equal(recorder.fitted[-1].coef_, model.coef_)
    assert recorder.told[-1] == "teardown"


class TestBadInput:
    def test_leaves_a_fit_of_the_rows_as_it_was(self):
        X, y, _ = make()
        lazy = da.from_array(np.where(np.arange(36_000).reshape(6000, 6) == 6 * 1405 + 2, np.nan, X), chunks=(700, 6))
        model = GradientDescentRegressor(loss="huber").fit(X, y)
        before = dict(vars(model))
        with pytest.raises(ValueError, match="X of block 3 contains NaN at row 5, column 2"):
            model.fit(lazy, y)
        assert vars(model) == before
        weight = np.ones(6000)
        weight[1400] = -1
        with pytest.raises(ValueError, match="Negative values in sample_weight of block 3: -1 at row 0"):
            model.fit(da.from_array(X, chunks=(700, 6)), y, weight)
        with pytest.raises(ValueError, match="No row of X has a positive weight"):
            model.fit(da.from_array(X, chunks=(700, 6)), y, np.zeros(6000))
        with pytest.raises(ValueError, match="y_val has 2 outputs, but y has 1"):
            model.set_params(early_stopping=True).fit(
                da.from_array(X, chunks=700), y, X_val=da.from_array(X), y_val=np.column_stack([y, y])
            )
        with pytest.raises(ValueError, match="X_val has 6000 rows, but y_val has 10"):
            model.fit(da.from_array(X, chunks=700), y, X_val=da.from_array(X), y_val=y[:10])
        assert vars(model) == before | {"early_stopping": True}

    def test_nan_in_a_block_is_named(self):
        X, y, _ = make()
        X[1405, 2] = np.nan
        for weight in (np.ones(6000), np.where(np.arange(6000) // 700 == 2, 0.0, 1.0)):
            with pytest.raises(ValueError, match="X of block 3 contains NaN at row 5, column 2"):
                GradientDescentRegressor().fit(da.from_array(X, chunks=(700, 6)), y, weight)
        X, y, _ = make()
        y[701] = np.inf
        with pytest.raises(ValueError, match="y of block 2 contains infinity at row 1"):
            GradientDescentRegressor().fit(da.from_array(X, chunks=(700, 6)), y)

    def test_nan_where_it_is_predicted_or_scored(self):
        X, y, _ = make()
        model = GradientDescentRegressor().fit(X, y)
        X[1405, 2] = np.nan
        lazy = da.from_array(X, chunks=(700, 6))
        predicted = model.predict(lazy)
        with pytest.raises(ValueError, match="X of block 3 contains NaN at row 5, column 2"):
            predicted.compute()
        with pytest.raises(ValueError, match="X of block 3 contains NaN at row 5, column 2"):
            model.score(lazy, y)

    def test_columns_of_text_and_dates(self):
        X, y, _ = make(100)
        frame = pd.DataFrame(X, columns=NAMES)
        model = GradientDescentRegressor().fit(frame, y)
        for column, what in ((np.repeat("north", 100), "text"), (pd.date_range("2026-01-01", periods=100), "dates")):
            lazy = dd.from_pandas(frame.assign(c=column), npartitions=2)
            for attempt in (lambda X: GradientDescentRegressor().fit(X, y), model.predict):
                with pytest.raises(ValueError, match=f"X has {what} in column 'c'"):
                    attempt(lazy)

    def test_a_stream_of_them(self):
        X, y, _ = make(100)
        lazy = da.from_array(X, chunks=(50, 6)), da.from_array(y, chunks=50)
        for chunk in (lazy, (lazy[0], y), (X, lazy[1])):
            with pytest.raises(ValueError, match="chunk 1 is of dask, and would be fetched whole: use fit"):
                GradientDescentRegressor().partial_fit(*chunk)

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            (lambda X, y, w: (X + 1j, y, w), "X of block 1: Complex data not supported"),
            (lambda X, y, w: (X, np.ones((6000, 2, 2)), w), "y of block 1: Found array with dim 3"),
            (lambda X, y, w: (X, y, 1e300 * w), "sample_weight of block 1 has values up to"),
            (lambda X, y, w: (X, y, -2.0), "Negative values in sample_weight"),
            (lambda X, y, w: (X, None, w), "y is None: pass the target of each row"),
            (lambda X, y, w: (X, "price", w), "y is 'price': pass the target of each row"),
        ],
        ids=["complex", "three dimensions", "too heavy", "negative", "no targets", "a name"],
    )
    @pytest.mark.parametrize("loss", ["squared_error", "huber"])
    def test_what_an_array_would_not_do(self, change, sentence, loss):
        X, y, weight = change(*make())
        with pytest.raises(ValueError, match=sentence):
            GradientDescentRegressor(loss=loss).fit(da.from_array(X, chunks=(6000, 6)), y, weight)

    def test_other_numbers_of_rows(self):
        X, y, weight = make()
        lazy = da.from_array(X, chunks=(700, 6))
        with pytest.raises(ValueError, match="X has 6000 rows, but y has 5999"):
            GradientDescentRegressor().fit(lazy, da.from_array(y[1:]))
        with pytest.raises(ValueError, match="X has 6000 rows, but sample_weight has 10"):
            GradientDescentRegressor().fit(lazy, y, weight[:10])

    def test_blocks_of_unknown_sizes_that_do_not_match(self):
        X, y, _ = make()
        lazy = da.from_array(X, chunks=(700, 6))
        unknown, target = lazy[lazy[:, 5] > 100], da.from_array(y, chunks=3000)
        with pytest.raises(ValueError, match="9 blocks of rows and y has 2"):
            GradientDescentRegressor().fit(unknown, target)
        with pytest.raises(
            ValueError, match=r"X of block \d has \d+ rows, but y of block \d has \d+: give both the same"
        ):
            GradientDescentRegressor().fit(unknown, da.from_array(y, chunks=700))

    def test_no_row_counts(self):
        X, y, _ = make()
        with pytest.raises(ValueError, match="No row of X has a positive weight"):
            GradientDescentRegressor().fit(da.from_array(X, chunks=(700, 6)), y, np.zeros(6000))

    def test_mini_batches_of_all_blocks(self):
        X, y, _ = make()
        with pytest.raises(ValueError, match="batch_size=32 draws rows, and those of dask stay on their workers"):
            GradientDescentRegressor(batch_size=32).fit(da.from_array(X, chunks=(700, 6)), y)

    def test_the_fit_before_is_kept(self):
        X, y, _ = make()
        model = GradientDescentRegressor().fit(X, y)
        coef = model.coef_.copy()
        X[3, 3] = np.inf
        with pytest.raises(ValueError, match="infinity"):
            model.fit(da.from_array(X, chunks=(700, 6)), y)
        np.testing.assert_array_equal(model.coef_, coef)

    def test_predict_of_other_columns(self):
        X, y, _ = make()
        model = GradientDescentRegressor().fit(X, y)
        with pytest.raises(ValueError, match="X has 5 features"):
            model.predict(da.from_array(X[:, :5], chunks=700))


CLUSTER = """
import os, sys
import dask.array as da
import numpy as np
from distributed import Client, LocalCluster
sys.path.insert(0, sys.argv[1])
from gdregress import GradientDescentRegressor
from gdregress import Loss
from test_dask import contaminated, distance, make

reading, passing, n, p = *sys.argv[2:4], *map(int, sys.argv[4:])

def die(marker):
    if not os.path.exists(marker):
        open(marker, "w").close()
        os._exit(1)

def dies_once(block, block_info=None):
    if reading and block_info[0]["chunk-location"][0] == 3:
        die(reading)
    return block

class LogCosh(Loss):
    curvature = 1.0

    def value(self, residual):
        if passing:
            sys.passes = getattr(sys, "passes", 0) + 1
            if sys.passes > 60:
                die(passing)
        return np.logaddexp(residual, -residual) - np.log(2.0)

    def derivative(self, residual):
        return np.tanh(residual)

if __name__ == "__main__":
    data = {"squared_error": make(n, p=p), "huber": contaminated(n, p=p), LogCosh(): contaminated(n, p=p)}
    found = []
    with LocalCluster(n_workers=2, processes=True, threads_per_worker=1, dashboard_address=None) as cluster:
        with Client(cluster):
            for loss, (X, y, weight) in data.items():
                lazy = da.from_array(X, chunks=(n // 9, p)).map_blocks(dies_once, dtype=float)
                target, shares = (da.from_array(each, chunks=n // 9) for each in (y, weight))
                found.append(GradientDescentRegressor(loss=loss).fit(lazy, target, shares))
    passing = ""
    for model, (loss, (X, y, weight)) in zip(found, data.items()):
        whole = GradientDescentRegressor(loss=loss).fit(X, y, weight)
        print("distance", distance(model, whole, X, y), model.converged_, model.n_iter_ - whole.n_iter_)
"""


@pytest.mark.parametrize(
    ("dies", "n", "p"),
    [
        pytest.param(False, 20_000, 30, id=""),
        pytest.param(True, 6000, 6, id="two die", marks=pytest.mark.exhaustive),
    ],
)
def test_worker_processes(tmp_path, dies, n, p):
    """Of two workers, one dies while it reads, and one in the middle of a descent."""
    pytest.importorskip("distributed")
    markers = [str(tmp_path / name) if dies else "" for name in ("reading", "passing")]
    script = tmp_path / "cluster.py"
    script.write_text(CLUSTER)
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "critical"}
    patient = "120s"  # a busy machine is slow, and no worker of it is lost
    environment |= {f"DASK_DISTRIBUTED__COMM__TIMEOUTS__{wait}": patient for wait in ("CONNECT", "TCP")}
    environment["DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL"] = patient
    command = [sys.executable, str(script), str(Path(__file__).parent), *markers, str(n), str(p)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    lines = [line.split()[1:] for line in ran.stdout.splitlines() if line.startswith("distance")]
    assert [converged for _, converged, _ in lines] == ["True"] * 3
    assert lines[2][2] == "0"  # a loss of one's own has the same steps in memory
    exact, *others = [float(far) for far, _, _ in lines]
    assert exact < 1e-9
    assert max(others) < 1e-5
    assert not dies or all(Path(marker).exists() for marker in markers)


class TestCrossValidation:
    """Only sums come from the blocks, and all is as with rows in memory."""

    @staticmethod
    def tuned(X, y, weight=None, **params):
        with warnings.catch_warnings(action="ignore"):
            return GradientDescentRegressorCV(8, **{"standardize": True, "cv": 3, **params}).fit(X, y, weight)

    @pytest.mark.parametrize("m", [None, 2])
    @pytest.mark.parametrize("is_weighted", [False, True])
    @pytest.mark.parametrize(
        "params",
        [
            {},
            {"penalty": "l1", "scoring": "r2"},
            {"penalty": "elasticnet", "l1_ratio": [0.3, 0.9], "cv": TimeSeriesSplit(3)},
            {"cv": KFold(4, shuffle=True, random_state=0), "fit_intercept": False},
            {"cv": RepeatedKFold(n_splits=3, n_repeats=2, random_state=0), "refit": False},
            {"penalty": None, "learning_rate": [0.02, "lipschitz"], "epochs": [3, 50], "tol": None},
            {"penalty": "l2", "learning_rate": 0.02, "optimizer": "momentum", "epochs": 20, "tol": None},
            {"alpha_per_target": True},
        ],
        ids=str,
    )
    def test_is_that_of_rows_in_memory(self, params, is_weighted, m):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(600, 5)) + 1.0
        y = X @ rng.normal(size=(5, m or 1)) + rng.normal(size=(600, m or 1))
        y, weight = y if m else y[:, 0], rng.integers(0, 3, 600).astype(float) if is_weighted else None
        whole = self.tuned(X, y, weight, **params)
        lazy = None if weight is None else da.from_array(weight, chunks=250)
        model = self.tuned(da.from_array(X, chunks=((1, 199, 400), 5)), y, lazy, **params)
        np.testing.assert_allclose(model.alphas_, whole.alphas_, rtol=1e-9)
        for name, values in whole.cv_results_.items():
            if "test" in name and "rank" not in name:
                np.testing.assert_allclose(model.cv_results_[name], values, rtol=1e-7, atol=1e-9)
        assert np.array_equal(model.best_index_, whole.best_index_)
        if params.get("refit", True):
            np.testing.assert_allclose(model.predict(X), whole.predict(X), rtol=1e-7)
            assert hasattr(model, "coef_path_") == hasattr(whole, "coef_path_")

    def test_a_data_frame_of_unknown_sizes(self):
        X, y, _ = make(n=900)
        frame = pd.DataFrame(X, columns=NAMES).assign(y=y)
        lazy = dd.from_pandas(frame, npartitions=4)
        lazy = lazy[lazy["a"] > lazy["a"].min()]
        kept = frame[frame["a"] > frame["a"].min()]
        model, whole = (self.tuned(each[NAMES], each["y"]) for each in (lazy, kept))
        assert list(model.feature_names_in_) == NAMES
        np.testing.assert_allclose(model.best_score_, whole.best_score_, rtol=1e-7)
        np.testing.assert_allclose(model.coef_, whole.coef_, rtol=1e-7)

    def test_nothing_as_large_as_x_comes_to_the_client(self):
        X, y, _ = make(n=4000)
        sizes = []

        def get(graph, keys, **settings):
            found = dask.get(graph, keys, **settings)
            sizes.append(len(pickle.dumps(found)))
            return found

        persisted = da.from_array(X, chunks=(500, 6)).persist()
        with dask.config.set(scheduler=get):
            blocks = NumberedRows.of(persisted, y, None)
            sizes.clear()  # the blocks themselves, which stay with this scheduler
            gather_folds(blocks, list(KFold(5).split(X)))
        assert 0 < max(sizes) < X.nbytes / 10

    @pytest.mark.parametrize(
        ("params", "sentence"),
        [
            (
                {"loss": "huber"},
                "cross-validated by their sums, which are enough for squared error",
            ),
            (
                {"scoring": "neg_max_error"},
                "scoring='neg_max_error' needs the rows of X, and those of dask stay on their",
            ),
            ({"store_cv_predictions": True}, "store_cv_predictions=True needs the rows of X, and those of dask stay"),
            ({"batch_size": 7}, "rows of dask and on a device are cross-validated by their sums"),
        ],
        ids=str,
    )
    def test_what_needs_rows_is_refused(self, params, sentence):
        X, y, _ = make(n=300)
        with pytest.raises(ValueError, match=sentence):
            self.tuned(da.from_array(X, chunks=(100, 6)), y, **params)

    def test_nan_in_a_block(self):
        X, y, _ = make(n=300)
        X[250, 2] = np.nan
        with pytest.raises(ValueError, match="X of block 3"):
            self.tuned(da.from_array(X, chunks=(100, 6)), y)

    def test_an_error_that_rounding_hides(self):
        X, _, _ = make(n=300)
        with pytest.raises(ValueError, match="the sums over rows of dask have too few digits for these errors"):
            self.tuned(da.from_array(X, chunks=(100, 6)), X[:, 0] + 1e9, tol=1e-12)
