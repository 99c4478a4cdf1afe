"""Facts: single things that a compiled function assumes, each of which tells whether it still holds."""

from __future__ import annotations

import collections
import contextvars
import types
from collections.abc import Callable
from typing import Any

from versant import Tensor
from versant.structure import PLAIN

MISSING: Any = object()

PARTS = ("__code__", "__defaults__", "__kwdefaults__")  # of a function

# A fact as the machine checks it (core/python/compiled_object.cc): kind, holder, key, value.
Row = tuple[int, Any, Any, Any]


class Fact:
    """One entry of a dict, a list or a cell, an attribute or a context variable, as it was."""

    __slots__ = ("holder", "key", "owner", "value")

    def __init__(self, holder: Any, key: Any, value: Any, owner: str) -> None:
        self.holder = holder
        self.key = key
        self.value = value
        self.owner = owner

    def now(self) -> Any:
        holder = self.holder
        try:
            if isinstance(holder, types.CellType):
                return holder.cell_contents
            if isinstance(holder, contextvars.ContextVar):
                return holder.get(MISSING)
            if isinstance(holder, dict):
                return holder.get(self.key, MISSING)
            return holder[self.key] if isinstance(holder, list) else getattr(holder, self.key, MISSING)
        except Exception:  # of a user's `__getattr__`, of whatever kind
            return MISSING

    def holds(self) -> bool:
        return same(self.now(), self.value)

    def as_row(self) -> Row | None:
        """The fact as the machine checks it; None when it cannot."""
        value = NotImplemented if self.value is MISSING else self.value
        if isinstance(self.holder, types.CellType):
            return 2, self.holder, None, value
        if isinstance(self.holder, list):
            return 1, self.holder, self.key, value
        if isinstance(self.holder, contextvars.ContextVar):
            return 9, self.holder, None, value
        if isinstance(self.holder, types.FunctionType) and self.key in PARTS:
            return 7, self.holder, PARTS.index(self.key), value
        return (0 if isinstance(self.holder, dict) else 4), self.holder, self.key, value

    def __str__(self) -> str:
        return f"{self.owner} was {brief(self.value)}, now {brief(self.now())}"


class TensorFact(Fact):
    """A tensor that calls replace without a look at it: another one like it does as well."""

    __slots__ = ("like",)

    def __init__(self, holder: Any, key: Any, tensor: Tensor, owner: str) -> None:
        super().__init__(holder, key, None, owner)
        self.like = kind_of(tensor)

    def holds(self) -> bool:
        now = self.now()
        return type(now) is Tensor and kind_of(now) == self.like

    def as_row(self) -> Row | None:
        return None

    def __str__(self) -> str:
        return f"{self.owner} was a tensor of another kind, now {brief(self.now())}"


class Class:
    """The class of an object."""

    __slots__ = ("holder", "owner", "value")

    def __init__(self, holder: Any, owner: str) -> None:
        self.holder = holder
        self.value = type(holder)
        self.owner = owner

    def holds(self) -> bool:
        return type(self.holder) is self.value

    def as_row(self) -> Row | None:
        return 8, self.holder, None, self.value

    def __str__(self) -> str:
        return f"{self.owner} was an object of {self.value.__name__}, now of {type(self.holder).__name__}"


class Size:
    """How many items a container had."""

    __slots__ = ("holder", "keys", "owner", "value")

    def __init__(self, holder: Any, owner: str) -> None:
        self.holder = holder
        self.value = len(holder)
        self.keys = frozenset(holder) if isinstance(holder, dict) else None
        self.owner = owner

    def added_tensors(self) -> dict[Any, Tensor] | None:
        """What a dict holds beside what it held, if that is tensors and all else is there."""
        if self.keys is None or not self.keys <= self.holder.keys():
            return None
        added = {key: value for key, value in self.holder.items() if key not in self.keys}
        return added if all(type(value) is Tensor for value in added.values()) else None

    def holds(self) -> bool:
        return len(self.holder) == self.value

    def as_row(self) -> Row | None:
        return (3, self.holder, self.value, NotImplemented) if isinstance(self.holder, (dict, list)) else None

    def __str__(self) -> str:
        return f"{self.owner} had {self.value} items, now {len(self.holder)}"


class Contents:
    """All of an object, as `of(object)` told it: a set, a deque, an array."""

    __slots__ = ("holder", "of", "owner", "value")

    def __init__(self, holder: Any, of: Callable[[Any], Any], owner: str) -> None:
        self.holder = holder
        self.of = of
        self.value = of(holder)
        self.owner = owner

    def holds(self) -> bool:
        return bool(self.of(self.holder) == self.value)

    def as_row(self) -> Row | None:
        if isinstance(self.holder, (set, frozenset, collections.deque)):
            return 5, self.holder, None, tuple(self.holder)
        try:
            view = memoryview(self.holder)
        except (TypeError, ValueError):  # no array, or one of a dtype that has no buffer
            return None
        return 6, self.holder, (view.format, view.shape), view.tobytes()

    def __str__(self) -> str:
        return f"{self.owner}, an object of {type(self.holder).__name__}, has other contents"


AnyFact = Fact | Class | Size | Contents


def kind_of(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.dtype, tuple(tensor.shape), tensor.stride(), tensor.requires_grad


def same(now: Any, then: Any) -> bool:
    """Whether a value is the one that it was: numbers and strings by value, all else by identity."""
    if now is then:
        return True
    kind = type(then)
    if kind not in PLAIN or type(now) is not kind:
        return False
    # 0.0 and -0.0 are equal and act otherwise; NaN equals nothing.
    return repr(now) == repr(then) if kind in (float, complex) else bool(now == then)


def brief(value: Any) -> str:
    if value is MISSING:
        return "not there"
    if isinstance(value, Tensor):
        return f"a tensor of {value.dtype} {tuple(value.shape)}"
    text = repr(value) if isinstance(value, PLAIN) else f"an object of {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."
