"""Functions that run as they are written, because an optimizer in them calls a closure as values tell.

Such a function cannot be recorded as a whole. What it spends its time on is the closure: that is compiled
instead, by its code, with what its cells hold as arguments.
"""

from __future__ import annotations

import dis
import threading
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from versant import _core

STORES = {"STORE_DEREF", "DELETE_DEREF"}
MOST_TRACES = 8  # of a closure that is hardly ever replayed

_state = threading.local()


def leave(reason: str) -> None:
    """Ends the recording of the function that is being traced, which runs on as it is written."""
    _core.trace_pause(True)
    _state.reason = reason


def left() -> str:
    """Why the function that was traced last was left, if it was."""
    reason: str = getattr(_state, "reason", "")
    _state.reason = ""
    return reason


@contextmanager
def as_written(closures: dict[Any, Any]) -> Iterator[None]:
    """Closures of optimizers are compiled meanwhile; `closures` keeps them."""
    before = getattr(_state, "closures", None)
    _state.closures = closures
    try:
        yield
    finally:
        _state.closures = before


def compiled(closure: Callable[[], Any]) -> Callable[[], Any]:
    """The closure, compiled where the function around it runs as it is written, and where it can be."""
    closures = getattr(_state, "closures", None)
    if closures is None or not isinstance(closure, types.FunctionType) or closure.__kwdefaults__:
        return closure
    code = closure.__code__
    if any(instruction.opname in STORES for instruction in dis.get_instructions(code)):
        return closure  # what it sets is seen outside
    try:
        values = tuple(cell.cell_contents for cell in closure.__closure__ or ())
    except ValueError:  # a cell that is still empty
        return closure
    if code not in closures:
        from versant.compiler.function import Compiled

        empty = tuple(types.CellType(None) for _ in values)
        template = types.FunctionType(code, closure.__globals__, closure.__name__, None, empty)
        function = Compiled(
            call_like, guards="full", recompiles="log", dynamic=None, name=closure.__qualname__
        )
        closures[code] = template, function
    template, function = closures[code]
    seen = function.stats()
    if seen["traces"] > MOST_TRACES and seen["traces"] > seen["replays"]:
        return closure  # it reaches something else in every call
    return lambda: function(template, values, closure.__defaults__ or ())


def call_like(template: types.FunctionType, values: tuple[Any, ...], defaults: tuple[Any, ...]) -> Any:
    """Calls a function of the template's code with values in its cells."""
    cells = tuple(types.CellType(value) for value in values)
    return types.FunctionType(template.__code__, template.__globals__, template.__name__, defaults, cells)()
