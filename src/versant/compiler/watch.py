"""What a function reaches beside its arguments, so that a replay can be refused when it has changed.

Which globals, closure cells and attributes code can read stands in its bytecode. Beginning at the function,
`Watch` follows them through the user's functions, methods, modules and objects, and remembers what it finds:
numbers, strings and other plain values by value, everything else by identity. Functions of this package and
of the standard library are trusted and not followed; of our modules the attributes are watched, `training`
among them. What no replay could repeat, as the next item of an iterator or the time, is refused. What runs
though nothing names it is found when it runs (ran.py).
"""

from __future__ import annotations

import builtins
import collections
import contextvars
import dataclasses
import importlib
import importlib.util
import os
import sys
import threading
import types
from collections.abc import Iterable, Iterator
from typing import Any

from versant import Tensor, _core
from versant.compiler.code import Reads, codes, reads_of
from versant.compiler.errors import CompileError, differs_each_time
from versant.compiler.facts import MISSING, AnyFact, Class, Contents, Fact, Size, TensorFact
from versant.compiler.objects import (
    CALLABLE,
    FUNCTIONS,
    GETTERS,
    PROXIES,
    attribute_of,
    class_of,
    dict_in,
    dict_of,
    drawn,
    held_by,
    is_a,
    is_array,
    is_followed,
    is_module,
    is_ours,
    is_trusted,
    is_users,
    items_of,
    of_users,
    parts_behind,
    parts_of,
    running_by_rule,
    watched_names,
)
from versant.structure import CONTAINERS, PLAIN, attributes_of, positional_names, take_apart

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
    "sys": {"argv": None},
    "datetime": dict.fromkeys(["datetime", "date"]),
}
NOW = {"now", "utcnow", "today"}  # methods of dates
ALWAYS = ("training", "_has_hooks")  # attributes of modules that may be set for the first time


def holds_tensor(value: Any, tensor: Tensor) -> bool:
    return value is tensor or (type(value) is tuple and any(holds_tensor(part, tensor) for part in value))


class Watch:
    """The facts about what a function and the arguments of a call reach."""

    def __init__(
        self,
        function: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        also: Iterable[tuple[Any, str]] = (),
        most_bytes: float = MOST_BYTES,
    ) -> None:
        """also: what else it reaches, and how that is called. most_bytes: of arrays whose contents count."""
        self._most_bytes = most_bytes
        self.passes_over = False  # larger ones
        self.facts: list[AnyFact] = []
        self.own: list[AnyFact] = []  # of containers among the arguments, which every call brings along
        self.tensors: list[Tensor] = []
        self.names: dict[int, str] = {}  # of those tensors, by their id: how they are reached
        self.codes: set[types.CodeType] = set()  # that were read
        self._seen: set[int] = set()
        self._brought: set[int] = set()  # containers among the arguments
        self._added: set[tuple[int, int, Any]] = set()  # places that facts are about
        self._kept: list[Any] = []  # what was seen, so that identities stay theirs
        self._names: set[str] = set()  # attributes that some code can read
        self._stored: set[str] = set()  # ... and that some code sets
        self._asked: set[str] = set()  # ... and that need not be there
        self._any_name = False  # some code computes them
        self._globals: set[str] = set()
        self._modules: list[types.ModuleType] = []
        self._objects: list[tuple[Any, str]] = []
        self._missing_modules: set[str] = set()
        self._dates = ""  # how a class of dates is called
        self._visit(function, getattr(function, "__qualname__", type(function).__name__))
        found, self.facts = self.facts, self.own
        inner: list[tuple[Any, str]] = []
        names = positional_names(function, len(args))
        for name, value in [*zip(names, args, strict=True), *kwargs.items()]:
            self._visit_argument(value, name, inner)
        self.own, self.facts = self.facts, found
        for value, owner in (*inner, *also):
            self._visit(value, owner)
        self._settle()
        if "random" in self._names and "numpy" in sys.modules:
            importlib.import_module("numpy.random")  # which numpy does when it is asked, and begins to draw
        self._drawn = drawn()
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

    def forget(self, holder: Any, key: Any) -> None:
        """Of what stands there, assumes nothing: it is an argument. What else it is stays a fact."""
        facts = [fact for fact in self.facts if isinstance(fact, Fact)]
        for fact in facts:
            if fact.holder is holder and fact.key == key:
                self.facts.remove(fact)
                held: list[Tensor] = []
                take_apart(fact.value, held)
                for tensor in held:
                    if any(holds_tensor(other.value, tensor) for other in facts if other is not fact):
                        continue
                    self.names.pop(id(tensor), None)
                    self.tensors = [other for other in self.tensors if other is not tensor]
                    self._kept = [other for other in self._kept if other is not tensor]

    def imported(self) -> bool:
        """Whether modules were imported since, which nothing is known of."""
        return not self._missing_modules.isdisjoint(sys.modules)

    def knows(self, value: Any) -> bool:
        """Whether an object was there before the call."""
        return id(value) in self._seen

    def holds(self, value: Any) -> bool:
        """Whether what an object has is watched, or comes with the arguments."""
        return id(value) in self._seen or id(value) in self._brought

    def reads_array(self, array: Any) -> bool:
        """Whether it is an array of numpy and watched by its contents, or an argument, which tells them."""
        if not is_array(array):
            return False
        return id(array) in self._brought or (id(array) in self._seen and array.nbytes <= self._most_bytes)

    def reached(self) -> list[tuple[Any, str]]:
        """The objects that were found, each once, and how they are called."""
        owners = {id(value): owner for value, owner in reversed(self._objects)}
        return [(value, owners.get(id(value), type(value).__name__)) for value in self._kept]

    def draws(self) -> bool:
        """Whether random numbers were drawn since that are not ours."""
        return self._drawn != drawn()

    # Values -------------------------------------------------------------------------------------------------

    def _visit_argument(self, value: Any, owner: str, inner: list[tuple[Any, str]]) -> None:
        def visit(item: Any, name: str) -> None:
            self._visit_argument(item, name, inner)

        self._brought.add(id(value))
        if is_a(value, Tensor):
            inner += [(hook, f"a hook of {owner}") for hook in _core.hooks_of(value)]
        elif is_a(value, (tuple, *CONTAINERS)):
            if is_a(value, (list, tuple)):
                self._visit_items(value, owner, visit)
            elif is_a(value, dict):
                self._visit_dict(value, owner, visit)
            elif is_a(value, collections.deque):
                self.facts.append(Contents(value, items_of, owner))
                for i, item in enumerate(value):
                    visit(item, f"{owner}[{i}]")
            attributes = getattr(value, "__dict__", {})
            for name, item in list(attributes.items()):
                self.facts.append(Fact(attributes, name, item, f"{owner}.{name}"))
                visit(item, f"{owner}.{name}")
            inner.append((type(value), owner))
        elif dataclasses.is_dataclass(value) and not is_a(value, type):
            for name, item in attributes_of(value).items():
                self.facts.append(Fact(value, name, item, f"{owner}.{name}"))
                visit(item, f"{owner}.{name}")
            inner.append((type(value), owner))
        elif is_array(value):
            self._visit_array(value, owner, self.facts)
        else:
            inner.append((value, owner))

    def _visit(self, value: Any, owner: str) -> None:
        kind = type(value)
        if value is MISSING or kind in PLAIN or id(value) in self._seen:
            return
        self._seen.add(id(value))
        self._kept.append(value)
        if kind in PROXIES:
            self._objects.append((value, owner))
        elif issubclass(kind, Tensor):
            self._visit_tensor(value, owner)
        elif len(self.facts) > MOST:
            return
        elif kind in FUNCTIONS and value.__name__ in READERS.get(value.__module__ or "", ()):
            raise differs_each_time(owner)
        elif value is os.getenv or value is os.environ:
            self.facts.append(Contents(os.environ, dict, "os.environ"))
        elif kind is types.FunctionType:
            self._visit_function(value)
        elif (parts := parts_behind(value)) is not None:
            for part in parts:
                self._visit(part, owner)
        elif kind in GETTERS:
            self._read_getter(value, owner)
        elif kind is contextvars.ContextVar:
            self._note(value, None, value.get(MISSING), owner)
        elif issubclass(kind, types.ModuleType):
            self._modules.append(value)
        elif issubclass(kind, type):
            self._visit_class(value, owner)
        elif kind.__module__ == "random":
            self.own.append(Contents(value, lambda rng: rng.getstate(), owner))
        elif kind.__module__.partition(".")[0] == "numpy":
            self._visit_numpy(value, owner)
        else:
            self._visit_object(value, owner)

    def _visit_class(self, kind: type, owner: str) -> None:
        if kind.__module__ == "datetime":
            self._dates = self._dates or owner
        elif is_users(kind):
            self._objects.append((kind, kind.__name__))

    def _visit_object(self, value: Any, owner: str) -> None:
        kind = type(value)
        if issubclass(kind, (list, tuple)):
            self._visit_items(value, owner, self._visit)
        elif issubclass(kind, dict):
            self._visit_dict(value, owner, self._visit)
        elif issubclass(kind, (set, frozenset, collections.deque)):
            self._add(Contents(value, items_of, owner))
            for item in value:
                self._visit(item, owner)
        elif issubclass(kind, Iterator) or kind.__name__ == "SimpleQueue":
            raise CompileError(
                f"[compile] {owner} is an iterator, whose next items replays would not take: take the item "
                "outside and pass it as an argument"
            )
        elif kind.__module__ in ("ctypes", "_ctypes") or hasattr(kind, "_b_base_"):
            self._add(Contents(value, bytes, owner))
        attributes = dict_in(value)
        held = held_by(kind)
        for name in held if attributes else ():
            self._note(attributes, name, (attributes or {}).get(name, MISSING), owner)
        if attributes and "__wrapped__" in attributes:
            self._visit(attributes["__wrapped__"], owner)
        followed = is_followed(kind) and (is_users(kind) or (attributes is not None and not held))
        if followed or watched_names(value) or hasattr(kind, "_watched_always"):
            self._objects.append((value, owner))
        elif is_ours(kind.__module__):
            for name, item in list((attributes or {}).items()):
                if is_a(item, CALLABLE):
                    self._note(attributes, name, item, f"{owner}.{name}")

    def _read_getter(self, getter: Any, owner: str) -> None:
        """Attributes and methods that a getter of `operator` reads; its other arguments."""
        _, args = getter.__reduce__()[:2]
        for arg in args:
            if isinstance(arg, str):
                self._names.update(arg.split("."))
            self._visit(arg, owner)

    def _visit_tensor(self, tensor: Tensor, owner: str) -> None:
        self.tensors.append(tensor)
        self.names[id(tensor)] = owner
        for hook in _core.hooks_of(tensor):
            self._visit(hook, f"a hook of {owner}")
        if dict_in(tensor):
            self._objects.append((tensor, owner))

    def _visit_numpy(self, value: Any, owner: str) -> None:
        if is_array(value):
            self._visit_array(value, owner, self.facts)
        elif type(value).__name__ == "Generator":
            self.own.append(Contents(value, lambda rng: repr(rng.bit_generator.state), owner))

    def _visit_array(self, value: Any, owner: str, facts: list[AnyFact]) -> None:
        if value.nbytes > self._most_bytes:
            self.passes_over = True
        elif not value.dtype.hasobject:
            facts.append(
                Contents(value, lambda array: (array.shape, array.dtype.str, array.tobytes()), owner)
            )

    def _visit_items(self, items: Any, owner: str, visit: Any) -> None:
        if is_a(items, list):
            self._add(Size(items, owner))
        for i, item in enumerate(items):
            if is_a(items, list):
                self._add(Fact(items, i, item, f"{owner}[{i}]"))
            visit(item, f"{owner}[{i}]")

    def _visit_dict(self, holder: dict[Any, Any], owner: str, visit: Any) -> None:
        self._add(Size(holder, owner))
        for key, item in list(holder.items()):
            self._add(Fact(holder, key, item, f"{owner}[{key!r}]"))
            visit(item, f"{owner}[{key!r}]")

    def _note(self, holder: Any, key: Any, value: Any, owner: str) -> None:
        self._add(Fact(holder, key, value, owner))
        self._visit(value, owner)

    def _add(self, fact: AnyFact) -> None:
        """Adds a fact, unless there is one about that place."""
        place = id(self.facts), id(fact.holder), getattr(fact, "key", type(fact))
        if place not in self._added:
            self._added.add(place)
            self.facts.append(fact)

    # Code ---------------------------------------------------------------------------------------------------

    def _visit_function(self, function: types.FunctionType) -> None:
        if not of_users(function):
            return self._visit_closure(function)
        name = function.__qualname__
        scope = function.__globals__
        reads = reads_of(function.__code__)
        installed = "site-packages" in function.__code__.co_filename
        self._read(reads, scope, installed)
        if vars(function):
            self._objects.append((function, name))
        self.codes.update(codes(function.__code__), reads.texts)
        found = reads.globals
        if "globals" in found and not installed:
            found = found | {key for key in scope if not key.startswith("__")}
        for key in sorted(found):
            self._note(scope, key, scope.get(key, MISSING), key)
            if key not in scope:
                self._visit_builtin(key)
        for key, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            self._note(cell, None, inside(cell), key)
        self._add(Fact(function, "__code__", function.__code__, name))
        for attribute in ("__defaults__", "__kwdefaults__"):
            self._note(function, attribute, getattr(function, attribute), f"a default of {name}")
        return self._visit(getattr(function, "__wrapped__", None), name)

    def _visit_closure(self, function: types.FunctionType) -> None:
        """Of a function of ours or Python's own: the functions of users that it was made around."""
        rest = [inside(cell) for cell in function.__closure__ or ()]
        rest += [part for value in rest if type(value) in (list, tuple) for part in value]
        rest += [part for value in rest if type(value) is dict for part in value.values()]
        for value in [*rest, getattr(function, "__wrapped__", None)]:
            if is_a(value, CALLABLE) or is_users(type(value)):
                self._visit(value, function.__qualname__)

    def _visit_builtin(self, key: str) -> None:
        value = vars(builtins).get(key, MISSING)
        if getattr(type(value), "__module__", "") == "builtins" and not is_a(value, types.FunctionType):
            self._visit(value, key)
        else:  # somebody's own, or not there
            self._note(vars(builtins), key, value, key)

    def _read(self, reads: Reads, scope: dict[str, Any], installed: bool) -> None:
        self._globals |= reads.globals
        self._names |= reads.names
        self._stored |= reads.stored
        if not installed:  # libraries ask for so much that all would be watched
            self._asked |= reads.asked
            self._any_name |= reads.computes_names
        for item in reads.imports:
            name = item.name
            if item.level:
                try:
                    name = importlib.util.resolve_name(
                        "." * item.level + name, scope.get("__package__") or ""
                    )
                except ImportError:  # and so the function will say
                    continue
            if name not in sys.modules:
                self._missing_modules.add(name)
            for module in (name, name.partition(".")[0], *(f"{name}.{part}" for part in item.names)):
                self._visit(sys.modules.get(module, MISSING), module)
        if reads.names & {"import_module", "modules"} or "__import__" in reads.globals:
            for name in reads.strings & sys.modules.keys():
                self._visit(sys.modules[name], name)

    # Objects ------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Objects and modules by the attributes that code can read; functions there may read more."""
        done: set[tuple[int, str]] = set()
        before = -1
        while before != len(done):
            before = len(done)
            for module in list(self._modules):
                for name in self._names_in(module):
                    if (id(module), name) not in done:
                        done.add((id(module), name))
                        value = vars(module).get(name, MISSING)
                        self._note(vars(module), name, value, f"{module.__name__}.{name}")
            for value, owner in list(self._objects):
                if (id(value), "") not in done:
                    done.add((id(value), ""))
                    self._begin_object(value, owner)
                for name in self._attributes(value):
                    if (id(value), name) not in done:
                        done.add((id(value), name))
                        self._visit_attribute(value, name, f"{owner}.{name}")

    def _names_in(self, module: types.ModuleType) -> list[str]:
        if module.__name__ in READ:
            return sorted(self._names & READ[module.__name__].keys())
        there = self._names & vars(module).keys()
        if is_trusted(module.__name__):
            return sorted(there)
        return sorted(there | self._asked | ({"__getattr__"} & vars(module).keys()))

    def _begin_object(self, value: Any, owner: str) -> None:
        if is_a(value, type):
            if is_users(type(value)):
                self._visit_class(type(value), owner)
        elif type(value) not in PROXIES and not is_a(value, Tensor):
            self._add(Class(value, owner))
        if is_module(value):
            self._add(Size(vars(value), f"the attributes of {owner}"))

    def _visit_attribute(self, value: Any, name: str, owner: str) -> None:
        if is_a(value, threading.local):  # another dict on each thread
            return self._note(value, name, attribute_of(value, name), owner)
        own = None if is_a(value, type) else dict_in(value)
        may_come = name in self._stored or name in self._asked or (is_module(value) and name in ALWAYS)
        if own is not None:
            attribute = own.get(name, MISSING)
            if attribute is not MISSING or may_come:
                self._note(own, name, attribute, owner)
                if attribute is not MISSING:
                    return None
        classes = class_of(value).__mro__
        if is_a(value, type):
            classes = (*value.__mro__, *classes)
        every = "super" in self._globals or "__class__" in self._names
        found = False
        hidden: list[type] = []  # classes that could hide what comes after them
        for base in classes:
            if name not in vars(base):
                if is_users(base):
                    hidden.append(base)
                continue
            for other in hidden:
                self._add(Fact(dict_of(other), name, MISSING, f"{other.__name__}.{name}"))
            hidden.clear()
            attribute = vars(base)[name]
            if not is_users(base):
                if name == "forward" and is_module(value):
                    self._add(Fact(dict_of(base), name, attribute, owner))
                return None
            if is_a(attribute, types.MemberDescriptorType):  # a slot
                return self._note(value, name, attribute_of(value, name), owner)
            if own is not None and not found and not (name.startswith("__") and name.endswith("__")):
                self._add(Fact(own, name, MISSING, owner))
            found = True
            self._add(Fact(dict_of(base), name, attribute, owner))
            for part in parts_of(attribute):
                self._visit(part, owner)
            if not every:
                return None
        if not found and name in self._asked:
            for other in hidden:
                self._add(Fact(dict_of(other), name, MISSING, f"{other.__name__}.{name}"))
        return None

    def _attributes(self, value: Any) -> list[str]:
        kind = class_of(value)
        kept = dict_in(value) or {}
        if is_a(value, Tensor):
            return sorted(self._names & kept.keys())
        if always := getattr(kind, "_watched_always", None):
            return list(always)
        if own := watched_names(value):
            users = {n for base in kind.__mro__ if is_users(base) for n in vars(base)} - {
                "step"
            }  # which replays call
            users |= {n for n, item in kept.items() if type(item) in PLAIN} if users else set()
            return sorted({own[n] for n in self._names & own.keys()} | (self._names & users))
        if is_module(value):
            of_class = {name for name in self._names if hasattr(kind, name)}
            rules = running_by_rule(kind, made=True)
            return sorted({*kept, *self._stored, *ALWAYS, *of_class, *rules, "forward"} - {"_kinds"})
        if is_a(value, type):
            rules = running_by_rule(value, made=False)
            return sorted({*rules, *(n for n in self._names if hasattr(value, n) or n in self._asked)})
        names = {n for n in self._names if n in kept or hasattr(kind, n)} | self._stored | self._asked
        if self._any_name:
            names |= {name for name in kept if isinstance(name, str)}
            names |= {n for base in kind.__mro__ if is_users(base) for n in vars(base) if n[:2] != "__"}
        return sorted({*names, *running_by_rule(kind, made=True)})


def inside(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing yet
        return MISSING
