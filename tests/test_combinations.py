"""Everything combines or says why not: the product of losses, penalties, rates, optimizers, schedules, batches."""

import re
import warnings
from itertools import product

import numpy as np
import pytest

from gdregress import GradientDescentRegressor
from gdregress.method.combinations import OPTIMIZERS, supported_pairs
from gdregress.method.schedules import SCHEDULES
from gdregress.problem.losses import LOSSES

PENALTIES = {
    "none": {},
    "l2": {"penalty": "l2"},
    "l1": {"penalty": "l1"},
    "elasticnet": {"penalty": "elasticnet"},
    "positive": {"positive": True},
}
RATES = ("auto", "float", "lipschitz", "diagonal", "curvature")
FLOATS = {"momentum": 0.005, "nesterov": 0.005, "adagrad": 0.5, "rmsprop": 0.01, "adam": 0.01}
"""Numbers that suit these rules, in place of 0.05: what they make of a gradient is of another size."""

REFUSAL = r"(learning_rate='curvature' \(here with )?optimizer='\w+'\)? cannot be combined with [^.]*: use .*\."


def linear(k):
    return 1.0 / (1.0 + 0.01 * k)


SIZES = {"constant": 4, "invscaling": 1, "exponential": 4, "cosine": 1, "adaptive": 1, linear: 4}
"""Every schedule, with a size of mini-batches: each is taken with that, and with all rows at once."""

TOL = 0.3

rng = np.random.default_rng(0)
X = rng.normal(size=(12, 2)) @ [[1.0, 0.3], [0.0, 1.0]]
y = X @ [0.5, 0.3] + 0.2 + 0.3 * rng.normal(size=12)


@pytest.mark.exhaustive
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("loss", LOSSES)
def test_each_converges_or_is_refused_with_a_remedy(loss, penalty):
    base = {
        "loss": loss,
        "epsilon": 0.5 if loss == "huber" else 0.05,
        "alpha": 1e-3,
        "tol": TOL,
        "epochs": 1000,
        "random_state": 0,
        "n_iter_no_change": 30,
        **PENALTIES[penalty],
    }
    assert set(SIZES) == {*SCHEDULES, linear}
    unmet = []
    for rate, optimizer, schedule, in_batches in product(RATES, ("auto", *OPTIMIZERS), SIZES, (False, True)):
        size = SIZES[schedule] if in_batches else None
        rate = FLOATS.get(optimizer, 0.05) if rate == "float" else rate
        given = {"learning_rate": rate, "optimizer": optimizer, "schedule": schedule, "batch_size": size}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                model = GradientDescentRegressor(**base, **given).fit(X, y)
            except ValueError as refusal:
                if not re.fullmatch(REFUSAL, str(refusal)):
                    unmet.append((given, str(refusal)))
                continue
        if not model.converged_:
            unmet.append((given, model.stop_reason_))
    assert not unmet, f"{len(unmet)}: {unmet[:5]}"


ASKED = ("any loss", "prox", "schedule", "batches", "average")


@pytest.mark.parametrize("optimizer", ["auto", *OPTIMIZERS])
@pytest.mark.parametrize("learning_rate", [0.1, "lipschitz", "diagonal", "curvature", "auto"])
def test_what_a_refusal_advises_is_accepted(learning_rate, optimizer):
    for taken in product((False, True), repeat=len(ASKED)):
        asked = {feature for feature, is_asked in zip(ASKED, taken, strict=True) if is_asked}
        try:
            assert all(not pair.missing(asked) for pair in supported_pairs(learning_rate, optimizer, asked))
            continue
        except ValueError as error:
            refusal = str(error)
        assert re.fullmatch(REFUSAL.replace("[^.]*", r"\S.*\S"), refusal), refusal
        remedy = refusal.partition(": use ")[2]
        names = re.search(r"optimizer=('\w+'(?: or '\w+')*)", remedy).group(1).replace("'", "").split(" or ")
        rate = re.search(r"learning_rate='?([\w.]+\w)'?", remedy)
        rate = learning_rate if rate is None else {"0.1": 0.1}.get(rate.group(1), rate.group(1))
        for name in names:
            assert supported_pairs(rate, name, asked), "what is advised is refused too"
