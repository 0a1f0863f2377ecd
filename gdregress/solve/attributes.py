"""The fitted attributes that a descent leaves, on the original scale of X and y."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gdregress.method.assembly import Method
from gdregress.method.spec import Spec
from gdregress.problem.coordinates import rounded
from gdregress.problem.problem import Problem
from gdregress.rows.namespaces import HOST, Place
from gdregress.solve.stopping import Result
from gdregress.solve.trace import Epoch, Trace

FITTED = (
    "coef_",
    "intercept_",
    "scale_",
    "epsilon_",
    "n_iter_",
    "best_epoch_",
    "converged_",
    "diverged_",
    "stop_reason_",
    "optimality_",
    "learning_rate_",
    "optimizer_",
    "max_learning_rate_",
    "moments_",
    "n_samples_seen_",
    "n_chunks_seen_",
    "descent_",
    "history_",
)
"""Names of the attributes that a fit sets, except those of the columns: the next fit deletes them first."""

NOTICED = 1e-6
"""Change of the predictions, in standard deviations of y, from which a coefficient that is out of range is said so."""


class OutputFormat(NamedTuple):
    """Dtype, shape and place of the fitted coefficients and intercepts.

    Attributes
    ----------
    dtype : dtype
        Their floating type.
    is_single : bool
        Whether y has one dimension, so that they have no axis of outputs.
    place : Place, default=HOST
        Where they live.
    """

    dtype: Any
    is_single: bool
    place: Place = HOST

    def of(self, raw: NDArray, dtype: Any = None) -> NDArray:
        """Return an array of shape (n_features, n_outputs) or (n_outputs,) in the form of a fitted attribute."""
        raw = raw.T.astype(self.dtype if dtype is None else dtype)
        return raw[0] if self.is_single else np.ascontiguousarray(raw)

    def placed(self, fitted: NDArray) -> Any:
        """Return a fitted attribute in its place."""
        return fitted if self.place.is_host else self.place.put(fitted, self.place.dtype(self.dtype))

    def targets(self, y: NDArray) -> NDArray:
        """Return targets of shape (n_samples, n_outputs) as the user gave them."""
        return y[:, 0] if self.is_single else y

    def solution(self, problem: Problem, epoch: Epoch) -> dict[str, Any]:
        """Return new arrays of the attributes that belong to an epoch: coefficients, intercept and optimality."""
        raw = problem.coordinates.to_raw(epoch.point)
        coef, intercept = rounded(*raw, problem.moments.x.mean, self.dtype)
        return {
            "coef_": self.placed(self.of(coef)),
            "intercept_": self.placed(self.of(intercept)[()]) if problem.terms.fit_intercept else 0.0,
            "optimality_": epoch.optimality,
        }

    def in_range(self, problem: Problem, tol: float | None, result: Result) -> Result:
        """Return the result; with a warning where numbers cannot hold what was found, so that predictions are off."""
        kept = result.kept
        coef, intercept = problem.coordinates.to_raw(kept.point)
        if sentence := self._out_of_range(problem, kept.point, coef, intercept):
            return replace(result, reason=sentence, is_warning=True)
        if not tol or not kept.optimality <= tol:
            return result
        raw = rounded(coef, intercept, problem.moments.x.mean, np.float64)
        rounding = problem.optimality_of_rounding(kept.value, kept.point, raw, tol)
        if rounding <= tol:
            return result
        sentence = _rounded(problem, coef, intercept)
        return replace(result, kept=kept._replace(optimality=rounding), reason=sentence, is_warning=True)

    def _out_of_range(self, problem: Problem, point: NDArray, coef: NDArray, intercept: NDArray) -> str:
        """Return a sentence on coefficients or intercepts beyond the range of the dtype; nothing where all are in it.

        A column whose standard deviation has no reciprocal in double precision cannot have a coefficient at all.
        """
        coordinates, standard, limits = problem.coordinates, problem.standard, np.finfo(self.dtype)
        wider = "" if self.dtype == np.float64 else ", or pass X in 64 bits"

        def said(what: str, size: str, remedy: str) -> str:
            return f"{what} too {size} for {np.dtype(self.dtype)}: {remedy} by a power of ten{wider}."

        def is_out(found: NDArray) -> NDArray:
            size = np.abs(found)
            return ~((size >= limits.tiny) & (size <= limits.max))

        def lost(exact: NDArray) -> NDArray:
            return np.abs(exact.astype(self.dtype).astype(np.longdouble) - exact)

        moves = (point[: len(coef)] != 0) & (coordinates.inverse_scale != 0)[:, np.newaxis]
        column, output = np.nonzero(moves & is_out(coef))
        is_still = (standard.inverse_scale == 0) & (problem.moments.x.variance > 0)
        if len(column) or is_still.any():
            effect = np.abs(problem.standard_coefficients(point)[column, output])
            factor = coordinates.inverse_scale[column].astype(np.longdouble) * coordinates.target_scale[output]
            exact = point[column, output] * factor
            is_lost = ~(lost(exact) / np.abs(exact) * effect <= NOTICED)
            is_large = np.append(np.abs(exact[is_lost]) > 1, problem.moments.x.deviation[is_still] < 1)
            if is_large.any():
                return said("coefficients are", "large", "multiply X or divide y")
            if len(is_large):
                return said("coefficients are", "small", "divide X or multiply y")
        is_lost = is_out(intercept)
        if is_lost.any():
            is_lost &= ~(lost(intercept.astype(np.longdouble)) <= NOTICED * standard.target_scale)
        if is_lost.any():
            is_large = np.abs(intercept[is_lost]) > 1
            return said("the intercept is", *(("large", "divide y") if is_large.any() else ("small", "multiply y")))
        return ""

    def fitted(self, spec: Spec, method: Method, result: Result) -> dict[str, Any]:
        """Return the fitted attributes of a descent.

        Parameters
        ----------
        spec : Spec
            The specification.
        method : Method
            The method that was followed.
        result : Result
            How the descent ended.
        """
        problem, tol = method.problem, spec.limits.tol
        attributes = self.solution(problem, result.kept) | {
            "n_iter_": result.trace.number,
            "best_epoch_": result.kept.number,
            "converged_": bool(tol and not result.is_warning and result.kept.optimality <= tol),
            "diverged_": result.has_diverged,
            "stop_reason_": result.reason,
            "learning_rate_": method.learning_rate,
            "optimizer_": method.choice.optimizer,
            "history_": self._history(result.trace),
        }
        steepest = None if method.raw is None else method.raw.largest_curvature
        if steepest is not None and problem.terms.is_squared_error:
            attributes["max_learning_rate_"] = 2.0 / steepest if steepest > 0 else float("inf")
        return attributes

    def _history(self, trace: Trace) -> dict[str, NDArray]:
        """Return the measurements of every epoch, and its coefficients if they were recorded."""
        columns = trace.columns()
        if trace.recorded:
            coef, intercept = (np.concatenate(parts, axis=-2) for parts in zip(*trace.recorded, strict=True))
            # (n_features, n_epochs, n_outputs) -> (n_epochs, n_outputs, n_features)
            columns["coef"] = np.ascontiguousarray(np.moveaxis(coef, 0, -1), dtype=np.float64)
            columns["intercept"] = np.asarray(intercept, dtype=np.float64)
            if self.is_single:
                columns["coef"], columns["intercept"] = columns["coef"][:, 0], columns["intercept"][:, 0]
        return columns


def _rounded(problem: Problem, coef: NDArray, intercept: NDArray) -> str:
    """Return a sentence on an intercept whose rounding shifts predictions: why it is so large, and the remedy."""
    standard = problem.standard
    output = int(np.abs(intercept / standard.target_scale).argmax())
    size = np.abs(coef[:, output])
    distances, spreads = size * np.abs(standard.center), size * problem.moments.x.deviation
    column = int(distances.argmax())
    what, distance, spread = f"column {column} of X", distances[column], spreads[column]
    if abs(standard.target_center[output]) > distance:
        what, distance, spread = "y", abs(standard.target_center[output]), standard.target_scale[output]
    return (
        f"double precision has too few digits for the intercept {float(intercept[output]):.2g}, since {what} is "
        f"{distance / spread:.0e} of its standard deviations from zero: subtract a constant from {what}, or raise tol."
    )
