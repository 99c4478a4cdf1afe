"""Switches of PyTorch's for the whole process.

Results here are the same from run to run, products of float32 are sums of float32, and the CPU is the only
device: most switches have one position, and asking for another says so.
"""

from typing import Any

from versant import _core

_precision = "highest"
_deterministic = False


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Taken; all algorithms are deterministic (docs/numerics.md)."""
    global _deterministic
    _deterministic = bool(mode)


def are_deterministic_algorithms_enabled() -> bool:
    """What use_deterministic_algorithms was told."""
    return _deterministic


def set_float32_matmul_precision(precision: str) -> None:
    """Leave to shorten float32 in products: "highest", "high" or "medium". It is not made use of."""
    global _precision
    if precision not in ("highest", "high", "medium"):
        raise ValueError(
            f"[set_float32_matmul_precision] expected highest, high or medium, got {precision!r}"
        )
    _precision = precision


def get_float32_matmul_precision() -> str:
    """What set_float32_matmul_precision was told; "highest" before."""
    return _precision


def set_default_device(device: Any) -> None:
    """Takes the CPU alone."""
    if device is not None:
        _core.device(device)


def get_default_device() -> Any:
    """The CPU."""
    return _core.device("cpu")


def set_default_tensor_type(t: Any) -> None:
    """set_default_dtype by the name or the class of a tensor: "torch.DoubleTensor"."""
    from versant.tensors.kinds import dtype_of

    dtype = dtype_of(t)
    if not dtype.is_floating_point:
        raise TypeError(f"[set_default_tensor_type] expected a floating-point type, got {t}")
    _core.set_default_dtype(dtype)


def set_flush_denormal(mode: bool) -> bool:
    """False: subnormal numbers stay what they are."""
    return False


def typename(obj: Any) -> str:
    """The name of an object's class, with its module; of tensors that of their kind, as `type()` says it."""
    if isinstance(obj, _core.Tensor):
        return str(obj.type())
    kind = type(obj)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
