"""Layers: names, shapes, initial values, results, and errors in the layer's own terms."""

import math

import numpy as np
import pytest

import versant as vs
from versant import nn
from versant.nn import functional as F


def convolve(
    x: np.ndarray, weight: np.ndarray, stride: int, padding: int, dilation: int, groups: int
) -> np.ndarray:
    """Cross-correlation, term by term."""
    x = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    out_channels, group_in, k, _ = weight.shape
    group_out = out_channels // groups
    side = (x.shape[2] - dilation * (k - 1) - 1) // stride + 1
    result = np.zeros((len(x), out_channels, side, side))
    for o in range(out_channels):
        first = o // group_out * group_in
        for c in range(group_in):
            for i in range(k):
                for j in range(k):
                    rows = slice(i * dilation, i * dilation + stride * side, stride)
                    columns = slice(j * dilation, j * dilation + stride * side, stride)
                    result[:, o] += x[:, first + c, rows, columns][:, :side, :side] * weight[o, c, i, j]
    return result


def test_linear() -> None:
    layer = nn.Linear(3, 2)
    x = vs.randn(4, 5, 3)
    expected = x.numpy() @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-5, atol=1e-6)
    assert {name: tuple(p.shape) for name, p in layer.named_parameters()} == {"weight": (2, 3), "bias": (2,)}
    assert nn.Linear(3, 2, bias=False).bias is None
    assert list(nn.Linear(3, 2, bias=False).state_dict()) == ["weight"]
    assert nn.Linear(3, 2, dtype=vs.float64).weight.dtype is vs.float64


@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"), [(1, 0, 1, 1), (2, 1, 1, 2), (1, 2, 2, 4)]
)
def test_conv2d(stride: int, padding: int, dilation: int, groups: int) -> None:
    layer = nn.Conv2d(4, 8, 3, stride, padding, dilation, groups)
    x = vs.randn(2, 4, 7, 7)
    expected = convolve(x.numpy(), layer.weight.detach().numpy(), stride, padding, dilation, groups)
    expected += layer.bias.detach().numpy()[:, None, None]
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    assert tuple(layer.weight.shape) == (8, 4 // groups, 3, 3)


@pytest.mark.parametrize("kernel", [1, 2, 3, (2, 5)])
def test_conv2d_padding_same_keeps_the_size(kernel) -> None:
    layer = nn.Conv2d(1, 1, kernel, padding="same", bias=False)
    x = vs.zeros(1, 1, 6, 6)
    x[0, 0, 3, 3] = 1.0
    y = layer(x)
    assert tuple(y.shape) == (1, 1, 6, 6)
    height, width = (
        layer.kernel_size
    )  # an impulse draws the kernel reversed, its middle (rounded down) in place
    top, left = 3 - (height - 1) + (height - 1) // 2, 3 - (width - 1) + (width - 1) // 2
    drawn = y[0, 0, top : top + height, left : left + width].flip(0, 1)
    assert vs.allclose(drawn, layer.weight[0, 0])


def test_batch_norm_learns_statistics_and_uses_them() -> None:
    layer = nn.BatchNorm2d(3)
    x = vs.randn(8, 3, 4, 4) * 2 + 1
    values = x.numpy().astype(np.float64)
    mean, var = values.mean((0, 2, 3)), values.var((0, 2, 3))
    expected = (values - mean[:, None, None]) / np.sqrt(var + 1e-5)[:, None, None]
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-4, atol=1e-4)
    unbiased = values.var((0, 2, 3), ddof=1)
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.1 * mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(layer.running_var.numpy(), 0.9 + 0.1 * unbiased, rtol=1e-4)
    assert int(layer.num_batches_tracked) == 1
    layer.eval()
    expected = (values - 0.1 * mean[:, None, None]) / np.sqrt(0.9 + 0.1 * unbiased + 1e-5)[:, None, None]
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-4, atol=1e-4)
    assert int(layer.num_batches_tracked) == 1
    assert list(layer.state_dict()) == [
        "weight",
        "bias",
        "running_mean",
        "running_var",
        "num_batches_tracked",
    ]


def test_batch_norm_without_momentum_averages_all_batches() -> None:
    layer = nn.BatchNorm2d(1, momentum=None)
    batches = [vs.randn(4, 1, 2, 2) for _ in range(3)]
    for batch in batches:
        layer(batch)
    mean = np.mean([batch.numpy().mean() for batch in batches])
    np.testing.assert_allclose(layer.running_mean.numpy(), [mean], rtol=1e-4, atol=1e-6)


def test_batch_norm_without_tracking_uses_the_batch_in_eval_mode() -> None:
    layer = nn.BatchNorm2d(2, affine=False, track_running_stats=False).eval()
    assert list(layer.state_dict()) == []
    y = layer(vs.randn(16, 2, 3, 3) + 5)
    assert y.mean().abs().item() < 1e-3


def test_layer_norm() -> None:
    layer = nn.LayerNorm((3, 4))
    x = vs.randn(2, 3, 4)
    values = x.numpy().astype(np.float64)
    mean, var = values.mean((1, 2), keepdims=True), values.var((1, 2), keepdims=True)
    np.testing.assert_allclose(
        layer(x).detach().numpy(), (values - mean) / np.sqrt(var + 1e-5), rtol=1e-4, atol=1e-5
    )
    assert list(nn.LayerNorm(3, bias=False).state_dict()) == ["weight"]
    assert list(nn.LayerNorm(3, elementwise_affine=False).state_dict()) == []


def test_embedding() -> None:
    layer = nn.Embedding(5, 3, padding_idx=-1)
    index = vs.tensor([[0, 4], [2, 2]])
    assert vs.equal(layer(index)[1, 0], layer.weight[2])
    assert layer.weight[4].tolist() == [0.0, 0.0, 0.0]
    layer(index).sum().backward()
    assert layer.weight.grad.tolist() == [[1.0] * 3, [0.0] * 3, [2.0] * 3, [0.0] * 3, [0.0] * 3]
    with pytest.raises(IndexError):
        layer(vs.tensor([5]))


def test_dropout_drops_in_training_only() -> None:
    layer = nn.Dropout(0.25)
    vs.manual_seed(0)
    y = layer(vs.ones(10_000))
    kept = y[y != 0]
    assert 0.73 < len(kept) / 10_000 < 0.77
    assert vs.allclose(kept, vs.full_like(kept, 1 / 0.75))
    assert layer.eval()(vs.ones(3)).tolist() == [1.0, 1.0, 1.0]


X = np.linspace(-3, 3, 12, dtype=np.float32).reshape(2, 6)
SIGMOID = 1 / (1 + np.exp(-X))
ACTIVATIONS = [
    (nn.ReLU(), np.maximum(X, 0)),
    (nn.LeakyReLU(0.2), np.where(X > 0, X, 0.2 * X)),
    (nn.GELU(), X * 0.5 * (1 + np.vectorize(math.erf)(X / math.sqrt(2)))),
    (nn.GELU("tanh"), 0.5 * X * (1 + np.tanh(math.sqrt(2 / math.pi) * (X + 0.044715 * X**3)))),
    (nn.SiLU(), X * SIGMOID),
    (nn.Tanh(), np.tanh(X)),
    (nn.Sigmoid(), SIGMOID),
    (nn.Softmax(dim=1), np.exp(X) / np.exp(X).sum(1, keepdims=True)),
    (nn.LogSoftmax(dim=-1), X - np.log(np.exp(X).sum(1, keepdims=True))),
    (nn.Flatten(0), X.reshape(-1)),
    (nn.Unflatten(1, (2, -1)), X.reshape(2, 2, 3)),
    (nn.Identity(1, two=2), X),
]


@pytest.mark.parametrize(("layer", "expected"), ACTIVATIONS, ids=lambda value: type(value).__name__)
def test_activations_and_reshapes(layer, expected) -> None:
    np.testing.assert_allclose(layer(vs.tensor(X)).numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layer", [nn.ReLU(inplace=True), nn.LeakyReLU(inplace=True), nn.SiLU(inplace=True)])
def test_inplace_activations_change_their_input(layer) -> None:
    x = vs.tensor(X)
    assert layer(x) is x or vs.equal(layer(x), x)
    assert not np.array_equal(x.numpy(), X)


def test_pooling() -> None:
    x = vs.arange(16.0).reshape(1, 1, 4, 4)
    assert nn.MaxPool2d(2)(x).flatten().tolist() == [5.0, 7.0, 13.0, 15.0]
    assert nn.AvgPool2d(2)(x).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert nn.AdaptiveAvgPool2d(1)(x).flatten().tolist() == [7.5]
    assert tuple(nn.AdaptiveAvgPool2d((None, 2))(x).shape) == (1, 1, 4, 2)
    assert tuple(nn.MaxPool2d(3, stride=2, padding=1)(x).shape) == (1, 1, 2, 2)


LOGITS = np.array([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0]], dtype=np.float32)
TARGET = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.25]], dtype=np.float32)
DIFFERENCE = LOGITS - TARGET
LOG_SOFTMAX = LOGITS - np.log(np.exp(LOGITS).sum(1, keepdims=True))
PICKED = -LOG_SOFTMAX[[0, 1], [0, 2]]
CHANCES = 1 / (1 + np.exp(-LOGITS))
ENTROPY = -(TARGET * np.log(CHANCES) + (1 - TARGET) * np.log(1 - CHANCES))
SMOOTH = 0.9 * PICKED - 0.1 * LOG_SOFTMAX.mean(1)
HALF = np.abs(DIFFERENCE)
LOSSES = [
    (nn.MSELoss, {}, LOGITS, TARGET, DIFFERENCE**2),
    (nn.L1Loss, {}, LOGITS, TARGET, HALF),
    (nn.HuberLoss, {"delta": 0.5}, LOGITS, TARGET, np.where(HALF < 0.5, HALF**2 / 2, 0.5 * (HALF - 0.25))),
    (nn.SmoothL1Loss, {"beta": 0.5}, LOGITS, TARGET, np.where(HALF < 0.5, HALF**2, HALF - 0.25)),
    (nn.BCEWithLogitsLoss, {}, LOGITS, TARGET, ENTROPY),
    (nn.BCELoss, {}, CHANCES, TARGET, ENTROPY),
    (nn.CrossEntropyLoss, {}, LOGITS, np.array([0, 2]), PICKED),
    (nn.CrossEntropyLoss, {"label_smoothing": 0.1}, LOGITS, np.array([0, 2]), SMOOTH),
    (nn.NLLLoss, {}, LOG_SOFTMAX, np.array([0, 2]), PICKED),
]


@pytest.mark.parametrize(("kind", "options", "x", "target", "expected"), LOSSES)
def test_losses(kind, options, x, target, expected) -> None:
    for reduction, reduced in (("none", expected), ("mean", expected.mean()), ("sum", expected.sum())):
        loss = kind(reduction=reduction, **options)(vs.tensor(x), vs.tensor(target))
        np.testing.assert_allclose(loss.numpy(), reduced, rtol=1e-5, atol=1e-6)


def test_weighted_losses_keep_their_weights_as_buffers() -> None:
    weight = vs.tensor([1.0, 2.0, 3.0])
    loss = nn.CrossEntropyLoss(weight)
    assert list(loss.state_dict()) == ["weight"]
    expected = (1 * PICKED[0] + 3 * PICKED[1]) / 4
    assert loss(vs.tensor(LOGITS), vs.tensor([0, 2])).item() == pytest.approx(expected, rel=1e-5)
    assert nn.CrossEntropyLoss(ignore_index=2)(vs.tensor(LOGITS), vs.tensor([0, 2])).item() == pytest.approx(
        PICKED[0], rel=1e-5
    )
    assert list(nn.BCEWithLogitsLoss(pos_weight=weight).state_dict()) == ["pos_weight"]


# Containers -------------------------------------------------------------------------------------------------


def test_sequential() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    x = vs.randn(4, 2)
    assert vs.equal(net(x), net[2](F.relu(net[0](x))))
    assert len(net) == 3
    assert net[-1] is net[2]
    assert isinstance(net[:2], nn.Sequential)
    assert list(net[1:].state_dict()) == ["2.weight", "2.bias"]
    net.append(nn.Tanh()).insert(0, nn.Identity())
    assert [type(module).__name__ for module in net] == ["Identity", "Linear", "ReLU", "Linear", "Tanh"]
    del net[0]
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    net[3] = nn.Sigmoid()
    assert type(net.pop()).__name__ == "Sigmoid"
    assert len(nn.Sequential(nn.ReLU()) + nn.Sequential(nn.ReLU())) == 2
    named = nn.Sequential({"one": nn.Linear(1, 1), "two": nn.ReLU()})
    assert named.one is named[0]
    assert list(named.state_dict()) == ["one.weight", "one.bias"]


def test_module_list() -> None:
    layers = nn.ModuleList([nn.Linear(1, 1)])
    layers.extend([nn.ReLU(), nn.Tanh()])
    layers += [nn.Sigmoid()]
    assert [type(layer).__name__ for layer in layers] == ["Linear", "ReLU", "Tanh", "Sigmoid"]
    assert list(layers.state_dict()) == ["0.weight", "0.bias"]
    assert len(layers[1:3]) == 2
    with pytest.raises(IndexError, match="index 9 is out of range for 4"):
        layers[9]
    with pytest.raises(TypeError, match="expected a Module"):
        layers.append(vs.ones(1))


def test_module_dict() -> None:
    layers = nn.ModuleDict({"a": nn.Linear(1, 1), "b": nn.ReLU()})
    assert list(layers) == ["a", "b"]
    assert list(layers.state_dict()) == ["a.weight", "a.bias"]
    assert "a" in layers
    assert type(layers.pop("b")).__name__ == "ReLU"
    layers["c"] = nn.Tanh()
    assert list(layers.keys()) == ["a", "c"]
    layers.clear()
    assert len(layers) == 0


def test_parameter_list() -> None:
    weights = nn.ParameterList([vs.ones(2), nn.Parameter(vs.zeros(3))])
    weights.append(vs.ones(1))
    assert [tuple(p.shape) for p in weights.parameters()] == [(2,), (3,), (1,)]
    assert list(weights.state_dict()) == ["0", "1", "2"]
    assert weights[0].requires_grad


# Initial values ---------------------------------------------------------------------------------------------


def test_linear_and_conv_start_uniform_in_one_over_root_fan_in() -> None:
    vs.manual_seed(0)
    for layer, fan_in in ((nn.Linear(256, 128), 256), (nn.Conv2d(16, 64, 5), 400)):
        bound = 1 / math.sqrt(fan_in)
        for parameter in layer.parameters():
            values = parameter.detach().numpy()
            assert np.abs(values).max() <= bound
            assert np.abs(values).max() > 0.9 * bound
        spread = layer.weight.detach().numpy().std()
        assert spread == pytest.approx(bound / math.sqrt(3), rel=0.03)


FANS = (200, 100)  # weight (100, 200)
INITS = [
    (lambda w: nn.init.uniform_(w, -1, 3), 1.0, 4 / math.sqrt(12)),
    (lambda w: nn.init.normal_(w, 2.0, 0.5), 2.0, 0.5),
    (nn.init.xavier_uniform_, 0.0, math.sqrt(2 / sum(FANS))),
    (nn.init.xavier_normal_, 0.0, math.sqrt(2 / sum(FANS))),
    (lambda w: nn.init.kaiming_uniform_(w, nonlinearity="relu"), 0.0, math.sqrt(2 / FANS[0])),
    (lambda w: nn.init.kaiming_normal_(w, mode="fan_out"), 0.0, math.sqrt(2 / FANS[1])),
    (lambda w: nn.init.trunc_normal_(w, 0.0, 1.0, -1.0, 1.0), 0.0, 0.5396),
    (lambda w: nn.init.constant_(w, 3.0), 3.0, 0.0),
    (nn.init.ones_, 1.0, 0.0),
    (nn.init.zeros_, 0.0, 0.0),
]


@pytest.mark.parametrize(("fill", "mean", "std"), INITS)
def test_initial_values_have_their_mean_and_spread(fill, mean: float, std: float) -> None:
    vs.manual_seed(1)
    weight = nn.Parameter(vs.empty(100, 200))
    assert fill(weight) is weight
    assert weight.requires_grad
    assert weight.is_leaf
    values = weight.detach().numpy()
    assert values.mean() == pytest.approx(mean, abs=max(0.05 * std, 1e-6))
    assert values.std() == pytest.approx(std, rel=0.03, abs=1e-6)


def test_gains() -> None:
    assert nn.init.calculate_gain("relu") == math.sqrt(2)
    assert nn.init.calculate_gain("leaky_relu", math.sqrt(5)) == pytest.approx(math.sqrt(1 / 3))
    assert nn.init.calculate_gain("tanh") == 5 / 3
    with pytest.raises(ValueError, match="unknown nonlinearity 'what'"):
        nn.init.calculate_gain("what")
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        nn.init.xavier_normal_(vs.empty(3))


# Errors -----------------------------------------------------------------------------------------------------

MISFITS = [
    (
        nn.Linear(784, 10),
        (64, 28, 28),
        "[Linear] expected last dimension 784, got input of shape (64, 28, 28); "
        "flatten it first: x.flatten(1)",
    ),
    (nn.Linear(3, 2), (4, 5), "[Linear] expected last dimension 3, got input of shape (4, 5)"),
    (
        nn.Conv2d(1, 4, 3),
        (64, 28, 28),
        "[Conv2d] expected (N, 1, H, W), got input of shape (64, 28, 28); "
        "add the channel axis: x.unsqueeze(-3)",
    ),
    (
        nn.Conv2d(3, 4, 3),
        (8, 32, 32, 3),
        "[Conv2d] expected (N, 3, H, W), got input of shape (8, 32, 32, 3); "
        "move the channels forward: x.permute(0, 3, 1, 2)",
    ),
    (nn.Conv2d(1, 1, 5), (1, 1, 3, 3), "[Conv2d] the kernel spans 5x5, the padded input only 3x3"),
    (
        nn.BatchNorm2d(3),
        (4, 5, 2, 2),
        "[BatchNorm2d] expected 3 channels on axis 1, got input of shape (4, 5, 2, 2)",
    ),
    (nn.BatchNorm2d(3), (4, 3), "[BatchNorm2d] expected (N, 3, H, W), got input of shape (4, 3)"),
    (nn.LayerNorm(4), (2, 3), "[LayerNorm] expected last dimensions (4,), got input of shape (2, 3)"),
    (
        nn.MaxPool2d(4),
        (1, 1, 3, 3),
        "[MaxPool2d] the window (4, 4) is larger than the input of shape (1, 1, 3, 3)",
    ),
    (nn.AvgPool2d(2), (3, 3), "[AvgPool2d] expected (N, C, H, W), got input of shape (3, 3)"),
]


@pytest.mark.parametrize(("layer", "shape", "message"), MISFITS)
def test_misfits_are_told_in_the_terms_of_the_layer(layer, shape, message: str) -> None:
    with pytest.raises(vs.ShapeError) as caught:
        layer(vs.zeros(shape))
    assert str(caught.value).startswith(message)


def test_other_dtypes_are_told_in_the_terms_of_the_layer() -> None:
    for layer, shape in ((nn.Linear(2, 2), (1, 2)), (nn.Conv2d(1, 1, 1), (1, 1, 2, 2))):
        with pytest.raises(
            vs.DTypeError, match=r"the weights are versant\.float32, got input of versant\.float64"
        ):
            layer(vs.ones(shape, dtype=vs.float64))


def test_a_batch_that_fails_is_not_counted() -> None:
    layer = nn.BatchNorm2d(2)
    with pytest.raises(vs.ShapeError):
        layer(vs.ones(1, 2, 1, 1))
    assert int(layer.num_batches_tracked) == 0
    assert layer.running_mean.tolist() == [0.0, 0.0]


BAD_OPTIONS = [
    (lambda: nn.Linear(-1, 2), ValueError, r"\[Linear\] in_features must be at least 0, got -1"),
    (lambda: nn.Linear(2.5, 2), TypeError, r"\[Linear\] in_features must be an int, got float"),
    (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "divisible by groups 2"),
    (lambda: nn.Conv2d(3, 4, (1, 2, 3)), ValueError, "kernel_size must be an int or 2 of them"),
    (lambda: nn.Conv2d(3, 4, 3, stride=2, padding="same"), ValueError, "padding='same' needs stride 1"),
    (lambda: nn.Conv2d(3, 4, 3, padding="full"), ValueError, "must be one of 'valid', 'same'"),
    (lambda: nn.MaxPool2d(2, padding=2), ValueError, "more than half of kernel_size"),
    (lambda: nn.Dropout(1.5), ValueError, r"p must be in \[0, 1\], got 1.5"),
    (lambda: nn.GELU("fast"), ValueError, "approximate must be one of"),
    (lambda: nn.Softmax(), ValueError, r"\[Softmax\] dim is needed"),
    (lambda: nn.Embedding(3, 2, padding_idx=3), ValueError, "padding_idx 3 is outside"),
    (lambda: nn.MSELoss(reduction="average"), ValueError, r"\[MSELoss\] reduction must be one of"),
    (lambda: nn.Parameter([1.0]), TypeError, r"\[Parameter\] data must be a Tensor, got list"),
]


@pytest.mark.parametrize(("make", "error", "message"), BAD_OPTIONS)
def test_bad_options_raise(make, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_to_a_memory_format_lays_out_weights_of_its_rank():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)).to(memory_format=vs.channels_last)
    assert model[0].weight.stride() == (27, 1, 9, 3)
    assert model[0].bias.stride() == model[1].weight.stride() == (1,)
    assert model[0](vs.ones(2, 3, 8, 8)).is_contiguous(memory_format=vs.channels_last)
