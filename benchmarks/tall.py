"""Time and memory on many rows, beside the product that a closed form cannot do without."""

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import sklearn

from benchmarks.measure import GRAM, Measurement, measure
from benchmarks.problem import Reference, solve, write_problem
from benchmarks.report import Rows
from benchmarks.solvers import COMMON, DIRECT, INTEL, OURS
from gdregress.comparison import aligned

CLOSE = 1e-6
"""Prediction error, in standard deviations of y, up to which ours counts as right."""


def run(n_samples: int, n_features: int, *, repeats: int = 5, json_file: str | None = None) -> int:
    """Fit the same tall data with every solver, each in its own process, and print ratios.

    Parameters
    ----------
    n_samples, n_features : int
        Shape of X.
    repeats : int, default=5
        Fits of a solver, of which the fastest counts; slow solvers are given fewer.
    json_file : str, default=None
        File for the results.

    Returns
    -------
    status : int
        0 if ours is right, else 1.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_problem(folder, n_samples, n_features)
        reference = solve(folder)
        solvers = (GRAM, OURS, *(name for name in (*DIRECT, *COMMON) if name != OURS))
        measurements = [measure(solver, folder, repeats) for solver in solvers]
    gram = min(measurement.gram_seconds for measurement in measurements)
    ours = measurements[1].seconds
    results = [_result(measurement, gram, ours, reference) for measurement in measurements]
    print(f"X of {n_samples} x {n_features} float64 ({8e-6 * n_samples * n_features:.0f} MB), {os.cpu_count()} cores,")
    print(f"numpy {np.__version__}, scikit-learn {sklearn.__version__}; reference within {reference.uncertainty:.0e}.")
    print("", aligned(_rows(results)), sep="\n")
    for result in results:
        for complaint in result["complaints"]:
            print(f"{result['solver']}: {complaint}")
    if INTEL not in DIRECT:
        print(f"{INTEL}: left out, scikit-learn-intelex is not installed.")
    if json_file is not None:
        setting = {"rows": n_samples, "columns": n_features, "cores": os.cpu_count()}
        versions = {"numpy": np.__version__, "scikit-learn": sklearn.__version__}
        content = {**setting, **versions, "reference_uncertainty": reference.uncertainty, "results": results}
        Path(json_file).write_text(json.dumps(content, indent=2) + "\n")
    error = results[1]["prediction_error"]
    return 0 if error is not None and error <= CLOSE else 1


def _result(measurement: Measurement, gram: float, ours: float, reference: Reference) -> dict:
    """Relate a measurement to the product, to ours and to the reference."""
    coef, intercept = measurement.coef, measurement.intercept
    return {
        "solver": measurement.solver,
        "time_to_gram": measurement.seconds / gram,
        "time_to_ours": measurement.seconds / ours,
        "seconds": measurement.seconds,
        "runs": measurement.runs,
        "coefficient_error": None if coef is None else reference.coefficient_error(coef),
        "prediction_error": None if coef is None else reference.prediction_error(coef, intercept),
        "peak_bytes": measurement.peak_bytes,
        "epochs": measurement.epochs,
        "complaints": measurement.complaints,
    }


def _rows(results: list[dict]) -> Rows:
    heads = ["solver", f"time / {GRAM}", "time / ours", "(seconds, runs)", "coef. error", "pred. error"]
    rows = [[*heads, "peak MB above X", "epochs"]]
    for result in results:
        more = "" if result["runs"] else "> "
        peak, epochs = result["peak_bytes"], result["epochs"]
        rows.append(
            [
                result["solver"],
                f"{more}{result['time_to_gram']:.2f}",
                f"{more}{result['time_to_ours']:.2f}",
                f"({more}{result['seconds']:.3g} s, {result['runs']})",
                _error(result["coefficient_error"]),
                _error(result["prediction_error"]),
                "-" if peak is None else f"{peak / 1e6:.0f}",
                "-" if epochs is None else str(epochs),
            ]
        )
    return rows


def _error(error: float | None) -> str:
    return "-" if error is None else f"{error:.1e}"
