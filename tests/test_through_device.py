"""An array of the host that goes through a device: the fit is that of the same rows in memory, and blocks come in time.

A GPU is taken where there is one, and is not needed. Its streams are simulated: what they are told to do is done as
late as it may be, or at random.
"""

import copy
import pickle
import sys
import threading
import tracemalloc
import warnings
from contextlib import closing, contextmanager
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import sklearn
from devices import NAMES, device_of
from mixed_units import distance, make
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from gdregress import GradientDescentRegressor, GradientDescentRegressorCV, compare, through_device
from gdregress.rows import transfer
from gdregress.rows.device import DeviceRows
from gdregress.rows.namespaces import Place
from gdregress.rows.transfer import Brought, Plain, TwoStreams, pieces_of

strict = pytest.importorskip("array_api_strict")
pytest.importorskip("array_api_compat")

CONFIGURATIONS = [
    {},
    {"penalty": "l2", "alpha": 0.1, "standardize": True, "fit_intercept": False},
    {"penalty": "l1", "alpha": 0.05, "standardize": True},
    {"learning_rate": "diagonal", "tol": 1e-12},
    {"loss": "huber", "epsilon": 0.5, "tol": 1e-9},
    {"loss": "huber", "epsilon": 0.5, "penalty": "elasticnet", "alpha": 0.01, "l1_ratio": 0.5, "tol": 1e-9},
    {"loss": "absolute_error"},
    {"loss": "quantile", "quantile": 0.3, "penalty": "l2", "alpha": 0.01, "standardize": True},
]


@pytest.fixture(params=NAMES)
def through(request):
    """Send an array through a device."""
    name, _ = device_of(request.param)
    return lambda array: through_device(array, name, library=request.param)


@pytest.fixture
def small_blocks(monkeypatch):
    """Make blocks of a few rows, and the last one of fewer."""
    monkeypatch.setattr(transfer, "BROUGHT_ENTRIES", 5 * 37)
    monkeypatch.setattr(transfer, "ROUNDED_ENTRIES", 5 * 37)


@pytest.fixture
def filed(tmp_path):
    """Put an array into a file, and give a memory map of it that is read-only."""

    def filed(array):
        path = tmp_path / "X.npy"
        np.save(path, array)
        return np.load(path, mmap_mode="r")

    return filed


@pytest.mark.parametrize(("m", "weighted"), [(None, True), (2, False)])
@pytest.mark.parametrize("params", CONFIGURATIONS, ids=str)
def test_coefficients_are_those_of_rows_in_memory(through, filed, small_blocks, params, weighted, m):
    X, y, weight = make(m=m)
    weight = weight if weighted else None
    here = GradientDescentRegressor(**params).fit(X, y, weight)
    there = GradientDescentRegressor(**params).fit(through(filed(X)), y, weight)
    assert distance(here, there, X) < 1e-9
    assert there.converged_ == here.converged_
    assert there.history_["loss"][-1] == pytest.approx(here.history_["loss"][-1], rel=1e-9)
    assert type(there.coef_) is np.ndarray
    np.testing.assert_allclose(there.predict(X), here.predict(X), atol=1e-8)


@pytest.mark.parametrize(
    "given",
    [
        np.asfortranarray,
        lambda X: X[::-1][::-1],
        lambda X: np.repeat(X, 2, axis=0)[::2],
        lambda X: X.astype(">f8"),
    ],
    ids=["columns", "reversed", "every other row", "big-endian"],
)
def test_any_array_of_numpy(through, small_blocks, given):
    X, y, weight = make()
    here = GradientDescentRegressor().fit(X, y, weight)
    assert distance(here, GradientDescentRegressor().fit(through(given(X)), y, weight), X) < 1e-12


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float16, np.bool_])
def test_other_numbers_are_converted_block_by_block(through, small_blocks, dtype):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2 if dtype is np.bool_ else 50, (300, 4)).astype(dtype)
    y = X @ np.arange(4.0) + rng.standard_normal(300)
    here, there = GradientDescentRegressor().fit(X, y), GradientDescentRegressor().fit(through(X), y)
    assert there.coef_.dtype == here.coef_.dtype == np.float64
    assert distance(here, there, X.astype(float)) < 1e-12


@pytest.mark.parametrize("params", [{}, {"penalty": "l1", "alpha": 0.01}, {"loss": "huber"}, {"loss": "quantile"}])
def test_single_precision_is_as_good_as_that_of_numpy(through, filed, small_blocks, params):
    X, y, weight = make(2000)
    X = X.astype(np.float32)
    exact = GradientDescentRegressor(**params).fit(X.astype(np.float64), y, weight)
    here = GradientDescentRegressor(**params).fit(X, y, weight)
    there = GradientDescentRegressor(**params).fit(through(filed(X)), y, weight)
    assert there.coef_.dtype == np.float32
    assert distance(there, exact, X) <= 1.5 * distance(here, exact, X) + 1e-9


def test_a_device_without_doubles(small_blocks):
    X, y, weight = make(3000)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    here = GradientDescentRegressor().fit(X, y, weight)
    there = GradientDescentRegressor().fit(through_device(X, "no_float64", library="array_api_strict"), y, weight)
    assert there.coef_.dtype == np.float32
    assert distance(here, there, X) < 5e-6


@pytest.mark.parametrize(
    ("params", "passes"),
    [
        ({}, 1),
        ({"penalty": "l1", "alpha": 0.1}, 1),
        ({"learning_rate": "diagonal"}, 1),
    ],
    ids=str,
)
def test_a_pass_reads_each_row_once_and_passes_over_y_read_none(monkeypatch, small_blocks, params, passes):
    X, y, _ = make()
    sent, send = [], Plain.send
    monkeypatch.setattr(Plain, "send", lambda way, room, block: sent.append(block.size) or send(way, room, block))
    GradientDescentRegressor(**params).fit(through_device(X, "device1", library="array_api_strict"), y)
    assert max(sent) == 5 * 37
    assert sum(sent) == passes * X.size


def test_a_quantile_takes_steps_that_come_near_it_and_a_few_looks_for_the_rows_near_a_kink(monkeypatch):
    X, y, _ = make()
    seen, sum_ = [], DeviceRows.sum
    monkeypatch.setattr(
        DeviceRows, "sum", lambda rows, *args, **more: seen.append(sum_(rows, *args, **more)) or seen[-1]
    )
    file = through_device(X, "device1", library="array_api_strict")
    model = GradientDescentRegressor(loss="quantile", quantile=0.9).fit(file, y)
    kinds = [type(each).__name__ for each in seen]
    assert 2 <= kinds.count("NearRows") <= 4
    assert kinds.index("NearRows") > len(kinds) - 6
    assert model.optimality_ < 1e-12


def test_x_is_never_copied_as_a_whole(monkeypatch, filed):
    X, y, weight = make(4000, 40)
    monkeypatch.setattr(transfer, "BROUGHT_ENTRIES", X.size // 50)
    there = through_device(filed(X), "device1", library="array_api_strict")
    model = GradientDescentRegressor().fit(there[:1000], y[:1000])  # what is imported once
    tracemalloc.start()
    try:
        model.fit(there, y, weight)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 0.4 * X.nbytes  # some blocks, and some vectors as long as y


def test_parts_of_parts():
    X, _, _ = make()
    whole = Brought(X, Place(strict, strict.Device("device1")))
    chosen = np.arange(390, 10, -3)
    for part, rows in (
        (whole.part(slice(5, 300)).part(chosen[chosen < 200]), X[5:300][chosen[chosen < 200]]),
        (whole.part(chosen).part(slice(7, 90)), X[chosen][7:90]),
        (whole.part(chosen).part(np.array([3, 1, 2])), X[chosen][[3, 1, 2]]),
    ):
        assert part.shape == rows.shape
        blocks = [whole.place.fetch(block) for block in part.blocks(pieces_of(len(rows), 11))]
        np.testing.assert_array_equal(np.concatenate(blocks), rows)
        np.testing.assert_array_equal(whole.place.fetch(part.sample(slice(None, None, 2))), rows[::2])


class TestTheRestOfAFit:
    @pytest.mark.parametrize("dispatch", [False, True])
    def test_predictions_and_scores_are_on_the_host(self, through, filed, dispatch):
        X, y, weight = make()
        with sklearn.config_context(array_api_dispatch=dispatch):
            there = through(filed(X))
            model = GradientDescentRegressor().fit(there, y, weight)
            for given in (X, there):
                np.testing.assert_array_equal(model.predict(given), X @ model.coef_ + model.intercept_)
                assert model.score(given, y, weight) == pytest.approx(model.score(X, y, weight), abs=1e-15)

    @pytest.mark.parametrize(
        "params", [{"learning_rate": "diagonal", "optimizer": "gd"}, {"loss": "huber", "optimizer": "nesterov"}]
    )
    def test_early_stopping(self, through, filed, small_blocks, params):
        X, y, weight = make()
        params = {**params, "early_stopping": True, "random_state": 0, "epochs": 50}
        kept = {"X_val": X[:100], "y_val": y[:100], "sample_weight_val": weight[:100]}
        with warnings.catch_warnings(action="ignore"):
            here = GradientDescentRegressor(**params).fit(X, y, weight)
            there = GradientDescentRegressor(**params).fit(through(filed(X)), y, weight)
            assert distance(here, there, X) < 1e-9
            here.fit(X, y, **kept)
            for X_val in (X[:100], through(X[:100])):
                there.fit(through(X), y, **kept | {"X_val": X_val})
                assert distance(here, there, X) < 1e-9
        np.testing.assert_allclose(there.history_["validation_loss"], here.history_["validation_loss"], rtol=1e-9)

    @pytest.mark.parametrize("params", [{"penalty": "l2"}, {"penalty": "l1", "alpha_per_target": True}], ids=str)
    def test_cross_validation(self, through, filed, small_blocks, params):
        X, y, weight = make(m=2)
        model = GradientDescentRegressorCV([10.0, 0.1, 1e-3], cv=4, **params)
        with warnings.catch_warnings(action="ignore"):
            here, there = clone(model).fit(X, y, weight), clone(model).fit(through(filed(X)), y, weight)
        scores = (each.cv_results_["mean_test_score"] for each in (here, there))
        np.testing.assert_allclose(*scores, rtol=1e-9)
        np.testing.assert_array_equal(here.alpha_, there.alpha_)
        assert distance(here, there, X) < 1e-9

    def test_a_search_of_scikit_learn(self, through):
        X, y, _ = make()
        search = GridSearchCV(GradientDescentRegressor(penalty="l2"), {"alpha": [1e-3, 1.0]})
        here, there = clone(search).fit(X, y), clone(search).fit(through(X), y)
        np.testing.assert_allclose(*(each.cv_results_["mean_test_score"] for each in (here, there)), rtol=1e-9)

    def test_warm_starts_pickles_and_clones(self, through):
        X, y, _ = make()
        there = through(X)
        model = GradientDescentRegressor(loss="huber", warm_start=True).fit(there, y)
        epochs = model.n_iter_
        assert model.fit(pickle.loads(pickle.dumps(there)), y).n_iter_ < epochs
        again = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(again.coef_, model.coef_)
        assert distance(copy.deepcopy(model), model, X) == 0
        assert not hasattr(clone(model), "coef_")

    def test_what_it_looks_like(self, through):
        X, _, _ = make()
        there = through(X.astype(np.float32))
        assert (len(there), there.shape, there.ndim, there.dtype) == (400, (400, 5), 2, np.float32)
        assert repr(there).startswith("<400 x 5 float32 through ")
        assert there[10:20].shape == (10, 5)
        assert np.shares_memory(there[10:20].array, there.array)
        assert np.asarray(there) is there.array
        with pytest.raises(AttributeError):
            there.array = X


class TestBadInput:
    @pytest.mark.parametrize("value", [np.nan, -np.inf])
    @pytest.mark.parametrize("params", [{}, {"loss": "huber"}, {"learning_rate": "diagonal"}])
    def test_nan_is_found_in_the_sums_and_named_by_its_position(self, through, filed, small_blocks, params, value):
        X, y, _ = make()
        model = GradientDescentRegressor(**params).fit(through(X), y)
        before = model.coef_
        X[377, 3] = value
        what = "NaN" if np.isnan(value) else "infinity"
        with pytest.raises(ValueError, match=f"Input X contains {what} at row 377, column 3"):
            model.fit(through(filed(X)), y)
        with pytest.raises(ValueError, match=f"Input X contains {what} at row 377, column 3"):
            model.predict(through(filed(X)))
        np.testing.assert_array_equal(model.coef_, before)

    @pytest.mark.parametrize(
        ("X", "error", "said"),
        [
            (
                pd.DataFrame({"a": [1.0]}),
                TypeError,
                "X is a DataFrame, but blocks of rows are cut from an array",
            ),
            (sparse.eye_array(3, format="csr"), TypeError, "X is a csr_array, but blocks .*: pass one, or X itself to"),
            ([[1.0]], TypeError, "X is a list, but blocks"),
            (np.ones(3), ValueError, r"X must have shape \(n_samples, n_features\), but has shape \(3,\)"),
            (np.ones((3, 1), complex), TypeError, "X holds complex128, but real numbers go through a device: convert"),
            (np.ones((3, 1), object), TypeError, "X holds object, but real numbers go"),
            (np.array([["red"]]), ValueError, "X has text in column 0, such as 'red' at row 0: encode it"),
            (np.ma.masked_equal(np.eye(2), 0.0), ValueError, "X has masked entries, the first at row 0, column 1"),
        ],
        ids=["frame", "CSR", "list", "vector", "complex", "objects", "text", "masked"],
    )
    def test_x(self, X, error, said):
        with pytest.raises(error, match=said):
            through_device(X, "device1", library="array_api_strict")

    def test_devices_and_libraries(self, monkeypatch):
        X, _, _ = make()
        with pytest.raises(ValueError, match="library='jax' is not known here: pass one of 'torch', 'cupy' or"):
            through_device(X, "gpu", library="jax")
        with pytest.raises(
            ValueError, match=r"device='device9' is none that array_api_strict has here \(.*\): pass one"
        ):
            through_device(X, "device9", library="array_api_strict")
        monkeypatch.setitem(sys.modules, "array_api_compat", None)
        with pytest.raises(
            ImportError, match=r"needs array_api_compat, which .*: python -m pip install 'gdregress\[array-api\]'"
        ):
            through_device(X, "device1", library="array_api_strict")
        monkeypatch.setitem(sys.modules, "cupy", None)
        with pytest.raises(ImportError, match="library='cupy' needs cupy, which cannot be imported: install it"):
            through_device(X, 0, library="cupy")

    def test_torch_without_a_gpu(self):
        torch = pytest.importorskip("torch")
        if torch.cuda.is_available():
            pytest.skip("there is a GPU")
        with pytest.raises(ValueError, match=r"device='cuda' is none that torch has here \(.*\): pass one that it has"):
            through_device(np.ones((3, 1)), "cuda")

    @pytest.mark.parametrize("name", ["gpu", "GPU:0"])
    def test_a_gpu_is_called_as_its_library_calls_it(self, name):
        pytest.importorskip("torch")
        with pytest.raises(ValueError, match=r"is none that torch has here \(.*\): did you mean 'cuda'\?"):
            through_device(np.ones((3, 1)), name)

    def test_rows_and_columns(self, through):
        X, y, _ = make()
        with pytest.raises(ValueError, match="X has 400 rows, but y has 399: give both the same"):
            GradientDescentRegressor().fit(through(X), y[:-1])
        for empty in (X[:0], X[:, :0]):
            with pytest.raises(ValueError, match=r"Found array with 0 (sample|feature)\(s\)"):
                GradientDescentRegressor().fit(through(empty), y[: len(empty)])
        model = GradientDescentRegressor("diagonal", early_stopping=True)
        with pytest.raises(ValueError, match="X has 4 features, but GradientDescentRegressor is expecting 5"):
            model.fit(through(X), y, X_val=through(X[:, :4]), y_val=y)

    def test_what_is_not_there(self, through):
        X, y, _ = make()
        there = through(X)
        with pytest.raises(ValueError, match="batch_size=8 draws rows, and those on a device stay there"):
            GradientDescentRegressor(batch_size=8).fit(there, y)
        with pytest.raises(
            ValueError, match=r"^epsilon='auto' needs the residuals of rows in memory, and those on a de"
        ):
            GradientDescentRegressorCV(3, loss="huber", epsilon="auto").fit(there, y)
        with pytest.raises(ValueError, match="epsilon='auto' needs the residuals of rows in memory"):
            GradientDescentRegressor(loss="huber", epsilon="auto").fit(there, y)
        said = r"X of chunk 1 is of through_device, which fit, predict and score of .* take: pass its array"
        with pytest.raises(TypeError, match=said):
            GradientDescentRegressor().partial_fit(there, y)
        with pytest.raises(TypeError, match="X is of through_device"):
            compare(there, y)
        with pytest.raises(ValueError, match="rows of dask and on a device are cross-validated by their sums"):
            GradientDescentRegressorCV([1.0], loss="huber", penalty="l2").fit(there, y)
        with pytest.raises(ValueError, match="store_cv_predictions=True needs the rows of X, and those on a device"):
            GradientDescentRegressorCV([1.0], penalty="l2", store_cv_predictions=True).fit(there, y)


class Gpu:
    """What a GPU may do: the operations of a stream in their order, those of two streams in any order.

    An operation is done when someone on the host waits for it, or at a random moment.

    Parameters
    ----------
    seed : int
        Seed of the random moments.
    haste : float
        Probability with which an operation is done whenever something is told to the GPU.
    """

    def __init__(self, seed, haste):
        self.rng, self.haste = np.random.default_rng(seed), haste
        self.streams, self.lock, self.here = [], threading.RLock(), threading.local()
        self.main = SimulatedStream(self)
        self.copies = threading.Semaphore(0)
        self.is_free = False  # memory may be that of an array with which earlier work goes on

    def tell(self, stream, work, needs=None):
        with self.lock:
            stream.queue.append((work, needs))
            while self.rng.uniform() < self.haste and self.step():
                pass

    def step(self):
        ready = [each for each in self.streams if each.queue and (each.queue[0][1] is None or each.queue[0][1]["done"])]
        if ready:
            work, _ = ready[self.rng.integers(len(ready))].queue.pop(0)
            work()
        return bool(ready)

    def wait(self, is_done):
        with self.lock:
            while not is_done():
                assert self.step(), "the host waits for what will never be done"


DONE = {"done": True}
"""The record of an event that is over."""


class SimulatedStream:
    def __init__(self, gpu):
        self.gpu, self.queue = gpu, []
        gpu.streams.append(self)

    def wait_event(self, event):
        self.gpu.tell(self, lambda: None, event.latest)

    def synchronize(self):
        self.gpu.wait(lambda: not self.queue)


class SimulatedEvent:
    """An event stands for its latest record; a wait is for the one at the time of the call."""

    def __init__(self, gpu):
        self.gpu, self.latest = gpu, DONE

    def record(self, stream):
        self.latest = latest = {"done": False}
        self.gpu.tell(stream, lambda: latest.update(done=True))

    def synchronize(self):
        latest = self.latest
        self.gpu.wait(lambda: latest["done"])


class OnGpu(np.ndarray):
    """A vector on the GPU, or of pinned memory, with the methods of torch and of CuPy that are called."""

    gpu = None

    def __array_finalize__(self, other):
        self.gpu = getattr(other, "gpu", None)

    def numpy(self):
        return np.asarray(self)

    def copy_(self, pinned, *, non_blocking):
        assert non_blocking
        self.set(pinned, stream=self.gpu.here.stream)

    def set(self, pinned, *, stream):
        assert pinned.shape == self.shape
        assert pinned.dtype == self.dtype
        assert pinned.flags.c_contiguous
        self.gpu.tell(stream, lambda: np.copyto(self, pinned if self.gpu.is_free else np.nan))
        self.gpu.copies.release()


def vector_of(gpu, size, dtype):
    vector = np.full(size, np.nan, dtype).view(OnGpu)
    vector.gpu = gpu
    return vector


def simulated_torch(gpu, device):
    @contextmanager
    def stream_of_this_thread(stream):
        gpu.here.stream = stream
        yield
        del gpu.here.stream

    def on_the_device(make):
        def made(where):
            assert where is device
            return make()

        return made

    def empty(size, *, dtype, device=device, pin_memory=False):
        assert pin_memory or on_the_device(lambda: True)(device)
        return vector_of(gpu, size, dtype)

    cuda = SimpleNamespace(
        Stream=on_the_device(lambda: SimulatedStream(gpu)),
        Event=lambda: SimulatedEvent(gpu),
        current_stream=on_the_device(lambda: gpu.main),
        stream=stream_of_this_thread,
    )
    return {"torch": SimpleNamespace(cuda=cuda, empty=empty)}


def simulated_cupy(gpu, device):
    def on_the_device(make):
        def made(*args):
            assert device.is_current, "what is made belongs to the device that is current"
            return make(*args)

        return made

    def new_stream(*, non_blocking):
        assert non_blocking
        return on_the_device(SimulatedStream)(gpu)

    def new_event(*, disable_timing):
        return on_the_device(SimulatedEvent)(gpu)

    current = on_the_device(lambda: gpu.main)
    cuda = SimpleNamespace(Stream=new_stream, Event=new_event, get_current_stream=current)
    empty = on_the_device(lambda size, dtype: vector_of(gpu, size, dtype))
    return {
        "cupy": SimpleNamespace(cuda=cuda, empty=empty),
        "cupyx": SimpleNamespace(empty_pinned=lambda size, dtype: np.empty(size, dtype)),
    }


class CurrentDevice:
    """A device of CuPy: that of a thread within its context."""

    def __init__(self):
        self.here = threading.local()

    def __enter__(self):
        self.here.entered = True

    def __exit__(self, *raised):
        self.here.entered = False

    @property
    def is_current(self):
        return getattr(self.here, "entered", False)


LIBRARIES = {
    "torch": (simulated_torch, lambda: SimpleNamespace(type="cuda")),
    "cupy": (simulated_cupy, CurrentDevice),
}


def blocks_found(monkeypatch, library, array, size, *, seed=0, haste=0.3, before=lambda gpu, number: None):
    """Work on the blocks of an array as a GPU does, on each when its turn comes; give what it then finds in each."""
    make, make_device = LIBRARIES[library]
    gpu, device = Gpu(seed, haste), make_device()
    for name, module in make(gpu, device).items():
        monkeypatch.setitem(sys.modules, name, module)
    info = SimpleNamespace(dtypes=lambda device: {"float64": np.float64})
    xp = SimpleNamespace(
        __name__=f"compat.{library}", float32=np.float32, float64=np.float64, __array_namespace_info__=lambda: info
    )
    found = []
    gpu.tell(gpu.main, lambda: setattr(gpu, "is_free", True))
    with closing(Brought(array, Place(xp, device)).blocks(pieces_of(len(array), size))) as blocks:
        for number, block in enumerate(blocks):
            before(gpu, number)
            gpu.tell(gpu.main, lambda block=block: found.append(np.array(block, subok=False)))
    gpu.main.synchronize()
    return found


class TestTwoStreams:
    @pytest.mark.parametrize("library", LIBRARIES)
    @pytest.mark.parametrize("haste", [0.0, 0.3, 0.9])
    @pytest.mark.parametrize("order", ["C", "F"])
    def test_every_block_is_whole_when_its_turn_comes(self, monkeypatch, library, haste, order):
        X = np.asarray(np.random.default_rng(0).standard_normal((47, 3)), order=order)
        for seed, dtype in enumerate([np.float64, np.float32, np.int16] * 3):
            array = (100 * X).astype(dtype)
            found = blocks_found(monkeypatch, library, array, 5, seed=seed, haste=haste)
            assert [len(block) for block in found] == [5] * 9 + [2]
            np.testing.assert_array_equal(np.concatenate(found), array)
            assert all(block.flags[f"{order}_CONTIGUOUS"] for block in found)
            assert found[0].dtype == (np.float32 if dtype == np.float32 else np.float64)

    @pytest.mark.parametrize("library", LIBRARIES)
    def test_the_next_block_is_sent_while_this_one_is_worked_on(self, monkeypatch, library):
        """And not the one after the next, for which there is no room."""

        def before(gpu, number):
            for _ in range(2 if number == 0 else number < 9):
                assert gpu.copies.acquire(timeout=60), "the next block was not sent"
            assert not gpu.copies.acquire(blocking=False)

        X = np.random.default_rng(0).standard_normal((50, 2))
        found = blocks_found(monkeypatch, library, X, 5, haste=0.0, before=before)
        np.testing.assert_array_equal(np.concatenate(found), X)

    @pytest.mark.parametrize("wait", ["copied in send", "worked in send", "copied in receive"])
    def test_no_wait_can_be_left_out(self, monkeypatch, wait):
        """The simulation sees each that is missing: a test of the other tests."""
        events, method = wait.split(" in ")
        right = getattr(TwoStreams, method)

        def without(way, room, given):
            kept = getattr(way, events)
            over = [SimpleNamespace(latest=DONE, synchronize=lambda: None, record=each.record) for each in kept]
            setattr(way, events, over)
            try:
                return right(way, room, given)
            finally:
                setattr(way, events, kept)

        monkeypatch.setattr(TwoStreams, method, without)
        X = np.random.default_rng(0).standard_normal((47, 3))
        several = [blocks_found(monkeypatch, "torch", X, 5, seed=seed) for seed in range(20)]
        assert any(not np.array_equal(np.concatenate(found), X) for found in several)

    def test_a_fit_by_two_streams(self, monkeypatch, filed, small_blocks):
        """The tensors are those of torch on the CPU, whose work waits for the copies as a GPU's would."""
        torch = pytest.importorskip("torch")
        gpu = Gpu(0, 0.2)
        gpu.is_free = True

        class AtOnce(SimulatedStream):
            def wait_event(self, event):
                event.synchronize()

        class Streams:
            def __init__(self, place):
                self.place = place

            def stream(self):
                return SimulatedStream(gpu)

            def current(self):
                return AtOnce(gpu)

            def event(self):
                return SimulatedEvent(gpu)

            def pinned(self, size, dtype):
                vector = self.there(size, dtype)
                return vector.numpy(), vector

            def there(self, size, dtype):
                return torch.full((size,), torch.nan, dtype=self.place.dtype(dtype))

            def copy(self, pinned, there, stream):
                gpu.tell(stream, lambda: there.copy_(pinned))

        monkeypatch.setitem(transfer.STREAMS, ("torch", "cpu"), Streams)
        X, y, weight = make()
        for params in CONFIGURATIONS:
            here = GradientDescentRegressor(**params).fit(X, y, weight)
            there = GradientDescentRegressor(**params).fit(through_device(filed(X), "cpu"), y, weight)
            assert distance(here, there, X) < 1e-9

    def test_an_error_in_the_work_ends_the_transfer(self, monkeypatch):
        X = np.random.default_rng(0).standard_normal((50, 2))

        seen = []

        def before(gpu, number):
            seen.append(gpu)
            if number == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            blocks_found(monkeypatch, "torch", X, 5, before=before)
        assert not any(thread.name.startswith("gdregress-") for thread in threading.enumerate())
        assert not any(stream.queue for stream in seen[0].streams if stream is not seen[0].main)

    def test_the_calls_are_those_of_torch(self):
        """Of the names and arguments; a GPU is not needed to look at them."""
        torch = pytest.importorskip("torch")
        for name in ("Stream", "Event", "current_stream", "stream"):
            assert hasattr(torch.cuda, name)
        for method in ("wait_event", "synchronize"):
            assert hasattr(torch.cuda.Stream, method)
        for method in ("record", "synchronize"):
            assert hasattr(torch.cuda.Event, method)
        tensor = torch.empty(4, dtype=torch.float32, pin_memory=False)
        assert torch.full((4,), 1.0).copy_(tensor.fill_(2.0), non_blocking=True).tolist() == [2.0] * 4


def test_without_streams_too_the_next_block_is_read_while_this_one_is_worked_on(monkeypatch):
    X = np.random.default_rng(0).standard_normal((50, 2))
    reads = threading.Semaphore(0)
    send = Plain.send
    monkeypatch.setattr(Plain, "send", lambda way, room, block: (send(way, room, block), reads.release())[0])
    brought = Brought(X, Place(strict, strict.Device("device1")))
    assert reads.acquire(blocking=False) is False
    for number, block in enumerate(brought.blocks(pieces_of(50, 5))):
        for _ in range(2 if number == 0 else number < 9):
            assert reads.acquire(timeout=60)
        assert not reads.acquire(blocking=False)
        np.testing.assert_array_equal(np.asarray(block.to_device(strict.Device("CPU_DEVICE"))), X[5 * number :][:5])
