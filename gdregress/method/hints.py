"""What the user probably meant by a string that is not valid: the habits of other libraries, and the nearest name."""

from collections.abc import Sequence
from difflib import get_close_matches

from gdregress.method.combinations import OPTIMIZERS
from gdregress.method.schedules import SCHEDULES


def _each(names: str, sentence: str) -> dict[str, str]:
    """Return a sentence by each of some names."""
    return dict.fromkeys(names.split(), sentence)


HABITS: dict[str, dict[str, str]] = {
    "learning_rate": {optimizer: f"For that optimizer pass optimizer={optimizer!r}." for optimizer in OPTIMIZERS},
    "loss": {
        **_each(
            "mse mean_squared_error squared_loss squared l2 ls ols least_squares quadratic",
            "Here it is loss='squared_error'.",
        ),
        **_each("rmse root_mean_squared_error", "It has the minimum of loss='squared_error'."),
        **_each(
            "mae mean_absolute_error absolute l1 lad least_absolute_deviation least_absolute_deviations median",
            "Here it is loss='absolute_error'.",
        ),
        **_each(
            "pinball pinball_loss mean_pinball_loss quantile_loss check_loss",
            "Here it is loss='quantile'.",
        ),
        **_each("huber_loss smooth_l1", "Here it is loss='huber'."),
        "svr": "Here it is loss='epsilon_insensitive'.",
        **_each("log_cosh logcosh", "Here it is an object: see gdregress.Loss."),
    },
    "penalty": {
        **_each("no null off false", "Here it is penalty=None."),
        **_each("ridge tikhonov weight_decay", "Here it is penalty='l2'."),
        "lasso": "Here it is penalty='l1'.",
        **_each("elastic_net elastic enet both", "Here it is penalty='elasticnet'."),
    },
    "optimizer": {
        **_each(
            "sgd stochastic stochastic_gradient_descent minibatch",
            "Here it is batch_size, with optimizer='gd'.",
        ),
        **_each(
            "gradient_descent batch full_batch batch_gradient_descent steepest_descent",
            "Here it is optimizer='gd'.",
        ),
        "heavy_ball": "Here it is optimizer='momentum'.",
        **_each("nag fista agd accelerated", "Here it is optimizer='nesterov'."),
        **_each("cg conjugate_gradient conjugate_gradients", "Here it is optimizer='conjugate'."),
        **_each("newton_cg newton_cholesky newton_raphson irls", "Here it is optimizer='newton'."),
        **_each(
            "bfgs lbfgs l_bfgs l_bfgs_b sag saga adamw nadam adadelta coordinate_descent cd lsqr svd cholesky",
            "There is none here: optimizer='auto' takes the fastest.",
        ),
    },
    "schedule": {
        "optimal": "The nearest here is schedule='invscaling'.",
        **_each("inverse_scaling inverse power", "Here it is schedule='invscaling'."),
        **_each("exp decay exponential_decay", "Here it is schedule='exponential'."),
        **_each("cosine_annealing cosine_decay", "Here it is schedule='cosine'."),
        **_each("plateau reduce_on_plateau", "Here it is schedule='adaptive'."),
        **_each("none fixed", "Here it is schedule='constant'."),
    },
}
"""What is said of what other libraries call a value, by parameter and by that name. Hyphens are underscores."""


def meant(name: str, value: str, names: Sequence[str], *, takes_none: bool) -> str:
    """Return a sentence on what a string stands for in other libraries, or on the nearest valid one; or nothing.

    Parameters
    ----------
    name : str
        The parameter.
    value : str
        Its value, which is not valid.
    names : sequence of str
        The valid strings.
    takes_none : bool
        Whether None is valid.
    """
    plain = value.strip().lower()
    if name == "learning_rate" and plain in (*SCHEDULES, "optimal"):
        schedule = plain if plain in SCHEDULES else "invscaling"
        return f"For SGDRegressor's schedule of that name pass its eta0 as a float, with schedule={schedule!r}."
    habit = plain.replace("-", "_").replace(" ", "_")
    if habit in HABITS.get(name, {}):
        return HABITS[name][habit]
    if plain == "none" and takes_none:
        return f"Here it is {name}=None, without quotes."
    near = get_close_matches(plain, names, n=1)
    return f"Did you mean {name}={near[0]!r}?" if near else ""
