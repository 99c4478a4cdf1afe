"""Reading and writing by index: gather, scatter, masks, embedding."""

from __future__ import annotations

from versant import _core
from versant._core import DTypeError, ShapeError, Tensor
from versant.ops.axes import axis_of
from versant.ops.comparison import choose
from versant.ops.lazy import np
from versant.ops.record import composite, in_place_form, primitive
from versant.ops.samples import array, booleans, call, integers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# --- along an axis ----------------------------------------------------------------------------------------


def along(x: Any, dim: int, index: Any) -> tuple[Any, ...]:
    """The numpy index that gather and scatter use: all places of `index`, with `index` along dim."""
    places = list(np.indices(index.shape, sparse=True))
    places[dim] = index
    return tuple(places)


def scattered(x: Any, dim: int, index: Any, source: Any, combine: Any = None) -> Any:
    """numpy's scatter: writes, or combines with a ufunc."""
    result = x.copy()
    if np.ndim(source):
        source = source[tuple(map(slice, index.shape))]
    if combine is None:
        result[along(x, dim, index)] = source
    else:
        combine(result, along(x, dim, index), source)
    return result


gather = primitive(
    "gather",
    "input, dim: int, index",
    "output[i][j] = input[index[i][j]][j] for dim 0: one element of an axis for each place of index.",
    ref=lambda x, dim, index: x[along(x, dim, index)],
    samples=[
        call(array(5, 3), 0, integers(4, 3, below=5)),
        call(array(3, 5), 1, integers(2, 7, below=5)),
        call(array(3), 0, integers(0, below=3)),
    ],
    onnx="GatherElements",
    stablehlo="gather",
)
scatter_tensor = primitive(
    "scatter.src",
    "input, dim: int, index, src",
    "A copy of input with output[index[i][j]][j] = src[i][j] for dim 0.",
    target="scatter",
    ref=scattered,
    samples=[call(array(5, 3), 0, integers(1, 3, below=5), array(1, 3))],
    in_place=True,
    onnx="ScatterElements",
    stablehlo="scatter",
)
scatter_number = primitive(
    "scatter.value",
    "input, dim: int, index, value: number",
    "A copy of input with output[index[i][j]][j] = value for dim 0.",
    target="scatter_value",
    ref=scattered,
    samples=[call(array(5, 3), 0, integers(2, 3, below=5), 1.5)],
    in_place=True,
    onnx="ScatterElements",
    stablehlo="scatter",
)
scatter_add = primitive(
    "scatter_add",
    "input, dim: int, index, src",
    "A copy of input with src[i][j] added to output[index[i][j]][j] for dim 0.",
    ref=lambda x, dim, index, src: scattered(x, dim, index, src, np.add.at),
    samples=[
        call(array(5, 3), 0, integers(4, 3, below=5), array(4, 3)),
        call(array(3, 5), -1, integers(2, 4, below=5), array(3, 4)),
    ],
    in_place=True,
    onnx="ScatterElements.add",
    stablehlo="scatter",
)
scatter_reduce = primitive(
    "scatter_reduce",
    "input, dim: int, index, src, reduce: text, *, include_self: bool = True",
    'A copy of input with src combined into it: reduce is "sum", "prod", "mean", "amax" or "amin".',
    ref=lambda x, dim, index, src, reduce: scattered(
        x,
        dim,
        index,
        src,
        {"sum": np.add.at, "prod": np.multiply.at, "amax": np.maximum.at, "amin": np.minimum.at}[reduce],
    ),
    samples=[
        call(array(5, 3), 0, integers(4, 3, below=5), array(4, 3), reduce)
        for reduce in ("sum", "prod", "amax", "amin")
    ],
    in_place=True,
    onnx="ScatterElements",
    stablehlo="scatter",
)


def scatter_in_place(
    input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: float | None = None, reduce: str = ""
) -> Tensor:
    """Writes src (a tensor or a number) into the tensor at index along dim."""
    source = src if value is None else value
    if reduce:
        how = {"add": "sum", "multiply": "prod"}.get(reduce, reduce)
        source = source if isinstance(source, Tensor) else input.new_full(index.shape, source)
        return input.scatter_reduce_(dim, index, source, how)
    kind = "scatter.src" if isinstance(source, Tensor) else "scatter.value"
    return in_place_form(kind)(input, dim, index, source)


@composite(
    ref=scattered,
    samples=[
        call(array(5, 3), 0, integers(1, 3, below=5), array(1, 3)),
        call(array(4), 0, integers(1, below=4), 2.0),
    ],
    in_place=scatter_in_place,
)
def scatter(
    input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: float | None = None, reduce: str = ""
) -> Tensor:
    """A copy of input with src (a tensor or a number) written at index along dim.

    reduce: "add" or "multiply" combine src with what is there.
    """
    source = src if value is None else value
    if reduce:
        return scatter_in_place(input.clone(), dim, index, source, reduce=reduce)
    write = scatter_tensor if isinstance(source, Tensor) else scatter_number
    return write(input, dim, index, source)


def take_along(x: Any, index: Any, dim: int | None = None) -> Any:
    return np.take_along_axis(x, index, dim)


@composite(
    ref=take_along,
    samples=[call(array(5, 3), integers(2, 3, below=5), 0), call(array(5, 3), integers(4, below=15))],
)
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """The elements at indices along an axis, which broadcasts otherwise; without dim, of all elements."""
    if dim is None:
        return take_along_dim(input.reshape(-1), indices.reshape(-1), 0)
    d = axis_of(input.ndim, dim, "take_along_dim")
    if input.ndim != indices.ndim:
        raise ShapeError(
            f"[take_along_dim] expected {input.ndim} axes of indices, got shape {tuple(indices.shape)}"
        )
    if indices.dtype is not _core.int64:
        raise DTypeError(f"[take_along_dim] expected int64 indices, got {indices.dtype}")
    if input.ndim and input.shape[d]:
        indices = choose(indices < 0, indices + input.shape[d], indices)
    sizes = [max(a, b) for a, b in zip(input.shape, indices.shape, strict=True)]
    whole = input.expand([input.shape[d] if i == d else n for i, n in enumerate(sizes)])
    return whole.gather(d, indices.expand([indices.shape[d] if i == d else n for i, n in enumerate(sizes)]))


# --- slices of an axis ------------------------------------------------------------------------------------


def at(dim: int, index: Any) -> tuple[Any, ...]:
    """The numpy index of places of one axis."""
    return (slice(None),) * dim + (index,)


def written(x: Any, dim: int, index: Any, value: Any) -> Any:
    result = x.copy()
    result[at(dim, index)] = value
    return result


def added(x: Any, dim: int, index: Any, source: Any, alpha: float = 1) -> Any:
    result = x.copy()
    np.add.at(result, at(dim, index), alpha * source)
    return result


index_select = primitive(
    "index_select",
    "input, dim: int, index",
    "The slices of an axis at index, a vector.",
    ref=lambda x, dim, index: np.take(x, index, axis=dim),
    samples=[call(array(5, 3), 0, integers(4, below=5)), call(array(2, 5), -1, integers(0, below=5))],
    onnx="Gather",
    stablehlo="gather",
)
index_add = primitive(
    "index_add",
    "input, dim: int, index, source, *, alpha: number = 1",
    "A copy of input with alpha * source added to the slices of an axis at index.",
    ref=added,
    samples=[
        call(array(5, 3), 0, integers(4, below=5), array(4, 3)),
        call(array(2, 5), 1, integers(3, below=5), array(2, 3), alpha=2),
    ],
    in_place=True,
    onnx="ScatterND.add",
    stablehlo="scatter",
)
index_copy = primitive(
    "index_copy",
    "input, dim: int, index, source",
    "A copy of input with source written to the slices of an axis at index.",
    autocast="promote",
    ref=written,
    samples=[call(array(5, 3), 0, integers(1, below=5), array(1, 3))],
    in_place=True,
    onnx="ScatterND",
    stablehlo="scatter",
)
index_fill_number = primitive(
    "index_fill.number",
    "input, dim: int, index, value: number",
    "A copy of input with a number written to the slices of an axis at index.",
    target="index_fill",
    ref=written,
    samples=[call(array(5, 3), 0, integers(2, below=5), 1.5), call(array(2, 4), 1, integers(0, below=4), 1)],
    in_place=True,
    places="",
    onnx="ScatterND",
    stablehlo="scatter",
)


def index_fill_in_place(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """Writes value to the slices of an axis at index."""
    if isinstance(value, Tensor) and (value.requires_grad or _core.level_of(value)):
        return input.index_copy_(dim, index, spread_value(input, dim, index, value))
    return in_place_form("index_fill.number")(input, dim, index, value)


def spread_value(input: Tensor, dim: int, index: Tensor, value: Tensor) -> Tensor:
    """The value as slices of an axis, one for each index."""
    if value.ndim:
        raise ShapeError(f"[index_fill] expected one number, got shape {tuple(value.shape)}")
    axis = axis_of(input.ndim, dim, "index_fill")
    value = value.to(input.dtype)
    return value.expand([index.numel() if d == axis else n for d, n in enumerate(input.shape)])


@composite(
    ref=written,
    samples=[
        call(array(5, 3), 0, integers(2, below=5), 1.5),
        call(array(2, 4), 1, integers(0, below=4), 1),
        call(array(5, 3), 0, integers(2, below=5), array()),
    ],
    in_place=index_fill_in_place,
)
def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """A copy of input with value, a number or a tensor without axes, in the slices of an axis at index."""
    if isinstance(value, Tensor) and (value.requires_grad or _core.level_of(value)):
        return index_copy(input, dim, index, spread_value(input, dim, index, value))
    return index_fill_number(input, dim, index, value)


def index_reduce_in_place(
    input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """Combines the slices of source into the slices of an axis at index, in the tensor itself."""
    axis, everywhere = reduced_slices(input, dim, index, source, reduce)
    return input.scatter_reduce_(axis, everywhere, source, reduce, include_self=include_self)


def reduced_slices(input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str) -> tuple[int, Tensor]:
    """The axis, and index for every element of source."""
    axis = axis_of(input.ndim, dim, "index_reduce")
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise ValueError(f'[index_reduce] expected "prod", "mean", "amax" or "amin", got {reduce!r}')
    if index.ndim > 1:
        raise ShapeError(f"[index_reduce] expected a vector as index, got shape {tuple(index.shape)}")
    if source.dtype is not input.dtype:
        raise DTypeError(f"[index_reduce] expected source of dtype {input.dtype}, got {source.dtype}")
    wanted = [index.numel() if d == axis else n for d, n in enumerate(input.shape)]
    if tuple(source.shape) != tuple(wanted) and input.ndim:
        raise ShapeError(
            f"[index_reduce] expected source of shape {tuple(wanted)}, got {tuple(source.shape)}"
        )
    if input.ndim == 0:
        return 0, index.reshape(source.shape)
    return axis, index.reshape([-1 if d == axis else 1 for d in range(input.ndim)]).expand(wanted)


@composite(
    ref=lambda x, dim, index, source, reduce: scattered_slices(x, dim, index, source, reduce),
    samples=[
        call(array(5, 3), 0, integers(4, below=5), array(4, 3), "prod"),
        call(array(2, 5), 1, integers(3, below=5), array(2, 3), "amax"),
    ],
    in_place=index_reduce_in_place,
)
def index_reduce(
    input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """A copy of input with the slices of source combined into the slices of an axis at index.

    reduce: "prod", "mean", "amax" or "amin".  include_self: the slices of input take part.
    """
    axis, everywhere = reduced_slices(input, dim, index, source, reduce)
    return input.scatter_reduce(axis, everywhere, source, reduce, include_self=include_self)


def scattered_slices(x: Any, dim: int, index: Any, source: Any, reduce: str) -> Any:
    result = x.copy()
    combine = {"prod": np.multiply, "amax": np.maximum, "amin": np.minimum}[reduce]
    combine.at(result, at(dim, index), source)
    return result


# --- several axes at once, masks --------------------------------------------------------------------------


def put_reference(x: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    result = x.copy()
    if accumulate:
        np.add.at(result, tuple(indices), values)
    else:
        result[tuple(indices)] = values
    return result


index = primitive(
    "index",
    "input, indices: tensors",
    "input[indices]: a tensor of integers or bool, or None for all of an axis, for each axis from the first.",
    ref=lambda x, indices: x[tuple(slice(None) if i is None else i for i in indices)],
    samples=[
        call(array(4, 5), [integers(3, below=4), integers(3, below=5)]),
        call(array(4, 5), [None, integers(2, 2, below=5)]),
    ],
    places="",
    onnx="GatherND",
    stablehlo="gather",
)
index_put = primitive(
    "index_put",
    "input, indices: tensors, values, accumulate: bool = False",
    "A copy of input with values written (or added, with accumulate) at indices.",
    ref=put_reference,
    samples=[
        call(array(4, 5), [integers(1, below=4), integers(1, below=5)], array(1)),
        call(array(4, 5), [integers(3, below=4), integers(3, below=5)], array(3), True),
    ],
    in_place=True,
    onnx="ScatterND",
    stablehlo="scatter",
)


def put_in_place(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """`put` into the tensor itself."""
    return input.copy_(put(input.clone(), index, source, accumulate))


@composite(
    ref=lambda x, index, source, accumulate=False: put_reference(
        x.ravel(), [index.ravel()], source.ravel(), accumulate
    ).reshape(x.shape),
    samples=[
        call(array(4, 5), integers(1, below=20), array(1)),
        call(array(4, 5), integers(2, 3, below=20), array(2, 3), True),
    ],
    in_place=put_in_place,
)
def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """A copy of input with source written (or added, with accumulate) at index, counted over all elements."""
    if index.dtype is not _core.int64:
        raise DTypeError(f"[put] expected an int64 index, got {index.dtype}")
    if source.dtype is not input.dtype:
        raise DTypeError(f"[put] expected source of dtype {input.dtype}, got {source.dtype}")
    if index.numel() != source.numel():
        raise ShapeError(
            f"[put] expected as many elements in source as in index ({index.numel()}), got {source.numel()}"
        )
    flat = index_put(input.reshape(-1), [index.reshape(-1)], source.reshape(-1), accumulate)
    return flat.reshape(input.shape)


masked_select = primitive(
    "masked_select",
    "input, mask",
    "The elements where mask holds, as a vector.",
    ref=lambda x, mask: x[mask],
    samples=[call(array(3, 4), booleans(3, 4)), call(array(0), booleans(0))],
    without={
        "onnx": "exporters write it as NonZero and GatherND",
        "stablehlo": "the size of the result depends on values",
    },
)
masked_scatter = primitive(
    "masked_scatter",
    "input, mask, source",
    "A copy of input with the elements of source, in order, where mask holds.",
    ref=lambda x, mask, source: put_reference(x, (mask,), source.ravel()[: mask.sum()]),
    samples=[call(array(3, 4), booleans(3, 4), array(12))],
    in_place=True,
    without={
        "onnx": "exporters write it as a cumulative sum and Gather",
        "stablehlo": "exporters write it as a cumulative sum and gather",
    },
)
take = primitive(
    "take",
    "input, index",
    "The elements at index, counted over all elements.",
    ref=np.take,
    samples=[call(array(3, 4), integers(2, 3, below=12)), call(array(5), integers(0, below=5))],
    onnx="Gather",
    stablehlo="gather",
)
nonzero_rows = primitive(
    "nonzero.rows",
    "input",
    "The indices of the elements that are not zero, one per row.",
    target="nonzero",
    differentiable=False,
    ref=np.argwhere,
    samples=[call(integers(3, 4, below=2)), call(booleans(5)), call(array(0, 2))],
    onnx="NonZero",
    without={"stablehlo": "the size of the result depends on values"},
)


@composite(
    differentiable=False,
    ref=lambda x, as_tuple=False: np.nonzero(x) if as_tuple else np.argwhere(x),
    samples=[call(integers(3, 4, below=2)), call(integers(3, 4, below=2), as_tuple=True)],
)
def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The indices of the elements that are not zero: (n, axes), or one vector for each axis."""
    rows: Tensor = nonzero_rows(input.reshape(1) if as_tuple and input.ndim == 0 else input)
    return rows.unbind(1) if as_tuple else rows


@composite(differentiable=False, ref=np.argwhere, samples=[call(integers(3, 4, below=2))])
def argwhere(input: Tensor) -> Tensor:
    """The indices of the elements that are not zero: (n, axes)."""
    return nonzero_rows(input)
