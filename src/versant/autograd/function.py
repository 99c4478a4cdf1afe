"""Ops with a value and a gradient of the user's own."""

from typing import Any

from versant import _core


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
    """

    setup_context: Any = None

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
