"""The comparison, and the closed form it measures against."""

import html
from itertools import chain
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.datasets import load_diabetes, load_linnerud
from sklearn.linear_model import LinearRegression, Ridge, SGDRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gdregress import GradientDescentRegressor, closed_form, compare, load_house_prices
from gdregress.comparison.compare import _without_closed_form

X, y = load_diabetes(return_X_y=True, scaled=False)
Z = (X - X.mean(axis=0)) / X.std(axis=0)
SOLVERS = ["GradientDescentRegressor", "SGDRegressor", "StandardScaler + SGDRegressor", "closed form"]

PEERS = [
    ("Lasso", {"penalty": "l1", "alpha": 1.0}),
    ("StandardScaler + ElasticNet", {"penalty": "elasticnet", "alpha": 0.3, "l1_ratio": 0.5, "standardize": True}),
    ("ElasticNet", {"penalty": "elasticnet", "alpha": 0.3, "l1_ratio": 0.5, "positive": True}),
    ("Ridge", {"penalty": "l2", "alpha": 0.3, "positive": True}),
    ("LinearRegression", {"positive": True}),
    ("HuberRegressor", {"loss": "huber", "epsilon": "auto", "penalty": "l2", "alpha": 0.3}),
    ("QuantileRegressor", {"loss": "quantile", "quantile": 0.8, "penalty": "l1", "alpha": 0.3}),
    ("SGDRegressor", {"loss": "huber", "epsilon": 20.0, "penalty": "l2", "alpha": 0.3}),
    ("StandardScaler + SGDRegressor", {"loss": "squared_epsilon_insensitive", "epsilon": 20.0}),
    ("QuantileRegressor", {"loss": "absolute_error", "penalty": "l1", "alpha": 0.3}),
]


class TestClosedForm:
    def test_is_least_squares(self):
        coef, intercept = closed_form(Z, y)
        reference = LinearRegression().fit(Z, y)
        np.testing.assert_allclose(coef, reference.coef_, rtol=1e-9)
        assert intercept == pytest.approx(reference.intercept_, rel=1e-12)

    @pytest.mark.parametrize("fit_intercept", [True, False])
    @pytest.mark.parametrize("weighted", [True, False])
    def test_is_ridge_at_the_sum_of_weights_times_alpha(self, fit_intercept, weighted):
        weight = np.random.default_rng(0).uniform(0, 2, len(y)) if weighted else None
        total = len(y) if weight is None else weight.sum()
        coef, intercept = closed_form(Z, y, weight, alpha=0.3, fit_intercept=fit_intercept)
        reference = Ridge(alpha=0.3 * total, fit_intercept=fit_intercept).fit(Z, y, weight)
        np.testing.assert_allclose(coef, reference.coef_, rtol=1e-8)
        np.testing.assert_allclose(intercept, reference.intercept_, rtol=1e-8)

    def test_units_change_nothing(self):
        units = 10.0 ** np.array([-300, -200, -50, -10, 0, 10, 50, 200, 290, 300])
        np.testing.assert_allclose(closed_form(X * units, y)[0] * units, closed_form(X, y)[0], rtol=1e-8)
        np.testing.assert_allclose(closed_form(X, y * 1e250)[0] / 1e250, closed_form(X, y)[0], rtol=1e-8)

    def test_the_residual_is_orthogonal_to_every_column(self):
        coef, intercept = closed_form(X, y)
        residual = y - X @ coef - intercept
        assert np.abs(Z.T @ residual).max() <= 1e-9 * np.linalg.norm(residual) * len(y) ** 0.5

    def test_several_outputs_and_sparse_rows(self):
        A, B = load_linnerud(return_X_y=True)
        coef, intercept = closed_form(sparse.csr_array(A), B)
        assert coef.shape == (3, 3)
        for k in range(3):
            one = closed_form(A, B[:, k])
            np.testing.assert_allclose(coef[k], one[0], rtol=1e-10)
            assert intercept[k] == pytest.approx(one[1])

    def test_constant_and_collinear_columns(self):
        A = np.hstack([X, np.full((len(X), 1), 0.1), X[:, :1] + X[:, 1:2]])
        coef, intercept = closed_form(A, y)
        best, level = closed_form(X, y)
        np.testing.assert_allclose(A @ coef + intercept, X @ best + level, rtol=1e-10)
        assert coef[10] == 0

    def test_what_rounding_alone_has_made_is_no_direction(self):
        """A column of 0.3 and 0.1 + 0.2, and three of which one is the sum of the others, up to their last digits."""
        sums = np.where(Z[:, 0] > 0, 0.3, 0.1 + 0.2)
        assert closed_form(np.column_stack([Z, sums]), y)[0][10] == 0
        A = np.hstack([Z, Z[:, :1] + Z[:, 1:2]])
        coef, far = closed_form(A, y)[0], closed_form(A + 1e6 * np.append(np.ones(10), 2.0), y)[0]
        np.testing.assert_allclose(far, coef, rtol=1e-6, atol=1e-6 * np.abs(coef).max())


class TestCompare:
    def test_rows(self):
        rows = compare(X, y).rows
        assert [row.solver for row in rows] == SOLVERS
        ours, raw, scaled, exact = rows
        assert ours.measures["prediction_error"] < 1e-12
        assert ours.measures["coefficient_error"] < 1e-11
        assert ours.converged
        assert ours.measures["epochs"] == 1
        assert raw.measures["prediction_error"] > 1
        assert 1e-6 < scaled.measures["prediction_error"] < 1
        assert exact.measures["prediction_error"] == exact.measures["coefficient_error"] == 0
        assert "epochs" not in exact.measures
        assert all(row.measures["seconds"] > 0 for row in rows)

    def test_errors_are_what_they_say(self):
        _, _, scaled, _ = compare(X, y, random_state=7).rows
        fitted = make_pipeline(StandardScaler(), SGDRegressor(penalty=None, random_state=7)).fit(X, y)
        coef, intercept = closed_form(X, y)
        distance = np.sqrt(np.mean((fitted.predict(X) - X @ coef - intercept) ** 2)) / y.std()
        assert scaled.measures["prediction_error"] == pytest.approx(distance, rel=1e-6)
        assert scaled.measures["train_mse"] == pytest.approx(np.mean((fitted.predict(X) - y) ** 2), rel=1e-9)
        error = np.abs(fitted[-1].coef_ - coef * X.std(axis=0)).max() / y.std()
        assert scaled.measures["coefficient_error"] == pytest.approx(error, rel=1e-6)

    def test_the_models_objective_is_everybodys(self):
        model = GradientDescentRegressor(penalty="l2", alpha=0.05, fit_intercept=False)
        weight = np.random.default_rng(0).uniform(0, 2, len(y))
        ours, _, scaled, ridge, exact = compare(Z, y, model, sample_weight=weight).rows
        assert (ridge.solver, exact.solver) == ("Ridge", "closed form")
        assert max(ours.measures["prediction_error"], ridge.measures["prediction_error"]) < 1e-12
        reference = Ridge(alpha=0.05 * weight.sum(), fit_intercept=False).fit(Z, y, weight)
        assert exact.measures["train_mse"] == pytest.approx(
            np.average((reference.predict(Z) - y) ** 2, weights=weight), rel=1e-9
        )
        assert scaled.measures["prediction_error"] < 0.2
        assert not hasattr(model, "coef_")

    def test_without_an_intercept_columns_are_scaled_and_not_centred(self):
        A = 3 * Z + 1
        model = GradientDescentRegressor(penalty="l2", alpha=0.05, fit_intercept=False)
        _, raw, scaled, *_ = compare(A, y, model).rows
        sgd = SGDRegressor(penalty="l2", alpha=0.05, fit_intercept=False, random_state=0)
        for row, solver in ((raw, sgd), (scaled, make_pipeline(StandardScaler(with_mean=False), sgd))):
            assert row.measures["train_mse"] == pytest.approx(np.mean((solver.fit(A, y).predict(A) - y) ** 2), rel=1e-9)

    def test_weights_are_those_of_every_solver_and_of_every_deviation(self):
        weight = np.where(X[:, 2] > np.median(X[:, 2]), 0.75, 0.01)
        model = GradientDescentRegressor("diagonal", optimizer="gd", epochs=5, tol=None)
        ours, _, scaled, _ = compare(X, y, model, sample_weight=weight).rows
        pipeline = make_pipeline(StandardScaler(), SGDRegressor(penalty=None, random_state=0))
        of_mean_one = weight / weight.mean()
        pipeline.fit(X, y, standardscaler__sample_weight=of_mean_one, sgdregressor__sample_weight=of_mean_one)
        squares = (pipeline.predict(X) - y) ** 2
        assert scaled.measures["train_mse"] == pytest.approx(np.average(squares, weights=weight), rel=1e-9)
        coef, intercept = closed_form(X, y, weight)
        both = np.cov(X.T, y, aweights=weight, ddof=0)
        apart = model.fit(X, y, weight).coef_ - coef
        error = np.abs(apart * np.sqrt(np.diag(both)[:-1] / both[-1, -1])).max()
        assert ours.measures["coefficient_error"] == pytest.approx(error, rel=1e-6)
        squares = (X @ apart + model.intercept_ - intercept) ** 2
        distance = np.sqrt(np.average(squares, weights=weight) / both[-1, -1])
        assert ours.measures["prediction_error"] == pytest.approx(distance, rel=1e-6)

    @pytest.mark.parametrize("name", ["SGDRegressor", "StandardScaler + SGDRegressor", "Ridge"])
    def test_equal_weights_change_nothing(self, name):
        """The penalty of SGDRegressor is against the sum of the weighted losses over the number of rows."""
        model = GradientDescentRegressor(penalty="l2", alpha=1.0)
        plain, *equal = (
            next(row for row in compare(Z, y, model, sample_weight=weight).rows if row.solver == name)
            for weight in (None, np.ones(len(y)), np.full(len(y), 3.0))
        )
        for row in equal:
            assert row.arrived == plain.arrived
            assert row.measures["objective"] == pytest.approx(plain.measures["objective"], rel=1e-9)
            assert row.measures["prediction_error"] == pytest.approx(plain.measures["prediction_error"], rel=1e-4)

    def test_a_row_of_weight_zero_is_left_out_of_the_verdict(self):
        """The descent ends near the closed form, but that row is so far away that its predictions differ there."""
        rng = np.random.default_rng(0)
        A = rng.standard_normal((100, 3))
        b = A @ [1.0, 2.0, 3.0] + rng.standard_normal(100)
        model = GradientDescentRegressor("diagonal", optimizer="nesterov")
        without = compare(A, b, model).rows[0]
        far = compare(np.vstack([A, np.full(3, 1e7)]), np.append(b, 0.0), model, sample_weight=[1.0] * 100 + [0.0])
        assert far.rows[0].arrived == without.arrived == "yes"
        assert far.rows[0].measures["prediction_error"] == pytest.approx(without.measures["prediction_error"], rel=1e-3)

    @pytest.mark.parametrize(
        ("durations", "said"),
        [([0.1, 0.03, 0.07], 0.03), ([0.3, 0.25], 0.25), ([0.6], 0.6), ([0.02, 0.01, 0.05], 0.01)],
    )
    def test_the_time_is_that_of_the_fastest_of_three_runs_and_of_fewer_that_are_slow(
        self, monkeypatch, durations, said
    ):
        """A clock that stands still but within a fit, and that runs down where there is one too many."""
        clock = chain.from_iterable((0.0, each) for each in 4 * durations)
        monkeypatch.setattr("gdregress.comparison.measurement.time", SimpleNamespace(perf_counter=lambda: next(clock)))
        assert [row.measures["seconds"] for row in compare(Z, y).rows] == [said] * 4

    def test_test_rows(self):
        comparison = compare(X[:300], y[:300], X_test=X[300:], y_test=y[300:])
        coef, intercept = closed_form(X[:300], y[:300])
        expected = np.mean((X[300:] @ coef + intercept - y[300:]) ** 2)
        assert comparison.rows[0].measures["test_mse"] == pytest.approx(expected, rel=1e-9)
        assert "test MSE" in str(comparison)
        assert "test MSE" not in str(compare(X, y))

    def test_several_outputs(self):
        A, B = load_linnerud(return_X_y=True)
        ours, raw, _, _ = compare(A, B).rows
        assert ours.measures["prediction_error"] < 1e-12
        assert raw.measures["epochs"] > 1

    def test_each_of_several_outputs_is_measured_in_its_own_unit(self):
        A, B = load_linnerud(return_X_y=True)
        model = GradientDescentRegressor("diagonal", optimizer="gd", epochs=3, tol=None)
        one, other = (compare(A, B * units, model).rows[0] for units in (1.0, [1e-3, 1.0, 1e3]))
        assert other.measures["coefficient_error"] == pytest.approx(one.measures["coefficient_error"], rel=1e-9)
        assert other.measures["prediction_error"] == pytest.approx(one.measures["prediction_error"], rel=1e-9)

    def test_a_target_that_is_constant_is_measured_in_its_unit(self):
        raw = compare(Z, np.full(len(y), 7.0)).rows[1]
        fitted = SGDRegressor(penalty=None, random_state=0).fit(Z, np.full(len(y), 7.0))
        assert raw.measures["prediction_error"] == pytest.approx(
            np.sqrt(np.mean((fitted.predict(Z) - 7.0) ** 2)), rel=1e-6
        )

    def test_a_solver_has_converged_where_it_has_for_all_outputs(self):
        """SGDRegressor's tolerance is in units of y: in tiny ones it stops early, in huge ones hardly ever."""
        tiny, huge = 1e-3 * y[:, np.newaxis], 1e6 * y[:, np.newaxis]
        early, late, both = (compare(1e-2 * Z, targets).rows[1] for targets in (tiny, huge, np.hstack([tiny, huge])))
        assert (early.converged, late.converged, both.converged) == (True, False, False)
        assert early.measures["epochs"] < late.measures["epochs"] == both.measures["epochs"] == 1000

    def test_sparse_and_frames(self):
        import pandas as pd

        assert compare(sparse.csr_array(X), y).rows[0].measures["prediction_error"] < 1e-9
        assert (
            compare(pd.DataFrame(X, columns=list("abcdefghij")), pd.Series(y)).rows[0].measures["prediction_error"]
            < 1e-12
        )

    def test_a_solver_that_fails_says_why_and_has_no_numbers(self):
        comparison = compare(X * 1e150, y)
        assert [row.solver for row in comparison.rows] == [name for name in SOLVERS if name != "SGDRegressor"]
        assert list(comparison.failures) == ["SGDRegressor"]
        why = comparison.failures["SGDRegressor"]
        assert why.startswith("Floating-point under-/overflow occurred")
        assert f"\nSGDRegressor failed: {why}\n" in str(comparison) + "\n"
        [line] = [line for line in str(comparison).splitlines() if line.startswith("SGDRegressor  ")]
        assert {*line.split()[1:]} == {"-", "failed"}
        assert comparison.to_dicts()[-1] == {"solver": "SGDRegressor", "failed": why}
        assert comparison.to_frame()["failed"].dropna().to_dict() == comparison.failures
        assert comparison.to_frame()["train_mse"].isna().to_dict() == {name: name == "SGDRegressor" for name in SOLVERS}

    def test_coefficients_that_are_not_finite_are_a_failure(self, monkeypatch):
        fit = SGDRegressor.fit

        def overflow(self, *args, **options):
            fit(self, *args, **options).coef_[0] = np.inf
            return self

        monkeypatch.setattr(SGDRegressor, "fit", overflow)
        found = "It has found coefficients that are not finite."
        assert compare(Z, y).failures == dict.fromkeys(SOLVERS[1:3], found)

    def test_a_warm_start_is_not_warm(self):
        rows = compare(X, y, GradientDescentRegressor("diagonal", warm_start=True)).rows
        assert rows[0].measures["epochs"] == GradientDescentRegressor("diagonal").fit(X, y).n_iter_ > 0

    def test_the_models_own_errors_are_raised(self):
        with pytest.raises(ValueError, match="'learning_rate' parameter"):
            compare(X, y, GradientDescentRegressor(learning_rate=-1))
        with pytest.raises(ValueError, match="'alpha' parameter"):
            compare(X, y, GradientDescentRegressor(penalty="l2", alpha=-1))
        with pytest.raises(ValueError, match="cannot be combined with"):
            compare(X, y, GradientDescentRegressor("diagonal", optimizer="newton"))
        with pytest.raises(TypeError, match="model must be a GradientDescentRegressor, but is a Pipeline"):
            compare(X, y, make_pipeline(GradientDescentRegressor()))
        with pytest.raises(TypeError, match="but is the class GradientDescentRegressor: pass one"):
            compare(X, y, GradientDescentRegressor)

    @pytest.mark.parametrize(("name", "settings"), PEERS)
    @pytest.mark.parametrize("fit_intercept", [True, False])
    def test_a_peer_minimises_the_same_objective(self, name, settings, fit_intercept):
        """It is as low as its own stop allows, and no lower: in another convention it would be higher."""
        model = GradientDescentRegressor(**settings, fit_intercept=fit_intercept, tol=1e-9)
        weight = np.random.default_rng(0).uniform(0.5, 2, 200)
        comparison = compare(3 * Z[:200], y[:200], model, sample_weight=weight)
        ours, peer = comparison.rows[0], next(row for row in comparison.rows if row.solver == name)
        assert ours.measures["objective"] <= peer.measures["objective"] * (1 + 1e-9)
        assert peer.measures["objective"] <= ours.measures["objective"] * (1 + (3e-2 if "SGD" in name else 1e-5))
        assert ours.arrived == "yes"
        assert "prediction_error" not in ours.measures
        assert "the objective has no closed form" in str(comparison)

    def test_the_objective_is_the_mean_loss_and_the_penalty(self):
        model = GradientDescentRegressor(loss="huber", epsilon=20.0, penalty="elasticnet", alpha=0.3, standardize=True)
        weight = np.random.default_rng(0).uniform(0, 2, len(y))
        comparison = compare(X, y, model, sample_weight=weight)
        fitted = comparison.model
        sizes = np.abs(y - fitted.predict(X))
        losses = np.where(sizes <= 20.0, sizes**2, 20.0 * (2 * sizes - 20.0))
        mean = np.average(X, axis=0, weights=weight)
        coef = fitted.coef_ * np.sqrt(np.average((X - mean) ** 2, axis=0, weights=weight))
        penalty = 2 * 0.3 * (0.15 * np.abs(coef).sum() + 0.85 / 2 * (coef**2).sum())
        assert comparison.rows[0].measures["objective"] == pytest.approx(
            np.average(losses, weights=weight) + penalty, rel=1e-9
        )

    def test_without_a_closed_form_the_least_objective_judges(self):
        ours, raw, scaled, lasso = compare(X, y, GradientDescentRegressor(penalty="l1", alpha=1.0)).rows
        assert raw.converged
        assert [row.arrived for row in (ours, raw, scaled, lasso)] == [
            "yes",
            "not to the minimum",
            "of another problem",
            "yes",
        ]

    def test_a_linear_program_that_takes_long_is_left_out(self, monkeypatch):
        monkeypatch.setattr("gdregress.comparison.peers.PROGRAM_LIMIT", 100)
        comparison = compare(X, y, GradientDescentRegressor(loss="quantile"))
        assert [row.solver for row in comparison.rows] == SOLVERS[:1]
        assert "without QuantileRegressor, which would take too long: 442 x 10" in comparison.notes

    @pytest.mark.parametrize("settings", [{"loss": "quantile", "penalty": "l2"}, {"loss": "huber", "positive": True}])
    def test_a_model_without_peers_is_alone(self, settings):
        comparison = compare(X, y, GradientDescentRegressor(**settings, epsilon=20.0))
        assert [row.solver for row in comparison.rows] == SOLVERS[:1]
        assert comparison.notes == ["no other solver of scikit-learn minimises this objective"]

    def test_peers_of_several_targets(self):
        A, B = load_linnerud(return_X_y=True)
        model = GradientDescentRegressor(loss="absolute_error", penalty="l1", alpha=0.1, tol=1e-9)
        rows = compare(A, B, model).rows
        assert rows[-1].solver == "QuantileRegressor"
        assert rows[-1].measures["objective"] == pytest.approx(rows[0].measures["objective"], rel=1e-6)

    @pytest.mark.parametrize(
        ("given", "sentence"),
        [
            ({"y": y[:100]}, "X has 442 rows, but y has 100"),
            ({"X_test": X[:, :3], "y_test": y}, "X_test has 3 features, but .* is expecting 10 features"),
            ({"X_test": X[:9], "y_test": y}, "X_test has 9 rows, but y_test has 442"),
            ({"X_test": np.where(X.mean() < X, np.nan, X), "y_test": y}, "Input X_test contains NaN"),
        ],
    )
    def test_rows_that_do_not_fit_are_refused_before_anything_is_fitted(self, monkeypatch, given, sentence):
        monkeypatch.setattr(GradientDescentRegressor, "fit", None)
        with pytest.raises(ValueError, match=sentence):
            compare(**{"X": X, "y": y, **given})

    @pytest.mark.parametrize("given", ["X_test", "y_test"])
    def test_test_rows_come_in_pairs(self, given):
        with pytest.raises(ValueError, match=f"{given} is provided, but"):
            compare(X, y, **{given: X})

    @pytest.mark.parametrize(("limit", "words"), [("COST_LIMIT", "would take too long"), ("DENSE_LIMIT", "too many")])
    def test_the_closed_form_is_left_out_where_it_costs_too_much(self, limit, words, monkeypatch):
        X, y = sparse.csr_array(load_house_prices().data), load_house_prices().target
        monkeypatch.setattr(f"gdregress.comparison.compare.{limit}", 6)
        comparison = compare(X, y)
        assert [row.solver for row in comparison.rows][2:] == ["StandardScaler + SGDRegressor"]
        assert [set(row.measures) for row in comparison.rows] == [{"objective", "train_mse", "epochs", "seconds"}] * 3
        assert comparison.rows[0].measures["train_mse"] == pytest.approx(5691.729, abs=1e-3)
        head, *_, note = str(comparison).splitlines()
        assert "error" not in head
        assert note.startswith("without the closed form and the distances from it: 7 x 1 ")
        assert note.endswith((words, words + " for it"))
        assert f"<p>{note}</p>" in comparison._repr_html_()
        with pytest.raises(ValueError, match="without the closed form"):
            comparison.plot()

    def test_without_the_closed_form_least_squares_are_judged_by_the_least_of_the_errors(self, monkeypatch):
        monkeypatch.setattr("gdregress.comparison.compare.COST_LIMIT", 1)
        ours, raw, _ = compare(X, y).rows
        assert raw.converged
        assert (ours.arrived, raw.arrived) == ("yes", "not to the minimum")

    @pytest.mark.parametrize(("n", "p", "is_left_out"), [(50, 10**4, False), (500, 40_000, False), (501, 40_000, True)])
    def test_the_cost_of_the_closed_form_is_that_of_the_smaller_side(self, n, p, is_left_out):
        """A factorisation costs n p min(n, p): rows are dear where columns are many, but no dearer."""
        assert bool(_without_closed_form(sparse.csr_array((n, p)))) == is_left_out
        assert bool(_without_closed_form(np.empty((p, n)))) == is_left_out


def test_the_model_knows_the_names_of_a_data_frame():
    model = compare(pd.DataFrame(X[:, :2], columns=["a", "b"]), y).model
    assert list(model.feature_names_in_) == ["a", "b"]
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(pd.DataFrame(X[:, :2], columns=["a", "c"]))


def test_with_a_penalty_the_scaled_solver_is_of_another_problem():
    table = str(compare(X, y, GradientDescentRegressor(penalty="l2", alpha=0.1)))
    assert table.splitlines()[3].endswith("of another problem")


def test_a_peer_that_does_not_take_sparse_rows_has_failed():
    comparison = compare(sparse.csr_matrix(X), y, GradientDescentRegressor(positive=True))
    assert [(row.solver, row.arrived) for row in comparison.rows] == [("GradientDescentRegressor", "yes")]
    assert comparison.failures["LinearRegression"].startswith(
        "Sparse data was passed for X, but dense data is required"
    )
    assert [line.split()[-1] for line in str(comparison).splitlines()[1:3]] == ["yes", "failed"]


def test_without_an_intercept_a_solver_is_judged_by_the_loss_of_zero():
    """The objective is all but that of y, which is far from zero."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(30, 3))
    targets = rows @ [1.0, 2.0, 3.0] + rng.normal(size=30) + 1e6
    model = GradientDescentRegressor("diagonal", penalty="l1", alpha=0.01, fit_intercept=False, optimizer="nesterov")
    ours = compare(rows, targets, model).rows[0]
    assert (ours.converged, ours.arrived) == (True, "yes")


class TestTable:
    def test_text(self):
        comparison = compare(*load_house_prices(return_X_y=True))
        head, *lines, legend = str(comparison).splitlines()
        assert head.split("  ")[0] == "solver"
        assert [line[: len(name)] for line, name in zip(lines, SOLVERS, strict=True)] == SOLVERS
        assert len({len(line) for line in (head, *lines)}) == 1
        assert (
            legend == "errors: distances from the closed form, in standard deviations of the target (and of the column)"
        )
        assert repr(comparison) == str(comparison)

    def test_a_flag_of_convergence_far_from_the_minimum_is_not_repeated(self):
        """On raw columns SGDRegressor says that it has converged, at a distance of 1e11."""
        comparison = compare(X, y)
        ours, raw, scaled, _ = comparison.rows
        assert raw.converged
        assert raw.measures["prediction_error"] > 1e6
        assert [line.split("  ")[-1].strip() for line in str(comparison).splitlines()[1:5]] == [
            "yes",
            "not to the minimum",
            "yes" if scaled.measures["prediction_error"] <= 0.01 else "not to the minimum",
            "yes",
        ]
        assert ours.converged

    def test_a_model_that_does_not_converge_says_why(self):
        comparison = compare(X, y, GradientDescentRegressor(0.1))
        *_, why = str(comparison).splitlines()
        assert why.startswith("GradientDescentRegressor: learning_rate=0.1 is above the stability ceiling")
        assert f"<p>{html.escape(why)}</p>" in comparison._repr_html_()
        assert comparison.model.stop_reason_ in why
        assert compare(X, y).model.converged_

    def test_a_penalty_on_standardised_coefficients_is_another_problem(self):
        sentence = "it penalises standardised coefficients"
        assert sentence in str(compare(X, y, GradientDescentRegressor(penalty="l2", alpha=0.1)))
        assert sentence not in str(compare(X, y))

    def test_html_and_frame(self):
        comparison = compare(*load_house_prices(return_X_y=True))
        assert comparison._repr_html_().count("<tr>") == 5
        frame = comparison.to_frame()
        assert list(frame.index) == SOLVERS
        assert frame.loc["closed form", "train_mse"] == pytest.approx(5691.729323)
        assert comparison.to_dicts()[0]["solver"] == SOLVERS[0]


def test_house_prices():
    bunch = load_house_prices()
    np.testing.assert_array_equal(bunch.data.ravel(), [1, 2, 3, 3, 4, 4, 5])
    np.testing.assert_array_equal(bunch.target, [80, 170, 100, 220, 200, 270, 500])
    assert (bunch.feature_names, bunch.target_name) == (["bedrooms"], "price")
