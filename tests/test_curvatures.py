"""Newton's curvatures, from moments and from data, in the mode of the parabola and without."""

import numpy as np
import pytest
from scipy import sparse
from small_blocks import SmallBlocks

from gdregress.problem.coordinates import Coordinates
from gdregress.problem.losses import (
    absolute_error,
    epsilon_insensitive,
    huber,
    quantile_loss,
    squared_epsilon_insensitive,
    squared_error,
)
from gdregress.problem.objectives import DataObjective, MomentObjective
from gdregress.problem.problem import Problem
from gdregress.problem.terms import Terms
from gdregress.rows.gathering import gather
from gdregress.rows.memory import RowBlocks

rng = np.random.default_rng(0)
n, p, m = 80, 3, 2
X = rng.normal(size=(n, p)) * [1, 20, 0.1] + [0, 5, 1]
y = X @ rng.normal(size=(p, m)) + rng.standard_t(2, size=(n, m)) * [3, 1]
weight = rng.integers(0, 3, n).astype(float)
LOSSES = [
    huber(0.5),
    squared_epsilon_insensitive(0.4),
    absolute_error().smoothed(0.3),
    quantile_loss(0.2).smoothed(0.5),
    epsilon_insensitive(0.3).smoothed(0.2),
]


def make(loss, *, fit_intercept=True, with_gram=False, container=np.asarray, l1=0.1, l2=0.3, smoothed=None):
    rows = SmallBlocks(container(X), y, weight, block_rows=17)
    moments = gather(rows) if fit_intercept else gather(rows).about_origin()
    frame = Coordinates.unit_curvature(moments, alpha=0.0, fit_intercept=fit_intercept)
    penalty, nothing = frame.penalty(l1, l2, degree=loss.degree), frame.penalty(0.0, 0.0)
    gram = 0.5 * MomentObjective(moments, frame, nothing).hessian() if with_gram else None
    scaled, own = rows.with_targets(frame.targets), loss.in_units(frame.target_scale)
    return DataObjective(scaled, frame, own, penalty, descended=smoothed and smoothed(own), gram=gram), frame


@pytest.mark.parametrize("container", [np.asarray, np.asfortranarray, sparse.csr_array, sparse.csr_matrix])
@pytest.mark.parametrize("with_gram", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_second_derivatives_are_the_change_of_the_gradient(loss, fit_intercept, with_gram, container):
    if with_gram and loss.degree == 1:
        pytest.skip("only a loss that is mostly a parabola is given the product")
    objective, _ = make(loss, fit_intercept=fit_intercept, with_gram=with_gram, container=container)
    point = rng.normal(size=(p + fit_intercept, m))
    here = objective.curvatures(point)
    plain = objective.evaluate([point])[0]
    for name in ("value", "gradient", "fenchel_gap", "curved"):
        np.testing.assert_allclose(getattr(here.evaluation, name), getattr(plain, name), rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(here.descended, objective.values([point])[0], rtol=1e-12)
    second, above = here.second, here.majoriser
    h = 1e-7
    for j in range(len(point)):
        step = np.zeros_like(point)
        step[j] = h
        ahead, behind = objective.evaluate([point + step, point - step])
        change = (ahead.gradient - behind.gradient) / (2 * h)
        np.testing.assert_allclose(second[:, :, j].T, change, atol=1e-5 * np.abs(second).max())
    for k in range(m):
        assert np.linalg.eigvalsh(above[k] - second[k]).min() >= -1e-12 * np.abs(above[k]).max()


@pytest.mark.parametrize("loss", [squared_error(), huber(0.5), squared_epsilon_insensitive(0.4), quantile_loss(0.2)])
def test_a_weight_is_a_row_given_so_often(loss):
    """For each number that is summed over the rows, on however many threads; the share of curved ones among them."""
    often = np.repeat(np.arange(n), weight.astype(int))
    frame = Coordinates.unit_curvature(gather(RowBlocks(X, y, weight)), alpha=0.0, fit_intercept=True)
    own, penalty = loss.in_units(frame.target_scale), frame.penalty(0.0, 0.3, degree=loss.degree)
    smoothed = own.smoothed(0.3) if loss.is_kinked else None
    point = rng.normal(size=(p + 1, m))
    weighed, repeated = (
        DataObjective(rows.with_targets(frame.targets), frame, own, penalty, descended=smoothed)
        for rows in (SmallBlocks(X, y, weight, block_rows=17, n_threads=3), RowBlocks(X[often], y[often]))
    )
    for one, other in zip(weighed.evaluate([point])[0], repeated.evaluate([point])[0], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)
    for one, other in zip(weighed.curvatures(point)[1:], repeated.curvatures(point)[1:], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_quadratic_of_the_upper_curvature_lies_above(loss):
    objective, _ = make(loss, l1=0.0)
    point = rng.normal(size=(p + 1, m))
    here = objective.curvatures(point)
    for size in (0.01, 0.1, 1.0, 10.0):
        for _ in range(20):
            off = size * rng.normal(size=point.shape)
            [there] = objective.values([point + off])
            above = np.einsum("jk,kij,ik->k", off, here.majoriser, off) / 2
            bound = here.descended + (here.evaluation.gradient * off).sum(axis=0) + above
            assert (there <= bound * (1 + 1e-12) + 1e-12).all()


@pytest.mark.parametrize("loss", [absolute_error(), quantile_loss(0.2), epsilon_insensitive(0.3)])
@pytest.mark.parametrize("mu", [1e-3, 0.1, 2.0])
def test_the_smoothed_loss_and_the_fenchel_gap_enclose_the_loss(loss, mu):
    objective, _ = make(loss, l1=0.0, l2=0.0)
    smoothed, _ = make(loss, l1=0.0, l2=0.0, smoothed=lambda own: own.smoothed(mu))
    point = rng.normal(size=(p + 1, m))
    here = smoothed.curvatures(point)
    value, gap = here.evaluation.value, here.evaluation.fenchel_gap
    np.testing.assert_allclose(value, objective.evaluate([point])[0].value, rtol=1e-13)
    assert (here.descended <= value + 1e-15).all()
    assert (value <= here.descended + mu / 2 + 1e-15).all()
    assert (gap >= 0).all()
    assert (gap <= value - here.descended + 1e-15).all()


def problem(loss, l2=0.0, *, fit_intercept=True):
    """Two outputs of which one, far from zero, has residuals of many standard deviations at the start."""
    rows = RowBlocks(X, y * [1.0, 1e2] + [0.0, 5e3], weight)
    return Problem.of(Terms(loss, 0.0, l2, False, fit_intercept), gather(rows), rows)


@pytest.mark.parametrize("loss", [huber(0.5), squared_epsilon_insensitive(0.4), absolute_error(), quantile_loss(0.2)])
def test_the_quadratic_of_preconditioners_bounds_every_curvature_and_l2(loss):
    """Even where the loss is blunt, so that L2 weighs most: for the output for which it weighs most."""
    smoothed = problem(loss, 0.3)
    smoothed = smoothed.smoothed(smoothed.spread)
    bound = smoothed.standard_curvature * (smoothed.quadratic.hessian() / 2)
    for k, strengths in enumerate(smoothed.penalty.l2.T):
        largest = np.broadcast_to(smoothed.descended.curvature, m)[k] * smoothed.view.gram
        largest[range(p), range(p)] += strengths
        assert np.linalg.eigvalsh(bound - largest).min() >= -1e-12 * np.abs(bound).max()


def test_a_descent_begins_as_blunt_as_the_residuals_are_large():
    begun = problem(absolute_error())
    size = np.sqrt(np.average(begun.rows.y**2, axis=0, weights=weight))
    assert begun.spread == pytest.approx((size / begun.standard.target_scale).max(), rel=1e-12)


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("loss", [huber(0.5), absolute_error()])
def test_the_best_constant_s_loss_in_raw_coordinates_is_in_the_unit_of_y(loss, fit_intercept):
    begun = problem(loss, fit_intercept=fit_intercept)
    raw = begun.in_raw_coordinates()
    constants = [fit_intercept * loss.best_constant(targets, weight) for targets in raw.rows.y.T]
    losses = np.average(loss.value(raw.rows.y - constants), axis=0, weights=weight)
    np.testing.assert_allclose(raw.in_standard_units(losses), begun.constant_loss, rtol=1e-9)
    assert raw.constant_value == pytest.approx(losses.sum(), rel=1e-9)
