"""The dtypes by all their names, and what they can hold."""

import math
from dataclasses import dataclass
from typing import Any

from versant import _core

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
    "inf": math.inf,
    "nan": math.nan,
    "pi": math.pi,
    "e": math.e,
}


@dataclass(frozen=True)
class finfo:
    """Limits of a floating-point dtype: bits, eps, max, min, tiny, smallest_normal, resolution."""

    dtype: Any
    bits: int
    eps: float
    max: float
    min: float
    tiny: float
    resolution: float

    def __init__(self, dtype: Any = None) -> None:
        dtype = _core.get_default_dtype() if dtype is None else dtype
        # Bits of the exponent and of the fraction.
        formats = {"float16": (5, 10), "bfloat16": (8, 7), "float32": (8, 23), "float64": (11, 52)}
        if getattr(dtype, "name", None) not in formats:
            raise TypeError(f"[finfo] expected a floating-point dtype, got {dtype!r}; use iinfo")
        exponent, fraction = formats[dtype.name]
        top = 2 ** (exponent - 1) - 1
        largest = math.ldexp(2.0 - 2.0**-fraction, top)
        tiny = math.ldexp(1.0, 1 - top)
        digits = int(fraction * math.log10(2))
        for name, value in {
            "dtype": dtype.name, "bits": 1 + exponent + fraction, "eps": 2.0**-fraction, "max": largest,
            "min": -largest, "tiny": tiny, "resolution": 10.0**-digits,
        }.items():  # fmt: skip
            object.__setattr__(self, name, value)

    @property
    def smallest_normal(self) -> float:
        """The smallest positive number of full precision."""
        return self.tiny


@dataclass(frozen=True)
class iinfo:
    """Limits of an integer dtype: bits, max, min."""

    dtype: Any
    bits: int
    max: int
    min: int

    def __init__(self, dtype: Any) -> None:
        if not isinstance(dtype, _core.dtype) or dtype.is_floating_point or dtype is _core.bool:
            raise TypeError(f"[iinfo] expected an integer dtype, got {dtype!r}; use finfo")
        bits = 8 * dtype.itemsize
        low = -(2 ** (bits - 1)) if dtype.is_signed else 0
        object.__setattr__(self, "dtype", dtype.name)
        object.__setattr__(self, "bits", bits)
        object.__setattr__(self, "min", low)
        object.__setattr__(self, "max", low + 2**bits - 1)


NAMES.update({"finfo": finfo, "iinfo": iinfo})
