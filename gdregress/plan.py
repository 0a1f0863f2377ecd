"""What is descended and how: the one place where names become objects for the data at hand."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gdregress.blocks import RowBlocks
from gdregress.frames import Frame
from gdregress.learning_rates import Curvature, half, identity, largest_curvature
from gdregress.moments import Moments, gather
from gdregress.objectives import DataObjective, MomentObjective
from gdregress.optimizers import Conjugate, GradientDescent, Momentum, Nesterov, Optimizer

MOMENTS_LIMIT = 2000
"""Features up to which the moments, 32 MB of them, are gathered and factored."""

FACTOR_LIMIT = 2**24
"""Entries of X up to which a wide X, of at most `MOMENTS_LIMIT` rows, is factored itself."""

CURVATURE_LIMIT = 2**15
"""Features beyond which, or rows if fewer, a matrix of curvatures is refused even if asked for."""

DIGITS = 1e-10
"""Relative error of a fit from moments, as estimated, up to which they are taken for the data."""

EXTENDED_LIMIT = 2**17
"""Entries of a dense X, times outputs, up to which a recomputed residual is so in extended precision."""


@dataclass(frozen=True)
class Plan:
    """A descent, ready to run.

    Attributes
    ----------
    objective : MomentObjective or DataObjective
        What is minimised, in the coordinates of `frame`.
    frame : Frame
        Coordinates of the descent.
    unit_frame : Frame
        The unit-curvature frame, in which the certificate is measured.
    optimizer : Optimizer
        How a point follows from the last.
    metric : callable
        What a gradient is multiplied by, beside `rate`.
    rate : float
        Learning rate.
    certificate_metric : callable
        Metric of the certificate, in `unit_frame`.
    refine : bool
        Whether the descent goes on below `tol`, to the digits that the moments had lost.
    dtype : type
        Precision of the points.
    moments : Moments
        Moments of the rows.
    largest_curvature : float or None
        L of the raw problem, where the rate is a number in raw coordinates.
    rung : str or float
        What ``learning_rate="auto"`` came to; the number, where the rate is one.
    optimizer_name : str
        What ``optimizer="auto"`` came to.
    """

    objective: MomentObjective | DataObjective
    frame: Frame
    unit_frame: Frame
    optimizer: Optimizer
    metric: Callable[[NDArray], NDArray]
    rate: float
    certificate_metric: Callable[[NDArray], NDArray]
    refine: bool
    dtype: type
    moments: Moments
    largest_curvature: float | None
    rung: str | float
    optimizer_name: str

    @property
    def is_raw(self) -> bool:
        """Whether the rate is a number in the raw coordinates."""
        return self.largest_curvature is not None

    @property
    def stability_ceiling(self) -> float:
        """Rate above which the optimizer diverges; infinite where it is not the user's to choose."""
        return self.optimizer.stability / self.largest_curvature if self.largest_curvature else float("inf")

    @property
    def max_learning_rate(self) -> float:
        """2/L of the raw problem."""
        return 2.0 / self.largest_curvature if self.largest_curvature else float("inf")

    @property
    def baseline(self) -> float:
        """Objective of the best constant, summed over outputs, in the units of the descent."""
        with np.errstate(over="ignore"):
            return float(((self.unit_frame.target_scale / self.frame.target_scale) ** 2).sum())

    def optimality(self, gradient: NDArray) -> float:
        """Measure the certificate sqrt(g' P g / F0) of a gradient: the worst output's."""
        with np.errstate(over="ignore", invalid="ignore"):
            if self.is_raw:
                gradient = self.unit_frame.gradient_from_raw(gradient * self.frame.target_scale)
            squared = (gradient * self.certificate_metric(gradient)).sum(axis=0)
            return float(np.sqrt(squared).max())

    def loss(self, value: NDArray) -> float:
        """Average a value over outputs, in the units of y squared."""
        with np.errstate(over="ignore"):
            return float(((np.sqrt(np.maximum(value, 0.0)) * self.frame.target_scale) ** 2).mean())

    def merit(self, value: NDArray) -> float:
        """Average a value over outputs, in the largest unit of an output: representable for any y."""
        scale = self.frame.target_scale
        return float((value * (scale / scale.max()) ** 2).mean())


def make_plan(rows: RowBlocks, *, learning_rate, optimizer, momentum: float, alpha: float, fit_intercept: bool) -> Plan:
    """Choose the objective, the frame, the metric, the optimizer and the rate for these rows.

    Parameters
    ----------
    rows : RowBlocks
        Training rows.
    learning_rate : float or {"auto", "lipschitz", "diagonal", "curvature"}
        The rung of the ladder.
    optimizer : {"auto", "gd", "momentum", "nesterov", "conjugate"}
        The update rule.
    momentum : float
        Of `optimizer="momentum"`.
    alpha : float
        Strength of the L2 penalty; 0 for none.
    fit_intercept : bool
        Whether the model has an intercept.

    Returns
    -------
    Plan

    Raises
    ------
    ValueError
        If X holds NaN or infinity.
    """
    n, p = rows.n_weighted, rows.n_features
    wants_matrix = learning_rate == "curvature"
    if wants_matrix and min(n, p) > CURVATURE_LIMIT:
        raise ValueError(
            f"learning_rate='curvature' would hold a matrix of {p} x {p} numbers: use 'diagonal' or 'auto'."
        )
    gathers_cross = p <= MOMENTS_LIMIT or (wants_matrix and n > p)
    factors_rows = wants_matrix or p <= MOMENTS_LIMIT or _is_short_and_wide(rows, alpha)

    moments = gather(rows, cross=gathers_cross)
    if not fit_intercept:
        moments = moments.about_origin()
    unit_frame = Frame.unit_curvature(moments, alpha=alpha, fit_intercept=fit_intercept)
    raw = learning_rate == "lipschitz" or not isinstance(learning_rate, str)

    def keep_digits(curvature: Curvature | None) -> bool:
        """Whether a fit from the moments is as good as one from the data."""
        if curvature is None or not gathers_cross:
            return False
        eps = np.finfo(np.float64).eps
        return bool(eps * moments.cancellation.max() * curvature.inflation <= DIGITS)

    curvature = Curvature.from_moments(moments, unit_frame, alpha) if gathers_cross and n > p else None
    moments_suffice = keep_digits(curvature)
    if factors_rows and not moments_suffice:
        curvature = Curvature.from_rows(rows, moments, unit_frame, alpha)
        # Of collinear columns the moments are as good, in a metric that keeps off what is only rounding.
        moments_suffice = learning_rate in ("auto", "curvature") and keep_digits(curvature)

    frame = Frame.raw(moments, fit_intercept=fit_intercept) if raw else unit_frame
    dtype: type = np.float64
    objective: MomentObjective | DataObjective
    if gathers_cross and (raw or moments_suffice):
        objective = MomentObjective(moments, frame, alpha)
    elif rows.n_samples * p * rows.n_outputs <= EXTENDED_LIMIT and not (raw or rows.is_sparse):
        dtype = np.longdouble
        objective = DataObjective(rows.astype(dtype), frame, alpha, compensated=True)
    else:
        objective = DataObjective(rows, frame, alpha)

    metric: Callable[[NDArray], NDArray] = identity
    if curvature is not None and learning_rate in ("auto", "curvature"):
        metric = curvature
    uses_matrix = metric is not identity
    if optimizer == "auto":
        optimizer = "gd" if raw or uses_matrix else "conjugate"
    rule = _OPTIMIZERS[optimizer](momentum)

    steepest = None
    if raw or not (uses_matrix or optimizer == "conjugate"):
        one = objective if moments.cross is not None else _of_first_output(rows, frame, alpha)
        steepest = largest_curvature(one, p + fit_intercept)
    if not isinstance(learning_rate, str):
        rate = float(learning_rate)
    elif steepest is not None:
        rate = 1.0 / steepest if steepest > 0 else 1.0
    else:
        rate = 1.0 if uses_matrix else 0.5
    return Plan(
        objective=objective,
        frame=frame,
        unit_frame=unit_frame,
        optimizer=rule,
        metric=metric,
        rate=rate,
        certificate_metric=curvature or half,
        refine=uses_matrix and not moments_suffice and rule.lands,
        dtype=dtype,
        moments=moments,
        largest_curvature=steepest if raw else None,
        rung=rate if raw else "curvature" if uses_matrix else "diagonal",
        optimizer_name=optimizer,
    )


_OPTIMIZERS: dict[str, Callable[[float], Optimizer]] = {
    "gd": lambda momentum: GradientDescent(),
    "momentum": Momentum,
    "nesterov": lambda momentum: Nesterov(),
    "conjugate": lambda momentum: Conjugate(),
}


def _of_first_output(rows: RowBlocks, frame: Frame, alpha: float) -> DataObjective:
    """Give the objective of one output: all have the same second derivatives."""
    first = replace(frame, target_center=frame.target_center[:1], target_scale=frame.target_scale[:1])
    return DataObjective(RowBlocks(rows.X, rows.y[:, :1], rows.weight), first, alpha)


def _is_short_and_wide(rows: RowBlocks, alpha: float) -> bool:
    small = rows.n_samples <= MOMENTS_LIMIT and rows.n_samples * rows.n_features <= FACTOR_LIMIT
    return small and not rows.is_sparse and alpha == 0
