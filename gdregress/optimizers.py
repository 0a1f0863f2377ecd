"""Update rules: frozen settings, and pure functions from one step to the next.

A rule sees the last step, to a point w where the gradient is g, the metric P and the rate eta,
and asks the objective once an epoch: one trip through the data, however many points it
asks about. Sums run over coordinates, so that several outputs descend side by side, each on its
own. Every rule is proximal: what of the penalty is not smooth comes in by the prox, in the step
that the rule itself has given each coordinate.

Each rule says what it takes, in the words of `FEATURES`. `stability` is the rate, in units of
1/L for the largest curvature L of a quadratic, from which on the rule diverges; infinite for a
rule that finds its own rate. `batch_share` is what of a rate for plain descent suits mini-batches,
of a rule that takes them at such a rate. A rule `lands` if in the exact metric at rate 1 each of its steps is
Newton's, so that what a step leaves is rounding. `rate` is what a rule that scales each
coordinate itself steps by where nobody says.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from gdregress.objectives import Evaluation

FEATURES = {
    "float": "a number as learning_rate",
    "lipschitz": "learning_rate='lipschitz'",
    "diagonal": "learning_rate='diagonal'",
    "curvature": "learning_rate='curvature'",
    "prox": "an L1 penalty or positive=True",
    "matrix prox": "an L1 penalty or positive=True with learning_rate='curvature'",
    "any loss": "a loss other than 'squared_error'",
    "schedule": "a schedule other than 'constant'",
    "batches": "mini-batches (batch_size, partial_fit)",
    "average": "average",
}
"""What a rule may take, and the words for it."""

RATES = frozenset({"float", "lipschitz", "diagonal", "curvature"})
TRAVELLING = frozenset({"prox", "any loss", "schedule", "average"})


class Step(NamedTuple):
    """Where an epoch led: the point, the objective there, the rate taken, and what the rule remembers.

    It `is_stuck` where the rule has looked for a step and found none that lowers the objective.
    """

    point: NDArray
    evaluation: Evaluation
    rate: float = float("nan")
    memory: Any = None
    is_stuck: bool = False


class Optimizer(Protocol):
    """What a descent needs of an update rule."""

    takes: frozenset[str]
    lands: bool

    @property
    def stability(self) -> float:
        """Rate, in units of 1/L, from which on the rule diverges."""
        ...

    def start(self, point: NDArray, objective: Any) -> Step:
        """Make the step that a descent starts from."""
        ...

    def update(self, last: Step, objective: Any, metric: Any, rate: float) -> Step:
        """Take the step of an epoch."""
        ...


@dataclass(frozen=True)
class GradientDescent:
    """Plain descent (Cauchy, 1847), proximal: ``w <- prox(w - eta P g)``."""

    takes = RATES | TRAVELLING | {"batches"}
    batch_share = 1.0
    stability = 2.0
    lands = True

    def start(self, point, objective):
        """Remember nothing."""
        return Step(point, *objective.evaluate([point]))

    def update(self, last, objective, metric, rate):
        """Take the step of an epoch."""
        point = last.point - rate * metric(last.evaluation.gradient)
        point = objective.penalty.prox(point, rate * metric.scale)
        [there] = objective.evaluate([point])
        return Step(point, there, rate)


@dataclass(frozen=True)
class Momentum:
    """Heavy ball (Polyak, 1964; proximal: Ochs et al., 2014).

    With beta = `momentum`; plain descent where it is 0::

        v  <- beta v - eta P g
        w+ = prox(w + v),    v <- w+ - w
    """

    momentum: float = 0.9
    takes = RATES | TRAVELLING | {"batches"}
    lands = False

    @property
    def batch_share(self):
        """Share of plain descent's rate that suits mini-batches: 1 - beta, for each step is taken again and again."""
        return 1.0 - self.momentum

    @property
    def stability(self):
        """Rate, in units of 1/L, from which on the rule diverges: 2 (1 + beta)."""
        return 2.0 * (1.0 + self.momentum)

    def start(self, point, objective):
        """Remember no velocity."""
        return Step(point, *objective.evaluate([point]), memory=np.zeros_like(point))

    def update(self, last, objective, metric, rate):
        """Take the step of an epoch."""
        velocity = self.momentum * last.memory - rate * metric(last.evaluation.gradient)
        ahead = last.point + velocity
        point = objective.penalty.prox(ahead, rate * metric.scale)
        [there] = objective.evaluate([point])
        return Step(point, there, rate, velocity if point is ahead else point - last.point)


@dataclass(frozen=True)
class Nesterov:
    """Accelerated descent (Nesterov, 1983; Beck and Teboulle, 2009) with adaptive restart.

    From a point v ahead of w, where the gradient is g, with t = 1 at the start::

        w+ = prox(v - eta P g)
        t+ = (1 + sqrt(1 + 4 t^2)) / 2
        v+ = w+ + (t - 1) / t+ (w+ - w)

    An output whose step goes uphill, G . (w+ - w) > 0, starts over with t = 1 (O'Donoghue and
    Candes, 2015); G is g and the subgradient that the prox has taken.
    """

    takes = RATES | TRAVELLING
    stability = 4.0 / 3.0
    lands = True

    def start(self, point, objective):
        """Remember the point itself as the one ahead, its gradient, and t = 1."""
        [here] = objective.evaluate([point])
        return Step(point, here, memory=(point, here.gradient, np.ones(point.shape[1])))

    def update(self, last, objective, metric, rate):
        """Take the step of an epoch."""
        ahead, gradient, t = last.memory
        landed = ahead - rate * metric(gradient)
        point = objective.penalty.prox(landed, rate * metric.scale)
        if point is not landed and rate > 0:
            gradient = gradient + (landed - point) / (rate * metric.scale)
        moved = point - last.point
        t = np.where((gradient * moved).sum(axis=0) > 0, 1.0, t)
        t_next = (1.0 + np.sqrt(1.0 + 4.0 * t * t)) / 2.0
        ahead = point + (t - 1.0) / t_next * moved
        there, beyond = objective.evaluate([point, ahead])
        return Step(point, there, rate, (ahead, beyond.gradient, t_next))


@dataclass(frozen=True)
class Conjugate:
    """Conjugate gradient (Hestenes and Stiefel, 1952): best rate and momentum at every epoch.

    On a quadratic, the gradient g' at a trial point w + d shows the curvature along d, and with
    it the lowest point of the line::

        d <- -P g + max(0, g . P (g - g_last) / g_last . P g_last) d     (Polak and Ribiere)
        s  = -g . d / d . (g' - g)
        w <- w + s d,    g <- g' + (s - 1) (g' - g)

    One point an epoch is enough. The rounding of the g that a step foretells, in units of an evaluation's,
    is s + abs(s - 1) times that of the last; where that may have grown to more than `CARRIED`, g is
    evaluated beside g', in the same trip through the data. The trial point lies at the last rate (at
    first: at eta), which keeps s near 1. What an evaluated g differs by from what was foretold is
    rounding: an output whose slope or curvature along d is no larger stays, and starts over from its
    gradient.
    """

    takes = RATES - {"float"}
    stability = float("inf")
    lands = False

    CARRIED = 1.5

    def start(self, point, objective):
        """Remember no direction, no rounding but that of an evaluation, and the length of the step of rate 1."""
        [here] = objective.evaluate([point])
        nothing, one = np.zeros_like(point), np.ones(point.shape[1])
        return Step(point, here, memory=(nothing, here.gradient, nothing, nothing, one, one))

    def update(self, last, objective, metric, rate):
        """Take the step of an epoch."""
        direction, last_gradient, last_downhill, rounding, factor, carried = last.memory
        foretold = last.evaluation.gradient
        downhill = metric(foretold)
        growth = (downhill * (foretold - last_gradient)).sum(axis=0)
        beta = _ratio(growth, (last_gradient * last_downhill).sum(axis=0))
        direction = np.maximum(beta, 0.0) * direction - downhill
        length = rate * factor
        trial = last.point + length * direction
        is_known = (carried <= self.CARRIED).all()
        *here, there = objective.evaluate([trial] if is_known else [last.point, trial])
        gradient = foretold
        if here:
            gradient, carried = here[0].gradient, np.ones_like(carried)
            rounding = np.maximum(np.abs(gradient - foretold), 0.5 * rounding)
        bend = there.gradient - gradient
        curvature = (direction * bend).sum(axis=0)
        slope = (gradient * direction).sum(axis=0)
        least = (rounding * np.abs(direction)).sum(axis=0)
        s = np.where(np.minimum(-slope, curvature) > least, _ratio(-slope, curvature), 0.0)
        beyond = s - 1.0
        lowest = Evaluation(
            there.value - 0.5 * length * beyond * beyond * curvature,
            there.gradient + beyond * bend,
        )
        point = trial + beyond * length * direction
        carried = s + np.abs(beyond) * carried
        memory = (direction, gradient, downhill, rounding, np.where(s > 0, s * factor, factor), carried)
        return Step(point, lowest, float((s * length).mean()), memory, is_stuck=not s.any())


@dataclass(frozen=True)
class Newton:
    """Descent in the curvature of the point where it stands, damped and proximal (Lee, Sun and Saunders, 2014).

    With H the second derivatives at w and M those of a quadratic that touches the objective there
    and lies above it (iteratively reweighted least squares), an epoch minimises ::

        g . (z - w) + (z - w)' H_d (z - w) / 2 + penalty(z),    H_d = (1 - d) H + d M

    for several dampings d about the last, d = 1 among them, which cannot go uphill, goes to the
    lowest of them, and, but for the least d, some times as far if that is lower still. One or two
    trips compare the points, another evaluates the one it took.
    """

    takes = frozenset({"curvature", "prox", "matrix prox", "any loss"})
    stability = float("inf")
    lands = False

    FIRST, LEAST = 1e-2, 1e-7
    AROUND = (0.03, 0.3, 3.0)
    TIMES = (0.25, 0.5, 2.0, 4.0)
    IDLE = 3

    def start(self, point, objective):
        """Remember a damping, and that no epoch was without gain."""
        here = objective.evaluate_with_curvatures(point)
        return Step(point, here, memory=(np.full_like(here.value, self.FIRST), 0))

    def update(self, last, objective, metric, rate):
        """Take the step of an epoch."""
        damping, idle = last.memory
        (second, above), value = last.evaluation.curvatures, last.evaluation.descended
        dampings = [np.clip(damping * around, self.LEAST, 1.0) for around in self.AROUND] + [np.ones_like(damping)]
        if second is above and all(definite(each, FLOOR) is each for each in above):
            dampings = dampings[-1:]  # a quadratic is its own model, and damping is for what is singular
        trials = [self._trial(last, objective, each) for each in dampings]
        noise = objective.noise
        point, lowest, best = _lowest([*trials, last.point], [*objective.values(trials), value], noise)
        if best.any():
            further = [last.point + times * (point - last.point) for times in self.TIMES]
            further = [objective.penalty.prox(each, 0.0) for each in further]  # back to where it may be
            point, lowest, _ = _lowest([point, *further], [lowest, *objective.values(further)], noise)
        raised = np.minimum(10.0 * damping, 1.0)
        damping = np.choose(best, [*dampings[:-1], raised, raised])
        idle = 0 if (value - lowest > TIE * np.abs(value) + noise).any() else idle + 1
        if idle >= self.IDLE or (best == len(trials)).all():
            return last._replace(rate=0.0, memory=(damping, idle), is_stuck=True)
        return Step(point, objective.evaluate_with_curvatures(point), 1.0, (damping, idle))

    def _trial(self, last: Step, objective: Any, damping: NDArray) -> NDArray:
        """Give the minimum of the model of each output; a step of the prox where that is not to be had."""
        gradient = last.evaluation.gradient
        trial = np.empty_like(last.point)
        seconds, aboves = last.evaluation.curvatures
        for k, (second, above) in enumerate(zip(seconds, aboves, strict=True)):
            model = second + damping[k] * (above - second)
            largest = float(np.trace(above))
            here = last.point[:, k]
            if objective.penalty.is_smooth:
                trial[:, k] = here - newton_step(model, gradient[:, k])
                continue
            model = definite(model, max(FLOOR, DAMPED * damping[k]))
            minimum = objective.penalty.model_minimum(model, model @ here - gradient[:, k], here, k)
            if minimum is None:
                short = last.point - gradient / largest
                minimum = objective.penalty.prox(short, 1.0 / largest)[:, k]
            trial[:, k] = minimum
        return trial


@dataclass(frozen=True)
class AdaGrad:
    """A rate for each coordinate that falls with the gradients seen (Duchi, Hazan and Singer, 2011).

    ``G <- G + g^2,  w <- prox(w - eta g / sqrt(G))``; the prox takes the step of each coordinate.
    """

    takes = frozenset({"float", "diagonal", "batches"}) | TRAVELLING
    stability = float("inf")
    lands = False
    rate = 0.5

    def start(self, point, objective):
        """Remember no gradients."""
        return Step(point, *objective.evaluate([point]), memory=np.zeros_like(point))

    def update(self, last, objective, metric, rate):
        """Take the step of an epoch, or of a batch."""
        gradient = last.evaluation.gradient
        squares = last.memory + gradient * gradient
        return _scaled_step(last, objective, gradient, np.sqrt(squares), rate, squares)


@dataclass(frozen=True)
class RMSProp:
    """The gradient over the root of its running mean square (Tieleman and Hinton, 2012).

    ``v <- rho v + (1 - rho) g^2,  w <- prox(w - eta g / sqrt(v))``
    """

    decay: float = 0.9
    takes = AdaGrad.takes
    stability = float("inf")
    lands = False
    rate = 0.01

    def start(self, point, objective):
        """Remember no gradients."""
        return Step(point, *objective.evaluate([point]), memory=np.zeros_like(point))

    def update(self, last, objective, metric, rate):
        """Take the step of an epoch, or of a batch."""
        gradient = last.evaluation.gradient
        squares = self.decay * last.memory + (1.0 - self.decay) * gradient * gradient
        return _scaled_step(last, objective, gradient, np.sqrt(squares), rate, squares)


@dataclass(frozen=True)
class Adam:
    """Running means of gradient and square, both freed of their start at 0 (Kingma and Ba, 2015).

    With beta = `momentum` and rho = `decay`, after k steps::

        m <- beta m + (1 - beta) g,    v <- rho v + (1 - rho) g^2
        w <- prox(w - eta (m / (1 - beta^k)) / sqrt(v / (1 - rho^k)))
    """

    momentum: float = 0.9
    decay: float = 0.999
    takes = AdaGrad.takes
    stability = float("inf")
    lands = False
    rate = 0.05

    def start(self, point, objective):
        """Remember no gradients."""
        return Step(point, *objective.evaluate([point]), memory=(np.zeros_like(point), np.zeros_like(point), 0))

    def update(self, last, objective, metric, rate):
        """Take the step of an epoch, or of a batch."""
        mean, squares, k = last.memory
        gradient, k = last.evaluation.gradient, k + 1
        mean = self.momentum * mean + (1.0 - self.momentum) * gradient
        squares = self.decay * squares + (1.0 - self.decay) * gradient * gradient
        direction = mean / (1.0 - self.momentum**k)
        return _scaled_step(
            last, objective, direction, np.sqrt(squares / (1.0 - self.decay**k)), rate, (mean, squares, k)
        )


OPTIMIZERS: dict[str, Callable[[float], Any]] = {
    "gd": lambda momentum: GradientDescent(),
    "momentum": Momentum,
    "nesterov": lambda momentum: Nesterov(),
    "conjugate": lambda momentum: Conjugate(),
    "newton": lambda momentum: Newton(),
    "adagrad": lambda momentum: AdaGrad(),
    "rmsprop": lambda momentum: RMSProp(),
    "adam": Adam,
}
"""The rules by name, made from `momentum`."""

SINGULAR = 1e-13
"""Ratio of the least pivot of a matrix to its largest below which it counts as singular."""

FLOOR = 1e-6
"""Share of its mean diagonal that a singular matrix gets in every direction: rounding is not to move it."""

DAMPED = 0.1
"""The same as a share of the damping, for the parabolas above are flat where the data are."""

TIE = 1e-14
"""Relative difference of two values of the objective below which neither is lower."""

TINY = 1e-8
"""What the root of a mean square is at least, as the authors have it, so that nothing is divided by 0."""


def newton_step(curvature: NDArray, gradient: NDArray) -> NDArray:
    """Solve for the step of a gradient; where the matrix is singular, along what it does show."""
    if definite(curvature, FLOOR) is curvature:
        return lapack.dposv(curvature, gradient, lower=1)[1]
    if not np.isfinite(curvature).all():
        return np.zeros_like(gradient)
    values, directions = np.linalg.eigh(curvature)
    shown = values > SINGULAR * values[-1]
    return directions[:, shown] @ (directions[:, shown].T @ gradient / values[shown])


def definite(curvature: NDArray, floor: float) -> NDArray:
    """Give a matrix of second derivatives itself, or where it is singular, with a share of its diagonal more."""
    factor, info = lapack.dpotrf(curvature, lower=1)
    pivots = np.diagonal(factor) ** 2
    if info == 0 and pivots.min() > SINGULAR * pivots.max():
        return curvature
    raised, mean = curvature.copy(), np.trace(curvature) / len(curvature)
    raised.flat[:: len(raised) + 1] += floor * mean + np.finfo(np.float64).tiny
    return raised


def _scaled_step(last: Step, objective: Any, direction: NDArray, scale: NDArray, rate: float, memory: Any) -> Step:
    """Divide a direction by a scale, coordinate by coordinate, and let the prox take the same step."""
    step = rate / (scale + TINY)
    point = objective.penalty.prox(last.point - step * direction, step)
    [there] = objective.evaluate([point])
    return Step(point, there, rate, memory)


def _lowest(points: list[NDArray], values: list[NDArray], noise: NDArray | float) -> tuple[NDArray, NDArray, NDArray]:
    """Give, for each output, the point of the lowest value, that value, and which it is.

    Of values that rounding alone may have ordered, their own or the noise of an objective that is a small
    difference, it is the first: so two copies of a row lead where one of twice the weight does, and a step
    whose gain drowns in that noise is taken.
    """
    stacked = np.array(values)
    stacked = np.where(np.isfinite(stacked), stacked, np.inf)
    lowest = stacked.min(axis=0)
    best = (stacked <= lowest + TIE * np.abs(lowest) + noise).argmax(axis=0)
    return np.choose(best, points), np.choose(best, values), best


def _ratio(numerator: NDArray, denominator: NDArray) -> NDArray:
    """Divide, with 0 where the denominator is not positive: an output that has arrived stays."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
