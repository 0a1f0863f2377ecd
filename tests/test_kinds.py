"""What is no number is refused with its name, its place and a remedy, in whatever and wherever it comes."""

import datetime
import functools
import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import BaggingRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from gdregress import GradientDescentRegressor, closed_form, compare
from gdregress.rows.kinds import FEATURES, check_numbers

rng = np.random.default_rng(0)
n = 12
x = rng.normal(size=n)
X, y = np.column_stack([x, rng.normal(size=n)]), 2 * x + 1
ones = np.ones(n)
red = ["red", "blue", "red"] * 4
ENCODE = r"such as 'red' at row 0: encode it \(OneHotEncoder in a ColumnTransformer\), or drop the column\.$"
DAYS = "turn them into numbers, such as days since the first, or drop the column"


def frame(column):
    return pd.DataFrame({"x": x, "c": column})


def polars(column, dtype=None):
    return pl.DataFrame({"x": x, "c": pl.Series(column, dtype=dtype)})


def arrow(column):
    pa = pytest.importorskip("pyarrow")
    return pa.table({"x": x, "c": pa.array(column)})


def objects(column):
    return pd.Series(column, dtype=object)


BAD_COLUMNS = {
    "text, pandas": (lambda: frame(red), f"has text in column 'c', {ENCODE}"),
    "text, pandas objects": (lambda: frame(objects(red)), f"has text in column 'c', {ENCODE}"),
    "text beside gaps": (lambda: frame(objects([None, np.nan, *red[:-2]])), "has text in column 'c', such as 'red' at"),
    "text, pandas category": (lambda: frame(pd.Categorical(red)), f"has text in column 'c', {ENCODE}"),
    "text, Polars": (lambda: polars(red), f"has text in column 'c', {ENCODE}"),
    "text, Polars Categorical": (lambda: polars(red, pl.Categorical), f"has text in column 'c', {ENCODE}"),
    "text, Polars Enum": (lambda: polars(red, pl.Enum(["red", "blue"])), f"has text in column 'c', {ENCODE}"),
    "text, Arrow": (lambda: arrow(red), f"has text in column 'c', {ENCODE}"),
    "text, Arrow dictionary": (lambda: arrow(pd.Categorical(red)), f"has text in column 'c', {ENCODE}"),
    "text, Arrow in pandas": (
        lambda: frame(pd.Series(red, dtype="string[pyarrow]")),
        f"has text in column 'c', {ENCODE}",
    ),
    "text, NumPy": (lambda: np.array([red, red]).T, f"has text in column 0, {ENCODE}"),
    "text, NumPy bytes": (lambda: np.array([red, red]).T.astype("S"), "has text in column 0, such as "),
    "text, NumPy objects": (lambda: np.column_stack([x.astype(object), red]), f"has text in column 1, {ENCODE}"),
    "text, list": (lambda: [list(row) for row in zip(x.tolist(), red, strict=True)], f"has text in column 1, {ENCODE}"),
    "numbers as text": (
        lambda: frame(["1.5"] * n),
        "has text in column 'c', such as '1.5' at row 0: turn it into numbers \\(astype",
    ),
    "one odd text among numbers as text": (
        lambda: frame(["1.5", "2", "3", "?", *["7"] * (n - 4)]),
        r"has text among the numbers of column 'c', such as '\?' at row 3: make it NaN \(pandas\.to_numeric.*Imputer",
    ),
    "one odd text among numbers": (
        lambda: frame(objects([1.5, "n.a.", *range(n - 2)])),
        "has text among the numbers of column 'c', such as 'n.a.' at row 1: make it NaN",
    ),
    "one number among text": (
        lambda: frame(objects([1.5, *red[1:]])),
        r"has text in column 'c', such as 'blue' at row 1: encode it",
    ),
    "decimal commas": (
        lambda: frame(["1,5", "2", *["1.000,25"] * (n - 2)]),
        "has text in column 'c', such as '1,5' at row 0: turn it into numbers such as 1234.5, with a decimal point",
    ),
    "dates as text": (
        lambda: frame(["2026-01-01"] * n),
        r"has text in column 'c', such as '2026-01-01' at row 0: turn it into dates \(pandas.to_datetime\), and these",
    ),
    "dates with years of two digits": (
        lambda: frame(["31.12.24", "1-02-24", "12/31/24", "1/2/24 10:00"] * (n // 4)),
        r"has text in column 'c', such as '31.12.24' at row 0: turn it into dates \(pandas.to_datetime\), and these",
    ),
    "versions": (
        lambda: frame(["1.2.3", "2.0.1"] * (n // 2)),
        "has text in column 'c', such as '1.2.3' at row 0: encode",
    ),
    "versions with numbers of two digits": (
        lambda: frame(["1.2.34", "2.0.10"] * (n // 2)),
        "has text in column 'c', such as '1.2.34' at row 0: encode it",
    ),
    "addresses": (
        lambda: frame(["192.168.1", "10.100.2"] * (n // 2)),
        "has text in column 'c', such as '192.168.1' at row 0: encode it",
    ),
    "numbers in groups": (
        lambda: frame(["1.234.567,5", "$1,234.50", "12,34,567", "1 234 567 %"] * (n // 4)),
        "has text in column 'c', such as '1.234.567,5' at row 0: turn it into numbers such as 1234.5",
    ),
    "dates as bytes": (
        lambda: np.full((n, 2), b"1/2/2026 10:00"),
        "has text in column 0, such as .*1/2/2026 10:00.* at row 0: turn it into dates",
    ),
    "long text": (lambda: frame(["a" * 999] * n), "has text in column 'c', such as 'a{36}... at row 0: encode it"),
    "dates, pandas": (lambda: frame(pd.date_range("2026", periods=n)), f"has dates in column 'c': {DAYS}"),
    "dates with a gap": (
        lambda: frame([pd.NaT, *pd.date_range("2026", periods=n - 1)]),
        f"has dates in column 'c': {DAYS}",
    ),
    "dates, time zone": (lambda: frame(pd.date_range("2026", periods=n, tz="UTC")), "has dates in column 'c', such as"),
    "dates, objects": (
        lambda: frame(objects([datetime.date(2026, 1, 1)] * n)),
        f"has dates in column 'c', such as 2026-01-01 at row 0: {DAYS}",
    ),
    "dates, Polars": (
        lambda: polars([datetime.date(2026, 1, 1)] * n),
        f"has dates in column 'c', such as 2026-01-01 at row 0: {DAYS}",
    ),
    "dates, Arrow": (lambda: arrow([datetime.datetime(2026, 1, 1)] * n), f"has dates in column 'c': {DAYS}"),
    "dates, NumPy": (lambda: np.full((n, 2), np.datetime64("2026-01-01")), f"has dates in column 0: {DAYS}"),
    "NaT, NumPy": (lambda: np.full((n, 2), np.datetime64("NaT", "ns")), f"has dates in column 0: {DAYS}"),
    "times of day": (lambda: polars([datetime.time(7)] * n), "has dates in column 'c', such as 07:00:00 at row 0"),
    "durations, NumPy": (lambda: np.full((n, 2), np.timedelta64(1, "D")), "has durations in column 0: .*a division by"),
    "durations, pandas": (lambda: frame(pd.to_timedelta(range(n), "D")), "has durations in column 'c': .*division"),
    "periods": (lambda: frame(pd.period_range("2026", periods=n, freq="M")), "has a value of type Period at row 0, co"),
    "intervals": (lambda: frame(pd.interval_range(0, n)), "has a value of type Interval at row 0, column 'c' .*number"),
    "NA, objects": (lambda: frame(objects([1, 2, pd.NA] * 4)), "contains NA at row 2, column 'c': fill it .*SimpleImp"),
    "dicts": (
        lambda: np.array([[1.0, {}]] * n),
        r"has a value of type dict at row 0, column 1 \(float\(\) argument",
    ),
    "masked": (lambda: np.ma.masked_array(X, X[3, 1] == X), "has masked entries, the first at row 3, column 1: fill"),
    "text in the first of two, Polars": (lambda: pl.DataFrame({"c": red, "x": x}), f"has text in column 'c', {ENCODE}"),
    "text in the first of two, Arrow": (
        lambda: arrow(red).select(["c", "x"]),
        f"has text in column 'c', {ENCODE}",
    ),
    "NaT among numbers": (lambda: frame(objects([1, 2, pd.NaT] * 4)), "contains NaT at row 2, column 'c': fill it"),
    "NaT among numbers, NumPy": (
        lambda: frame(objects([1, np.datetime64("NaT"), 2] * 4)),
        "contains NaT at row 1, column 'c': fill it",
    ),
    "a whole number of 400 digits": (
        lambda: frame(objects([1, 10**400] * 6)),
        "has a number too large for a float at row 1, column 'c': divide by a power of ten, or drop the column",
    ),
    "a complex number among objects": (
        lambda: frame(objects([1, 1j] * 6)),
        "has a value of type complex at row 1, column 'c' .*: turn it into a number, or drop the column",
    ),
    "fields": (
        lambda: np.rec.fromarrays([x, x], names="columns,b"),
        "is a structured array with the fields 'columns', 'b': pass its columns side by side",
    ),
    "a query": (lambda: polars(x).lazy(), r"is a LazyFrame, which has not run yet: pass its collect\(\)"),
    "two names alike, Arrow": (
        lambda: arrow(x).rename_columns(["a", "a"]),
        "has two columns named 'a': rename one",
    ),
    "two names alike": (lambda: pd.DataFrame(X, columns=["a", "a"]), "has two columns named 'a': rename one"),
    "two numbers alike": (lambda: pd.DataFrame(X, columns=[0, 0]), "has two columns named 0: rename one"),
}
BAD_VECTORS = {
    "text": (lambda: objects(["$139,750"] * n), r"has text, such as '\$139,750' at row 0: turn it into numbers"),
    "one odd text among numbers": (
        lambda: ["1", "2", "?", *range(n - 3)],
        r"has text among the numbers, such as '\?' at row 2: make it a number, or drop the row\.$",
    ),
    "text, list": (lambda: red, "has text, such as 'red' at row 0: turn it into numbers"),
    "text, Polars": (lambda: pl.Series(red), "has text, such as 'red' at row 0: turn it into numbers"),
    "text in a frame": (lambda: pd.DataFrame({"price": red}), "has text in column 'price', such as 'red' at row 0: tu"),
    "dates": (lambda: pd.Series(pd.date_range("2026", periods=n)), "has dates: turn them into numbers"),
    "NaT, NumPy": (lambda: np.full(n, np.datetime64("NaT", "ns")), "has dates: turn them into numbers"),
    "NaT, Polars": (
        lambda: pl.Series([None, datetime.date(2026, 1, 1)] * 6),
        "has dates, such as 2026-01-01 at row 1: turn them into",
    ),
    "NA": (lambda: objects([pd.NA] * n), "contains NA at row 0: drop the row"),
    "masked": (lambda: np.ma.masked_array(ones, x == x[3]), "has masked entries, the first at row 3: fill them"),
}
SLOW = {"learning_rate": "diagonal", "optimizer": "gd", "epochs": 50, "tol": None, "early_stopping": True}

OTHER = pd.DataFrame({"x": x, "d": x})
FITTED = GradientDescentRegressor().fit(X, y)
TAKES_X = {
    "fit": ("X", lambda bad: GradientDescentRegressor().fit(bad, y)),
    "partial_fit": ("X of chunk 1", lambda bad: GradientDescentRegressor().partial_fit(bad, y)),
    "fit_batches": ("X of chunk 2", lambda bad: GradientDescentRegressor().fit_batches([(X, y), (bad, y)])),
    "an epoch over a chunk": ("X of chunk 1", lambda bad: GradientDescentRegressor(loss="huber").partial_fit(bad, y)),
    "predict": ("X", FITTED.predict),
    "score": ("X", lambda bad: FITTED.score(bad, y)),
    "compare": ("X", lambda bad: compare(bad, y)),
    "compare, test rows": ("X_test", lambda bad: compare(X, y, X_test=bad, y_test=y)),
    "closed form": ("X", lambda bad: closed_form(bad, y)),
}
TAKES_A_VECTOR = {
    "fit": ("y", lambda bad: GradientDescentRegressor().fit(X, bad)),
    "partial_fit": ("y of chunk 1", lambda bad: GradientDescentRegressor().partial_fit(X, bad)),
    "fit_batches": ("y of chunk 2", lambda bad: GradientDescentRegressor().fit_batches([(X, y), (X, bad)])),
    "score": ("y", lambda bad: FITTED.score(X, bad)),
    "compare": ("y", lambda bad: compare(X, bad)),
    "compare, test rows": ("y_test", lambda bad: compare(X, y, X_test=X, y_test=bad)),
    "y_val": ("y_val", lambda bad: GradientDescentRegressor(**SLOW).fit(X, y, X_val=X, y_val=bad)),
    "weights": ("sample_weight", lambda bad: GradientDescentRegressor().fit(X, y, bad)),
    "weights of score": ("sample_weight", lambda bad: FITTED.score(X, y, bad)),
    "weights of compare": ("sample_weight", lambda bad: compare(X, y, sample_weight=bad)),
}


def assert_refused(call, bad, message):
    with pytest.raises((ValueError, TypeError)) as caught:
        call(bad)
    assert re.match(f"(Input )?{message}", str(caught.value)), caught.value
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", BAD_COLUMNS)
def test_a_column_of_x_that_holds_no_numbers(kind):
    make, message = BAD_COLUMNS[kind]
    assert_refused(TAKES_X["fit"][1], make(), f"X {message}")


@pytest.mark.parametrize("kind", ["text, pandas", "dates, NumPy", "NA, objects", "masked", "two names alike"])
@pytest.mark.parametrize("place", TAKES_X)
def test_the_same_sentence_wherever_x_is_taken(kind, place):
    name, call = TAKES_X[place]
    make, message = BAD_COLUMNS[kind]
    if place in (
        "fit_batches",
        "predict",
        "score",
        "compare, test rows",
    ):  # once columns are known, other remedies help
        message = message.split(": ")[0]
    assert_refused(call, make(), f"{name} {message}")


@pytest.mark.parametrize("place", ["fit", "partial_fit", "an epoch over a chunk", "compare"])
def test_a_gap_is_told_by_the_name_of_its_column(place):
    name, call = TAKES_X[place]
    gap = pd.DataFrame(X, columns=["x", "c"]).mask(X[3, 1] == X)
    assert_refused(call, gap, f"{name} contains NaN at row 3, column 'c': fill it")
    assert_refused(call, gap.to_numpy(), f"{name} contains NaN at row 3, column 1: fill it")


def test_a_gap_is_told_by_its_name_wherever_names_were_seen():
    table = pd.DataFrame(X, columns=["x", "c"])
    gap = table.mask(X[3, 1] == X)
    model = GradientDescentRegressor(**SLOW).fit(table, y)
    for call in (
        model.predict,
        lambda bad: model.score(bad, y),
        lambda bad: model.fit(table, y, X_val=bad, y_val=y),
        lambda bad: compare(table, y, X_test=bad, y_test=y),
        lambda bad: GradientDescentRegressor().fit_batches([(table, y), (bad, y)]),
        lambda bad: GradientDescentRegressor().fit(table, y).partial_fit(bad, y),
    ):
        assert_refused(call, gap, "X(_val|_test| of chunk [12])? contains NaN at row 3, column 'c': fill it")


@pytest.mark.parametrize("kind", BAD_VECTORS)
@pytest.mark.parametrize("place", TAKES_A_VECTOR)
def test_targets_and_weights_that_are_no_numbers(kind, place):
    name, call = TAKES_A_VECTOR[place]
    make, message = BAD_VECTORS[kind]
    assert_refused(call, make(), f"{name} {message}")


def test_validation_rows_are_named_with_the_way_through_a_pipeline():
    encode = ColumnTransformer([("text", OneHotEncoder(), ["c"])], remainder="passthrough")
    table = frame(red)
    model = Pipeline([("encode", encode), ("model", GradientDescentRegressor(**SLOW))])
    assert_refused(
        lambda bad: model.fit(table, y, model__X_val=bad, model__y_val=y),
        table,
        r"X_val has text in column 'c', such as 'red' at row 0: encode it as X is, in a pipeline by "
        r"transform_input=\['X_val'\] and set_fit_request\(X_val=True, y_val=True\)",
    )
    assert_refused(
        lambda bad: model.fit(table, y, model__X_val=bad, model__y_val=y),
        X[:, :1],
        r"X_val has 1 features, but .* is expecting 3 features as input \(transform X_val as X is, in a pipeline by",
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: GradientDescentRegressor().fit(X, y[1:]), "X has 12 rows, but y has 11: give both the same"),
        (lambda: GradientDescentRegressor().fit(X[1:], y), "X has 11 rows, but y has 12: give both the same"),
        (lambda: FITTED.score(X, y[1:]), "X has 12 rows, but y has 11: give both the same"),
        (lambda: compare(X, y[1:]), "X has 12 rows, but y has 11: give both the same"),
        (lambda: compare(X, y, X_test=X, y_test=y[1:]), "X_test has 12 rows, but y_test has 11: give both the same"),
        (
            lambda: GradientDescentRegressor(**SLOW).fit(X, y, X_val=X, y_val=y[1:]),
            "X_val has 12 rows, but y_val has 11: give both the same",
        ),
        (
            lambda: GradientDescentRegressor(**SLOW).fit(frame(x), y, X_val=OTHER, y_val=y),
            "X_val: The feature names should match those that were passed during fit: feature names unseen at fit "
            "time: d; feature names seen at fit time, yet now missing: c .transform X_val as X is",
        ),
        (lambda: compare(X, "price"), r"y is the text 'price': pass the targets themselves, such as table\['price'\]"),
        (lambda: compare(np.where(X[2, 1] == X, np.nan, X), y), "Input X contains NaN at row 2, column 1: fill it"),
        (lambda: compare(X, np.where(y == y[2], np.nan, y)), "Input y contains NaN at row 2: drop the row"),
        (lambda: GradientDescentRegressor().fit_batches(chunks), r"batches is the function chunks .* pass chunks\(\)"),
        (
            lambda: GradientDescentRegressor().fit_batches(functools.partial(chunks)),
            "batches is a partial and not what it yields: call it, and pass the result",
        ),
        (
            lambda: GradientDescentRegressor().fit_batches(lambda: chunks()),
            "batches is a function and not what it yields: call it, and pass the result",
        ),
        (lambda: GradientDescentRegressor().fit_batches(3), r"batches is a int: pass an iterable of \(X, y\)"),
        (lambda: GradientDescentRegressor().fit_batches(X), "chunk 1 is of type ndarray and no pair or triple: yield"),
    ],
)
def test_which_part_is_wrong_is_said(call, message):
    assert_refused(lambda _: call(), None, message)


def chunks():
    yield X, y


@pytest.mark.parametrize(
    "table",
    [
        lambda: frame(pd.Categorical(range(n))),
        lambda: frame(objects(range(n))),
        lambda: frame([True, False, True] * 4),
        lambda: frame(pd.array(range(n), dtype="Int64")),
        lambda: polars(range(n)),
        lambda: polars(range(n), pl.Decimal(9, 2)),
        lambda: polars([True, False, True] * 4),
        lambda: arrow(range(n)),
        lambda: np.ma.masked_array(X),
        lambda: X.astype(object),
        lambda: X.tolist(),
    ],
)
def test_numbers_are_taken_in_whatever_they_come(table):
    given = table()
    model = GradientDescentRegressor().fit(given, y)
    plain = np.asarray(given, dtype=float)
    np.testing.assert_allclose(
        model.predict(given), GradientDescentRegressor().fit(plain, y).predict(plain), rtol=1e-12
    )


@pytest.mark.parametrize("name", ["column_names", "_mask", "mask", "schema", "dtype", "shape", "columns", "is_numeric"])
@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame])
def test_a_column_may_have_the_name_of_an_attribute(make, name):
    """In pandas a column is an attribute, too."""
    model = GradientDescentRegressor().fit(make({name: X[:, 0], "b": X[:, 1]}), y)
    np.testing.assert_allclose(model.coef_, GradientDescentRegressor().fit(X, y).coef_, rtol=1e-12)


def wide_objects():
    return pd.DataFrame(np.ones((5, 5000), dtype=object))


@pytest.mark.parametrize("make", [wide_objects, lambda: pl.DataFrame(np.ones((5, 5000)))])
def test_of_a_wide_table_of_numbers_no_column_is_looked_at_by_itself(make, monkeypatch):
    """One by one they take ten to twenty times as long as their conversion."""
    monkeypatch.setattr("gdregress.rows.kinds.Column.check", lambda *_: pytest.fail("looked at a column"))
    check_numbers("X", make(), FEATURES)


def test_a_bag_of_few_rows_stops_early():
    """Its weights are zero for all rows that are not in the bag: there are enough others to hold out."""
    many = rng.normal(size=(200, 2))
    bag = BaggingRegressor(GradientDescentRegressor(**SLOW), 5, max_samples=0.1, random_state=0)
    assert bag.fit(many, many[:, 0]).score(many, many[:, 0]) > 0.99


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["?", "12,5", "3,25", "1,0"], r"such as '12,5' at row 1: turn it into numbers such as 1234.5"),
        (["?", "2024-01-31", "2024-02-01", "n/a"], r"such as '\?' at row 0: encode it"),
        (["2024-01-31", "2024-02-01", "-", "2024-02-05"], r"such as '2024-01-31' at row 0: turn it into dates"),
        (["north", "12,5", "south", "west"], r"such as 'north' at row 0: encode it"),
    ],
)
def test_a_mark_of_a_gap_does_not_decide_what_the_text_of_a_column_is(cells, said):
    table = pd.DataFrame({"number": [1.0, 2.0, 3.0, 4.0], "text": cells})
    with pytest.raises(ValueError, match=said):
        GradientDescentRegressor().fit(table, [1.0, 2.0, 3.0, 4.0])


def test_text_in_a_column_that_held_numbers_in_fit_is_to_be_transformed_as_then():
    model = GradientDescentRegressor().fit(pd.DataFrame({"a": [1.0, 2.0, 4.0]}), [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"in column 'a', .*: fit was given numbers.* as it was then\.$"):
        model.predict(pd.DataFrame({"a": ["x", "y"]}))


def test_weights_that_are_one_text():
    with pytest.raises(
        ValueError, match=r"^sample_weight is the text 'balanced': pass the weights themselves, one per row"
    ):
        GradientDescentRegressor().fit(X, y, sample_weight="balanced")
