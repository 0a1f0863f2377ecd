"""The displays: what is drawn, where, and under which name. Nothing is compared by pixels."""

import builtins
import warnings
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.optimize import minimize
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gdregress import (
    Comparison,
    ComparisonDisplay,
    GradientDescentRegressor,
    GradientDescentRegressorCV,
    LearningRateDisplay,
    LossCurveDisplay,
    LossSurfaceDisplay,
    compare,
    load_house_prices,
)
from gdregress.problem.losses import LOSSES

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


def shown_ticks(axis):
    """The labels within the limits of an axis."""
    low, high = sorted(axis.get_view_interval())
    ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
    return [tick.label1.get_text() for tick in ticks if low <= tick.get_loc() <= high and tick.label1.get_text()]


def assert_inside(figure):
    """Nothing that is drawn reaches over the edge of the figure."""
    figure.canvas.draw()
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(drawn.x0, drawn.y0, width - drawn.x1, height - drawn.y1) >= 0


class TestLossCurve:
    def test_the_line_is_the_history(self):
        model = descended()
        display = LossCurveDisplay.from_estimator(model)
        np.testing.assert_array_equal(display.line_.get_ydata(), model.history_["loss"])
        np.testing.assert_array_equal(display.line_.get_xdata(), np.arange(41))
        assert display.ax_.get_yscale() == "log"
        assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("epoch", "mean squared error")
        assert display.validation_line_ is None
        assert labels(display.ax_) == ["training", f"stopped after 40 epochs at {model.history_['loss'][-1]:.4g}"]
        assert display.stop_.get_xydata().tolist() == [[40, model.history_["loss"][-1]]]
        assert display.best_ is None
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
        last = model.history_["loss"][-1]
        stop = f"stopped after {model.n_iter_} epochs at {last:.4g},\nvalidation {losses[-1]:.4g}"
        expected = ["training", "validation", stop, f"epoch {best} is kept"]
        assert labels(display.ax_) == expected

    def test_several_models_share_axes(self):
        _, ax = plt.subplots()
        first = LossCurveDisplay.from_estimator(descended(0.01), ax=ax, name="slow")
        second = LossCurveDisplay.from_estimator(GradientDescentRegressor().fit(*HOUSES), ax=first.ax_, name="auto")
        assert first.ax_ is second.ax_ is ax
        assert first.line_.get_color() != second.line_.get_color()
        stopped, converged = labels(ax)
        assert stopped.startswith("slow: stopped after 40 epochs at ")
        assert converged == "auto: converged after 1 epoch at 5692"  # the textbook's minimum

    def test_a_descent_that_diverges_leaves_the_axes(self, diverged):
        display = LossCurveDisplay.from_estimator(descended(), name="fell")
        display = LossCurveDisplay.from_estimator(diverged, ax=display.ax_, name="rose")
        low, high = display.ax_.get_ylim()
        assert low < descended().history_["loss"][-1] < 65229 < high < 1e8 < display.line_.get_ydata()[-1]
        assert "rose: diverged after 100 epochs at 2.341e+12" in labels(display.ax_)  # as the warning says
        assert "rose: epoch 0 is kept" in labels(display.ax_)
        assert display.best_.get_xydata()[0].tolist() == pytest.approx([0, 65228.571428])

    def test_alone_a_descent_that_diverges_is_shown_to_its_end(self, diverged):
        display = LossCurveDisplay.from_estimator(diverged)
        assert display.ax_.get_ylim()[1] > diverged.history_["loss"][-1]

    def test_a_descent_that_swings_above_its_start_has_diverged(self):
        """Huber's slope is bounded: at twice the stable rate every second epoch is the start again."""
        rose = GradientDescentRegressor(1.0, 20, loss="huber", epsilon=40.0, tol=None)
        with pytest.warns(ConvergenceWarning, match="the loss swings between 16000 and 50416.3"):
            rose.fit(*HOUSES)
        assert rose.history_["loss"][-1] <= rose.history_["loss"][0] < rose.history_["loss"][-2]
        assert "diverged after 20 epochs" in labels(LossCurveDisplay.from_estimator(rose).ax_)[1]

    @pytest.mark.parametrize(
        "params",
        [
            {"loss": "absolute_error", "learning_rate": 1e3},
            {"loss": "huber", "epsilon": 1e-3, "learning_rate": 1e6},
            {"loss": "epsilon_insensitive", "learning_rate": 1e3},
        ],
        ids=str,
    )
    def test_the_epoch_that_is_kept_is_known_where_all_are_as_far_from_the_minimum(self, params):
        model = GradientDescentRegressor(**params, epochs=19, tol=None, record_path=True)
        with pytest.warns(ConvergenceWarning, match="the start is kept"):
            model.fit(*HOUSES)
        assert model.history_["optimality"][0] == model.history_["optimality"][-1]
        assert model.best_epoch_ == 0
        np.testing.assert_array_equal(model.coef_, model.history_["coef"][0])
        display = LossCurveDisplay.from_estimator(model)
        assert "epoch 0 is kept" in labels(display.ax_)
        assert display.best_.get_xydata().tolist() == [[0, model.history_["loss"][0]]]

    @pytest.mark.parametrize("optimizer", ["gd", "momentum", "adam"])
    @pytest.mark.parametrize("loss", LOSSES)
    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
    def test_it_says_what_the_fit_says(self, loss, optimizer):
        """Below its ceiling a descent that ends above its start has overshot; a loss with kinks may just swing."""
        model = GradientDescentRegressor(loss=loss, optimizer=optimizer, epsilon=40.0 if loss == "huber" else 0.1)
        rates = [1e-3, 0.08, 0.1, 1.0, 30.0, 1000.0]
        said = []
        for rate in rates:
            model.set_params(learning_rate=rate, epochs=6, tol=None).fit(*HOUSES)
            said.append(model.diverged_)
            assert said[-1] == any(words in model.stop_reason_ for words in ("the loss rose", "the loss swings"))
            [_, shown] = labels(LossCurveDisplay.from_estimator(model).ax_)[:2]
            assert shown.startswith("diverged after " if said[-1] else "stopped after 6 epochs")
            plt.close("all")
        assert set(said) == {True, False}
        if optimizer == "gd":
            display = LearningRateDisplay.from_estimator(model, *HOUSES, learning_rates=rates)
            assert display.diverged.tolist() == said

    def test_one_that_rises_only_at_first_has_not_diverged(self):
        model = descended(0.1, 100, optimizer="momentum")
        loss = model.history_["loss"]
        assert loss.max() > 2 * loss[0]
        assert "stopped after 100 epochs" in labels(LossCurveDisplay.from_estimator(model).ax_)[1]

    def test_the_legend_leaves_the_curve_free(self):
        """In the corner that a rising curve does not reach."""
        display = LossCurveDisplay(loss=np.geomspace(1.0, 1e6, 50)).plot()
        display.figure_.canvas.draw()
        box = display.ax_.get_legend().get_window_extent()
        assert not box.contains(*display.ax_.transData.transform([49, 1e6]))

    def test_of_equal_epochs_the_last_is_kept(self):
        model = GradientDescentRegressor(0.01, epochs=5, tol=None).fit(HOUSES[0], np.zeros(7))
        assert LossCurveDisplay.from_estimator(model).best_ is None

    def test_of_epochs_that_are_equally_far_from_the_minimum_that_of_least_validation_loss_is_kept(self):
        """At its ceiling the descent goes to and fro between two points."""
        signs, held = np.array([[1.0], [-1.0]]), np.array([[1.0]])
        model = GradientDescentRegressor(1.0, 6, tol=None, fit_intercept=False, early_stopping=True)
        model.fit(signs, signs[:, 0], X_val=held, y_val=[1.5])
        assert model.coef_.tolist() == [2.0]
        assert LossCurveDisplay.from_estimator(model).best_.get_xydata().tolist() == [[1, 0.25]]

    def test_epochs_are_whole_numbers(self):
        display = LossCurveDisplay.from_estimator(descended(0.01, 2))
        display.figure_.canvas.draw()
        ticks = display.ax_.get_xticks()
        np.testing.assert_array_equal(ticks, np.rint(ticks))

    def test_what_is_not_zero_is_drawn_as_it_is(self):
        """A loss that rises beyond all does not lift those before it, and zero is below those before it."""
        rose = LossCurveDisplay(loss=np.array([65228.0, 1e10, 1e300])).plot()
        np.testing.assert_array_equal(rose.line_.get_ydata(), rose.loss)
        fell = LossCurveDisplay(loss=np.array([1.0, 1e-20, 0.0])).plot()
        assert fell.line_.get_ydata()[1] == 1e-20
        assert 0 < fell.line_.get_ydata()[2] <= 1e-20

    @pytest.mark.parametrize("loss", [[3.0, 1.0, 0.0], [0.0], [1.0, 1e300, np.inf], [1.0, np.nan]], ids=str)
    def test_losses_that_a_logarithmic_axis_does_not_know(self, loss):
        display = LossCurveDisplay(loss=np.array(loss)).plot()
        display.figure_.canvas.draw()
        shown = display.line_.get_ydata()
        assert (shown[np.isfinite(shown)] > 0).all()
        assert np.isfinite(display.ax_.get_ylim()).all()

    def test_the_name_of_the_loss(self):
        model = GradientDescentRegressor(loss="quantile").fit(*HOUSES)
        ax = LossCurveDisplay.from_estimator(model).ax_
        assert ax.get_ylabel() == "mean pinball loss"
        assert LossCurveDisplay.from_estimator(descended(), ax=ax).ax_.get_ylabel() == "mean loss"


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
        assert display.figure_.axes[-1].get_ylabel() == "mean squared error\nabove its minimum"
        assert labels(ax) == ["epochs", "start", "minimum"]
        bottom, *levels = display.surface_.levels
        assert bottom == 0
        np.testing.assert_allclose(np.diff(np.log10(levels)), 0.25)
        above = display.values - display.minimum_value
        assert levels[-2] < above.max() <= levels[-1] * (1 + 1e-12)
        ticks = display.figure_.axes[-1].get_yticks()
        np.testing.assert_allclose(np.log10(ticks), np.rint(np.log10(ticks)))

    def test_derivatives_are_the_textbook_s(self):
        model = descended(0.001, 3)
        display = LossSurfaceDisplay.from_estimator(model, *HOUSES)
        rows, targets = HOUSES
        residual = targets[:, None] - rows * model.history_["coef"][:, 0] - model.history_["intercept"]
        expected = -2 * np.column_stack([(rows * residual).mean(axis=0), residual.mean(axis=0)])
        np.testing.assert_allclose(display.derivatives, expected, rtol=1e-10)

    def test_derivatives_are_those_of_the_penalty_too(self):
        rows, targets = HOUSES
        model = descended(0.001, 3, penalty="elasticnet", alpha=50.0, l1_ratio=0.4)
        display = LossSurfaceDisplay.from_estimator(model, *HOUSES)
        w, b = model.history_["coef"][1:, 0], model.history_["intercept"][1:]
        assert (w > 0).all()
        slope = -2 * (rows * (targets[:, None] - rows * w - b)).mean(axis=0) + 100.0 * (0.4 + 0.6 * w)
        np.testing.assert_allclose(display.derivatives[1:, 0], slope, rtol=1e-10)

    @pytest.mark.grid(1)
    @pytest.mark.parametrize(
        "params",
        [
            {},
            {"penalty": "l2", "alpha": 0.1},
            {"loss": "huber", "epsilon": 40.0, "penalty": "elasticnet", "alpha": 0.1},
            {"loss": "quantile", "quantile": 0.7, "penalty": "l1", "alpha": 0.1},
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
        places = [(0, 0), (1, 2), (3, 3)]  # corners are nodes; between them it is interpolated
        for row, column in places:
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
        share = {None: 0.0, "l2": 0.0, "elasticnet": 0.15, "l1": 1.0}[penalty]
        factor = 0.0 if penalty is None else alpha * (1 if loss == "quantile" else 2)
        return np.average(losses, weights=weight) + factor * (share * np.abs(w).sum() + (1 - share) / 2 * (w**2).sum())

    @pytest.mark.parametrize(
        "params", [{"penalty": "l1", "alpha": 1.0}, {"loss": "huber", "epsilon": 30.0, "penalty": "l1", "alpha": 1.0}]
    )
    def test_near_the_minimum_heights_above_it_are_as_exact(self, params):
        """Where contours lie a thousandth of the height apart, what matters is the height above the minimum."""
        model = GradientDescentRegressor("diagonal", epochs=5, tol=None, record_path=True, **params).fit(X, y)
        display = LossSurfaceDisplay.from_estimator(model, X, y, coefficients=(4, 5), resolution=61)
        places = [
            (row, column)
            for row in np.argsort(np.abs(display.second - display.minimum[1]))[:5]
            for column in np.argsort(np.abs(display.first - display.minimum[0]))[:5]
        ]
        rest = [column for column in range(X.shape[1]) if column not in (4, 5)]
        errors = []
        for row, column in places:
            fixed = X[:, [4, 5]] @ [display.first[column], display.second[row]]
            other = GradientDescentRegressor(**params).fit(X[:, rest], y - fixed)
            w = np.zeros(X.shape[1])
            w[rest], w[[4, 5]] = other.coef_, [display.first[column], display.second[row]]
            r = y - X @ w - other.intercept_
            epsilon = params.get("epsilon", np.inf)
            least = np.where(
                np.abs(r) <= epsilon, r**2, 2 * epsilon * np.abs(r) - epsilon**2 if epsilon < np.inf else 0
            )
            least = least.mean() + 2 * np.abs(w).sum()
            errors.append((display.values[row, column] - least) / (least - display.minimum_value))
        assert min(errors) > -1e-3
        assert np.median(errors) < 0.05

    @pytest.mark.parametrize(
        ("others", "said", "minimum"),
        [("optimal", "at their best", "minimum"), ("fixed", "as fitted", "overall minimum")],
    )
    def test_it_says_where_the_others_are(self, others, said, minimum):
        model = descended("diagonal", 5, (THREE, y))
        display = LossSurfaceDisplay.from_estimator(model, THREE, y, others=others, resolution=3)
        assert display.ax_.get_legend().get_title().get_text() == f"contours: other coefficients {said}"
        assert labels(display.ax_) == ["epochs (fill: own height)", "start", minimum]
        display.plot(kind="surface")
        assert display.ax_.get_legend().get_title().get_text() == f"surface: other coefficients {said}"
        assert labels(display.ax_)[:2] == ["epochs, at their own heights", "their places on the surface"]
        assert labels(display.ax_)[3] == minimum

    @pytest.mark.parametrize(
        ("rate", "params"),
        [
            ("diagonal", {}),
            ("auto", {"penalty": "l1", "alpha": 1.0}),  # where it ends, interpolation is too high
            ("diagonal", {"loss": "huber", "epsilon": 30.0}),
        ],
        ids=str,
    )
    def test_the_path_lies_on_or_above_the_surface(self, rate, params):
        """Its own objective, with all coefficients as they were: the others are best only at the minimum."""
        model = descended(rate, 8, (THREE, y), **params)
        display = LossSurfaceDisplay.from_estimator(model, THREE, y, resolution=3, kind="surface")
        history = model.history_
        objective = [
            self.objective(w, b, None, **params) for w, b in zip(history["coef"], history["intercept"], strict=True)
        ]
        np.testing.assert_allclose(display.path_objective, objective, rtol=1e-9)
        assert (display.path_values <= display.path_objective).all()
        assert display.path_values[0] < 0.9 * display.path_objective[0]
        _, _, heights = display.path_.get_data_3d()
        _, _, below = display.shadow_.get_data_3d()
        np.testing.assert_array_equal(below, display.path_values)
        shown = np.isfinite(heights)
        assert shown.any()
        np.testing.assert_array_equal(np.array(heights)[shown], display.path_objective[shown])
        top = display.ax_.get_zlim()[1]
        assert (display.path_objective[shown] <= top).all()
        assert (display.path_objective[~shown] > top).all()
        assert top >= display.values.max()
        assert ("start: above the picture" in labels(display.ax_)) == (not shown[0])

    def test_a_path_far_above_the_surface_is_in_the_picture(self):
        model = descended("lipschitz", 200, (X, y))
        display = LossSurfaceDisplay.from_estimator(model, X, y, resolution=5, kind="surface")
        assert display.path_objective.min() > display.values.max()
        assert np.isfinite(display.path_.get_data_3d()[2][-1])

    def test_stems_join_the_path_and_the_surface(self):
        model = descended("diagonal", 30, (THREE, y))
        display = LossSurfaceDisplay.from_estimator(model, THREE, y, resolution=3, kind="surface")
        ends = np.array(display.stems_.get_data_3d()).reshape(3, -1, 3)
        assert 5 < ends.shape[1] <= 12
        first, last = ends[:, 0, :2].T, ends[:, -1, :2].T
        assert np.isnan(first[0, 2])
        np.testing.assert_array_equal(first[1], [*display.path[0], display.path_values[0]])
        np.testing.assert_array_equal(last[0], [*display.path[-1], display.path_objective[-1]])
        np.testing.assert_array_equal(last[1], [*display.path[-1], display.path_values[-1]])

    def test_fills_are_the_colours_of_the_path_s_own_heights(self):
        model = descended("diagonal", 30, (THREE, y), optimizer="gd")
        display = LossSurfaceDisplay.from_estimator(model, THREE, y, resolution=9)
        levels, colors = display.surface_.levels, display.surface_.get_facecolors()
        own = display.path_objective - display.minimum_value
        fills = display.fills_.get_facecolors()
        assert own[0] > levels[-1]
        assert not (colors == fills[0]).all(axis=1).any()
        inside = np.flatnonzero((own > levels[1]) & (own < levels[-1]))
        assert len(inside) > 3
        for epoch in inside:
            band = np.searchsorted(levels, own[epoch]) - 1
            np.testing.assert_array_equal(fills[epoch], colors[band])

    def test_a_model_without_others_has_neither_fills_nor_shadow(self):
        display = LossSurfaceDisplay.from_estimator(descended(), *HOUSES)
        assert display.ax_.get_legend().get_title().get_text() == ""
        assert display.fills_ is None
        display.plot(kind="surface")
        assert display.shadow_ is display.stems_ is None
        assert labels(display.ax_) == ["epochs", "start", "minimum"]

    @pytest.mark.parametrize("kind", ["contour", "surface"])
    @pytest.mark.parametrize("size", [(6.4, 4.8), (4.0, 3.0)])
    def test_what_is_written_is_inside_the_figure(self, kind, size):
        model = descended("diagonal", 5, (THREE, y), penalty="l1", alpha=1.0)
        settings = {"projection": "3d"} if kind == "surface" else None
        figure, ax = plt.subplots(figsize=size, layout="constrained", subplot_kw=settings)
        display = LossSurfaceDisplay.from_estimator(model, THREE, y, resolution=5, ax=ax, kind=kind)
        assert_inside(figure)
        if kind == "contour":
            assert display.ax_.get_legend().get_window_extent().y0 >= display.ax_.bbox.y1
        assert max(len(shown_ticks(axis)) for axis in (ax.xaxis, ax.yaxis)) <= 6

    def test_losses_are_those_of_the_points_themselves(self, diverged):
        """Not of the surface below them: the others are not yet optimal, and who diverges has left it."""
        model = descended("diagonal", 5, (THREE, y))
        display = LossSurfaceDisplay.from_estimator(model, THREE, y, resolution=3)
        np.testing.assert_allclose(display.path_objective, model.history_["loss"], rtol=1e-10)
        assert (display.path_values <= display.path_objective * (1 + 1e-10)).all()
        assert (display.path_values[:3] < display.path_objective[:3]).all()
        display = LossSurfaceDisplay.from_estimator(diverged, *HOUSES)
        np.testing.assert_allclose(display.path_objective, diverged.history_["loss"], rtol=1e-10)
        animation = display.animate()
        animation._draw_frame(100)
        assert (
            animation._fig.subfigs[0].get_suptitle() == "epoch 100, mean squared error 2.34071e+12"
        )  # as the warning says
        animation._draw_was_started = True

    @pytest.mark.parametrize("target", [0.0, 5.0])
    def test_a_path_that_goes_nowhere_is_shown_in_units_of_the_data(self, target):
        rows, flat = HOUSES[0], np.full(7, target)
        model = GradientDescentRegressor(record_path=True).fit(rows, flat)
        display = LossSurfaceDisplay.from_estimator(model, rows, flat)
        display.figure_.canvas.draw()
        np.testing.assert_allclose(display.minimum, [0.0, target], atol=1e-12)
        assert (
            display.first[0]
            < -0.5 * (target or 1.0) / rows.std()
            < 0.5 * (target or 1.0) / rows.std()
            < display.first[-1]
        )

    def test_a_path_that_falls_is_shown_whole(self):
        """Its second coefficient goes ten times as far as where it ends, before the first sets out."""
        rng = np.random.default_rng(0)
        level = rng.normal(size=200)
        rows = np.column_stack([0.1 * (level + 0.1 * rng.normal(size=200)), level])
        data = rows, 10.0 * rows[:, 0] + 0.05 * level
        model = descended("lipschitz", 3000, data, fit_intercept=False)
        display = LossSurfaceDisplay.from_estimator(model, *data)
        assert np.abs(display.path[:, 1]).max() > 5 * display.minimum[1]
        assert (display.path.min(axis=0) > [display.first[0], display.second[0]]).all()
        assert (display.path.max(axis=0) < [display.first[-1], display.second[-1]]).all()

    def test_warns_of_other_rows(self):
        """As of those of a pipeline that its first steps have not transformed."""
        model = descended()
        with pytest.warns(UserWarning, match="the loss on these rows is .* where that of the fit was") as caught:
            LossSurfaceDisplay.from_estimator(model, HOUSES[0][:4], HOUSES[1][:4], resolution=3)
        assert caught[0].filename == __file__
        with pytest.raises(ValueError, match="resolution=1 draws no surface"):
            LossSurfaceDisplay.from_estimator(model, *HOUSES, resolution=1)

    def test_rows_that_were_held_out_in_part_are_no_other_rows(self):
        data = THREE, y
        model = descended("diagonal", 5, data, early_stopping=True, random_state=0, n_iter_no_change=5)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            LossSurfaceDisplay.from_estimator(model, *data, resolution=3)
        assert not caught

    def test_coefficients_that_change_nothing(self):
        nothing = np.column_stack([np.zeros((7, 2)), HOUSES[0]])
        model = descended("diagonal", 2, (nothing, HOUSES[1]))
        with pytest.raises(ValueError, match="the same whatever these two coefficients are: name others"):
            LossSurfaceDisplay.from_estimator(model, nothing, HOUSES[1], coefficients=(0, 1))

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

    @pytest.mark.parametrize("fit_intercept", [False, True])
    def test_fixed_of_the_second_target(self, fit_intercept):
        targets = np.column_stack([y, -2 * y])
        model = descended("diagonal", 5, (THREE, targets), fit_intercept=fit_intercept)
        display = LossSurfaceDisplay.from_estimator(
            model, THREE, targets, coefficients=(0, 1), others="fixed", target=1, resolution=3
        )
        w = np.array([display.first[1], display.second[2], model.coef_[1, 2]])
        intercept = model.intercept_[1] if fit_intercept else 0.0
        assert display.values[2, 1] == pytest.approx(mse(w, intercept, (THREE, targets[:, 1])), rel=1e-10)

    @pytest.mark.parametrize("scale", [1e-140, 1e140])
    def test_targets_of_extreme_units(self, scale):
        display = LossSurfaceDisplay.from_estimator(
            descended(data=(HOUSES[0], scale * HOUSES[1])), HOUSES[0], scale * HOUSES[1]
        )
        assert display.minimum_value / scale**2 == pytest.approx(5691.729323, rel=1e-9)
        assert display.values.min() >= display.minimum_value * (1 - 1e-12)
        assert display.derivatives[0, 1] / scale == pytest.approx(-2 * HOUSES[1].mean())

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
        target = columns @ [1.0, 5.0, 0.5]  # the second coefficient is the largest, and moves the predictions least
        model = descended("diagonal", 5, (columns, target))
        assert LossSurfaceDisplay.from_estimator(model, columns, target).names == ("coefficient 0", "coefficient 2")

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
        np.testing.assert_allclose(display.path_objective, display.path_values, rtol=1e-12)

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            ({"kind": "pie"}, "kind='pie' is neither"),
            ({"others": "best"}, "others='best' is neither"),
            ({"coefficients": (0, 7)}, "7 is none of the 3 features"),
            ({"coefficients": (1, 1)}, "are not two different ones"),
            ({"coefficients": (1,)}, "are not two different ones"),
            ({"coefficients": 2}, "coefficients=2 are not two different ones"),
            ({"coefficients": (0, "bmi")}, "'bmi' is none of the 3 features"),
            ({"target": 1}, "target=1 is none of the targets of y, which are 0 to 0"),
        ],
        ids=str,
    )
    def test_what_is_refused(self, arguments, sentence):
        model = descended("diagonal", 2, (THREE, y))
        with pytest.raises(ValueError, match=sentence):
            LossSurfaceDisplay.from_estimator(model, THREE, y, **arguments)

    def test_an_animation_of_no_such_kind_is_refused(self):
        display = LossSurfaceDisplay.from_estimator(descended(), *HOUSES)
        with pytest.raises(
            ValueError, match=r"^kind='contours' is neither 'contour' nor 'surface': use one of them\.$"
        ):
            display.animate(kind="contours")

    def test_axes_of_other_dimensions_are_refused(self):
        display = LossSurfaceDisplay.from_estimator(descended(), *HOUSES)
        with pytest.raises(ValueError, match="2 dimensions, unlike kind='surface': make them with projection='3d'"):
            display.plot(plt.subplots()[1], kind="surface")
        with pytest.raises(ValueError, match="3 dimensions, unlike kind='contour': make them without"):
            display.plot(plt.subplots(subplot_kw={"projection": "3d"})[1])

    def test_rows_that_are_not_those_of_the_fit(self):
        model = descended("diagonal", 2, (THREE, y))
        with pytest.raises(ValueError, match="2 features, but GradientDescentRegressor is expecting 3"):
            LossSurfaceDisplay.from_estimator(model, THREE[:, :2], y)
        with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[442, 30\]"):
            LossSurfaceDisplay.from_estimator(model, THREE, y[:30])

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
        title = f"epoch 4, mean squared error {model.history_['loss'][4]:.6g}"
        assert animation._fig.subfigs[0].get_suptitle() == title
        np.testing.assert_array_equal(display.path_.get_xydata(), display.path[:5])
        np.testing.assert_array_equal(surface.lines[-1].get_xydata(), display.path[4:5])
        drawn = fitted.lines[-1] if len(display.data) == 4 else fitted.lines[0]
        coef, intercept = model.history_["coef"][4], model.history_["intercept"][4]
        rows = np.array([[1.0], [5.0]]) if len(display.data) == 4 else data[0]
        np.testing.assert_allclose(drawn.get_ydata(), rows @ coef + intercept, rtol=1e-9)
        for axes, expected in zip(slopes, display.derivatives.T, strict=True):
            np.testing.assert_array_equal(axes.lines[-1].get_ydata(), expected[:5])
        animation._draw_was_started = True

    def test_its_title_is_the_height_of_the_point(self):
        """Of one target, with the penalty, as the surface is."""
        targets = np.column_stack([y, -2 * y])
        model = descended("diagonal", 5, (THREE, targets), penalty="l1", alpha=1.0)
        display = LossSurfaceDisplay.from_estimator(model, THREE, targets, target=1, resolution=3)
        animation = display.animate()
        animation._draw_frame(2)
        coef, intercept = model.history_["coef"][2, 1], model.history_["intercept"][2, 1]
        height = mse(coef, intercept, (THREE, targets[:, 1])) + 2 * np.abs(coef).sum()
        title = f"epoch 2, mean squared error and penalty {height:.6g}"
        assert animation._fig.subfigs[0].get_suptitle() == title
        animation._draw_was_started = True

    def test_a_frame_shows_heights_of_its_own(self):
        model = descended("diagonal", 60, (THREE, y))
        display = LossSurfaceDisplay.from_estimator(model, THREE, y, resolution=5)
        animation = display.animate()
        animation._draw_frame(25)
        np.testing.assert_array_equal(display.fills_.get_offsets()[-1], display.path[25])
        assert len(display.fills_.get_offsets()) < 26
        animation._draw_was_started = True
        animation = display.animate(kind="surface")
        animation._draw_frame(25)
        here = animation._fig.axes[0].lines[-1]
        np.testing.assert_array_equal(np.ravel(here.get_data_3d()), [*display.path[25], display.path_objective[25]])
        np.testing.assert_array_equal(display.shadow_.get_data_3d()[2], display.path_values[:26])
        ends = [display.path_objective[25], display.path_values[25]]
        np.testing.assert_array_equal(display.stems_.get_data_3d()[2], ends)
        animation._draw_was_started = True

    def test_of_many_epochs_the_early_ones_are_shown_one_by_one(self):
        display = LossSurfaceDisplay.from_estimator(descended(0.01, 5000), *HOUSES)
        assert display.epochs[:10].tolist() == list(range(10))
        assert display.epochs[-1] == 5000
        assert len(display.epochs) <= 1000


class TestLearningRates:
    def test_losses_and_lines(self):
        rates = [0.07, 0.071, 0.075, 0.0812, 0.0814, 0.09]
        display = LearningRateDisplay.from_estimator(
            GradientDescentRegressor(epochs=200), *HOUSES, learning_rates=rates
        )
        assert display.losses[2] == pytest.approx(5692.005, abs=1e-3)  # the textbook's
        assert display.ceiling == pytest.approx(0.08128431, abs=1e-8)
        rows = np.column_stack([HOUSES[0], np.ones(7)])
        mu, largest = np.linalg.eigvalsh(2 * rows.T @ rows / 7)
        assert display.best_rate == pytest.approx(2 / (mu + largest), rel=1e-10)
        assert display.line_.get_xdata().tolist() == rates
        np.testing.assert_array_equal(display.line_.get_ydata()[:4], display.losses[:4])
        assert np.isnan(display.line_.get_ydata()[4:]).all()
        assert display.diverged_.get_xdata().tolist() == rates[4:]
        assert display.ceiling_.get_xdata()[0] == display.ceiling
        assert display.start_.get_ydata()[0] == pytest.approx(65228.571428)
        assert display.auto_.get_ydata()[0] == pytest.approx(5691.729323)
        assert display.best_rate_.get_xdata()[0] == display.best_rate
        assert labels(display.ax_) == [
            "start",
            'rate "auto", 1 epoch',
            "best rate 0.08046",
            "stable up to 0.08128",
            "after 200 epochs",
            "diverged: above its start",
        ]
        assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("learning rate", "mean squared error")

    def test_two_models_share_axes_and_what_they_have_in_common(self):
        rates = [0.01, 0.08, 0.1]
        model = GradientDescentRegressor(epochs=10)
        first = LearningRateDisplay.from_estimator(model, *HOUSES, learning_rates=rates, name="few")
        model = GradientDescentRegressor(epochs=1000)
        second = LearningRateDisplay.from_estimator(model, *HOUSES, learning_rates=rates, ax=first.ax_, name="many")
        assert first.line_.get_color() != second.line_.get_color()
        shown = labels(first.ax_)
        assert len(shown) == len(set(shown)) == 6
        assert {"few: after 10 epochs", "many: after 1000 epochs", "diverged: above its start"} < set(shown)
        assert first.diverged_.get_ydata()[0] > second.diverged_.get_ydata()[0]
        low, high = first.ax_.get_ylim()
        assert low < second.losses.min() < first.losses.min() < first.start_loss < high

    def test_a_line_has_a_gap_where_a_rate_between_diverges(self):
        losses = np.array([1.0, 2.5, 2.0])
        display = LearningRateDisplay(
            learning_rates=np.array([0.1, 0.2, 0.3]),
            losses=losses,
            diverged=np.array([False, True, False]),
            start_loss=3.0,
            epochs=1,
            auto_loss=0.5,
            auto_epochs=1,
        ).plot()
        np.testing.assert_array_equal(display.line_.get_ydata(), [1.0, np.nan, 2.0])  # though it ends below its start
        assert display.diverged_.get_xdata().tolist() == [0.2]

    def test_default_rates_are_about_the_ceiling(self):
        display = LearningRateDisplay.from_estimator(GradientDescentRegressor(epochs=5), *HOUSES)
        assert display.learning_rates[0] == pytest.approx(1e-4 * display.ceiling)
        assert display.learning_rates[-1] == pytest.approx(10 * display.ceiling)

    def test_rates_that_one_line_stands_for_are_named_together(self):
        """Seen on five decades, the best rate and the largest stable one are the same line."""
        display = LearningRateDisplay.from_estimator(GradientDescentRegressor(epochs=5), *HOUSES)
        assert display.best_rate_ is None
        assert display.ceiling_.get_label() == "stable up to 0.08128,\nbest rate 0.08046"
        near = LearningRateDisplay.from_estimator(GradientDescentRegressor(epochs=5), X, y)
        assert near.ceiling_.get_label() == "stable up to 1.359e-05,\nbest rate just below"

    @pytest.mark.parametrize("epochs", [20, 21])
    @pytest.mark.parametrize(
        "params",
        [
            {"loss": "huber", "epsilon": 40.0},
            {"loss": "huber", "epsilon": 1.35, "penalty": "l1", "alpha": 0.5},
            {"loss": "absolute_error"},
        ],
        ids=str,
    )
    def test_above_a_rate_that_diverges_all_do(self, params, epochs):
        """Where the slope is bounded, a descent swings, and comes by its start at every second epoch."""
        model = GradientDescentRegressor(epochs=epochs, **params)
        rates = np.geomspace(1e-3, 1e3, 25)
        display = LearningRateDisplay.from_estimator(model, *HOUSES, learning_rates=rates)
        assert display.diverged[-1]
        assert not display.diverged[:10].any()
        np.testing.assert_array_equal(display.diverged, np.sort(display.diverged))
        np.testing.assert_array_equal(display.diverged_.get_xdata(), display.learning_rates[display.diverged])

    @pytest.mark.parametrize("size", [(6.4, 4.8), (4.0, 3.0)])
    def test_what_is_written_is_inside_the_figure(self, size):
        figure, ax = plt.subplots(figsize=size, layout="constrained")
        LearningRateDisplay.from_estimator(GradientDescentRegressor(epochs=5), *HOUSES, ax=ax)
        assert_inside(figure)
        assert ax.bbox.width > 0.7 * figure.bbox.width
        assert ax.get_legend().get_window_extent().y0 >= ax.bbox.y1

    @pytest.mark.parametrize(("start", "least", "most"), [(1e3, 3, 5), (2.5e3, 3, 6), (1e5, 2, 5)])
    def test_few_losses_are_labelled_and_in_plain_numbers(self, start, least, most):
        display = LossCurveDisplay(loss=np.array([start, 900.0])).plot()
        display.figure_.canvas.draw()
        shown = shown_ticks(display.ax_.yaxis)
        assert least <= len(shown) <= most
        if start < 1e5:
            assert [float(text) for text in shown] == pytest.approx(sorted(float(text) for text in shown))

    def test_a_loss_without_a_ceiling(self):
        model = GradientDescentRegressor(loss="absolute_error", epochs=20)
        display = LearningRateDisplay.from_estimator(model, *HOUSES, learning_rates=[0.1, 1.0])
        assert display.ceiling_ is display.best_rate_ is None

    def test_the_best_rate_is_that_of_the_directions_that_move(self):
        """A column given twice moves as one that is sqrt(2) as long; the direction between the two stands still."""
        twice = np.column_stack([HOUSES[0], HOUSES[0]])
        display = LearningRateDisplay.from_estimator(GradientDescentRegressor(epochs=2), twice, HOUSES[1])
        one = np.column_stack([np.sqrt(2) * HOUSES[0], np.ones(7)])
        mu, largest = np.linalg.eigvalsh(2 * one.T @ one / 7)
        assert display.best_rate == pytest.approx(2 / (mu + largest), rel=1e-10)

    def test_rows_of_zeros_have_no_best_rate(self):
        model = GradientDescentRegressor(fit_intercept=False, epochs=3)
        display = LearningRateDisplay.from_estimator(model, np.zeros((7, 2)), HOUSES[1], learning_rates=[0.1, 1.0])
        assert display.best_rate is None

    def test_of_one_direction_the_best_rate_arrives_at_once(self):
        model = GradientDescentRegressor(epochs=1, fit_intercept=False)
        curvature = 2 * np.mean(HOUSES[0] ** 2)
        display = LearningRateDisplay.from_estimator(model, *HOUSES, learning_rates=[1 / curvature])
        assert display.best_rate == pytest.approx(1 / curvature, rel=1e-12)
        assert display.losses[0] == pytest.approx(display.auto_loss, rel=1e-12)

    def test_rates_and_levels_with_weights_and_l2(self):
        weight = np.arange(1.0, 8.0)
        model = GradientDescentRegressor(epochs=2, penalty="l2", alpha=0.5)
        display = LearningRateDisplay.from_estimator(model, *HOUSES, weight, learning_rates=[0.01])
        rows = np.column_stack([HOUSES[0], np.ones(7)])
        curvatures = 2 * (rows * weight[:, None]).T @ rows / weight.sum() + np.diag([2 * 0.5, 0.0])
        mu, largest = np.linalg.eigvalsh(curvatures)
        assert display.best_rate == pytest.approx(2 / (mu + largest), rel=1e-10)
        assert display.ceiling == pytest.approx(2 / largest, rel=1e-10)
        gradient = 2 * rows.T @ (weight * HOUSES[1]) / weight.sum()  # at zero, downhill
        for loss, point in [
            (display.start_loss, 0 * gradient),
            (display.auto_loss, np.linalg.solve(curvatures, gradient)),
        ]:
            assert loss == pytest.approx(np.average((HOUSES[1] - rows @ point) ** 2, weights=weight), rel=1e-9)

    @pytest.mark.parametrize("rates", [[0.1, 0.0], [], [np.nan], -1.0, [np.inf], "a", [0.1, None], {}], ids=str)
    def test_rates_that_are_none(self, rates):
        with pytest.raises(ValueError, match="are not positive numbers: give a list of some"):
            LearningRateDisplay.from_estimator(GradientDescentRegressor(), *HOUSES, learning_rates=rates)

    def test_a_random_start_is_the_same_at_every_rate(self):
        model = GradientDescentRegressor(init="random", epochs=1)
        display = LearningRateDisplay.from_estimator(model, *HOUSES, learning_rates=[1e-12, 2e-12])
        np.testing.assert_allclose(display.losses, display.start_loss, rtol=1e-6)

    def test_the_estimator_stays_as_it_was(self):
        model = GradientDescentRegressor(epochs=3)
        LearningRateDisplay.from_estimator(model, *HOUSES, learning_rates=[0.01])
        assert not hasattr(model, "coef_")
        assert model.get_params() == GradientDescentRegressor(epochs=3).get_params()


class TestComparison:
    def test_points_and_texts(self):
        comparison = compare(X, y)
        display = comparison.plot()
        errors = [row.measures["prediction_error"] for row in comparison.rows]
        np.testing.assert_allclose(display.points_.get_offsets()[:, 0], np.maximum(errors, 1e-16))
        names = [tick.get_text().replace("\n", " ") for tick in display.ax_.get_yticklabels()]
        assert names == [row.solver for row in comparison.rows]
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
        made = compare(*HOUSES)
        display = Comparison(made.rows[:1], made.model, {"other": "it takes no houses"}).plot()
        assert [text.get_text() == "failed" for text in display.texts_] == [False, True]
        assert [tick.get_text() for tick in display.ax_.get_yticklabels()] == ["GradientDescentRegressor", "other"]
        assert len(display.points_.get_offsets()) == 1

    @pytest.mark.parametrize("size", [(7.0, 3.0), (4.0, 3.0)])
    def test_what_is_written_is_inside_the_figure(self, size):
        figure, ax = plt.subplots(figsize=size, layout="constrained")
        display = compare(X, y).plot(ax)
        assert_inside(figure)
        assert ax.bbox.width > 0.35 * figure.bbox.width
        ticks = [label.get_window_extent() for label in ax.get_xticklabels()]
        assert not any(left.x1 > right.x0 for left, right in pairwise(ticks))
        points = ax.transData.transform(display.points_.get_offsets())
        assert max(points[:, 0]) + 4 < min(text.get_window_extent().x0 for text in display.texts_)

    def test_on_axes_that_are_given(self):
        _, ax = plt.subplots()
        assert compare(*HOUSES).plot(ax).ax_ is ax


class TestEstimators:
    def test_fits_that_a_display_makes_are_nobody_s_callback_s(self):
        pytest.importorskip("sklearn.callback")
        seen = []

        class Seen:
            def setup(self, estimator, context):
                seen.append("setup")

            def on_fit_task_begin(self, estimator, context, **_):
                seen.append("begin")

            def on_fit_task_end(self, estimator, context, **_):
                seen.append("end")

            def teardown(self, estimator, context):
                seen.append("teardown")

        model = GradientDescentRegressor("diagonal", epochs=2, tol=None, record_path=True).set_callbacks(Seen())
        model.fit(THREE, y)
        n_seen = len(seen)
        assert n_seen > 2
        LossSurfaceDisplay.from_estimator(model, THREE, y, resolution=3)
        LearningRateDisplay.from_estimator(model, THREE, y, learning_rates=[1e-6])
        assert len(seen) == n_seen

    @pytest.mark.parametrize("make", [LossCurveDisplay, LossSurfaceDisplay, LearningRateDisplay])
    def test_pipelines_and_strangers_are_refused_in_a_sentence(self, make):
        data = () if make is LossCurveDisplay else HOUSES
        pipeline = make_pipeline(StandardScaler(), GradientDescentRegressor()).fit(*HOUSES)
        with pytest.raises(TypeError, match="pass its last step"):
            make.from_estimator(pipeline, *data)
        with pytest.raises(TypeError, match="not from a LinearRegression"):
            make.from_estimator(LinearRegression().fit(*HOUSES), *data)

    @pytest.mark.filterwarnings("ignore:the best alpha")
    @pytest.mark.parametrize("make", [LossSurfaceDisplay, LearningRateDisplay])
    def test_a_search_is_refused_where_one_model_is_drawn(self, make):
        search = GradientDescentRegressorCV([1.0, 0.1], cv=2, record_path=True).fit(X, y)
        sentence = "not from a GradientDescentRegressorCV: pass one with the alpha_ of the search"
        with pytest.raises(TypeError, match=sentence):
            make.from_estimator(search, X, y)

    @pytest.mark.filterwarnings("ignore:the best alpha")
    def test_the_curve_of_a_search_is_that_of_its_fit_to_all_rows(self):
        search = GradientDescentRegressorCV([1.0, 0.1], cv=2).fit(X, y)
        assert LossCurveDisplay.from_estimator(search).loss is search.history_["loss"]
        two = np.column_stack([y, X[:, 0]])
        for without in (
            GradientDescentRegressorCV([1.0, 0.1], cv=2, refit=False).fit(X, y),
            GradientDescentRegressorCV([1.0, 0.1], cv=2, alpha_per_target=True).fit(X, two),
            search.at(1.0),
        ):
            with pytest.raises(ValueError, match="has no history of one descent to all rows: fit a Grad"):
                LossCurveDisplay.from_estimator(without)

    @pytest.mark.parametrize("make", [LossCurveDisplay, LossSurfaceDisplay])
    def test_one_that_is_not_fitted(self, make):
        with pytest.raises(NotFittedError):
            make.from_estimator(GradientDescentRegressor(), *(() if make is LossCurveDisplay else HOUSES))

    def test_one_that_has_seen_chunks(self):
        model = GradientDescentRegressor(learning_rate=0.01).partial_fit(*HOUSES)
        with pytest.raises(ValueError, match="plot history_"):
            LossCurveDisplay.from_estimator(model)

    def test_without_matplotlib(self, monkeypatch):
        real = builtins.__import__

        def blocked(name, *args, **kwargs):
            if name.startswith("matplotlib"):
                raise ImportError(name)
            return real(name, *args, **kwargs)

        monkeypatch.setattr(builtins, "__import__", blocked)
        with pytest.raises(ImportError, match=r'python -m pip install "gdregress\[plot\]"'):
            LossCurveDisplay.from_estimator(descended())
