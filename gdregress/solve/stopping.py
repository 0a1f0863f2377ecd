"""Stopping rules: each one tells at which of the latest epochs to stop, and gives the reason in a sentence."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gdregress.method.assembly import Method
from gdregress.method.spec import Spec, Steps
from gdregress.problem.problem import Problem
from gdregress.rows.wording import count
from gdregress.solve.divergence import has_diverged
from gdregress.solve.trace import Epoch, Measured, Trace

LOST_DIGITS = (
    "some columns are nearly collinear, and the sums of rows that are gone have too few digits to tell them apart. "
    "Fit on all rows in memory, which are read again, drop such columns, or use penalty='l2'."
)
"""Reason and remedy where only moments are left, and these have lost the digits that count."""

LARGE = 1e300
"""Size of numbers whose sums of products may be beyond the range of floats."""

HELD_UP = 1e-12
"""Optimality from which on it is rounding that holds up a descent which gets no nearer to the minimum."""

WATCHED, STEADY = 4, 0.85
"""Number of epochs and share of them: an objective that falls in more than this share is not kept up by noise."""

MORE_EPOCHS = "more epochs do not help. Raise tol."
"""Reason and remedy where epochs are used up that rounding holds up."""

FAR_ABOVE = 1e12
"""A descent goes no further where its objective is above this multiple of the larger of the start's and the constant's.
"""


@dataclass(frozen=True)
class Result:
    """How a descent ended.

    Attributes
    ----------
    trace : Trace
        The history of its epochs.
    kept : Epoch
        The epoch whose point is returned.
    reason : str
        Why it ended, and the remedy where there is one.
    is_warning : bool, default=False
        Whether the user is to be warned: the descent ended elsewhere than it was to.
    interrupt : KeyboardInterrupt or None, default=None
        The interrupt that ended it, to be raised again once all is stored.
    remarks : tuple of str, default=()
        What else is to be said of what was minimised.
    has_diverged : bool, default=False
        Whether it ended because the descent diverged, as the reason says.
    """

    trace: Trace
    kept: Epoch
    reason: str
    is_warning: bool = False
    interrupt: KeyboardInterrupt | None = None
    remarks: tuple[str, ...] = ()
    has_diverged: bool = False


class Rule(Protocol):
    """A stopping rule."""

    def fires(self, trace: Trace, latest: Measured) -> NDArray:
        """Return, for each of the latest epochs (not yet in the trace), whether to stop after it."""
        ...

    def result(self, trace: Trace) -> Result:
        """Return the result, once the epoch to stop at is the last of the trace."""
        ...


@dataclass(frozen=True)
class Diverged:
    """Stop where the objective is not finite or is far above its start; keep the best epoch.

    Parameters
    ----------
    baseline : float
        Objective of the best constant. An objective that is not far above it has not diverged.
    cause, cure : str
        The beginning and the end of the reason; how far the loss rose stands between them.
    """

    baseline: float
    cause: str
    cure: str

    def fires(self, trace: Trace, latest: Measured) -> NDArray:
        """Compare the objective with its start and the baseline."""
        start = trace.start.value if trace.n_states else float(latest.value[0])
        return ~(latest.block.is_finite & (latest.value <= FAR_ABOVE * max(self.baseline, start)))

    def has_happened(self, trace: Trace) -> bool:
        """Return whether a descent that has ended above its start or the baseline has diverged."""
        return bool(has_diverged(trace.values, self.baseline)[-1])

    def result(self, trace: Trace) -> Result:
        """Return the best epoch, with a warning."""
        best = trace.best
        kept = f"epoch {best.number}" if best.number else "the start"
        reason = f"{self.cause}: {self._rise(trace)}, and {kept} is kept. {self.cure}"
        return Result(trace, best, reason, is_warning=True, has_diverged=True)

    @staticmethod
    def _rise(trace: Trace) -> str:
        """Say how far the loss rose in the second half of the epochs."""
        losses = trace.columns()["loss"]
        half = len(losses) // 2
        highest = half + int(np.argmax(losses[half:]))
        start, top = losses[0], losses[highest]
        first = losses >= top if np.isfinite(top) else ~np.isfinite(losses)
        after = count(int(first.argmax()), "epoch")
        if not np.isfinite(start):
            return "the loss is too large for a float from the start"
        if not np.isfinite(top):
            return f"the loss rose from {start:.6g} to beyond the range of floats in {after}"
        if losses[highest:].min() <= start < top:
            return f"the loss swings between {losses[highest:].min():.6g} and {top:.6g}"
        if top <= start:
            return f"the loss and its penalty together rose above their start in {count(trace.number, 'epoch')}"
        return f"the loss rose from {start:.6g} to {top:.6g} in {after}"


@dataclass(frozen=True)
class Converged:
    """Stop at the first epoch whose optimality is at most `tol`."""

    tol: float

    def fires(self, trace: Trace, latest: Measured) -> NDArray:
        """Compare the optimality with `tol`."""
        return latest.block.optimality <= self.tol

    def result(self, trace: Trace) -> Result:
        """Return the result of a descent that has converged."""
        return _converged(trace, self.tol)


@dataclass(frozen=True)
class Hidden:
    """Stop at the first epoch whose optimality would be at most `tol`, but for what rounding of the moments may hide.

    No later epoch is better: what is hidden depends on the moments.

    Parameters
    ----------
    tol : float
        Optimality to reach.
    problem : Problem
        The problem that is minimised.
    """

    tol: float
    problem: Problem

    def fires(self, trace: Trace, latest: Measured) -> NDArray:
        """Compare the optimality of the moments as they are with `tol`."""
        return self.problem.optimality(latest.block.value, latest.block.gap.decrement) <= self.tol

    def result(self, trace: Trace) -> Result:
        """Return the epoch, with a warning."""
        return _ended(trace, self.tol, LOST_DIGITS)


@dataclass(frozen=True)
class OptimalStart:
    """Stop if the start is optimal to `tol`.

    It takes the place of `Converged` for solvers that go on below `tol`.
    """

    tol: float

    def fires(self, trace: Trace, latest: Measured) -> NDArray:
        """Compare the optimality of the start with `tol`."""
        return (latest.block.optimality <= self.tol) & (trace.n_states + np.arange(len(latest.block)) == 0)

    def result(self, trace: Trace) -> Result:
        """Return the result of a descent that has converged."""
        return _converged(trace, self.tol)


def _converged(trace: Trace, tol: float) -> Result:
    """Return the result of convergence, or of early stopping if the epoch of least validation loss is above `tol`."""
    kept, after = trace.kept, count(trace.number, "epoch")
    if kept.optimality <= tol:
        return Result(trace, kept, f"converged: optimality {kept.optimality:.2g} after {after}, tol={tol:g}")
    return _kept_the_best(trace, f"the training loss converged after {after}")


def _kept_the_best(trace: Trace, cause: str) -> Result:
    """Return the epoch of least validation loss; warn if that is the start."""
    best = trace.best
    reason = f"early stopping: {cause}; epoch {best.number}, with validation loss {best.validation_loss:.6g}, is kept"
    if best.number:
        return Result(trace, best, reason)
    remedy = (
        "No epoch was better than the start: X_val, if you gave it, was not transformed as X was, or the steps are too "
        f"long (those of {SLOWLY} are short), or the columns tell nothing of y."
    )
    return Result(trace, best, f"{reason}. {remedy}", is_warning=True)


@dataclass(frozen=True)
class TargetLoss:
    """Stop at the first epoch whose training loss is at most a target."""

    target: float

    def fires(self, trace: Trace, latest: Measured) -> NDArray:
        """Compare the training loss with the target."""
        return latest.loss <= self.target

    def result(self, trace: Trace) -> Result:
        """Return the loss that was reached."""
        after, last = count(trace.number, "epoch"), trace.last
        return Result(trace, trace.kept, f"target_loss={self.target:g} reached: loss {last.loss:.6g} after {after}")


@dataclass(frozen=True)
class Patience:
    """Stop when `epochs` epochs have passed since the best validation loss.

    Parameters
    ----------
    epochs : int
        Number of epochs to wait for a better one.
    diverged : Diverged or None, default=None
        Gives the reason instead if the descent diverged without any better epoch. None if its rate cannot diverge.
    """

    epochs: int
    diverged: Diverged | None = None

    def fires(self, trace: Trace, latest: Measured) -> NDArray:
        """Compare the number of epochs since the best with `epochs`."""
        return trace.since_best(latest) >= self.epochs

    def result(self, trace: Trace) -> Result:
        """Return the best epoch."""
        if self.diverged and not trace.best.number and self.diverged.has_happened(trace):
            return self.diverged.result(trace)
        return _kept_the_best(trace, f"no better validation loss in {count(self.epochs, 'epoch')}")


@dataclass(frozen=True)
class EpochsUsedUp:
    """Stop after the last epoch, and warn if `tol` is not reached.

    Parameters
    ----------
    epochs : int
        Number of epochs to run.
    tol : float
        Optimality to reach; 0 for none.
    diverged : Diverged or None
        Gives the reason instead if the descent diverged. None if the learning rate cannot diverge.
    advice : str
        What may help a descent that did not reach `tol`.
    on_noise : str, default=""
        The same for a descent whose objective no longer falls because mini-batches have noise.
    """

    epochs: int
    tol: float
    diverged: Diverged | None
    advice: str
    on_noise: str = ""

    def fires(self, trace: Trace, latest: Measured) -> NDArray:
        """Compare the number of epochs with `epochs`."""
        return trace.n_states + np.arange(len(latest.block)) >= self.epochs

    def result(self, trace: Trace) -> Result:
        """Return whether the descent diverged, converged, or ran out of epochs."""
        last, kept = trace.last, trace.kept
        if self.diverged and self.diverged.has_happened(trace):
            return self.diverged.result(trace)
        if not self.tol:
            return Result(trace, kept, f"{count(self.epochs, 'epoch')} run, as asked: there is no tol")
        if last.optimality <= self.tol or kept.optimality <= self.tol:
            return _converged(trace, self.tol)
        if _is_held_up(trace):
            return _ended(trace, self.tol, MORE_EPOCHS)
        unmet = f"optimality {kept.optimality:.2g} is above tol={self.tol:g}"
        advice = self.on_noise if self.on_noise and not still_falls(trace.values) else self.advice
        reason = f"all {count(self.epochs, 'epoch')} were used and {unmet}. {advice}"
        return Result(trace, kept, reason, is_warning=True)


@dataclass(frozen=True)
class Stopping:
    """All stopping rules of a descent, in order: the first that fires at an epoch gives the reason.

    Parameters
    ----------
    rules : tuple of Rule
        The rules. `used_up` is the last of them.
    used_up : EpochsUsedUp
        The limit on the number of epochs.
    limit : str
        Why the solver may end by itself above `tol`, and what to do then.
    """

    rules: tuple[Rule, ...]
    used_up: EpochsUsedUp
    limit: str

    @classmethod
    def of(cls, spec: Spec, method: Method) -> "Stopping":
        """Make the stopping rules of a fit.

        Parameters
        ----------
        spec : Spec
            The specification: `epochs`, `tol`, `target_loss` and `early_stopping`.
        method : Method
            The method. Its stability ceiling decides which remedy a reason names.
        """
        limits, raw = spec.limits, method.raw if spec.steps.is_number else None
        is_above = raw is not None and raw.rate >= raw.ceiling
        cause = "the descent diverged"
        of_size = _cure_of_size(method.problem)
        remedy = _remedy(spec)
        smaller = "a smaller rate or " if spec.steps.is_number else ""
        cure = of_size or (f"Use {smaller}{remedy}." if remedy else TOO_LARGE)
        if raw is not None and is_above:
            ceiling = f"stability ceiling {raw.ceiling:.4g} ({raw.stability:.4g}/L)"
            cause = f"learning_rate={raw.rate:g} is above the {ceiling} of these data"
            cure = of_size or f"Use {smaller}{SLOWLY if limits.early_stopping else SAFELY}."
        diverged = Diverged(method.problem.constant_value, cause, cure)
        rules: list[Rule] = [diverged]
        if limits.tol:
            rules.append((OptimalStart if method.solver.goes_below_tol else Converged)(limits.tol))
        if limits.tol and method.problem.spectrum is not None and not method.solver.goes_below_tol:
            rules.append(Hidden(limits.tol, method.problem))
        if limits.target_loss is not None:
            rules.append(TargetLoss(limits.target_loss))
        # Below a known ceiling a descent converges: if it ends above its start, it has only overshot.
        may_diverge = raw is not None and (is_above or raw.ceiling == float("inf"))
        if limits.early_stopping:
            rules.append(Patience(limits.n_iter_no_change, diverged if may_diverge else None))
        advice = of_size or _near_the_ceiling(spec, method) or _advice(spec, method)
        has_batches = spec.steps.batch_rows(method.problem.rows.n_weighted) is not None
        on_noise = _advice_on_noise(spec.steps) if has_batches and not of_size else ""
        used_up = EpochsUsedUp(limits.epochs, limits.tol, diverged if may_diverge else None, advice, on_noise)
        limit = method.solver.limit if method.problem.spectrum is None else LOST_DIGITS
        return cls((*rules, used_up), used_up, limit)

    @property
    def stands_still(self) -> bool:
        """Whether epochs go on where a solver has ended by itself: without a `tol`, all of them are run."""
        return not self.used_up.tol

    def first(self, trace: Trace, latest: Measured) -> tuple[Measured, Rule | None]:
        """Return the epochs up to the first at which a rule fires, and that rule; all epochs and None if none does."""
        n_epochs, due = len(latest.block), None
        for rule in self.rules:
            fires = rule.fires(trace, latest)
            place = int(fires.argmax())
            if fires[place] and (due is None or place + 1 < n_epochs):
                n_epochs, due = place + 1, rule
        return latest.head(n_epochs), due

    def ended(self, trace: Trace) -> Result:
        """Return the result of a solver that ended by itself, with a `tol`."""
        tol = self.used_up.tol
        if trace.last.optimality <= tol:
            return _converged(trace, tol)
        return _ended(trace, tol, self.limit)


def _ended(trace: Trace, tol: float, limit: str) -> Result:
    """Return the result of a descent that can get no nearer to `tol`, with a warning."""
    unmet = f"optimality {trace.last.optimality:.2g} is above tol={tol:g}, but rounding allows no better"
    return Result(trace, trace.kept, f"{unmet}: {limit}", is_warning=True)


def still_falls(values: NDArray) -> bool:
    """Return whether an objective falls so steadily that it is not noise that keeps it up.

    It does if it fell in nearly every epoch of the second half, and of the last four at least.

    Parameters
    ----------
    values : ndarray of shape (n_epochs + 1,)
        The objective, that of the start first.
    """
    falls = np.diff(values) < 0
    return bool(falls[-max(WATCHED, len(falls) // 2) :].mean() > STEADY)


def _is_held_up(trace: Trace) -> bool:
    """Return whether rounding holds up a descent: its last quarter came no nearer to the minimum than that before."""
    optimality = trace.columns()["optimality"]
    quarter = max(1, len(optimality) // 4)
    last, before = optimality[-quarter:], optimality[-2 * quarter : -quarter]
    return bool(np.median(last) <= HELD_UP and np.median(last) > 0.5 * np.median(before))


TOO_LARGE = "Look for values of X or y that are far too large, and bring both to sizes around 1."
"""The remedy for a descent that diverges although rate and optimizer are left to the estimator."""

SAFELY = "learning_rate='auto'"
"""The remedy for a rate that is too large."""

BY_ITSELF = f"{SAFELY} with optimizer='auto'"
"""The remedy for a rate or an optimizer that the user has chosen."""

SLOWLY = "learning_rate='diagonal' with optimizer='gd'"
"""The same for early stopping: whatever the units of the columns, it passes good points on its way to the minimum."""


def _remedy(spec: Spec) -> str:
    """Return the rate and the optimizer that help where others do not; empty where they are chosen already."""
    chosen = spec.steps.learning_rate, spec.steps.optimizer
    if spec.limits.early_stopping:
        return "" if chosen in (("auto", "auto"), ("diagonal", "gd")) else SLOWLY
    return "" if chosen == ("auto", "auto") else BY_ITSELF


def _cure_of_size(problem: Problem) -> str:
    """Return what helps where the numbers are too large to calculate with; empty where they are not."""
    if not np.all(problem.moments.x.magnitude < LARGE):
        return "Divide X by a power of ten: sums of its products are beyond the range of floats."
    if not all(np.all(strength < LARGE) for strength in (problem.penalty.l1, problem.penalty.l2)):
        return "Use a smaller alpha: the penalty is beyond the range of floats."
    if not np.all(problem.moments.y.magnitude < LARGE):
        return "Divide y by a power of ten: sums of its products are beyond the range of floats."
    return ""


def _advice(spec: Spec, method: Method) -> str:
    """Return what may help a descent that used up its epochs, the surest remedy first."""
    if spec.steps.batch_rows(method.problem.rows.n_weighted) is not None:
        remedy = _remedy(spec)
        return f"The loss still falls: raise epochs, or use {f'{remedy}, or ' if remedy else ''}batch_size=None."
    if (method.choice.rung, method.choice.optimizer) == ("diagonal", "conjugate"):
        return "Use learning_rate='curvature' if its matrix fits in memory, or raise epochs or tol."
    remedy = _remedy(spec)
    return f"Use {remedy}, or raise epochs or tol." if remedy else "Raise epochs or tol."


def _advice_on_noise(steps: Steps) -> str:
    """Return what may help mini-batches that noise holds up: what is not yet set, and more epochs where these help."""
    is_constant, remedies = steps.schedule.is_constant, ["batch_size=None"]
    if is_constant:
        remedies.append("a schedule that falls")
    if not steps.average:
        remedies.append("average=True")
    if steps.average or not is_constant:
        remedies.append("more epochs")
    return (
        "Mini-batches get no nearer to the minimum than the noise of their steps allows: "
        f"use {', '.join(remedies)} or a tol above the optimality that was reached."
    )


def _near_the_ceiling(spec: Spec, method: Method) -> str:
    """Return what may help a descent at a rate that is at its ceiling or far below; empty for other descents."""
    raw, steps = method.raw, spec.steps
    if raw is None or steps.batch_rows(method.problem.rows.n_weighted) is not None:
        return ""
    ceiling = raw.ceiling
    if steps.is_number and raw.rate >= ceiling:
        return f"Use {_remedy(spec)}, or a rate below the stability ceiling {ceiling:.4g}."
    if raw.rate < ceiling / 4 < float("inf"):
        return f"Use {_remedy(spec)}, a rate nearer half the ceiling {ceiling:.4g}, or raise epochs or tol."
    return ""
