"""Joining tensors, repeating and reordering their elements, padding, triangles and diagonals."""

from __future__ import annotations

from versant import _core
from versant._core import ShapeError, Tensor
from versant.ops.axes import Size, axis_of, sizes_of
from versant.ops.lazy import np
from versant.ops.record import composite, primitive
from versant.ops.samples import array, call, integers
from versant.ops.sequences import arange
from versant.ops.shape import atleast_1d, atleast_2d, atleast_3d

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

# --- joining ----------------------------------------------------------------------------------------------

cat = primitive(
    "cat",
    "tensors: tensors, dim: int = 0",
    "The tensors one after the other along an axis.",
    autocast="promote",
    ref=lambda x, dim=0: np.concatenate(x, dim),
    samples=[
        call([array(2, 3), array(1, 3)]),
        call((array(2, 3), array(2, 0), array(2, 1)), -1),
        call([array(3), integers(2, below=5)]),
    ],
    places="versant",
    also="concat concatenate",
    onnx="Concat",
    stablehlo="concatenate",
)
stack = primitive(
    "stack",
    "tensors: tensors, dim: int = 0",
    "The tensors along a new axis.",
    autocast="promote",
    ref=lambda x, dim=0: np.stack(x, dim),
    samples=[
        call([array(2, 3), array(2, 3)]),
        call([array(2), array(2), array(2)], -1),
        call([array(), array()]),
    ],
    places="versant",
    stablehlo="concatenate",
    without={"onnx": "exporters write it as Unsqueeze and Concat"},
)


@composite(
    ref=np.hstack, samples=[call([array(2, 3), array(2, 1)]), call([array(2), array()])], places="versant"
)
def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors side by side: along the second axis, or the first where there is one."""
    grown = [atleast_1d(t) for t in tensors]
    return cat(grown, 0 if grown[0].ndim == 1 else 1)


@composite(ref=np.vstack, samples=[call([array(2, 3), array(3)])], places="versant", also="row_stack")
def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors one below the other, along the first axis of matrices."""
    return cat([atleast_2d(t) for t in tensors], 0)


@composite(
    ref=np.dstack, samples=[call([array(2, 3), array(2, 3)]), call([array(2), array(2)])], places="versant"
)
def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors one behind the other, along the third axis."""
    return cat([atleast_3d(t) for t in tensors], 2)


@composite(
    ref=np.column_stack, samples=[call([array(2), array(2, 3)]), call([array(3), array(3)])], places="versant"
)
def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors side by side, vectors as columns."""
    return hstack([t.reshape(-1, 1) if t.ndim < 2 else t for t in tensors])


# --- repeating --------------------------------------------------------------------------------------------

repeat = primitive(
    "repeat",
    "input, repeats: *ints",
    "input laid out several times along each axis.",
    ref=lambda x, *repeats: np.tile(x, sizes_of(repeats)),
    samples=[call(array(2, 3), 2, 1), call(array(3), (2, 2)), call(array(2), 0)],
    places="Tensor",
    onnx="Tile",
    stablehlo="broadcast_in_dim",
)
repeat_each = primitive(
    "repeat_interleave.number",
    "input, repeats: int, dim: int? = None",
    "Each element several times in a row along an axis; without dim, of all elements.",
    target="repeat_interleave",
    ref=np.repeat,
    samples=[call(array(2, 3), 2), call(array(2, 3), 3, 1), call(array(3), 0, 0)],
    stablehlo="gather",
    without={"onnx": "exporters gather it"},
)


@composite(
    ref=lambda x, repeats=None, dim=None: (
        np.repeat(np.arange(x.size), x) if repeats is None else np.repeat(x, repeats, dim)
    ),
    samples=[
        call(array(2, 3), 2),
        call(array(2, 3), integers(3, below=4), 1),
        call(array(4), integers(4, below=3)),
    ],
)
def repeat_interleave(
    input: Tensor, repeats: int | Tensor | None = None, dim: int | None = None, *, output_size: Any = None
) -> Tensor:
    """Each element several times in a row along an axis; without dim, of all elements.

    repeats: a number, or a tensor with one for each index of the axis; of input alone, which holds the
    repeats, the indices.
    """
    if repeats is None:
        input, repeats = arange(input.numel()), input
    if not isinstance(repeats, Tensor) or repeats.numel() == 1:
        return repeat_each(input, repeats if isinstance(repeats, int) else int(repeats), dim)
    if dim is None:
        input, dim = input.reshape(-1), 0
    counts = repeats.tolist()
    if repeats.ndim != 1 or len(counts) != input.shape[dim]:
        raise ShapeError(
            f"[repeat_interleave] expected {input.shape[dim]} repeats, got shape {tuple(repeats.shape)}"
        )
    if not all(isinstance(n, int) and n >= 0 for n in counts):
        raise ValueError("[repeat_interleave] repeats must be integers of at least 0")
    return input.index_select(
        dim, _core.tensor([i for i, n in enumerate(counts) for _ in range(n)], _core.int64)
    )


@composite(ref=np.tile, samples=[call(array(2, 3), (2,)), call(array(3), (2, 2)), call(array(2, 3), 2)])
def tile(input: Tensor, *dims: Size) -> Tensor:
    """input laid out several times; where dims are fewer than axes, along the last ones."""
    repeats = sizes_of(dims)
    return input.repeat((1,) * (input.ndim - len(repeats)) + repeats)


# --- reordering -------------------------------------------------------------------------------------------

flip = primitive(
    "flip",
    "input, dims: *ints",
    "The elements of these axes in reverse order.",
    ref=lambda x, *dims: np.flip(x, sizes_of(dims)),
    samples=[call(array(3, 4), (0,)), call(array(2, 3, 4), 0, -1)],
    stablehlo="reverse",
    without={"onnx": "exporters slice backwards"},
)
roll = primitive(
    "roll",
    "input, shifts: ints, dims: ints? = None",
    "The elements moved along axes; what leaves at the end comes back at the front.",
    ref=lambda x, shifts, dims=None: np.roll(x, shifts, dims),
    samples=[call(array(3, 4), 5), call(array(3, 4), 1, 0), call(array(3, 4), (1, -2), (0, 1))],
    stablehlo="concatenate",
    without={"onnx": "exporters write it as Slice and Concat"},
)


@composite(ref=np.fliplr, samples=[call(array(2, 3))])
def fliplr(input: Tensor) -> Tensor:
    """The second axis in reverse order."""
    return input.flip(1)


@composite(ref=np.flipud, samples=[call(array(2, 3))])
def flipud(input: Tensor) -> Tensor:
    """The first axis in reverse order."""
    if input.ndim == 0:
        raise ShapeError("[flipud] expected at least one axis")
    return input.flip(0)


@composite(ref=np.rot90, samples=[call(array(3, 4)), call(array(3, 4), -1), call(array(2, 3, 4), 2, (1, 2))])
def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """input turned by k quarters from the first axis of dims towards the second."""
    if len(dims) != 2 or input.ndim < 2:
        raise ShapeError(f"[rot90] expected two axes of at least two, got {tuple(dims)} of {input.ndim}")
    a, b = (axis_of(input.ndim, d, "rot90") for d in dims)
    if a == b:
        raise ShapeError(f"[rot90] expected two different axes, got {tuple(dims)}")
    if k % 4 == 2:
        return input.flip(a, b)
    turned = input.transpose(a, b)
    return (input if k % 4 == 0 else turned.flip(a if k % 4 == 1 else b)).clone()


# --- padding ----------------------------------------------------------------------------------------------

pad_constant = primitive(
    "pad.constant",
    "input, pad: ints, value: number = 0",
    "input with margins of one value.  pad: before and after for the last axis, then for the one before it",
    target="pad_constant",
    ref=lambda x, pad, value=0: np.pad(x, margins(x.ndim, pad), constant_values=value),
    samples=[call(array(2, 3), (1, 2)), call(array(2, 3), (0, 1, 2, 0), 1.5)],
    onnx="Pad",
    stablehlo="pad",
)


def margins(rank: int, pad: Sequence[int]) -> list[tuple[int, int]]:
    """pad by axis, first axis first."""
    pairs = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)]
    return [(0, 0)] * (rank - len(pairs)) + pairs[::-1]


def source_index(length: int, before: int, after: int, mode: str) -> list[int]:
    """Which element each place of a padded axis shows."""
    places = range(-before, length + after)
    if mode == "replicate":
        return [min(max(i, 0), length - 1) for i in places]
    if mode == "circular":  # what is cut off does not come again
        first, last = max(-before, 0), length + min(after, 0)
        return [first + (i - first) % (last - first) for i in places]
    if max(before, after) >= length:
        raise ShapeError(
            f"[pad] reflected margins ({before}, {after}) must be smaller than the axis ({length})"
        )
    return [length - 1 - abs(length - 1 - abs(i)) for i in places]


@composite(
    ref=lambda x, pad, mode="constant", value=None: (
        np.pad(x, margins(x.ndim, pad), constant_values=value or 0)
        if mode == "constant"
        else np.pad(x, margins(x.ndim, pad), {"replicate": "edge", "circular": "wrap"}.get(mode, mode))
    ),
    samples=[
        call(array(2, 3), (1, 2)),
        call(array(2, 3, 4), (1, 0, 0, 2), value=2.0),
        call(array(2, 3, 4), (2, 1), "reflect"),
        call(array(2, 3, 4), (2, 1, 1, 2), "replicate"),
        call(array(2, 3, 4), (2, 1), "circular"),
    ],
    places="nn.functional",
)
def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """input with margins.

    pad: before and after for the last axis, then for the one before it ...; negative ones cut off.
    mode: "constant" (value, 0 by default), "reflect", "replicate" or "circular".
    """
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise ShapeError(f"[pad] expected pairs for at most {input.ndim} axes, got {tuple(pad)}")
    if mode == "constant":
        return pad_constant(input, tuple(pad), 0 if value is None else value)
    if mode not in ("reflect", "replicate", "circular"):
        raise ValueError(f"[pad] unknown mode {mode!r}")
    if value:
        raise ValueError(f"[pad] mode {mode!r} takes no value, got {value}")
    from versant import tensor

    for axis, (before, after) in enumerate(margins(input.ndim, pad)):
        if before or after:
            index = source_index(input.shape[axis], before, after, mode)
            input = input.index_select(axis, tensor(index))
    return input


# --- triangles and diagonals ------------------------------------------------------------------------------

tril = primitive(
    "tril",
    "input, diagonal: int = 0",
    "The lower triangle of the last two axes, zero above the diagonal.",
    ref=np.tril,
    samples=[call(array(3, 4)), call(array(2, 3, 3), 1), call(array(4, 3), -1)],
    in_place=True,
    onnx="Trilu",
    without={"stablehlo": "a select over two iotas, which exporters write out"},
)
triu = primitive(
    "triu",
    "input, diagonal: int = 0",
    "The upper triangle of the last two axes, zero below the diagonal.",
    ref=np.triu,
    samples=[call(array(3, 4)), call(array(2, 3, 3), 1), call(array(4, 3), -1)],
    in_place=True,
    onnx="Trilu",
    without={"stablehlo": "a select over two iotas, which exporters write out"},
)


@composite(
    ref=lambda x, offset=0: np.array([np.diag(row, offset) for row in x.reshape(-1, x.shape[-1])]).reshape(
        *x.shape[:-1], x.shape[-1] + abs(offset), x.shape[-1] + abs(offset)
    ),
    samples=[call(array(3)), call(array(2, 3), 1), call(array(3), -2)],
)
def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices with the last axis of input on a diagonal, zero elsewhere."""
    rank = input.ndim + 1
    axes = axis_of(rank, dim1, "diag_embed"), axis_of(rank, dim2, "diag_embed")
    if axes[0] == axes[1] or input.ndim == 0:
        raise ShapeError(f"[diag_embed] expected two different axes, got {dim1} and {dim2}")
    n = input.shape[-1] + abs(offset)
    result = input.new_zeros(*input.shape[:-1], n, n)
    result.diagonal(offset, -2, -1).copy_(input)
    return result.movedim((-2, -1), axes)


@composite(ref=np.diag, samples=[call(array(3)), call(array(3, 4), 1), call(array(2), -1)])
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """Of a vector, the matrix with it on a diagonal; of a matrix, its diagonal."""
    if input.ndim not in (1, 2):
        raise ShapeError(f"[diag] expected a vector or a matrix, got shape {tuple(input.shape)}")
    return diag_embed(input, diagonal) if input.ndim == 1 else input.diagonal(diagonal).clone()


@composite(
    ref=lambda *x, indexing="ij": tuple(np.meshgrid(*x, indexing=indexing)),
    samples=[call(array(2), array(3)), call(array(2), array(3), indexing="xy")],
    places="versant",
)
def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Each vector spread over the grid that all of them span.  indexing: "ij", or "xy" for columns first"""
    vectors: list[Tensor] = (
        list(tensors[0]) if len(tensors) == 1 and not isinstance(tensors[0], Tensor) else list(tensors)
    )
    if indexing not in ("ij", "xy"):
        raise ValueError(f'[meshgrid] expected indexing "ij" or "xy", got {indexing!r}')
    sizes = [v.numel() for v in vectors]
    grids = [
        v.reshape((1,) * i + (-1,) + (1,) * (len(sizes) - i - 1)).expand(sizes) for i, v in enumerate(vectors)
    ]
    return tuple(g.transpose(0, 1) if indexing == "xy" and len(sizes) > 1 else g for g in grids)


@composite(
    ref=lambda *x: _block_diagonal(x), samples=[call(array(2, 3), array(1, 2), array(3))], places="versant"
)
def block_diag(*tensors: Tensor) -> Tensor:
    """The matrices along the diagonal of a larger one, zero elsewhere."""
    blocks = [atleast_2d(t) for t in tensors]
    width = sum(b.shape[1] for b in blocks)
    rows, left = [], 0
    for block in blocks:
        rows.append(pad_constant(block, (left, width - left - block.shape[1])))
        left += block.shape[1]
    return cat(rows, 0)


def _block_diagonal(blocks: Sequence[Any]) -> Any:
    blocks = [np.atleast_2d(b) for b in blocks]
    result = np.zeros((sum(b.shape[0] for b in blocks), sum(b.shape[1] for b in blocks)))
    row = column = 0
    for b in blocks:
        result[row : row + b.shape[0], column : column + b.shape[1]] = b
        row, column = row + b.shape[0], column + b.shape[1]
    return result
