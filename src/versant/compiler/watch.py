"""What a function reaches beside its arguments, so that a replay can be refused when it has changed.

Which globals, closure cells and attributes code can read stands in its bytecode. Beginning at the function,
`Watch` follows them through the user's functions, methods and objects, and remembers what it finds: numbers,
strings and other plain values by value, everything else by identity. Functions of this package are trusted
and not followed; of its modules the attributes are watched, `training` among them.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any

from versant import Tensor
from versant.compiler.structure import PLAIN

MOST = 20000  # facts; beyond them objects are watched by identity alone
MISSING: Any = object()


class Fact:
    """One entry of a dict, a list or a cell, as it was."""

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
            return holder[self.key] if isinstance(holder, list) else holder.get(self.key, MISSING)
        except (IndexError, ValueError):
            return MISSING

    def holds(self) -> bool:
        now = self.now()
        if now is self.value:
            return True
        kind = type(self.value)
        return kind in PLAIN and type(now) is kind and (now == self.value or now != now != self.value)

    def as_row(self) -> tuple[int, Any, Any, Any] | None:
        """The fact as the machine checks it; None when it cannot."""
        value = NotImplemented if self.value is MISSING else self.value
        if isinstance(self.holder, types.CellType):
            return 2, self.holder, None, value
        if isinstance(self.holder, list):
            return 1, self.holder, self.key, value
        return (0, self.holder, self.key, value) if isinstance(self.holder, dict) else None

    def __str__(self) -> str:
        return f"{self.owner} was {brief(self.value)}, now {brief(self.now())}"


class Size:
    """How many items a container had."""

    __slots__ = ("holder", "owner", "value")

    def __init__(self, holder: Any, owner: str) -> None:
        self.holder = holder
        self.value = len(holder)
        self.owner = owner

    def holds(self) -> bool:
        return len(self.holder) == self.value

    def as_row(self) -> tuple[int, Any, Any, Any]:
        return 3, self.holder, self.value, NotImplemented

    def __str__(self) -> str:
        return f"{self.owner} had {self.value} items, now {len(self.holder)}"


class Watch:
    """The facts about what `function` and the arguments reach."""

    def __init__(self, function: Any, arguments: list[Any]) -> None:
        self.facts: list[Fact | Size] = []
        self._seen: set[int] = set()
        self._kept: list[Any] = []  # what was seen, so that identities stay theirs
        self._names: set[str] = set()  # attributes that some code can read
        self._objects: list[tuple[Any, str]] = []
        self._visit(function, getattr(function, "__qualname__", "the function"))
        for argument in arguments:
            self._visit(argument, f"argument of {type(argument).__name__}")
        self._settle_objects()

    @property
    def stops(self) -> bool:
        """Whether somebody wants to stop in the code with a debugger."""
        return "breakpoint" in self._names or {"pdb", "set_trace"} <= self._names

    def broken(self) -> list[Fact | Size]:
        return [fact for fact in self.facts if not fact.holds()]

    def _visit(self, value: Any, owner: str) -> None:
        if value is MISSING or isinstance(value, (*PLAIN, Tensor)) or id(value) in self._seen:
            return
        self._seen.add(id(value))
        self._kept.append(value)
        if len(self.facts) > MOST:
            return
        if isinstance(value, types.MethodType):
            self._visit(value.__func__, owner)
            self._visit(value.__self__, owner)
        elif isinstance(value, types.FunctionType):
            self._visit_function(value)
        elif isinstance(value, (list, tuple)):
            self._visit_items(value, owner)
        elif isinstance(value, dict):
            self._visit_dict(value, value, owner)
        elif isinstance(value, (types.ModuleType, type, types.BuiltinFunctionType)):
            return
        elif hasattr(value, "__dict__") and is_followed(type(value)):
            self._objects.append((value, owner))

    def _visit_function(self, function: types.FunctionType) -> None:
        if is_ours(function.__module__):
            return
        names: set[str] = set()
        for code in codes(function.__code__):
            names.update(code.co_names)
        self._names |= names
        scope = function.__globals__
        for name in sorted(names & scope.keys()):
            self._note(scope, name, scope[name], name)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:
                continue
            self.facts.append(Fact(cell, None, value, name))
            self._visit(value, name)
        for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self._visit(value, f"a default of {function.__qualname__}")
        self._visit(getattr(function, "__wrapped__", None), function.__qualname__)

    def _visit_items(self, items: Any, owner: str) -> None:
        if isinstance(items, list):
            self.facts.append(Size(items, owner))
        for i, item in enumerate(items):
            if isinstance(items, list):
                self.facts.append(Fact(items, i, item, f"{owner}[{i}]"))
            self._visit(item, f"{owner}[{i}]")

    def _visit_dict(self, holder: dict[Any, Any], items: dict[Any, Any], owner: str) -> None:
        self.facts.append(Size(holder, owner))
        for key, item in items.items():
            self._note(holder, key, item, f"{owner}[{key!r}]")

    def _note(self, holder: Any, key: Any, value: Any, owner: str) -> None:
        self.facts.append(Fact(holder, key, value, owner))
        self._visit(value, owner)

    def _settle_objects(self) -> None:
        """Objects by the attributes that code can read; methods found there may read more."""
        done: set[tuple[int, str]] = set()
        before = -1
        while before != len(done):
            before = len(done)
            for value, owner in list(self._objects):
                for name in self._attributes(value):
                    if (id(value), name) in done:
                        continue
                    done.add((id(value), name))
                    attribute = vars(value).get(name, MISSING)
                    if attribute is not MISSING or name == "training":
                        self._note(vars(value), name, attribute, f"{owner}.{name}")
                    method = getattr(type(value), name, None)
                    if isinstance(method, types.FunctionType):
                        self._visit(method, owner)
                    elif isinstance(method, property) and method.fget is not None:
                        self._visit(method.fget, owner)

    def _attributes(self, value: Any) -> list[str]:
        if is_module(value):
            return sorted({*vars(value), "training", "forward"} - {"_kinds"})
        names = self._names | {"__call__", "forward"}
        return sorted(name for name in names if name in vars(value) or hasattr(type(value), name))


def codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """A code object and those of the functions that are defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes(constant)


def is_ours(module: str | None) -> bool:
    return module is not None and (module == "versant" or module.startswith("versant."))


def is_module(value: Any) -> bool:
    return any(
        kind.__name__ == "Module" and kind.__module__ == "versant.nn.module" for kind in type(value).__mro__
    )


def is_followed(kind: type) -> bool:
    """Whether the attributes of such objects are watched: those of users, and of our modules."""
    if not is_ours(kind.__module__):
        return any(not is_ours(base.__module__) for base in kind.__mro__)
    return any(base.__name__ == "Module" for base in kind.__mro__)


def brief(value: Any) -> str:
    if value is MISSING:
        return "not there"
    if isinstance(value, Tensor):
        return f"a tensor of {value.dtype} {tuple(value.shape)}"
    text = repr(value) if isinstance(value, PLAIN) else f"an object of {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."
