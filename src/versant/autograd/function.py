"""Ops with a value and a gradient of the user's own."""

from __future__ import annotations

import functools

from versant import _core
from versant._core import Tensor
from versant.autograd.modes import no_grad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Function(_core.FunctionBase):
    """The base of an op whose forward and backward are written in Python.

    forward(ctx, *args) computes; backward(ctx, *grads) returns a gradient (or None) per argument of forward.
    Call it with `apply`. With a `setup_context(ctx, inputs, output)`, forward takes no ctx.

    >>> import versant as vs
    >>> class Square(vs.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x
    ...     @staticmethod
    ...     def backward(ctx, grad):
    ...         (x,) = ctx.saved_tensors
    ...         return 2 * x * grad
    >>> x = vs.tensor([3.0], requires_grad=True)
    >>> Square.apply(x).backward()
    >>> x.grad
    tensor([6.])

    Under `vs.func.vmap` and forward derivatives forward and backward are mapped and differentiated
    themselves. A class may state better rules: static methods `vmap(info, in_dims, *args)`, which returns
    (outputs, out_dims), and `jvp(ctx, *tangents)`, which returns the derivatives of the outputs.
    """

    setup_context: Any = None
    generate_vmap_rule = False
    vmap: Any = None
    jvp: Any = None

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Keeps tensors for `jvp`, where `saved_tensors` gives them."""
        self.for_forward = tensors

    @staticmethod
    def forward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        """The op's value. Nothing inside is recorded."""
        raise NotImplementedError("[Function] a custom function needs a static method forward")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradients of forward's arguments, given those of its outputs."""
        raise NotImplementedError(
            "[Function] a custom function needs a static method backward to be differentiated"
        )


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates the backward of a Function whose gradients have none themselves.

    Inside nothing is recorded; to differentiate the result raises RuntimeError.
    """

    @functools.wraps(backward)
    def once(ctx: Any, *grads: Any) -> Any:
        with no_grad():
            answer = backward(ctx, *grads)
        if not (_core.is_grad_enabled() and any(isinstance(g, Tensor) and g.requires_grad for g in grads)):
            return answer

        def stop(value: Any) -> Any:
            if not (isinstance(value, Tensor) and value.is_floating_point()):
                return value
            return _Stop.apply(type(ctx).__name__, value.detach().requires_grad_())

        return tuple(map(stop, answer)) if isinstance(answer, tuple) else stop(answer)

    return once


class _Stop(Function):
    """Passes a value on; its gradient raises."""

    @staticmethod
    def forward(ctx: Any, name: str, value: Tensor) -> Tensor:
        ctx.name = name
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise RuntimeError(f"[{ctx.name}] backward is once_differentiable: its result has no gradient")
