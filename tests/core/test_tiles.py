"""Products and convolutions of bfloat16: where the processor multiplies tiles they go by those."""

import numpy as np
import pytest

import versant as vs
import versant.nn.functional as F

# Sizes around the 16 rows, 32 columns and 32 steps of a tile, and beyond a block of k.
SIZES = [
    (1, 1, 1),
    (1, 40, 33),
    (15, 16, 31),
    (33, 31, 64),
    (64, 96, 65),
    (70, 130, 100),
    (5, 520, 96),
    (40, 33, 1100),
    (37, 600, 2049),
]


def drawn(*shape):
    return vs.randn(*shape).bfloat16()


def wide(x):
    return x.detach().double().numpy()


def assert_rounded(result, exact, terms):
    """Within the rounding of one result, and of a sum of so many terms about as large as one."""
    error = np.abs(wide(result) - exact)
    assert (error <= np.abs(exact) * 2.0**-8 + terms * 2.0**-22 + 1e-6).all(), error.max()


def laid_out(x, layout):
    """The same matrix in another layout."""
    if layout == "turned":
        return x.T.contiguous().T
    if layout == "gaps":
        return vs.stack([x, -x], -1).flatten(-2)[:, ::2]
    return x


@pytest.mark.parametrize(
    "layouts", [("rows", "rows"), ("turned", "rows"), ("rows", "turned"), ("gaps", "gaps")]
)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_products(sizes, layouts):
    m, n, k = sizes
    vs.manual_seed(0)
    a, b = drawn(m, k), drawn(k, n)
    result = laid_out(a, layouts[0]) @ laid_out(b, layouts[1])
    assert result.dtype is vs.bfloat16
    assert_rounded(result, wide(a) @ wide(b), k)
    assert vs.equal(result, a @ b)  # whatever the layout
    for i in {0, m // 2, m - 1}:
        assert vs.equal(result[i : i + 1], a[i : i + 1] @ b)  # whatever the batch
    assert vs.equal(result[:, n // 2 :], a @ b[:, n // 2 :])


@pytest.mark.parametrize("sizes", SIZES[2:], ids=str)
def test_products_with_a_bias(sizes):
    m, n, k = sizes
    vs.manual_seed(0)
    x, weight, bias = drawn(m, k), drawn(n, k), drawn(n)
    assert_rounded(F.linear(x, weight, bias), wide(x) @ wide(weight).T + wide(bias), k)


def test_numbers_that_are_none():
    a, b = drawn(40, 70), drawn(70, 50)
    a[3, 69], a[20, 0], b[5, 49] = float("inf"), float("nan"), float("-inf")
    with np.errstate(invalid="ignore"):
        exact = wide(a) @ wide(b)
    result = wide(a @ b)
    assert (np.isnan(result) == np.isnan(exact)).all()
    assert (np.isinf(result) == np.isinf(exact)).all()


# Channels of 32 and more go by tiles, others by other ways.
CONVOLUTIONS = [
    # in, out, size, kernel, stride, padding, dilation
    (32, 32, (6, 7), (3, 3), 1, 1, 1),
    (64, 32, (5, 5), (1, 1), 1, 0, 1),
    (32, 64, (9, 8), (3, 3), 2, 1, 1),
    (32, 96, (8, 8), (1, 1), 2, 0, 1),
    (64, 64, (11, 9), (3, 2), (2, 1), (1, 0), 1),
    (32, 32, (9, 9), (3, 3), 1, 2, 2),
    (64, 64, (4, 4), (5, 5), 3, 2, 1),
    (16, 48, (7, 7), (3, 3), 1, 1, 1),
]


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
def test_convolutions(case, channels_last):
    inputs, outputs, size, kernel, stride, padding, dilation = case
    vs.manual_seed(0)
    x, weight, bias = drawn(5, inputs, *size), drawn(outputs, inputs, *kernel), drawn(outputs)
    if channels_last:
        x, weight = x.to(memory_format=vs.channels_last), weight.to(memory_format=vs.channels_last)
    options = {"stride": stride, "padding": padding, "dilation": dilation}

    def gradients(x, weight, bias):
        x, weight, bias = (t.detach().requires_grad_() for t in (x, weight, bias))
        y = F.conv2d(x, weight, bias, **options)
        along = vs.linspace(-1, 1, y.numel()).reshape(y.shape).bfloat16().to(y.dtype)
        return y.detach(), *vs.autograd.grad((y * along).sum(), (x, weight, bias))

    found = gradients(x, weight, bias)
    exact = gradients(x.double(), weight.double(), bias.double())
    taps, positions = kernel[0] * kernel[1], found[0][:, 0].numel()
    for result, wanted, terms in zip(
        found, exact, (inputs * taps, outputs * taps, positions, positions), strict=True
    ):
        assert_rounded(result, wide(wanted), terms)
    for i in (0, 4):
        assert vs.equal(F.conv2d(x[i : i + 1], weight, bias, **options), found[0][i : i + 1])
    for threads in (1, 4):
        before = vs.get_num_threads()
        vs.set_num_threads(threads)
        again = gradients(x, weight, bias)
        vs.set_num_threads(before)
        assert all(vs.equal(a, b) for a, b in zip(found, again, strict=True))


def test_gradients_of_filters_over_many_positions():
    vs.manual_seed(0)
    x, along = drawn(9, 32, 16, 16), drawn(9, 32, 16, 16)
    weight = drawn(32, 32, 3, 3).requires_grad_()
    (found,) = vs.autograd.grad(F.conv2d(x, weight, padding=1), weight, along)
    exact = weight.detach().double().requires_grad_()
    (wanted,) = vs.autograd.grad(F.conv2d(x.double(), exact, padding=1), exact, along.double())
    assert_rounded(found, wide(wanted), x[:, 0].numel())
