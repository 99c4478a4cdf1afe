"""Linear algebra: the functions of the op table that are placed in linalg."""

from versant import ops
from versant.ops.host import LinAlgError

_functions = ops.namespace("linalg")
globals().update(_functions)
__all__ = ["LinAlgError", *_functions]
