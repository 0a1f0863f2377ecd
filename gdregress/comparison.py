"""Comparison of a model with the other solvers of its objective, and with the closed form if there is one."""

import html
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import (
    ElasticNet,
    HuberRegressor,
    Lasso,
    LinearRegression,
    QuantileRegressor,
    Ridge,
    SGDRegressor,
)
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gdregress.closed_form import closed_form
from gdregress.displays import ComparisonDisplay
from gdregress.method.parameters import check_parameters
from gdregress.method.spec import Spec, epsilon_of, fits_scale
from gdregress.problem.problem import Terms
from gdregress.regressor import GradientDescentRegressor
from gdregress.rows.checks import check_finite
from gdregress.rows.inputs import names_of, read_rows
from gdregress.rows.sources import source_of

DENSE_LIMIT = 10**8
"""Largest number of entries of a sparse X that is made dense for the closed form."""

COST_LIMIT = 10**10
"""Largest cost of the closed form, rows times columns times the smaller of both: it takes up to a minute."""

AT_MINIMUM = 0.01
"""Largest distance of the predictions from the minimum's, in standard deviations of y, that is told as convergence."""

PROGRAM_LIMIT = 4 * 10**6
"""Largest product of rows and the larger side of X up to which QuantileRegressor is run: it takes about a second."""

SCALER = "StandardScaler + "
"""What the name of a solver on standardised columns begins with."""

NO_CLOSED_FORM = "the objective has no closed form: the least that a solver found is taken for its minimum"
"""What is said below a table without one."""

ALONE = "no other solver of scikit-learn minimises this objective"
"""What is said where there is nothing to compare with."""

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
    objective : float
        What the model minimises, at the coefficients of the solver: the weighted mean loss and the penalty.
    train_mse : float
        Weighted mean squared error on the training rows.
    test_mse : float
        Mean squared error on the test rows, without weights; NaN if there are none.
    epochs : float
        Number of epochs or iterations; NaN where there are none, as for the closed form.
    seconds : float
        Time of the fastest of up to three fits, in seconds.
    converged : bool
        Whether the solver reports convergence. SGDRegressor does so when its loss stops falling,
        wherever that is.
    arrived : str
        What the table says of that: "yes" or "no"; "not to the minimum" where its predictions are more
        than a hundredth of a standard deviation away from it; "of another problem" where the solver
        minimises another objective. Without the closed form, the least of the objectives takes the place of the
        minimum, and a ten-thousandth of the loss of the best constant that of the distance.
    """

    solver: str
    coefficient_error: float
    prediction_error: float
    objective: float
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
            "objective": "objective",
            "train_mse": "train MSE",
            "test_mse": "test MSE",
            "epochs": "epochs",
            "seconds": "seconds",
            "arrived": "converged",
        }
        for name in ("coefficient_error", "prediction_error", "test_mse"):
            if all(np.isnan(getattr(row, name)) for row in self.rows):
                del names[name]
        if self._has_errors:
            del names["objective"]
        forms = {"objective": ".6g", "train_mse": ".6g", "test_mse": ".6g", "epochs": ".0f", "seconds": ".2g"}

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
            raise ValueError(
                "There is nothing to draw without the closed form: compare squared error with L2 or no penalty, "
                "on fewer rows or columns."
            )
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


class Peer(NamedTuple):
    """Another solver of the objective of a model.

    Attributes
    ----------
    name : str
        Its name in the table.
    estimator : estimator
        The solver, for one target.
    standardizes : bool
        Whether it is behind a StandardScaler, so that its penalty is on standardised coefficients.
    """

    name: str
    estimator: Any
    standardizes: bool


def peers(model: GradientDescentRegressor, total: float, random_state: Any = 0) -> list[Peer]:
    """Return the solvers of scikit-learn that minimise the objective of a model.

    Parameters
    ----------
    model : GradientDescentRegressor
        The model, which must be fitted if it fits the scale of the residuals.
    total : float
        Sum of the weights of the rows.
    random_state : int, RandomState or None, default=0
        Random state of SGDRegressor.

    Returns
    -------
    list of Peer
        SGDRegressor on raw and on standardised columns, as far as it has the loss, and the solver of that loss and
        penalty, on standardised columns if the model penalises standardised coefficients.
    """
    if not isinstance(model.loss, str):
        return []
    epsilon, penalty = epsilon_of(model), model.penalty
    alpha = model.alpha if penalty is not None else 0.0
    shared: dict[str, Any] = {"fit_intercept": model.fit_intercept}
    found = []
    if model.loss != "quantile" and not model.positive:
        loss, tube = ("epsilon_insensitive", 0.0) if model.loss == "absolute_error" else (model.loss, epsilon)
        sgd = SGDRegressor(loss=loss, penalty=penalty, epsilon=tube, random_state=random_state, **shared)
        sgd.set_params(alpha=model.alpha, l1_ratio=model.l1_ratio)
        found = [(sgd, False), (sgd, True)]
    own: Any = None
    if model.loss == "squared_error":
        shared["positive"] = model.positive
        own = {
            None: LinearRegression(**shared) if model.positive else None,
            "l2": Ridge(alpha * total, **shared),
            "l1": Lasso(alpha, **shared),
            "elasticnet": ElasticNet(alpha, l1_ratio=model.l1_ratio, **shared),
        }[penalty]
    elif fits_scale(model) and penalty in (None, "l2") and not model.positive:
        own = HuberRegressor(alpha=alpha * total / model.scale_, **shared)
    elif model.loss in ("quantile", "absolute_error") and penalty in (None, "l1") and not model.positive:
        of_half = {"quantile": 0.5, "alpha": alpha / 2.0} if model.loss == "absolute_error" else {}
        own = QuantileRegressor(**{"quantile": model.quantile, "alpha": alpha} | of_half, **shared)
    if own is not None:
        found.append((own, bool(model.standardize) and penalty is not None))
    return [Peer(SCALER * scaled + type(one).__name__, one, scaled) for one, scaled in found]


def compare(X, y, model=None, *, sample_weight=None, X_test=None, y_test=None, random_state=0):
    """Fit a model and the other solvers of its objective to the same data.

    All solvers minimise the objective of the model: each gets its loss, `fit_intercept`, `penalty` and `alpha`, in its
    own convention. Their other parameters are their defaults. They are

    - SGDRegressor on raw and on standardised columns, for all losses but quantiles. (After a StandardScaler the penalty
      acts on the standardised coefficients, which is another problem; the comparison says so.)
    - Ridge, Lasso or ElasticNet for squared error with a penalty, and LinearRegression with `positive`;
    - HuberRegressor for Huber's loss with ``epsilon="auto"``, and QuantileRegressor for quantiles and the absolute
      error, both with the penalty that they have or none;
    - the closed form, for squared error with L2 or no penalty.

    Errors are distances from `closed_form`, not from scikit-learn's LinearRegression, which drops directions that are
    small in the units of the largest column. Where the objective has no closed form, or where it would take long, there
    are no errors, and the solvers are judged by their objectives. If the model does not converge, the comparison says
    why.

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
        The results, those of the model first.

    Raises
    ------
    TypeError
        If the model is not a GradientDescentRegressor.
    ValueError
        If X, y or the weights are invalid, as in `GradientDescentRegressor.fit`; if a parameter of the
        model is invalid; or if only one of X_test and y_test is given.

    Examples
    --------
    >>> from gdregress import GradientDescentRegressor, compare, load_house_prices
    >>> comparison = compare(*load_house_prices(return_X_y=True))
    >>> [row.solver for row in comparison.rows]
    ['GradientDescentRegressor', 'SGDRegressor', 'StandardScaler + SGDRegressor', 'closed form']
    >>> comparison.rows[0].prediction_error < 1e-12
    True
    >>> lasso = GradientDescentRegressor(penalty="l1", alpha=1.0)
    >>> compare(*load_house_prices(return_X_y=True), lasso).rows[-1].solver
    'Lasso'
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
    data = _Data.read(model, X, y, sample_weight, X_test, y_test)
    own, fitted = data.fit(type(model).__name__, model)
    spec = Spec.of(fitted)
    terms = (spec.at_scale(fitted.scale_) if spec.fits_scale else spec).terms
    notes, exact = [], None
    has_closed_form = terms.is_squared_error and not terms.has_prox
    if has_closed_form and not (notes := _without_closed_form(data.X)):
        exact = data.closed_form(model)
    fits, others = [own], []
    for peer in peers(fitted, data.total, random_state):
        if isinstance(peer.estimator, QuantileRegressor) and data.X.shape[0] * max(data.X.shape) > PROGRAM_LIMIT:
            notes.append("without QuantileRegressor, which would take too long: {} x {}".format(*data.X.shape))
            continue
        fits.append(data.fit_peer(peer, with_mean=model.fit_intercept))
        if model.penalty is not None and peer.standardizes != terms.standardize:
            others.append(peer.name)
    rows = [data.row(fit, exact, terms) for fit in [*fits, *([exact] if exact is not None else [])]]
    if exact is None and len(rows) > 1:
        rows = data.judged(rows, terms)
    rows = [
        replace(row, arrived="of another problem") if row.solver in others and row.converged else row for row in rows
    ]
    if not has_closed_form:
        notes.append(NO_CLOSED_FORM if len(rows) > 1 else ALONE)
    its = "raw" if terms.standardize else "standardised"
    notes += [f"{name} solves another problem: it penalises {its} coefficients" for name in others]
    if not fitted.converged_:
        notes.append(f"{own.name}: {fitted.stop_reason_}")
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


class _Fit(NamedTuple):
    """What a solver has found: coefficients (n_outputs, n_features), intercepts (n_outputs,), and what it took."""

    name: str
    coef: NDArray
    intercept: NDArray
    epochs: float
    seconds: float
    converged: bool


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
        self.total = float(counts.sum())
        mean = counts @ y.reshape(len(y), -1) / self.total
        spread = np.sqrt(counts @ (y.reshape(len(y), -1) - mean) ** 2 / self.total)
        self.target_scale = np.where(spread > 0, spread, 1.0)
        with np.errstate(invalid="ignore"):  # the variance of a constant column may be less than 0 by rounding
            self.scale = StandardScaler(with_mean=False).fit(X, sample_weight=weight).scale_

    @classmethod
    def read(cls, model: GradientDescentRegressor, X, y, sample_weight, X_test, y_test) -> "_Data":
        """Read what the user passed, as `fit` does."""
        X = source_of("X", X).in_memory().X
        X, y, weight = read_rows(X, y, sample_weight, estimator=model, reset=True)
        check_finite("X", X, names_of(model))
        if X_test is None:
            return cls(X, y, weight, None, names_of(model))
        X_test = source_of("X_test", X_test).in_memory("X_test").X
        X_test, y_test, _ = read_rows(X_test, y_test, None, estimator=model, suffix="_test")
        check_finite("X_test", X_test, names_of(model))
        return cls(X, y, weight, (X_test, y_test), names_of(model))

    def fit(self, name: str, estimator) -> tuple[_Fit, Any]:
        """Fit an estimator, and return its results and itself."""
        steps = [step for step, _ in getattr(estimator, "steps", [])]
        keys = [f"{step}__sample_weight" for step in steps] or ["sample_weight"]
        weights = {} if self.weight is None else dict.fromkeys(keys, self.weight)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            fitted, seconds = _timed(lambda: clone(estimator).fit(self.X, self.y, **weights))
        coef, intercept, epochs, converged = _outcome(fitted[-1] if steps else fitted)
        if steps:
            coef = coef / fitted[0].scale_
            if fitted[0].with_mean:
                intercept = intercept - coef @ fitted[0].mean_
        if hasattr(fitted, "converged_") and self.names is not None:
            fitted.feature_names_in_ = self.names
        return _Fit(name, coef, intercept, epochs, seconds, bool(converged)), fitted

    def fit_peer(self, peer: Peer, *, with_mean: bool) -> _Fit:
        """Fit a peer to all targets, and return its results; NaN if it fails."""
        one = MultiOutputRegressor(peer.estimator) if self.y.ndim == 2 else peer.estimator
        scaler = StandardScaler(with_mean=with_mean and not sparse.issparse(self.X))
        try:
            return self.fit(peer.name, make_pipeline(scaler, one) if peer.standardizes else one)[0]
        except (ValueError, TypeError):  # what it does not take, such as a sparse X, may be either
            nothing = np.full((self.target_scale.size, self.X.shape[1]), np.nan)
            return _Fit(peer.name, nothing, nothing[:, 0], np.nan, np.nan, False)

    def closed_form(self, model: GradientDescentRegressor) -> _Fit:
        """Return the closed form of the objective of a model."""
        alpha = model.alpha if model.penalty == "l2" else 0.0
        options = {"alpha": alpha, "standardize": model.standardize, "fit_intercept": model.fit_intercept}
        (coef, intercept), seconds = _timed(lambda: closed_form(self.X, self.y, self.weight, **options))
        return _Fit("closed form", np.atleast_2d(coef), np.atleast_1d(intercept), np.nan, seconds, True)

    def row(self, fit: _Fit, exact: _Fit | None, terms: Terms) -> Row:
        """Return what is reported of a fit."""
        coefficient_error = prediction_error = test_mse = np.nan
        coef = fit.coef
        with np.errstate(all="ignore"):  # coefficients that have diverged overflow
            if exact is not None:
                coefficient_error = np.abs((coef - exact.coef) * self.scale / self.target_scale[:, np.newaxis]).max()
                distance = self._residual(self.X, self.y, fit) - self._residual(self.X, self.y, exact)
                prediction_error = np.sqrt(np.mean((distance / self.target_scale) ** 2))
            sizes = np.abs(coef) * (self.scale if terms.standardize else 1.0)
            residual = self._residual(self.X, self.y, fit)
            losses = np.average(terms.loss.value(residual), axis=0, weights=self.weight)
            objective = np.mean(losses + terms.l1 * sizes.sum(axis=1) + terms.l2 / 2.0 * np.square(sizes).sum(axis=1))
            train_mse = np.average(residual**2, axis=0, weights=self.weight).mean()
            if self.test is not None:
                test_mse = np.mean(self._residual(*self.test, fit) ** 2)
        is_far = prediction_error > AT_MINIMUM
        return Row(
            fit.name,
            float(coefficient_error),
            float(prediction_error),
            float(objective),
            float(train_mse),
            float(test_mse),
            float(fit.epochs),
            fit.seconds,
            fit.converged,
            "no" if not fit.converged else "not to the minimum" if is_far else "yes",
        )

    def judged(self, rows: list[Row], terms: Terms) -> list[Row]:
        """Return the results, with those marked whose objectives are far from the least."""
        levels = []
        for y in self.y.reshape(len(self.y), -1).T:
            constant = terms.loss.best_constant(y, self.weight) if terms.fit_intercept else 0.0
            levels.append(np.average(terms.loss.value(y - constant), weights=self.weight) or 1.0)
        most = np.nanmin([row.objective for row in rows]) + AT_MINIMUM**2 * np.mean(levels)
        return [
            row if row.objective <= most or not row.converged else replace(row, arrived="not to the minimum")
            for row in rows
        ]

    @staticmethod
    def _residual(X, y: NDArray, fit: _Fit) -> NDArray:
        return y.reshape(len(y), -1) - np.asarray(X @ fit.coef.T) - fit.intercept


def _outcome(fitted) -> tuple[NDArray, NDArray, float, bool]:
    """Return coefficients, intercepts, epochs and convergence of any of the fitted estimators."""
    if isinstance(fitted, MultiOutputRegressor):
        parts = [_outcome(one) for one in fitted.estimators_]
        coefs, intercepts, epochs, converged = zip(*parts, strict=True)
        return np.vstack(coefs), np.concatenate(intercepts), max(epochs), all(converged)
    epochs = getattr(fitted, "n_iter_", None)
    epochs = np.nan if epochs is None else float(np.max(epochs))
    most = getattr(fitted, "max_iter", None)
    arrived = fitted.converged_ if hasattr(fitted, "converged_") else most is None or not epochs >= most
    return np.atleast_2d(fitted.coef_), np.atleast_1d(fitted.intercept_), epochs, arrived


def _timed(fit, *, runs: int = 3, enough: float = 0.5):
    """Return what `fit` returns, and its fastest time in up to `runs` runs, or until `enough` seconds have passed."""
    times: list[float] = []
    while len(times) < runs and sum(times) < enough:
        start = time.perf_counter()
        result = fit()
        times.append(time.perf_counter() - start)
    return result, min(times)
