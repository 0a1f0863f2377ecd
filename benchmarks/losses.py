"""Other losses, L1 and mini-batches beside the scikit-learn solvers of the same problems, in one process."""

import json
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.linear_model import HuberRegressor, Lasso, QuantileRegressor, SGDRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVR

from benchmarks.report import Rows, as_markdown
from benchmarks.solvers import OURS, linear_model
from gdregress import GradientDescentRegressor
from gdregress.comparison import aligned

CLOSE = 1e-6
"""Relative excess of our objective over another solver's up to which ours counts as right."""

RUNS = 5
"""Fits of a solver, of which the fastest counts."""

SLOW = 5.0
"""Seconds of a first fit above which there is no second."""

LONGER = 3
"""Epochs of the longer of the two fits whose difference is the time of an epoch."""


@dataclass(frozen=True)
class Problem:
    """Data, an objective and those who minimise it.

    Attributes
    ----------
    X : ndarray of shape (n_samples, n_features)
        Rows.
    y : ndarray of shape (n_samples,)
        Targets.
    objective : callable
        Gives the objective for residuals and coefficients.
    solvers : dict
        Unfitted estimators by name, ours first.
    longer : dict
        The same for `LONGER` epochs where `solvers` run one; empty where epochs are not compared.
    """

    X: NDArray
    y: NDArray
    objective: Callable[[NDArray, NDArray], float]
    solvers: dict
    longer: dict


@dataclass(frozen=True)
class Fit:
    """One fit of a solver.

    Attributes
    ----------
    model : estimator
        What came of it.
    seconds : float
        Its time.
    complaints : tuple of str
        What it warned of.
    """

    model: object
    seconds: float
    complaints: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """How a solver did on a problem.

    Attributes
    ----------
    problem, solver : str
        Their names.
    seconds : float
        Time of the fastest fit, or of an epoch.
    runs : int
        Fits of which that is the fastest.
    time_to_ours : float
        The same time over our fastest in the same rounds.
    objective : float, default=None
        Objective at the coefficients reached; None for an epoch.
    excess : float, default=None
        Relative distance of the objective from ours; negative where ours is worse.
    converged : bool, default=None
        Whether it says that it arrived; None where it was not asked to.
    epochs : int, default=None
        Epochs or iterations, as it counts them.
    zeros : int, default=None
        Coefficients that are exactly zero; None where the penalty is not L1.
    complaints : tuple of str, default=()
        What it warned of.
    """

    problem: str
    solver: str
    seconds: float
    runs: int
    time_to_ours: float
    objective: float | None = None
    excess: float | None = None
    converged: bool | None = None
    epochs: int | None = None
    zeros: int | None = None
    complaints: tuple[str, ...] = ()

    @property
    def is_right(self) -> bool:
        """Whether ours arrived, or the other is not below it; not judged where nobody was asked to arrive."""
        if self.solver == OURS:
            return self.converged is not False
        return self.converged is None or self.excess >= -CLOSE


def run(names: list[str] | None = None, *, markdown: str | None = None, json_file: str | None = None) -> int:
    """Fit each problem with ours and with scikit-learn's solvers of it, and print times and objectives.

    Parameters
    ----------
    names : list of str, default=None
        Problems, of `PROBLEMS`; None for all.
    markdown : str, default=None
        File for the table and the notes.
    json_file : str, default=None
        File for the results.

    Returns
    -------
    status : int
        0 if ours converged wherever it was asked to, and no other objective is lower by more than
        `CLOSE`, else 1.
    """
    results, notes = [], []
    for name in names or PROBLEMS:
        more, remarks = _solve(name, PROBLEMS[name](np.random.default_rng(0)))
        results += more
        notes += remarks
    notes += [f"{result.problem}, {result.solver}: {text}" for result in results for text in result.complaints]
    versions = {"numpy": np.__version__, "scikit-learn": sklearn.__version__}
    preface = f"{os.cpu_count()} cores, " + ", ".join(f"{name} {version}" for name, version in versions.items())
    rows = _rows(results)
    print(f"{preface}.", "", aligned(rows), *notes, sep="\n")
    if markdown is not None:
        Path(markdown).write_text("\n\n".join([f"{preface}.", as_markdown(rows), *notes]) + "\n")
    if json_file is not None:
        content = {"cores": os.cpu_count(), **versions, "results": [asdict(result) for result in results]}
        Path(json_file).write_text(json.dumps(content, indent=2) + "\n")
    return 0 if all(result.is_right for result in results) else 1


def _quantile(rng: np.random.Generator) -> Problem:
    X, y = _scaled_columns(rng, 5_000, 20, lambda n: rng.standard_t(3, n))
    quantile = 0.7
    solvers = {
        OURS: GradientDescentRegressor(loss="quantile", quantile=quantile),
        "QuantileRegressor": QuantileRegressor(quantile=quantile, alpha=0.0),
    }
    return Problem(X, y, lambda r, _: np.mean(np.maximum(quantile * r, (quantile - 1) * r)), solvers, {})


def _huber(rng: np.random.Generator) -> Problem:
    X, y = _scaled_columns(rng, 200_000, 50, lambda n: _outliers(rng, n))
    epsilon = 1.35
    sgd = SGDRegressor(loss="huber", epsilon=epsilon, penalty=None, random_state=0)
    solvers = {
        OURS: GradientDescentRegressor(loss="huber", epsilon=epsilon),
        "StandardScaler + SGDRegressor": make_pipeline(StandardScaler(), sgd),
    }
    return Problem(X, y, lambda r, _: _huber_loss(r, epsilon), solvers, {})


def _huber_scale(rng: np.random.Generator) -> Problem:
    """Give ours the scale that HuberRegressor finds: at that scale both minimise the same."""
    X, y = _scaled_columns(rng, 20_000, 20, lambda n: _outliers(rng, n))
    theirs = make_pipeline(StandardScaler(), HuberRegressor(epsilon=1.35, alpha=0.0, max_iter=1000))
    fitted = linear_model(clone(theirs).fit(X, y))
    epsilon = fitted.epsilon * fitted.scale_
    solvers = {
        OURS: GradientDescentRegressor(loss="huber", epsilon=epsilon),
        "StandardScaler + HuberRegressor": theirs,
    }
    return Problem(X, y, lambda r, _: _huber_loss(r, epsilon), solvers, {})


def _svr(rng: np.random.Generator) -> Problem:
    """Divide LinearSVR's objective by C n: the mean loss with alpha = 1 / (C n).

    Columns are standardised for both, so that both penalise the same coefficients. LinearSVR
    penalises its intercept as well, which is next to nothing here: those of X and y are centred.
    """
    X, y = _scaled_columns(rng, 20_000, 20, rng.standard_normal)
    X = StandardScaler().fit_transform(X)
    epsilon, alpha = 0.1, 1e-4
    svr = LinearSVR(epsilon=epsilon, C=1 / (alpha * len(y)), tol=1e-6, max_iter=10_000, random_state=0)
    solvers = {
        OURS: GradientDescentRegressor(loss="epsilon_insensitive", epsilon=epsilon, penalty="l2", alpha=alpha),
        "LinearSVR": svr,
    }
    return Problem(
        X, y, lambda r, w: np.mean(np.maximum(np.abs(r) - epsilon, 0.0)) + alpha / 2 * np.sum(w**2), solvers, {}
    )


def _lasso(rng: np.random.Generator) -> Problem:
    n, p, n_factors, n_true = 100_000, 200, 20, 30
    X = rng.standard_normal((n, n_factors)) @ rng.standard_normal((n_factors, p)) + 0.7 * rng.standard_normal((n, p))
    true = rng.choice(p, n_true, replace=False)
    y = X[:, true] @ rng.standard_normal(n_true) + 3 * rng.standard_normal(n)
    alpha = 0.1
    solvers = {
        OURS: GradientDescentRegressor(penalty="l1", alpha=alpha),
        "Lasso": Lasso(alpha=alpha, tol=1e-6),
    }
    return Problem(X, y, lambda r, w: np.mean(r**2) / 2 + alpha * np.sum(np.abs(w)), solvers, {})


def _batches(rng: np.random.Generator) -> Problem:
    """Run one epoch, and a few to tell an epoch from what a fit does before and after it."""
    X, y = _scaled_columns(rng, 1_000_000, 100, rng.standard_normal)

    def solvers(epochs: int) -> dict:
        sgd = SGDRegressor(max_iter=epochs, tol=None, penalty=None, random_state=0)
        return {
            OURS: GradientDescentRegressor(batch_size=256, epochs=epochs, tol=None, random_state=0),
            "SGDRegressor": sgd,
            "StandardScaler + SGDRegressor": make_pipeline(StandardScaler(), sgd),
        }

    return Problem(X, y, lambda r, _: np.mean(r**2), solvers(1), solvers(LONGER))


PROBLEMS: dict[str, Callable[[np.random.Generator], Problem]] = {
    "quantile": _quantile,
    "huber": _huber,
    "huber-scale": _huber_scale,
    "svr": _svr,
    "lasso": _lasso,
    "batches": _batches,
}
"""What makes each problem, by the name it is asked for and printed under."""


def _scaled_columns(
    rng: np.random.Generator, n: int, p: int, noise: Callable[[int], NDArray]
) -> tuple[NDArray, NDArray]:
    """Draw correlated columns far from zero, in units four orders of magnitude apart, and y of their standardised."""
    X = rng.standard_normal((n, p)) @ (np.eye(p) + 0.3 * rng.standard_normal((p, p)))
    X *= 10 ** rng.uniform(-2, 2, p)
    X += 5
    coef = rng.standard_normal(p) / X.std(axis=0)
    return X, X @ coef - X.mean(axis=0) @ coef + noise(n)


def _outliers(rng: np.random.Generator, n: int) -> NDArray:
    return rng.standard_normal(n) * np.where(rng.random(n) < 0.1, 30.0, 1.0)


def _huber_loss(residuals: NDArray, epsilon: float) -> float:
    """Average SGDRegressor's loss, doubled to be the squared error in the middle."""
    sizes = np.abs(residuals)
    return np.mean(np.where(sizes <= epsilon, sizes**2, epsilon * (2 * sizes - epsilon)))


def _solve(name: str, problem: Problem) -> tuple[list[Result], list[str]]:
    """Fit a problem with each of its solvers in turn, again and again, and relate them to ours."""
    for first in problem.solvers.values():  # what is loaded at the first fit is nobody's time
        _fit(first, problem.X[:1000], problem.y[:1000])
    solvers = problem.solvers | {_longer(solver): model for solver, model in problem.longer.items()}
    fits: dict[str, list[Fit]] = {solver: [] for solver in solvers}
    for _ in range(RUNS):
        for solver, estimator in solvers.items():
            if not fits[solver] or fits[solver][0].seconds <= SLOW:
                fits[solver].append(_fit(estimator, problem.X, problem.y))
    ours = fits[OURS]
    results = [_result(name, solver, problem, fits[solver], ours) for solver in problem.solvers]
    results += [_epoch(name, solver, fits) for solver in problem.longer]
    return results, _zero_patterns(name, results, fits)


def _longer(solver: str) -> str:
    return f"{solver}, {LONGER} epochs"


def _fit(estimator, X: NDArray, y: NDArray) -> Fit:
    model = clone(estimator)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        start = time.perf_counter()
        model.fit(X, y)
        seconds = time.perf_counter() - start
    return Fit(model, seconds, tuple(str(warning.message) for warning in caught))


def _result(name: str, solver: str, problem: Problem, fits: list[Fit], ours: list[Fit]) -> Result:
    fitted = fits[0].model
    model = linear_model(fitted)
    seconds = _fastest(fits)
    objective, reference = (_objective(problem, fit.model) for fit in (fits[0], ours[0]))
    return Result(
        problem=name,
        solver=solver,
        seconds=seconds,
        runs=len(fits),
        time_to_ours=seconds / _fastest(ours[: len(fits)]),  # of the same rounds: both met the same machine
        objective=objective,
        excess=(objective - reference) / reference,
        converged=_converged(model),
        epochs=int(model.n_iter_),
        zeros=int((model.coef_ == 0.0).sum()) if _has_l1(problem) else None,
        complaints=fits[0].complaints,
    )


def _epoch(name: str, solver: str, fits: dict[str, list[Fit]]) -> Result:
    """Tell the time of an epoch alone, and ours in the same rounds."""
    runs = min(len(fits[one]) for model in (solver, OURS) for one in (model, _longer(model)))
    seconds, ours = (_epoch_seconds(fits[model][:runs], fits[_longer(model)][:runs]) for model in (solver, OURS))
    return Result(name, f"{solver}, an epoch more", seconds, runs, seconds / ours)


def _epoch_seconds(short: list[Fit], long: list[Fit]) -> float:
    return (_fastest(long) - _fastest(short)) / (LONGER - 1)


def _fastest(fits: list[Fit]) -> float:
    return min(fit.seconds for fit in fits)


def _objective(problem: Problem, fitted) -> float:
    return float(problem.objective(problem.y - fitted.predict(problem.X), linear_model(fitted).coef_))


def _converged(model) -> bool | None:
    """Say whether a model says that it arrived: a solver that does not, stops short of its iterations."""
    if getattr(model, "tol", 0.0) is None:
        return None
    if hasattr(model, "converged_"):
        return bool(model.converged_)
    return bool(model.n_iter_ < getattr(model, "max_iter", np.inf))


def _has_l1(problem: Problem) -> bool:
    return problem.solvers[OURS].penalty == "l1"


def _zero_patterns(name: str, results: list[Result], fits: dict[str, list[Fit]]) -> list[str]:
    """Count the coefficients that are zero in one of two models only."""
    ours = linear_model(fits[OURS][0].model).coef_ == 0.0
    others = [result.solver for result in results if result.zeros is not None and result.solver != OURS]
    different = {solver: int((ours != (linear_model(fits[solver][0].model).coef_ == 0.0)).sum()) for solver in others}
    return [
        f"{name}: {count} of {ours.size} coefficients are zero in one of {OURS} and {solver} only."
        for solver, count in different.items()
    ]


def _rows(results: list[Result]) -> Rows:
    heads = ["problem", "solver", "seconds (runs)", "time / ours", "objective", "(objective - ours) / ours"]
    rows = [[*heads, "converged", "epochs", "zeros"]]
    for result in results:
        rows.append(
            [
                result.problem,
                result.solver,
                f"{result.seconds:.3g} ({result.runs})",
                f"{result.time_to_ours:.2f}",
                _cell(result.objective, ".9g"),
                "-" if result.solver == OURS else _cell(result.excess, ".1e"),
                {None: "-", True: "yes", False: "no"}[result.converged],
                _cell(result.epochs, "d"),
                _cell(result.zeros, "d"),
            ]
        )
    return rows


def _cell(number: float | None, form: str) -> str:
    return "-" if number is None else format(number, form)
