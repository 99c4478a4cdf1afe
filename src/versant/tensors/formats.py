"""Layouts and memory formats: PyTorch's names, and the orders of axes in memory that they stand for."""

from __future__ import annotations

from versant import _core
from versant._core import Tensor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class _Named:
    """A constant that prints, pickles and copies as its name in versant."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"versant.{self._name}"

    def __reduce__(self) -> str:
        return self._name

    __module__ = "versant"


class layout(_Named):
    """How a tensor keeps its elements; `versant.strided` is the only one."""


class memory_format(_Named):
    """The order in which the axes of a dense tensor lie in memory."""


strided = layout("strided")
contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")

NAMES: dict[str, Any] = {
    "layout": layout,
    "strided": strided,
    "memory_format": memory_format,
    "contiguous_format": contiguous_format,
    "preserve_format": preserve_format,
    "channels_last": channels_last,
    "channels_last_3d": channels_last_3d,
}

_RANKS = {"channels_last": 4, "channels_last_3d": 5}


def check_layout(value: Any, who: str) -> None:
    """Raises unless the layout is one that tensors have."""
    if value is not None and value is not strided:
        raise NotImplementedError(f"[{who}] expected layout versant.strided, got {value!r}")


def check_pinned(pin_memory: bool | None, who: str) -> None:
    """Raises where page-locked memory is asked for: it serves devices, of which there is none."""
    if pin_memory:
        raise RuntimeError(f"[{who}] pin_memory=True needs an accelerator; the only device is the CPU")


def order_of(format: memory_format, rank: int, who: str) -> tuple[int, ...] | None:
    """The axes in the order in which they lie in memory; None where they keep the order they have."""
    if not isinstance(format, memory_format):
        raise TypeError(f"[{who}] expected a memory_format, got {type(format).__name__}")
    if format is contiguous_format:
        return tuple(range(rank))
    if format is preserve_format:
        return None
    if rank != _RANKS[format._name]:
        raise RuntimeError(f"[{who}] {format!r} is for tensors of {_RANKS[format._name]} axes, got {rank}")
    return (0, *range(2, rank), 1)


def inverse(order: Sequence[int]) -> list[int]:
    return sorted(range(len(order)), key=lambda i: order[i])


def new_in(
    format: memory_format, who: str, size: Sequence[int], value: Any, dtype: Any, like: Tensor | None
) -> Tensor:
    """A tensor of one value (None: whatever is in memory) in a memory format; `like` is what to preserve."""
    order = order_of(format, len(size), who)
    if order is None:
        return _core.full(size, value, dtype, False, who, like)
    laid = _core.full([size[d] for d in order], value, dtype, False, who)
    return laid.set_(laid.permute(inverse(order)))


def is_laid(x: Tensor, format: memory_format) -> bool:
    """Whether the elements lie in memory in that format, without gaps."""
    if format is contiguous_format:
        return x._is_row_major()
    if format is preserve_format:
        raise RuntimeError("[is_contiguous] preserve_format is not an order of axes in memory")
    if x.ndim != _RANKS[format._name]:
        return False
    step = 1
    for d in (1, *range(x.ndim - 1, 1, -1), 0):
        if x.shape[d] != 1 and x.stride(d) != step:
            return False
        step *= x.shape[d]
    return True


def laid_out(x: Tensor, format: memory_format, who: str) -> Tensor:
    """x in that format: x itself where it lies so, else a copy. Gradients flow through."""
    order = order_of(format, x.ndim, who)
    if order is None or is_laid(x, format):
        return x
    return copied(x, order)


def copied(x: Tensor, order: Sequence[int]) -> Tensor:
    """A copy with its axes in that order in memory."""
    turned = x.permute(*order) if x.ndim else x
    copy = turned.clone() if turned._is_row_major() else turned.contiguous()
    return copy.permute(*inverse(order)) if x.ndim else copy
