"""Display of the coefficients along a path of strengths of the penalty."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdregress.displays.drawing import CYCLE, GREY, axes_or_new, label_few, type_size

NAMED = 7
"""Number of columns that are drawn in colour and named, those of the largest coefficients."""


class RegularizationPathDisplay:
    """The coefficients of each column against alpha, on a logarithmic axis that goes down to the right.

    Use ``regularization_path(X, y).plot()`` to make one. The seven columns of the largest coefficients are
    drawn in colour and named; the others are grey.

    Parameters
    ----------
    alphas : ndarray of shape (n_alphas,)
        Strengths of the penalty.
    coefs : ndarray of shape (n_features, n_alphas)
        Coefficients.
    feature_names : list of str, default=None
        Names of the columns; None for their numbers.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes drawn on.
    figure_ : matplotlib Figure
        The figure of these axes.
    lines_ : list of matplotlib Line2D
        A line for each column, in their order.
    legend_ : matplotlib Legend
        The names of the columns in colour.

    Examples
    --------
    >>> from gdregress import load_house_prices, regularization_path
    >>> display = regularization_path(*load_house_prices(return_X_y=True)).plot()  # doctest: +SKIP
    """

    def __init__(self, *, alphas: NDArray, coefs: NDArray, feature_names: list[str] | None = None):
        self.alphas = alphas
        self.coefs = coefs
        self.feature_names = feature_names

    def plot(self, ax: Any = None) -> "RegularizationPathDisplay":
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None for a new figure.

        Returns
        -------
        self : RegularizationPathDisplay
            This display.
        """
        ax = axes_or_new(ax)
        size = type_size(ax)
        largest = np.argsort(-np.abs(self.coefs).max(axis=1), kind="stable")[:NAMED]
        colors = dict(zip(largest.tolist(), CYCLE, strict=False))
        self.lines_ = []
        for column, coefs in enumerate(self.coefs):
            is_named = column in colors
            [line] = ax.plot(
                self.alphas,
                coefs,
                color=colors.get(column, GREY),
                linewidth=1.5 if is_named else 0.7,
                alpha=1.0 if is_named else 0.5,
                zorder=3 if is_named else 2,
                label=str(column if self.feature_names is None else self.feature_names[column]),
            )
            self.lines_.append(line)
        ax.axhline(0.0, color=GREY, linewidth=0.5)
        ax.set_xscale("log")
        if len(self.alphas) > 1:
            ax.set_xlim(self.alphas.min(), self.alphas.max())
        label_few(ax.xaxis)
        ax.invert_xaxis()
        ax.set_xlabel("alpha")
        ax.set_ylabel("coefficient")
        shown = [self.lines_[column] for column in largest]
        self.legend_ = ax.legend(
            handles=shown,
            loc="upper left",
            bbox_to_anchor=(1.0, 1.0),
            frameon=False,
            fontsize=size,
            title_fontsize=size,
        )
        ax.tick_params(labelsize=size)
        ax.spines[["top", "right"]].set_visible(False)
        self.ax_, self.figure_ = ax, ax.figure
        return self
