"""What a function reaches beside its arguments, so that a replay can be refused when it has changed.

Which globals, closure cells and attributes code can read stands in its bytecode. Beginning at the function,
`Watch` follows them through the user's functions, methods, modules and objects, and remembers what it finds:
numbers, strings and other plain values by value, everything else by identity. Functions of this package and
of the standard library are trusted and not followed; of our modules the attributes are watched, `training`
among them. What no replay could repeat, as the next item of an iterator or the time, is refused.
"""

from __future__ import annotations

import builtins
import collections
import dataclasses
import dis
import functools
import gc
import os
import sys
import types
from collections.abc import Iterator
from typing import Any

from versant import Tensor, _core
from versant.compiler.errors import CompileError
from versant.compiler.facts import MISSING, AnyFact, Contents, Fact, Size, TensorFact
from versant.structure import CONTAINERS, PLAIN, attributes_of, positional_names

MOST = 20000  # facts; beyond them objects are watched by identity alone
MOST_BYTES = 1 << 20  # of an array of numpy that is watched by its contents
# Functions of the standard library that give something else each time, by module.
READERS: dict[str, dict[str, None]] = {
    "time": dict.fromkeys(["time", "time_ns", "monotonic", "perf_counter", "process_time", "thread_time"]),
    "posix": {"urandom": None},
    "secrets": dict.fromkeys(["token_bytes", "token_hex", "token_urlsafe", "randbelow", "choice"]),
    "uuid": dict.fromkeys(["uuid1", "uuid4"]),
}
READ = READERS | {  # what is looked at in a module
    "os": dict.fromkeys(["urandom", "environ", "getenv"]),
    "datetime": dict.fromkeys(["datetime", "date"]),
}
NOW = {"now", "utcnow", "today"}  # methods of dates
ALWAYS = ("training", "_has_hooks")  # attributes of modules that may be set for the first time
STORES = {"STORE_ATTR", "DELETE_ATTR"}
ATTRIBUTES = STORES | {"LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR", "IMPORT_FROM"}
GLOBALS = {"LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL", "LOAD_NAME"}


class Watch:
    """The facts about what a function and the arguments of a call reach."""

    def __init__(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.facts: list[AnyFact] = []
        self.own: list[AnyFact] = []  # of containers among the arguments, which every call brings along
        self.tensors: list[Tensor] = []
        self.names: dict[int, str] = {}  # of those tensors, by their id: how they are reached
        self._seen: set[int] = set()
        self._kept: list[Any] = []  # what was seen, so that identities stay theirs
        self._names: set[str] = set()  # attributes that some code can read
        self._stored: set[str] = set()  # ... and that some code sets
        self._globals: set[str] = set()
        self._modules: list[types.ModuleType] = []
        self._objects: list[tuple[Any, str]] = []
        self._missing_modules: set[str] = set()
        self._dates = ""  # how a class of dates is called
        self._drawn = drawn()
        self._visit(function, getattr(function, "__qualname__", type(function).__name__))
        found, self.facts = self.facts, self.own
        inner: list[tuple[Any, str]] = []
        names = positional_names(function, len(args))
        for name, value in [*zip(names, args, strict=True), *kwargs.items()]:
            self._visit_argument(value, name, inner)
        self.own, self.facts = self.facts, found
        for value, owner in inner:
            self._visit(value, owner)
        self._settle()
        if self._dates and self._names & NOW:
            raise CompileError(
                f"[compile] {self._dates} reads the clock, which replays would not: read it outside of the "
                "function"
            )

    @property
    def stops(self) -> bool:
        """Whether somebody wants to stop in the code with a debugger."""
        return "breakpoint" in self._globals or "set_trace" in self._names

    def broken(self) -> list[AnyFact]:
        return [fact for fact in (*self.facts, *self.own) if not fact.holds()]

    def relax(self, holder: Any, key: Any) -> None:
        """Of a tensor that stands there, assumes what it is like, not which one it is."""
        for i, fact in enumerate(self.facts):
            if isinstance(fact, Fact) and fact.holder is holder and fact.key == key:
                tensor = fact.value
                if isinstance(tensor, Tensor):
                    self.facts[i] = TensorFact(holder, key, tensor, fact.owner)
                    self.names.pop(id(tensor), None)
                    self.tensors = [other for other in self.tensors if other is not tensor]
                    self._kept = [other for other in self._kept if other is not tensor]

    def imported(self) -> bool:
        """Whether modules were imported since, which nothing is known of."""
        return not self._missing_modules.isdisjoint(sys.modules)

    def knows(self, value: Any) -> bool:
        """Whether an object was there before the call."""
        return id(value) in self._seen

    def draws(self) -> bool:
        """Whether random numbers were drawn since that are not ours."""
        return self._drawn != drawn()

    # Values -------------------------------------------------------------------------------------------------

    def _visit_argument(self, value: Any, owner: str, inner: list[tuple[Any, str]]) -> None:
        def visit(item: Any, name: str) -> None:
            self._visit_argument(item, name, inner)

        if isinstance(value, Tensor):
            inner += [(hook, f"a hook of {owner}") for hook in _core.hooks_of(value)]
        elif isinstance(value, (tuple, *CONTAINERS)):
            if isinstance(value, (list, tuple)):
                self._visit_items(value, owner, visit)
            elif isinstance(value, dict):
                self._visit_dict(value, owner, visit)
            elif isinstance(value, collections.deque):
                self.facts.append(Contents(value, items_of, owner))
                for i, item in enumerate(value):
                    visit(item, f"{owner}[{i}]")
            attributes = getattr(value, "__dict__", {})
            for name, item in list(attributes.items()):
                self.facts.append(Fact(attributes, name, item, f"{owner}.{name}"))
                visit(item, f"{owner}.{name}")
            inner.append((type(value), owner))
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            for name, item in attributes_of(value).items():
                self.facts.append(Fact(value, name, item, f"{owner}.{name}"))
                visit(item, f"{owner}.{name}")
            inner.append((type(value), owner))
        else:
            inner.append((value, owner))

    def _visit(self, value: Any, owner: str) -> None:
        if value is MISSING or isinstance(value, PLAIN) or id(value) in self._seen:
            return
        self._seen.add(id(value))
        self._kept.append(value)
        if isinstance(value, Tensor):
            self._visit_tensor(value, owner)
        elif len(self.facts) > MOST:
            return
        elif getattr(value, "__name__", None) in READERS.get(getattr(value, "__module__", None) or "", ()):
            raise CompileError(
                f"[compile] {owner} reads the clock or the system's random numbers, which replays would not: "
                "read it outside of the function"
            )
        elif value is os.getenv or value is os.environ:
            self.facts.append(Contents(os.environ, dict, "os.environ"))
        elif isinstance(value, types.MethodType):
            self._visit(value.__func__, owner)
            self._visit(value.__self__, owner)
        elif isinstance(value, types.FunctionType):
            self._visit_function(value)
        elif isinstance(value, functools.partial):
            for part in (value.func, value.args, value.keywords):
                self._visit(part, owner)
        elif isinstance(value, (list, tuple)):
            self._visit_items(value, owner, self._visit)
        elif isinstance(value, dict):
            self._visit_dict(value, owner, self._visit)
        elif isinstance(value, (set, frozenset, collections.deque)):
            self.facts.append(Contents(value, items_of, owner))
            for item in value:
                self._visit(item, owner)
        elif isinstance(value, Iterator):
            raise CompileError(
                f"[compile] {owner} is an iterator, whose next items replays would not take: take the item "
                "outside and pass it as an argument"
            )
        elif isinstance(value, types.ModuleType):
            if value.__name__ in READ or (not is_ours(value.__name__) and not is_standard(value.__name__)):
                self._modules.append(value)
        elif isinstance(value, type) and value.__module__ == "datetime":
            self._dates = self._dates or owner
        elif isinstance(value, type):
            if not is_ours(value.__module__) and not is_standard(value.__module__):
                self._objects.append((value, value.__name__))
        elif isinstance(value, types.BuiltinFunctionType):
            self._visit(value.__self__, owner)
        elif type(value).__module__ == "random":
            self.own.append(Contents(value, lambda rng: rng.getstate(), owner))
        elif type(value).__module__.partition(".")[0] == "numpy":
            self._visit_numpy(value, owner)
        elif is_followed(type(value)) or watched_names(value) or hasattr(type(value), "_watched_always"):
            self._objects.append((value, owner))

    def _visit_tensor(self, tensor: Tensor, owner: str) -> None:
        self.tensors.append(tensor)
        self.names[id(tensor)] = owner
        for hook in _core.hooks_of(tensor):
            self._visit(hook, f"a hook of {owner}")
        if getattr(tensor, "__dict__", None):
            self._objects.append((tensor, owner))

    def _visit_numpy(self, value: Any, owner: str) -> None:
        if type(value).__name__ == "ndarray" and value.nbytes <= MOST_BYTES and not value.dtype.hasobject:
            self.facts.append(
                Contents(value, lambda array: (array.shape, array.dtype.str, array.tobytes()), owner)
            )
        elif type(value).__name__ == "Generator":
            self.own.append(Contents(value, lambda rng: repr(rng.bit_generator.state), owner))

    def _visit_items(self, items: Any, owner: str, visit: Any) -> None:
        if isinstance(items, list):
            self.facts.append(Size(items, owner))
        for i, item in enumerate(items):
            if isinstance(items, list):
                self.facts.append(Fact(items, i, item, f"{owner}[{i}]"))
            visit(item, f"{owner}[{i}]")

    def _visit_dict(self, holder: dict[Any, Any], owner: str, visit: Any) -> None:
        self.facts.append(Size(holder, owner))
        for key, item in list(holder.items()):
            self.facts.append(Fact(holder, key, item, f"{owner}[{key!r}]"))
            visit(item, f"{owner}[{key!r}]")

    def _note(self, holder: Any, key: Any, value: Any, owner: str) -> None:
        self.facts.append(Fact(holder, key, value, owner))
        self._visit(value, owner)

    # Code ---------------------------------------------------------------------------------------------------

    def _visit_function(self, function: types.FunctionType) -> None:
        if is_ours(function.__module__) or is_standard(function.__module__):
            return
        name = function.__qualname__
        scope = function.__globals__
        found = self._read(function.__code__)
        self._globals |= found
        for key in sorted(found):
            self._note(scope, key, scope.get(key, MISSING), key)
            if key not in scope:
                self._visit(getattr(builtins, key, MISSING), key)
        for key, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:
                value = MISSING
            self._note(cell, None, value, key)
        self.facts.append(Fact(function, "__code__", function.__code__, name))
        for attribute in ("__defaults__", "__kwdefaults__"):
            defaults = getattr(function, attribute)
            if defaults:
                self._note(function, attribute, defaults, f"a default of {name}")
        self._visit(getattr(function, "__wrapped__", None), name)

    def _read(self, code: types.CodeType) -> set[str]:
        """The globals that code can read; attributes are added to the names."""
        found: set[str] = set()
        for part in codes(code):
            # getattr(x, "name")
            self._names.update(c for c in part.co_consts if isinstance(c, str) and c.isidentifier())
            for instruction in dis.get_instructions(part):
                if instruction.opname in GLOBALS:
                    found.add(instruction.argval)
                elif instruction.opname == "IMPORT_NAME":
                    if instruction.argval not in sys.modules:
                        self._missing_modules.add(instruction.argval)
                    self._visit(sys.modules.get(instruction.argval, MISSING), instruction.argval)
                elif instruction.opname in ATTRIBUTES:
                    self._names.add(instruction.argval)
                    if instruction.opname in STORES:
                        self._stored.add(instruction.argval)
        return found

    # Objects ------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Objects and modules by the attributes that code can read; functions there may read more."""
        done: set[tuple[int, str]] = set()
        before = -1
        while before != len(done):
            before = len(done)
            for module in list(self._modules):
                names = self._names & READ.get(module.__name__, vars(module)).keys()
                for name in sorted(names):
                    if (id(module), name) not in done:
                        done.add((id(module), name))
                        self._note(vars(module), name, vars(module)[name], f"{module.__name__}.{name}")
            for value, owner in list(self._objects):
                if is_module(value) and (id(value), "") not in done:
                    done.add((id(value), ""))
                    self.facts.append(Size(vars(value), f"the attributes of {owner}"))
                for name in self._attributes(value):
                    if (id(value), name) not in done:
                        done.add((id(value), name))
                        self._visit_attribute(value, name, f"{owner}.{name}")

    def _visit_attribute(self, value: Any, name: str, owner: str) -> None:
        own = getattr(value, "__dict__", None)
        if isinstance(value, type):
            own = None
        if own is not None:
            attribute = own.get(name, MISSING)
            of_module = is_module(value) and name in ALWAYS
            if attribute is not MISSING or of_module or name in self._stored:
                self._note(own, name, attribute, owner)
                if attribute is not MISSING:
                    return
        kind = value if isinstance(value, type) else type(value)
        for base in kind.__mro__:
            if name not in vars(base):
                continue
            if is_ours(base.__module__) or is_standard(base.__module__):
                return
            attribute = vars(base)[name]
            if isinstance(attribute, types.MemberDescriptorType):  # a slot
                self._note(value, name, getattr(value, name, MISSING), owner)
                return
            if own is not None and name not in self._stored:
                self.facts.append(Fact(own, name, MISSING, owner))
            self.facts.append(Fact(dict_of(base), name, attribute, owner))
            for part in parts_of(attribute):
                self._visit(part, owner)
            return

    def _attributes(self, value: Any) -> list[str]:
        if isinstance(value, Tensor):
            return sorted(self._names & vars(value).keys())
        if always := getattr(type(value), "_watched_always", None):
            return list(always)
        if own := watched_names(value):
            return sorted(attribute for name, attribute in own.items() if name in self._names)
        if is_module(value):
            of_class = {name for name in self._names if hasattr(type(value), name)}
            return sorted({*vars(value), *self._stored, *ALWAYS, *of_class, "forward"} - {"_kinds"})
        special = set() if isinstance(value, type) else {"__call__", "__getattr__", "__enter__", "__exit__"}
        names = self._names | special
        kept = getattr(value, "__dict__", {})
        return sorted(n for n in names if n in kept or hasattr(type(value), n) or n in self._stored)


def items_of(value: Any) -> tuple[Any, ...]:
    return tuple((type(item), item) if isinstance(item, PLAIN) else id(item) for item in value)


def dict_of(kind: type) -> Any:
    """The dict behind a class, of which Python shows a view."""
    found = [part for part in gc.get_referents(vars(kind)) if isinstance(part, dict)]
    return found[0] if found else dict(vars(kind))


def parts_of(attribute: Any) -> list[Any]:
    """The functions and values behind what a class holds under a name."""
    if isinstance(attribute, property):
        return [f for f in (attribute.fget, attribute.fset) if f is not None]
    if isinstance(attribute, (staticmethod, classmethod)):
        return [attribute.__func__]
    return [
        getattr(attribute, "func", attribute) if type(attribute).__name__ == "cached_property" else attribute
    ]


def drawn() -> tuple[Any, ...]:
    """Where the random numbers of Python and numpy stand, if somebody uses them."""
    python, numpy = sys.modules.get("random"), sys.modules.get("numpy.random")
    state = numpy.get_state(legacy=False)["state"] if numpy else {}
    return python.getstate() if python else None, state.get("pos"), bytes(state.get("key", b""))


def codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """A code object and those of the functions that are defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes(constant)


def is_ours(module: str | None) -> bool:
    return module is not None and (module == "versant" or module.startswith("versant."))


def is_standard(module: str | None) -> bool:
    top = (module or "").partition(".")[0]
    return top != "__main__" and (top in sys.stdlib_module_names or top == "numpy")


def is_module(value: Any) -> bool:
    return any(
        kind.__name__ == "Module" and kind.__module__ == "versant.nn.module" for kind in type(value).__mro__
    )


def watched_names(value: Any) -> dict[str, str]:
    """Of an object of ours that is no module: names in code, and the attributes that they read."""
    names: dict[str, str] = getattr(type(value), "_watched", None) or {}
    return names


def is_followed(kind: type) -> bool:
    """Whether the attributes of such objects are watched: those of users, and of our modules."""
    if not is_ours(kind.__module__):
        return kind.__module__ != "builtins"
    return any(base.__name__ == "Module" for base in kind.__mro__)
