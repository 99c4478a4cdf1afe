"""Checks of constructor arguments that several layers share. Each returns the value it accepted."""

from typing import Any

from versant import DTypeError, Tensor


class SettingError(ValueError, RuntimeError):
    """A setting out of its range: a ValueError, and a RuntimeError as calls of PyTorch's layers raise."""


def positive(layer: str, name: str, value: Any, *, least: int = 1) -> int:
    """An int of at least `least`."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"[{layer}] {name} must be an int, got {type(value).__name__}")
    number = int(value.__index__())
    if number < least:
        raise SettingError(f"[{layer}] {name} must be at least {least}, got {number}")
    return number


def pair(layer: str, name: str, value: Any, *, least: int = 1) -> tuple[int, int]:
    """An int for both axes, or one for each: (height, width)."""
    values = value if isinstance(value, tuple | list) else (value, value)
    if len(values) != 2:
        raise SettingError(f"[{layer}] {name} must be an int or a pair (height, width), got {value!r}")
    return positive(layer, name, values[0], least=least), positive(layer, name, values[1], least=least)


def numbers(layer: str, name: str, value: Any, axes: int, *, least: int = 1) -> tuple[int, ...]:
    """An int for every axis, or one for each."""
    values = tuple(value) if isinstance(value, tuple | list) else (value,) * axes
    if len(values) == 1:
        values *= axes
    if len(values) != axes:
        raise SettingError(f"[{layer}] {name} must be an int or {axes} of them, got {value!r}")
    return tuple(positive(layer, name, number, least=least) for number in values)


def one_of(layer: str, name: str, value: Any, allowed: tuple[str, ...]) -> str:
    """One of the allowed words."""
    if value not in allowed:
        raise SettingError(f"[{layer}] {name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
    return str(value)


def probability(layer: str, value: Any) -> float:
    """A number in [0, 1]."""
    if not 0.0 <= value <= 1.0:
        raise SettingError(f"[{layer}] p must be in [0, 1], got {value}")
    return float(value)


def expect_dtype(layer: str, x: Tensor, weight: Tensor) -> None:
    """Say in the layer's own terms that the dtypes of x and of its weight differ, if they do."""
    if x.dtype is not weight.dtype:
        raise DTypeError(
            f"[{layer}] the weights are {weight.dtype}, got input of {x.dtype}; "
            f"convert it: x.to({weight.dtype})"
        ) from None
