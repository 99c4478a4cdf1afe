"""Data types: kinds, casts, limits, and the dtype in which arguments meet."""

from __future__ import annotations

import dataclasses
from typing import Any

import versant as vs
from versant import Tensor, dtype

Scalar = bool | int | float | complex

_SIGNED = (vs.int8, vs.int16, vs.int32, vs.int64)
_UNSIGNED = (vs.uint8,)
_FLOATS = (vs.float16, vs.bfloat16, vs.float32, vs.float64)
_COMPLEX = (vs.complex64, vs.complex128)
KINDS: dict[str, tuple[dtype, ...]] = {
    "bool": (vs.bool,),
    "signed integer": _SIGNED,
    "unsigned integer": _UNSIGNED,
    "integral": _SIGNED + _UNSIGNED,
    "real floating": _FLOATS,
    "complex floating": _COMPLEX,
    "numeric": _SIGNED + _UNSIGNED + _FLOATS + _COMPLEX,
}


def check_device(device: Any) -> None:
    """Raises unless the device is one that tensors can live on."""
    if device is not None:
        vs.device(device)


def astype(x: Tensor, dtype: dtype, /, *, copy: bool = True, device: Any = None) -> Tensor:
    """x in another dtype; a copy also where the dtype is the same, unless copy=False.

    Raises TypeError from complex to real: take `real` or `abs` first.
    """
    check_device(device)
    if not isinstance(x, Tensor):
        raise TypeError(f"[astype] expected a tensor, got {type(x).__name__}")
    if x.dtype.is_complex and not dtype.is_complex and dtype is not vs.bool:
        raise TypeError(
            f"[astype] expected a complex dtype for {x.dtype}, got {dtype}; take xp.real(x) first"
        )
    return x.to(dtype, copy=copy)


def broadcast_arrays(*arrays: Tensor) -> list[Tensor]:
    """Views of the arrays in their common shape."""
    return list(vs.broadcast_tensors(*arrays))


def can_cast(from_: dtype | Tensor, to: dtype, /) -> bool:
    """Whether promotion with `to` gives `to`."""
    source = from_.dtype if isinstance(from_, Tensor) else from_
    return vs.promote_types(source, to) is to


def isdtype(dtype: dtype, kind: dtype | str | tuple[dtype | str, ...]) -> bool:
    """Whether the dtype is the one named, or is of that kind: "bool", "signed integer", "unsigned integer",
    "integral", "real floating", "complex floating", "numeric"; or of one of several."""
    if isinstance(kind, tuple):
        return any(isdtype(dtype, each) for each in kind)
    if isinstance(kind, str):
        if kind not in KINDS:
            raise ValueError(f"[isdtype] expected a kind of {sorted(KINDS)}, got {kind!r}")
        return dtype in KINDS[kind]
    return dtype is kind


@dataclasses.dataclass(frozen=True)
class FloatLimits:
    """What a floating-point dtype holds; of a complex one, its parts."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: dtype


@dataclasses.dataclass(frozen=True)
class IntegerLimits:
    """What an integer dtype holds."""

    bits: int
    max: int
    min: int
    dtype: dtype


def finfo(type: dtype | Tensor, /) -> FloatLimits:
    """The limits of a floating-point or complex dtype, or of a tensor's."""
    of = type.dtype if isinstance(type, Tensor) else type
    limits = vs.finfo(of)
    return FloatLimits(
        limits.bits,
        limits.eps,
        limits.max,
        limits.min,
        limits.smallest_normal,
        of.to_real() if of.is_complex else of,
    )


def iinfo(type: dtype | Tensor, /) -> IntegerLimits:
    """The limits of an integer dtype, or of a tensor's."""
    of = type.dtype if isinstance(type, Tensor) else type
    limits = vs.iinfo(of)
    return IntegerLimits(limits.bits, limits.max, limits.min, of)


def _rank(of: dtype) -> int:
    return 3 if of.is_complex else 2 if of.is_floating_point else 0 if of is vs.bool else 1


_SCALARS = {bool: 0, int: 1, float: 2, complex: 3}


def _with_scalar(array_dtype: dtype, scalar: Any) -> dtype:
    """The dtype of an array beside a Python scalar: the array's, where its kind can hold it."""
    kind = next((rank for of, rank in _SCALARS.items() if isinstance(scalar, of)), None)
    if kind is None:
        raise TypeError(f"[result_type] expected arrays, dtypes and numbers, got {type(scalar).__name__}")
    if kind <= _rank(array_dtype):
        return array_dtype
    result: dtype
    if kind == 3:
        result = vs.complex128 if array_dtype is vs.float64 else vs.complex64
    else:
        result = vs.get_default_dtype() if kind == 2 else vs.int64
    return result


def result_type(*arrays_and_dtypes: Tensor | dtype | Scalar) -> dtype:
    """The dtype in which arrays, dtypes and Python scalars meet; arrays without axes count as others do."""
    dtypes = [
        a.dtype if isinstance(a, Tensor) else a for a in arrays_and_dtypes if isinstance(a, (Tensor, dtype))
    ]
    if not dtypes:
        raise ValueError("[result_type] expected at least one array or dtype")
    result: dtype = dtypes[0]
    for other in dtypes[1:]:
        result = vs.promote_types(result, other)
    for scalar in arrays_and_dtypes:
        if not isinstance(scalar, (Tensor, dtype)):
            result = _with_scalar(result, scalar)
    return result


def together(who: str, *values: Tensor | Scalar) -> list[Tensor]:
    """The arguments as tensors of one dtype: that of `result_type`."""
    if not any(isinstance(v, Tensor) for v in values):
        got = ", ".join(type(v).__name__ for v in values) or "none"
        raise TypeError(f"[{who}] expected at least one array, got {got}")
    common = result_type(*values)
    return [v.cast(common) if isinstance(v, Tensor) else vs.full((), v, dtype=common) for v in values]


def axes_of(axis: int | tuple[int, ...] | None, rank: int) -> tuple[int, ...]:
    """The axes that an argument names, as a tuple; None names all of them."""
    return tuple(range(rank)) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
