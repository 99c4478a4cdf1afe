"""Sums, extrema and their kin over axes; cumulative sums; segments; where the largest is."""

from typing import Any

import versant
from versant import _core
from versant.tf import dtypes
from versant.tf.calls import Function, axes_of, is_float, plainly, refuse_integers
from versant.tf.dtypes import as_dtype
from versant.tf.errors import InvalidArgumentError
from versant.tf.tensors import brand, cast, convert


def _axes(op: str, x: Any, axis: Any) -> Any:
    axis = axes_of(axis)
    for a in axis if isinstance(axis, tuple) else () if axis is None else (axis,):
        if not -x.dim() <= a < max(x.dim(), 1):
            raise InvalidArgumentError(
                f"[{op}] axis {a} is out of range for a tensor of shape {tuple(x.shape)}"
            )
    return axis


def reduce_sum(input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
    """The sum over axis (all axes when None), in the dtype of the input."""
    x = convert(input_tensor)
    if axis is None and not keepdims and x.dtype.is_floating_point:
        return brand(versant.sum(x))
    axis = _axes("reduce_sum", x, axis)
    if axis == ():
        return brand(_core.plain(x).clone())
    kept = None if is_float(x.dtype) else x.dtype
    return brand(versant.sum(x, axis, keepdims, dtype=kept))


def reduce_mean(input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
    """The mean over axis; of integers rounded towards zero."""
    x = convert(input_tensor)
    if axis is None and not keepdims and x.dtype.is_floating_point:
        return brand(versant.mean(x))
    axis = _axes("reduce_mean", x, axis)
    if axis == ():
        return brand(_core.plain(x).clone())
    if is_float(x.dtype):
        return brand(versant.mean(x, axis, keepdims))
    total = versant.sum(_core.plain(x), axis, keepdims, dtype=dtypes.int64)
    count = x.numel() // max(total.numel(), 1)
    return brand(versant.div(total, count, rounding_mode="trunc").to(x.dtype))


def reduce_prod(input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
    """The product over axis."""
    x = plainly(input_tensor)
    axis = _axes("reduce_prod", x, axis)
    kept = None if is_float(x.dtype) else x.dtype
    if isinstance(axis, tuple):
        for a in sorted((a % x.dim() for a in axis), reverse=True):
            x = versant.prod(x, a, True, dtype=kept)
        return brand(x if keepdims else _squeezed(x, axis))
    if axis is None:
        found = versant.prod(x, dtype=kept)
        return brand(found.reshape((1,) * x.dim()) if keepdims else found)
    return brand(versant.prod(x, axis, keepdims, dtype=kept))


def _squeezed(x: Any, axes: tuple[int, ...]) -> Any:
    gone = {a % x.dim() for a in axes}
    return x.reshape([n for i, n in enumerate(tuple(x.shape)) if i not in gone])


def _extremum(name: str, ours: str) -> Function:
    def call(input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
        x = plainly(input_tensor)
        axis = _axes(call.__name__, x, axis)
        if x.dtype is dtypes.bool:
            raise InvalidArgumentError(f"[{call.__name__}] expected numbers, got bool")
        if axis == ():
            return brand(x.clone())
        op = getattr(versant, ours)
        return brand(op(x, tuple(range(x.dim())) if axis is None else axis, keepdims))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"The {name.removeprefix('reduce_')}imum over axis; equal ones share the gradient."
    return call


def _truth(name: str, ours: str) -> Function:
    def call(input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
        x = plainly(input_tensor)
        if x.dtype is not dtypes.bool:
            raise InvalidArgumentError(f"[{call.__name__}] expected a bool tensor, got {x.dtype.name}")
        axis = _axes(call.__name__, x, axis)
        axes = tuple(range(x.dim())) if axis is None else (axis,) if isinstance(axis, int) else axis
        for a in sorted({a % x.dim() for a in axes}, reverse=True):
            x = getattr(versant, ours)(x, a, True)
        return brand(x if keepdims else _squeezed(x, axes) if axes else x)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"Whether {name.removeprefix('reduce_')} of the elements over axis are true."
    return call


reduce_max = _extremum("reduce_max", "amax")
reduce_min = _extremum("reduce_min", "amin")
reduce_any = _truth("reduce_any", "any")
reduce_all = _truth("reduce_all", "all")


def reduce_logsumexp(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Any:
    """log(sum(exp(x))) over axis, without overflow."""
    x = plainly(input_tensor)
    refuse_integers("reduce_logsumexp", x)
    axis = _axes("reduce_logsumexp", x, axis)
    if axis == ():
        return brand(x.clone())
    return brand(versant.logsumexp(x, tuple(range(x.dim())) if axis is None else axis, keepdims))


def reduce_variance(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Any:
    """The mean squared distance from the mean over axis."""
    x = plainly(input_tensor)
    if not is_float(x.dtype):
        raise TypeError(f"[reduce_variance] expected a floating-point tensor, got {x.dtype.name}")
    axis = _axes("reduce_variance", x, axis)
    if axis == ():
        return brand(versant.zeros_like(x))
    return brand(versant.var(x, axis, unbiased=False, keepdim=keepdims))


def reduce_std(input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
    """The square root of reduce_variance."""
    return brand(versant.sqrt(_core.plain(reduce_variance(input_tensor, axis, keepdims))))


def reduce_euclidean_norm(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Any:
    """The square root of the sum of squares over axis."""
    x = plainly(input_tensor)
    return brand(versant.sqrt(_core.plain(reduce_sum(versant.square(x), axis, keepdims))))


def count_nonzero(
    input: Any, axis: Any = None, keepdims: bool = False, dtype: Any = dtypes.int64, name: str | None = None
) -> Any:
    """How many elements over axis are not zero."""
    return reduce_sum(cast(brand(plainly(input) != 0), dtype), axis, keepdims)


def _cumulative(name: str, ours: str, start: float) -> Function:
    def call(
        x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False, name: str | None = None
    ) -> Any:
        x = plainly(x)
        axis = int(axes_of(axis))
        kept = x.dtype
        if reverse:
            x = versant.flip(x, [axis])
        op = getattr(versant, ours)
        found = op(x, axis) if is_float(kept) else op(x, axis, dtype=kept)
        if exclusive:
            first = versant.full_like(found.narrow(axis, 0, 1), start)
            found = versant.cat([first, found.narrow(axis, 0, found.shape[axis] - 1)], axis)
        return brand(versant.flip(found, [axis]) if reverse else found)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"{name} along axis. exclusive: without the element itself. reverse: from the end."
    return call


cumsum = _cumulative("cumsum", "cumsum", 0)
cumprod = _cumulative("cumprod", "cumprod", 1)
cumulative_logsumexp = _cumulative("cumulative_logsumexp", "logcumsumexp", -float("inf"))


def argmax(input: Any, axis: Any = None, output_type: Any = dtypes.int64, name: str | None = None) -> Any:
    """Where along axis (0 when None) the first largest element is."""
    return brand(versant.argmax(plainly(input), axes_of(axis) or 0).to(as_dtype(output_type)))


def argmin(input: Any, axis: Any = None, output_type: Any = dtypes.int64, name: str | None = None) -> Any:
    """Where along axis (0 when None) the first smallest element is."""
    return brand(versant.argmin(plainly(input), axes_of(axis) or 0).to(as_dtype(output_type)))


def _segments(name: str, mode: str) -> Function:
    def call(data: Any, segment_ids: Any, num_segments: Any, name: str | None = None) -> Any:
        x, ids = plainly(data, segment_ids)
        if tuple(ids.shape) != tuple(x.shape)[: ids.dim()]:
            raise InvalidArgumentError(
                f"[{call.__name__}] segment_ids of shape {tuple(ids.shape)} do not begin the data's shape "
                f"{tuple(x.shape)}"
            )
        rest = tuple(x.shape)[ids.dim() :]
        flat = x.reshape((ids.numel(), *rest))
        at = ids.reshape(-1).to(dtypes.int64)
        count = int(num_segments)
        if at.numel() and (int(at.max()) >= count):
            raise InvalidArgumentError(f"[{call.__name__}] a segment id is not below num_segments={count}")
        keep = at >= 0
        if not bool(keep.all()):
            flat, at = flat[keep], at[keep]
        index = at.reshape((-1,) + (1,) * len(rest)).expand(tuple(flat.shape))
        if mode == "sum":
            return brand(versant.zeros((count, *rest), dtype=x.dtype).scatter_add(0, index, flat))
        if mode in ("mean", "sqrt_n"):
            total = versant.zeros((count, *rest), dtype=x.dtype).scatter_add(0, index, flat)
            n = versant.bincount(at, minlength=count).clamp(min=1).to(x.dtype)
            n = n if mode == "mean" else n.sqrt()
            return brand(total / n.reshape((-1,) + (1,) * len(rest)))
        first = 1 if mode == "prod" else as_dtype(x.dtype).min if mode == "amax" else as_dtype(x.dtype).max
        base = versant.full((count, *rest), first, dtype=x.dtype)
        return brand(base.scatter_reduce(0, index, flat, mode, include_self=True))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"{name}: over the elements of data with one id. Negative ids are left out."
    return call


def _sorted_segments(name: str, unsorted: Function) -> Function:
    def call(data: Any, segment_ids: Any, name: str | None = None) -> Any:
        ids = plainly(segment_ids)
        if ids.numel() > 1 and bool((ids[1:] < ids[:-1]).any()):
            raise InvalidArgumentError(f"[{call.__name__}] segment ids are not increasing")
        count = int(ids.max()) + 1 if ids.numel() else 0
        found = unsorted(data, segment_ids, count)
        if name_of_mode in ("max", "min", "prod"):
            empty = versant.bincount(ids.to(dtypes.int64), minlength=count) == 0
            shape = (-1,) + (1,) * (found.dim() - 1)
            blank = 1 if name_of_mode == "prod" else 0
            found = versant.where(
                empty.reshape(shape), versant.full_like(_core.plain(found), blank), _core.plain(found)
            )
        return brand(found)

    name_of_mode = name.removeprefix("segment_")
    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"{name}: over the elements of data with one id. The ids increase."
    return call


MATH: dict[str, Function] = {
    function.__name__: function
    for function in (
        reduce_sum,
        reduce_mean,
        reduce_prod,
        reduce_max,
        reduce_min,
        reduce_any,
        reduce_all,
        reduce_logsumexp,
        reduce_variance,
        reduce_std,
        reduce_euclidean_norm,
        count_nonzero,
        cumsum,
        cumprod,
        cumulative_logsumexp,
        argmax,
        argmin,
    )
}
for _mode, _op in {"sum": "sum", "mean": "mean", "prod": "prod", "max": "amax", "min": "amin"}.items():
    MATH[f"unsorted_segment_{_mode}"] = _segments(f"unsorted_segment_{_mode}", _op)
    MATH[f"segment_{_mode}"] = _sorted_segments(f"segment_{_mode}", MATH[f"unsorted_segment_{_mode}"])
MATH["unsorted_segment_sqrt_n"] = _segments("unsorted_segment_sqrt_n", "sqrt_n")

TOP_LEVEL = [
    "reduce_sum",
    "reduce_mean",
    "reduce_prod",
    "reduce_max",
    "reduce_min",
    "reduce_any",
    "reduce_all",
    "reduce_logsumexp",
    "cumsum",
    "argmax",
    "argmin",
]
