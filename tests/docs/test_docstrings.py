"""The examples in docstrings run and print what they say."""

import doctest
import importlib
import pkgutil

import pytest

import versant

MODULES = [
    "versant",
    *(
        module.name
        for module in pkgutil.walk_packages(versant.__path__, "versant.")
        if module.name.rpartition(".")[2] not in ("_core", "__main__")
    ),
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE).failed == 0
