"""layer_norm, batch_norm and the classification losses: against their formulas, and what they refuse."""

import math

import numpy as np
import pytest
from core.arrays import refused

import versant as vs
from versant.nn import functional as F
from versant.testing import check_gradients


def random(*shape, seed=0, dtype="float64"):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def leaves(*shapes):
    return [vs.tensor(random(*shape, seed=i), requires_grad=True) for i, shape in enumerate(shapes)]


# --- normalisation ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4,), (3, 4), (0, 4), (2, 0, 4), (65, 300)])
def test_layer_norm(shape):
    x, weight, bias = random(*shape, dtype="float32"), random(shape[-1], seed=1), random(shape[-1], seed=2)
    wide = x.astype("float64")
    normal = (wide - wide.mean(-1, keepdims=True)) / np.sqrt(wide.var(-1, keepdims=True) + 1e-5)
    got = F.layer_norm(vs.tensor(x), shape[-1:], vs.tensor(weight).float(), vs.tensor(bias).float())
    np.testing.assert_allclose(got.numpy(), normal * weight + bias, rtol=1e-5, atol=1e-5)


def test_layer_norm_of_large_values_keeps_its_digits():
    x = random(3, 64, dtype="float32") + np.float32(1e4)
    wide = x.astype("float64")
    normal = (wide - wide.mean(-1, keepdims=True)) / wide.std(-1, keepdims=True)
    got = F.layer_norm(vs.tensor(x), (64,), eps=0.0)
    np.testing.assert_allclose(got.numpy(), normal, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("given", [(), (0,), (1,), (0, 1)])
def test_layer_norm_gradients_to_order_two(given):
    x, weight, bias = leaves((3, 2, 4), (2, 4), (2, 4))
    affine = [t if i in given else None for i, t in enumerate((weight, bias))]
    inputs = [x, *(t for t in affine if t is not None)]

    def apply(x, *values):
        rest = list(values)
        return F.layer_norm(x, (2, 4), *(rest.pop(0) if i in given else None for i in (0, 1)))

    check_gradients(apply, inputs)


@pytest.mark.parametrize("shape", [(6, 3), (2, 3, 5), (4, 3, 5, 2)])
def test_batch_norm_trains_and_remembers(shape):
    x = random(*shape)
    axes, along = (0, *range(2, len(shape))), (1, 3) + (1,) * (len(shape) - 2)
    mean, var, n = x.mean(axes), x.var(axes), x.size // 3
    running_mean, running_var = vs.zeros(3, dtype=vs.float64), vs.ones(3, dtype=vs.float64)
    got = F.batch_norm(vs.tensor(x), running_mean, running_var, training=True, momentum=0.3)
    expected = (x - mean.reshape(along)) / np.sqrt(var.reshape(along) + 1e-5)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(running_mean.numpy(), 0.3 * mean, rtol=1e-12)
    np.testing.assert_allclose(running_var.numpy(), 0.7 + 0.3 * var * n / (n - 1), rtol=1e-12)

    still = F.batch_norm(vs.tensor(x), running_mean, running_var)
    centre, spread = (t.numpy().reshape(along) for t in (running_mean, running_var))
    np.testing.assert_allclose(still.numpy(), (x - centre) / np.sqrt(spread + 1e-5), rtol=1e-10)


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_gradients_to_order_two(training):
    x, weight, bias = leaves((3, 2, 2, 2), (2,), (2,))
    mean, var = vs.tensor(random(2)), vs.tensor(random(2) ** 2 + 0.5)
    check_gradients(
        lambda x, w, b: F.batch_norm(x, mean.clone(), var.clone(), w, b, training), (x, weight, bias)
    )


@pytest.mark.parametrize("op", ["layer", "batch", "cross_entropy"])
def test_threads_change_no_bit(op):
    before, results = vs.get_num_threads(), []
    x = random(70, 13, 900, dtype="float32")
    target = vs.tensor(np.random.default_rng(0).integers(0, 13, (70, 900)))
    try:
        for count in (1, 2, 5):
            vs.set_num_threads(count)
            leaf = vs.tensor(x, requires_grad=True)
            if op == "layer":
                y = F.layer_norm(leaf, (900,))
            elif op == "batch":
                y = F.batch_norm(leaf, None, None, training=True)
            else:
                y = F.cross_entropy(leaf, target, reduction="none")
            (y * y).sum().backward()
            results.append((y.detach().numpy(), leaf.grad.numpy()))
    finally:
        vs.set_num_threads(before)
    for other in results[1:]:
        for got, expected in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(got, expected)


# --- losses -----------------------------------------------------------------------------------------------


def log_softmax(x):
    top = x.max(1, keepdims=True)
    return x - top - np.log(np.exp(x - top).sum(1, keepdims=True))


@pytest.mark.parametrize("shape", [(5, 4), (2, 4, 3), (2, 4, 3, 2)])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_of_classes(shape, smoothing, reduction, weighted):
    x = random(*shape)
    target = np.random.default_rng(1).integers(0, 4, (shape[0], *shape[2:]))
    weight = np.abs(random(4, seed=2)) + 0.1 if weighted else np.ones(4)
    counts = target != 1
    wanted = np.moveaxis(np.eye(4)[target], -1, 1) * (1 - smoothing) + smoothing / 4
    along = (1, 4) + (1,) * (len(shape) - 2)
    losses = -(log_softmax(x) * wanted * weight.reshape(along)).sum(1) * counts
    total = (weight[target] * counts).sum()
    expected = {"mean": losses.sum() / total, "sum": losses.sum(), "none": losses}[reduction]
    got = F.cross_entropy(
        vs.tensor(x),
        vs.tensor(target),
        vs.tensor(weight) if weighted else None,
        ignore_index=1,
        reduction=reduction,
        label_smoothing=smoothing,
    )
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-10)


def test_cross_entropy_of_huge_logits_is_finite():
    x = vs.tensor([[1e4, 0.0], [-1e30, 1e30]], requires_grad=True)
    loss = F.cross_entropy(x, vs.tensor([1, 1]), reduction="none")
    assert loss.tolist() == [1e4, 0.0]
    loss.sum().backward()
    assert x.grad.tolist() == [[1.0, -1.0], [0.0, 0.0]]


def test_all_ignored_is_nan():
    assert math.isnan(F.cross_entropy(vs.zeros(2, 3), vs.tensor([-100, -100])).item())


@pytest.mark.parametrize("kind", ["classes", "smoothed", "probabilities", "nll"])
def test_loss_gradients_to_order_two(kind):
    (x,) = leaves((4, 3))
    target = vs.tensor([0, 2, 1, 2])
    if kind == "probabilities":
        target = vs.tensor(random(4, 3, seed=3)).softmax(1).requires_grad_()
        return check_gradients(F.cross_entropy, (x, target))
    loss = F.nll_loss if kind == "nll" else F.cross_entropy
    options = {"label_smoothing": 0.1} if kind == "smoothed" else {}
    check_gradients(lambda x: loss(x, target, vs.tensor([1.0, 2.0, 0.5]).double(), **options), [x])


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: F.layer_norm(vs.zeros(2, 3), (4,)),
            vs.ShapeError,
            "[layer_norm] expected last dimensions (4,), got input of shape (2, 3)",
        ),
        (
            lambda: F.batch_norm(vs.zeros(1, 3), None, None, training=True),
            vs.ShapeError,
            "[batch_norm] expected more than 1 value per channel in training, got (1, 3)",
        ),
        (lambda: F.cross_entropy(vs.zeros(2, 3), vs.tensor([0, 3])), IndexError, "3"),
        (lambda: F.cross_entropy(vs.zeros(2, 3), vs.tensor([0, -1])), IndexError, "-1"),
        (
            lambda: F.cross_entropy(vs.zeros(2, 3), vs.tensor([0, 1, 2])),
            vs.ShapeError,
            "[cross_entropy] expected target of shape (2,) for input of shape (2, 3), got (3,)",
        ),
        (
            lambda: F.cross_entropy(vs.zeros(2, 3), vs.tensor([0, 1]), reduction="all"),
            ValueError,
            "reduction",
        ),
        (
            lambda: F.nll_loss(vs.zeros(2, 3), vs.zeros(2)),
            vs.DTypeError,
            "[nll_loss] expected target classes of an integer dtype",
        ),
    ],
)
def test_refusals(call, kind, message):
    with refused(kind, message):
        call()


@pytest.mark.parametrize("rows", [1, 70, 5000])
@pytest.mark.parametrize(
    "norm",
    [
        lambda x, w, b: F.layer_norm(x, (24,), w, b),
        lambda x, w, b: F.rms_norm(x, (24,), w) + b,
        lambda x, w, b: F.group_norm(x.reshape(-1, 24, 1), 6, w, b).reshape(-1, 24),
    ],
    ids=["layer", "rms", "group"],
)
def test_gradients_over_many_rows_are_those_of_float64(norm, rows):
    arrays = [random(rows, 24, dtype="float32"), *(random(24, dtype="float32") for _ in range(2))]
    gradients = []
    for dtype in ("float32", "float64"):
        leaves = [vs.tensor(a.astype(dtype), requires_grad=True) for a in arrays]
        weights = vs.tensor(arrays[0].astype(dtype)).cos()
        gradients.append(vs.autograd.grad(norm(*leaves), leaves, weights))
    for narrow, wide in zip(*gradients, strict=True):
        np.testing.assert_allclose(narrow.numpy(), wide.numpy(), rtol=1e-5, atol=1e-5 * rows**0.5)


@pytest.mark.parametrize("dtype", [vs.bfloat16, vs.float16])
def test_sixteen_bits_are_computed_in_float32_and_rounded_once(dtype):
    x, w, b = vs.randn(5, 40, dtype=dtype), vs.randn(40), vs.randn(40)
    assert vs.equal(F.layer_norm(x, (40,), w, b), F.layer_norm(x.float(), (40,), w, b).to(dtype))
    assert F.rms_norm(x, (40,), w).dtype is dtype


@pytest.mark.parametrize("shape", [(3, 5, 7, 6), (2, 40, 33, 37), (1, 3, 4, 5), (4, 600, 3, 3)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_batch_norm_gives_the_same_bits_channels_last(shape: tuple[int, ...], dtype: str) -> None:
    vs.manual_seed(0)
    plain = (vs.randn(*shape) * 3 + 100).to(getattr(vs, dtype))
    last = plain.contiguous(memory_format=vs.channels_last)
    g = vs.randn(*shape).to(getattr(vs, dtype))
    wide = vs.float64 if dtype == "float64" else vs.float32
    weight = vs.randn(shape[1], dtype=wide, requires_grad=True)
    bias = vs.randn(shape[1], dtype=wide, requires_grad=True)
    found = []
    for threads, x in ((1, plain), (2, last), (4, last), (4, plain)):
        vs.set_num_threads(threads)
        x = x.detach().requires_grad_()
        mean, var = vs.zeros(shape[1], dtype=wide), vs.ones(shape[1], dtype=wide)
        y = F.batch_norm(x, mean, var, weight, bias, True)
        assert y.stride() == x.stride()
        dx, dw, db = vs.autograd.grad(y, [x, weight, bias], g)
        quiet = F.batch_norm(x, mean, var, weight, bias, False)
        found.append([y, dx, dw, db, mean, var, quiet, vs.autograd.grad(quiet, x, g)[0]])
    vs.set_num_threads(2)
    for other in found[1:]:
        assert all(vs.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_batch_norm_far_from_zero_keeps_its_digits() -> None:
    vs.manual_seed(0)
    x = vs.randn(8, 3, 16, 16)
    y = F.batch_norm(x, None, None, training=True)
    moved = F.batch_norm((x.double() + 4096).float(), None, None, training=True)
    exact = F.batch_norm((x.double() + 4096).float().double(), None, None, training=True)
    assert (moved - exact).abs().max() < 2e-6
    assert (y - F.batch_norm(x.double(), None, None, training=True)).abs().max() < 2e-6
