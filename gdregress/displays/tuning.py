"""Display of cross-validation: scores, or coefficients, along the strengths of the penalty or the epochs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from gdregress.displays.drawing import BLACK, BLUE, CYCLE, GREY, axes_or_new, name_of_loss, type_size

KINDS = ("score", "coef")
"""What can be drawn."""

NAMED = 7
"""Number of coefficients that are named in the legend, those of the largest paths; the others are grey."""


BARS = 25
"""Number of error bars at most."""


class TuningDisplay:
    """The scores of cross-validation, or the coefficients of the fits to all rows, along `alpha` or `epochs`.

    Use `from_estimator` to make one. The curve is the mean over the splits, with its standard error as
    bars, and each split is a thin line. Vertical lines stand at the best mean and at the choice of
    `one_standard_error`.

    Parameters
    ----------
    axis : {"alpha", "epochs"}
        What the values are.
    values : ndarray of shape (n_values,)
        Strengths of the penalty or numbers of epochs.
    scores : ndarray of shape (n_splits, n_values)
        Scores on held-out rows.
    best : float
        Value of the best mean score.
    simplest : float, default=None
        Value that `one_standard_error` chooses; None for one split.
    coef : ndarray of shape (n_values, n_features), default=None
        Coefficients of the fits to all rows; None if there are none.
    feature_names : ndarray of str, default=None
        Names of the columns of X; None for their numbers.
    score_name : str, default="score"
        Label of the axis of scores.
    kind : {"score", "coef"}, default="score"
        What `plot` draws.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes drawn on.
    figure_ : matplotlib Figure
        The figure of these axes.
    lines_ : list of matplotlib Line2D
        A line for each split, or for each coefficient.
    error_ : matplotlib ErrorbarContainer or None
        The standard errors of the mean; None for coefficients, and for one split.

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
        best: float,
        simplest: float | None = None,
        coef: NDArray | None = None,
        feature_names: NDArray | None = None,
        score_name: str = "score",
        kind: str = "score",
    ):
        self.axis = axis
        self.values = values
        self.scores = scores
        self.best = best
        self.simplest = simplest
        self.coef = coef
        self.feature_names = feature_names
        self.score_name = score_name
        self.kind = kind

    @classmethod
    def from_estimator(cls, estimator: Any, *, kind: str = "score", ax: Any = None) -> "TuningDisplay":
        """Draw what cross-validation has found.

        Of several `l1_ratio` or learning rates, the chosen one is drawn, and of several scores the one that
        decided.

        Parameters
        ----------
        estimator : GradientDescentRegressorCV
            The fitted estimator.
        kind : {"score", "coef"}, default="score"
            Scores on held-out rows, or coefficients of the fits to all rows.
        ax : matplotlib Axes, default=None
            Axes to draw on; None for a new figure.

        Returns
        -------
        display : TuningDisplay
            The display that was drawn.

        Raises
        ------
        TypeError
            If it is another kind of estimator.
        ValueError
            If `kind` is no valid value, if neither `alpha` nor `epochs` has several values, or if there are no
            coefficients along the path of one target.
        """
        if not hasattr(estimator, "store_cv_results"):
            raise TypeError(
                f"A TuningDisplay is made from a GradientDescentRegressorCV, not from a {type(estimator).__name__}."
            )
        if kind not in KINDS:
            raise ValueError(f"kind={kind!r} is no drawing: use 'score' or 'coef'.")
        check_is_fitted(estimator, "cv_results_")
        results, chosen = estimator.cv_results_, estimator.best_params_
        axis = next((name for name in ("alpha", "epochs") if len({p.get(name) for p in results["params"]}) > 1), None)
        if axis is None:
            raise ValueError("neither alpha nor epochs has several values: there is no curve to draw.")
        near = [
            place
            for place, point in enumerate(results["params"])
            if all(point[name] == value for name, value in chosen.items() if name != axis)
        ]
        score = estimator.refit if isinstance(estimator.refit, str) else "score"
        scores = [results[f"split{number}_test_{score}"][near] for number in range(estimator.n_splits_)]
        values, coef = np.array([results["params"][place][axis] for place in near]), None
        if kind == "coef":
            coef = _coefficients(estimator, axis)
        means = np.mean(scores, axis=0)
        display = cls(
            axis=axis,
            values=values,
            scores=np.array(scores),
            best=float(values[int(np.nanargmax(means))]),
            simplest=_simplest(values, np.array(scores), axis),
            coef=coef,
            feature_names=getattr(estimator, "feature_names_in_", None),
            score_name=_name_of_score(estimator, score),
            kind=kind,
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
        if self.kind == "coef":
            self._draw_coefficients(ax)
        else:
            self._draw_scores(ax)
        for value, style, label in ((self.best, "--", "best mean"), (self.simplest, ":", "one standard error")):
            if value is not None:
                ax.axvline(value, color=GREY, linestyle=style, label=f"{label}: {value:.3g}")
        if (self.values > 0).all():
            ax.set_xscale("log")
        ax.set_xlabel(self.axis)
        ax.grid(alpha=0.3)
        size = type_size(ax)
        # Beside the axes: curves leave no corner free.
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=size)
        ax.yaxis.label.set_size(size)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _draw_scores(self, ax: Any) -> None:
        n_splits, mean = len(self.scores), self.scores.mean(axis=0)
        self.lines_ = [ax.plot(self.values, score, color=BLUE, alpha=0.3, linewidth=0.8)[0] for score in self.scores]
        ax.plot(self.values, mean, color=BLUE, label=f"mean of {n_splits} splits")
        if n_splits > 1:
            error = self.scores.std(axis=0, ddof=1) / np.sqrt(n_splits)
            at = _evenly_spaced(self.values)
            style = {"fmt": "none", "ecolor": BLUE, "capsize": 2, "label": "standard error"}
            self.error_ = ax.errorbar(self.values[at], mean[at], error[at], **style)
        ax.set_ylabel(self.score_name)

    def _draw_coefficients(self, ax: Any) -> None:
        assert self.coef is not None
        names = np.arange(self.coef.shape[1]) if self.feature_names is None else self.feature_names
        largest = set(np.argsort(-np.abs(self.coef).max(axis=0), kind="stable")[:NAMED].tolist())
        colors = iter(CYCLE)
        self.lines_ = []
        for place, path in enumerate(self.coef.T):
            style = {"color": next(colors), "label": str(names[place])} if place in largest else {"color": "0.7"}
            self.lines_ += ax.plot(self.values, path, **style)
        ax.axhline(0.0, color=BLACK, linewidth=0.5)
        ax.set_ylabel("coefficient")
        n_nonzero = (self.coef != 0).sum(axis=1)
        if (n_nonzero < self.coef.shape[1]).any():
            self._count(ax, n_nonzero)

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


def _coefficients(estimator: Any, axis: str) -> NDArray:
    """Return the coefficients along the strengths, of the chosen `l1_ratio`."""
    coef = getattr(estimator, "coef_path_", None)
    if axis != "alpha" or coef is None:
        raise ValueError(
            "there is no path of coefficients: it is kept with refit=True, one learning_rate and one epochs."
        )
    if estimator.alphas_.ndim == 2:
        coef = coef[list(estimator.l1_ratio).index(estimator.l1_ratio_)]
    if coef.ndim > 2:
        raise ValueError(f"y has {coef.shape[1]} targets: the coefficients of one can be drawn.")
    return coef


def _simplest(values: NDArray, scores: NDArray, axis: str) -> float | None:
    """Return the largest strength, or the fewest epochs, within one standard error of the best mean."""
    if len(scores) < 2:
        return None
    mean = scores.mean(axis=0)
    top = int(np.nanargmax(mean))
    near = values[mean >= mean[top] - scores[:, top].std(ddof=1) / np.sqrt(len(scores))]
    return float(near.max() if axis == "alpha" else near.min())


def _evenly_spaced(values: NDArray) -> NDArray:
    """Return the places of some values that are far apart on a logarithmic axis."""
    logs = np.log(np.where(values > 0, values, np.nan))
    steps = np.linspace(np.nanmin(logs), np.nanmax(logs), BARS)
    return np.unique([np.nanargmin(np.abs(logs - step)) for step in steps])


def _name_of_score(estimator: Any, score: str) -> str:
    """Return the label of a score."""
    if estimator.scoring is None:
        return f"minus the {name_of_loss(estimator.loss)} of held-out rows"
    name = estimator.scoring if isinstance(estimator.scoring, str) else score
    return f"{name.replace('_', ' ')} of held-out rows"
