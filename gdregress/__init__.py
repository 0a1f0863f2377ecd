"""Linear regression by gradient descent that needs no scaling and no learning-rate tuning."""

from gdregress._version import __version__
from gdregress.closed_form import closed_form
from gdregress.comparison.compare import compare
from gdregress.comparison.table import Comparison
from gdregress.datasets import load_house_prices
from gdregress.displays import (
    ComparisonDisplay,
    LearningRateDisplay,
    LossCurveDisplay,
    LossSurfaceDisplay,
    RegularizationPathDisplay,
    TuningDisplay,
)
from gdregress.problem.loss import Loss
from gdregress.regressor import GradientDescentRegressor
from gdregress.rows.through import through_device
from gdregress.tuning.cross_validation import GradientDescentRegressorCV
from gdregress.tuning.regularization_path import RegularizationPath, regularization_path
from gdregress.tuning.selection import one_standard_error

__all__ = [
    "Comparison",
    "ComparisonDisplay",
    "GradientDescentRegressor",
    "GradientDescentRegressorCV",
    "LearningRateDisplay",
    "Loss",
    "LossCurveDisplay",
    "LossSurfaceDisplay",
    "RegularizationPath",
    "RegularizationPathDisplay",
    "TuningDisplay",
    "__version__",
    "closed_form",
    "compare",
    "load_house_prices",
    "one_standard_error",
    "regularization_path",
    "through_device",
]
