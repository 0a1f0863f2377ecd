"""The fit to all rows with what was chosen, from their moments where these were gathered."""

from collections.abc import Iterator
from copy import copy
from typing import Any, NamedTuple

import numpy as np

from gdregress.regressor import GradientDescentRegressor
from gdregress.rows.namespaces import to_host
from gdregress.solve.attributes import FITTED
from gdregress.solve.callbacks import Task
from gdregress.solve.fitting import warnings_of
from gdregress.solve.stopping import Result
from gdregress.tuning.search import Search


class Refit(NamedTuple):
    """What a fit to all rows leaves.

    Attributes
    ----------
    attributes : dict of str to object
        The fitted attributes.
    said : list of Warning
        The warnings.
    """

    attributes: dict[str, Any]
    said: list[Warning]


def of_all_targets(model: GradientDescentRegressor, search: Search) -> Refit:
    """Fit a model to all rows."""
    rows, form = search.given.rows, search.given.form
    given = rows.X, form.targets(rows.y), rows.weight
    if search.sums is None:
        result = model._fit(*given, None, None, None)
    else:
        whole = rows.known_by(slice(None), search.sums.whole)
        result = model._fit_rows(whole, form, Task.begin(model, *given, n_subtasks=int(model.epochs)))
    return Refit(_fitted(model), list(_said_of(model, result)))


def of_each_target(model: GradientDescentRegressor, search: Search, alphas: list[float]) -> Refit:
    """Fit a model to each target with a strength of its own; the attributes of the descent are those of the worst."""
    rows, form, models = search.given.rows, search.given.form, []
    said: dict[str, Warning] = {}
    for alpha, y in zip(alphas, rows.y.T, strict=True):
        models.append(copy(model).set_params(alpha=alpha))
        result = models[-1]._fit(rows.X, y, rows.weight, None, None, None)
        said |= {str(warning): warning for warning in _said_of(models[-1], result)}  # what they share is said once
    attributes = _fitted(max(models, key=lambda each: each.optimality_))
    for of_one in ("best_epoch_", "history_"):
        attributes.pop(of_one)
    attributes["coef_"] = form.placed(np.stack([to_host(each.coef_) for each in models]))
    if model.fit_intercept:
        attributes["intercept_"] = form.placed(np.array([to_host(each.intercept_) for each in models]))
    return Refit(attributes, list(said.values()))


def _fitted(model: GradientDescentRegressor) -> dict[str, Any]:
    """Return the fitted attributes of a model."""
    return {name: value for name, value in vars(model).items() if name in FITTED}


def _said_of(model: GradientDescentRegressor, result: Result) -> Iterator[Warning]:
    """Yield the warnings of a fit, or raise the interrupt that ended it."""
    if result.interrupt is not None:
        raise result.interrupt
    yield from warnings_of(model, result)
