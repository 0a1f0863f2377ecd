"""The minimum on a face: from a wrong active set to the right one, and none that is not a minimum."""

import numpy as np
import pytest

from gdregress import GradientDescentRegressor
from gdregress.method.faces import Face, face
from gdregress.method.spec import Spec
from gdregress.problem.boxes import BoxProblem
from gdregress.problem.design import Design
from gdregress.problem.problem import Problem
from gdregress.rows.memory import RowBlocks

PENALTIES = {
    "l1": {"penalty": "l1", "alpha": 0.3},
    "elastic net": {"penalty": "elasticnet", "alpha": 1.0, "l1_ratio": 0.5},
    "positive": {"positive": True},
    "positive with l2": {"positive": True, "penalty": "l2", "alpha": 0.01},
}
LOSSES = {"huber": {"epsilon": 1.0}, "squared_epsilon_insensitive": {"epsilon": 0.5}}


def solved(loss, penalty, seed=0, n=200, p=12):
    """Return the boxes of a problem, and the minimum in their coordinates."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    y = X[:, :5] @ [3.0, -2.0, 1.0, 2.0, 1.0] + rng.standard_t(2, size=n)
    model = GradientDescentRegressor(loss=loss, tol=1e-10, **LOSSES[loss], **penalty).fit(X, y)
    spec, rows = Spec.of(model), RowBlocks(X, y[:, np.newaxis])
    problem = Problem.of(spec.terms, rows.moments(), rows)
    box = BoxProblem.of(problem, Design.of(problem, None), 0)
    given = np.append(model.coef_, model.intercept_)
    point = problem.coordinates.from_raw(given[:-1, np.newaxis], given[-1:])[:, 0]
    return box, box.of_point(point)


def violation(box, point):
    """By how much the conditions of the minimum are violated: the data's pull on each coefficient against its box."""
    data, p = np.s_[: box.n_data], box.design.n_penalised
    slope = np.clip(box.residual(point)[data] / box.flatness[data], box.low[data], box.high[data])
    pull = box.pull(np.append(slope, np.zeros(p))) - box.l2 * point
    ends = box.weight[box.n_data :] * np.array([box.low, box.high])[:, box.n_data :]
    least, most = -ends[1], -ends[0]
    least, most = np.where(point[:p] > 0, most, least), np.where(point[:p] < 0, least, most)
    return np.concatenate([least - pull[:p], pull[:p] - most, np.abs(pull[p:])]).max()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)
class TestFace:
    def start(self, loss, penalty):
        """Return boxes, and the minimum with its active set."""
        box, point = solved(loss, penalty)
        slope = box.slopes(box.residual(point))
        is_inside = ((slope > box.low) & (slope < box.high))[: box.n_data]
        return box, point, is_inside, np.flatnonzero(point[: box.design.n_penalised] == 0)

    def test_the_right_set_gives_the_minimum_with_all_digits(self, loss, penalty):
        box, point, is_inside, zeros = self.start(loss, penalty)
        assert len(zeros) > 1
        found = face(box, point + 1e-3 * (point != 0), is_inside, zeros)
        assert violation(box, found.point) < 1e-14
        assert found.gap < 1e-14

    @pytest.mark.parametrize("wrong", ["a coefficient too many", "a coefficient too few", "rows"])
    def test_a_set_that_is_slightly_wrong_is_corrected(self, loss, penalty, wrong):
        box, point, is_inside, zeros = self.start(loss, penalty)
        point = point.copy()
        if wrong == "a coefficient too many":
            slope = np.abs(box.pull_of_data(box.slopes(box.residual(point)))[zeros])
            nearest = zeros[slope.argmax()] if box.capped[-1] else zeros[slope.argmin()]
            zeros = zeros[zeros != nearest]
            point[nearest] = 1e-3
        elif wrong == "a coefficient too few":
            smallest = np.flatnonzero(point[:-1])[np.abs(point[np.flatnonzero(point[:-1])]).argmin()]
            zeros = np.append(zeros, smallest)
        else:
            is_inside = is_inside.copy()
            is_inside[:3] = ~is_inside[:3]
        found = face(box, point, is_inside, zeros)
        assert violation(box, found.point) < 1e-14
        assert found.gap < 1e-14
        signs = np.sign(point[: box.design.n_penalised])
        signs[zeros] = 0.0
        once = Face.of(box, point, is_inside, signs)
        assert (once.signs(box, signs) != signs).any() or (once.is_inside(box) != is_inside).any()

    def test_a_set_that_leads_away_ends_where_the_gap_says_so(self, loss, penalty):
        box, point, is_inside, zeros = self.start(loss, penalty)
        least = face(box, point, is_inside, zeros).value
        found = [face(box, scale * point, ~is_inside, np.arange(2)) for scale in (-100.0, -10.0, -1.0, 3.0, 10.0)]
        ended = [each for each in found if each is not None]
        assert ended
        for each in ended:
            assert each.value - least <= each.gap + 1e-14 * each.value
