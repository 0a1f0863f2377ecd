"""Dask collections: the fit is that of the same rows in memory, whatever the blocks and the scheduler."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gdregress import GradientDescentRegressor

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")

NAMES = list("abcdef")


def make(n=6000, m=None, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 6)) * np.logspace(-3, 3, 6) + 100
    coef = rng.normal(size=(6, m or 1)) / np.logspace(-3, 3, 6)[:, np.newaxis]
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
    assert model.n_samples_seen_ == 6000
    assert model.n_chunks_seen_ == lazy.numblocks[0]
    predicted = model.predict(lazy)
    assert isinstance(predicted, da.Array)
    np.testing.assert_allclose(predicted.compute(), model.predict(X), atol=1e-9)
    assert model.score(lazy, da.from_array(y), da.from_array(weight)) == pytest.approx(whole.score(X, y, weight))


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
    assert model.n_samples_seen_ == len(kept)
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


def test_no_block_comes_to_the_client():
    X, y, _ = make()
    sizes = []

    class Watch(dask.callbacks.Callback):
        def _finish(self, graph, state, failed):
            sizes.extend(np.size(value) for key in state["cache"] for value in [state["cache"][key]])

    with Watch(), dask.config.set(scheduler="sync"):
        GradientDescentRegressor().fit(da.from_array(X, chunks=(700, 6)), da.from_array(y, chunks=700))
    assert max(sizes, default=0) < 700


def test_a_chunk_more_by_partial_fit_and_merge():
    X, y, _ = make()
    model = GradientDescentRegressor().fit(da.from_array(X[:4000], chunks=(700, 6)), y[:4000])
    model.partial_fit(X[4000:5000], y[4000:5000])
    model.merge(GradientDescentRegressor().partial_fit(X[5000:], y[5000:]))
    assert distance(model, GradientDescentRegressor().fit(X, y), X, y) < 1e-9


class TestBadInput:
    def test_nan_in_a_block_is_named(self):
        X, y, _ = make()
        X[1405, 2] = np.nan
        with pytest.raises(ValueError, match="X of chunk 3 contains NaN at row 5, column 2"):
            GradientDescentRegressor().fit(da.from_array(X, chunks=(700, 6)), y)
        X, y, _ = make()
        y[701] = np.inf
        with pytest.raises(ValueError, match="y of chunk 2 contains infinity at row 1"):
            GradientDescentRegressor().fit(da.from_array(X, chunks=(700, 6)), y)

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
        with pytest.raises(ValueError, match=r"rows in block \d, but y has \d+: give both the same"):
            GradientDescentRegressor().fit(unknown, da.from_array(y, chunks=700))

    def test_no_row_counts(self):
        X, y, _ = make()
        with pytest.raises(ValueError, match="No row of X has a positive weight"):
            GradientDescentRegressor().fit(da.from_array(X, chunks=(700, 6)), y, np.zeros(6000))

    def test_what_needs_the_rows(self):
        X, y, _ = make()
        with pytest.raises(ValueError, match="loss='huber' needs the rows"):
            GradientDescentRegressor(loss="huber").fit(da.from_array(X, chunks=(700, 6)), y)

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
from test_dask import distance, make

marker = sys.argv[2]

def dies_once(block, block_info=None):
    if marker and block_info[0]["chunk-location"][0] == 3 and not os.path.exists(marker):
        open(marker, "w").close()
        os._exit(1)
    return block

if __name__ == "__main__":
    X, y, weight = make()
    with LocalCluster(n_workers=2, processes=True, threads_per_worker=1, dashboard_address=None) as cluster:
        with Client(cluster):
            lazy = da.from_array(X, chunks=(700, 6)).map_blocks(dies_once, dtype=float)
            target, shares = (da.from_array(each, chunks=700) for each in (y, weight))
            model = GradientDescentRegressor().fit(lazy, target, shares)
    whole = GradientDescentRegressor().fit(X, y, weight)
    print("distance", distance(model, whole, X, y), model.n_samples_seen_)
"""


@pytest.mark.parametrize("dies", [False, True], ids=["", "a worker dies"])
def test_worker_processes(tmp_path, dies):
    pytest.importorskip("distributed")
    marker = str(tmp_path / "died") if dies else ""
    script = tmp_path / "cluster.py"
    script.write_text(CLUSTER)
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "critical"}
    command = [sys.executable, str(script), str(Path(__file__).parent), marker]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    [line] = [line for line in ran.stdout.splitlines() if line.startswith("distance")]
    _, far, rows = line.split()
    assert float(far) < 1e-9
    assert rows == "6000"
    assert not dies or Path(marker).exists()
