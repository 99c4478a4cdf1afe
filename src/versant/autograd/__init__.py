"""Gradients: `backward` and `grad`, the modes that switch recording, custom functions, hooks, checks."""

from versant import addresses
from versant.autograd.function import Function
from versant.autograd.gradients import backward, grad
from versant.autograd.modes import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any as _Any
del TYPE_CHECKING


_BORROWED = {
    "detect_anomaly": "anomaly",
    "is_anomaly_enabled": "anomaly",
    "set_detect_anomaly": "anomaly",
    "Variable": "variable",
    "gradcheck": "checks",
    "gradgradcheck": "checks",
}


def __getattr__(name: str) -> "_Any":
    from importlib import import_module

    if name in ("functional", "graph"):
        return import_module(f"versant.autograd.{name}")
    if name in _BORROWED:
        return getattr(import_module(f"versant.autograd.{_BORROWED[name]}"), name)
    raise AttributeError(f"module 'versant.autograd' has no attribute {name!r}")


__all__ = [
    "Function",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "functional",
    "grad",
    "inference_mode",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
]

addresses.place(__name__, "versant.profiler", "profiler")
addresses.place(__name__, __name__, "grad_mode")
