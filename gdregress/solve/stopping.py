"""Reasons to stop: each looks at the epochs that have come, and says a sentence for the first at which it fires."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gdregress.method.choice import Method
from gdregress.method.spec import Spec
from gdregress.solve.trace import Epoch, Measured, Trace

FAR_ABOVE = 1e12
"""Times the objective of the start, or of the best constant, above which a descent has diverged."""


@dataclass(frozen=True)
class Result:
    """How a descent ended.

    Attributes
    ----------
    trace : Trace
        What it has shown.
    kept : Epoch
        The epoch to return.
    reason : str
        Why it ended, with the remedy where there is one.
    is_warning : bool
        Whether the user is to be warned.
    interrupt : KeyboardInterrupt or None
        What interrupted it, if anything did.
    """

    trace: Trace
    kept: Epoch
    reason: str
    is_warning: bool = False
    interrupt: KeyboardInterrupt | None = None


class Rule(Protocol):
    """A reason to stop."""

    def fires(self, trace: Trace, latest: Measured) -> NDArray:
        """Tell of every epoch that is looked at whether to stop after it."""
        ...

    def result(self, trace: Trace) -> Result:
        """Say why, once that epoch is the last of the trace."""
        ...


@dataclass(frozen=True)
class Diverged:
    """Stop where the objective leaves the finite numbers or rises far above its start; keep the best point.

    Parameters
    ----------
    baseline : float
        Objective of the best constant: what is small beside it has not diverged.
    cause, cure : str
        What is said before and after by how much the loss rose.
    """

    baseline: float
    cause: str
    cure: str

    def fires(self, trace: Trace, latest: Measured) -> NDArray:
        """Compare each epoch with the start."""
        start = trace.start.value if trace.n_states else float(latest.value[0])
        return ~(latest.block.is_finite & (latest.value <= FAR_ABOVE * max(self.baseline, start)))

    def result(self, trace: Trace) -> Result:
        """Keep the best point."""
        best, start, end = trace.best, trace.start.loss, trace.last.loss
        reached = f"{end:.6g}" if np.isfinite(end) else "beyond the range of floats"
        rise = f"the loss rose from {start:.6g} to {reached} in {plural(trace.number)}"
        if not np.isfinite(start):
            rise = "the loss is beyond the range of floats from the start on"
        kept = f"epoch {best.number}" if best.number else "the start"
        return Result(trace, best, f"{self.cause}: {rise}, and {kept} is kept. {self.cure}", is_warning=True)


@dataclass(frozen=True)
class Converged:
    """Stop where the optimality is at most `tol`."""

    tol: float

    def fires(self, trace: Trace, latest: Measured) -> NDArray:
        """Read the optimality."""
        return latest.block.optimality <= self.tol

    def result(self, trace: Trace) -> Result:
        """Say that it has converged."""
        return _converged(trace, self.tol)


@dataclass(frozen=True)
class OptimalStart:
    """Stop at a start that is optimal to `tol`: what goes on below `tol` has nothing to do there."""

    tol: float

    def fires(self, trace: Trace, latest: Measured) -> NDArray:
        """Read the optimality of the start."""
        return (latest.block.optimality <= self.tol) & (trace.n_states + np.arange(len(latest.block)) == 0)

    def result(self, trace: Trace) -> Result:
        """Say that it has converged."""
        return _converged(trace, self.tol)


def _converged(trace: Trace, tol: float) -> Result:
    """Say that the descent arrived, and which epoch is kept where a better one is on the way."""
    kept, after = trace.kept, plural(trace.number)
    if kept.optimality <= tol:
        return Result(trace, kept, f"converged: optimality {kept.optimality:.2g} after {after}, tol={tol:g}")
    return _kept_the_best(trace, f"the training loss converged after {after}")


def _kept_the_best(trace: Trace, cause: str) -> Result:
    """Stop with the epoch of least validation loss; warn where that is the start."""
    best = trace.best
    reason = f"early stopping: {cause}; epoch {best.number}, with validation loss {best.validation_loss:.6g}, is kept"
    if best.number:
        return Result(trace, best, reason)
    remedy = "No epoch was better than the start: was X_val transformed as X was, and is the rate small enough?"
    return Result(trace, best, f"{reason}. {remedy}", is_warning=True)


@dataclass(frozen=True)
class TargetLoss:
    """Stop where the training loss has come down to a target."""

    target: float

    def fires(self, trace: Trace, latest: Measured) -> NDArray:
        """Read the training loss."""
        return latest.loss <= self.target

    def result(self, trace: Trace) -> Result:
        """Say what is reached."""
        after, last = plural(trace.number), trace.last
        return Result(trace, trace.kept, f"target_loss={self.target:g} reached: loss {last.loss:.6g} after {after}")


@dataclass(frozen=True)
class Patience:
    """Stop where the best epoch lies `epochs` epochs back."""

    epochs: int

    def fires(self, trace: Trace, latest: Measured) -> NDArray:
        """Count the epochs since the best."""
        return trace.since_best(latest) >= self.epochs

    def result(self, trace: Trace) -> Result:
        """Say which epoch is kept."""
        return _kept_the_best(trace, f"no better validation loss in {plural(self.epochs)}")


@dataclass(frozen=True)
class EpochsUsedUp:
    """Stop after the last epoch, and warn where convergence was asked for and not reached.

    Parameters
    ----------
    epochs : int
        How many to run.
    tol : float
        Optimality to reach; 0 where none was asked for.
    diverged : Diverged or None
        Speaks where the descent ended above its start; None where the rate is one that converges.
    advice : str
        What would help.
    """

    epochs: int
    tol: float
    diverged: Diverged | None
    advice: str

    def fires(self, trace: Trace, latest: Measured) -> NDArray:
        """Count the epochs."""
        return trace.n_states + np.arange(len(latest.block)) >= self.epochs

    def result(self, trace: Trace) -> Result:
        """Say whether that was enough."""
        last, kept = trace.last, trace.kept
        if self.diverged and last.value > max(self.diverged.baseline, trace.start.value):
            return self.diverged.result(trace)
        if not self.tol:
            return Result(trace, kept, f"{plural(self.epochs)} run, as asked: tol is off")
        if last.optimality <= self.tol or kept.optimality <= self.tol:
            return _converged(trace, self.tol)
        unmet = f"optimality {kept.optimality:.2g} is above tol={self.tol:g}"
        return Result(trace, kept, f"all {plural(self.epochs)} were used and {unmet}. {self.advice}", is_warning=True)


@dataclass(frozen=True)
class Stopping:
    """All reasons to stop a descent, in the order in which they are asked.

    Parameters
    ----------
    rules : tuple of Rule
        Asked of every epoch.
    used_up : EpochsUsedUp
        Asked last.
    limit : str
        What is in the way where the solver ends by itself above `tol`.
    """

    rules: tuple[Rule, ...]
    used_up: EpochsUsedUp
    limit: str

    @classmethod
    def of(cls, spec: Spec, method: Method) -> "Stopping":
        """Put together the reasons to stop.

        Parameters
        ----------
        spec : Spec
            What is asked for.
        method : Method
            How it is minimised: it knows its ceiling, and hence the remedy.
        """
        limits = spec.limits
        is_above = spec.steps.is_number and method.rate >= method.ceiling
        cause, cure = "the descent diverged", "Use learning_rate='auto' with optimizer='auto'."
        if is_above:
            times = f"{method.stability:.4g}/L"
            cause = f"learning_rate={method.rate:g} is above the stability ceiling {method.ceiling:.4g} ({times}) of "
            cause += "these data"
            cure = "Use a smaller rate or learning_rate='auto'."
        diverged = Diverged(method.problem.constant_value, cause, cure)
        rules: list[Rule] = [diverged]
        if limits.tol:
            rules.append((OptimalStart if method.solver.goes_below_tol else Converged)(limits.tol))
        if limits.target_loss is not None:
            rules.append(TargetLoss(limits.target_loss))
        if limits.early_stopping:
            rules.append(Patience(limits.n_iter_no_change))
        # Where there is a ceiling and the rate is below, a descent that ends above its start has but overshot.
        may_diverge = spec.steps.is_number and (is_above or method.ceiling == float("inf"))
        advice = _advice(spec, method)
        used_up = EpochsUsedUp(limits.epochs, limits.tol, diverged if may_diverge else None, advice)
        return cls((*rules, used_up), used_up, method.solver.limit)

    def first(self, trace: Trace, latest: Measured) -> tuple[Measured, Rule | None]:
        """Return the epochs up to the first at which a rule fires, and that rule; all, if none does."""
        n_epochs, due = len(latest.block), None
        for rule in self.rules:
            fires = rule.fires(trace, latest)
            place = int(fires.argmax())
            if fires[place] and (due is None or place + 1 < n_epochs):
                n_epochs, due = place + 1, rule
        return latest.head(n_epochs), due

    def ended(self, trace: Trace) -> Result:
        """Say why a solver has ended by itself: where no `tol` is given, it stays where it is to the last epoch."""
        if not self.used_up.tol:
            trace.pad(self.used_up.epochs - trace.number)
            return self.used_up.result(trace)
        tol, reached = self.used_up.tol, trace.last.optimality
        if reached <= tol:
            return _converged(trace, tol)
        unmet = f"optimality {reached:.2g} is above tol={tol:g}, but rounding allows no better"
        return Result(trace, trace.kept, f"{unmet}: {self.limit}", is_warning=True)


def plural(n_epochs: int) -> str:
    """Write a number of epochs in words."""
    return f"{n_epochs} epoch{'' if n_epochs == 1 else 's'}"


def _advice(spec: Spec, method: Method) -> str:
    """Say what would help a descent that used up its epochs, the surest first."""
    ceiling, steps = method.ceiling, spec.steps
    if steps.batch_rows(method.problem.rows.n_weighted) is not None:
        return (
            "Mini-batches get no nearer than the noise of their rate: use batch_size=None, "
            "or a schedule that falls, average=True or more epochs with a tol well above 1e-6."
        )
    if (method.rung, method.optimizer) == ("diagonal", "conjugate"):
        return "Use learning_rate='curvature' if its matrix fits in memory, or raise epochs or tol."
    if (steps.learning_rate, steps.optimizer) == ("auto", "auto"):
        return "Raise epochs or tol."
    best = "Use learning_rate='auto' with optimizer='auto'"
    if steps.is_number and method.rate >= ceiling:
        return f"{best}, or a rate below the stability ceiling {ceiling:.4g}."
    if method.rate < ceiling / 4 < float("inf"):
        return f"{best}, a rate nearer half the ceiling {ceiling:.4g}, or raise epochs or tol."
    return f"{best}, or raise epochs or tol."
