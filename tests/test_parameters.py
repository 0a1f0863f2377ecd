"""What is said of parameters: those without an effect, those misspelt, and those of the candidates of a search."""

import re
import subprocess
import sys
import warnings
from fractions import Fraction

import joblib
import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.preprocessing import StandardScaler

from gdregress import GradientDescentRegressor, GradientDescentRegressorCV, Loss, regularization_path
from gdregress.method.effects import EFFECTS
from gdregress.method.hints import HABITS
from gdregress.method.parameters import CONSTRAINTS

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 3)) * [1.0, 30.0, 0.1]
y = X @ [1.0, 0.2, 3.0] + rng.normal(size=60)
Z = StandardScaler().fit_transform(X)

OTHER = {
    "epsilon": 0.3,
    "quantile": 0.9,
    "alpha": 0.5,
    "standardize": True,
    "l1_ratio": 0.7,
    "momentum": 0.5,
    "power_t": 0.7,
    "shuffle": False,
    "validation_fraction": 0.3,
    "n_iter_no_change": 1,
}
"""A value for each parameter that may have no effect, other than its default."""

SENTENCES = {
    "epsilon": "epsilon=0.3 has no effect with loss='squared_error': "
    "set loss='huber' or, beside a number, 'epsilon_insensitive' or 'squared_epsilon_insensitive', or leave it out.",
    "quantile": "quantile=0.9 has no effect with loss='squared_error': set loss='quantile', or leave it out.",
    "alpha": "alpha=0.5 has no effect with penalty=None: set penalty='l2', 'l1' or 'elasticnet', or leave it out.",
    "standardize": "standardize=True has no effect with penalty=None: "
    "set penalty='l2', 'l1' or 'elasticnet', or leave it out.",
    "l1_ratio": "l1_ratio=0.7 has no effect with penalty=None: set penalty='elasticnet', or leave it out.",
    "momentum": "momentum=0.5 has no effect with optimizer='auto': "
    "set optimizer='momentum' or 'adam', or leave it out.",
    "power_t": "power_t=0.7 has no effect with schedule='constant': set schedule='invscaling', or leave it out.",
    "shuffle": "shuffle=False has no effect with batch_size=None: set batch_size, or leave it out.",
    "validation_fraction": "validation_fraction=0.3 has no effect with early_stopping=False: "
    "set early_stopping=True, or leave it out.",
    "n_iter_no_change": "n_iter_no_change=1 has no effect with early_stopping=False and schedule='constant': "
    "set early_stopping=True or schedule='adaptive', or leave it out.",
}
SLOW = {"learning_rate": 0.3, "epochs": 100, "tol": None, "random_state": 0}


class LogCosh(Loss):
    """log cosh r."""

    curvature = 1.0

    def value(self, residual):
        return np.logaddexp(residual, -residual) - np.log(2.0)

    def derivative(self, residual):
        return np.tanh(residual)


def said(act):
    """Give the warnings of an action."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        act()
    return caught


def texts(act):
    return [str(warning.message) for warning in said(act)]


def columns_for(name):
    """Give columns on which a parameter has an effect: on those that are standardised `standardize` has none."""
    return 0.5 * Z if name == "standardize" else Z


def fitted_by(model):
    return model.coef_, model.intercept_, model.n_iter_, model.history_["learning_rate"]


def remedies(sentence):
    """Give each setting that a sentence advises, as keyword arguments."""
    advised = re.search(r": set (.*), or leave it out\.$", sentence).group(1)
    if advised == "batch_size":
        return [{"batch_size": 7}]
    names = re.findall(r"(?:(\w+)=)?(?:'(\w+)'|(True))", advised)
    found, last = [], ""
    for name, text, true in names:
        last = name or last
        found.append({last: text or bool(true)})
    return found


class TestWithoutEffect:
    def test_each_has_a_sentence(self):
        assert set(OTHER) == set(SENTENCES) == set(EFFECTS)

    @pytest.mark.parametrize("name", OTHER)
    def test_it_is_said_at_the_call_and_it_has_none(self, name):
        model = GradientDescentRegressor(**SLOW, **{name: OTHER[name]})
        [warning] = said(lambda: model.fit(Z, y))
        assert str(warning.message) == SENTENCES[name]
        assert warning.category is UserWarning
        assert warning.filename == __file__
        np.testing.assert_equal(fitted_by(model), fitted_by(GradientDescentRegressor(**SLOW).fit(Z, y)))

    @pytest.mark.parametrize("name", OTHER)
    def test_what_it_advises_gives_it_an_effect(self, name):
        advised = remedies(SENTENCES[name])
        assert advised
        columns = columns_for(name)
        for remedy in advised:
            params = {**SLOW, **remedy}
            model = GradientDescentRegressor(**params, **{name: OTHER[name]})
            plain = GradientDescentRegressor(**params)
            if remedy == {"optimizer": "adam"} or "loss" in remedy:
                params["learning_rate"] = 0.05
            assert texts(lambda model=model: model.fit(columns, y)) == []
            with pytest.raises(AssertionError):
                np.testing.assert_equal(fitted_by(model), fitted_by(plain.fit(columns, y)))

    @pytest.mark.parametrize("name", [name for name in OTHER if name not in ("shuffle", "validation_fraction")])
    def test_it_is_said_beside_each_value_that_gives_it_none_and_no_other(self, name):
        decider = list(EFFECTS[name].beside)[-1]
        rate = "auto" if decider == "optimizer" else 0.3
        for value in CONSTRAINTS[decider].names:
            params = {"learning_rate": rate, "epochs": 30, "tol": None, decider: value}
            model = GradientDescentRegressor(**params, **{name: OTHER[name]})
            found = texts(lambda model=model: model.fit(columns_for(name), y))
            plain = GradientDescentRegressor(**params).fit(columns_for(name), y)
            is_same = all(map(np.array_equal, fitted_by(model)[:2], fitted_by(plain)[:2]))
            assert bool(found) == is_same, f"{decider}={value!r}: {found}"

    def test_the_default_is_not_mentioned(self):
        model = GradientDescentRegressor()
        model.set_params(**{name: model.get_params()[name] for name in OTHER})
        assert texts(lambda: model.fit(X, y)) == []

    def test_no_strength_is_as_good_as_no_penalty(self):
        assert texts(lambda: GradientDescentRegressor(alpha=0).fit(X, y)) == []

    def test_it_is_the_default_of_the_class_itself(self):
        class Upper(GradientDescentRegressor):
            def __init__(self, quantile=0.9, loss="squared_error"):
                super().__init__(quantile=quantile, loss=loss)

        assert texts(lambda: Upper().fit(X, y)) == []
        assert texts(lambda: Upper(quantile=0.5).fit(X, y)) == [SENTENCES["quantile"].replace("0.9", "0.5")]

    def test_beside_a_loss_or_a_schedule_of_one_s_own(self):
        model = GradientDescentRegressor(loss=LogCosh(), epsilon=0.3)
        assert texts(lambda: model.fit(X, y))[0].startswith("epsilon=0.3 has no effect with a loss of your own: set ")
        model = GradientDescentRegressor(0.3, 9, tol=None, schedule=lambda k: 1.0, n_iter_no_change=3)
        [text] = texts(lambda: model.fit(Z, y))
        assert "with early_stopping=False and a schedule of your own: set early_stopping=True" in text

    @pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "quantile", LogCosh()])
    def test_a_scale_of_residuals_beside_a_loss_that_has_none(self, loss):
        model = GradientDescentRegressor(loss=loss, epsilon="auto")
        [text] = texts(lambda: model.fit(X, y))
        assert text.startswith("epsilon='auto' has no effect with ")
        assert not hasattr(model, "scale_")
        np.testing.assert_equal(model.coef_, GradientDescentRegressor(loss=loss).fit(X, y).coef_)

    def test_nor_do_streams_and_searches_refuse_it(self):
        stream = GradientDescentRegressor(epsilon="auto")
        assert len(texts(lambda: stream.partial_fit(X, y))) == 1
        search = GradientDescentRegressorCV([0.1, 1e-9], epsilon="auto", penalty="l2")
        plain = GradientDescentRegressorCV([0.1, 1e-9], penalty="l2")
        assert len(texts(lambda: search.fit(X, y))) == len(texts(lambda: plain.fit(X, y))) + 1
        np.testing.assert_equal(search.coef_, plain.coef_)

    def test_a_search_over_losses_some_of_which_have_a_scale(self):
        model = GradientDescentRegressor(epsilon="auto")
        grid = {"loss": ["squared_error", "huber"]}
        search = GridSearchCV(model, grid, cv=2, error_score="raise", refit=False)
        [sentence] = texts(lambda: model.fit(X, y))
        assert texts(lambda: search.fit(X, y)) == [sentence, sentence]
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()

    def test_the_fraction_beside_given_rows(self):
        model = GradientDescentRegressor(**SLOW, early_stopping=True, validation_fraction=0.3)
        expected = ["validation_fraction=0.3 has no effect with X_val: leave one of them out."]
        assert texts(lambda: model.fit(Z, y, X_val=Z, y_val=y)) == expected

    def test_the_fit_is_done_where_the_warning_is_an_error(self):
        model = GradientDescentRegressor(quantile=0.9)
        with pytest.raises(UserWarning, match=re.escape(SENTENCES["quantile"])):
            model.fit(X, y)
        np.testing.assert_equal(fitted_by(model), fitted_by(GradientDescentRegressor().fit(X, y)))

    @pytest.mark.parametrize("params", [{}, {"learning_rate": 0.01}])
    def test_a_stream_says_it_at_its_first_chunk(self, params):
        model = GradientDescentRegressor(quantile=0.9, **params)
        [warning] = said(lambda: model.partial_fit(Z[:30], y[:30]))
        assert str(warning.message) == SENTENCES["quantile"]
        assert warning.filename == __file__
        assert texts(lambda: model.partial_fit(Z[30:], y[30:])) == []

    def test_batches_say_it_and_a_merge_does_not_repeat_it(self):
        model = GradientDescentRegressor(quantile=0.9)
        [warning] = said(lambda: model.fit_batches([(X[:30], y[:30]), (X[30:], y[30:])]))
        assert (str(warning.message), warning.filename) == (SENTENCES["quantile"], __file__)
        assert texts(lambda: model.merge(clone(model).set_params(quantile=0.5).partial_fit(X, y))) == []

    def test_an_epoch_over_a_chunk_shuffles_though_there_is_no_batch_size(self):
        model = GradientDescentRegressor(loss="huber", epsilon=1.0, shuffle=False, random_state=0)
        assert texts(lambda: model.partial_fit(X, y)) == []
        other = GradientDescentRegressor(loss="huber", epsilon=1.0, random_state=0).partial_fit(X, y)
        assert not np.array_equal(model.coef_, other.coef_)


IN_WORKERS = """
import warnings
import numpy as np
from sklearn.model_selection import GridSearchCV
from sklearn.exceptions import ConvergenceWarning
from gdregress import GradientDescentRegressor

warnings.simplefilter("ignore", ConvergenceWarning)
rng = np.random.default_rng(0)
X = rng.normal(size=(60, 3))
search = GridSearchCV(GradientDescentRegressor("lipschitz"), {"epochs": [1, 2]}, cv=3, n_jobs=2)
print(search.fit(X, X @ [1.0, 0.2, 3.0]).best_estimator_.stop_reason_)
"""


class TestSearch:
    def search(self, **params):
        model = GradientDescentRegressor("lipschitz", **params)
        return GridSearchCV(model, {"epochs": [1, 2, 3]}, cv=3, error_score="raise")

    def test_every_candidate_warns_as_a_fit_by_itself_does(self):
        search = self.search()
        *of_candidates, of_the_best = texts(lambda: search.fit(X, y))
        models = [GradientDescentRegressor("lipschitz", epochs) for epochs in (1, 2, 3)]
        fits = [(model, train) for model in models for train, _ in KFold(3).split(X)]
        alone = [text for model, train in fits for text in texts(lambda m=model, at=train: m.fit(X[at], y[at]))]
        assert of_candidates == alone
        assert of_the_best == search.best_estimator_.stop_reason_

    def test_a_filter_leaves_what_is_said_of_the_best(self):
        search = self.search(quantile=0.9)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warnings.simplefilter("ignore", ConvergenceWarning)
            search.fit(X, y)
        assert {str(warning.message) for warning in caught} == {SENTENCES["quantile"]}
        assert search.best_estimator_.stop_reason_.startswith("all 3 epochs were used")

    @pytest.mark.skipif(
        tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 9), reason="the workers have filters of their own"
    )
    def test_the_filter_reaches_the_workers(self):
        done = subprocess.run([sys.executable, "-c", IN_WORKERS], capture_output=True, text=True, check=True)
        assert "Warning" not in done.stderr
        assert done.stdout.startswith("all 2 epochs were used")

    def test_where_the_warning_is_an_error_every_candidate_raises_it(self):
        search = self.search().set_params(error_score=np.nan, refit=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", category=ConvergenceWarning)
            with pytest.raises(ValueError, match="All the 9 fits failed"):
                search.fit(X, y)

    def test_clones_and_configured_estimators_are_as_new_ones(self):
        model = GradientDescentRegressor().set_params(epochs=7)
        for copied in (model, clone(model), clone(clone(model))):
            assert vars(copied) == vars(GradientDescentRegressor(epochs=7))
            assert joblib.hash(copied) == joblib.hash(GradientDescentRegressor(epochs=7))

    @pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
    def test_a_search_of_our_own_says_once_what_has_no_effect_and_how_its_last_fit_ended(self, loss):
        """From sums and from fits; and of every target."""
        params = {"loss": loss, "quantile": 0.9, "epochs": 3, "learning_rate": "lipschitz", "cv": 3}
        several = GradientDescentRegressorCV([1.0, 0.1], alpha_per_target=True, **params)
        for model, target in ((GradientDescentRegressorCV([1.0, 0.1], **params), y), (several, Z[:, :2])):
            found = said(lambda model=model, target=target: model.fit(X, target))
            assert {warning.filename for warning in found} == {__file__}
            sentences = [str(warning.message) for warning in found]
            assert sum(text.startswith("quantile=0.9 has no effect") for text in sentences) == 1
            assert model.stop_reason_ in sentences

    @pytest.mark.parametrize("n_jobs", [None, 2])
    def test_a_search_of_our_own_says_why_a_fit_did_not_converge(self, n_jobs):
        model = GradientDescentRegressorCV(
            [1.0, 0.1], loss="absolute_error", epochs=3, learning_rate="lipschitz", cv=3, n_jobs=n_jobs
        )
        first, *_, last = texts(lambda: model.fit(Z, y))
        alone = GradientDescentRegressor("lipschitz", 3, loss="absolute_error", penalty="l2")
        reasons = []
        for alpha in (1.0, 0.1):
            for train, _ in KFold(3).split(Z):
                reasons += texts(lambda alpha=alpha, at=train: alone.set_params(alpha=alpha).fit(Z[at], y[at]))
        assert len(reasons) == 6
        assert first == f"fits to training rows did not converge, such as: {min(reasons)}"
        assert last == model.stop_reason_

    def test_a_search_of_our_own_over_epochs_says_once_that_rates_are_too_large(self):
        """The first epochs of a descent that diverges are fitted once more, in each split and for each rate."""
        model = GradientDescentRegressorCV(penalty=None, learning_rate=[0.1, 1.2, 1.5], epochs=range(1, 9), cv=3)
        found = texts(lambda: model.fit(Z, y))
        assert sum("above the stability ceiling" in text for text in found) == 1


class TestMisspelt:
    @pytest.mark.parametrize(
        ("name", "value", "sentence"),
        [
            ("penalty", "L2", "Did you mean penalty='l2'?"),
            ("loss", "hubr", "Did you mean loss='huber'?"),
            ("loss", "Squared-Error", "Did you mean loss='squared_error'?"),
            ("optimizer", "adm", "Did you mean optimizer='adam'?"),
            ("learning_rate", "AUTO", "Did you mean learning_rate='auto'?"),
            ("loss", "mse", "Here it is loss='squared_error'."),
            ("loss", "MSE", "Here it is loss='squared_error'."),
            ("loss", "mean_squared_error", "Here it is loss='squared_error'."),
            ("loss", "squared_loss", "Here it is loss='squared_error'."),
            ("loss", "ls", "Here it is loss='squared_error'."),
            ("loss", "L2", "Here it is loss='squared_error'."),
            ("loss", "mae", "Here it is loss='absolute_error'."),
            ("loss", "l1", "Here it is loss='absolute_error'."),
            ("loss", "lad", "Here it is loss='absolute_error'."),
            ("loss", "pinball", "Here it is loss='quantile'."),
            ("optimizer", "sgd", "Here it is batch_size, with optimizer='gd'."),
            ("optimizer", "cg", "Here it is optimizer='conjugate'."),
            ("optimizer", "nag", "Here it is optimizer='nesterov'."),
            ("optimizer", "L-BFGS", "There is none here: optimizer='auto' takes the fastest."),
            ("penalty", "none", "Here it is penalty=None, without quotes."),
            ("penalty", "Ridge", "Here it is penalty='l2'."),
            ("penalty", "lasso", "Here it is penalty='l1'."),
            ("penalty", "elastic-net", "Here it is penalty='elasticnet'."),
            ("learning_rate", "adam", "For that optimizer pass optimizer='adam'."),
            ("batch_size", "None", "Here it is batch_size=None, without quotes."),
            ("loss", " MSE ", "Here it is loss='squared_error'."),
            ("loss", "None", ""),
            ("loss", "zzz", ""),
            ("alpha", "0.5", "Pass the number 0.5, without quotes."),
            ("epochs", "1234567", "Pass the number 1234567, without quotes."),
            ("alpha", "0.123456789", "Pass the number 0.123456789, without quotes."),
            ("epochs", "0", ""),
            ("alpha", [1, 2], "GradientDescentRegressorCV chooses among several: pass them as its alphas."),
            ("epochs", (5, 6), "GradientDescentRegressorCV chooses among several: pass them as its epochs."),
            ("momentum", [0.5, 0.9], "GridSearchCV chooses among several: pass one here."),
            ("alpha", "auto", "GradientDescentRegressorCV chooses alpha by cross-validation."),
            ("epochs", "auto", "GradientDescentRegressorCV chooses epochs by cross-validation."),
            ("tol", "auto", ""),
        ],
    )
    def test_the_sentence_follows_scikit_learn_s(self, name, value, sentence):
        with pytest.raises(ValueError, match="parameter") as caught:
            GradientDescentRegressor(**{name: value}).fit(X, y)
        start = f"The {name!r} parameter of GradientDescentRegressor must be {CONSTRAINTS[name].words}. Got {value!r}"
        assert str(caught.value) == f"{start} instead. {sentence}".rstrip()

    @pytest.mark.parametrize("name", [name for name in CONSTRAINTS if CONSTRAINTS[name].names])
    def test_a_valid_name_that_is_written_a_little_otherwise_is_recognised(self, name):
        for valid in CONSTRAINTS[name].names:
            variants = [valid.upper(), f" {valid} ", valid.title()]
            variants += [valid[:1] + valid[2:]] * (len(valid) > 6)
            for variant in set(variants) - {valid}:
                with pytest.raises(ValueError, match=re.escape(f"Did you mean {name}={valid!r}?") + "$"):
                    GradientDescentRegressor(**{name: variant}).fit(X, y)

    @pytest.mark.parametrize("name", HABITS)
    def test_what_a_habit_is_told_to_pass_is_valid(self, name):
        for habit, sentence in HABITS[name].items():
            assert not CONSTRAINTS[name].holds(habit)
            advised = re.findall(r"(\w+)=(?:'(\w+)'|None)", sentence)
            for parameter, value in advised:
                assert CONSTRAINTS[parameter].holds(value or None)

    @pytest.mark.parametrize("value", ["mse" * 10**6, list(range(10**5))], ids=["text", "list"])
    def test_of_a_long_value_the_start_is_shown(self, value):
        with pytest.raises(ValueError, match=r"Got .{197}\.\.\. instead\.") as caught:
            GradientDescentRegressor(penalty=value).fit(X, y)
        assert len(str(caught.value)) < 400

    @pytest.mark.parametrize("name", ["learning_rate", "epsilon", "alpha", "power_t", "tol", "target_loss"])
    @pytest.mark.parametrize(
        "value",
        [10**400, -(10**5000), Fraction(10**400), np.longdouble("1e4000")],
        ids=["400", "5000", "fraction", "long double"],
    )
    def test_a_number_beyond_floats_is_refused_by_the_name_of_its_parameter(self, name, value):
        with pytest.raises(ValueError, match=f"^The '{name}' parameter .* It is beyond the range of floats[.]$"):
            GradientDescentRegressor(loss="huber", penalty="l2", **{name: value}).fit(X, y)

    @pytest.mark.parametrize("name", ["epochs", "batch_size", "average", "n_iter_no_change", "verbose"])
    def test_so_is_a_whole_number(self, name):
        with pytest.raises(ValueError, match=f"^The '{name}' parameter .* It is beyond the range of floats[.]$"):
            GradientDescentRegressor(**{name: 10**400}).fit(X, y)

    @pytest.mark.parametrize("value", [10**400, 10**5000], ids=["400", "5000"])
    def test_so_it_is_among_several(self, value):
        for grid in ([value], value):
            with pytest.raises(ValueError, match=r"^alphas"):
                GradientDescentRegressorCV(grid, penalty="l2").fit(X, y)
            with pytest.raises(ValueError, match=r"^alphas"):
                regularization_path(X, y, alphas=grid)
        with pytest.raises(ValueError, match=r"^The 'learning_rate' parameter"):
            GradientDescentRegressorCV(learning_rate=[value]).fit(X, y)

    def test_a_fraction_is_the_float_next_to_it(self):
        half, third = Fraction(1, 2), Fraction(1, 3)
        fractions = {"learning_rate": third / 100, "target_loss": third, "epsilon": half, "alpha": half}
        floats = {name: float(value) for name, value in fractions.items()}
        models = [GradientDescentRegressor(loss="huber", penalty="l2", **each) for each in (fractions, floats)]
        np.testing.assert_equal(*(fitted_by(model.set_params(tol=None, epochs=9).fit(Z, y)) for model in models))

    @pytest.mark.parametrize("name", ["lr", "eta0", "max_iter", "n_iter_no_changes", "learning_rate_init", "l1", "C"])
    def test_an_unknown_name_is_python_s_own_error(self, name):
        with pytest.raises(TypeError, match=f"got an unexpected keyword argument '{name}'"):
            GradientDescentRegressor(**{name: 1})


class TestHeldOutForNothing:
    SENTENCE = (
        "early_stopping held out rows without effect, since the descent converged before the validation loss rose: "
        "set early_stopping=False to fit all rows"
    )
    SLOWLY = ", or learning_rate='diagonal' with optimizer='gd' to stop on the way there"

    @pytest.mark.parametrize(
        "params",
        [
            {},
            {"learning_rate": "diagonal"},
            {"loss": "absolute_error"},
            {"learning_rate": "diagonal", "optimizer": "gd"},
        ],
    )
    def test_it_is_said_where_the_descent_converges_at_its_best(self, params):
        model = GradientDescentRegressor(early_stopping=True, random_state=0, n_iter_no_change=1000, **params)
        [warning] = said(lambda: model.fit(X, X @ [1.0, 0.2, 3.0]))
        sentence = f"{self.SENTENCE}{'' if 'optimizer' in params else self.SLOWLY}."
        assert (str(warning.message), warning.category, warning.filename) == (sentence, UserWarning, __file__)
        assert model.converged_
        assert model.history_["validation_loss"].argmin() == model.n_iter_

    @pytest.mark.parametrize("params", [{"learning_rate": "lipschitz"}, {"learning_rate": 1e-8}, {"optimizer": "adam"}])
    def test_what_a_descent_is_advised_stops_early(self, params):
        """A slow descent is not sent to the minimum, where there is nothing to stop."""
        rng, units, advices = np.random.default_rng(1), np.logspace(0, 3, 40), []
        for _ in range(4):
            wide = rng.normal(size=(60, 40)) * units
            target = wide @ (rng.normal(size=40) / units) + 3 * rng.normal(size=60)
            model = GradientDescentRegressor(early_stopping=True, random_state=0, epochs=20, **params)
            advices += texts(lambda model=model, wide=wide, target=target: model.fit(wide, target))
            model.set_params(learning_rate="diagonal", optimizer="gd", epochs=1000)
            assert texts(lambda model=model, wide=wide, target=target: model.fit(wide, target)) == []
            assert model.stop_reason_.startswith("early stopping: no better validation loss in 10 epochs")
        assert advices
        assert all("se learning_rate='diagonal' with optimizer='gd'" in advice for advice in advices)

    def test_what_it_advises_fits_all_rows(self):
        model = GradientDescentRegressor().set_params(early_stopping=False).fit(X, y)
        residual = y - model.predict(X)
        np.testing.assert_allclose(Z.T @ residual, 0.0, atol=1e-6 * np.linalg.norm(y))

    def test_not_of_rows_that_were_given(self):
        model = GradientDescentRegressor(early_stopping=True)
        assert texts(lambda: model.fit(X[:40], y[:40], X_val=X[40:], y_val=y[40:])) == []

    def test_not_where_an_epoch_before_the_last_is_the_best(self):
        noise = np.random.default_rng(3).normal(size=(60, 25))
        model = GradientDescentRegressor("lipschitz", early_stopping=True, random_state=0, n_iter_no_change=10_000)
        model.set_params(epochs=10_000)
        assert texts(lambda: model.fit(noise, y)) == []
        assert model.history_["validation_loss"].argmin() < model.n_iter_ < 10_000

    def test_not_where_the_descent_has_not_converged(self):
        model = GradientDescentRegressor("lipschitz", 20, tol=None, early_stopping=True, random_state=0)
        assert texts(lambda: model.fit(Z, Z.sum(axis=1))) == []
        assert model.history_["validation_loss"].argmin() == 20
