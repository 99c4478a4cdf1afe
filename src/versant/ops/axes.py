"""Helpers of composites: axes and sizes as users may give them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from versant._core import AxisError, ShapeError, Tensor

Axes = int | Sequence[int] | None
Size = int | Sequence[int]
Pair = int | Sequence[int]


def axis_of(rank: int, dim: int, who: str) -> int:
    """dim, counted from the front."""
    if not -max(rank, 1) <= dim < max(rank, 1):
        limit = max(rank, 1)
        raise AxisError(f"[{who}] axis {dim} is out of range: expected {-limit} to {limit - 1}")
    return dim % max(rank, 1)


def axes_of(rank: int, dim: Axes, who: str) -> tuple[int, ...]:
    """The axes meant by dim, counted from the front; all of them for None or none given."""
    if dim is None:
        return tuple(range(rank))
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    return tuple(axis_of(rank, d, who) for d in dims) or tuple(range(rank))


def count(input: Tensor, dim: Axes, who: str) -> int:
    """How many elements lie along these axes together."""
    shape = input.shape
    return math.prod(shape[d] for d in axes_of(len(shape), dim, who)) if shape else 1


def sizes_of(sizes: tuple[int | Sequence[int], ...]) -> tuple[int, ...]:
    """Sizes given as several arguments or as one sequence."""
    if len(sizes) == 1 and isinstance(sizes[0], list | tuple | range):
        return tuple(sizes[0])
    return tuple(sizes)  # type: ignore[arg-type]


def sizes_given(sizes: tuple[int | Sequence[int], ...], size: Size | None, who: str) -> tuple[int, ...]:
    """The same, or as the keyword `size`."""
    if size is not None:
        sizes = (size,)
    elif not sizes:
        raise TypeError(f"[{who}] expected a size")
    return sizes_of(sizes)


def pair(value: int | Sequence[int], who: str = "pair") -> tuple[int, int]:
    """One number for both axes of an image, or two."""
    if isinstance(value, int):
        return value, value
    if len(value) not in (1, 2):
        raise ShapeError(f"[{who}] expected one number or one for each axis of an image, got {tuple(value)}")
    first, second = (value[0], value[0]) if len(value) == 1 else value
    return first, second
