"""Saved programs: the traces of compiled functions in files, and what runs them without the function.

The machine writes and reads the file (core/machine/saved). Here stand the structures of arguments and
results, as JSON: lists that begin with a kind,

    ["tensor"]                       the next tensor
    ["value", v]                     None, a bool, an int, a string
    ["float", "0.5"], ["complex", "1j"], ["bytes", "00ff"]
    ["list", item ...], ["tuple", item ...], ["slice", start, stop, step], ["range", start, stop, step]
    ["dict", [key ...], item ...]

Tuples and dicts of other classes, named tuples and dataclasses among them, are plain ones in the file:
reading it imports and calls nothing. A result adds where its tensors come from: {"value": item, "places":
[place ...]}, each of them null (the next result of the trace), or ["again", n] (result n), ["argument", n],
["tensor", n] (of the program's own).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import versant
from versant import ProgramError, Tensor, _core
from versant.compiler.errors import CompileError
from versant.io import replacing
from versant.structure import REBUILT, Structure, children, take_apart

if TYPE_CHECKING:
    from versant.compiler.entries import Entry

Node = list[Any]
Path = str | os.PathLike[str]

NAMED = {list: "list", tuple: "tuple", slice: "slice", range: "range"}
MAKERS: dict[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "slice": lambda parts: slice(*parts),
    "range": lambda parts: range(*parts),
}


# Structures -------------------------------------------------------------------------------------------------


def plain(structure: Structure, where: str) -> Node:
    """The structure of `take_apart` as JSON; raises for objects that a file cannot hold."""
    kind = structure[0]
    if kind == "tensor":
        return ["tensor"]
    if kind == "value":
        name, value = structure[1].__name__, structure[2]
        if name in ("float", "complex"):
            return [name, value]
        return ["bytes", value.hex()] if name == "bytes" else ["value", value]
    if kind == "object":
        raise CompileError(
            f"[save] {where} holds an object of {type(structure[1].value).__name__}; a saved program takes "
            "and gives tensors, numbers and strings, in tuples, lists and dicts"
        )
    if kind == REBUILT:
        inner = structure[-1] if issubclass(structure[1], dict) else structure[-2]
        if len(children(inner, "")) < len(children(structure, "")) or structure[1] is SimpleNamespace:
            raise CompileError(f"[save] {where} has tensors in attributes of {structure[1].__name__}")
        return plain(inner, where)
    if kind in NAMED:
        return [NAMED[kind], *[plain(item, where) for item in structure[1:]]]
    if issubclass(kind, tuple):
        return ["tuple", *[plain(item, where) for item in structure[1:]]]
    keys = [plain(take_apart(key, []), f"a key of {where}") for key in structure[1]]
    return ["dict", keys, *[plain(item, where) for item in structure[2:]]]


def checked(node: Any, depth: int = 0) -> int:
    """How many tensors stand in a structure that was read; raises unless it is one."""
    if depth > 100 or not isinstance(node, list) or not node:
        raise ProgramError("[load_program] the structure of arguments or results is damaged")
    kind, items = node[0], node[1:]
    if kind == "tensor" and not items:
        return 1
    if kind == "value" and len(items) == 1 and (items[0] is None or isinstance(items[0], bool | int | str)):
        return 0
    if kind in ("float", "complex", "bytes") and len(items) == 1 and isinstance(items[0], str):
        number(node)
        return 0
    if kind == "dict" and items and isinstance(items[0], list) and len(items[0]) == len(items) - 1:
        if sum(checked(key, depth + 1) for key in items[0]) or not all(map(hashable, items[0])):
            raise ProgramError("[load_program] a key of a dict is none")
        return sum(checked(item, depth + 1) for item in items[1:])
    if kind in ("slice", "range") and len(items) == 3:
        count = sum(checked(item, depth + 1) for item in items)
        if kind == "range" and (
            count or any(not isinstance(item[-1], int) for item in items) or not items[2][-1]
        ):
            raise ProgramError("[load_program] a range is damaged")
        return count
    if kind in ("list", "tuple"):
        return sum(checked(item, depth + 1) for item in items)
    raise ProgramError("[load_program] the structure of arguments or results is damaged")


def hashable(node: Node) -> bool:
    return node[0] not in ("list", "dict", "slice") and (node[0] != "tuple" or all(map(hashable, node[1:])))


def number(node: Node) -> Any:
    try:
        if node[0] == "bytes":
            return bytes.fromhex(node[1])
        return float(node[1]) if node[0] == "float" else complex(node[1])
    except ValueError:
        raise ProgramError("[load_program] a number of the program is damaged") from None


def made(node: Node, next_tensor: Callable[[], Any]) -> Any:
    """The value of a structure, with tensors taken in order."""
    kind = node[0]
    if kind == "tensor":
        return next_tensor()
    if kind == "value":
        return node[1]
    if kind in ("float", "complex", "bytes"):
        return number(node)
    if kind == "dict":
        keys = [made(key, next_tensor) for key in node[1]]
        return dict(zip(keys, [made(item, next_tensor) for item in node[2:]], strict=True))
    return MAKERS[kind]([made(item, next_tensor) for item in node[1:]])


def shown(node: Node) -> str:
    if node[0] == "tensor":
        return "a tensor"
    if node[0] in ("list", "tuple", "dict"):
        return f"a {node[0]} of {len(node) - (2 if node[0] == 'dict' else 1)}"
    return repr(made(node, lambda: None))


def same(a: Node, b: Node) -> bool:
    """Whether two structures are one; True and 1 are not."""
    return repr(a) == repr(b)


def difference(expected: Node, got: Node, where: str) -> str:
    """In words where two structures part."""
    if expected[0] != got[0] or len(expected) != len(got) or expected[0] not in ("list", "tuple", "dict"):
        return f"{where} is {shown(expected)}, got {shown(got)}"
    if expected[0] == "dict":
        if not same(expected[1], got[1]):
            keys = [[made(key, lambda: None) for key in node[1]] for node in (expected, got)]
            return f"{where} has the keys {keys[0]}, got {keys[1]}"
        names = [repr(made(key, lambda: None)) for key in expected[1]]
        pairs = zip(names, expected[2:], got[2:], strict=True)
    else:
        pairs = zip(map(str, range(len(expected))), expected[1:], got[1:], strict=True)
    for name, a, b in pairs:
        if not same(a, b):
            return difference(a, b, f"{where}[{name}]")
    return "nothing"


def names_of(node: Node, where: str) -> list[str]:
    """A name for every tensor of a structure: "x", "batch['mask']"."""
    if node[0] == "tensor":
        return [where]
    if node[0] == "dict":
        keys = [made(key, lambda: None) for key in node[1]]
        parts = [names_of(item, f"{where}[{key!r}]") for key, item in zip(keys, node[2:], strict=True)]
    else:
        items = [item for item in node[1:] if isinstance(item, list)]
        parts = [names_of(item, f"{where}[{i}]") for i, item in enumerate(items)]
    return [name for part in parts for name in part]


# Saving -----------------------------------------------------------------------------------------------------


def save_entries(
    entries: list[tuple[Structure, Entry]],
    argument_names: Callable[[Structure], list[str]],
    function: str,
    path: Path,
) -> None:
    """Write the traces of a compiled function, in the order in which a program tries them."""
    tensors: list[tuple[str, Tensor]] = []
    known = Names()
    rows = []
    for structure, entry in entries:
        arguments = plain(structure, "an argument")
        results = []
        for result in entry.results:
            for place, _ in result.left:
                raise CompileError(f"[save] {function} leaves a tensor in {place.owner}: return it instead")
            places: list[list[Any] | None] = []
            for place in result.places:
                if isinstance(place, Tensor):
                    places.append(["tensor", place_of(place, tensors)])
                elif place is None:
                    places.append(None)
                else:
                    places.append(["argument", place] if place >= 0 else ["again", ~place])
            value = plain(result.structure, "the result")
            results.append(json.dumps({"value": value, "places": places}))
        names = argument_names(structure)
        for tensor in entry.watch.tensors:
            known.add(entry.watch.names[id(tensor)], tensor)
        updates = [updates_of(entry, branch, known) for branch in range(len(results))]
        rows.append((entry.branches, json.dumps(arguments), names, results, updates))
    try:
        data = _core.program_bytes(rows, tensors, known.pairs)
        _core.program_read(data)  # what is written can be read
    except ProgramError as error:
        words = str(error).removeprefix("[load_program] ")
        raise CompileError(f"[save] {function} cannot be saved: {words}") from None
    except RuntimeError as error:
        raise CompileError(str(error)) from None
    write(data, path)


class Names:
    """Names of tensors, no two alike, and the counters of optimizers."""

    def __init__(self) -> None:
        self.pairs: list[tuple[str, Tensor]] = []
        self.counts: dict[int, Tensor] = {}  # by the identity of the batch, which the optimizer keeps
        self._by_tensor: dict[int, str] = {}
        self._taken: set[str] = set()

    def add(self, name: str, tensor: Tensor) -> None:
        if id(tensor) in self._by_tensor:
            return
        while name in self._taken:
            name += "'"
        self._taken.add(name)
        self._by_tensor[id(tensor)] = name
        self.pairs.append((name, tensor))

    def of(self, tensor: Tensor) -> str:
        return self._by_tensor.get(id(tensor), "parameter")


def updates_of(entry: Entry, branch: int, known: Names) -> dict[int, list[Any]]:
    """The steps of optimizers that a program can take, by the number of the object that the trace calls."""
    found: dict[int, list[Any]] = {}
    for number, host in enumerate(_core.trace_hosts(entry.branches, branch)):
        function = getattr(host, "func", None)  # of a partial, see call_again
        optimizer: Any = getattr(function, "__self__", None)
        if getattr(function, "__name__", "") != "_step_groups" or not hasattr(optimizer, "saved_steps"):
            continue
        steps = optimizer.saved_steps()
        if steps is None:
            continue
        found[number] = []
        for batch, name, arguments, counter in steps:
            count = known.counts.setdefault(id(batch), _counted(batch))
            known.add(f"{type(optimizer).__name__}.step", count)
            for buffer, tensors in batch.buffers.items():
                for parameter, tensor in zip(batch.params, tensors, strict=True):
                    known.add(f"{known.of(parameter)}.{buffer}", tensor)
            plain_ones = tuple(float(a) if isinstance(a, Tensor) else a for a in arguments)
            found[number].append((name, plain_ones, counter, count))
    return found


def _counted(batch: Any) -> Tensor:
    return versant.tensor(int(batch.counters.get("step", 0)), dtype=versant.int64)


def place_of(tensor: Tensor, tensors: list[tuple[str, Tensor]]) -> int:
    for i, (_, known) in enumerate(tensors):
        if known is tensor:
            return i
    tensors.append((f"tensor{len(tensors)}", tensor))
    return len(tensors) - 1


def write(data: bytes, path: Path) -> None:
    with replacing(os.path.realpath(as_path("save", path))) as file:
        file.write(data)


# Loading ----------------------------------------------------------------------------------------------------


class Array:
    """What a program takes or gives at one place."""

    __slots__ = ("dtype", "name", "shape")

    def __init__(self, name: str, dtype: Any, shape: tuple[int, ...]) -> None:
        self.name = name
        self.dtype = dtype
        self.shape = shape

    def takes(self, other: Array) -> bool:
        return self.dtype == other.dtype and self.shape == other.shape

    def __repr__(self) -> str:
        return f"{self.name}: {str(self.dtype).removeprefix('versant.')}{list(self.shape)}"


class Variant:
    """The traces for arguments of one structure."""

    __slots__ = ("arguments", "changed", "inputs", "outputs", "results", "row_major")

    def __init__(self, row: tuple[Any, ...], own: int) -> None:
        structure, results, inputs, outputs = row
        self.arguments = parsed(structure)
        self.inputs = [Array(name, dtype, tuple(shape)) for name, dtype, shape, _, _ in inputs]
        self.row_major = [plain for _, _, _, plain, _ in inputs]
        self.changed = [changed for _, _, _, _, changed in inputs]
        if (
            checked(self.arguments) != len(inputs)
            or self.arguments[0] != "tuple"
            or [item[0] for item in self.arguments[1:]] != ["tuple", "dict"]
            or not all(key[0] == "value" and isinstance(key[1], str) for key in self.arguments[2][1])
        ):
            raise ProgramError("[load_program] the structure of the arguments is damaged")
        self.results: list[tuple[Node, list[Any]]] = []
        self.outputs: list[list[Array]] = []
        for text, arrays in zip(results, outputs, strict=True):
            result = parsed(text)
            if not isinstance(result, dict) or result.keys() != {"value", "places"}:
                raise ProgramError("[load_program] the structure of the results is damaged")
            value, places = result["value"], result["places"]
            if not isinstance(places, list) or checked(value) != len(places):
                raise ProgramError("[load_program] the structure of the results is damaged")
            check_places(places, len(arrays), len(inputs), own)
            self.results.append((value, places))
            names = iter(names_of(value, "result"))
            new = [name for name, place in zip(names, places, strict=True) if place is None]
            self.outputs.append(
                [Array(name, dtype, tuple(shape)) for name, (dtype, shape) in zip(new, arrays, strict=True)]
            )


def parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ProgramError("[load_program] a structure of the program is no JSON") from None


def check_places(places: list[Any], results: int, arguments: int, own: int) -> None:
    most = {"again": results, "argument": arguments, "tensor": own}
    for place in places:
        if place is None:
            continue
        if (
            not isinstance(place, list)
            or len(place) != 2
            or not isinstance(place[0], str)
            or type(place[1]) is not int
            or not 0 <= place[1] < most.get(place[0], 0)
        ):
            raise ProgramError("[load_program] a place of the results is damaged")
    if places.count(None) != results:
        raise ProgramError("[load_program] the results of the program differ in number")


class Program:
    """A saved program; made by `load_program`. Called like the function that it was saved from.

    inputs, outputs: what the first entry takes and gives.
    """

    def __init__(self, data: bytes, name: str) -> None:
        self._program = _core.program_read(data)
        self._tensors = _core.program_tensors(self._program)
        self._entries = [Variant(row, len(self._tensors)) for row in _core.program_entries(self._program)]
        self._name = name

    @property
    def inputs(self) -> list[Array]:
        return self._entries[0].inputs

    @property
    def outputs(self) -> list[Array]:
        return self._entries[0].outputs[0]

    def state(self) -> dict[str, Tensor]:
        """The program's own tensors by name. Runs that train change them in place."""
        return dict(self._tensors)

    def save(self, path: Path) -> None:
        """Write the program with its state of now."""
        try:
            data = _core.program_again(self._program)
        except RuntimeError as error:
            raise CompileError(str(error)) from None
        write(data, path)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        tensors: list[Tensor] = []
        given = plain(take_apart((args, kwargs), tensors), "an argument")
        index, ready = self._fitting(self._candidates(given, tensors), tensors)
        branch, results = _core.program_run(self._program, index, ready)
        value, places = self._entries[index].results[branch]
        wanted, new, own = iter(places), iter(results), [tensor for _, tensor in self._tensors]

        def next_tensor() -> Tensor:
            place = next(wanted)
            if place is None:
                return next(new)
            sources: dict[str, list[Tensor]] = {"again": results, "argument": tensors, "tensor": own}
            found: Tensor = sources[place[0]][place[1]]
            return found

        return made(value, next_tensor)

    def _candidates(self, given: Node, tensors: list[Tensor]) -> list[int]:
        """The entries whose arguments have this structure and these shapes; raises where there is none."""
        alike = [i for i, entry in enumerate(self._entries) if same(entry.arguments, given)]
        if not alike:
            expected = self._entries[0].arguments
            at = 1 if not same(expected[1], given[1]) else 2
            where = difference(expected[at], given[at], ("positional arguments", "keyword arguments")[at - 1])
            raise ProgramError(f"[program] {where}; the program takes {self._taken()}")
        got = [Array("", tensor.dtype, tuple(tensor.shape)) for tensor in tensors]
        found = [i for i in alike if all(map(Array.takes, self._entries[i].inputs, got))]
        if not found:
            array, other = next(
                pair
                for pair in zip(self._entries[alike[0]].inputs, got, strict=True)
                if not pair[0].takes(pair[1])
            )
            other.name = array.name
            raise ProgramError(f"[program] the program takes {self._taken()}; got {other}")
        return found

    def _fitting(self, candidates: list[int], tensors: list[Tensor]) -> tuple[int, list[Tensor]]:
        """The entry to run, and the tensors as it wants them in memory."""
        words = ""
        for index in candidates:
            ready: dict[int, Tensor] = {}  # the same tensor in two places stays the same
            for i, tensor in enumerate(tensors):
                if id(tensor) not in ready:
                    ready[id(tensor)] = self._ready(index, i, tensor)
            given = [ready[id(tensor)] for tensor in tensors]
            words = _core.program_difference(self._program, index, given)
            if words and not any(self._entries[index].changed):
                # Only values count: arguments that share memory are taken apart.
                given = [self._copy(index, i, tensor) for i, tensor in enumerate(tensors)]
                words = _core.program_difference(self._program, index, given)
            if not words:
                return index, given
        raise ProgramError(f"[program] the program does not fit: {words}")

    def _ready(self, index: int, i: int, tensor: Tensor) -> Tensor:
        """The tensor itself where a run changes it, or where it lies right; else a copy."""
        entry = self._entries[index]
        right = entry.row_major[i] and tensor.is_contiguous() and tensor.storage_offset() == 0
        if right or entry.changed[i]:
            return tensor.detach() if tensor.requires_grad else tensor
        return self._copy(index, i, tensor)

    def _copy(self, index: int, i: int, tensor: Tensor) -> Tensor:
        return _core.program_input(self._program, index, i, tensor.detach())

    def _taken(self) -> str:
        shapes = {", ".join(map(repr, entry.inputs)) or "no tensors" for entry in self._entries}
        return " or ".join(f"({text})" for text in sorted(shapes))

    def __repr__(self) -> str:
        lines = [f"Program {self._name!r}"]
        for entry in self._entries:
            taken = ", ".join(map(repr, entry.inputs))
            lines += [f"  ({taken}) -> ({', '.join(map(repr, outputs))})" for outputs in entry.outputs]
        return "\n".join(lines)


def load_program(path: Path) -> Program:
    """Read a program that `save` of a compiled function has written.

    Nothing of the file is executed but the steps of the program, and these stay inside of their own memory,
    whoever wrote it. Raises ProgramError for files that are empty, damaged, of another kind, or of a newer
    version; OSError, as FileNotFoundError or IsADirectoryError, for paths under which no file can be read.

    >>> import tempfile
    >>> import versant as vs
    >>> double = vs.compile(lambda x: 2 * x)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     double.save(f"{folder}/double.vsp", vs.ones(3))
    ...     program = vs.load_program(f"{folder}/double.vsp")
    >>> program(vs.tensor([1.0, 2.0, 3.0]))
    tensor([2., 4., 6.])
    """
    where = as_path("load_program", path)
    try:
        with open(where, "rb") as file:
            data = file.read()
    except OSError as error:
        error.strerror = f"[load_program] {str(error.strerror)[:1].lower()}{str(error.strerror)[1:]}"
        raise
    if not data:
        raise ProgramError(f"[load_program] {where} is empty")
    try:
        return Program(data, os.path.basename(where))
    except ProgramError as error:
        raise ProgramError(f"[load_program] {where}: {str(error).removeprefix('[load_program] ')}") from None


def as_path(call: str, path: Any) -> str:
    if not isinstance(path, str | bytes | os.PathLike):
        raise TypeError(f"[{call}] expected a path, got {type(path).__name__}")
    return os.fsdecode(path)
