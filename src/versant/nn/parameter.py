"""Parameter: a tensor that a Module owns and an optimizer changes."""

from typing import Any, Self

import versant
from versant import Tensor

__all__ = ["Parameter"]


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


def clear_grad(tensor: Tensor) -> None:
    """Set the gradient of a tensor, where it has one, to zeros in place, and cut it from its history."""
    if tensor.grad is not None:
        if tensor.grad.requires_grad:
            tensor.grad = tensor.grad.detach()
        tensor.grad.zero_()
