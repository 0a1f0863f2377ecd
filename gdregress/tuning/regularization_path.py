"""The coefficients of L1 and elastic net along a path of strengths."""

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from gdregress.displays.drawing import check_names
from gdregress.displays.paths import RegularizationPathDisplay
from gdregress.method.path import descend_path, problem_of_path
from gdregress.method.spec import Spec
from gdregress.method.working_set import PATH_LIMIT, products_are_cheaper
from gdregress.problem.coordinates import rounded
from gdregress.problem.terms import Terms
from gdregress.regressor import GradientDescentRegressor
from gdregress.rows.inputs import is_vector, names_of
from gdregress.rows.memory import RowBlocks
from gdregress.rows.moments import Moments
from gdregress.rows.sources import source_of
from gdregress.rows.threads import given_back
from gdregress.tuning.grid import automatic_alphas, given_alphas, largest_strengths


@dataclass(frozen=True, repr=False, eq=False)
class RegularizationPath:
    """Coefficients along a path of strengths of a penalty: the result of `regularization_path`.

    Parameters
    ----------
    alphas : ndarray of shape (n_alphas,)
        Strengths of the penalty, the largest first.
    coefs : ndarray of shape (n_features, n_alphas) or (n_targets, n_features, n_alphas)
        Coefficients.
    intercepts : ndarray of shape (n_alphas,) or (n_targets, n_alphas)
        Intercepts.
    gaps : ndarray of shape (n_alphas,)
        Duality gaps: bounds on how far the objective of GradientDescentRegressor is above its minimum,
        averaged over targets, in squared units of y.
    n_iters : ndarray of shape (n_alphas,)
        Number of times that the problem was solved on a set of columns.
    feature_names : list of str or None
        Names of the columns of X; None if it has none.
    deviations : ndarray of shape (n_features,) or None
        Standard deviations of the columns, if coefficients are penalised in these; None if they are not.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from gdregress import regularization_path
    >>> path = regularization_path(*load_diabetes(return_X_y=True, as_frame=True, scaled=False), alphas=5)
    >>> path
    <RegularizationPath of 10 x 5 coefficients: alpha from 564.4 to 0.5644, 0 to 10 columns with nonzero ones>
    >>> display = path.plot()  # doctest: +SKIP
    """

    alphas: NDArray
    coefs: NDArray
    intercepts: NDArray
    gaps: NDArray
    n_iters: NDArray
    feature_names: list[str] | None
    deviations: NDArray | None

    def __repr__(self) -> str:
        """Return a line about the path; its arrays are long."""
        n_columns, n_alphas = self.coefs.shape[-2:]
        n_nonzero = np.count_nonzero(self.coefs.reshape(-1, n_columns, n_alphas), axis=1)
        return (
            f"<RegularizationPath of {n_columns} x {n_alphas} coefficients: alpha from {self.alphas[0]:.4g} to "
            f"{self.alphas[-1]:.4g}, {n_nonzero.min()} to {n_nonzero.max()} columns with nonzero ones>"
        )

    def plot(self, ax: Any = None, *, feature_names: Any = None) -> RegularizationPathDisplay:
        """Draw the coefficients against alpha, on a logarithmic axis.

        With ``standardize=True`` they are drawn in standard deviations of their columns, as they are penalised.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None for a new figure.
        feature_names : array-like of str of shape (n_features,), default=None
            Names of the columns, such as those that a pipeline has given them; None for those of X.

        Returns
        -------
        RegularizationPathDisplay
            The display.

        Raises
        ------
        ValueError
            If y had several targets, or if there is not a name for each column.
        """
        if self.coefs.ndim == 3:
            raise ValueError(
                f"the coefficients are those of {len(self.coefs)} targets: plot the path of one, with one column of y."
            )
        names = self.feature_names if feature_names is None else list(feature_names)
        check_names(names, len(self.coefs))
        shown: dict[str, Any] = {"coefs": self.coefs}
        if self.deviations is not None:
            shown = {
                "coefs": self.coefs * self.deviations[:, np.newaxis],
                "coef_name": "coefficient times deviation of the column",
            }
        return RegularizationPathDisplay(alphas=self.alphas, feature_names=names, **shown).plot(ax)


def regularization_path(
    X,
    y,
    *,
    sample_weight=None,
    alphas=100,
    eps=1e-3,
    penalty: Literal["l1", "elasticnet"] = "elasticnet",
    l1_ratio=1.0,
    positive=False,
    standardize=False,
    fit_intercept=True,
    tol=1e-6,
) -> RegularizationPath:
    """Minimise squared error with L1 or elastic net for a sequence of strengths, each from the last.

    For each alpha the coefficients are those of
    ``GradientDescentRegressor(penalty="elasticnet", alpha=alpha, l1_ratio=l1_ratio)``, which are also those of Lasso
    and ElasticNet. The sequence descends. Each minimum starts from the last one and from the columns that it has
    needed so far. Their products are gathered once for the whole path.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Features, scaled or not.
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        Targets. Several share the alphas.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows; None for weights of 1.
    alphas : int or array-like of shape (n_alphas,), default=100
        Strengths, in any order; or their number. Then they are those that GradientDescentRegressorCV
        tries first: the largest is the least alpha at which all coefficients are zero, and their
        logarithms are evenly spaced. With an `l1_ratio` below 0.001 the largest leaves little of them.
    eps : float, default=1e-3
        The smallest alpha as a share of the largest, where `alphas` is a number. In an elastic net it is
        a share of the alpha at which L2 alone leaves little of the coefficients, if that is less.
    penalty : {"l1", "elasticnet"}, default="elasticnet"
        L1 alone, or in a mixture with L2.
    l1_ratio : float, default=1.0
        Share of L1 in the elastic net, above 0; "l1" is the elastic net at 1.
    positive : bool, default=False
        Whether coefficients must not be negative.
    standardize : bool, default=False
        Whether the penalty acts on coefficients in standard deviations of their columns. `coefs` are on the
        original scale.
    fit_intercept : bool, default=True
        Whether there is an intercept.
    tol : float, default=1e-6
        How near to its minimum each fit ends, as in GradientDescentRegressor: sqrt(2 gap / F0), with
        F0 the mean squared error of the best constant.

    Returns
    -------
    RegularizationPath
        ``alphas``, ``coefs``, ``intercepts``, ``gaps`` and ``n_iters``; it has a method ``plot``.

    Raises
    ------
    ValueError
        If X, y, the weights or a parameter are not valid; if `alphas` is a number, but the coefficients
        are zero whatever alpha is.

    Warns
    -----
    ConvergenceWarning
        If rounding keeps a fit above `tol`.

    See Also
    --------
    GradientDescentRegressor : The estimator, for one alpha and any loss.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from gdregress import regularization_path
    >>> X, y = load_diabetes(return_X_y=True, scaled=False)
    >>> path = regularization_path(X, y, alphas=4)
    >>> print(*path.alphas.round(3))
    564.404 56.44 5.644 0.564
    >>> print((path.coefs != 0).sum(axis=0))
    [ 0  6  7 10]
    """
    model = GradientDescentRegressor(
        penalty="elasticnet",
        l1_ratio=l1_ratio,
        positive=positive,
        standardize=standardize,
        fit_intercept=fit_intercept,
        tol=tol,
    )
    spec, given = _spec(model, penalty), given_alphas(alphas, eps)
    rows = source_of("X", X).in_memory().rows(model, y, sample_weight, reset=True)
    is_single = is_vector(y)
    with given_back(), rows.on_threads(), np.errstate(all="ignore"):
        moments = rows.moments(products=products_are_cheaper(rows, PATH_LIMIT))
        strengths = _automatic(spec.terms, rows, moments, l1_ratio, eps, alphas) if given is None else given
        l1 = spec.terms.loss.alpha_factor * l1_ratio * strengths
        l2 = spec.terms.loss.alpha_factor * (1.0 - l1_ratio) * strengths
        problem = problem_of_path(spec.terms, moments, rows)
        minima = descend_path(problem, list(zip(l1.tolist(), l2.tolist(), strict=True)), spec.limits.tol)
        points, gaps, optimality, n_steps = (np.array(each) for each in zip(*minima, strict=True))
    if tol and not (optimality <= tol).all():
        warnings.warn(_unmet(optimality, tol), ConvergenceWarning, stacklevel=2)
    raw = problem.coordinates.to_raw(np.moveaxis(points, 0, 1))
    found = rounded(*raw, problem.moments.x.mean, rows.dtype)
    coefs, intercepts = (np.moveaxis(each, -1, 0).astype(rows.dtype) for each in found)
    names = names_of(model)
    return RegularizationPath(
        alphas=strengths,
        coefs=coefs[0] if is_single else coefs,
        intercepts=intercepts[0] if is_single else intercepts,
        gaps=problem.mean_loss(gaps),
        n_iters=n_steps,
        feature_names=None if names is None else list(names),
        deviations=moments.x.deviation if standardize else None,
    )


def _spec(model: GradientDescentRegressor, penalty: str) -> Spec:
    """Return the specification of a fit with elastic net; raise a ValueError where this or `penalty` has no path."""
    if penalty not in ("l1", "elasticnet"):
        raise ValueError(f"penalty={penalty!r} has no path: use 'l1' or 'elasticnet'.")
    if penalty == "l1" and model.l1_ratio != 1.0:
        raise ValueError(f"l1_ratio={model.l1_ratio!r} has no effect with penalty='l1': use penalty='elasticnet'.")
    spec = Spec.of(model)
    if model.l1_ratio == 0:
        raise ValueError(
            "l1_ratio=0 has no alpha at which the coefficients become zero: use l1_ratio above 0, or Ridge."
        )
    return spec


def _automatic(terms: Terms, rows: RowBlocks, moments: Moments, l1_ratio: float, eps: float, n_alphas: int) -> NDArray:
    """Return the strengths that cross-validation would try first; raise a ValueError where there are none to find."""
    largest = largest_strengths(terms, rows, moments)
    if largest.l1 == 0:
        raise ValueError(
            "every alpha leaves all coefficients at zero, for no column moves with y (upwards, if positive=True): "
            "pass the alphas themselves to have that path."
        )
    return automatic_alphas(largest, l1_ratio, eps, n_alphas)


def _unmet(optimality: NDArray, tol: float) -> str:
    """Return the warning of fits that rounding keeps above `tol`."""
    return (
        f"{np.count_nonzero(~(optimality <= tol))} of {len(optimality)} fits ended above tol={tol:g}, the worst at "
        f"{optimality.max():.2g}, and rounding allows no better: drop columns that are nearly collinear, or raise tol."
    )
