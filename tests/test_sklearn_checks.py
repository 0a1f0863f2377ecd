"""scikit-learn's own checks, on every kind of configuration."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from gdregress import GradientDescentRegressor

CONFIGURATIONS = [
    {},
    {"learning_rate": 0.01},
    {"learning_rate": "diagonal", "penalty": "l2", "tol": 1e-9},
    {"learning_rate": "lipschitz", "optimizer": "conjugate"},
    {"fit_intercept": False},
    {"early_stopping": True, "random_state": 0},
    {"loss": "quantile", "quantile": 0.3},
    {"loss": "huber", "penalty": "l1"},
    {"positive": True},
    {"optimizer": "newton"},
    {"optimizer": "adam", "epochs": 100, "penalty": "l1"},
    {"batch_size": 8, "random_state": 0, "epochs": 20},
]
"""One of each kind."""

MORE_CONFIGURATIONS = [
    {"learning_rate": "lipschitz"},
    {"learning_rate": "diagonal"},
    {"learning_rate": "curvature"},
    {"learning_rate": 0.01, "optimizer": "momentum"},
    {"learning_rate": 0.01, "optimizer": "nesterov"},
    {"learning_rate": "diagonal", "optimizer": "gd"},
    {"learning_rate": "diagonal", "optimizer": "nesterov"},
    {"learning_rate": "diagonal", "optimizer": "momentum", "momentum": 0.5},
    {"optimizer": "nesterov"},
    {"optimizer": "conjugate"},
    {"penalty": "l2", "alpha": 0.01},
    {"learning_rate": 0.01, "penalty": "l2"},
    {"learning_rate": 0.01, "fit_intercept": False, "penalty": "l2"},
    {"init": "random", "random_state": 0},
    {"warm_start": True},
    {"record_path": True},
    {"epochs": 5, "tol": None},
    {"target_loss": 1e-4},
    {"learning_rate": 0.01, "early_stopping": True, "random_state": 0},
    {"loss": "huber"},
    {"loss": "absolute_error"},
    {"loss": "epsilon_insensitive"},
    {"loss": "squared_epsilon_insensitive"},
    {"loss": "absolute_error", "learning_rate": 0.5, "epochs": 200},
    {"loss": "quantile", "optimizer": "nesterov", "epochs": 50},
    {"penalty": "l1", "alpha": 0.01},
    {"penalty": "elasticnet", "alpha": 0.01},
    {"penalty": "elasticnet", "learning_rate": "diagonal", "alpha": 0.01},
    {"loss": "epsilon_insensitive", "positive": True, "penalty": "l2", "alpha": 1.0},
    {"optimizer": "adagrad", "epochs": 100},
    {"optimizer": "rmsprop", "epochs": 100},
    {"learning_rate": 0.01, "optimizer": "adam", "schedule": "cosine", "epochs": 100},
    {"learning_rate": "lipschitz", "average": True, "epochs": 100},
    {"batch_size": 1, "learning_rate": 0.001, "schedule": "invscaling", "average": True, "epochs": 10},
    {"batch_size": 8, "shuffle": False, "loss": "huber", "schedule": "adaptive", "epochs": 20},
]

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning"),
    pytest.mark.filterwarnings("ignore:early_stopping held out rows without effect"),
    pytest.mark.filterwarnings("ignore:alpha=0.01 has no effect with penalty=None"),  # which some checks set
]


def expected_failures(estimator):
    """Random splits and batches draw rows: two copies of a row may fall apart, one of weight 2 cannot."""
    if not (estimator.early_stopping or estimator.batch_size):
        return {}
    reason = "rows are taken apart"
    return {f"check_sample_weight_equivalence_on_{kind}_data": reason for kind in ("dense", "sparse")}


def checks_of(configurations):
    """Run every check of scikit-learn on every configuration."""
    estimators = [GradientDescentRegressor(**configuration) for configuration in configurations]
    return parametrize_with_checks(estimators, expected_failed_checks=expected_failures)


@pytest.mark.filterwarnings("ignore:epsilon.* is far below the residuals")
@checks_of(CONFIGURATIONS)
def test_check(estimator, check):
    check(estimator)


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore:epsilon.* is far below the residuals")
@checks_of(MORE_CONFIGURATIONS)
def test_check_of_more_configurations(estimator, check):
    check(estimator)
