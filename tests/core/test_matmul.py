"""Matrix products: against numpy, in the same bits however they are computed, and what they refuse."""

import numpy as np
import pytest
from core.arrays import refused
from hypothesis import given, settings
from hypothesis import strategies as st

import versant as vs
from versant import nn
from versant.testing import check_gradients

FLOATS = {"float32": 1e-5, "float64": 1e-13}


def random(*shape, dtype="float32", seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def laid_out(array, layout):
    """The same values as a plain tensor, transposed in memory, with gaps, or with rows that are one row."""
    if layout == "plain" or array.ndim < 2:
        return vs.tensor(array)
    if layout == "transposed":
        return vs.tensor(np.ascontiguousarray(array.swapaxes(-1, -2))).transpose(-1, -2)
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = array
    return vs.tensor(wide)[..., ::2]


LAYOUTS = st.sampled_from(["plain", "transposed", "gaps"])
SIZES = st.integers(0, 5) | st.sampled_from([8, 13, 16, 17, 31, 33, 64, 100])


@given(st.sampled_from(sorted(FLOATS)), SIZES, SIZES, SIZES | st.just(700), LAYOUTS, LAYOUTS)
def test_products_agree_with_numpy(dtype, m, n, k, of_a, of_b):
    a, b = random(m, k, dtype=dtype), random(k, n, dtype=dtype, seed=1)
    got = laid_out(a, of_a) @ laid_out(b, of_b)
    assert got.shape == (m, n)
    expected = a.astype("float64") @ b.astype("float64")
    np.testing.assert_allclose(got.numpy(), expected, rtol=0, atol=FLOATS[dtype] * (1 + k**0.5))


@given(SIZES, SIZES, SIZES, st.sampled_from(["uint8", "int8", "int16", "int32", "int64"]), LAYOUTS)
def test_integers_wrap(m, n, k, dtype, layout):
    draw = np.random.default_rng(0)
    a, b = (draw.integers(-(2**31), 2**31, shape).astype(dtype) for shape in ((m, k), (k, n)))
    np.testing.assert_array_equal((vs.tensor(a) @ laid_out(b, layout)).numpy(), a @ b)


@given(
    st.sampled_from(
        [
            ((4,), (4,)),
            ((4,), (4, 3)),
            ((3, 4), (4,)),
            ((2, 3, 4), (4,)),
            ((4,), (2, 4, 3)),
            ((2, 3, 4), (4, 5)),
            ((3, 4), (2, 4, 5)),
            ((2, 1, 3, 4), (5, 4, 2)),
            ((2, 0, 3, 4), (4, 2)),
            ((0, 3, 4), (0, 4, 2)),
            ((5, 2, 0), (0, 3)),
        ]
    ),
    LAYOUTS,
    LAYOUTS,
)
def test_ranks_and_broadcasting(shapes, of_a, of_b):
    a, b = (random(*shape, seed=i) for i, shape in enumerate(shapes))
    got = laid_out(a, of_a) @ laid_out(b, of_b)
    np.testing.assert_allclose(got.numpy(), a @ b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_sums_in_float32(dtype):
    a, b = (vs.tensor(random(33, 300, seed=i)).to(getattr(vs, dtype)) for i in (0, 1))
    got = a @ b.transpose(0, 1)
    exact = a.to(vs.float64).numpy() @ b.to(vs.float64).numpy().T
    unit = 2.0**-10 if dtype == "float16" else 2.0**-7
    assert got.dtype == getattr(vs, dtype)
    np.testing.assert_allclose(got.to(vs.float64).numpy(), exact, rtol=unit, atol=1e-2)


# --- bits -------------------------------------------------------------------------------------------------


@pytest.fixture
def threads():
    before = vs.get_num_threads()
    yield vs.set_num_threads
    vs.set_num_threads(before)


@pytest.mark.parametrize(
    ("m", "n", "k"), [(64, 96, 784), (200, 40, 150), (1, 500, 900), (90, 3, 400), (430, 530, 350)]
)
@pytest.mark.parametrize("dtype", sorted(FLOATS))
def test_threads_and_layouts_change_no_bit(threads, m, n, k, dtype):
    a, b = random(m, k, dtype=dtype), random(k, n, dtype=dtype, seed=1)
    threads(1)
    expected = (vs.tensor(a) @ vs.tensor(b)).numpy()
    for count in (2, 3, 7):
        threads(count)
        for of_a in ("plain", "transposed", "gaps"):
            for of_b in ("plain", "transposed", "gaps"):
                got = laid_out(a, of_a) @ laid_out(b, of_b)
                np.testing.assert_array_equal(got.numpy(), expected)


@settings(max_examples=30)
@given(st.integers(1, 60), st.integers(0, 40), st.integers(1, 40), st.sampled_from([3, 64, 300, 784]))
def test_rows_and_columns_do_not_depend_on_the_others(rows, first, columns, k):
    a, b = vs.tensor(random(70, k)), vs.tensor(random(k, 80, seed=1))
    whole = (a @ b).numpy()
    part = a[:rows] @ b[:, first : first + columns]
    np.testing.assert_array_equal(part.numpy(), whole[:rows, first : first + columns])


@settings(max_examples=60)
@given(
    st.sampled_from(["float32", "float64", "bfloat16", "float16", "int32"]),
    *[st.integers(1, 7) | st.sampled_from([8, 14, 15, 33, 64, 130])] * 2,
    st.integers(1, 5) | st.sampled_from([33, 64, 300, 784, 1751, 2049, 4500]),
    st.sampled_from([1, 2, 4]),
    st.data(),
)
def test_no_bit_depends_on_rows_columns_layout_or_threads(dtype, m, n, k, count, data):
    dtype = getattr(vs, dtype)
    a, b = vs.tensor(random(m, k) * 9).to(dtype), vs.tensor(random(k, n, seed=1) * 9).to(dtype)
    before = vs.get_num_threads()
    try:
        vs.set_num_threads(1)
        whole = (a @ b).double().numpy()
        vs.set_num_threads(count)
        rows, columns = ([*sorted(data.draw(st.integers(0, size - 1)) for _ in range(2))] for size in (m, n))
        rows[1], columns[1] = rows[1] + 1, columns[1] + 1
        for x in (a, a.T.contiguous().T):
            for y in (b, b.T.contiguous().T):
                part = x[slice(*rows)] @ y[:, slice(*columns)]
                np.testing.assert_array_equal(part.double().numpy(), whole[slice(*rows), slice(*columns)])
    finally:
        vs.set_num_threads(before)


@given(st.sampled_from(["float16", "bfloat16"]), SIZES, SIZES, SIZES | st.just(2500), LAYOUTS, LAYOUTS)
def test_sixteen_bits_are_summed_in_float32_and_rounded_once(dtype, m, n, k, of_a, of_b):
    dtype = getattr(vs, dtype)
    a, b, bias = random(m, k), random(n, k, seed=1), random(n, seed=2)
    x, weight, shift = laid_out(a, of_a).to(dtype), laid_out(b, of_b).to(dtype), vs.tensor(bias).to(dtype)
    got = nn.functional.linear(x, weight, shift)
    exact = x.double().numpy() @ weight.double().numpy().T + shift.double().numpy()
    unit = 2.0**-11 if dtype == vs.float16 else 2.0**-8
    assert got.dtype == dtype
    np.testing.assert_allclose(got.double().numpy(), exact, rtol=unit, atol=1e-5 * (1 + k**0.5))


@pytest.mark.parametrize("layout", [lambda x: x, lambda x: x.T.contiguous().T], ids=["rows", "columns"])
def test_blocks_of_a_large_product_of_sixteen_bits(layout, threads):
    a, b = (
        vs.tensor(random(*shape, seed=i)).bfloat16() for i, shape in enumerate([(2100, 700), (700, 1100)])
    )
    threads(1)
    got = layout(a) @ layout(b)
    exact = a.double().numpy() @ b.double().numpy()
    np.testing.assert_allclose(got.double().numpy(), exact, rtol=2.0**-8, atol=1e-3)
    np.testing.assert_array_equal(
        (a[1030:1031] @ b[:, 1050:]).float().numpy(), got[1030:1031, 1050:].float().numpy()
    )


# --- gradients --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shapes",
    [
        ((3, 4), (4, 2)),
        ((4,), (4,)),
        ((4,), (4, 2)),
        ((3, 4), (4,)),
        ((2, 3, 4), (4, 2)),
        ((3, 4), (2, 4, 2)),
        ((2, 1, 3, 4), (3, 4, 2)),
        ((2, 3, 4), (2, 4, 1)),
    ],
)
def test_gradients_to_order_two(shapes):
    a, b = (
        vs.tensor(random(*shape, dtype="float64", seed=i), requires_grad=True)
        for i, shape in enumerate(shapes)
    )
    check_gradients(vs.matmul, (a, b))


@given(st.sampled_from(sorted(FLOATS)), SIZES, SIZES, SIZES | st.just(700), LAYOUTS, LAYOUTS)
def test_a_bias_that_joins_the_product_changes_no_bit(dtype, m, n, k, of_x, of_weight):
    x, weight = laid_out(random(m, k, dtype=dtype), of_x), laid_out(random(n, k, dtype=dtype), of_weight)
    bias = vs.tensor(random(n, dtype=dtype, seed=2))
    got, apart = nn.functional.linear(x, weight, bias), x @ weight.T + bias
    np.testing.assert_array_equal(got.numpy(), apart.numpy())


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (4,), (2, 0, 4)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_linear_is_a_product_and_a_sum(shape, with_bias):
    x = vs.tensor(random(*shape), requires_grad=True)
    weight = vs.tensor(random(5, 4, seed=1), requires_grad=True)
    bias = vs.tensor(random(5, seed=2), requires_grad=True) if with_bias else None
    inputs = [t for t in (x, weight, bias) if t is not None]
    results = []
    for y in (nn.functional.linear(x, weight, bias), x @ weight.T + (0 if bias is None else bias)):
        results.append((y, *vs.autograd.grad((y * y).sum(), inputs)))
    for got, expected in zip(*results, strict=True):
        np.testing.assert_allclose(got.detach().numpy(), expected.detach().numpy(), rtol=1e-5, atol=1e-5)


def test_linear_gradients_to_order_two():
    tensors = [
        vs.tensor(random(*shape, dtype="float64", seed=i), requires_grad=True)
        for i, shape in enumerate([(2, 3, 4), (5, 4), (5,)])
    ]
    check_gradients(nn.functional.linear, tensors)


def test_a_broadcast_gradient_needs_no_copy():
    a = vs.tensor(random(3, 4), requires_grad=True)
    b = vs.tensor(random(4, 2, seed=1))
    (a @ b).sum().backward()
    expected = np.broadcast_to(b.numpy().sum(1), (3, 4))
    np.testing.assert_allclose(a.grad.numpy(), expected, rtol=1e-6)


# --- refusals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: vs.zeros(2, 3) @ vs.zeros(4, 5),
            vs.ShapeError,
            "[matmul] inner dimensions differ: (2, 3) @ (4, 5)",
        ),
        (lambda: vs.zeros(3) @ vs.zeros(4), vs.ShapeError, "[matmul] inner dimensions differ: (3,) @ (4,)"),
        (
            lambda: vs.zeros(2, 3, 4) @ vs.zeros(3, 4, 5),
            vs.ShapeError,
            "[matmul] shapes (2,) and (3,) do not broadcast",
        ),
        (lambda: vs.tensor(1.0) @ vs.zeros(4), vs.ShapeError, "[matmul] both arguments need at least one"),
        (
            lambda: vs.zeros(2, 3) @ vs.zeros(3, 2, dtype=vs.float64),
            vs.DTypeError,
            "[matmul] expected both inputs to have the same dtype, got float32 and float64",
        ),
        (
            lambda: vs.zeros(2, 2, dtype=vs.bool) @ vs.zeros(2, 2, dtype=vs.bool),
            vs.DTypeError,
            "[matmul] not implemented for bool",
        ),
        (
            lambda: nn.functional.linear(vs.zeros(2, 28, 28), vs.zeros(10, 784)),
            vs.ShapeError,
            "[linear] expected last dimension 784, got input of shape (2, 28, 28)",
        ),
    ],
)
def test_refusals_name_the_shapes(call, kind, message):
    with refused(kind, message):
        call()
