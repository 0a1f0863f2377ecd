"""The grid of cross-validation: its axes, as they are given or found, and where it has to grow."""

from collections.abc import Callable, Iterator, Sequence
from itertools import product, repeat
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gdregress.method.parameters import BOOLEANS, CONSTRAINTS, INFINITY, interval, shown
from gdregress.problem.terms import Terms
from gdregress.rows.folds import SplittableRows
from gdregress.rows.moments import Moments
from gdregress.rows.rows import drawable

LEAST_RATIO = 1e-3
"""Share of L1 from which it makes all coefficients zero at the largest strength of the automatic grid.

With less, the largest strength leaves effects of this share of the spread of y.
"""

FLAT, RISING = 1e-4, 1e-2
"""Differences of two neighbouring scores below which a curve counts as flat: as a share of the best score, and of all
that it has gained over the lowest. With so much L2 that coefficients hardly matter, it rises by less than the first."""

LEAST_SPREAD = 1e-12
"""Ratio of two variances of columns beyond which the grid of L2 does not follow them."""

ROUNDING, NOTHING_LEFT = 1e-12, 1e-10
"""Differences of two scores that do not count: as a share of the best score, which rounding may have made, and of all
that was gained, where hardly an error is left."""

SHARE = interval("float", 0, 1)
"""Valid values of `eps`."""

COUNT = interval("int", 1, INFINITY, "left")
"""Valid numbers of strengths."""

BEYOND_FLOATS = "alphas has a number beyond the range of floats: give smaller strengths."
"""What is said where a strength is a whole number such as 10**400."""


class Curve(NamedTuple):
    """The points of the grid with one `l1_ratio` and one `learning_rate`.

    Attributes
    ----------
    l1_ratio : float
        Share of L1 of the elastic net.
    learning_rate : float or str
        The learning rate.
    alphas : ndarray of shape (n_alphas,)
        Strengths of the penalty, from the largest to the smallest.
    epochs : sequence of int
        Numbers of epochs.
    """

    l1_ratio: float
    learning_rate: float | str
    alphas: NDArray
    epochs: Sequence[int]

    def shared(self) -> dict[str, Any]:
        """Return the parameters that all points share."""
        return {"l1_ratio": self.l1_ratio, "learning_rate": self.learning_rate}

    @property
    def n_points(self) -> int:
        """Number of points."""
        return len(self.alphas) * len(self.epochs)

    @property
    def most_epochs(self) -> int:
        """The largest number of epochs."""
        return max(self.epochs[0], self.epochs[-1]) if isinstance(self.epochs, range) else max(self.epochs)

    def point(self, place: int) -> dict[str, Any]:
        """Return the parameters of a point; those of one `alpha` are after each other."""
        of_alpha, of_epochs = divmod(place, len(self.epochs))
        return {"alpha": float(self.alphas[of_alpha]), **self.shared(), "epochs": self.epochs[of_epochs]}

    def params(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Return some parameters of each point.

        Parameters
        ----------
        names : sequence of str
            Names of the parameters, in the order of the dicts; `epochs` among them if there are several.
        """
        several: list[dict[str, Any]] = []
        for place in range(0, self.n_points, len(self.epochs)):
            point = self.point(place)
            first = {name: point[name] for name in names}
            # There may be a hundred thousand points: copies are the fastest way to as many dicts.
            copies = list(map(dict.copy, repeat(first, len(self.epochs))))
            for params, epochs in zip(copies[1:], self.epochs[1:], strict=True):
                params["epochs"] = epochs
            several += copies
        return several


class Axes(NamedTuple):
    """The axes of the grid besides `alpha`.

    Attributes
    ----------
    l1_ratio, learning_rate : list
        Values of each.
    epochs : sequence of int
        Values; a range where one was given.
    varied : list of str
        Names of the parameters that are axes, `alpha` among them, in alphabetical order.
    """

    l1_ratio: list[float]
    learning_rate: list[float | str]
    epochs: Sequence[int]
    varied: list[str]

    @classmethod
    def of(cls, estimator: Any) -> "Axes":
        """Check the axes of an estimator.

        Parameters
        ----------
        estimator : GradientDescentRegressorCV
            The estimator; it is not changed.

        Raises
        ------
        ValueError
            If an axis is empty, has a value that is not valid, or has no meaning beside the other parameters.
        """
        axes = {name: _values(estimator, name) for name in ("l1_ratio", "learning_rate", "epochs")}
        varied = [name for name in axes if _is_several(getattr(estimator, name))]
        if "l1_ratio" in varied and estimator.penalty != "elasticnet":
            raise ValueError(
                f"several l1_ratio need penalty='elasticnet', but it is {estimator.penalty!r}: give no list."
            )
        if "epochs" in varied and estimator.early_stopping:
            raise ValueError("several epochs are early stopping by cross-validation: set early_stopping=False.")
        has_strength = estimator.penalty is not None
        return cls(**axes, varied=sorted([*varied, *(["alpha"] if has_strength else [])]))

    @property
    def first(self) -> dict[str, Any]:
        """The first value of each."""
        return {"l1_ratio": self.l1_ratio[0], "learning_rate": self.learning_rate[0], "epochs": self.epochs[0]}

    def curves(self, strengths: Callable[[float], NDArray]) -> list[Curve]:
        """Return the grid: a curve for each l1_ratio and learning rate, given the strengths for an l1_ratio."""
        pairs = product(self.l1_ratio, self.learning_rate)
        return [Curve(l1_ratio, rate, strengths(l1_ratio), self.epochs) for l1_ratio, rate in pairs]


def given_alphas(alphas: Any, eps: Any) -> NDArray | None:
    """Return the strengths from the largest to the smallest; None if they are to be found.

    Parameters
    ----------
    alphas : int or array-like of shape (n_alphas,)
        Strengths, or their number.
    eps : float
        The smallest strength as a share of the largest, where they are to be found.

    Raises
    ------
    ValueError
        If `alphas` or `eps` is not valid.
    """
    if not SHARE.holds(eps):
        raise ValueError(f"The 'eps' parameter must be {SHARE.words}. Got {shown(eps)} instead.")
    if type(alphas) is int or isinstance(alphas, np.integer):
        if not COUNT.holds(alphas):
            raise ValueError(f"alphas={shown(alphas)} is no number of strengths: give at least 1, or a list of them.")
        return None
    try:
        given = np.empty((0, 0)) if isinstance(alphas, BOOLEANS) else np.asarray(alphas, dtype=np.float64)
    except (TypeError, ValueError):
        given = np.empty((0, 0))
    except OverflowError:
        raise ValueError(BEYOND_FLOATS) from None
    if given.shape == (0,):
        raise ValueError("alphas is empty: give at least one strength, or their number.")
    if given.ndim != 1:
        remedy = f": pass [{shown(alphas)}]" if given.ndim == 0 and np.isfinite(given) else ""
        remedy = ": leave it out, so that they are found" if isinstance(alphas, str) else remedy
        raise ValueError(f"alphas must be an int or a list of numbers, but is {shown(alphas)}{remedy}.")
    is_valid = np.isfinite(given) & (given >= 0)
    if not is_valid.all():
        raise ValueError(f"alphas has the value {given[~is_valid][0]:g}: give finite strengths of at least 0.")
    return np.sort(given)[::-1]


def without_effect(estimator: Any) -> Iterator[str]:
    """Yield a sentence for each parameter of the grid that differs from its default and has no effect.

    Parameters
    ----------
    estimator : GradientDescentRegressorCV
        The estimator, whose parameters are valid.
    """
    defaults = type(estimator)()
    is_given = {name: _differs(getattr(estimator, name), getattr(defaults, name)) for name in ("alphas", "eps")}
    if is_given["alphas"] and estimator.penalty is None:
        yield "alphas has no effect with penalty=None: set penalty='l2', 'l1' or 'elasticnet', or leave it out."
    elif is_given["eps"] and np.iterable(estimator.alphas):
        yield f"eps={estimator.eps} has no effect with a list of alphas: give their number, or leave it out."


class Largest(NamedTuple):
    """Strengths with which a grid begins.

    Attributes
    ----------
    l1 : float
        The least of L1 that makes all coefficients zero; 0 if they are zero without any.
    l2 : float
        One of L2 that leaves little of them: the largest has an effect of a thousandth of the spread of y.
        It is 0 if nothing is to be left.
    spread : float
        Ratio of the smallest to the largest variance of a column, in the units in which they are penalised. What is
        weak L2 for one column can be strong for another by as much.
    """

    l1: float
    l2: float
    spread: float


def largest_strengths(terms: Terms, rows: SplittableRows, moments: Moments | None) -> Largest:
    """Return with which `alpha` of L1 and of L2 a grid begins.

    With u_i the slopes of the loss at the best constant and k the factor of `alpha` in the objective, it is
    ``max_j |cov(x_j, u)| / k`` for L1, with each column in the unit in which it is penalised. With so much L2 that the
    slopes stay as they are, coefficient j is ``cov(x_j, u) / (k alpha)``. Unlike the first, the strength of L2 does not
    grow with the unit of y if the loss is squared.

    Parameters
    ----------
    terms : Terms
        Terms of the objective.
    rows : SplittableRows
        All rows. They are read only if there are no moments, as rows in memory can be.
    moments : Moments or None
        Their moments, if they were gathered and the loss is squared error: X is then not read.
    """
    loss = terms.loss
    factor: float | NDArray = 1.0
    if moments is None:
        slopes, spread = _slopes(terms, rows)
        moments = drawable(rows).with_targets(lambda _: slopes).moments(products=False)
        about = moments if terms.fit_intercept else moments.about_origin()
    else:
        about = moments if terms.fit_intercept else moments.about_origin()
        spread, factor = about.y.deviation, loss.curvature
    units = terms.units(moments)
    slope = factor * about.target_cross * (about.x.unit / units)[:, np.newaxis] * about.y.unit / loss.alpha_factor
    effect = np.abs(slope) * (about.x.deviation / units)[:, np.newaxis]
    l1 = float((slope if terms.positive else np.abs(slope)).max(initial=0.0))
    l2 = float(np.divide(effect, LEAST_RATIO * spread, out=np.zeros_like(effect), where=spread > 0).max(initial=0.0))
    variances = (about.x.deviation / units)[about.x.deviation > 0] ** 2
    ratio = float(variances.min(initial=np.inf) / variances.max(initial=0.0)) if variances.size else 1.0
    return Largest(l1, l2, max(ratio, LEAST_SPREAD))


def _slopes(terms: Terms, rows: SplittableRows) -> tuple[NDArray, NDArray]:
    """Return the slopes of the loss at the best constant of each target, and the mean size of its residuals."""
    slopes, spread = np.empty_like(rows.y), np.empty(rows.n_outputs)
    for output, y in enumerate(rows.y.T):
        constant = terms.loss.best_constant(y, rows.weight) if terms.fit_intercept else 0.0
        slopes[:, output] = terms.loss.derivative(y - constant)
        spread[output] = np.average(np.abs(y - constant), weights=rows.weight)
    return slopes, spread


def share_of_l1(penalty: str | None, l1_ratio: float) -> float:
    """Return the share of L1 in a penalty."""
    return {"l1": 1.0, "elasticnet": float(l1_ratio)}.get(str(penalty), 0.0)


def automatic_alphas(largest: Largest, share: float, eps: float, n_alphas: int) -> NDArray:
    """Return strengths on a logarithmic scale, down from the least that makes all coefficients zero, or so of L2.

    L2 goes down to where it is weak for the column in the largest unit, and an elastic net to where both its parts are.
    Where every strength leaves all of them at zero, or the least is beyond the range of floats, they go down from 1.

    Parameters
    ----------
    largest : Largest
        The strengths of L1 and of L2 alone.
    share : float
        Share of L1 in the penalty; one below `LEAST_RATIO` counts as none.
    eps : float
        The smallest strength as a share of the largest.
    n_alphas : int
        Number of strengths.
    """
    l1, l2 = (each if 0 < each < np.inf else 1.0 for each in (largest.l1, largest.l2))
    of_l1 = l1 / share if share >= LEAST_RATIO else np.inf
    of_l2 = l2 / (1.0 - share) if share < 1 else np.inf
    top, least = (of_l1, min(of_l1, of_l2)) if share >= LEAST_RATIO else (of_l2, of_l2 * largest.spread)
    return np.geomspace(top, eps * least, n_alphas) if n_alphas > 1 else np.array([top])


def more_alphas(alphas: NDArray, end: int, number: int) -> NDArray:
    """Return further strengths of a grid on a logarithmic scale, beyond the largest (-1) or the smallest (1)."""
    ratio = (alphas[1] / alphas[0]) ** np.arange(1, number + 1)
    return alphas[-1] * ratio if end > 0 else (alphas[0] / ratio)[::-1]


def still_improves(scores: NDArray) -> int:
    """Return at which end of the strengths the best score is while it still improves there.

    Parameters
    ----------
    scores : ndarray of shape (n_alphas,)
        Mean scores from the largest strength to the smallest.

    Returns
    -------
    int
        -1 for the largest strength, 1 for the smallest, 0 if it is inside or the curve is flat there.
    """
    if len(scores) < 2 or not np.isfinite(scores).all():
        return 0
    best = int(np.argmax(scores))
    near = {0: 1, len(scores) - 1: len(scores) - 2}.get(best)
    if near is None:
        return 0
    size, gained = abs(scores[best]), scores[best] - scores.min()
    flat = max(min(FLAT * size, RISING * gained), ROUNDING * size, NOTHING_LEFT * gained)
    return 0 if scores[best] - scores[near] <= flat else 1 if best else -1


def as_array(values: Sequence[Any]) -> NDArray:
    """Return values as an array that keeps their types."""
    if isinstance(values, range):
        return np.arange(values.start, values.stop, values.step)
    return np.array(values, dtype=object if len(set(map(type, values))) > 1 else None)


def _differs(value: Any, default: float) -> bool:
    return bool(np.ndim(value) > 0 or value != default)


def _is_several(value: Any) -> bool:
    return isinstance(value, list | tuple | range | np.ndarray)


def _values(estimator: Any, name: str) -> Any:
    """Return the values of an axis, after a check of each."""
    given = getattr(estimator, name)
    several = given.tolist() if isinstance(given, np.ndarray) else given
    values: Any = [given]
    if _is_several(given):
        values = given if isinstance(given, range) else list(several)
    if not values:
        raise ValueError(f"{name} is empty: give {type(estimator).__name__} at least one value.")
    constraint = CONSTRAINTS[name]
    # What is between two valid integers is valid.
    for value in (values[0], values[-1]) if isinstance(given, range) else values:
        if not constraint.holds(value):
            raise ValueError(
                f"The {name!r} parameter of {type(estimator).__name__} must be {constraint.words}, or several. "
                f"Got {shown(value)} instead."
            )
    return values
