"""Containers: modules and parameters held in order or by name."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, Self, overload

from versant import Tensor
from versant.nn.module import Module, _bracketed
from versant.nn.parameter import Parameter
from versant.nn.registry import Kind, Registered, module_in

__all__ = ["ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]

_MODULE = Kind.MODULE  # read once: an enum's members are slow to reach


class _Numbered(Module):
    """A list of one kind of thing, kept as the attributes "0", "1", ..."""

    _items_are: Kind = Kind.MODULE

    def _items(self) -> Registered:
        return Registered(self, self._items_are)

    def _put(self, values: Iterable[Any]) -> None:
        """Let the list hold just these values."""
        values = list(values)
        for value in values:
            self._check_item(value)
        items = self._items()
        for name in list(items):
            del items[name]
        for i, value in enumerate(values):
            items[str(i)] = value

    def _check_item(self, value: Any) -> None:
        if not isinstance(module_in(value), Module):
            raise TypeError(f"[{type(self).__name__}] expected a Module, got {type(value).__name__}")

    def _name_at(self, index: int) -> str:
        names = list(self._items())
        if not hasattr(index, "__index__"):
            raise TypeError(
                f"[{type(self).__name__}] an index must be an int or a slice, got {type(index).__name__}"
            )
        if not -len(names) <= index < len(names):
            raise IndexError(
                f"[{type(self).__name__}] index {index} is out of range for {len(names)} entries"
            )
        return names[index]

    def __len__(self) -> int:
        return len(self._items())

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._items().values()))

    def __setitem__(self, index: int, value: Any) -> None:
        self._check_item(value)
        self._items()[self._name_at(index)] = value

    def __delitem__(self, index: int | slice) -> None:
        names = list(self._items())
        for name in names[index] if isinstance(index, slice) else [self._name_at(index)]:
            del self._items()[name]
        self._put(self)

    def append(self, value: Any) -> Self:
        """Add one at the end."""
        self._check_item(value)
        self._items()[str(len(self))] = value
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Add several at the end."""
        for value in list(values):
            self.append(value)
        return self

    def insert(self, index: int, value: Any) -> None:
        """Put one before `index`."""
        values = list(self)
        values.insert(index, value)
        self._put(values)

    def pop(self, index: int = -1) -> Any:
        """Take the one at `index` out and return it."""
        value = self._items()[self._name_at(index)]
        del self[index]
        return value


class Sequential(_Numbered):
    """Calls its modules one after another.  Sequential(a, b)(x) = b(a(x))

    Takes modules, or one ordered dict of named modules.
    """

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self._check_item(module)
                self.add_module(name, module)
        else:
            self._put(modules)

    def forward(self, x: Any) -> Any:
        values = self.__dict__
        for name, kind in self._kinds.items():
            if kind is _MODULE:
                x = values[name](x)
        return x

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> "Sequential": ...
    def __getitem__(self, index: int | slice) -> Module:
        if isinstance(index, slice):
            return type(self)(dict(list(self._items().items())[index]))
        module: Module = self._items()[self._name_at(index)]
        return module

    def __delitem__(self, index: int | slice) -> None:
        names = list(self._items())
        for name in names[index] if isinstance(index, slice) else [self._name_at(index)]:
            del self._items()[name]
        if all(name.isdecimal() for name in names):
            self._put(self)

    def __add__(self, other: "Sequential") -> "Sequential":
        if not isinstance(other, Sequential):
            return NotImplemented
        return Sequential(*self, *other)


class ModuleList(_Numbered):
    """A list of modules whose parameters belong to the module that holds it."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self._put(modules or ())

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> "ModuleList": ...
    def __getitem__(self, index: int | slice) -> Module:
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        module: Module = self._items()[self._name_at(index)]
        return module

    def __add__(self, other: Iterable[Module]) -> "ModuleList":
        return ModuleList([*self, *other])

    def __iadd__(self, other: Iterable[Module]) -> Self:
        return self.extend(other)

    def __repr__(self) -> str:
        """Neighbours with the same text share one line: (0-3): 4 x Linear(...)."""
        lines, first = [], 0
        for text, alike in groupby(repr(module_in(module)) for module in self):
            last = first + len(list(alike)) - 1
            text = text.replace("\n", "\n  ")
            lines.append(
                f"({first}): {text}" if first == last else f"({first}-{last}): {last - first + 1} x {text}"
            )
            first = last + 1
        return _bracketed(type(self).__name__, "", lines)


class ModuleDict(Module):
    """A dict of modules whose parameters belong to the module that holds it."""

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Module:
        module: Module = self._modules[key]
        return module

    def __setitem__(self, key: str, module: Module) -> None:
        if not isinstance(module, Module):
            raise TypeError(
                f"[{type(self).__name__}] expected a Module for {key!r}, got {type(module).__name__}"
            )
        if key in self._kinds:
            self._modules[key] = module
        else:
            self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: object) -> bool:
        return key in self._modules

    def keys(self) -> Iterable[str]:
        return self._modules.keys()

    def values(self) -> Iterable[Module]:
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Module]]:
        return self._modules.items()

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add or replace modules by name."""
        for key, module in dict(modules).items():
            self[key] = module

    def pop(self, key: str) -> Module:
        """Take the module under `key` out and return it."""
        module = self[key]
        del self[key]
        return module

    def clear(self) -> None:
        """Take all modules out."""
        self._modules.clear()


class ParameterList(_Numbered):
    """A list of parameters that belong to the module that holds it; plain tensors become parameters."""

    _items_are = Kind.PARAMETER

    def __init__(self, values: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self._put(self._as_parameter(value) for value in values or ())

    def _as_parameter(self, value: Any) -> Any:
        return Parameter(value) if isinstance(value, Tensor) and not isinstance(value, Parameter) else value

    def _check_item(self, value: Any) -> None:
        if not isinstance(value, Parameter):
            raise TypeError(
                f"[{type(self).__name__}] expected a Parameter or Tensor, got {type(value).__name__}"
            )

    def append(self, value: Any) -> Self:
        return super().append(self._as_parameter(value))

    def insert(self, index: int, value: Any) -> None:
        super().insert(index, self._as_parameter(value))

    def __setitem__(self, index: int, value: Any) -> None:
        super().__setitem__(index, self._as_parameter(value))

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        return self._items()[self._name_at(index)]

    def __repr__(self) -> str:
        lines = [
            f"  ({i}): Parameter containing: [{p.dtype} of size {'x'.join(map(str, p.shape))}]"
            for i, p in enumerate(self)
        ]
        return _bracketed(type(self).__name__, "", lines)


class ParameterDict(Module):
    """A dict of parameters that belong to the module that holds it; plain tensors become parameters.

    A plain dict is taken over in the order of its sorted keys, everything else in its own.
    """

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        if parameters is not None:
            self.update(parameters)

    def __getitem__(self, key: str) -> Parameter:
        parameter: Parameter = self._parameters[key]
        return parameter

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(
                f"[ParameterDict] expected a Parameter or Tensor for {key!r}, got {type(value).__name__}"
            )
        parameter = value if isinstance(value, Parameter) else Parameter(value)
        if key in self._kinds:
            self._parameters[key] = parameter
        else:
            self.register_parameter(key, parameter)

    def __delitem__(self, key: str) -> None:
        del self._parameters[key]

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __reversed__(self) -> Iterator[str]:
        return reversed(list(self._parameters))

    def __contains__(self, key: object) -> bool:
        return key in self._parameters

    def __or__(self, other: Any) -> "ParameterDict":
        joined = self.copy()
        joined.update(other)
        return joined

    def __ior__(self, other: Any) -> Self:
        self.update(other)
        return self

    def keys(self) -> Iterable[str]:
        return self._parameters.keys()

    def values(self) -> Iterable[Parameter]:
        return self._parameters.values()

    def items(self) -> Iterable[tuple[str, Parameter]]:
        return self._parameters.items()

    def update(self, parameters: Any) -> None:
        """Add or replace parameters by name."""
        if isinstance(parameters, Mapping) and not isinstance(parameters, OrderedDict):
            pairs: Iterable[Any] = sorted(parameters.items())
        else:
            pairs = parameters.items() if hasattr(parameters, "items") else parameters
        for key, value in pairs:
            self[key] = value

    def get(self, key: str, default: Any = None) -> Any:
        """The parameter under `key`, or default."""
        return self._parameters.get(key, default)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The parameter under `key`; where there is none, default is put there."""
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: str) -> Parameter:
        """Take the parameter under `key` out and return it."""
        parameter = self[key]
        del self[key]
        return parameter

    def popitem(self) -> tuple[str, Parameter]:
        """Take the last parameter out and return its name and it."""
        key = next(reversed(self))
        return key, self.pop(key)

    def clear(self) -> None:
        """Take all parameters out."""
        self._parameters.clear()

    def copy(self) -> "ParameterDict":
        """A dict of the same parameters."""
        return ParameterDict(self)

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> "ParameterDict":
        """A dict with the default under all keys."""
        return ParameterDict((key, default) for key in keys)

    def __repr__(self) -> str:
        lines = [
            f"  ({key}): Parameter containing: [{p.dtype} of size {'x'.join(map(str, p.shape))}]"
            for key, p in self.items()
        ]
        return _bracketed(type(self).__name__, "", lines)
