"""Display of the coefficients along a path of strengths of the penalty."""

from typing import Any

from numpy.typing import NDArray

from gdregress.displays.drawing import axes_or_new, draw_coefficients, fall_to_the_right, legend_beside, type_size


class RegularizationPathDisplay:
    """The coefficients of each column against alpha, on a logarithmic axis that goes down to the right.

    Use ``regularization_path(X, y).plot()`` to make one. The seven columns of the largest coefficients are
    drawn in colour and named; the others are grey, and the legend says how many they are.

    Parameters
    ----------
    alphas : ndarray of shape (n_alphas,)
        Strengths of the penalty.
    coefs : ndarray of shape (n_features, n_alphas)
        Coefficients.
    feature_names : list of str, default=None
        Names of the columns; None for their numbers.
    coef_name : str, default="coefficient"
        What the coefficients are, for the axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes drawn on.
    figure_ : matplotlib Figure
        The figure of these axes.
    lines_ : list of matplotlib Line2D
        A line for each column, in their order.
    legend_ : matplotlib Legend
        The names of the columns in colour, and the number of the others.

    Examples
    --------
    >>> from gdregress import load_house_prices, regularization_path
    >>> display = regularization_path(*load_house_prices(return_X_y=True)).plot()  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        alphas: NDArray,
        coefs: NDArray,
        feature_names: list[str] | None = None,
        coef_name: str = "coefficient",
    ):
        self.alphas = alphas
        self.coefs = coefs
        self.feature_names = feature_names
        self.coef_name = coef_name

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
        self.lines_, named = draw_coefficients(ax, self.alphas, self.coefs, self.feature_names, self.coef_name)
        fall_to_the_right(ax.xaxis, self.alphas)
        ax.set_xlabel("alpha")
        self.legend_ = legend_beside(ax, handles=named)
        ax.tick_params(labelsize=type_size(ax))
        ax.spines[["top", "right"]].set_visible(False)
        self.ax_, self.figure_ = ax, ax.figure
        return self
