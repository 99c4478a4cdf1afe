"""Pooling: against plain loops over windows, with NaN, ties and padding, and what it refuses."""

import math

import numpy as np
import pytest
from core.arrays import refused
from hypothesis import given, settings
from hypothesis import strategies as st

import versant as vs
from versant.nn import functional as F
from versant.testing import check_gradients


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def windows(size, kernel, stride, padding, dilation, ceil_mode):
    """The elements of each window along one axis."""
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    count = (math.ceil if ceil_mode else math.floor)(room / stride) + 1
    if ceil_mode and (count - 1) * stride >= size + padding:
        count -= 1
    starts = [o * stride - padding for o in range(count)]
    return [[i for i in range(s, s + dilation * kernel, dilation) if 0 <= i < size] for s in starts]


def pooled(x, rows, columns, choose):
    return np.stack(
        [np.stack([choose(x[:, :, r][:, :, :, c]) for c in columns], axis=-1) for r in rows], axis=-2
    )


@st.composite
def poolings(draw):
    kernel, stride, dilation = (draw(st.integers(1, 3)) for _ in range(3))
    padding = draw(st.integers(0, kernel // 2))
    size = dilation * (kernel - 1) + 1 + draw(st.integers(0, 9))
    return size, kernel, stride, padding, dilation, draw(st.booleans())


@settings(max_examples=60)
@given(poolings(), st.integers(0, 3))
def test_the_largest_of_each_window(how, batch):
    size, *rest = how
    x = random(batch, 2, size, size + 1)
    rows, columns = windows(size, *rest), windows(size + 1, *rest)
    values, places = F.max_pool2d(vs.tensor(x), *rest, return_indices=True)
    expected = pooled(x, rows, columns, lambda w: w.max((2, 3)))
    np.testing.assert_array_equal(values.numpy(), expected)
    picked = np.take_along_axis(x.reshape(batch, 2, size * (size + 1)), places.flatten(2).numpy(), 2)
    np.testing.assert_array_equal(picked.reshape(expected.shape), expected)


@settings(max_examples=60)
@given(poolings(), st.booleans(), st.sampled_from([None, 3]))
def test_the_mean_of_each_window(how, count_include_pad, divisor):
    size, kernel, stride, padding, _, ceil_mode = how
    x = random(2, 2, size, size)
    inside = windows(size, kernel, stride, padding, 1, ceil_mode)
    total = pooled(x, inside, inside, lambda w: w.sum((2, 3)))
    if count_include_pad:
        ends = [min(o * stride + kernel, size + 2 * padding) - o * stride for o in range(len(inside))]
    else:
        ends = [len(w) for w in inside]
    expected = total / (divisor or np.outer(ends, ends))
    got = F.avg_pool2d(vs.tensor(x), kernel, stride, padding, ceil_mode, count_include_pad, divisor)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-12, atol=1e-12)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 5), st.integers(1, 5))
def test_adaptive_windows_divide_the_image(height, width, out_height, out_width):
    x = random(2, 3, height, width)
    rows, columns = (
        [list(range(o * n // k, -(-(o + 1) * n // k))) for o in range(k)]
        for n, k in ((height, out_height), (width, out_width))
    )
    mean = F.adaptive_avg_pool2d(vs.tensor(x), (out_height, out_width))
    np.testing.assert_allclose(mean.numpy(), pooled(x, rows, columns, lambda w: w.mean((2, 3))), rtol=1e-12)
    largest = F.adaptive_max_pool2d(vs.tensor(x), (out_height, out_width))
    np.testing.assert_array_equal(largest.numpy(), pooled(x, rows, columns, lambda w: w.max((2, 3))))


def test_nan_is_the_largest_and_ties_go_to_the_first():
    x = vs.tensor([[[[1.0, 1.0, 0.0], [math.nan, 1.0, 0.0], [2.0, 2.0, -math.inf]]]])
    values, places = F.max_pool2d(x, (1, 2), stride=1, return_indices=True)
    np.testing.assert_array_equal(values.numpy()[0, 0], [[1, 1], [math.nan, 1], [2, 2]])
    assert places.tolist()[0][0] == [[0, 1], [3, 4], [6, 7]]


@pytest.mark.parametrize(
    "pool",
    [
        lambda x: F.max_pool2d(x, 2),
        lambda x: F.max_pool2d(x, 3, 1, padding=1, dilation=1),
        lambda x: F.max_pool2d(x, 2, 1, dilation=2, ceil_mode=True),
        lambda x: F.avg_pool2d(x, 3, 2, padding=1),
        lambda x: F.avg_pool2d(x, 2, 1, count_include_pad=False, padding=1, ceil_mode=True),
        lambda x: F.adaptive_avg_pool2d(x, (2, 3)),
        lambda x: F.adaptive_max_pool2d(x, 2),
    ],
)
def test_gradients_to_order_two(pool):
    x = vs.tensor(random(2, 2, 5, 6), requires_grad=True)
    check_gradients(lambda x: pool(x) * pool(x), [x])


@pytest.mark.parametrize("pool", [F.max_pool2d, F.avg_pool2d])
def test_threads_and_layouts_change_no_bit(pool):
    x, before = random(6, 9, 33, 20).astype("float32"), vs.get_num_threads()
    turned = vs.tensor(np.ascontiguousarray(x.transpose(0, 2, 3, 1))).permute(0, 3, 1, 2)
    results = []
    try:
        for count in (1, 2, 5):
            for tensor in (vs.tensor(x), turned):
                vs.set_num_threads(count)
                leaf = tensor.clone().requires_grad_()
                y = pool(leaf, 3, 2, 1)
                (y * y).sum().backward()
                results.append((y.detach().numpy(), leaf.grad.numpy()))
    finally:
        vs.set_num_threads(before)
    for other in results[1:]:
        for got, expected in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: F.max_pool2d(vs.zeros(1, 1, 4, 4), 0), ValueError, "kernel_size must be at least 1"),
        (lambda: F.max_pool2d(vs.zeros(1, 1, 4, 4), 2, padding=2), RuntimeError, "at most half"),
        (lambda: F.max_pool2d(vs.zeros(1, 1, 2, 2), 3), vs.ShapeError, "smaller than the window"),
        (lambda: F.avg_pool2d(vs.zeros(4, 4), 2), vs.ShapeError, "expected 4-D input"),
        (
            lambda: F.avg_pool2d(vs.zeros(1, 1, 4, 4), 2, divisor_override=0),
            RuntimeError,
            "divisor_override must not be zero",
        ),
    ],
)
def test_refusals(call, kind, message):
    with refused(kind, message):
        call()
