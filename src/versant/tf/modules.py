"""tf.Module: finds the variables that its attributes hold."""

import re
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import Any

from versant import _core
from versant.tf.variables import Variable

__all__ = ["Module"]


class Module:
    """An object whose attributes, at any depth, hold variables and other modules."""

    def __init__(self, name: str | None = None) -> None:
        self._name = name or _snake(type(self).__name__)

    @property
    def name(self) -> str:
        """What it is called."""
        return getattr(self, "_name", _snake(type(self).__name__))

    def _children(self) -> Iterator[Any]:
        """Variables and modules in attributes, by their names, and in lists, tuples and dicts there."""
        for key, value in self._attributes():
            if not key.startswith("_tf_function_"):
                yield from _found(value)

    def _named_children(self) -> Iterator[tuple[str, Any]]:
        """The same with what they are called below this module: "dense", "blocks.1"; public names first."""
        for key, value in sorted(self._attributes(), key=lambda item: item[0].startswith("_")):
            if not key.startswith("_tf_function_"):
                yield from _found_by_name(key, value)

    def _attributes(self) -> Iterable[tuple[str, Any]]:
        return sorted(vars(self).items())

    @property
    def submodules(self) -> tuple[Any, ...]:
        """All modules below this one."""
        found: list[Any] = []
        _collect_modules(self, found, {id(self)})
        return tuple(found)

    @property
    def variables(self) -> tuple[Any, ...]:
        """All variables, each once: those of the attributes, then those of modules there."""
        found: list[Any] = []
        _collect_variables(self, found, set())
        return tuple(found)

    @property
    def trainable_variables(self) -> tuple[Any, ...]:
        """The variables that are trainable."""
        return tuple(v for v in self.variables if v.trainable)

    @property
    def non_trainable_variables(self) -> tuple[Any, ...]:
        """The variables that are not trainable."""
        return tuple(v for v in self.variables if not v.trainable)

    @property
    def name_scope(self) -> Any:
        """A context for the module's names, which have no scopes here."""
        return nullcontext(self.name)

    @classmethod
    def with_name_scope(cls, method: Any) -> Any:
        """The method: names have no scopes here."""
        return method


_core.module_class(Module)


def _snake(name: str) -> str:
    """MyDense -> my_dense, Conv2D -> conv2d."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _found(value: Any) -> Iterator[Any]:
    if isinstance(value, Variable | Module):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _found(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _found(item)


def _found_by_name(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Variable | Module):
        yield name, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _found_by_name(f"{name}.{key}", item)
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _found_by_name(f"{name}.{i}", item)


def named_parts(module: Module) -> Iterator[tuple[str, Any]]:
    """The module itself as "", and all modules and variables below it with their dotted names, each once."""
    seen: set[int] = set()
    waiting: list[tuple[str, Any]] = [("", module)]
    while waiting:
        name, part = waiting.pop(0)
        if id(part) in seen:
            continue
        seen.add(id(part))
        yield name, part
        if isinstance(part, Module):
            prefix = f"{name}." if name else ""
            waiting += [(prefix + below, child) for below, child in part._named_children()]


def _collect_variables(module: Module, found: list[Any], seen: set[int]) -> None:
    inside = []
    for child in module._children():
        if id(child) in seen:
            continue
        seen.add(id(child))
        if isinstance(child, Variable):
            found.append(child)
        else:
            inside.append(child)
    for child in inside:
        _collect_variables(child, found, seen)


def _collect_modules(module: Module, found: list[Any], seen: set[int]) -> None:
    for child in module._children():
        if isinstance(child, Module) and id(child) not in seen:
            seen.add(id(child))
            found.append(child)
            _collect_modules(child, found, seen)
