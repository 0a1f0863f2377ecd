"""The results of a comparison: what is measured of each solver, as a table in text, HTML or pandas."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from types import MappingProxyType

import numpy as np

from gdregress.displays import ComparisonDisplay
from gdregress.regressor import GradientDescentRegressor

COLUMNS = {
    "coefficient_error": ("coef. error", ".1e"),
    "prediction_error": ("pred. error", ".1e"),
    "objective": ("objective", ".6g"),
    "train_mse": ("train MSE", ".6g"),
    "test_mse": ("test MSE", ".6g"),
    "epochs": ("epochs", ".0f"),
    "seconds": ("seconds", ".2g"),
}
"""Heading and format of each measure. A measure that no solver has is no column."""

LEGEND = "errors: distances from the closed form, in standard deviations of the target (and of the column)"
"""What is said below a table with errors. It has no column for the objective, which they make needless."""


@dataclass(frozen=True)
class Row:
    """The results of one solver.

    Attributes
    ----------
    solver : str
        Name of the solver.
    measures : dict of str to float
        What was measured, by name.

        - "objective": what the model minimises, at the coefficients of the solver: the weighted mean loss and the
          penalty.
        - "train_mse": weighted mean squared error on the training rows.
        - "test_mse": mean squared error on the test rows, without weights, if there are any.
        - "coefficient_error" and "prediction_error", if there is the closed form: the largest distance of a
          coefficient from its own, in standard deviations of y per standard deviation of the column; and the
          weighted root-mean-square distance of the predictions from its own, in standard deviations of y.
        - "epochs": number of epochs or iterations, if the solver has any.
        - "seconds": time of the fastest of up to three fits.
    converged : bool
        Whether the solver reports convergence. SGDRegressor does so when its loss stops falling, wherever that is.
    arrived : str
        What the table says of that: "yes" or "no"; "not to the minimum" where its predictions are more than a
        hundredth of a standard deviation away from it; "of another problem" where the solver minimises another
        objective. Without the closed form, the least of the objectives takes the place of the minimum, and a
        ten-thousandth of the loss of the best constant that of the distance.
    """

    solver: str
    measures: dict[str, float]
    converged: bool
    arrived: str


class Comparison:
    """Results of several solvers: prints as a table, in a notebook as an HTML table.

    Parameters
    ----------
    rows : list of Row
        The results of each solver that ran.
    model : GradientDescentRegressor
        The fitted model.
    failures : dict of str to str, default=()
        Why each of the other solvers failed.
    notes : list of str, default=()
        What is to be said below the table.

    Attributes
    ----------
    rows : list of Row
        The results of each solver that ran.
    model : GradientDescentRegressor
        The fitted model.
    failures : dict of str to str
        Why each of the other solvers failed.
    notes : list of str
        What is said below the table.

    Examples
    --------
    >>> from gdregress import compare, load_house_prices
    >>> comparison = compare(*load_house_prices(return_X_y=True))
    >>> float(comparison.to_frame().loc["GradientDescentRegressor", "epochs"])
    1.0
    """

    def __init__(
        self,
        rows: list[Row],
        model: GradientDescentRegressor,
        failures: Mapping[str, str] = MappingProxyType({}),
        notes: Sequence[str] = (),
    ):
        self.rows = rows
        self.model = model
        self.failures = dict(failures)
        self.notes = list(notes)

    def _table(self) -> list[list[str]]:
        measured = {name for row in self.rows for name in row.measures} - {"objective" if self._has_errors else ""}
        columns = {name: column for name, column in COLUMNS.items() if name in measured}

        def cells(row: Row) -> list[str]:
            return [
                format(row.measures[name], form) if name in row.measures else "-" for name, (_, form) in columns.items()
            ]

        return [
            ["solver", *(heading for heading, _ in columns.values()), "converged"],
            *([row.solver, *cells(row), row.arrived] for row in self.rows),
            *([solver, *("-" for _ in columns), "failed"] for solver in self.failures),
        ]

    @property
    def _has_errors(self) -> bool:
        return any("prediction_error" in row.measures for row in self.rows)

    def _words(self) -> list[str]:
        failed = [f"{solver} failed: {reason}" for solver, reason in self.failures.items()]
        return [*([LEGEND] if self._has_errors else []), *failed, *self.notes]

    def __str__(self) -> str:
        return "\n".join([aligned(self._table()), *self._words()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *body = (
            "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"
            for tag, cells in zip(chain(["th"], repeat("td")), self._table(), strict=False)
        )
        words = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in self._words())
        return f"<table><thead>{head}</thead><tbody>{''.join(body)}</tbody></table>{words}"

    def to_dicts(self) -> list[dict]:
        """Return the results of each solver as a dict of plain values.

        Returns
        -------
        list of dict
            Of each `Row` the solver, its measures, `converged` and `arrived`; of a solver that failed its name and
            `failed`, the reason. What was not measured has no key.
        """
        ran = [
            {"solver": row.solver, **row.measures, "converged": row.converged, "arrived": row.arrived}
            for row in self.rows
        ]
        return [*ran, *({"solver": solver, "failed": reason} for solver, reason in self.failures.items())]

    def to_frame(self):
        """Return the results as a pandas DataFrame, with a row for each solver, indexed by its name.

        Returns
        -------
        DataFrame
            A column for each measure of any solver, `converged`, `arrived`, and `failed` if a solver did. Where one
            solver lacks what another has, pandas has a missing value.
        """
        import pandas as pd

        return pd.DataFrame(self.to_dicts()).set_index("solver")

    def plot(self, ax=None) -> ComparisonDisplay:
        """Draw the prediction errors of the solvers, with their times beside them.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None for a new figure.

        Returns
        -------
        display : ComparisonDisplay
            The display that was drawn.

        Raises
        ------
        ValueError
            If the closed form was left out.
        """
        if not self._has_errors:
            raise ValueError(
                "There is nothing to draw without the closed form: compare squared error with L2 or no penalty, "
                "on fewer rows or columns."
            )
        errors, seconds = ([row.measures[name] for row in self.rows] for name in ("prediction_error", "seconds"))
        return ComparisonDisplay(
            solvers=[row.solver for row in self.rows],
            errors=np.array(errors),
            seconds=np.array(seconds),
            failed=list(self.failures),
        ).plot(ax)


def aligned(table: list[list[str]]) -> str:
    """Format a table as text, with its first column aligned to the left and the others to the right.

    Parameters
    ----------
    table : list of list of str
        Rows of cells; the first row holds the headings.

    Returns
    -------
    str
        A line for each row.
    """
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for name, *cells in table:
        numbers = (f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True))
        lines.append("  ".join([f"{name:<{widths[0]}}", *numbers]))
    return "\n".join(lines)
