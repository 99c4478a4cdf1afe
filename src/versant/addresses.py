"""Modules at the addresses that names have in PyTorch's source: `distributions.normal`, `nn.modules.rnn`."""

import sys
from collections.abc import Iterable
from importlib import import_module
from types import ModuleType
from typing import Any


class Address(ModuleType):
    """A module that has the names of another one, which is opened when the first is asked for."""

    def __init__(self, name: str, home: str) -> None:
        super().__init__(name, f"The names of {home}, under PyTorch's address.")
        self.__dict__["_home"] = home

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        try:
            return getattr(import_module(self.__dict__["_home"]), name)
        except AttributeError:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}") from None

    def __dir__(self) -> list[str]:
        return dir(import_module(self.__dict__["_home"]))


def place(package: str, home: str, names: str | Iterable[str]) -> None:
    """Puts modules of these names into a package, each with the names of `home`."""
    for name in names.split() if isinstance(names, str) else names:
        path = f"{package}.{name}"
        if path not in sys.modules:
            module = sys.modules[path] = Address(path, home)
            setattr(sys.modules[package], name, module)
