"""What is asked for, in objects: the parameters of an estimator, checked, and turned into these once."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from gdregress.method.combinations import features
from gdregress.method.parameters import check_parameters
from gdregress.method.schedules import SCHEDULES, EpochSchedule, Plateau
from gdregress.problem.losses import as_loss
from gdregress.problem.problem import Terms


@dataclass(frozen=True)
class Steps:
    """How to descend, as a user asks for it: see the parameters of the estimator.

    Attributes
    ----------
    learning_rate : float or str
        A number, or a rung of the ladder.
    optimizer : str
        A key of `OPTIMIZERS`, or "auto".
    momentum : float
        Of the optimizers that take one.
    schedule : EpochSchedule or Plateau
        By what the rate is multiplied.
    batch_size : int or None
        Rows in a mini-batch; None for all at once.
    average : int
        Rows to see before the mean of the points begins; 0 for no mean.
    shuffle : bool
        Whether mini-batches are drawn in a new order at every epoch.
    random_state : int, RandomState or None
        Of all that is drawn.
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
        """Whether the rate is the user's own number."""
        return not isinstance(self.learning_rate, str)

    def batch_rows(self, n_weighted: int) -> int | None:
        """Return the rows in a mini-batch of so many rows; None for all at once."""
        return None if self.batch_size is None or self.batch_size >= n_weighted else self.batch_size

    def sampling(self, rng: np.random.RandomState) -> np.random.RandomState | int:
        """Return what draws samples of rows: a sample that nobody asked for is the same at every fit."""
        return 0 if self.random_state is None else rng


@dataclass(frozen=True)
class Limits:
    """When to stop, as a user asks for it.

    Attributes
    ----------
    epochs : int
        Largest number of epochs.
    tol : float
        Optimality at which the descent has converged; 0 for none.
    target_loss : float or None
        Training loss at which to stop.
    early_stopping : bool
        Whether validation rows decide.
    validation_fraction : float
        Share of the rows that are held out for that.
    n_iter_no_change : int
        Epochs without a better validation loss after which to stop.
    """

    epochs: int
    tol: float
    target_loss: float | None
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: int


@dataclass(frozen=True)
class Spec:
    """All that a user asks for.

    Attributes
    ----------
    terms : Terms
        What to minimise.
    steps : Steps
        How to descend.
    limits : Limits
        When to stop.
    init : str
        Where to start: "zeros" or "random".
    warm_start : bool
        Whether to start from the last fit.
    record_path : bool
        Whether to keep the coefficients of every epoch.
    verbose : int
        Print every so many epochs; 0 for none.
    """

    terms: Terms
    steps: Steps
    limits: Limits
    init: str
    warm_start: bool
    record_path: bool
    verbose: int

    @classmethod
    def of(cls, estimator: Any) -> "Spec":
        """Check the parameters of an estimator, and turn them into objects.

        Parameters
        ----------
        estimator : GradientDescentRegressor
            With its parameters.

        Raises
        ------
        ValueError
            If a parameter makes no sense.
        """
        check_parameters(estimator)
        loss = as_loss(estimator.loss, estimator.epsilon, estimator.quantile)
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
                target_loss=estimator.target_loss,
                early_stopping=bool(estimator.early_stopping),
                validation_fraction=float(estimator.validation_fraction),
                n_iter_no_change=int(estimator.n_iter_no_change),
            ),
            init=estimator.init,
            warm_start=bool(estimator.warm_start),
            record_path=bool(estimator.record_path),
            verbose=int(estimator.verbose),
        )

    def rng(self) -> np.random.RandomState:
        """Return what all that is drawn is drawn from."""
        return check_random_state(self.steps.random_state)

    def asked(self, *, batches: bool) -> frozenset[str]:
        """Name what is asked of the optimizer, beside the rung.

        Parameters
        ----------
        batches : bool
            Whether the rows come in mini-batches.
        """
        return features(
            is_squared_error=self.terms.is_squared_error,
            has_prox=self.terms.has_prox,
            is_constant=self.steps.schedule.is_constant,
            batches=batches,
            average=bool(self.steps.average),
        )
