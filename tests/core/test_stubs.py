"""The stub of the extension module names what the module has: all of it, and nothing else."""

import ast
from pathlib import Path

import pytest

import versant as vs
import versant.tf  # adds members to classes of the extension module
from versant import _core

PACKAGE = Path(vs.__file__).parent


def names(body: list[ast.stmt]) -> set[str]:
    """What a module or class of a stub defines."""
    found = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
        elif isinstance(node, ast.Assign):
            found.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return found


def stub(file: str) -> dict[str, ast.ClassDef]:
    tree = ast.parse((PACKAGE / file).read_text())
    return {"": tree} | {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}  # type: ignore[dict-item]


CORE = stub("_core.pyi")


def is_special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def test_module() -> None:
    real = {name for name in vars(_core) if not is_special(name)}
    assert names(CORE[""].body) == real


@pytest.mark.parametrize("name", [name for name in CORE if name and name != "Tensor"])
def test_classes(name: str) -> None:
    real = {member for member in vars(getattr(_core, name)) if not is_special(member)}
    assert {member for member in names(CORE[name].body) if not is_special(member)} == real


def test_tensor() -> None:
    stated = names(CORE["Tensor"].body) | names(stub("_tensor.pyi")["TensorOps"].body)
    real = {name for name in vars(vs.Tensor) if not is_special(name)}
    assert {name for name in stated if not is_special(name)} == real


def test_special_methods_of_the_stub_exist() -> None:
    for name, node in CORE.items():
        for member in names(node.body):
            if (
                name and is_special(member) and member != "__buffer__"
            ):  # a slot without a name before Python 3.12
                assert hasattr(getattr(_core, name), member), (name, member)
