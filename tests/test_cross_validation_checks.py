"""scikit-learn's own checks of the estimator that chooses by cross-validation."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from gdregress import GradientDescentRegressorCV, one_standard_error

CONFIGURATIONS = [
    {},
    {"penalty": "l1", "alphas": [1.0, 0.1]},
    {"penalty": "elasticnet", "l1_ratio": [0.5, 1.0], "alphas": [1.0, 0.1]},
    {"scoring": "neg_median_absolute_error", "alphas": 3, "cv": 2},
    {"loss": "huber", "alphas": 3, "cv": 2},
]
"""One of each kind."""

MORE_CONFIGURATIONS = [
    {"fit_intercept": False},
    {"penalty": "l1", "alphas": 10},
    {"positive": True, "alphas": 5, "cv": 3},
    {"penalty": None, "learning_rate": "lipschitz", "epochs": [1, 5, 20], "tol": None},
    {"refit": one_standard_error, "alphas": 5},
    {"scoring": "r2", "alphas": 5, "store_cv_predictions": True, "store_cv_results": True},
    {"loss": "quantile", "penalty": "l1", "alphas": 3, "cv": 2},
]

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning"),
    pytest.mark.filterwarnings("ignore:the best (alpha|number of epochs)"),
]


def checks_of(configurations):
    """Run every check of scikit-learn on every configuration."""
    estimators = [GradientDescentRegressorCV(**configuration) for configuration in configurations]
    return parametrize_with_checks(estimators)


@pytest.mark.filterwarnings("ignore:epsilon.* is far below the residuals")
@checks_of(CONFIGURATIONS)
def test_check(estimator, check):
    check(estimator)


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore:epsilon.* is far below the residuals")
@checks_of(MORE_CONFIGURATIONS)
def test_check_of_more_configurations(estimator, check):
    check(estimator)
