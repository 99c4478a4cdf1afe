"""Sorted and distinct values: searching, buckets, sets, runs."""

from __future__ import annotations

from versant import _core
from versant._core import DTypeError, ShapeError, Tensor
from versant.ops.axes import axis_of
from versant.ops.joining import cat
from versant.ops.lazy import np
from versant.ops.record import composite, primitive
from versant.ops.reductions import any, cumsum, sort
from versant.ops.samples import array, call, integers
from versant.ops.sequences import arange

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# --- searching --------------------------------------------------------------------------------------------

search = primitive(
    "searchsorted.tensor",
    "sorted_sequence, input, right: bool = False",
    "Where input fits into the last axis of sorted_sequence.",
    target="searchsorted",
    differentiable=False,
    ref=lambda a, x, right=False: np.searchsorted(a, x, "right" if right else "left"),
    samples=[],
    without={
        "samples": "searchsorted has them",
        "onnx": "ONNX has no search",
        "stablehlo": "exporters count comparisons",
    },
)


def in_order(sequence: Tensor, sorter: Tensor | None) -> Tensor:
    """The sequence as sorter puts it."""
    if sorter is None:
        return sequence
    if sorter.dtype is not _core.int64:
        raise DTypeError(f"[searchsorted] expected an int64 sorter, got {sorter.dtype}")
    if sorter.shape != sequence.shape:
        raise ShapeError(
            f"[searchsorted] expected a sorter of shape {tuple(sequence.shape)}, got {tuple(sorter.shape)}"
        )
    return sequence.gather(-1, sorter)


@composite(
    differentiable=False,
    ref=lambda a, x, right=False: np.searchsorted(a, x, "right" if right else "left"),
    samples=[
        call(integers(1, start=1, below=2), integers(3, 4, below=4)),
        call(integers(1, start=1, below=2), integers(5, below=3), right=True),
    ],
    places="versant",
)
def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """The indices at which input would keep the last axis of sorted_sequence in order.

    right: after equal ones (side="right"), by default before them (side="left").
    sorter: the order that sorts sorted_sequence, as `argsort` gives it.
    """
    if side not in (None, "left", "right") or (side == "left" and right):
        raise ValueError(f'[searchsorted] expected side "left" or "right", got {side!r} and right={right}')
    if isinstance(input, Tensor):
        if input.dtype is not sorted_sequence.dtype:
            raise DTypeError(
                f"[searchsorted] expected tensors of one dtype, got {sorted_sequence.dtype} and {input.dtype}"
            )
        values = input
    else:
        values = _core.tensor(input, sorted_sequence.dtype)
        if sorted_sequence.ndim > 1:
            raise ShapeError("[searchsorted] expected a vector to search for a number")
    index: Tensor = search(in_order(sorted_sequence, sorter), values, right or side == "right")
    return index.to(_core.int32) if out_int32 else index


@composite(
    differentiable=False,
    ref=lambda x, a, right=False: np.searchsorted(a, x, "right" if right else "left"),
    samples=[call(integers(3, 4, below=4), integers(1, start=1, below=2))],
    places="versant",
)
def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """The bucket between sorted boundaries, a vector, that each element falls into."""
    if boundaries.ndim != 1:
        raise ShapeError(f"[bucketize] expected a vector of boundaries, got shape {tuple(boundaries.shape)}")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


@composite(ref=lambda x: np.sort(x, 0), samples=[call(array(4, 3)), call(array(5))])
def msort(input: Tensor) -> Tensor:
    """The elements in order along the first axis."""
    return sort(input, 0)[0] if input.ndim else input.clone()


@composite(
    differentiable=False,
    ref=lambda x, y, invert=False: np.isin(x, y, invert=invert),
    samples=[
        call(integers(3, 4, below=5), integers(3, below=5)),
        call(integers(3, 4, below=5), integers(2, 2, below=5), invert=True),
    ],
    places="versant",
)
def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each of elements is among test_elements; one of them may be a number.  NaN is in nothing"""
    if not isinstance(elements, Tensor) and not isinstance(test_elements, Tensor):
        raise TypeError("[isin] expected a tensor, got two numbers")
    dtype = _core.result_type(elements, test_elements)
    x, among = (
        (t if isinstance(t, Tensor) else _core.tensor(t, dtype)).detach().to(dtype)
        for t in (elements, test_elements)
    )
    if among.numel() == 0:
        return x.new_full(x.shape, invert, dtype=_core.bool)
    ordered = sort(among.reshape(-1))[0]
    found = ordered.take(search(ordered, x).clamp(max=ordered.numel() - 1)) == x
    return found.logical_not() if invert else found


# --- distinct values --------------------------------------------------------------------------------------

unique_values = primitive(
    "unique.values",
    "input",
    "The different values, in order.",
    target="unique",
    differentiable=False,
    ref=np.unique,
    samples=[call(integers(3, 4, below=5)), call(array(0))],
    without={"onnx": "exporters use Unique", "stablehlo": "the size of the result depends on values"},
)


RADIX_FROM = 4096  # elements whose digits `sort` takes in turn, which is faster than comparing them


def starts_of_runs(rows: Tensor) -> Tensor:
    """Whether each row differs from the one before it."""
    n = rows.shape[0]
    differs = rows.narrow(0, 1, n - 1) != rows.narrow(0, 0, n - 1)
    if rows.ndim > 1:
        differs = any(differs.flatten(1), 1)
    return cat([differs.new_ones(1), differs])


def runs(
    rows: Tensor, return_inverse: bool, return_counts: bool, order: Tensor | None = None
) -> list[Tensor]:
    """Of rows, the first of each run of equal ones; also the run of each row, and the lengths of runs.

    order: where the rows stood before, which the second result goes back to.
    """
    n = rows.shape[0]
    if n == 0:
        empty = rows.new_zeros(0, dtype=_core.int64)
        return [rows.clone(), *([empty] if return_inverse else ()), *([empty] if return_counts else ())]
    starts = starts_of_runs(rows)
    first = starts.nonzero().reshape(-1)
    results = [rows.index_select(0, first)]
    if return_inverse:
        run = cumsum(starts, 0) - 1
        results.append(run if order is None else run.new_zeros(n).scatter_(0, order, run))
    if return_counts:
        results.append(cat([first.narrow(0, 1, first.shape[0] - 1), first.new_full((1,), n)]) - first)
    return results


def lexicographic(rows: Tensor) -> Tensor:
    """The order of rows, the first column before the second and so on: stable sorts from the last one on."""
    columns = rows.flatten(1) if rows.ndim > 1 else rows.unsqueeze(1)
    order = arange(rows.shape[0])
    for column in range(columns.shape[1] - 1, -1, -1):
        order = order[sort(columns.select(1, column)[order], 0)[1]]
    return order


def results_of(found: list[Tensor]) -> Any:
    return found[0] if len(found) == 1 else tuple(found)


def rows_along(input: Tensor, dim: int, who: str) -> tuple[Tensor, int]:
    axis = axis_of(input.ndim, dim, who)
    if input.ndim == 0:
        return input.reshape(1), 0
    others = [n for d, n in enumerate(input.shape) if d != axis]
    if 0 in others:
        raise ShapeError(f"[{who}] expected elements in every slice, got shape {tuple(input.shape)}")
    return input.movedim(axis, 0), axis


@composite(
    differentiable=False,
    ref=lambda x, return_inverse=False, return_counts=False, dim=None: np.unique(
        x, return_inverse=return_inverse, return_counts=return_counts, axis=dim
    ),
    samples=[
        call(integers(3, 4, below=5)),
        call(integers(2, 6, below=4), return_inverse=True, return_counts=True),
        call(integers(6, 2, below=2), dim=0),
        call(integers(2, 9, below=2), return_counts=True, dim=1),
    ],
)
def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The different values, in order; also where each element is among them, and how often each occurs.

    dim: the different slices of this axis instead, in lexicographic order.
    """
    if dim is None:
        if not (return_inverse or return_counts or input.numel() >= RADIX_FROM):
            return unique_values(input.detach())
        flat, order = sort(input.detach().reshape(-1), 0)
        found = runs(flat, return_inverse, return_counts, order)
        if return_inverse:
            found[1] = found[1].reshape(input.shape)
        return results_of(found)
    rows, axis = rows_along(input.detach(), dim, "unique")
    order = lexicographic(rows)
    found = runs(rows[order], return_inverse, return_counts, order)
    found[0] = found[0].movedim(0, axis)
    return results_of(found)


@composite(
    differentiable=False,
    ref=lambda x, dim=None: x.ravel()[np.append(True, np.diff(x.ravel()) != 0)],
    samples=[call(integers(9, below=2)), call(integers(3, 4, below=2))],
)
def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The first value of each run of equal ones; also the run of each element, and the lengths of runs.

    dim: the same for slices of this axis.
    """
    if dim is None:
        found = runs(input.detach().reshape(-1), return_inverse, return_counts)
        if return_inverse:
            found[1] = found[1].reshape(input.shape)
        return results_of(found)
    rows, axis = rows_along(input.detach(), dim, "unique_consecutive")
    found = runs(rows, return_inverse, return_counts)
    found[0] = found[0].movedim(0, axis)
    return results_of(found)
