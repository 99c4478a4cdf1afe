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
    "compile",
    "compile_disabled",
    "is_compiling",
    "load_program",
]
