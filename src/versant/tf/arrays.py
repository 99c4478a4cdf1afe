"""Tensors made, reshaped, joined, split and indexed."""

from typing import Any

import versant
from versant import _core
from versant.tf import dtypes
from versant.tf.calls import argument_errors, axes_of, plainly, sizes_of
from versant.tf.dtypes import as_dtype
from versant.tf.errors import InvalidArgumentError
from versant.tf.shapes import TensorShape
from versant.tf.tensors import brand, cast, convert, same_dtype

# Made -------------------------------------------------------------------------------------------------------


def zeros(shape: Any, dtype: Any = dtypes.float32, name: str | None = None, layout: Any = None) -> Any:
    """A tensor of zeros."""
    return brand(versant.zeros(sizes_of(shape), dtype=as_dtype(dtype)))


def ones(shape: Any, dtype: Any = dtypes.float32, name: str | None = None, layout: Any = None) -> Any:
    """A tensor of ones."""
    return brand(versant.ones(sizes_of(shape), dtype=as_dtype(dtype)))


def _like(input: Any, value: int, dtype: Any) -> Any:
    x = plainly(input)
    return brand(versant.full_like(x, value, dtype=x.dtype if dtype is None else as_dtype(dtype)))


def zeros_like(input: Any, dtype: Any = None, name: str | None = None, layout: Any = None) -> Any:
    """Zeros in the shape and dtype of input."""
    return _like(input, 0, dtype)


def ones_like(input: Any, dtype: Any = None, name: str | None = None, layout: Any = None) -> Any:
    """Ones in the shape and dtype of input."""
    return _like(input, 1, dtype)


def fill(dims: Any, value: Any, name: str | None = None, layout: Any = None) -> Any:
    """A tensor of one value."""
    return brand(plainly(value).expand(sizes_of(dims)).clone())


def eye(
    num_rows: Any,
    num_columns: Any = None,
    batch_shape: Any = None,
    dtype: Any = dtypes.float32,
    name: str | None = None,
) -> Any:
    """Ones on the diagonal, for each place of batch_shape."""
    rows = int(num_rows)
    found = versant.eye(rows, rows if num_columns is None else int(num_columns), dtype=as_dtype(dtype))
    if batch_shape is not None:
        found = found.expand((*sizes_of(batch_shape), *tuple(found.shape))).clone()
    return brand(found)


def range_(start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None, name: str | None = None) -> Any:
    """start, start + delta, ... below limit; range(limit) begins at 0."""
    if limit is None:
        start, limit = 0, start
    values = [convert(value) for value in (start, limit, delta)]
    if dtype is None:
        order = [dtypes.int32, dtypes.int64, dtypes.float32, dtypes.float64]
        found = [value.dtype for value in values]
        dtype = max(found, key=order.index) if all(d in order for d in found) else found[0]
    dtype = as_dtype(dtype)
    first, end, step = (value.item() for value in values)
    if step == 0:
        raise InvalidArgumentError("[range] delta must not be 0")
    if (end - first) * step <= 0:
        return brand(versant.zeros(0, dtype=dtype))
    return brand(versant.arange(first, end, step, dtype=dtype))


def linspace(start: Any, stop: Any, num: Any, name: str | None = None, axis: int = 0) -> Any:
    """num evenly spaced values from start to stop, both included."""
    first, last = same_dtype("linspace", start, stop)
    if not first.dtype.is_floating_point:
        raise InvalidArgumentError(f"[linspace] expected floating-point ends, got {first.dtype.name}")
    count = int(num)
    if first.dim() == 0 and last.dim() == 0:
        return brand(versant.linspace(first.item(), last.item(), count, dtype=first.dtype))
    first, last = versant.broadcast_tensors(_core.plain(first), _core.plain(last))
    parts = [first + (last - first) * (i / max(count - 1, 1)) for i in range(count)]
    return brand(versant.stack(parts, axis))


def one_hot(
    indices: Any,
    depth: Any,
    on_value: Any = None,
    off_value: Any = None,
    axis: Any = None,
    dtype: Any = None,
    name: str | None = None,
) -> Any:
    """A new axis of size depth with on_value where it equals the index, off_value elsewhere."""
    at = plainly(indices).to(dtypes.int64)
    if dtype is None:
        given = [convert(v).dtype for v in (on_value, off_value) if v is not None]
        dtype = given[0] if given else dtypes.float32
    dtype = as_dtype(dtype)
    hit = at.unsqueeze(-1) == versant.arange(int(depth))
    found = versant.where(
        hit,
        versant.full((), 1 if on_value is None else _item(on_value), dtype=dtype),
        versant.full((), 0 if off_value is None else _item(off_value), dtype=dtype),
    )
    if axis is not None and axis not in (-1, found.dim() - 1):
        found = versant.movedim(found, -1, axis).contiguous()
    return brand(found)


def _item(value: Any) -> Any:
    return value.item() if isinstance(value, _core.Tensor) else value


def meshgrid(*args: Any, indexing: str = "xy", name: str | None = None) -> Any:
    """Grids of the coordinates that the given ones span."""
    return [brand(x) for x in versant.meshgrid(*(plainly(x) for x in args), indexing=indexing)]


# Shapes -----------------------------------------------------------------------------------------------------


def shape(input: Any, out_type: Any = dtypes.int32, name: str | None = None) -> Any:
    """The sizes of the axes, as a tensor."""
    return brand(versant.tensor([*convert(input).shape], dtype=as_dtype(out_type)))


def size(input: Any, out_type: Any = dtypes.int32, name: str | None = None) -> Any:
    """How many elements there are, as a tensor."""
    return brand(versant.tensor(convert(input).numel(), dtype=as_dtype(out_type)))


def rank(input: Any, name: str | None = None) -> Any:
    """How many axes there are, as a tensor."""
    return brand(versant.tensor(convert(input).dim(), dtype=dtypes.int32))


def reshape(tensor: Any, shape: Any, name: str | None = None) -> Any:
    """The elements in another shape; one size may be -1."""
    return brand(versant.reshape(convert(tensor), sizes_of(shape)))


def transpose(a: Any, perm: Any = None, conjugate: bool = False, name: str = "transpose") -> Any:
    """Axes in another order; reversed when perm is None."""
    x = plainly(a)
    order = tuple(reversed(range(x.dim()))) if perm is None else axes_of(perm)
    found = versant.permute(x, order)
    return brand(versant.conj(found) if conjugate and found.dtype.is_complex else found)


def expand_dims(input: Any, axis: Any, name: str | None = None) -> Any:
    """A new axis of size 1."""
    return brand(versant.unsqueeze(convert(input), int(axes_of(axis))))


def squeeze(input: Any, axis: Any = None, name: str | None = None) -> Any:
    """Without the axes of size 1, or those of them that are named."""
    x = plainly(input)
    if axis is None:
        return brand(x.squeeze())
    axes = axes_of(axis)
    axes = (axes,) if isinstance(axes, int) else axes
    sizes = tuple(x.shape)
    for a in axes:
        if sizes[a] != 1:
            raise InvalidArgumentError(f"[squeeze] axis {a} of shape {sizes} is not of size 1")
    gone = {a % x.dim() for a in axes}
    return brand(x.reshape([n for i, n in enumerate(sizes) if i not in gone]))


def broadcast_to(input: Any, shape: Any, name: str | None = None) -> Any:
    """Stretched to a shape along axes of size 1 and new ones."""
    return brand(versant.broadcast_to(plainly(input), sizes_of(shape)).clone())


def broadcast_static_shape(shape_x: Any, shape_y: Any) -> TensorShape:
    """The shape of an op of tensors of both shapes."""
    return TensorShape(versant.broadcast_shapes(tuple(shape_x), tuple(shape_y)))


def broadcast_dynamic_shape(shape_x: Any, shape_y: Any) -> Any:
    """The same of shapes in tensors."""
    return convert(
        [*TensorShape(versant.broadcast_shapes(sizes_of(shape_x), sizes_of(shape_y)))], dtypes.int32
    )


def ensure_shape(x: Any, shape: Any, name: str | None = None) -> Any:
    """x, which must have that shape; None fits any size."""
    x = convert(x)
    if not TensorShape(tuple(x.shape)).is_compatible_with(shape):
        raise InvalidArgumentError(f"[ensure_shape] expected shape {tuple(shape)}, got {tuple(x.shape)}")
    return brand(_core.plain(x).clone())


def concat(values: Any, axis: Any, name: str = "concat") -> Any:
    """Joined along an axis."""
    if isinstance(values, _core.Tensor):
        values = [values]
    parts = [_core.plain(x) for x in same_dtype("concat", *values)]
    return brand(versant.cat(parts, int(axes_of(axis))))


def stack(values: Any, axis: int = 0, name: str = "stack") -> Any:
    """Joined along a new axis."""
    return brand(versant.stack([_core.plain(x) for x in same_dtype("stack", *values)], axis))


def unstack(value: Any, num: int | None = None, axis: int = 0, name: str = "unstack") -> Any:
    """The slices along an axis, as a list."""
    found = versant.unbind(plainly(value), axis)
    if num is not None and num != len(found):
        raise ValueError(f"[unstack] axis {axis} has {len(found)} slices, num is {num}")
    return [brand(x) for x in found]


def split(
    value: Any, num_or_size_splits: Any, axis: Any = 0, num: int | None = None, name: str = "split"
) -> Any:
    """Parts along an axis: so many of one size, or of these sizes."""
    x, axis = plainly(value), int(axes_of(axis))
    parts = (
        _item(num_or_size_splits)
        if isinstance(num_or_size_splits, _core.Tensor) and (num_or_size_splits.dim() == 0)
        else num_or_size_splits
    )
    length = tuple(x.shape)[axis]
    if isinstance(parts, int):
        if parts < 1 or length % parts:
            raise InvalidArgumentError(f"[split] size {length} of axis {axis} cannot be split into {parts}")
        sizes = [length // parts] * parts
    else:
        sizes = list(sizes_of(parts))
        if -1 in sizes:
            sizes[sizes.index(-1)] = length - sum(sizes) - 1
        if sum(sizes) != length:
            raise InvalidArgumentError(f"[split] sizes {sizes} do not add up to {length}")
    return [brand(part) for part in versant.split(x, sizes, axis)]


def tile(input: Any, multiples: Any, name: str | None = None) -> Any:
    """Repeated along each axis."""
    return brand(versant.tile(plainly(input), sizes_of(multiples)))


def repeat(input: Any, repeats: Any, axis: Any = None, name: str | None = None) -> Any:
    """Each element, or slice along axis, repeated."""
    x = plainly(input)
    if axis is None:
        x, axis = x.reshape(-1), 0
    counts = plainly(repeats)
    n = int(counts) if counts.numel() == 1 else counts.to(dtypes.int64)
    return brand(versant.repeat_interleave(x, n, axis))


def reverse(tensor: Any, axis: Any, name: str | None = None) -> Any:
    """Backwards along axes."""
    axes = axes_of(axis)
    return brand(versant.flip(plainly(tensor), [axes] if isinstance(axes, int) else list(axes)))


def roll(input: Any, shift: Any, axis: Any, name: str | None = None) -> Any:
    """Moved along axes; what leaves at one end comes back at the other."""
    return brand(versant.roll(plainly(input), axes_of(shift), axes_of(axis)))


def pad(
    tensor: Any, paddings: Any, mode: str = "CONSTANT", constant_values: Any = 0, name: Any = None
) -> Any:
    """With paddings[i] = (before, after) more places along axis i: CONSTANT, REFLECT or SYMMETRIC."""
    x = plainly(tensor)
    pairs = plainly(paddings).tolist()
    if len(pairs) != x.dim():
        raise InvalidArgumentError(f"[pad] {len(pairs)} paddings for a tensor of shape {tuple(x.shape)}")
    if mode.upper() == "CONSTANT":
        flat = [n for pair in reversed(pairs) for n in pair]
        return brand(versant.nn.functional.pad(x, flat, value=_item(constant_values)))
    if mode.upper() not in ("REFLECT", "SYMMETRIC"):
        raise ValueError(f"[pad] mode must be CONSTANT, REFLECT or SYMMETRIC, got {mode!r}")
    inner = 1 if mode.upper() == "REFLECT" else 0
    for axis, (before, after) in enumerate(pairs):
        n = tuple(x.shape)[axis]
        if max(before, after) > n - inner:
            raise InvalidArgumentError(f"[pad] paddings of axis {axis} must be at most {n - inner}")
        places = [before + inner - 1 - i for i in range(before)] + list(range(n))
        places += [n - 1 - inner - i for i in range(after)]
        x = versant.index_select(x, axis, versant.tensor(places))
    return brand(x)


def slice_(input_: Any, begin: Any, size: Any, name: str | None = None) -> Any:
    """size[i] elements from begin[i] on along axis i; -1 takes all that are left."""
    x = plainly(input_)
    key = []
    for first, count, length in zip(sizes_of(begin), sizes_of(size), tuple(x.shape), strict=True):
        end = length if count == -1 else first + count
        if not 0 <= first <= end <= length:
            raise InvalidArgumentError(f"[slice] {first}:{end} is outside of an axis of size {length}")
        key.append(slice(first, end))
    return brand(x[tuple(key)])


def strided_slice(input_: Any, begin: Any, end: Any, strides: Any = None, name: str | None = None) -> Any:
    """input_[begin:end:strides]."""
    first, last = sizes_of(begin), sizes_of(end)
    step = (1,) * len(first) if strides is None else sizes_of(strides)
    key = tuple(slice(a, b, s) for a, b, s in zip(first, last, step, strict=True))
    return brand(convert(input_))[key]


def sort(values: Any, axis: int = -1, direction: str = "ASCENDING", name: str | None = None) -> Any:
    """In order along an axis."""
    return brand(versant.sort(plainly(values), axis, _descending("sort", direction))[0])


def argsort(
    values: Any, axis: int = -1, direction: str = "ASCENDING", stable: bool = False, name: str | None = None
) -> Any:
    """The places of the elements in order along an axis."""
    found = versant.sort(plainly(values), axis, _descending("argsort", direction), stable=True)[1]
    return cast(brand(found), dtypes.int32)


def _descending(op: str, direction: str) -> bool:
    if direction not in ("ASCENDING", "DESCENDING"):
        raise ValueError(f"[{op}] direction must be ASCENDING or DESCENDING, got {direction!r}")
    return direction == "DESCENDING"


def unique(x: Any, out_idx: Any = dtypes.int32, name: str | None = None) -> Any:
    """(y, idx): the different values in the order of their first places, and x's places among them."""
    y, idx, _ = unique_with_counts(x, out_idx)
    return y, idx


def unique_with_counts(x: Any, out_idx: Any = dtypes.int32, name: str | None = None) -> Any:
    """(y, idx, count): as unique, with how often each occurs."""
    x = plainly(x)
    if x.dim() != 1:
        raise InvalidArgumentError(f"[unique] expected a vector, got shape {tuple(x.shape)}")
    values, inverse, counts = versant.unique(x, return_inverse=True, return_counts=True)
    first = versant.full((values.numel(),), x.numel(), dtype=dtypes.int64)
    first = first.scatter_reduce(0, inverse, versant.arange(x.numel()), "amin")
    order = versant.argsort(first)
    place = versant.argsort(order)
    kind = as_dtype(out_idx)
    return brand(values[order]), brand(place[inverse].to(kind)), brand(counts[order].to(kind))


def searchsorted(
    sorted_sequence: Any,
    values: Any,
    side: str = "left",
    out_type: Any = dtypes.int32,
    name: str | None = None,
) -> Any:
    """Where values go in sequences that are in order along the last axis."""
    found = versant.searchsorted(*plainly(sorted_sequence, values), right=side == "right")
    return brand(found.to(as_dtype(out_type)))


def sequence_mask(lengths: Any, maxlen: Any = None, dtype: Any = dtypes.bool, name: str | None = None) -> Any:
    """True in the first lengths[i] places of row i."""
    n = plainly(lengths)
    end = int(n.max()) if maxlen is None else int(maxlen)
    return brand((versant.arange(end) < n.unsqueeze(-1)).to(as_dtype(dtype)))


def space_to_depth(input: Any, block_size: int, data_format: str = "NHWC", name: str | None = None) -> Any:
    """Blocks of an image, (N, H, W, C), as channels."""
    x = plainly(input)
    n, h, w, c = tuple(x.shape)
    b = block_size
    x = x.reshape((n, h // b, b, w // b, b, c)).permute((0, 1, 3, 2, 4, 5))
    return brand(x.reshape((n, h // b, w // b, b * b * c)))


def depth_to_space(input: Any, block_size: int, data_format: str = "NHWC", name: str | None = None) -> Any:
    """Channels of an image, (N, H, W, C), as blocks."""
    x = plainly(input)
    n, h, w, c = tuple(x.shape)
    b = block_size
    x = x.reshape((n, h, w, b, b, c // (b * b))).permute((0, 1, 3, 2, 4, 5))
    return brand(x.reshape((n, h * b, w * b, c // (b * b))))


NAMES = argument_errors(
    {
        function.__name__.rstrip("_"): function
        for function in (
            zeros,
            ones,
            zeros_like,
            ones_like,
            fill,
            eye,
            range_,
            linspace,
            one_hot,
            meshgrid,
            shape,
            size,
            rank,
            reshape,
            transpose,
            expand_dims,
            squeeze,
            broadcast_to,
            broadcast_static_shape,
            broadcast_dynamic_shape,
            ensure_shape,
            concat,
            stack,
            unstack,
            split,
            tile,
            repeat,
            reverse,
            roll,
            pad,
            slice_,
            strided_slice,
            sort,
            argsort,
            unique,
            unique_with_counts,
            searchsorted,
            sequence_mask,
        )
    }
)
