"""What ran while a function was traced and was not watched, by whatever hidden way it was reached.

Most of what a function reaches stands in its code (watch.py). What does not, as a name that is put together,
an object behind a registry in C or a rule that somebody else calls, shows when it runs: the functions of
users that were called are noted, and the objects in their variables (core/python/ran.cc). If some of them are
unknown, nothing comes of the trace; they are watched from then on, and the next call is traced.
"""

from __future__ import annotations

import gc
import sys
import types
import weakref
from typing import Any

from versant import _core
from versant.compiler.errors import differs_each_time
from versant.compiler.objects import is_followed, is_trusted
from versant.compiler.watch import READERS, Watch

MOST_ROUNDS = 8  # in which something new was found

Reached = list[tuple[Any, str]]  # something, and how it is called


class Ran:
    """Begins to note what runs. Garbage stays until the end: new objects are told by their age."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._collects = gc.isenabled()
        seed = getattr(getattr(sys.modules.get("random"), "Random", None), "seed", None)
        _core.ran_begin(watch.codes, is_followed, is_trusted, readers(), seed.__code__ if seed else None)
        gc.collect(0)
        gc.disable()

    def stop(self) -> None:
        _core.ran_end()
        if self._collects:
            gc.enable()

    def end(self) -> Reached:
        """What was reached and is not watched; CompileError for what no replay could repeat."""
        functions, closures, objects, asked = _core.ran_end()
        for reader in asked:
            raise differs_each_time(reader)
        found: Reached = [(function, function.__qualname__) for function in functions]
        held = [there for there in map(target, (*closures, *objects)) if there is not None]
        held = [there for there in held if not self._watch.holds(there)]
        if held:
            new = {id(young) for young in gc.get_objects(generation=0)}
            found += [(there, described(there)) for there in held if id(there) not in new]
        return found


def readers() -> dict[Any, str]:
    """How functions of READERS that are written in C are called, as far as their modules are imported."""
    found = {}
    for module, names in READERS.items():
        for name in names:
            function = getattr(sys.modules.get(module), name, None)
            if isinstance(function, types.BuiltinFunctionType):
                found[function] = f"{module}.{name}"
    return found


def target(reference: Any) -> Any:
    return reference() if type(reference) is weakref.ref else reference


def described(value: Any) -> str:
    if isinstance(value, types.FunctionType):
        return value.__qualname__
    return f"an object of {type(value).__name__}"
