"""Cross-validation of the points of a grid: fits on the training rows of each split, errors on the test rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.base import clone

from gdregress.method.choice import MOMENTS_LIMIT
from gdregress.method.epochs import EpochPath, PlainDescent, Stretch
from gdregress.method.minima import Minima, Path
from gdregress.method.spec import Spec
from gdregress.problem.coordinates import Coordinates
from gdregress.problem.losses import Loss
from gdregress.problem.objectives import DataObjective
from gdregress.problem.problem import Terms
from gdregress.rows.checks import check_finite
from gdregress.rows.folds import Folds, Split, check_not_empty, gather_folds
from gdregress.rows.memory import RowBlocks
from gdregress.rows.moments import Moments
from gdregress.solve.attributes import OutputFormat
from gdregress.tuning.grid import LEAST_RATIO, Curve, more_alphas, share_of_l1, still_improves
from gdregress.tuning.scoring import Scoring

WIDE_LIMIT = 500
"""Number of columns up to which products are gathered even where a training set has fewer rows."""

THREADED_COLUMNS = 100
"""Number of columns from which factoring takes longer than the Python around it, so that threads pay."""

EXTENSIONS = {"l2": 6, "l1": 3, "elasticnet": 3}
"""How often an automatic grid grows at most, each time by a third of its length.

With L1 it begins at the strength that makes all coefficients zero. With L2 it begins farther up, at a guess.
"""

SHARPER = 0.1
"""Share of `tol` to which points along a path are fitted: one within `tol` of the last would stay where that is."""

OF_ALL_EPOCHS = ("exponential", "cosine")
"""Schedules that depend on the number of epochs."""

EXACT = ("auto", "curvature")
"""Values of `learning_rate` with which a fit of squared error ends at the minimum, however it gets there."""


AnyPath = Path | EpochPath
"""Points fitted to the same rows."""


class Evaluated(NamedTuple):
    """A curve of the grid, and what cross-validation finds along it.

    Attributes
    ----------
    curve : Curve
        The points.
    scores : dict of str to ndarray of shape (n_splits, n_points)
        Scores on the test rows, by name.
    loss : ndarray of shape (n_splits, n_points, n_outputs)
        Mean loss of the test rows.
    paths : sequence of AnyPath
        The points fitted to the training rows of each split.
    """

    curve: Curve
    scores: dict[str, NDArray]
    loss: NDArray
    paths: Sequence[AnyPath]

    def followed_by(self, other: "Evaluated") -> "Evaluated":
        """Return this curve with another at its end, whose strengths are smaller."""
        return Evaluated(
            self.curve._replace(alphas=np.concatenate([self.curve.alphas, other.curve.alphas])),
            {name: np.hstack([score, other.scores[name]]) for name, score in self.scores.items()},
            np.hstack([self.loss, other.loss]),
            [one.followed_by(two) for one, two in zip(self.paths, other.paths, strict=True)],
        )

    def along_alphas(self, name: str) -> NDArray:
        """Return the best mean score of each strength; minus infinity where it is NaN."""
        return self._means(name).max(axis=1)

    def along_epochs(self, name: str) -> NDArray:
        """Return the best mean score of each number of epochs; minus infinity where it is NaN."""
        return self._means(name).max(axis=0)

    def _means(self, name: str) -> NDArray:
        """Return mean scores of shape (n_alphas, n_epochs)."""
        mean = self.scores[name].mean(axis=0).reshape(len(self.curve.alphas), -1)
        return np.where(np.isnan(mean), -np.inf, mean)


@dataclass(frozen=True)
class Search:
    """The evaluation of curves of a grid on the splits.

    Attributes
    ----------
    model : GradientDescentRegressor
        A model with the parameters that all points share, a clone made by this search: its own clones say each
        cause of a warning once, see `NoticesMixin`.
    X : ndarray or CSR matrix or data frame
        X of all rows, for scorers.
    rows : RowBlocks
        All rows.
    form : OutputFormat
        Dtype and shape of coefficients.
    splits : list of (ndarray of int, ndarray of int)
        Training rows and test rows of each split.
    folds : Folds or None
        Their moments; None if these are not enough for a fit.
    minima : list of Minima
        The minimisers over the training rows of each split and, last, over all rows; empty if `folds` is None.
    scoring : Scoring
        The scores.
    n_jobs : int or None
        Number of splits that are fitted at the same time, where they need a fit each.
    descents : dict of (int, float) to PlainDescent or None
        Plain descents over the training rows, by number of the split and strength of L2, as far as they were needed.
    """

    model: Any
    X: Any
    rows: RowBlocks
    form: OutputFormat
    splits: list[Split]
    folds: Folds | None
    minima: list[Minima]
    scoring: Scoring
    n_jobs: int | None
    descents: dict[tuple[int, float], PlainDescent | None] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        model: Any,
        X: Any,
        rows: RowBlocks,
        form: OutputFormat,
        splits: list[Split],
        scoring: Scoring,
        n_jobs: int | None,
    ) -> "Search":
        """Gather the moments of the splits, where these are what fits need, and check the rows for NaN."""
        check_not_empty(rows, splits)
        spec, p = Spec.of(model), rows.n_features
        fewest = min(len(train) for train, _ in splits)
        suffices = spec.terms.is_squared_error and spec.steps.batch_size is None and not spec.limits.early_stopping
        folds, minima = None, []
        if suffices and p <= max(min(MOMENTS_LIMIT, fewest - 1), WIDE_LIMIT):
            folds = gather_folds(rows, splits)
            several = [*(fold.train for fold in folds.folds), folds.whole]
            minima = [Minima.of(spec.terms, moments) for moments in several]
        else:
            check_finite(rows.name, rows.X, rows.columns)
        return cls(
            clone(model), X if hasattr(X, "columns") else rows.X, rows, form, splits, folds, minima, scoring, n_jobs
        )

    def evaluate(self, curve: Curve) -> Evaluated:
        """Fit the points of a curve to the training rows of each split, and score them on the test rows."""
        paths = self._paths(curve)
        with self.rows.on_threads() as (_, map_on_threads), np.errstate(all="ignore"):
            known = list(map_on_threads(self._losses_from_moments, range(len(paths)), paths))
            losses = [
                self._losses_from_rows(number, path) if loss is None else loss
                for number, (path, loss) in enumerate(zip(paths, known, strict=True))
            ]
        several = [self._scores(number, path, curve, losses[number]) for number, path in enumerate(paths)]
        scores = {name: np.array([of_split[name] for of_split in several]) for name in self.scoring.scorers}
        return Evaluated(curve, scores, np.array(losses), paths)

    def whole(self, curve: Curve) -> Path:
        """Fit the points of a curve to all rows."""
        exact = self._exact(curve, self.minima[-1:])
        if exact:
            return exact[0]
        known = None if self.folds is None else self.folds.whole
        return fitted_path(clone(self.model), self.rows, known, curve)

    def _paths(self, curve: Curve) -> Sequence[AnyPath]:
        """Return the points fitted to the training rows of each split."""
        known_ahead = self._exact(curve, self.minima[:-1]) or self._of_plain_descents(curve)
        if known_ahead:
            return known_ahead
        known: list[Moments | None] = [None] * len(self.splits)
        if self.folds is not None:
            known = [fold.train for fold in self.folds.folds]
        return Parallel(n_jobs=self.n_jobs)(
            delayed(fitted_path)(clone(self.model), self.rows.part(train), moments, curve)
            for (train, _), moments in zip(self.splits, known, strict=True)
        )

    def _exact(self, curve: Curve, minima: Sequence[Minima]) -> list[Path]:
        """Return the minimisers if fits would end there and moments are precise enough; else an empty list."""
        model = self.model
        ends_there = curve.learning_rate in EXACT and model.optimizer == "auto" and bool(model.tol)
        if not ends_there or model.target_loss is not None or len(curve.epochs) > 1:
            return []
        terms = terms_of(model, curve)
        with self.rows.on_threads() as (_, map_on_threads):
            several = map_on_threads if self.rows.n_features >= THREADED_COLUMNS else map
            paths = list(several(lambda each: _quietly(each, terms, curve.alphas), minima))
        return [path for path in paths if path is not None] if all(path is not None for path in paths) else []

    def _of_plain_descents(self, curve: Curve) -> list[EpochPath]:
        """Return the points of plain descents in closed form, where fits would come to the same; else an empty list."""
        model = self.model
        spec = Spec.of(clone(model).set_params(epochs=max(curve.epochs), **curve.shared()))
        schedule = spec.steps.schedule.known_ahead
        is_plain = spec.steps.is_number or curve.learning_rate == "lipschitz"
        is_plain = is_plain and model.optimizer in ("auto", "gd") and model.init == "zeros" and not spec.steps.average
        is_plain = is_plain and not spec.terms.has_prox and model.target_loss is None
        if schedule is None or not is_plain or model.schedule in OF_ALL_EPOCHS:
            return []
        several, numbers = terms_of(model, curve), np.array(curve.epochs)
        paths: list[EpochPath] = []
        for number in range(len(self.minima) - 1):
            stretches = []
            for alpha in curve.alphas.tolist():
                descent = self._descent(number, replace(several, l2=alpha * several.l2))
                rates = None if descent is None else descent.rates(curve.learning_rate, schedule, int(numbers.max()))
                if descent is None or rates is None:
                    return []
                end = descent.end(rates, spec.limits.tol)
                stretches.append(Stretch(descent, rates, np.minimum(numbers, end)))
            paths.append(EpochPath(stretches))
        return paths

    def _descent(self, number: int, terms: Terms) -> PlainDescent | None:
        """Return the plain descent over the training rows of a split, which is made once for all rates."""
        key = number, terms.l2
        if key not in self.descents:
            assert self.folds is not None
            self.descents[key] = PlainDescent.of(terms, self.folds.folds[number].train)
        return self.descents[key]

    def _losses_from_moments(self, number: int, path: AnyPath) -> NDArray | None:
        """Return the losses on the test rows of a split, (n_points, n_outputs); None if moments do not tell them."""
        with np.errstate(all="ignore"):  # that of the caller is not that of its threads
            return None if self.folds is None else path.errors(self.folds.folds[number].test)

    def _losses_from_rows(self, number: int, path: AnyPath) -> NDArray:
        """Return the losses on the test rows of a split, of shape (n_points, n_outputs), from these rows."""
        return losses_from_rows(Spec.of(self.model).terms.loss, self.rows.part(self.splits[number][1]), path)

    def _scores(self, number: int, path: AnyPath, curve: Curve, loss: NDArray) -> dict[str, NDArray]:
        """Return the scores on the test rows of a split, each of shape (n_points,)."""
        is_weighed = self.rows.weight is None or all("sample_weight" in each for each in self.scoring.params.values())
        of_test = None if self.folds is None or not is_weighed else self.folds.folds[number].test
        scores = self.scoring.from_loss(loss, of_test)
        if scores is not None:
            return scores
        test = self.splits[number][1]
        X, y = rows_of(self.X, test), self.rows.y[test]
        names = self.rows.columns if hasattr(self.X, "columns") else None
        models = fitted_models(clone(self.model), path, curve, self.form, names)
        each = [self.scoring.by_scorers(model, X, self.form.targets(y), test) for model in models]
        return {name: np.array([of_point[name] for of_point in each]) for name in self.scoring.scorers}


def grown(search: Search, found: list[Evaluated], name: str) -> list[Evaluated]:
    """Return the curves of an automatic grid, longer where the best point is at an end and the score improves there.

    The largest strength makes all coefficients zero, so that with L1 there is nothing beyond it.

    Parameters
    ----------
    search : Search
        Evaluates what is added.
    found : list of Evaluated
        The curves, each of at least two strengths.
    name : str
        Name of the score that decides.
    """
    number = -(-len(found[0].curve.alphas) // 3)
    for _ in range(EXTENSIONS[search.model.penalty]):
        top = best_curve(found, name)
        end = still_improves(top.along_alphas(name))
        if end == 0 or (end < 0 and share_of_l1(search.model.penalty, top.curve.l1_ratio) >= LEAST_RATIO):
            break
        for place, each in enumerate(found):
            more = search.evaluate(each.curve._replace(alphas=more_alphas(each.curve.alphas, end, number)))
            found[place] = each.followed_by(more) if end > 0 else more.followed_by(each)
    return found


def best_curve(found: list[Evaluated], name: str) -> Evaluated:
    """Return the curve of the best mean score."""
    return max(found, key=lambda each: each.along_alphas(name).max())


def terms_of(model: Any, curve: Curve) -> Terms:
    """Return the terms of the objective of a curve for the strength 1."""
    return Spec.of(clone(model).set_params(alpha=1.0, **curve.shared())).terms


def _quietly(minima: Minima, terms: Terms, alphas: NDArray) -> Path | None:
    """Return a path; overflow shows as infinity, which `Minima` looks for."""
    with np.errstate(all="ignore"):
        return minima.path(terms, alphas)


def fitted_path(model: Any, rows: RowBlocks, known: Moments | None, curve: Curve) -> Path:
    """Fit the points of a curve one after the other, each from the last where it ends at the minimum all the same.

    Parameters
    ----------
    model : GradientDescentRegressor
        The model, with the parameters that all points share.
    rows : RowBlocks
        Training rows.
    known : Moments or None
        Their moments, if they were gathered.
    curve : Curve
        The points.
    """
    is_one = len(curve.epochs) == 1
    model.set_params(**curve.shared(), epochs=max(curve.epochs), record_path=not is_one)
    ends_at_minimum = is_one and curve.learning_rate in EXACT and bool(model.tol) and model.target_loss is None
    is_path = ends_at_minimum and not (model.early_stopping or model.batch_size or model.average)
    if is_path:
        model.set_params(tol=SHARPER * model.tol)
    coordinates = Coordinates.plain(rows.n_features, rows.n_outputs, fit_intercept=bool(model.fit_intercept))
    rows = rows.copied() if known is None else rows.with_moments(known)
    points: list[NDArray] = []
    of_search = clone(model)
    for alpha in curve.alphas.tolist():
        model._follow(of_search)
        model.set_params(alpha=alpha, warm_start=is_path and bool(points))
        points += [fitted_point(model, rows)] if is_one else epochs_of(model, rows, curve)
    return Path(coordinates, np.stack(points, axis=1))


def fitted_point(model: Any, rows: RowBlocks) -> NDArray:
    """Fit a model, and return its point in raw coordinates."""
    if rows.known is None:
        model.fit(rows.X, rows.y, rows.weight)
    else:
        model._fit_rows(rows, OutputFormat(np.float64, False))
    level = [np.atleast_1d(model.intercept_)] if model.fit_intercept else []
    return np.vstack([np.atleast_2d(model.coef_).T, *level])


def epochs_of(model: Any, rows: RowBlocks, curve: Curve) -> list[NDArray]:
    """Fit a model for each number of epochs, and return the points.

    A descent of fewer epochs is the beginning of that of more, so that the longest is enough, unless the schedule
    depends on their number. Where it ended by itself, more epochs end at the same point. Where the objective is above
    that of the start, a fit returns the best epoch until then, if its rate can diverge: the first such fit tells.
    """
    if model.schedule in OF_ALL_EPOCHS:
        points = [fitted_point(model.set_params(epochs=epochs), rows) for epochs in curve.epochs]
        model.set_params(epochs=max(curve.epochs))
        return points
    last, history, terms = fitted_point(model, rows), model.history_, Spec.of(model).terms
    coef = history["coef"].reshape(len(history["coef"]), rows.n_outputs, -1)
    intercept = history["intercept"].reshape(len(coef), -1, 1)
    path = np.concatenate([coef, intercept], axis=-1) if model.fit_intercept else coef
    per_unit = coef * terms.units(rows.moments(products=False))
    penalty = terms.l1 * np.abs(per_unit).sum(axis=2) + 0.5 * terms.l2 * np.square(per_unit).sum(axis=2)
    objective = np.nan_to_num(history["loss"] + penalty.mean(axis=1), nan=np.inf)
    returned, n_epochs = np.arange(len(path)), model.n_iter_
    above = [epochs for epochs in curve.epochs if epochs < n_epochs and objective[epochs] > objective[0]]
    if above and not np.array_equal(fitted_point(model.set_params(epochs=above[0]), rows), path[above[0]].T):
        lowest = np.minimum.accumulate(objective)
        returned[above] = [int(np.argmax(objective == lowest[epochs])) for epochs in above]
    model.set_params(epochs=max(curve.epochs))
    return [last if epochs >= n_epochs else path[returned[epochs]].T for epochs in curve.epochs]


def rows_of(X: Any, chosen: NDArray) -> Any:
    """Return some rows of an array, a CSR matrix or a data frame."""
    return X.iloc[chosen] if hasattr(X, "iloc") else X[chosen]


def fitted_models(model: Any, path: AnyPath, curve: Curve, form: OutputFormat, names: NDArray | None) -> Iterator[Any]:
    """Yield a model for each point of a path, fitted to what it was fitted to."""
    coef, intercept = path.coordinates.to_raw(path.points)
    for place, point in enumerate(curve.points()):
        fitted = clone(model).set_params(**point)
        fitted.coef_ = form.of(coef[:, place])
        fitted.intercept_ = form.of(intercept[place])[()] if model.fit_intercept else 0.0
        fitted.n_features_in_ = len(coef)
        if names is not None:
            fitted.feature_names_in_ = names
        yield fitted


def losses_from_rows(loss: Loss, rows: RowBlocks, path: AnyPath) -> NDArray:
    """Return the mean loss of test rows, of shape (n_penalties, n_outputs), in one pass for all points.

    Parameters
    ----------
    loss : Loss
        The loss, in units of y.
    rows : RowBlocks
        Test rows.
    path : Path
        The points.
    """
    coordinates = path.coordinates
    rows = rows.with_targets(coordinates.targets)
    objective = DataObjective(rows, coordinates, loss.in_units(coordinates.target_scale), coordinates.penalty(0.0, 0.0))
    [value] = objective.values([path.points.reshape(len(path.points), -1)])
    return value.reshape(path.points.shape[1:]) * coordinates.target_scale**loss.degree
