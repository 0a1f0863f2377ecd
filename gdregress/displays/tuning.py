"""Display of cross-validation: scores, or coefficients, along the strengths of the penalty or the epochs."""

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from gdregress.displays.drawing import (
    BLUE,
    GREY,
    axes_or_new,
    check_names,
    draw_coefficients,
    fall_to_the_right,
    legend_beside,
    name_of_error,
    type_size,
)
from gdregress.solve.linear_predictor import LinearPredictor

KINDS = ("score", "coef")
"""What can be drawn."""

BARS = 25
"""Number of error bars at most."""


class TuningDisplay:
    """The scores of cross-validation, or the coefficients of the fits to all rows, along `alpha` or `epochs`.

    Use `from_estimator` to make one. The curve is the mean over the splits, with its standard error as
    bars, and each split is a thin line. Vertical lines stand at the best mean and at the choice of
    `one_standard_error`. Strengths fall to the right and epochs rise, so that models become richer to
    the right.

    Parameters
    ----------
    axis : {"alpha", "epochs"}
        What the values are.
    values : ndarray of shape (n_values,)
        Strengths of the penalty or numbers of epochs.
    scores : ndarray of shape (n_splits, n_values)
        What is drawn of each split: scores on held-out rows, or losses, whose scores are minus them.
    standard_errors : ndarray of shape (n_values,), default=None
        Standard errors of their means; None for one split, or to draw no bars.
    best : float
        Value of the best mean score.
    simplest : float, default=None
        Value that `one_standard_error` chooses; None for one split.
    coef : ndarray of shape (n_values, n_features), default=None
        Coefficients of the fits to all rows; None if there are none.
    feature_names : ndarray of str, default=None
        Names of the columns of X; None for their numbers.
    score_name : str, default="score"
        Label of their axis.
    kind : {"score", "coef"}, default="score"
        What `plot` draws.
    shared : dict of str to object, default=None
        What all points of the curve have in common, and other curves of the grid have not: the title of the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes drawn on.
    figure_ : matplotlib Figure
        The figure of these axes.
    lines_ : list of matplotlib Line2D
        A line for each split, or for each coefficient.
    error_ : matplotlib ErrorbarContainer or None
        The standard errors of the mean; None for coefficients, and where there are none.

    See Also
    --------
    GradientDescentRegressorCV : What is drawn.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from gdregress import GradientDescentRegressorCV, TuningDisplay
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    >>> model = GradientDescentRegressorCV(penalty="l1").fit(X, y)
    >>> display = TuningDisplay.from_estimator(model, kind="coef")  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        axis: str,
        values: NDArray,
        scores: NDArray,
        standard_errors: NDArray | None = None,
        best: float,
        simplest: float | None = None,
        coef: NDArray | None = None,
        feature_names: NDArray | None = None,
        score_name: str = "score",
        kind: str = "score",
        shared: dict[str, Any] | None = None,
    ):
        self.axis = axis
        self.values = values
        self.scores = scores
        self.standard_errors = standard_errors
        self.best = best
        self.simplest = simplest
        self.coef = coef
        self.feature_names = feature_names
        self.score_name = score_name
        self.kind = kind
        self.shared = shared

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, kind: str = "score", ax: Any = None, feature_names: Any = None
    ) -> "TuningDisplay":
        """Draw what cross-validation has found.

        Of several `l1_ratio` or learning rates, the chosen one is drawn and named in the legend, and of several
        scores the one that decided is drawn. A score that is minus an error, such as the default, is drawn as the
        error.

        Parameters
        ----------
        estimator : GradientDescentRegressorCV
            The fitted estimator.
        kind : {"score", "coef"}, default="score"
            Scores on held-out rows, or coefficients of the fits to all rows.
        ax : matplotlib Axes, default=None
            Axes to draw on; None for a new figure.
        feature_names : array-like of str of shape (n_features,), default=None
            Names of the columns, such as those that a pipeline has given them; None for `feature_names_in_`.

        Returns
        -------
        display : TuningDisplay
            The display that was drawn.

        Raises
        ------
        TypeError
            If it is another kind of estimator.
        ValueError
            If `kind` is no valid value, if there is not a name for each column, if neither `alpha` nor
            `epochs` has several values, or if there are no coefficients along the path of one target.
        """
        if not (isinstance(estimator, LinearPredictor) and hasattr(estimator, "at")):
            remedy = "pass its last step" if isinstance(estimator, Pipeline) else "fit one, and pass it"
            kind = type(estimator).__name__
            raise TypeError(f"A TuningDisplay is made from a GradientDescentRegressorCV, not from a {kind}: {remedy}.")
        if kind not in KINDS:
            raise ValueError(f"kind={kind!r} is no drawing: use 'score' or 'coef'.")
        check_is_fitted(estimator, "cv_results_")
        names = getattr(estimator, "feature_names_in_", None) if feature_names is None else feature_names
        check_names(names, estimator.n_features_in_)
        results, chosen = estimator.cv_results_, estimator.best_params_
        axis = next((name for name in ("alpha", "epochs") if len({p.get(name) for p in results["params"]}) > 1), None)
        if axis is None:
            raise ValueError("neither alpha nor epochs has several values: there is no curve to draw.")
        shared = {name: value for name, value in chosen.items() if name != axis}
        near = [
            place
            for place, point in enumerate(results["params"])
            if all(point[name] == value for name, value in shared.items())
        ]
        score = estimator._primary
        scores = np.array([results[f"split{number}_test_{score}"][near] for number in range(estimator.n_splits_)])
        errors = results.get(f"se_test_{score}")
        values, top = np.array([results["params"][place][axis] for place in near]), results[f"rank_test_{score}"][near]
        # The rule looks where the best mean is, which a callable for `refit` may not have chosen.
        is_one = top.min() == 1 and not estimator.alpha_per_target
        sign, name = _drawn(estimator, score)
        display = cls(
            axis=axis,
            values=values,
            scores=sign * scores,
            standard_errors=None if errors is None else errors[near],
            best=float(values[int(np.argmin(top))]),
            simplest=getattr(estimator, f"{axis}_1se_", None) if is_one else None,
            coef=_coefficients(estimator) if kind == "coef" else None,
            feature_names=names,
            score_name=name,
            kind=kind,
            shared=shared,
        )
        return display.plot(ax)

    def plot(self, ax: Any = None) -> "TuningDisplay":
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None for a new figure.

        Returns
        -------
        self : TuningDisplay
            This display.
        """
        ax, self.error_ = axes_or_new(ax), None
        handles = self._draw_coefficients(ax) if self.kind == "coef" else self._draw_scores(ax)
        for value, style, label in ((self.best, "--", "best mean"), (self.simplest, ":", "one standard error")):
            if value is not None:
                handles.append(ax.axvline(value, color=GREY, linestyle=style, label=f"{label}: {value:.3g}"))
        if self.axis == "alpha":
            fall_to_the_right(ax.xaxis, self.values)
        else:
            ax.set_xscale("log")
        ax.set_xlabel(self.axis)
        ax.grid(alpha=0.3)
        legend_beside(ax, handles=handles, title=_title(self.shared or {}), title_fontsize=type_size(ax))
        ax.yaxis.label.set_size(type_size(ax))
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _draw_scores(self, ax: Any) -> list[Any]:
        """Draw the scores, and return what the legend names."""
        n_splits, mean = len(self.scores), self.scores.mean(axis=0)
        self.lines_ = [ax.plot(self.values, score, color=BLUE, alpha=0.3, linewidth=0.8)[0] for score in self.scores]
        handles: list[Any] = ax.plot(self.values, mean, color=BLUE, label=f"mean of {n_splits} splits")
        if self.standard_errors is not None:
            at = _evenly_spaced(self.values)
            style = {"fmt": "none", "ecolor": BLUE, "capsize": 2, "label": "standard error"}
            self.error_ = ax.errorbar(self.values[at], mean[at], self.standard_errors[at], **style)
            handles.append(self.error_)
        ax.set_ylabel(self.score_name)
        return handles

    def _draw_coefficients(self, ax: Any) -> list[Any]:
        """Draw the coefficients, and return those that the legend names."""
        assert self.coef is not None
        self.lines_, named = draw_coefficients(ax, self.values, self.coef.T, self.feature_names)
        n_nonzero = (self.coef != 0).sum(axis=1)
        if (n_nonzero < self.coef.shape[1]).any():
            self._count(ax, n_nonzero)
        return named

    def _count(self, ax: Any, n_nonzero: NDArray) -> None:
        """Write the number of nonzero coefficients along the top, where it changes and there is room."""
        places = np.linspace(0, len(self.values) - 1, 8).round().astype(int)
        for place in np.unique(places):
            ax.annotate(
                str(n_nonzero[place]),
                (self.values[place], 1.01),
                xycoords=("data", "axes fraction"),
                ha="center",
                va="bottom",
                fontsize="x-small",
                color=GREY,
            )
        ax.set_title("number of nonzero coefficients", fontsize="small", color=GREY, pad=14)


def _title(shared: dict[str, Any]) -> str:
    """Return what the points of a curve have in common, a line for each parameter."""
    return "\n".join(
        f"{name}={value:.4g}" if isinstance(value, Real) else f"{name}={value}" for name, value in shared.items()
    )


def _coefficients(estimator: Any) -> NDArray:
    """Return the coefficients along the strengths, of the chosen `l1_ratio`."""
    _, coef, _ = estimator._path_of_choice()
    if coef.ndim > 2:
        raise ValueError(f"y has {coef.shape[1]} targets: the coefficients of one can be drawn.")
    return coef


def _evenly_spaced(values: NDArray) -> NDArray:
    """Return the places of some values that are far apart on a logarithmic axis."""
    logs = np.log(np.where(values > 0, values, np.nan))
    steps = np.linspace(np.nanmin(logs), np.nanmax(logs), BARS)
    return np.unique([np.nanargmin(np.abs(logs - step)) for step in steps])


def _drawn(estimator: Any, score: str) -> tuple[float, str]:
    """Return the sign with which a score is drawn, and the label of its axis."""
    if estimator.scoring is None:
        return -1.0, f"{name_of_error(estimator)} of held-out rows"
    name = estimator.scoring if isinstance(estimator.scoring, str) else score
    sign = -1.0 if name.startswith("neg_") else 1.0
    return sign, f"{name.removeprefix('neg_').replace('_', ' ')} of held-out rows"
