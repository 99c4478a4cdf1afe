"""Sums, products, extremes and their like over axes, and along one."""

from __future__ import annotations

import builtins

import versant as vs
from versant import Tensor, dtype
from versant.array_api.data_types import axes_of, together

_Axes = int | tuple[int, ...] | None


def _accumulator(x: Tensor, dtype: dtype | None) -> dtype:
    """The dtype in which sums and products are kept: integers and bool in the default integer."""
    return dtype or (x.dtype if x.dtype.is_floating_point or x.dtype.is_complex else vs.int64)


def _initial(x: Tensor, axis: int, value: int) -> Tensor:
    shape = list(x.shape)
    shape[axis] = 1
    return vs.full(shape, value, dtype=x.dtype)


def _running(
    who: str, x: Tensor, axis: int | None, dtype: dtype | None, initial: Tensor | int | None
) -> Tensor:
    if axis is None:
        if x.ndim > 1:
            raise ValueError(f"[{who}] expected axis for an array of {x.ndim} axes")
        axis = 0
    if x.ndim == 0:
        raise ValueError(f"[{who}] expected at least one axis, got a 0-d array")
    op = vs.cumsum if who == "cumulative_sum" else vs.cumprod
    result = op(x, axis, dtype=_accumulator(x, dtype))
    return result if initial is None else vs.cat([_initial(result, axis, int(initial)), result], axis)


def cumulative_sum(
    x: Tensor, /, *, axis: int | None = None, dtype: dtype | None = None, include_initial: bool = False
) -> Tensor:
    """The sums of the elements up to each along an axis; include_initial: a 0 before them."""
    return _running("cumulative_sum", x, axis, dtype, 0 if include_initial else None)


def cumulative_prod(
    x: Tensor, /, *, axis: int | None = None, dtype: dtype | None = None, include_initial: bool = False
) -> Tensor:
    """The products of the elements up to each along an axis; include_initial: a 1 before them."""
    return _running("cumulative_prod", x, axis, dtype, 1 if include_initial else None)


def _real(who: str, x: Tensor) -> None:
    if x.dtype.is_complex:
        raise TypeError(f"[{who}] expected real numbers, got {x.dtype}")


def max(x: Tensor, /, *, axis: _Axes = None, keepdims: bool = False) -> Tensor:
    """The largest element over the axes (None: all); NaN where there is one."""
    _real("max", x)
    axes = axes_of(axis, x.ndim)
    return vs.amax(x, axes, keepdims) if axes else x.clone()


def min(x: Tensor, /, *, axis: _Axes = None, keepdims: bool = False) -> Tensor:
    """The smallest element over the axes (None: all); NaN where there is one."""
    _real("min", x)
    axes = axes_of(axis, x.ndim)
    return vs.amin(x, axes, keepdims) if axes else x.clone()


def sum(x: Tensor, /, *, axis: _Axes = None, dtype: dtype | None = None, keepdims: bool = False) -> Tensor:
    """The sum over the axes (None: all); integers and bool in int64, if no dtype is given."""
    kept = _accumulator(x, dtype)
    axes = axes_of(axis, x.ndim)
    return vs.sum(x, axes, keepdims, dtype=kept) if axes else x.to(kept, copy=True)


def prod(x: Tensor, /, *, axis: _Axes = None, dtype: dtype | None = None, keepdims: bool = False) -> Tensor:
    """The product over the axes (None: all); integers and bool in int64, if no dtype is given."""
    kept = _accumulator(x, dtype)
    axes = axes_of(axis, x.ndim)
    result = x if axes else x.to(kept, copy=True)
    for each in axes:
        result = vs.prod(result, each, True, dtype=kept)
    return result if keepdims or not axes else vs.squeeze(result, axes)


def mean(x: Tensor, /, *, axis: _Axes = None, keepdims: bool = False) -> Tensor:
    """The mean over the axes (None: all)."""
    axes = axes_of(axis, x.ndim)
    return vs.mean(x, axes, keepdims) if axes else x.clone()


def _of_one(x: Tensor, correction: float) -> Tensor:
    """The variance of single elements: 0, and NaN where nothing is left to divide by."""
    return (x - x) / builtins.max(1 - correction, 0)


def var(x: Tensor, /, *, axis: _Axes = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The variance over the axes (None: all): squared distances from the mean, divided by n - correction."""
    axes = axes_of(axis, x.ndim)
    return vs.var(x, axes, correction=correction, keepdim=keepdims) if axes else _of_one(x, correction)


def std(x: Tensor, /, *, axis: _Axes = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The standard deviation over the axes (None: all): the square root of `var`."""
    axes = axes_of(axis, x.ndim)
    return vs.std(x, axes, correction=correction, keepdim=keepdims) if axes else _of_one(x, correction)


def all(x: Tensor, /, *, axis: _Axes = None, keepdims: bool = False) -> Tensor:
    """Whether all elements over the axes (None: all) are true; NaN is."""
    axes = axes_of(axis, x.ndim)
    truth = x.cast(vs.bool)
    return vs.all(truth, axes, keepdims) if axes else truth.clone()


def any(x: Tensor, /, *, axis: _Axes = None, keepdims: bool = False) -> Tensor:
    """Whether any element over the axes (None: all) is true; NaN is."""
    axes = axes_of(axis, x.ndim)
    truth = x.cast(vs.bool)
    return vs.any(truth, axes, keepdims) if axes else truth.clone()


def diff(
    x: Tensor, /, *, axis: int = -1, n: int = 1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """Each element less the one before it along an axis, n times over; prepend, append: joined to x first."""
    parts = [part for part in (prepend, x, append) if part is not None]
    return vs.diff(vs.cat(together("diff", *parts), axis) if len(parts) > 1 else x, n, axis)
