"""scikit-learn's own checks, on every kind of configuration."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from gdregress import GradientDescentRegressor

CONFIGURATIONS = [
    {},
    {"learning_rate": 0.01},
    {"learning_rate": "lipschitz"},
    {"learning_rate": "diagonal"},
    {"learning_rate": "curvature"},
    {"learning_rate": 0.01, "optimizer": "momentum"},
    {"learning_rate": 0.01, "optimizer": "nesterov"},
    {"learning_rate": "lipschitz", "optimizer": "conjugate"},
    {"learning_rate": "diagonal", "optimizer": "gd"},
    {"learning_rate": "diagonal", "optimizer": "nesterov"},
    {"learning_rate": "diagonal", "optimizer": "momentum", "momentum": 0.5},
    {"optimizer": "nesterov"},
    {"optimizer": "conjugate"},
    {"penalty": "l2", "alpha": 0.01},
    {"learning_rate": 0.01, "penalty": "l2"},
    {"learning_rate": "diagonal", "penalty": "l2", "tol": 1e-9},
    {"fit_intercept": False},
    {"learning_rate": 0.01, "fit_intercept": False, "penalty": "l2"},
    {"init": "random", "random_state": 0},
    {"warm_start": True},
    {"record_path": True},
    {"epochs": 5, "tol": None},
    {"target_loss": 1e-4},
    {"early_stopping": True, "random_state": 0},
    {"learning_rate": 0.01, "early_stopping": True, "random_state": 0},
]


def expected_failures(estimator):
    """A random split draws rows: two copies of a row may fall on both sides of it, one of weight 2 cannot."""
    if not estimator.early_stopping:
        return {}
    reason = "the validation rows are drawn at random"
    return {f"check_sample_weight_equivalence_on_{kind}_data": reason for kind in ("dense", "sparse")}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(
    [GradientDescentRegressor(**configuration) for configuration in CONFIGURATIONS],
    expected_failed_checks=expected_failures,
)
def test_check(estimator, check):
    check(estimator)
