"""What bad input gets: one sentence that names the culprit, and an estimator that stays as it was."""

import copy
import re
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import SGDRegressor

import gdregress
from gdregress import GradientDescentRegressor

rng = np.random.default_rng(0)
n, p = 40, 3
X = rng.normal(size=(n, p))
y = X @ [1.0, -2.0, 3.0] + 4.0 + rng.normal(size=n)
ones = np.ones(n)
OWN = str(Path(gdregress.__file__).parent)
PARAMETERS = sorted(GradientDescentRegressor().get_params())
BOOLEANS = [
    name for name in PARAMETERS if isinstance(GradientDescentRegressor().get_params()[name], bool) and name != "average"
]
NAMED = {"learning_rate", "loss", "penalty", "optimizer", "init", "schedule"}
NUMERIC = sorted(set(PARAMETERS) - NAMED - set(BOOLEANS) - {"average"} | {"learning_rate"})


def put(values, place, value):
    """A copy of an array with one entry changed."""
    changed = np.array(values, copy=True)
    changed[place] = value
    return changed


def is_own(error):
    """Whether a message is written by gdregress, rather than by scikit-learn, numpy or Python."""
    return traceback.extract_tb(error.__traceback__)[-1].filename.startswith(OWN)


def assert_one_sentence(message):
    """One line and one full stop at most, at its end; scikit-learn's "must be ... . Got ... instead." counts as one."""
    assert "\n" not in message, message
    standard = re.match(r"The '\w+' parameter of GradientDescentRegressor must be .+?\. Got .+? instead\.", message)
    rest = message[standard.end() :].strip() if standard else message
    assert standard or rest, "an empty message"
    if rest:
        assert len(rest) > 20, message
        assert re.search(r"[.!?]\s", rest) is None, message
        assert message == message.strip(), message


def same(a, b):
    """Whether two attributes are equal, NaN equal to NaN, down to dtypes and containers."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray):
        equal_nan = a.dtype.kind == "f"
        return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b, equal_nan=equal_nan)
    return bool(a == b or (a != a and b != b))


def assert_refused(model, *args, method="fit", **kwargs):
    """Call, expect a ValueError or TypeError, check its form and that nothing changed; give its message."""
    before, identities = copy.deepcopy(vars(model)), {name: id(value) for name, value in vars(model).items()}
    with pytest.raises((ValueError, TypeError)) as caught:
        getattr(model, method)(*args, **kwargs)
    message = str(caught.value)
    assert message
    assert same(before, vars(model))
    assert identities == {name: id(value) for name, value in vars(model).items()}
    if is_own(caught.value):
        assert_one_sentence(message)
    return message, is_own(caught.value)


def assert_refused_fitted_and_not(message, fit_args, *, own, params=None, **fit_kwargs):
    """Check a bad fit on an estimator that was not fitted, and on one that was, whose fit has to survive."""
    params = params or {}
    model = GradientDescentRegressor(**params)
    said, is_ours = assert_refused(model, *fit_args, **fit_kwargs)
    assert re.search(message, said), said
    assert is_ours or not own, f"said by others: {said}"
    assert not [name for name in vars(model) if name.endswith("_") and not name.startswith("_")]
    with pytest.raises(NotFittedError):
        model.predict(X)

    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b", "c"])
    model = GradientDescentRegressor(record_path=True).fit(frame, y)
    model.set_params(**params)
    fitted = {name: copy.deepcopy(getattr(model, name)) for name in ("coef_", "intercept_", "history_")}
    predictions = model.predict(frame)
    assert assert_refused(model, *fit_args, **fit_kwargs)[0] == said
    assert model.n_features_in_ == p
    assert list(model.feature_names_in_) == ["a", "b", "c"]
    assert all(same(value, getattr(model, name)) for name, value in fitted.items())
    np.testing.assert_array_equal(model.predict(frame), predictions)
    return said


# The data


DENSE_FORMATS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "slice": lambda a: np.repeat(np.repeat(a, 2, axis=0), 3, axis=1)[::2, ::3],
    "float32": lambda a: a.astype(np.float32),
    "list": lambda a: a.tolist(),
}
SPARSE_FORMATS = {
    "csr_matrix": sparse.csr_matrix,
    "csr_array": sparse.csr_array,
    "csc_array": sparse.csc_array,
    "csr float32": lambda a: sparse.csr_array(a.astype(np.float32)),
}
FORMATS = DENSE_FORMATS | SPARSE_FORMATS
NOT_FINITE = {"NaN": np.nan, "infinity": np.inf, "minus infinity": -np.inf}


@pytest.mark.parametrize("word", NOT_FINITE)
@pytest.mark.parametrize("kind", FORMATS)
def test_a_value_that_is_not_finite_in_x(kind, word):
    bad = FORMATS[kind](put(X, (7, 1), NOT_FINITE[word]))
    word = word.removeprefix("minus ")
    message = assert_refused_fitted_and_not(rf"X contains {word} at row 7, column 1:", (bad, y), own=True)
    assert "drop the row" in message


@pytest.mark.parametrize(
    "params", [{"learning_rate": 0.01}, {"fit_intercept": False}, {"early_stopping": True, "random_state": 0}], ids=str
)
@pytest.mark.parametrize("kind", ["C", "csr_array"])
def test_a_value_that_is_not_finite_is_seen_on_every_path(kind, params):
    bad = FORMATS[kind](put(X, (33, 2), np.nan))
    assert_refused_fitted_and_not("X contains NaN at row 33, column 2", (bad, y), own=True, params=params)


@pytest.mark.parametrize("kind", ["C", "csr_array"])
@pytest.mark.parametrize("rate", ["auto", "diagonal", "curvature", 1e-4])
def test_a_value_that_is_not_finite_in_a_wide_x(kind, rate):
    wide = np.zeros((30, 2500))
    wide[:, ::50] = rng.normal(size=(30, 50))
    bad = FORMATS[kind](put(wide, (20, 100), np.nan))
    message, own = assert_refused(GradientDescentRegressor(rate), bad, y[:30])
    assert "X contains NaN at row 20, column 100" in message
    assert own


@pytest.mark.parametrize("weight", [None, ones, put(ones, 7, 0.0)], ids=["no weights", "ones", "zero at the row"])
@pytest.mark.parametrize("kind", ["C", "csr_array"])
def test_a_value_that_is_not_finite_counts_whatever_its_weight(kind, weight):
    bad = FORMATS[kind](put(X, (7, 1), np.nan))
    assert_refused_fitted_and_not("X contains NaN at row 7, column 1", (bad, y, weight), own=True)


@pytest.fixture(scope="module")
def big():
    values = np.random.default_rng(1).standard_normal((200_000, 20), dtype=np.float32)
    return values, values[:, 0] * 2.0


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    ("dtype", "order"), [(np.float64, "C"), (np.float64, "F"), (np.float32, "C"), (np.float32, "F")]
)
def test_a_value_that_is_not_finite_late_in_a_big_x(big, dtype, order, value):
    bad = np.array(big[0], dtype=dtype, order=order)
    bad[199_998, 13] = value
    message, own = assert_refused(GradientDescentRegressor(), bad, big[1])
    assert re.search("X contains (NaN|infinity) at row 199998, column 13", message)
    assert own


def test_opposite_infinities_do_not_cancel(big):
    bad = np.array(big[0], dtype=np.float64)
    bad[[10, 199_000], [3, 3]] = np.inf, -np.inf
    assert "X contains infinity at row 10, column 3" in assert_refused(GradientDescentRegressor(), bad, big[1])[0]


def test_a_value_that_is_not_finite_late_in_a_big_csr_x():
    source = np.random.default_rng(2)
    entries, columns = source.normal(size=200_000), source.integers(0, 20, size=200_000)
    big = sparse.csr_array((entries, columns, np.arange(200_001)), shape=(200_000, 20))
    place = big.indptr[180_000]
    big.data[place] = np.nan
    row = int(np.searchsorted(big.indptr, place, side="right")) - 1
    message, _ = assert_refused(GradientDescentRegressor(), big, np.arange(200_000.0))
    assert f"X contains NaN at row {row}, column {big.indices[place]}" in message


def test_a_value_that_is_not_finite_late_in_a_big_y(big):
    message, own = assert_refused(GradientDescentRegressor(), big[0], put(big[1], 199_999, np.nan))
    assert "y contains NaN at row 199999" in message
    assert own


@pytest.mark.parametrize("word", NOT_FINITE)
def test_a_value_that_is_not_finite_in_y(word):
    value, word = NOT_FINITE[word], word.removeprefix("minus ")
    assert_refused_fitted_and_not(f"y contains {word} at row 5:", (X, put(y, 5, value)), own=True)
    two = np.column_stack([y, put(y, 5, value)])
    assert_refused_fitted_and_not(f"y contains {word} at row 5, column 1: drop the row", (X, two), own=True)
    assert_refused_fitted_and_not(f"y contains {word} at row 5:", (X, put(y, 5, value).astype(np.float32)), own=True)


@pytest.mark.parametrize("kind", ["C", "csr_array"])
def test_a_value_that_is_not_finite_is_in_x_wherever_a_random_split_puts_it(kind):
    for row in range(n):
        model = GradientDescentRegressor(early_stopping=True, random_state=0)
        message, own = assert_refused(model, FORMATS[kind](put(X, (row, 2), np.nan)), y)
        assert f"X contains NaN at row {row}, column 2" in message
        assert own


class BadWeight(NamedTuple):
    weight: object
    message: str
    own: bool = True


BAD_WEIGHTS = {
    "NaN": BadWeight(put(ones, 5, np.nan), "contains NaN at row 5"),
    "infinite": BadWeight(put(ones, 5, np.inf), "contains infinity at row 5"),
    "negative": BadWeight(
        put(ones, 5, -0.25), "Negative values in .*: -0.25 at row 5; weights must be zero or positive"
    ),
    "tiny negative": BadWeight(put(ones, 5, -1e-300), "Negative values in .*: -1e-300 at row 5"),
    "negative scalar": BadWeight(-1.0, "Negative values in .*: -1"),
    "all zero": BadWeight(np.zeros(n), "every weight is zero: leave it out"),
    "all zero ints": BadWeight(np.zeros(n, dtype=int), "every weight is zero: leave it out"),
    "zero scalar": BadWeight(0, "every weight is zero"),
    "too short": BadWeight(np.ones(n - 1), r"must have shape \(40,\), one weight per row, but has shape \(39,\)"),
    "too long": BadWeight(np.ones(n + 1), r"must have shape \(40,\), one weight per row, but has shape \(41,\)"),
    "a column": BadWeight(np.ones((n, 1)), r"must have shape \(40,\), one weight per row, but has shape \(40, 1\)"),
    "a row": BadWeight(np.ones((1, n)), r"must have shape \(40,\), one weight per row, but has shape \(1, 40\)"),
    "3-d": BadWeight(np.ones((n, 1, 1)), "dim 3", own=False),
    "empty": BadWeight([], r"must have shape \(40,\), one weight per row, but has shape \(0,\)"),
    "complex": BadWeight(ones * 1j, "Complex data not supported", own=False),
    "strings": BadWeight(["heavy"] * n, "has text, such as 'heavy' at row 0: turn it into numbers"),
    "sparse": BadWeight(
        sparse.csr_array(np.ones((n, 1))), "Sparse data was passed for (sample_weight|sample_weight_val)", False
    ),
}


@pytest.mark.parametrize("case", BAD_WEIGHTS)
def test_bad_weights(case):
    bad = BAD_WEIGHTS[case]
    message = assert_refused_fitted_and_not(bad.message, (X, y, bad.weight), own=bad.own)
    assert not bad.own or "sample_weight" in message


@pytest.mark.parametrize("case", BAD_WEIGHTS)
def test_bad_validation_weights(case):
    bad = BAD_WEIGHTS[case]
    message = assert_refused_fitted_and_not(
        bad.message,
        (X, y),
        own=bad.own,
        params={"early_stopping": True},
        X_val=X,
        y_val=y,
        sample_weight_val=bad.weight,
    )
    assert not bad.own or "sample_weight_val" in message


@pytest.mark.parametrize("scale", [1e308, 1e300, 1e-300, 1e-310])
def test_weights_of_any_scale_are_not_refused(scale):
    """Only their proportions count."""
    expected = GradientDescentRegressor().fit(X, y, np.arange(1.0, n + 1))
    model = GradientDescentRegressor().fit(X, y, np.arange(1.0, n + 1) / n * scale)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-9)


class BadData(NamedTuple):
    X: object
    y: object
    message: str
    own: bool = False


BAD_DATA = {
    "X 0-d": BadData(3.0, y, "2D array"),
    "X 1-d": BadData(X[:, 0], y, "2D array"),
    "X 3-d": BadData(X[:, :, np.newaxis], y, "dim 3"),
    "X without rows": BadData(X[:0], y[:0], r"0 sample\(s\)"),
    "X without columns": BadData(X[:, :0], y, r"0 feature\(s\)"),
    "X complex": BadData(X * 1j, y, "Complex data not supported"),
    "X complex list": BadData((X * 1j).tolist(), y, "[Cc]omplex"),
    "X complex CSR": BadData(sparse.csr_array(X * 1j), y, "Complex data not supported"),
    "X strings": BadData(np.array([["red", "blue"]] * n), y, "red"),
    "X objects that are strings": BadData(np.array([["red", 1.0]] * n, dtype=object), y, "red"),
    "X objects": BadData(np.array([[object(), 1.0]] * n, dtype=object), y, "must be a string or a real number"),
    "X None": BadData(np.array([[None, 1.0]] * n, dtype=object), y, "X contains NaN at row 0, column 0", own=True),
    "y None": BadData(X, None, "requires y to be passed"),
    "y 0-d": BadData(X, 1.0, "at least 1 dimension|scalar|0-d|Singleton"),
    "y 3-d": BadData(X, y[:, np.newaxis, np.newaxis], "dim 3"),
    "y without columns": BadData(X, np.empty((n, 0)), r"0 feature\(s\)|y must have shape"),
    "y too short": BadData(X, y[1:], "X has 40 rows, but y has 39: give both the same", own=True),
    "y too long": BadData(X[1:], y, "X has 39 rows, but y has 40: give both the same", own=True),
    "y a row": BadData(X, y[np.newaxis], "X has 40 rows, but y has 1: give both the same", own=True),
    "y complex": BadData(X, y * 1j, "Complex data not supported"),
    "y strings": BadData(X, ["red"] * n, "red"),
    "y objects that are strings": BadData(X, np.array(["red"] * n, dtype=object), "red"),
    "y sparse matrix": BadData(X, sparse.csr_matrix(y[:, np.newaxis]), "Sparse data was passed for y"),
    "y sparse array": BadData(X, sparse.csc_array(y[:, np.newaxis]), "Sparse data was passed for y"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_data_of_the_wrong_shape_or_type(case):
    bad = BAD_DATA[case]
    assert_refused_fitted_and_not(bad.message, (bad.X, bad.y), own=bad.own)


def test_columns_that_are_not_all_named_by_strings():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b", 1])
    assert_refused_fitted_and_not("string names", (frame, y), own=False)


# Large is not bad


@pytest.mark.parametrize("size", [1e300, -1e300, 1e150, 1e-300, 5e-324])
@pytest.mark.parametrize("kind", ["C", "F", "csr_array"])
@pytest.mark.parametrize("place", [(0, 0), (7, 1), (39, 2)])
def test_large_and_small_finite_values_in_x_are_not_refused(kind, place, size):
    model = GradientDescentRegressor().fit(FORMATS[kind](put(X, place, size)), y)
    assert np.isfinite(model.coef_).all()
    assert np.isfinite(model.intercept_)
    others = [j for j in range(p) if j != place[1]]
    assert (model.coef_[others] != 0).all()


def test_large_finite_float32_values_are_not_refused():
    model = GradientDescentRegressor().fit(put(X.astype(np.float32), (7, 1), 3e38), y)
    assert np.isfinite(model.coef_).all()


def test_large_finite_values_in_a_big_x_are_not_refused(big):
    model = GradientDescentRegressor().fit(put(big[0].astype(np.float64), (199_998, 13), 1e300), big[1])
    np.testing.assert_allclose(model.coef_[0], 2.0, rtol=1e-9)


@pytest.mark.parametrize("size", [1e300, -1e300])
def test_large_finite_values_in_y_are_not_refused(size):
    model = GradientDescentRegressor().fit(X, put(y, 5, size))
    expected = GradientDescentRegressor().fit(X, put(np.zeros(n), 5, 1.0))
    np.testing.assert_allclose(model.coef_, expected.coef_ * size, rtol=1e-10)


# Validation data


VALIDATION_ERRORS = {
    "X_val without y_val": ({"X_val": X}, "X_val is provided, but y_val was not provided", True),
    "y_val without X_val": ({"y_val": y}, "y_val is provided, but X_val was not provided", True),
    "sample_weight_val alone": (
        {"sample_weight_val": ones},
        "sample_weight_val is provided, but X_val and y_val were not provided",
        True,
    ),
    "sample_weight_val and X_val": (
        {"sample_weight_val": ones, "X_val": X},
        "X_val is provided, but y_val was not provided",
        True,
    ),
    "columns": ({"X_val": X[:, :2], "y_val": y}, "X_val has 2 features, but .* expecting 3 .*transform_input", True),
    "rows": ({"X_val": X, "y_val": y[1:]}, "X_val has 40 rows, but y_val has 39: give both", True),
    "outputs": ({"X_val": X, "y_val": np.column_stack([y, y])}, "y_val has 2 outputs, but y has 1: pass", True),
    "X_val 1-d": ({"X_val": X[:, 0], "y_val": y}, "2D array", False),
    "X_val 3-d": ({"X_val": X[:, :, np.newaxis], "y_val": y}, "dim 3", False),
    "y_val 3-d": ({"X_val": X, "y_val": y[:, np.newaxis, np.newaxis]}, "dim 3", False),
    "X_val strings": ({"X_val": [["red"] * 3] * n, "y_val": y}, "red", False),
    "y_val strings": ({"X_val": X, "y_val": ["red"] * n}, "red", False),
    "X_val complex": ({"X_val": X * 1j, "y_val": y}, "Complex data not supported", False),
    "y_val sparse": (
        {"X_val": X, "y_val": sparse.csr_array(y[:, np.newaxis])},
        "Sparse data was passed for (y_val|y)",
        False,
    ),
    "X_val without rows": ({"X_val": X[:0], "y_val": y[:0]}, r"0 sample\(s\)", False),
    "NaN in X_val": ({"X_val": put(X, (7, 1), np.nan), "y_val": y}, "X_val contains NaN at row 7, column 1", True),
    "infinity in X_val": (
        {"X_val": put(X, (7, 1), np.inf), "y_val": y},
        "X_val contains infinity at row 7, column 1",
        True,
    ),
    "NaN in a CSR X_val": (
        {"X_val": sparse.csr_array(put(X, (7, 1), np.nan)), "y_val": y},
        "X_val contains NaN at row 7, column 1",
        True,
    ),
    "NaN in y_val": ({"X_val": X, "y_val": put(y, 7, np.nan)}, "y_val contains NaN at row 7", True),
}


@pytest.mark.parametrize("case", VALIDATION_ERRORS)
def test_bad_validation_data(case):
    given, message, own = VALIDATION_ERRORS[case]
    assert_refused_fitted_and_not(message, (X, y), own=own, params={"early_stopping": True}, **given)


def test_validation_data_without_early_stopping():
    message = assert_refused_fitted_and_not("X_val and y_val", (X, y), own=True, X_val=X, y_val=y)
    assert "early_stopping=False" in message
    assert "set early_stopping=True" in message


def test_validation_data_named_otherwise():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b", "c"])
    model = GradientDescentRegressor(early_stopping=True)
    other = frame.rename(columns={"c": "d"})
    message, own = assert_refused(model, frame, y, X_val=other, y_val=y)
    assert own
    assert message.startswith("X_val: The feature names should match those that were passed during fit")
    with pytest.raises(ValueError, match="X_val") as caught:
        model.fit(frame, y, X_val=other, y_val=y)
    assert "- d" in str(caught.value.__cause__)


def test_the_rows_held_out_are_drawn_among_those_that_count():
    """Where most rows weigh nothing, as in a bag of a few rows, a split of all rows would hold out those alone."""
    for places in ([3, 17], range(5, 10), range(0, n, 3)):
        weight = np.zeros(n)
        weight[list(places)] = 1.0
        settings = {"epochs": 9, "tol": None, "early_stopping": True, "random_state": 0, "validation_fraction": 0.25}
        model = GradientDescentRegressor("diagonal", optimizer="gd", **settings).fit(X, y, weight)
        alone = GradientDescentRegressor("diagonal", optimizer="gd", **settings).fit(X[weight > 0], y[weight > 0])
        np.testing.assert_allclose(model.coef_, alone.coef_, rtol=1e-9)
        np.testing.assert_allclose(model.history_["validation_loss"], alone.history_["validation_loss"], rtol=1e-9)


def test_a_split_of_one_row_that_counts():
    for place in range(3):
        model = GradientDescentRegressor(early_stopping=True, random_state=0)
        message, own = assert_refused(model, X, y, put(np.zeros(n), place, 1.0))
        assert own
        assert "validation_fraction=0.1 of n_samples=1 of positive weight leaves no row to train on" in message


@pytest.mark.parametrize(("fraction", "rows"), [(0.1, 1), (0.9, 4)])
def test_a_split_that_leaves_no_row_to_train_on(fraction, rows):
    model = GradientDescentRegressor(early_stopping=True, validation_fraction=fraction)
    message, own = assert_refused(model, X[:rows], y[:rows])
    assert own
    assert f"validation_fraction={fraction} of n_samples={rows} leaves no row to train on" in message


# Parameters


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("value", ["no such name", b"auto", float("nan"), [0.5], (1, 2), {}, 1j], ids=str)
def test_no_parameter_takes_nonsense(name, value):
    message = assert_refused_fitted_and_not(f"^The '{name}' parameter", (X, y), own=True, params={name: value})
    assert f"Got {value!r} instead." in message


@pytest.mark.parametrize("name", PARAMETERS)
def test_no_parameter_takes_an_array(name):
    message, own = assert_refused(GradientDescentRegressor(**{name: np.array([1.0, 2.0])}), X, y)
    assert message.startswith(f"The '{name}' parameter of GradientDescentRegressor must be ")
    assert own


@pytest.mark.parametrize("name", NUMERIC)
def test_no_number_is_negative(name):
    assert_refused_fitted_and_not(f"^The '{name}' parameter .* Got -1 instead", (X, y), own=True, params={name: -1})


@pytest.mark.parametrize("name", sorted(set(NUMERIC) - {"verbose"}))
@pytest.mark.parametrize("value", [True, False, np.True_])
def test_no_number_is_a_boolean(name, value):
    message = f"^The '{name}' parameter .* Got {re.escape(repr(value))} instead"
    assert_refused_fitted_and_not(message, (X, y), own=True, params={name: value})


@pytest.mark.parametrize("name", sorted(set(NUMERIC) - {"random_state", "epochs", "n_iter_no_change", "verbose"}))
@pytest.mark.parametrize("value", [float("inf"), float("-inf"), "0.5", None])
def test_what_is_not_a_finite_number(name, value):
    if value is None and GradientDescentRegressor().get_params()[name] is None:
        pytest.skip(f"None is the default of {name}")
    if value is None and name == "tol":
        pytest.skip("tol=None switches the certificate off")
    assert_refused_fitted_and_not(f"^The '{name}' parameter .* Got ", (X, y), own=True, params={name: value})


@pytest.mark.parametrize("name", ["epochs", "n_iter_no_change"])
@pytest.mark.parametrize("value", [0, 1.0, 2.5, "10", None])
def test_counts_are_positive_integers(name, value):
    message = rf"^The '{name}' parameter .* must be an int in the range \[1, inf\)\. Got {value!r} instead\."
    message += r" Pass the number 10, without quotes\.$" if value == "10" else "$"
    assert_refused_fitted_and_not(message, (X, y), own=True, params={name: value})


@pytest.mark.parametrize("name", BOOLEANS)
@pytest.mark.parametrize("value", [0, 1, None, "True"])
def test_booleans_are_booleans(name, value):
    message = f"^The '{name}' parameter .* Got {value!r} instead"
    assert_refused_fitted_and_not(message, (X, y), own=True, params={name: value})


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("alpha", -1, "a float in the range [0, inf)"),
        ("alpha", -1e-300, "a float in the range [0, inf)"),
        ("momentum", 1, "a float in the range [0, 1)"),
        ("momentum", 1.5, "a float in the range [0, 1)"),
        ("validation_fraction", 0, "a float in the range (0, 1)"),
        ("validation_fraction", 1, "a float in the range (0, 1)"),
        ("validation_fraction", 10, "a float in the range (0, 1)"),
        ("tol", -1e-6, "a float in the range [0, inf) or None"),
        ("target_loss", -1.0, "a float in the range [0, inf) or None"),
        ("epochs", 0, "an int in the range [1, inf)"),
        ("verbose", 1.5, "a bool or an int in the range [0, inf)"),
    ],
)
def test_the_words_are_those_of_scikit_learn(name, value, words):
    message, _ = assert_refused(GradientDescentRegressor(**{name: value}), X, y)
    assert message == f"The '{name}' parameter of GradientDescentRegressor must be {words}. Got {value!r} instead."


@pytest.mark.parametrize(
    ("name", "its_name", "value"),
    [
        ("alpha", "alpha", -1),
        ("epochs", "max_iter", 0),
        ("validation_fraction", "validation_fraction", 1.5),
        ("tol", "tol", -1),
    ],
)
def test_the_words_are_those_of_sgd_regressor(name, its_name, value):
    """But for its bounds, which it writes with a decimal point."""
    with pytest.raises(ValueError, match=its_name) as caught:
        SGDRegressor(**{its_name: value}).fit(X, y)
    words = str(caught.value).replace("SGDRegressor", "GradientDescentRegressor").replace(its_name, name)
    words = words.replace("[0.0,", "[0,").replace("(0.0, 1.0)", "(0, 1)")
    assert assert_refused(GradientDescentRegressor(**{name: value}), X, y)[0] == words


@pytest.mark.parametrize("name", sorted(NAMED))
@pytest.mark.parametrize("value", ["", "AUTO", "adam ", "squared", "l3", 7])
def test_an_unknown_name_is_told_the_known_ones(name, value):
    if name == "learning_rate" and value == 7:
        pytest.skip("a learning rate may be a number")
    default = GradientDescentRegressor().get_params()[name]
    message = assert_refused_fitted_and_not(f"^The '{name}' parameter", (X, y), own=True, params={name: value})
    assert repr(default) in message.replace("or None", "or None None")
    assert f"Got {value!r} instead." in message


@pytest.mark.parametrize("rate", [0, 0.0, -0.01])
def test_a_learning_rate_that_is_not_positive(rate):
    message = assert_refused_fitted_and_not(
        "^The 'learning_rate' parameter", (X, y), own=True, params={"learning_rate": rate}
    )
    assert "a float in the range (0, inf) or a str among {'auto'," in message
    assert f"Got {rate!r} instead." in message


@pytest.mark.parametrize("name", ["invscaling", "constant", "optimal", "adaptive"])
def test_the_schedules_of_sgd_regressor_get_a_sentence_of_their_own(name):
    message = assert_refused_fitted_and_not(
        "^The 'learning_rate' parameter", (X, y), own=True, params={"learning_rate": name}
    )
    assert f"Got {name!r} instead." in message
    assert "SGDRegressor" in message


@pytest.mark.parametrize("rate", [0.1, 1, np.float32(0.5)])
def test_conjugate_gradient_takes_no_float(rate):
    params = {"optimizer": "conjugate", "learning_rate": rate}
    message = assert_refused_fitted_and_not("optimizer='conjugate'", (X, y), own=True, params=params)
    assert f"learning_rate={rate!r}" in message
    assert "optimizer='gd' or 'momentum' or 'nesterov'" in message


@pytest.mark.parametrize(("one", "other"), [("alpha", "momentum"), ("epochs", "tol")])
def test_two_bad_parameters_get_one_sentence(one, other):
    message, _ = assert_refused(GradientDescentRegressor(**{one: -1, other: -1}), X, y)
    assert (f"'{one}'" in message) + (f"'{other}'" in message) == 1


@pytest.mark.parametrize("name", PARAMETERS)
def test_construction_and_set_params_check_nothing(name):
    marker = object()
    assert getattr(GradientDescentRegressor(**{name: marker}), name) is marker
    assert getattr(GradientDescentRegressor().set_params(**{name: marker}), name) is marker


@pytest.mark.parametrize(
    "params",
    [
        {"learning_rate": np.float32(0.01), "epochs": np.int64(5), "tol": None},
        {"learning_rate": 1, "epochs": 1, "tol": 0},
        {"learning_rate": np.str_("diagonal")},
        {"alpha": 0, "penalty": "l2"},
        {"alpha": np.float64(0.5), "penalty": np.str_("l2")},
        {"momentum": 0, "optimizer": "momentum", "learning_rate": "lipschitz"},
        {"fit_intercept": np.False_, "record_path": np.True_},
        {
            "early_stopping": np.True_,
            "validation_fraction": np.float32(0.25),
            "n_iter_no_change": np.int8(3),
            "tol": None,
        },
        {"random_state": np.random.RandomState(0), "init": "random"},
        {"random_state": np.int64(0), "init": "random"},
        {"random_state": 2**32 - 1, "init": "random"},
        {"tol": 1, "target_loss": 0},
    ],
    ids=str,
)
def test_numpy_scalars_and_bounds_that_are_included_are_taken(params):
    model = GradientDescentRegressor(**params)
    if params.get("learning_rate") == 1:
        with pytest.warns(ConvergenceWarning):
            model.fit(X, y)
    else:
        model.fit(X, y)
    assert np.isfinite(model.coef_).all()


# A second fit, and predict


@pytest.mark.parametrize(
    ("other", "numbers"),
    [
        ((X[:, :2], y), r"3 features and 1 outputs?, but these data have 2 and 1"),
        ((X, np.column_stack([y, y])), "3 and 2"),
    ],
    ids=["features", "outputs"],
)
def test_a_warm_start_onto_other_shapes(other, numbers):
    model = GradientDescentRegressor(warm_start=True).fit(X, y)
    predictions = model.predict(X)
    message, own = assert_refused(model, *other)
    assert own
    assert re.search(f"warm_start=True .*{numbers}: set warm_start=False, or fit a clone", message)
    np.testing.assert_array_equal(model.predict(X), predictions)


def test_a_failed_fit_leaves_a_warm_start_where_it_was():
    model = GradientDescentRegressor(0.01, epochs=3, tol=None, warm_start=True).fit(X, y)
    assert_refused(model, put(X, (0, 0), np.nan), y)
    twice = GradientDescentRegressor(0.01, epochs=3, tol=None, warm_start=True).fit(X, y).fit(X, y)
    np.testing.assert_array_equal(model.fit(X, y).coef_, twice.coef_)


def test_predict_before_fit():
    model = GradientDescentRegressor()
    with pytest.raises(NotFittedError, match="not fitted yet"):
        model.predict(X)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        model.score(X, y)


PREDICT_ERRORS: dict[str, tuple[Callable, str]] = {
    "fewer columns": (lambda: X[:, :2], "has 2 features, but GradientDescentRegressor is expecting 3 features"),
    "more columns": (lambda: np.hstack([X, X]), "has 6 features, but GradientDescentRegressor is expecting 3 features"),
    "1-d": (lambda: X[0], "2D array"),
    "3-d": (lambda: X[np.newaxis], "dim 3"),
    "NaN": (lambda: put(X, (7, 1), np.nan), "X contains NaN"),
    "infinity": (lambda: put(X, (7, 1), np.inf), "X contains infinity"),
    "NaN in CSR": (lambda: sparse.csr_array(put(X, (7, 1), np.nan)), "X contains NaN"),
    "strings": (lambda: [["red"] * 3], "red"),
    "complex": (lambda: X * 1j, "Complex data not supported"),
    "no rows": (lambda: X[:0], r"0 sample\(s\)"),
}


@pytest.mark.parametrize("case", PREDICT_ERRORS)
def test_bad_input_of_predict(case):
    make, match = PREDICT_ERRORS[case]
    model = GradientDescentRegressor().fit(X, y)
    message, _ = assert_refused(model, make(), method="predict")
    assert re.search(match, message)


def test_columns_renamed_or_reordered_between_fit_and_predict():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b", "c"])
    model = GradientDescentRegressor().fit(frame, y)
    for other in (frame.rename(columns={"c": "d"}), frame[["b", "a", "c"]]):
        message, _ = assert_refused(model, other, method="predict")
        assert "feature names should match those that were passed during fit" in message
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.predict(X)
    with pytest.warns(UserWarning, match="X has feature names, but"):
        GradientDescentRegressor().fit(X, y).predict(frame)


def test_an_error_in_the_middle_of_the_descent_leaves_everything_as_it_was(monkeypatch):
    model = GradientDescentRegressor().fit(X, y)
    before = copy.deepcopy(vars(model))

    def fail(*args, **kwargs):
        raise MemoryError("out of memory")

    monkeypatch.setattr("gdregress.regressor.solve", fail)
    with pytest.raises(MemoryError):
        model.fit(X[:, :2], y * 7)
    assert same(before, vars(model))


def test_a_warning_of_the_data_raised_as_an_error_leaves_a_whole_fit():
    """With `filterwarnings=error`, as here, a warning is an exception like any other; this one comes after the fit."""
    model, other = (GradientDescentRegressor(0.01, 5, tol=None, early_stopping=True) for _ in range(2))
    with pytest.raises(UserWarning, match="was X_val transformed as X was"):
        model.fit(X, y, X_val=X * 1e6, y_val=y)
    with warnings.catch_warnings(action="ignore"):
        other.fit(X, y, X_val=X * 1e6, y_val=y)
    assert same(vars(model), vars(other))


@pytest.mark.parametrize("name", ["coef_", "intercept_"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("params", [{}, {"loss": "huber"}, {"learning_rate": 0.01}], ids=str)
def test_a_warm_start_from_no_numbers(params, value, name):
    model = GradientDescentRegressor(warm_start=True, epochs=5, tol=None, **params).fit(X, y)
    setattr(model, name, getattr(model, name) * value)
    before = copy.deepcopy(vars(model))
    with pytest.raises(ValueError, match=f"would go on from {value} in {name}: set warm_start=False, or") as caught:
        model.fit(X, y)
    assert_one_sentence(str(caught.value))
    assert same(before, vars(model))


LOSSES = [
    "squared_error",
    "huber",
    "absolute_error",
    "quantile",
    "epsilon_insensitive",
    "squared_epsilon_insensitive",
]


@pytest.mark.parametrize("penalty", ["l1", "l2", "elasticnet"])
@pytest.mark.parametrize("rate", ["auto", "diagonal", 0.01])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_penalty_beyond_the_range_of_floats(loss, rate, penalty):
    model = GradientDescentRegressor(rate, loss=loss, penalty=penalty, alpha=1e308)
    with pytest.raises(ValueError, match=r"alpha=1e\+308 makes a penalty .* use a smaller alpha") as caught:
        model.fit(X, y)
    assert_one_sentence(str(caught.value))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("rate", ["auto", "diagonal", "lipschitz", 0.01])
@pytest.mark.parametrize("loss", LOSSES)
def test_columns_at_the_end_of_the_range_of_floats(loss, rate):
    """Their products with slopes are infinite: at the minimum, or told what helps, and helped by it."""
    huge = np.sign(X) * np.minimum(np.abs(X) + 0.5, 1.0) * 1.6e308
    model = GradientDescentRegressor(rate, loss=loss).fit(huge, y)
    smaller = GradientDescentRegressor(loss=loss).fit(huge / 1e308, y)
    if model.converged_:
        np.testing.assert_allclose(model.predict(huge), smaller.predict(huge / 1e308), rtol=0, atol=2e-6 * y.std())
    else:
        assert "Divide X by a power of ten: " in model.stop_reason_
    assert smaller.converged_
    assert loss != "squared_error" or model.converged_ == (rate in ("auto", "diagonal"))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_no_descent_that_warns_has_converged():
    """Optimality is a share of the loss, and no share of an infinite loss means anything."""
    for rate in (0.01, "lipschitz", "diagonal", "auto"):
        for scale in (1e150, 1e300):
            model = GradientDescentRegressor(rate, 20, loss="huber", penalty="l1", alpha=1e300).fit(X * scale, y)
            assert model.converged_ == ("converged" in model.stop_reason_)
