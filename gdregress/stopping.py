"""Reasons to stop: each looks at the history after an epoch, and says a sentence or nothing."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from gdregress.descent import History, Rule, Stop
from gdregress.plan import Plan


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
    far_above: float = 1e12

    def fires(self, history: History) -> Any:
        """Compare the epoch with the start."""
        far = self.far_above * max(self.baseline, history.start.value)
        return np.logical_not(history.latest.is_finite & (history.latest.value <= far))

    def stop(self, history: History) -> Stop:
        """Give the stop that keeps the best point."""
        best, start, end = history.best, history.start.loss, history.last.loss
        height = f"{end:.6g}" if math.isfinite(end) else "beyond the range of floats"
        rise = f"the loss rose from {start:.6g} to {height} in {plural(history.last.number)}"
        if not math.isfinite(start):
            rise = "the loss is beyond the range of floats from the start on"
        kept = f"epoch {best.number}" if best.number else "the start"
        return Stop(f"{self.cause}: {rise}, and {kept} is kept. {self.cure}", best, is_warning=True)


@dataclass(frozen=True)
class Converged:
    """Stop where the certificate is met."""

    tol: float

    def fires(self, history: History) -> Any:
        """Read the certificate."""
        return history.latest.optimality <= self.tol

    def stop(self, history: History) -> Stop:
        """Say that it is met."""
        return _converged(history, self.tol)


def _converged(history: History, tol: float) -> Stop:
    """Say that the descent arrived, and which epoch is kept where a better one is on the way."""
    kept, after = history.kept, plural(history.last.number)
    if kept.optimality <= tol:
        return Stop(f"converged: optimality {kept.optimality:.2g} after {after}, tol={tol:g}", kept)
    return _kept_the_best(history, f"the training loss converged after {after}")


def _kept_the_best(history: History, cause: str) -> Stop:
    """Stop with the epoch of least validation loss; warn where that is the start."""
    best = history.best
    reason = f"early stopping: {cause}; epoch {best.number}, with validation loss {best.validation_loss:.6g}, is kept"
    if best.number:
        return Stop(reason, best)
    remedy = "No epoch was better than the start: was X_val transformed as X was, and is the rate small enough?"
    return Stop(f"{reason}. {remedy}", best, is_warning=True)


@dataclass(frozen=True)
class Refined:
    """Stop where an epoch no longer halves the certificate: in an exact metric, where rounding is all that is left.

    A step or two below `tol` bring the digits that the moments had lost. Where the columns are so
    nearly collinear that rounding leaves the certificate above `tol`, nothing better is to be had.
    """

    tol: float

    def fires(self, history: History) -> Any:
        """Compare the certificates of an epoch and the one before."""
        here, before = history.latest.optimality, history.last.optimality
        if history.latest.number == 0:
            return here <= self.tol
        return not 0 < here <= before / 2

    def stop(self, history: History) -> Stop:
        """Say what is reached."""
        reached = min(history.last.optimality, history.previous.optimality)
        if reached <= self.tol:
            return _converged(history, self.tol)
        unmet = f"optimality {reached:.2g} is above tol={self.tol:g}, but rounding allows no better"
        reason = f"{unmet}: some columns are all but collinear. Drop them, or use penalty='l2'."
        return Stop(reason, history.kept, is_warning=True)


@dataclass(frozen=True)
class Stalled:
    """Stop where an optimizer that compares steps has found none that lowers the objective."""

    tol: float

    def fires(self, history: History) -> Any:
        """See whether the optimizer has found none."""
        return history.latest.state.is_stuck

    def stop(self, history: History) -> Stop:
        """Say that rounding, or a wrong loss, stands in the way."""
        last = history.last
        unmet = f"optimality {last.optimality:.2g} is above tol={self.tol:g}, but rounding allows no better"
        return Stop(
            f"{unmet}: no step lowers the objective. "
            "Drop columns that are all but collinear, use penalty='l2', or raise tol; "
            "of a loss of your own, check the derivative and the curvature.",
            history.kept,
            is_warning=True,
        )


@dataclass(frozen=True)
class TargetLoss:
    """Stop where the training loss has come down to a target."""

    target: float

    def fires(self, history: History) -> Any:
        """Read the training loss."""
        return history.latest.loss <= self.target

    def stop(self, history: History) -> Stop:
        """Say what is reached."""
        after = plural(history.last.number)
        return Stop(f"target_loss={self.target:g} reached: loss {history.last.loss:.6g} after {after}", history.kept)


@dataclass(frozen=True)
class Patience:
    """Stop where the best epoch lies `epochs` epochs back."""

    epochs: int

    def fires(self, history: History) -> Any:
        """Count the epochs since the best."""
        return history.since_best >= self.epochs

    def stop(self, history: History) -> Stop:
        """Say which epoch is kept."""
        return _kept_the_best(history, f"no better validation loss in {plural(self.epochs)}")


@dataclass(frozen=True)
class EpochsUsedUp:
    """Stop after the last epoch, and warn where the certificate was asked for and is not met.

    Parameters
    ----------
    epochs : int
        How many to run.
    tol : float or None
        Certificate to meet; None where none was asked for.
    diverged : Diverged or None
        Speaks where the descent ended above its start; None where the rate is one that converges.
    advice : str
        What would help.
    """

    epochs: int
    tol: float | None
    diverged: Diverged | None
    advice: str

    def fires(self, history: History) -> Any:
        """Count the epochs."""
        return history.latest.number >= self.epochs

    def stop(self, history: History) -> Stop:
        """Say whether that was enough."""
        last, kept = history.last, history.kept
        if self.diverged and last.value > max(self.diverged.baseline, history.start.value):
            return self.diverged.stop(history)
        if self.tol is None:
            return Stop(f"{plural(self.epochs)} run, as asked: tol is off", kept)
        if last.optimality <= self.tol or kept.optimality <= self.tol:
            return _converged(history, self.tol)
        unmet = f"optimality {kept.optimality:.2g} is above tol={self.tol:g}"
        return Stop(f"all {plural(self.epochs)} were used and {unmet}. {self.advice}", kept, is_warning=True)


def plural(n_epochs: int) -> str:
    """Write a number of epochs in words."""
    return f"{n_epochs} epoch{'' if n_epochs == 1 else 's'}"


def stopping_rules(
    plan: Plan, *, tol: float | None, target_loss: float | None, patience: int | None, epochs: int
) -> list[Rule]:
    """Give the reasons to stop a planned descent, in the order in which they are asked.

    Parameters
    ----------
    plan : Plan
        The descent: it knows its ceiling, and hence the remedy.
    tol : float or None
        Certificate to meet; None for none.
    target_loss : float or None
        Training loss to reach; None for none.
    patience : int or None
        Epochs without a better validation loss; None without early stopping.
    epochs : int
        How many epochs to run at most.
    """
    ceiling, is_above = plan.stability_ceiling, plan.is_too_steep
    cause, cure = "the descent diverged", "Use learning_rate='auto' with optimizer='auto'."
    if is_above:
        times = f"{plan.optimizer.stability:.4g}/L"
        cause = f"learning_rate={plan.rate:g} is above the stability ceiling {ceiling:.4g} ({times}) of these data"
        cure = "Use a smaller rate or learning_rate='auto'."
    diverged = Diverged(plan.start_value, cause, cure)
    rules: list[Rule] = [diverged]
    if tol is not None:
        rules.append(Refined(tol) if plan.refine else Converged(tol))
    if target_loss is not None:
        rules.append(TargetLoss(target_loss))
    if patience is not None:
        rules.append(Patience(patience))
    if tol is not None and (plan.optimizer_name == "newton" or plan.patience < np.inf):
        rules.append(Stalled(tol))
    # Where there is a ceiling and the rate is below, a descent that ends above its start has but overshot.
    is_unbounded = not isinstance(plan.task.learning_rate, str) and ceiling == float("inf")
    may_diverge = is_above or is_unbounded
    return [*rules, EpochsUsedUp(epochs, tol, diverged if may_diverge else None, _advice(plan))]


def _advice(plan: Plan) -> str:
    """Say what would help a descent that used up its epochs, the surest first."""
    ceiling, task = plan.stability_ceiling, plan.task
    if task.batch_size is not None:
        return (
            "Mini-batches get no nearer than the noise of their rate: use batch_size=None, "
            "or a schedule that falls, average=True or more epochs with a tol well above 1e-6."
        )
    if not plan.is_raw and plan.rung == "diagonal" and plan.optimizer_name == "conjugate":
        return "Use learning_rate='curvature' if its matrix fits in memory, or raise epochs or tol."
    if (task.learning_rate, task.optimizer) == ("auto", "auto"):
        return "Raise epochs or tol."
    best = "Use learning_rate='auto' with optimizer='auto'"
    if plan.is_too_steep:
        return f"{best}, or a rate below the stability ceiling {ceiling:.4g}."
    if plan.rate < ceiling / 4 < float("inf"):
        return f"{best}, a rate nearer half the ceiling {ceiling:.4g}, or raise epochs or tol."
    return f"{best}, or raise epochs or tol."
