"""Compiled functions: eager code, run once for real, recorded, and replayed.

`compile(f)` gives a function that takes what f takes and returns what f returns. The first call runs f; what
the machine does meanwhile is recorded below the tape (core/machine/trace.h). Later calls check what was
assumed and do the same again, without Python and without the tape: whole training steps with `backward()`,
in-place updates, random numbers and the optimizer.
"""

from versant.compiler.errors import CompileError
from versant.compiler.function import Compiled, compile, compile_disabled
from versant.compiler.plan import Plan

__all__ = ["CompileError", "Compiled", "Plan", "compile", "compile_disabled"]
