"""Gradients: `backward` and `grad`, the modes that switch recording, custom functions, checks."""

from versant.autograd import functional
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
