"""Layers joined into one for inference: a batch norm with fixed statistics is part of the layer before it."""

from copy import deepcopy
from typing import Any

import versant
from versant import Tensor
from versant.nn.module import Module
from versant.nn.parameter import Parameter


def folded(
    weight: Tensor,
    bias: Tensor | None,
    mean: Tensor,
    var: Tensor,
    eps: float,
    scale: Tensor | None,
    shift: Tensor | None,
    along: tuple[int, ...],
) -> tuple[Parameter, Parameter]:
    """Weight and bias of ((w x + b) - mean) / sqrt(var + eps) * scale + shift; `along`: the weight's axes."""
    with versant.no_grad():
        factor = versant.rsqrt(var + eps)
        factor = factor if scale is None else factor * scale
        offset = -mean if bias is None else bias - mean
        offset = offset * factor
        offset = offset if shift is None else offset + shift
        new_weight = (weight * factor.view(along)).to(weight.dtype)
        new_bias = offset.to(weight.dtype if bias is None else bias.dtype)
    learns = weight.requires_grad
    return Parameter(new_weight, learns), Parameter(new_bias, learns if bias is None else bias.requires_grad)


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """Weight and bias of a convolution that does what it and a batch norm after it do in eval mode.

    conv_w: (out, in, ...), transposed (in, out, ...); bn_rm, bn_rv: running mean and variance.
    """
    along: tuple[int, ...] = (1, -1) if transpose else (-1, 1)
    along += (1,) * (conv_w.ndim - 2)
    return folded(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, along)


def fuse_linear_bn_weights(
    linear_w: Tensor,
    linear_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
) -> tuple[Parameter, Parameter]:
    """Weight and bias of a linear layer that does what it and a batch norm after it do in eval mode."""
    return folded(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, (-1, 1))


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """A copy of the convolution `conv` that does what conv and the batch norm `bn` do in eval mode."""
    check("fuse_conv_bn_eval", conv, bn)
    fused = deepcopy(conv)
    fused.weight, fused.bias = fuse_conv_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, transpose
    )
    return fused


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """A copy of the linear layer that does what it and the batch norm `bn` do in eval mode."""
    check("fuse_linear_bn_eval", linear, bn)
    if linear.out_features != bn.num_features:
        raise ValueError(
            f"[fuse_linear_bn_eval] the linear layer gives {linear.out_features} features, "
            f"the batch norm takes {bn.num_features}"
        )
    fused = deepcopy(linear)
    fused.weight, fused.bias = fuse_linear_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    return fused


def check(name: str, layer: Module, bn: Any) -> None:
    if layer.training or bn.training:
        raise RuntimeError(f"[{name}] both layers must be in eval mode: call .eval() first")
    if bn.running_mean is None or bn.running_var is None:
        raise ValueError(f"[{name}] the batch norm keeps no running statistics")
