"""Choice among the points of a grid: the table of scores, the best point, and the one-standard-error rule."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdregress.tuning.grid import Curve, as_array
from gdregress.tuning.of_splits import OfSplits, means


@dataclass(frozen=True)
class Scores:
    """The scores of all points of a grid.

    There may be a hundred thousand points, and the dicts of `cv_results_` take longer than the scores. So the table is
    made when it is first read, and what `fit` needs comes from the arrays.

    Attributes
    ----------
    curves : sequence of Curve
        The points, one curve after the other.
    varied : sequence of str
        Names of the parameters that are axes of the grid.
    of_curves : sequence of dict of str to OfSplits
        Scores of each curve, of shape (n_splits, n_points_of_curve), by name.
    weights : ndarray of shape (n_splits,)
        Weight of the test rows of each split.
    """

    curves: Sequence[Curve]
    varied: Sequence[str]
    of_curves: Sequence[Mapping[str, OfSplits]]
    weights: NDArray

    @cached_property
    def table(self) -> dict[str, Any]:
        """`cv_results_`."""
        results: dict[str, Any] = {}
        n_points, n_splits = sum(curve.n_points for curve in self.curves), len(self.weights)
        for name in self.varied:
            results[f"param_{name}"] = np.ma.MaskedArray(_values(self.curves, name), mask=np.zeros(n_points, bool))
        results["params"] = list(chain.from_iterable(curve.params(self.varied) for curve in self.curves))
        for name in self.of_curves[0]:
            of_splits = np.hstack([scores[name].all for scores in self.of_curves])
            for number, of_split in enumerate(of_splits):
                results[f"split{number}_test_{name}"] = of_split
            results[f"mean_test_{name}"] = self.means[name]
            results[f"std_test_{name}"] = of_splits.std(axis=0)
            if n_splits > 1:
                results[f"se_test_{name}"] = standard_error(of_splits)
            results[f"rank_test_{name}"] = ranks(self.means[name])
        for number, weight in enumerate(self.weights):
            results[f"split{number}_test_weight"] = np.full(n_points, weight)
        return results

    @cached_property
    def means(self) -> dict[str, NDArray]:
        """Mean scores of the splits by name, each of shape (n_points,)."""
        names = self.of_curves[0]
        return {name: means([scores[name] for scores in self.of_curves]) for name in names}

    def best(self, name: str) -> int:
        """Return the index of the first point of the best mean score.

        Raises
        ------
        ValueError
            If all are NaN.
        """
        mean = self.means[name]
        top = int(np.argmax(mean))  # the first NaN, if there is one
        if not np.isnan(mean[top]):
            return top
        if np.isnan(mean).all():
            at = int(np.isnan(self.of_curves[0][name].all[:, 0]).argmax())
            raise ValueError(
                f"the score {name!r} is NaN in split {at}: use a score of regression, such as "
                "'neg_mean_absolute_error', or larger test sets."
            )
        return int(np.nanargmax(mean))

    def place(self, index: int) -> tuple[int, int]:
        """Return the number of the curve of a point, and its place along this curve."""
        ends = np.cumsum([curve.n_points for curve in self.curves])
        number = int(np.searchsorted(ends, index, side="right"))
        return number, index - int(ends[number]) + self.curves[number].n_points

    def point(self, index: int) -> dict[str, Any]:
        """Return the parameters of a point."""
        number, place = self.place(index)
        return self.curves[number].point(place)

    def within_one_error(self, name: str, top: int) -> dict[str, Any]:
        """Return the parameters of the point that `one_standard_error` chooses by one of several scores.

        Parameters
        ----------
        name : str
            Name of the score, of at least two splits.
        top : int
            Index of the best point.
        """
        number, place = self.place(top)  # another curve with the same parameters has the same scores
        curve, of_splits = self.curves[number], self.of_curves[number][name].all
        columns = {each: _values([curve], each) for each in self.varied}
        mean = self.means[name][top - place :][: curve.n_points]
        return curve.point(simplest_near(columns, place, mean, lambda near: float(standard_error(of_splits[:, near]))))


def _values(curves: Sequence[Curve], name: str) -> NDArray:
    """Return the value that a parameter has at each point."""
    if name == "alpha":
        return np.concatenate([np.repeat(curve.alphas, len(curve.epochs)) for curve in curves])
    if name == "epochs":  # all curves have the same
        return np.tile(as_array(curves[0].epochs), sum(len(curve.alphas) for curve in curves))
    return np.repeat(as_array([curve.shared()[name] for curve in curves]), [curve.n_points for curve in curves])


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
    columns = {key.removeprefix("param_"): cv_results[key].data for key in cv_results if key.startswith("param_")}
    mean, error = cv_results["mean_test_score"], cv_results["se_test_score"]
    return simplest_near(columns, int(np.nanargmax(mean)), mean, error.item)


def simplest_near(columns: Mapping[str, NDArray], top: int, mean: NDArray, error: Callable[[int], float]) -> int:
    """Return the index of the simplest point within one standard error of the best.

    Parameters
    ----------
    columns : dict of str to ndarray of shape (n_points,)
        Values of the parameters that are axes of the grid, by name.
    top : int
        Index of the best point.
    mean : ndarray of shape (n_points,)
        Mean scores.
    error : callable
        Function from the index of a point to its standard error.
    """
    axis, sign = ("alpha", 1.0) if "alpha" in columns else ("epochs", -1.0)
    if axis not in columns:
        return top
    alike = np.ones(len(mean), bool)
    for name, values in columns.items():
        if name != axis:
            alike &= values == values[top]
    near = np.flatnonzero(alike)
    near = near[np.argsort(-sign * columns[axis][near].astype(np.float64), kind="stable")]
    return int(near[simplest(mean[near], lambda place: error(int(near[place])))])


def simplest(mean: NDArray, error: Callable[[int], float]) -> int:
    """Return the place of the first mean score within one standard error of the best.

    Parameters
    ----------
    mean : ndarray of shape (n_points,)
        Mean scores, from the simplest model to the richest.
    error : callable
        Function from the place of a score to its standard error.
    """
    top = int(np.nanargmax(mean))
    return int(np.argmax(mean >= mean[top] - error(top)))


def standard_error(scores: NDArray) -> NDArray:
    """Return the standard errors of mean scores, given those of at least two splits along the first axis."""
    return scores.std(axis=0, ddof=1) / np.sqrt(len(scores))


def chosen(refit: Any, scores: Scores, top: int) -> int:
    """Return the index of the point that `refit` chooses: the best by one score, or what a callable returns.

    Parameters
    ----------
    refit : bool, str or callable
        The parameter of the estimator.
    scores : Scores
        The scores.
    top : int
        Index of the best point.

    Raises
    ------
    ValueError
        If a callable returns no index.
    """
    if not callable(refit):
        return top
    index, n_points = refit(scores.table), len(scores.table["params"])
    if not isinstance(index, Integral) or not 0 <= int(index) < n_points:
        raise ValueError(f"refit returned {index!r}: it must return an index from 0 to {n_points - 1}.")
    return int(index)
