"""The display of cross-validation: what is drawn, and where."""

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_diabetes
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import ShuffleSplit
from sklearn.pipeline import make_pipeline

from gdregress import GradientDescentRegressor, GradientDescentRegressorCV, TuningDisplay

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

pytestmark = pytest.mark.filterwarnings("ignore:the best (alpha|number of epochs)")

X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def model():
    return GradientDescentRegressorCV(30, penalty="l1", cv=4).fit(X, y)


def upright(ax):
    """Return where upright lines stand."""
    return [line.get_xdata()[0] for line in ax.lines if len(set(line.get_xdata())) == 1]


def test_scores_are_drawn_with_each_split_and_the_choices(model):
    display = TuningDisplay.from_estimator(model)
    assert len(display.lines_) == 4
    for number, line in enumerate(display.lines_):
        assert_array_equal(line.get_xdata(), model.alphas_)
        assert_array_equal(line.get_ydata(), -model.cv_results_[f"split{number}_test_score"])
    assert upright(display.ax_) == [model.alpha_min_, model.alpha_1se_]
    assert display.ax_.get_xscale() == "log"
    assert display.ax_.get_ylabel() == "mean squared error of held-out rows"
    assert display.ax_.get_xlim() == (model.alphas_[0], model.alphas_[-1])
    assert not display.ax_.get_legend().get_title().get_text()
    [bars] = display.error_.lines[2]
    lengths = [segment[1, 1] - segment[0, 1] for segment in bars.get_segments()]
    assert len(lengths) <= 25
    assert_allclose(lengths[0], 2 * model.cv_results_["se_test_score"][0])


def test_coefficients_are_drawn_with_names_and_counts(model):
    display = TuningDisplay.from_estimator(model, kind="coef")
    assert_array_equal(np.array([line.get_ydata() for line in display.lines_]).T, model.coef_path_)
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert len(set(labels) & set(X.columns)) == 7
    assert "3 others" in labels
    counts = [int(text.get_text()) for text in display.ax_.texts]
    assert counts[0] == 0
    assert counts[-1] == (model.coef_path_[-1] != 0).sum()


def test_epochs_are_drawn_where_these_are_varied():
    params = {"penalty": None, "learning_rate": "lipschitz", "tol": None, "cv": 3}
    epochs = GradientDescentRegressorCV(epochs=range(1, 30), **params).fit(X, y)
    display = TuningDisplay.from_estimator(epochs)
    assert display.ax_.get_xlabel() == "epochs"
    assert upright(display.ax_) == [epochs.epochs_, epochs.epochs_1se_]
    assert epochs.epochs_1se_ < epochs.epochs_


def test_of_several_ratios_the_chosen_is_drawn_and_of_several_scores_the_one_that_decides():
    params = {"alphas": [1.0, 0.1], "penalty": "elasticnet", "l1_ratio": [0.1, 0.9], "cv": 2}
    model = GradientDescentRegressorCV(scoring=["r2", "neg_max_error"], refit="r2", **params).fit(X, y)
    display = TuningDisplay.from_estimator(model)
    chosen = [place for place, p in enumerate(model.cv_results_["params"]) if p["l1_ratio"] == model.l1_ratio_]
    assert_array_equal(display.scores[0], model.cv_results_["split0_test_r2"][chosen])
    assert display.ax_.get_ylabel() == "r2 of held-out rows"
    assert display.ax_.get_legend().get_title().get_text() == f"l1_ratio={model.l1_ratio_}"
    ratio = [0.1, 0.9].index(model.l1_ratio_)
    assert_array_equal(TuningDisplay.from_estimator(model, kind="coef").coef, model.coef_path_[ratio])


@pytest.mark.parametrize("refit", [lambda results: 2, False, "r2"])
def test_the_score_that_decided_is_drawn_whatever_the_parameters_are_now(refit):
    scoring = ["r2", "neg_mean_absolute_error"]
    model = GradientDescentRegressorCV([1.0, 0.1, 0.01], scoring=scoring, refit=refit, cv=3).fit(X, y)
    for current in (model, model.set_params(refit="neg_mean_absolute_error")):
        display = TuningDisplay.from_estimator(current)
        assert_array_equal(display.scores[1], model.cv_results_["split1_test_r2"])
        assert_array_equal(display.standard_errors, model.cv_results_["se_test_r2"])
        assert display.ax_.get_ylabel() == "r2 of held-out rows"


def test_one_split_has_no_bars():
    model = GradientDescentRegressorCV([1.0, 0.1], cv=ShuffleSplit(1, random_state=0)).fit(X, y)
    display = TuningDisplay.from_estimator(model)
    assert display.standard_errors is display.error_ is None


def test_names_that_a_pipeline_has_lost_are_given(model):
    plain = GradientDescentRegressorCV(30, penalty="l1", cv=4).fit(X.to_numpy(), y)
    display = TuningDisplay.from_estimator(plain, kind="coef", feature_names=[f"{name} of a patient" for name in X])
    named = TuningDisplay.from_estimator(model, kind="coef")
    labels = [[line.get_label() for line in each.lines_] for each in (display, named)]
    assert labels[0] == [f"{name} of a patient" for name in labels[1]]
    with pytest.raises(ValueError, match=r"^there are 2 feature_names for 10 columns: name each\.$"):
        TuningDisplay.from_estimator(plain, kind="coef", feature_names=["a", "b"])


def test_an_alpha_for_each_target_draws_the_mean_over_targets():
    model = GradientDescentRegressorCV(5, alpha_per_target=True, cv=3).fit(X, np.column_stack([y, np.square(y)]))
    display = TuningDisplay.from_estimator(model)
    assert upright(display.ax_) == [display.best]


@pytest.mark.parametrize(
    ("make", "kind", "error", "sentence"),
    [
        (lambda: GradientDescentRegressor().fit(X, y), "score", TypeError, "is made from a GradientDescentRegressorCV"),
        (RidgeCV, "score", TypeError, "not from a RidgeCV: fit one, and pass it."),
        (lambda: RidgeCV(store_cv_results=True).fit(X, y), "score", TypeError, "not from a RidgeCV: fit one"),
        (
            lambda: make_pipeline(GradientDescentRegressorCV()),
            "score",
            TypeError,
            "not from a Pipeline: pass its last step.",
        ),
        (GradientDescentRegressorCV, "score", NotFittedError, "not fitted"),
        (lambda: GradientDescentRegressorCV([1.0]).fit(X, y), "score", ValueError, "neither alpha nor epochs has"),
        (lambda: GradientDescentRegressorCV([1.0, 0.1]).fit(X, y), "path", ValueError, "kind='path' is no drawing"),
        (
            lambda: GradientDescentRegressorCV([1.0, 0.1], refit=False).fit(X, y),
            "coef",
            ValueError,
            "there is no path: it is kept with refit=True, one learning_rate and one epochs.",
        ),
        (
            lambda: GradientDescentRegressorCV([1.0, 0.1]).fit(X, np.column_stack([y, y])),
            "coef",
            ValueError,
            "y has 2 targets: the coefficients of one can be drawn.",
        ),
    ],
)
def test_what_cannot_be_drawn(make, kind, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        TuningDisplay.from_estimator(make(), kind=kind)


def test_the_axis_names_the_error_of_models_that_have_a_loss_each():
    model = GradientDescentRegressorCV([1.0, 0.1, 0.01], loss="huber", epsilon="auto").fit(X, y)
    assert TuningDisplay.from_estimator(model).ax_.get_ylabel() == "mean absolute error of held-out rows"
