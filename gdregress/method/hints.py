"""What the user probably meant by a string that is not valid: the habits of other libraries, and the nearest name."""

from collections.abc import Sequence
from difflib import get_close_matches

from gdregress.method.combinations import OPTIMIZERS
from gdregress.method.schedules import SCHEDULES

HABITS: dict[str, dict[str, str]] = {
    "learning_rate": {
        "For that optimizer pass optimizer={!r}.": " ".join(OPTIMIZERS),
    },
    "loss": {
        "Here it is loss='squared_error'.": (
            "mse mean_squared_error squared_loss squared l2 ls ols least_squares quadratic"
        ),
        "It has the minimum of loss='squared_error'.": "rmse root_mean_squared_error",
        "Here it is loss='absolute_error'.": (
            "mae mean_absolute_error absolute l1 lad least_absolute_deviation least_absolute_deviations median"
        ),
        "Here it is loss='quantile'.": "pinball pinball_loss mean_pinball_loss quantile_loss check_loss",
        "Here it is loss='huber'.": "huber_loss smooth_l1",
        "Here it is loss='epsilon_insensitive'.": "svr",
        "Here it is an object: see gdregress.Loss.": "log_cosh logcosh",
    },
    "penalty": {
        "Here it is penalty=None.": "no null off false",
        "Here it is penalty='l2'.": "ridge tikhonov weight_decay",
        "Here it is penalty='l1'.": "lasso",
        "Here it is penalty='elasticnet'.": "elastic_net elastic enet both",
    },
    "optimizer": {
        "Here it is batch_size, with optimizer='gd'.": "sgd stochastic stochastic_gradient_descent minibatch",
        "Here it is optimizer='gd'.": "gradient_descent batch full_batch batch_gradient_descent steepest_descent",
        "Here it is optimizer='momentum'.": "heavy_ball",
        "Here it is optimizer='nesterov'.": "nag fista agd accelerated",
        "Here it is optimizer='conjugate'.": "cg conjugate_gradient conjugate_gradients",
        "Here it is optimizer='newton'.": "newton_cg newton_cholesky newton_raphson irls",
        "There is none here: optimizer='auto' takes the fastest.": (
            "bfgs lbfgs l_bfgs l_bfgs_b sag saga adamw nadam adadelta coordinate_descent cd lsqr svd cholesky"
        ),
    },
    "schedule": {
        "The nearest here is schedule='invscaling'.": "optimal",
        "Here it is schedule='invscaling'.": "inverse_scaling inverse power",
        "Here it is schedule='exponential'.": "exp decay exponential_decay",
        "Here it is schedule='cosine'.": "cosine_annealing cosine_decay",
        "Here it is schedule='adaptive'.": "plateau reduce_on_plateau",
        "Here it is schedule='constant'.": "none fixed",
    },
}
"""What other libraries call a value, by parameter and by the sentence that is said of it. Hyphens are underscores."""


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
    for sentence, habitual in HABITS.get(name, {}).items():
        if plain.replace("-", "_").replace(" ", "_") in habitual.split():
            return sentence.format(plain)
    if plain == "none" and takes_none:
        return f"Here it is {name}=None, without quotes."
    near = get_close_matches(plain, names, n=1)
    return f"Did you mean {name}={near[0]!r}?" if near else ""
