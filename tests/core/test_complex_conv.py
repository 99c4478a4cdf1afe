"""Convolutions of complex numbers: values against numpy, gradients to order two through their parts."""

import numpy as np
import pytest

import versant as vs
from versant.nn import functional as F
from versant.ops.spatial_references import convolve, convolve_transposed
from versant.testing import check_gradients

# Shapes of input, weight and bias; stride, padding, dilation, groups.
FORWARD = [
    ("conv1d", (2, 4, 7), (6, 2, 3), 6, 2, 1, 1, 2),
    ("conv2d", (2, 3, 6, 5), (4, 3, 3, 2), None, 1, (1, 0), (1, 2), 1),
    ("conv2d", (4, 5, 5), (4, 1, 3, 3), 4, 1, 1, 1, 4),
    ("conv3d", (1, 2, 4, 3, 4), (2, 2, 2, 3, 2), 2, 1, 1, 1, 1),
]
# ...; stride, padding, output_padding, groups, dilation.
TRANSPOSED = [
    ("conv_transpose1d", (2, 4, 5), (4, 2, 3), 4, 2, 1, 1, 2, 1),
    ("conv_transpose2d", (3, 4, 3), (3, 2, 3, 2), 2, 1, 0, 0, 1, 2),
    ("conv_transpose3d", (1, 2, 2, 3, 2), (2, 2, 2, 2, 3), None, 2, (1, 0, 1), 1, 1, 1),
]
CASES = [(name, convolve, *case) for name, *case in FORWARD]
CASES += [(name, convolve_transposed, *case) for name, *case in TRANSPOSED]


def pairs(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal((*shape, 2))


def drawn(x, weight, bias):
    shapes = [x, weight] + ([(bias,)] if bias else [])
    return [pairs(*shape, seed=i) for i, shape in enumerate(shapes)]


@pytest.mark.parametrize(
    ("name", "reference", "x", "weight", "bias", "how"), [(*c[:5], c[5:]) for c in CASES]
)
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_values(name, reference, x, weight, bias, how, dtype):
    x, weight, bias, *_ = (*(a.view("complex128")[..., 0] for a in drawn(x, weight, bias)), None)
    wanted = reference(x, weight, bias, *how)
    tensors = [None if a is None else vs.tensor(a.astype(dtype)) for a in (x, weight, bias)]
    result = getattr(F, name)(*tensors, *how)
    assert result.dtype.name == dtype
    np.testing.assert_allclose(result.numpy(), wanted, rtol=0, atol=3e-5 if dtype == "complex64" else 1e-13)


@pytest.mark.parametrize(("name", "x", "weight", "bias", "how"), [(c[0], *c[2:5], c[5:]) for c in CASES])
def test_gradients_to_order_two(name, x, weight, bias, how):
    def of_pairs(*parts):
        tensors = [vs.view_as_complex(p) for p in parts] + [None] * (3 - len(parts))
        return vs.view_as_real(getattr(F, name)(*tensors, *how))

    check_gradients(of_pairs, [vs.tensor(a, requires_grad=True) for a in drawn(x, weight, bias)])


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_layers_pad_and_train_complex_images(mode):
    layer = vs.nn.Conv2d(2, 4, 3, padding=1, padding_mode=mode, groups=2, dtype=vs.complex128)
    x = vs.view_as_complex(vs.tensor(pairs(1, 2, 5, 6)))
    widths = [(0, 0), (0, 0), (1, 1), (1, 1)]
    padding = {"zeros": "constant", "replicate": "edge", "circular": "wrap"}.get(mode, mode)
    padded = np.pad(x.numpy(), widths, mode=padding)
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    y = layer(x)
    np.testing.assert_allclose(y.detach().numpy(), convolve(padded, weight, bias, 1, 0, 1, 2), atol=1e-13)
    y.abs().square().sum().backward()
    # 2 conj(dy/dbias) y: PyTorch's convention for a real loss.
    np.testing.assert_allclose(layer.bias.grad.numpy(), 2 * y.detach().numpy().sum((0, 2, 3)), atol=1e-11)


def test_uneven_padding_keeps_the_size():
    x, weight = (vs.view_as_complex(vs.tensor(pairs(*shape))) for shape in ((1, 2, 6), (3, 2, 4)))
    y = F.conv1d(x, weight, padding="same")
    padded = np.pad(x.numpy(), [(0, 0), (0, 0), (1, 2)])
    np.testing.assert_allclose(y.numpy(), convolve(padded, weight.numpy(), None, 1, 0, 1, 1), atol=1e-13)


def test_input_and_weight_share_a_dtype():
    with pytest.raises(
        vs.DTypeError, match=r"\[conv1d\] .* must have the same dtype, got complex64, float32"
    ):
        F.conv1d(vs.zeros(1, 2, 5, dtype=vs.complex64), vs.zeros(1, 2, 3))
