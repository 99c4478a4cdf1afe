"""Parts of tensors: splits along the first three axes, diagonals, and copies with a part written anew."""

from __future__ import annotations

from versant._core import ShapeError, Tensor
from versant.ops.axes import axis_of
from versant.ops.joining import diag_embed
from versant.ops.lazy import np
from versant.ops.record import composite
from versant.ops.samples import array, call
from versant.ops.sequences import arange
from versant.ops.shape import slice_axis, tensor_split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

# --- diagonals --------------------------------------------------------------------------------------------


@composite(places="Tensor", without={"ref": "tests/ops/test_combinations.py compares it with numpy's"})
def fill_diagonal_(input: Tensor, fill_value: float, wrap: bool = False) -> Tensor:
    """Fills the main diagonal.  wrap: in tall matrices it begins again below the square"""
    if input.ndim < 2:
        raise ShapeError(f"[fill_diagonal_] expected at least 2 axes, got shape {tuple(input.shape)}")
    if input.ndim > 2:
        if len(set(input.shape)) > 1:
            raise ShapeError(f"[fill_diagonal_] expected equal sizes, got shape {tuple(input.shape)}")
        places = (arange(input.shape[0]),) * input.ndim
    else:
        rows, columns = input.shape
        end = (rows if wrap else min(rows, columns)) * columns
        flat = arange(0, end, columns + 1)
        places = flat // max(columns, 1), flat % max(columns, 1)
    input[places] = fill_value
    return input


# --- splits -----------------------------------------------------------------------------------------------


def split_evenly(who: str, input: Tensor, at: int | Sequence[int], dim: int, rank: int) -> tuple[Tensor, ...]:
    """The parts between indices, or that many equal ones."""
    if input.ndim < rank:
        raise ShapeError(f"[{who}] expected at least {rank} axes, got shape {tuple(input.shape)}")
    if isinstance(at, int) and (at < 1 or input.shape[dim] % at):
        raise ShapeError(f"[{who}] expected sections that divide {input.shape[dim]}, got {at}")
    return tensor_split(input, at, dim)


@composite(ref=lambda x, at: tuple(np.hsplit(x, at)), samples=[call(array(2, 6), 3), call(array(5), (1, 3))])
def hsplit(input: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """Views of parts of the second axis, of vectors the first: as many equal ones, or between indices."""
    return split_evenly("hsplit", input, indices_or_sections, 0 if input.ndim == 1 else 1, 1)


@composite(
    ref=lambda x, at: tuple(np.vsplit(x, at)), samples=[call(array(6, 2), 3), call(array(5, 2), (1, 3))]
)
def vsplit(input: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """Views of parts of the first axis of at least two: as many equal ones, or between indices."""
    return split_evenly("vsplit", input, indices_or_sections, 0, 2)


@composite(
    ref=lambda x, at: tuple(np.dsplit(x, at)), samples=[call(array(2, 3, 4), 2), call(array(1, 2, 5), (1, 3))]
)
def dsplit(input: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """Views of parts of the third axis of at least three: as many equal ones, or between indices."""
    return split_evenly("dsplit", input, indices_or_sections, 2, 3)


# --- a part written anew ----------------------------------------------------------------------------------


def with_part(who: str, copy: Tensor, part: Tensor, src: Tensor) -> Tensor:
    """`copy`, whose view `part` has become src."""
    if part.shape != src.shape:
        raise ShapeError(
            f"[{who}] expected src of the part's shape {tuple(part.shape)}, got {tuple(src.shape)}"
        )
    part.copy_(src)
    return copy


def written(x: Any, where: Any, src: Any) -> Any:
    result = x.copy()
    result[where] = src
    return result


@composite(
    ref=lambda x, src, dim=0, start=None, end=None, step=1: written(
        x, (slice(None),) * dim + (slice(start, end, step),), src
    ),
    samples=[call(array(5, 3), array(2, 3), 0, 1, 3), call(array(2, 6), array(2, 3), 1, 0, 6, 2)],
)
def slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """A copy of input with src in the place of every step-th slice of an axis from start to end."""
    axis = axis_of(input.ndim, dim, "slice_scatter")
    if input.ndim == 0:
        raise ShapeError("[slice_scatter] expected at least one axis")
    if step < 1:
        raise ValueError(f"[slice_scatter] expected a positive step, got {step}")
    first, last, _ = slice(start, end).indices(input.shape[axis])
    copy = input.clone()
    return with_part("slice_scatter", copy, slice_axis(copy, axis, first, max(first, last), step), src)


@composite(
    ref=lambda x, src, dim, index: written(x, (slice(None),) * dim + (index,), src),
    samples=[call(array(5, 3), array(3), 0, 2), call(array(2, 4), array(2), 1, -1)],
)
def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """A copy of input with src in the place of one index of an axis."""
    copy = input.clone()
    return with_part("select_scatter", copy, copy.select(dim, index), src)


@composite(
    ref=lambda x, src, offset=0: written(
        x,
        (
            np.arange(len(src)) + max(-offset, 0),
            np.arange(len(src)) + max(offset, 0),
        ),
        src,
    ),
    samples=[call(array(3, 3), array(3)), call(array(3, 5), array(3), 1), call(array(4, 2), array(2), -1)],
)
def diagonal_scatter(input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A copy of input with src on the diagonal of two axes."""
    copy = input.clone()
    return with_part("diagonal_scatter", copy, copy.diagonal(offset, dim1, dim2), src)


@composite(
    ref=lambda x, offset=0: np.diagflat(x, offset),
    samples=[call(array(2, 3)), call(array(), 1), call(array(3), -2)],
)
def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """The matrix with all elements of input on a diagonal, zero elsewhere."""
    return diag_embed(input.reshape(-1), offset)
