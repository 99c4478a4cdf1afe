"""Channels and positions of images changing places, (N, C, ...): shuffles, patches as columns."""

from __future__ import annotations

from versant._core import ShapeError, Tensor
from versant.ops.axes import Size
from versant.ops.joining import pad_constant
from versant.ops.lazy import np
from versant.ops.record import composite
from versant.ops.samples import array, call


@composite(
    ref=lambda x, r: (
        x.reshape(*x.shape[:-3], x.shape[-3] // r**2, r, r, *x.shape[-2:])
        .transpose(*range(x.ndim - 2), x.ndim, x.ndim - 2, x.ndim + 1, x.ndim - 1)
        .reshape(*x.shape[:-3], x.shape[-3] // r**2, x.shape[-2] * r, x.shape[-1] * r)
    ),
    samples=[call(array(2, 8, 3, 2), 2), call(array(9, 2, 2), 3)],
    places="versant nn.functional",
)
def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Turns channels into positions: (..., C * r * r, H, W) -> (..., C, H * r, W * r) (Shi et al. 2016)."""
    r = upscale_factor
    if input.ndim < 3 or r < 1 or input.shape[-3] % (r * r):
        raise ShapeError(
            f"[pixel_shuffle] expected (..., C * {r} * {r}, H, W), got input of shape {tuple(input.shape)}"
        )
    *lead, channels, height, width = input.shape
    parts = input.reshape(*lead, channels // (r * r), r, r, height, width)
    n = len(lead)
    turned = parts.permute(*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return turned.reshape(*lead, channels // (r * r), height * r, width * r)


@composite(
    ref=lambda x, r: (
        x.reshape(*x.shape[:-2], x.shape[-2] // r, r, x.shape[-1] // r, r)
        .transpose(*range(x.ndim - 2), x.ndim - 1, x.ndim + 1, x.ndim - 2, x.ndim)
        .reshape(*x.shape[:-3], x.shape[-3] * r * r, x.shape[-2] // r, x.shape[-1] // r)
    ),
    samples=[call(array(2, 2, 4, 6), 2), call(array(1, 3, 6), 3)],
    places="versant nn.functional",
)
def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """Turns positions into channels: (..., C, H * r, W * r) -> (..., C * r * r, H, W)."""
    r = downscale_factor
    if input.ndim < 3 or r < 1 or input.shape[-2] % r or input.shape[-1] % r:
        raise ShapeError(
            f"[pixel_unshuffle] expected (..., C, H * {r}, W * {r}), got input of shape {tuple(input.shape)}"
        )
    *lead, channels, height, width = input.shape
    parts = input.reshape(*lead, channels, height // r, r, width // r, r)
    n = len(lead)
    turned = parts.permute(*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return turned.reshape(*lead, channels * r * r, height // r, width // r)


@composite(
    ref=lambda x, groups: (
        x.reshape(x.shape[0], groups, x.shape[1] // groups, -1).swapaxes(1, 2).reshape(x.shape)
    ),
    samples=[call(array(2, 6, 3, 2), 3), call(array(1, 4, 5), 2)],
    places="versant nn.functional",
)
def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Takes the channels of each group in turn (Zhang et al. 2018).  input: (N, C, ...)"""
    if input.ndim < 3 or groups < 1 or input.shape[1] % groups:
        raise ShapeError(
            f"[channel_shuffle] expected (N, C, ...) with C divisible by {groups}, "
            f"got input of shape {tuple(input.shape)}"
        )
    batch, channels, *rest = input.shape
    parts = input.reshape(batch, groups, channels // groups, *rest)
    return parts.transpose(1, 2).reshape(batch, channels, *rest)


def two(value: Size) -> tuple[int, int]:
    values = (value, value) if isinstance(value, int) else tuple(value) * (3 - len(value))
    return values[0], values[1]


@composite(
    name="unfold.images",
    ref=lambda x, kernel: np.stack(
        [
            x[:, :, i : i + x.shape[2] - kernel + 1, j : j + x.shape[3] - kernel + 1]
            for i in range(kernel)
            for j in range(kernel)
        ],
        2,
    ).reshape(x.shape[0], x.shape[1] * kernel**2, -1),
    samples=[call(array(2, 3, 4, 3), 2)],
    places="nn.functional",
    also="nn.functional.unfold",
)
def unfold(
    input: Tensor, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1
) -> Tensor:
    """Patches of images as columns.  input: (N, C, H, W) or (C, H, W) -> (N, C * h * w, patches)"""
    if input.ndim == 3:
        return unfold(input.unsqueeze(0), kernel_size, dilation, padding, stride).squeeze(0)
    if input.ndim != 4:
        raise ShapeError(f"[unfold] expected (N, C, H, W) or (C, H, W), got {tuple(input.shape)}")
    kernel, spread, step = two(kernel_size), two(dilation), two(stride)
    pad = two(padding)
    if min(*kernel, *spread, *step) < 1 or min(pad) < 0:
        raise ShapeError(f"[unfold] expected positive numbers, got {kernel_size}, {dilation}, {stride}")
    x = pad_constant(input, (pad[1], pad[1], pad[0], pad[0])) if any(pad) else input
    for axis in (2, 3):
        span = spread[axis - 2] * (kernel[axis - 2] - 1) + 1
        if x.shape[axis] < span:
            raise ShapeError(
                f"[unfold] patches that span {span} do not fit input of shape {tuple(input.shape)}"
            )
        x = x.unfold(axis, span, step[axis - 2])
    x = x[..., :: spread[0], :: spread[1]]  # (N, C, rows, columns, h, w)
    batch, channels, rows, columns = x.shape[:4]
    return x.permute(0, 1, 4, 5, 2, 3).reshape(batch, channels * kernel[0] * kernel[1], rows * columns)


@composite(
    ref=lambda x, size, kernel: np.sum(
        [
            np.pad(
                x.reshape(x.shape[0], -1, kernel**2, size[0] - kernel + 1, size[1] - kernel + 1)[:, :, i],
                [
                    (0, 0),
                    (0, 0),
                    (i // kernel, kernel - 1 - i // kernel),
                    (i % kernel, kernel - 1 - i % kernel),
                ],
            )
            for i in range(kernel**2)
        ],
        0,
    ),
    samples=[call(array(2, 12, 6), (4, 3), 2)],
    places="nn.functional",
)
def fold(
    input: Tensor,
    output_size: Size,
    kernel_size: Size,
    dilation: Size = 1,
    padding: Size = 0,
    stride: Size = 1,
) -> Tensor:
    """Adds columns up as patches of images, the adjoint of unfold.

    input: (N, C * h * w, patches) or (C * h * w, patches) -> (N, C, *output_size) or (C, *output_size)
    """
    if input.ndim == 2:
        return fold(input.unsqueeze(0), output_size, kernel_size, dilation, padding, stride).squeeze(0)
    if input.ndim != 3:
        raise ShapeError(f"[fold] expected (N, C * h * w, patches), got {tuple(input.shape)}")
    sizes, kernel, spread = two(output_size), two(kernel_size), two(dilation)
    margin, step = two(padding), two(stride)
    if min(*sizes, *kernel, *spread, *step) < 1 or min(margin) < 0:
        raise ShapeError(
            f"[fold] expected positive numbers, got {output_size}, {kernel_size}, {dilation}, {stride}"
        )
    if input.shape[1] % (kernel[0] * kernel[1]):
        raise ShapeError(
            f"[fold] expected a multiple of {kernel[0]} * {kernel[1]} rows, got {tuple(input.shape)}"
        )
    counts = [(sizes[d] + 2 * margin[d] - spread[d] * (kernel[d] - 1) - 1) // step[d] + 1 for d in range(2)]
    if min(counts) < 1 or input.shape[2] != counts[0] * counts[1]:
        raise ShapeError(
            f"[fold] images of {sizes} have {counts[0]} * {counts[1]} patches, got {tuple(input.shape)}"
        )
    batch, channels = input.shape[0], input.shape[1] // (kernel[0] * kernel[1])
    parts = input.view(batch, channels, *kernel, *counts)
    result = input.new_zeros((batch, channels, sizes[0] + 2 * margin[0], sizes[1] + 2 * margin[1]))
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            top, left = i * spread[0], j * spread[1]
            result[
                :,
                :,
                top : top + step[0] * (counts[0] - 1) + 1 : step[0],
                left : left + step[1] * (counts[1] - 1) + 1 : step[1],
            ] += parts[:, :, i, j]
    return result[:, :, margin[0] : margin[0] + sizes[0], margin[1] : margin[1] + sizes[1]].contiguous()
