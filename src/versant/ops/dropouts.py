"""Ops that draw: dropout and its kin and rrelu, in training alone, and gumbel_softmax."""

from __future__ import annotations

import math

from versant._core import ShapeError, Tensor
from versant.ops.activations import leaky_relu
from versant.ops.comparison import where
from versant.ops.creation import empty_like, new, ones_like, zeros_like
from versant.ops.indexing import scatter
from versant.ops.lazy import np
from versant.ops.normalization import softmax
from versant.ops.powers import log
from versant.ops.random import drawn, exponential_, uniform_
from versant.ops.record import composite, primitive
from versant.ops.samples import array, call

# --- single values ----------------------------------------------------------------------------------------

dropped = primitive(
    "dropout.draw",
    "input, p: number, train: bool, *, generator: generator? = None",
    "input / (1 - p) with probability 1 - p, else 0.",
    target="dropout",
    places="",
    without={"onnx": "an identity in exported programs", "stablehlo": "an identity in exported programs"},
    ref=lambda x, p, train: x,
    samples=[call(array(3, 4), 0.5, False), call(array(3, 4), 0.0, True)],
)


@composite(
    ref=lambda x, p=0.5, training=True: x,
    samples=[call(array(3, 4), 0.5, False), call(array(3, 4), 0.0, True)],
    places="nn.functional",
    also="versant.dropout",
)
def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """In training, 0 with probability p, else input / (1 - p); otherwise input (Srivastava et al. 2014)."""
    if not 0 <= p <= 1:
        raise ValueError(f"[dropout] expected a probability between 0 and 1, got {p}")
    if not input.is_complex():
        result: Tensor = dropped(input, p, training)
    else:  # a number goes as a whole
        result = input * dropped(ones_like(input.real), p, training) if training else input
    return input.copy_(result) if inplace else result


def checked(op: str, p: float) -> None:
    if not 0 <= p <= 1:
        raise ValueError(f"[{op}] expected a probability between 0 and 1, got {p}")


# What SELU tends to for large negative numbers (Klambauer et al. 2017).
SATURATION = -1.7580993408473766


def alpha_dropped(op: str, input: Tensor, mask_shape: tuple[int, ...], p: float, training: bool) -> Tensor:
    checked(op, p)
    if not training or p == 0:
        return input
    if p == 1:
        return input * 0
    scale = 1 / math.sqrt((SATURATION**2 * p + 1) * (1 - p))
    # Dropping ones tells which values stay; the factor by which they grow is taken back.
    stays = dropout(new(op, mask_shape, 1, input.dtype), p, True) != 0
    return where(stays, input * scale, SATURATION * scale) - scale * SATURATION * p


@composite(
    ref=lambda x, p=0.5, training=False: x,
    samples=[call(array(3, 4), 0.5, False), call(array(3, 4), 0.0, True)],
    places="versant nn.functional",
)
def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout that keeps mean 0 and variance 1 under SELU (Klambauer et al. 2017)."""
    result = alpha_dropped("alpha_dropout", input, tuple(input.shape), p, training)
    return input.copy_(result) if inplace else result


# --- whole channels ---------------------------------------------------------------------------------------


def channels_dropped(op: str, input: Tensor, axes: int, p: float, training: bool, inplace: bool) -> Tensor:
    checked(op, p)
    if input.ndim < axes + 1:
        raise ShapeError(
            f"[{op}] expected channels before the last {axes} axes, got shape {tuple(input.shape)}"
        )
    if not training or p == 0:
        return input
    mask = dropout(new(op, (*input.shape[:-axes], *[1] * axes), 1, input.dtype), p, training)
    return input.mul_(mask) if inplace else input * mask


@composite(
    ref=lambda x, p=0.5, training=True: x,
    samples=[call(array(2, 3, 4), 0.5, False), call(array(2, 3, 4), 0.0, True)],
    places="nn.functional",
)
def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels.  input: (N, C, L) or (C, L)"""
    return channels_dropped("dropout1d", input, 1, p, training, inplace)


@composite(
    ref=lambda x, p=0.5, training=True: x,
    samples=[call(array(2, 3, 4, 4), 0.5, False), call(array(2, 3, 4, 4), 0.0, True)],
    places="nn.functional",
)
def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels.  input: (N, C, H, W) or (C, H, W)"""
    return channels_dropped("dropout2d", input, 2, p, training, inplace)


@composite(
    ref=lambda x, p=0.5, training=True: x,
    samples=[call(array(2, 3, 2, 2, 2), 0.5, False), call(array(2, 3, 2, 2, 2), 0.0, True)],
    places="nn.functional",
)
def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels.  input: (N, C, D, H, W) or (C, D, H, W)"""
    return channels_dropped("dropout3d", input, 3, p, training, inplace)


@composite(
    ref=lambda x, p=0.5, training=False: x,
    samples=[call(array(2, 3, 4), 0.5, False), call(array(2, 3, 4), 0.0, True)],
    places="versant nn.functional",
)
def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """alpha_dropout of whole channels.  input: (N, C, ...)"""
    if input.ndim < 2:
        raise ShapeError(f"[feature_alpha_dropout] expected (N, C, ...), got shape {tuple(input.shape)}")
    mask_shape = (*input.shape[:2], *[1] * (input.ndim - 2))
    result = alpha_dropped("feature_alpha_dropout", input, mask_shape, p, training)
    return input.copy_(result) if inplace else result


# --- slopes -----------------------------------------------------------------------------------------------


@composite(
    ref=lambda x, lower=1 / 8, upper=1 / 3: np.where(x > 0, x, x * (lower + upper) / 2),
    samples=[call(array(3, 4)), call(array(5), 0.1, 0.5)],
    places="versant nn.functional",
)
def rrelu(
    input: Tensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """input where positive, else input times a slope: drawn from [lower, upper) in training, or their mean.

    Xu et al. 2015.
    """
    if not lower <= upper:
        raise ValueError(f"[rrelu] expected lower <= upper, got {lower} and {upper}")
    if training:
        result = where(input > 0, input, input * uniform_(empty_like(input.detach()), lower, upper))
    else:
        result = leaky_relu(input, (lower + upper) / 2)
    return input.copy_(result) if inplace else result


# --- categories -------------------------------------------------------------------------------------------


@composite(places="nn.functional", without=drawn)
def gumbel_softmax(
    logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """Softmax of (logits + Gumbel noise) / tau: categories drawn softly (Jang et al., Maddison et al. 2016).

    hard: one-hot vectors, with the gradient of the soft ones. eps is not used, as in PyTorch.
    """
    noise = -log(exponential_(empty_like(logits.detach())))
    soft = softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    chosen = scatter(zeros_like(soft.detach()), dim, soft.detach().argmax(dim, keepdim=True), 1.0)
    return chosen - soft.detach() + soft
