"""The rows of a fit, wherever the user has them."""

from typing import Any

from gdregress.method.spec import Spec
from gdregress.rows.inputs import check_outputs, is_vector
from gdregress.rows.rows import Rows
from gdregress.rows.sources import source_of
from gdregress.solve.attributes import OutputFormat
from gdregress.solve.availability import moments_suffice
from gdregress.solve.scale import NEEDS_RESIDUALS


def training_rows(estimator: Any, spec: Spec, X, y, sample_weight) -> tuple[Rows, OutputFormat]:
    """Return the validated training rows, and the format of what is fitted to them."""
    if hasattr(X, "__next__"):
        raise TypeError(f"X is a {type(X).__name__}: pass an iterator of (X, y) to fit_batches.")
    source, size = source_of("X", X), spec.steps.batch_size
    if size is not None:
        source.check_single_rows(
            f"batch_size={size} draws rows", "use batch_size=None, or partial_fit with chunks in memory"
        )
    if spec.fits_scale:
        source.check_single_rows(NEEDS_RESIDUALS, "give epsilon a number")
    if moments_suffice(spec) and not spec.limits.early_stopping:
        rows = source.summed(estimator, y, sample_weight)
    else:
        rows = source.rows(estimator, y, sample_weight, reset=True)
    return rows, OutputFormat(rows.dtype, is_vector(y), source.place)


def validation_rows(estimator: Any, X_val, y_val, sample_weight_val, n_outputs: int) -> Rows:
    """Return the given validation rows, validated; those of dask and of a device stay where they are."""
    rows = source_of("X_val", X_val).rows(estimator, y_val, sample_weight_val, suffix="_val")
    check_outputs(rows.n_outputs, n_outputs)
    return rows
