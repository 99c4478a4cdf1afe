"""Modules at the addresses that names have in PyTorch's source: `distributions.normal`, `nn.modules.rnn`."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any
else:
    ModuleType = type(sys)  # `import versant` opens neither of the two


class Address(ModuleType):
    """A module that has the names of another one, which is opened when the first is asked for."""

    def __init__(self, name: str, home: str) -> None:
        super().__init__(name, f"The names of {home}, under PyTorch's address.")
        self.__dict__["_home"] = home

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        try:
            return getattr(opened(self.__dict__["_home"]), name)
        except AttributeError:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}") from None

    def __dir__(self) -> list[str]:
        return dir(opened(self.__dict__["_home"]))


def opened(home: str) -> ModuleType:
    from importlib import import_module

    return import_module(home)


def place(package: str, home: str, names: str) -> None:
    """Puts modules of these names into a package, each with the names of `home`."""
    for name in names.split():
        path = f"{package}.{name}"
        if path not in sys.modules:
            module = sys.modules[path] = Address(path, home)
            setattr(sys.modules[package], name, module)
