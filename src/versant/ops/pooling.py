"""Pooling over windows of sequences, images and volumes, (N, C, ...): the largest, the mean, the p-norm."""

from __future__ import annotations

from collections.abc import Callable

from versant._core import ShapeError, Tensor
from versant.ops.axes import Size
from versant.ops.lazy import np
from versant.ops.record import composite, primitive
from versant.ops.samples import Call, array, call
from versant.ops.spatial_references import adaptive, pool, pooled_argmax, unpool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# --- the machine's functions: one for each number of axes ---------------------------------------------------

SHAPES = ((6,), (6, 5), (4, 3, 5))  # of the samples' images


def each(
    make: Callable[[int, list[Call]], Any], samples: Callable[[int, tuple[int, ...]], list[Call]]
) -> list[Any]:
    """What `make` makes of 1, 2 and 3 axes and the samples for them."""
    return [make(axes, samples(axes, SHAPES[axes - 1])) for axes in (1, 2, 3)]


max_whole = each(
    lambda axes, samples: primitive(
        f"max_pool{axes}d.indices",
        "input, kernel_size: ints, stride: ints, padding: ints, dilation: ints, ceil_mode: bool "
        "-> output, indices",
        "The largest of each window, and where it is in its image.",
        target=f"max_pool{axes}d",
        ref=lambda x, kernel, stride, padding, dilation, ceil: (
            pool(x, axes, kernel, stride, padding, dilation, ceil, np.max),
            pooled_argmax(x, axes, kernel, stride, padding, dilation, ceil),
        ),
        samples=samples,
        places="",
        onnx="MaxPool",
        stablehlo="reduce_window.maximum",
    ),
    lambda axes, shape: [
        call(array(2, 3, *shape), (2,), (2,), (0,), (1,), False),
        call(array(1, 2, *shape), (3,) * axes, (2,), (1,) * axes, (1,), True),
    ],
)
avg_whole = each(
    lambda axes, samples: primitive(
        f"avg_pool{axes}d.padded",
        "input, kernel_size: ints, stride: ints, padding: ints, ceil_mode: bool, count_include_pad: bool, "
        "divisor_override: int?",
        "The mean of each window.",
        target=f"avg_pool{axes}d",
        ref=lambda x, kernel, stride, padding, ceil, whole, divisor: (
            pool(
                x,
                axes,
                kernel,
                stride,
                padding,
                (1,),
                ceil,
                np.sum if divisor else np.mean,
                whole and not divisor,
            )
            / (divisor or 1)
        ),
        samples=samples,
        places="",
        onnx="AveragePool",
        stablehlo="reduce_window.add",
    ),
    lambda axes, shape: [
        call(array(2, 3, *shape), (2,), (2,), (0,), False, True, None),
        call(array(1, 2, *shape), (3,) * axes, (2,), (1,), True, False, None),
        call(array(1, 2, *shape), (3,), (2,) * axes, (1,), True, True, None),
        call(array(1, 2, *shape), (3,), (2,), (1,), False, True, 4),
    ],
)
ADAPTIVE = {"onnx": "exporters write it as pooling", "stablehlo": "exporters write it as reduce_window"}
adaptive_avg = each(
    lambda axes, samples: primitive(
        f"adaptive_avg_pool{axes}d.sizes",
        "input, output_size: ints",
        "The means of windows that divide each image into output_size parts.",
        target=f"adaptive_avg_pool{axes}d",
        ref=lambda x, size: adaptive(x, axes, size, np.mean),
        samples=samples,
        places="",
        without=ADAPTIVE,
    ),
    lambda axes, shape: [
        call(array(2, 3, *shape), (2,)),
        call(array(1, 2, *shape), (3, 1, 2)[:axes]),
    ],
)
adaptive_max = each(
    lambda axes, samples: primitive(
        f"adaptive_max_pool{axes}d.indices",
        "input, output_size: ints -> output, indices",
        "The largest of windows that divide each image into output_size parts, and where they are.",
        target=f"adaptive_max_pool{axes}d",
        ref=lambda x, size: (adaptive(x, axes, size, np.max), adaptive(x, axes, size, None)),
        samples=samples,
        places="",
        without=ADAPTIVE,
    ),
    lambda axes, shape: [
        call(array(2, 3, *shape), (2,)),
        call(array(1, 2, *shape), (3, 1, 2)[:axes]),
    ],
)
unpool_whole = each(
    lambda axes, samples: primitive(
        f"max_unpool{axes}d.sizes",
        "input, indices, output_size: ints",
        "Images of output_size, zero but for the input's elements at their places.",
        target=f"max_unpool{axes}d",
        ref=lambda x, places, size: unpool(x, places, axes, size),
        samples=samples,
        places="",
        without=ADAPTIVE | {"samples": "those of max_unpool, whose places do not meet"},
    ),
    lambda axes, shape: [],
)

# --- what users call ----------------------------------------------------------------------------------------


def step(kernel: Size, stride: Size | None) -> Size:
    """The stride of a pooling: that of its kernel by default."""
    return kernel if stride is None or (isinstance(stride, list | tuple) and not stride) else stride


def largest(axes: int, input: Tensor, *how: Any, return_indices: bool) -> Any:
    results = max_whole[axes - 1](input, *how)
    return tuple(results) if return_indices else results[0]


def max_reference(axes: int) -> Any:
    return lambda x, kernel, stride=None, padding=0, dilation=1, ceil_mode=False: pool(
        x, axes, kernel, stride or kernel, padding, dilation, ceil_mode, np.max
    )


def avg_reference(axes: int) -> Any:
    return lambda x, kernel, stride=None, padding=0, ceil_mode=False, count_include_pad=True: pool(
        x, axes, kernel, stride or kernel, padding, 1, ceil_mode, np.mean, count_include_pad
    )


@composite(
    ref=max_reference(1),
    samples=[call(array(2, 3, 6), 2), call(array(3, 7), 3, 2, padding=1, ceil_mode=True)],
    places="versant nn.functional",
)
def max_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest of each window.  input: (N, C, L) or (C, L); stride: kernel_size by default"""
    how = (kernel_size, step(kernel_size, stride), padding, dilation, ceil_mode)
    return largest(1, input, *how, return_indices=return_indices)


@composite(
    ref=max_reference(2),
    samples=[call(array(2, 3, 6, 5), 2), call(array(3, 7, 7), 3, 2, padding=1, ceil_mode=True)],
    places="versant nn.functional",
)
def max_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest of each window.  input: (N, C, H, W) or (C, H, W); stride: kernel_size by default"""
    how = (kernel_size, step(kernel_size, stride), padding, dilation, ceil_mode)
    return largest(2, input, *how, return_indices=return_indices)


@composite(
    autocast="float32",
    ref=max_reference(3),
    samples=[call(array(2, 3, 4, 5, 3), 2), call(array(3, 4, 5, 5), 3, 2, padding=1, ceil_mode=True)],
    places="versant nn.functional",
)
def max_pool3d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest of each window.  input: (N, C, D, H, W) or (C, D, H, W); stride: kernel_size by default"""
    how = (kernel_size, step(kernel_size, stride), padding, dilation, ceil_mode)
    return largest(3, input, *how, return_indices=return_indices)


@composite(
    ref=avg_reference(1),
    samples=[call(array(2, 3, 6), 2), call(array(3, 7), 3, 2, padding=1)],
    places="versant nn.functional",
)
def avg_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window.  input: (N, C, L) or (C, L); stride: kernel_size by default"""
    how = (kernel_size, step(kernel_size, stride), padding, ceil_mode, count_include_pad, None)
    return avg_whole[0](input, *how)


@composite(
    ref=avg_reference(2),
    samples=[call(array(2, 3, 6, 5), 2), call(array(3, 7, 7), 3, 2, padding=1)],
    places="nn.functional",
)
def avg_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window.  input: (N, C, H, W) or (C, H, W); stride: kernel_size by default"""
    how = (kernel_size, step(kernel_size, stride), padding, ceil_mode, count_include_pad, divisor_override)
    return avg_whole[1](input, *how)


@composite(
    autocast="float32",
    ref=avg_reference(3),
    samples=[call(array(2, 3, 4, 5, 3), 2), call(array(3, 4, 5, 5), 3, 2, padding=1)],
    places="nn.functional",
)
def avg_pool3d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window.  input: (N, C, D, H, W) or (C, D, H, W); stride: kernel_size by default"""
    how = (kernel_size, step(kernel_size, stride), padding, ceil_mode, count_include_pad, divisor_override)
    return avg_whole[2](input, *how)


# --- adaptive windows ---------------------------------------------------------------------------------------


def parts(input: Tensor, size: Any, axes: int, who: str) -> tuple[int, ...]:
    """output_size as one number for each axis, None standing for the image's own."""
    if input.ndim not in (axes + 1, axes + 2):
        raise ShapeError(f"[{who}] expected {axes + 2}-D or {axes + 1}-D input, got {tuple(input.shape)}")
    sizes = (size,) * axes if size is None or isinstance(size, int) else tuple(size)
    if len(sizes) == 1:
        sizes *= axes
    if len(sizes) != axes:
        raise ShapeError(f"[{who}] expected one number or {axes} for output_size, got {size}")
    return tuple(own if n is None else n for n, own in zip(sizes, input.shape[-axes:], strict=True))


def adaptive_avg_reference(axes: int) -> Any:
    return lambda x, size: adaptive(x, axes, size, np.mean)


def adaptive_max_reference(axes: int) -> Any:
    return lambda x, size: adaptive(x, axes, size, np.max)


@composite(
    ref=adaptive_avg_reference(1),
    samples=[call(array(2, 3, 6), 2), call(array(3, 7), (3,))],
    places="versant nn.functional",
)
def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """The means of windows that divide each sequence into output_size parts."""
    return adaptive_avg[0](input, parts(input, output_size, 1, "adaptive_avg_pool1d"))


@composite(
    ref=adaptive_avg_reference(2),
    samples=[call(array(2, 3, 6, 5), 2), call(array(3, 7, 7), (3, 1))],
    places="nn.functional",
)
def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """The means of windows that divide each image into output_size parts."""
    return adaptive_avg[1](input, parts(input, output_size, 2, "adaptive_avg_pool2d"))


@composite(
    autocast="float32",
    ref=adaptive_avg_reference(3),
    samples=[call(array(2, 3, 4, 6, 5), 2), call(array(3, 3, 7, 7), (1, 3, 2))],
    places="nn.functional",
)
def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """The means of windows that divide each volume into output_size parts."""
    return adaptive_avg[2](input, parts(input, output_size, 3, "adaptive_avg_pool3d"))


def adaptive_largest(axes: int, input: Tensor, size: Any, return_indices: bool) -> Any:
    results = adaptive_max[axes - 1](input, parts(input, size, axes, f"adaptive_max_pool{axes}d"))
    return tuple(results) if return_indices else results[0]


@composite(
    ref=adaptive_max_reference(1),
    samples=[call(array(2, 3, 6), 2), call(array(3, 7), (3,))],
    places="versant nn.functional",
)
def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest of windows that divide each sequence into output_size parts."""
    return adaptive_largest(1, input, output_size, return_indices)


@composite(
    ref=adaptive_max_reference(2),
    samples=[call(array(2, 3, 6, 5), 2), call(array(3, 7, 7), (3, 1))],
    places="nn.functional",
)
def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest of windows that divide each image into output_size parts."""
    return adaptive_largest(2, input, output_size, return_indices)


@composite(
    autocast="float32",
    ref=adaptive_max_reference(3),
    samples=[call(array(2, 3, 4, 6, 5), 2), call(array(3, 3, 7, 7), (1, 3, 2))],
    places="nn.functional",
)
def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest of windows that divide each volume into output_size parts."""
    return adaptive_largest(3, input, output_size, return_indices)
