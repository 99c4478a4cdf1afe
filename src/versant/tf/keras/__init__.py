"""tf.keras: layers, models, optimizers, losses, metrics, in the form in which they are called in loops."""

from importlib import import_module
from typing import Any

_ROOMS = (
    "activations",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "regularizers",
    "utils",
)
_BORROWED = {"Model": "models", "Sequential": "models", "Layer": "layers"}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"versant.tf.keras.{name}")
    if name in _BORROWED:
        return getattr(import_module(f"versant.tf.keras.{_BORROWED[name]}"), name)
    raise AttributeError(f"module 'versant.tf.keras' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*_ROOMS, *_BORROWED])
