"""Update rules and the loop: by hand, by theorem at every iterate, by a reference loop."""

from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest

from gdregress.method.descent import Descent, Mean, Update
from gdregress.method.newton import Newton
from gdregress.method.optimizers import AdaGrad, Adam, Conjugate, GradientDescent, Momentum, Nesterov, RMSProp, Step
from gdregress.method.preconditioners import Scalar
from gdregress.method.rates import FixedRate
from gdregress.method.schedules import EpochSchedule, Plateau, constant
from gdregress.problem.objectives import Curvatures, Evaluation
from gdregress.problem.penalties import Penalty
from gdregress.problem.problem import Gap

RULES = [GradientDescent(), Momentum(0.5), Nesterov(), Conjugate()]


class Quadratic:
    """f(w) = (w - best)' H (w - best) / 2 for each output, with its evaluations counted: problem and objective."""

    noise = 0.0
    is_quadratic = True
    dtype = np.float64
    terms = SimpleNamespace(is_squared_error=False, has_prox=False)  # no dual is known

    def __init__(self, hessian, best):
        self.hessian, self.best, self.trips = hessian, best, 0
        self.penalty = Penalty(np.zeros_like(best), np.zeros_like(best))

    def with_l1(self, strength, *, positive=False):
        """The same and strength |w|_1, with the minimum that ten thousand plain proximal steps come to."""
        self.penalty = Penalty(np.full_like(self.best, strength), np.zeros_like(self.best), positive)
        w, rate = np.zeros_like(self.best), 1.0 / np.linalg.eigvalsh(self.hessian)[-1]
        for _ in range(10_000):
            w = self.penalty.prox(w - rate * self.hessian @ (w - self.best), rate)
        return w

    def objective(self, point):
        return self.evaluate([point])[0].value + self.penalty.value(point)

    def values(self, points):
        return [self.objective(point) for point in points]

    def curvatures(self, point):
        [here] = self.evaluate([point])
        second = np.array([self.hessian] * point.shape[1])
        return Curvatures(here, second, second, self.objective(point))

    def evaluate_start(self, objective, point):
        return objective.evaluate([point])[0]

    def subgradient(self, point, gradient):
        return self.penalty.residual(point, gradient)

    def gap_of_decrement(self, decrement, evaluation):
        return Gap(decrement, np.zeros_like(decrement), decrement)

    def with_hidden(self, gap, points, evaluation):
        return gap

    def optimality(self, value, gap):
        return gap.max(axis=-1)

    def evaluate(self, points):
        self.trips += 1
        return [self._evaluate(point) for point in points]

    def _evaluate(self, point):
        off = point - self.best
        return Evaluation(0.5 * (off * (self.hessian @ off)).sum(axis=0), self.hessian @ off)


def quadratic(kappa=1e3, p=8, m=2, seed=0):
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.normal(size=(p, p)))
    return Quadratic(basis * np.geomspace(1 / kappa, 1, p) @ basis.T, rng.normal(size=(p, m)))


class Metric(Scalar):
    """A change of the preconditioner, with the prox of the identity."""

    def __init__(self, multiply):
        super().__init__()
        vars(self)["multiply"] = multiply

    def __call__(self, gradient):
        return self.multiply(gradient)


def descend(objective, rule, n, rate=1.0, *, metric=lambda g: g, start=None, schedule=None, mean=None):
    """The start and the first n states of a descent."""
    start = np.zeros_like(objective.best) if start is None else start
    schedule = EpochSchedule(constant) if schedule is None else schedule
    update = Update(rule, Metric(metric), schedule, mean)
    descent = Descent(update, FixedRate(rate), lambda problem: problem, None)
    path = enumerate(islice(descent.states(objective, start), n + 1))
    return [
        SimpleNamespace(
            epoch=epoch,
            point=here.point,
            value=here.evaluation.value,
            gradient=here.evaluation.gradient,
            rate=here.rate,
        )
        for epoch, here in path
    ]


def states(objective, rule, n, rate=1.0, metric=lambda g: g, start=None):
    return descend(objective, rule, n, rate, metric=metric, start=start)


@pytest.mark.parametrize("rule", RULES)
class TestEveryRule:
    def test_states_are_what_the_objective_says_of_their_points(self, rule):
        objective = quadratic()
        for state in states(objective, rule, 30, rate=0.7):
            [there] = objective.evaluate([state.point])
            np.testing.assert_allclose(state.value, there.value, rtol=1e-9, atol=1e-14)
            np.testing.assert_allclose(state.gradient, there.gradient, rtol=1e-6, atol=1e-13)

    def test_one_trip_an_epoch(self, rule):
        objective = quadratic()
        states(objective, rule, 12)
        assert objective.trips == 13

    def test_states_are_fresh(self, rule):
        first, *others = states(quadratic(), rule, 5)
        assert first.epoch == 0
        assert first.rate is None
        assert not first.point.any()
        assert len({id(state.point) for state in (first, *others)}) == 6

    def test_the_same_call_twice_gives_the_same(self, rule):
        for one, other in zip(states(quadratic(), rule, 10), states(quadratic(), rule, 10), strict=True):
            np.testing.assert_array_equal(one.point, other.point)

    def test_outputs_descend_each_on_its_own(self, rule):
        objective = quadratic(kappa=30)
        together = states(objective, rule, 8)
        for k in range(2):
            alone = states(Quadratic(objective.hessian, objective.best[:, [k]]), rule, 8)
            for both, one in zip(together, alone, strict=True):
                np.testing.assert_allclose(both.point[:, [k]], one.point, rtol=1e-7, atol=1e-12)

    def test_starting_at_the_solution_stays(self, rule):
        objective = quadratic()
        for state in states(objective, rule, 3, start=objective.best):
            np.testing.assert_array_equal(state.point, objective.best)

    def test_the_exact_preconditioner_arrives_at_once(self, rule):
        objective = quadratic()
        state = states(objective, rule, 1, metric=lambda g: np.linalg.solve(objective.hessian, g))[1]
        np.testing.assert_allclose(state.point, objective.best, rtol=1e-10)

    def test_a_preconditioner_is_a_change_of_coordinates(self, rule):
        """Descent with the preconditioner T T' is plain descent in z, where w = T z."""
        objective, T = quadratic(kappa=30), np.diag(np.linspace(0.5, 1, 8))
        changed = Quadratic(T.T @ objective.hessian @ T, np.linalg.solve(T, objective.best))
        in_metric = states(objective, rule, 15, metric=lambda g: T @ (T.T @ g))
        for one, other in zip(in_metric, states(changed, rule, 15), strict=True):
            np.testing.assert_allclose(one.point, T @ other.point, rtol=1e-7, atol=1e-10)


def test_gradient_descent_by_hand():
    objective = Quadratic(np.array([[2.0]]), np.array([[3.0]]))
    points = [state.point.item() for state in states(objective, GradientDescent(), 3, rate=0.25)]
    assert points == [0.0, 1.5, 2.25, 2.625]


def test_momentum_by_hand():
    objective = Quadratic(np.array([[2.0]]), np.array([[3.0]]))
    points = [state.point.item() for state in states(objective, Momentum(0.5), 3, rate=0.25)]
    assert points == [0.0, 1.5, 3.0, 3.75]


def test_nesterov_by_hand():
    objective = Quadratic(np.array([[2.0]]), np.array([[3.0]]))
    points = [state.point.item() for state in states(objective, Nesterov(), 3, rate=0.25)]
    t2 = (1 + 5**0.5) / 2
    t3 = (1 + (1 + 4 * t2**2) ** 0.5) / 2
    w2 = 1.5 + 0.25 * 2 * (3 - 1.5)
    v2 = w2 + (t2 - 1) / t3 * (w2 - 1.5)
    np.testing.assert_allclose(points, [0.0, 1.5, w2, v2 + 0.5 * (3 - v2)], rtol=1e-15)


def test_nesterov_restarts_each_output_by_itself():
    objective = quadratic(kappa=30)
    together = states(objective, Nesterov(), 60)
    for k in range(2):
        alone = states(Quadratic(objective.hessian, objective.best[:, [k]]), Nesterov(), 60)
        np.testing.assert_allclose(together[60].point[:, [k]], alone[60].point, rtol=1e-12)


def test_momentum_zero_is_plain_descent():
    for one, other in zip(
        states(quadratic(), Momentum(0.0), 20), states(quadratic(), GradientDescent(), 20), strict=True
    ):
        np.testing.assert_array_equal(one.point, other.point)


class TestTheorems:
    """With L = 1: bounds that hold at every iterate."""

    def test_gradient_descent(self):
        objective = quadratic(1e4)
        distance = (objective.best**2).sum(axis=0)
        for state in states(objective, GradientDescent(), 500)[1:]:
            assert (state.value <= distance / (2 * state.epoch)).all()

    def test_gradient_descent_is_linear_when_strongly_convex(self):
        objective = quadratic(50)
        path = states(objective, GradientDescent(), 200)
        for state in path:
            off = np.linalg.norm(state.point - objective.best, axis=0)
            assert (off <= (1 - 1 / 50) ** state.epoch * np.linalg.norm(objective.best, axis=0) * (1 + 1e-12)).all()

    def test_nesterov(self):
        objective = quadratic(1e4)
        distance = (objective.best**2).sum(axis=0)
        for state in states(objective, Nesterov(), 500)[1:]:
            assert (state.value <= 2 * distance / (state.epoch + 1) ** 2).all()

    def test_nesterov_with_restart_is_linear(self):
        objective = quadratic(1e4)
        last = states(objective, Nesterov(), 4000)[-1]
        assert (last.value <= 1e-12).all()

    def test_conjugate_gradient(self):
        objective = quadratic(1e4)
        start = objective.evaluate([np.zeros_like(objective.best)])[0].value
        rho = (100 - 1) / (100 + 1)
        path = states(objective, Conjugate(), 8)
        for state in path:
            assert (state.value <= 4 * rho ** (2 * state.epoch) * start * (1 + 1e-9)).all()

    def test_conjugate_gradient_ends_in_as_many_epochs_as_coordinates(self):
        objective = quadratic(30)
        path = states(objective, Conjugate(), 8)
        np.testing.assert_allclose(path[-1].point, objective.best, rtol=1e-9)
        assert not np.allclose(path[-2].point, objective.best, rtol=1e-4)

    def test_conjugate_gradient_never_rises(self):
        values = np.array([state.value for state in states(quadratic(1e6), Conjugate(), 60)])
        assert (np.diff(values, axis=0) <= 1e-15 * values[0]).all()

    def test_conjugate_gradient_does_not_drift(self):
        """On a badly scaled quadratic its gradient stays that of its point."""
        objective = quadratic(1e10, p=30)
        path = states(objective, Conjugate(), 300)
        [there] = objective.evaluate([path[-1].point])
        np.testing.assert_allclose(path[-1].gradient, there.gradient, atol=1e-14)

    @pytest.mark.parametrize("kappa", [4, 1e4])
    def test_conjugate_gradient_asks_about_one_point_while_rounding_is_not_carried_on(self, kappa):
        """Where evaluations round by some amount, its gradients are off by no more than it says they are."""
        amount, objective = 1e-9, quadratic(kappa, p=30)
        rounded, rng, points = quadratic(kappa, p=30), np.random.default_rng(0), []

        def evaluate(asked):
            points.append(len(asked))
            evaluations = [Quadratic._evaluate(rounded, point) for point in asked]
            return [
                each._replace(gradient=each.gradient + amount * rng.choice([-1.0, 1.0], each.gradient.shape))
                for each in evaluations
            ]

        rounded.evaluate = evaluate
        rule = Conjugate()
        start = np.zeros_like(rounded.best)
        step = rule.start(start, rounded.evaluate([start])[0])
        for _ in range(12):
            step = rule.update(step, rounded, Scalar(), 1.0)
            error = np.abs(step.evaluation.gradient - objective._evaluate(step.point).gradient)
            assert (error <= (1 + 1e-6) * step.memory[-1] * amount).all()
        assert points[0] == points[1] == 1
        assert (sum(points) < 1.5 * len(points)) == (kappa == 4)

    @pytest.mark.parametrize("rule", [GradientDescent(), Momentum(0.5), Nesterov()])
    def test_above_the_stability_ceiling_the_loss_grows(self, rule):
        values = [state.value.sum() for state in states(quadratic(10), rule, 600, rate=1.01 * rule.stability)]
        assert values[-1] > 1e3 * values[0]

    @pytest.mark.parametrize("rule", [GradientDescent(), Momentum(0.5)])
    def test_below_the_stability_ceiling_it_falls(self, rule):
        values = [state.value.sum() for state in states(quadratic(10), rule, 600, rate=0.99 * rule.stability)]
        assert values[-1] < 1e-3 * values[0]


def test_k_then_m_epochs_are_k_plus_m():
    objective = quadratic()
    whole = states(objective, GradientDescent(), 17)
    rest = states(objective, GradientDescent(), 10, start=whole[7].point)
    np.testing.assert_array_equal(rest[-1].point, whole[-1].point)


def test_conjugate_gradient_that_did_not_move_restarts_from_its_gradient():
    """As after an epoch at rate 0."""
    objective = quadratic(30, m=1)
    *_, stopped, here, there = descend(objective, Conjugate(), 4, schedule=EpochSchedule(lambda k: float(k != 2)))
    np.testing.assert_array_equal(here.point, stopped.point)
    step, slope = there.point - here.point, here.gradient
    np.testing.assert_allclose(step / np.linalg.norm(step), -slope / np.linalg.norm(slope), rtol=1e-9)


@pytest.mark.parametrize(("arrived", "stuck"), [([], False), ([0], False), ([0, 1], True)])
def test_conjugate_gradient_is_stuck_where_no_output_moves(arrived, stuck):
    objective = quadratic()
    start = np.zeros_like(objective.best)
    start[:, arrived] = objective.best[:, arrived]
    rule = Conjugate()
    step = rule.update(rule.start(start, objective.evaluate([start])[0]), objective, Scalar(), 1.0)
    assert step.is_stuck == stuck


def test_conjugate_gradient_stays_where_no_curvature_is_seen():
    flat = Quadratic(np.zeros((3, 3)), np.zeros((3, 1)))
    step = Conjugate().start(np.ones((3, 1)), flat.evaluate([np.ones((3, 1))])[0])
    step = step._replace(
        evaluation=Evaluation(np.zeros(1), np.ones((3, 1))), memory=(*step.memory[:-1], np.full(1, np.inf))
    )
    after = Conjugate().update(step, flat, Scalar(), 1.0)
    assert isinstance(after, Step)
    np.testing.assert_array_equal(after.point, np.ones((3, 1)))


class TestAdaptiveRules:
    @pytest.mark.parametrize("rule", [*RULES, AdaGrad(), RMSProp(), Adam()])
    def test_bounded_steps_are_short_of_any_distance(self, rule):
        objective = Quadratic(np.array([[1.0]]), np.array([[1e6]]))
        far = states(objective, rule, 5, rate=0.5)[-1].point.item()
        assert (far < 5 * 4 * 0.5) is rule.has_bounded_steps

    def test_adagrad_by_hand(self):
        objective = Quadratic(np.array([[2.0]]), np.array([[3.0]]))
        points = [state.point.item() for state in states(objective, AdaGrad(), 2, rate=0.5)]
        second = 0.5 + 0.5 * 5.0 / (36.0 + 25.0) ** 0.5
        np.testing.assert_allclose(points, [0.0, 0.5, second], rtol=1e-7)

    def test_rmsprop_by_hand(self):
        objective = Quadratic(np.array([[2.0]]), np.array([[3.0]]))
        points = [state.point.item() for state in states(objective, RMSProp(decay=0.75), 2, rate=0.5)]
        first = 0.5 * 6.0 / (0.25 * 36.0) ** 0.5
        slope = 2.0 * (3.0 - first)
        second = first + 0.5 * slope / (0.75 * 9.0 + 0.25 * slope**2) ** 0.5
        np.testing.assert_allclose(points, [0.0, first, second], rtol=1e-7)

    def test_adam_by_hand(self):
        objective = Quadratic(np.array([[2.0]]), np.array([[3.0]]))
        points = [state.point.item() for state in states(objective, Adam(0.5, 0.75), 2, rate=0.5)]
        slope = 2.0 * (3.0 - 0.5)
        mean = (0.5 * 0.5 * 6.0 + 0.5 * slope) / (1 - 0.25)
        square = (0.75 * 0.25 * 36.0 + 0.25 * slope**2) / (1 - 0.75**2)
        np.testing.assert_allclose(points, [0.0, 0.5, 0.5 + 0.5 * mean / square**0.5], rtol=1e-7)

    def test_adam_without_momentum_is_rmsprop_freed_of_its_start(self):
        objective, point, squares = quadratic(), np.zeros((8, 2)), 0.0
        for k, state in enumerate(states(objective, Adam(0.0, 0.9), 10, rate=0.1)):
            np.testing.assert_allclose(state.point, point, rtol=1e-10)
            gradient = objective.hessian @ (point - objective.best)
            squares = 0.9 * squares + 0.1 * gradient**2
            point = point - 0.1 * gradient / (np.sqrt(squares / (1 - 0.9 ** (k + 1))) + 1e-8)

    @pytest.mark.parametrize("rule", [AdaGrad(), RMSProp(), Adam()])
    def test_the_prox_takes_the_step_of_each_coordinate(self, rule):
        """With a prox of one step for all the minimum of L1 would be missed."""
        objective = quadratic(kappa=10)
        best = objective.with_l1(0.1)
        pace = {AdaGrad: lambda k: 1.0, RMSProp: lambda k: 0.995**k, Adam: lambda k: 0.995**k}[type(rule)]
        last = descend(objective, rule, 3999, 0.2, schedule=EpochSchedule(pace))[-1]
        np.testing.assert_allclose(last.point, best, atol=1e-5)
        np.testing.assert_array_equal(last.point == 0, best == 0)


class TestProximal:
    """With L = 1: the theorems hold for the sum of a quadratic and L1, at every iterate."""

    @pytest.mark.parametrize("positive", [False, True])
    def test_gradient_descent(self, positive):
        objective = quadratic(1e3)
        best = objective.with_l1(0.02, positive=positive)
        least, distance = objective.objective(best), (best**2).sum(axis=0)
        for state in states(objective, GradientDescent(), 300)[1:]:
            assert (objective.objective(state.point) - least <= distance / (2 * state.epoch) + 1e-12).all()

    @pytest.mark.parametrize("positive", [False, True])
    def test_nesterov(self, positive):
        objective = quadratic(1e3)
        best = objective.with_l1(0.02, positive=positive)
        least, distance = objective.objective(best), (best**2).sum(axis=0)
        path = states(objective, Nesterov(), 600)
        for state in path[1:]:
            assert (objective.objective(state.point) - least <= 2 * distance / (state.epoch + 1) ** 2 + 1e-12).all()
        np.testing.assert_allclose(path[-1].point, best, atol=1e-8)
        np.testing.assert_array_equal(path[-1].point == 0, best == 0)

    @pytest.mark.parametrize("positive", [False, True])
    def test_momentum_comes_to_the_minimum(self, positive):
        objective = quadratic(30)
        best = objective.with_l1(0.02, positive=positive)
        np.testing.assert_allclose(states(objective, Momentum(0.5), 500)[-1].point, best, atol=1e-8)

    @pytest.mark.parametrize("positive", [False, True])
    def test_newton_is_exact_at_once_on_a_quadratic(self, positive):
        objective = quadratic(1e3)
        best = objective.with_l1(0.02, positive=positive)
        _, block = islice(Newton(lambda problem: problem).iterates(objective, np.zeros_like(objective.best)), 2)
        np.testing.assert_allclose(block.points.at(0), best, atol=1e-8)

    def test_newton_ends_when_nothing_is_lower(self):
        objective = quadratic(10)
        blocks = list(Newton(lambda problem: problem).iterates(objective, np.zeros_like(objective.best)))
        assert len(blocks) <= 5  # a step, and as many without gain as show that there is none
        np.testing.assert_allclose(blocks[-1].points.at(0), objective.best, rtol=1e-12)


class TestPaceAndMean:
    def test_the_rate_follows_the_schedule(self):
        path = descend(quadratic(), GradientDescent(), 3, 0.5, schedule=EpochSchedule(lambda k: 1 / (k + 1)))
        np.testing.assert_allclose([state.rate for state in path][1:], [0.5, 0.25, 0.5 / 3])

    def test_a_plateau_is_seen_by_the_loop(self):
        """Above the ceiling the objective rises, until the rate has come down."""
        objective = quadratic(10)
        path = descend(objective, GradientDescent(), 399, 2.1, schedule=Plateau(3))
        assert path[1].rate == 2.1
        assert path[-1].rate == pytest.approx(2.1 / 5)
        np.testing.assert_allclose(path[-1].point, objective.best, atol=1e-8)

    def test_a_plateau_is_of_all_outputs(self):
        """The first is at its minimum from the start on, and the others still fall."""
        objective = quadratic(1e4, m=3)
        objective.best[:, 0] = 0.0
        path = descend(objective, GradientDescent(), 30, schedule=Plateau(2))
        assert {state.rate for state in path[1:]} == {1.0}

    @pytest.mark.parametrize("skip", [0, 3])
    def test_the_mean_is_that_of_the_points(self, skip):
        objective = quadratic()
        points = [state.point for state in states(objective, GradientDescent(), 12)][1:]
        for k, state in enumerate(descend(objective, GradientDescent(), 12, mean=Mean(skip))):
            if k > skip:
                np.testing.assert_allclose(state.point, np.mean(points[skip:k], axis=0), rtol=1e-12)
                [there] = objective.evaluate([state.point])
                np.testing.assert_allclose(state.value, there.value)
