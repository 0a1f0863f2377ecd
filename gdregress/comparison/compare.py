"""Comparison of a model with the other solvers of its objective, and with the closed form if there is one."""

from scipy import sparse
from sklearn.base import clone

from gdregress.comparison.measurement import AT_MINIMUM, Data
from gdregress.comparison.peers import peers
from gdregress.comparison.table import Comparison, Row
from gdregress.method.parameters import check_parameters
from gdregress.method.spec import Spec
from gdregress.regressor import GradientDescentRegressor

DENSE_LIMIT = 10**8
"""Largest number of entries of a sparse X that is made dense for the closed form."""

COST_LIMIT = 10**10
"""Largest cost of the closed form, rows times columns times the smaller of both: it takes up to a minute."""

NO_CLOSED_FORM = "the objective has no closed form: the least that a solver found is taken for its minimum"
"""What is said below a table without one."""

ALONE = "no other solver of scikit-learn minimises this objective"
"""What is said where there is nothing to compare with."""


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
        Weights of the rows, for every solver: only their ratios matter, and a weight of 0 leaves a row out.
    X_test, y_test : array-like, default=None
        Test rows and their targets. The mean squared error on them is reported too.
    random_state : int, RandomState or None, default=0
        Random state of SGDRegressor.

    Returns
    -------
    Comparison
        The results, those of the model first, and why a solver failed.

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
    >>> comparison.rows[0].measures["prediction_error"] < 1e-12
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
    data = Data.read(model, X, y, sample_weight, X_test, y_test)
    own, fitted = data.fit(model)
    spec = Spec.of(fitted)
    terms = (spec.at_scale(fitted.scale_) if spec.fits_scale else spec).terms
    fits, failures, others = {type(model).__name__: own}, {}, []
    has_closed_form = terms.is_squared_error and not terms.has_prox
    left_out = _without_closed_form(data.X) if has_closed_form else []
    notes = [*left_out]
    for peer in peers(fitted, data.X.shape[0], random_state):
        if data.X.shape[0] * max(data.X.shape) > peer.largest:
            notes.append(f"without {peer.name}, which would take too long: {data.X.shape[0]} x {data.X.shape[1]}")
            continue
        try:
            fits[peer.name] = data.fit_peer(peer, with_mean=model.fit_intercept)
        except (ValueError, TypeError) as error:  # what it does not take, such as a sparse X, may be either
            failures[peer.name] = " ".join(str(error).split())
            continue
        if model.penalty is not None and peer.standardizes != terms.standardize:
            others.append(peer.name)
    exact = data.closed_form(model) if has_closed_form and not left_out else None
    fits |= {} if exact is None else {"closed form": exact}
    measures = {name: data.measures(fit, exact, terms) for name, fit in fits.items()}
    decisive, largest = "prediction_error", AT_MINIMUM
    if exact is None:
        decisive = "objective"
        largest = data.largest(min(measured[decisive] for measured in measures.values()), terms)

    def arrived(name: str) -> str:
        if not fits[name].converged:
            return "no"
        if name in others:
            return "of another problem"
        return "yes" if measures[name][decisive] <= largest else "not to the minimum"

    rows = [Row(name, measures[name], fit.converged, arrived(name)) for name, fit in fits.items()]
    if not has_closed_form:
        notes.append(NO_CLOSED_FORM if len(rows) > 1 else ALONE)
    its = "raw" if terms.standardize else "standardised"
    notes += [f"{name} solves another problem: it penalises {its} coefficients" for name in others]
    if not fitted.converged_:
        notes.append(f"{type(model).__name__}: {fitted.stop_reason_}")
    return Comparison(rows, fitted, failures, notes)


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
