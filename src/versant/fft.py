"""Discrete Fourier transforms: the functions of the op table that are placed in fft."""

from versant.ops import Namespace

_functions = Namespace("fft", __name__)
__getattr__, __dir__ = _functions.get, _functions.dir
__all__ = [*_functions.names]
