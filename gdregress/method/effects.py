"""Which parameters have an effect only beside certain values of others, and the sentences on those that have none."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from inspect import Parameter, signature
from typing import Any

from gdregress.method.parameters import WITH_EPSILON, Constraint, choice, interval

TRUE = Constraint("True", bool)


@dataclass(frozen=True)
class Effect:
    """When a parameter has an effect.

    Attributes
    ----------
    beside : mapping of str to Constraint
        The parameters that decide it, with their values beside which it has an effect. One of them is enough.
    remedy : str
        What to set, so that it has an effect.
    nothing : float or None, default=None
        The value that asks for what is so without it, and of which nothing is said.
    """

    beside: Mapping[str, Constraint]
    remedy: str
    nothing: float | None = None

    def holds(self, estimator: Any) -> bool:
        """Return whether the parameter has an effect in an estimator, whose parameters are valid."""
        return any(values.holds(getattr(estimator, name)) for name, values in self.beside.items())


EFFECTS = {
    "epsilon": Effect(
        {"loss": choice(*WITH_EPSILON)},
        "set loss='huber' or, beside a number, 'epsilon_insensitive' or 'squared_epsilon_insensitive'",
    ),
    "quantile": Effect({"loss": choice("quantile")}, "set loss='quantile'"),
    "alpha": Effect({"penalty": choice("l2", "l1", "elasticnet")}, "set penalty='l2', 'l1' or 'elasticnet'", 0.0),
    "standardize": Effect({"penalty": choice("l2", "l1", "elasticnet")}, "set penalty='l2', 'l1' or 'elasticnet'"),
    "l1_ratio": Effect({"penalty": choice("elasticnet")}, "set penalty='elasticnet'"),
    "momentum": Effect({"optimizer": choice("momentum", "adam")}, "set optimizer='momentum' or 'adam'"),
    "power_t": Effect({"schedule": choice("invscaling")}, "set schedule='invscaling'"),
    "shuffle": Effect({"batch_size": interval("int", 1, float("inf"), "left")}, "set batch_size"),
    "validation_fraction": Effect({"early_stopping": TRUE}, "set early_stopping=True"),
    "n_iter_no_change": Effect(
        {"early_stopping": TRUE, "schedule": choice("adaptive")}, "set early_stopping=True or schedule='adaptive'"
    ),
}
"""When each parameter has an effect. Those that are not here have one beside any values of the others."""


def without_effect(estimator: Any, *, given: bool = False, in_chunks: bool = False) -> Iterator[str]:
    """Yield a sentence, with the remedy, for each parameter that differs from its default and has no effect.

    Parameters
    ----------
    estimator : estimator
        The estimator, whose parameters are valid.
    given : bool, default=False
        Whether the validation rows are given as X_val.
    in_chunks : bool, default=False
        Whether an epoch over a chunk draws mini-batches, whatever `batch_size` is.
    """
    for name, effect in EFFECTS.items():
        is_replaced = name == "validation_fraction" and given
        if (effect.holds(estimator) and not is_replaced) or (name == "shuffle" and in_chunks):
            continue
        value = getattr(estimator, name)
        silent = (_defaults(estimator.__class__).get(name, value), effect.nothing)
        if value in silent:
            continue
        ending = "X_val: leave one of them out."
        if not is_replaced:
            beside = " and ".join(_setting(other, getattr(estimator, other)) for other in effect.beside)
            ending = f"{beside}: {effect.remedy}, or leave it out."
        yield f"{name}={repr(value) if isinstance(value, str) else value} has no effect with {ending}"


def _setting(name: str, value: Any) -> str:
    is_own = name in ("loss", "schedule") and not isinstance(value, str)
    return f"a {name} of your own" if is_own else f"{name}={value!r}"


@cache
def _defaults(kind: Any) -> dict[str, Any]:
    """Return the default values of the parameters of a class of estimators."""
    parameters = signature(kind).parameters.items()
    return {name: parameter.default for name, parameter in parameters if parameter.default is not Parameter.empty}
