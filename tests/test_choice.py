"""The ladder: scalar, coordinates, matrix; and what chooses among them."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from scipy import sparse
from small_blocks import SmallBlocks

from gdregress import GradientDescentRegressor, closed_form
from gdregress.method import choice as choosing
from gdregress.method import sketches
from gdregress.method.choice import choose as choose_names
from gdregress.method.optimizers import Step
from gdregress.method.preconditioners import InverseHessian, WideInverseHessian, _directions
from gdregress.method.rates import largest_curvature, largest_eigenvalue
from gdregress.method.refinement import Refinement
from gdregress.method.spec import PARAMETERS_TO_MINIMUM, Spec
from gdregress.method.states import Block
from gdregress.problem.coordinates import Coordinates
from gdregress.problem.losses import squared_error
from gdregress.problem.objectives import DataObjective, MomentObjective
from gdregress.problem.problem import Problem
from gdregress.problem.spectrum import Spectrum
from gdregress.rows.gathering import gather
from gdregress.rows.memory import RowBlocks


def tall(n=200, p=5, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) @ rng.normal(size=(p, p)) * 10.0 ** rng.integers(-4, 5, p) + 3
    return X, (X / X.std(axis=0)).sum(axis=1, keepdims=True) + rng.normal(size=(n, 1))


def nearly_collinear():
    X, y = tall()
    tilt = np.random.default_rng(1).normal(size=(200, 1))
    return np.hstack([X, X[:, :1] * (1 + 1e-6 * tilt)]), y


def choose(X, y, learning_rate="auto", optimizer="auto", alpha=0.0, fit_intercept=True, weight=None):
    rows = RowBlocks(X, y, weight)
    model = GradientDescentRegressor(
        learning_rate, optimizer=optimizer, penalty="l2" if alpha else None, alpha=alpha, fit_intercept=fit_intercept
    )
    spec = Spec.of(model)
    chosen = choose_names(spec, rows)
    problem = Problem.of(spec.terms, chosen.moments(rows), rows)
    return chosen.method(spec, problem, np.random.RandomState(0))


def descent_of(method):
    """The descent that a solver is, or is made from."""
    return getattr(method.solver, "descent", method.solver)


def objective_of(method):
    return descent_of(method).objective(method.problem)


def precision_of(method):
    """Of the rows that refinement reads."""
    assert is_refined(method)
    return method.problem.in_extended_precision().from_rows().dtype


def is_refined(method):
    return isinstance(method.solver, Refinement)


def optimality(method, point):
    """The optimality of a point."""
    [evaluation] = objective_of(method).evaluate([point])
    return Block.of(method.problem, [Step(point, evaluation)], descent_of(method).measure).optimality[0]


def from_moments(moments, frame, alpha=0.0):
    return MomentObjective(moments, frame, frame.penalty(0.0, 2.0 * alpha))


@pytest.mark.parametrize("alpha", [0.0, 0.5])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
class TestCurvature:
    def make(self, alpha, fit_intercept, weighted):
        X, y = tall()
        rows = SmallBlocks(X, y, np.random.default_rng(1).uniform(0, 2, len(X)) if weighted else None, block_rows=23)
        moments = gather(rows) if fit_intercept else gather(rows).about_origin()
        frame = Coordinates.unit_curvature(moments, alpha=alpha, fit_intercept=fit_intercept)
        return rows, moments, frame, from_moments(moments, frame, alpha).hessian()

    def test_is_the_inverse_of_the_hessian(self, alpha, fit_intercept, weighted):
        rows, moments, frame, hessian = self.make(alpha, fit_intercept, weighted)
        for curvature in (
            InverseHessian.from_quadratic(from_moments(moments, frame, alpha), frame),
            InverseHessian.from_rows(rows, moments, frame, alpha),
        ):
            np.testing.assert_allclose(curvature(hessian), np.eye(len(hessian)), atol=1e-13 * curvature.inflation)

    def test_enlarged_it_takes_so_many_times_the_step_but_for_the_intercept(self, alpha, fit_intercept, weighted):
        _, moments, frame, _ = self.make(alpha, fit_intercept, weighted)
        inverse = InverseHessian.from_quadratic(from_moments(moments, frame, alpha), frame)
        directions, times = np.eye(5 + fit_intercept), np.array([[3.0]] * 5 + [[1.0]] * fit_intercept)
        expected = times * inverse(directions)
        np.testing.assert_allclose(inverse.enlarged(3.0)(directions), expected, atol=1e-12 * expected.max())

    def test_inflation_is_the_sum_of_variance_inflation_factors(self, alpha, fit_intercept, weighted):
        rows, moments, frame, hessian = self.make(alpha, fit_intercept, weighted)
        expected = np.trace(np.linalg.inv(hessian[:5, :5] / 2))
        assert InverseHessian.from_quadratic(from_moments(moments, frame, alpha), frame).inflation == pytest.approx(
            expected, rel=1e-8
        )
        assert InverseHessian.from_rows(rows, moments, frame, alpha).inflation == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("alpha", [1e-2, 10.0])
class TestWideCurvature:
    def make(self, alpha, container, weighted, fit_intercept):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(7, 12)) * 10.0 ** rng.integers(-3, 4, 12)
        X[:, 4] = 2.5  # does not vary
        rows = RowBlocks(container(X), rng.normal(size=(7, 1)), rng.uniform(0.1, 2, 7) if weighted else None)
        moments = gather(rows) if fit_intercept else gather(rows).about_origin()
        frame = Coordinates.unit_curvature(moments, alpha=alpha, fit_intercept=fit_intercept)
        metric = InverseHessian.from_rows(rows, moments, frame, alpha)
        assert isinstance(metric, WideInverseHessian)
        hessian = from_moments(moments, frame, alpha).hessian()
        moves = np.append(frame.inverse_scale, np.ones(int(fit_intercept))) > 0
        return metric, hessian[np.ix_(moves, moves)], moves

    def test_is_the_inverse_of_the_hessian(self, alpha, container, weighted, fit_intercept):
        metric, hessian, moves = self.make(alpha, container, weighted, fit_intercept)
        found = metric(np.eye(len(moves)))
        rounding = max(1e-9, 4 * np.finfo(np.float64).eps * np.linalg.cond(hessian))
        np.testing.assert_allclose(found[np.ix_(moves, moves)] @ hessian, np.eye(len(hessian)), atol=rounding)
        assert not found[~moves].any()

    def test_its_root_and_its_trace(self, alpha, container, weighted, fit_intercept):
        metric, hessian, moves = self.make(alpha, container, weighted, fit_intercept)
        root = metric.root(np.eye(len(moves)))
        np.testing.assert_allclose(root.T @ root, metric(np.eye(len(moves))), rtol=1e-9, atol=1e-9)
        k = int(moves[:12].sum())
        features = hessian[:k, :k]
        assert metric.inflation == pytest.approx(np.trace(np.linalg.inv(features / 2)), rel=1e-9)


def least_with_l2(X, y, alpha):
    """The minimum of mean squared error + alpha |w|^2, alpha y'(K + alpha)^-1 y / n, in rational numbers."""
    rows = [[Fraction(value) for value in row] for row in X.tolist()]
    targets = [Fraction(value) for value in y.tolist()]
    n = len(targets)
    rows = [
        [value - sum(column) / n for value, column in zip(row, zip(*rows, strict=True), strict=True)] for row in rows
    ]
    centred = [value - sum(targets) / n for value in targets]
    matrix = [
        [
            sum(a * b for a, b in zip(one, other, strict=True)) / n + (Fraction(alpha) if i == k else 0)
            for k, other in enumerate(rows)
        ]
        + [centred[i]]
        for i, one in enumerate(rows)
    ]
    for i in range(n):  # Gauss and Jordan; the matrix is positive definite
        matrix[i] = [value / matrix[i][i] for value in matrix[i]]
        for k in range(n):
            if k != i:
                matrix[k] = [a - matrix[k][i] * b for a, b in zip(matrix[k], matrix[i], strict=True)]
    return float(Fraction(alpha) * sum(a * row[n] for a, row in zip(centred, matrix, strict=True)) / n)


@pytest.mark.parametrize("init", ["zeros", "random"])
@pytest.mark.parametrize(("shape", "scales", "alpha"), [((7, 35), 4, 1e-4), ((8, 8), 6, 1e-4), ((6, 20), 3, 1e-8)])
def test_l2_of_few_rows_in_mixed_units_reaches_the_minimum(shape, scales, alpha, init):
    """A column of large scale is hardly penalised, and one of small scale is all but left out."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal(shape) * 10 ** rng.uniform(-scales, scales, shape[1])
    y = rng.standard_normal(shape[0]) + 5
    model = GradientDescentRegressor(penalty="l2", alpha=alpha, init=init, random_state=0).fit(X, y)
    residual = y - X.astype(np.longdouble) @ model.coef_.astype(np.longdouble) - np.longdouble(model.intercept_)
    assert model.converged_
    assert np.mean(residual**2) + alpha * np.sum(model.coef_**2) == pytest.approx(least_with_l2(X, y, alpha), rel=1e-9)


@pytest.mark.parametrize("alpha", [1e-30, 1e-12, 1e-3])
def test_l2_of_any_strength_on_few_rows(alpha):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 80)), rng.normal(size=30)
    model = GradientDescentRegressor(penalty="l2", alpha=alpha).fit(X, y)
    assert model.converged_, model.stop_reason_
    centered = X - X.mean(axis=0)
    dual = np.linalg.lstsq(centered @ centered.T + 30 * alpha * np.eye(30), y - y.mean(), rcond=1e-13)[0]
    if alpha > 1e-10:
        np.testing.assert_allclose(model.coef_, centered.T @ dual, rtol=1e-6, atol=1e-9)
    assert np.abs(model.predict(X) - y).max() < 1e2 * alpha + 1e-9


@pytest.mark.parametrize("gap", [False, True])
@pytest.mark.parametrize("condition", [1e1, 1e3, 1e5, 1e9])
def test_directions_of_a_wide_matrix(condition, gap):
    rng = np.random.default_rng(0)
    left, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    right, _ = np.linalg.qr(rng.normal(size=(40, 6)))
    singular = np.append(np.logspace(0, -np.log10(condition), 5), 0.0)
    if gap:
        singular[1:4] = 0.5
    found, directions = _directions((left * singular) @ right.T)
    kept = found > 1e-14
    np.testing.assert_allclose(np.sort(found[kept])[::-1], singular[:5], rtol=1e-9 * max(1.0, condition / 1e5))
    directions = directions[:, kept]
    np.testing.assert_allclose(directions.T @ directions, np.eye(5), atol=1e-9)


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("block_rows", [1, 7, 500])
def test_the_triangle_does_not_depend_on_the_blocks(n_threads, block_rows):
    X, y = tall()
    rows = SmallBlocks(X, y, block_rows=block_rows, n_threads=n_threads)
    moments = gather(rows)
    frame = Coordinates.unit_curvature(moments, alpha=0.0, fit_intercept=True)
    basis = InverseHessian.from_rows(rows, moments, frame, 0.0).basis
    Z = (X - frame.center) * frame.inverse_scale
    np.testing.assert_allclose(basis.T @ (Z.T @ Z / len(X)) @ basis, np.eye(5), atol=1e-9)


class TestCollinear:
    @pytest.mark.parametrize(
        "add",
        [
            lambda X: X[:, :1],
            lambda X: X[:, :1] + X[:, 1:2],
            lambda X: 0.1 * X[:, :1] - 0.7 * X[:, 2:3] + 1e4,
            lambda X: 3 * (X[:, :1] + 1e3) + 7,
            lambda X: X @ np.random.default_rng(0).normal(size=(5, 3)),
        ],
    )
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_rank_is_seen_through_rounding(self, add, dtype):
        X, y = tall()
        X = X / X.std(axis=0)
        rows = RowBlocks(np.hstack([X, add(X)]).astype(dtype), y)
        moments = gather(rows)
        frame = Coordinates.unit_curvature(moments, alpha=0.0, fit_intercept=True)
        assert InverseHessian.from_rows(rows, moments, frame, 0.0).basis.shape[1] == 5

    def test_rank_is_seen_through_the_rounding_of_the_factorisation(self):
        """These numbers have none of their own."""
        X = np.random.default_rng(0).integers(-1, 2, size=(2000, 20)).astype(float)
        rows = RowBlocks(np.column_stack([X, X[:, :5] - X[:, 1:6]]), np.zeros((2000, 1)))
        moments = rows.moments()
        frame = Coordinates.unit_curvature(moments, alpha=0.0, fit_intercept=True)
        assert InverseHessian.from_rows(rows, moments, frame, 0.0).basis.shape == (25, 20)

    def test_no_rounding_of_the_products_makes_a_direction(self):
        """Of columns a, a, b, b the products are rounded so that a - a' + b - b' seems to vary as much as may be."""
        corners = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
        moments = gather(RowBlocks(np.repeat(corners, 2, axis=1), np.ones((4, 1))))
        coordinates, alternating = Coordinates.unit_curvature(moments, alpha=0.0, fit_intercept=True), [1, -1, 1, -1]
        for rounding in (1e-12, 1e-6):
            rounded = replace(moments, cross=moments.cross + rounding * np.outer(alternating, alternating))
            quadratic = from_moments(rounded, coordinates)
            known = Spectrum.of(quadratic, rounded, coordinates, np.dtype(np.float64))
            assert InverseHessian.from_spectrum(replace(known, rounding=rounding)).basis.shape[1] == 2
            assert InverseHessian.from_spectrum(replace(known, rounding=0.1 * rounding)).basis.shape[1] == 3

    @pytest.mark.parametrize("tilt", [1e-3, 1e-5, 1e-7])
    def test_near_collinear_is_not_collinear(self, tilt):
        X, y = tall()
        X = X / X.std(axis=0)
        rows = RowBlocks(np.hstack([X, X[:, :1] + tilt * np.random.default_rng(1).normal(size=(200, 1))]), y)
        moments = gather(rows)
        frame = Coordinates.unit_curvature(moments, alpha=0.0, fit_intercept=True)
        assert InverseHessian.from_rows(rows, moments, frame, 0.0).basis.shape[1] == 6

    def test_collinear_columns_that_are_otherwise_well_conditioned_stay_on_moments(self):
        X, y = tall()
        method = choose(np.hstack([X, X[:, :2]]), y)
        assert isinstance(objective_of(method), MomentObjective)
        assert descent_of(method).update.preconditioner.basis.shape == (7, 5)
        assert not is_refined(method)

    def test_nearly_collinear_columns_are_refined_on_the_data(self):
        method = choose(*nearly_collinear())
        assert isinstance(objective_of(method), DataObjective)
        assert is_refined(method)


class TestLargestCurvature:
    @pytest.mark.parametrize("fit_intercept", [True, False])
    def test_from_data_as_from_moments(self, fit_intercept):
        X, y = tall()
        rows = RowBlocks(X, y)
        moments = gather(rows) if fit_intercept else gather(rows).about_origin()
        frame = Coordinates.raw(moments, fit_intercept=fit_intercept)
        q = 5 + fit_intercept
        design = np.hstack([X, np.ones((200, 1))])[:, :q]
        expected = np.linalg.eigvalsh(2 * design.T @ design / 200)[-1]
        assert largest_curvature(from_moments(moments, frame), q) == pytest.approx(expected, rel=1e-12)
        assert largest_curvature(
            DataObjective(rows.with_targets(frame.targets), frame, squared_error(), frame.penalty(0.0, 0.0)), q
        ) == pytest.approx(expected, rel=1e-6)

    @pytest.mark.parametrize(
        "X", [[[2.0]], [[1.0, -1.0]], np.zeros((2, 3)), sparse.csr_array((10, 2500))], ids=np.shape
    )
    def test_of_one_column_and_of_none_that_moves(self, X):
        n = np.shape(X)[0]
        for params in ({"penalty": "l1", "alpha": 1e-9}, {"loss": "huber"}, {"positive": True}):
            model = GradientDescentRegressor(**params, learning_rate="diagonal", fit_intercept=False)
            predicted = model.fit(X, np.full(n, 2.0)).predict(X)
            np.testing.assert_allclose(predicted, 2.0 if n == 1 else 0.0, rtol=1e-5)

    def test_with_l2_it_is_that_of_the_sum(self):
        X, y = tall()
        X = X / X.std(axis=0)
        ones = np.column_stack([X, np.ones(len(X))])
        hessian = 2 * ones.T @ ones / len(X) + 2 * np.diag([7.0] * 5 + [0.0])
        model = GradientDescentRegressor("lipschitz", 1, tol=None, penalty="l2", alpha=7.0).fit(X, y)
        expected = 1 / np.linalg.eigvalsh(hessian)[-1]
        np.testing.assert_allclose(model.history_["learning_rate"][1], expected, rtol=1e-9)

    def test_infinite_where_it_overflows(self):
        X, y = tall()
        moments = gather(RowBlocks(X * 1e200, y))
        with np.errstate(over="ignore", invalid="ignore"):
            quadratic = from_moments(moments, Coordinates.raw(moments, fit_intercept=True))
            assert largest_curvature(quadratic, 6) == np.inf

    def test_many_eigenvalues_close_to_the_largest_take_more_products_than_few(self):
        values, taken = np.linspace(1.0, 1.01, 1000), []

        def multiply(vector):
            taken.append(1)
            return values * vector

        assert largest_eigenvalue(multiply, 1000, 60) is None
        assert len(taken) <= 70
        assert largest_eigenvalue(multiply, 1000) == pytest.approx(1.01, rel=1e-6)

    def test_one_that_is_not_found_is_said(self, monkeypatch):
        X, y = tall()
        rows, spec = RowBlocks(X, y), Spec.of(GradientDescentRegressor(loss="huber"))
        problem = Problem.of(spec.terms, gather(rows), rows)
        monkeypatch.setattr("gdregress.method.rates.largest_eigenvalue", lambda *given: None)
        with pytest.raises(ValueError, match="was not found: use learning_rate='auto'"):
            largest_curvature(problem.from_rows(), problem.n_coordinates)


class TestChoice:
    @pytest.mark.parametrize(
        ("learning_rate", "optimizer", "rung", "rule"),
        [
            ("auto", "auto", "curvature", "gd"),
            ("curvature", "auto", "curvature", "gd"),
            ("curvature", "nesterov", "curvature", "nesterov"),
            ("diagonal", "auto", "diagonal", "conjugate"),
            ("diagonal", "gd", "diagonal", "gd"),
            (0.5, "auto", 0.5, "gd"),
            (0.5, "momentum", 0.5, "momentum"),
        ],
    )
    def test_what_auto_comes_to(self, learning_rate, optimizer, rung, rule):
        method = choose(*tall(), learning_rate, optimizer)
        assert (method.learning_rate, method.choice.optimizer) == (rung, rule)

    @pytest.mark.parametrize(("p", "rule"), [(4, "newton"), (6, "nesterov")])
    @pytest.mark.parametrize("n", [3, 50])
    def test_l1_takes_newton_s_steps_up_to_a_limit_where_the_rows_are_gone(self, monkeypatch, n, p, rule):
        monkeypatch.setattr(choosing, "NEWTON_LIMIT", 5)
        monkeypatch.setattr(choosing, "SET_LIMIT", 5)
        X, y = tall(n, p)
        given = {"penalty": "l1", "alpha": 0.1}
        assert GradientDescentRegressor(**given).fit(X, y).optimizer_ == "newton"
        assert GradientDescentRegressor(**given).partial_fit(X, y).optimizer_ == rule

    @pytest.mark.parametrize("params", [{"penalty": "l1", "alpha": 0.2}, {"positive": True}])
    def test_a_cost_refuses_no_matrix_that_was_asked_for(self, params):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(12, 520))
        y = 3.0 * X[:, 0] + rng.normal(size=12)
        asked = GradientDescentRegressor("curvature", tol=1e-3, **params).fit(X, y)
        assert (asked.learning_rate_, asked.optimizer_) == ("curvature", "newton")
        assert asked.converged_
        auto = GradientDescentRegressor(tol=1e-3, **params).fit(X, y)
        assert (auto.learning_rate_, auto.optimizer_) == ("curvature", "newton")

    def test_lipschitz_is_half_the_ceiling(self):
        method = choose(*tall(), "lipschitz")
        assert method.learning_rate == method.raw.rate == pytest.approx(1 / method.raw.largest_curvature)
        assert method.raw.ceiling == 2 / method.raw.largest_curvature

    def test_well_conditioned_moments_stand_for_the_data(self):
        assert isinstance(objective_of(choose(*tall())), MomentObjective)

    def test_beyond_the_limit_the_diagonal_is_what_auto_affords(self, monkeypatch):
        monkeypatch.setattr(choosing, "MOMENTS_LIMIT", 4)
        assert choose(*tall()).choice.rung == "curvature"  # there are rows enough for a matrix
        monkeypatch.setattr(sketches, "WIDEST", 4)
        method = choose(*tall())
        assert (method.choice.rung, method.choice.optimizer) == ("diagonal", "conjugate")
        assert method.problem.moments.cross is None
        assert isinstance(objective_of(method), DataObjective)
        assert choose(*tall(), "curvature").choice.rung == "curvature"

    def test_short_and_wide_is_factored_itself(self, monkeypatch):
        monkeypatch.setattr(choosing, "MOMENTS_LIMIT", 50)
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(20, 60)), rng.normal(size=(20, 1))
        assert choose(X, y).choice.rung == "curvature"
        assert choose(X, y).problem.moments.cross is None
        assert choose(X, y, alpha=1.0).choice.rung == "curvature"
        assert choose(sparse.csr_array(X), y).choice.rung == "diagonal"

    def test_extended_precision_is_for_small_dense_ill_conditioned_data(self):
        X, y = nearly_collinear()
        assert precision_of(choose(X, y)) == np.longdouble
        assert precision_of(choose(sparse.csr_array(X), y)) == np.float64
        assert precision_of(choose(np.tile(X, (200, 1)), np.tile(y, (200, 1)))) == np.float64

    def test_the_optimality_is_that_of_the_worst_output(self):
        X, y = tall()
        Y = np.hstack([y, 1e3 * np.random.default_rng(3).normal(size=y.shape)])
        point = np.random.default_rng(2).normal(size=(6, 2))
        method = choose(X, Y)
        worst = max(optimality(choose(X, Y[:, [k]]), point[:, [k]]) for k in range(2))
        assert optimality(method, point) == pytest.approx(worst)

    def test_centring_costs_no_digits(self):
        """Columns of CSR that are far from zero are shifted as dense ones are: their moments suffice as well."""
        rng = np.random.default_rng(0)
        X = rng.normal(size=(5000, 3)) @ [[1, 1, 0], [0.1, 0, 0], [0, 0, 1]] + 80
        y = X @ np.ones((3, 1)) + rng.normal(size=(5000, 1))
        assert isinstance(objective_of(choose(X, y)), MomentObjective)
        assert isinstance(objective_of(choose(sparse.csr_array(X), y)), MomentObjective)

    def test_extended_precision_counts_the_outputs(self):
        X, y = nearly_collinear()
        assert precision_of(choose(X, np.tile(y, 100))) == np.longdouble
        assert precision_of(choose(X, np.tile(y, 200))) == np.float64

    def test_a_matrix_that_would_not_fit_is_refused(self):
        X = sparse.csr_array((40_000, 40_000))
        with pytest.raises(ValueError, match=r"40000 x 40000 numbers: use 'diagonal' or 'auto'"):
            choose(X, np.ones((40_000, 1)), "curvature")
        for rate in ("auto", "curvature"):
            with pytest.raises(
                ValueError, match=r"^optimizer='newton' would hold .* use learning_rate='auto' with opt"
            ):
                choose(X, np.ones((40_000, 1)), rate, "newton")
        spec = Spec.of(GradientDescentRegressor())
        assert choose_names(spec, RowBlocks(X, np.ones((40_000, 1)))).rung == "diagonal"

    @pytest.mark.parametrize("alpha", [1e-8, 1e-4])
    def test_the_optimality_by_the_diagonal_is_the_distance_too(self, monkeypatch, alpha):
        monkeypatch.setattr(choosing, "MOMENTS_LIMIT", 4)
        monkeypatch.setattr(sketches, "WIDEST", 4)
        X, y = nearly_collinear()
        X = X / X.std(axis=0)
        method = choose(X, y, "diagonal", alpha=alpha)
        coordinates = method.problem.coordinates
        start = coordinates.from_raw(np.zeros((6, 1)), np.zeros(1))
        last = next(block for block in method.solver.iterates(method.problem, start) if block.optimality[-1] <= 1e-6)
        coef, intercept = coordinates.to_raw(last.points.at(-1))
        best, level = closed_form(X, y, alpha=alpha)
        distance = np.sqrt(np.mean((X @ coef + intercept - X @ best.T - level) ** 2)) / y.std()
        assert 2**0.5 * distance <= 1e-6

    @pytest.mark.parametrize("learning_rate", ["lipschitz", "diagonal", "curvature"])
    @pytest.mark.parametrize("alpha", [0.0, 0.5])
    def test_the_optimality_is_the_distance_of_the_predictions(self, learning_rate, alpha):
        """optimality^2 / 2 is the mean square distance to the optimum, the penalty's part included, over var(y)."""
        X, y = tall()
        method = choose(X, y, learning_rate, alpha=alpha)
        point = np.random.default_rng(2).normal(size=(6, 1))
        Z = np.hstack([X, np.ones((200, 1))])
        ridge = alpha * np.diag([1.0] * 5 + [0.0])
        best = np.linalg.solve(Z.T @ Z / 200 + ridge, Z.T @ y / 200)
        off = np.vstack([part.reshape(-1, 1).astype(float) for part in method.problem.coordinates.to_raw(point)]) - best
        squared = (np.mean((Z @ off) ** 2) + (off.T @ ridge @ off).item()) / np.var(y)
        assert optimality(method, point) ** 2 / 2 == pytest.approx(squared, rel=1e-5)


@pytest.mark.parametrize("loss", ["huber", "absolute_error"])
@pytest.mark.parametrize(("penalty", "factored"), [("l2", 0), (None, 1)])
def test_nothing_is_factored_where_few_rows_span_the_space_of_the_coefficients(monkeypatch, loss, penalty, factored):
    seen, from_rows = [], InverseHessian.from_rows
    monkeypatch.setattr(InverseHessian, "from_rows", lambda rows, *of: seen.append(rows) or from_rows(rows, *of))
    rng = np.random.default_rng(0)
    rows = RowBlocks(rng.normal(size=(20, 50)), rng.normal(size=(20, 1)))
    spec = Spec.of(GradientDescentRegressor(loss=loss, penalty=penalty))
    choice = choose_names(spec, rows)
    assert not choice.products
    choice.method(spec, Problem.of(spec.terms, choice.moments(rows), rows), spec.rng())
    assert len(seen) == factored


@pytest.mark.parametrize(("limit", "factored"), [(30, 1), (29, 0)])
def test_a_descent_with_l1_measures_by_a_matrix_up_to_so_many_columns(monkeypatch, limit, factored):
    monkeypatch.setattr(choosing, "MOMENTS_LIMIT", limit)
    seen, from_rows = [], InverseHessian.from_rows
    monkeypatch.setattr(InverseHessian, "from_rows", lambda rows, *of: seen.append(rows) or from_rows(rows, *of))
    rng = np.random.default_rng(0)
    X, w = rng.normal(size=(20, 30)), rng.normal(size=30)
    model = GradientDescentRegressor(penalty="l1", alpha=0.1, optimizer="nesterov").fit(X, X @ w)
    assert len(seen) == factored
    best = GradientDescentRegressor(penalty="l1", alpha=0.1).fit(X, X @ w)
    assert model.converged_
    assert model.coef_ == pytest.approx(best.coef_, abs=1e-4)


class TestColumnsThatDoNotVary:
    """Beside columns that are nearly collinear, or as many as there are rows, they count for nothing."""

    @pytest.mark.parametrize("optimizer", ["auto", "gd", "nesterov"])
    @pytest.mark.parametrize("value", [0.0, 3.0])
    def test_as_many_rows_as_columns(self, value, optimizer):
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(8, 8)), rng.normal(size=8)
        X[:, 1] = value
        model = GradientDescentRegressor(optimizer=optimizer).fit(X, y)
        assert model.converged_
        np.testing.assert_allclose(model.predict(X), y, atol=1e-10)

    @pytest.mark.parametrize("distance", [1e-8, 1e-9])
    def test_a_near_pair(self, distance):
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(60, 4)), rng.normal(size=60)
        X[:, 1] = 3.0
        X[:, 3] = X[:, 0] + distance * rng.normal(size=60)
        model = GradientDescentRegressor().fit(X, y)
        without = GradientDescentRegressor().fit(X[:, [0, 2, 3]], y)
        assert model.converged_
        np.testing.assert_allclose(model.predict(X), without.predict(X[:, [0, 2, 3]]), atol=1e-6)


def test_a_fit_to_the_minimum_is_the_same_for_displays_and_solvers():
    """Whatever the user's own fit is; but what others are measured by is a thousand times sharper."""
    own = GradientDescentRegressor(
        *(0.1, 7),
        loss="huber",
        penalty="l1",
        optimizer="adam",
        momentum=0.5,
        schedule="invscaling",
        power_t=0.5,
        batch_size=3,
        average=2,
        init="random",
        warm_start=True,
        target_loss=1.0,
        early_stopping=True,
        validation_fraction=0.3,
        n_iter_no_change=3,
    )
    sharp, shown = Spec.of(own).at_the_minimum(), Spec.of(own.set_params(**PARAMETERS_TO_MINIMUM))
    assert sharp.goes_to_minimum
    assert shown.goes_to_minimum
    assert shown.terms == sharp.terms
    assert replace(shown.steps, schedule=sharp.steps.schedule) == sharp.steps
    assert shown.steps.schedule.is_constant
    assert sharp.steps.schedule.is_constant
    assert replace(shown.limits, tol=sharp.limits.tol) == sharp.limits
    assert shown.limits.tol == GradientDescentRegressor().tol > 1e3 * sharp.limits.tol
