"""Linear regression by gradient descent that needs no scaling and no learning-rate tuning."""

from gdregress._version import __version__
from gdregress.closed_form import closed_form
from gdregress.comparison import Comparison, compare
from gdregress.datasets import load_house_prices
from gdregress.displays import (
    ComparisonDisplay,
    LearningRateDisplay,
    LossCurveDisplay,
    LossSurfaceDisplay,
    RegularizationPathDisplay,
)
from gdregress.problem.losses import Loss
from gdregress.regressor import GradientDescentRegressor
from gdregress.tuning.regularization_path import RegularizationPath, regularization_path

__all__ = [
    "Comparison",
    "ComparisonDisplay",
    "GradientDescentRegressor",
    "LearningRateDisplay",
    "Loss",
    "LossCurveDisplay",
    "LossSurfaceDisplay",
    "RegularizationPath",
    "RegularizationPathDisplay",
    "__version__",
    "closed_form",
    "compare",
    "load_house_prices",
    "regularization_path",
]
