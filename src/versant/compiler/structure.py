"""The structure of arguments and results: containers apart from the tensors in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from versant import Tensor

# A structure is hashable; equal structures are taken apart and put together alike.
Structure = tuple[Any, ...]


class ByIdentity:
    """Stands in a structure for an object that is no container and has no useful equality."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByIdentity) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


class ByContents:
    """Stands in a structure for a number or an array of numpy."""

    __slots__ = ("contents", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.contents = (type(value), value.dtype.str, value.shape, value.tobytes())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByContents) and other.contents == self.contents

    def __hash__(self) -> int:
        return hash(self.contents)


PLAIN = (bool, int, float, complex, str, bytes, type(None))


def take_apart(value: Any, tensors: list[Tensor]) -> Structure:
    """The structure of a value; its tensors are added to the list in order."""
    kind = type(value)
    if issubclass(kind, Tensor):
        tensors.append(value)
        return ("tensor",) if kind is Tensor else ("tensor", kind)
    if kind in PLAIN:
        # True, 1 and 1.0 are equal, and so are 0.0 and -0.0; NaN equals nothing.
        return ("value", kind, repr(value) if kind in (float, complex) else value)
    if kind is tuple or kind is list:
        return (kind, *[take_apart(item, tensors) for item in value])
    if issubclass(kind, tuple):
        return (kind, *[take_apart(item, tensors) for item in value])
    if kind is slice or kind is range:
        return (kind, *[take_apart(part, tensors) for part in (value.start, value.stop, value.step)])
    if kind is dict or (issubclass(kind, dict) and kind.__init__ is dict.__init__):
        return (kind, tuple(value), *[take_apart(item, tensors) for item in value.values()])
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [field.name for field in dataclasses.fields(value)]
        return (kind, tuple(fields), *[take_apart(getattr(value, name), tensors) for name in fields])
    if kind.__module__ == "numpy" and hasattr(value, "tobytes") and not value.dtype.hasobject:
        return ("object", ByContents(value))
    return ("object", ByIdentity(value))


def put_together(structure: Structure, next_tensor: Callable[[], Any]) -> Any:
    """The value of a structure, with tensors taken in order."""
    kind = structure[0]
    if kind == "tensor":
        return next_tensor()
    if kind == "value":
        return structure[1](structure[2]) if structure[1] in (float, complex) else structure[2]
    if kind == "object":
        return structure[1].value
    if kind is tuple or kind is list:
        return kind(put_together(item, next_tensor) for item in structure[1:])
    if kind is slice or kind is range:
        return kind(*(put_together(item, next_tensor) for item in structure[1:]))
    if issubclass(kind, tuple):
        parts = [put_together(item, next_tensor) for item in structure[1:]]
        return kind._make(parts) if hasattr(kind, "_make") else kind(parts)
    items = [put_together(item, next_tensor) for item in structure[2:]]
    if issubclass(kind, dict):
        return kind(zip(structure[1], items, strict=True))
    made = object.__new__(kind)
    for name, item in zip(structure[1], items, strict=True):
        object.__setattr__(made, name, item)
    return made


def difference(before: Structure, now: Structure, where: str = "argument") -> str:
    """In words where two structures part."""
    if before[0] != now[0]:
        return f"{where} was {shown(before)}, now {shown(now)}"
    if before[0] in ("tensor", "value", "object"):
        return f"{where} was {shown(before)}, now {shown(now)}"
    if len(before) != len(now):
        return f"{where} had {len(before) - 1} items, now {len(now) - 1}"
    for i, (a, b) in enumerate(zip(before[1:], now[1:], strict=True)):
        if a != b:
            if isinstance(a, tuple) and a and isinstance(b, tuple) and b and a[0] is not None:
                return difference(a, b, f"{where}[{i}]")
            return f"{where} had the keys {a}, now {b}"
    return "nothing"


def shown(structure: Structure) -> str:
    kind = structure[0]
    if kind == "tensor":
        return "a tensor"
    if kind == "value":
        return f"{structure[2]}" if structure[1] in (float, complex) else repr(structure[2])
    if kind == "object":
        return f"an object of {type(structure[1].value).__name__}"
    name: str = kind.__name__
    return f"a {name}"
