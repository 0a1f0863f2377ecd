"""Row blocks and moments: the same sums whatever the blocks, threads, order, dtype or format."""

from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_moments import assert_moments, naive
from numpy.testing import assert_allclose
from scipy import sparse
from small_blocks import SmallBlocks

from gdregress.rows.gathering import gather
from gdregress.rows.memory import RowBlocks
from gdregress.rows.unions import union, united


def make(n=300, p=5, m=2, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * 10.0 ** rng.integers(-3, 4, p) + 10.0 ** rng.integers(0, 3, p)
    return X, rng.normal(size=(n, m)) * [1, 100][:m] + 7


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    n=st.integers(2, 120),
    p=st.integers(1, 6),
    block_rows=st.integers(1, 130),
    n_threads=st.integers(1, 4),
    order=st.sampled_from("CF"),
    weighted=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_any_block_size_and_thread_count(n, p, block_rows, n_threads, order, weighted, seed):
    X, y = make(n, p, seed=seed)
    weight = np.random.default_rng(seed).uniform(0.1, 2, n) if weighted else None
    rows = SmallBlocks(np.asarray(X, order=order), y, weight, block_rows=block_rows, n_threads=n_threads)
    assert_moments(gather(rows), naive(X, y, weight))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_variances_without_the_products_of_columns(order, weighted, dtype):
    X, y = make(300)
    X = np.asarray(X, dtype, order=order)
    weight = np.random.default_rng(2).uniform(0, 2, 300) if weighted else None
    rows = SmallBlocks(X, y, weight, block_rows=130)
    found, expected = gather(rows, cross=False), gather(rows)
    np.testing.assert_allclose(found.x.variance, expected.x.variance, rtol=1e-12)
    np.testing.assert_allclose(found.target_cross, expected.target_cross, rtol=1e-10)
    assert found.cross is None


@pytest.mark.parametrize("kind", ["plain", "sorted", "far", "constant", "huge", "float32", "sparse"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_moments_of_parts_are_those_of_each_part_alone(kind, weighted, n_threads):
    """In one pass for all, whatever their lengths, and though their means are far from the shift that they share."""
    X, y = make(400)
    if kind == "sorted":
        X, y = X[X[:, 2].argsort()], y + np.arange(400)[:, np.newaxis]
    if kind == "far":
        X[:150] += 1e6 * X.std(axis=0)
        y[:150] += 1e6
    if kind == "constant":
        X[:150, 1], X[150:, 1], X[150:160, 3] = 0.1, 7.0, 0.3
    if kind == "huge":
        X[150:, 0] *= 1e180
    X = sparse.csr_array(X) if kind == "sparse" else X.astype(np.float32 if kind == "float32" else np.float64)
    weight = np.random.default_rng(2).uniform(0.1, 2, 400) if weighted else None
    rows = SmallBlocks(X, y, weight, block_rows=37, n_threads=n_threads)
    parts = [slice(150), slice(150, 160), np.arange(160, 400, 2), np.arange(399, 160, -2)]
    for part, found in zip(parts, rows.moments_of_parts(parts), strict=True):
        alone = gather(rows.part(part))
        same = found.in_units(alone.x.unit, alone.y.unit)
        of_x, of_y = np.sqrt(alone.x.variance), np.sqrt(alone.y.variance)
        assert (np.abs(same.cross - alone.cross) <= 1e-10 * np.outer(of_x, of_x)).all()
        assert (np.abs(same.target_cross - alone.target_cross) <= 1e-10 * np.outer(of_x, of_y)).all()
        assert (np.abs(found.x.mean - alone.x.mean) <= 1e-15 * np.abs(alone.x.mean) + 1e-12 * alone.x.deviation).all()
        assert_allclose(found.x.deviation, alone.x.deviation, rtol=1e-10)
        assert_allclose(found.y.deviation, alone.y.deviation, rtol=1e-10)
        np.testing.assert_array_equal(found.x.variance == 0, alone.x.variance == 0)
        assert (found.weight, found.n_samples) == (pytest.approx(alone.weight), alone.n_samples)


def test_the_same_from_run_to_run():
    X, y = make(5000, 8)
    first, second = (gather(SmallBlocks(X, y, block_rows=64, n_threads=2)).cross for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.csr_array])
@pytest.mark.parametrize("weighted", [False, True])
def test_sparse(container, weighted):
    X, y = make()
    X = np.where(np.random.default_rng(1).random(X.shape) < 0.3, X, 0.0)
    weight = np.random.default_rng(2).uniform(0, 2, len(X)) if weighted else None
    found = gather(SmallBlocks(container(X), y, weight, block_rows=37, n_threads=2))
    assert_moments(found, naive(X, y, weight), rtol=1e-9)


@pytest.mark.parametrize("cross", [False, True])
def test_entries_of_csr_in_the_same_place_add_up(cross):
    X = sparse.csr_array(([1.0, 2.0, 4.0, -1.0], [0, 0, 1, 0], [0, 3, 4]), shape=(2, 2))
    y = np.array([[1.0], [2.0]])
    found, expected = (gather(RowBlocks(values, y), cross=cross) for values in (X, X.toarray()))
    np.testing.assert_allclose(found.x.variance, expected.x.variance, rtol=1e-12)
    np.testing.assert_allclose(found.target_cross, expected.target_cross, rtol=1e-12)
    np.testing.assert_array_equal(X.data, [1.0, 2.0, 4.0, -1.0])
    np.testing.assert_array_equal(X.indices, [0, 0, 1, 0])


def test_float32_accumulates_into_float64():
    X, y = make(20_000)
    X = X.astype(np.float32)
    assert_moments(gather(RowBlocks(X, y)), naive(X, y), rtol=1e-10)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("unit", [2.0**-660, 2.0**-83, 2.0**-68, 1.0, 2.0**83, 2.0**660])
def test_products_in_single_precision(unit, weighted, order):
    """Only the products of columns are rounded: means, and the products with y, are as exact as ever."""
    X, y = make(5000)
    X = np.asarray(X, order=order)
    X[:, 2] = 1e4 + X[:, 2] / X[:, 2].std()
    weight = np.random.default_rng(2).uniform(0, 3, 5000) if weighted else None
    found = gather(SmallBlocks(X * unit, y, weight, block_rows=300, n_threads=2), precision=np.float32)
    exact = gather(RowBlocks(X, y, weight))
    assert found.precision is np.float32
    deviation = np.sqrt(exact.x.variance)
    products = found.cross * np.multiply.outer(found.x.unit, found.x.unit / unit) / unit
    assert 0 < np.abs((products - exact.cross) / np.outer(deviation, deviation)).max() < 1e-5
    joint = found.target_cross * found.x.unit[:, np.newaxis] * found.y.unit / unit
    assert np.abs((joint - exact.target_cross) / deviation[:, np.newaxis]).max() < 1e-8
    np.testing.assert_allclose(found.x.mean / unit, exact.x.mean, rtol=1e-12)


def test_constant_columns_have_no_variance_in_single_precision_either():
    X, y = make(1000)
    X[:, 1], X[:, 3] = 1e5 / 3, 0.0
    variance = gather(RowBlocks(X, y), precision=np.float32).x.variance
    assert not variance[[1, 3]].any()
    assert variance[[0, 2, 4]].all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_shows_in_single_precision_too(bad):
    X, y = make(1000)
    X[700, 3] = bad
    with pytest.raises(ValueError, match="row 700, column 3"):
        gather(RowBlocks(X, y), precision=np.float32)


def test_integer_weights_are_repeated_rows_and_zero_is_a_removed_row():
    X, y = make()
    weight = np.random.default_rng(3).integers(0, 4, len(X))
    repeated = naive(np.repeat(X, weight, axis=0), np.repeat(y, weight, axis=0))
    assert_moments(gather(RowBlocks(X, y, weight.astype(float))), repeated)


def test_rows_of_weight_zero_do_not_make_a_constant_column_move():
    X, y = make()
    weight = np.ones(len(X))
    X[:, 2] = 0.1
    X[:7, 2], weight[:7] = 1e6, 0.0
    found = gather(RowBlocks(X, y, weight))
    assert found.x.variance[2] == 0
    assert not found.cross[2].any()


@pytest.mark.parametrize("offset", [1e3, 1e6, 1e9])
def test_a_mean_far_above_the_deviation_costs_no_digits(offset):
    X, y = make()
    X = X / X.std(axis=0) + offset
    assert_moments(gather(RowBlocks(X, y)), naive(X, y), rtol=1e-9)


def test_sorted_rows_whose_first_are_far_from_the_rest():
    X, y = make(10_000, 2)
    X[:, 0] = np.r_[np.full(20, 1e9), np.random.default_rng(0).normal(size=9980)]
    X[:, 1] = np.arange(10_000)
    assert_moments(gather(RowBlocks(X, y)), naive(X, y), rtol=1e-10)


@pytest.mark.parametrize("far", [20.0, 3000.0])
def test_columns_of_csr_far_from_zero_lose_no_more_digits_than_dense_ones(far):
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=500) + far, rng.integers(0, 2, size=(500, 3))])
    y = rng.normal(size=(500, 1))
    of_csr, dense = (gather(RowBlocks(each, y)) for each in (sparse.csr_array(X), X))
    assert of_csr.x.cancellation.max() < 10
    assert_allclose(of_csr.cross, dense.cross, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("scale", [1e-309, 1e-300, 1e-170, 1e170, 1e300])
def test_units_keep_squares_in_range(scale, container):
    X, y = make()
    X = np.where(np.random.default_rng(1).random(X.shape) < 0.3, X / np.abs(X).max(axis=0), 0.0)
    X[:, 0] = -np.abs(X[:, 0])
    found = gather(RowBlocks(container(X * scale), y))
    assert not np.array_equal(found.x.unit, np.ones(5))
    np.testing.assert_array_equal(np.frexp(found.x.unit)[0], 0.5)
    expected = np.var(X, axis=0)
    np.testing.assert_allclose(found.x.variance * (found.x.unit / scale) ** 2, expected, rtol=1e-9)


def test_a_target_whose_shift_was_misjudged():
    """Most rows lie far off but weigh next to nothing."""
    rng = np.random.default_rng(0)
    X, y, weight = rng.normal(size=(2000, 3)), rng.normal(size=(2000, 1)), np.ones(2000)
    far = rng.random(2000) < 0.6
    y[far] += 1e11
    weight[far] = 1e-40
    assert_moments(gather(RowBlocks(X, y, weight)), naive(X, y, weight), rtol=1e-9)


@pytest.mark.parametrize("scale", [1e-200, 1e-300])
def test_tiny_columns_that_are_symmetric_do_move(scale):
    X, y, by_row = np.array([[-1.0], [1.0], [0.0]]), np.array([[-1.0], [1.0], [0.0]]), {"block_rows": 1, "n_threads": 3}
    for values in ((X * scale, y), (X, y * scale), (X * scale, y * scale)):
        tiny = SmallBlocks(*values, **by_row)
        found = gather(tiny)
        assert found.x.variance[0] * (found.x.unit[0] / np.ptp(tiny.X) * 2) ** 2 == pytest.approx(2 / 3)
        assert found.y.variance[0] * (found.y.unit[0] / np.ptp(tiny.y) * 2) ** 2 == pytest.approx(2 / 3)


@pytest.mark.parametrize("value", [0.1, 1e15, 1 / 3, -7e-200, 1e300])
def test_a_constant_column_has_exactly_no_variance(value):
    X, y = make()
    X[:, 1] = value
    found = gather(RowBlocks(X, y, np.random.default_rng(0).random(len(X))))
    assert found.x.variance[1] == 0
    assert (found.x.variance[[0, 2, 3, 4]] > 0).all()


def test_moments_about_the_origin():
    X, y = make()
    centred = gather(RowBlocks(X, y))
    found = centred.about_origin()
    assert centred.x.cancellation.max() > found.x.cancellation.max() == 1
    np.testing.assert_allclose(found.cross, X.T @ X / len(X), rtol=1e-12)
    np.testing.assert_allclose(found.target_cross, X.T @ y / len(X), rtol=1e-12)
    np.testing.assert_allclose(found.y.variance, (y**2).mean(axis=0), rtol=1e-12)
    assert not found.x.mean.any()


def test_without_cross_only_the_diagonal_is_gathered():
    X, y = make()
    thin, full = (gather(RowBlocks(X, y), cross=cross) for cross in (False, True))
    assert thin.cross is None
    np.testing.assert_allclose(thin.x.variance, full.x.variance, rtol=1e-12)
    np.testing.assert_allclose(thin.target_cross, full.target_cross, rtol=1e-12)


def test_inputs_are_left_as_they_were():
    X, y = make()
    weight = np.random.default_rng(0).random(len(X))
    copies = [a.copy() for a in (X, y, weight)]
    gather(SmallBlocks(X, y, weight, block_rows=50))
    for array, copy in zip((X, y, weight), copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize(("constant", "passes"), [(None, 1), (0.1, 2), (0.0, 2)])
def test_one_pass_over_ordinary_data(monkeypatch, constant, passes):
    """And one more over a column without variance, which may have underflowed, but in rows of no weight."""
    seen = []
    accumulate = RowBlocks.sum
    monkeypatch.setattr(RowBlocks, "sum", lambda *args, **kw: seen.append(1) or accumulate(*args, **kw))
    X, y = make(2000)
    weight = np.ones(2000)
    if constant is not None:
        X[:, 1] = constant
        X[7, 1], weight[7] = 5.0, 0.0
    gather(RowBlocks(X, y, weight))
    assert len(seen) == passes


def merged(X, y, pieces, weight=None):
    """Gather the moments of each piece, and merge them one after the other."""
    parts = (RowBlocks(X[piece], y[piece], None if weight is None else weight[piece]) for piece in pieces)
    return reduce(union, map(gather, parts))


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    n=st.integers(2, 120),
    p=st.integers(1, 5),
    n_pieces=st.integers(1, 120),
    container=st.sampled_from([np.asarray, np.asfortranarray, sparse.csr_array]),
    weighted=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_merged_they_are_those_of_all_rows(n, p, n_pieces, container, weighted, seed):
    X, y = make(n, p, seed=seed)
    rng = np.random.default_rng(seed)
    weight = rng.uniform(0.1, 2, n) if weighted else None
    pieces = np.array_split(rng.permutation(n), min(n, n_pieces))
    found = merged(container(X), y, pieces, weight)
    assert_moments(found, naive(X, y, weight))
    assert (found.x.cancellation > 1 - 1e-9).all()
    assert found.n_samples == n
    assert found.weight == pytest.approx(n if weight is None else weight.sum(), rel=1e-13)


@pytest.mark.grid(1)
@pytest.mark.parametrize("offset", [1e3, 1e6, 1e9])
@pytest.mark.parametrize("n_pieces", [2, 37, 3000])
def test_merging_costs_no_digits_of_a_mean_far_above_the_deviation(offset, n_pieces):
    """Not even that of single rows: one of 3000 additions to a float would be seen in the sixth digit at 1e9."""
    X, y = make(3000)
    X = X / X.std(axis=0) + offset
    found = merged(X, y + offset, np.array_split(np.arange(3000), n_pieces))
    assert_moments(found, naive(X, y + offset), rtol=1e-12)
    assert found.x.cancellation.max() < 10


@pytest.mark.parametrize("scales", [[1.0] * 6, [1.0, 1e-170, 1e170, 1.0, 1e-300, 1e300]], ids=["alike", "far apart"])
@pytest.mark.parametrize("n_parts", [2, 6])
def test_unions_are_those_of_their_rows(n_parts, scales, monkeypatch):
    """A part of another size that is in none of their own does not take their digits; each group has few of them."""
    X, y = make(120, 4)
    parts = np.array_split(np.arange(120), n_parts)
    for part, scale in zip(parts, scales, strict=False):
        X[part] *= scale
    counts = np.array([[1, 0] * 3, [0, 1] * 3, [1] * 6, [2, 1, 1, 0, 0, 3], [0, 0, 0, 0, 0, 1]])[:, -n_parts:]
    monkeypatch.setattr("gdregress.rows.unions.UNITED_ENTRIES", 50)
    with np.errstate(all="ignore"):
        found = united([gather(RowBlocks(X[part], y[part])) for part in parts], counts)
        for union, times in zip(found, counts, strict=True):
            rows = np.concatenate([np.tile(part, k) for part, k in zip(parts, times, strict=True)])
            expected = gather(RowBlocks(X[rows], y[rows]))
            assert (union.weight, union.n_samples) == (len(rows), len(rows))
            assert_allclose(union.x.mean, expected.x.mean, rtol=1e-12, atol=1e-14 * expected.x.magnitude.max())
            assert_allclose(union.x.deviation, expected.x.deviation, rtol=1e-10)
            unit = union.x.unit / expected.x.unit
            assert_allclose(
                union.cross * np.outer(unit, unit), expected.cross, rtol=1e-9, atol=1e-10 * expected.cross.max()
            )
            assert_allclose(union.y.deviation, expected.y.deviation, rtol=1e-12)


def test_merging_tells_means_apart_down_to_their_last_digits():
    X, y = 2.0**30 + np.array([[0.0], [2.0], [2.0**-20], [2.0 + 2.0**-20]]), np.ones((4, 1))
    assert merged(X, y, [slice(0, 2), slice(2, 4)]).x.mean == 2.0**30 + 1 + 2.0**-21


def test_merging_is_symmetric():
    X, y = make()
    first, second = gather(RowBlocks(X[:37], y[:37])), gather(RowBlocks(X[37:], y[37:]))
    for whole in (union(first, second), union(second, first)):
        assert_moments(whole, naive(X, y), rtol=1e-14)


def test_merging_leaves_both_as_they_were():
    X, y = make()
    parts = [gather(RowBlocks(X[:37], y[:37])), gather(RowBlocks(X[37:], y[37:]))]
    before = [{name: np.copy(value) for name, value in part.plain().items()} for part in parts]
    union(parts[0], parts[1])
    for part, values in zip(parts, before, strict=True):
        for name, value in values.items():
            np.testing.assert_array_equal(part.plain()[name], value)


@pytest.mark.parametrize("of_target", [False, True])
@pytest.mark.parametrize("first", ["alike", "zero", "constant", "of size 1"])
@pytest.mark.parametrize("scale", [1e-300, 1e-170, 1e170, 1e300])
def test_merged_units_keep_squares_in_range(scale, first, of_target):
    """The scale may show only in the second piece, and the unit of the first is 1."""
    X, y = make()
    table = np.column_stack([X, y])
    column = -1 if of_target else 2
    table[:, column] /= np.abs(table[:, column]).max()
    plain = table.copy()
    table[:, column] *= scale
    start = {"alike": table[:100, column], "zero": 0.0, "constant": scale / 3, "of size 1": plain[:100, column]}[first]
    table[:100, column] = start
    X, y = table[:, :-2], table[:, -2:]
    for pieces in ((slice(0, 100), slice(100, 300)), (slice(100, 300), slice(0, 100))):
        found = merged(X, y, pieces)
        size = np.abs(table[:, column]).max()
        expected = naive(X * np.where(np.arange(5) == column, 1 / size, 1.0), y * [1, 1 / size if of_target else 1])
        factor = found.x.unit * np.where(np.arange(5) == column, 1 / size, 1.0)
        target_factor = found.y.unit * [1, 1 / size if of_target else 1]
        rescaled = {
            "cross": found.cross * np.outer(factor, factor),
            "target_cross": found.target_cross * np.outer(factor, target_factor),
            "target_variance": found.y.variance * target_factor**2,
        }
        for name, value in rescaled.items():
            np.testing.assert_allclose(value, expected[name].astype(float), rtol=1e-9, atol=1e-12 * value.max())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_column_that_is_constant_in_all_pieces_has_no_variance(container, dtype, weighted):
    X, y = make(300)
    X[:, 1], X[:, 2], X[:, 4] = 1e5 / 3, 0.1, 0.0
    weight = np.random.default_rng(1).uniform(0, 2, 300) if weighted else None
    found = merged(container(X.astype(dtype)), y, np.array_split(np.arange(300), 60), weight)
    assert not found.x.variance[[1, 2, 4]].any()
    assert not found.cross[[1, 2, 4]].any()
    assert not found.target_cross[[1, 2, 4]].any()
    assert found.x.variance[[0, 3]].all()


def test_a_column_that_is_constant_in_each_piece_has_the_variance_of_its_values():
    X, y = make(300)
    X[:, 1] = np.repeat([1.0, 2.0, 4.0], 100)
    assert_moments(merged(X, y, np.array_split(np.arange(300), 3)), naive(X, y))


@pytest.mark.parametrize(("off", "passes"), [(30.0, 1), (60.0, 1), (200.0, 2), (1e5, 2), (1e9, 2)])
def test_a_pass_is_repeated_where_the_shift_is_a_hundred_deviations_off(monkeypatch, off, passes):
    """Rows that weigh next to nothing have deceived it."""
    seen, accumulate = [], RowBlocks.sum
    monkeypatch.setattr(RowBlocks, "sum", lambda *args, **kw: seen.append(1) or accumulate(*args, **kw))
    rng = np.random.default_rng(0)
    X, y, weight = rng.normal(size=(2000, 2)), rng.normal(size=(2000, 1)), np.ones(2000)
    far = np.arange(2000) % 20 != 7
    X[far, 1] += off
    weight[far] = 1e-40
    found = gather(RowBlocks(X, y, weight))
    assert len(seen) == passes
    assert found.x.cancellation[1] == pytest.approx(off**2 if passes == 1 else 1.0, rel=0.4)


@pytest.mark.parametrize(("mean", "is_shifted"), [(8.0, False), (18.0, True)])
def test_a_column_is_shifted_whose_mean_is_a_dozen_mean_deviations_from_zero(mean, is_shifted):
    X = np.random.default_rng(0).uniform(-1.0, 1.0, size=(500, 1)) + 0.5 * mean
    assert (gather(RowBlocks(X, np.ones((500, 1)))).x.cancellation[0] < 2.0) == is_shifted
