"""Cross-validation of the points of a grid: fits on the training rows of each split, errors on the test rows."""

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.base import clone

from gdregress.method.choice import MOMENTS_LIMIT
from gdregress.method.minima import Chained, Path
from gdregress.method.spec import Spec
from gdregress.problem.coordinates import Coordinates, rounded
from gdregress.problem.loss import Loss
from gdregress.problem.objectives import DataObjective
from gdregress.rows.checks import check_finite
from gdregress.rows.folds import check_not_empty
from gdregress.rows.memory import RowBlocks
from gdregress.rows.moments import Moments
from gdregress.rows.rows import drawable
from gdregress.solve.attributes import OutputFormat
from gdregress.solve.divergence import has_diverged
from gdregress.solve.scale import minimum_with_scale, scale_of_constant
from gdregress.tuning.from_all_rows import begins_with_all_rows, paths_from_all_rows
from gdregress.tuning.grid import (
    LEAST_RATIO,
    Curve,
    Largest,
    largest_strengths,
    more_alphas,
    share_of_l1,
    still_improves,
)
from gdregress.tuning.of_splits import OfSplits
from gdregress.tuning.resampling import Resampling
from gdregress.tuning.scoring import Scoring
from gdregress.tuning.sums import OF_ALL_EPOCHS, AnyPath, Fits, Sums

WIDE_LIMIT = 500
"""Number of columns up to which products are gathered even where a training set has fewer rows.

With so few, one pass over X for all splits costs less than the passes of a fit to each.
"""

EXTENSIONS = {"l2": 6, "l1": 3, "elasticnet": 3}
"""How often an automatic grid grows at most, each time by a third of its length.

With L1 it begins at the strength that makes all coefficients zero. With L2 it begins farther up, at a guess.
"""

SHARPER = 0.1
"""Share of `tol` to which points along a path are fitted: one within `tol` of the last would stay where that is."""


class Evaluated(NamedTuple):
    """A curve of the grid, and what cross-validation finds along it.

    Attributes
    ----------
    curve : Curve
        The points.
    scores : dict of str to OfSplits
        Scores on the test rows, of shape (n_splits, n_points), by name.
    losses : OfSplits
        Mean losses of the test rows, of shape (n_splits, n_outputs, n_points).
    paths : sequence of AnyPath
        The points fitted to the training rows of each split.
    whole : AnyPath or None
        The points fitted to all rows, where these came with the others.
    failures : sequence of str
        Reasons of the fits that ended elsewhere than they were to.
    """

    curve: Curve
    scores: dict[str, OfSplits]
    losses: OfSplits
    paths: Sequence[AnyPath]
    whole: AnyPath | None
    failures: Sequence[str]

    def followed_by(self, other: "Evaluated") -> "Evaluated":
        """Return this curve with another at its end, whose strengths are smaller."""
        return Evaluated(
            self.curve._replace(alphas=np.concatenate([self.curve.alphas, other.curve.alphas])),
            {name: score.followed_by(other.scores[name]) for name, score in self.scores.items()},
            self.losses.followed_by(other.losses),
            [Chained(both) for both in zip(self.paths, other.paths, strict=True)],
            None if self.whole is None or other.whole is None else Chained([self.whole, other.whole]),
            [*self.failures, *other.failures],
        )

    @property
    def loss(self) -> NDArray:
        """Mean losses of the test rows, of shape (n_splits, n_points, n_outputs)."""
        return np.moveaxis(self.losses.all, 1, 2)

    def along_alphas(self, name: str) -> NDArray:
        """Return the best mean score of each strength; minus infinity where it is NaN."""
        return self._means(name).max(axis=1)

    def along_epochs(self, name: str) -> NDArray:
        """Return the best mean score of each number of epochs; minus infinity where it is NaN."""
        return self._means(name).max(axis=0)

    def _means(self, name: str) -> NDArray:
        """Return mean scores of shape (n_alphas, n_epochs)."""
        mean = self.scores[name].mean.reshape(len(self.curve.alphas), -1)
        return np.where(np.isnan(mean), -np.inf, mean)


@dataclass(frozen=True)
class Search:
    """The evaluation of curves of a grid on the splits.

    Attributes
    ----------
    given : Resampling
        The model and the splits.
    X : ndarray or CSR matrix or data frame
        X of all rows, for scorers.
    sums : Sums or None
        The sums over their rows; None if these are not enough for a fit.
    scoring : Scoring
        The scores.
    n_jobs : int or None
        Number of splits that are fitted at the same time, where they need a fit each.
    verbose : bool
        Whether each of them is told of.
    """

    given: Resampling
    X: Any
    sums: Sums | None
    scoring: Scoring
    n_jobs: int | None
    verbose: bool

    @classmethod
    def of(cls, given: Resampling, X: Any, scoring: Scoring, n_jobs: int | None, verbose: bool) -> "Search":
        """Gather the moments of the splits, where these are what fits need, and check the rows for NaN."""
        rows, splits, spec, p = given.rows, given.splits, given.spec, given.rows.n_features
        check_not_empty(rows, splits)
        lonely = [number for number, (_, test) in enumerate(splits) if len(test) < 2]
        if lonely and "r2" in scoring.names.values():
            raise ValueError(
                f"scoring='r2' needs two test rows in each split, but split {lonely[0]} has one: use "
                "'neg_mean_squared_error', or larger test sets."
            )
        fewest = min(len(train) for train, _ in splits)
        suffices = spec.terms.is_squared_error and spec.steps.batch_size is None and not spec.limits.early_stopping
        sums = None
        if suffices and p <= max(min(MOMENTS_LIMIT, fewest - 1), WIDE_LIMIT):
            sums = Sums(given)
            sums.whole  # noqa: B018  the first pass finds NaN
        elif rows.in_memory is None:
            raise ValueError(
                "rows of dask and on a device are cross-validated by their sums, which are enough for squared error "
                f"without batch_size and early_stopping, and for up to {MOMENTS_LIMIT} columns: use rows in memory."
            )
        else:
            check_finite("X", rows.X, rows.columns)
        return cls(given, X if hasattr(X, "columns") else rows.X, sums, scoring, n_jobs, verbose)

    def largest_strengths(self) -> Largest:
        """Return with which strengths an automatic grid begins."""
        spec, rows = self.given.spec, self.given.rows
        if spec.fits_scale:
            fit_intercept = spec.terms.fit_intercept
            spec = spec.at_scale(scale_of_constant(rows.y[:, 0], rows.weight, fit_intercept=fit_intercept))
        return largest_strengths(spec.terms, rows, None if self.sums is None else self.sums.whole)

    @property
    def moments(self) -> Moments:
        """Moments of all rows."""
        return drawable(self.given.rows).moments(products=False) if self.sums is None else self.sums.whole

    def evaluate(self, curves: Sequence[Curve]) -> list[Evaluated]:
        """Fit the points of some curves to the training rows of each split, and score them on the test rows.

        Parameters
        ----------
        curves : sequence of Curve
            The curves, which have the same epochs.
        """
        told = [None] * len(curves) if self.sums is None else self.sums.fitted(curves)
        found = [self._evaluated(curve, known) for curve, known in zip(curves, told, strict=True)]
        both = zip(curves, told, strict=True)
        unfinished = [(curve, known.unfinished) for curve, known in both if known is not None and known.unfinished]
        if unfinished and not any(each.failures for each in found):  # one fit tells the reason of all
            curve, (number, place) = unfinished[0]
            longest = curve._replace(alphas=curve.alphas[[place]], epochs=[curve.most_epochs])
            failures = fitted_path(clone(self.given.model), self._training_rows(number), longest).failures
            found[0] = found[0]._replace(failures=failures)
        return found

    def _evaluated(self, curve: Curve, told: Fits | None) -> Evaluated:
        """Fit and score the points of a curve, given what the sums tell of them."""
        from_whole = self._from_whole(curve) if self.sums is None else None
        paths, losses, whole, failures, _ = from_whole or told or self._fitted(curve)
        if losses is None:
            losses = OfSplits.whole(
                np.stack([self._losses_from_rows(number, path).T for number, path in enumerate(paths)])
            )
        if self.scoring.is_loss:
            return Evaluated(curve, {"score": losses.mapped(minus_mean_of_outputs)}, losses, paths, whole, failures)
        several = [self._scores(number, path, curve, losses.all[number].T) for number, path in enumerate(paths)]
        scores = {name: OfSplits.whole(np.array([each[name] for each in several])) for name in self.scoring.scorers}
        return Evaluated(curve, scores, losses, paths, whole, failures)

    def _from_whole(self, curve: Curve) -> Fits | None:
        """Return what `_fitted` does, and the points fitted to all rows, if the splits are fitted from these."""
        rows, splits, spec = self.given.rows, self.given.splits, self.given.spec_of(curve)
        if not (self.given.ends_at_minima(curve) and begins_with_all_rows(spec, rows, splits)):
            return None
        with rows.on_threads(), np.errstate(all="ignore"):
            rows = drawable(rows)
            rows = rows.with_moments(rows.moments())
            failures: list[str] = []

            def fit(some_rows: Any, alpha: float) -> Path:
                point = fitted_path(clone(self.given.model), some_rows, curve._replace(alphas=np.array([alpha])))
                failures.extend(point.failures)
                return point.path

            whole, paths = paths_from_all_rows(spec, curve.alphas, rows, splits, fit)
        return Fits(paths, None, whole, failures)

    def whole(self, curve: Curve) -> Path:
        """Return the points of a curve fitted to all rows."""
        exact = None if self.sums is None else self.sums.path_of_whole(curve)
        if exact is not None:
            return exact
        rows = self.given.rows if self.sums is None else self.given.rows.known_by(slice(None), self.sums.whole)
        return fitted_path(clone(self.given.model), rows, curve).path

    def _fitted(self, curve: Curve) -> Fits:
        """Fit the points to the training rows of each split, and return them with the losses that sums tell."""
        n_splits = len(self.given.splits)
        names = [f"split {number + 1} of {n_splits}" * self.verbose for number in range(n_splits)]
        fitted = Parallel(n_jobs=self.n_jobs)(
            delayed(told_path)(name, clone(self.given.model), self._training_rows(number), curve)
            for number, name in enumerate(names)
        )
        paths, failures = [each.path for each in fitted], [reason for each in fitted for reason in each.failures]
        return Fits(paths, None if self.sums is None else self.sums.losses(paths), None, failures)

    def _training_rows(self, number: int) -> Any:
        """Return the training rows of a split, with their moments if these were gathered."""
        train, _ = self.given.splits[number]
        if self.sums is None:
            return self.given.rows.part(train).copied()
        return self.given.rows.known_by(train, self.sums.of_split(number).train)

    def _losses_from_rows(self, number: int, path: AnyPath) -> NDArray:
        """Return the losses on the test rows of a split, of shape (n_points, n_outputs), from these rows."""
        _, test = self.given.splits[number]
        with self.given.rows.on_threads(), np.errstate(all="ignore"):
            return losses_from_rows(self.given.spec.terms.loss, self.given.rows.part(test), path)

    def _scores(self, number: int, path: AnyPath, curve: Curve, loss: NDArray) -> dict[str, NDArray]:
        """Return the scores on the test rows of a split, each of shape (n_points,)."""
        rows, form, (_, test), scores = self.given.rows, self.given.form, self.given.splits[number], None
        is_weighed = rows.weight is None or all("sample_weight" in each for each in self.scoring.params.values())
        y = rows.y[test]
        if self.sums is not None and is_weighed:
            scores = self.scoring.from_loss(loss, y, None if rows.weight is None else rows.weight[test])
        if scores is not None:
            return scores
        X = rows_of(self.X, test)
        names = rows.columns if hasattr(self.X, "columns") else None
        models = fitted_models(clone(self.given.model), path, curve, form, names)
        each = [self.scoring.by_scorers(model, X, form.targets(y), test) for model in models]
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
    number, penalty = -(-len(found[0].curve.alphas) // 3), search.given.model.penalty
    for _ in range(EXTENSIONS[penalty]):
        top = best_curve(found, name)
        end = still_improves(top.along_alphas(name))
        if end == 0 or (end < 0 and share_of_l1(penalty, top.curve.l1_ratio) >= LEAST_RATIO):
            break
        longer = [each.curve._replace(alphas=more_alphas(each.curve.alphas, end, number)) for each in found]
        both = zip(found, search.evaluate(longer), strict=True)
        found = [each.followed_by(more) if end > 0 else more.followed_by(each) for each, more in both]
    return found


def best_curve(found: list[Evaluated], name: str) -> Evaluated:
    """Return the curve of the best mean score."""
    return max(found, key=lambda each: each.along_alphas(name).max())


class Fitted(NamedTuple):
    """The points of a curve, fitted to some rows.

    Attributes
    ----------
    path : Path
        The points.
    failures : list of str
        Reasons of the fits that ended elsewhere than they were to.
    """

    path: Path
    failures: list[str]


def told_path(name: str, model: Any, rows: Any, curve: Curve) -> Fitted:
    """Return `fitted_path`; where the rows have a name, print how long it took."""
    start = perf_counter()
    fitted = fitted_path(model, rows, curve)
    if name:
        print(f"{name}: {curve.n_points} points in {perf_counter() - start:.1f} s")
    return fitted


def fitted_path(model: Any, rows: Any, curve: Curve) -> Fitted:
    """Fit the points of a curve one after the other, each from the last where it ends at the minimum all the same.

    Parameters
    ----------
    model : GradientDescentRegressor
        The model, with the parameters that all points share.
    rows : RowBlocks or GoneRows
        Training rows, with their moments if these were gathered.
    curve : Curve
        The points.
    """
    is_one = len(curve.epochs) == 1
    model.set_params(**curve.shared(), epochs=curve.most_epochs, record_path=not is_one)
    spec = Spec.of(model)
    is_path = is_one and spec.ends_at_minimum
    if is_path:
        model.set_params(tol=SHARPER * model.tol)
    coordinates = Coordinates.plain(rows.n_features, rows.n_outputs, fit_intercept=bool(model.fit_intercept))
    finds_scale = is_path and spec.fits_scale and spec.goes_to_minimum
    if finds_scale and rows.n_features <= WIDE_LIMIT:
        rows = rows.with_moments(rows.moments())  # for all strengths
    points: list[NDArray] = []
    failures: list[str] = []
    past = vars(model)
    for alpha in curve.alphas.tolist():
        model.set_params(alpha=alpha, warm_start=is_path and bool(points))
        found = minimum_with_scale(Spec.of(model), rows, past) if finds_scale and points else None
        if found is None:
            if is_one:
                points.append(fitted_point(model, rows, failures, spec.limits.tol))
            else:
                points += epochs_of(model, rows, curve, failures)
            past = vars(model)
        else:
            level = [found.intercept] if model.fit_intercept else []
            points.append(np.append(found.coef, level)[:, np.newaxis])
            past = {"coef_": found.coef, "intercept_": found.intercept, "scale_": found.scale}
    return Fitted(Path(coordinates, np.stack(points, axis=1)), failures)


def fitted_point(model: Any, rows: Any, failures: list[str], tol: float) -> NDArray:
    """Fit a model and return its point in raw coordinates; the failures get the reason if it ended elsewhere.

    ``tol`` is that of the search, and 0 for none; the model may have a smaller one. What is within it is no failure.
    """
    result = model._fit_rows(rows, OutputFormat(np.float64, False))
    if result.interrupt is not None:
        raise result.interrupt
    if result.is_warning and not result.kept.optimality <= tol:
        failures.append(result.reason)
    level = [np.atleast_1d(model.intercept_)] if model.fit_intercept else []
    return np.vstack([np.atleast_2d(model.coef_).T, *level])


def epochs_of(model: Any, rows: Any, curve: Curve, failures: list[str]) -> list[NDArray]:
    """Fit a model for each number of epochs, and return the points.

    A descent of fewer epochs is the beginning of that of more, so that the longest is enough, unless the schedule
    depends on their number. Where it ended by itself, more epochs end at the same point. Of a descent that has
    diverged a fit returns the best epoch until then, if its rate can diverge: the first such fit tells.
    """
    spec = Spec.of(model)
    tol = spec.limits.tol
    if model.schedule in OF_ALL_EPOCHS:
        points = [fitted_point(model.set_params(epochs=epochs), rows, failures, tol) for epochs in curve.epochs]
        model.set_params(epochs=curve.most_epochs)
        return points
    last, history, terms = fitted_point(model, rows, failures, tol), model.history_, spec.terms
    coef = history["coef"].reshape(len(history["coef"]), rows.n_outputs, -1)
    intercept = history["intercept"].reshape(len(coef), -1, 1)
    path = np.concatenate([coef, intercept], axis=-1) if model.fit_intercept else coef
    per_unit = coef * terms.units(rows.moments(products=False))
    penalty = terms.l1 * np.abs(per_unit).sum(axis=2) + 0.5 * terms.l2 * np.square(per_unit).sum(axis=2)
    objective = np.nan_to_num(history["loss"] + penalty.mean(axis=1), nan=np.inf)
    returned, n_epochs = np.arange(len(path)), model.n_iter_
    rose = has_diverged(objective)
    above = [epochs for epochs in curve.epochs if epochs < n_epochs and rose[epochs]]
    if above and (fitted_point(model.set_params(epochs=above[0]), rows, failures, tol) != path[above[0]].T).any():
        lowest = np.minimum.accumulate(objective)
        returned[above] = [int(np.argmax(objective == lowest[epochs])) for epochs in above]
    model.set_params(epochs=curve.most_epochs)
    return [last if epochs >= n_epochs else path[returned[epochs]].T for epochs in curve.epochs]


def minus_mean_of_outputs(losses: NDArray) -> NDArray:
    """Return scores of shape (n_splits, n_points), given losses of shape (n_splits, n_outputs, n_points)."""
    return -losses[:, 0] if losses.shape[1] == 1 else -losses.mean(axis=1)


def rows_of(X: Any, chosen: NDArray) -> Any:
    """Return some rows of an array, a CSR matrix or a data frame."""
    return X.iloc[chosen] if hasattr(X, "iloc") else X[chosen]


def fitted_models(model: Any, path: AnyPath, curve: Curve, form: OutputFormat, names: NDArray | None) -> Iterator[Any]:
    """Yield a model for each point of a path, fitted to what it was fitted to."""
    coef, intercept = rounded(*path.coordinates.to_raw(path.points), path.coordinates.center, form.dtype)
    for place in range(curve.n_points):
        fitted = copy(model)  # a clone takes longer than a score
        vars(fitted).update(curve.point(place))
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
