"""Softmax, normalisation and dropout.

Softmax, log_softmax, layer_norm and batch_norm are defined here over ordinary ops; the machine has faster
forms, which a test holds against these definitions.
"""

from __future__ import annotations

from versant._core import ShapeError, Tensor, promote_types
from versant.ops.arithmetic import neg
from versant.ops.axes import Axes
from versant.ops.joining import pad
from versant.ops.lazy import np
from versant.ops.powers import exp, log, rsqrt, square
from versant.ops.record import composite, primitive
from versant.ops.reductions import amax, mean, sum, vector_norm
from versant.ops.rounding import clamp_min
from versant.ops.samples import array, call, fixed, positive
from versant.ops.shape import broadcast_tensors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

# --- softmax ----------------------------------------------------------------------------------------------


def softmax_composite(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    x = input if dtype is None else input.to(dtype)
    e = exp(x - amax(x, dim, True).detach())
    return e / sum(e, dim, True)


def log_softmax_composite(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    x = input if dtype is None else input.to(dtype)
    shifted = x - amax(x, dim, True).detach()
    return shifted - log(sum(exp(shifted), dim, True))


softmax_along = primitive(
    "softmax.dim",
    "input, dim: int, dtype: dtype? = None",
    "exp(input) / sum(exp(input)) along an axis.",
    target="softmax",
    definition=softmax_composite,
    ref=lambda x, dim: np.exp(x) / np.sum(np.exp(x), axis=dim, keepdims=True),
    samples=[call(array(3, 4), -1), call(array(2, 3, 4), 1), call(array(5), 0), call(array(0, 3), 1)],
    onnx="Softmax",
)
log_softmax_along = primitive(
    "log_softmax.dim",
    "input, dim: int, dtype: dtype? = None",
    "log(softmax(input)), without overflow.",
    target="log_softmax",
    definition=log_softmax_composite,
    ref=lambda x, dim: x - np.log(np.sum(np.exp(x), axis=dim, keepdims=True)),
    samples=[call(array(3, 4), -1), call(array(2, 3, 4), 1), call(array(5), 0), call(array(0, 3), 1)],
    onnx="LogSoftmax",
)


def usual_dim(input: Tensor, dim: int | None) -> int:
    """The axis of softmax where none is named: 0 for 0, 1 or 3 axes, else 1."""
    return dim if dim is not None else 0 if input.ndim in (0, 1, 3) else 1


@composite(
    ref=lambda x, dim: np.exp(x) / np.sum(np.exp(x), axis=dim, keepdims=True),
    samples=[call(array(3, 4), -1), call(array(2, 3), dim=0)],
    places="versant Tensor nn.functional",
    also="special.softmax",
)
def softmax(input: Tensor, dim: int | None = None, dtype: Any = None, *, _stacklevel: int = 3) -> Tensor:
    """exp(input) / sum(exp(input)) along an axis: positive numbers that add up to 1."""
    return softmax_along(input, usual_dim(input, dim), dtype)


@composite(
    ref=lambda x, dim: x - np.log(np.sum(np.exp(x), axis=dim, keepdims=True)),
    samples=[call(array(3, 4), -1), call(array(2, 3), dim=0)],
    places="versant Tensor nn.functional",
    also="special.log_softmax",
)
def log_softmax(input: Tensor, dim: int | None = None, dtype: Any = None, *, _stacklevel: int = 3) -> Tensor:
    """log(softmax(input)) along an axis, without overflow."""
    return log_softmax_along(input, usual_dim(input, dim), dtype)


@composite(
    ref=lambda x, dim: np.exp(-x) / np.sum(np.exp(-x), axis=dim, keepdims=True),
    samples=[call(array(3, 4), -1)],
    places="nn.functional",
)
def softmin(input: Tensor, dim: int | None = None, dtype: Any = None, *, _stacklevel: int = 3) -> Tensor:
    """softmax(-input)"""
    return softmax(neg(input), dim, dtype=dtype)


@composite(
    ref=lambda x, dim=-1: np.split(x, 2, dim)[0] / (1 + np.exp(-np.split(x, 2, dim)[1])),
    samples=[call(array(3, 4)), call(array(6, 2), 0)],
    places="nn.functional",
)
def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half of an axis times the sigmoid of the second (Dauphin et al. 2016)."""
    if input.shape[dim] % 2:
        raise ShapeError(f"[glu] axis {dim} of {tuple(input.shape)} cannot be halved")
    a, b = input.chunk(2, dim)
    return a * b.sigmoid()


# --- normalisation ----------------------------------------------------------------------------------------


def layer_norm_composite(
    input: Tensor, normalized_shape: Sequence[int], weight: Any, bias: Any, eps: float
) -> Tensor:
    axes = tuple(range(-len(normalized_shape), 0))
    centred = input - mean(input, axes, True)
    result = centred * rsqrt(mean(square(centred), axes, True) + eps)
    result = result if weight is None else result * weight
    return result if bias is None else result + bias


layer_norm_whole = primitive(
    "layer_norm.whole",
    "input, normalized_shape: ints, weight: tensor?, bias: tensor?, eps: number",
    "layer_norm, with all arguments.",
    target="layer_norm",
    definition=layer_norm_composite,
    ref=lambda x, shape, w, b, eps: (
        (x - np.mean(x, tuple(range(-len(shape), 0)), keepdims=True))
        / np.sqrt(np.var(x, tuple(range(-len(shape), 0)), keepdims=True) + eps)
        * (1 if w is None else w)
        + (0 if b is None else b)
    ),
    samples=[
        call(array(3, 4), (4,), array(4), array(4), 1e-5),
        call(array(2, 3, 4), (3, 4), array(3, 4), None, 1e-3),
        call(array(2, 3, 4), (4,), None, None, 1e-5),
    ],
    onnx="LayerNormalization",
)


@composite(
    ref=lambda x, shape: (x - np.mean(x, -1, keepdims=True)) / np.sqrt(np.var(x, -1, keepdims=True) + 1e-5),
    samples=[call(array(3, 4), (4,))],
    places="versant nn.functional",
)
def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-05,
) -> Tensor:
    """(input - mean) / sqrt(var + eps) * weight + bias over the last axes (Ba et al. 2016).

    normalized_shape: the sizes of these axes; weight and bias have this shape.
    """
    shape = tuple(normalized_shape)
    if not shape or tuple(input.shape[-len(shape) :]) != shape:
        raise ShapeError(
            f"[layer_norm] expected last dimensions {shape}, got input of shape {tuple(input.shape)}"
        )
    return layer_norm_whole(input, shape, weight, bias, eps)


def batch_norm_composite(
    input: Tensor,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    training: bool,
    momentum: float,
    eps: float,
    batches: Tensor | None = None,
) -> Tensor:
    axes = [d for d in range(input.ndim) if d != 1]
    along = (1, -1) + (1,) * (input.ndim - 2)
    if training:
        centre = mean(input, axes, True)
        variance = mean(square(input - centre), axes, True)
        if running_mean is not None:
            share = momentum if batches is None else 1 / (1 + float(batches))
            n = input.numel() // input.shape[1]
            running_mean.lerp_(centre.detach().reshape(-1), share)
            running_var.lerp_(variance.detach().reshape(-1) * (n / max(n - 1, 1)), share)
    else:
        centre, variance = running_mean.view(along), running_var.view(along)
    result = (input - centre) * rsqrt(variance + eps)
    result = result if weight is None else result * weight.view(along)
    return result if bias is None else result + bias.view(along)


def batch_norm_reference(
    x: Any, w: Any, b: Any, centre: Any, variance: Any, training: bool, momentum: float, eps: float
) -> Any:
    axes = tuple(d for d in range(x.ndim) if d != 1)
    along = (1, -1) + (1,) * (x.ndim - 2)
    if training:
        centre, variance = np.mean(x, axes), np.var(x, axes)
    y = (x - centre.reshape(along)) / np.sqrt(variance.reshape(along) + eps)
    return y * (1 if w is None else w.reshape(along)) + (0 if b is None else b.reshape(along))


batch_norm_whole = primitive(
    "batch_norm.whole",
    "input, weight: tensor?, bias: tensor?, running_mean: tensor?, running_var: tensor?, training: bool, "
    "momentum: number, eps: number, batches: tensor? = None",
    "batch_norm, with all arguments; given the batches before, running statistics are averages over all.",
    target="batch_norm",
    definition=batch_norm_composite,
    ref=batch_norm_reference,
    samples=[
        call(array(4, 3), array(3), array(3), None, None, True, 0.1, 1e-5),
        call(array(2, 3, 4, 2), None, None, None, None, True, 0.1, 1e-3),
        call(array(2, 3, 4), array(3), array(3), fixed(3), fixed(3, domain=positive), False, 0.1, 1e-5),
    ],
    onnx="BatchNormalization",
    stablehlo="batch_norm_training",
)


@composite(
    ref=lambda x, centre, variance, w=None, b=None, training=False, momentum=0.1, eps=1e-5: (
        batch_norm_reference(x, w, b, centre, variance, training, momentum, eps)
    ),
    samples=[
        call(array(4, 3), None, None, training=True),
        call(array(2, 3, 2), fixed(3), fixed(3, domain=positive), array(3), array(3)),
    ],
    places="nn.functional",
)
def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-05,
) -> Tensor:
    """(input - mean) / sqrt(var + eps) * weight + bias for each channel (Ioffe and Szegedy 2015).

    input: (N, C, ...). In training the batch's statistics are used, and the running ones move by momentum
    toward them; otherwise the running ones are used.
    """
    if input.shape == (0,):
        return input.clone()
    if input.ndim < 2:
        raise ShapeError(f"[batch_norm] expected (N, C, ...), got {tuple(input.shape)}")
    if training and 0 < input.numel() == input.shape[1]:
        raise ShapeError(
            f"[batch_norm] expected more than 1 value per channel in training, got {tuple(input.shape)}"
        )
    return batch_norm_whole(input, weight, bias, running_mean, running_var, training, momentum, eps)


def group_norm_composite(input: Tensor, num_groups: int, weight: Any, bias: Any, eps: float) -> Tensor:
    grouped = input.reshape(input.shape[0], num_groups, -1)
    result = layer_norm_composite(grouped, grouped.shape[2:], None, None, eps).reshape(input.shape)
    along = (-1,) + (1,) * (input.ndim - 2)
    result = result if weight is None else result * weight.view(along)
    return result if bias is None else result + bias.view(along)


def group_norm_reference(x: Any, groups: int, w: Any = None, b: Any = None, eps: float = 1e-5) -> Any:
    grouped = x.reshape(x.shape[0], groups, -1)
    centred = grouped - np.mean(grouped, -1, keepdims=True)
    y = (centred / np.sqrt(np.mean(centred * centred, -1, keepdims=True) + eps)).reshape(x.shape)
    along = (-1,) + (1,) * (x.ndim - 2)
    return y * (1 if w is None else w.reshape(along)) + (0 if b is None else b.reshape(along))


group_norm_whole = primitive(
    "group_norm.whole",
    "input, num_groups: int, weight: tensor?, bias: tensor?, eps: number",
    "group_norm, with all arguments.",
    target="group_norm",
    definition=group_norm_composite,
    ref=group_norm_reference,
    samples=[
        call(array(2, 4, 3), 2, array(4), array(4), 1e-5),
        call(array(3, 6, 2, 2), 3, array(6), None, 1e-3),
        call(array(2, 4), 2, None, array(4), 1e-5),
        call(array(2, 3, 4), 1, None, None, 1e-5),
    ],
    onnx="GroupNormalization",
)


@composite(
    ref=group_norm_reference,
    samples=[call(array(2, 4, 3), 2), call(array(2, 4, 3), 4, array(4), array(4))],
    places="nn.functional",
)
def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-05,
) -> Tensor:
    """Normalises over groups of channels and all of the image (Wu and He 2018).

    input: (N, C, ...); num_groups divides C; weight, bias: (C,).
    """
    return group_norm_whole(input, num_groups, weight, bias, eps)


def rms_norm_composite(input: Tensor, normalized_shape: Sequence[int], weight: Any, eps: float) -> Tensor:
    axes = tuple(range(-len(normalized_shape), 0))
    result = input * rsqrt(mean(square(input), axes, True) + eps)
    return result if weight is None else result * weight


def rms_norm_reference(x: Any, shape: Sequence[int], w: Any = None, eps: float | None = None) -> Any:
    axes = tuple(range(-len(shape), 0))
    eps = np.finfo(x.dtype).eps if eps is None else eps
    return x / np.sqrt(np.mean(x * x, axes, keepdims=True) + eps) * (1 if w is None else w)


rms_norm_whole = primitive(
    "rms_norm.whole",
    "input, normalized_shape: ints, weight: tensor?, eps: number",
    "rms_norm, with all arguments.",
    target="rms_norm",
    definition=rms_norm_composite,
    ref=rms_norm_reference,
    samples=[
        call(array(3, 4), (4,), array(4), 1e-5),
        call(array(2, 3, 4), (3, 4), array(3, 4), 1e-3),
        call(array(2, 3, 4), (4,), None, 1e-5),
    ],
    onnx="RMSNormalization",
)


@composite(
    ref=rms_norm_reference,
    samples=[call(array(3, 4), (4,)), call(array(3, 4), (4,), array(4), 1e-5)],
    places="versant nn.functional",
)
def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """input / sqrt(mean(input**2) + eps) * weight over the last axes (Zhang and Sennrich 2019).

    normalized_shape: the sizes of these axes; weight has this shape. eps: by default that of the dtype.
    The square of a complex number is its square, not that of its modulus, as in PyTorch.
    """
    from versant.tensors.dtypes import finfo

    shape, eps = tuple(normalized_shape), finfo(input.dtype).eps if eps is None else eps
    if not input.is_complex():
        return rms_norm_whole(input, shape, weight, eps)
    if not shape or tuple(input.shape[-len(shape) :]) != shape:
        raise ShapeError(
            f"[rms_norm] expected last dimensions {shape}, got input of shape {tuple(input.shape)}"
        )
    if weight is not None and tuple(weight.shape) != shape:
        raise ShapeError(f"[rms_norm] expected a weight of shape {shape}, got {tuple(weight.shape)}")
    return rms_norm_composite(input, shape, weight, eps)


@composite(
    ref=lambda x, p=2.0, dim=1: x / np.maximum(np.linalg.norm(x, p, axis=dim, keepdims=True), 1e-12),
    samples=[call(array(3, 4)), call(array(3, 4), 1.0, 0)],
    places="nn.functional",
)
def normalize(input: Tensor, p: float = 2.0, dim: Axes = 1, eps: float = 1e-12) -> Tensor:
    """input / its p-norm along an axis; norms count eps at least."""
    if input.dtype.itemsize == 2 and input.dtype.is_floating_point:  # in float32, rounded once
        return normalize(input.float(), p, dim, eps).to(input.dtype)
    return input / clamp_min(vector_norm(input, p, dim, True), eps)


@composite(
    ref=lambda a, b, dim=1: np.sum(a * b, dim) / (np.linalg.norm(a, axis=dim) * np.linalg.norm(b, axis=dim)),
    samples=[call(array(3, 4), array(3, 4)), call(array(2, 3), array(3), dim=-1)],
    places="versant nn.functional",
)
def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors along an axis; norms count eps at least."""
    x1, x2 = broadcast_tensors(x1, x2)
    dtype = promote_types(x1.dtype, x2.dtype)
    if dtype.itemsize == 2 and dtype.is_floating_point:  # in float32, rounded once
        return cosine_similarity(x1.float(), x2.float(), dim, eps).to(dtype)
    of_x1 = clamp_min(vector_norm(x1, 2, dim, True), eps)
    of_x2 = clamp_min(vector_norm(x2, 2, dim, True), eps)
    return sum(x1 / of_x1 * (x2 / of_x2), dim)


@composite(
    ref=lambda a, b, p=2.0: np.linalg.norm(a - b + 1e-6, p, axis=-1),
    samples=[call(array(3, 4), array(3, 4)), call(array(2, 3), array(3), 1.0)],
    places="versant nn.functional",
)
def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The p-norm of x1 - x2 + eps along the last axis."""
    return vector_norm(x1 - x2 + eps, p, -1, keepdim)


def response_reference(x: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    padded = np.pad(x * x, [(0, 0), (size // 2, (size - 1) // 2)] + [(0, 0)] * (x.ndim - 2))
    near = np.sum([padded[:, i : i + x.shape[1]] for i in range(size)], 0)
    return x / (k + alpha / size * near) ** beta


@composite(
    autocast="float32",
    ref=response_reference,
    samples=[call(array(2, 5, 3), 3), call(array(2, 4, 2, 2), 2, 0.1, 0.5, 2.0)],
    places="nn.functional",
)
def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """input / (k + alpha * mean square over `size` neighbouring channels) ** beta (Krizhevsky et al. 2012).

    input: (N, C, ...)
    """
    if input.ndim < 3:
        raise ShapeError(f"[local_response_norm] expected (N, C, ...), got shape {tuple(input.shape)}")
    if input.numel() == 0:
        return input
    squares = (input * input).transpose(1, -1)
    near = pad(squares, (size // 2, (size - 1) // 2)).unfold(-1, size, 1)
    near = (near.mean(-1) if input.is_floating_point() else near.sum(-1) // size).transpose(1, -1)
    return input / (near * alpha + k) ** beta


def instance_norm_reference(
    x: Any, centre: Any = None, variance: Any = None, w: Any = None, b: Any = None
) -> Any:
    axes, along = tuple(range(2, x.ndim)), (1, -1) + (1,) * (x.ndim - 2)
    centred = x - np.mean(x, axes, keepdims=True)
    y = centred / np.sqrt(np.mean(centred * centred, axes, keepdims=True) + 1e-5)
    return y * (1 if w is None else w.reshape(along)) + (0 if b is None else b.reshape(along))


@composite(
    ref=instance_norm_reference,
    samples=[call(array(2, 3, 4)), call(array(2, 3, 2, 3), None, None, array(3), array(3))],
    places="nn.functional",
)
def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-05,
) -> Tensor:
    """batch_norm of each sample by itself (Ulyanov et al. 2016).  input: (N, C, ...)

    The running statistics move by momentum toward the mean of the samples' own.
    """
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise ShapeError("[instance_norm] expected running_mean and running_var without use_input_stats")
        return batch_norm_whole(input, weight, bias, running_mean, running_var, False, momentum, eps)
    if input.ndim < 3 or input.numel() <= input.shape[0] * input.shape[1]:
        raise ShapeError(
            f"[instance_norm] expected more than 1 spatial element when training, got {tuple(input.shape)}"
        )
    batch, channels = input.shape[:2]
    means, variances = (None if r is None else r.repeat(batch) for r in (running_mean, running_var))
    each = input.reshape(1, batch * channels, *input.shape[2:])
    scale, shift = (None if v is None else v.repeat(batch) for v in (weight, bias))
    result = batch_norm_whole(each, scale, shift, means, variances, True, momentum, eps).reshape(input.shape)
    for running, fresh in ((running_mean, means), (running_var, variances)):
        if running is not None and fresh is not None:
            running.copy_(fresh.view(batch, channels).mean(0).detach())
    return result
