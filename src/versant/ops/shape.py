"""Shapes: other shapes and other axes of the same elements. Most of these are views, which share memory."""

from __future__ import annotations

import itertools
import math

from versant._core import ShapeError, Size, Tensor, int64
from versant._core import bool as bool_
from versant.ops.axes import axes_of, axis_of, sizes_of
from versant.ops.lazy import np
from versant.ops.record import composite, primitive
from versant.ops.samples import array, call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

# --- other shapes -----------------------------------------------------------------------------------------

reshape = primitive(
    "reshape",
    "input, shape: *ints",
    "The same elements in another shape; one size may be -1.  A view where strides allow it, else a copy.",
    ref=lambda x, *shape: np.reshape(x, sizes_of(shape)),
    samples=[
        call(array(3, 4), (2, 6)),
        call(array(2, 3, 4), -1, 4),
        call(array(0, 3), (3, 0)),
        call(array(1), ()),
    ],
    onnx="Reshape",
    stablehlo="reshape",
)
view = primitive(
    "view",
    "input, size: *ints_or_dtype",
    "A view of another shape; one size may be -1.  Raises where strides do not allow it.\n\n"
    "    view(dtype) reads the same bytes as another dtype, without a gradient.",
    ref=lambda x, *shape: np.reshape(x, sizes_of(shape)),
    samples=[call(array(3, 4), 2, 6), call(array(2, 3, 4), (-1, 4))],
    places="Tensor",
    onnx="Reshape",
    stablehlo="reshape",
    without={"layouts": "a view needs strides that allow it"},
)
unsqueeze = primitive(
    "unsqueeze",
    "input, dim: int",
    "A view with one more axis, of size 1, at dim.",
    ref=lambda x, dim: np.expand_dims(x, dim),
    samples=[call(array(3, 4), 0), call(array(3, 4), -1), call(array(), 0)],
    in_place=True,
    onnx="Unsqueeze",
    stablehlo="reshape",
)
squeeze = primitive(
    "squeeze",
    "input, dim: ints? = None",
    "A view without axes of size 1: all of them, or those among dim.",
    ref=lambda x, dim=None: x.reshape(
        [n for d, n in enumerate(x.shape) if n != 1 or d not in axes_of(x.ndim, dim, "squeeze")]
    ),
    samples=[
        call(array(1, 3, 1)),
        call(array(1, 3, 1), 0),
        call(array(1, 3), 1),
        call(array(1, 2, 1), (0, -1)),
    ],
    in_place=True,
    onnx="Squeeze",
    stablehlo="reshape",
)
expand = primitive(
    "expand",
    "input, size: *ints",
    "A view in which axes of size 1 repeat; -1 keeps a size.",
    ref=lambda x, *sizes: np.broadcast_to(
        x,
        [x.shape[i - len(sizes_of(sizes))] if n == -1 else n for i, n in enumerate(sizes_of(sizes))],
    ),
    samples=[call(array(3, 1), 3, 4), call(array(3, 1), (2, -1, 4)), call(array(), (2,))],
    places="Tensor",
    also="versant.broadcast_to Tensor.broadcast_to",
    onnx="Expand",
    stablehlo="broadcast_in_dim",
)


@composite(
    ref=lambda x, start=0, end=-1: x.reshape(
        (*x.shape[:start], -1, *x.shape[axes_of(max(x.ndim, 1), end, "")[0] + 1 :])
    ),
    samples=[call(array(2, 3, 4)), call(array(2, 3, 4), 1), call(array(2, 3, 4), 0, 1), call(array())],
)
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The axes from start_dim to end_dim as one."""
    shape = input.shape
    start, end = axis_of(len(shape), start_dim, "flatten"), axis_of(len(shape), end_dim, "flatten")
    if start > end:
        raise ShapeError(f"[flatten] start_dim {start_dim} comes after end_dim {end_dim}")
    if start == end and shape:
        return input
    return input.reshape(*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])


@composite(
    ref=lambda x, dim, sizes: x.reshape(x.shape[: dim % x.ndim] + sizes + x.shape[dim % x.ndim + 1 :]),
    samples=[call(array(2, 6), 1, (2, 3)), call(array(6, 2), 0, (-1, 2))],
)
def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """One axis as several; one size may be -1."""
    d = axis_of(input.ndim, dim, "unflatten")
    known = math.prod(n for n in sizes if n != -1)
    if -1 not in sizes and known != input.shape[d]:
        raise ShapeError(f"[unflatten] sizes {tuple(sizes)} do not multiply to {input.shape[d]}")
    full = [input.shape[d] // max(known, 1) if n == -1 else n for n in sizes]
    return input.reshape(*input.shape[:d], *full, *input.shape[d + 1 :])


@composite(ref=np.ravel, samples=[call(array(2, 3)), call(array())])
def ravel(input: Tensor) -> Tensor:
    """All elements along one axis."""
    return input.reshape(-1)


@composite(ref=lambda x, y: x.reshape(y.shape), samples=[call(array(2, 3), array(6))], places="Tensor")
def reshape_as(input: Tensor, other: Tensor) -> Tensor:
    """The same elements in the shape of other."""
    return input.reshape(other.shape)


@composite(
    ref=lambda x, y: x.reshape(y.shape),
    samples=[call(array(2, 3), array(6))],
    places="Tensor",
    without={"layouts": "a view needs strides that allow it"},
)
def view_as(input: Tensor, other: Tensor) -> Tensor:
    """A view in the shape of other."""
    return input.view(other.shape)


@composite(
    ref=lambda x, y: np.broadcast_to(x, y.shape), samples=[call(array(3, 1), array(2, 3, 4))], places="Tensor"
)
def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """A view expanded to the shape of other."""
    return input.expand(other.shape)


@composite(
    ref=lambda *x: tuple(np.broadcast_arrays(*x)), samples=[call(array(3, 1), array(4))], places="versant"
)
def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Views of all tensors in their common shape."""
    shape = broadcast_shapes(*(t.shape for t in tensors))
    return tuple(t.expand(shape) for t in tensors)


@composite(
    differentiable=False,
    ref=lambda *shapes: np.broadcast_shapes(*shapes),
    samples=[call((3, 1), (4,)), call((), (2, 0))],
    places="versant",
)
def broadcast_shapes(*shapes: Sequence[int]) -> Size:
    """The common shape of these shapes."""
    rank = max(map(len, shapes), default=0)
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    result = []
    for sizes in zip(*padded, strict=True):
        size = next((n for n in sizes if n != 1), 1)
        if any(n not in (1, size) for n in sizes):
            raise ShapeError(f"[broadcast_shapes] shapes {shapes} do not broadcast")
        result.append(size)
    return Size(result)


def each_grown(tensors: tuple[Any, ...], grow: Callable[[Tensor], Tensor]) -> Any:
    """`grow` of the tensor, or of several, which may come as one sequence."""
    if len(tensors) == 1 and isinstance(tensors[0], Tensor):
        return grow(tensors[0])
    return tuple(grow(t) for t in (tensors[0] if len(tensors) == 1 else tensors))


@composite(
    ref=lambda *x: tuple(map(np.atleast_1d, x)) if len(x) > 1 else np.atleast_1d(*x),
    samples=[call(array()), call(array(2, 3))],
    places="versant",
)
def atleast_1d(*tensors: Any) -> Any:
    """Each tensor with at least one axis."""
    return each_grown(tensors, lambda t: t if t.ndim else t.reshape(1))


@composite(ref=np.atleast_2d, samples=[call(array()), call(array(3))], places="versant")
def atleast_2d(*tensors: Any) -> Any:
    """Each tensor with at least two axes; new ones come first."""
    return each_grown(tensors, lambda t: t if t.ndim > 1 else t.reshape(1, -1))


@composite(ref=np.atleast_3d, samples=[call(array()), call(array(3)), call(array(2, 3))], places="versant")
def atleast_3d(*tensors: Any) -> Any:
    """Each tensor with at least three axes: of a vector the second, of a matrix the first two."""

    def grow(t: Tensor) -> Tensor:
        return t.reshape([(1, 1, 1), (1, -1, 1), (*t.shape, 1)][t.ndim]) if t.ndim < 3 else t

    return each_grown(tensors, grow)


# --- other orders of axes ---------------------------------------------------------------------------------

permute = primitive(
    "permute",
    "input, dims: *ints",
    "A view with the axes in another order.",
    ref=lambda x, *dims: np.transpose(x, sizes_of(dims)),
    samples=[call(array(2, 3, 4), (2, 0, 1)), call(array(2, 3, 4), 0, -1, 1)],
    onnx="Transpose",
    stablehlo="transpose",
)
transpose = primitive(
    "transpose",
    "input, dim0: int, dim1: int",
    "A view with two axes exchanged.",
    ref=np.swapaxes,
    samples=[call(array(2, 3, 4), 0, 2), call(array(2, 3), -1, 0)],
    in_place=True,
    also="swapaxes swapdims",
    onnx="Transpose",
    stablehlo="transpose",
)


def transposed_in_place(input: Tensor) -> Tensor:
    """`t`, of the tensor itself."""
    check_matrix(input)
    return input.transpose_(0, 1) if input.ndim == 2 else input


def check_matrix(input: Tensor) -> None:
    if input.ndim > 2:
        raise ShapeError(f"[t] expected at most 2 axes, got shape {tuple(input.shape)}; use .mT or permute")


@composite(
    ref=np.transpose,
    samples=[call(array(2, 3)), call(array(3)), call(array())],
    in_place=transposed_in_place,
)
def t(input: Tensor) -> Tensor:
    """The transposed matrix; of fewer axes, input."""
    check_matrix(input)
    return input.transpose(0, 1) if input.ndim == 2 else input


@composite(
    ref=np.moveaxis,
    samples=[call(array(2, 3, 4), 0, -1), call(array(2, 3, 4), (0, 1), (2, 0))],
    also="moveaxis",
)
def movedim(input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """A view with the axes `source` moved to `destination`; the others keep their order."""
    rank = input.ndim
    from_axes = axes_of(rank, source, "movedim")
    to_axes = axes_of(rank, destination, "movedim")
    if len(from_axes) != len(to_axes):
        raise ShapeError(f"[movedim] {len(from_axes)} sources, but {len(to_axes)} destinations")
    if len({*from_axes}) < len(from_axes) or len({*to_axes}) < len(to_axes):
        raise ShapeError(f"[movedim] an axis is repeated: {source} to {destination}")
    order = [d for d in range(rank) if d not in from_axes]
    for to, axis in sorted(zip(to_axes, from_axes, strict=True)):
        order.insert(to, axis)
    return input.permute(*order)


# --- parts ------------------------------------------------------------------------------------------------

select = primitive(
    "select",
    "input, dim: int, index: int",
    "A view of one index of an axis, which goes away.",
    ref=lambda x, dim, index: np.take(x, index, axis=dim),
    samples=[call(array(3, 4), 0, 2), call(array(3, 4), -1, -1)],
    onnx="Gather",
    stablehlo="slice",
)
slice_axis = primitive(
    "slice",
    "input, dim: int, start: int, end: int, step: int = 1",
    "A view of every step-th element from start to end of an axis.",
    ref=lambda x, dim, start, end, step=1: np.take(x, range(x.shape[dim])[start:end:step], axis=dim),
    samples=[call(array(5, 4), 0, 1, 4), call(array(3, 7), -1, 0, 7, 3)],
    places="",
    onnx="Slice",
    stablehlo="slice",
)
diagonal = primitive(
    "diagonal",
    "input, offset: int = 0, dim1: int = 0, dim2: int = 1",
    "A view of the diagonal of two axes, as the last axis.",
    ref=np.diagonal,
    samples=[call(array(3, 4)), call(array(3, 4), 1), call(array(2, 3, 4), -1, 1, 2)],
    stablehlo="gather",
    without={"onnx": "exporters gather it"},
)
as_strided = primitive(
    "as_strided",
    "input, size: ints, stride: ints, storage_offset: int? = None",
    "A view of input's memory with these sizes and strides (in elements).",
    ref=lambda x, size, stride, offset=0: np.lib.stride_tricks.as_strided(
        x.ravel()[offset:], size, [s * x.itemsize for s in stride]
    ),
    samples=[call(array(12), (3, 3), (3, 1), 2), call(array(6), (4, 3), (1, 1))],
    in_place=True,
    without={
        "layouts": "it looks at memory, not at elements",
        "onnx": "a view of memory has no meaning outside of it",
        "stablehlo": "a view of memory has no meaning outside of it",
    },
)
unfold = primitive(
    "unfold",
    "input, dimension: int, size: int, step: int",
    "A view of windows of an axis: each of `size` elements, `step` apart, as a new last axis.",
    ref=lambda x, d, size, step: np.moveaxis(
        np.stack([np.take(x, range(i, i + size), axis=d) for i in range(0, x.shape[d] - size + 1, step)], d),
        (d % x.ndim) + 1,
        -1,
    ),
    samples=[call(array(7), 0, 3, 2), call(array(2, 6, 3), 1, 2, 1)],
    places="Tensor",
    stablehlo="gather",
    without={"onnx": "exporters gather it"},
)


@composite(
    ref=lambda x, dim, start, length: np.take(x, range(start, start + length), axis=dim),
    samples=[call(array(3, 5), 1, 1, 3), call(array(4), 0, 0, 0)],
)
def narrow(input: Tensor, dim: int, start: int | Tensor, length: int) -> Tensor:
    """A view of `length` elements of an axis, from start."""
    if isinstance(start, Tensor) and (start.ndim or start.dtype is bool_ or start.is_floating_point()):
        raise TypeError(f"[narrow] expected an integer as start, got {start!r}")
    size, first = input.shape[dim], int(start)
    first += size if first < 0 else 0
    if not 0 <= first <= size or length < 0 or first + length > size:
        raise ShapeError(f"[narrow] start {start} and length {length} do not fit into size {size}")
    return slice_axis(input, dim, first, first + length)


@composite(
    ref=lambda x, sections, dim=0: tuple(
        np.split(
            x,
            range(sections, x.shape[dim], sections)
            if isinstance(sections, int)
            else np.cumsum(sections)[:-1],
            dim,
        )
    ),
    samples=[call(array(5, 2), 2), call(array(2, 6), 3, dim=1), call(array(5), [1, 4])],
)
def split(input: Tensor, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive parts of an axis: of split_size elements each (the last one may be shorter), or of
    the sizes in the list."""
    length = input.shape[dim]
    if isinstance(split_size, int):
        if split_size <= 0 and not (split_size == 0 == length):
            raise ValueError(f"[split] expected a positive split_size, got {split_size}")
        return tuple(
            slice_axis(input, dim, i, min(i + split_size, length))
            for i in range(0, max(length, 1), max(split_size, 1))
        )
    if sum(split_size) != length:
        raise ShapeError(f"[split] sizes {tuple(split_size)} do not add up to {length}")
    return split_with_sizes(input, split_size, dim)


@composite(
    ref=lambda x, sizes, dim=0: tuple(np.split(x, np.cumsum(sizes)[:-1], dim)),
    samples=[call(array(5, 2), [2, 3]), call(array(2, 4), (1, 0, 3), 1)],
)
def split_with_sizes(input: Tensor, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive parts of an axis, of these sizes."""
    if sum(split_sizes) != input.shape[dim]:
        raise ShapeError(f"[split] sizes {tuple(split_sizes)} do not add up to {input.shape[dim]}")
    parts, start = [], 0
    for size in split_sizes:
        parts.append(slice_axis(input, dim, start, start + size))
        start += size
    return tuple(parts)


@composite(
    ref=lambda x, chunks, dim=0: tuple(
        np.split(x, range(-(-x.shape[dim] // chunks), x.shape[dim], -(-x.shape[dim] // chunks)), dim)
    ),
    samples=[call(array(7, 2), 3), call(array(2, 6), 2, 1), call(array(5), 4)],
)
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of at most `chunks` consecutive parts of an axis, as equal as can be."""
    if chunks <= 0:
        raise ValueError(f"[chunk] expected a positive number of chunks, got {chunks}")
    dim = axis_of(input.dim(), dim, "chunk")
    return split(input, -(-input.size(dim) // chunks), dim)


@composite(
    ref=lambda x, parts, dim=0: tuple(np.array_split(x, parts, dim)),
    samples=[call(array(7, 2), 3), call(array(2, 6), (1, 4), 1)],
)
def tensor_split(
    input: Tensor, indices_or_sections: int | Sequence[int] | Tensor, dim: int = 0
) -> tuple[Tensor, ...]:
    """Views of parts of an axis: that many, nearly equal ones, or between these indices.

    indices_or_sections: also a tensor of integers, without axes or a vector.
    """
    if isinstance(indices_or_sections, Tensor):
        given = indices_or_sections
        if given.ndim > 1 or given.dtype is not int64:
            raise ShapeError(
                f"[tensor_split] expected int64 in at most one axis, got {given.dtype}, {tuple(given.shape)}"
            )
        indices_or_sections = given.tolist()
    dim = axis_of(input.dim(), dim, "tensor_split")
    length = input.size(dim)
    if isinstance(indices_or_sections, int):
        n = indices_or_sections
        if n <= 0:
            raise ValueError(f"[tensor_split] expected a positive number of sections, got {n}")
        return split_with_sizes(input, [length // n + (i < length % n) for i in range(n)], dim)
    cuts = [0, *indices_or_sections, length]
    return tuple(slice_axis(input, dim, a, max(a, b)) for a, b in itertools.pairwise(cuts))


@composite(
    ref=lambda x, dim=0: tuple(np.moveaxis(x, dim, 0)), samples=[call(array(3, 2)), call(array(2, 3), -1)]
)
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of all indices of an axis."""
    return tuple(select(input, dim, i) for i in range(input.size(dim)))
