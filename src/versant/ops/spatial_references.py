"""Plain reference values of convolutions and pooling in numpy."""

from __future__ import annotations

import math

from versant.ops.lazy import np

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def each_axis(value: Any, axes: int) -> tuple[int, ...]:
    """One number for every axis."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * axes if len(values) == 1 else values


def convolve(x: Any, w: Any, b: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """Cross-correlation in as many dimensions as the filters have."""
    axes = w.ndim - 2
    stride, padding, dilation = (each_axis(v, axes) for v in (stride, padding, dilation))
    x = np.pad(x, [(0, 0)] * (x.ndim - axes) + [(p, p) for p in padding])
    single, x = x.ndim == axes + 1, x.reshape(-1, *x.shape[-axes - 1 :])
    out_channels, in_channels, *kernel = w.shape
    sizes = [
        (n - d * (k - 1) - 1) // s + 1
        for n, d, k, s in zip(x.shape[2:], dilation, kernel, stride, strict=True)
    ]
    x = x.reshape(x.shape[0], groups, in_channels, *x.shape[2:])
    w = w.reshape(groups, out_channels // groups, in_channels, *kernel)
    y = np.zeros((x.shape[0], groups, out_channels // groups, *sizes), x.dtype)
    for tap in np.ndindex(*kernel):
        met = (
            slice(t * d, t * d + (n - 1) * s + 1, s)
            for t, d, n, s in zip(tap, dilation, sizes, stride, strict=True)
        )
        y += np.einsum("ngc...,goc->ngo...", x[(..., *met)], w[(..., *tap)])
    y = y.reshape(x.shape[0], out_channels, *sizes)
    y = y if b is None else y + b.reshape(-1, *(1,) * axes)
    return y[0] if single else y


def convolve_transposed(
    x: Any,
    w: Any,
    b: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Each input element adds the filter, times itself, to the result."""
    axes = w.ndim - 2
    stride, padding, dilation, more = (
        each_axis(v, axes) for v in (stride, padding, dilation, output_padding)
    )
    single, x = x.ndim == axes + 1, x.reshape(-1, *x.shape[-axes - 1 :])
    in_channels, per_group, *kernel = w.shape
    sizes = x.shape[2:]
    whole = [
        (n - 1) * s + d * (k - 1) + 1 + e
        for n, s, d, k, e in zip(sizes, stride, dilation, kernel, more, strict=True)
    ]
    y = np.zeros((x.shape[0], groups, per_group, *whole), x.dtype)
    x = x.reshape(x.shape[0], groups, in_channels // groups, *sizes)
    w = w.reshape(groups, in_channels // groups, per_group, *kernel)
    for tap in np.ndindex(*kernel):
        met = (
            slice(t * d, t * d + (n - 1) * s + 1, s)
            for t, d, n, s in zip(tap, dilation, sizes, stride, strict=True)
        )
        y[(..., *met)] += np.einsum("ngc...,gco->ngo...", x, w[(..., *tap)])
    y = y.reshape(x.shape[0], groups * per_group, *whole)
    y = y[(..., *(slice(p, n - p) for p, n in zip(padding, whole, strict=True)))]
    y = y if b is None else y + b.reshape(-1, *(1,) * axes)
    return y[0] if single else y


# --- pooling ------------------------------------------------------------------------------------------------


def windows(n: int, kernel: int, stride: int, padding: int, dilation: int, ceil: bool) -> list[list[int]]:
    """For each output place, the input places of its window; some lie in the margin."""
    room = n + 2 * padding - dilation * (kernel - 1) - 1
    count = (-(-room // stride) if ceil else room // stride) + 1
    if ceil and (count - 1) * stride >= n + padding:
        count -= 1
    starts = (i * stride - padding for i in range(count))
    return [[start + k * dilation for k in range(kernel)] for start in starts]


def inside(place: Any, sides: Any, sizes: Any) -> list[list[int]]:
    """The elements of one window that exist, along each axis."""
    return [[i for i in side[o] if 0 <= i < n] for o, side, n in zip(place, sides, sizes, strict=True)]


def elements(x: Any, axes: int, chosen: Any) -> Any:
    """The elements of one window, as the last axis."""
    for axis, places in enumerate(chosen):
        x = np.take(x, places, axis - axes)
    return x.reshape(*x.shape[:-axes], -1)


def sides_of(sizes: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool) -> list[Any]:
    numbers = (each_axis(v, len(sizes)) for v in (kernel, stride, padding, dilation))
    return [windows(n, k, s, p, d, ceil) for n, k, s, p, d in zip(sizes, *numbers, strict=True)]


def pool(
    x: Any,
    axes: int,
    kernel: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil: bool,
    combine: Any,
    whole: bool = False,
) -> Any:
    """Combines each window.  whole: the mean counts the margin, as zeros, but not what lies beyond it"""
    sizes = x.shape[-axes:]
    sides = sides_of(sizes, kernel, stride, padding, dilation, ceil)
    result = np.zeros((*x.shape[:-axes], *map(len, sides)))
    for place in np.ndindex(*map(len, sides)):
        window = elements(x, axes, inside(place, sides, sizes))
        values = combine(window, -1)
        if whole:
            margins = zip(place, sides, sizes, each_axis(padding, axes), strict=True)
            counted = math.prod(sum(i < n + p for i in side[o]) for o, side, n, p in margins)
            values = values * (window.shape[-1] / counted)
        result[(..., *place)] = values
    return result


def pooled_argmax(
    x: Any, axes: int, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool
) -> Any:
    """Where each window's largest element is, counted row by row in its image."""
    sizes = x.shape[-axes:]
    sides = sides_of(sizes, kernel, stride, padding, dilation, ceil)
    return chosen_places(x, axes, sides)


def chosen_places(x: Any, axes: int, sides: Any) -> Any:
    sizes = x.shape[-axes:]
    counted = np.arange(math.prod(sizes)).reshape(sizes)
    result = np.zeros((*x.shape[:-axes], *map(len, sides)), "int64")
    for place in np.ndindex(*map(len, sides)):
        chosen = inside(place, sides, sizes)
        result[(..., *place)] = elements(counted, axes, chosen)[np.argmax(elements(x, axes, chosen), -1)]
    return result


def adaptive(x: Any, axes: int, size: Any, combine: Any) -> Any:
    """Combines windows that divide each image evenly; without `combine`, where the largest elements are."""
    sizes = x.shape[-axes:]
    sides = [
        [list(range(i * n // count, -(-(i + 1) * n // count))) for i in range(count)]
        for n, count in zip(sizes, each_axis(size, axes), strict=True)
    ]
    if combine is None:
        return chosen_places(x, axes, sides)
    result = np.zeros((*x.shape[:-axes], *map(len, sides)))
    for place in np.ndindex(*map(len, sides)):
        result[(..., *place)] = combine(elements(x, axes, inside(place, sides, sizes)), -1)
    return result


def unpool(x: Any, places: Any, axes: int, size: Any) -> Any:
    """Images of zeros with x at its places."""
    sizes = each_axis(size, axes)
    flat = np.zeros((*x.shape[:-axes], math.prod(sizes)), x.dtype)
    lines = (*x.shape[:-axes], -1)
    np.put_along_axis(flat, places.reshape(lines), x.reshape(lines), -1)
    return flat.reshape(*x.shape[:-axes], *sizes)
