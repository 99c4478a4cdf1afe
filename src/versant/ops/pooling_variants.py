"""Rarer poolings: undoing max pooling, p-norms of windows, windows drawn at random."""

from __future__ import annotations

from collections.abc import Sequence

from versant._core import ShapeError, Tensor
from versant.ops.axes import Size
from versant.ops.lazy import np
from versant.ops.pooling import avg_pool1d, avg_pool2d, avg_pool3d, step, unpool_whole
from versant.ops.record import composite
from versant.ops.samples import array, call, integers, positive
from versant.ops.spatial_references import pool, unpool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# --- max_unpool ---------------------------------------------------------------------------------------------


def every(value: Any, axes: int) -> tuple[int, ...]:
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * axes if len(values) == 1 else values


def unpooled(
    axes: int,
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    output_size: Sequence[int] | None,
) -> Tensor:
    who = f"max_unpool{axes}d"
    kernel, strides, pads = (every(v, axes) for v in (kernel_size, step(kernel_size, stride), padding))
    images = input.shape[-axes:]
    usual = [(n - 1) * s - 2 * p + k for n, s, p, k in zip(images, strides, pads, kernel, strict=True)]
    sizes = usual
    if output_size is not None:
        sizes = list(output_size)[-axes:]
        if len(output_size) not in (axes, input.ndim):
            raise ShapeError(f"[{who}] expected {axes} sizes in output_size, got {tuple(output_size)}")
        for size, n, s in zip(sizes, usual, strides, strict=True):
            if not n - s < size < n + s:
                raise ShapeError(
                    f"[{who}] output_size {tuple(output_size)} is not within a stride of {tuple(usual)}"
                )
    return unpool_whole[axes - 1](input, indices, sizes)


def unpool_reference(axes: int) -> Any:
    return lambda x, places, kernel: unpool(x, places, axes, tuple(n * kernel for n in x.shape[-axes:]))


@composite(
    ref=unpool_reference(1),
    samples=[call(array(2, 3, 1), integers(2, 3, 1, below=2), 2)],
    places="nn.functional",
)
def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Undoes max_pool1d as far as it can: the elements at their places, among zeros."""
    return unpooled(1, input, indices, kernel_size, stride, padding, output_size)


@composite(
    autocast="float32",
    ref=unpool_reference(2),
    samples=[call(array(2, 3, 1, 1), integers(2, 3, 1, 1, below=4), 2)],
    places="nn.functional",
)
def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Undoes max_pool2d as far as it can: the elements at their places, among zeros (Zeiler et al. 2011)."""
    return unpooled(2, input, indices, kernel_size, stride, padding, output_size)


@composite(
    autocast="float32",
    ref=unpool_reference(3),
    samples=[call(array(1, 3, 1, 1, 1), integers(1, 3, 1, 1, 1, below=8), 2)],
    places="nn.functional",
)
def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Undoes max_pool3d as far as it can: the elements at their places, among zeros."""
    return unpooled(3, input, indices, kernel_size, stride, padding, output_size)


# --- lp_pool ------------------------------------------------------------------------------------------------


def norm_of_windows(average: Any, axes: int, input: Tensor, p: float, kernel: Any, *how: Any) -> Tensor:
    elements = 1
    for size in every(kernel, axes):
        elements *= size
    means: Tensor = average(input.pow(p), kernel, *how)
    return (means.sign() * means.abs().relu()).mul(elements).pow(1.0 / p)


def lp_reference(axes: int) -> Any:
    return lambda x, p, kernel, stride=None: (
        pool(x**p, axes, kernel, stride or kernel, 0, 1, False, np.sum) ** (1 / p)
    )


@composite(
    ref=lp_reference(1), samples=[call(array(2, 3, 6, domain=positive), 3.0, 2)], places="nn.functional"
)
def lp_pool1d(
    input: Tensor,
    norm_type: float,
    kernel_size: int,
    stride: Size | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """The p-norm of each window: sum(x**p) ** (1 / p)."""
    return norm_of_windows(avg_pool1d, 1, input, norm_type, kernel_size, stride, 0, ceil_mode)


@composite(
    ref=lp_reference(2), samples=[call(array(2, 3, 6, 5, domain=positive), 2.0, 2)], places="nn.functional"
)
def lp_pool2d(
    input: Tensor,
    norm_type: float,
    kernel_size: Size,
    stride: Size | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """The p-norm of each window: sum(x**p) ** (1 / p)."""
    return norm_of_windows(avg_pool2d, 2, input, norm_type, kernel_size, stride, 0, ceil_mode)


@composite(
    ref=lp_reference(3),
    samples=[call(array(1, 2, 4, 3, 4, domain=positive), 2.0, 2)],
    places="nn.functional",
)
def lp_pool3d(
    input: Tensor,
    norm_type: float,
    kernel_size: Size,
    stride: Size | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """The p-norm of each window: sum(x**p) ** (1 / p)."""
    return norm_of_windows(avg_pool3d, 3, input, norm_type, kernel_size, stride, 0, ceil_mode)


# --- fractional max pooling ---------------------------------------------------------------------------------


def begins(samples: Tensor, size: int, window: int, count: int) -> Tensor:
    """Where each window begins, for each image: a sequence of steps that the image's sample shifts."""
    from versant import arange, int64

    if count == 1:
        return (samples[..., None] * 0).to(int64) + (size - window)
    alpha = (size - window) / (count - 1)
    steps = arange(count, dtype=samples.dtype)
    places = ((steps + samples[..., None]) * alpha).to(int64) - (samples[..., None] * alpha).to(int64)
    places[..., -1] = size - window
    return places


def fractional(
    axes: int,
    input: Tensor,
    kernel_size: Size,
    output_size: Any,
    output_ratio: Any,
    return_indices: bool,
    samples: Tensor | None,
) -> Any:
    from versant import arange, rand

    who = f"fractional_max_pool{axes}d"
    if (output_size is None) == (output_ratio is None):
        raise ValueError(f"[{who}] expected one of output_size and output_ratio")
    if input.ndim == axes + 1:
        whole = fractional(axes, input.unsqueeze(0), kernel_size, output_size, output_ratio, True, samples)
        return tuple(r.squeeze(0) for r in whole) if return_indices else whole[0].squeeze(0)
    if input.ndim != axes + 2:
        raise ShapeError(f"[{who}] expected {axes + 2}-D or {axes + 1}-D input, got {tuple(input.shape)}")
    images, kernel = input.shape[2:], every(kernel_size, axes)
    if output_ratio is not None:
        ratios = (output_ratio,) * axes if isinstance(output_ratio, float) else tuple(output_ratio)
        if any(not 0 < r < 1 for r in ratios):
            raise ValueError(f"[{who}] expected an output_ratio between 0 and 1, got {output_ratio}")
        output_size = [int(n * r) for n, r in zip(images, ratios, strict=True)]
    counts = every(output_size, axes)
    for n, k, count in zip(images, kernel, counts, strict=True):
        if count < 1 or k < 1 or count + k - 1 > n:
            raise ShapeError(
                f"[{who}] {tuple(counts)} windows of {tuple(kernel)} do not fit images of {tuple(images)}"
            )
    batch, channels = input.shape[:2]
    if samples is None:
        samples = rand(batch, channels, axes, dtype=input.dtype)
    if samples.ndim != 3 or samples.shape[0] < batch or samples.shape[1:] != (channels, axes):
        raise ShapeError(
            f"[{who}] expected samples of shape {(batch, channels, axes)}, got {tuple(samples.shape)}"
        )
    samples = samples[:batch]
    # Places in the flat image, window by window: (N, C, outputs, elements). Samples count axes from the last.
    places: Any = 0
    for d, (n, k, count) in enumerate(zip(images, kernel, counts, strict=True)):
        start = begins(samples[:, :, axes - 1 - d], n, k, count)
        along = start[..., None] + arange(k)  # (N, C, count, k)
        shape = [batch, channels, *(1,) * (2 * axes)]
        shape[2 + d], shape[2 + axes + d] = count, k
        places = places * n + along.reshape(shape)
    elements = 1
    for k in kernel:
        elements *= k
    places = places.reshape(batch, channels, -1)
    windows = input.flatten(2).gather(2, places).reshape(batch, channels, -1, elements)
    values, best = windows.max(-1)
    found = places.reshape(batch, channels, -1, elements).gather(-1, best.unsqueeze(-1)).squeeze(-1)
    values = values.reshape(batch, channels, *counts)
    return (values, found.reshape(batch, channels, *counts)) if return_indices else values


@composite(
    autocast="float32",
    places="nn.functional",
    without={"ref": "its windows are drawn", "samples": "its windows are drawn"},
)
def fractional_max_pool2d(
    input: Tensor,
    kernel_size: Size,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """The largest of windows that begin at random places (Graham 2014).  input: (N, C, H, W) or (C, H, W)

    output_size: how many windows; output_ratio: the same as a share of the image's size.
    """
    return fractional(2, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)


@composite(
    autocast="float32",
    places="nn.functional",
    without={"ref": "its windows are drawn", "samples": "its windows are drawn"},
)
def fractional_max_pool3d(
    input: Tensor,
    kernel_size: Size,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """The largest of windows that begin at random places (Graham 2014).  input: (N, C, D, H, W)

    output_size: how many windows; output_ratio: the same as a share of the volume's size.
    """
    return fractional(3, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)
