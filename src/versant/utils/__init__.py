"""Helpers around training: activation checkpoints, data, measurements, event files."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def __getattr__(name: str) -> "Any":
    from importlib import import_module

    if name in ("_pytree", "benchmark", "checkpoint", "data", "dlpack", "tensorboard"):
        return import_module(f"versant.utils.{name}")
    raise AttributeError(f"module 'versant.utils' has no attribute {name!r}")
