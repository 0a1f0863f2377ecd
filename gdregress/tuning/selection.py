"""Choice among the points of a grid: the table of scores, the best point, and the one-standard-error rule."""

from collections.abc import Mapping, Sequence
from itertools import chain
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdregress.tuning.grid import Curve


def table(
    curves: Sequence[Curve],
    varied: Sequence[str],
    scores: Mapping[str, NDArray],
    weights: NDArray,
) -> dict[str, Any]:
    """Return `cv_results_`.

    Parameters
    ----------
    curves : sequence of Curve
        The points of the grid, one curve after the other.
    varied : sequence of str
        Names of the parameters that are axes of the grid.
    scores : dict of str to ndarray of shape (n_splits, n_points)
        Scores by name.
    weights : ndarray of shape (n_splits,)
        Weight of the test rows of each split.
    """
    results: dict[str, Any] = {}
    n_points = sum(curve.n_points for curve in curves)
    for name in varied:
        results[f"param_{name}"] = np.ma.MaskedArray(_values(curves, name), mask=np.zeros(n_points, bool))
    results["params"] = list(chain.from_iterable(curve.params(varied) for curve in curves))
    for name, of_splits in scores.items():
        n_splits = len(of_splits)
        for number, of_split in enumerate(of_splits):
            results[f"split{number}_test_{name}"] = of_split
        mean = of_splits.mean(axis=0)
        results[f"mean_test_{name}"] = mean
        results[f"std_test_{name}"] = of_splits.std(axis=0)
        if n_splits > 1:
            results[f"se_test_{name}"] = standard_error(of_splits)
        results[f"rank_test_{name}"] = ranks(mean)
    for number, weight in enumerate(weights):
        results[f"split{number}_test_weight"] = np.full(n_points, weight)
    return results


def _values(curves: Sequence[Curve], name: str) -> NDArray:
    """Return the value that a parameter has at each point."""
    if name == "alpha":
        return np.concatenate([np.repeat(curve.alphas, len(curve.epochs)) for curve in curves])
    if name == "epochs":  # all curves have the same
        return np.tile(_as_array(curves[0].epochs), sum(len(curve.alphas) for curve in curves))
    return np.repeat(_as_array([curve.shared()[name] for curve in curves]), [curve.n_points for curve in curves])


def _as_array(values: list[Any]) -> NDArray:
    """Return values as an array that keeps their types."""
    return np.array(values, dtype=object if len(set(map(type, values))) > 1 else None)


def ranks(mean: NDArray) -> NDArray:
    """Return the rank of each mean score: 1 for the best, equal ones for equal scores, the last ones for NaN."""
    falling = -np.where(np.isnan(mean), -np.inf, mean)
    order = np.argsort(falling)
    ordered = falling[order]
    first = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    found = np.empty(len(mean), np.int32)
    found[order] = np.repeat(first + 1, np.diff(first, append=len(mean)))
    return found


def one_standard_error(cv_results):
    """Choose the strongest penalty whose score is within one standard error of the best: a value of `refit`.

    The mean score over the splits is itself uncertain. Among the points of the grid that share the
    other parameters of the best, this rule takes the simplest that is no further below the best than
    its standard error, ``std(ddof=1) / sqrt(n_splits)`` (Breiman et al., 1984). The simplest has the
    largest `alpha`, or the fewest `epochs` if these are varied and `alpha` is not. Training sets
    overlap, so that this error is a rule of thumb and no more.

    Parameters
    ----------
    cv_results : dict of str to ndarray
        `cv_results_` of a GradientDescentRegressorCV with one score, from at least two splits.

    Returns
    -------
    index : int
        Index of the point that is chosen.

    Raises
    ------
    ValueError
        If there is but one split, or several scores.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from gdregress import GradientDescentRegressorCV, one_standard_error
    >>> X, y = load_diabetes(return_X_y=True, scaled=False)
    >>> model = GradientDescentRegressorCV(refit=one_standard_error).fit(X, y)
    >>> model.alpha_ == model.alpha_1se_ > model.alpha_min_
    True
    """
    if "mean_test_score" not in cv_results:
        raise ValueError(
            "one_standard_error chooses by a single score, but these results have several: give scoring one of them."
        )
    if "se_test_score" not in cv_results:
        raise ValueError(
            "there is no se_test_score: one_standard_error takes results of a GradientDescentRegressorCV from at least "
            "two splits."
        )
    return within_one_error(cv_results, "score")


def within_one_error(cv_results: Mapping[str, Any], name: str) -> int:
    """Return the index that `one_standard_error` chooses by one of several scores."""
    mean, points, top = cv_results[f"mean_test_{name}"], cv_results["params"], best(cv_results, name)
    axis, sign = ("alpha", 1.0) if "alpha" in points[top] else ("epochs", -1.0)
    if axis not in points[top]:
        return top
    others = [cv_results[f"param_{key}"].data == value for key, value in points[top].items() if key != axis]
    near = np.flatnonzero(np.all([np.ones(len(points), bool), *others], axis=0))
    near = near[np.argsort(-sign * cv_results[f"param_{axis}"].data[near].astype(np.float64), kind="stable")]
    return int(near[simplest(mean[near], cv_results[f"se_test_{name}"][near])])


def simplest(mean: NDArray, error: NDArray) -> int:
    """Return the place of the first mean score within one standard error of the best.

    Parameters
    ----------
    mean, error : ndarray of shape (n_points,)
        Mean scores and their standard errors, from the simplest model to the richest.
    """
    top = int(np.nanargmax(mean))
    return int(np.argmax(mean >= mean[top] - error[top]))


def standard_error(scores: NDArray) -> NDArray:
    """Return the standard errors of mean scores, given those of at least two splits along the first axis."""
    return scores.std(axis=0, ddof=1) / np.sqrt(len(scores))


def chosen(refit: Any, results: Mapping[str, Any], name: str) -> int:
    """Return the index of the point that `refit` chooses: the best by one score, or what a callable returns.

    Parameters
    ----------
    refit : bool, str or callable
        The parameter of the estimator.
    results : dict of str to ndarray
        `cv_results_`.
    name : str
        Name of the score that decides.

    Raises
    ------
    ValueError
        If a callable returns no index.
    """
    if not callable(refit):
        return best(results, name)
    index, n_points = refit(results), len(results["params"])
    if not isinstance(index, Integral) or not 0 <= int(index) < n_points:
        raise ValueError(f"refit returned {index!r}: it must return an index from 0 to {n_points - 1}.")
    return int(index)


def best(results: Mapping[str, Any], name: str) -> int:
    """Return the index of the first point of the best mean score."""
    mean = results[f"mean_test_{name}"]
    if np.isnan(mean).all():
        n_splits = sum(key.startswith("split") and key.endswith(f"_test_{name}") for key in results)
        scores = np.array([results[f"split{number}_test_{name}"][0] for number in range(n_splits)])
        at = int(np.isnan(scores).argmax())
        raise ValueError(f"the score {name!r} is NaN in split {at}: use another score, or larger test sets.")
    return int(np.argmin(results[f"rank_test_{name}"]))
