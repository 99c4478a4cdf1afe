"""What the allocator holds; also under the names of torch.cuda.memory, whose `device` says nothing here."""

from typing import Any

from versant import _core


def stats() -> dict[str, int]:
    """Counters of bytes: live_bytes, peak_bytes, cached_bytes (kept for reuse), system_bytes (taken from the
    operating system), object_bytes (tensors and tape nodes); and numbers of: system_calls, allocations."""
    return _core.memory_stats()


def reset_peak() -> None:
    """Starts peak_bytes anew from what is held now."""
    _core.reset_peak_memory()


def release_cached() -> None:
    """Gives cached blocks back to the operating system."""
    _core.release_cached_memory()


def summary() -> str:
    """The counters as a short text."""
    s = stats()
    rows = [
        f"{name.replace('_', ' '):16} {value / 2**20:12.2f} MiB"
        for name, value in s.items()
        if name.endswith("_bytes")
    ]
    return "\n".join(
        [*rows, f"{'system calls':16} {s['system_calls']:12d}", f"{'allocations':16} {s['allocations']:12d}"]
    )


def memory_allocated(device: Any = None) -> int:
    """Bytes that tensors hold."""
    return stats()["live_bytes"]


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes that tensors held at once since the start or reset_peak_memory_stats()."""
    return stats()["peak_bytes"]


def memory_reserved(device: Any = None) -> int:
    """Bytes taken from the operating system, whether tensors hold them or not."""
    return stats()["system_bytes"]


def reset_peak_memory_stats(device: Any = None) -> None:
    """Starts max_memory_allocated anew from what is held now."""
    reset_peak()


def empty_cache() -> None:
    """Gives cached blocks back to the operating system."""
    release_cached()


memory_stats, memory_summary = stats, summary
