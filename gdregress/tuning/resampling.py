"""What is cross-validated: a model, and the splits of the rows on which its points are fitted and tested."""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdregress.method.spec import Spec
from gdregress.rows.folds import Split, SplittableRows
from gdregress.rows.namespaces import to_host
from gdregress.solve.attributes import OutputFormat
from gdregress.tuning.grid import Curve

MANY_ROWS = 2**19
"""Number of rows above which those of splits are kept in 32-bit integers: half the memory, for some more time."""


@dataclass(frozen=True)
class Resampling:
    """A model and the splits of some rows.

    Attributes
    ----------
    model : GradientDescentRegressor
        A model with the parameters that all points share.
    spec : Spec
        Its specification, for the strength 1.
    rows : SplittableRows
        All rows.
    form : OutputFormat
        Dtype and shape of coefficients.
    splits : list of (ndarray of int, ndarray of int)
        Training rows and test rows of each split.
    """

    model: Any
    spec: Spec
    rows: SplittableRows
    form: OutputFormat
    splits: list[Split]

    def spec_of(self, curve: Curve) -> Spec:
        """Return the specification of the fits of a curve, for the strength 1 and the most epochs."""
        of_curve = {**curve.shared(), "epochs": curve.most_epochs}
        if all(getattr(self.model, name) == value for name, value in of_curve.items()):
            return self.spec
        model = copy(self.model)  # a clone takes longer than the fit of a few columns
        vars(model).update(of_curve)
        return Spec.of(model)

    def ends_at_minima(self, curve: Curve) -> bool:
        """Return whether the fits of a curve end at minima, and any way there will do."""
        return len(curve.epochs) == 1 and self.spec_of(curve).goes_to_minimum

    def test_weights(self, sample_weight: Any) -> NDArray:
        """Return the weight of the test rows of each split, given the weights of all rows in the user's unit."""
        weight, tests = self.rows.weight, [test for _, test in self.splits]
        if weight is None:
            return np.array([len(test) for test in tests])
        unit = float(np.max(np.asarray(to_host(sample_weight)))) / float(weight.max())
        return np.array([unit * weight[test].sum() for test in tests])


def splits_of(
    splitter: Any, X: Any, rows: SplittableRows, form: OutputFormat, params: Mapping[str, Any]
) -> list[Split]:
    """Return the numbers of the training rows and the test rows of each split.

    Parameters
    ----------
    splitter : object
        It has a method `split`, as those of scikit-learn.
    X : object
        X as it was given: the splitter gets a data frame as such.
    rows : SplittableRows
        The rows that were read.
    form : OutputFormat
        Shape of the targets.
    params : dict of str to object
        What the splitter takes besides X and y.
    """
    n = rows.n_samples
    every = np.arange(n, dtype=np.int32 if MANY_ROWS < n < 2**31 else np.intp)
    is_frame = hasattr(X, "columns") and rows.in_memory is not None
    parts = splitter.split(X if is_frame else rows.X, form.targets(rows.y), **params)
    return [(_numbers(train, every), _numbers(test, every)) for train, test in parts]


def _numbers(chosen: Any, every: NDArray) -> NDArray:
    """Return the numbers of some rows, given what chooses them and the numbers of all rows."""
    is_known = isinstance(chosen, np.ndarray) and chosen.dtype == every.dtype and chosen.ndim == 1 and len(chosen) > 0
    if is_known and chosen.min() >= 0 and chosen.max() < len(every):
        return chosen
    return every[chosen]
