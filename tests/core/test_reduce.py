"""Reductions: the order of sums, edges, gradients."""

import math
from collections.abc import Iterator

import numpy as np
import pytest

import versant as vs
from versant import _core

rng = np.random.default_rng(0)


def normal(*shape, dtype=np.float32):
    return rng.standard_normal(shape).astype(dtype)


def leaf(values):
    return vs.tensor(values, dtype=vs.float64, requires_grad=True)


# --- the order of sums --------------------------------------------------------------------------------------


@pytest.fixture(params=_core.instruction_sets())
def instruction_set(request: pytest.FixtureRequest) -> Iterator[str]:
    best = _core.instruction_set()
    _core.use_instruction_set(request.param)
    yield request.param
    _core.use_instruction_set(best)


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = vs.get_num_threads()
    vs.set_num_threads(request.param)
    yield request.param
    vs.set_num_threads(before)


def sum_of_block(x):
    """16 lanes, then a tree of lanes."""
    lanes = np.zeros(16, x.dtype)
    for start in range(0, len(x), 16):
        some = x[start : start + 16]
        lanes[: len(some)] += some
    while len(lanes) > 1:
        half = len(lanes) // 2
        lanes = lanes[:half] + lanes[half:]
    return lanes[0]


def sum_of_blocks(sums):
    """Pairs, pairs of pairs ...: an aligned group of 2**k blocks is a subtree."""
    if len(sums) == 1:
        return sums[0]
    left = 1 << (len(sums) - 1).bit_length() - 1
    return sum_of_blocks(sums[:left]) + sum_of_blocks(sums[left:])


def sum_in_order(x):
    return sum_of_blocks([sum_of_block(x[i : i + 1024]) for i in range(0, len(x), 1024)])


SHAPES = [
    ((1,), 0),
    ((15,), 0),
    ((17,), 0),
    ((1024,), 0),
    ((5000,), 0),
    ((300_000,), 0),
    ((9, 40), 1),  # rows
    ((9, 3000), 1),
    ((40, 9), 0),  # columns
    ((3000, 70), 0),
    ((3000, 3), 0),  # narrow columns
    ((70_000, 3), 0),
    ((40, 3), 1),  # a few elements a result
    ((20, 3, 70), (0, 2)),  # gathered
    ((2, 600, 5), (0, 1)),
]


@pytest.mark.parametrize(("shape", "axes"), SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_follow_the_documented_order(shape, axes, dtype, instruction_set, threads):
    x = normal(*shape, dtype=dtype)
    axes = (axes,) if isinstance(axes, int) else axes
    lines = np.moveaxis(x, axes, range(-len(axes), 0)).reshape(-1, math.prod(x.shape[a] for a in axes))
    expected = np.array([sum_in_order(line) for line in lines])
    for layout in ("C", "F", "gaps"):
        view = vs.tensor(x)
        if layout == "F":
            order = tuple(reversed(range(x.ndim)))
            view = vs.tensor(np.ascontiguousarray(x.transpose(order))).permute(order)
        if layout == "gaps":
            wide = vs.tensor(np.repeat(x, 2, axis=-1))
            view = wide[..., ::2]
        np.testing.assert_array_equal(view.sum(axes).numpy().reshape(-1), expected)


def test_half_precision_adds_in_float32_and_rounds_once():
    x = vs.tensor(normal(5000) + 1)
    for dtype in (vs.float16, vs.bfloat16):
        half = x.to(dtype)
        assert half.sum() == half.to(vs.float32).sum().to(dtype)
        assert half.mean() == half.to(vs.float32).mean().to(dtype)


def test_a_sum_of_minus_zero_keeps_the_sign():
    assert math.copysign(1, vs.tensor([-0.0, -0.0]).sum().item()) == -1


# --- dtypes, axes, edges ------------------------------------------------------------------------------------


def test_integers_and_bool_add_up_as_int64():
    x = vs.full((300,), 127, dtype=vs.int8)
    assert x.sum().dtype == vs.int64
    assert x.sum().item() == 300 * 127
    assert x.sum(dtype=vs.int8).item() == np.full(300, 127, np.int8).sum(dtype=np.int8)
    assert (x > 0).sum().item() == 300
    big = vs.tensor([2**63 - 1, 1])
    assert big.sum().item() == -(2**63)


def test_a_wider_dtype_is_computed_in_that_dtype():
    x = normal(3000)
    np.testing.assert_allclose(vs.tensor(x).sum(dtype=vs.float64).item(), x.sum(dtype=np.float64), rtol=1e-13)
    assert vs.tensor([1, 2]).mean(dtype=vs.float32).item() == 1.5


def test_the_mean_of_integers_needs_a_dtype():
    with pytest.raises(
        vs.DTypeError, match=r"^\[mean\] expected a floating-point or complex input or dtype, got int64"
    ):
        vs.tensor([1, 2]).mean()


def test_nothing_to_reduce():
    x = vs.zeros(0, 3)
    assert x.sum(0).tolist() == [0, 0, 0]
    assert x.prod(0).tolist() == [1, 1, 1]
    assert x.any(0).tolist() == [False] * 3
    assert x.all(0).tolist() == [True] * 3
    assert all(map(math.isnan, x.mean(0).tolist()))
    assert x.sum(1).shape == (0,)
    assert x.amax(1).shape == (0,)
    for op in (vs.amax, vs.amin):
        with pytest.raises(ValueError, match="no element to choose from"):
            op(x, 0)
    for op in (vs.argmax, vs.argmin, vs.max, vs.min):
        with pytest.raises(IndexError, match="no element to choose from"):
            op(x, 0)


def test_zero_dimensional_tensors_have_axes_0_and_minus_1():
    x = vs.tensor(3.0)
    for dim in (0, -1):
        for op in (vs.sum, vs.mean, vs.prod, vs.amax, vs.cumsum, vs.softmax, vs.argmax):
            assert op(x, dim).shape == ()
    with pytest.raises(vs.AxisError, match=r"\[sum\] Dimension out of range"):
        x.sum(1)


def test_an_axis_may_not_come_twice():
    with pytest.raises(ValueError, match=r"^\[sum\] axis 1 appears twice"):
        vs.zeros(2, 3).sum((1, -1))


def test_any_and_all_look_at_values_not_at_integers():
    x = vs.tensor([[0.5, 0.0], [math.nan, -0.0]])
    assert x.any(1).tolist() == [True, True]
    assert x.all(1).tolist() == [False, False]
    assert x.any(0).tolist() == [True, False]
    assert vs.tensor([2], dtype=vs.uint8).any().dtype == vs.uint8


@pytest.mark.parametrize("shape", [(3,), (40,), (3, 5), (40, 30), (3000,), (2, 3000), (3000, 20)])
@pytest.mark.parametrize("dim", [0, -1])
def test_extremes_let_nan_win_and_name_the_first(shape, dim):
    for with_nan in (False, True):
        x = np.round(normal(*shape))
        if with_nan:
            x[rng.random(shape) < 0.05] = np.nan
        t = vs.tensor(x)
        np.testing.assert_array_equal(t.amax(dim).numpy(), x.max(dim))
        np.testing.assert_array_equal(t.amin(dim).numpy(), x.min(dim))
        np.testing.assert_array_equal(t.argmax(dim).numpy(), x.argmax(dim))
        np.testing.assert_array_equal(t.argmin(dim).numpy(), x.argmin(dim))
        np.testing.assert_array_equal(vs.max(t, dim).values.numpy(), x.max(dim))
        np.testing.assert_array_equal(vs.max(t, dim).indices.numpy(), x.argmax(dim))


def test_argmax_of_all_counts_in_row_major_order():
    x = normal(7, 9)
    assert vs.tensor(x).argmax().item() == x.argmax()
    assert vs.tensor(x).t().argmax().item() == x.T.argmax()
    assert vs.tensor(x).argmax(keepdim=True).shape == (1, 1)


def test_the_variance_of_large_numbers_is_right():
    x = (1e4 + normal(4000)).astype(np.float32)
    np.testing.assert_allclose(vs.tensor(x).var().item(), x.astype(np.float64).var(ddof=1), rtol=1e-5)


def test_logsumexp_and_softmax_of_infinities():
    inf, nan = math.inf, math.nan
    assert vs.logsumexp(vs.tensor([-inf, -inf]), 0).item() == -inf
    assert vs.logsumexp(vs.tensor([inf, 1.0]), 0).item() == inf
    assert vs.softmax(vs.tensor([-inf, 1.0, 1.0]), 0).tolist() == [0, 0.5, 0.5]
    assert all(map(math.isnan, vs.softmax(vs.tensor([nan, 1.0]), 0).tolist()))
    assert all(map(math.isnan, vs.log_softmax(vs.tensor([-inf, -inf]), 0).tolist()))


@pytest.mark.parametrize("shape", [(64, 10), (3, 1000), (2, 5000), (7, 40, 33)])
def test_softmax_does_not_depend_on_layout_or_neighbours(shape, threads):
    x = normal(*shape)
    for op in (vs.softmax, vs.log_softmax):
        rows = op(vs.tensor(x), -1)
        columns = op(vs.tensor(np.ascontiguousarray(x.swapaxes(0, -1))), 0).transpose(0, -1)
        alone = op(vs.tensor(x[1:2]), -1)
        assert vs.equal(rows, columns)
        assert vs.equal(rows[1:2], alone)
        e = np.exp(x.astype(np.float64) - x.max(-1, keepdims=True))
        expected = e / e.sum(-1, keepdims=True)
        actual = rows if op is vs.softmax else rows.exp()
        np.testing.assert_allclose(actual.numpy(), expected, rtol=2e-6, atol=1e-9)


# --- scans --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1,), (3,), (1001,), (5, 7), (70, 90), (4, 1001)])
@pytest.mark.parametrize("dim", [0, -1])
def test_scans(shape, dim, threads):
    x = normal(*shape)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(vs.tensor(x).cumsum(dim).numpy(), exact.cumsum(dim), rtol=3e-7, atol=1e-6)
    near_one = (1 + x / 100).astype(np.float32)
    expected = near_one.astype(np.float64).cumprod(dim)
    np.testing.assert_allclose(vs.tensor(near_one).cumprod(dim).numpy(), expected, rtol=2e-7)
    swapped = vs.tensor(np.ascontiguousarray(x.T)).permute(tuple(reversed(range(x.ndim))))
    assert vs.equal(swapped.cumsum(dim), vs.tensor(x).cumsum(dim))


def test_scans_of_doubles_do_not_overflow_on_the_way():
    assert vs.tensor([-1e308, 1e308, 1e308], dtype=vs.float64).cumsum(0).tolist() == [-1e308, 0, 1e308]
    assert vs.tensor([1e-200, 1.0, 1e200, 1e200], dtype=vs.float64).cumprod(0).tolist()[2:] == [1, 1e200]


def test_scans_in_place():
    x = leaf([1.0, 2.0, 3.0])
    y = x * 1
    y.cumprod_(0)
    assert y.tolist() == [1, 2, 6]
    y.sum().backward()
    assert x.grad.tolist() == [1 + 2 + 6, 1 + 3, 2]


# --- gradients ----------------------------------------------------------------------------------------------


def test_ties_share_the_gradient_evenly():
    x = leaf([[1.0, 3.0, 3.0], [2.0, 0.0, 1.0]])
    x.amax(1).sum().backward()
    assert x.grad.tolist() == [[0, 0.5, 0.5], [1, 0, 0]]


def test_max_along_an_axis_gives_the_gradient_to_the_first():
    x = leaf([[1.0, 3.0, 3.0], [2.0, 0.0, 2.0]])
    vs.max(x, 1).values.sum().backward()
    assert x.grad.tolist() == [[0, 1, 0], [1, 0, 0]]


@pytest.mark.parametrize("values", [[2.0, 3.0, 4.0], [0.0, 3.0, 4.0], [0.0, 0.0, 4.0]])
def test_products_have_gradients_at_zeros(values):
    x = leaf(values)
    (g,) = vs.autograd.grad(x.prod(), x, create_graph=True)
    others = [math.prod(values[:i] + values[i + 1 :]) for i in range(3)]
    assert g.tolist() == others
    (second,) = vs.autograd.grad(g.sum(), x)
    pairs = [sum(values[3 - i - j] for j in range(3) if j != i) for i in range(3)]
    assert second.tolist() == pairs


@pytest.mark.parametrize("values", [[2.0, 3.0, 4.0, 5.0], [2.0, 0.0, 4.0, 0.0]])
def test_running_products_have_gradients_at_zeros(values):
    x = leaf(values)
    weights = [1.0, 10.0, 100.0, 1000.0]
    (x.cumprod(0) * vs.tensor(weights, dtype=vs.float64)).sum().backward()
    expected = [
        sum(weights[i] * math.prod(v for j, v in enumerate(values[: i + 1]) if j != k) for i in range(k, 4))
        for k in range(4)
    ]
    assert x.grad.tolist() == expected


def test_small_and_large_gradients_of_a_mean_are_the_same_numbers():
    for n in (100, 1000):
        x = vs.tensor(normal(n), requires_grad=True)
        x.mean().backward()
        assert x.grad.is_contiguous()
        assert x.grad.tolist() == [float(np.float32(1) / np.float32(n))] * n


OPS = {
    "sum": lambda x: x.sum(1),
    "mean": lambda x: x.mean((0, 2)),
    "prod": lambda x: x.prod(1),
    "amax": lambda x: x.amax(2),
    "max": lambda x: vs.max(x, 0).values,
    "var": lambda x: x.var(1),
    "cumsum": lambda x: x.cumsum(1),
    "cumprod": lambda x: x.cumprod(0),
    "softmax": lambda x: vs.softmax(x, 1),
    "log_softmax": lambda x: vs.log_softmax(x, 2),
    "logsumexp": lambda x: vs.logsumexp(x, (0, 1)),
    "sort": lambda x: vs.sort(x, 1).values,
    "topk": lambda x: vs.topk(x, 2, 1).values,
}


@pytest.mark.parametrize("name", OPS)
def test_gradients_to_second_order(name):
    """Central differences along random directions, of the function and of its gradient."""
    op = OPS[name]
    x0, direction = normal(2, 4, 3, dtype=np.float64), normal(2, 4, 3, dtype=np.float64)
    weights = vs.tensor(normal(*op(vs.tensor(x0)).shape, dtype=np.float64))
    other = vs.tensor(normal(2, 4, 3, dtype=np.float64))

    def first(values):
        x = vs.tensor(values, requires_grad=True)
        value = (op(x) ** 2 * weights).sum()
        (g,) = vs.autograd.grad(value, x, create_graph=True)
        return x, value, g

    step = 1e-6
    x, _, g = first(x0)
    _, above, g_above = first(x0 + step * direction)
    _, below, g_below = first(x0 - step * direction)
    slope = (above - below).item() / (2 * step)
    np.testing.assert_allclose((g.detach().numpy() * direction).sum(), slope, rtol=1e-6, atol=1e-6)
    (second,) = vs.autograd.grad((g * other).sum(), x)
    slope = ((g_above - g_below) * other).sum().item() / (2 * step)
    np.testing.assert_allclose((second.numpy() * direction).sum(), slope, rtol=1e-5, atol=1e-5)
