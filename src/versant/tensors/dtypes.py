"""The dtypes by all their names, and what they can hold."""

from __future__ import annotations

import math

from versant import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAMES: dict[str, Any] = {
    "bool": _core.bool,
    "uint8": _core.uint8,
    "int8": _core.int8,
    "int16": _core.int16,
    "short": _core.int16,
    "int32": _core.int32,
    "int": _core.int32,
    "int64": _core.int64,
    "long": _core.int64,
    "float16": _core.float16,
    "half": _core.float16,
    "bfloat16": _core.bfloat16,
    "float32": _core.float32,
    "float": _core.float32,
    "float64": _core.float64,
    "double": _core.float64,
    "complex64": _core.complex64,
    "cfloat": _core.complex64,
    "complex128": _core.complex128,
    "cdouble": _core.complex128,
    "inf": math.inf,
    "nan": math.nan,
    "pi": math.pi,
    "e": math.e,
}


class _Limits:
    """Read-only named values."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is read-only")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(tuple(self.__dict__.items()))

    def __repr__(self) -> str:
        shown = (f"{name}={self._text(getattr(self, name))}" for name in self._shown)
        return f"{type(self).__name__}({', '.join(shown)})"

    _shown: tuple[str, ...] = ()

    @staticmethod
    def _text(value: Any) -> str:
        return f"{value:.6g}" if isinstance(value, float) else str(value)


class finfo(_Limits):
    """Limits of a floating-point dtype: bits, eps, max, min, tiny, smallest_normal, resolution."""

    dtype: str
    bits: int
    eps: float
    max: float
    min: float
    tiny: float
    smallest_normal: float
    resolution: float
    _shown = ("resolution", "min", "max", "eps", "smallest_normal", "tiny", "dtype")

    def __init__(self, dtype: Any = None) -> None:
        dtype = _core.get_default_dtype() if dtype is None else dtype
        # Bits of the exponent and of the fraction.
        dtype = dtype.to_real() if getattr(dtype, "is_complex", False) else dtype
        formats = {"float16": (5, 10), "bfloat16": (8, 7), "float32": (8, 23), "float64": (11, 52)}
        if getattr(dtype, "name", None) not in formats:
            raise TypeError(f"[finfo] expected a floating-point dtype, got {dtype!r}; use iinfo")
        exponent, fraction = formats[dtype.name]
        top = 2 ** (exponent - 1) - 1
        largest = math.ldexp(2.0 - 2.0**-fraction, top)
        tiny = math.ldexp(1.0, 1 - top)
        super().__init__(
            dtype=dtype.name,
            bits=1 + exponent + fraction,
            eps=2.0**-fraction,
            max=largest,
            min=-largest,
            tiny=tiny,
            smallest_normal=tiny,
            resolution=10.0 ** -int(fraction * math.log10(2)),
        )


class iinfo(_Limits):
    """Limits of an integer dtype: bits, max, min."""

    dtype: str
    bits: int
    max: int
    min: int
    _shown = ("min", "max", "dtype")

    def __init__(self, dtype: Any) -> None:
        if not isinstance(dtype, _core.dtype) or dtype.to_real().is_floating_point or dtype is _core.bool:
            raise TypeError(f"[iinfo] expected an integer dtype, got {dtype!r}; use finfo")
        bits = 8 * dtype.itemsize
        low = -(2 ** (bits - 1)) if dtype.is_signed else 0
        super().__init__(dtype=dtype.name, bits=bits, max=low + 2**bits - 1, min=low)


def can_cast(from_: Any, to: Any) -> bool:
    """Whether numbers keep their kind or gain a wider one: bool, integers, floating point, complex."""

    def kind(dtype: Any) -> int:
        return 3 if dtype.is_complex else 2 if dtype.is_floating_point else 0 if dtype is _core.bool else 1

    return kind(from_) <= kind(to)


NAMES.update({"finfo": finfo, "iinfo": iinfo, "can_cast": can_cast})
