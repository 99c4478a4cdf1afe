"""Looking into a program, eager or compiled: where a NaN came from, what the values were, why a gradient is
missing, how a compiled function gets from line to line.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HOMES = {
    "callback": "values",
    "print": "values",
    "NonFiniteError": "guard",
    "nan_guard": "guard",
    "Reasons": "gradients",
    "why": "gradients",
    "graph": "tape",
    "record": "recorder",
    "Recording": "recording",
    "RecordingError": "recording",
    "diff": "differences",
    "step": "stepping",
}


def __getattr__(name: str) -> "Any":
    if name not in _HOMES:
        raise AttributeError(f"module 'versant.debug' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"versant.debug.{_HOMES[name]}"), name)


def __dir__() -> "list[str]":
    return sorted(_HOMES)


__all__ = list(_HOMES)
