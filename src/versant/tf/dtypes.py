"""Dtypes by TensorFlow's names. They are Versant's own dtypes, which here get TensorFlow's attributes."""

from typing import Any

import versant
from versant import _core
from versant._core import dtype as DType

__all__ = [
    "DType",
    "as_dtype",
    "bfloat16",
    "bool",
    "complex64",
    "complex128",
    "double",
    "float16",
    "float32",
    "float64",
    "half",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
]

bool = _core.bool
uint8, int8, int16, int32, int64 = _core.uint8, _core.int8, _core.int16, _core.int32, _core.int64
bfloat16, float16, float32, float64 = _core.bfloat16, _core.float16, _core.float32, _core.float64
complex64, complex128 = _core.complex64, _core.complex128
half, double = float16, float64

NAMES: dict[str, DType] = {name: value for name, value in globals().items() if isinstance(value, DType)} | {
    "float": float32
}
INTEGERS = (uint8, int8, int16, int32, int64)
FLOATS = (bfloat16, float16, float32, float64)


def as_dtype(type_value: Any) -> DType:
    """The dtype that a name, a numpy dtype or a Python type stands for.  Raises TypeError for others."""
    if isinstance(type_value, DType):
        return type_value
    if type_value is float:
        return float32
    if type_value is int:
        return int32
    if type_value is complex:
        return complex128
    if isinstance(type_value, str) and type_value in NAMES:
        return NAMES[type_value]
    if isinstance(type_value, type) and type_value.__name__ == "bool":
        return bool
    name = getattr(type_value, "name", None) or getattr(type_value, "__name__", None)
    if name in NAMES:
        return NAMES[name]
    raise TypeError(f"[as_dtype] cannot convert {type_value!r} to a dtype")


def _as_numpy_dtype(self: DType) -> Any:
    import numpy

    if self is bfloat16:
        raise TypeError("[as_numpy_dtype] numpy has no bfloat16")
    return getattr(numpy, "bool_" if self is bool else self.name)


def _limit(self: DType, which: str) -> Any:
    if self is bool:
        return which == "max"
    info = versant.finfo(self) if self.is_floating_point else versant.iinfo(self)
    return getattr(info, which)


def _is_compatible_with(self: DType, other: Any) -> Any:
    return self is as_dtype(other)


def install() -> None:
    """Give the dtypes TensorFlow's attributes."""
    for name, get in {
        "as_numpy_dtype": _as_numpy_dtype,
        "base_dtype": lambda self: self,
        "real_dtype": lambda self: self.to_real() if self.is_complex else self,
        "is_bool": lambda self: self is bool,
        "is_floating": lambda self: self.is_floating_point,
        "is_integer": lambda self: self in INTEGERS,
        "is_unsigned": lambda self: self is uint8,
        "size": lambda self: self.itemsize,
        "min": lambda self: _limit(self, "min"),
        "max": lambda self: _limit(self, "max"),
    }.items():
        setattr(DType, name, property(get))
    setattr(DType, "is_compatible_with", _is_compatible_with)  # noqa: B010  (a method, to type checkers)
