"""Update rules: frozen settings, and pure functions from one step to the next.

A rule sees the last step, to a point w where the gradient is g, the preconditioner P and the rate eta,
and asks the objective once an epoch: one trip through the data, however many points it
asks about. Sums run over coordinates, so that several outputs descend side by side, each on its
own. Every rule is proximal: what of the penalty is not smooth comes in by the prox, in the step
that the rule itself has given each coordinate.

Each rule says what it takes, in the words of `FEATURES`. `stability` is the rate, in units of
1/L for the largest curvature L of a quadratic, from which on the rule diverges; infinite for a
rule that finds its own rate. `batch_share` is what of a rate for plain descent suits mini-batches,
of a rule that takes them at such a rate. A rule `is_exact` if its first step at rate 1 in the inverse Hessian of a
quadratic is Newton's, so that what the step leaves is rounding. `rate` is what a rule that finds its own rate
starts with where nobody says.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gdregress.problem.objectives import Evaluation

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
    """Where an epoch led.

    Attributes
    ----------
    point : ndarray of shape (n_coordinates, n_outputs)
        The point.
    evaluation : Evaluation
        The objective there.
    rate : float
        The rate taken; NaN at the start, where none was.
    memory : object
        What the rule remembers.
    is_stuck : bool
        Whether the rule has found no step that lowers the objective.
    """

    point: NDArray
    evaluation: Evaluation
    rate: float = float("nan")
    memory: Any = None
    is_stuck: bool = False


class Optimizer(Protocol):
    """What a descent needs of an update rule."""

    takes: frozenset[str]
    is_exact: bool

    @property
    def stability(self) -> float:
        """Rate, in units of 1/L, from which on the rule diverges."""
        ...

    def start(self, point: NDArray, here: Evaluation) -> Step:
        """Return the step that a descent starts from, given the objective at its point."""
        ...

    def update(self, last: Step, objective: Any, preconditioner: Any, rate: float) -> Step:
        """Take the step of an epoch."""
        ...


@dataclass(frozen=True)
class GradientDescent:
    """Plain descent (Cauchy, 1847), proximal: ``w <- prox(w - eta P g)``."""

    takes = RATES | TRAVELLING | {"batches"}
    batch_share = 1.0
    stability = 2.0
    is_exact = True

    def start(self, point, here):
        """Remember nothing."""
        return Step(point, here)

    def update(self, last, objective, preconditioner, rate):
        """Take the step of an epoch."""
        point = last.point - rate * preconditioner(last.evaluation.gradient)
        point = preconditioner.prox(objective.penalty, point, rate)
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
    is_exact = False

    @property
    def batch_share(self):
        """Share of plain descent's rate that suits mini-batches: 1 - beta, for each step is taken again and again."""
        return 1.0 - self.momentum

    @property
    def stability(self):
        """Rate, in units of 1/L, from which on the rule diverges: 2 (1 + beta)."""
        return 2.0 * (1.0 + self.momentum)

    def start(self, point, here):
        """Remember no velocity."""
        return Step(point, here, memory=np.zeros_like(point))

    def update(self, last, objective, preconditioner, rate):
        """Take the step of an epoch."""
        velocity = self.momentum * last.memory - rate * preconditioner(last.evaluation.gradient)
        ahead = last.point + velocity
        point = preconditioner.prox(objective.penalty, ahead, rate)
        [there] = objective.evaluate([point])
        return Step(point, there, rate, velocity if objective.penalty.is_smooth else point - last.point)


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
    is_exact = True

    def start(self, point, here):
        """Remember the point itself as the one ahead, its gradient, and t = 1."""
        return Step(point, here, memory=(point, here.gradient, np.ones(point.shape[1])))

    def update(self, last, objective, preconditioner, rate):
        """Take the step of an epoch."""
        ahead, gradient, t = last.memory
        landed = ahead - rate * preconditioner(gradient)
        point = preconditioner.prox(objective.penalty, landed, rate)
        if rate > 0 and not objective.penalty.is_smooth:
            gradient = gradient + preconditioner.inverse(landed - point) / rate
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
    is_exact = False
    rate = 0.5

    CARRIED = 1.5

    def start(self, point, here):
        """Remember no direction, no rounding but that of an evaluation, and the length of the step of rate 1."""
        nothing, one = np.zeros_like(point), np.ones(point.shape[1])
        return Step(point, here, memory=(nothing, here.gradient, nothing, nothing, one, one))

    def update(self, last, objective, preconditioner, rate):
        """Take the step of an epoch."""
        direction, last_gradient, last_downhill, rounding, factor, carried = last.memory
        foretold = last.evaluation.gradient
        downhill = preconditioner(foretold)
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
class AdaGrad:
    """A rate for each coordinate that falls with the gradients seen (Duchi, Hazan and Singer, 2011).

    ``G <- G + g^2,  w <- prox(w - eta g / sqrt(G))``; the prox takes the step of each coordinate.
    """

    takes = frozenset({"float", "diagonal", "batches"}) | TRAVELLING
    stability = float("inf")
    is_exact = False
    rate = 0.5

    def start(self, point, here):
        """Remember no gradients."""
        return Step(point, here, memory=np.zeros_like(point))

    def update(self, last, objective, preconditioner, rate):
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
    is_exact = False
    rate = 0.01

    def start(self, point, here):
        """Remember no gradients."""
        return Step(point, here, memory=np.zeros_like(point))

    def update(self, last, objective, preconditioner, rate):
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
    is_exact = False
    rate = 0.05

    def start(self, point, here):
        """Remember no gradients."""
        return Step(point, here, memory=(np.zeros_like(point), np.zeros_like(point), 0))

    def update(self, last, objective, preconditioner, rate):
        """Take the step of an epoch, or of a batch."""
        mean, squares, k = last.memory
        gradient, k = last.evaluation.gradient, k + 1
        mean = self.momentum * mean + (1.0 - self.momentum) * gradient
        squares = self.decay * squares + (1.0 - self.decay) * gradient * gradient
        direction = mean / (1.0 - self.momentum**k)
        return _scaled_step(
            last, objective, direction, np.sqrt(squares / (1.0 - self.decay**k)), rate, (mean, squares, k)
        )


TINY = 1e-8
"""What the root of a mean square is at least, as the authors have it, so that nothing is divided by 0."""


def _scaled_step(last: Step, objective: Any, direction: NDArray, scale: NDArray, rate: float, memory: Any) -> Step:
    """Divide a direction by a scale, coordinate by coordinate, and let the prox take the same step."""
    step = rate / (scale + TINY)
    point = objective.penalty.prox(last.point - step * direction, step)
    [there] = objective.evaluate([point])
    return Step(point, there, rate, memory)


def _ratio(numerator: NDArray, denominator: NDArray) -> NDArray:
    """Divide, with 0 where the denominator is not positive: an output that has arrived stays."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
