"""conv2d and its gradients: against a plain loop over taps, in the same bits on any number of threads."""

import numpy as np
import pytest
from core.arrays import refused
from hypothesis import given, settings
from hypothesis import strategies as st

import versant as vs
from versant.nn.functional import conv2d
from versant.testing import check_gradients


def random(*shape, dtype="float32", seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def taps(x, weight, stride, padding, dilation, groups):
    """Each tap of the filters, and what it meets of the input: (N, groups, C / groups, OH, OW)"""
    n, channels, *sizes = x.shape
    padded = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in padding)))
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, weight.shape[2:], strict=True)]
    outs = [(s + 2 * p - e) // t + 1 for s, p, e, t in zip(sizes, padding, spans, stride, strict=True)]
    for tap in np.ndindex(*weight.shape[2:]):
        window = tuple(
            slice(t * d, t * d + (o - 1) * s + 1, s)
            for t, d, o, s in zip(tap, dilation, outs, stride, strict=True)
        )
        yield tap, padded[:, :, *window].reshape(n, groups, channels // groups, *outs)


def reference(x, weight, bias, *how):
    groups = how[-1]
    out, per_group = weight.shape[:2]
    parts = weight.astype("float64").reshape(groups, out // groups, per_group, *weight.shape[2:])
    y = sum(
        np.einsum("ngcyx,goc->ngoyx", met, parts[..., *tap])
        for tap, met in taps(x.astype("float64"), weight, *how)
    )
    return y.reshape(len(x), out, *y.shape[3:]) + (0 if bias is None else bias[:, None, None])


@st.composite
def convolutions(draw):
    """x, weight, bias, and stride, padding, dilation, groups."""
    pair = lambda *values: st.tuples(st.sampled_from(values), st.sampled_from(values))  # noqa: E731
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    channels, out = (groups * draw(st.sampled_from([1, 2, 5, 17])) for _ in range(2))
    kernel, stride = draw(pair(1, 2, 3, 5)), draw(pair(1, 1, 2, 3))
    padding, dilation = draw(pair(0, 1, 2)), draw(pair(1, 1, 2))
    least = [max(1, d * (k - 1) + 1 - 2 * p) for d, k, p in zip(dilation, kernel, padding, strict=True)]
    sizes = [low + draw(st.integers(0, 20)) for low in least]
    dtype = draw(st.sampled_from(["float32", "float64"]))
    x = random(draw(st.integers(0, 9)), channels, *sizes, dtype=dtype)
    weight = random(out, channels // groups, *kernel, dtype=dtype, seed=1)
    bias = random(out, dtype=dtype, seed=2) if draw(st.booleans()) else None
    return x, weight, bias, (stride, padding, dilation, groups)


@settings(max_examples=60)
@given(convolutions())
def test_values_and_gradients_agree_with_a_plain_loop(case):
    x, weight, bias, how = case
    tensors = [vs.tensor(a, requires_grad=True) for a in (x, weight, bias) if a is not None]
    y = conv2d(tensors[0], tensors[1], tensors[2] if len(tensors) > 2 else None, *how)
    expected = reference(x, weight, bias, *how)
    close = {"rtol": 0, "atol": 2e-4 if x.dtype == "float32" else 1e-11}
    assert y.shape == expected.shape
    np.testing.assert_allclose(y.detach().numpy(), expected, **close)

    grad = random(*expected.shape, seed=3, dtype=x.dtype)
    y.backward(vs.tensor(grad))
    # The gradient of a bilinear map: <grad, conv(dx, w)> = <x.grad, dx>, and tap by tap for the weights.
    dx = random(*x.shape, seed=4, dtype=x.dtype)
    along = np.sum(grad * reference(dx, weight, None, *how))
    scale = 1 + np.abs(grad).sum() ** 0.5
    np.testing.assert_allclose(np.vdot(tensors[0].grad.numpy(), dx), along, rtol=1e-3, atol=1e-3 * scale)
    groups = how[-1]
    grouped = grad.astype("float64").reshape(len(x), groups, grad.shape[1] // groups, *grad.shape[2:])
    for tap, met in taps(x.astype("float64"), weight, *how):
        of_tap = np.einsum("ngoyx,ngcyx->goc", grouped, met).reshape(weight.shape[:2])
        np.testing.assert_allclose(
            tensors[1].grad.numpy()[..., *tap], of_tap, rtol=0, atol=10 * close["atol"]
        )
    if bias is not None:
        np.testing.assert_allclose(tensors[2].grad.numpy(), grad.sum((0, 2, 3)), rtol=0, atol=1e-3)


def test_large_images_are_cut_into_regions():
    x, weight = random(1, 40, 90, 70), random(3, 40, 3, 3, seed=1)
    y = conv2d(vs.tensor(x), vs.tensor(weight), padding=1)
    np.testing.assert_allclose(
        y.numpy(), reference(x, weight, None, (1, 1), (1, 1), (1, 1), 1), rtol=0, atol=2e-4
    )


@pytest.mark.parametrize(
    ("groups", "stride", "padding", "dilation"), [(1, 1, 1, 1), (2, 2, 1, 1), (4, 1, 2, 2), (1, 3, 0, 1)]
)
def test_gradients_to_order_two(groups, stride, padding, dilation):
    x, weight, bias = (
        vs.tensor(random(*shape, dtype="float64", seed=i), requires_grad=True)
        for i, shape in enumerate([(2, 4, 6, 5), (4, 4 // groups, 3, 2), (4,)])
    )
    check_gradients(lambda x, w, b: conv2d(x, w, b, stride, padding, dilation, groups), (x, weight, bias))


@pytest.fixture
def threads():
    before = vs.get_num_threads()
    yield vs.set_num_threads
    vs.set_num_threads(before)


@pytest.mark.parametrize(
    ("batch", "channels", "out", "stride"), [(9, 16, 24, 1), (2, 64, 130, 1), (5, 3, 16, 2)]
)
def test_threads_change_no_bit(threads, batch, channels, out, stride):
    results = []
    for count in (1, 2, 3, 8):
        threads(count)
        x = vs.tensor(random(batch, channels, 20, 18), requires_grad=True)
        weight = vs.tensor(random(out, channels, 3, 3, seed=1), requires_grad=True)
        y = conv2d(x, weight, None, stride, 1)
        y.backward(vs.tensor(random(*y.shape, seed=2)))
        results.append([t.detach().numpy() for t in (y, x.grad, weight.grad)])
    for other in results[1:]:
        for got, expected in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(got, expected)


def test_a_sample_does_not_depend_on_its_batch():
    x, weight = random(7, 5, 14, 14), vs.tensor(random(20, 5, 3, 3, seed=1))
    whole = conv2d(vs.tensor(x), weight, padding=1).numpy()
    for i in range(7):
        np.testing.assert_array_equal(conv2d(vs.tensor(x[i]), weight, padding=1).numpy(), whole[i])


def test_memory_layout_changes_no_bit():
    x, weight = random(2, 5, 9, 8), random(4, 5, 3, 3, seed=1)
    plain = conv2d(vs.tensor(x), vs.tensor(weight))
    turned = [
        vs.tensor(np.ascontiguousarray(a.transpose(0, 2, 3, 1))).permute(0, 3, 1, 2) for a in (x, weight)
    ]
    np.testing.assert_array_equal(conv2d(*turned).numpy(), plain.numpy())


def test_results_are_channels_last_where_input_or_weight_is():
    plain = [random(2, 5, 9, 8), random(4, 5, 3, 3, seed=1)]
    turned = [np.ascontiguousarray(a.transpose(0, 2, 3, 1)) for a in plain]
    for last in ((0,), (1,), (0, 1)):
        x, weight = (
            vs.tensor(turned[i]).permute(0, 3, 1, 2) if i in last else vs.tensor(plain[i]) for i in range(2)
        )
        x.requires_grad_(), weight.requires_grad_()
        y = conv2d(x, weight)
        assert y.stride() == (7 * 6 * 4, 1, 6 * 4, 4)
        y.backward(vs.ones(*y.shape))
        assert x.grad.stride() == x.stride()
        assert weight.grad.stride() == weight.stride()
    assert conv2d(vs.tensor(plain[0]), vs.tensor(plain[1])).is_contiguous()


def test_integers_are_exact():
    x = np.arange(2 * 3 * 5 * 5).reshape(2, 3, 5, 5)
    weight = np.arange(4 * 3 * 2 * 2).reshape(4, 3, 2, 2) - 20
    y = conv2d(vs.tensor(x), vs.tensor(weight), padding=1)
    expected = reference(x, weight, None, (1, 1), (1, 1), (1, 1), 1)
    assert y.dtype is vs.int64
    np.testing.assert_array_equal(y.numpy(), expected.astype("int64"))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision(dtype):
    x, weight, bias = (
        vs.tensor(random(*shape, seed=i)).to(getattr(vs, dtype)).requires_grad_()
        for i, shape in enumerate([(2, 3, 6, 6), (4, 3, 3, 3), (4,)])
    )
    y = conv2d(x, weight, bias)
    y.sum().backward()
    assert {t.dtype for t in (y, x.grad, weight.grad, bias.grad)} == {getattr(vs, dtype)}
    wide = [t.detach().float().numpy() for t in (x, weight, bias)]
    expected = reference(*wide, (1, 1), (0, 0), (1, 1), 1)
    np.testing.assert_allclose(y.detach().float().numpy(), expected, rtol=0.01, atol=0.02)


def test_empty_batch_has_zero_weight_gradient():
    weight = vs.tensor(random(4, 3, 3, 3), requires_grad=True)
    y = conv2d(vs.zeros(0, 3, 8, 8), weight)
    assert y.shape == (0, 4, 6, 6)
    y.sum().backward()
    assert not weight.grad.numpy().any()


def test_nan_stays_where_it_reaches():
    x = random(1, 1, 8, 8)
    x[0, 0, 3, 4] = np.nan
    y = conv2d(vs.tensor(x), vs.ones(1, 1, 3, 3)).numpy()[0, 0]
    reached = np.zeros((6, 6), bool)
    reached[1:4, 2:5] = True
    np.testing.assert_array_equal(np.isnan(y), reached)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: conv2d(vs.zeros(32, 1, 28, 28), vs.zeros(16, 3, 3, 3)),
            vs.ShapeError,
            "[conv2d] expected 4-D input (N, C, H, W) with C = 3, got (32, 1, 28, 28)",
        ),
        (lambda: conv2d(vs.zeros(28, 28), vs.zeros(16, 3, 3, 3)), vs.ShapeError, "expected 4-D input"),
        (lambda: conv2d(vs.zeros(1, 3, 8, 8), vs.zeros(16, 27)), vs.ShapeError, "expected a 4-D weight"),
        (
            lambda: conv2d(vs.zeros(1, 3, 8, 8), vs.zeros(4, 3, 3, 3), vs.zeros(5)),
            vs.ShapeError,
            "[conv2d] expected a bias of shape (4,), got (5,)",
        ),
        (
            lambda: conv2d(vs.zeros(1, 3, 2, 2), vs.zeros(4, 3, 3, 3)),
            vs.ShapeError,
            "[conv2d] a kernel of (3, 3) does not fit the padded input of shape (1, 3, 2, 2)",
        ),
        (
            lambda: conv2d(vs.zeros(1, 3, 8, 8), vs.zeros(4, 1, 3, 3), groups=3),
            ValueError,
            "[conv2d] groups = 3 must divide the 4 output channels",
        ),
        (
            lambda: conv2d(vs.zeros(1, 3, 8, 8), vs.zeros(4, 3, 3, 3), stride=0),
            ValueError,
            "[conv2d] stride must be at least 1",
        ),
        (
            lambda: conv2d(vs.zeros(1, 3, 8, 8), vs.zeros(4, 3, 3, 3), padding=-1),
            ValueError,
            "[conv2d] padding must be at least 0",
        ),
        (
            lambda: conv2d(vs.zeros(1, 3, 8, 8), vs.zeros(4, 3, 3, 3, dtype=vs.float64)),
            vs.DTypeError,
            "[conv2d] input, weight and bias must have the same dtype, got float32, float64",
        ),
        (
            lambda: conv2d(vs.zeros(1, 3, 8, 8, dtype=vs.bool), vs.zeros(4, 3, 3, 3, dtype=vs.bool)),
            vs.DTypeError,
            "[conv2d] expected numbers, got a tensor of bool",
        ),
    ],
)
def test_refusals(call, kind, message):
    with refused(kind, message):
        call()


@pytest.mark.parametrize("channels", [1, 3, 4, 5, 8, 12])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_the_gradient_of_one_tap_with_strides(channels, stride):
    rng = np.random.default_rng(channels)
    x = rng.standard_normal((13, channels, 8, 8)).astype("f4")
    seen = x[:, :, ::stride, ::stride]
    grad = rng.standard_normal((13, 8, *seen.shape[2:])).astype("f4")
    expected = np.einsum("nohw,nchw->oc", grad.astype("f8"), seen.astype("f8"))
    for _ in range(5):  # the fault came and went with what memory held before
        weight = vs.ones(8, channels, 1, 1, requires_grad=True)
        vs.nn.functional.conv2d(vs.tensor(x), weight, None, stride).backward(vs.tensor(grad))
        assert np.allclose(weight.grad.numpy()[:, :, 0, 0], expected, rtol=1e-4, atol=1e-3)
