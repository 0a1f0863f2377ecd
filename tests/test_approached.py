"""Losses with kinks where the rows are elsewhere: one solver comes near, another ends, from whatever start."""

import numpy as np
import pytest
from devices import NAMES, device_of
from sklearn.base import clone

from gdregress import GradientDescentRegressor
from gdregress.method import assembly, working_rows
from gdregress.method.approached import Approached
from gdregress.method.working_rows import BROUGHT_SHARE, ROWS_EACH, WorkingRows, sample_size
from gdregress.rows.namespaces import Place

da = pytest.importorskip("dask.array")

N, P = 6000, 4
Q = P + 1
FEW = int(2 * ROWS_EACH * Q / BROUGHT_SHARE) * (Q + 2)
"""Entries that may be brought with which a sample is too large, and the rows that are near at first are not."""


def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, P)) + 3.0
    return X, X @ rng.normal(size=P) + rng.standard_t(2, size=N)


@pytest.fixture
def followed(monkeypatch):
    """For each solver of `Approached`, and for it as a whole, the starts and what was yielded."""
    calls = {"nearing": [], "ending": []}

    class Followed:
        def __init__(self, name, solver):
            self.name, self.solver = name, solver
            self.goes_below_tol, self.limit = solver.goes_below_tol, solver.limit

        def iterates(self, problem, start, epoch=0):
            calls[self.name].append(start)
            yield from self.solver.iterates(problem, start, epoch)

    def made(nearing, ending):
        assert isinstance(ending, WorkingRows)
        return Approached(Followed("nearing", nearing), Followed("ending", ending))

    assert ROWS_EACH * Q <= int(BROUGHT_SHARE * (FEW // (Q + 2))) < sample_size(N, Q)
    monkeypatch.setattr(working_rows, "BROUGHT_ENTRIES", FEW)
    monkeypatch.setattr(assembly, "Approached", made)
    return calls


class Elsewhere:
    """A namespace whose arrays are on a device of some kind of DLPack; of some devices, that has no kind."""

    def __init__(self, kind):
        self.kind = kind

    def empty(self, size, device):
        return self

    def __dlpack_device__(self):
        if self.kind is None:
            raise ValueError("Unknown device type")
        return self.kind, 0


@pytest.mark.parametrize(("kind", "is_processor"), [(1, True), (3, True), (2, False), (10, False), (None, False)])
def test_the_host_is_known_by_its_memory_and_not_by_a_name(kind, is_processor):
    assert Place(Elsewhere(kind), "cpu:0").is_processor == is_processor
    assert Place().is_processor


@pytest.mark.parametrize("library", NAMES)
def test_of_each_library_a_gpu_is_no_processor(library):
    name, place = device_of(library)
    assert place.is_processor == (name in ("cpu", "device1"))


LOSSES = [{"loss": "absolute_error"}, {"loss": "quantile", "quantile": 0.8}, {"loss": "epsilon_insensitive"}]


@pytest.mark.parametrize("init", ["zeros", "random"])
@pytest.mark.parametrize("params", LOSSES, ids=str)
def test_the_minimum_is_that_of_rows_in_memory(params, init, followed):
    """From zero both solvers have their turn, and end exactly; a random start is left to the other, and to `tol`."""
    X, y = data()
    model = GradientDescentRegressor(**params, init=init, random_state=3).fit(da.from_array(X, chunks=(1000, P)), y)
    whole = GradientDescentRegressor(**params).fit(X, y)
    rel = 1e-12 if init == "zeros" else model.tol
    assert model.converged_
    assert model.history_["loss"][-1] == pytest.approx(whole.history_["loss"][-1], rel=rel)
    assert len(followed["ending"]) == 1
    assert len(followed["nearing"]) == (init == "zeros")


@pytest.mark.parametrize("params", LOSSES, ids=str)
def test_a_refit_begins_where_the_last_fit_has_ended(params, followed):
    X, y = data()
    lazy = da.from_array(X, chunks=(1000, P))
    model = GradientDescentRegressor(**params, warm_start=True).fit(lazy, y)
    before, n_epochs = model.coef_, model.n_iter_
    model.fit(lazy, y)
    assert model.n_iter_ < n_epochs
    np.testing.assert_allclose(model.coef_, before, rtol=1e-9)
    assert len(followed["ending"]) == 2
    assert len(followed["nearing"]) == 1


def test_from_a_random_start_rows_in_memory_have_the_same_minimum():
    X, y = data()
    model = GradientDescentRegressor(loss="absolute_error")
    random = clone(model).set_params(init="random", random_state=3).fit(X, y)
    assert random.converged_
    np.testing.assert_allclose(random.coef_, model.fit(X, y).coef_, rtol=1e-9)
