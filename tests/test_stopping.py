"""Every way to stop: each reason from its cause, and what is kept."""

import re
import warnings
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, SGDRegressor
from sklearn.model_selection import train_test_split

from gdregress import GradientDescentRegressor, load_house_prices
from gdregress.method.states import Block, Points
from gdregress.problem.losses import LOSSES, as_loss
from gdregress.problem.problem import Gap
from gdregress.solve.divergence import has_diverged
from gdregress.solve.progress import Progress
from gdregress.solve.stopping import Converged, Diverged, EpochsUsedUp, OptimalStart, Patience, Stopping, TargetLoss
from gdregress.solve.trace import Measured, Trace

X, y = load_diabetes(return_X_y=True, scaled=False)
Z = (X - X.mean(axis=0)) / X.std(axis=0)
PETALS, WIDTHS = np.hsplit(load_iris().data, [3])[0], load_iris().data[:, 3]


def mse(model, X, y, weight=None):
    return np.average((y - model.predict(X)) ** 2, weights=weight)


def epochs(values, *, optimality=None, validation=None, rate=0.1, first=0):
    """Epochs of given objectives, optimalities and validation losses."""
    values, zero = np.array(values, dtype=float), np.zeros((len(values), 1))
    optimality = np.ones(len(values)) if optimality is None else np.array(optimality, dtype=float)
    points = Points.of([np.full((1, 1), float(first + k)) for k in range(len(values))])
    rates = np.full(len(values) - (first == 0), rate)  # no step has led to the start
    block = Block(rates, values[:, np.newaxis], Gap(zero, zero, zero), optimality, np.isfinite(values), points)
    validation = None if validation is None else np.array(validation, dtype=float)
    return Measured(block, values, values, validation, values if validation is None else validation)


def ask(rule, values, *, optimality=None, validation=None):
    """What a rule says of the last of some epochs, whether they come at once or one by one."""
    whole = epochs(values, optimality=optimality, validation=validation)
    at_once, trace = Trace(keeps_best=validation is not None), Trace(keeps_best=validation is not None)
    together = rule.fires(at_once, whole)
    for k in range(len(values)):
        latest = epochs(
            values[k : k + 1],
            optimality=optimality and optimality[k : k + 1],
            validation=validation and validation[k : k + 1],
            first=k,
        )
        [fires] = rule.fires(trace, latest)
        assert fires == together[k]
        trace.append(latest)
    return rule.result(trace) if fires else None


class TestRules:
    def test_converged(self):
        assert ask(Converged(0.1), [5, 4], optimality=[1, 0.2]) is None
        stop = ask(Converged(0.1), [5, 4], optimality=[1, 0.1])
        assert stop.kept.number == 1
        assert not stop.is_warning
        assert stop.reason == "converged: optimality 0.1 after 1 epoch, tol=0.1"

    def test_what_goes_below_tol_stops_only_at_an_optimal_start(self):
        assert ask(OptimalStart(0.1), [5], optimality=[0.01]).kept.number == 0
        assert ask(OptimalStart(0.1), [5], optimality=[1]) is None
        assert ask(OptimalStart(0.1), [5, 4], optimality=[1, 0.01]) is None

    def ended(self, optimality, *, validation=None, tol=0.1, limit="the limit."):
        trace = Trace(keeps_best=validation is not None)
        trace.append(epochs([5.0] * len(optimality), optimality=optimality, validation=validation))
        return Stopping((), EpochsUsedUp(7, tol, None, "Advice."), limit).ended(trace)

    def test_a_solver_that_ends_above_tol_warns_of_its_limit(self):
        result = self.ended([1, 0.3, 0.2])
        assert result.is_warning
        assert result.reason == "optimality 0.2 is above tol=0.1, but rounding allows no better: the limit."
        assert result.kept.number == 2

    def test_a_solver_that_ends_below_tol_has_converged(self):
        result = self.ended([1, 0.01])
        assert not result.is_warning
        assert result.reason == "converged: optimality 0.01 after 1 epoch, tol=0.1"

    def test_an_end_is_judged_by_what_was_reached_and_not_by_the_best_validation_loss(self):
        result = self.ended([1, 0.01, 0.009], validation=[1, 2, 3])
        assert result.kept.number == 0
        assert result.reason.startswith("early stopping: the training loss converged after 2 epochs; epoch 0,")

    def test_without_tol_a_solver_that_ends_stands_still_to_the_last_epoch(self):
        assert Stopping((), EpochsUsedUp(7, 0.0, None, "Advice."), "").stands_still
        standing = epochs([5, 4, 3], optimality=[1, 0.3, 0.2], validation=[3, 2, 1]).standing(4)
        np.testing.assert_array_equal(standing.block.rate, np.zeros(4))
        np.testing.assert_array_equal(standing.block.optimality, np.full(4, 0.2))
        np.testing.assert_array_equal(standing.validation_loss, np.ones(4))
        np.testing.assert_array_equal(standing.block.points.stacked(), np.full((1, 4, 1), 2.0))

    def test_not_a_number_has_not_converged(self):
        assert ask(Converged(0.1), [5, 4], optimality=[1, np.nan]) is None

    def test_target_loss(self):
        assert ask(TargetLoss(3), [5, 4]) is None
        assert ask(TargetLoss(4), [5, 4]).kept.number == 1

    def test_patience(self):
        rule = Patience(2)
        assert ask(rule, [5, 4, 3], validation=[2, 1, 1.5]) is None
        stop = ask(rule, [5, 4, 3, 2], validation=[2, 1, 1.5, 1])
        assert stop.kept.number == 1
        assert (
            stop.reason
            == "early stopping: no better validation loss in 2 epochs; epoch 1, with validation loss 1, is kept"
        )
        assert not stop.is_warning
        assert ask(rule, [5, 4, 3], validation=[1, 2, 2]).is_warning

    def test_converged_is_said_of_what_is_kept(self):
        stop = ask(Converged(0.1), [5, 4, 3], optimality=[1, 0.2, 0.1], validation=[2, 1, 3])
        assert stop.kept.number == 1
        assert stop.reason.startswith("early stopping: the training loss converged after 2 epochs; epoch 1,")

    @pytest.mark.parametrize("last", [np.inf, np.nan, 1e13])
    def test_diverged_keeps_the_best_finite_point(self, last):
        rule = Diverged(1.0, "the cause", "The cure.")
        assert ask(rule, [5, 3, 4e12]) is None
        stop = ask(rule, [5, 3, 4, last])
        assert stop.kept.number == 1
        assert stop.is_warning
        height = "1e+13" if np.isfinite(last) else "beyond the range of floats"
        assert stop.reason == f"the cause: the loss rose from 5 to {height} in 3 epochs, and epoch 1 is kept. The cure."

    def test_what_is_not_finite_is_neither_the_best_nor_the_end_of_patience(self):
        """Whether it is the objective or, as a flag says, the point; and however low the validation loss."""
        for lost, values in ((None, [5, np.inf, 4, 4]), (None, [5, np.nan, 4, 4]), (1, [5, 5, 4, 4])):
            latest = epochs(values, validation=[3, 1, 2, 2])
            if lost is not None:
                latest = latest._replace(block=replace(latest.block, is_finite=np.arange(4) != lost))
            assert Diverged(1.0, "", "").fires(Trace(), latest).tolist() == [False, True, False, False]
            trace = Trace(keeps_best=True)
            assert trace.since_best(latest).tolist() == [0, 1, 0, 1]
            trace.append(latest)
            assert trace.kept.number == 2

    def test_small_beside_the_baseline_has_not_diverged(self):
        assert ask(Diverged(1.0, "", ""), [1e-30, 1e-16]) is None

    def test_epochs_used_up(self):
        diverged = Diverged(1.0, "the cause", "The cure.")
        assert ask(EpochsUsedUp(3, 0.1, diverged, "Advice."), [5, 4, 3]) is None
        stop = ask(EpochsUsedUp(2, 0.1, diverged, "Advice."), [5, 4, 3])
        assert stop.is_warning
        assert stop.reason == "all 2 epochs were used and optimality 1 is above tol=0.1. Advice."
        assert not ask(EpochsUsedUp(2, 0.0, diverged, ""), [5, 4, 3]).is_warning
        assert ask(EpochsUsedUp(2, 0.0, diverged, ""), [5, 4, 6]).reason.startswith("the cause")
        assert not ask(EpochsUsedUp(2, 0.0, diverged, ""), [1e-30, 1e-20, 0.9]).is_warning
        assert not ask(EpochsUsedUp(2, 0.0, None, ""), [5, 4, 6]).is_warning

    def test_what_is_kept_has_converged_where_the_last_epoch_no_longer_has(self):
        values = {"optimality": [1, 0.05, 0.2], "validation": [3, 1, 2]}
        stop = ask(EpochsUsedUp(2, 0.1, None, "Advice."), [5, 4, 3], **values)
        assert stop.kept.number == 1
        assert not stop.is_warning
        assert stop.reason.startswith("converged: optimality 0.05")

    @pytest.mark.parametrize(
        ("optimality", "is_held_up"),
        [
            ([1, 1e-15, 3e-16, 9e-16], True),
            ([1, 1e-10, 3e-11, 9e-11], False),  # far above what rounding explains
            ([1, 1e-13, 1e-14, 1e-15], False),  # still on its way
        ],
    )
    def test_more_epochs_are_not_advised_where_rounding_holds_up_the_descent(self, optimality, is_held_up):
        stop = ask(EpochsUsedUp(3, 1e-20, None, "Raise epochs."), [4, 3, 2, 1], optimality=optimality)
        said = "rounding allows no better: more epochs do not help. Raise tol."
        assert stop.reason.endswith(said if is_held_up else "Raise epochs.")

    @pytest.mark.parametrize("parameters", [{}, {"learning_rate": "diagonal"}, {"optimizer": "nesterov"}])
    def test_a_tol_below_rounding_is_told_as_that(self, parameters):
        with pytest.warns(
            ConvergenceWarning, match=r"rounding allows no better: more epochs do not help\. Raise tol\.$"
        ):
            model = GradientDescentRegressor(tol=1e-20, epochs=100, **parameters).fit(X, y)
        assert not model.converged_

    @pytest.mark.parametrize(("target", "epoch", "told"), [(4, 1, Converged), (3, 1, Converged), (5, 0, TargetLoss)])
    def test_the_first_epoch_at_which_a_rule_fires_and_the_first_such_rule(self, target, epoch, told):
        used_up = EpochsUsedUp(2, 0.1, None, "Advice.")
        stopping = Stopping((Converged(0.1), TargetLoss(target), used_up), used_up, "")
        latest, rule = stopping.first(Trace(), epochs([5, 4, 3], optimality=[1, 0.1, 0.01]))
        assert len(latest.block) == epoch + 1
        assert isinstance(rule, told)


class TestConverged:
    def test_the_optimality_means_what_it_says(self):
        model = GradientDescentRegressor("diagonal", optimizer="nesterov", tol=1e-3).fit(X, y)
        best = LinearRegression().fit(Z, y).predict(Z)
        distance = np.sqrt(np.mean((model.predict(X) - best) ** 2)) / y.std()
        assert model.optimality_ <= 1e-3 < model.history_["optimality"][-2]
        assert model.optimality_ == pytest.approx(distance * 2**0.5, rel=1e-6)

    @pytest.mark.parametrize("loss", ["huber", "quantile"])
    def test_it_is_no_less_than_half_the_distance_along_a_descent(self, loss):
        """Where few rows are curved, and where all that is left is what smoothing costs."""
        rng = np.random.default_rng(0)
        rows = rng.normal(size=(200, 4))
        targets = rows @ [1.0, -2.0, 0.5, 0.1] + rng.standard_t(2, size=200)
        params = {"loss": loss, **{"huber": {"epsilon": 0.03}, "quantile": {"quantile": 0.3}}[loss]}
        model = GradientDescentRegressor("curvature", 60, optimizer="nesterov", tol=None, record_path=True, **params)
        model.fit(rows, targets)
        best = GradientDescentRegressor(tol=1e-10, **params).fit(rows, targets)
        own = LOSSES[loss](0.03, 0.3)
        value = own.value(targets - model.history_["coef"] @ rows.T - model.history_["intercept"][:, np.newaxis])
        distance = value.mean(axis=1) - own.value(targets - best.predict(rows)).mean()
        estimate = model.history_["optimality"] * value.mean(axis=1)
        if own.degree == 2:
            constant = own.value(targets - own.best_constant(targets)).mean()
            estimate = model.history_["optimality"] ** 2 * constant / 2
        assert (distance <= 2 * estimate + 1e-9).all()

    @pytest.mark.parametrize("loss", ["squared_error", "huber", "absolute_error"])
    def test_of_several_outputs_it_is_that_of_the_worst(self, loss):
        both = np.column_stack([y, np.random.default_rng(0).normal(size=len(y))])
        model = GradientDescentRegressor(0.1, 5, loss=loss, tol=None)
        found = model.fit(Z, both).history_["optimality"]
        alone = [model.fit(Z, target).history_["optimality"] for target in both.T]
        np.testing.assert_allclose(found, np.maximum(*alone), rtol=1e-9)
        assert (np.abs(alone[0] / alone[1] - 1.0) > 0.01).any()

    @pytest.mark.parametrize("unit", [1e-9, 1.0, 100.0, 1e12])
    def test_it_does_not_depend_on_the_unit_of_y(self, unit):
        euros = GradientDescentRegressor("diagonal", optimizer="nesterov").fit(X, y)
        other = GradientDescentRegressor("diagonal", optimizer="nesterov").fit(X, y * unit)
        assert other.n_iter_ == euros.n_iter_
        np.testing.assert_allclose(other.coef_, euros.coef_ * unit, rtol=1e-6)

    def test_starting_at_the_solution_stops_at_once(self):
        model = GradientDescentRegressor().fit(X, y)
        model.set_params(warm_start=True).fit(X, y)
        assert model.n_iter_ == 0
        assert model.converged_

    @pytest.mark.parametrize("tol", [None, 0, 0.0])
    def test_without_tol_exactly_as_many_epochs_as_asked(self, tol):
        model = GradientDescentRegressor(epochs=7, tol=tol).fit(X, y)
        assert model.n_iter_ == 7
        assert all(len(values) == 8 for values in model.history_.values())
        assert model.stop_reason_ == "7 epochs run, as asked: there is no tol"

    def test_the_target_is_one_of_the_loss_without_the_penalty(self):
        params = {"learning_rate": "diagonal", "optimizer": "gd", "penalty": "l2", "alpha": 1e-3}
        whole = GradientDescentRegressor(epochs=12, tol=None, **params).fit(Z, y)
        model = GradientDescentRegressor(target_loss=whole.history_["loss"][9], **params).fit(Z, y)
        assert model.n_iter_ == 9

    def test_epochs_used_up_warns_with_the_remedy(self):
        with pytest.warns(ConvergenceWarning, match=r"all 5 epochs were used .* a rate nearer half the ceiling"):
            model = GradientDescentRegressor(0.01, epochs=5).fit(Z, y)
        assert not model.converged_
        assert model.n_iter_ == 5

    def test_epochs_of_warm_starts_add_up(self):
        whole = GradientDescentRegressor(0.01, epochs=30, tol=None).fit(Z, y)
        parts = GradientDescentRegressor(0.01, epochs=12, tol=None, warm_start=True).fit(Z, y)
        parts.set_params(epochs=18).fit(Z, y)
        np.testing.assert_allclose(parts.coef_, whole.coef_, rtol=1e-12)
        assert parts.history_["loss"][-1] == pytest.approx(whole.history_["loss"][-1], rel=1e-12)

    def test_a_refit_is_a_fresh_fit(self):
        fresh = GradientDescentRegressor().fit(X, y)
        again = GradientDescentRegressor(0.01, epochs=3, tol=None, record_path=True).fit(Z[:, :3], y)
        again.set_params(**fresh.get_params()).fit(X, y)
        assert set(vars(again)) == set(vars(fresh))
        np.testing.assert_array_equal(again.coef_, fresh.coef_)


class TestEarlyStopping:
    def split(self, seed=0):
        rng = np.random.default_rng(seed)
        noisy = np.hstack([Z, rng.normal(size=(len(Z), 150))])
        return train_test_split(noisy, y, test_size=0.5, random_state=seed)

    def fit(self, **parameters):
        train, val, y_train, y_val = self.split()
        model = GradientDescentRegressor(0.003, epochs=3000, early_stopping=True, record_path=True, **parameters)
        return model.fit(train, y_train, X_val=val, y_val=y_val), val, y_val

    @pytest.mark.parametrize("n_iter_no_change", [1, 5, 40])
    def test_the_best_epoch_is_restored(self, n_iter_no_change):
        model, val, y_val = self.fit(n_iter_no_change=n_iter_no_change)
        losses = model.history_["validation_loss"]
        best = int(np.argmin(losses))
        assert model.n_iter_ == len(losses) - 1 == best + n_iter_no_change
        np.testing.assert_array_equal(model.coef_, model.history_["coef"][best])
        assert mse(model, val, y_val) == pytest.approx(losses.min(), rel=1e-9)
        assert "early stopping" in model.stop_reason_

    def test_nobody_is_warned_and_the_optimality_is_of_what_is_returned(self):
        model, _, _ = self.fit()
        best = int(np.argmin(model.history_["validation_loss"]))
        assert model.optimality_ == model.history_["optimality"][best]
        assert not model.converged_

    @pytest.mark.parametrize(
        "params",
        [
            {},
            {"fit_intercept": False},
            {"penalty": "elasticnet", "alpha": 1.0},
            {"loss": "huber", "penalty": "l2", "alpha": 1.0},
            {"loss": "absolute_error", "learning_rate": "auto"},
        ],
        ids=str,
    )
    def test_the_same_loss_as_the_training_loss(self, params):
        """Without the penalty, and not smoothed."""
        train, _, y_train, _ = self.split()
        weight = np.random.default_rng(0).random(len(y_train))
        settings = {"learning_rate": 0.003, "epochs": 20, "tol": None, "early_stopping": True}
        model = GradientDescentRegressor(**{**settings, **params})
        model.fit(train, y_train, weight, X_val=train, y_val=y_train, sample_weight_val=weight)
        np.testing.assert_allclose(model.history_["validation_loss"], model.history_["loss"], rtol=1e-10)

    def test_with_the_epochs_used_up_the_best_is_kept_all_the_same(self):
        model, val, y_val = self.fit(n_iter_no_change=3000, tol=None)
        assert model.n_iter_ == 3000
        assert mse(model, val, y_val) == pytest.approx(model.history_["validation_loss"].min(), rel=1e-9)
        assert mse(model, val, y_val) < 0.99 * model.history_["validation_loss"][-1]

    @pytest.mark.parametrize("fraction", [0.1, 0.4])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_random_split_trains_on_the_others_only(self, fraction, weighted):
        weight = np.random.default_rng(0).uniform(0.5, 2, len(y)) if weighted else None
        parameters = {"epochs": 200, "tol": None, "n_iter_no_change": 50}
        model = GradientDescentRegressor(
            0.05, early_stopping=True, validation_fraction=fraction, random_state=0, **parameters
        ).fit(Z, y, weight)
        train, val = train_test_split(np.arange(len(y)), test_size=fraction, random_state=np.random.RandomState(0))
        weights = {} if weight is None else {"sample_weight": weight[train], "sample_weight_val": weight[val]}
        other = GradientDescentRegressor(0.05, early_stopping=True, **parameters)
        other.fit(Z[train], y[train], X_val=Z[val], y_val=y[val], **weights)
        assert model.n_iter_ == other.n_iter_
        np.testing.assert_allclose(model.coef_, other.coef_, rtol=1e-8)
        np.testing.assert_allclose(model.history_["validation_loss"], other.history_["validation_loss"], rtol=1e-8)

    def test_given_rows_win_over_the_fraction(self):
        model = GradientDescentRegressor(0.05, epochs=50, early_stopping=True, tol=None, n_iter_no_change=50)
        model.fit(Z[:300], y[:300], X_val=Z[300:], y_val=y[300:])
        plain = GradientDescentRegressor(0.05, epochs=model.n_iter_, tol=None, record_path=True).fit(Z[:300], y[:300])
        best = int(np.argmin(model.history_["validation_loss"]))
        np.testing.assert_allclose(model.coef_, plain.history_["coef"][best], rtol=1e-12)

    def test_the_best_epoch_is_that_of_the_loss_in_the_units_of_y(self):
        """The second output, three times as large, counts nine times as much."""
        rng = np.random.default_rng(0)
        rows, held = rng.normal(size=(2, 60, 40))
        shared = 0.3 * rng.normal(size=40)

        def targets(rows):
            return np.stack([rows @ shared + rng.normal(size=60), 3 * rows[:, 0] + 9 * rng.normal(size=60)], axis=1)

        given = {"schedule": lambda k: 0.05, "record_path": True, "early_stopping": True, "tol": None}
        model = GradientDescentRegressor("diagonal", 100, optimizer="gd", n_iter_no_change=100, **given)
        y_val = targets(held)
        model.fit(rows, targets(rows), X_val=held, y_val=y_val)
        path = zip(model.history_["coef"], model.history_["intercept"], strict=True)
        squares = np.array([((y_val - held @ coef.T - intercept) ** 2).mean(axis=0) for coef, intercept in path])
        assert squares.mean(axis=1).argmin() != (squares / squares[0] ** 0.5).mean(axis=1).argmin()
        np.testing.assert_array_equal(model.coef_, model.history_["coef"][squares.mean(axis=1).argmin()])

    def test_without_moments_the_validation_loss_is_of_the_data(self, monkeypatch):
        monkeypatch.setattr("gdregress.method.choice.MOMENTS_LIMIT", 5)
        monkeypatch.setattr("gdregress.method.sketches.WIDEST", 5)
        model = GradientDescentRegressor(early_stopping=True).fit(X[:300], y[:300], X_val=X[300:], y_val=y[300:])
        assert model.learning_rate_ == "diagonal"
        assert mse(model, X[300:], y[300:]) == pytest.approx(model.history_["validation_loss"].min(), rel=1e-9)

    def test_without_moments_every_loss_is_that_of_its_point(self, monkeypatch):
        """That of the start, too, wherever it is."""
        monkeypatch.setattr("gdregress.method.choice.MOMENTS_LIMIT", 5)
        monkeypatch.setattr("gdregress.method.sketches.WIDEST", 5)
        model = GradientDescentRegressor("diagonal", 3, init="random", random_state=0, record_path=True, tol=None)
        history = model.fit(X, y).history_
        residual = y - history["coef"] @ X.T - history["intercept"][:, np.newaxis]
        np.testing.assert_allclose(history["loss"], np.mean(residual**2, axis=1), rtol=1e-9)

    def test_unscaled_validation_rows_are_noticed(self):
        off = X[300:] * 1e4 + 1e6
        with (
            pytest.warns(ConvergenceWarning, match="No epoch was better than the start"),
            pytest.warns(UserWarning, match=r"columns of X_val .* transform_input") as caught,
        ):
            GradientDescentRegressor(early_stopping=True).fit(Z[:300], y[:300], X_val=off, y_val=y[300:])
        assert {warning.filename for warning in caught} == {__file__}

    @pytest.mark.parametrize(
        ("n_off", "times", "deviations", "warns"),
        [
            (6, 1, 15, True),
            (5, 1, 1e9, False),
            (10, 1, 7, False),
            (6, 15, 0, True),
            (10, 7, 0, False),
            (6, 0.07, 0, True),
            (5, 0.07, 0, False),
            (10, 0.15, 0, False),
            (10, 0, 0, False),
        ],
    )
    def test_most_columns_ten_times_as_far_off_or_a_tenth_are_noticed(self, n_off, times, deviations, warns):
        is_off = np.arange(10) < n_off
        off = Z[300:] * np.where(is_off, times, 1) + deviations * is_off
        model = GradientDescentRegressor("diagonal", 1, early_stopping=True, tol=None)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(Z[:300], y[:300], X_val=off, y_val=y[300:])
        said = [str(warning.message) for warning in caught if "columns of X_val" in str(warning.message)]
        assert [f"{n_off} of 10 columns" in message for message in said] == [True] * warns

    @pytest.mark.parametrize("times", [1.0, "raw"])
    def test_columns_that_were_not_scaled_as_those_of_training_are_noticed(self, times):
        """Also where they are small. The advice is no circle: what helps is not said to be lacking."""
        raw = load_diabetes(scaled=times == 1.0).data
        scaled = (raw - raw.mean(axis=0)) / raw.std(axis=0)
        model = GradientDescentRegressor("diagonal", 20, optimizer="gd", early_stopping=True, tol=None)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(scaled, y, X_val=raw, y_val=y)
        said = [str(warning.message) for warning in caught]
        assert sum("was X_val transformed as X was?" in message for message in said) == 1
        assert not any("use learning_rate" in message for message in said)

    @pytest.mark.parametrize("given", [{"penalty": "l2", "alpha": 1e9}, {"fit_intercept": False}])
    def test_a_penalty_and_an_intercept_do_not_count_there(self, given):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            GradientDescentRegressor(early_stopping=True, **given).fit(X[:300], y[:300], X_val=X[300:], y_val=y[300:])
        assert not [warning for warning in caught if "columns of X_val" in str(warning.message)]

    def test_validation_rows_in_raw_units_are_not_off(self):
        GradientDescentRegressor(1e-12, 1, early_stopping=True, tol=None).fit(
            1e3 * X[:300], y[:300], X_val=1e3 * X[300:], y_val=y[300:]
        )

    def test_columns_that_vary_ten_times_as_much_are_noticed_too(self):
        model = GradientDescentRegressor("diagonal", 1, early_stopping=True, tol=None)
        with pytest.warns(UserWarning, match="10 of 10 columns of X_val"):
            model.fit(Z[:300], y[:300], X_val=15 * (Z[300:] - Z[300:].mean(axis=0)), y_val=y[300:])

    def test_no_row_to_train_on(self):
        with pytest.raises(ValueError, match=r"validation_fraction=0\.9 of n_samples=5 leaves no row to train on"):
            GradientDescentRegressor(early_stopping=True, validation_fraction=0.9).fit(Z[:5], y[:5])


@pytest.mark.parametrize("learning_rate", [0.05, "lipschitz", "diagonal", "auto"])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("epochs", [3, 300])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:early_stopping held out rows without effect")
def test_the_reason_agrees_with_converged(learning_rate, early_stopping, epochs):
    for seed in range(4):
        model = GradientDescentRegressor(learning_rate, epochs, early_stopping=early_stopping, random_state=seed)
        model.fit(Z, y)
        assert model.stop_reason_.startswith("converged") == model.converged_


class TestAdvice:
    """What the sentence says to do, done, helps."""

    @pytest.mark.parametrize(
        ("parameters", "remedy"),
        [
            ({"learning_rate": 1e-6, "epochs": 50}, {"learning_rate": "auto"}),
            ({"learning_rate": "lipschitz", "epochs": 50}, {"learning_rate": "auto"}),
            (
                {"learning_rate": "diagonal", "optimizer": "gd", "epochs": 50},
                {"learning_rate": "auto", "optimizer": "auto"},
            ),
        ],
    )
    def test_auto_helps(self, parameters, remedy):
        model = GradientDescentRegressor(**parameters)
        with pytest.warns(ConvergenceWarning, match=r"Use learning_rate='auto' with optimizer='auto'"):
            model.fit(X, y)
        assert model.set_params(**remedy).fit(X, y).converged_

    @pytest.mark.parametrize(("share", "told"), [(0.9, False), (0.3, False), (0.2, True)])
    def test_a_rate_near_its_ceiling_is_not_told_to_come_nearer(self, share, told):
        ceiling = GradientDescentRegressor("lipschitz", epochs=1, tol=None).fit(Z, y).max_learning_rate_
        with pytest.warns(ConvergenceWarning) as caught:
            GradientDescentRegressor(share * ceiling, epochs=3).fit(Z, y)
        assert ("a rate nearer half the ceiling" in str(caught[0].message)) == told

    def test_at_its_ceiling_a_rate_is_told_to_go_below_it(self):
        """Of one column of ones, signs apart, 1/L is 1/2: at the rate 1 the residuals change their signs for ever."""
        signs = np.array([1.0, -1.0])
        with pytest.warns(ConvergenceWarning, match=r"or a rate below the stability ceiling 1\.$"):
            GradientDescentRegressor(1.0, 5, fit_intercept=False).fit(signs[:, np.newaxis], signs)

    @pytest.mark.parametrize(
        "parameters", [{"learning_rate": "diagonal", "optimizer": "gd"}, {"learning_rate": 1e-3, "loss": "quantile"}]
    )
    def test_of_a_ceiling_that_is_not_there_nothing_is_said(self, parameters):
        with pytest.warns(ConvergenceWarning, match=r"optimizer='auto', or raise epochs or tol\.$"):
            GradientDescentRegressor(epochs=3, **parameters).fit(Z, y)

    def test_near_its_minimum_a_loss_with_kinks_may_end_above_its_start(self):
        """Below the loss of the best constant that is no divergence."""
        column = np.array([[1.0], [2.0], [3.0], [4.0]])
        model = GradientDescentRegressor(0.01, 1, loss="absolute_error", tol=None, warm_start=True)
        model.fit(column, 2.0 * column[:, 0])
        model.coef_, model.intercept_ = np.array([2.001]), 0.0
        loss = model.fit(column, 2.0 * column[:, 0]).history_["loss"]
        assert loss[1] > loss[0]
        assert model.stop_reason_ == "1 epoch run, as asked: there is no tol"

    @pytest.mark.parametrize("loss", ["absolute_error", "quantile", "epsilon_insensitive"])
    def test_a_loss_with_kinks_that_ends_above_its_start_has_diverged(self, loss):
        """It has no ceiling; what is kept is the best point and not the last."""
        rows = np.array([[1.0], [2.0], [3.0], [4.0]])
        targets = np.array([1.0, 2.0, 3.0, 5.0])
        with pytest.warns(ConvergenceWarning, match="the descent diverged: the loss (rose from|swings between)"):
            model = GradientDescentRegressor(learning_rate=1e4, epochs=7, loss=loss).fit(rows, targets)
        assert model.history_["loss"][-1] > model.history_["loss"][0]
        np.testing.assert_array_equal(model.coef_, [0.0])

    def test_momentum_that_overshoots_below_its_ceiling_has_not_diverged(self):
        houses = load_house_prices(return_X_y=True)
        model = GradientDescentRegressor(0.15, 1, tol=None, optimizer="momentum").fit(*houses)
        assert model.stop_reason_ == "1 epoch run, as asked: there is no tol"
        assert model.set_params(epochs=1000, tol=1e-6).fit(*houses).converged_


class TestDiverged:
    def test_the_second_half_of_the_epochs_tells_whichever_is_the_last(self):
        rng = np.random.RandomState(0)
        for baseline in (0.0, 1.2):
            values = rng.uniform(0.9, 1.3, 40)
            values[0] = 1.0
            expected = [max(values[n // 2 : n].mean(), values[n - 1]) > max(1.0, baseline) for n in range(1, 41)]
            assert 0 < sum(expected) < 40
            assert has_diverged(values, baseline).tolist() == expected

    def test_a_last_epoch_that_is_far_below_the_start_is_no_divergence(self):
        assert has_diverged(np.array([5.7, 13.4, 1.35])).tolist() == [False, True, False]
        assert has_diverged(np.array([1.0, 1.0, 1e12, 0.9, 0.9, 0.9, 0.9])).tolist()[-1] is False

    def test_the_noise_of_mini_batches_is_no_divergence(self):
        rng = np.random.default_rng(13)
        X = rng.normal(size=(200, 8))
        y = 0.1 * X[:, 0] + rng.normal(size=200)
        model = GradientDescentRegressor(0.1, 30, loss="absolute_error", batch_size=10, tol=None, random_state=0)
        loss = model.fit(X, y).history_["loss"]
        assert loss[15:].max() > loss[0] > loss[-1]
        assert not model.diverged_
        assert model.stop_reason_ == "30 epochs run, as asked: there is no tol"

    @pytest.mark.parametrize(
        ("end", "diverged"), [(np.nextafter(592.2, 600.0), False), (592.3, True), (np.nan, True), (np.inf, True)]
    )
    def test_a_descent_that_comes_by_its_start_up_to_rounding_has_not_diverged(self, end, diverged):
        assert has_diverged(np.array([592.2, 384.2, end])).tolist() == [False, False, diverged]

    @pytest.mark.parametrize("epochs", [1, 6, 7])
    @pytest.mark.parametrize("tol", [None, 1e-6])
    @pytest.mark.parametrize("optimizer", ["gd", "momentum", "adam"])
    @pytest.mark.parametrize("loss", LOSSES)
    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
    def test_the_sentence_says_it_where_it_is_so(self, loss, optimizer, tol, epochs):
        """Then the best epoch is kept."""
        houses, diverged = load_house_prices(return_X_y=True), []
        epsilon = 40.0 if loss == "huber" else 0.1
        for rate in (1e-3, 0.05, 0.1, 1.0, 30.0, 1e3, "diagonal"):
            model = GradientDescentRegressor(rate, epochs, loss=loss, epsilon=epsilon, optimizer=optimizer, tol=tol)
            losses = model.fit(*houses).history_["loss"]
            assert model.diverged_ == bool(re.search(": the loss (rose from|swings between) ", model.stop_reason_))
            diverged.append(model.diverged_)
            if model.diverged_:
                assert losses[len(losses) // 2 :].max() > losses[0]
                kept = np.abs(losses - as_loss(loss, epsilon, 0.5).value(houses[1] - model.predict(houses[0])).mean())
                assert kept.argmin() == losses.argmin()
        assert (diverged[0], diverged[-2], diverged[-1]) == (False, True, False)

    def test_without_a_better_epoch_early_stopping_says_it(self):
        """It waits for a better validation loss, but there is none to come."""
        houses = load_house_prices(return_X_y=True)
        held = {"X_val": houses[0], "y_val": houses[1]}
        model = GradientDescentRegressor(0.0815, early_stopping=True, n_iter_no_change=3)
        with pytest.warns(ConvergenceWarning, match="stability ceiling 0.08128 .+ the start is kept"):
            assert model.fit(*houses, **held).diverged_
        fell = GradientDescentRegressor(0.08, early_stopping=True, n_iter_no_change=3).fit(*houses, **held)
        assert not fell.diverged_

    @pytest.mark.parametrize(
        ("optimizer", "times"), [("gd", r"2/L"), ("momentum", r"3\.8/L"), ("nesterov", r"1\.333/L")]
    )
    def test_the_ceiling_is_the_optimizers_own(self, optimizer, times):
        with pytest.warns(ConvergenceWarning, match=rf"above the stability ceiling [\d.]+ \({times}\)"):
            model = GradientDescentRegressor(5.0, optimizer=optimizer).fit(Z, y)
        assert np.isfinite(model.coef_).all()
        assert model.score(Z, y) <= 0

    @pytest.mark.exhaustive
    def test_the_best_point_is_kept_and_not_the_start(self):
        """Just above the ceiling the loss falls a long way before the steepest direction takes over."""
        ceiling = GradientDescentRegressor("lipschitz", epochs=1, tol=None).fit(X, y).max_learning_rate_
        with pytest.warns(ConvergenceWarning, match="above the stability ceiling"):
            model = GradientDescentRegressor(1.0001 * ceiling, epochs=100_000).fit(X, y)
        loss = model.history_["loss"]
        assert mse(model, X, y) == pytest.approx(np.nanmin(loss), rel=1e-9)
        assert np.nanargmin(loss) > 0

    def test_overflow_is_no_error(self):
        with pytest.warns(ConvergenceWarning, match="diverged|stability ceiling"):
            model = GradientDescentRegressor(0.1).fit(X * 1e200, y)
        assert np.isfinite(model.predict(X)).all()


SLOW = {"learning_rate": "diagonal", "optimizer": "gd", "epochs": 3}
UNCONVERGED = {
    "fit": (SLOW, lambda model: model.fit(Z, y)),
    "fit of another loss": ({**SLOW, "loss": "huber"}, lambda model: model.fit(Z, y)),
    "fit that diverges": ({"learning_rate": 9.0, "epochs": 3}, lambda model: model.fit(Z, y)),
    "partial_fit": (SLOW, lambda model: model.partial_fit(Z, y)),
    "partial_fit that diverges": ({"learning_rate": 9.0}, lambda model: model.partial_fit(Z, y)),
    "fit_batches": (SLOW, lambda model: model.fit_batches([(Z[:200], y[:200]), (Z[200:], y[200:])])),
    "merge": (
        SLOW,
        lambda model: model.merge(GradientDescentRegressor().partial_fit(Z[200:], y[200:])),
    ),
}


@pytest.mark.parametrize("fitted_before", [False, True])
@pytest.mark.parametrize("case", UNCONVERGED)
def test_what_was_fitted_stays_where_the_warning_is_an_error(case, fitted_before):
    """As in SGDRegressor, whose attributes are there when it warns."""
    params, fit = UNCONVERGED[case]

    def model():
        begun = GradientDescentRegressor(random_state=0)
        if case == "merge":
            begun.partial_fit(Z[:200], y[:200])
        elif fitted_before and "partial_fit" in case:
            begun.partial_fit(Z, 2 * y)
        elif fitted_before:
            begun.set_params(loss="absolute_error").fit(Z[:, :4], -y)
        return begun.set_params(**{"loss": "squared_error", **params})

    raised, warned = model(), model()
    with pytest.raises(ConvergenceWarning) as error:
        fit(raised)
    with pytest.warns(ConvergenceWarning) as warning:
        fit(warned)
    assert str(error.value) == str(warning[0].message)
    assert set(vars(raised)) == set(vars(warned))
    np.testing.assert_equal(vars(raised), vars(warned))


@pytest.mark.parametrize("model", [SGDRegressor(max_iter=1, tol=1e-9), GradientDescentRegressor(**SLOW)])
def test_scikit_learn_does_the_same(model):
    with pytest.raises(ConvergenceWarning):
        model.fit(Z, y)
    assert model.n_iter_ == model.get_params().get("epochs", 1)
    assert np.isfinite(model.predict(Z)).all()


STEEP = {
    "gd": 1e3,
    "momentum": 1e3,
    "nesterov": 1e3,
    "adagrad": 1e200,
    "rmsprop": 1e200,
    "adam": 1e200,
}
RUNGS = ("auto", "lipschitz", "diagonal", "curvature")
PENALTIES = {
    "none": {},
    "L2": {"penalty": "l2", "alpha": 1e5},
    "L2 beyond all measure": {"penalty": "l2", "alpha": 1e300},
    "L1": {"penalty": "l1", "alpha": 1e5},
    "both": {"penalty": "elasticnet", "alpha": 1e5},
    "signs": {"positive": True},
}


@contextmanager
def strict():
    """Make errors of what NumPy warns of, and of warnings; it gives the texts of those of convergence.

    That epsilon is in another unit than y is no news.
    """
    texts = []
    with warnings.catch_warnings(record=True) as caught, np.errstate(all="raise"):
        warnings.simplefilter("error")
        warnings.simplefilter("always", ConvergenceWarning)
        warnings.filterwarnings("ignore", "epsilon.* is far below the residuals")
        yield texts
    texts += [str(warning.message) for warning in caught]


@contextmanager
def suppress_divergence():
    """Let a chunk be refused from which the descent does not come back with numbers."""
    try:
        yield
    except ValueError as error:
        if not str(error).startswith("the descent diverged at learning_rate="):
            raise


TAKE_BATCHES = [(optimizer, size) for optimizer in STEEP if optimizer != "nesterov" for size in (None, 1, 7)]


@pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)
class TestBeyondTheRangeOfFloats:
    """A descent that leaves it says so, in numbers or in words, and in no warning but its own."""

    @pytest.mark.grid(2)
    @pytest.mark.parametrize(("optimizer", "batch_size"), [*TAKE_BATCHES, ("nesterov", None)])
    @pytest.mark.parametrize("loss", ["squared_error", "huber", "absolute_error"])
    @pytest.mark.parametrize("early_stopping", [False, True])
    def test_fit(self, optimizer, batch_size, penalty, loss, early_stopping):
        shared = {"loss": loss, "optimizer": optimizer, "batch_size": batch_size, "random_state": 0}
        if batch_size is not None:
            shared["shuffle"] = False
        for rate, average, tol in ((0.05, False, 1e-6), (STEEP[optimizer], False, None), (1e200, 7, 1e-6)):
            model = GradientDescentRegressor(rate, 5, average=average, tol=tol, **shared, **penalty)
            model.set_params(early_stopping=early_stopping)
            with strict() as texts:
                model.fit(PETALS, WIDTHS)
            assert np.isfinite(model.coef_).all()
            assert len(texts) <= 1
            assert not re.search(r"\bnan\b", " ".join([*texts, model.stop_reason_]))
            if (loss, rate) == ("squared_error", 1e200):
                assert re.search("the loss rose from .* to beyond the range of floats in 1 epoch", texts[0])

    @pytest.mark.grid(2)
    @pytest.mark.parametrize(("optimizer", "batch_size"), TAKE_BATCHES)
    @pytest.mark.parametrize("loss", ["squared_error", "huber", "absolute_error"])
    def test_partial_fit(self, optimizer, batch_size, penalty, loss):
        shared = {"loss": loss, "optimizer": optimizer, "batch_size": batch_size, "random_state": 0}
        for rate in (0.05, STEEP[optimizer], 1e200):
            model = GradientDescentRegressor(rate, **shared, **penalty)
            with strict() as texts, suppress_divergence():
                for _ in range(3):
                    model.partial_fit(PETALS, WIDTHS)
            assert not re.search(r"\bnan\b", " ".join(texts))


@pytest.mark.parametrize(
    "params",
    [
        *({"learning_rate": rate, "loss": loss} for rate in RUNGS for loss in ("squared_error", "huber", "quantile")),
        {"learning_rate": "diagonal", "optimizer": "conjugate"},
    ],
    ids=str,
)
def test_what_vanishes_is_no_error_either(params):
    """Numbers of every size, and an optimality whose square is less than a float: NumPy may be told to raise."""
    for unit in (1e-200, 1e-20, 1.0, 1e20, 1e150):
        with strict() as texts:
            GradientDescentRegressor(epochs=50, **params).fit(PETALS / unit, WIDTHS * unit)
            if params["learning_rate"] == "auto" and params["loss"] == "squared_error":
                GradientDescentRegressor().partial_fit(PETALS / unit, WIDTHS * unit)
        assert not re.search(r"\bnan\b", " ".join(texts))


def test_what_is_beyond_the_range_is_said_in_words():
    model = GradientDescentRegressor(0.05, 6, alpha=1e5, penalty="l2", batch_size=1, shuffle=False, tol=None)
    with strict() as texts:
        model.fit(PETALS, WIDTHS)
    assert re.search(r": the loss rose from [0-9.]+ to beyond the range of floats in 1 epoch, and the start", texts[0])
    assert (model.n_iter_, model.coef_.tolist()) == (1, [0.0, 0.0, 0.0])


class TestInterrupt:
    def interrupt_after(self, monkeypatch, n):
        append = Trace.append

        def interrupting(self, latest):
            append(self, latest.head(min(len(latest.block), n - self.n_states + 1)))
            if self.number == n:
                raise KeyboardInterrupt

        monkeypatch.setattr(Trace, "append", interrupting)

    def test_the_coefficients_so_far_are_kept_and_the_interrupt_goes_on(self, monkeypatch):
        whole = GradientDescentRegressor(0.01, epochs=12, tol=None).fit(Z, y)
        self.interrupt_after(monkeypatch, 12)
        model = GradientDescentRegressor(0.01)
        with pytest.raises(KeyboardInterrupt):
            model.fit(Z, y)
        np.testing.assert_array_equal(model.coef_, whole.coef_)
        assert model.stop_reason_ == "interrupted after 12 epochs: the coefficients reached are kept"
        assert model.n_iter_ == 12
        assert not model.converged_

    def test_with_early_stopping_the_best_so_far(self, monkeypatch):
        self.interrupt_after(monkeypatch, 40)
        model = GradientDescentRegressor(0.01, early_stopping=True, n_iter_no_change=1000, record_path=True)
        with pytest.raises(KeyboardInterrupt):
            model.fit(Z[:100], y[:100], X_val=Z[100:], y_val=y[100:])
        best = int(np.argmin(model.history_["validation_loss"]))
        np.testing.assert_array_equal(model.coef_, model.history_["coef"][best])

    @pytest.mark.parametrize("last", [7, 8])
    def test_it_is_said(self, capsys, last):
        def until(k):
            if k == last:
                raise KeyboardInterrupt
            return 1.0

        params = {"batch_size": 64, "tol": None, "verbose": 4, "schedule": until}  # epochs that are measured one by one
        with pytest.raises(KeyboardInterrupt):
            GradientDescentRegressor(0.001, **params).fit(Z, y)
        _, *rows, reason = capsys.readouterr().out.splitlines()
        assert [int(row.split()[0]) for row in rows] == sorted({0, 4, last})
        assert reason == f"interrupted after {last} epochs: the coefficients reached are kept"

    def test_an_interrupt_ahead_of_the_epoch_that_ends_the_fit_is_not_lost(self):
        """Cheap epochs are measured together, and the interrupt falls beyond the one at which a rule fires."""

        def until(k):
            if k == 11:
                raise KeyboardInterrupt
            return 1.0

        params = {"optimizer": "nesterov", "schedule": until}
        whole = GradientDescentRegressor(0.01, epochs=11, **params | {"tol": None}).fit(Z, y)
        model = GradientDescentRegressor(0.01, target_loss=whole.history_["loss"][9], **params)
        with pytest.raises(KeyboardInterrupt):
            model.fit(Z, y)
        assert model.n_iter_ <= 11
        assert "interrupted" in model.stop_reason_

    def test_a_block_that_is_not_yet_all_there_is_not_there(self):
        trace = Trace(record=lambda points: points.shape[1])
        trace.append(epochs([5, 4]))
        before = trace._reached
        trace.append(epochs([3, 2, 1], first=2))
        assert (trace.recorded, len(trace.columns()["loss"])) == ([2, 3], 5)
        trace._reached = before  # what an interrupt keeps from being replaced
        assert (trace.recorded, len(trace.columns()["loss"])) == ([2], 2)

    @pytest.mark.parametrize("where", ["gdregress.method.assembly.Choice.method", "gdregress.solve.trace.Measured.of"])
    def test_before_the_first_epoch_nothing_changes(self, monkeypatch, where):
        model = GradientDescentRegressor().fit(X, y)
        before = dict(vars(model))

        def interrupting(*args, **kwargs):
            raise KeyboardInterrupt

        monkeypatch.setattr(where, interrupting)
        with pytest.raises(KeyboardInterrupt):
            model.fit(Z[:, :3], y)
        assert vars(model) == before


class TestVerbose:
    def test_every_kth_epoch_and_why_it_ended(self, capsys):
        GradientDescentRegressor(0.01, epochs=10, tol=None, verbose=4).fit(Z, y)
        head, *rows, reason = capsys.readouterr().out.splitlines()
        assert head.split() == ["epoch", "loss", "optimality", "rate"]
        assert [int(row.split()[0]) for row in rows] == [0, 4, 8, 10]
        assert len({len(row) for row in (head, *rows)}) == 1
        assert reason == "10 epochs run, as asked: there is no tol"

    @pytest.mark.parametrize("optimizer", ["gd", "nesterov"])  # in stretches, and in a loop
    @pytest.mark.parametrize("epochs", [1, 6, 7, 40])
    def test_the_rows_are_those_of_the_history(self, optimizer, epochs, capsys):
        train, val = slice(None, 300), slice(300, None)
        model = GradientDescentRegressor(
            0.01, epochs, optimizer=optimizer, tol=None, verbose=3, early_stopping=True, n_iter_no_change=40
        )
        model.fit(Z[train], y[train], X_val=Z[val], y_val=y[val])
        head, *rows, reason = capsys.readouterr().out.splitlines()
        assert head.split() == ["epoch", "loss", "validation", "loss", "optimality", "rate"]
        assert reason == model.stop_reason_
        numbers = sorted({*range(0, epochs + 1, 3), epochs})
        table = np.array([row.replace(" -", " nan").split() for row in rows], dtype=float)
        np.testing.assert_array_equal(table[:, 0], numbers)
        for column, name in enumerate(("loss", "validation_loss", "optimality", "learning_rate"), 1):
            digits = 5e-3 if name == "optimality" else 1e-7
            np.testing.assert_allclose(table[:, column], model.history_[name][numbers], rtol=digits)

    def test_every_number_fits_its_column(self, capsys):
        """Columns end where their headings do, whatever the epoch and the floats."""
        extremes = [0.0, 1.0, -1.2345678e300, -1.2345678e-300, 23223.728, np.inf, np.nan]
        for validates in (False, True):
            progress, trace = Progress(1, validates=validates), Trace()
            for number, extreme in zip([0, 1, 10, 999, 1234567, 7654321, 9999999], extremes, strict=True):
                latest = epochs([extreme], optimality=[abs(extreme)], validation=[extreme], rate=abs(extreme))
                trace.append(latest)
                trace._reached = trace._reached._replace(n_states=number + 1)
                progress(trace, latest, None)
            head, *rows = capsys.readouterr().out.splitlines()
            ends = [match.end() for match in re.finditer(r"validation loss|\w+", head)]
            assert len(ends) == 4 + validates
            for row in rows:
                assert [match.end() for match in re.finditer(r"\S+", row)] == ends

    def test_silent_by_default(self, capsys):
        GradientDescentRegressor(0.01, epochs=10, tol=None).fit(Z, y)
        assert capsys.readouterr().out == ""


ENDS_BY_ITSELF = {
    "newton": {"loss": "huber", "epsilon": 20.0},
    "newton with L1": {"penalty": "l1", "alpha": 1.0},
    "refinement": {},
}


@pytest.mark.parametrize("case", ENDS_BY_ITSELF)
def test_without_tol_early_stopping_fires_where_a_solver_has_ended_by_itself(case):
    """Epochs that stand still bring no better validation loss, and each of them is one."""
    nearly = np.column_stack([Z, Z[:, 0] + 1e-6 * np.random.default_rng(0).standard_normal(len(Z))])
    model = GradientDescentRegressor(tol=None, early_stopping=True, random_state=0, **ENDS_BY_ITSELF[case])
    model.fit(nearly if case == "refinement" else Z, y)
    assert model.stop_reason_.startswith("early stopping: no better validation loss in 10 epochs")
    assert model.n_iter_ < 60
    assert model.history_["learning_rate"][-1] == 0.0


@pytest.mark.parametrize("case", ["newton", "newton with L1"])
def test_where_a_solver_ends_by_itself_observers_are_told_why(case, capsys):
    with pytest.warns(ConvergenceWarning, match="rounding allows no better"):
        model = GradientDescentRegressor(tol=1e-300, verbose=100, **ENDS_BY_ITSELF[case]).fit(Z, y)
    assert capsys.readouterr().out.splitlines()[-1] == model.stop_reason_


@pytest.mark.parametrize("params", [{"learning_rate": 0.01}, {"learning_rate": "diagonal", "optimizer": "nesterov"}])
def test_a_schedule_is_not_called_for_epochs_that_cannot_come(params):
    asked = []
    GradientDescentRegressor(epochs=3, tol=None, schedule=lambda k: asked.append(k) or 1.0, **params).fit(Z, y)
    assert asked == [0, 1, 2]


def test_a_loss_that_comes_back_to_its_start_swings_and_has_not_risen():
    stop = ask(Diverged(1.0, "the cause", "The cure."), [5, 9, 5, 9, 5, np.inf])
    swung = ask(EpochsUsedUp(4, 0.1, Diverged(1.0, "the cause", "The cure."), ""), [5, 9, 5, 9, 5])
    assert swung.reason == "the cause: the loss swings between 5 and 9, and the start is kept. The cure."
    risen = ask(EpochsUsedUp(4, 0.1, Diverged(1.0, "the cause", "The cure."), ""), [5, 9, 8, 9, 7])
    assert risen.reason.startswith("the cause: the loss rose from 5 to 9 in 1 epoch, ")
    assert "beyond the range of floats in 5 epochs" in stop.reason


def test_the_remedy_of_a_number_that_swings_names_a_smaller_one():
    with pytest.warns(
        ConvergenceWarning, match=r"the loss swings between .* Use a smaller rate or learning_rate='auto'"
    ):
        GradientDescentRegressor(0.5, loss="quantile", epochs=50).fit(X, y)
