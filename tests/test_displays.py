"""The displays: what is drawn, where, and under which name. Nothing is compared by pixels."""

import builtins
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.optimize import minimize
from sklearn.datasets import load_diabetes
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gdregress import (
    Comparison,
    ComparisonDisplay,
    GradientDescentRegressor,
    LearningRateDisplay,
    LossCurveDisplay,
    LossSurfaceDisplay,
    compare,
    load_house_prices,
)

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

HOUSES = load_house_prices(return_X_y=True)
X, y = load_diabetes(return_X_y=True, scaled=False)
THREE = X[:, [2, 3, 8]]


@pytest.fixture(autouse=True)
def _no_figure_stays_open():
    yield
    plt.close("all")


def descended(rate=0.08, epochs=40, data=HOUSES, **params):
    model = GradientDescentRegressor(learning_rate=rate, epochs=epochs, tol=None, record_path=True, **params)
    return model.fit(*data)


@pytest.fixture
def diverged():
    with pytest.warns(match="stability ceiling"):
        return descended(0.085, 100)


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


class TestLossCurve:
    def test_the_line_is_the_history(self):
        model = descended()
        display = LossCurveDisplay.from_estimator(model)
        np.testing.assert_array_equal(display.line_.get_ydata(), model.history_["loss"])
        np.testing.assert_array_equal(display.line_.get_xdata(), np.arange(41))
        assert display.ax_.get_yscale() == "log"
        assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("epoch", "mean squared error")
        assert display.validation_line_ is None
        assert labels(display.ax_) == ["training", "stopped after 40 epochs"]
        assert display.figure_ is display.ax_.figure

    def test_validation_the_best_epoch_and_the_stop(self):
        model = GradientDescentRegressor("diagonal", optimizer="gd", epochs=60, early_stopping=True, tol=None)
        rng = np.random.default_rng(0)
        wide = rng.normal(size=(80, 25))
        target = wide[:, 0] + rng.normal(size=80)
        model.fit(wide[:30], target[:30], X_val=wide[30:], y_val=target[30:])
        losses = model.history_["validation_loss"]
        best = int(np.argmin(losses))
        assert 0 < best < model.n_iter_
        display = LossCurveDisplay.from_estimator(model)
        np.testing.assert_array_equal(display.validation_line_.get_ydata(), losses)
        assert display.best_.get_xydata().tolist() == [[best, losses[best]]]
        assert display.stop_.get_xydata().tolist() == [[model.n_iter_, losses[-1]]]
        expected = ["training", "validation", f"stopped after {model.n_iter_} epochs", f"best epoch, {best}"]
        assert labels(display.ax_) == expected

    def test_several_models_share_axes(self):
        _, ax = plt.subplots()
        first = LossCurveDisplay.from_estimator(descended(0.01), ax=ax, name="slow")
        second = LossCurveDisplay.from_estimator(GradientDescentRegressor().fit(*HOUSES), ax=first.ax_, name="auto")
        assert first.ax_ is second.ax_ is ax
        assert first.line_.get_color() != second.line_.get_color()
        assert labels(ax) == ["slow: stopped after 40 epochs", "auto: converged after 1 epoch"]

    def test_a_descent_that_diverges_leaves_the_axes(self, diverged):
        display = LossCurveDisplay.from_estimator(descended(), name="fell")
        display = LossCurveDisplay.from_estimator(diverged, ax=display.ax_, name="rose")
        low, high = display.ax_.get_ylim()
        assert low < descended().history_["loss"][-1] < 65229 < high < 1e8 < display.line_.get_ydata()[-1]
        assert "rose: diverged after 100 epochs" in labels(display.ax_)
        assert "rose: best epoch, 0" in labels(display.ax_)

    @pytest.mark.parametrize("loss", [[3.0, 1.0, 0.0], [0.0], [1.0, 1e300, np.inf], [1.0, np.nan]], ids=str)
    def test_losses_that_a_logarithmic_axis_does_not_know(self, loss):
        display = LossCurveDisplay(loss=np.array(loss)).plot()
        display.figure_.canvas.draw()
        shown = display.line_.get_ydata()
        assert (shown[np.isfinite(shown)] > 0).all()

    def test_the_name_of_the_loss(self):
        model = GradientDescentRegressor(loss="quantile").fit(*HOUSES)
        assert LossCurveDisplay.from_estimator(model).ax_.get_ylabel() == "mean pinball loss"


def mse(coef, intercept, data=HOUSES):
    rows, targets = data
    return np.mean((targets - rows @ np.atleast_1d(coef) - intercept) ** 2)


class TestLossSurface:
    def test_of_one_feature_it_is_the_objective_itself(self):
        model = descended()
        display = LossSurfaceDisplay.from_estimator(model, *HOUSES, resolution=7)
        for row, intercept in enumerate(display.second):
            for column, coef in enumerate(display.first):
                assert display.values[row, column] == pytest.approx(mse(coef, intercept), rel=1e-10)
        path = np.column_stack([model.history_["coef"][:, 0], model.history_["intercept"]])
        np.testing.assert_array_equal(display.path, path)
        np.testing.assert_allclose(display.path_values, model.history_["loss"], rtol=1e-10)
        np.testing.assert_allclose(display.minimum, [84.73684211, -46.31578947], rtol=1e-9)
        assert display.minimum_value == pytest.approx(5691.729323, rel=1e-9)
        assert display.names == ("coefficient", "intercept")

    def test_what_is_drawn(self):
        display = LossSurfaceDisplay.from_estimator(descended(), *HOUSES)
        ax = display.ax_
        assert (ax.get_xlabel(), ax.get_ylabel()) == display.names
        np.testing.assert_array_equal(display.path_.get_xydata(), display.path)
        assert display.start_.get_xydata().tolist() == [[0.0, 0.0]]
        np.testing.assert_array_equal(display.minimum_.get_xydata(), [display.minimum])
        low, high = ax.get_xlim()
        assert low < 0 < display.minimum[0] < high
        assert display.figure_.axes[-1].get_ylabel() == "mean squared error above its minimum"
        levels = display.surface_.levels
        assert levels[0] == 0
        assert levels[-1] / levels[1] > 1e3

    def test_derivatives_are_the_textbook_s(self):
        model = descended(0.001, 3)
        display = LossSurfaceDisplay.from_estimator(model, *HOUSES)
        rows, targets = HOUSES
        residual = targets[:, None] - rows * model.history_["coef"][:, 0] - model.history_["intercept"]
        expected = -2 * np.column_stack([(rows * residual).mean(axis=0), residual.mean(axis=0)])
        np.testing.assert_allclose(display.derivatives, expected, rtol=1e-10)

    @pytest.mark.parametrize(
        "params",
        [
            {},
            {"penalty": "l2", "alpha": 0.1},
            {"loss": "huber", "epsilon": 40.0, "penalty": "elasticnet", "alpha": 0.1},
            {"loss": "quantile", "quantile": 0.7},
            {"fit_intercept": False},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
    def test_the_others_are_optimal(self, params, weighted):
        """The least that the other coefficient and the intercept allow, up to interpolation."""
        weight = np.random.default_rng(0).integers(0, 3, len(y)).astype(float) if weighted else None
        model = GradientDescentRegressor("diagonal", epochs=5, tol=None, record_path=True, **params)
        model.fit(THREE, y, sample_weight=weight)
        display = LossSurfaceDisplay.from_estimator(
            model, THREE, y, sample_weight=weight, coefficients=(0, 2), resolution=4
        )
        scale = THREE.std(axis=0)
        for row, column in [(0, 0), (1, 2), (3, 3)]:
            a, b = display.first[column], display.second[row]

            def brute(rest, a=a, b=b):
                w = np.array([a, rest[0] / scale[1], b])
                return self.objective(w, rest[1] if len(rest) > 1 else 0.0, weight, **params)

            start = [model.coef_[1] * scale[1], model.intercept_][: 1 + model.fit_intercept]
            for _ in range(3):
                found = minimize(brute, start, method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-10})
                start = found.x
            above = display.values[row, column] / found.fun - 1
            assert -1e-6 < above < (1e-9 if model.loss == "squared_error" else 1e-3)

    @staticmethod
    def objective(w, b, weight, loss="squared_error", penalty=None, alpha=0.0, epsilon=0.0, quantile=0.5, **_):
        r = y - THREE @ w - b
        size = np.abs(r)
        losses = {
            "squared_error": r**2,
            "huber": np.where(size <= epsilon, r**2, 2 * epsilon * size - epsilon**2),
            "quantile": np.maximum(quantile * r, (quantile - 1) * r),
        }[loss]
        share = {None: 0.0, "l2": 0.0, "elasticnet": 0.15}[penalty]
        factor = 0.0 if penalty is None else alpha * (1 if loss == "quantile" else 2)
        return np.average(losses, weights=weight) + factor * (share * np.abs(w).sum() + (1 - share) / 2 * (w**2).sum())

    def test_the_others_are_fixed(self):
        model = descended("diagonal", 5, (THREE, y))
        display = LossSurfaceDisplay.from_estimator(
            model, THREE, y, coefficients=(1, "intercept"), others="fixed", resolution=3
        )
        w = np.array([model.coef_[0], display.first[2], model.coef_[2]])
        expected = mse(w, display.second[1], (THREE, y))
        assert display.values[1, 2] == pytest.approx(expected, rel=1e-10)
        optimal = LossSurfaceDisplay.from_estimator(model, THREE, y, coefficients=(1, "intercept"), resolution=3)
        assert (optimal.values <= display.values * (1 + 1e-12)).all()

    def test_fixed_are_those_that_were_kept(self):
        """Of a descent that diverged those of its start, and not of its last epoch."""
        with pytest.warns(match="stability ceiling"):
            model = descended(1.0, 5, (THREE, y))
        display = LossSurfaceDisplay.from_estimator(model, THREE, y, coefficients=(0, 1), others="fixed", resolution=3)
        w = np.array([display.first[1], display.second[2], model.coef_[2]])
        assert display.values[2, 1] == pytest.approx(mse(w, model.intercept_, (THREE, y)), rel=1e-10)

    def test_the_minimum_is_that_of_least_squares(self):
        model = descended("diagonal", 5, (THREE, y))
        display = LossSurfaceDisplay.from_estimator(model, THREE, y)
        exact = LinearRegression().fit(THREE, y)
        columns = [int(name.removeprefix("coefficient ")) for name in display.names]
        np.testing.assert_allclose(display.minimum, exact.coef_[columns], rtol=1e-8)
        assert display.minimum_value <= display.values.min()

    def test_by_default_those_that_moved_most_in_deviations_of_their_columns(self):
        rng = np.random.default_rng(0)
        columns = rng.normal(size=(200, 3)) * [1.0, 1e-3, 1.0]
        target = columns @ [1.0, 5e3, 0.01]
        model = descended("diagonal", 5, (columns, target))
        assert LossSurfaceDisplay.from_estimator(model, columns, target).names == ("coefficient 0", "coefficient 1")

    def test_a_diverging_path_is_cut_where_it_leaves(self, diverged):
        display = LossSurfaceDisplay.from_estimator(diverged, *HOUSES)
        display.figure_.canvas.draw()
        assert np.ptp(display.first) < 10 * 84.7
        seen = display.path_.get_xydata()
        assert np.isfinite(seen[0]).all()
        assert np.isnan(seen[-1]).all()

    def test_several_targets_and_a_data_frame(self):
        frame = pd.DataFrame(THREE, columns=["bmi", "bp", "s5"])
        targets = np.column_stack([y, -2 * y + 3])
        model = descended("diagonal", 8, (frame, targets))
        display = LossSurfaceDisplay.from_estimator(model, frame, targets, target=1, coefficients=("bmi", "s5"))
        assert display.names == ("coefficient of bmi", "coefficient of s5")
        np.testing.assert_array_equal(display.path, model.history_["coef"][:, 1][:, [0, 2]])
        exact = LinearRegression().fit(THREE, targets[:, 1])
        np.testing.assert_allclose(display.minimum, exact.coef_[[0, 2]], rtol=1e-8)

    def test_a_surface_in_three_dimensions(self):
        display = LossSurfaceDisplay.from_estimator(descended(), *HOUSES, kind="surface")
        assert display.ax_.name == "3d"
        _, _, heights = display.path_.get_data_3d()
        np.testing.assert_allclose(heights, display.path_values)
        assert display.ax_.get_zlabel() == "mean squared error"

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            ({"kind": "pie"}, "kind='pie' is neither"),
            ({"others": "best"}, "others='best' is neither"),
            ({"coefficients": (0, 7)}, "7 is none of the 3 features"),
            ({"coefficients": (1, 1)}, "are not two different ones"),
            ({"coefficients": (1,)}, "are not two different ones"),
        ],
        ids=str,
    )
    def test_what_is_refused(self, arguments, sentence):
        model = descended("diagonal", 2, (THREE, y))
        with pytest.raises(ValueError, match=sentence):
            LossSurfaceDisplay.from_estimator(model, THREE, y, **arguments)

    def test_flat_axes_for_a_surface_are_refused(self):
        with pytest.raises(ValueError, match="projection='3d'"):
            LossSurfaceDisplay.from_estimator(descended(), *HOUSES, ax=plt.subplots()[1], kind="surface")

    def test_a_path_that_was_not_recorded(self):
        with pytest.raises(ValueError, match="record_path=True"):
            LossSurfaceDisplay.from_estimator(GradientDescentRegressor().fit(*HOUSES), *HOUSES)

    def test_one_coefficient_has_no_surface(self):
        with pytest.raises(ValueError, match="needs two coefficients"):
            LossSurfaceDisplay.from_estimator(descended(fit_intercept=False), *HOUSES)


class TestAnimation:
    @pytest.mark.parametrize("kind", ["contour", "surface"])
    def test_it_is_saved_with_pillow_alone(self, tmp_path, kind):
        display = LossSurfaceDisplay.from_estimator(descended(), *HOUSES)
        animation = display.animate(kind=kind, max_frames=6)
        animation.save(tmp_path / "descent.gif", writer="pillow", dpi=30)
        with Image.open(tmp_path / "descent.gif") as saved:
            assert saved.n_frames == 6

    @pytest.mark.parametrize("data", [HOUSES, (THREE, y)], ids=["line", "predictions"])
    def test_a_frame_shows_its_epoch(self, data):
        model = descended("diagonal", 20, data)
        display = LossSurfaceDisplay.from_estimator(model, *data)
        animation = display.animate()
        animation._draw_frame(4)
        surface, fitted, *slopes = [axes for axes in animation._fig.axes if axes.get_label() != "<colorbar>"]
        assert surface.get_title() == f"epoch 4, loss {model.history_['loss'][4]:.6g}"
        np.testing.assert_array_equal(display.path_.get_xydata(), display.path[:5])
        drawn = fitted.lines[-1] if len(display.data) == 4 else fitted.lines[0]
        coef, intercept = model.history_["coef"][4], model.history_["intercept"][4]
        rows = np.array([[1.0], [5.0]]) if len(display.data) == 4 else data[0]
        np.testing.assert_allclose(drawn.get_ydata(), rows @ coef + intercept, rtol=1e-9)
        for axes, expected in zip(slopes, display.derivatives.T, strict=True):
            np.testing.assert_array_equal(axes.lines[-1].get_ydata(), expected[:5])
        animation._draw_was_started = True

    def test_of_many_epochs_the_early_ones_are_shown_one_by_one(self):
        display = LossSurfaceDisplay.from_estimator(descended(0.01, 5000), *HOUSES)
        assert display.epochs[:10].tolist() == list(range(10))
        assert display.epochs[-1] == 5000
        assert len(display.epochs) <= 1000


class TestLearningRates:
    def test_losses_and_lines(self):
        rates = [0.001, 0.01, 0.075, 0.0812, 0.0814, 0.5]
        display = LearningRateDisplay.from_estimator(
            GradientDescentRegressor(epochs=200), *HOUSES, learning_rates=rates
        )
        assert display.losses[2] == pytest.approx(5692.005, abs=1e-3)  # the textbook's
        assert display.ceiling == pytest.approx(0.08128431, abs=1e-8)
        rows = np.column_stack([HOUSES[0], np.ones(7)])
        mu, largest = np.linalg.eigvalsh(2 * rows.T @ rows / 7)
        assert display.best_rate == pytest.approx(2 / (mu + largest), rel=1e-10)
        assert display.line_.get_xdata().tolist() == rates[:4]
        assert display.diverged_.get_xdata().tolist() == rates[4:]
        assert display.ceiling_.get_xdata()[0] == display.ceiling
        assert display.start_.get_ydata()[0] == pytest.approx(65228.571428)
        assert display.auto_.get_ydata()[0] == pytest.approx(5691.729323)
        assert labels(display.ax_) == [
            "after 200 epochs",
            "start",
            'learning_rate="auto", 1 epoch',
            "best constant rate 2/(L+mu) = 0.08046",
            "ceiling 2/L = 0.08128",
            "diverged",
        ]

    def test_default_rates_are_about_the_ceiling(self):
        display = LearningRateDisplay.from_estimator(GradientDescentRegressor(epochs=5), *HOUSES)
        assert display.learning_rates[0] == pytest.approx(1e-4 * display.ceiling)
        assert display.learning_rates[-1] == pytest.approx(10 * display.ceiling)

    def test_a_loss_without_a_ceiling(self):
        model = GradientDescentRegressor(loss="absolute_error", epochs=20)
        display = LearningRateDisplay.from_estimator(model, *HOUSES, learning_rates=[0.1, 1.0])
        assert display.ceiling_ is display.best_rate_ is None

    def test_collinear_columns_have_no_slowest_direction(self):
        twice = np.column_stack([HOUSES[0], HOUSES[0]])
        display = LearningRateDisplay.from_estimator(GradientDescentRegressor(epochs=2), twice, HOUSES[1])
        assert display.best_rate == pytest.approx(display.ceiling)

    def test_rates_that_are_none(self):
        with pytest.raises(ValueError, match="not all positive"):
            LearningRateDisplay.from_estimator(GradientDescentRegressor(), *HOUSES, learning_rates=[0.1, 0.0])

    def test_the_estimator_stays_as_it_was(self):
        model = GradientDescentRegressor(epochs=3)
        LearningRateDisplay.from_estimator(model, *HOUSES, learning_rates=[0.01])
        assert not hasattr(model, "coef_")
        assert model.get_params() == GradientDescentRegressor(epochs=3).get_params()


class TestComparison:
    def test_points_and_texts(self):
        comparison = compare(X, y)
        display = comparison.plot()
        errors = [row.prediction_error for row in comparison.rows]
        np.testing.assert_allclose(display.points_.get_offsets()[:, 0], np.maximum(errors, 1e-16))
        assert [tick.get_text() for tick in display.ax_.get_yticklabels()] == [row.solver for row in comparison.rows]
        assert display.texts_[1].get_text().startswith(f"{errors[1]:.1e},  ")
        assert "standard deviations of y" in display.ax_.get_xlabel()
        assert display.ax_.get_xscale() == "log"

    @pytest.mark.parametrize(
        ("seconds", "said"),
        [(0.000912, "0.91 ms"), (0.0449, "45 ms"), (0.163, "163 ms"), (2.345, "2.3 s"), (61.2, "61 s")],
    )
    def test_times_in_units_that_suit_them(self, seconds, said):
        display = ComparisonDisplay(solvers=["one"], errors=np.array([0.0]), seconds=np.array([seconds])).plot()
        assert display.texts_[0].get_text() == f"0,  {said}"

    def test_a_solver_that_failed_is_shown(self):
        ran, *_ = compare(*HOUSES).rows
        comparison = Comparison([ran, replace(ran, solver="other", prediction_error=np.nan, seconds=np.nan)])
        failed = [False, True]
        display = comparison.plot()
        assert [text.get_text() == "failed" for text in display.texts_] == failed

    def test_on_axes_that_are_given(self):
        _, ax = plt.subplots()
        assert compare(*HOUSES).plot(ax).ax_ is ax


class TestEstimators:
    @pytest.mark.parametrize("make", [LossCurveDisplay, LossSurfaceDisplay, LearningRateDisplay])
    def test_pipelines_and_strangers_are_refused_in_a_sentence(self, make):
        data = () if make is LossCurveDisplay else HOUSES
        pipeline = make_pipeline(StandardScaler(), GradientDescentRegressor()).fit(*HOUSES)
        with pytest.raises(TypeError, match="pass its last step"):
            make.from_estimator(pipeline, *data)
        with pytest.raises(TypeError, match="not from a LinearRegression"):
            make.from_estimator(LinearRegression().fit(*HOUSES), *data)

    @pytest.mark.parametrize("make", [LossCurveDisplay, LossSurfaceDisplay])
    def test_one_that_is_not_fitted(self, make):
        with pytest.raises(NotFittedError):
            make.from_estimator(GradientDescentRegressor(), *(() if make is LossCurveDisplay else HOUSES))

    def test_without_matplotlib(self, monkeypatch):
        real = builtins.__import__

        def blocked(name, *args, **kwargs):
            if name.startswith("matplotlib"):
                raise ImportError(name)
            return real(name, *args, **kwargs)

        monkeypatch.setattr(builtins, "__import__", blocked)
        with pytest.raises(ImportError, match=r'python -m pip install "gdregress\[plot\]"'):
            LossCurveDisplay.from_estimator(descended())
