"""The specification of a fit: the parameters of an estimator, checked once and converted into objects."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from gdregress.method.parameters import WITH_EPSILON, check_parameters
from gdregress.method.schedules import SCHEDULES, EpochSchedule, Plateau, constant
from gdregress.problem.loss import Loss
from gdregress.problem.losses import HUBER_SHARE, as_loss, huber
from gdregress.problem.terms import Terms

RATES_TO_MINIMUM = ("auto", "curvature")
"""Values of `learning_rate` with which a fit ends at the minimum, however it gets there."""

FEWEST_EPOCHS = 100
"""Number of epochs from which a fit is taken to end at the minimum; with fewer it may be meant to end before."""

STEPS_TO_MINIMUM: dict[str, Any] = {"learning_rate": "auto", "optimizer": "auto", "batch_size": None, "average": False}
LIMITS_TO_MINIMUM: dict[str, Any] = {"epochs": 1000, "target_loss": None, "early_stopping": False}
"""Steps and limits of a fit that ends at the minimum, for any loss and penalty. The schedule is constant."""

SHARP = 1e-10
"""`tol` of such a fit where other fits are measured by it."""

PARAMETERS_TO_MINIMUM: dict[str, Any] = {
    **STEPS_TO_MINIMUM,
    **LIMITS_TO_MINIMUM,
    "schedule": "constant",
    "tol": 1e-6,
    "init": "zeros",
    "warm_start": False,
    "record_path": False,
    "verbose": 0,
}
"""Parameters of an estimator that ends at the minimum, to the digits of a fit by default."""


@dataclass(frozen=True)
class Steps:
    """How to descend: the parameters of the estimator that decide the steps.

    Attributes
    ----------
    learning_rate : float or str
        A number, or a rung of the ladder: "auto", "lipschitz", "diagonal" or "curvature".
    optimizer : str
        A key of `OPTIMIZERS`, or "auto".
    momentum : float
        beta of "momentum" and "adam"; the other optimizers ignore it.
    schedule : EpochSchedule or Plateau
        The factor of the learning rate at each epoch.
    batch_size : int or None
        Rows in a mini-batch; None for all rows at once.
    average : int
        Number of the row at which the running mean of the points begins; 0 for no mean.
    shuffle : bool
        Whether every epoch draws its mini-batches in a new order.
    random_state : int, RandomState or None
        Seed or generator of all random numbers.
    """

    learning_rate: float | str
    optimizer: str
    momentum: float
    schedule: EpochSchedule | Plateau
    batch_size: int | None
    average: int
    shuffle: bool
    random_state: Any

    @property
    def is_number(self) -> bool:
        """Whether the user gave the learning rate as a number."""
        return not isinstance(self.learning_rate, str)

    def batch_rows(self, n_weighted: int) -> int | None:
        """Return the rows in a mini-batch, out of `n_weighted`; None for all rows at once."""
        return None if self.batch_size is None or self.batch_size >= n_weighted else self.batch_size

    def sampling(self, rng: np.random.RandomState) -> np.random.RandomState | int:
        """Return the generator that samples rows, or a fixed seed where the user set no `random_state`.

        The user did not ask for a sample, so without a seed every fit draws the same one.
        """
        return 0 if self.random_state is None else rng


@dataclass(frozen=True)
class Limits:
    """When to stop.

    Attributes
    ----------
    epochs : int
        Largest number of epochs.
    tol : float
        Optimality at which the descent has converged; 0 for no such test.
    target_loss : float or None
        Training loss at which to stop; None for no such test.
    early_stopping : bool
        Whether to stop when the validation loss no longer improves.
    validation_fraction : float
        Share of the rows that are held out for validation.
    n_iter_no_change : int
        Number of epochs without a better validation loss after which to stop.
    """

    epochs: int
    tol: float
    target_loss: float | None
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: int


@dataclass(frozen=True)
class Spec:
    """The specification of a fit.

    Attributes
    ----------
    terms : Terms
        The loss, the penalty and the constraints.
    steps : Steps
        How to descend.
    limits : Limits
        When to stop.
    init : str
        Where to start: "zeros" or "random".
    warm_start : bool
        Whether to start from the coefficients of the last fit.
    record_path : bool
        Whether to keep the coefficients of every epoch.
    verbose : int
        Number of epochs between two lines of progress; 0 for no lines.
    fits_scale : bool
        Whether the loss is Huber's for residuals of scale 1, and their scale is to be fitted.
    """

    terms: Terms
    steps: Steps
    limits: Limits
    init: str
    warm_start: bool
    record_path: bool
    verbose: int
    fits_scale: bool

    @classmethod
    def of(cls, estimator: Any) -> "Spec":
        """Check the parameters of an estimator and convert them into objects.

        Parameters
        ----------
        estimator : GradientDescentRegressor
            The estimator; it is not changed.

        Raises
        ------
        ValueError
            If a parameter is invalid.
        """
        check_parameters(estimator)
        loss = as_loss(estimator.loss, _epsilon(estimator, 1.0), estimator.quantile)
        l1_ratio = {None: 0.0, "l2": 0.0, "l1": 1.0, "elasticnet": float(estimator.l1_ratio)}[estimator.penalty]
        strength = 0.0 if estimator.penalty is None else loss.alpha_factor * float(estimator.alpha)
        schedule: EpochSchedule | Plateau = EpochSchedule(estimator.schedule)
        if isinstance(estimator.schedule, str):
            make = SCHEDULES[estimator.schedule]
            schedule = make(estimator.epochs, float(estimator.power_t), estimator.n_iter_no_change)
        return cls(
            terms=Terms(
                loss=loss,
                l1=strength * l1_ratio,
                l2=strength * (1.0 - l1_ratio),
                positive=bool(estimator.positive),
                fit_intercept=bool(estimator.fit_intercept),
                standardize=bool(estimator.standardize) and estimator.penalty is not None,
            ),
            steps=Steps(
                learning_rate=estimator.learning_rate,
                optimizer=estimator.optimizer,
                momentum=float(estimator.momentum),
                schedule=schedule,
                batch_size=None if estimator.batch_size is None else int(estimator.batch_size),
                average=int(estimator.average),
                shuffle=bool(estimator.shuffle),
                random_state=estimator.random_state,
            ),
            limits=Limits(
                epochs=int(estimator.epochs),
                tol=float(estimator.tol or 0.0),
                target_loss=None if estimator.target_loss is None else float(estimator.target_loss),
                early_stopping=bool(estimator.early_stopping),
                validation_fraction=float(estimator.validation_fraction),
                n_iter_no_change=int(estimator.n_iter_no_change),
            ),
            init=estimator.init,
            warm_start=bool(estimator.warm_start),
            record_path=bool(estimator.record_path),
            verbose=int(estimator.verbose),
            fits_scale=fits_scale(estimator),
        )

    def at_scale(self, scale: float) -> "Spec":
        """Return the specification with Huber's loss for residuals of some scale."""
        return replace(self, terms=replace(self.terms, loss=huber(HUBER_SHARE * scale)), fits_scale=False)

    @property
    def ends_at_minimum(self) -> bool:
        """Whether a fit ends at the minimum wherever it begins, if its epochs are enough."""
        steps, limits = self.steps, self.limits
        is_whole = not (steps.batch_size or steps.average or limits.early_stopping)
        return is_whole and steps.learning_rate in RATES_TO_MINIMUM and limits.tol > 0 and limits.target_loss is None

    @property
    def goes_to_minimum(self) -> bool:
        """Whether a fit that ends at the minimum is asked for nothing else, so that any way there will do."""
        return self.ends_at_minimum and self.steps.optimizer == "auto" and self.limits.epochs >= FEWEST_EPOCHS

    def at_the_minimum(self) -> "Spec":
        """Return the specification of the fit that ends at the minimum in the least time."""
        steps = replace(self.steps, **STEPS_TO_MINIMUM, schedule=EpochSchedule(constant))
        limits = replace(self.limits, **LIMITS_TO_MINIMUM, tol=SHARP)
        return replace(self, steps=steps, limits=limits)

    def rng(self) -> np.random.RandomState:
        """Return the random number generator of a fit."""
        return check_random_state(self.steps.random_state)

    def asked(self, *, batches: bool) -> frozenset[str]:
        """Return the features that the optimizer must support, besides the rung: keys of `FEATURES`.

        Parameters
        ----------
        batches : bool
            Whether the rows come in mini-batches.
        """
        asked = {
            "any loss": not self.terms.is_squared_error,
            "prox": self.terms.has_prox,
            "schedule": not self.steps.schedule.is_constant,
            "batches": batches,
            "average": self.steps.average > 0,
        }
        return frozenset(feature for feature, is_asked in asked.items() if is_asked)


def fits_scale(estimator: Any) -> bool:
    """Return whether an estimator fits the scale of the residuals: "auto" has no effect beside other losses."""
    return isinstance(estimator.epsilon, str) and isinstance(estimator.loss, str) and estimator.loss == "huber"


def epsilon_of(estimator: Any) -> float:
    """Return `epsilon` of an estimator as a number; the estimator must be fitted if the scale is."""
    return _epsilon(estimator, estimator.scale_ if fits_scale(estimator) else 1.0)


def used_epsilon(estimator: Any) -> dict[str, float]:
    """Return the attribute that says `epsilon` as a fitted estimator used it; none for a loss that has no epsilon."""
    has_epsilon = isinstance(estimator.loss, str) and estimator.loss in WITH_EPSILON
    return {"epsilon_": epsilon_of(estimator)} if has_epsilon else {}


def loss_of(estimator: Any) -> Loss:
    """Return the loss of an estimator, which must be fitted if the scale of its residuals is."""
    return as_loss(estimator.loss, epsilon_of(estimator), estimator.quantile)


def _epsilon(estimator: Any, scale: float) -> float:
    """Return `epsilon` of an estimator as a number, for residuals of some scale if it is "auto"."""
    return HUBER_SHARE * scale if isinstance(estimator.epsilon, str) else float(estimator.epsilon)
