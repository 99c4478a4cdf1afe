"""Special functions: those of the op table that are placed in special."""

from versant import ops

_functions = ops.namespace("special")
globals().update(_functions)
__all__ = list(_functions)
