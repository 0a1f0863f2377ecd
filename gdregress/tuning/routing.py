"""What `fit` of a search passes on: to the splitter and to the scorers, as GridSearchCV does."""

from dataclasses import replace
from typing import Any

from numpy.typing import NDArray
from sklearn import get_config
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing

from gdregress.tuning.scoring import Scoring, takes

VALIDATION = ("X_val", "y_val", "sample_weight_val")
"""Arguments of the `fit` of GradientDescentRegressor that a search has no use for."""


def router_of(estimator: Any, splitter: Any, scoring: Scoring) -> MetadataRouter:
    """Return what `fit` of an estimator passes on to a splitter and to the scorers."""
    # The owner is copied, and splits that are a generator cannot be.
    router = MetadataRouter(owner=type(estimator).__name__).add_self_request(estimator)
    router.add(splitter=splitter, method_mapping=MethodMapping().add(caller="fit", callee="split"))
    for name, scorer in scoring.scorers.items():
        router.add(**{f"scorer_{name}": scorer}, method_mapping=MethodMapping().add(caller="fit", callee="score"))
    return router


def routed(
    estimator: Any, splitter: Any, scoring: Scoring, weight: NDArray | None, params: dict[str, Any]
) -> tuple[Scoring, dict[str, Any]]:
    """Return the scoring with what its scorers take, and what the splitter takes.

    Parameters
    ----------
    estimator : GradientDescentRegressorCV
        The estimator.
    splitter : object
        The splitter.
    scoring : Scoring
        The scores.
    weight : ndarray of shape (n_samples,) or None
        Weights of the rows.
    params : dict of str to object
        The other arguments of `fit`.

    Raises
    ------
    TypeError
        If one of these has no use.
    """
    validating = [name for name in params if name in VALIDATION]
    if validating:
        raise TypeError(
            f"a search takes no {validating[0]}: with early_stopping=True each split holds out "
            "a validation_fraction of its training rows. Leave it out, or use GradientDescentRegressor."
        )
    weights = {} if weight is None else {"sample_weight": weight}
    if get_config()["enable_metadata_routing"]:
        found = process_routing(router_of(estimator, splitter, scoring), "fit", **weights, **params)
        of_scorers = {name: found[f"scorer_{name}"].score for name in scoring.scorers}
        return replace(scoring, params=of_scorers), found.splitter.split
    unknown = set(params) - {"groups"}
    if unknown:
        raise TypeError(f"fit takes groups, but not {min(unknown)}: enable metadata routing for what scorers take.")
    if weights:
        of_scorers = {name: weights if takes(each, "sample_weight") else {} for name, each in scoring.scorers.items()}
        scoring = replace(scoring, params=of_scorers)
    return scoring, {"groups": params.get("groups")}
