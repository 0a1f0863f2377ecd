"""Mini-batches, schedules and averages in the estimator, and the errors of what is new."""

import math
import re
import sys

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from gdregress import GradientDescentRegressor, Loss
from gdregress.rows.dask import DaskRows, blocks_of
from gdregress.rows.memory import RowBlocks

rng = np.random.default_rng(0)
X = rng.normal(size=(30, 3))
y = X @ [1.0, -2.0, 0.5] + 0.3 + 0.1 * rng.normal(size=30)


def sgd(size, epochs, *, rate=0.01, order=None, weight=None, factor=lambda k: 1.0):
    """Stochastic gradient descent as the textbooks write it; every point of it."""
    weight = np.ones(30) if weight is None else weight / np.mean(weight)
    w, b, path = np.zeros(3), 0.0, [(np.zeros(3), 0.0)]
    for k in range(epochs):
        rows = np.arange(30) if order is None else order[k]
        for start in range(0, 30, size):
            batch = rows[start : start + size]
            residual = weight[batch] * (y[batch] - X[batch] @ w - b)
            w = w + rate * factor(k) * 2 * X[batch].T @ residual / len(batch)
            b = b + rate * factor(k) * 2 * residual.mean()
            path.append((w, b))
    return path


def fit(**given):
    return GradientDescentRegressor(**{"learning_rate": 0.01, "tol": None, "random_state": 0, **given}).fit(X, y)


@pytest.mark.parametrize("size", [1, 7, 10, 29])
@pytest.mark.parametrize("container", [np.asarray, np.asfortranarray, sparse.csr_array])
def test_batches_in_order_are_the_textbooks_loop(size, container):
    model = GradientDescentRegressor(0.01, 3, tol=None, batch_size=size, shuffle=False).fit(container(X), y)
    w, b = sgd(size, 3)[-1]
    np.testing.assert_allclose(model.coef_, w, rtol=1e-10)
    np.testing.assert_allclose(model.intercept_, b, rtol=1e-10)


def test_one_row_at_a_time_is_stochastic_gradient_descent():
    order = [np.random.RandomState(0).permutation(30)]
    w, b = sgd(1, 1, order=order)[-1]
    model = fit(batch_size=1, epochs=1)
    np.testing.assert_allclose(model.coef_, w, rtol=1e-10)
    np.testing.assert_allclose(model.intercept_, b, rtol=1e-10)


@pytest.mark.parametrize("size", [30, 31, 10**6])
def test_as_many_as_all_rows_is_the_whole_descent(size):
    np.testing.assert_array_equal(fit(batch_size=size, epochs=9).coef_, fit(epochs=9).coef_)


def test_an_epoch_is_one_pass_and_history_is_of_the_whole_objective():
    model = fit(batch_size=7, epochs=5, shuffle=False, record_path=True)
    path = sgd(7, 5)[::5]
    assert model.n_iter_ == 5
    for loss, coef, intercept, (w, b) in zip(
        model.history_["loss"], model.history_["coef"], model.history_["intercept"], path, strict=True
    ):
        np.testing.assert_allclose(coef, w, rtol=1e-9, atol=1e-15)
        assert intercept == pytest.approx(b, rel=1e-9, abs=1e-15)
        assert loss == pytest.approx(np.mean((y - X @ w - b) ** 2), rel=1e-9)


def test_weights_count_in_their_batch():
    weight = rng.uniform(0.5, 2.0, 30)
    model = GradientDescentRegressor(0.01, 2, tol=None, batch_size=10, shuffle=False).fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(model.coef_, sgd(10, 2, weight=weight)[-1][0], rtol=1e-9)


def test_every_row_of_weight_is_seen_once_in_a_pass():
    weight = np.ones(30)
    weight[[3, 8]] = 0.0
    rows = RowBlocks(np.arange(30.0)[:, np.newaxis], y[:, np.newaxis], weight)
    stream = rows.batches(9, np.random.RandomState(0))
    for _ in range(2):
        seen = np.concatenate([next(stream).features_of(slice(None))[:, 0] for _ in range(4)])
        assert sorted(seen) == sorted(set(range(30)) - {3, 8})


def test_other_weights_and_targets_of_the_same_rows():
    rows = RowBlocks(X, y[:, np.newaxis])
    assert (rows.n_weighted, rows.total_weight) == (30, 30.0)
    weighed = rows.with_weight(np.where(np.arange(30) < 4, 0.0, 0.5))
    for same in (weighed, weighed.with_targets(np.abs), weighed.dense_as(np.longdouble, X.size)):
        assert (same.n_samples, same.n_weighted, same.total_weight) == (30, 26, 13.0)
    assert weighed.X is X
    assert (rows.weight, rows.n_weighted, rows.total_weight) == (None, 30, 30.0)


@pytest.mark.parametrize("size", [1, 20, 29, 30, 31])
def test_a_sample_has_as_many_rows_as_asked_for_at_most_and_those_evenly_spaced(size):
    rows = RowBlocks(np.arange(30.0)[:, np.newaxis], y[:, np.newaxis])
    sampled = rows.sample(size)[0][:, 0]
    assert size / 2 <= len(sampled) <= size or len(sampled) == 30 < size
    assert len(set(np.diff(sampled))) <= 1


def test_a_subsample_draws_anew_in_each_stratum_and_no_row_twice():
    rows = RowBlocks(np.arange(800.0)[:, np.newaxis], np.zeros((800, 1)))
    drawn = rows.subsample(0.25, 1, np.random.RandomState(0)).index
    np.testing.assert_array_equal(drawn // 4, np.arange(200))
    assert set(drawn % 4) == {0, 1, 2, 3}
    assert (np.diff(rows.subsample(0.5, 8, np.random.RandomState(0)).index) > 0).all()


def test_a_split_shares_out_the_weights_and_leaves_the_rows_as_they_were():
    weight = np.arange(1.0, 31.0)
    rows = RowBlocks(X, y[:, np.newaxis], weight.copy())
    training, held_out = rows.split(0.3, np.random.RandomState(0))
    np.testing.assert_array_equal(rows.weight, weight)
    np.testing.assert_array_equal(np.sort(held_out.weight), weight[training.weight == 0])


def test_a_split_of_dask_draws_no_row_of_weight_zero():
    """Neither where a whole block has no weight nor where rows beside others have none; and no row twice."""
    da = pytest.importorskip("dask.array")
    import dask

    weight = np.where(np.arange(300) % 3, np.arange(300.0), 0.0)
    weight[:50] = 0.0
    places = np.arange(300.0)[:, np.newaxis]
    rows = DaskRows.of(blocks_of(da.from_array(places, chunks=(50, 1)), np.zeros(300), weight))
    positive = set(np.flatnonzero(weight).tolist())
    for seed in range(5):
        training, held_out = rows.split(0.4, np.random.RandomState(seed))
        sides = [
            [
                (int(place), own)
                for block in dask.compute(*side.blocks)
                if block is not None
                for place, own in zip(block.X[:, 0], block.weight, strict=True)
                if own > 0
            ]
            for side in (training, held_out)
        ]
        (kept, _), (held, _) = (zip(*side, strict=True) for side in sides)
        assert len(held) == held_out.n_samples == math.ceil(0.4 * len(positive))
        assert sorted([*kept, *held]) == sorted(positive)
        assert all(own == weight[place] for side in sides for place, own in side)


def test_batches_in_order_are_views_and_the_seed_decides_the_others():
    rows = RowBlocks(X, y[:, np.newaxis])
    assert np.shares_memory(next(rows.batches(8, None)).X, X)
    one, other = fit(batch_size=4, epochs=3), fit(batch_size=4, epochs=3)
    np.testing.assert_array_equal(one.coef_, other.coef_)
    assert not np.array_equal(one.coef_, fit(batch_size=4, epochs=3, random_state=1).coef_)


@pytest.mark.filterwarnings("ignore:.* has no effect with")
@pytest.mark.parametrize(
    ("schedule", "factor"),
    [
        ("constant", lambda k: 1.0),
        ("invscaling", lambda k: (k + 1) ** -0.5),
        ("exponential", lambda k: 0.01 ** (k / 6)),
        ("cosine", lambda k: (1 + np.cos(np.pi * k / 6)) / 2),
        (lambda k: 2.0**-k, lambda k: 2.0**-k),
    ],
)
def test_schedules_multiply_the_rate(schedule, factor):
    model = fit(epochs=6, schedule=schedule, power_t=0.5, batch_size=10, shuffle=False)
    np.testing.assert_allclose(model.history_["learning_rate"][1:], [0.01 * factor(k) for k in range(6)])
    np.testing.assert_allclose(model.coef_, sgd(10, 6, factor=factor)[-1][0], rtol=1e-9)


@pytest.mark.parametrize(("average", "skip"), [(True, 0), (1, 0), (20, 2), (21, 2)])
def test_average_is_the_mean_of_the_points_after_some_rows(average, skip):
    points = sgd(10, 4)[1:]
    model = fit(epochs=4, average=average, batch_size=10, shuffle=False)
    np.testing.assert_allclose(model.coef_, np.mean([w for w, _ in points[skip:]], axis=0), rtol=1e-9)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("rate", ["lipschitz", "diagonal", "curvature"])
def test_the_chosen_rate_is_a_tenth_of_the_largest_stable_one(rate, fit_intercept):
    """1 / (L + 2 E|x|^4 / E|x|^2 / k), with x in the coordinates of the descent (Ma, Bassily and Belkin, 2018)."""
    center = X.mean(axis=0) if fit_intercept and rate != "lipschitz" else np.zeros(3)
    rows = X - center
    if rate == "diagonal":
        rows = rows / np.sqrt((rows**2).mean(axis=0))
    if rate == "curvature":
        rows = np.linalg.solve(np.linalg.cholesky(rows.T @ rows / 30), rows.T).T
    if fit_intercept:
        rows = np.column_stack([rows, np.ones(30)])
    squares, largest = (rows**2).sum(axis=1), np.linalg.eigvalsh(2 * rows.T @ rows / 30)[-1]
    bound = 1 / (largest + 2 * (squares**2).mean() / squares.mean() / 7)
    expected = 0.1 * bound * (2 if rate == "curvature" else 1)  # in the inverse Hessian, 1 is a whole step
    params = {"learning_rate": rate, "optimizer": "gd", "batch_size": 7, "epochs": 1, "fit_intercept": fit_intercept}
    np.testing.assert_allclose(fit(**params).history_["learning_rate"][1], expected, rtol=1e-9)


@pytest.mark.filterwarnings("ignore:.* has no effect with")
@pytest.mark.parametrize("rate", ["lipschitz", "diagonal"])
def test_the_chosen_rate_allows_for_momentum(rate):
    """Every gradient moves w by eta / (1 - beta) in all."""
    params = {"learning_rate": rate, "batch_size": 7, "momentum": 0.8, "epochs": 2}
    plain, heavy = (fit(optimizer=name, **params) for name in ("gd", "momentum"))
    np.testing.assert_allclose(heavy.history_["learning_rate"][1:], 0.2 * plain.history_["learning_rate"][1:])


def test_an_average_beats_the_noise_it_is_of():
    assert (
        fit(batch_size=1, learning_rate=0.1, epochs=40, average=True).history_["loss"][-1]
        < (fit(batch_size=1, learning_rate=0.1, epochs=40).history_["loss"][-1])
    )


def test_a_float_steps_along_the_slope_of_the_loss():
    """Of the absolute error that is the sign of the residual."""
    w, b = np.zeros(3), 0.0
    for _ in range(20):
        sign = np.sign(y - X @ w - b)
        w, b = w + 0.05 * X.T @ sign / 30, b + 0.05 * sign.mean()
    model = GradientDescentRegressor(0.05, 20, loss="absolute_error", tol=None).fit(X, y)
    np.testing.assert_allclose(model.coef_, w, rtol=1e-10)
    assert model.intercept_ == pytest.approx(b, rel=1e-10)


SCANS = {"sum", "_sum", "any", "_any", "all", "_all", "max", "_amax", "min", "_amin", "mean", "_mean", "dot", "nonzero"}
SCANS |= {"count_nonzero", "flatnonzero", "average", "cumsum"}


def scans(n, fit, *args):
    """Count the calls that read a vector of n numbers from end to end."""
    found = 0

    def look(frame, event, called):
        nonlocal found
        if event == "call":
            code = frame.f_code
            name, array = code.co_name, frame.f_locals[code.co_varnames[0]] if code.co_argcount else None
        else:
            name, array = getattr(called, "__name__", ""), getattr(called, "__self__", None)
        found += event in ("call", "c_call") and name in SCANS and np.shape(array) == (n,)

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        fit(*args)
    finally:
        sys.setprofile(before)
    return found


@pytest.mark.filterwarnings("ignore:.* has no effect with")
@pytest.mark.parametrize("loss", ["squared_error", "huber"])
@pytest.mark.parametrize(
    "given",
    [{}, {"early_stopping": True}, {"shuffle": False}, {"shuffle": False, "early_stopping": True}, {"average": True}],
    ids=str,
)
@pytest.mark.parametrize("weighted", [True, False])
def test_weights_are_not_read_through_for_every_batch(given, loss, weighted):
    n = 400
    rows, targets = np.tile(X, (14, 1))[:n], np.tile(y, 14)[:n]
    weight = np.linspace(0.0, 2.0, n) if weighted else None
    params = {"epochs": 2, "tol": None, "n_iter_no_change": 5, "random_state": 0, "loss": loss, **given}
    methods = ["fit"] if params.get("early_stopping") else ["fit", "partial_fit"]
    for method in methods:
        fits = [getattr(GradientDescentRegressor(batch_size=size, **params), method) for size in (200, 5)]
        few, many = (scans(n, fit, rows, targets, weight) for fit in fits)
        assert many - few < 2 * (80 - 2) / 4  # not even for one in four of the batches that there are more


def must(name, words, value):
    return f"The {name!r} parameter of GradientDescentRegressor must be {words}. Got {value} instead."


FACTOR = "for epoch 0: it must give a finite number of at least 0, by which the learning rate is multiplied."
PROX = "an L1 penalty or positive=True"


class TestErrors:
    @pytest.mark.parametrize(
        ("given", "sentence"),
        [
            (
                {"quantile": 0.0},
                must("quantile", "a float in the range (0, 1)", "0.0"),
            ),
            (
                {"quantile": 1},
                must("quantile", "a float in the range (0, 1)", "1"),
            ),
            (
                {"epsilon": -0.1},
                must("epsilon", "a float in the range [0, inf) or 'auto'", "-0.1"),
            ),
            (
                {"alpha": -1.0},
                must("alpha", "a float in the range [0, inf)", "-1.0"),
            ),
            (
                {"l1_ratio": 1.1},
                must("l1_ratio", "a float in the range [0, 1]", "1.1"),
            ),
            (
                {"batch_size": 0},
                must("batch_size", "an int in the range [1, inf) or None", "0"),
            ),
            (
                {"schedule": lambda k: -1.0},
                f"schedule gave -1.0 {FACTOR}",
            ),
            (
                {"schedule": lambda k: np.inf, "learning_rate": 0.1},
                f"schedule gave inf {FACTOR}",
            ),
            (
                {"learning_rate": "invscaling"},
                "For SGDRegressor's schedule of that name pass its eta0 as a float, with schedule='invscaling'.",
            ),
            (
                {"optimizer": "conjugate", "penalty": "l1"},
                "optimizer='conjugate' cannot be combined with an L1 penalty or positive=True",
            ),
            (
                {"optimizer": "adam", "learning_rate": "curvature"},
                "optimizer='adam' cannot be combined with learning_rate='curvature': use optimizer='gd'",
            ),
            (
                {"optimizer": "gd", "learning_rate": "curvature", "penalty": "l1"},
                f"optimizer='gd' cannot be combined with {PROX} with learning_rate='curvature': use optimizer='newton'",
            ),
            (
                {"optimizer": "nesterov", "batch_size": 5},
                "with mini-batches (batch_size, partial_fit): use optimizer='gd' or 'momentum' or 'adagrad'",
            ),
            (
                {"optimizer": "newton", "batch_size": 5, "schedule": "cosine"},
                "optimizer='newton' cannot be combined with a schedule other than 'constant' or mini-batches",
            ),
            (
                {"learning_rate": "curvature", "loss": "huber", "penalty": "l1", "average": True},
                "learning_rate='curvature' (here with optimizer='newton') cannot be combined with average: use",
            ),
        ],
    )
    def test_one_sentence(self, given, sentence):
        model = GradientDescentRegressor()
        before = vars(model.fit(X, y)).copy()
        with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
            model.set_params(**given).fit(X, y)
        assert str(caught.value).count(". ") <= 2
        assert all(vars(model)[name] is value for name, value in before.items() if name.endswith("_"))

    def test_a_loss_without_a_derivative(self):
        class Half(Loss):
            curvature = 1.0

            def value(self, residual):
                return residual**2 / 2

        with pytest.raises(ValueError, match=r"Got <.*> instead\. It has no derivative: see gdregress\.Loss\.$"):
            GradientDescentRegressor(loss=Half()).fit(X, y)

    def test_a_class_or_a_curvature_that_is_none(self):
        with pytest.raises(ValueError, match=r"It is a class: pass an instance of it\.$"):
            GradientDescentRegressor(loss=Squared).fit(X, y)
        for curvature in (0.0, np.inf, "large"):
            loss = Squared()
            loss.curvature = curvature
            with pytest.raises(ValueError, match=rf"Its curvature is {curvature!r}, not a positive number: see"):
                GradientDescentRegressor(loss=loss).fit(X, y)

    def test_huber_without_a_parabola(self):
        with pytest.raises(ValueError, match=r"^epsilon=0 makes loss='huber' zero everywhere: use a positive eps"):
            GradientDescentRegressor(loss="huber", epsilon=0).fit(X, y)


class Squared(Loss):
    """Squared error as somebody else would write it."""

    curvature = 2.0
    alpha_factor = 2.0

    def value(self, residual):
        return residual**2

    def derivative(self, residual):
        return 2.0 * residual


@pytest.mark.parametrize(
    "given", [{}, {"penalty": "l1", "alpha": 0.1}, {"learning_rate": "diagonal"}, {"learning_rate": 0.1}]
)
def test_a_loss_of_ones_own(given):
    model = GradientDescentRegressor(loss=Squared(), tol=1e-9, **given).fit(X, 100 * y)
    other = GradientDescentRegressor(tol=1e-9, **given).fit(X, 100 * y)
    assert model.converged_
    np.testing.assert_allclose(model.coef_, other.coef_, rtol=1e-6, atol=1e-6)
    assert model.history_["loss"][-1] == pytest.approx(other.history_["loss"][-1], rel=1e-9)


@pytest.mark.parametrize("container", [np.ascontiguousarray, np.asfortranarray, sparse.csr_array])
def test_rows_that_are_drawn_from_others_are_drawn_from_in_turn(container):
    """An index into X is followed wherever rows are taken from: in batches, samples, splits and copies."""
    rng = np.random.default_rng(0)
    numbers = np.arange(1.0, 801.0)[:, np.newaxis] * [1, 3]
    whole, index = container(numbers), rng.permutation(800)[:50]
    weight = np.where(np.arange(50) % 3, 1.0, 0.0)
    every = RowBlocks(whole, 2 * numbers)
    drawn = every.subsample(0.25, 8, np.random.RandomState(0))
    few = RowBlocks(whole, 2 * numbers[index], weight, index=index)
    for rows in (every, drawn, few):
        in_order, shuffled = rows.batches(7, None), rows.batches(7, np.random.RandomState(0))
        taken = [rows.sample(10), next(in_order), next(in_order), next(shuffled), rows.counted(), rows.copied()]
        taken += [rows.part(slice(3, 9)), rows.part(np.array([4, 4, 2])), *rows.split(0.3, np.random.RandomState(0))]
        taken += [] if rows.is_sparse else [rows.dense_as(np.float32, 10**4)]
        for part in taken:
            X, y = part if isinstance(part, tuple) else part._block(0, part.n_samples)[:2]
            assert len(y) > 1
            np.testing.assert_array_equal(y, 2 * (X.toarray() if sparse.issparse(X) else X))
        of_columns = rows.of_columns(np.array([1]))
        X, y, _ = of_columns._block(0, of_columns.n_samples)
        np.testing.assert_array_equal(y[:, 1:], 2 * (X.toarray() if sparse.issparse(X) else X))


@pytest.mark.parametrize(
    ("given", "remedies"),
    [
        ({}, "a schedule that falls, average=True or a tol"),
        ({"average": 30}, "a schedule that falls, more epochs or a tol"),
        ({"schedule": "cosine"}, "average=True, more epochs or a tol"),
        ({"schedule": "invscaling", "average": 30}, "more epochs or a tol"),
    ],
)
def test_the_advice_names_what_is_not_yet_set(given, remedies):
    with pytest.warns(
        ConvergenceWarning, match=f"use batch_size=None, {remedies} above the optimality that was reached"
    ):
        fit(batch_size=7, learning_rate=0.2, epochs=40, tol=1e-9, **given)


@pytest.mark.parametrize("epochs", [2, 5, 30])
@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        ({"learning_rate": 0.01}, "learning_rate='auto' with optimizer='auto', or batch_size=None"),
        (
            {"learning_rate": 0.01, "optimizer": "adam"},
            "learning_rate='auto' with optimizer='auto', or batch_size=None",
        ),
        ({"learning_rate": "auto", "average": True}, "batch_size=None"),
    ],
    ids=str,
)
def test_while_the_loss_falls_noise_is_not_what_ends_a_descent_by_mini_batches(given, remedy, epochs):
    remedies = rf"The loss still falls: raise epochs, or use {remedy}\.$"
    with pytest.warns(ConvergenceWarning, match=remedies):
        fit(batch_size=7, epochs=epochs, tol=1e-9, **given)
