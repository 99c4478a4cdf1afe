"""Compiled functions: eager code, run once for real, recorded, and replayed.

`compile(f)` gives a function that takes what f takes and returns what f returns. The first call runs f; what
the machine does meanwhile is recorded below the tape (core/machine/trace.h). Later calls check what was
assumed and do the same again, without Python and without the tape: whole training steps with `backward()`,
in-place updates, random numbers and the optimizer.
"""

from versant._core import is_tracing as is_compiling
from versant.compiler.calls import compile_disabled
from versant.compiler.errors import CompileError
from versant.compiler.function import Compiled, compile
from versant.compiler.plan import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from versant.compiler.saved import Program, load_program


def is_exporting() -> bool:
    """False."""
    return False


is_dynamo_compiling = is_compiling


def reset() -> None:
    """Nothing: compiled functions keep their traces, and guard them."""


def cudagraph_mark_step_begin() -> None:
    """Nothing: there are no graphs of a device."""


def allow_in_graph(fn: object) -> object:
    """The function itself: whatever runs on tensors is recorded."""
    return fn


def disable(fn: object = None, recursive: bool = True, *, reason: str | None = None) -> object:
    """A decorator that changes nothing: compiled callers record the function as they do any other."""
    return fn if fn is not None else allow_in_graph


def __getattr__(name: str) -> object:
    # Who compiles need not save.
    if name in ("Program", "load_program"):
        from versant.compiler import saved

        return getattr(saved, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "CompileError",
    "Compiled",
    "Plan",
    "Program",
    "allow_in_graph",
    "compile",
    "compile_disabled",
    "cudagraph_mark_step_begin",
    "disable",
    "is_compiling",
    "is_dynamo_compiling",
    "is_exporting",
    "load_program",
    "reset",
]
