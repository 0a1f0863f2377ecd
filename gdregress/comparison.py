"""Comparison of a model with SGDRegressor and the closed form on the same data."""

import html
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import SGDRegressor
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gdregress.closed_form import closed_form
from gdregress.displays import ComparisonDisplay
from gdregress.method.parameters import check_parameters
from gdregress.regressor import GradientDescentRegressor
from gdregress.rows.checks import check_finite
from gdregress.rows.inputs import names_of, read_rows

DENSE_LIMIT = 10**8
"""Largest number of entries of a sparse X that is made dense for the closed form."""

COST_LIMIT = 10**10
"""Largest cost of the closed form, rows times columns times the smaller of both: it takes up to a minute."""

AT_MINIMUM = 0.01
"""Largest distance of the predictions from the minimum's, in standard deviations of y, that is told as convergence."""

BEHIND_SCALER = "StandardScaler + SGDRegressor"
"""Name of SGDRegressor on standardised columns."""

LEGEND = "errors: distances from the closed form, in standard deviations of the target (and of the column)"
"""What is said below a table with such errors."""


@dataclass(frozen=True)
class Row:
    """The results of one solver.

    If the solver failed, all numbers are NaN.

    Attributes
    ----------
    solver : str
        Name of the solver.
    coefficient_error : float
        Largest distance of a coefficient from that of the closed form, in standard deviations of y
        per standard deviation of the column.
    prediction_error : float
        Root-mean-square distance of the predictions from those of the closed form, in standard
        deviations of y. Every row counts once, whatever its weight.
    train_mse : float
        Weighted mean squared error on the training rows.
    test_mse : float
        Mean squared error on the test rows, without weights; NaN if there are none.
    epochs : float
        Number of epochs run; NaN for the closed form.
    seconds : float
        Time of the fastest of up to three fits, in seconds.
    converged : bool
        Whether the solver reports convergence. SGDRegressor does so when its loss stops falling,
        wherever that is.
    arrived : str
        What the table says of that: "yes" or "no"; "not to the minimum" where its predictions are more
        than a hundredth of a standard deviation away from it; "of another problem" where the solver
        minimises another objective. Without the closed form, the least of the errors on the training
        rows takes its place, if there is no penalty.
    """

    solver: str
    coefficient_error: float
    prediction_error: float
    train_mse: float
    test_mse: float
    epochs: float
    seconds: float
    converged: bool
    arrived: str


class Comparison:
    """Results of several solvers: prints as a table, in a notebook as an HTML table.

    Parameters
    ----------
    rows : list of Row
        The results of each solver.
    model : GradientDescentRegressor
        The fitted model.
    notes : list of str, default=()
        What is to be said below the table.

    Attributes
    ----------
    rows : list of Row
        The results of each solver.
    model : GradientDescentRegressor
        The fitted model.
    notes : list of str
        What is said below the table.

    Examples
    --------
    >>> from gdregress import compare, load_house_prices
    >>> comparison = compare(*load_house_prices(return_X_y=True))
    >>> float(comparison.to_frame().loc["GradientDescentRegressor", "epochs"])
    1.0
    """

    def __init__(self, rows: list[Row], model: GradientDescentRegressor, notes: Sequence[str] = ()):
        self.rows = rows
        self.model = model
        self.notes = list(notes)

    def _table(self) -> list[list[str]]:
        names = {
            "solver": "solver",
            "coefficient_error": "coef. error",
            "prediction_error": "pred. error",
            "train_mse": "train MSE",
            "test_mse": "test MSE",
            "epochs": "epochs",
            "seconds": "seconds",
            "arrived": "converged",
        }
        for name in ("coefficient_error", "prediction_error", "test_mse"):
            if all(np.isnan(getattr(row, name)) for row in self.rows):
                del names[name]
        forms = {"train_mse": ".6g", "test_mse": ".6g", "epochs": ".0f", "seconds": ".2g"}

        def cell(row: Row, name: str) -> str:
            value = getattr(row, name)
            if isinstance(value, str):
                return value
            return "-" if np.isnan(value) else format(value, forms.get(name, ".1e"))

        return [list(names.values()), *([cell(row, name) for name in names] for row in self.rows)]

    @property
    def _has_errors(self) -> bool:
        return not all(np.isnan(row.prediction_error) for row in self.rows)

    def _words(self) -> list[str]:
        return [*([LEGEND] if self._has_errors else []), *self.notes]

    def __str__(self) -> str:
        return "\n".join([aligned(self._table()), *self._words()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *body = (
            "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"
            for tag, cells in zip(["th"] + ["td"] * len(self.rows), self._table(), strict=True)
        )
        words = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in self._words())
        return f"<table><thead>{head}</thead><tbody>{''.join(body)}</tbody></table>{words}"

    def to_dicts(self) -> list[dict]:
        """Return the results of each solver as a dict of plain values.

        Returns
        -------
        list of dict
            The attributes of each `Row` by name.
        """
        return [asdict(row) for row in self.rows]

    def to_frame(self):
        """Return the results as a pandas DataFrame, with a row for each solver, indexed by its name.

        Returns
        -------
        DataFrame
            The columns are the other attributes of a `Row`.
        """
        import pandas as pd

        return pd.DataFrame(self.to_dicts(), columns=[field.name for field in fields(Row)]).set_index("solver")

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
            raise ValueError("There is nothing to draw without the closed form: compare fewer rows or columns.")
        display = ComparisonDisplay(
            solvers=[row.solver for row in self.rows],
            errors=np.array([row.prediction_error for row in self.rows]),
            seconds=np.array([row.seconds for row in self.rows]),
        )
        return display.plot(ax)


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


def compare(X, y, model=None, *, sample_weight=None, X_test=None, y_test=None, random_state=0):
    """Fit a model, SGDRegressor on raw and on standardised columns, and the closed form to the same data.

    All solvers minimise the objective of the model: each gets its `fit_intercept`, `penalty` and
    `alpha`. (After a StandardScaler the penalty acts on the standardised coefficients, which is
    another problem; the comparison says so.) The other parameters of SGDRegressor are its defaults.
    If the model does not converge, the comparison says why. Errors are distances from `closed_form`, not from
    scikit-learn's LinearRegression, which drops directions that are small in the units of the
    largest column. On many rows with many columns the closed form would take long: it is left
    out, the errors are NaN, and the comparison says so.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows.
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        Targets.
    model : GradientDescentRegressor, default=None
        The model, which is cloned before it is fitted; None for one with default parameters.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows, for every solver.
    X_test, y_test : array-like, default=None
        Test rows and their targets. The mean squared error on them is reported too.
    random_state : int, RandomState or None, default=0
        Random state of SGDRegressor.

    Returns
    -------
    Comparison
        The results of the four solvers, or of three without the closed form.

    Raises
    ------
    TypeError
        If the model is not a GradientDescentRegressor.
    ValueError
        If X, y or the weights are invalid, as in `GradientDescentRegressor.fit`; if a parameter of the
        model is invalid; if its objective has no closed form, because of the loss, the penalty or
        `positive`; or if only one of X_test and y_test is given.

    Examples
    --------
    >>> from gdregress import compare, load_house_prices
    >>> comparison = compare(*load_house_prices(return_X_y=True))
    >>> [row.solver for row in comparison.rows]
    ['GradientDescentRegressor', 'SGDRegressor', 'StandardScaler + SGDRegressor', 'closed form']
    >>> comparison.rows[0].prediction_error < 1e-12
    True
    """
    if (X_test is None) != (y_test is None):
        given, missing = ("X_test", "y_test") if y_test is None else ("y_test", "X_test")
        raise ValueError(f"{given} is provided, but {missing} was not provided.")
    if not isinstance(model, GradientDescentRegressor | None):
        kind = f"the class {model.__name__}" if isinstance(model, type) else f"a {type(model).__name__}"
        remedy = "such as a pipeline's last step, or one with the alpha_ of a search"
        raise TypeError(f"model must be a GradientDescentRegressor, but is {kind}: pass one, {remedy}.")
    model = GradientDescentRegressor() if model is None else clone(model)
    check_parameters(model)
    closed = {"loss": ("squared_error",), "penalty": (None, "l2"), "positive": (False,)}
    others = [
        f"{name}={getattr(model, name)!r}" for name, values in closed.items() if getattr(model, name) not in values
    ]
    if others:
        raise ValueError(
            "compare needs a closed form, which exists for squared error with an L2 penalty or none, but model has "
            f"{' and '.join(others)}: score it and SGDRegressor with sklearn.model_selection.cross_validate."
        )
    alpha = model.alpha if model.penalty == "l2" else 0.0
    data = _Data.read(model, X, y, sample_weight, X_test, y_test)
    notes = _without_closed_form(data.X)
    exact, seconds = None, np.nan
    if not notes:
        (coef, intercept), seconds = _timed(
            lambda: closed_form(
                data.X,
                data.y,
                data.weight,
                alpha=alpha,
                standardize=model.standardize,
                fit_intercept=model.fit_intercept,
            )
        )
        exact = (np.atleast_2d(coef), np.atleast_1d(intercept))
    sgd = SGDRegressor(
        penalty=model.penalty, alpha=model.alpha, fit_intercept=model.fit_intercept, random_state=random_state
    )
    if data.y.ndim == 2:
        sgd = MultiOutputRegressor(sgd)
    scaler = StandardScaler(with_mean=model.fit_intercept and not sparse.issparse(data.X))
    scaled = make_pipeline(scaler, clone(sgd))
    own_row, fitted = data.fitted(type(model).__name__, model, exact)
    rows = [own_row]
    for name, estimator, standardizes in (("SGDRegressor", sgd, False), (BEHIND_SCALER, scaled, True)):
        try:
            row = data.fitted(name, estimator, exact)[0]
            is_other = alpha and row.converged and standardizes != bool(model.standardize)
            rows.append(replace(row, arrived="of another problem") if is_other else row)
        except ValueError:
            rows.append(Row(name, *[np.nan] * 6, converged=False, arrived="no"))
    if exact is not None:
        rows.append(data.row("closed form", *exact, exact, epochs=np.nan, seconds=seconds, converged=True))
    if alpha:
        other, its = ("SGDRegressor", "raw") if model.standardize else (BEHIND_SCALER, "standardised")
        notes.append(f"{other} solves another problem: it penalises {its} coefficients")
    if exact is None and not alpha:
        rows = data.judged(rows)
    if not fitted.converged_:
        notes.append(f"{type(model).__name__}: {fitted.stop_reason_}")
    return Comparison(rows, fitted, notes)


def _without_closed_form(X) -> list[str]:
    """Return why the closed form is left out, or nothing."""
    n_rows, n_columns = X.shape
    if sparse.issparse(X) and n_rows * n_columns > DENSE_LIMIT:
        why = "entries are too many for it"
    elif n_rows * n_columns * min(n_rows, n_columns) > COST_LIMIT:
        why = "would take too long"
    else:
        return []
    return [f"without the closed form and the distances from it: {n_rows} x {n_columns} {why}"]


class _Data:
    """The data of a comparison, and the measurement of a solver on them."""

    def __init__(
        self, X, y: NDArray, weight: NDArray | None, test: tuple[Any, NDArray] | None, names: NDArray | None = None
    ):
        self.names = names
        self.X = X
        self.y = y
        self.weight = weight
        self.test = test
        counts = np.ones(X.shape[0]) if weight is None else weight
        mean = counts @ y.reshape(len(y), -1) / counts.sum()
        spread = np.sqrt(counts @ (y.reshape(len(y), -1) - mean) ** 2 / counts.sum())
        self.target_scale = np.where(spread > 0, spread, 1.0)
        self.scale = StandardScaler(with_mean=False).fit(X, sample_weight=weight).scale_

    @classmethod
    def read(cls, model: GradientDescentRegressor, X, y, sample_weight, X_test, y_test) -> "_Data":
        """Read what the user passed, as `fit` does."""
        X, y, weight = read_rows(X, y, sample_weight, estimator=model, reset=True)
        check_finite("X", X, names_of(model))
        if X_test is None:
            return cls(X, y, weight, None, names_of(model))
        X_test, y_test, _ = read_rows(X_test, y_test, None, estimator=model, suffix="_test")
        check_finite("X_test", X_test, names_of(model))
        return cls(X, y, weight, (X_test, y_test), names_of(model))

    def fitted(self, name: str, estimator, exact) -> tuple[Row, Any]:
        """Fit an estimator, and return its results and itself."""
        last = estimator.steps[-1] if hasattr(estimator, "steps") else None
        key = f"{last[0]}__sample_weight" if last else "sample_weight"
        weights = {} if self.weight is None else {key: self.weight}
        if last and self.weight is not None:
            weights["standardscaler__sample_weight"] = self.weight
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            fitted, seconds = _timed(lambda: clone(estimator).fit(self.X, self.y, **weights))
        coef, intercept, epochs, converged = _outcome(fitted.steps[-1][1] if last else fitted)
        if last:
            scaler = fitted.steps[0][1]
            coef = coef / scaler.scale_
            if scaler.with_mean:
                intercept = intercept - coef @ scaler.mean_
        if hasattr(fitted, "converged_") and self.names is not None:
            fitted.feature_names_in_ = self.names
        row = self.row(name, coef, intercept, exact, epochs=epochs, seconds=seconds, converged=converged)
        return row, fitted

    def row(self, name, coef, intercept, exact, *, epochs, seconds, converged) -> Row:
        """Return the results of coefficients (n_outputs, n_features) and intercepts (n_outputs,)."""
        coefficient_error = prediction_error = test_mse = np.nan
        with np.errstate(all="ignore"):  # coefficients that have diverged overflow
            if exact is not None:
                coefficient_error = np.abs((coef - exact[0]) * self.scale / self.target_scale[:, np.newaxis]).max()
                distance = self._predict(self.X, coef, intercept) - self._predict(self.X, *exact)
                prediction_error = np.sqrt(np.mean((distance / self.target_scale) ** 2))
            train_mse = self._mse(self.X, self.y, coef, intercept, self.weight)
            if self.test is not None:
                test_mse = self._mse(*self.test, coef, intercept, None)
        is_far = prediction_error > AT_MINIMUM
        return Row(
            name,
            float(coefficient_error),
            float(prediction_error),
            float(train_mse),
            float(test_mse),
            float(epochs),
            seconds,
            bool(converged),
            "no" if not converged else "not to the minimum" if is_far else "yes",
        )

    def judged(self, rows: list[Row]) -> list[Row]:
        """Return the results, with those marked that are far from the least squares of the best."""
        least, variance = np.nanmin([row.train_mse for row in rows]), float(np.mean(self.target_scale**2))

        def is_far(row: Row) -> bool:
            return not np.sqrt(max(0.0, row.train_mse - least) / variance) <= AT_MINIMUM

        return [replace(row, arrived="not to the minimum") if row.converged and is_far(row) else row for row in rows]

    @staticmethod
    def _predict(X, coef: NDArray, intercept: NDArray) -> NDArray:
        return np.asarray(X @ coef.T) + intercept

    def _mse(self, X, y, coef, intercept, weight) -> float:
        squares = (self._predict(X, coef, intercept) - y.reshape(len(y), -1)) ** 2
        return float(np.average(squares, axis=0, weights=weight).mean())


def _outcome(fitted) -> tuple[NDArray, NDArray, float, bool]:
    """Return coefficients, intercepts, epochs and convergence of any of the fitted estimators."""
    if isinstance(fitted, MultiOutputRegressor):
        parts = [_outcome(one) for one in fitted.estimators_]
        coefs, intercepts, epochs, converged = zip(*parts, strict=True)
        return np.vstack(coefs), np.concatenate(intercepts), max(epochs), all(converged)
    arrived = fitted.converged_ if hasattr(fitted, "converged_") else fitted.n_iter_ < fitted.max_iter
    return np.atleast_2d(fitted.coef_), np.atleast_1d(fitted.intercept_), fitted.n_iter_, arrived


def _timed(fit, *, runs: int = 3, enough: float = 0.5):
    """Return what `fit` returns, and its fastest time in up to `runs` runs, or until `enough` seconds have passed."""
    times: list[float] = []
    while len(times) < runs and sum(times) < enough:
        start = time.perf_counter()
        result = fit()
        times.append(time.perf_counter() - start)
    return result, min(times)
