"""The functions behind the layers: those of the op table that are placed in nn.functional."""

from versant.ops import Namespace

_functions = Namespace("nn.functional", __name__)
__getattr__, __dir__ = _functions.get, _functions.dir
__all__ = [*_functions.names]
