"""conv2d with many channels: 3 x 3 filters by Winograd's tiles, others as products of gathered patches."""

import numpy as np
import pytest

import versant as vs
from versant.nn.functional import conv2d

# batch, channels, out, size, kernel, stride, padding, dilation
TILES = [
    (3, 32, 48, (11, 9), 3, 1, 1, 1),
    (2, 64, 80, (10, 10), 3, 1, 0, 1),
    (2, 48, 32, (9, 12), 3, 1, 2, 1),
    (40, 32, 32, (8, 8), 3, 1, 1, 1),
    (5, 96, 64, (4, 4), 3, 1, 1, 1),
]
PATCHES = [
    (3, 33, 40, (9, 11), 3, 2, 1, 1),
    (2, 64, 160, (7, 6), 1, 1, 0, 1),
    (2, 32, 48, (9, 9), 1, 2, 0, 1),
    (2, 3, 64, (21, 18), 7, 2, 3, 1),
    (5, 96, 64, (3, 3), 3, 1, 1, 1),
    (2, 20, 24, (12, 13), 5, 3, 2, 1),
    (2, 24, 32, (12, 11), 3, 1, 2, 2),
    (2, 16, 16, (11, 11), 2, 3, 0, 1),
    (1, 32, 64, (1, 3), 3, 1, 1, 1),
]


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def arrays(case):
    batch, channels, out, size, kernel, *_ = case
    weight = random(out, channels, kernel, kernel, seed=1) / np.float32(np.sqrt(channels) * kernel)
    return random(batch, channels, *size), weight, random(out, seed=2)


def everything(case, x, weight, bias, last=False):
    """The result and the gradients of x and weight."""
    layout = vs.channels_last if last else vs.contiguous_format
    x, weight = (
        a.contiguous(memory_format=layout).requires_grad_() for a in (vs.tensor(x), vs.tensor(weight))
    )
    y = conv2d(x, weight, vs.tensor(bias), *case[5:])
    grad = random(*y.shape, seed=3).astype(bias.dtype)
    y.backward(vs.tensor(grad).contiguous(memory_format=layout))
    return [t.detach().numpy() for t in (y, x.grad, weight.grad)]


@pytest.mark.parametrize("case", TILES + PATCHES)
def test_values_and_gradients_are_those_of_float64(case):
    given = arrays(case)
    wide = everything(case, *(a.astype("float64") for a in given))
    for got, expected in zip(everything(case, *given), wide, strict=True):
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5 * expected.std())


@pytest.mark.parametrize("case", TILES + PATCHES)
def test_memory_layout_and_threads_change_no_bit(case):
    before = vs.get_num_threads()
    given = arrays(case)
    plain = everything(case, *given)
    try:
        for threads in (1, 2, 3, 8, 40):
            vs.set_num_threads(threads)
            for got, expected in zip(everything(case, *given, last=threads == 3), plain, strict=True):
                np.testing.assert_array_equal(got, expected)
    finally:
        vs.set_num_threads(before)


@pytest.mark.parametrize("case", TILES + PATCHES)
def test_a_sample_does_not_depend_on_its_batch(case):
    x, weight, bias = arrays(case)
    whole = everything(case, x, weight, bias)
    x, weight = vs.tensor(x[1:2] if len(x) > 1 else x), vs.tensor(weight)
    x.requires_grad_()
    at = slice(1, 2) if len(whole[0]) > 1 else slice(None)
    y = conv2d(x, weight, vs.tensor(bias), *case[5:])
    y.backward(vs.tensor(random(*whole[0].shape, seed=3)[at]))
    np.testing.assert_array_equal(y.detach().numpy(), whole[0][at])
    np.testing.assert_array_equal(x.grad.numpy(), whole[1][at])
