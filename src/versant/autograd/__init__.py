"""Gradients: `backward` and `grad`, the modes that switch recording, custom functions, checks."""

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


def __getattr__(name: str) -> "_Any":
    if name in ("functional", "graph"):
        from importlib import import_module

        return import_module(f"versant.autograd.{name}")
    raise AttributeError(f"module 'versant.autograd' has no attribute {name!r}")


__all__ = [
    "Function",
    "backward",
    "enable_grad",
    "functional",
    "grad",
    "inference_mode",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "no_grad",
    "set_grad_enabled",
]
