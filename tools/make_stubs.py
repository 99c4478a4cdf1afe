"""Writes what follows from the op table: stubs of methods and functions, and the index of families.

usage: python tools/make_stubs.py           rewrites them
       python tools/make_stubs.py --check   fails when one is stale
"""

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import versant
from versant import ops
from versant.ops import complex_numbers
from versant.ops.expression import Micro
from versant.ops.install import NAMESPACES
from versant.ops.record import Record
from versant.ops.signature import REQUIRED, Argument
from versant.tensors import methods

PACKAGE = Path(__file__).parents[1] / "src" / "versant"
HEADER = '''"""{subject}, from the op table by tools/make_stubs.py."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from versant._core import Tensor
from versant.ops.axes import Axes, Pair, Size

{body}
'''
INDEX_HEADER = '''"""In which family of ops a name stands, from the op table by tools/make_stubs.py."""

_FAMILIES = {'''
INDEX_FOOTER = """
# By namespace (then for operators, micro-ops and elementwise records) the family of each name.
INDEX = {
    place: {name: family for family, words in families.items() for name in words.split()}
    for place, families in _FAMILIES.items()
}
"""
STUBS = {
    "versant": ("_functions.pyi", "The functions of the main namespace"),
    "nn.functional": ("nn/functional.pyi", "The functions of nn.functional"),
    "special": ("special.pyi", "The functions of special"),
    "linalg": ("linalg.pyi", "The functions of linalg"),
    "fft": ("fft.pyi", "The functions of fft"),
}
BESIDE = {"linalg": ["class LinAlgError(RuntimeError): ..."]}  # what is no function of the table

# What the kinds of arguments (src/versant/ops/signature.py) are to a type checker.
TYPES = {
    "tensor": "Tensor",
    "tensors": "Sequence[Tensor | None]",
    "ints": "int | Sequence[int]",
    "*ints": "int | Sequence[int]",
    "*ints_or_dtype": "Any",
    "int": "int",
    "float": "float",
    "number": "float",
    "bool": "bool",
    "dtype": "Any",
    "text": "str",
    "generator": "Any",
}


def declared(record: Record, place: str, in_place: bool) -> tuple[list[str], str]:
    """The arguments and the result of an op of the machine, from its signature."""
    assert record.signature is not None
    arguments = [declared_argument(record, i, a) for i, a in enumerate(record.signature)]
    keyword_only = next((i for i, a in enumerate(record.signature) if a.keyword_only), None)
    if record.kind == "elementwise":
        if place == "nn.functional" and record.in_place is not None:
            arguments.append("inplace: bool = False")
        keywords = [f"{name}: Any = None" for name in record.variants]
        if not in_place:
            keywords.append("out: Tensor | None = None")
        arguments += ["*", *keywords] if keywords else []
    elif keyword_only is not None:
        arguments.insert(keyword_only, "*")
    return arguments, record.result


def with_out(arguments: list[str]) -> list[str]:
    """The arguments of a function that is not elementwise, and out= behind them."""
    if any(argument.startswith("out:") for argument in arguments):
        return arguments
    star = [] if any(re.match(r"\*(?!\*)", argument) for argument in arguments) else ["*"]
    rest = [argument for argument in arguments if argument.startswith("**")]
    return [*arguments[: len(arguments) - len(rest)], *star, "out: Any = None", *rest]


def declared_argument(record: Record, position: int, argument: Argument) -> str:
    kind = argument.kind.rstrip("?")
    type_ = TYPES[kind] + (" | None" if argument.kind.endswith("?") else "")
    if kind == "tensor" and record.kind == "elementwise" and position > 0:
        type_ = "Tensor | float"
    name = f"*{argument.name}" if kind.startswith("*") else argument.name
    return f"{name}: {type_}" + ("" if argument.default is REQUIRED else f" = {argument.default!r}")


def written(function: Callable[..., Any]) -> tuple[list[str], str]:
    """The arguments and the result of a Python function, from its source."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(tree, ast.FunctionDef)
    arguments = ast.unparse(tree.args)
    return split(arguments), "Any" if tree.returns is None else ast.unparse(tree.returns)


def split(arguments: str) -> list[str]:
    """Cuts at the commas outside of brackets."""
    parts, depth = [""], 0
    for character in arguments:
        depth += (character in "([") - (character in ")]")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def signature_of(record: Record, place: str, in_place: bool = False) -> tuple[list[str], str]:
    if record.signature is None:
        assert record.definition is not None
        arguments, result = written(record.definition)
    else:
        arguments, result = declared(record, place, in_place)
    plain = record.kind == "elementwise" or place == "Tensor" or in_place
    return (arguments if plain else with_out(arguments)), result


def function(name: str, arguments: list[str], result: str) -> str:
    if "from" in (re.split(r"\W", a)[0] for a in arguments):  # a keyword in Python
        arguments = ["*args: Any", "**kwargs: Any"]
    return f"def {name}({', '.join(arguments)}) -> {result}: ..."


def functions(place: str) -> Iterator[str]:
    for record in ops.table.values():
        for where, name, form in ops.names(record):
            if where == place:
                yield function(name, *signature_of(record, place, form is record.in_place))


def method(name: str, arguments: list[str], result: str) -> str:
    """In the class, `float` and its like are methods: types are spelled with an underscore."""
    if not arguments[0].startswith("*"):
        arguments = arguments[1:]
    arguments.insert(0, "self")
    head, bracket, rest = function(name, arguments, result).partition("(")
    return head + bracket + re.sub(r"(?<![.\w])(float|int|bool)(?![\w(])", r"_\1", rest)


def tensor_methods() -> Iterator[str]:
    """Those of the table, and those that src/versant/tensors/methods.py adds."""
    for record in ops.table.values():
        for where, name, form in ops.names(record):
            if where == "Tensor":
                yield method(name, *signature_of(record, where, form is record.in_place))
    for name, value in vars(versant.Tensor).items():
        if inspect.isfunction(value) and value.__module__ == methods.__name__:
            if value.__name__ != name:  # float(), long() ...
                yield f"def {name}(self) -> Tensor: ..."
            elif not hasattr(object, name):
                yield method(name, *written(value))


def stubs() -> dict[Path, str]:
    texts = {
        PACKAGE / path: HEADER.format(
            subject=subject, body="\n".join([*BESIDE.get(place, []), *sorted(functions(place))])
        )
        for place, (path, subject) in STUBS.items()
    }
    body = "_float = float\n_int = int\n_bool = bool\n\nclass TensorOps:\n"
    body += textwrap.indent("\n".join(sorted(tensor_methods())), "    ")
    texts[PACKAGE / "_tensor.pyi"] = HEADER.format(subject="Tensor's methods", body=body)
    return texts


def index() -> dict[str, dict[str, str]]:
    """The family of each name, by namespace; then of operators, micro-ops and elementwise records."""
    found: dict[str, dict[str, str]] = {place: {} for place in (*NAMESPACES, "operator", "micro", "record")}

    def enter(place: str, name: str, record: Record) -> None:
        family = record.family.rpartition(".")[2]
        if found[place].setdefault(name, family) != family:
            raise ValueError(f"{place}.{name} stands in the families {found[place][name]} and {family}")

    for record in ops.table.values():
        for place, name, _ in ops.names(record):
            enter(place, name, record)
        if record.operator:
            enter("operator", record.operator, record)
        if record.formula is not None:
            enter("record", record.name, record)
            if isinstance(record.formula.definition, Micro):
                enter("micro", record.formula.definition.name, record)
    for joined in complex_numbers.JOINS:  # which the machine asks for too
        found["record"][joined.name] = "complex_numbers"
    return found


def index_module() -> str:
    """The index as a module."""
    lines = [INDEX_HEADER]
    for place, families in index().items():
        lines.append(f'    "{place}": {{')
        for family in ops.FAMILIES:
            if words := sorted(name for name, where in families.items() if where == family):
                text = textwrap.fill(" ".join(words), 100, initial_indent=" " * 8, subsequent_indent=" " * 8)
                lines.append(f'        "{family}": """\n{text}\n        """,')
        lines.append("    },")
    return "\n".join([*lines, "}", INDEX_FOOTER])


def main() -> int:
    stale = []
    for path, text in {**stubs(), PACKAGE / "ops" / "index.py": index_module()}.items():
        if not path.exists() or path.read_text() != text:
            stale.append(path)
            if "--check" not in sys.argv:
                path.write_text(text)
    if stale and "--check" in sys.argv:
        print("stale, run python tools/make_stubs.py:", *stale)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
