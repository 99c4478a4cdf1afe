"""Convolutions and transposed convolutions in one to three dimensions, (N, C, ...)."""

from __future__ import annotations

from versant._core import Tensor
from versant.ops.axes import Size
from versant.ops.joining import pad_constant
from versant.ops.record import composite, primitive
from versant.ops.samples import array, call
from versant.ops.spatial_references import convolve, convolve_transposed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WHOLE = "input, weight, bias: tensor?, stride: ints, padding: ints, dilation: ints, groups: int"
conv1d_whole = primitive(
    "conv1d.padded",
    WHOLE,
    "conv1d, with padding in numbers.",
    target="conv1d",
    ref=convolve,
    samples=[call(array(2, 4, 7), array(6, 2, 3), array(6), (2,), (1,), (1,), 2)],
    places="",
    onnx="Conv",
    stablehlo="convolution",
)
conv2d_whole = primitive(
    "conv2d.padded",
    WHOLE,
    "conv2d, with padding in numbers.",
    target="conv2d",
    ref=convolve,
    samples=[
        call(array(2, 3, 6, 5), array(4, 3, 3, 2), array(4), (1, 1), (0, 0), (1, 1), 1),
        call(array(2, 4, 7, 7), array(6, 2, 3, 3), None, (2, 1), (1, 2), (1, 2), 2),
    ],
    places="",
    onnx="Conv",
    stablehlo="convolution",
)
conv3d_whole = primitive(
    "conv3d.padded",
    WHOLE,
    "conv3d, with padding in numbers.",
    target="conv3d",
    ref=convolve,
    samples=[
        call(array(2, 2, 3, 4, 3), array(3, 2, 2, 2, 3), array(3), (1,), (1,), (1,), 1),
        call(array(1, 4, 5, 4, 4), array(2, 2, 2, 3, 2), None, (2, 1, 1), (1, 0, 1), (2, 1, 1), 2),
    ],
    places="",
    onnx="Conv",
    stablehlo="convolution",
)


def convolution(
    whole: Any,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Size,
    padding: Size | str,
    dilation: Size,
    groups: int,
) -> Any:
    """The convolution `whole`, after what padding "same" adds on one side only."""
    if isinstance(padding, str):
        axes, who = weight.ndim - 2, whole.__name__.partition(".")[0]
        dilations = (
            (dilation,) * axes if isinstance(dilation, int) else tuple(dilation) * (axes // len(dilation))
        )
        strides = (stride,) if isinstance(stride, int) else stride
        if padding not in ("same", "valid"):
            raise RuntimeError(f'[{who}] expected padding "same" or "valid", or numbers, got {padding!r}')
        if padding == "same" and any(s != 1 for s in strides):
            raise RuntimeError(f'[{who}] padding "same" needs stride 1, got {stride}')
        total = [
            d * (k - 1) if padding == "same" else 0 for d, k in zip(dilations, weight.shape[2:], strict=True)
        ]
        if any(n % 2 for n in total):  # one more at the end
            sides = [side for n in reversed(total) for side in (n // 2, n - n // 2)]
            input = pad_constant(input, sides)
            total = [0] * axes
        padding = [n // 2 for n in total]
    return whole(input, weight, bias, stride, padding, dilation, groups)


@composite(
    autocast="lower",
    ref=lambda x, w, b=None, stride=1, padding=0, dilation=1, groups=1: convolve(
        x, w, b, stride, padding, dilation, groups
    ),
    samples=[
        call(array(2, 3, 6), array(4, 3, 3)),
        call(array(4, 6), array(2, 2, 2), array(2), padding=1, groups=2),
    ],
    places="versant nn.functional",
)
def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """The cross-correlation of sequences with filters, plus bias.

    input: (N, C, L) or (C, L); weight: (O, C / groups, l); bias: (O,).
    padding: zeros on both sides, "valid" for none, "same" to keep the size (stride 1).
    """
    return convolution(conv1d_whole, input, weight, bias, stride, padding, dilation, groups)


@composite(
    autocast="lower",
    ref=lambda x, w, b=None, stride=1, padding=0, dilation=1, groups=1: convolve(
        x, w, b, stride, padding, dilation, groups
    ),
    samples=[
        call(array(2, 3, 6, 5), array(4, 3, 3, 2)),
        call(array(3, 5, 5), array(2, 3, 3, 3), array(2), padding=1),
        call(array(1, 4, 6, 6), array(4, 1, 3, 3), stride=2, groups=4),
    ],
    places="versant nn.functional",
)
def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """The cross-correlation of images with filters, plus bias.

    input: (N, C, H, W) or (C, H, W); weight: (O, C / groups, h, w); bias: (O,).
    padding: zeros on both sides of each axis, "valid" for none, "same" to keep the size (stride 1).
    The result is channels-last where input or weight is.
    """
    return convolution(conv2d_whole, input, weight, bias, stride, padding, dilation, groups)


@composite(
    autocast="lower",
    ref=lambda x, w, b=None, stride=1, padding=0, dilation=1, groups=1: convolve(
        x, w, b, stride, padding, dilation, groups
    ),
    samples=[
        call(array(1, 2, 3, 4, 5), array(2, 2, 2, 3, 2)),
        call(array(2, 4, 3, 3), array(4, 1, 2, 2, 2), array(4), stride=2, padding=1, groups=2),
    ],
    places="versant nn.functional",
)
def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """The cross-correlation of volumes with filters, plus bias.

    input: (N, C, D, H, W) or (C, D, H, W); weight: (O, C / groups, d, h, w); bias: (O,).
    padding: zeros on both sides of each axis, "valid" for none, "same" to keep the size (stride 1).
    """
    return convolution(conv3d_whole, input, weight, bias, stride, padding, dilation, groups)


TRANSPOSED = (
    "input, weight, bias: tensor? = None, stride: ints = 1, padding: ints = 0, output_padding: ints = 0, "
    "groups: int = 1, dilation: ints = 1"
)
SHAPES = """ (Zeiler et al. 2010): what conv{0}d does to a gradient, plus bias.

    input: (N, C, {1}) or (C, {1}); weight: (C, O / groups, {2}); bias: (O,).
    padding: what the convolution would add, so it is cut off here; output_padding: added to one end.
"""
conv_transpose1d = primitive(
    "conv_transpose1d",
    TRANSPOSED,
    "The transposed convolution of sequences" + SHAPES.format(1, "L", "l"),
    autocast="lower",
    ref=convolve_transposed,
    samples=[
        call(array(2, 3, 4), array(3, 2, 3)),
        call(array(4, 5), array(4, 2, 3), array(4), 2, 1, 1, 2, 2),
    ],
    places="versant nn.functional",
    onnx="ConvTranspose",
    stablehlo="convolution",
)
conv_transpose2d = primitive(
    "conv_transpose2d",
    TRANSPOSED,
    "The transposed convolution of images" + SHAPES.format(2, "H, W", "h, w"),
    autocast="lower",
    ref=convolve_transposed,
    samples=[
        call(array(2, 3, 4, 3), array(3, 2, 3, 2)),
        call(array(1, 4, 3, 5), array(4, 2, 3, 3), array(4), (2, 1), 1, (1, 0), 2, (1, 2)),
    ],
    places="versant nn.functional",
    onnx="ConvTranspose",
    stablehlo="convolution",
)
conv_transpose3d = primitive(
    "conv_transpose3d",
    TRANSPOSED,
    "The transposed convolution of volumes" + SHAPES.format(3, "D, H, W", "d, h, w"),
    autocast="lower",
    ref=convolve_transposed,
    samples=[
        call(array(1, 2, 2, 3, 2), array(2, 2, 2, 2, 3)),
        call(array(2, 2, 2, 3), array(2, 1, 3, 2, 2), array(2), 2, (1, 0, 1), 1, 2),
    ],
    places="versant nn.functional",
    onnx="ConvTranspose",
    stablehlo="convolution",
)
