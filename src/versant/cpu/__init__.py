"""The CPU as PyTorch names a device: the only one, which works while it is called; mixed precision."""

from typing import Any

from versant.cpu import amp
from versant.cuda import stream

__all__ = [
    "amp",
    "current_device",
    "device_count",
    "is_available",
    "is_initialized",
    "set_device",
    "stream",
    "synchronize",
]

StreamContext = stream


def current_device() -> str:
    """ "cpu" """
    return "cpu"


def device_count() -> int:
    """1."""
    return 1


def is_available() -> bool:
    """True."""
    return True


is_initialized = is_available


def set_device(device: Any) -> None:
    """Nothing: there is one."""


def synchronize(device: Any = None) -> None:
    """Nothing: what was called is done."""
