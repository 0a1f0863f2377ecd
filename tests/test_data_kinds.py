"""Every kind of data gives the same fit: orders, dtypes, containers, weights, units, and degenerate shapes."""

import copy
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression

from gdregress import GradientDescentRegressor
from gdregress.problem.losses import LOSSES

rng = np.random.default_rng(0)
n, p = 48, 4
Z = rng.normal(size=(n, p))
Z = (Z - Z.mean(axis=0)) / Z.std(axis=0)
X = Z * [1.0, 25.0, 0.04, 3.0] + [0.0, 60.0, 1.0, -9.0]
y = X @ [2.0, -0.1, 30.0, 0.5] + 7.0 + rng.normal(size=n)
Y = np.column_stack([y, 3.0 - 2.0 * y + rng.normal(size=n), rng.normal(size=n)])
counts = rng.integers(0, 4, size=n)

# Every rung with every optimizer that makes sense on it; a fixed number of epochs, where only that compares.
FIXED = {"epochs": 12, "tol": None}
CONFIGURATIONS = [
    {},
    {"learning_rate": "curvature"},
    {"learning_rate": "diagonal"},
    {"learning_rate": "diagonal", "optimizer": "gd", **FIXED},
    {"learning_rate": "diagonal", "optimizer": "momentum", "momentum": 0.5, **FIXED},
    {"learning_rate": "diagonal", "optimizer": "nesterov", **FIXED},
    {"learning_rate": "diagonal", "optimizer": "conjugate", **FIXED, "epochs": 4},
    {"learning_rate": "curvature", "optimizer": "nesterov"},
    {"learning_rate": "curvature", "optimizer": "momentum", "momentum": 0.3},
    {"learning_rate": "curvature", "optimizer": "conjugate"},
    {"learning_rate": "lipschitz", **FIXED},
    {"learning_rate": "lipschitz", "optimizer": "nesterov", **FIXED},
    {"learning_rate": "lipschitz", "optimizer": "conjugate", **FIXED, "epochs": 4},
    {"learning_rate": 0.01, **FIXED},
    {"learning_rate": 0.01, "optimizer": "momentum", **FIXED},
    {"learning_rate": 0.01, "optimizer": "nesterov", **FIXED},
    {"penalty": "l2", "alpha": 0.1},
    {"penalty": "l2", "alpha": 0.1, "learning_rate": 0.01, **FIXED},
    {"fit_intercept": False},
    {"fit_intercept": False, "learning_rate": "diagonal", **FIXED},
]
SCALE_FREE = [{}, {"learning_rate": "curvature"}, {"learning_rate": "diagonal", "tol": 1e-11}]
FEW = [CONFIGURATIONS[k] for k in (0, 2, 5, 7, 10, 13, 16, 19)]


def name_of(params):
    return " ".join(f"{value}" for key, value in params.items() if key not in FIXED) or "defaults"


EVERY = pytest.mark.parametrize("params", CONFIGURATIONS, ids=name_of)
SOME = pytest.mark.parametrize("params", FEW, ids=name_of)
SCALED = pytest.mark.parametrize("params", SCALE_FREE, ids=name_of)


def is_raw(params):
    return params.get("learning_rate") == "lipschitz" or isinstance(params.get("learning_rate"), float)


def data_for(params):
    """Raw columns, but standardised ones for a rate in raw coordinates."""
    return Z if is_raw(params) else X


def frozen(values):
    """The same values, that raise where they are written to."""
    if sparse.issparse(values):
        parts = ("data", "indices", "indptr") if values.format in ("csr", "csc") else ("data",)
        for part in parts:
            getattr(values, part).flags.writeable = False
    elif isinstance(values, np.ndarray):
        values.flags.writeable = False
    return values


def fit(X, y, weight=None, **params):
    """Fit to data that cannot be written to, and check that nothing was."""
    before = copy.deepcopy((X, y, weight))
    model = GradientDescentRegressor(**params).fit(frozen(X), frozen(y), frozen(weight))
    for given_, kept in zip((X, y, weight), before, strict=True):
        if sparse.issparse(given_):
            assert given_.dtype == kept.dtype
            np.testing.assert_array_equal(given_.toarray(), kept.toarray())
        elif given_ is not None:
            np.testing.assert_array_equal(np.asarray(given_), np.asarray(kept))
    return model


def assert_same_fit(model, expected, rtol=1e-9):
    """Coefficients alike, each on the scale of its own output, over the whole path."""
    largest = np.abs(expected.coef_).max() or 1.0
    assert model.coef_.shape == expected.coef_.shape
    assert np.shape(model.intercept_) == np.shape(expected.intercept_)
    assert model.n_iter_ == expected.n_iter_
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=rtol, atol=rtol * largest)
    np.testing.assert_allclose(model.intercept_, expected.intercept_, rtol=rtol, atol=rtol * np.abs(y).max())
    np.testing.assert_allclose(model.history_["loss"], expected.history_["loss"], rtol=max(rtol, 1e-9))


def minimum_norm(X, y, weight=None, *, fit_intercept=True):
    """Least squares of least norm in standardised coordinates, from numpy's singular value decomposition."""
    X, targets = np.asarray(X, dtype=np.float64), np.asarray(y, dtype=np.float64).reshape(len(y), -1)
    weight = np.ones(len(X)) if weight is None else np.asarray(weight, dtype=np.float64)
    center = np.average(X, axis=0, weights=weight) if fit_intercept else np.zeros(X.shape[1])
    level = np.average(targets, axis=0, weights=weight) if fit_intercept else np.zeros(targets.shape[1])
    root = np.sqrt(weight / weight.sum())[:, np.newaxis]
    columns = root * (X - center)
    spread = np.linalg.norm(columns, axis=0)
    moves = spread > 1e-13 * np.linalg.norm(root * X, axis=0)
    columns = np.where(moves, columns, 0.0) / np.where(moves, spread, 1.0)
    z = np.linalg.lstsq(columns, root * (targets - level), rcond=1e-11)[0]
    coef = (z / np.where(moves, spread, 1.0)[:, np.newaxis]).T
    intercept = level - coef @ center if fit_intercept else np.zeros(len(level))
    return (coef[0], intercept[0]) if np.ndim(y) == 1 else (coef, intercept)


# Containers, orders, dtypes: the same numbers in other clothes


def memory_map(values, tmp_path):
    np.save(tmp_path / "rows.npy", values)
    return np.load(tmp_path / "rows.npy", mmap_mode="r")


def spaced(values, tmp_path):
    room = np.full((2 * values.shape[0], 3 * values.shape[1]), np.nan)
    room[::2, ::3] = values
    return room[::2, ::3]


def backwards(values, tmp_path):
    return np.ascontiguousarray(values[::-1, ::-1])[::-1, ::-1]


def unsorted_csr(values, tmp_path):
    """Indices in falling order, entries given in two parts, and zeros that are stored."""
    rows, columns = values.shape
    one_row = np.repeat(np.arange(columns)[::-1], 2)
    data = np.repeat(values[:, ::-1], 2, axis=1) * np.tile([0.25, 0.75], columns)
    return sparse.csr_array(
        (data.ravel(), np.tile(one_row, rows), np.arange(rows + 1) * 2 * columns), shape=values.shape
    )


def wide_indices(values, tmp_path):
    csr = sparse.csr_array(values)
    return sparse.csr_array((csr.data, csr.indices.astype(np.int64), csr.indptr.astype(np.int64)), shape=csr.shape)


def pandas_frame(values, tmp_path):
    return pytest.importorskip("pandas").DataFrame(values, columns=list("abcd"))


def polars_frame(values, tmp_path):
    return pytest.importorskip("polars").DataFrame(values, schema=list("abcd"), orient="row")


KINDS = {
    "F order": lambda values, tmp_path: np.asfortranarray(values),
    "memory map": memory_map,
    "memory map, F order": lambda values, tmp_path: memory_map(np.asfortranarray(values), tmp_path),
    "slices": spaced,
    "backwards": backwards,
    "big-endian": lambda values, tmp_path: values.astype(">f8"),
    "objects": lambda values, tmp_path: values.astype(object),
    "list": lambda values, tmp_path: values.tolist(),
    "pandas": pandas_frame,
    "polars": polars_frame,
    "CSR matrix": lambda values, tmp_path: sparse.csr_matrix(values),
    "CSR array": lambda values, tmp_path: sparse.csr_array(values),
    "CSR array, unsorted and in parts": unsorted_csr,
    "CSR array, 64-bit indices": wide_indices,
    "CSC array": lambda values, tmp_path: sparse.csc_array(values),
    "CSC matrix": lambda values, tmp_path: sparse.csc_matrix(values),
    "COO array": lambda values, tmp_path: sparse.coo_array(values),
    "COO matrix": lambda values, tmp_path: sparse.coo_matrix(values),
    "LIL matrix": lambda values, tmp_path: sparse.lil_matrix(values),
}
WEIGHTS = pytest.mark.parametrize("weight", [None, counts], ids=["no weights", "weights"])


@SOME
@WEIGHTS
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_numbers_in_other_clothes(kind, weight, params, tmp_path):
    values = data_for(params)
    expected = fit(values.copy(), y.copy(), weight, **params)
    dressed = KINDS[kind](values, tmp_path)
    model = fit(dressed, y.copy(), weight, **params)
    assert_same_fit(model, expected)
    assert model.coef_.dtype == np.float64
    np.testing.assert_allclose(model.predict(dressed), expected.predict(values), rtol=1e-9, atol=1e-9)


@EVERY
@WEIGHTS
@pytest.mark.parametrize("kind", ["C", "F", "CSR array"])
def test_several_outputs_in_other_clothes(kind, weight, params):
    values = data_for(params)
    dressed = {"C": np.ascontiguousarray, "F": np.asfortranarray, "CSR array": sparse.csr_array}[kind](values)
    model = fit(dressed, np.asfortranarray(Y), weight, **params)
    assert_same_fit(model, fit(values.copy(), Y.copy(), weight, **params))
    assert model.predict(dressed).shape == (n, 3)


@SOME
@pytest.mark.parametrize(
    "container", [np.ascontiguousarray, np.asfortranarray, sparse.csr_array], ids=["C", "F", "CSR"]
)
@pytest.mark.parametrize("many", [False, True], ids=["one output", "three outputs"])
def test_single_precision_is_the_double_precision_fit_of_the_rounded_values(container, many, params):
    rounded = data_for(params).astype(np.float32)
    targets = Y if many else y
    single = fit(container(rounded), targets.copy(), **params)
    double = fit(rounded.astype(np.float64), targets.copy(), **params)
    assert single.coef_.dtype == np.float32
    assert single.predict(container(rounded)).dtype == np.float32
    assert double.predict(rounded.astype(np.float64)).dtype == np.float64
    if params.get("fit_intercept", True):
        assert np.asarray(single.intercept_).dtype == np.float32
    np.testing.assert_allclose(single.coef_, double.coef_, rtol=1e-6, atol=1e-6 * np.abs(double.coef_).max())
    np.testing.assert_allclose(single.intercept_, double.intercept_, rtol=1e-6, atol=1e-6 * np.abs(targets).max())
    exact = fit(data_for(params).copy(), targets.copy(), **params)
    near = np.abs(exact.predict(data_for(params))).max()
    np.testing.assert_allclose(single.predict(rounded), exact.predict(data_for(params)), atol=2e-5 * near)


@SOME
@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint16, np.float16, bool, ">f4", np.longdouble], ids=str)
def test_other_number_types_are_read_as_floats(dtype, params):
    whole = np.abs(np.round(2 * Z)).astype(dtype)
    model = fit(whole, y.copy(), **params)
    assert_same_fit(model, fit(whole.astype(np.float64), y.copy(), **params))
    assert model.coef_.dtype == np.float64
    if np.dtype(dtype).kind != "f":
        assert_same_fit(fit(sparse.csr_array(whole), y.copy(), **params), model)


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.uint8, bool, ">f8", object], ids=str)
def test_targets_of_other_number_types(dtype):
    whole = np.round(np.abs(y)).astype(dtype)
    assert_same_fit(fit(X.copy(), whole), fit(X.copy(), whole.astype(np.float64)))


def test_a_frame_of_mixed_types():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "a": np.arange(n),
            "b": X[:, 1].astype(np.float32),
            "c": X[:, 2] > 1,
            "d": pandas.array(X[:, 3], dtype="Float64"),
        }
    )
    values = np.column_stack([np.arange(n), X[:, 1].astype(np.float32), X[:, 2] > 1, X[:, 3]])
    assert_same_fit(GradientDescentRegressor().fit(frame, y), fit(values, y.copy()))


@contextmanager
def counted_as_dense(monkeypatch):
    """Give a list that fills with the size of every CSR matrix or array that is made dense meanwhile."""
    made = [0]
    with monkeypatch.context() as patch:
        for kind in (sparse.csr_array, sparse.csr_matrix):

            def counted(self, *args, made_dense=kind.toarray, **kwargs):
                made.append(self.shape[0] * self.shape[1])
                return made_dense(self, *args, **kwargs)

            patch.setattr(kind, "toarray", counted)
            patch.setattr(kind, "todense", counted)
        yield made


@pytest.mark.parametrize("make", [sparse.csr_array, sparse.csr_matrix])
@pytest.mark.parametrize(
    ("params", "duplicate"),
    [*((params, False) for params in FEW), ({}, True), ({"learning_rate": "diagonal"}, True)],
    ids=lambda value: name_of(value) if isinstance(value, dict) else ("a column twice" if value else "full rank"),
)
def test_sparse_rows_are_never_made_dense(monkeypatch, make, params, duplicate):
    """Neither whole nor in blocks that come to as much; with an intercept they equal the dense fit all the same."""
    rows, columns = 900, 30
    dense = np.where(np.random.default_rng(1).random((rows, columns)) < 0.02, 1.0, 0.0)
    dense *= np.random.default_rng(2).normal(1.0, 1.0, size=dense.shape)
    dense *= 1.0 if is_raw(params) else np.logspace(-3, 3, columns)
    if duplicate:
        dense[:, 1] = dense[:, 0]
    target = dense @ np.ones(columns) + np.random.default_rng(3).normal(size=rows) + 5.0
    expected = fit(dense, target, **params)
    X_sparse = make(dense)
    with counted_as_dense(monkeypatch) as made:
        model = GradientDescentRegressor(**params).fit(X_sparse, target)
        predicted = model.predict(X_sparse)
    assert max(made) < rows * columns / 2
    np.testing.assert_allclose(predicted, expected.predict(dense), rtol=1e-8, atol=1e-8)


SIGNS = {"two columns": np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])}
SIGNS["four columns"] = np.random.default_rng(0).choice([-1.0, 1.0], size=(60, 4))


@pytest.mark.parametrize("make", [sparse.csr_array, sparse.csr_matrix])
@pytest.mark.parametrize("signs", SIGNS.values(), ids=SIGNS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"penalty": "l1", "alpha": 0.01},
        {"penalty": "l2", "alpha": 0.01},
        {"positive": True},
        {"learning_rate": "diagonal"},
        {"learning_rate": "lipschitz", **FIXED},
        {"batch_size": 3, "shuffle": False, **FIXED},
    ],
    ids=str,
)
def test_sparse_columns_of_plus_and_minus_one(make, signs, loss, params):
    """Without an intercept they are standardised as they are: nothing is to be centred or scaled."""
    target = signs @ np.arange(2.0, 2.0 + signs.shape[1]) + np.resize([0.0, 0.0, 0.0, -0.5, 0.2, -9.0], len(signs))
    weight = np.resize([1.0, 2.0, 0.0], len(signs)) if len(signs) > 4 else None
    for targets in (target, np.column_stack([target, -target])):
        model = GradientDescentRegressor(loss=loss, fit_intercept=False, **params)
        expected = model.fit(signs, targets, weight).predict(signs)
        least = model.history_["loss"][-1]
        predicted = model.fit(make(signs), targets, weight).predict(signs)
        assert model.history_["loss"][-1] == pytest.approx(least, rel=1e-5)
        if not (loss == "epsilon_insensitive" and "positive" in params):  # there more than one point is a minimum
            np.testing.assert_allclose(predicted, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("params", [{}, {"learning_rate": "lipschitz", "optimizer": "conjugate"}], ids=name_of)
def test_sparse_rows_too_wide_for_moments_are_never_made_dense(monkeypatch, params):
    """At the minimum the residual has mean zero and is orthogonal to every column."""
    rows, columns, entries = 4000, 2100, 5
    source = np.random.default_rng(6)
    places = np.tile(np.arange(columns), 10)[: rows * entries]
    X_sparse = sparse.csr_array(
        (source.normal(size=len(places)), places, np.arange(rows + 1) * entries), (rows, columns)
    )
    target = X_sparse @ np.ones(columns) + source.normal(size=rows) + 5.0
    with counted_as_dense(monkeypatch) as made:
        model = GradientDescentRegressor(tol=1e-9, **params).fit(X_sparse, target)
        residual = target - model.predict(X_sparse)
    assert max(made) < rows * columns / 20
    np.testing.assert_allclose(residual.mean(), 0.0, atol=1e-8)
    np.testing.assert_allclose(X_sparse.T @ residual, 0.0, atol=1e-5)


# The shape of y


@EVERY
def test_the_shapes_of_coefficients_are_those_of_linear_regression(params):
    values, fit_intercept = data_for(params), params.get("fit_intercept", True)
    for target in (y, y[:, np.newaxis], Y):
        model = fit(values.copy(), target.copy(), **params)
        theirs = LinearRegression(fit_intercept=fit_intercept).fit(values, target)
        assert model.coef_.shape == theirs.coef_.shape
        assert np.shape(model.intercept_) == np.shape(theirs.intercept_)
        assert model.predict(values).shape == theirs.predict(values).shape == target.shape


@EVERY
def test_a_column_of_targets_is_the_vector_in_another_shape(params):
    one, column = (fit(data_for(params).copy(), target.copy(), **params) for target in (y, y[:, np.newaxis]))
    np.testing.assert_array_equal(column.coef_, one.coef_[np.newaxis])
    np.testing.assert_array_equal(column.intercept_, one.intercept_)
    np.testing.assert_array_equal(column.history_["loss"], one.history_["loss"])


@EVERY
def test_several_outputs_are_as_many_fits(params):
    """Each output descends on its own, epoch by epoch."""
    restarts = params.get("optimizer") == "nesterov"
    params = params | {"epochs": 40 if restarts else 4, "tol": None, "record_path": True}
    values = data_for(params)
    together = fit(values.copy(), Y.copy(), **params)
    losses = []
    for k in range(Y.shape[1]):
        alone = fit(values.copy(), Y[:, k].copy(), **params)
        largest = np.abs(alone.history_["coef"]).max()
        np.testing.assert_allclose(
            together.history_["coef"][:, k], alone.history_["coef"], rtol=1e-7, atol=1e-9 * largest
        )
        largest = np.abs(alone.history_["intercept"]).max()
        np.testing.assert_allclose(
            together.history_["intercept"][:, k], alone.history_["intercept"], atol=1e-9 * largest
        )
        losses.append(alone.history_["loss"])
    np.testing.assert_allclose(together.history_["loss"], np.mean(losses, axis=0), rtol=1e-9)


@SCALED
@pytest.mark.parametrize("units", [(1e-9, 1.0, 1e9), (1e-100, 1.0, 1e100), (1e-300, 1.0, 1e300)], ids=str)
def test_outputs_of_very_different_units(units, params):
    expected = fit(X.copy(), Y.copy(), **params)
    model = fit(X.copy(), Y * units, **params)
    assert model.converged_
    scale = np.array(units)[:, np.newaxis]
    np.testing.assert_allclose(model.coef_ / scale, expected.coef_, rtol=1e-9)
    np.testing.assert_allclose(model.intercept_ / units, expected.intercept_, rtol=1e-9)


@pytest.mark.filterwarnings("ignore:.* has no effect with")
@pytest.mark.parametrize("optimizer", ["gd", "momentum", "nesterov", "conjugate"])
@pytest.mark.parametrize("rate", ["lipschitz", "diagonal", "curvature"])
def test_epochs_after_the_minimum_stay_there(rate, optimizer):
    """With tol=None the descent goes on where nothing is left to gain but rounding."""
    params = {"learning_rate": rate, "optimizer": optimizer, "momentum": 0.2, "epochs": 60, "tol": None}
    for seed in (2, 7, 148, 199, 205, 258, 299, 329):
        source = np.random.default_rng(seed)
        values, target = source.normal(size=(30, 3)), source.normal(size=30)
        loss = fit(values, target, **params).history_["loss"]
        residual = target - values @ (best := minimum_norm(values, target))[0] - best[1]
        np.testing.assert_allclose(loss[40:], np.mean(residual**2), rtol=1e-5)


# Weights


@EVERY
@pytest.mark.parametrize("dtype", [np.int64, np.float64, np.float32, bool], ids=str)
@pytest.mark.parametrize("container", [np.array, sparse.csr_array], ids=["dense", "CSR"])
def test_a_weight_is_a_row_given_so_often(container, dtype, params):
    values, weight = data_for(params), counts.astype(dtype)
    rows = np.repeat(np.arange(n), weight.astype(int))
    weighted = fit(container(values), Y.copy(), weight, **params)
    repeated = fit(container(values[rows]), Y[rows], **params)
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-8, atol=1e-10 * np.abs(repeated.coef_).max())
    np.testing.assert_allclose(weighted.intercept_, repeated.intercept_, rtol=1e-8)
    np.testing.assert_allclose(weighted.history_["loss"], repeated.history_["loss"], rtol=1e-9)


@EVERY
def test_a_row_of_weight_zero_may_hold_anything(params):
    """Anything that is finite."""
    values, weight = data_for(params).copy(), np.where(counts > 0, 1.0, 0.0)
    expected = fit(values[counts > 0], y[counts > 0], **params)
    wild, target = values.copy(), y.copy()
    wild[counts == 0] = 1e9
    target[counts == 0] = -1e9
    np.testing.assert_allclose(fit(wild, target, weight, **params).coef_, expected.coef_, rtol=1e-7)


@EVERY
@pytest.mark.parametrize("factor", [0.1, 7.0, 1e-30, 1e30])
def test_only_the_proportions_of_weights_count(factor, params):
    values = data_for(params)
    expected = fit(values.copy(), y.copy(), counts, **params)
    assert_same_fit(fit(values.copy(), y.copy(), counts * factor, **params), expected)


@EVERY
@pytest.mark.parametrize("number", [1, 3.5, np.float32(0.25)])
def test_a_number_weighs_all_rows_alike(number, params):
    values = data_for(params)
    assert_same_fit(fit(values.copy(), y.copy(), number, **params), fit(values.copy(), y.copy(), **params))


def test_weights_equal_those_of_linear_regression():
    theirs = LinearRegression().fit(X, Y, counts)
    model = fit(X.copy(), Y.copy(), counts)
    np.testing.assert_allclose(model.coef_, theirs.coef_, rtol=1e-9)
    np.testing.assert_allclose(model.intercept_, theirs.intercept_, rtol=1e-9)


# Degenerate shapes and columns


@pytest.mark.parametrize("params", [*SCALE_FREE[:2], {"learning_rate": "diagonal", "tol": 1e-10}], ids=name_of)
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("shape", [(5, 9), (10, 60), (9, 9), (2, 3)], ids=str)
@pytest.mark.parametrize("container", [np.array, np.asfortranarray, sparse.csr_array], ids=["C", "F", "CSR"])
def test_more_columns_than_rows_give_the_minimum_norm_solution(shape, fit_intercept, container, params):
    source = np.random.default_rng(4)
    wide = source.normal(size=shape) * np.logspace(-4, 4, shape[1]) + np.arange(shape[1])
    target = source.normal(size=(shape[0], 2))
    model = fit(container(wide), target, fit_intercept=fit_intercept, **params)
    coef, _ = minimum_norm(wide, target, fit_intercept=fit_intercept)
    spread = wide.std(axis=0) if fit_intercept else np.sqrt((wide**2).mean(axis=0))
    np.testing.assert_allclose(model.coef_ * spread, coef * spread, atol=1e-7 * np.abs(coef * spread).max())
    np.testing.assert_allclose(model.predict(container(wide)), target, atol=1e-7)
    assert model.converged_


def test_more_columns_than_rows_with_weights():
    source = np.random.default_rng(5)
    wide, target, weight = source.normal(size=(8, 20)), source.normal(size=8), np.array([1, 2, 0, 3, 1, 0, 1, 5])
    coef, intercept = minimum_norm(wide, target, weight)
    model = fit(wide, target, weight)
    np.testing.assert_allclose(model.coef_, coef, rtol=1e-8)
    np.testing.assert_allclose(model.intercept_, intercept, rtol=1e-8)
    np.testing.assert_allclose(model.predict(wide)[weight > 0], target[weight > 0], rtol=1e-8)


@pytest.mark.parametrize("params", [*SCALE_FREE, {"learning_rate": "curvature", "optimizer": "nesterov"}], ids=name_of)
@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("container", [np.array, sparse.csr_array], ids=["dense", "CSR"])
def test_one_row(columns, container, params):
    row = np.arange(1.0, columns + 1)[np.newaxis]
    for target in (np.array([3.5]), np.array([[3.5, -1.0]])):
        model = fit(container(row), target, **params)
        np.testing.assert_array_equal(model.coef_, np.zeros_like(model.coef_))
        np.testing.assert_allclose(np.ravel(model.intercept_), target.ravel(), rtol=1e-12)


@EVERY
@pytest.mark.parametrize("container", [np.array, np.asfortranarray, sparse.csr_array], ids=["C", "F", "CSR"])
def test_one_column(container, params):
    model = fit(container(data_for(params)[:, [1]]), y.copy(), **params)
    assert model.coef_.shape == (1,)
    if "tol" not in params and "penalty" not in params and params.get("fit_intercept", True):
        slope = np.cov(X[:, 1], y, ddof=0)[0, 1] / X[:, 1].var()
        np.testing.assert_allclose(model.coef_, slope, rtol=1e-5 if "optimizer" in params else 1e-9)


@pytest.mark.parametrize("constant", [0.0, 3.5, -1e9, 1e-200, 1e200])
@pytest.mark.parametrize("container", [np.array, sparse.csr_array], ids=["dense", "CSR"])
@SCALED
def test_a_constant_y(constant, container, params):
    model = fit(container(X), np.full(n, constant), **params)
    np.testing.assert_allclose(model.coef_ * X.std(axis=0), 0.0, atol=1e-13 * abs(constant))
    np.testing.assert_allclose(model.predict(X), constant, rtol=1e-12)
    assert model.converged_


@pytest.mark.parametrize("penalty", [{}, {"penalty": "l2", "alpha": 0.1}, {"penalty": "l1", "alpha": 0.1}], ids=str)
@pytest.mark.parametrize("loss", ["huber", "squared_epsilon_insensitive", "absolute_error"])
@pytest.mark.parametrize("constant", [1e15, -3e14, 1 / 3, 7.0, 1e8, 1e300, 1e-300])
def test_a_constant_y_is_met_exactly(constant, loss, penalty):
    """Far from zero a small epsilon is less than the rounding of y, and the start must not count as the minimum."""
    model = fit(X, np.full(n, constant), loss=loss, **penalty)
    np.testing.assert_array_equal(model.coef_, 0.0)
    assert model.intercept_ == constant
    assert model.converged_


def test_of_several_outputs_one_may_be_constant():
    targets = np.column_stack([y, np.full(n, 1e15)])
    model = fit(X, targets, loss="huber")
    np.testing.assert_array_equal(model.coef_[1], 0.0)
    assert model.intercept_[1] == 1e15
    np.testing.assert_allclose(model.coef_[0], fit(X, y.copy(), loss="huber").coef_, rtol=1e-6)


def test_in_raw_coordinates_a_descent_starts_at_zero_though_y_is_constant():
    model = GradientDescentRegressor(1e-6, 3, tol=None).fit(X, np.full(n, 2.0))
    assert model.history_["loss"][0] == pytest.approx(4.0)


@EVERY
@pytest.mark.parametrize("container", [np.zeros, np.ones, sparse.csr_array], ids=["zeros", "ones", "empty CSR"])
def test_an_x_that_does_not_vary(container, params):
    """Nothing to learn but the mean; in raw coordinates ones are as good as an intercept, and share it."""
    flat = container((n, p))
    model = fit(flat, y.copy(), counts, **params)
    mean = np.average(y, weights=counts)
    if container is np.ones and (is_raw(params) or not params.get("fit_intercept", True)):
        assert np.ptp(model.coef_) <= 1e-12 * abs(mean)
        return
    np.testing.assert_array_equal(model.coef_, np.zeros(p))
    if not is_raw(params) and params.get("fit_intercept", True) and "tol" not in params:
        np.testing.assert_allclose(model.intercept_, mean, rtol=1e-6)
        assert model.converged_


@SCALED
@pytest.mark.parametrize("constant", [0.0, 1.0, -7.3, 1e8, 1e-8, 1e300])
@pytest.mark.parametrize("container", [np.array, np.asfortranarray, sparse.csr_array], ids=["C", "F", "CSR"])
def test_a_constant_column_takes_no_part(constant, container, params):
    for weight in (None, counts):
        expected = fit(X.copy(), y.copy(), weight, **params)
        model = fit(container(np.insert(X, 2, constant, axis=1)), y.copy(), weight, **params)
        assert model.coef_[2] == 0
        np.testing.assert_allclose(np.delete(model.coef_, 2), expected.coef_, rtol=1e-8)
        np.testing.assert_allclose(model.intercept_, expected.intercept_, rtol=1e-7)
        assert model.converged_


@pytest.mark.parametrize("learning_rate", ["auto", "curvature"])
def test_without_an_intercept_a_constant_column_is_one(learning_rate):
    model = fit(np.insert(X, 0, 2.0, axis=1), y.copy(), learning_rate=learning_rate, fit_intercept=False)
    expected = fit(X.copy(), y.copy())
    np.testing.assert_allclose(model.coef_[0] * 2.0, expected.intercept_, rtol=1e-8)
    np.testing.assert_allclose(model.coef_[1:], expected.coef_, rtol=1e-8)
    assert model.intercept_ == 0


@SCALED
@pytest.mark.parametrize("factor", [1.0, -1.0, 1e-8, 1e8])
@pytest.mark.parametrize("container", [np.array, np.asfortranarray, sparse.csr_array], ids=["C", "F", "CSR"])
def test_a_column_given_twice_shares_its_coefficient(factor, container, params):
    twice = np.column_stack([X, factor * X[:, 1]])
    expected, model = fit(X.copy(), y.copy(), **params), fit(container(twice), y.copy(), **params)
    np.testing.assert_allclose(model.coef_[1], factor * model.coef_[4], rtol=1e-6)
    np.testing.assert_allclose(2 * model.coef_[1], expected.coef_[1], rtol=1e-6)
    np.testing.assert_allclose(model.predict(twice), expected.predict(X), rtol=1e-8)
    assert model.converged_


@SCALED
@pytest.mark.parametrize("container", [np.array, np.asfortranarray, sparse.csr_array], ids=["C", "F", "CSR"])
def test_collinear_columns_give_the_minimum_norm_solution(container, params):
    collinear = np.column_stack([X, X[:, 0] - X[:, 2], X @ np.ones(p) + 3.0])
    model = fit(container(collinear), Y.copy(), **params)
    coef, _ = minimum_norm(collinear, Y)
    np.testing.assert_allclose(model.coef_, coef, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(
        model.predict(collinear), fit(X.copy(), Y.copy(), **params).predict(X), rtol=1e-8, atol=1e-8
    )
    assert model.converged_


def test_dummies_of_every_level_beside_an_intercept():
    level = np.arange(n) % 3
    dummies = np.eye(3)[level]
    for container in (np.array, sparse.csr_array):
        model = fit(container(dummies), y.copy())
        means = np.array([y[level == k].mean() for k in range(3)])
        np.testing.assert_allclose(model.predict(np.eye(3)), means, rtol=1e-10)


# Units


@SCALED
@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e-20, 1e20, 1e150, 1e300], ids=str)
@pytest.mark.parametrize("container", [np.array, np.asfortranarray, sparse.csr_array], ids=["C", "F", "CSR"])
@pytest.mark.parametrize("only", [None, 2], ids=["all columns", "one column"])
def test_coefficients_scale_by_the_inverse_of_the_columns_units(only, container, scale, params):
    units = np.full(p, scale)
    if only is not None:
        units = np.where(np.arange(p) == only, scale, 1.0)
    centred = X - X.mean(axis=0)
    expected = fit(centred.copy(), y.copy(), **params)
    model = fit(container(centred * units), y.copy(), **params)
    np.testing.assert_allclose(model.coef_ * units, expected.coef_, rtol=1e-9)
    np.testing.assert_allclose(model.intercept_, expected.intercept_, rtol=1e-9)
    np.testing.assert_allclose(model.predict(container(centred * units)), expected.predict(centred), rtol=1e-9)
    assert model.converged_
    assert model.n_iter_ == expected.n_iter_


@SCALED
@pytest.mark.parametrize("exponents", [(0, 20, -20, 3), (300, -300, 0, 50), (900, -900, 500, -500)], ids=str)
def test_powers_of_two_change_no_digit(exponents, params):
    units = np.ldexp(1.0, exponents)
    expected = fit(X.copy(), y.copy(), **params)
    model = fit(X * units, y.copy(), **params)
    np.testing.assert_allclose(model.coef_ * units, expected.coef_, rtol=2e-13)
    np.testing.assert_allclose(model.intercept_, expected.intercept_, rtol=1e-13)


@SCALED
@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e-20, 1e20, 1e150, 1e300], ids=str)
@pytest.mark.parametrize("many", [False, True], ids=["one output", "three outputs"])
def test_coefficients_scale_with_y(many, scale, params):
    target = Y if many else y
    expected, model = fit(X.copy(), target.copy(), **params), fit(X.copy(), target * scale, **params)
    np.testing.assert_allclose(model.coef_ / scale, expected.coef_, rtol=1e-9)
    np.testing.assert_allclose(model.predict(X) / scale, expected.predict(X), rtol=1e-9)
    assert model.converged_
    assert model.n_iter_ == expected.n_iter_
    assert model.optimality_ == pytest.approx(expected.optimality_, abs=1e-9)


@pytest.mark.parametrize(
    "params", [{"learning_rate": "diagonal", "optimizer": "gd"}, {"learning_rate": 0.02}], ids=name_of
)
@pytest.mark.parametrize("scale", [1e-300, 1e-170, 1e-20, 1e20, 1e170, 1e300], ids=str)
def test_early_stopping_in_any_unit_of_y(scale, params):
    """Also in units in which a mean squared error is too large or too small for a float."""
    params = {"early_stopping": True, "n_iter_no_change": 3, "epochs": 60, "tol": None} | params
    validation = [{"X_val": Z[:16], "y_val": y[:16] * unit} for unit in (1.0, scale)]
    expected = GradientDescentRegressor(**params).fit(Z[16:], y[16:], **validation[0])
    model = GradientDescentRegressor(**params).fit(Z[16:], y[16:] * scale, **validation[1])
    np.testing.assert_allclose(model.coef_ / scale, expected.coef_, rtol=1e-9)
    assert model.n_iter_ == expected.n_iter_


@pytest.mark.parametrize("scale", [1e-300, 1e-170, 1e-20, 1e20, 1e170, 1e300], ids=str)
def test_plain_descent_in_any_unit_of_y(scale):
    """The iterates of a fixed rate are linear in y."""
    params = {"learning_rate": 0.05, "epochs": 2000, "tol": 1e-6}
    expected, model = fit(Z.copy(), y.copy(), **params), fit(Z.copy(), y * scale, **params)
    np.testing.assert_allclose(model.coef_ / scale, expected.coef_, rtol=1e-9)
    assert model.converged_ == expected.converged_
    assert model.n_iter_ == expected.n_iter_


def digits_lack_for_the_intercept():
    return pytest.warns(ConvergenceWarning, match=r"too few digits for the intercept .* subtract a constant from")


@pytest.mark.parametrize("params", [*SCALE_FREE[:2], {"learning_rate": "diagonal", "tol": 1e-8}], ids=name_of)
@pytest.mark.parametrize("mean", [1e4, -1e6, 1e8], ids=str)
@pytest.mark.parametrize("container", [np.array, np.asfortranarray, sparse.csr_array], ids=["C", "F", "CSR"])
def test_huge_means(container, mean, params):
    far = X + mean
    coef, _ = minimum_norm(far, y)
    is_rounded = mean == 1e8 and "tol" in params  # predictions shift by 1e-8 standard deviations and more
    with digits_lack_for_the_intercept() if is_rounded else nullcontext():
        model = fit(container(far), y.copy(), **params)
    np.testing.assert_allclose(model.coef_, coef, rtol=1e-5)
    np.testing.assert_allclose(model.predict(container(far)), fit(far - mean, y.copy()).predict(far - mean), rtol=1e-5)
    assert model.converged_ != is_rounded


@SCALED
def test_huge_means_of_y(params):
    expected = fit(X.copy(), y.copy(), **params)
    with digits_lack_for_the_intercept() if params.get("tol", 1.0) < 1e-8 else nullcontext():
        model = fit(X.copy(), y + 1e8, **params)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-5)
    np.testing.assert_allclose(model.intercept_ - 1e8, expected.intercept_, rtol=1e-5)


def test_huge_means_in_single_precision():
    far = (X + 1e4).astype(np.float32)
    coef, _ = minimum_norm(far, y)
    np.testing.assert_allclose(fit(far, y.copy()).coef_, coef, rtol=1e-5)


# Any of it at once


@st.composite
def data_sets(draw):
    """Rows, targets, weights and a container: small integers, so that ties, zeros and collinearity are common."""
    rows, columns = draw(st.integers(1, 12)), draw(st.integers(1, 5))
    source = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = source.integers(-3, 4, size=(rows, columns)).astype(float)
    outputs = draw(st.sampled_from([(), (1,), (3,)]))
    targets = source.normal(size=(rows, *outputs))
    weight = source.integers(0, 3, size=rows) if draw(st.booleans()) else None
    if weight is not None:
        weight[draw(st.integers(0, rows - 1))] = 1
    container = draw(st.sampled_from([np.ascontiguousarray, np.asfortranarray, sparse.csr_array, sparse.csr_matrix]))
    dtype = draw(st.sampled_from([np.float64, np.float32, np.int32]))
    return values, targets, weight, container, dtype


SETTINGS = settings(deadline=None, max_examples=80, derandomize=True)


@SETTINGS
@given(data=data_sets(), fit_intercept=st.booleans(), rate=st.sampled_from(["auto", "curvature", "diagonal"]))
def test_any_data_set_gives_the_minimum_norm_solution(data, fit_intercept, rate):
    values, targets, weight, container, dtype = data
    model = fit(
        container(values.astype(dtype)), targets, weight, learning_rate=rate, fit_intercept=fit_intercept, tol=1e-10
    )
    coef, intercept = minimum_norm(values, targets, weight, fit_intercept=fit_intercept)
    atol = 1e-7 if dtype is not np.float32 else 1e-5
    assert model.coef_.shape == coef.shape
    np.testing.assert_allclose(model.coef_, coef, atol=atol)
    np.testing.assert_allclose(model.intercept_, intercept, atol=atol)
    assert model.converged_


@SETTINGS
@given(
    data=data_sets(),
    rate=st.floats(1e-4, 0.02),
    optimizer=st.sampled_from(["gd", "momentum", "nesterov"]),
    epochs=st.integers(1, 6),
)
def test_any_container_and_weights_give_the_same_plain_descent(data, rate, optimizer, epochs):
    values, targets, weight, container, dtype = data
    params = {"learning_rate": rate, "optimizer": optimizer, "epochs": epochs, "tol": None, "record_path": True}
    model = fit(container(values.astype(dtype)), targets, weight, **params)
    rows = np.repeat(np.arange(len(values)), 1 if weight is None else weight)
    expected = fit(values[rows], targets[rows], **params)
    for name, path in expected.history_.items():
        np.testing.assert_allclose(model.history_[name], path, rtol=1e-9, atol=1e-10)


@SETTINGS
@given(
    seed=st.integers(0, 2**32 - 1),
    x_units=st.lists(st.floats(-250, 250), min_size=p, max_size=p),
    y_unit=st.floats(-40, 40),
    rate=st.sampled_from(["auto", "diagonal", "curvature"]),
)
def test_any_units_give_the_same_predictions(seed, x_units, y_unit, rate):
    order = np.random.default_rng(seed).permutation(n)
    values, target = (X - X.mean(axis=0))[order], y[order]
    expected = fit(values.copy(), target.copy(), learning_rate=rate, tol=1e-12)
    model = fit(values * 10.0 ** np.array(x_units), target * 10.0**y_unit, learning_rate=rate, tol=1e-12)
    found = model.predict(values * 10.0 ** np.array(x_units)) / 10.0**y_unit
    np.testing.assert_allclose(found, expected.predict(values), rtol=1e-9, atol=1e-9)


def test_the_mean_prediction_survives_the_rounding_of_coefficients_to_float32():
    source = np.random.default_rng(0)
    values = (source.normal(size=(1000, 3)) + 1e4).astype(np.float32)
    target = (values - np.float64(1e4)) @ [0.1, 0.2, 0.3] + 6000.0 + source.normal(size=1000)
    model = GradientDescentRegressor().fit(values, target)
    mean = (values.astype(np.float64) @ model.coef_.astype(np.float64) + float(model.intercept_)).mean()
    assert abs(mean - target.mean()) < 1e-5
