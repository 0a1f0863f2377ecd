"""Many rows: the last epochs of an interior point method are on rows near a kink, and the minimum is that of all."""

import numpy as np
import pytest
from scipy import sparse

from gdregress import GradientDescentRegressor
from gdregress.method import assembly, interior_point, working_rows
from gdregress.method.interior_point import State
from gdregress.method.narrowed import FEWEST_A_COEFFICIENT, FEWEST_ROWS, PART, narrows
from gdregress.method.working_rows import restricted

LOSSES = [
    {"loss": "absolute_error"},
    {"loss": "quantile", "quantile": 0.95},
    {"loss": "epsilon_insensitive", "epsilon": 0.5},
]


def draw(n=4000, p=5):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, p)) * 10.0 ** rng.uniform(-2, 2, p) + 5.0
    return X, X @ (rng.standard_normal(p) / X.std(axis=0)) + np.exp(rng.standard_normal(n)) * rng.standard_normal(n)


def both(monkeypatch, params, X, y, weight=None):
    """The fit that narrows the rows, and an interior point method on all of them throughout."""
    with monkeypatch.context() as patch:
        patch.setattr(assembly, "pays", lambda n, rank: False)
        narrow = GradientDescentRegressor(**params).fit(X, y, weight)
        patch.setattr(assembly, "narrows", lambda n, rank: False)
        whole = GradientDescentRegressor(**params).fit(X, y, weight)
    assert narrow.converged_
    assert whole.converged_
    return narrow, whole


@pytest.fixture
def looks(monkeypatch):
    """Numbers of near rows of the problems that were solved, each after that of a sample."""
    counts = []
    monkeypatch.setattr(
        working_rows, "restricted", lambda *given: counts.append(len(given[1].near)) or restricted(*given)
    )
    return counts


@pytest.mark.parametrize("given", ["", "weights", "CSR", "float32", "collinear", "two outputs"])
@pytest.mark.parametrize("params", LOSSES, ids=str)
def test_the_vertex_is_that_of_all_rows(monkeypatch, looks, params, given):
    X, y = draw()
    weight = np.random.default_rng(1).integers(0, 4, len(y)).astype(float) if given == "weights" else None
    X = {"CSR": sparse.csr_array, "float32": np.float32}.get(given, np.asarray)(X)
    X = np.column_stack([X, X[:, 0] + 1e-9 * X[:, 1]]) if given == "collinear" else X
    y = np.column_stack([y, np.abs(y)]) if given == "two outputs" else y
    narrow, whole = both(monkeypatch, params, X, y, weight)
    assert len(looks) >= 2
    np.testing.assert_allclose(
        narrow.predict(X), whole.predict(X), rtol=1e-6, atol=1e-4 if given == "float32" else 1e-6
    )
    assert narrow.history_["loss"][-1] == pytest.approx(whole.history_["loss"][-1], rel=1e-9)
    assert narrow.n_iter_ <= whole.n_iter_


@pytest.mark.parametrize("params", LOSSES, ids=str)
@pytest.mark.parametrize(
    "penalty", [{"penalty": "l1", "alpha": 1e-2}, {"penalty": "l2", "alpha": 1e-3}, {"positive": True}], ids=str
)
def test_penalties(monkeypatch, looks, params, penalty):
    X, y = draw()
    narrow, whole = both(monkeypatch, {**params, **penalty, "standardize": "penalty" in penalty}, X, y)
    assert len(looks) >= 2
    np.testing.assert_allclose(narrow.predict(X), whole.predict(X), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(narrow.coef_ == 0, whole.coef_ == 0)


def test_ties(monkeypatch):
    """Integers, of which hundreds lie on the plane: all of these are near."""
    rng = np.random.default_rng(2)
    X = rng.integers(0, 5, (4000, 3)).astype(float)
    y = X @ [1.0, 2.0, -1.0] + rng.integers(-3, 4, 4000)
    narrow, whole = both(monkeypatch, {"loss": "absolute_error"}, X, y)
    assert narrow.history_["loss"][-1] == pytest.approx(whole.history_["loss"][-1], rel=1e-12)


def test_where_rounds_fail_the_epochs_over_all_rows_go_on(monkeypatch):
    """They go on from where they were: a bound of 0, which each round is given here, closes no gap."""
    X, y = draw()
    minimum = working_rows.OneOutput.minimum

    def without_bound(self, *given):
        return minimum(self, *given)._replace(bound=0.0, gap=0.0)

    monkeypatch.setattr(working_rows.OneOutput, "minimum", without_bound)
    narrow, whole = both(monkeypatch, {"loss": "absolute_error"}, X, y)
    assert narrow.n_iter_ > whole.n_iter_
    assert narrow.n_iter_ <= whole.n_iter_ + 3 * working_rows.IDLE
    np.testing.assert_allclose(narrow.predict(X), whole.predict(X), rtol=1e-9, atol=1e-9)


def test_a_round_that_raises_the_objective_is_no_epoch(monkeypatch):
    X, y = draw()
    minimum = working_rows.OneOutput.minimum

    def far_off(self, *given):
        found = minimum(self, *given)
        return found._replace(point=found.point + 1.0)

    monkeypatch.setattr(working_rows.OneOutput, "minimum", far_off)
    narrow, whole = both(monkeypatch, {"loss": "absolute_error"}, X, y)
    np.testing.assert_array_equal(narrow.history_["loss"], whole.history_["loss"])


def test_a_round_is_kept_where_the_next_one_fails(looks):
    """Columns with heavy tails: from the first round on, at epoch 12, more epochs are never a worse model."""
    rng = np.random.default_rng(5)
    X = rng.standard_t(1.5, size=(3200, 80))
    y = X @ rng.normal(size=80) + rng.standard_cauchy(3200)
    model = GradientDescentRegressor(loss="quantile", quantile=0.9, epochs=40, tol=None).fit(X, y)
    assert len(looks) == 3
    assert (np.diff(model.history_["loss"][11:]) <= 0).all()
    assert (np.diff(model.history_["optimality"][11:]) <= 0).all()


def test_no_pass_is_made_for_a_difference_of_rounding(monkeypatch):
    """The rounds begin where the epochs have ended, however the objective is rounded there: a look for each minimum."""
    X, y = draw(3200, 30)
    calls = []
    look, minimum, measured = (getattr(working_rows.OneOutput, name) for name in ("look", "minimum", "measured"))

    def rounded_up(self, *given):
        here = measured(self, *given)
        return here._replace(value=here.value * (1.0 + 1e-14))

    monkeypatch.setattr(working_rows.OneOutput, "look", lambda *given: calls.append("look") or look(*given))
    monkeypatch.setattr(working_rows.OneOutput, "minimum", lambda *given: calls.append("minimum") or minimum(*given))
    monkeypatch.setattr(working_rows.OneOutput, "measured", rounded_up)
    GradientDescentRegressor(loss="quantile", quantile=0.95).fit(X, y)
    assert calls[:4] == ["look", "look", "minimum", "look"]


def test_rows_that_are_near_at_first_are_a_part(looks):
    X, y = draw(3200, 30)
    GradientDescentRegressor(loss="absolute_error").fit(X, y)
    assert len(looks) >= 2
    assert looks[1] == pytest.approx(3200 / PART, rel=0.4)


def test_a_round_begins_near_its_start_and_anew_where_that_is_far(monkeypatch):
    """Slopes that suit the start spare epochs; if the gap does not soon show it to be near, least squares is there."""
    X, y = draw(6000, 30)
    epochs, advance = [], interior_point._advance

    def count(box, *given):
        epochs.append(box.n_data < 3000)
        return advance(box, *given)

    def fit():
        """The predictions with each loss, and the number of epochs on near rows."""
        epochs.clear()
        models = [GradientDescentRegressor(**params).fit(X, y) for params in LOSSES]
        assert all(model.converged_ for model in models)
        return [model.predict(X) for model in models], sum(epochs)

    monkeypatch.setattr(interior_point, "_advance", count)
    near, of_near = fit()
    monkeypatch.setattr(State, "near", classmethod(lambda cls, box, point: cls.first(box)))
    anew, of_anew = fit()
    monkeypatch.setattr(working_rows, "PATIENCE", 3)
    impatient, of_impatient = fit()
    assert of_near < of_anew < of_impatient
    for others in (impatient, anew):
        np.testing.assert_allclose(others, near, rtol=1e-9, atol=1e-9)


def test_where_it_narrows():
    assert narrows(FEWEST_ROWS, 5)
    assert not narrows(FEWEST_ROWS - 1, 5)
    assert narrows(1000 * FEWEST_A_COEFFICIENT, 1000)
    assert not narrows(1000 * FEWEST_A_COEFFICIENT - 1, 1000)


@pytest.mark.parametrize("epochs", [1, 2, 4])
def test_an_epoch_over_all_rows_is_an_epoch(epochs):
    X, y = draw()
    model = GradientDescentRegressor(loss="quantile", quantile=0.95, epochs=epochs, tol=None).fit(X, y)
    assert model.n_iter_ == epochs
    assert (np.diff(model.history_["loss"]) <= 0).all()


def test_rounds_end_where_rounding_leaves_nothing_to_narrow(looks):
    """Wild rows own the objective, of which the rounding is a large share of what the others lose."""
    X, y = draw()
    y[:270] *= 1e6
    model = GradientDescentRegressor(loss="absolute_error").fit(X, y)
    assert model.converged_
    assert 2 <= len(looks) <= 4
