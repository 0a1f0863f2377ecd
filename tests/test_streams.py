"""Rows in pieces: whatever the pieces and their order, the fit is that of all rows at once."""

import pickle
import sqlite3
import tracemalloc
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_moments import assert_moments, naive
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge

from gdregress import GradientDescentRegressor
from gdregress.rows.gathering import gather
from gdregress.rows.memory import RowBlocks
from gdregress.rows.moments import Moments
from gdregress.rows.unions import union


def make(n=300, p=5, m=None, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * 10.0 ** rng.uniform(-3, 3, p) + 100
    coef = rng.normal(size=(p, m or 1)) / X.std(axis=0)[:, np.newaxis]
    y = (X - X.mean(axis=0)) @ coef + rng.normal(size=(n, m or 1)) + 7
    return X, y if m else y[:, 0], rng.uniform(0, 2, n)


def pieces(n, cuts, order):
    return [order[a:b] for a, b in pairwise([0, *sorted(cuts), n]) if b > a]


def streamed(parts, X, y, weight=None, model=None):
    model = GradientDescentRegressor() if model is None else model
    for part in parts:
        model.partial_fit(X[part], y[part], None if weight is None else weight[part])
    return model


def distance(one, other, X, y):
    """Largest difference of two predictions, in standard deviations of y."""
    return np.max(np.abs(one.predict(X) - other.predict(X)) / y.std(axis=0))


def test_two_hundred_thousand_rows_in_37_shuffled_pieces():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200_000, 30)) * np.logspace(-3, 3, 30) + 100
    y = (X - 100) @ (rng.normal(size=30) / np.logspace(-3, 3, 30)) + rng.normal(size=200_000)
    weight = rng.uniform(0, 2, len(y))
    whole = GradientDescentRegressor().fit(X, y, weight)
    order, cuts = rng.permutation(len(y)), rng.choice(len(y), 36, replace=False)
    model = streamed(pieces(len(y), cuts, order), X, y, weight)
    assert distance(model, whole, X, y) < 1e-9
    assert model.converged_
    assert (model.n_samples_seen_, model.n_chunks_seen_) == (200_000, 37)
    batches = ((X[part], y[part], weight[part]) for part in pieces(len(y), cuts, order))
    assert distance(GradientDescentRegressor().fit_batches(batches), whole, X, y) < 1e-9


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    n=st.integers(8, 120),
    m=st.integers(1, 2),
    cuts=st.lists(st.integers(1, 119), max_size=12),
    order=st.randoms(use_true_random=False),
    kind=st.sampled_from(["C", "F", "float32", "CSR"]),
    weights=st.sampled_from(["none", "random", "integer"]),
)
def test_any_pieces_in_any_order(n, m, cuts, order, kind, weights):
    X, y, weight = make(n, 4, m)
    weight = {"none": None, "random": weight, "integer": np.floor(2 * weight)}[weights]
    X = {"C": X, "F": np.asfortranarray(X), "float32": X.astype(np.float32), "CSR": sparse.csr_array(X)}[kind]
    rows = list(range(n))
    order.shuffle(rows)
    parts = pieces(n, [cut for cut in cuts if cut < n], np.array(rows))
    if weight is not None:  # the first has to count
        parts.sort(key=lambda part: not weight[part].any())
    model = streamed(parts, X, y, weight)
    dense = X.toarray() if kind == "CSR" else X
    assert_moments(Moments.from_plain(model.moments_), naive(dense, y, weight), rtol=1e-8)
    assert model.moments_["weight"] == pytest.approx(n if weight is None else weight.sum())
    assert model.n_samples_seen_ == (n if weight is None else np.count_nonzero(weight))
    if model.n_samples_seen_ > 6:
        whole = GradientDescentRegressor().fit(X, y, weight)
        assert distance(model, whole, dense.astype(float), y) < (1e-3 if kind == "float32" else 1e-8)
    assert model.coef_.dtype == (np.float32 if kind == "float32" else np.float64)


@pytest.mark.parametrize(
    "params",
    [
        {"penalty": "l2", "alpha": 0.1},
        {"penalty": "l1", "alpha": 0.1},
        {"penalty": "elasticnet", "alpha": 0.05, "positive": True},
        {"fit_intercept": False},
        {"learning_rate": "diagonal", "tol": 1e-10},
        {"learning_rate": "curvature", "optimizer": "conjugate", "tol": 1e-10},
    ],
    ids=str,
)
def test_every_penalty_and_rung_of_squared_error(params):
    X, y, weight = make(400, 6, 2)
    whole = GradientDescentRegressor(**params).fit(X, y, weight)
    model = streamed(np.array_split(np.arange(400), 7), X, y, weight, GradientDescentRegressor(**params))
    assert distance(model, whole, X, y) < (1e-5 if "penalty" in params else 1e-8)
    np.testing.assert_array_equal(model.coef_ == 0, whole.coef_ == 0)


@pytest.mark.parametrize("columns", ["twice", "dummies", "rank 20"])
def test_collinear_columns_with_l1(columns):
    rng = np.random.default_rng(0)
    x = rng.normal(size=40)
    X = {
        "twice": np.c_[x, 2.0 * x],
        "dummies": np.eye(3)[rng.integers(0, 3, 40)],
        "rank 20": rng.normal(size=(200, 20)) @ rng.normal(size=(20, 60)),
    }[columns]
    y = X[:, 0] + rng.normal(size=len(X))
    model = GradientDescentRegressor(penalty="l1", alpha=0.01, tol=1e-8).partial_fit(X, y)
    whole = GradientDescentRegressor(penalty="l1", alpha=0.01, tol=1e-8).fit(X, y)
    assert model.converged_
    assert model.n_iter_ < 30
    assert distance(model, whole, X, y) < 1e-6


@pytest.mark.grid(1)
@pytest.mark.parametrize(("n", "p"), [(3, 4), (5, 12), (10, 10), (20, 60)])
@pytest.mark.parametrize("seed", range(6))
def test_chunks_shorter_than_there_are_raw_columns_with_l1(n, p, seed):
    """Directions that no row shows, and an objective that moments know to some 1e-15 of the variance of y."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * 10.0 ** rng.uniform(-3, 3, p) + 10 * (seed % 2)
    y = X[:, 0] / X[:, 0].std() + rng.normal(size=n) + 5 * (seed % 3)
    model = GradientDescentRegressor(penalty="l1", alpha=0.1).partial_fit(X, y)
    assert model.converged_
    assert distance(model, GradientDescentRegressor(penalty="l1", alpha=0.1).fit(X, y), X, y) < 1e-5


def test_l2_is_ridge_s_whatever_the_pieces():
    X, y, _ = make(400, 6)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    model = streamed(np.array_split(np.arange(400), 5), X, y, model=GradientDescentRegressor(penalty="l2", alpha=0.3))
    np.testing.assert_allclose(model.coef_, Ridge(alpha=0.3 * 400).fit(X, y).coef_, rtol=1e-9)


def test_the_first_pieces_may_be_shorter_than_there_are_columns():
    X, y, _ = make(40, 8)
    model = GradientDescentRegressor()
    for row in range(40):
        model.partial_fit(X[row : row + 1], y[row : row + 1])
        seen = slice(0, row + 1)
        if row + 1 <= 8:  # they can be met
            assert np.abs(model.predict(X[seen]) - y[seen]).max() < 1e-6 * max(1.0, y[seen].std())
        if row + 1 > 10:
            assert distance(model, GradientDescentRegressor().fit(X[seen], y[seen]), X[seen], y[seen]) < 1e-8
    assert model.converged_


def test_a_chunk_without_rows_changes_nothing_but_the_count():
    X, y, weight = make(60, 3)
    model = GradientDescentRegressor().partial_fit(X, y, weight)
    coef = model.coef_.copy()
    for empty in ((X[:0], y[:0], weight[:0]), (pd.DataFrame(X[:0]), list(y[:0]))):
        model.partial_fit(*empty)
        np.testing.assert_array_equal(model.coef_, coef)
    assert (model.n_samples_seen_, model.n_chunks_seen_) == (60, 3)
    with pytest.raises(ValueError, match="X of chunk 1: Found array with 0 sample"):
        GradientDescentRegressor().partial_fit(X[:0], y[:0])
    with pytest.raises(ValueError, match="chunk 4: X has 2 features"):
        model.partial_fit(X[:0, :2], y[:0])


def test_the_names_of_a_record_batch_are_read():
    arrow = pytest.importorskip("pyarrow")
    X, y, _ = make(60, 3)
    batch = arrow.RecordBatch.from_pandas(pd.DataFrame(X, columns=list("abc")))
    model = GradientDescentRegressor().partial_fit(batch, y)
    assert model.feature_names_in_.tolist() == list("abc")
    np.testing.assert_allclose(model.predict(batch), model.predict(pd.DataFrame(X, columns=list("abc"))), rtol=1e-9)
    with pytest.raises(ValueError, match=r"chunk 2: .*feature names"):
        model.partial_fit(batch.select(list("cba")), y)


def test_collinear_and_constant_columns():
    X, y, _ = make(200, 4)
    X = np.column_stack([X, X[:, 0] - 2 * X[:, 1], np.full(200, 3.7), np.repeat([1.0, 5.0], 100)])
    whole = GradientDescentRegressor().fit(X, y)
    model = streamed([slice(0, 60), slice(60, 100), slice(100, 200)], X, y)
    assert distance(model, whole, X, y) < 1e-8
    assert model.coef_[5] == 0.0
    np.testing.assert_allclose(model.coef_ * X.std(axis=0), whole.coef_ * X.std(axis=0), atol=1e-6)


@pytest.mark.parametrize("container", [np.array, sparse.csr_array], ids=["dense", "CSR"])
def test_a_constant_column_stays_one(container):
    """However its mean is rounded in each of the pieces."""
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=2000), np.full(2000, 0.1), np.full(2000, 1e15 / 3)])
    y = X[:, 0] + rng.normal(size=2000)
    model = streamed(np.array_split(rng.permutation(2000), 29), container(X), y, rng.uniform(0, 2, 2000))
    assert (model.moments_["variance"][1:] == 0).all()
    assert (model.coef_[1:] == 0).all()


@pytest.mark.parametrize("scale", [1e-250, 1e-160, 1e160, 1e250])
def test_columns_whose_squares_are_beyond_the_floats(scale):
    X, y, weight = make(300, 3)
    X[:, 1] *= scale
    Y = np.column_stack([y, scale * y])
    whole = GradientDescentRegressor().fit(X, Y, weight)
    model = streamed([slice(0, 4), slice(4, 150), slice(150, 300)], X, Y, weight)
    apart = np.abs(model.predict(X) - whole.predict(X)) / np.ptp(Y, axis=0)
    assert apart.max() < 1e-9


def test_moments_in_different_units():
    """A chunk whose squares are representable, and one whose squares are not."""
    X, y, _ = make(200, 3)
    X[100:, 1] *= 1e170
    Y = np.column_stack([y, np.where(np.arange(200) < 100, 1.0, 1e170) * y])
    first, second = (gather(RowBlocks(X[part], Y[part])) for part in (slice(0, 100), slice(100, 200)))
    assert (first.x.unit != second.x.unit).any()
    merged, whole = union(first, second), gather(RowBlocks(X, Y))
    for name in ("variance", "cross"):
        units = merged.x.unit / whole.x.unit
        factor = units**2 if name == "variance" else np.outer(units, units)
        np.testing.assert_allclose(merged.plain()[name] * factor, whole.plain()[name], rtol=1e-9, atol=1e-300)
    factor = np.outer(merged.x.unit / whole.x.unit, merged.y.unit / whole.y.unit)
    np.testing.assert_allclose(merged.target_cross * factor, whole.target_cross, rtol=1e-9)


def test_constant_columns_whose_means_are_rounded():
    X, y, _ = make(20, 2)
    X[:, 1] = 0.1
    one = gather(RowBlocks(X, y[:, np.newaxis]))
    assert one.x.variance[1] == 0
    other = replace(one, x=one.x._replace(mean=one.x.mean * [1.0, 1 + 4e-16]))
    assert union(one, other).x.variance[1] == 0
    assert union(one, replace(one, x=one.x._replace(mean=one.x.mean * [1.0, 1 + 1e-13]))).x.variance[1] > 0


def test_what_centring_has_cost_adds_up():
    """The error of a merged variance is that of the parts, by their shares of it."""
    X, y, _ = make(20, 2)
    one = gather(RowBlocks(X, y[:, np.newaxis]))
    worse = replace(one, x=one.x._replace(cancellation=np.array([1000.0, 3.0])), weight=3 * one.weight)
    expected = 0.25 * one.x.cancellation + 0.75 * worse.x.cancellation
    np.testing.assert_allclose(union(one, worse).x.cancellation, expected, rtol=1e-12)
    far = replace(one, x=one.x._replace(mean=one.x.mean + 1e6))
    assert (union(one, far).x.cancellation <= one.x.cancellation).all()


def test_moments_that_drift_far_from_the_first_chunk():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 3)) + np.linspace(0, 1e3, 3000)[:, np.newaxis]
    y = X @ [1.0, -2.0, 1.0] + rng.normal(size=3000)
    model = streamed(np.array_split(np.arange(3000), 30), X, y)
    whole = GradientDescentRegressor().fit(X, y)
    assert distance(model, whole, X, y) < 1e-9


def test_what_the_moments_cannot_tell_is_said():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 1)) + 1e-7 * rng.normal(size=(3000, 4))
    model = GradientDescentRegressor(tol=1e-9)
    with pytest.warns(ConvergenceWarning, match="rounding allows no better: some columns are nearly collinear"):
        model.partial_fit(X, 1e7 * (X[:, 0] - X[:, 1]) + X[:, 2])


def test_merging_is_symmetric_and_exact():
    X, y, weight = make(500, 4, 2)
    rows = RowBlocks(X, y, weight)
    parts = [gather(RowBlocks(X[part], y[part], weight[part])) for part in (slice(0, 37), slice(37, 500))]
    one, other = union(parts[0], parts[1]), union(parts[1], parts[0])
    for merged in (one, other):
        assert_moments(merged, naive(X, y, weight))
        assert merged.n_samples == rows.n_weighted
        np.testing.assert_array_equal(merged.x.variance, np.diag(merged.cross))
        assert (merged.x.cancellation >= 1).all()


class TestMerge:
    def test_two_machines(self):
        X, y, weight = make(400, 5)
        here = GradientDescentRegressor().partial_fit(X[:150], y[:150], weight[:150])
        there = GradientDescentRegressor().partial_fit(X[150:200], y[150:200], weight[150:200])
        there.partial_fit(X[200:], y[200:], weight[200:])
        coef = there.coef_.copy()
        merged = here.merge(pickle.loads(pickle.dumps(there)))
        assert merged is here
        assert distance(here, GradientDescentRegressor().fit(X, y, weight), X, y) < 1e-9
        assert (here.n_samples_seen_, here.n_chunks_seen_) == (400, 3)
        np.testing.assert_array_equal(there.coef_, coef)

    def test_what_cannot_be_merged(self):
        X, y, _ = make(50, 3)
        here = GradientDescentRegressor().partial_fit(X, y)
        before = here.coef_.copy()
        with pytest.raises(ValueError, match="the GradientDescentRegressor to merge has no sums of its rows"):
            here.merge(GradientDescentRegressor().fit(X, y))
        with pytest.raises(ValueError, match="n_features is 2, but was 3"):
            here.merge(GradientDescentRegressor().partial_fit(X[:, :2], y))
        with pytest.raises(ValueError, match="n_targets is 2, but was 1"):
            here.merge(GradientDescentRegressor().partial_fit(X, np.column_stack([y, y])))
        for params, sentence in [
            ({"loss": "huber"}, "loss='huber' needs the rows at every epoch"),
            ({"alpha": -1.0}, "'alpha' parameter"),
        ]:
            with pytest.raises(ValueError, match=sentence):
                pickle.loads(pickle.dumps(here)).set_params(**params).merge(here)
        frame = pd.DataFrame(X, columns=list("abc"))
        with pytest.raises(ValueError, match="feature_names_in_ is"):
            here.merge(GradientDescentRegressor().partial_fit(frame, y))
        np.testing.assert_array_equal(here.coef_, before)


class TestEstimator:
    def test_fit_forgets_the_stream_and_a_stream_forgets_the_fit(self):
        X, y, _ = make(200, 3)
        model = GradientDescentRegressor().partial_fit(X[:100], -y[:100]).fit(X[:50], y[:50])
        assert not hasattr(model, "moments_")
        with pytest.warns(UserWarning, match="these are the coefficients of the other 150"):
            model.partial_fit(X[50:], y[50:])
        fresh = GradientDescentRegressor().partial_fit(X[50:], y[50:])
        np.testing.assert_array_equal(model.coef_, fresh.coef_)
        assert model.n_samples_seen_ == 150

    def test_fit_batches_starts_over_and_partial_fit_goes_on(self):
        X, y, _ = make(200, 3)
        model = GradientDescentRegressor().partial_fit(X, -y)
        model.fit_batches([(X[:70], y[:70])]).partial_fit(X[70:], y[70:])
        assert distance(model, GradientDescentRegressor().fit(X, y), X, y) < 1e-10

    def test_pickled_in_the_middle(self):
        X, y, _ = make(200, 3)
        model = pickle.loads(pickle.dumps(GradientDescentRegressor().partial_fit(X[:90], y[:90])))
        whole = streamed([slice(0, 90), slice(90, 200)], X, y)
        np.testing.assert_array_equal(model.partial_fit(X[90:], y[90:]).coef_, whole.coef_)

    def test_a_clone_has_no_stream(self):
        X, y, _ = make(50, 3)
        assert not hasattr(clone(GradientDescentRegressor().partial_fit(X, y)), "moments_")

    def test_fitted_state_is_plain(self):
        X, y, _ = make(50, 3)
        model = GradientDescentRegressor().partial_fit(X, y)
        assert all(isinstance(value, np.ndarray | float | int) for value in model.moments_.values())

    def test_a_chunk_without_weight_changes_nothing(self):
        X, y, weight = make(60, 3)
        model = GradientDescentRegressor().partial_fit(X[:50], y[:50], weight[:50])
        before = model.coef_.copy()
        model.partial_fit(X[50:], y[50:], np.zeros(10))
        np.testing.assert_array_equal(model.coef_, before)
        assert model.n_samples_seen_ == 50

    def test_a_chunk_without_weight_says_nothing_of_dtype_and_obeys_the_number_of_targets(self):
        X, y, _ = make(60, 3)
        model = GradientDescentRegressor().partial_fit(X.astype(np.float32), y)
        assert model.partial_fit(X, y, np.zeros(60)).coef_.dtype == np.float32
        with pytest.raises(ValueError, match="n_targets is 2, but was 1"):
            model.partial_fit(X, np.c_[y, y], np.zeros(60))

    def test_a_stream_after_a_fit_that_begins_without_weight(self):
        X, y, _ = make(60, 3)
        model = GradientDescentRegressor().fit(X, y)
        before = vars(model).copy()
        with pytest.raises(ValueError, match="every row of chunk 1 has weight zero"):
            model.partial_fit(X, y, np.zeros(60))
        assert vars(model) == before

    def test_weights_have_one_scale(self):
        X, y, _ = make(60, 3)
        model = GradientDescentRegressor().partial_fit(X[:30], y[:30], np.full(30, 5.0))
        model.partial_fit(X[30:], y[30:])
        weight = np.repeat([5.0, 1.0], 30)
        assert distance(model, GradientDescentRegressor().fit(X, y, weight), X, y) < 1e-10

    @pytest.mark.parametrize(
        "dtypes", [("float64", "float32"), ("float32", "float64"), ("float32", "float32")], ids=str
    )
    def test_the_wider_dtype_of_the_chunks(self, dtypes):
        X, y, _ = make(60, 3)
        model = GradientDescentRegressor()
        for part, dtype in zip((slice(0, 30), slice(30, 60)), dtypes, strict=True):
            model.partial_fit(X[part].astype(dtype), y[part])
        assert model.coef_.dtype == np.result_type(*dtypes)
        one, other = (GradientDescentRegressor().partial_fit(X.astype(dtype), y) for dtype in dtypes)
        assert one.merge(other).coef_.dtype == np.result_type(*dtypes)

    def test_data_frames_keep_their_names(self):
        X, y, _ = make(60, 3)
        frame = pd.DataFrame(X, columns=["a", "b", "c"])
        model = GradientDescentRegressor().partial_fit(frame[:30], pd.Series(y[:30])).partial_fit(frame[30:], y[30:])
        assert model.feature_names_in_.tolist() == ["a", "b", "c"]
        assert distance(model, GradientDescentRegressor().fit(frame, y), frame, y) < 1e-10

    def test_the_rows_of_a_database(self):
        X, y, _ = make(500, 3)
        connection = sqlite3.connect(":memory:")
        connection.execute("CREATE TABLE t (a REAL, b REAL, c REAL, y REAL)")
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", np.column_stack([X, y]).tolist())
        cursor = connection.execute("SELECT a, b, c, y FROM t")

        def chunks():
            while rows := cursor.fetchmany(64):
                table = np.array(rows)
                yield table[:, :3], table[:, 3]

        model = GradientDescentRegressor().fit_batches(chunks())
        connection.close()
        assert distance(model, GradientDescentRegressor().fit(X, y), X, y) < 1e-10

    def test_the_record_batches_of_arrow(self):
        arrow = pytest.importorskip("pyarrow")
        X, y, _ = make(500, 3)
        table = arrow.table({**{name: X[:, k] for k, name in enumerate("abc")}, "y": y})
        chunks = ((batch.select(["a", "b", "c"]).to_pandas(), batch["y"].to_numpy()) for batch in table.to_batches(64))
        model = GradientDescentRegressor().fit_batches(chunks)
        assert model.feature_names_in_.tolist() == ["a", "b", "c"]
        assert model.n_chunks_seen_ == 8
        frame = pd.DataFrame(X, columns=list("abc"))
        assert distance(model, GradientDescentRegressor().fit(frame, y), frame, y) < 1e-10

    def test_warns_where_epochs_are_used_up(self):
        X, y, _ = make(60, 3)
        with pytest.warns(ConvergenceWarning, match="all 2 epochs were used") as caught:
            GradientDescentRegressor("diagonal", 2).partial_fit(X, y)
        assert caught[0].filename == __file__


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    """Sixteen times what a fit may allocate."""
    path = tmp_path_factory.mktemp("files") / "X.npy"
    rng = np.random.default_rng(0)
    X = np.lib.format.open_memmap(path, "w+", np.float64, (400_000, 40))
    for start in range(0, len(X), 20_000):
        X[start : start + 20_000] = rng.normal(size=(20_000, 40)) + 5
    y = X[:, 0] + rng.normal(size=len(X))
    X.flush()
    return path, y


class TestFiles:
    @pytest.mark.parametrize(
        ("params", "share"),
        [
            ({}, 1 / 16),
            ({"penalty": "l1", "alpha": 0.01}, 1 / 16),
            ({"learning_rate": 5e-4, "epochs": 3, "tol": None}, 1 / 16),
            ({"batch_size": 256, "epochs": 1, "tol": None}, 1 / 8),
            ({"loss": "huber", "epsilon": 1.0}, 1 / 2),  # some seventeen numbers for each row of 40
            ({"loss": "absolute_error", "tol": 1e-2}, 3 / 4),  # a third of the rows, twice for a moment
        ],
        ids=str,
    )
    def test_a_memory_map_is_read_block_by_block(self, mapped, params, share):
        path, y = mapped
        X = np.load(path, mmap_mode="r")
        GradientDescentRegressor(**params).fit(X[:1000], y[:1000])
        tracemalloc.start()
        try:
            model = GradientDescentRegressor(**params).fit(X, y)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < share * X.nbytes
        assert abs(model.coef_[0] - 1) < 0.05 or params.get("epochs") == 3

    def test_in_pieces_it_is_the_same(self, mapped):
        path, y = mapped
        X = np.load(path, mmap_mode="r")
        model = GradientDescentRegressor().fit_batches(
            (X[start : start + 7777], y[start : start + 7777]) for start in range(0, len(X), 7777)
        )
        assert distance(model, GradientDescentRegressor().fit(X, y), X[:1000], y) < 1e-10


class TestBadInput:
    @pytest.fixture
    def begun(self):
        X, y, _ = make(50, 3)
        return GradientDescentRegressor().partial_fit(X, y)

    @pytest.mark.parametrize(
        ("chunk", "sentence"),
        [
            (lambda X, y: (X[:, :2], y), "chunk 2: X has 2 features"),
            (lambda X, y: (X, np.column_stack([y, y])), "n_targets is 2, but was 1"),
            (lambda X, y: (np.where(X[7, 1] == X, np.nan, X), y), "X of chunk 2 contains NaN at row 7, column 1"),
            (lambda X, y: (X, np.where(y == y[7], np.inf, y)), "y of chunk 2 contains infinity at row 7"),
            (lambda X, y: (X, y, -np.ones(50)), "Negative values in sample_weight of chunk 2"),
            (lambda X, y: (X, y, np.full(50, 1e300)), "sample_weight of chunk 2 has values up to 1e.300"),
            (lambda X, y: (np.full((50, 3), np.nan), y, np.zeros(50)), "X of chunk 2 contains NaN at row 0"),
            (lambda X, y: (X, y, np.zeros(3)), "one weight per row"),
        ],
        ids=["columns", "targets", "NaN", "infinity", "negative", "too large", "NaN of no weight", "too few"],
    )
    def test_a_chunk_that_does_not_fit_leaves_the_stream_as_it_was(self, begun, chunk, sentence):
        X, y, _ = make(50, 3, seed=1)
        before = {name: np.copy(value) for name, value in begun.moments_.items()}, begun.coef_.copy()
        with pytest.raises(ValueError, match=sentence):
            begun.partial_fit(*chunk(X, y))
        for name, value in before[0].items():
            np.testing.assert_array_equal(begun.moments_[name], value)
        np.testing.assert_array_equal(begun.coef_, before[1])
        assert begun.n_chunks_seen_ == 1

    def test_names_that_are_others(self):
        X, y, _ = make(50, 3)
        model = GradientDescentRegressor().partial_fit(pd.DataFrame(X, columns=list("abc")), y)
        with pytest.raises(ValueError, match=r"chunk 2: .*feature names"):
            model.partial_fit(pd.DataFrame(X, columns=list("abd")), y)

    def test_the_number_of_a_bad_batch_is_said(self):
        X, y, _ = make(50, 3)
        bad = np.where(X[3, 2] == X, np.nan, X)
        model = GradientDescentRegressor().fit(X, y)
        coef = model.coef_.copy()
        with pytest.raises(ValueError, match="X of chunk 17 contains NaN at row 3, column 2"):
            model.fit_batches((bad if k == 16 else X, y) for k in range(20))
        np.testing.assert_array_equal(model.coef_, coef)

    @pytest.mark.parametrize(
        ("batches", "sentence"),
        [([], "yielded nothing"), (iter(()), "yielded nothing"), ([np.ones((3, 3))], "chunk 1 is of type ndarray")],
        ids=["a list", "an iterator", "no tuple"],
    )
    def test_batches_that_are_none(self, batches, sentence):
        with pytest.raises(ValueError, match=sentence):
            GradientDescentRegressor().fit_batches(batches)

    @pytest.mark.parametrize(
        "params",
        [
            {"early_stopping": True},
            {"loss": "huber"},
            {"batch_size": 10},
            {"average": True},
            {"optimizer": "adam"},
            {"learning_rate": 0.1},
        ],
        ids=str,
    )
    def test_what_needs_the_rows_themselves(self, params):
        X, y, _ = make(50, 3)
        [name] = params
        model = GradientDescentRegressor(**params)
        assert hasattr(model, "partial_fit") is (name != "early_stopping")
        assert not hasattr(model, "fit_batches")
        with pytest.raises(AttributeError, match=f"^{name}=.* needs .* use .*fit"):
            model.fit_batches([(X, y)])

    def test_what_is_no_table(self):
        X, y, _ = make(50, 3)
        frame = pd.DataFrame(X, columns=list("abc"))
        for column, sentence in (
            (
                pd.array(["north"] * 50, dtype="string"),
                "X of chunk 1 has text in column 'd', such as 'north' at row 0: encode it",
            ),
            (
                pd.Categorical(["north", "south"] * 25),
                "X of chunk 1 has text in column 'd', such as 'north' at row 0: encode it",
            ),
            (pd.date_range("2026-01-01", periods=50), "X of chunk 1 has dates in column 'd'"),
        ):
            with pytest.raises(ValueError, match=sentence):
                GradientDescentRegressor().partial_fit(frame.assign(d=column), y)
        with pytest.raises(ValueError, match="y of chunk 1 is the text 'd'"):
            GradientDescentRegressor().partial_fit(frame, "d")
        with pytest.raises(ValueError, match="y is the text 'd': pass the targets themselves"):
            GradientDescentRegressor().fit(frame, "d")
        with pytest.raises(TypeError, match="X is a generator: pass an iterator"):
            GradientDescentRegressor().fit(((X, y) for _ in range(3)), y)
        with pytest.raises(ValueError, match="X of chunk 1 has 50 rows, but y of chunk 1 has 3"):
            GradientDescentRegressor().partial_fit(X, y[:3])

    def test_too_many_features_for_a_matrix(self):
        X = sparse.csr_array((2, 2**15 + 1))
        with pytest.raises(ValueError, match="32769 x 32769 numbers: use fit"):
            GradientDescentRegressor().partial_fit(X, [1.0, 2.0])


@pytest.mark.parametrize("loss", ["squared_error", "huber", "absolute_error"])
@pytest.mark.parametrize("optimizer", ["adagrad", "rmsprop", "adam"])
def test_a_distant_mean_of_y_costs_bounded_steps_nothing(optimizer, loss):
    """From an intercept of zero 1e5 standard deviations would take as many steps."""
    X, y, weight = make(2000)
    params = {"loss": loss, "optimizer": optimizer, "epochs": 300, "tol": None, "random_state": 0}
    model, near = GradientDescentRegressor(**params), GradientDescentRegressor(**params)
    parts = pieces(2000, range(200, 2000, 200), np.arange(2000))
    distant = y + 1e5 * y.std()
    streamed(parts, X, distant, weight, model), streamed(parts, X, y, weight, near)
    np.testing.assert_allclose(model.predict(X) - 1e5 * y.std(), near.predict(X), atol=1e-5 * y.std())
    assert near.score(X, y) > 0.5
    assert model.fit(X, distant, weight).score(X, distant) > near.fit(X, y, weight).score(X, y) - 0.01


def test_without_an_intercept_bounded_steps_start_at_zero():
    X, y, _ = make(200)
    model = GradientDescentRegressor(optimizer="adam", fit_intercept=False).partial_fit(X, y)
    assert model.history_["loss"][0] == pytest.approx(np.mean(y**2))
    assert model.intercept_ == 0.0


def test_a_chunk_at_too_large_a_rate_names_the_ceiling_and_a_rate_below_it_does():
    X, y, _ = make(200)
    with pytest.warns(ConvergenceWarning, match=r"Use a rate below \S+, the stability ceiling of this chunk") as said:
        GradientDescentRegressor(0.1).partial_fit(X, y)
    ceiling = float(str(said[0].message).split("Use a rate below ")[1].split(",")[0])
    assert ceiling == pytest.approx(
        GradientDescentRegressor(1e-9, tol=None, epochs=1).fit(X, y).max_learning_rate_, rel=1e-3
    )
    GradientDescentRegressor(0.9 * ceiling).partial_fit(X, y)


def test_names_that_differ_in_a_later_chunk_are_listed_in_a_sentence():
    X, y, _ = make(50, 3)
    model = GradientDescentRegressor().partial_fit(pd.DataFrame(X, columns=list("abc")), y)
    told = "feature names unseen at fit time: x, y; feature names seen at fit time, yet now missing: b, c.$"
    with pytest.raises(ValueError, match=f"^X of chunk 2: The feature names should match .*: {told}"):
        model.partial_fit(pd.DataFrame(X, columns=list("axy")), y)
