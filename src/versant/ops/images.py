"""Pooling of images, (N, C, H, W)."""

from __future__ import annotations

from versant._core import Tensor
from versant.ops.axes import Pair, pair
from versant.ops.lazy import np
from versant.ops.record import composite, primitive
from versant.ops.references import adaptive_windows, pool, pooled_argmax
from versant.ops.samples import array, call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# --- pooling ----------------------------------------------------------------------------------------------

max_pool = primitive(
    "max_pool2d.indices",
    "input, kernel_size: ints, stride: ints, padding: ints, dilation: ints, ceil_mode: bool "
    "-> output, indices",
    "The largest of each window, and where it is in its image.",
    target="max_pool2d",
    ref=lambda x, kernel, stride, padding, dilation, ceil: (
        pool(x, kernel, stride, padding, dilation, ceil, np.max),
        pooled_argmax(x, kernel, stride, padding, dilation, ceil),
    ),
    samples=[
        call(array(2, 3, 6, 5), (2, 2), (2, 2), (0, 0), (1, 1), False),
        call(array(1, 2, 7, 7), (3, 2), (2, 1), (1, 1), (1, 2), True),
    ],
    places="",
    onnx="MaxPool",
    stablehlo="reduce_window.maximum",
)


def stride_of(stride: Pair | None, kernel: Pair) -> Pair:
    """The stride of a pooling: that of its kernel by default."""
    return kernel if stride is None or (isinstance(stride, list | tuple) and not stride) else stride


def image(input: Tensor) -> Tensor:
    """One image as a batch of one."""
    return input.unsqueeze(0) if input.ndim == 3 else input


@composite(
    ref=lambda x, kernel, stride=None, padding=0, dilation=1, ceil_mode=False: pool(
        x, pair(kernel), pair(stride or kernel), pair(padding), pair(dilation), ceil_mode, np.max
    ),
    samples=[call(array(2, 3, 6, 5), 2), call(array(3, 7, 7), 3, 2, padding=1, ceil_mode=True)],
    places="versant nn.functional",
)
def max_pool2d(
    input: Tensor,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest of each window.  input: (N, C, H, W) or (C, H, W); stride: kernel_size by default"""
    steps = pair(stride_of(stride, kernel_size), "max_pool2d")
    results = max_pool(
        image(input),
        pair(kernel_size, "max_pool2d"),
        steps,
        pair(padding, "max_pool2d"),
        pair(dilation, "max_pool2d"),
        ceil_mode,
    )
    if input.ndim == 3:
        results = tuple(r.squeeze(0) for r in results)
    return tuple(results) if return_indices else results[0]


avg_pool = primitive(
    "avg_pool2d.padded",
    "input, kernel_size: ints, stride: ints, padding: ints, ceil_mode: bool, count_include_pad: bool, "
    "divisor_override: int?",
    "The mean of each window.",
    target="avg_pool2d",
    ref=lambda x, kernel, stride, padding, ceil, whole, divisor: (
        pool(x, kernel, stride, padding, (1, 1), ceil, np.sum if divisor else np.mean, whole and not divisor)
        / (divisor or 1)
    ),
    samples=[
        call(array(2, 3, 6, 5), (2, 2), (2, 2), (0, 0), False, True, None),
        call(array(1, 2, 7, 7), (3, 2), (2, 1), (1, 1), True, False, None),
        call(array(1, 2, 5, 5), (3, 3), (2, 2), (1, 1), True, True, None),
        call(array(1, 2, 5, 5), (3, 3), (2, 2), (1, 1), False, True, 4),
    ],
    places="",
    onnx="AveragePool",
    stablehlo="reduce_window.add",
)


@composite(
    ref=lambda x, kernel, stride=None, padding=0, ceil_mode=False, count_include_pad=True: pool(
        x, pair(kernel), pair(stride or kernel), pair(padding), (1, 1), ceil_mode, np.mean, count_include_pad
    ),
    samples=[call(array(2, 3, 6, 5), 2), call(array(3, 7, 7), 3, 2, padding=1)],
    places="nn.functional",
)
def avg_pool2d(
    input: Tensor,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window.  input: (N, C, H, W) or (C, H, W); stride: kernel_size by default"""
    steps = pair(stride_of(stride, kernel_size), "avg_pool2d")
    result: Tensor = avg_pool(
        image(input),
        pair(kernel_size, "avg_pool2d"),
        steps,
        pair(padding, "avg_pool2d"),
        ceil_mode,
        count_include_pad,
        divisor_override,
    )
    return result.squeeze(0) if input.ndim == 3 else result


adaptive_avg = primitive(
    "adaptive_avg_pool2d.images",
    "input, output_size: ints",
    "The means of windows that divide each image into output_size parts.",
    target="adaptive_avg_pool2d",
    ref=lambda x, size: adaptive_windows(x, size, np.mean),
    samples=[call(array(2, 3, 6, 5), (2, 2)), call(array(1, 2, 7, 7), (3, 1))],
    places="",
    without={"onnx": "exporters write it as AveragePool", "stablehlo": "exporters write it as reduce_window"},
)
adaptive_max = primitive(
    "adaptive_max_pool2d.images",
    "input, output_size: ints -> output, indices",
    "The largest of windows that divide each image into output_size parts, and where they are.",
    target="adaptive_max_pool2d",
    ref=lambda x, size: (adaptive_windows(x, size, np.max), adaptive_windows(x, size, None)),
    samples=[call(array(2, 3, 6, 5), (2, 2)), call(array(1, 2, 7, 7), (3, 1))],
    places="",
    without={"onnx": "exporters write it as MaxPool", "stablehlo": "exporters write it as reduce_window"},
)


def output_pair(input: Tensor, size: Any, who: str) -> tuple[int, int]:
    """output_size, None standing for the image's own."""
    both: Any = (None, None) if size is None else pair(size, who)
    height, width = (own if n is None else n for n, own in zip(both, input.shape[-2:], strict=True))
    return height, width


@composite(
    ref=lambda x, size: adaptive_windows(x, pair(size), np.mean),
    samples=[call(array(2, 3, 6, 5), 2), call(array(3, 7, 7), (3, 1))],
    places="nn.functional",
)
def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """The means of windows that divide each image into output_size parts."""
    result: Tensor = adaptive_avg(image(input), output_pair(input, output_size, "adaptive_avg_pool2d"))
    return result.squeeze(0) if input.ndim == 3 else result


@composite(
    ref=lambda x, size: adaptive_windows(x, pair(size), np.max),
    samples=[call(array(2, 3, 6, 5), 2), call(array(3, 7, 7), (3, 1))],
    places="nn.functional",
)
def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest of windows that divide each image into output_size parts."""
    results = adaptive_max(image(input), output_pair(input, output_size, "adaptive_max_pool2d"))
    if input.ndim == 3:
        results = tuple(r.squeeze(0) for r in results)
    return tuple(results) if return_indices else results[0]
