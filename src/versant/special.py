"""Special functions: those of the op table that are placed in special."""

from versant.ops import Namespace

_functions = Namespace("special", __name__)
__getattr__, __dir__ = _functions.get, _functions.dir
__all__ = [*_functions.names]
