"""Layers that are one function: each gives what it gives, prints as PyTorch's, checks its arguments."""

import math

import pytest

import versant as vs
from versant import nn
from versant.nn import functional as F

vs.manual_seed(0)
X = vs.randn(2, 4, 6)
IMAGE = vs.randn(2, 4, 6, 6)
VOLUME = vs.randn(1, 2, 4, 4, 4)

CASES = [
    (nn.CELU(0.5), X, lambda x: F.celu(x, 0.5), "CELU(alpha=0.5)"),
    (nn.ELU(0.5), X, lambda x: F.elu(x, 0.5), "ELU(alpha=0.5)"),
    (nn.SELU(), X, F.selu, "SELU()"),
    (nn.GLU(1), X, lambda x: F.glu(x, 1), "GLU(dim=1)"),
    (nn.Hardshrink(0.3), X, lambda x: F.hardshrink(x, 0.3), "Hardshrink(0.3)"),
    (nn.Softshrink(0.3), X, lambda x: F.softshrink(x, 0.3), "Softshrink(0.3)"),
    (nn.Hardsigmoid(), X, F.hardsigmoid, "Hardsigmoid()"),
    (nn.Hardswish(), X, F.hardswish, "Hardswish()"),
    (nn.Hardtanh(-0.5, 2.0), X, lambda x: x.clamp(-0.5, 2.0), "Hardtanh(min_val=-0.5, max_val=2.0)"),
    (nn.ReLU6(), 5 * X, lambda x: x.clamp(0, 6), "ReLU6()"),
    (nn.LogSigmoid(), X, F.logsigmoid, "LogSigmoid()"),
    (nn.Mish(), X, F.mish, "Mish()"),
    (nn.PReLU(4, 0.5), X, lambda x: vs.where(x > 0, x, x * 0.5), "PReLU(num_parameters=4)"),
    (nn.RReLU(0.1, 0.3).eval(), X, lambda x: F.leaky_relu(x, 0.2), "RReLU(lower=0.1, upper=0.3)"),
    (nn.Softmax2d(), IMAGE, lambda x: F.softmax(x, 1), "Softmax2d()"),
    (nn.Softmin(1), X, lambda x: F.softmax(-x, 1), "Softmin(dim=1)"),
    (nn.Softplus(2.0), X, lambda x: F.softplus(x, 2.0), "Softplus(beta=2.0, threshold=20.0)"),
    (nn.Softsign(), X, lambda x: x / (1 + x.abs()), "Softsign()"),
    (nn.Tanhshrink(), X, lambda x: x - x.tanh(), "Tanhshrink()"),
    (nn.Threshold(0.1, 2.0), X, lambda x: vs.where(x > 0.1, x, 2.0), "Threshold(threshold=0.1, value=2.0)"),
    (
        nn.ConstantPad1d(1, 2),
        X,
        lambda x: F.pad(x, (1, 1), value=2),
        "ConstantPad1d(padding=(1, 1), value=2)",
    ),
    (nn.ZeroPad2d((1, 0, 2, 1)), IMAGE, lambda x: F.pad(x, (1, 0, 2, 1)), "ZeroPad2d((1, 0, 2, 1))"),
    (nn.ReflectionPad2d(2), IMAGE, lambda x: F.pad(x, (2,) * 4, "reflect"), "ReflectionPad2d((2, 2, 2, 2))"),
    (
        nn.ReplicationPad3d(1),
        VOLUME,
        lambda x: F.pad(x, (1,) * 6, "replicate"),
        "ReplicationPad3d((1, 1, 1, 1, 1, 1))",
    ),
    (nn.CircularPad1d(2), X, lambda x: F.pad(x, (2, 2), "circular"), "CircularPad1d((2, 2))"),
    (
        nn.GroupNorm(2, 4),
        X,
        lambda x: F.group_norm(x, 2),
        "GroupNorm(2, 4, eps=1e-05, affine=True, bias=True)",
    ),
    (nn.RMSNorm(6), X, lambda x: F.rms_norm(x, (6,)), "RMSNorm((6,), eps=None, elementwise_affine=True)"),
    (
        nn.LocalResponseNorm(3),
        X,
        lambda x: F.local_response_norm(x, 3),
        "LocalResponseNorm(3, alpha=0.0001, beta=0.75, k=1.0)",
    ),
    (nn.Dropout1d().eval(), X, lambda x: x, "Dropout1d(p=0.5, inplace=False)"),
    (nn.AlphaDropout(0.2).eval(), X, lambda x: x, "AlphaDropout(p=0.2, inplace=False)"),
]


@pytest.mark.parametrize(("layer", "x", "function", "text"), CASES, ids=[case[3] for case in CASES])
def test_layer(layer: nn.Module, x: vs.Tensor, function, text: str) -> None:
    assert vs.allclose(layer(x), function(x), rtol=1e-6, atol=1e-6)
    assert vs.equal(layer(input=x), layer(x))
    assert repr(layer) == text


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.Hardtanh(1.0, 1.0), ValueError, r"\[Hardtanh\] expected min_val < max_val"),
        (lambda: nn.Softshrink(-1.0), ValueError, r"\[Softshrink\] lambd must be at least 0"),
        (lambda: nn.CELU(0.0), ValueError, r"\[CELU\] alpha must not be 0"),
        (lambda: nn.GroupNorm(3, 4), ValueError, r"\[GroupNorm\] 4 channels do not divide into 3 groups"),
        (lambda: nn.GroupNorm(2, 4)(X[:, :2]), ValueError, r"\[GroupNorm\] expected \(N, 4, \.\.\.\), got"),
        (lambda: nn.RMSNorm(5)(X), ValueError, r"\[RMSNorm\] expected last dimensions \(5,\), got"),
        (lambda: nn.PReLU(3)(X), ValueError, r"\[prelu\] expected 1 weight or one for each of 4 channels"),
        (lambda: nn.Softmax2d()(X[0]), ValueError, r"\[Softmax2d\] expected \(N, C, H, W\)"),
        (lambda: nn.ZeroPad1d((1, 2, 3)), ValueError, r"\[ZeroPad1d\] padding must be an int or 2 of them"),
        (lambda: nn.Dropout3d(1.5), ValueError, r"\[Dropout3d\] p must be in \[0, 1\]"),
        (lambda: F.rrelu(X, 0.5, 0.1), ValueError, r"\[rrelu\] expected lower <= upper"),
        (
            lambda: nn.Bilinear(2, 3, 4)(X, X),
            ValueError,
            r"\[Bilinear\] expected last dimension 2 of the first",
        ),
        (lambda: nn.EmbeddingBag(3, 4, mode="min"), ValueError, r"\[EmbeddingBag\] mode must be one of"),
        (
            lambda: F.embedding_bag(vs.tensor([0, 1]), vs.ones(3, 2)),
            ValueError,
            r"\[embedding_bag\] a 1-D input needs offsets",
        ),
        (
            lambda: F.hardtanh(X, 1, -1),
            ValueError,
            r"\[hardtanh\] expected a number that is at least 1, got -1",
        ),
        (lambda: F.softshrink(X, -0.5), ValueError, r"\[softshrink\] expected a number that is at least 0"),
        (
            lambda: F.fractional_max_pool2d(X[None], 1, 2, _random_samples=vs.rand(1, 9, 2)),
            ValueError,
            r"\[fractional_max_pool2d\] expected samples of shape",
        ),
    ],
)
def test_wrong_arguments(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_bilinear() -> None:
    layer = nn.Bilinear(3, 4, 5)
    a, b = vs.randn(2, 3), vs.randn(2, 4)
    expected = vs.stack([((a @ layer.weight[o]) * b).sum(1) for o in range(5)], 1) + layer.bias
    assert vs.allclose(layer(a, b), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layer", [nn.AlphaDropout(0.3), nn.FeatureAlphaDropout(0.3)])
def test_alpha_dropout_keeps_mean_and_variance(layer: nn.Module) -> None:
    y = layer(vs.randn(2000, 100))
    assert abs(y.mean().item()) < 0.02
    assert abs(y.var().item() - 1) < 0.02
    limit = y.flatten().mode().values  # the one value that occurs often: SELU's, scaled
    assert abs((y == limit).float().mean().item() - 0.3) < 0.01


def test_channels_are_dropped_as_a_whole() -> None:
    y = nn.Dropout2d(0.5)(vs.ones(50, 40, 3, 3))
    assert set(y.flatten(2).amax(2).unique().tolist()) == {0.0, 2.0}
    assert vs.equal(y.flatten(2).amax(2), y.flatten(2).amin(2))


def test_rrelu_draws_slopes_in_training() -> None:
    y = F.rrelu(-vs.ones(10000), 0.1, 0.3, training=True)
    assert -0.3 <= y.min().item() <= -0.29
    assert -0.11 <= y.max().item() <= -0.1


def test_bags_of_embeddings() -> None:
    table = vs.arange(12.0).view(6, 2).requires_grad_()
    indices, offsets = vs.tensor([0, 2, 2, 5]), vs.tensor([0, 3, 3])
    total = F.embedding_bag(indices, table, offsets, mode="sum")
    assert total.tolist() == [[8.0, 11.0], [0.0, 0.0], [10.0, 11.0]]
    mean = F.embedding_bag(indices, table, offsets)
    assert vs.allclose(mean, total / vs.tensor([[3.0], [1.0], [1.0]]))
    most = F.embedding_bag(indices, table, offsets, mode="max")
    assert most.tolist() == [[4.0, 5.0], [0.0, 0.0], [10.0, 11.0]]
    total.sum().backward()
    assert table.grad[:, 0].tolist() == [1.0, 0.0, 2.0, 0.0, 0.0, 1.0]
    without = F.embedding_bag(indices.view(2, 2), table, padding_idx=2)
    assert without.tolist() == [[0.0, 1.0], [10.0, 11.0]]


def test_bags_of_narrow_rows_are_rounded_once() -> None:
    table = (vs.arange(300.0) / 7).bfloat16()[:, None]
    indices = vs.arange(300).view(2, 150)
    for mode in ("sum", "mean"):
        exact = F.embedding_bag(indices, table.float(), mode=mode).bfloat16()
        assert vs.equal(F.embedding_bag(indices, table, mode=mode), exact)


def test_local_response_norm_of_integers() -> None:
    x = vs.tensor([[[3], [4], [5]]])
    expected = x / (vs.tensor([[[4.0], [12.0], [20.0]]]) * 0.5 + 1)  # 9 // 2, 25 // 2 and 41 // 2 of squares
    assert vs.allclose(F.local_response_norm(x, 2, 0.5, 1.0), expected)


def test_batch_norm_of_nothing() -> None:
    nothing = vs.ones(0, requires_grad=True)
    F.batch_norm(nothing, vs.ones(0), vs.ones(0), training=True).sum().backward()
    assert nothing.grad.shape == (0,)


def test_embedding_shrinks_long_rows_and_scales_by_frequency() -> None:
    table = vs.tensor([[3.0, 4.0], [0.3, 0.4], [6.0, 8.0]], requires_grad=True)
    y = F.embedding(vs.tensor([0, 1, 0]), table, max_norm=1.0, scale_grad_by_freq=True)
    assert vs.allclose(y, vs.tensor([[0.6, 0.8], [0.3, 0.4], [0.6, 0.8]]), rtol=1e-5)
    assert table[2].tolist() == [6.0, 8.0]  # not used, not shrunk
    y.sum().backward()
    assert table.grad.tolist() == [[1.0, 1.0], [1.0, 1.0], [0.0, 0.0]]


def test_pretrained_rows_are_frozen_unless_asked() -> None:
    rows = vs.randn(3, 2)
    assert not nn.Embedding.from_pretrained(rows).weight.requires_grad
    bag = nn.EmbeddingBag.from_pretrained(rows, freeze=False, mode="sum")
    assert bag.weight.requires_grad
    assert vs.allclose(bag(vs.tensor([[0, 1]])), rows[:2].sum(0, True))


def test_similarity_layers() -> None:
    a, b = vs.randn(5, 3), vs.randn(5, 3)
    cosine = (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))
    assert vs.allclose(nn.CosineSimilarity()(a, b), cosine, rtol=1e-5, atol=1e-6)
    assert vs.allclose(nn.PairwiseDistance(1.0)(a, b), (a - b + 1e-6).abs().sum(1), rtol=1e-5)
    assert nn.PairwiseDistance(keepdim=True)(a, b).shape == (5, 1)
    assert math.isclose(nn.PairwiseDistance(math.inf)(a, b)[0], (a - b + 1e-6)[0].abs().max(), rel_tol=1e-5)
