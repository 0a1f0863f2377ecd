"""Update rules: frozen settings, and pure functions from one step to the next.

An update starts from a point w with the gradient g, and has a preconditioner P and a learning rate eta. It evaluates
the objective in one pass over X, at one or two points. Sums run over coordinates, so several outputs descend side by
side, independently of each other. Every rule is proximal: L1 and signs enter through a prox whose step sizes are those
of the rule, coordinate by coordinate.

Each rule declares:

- `takes`, the features that it supports: keys of `FEATURES`;
- `stability`, the rate above which it diverges on a quadratic, in units of 1/L, with L the largest curvature;
  infinite where it never does;
- `is_exact`, whether its first step at rate 1 is Newton's, if P is the inverse Hessian of a quadratic: the step then
  reaches the minimum up to rounding;
- `batch_share`, the share of plain descent's rate that it takes on mini-batches;
- `own_rate`, the learning rate that a rule which adapts its own starts with; None for a rule that needs one that suits
  the curvature;
- `has_bounded_steps`, whether an update moves a coordinate by no more than some rates, however large the gradient: the
  number of updates from a distant start is then in proportion to its distance.
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
"""The features that a rule may support, with the words that name them in messages."""

RATES = frozenset({"float", "lipschitz", "diagonal", "curvature"})
"""The features that are rungs of the ladder of learning rates."""

TRAVELLING = frozenset({"prox", "any loss", "schedule", "average"})
"""The features that every rule supports which moves at a rate given from outside."""


class Step(NamedTuple):
    """The result of an update.

    Attributes
    ----------
    point : ndarray of shape (n_coordinates, n_outputs)
        The point that was reached.
    evaluation : Evaluation
        The objective and its gradient there.
    rate : float or None, default=None
        Learning rate of the update; None at the start, to which none has led.
    memory : object, default=None
        State of the rule for the next update.
    is_stuck : bool, default=False
        Whether the rule found no step that lowers the objective.
    is_predicted : bool, default=False
        Whether the evaluation is predicted, with a rounding error larger than that of an evaluation.
    """

    point: NDArray
    evaluation: Evaluation
    rate: float | None = None
    memory: Any = None
    is_stuck: bool = False
    is_predicted: bool = False


class Optimizer(Protocol):
    """The interface of an update rule.

    Attributes
    ----------
    takes : frozenset of str
        Features that the rule supports: keys of `FEATURES`.
    is_exact : bool
        Whether the first step at rate 1 in the inverse Hessian of a quadratic reaches the minimum up to rounding.
    has_bounded_steps : bool
        Whether an update moves a coordinate by no more than some rates, however large the gradient.
    """

    takes: frozenset[str]
    is_exact: bool
    has_bounded_steps: bool

    @property
    def own_rate(self) -> float | None:
        """Learning rate that a rule which adapts its own starts with; None for a rule that needs one."""
        ...

    @property
    def batch_share(self) -> float:
        """Share of plain descent's rate that suits mini-batches."""
        ...

    @property
    def stability(self) -> float:
        """Rate above which the rule diverges on a quadratic, in units of 1/L."""
        ...

    def start(self, point: NDArray, here: Evaluation) -> Step:
        """Return the state before the first update, from a point and the objective there."""
        ...

    def update(self, last: Step, objective: Any, preconditioner: Any, rate: float) -> Step:
        """Return the step that follows another.

        Parameters
        ----------
        last : Step
            The last step.
        objective : Objective
            The objective, of all rows or of a mini-batch.
        preconditioner : Preconditioner
            P.
        rate : float
            eta.
        """
        ...


@dataclass(frozen=True)
class GradientDescent:
    """Plain descent (Cauchy, 1847), proximal: ``w <- prox(w - eta P g)``."""

    takes = RATES | TRAVELLING | {"batches"}
    batch_share = 1.0
    stability = 2.0
    is_exact = True
    own_rate = None
    has_bounded_steps = False

    def start(self, point, here):
        """Start without memory."""
        return Step(point, here)

    def update(self, last, objective, preconditioner, rate):
        """Return the next step."""
        point = last.point - rate * preconditioner(last.evaluation.gradient)
        point = objective.penalty.prox(point, rate)
        [there] = objective.evaluate([point])
        return Step(point, there, rate)


@dataclass(frozen=True)
class Momentum:
    """Heavy ball (Polyak, 1964; proximal: Ochs et al., 2014).

    With beta = `momentum`; equals plain descent when beta = 0::

        v  <- beta v - eta P g
        w+ = prox(w + v),    v <- w+ - w
    """

    momentum: float = 0.9
    takes = RATES | TRAVELLING | {"batches"}
    is_exact = False
    own_rate = None
    has_bounded_steps = False

    @property
    def batch_share(self):
        """Share of plain descent's rate: 1 - beta, since every gradient moves w by eta / (1 - beta) in all."""
        return 1.0 - self.momentum

    @property
    def stability(self):
        """Rate above which the rule diverges on a quadratic, in units of 1/L: 2 (1 + beta)."""
        return 2.0 * (1.0 + self.momentum)

    def start(self, point, here):
        """Start with v = 0."""
        return Step(point, here, memory=np.zeros_like(point))

    def update(self, last, objective, preconditioner, rate):
        """Return the next step."""
        velocity = self.momentum * last.memory - rate * preconditioner(last.evaluation.gradient)
        ahead = last.point + velocity
        point = objective.penalty.prox(ahead, rate)
        [there] = objective.evaluate([point])
        return Step(point, there, rate, velocity if objective.penalty.is_smooth else point - last.point)


@dataclass(frozen=True)
class Nesterov:
    """Accelerated descent (Nesterov, 1983; Beck and Teboulle, 2009) with adaptive restart.

    With v a point ahead of w, g the gradient at v, and t = 1 and v = w at the start::

        w+ = prox(v - eta P g)
        t+ = (1 + sqrt(1 + 4 t^2)) / 2
        v+ = w+ + (t - 1) / t+ (w+ - w)

    An output whose step goes uphill, G . (w+ - w) > 0, restarts with t = 1 (O'Donoghue and Candes, 2015). G is the
    sum of g and the subgradient of the penalty at w+.
    """

    takes = RATES | TRAVELLING
    batch_share = 1.0
    stability = 4.0 / 3.0
    is_exact = True
    own_rate = None
    has_bounded_steps = False

    def start(self, point, here):
        """Start with v = w and t = 1."""
        return Step(point, here, memory=(point, here.gradient, np.ones(point.shape[1])))

    def update(self, last, objective, preconditioner, rate):
        """Return the next step."""
        ahead, gradient, t = last.memory
        landed = ahead - rate * preconditioner(gradient)
        point = objective.penalty.prox(landed, rate)
        if rate > 0 and not objective.penalty.is_smooth:
            gradient = gradient + (landed - point) / rate
        moved = point - last.point
        t = np.where((gradient * moved).sum(axis=0) > 0, 1.0, t)
        t_next = (1.0 + np.sqrt(1.0 + 4.0 * t * t)) / 2.0
        ahead = point + (t - 1.0) / t_next * moved
        there, beyond = objective.evaluate([point, ahead])
        return Step(point, there, rate, (ahead, beyond.gradient, t_next))


@dataclass(frozen=True)
class Conjugate:
    """Conjugate gradient (Hestenes and Stiefel, 1952; Polak and Ribiere, 1969), for quadratics.

    The gradient g' at a trial point w + t d shows the curvature along d, and with it the minimum along the line::

        d <- -P g + max(0, beta) d,      beta = g . P (g - g_last) / (g_last . P g_last)
        s  = -(g . d) / (d . (g' - g)),  g' the gradient at w + t d
        w <- w + s t d
        g <- g' + (s - 1) (g' - g)

    The length t starts at eta and follows the steps, t <- s t, which keeps s near 1. Each update predicts the gradient
    at the new w, so one evaluation an epoch is enough. If r is the rounding error of g, in units of that of an
    evaluation, the prediction has s + abs(s - 1) r. Where it exceeds `CARRIED`, the next pass evaluates g beside g'.

    The difference between an evaluated and a predicted gradient is rounding, which is at least that of the gradient at
    the start. An output whose slope or curvature along d is no larger than that does not move, and restarts from its
    gradient.
    """

    takes = RATES - {"float"}
    batch_share = 1.0
    stability = float("inf")
    is_exact = False
    own_rate = 0.5
    has_bounded_steps = False

    CARRIED = 1.5
    """Rounding error of a predicted gradient, in units of an evaluation's, above which the gradient is evaluated."""

    def start(self, point, here):
        """Start with d = 0, t = eta, and a gradient with the rounding of one evaluation."""
        nothing, one = np.zeros_like(point), np.ones(point.shape[1])
        rounding = np.finfo(point.dtype).eps * np.abs(here.gradient)
        return Step(point, here, memory=(nothing, here.gradient, nothing, rounding, rounding, one, one))

    def update(self, last, objective, preconditioner, rate):
        """Return the next step."""
        direction, last_gradient, last_step, least_rounding, rounding, factor, carried = last.memory
        predicted = last.evaluation.gradient
        step = preconditioner(predicted)
        growth = (step * (predicted - last_gradient)).sum(axis=0)
        beta = _ratio(growth, (last_gradient * last_step).sum(axis=0))
        direction = np.maximum(beta, 0.0) * direction - step
        length = rate * factor
        trial = last.point + length * direction
        is_known = (carried <= self.CARRIED).all()
        *here, there = objective.evaluate([trial] if is_known else [last.point, trial])
        gradient = predicted
        if here:
            gradient = here[0].gradient
            rounding = np.maximum(np.abs(gradient - predicted) / carried, np.maximum(0.5 * rounding, least_rounding))
            carried = np.ones_like(carried)
        change = there.gradient - gradient
        curvature = (direction * change).sum(axis=0)
        slope = (gradient * direction).sum(axis=0)
        least = (rounding * np.abs(direction)).sum(axis=0)
        s = np.where(np.minimum(-slope, curvature) > least, _ratio(-slope, curvature), 0.0)
        beyond = s - 1.0
        lowest = there._replace(
            value=there.value - 0.5 * length * beyond * beyond * curvature,
            gradient=there.gradient + beyond * change,
        )
        point = trial + beyond * length * direction
        carried = s + np.abs(beyond) * carried
        factor = np.where(s > 0, s * factor, factor)
        memory = (direction, gradient, step, least_rounding, rounding, factor, carried)
        is_predicted = bool((carried > self.CARRIED).any())
        return Step(point, lowest, float((s * length).mean()), memory, not s.any(), is_predicted)


@dataclass(frozen=True)
class AdaGrad:
    """A learning rate for each coordinate, from the sum of its squared gradients (Duchi, Hazan and Singer, 2011).

    ``G <- G + g^2,  w <- prox(w - eta g / (sqrt(G) + 1e-8))``

    The 1e-8 has the unit of the gradient. In raw coordinates a gradient that is not far above it makes shorter steps.
    """

    takes = frozenset({"float", "diagonal", "batches"}) | TRAVELLING
    batch_share = 1.0
    stability = float("inf")
    is_exact = False
    own_rate = 0.5
    has_bounded_steps = True

    def start(self, point, here):
        """Start with G = 0."""
        return Step(point, here, memory=np.zeros_like(point))

    def update(self, last, objective, preconditioner, rate):
        """Return the next step."""
        gradient = last.evaluation.gradient
        squares = last.memory + gradient * gradient
        return _scaled_step(last, objective, gradient, np.sqrt(squares), rate, squares)


@dataclass(frozen=True)
class RMSProp:
    """A learning rate for each coordinate, from the running mean of its squared gradients (Tieleman and Hinton, 2012).

    ``v <- rho v + (1 - rho) g^2,  w <- prox(w - eta g / (sqrt(v) + 1e-8))``

    The 1e-8 has the unit of the gradient, as in `AdaGrad`.
    """

    decay: float = 0.9
    takes = AdaGrad.takes
    batch_share = 1.0
    stability = float("inf")
    is_exact = False
    own_rate = 0.01
    has_bounded_steps = True

    def start(self, point, here):
        """Start with v = 0."""
        return Step(point, here, memory=np.zeros_like(point))

    def update(self, last, objective, preconditioner, rate):
        """Return the next step."""
        gradient = last.evaluation.gradient
        squares = self.decay * last.memory + (1.0 - self.decay) * gradient * gradient
        return _scaled_step(last, objective, gradient, np.sqrt(squares), rate, squares)


@dataclass(frozen=True)
class Adam:
    """Running means of the gradient and its square, both corrected for their start at 0 (Kingma and Ba, 2015).

    With beta = `momentum` and rho = `decay`, after k steps::

        m <- beta m + (1 - beta) g,    v <- rho v + (1 - rho) g^2
        w <- prox(w - eta (m / (1 - beta^k)) / (sqrt(v / (1 - rho^k)) + 1e-8))

    The 1e-8 has the unit of the gradient, as in `AdaGrad`.
    """

    momentum: float = 0.9
    decay: float = 0.999
    takes = AdaGrad.takes
    batch_share = 1.0
    stability = float("inf")
    is_exact = False
    own_rate = 0.05
    has_bounded_steps = True

    def start(self, point, here):
        """Start with m = v = 0 and k = 0."""
        return Step(point, here, memory=(np.zeros_like(point), np.zeros_like(point), 0))

    def update(self, last, objective, preconditioner, rate):
        """Return the next step."""
        mean, squares, k = last.memory
        gradient, k = last.evaluation.gradient, k + 1
        mean = self.momentum * mean + (1.0 - self.momentum) * gradient
        squares = self.decay * squares + (1.0 - self.decay) * gradient * gradient
        direction = mean / (1.0 - self.momentum**k)
        return _scaled_step(
            last, objective, direction, np.sqrt(squares / (1.0 - self.decay**k)), rate, (mean, squares, k)
        )


EPSILON = 1e-8
"""Number that is added to the root of a mean square, so that no step is divided by 0 (Kingma and Ba, 2015)."""


def _scaled_step(last: Step, objective: Any, direction: NDArray, scale: NDArray, rate: float, memory: Any) -> Step:
    """Step along a direction divided by a scale, coordinate by coordinate, with a prox of the same step sizes."""
    step = rate / (scale + EPSILON)
    point = objective.penalty.prox(last.point - step * direction, step)
    [there] = objective.evaluate([point])
    return Step(point, there, rate, memory)


def _ratio(numerator: NDArray, denominator: NDArray) -> NDArray:
    """Divide; the quotient is 0 where the denominator is not positive, so an output at its minimum stays there."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
