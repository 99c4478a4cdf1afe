"""Plain reference values of convolutions in numpy, one filter tap at a time."""

from __future__ import annotations

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
