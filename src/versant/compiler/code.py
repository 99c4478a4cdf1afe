"""What code can read and set beside its own variables, as its bytecode tells."""

from __future__ import annotations

import dataclasses
import dis
import functools
import types
from collections.abc import Iterator

STORES = {"STORE_ATTR", "DELETE_ATTR"}
ATTRIBUTES = STORES | {"LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR", "IMPORT_FROM"}
GLOBALS = {"LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL", "LOAD_NAME"}
CALLS = {"PRECALL", "CALL", "CALL_KW"}
BY_NAME = {"getattr", "hasattr", "setattr", "delattr"}  # their second argument names an attribute
SHOWS_ALL = {"vars", "dir"}  # ... and these give all attributes, as `__dict__` does
RUNS_TEXT = {"eval", "exec"}


@dataclasses.dataclass(frozen=True, slots=True)
class Import:
    """One `import`, of the module itself or of names from it."""

    name: str
    level: int  # how many packages up it begins
    names: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Reads:
    """What code reads, with that of the functions that are defined in it."""

    globals: frozenset[str]
    names: frozenset[str]  # of attributes
    stored: frozenset[str]  # ... that are set
    asked: frozenset[str]  # ... that need not be there
    strings: frozenset[str]
    imports: tuple[Import, ...]
    texts: tuple[types.CodeType, ...]  # the code in strings that it may run
    computes_names: bool  # of attributes: any may be meant


@functools.lru_cache(maxsize=8192)
def reads_of(code: types.CodeType) -> Reads:
    scopes: set[str] = set()
    names: set[str] = set()
    stored: set[str] = set()
    strings: set[str] = set()
    imports: list[Import] = []
    texts = tuple(text for part in codes(code) for text in codes_in_text(part))
    computes = False
    for part in (*codes(code), *texts):
        strings.update(constant for constant in constants(part) if isinstance(constant, str))
        instructions = list(dis.get_instructions(part))
        for i, instruction in enumerate(instructions):
            name = instruction.opname
            if name in GLOBALS:
                scopes.add(instruction.argval)
                computes |= instruction.argval in BY_NAME and not names_constant(instructions, i)
            elif name == "IMPORT_NAME":
                level, wanted = (before.argval for before in instructions[i - 2 : i])
                imports.append(Import(instruction.argval, level or 0, tuple(wanted or ())))
            elif name in ATTRIBUTES:
                names.add(instruction.argval)
                if name in STORES:
                    stored.add(instruction.argval)
    computes |= bool(scopes & SHOWS_ALL) or bool(names & {"__dict__", "__getattribute__"})
    written = {string for string in strings if string.isidentifier()}  # getattr(x, "name")
    asked = written if scopes & BY_NAME else set()
    if "AttributeError" in scopes:
        asked = asked | names
    if "setattr" in scopes:
        stored |= written
    return Reads(
        frozenset(scopes),
        frozenset(names | written),
        frozenset(stored),
        frozenset(asked),
        frozenset(strings),
        tuple(imports),
        texts,
        computes,
    )


def codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """A code object and those of the functions that are defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes(constant)


def codes_in_text(code: types.CodeType) -> Iterator[types.CodeType]:
    """The code in strings that `eval` and `exec` may run; text that is put together shows when it runs."""
    if not RUNS_TEXT.intersection(code.co_names):
        return
    for constant in code.co_consts:
        for mode in ("eval", "exec"):
            try:
                yield from codes(compile(constant, "<string>", mode)) if isinstance(constant, str) else ()
            except (SyntaxError, ValueError):
                continue


def constants(code: types.CodeType) -> Iterator[object]:
    for constant in code.co_consts:
        if isinstance(constant, (tuple, frozenset)):
            yield from constant
        else:
            yield constant


def names_constant(instructions: list[dis.Instruction], start: int) -> bool:
    """Whether the function that is loaded there is called with a string as its second argument."""
    depth = 0  # of the stack above the function
    second: dis.Instruction | None = None
    name = ""
    for instruction in instructions[start + 1 :]:
        before_it, name = name, instruction.opname
        if name in CALLS and before_it != "PRECALL" and depth == instruction.arg:
            return second is not None and second.opname == "LOAD_CONST" and isinstance(second.argval, str)
        if name in ("KW_NAMES", "NOP", "CACHE", "EXTENDED_ARG"):
            continue
        if "JUMP" in name or name == "FOR_ITER":
            return False
        arg = instruction.arg if instruction.opcode >= dis.HAVE_ARGUMENT else None
        before, depth = depth, depth + dis.stack_effect(instruction.opcode, arg, jump=False)
        if before == 1 and depth == 2:
            second = instruction
        elif depth <= 2:
            second = None
        if depth < 0:
            return False
    return False
