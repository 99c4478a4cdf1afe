"""What the allocator holds."""

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
