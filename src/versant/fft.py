"""Discrete Fourier transforms: the functions of the op table that are placed in fft."""

from versant import ops

_functions = ops.namespace("fft")
globals().update(_functions)
__all__ = [*_functions]
