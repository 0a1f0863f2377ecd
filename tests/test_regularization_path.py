"""Paths: the minimum at every alpha, the exact alpha of all zeros, and what is said of them."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import enet_path

from gdregress import (
    GradientDescentRegressor,
    GradientDescentRegressorCV,
    RegularizationPath,
    regularization_path,
)
from gdregress.tuning import regularization_path as tuning

SHAPES = {"wide": (40, 120), "square": (30, 30), "tall": (200, 12)}
PENALTIES = {
    "l1": {"penalty": "l1"},
    "elastic net": {"l1_ratio": 0.3},
    "positive": {"positive": True},
    "no intercept": {"fit_intercept": False},
}

shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
penalties = pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)


def data(shape, seed=0):
    rng = np.random.default_rng(seed)
    n, p = shape
    X = rng.normal(size=shape) + 0.5 * rng.normal(size=(n, 1)) + 2.0
    return X, X[:, : min(p, 10)] @ rng.normal(size=min(p, 10)) * 3 + rng.normal(size=n) + 5.0


def violation(X, y, w, b, alpha, weight=None, *, l1_ratio=1.0, positive=False, fit_intercept=True, penalty=None):
    """How far the conditions of Lasso's and ElasticNet's minimum are from holding, as a share of alpha_max."""
    weight = np.ones(len(y)) if weight is None else weight
    center = weight @ X / weight.sum() if fit_intercept else 0.0
    slopes = -(X - center).T @ (weight * (y - X @ w - b)) / weight.sum() + alpha * (1 - l1_ratio) * w
    l1 = alpha * l1_ratio
    at_zero = np.maximum((-slopes if positive else np.abs(slopes)) - l1, 0.0)
    assert (w >= 0).all() or not positive
    return np.where(w == 0, at_zero, np.abs(slopes + l1 * np.sign(w))).max() / np.abs(X.T @ y / len(y)).max()


@shapes
@penalties
class TestMinima:
    def test_each_is_the_minimum(self, shape, penalty):
        X, y = data(shape)
        path = regularization_path(X, y, alphas=20, eps=1e-4, **penalty)
        for alpha, w, b in zip(path.alphas, path.coefs.T, path.intercepts, strict=True):
            assert violation(X, y, w, b, alpha, **penalty) < 1e-12

    def test_each_is_that_of_the_estimator(self, shape, penalty):
        X, y = data(shape)
        path = regularization_path(X, y, alphas=4, eps=1e-2, **penalty)
        for k, alpha in enumerate(path.alphas):
            model = GradientDescentRegressor(alpha=alpha, **{"penalty": "elasticnet", "l1_ratio": 1.0, **penalty})
            if model.penalty == "l1":
                model.set_params(l1_ratio=0.15)
            model.fit(X, y)
            np.testing.assert_allclose(path.coefs[:, k], model.coef_, rtol=1e-7, atol=1e-6 * np.abs(y).max())
            np.testing.assert_allclose(path.intercepts[k], model.intercept_, rtol=1e-6, atol=1e-4)

    def test_at_the_largest_alpha_all_are_zero_and_just_below_one_is_not(self, shape, penalty):
        X, y = data(shape)
        weight = np.random.default_rng(1).uniform(size=len(y))
        for given in (None, weight):
            path = regularization_path(X, y, sample_weight=given, alphas=2, **penalty)
            assert not path.coefs[:, 0].any()
            below = regularization_path(X, y, sample_weight=given, alphas=[path.alphas[0] * (1 - 1e-9)], **penalty)
            assert np.count_nonzero(below.coefs) == 1
            np.testing.assert_allclose(path.alphas[1], 1e-3 * path.alphas[0])

    def test_weights_are_repeated_rows(self, shape, penalty):
        X, y = data(shape)
        weight = np.random.default_rng(1).integers(0, 3, size=len(y))
        one = regularization_path(X, y, sample_weight=weight, alphas=5, eps=1e-2, **penalty)
        other = regularization_path(np.repeat(X, weight, axis=0), np.repeat(y, weight), alphas=5, eps=1e-2, **penalty)
        np.testing.assert_allclose(one.alphas, other.alphas, rtol=1e-12)
        np.testing.assert_allclose(one.coefs, other.coefs, rtol=1e-7, atol=1e-9)

    @pytest.mark.parametrize("kind", ["float32", "F order", "CSR"])
    def test_kinds_of_data(self, shape, penalty, kind):
        X, y = data(shape)
        X[np.random.default_rng(2).uniform(size=shape) < 0.6] = 0.0
        X = X.astype(np.float32).astype(float)
        change = {"float32": lambda X: X.astype(np.float32), "F order": np.asfortranarray, "CSR": sparse.csr_array}
        plain = regularization_path(X, y, alphas=5, eps=1e-2, **penalty)
        other = regularization_path(change[kind](X), y, alphas=5, eps=1e-2, **penalty)
        tolerance = 1e-6 if kind == "float32" else 1e-9
        assert other.coefs.dtype == change[kind](X).dtype
        np.testing.assert_allclose(other.alphas, plain.alphas, rtol=tolerance)
        np.testing.assert_allclose(other.coefs, plain.coefs, rtol=tolerance, atol=tolerance * np.abs(plain.coefs).max())

    def test_targets_share_the_alphas(self, shape, penalty):
        X, y = data(shape)
        Y = np.column_stack([y, 10.0 * data(shape, seed=1)[1]])
        path = regularization_path(X, Y, alphas=5, eps=1e-2, **penalty)
        assert path.coefs.shape == (2, shape[1], 5)
        assert path.intercepts.shape == (2, 5)
        for k in range(2):
            alone = regularization_path(X, Y[:, k], alphas=path.alphas, **penalty)
            np.testing.assert_allclose(path.coefs[k], alone.coefs, rtol=1e-7, atol=1e-9 * np.abs(alone.coefs).max())
        assert path.alphas[0] == max(regularization_path(X, Y[:, k], alphas=1, **penalty).alphas[0] for k in range(2))


@pytest.mark.parametrize("params", [{"l1_ratio": 0.9}, {"l1_ratio": 0.3, "positive": True}, {"standardize": True}])
def test_the_alphas_are_those_of_cross_validation(params):
    """Though y is so much larger than X that L2 goes on where L1 hardly counts."""
    X, y = data((60, 8))
    path = regularization_path(1e-4 * X, y, alphas=7, **params)
    model = GradientDescentRegressorCV(alphas=7, penalty="elasticnet", cv=3, **{"l1_ratio": 1.0, **params})
    model.fit(1e-4 * X, y)
    np.testing.assert_allclose(path.alphas, model.alphas_[:7], rtol=1e-12)
    assert (path.alphas[-1] < 0.5e-3 * path.alphas[0]) == ("l1_ratio" in params)


def test_the_last_alpha_may_be_zero():
    X, y = data((60, 8))
    path = regularization_path(X, y, alphas=[0.0, 0.1], l1_ratio=0.5)
    assert path.alphas.tolist() == [0.1, 0.0]
    exact = np.linalg.lstsq(np.column_stack([X, np.ones(60)]), y, rcond=None)[0]
    np.testing.assert_allclose(np.append(path.coefs[:, 1], path.intercepts[1]), exact, rtol=1e-9)


def test_a_path_of_scikit_learn():
    X, y = data((40, 60))
    path = regularization_path(X, y, alphas=30, eps=1e-2)
    _, coefs, _ = enet_path(
        X - X.mean(axis=0), y - y.mean(), l1_ratio=1.0, alphas=path.alphas, tol=1e-12, max_iter=10**6
    )
    np.testing.assert_allclose(path.coefs, coefs, rtol=1e-6, atol=1e-7)


def test_gaps_bound_the_objective():
    """In units of y squared: here tol is so large that the fits end early."""
    X, y = data((60, 600))
    y = 100.0 * y
    rough = regularization_path(X, y, alphas=4, tol=0.5)
    exact = regularization_path(X, y, alphas=4)

    def objective(path):
        errors = y[:, np.newaxis] - X @ path.coefs - path.intercepts
        return (errors**2).mean(axis=0) + 2.0 * path.alphas * np.abs(path.coefs).sum(axis=0)

    excess = objective(rough) - objective(exact)
    assert (rough.gaps >= excess - 1e-12 * y.var()).all()
    assert excess.max() > 1e-4 * y.var()
    assert exact.gaps.max() <= 0.5e-12 * y.var()
    assert exact.n_iters.sum() > rough.n_iters.sum()


def test_the_products_of_all_columns_give_the_same_path(monkeypatch):
    X, y = data((100, 40))
    whole = regularization_path(X, y, alphas=10)
    monkeypatch.setattr(tuning, "PATH_LIMIT", 0)
    sets = regularization_path(X, y, alphas=10)
    np.testing.assert_allclose(whole.coefs, sets.coefs, rtol=1e-9, atol=1e-10)


def test_moments_that_have_lost_digits_are_not_believed():
    """The means are a million standard deviations: the products are taken from the moments, residuals from the rows."""
    X, y = data((100, 10))
    path = regularization_path(X + 1e6, y, alphas=10)
    plain = regularization_path(X, y, alphas=10)
    np.testing.assert_allclose(path.coefs, plain.coefs, rtol=1e-5, atol=1e-6)


def test_alphas_of_any_order_descend():
    X, y = data((30, 50))
    path = regularization_path(X, y, alphas=[0.1, 1.0, 0.5])
    np.testing.assert_array_equal(path.alphas, [1.0, 0.5, 0.1])
    assert isinstance(path, RegularizationPath)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"alphas": 0}, "alphas=0 is no number of strengths"),
        ({"alphas": []}, "alphas is empty"),
        ({"alphas": [1.0, -1.0]}, "alphas has the value -1"),
        ({"alphas": [[1.0]]}, "alphas must be an int or a list of numbers"),
        ({"alphas": "many"}, "alphas must be an int or a list of numbers"),
        ({"alphas": [np.nan]}, "alphas has the value nan"),
        ({"eps": 0}, "The 'eps' parameter must be a float"),
        ({"eps": 1}, "The 'eps' parameter must be a float"),
        ({"penalty": "l2"}, "penalty='l2' has no path"),
        ({"penalty": "l1", "l1_ratio": 0.5}, "l1_ratio=0.5 has no effect with penalty='l1'"),
        ({"l1_ratio": 0}, "l1_ratio=0 has no alpha"),
        ({"l1_ratio": 2}, "'l1_ratio' parameter"),
        ({"tol": -1}, "'tol' parameter"),
        ({"positive": "yes"}, "'positive' parameter"),
    ],
    ids=str,
)
def test_what_is_refused(params, message):
    with pytest.raises(ValueError, match=message):
        regularization_path(*data((20, 5)), **params)


def test_a_path_of_zeros_has_to_be_asked_for():
    X, _ = data((20, 5))
    with pytest.raises(ValueError, match="every alpha leaves all coefficients at zero"):
        regularization_path(X, np.ones(20))
    path = regularization_path(X, np.ones(20), alphas=[1.0, 0.1])
    assert not path.coefs.any()
    np.testing.assert_allclose(path.intercepts, 1.0)
    opposite = -(X - X.mean(axis=0)).sum(axis=1)
    with pytest.raises(ValueError, match="upwards"):
        regularization_path(X[:, :1], -X[:, 0], positive=True)
    assert regularization_path(X, opposite).alphas[0] > 0


def test_a_tol_that_rounding_does_not_reach_is_told():
    X, y = data((40, 20))
    X = np.hstack([X, X + 1e-8 * np.random.default_rng(0).normal(size=X.shape)])
    with pytest.warns(ConvergenceWarning, match=r"of 10 fits ended above tol=1e-17"):
        regularization_path(X, y, alphas=10, tol=1e-17)


class TestPlot:
    def test_lines_are_the_coefficients_of_named_columns(self):
        matplotlib = pytest.importorskip("matplotlib")
        matplotlib.use("Agg")
        X, y = data((60, 9))
        names = [f"column {k}" for k in range(9)]
        path = regularization_path(pd.DataFrame(X, columns=names), y, alphas=20)
        assert path.feature_names == names
        display = path.plot()
        for line, coefs, name in zip(display.lines_, path.coefs, names, strict=True):
            np.testing.assert_array_equal(line.get_xdata(), path.alphas)
            np.testing.assert_array_equal(line.get_ydata(), coefs)
            assert line.get_label() == name
        largest = np.argsort(-np.abs(path.coefs).max(axis=1))[:7]
        named = [names[k] for k in largest]
        assert [text.get_text() for text in display.legend_.get_texts()] == [*named, f"{len(names) - 7} others"]
        assert display.ax_.get_xscale() == "log"
        assert display.ax_.xaxis_inverted()
        display.figure_.canvas.draw()
        matplotlib.pyplot.close("all")

    def test_columns_without_names_have_numbers_and_one_alpha_is_drawn(self):
        pyplot = pytest.importorskip("matplotlib.pyplot")
        X, y = data((60, 3))
        path = regularization_path(X, y, alphas=[1e-3])
        assert path.feature_names is None
        figure, ax = pyplot.subplots()
        display = path.plot(ax)
        assert display.ax_ is ax
        assert {text.get_text() for text in display.legend_.get_texts()} == {"0", "1", "2"}
        figure.canvas.draw()
        pyplot.close("all")

    def test_names_that_a_pipeline_has_lost_are_given(self):
        pyplot = pytest.importorskip("matplotlib.pyplot")
        X, y = data((60, 3))
        path = regularization_path(X, y, alphas=3)
        display = path.plot(feature_names=np.array(["a", "b", "c" * 40]))
        assert [line.get_label() for line in display.lines_] == ["a", "b", "c" * 27 + "\u2026"]
        with pytest.raises(ValueError, match=r"^there are 2 feature_names for 3 columns: name each\.$"):
            path.plot(feature_names=["a", "b"])
        pyplot.close("all")

    def test_standardised_coefficients_are_drawn_as_they_are_penalised(self):
        pyplot = pytest.importorskip("matplotlib.pyplot")
        X, y = data((60, 3))
        scaled = (X - X.mean(axis=0)) / X.std(axis=0)
        display = regularization_path(X * [1e-3, 1.0, 1e3], y, alphas=5, standardize=True).plot()
        expected = regularization_path(scaled, y, alphas=5).plot()
        for line, other in zip(display.lines_, expected.lines_, strict=True):
            np.testing.assert_allclose(line.get_ydata(), other.get_ydata(), atol=1e-9)
        names = [[text.get_text() for text in each.legend_.get_texts()] for each in (display, expected)]
        assert names[0] == names[1]
        assert display.ax_.get_ylabel() == "coefficient times deviation of the column"
        assert expected.ax_.get_ylabel() == "coefficient"
        pyplot.close("all")

    def test_columns_that_stay_at_zero_have_no_name(self):
        pyplot = pytest.importorskip("matplotlib.pyplot")
        X, y = data((60, 3))
        X[:, 1] = 7.0
        display = regularization_path(X, y, alphas=5).plot()
        assert {text.get_text() for text in display.legend_.get_texts()} == {"0", "2", "1 other"}
        pyplot.close("all")

    def test_several_targets_are_refused(self):
        X, y = data((20, 3))
        with pytest.raises(ValueError, match="those of 2 targets"):
            regularization_path(X, np.column_stack([y, y]), alphas=2).plot()


def test_without_tol_each_fit_goes_as_far_as_it_can():
    X, y = load_diabetes(return_X_y=True)
    path = regularization_path(X, y, alphas=5, tol=None)
    np.testing.assert_allclose(path.coefs, regularization_path(X, y, alphas=5, tol=1e-12).coefs, atol=1e-6)
