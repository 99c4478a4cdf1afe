"""What programs ask about CUDA before they decide where to run: there is none.

Questions have an answer and preparations do nothing, as in a build of PyTorch without CUDA; what needs a
device raises RuntimeError.
"""

from typing import Any

from versant.cuda import amp


def is_available() -> bool:
    """False."""
    return False


def is_initialized() -> bool:
    """False."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """False."""
    return False


def device_count() -> int:
    """0."""
    return 0


def manual_seed(seed: int) -> None:
    """Nothing: there is no device to seed."""


def manual_seed_all(seed: int) -> None:
    """Nothing: there is no device to seed."""


def empty_cache() -> None:
    """Nothing: there is no cache."""


def memory_allocated(device: Any = None) -> int:
    """0."""
    return 0


def max_memory_allocated(device: Any = None) -> int:
    """0."""
    return 0


def memory_reserved(device: Any = None) -> int:
    """0."""
    return 0


def max_memory_reserved(device: Any = None) -> int:
    """0."""
    return 0


def reset_peak_memory_stats(device: Any = None) -> None:
    """Nothing: there is no memory of a device."""


def ipc_collect() -> None:
    """Nothing: there is no memory of a device."""


max_memory_cached, memory_cached = max_memory_reserved, memory_reserved
reset_max_memory_allocated = reset_max_memory_cached = reset_peak_memory_stats


def seed() -> None:
    """Nothing: there is no device to seed."""


seed_all = seed


def get_rng_state_all() -> list[Any]:
    """[]: the states of no devices."""
    return []


def set_rng_state_all(new_states: Any) -> None:
    """Nothing: there is no device."""


def get_arch_list() -> list[str]:
    """[]"""
    return []


def memory_stats(device: Any = None) -> dict[str, Any]:
    """{}"""
    return {}


def is_current_stream_capturing() -> bool:
    """False."""
    return False


is_tf32_supported = is_current_stream_capturing


class stream:
    """A region in which nothing is different: there is no stream, and no device, to choose."""

    def __init__(self, stream: Any = None) -> None:
        pass

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        pass


StreamContext = device = stream


class OutOfMemoryError(RuntimeError):
    """What a device without room raises; there is no device."""


_OF_A_DEVICE = """Event Stream current_device current_stream default_stream get_device_capability
get_device_name get_device_properties get_rng_state init
initial_seed mem_get_info memory_summary set_device set_rng_state set_stream synchronize utilization"""


def __getattr__(name: str) -> Any:
    if name in _OF_A_DEVICE.split():
        return _missing(name)
    raise AttributeError(f"module 'versant.cuda' has no attribute {name!r}")


def _missing(name: str) -> Any:
    def raises(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(f"[cuda.{name}] there is no CUDA device: ask cuda.is_available() first")

    return raises


__all__ = [
    "OutOfMemoryError",
    "amp",
    "device",
    "device_count",
    "empty_cache",
    "get_arch_list",
    "get_rng_state_all",
    "ipc_collect",
    "is_available",
    "is_bf16_supported",
    "is_current_stream_capturing",
    "is_initialized",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "max_memory_reserved",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "reset_peak_memory_stats",
    "seed",
    "seed_all",
    "set_rng_state_all",
    "stream",
]
