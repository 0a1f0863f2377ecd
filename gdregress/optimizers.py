"""Update rules: frozen settings, and pure functions from one step to the next.

A rule sees the last step, to a point w where the gradient is g, the metric P and the rate eta,
and calls `evaluate(*points)` once an epoch: one trip through the data, however many points it
asks about. Sums run over coordinates, so that several outputs descend side by side, each on its
own.

`stability` is the rate, in units of 1/L for the largest curvature L of a quadratic, from which
on the rule diverges; infinite for a rule that finds its own rate. A rule `lands` if in the exact
metric at rate 1 each of its steps is Newton's, so that what a step leaves is rounding.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gdregress.objectives import Evaluation

Evaluate = Callable[..., list[Evaluation]]
Metric = Callable[[NDArray], NDArray]


class Step(NamedTuple):
    """Where an epoch led: the point, the objective there, the rate taken, and what the rule remembers."""

    point: NDArray
    evaluation: Evaluation
    rate: float = float("nan")
    memory: Any = None


class Optimizer(Protocol):
    """What a descent needs of an update rule."""

    @property
    def stability(self) -> float:
        """Rate, in units of 1/L, from which on the rule diverges."""
        ...

    @property
    def lands(self) -> bool:
        """Whether each of its steps, in the exact metric, is Newton's."""
        ...

    def start(self, point: NDArray, evaluation: Evaluation) -> Step:
        """Make the step that a descent starts from."""
        ...

    def update(self, last: Step, evaluate: Evaluate, metric: Metric, rate: float) -> Step:
        """Take the step of an epoch."""
        ...


@dataclass(frozen=True)
class GradientDescent:
    """Plain descent (Cauchy, 1847): ``w <- w - eta P g``."""

    stability = 2.0
    lands = True

    def start(self, point, evaluation):
        """Remember nothing."""
        return Step(point, evaluation)

    def update(self, last, evaluate, metric, rate):
        """Take the step of an epoch."""
        point = last.point - rate * metric(last.evaluation.gradient)
        [there] = evaluate(point)
        return Step(point, there, rate)


@dataclass(frozen=True)
class Momentum:
    """Heavy ball (Polyak, 1964).

    With beta = `momentum`; plain descent where it is 0::

        v <- beta v - eta P g
        w <- w + v
    """

    momentum: float = 0.9
    lands = False

    @property
    def stability(self):
        """Rate, in units of 1/L, from which on the rule diverges: 2 (1 + beta)."""
        return 2.0 * (1.0 + self.momentum)

    def start(self, point, evaluation):
        """Remember no velocity."""
        return Step(point, evaluation, memory=np.zeros_like(point))

    def update(self, last, evaluate, metric, rate):
        """Take the step of an epoch."""
        velocity = self.momentum * last.memory - rate * metric(last.evaluation.gradient)
        point = last.point + velocity
        [there] = evaluate(point)
        return Step(point, there, rate, velocity)


@dataclass(frozen=True)
class Nesterov:
    """Accelerated descent (Nesterov, 1983; Beck and Teboulle, 2009) with adaptive restart.

    From a point v ahead of w, where the gradient is g, with t = 1 at the start::

        w+ = v - eta P g
        t+ = (1 + sqrt(1 + 4 t^2)) / 2
        v+ = w+ + (t - 1) / t+ (w+ - w)

    An output whose step goes uphill, g . (w+ - w) > 0, starts over with t = 1 (O'Donoghue and
    Candes, 2015).
    """

    stability = 4.0 / 3.0
    lands = True

    def start(self, point, evaluation):
        """Remember the point itself as the one ahead, its gradient, and t = 1."""
        return Step(point, evaluation, memory=(point, evaluation.gradient, np.ones(point.shape[1])))

    def update(self, last, evaluate, metric, rate):
        """Take the step of an epoch."""
        ahead, gradient, t = last.memory
        point = ahead - rate * metric(gradient)
        moved = point - last.point
        t = np.where((gradient * moved).sum(axis=0) > 0, 1.0, t)
        t_next = (1.0 + np.sqrt(1.0 + 4.0 * t * t)) / 2.0
        ahead = point + (t - 1.0) / t_next * moved
        there, beyond = evaluate(point, ahead)
        return Step(point, there, rate, (ahead, beyond.gradient, t_next))


@dataclass(frozen=True)
class Conjugate:
    """Conjugate gradient (Hestenes and Stiefel, 1952): best rate and momentum at every epoch.

    On a quadratic, the gradient g' at a trial point w + d shows the curvature along d, and with
    it the lowest point of the line::

        d <- -P g + max(0, g . P (g - g_last) / g_last . P g_last) d     (Polak and Ribiere)
        s  = -g . d / d . (g' - g)
        w <- w + s d,    g <- g' + (s - 1) (g' - g)

    One trip through the data an epoch is enough: g is evaluated beside g', so that the rounding
    of a step is not carried into the next. The trial point lies at the last rate (at first: at
    eta), which keeps s near 1. What g differs by from what the last step foretold is rounding: an
    output whose slope or curvature along d is no larger stays, and starts over from its gradient.
    """

    stability = float("inf")
    lands = False

    def start(self, point, evaluation):
        """Remember no direction and no rounding."""
        nothing = np.zeros_like(point)
        return Step(point, evaluation, memory=(nothing, evaluation.gradient, nothing, nothing, np.ones(point.shape[1])))

    def update(self, last, evaluate, metric, rate):
        """Take the step of an epoch."""
        direction, last_gradient, last_downhill, rounding, factor = last.memory
        foretold = last.evaluation.gradient
        downhill = metric(foretold)
        growth = (downhill * (foretold - last_gradient)).sum(axis=0)
        beta = _ratio(growth, (last_gradient * last_downhill).sum(axis=0))
        direction = np.maximum(beta, 0.0) * direction - downhill
        length = rate * factor
        trial = last.point + length * direction
        here, there = evaluate(last.point, trial)
        bend = there.gradient - here.gradient
        curvature = (direction * bend).sum(axis=0)
        slope = (here.gradient * direction).sum(axis=0)
        rounding = np.maximum(np.abs(here.gradient - foretold), rounding)
        least = (rounding * np.abs(direction)).sum(axis=0)
        s = np.where(np.minimum(-slope, curvature) > least, _ratio(-slope, curvature), 0.0)
        beyond = s - 1.0
        lowest = Evaluation(
            there.value - 0.5 * length * beyond * beyond * curvature,
            there.gradient + beyond * bend,
        )
        point = trial + beyond * length * direction
        moved = s > 0
        rounding = np.where(moved, 0.5, 1.0) * rounding
        memory = (direction, here.gradient, downhill, rounding, np.where(moved, s * factor, factor))
        return Step(point, lowest, float((s * length).mean()), memory)


def _ratio(numerator: NDArray, denominator: NDArray) -> NDArray:
    """Divide, with 0 where the denominator is not positive: an output that has arrived stays."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
