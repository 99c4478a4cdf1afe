"""The structure of arguments and results: containers apart from the tensors in them."""

from __future__ import annotations

import collections
import dataclasses
import inspect
import types
from collections.abc import Callable, Iterator
from itertools import repeat
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
REBUILT = "rebuilt"  # the kind of a container that is made as pickle and copy make it: its class, its parts
CONTAINERS = (dict, list, collections.deque, types.SimpleNamespace)  # whose subclasses are containers too


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
    plain = issubclass(kind, dict) and kind.__init__ is dict.__init__
    if kind is dict or (plain and not getattr(value, "__dict__", None)):
        return (kind, tuple(value), *[take_apart(item, tensors) for item in value.values()])
    if issubclass(kind, CONTAINERS) and (parts := reduced(value)):
        return (REBUILT, kind, *[take_apart(part, tensors) for part in parts])
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = attributes_of(value)
        return (kind, tuple(fields), *[take_apart(item, tensors) for item in fields.values()])
    if kind.__module__ == "numpy" and hasattr(value, "tobytes") and not value.dtype.hasobject:
        return ("object", ByContents(value))
    return ("object", ByIdentity(value))


def attributes_of(value: Any) -> dict[str, Any]:
    """What an object of a dataclass holds: its fields, and what was set beside them."""
    fields = [field.name for field in dataclasses.fields(value) if hasattr(value, field.name)]
    return {name: getattr(value, name) for name in fields} | getattr(value, "__dict__", {})


def reduced(value: Any) -> list[Any] | None:
    """What makes a container again: a callable, its arguments, attributes, items, items by key."""
    try:
        found = value.__reduce_ex__(4)
    except Exception:  # it says that it cannot be made again, in whatever words
        return None
    if isinstance(found, str):
        return None
    make, args, state, items, pairs = (*found, None, None, None)[:5]
    if isinstance(state, tuple) and len(state) == 2:  # attributes, and those in slots
        state = {**(state[0] or {}), **(state[1] or {})}
    return [make, args, state, list(items or ()), dict(pairs or ())]


def rebuilt(make: Any, args: Any, state: Any, items: list[Any], pairs: dict[Any, Any]) -> Any:
    """The container that `reduced` took apart."""
    made = make(*args)
    if hasattr(type(made), "__setstate__") and state is not None:
        made.__setstate__(state)
    else:
        for name, item in (state or {}).items():
            object.__setattr__(made, name, item)
    if items:
        made.extend(items)
    for key, item in pairs.items():
        made[key] = item
    return made


def put_together(structure: Structure, next_tensor: Callable[[], Any]) -> Any:
    """The value of a structure, with tensors taken in order."""
    kind = structure[0]
    if kind == "tensor":
        return next_tensor()
    if kind == "value":
        return structure[1](structure[2]) if structure[1] in (float, complex) else structure[2]
    if kind == "object":
        return structure[1].value
    if kind == REBUILT:
        return rebuilt(*(put_together(part, next_tensor) for part in structure[2:]))
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


def children(structure: Structure, where: str) -> list[tuple[str, Structure]]:
    """The parts of a container with their names, beginning with its own."""
    kind = structure[0]
    if kind in ("tensor", "value", "object") or kind is slice or kind is range:
        return []
    if kind == REBUILT:
        _, args, state, items, pairs = structure[2:]
        attributes = [(f"{where}.{name[2:-2]}", item) for name, item in children(state, "")]
        given = [(name, item) for name, item in children(args, where) if tensor_names(item, "")]
        return [*given, *attributes, *children(items, where), *children(pairs, where)]
    if kind is tuple or kind is list:
        return [(f"{where}[{i}]", item) for i, item in enumerate(structure[1:])]
    if issubclass(kind, tuple):
        fields = getattr(kind, "_fields", None) or [None] * len(structure[1:])
        return [
            (f"{where}.{field}" if field else f"{where}[{i}]", item)
            for i, (field, item) in enumerate(zip(fields, structure[1:], strict=True))
        ]
    named = zip(structure[1], structure[2:], strict=True)
    if issubclass(kind, dict):
        return [(f"{where}[{key!r}]", item) for key, item in named]
    return [(f"{where}.{field}", item) for field, item in named]


def tensor_names(structure: Structure, where: str) -> list[str]:
    """How each tensor of a structure is reached from what is called `where`."""
    if structure[0] == "tensor":
        return [where]
    return [name for part, child in children(structure, where) for name in tensor_names(child, part)]


def parameters_of(function: Any) -> list[inspect.Parameter]:
    """Those of the signature; of a module that of its `forward`. None where there is no signature."""
    try:
        return list(inspect.signature(getattr(function, "forward", function)).parameters.values())
    except (TypeError, ValueError):
        return []


def positional_names(function: Any, count: int) -> list[str]:
    """How the signature calls the first arguments of a call."""
    parameters = parameters_of(function)
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = next((p.name for p in parameters if p.kind == p.VAR_POSITIONAL), "args")
    return [*names, *(f"{rest}[{i}]" for i in range(count - len(names)))][:count]


def named_arguments(function: Any, call: Structure) -> list[tuple[str, Structure]]:
    """The arguments of a call, taken apart as `(args, kwargs)`, by the names of the function's signature.

    Defaults that stand for missing ones follow, but for those with tensors in them.
    """
    positional, keywords = call[1][1:], call[2]
    given = [
        *zip(positional_names(function, len(positional)), positional, strict=True),
        *zip(keywords[1], keywords[2:], strict=True),
    ]
    for parameter in parameters_of(function):
        tensors: list[Tensor] = []
        if parameter.default is not parameter.empty and parameter.name not in dict(given):
            default = take_apart(parameter.default, tensors)
            given += [] if tensors else [(parameter.name, default)]
    return given


def as_python(structure: Structure, tensors: Iterator[str | int]) -> list[str | int]:
    """A structure as Python would write it, in pieces; what stands for its tensors is taken in order."""
    kind = structure[0]
    if kind == "tensor":
        return [next(tensors)]
    parts = children(structure, "")
    made_again = kind == REBUILT
    kind = structure[1] if made_again else kind
    if not parts:
        if kind is tuple or kind is list or (isinstance(kind, type) and issubclass(kind, dict)):
            return [repr(kind())]
        return [shown(structure)]
    pieces: list[str | int] = []
    for name, child in parts:
        label = name[1:-1] + ": " if isinstance(kind, type) and issubclass(kind, dict) else ""
        label = name[1:] + "=" if name.startswith(".") else label
        pieces += [", " * bool(pieces), label, *as_python(child, tensors)]
    if kind is list:
        return ["[", *pieces, "]"]
    if kind is tuple:
        return ["(", *pieces, ",)" if len(parts) == 1 else ")"]
    if issubclass(kind, dict) and not made_again:
        return ["{", *pieces, "}"]
    return [f"{kind.__name__}(", *pieces, ")"]


def difference(function: Any, before: tuple[Structure, list[str]], now: tuple[Structure, list[str]]) -> str:
    """In words where two calls of a function part: each taken apart, with its tensors described in order."""
    old, new = (
        {
            name: leaf
            for argument, part in named_arguments(function, call)
            for name, leaf in leaves(part, argument, described)
        }
        for call, described in ((before[0], iter(before[1])), (now[0], iter(now[1])))
    )
    return parting(old, new) or "the arguments stand in another order"


def difference_of(where: str, before: Structure, now: Structure) -> str:
    """In words where two structures part."""
    old, new = (dict(leaves(structure, where, repeat("a tensor"))) for structure in (before, now))
    return parting(old, new)


def parting(old: dict[str, tuple[Structure, str]], new: dict[str, tuple[Structure, str]]) -> str:
    nothing = ((), "not there")
    for name in dict.fromkeys([*old, *new]):
        (was, was_text), (is_now, text) = old.get(name, nothing), new.get(name, nothing)
        if was != is_now:
            return f"`{name}` was {was_text}, now {text if text != was_text else 'another one'}"
    return ""


def leaves(
    structure: Structure, where: str, tensors: Iterator[str]
) -> Iterator[tuple[str, tuple[Structure, str]]]:
    """The names of a structure's parts, containers first, with what each is and how that reads."""
    kind = structure[0]
    if kind == "tensor":
        yield where, (structure, next(tensors))
        return
    parts = children(structure, where)
    yield where, ((kind,) if parts else structure, shown(structure))
    for name, child in parts:
        yield from leaves(child, name, tensors)


def shown(structure: Structure) -> str:
    kind = structure[0]
    if kind == "tensor":
        return "a tensor"
    if kind == "value":
        return f"{structure[2]}" if structure[1] in (float, complex) else repr(structure[2])
    if kind == "object":
        return f"an object of {type(structure[1].value).__name__}"
    name: str = structure[1].__name__ if kind == REBUILT else kind.__name__
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"
