"""What a network gives for a sample does not depend on the batch that the sample came in, bit for bit."""

import numpy as np
import pytest

import versant as vs
from versant import nn


def image(rng):
    return (int(rng.integers(1, 17)), int(rng.integers(5, 40)), int(rng.integers(5, 40)))


def linear(rng, dtype):
    n, m = rng.integers(1, 700, 2)
    return nn.Linear(int(n), int(m), dtype=dtype), (int(n),)


def conv(rng, dtype, **options):
    shape = image(rng)
    out = int(rng.integers(1, 33))
    return nn.Conv2d(shape[0], out, int(rng.integers(1, 6)), padding=2, dtype=dtype, **options), shape


def strided_conv(rng, dtype):
    return conv(rng, dtype, stride=2)


def depthwise_conv(rng, dtype):
    shape = image(rng)
    return nn.Conv2d(shape[0], shape[0], 3, padding=1, groups=shape[0], dtype=dtype), shape


def batch_norm(rng, dtype):
    shape = image(rng)
    layer = nn.BatchNorm2d(shape[0], dtype=dtype)
    layer(vs.randn(4, *shape, dtype=dtype))
    return layer, shape


def layer_norm(rng, dtype):
    shape = (int(rng.integers(1, 30)), int(rng.integers(2, 900)))
    return nn.LayerNorm(shape[1], dtype=dtype), shape


def softmax(rng, dtype):
    return nn.Softmax(-1), (int(rng.integers(1, 30)), int(rng.integers(1, 900)))


def products(rng, dtype):
    n, k, m = (int(i) for i in rng.integers(1, 90, 3))
    right = vs.randn(k, m, dtype=dtype)
    return lambda x: x @ right @ right.t(), (n, k)


def paired_products(rng, dtype):
    n, k = (int(i) for i in rng.integers(1, 90, 2))
    return lambda x: vs.bmm(x, x.transpose(1, 2)), (n, k)


def attention(rng, dtype):
    length, features = (int(i) for i in rng.integers(1, 200, 2))
    causal = bool(rng.integers(2))
    return lambda x: nn.functional.scaled_dot_product_attention(x, x, x, is_causal=causal), (length, features)


def attention_of_few_queries(rng, dtype):
    length, features = (int(i) for i in rng.integers(4, 200, 2))
    return lambda x: nn.functional.scaled_dot_product_attention(x[:, :2], x, x), (length, features)


def perceptron(rng, dtype):
    layers = [nn.Linear(64, 128), nn.GELU(), nn.LayerNorm(128), nn.Dropout(0.5), nn.Linear(128, 10)]
    return nn.Sequential(*layers).to(dtype), (64,)


def convolutional(rng, dtype):
    layers = [nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(16 * 36, 10)).to(dtype), (3, 12, 12)


def conv1d(rng, dtype):
    channels, out, width = (int(i) for i in rng.integers(1, 40, 3))
    length = int(rng.integers(width, 300))
    return nn.Conv1d(channels, out, width, padding=width // 2, dtype=dtype), (channels, length)


def conv3d(rng, dtype):
    shape = (int(rng.integers(1, 9)), *(int(i) for i in rng.integers(4, 12, 3)))
    return nn.Conv3d(shape[0], int(rng.integers(1, 17)), 3, padding=1, dtype=dtype), shape


def transposed_conv(rng, dtype):
    shape = image(rng)
    return nn.ConvTranspose2d(shape[0], int(rng.integers(1, 17)), 3, stride=2, dtype=dtype), shape


def group_norm(rng, dtype):
    groups = int(rng.integers(1, 5))
    channels = groups * int(rng.integers(1, 9))
    return nn.GroupNorm(groups, channels, dtype=dtype), (channels, *image(rng)[1:])


def instance_norm(rng, dtype):
    shape = image(rng)
    return nn.InstanceNorm2d(shape[0], affine=True, dtype=dtype), shape


def rms_norm(rng, dtype):
    shape = (int(rng.integers(1, 30)), int(rng.integers(2, 900)))
    return nn.RMSNorm(shape[1], dtype=dtype), shape


def log_softmax(rng, dtype):
    return nn.LogSoftmax(-1), (int(rng.integers(1, 30)), int(rng.integers(1, 900)))


def encoder(rng, dtype):
    layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, dtype=dtype)
    return layer, (int(rng.integers(2, 60)), 32)


def recurrent(rng, dtype):
    lstm = nn.LSTM(int(rng.integers(1, 40)), int(rng.integers(1, 40)), batch_first=True, dtype=dtype)
    return lambda x: lstm(x)[0], (int(rng.integers(1, 20)), lstm.input_size)


MAKERS = [
    linear, conv, strided_conv, depthwise_conv, conv1d, conv3d, transposed_conv, batch_norm, group_norm,
    instance_norm, layer_norm, rms_norm, softmax, log_softmax, products, paired_products, attention,
    attention_of_few_queries, encoder, recurrent, perceptron, convolutional,
]  # fmt: skip


@pytest.mark.parametrize("dtype", [vs.float32, vs.float64, vs.bfloat16], ids=str)
@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_a_sample_does_not_see_its_batch(make, dtype) -> None:
    rng = np.random.default_rng(5)
    vs.manual_seed(5)
    for _ in range(6):
        network, shape = make(rng, dtype)
        if isinstance(network, nn.Module):
            network.eval()
        batch = vs.randn(int(rng.integers(2, 40)), *shape, dtype=dtype)
        with vs.no_grad():
            together = network(batch)
            for part in (slice(0, 1), slice(1, 2), slice(0, len(batch) // 2), slice(len(batch) // 2, None)):
                alone = network(batch[part])
                assert alone._to_bytes() == together[part].contiguous()._to_bytes(), (shape, len(batch), part)
