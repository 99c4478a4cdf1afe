"""Searching, sorting, sets, and elements at indices."""

from __future__ import annotations

from typing import Literal, NamedTuple

import versant as vs
from versant import Tensor
from versant.array_api.data_types import Scalar, axes_of, together


class UniqueAll(NamedTuple):
    """The different values, where each comes first, which one each element is, and how often each comes."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """The different values, and how often each comes."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """The different values, and which one each element is."""

    values: Tensor
    inverse_indices: Tensor


def _extreme(who: str, x: Tensor, axis: int | None, keepdims: bool) -> Tensor:
    op = getattr(vs, who)
    if axis is not None:
        result: Tensor = op(x, axis, keepdims)
        return result
    found: Tensor = op(x.reshape(-1), 0)
    return found.reshape((1,) * x.ndim) if keepdims else found


def argmax(x: Tensor, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Where the largest element along an axis is first; None: among all elements in a row."""
    return _extreme("argmax", x, axis, keepdims)


def argmin(x: Tensor, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Where the smallest element along an axis is first; None: among all elements in a row."""
    return _extreme("argmin", x, axis, keepdims)


def count_nonzero(
    x: Tensor, /, *, axis: int | tuple[int, ...] | None = None, keepdims: bool = False
) -> Tensor:
    """How many elements along the axes are not zero."""
    axes = axes_of(axis, x.ndim)
    return vs.sum(x != 0, axes, keepdims) if axes else (x != 0).cast(vs.int64)


def nonzero(x: Tensor, /) -> tuple[Tensor, ...]:
    """The indices of the elements that are not zero, a vector for each axis. ValueError without axes."""
    if x.ndim == 0:
        raise ValueError("[nonzero] expected at least one axis, got a 0-d array")
    return tuple(vs.nonzero(x, as_tuple=True))


def searchsorted(
    x1: Tensor,
    x2: Tensor,
    /,
    *,
    side: Literal["left", "right"] = "left",
    sorter: Tensor | None = None,
) -> Tensor:
    """Where elements of x2 would keep the vector x1 in order: before (left) or after (right) equal ones."""
    first, second = together("searchsorted", x1, x2)
    return vs.searchsorted(first, second, side=side, sorter=sorter)


def where(condition: Tensor, x1: Tensor | Scalar, x2: Tensor | Scalar, /) -> Tensor:
    """Elements of x1 where the condition holds, of x2 elsewhere."""
    first, second = together("where", x1, x2)
    result: Tensor = vs.where(condition, first, second)
    return result


def take(x: Tensor, indices: Tensor, /, *, axis: int | None = None) -> Tensor:
    """The slices at the indices, a vector, along an axis, which arrays of one axis need not name."""
    if axis is None:
        if x.ndim != 1:
            raise ValueError(f"[take] expected axis for an array of {x.ndim} axes")
        axis = 0
    size = x.shape[axis]
    return vs.index_select(x, axis, vs.where(indices < 0, indices + size, indices))


def take_along_axis(x: Tensor, indices: Tensor, /, *, axis: int = -1) -> Tensor:
    """The elements at the indices along an axis; all other axes broadcast."""
    return vs.take_along_dim(x, indices.cast(vs.int64), axis)


def sort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The elements in order along an axis; NaN counts as the largest."""
    return vs.sort(x, dim=axis, descending=descending, stable=stable)[0]


def argsort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The indices that put the elements in order along an axis."""
    return vs.argsort(x, dim=axis, descending=descending, stable=stable)


def _in_order(x: Tensor) -> Tensor:
    """The indices that put a vector in order; complex numbers by real, then by imaginary part."""
    if not x.dtype.is_complex:
        return vs.argsort(x, stable=True)
    by_imaginary = vs.argsort(vs.imag(x), stable=True)
    return by_imaginary[vs.argsort(vs.real(x)[by_imaginary], stable=True)]


def unique_all(x: Tensor, /) -> UniqueAll:
    """The different values in order, where each is first, the inverse, and counts; each NaN is different."""
    flat = x.reshape(-1)
    order = _in_order(flat)
    ordered = flat[order]
    count = flat.shape[0]
    starts = vs.ones((count,), dtype=vs.bool)
    if count > 1:
        starts[1:] = ordered[1:] != ordered[:-1]
    first = vs.nonzero(starts).reshape(-1)
    inverse = vs.empty((count,), dtype=vs.int64)
    inverse[order] = vs.cumsum(starts.cast(vs.int64), 0) - 1
    ends = vs.cat([first[1:], vs.full((min(count, 1),), count, dtype=vs.int64)])
    return UniqueAll(ordered[first], order[first], inverse.reshape(x.shape), ends - first)


def unique_counts(x: Tensor, /) -> UniqueCounts:
    """The different values in order, and how often each comes."""
    found = unique_all(x)
    return UniqueCounts(found.values, found.counts)


def unique_inverse(x: Tensor, /) -> UniqueInverse:
    """The different values in order, and which of them each element is, in x's shape."""
    found = unique_all(x)
    return UniqueInverse(found.values, found.inverse_indices)


def unique_values(x: Tensor, /) -> Tensor:
    """The different values in order."""
    return unique_all(x).values
