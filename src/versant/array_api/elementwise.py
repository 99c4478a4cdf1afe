"""Functions of one element, or of pairs of elements: the ops of the table under the standard's names.

Python scalars beside arrays are 0-d arrays of their dtype; arrays without axes promote as all others do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import versant as vs
from versant import Tensor
from versant.array_api.data_types import KINDS, Scalar, together

_F = TypeVar("_F", bound="Callable[..., Tensor]")
_Unary = Callable[[Tensor], Tensor]
_Binary = Callable[[Tensor | Scalar, Tensor | Scalar], Tensor]


def _unary(op: str, name: str | None = None) -> _Unary:
    body: _Unary = getattr(vs, op)

    def function(x: Tensor, /) -> Tensor:
        return body(x)

    return _named(function, name or op, body)


def _kept(op: str) -> _Unary:
    """A function that leaves whole numbers as they are."""
    body: _Unary = getattr(vs, op)

    def function(x: Tensor, /) -> Tensor:
        return body(x) if x.dtype.is_floating_point or x.dtype.is_complex else x.clone()

    return _named(function, op, body)


def _binary(op: str, name: str | None = None) -> _Binary:
    body: Callable[[Tensor, Tensor], Tensor] = getattr(vs, op)
    shown = name or op

    def function(x1: Tensor | Scalar, x2: Tensor | Scalar, /) -> Tensor:
        return body(*together(shown, x1, x2))

    return _named(function, shown, body)


def _named(function: _F, name: str, body: object) -> _F:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = body.__doc__
    return function


abs = _unary("abs")
acos = _unary("acos")
acosh = _unary("acosh")
asin = _unary("asin")
asinh = _unary("asinh")
atan = _unary("atan")
atanh = _unary("atanh")
bitwise_invert = _unary("bitwise_not", "bitwise_invert")
ceil = _kept("ceil")
cos = _unary("cos")
cosh = _unary("cosh")
exp = _unary("exp")
expm1 = _unary("expm1")
floor = _kept("floor")
isfinite = _unary("isfinite")
isinf = _unary("isinf")
isnan = _unary("isnan")
log = _unary("log")
log10 = _unary("log10")
log1p = _unary("log1p")
log2 = _unary("log2")
logical_not = _unary("logical_not")
negative = _unary("negative")
reciprocal = _unary("reciprocal")
sign = _unary("sgn", "sign")
signbit = _unary("signbit")
sin = _unary("sin")
sinh = _unary("sinh")
sqrt = _unary("sqrt")
square = _unary("square")
tan = _unary("tan")
tanh = _unary("tanh")
trunc = _kept("trunc")

add = _binary("add")
atan2 = _binary("atan2")
bitwise_and = _binary("bitwise_and")
bitwise_left_shift = _binary("bitwise_left_shift")
bitwise_or = _binary("bitwise_or")
bitwise_right_shift = _binary("bitwise_right_shift")
bitwise_xor = _binary("bitwise_xor")
copysign = _binary("copysign")
divide = _binary("divide")
equal = _binary("eq", "equal")
floor_divide = _binary("floor_divide")
greater = _binary("greater")
greater_equal = _binary("greater_equal")
hypot = _binary("hypot")
less = _binary("less")
less_equal = _binary("less_equal")
logaddexp = _binary("logaddexp")
logical_and = _binary("logical_and")
logical_or = _binary("logical_or")
logical_xor = _binary("logical_xor")
maximum = _binary("maximum")
minimum = _binary("minimum")
multiply = _binary("multiply")
nextafter = _binary("nextafter")
not_equal = _binary("not_equal")
pow = _binary("pow")
remainder = _binary("remainder")
subtract = _binary("subtract")


def positive(x: Tensor, /) -> Tensor:
    """The elements as they are, in a new array."""
    return x.clone()


def round(x: Tensor, /) -> Tensor:
    """The nearest whole numbers, of two the even one; of complex numbers both parts."""
    if x.dtype.is_complex:
        return vs.complex(vs.round(vs.real(x)), vs.round(vs.imag(x)))
    return vs.round(x) if x.dtype.is_floating_point else x.clone()


def conj(x: Tensor, /) -> Tensor:
    """The complex conjugate; of real numbers, the numbers."""
    return vs.conj(x).resolve_conj() if x.dtype.is_complex else x.clone()


def real(x: Tensor, /) -> Tensor:
    """The real part, in a new array."""
    return vs.real(x).clone()


def imag(x: Tensor, /) -> Tensor:
    """The imaginary part, in a new array; of real numbers, zeros."""
    return vs.imag(x).clone() if x.dtype.is_complex else vs.zeros_like(x)


def clip(x: Tensor, /, min: Tensor | Scalar | None = None, max: Tensor | Scalar | None = None) -> Tensor:
    """x, but at least min and at most max, in x's dtype; NaN where one of them is."""
    if x.dtype in KINDS["complex floating"]:
        raise TypeError(f"[clip] expected real numbers, got {x.dtype}")
    result = x.clone() if min is None and max is None else x
    if min is not None:
        result = vs.maximum(*together("clip", result, min))
    if max is not None:
        result = vs.minimum(*together("clip", result, max))
    return result.cast(x.dtype)
