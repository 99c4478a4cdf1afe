"""What programs ask about accelerators of whatever maker: there is none."""

from typing import Any

from versant.cuda import device_count, empty_cache, is_available

__all__ = ["current_accelerator", "device_count", "empty_cache", "is_available"]


def current_accelerator(check_available: bool = False) -> None:
    """None: `current_accelerator() or device("cpu")` is the CPU."""


def __getattr__(name: str) -> Any:
    if name not in (
        "current_device_index",
        "current_stream",
        "set_device_index",
        "set_stream",
        "synchronize",
    ):
        raise AttributeError(f"module 'versant.accelerator' has no attribute {name!r}")

    def raises(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            f"[accelerator.{name}] there is no accelerator: ask accelerator.is_available() first"
        )

    return raises
