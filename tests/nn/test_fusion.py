"""A batch norm in eval mode joins the layer before it."""

import pytest

import versant as vs
from versant import nn
from versant.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval


def settled(norm: nn.Module) -> nn.Module:
    """With statistics and weights that are not those it starts with."""
    with vs.no_grad():
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            tensor.copy_(vs.randn(*tensor.shape))
        norm.running_var.copy_(vs.rand(*norm.running_var.shape) + 0.5)
    return norm.eval()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("transpose", [True, False])
def test_convolution(bias: bool, transpose: bool) -> None:
    kind = nn.ConvTranspose2d if transpose else nn.Conv2d
    conv, norm = kind(3, 5, 3, bias=bias).eval(), settled(nn.BatchNorm2d(5))
    fused = fuse_conv_bn_eval(conv, norm, transpose)
    x = vs.randn(2, 3, 6, 6)
    assert vs.allclose(fused(x), norm(conv(x)), rtol=1e-4, atol=1e-5)
    assert not vs.equal(fused.weight, conv.weight)  # conv itself stays as it was


def test_linear() -> None:
    linear, norm = nn.Linear(3, 5).eval(), settled(nn.BatchNorm1d(5))
    x = vs.randn(2, 3)
    assert vs.allclose(fuse_linear_bn_eval(linear, norm)(x), norm(linear(x)), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="gives 5 features"):
        fuse_linear_bn_eval(linear, nn.BatchNorm1d(4).eval())


def test_layers_in_training_are_refused() -> None:
    with pytest.raises(RuntimeError, match="eval mode"):
        fuse_conv_bn_eval(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
