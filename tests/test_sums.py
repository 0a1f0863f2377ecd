"""Accumulators that come back from a worker: their sums alone are pickled, and are merged as if they had stayed."""

import pickle
from functools import partial

import numpy as np
import pytest
from scipy import sparse

from gdregress.method.preconditioners import _Triangle
from gdregress.problem import features, products
from gdregress.problem.bases import Basis, Combinations
from gdregress.problem.best_constant import _ConstantLosses, _Extent
from gdregress.problem.columns import _Entries
from gdregress.problem.coordinates import Coordinates
from gdregress.problem.losses import huber, squared_error
from gdregress.problem.near import Nearness, NearRows
from gdregress.problem.residuals import (
    Losses,
    Residuals,
    SecondDerivatives,
    Slopes,
    SlopesOfSquaredError,
    transposed_product,
)
from gdregress.rows.gathering import _Origin, _SumsOfProducts, _SumsOnDevice, gather
from gdregress.rows.memory import RowBlocks
from gdregress.rows.ranges import Both, Ranges, Underflow
from gdregress.rows.sums import Sums

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)) + 1.0
Y = RNG.exponential(size=(60, 1))
ROWS = RowBlocks(X, Y)
COORDINATES = Coordinates.unit_curvature(gather(ROWS), alpha=0.0, fit_intercept=True)
RESIDUALS = Residuals(COORDINATES, RNG.normal(size=(5, 1)))
LOSS = huber(0.5).in_units(COORDINATES.target_scale)
PARABOLA = squared_error().in_units(COORDINATES.target_scale)
ZERO, BOTH = np.zeros(4), np.arange(4)

MAKERS = {
    "moments": partial(
        _SumsOfProducts, ROWS, _Origin(ZERO, ZERO + 1), _Origin(ZERO[:1], ZERO[:1] + 1), True, np.float64
    ),
    "underflow": lambda: Both(Underflow(ZERO, BOTH), Underflow(ZERO, BOTH[:1])),
    "ranges": lambda: Both(Ranges(), Ranges()),
    "triangle": partial(_Triangle, COORDINATES, 60.0),
    "products of rows": partial(features._Products, RESIDUALS),
    "transposed": features._Transposed,
    "gram": partial(features._Gram, COORDINATES.center, 5, Basis(5)),
    "gram in a basis": partial(features._Gram, COORDINATES.center, 5, Combinations(RNG.normal(size=(5, 3)))),
    "products of columns": partial(products._Products, BOTH, 1, ZERO),
    "constants": partial(_ConstantLosses, LOSS, np.array([[0.0], [1.0]])),
    "extent": _Extent,
    "near": partial(NearRows, RESIDUALS, LOSS, Nearness(0.5, 60, np.inf)),
    "more near than may be brought": partial(NearRows, RESIDUALS, LOSS, Nearness(np.inf, 40, np.inf)),
    "losses": partial(Losses, RESIDUALS, LOSS),
    "slopes": partial(Slopes, RESIDUALS, LOSS, LOSS, transposed_product),
    "slopes of squared error": partial(SlopesOfSquaredError, RESIDUALS, PARABOLA, PARABOLA, transposed_product),
    "curvatures": partial(SecondDerivatives, RESIDUALS, LOSS, LOSS, transposed_product, 0.0),
    "entries": partial(_Entries, BOTH, 1000),
}


def of_halves(make):
    """Return the accumulators of the first rows and of the last."""
    halves = [make(), make()]
    for sums, rows in zip(halves, [slice(0, 25), slice(25, 60)], strict=True):
        block = sparse.csr_array(X[rows]) if isinstance(sums, _Entries) else X[rows]
        sums.add(block, Y[rows], None)
    return halves


def numbers(value):
    """Return what is public of an accumulator, or a list of arrays, as flat arrays one after the other."""
    if isinstance(value, Sums):
        return numbers([each for name, each in sorted(vars(value).items()) if not name.startswith("_")])
    if isinstance(value, list | tuple):
        return [each for one in value for each in numbers(one)]
    return [(value.toarray() if sparse.issparse(value) else np.asarray(value)).ravel()]


def finished(sums):
    """Return what is read of an accumulator in the end."""
    if isinstance(sums, NearRows):
        return [sums.joined().near, sums]
    return sums.total() if isinstance(sums, features._Gram) else sums


@pytest.mark.parametrize("name", MAKERS)
def test_sums_that_come_back_are_merged_as_if_they_had_stayed(name):
    here, there = of_halves(MAKERS[name]), pickle.loads(pickle.dumps(of_halves(MAKERS[name])))
    for one, other in (here, there):
        one.merge(other)
    stayed, came_back = (finished(one) for one, _ in (here, there))
    np.testing.assert_array_equal(np.concatenate(numbers(came_back)), np.concatenate(numbers(stayed)))


def test_none_is_left_out():
    def every(kind):
        return {kind, *(each for below in kind.__subclasses__() for each in every(below))}

    tried = {type(make()) for make in MAKERS.values()} | {Underflow, Ranges, _SumsOnDevice}
    assert every(Sums) - {Sums} == tried
