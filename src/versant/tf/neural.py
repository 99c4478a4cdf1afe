"""tf.nn: activations, convolutions, pooling, normalisation, losses of logits, lookups. Images are NHWC."""

from typing import Any

import versant
from versant import _core
from versant.nn import functional as F
from versant.tf import arrays, dtypes
from versant.tf.calls import Function, argument_errors, axes_of, plainly, refuse_integers, sizes_of, unary
from versant.tf.elementwise import MATH, log_sigmoid
from versant.tf.errors import InvalidArgumentError
from versant.tf.gathering import gather, in_top_k, top_k
from versant.tf.products import l2_normalize
from versant.tf.tensors import brand, cast, convert, same_dtype

# Activations ------------------------------------------------------------------------------------------------

ACTIVATIONS: dict[str, Function] = {
    **unary("relu relu6", floats=False, source="nn.functional."),
    **unary("elu selu softplus softsign silu", source="nn.functional."),
    **{name: MATH[name] for name in ("sigmoid", "tanh")},
    **unary("swish=silu", source="nn.functional."),
    "log_sigmoid": log_sigmoid,
}


def gelu(features: Any, approximate: bool = False, name: str | None = None) -> Any:
    """x times the normal distribution function at x; approximate: by tanh."""
    return brand(F.gelu(plainly(features), approximate="tanh" if approximate else "none"))


def leaky_relu(features: Any, alpha: float = 0.2, name: str | None = None) -> Any:
    """max(x, alpha * x)."""
    return brand(F.leaky_relu(plainly(features), alpha))


def crelu(features: Any, axis: int = -1, name: str | None = None) -> Any:
    """relu of x and of -x, side by side."""
    x = plainly(features)
    return brand(F.relu(versant.cat([x, -x], axis)))


def softmax(logits: Any, axis: Any = None, name: str | None = None) -> Any:
    """exp(x) / sum(exp(x)) along axis, the last when None."""
    x = convert(logits)
    refuse_integers("softmax", x)
    return brand(versant.softmax(x, -1 if axis is None else int(axes_of(axis))))


def log_softmax(logits: Any, axis: Any = None, name: str | None = None) -> Any:
    """The logarithm of softmax."""
    x = convert(logits)
    refuse_integers("log_softmax", x)
    return brand(versant.log_softmax(x, -1 if axis is None else int(axes_of(axis))))


def dropout(x: Any, rate: Any, noise_shape: Any = None, seed: Any = None, name: str | None = None) -> Any:
    """Elements set to 0 with probability rate, the others divided by 1 - rate."""
    from versant.tf.random import uniform

    x = plainly(x)
    p = float(rate)
    if not 0 <= p < 1:
        raise ValueError(f"[dropout] rate must be in [0, 1), got {p}")
    if p == 0:
        return brand(x.clone())
    if noise_shape is None and seed is None:
        return brand(F.dropout(x, p, training=True))
    shape = tuple(x.shape) if noise_shape is None else sizes_of(noise_shape)
    keep = _core.plain(uniform(shape, dtype=x.dtype, seed=seed)) >= p
    return brand(versant.where(keep, x / (1 - p), versant.zeros_like(x)))


# Sums with weights ------------------------------------------------------------------------------------------


def bias_add(value: Any, bias: Any, data_format: str | None = None, name: str | None = None) -> Any:
    """value + bias, which has one element for each channel."""
    x, b = same_dtype("bias_add", value, bias)
    if (data_format or "").startswith("NC"):
        b = brand(_core.plain(b).reshape((-1,) + (1,) * (x.dim() - 2)))
    return brand(x) + b


def _channels_first(x: Any, data_format: str | None) -> Any:
    """An image batch as ours are told their shape: a view, of NHWC memory channels-last."""
    return x if (data_format or "NHWC").startswith("NC") else versant.movedim(x, -1, 1)


def _back(x: Any, data_format: str | None) -> Any:
    found = x if (data_format or "NHWC").startswith("NC") else versant.movedim(x, 1, -1)
    return brand(found.contiguous())


def _spatial(value: Any, n: int, data_format: str | None) -> list[int]:
    """Strides and the like: one number, one for each spatial axis, or one for every axis."""
    if value is None:
        return [1] * n
    if isinstance(value, int):
        return [value] * n
    values = [int(v) for v in value]
    if len(values) == 1:
        return values * n
    if len(values) == n + 2:
        return values[2:] if (data_format or "N..C").startswith("NC") else values[1:-1]
    return values


def _padding(
    padding: Any, sizes: Any, kernel: Any, stride: Any, dilation: Any, fmt: str | None
) -> list[tuple[int, int]]:
    """(before, after) of each spatial axis."""
    n = len(kernel)
    if isinstance(padding, str):
        if padding.upper() == "VALID":
            return [(0, 0)] * n
        if padding.upper() != "SAME":
            raise ValueError(f"[conv] padding must be SAME, VALID or a list, got {padding!r}")
        pairs = []
        for size, k, s, d in zip(sizes, kernel, stride, dilation, strict=True):
            out = -(-size // s)
            total = max((out - 1) * s + (k - 1) * d + 1 - size, 0)
            pairs.append((total // 2, total - total // 2))
        return pairs
    pairs = [(int(a), int(b)) for a, b in padding]
    return pairs[2:] if (fmt or "N..C").startswith("NC") else pairs[1:-1]


def _pad(x: Any, pairs: list[tuple[int, int]], value: float = 0.0) -> tuple[Any, list[int]]:
    """x padded, as far as the convolution cannot pad itself: what is left for it."""
    if all(a == b for a, b in pairs) and value == 0.0:
        return x, [a for a, _ in pairs]
    flat = [n for pair in reversed(pairs) for n in pair]
    return F.pad(x, flat, value=value), [0] * len(pairs)


def _convolution(
    n: int, input: Any, filters: Any, strides: Any, padding: Any, fmt: str | None, dilations: Any
) -> Any:
    x, w = same_dtype(f"conv{n}d", input, filters)
    if x.dim() != n + 2 or w.dim() != n + 2:
        raise InvalidArgumentError(
            f"[conv{n}d] expected {n + 2} axes, got input {tuple(x.shape)} and filters {tuple(w.shape)}"
        )
    x, w = _channels_first(_core.plain(x), fmt), _core.plain(w)
    stride, dilation = _spatial(strides, n, fmt), _spatial(dilations, n, fmt)
    kernel = tuple(w.shape)[:n]
    if tuple(x.shape)[1] % tuple(w.shape)[n]:
        raise InvalidArgumentError(
            f"[conv{n}d] input has {tuple(x.shape)[1]} channels, filters take {tuple(w.shape)[n]}"
        )
    groups = tuple(x.shape)[1] // tuple(w.shape)[n]
    pairs = _padding(padding, tuple(x.shape)[2:], kernel, stride, dilation, fmt)
    x, own = _pad(x, pairs)
    w = w.permute((n + 1, n, *range(n)))
    function = getattr(F, f"conv{n}d")
    return _back(function(x, w, None, stride, own, dilation, groups), fmt)


def conv1d(
    input: Any,
    filters: Any,
    stride: Any,
    padding: Any,
    data_format: str = "NWC",
    dilations: Any = None,
    name: str | None = None,
) -> Any:
    """Convolution of (N, W, C) by filters (K, C, O)."""
    return _convolution(1, input, filters, stride, padding, data_format, dilations)


def conv2d(
    input: Any,
    filters: Any,
    strides: Any,
    padding: Any,
    data_format: str = "NHWC",
    dilations: Any = None,
    name: str | None = None,
) -> Any:
    """Convolution of images, (N, H, W, C), by filters (KH, KW, C, O)."""
    return _convolution(2, input, filters, strides, padding, data_format, dilations)


def conv3d(
    input: Any,
    filters: Any,
    strides: Any,
    padding: Any,
    data_format: str = "NDHWC",
    dilations: Any = None,
    name: str | None = None,
) -> Any:
    """Convolution of (N, D, H, W, C) by filters (KD, KH, KW, C, O)."""
    return _convolution(3, input, filters, strides, padding, data_format, dilations)


def convolution(
    input: Any,
    filters: Any,
    strides: Any = None,
    padding: Any = "VALID",
    data_format: str | None = None,
    dilations: Any = None,
    name: str | None = None,
) -> Any:
    """conv1d, conv2d or conv3d, as the number of axes says."""
    return _convolution(convert(input).dim() - 2, input, filters, strides, padding, data_format, dilations)


def depthwise_conv2d(
    input: Any,
    filter: Any,
    strides: Any,
    padding: Any,
    data_format: str | None = None,
    dilations: Any = None,
    name: str | None = None,
) -> Any:
    """Convolution of each channel for itself by filters (KH, KW, C, M), giving M channels for each."""
    x, w = same_dtype("depthwise_conv2d", input, filter)
    x, w = _channels_first(_core.plain(x), data_format), _core.plain(w)
    stride, dilation = _spatial(strides, 2, data_format), _spatial(dilations, 2, data_format)
    kh, kw, c, m = tuple(w.shape)
    pairs = _padding(padding, tuple(x.shape)[2:], (kh, kw), stride, dilation, data_format)
    x, own = _pad(x, pairs)
    w = w.permute((2, 3, 0, 1)).reshape((c * m, 1, kh, kw))
    return _back(F.conv2d(x, w, None, stride, own, dilation, c), data_format)


def separable_conv2d(
    input: Any,
    depthwise_filter: Any,
    pointwise_filter: Any,
    strides: Any,
    padding: Any,
    data_format: str | None = None,
    dilations: Any = None,
    name: str | None = None,
) -> Any:
    """depthwise_conv2d, then a convolution of 1 by 1."""
    x = depthwise_conv2d(input, depthwise_filter, strides, padding, data_format, dilations)
    return conv2d(x, pointwise_filter, 1, "VALID", data_format or "NHWC")


def conv2d_transpose(
    input: Any,
    filters: Any,
    output_shape: Any,
    strides: Any,
    padding: Any = "SAME",
    data_format: str = "NHWC",
    dilations: Any = None,
    name: str | None = None,
) -> Any:
    """The gradient of conv2d by its input: filters (KH, KW, O, C), the result of shape output_shape."""
    x, w = same_dtype("conv2d_transpose", input, filters)
    x, w = _channels_first(_core.plain(x), data_format), _core.plain(w)
    stride, dilation = _spatial(strides, 2, data_format), _spatial(dilations, 2, data_format)
    sizes = sizes_of(output_shape)
    target = sizes[2:] if data_format.startswith("NC") else sizes[1:-1]
    kernel = tuple(w.shape)[:2]
    pairs = _padding(padding, target, kernel, stride, dilation, data_format)
    full = F.conv_transpose2d(x, w.permute((3, 2, 0, 1)), None, stride, 0, 0, 1, dilation)
    for axis, (size, (before, _)) in enumerate(zip(target, pairs, strict=True), 2):
        have = tuple(full.shape)[axis]
        if before + size > have:
            flat = [0, 0] * (3 - axis) + [0, before + size - have]
            full = F.pad(full, flat)
        full = full.narrow(axis, before, size)
    return _back(full, data_format)


# Pooling ----------------------------------------------------------------------------------------------------


def _pool(n: int, kind: str, input: Any, ksize: Any, strides: Any, padding: Any, fmt: str | None) -> Any:
    x = _channels_first(plainly(input), fmt)
    kernel, stride = _spatial(ksize, n, fmt), _spatial(strides, n, fmt)
    pairs = _padding(padding, tuple(x.shape)[2:], kernel, stride, [1] * n, fmt)
    padded = any(a or b for a, b in pairs)
    if kind == "max":
        if padded:
            x, _ = _pad(x, pairs, -float("inf"))
        return _back(getattr(F, f"max_pool{n}d")(x, kernel, stride), fmt)
    pool = getattr(F, f"avg_pool{n}d")
    if not padded:
        return _back(pool(x, kernel, stride), fmt)
    flat = [p for pair in reversed(pairs) for p in pair]
    return _back(
        pool(F.pad(x, flat), kernel, stride)
        / pool(F.pad(versant.ones_like(x[:1, :1]), flat), kernel, stride),
        fmt,
    )


def _pooling(n: int, kind: str, layout: str) -> Function:
    def call(
        input: Any, ksize: Any, strides: Any, padding: Any, data_format: str = layout, name: str | None = None
    ) -> Any:
        return _pool(n, kind, input, ksize, strides, padding, data_format)

    call.__name__ = call.__qualname__ = f"{kind}_pool{n}d"
    call.__doc__ = f"The {kind} over windows of {layout}; padded places do not count."
    return call


POOLING = {
    f"{kind}_pool{n}d": _pooling(n, kind, layout)
    for kind in ("max", "avg")
    for n, layout in ((1, "NWC"), (2, "NHWC"), (3, "NDHWC"))
}


def _any_pool(kind: str) -> Function:
    def call(
        input: Any, ksize: Any, strides: Any, padding: Any, data_format: str | None = None, name: Any = None
    ) -> Any:
        return _pool(convert(input).dim() - 2, kind, input, ksize, strides, padding, data_format)

    call.__name__ = call.__qualname__ = f"{kind}_pool"
    call.__doc__ = f"The {kind} over windows of one to three axes."
    return call


# Normalisation ----------------------------------------------------------------------------------------------


def moments(x: Any, axes: Any, shift: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
    """(mean, variance) over axes."""
    x = plainly(x)
    axes = axes_of(axes)
    mean = x.mean(axes, True)
    variance = versant.square(x - mean).mean(axes, True)
    if not keepdims:
        gone = {a % x.dim() for a in ((axes,) if isinstance(axes, int) else axes)}
        shape = [n for i, n in enumerate(tuple(x.shape)) if i not in gone]
        mean, variance = mean.reshape(shape), variance.reshape(shape)
    return brand(mean), brand(variance)


def batch_normalization(
    x: Any,
    mean: Any,
    variance: Any,
    offset: Any,
    scale: Any,
    variance_epsilon: float,
    name: str | None = None,
) -> Any:
    """(x - mean) * scale / sqrt(variance + variance_epsilon) + offset."""
    x, mean, variance = plainly(x), plainly(mean), plainly(variance)
    factor = versant.rsqrt(variance + variance_epsilon)
    if scale is not None:
        factor = factor * plainly(scale)
    shift = -mean * factor if offset is None else plainly(offset) - mean * factor
    return brand(x * factor + shift)


def local_response_normalization(
    input: Any, depth_radius: int = 5, bias: float = 1, alpha: float = 1, beta: float = 0.5, name: Any = None
) -> Any:
    """x / (bias + alpha * sum of squares of the channels near it) ** beta, of (N, H, W, C)."""
    x = plainly(input)
    square = F.pad(versant.square(x), [depth_radius, depth_radius])
    c = tuple(x.shape)[-1]
    total = square.narrow(-1, 0, c)
    for shift in range(1, 2 * depth_radius + 1):
        total = total + square.narrow(-1, shift, c)
    return brand(x / (bias + alpha * total) ** beta)


# Losses -----------------------------------------------------------------------------------------------------


def softmax_cross_entropy_with_logits(
    labels: Any, logits: Any, axis: int = -1, name: str | None = None
) -> Any:
    """-sum(labels * log_softmax(logits)) along axis; no gradient is lost to the labels."""
    labels, logits = same_dtype("softmax_cross_entropy_with_logits", labels, logits)
    y, x = _core.plain(labels), _core.plain(logits)
    return brand(-(y * versant.log_softmax(x, axis)).sum(axis))


def sparse_softmax_cross_entropy_with_logits(labels: Any, logits: Any, name: str | None = None) -> Any:
    """-log_softmax(logits)[label] for each label: labels (...), logits (..., classes)."""
    y, x = plainly(labels), plainly(logits)
    if y.dtype not in dtypes.INTEGERS:
        raise InvalidArgumentError(
            f"[sparse_softmax_cross_entropy] labels must be integers, got {y.dtype.name}"
        )
    if tuple(y.shape) != tuple(x.shape)[:-1]:
        raise ValueError(
            f"[sparse_softmax_cross_entropy] labels of shape {tuple(y.shape)} do not fit logits of shape "
            f"{tuple(x.shape)}"
        )
    classes = tuple(x.shape)[-1]
    found = F.cross_entropy(x.reshape((-1, classes)), y.reshape(-1).to(dtypes.int64), reduction="none")
    return brand(found.reshape(tuple(y.shape)))


def sigmoid_cross_entropy_with_logits(labels: Any = None, logits: Any = None, name: str | None = None) -> Any:
    """max(x, 0) - x * label + log(1 + exp(-|x|))."""
    labels, logits = same_dtype("sigmoid_cross_entropy_with_logits", labels, logits)
    if labels.shape != logits.shape:
        raise ValueError(
            f"[sigmoid_cross_entropy] shapes differ: {tuple(labels.shape)} and {tuple(logits.shape)}"
        )
    return brand(
        F.binary_cross_entropy_with_logits(_core.plain(logits), _core.plain(labels), reduction="none")
    )


def weighted_cross_entropy_with_logits(
    labels: Any, logits: Any, pos_weight: Any, name: str | None = None
) -> Any:
    """sigmoid_cross_entropy_with_logits with positive labels weighted."""
    y, x = plainly(labels), plainly(logits)
    weight = 1 + (plainly(convert(pos_weight, x.dtype)) - 1) * y
    return brand((1 - y) * x + weight * (versant.log1p(versant.exp(-versant.abs(x))) + F.relu(-x)))


def log_poisson_loss(
    targets: Any, log_input: Any, compute_full_loss: bool = False, name: str | None = None
) -> Any:
    """exp(log_input) - log_input * targets."""
    z, c = plainly(targets), plainly(log_input)
    found = versant.exp(c) - c * z
    if compute_full_loss:
        stirling = z * versant.log(z) - z + 0.5 * versant.log(2 * 3.141592653589793 * z)
        found = found + versant.where((z >= 0) & (z <= 1), versant.zeros_like(z), stirling)
    return brand(found)


def l2_loss(t: Any, name: str | None = None) -> Any:
    """Half of the sum of squares."""
    return brand(versant.square(plainly(t)).sum() / 2)


def embedding_lookup(params: Any, ids: Any, max_norm: float | None = None, name: str | None = None) -> Any:
    """The rows of params at ids."""
    found = gather(params[0] if isinstance(params, list | tuple) else params, ids)
    if max_norm is None:
        return found
    from versant.tf.products import clip_by_norm

    depth = convert(ids).dim()
    return clip_by_norm(found, max_norm, tuple(range(depth, found.dim())))


def zero_fraction(value: Any, name: str | None = None) -> Any:
    """The share of elements that are 0."""
    return brand((plainly(value) == 0).to(dtypes.float32).mean())


def ctc_loss(
    labels: Any,
    logits: Any,
    label_length: Any,
    logit_length: Any,
    logits_time_major: bool = True,
    unique: Any = None,
    blank_index: int | None = None,
    name: str | None = None,
) -> Any:
    """Connectionist temporal classification: labels (N, S), logits (T, N, C). (Graves et al., 2006)"""
    x = plainly(logits)
    x = x if logits_time_major else x.transpose(0, 1)
    blank = 0 if blank_index is None else blank_index % tuple(x.shape)[2]
    y, n, t = (cast(convert(v), dtypes.int64) for v in (labels, label_length, logit_length))
    scores = versant.log_softmax(x, -1)
    targets, steps, lengths = plainly(y, t, n)
    return brand(F.ctc_loss(scores, targets, steps, lengths, blank=blank, reduction="none"))


NAMES: dict[str, Function] = ACTIVATIONS | argument_errors(
    {
        **POOLING,
        **{
            function.__name__: function
            for function in (
                gelu,
                leaky_relu,
                crelu,
                softmax,
                log_softmax,
                dropout,
                bias_add,
                conv1d,
                conv2d,
                conv3d,
                convolution,
                depthwise_conv2d,
                separable_conv2d,
                conv2d_transpose,
                moments,
                batch_normalization,
                local_response_normalization,
                softmax_cross_entropy_with_logits,
                sparse_softmax_cross_entropy_with_logits,
                sigmoid_cross_entropy_with_logits,
                weighted_cross_entropy_with_logits,
                log_poisson_loss,
                l2_loss,
                embedding_lookup,
                zero_fraction,
                ctc_loss,
                top_k,
                in_top_k,
                l2_normalize,
            )
        },
        "max_pool": _any_pool("max"),
        "avg_pool": _any_pool("avg"),
        "space_to_depth": arrays.space_to_depth,
        "depth_to_space": arrays.depth_to_space,
        "lrn": local_response_normalization,
    }
)
