"""Reasons to stop: each looks at the history after an epoch, and says a sentence or nothing."""

from dataclasses import dataclass

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

    def __call__(self, history: History) -> Stop | None:
        """Compare the last epoch with the start."""
        last = history.last
        if last.is_finite and last.value <= self.far_above * max(self.baseline, history.start.value):
            return None
        return self.stop(history)

    def stop(self, history: History) -> Stop:
        """Give the stop that keeps the best point."""
        rise = f"the loss rose from {history.start.loss:.6g} to {history.last.loss:.6g}"
        reason = f"{self.cause}: {rise} in {plural(history.last.number)}. {self.cure}"
        return Stop(reason, history.best, is_warning=True)


@dataclass(frozen=True)
class Converged:
    """Stop where the certificate is met."""

    tol: float

    def __call__(self, history: History) -> Stop | None:
        """Read the certificate."""
        if not history.last.optimality <= self.tol:
            return None
        return _converged(history, self.tol)


@dataclass(frozen=True)
class Refined:
    """Stop where an epoch no longer halves the certificate: in an exact metric, where rounding is all that is left.

    A step or two below `tol` bring the digits that the moments had lost. Where the columns are so
    nearly collinear that rounding leaves the certificate above `tol`, nothing better is to be had.
    """

    tol: float

    def __call__(self, history: History) -> Stop | None:
        """Compare the certificates of the last two epochs."""
        last, previous = history.last.optimality, history.previous.optimality
        if history.last is not history.previous and 0 < last <= previous / 2:
            return None
        if history.kept.optimality <= self.tol:
            return _converged(history, self.tol)
        if history.last.number == 0:
            return None
        unmet = f"optimality {history.kept.optimality:.2g} is above tol={self.tol:g}, but rounding allows no better"
        reason = f"{unmet}: some columns are all but collinear. Drop them, or use penalty='l2'."
        return Stop(reason, history.kept, is_warning=True)


def _converged(history: History, tol: float) -> Stop:
    after = plural(history.last.number)
    return Stop(f"converged: optimality {history.kept.optimality:.2g} after {after}, tol={tol:g}", history.kept)


@dataclass(frozen=True)
class TargetLoss:
    """Stop where the training loss has come down to a target."""

    target: float

    def __call__(self, history: History) -> Stop | None:
        """Read the training loss."""
        if not history.last.loss <= self.target:
            return None
        after = plural(history.last.number)
        return Stop(f"target_loss={self.target:g} reached: loss {history.last.loss:.6g} after {after}", history.kept)


@dataclass(frozen=True)
class Patience:
    """Stop where the best epoch lies `epochs` epochs back."""

    epochs: int

    def __call__(self, history: History) -> Stop | None:
        """Count the epochs since the best."""
        best = history.best
        if history.last.number - best.number < self.epochs:
            return None
        return Stop(
            f"early stopping: no better validation loss in {plural(self.epochs)}; "
            f"epoch {best.number}, with {best.validation_loss:.6g}, is kept",
            history.kept,
        )


@dataclass(frozen=True)
class EpochsUsedUp:
    """Stop after the last epoch, and warn where the certificate was asked for and is not met.

    Parameters
    ----------
    epochs : int
        How many to run.
    tol : float or None
        Certificate to meet; None where none was asked for.
    diverged : Diverged
        Speaks where the descent ended above its start.
    advice : str
        What would help.
    """

    epochs: int
    tol: float | None
    diverged: Diverged
    advice: str

    def __call__(self, history: History) -> Stop | None:
        """Count the epochs."""
        last, kept = history.last, history.kept
        if last.number < self.epochs:
            return None
        if last.value > max(self.diverged.baseline, history.start.value):
            return self.diverged.stop(history)
        if self.tol is None:
            return Stop(f"{plural(self.epochs)} run, as asked: tol is off", kept)
        if kept.optimality <= self.tol:
            return Stop(
                f"converged: optimality {kept.optimality:.2g} after {plural(last.number)}, tol={self.tol:g}", kept
            )
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
    ceiling, times = plan.stability_ceiling, f"{plan.optimizer.stability:.4g}/L"
    cause, cure = "the descent diverged", "Use learning_rate='auto' with optimizer='auto'."
    advice = "Raise epochs or tol, or use learning_rate='auto' with optimizer='auto'."
    if np.isfinite(ceiling):
        advice = f"Raise epochs or tol, take a rate nearer the ceiling {ceiling:.4g}, or use learning_rate='auto'."
    if plan.rate >= ceiling:
        cause = f"learning_rate={plan.rate:g} is above the stability ceiling {ceiling:.4g} ({times}) of these data"
        cure = "Use a smaller rate or learning_rate='auto'."
    diverged = Diverged(plan.baseline, cause, cure)
    rules: list[Rule] = [diverged]
    if tol is not None:
        rules.append(Refined(tol) if plan.refine else Converged(tol))
    if target_loss is not None:
        rules.append(TargetLoss(target_loss))
    if patience is not None:
        rules.append(Patience(patience))
    return [*rules, EpochsUsedUp(epochs, tol, diverged, advice)]
