"""Displays in scikit-learn's style. matplotlib is imported only when one is drawn."""

from gdregress.displays.learning_rate import LearningRateDisplay
from gdregress.displays.loss_curve import LossCurveDisplay
from gdregress.displays.loss_surface import LossSurfaceDisplay
from gdregress.displays.paths import RegularizationPathDisplay
from gdregress.displays.solvers import ComparisonDisplay
from gdregress.displays.tuning import TuningDisplay

__all__ = [
    "ComparisonDisplay",
    "LearningRateDisplay",
    "LossCurveDisplay",
    "LossSurfaceDisplay",
    "RegularizationPathDisplay",
    "TuningDisplay",
]
