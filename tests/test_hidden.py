"""What the rounding of moments hides is said: a stream never claims a minimum that its rows do not have."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from gdregress import GradientDescentRegressor
from gdregress.problem.coordinates import Coordinates
from gdregress.problem.objectives import MomentObjective
from gdregress.problem.spectrum import Spectrum
from gdregress.rows.gathering import gather
from gdregress.rows.memory import RowBlocks

EPS = np.finfo(np.float64).eps


def in_pieces(X, y, pieces, **params):
    model = GradientDescentRegressor(**params)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for first in range(pieces):
            model.partial_fit(X[first::pieces], y[first::pieces])
    return model


def least(X, y):
    """The least mean squared error: Gram-Schmidt twice, with pivots, on the standardised columns in long doubles.

    Columns end where what is left of them may be the rounding of their numbers.
    """
    wide = X.astype(np.longdouble)
    mean = wide.mean(axis=0)
    deviation = np.sqrt(((wide - mean) ** 2).mean(axis=0))
    left = (wide - mean) / deviation
    rounding = 16 * EPS * float(np.hypot(1.0, mean / deviation).max())
    residual = y.astype(np.longdouble)
    residual -= residual.mean()
    basis = []
    for _ in range(X.shape[1]):
        length = np.sqrt((left * left).mean(axis=0))
        pivot = int(np.argmax(length))
        if length[pivot] < rounding:
            break
        direction = left[:, pivot].copy()
        for _ in range(2):
            for other in basis:
                direction -= other * (other @ direction)
        direction /= np.sqrt(direction @ direction)
        basis.append(direction)
        left = left - np.outer(direction, direction @ left)
        left[:, pivot] = 0.0
    for _ in range(2):
        for direction in basis:
            residual -= direction * (direction @ residual)
    return residual @ residual / len(y)


def excess(model, X, y):
    """How far the objective is above its minimum, in variances of y."""
    residual = y - X.astype(np.longdouble) @ model.coef_.astype(np.longdouble)
    residual -= residual.mean()
    return float((residual @ residual / len(y) - least(X, y)) / y.var())


def close(distance, n=400):
    x, e, z = np.random.default_rng(0).standard_normal((3, n))
    noise = np.random.default_rng(1).standard_normal(n)
    return np.column_stack([x, x + distance * e, z]), x + z + e + 0.1 * noise


def powers(degree=10):
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 10, 400)
    return np.vander(x, degree + 1)[:, :-1], np.sin(2 * x) + 0.1 * rng.standard_normal(400)


HARD = {"powers": powers(), **{f"{10.0**k:g} apart": close(10.0**k) for k in (-5, -6, -7, -8, -10)}}


@pytest.mark.parametrize("rung", ["auto", "diagonal"])
@pytest.mark.parametrize("data", HARD)
def test_no_stream_claims_a_minimum_that_its_sums_cannot_know(data, rung):
    X, y = HARD[data]
    model = in_pieces(X, y, 10, learning_rate=rung)
    assert not model.converged_
    assert excess(model, X, y) <= model.optimality_**2 / 2 * 1.001
    if rung == "auto":
        assert "sums of rows that are gone" in model.stop_reason_
        assert "Fit on all rows in memory" in model.stop_reason_
        assert excess(GradientDescentRegressor().fit(X, y), X, y) < 1e-9


@pytest.mark.parametrize(
    "fits",
    [
        lambda *data: in_pieces(*data, 10, learning_rate="diagonal"),
        lambda *data: GradientDescentRegressor("diagonal").fit(*data),
    ],
)
def test_conjugate_gradient_ends_at_a_gradient_that_was_evaluated(fits):
    """The step along columns 1e-4 apart is 1e8 long, and the prediction of its gradient as wrong."""
    X, y = close(1e-4)
    model = fits(X, y)
    assert excess(model, X, y) < 1e-11
    assert excess(model, X, y) <= model.optimality_**2 / 2 + 1e-13


@pytest.mark.parametrize("penalty", [{}, {"penalty": "l1", "alpha": 0.01}, {"learning_rate": "diagonal"}], ids=str)
@pytest.mark.parametrize("kind", ["dummies", "twice", "sum", "shifted", "whole", "float32"])
def test_columns_that_are_exactly_collinear_hide_nothing(kind, penalty):
    rng = np.random.default_rng(len(kind))
    A = rng.standard_normal((300, 3)) + 10.0
    X = {
        "dummies": np.eye(5)[rng.integers(0, 5, 300)],
        "twice": np.column_stack([A, A[:, :2]]),
        "sum": np.column_stack([A, A.sum(axis=1)]),
        "shifted": np.column_stack([A, 7.0 - 3.0 * A[:, 0]]),
        "whole": np.column_stack([np.floor(A), np.floor(A).sum(axis=1)]),
        "float32": np.column_stack([A, A.sum(axis=1)]).astype(np.float32),
    }[kind]
    y = (A[:, 0] + rng.standard_normal(300)).astype(X.dtype)
    model = in_pieces(X, y, 6, **penalty)
    assert model.converged_, model.stop_reason_


def test_dummies_that_come_row_by_row():
    rng = np.random.default_rng(0)
    X = np.eye(5)[rng.integers(0, 5, 1000)]
    y = X[:, 0] + rng.standard_normal(1000)
    assert GradientDescentRegressor().fit_batches(zip(X[:, np.newaxis], y[:, np.newaxis], strict=True)).converged_


def spectrum(X, y):
    moments = gather(RowBlocks(X, y[:, np.newaxis]))
    coordinates = Coordinates.unit_curvature(moments, alpha=0.0, fit_intercept=True)
    quadratic = MomentObjective(moments, coordinates, coordinates.penalty(0.0, 0.0))
    return quadratic, Spectrum.of(quadratic, moments, coordinates, np.dtype(np.float64))


def test_the_bound_is_the_gap_where_nothing_is_rounded():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 4))
    y = X @ [1.0, 2.0, 0.0, -1.0] + rng.standard_normal(200)
    quadratic, known = spectrum(X, y)
    points = [rng.standard_normal((5, 1)) * [[1.0]] * 4 + [[0.0]] * 5 for _ in range(3)]
    for point in points:
        point[4] = 0.0
        [here] = quadratic.evaluate([point])
        best = np.linalg.solve(quadratic.products(), quadratic.joint)
        gap = here.value - quadratic.values([np.vstack([best, [[0.0]]])])[0]
        bound = known.hidden(point[:4], here.gradient[:4], here.gradient[:4], here.value)
        np.testing.assert_allclose(bound, gap, rtol=1e-9)


def test_the_bound_is_no_more_than_the_objective():
    X, y = close(1e-9)
    quadratic, known = spectrum(X, y)
    point = np.zeros((4, 1))
    [here] = quadratic.evaluate([point])
    bound = known.hidden(point[:3], here.gradient[:3], here.gradient[:3], here.value)
    np.testing.assert_allclose(bound, here.value, rtol=1e-9)
    assert not known.is_kept[0]


def problem(seed):
    """A random problem of columns that are nearly collinear, in one of five ways."""
    rng = np.random.default_rng(seed)
    n, kind = int(rng.choice([60, 400, 2000])), seed % 5
    if kind == 0:
        x = rng.uniform(0, 10, n)
        X, f = np.vander(x, int(rng.integers(4, 14)))[:, :-1], np.sin(rng.uniform(0.5, 3) * x)
    elif kind == 1:
        A, E = rng.standard_normal((2, n, int(rng.integers(1, 5))))
        X, f = np.hstack([A, A + 10 ** rng.uniform(-10, -2) * E]), A.sum(axis=1) + rng.uniform(-1, 1) * E.sum(axis=1)
    elif kind == 2:
        p = int(rng.integers(3, 12))
        U, V = np.linalg.qr(rng.standard_normal((n, p)))[0], np.linalg.qr(rng.standard_normal((p, p)))[0]
        X = (U * np.logspace(0, -rng.uniform(3, 12), p)) @ V.T * n**0.5
        f = U @ rng.standard_normal(p) * n**0.5
    elif kind == 3:
        A = rng.standard_normal((n, int(rng.integers(3, 10))))
        X, f = np.column_stack([A, A @ rng.standard_normal((A.shape[1], 2))]), A.sum(axis=1)
        X[:, -1] += rng.integers(0, 2) * 10 ** rng.uniform(-12, -6) * rng.standard_normal(n)
    else:
        f = np.cumsum(rng.standard_normal(n))
        lags = np.column_stack([np.roll(f, k) for k in range(4)])
        X = np.column_stack([lags, np.diff(lags, axis=1) + 10 ** rng.uniform(-9, -4) * rng.standard_normal((n, 3))])
    X = X * 10.0 ** rng.uniform(-3, 3, X.shape[1]) + 10.0 ** rng.uniform(-2, 2) * rng.integers(0, 2)
    y = f + 10.0 ** rng.uniform(-3, 0) * f.std() * rng.standard_normal(n) + rng.choice([0.0, 100.0])
    return X, y, int(rng.choice([3, 10, 30])), str(rng.choice(["auto", "diagonal", "curvature"]))


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(150))
def test_a_stream_that_says_converged_is_at_the_minimum(seed):
    """Columns that differ by hardly more than the rounding of their numbers may hide some 1e-6, and no more."""
    X, y, pieces, rung = problem(seed)
    model = in_pieces(X, y, pieces, learning_rate=rung)
    above = excess(model, X, y)
    assert not model.converged_ or above <= 1e-5
    assert model.converged_ or above <= 1.01 * model.optimality_**2 / 2 + 1e-12
