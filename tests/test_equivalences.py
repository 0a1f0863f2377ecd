"""The same alpha gives the same minimiser as scikit-learn's own estimators."""

import numpy as np
import pytest
from sklearn.linear_model import ElasticNet, HuberRegressor, Lasso, QuantileRegressor, Ridge, SGDRegressor
from sklearn.svm import LinearSVR

from gdregress import GradientDescentRegressor
from gdregress.problem.losses import LOSSES

rng = np.random.default_rng(0)
n, p = 200, 6
X = rng.normal(size=(n, p)) @ (np.eye(p) + 0.4 * rng.normal(size=(p, p))) + 1.0
y = X @ [2.0, -1.0, 0.5, 0.0, 0.0, 0.1] + rng.standard_t(3, size=n) + 3.0


def assert_same(model, other, rtol=1e-5, atol=1e-5):
    np.testing.assert_allclose(model.coef_, other.coef_, rtol=rtol, atol=atol)
    np.testing.assert_allclose(model.intercept_, np.ravel(other.intercept_)[0], rtol=rtol, atol=atol)


@pytest.mark.parametrize("seed", range(5))
def test_lasso_with_more_raw_columns_than_rows(seed):
    """By the optimality conditions: no slope is beyond alpha, and a minimiser needs no more columns than rows."""
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(20, 60)) * 10.0 ** rng.uniform(-3, 3, 60)
    z = A @ (rng.normal(size=60) / A.std(axis=0)) + 5
    model = GradientDescentRegressor(penalty="l1", alpha=1e-2).fit(A, z)
    assert model.converged_
    assert model.n_iter_ < 50
    slope = np.abs(A.T @ (z - model.predict(A))) / len(z)
    assert (slope <= 1e-2 * (1 + 1e-3) + 1e-6 * A.std(axis=0) * z.std()).all()
    assert (model.coef_ != 0).sum() <= len(z)


@pytest.mark.parametrize("alpha", [0.001, 0.1, 1.0])
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("given", [{}, {"learning_rate": "diagonal"}, {"optimizer": "nesterov", "epochs": 5000}])
class TestSquaredError:
    def test_lasso(self, alpha, positive, given):
        model = GradientDescentRegressor(**given, penalty="l1", alpha=alpha, positive=positive, tol=1e-9).fit(X, y)
        other = Lasso(alpha=alpha, positive=positive, tol=1e-12, max_iter=100_000).fit(X, y)
        assert_same(model, other)
        np.testing.assert_array_equal(model.coef_ == 0, other.coef_ == 0)

    def test_elastic_net(self, alpha, positive, given):
        settings = {"alpha": alpha, "l1_ratio": 0.3, "positive": positive}
        model = GradientDescentRegressor(**given, penalty="elasticnet", tol=1e-9, **settings).fit(X, y)
        other = ElasticNet(**settings, tol=1e-12, max_iter=100_000).fit(X, y)
        assert_same(model, other)
        np.testing.assert_array_equal(model.coef_ == 0, other.coef_ == 0)

    def test_ridge_multiplies_by_n(self, alpha, positive, given):
        model = GradientDescentRegressor(**given, penalty="l2", alpha=alpha, positive=positive, tol=1e-9).fit(X, y)
        solver = "lbfgs" if positive else "cholesky"
        assert_same(model, Ridge(alpha=n * alpha, positive=positive, solver=solver, tol=1e-12).fit(X, y), rtol=1e-4)


@pytest.mark.parametrize("alpha", [0.001, 0.1])
def test_elastic_net_at_its_ends_is_l2_and_l1(alpha):
    for ratio, penalty in ((0.0, "l2"), (1.0, "l1")):
        mixed = GradientDescentRegressor(penalty="elasticnet", alpha=alpha, l1_ratio=ratio, tol=1e-10).fit(X, y)
        assert_same(mixed, GradientDescentRegressor(penalty=penalty, alpha=alpha, tol=1e-10).fit(X, y), 1e-9, 1e-9)


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("alpha", [0.0, 0.05])
def test_quantile_regressor(quantile, alpha):
    model = GradientDescentRegressor(loss="quantile", quantile=quantile, penalty="l1", alpha=alpha, tol=1e-9).fit(X, y)
    assert_same(model, QuantileRegressor(quantile=quantile, alpha=alpha).fit(X, y), 1e-4, 1e-4)


def test_absolute_error_is_twice_the_median():
    absolute = GradientDescentRegressor(loss="absolute_error", penalty="l2", alpha=0.2, tol=1e-9).fit(X, y)
    median = GradientDescentRegressor(loss="quantile", penalty="l2", alpha=0.1, tol=1e-9).fit(X, y)
    assert_same(absolute, median)
    assert absolute.history_["loss"][-1] == pytest.approx(2 * median.history_["loss"][-1], rel=1e-7)


def test_huber_regressor_at_its_own_scale():
    other = HuberRegressor(epsilon=1.35, alpha=0.0, tol=1e-10, max_iter=10_000).fit(X, y)
    assert_same(
        GradientDescentRegressor(loss="huber", epsilon=1.35 * other.scale_, tol=1e-9).fit(X, y), other, 1e-4, 1e-4
    )


@pytest.mark.parametrize("loss", ["epsilon_insensitive", "squared_epsilon_insensitive"])
def test_linear_svr(loss):
    settings = {"loss": loss, "epsilon": 0.5, "fit_intercept": False}
    model = GradientDescentRegressor(penalty="l2", alpha=0.1, tol=1e-9, **settings).fit(X, y)
    squared = loss.startswith("squared")
    other = LinearSVR(C=1 / (0.1 * n), tol=1e-10, max_iter=1_000_000, random_state=0, **settings).fit(X, y)
    assert_same(model, other, 1e-4, 1e-3 if squared else 1e-4)


@pytest.mark.filterwarnings("ignore:.* has no effect with")
@pytest.mark.parametrize("penalty", ["l2", "l1", "elasticnet"])
@pytest.mark.parametrize("loss", ["squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive"])
def test_sgd_at_its_limit(loss, penalty):
    """SGDRegressor with a falling rate comes as near as its noise lets it (its average is wrong with L1)."""
    Z = np.linalg.qr(X - X.mean(axis=0))[0] * n**0.5
    settings = {"loss": loss, "penalty": penalty, "alpha": 0.1, "epsilon": 0.5}
    falling = {"eta0": 0.5, "power_t": 0.6, "max_iter": 3000, "tol": None, "random_state": 0}
    sgd = SGDRegressor(**settings, **falling).fit(Z, y)
    model = GradientDescentRegressor(**settings).fit(Z, y)
    np.testing.assert_allclose(model.coef_, sgd.coef_, atol=5e-3)
    np.testing.assert_allclose(model.intercept_, sgd.intercept_[0], atol=5e-3)


@pytest.mark.filterwarnings("ignore:.* has no effect with")
@pytest.mark.grid(1)
@pytest.mark.parametrize("loss", ["huber", "absolute_error", "epsilon_insensitive"])
@pytest.mark.parametrize("penalty", [None, "l2", "elasticnet"])
def test_every_optimizer_comes_to_the_same_minimum(loss, penalty):
    """For a loss with kinks the optimality is only an estimate where the preconditioner is not that of the point."""
    settings = {"loss": loss, "epsilon": 0.5, "penalty": penalty, "alpha": 0.05, "tol": 1e-5, "epochs": 20_000}
    values = []
    for given in ({}, {"learning_rate": "diagonal"}, {"learning_rate": "lipschitz", "optimizer": "nesterov"}):
        model = GradientDescentRegressor(**settings, **given).fit(X, y)
        assert model.converged_
        k = 2.0 if loss == "huber" else 1.0
        ratio = {None: 0.0, "l2": 0.0, "elasticnet": 0.15}[penalty]
        size = ratio * np.abs(model.coef_).sum() + (1 - ratio) / 2 * (model.coef_**2).sum()
        values.append(model.history_["loss"][-1] + (0.0 if penalty is None else k * 0.05 * size))
    np.testing.assert_allclose(values[1:], values[0], rtol=1e-4)


@pytest.mark.filterwarnings("ignore:.* has no effect with")
@pytest.mark.parametrize("loss", ["huber", "absolute_error", "quantile", "squared_epsilon_insensitive"])
@pytest.mark.parametrize("penalty", [None, "l1"])
def test_the_units_of_y_and_of_the_columns_drop_out(loss, penalty):
    """Epsilon in the same units as y gives the same predictions in other ones."""
    scale, unit = np.array([1e-6, 1e3, 1.0, 1e8, 1e-2, 10.0]), 1e-4
    base = {"loss": loss, "quantile": 0.3, "penalty": penalty, "tol": 1e-9}
    model = GradientDescentRegressor(**base, epsilon=0.5, alpha=0.0).fit(X, y)
    other = GradientDescentRegressor(**base, epsilon=0.5 * unit, alpha=0.0).fit(X * scale, y * unit)
    np.testing.assert_allclose(other.predict(X * scale) / unit, model.predict(X), atol=1e-4)


@pytest.mark.filterwarnings("ignore:.* has no effect with")
@pytest.mark.filterwarnings("ignore:epsilon.* is far below the residuals")
@pytest.mark.parametrize("loss", ["huber", "absolute_error", "epsilon_insensitive"])
@pytest.mark.parametrize("penalty", [None, "l1", "l2"])
def test_several_outputs_are_fitted_each_on_its_own(loss, penalty):
    Y = np.column_stack([y, 1000.0 * y[::-1], -0.01 * y])
    settings = {"loss": loss, "epsilon": 0.3, "penalty": penalty, "alpha": 0.01, "tol": 1e-8}
    together = GradientDescentRegressor(**settings).fit(X, Y)
    for k in range(3):
        alone = GradientDescentRegressor(**settings).fit(X, Y[:, k])
        np.testing.assert_allclose(together.predict(X)[:, k], alone.predict(X), atol=1e-3 * Y[:, k].std())


@pytest.mark.filterwarnings("ignore:.* has no effect with")
@pytest.mark.filterwarnings("ignore:epsilon.* is far below the residuals")
@pytest.mark.parametrize("loss", LOSSES)
def test_outputs_in_units_a_million_apart(loss):
    Y = np.column_stack([y, 1e6 * (y[::-1] + X[:, 0])])
    settings = {"loss": loss, "quantile": 0.7, "tol": 1e-7}
    together = GradientDescentRegressor(**settings).fit(X, Y)
    assert together.converged_
    for k in range(2):
        alone = GradientDescentRegressor(**settings).fit(X, Y[:, k])
        np.testing.assert_allclose(together.predict(X)[:, k], alone.predict(X), atol=1e-3 * Y[:, k].std())


@pytest.mark.filterwarnings("ignore:.* has no effect with")
@pytest.mark.parametrize("loss", ["absolute_error", "quantile", "epsilon_insensitive"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_kinks_are_as_blunt_as_the_largest_unit_asks_for(loss):
    """At a rate that is one number for both outputs it is the smaller one that waits, and not the larger for ever."""
    Y = np.column_stack([y, 1e6 * (y[::-1] + X[:, 0])])
    settings = {"loss": loss, "quantile": 0.7}
    raw = GradientDescentRegressor("lipschitz", 2000, optimizer="nesterov", **settings).fit(X, Y)
    alone = GradientDescentRegressor(**settings).fit(X, Y[:, 1])
    assert np.std(raw.predict(X)[:, 1] - alone.predict(X)) < 0.1 * alone.predict(X).std()


@pytest.mark.filterwarnings("ignore:.* has no effect with")
@pytest.mark.parametrize("loss", ["huber", "absolute_error", "squared_epsilon_insensitive"])
@pytest.mark.parametrize("penalty", [None, "l1"])
def test_weights_are_repeated_rows_and_sparse_is_dense(loss, penalty):
    from scipy import sparse

    settings = {"loss": loss, "epsilon": 0.3, "penalty": penalty, "alpha": 0.05, "tol": 1e-9}
    weight = rng.integers(0, 4, n)
    repeated = GradientDescentRegressor(**settings).fit(X.repeat(weight, axis=0), y.repeat(weight))
    assert_same(GradientDescentRegressor(**settings).fit(X, y, sample_weight=weight), repeated, 1e-6, 1e-6)
    by_rows = sparse.csr_array(X)
    assert_same(GradientDescentRegressor(**settings).fit(by_rows, y, sample_weight=weight), repeated, 1e-6, 1e-6)


def test_without_an_intercept():
    settings = {"fit_intercept": False, "tol": 1e-9}
    model = GradientDescentRegressor(loss="quantile", quantile=0.3, **settings).fit(X, y)
    other = QuantileRegressor(quantile=0.3, alpha=0.0, fit_intercept=False).fit(X, y)
    np.testing.assert_allclose(model.coef_, other.coef_, atol=1e-5)
    assert model.intercept_ == 0.0


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("shape", [(40, 60), (60, 200), (100, 480)])
@pytest.mark.parametrize("alpha", [0.05, 0.5])
def test_lasso_with_more_columns_than_rows(shape, alpha, positive):
    """There the optimality is no distance: no curvature is that of all directions."""
    source = np.random.default_rng(0)
    A = source.normal(size=shape)
    z = A[:, :5].sum(axis=1) + source.standard_t(3, size=shape[0])
    model = GradientDescentRegressor(penalty="l1", alpha=alpha, positive=positive).fit(A, z)
    other = Lasso(alpha=alpha, positive=positive, tol=1e-12, max_iter=100_000).fit(A, z)
    assert model.converged_
    np.testing.assert_allclose(model.predict(A), other.predict(A), atol=1e-4 * z.std())
    objective = [((z - m.predict(A)) ** 2).mean() / 2 + alpha * np.abs(m.coef_).sum() for m in (model, other)]
    assert objective[0] <= objective[1] * (1 + 1e-9)


@pytest.mark.parametrize("l1_ratio", [0.9, 0.999])
def test_elastic_net_with_more_columns_than_rows(l1_ratio):
    """L2 makes the model of a Newton step definite, but by so little that it does not make its minimum easy to find."""
    for seed in range(2):
        source = np.random.default_rng(seed)
        A = source.normal(size=(12, 15))
        z = A[:, :3] @ [1.0, 2.0, -2.0] + source.standard_t(2, size=12)
        params = {"alpha": 0.01, "l1_ratio": l1_ratio}
        model = GradientDescentRegressor(epochs=30, penalty="elasticnet", **params).fit(A, z)
        other = ElasticNet(tol=1e-12, max_iter=1_000_000, **params).fit(A, z)
        assert model.converged_
        np.testing.assert_allclose(model.predict(A), other.predict(A), atol=1e-5 * z.std())


class TestHonesty:
    """Where a converged fit is claimed, it is one: on data that are made to deceive the estimate of optimality."""

    @staticmethod
    def excess(model, X, y, quantile, *, fit_intercept=True):
        def pinball(predicted):
            return np.mean(np.maximum(quantile * (y - predicted), (quantile - 1) * (y - predicted)))

        best = QuantileRegressor(quantile=quantile, alpha=0.0, fit_intercept=fit_intercept).fit(X, y)
        return pinball(model.predict(X)) / pinball(best.predict(X)) - 1

    @pytest.mark.parametrize("quantile", [0.5, 0.9])
    @pytest.mark.parametrize(
        "apart",
        [1e-4, 1e-5, 1e-7],
    )
    def test_nearly_collinear_columns(self, apart, quantile):
        source = np.random.default_rng(1)
        A = source.normal(size=(60, 3))
        A = np.hstack([A, A + apart * source.normal(size=A.shape)])
        z = A[:, 0] + source.standard_t(3, size=60)
        model = GradientDescentRegressor(loss="quantile", quantile=quantile, fit_intercept=False).fit(A, z)
        assert model.converged_
        assert self.excess(model, A, z, quantile, fit_intercept=False) <= 2e-6

    @pytest.mark.parametrize(
        "given", [{}, {"optimizer": "nesterov"}, {"learning_rate": "diagonal"}, {"optimizer": "gd"}]
    )
    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
    def test_few_rows_a_coefficient(self, given):
        source = np.random.default_rng(0)
        A = source.normal(size=(150, 60))
        z = 3 * A[:, 0] + source.standard_t(3, size=150)
        model = GradientDescentRegressor(loss="quantile", quantile=0.9, **given).fit(A, z)
        assert not model.converged_ or self.excess(model, A, z, 0.9) <= 2e-6
        assert model.converged_ or given

    @pytest.mark.filterwarnings("ignore:.* has no effect with")
    @pytest.mark.grid(1)
    @pytest.mark.parametrize("loss", ["squared_error", "huber", "squared_epsilon_insensitive"])
    @pytest.mark.parametrize("given", [{}, {"learning_rate": "lipschitz", "optimizer": "gd"}], ids=str)
    @pytest.mark.parametrize("seed", range(4))
    def test_the_certificate_is_near_the_distance_on_weighted_rows_fewer_than_columns(self, loss, given, seed):
        """It is the root of twice the gap over the loss of the best constant; of other losses a few times as much."""
        source = np.random.default_rng(seed)
        A = source.normal(size=(40, 60))
        z, weight = A[:, 0] + source.standard_t(2, size=40), 10.0 ** source.uniform(-3.0, 0.0, size=40)
        ridge = {"loss": loss, "epsilon": 0.5, "penalty": "l2", "alpha": 0.3}
        own = LOSSES[loss](0.5, 0.5)

        def objective(model):
            mean_loss = np.average(own.value(z - model.predict(A)), weights=weight)
            return mean_loss + 0.5 * own.alpha_factor * 0.3 * (model.coef_**2).sum()

        model = GradientDescentRegressor(**ridge, **{"tol": 1e-2, **given}).fit(A, z, weight)
        least = objective(GradientDescentRegressor(**ridge, tol=1e-9).fit(A, z, weight))
        constants = np.linspace(z.min(), z.max(), 20_001)[:, np.newaxis]
        alone = np.average(own.value(z - constants), axis=1, weights=weight).min()
        distance = np.sqrt(2.0 * max(objective(model) - least, 0.0) / alone)
        if loss == "squared_error":
            assert model.optimality_ == pytest.approx(distance, rel=1e-5, abs=1e-9)
        else:
            assert distance <= model.optimality_ <= 4 * distance + 1e-9

    @pytest.mark.parametrize("rate", ["diagonal", "lipschitz", 0.05])
    def test_opposite_signs_on_a_column_given_twice_are_no_minimum_of_l1(self, rate):
        """The predictions are the best ones, and no data show what the signs cost."""
        source = np.random.default_rng(0)
        A = source.normal(size=(60, 3))
        A, z = np.column_stack([A, A[:, 0]]), A @ [2.0, 2.0, 0.0] + 0.3 * source.normal(size=60)
        model = GradientDescentRegressor(rate, penalty="l1", alpha=0.1, warm_start=True, epochs=5000).fit(A, z)
        model.coef_ = model.coef_ + [3.0, 0.0, 0.0, -3.0]
        model.fit(A, z)
        assert model.converged_
        expected = Lasso(alpha=0.1, tol=1e-12).fit(A[:, :3], z)
        folded = [model.coef_[0] + model.coef_[3], *model.coef_[1:3]]
        assert np.abs(model.coef_).sum() == pytest.approx(np.abs(expected.coef_).sum(), rel=1e-5)
        np.testing.assert_allclose(folded, expected.coef_, atol=1e-5)

    @pytest.mark.parametrize("seed", [1, 2])
    def test_a_column_given_twice_hides_no_direction_of_little_curvature_from_l1(self, seed):
        source = np.random.default_rng(seed)
        A = source.normal(size=(60, 3))
        A[:, 1] = A[:, 0] + 0.05 * A[:, 1]
        A, z = np.column_stack([A, A[:, 0]]), A @ [2.0, -1.0, 1.0] + 0.3 * source.normal(size=60)
        params = {"penalty": "l1", "alpha": 1e-3}

        def objective(model):
            return np.mean((z - model.predict(A)) ** 2) + 2e-3 * np.abs(model.coef_).sum()

        model = GradientDescentRegressor("diagonal", 5000, tol=1e-2, optimizer="nesterov", **params).fit(A, z)
        above = objective(model) - objective(GradientDescentRegressor(tol=1e-9, **params).fit(A, z))
        assert model.converged_
        assert np.sqrt(2.0 * max(above, 0.0) / z.var()) <= model.optimality_

    @pytest.mark.parametrize("loss", ["huber", "absolute_error", "epsilon_insensitive", "squared_epsilon_insensitive"])
    @pytest.mark.parametrize("fit_intercept", [False, True])
    @pytest.mark.parametrize("level", [0.0, 7.0])
    def test_constant_targets(self, loss, fit_intercept, level):
        model = GradientDescentRegressor(loss=loss, fit_intercept=fit_intercept).fit(X, np.full(n, level))
        assert model.converged_
        if fit_intercept or level == 0.0:
            np.testing.assert_allclose(model.predict(X), level, atol=0.11)
