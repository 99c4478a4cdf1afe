"""Linear algebra: the functions of the op table that are placed in linalg."""

from versant.ops import Namespace

_functions = Namespace("linalg", __name__)
__getattr__, __dir__ = _functions.get, _functions.dir
__all__ = ["LinAlgError", *_functions.names]


class LinAlgError(RuntimeError):
    """A matrix that has no such factorization or inverse, or for which the search for it found no end."""
