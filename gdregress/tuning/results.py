"""What cross-validation has found, as attributes of the estimator, and where it should have looked farther."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdregress.method.parameters import BOOLEANS
from gdregress.problem.coordinates import rounded
from gdregress.solve.attributes import OutputFormat
from gdregress.tuning.grid import Axes, still_improves
from gdregress.tuning.search import Evaluated, Search
from gdregress.tuning.selection import Scores, chosen, simplest, standard_error
from gdregress.tuning.sums import AnyPath

NOTHING = 0.2
"""Largest sum of the effects of all columns, in standard deviations of the target, that counts as a constant."""

MIXED = 10.0
"""Ratio of standard deviations from which columns are in mixed units."""


def choice(scores: Scores, refit: Any, primary: str) -> dict[str, Any]:
    """Return the attributes of the chosen point.

    Parameters
    ----------
    scores : Scores
        The scores.
    refit : bool, str or callable
        The parameter of the estimator.
    primary : str
        Name of the score that decides.
    """
    top = scores.best(primary)
    index = chosen(refit, scores, top)
    point = scores.point(index)
    attributes = {
        "best_index_": index,
        "best_params_": {name: point[name] for name in scores.varied},
        "best_score_": float(scores.means[primary][index]),
        **{f"{name}_": value for name, value in point.items()},
        "alpha_min_": scores.point(top)["alpha"],
    }
    if len(scores.weights) > 1:
        simple = scores.within_one_error(primary, top)
        attributes |= {"alpha_1se_": simple["alpha"], "epochs_1se_": simple["epochs"]}
    return attributes


def check_alpha_per_target(estimator: Any, axes: Axes) -> None:
    """Raise a ValueError if anything but the mean loss chooses, or anything but alpha is chosen."""
    if estimator.scoring is not None or not isinstance(estimator.refit, BOOLEANS):
        raise ValueError(
            "alpha_per_target=True chooses by the mean loss: leave out scoring, and set refit=True; alpha_1se_ has "
            "what one_standard_error would choose for each target."
        )
    if axes.varied != ["alpha"]:
        raise ValueError(f"alpha_per_target=True chooses alpha alone, but {axes.varied} vary: give one of the others.")


def choice_of_targets(found: Evaluated) -> dict[str, Any]:
    """Return the attributes of the choice of a strength for each target by its own losses."""
    mean, alphas = -found.loss.mean(axis=0), found.curve.alphas
    index = mean.argmax(axis=0)
    choices = {
        "best_index_": index,
        "best_score_": mean.max(axis=0),
        "best_params_": {"alpha": alphas[index]},
        "alpha_": alphas[index],
        "alpha_min_": alphas[index],
    }
    if len(found.loss) > 1:
        error = standard_error(found.loss)
        of_targets = zip(mean.T, error.T, strict=True)
        simple = [simplest(scores, of_scores.item) for scores, of_scores in of_targets]  # alphas fall
        choices["alpha_1se_"] = alphas[simple]
    return choices


def failures(found: Sequence[Evaluated]) -> Iterator[str]:
    """Yield a sentence on fits that ended elsewhere than they were to, with the reason of one of them."""
    reasons = [reason for each in found for reason in each.failures]
    if reasons:
        yield f"fits to training rows did not converge, such as: {min(reasons)}"


def ends(top: Evaluated, primary: str, *, is_automatic: bool, standardize: bool) -> Iterator[str]:
    """Yield a sentence for each axis whose best value is at an end while the score still improves there.

    Parameters
    ----------
    top : Evaluated
        The curve of the best mean score.
    primary : str
        Name of the score that decides.
    is_automatic : bool
        Whether the strengths were found: nothing is gained beyond the largest of these.
    standardize : bool
        Whether the penalty acts on coefficients in standard deviations of their columns.
    """
    along_alphas = top.along_alphas(primary)
    end, alpha = still_improves(along_alphas), top.curve.alphas[int(np.argmax(along_alphas))]
    if (end > 0 and alpha > 0) or (end < 0 and not is_automatic):  # nothing is smaller than 0
        which, helps = ("smallest", _smaller(standardize)) if end > 0 else ("largest", "give alphas with larger ones.")
        yield f"the best alpha, {alpha:.4g}, is the {which} that was tried, and the score still improves there: {helps}"
    if still_improves(top.along_epochs(primary)) > 0:
        yield (
            f"the best number of epochs, {top.curve.epochs[-1]}, is the largest that was tried, and the score still "
            "improves there: give epochs with larger ones."
        )


def of_nothing(search: Search, top: Evaluated, primary: str) -> Iterator[str]:
    """Yield a sentence where the best point is no better than a constant, which the largest strength leaves.

    It is no better if the mean of the differences over the splits is within its standard error. Only minima with an
    intercept are told of: other descents may not have begun.

    Parameters
    ----------
    search : Search
        The search.
    top : Evaluated
        The curve of the best mean score.
    primary : str
        Name of the score that decides.
    """
    scores, moments, path, spec = top.scores[primary].all, search.moments, top.paths[0], search.given.spec
    if not (spec.terms.fit_intercept and search.given.ends_at_minima(top.curve) and moments.y.deviation.any()):
        return
    best = int(np.nanargmax(scores.mean(axis=0)))
    gain = scores[:, best] - scores[:, 0]
    if len(gain) < 2 or not gain.mean() <= standard_error(gain):
        return
    coef, _ = path.coordinates.to_raw(path.points)
    if not (moments.x.deviation @ np.abs(coef[:, 0]) <= NOTHING * moments.y.deviation).all():
        return
    varied = moments.x.deviation[moments.x.deviation > 0]
    remedy = "the columns tell little of y, or the rows are too few to show it."
    if not spec.terms.standardize and len(varied) and varied.max() > MIXED * varied.min():
        remedy = "set standardize=True, so that the units of the columns do not count."
    alpha = top.curve.alphas[best // len(top.curve.epochs)]
    yield f"the best alpha, {alpha:.4g}, is no better than a constant, within the standard error of its score: {remedy}"


def _smaller(standardize: bool) -> str:
    """Return what helps where the best strength is the smallest."""
    alike = "" if standardize else "set standardize=True, so that the units of the columns do not count, "
    return f"{alike}give alphas with smaller ones, or set penalty=None if no penalty is needed."


def ends_of_targets(found: Evaluated, *, standardize: bool) -> Iterator[str]:
    """Yield a sentence on the first target whose best strength is the smallest while its score still improves there."""
    scores = -found.loss.mean(axis=0)
    for target, of_target in enumerate(scores.T):
        if still_improves(of_target) > 0:
            yield (
                f"the best alpha of target {target}, {found.curve.alphas[-1]:.4g}, is the smallest that was tried, and "
                f"its score still improves there: {_smaller(standardize)}"
            )
            return


def paths(found: Sequence[Evaluated], search: Search, axes: Axes, *, refit: bool) -> dict[str, NDArray]:
    """Return the attributes of what was fitted along the strengths: these, errors, and with `refit` coefficients."""

    def of_ratios(parts: Sequence[NDArray]) -> NDArray:
        return np.stack(parts) if "l1_ratio" in axes.varied else parts[0]

    attributes = {"alphas_": of_ratios([each.curve.alphas for each in found[:: len(axes.learning_rate)]])}
    if len(axes.learning_rate) > 1 or len(axes.epochs) > 1:
        return attributes
    if search.given.spec.terms.is_squared_error:
        attributes["mse_path_"] = of_ratios([each.loss.mean(axis=-1).T for each in found])
    if refit:
        wholes = [search.whole(each.curve) if each.whole is None else each.whole for each in found]
        coef, intercept = zip(*[raw([whole], search.given.form) for whole in wholes], strict=True)
        attributes |= {"coef_path_": of_ratios(coef), "intercept_path_": of_ratios(intercept)}
    return attributes


def fold_paths(found: Sequence[Evaluated], form: OutputFormat) -> tuple[NDArray, NDArray]:
    """Return coefficients and intercepts fitted to the training rows of each split, along the points."""
    of_splits = [raw(parts, form) for parts in zip(*(each.paths for each in found), strict=True)]
    coef, intercept = zip(*of_splits, strict=True)
    return np.stack(coef), np.stack(intercept)


def predictions(found: Sequence[Evaluated], search: Search, index: Any) -> NDArray:
    """Predict each row at the chosen point by the splits that test it; NaN for a row that none tests.

    Parameters
    ----------
    found : sequence of Evaluated
        The curves.
    search : Search
        Their search, with rows in memory.
    index : int or ndarray of shape (n_targets,)
        Index of the chosen point, or one for each target.
    """
    rows = search.given.rows
    total, times = np.zeros_like(rows.y), np.zeros((rows.n_samples, 1))
    for (_, test), parts in zip(search.given.splits, zip(*(each.paths for each in found), strict=True), strict=True):
        coef, intercept = raw(parts, OutputFormat(np.float64, False))
        place = index, np.arange(coef.shape[1])
        np.add.at(total, test, rows.X[test] @ coef[place].T + intercept[place])
        np.add.at(times, test, 1.0)
    return search.given.form.targets(np.divide(total, times, out=np.full_like(total, np.nan), where=times > 0))


def raw(paths: Sequence[AnyPath], form: OutputFormat) -> tuple[NDArray, NDArray]:
    """Return coefficients (n_points, [n_outputs], n_features) and intercepts of paths one after the other."""
    each = [(*path.coordinates.to_raw(path.points), path.coordinates.center) for path in paths]
    both = [rounded(*one, form.dtype) for one in each]
    coef = np.concatenate([np.moveaxis(part, 0, -1) for part, _ in both])
    intercept = np.concatenate([part for _, part in both]).astype(form.dtype)
    return (coef[:, 0], intercept[:, 0]) if form.is_single else (coef, intercept)
