"""What the dtype of the coefficients cannot hold is said, and no fit has converged to it."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.exceptions import ConvergenceWarning

from gdregress import GradientDescentRegressor

rng = np.random.default_rng(0)
X = rng.normal(size=(50, 3))
y = X @ [1.0, 2.0, 3.0] + rng.normal(size=50) + 1.0
PREDICTED = GradientDescentRegressor().fit(X, y).predict(X)

TOO_LARGE = "coefficients are too large for {}: multiply X or divide y by a power of ten"
TOO_SMALL = "coefficients are too small for {}: divide X or multiply y by a power of ten"

OUT_OF_RANGE = {
    "X at the end of floats": (1e-308, 1.0, "float64", TOO_LARGE),
    "X whose deviations have no reciprocal": (1e-310, 1.0, "float64", TOO_LARGE),
    "small X, large y": (1e-200, 1e200, "float64", TOO_LARGE),
    "large X, small y": (1e200, 1e-200, "float64", TOO_SMALL),
    "small X, large y, in 32 bits": (1e-30, 1e10, "float32", TOO_LARGE),
    "large y, in 32 bits": (1.0, 1e39, "float32", TOO_LARGE),
    "large X, small y, in 32 bits": (1e30, 1e-16, "float32", TOO_SMALL),
    "some digits are left": (1e30, 1e-13, "float32", TOO_SMALL),
}


@pytest.mark.parametrize("loss", ["squared_error", "huber", "absolute_error"])
@pytest.mark.parametrize("case", OUT_OF_RANGE)
def test_coefficients_out_of_range_are_told_what_helps(case, loss):
    of_x, of_y, dtype, sentence = OUT_OF_RANGE[case]
    model = GradientDescentRegressor(loss=loss, **({"epsilon": of_y} if loss == "huber" else {}))
    with pytest.warns(ConvergenceWarning, match=sentence.format(dtype)):
        model.fit((X * of_x).astype(dtype), y * of_y)
    assert not model.converged_
    assert model.stop_reason_.startswith(sentence.format(dtype))
    assert model.stop_reason_.endswith(", or pass X in 64 bits.") == (dtype == "float32")


def test_an_interrupted_fit_is_told_too():
    def until(k):
        if k == 3:
            raise KeyboardInterrupt
        return 1.0

    model = GradientDescentRegressor("diagonal", optimizer="momentum", schedule=until)
    sentence = TOO_LARGE.format("float32")
    with pytest.raises(KeyboardInterrupt), pytest.warns(ConvergenceWarning, match=sentence):
        model.fit((1e-30 * X).astype(np.float32), 1e10 * y)
    assert model.stop_reason_.startswith(sentence)


@pytest.mark.parametrize(
    ("of_x", "of_y"), [(1e-300, 1.0), (1e300, 1.0), (1e-150, 1e150), (1.0, 1e-300), (1e10, 1e-298)]
)
def test_what_is_in_range_is_not(of_x, of_y):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = GradientDescentRegressor().fit(X * of_x, y * of_y)
    assert model.converged_
    assert_allclose(model.predict(X * of_x) / of_y, PREDICTED, atol=1e-6 * y.std())


def test_of_the_remedies_each_helps():
    for of_x, of_y, dtype in [(1e-20, 1e10, "float32"), (1e-30, 1.0, "float32"), (1e-30, 1e10, "float64")]:
        model = GradientDescentRegressor().fit((X * of_x).astype(dtype), y * of_y)
        assert model.converged_
        assert_allclose(model.predict((X * of_x).astype(dtype)) / of_y, PREDICTED, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("unit", "sentence"), [(1e39, "large for float32: divide y"), (1e-44, "small for float32: multiply y")]
)
def test_an_intercept_out_of_range(unit, sentence):
    """The coefficient is 0: X says nothing of y."""
    model = GradientDescentRegressor()
    with pytest.warns(ConvergenceWarning, match=f"the intercept is too {sentence} by a power of ten, or pass X in 64"):
        model.fit(np.float32([[1.0], [2.0], [1.0], [2.0]]), unit * np.array([1.0, 1.0, 3.0, 3.0]))
    assert not model.converged_


def test_a_coefficient_whose_effect_is_nothing_may_be_rounded_to_nothing():
    """A column of the size 1e30 that says nothing of y: its coefficient is rounding, which no 32 bits can hold."""
    exact = X.astype(np.float32) @ np.float32([1.0, 2.0, 3.0])
    far = np.linalg.qr(np.column_stack([np.ones(50), X, rng.normal(size=50)]))[0][:, 4]
    wide = np.column_stack([X, 1e30 * far]).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = GradientDescentRegressor().fit(wide, exact * 1e-10)
    assert model.converged_
    assert model.coef_[3] == 0
    assert_allclose(model.predict(wide) * 1e10, exact, rtol=1e-5, atol=1e-5)


def test_zeros_of_l1_and_columns_that_are_constant_are_in_range():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = GradientDescentRegressor(penalty="l1", alpha=1.0).fit(np.column_stack([X, np.ones(50)]), y)
    assert model.converged_
    assert (model.coef_ == 0).any()
