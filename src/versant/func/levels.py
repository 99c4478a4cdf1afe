"""Levels of transforms: see Note [Tensors that stand for more] in core/machine/transforms/levels.h."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from versant import Tensor, _core
from versant.structure import Structure, children, put_together, take_apart

RANDOMNESS = {"error": 0, "same": 1, "different": 2}


@contextmanager
def batch_level(size: int, randomness: str) -> Iterator[int]:
    level = _core.level_enter(True, size, RANDOMNESS[randomness])
    try:
        yield level
    finally:
        _core.level_leave()


@contextmanager
def dual_level() -> Iterator[int]:
    level = _core.level_enter(False, 0, 0)
    try:
        yield level
    finally:
        _core.level_leave()


def apart(value: Any) -> tuple[Structure, list[Tensor]]:
    """A value as its structure and the tensors in it, in order."""
    tensors: list[Tensor] = []
    return take_apart(value, tensors), tensors


def together(structure: Structure, tensors: Sequence[Any]) -> Any:
    """The value of a structure with these in the places of its tensors."""
    rest = iter(tensors)
    return put_together(structure, lambda: next(rest))


def described(value: Any) -> str:
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__


def results_apart(value: Any, who: str) -> tuple[Structure, list[Tensor]]:
    """The same of what a function returned, which must be tensors in containers."""
    structure, tensors = apart(value)
    refuse_others(structure, who)
    return structure, tensors


def refuse_others(structure: Structure, who: str) -> None:
    kind = structure[0]
    if kind == "tensor":
        return
    if kind in ("value", "object"):
        shown = structure[1].__name__ if kind == "value" else type(structure[1].value).__name__
        raise TypeError(f"[{who}] expected the function to return tensors, got {shown}")
    for _, part in children(structure, ""):
        refuse_others(part, who)
