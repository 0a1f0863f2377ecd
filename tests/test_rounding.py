"""Coefficients rounded to floats together, so that what one of them changes is taken up by others."""

import warnings
from fractions import Fraction

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from gdregress import GradientDescentRegressor
from gdregress.method.rounding import Rounding, nearest_floats
from gdregress.problem.coordinates import Coordinates
from gdregress.rows.gathering import gather
from gdregress.rows.memory import RowBlocks

EPS = float(np.finfo(np.longdouble).eps)


def exact_loss(X, y, coef, intercept):
    """The mean absolute error, rounded once."""
    exact = [[Fraction(float(x)) for x in row] for row in (*X, coef)]
    predicted = [sum((x * w for x, w in zip(row, exact[-1], strict=True)), Fraction(float(intercept))) for row in exact]
    return float(sum(abs(Fraction(float(t)) - p) for t, p in zip(y, predicted, strict=False)) / len(y))


@pytest.mark.parametrize("shape", [(40, 10), (12, 12), (8, 20)], ids=str)
@pytest.mark.parametrize("seed", range(10))
def test_what_rounding_changes_is_at_most_half_of_each_plane_s_distance(shape, seed):
    """That is the theorem, of Babai (1986), where the spacing of floats stays as it is."""
    rng = np.random.default_rng(seed)
    columns, half = rng.standard_normal(shape), shape[1] // 2
    columns[:, half : 2 * half] = columns[:, :half] + 1e-3 * columns[:, half : 2 * half]
    floats = rng.uniform(1.05, 1.95, shape[1]) * 2.0 ** rng.integers(-8, 8, shape[1])
    rest = rng.uniform(-0.5, 0.5, shape[1]) * np.spacing(floats)
    rounded = nearest_floats(columns, floats, rest.astype(np.longdouble))
    spacing = np.spacing(np.maximum(np.abs(floats), np.abs(rounded)))
    order = np.argsort(np.spacing(floats) * np.linalg.norm(columns, axis=0), kind="stable")
    distances = np.zeros(shape[1])
    triangle = np.linalg.qr(columns[:, order], mode="r")
    distances[: len(triangle)] = np.diagonal(triangle)
    change = columns @ (rounded - floats - rest)
    assert np.linalg.norm(change) <= 0.5 * np.linalg.norm(distances * spacing[order]) * (1 + 1e-6)


def test_each_for_itself_is_farther_by_orders_of_magnitude():
    rng = np.random.default_rng(0)
    columns = rng.standard_normal((10, 14))
    floats = rng.standard_normal(14) * 10.0 ** np.repeat([0, 8], 7)
    rest = rng.uniform(-0.5, 0.5, 14) * np.spacing(floats)
    columns[:, 7:] = columns[:, :7] + 1e-8 * columns[:, 7:]
    rounded = nearest_floats(columns, floats, rest.astype(np.longdouble))
    assert np.linalg.norm(columns @ (rounded - floats - rest)) < 0.01 * np.linalg.norm(columns @ rest)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("frame", ["unit", "raw"])
def test_a_rounded_point_has_raw_coefficients_that_are_floats(frame, fit_intercept):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4)) * [1, 20, 0.1, 3] + [0, 5, 1, -40]
    rows = RowBlocks(X, X @ rng.normal(size=(4, 2)) + 10, rng.uniform(0, 2, 60))
    moments = gather(rows) if fit_intercept else gather(rows).about_origin()
    make = {"unit": Coordinates.unit_curvature, "raw": Coordinates.raw}[frame]
    coordinates = make(moments, fit_intercept=fit_intercept, **({"alpha": 0.0} if frame == "unit" else {}))
    columns = np.column_stack([X, np.ones((60, int(fit_intercept)))])
    point = rng.standard_normal((4 + fit_intercept, 2)).astype(np.longdouble) / 3
    rounded = Rounding(coordinates, columns).rounded(point)
    for raw in coordinates.to_raw(rounded):
        floats = raw.astype(np.float64)
        assert (np.abs(raw - floats) <= 100 * EPS * np.abs(raw).max(initial=0.0)).all()
    change = (
        columns
        @ np.vstack([r - p for r, p in zip(coordinates.to_raw(rounded), coordinates.to_raw(point), strict=True)])[
            : columns.shape[1]
        ]
    )
    assert 0 < np.abs(change).max() < 1e-13


@pytest.mark.skipif(EPS > 1e-18, reason="no extended precision")
@pytest.mark.parametrize("seed", range(5))
def test_rows_that_can_be_met_are_met_far_from_zero_in_units_over_sixteen_decades(seed):
    """Products of an intercept and of coefficients with columns are 1e10 of y; `optimality_` counts the rounding."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((8, 20)) * 10 ** rng.uniform(-8, 8, 20) + 1e4
    y = rng.standard_normal(8)
    model = GradientDescentRegressor(loss="absolute_error").fit(X, y)
    assert model.converged_
    assert exact_loss(X, y, model.coef_, model.intercept_) <= 1e-8 * np.abs(y).mean()


@pytest.mark.filterwarnings("ignore:epsilon=.* is far below")
@pytest.mark.parametrize("loss", ["huber", "squared_epsilon_insensitive"])
def test_parabolas_with_l2_in_units_over_sixteen_decades_keep_the_lower_point(loss):
    """To predict what the combination of rows does may raise F: digits of the rows are lost, too."""
    rng = np.random.default_rng(3)
    n = int(rng.integers(10, 29))
    p = n + int(rng.integers(1, 12))
    X, y = rng.normal(size=(n, p)) * 10 ** rng.uniform(-8, 8, p), rng.normal(size=n)
    epsilon, alpha = float(10 ** rng.uniform(-4, 0)), float(10 ** rng.uniform(-8, 0))
    model = GradientDescentRegressor(loss=loss, epsilon=epsilon, penalty="l2", alpha=alpha, fit_intercept=False)
    assert model.fit(X, y).converged_


@pytest.mark.parametrize("apart", [1e-7, 1e-8, 1e-9])
def test_the_last_loss_is_that_of_the_coefficients_that_are_returned(apart):
    """Coefficients are 1 / apart in size, and known to the digits of extended precision."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((60, 14))
    X[:, 7:] = X[:, :7] + apart * X[:, 7:]
    y = rng.standard_t(2, 60)
    model = GradientDescentRegressor(loss="absolute_error").fit(X, y)
    found = exact_loss(X, y, model.coef_, model.intercept_)
    assert model.history_["loss"][-1] == pytest.approx(found, rel=max(1e-13, EPS / apart))


def shifted(spread):
    """Rows whose second column is a million away from zero, with its targets."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((100, 2))
    X = np.column_stack([rows[:, 0], 1e6 + spread * rows[:, 1]])
    return X, rows @ [1.0, 2.0] + 0.1 * rng.standard_normal(100)


def mean_residual(X, y, model):
    """The mean of the residuals, rounded once."""
    numbers = [[Fraction(float(v)) for v in (*row, target)] for row, target in zip(X, y, strict=True)]
    coef = [Fraction(float(w)) for w in model.coef_]
    residuals = [target - sum(x * w for x, w in zip(row, coef, strict=True)) for *row, target in numbers]
    return float(sum(residuals) / len(y) - Fraction(float(model.intercept_)))


@pytest.mark.parametrize("loss", ["squared_error", "huber", "absolute_error", "quantile"])
@pytest.mark.parametrize("penalty", [{}, {"penalty": "l2", "alpha": 1e-20}, {"penalty": "l1", "alpha": 1e-12}], ids=str)
def test_an_intercept_whose_rounding_shifts_the_predictions_is_no_minimum(loss, penalty):
    X, y = shifted(1e-8)
    with pytest.warns(ConvergenceWarning, match=r"column 1 of X is 1e\+14 of .* subtract a constant from column 1"):
        model = GradientDescentRegressor(loss=loss, **penalty).fit(X, y)
    assert not model.converged_
    assert model.optimality_ > 1e-6
    assert GradientDescentRegressor(loss=loss, tol=0.5, **penalty).fit(X, y).converged_
    assert GradientDescentRegressor(loss=loss, **penalty).fit(X - [0, 1e6], y).converged_
    assert GradientDescentRegressor(loss=loss, **penalty).fit(*shifted(1e-2)).converged_


@pytest.mark.skipif(EPS > 1e-18, reason="no extended precision")
@pytest.mark.parametrize("slope", [3.0, 5.0])
def test_what_is_said_of_the_intercept_is_how_far_its_predictions_are_shifted(slope):
    """The mean of X and that of y are floats here, so that the intercept alone is rounded."""
    x = np.array([0.0, 1.0, 2.0, 3.0])
    X, y = (2.0**40 + x)[:, np.newaxis], slope * x + [0.25, -0.25, -0.25, 0.25] + 2.0**-13
    with pytest.warns(ConvergenceWarning, match="too few digits"):
        model = GradientDescentRegressor(tol=1e-9).fit(X, y)
    shift = abs(mean_residual(X, y, model)) / y.std()
    assert model.optimality_ == pytest.approx(np.sqrt(2) * shift, rel=1e-6)


@pytest.mark.parametrize("alpha", [1e-24, 1e-18])
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("penalty", ["l2", "l1", "elasticnet"])
def test_means_that_are_no_floats_shift_the_predictions_too(penalty, positive, alpha):
    """The coefficients are some 1e5 to 1e9, and means are rounded like the intercept."""
    rng = np.random.default_rng(0)
    ends = []
    for spread in np.geomspace(1e-8, 1e-3, 12):
        X = 1.7e5 + spread * rng.standard_normal((60, 2))
        y = (X - X.mean(axis=0)) @ [1.0, 2.0] / spread + 0.1 * rng.standard_normal(60)
        with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
            model = GradientDescentRegressor(penalty=penalty, alpha=alpha, positive=positive).fit(X, y)
        shift = np.sqrt(2) * abs(mean_residual(X, y, model)) / y.std()
        assert shift <= max(1.001 * model.optimality_, 1e-6)
        ends.append(model.converged_)
    assert not ends[0]
    assert ends[-1]


@pytest.mark.skipif(EPS > 1e-18, reason="no extended precision")
@pytest.mark.parametrize("loss", ["huber", "squared_epsilon_insensitive", "absolute_error", "epsilon_insensitive"])
def test_no_digit_of_a_large_intercept_is_taken_for_noise(loss):
    """The same rows with a mean near zero, which is exact, have the same minimum."""
    rng, ends = np.random.default_rng(0), []
    for spread in np.geomspace(1e-8, 1e-2, 40):
        X = 1e6 + spread * rng.standard_normal((60, 2))
        near = X - 1e6
        y = near @ [1.0, 2.0] / spread + 0.1 * rng.standard_normal(60)
        with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
            model = GradientDescentRegressor(loss=loss).fit(X, y)
        exact = GradientDescentRegressor(loss=loss).fit(near, y)
        level = float(sum((Fraction(w) * 10**6 for w in model.coef_.tolist()), Fraction(float(model.intercept_))))
        shift = abs(np.mean(near @ model.coef_ + level - exact.predict(near))) / y.std()
        assert shift <= 3.0 * max(model.optimality_, 1e-6)
        ends.append(model.converged_)
    assert not ends[0]
    assert ends[-1]


def test_targets_that_are_too_far_from_zero_for_tol():
    X, y = shifted(1.0)
    with pytest.warns(ConvergenceWarning, match="since y is .* subtract a constant from y"):
        GradientDescentRegressor(tol=1e-12).fit(X - [0, 1e6], y + 1e9)


@pytest.mark.skipif(EPS > 1e-18, reason="no extended precision")
@pytest.mark.parametrize(("apart", "mean"), [(1e-7, 3000.0), (1e-8, 3000.0), (1e-9, 300.0)])
def test_the_intercept_makes_up_for_the_rounding_of_large_coefficients(apart, mean):
    """Coefficients of columns that are nearly one are found in extended precision; rounded, they shift predictions."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 2))
    X, y = mean + np.column_stack([x[:, 0], x[:, 0] + apart * x[:, 1]]), rng.standard_normal(60)
    model = GradientDescentRegressor().fit(X, y)
    assert model.converged_
    assert np.abs(model.coef_).max() > 0.1 / apart
    assert abs(mean_residual(X, y, model)) <= 1e-8 * y.std()
