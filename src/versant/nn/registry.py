"""Which attributes of a Module are its parameters, buffers and children.

The values are ordinary instance attributes, so that reading `module.weight` is Python's own attribute lookup.
Beside them a Module keeps one ordered dict, `_kinds`, from the name of each registered attribute to its Kind.
`Registered` shows the attributes of one kind as a dict: PyTorch's `_parameters`, `_buffers` and `_modules`.
"""

from collections.abc import Iterator, MutableMapping
from enum import Enum
from typing import TYPE_CHECKING, Any

from versant import _core

if TYPE_CHECKING:
    from versant.nn.module import Module


class Kind(Enum):
    """What a registered attribute is to its Module. A scratch buffer is one that state_dict leaves out."""

    PARAMETER = "parameter"
    BUFFER = "buffer"
    SCRATCH = "scratch buffer"
    MODULE = "module"


def alike(kind: Kind) -> tuple[Kind, ...]:
    """The kinds that one of this kind may take the place of."""
    return (Kind.BUFFER, Kind.SCRATCH) if kind in (Kind.BUFFER, Kind.SCRATCH) else (kind,)


def module_in(value: Any) -> Any:
    """The module in a compiled one; anything else as it is."""
    return vars(value)["_function"] if isinstance(value, _core.CompiledBase) else value


class Registered(MutableMapping[str, Any]):
    """The attributes of `owner` of the given kinds, oldest first; writing registers as the first kind."""

    def __init__(self, owner: "Module", *kinds: Kind) -> None:
        self._owner = owner
        self._shown = kinds

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, kind in self._owner._kinds.items() if kind in self._shown])

    def __len__(self) -> int:
        return sum(kind in self._shown for kind in self._owner._kinds.values())

    def __getitem__(self, name: str) -> Any:
        if self._owner._kinds.get(name) not in self._shown:
            raise KeyError(name)
        return self._owner.__dict__[name]

    def __setitem__(self, name: str, value: Any) -> None:
        if self._owner._kinds.get(name) not in self._shown:
            self._owner._kinds[name] = self._shown[0]
        self._owner.__dict__[name] = value

    def __delitem__(self, name: str) -> None:
        if self._owner._kinds.get(name) not in self._shown:
            raise KeyError(name)
        del self._owner._kinds[name]
        del self._owner.__dict__[name]

    def __repr__(self) -> str:
        return repr(dict(self))
