"""The command line: what it prints, what it does to a file and says so, and how it refuses."""

import codecs
import json
import os
import re
import subprocess
import sys
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.impute import SimpleImputer
from sklearn.metrics import (
    mean_absolute_error,
    mean_pinball_loss,
    mean_squared_error,
    median_absolute_error,
    r2_score,
)
from sklearn.model_selection import KFold, train_test_split

import gdregress
from gdregress import GradientDescentRegressor, GradientDescentRegressorCV, load_house_prices
from gdregress.__main__ import main
from gdregress.command_line.arguments import in_options
from gdregress.command_line.preparation import MAX_CATEGORIES
from gdregress.method.effects import EFFECTS
from gdregress.method.hints import HABITS
from gdregress.method.interior_point import NO_NEARER
from gdregress.method.states import NO_STEP_LOWERS
from gdregress.solve.scale_remarks import INTERPOLATED, MOSTLY_ZERO, TOO_SMALL
from gdregress.solve.stopping import BY_ITSELF, LOST_DIGITS, SLOWLY

HOUSES = "area,age,price\n1,10,3\n2,20,5\n3,15,8\n4,30,9\n5,12,12\n"
OPTIONS = [
    "--target",
    "--drop",
    "--keep",
    "--test-size",
    "--save",
    "--compare",
    "--json",
    "--version",
    "--sep",
    "--encoding",
    "--skip",
    "--gaps",
]
OPTIONS += [
    "--decimal",
    "--thousands",
    "--learning-rate",
    "--optimizer",
    "--epochs",
    "--tol",
    "--early-stopping",
    "--loss",
    "--quantile",
]
OPTIONS += ["--epsilon", "--penalty", "--alpha", "--l1-ratio", "--standardize", "--no-standardize"]
LEGEND = "errors: distances from the closed form, in standard deviations of the target (and of the column)"
SOLVERS = ["GradientDescentRegressor", "SGDRegressor", "StandardScaler + SGDRegressor", "closed form"]


def run_process(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "gdregress", *arguments], capture_output=True, text=True, timeout=120, **options
    )


def csv_of(names, columns):
    rows = zip(*columns, strict=True)
    return "\n".join([",".join(names), *(",".join(map(str, row)) for row in rows)])


def scores_of(part, y, predicted):
    """The line on how well rows are fitted."""
    mse, mean, median = (
        error(y, predicted) for error in (mean_squared_error, mean_absolute_error, median_absolute_error)
    )
    return (
        f"{part} MSE {mse:.6g}, {part} mean absolute error {mean:.6g}, {part} median absolute error {median:.6g}, "
        f"{part} RMSE {mse**0.5:.6g}, {part} R2 {r2_score(y, predicted):.6g}"
    )


# --- on the house prices ---


def test_without_arguments_the_house_prices_are_compared(succeed):
    out = succeed()
    heading, _, table_heading, *rows, legend, _, scores, _, equation, reason = out.splitlines()
    X, y = load_house_prices(return_X_y=True)
    model = GradientDescentRegressor().fit(X, y)
    assert heading == "house prices: 7 rows, 1 column -> 1 feature, target price"
    assert table_heading.split()[0] == "solver"
    assert [row.split("  ")[0] for row in rows] == SOLVERS
    assert (legend, scores) == (LEGEND, scores_of("train", y, model.predict(X)))
    assert equation == "price = 84.7368 * bedrooms - 46.3158"
    assert reason == model.stop_reason_


def test_the_numbers_of_the_textbook(capsys):
    assert main(["--learning-rate", "0.001", "--epochs", "25", "--json"]) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert result["coefficients"]["bedrooms"] == pytest.approx(31.03371126, abs=5e-9)
    assert result["intercept"] == pytest.approx(8.19030548, abs=5e-9)
    assert result["comparison"][0]["train_mse"] == pytest.approx(23223.728, abs=5e-4)
    assert (result["epochs"], result["converged"]) == (25, False)
    assert err == f"gdregress: warning: {in_options(result['stop_reason'])}\n"
    assert result["stop_reason"].endswith("0.08128, or raise epochs or tol.")
    assert err.endswith("0.08128, or raise --epochs or --tol.\n")


def test_as_a_process():
    done = run_process()
    assert (done.returncode, done.stderr) == (0, "")
    assert "price = 84.7368 * bedrooms - 46.3158" in done.stdout


def test_version(succeed):
    assert succeed("--version") == f"gdregress {gdregress.__version__}\n"


def test_help_describes_every_option_and_gives_an_example(succeed):
    out = succeed("--help")
    assert "by gradient descent" in out
    assert "gdregress houses.csv --target price" in out
    for option in OPTIONS:
        assert option in out


# --- on a file ---


def test_the_report_on_a_file(write, succeed):
    heading, note, _, _, *rows, legend, _, scores, _, equation, reason = succeed(write(HOUSES)).splitlines()
    X, y = np.array([[1, 10], [2, 20], [3, 15], [4, 30], [5, 12]]), [3, 5, 8, 9, 12]
    model = GradientDescentRegressor().fit(X, y)
    assert heading == "data.csv: 5 rows, 2 columns -> 2 features, target price"
    assert note == "- the target is price, the last column"
    assert [row.split("  ")[0] for row in rows] == SOLVERS
    assert (legend, scores) == (LEGEND, scores_of("train", y, model.predict(X)))
    area, age = model.coef_
    assert equation == f"price = {area:.6g} * area - {-age:.6g} * age + {model.intercept_:.6g}"
    assert reason == model.stop_reason_


def test_any_column_may_be_the_target(write, document):
    result = document(write(HOUSES), "--target", "area")
    X = np.array([[10, 3], [20, 5], [15, 8], [30, 9], [12, 12]])
    model = GradientDescentRegressor().fit(X, [1, 2, 3, 4, 5])
    assert result["notes"] == []
    assert result["data"] == {
        "name": "data.csv",
        "rows": 5,
        "columns": 2,
        "features": 2,
        "target": "area",
        "train_rows": 5,
        "test_rows": 0,
    }
    assert result["coefficients"] == pytest.approx(dict(zip(["age", "price"], model.coef_, strict=True)), rel=1e-12)
    assert result["intercept"] == pytest.approx(model.intercept_, rel=1e-12)
    assert result["stop_reason"] == model.stop_reason_
    assert result["parameters"] == {**GradientDescentRegressor().get_params(), "random_state": 0}


def test_json_has_no_key_for_what_was_not_measured(write, document):
    rows = document(write(HOUSES))["comparison"]
    assert [row["solver"] for row in rows] == SOLVERS
    assert not any("test_mse" in row for row in rows)
    assert ["epochs" in row for row in rows] == [True, True, True, False]
    assert not any(None in row.values() for row in rows)


def test_json_has_null_for_infinity(write, document):
    huge = csv_of(["x", "y"], [range(1, 8), [f"{i}.5e300" for i in range(1, 8)]])
    assert document(write(huge))["comparison"][0]["train_mse"] is None


def test_the_test_rows_are_those_of_train_test_split(write, document, succeed):
    X, y = load_diabetes(return_X_y=True, scaled=False)
    names = [f"x{i}" for i in range(10)]
    path = write(csv_of([*names, "y"], [*X.T, y]))
    result = document(path, "--test-size", "0.25")
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, random_state=0)
    model = GradientDescentRegressor().fit(X_train, y_train)
    row = result["comparison"][0]
    assert row["train_mse"] == pytest.approx(mean_squared_error(y_train, model.predict(X_train)))
    assert row["test_mse"] == pytest.approx(mean_squared_error(y_test, model.predict(X_test)))
    assert (result["data"]["train_rows"], result["data"]["test_rows"]) == (331, 111)
    assert "111 of 442 rows held out at random for the test MSE" in result["notes"]
    lines = succeed(path, "--test-size", "0.25").splitlines()
    for part, features, target in (("train", X_train, y_train), ("test", X_test, y_test)):
        predicted = model.predict(features)
        assert scores_of(part, target, predicted) in lines
        assert result["scores"][part] == pytest.approx(
            {
                "mse": mean_squared_error(target, predicted),
                "mean_absolute_error": mean_absolute_error(target, predicted),
                "median_absolute_error": median_absolute_error(target, predicted),
                "rmse": mean_squared_error(target, predicted) ** 0.5,
                "r2": r2_score(target, predicted),
            }
        )
    assert "test MSE" not in succeed(path)


def test_the_mean_loss_is_printed_by_its_name(write, document, succeed):
    arguments = (write(HOUSES), "--loss", "quantile", "--quantile", "0.9")
    X, y = np.array([[1, 10], [2, 20], [3, 15], [4, 30], [5, 12]]), [3, 5, 8, 9, 12]
    model = GradientDescentRegressor(loss="quantile", quantile=0.9).fit(X, y)
    loss = mean_pinball_loss(y, model.predict(X), alpha=0.9)
    assert document(*arguments)["scores"]["train"]["mean_quantile_loss"] == pytest.approx(loss)
    share = np.mean(y <= model.predict(X) + 1e-9)
    said = f"train share of rows not above the prediction {share:.6g}, train MSE "
    assert f"\ntrain mean quantile loss {loss:.6g}, {said}" in succeed(*arguments)
    assert 0 < share <= 1
    absolute = document(*arguments[:1], "--loss", "absolute_error")["scores"]["train"]
    assert not any(name.startswith("share") for name in absolute)
    assert next(iter(document(*arguments[:1], "--loss", "absolute_error")["scores"]["train"])) == "mean_absolute_error"


def test_of_rows_with_the_same_target_there_is_no_r2(write, document, succeed):
    path = write("x,y\n1,2\n2,2\n3,2\n")
    assert document(path)["scores"]["train"]["r2"] is None
    assert ", train R2 -\n" in succeed(path)


def test_without_the_closed_form_there_is_no_legend(write, succeed, monkeypatch):
    monkeypatch.setattr("gdregress.comparison.compare.COST_LIMIT", 1)
    out = succeed(write(HOUSES))
    assert "closed form" in out
    assert LEGEND not in out


def test_with_l2_it_is_said_that_one_solver_has_another_problem(write, document):
    path = write(HOUSES)
    for options, solver in (([], "SGDRegressor"), (["--no-standardize"], "StandardScaler + SGDRegressor")):
        report = document(path, "--penalty", "l2", *options)
        said = [note for note in report["notes"] if "solves another problem" in note]
        assert [note.split(" solves")[0] for note in said] == [solver]
        assert report["parameters"]["standardize"] is not bool(options)
    assert not any("solves another problem" in note for note in document(path)["notes"])


def test_the_model_is_fitted_once_for_the_report_and_not_compared_when_it_diverges(write, capsys, monkeypatch):
    fits, fit = [], GradientDescentRegressor.fit
    monkeypatch.setattr(GradientDescentRegressor, "fit", lambda self, *args: fits.append(1) or fit(self, *args))
    assert main([write(HOUSES), "--loss", "quantile", "--penalty", "l2"]) == 0
    assert main([write(HOUSES), "--learning-rate", "10"]) == 1
    assert len(fits) == 2


@pytest.mark.parametrize("epochs", [4, 5, 6])
def test_a_rate_that_is_too_large_is_told_whatever_the_number_of_epochs(epochs, write, capsys):
    """With a bounded slope the descent swings, and every second epoch may be as good as the start."""
    arguments = ["--loss", "absolute_error", "--learning-rate", "300", "--epochs", str(epochs)]
    assert main([write(HOUSES), *arguments]) == 1
    assert "Use a smaller rate or --learning-rate auto" in capsys.readouterr().err


def test_of_many_features_the_largest_are_shown(write, succeed):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 12)) * 10.0 ** np.arange(12)
    coef = np.arange(12) * (-1) ** np.arange(12) / 10.0 ** np.arange(12)
    y = X @ coef
    lines = succeed(write(csv_of([*(f"x{i}" for i in range(12)), "y"], [*X.T, y]))).splitlines()
    effects = coef * X.std(axis=0)
    start = next(i for i, line in enumerate(lines) if line.split()[:2] == ["coefficient", "effect"]) + 1
    shown = [line.split() for line in lines[start : start + 10]]
    order = np.argsort(-np.abs(effects))[:10]
    assert [name for _, _, name in shown] == [f"x{i}" for i in order]
    np.testing.assert_allclose([float(effect) for _, effect, _ in shown], effects[order], rtol=1e-5)
    np.testing.assert_allclose([float(one) for one, _, _ in shown], coef[order], rtol=1e-5)
    more, intercept, reason = lines[start + 10 :]
    assert more.split() == ["...", "and", "2", "more", "(--json", "has", "all)"]
    assert intercept.split()[1] == "(intercept)"
    assert float(intercept.split()[0]) == pytest.approx(0.0, abs=1e-8)
    assert reason.startswith("converged")


def test_coefficients_that_are_zero_are_counted_and_not_shown(write, succeed):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 12))
    path = write(csv_of([*(f"x{i}" for i in range(12)), "y"], [*X.T, X[:, 0] - 2 * X[:, 3]]))
    lines = succeed(path, "--penalty", "l1", "--alpha", "0.5").splitlines()
    start = next(i for i, line in enumerate(lines) if line.split()[:2] == ["coefficient", "effect"]) + 1
    assert [line.split()[2] for line in lines[start : start + 2]] == ["x3", "x0"]
    assert lines[start + 2].strip(" .") == "and 10 more, 10 of them zero (--json has all)"


@pytest.mark.parametrize("options", [("l1",), ("l2", "--loss", "huber", "--epsilon", "0.5")])
def test_alpha_by_cross_validation(options, write, document, succeed, fail):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 8))
    y = X[:, 0] + rng.normal(size=60)
    path = write(csv_of([*(f"x{i}" for i in range(8)), "y"], [*X.T, y]))
    report = document(path, "--penalty", *options, "--alpha", "auto")
    given = {} if len(options) == 1 else {"loss": "huber", "epsilon": 0.5}
    folds = KFold(5, shuffle=True, random_state=0)
    tuned = GradientDescentRegressorCV(penalty=options[0], cv=folds, standardize=True, **given).fit(X, y)
    assert report["parameters"]["alpha"] == pytest.approx(tuned.alpha_, rel=1e-9)
    np.testing.assert_allclose(list(report["coefficients"].values()), tuned.coef_, rtol=1e-6)
    error = tuned.cv_results_["se_test_score"][tuned.best_index_]
    [note] = [note for note in report["notes"] if note.startswith("alpha")]
    few = write("a,b\n1,2\n2,4\n3,5\n")
    assert fail(few, "--penalty", "l1", "--alpha", "auto") == (
        "data.csv cannot be fitted: --alpha auto needs 5 rows, but there are 3: give --alpha a number."
    )
    assert note.startswith(
        f"alpha {tuned.alpha_:.4g} chosen from {len(tuned.alphas_)} by cross-validation in 5 random folds: "
    )
    assert note.endswith(f" of held-out rows {-tuned.best_score_:.6g} +- {error:.4g}")
    assert fail(path, "--alpha", "auto") == "--alpha counts only with --penalty: give that too, or leave --alpha out."
    assert fail(path, "--penalty", "l1", "--alpha", "often").startswith("--alpha must be a float in the range")


def test_epsilon_by_the_scale_of_the_residuals(write, document, succeed, fail):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    path = write(csv_of(["a", "b", "c", "y"], [*X.T, X[:, 0] + rng.standard_t(2, 60)]))
    options = (path, "--loss", "huber", "--epsilon", "auto")
    report = document(*options)
    [note] = [note for note in report["notes"] if note.startswith("epsilon")]
    assert re.fullmatch(r"epsilon [\d.]+, 1\.35 times the scale of the residuals", note)
    assert report["scores"]["train"]["mean_huber_loss"] > 0
    assert "mean absolute error of held-out rows" in succeed(*options, "--penalty", "l1", "--alpha", "auto")
    assert fail(path, "--epsilon", "auto").startswith("--epsilon counts only with --loss huber")


@pytest.mark.parametrize(("p", "starts"), [(10, "y = "), (11, " coefficient        effect")])
def test_of_up_to_ten_features_the_equation_is_shown(p, starts, write, succeed):
    columns = np.random.default_rng(0).normal(size=(p + 1, 30))
    lines = succeed(write(csv_of([*(f"x{i}" for i in range(p)), "y"], columns))).splitlines()
    assert any(line.startswith(starts) for line in lines)


@pytest.mark.parametrize("rate", [0.05, "lipschitz", "diagonal", "curvature", "auto"])
def test_learning_rates(rate, document):
    result = document("--learning-rate", str(rate), "--epochs", "20000")
    model = GradientDescentRegressor(rate, 20000).fit(*load_house_prices(return_X_y=True))
    assert (result["parameters"]["learning_rate"], result["parameters"]["epochs"]) == (rate, 20000)
    assert (result["stop_reason"], result["epochs"]) == (model.stop_reason_, model.n_iter_)
    assert result["converged"]


def test_early_stopping(write, document):
    X, y = load_diabetes(return_X_y=True)
    path = write(csv_of([*(f"x{i}" for i in range(10)), "y"], [*X.T, y]))
    result = document(path, "--early-stopping", "--learning-rate", "lipschitz", "--epochs", "5000")
    model = GradientDescentRegressor("lipschitz", 5000, early_stopping=True, random_state=0).fit(X, y)
    assert result["parameters"]["early_stopping"] is True
    held_out = "a tenth of the rows held out by the model for early stopping"
    assert (
        f"{held_out}; the other solvers saw them, and the table, unlike the last line, is of all rows"
        in result["notes"]
    )
    assert result["stop_reason"] == model.stop_reason_
    assert result["epochs"] == model.n_iter_


def test_what_early_stopping_is_advised_can_be_said(write, capsys, document):
    X = np.random.default_rng(5).normal(size=(80, 10))
    y = X[:, 0] + np.random.default_rng(3).standard_t(2, 80)
    path = write(csv_of([*(f"x{i}" for i in range(10)), "y"], [*X.T, y]))
    assert main([path, "--early-stopping"]) == 0
    assert "--learning-rate diagonal with --optimizer gd" in capsys.readouterr().err
    result = document(path, "--early-stopping", "--learning-rate", "diagonal", "--optimizer", "gd")
    assert result["stop_reason"].startswith("early stopping: no better validation loss in 10 epochs")


def test_a_model_that_warns_does_so_in_a_line(write, capsys):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert main([write(HOUSES), "--learning-rate", "lipschitz", "--epochs", "2"]) == 0
    out, err = capsys.readouterr()
    assert caught == []
    assert re.fullmatch(r"gdregress: warning: all 2 epochs were used and .+\n", err)
    assert out.count(err.removeprefix("gdregress: warning: ")) == 1


def test_of_the_fits_of_a_search_each_warning_is_a_line(write, capsys):
    X = np.random.default_rng(0).normal(size=(60, 3))
    path = write(csv_of(["a", "b", "c", "y"], [*X.T, X[:, 0]]))
    assert main([path, "--penalty", "l1", "--alpha", "auto", "--learning-rate", "1e-4", "--epochs", "5"]) == 0
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("gdregress: warning: fits to training rows did not converge, such as: all 5 epochs were")
    assert "Use --learning-rate auto" in first
    assert first.endswith("or raise --epochs or --tol.")
    assert second.startswith("gdregress: warning: all 5 epochs were used and optimality ")
    assert main([path, "--penalty", "l2", "--alpha", "auto", "--early-stopping"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines
    assert len(lines) == len(set(lines))


def test_a_rate_that_diverges_has_a_status_of_its_own_and_no_coefficients(write, tmp_path, capsys):
    model = tmp_path / "model.joblib"
    assert main([write(HOUSES), "--learning-rate", "10", "--save", str(model)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"gdregress: error: --learning-rate 10 is above the stability ceiling .+\n", err)
    assert not model.exists()


@pytest.mark.parametrize("loss", ["squared_error", "huber", "absolute_error"])
@pytest.mark.parametrize("optimizer", ["gd", "momentum", "adam"])
def test_the_status_is_1_where_the_sentence_says_that_the_loss_rose_or_swings(loss, optimizer, capsys):
    statuses = set()
    for rate in ("0.001", "0.1", "1", "1000"):
        status = main(["--loss", loss, "--optimizer", optimizer, "--learning-rate", rate, "--epochs", "6"])
        assert status == bool(re.search("the loss (rose from|swings between)", capsys.readouterr().err))
        statuses.add(status)
    assert statuses == {0, 1}


# --- what a file may look like ---

SAME = {
    "commas": HOUSES,
    "semicolons": HOUSES.replace(",", ";"),
    "tabs": HOUSES.replace(",", "\t"),
    "bars": HOUSES.replace(",", "|"),
    "Windows": HOUSES.replace("\n", "\r\n"),
    "old Mac": HOUSES.replace("\n", "\r"),
    "byte order mark": codecs.BOM_UTF8 + HOUSES.encode(),
    "quotes": re.sub(r"\w+", r'"\g<0>"', HOUSES),
    "spaces": HOUSES.replace(",", " ,  "),
    "spaces before quotes": re.sub(r"\w+", r'"\g<0>"', HOUSES).replace(",", ", "),
    "blank lines": HOUSES.replace("\n", "\n\n"),
    "no last line end": HOUSES.rstrip("\n"),
    "exponents": HOUSES.replace("12", "+1.2e1"),
}


@pytest.mark.parametrize("content", SAME.values(), ids=SAME.keys())
def test_the_same_table_in_another_dress(content, write, document):
    result = document(write(content))
    plain = document(write(HOUSES, "plain.csv"))
    assert (result["coefficients"], result["notes"]) == (plain["coefficients"], plain["notes"])


def test_semicolons_around_quoted_semicolons_and_commas(write, document):
    result = document(write('a, b, c, d;note;y\n1;"x; y, z";3\n2;"x; y, z";4\n3;b, c;6\n4;b, c;7\n'))
    assert list(result["coefficients"]) == ["a, b, c, d", "note=b, c", "note=x; y, z"]


def test_quoted_line_ends_become_spaces_and_count_as_lines(write, document, fail):
    head = '"size\nin m2",note,y\n1,"a ""b""\nc",2\n2,"a ""b""\nc",3\n3,d,4\n3,d,'
    assert list(document(write(head + "5"))["coefficients"]) == ["size in m2", 'note=a "b" c', "note=d"]
    assert "line 8: y is 'many'" in fail(write(head + "many"))


def test_names_that_are_empty_or_taken(write, document):
    result = document(write(",a,a,a,y\n1,2,3,1,4\n1,3,5,4,6\n3,5,4,9,7\n4,4,4,2,4\n"))
    assert list(result["coefficients"]) == ["column 1", "a", "a (2)", "a (3)"]


def test_a_heading_of_numbers_is_remarked_upon(write, document):
    result = document(write("1,2\n3,4\n5,7\n"))
    assert "the first line, although with numbers, was taken for the names: 1, 2" in result["notes"]
    assert result["coefficients"] == pytest.approx({"1": 1.5})
    assert not any("although with numbers" in note for note in document(write("a,b\n3,4\n5,7\n"))["notes"])


# --- what is done to the data ---


@pytest.mark.parametrize("gap", ["", " ", "NA", "n/a", "NaN", "nan", "NULL", "None", "?", " na "])
def test_gaps_are_filled_with_the_median(gap, write, document):
    ages = [30, 31, 38, gap, 60, gap]
    result = document(write(csv_of(["age", "y"], [ages, range(6)])))
    filled = np.array([30, 31, 38, 34.5, 60, 34.5])
    assert "2 gaps in age filled with the median, 34.5" in result["notes"]
    assert result["coefficients"]["age"] == pytest.approx(np.polyfit(filled, np.arange(6), 1)[0])


def test_of_gaps_the_most_come_first(write, document):
    rng = np.random.default_rng(0)
    columns = [np.where(np.arange(20) < n_gaps, "", rng.normal(size=20).round(3)) for n_gaps in (1, 10, 11, 0)]
    notes = document(write(csv_of(["few", "half", "most", "y"], columns)))["notes"]
    [filled] = [note for note in notes if "filled with the median" in note]
    assert [part.split(" in ")[1].split()[0] for part in filled.split("; ")] == ["most", "half", "few"]


def test_the_median_is_the_training_rows(write, document):
    rng = np.random.default_rng(1)
    x = rng.exponential(size=40)
    x[rng.permutation(40)[:15]] = np.nan
    y = rng.normal(size=40)
    result = document(write(csv_of(["x", "y"], [x, y])), "--test-size", "0.5")
    x_train, x_test, y_train, y_test = train_test_split(x.reshape(-1, 1), y, test_size=0.5, random_state=0)
    imputer = SimpleImputer(strategy="median").fit(x_train)
    model = GradientDescentRegressor().fit(imputer.transform(x_train), y_train)
    assert f"15 gaps in x filled with the median, {np.nanmedian(x_train):g}" in result["notes"]
    assert result["coefficients"]["x"] == pytest.approx(model.coef_[0])
    test_mse = mean_squared_error(y_test, model.predict(imputer.transform(x_test)))
    assert result["comparison"][0]["test_mse"] == pytest.approx(test_mse)


def test_text_is_one_hot_encoded(write, document):
    colours = ["red", "blue", "red", "NA", "blue", "red", "", "blue"]
    y = [1.0, 5.0, 2.0, 9.0, 6.0, 3.0, 11.0, 7.0]
    result = document(write(csv_of(["colour", "y"], [colours, y])))
    assert result["notes"][1:] == [
        "text one-hot encoded (number of features): colour (3)",
        "2 gaps in colour made a category, missing",
    ]
    levels = {name: coef + result["intercept"] for name, coef in result["coefficients"].items()}
    assert levels == pytest.approx({"colour=blue": 6.0, "colour=missing": 10.0, "colour=red": 2.0})


def test_numbers_and_text_together(write, document):
    iris = load_iris()
    species = iris.target_names[iris.target]
    *columns, y = iris.data.T
    result = document(write(csv_of(["species", "a", "b", "c", "y"], [species, *columns, y])))
    model = GradientDescentRegressor().fit(np.column_stack([*columns, np.eye(3)[iris.target]]), y)
    names = ["a", "b", "c", *(f"species={name}" for name in iris.target_names)]
    assert result["coefficients"] == pytest.approx(dict(zip(names, model.coef_, strict=True)), rel=1e-9)


def test_rare_values_share_a_feature(write, document):
    codes = [f"c{i}" for i in range(60) for _ in range(1 + (i < 10))] * 2
    result = document(write(csv_of(["code", "y"], [codes, np.arange(len(codes)) ** 0.5])))
    assert len(result["coefficients"]) == MAX_CATEGORIES
    assert "code=other" in result["coefficients"]
    assert f"text one-hot encoded (number of features): code ({MAX_CATEGORIES})" in result["notes"]
    assert "the 31 rarest values of code share a feature, code=other: too few rows each" in result["notes"]


def test_of_many_rows_each_value_has_a_feature(write, document):
    """A category needs ten rows, and two hundred of them have eleven."""
    codes = np.repeat([f"c{i}" for i in range(200)], 11)
    y = np.random.default_rng(0).normal(size=200).repeat(11)
    result = document(write(csv_of(["code", "y"], [codes, y])))
    assert len(result["coefficients"]) == 200
    assert result["scores"]["train"]["r2"] > 0.999
    assert not any("share a feature" in note for note in result["notes"])


def test_no_fewer_features_than_rows_are_said(write, document):
    rng = np.random.default_rng(0)
    names = [f"x{i}" for i in range(12)]
    path = write(csv_of([*names, "y"], [*rng.normal(size=(12, 12)).round(3), rng.normal(size=12).round(3)]))
    said = "no fewer features than rows (12 and 12)"
    assert any(note.startswith(said) for note in document(path)["notes"])
    assert not any(note.startswith(said) for note in document(path, "--penalty", "l2")["notes"])


def test_values_that_only_the_test_rows_have(write, document):
    _, test = train_test_split(np.arange(20), test_size=0.2, random_state=0)
    kind = np.array(["a", "b"] * 10, dtype=object)
    kind[test[0]] = "new"
    y = np.where(kind == "a", 1.0, 3.0)
    result = document(write(csv_of(["kind", "y"], [kind, y])), "--test-size", "0.2")
    assert "kind has a value that no training row has in 1 test row: its features are all 0" in result["notes"]
    assert sorted(result["coefficients"]) == ["kind=a", "kind=b"]
    squares = (y[test] - np.where(kind[test] == "new", result["intercept"], y[test])) ** 2
    assert result["comparison"][0]["test_mse"] == pytest.approx(squares.mean())


def test_a_target_that_is_constant_is_said(write, document):
    notes = document(write("x,y\n1,7\n2,7\n4,7\n"))["notes"]
    assert "the target is 7 in every row that is learnt from" in notes


@pytest.mark.parametrize(
    ("values", "said"), [([0, 1], "0 or 1"), ([1, 2, 3], "1, 2 or 3"), ([1, 2, 3, 4], ""), ([0.5, 1], "")]
)
def test_a_target_of_two_or_three_whole_numbers_may_be_classes(values, said, write, document):
    notes = document(write(csv_of(["x", "y"], [np.arange(40) ** 2, (values * 20)[:40]])))["notes"]
    whole = f"the target is {said} in every row: take a classifier, such as scikit-learn's LogisticRegression, if these"
    assert [note.startswith(whole) for note in notes if "Logistic" in note] == ([True] if said else [])


def test_unknown_values_are_counted_as_other_where_there_is_one(write, document):
    _, test = train_test_split(np.arange(200), test_size=0.1, random_state=0)
    codes = np.array([f"c{i % 40}" for i in range(200)], dtype=object)
    codes[test[:2]] = "new"
    result = document(write(csv_of(["code", "y"], [codes, range(200)])), "--test-size", "0.1")
    assert "code has a value that no training row has in 2 test rows: counted as other" in result["notes"]


def test_gaps_that_only_the_test_rows_have_are_no_category(write, document):
    _, test = train_test_split(np.arange(20), test_size=0.2, random_state=0)
    kind = np.array(["a", "b"] * 10, dtype=object)
    kind[test[0]] = ""
    result = document(write(csv_of(["kind", "y"], [kind, range(20)])), "--test-size", "0.2")
    assert result["notes"][2:] == [
        "text one-hot encoded (number of features): kind (2)",
        "kind has a value that no training row has in 1 test row: its features are all 0",
    ]


def test_gaps_of_test_rows_are_known_where_training_rows_have_some(write, document):
    kind = np.array(["a", "b", ""] * 10, dtype=object)
    result = document(write(csv_of(["kind", "y"], [kind, range(30)])), "--test-size", "0.5")
    assert not any("that no training row has" in note for note in result["notes"])


def test_one_text_beside_gaps_is_a_category(write, document):
    result = document(write(csv_of(["alley", "y"], [["", "", "Grvl", ""], [1, 2, 5, 3]])))
    assert result["coefficients"].keys() == {"alley=Grvl", "alley=missing"}


def test_rows_without_a_target_are_dropped(write, document):
    result = document(write(HOUSES + "9,9,NA\n8,8,\n"))
    assert "2 rows without price dropped" in result["notes"]
    assert (result["data"]["rows"], result["data"]["train_rows"]) == (7, 5)
    assert result["coefficients"] == document(write(HOUSES))["coefficients"]


def test_columns_of_no_use_are_left_out(write, document):
    x = [1, 2, 3, 5, 8, 13]
    columns = [list("abcdef"), [""] * 6, x, [2 * value for value in x]]
    result = document(write(csv_of(["id", "void", "x", "y"], columns)))
    assert list(result["coefficients"]) == ["x"]
    assert "id left out: text with another value in nearly every row (6 in 6)" in result["notes"]
    assert "void left out: no value in any row to learn from" in result["notes"]


def test_columns_that_are_constant_are_said_in_one_note(write, document):
    result = document(write("c,k,x,gap,y\n1,a,1,,2\n1,a,2,3,3\n1,a,4,3,6\n"))
    assert "the same in every row that is learnt from, and so without effect: c, k" in result["notes"]


@pytest.mark.parametrize(
    ("n_distinct", "n_gaps", "is_used"), [(18, 0, True), (19, 0, False), (9, 10, True), (10, 10, False)]
)
def test_text_with_another_value_in_nine_rows_of_ten_is_of_use(n_distinct, n_gaps, is_used, write, document):
    """Of the rows that have a value."""
    x = np.arange(20) ** 2
    texts = ["" if row >= 20 - n_gaps else f"t{min(row, n_distinct - 1)}" for row in range(20)]
    result = document(write(csv_of(["x", "text", "y"], [x, texts, np.sqrt(x)])))
    assert any(name.startswith("text=") for name in result["coefficients"]) == is_used


def test_a_column_without_a_training_value_is_left_out(write, document):
    _, test = train_test_split(np.arange(10), test_size=0.3, random_state=0)
    late = np.full(10, "", dtype=object)
    late[test] = "1"
    x = np.arange(10)
    result = document(write(csv_of(["late", "x", "y"], [late, x, x**2])), "--test-size", "0.3")
    assert list(result["coefficients"]) == ["x"]


@pytest.mark.parametrize("value", ["soon", "inf", "1_000", "1e999"])
def test_a_column_with_a_word_among_its_numbers_is_text(value, write, document):
    table = csv_of(["size", "y"], [[1, 1, value, 3, 3, 1], range(6)])
    result = document(write(table.replace("\n", "\n\n", 1)))
    why = f"text, not numbers or dates, because of some cells: size ({value!r} on line 5); write all in one way, or"
    assert f"{why} name gaps by --gaps" in result["notes"]
    assert sorted(result["coefficients"]) == sorted(["size=1", "size=3", f"size={value}"])


def test_of_a_column_with_more_words_than_numbers_nothing_is_said(write, document):
    result = document(write(csv_of(["size", "y"], [[1, "a", 3, "a", 1, "b", "b", "a"], range(8)])))
    assert not any("text, not" in note for note in result["notes"])


# --- refusals ---

REFUSED = {
    "empty": ("", "is empty"),
    "only blanks": ("\n \n", "is empty"),
    "no rows": ("a,b\n", "has no rows below its heading"),
    "one column": ("price\n1\n2\n", "has only one column, price"),
    "no UTF-8": ("a,b\n1,2\nö,3\n".encode("latin-1"), "is not UTF-8 text ('utf-8' codec can't decode byte 0xf6 in"),
    "UTF-16": ("a,b\n1,2\n".encode("utf-16"), "is not UTF-8 text ('utf-8' codec can't decode byte 0xff in"),
    "zero byte": ("a,b\n1,\0\n", "is not text"),
    "short row": ("a,b,c\n1,2,3\n\n4,5\n", "line 4: 2 fields where the heading has 3"),
    "long row": ("a,b\n1,2\n1,2,3\n", "line 3: 3 fields where the heading has 2"),
    "open quote": (
        'a,b\n1,2\n"3,4\n5,6\n',
        "as a table (Error tokenizing data. C error: EOF inside string",
    ),
    "text target": ("a,b\n1,2\n2,cheap\n3,dear\n", "line 3: b is 'cheap', not a number"),
    "classes": ("a,b\n1,cheap\n2,dear\n", "b is 'cheap', not a number, but it is the target: take a classifier, such"),
    "thousands": ("a,b\n1,3k\n2,4k\n", "b is '3k', not a number, but it is the target: make it a number, empty"),
    "dear target": ('a,b\n1,"$139,750"\n2,"$1 or so"\n', "line 3: b is '$1 or so', not a number, but it is the target"),
    "two currencies": (
        "a,b\n1,$3\n2,\u20ac4\n3,5\n",
        "line 3: b is '\u20ac4', not a number, but it is the target: make it",
    ),
    "infinite target": ("a,b\n1,2\n2,inf\n", "line 3: b is 'inf', not a number"),
    "long text target": ("a,b\n1,2\n2," + "x" * 99, "b is '" + "x" * 40 + "...', not a number"),
    "no target": ("a,b\n1,\n2,NA\n", "has no value of b in any row"),
    "no feature": ("a,b\nx,1\ny,2\nz,3\n", "has no column to learn b from, as a left out: text with another value"),
}


@pytest.mark.parametrize(("content", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_a_file_that_cannot_be_learnt_from(content, sentence, write, fail):
    assert sentence in fail(write(content), "--json")


def test_another_separator_than_that_of_the_file(write, fail):
    for rows in ("area;price\n50;1,5\n60;2,5\n70;3,5\n", "id;a;y;why\nu;1,5;3,1;oak\nv;2,5;4;dry\nw;3,5;4;\n"):
        assert fail(write(rows), "--sep", ",").endswith(
            "say by --sep what separates fields, or by --skip how many lines stand above the heading."
        )
    assert "line 3: 3 fields where the heading has 2" in fail(write("a,b\n1,2\n1,2;3,4\n"), "--sep", ",")
    assert "line 3: 3 fields where the heading has 2" in fail(write("a^b\n1^2\n1^2^3\n"), "--sep", "^")


def test_a_missing_file(fail):
    assert fail("nowhere.csv").startswith("nowhere.csv cannot be read (No such file or directory)")


def test_a_directory(tmp_path, fail):
    assert "cannot be read (" in fail(str(tmp_path))


def test_a_missing_target(write, fail):
    path = write(HOUSES)
    assert fail(path, "--target", "PRIZE") == "data.csv has no column 'PRIZE': did you mean 'price'?"
    assert fail(path, "--target", "rice") == "data.csv has no column 'rice': did you mean 'price'?"
    assert fail(write("interest_rate,state\n1,2\n", "rates.csv"), "--target", "rate").endswith(
        "'state' or 'interest_rate'?"
    )
    assert fail(path, "--target", "xyz") == (
        "data.csv has no column 'xyz': its columns are area, age, price; if these are no names, say by --skip how many "
        "lines stand above them."
    )


BAD_OPTIONS = [
    *(("--test-size", value) for value in ("0", "1", "-0.1", "20", "20%", "nan", "half")),
    *(("--learning-rate", value) for value in ("0", "-1", "nan", "inf", "1e999", "fast")),
    *(("--epochs", value) for value in ("0", "-5", "2.5", "many", "1e3")),
    *(("--alpha", value) for value in ("-5", "0,5")),
    *(("--skip", value) for value in ("-1", "2.5", "one")),
    ("--tol", "nan"),
]


@pytest.mark.parametrize(("option", "value"), BAD_OPTIONS)
def test_an_option_that_makes_no_sense(option, value, write, fail):
    sentence = fail(write(HOUSES), *(["--penalty", "l2"] if option == "--alpha" else []), option, value)
    assert re.match(rf"(argument {option}: |{option} )(must be|invalid int value: ) ?", sentence)
    assert f"'{value}'" in sentence or f"Got {float(value):.4} instead" in sentence or f"Got {value} " in sentence


def test_an_option_that_does_not_exist(write, fail):
    for option in ("--frobnicate", "--datas", "--momentum"):  # the file has no option, and momentum only in Python
        assert fail(write(HOUSES), option) == f"unrecognized arguments: {option} (see gdregress --help)"
    predicting = fail("predict", "model.joblib", "new.csv", "--lr", "3")
    assert predicting == "unrecognized arguments: --lr 3 (see gdregress predict --help)"


def test_the_ratio_of_l1_is_of_an_elastic_net(write, document, fail):
    path = write(HOUSES)
    options = ("--penalty", "elasticnet", "--l1-ratio", "0.5")
    assert document(path, *options)["parameters"]["l1_ratio"] == 0.5
    assert document(path, *options[:2])["parameters"]["l1_ratio"] == 0.15
    said = "--l1-ratio counts only with --penalty elasticnet: give that too, or leave --l1-ratio out."
    assert fail(path, "--penalty", "l1", "--l1-ratio", "0.5") == said
    assert fail(path, *options[:3], "2").startswith("--l1-ratio must be a float in the range [0")


def test_a_word_before_the_file_is_no_command(write, fail):
    path = write(HOUSES)
    assert fail("fit", path, "--target", "price") == f"unrecognized arguments: {path} (see gdregress --help)"


def test_a_saved_model_is_that_of_the_report(write, succeed, tmp_path):
    """With test rows it has not learnt from them, and its scores are those that were printed."""
    X, y = load_diabetes(return_X_y=True, scaled=False)
    path, model = write(csv_of([*(f"x{i}" for i in range(10)), "y"], [*X.T, y])), str(tmp_path / "m.joblib")
    out = succeed(path, "--test-size", "0.25", "--save", model)
    said = (
        f"- the pipeline saved in {model}, fitted to 331 rows, not to the 111 test rows: without --test-size it learns"
    )
    assert f"{said} from all\n" in out
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(10)])
    for part, rows, target in zip(
        ["train", "test"],
        *[train_test_split(values, test_size=0.25, random_state=0) for values in (frame, y)],
        strict=True,
    ):
        assert scores_of(part, target, joblib.load(model).predict(rows)) in out
    assert f"- the pipeline saved in {model}, fitted to 442 rows\n" in succeed(path, "--save", model)


def test_targets_that_decide_the_fit_are_said(write, document):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=200), rng.normal(size=200)

    def said(targets, *options):
        notes = document(write(csv_of(["x", "y"], [x[: len(targets)], targets])), *options)["notes"]
        return [note for note in notes if "decide" in note]

    def with_wild(n_rows, value):
        return np.where(np.arange(200) < n_rows, value, y)

    one, ten = with_wild(1, -2147483648.0), with_wild(10, 99.0)
    remedy = "the fit: empty such cells if they are wrong, or try --loss huber"
    assert said(one) == [f"1 of 200 values of y, such as -2.14748e+09, lies so far out that it decides {remedy}"]
    assert said(ten) == [f"10 of 200 values of y, such as 99, lie so far out that they decide {remedy}"]
    assert said(one[:9]) == said(one, "--loss", "huber") == said(y) == said(np.exp(y)) == []
    assert said(with_wild(12, 99.0)) == []  # more than one in twenty
    assert said(np.where(np.arange(200) == 5, 99.0, 0.0)) == said(np.zeros(200)) == []


@pytest.mark.parametrize(
    ("option", "value", "meant"),
    [
        ("--loss", "hubre", "Did you mean --loss huber?"),
        ("--loss", "MAE", "Here it is --loss absolute_error."),
        ("--penalty", "ridge", "Here it is --penalty l2."),
        ("--penalty", "off", "Here it is --penalty none."),
        ("--learning-rate", "adam", "For that optimizer pass --optimizer adam."),
        ("--optimizer", "nestrov", "Did you mean --optimizer nesterov?"),
    ],
)
def test_what_a_value_probably_means_is_said_in_options(option, value, meant, write, fail):
    sentence = fail(write(HOUSES), option, value)
    assert sentence.startswith(f"{option} must be ")
    assert sentence.endswith(f" Got {value!r} instead. {meant}")


@pytest.mark.parametrize(
    ("sentence", "options"),
    [
        ("epochs=5 are few.", "--epochs 5 are few."),
        ("tol=1e-06. Raise epochs or tol.", "--tol 1e-06. Raise --epochs or --tol."),
        ("use optimizer='gd' or 'adam', or leave it out", "use --optimizer gd or adam, or leave it out"),
        ("set penalty='l2', 'l1' or 'elasticnet': it", "set --penalty l2, l1 or elasticnet: it"),
        ("early_stopping: set early_stopping=False", "--early-stopping: set --no-early-stopping"),
        ("give epsilon a number, all 5 epochs", "give --epsilon a number, all 5 epochs"),
        ("penalty=None, batch_size=None", "--penalty none, batch_size=None"),
        ("L1 or positive=True: use optimizer='gd'", "L1: use --optimizer gd"),
        ("set early_stopping=True or schedule='adaptive'.", "set --early-stopping."),
    ],
)
def test_parameters_are_named_as_options(sentence, options):
    assert in_options(sentence) == options


def test_no_parameter_that_is_an_option_is_named_as_in_python():
    sentences = [sentence for meanings in HABITS.values() for sentence in meanings.values()]
    sentences += [effect.remedy for effect in EFFECTS.values()]
    sentences += [BY_ITSELF, SLOWLY, LOST_DIGITS, INTERPOLATED, MOSTLY_ZERO, TOO_SMALL, NO_STEP_LOWERS, NO_NEARER]
    names = "learning_rate|optimizer|epochs|tol|early_stopping|loss|quantile|epsilon|penalty|alpha|standardize"
    assert sum(bool(re.search(rf"\b({names})=", sentence)) for sentence in sentences) > 50
    assert not [sentence for sentence in map(in_options, sentences) if re.search(rf"\b({names})=", sentence)]


def test_tol(write, document, capsys):
    assert document(write(HOUSES), "--tol", "0", "--epochs", "3")["stop_reason"].startswith("3 epochs run, as asked")
    assert main([write(HOUSES), "--learning-rate", "lipschitz", "--tol", "10"]) == 0
    assert re.search(r"converged: .+, tol=10\n", capsys.readouterr().out)


def test_of_huber_the_scale_is_fitted_unless_epsilon_is_given(write, document):
    rng = np.random.default_rng(0)
    path = write(csv_of(["x", "y"], [rng.normal(size=40), rng.normal(size=40)]))
    assert document(path, "--loss", "huber")["parameters"]["epsilon"] == "auto"
    assert document(path, "--loss", "huber", "--epsilon", "2")["parameters"]["epsilon"] == 2
    assert document(path, "--loss", "epsilon_insensitive")["parameters"]["epsilon"] == 0.1


def test_a_test_size_that_leaves_no_row(write, fail):
    assert fail(write(HOUSES), "--test-size", "0.9") == (
        "a test size of 0.9 leaves none of 5 rows to learn from: lower it."
    )


@pytest.mark.parametrize("option", [("--target", "price"), ("--test-size", "0.2")])
def test_an_option_of_files_without_a_file(option, fail):
    assert "a file is needed for" in fail(*option)


def test_what_the_model_refuses_is_a_sentence(write, fail):
    said = "data.csv cannot be fitted: --early-stopping holds out a row, but there is no other: leave it out."
    assert fail(write("a,b\n1,2\n"), "--early-stopping") == said
    said = "data.csv cannot be fitted: --optimizer adam cannot be combined with --learning-rate curvature: "
    assert fail(write(HOUSES), "--optimizer", "adam", "--learning-rate", "curvature").startswith(said)
    said = "data.csv cannot be fitted: --optimizer conjugate cannot be combined with an L1 penalty: use --optimizer gd"
    assert fail(write(HOUSES), "--optimizer", "conjugate", "--penalty", "l1").startswith(said)


# --- the terminal ---


def test_an_interrupt(monkeypatch, capsys):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("gdregress.__main__.compare", interrupt)
    assert main([]) == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("option", ["--json", "--help"])
def test_a_reader_that_has_enough(option):
    read_end, write_end = os.pipe()
    os.close(read_end)
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-m", "gdregress", option]
    try:
        done = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, timeout=120, env=buffered)
    finally:
        os.close(write_end)
    assert (done.returncode, done.stderr) == (0, b"")


def test_names_that_the_terminal_cannot_show(write):
    path = write("größe,価格\n1,2\n2,4\n3,7\n")
    done = run_process(path, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert r"\u4fa1\u683c = 2.5 * gr\xf6\xdfe - 0.666667" in done.stdout
