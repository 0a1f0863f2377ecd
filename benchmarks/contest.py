"""One problem: every solver that competes, measured, scored and related to ours."""

from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.measure import Effort, Measurement, measure
from benchmarks.problems import OURS, Problem
from benchmarks.score import Judge, Score, judge
from benchmarks.solvers import CLOSE, SOLVERS


@dataclass(frozen=True)
class Result:
    """How a solver did on a problem.

    Attributes
    ----------
    problem, solver : str
        Their names.
    seconds : float or None
        Time of the fastest fit; None where it failed.
    runs : int
        Fits of which that is the fastest; 0 for a solver that was given up or failed.
    time_to_ours, time_to_gram : float or None
        The same over our fastest, and over the fastest product `GRAM`, where it competes.
    epoch_seconds : float or None
        Time of an epoch alone, where longer fits tell it.
    extrapolated_from : int or None
        Epochs that were run, where the seconds are those of more.
    objective : float or None
        Objective at the coefficients found.
    excess : float or None
        Its distance from the lowest that anybody found, as `Judge.excess` measures it.
    coefficient_error, prediction_error : float or None
        Distances from the reference of least squares, in standard deviations of y.
    peak_bytes : int or None
        Memory that the fit took above X.
    busy_cores : float or None
        Cores that were busy on average.
    threads : dict of str to int
        Threads that each library may use.
    epochs : int or None
        Epochs or iterations, as it counts them.
    converged : bool or None
        Whether it says that it arrived.
    zeros : int or None
        Coefficients that are exactly zero, with an L1 penalty.
    complaints : tuple of str
        What it warned of.
    """

    problem: str
    solver: str
    seconds: float | None
    runs: int
    time_to_ours: float | None
    time_to_gram: float | None
    epoch_seconds: float | None
    extrapolated_from: int | None
    objective: float | None
    excess: float | None
    coefficient_error: float | None
    prediction_error: float | None
    peak_bytes: int | None
    busy_cores: float | None
    threads: dict[str, int] | None
    epochs: int | None
    converged: bool | None
    zeros: int | None
    complaints: tuple[str, ...]

    @property
    def is_wrong(self) -> bool:
        """Whether it is ours and failed, or says that it arrived where it did not."""
        if not self.solver.startswith(OURS):
            return False
        errors = [error for error in (self.excess, self.prediction_error) if error is not None]
        return self.seconds is None or bool(self.converged and not max(errors) <= CLOSE)


@dataclass(frozen=True)
class Contest:
    """How all did on a problem.

    Attributes
    ----------
    problem : Problem
        With its objective settled.
    uncertainty : float or None
        Prediction error of the reference, as far as it is known.
    results : list of Result
        In the order of its solvers.
    """

    problem: Problem
    uncertainty: float | None
    results: list[Result]

    def as_dict(self) -> dict:
        """Give plain values."""
        problem = self.problem
        return {
            "problem": problem.name,
            "shape": problem.shape,
            "objective": asdict(problem.objective),
            "descent": problem.descent and asdict(problem.descent),
            "reference_uncertainty": self.uncertainty,
            "results": [asdict(result) for result in self.results],
        }


def hold(problem: Problem, names: list[str], effort: Effort, *, with_reference: bool = True) -> Contest:
    """Let solvers compete.

    Parameters
    ----------
    problem : Problem
        What is to be solved.
    names : list of str
        Solvers, of those that are installed.
    effort : Effort
        How often each is run, and how long at most.
    with_reference : bool, default=True
        Whether errors are told beside objectives.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        problem = problem.write(folder)
        measurements = [measure(solver, problem, folder, effort) for solver in names]
        judging = judge(problem.objective, folder, problem.shape, with_reference=with_reference)
        scores = [_score(judging, measurement) for measurement in measurements]
    reference = judging.reference
    return Contest(problem, reference and reference.uncertainty, _relate(problem, judging, measurements, scores))


def _score(judging: Judge, measurement: Measurement) -> Score:
    return Score() if measurement.coef is None else judging.score(measurement.coef, measurement.intercept)


def _relate(problem: Problem, judging: Judge, measurements: list[Measurement], scores: list[Score]) -> list[Result]:
    """Relate times to ours and to the product, and objectives to the lowest."""
    seconds = {measurement.solver: _seconds(problem, measurement) for measurement in measurements}
    ours = seconds.get(OURS)
    gram = min((m.gram_seconds for m in measurements if m.gram_seconds is not None), default=None)
    objectives = [score.objective for score in scores if score.objective is not None]
    best = min(filter(np.isfinite, objectives), default=np.nan)
    results = []
    for measurement, score in zip(measurements, scores, strict=True):
        time = seconds[measurement.solver]
        results.append(
            Result(
                problem=problem.name,
                solver=measurement.solver,
                seconds=time,
                runs=measurement.runs,
                time_to_ours=_ratio(time, ours),
                time_to_gram=_ratio(time, gram),
                epoch_seconds=_epoch_seconds(problem, measurement),
                extrapolated_from=measurement.epochs if _falls_short(problem, measurement) else None,
                objective=score.objective,
                excess=None if score.objective is None else judging.excess(score.objective, best),
                coefficient_error=score.coefficient_error,
                prediction_error=score.prediction_error,
                peak_bytes=measurement.peak_bytes,
                busy_cores=measurement.busy_cores,
                threads=measurement.threads,
                epochs=measurement.epochs,
                converged=measurement.converged,
                zeros=_zeros(problem, measurement),
                complaints=measurement.complaints,
            )
        )
    return results


def _seconds(problem: Problem, measurement: Measurement) -> float | None:
    if _falls_short(problem, measurement):
        return measurement.seconds * problem.descent.epochs / measurement.epochs
    return measurement.seconds


def _falls_short(problem: Problem, measurement: Measurement) -> bool:
    """Tell a loop that ran fewer epochs than were asked for."""
    return problem.descent is not None and (measurement.epochs or np.inf) < problem.descent.epochs


def _epoch_seconds(problem: Problem, measurement: Measurement) -> float | None:
    if measurement.longer_seconds is None:
        return None
    return (measurement.longer_seconds - measurement.seconds) / (problem.descent.longer - problem.descent.epochs)


def _ratio(time: float | None, unit: float | None) -> float | None:
    return None if time is None or unit is None else time / unit


def _zeros(problem: Problem, measurement: Measurement) -> int | None:
    if problem.objective.penalty != "l1" or measurement.coef is None:
        return None
    return int((measurement.coef == 0.0).sum())


def competitors(problem: Problem, chosen: list[str] | None) -> tuple[list[str], list[str]]:
    """Give the solvers of a problem that can run here, and those that are not installed.

    Parameters
    ----------
    problem : Problem
        Whose solvers.
    chosen : list of str or None
        Those of interest; None for all.
    """
    names = [name for name in problem.solvers if chosen is None or name in chosen]
    missing = [name for name in names if not SOLVERS[name].is_installed]
    return [name for name in names if name not in missing], missing
