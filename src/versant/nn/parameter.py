"""Parameter: a tensor that a Module owns and an optimizer changes."""

from typing import Any, Self

import versant
from versant import Tensor

__all__ = ["Buffer", "Parameter", "UninitializedParameter"]


class Parameter(Tensor):
    """A tensor that becomes a parameter of the Module it is assigned to.

    data: any tensor; its storage is shared, its history is not. Left out, the parameter is empty.
    requires_grad: whether backward() fills `grad`.
    """

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Self:
        if data is None:
            data = versant.empty(0)
        if not isinstance(data, Tensor):
            raise TypeError(
                f"[Parameter] data must be a Tensor, got {type(data).__name__}: versant.tensor(data)"
            )
        parameter: Self = Tensor._make_subclass(cls, data, requires_grad)
        return parameter

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.detach().clone(), self.requires_grad)
        copied: Self = memo[id(self)]
        return copied

    def __reduce_ex__(self, protocol: Any) -> Any:
        return type(self), (self.detach(), self.requires_grad), self.__dict__ or None

    def __repr__(self) -> str:
        from versant.tensors.printing import represent

        return "Parameter containing:\n" + represent(self, "tensor")


class UninitializedParameter(Parameter):
    """A parameter whose shape is not known yet: lazy layers have them (nn/lazy.py)."""

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> Self:
        return super().__new__(cls, versant.empty(0, device=device, dtype=dtype), requires_grad)

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Become an ordinary parameter of that shape, with whatever is in memory."""
        self.data = versant.empty(tuple(shape), device=device, dtype=dtype or self.dtype)
        self.__class__ = Parameter  # type: ignore[assignment]

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.requires_grad, dtype=self.dtype)
        copied: Self = memo[id(self)]
        return copied

    def __reduce_ex__(self, protocol: Any) -> Any:
        return type(self), (self.requires_grad, None, self.dtype)

    def __repr__(self) -> str:
        return "<UninitializedParameter>"


class Buffer(Tensor):
    """A tensor that becomes a buffer of the Module it is assigned to.

    data: its storage is shared. persistent: whether it is part of the state_dict.
    """

    persistent: bool

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True) -> Self:
        given = versant.empty(0) if data is None else data
        buffer: Self = Tensor._make_subclass(cls, given, given.requires_grad)
        buffer.persistent = persistent
        return buffer


def clear_grad(tensor: Tensor) -> None:
    """Set the gradient of a tensor, where it has one, to zeros in place, and cut it from its history."""
    if tensor.grad is not None:
        if tensor.grad.requires_grad:
            tensor.grad = tensor.grad.detach()
        tensor.grad.zero_()
