"""Where one choice gives way to another: both sides of each threshold, on shapes of which no row is read."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy import sparse

from gdregress import GradientDescentRegressor
from gdregress.comparison.compare import _without_closed_form
from gdregress.method.choice import choose, choose_for_chunks, needs_products
from gdregress.method.preconditioners import InverseHessian, WideInverseHessian
from gdregress.method.sketches import Sketches, accelerated_is_cheaper, cheapest_share, is_tall
from gdregress.method.spec import Spec
from gdregress.method.working_set import WorkingSet
from gdregress.problem.coordinates import Coordinates
from gdregress.problem.problem import Problem
from gdregress.rows.chunks import moments_of_chunk
from gdregress.rows.memory import RowBlocks
from gdregress.rows.threads import needs_limit

MANY = 2**15  # columns of which no matrix is made


def rows(n, p, kind="dense", m=1):
    """Rows that take no memory."""
    X = sparse.csr_array((n, p)) if kind == "CSR" else np.broadcast_to(0.0, (n, p))
    return RowBlocks(X, np.broadcast_to(0.0, (n, m)))


def chosen(n, p, kind="dense", **params):
    choice = choose(Spec.of(GradientDescentRegressor(**params)), rows(n, p, kind))
    return choice.rung, choice.optimizer


L1 = {"penalty": "l1"}
L2 = {"penalty": "l2"}
ROBUST = {"loss": "huber"}


@pytest.mark.parametrize(
    ("shape", "params", "expected"),
    [
        ((5000, 2000, "CSR"), {}, ("curvature", "gd")),
        ((5000, 2001, "CSR"), {}, ("diagonal", "conjugate")),
        ((5000, 2000), {}, ("curvature", "gd")),
        ((5000, 2001), {}, ("curvature", "conjugate")),
        ((5000, 4096), {}, ("curvature", "conjugate")),
        ((4097, 4096), {}, ("curvature", "conjugate")),
        ((5000, 4097), {}, ("diagonal", "conjugate")),
        ((5000, 2000), ROBUST, ("curvature", "newton")),
        ((5000, 2001), ROBUST, ("diagonal", "nesterov")),
        ((5000, 2000), {**L2, **ROBUST, "schedule": "invscaling"}, ("curvature", "nesterov")),
        ((5000, 2001), {**L2, **ROBUST, "schedule": "invscaling"}, ("diagonal", "nesterov")),
        ((5000, 500), L1, ("curvature", "newton")),
        ((5000, 501), L1, ("curvature", "newton")),
        ((5000, 501), {**L1, **ROBUST, "schedule": "invscaling"}, ("diagonal", "nesterov")),
        ((MANY, 10 * MANY, "CSR"), L1, ("curvature", "newton")),
        ((5000, 500), {"positive": True}, ("curvature", "newton")),
        ((5000, 501), {"positive": True}, ("curvature", "newton")),
        ((2000, 8389), {}, ("curvature", "gd")),  # by the products of the rows, however many columns
        ((2000, MANY), {}, ("curvature", "gd")),
        ((2000, MANY, "CSR"), {}, ("diagonal", "conjugate")),
        ((2000, MANY), ROBUST, ("diagonal", "nesterov")),
        ((1900, 2001), {}, ("curvature", "gd")),
        ((2000, 2001), {}, ("curvature", "gd")),
        ((2001, 2002), {}, ("diagonal", "conjugate")),
        ((16_384, 4096), {"tol": None}, ("curvature", "gd")),
        ((16_383, 4096), {"tol": None}, ("diagonal", "conjugate")),
        ((16_388, 4097), {"tol": None}, ("diagonal", "conjugate")),
    ],
    ids=str,
)
def test_what_auto_affords(shape, params, expected):
    assert chosen(*shape, **params) == expected


@pytest.mark.parametrize(
    ("shape", "is_set"), [((1000, 250), False), ((1000, 251), True), ((100, 50), False), ((100, 51), True)]
)
@pytest.mark.parametrize("params", [{"penalty": "l1"}, {"positive": True}, {"penalty": "elasticnet"}], ids=str)
def test_many_columns_beside_the_rows_have_working_sets(shape, is_set, params):
    data, spec = rows(*shape, "dense"), Spec.of(GradientDescentRegressor(**params))
    assert choose(spec, data).products == (not is_set)
    problem = Problem.of(spec.terms, data.moments(), data)
    assert isinstance(choose(spec, data).method(spec, problem, None).solver, WorkingSet) == is_set


def test_a_matrix_of_curvatures_is_refused_where_it_would_not_fit():
    for n, p in ((MANY, MANY + 1), (MANY + 1, MANY)):
        assert chosen(n, p, "CSR", learning_rate="curvature")[0] == "curvature"
    with pytest.raises(ValueError, match=f"{MANY + 1} x {MANY + 1} numbers"):
        chosen(MANY + 1, MANY + 1, "CSR", learning_rate="curvature")
    with pytest.raises(ValueError, match=rf"would hold a matrix of {MANY + 1} x {MANY + 1} numbers: use fit\."):
        moments_of_chunk(rows(3, MANY + 1), 1.0)  # before 8 GB are asked for


@pytest.mark.parametrize(("p", "rung"), [(500, "curvature"), (501, "diagonal")])
def test_a_descent_over_chunks_knows_the_products_of_so_many_columns(p, rung):
    spec = Spec.of(GradientDescentRegressor(loss="huber"))
    assert needs_products("auto", p) == (rung == "curvature")
    assert choose_for_chunks(spec, p, has_products=True).rung == rung
    assert needs_products("curvature", p)


@pytest.mark.parametrize(("n", "samples", "newton"), [(2995, False, True), (2996, True, False)])
def test_small_data_have_their_own_moments(n, samples, newton):
    """Below 2**21 entries."""
    assert (cheapest_share(n, 700, 1, 1e-2) is not None) == samples
    assert accelerated_is_cheaper(n, 700) != newton


@pytest.mark.parametrize(("p", "optimizer"), [(2000, "newton"), (2001, "nesterov")])
def test_columns_up_to_which_losses_of_lines_and_parabolas_have_newton_s_steps(p, optimizer):
    assert chosen(4 * p, p, loss="huber")[1] == optimizer


@pytest.mark.parametrize(("p", "cheaper"), [(199, False), (200, True), (4096, True), (4097, False)])
def test_columns_from_which_newton_s_steps_cost_more_than_nesterov_s(p, cheaper):
    assert accelerated_is_cheaper(100_000, p) == cheaper


@pytest.mark.parametrize(
    ("n", "p", "tall"), [(16, 4, True), (15, 4, False), (4 * 4096, 4096, True), (10**6, 4097, False)]
)
def test_what_is_tall(n, p, tall):
    assert is_tall(n, p) == tall


@pytest.mark.parametrize(("tol", "exact"), [(1.1e-13, False), (0.9e-13, True)])
def test_a_tolerance_next_to_rounding_asks_for_exact_moments(tol, exact):
    assert (cheapest_share(100_000, 1000, 1, tol) is None) == exact


def cheapest(n, p, m, tol):
    """The least of the costs that the table of `gdregress.method.sketches` foretells, in passes over X."""
    epoch = 1 + (m - 1) / 10  # a point more takes a tenth of a pass
    costs = {None: 1.8 + p / 80, 1.0: 2.2 + p / 170 + epoch}
    for share in (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4):
        if share * n >= 4 * p:
            rate = math.sqrt(p / (share * n))
            epochs = math.ceil(math.log(2 / (tol * math.sqrt(share))) / math.log(1 / rate))
            costs[share] = 1.2 + (3 + p / 170) * share + epoch * epochs
    return min(costs, key=costs.get)


def test_the_cheapest_metric_is_that_of_the_table_of_costs():
    sizes = (10_000, 100_000, 1_000_000, 100_000_000), (300, 700, 1000, 2000, 4000), (1, 10), (1e-2, 1e-6)
    found = {}
    for n, p, m, tol in product(*sizes):
        if n >= 4 * p:
            found[n, p, m, tol] = cheapest_share(n, p, m, tol)
            assert found[n, p, m, tol] == cheapest(n, p, m, tol)
    assert set(found.values()) == {None, 1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0}


@pytest.mark.parametrize(
    ("shape", "threads"),
    [
        ((291, 30), False),
        ((292, 30), True),
        ((9039, 1), False),
        ((9040, 1), True),
        ((63, 64), True),
        ((63, 63), False),
    ],
)
def test_from_what_size_on_openblas_starts_threads(shape, threads):
    """For a matrix and a vector from 2**18 / 29 multiplications on, for the products of columns from 2**18."""
    assert needs_limit(*shape) == threads


@pytest.mark.parametrize(
    ("shape", "note"),
    [((2 * 10**7 + 1, 5), "too many"), ((2 * 10**7, 5), ""), ((10_000, 1000), ""), ((10_001, 1000), "long")],
)
def test_from_what_size_on_the_closed_form_is_left_out_of_a_comparison(shape, note):
    """From 10**8 entries of a sparse X on, and from 10**10 multiplications."""
    said = _without_closed_form(sparse.csr_array(shape))
    assert [note in sentence for sentence in said] == [True] * bool(note)
    assert bool(said) == bool(note)


@pytest.mark.parametrize(("weight", "fits"), [(0.9e290, True), (1.1e290, False)])
def test_the_largest_weight_of_a_row_of_a_chunk(weight, fits):
    X, y = np.arange(5.0)[:, np.newaxis], np.arange(5.0)
    model = GradientDescentRegressor()
    if fits:
        assert model.partial_fit(X, y, np.full(5, weight)).coef_ == pytest.approx([1.0])
    else:
        with pytest.raises(ValueError, match="their sum may overflow"):
            model.partial_fit(X, y, np.full(5, weight))


class TestKinks:
    """How far a loss with kinks is smoothed, where that is seen."""

    source = np.random.default_rng(0)
    X = source.normal(size=(80, 3))
    y = X @ [1.0, -2.0, 0.5] + source.standard_t(3, size=80)

    def test_without_tol_its_path_is_that_of_the_textbook_s_subgradients(self):
        w = np.zeros(3)
        for _ in range(500):
            w = w + 0.01 * self.X.T @ np.sign(self.y - self.X @ w) / 80
        model = GradientDescentRegressor(0.01, 500, loss="absolute_error", tol=None, fit_intercept=False)
        np.testing.assert_allclose(model.fit(self.X, self.y).coef_, w, atol=1e-12)

    @pytest.mark.exhaustive
    def test_with_tol_it_is_blunt_by_less_than_what_is_asked_for(self):
        model = GradientDescentRegressor(0.001, 20_000, loss="absolute_error", tol=1e-2).fit(self.X, self.y)
        assert model.converged_
        best = GradientDescentRegressor(loss="absolute_error", tol=1e-9).fit(self.X, self.y)
        reached, least = (np.abs(self.y - each.predict(self.X)).mean() for each in (model, best))
        assert reached <= least * (1 + 1e-2)

    def test_what_is_small_beside_the_best_constant_s_loss_counts_as_a_thousandth_of_it(self):
        """The gap of targets that all but lie on a plane is no share of their own loss, a ten-millionth of it."""
        y = self.X @ [1.0, -2.0, 0.5] + 1e-7 * (self.y - self.X @ [1.0, -2.0, 0.5])
        model = GradientDescentRegressor(loss="absolute_error").fit(self.X, y)
        loss, optimality = model.history_["loss"], model.history_["optimality"]
        excess = (loss - loss.min()) / (1e-3 * np.abs(y - np.median(y)).mean())
        small = (excess > 1e-9) & (excess < 1e-6)
        assert small.any()
        assert (optimality >= excess)[small].all()
        assert (optimality <= 100 * excess)[small].all()


@pytest.mark.parametrize(("alpha", "wide"), [(1e-300, True), (0.0, False)])
def test_any_l2_is_told_from_none(alpha, wide):
    few = RowBlocks(np.random.default_rng(0).normal(size=(7, 12)), np.ones((7, 1)))
    moments = few.moments()
    moments = replace(moments, x=moments.x._replace(variance=np.ones(12)))
    coordinates = Coordinates.unit_curvature(moments, alpha=alpha, fit_intercept=True)
    inverse = InverseHessian.from_rows(few, moments, coordinates, alpha)
    assert isinstance(inverse, WideInverseHessian) == wide


@pytest.mark.parametrize(("shown", "is_used"), [(0.15, False), (0.35, True)])
def test_a_sample_shows_a_quarter_of_the_variance_of_each_column(shown, is_used):
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(6000, 3))
    y = np.zeros((6000, 1))
    drawn = RowBlocks(signs, y).subsample(1 / 16, 8, np.random.RandomState(0)).index
    X, share = signs.copy(), len(drawn) / 6000
    X[:, 1] *= np.sqrt((1 - share * shown) / (1 - share))
    X[drawn, 1] = np.sqrt(shown) * signs[drawn, 1]
    all_rows = RowBlocks(X, y)
    moments = all_rows.moments(products=False)
    assert moments.x.variance[1] == pytest.approx(1.0, rel=0.01)
    coordinates = Coordinates.unit_curvature(moments, alpha=0.0, fit_intercept=True)
    ladder = list(Sketches(all_rows, moments, coordinates, 0.0, 1 / 16, 1e-6, 0))
    assert len(ladder) == 3 + is_used
