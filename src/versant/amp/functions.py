"""Custom functions under autocast: decorators for their forward and backward."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from versant import _core
from versant._core import Tensor, dtype
from versant.amp.regions import autocast, check_device, is_autocast_enabled

if TYPE_CHECKING:
    from collections.abc import Callable


def custom_fwd(
    fwd: Callable[..., Any] | None = None, *, device_type: str, cast_inputs: dtype | None = None
) -> Callable[..., Any]:
    """Decorates the forward of an `autograd.Function` for autocast.

    cast_inputs: floating-point tensors among the arguments are cast to this dtype, and forward and backward
        run without autocast, where a region is on; left out, both run in the state of the forward.
    """
    check_device(device_type, "custom_fwd")
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def forward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        on = is_autocast_enabled(device_type)
        ctx._dtype = _core.get_autocast()[1]
        ctx._fwd_used_autocast = on and cast_inputs is None
        if cast_inputs is None or not on:
            return fwd(ctx, *args, **kwargs)
        with autocast(device_type, enabled=False):
            return fwd(ctx, *converted(args, cast_inputs), **converted(kwargs, cast_inputs))

    return forward


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str) -> Callable[..., Any]:
    """Decorates the backward of an `autograd.Function` whose forward has `custom_fwd`: it runs in the
    autocast state of the forward."""
    check_device(device_type, "custom_bwd")
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def backward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        with autocast(device_type, dtype=ctx._dtype, enabled=ctx._fwd_used_autocast):
            return bwd(ctx, *args, **kwargs)

    return backward


def converted(value: Any, to: dtype) -> Any:
    """The value with its floating-point tensors, but those of float64, in another dtype."""
    if isinstance(value, Tensor):
        return value.to(to) if value.is_floating_point() and value.dtype != _core.float64 else value
    if isinstance(value, dict):
        return {key: converted(item, to) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(converted(item, to) for item in value)
    return value
