"""The functions behind the layers: those of the op table that are placed in nn.functional."""

from versant import ops

_functions = ops.namespace("nn.functional")
globals().update(_functions)
__all__ = list(_functions)
