"""Variable: what tensors that know their gradients were before all tensors did."""

from typing import Any

import versant
from versant import Tensor


class _Kind(type):
    def __call__(cls, data: Any, requires_grad: bool = False, volatile: bool = False) -> Tensor:
        given = data if isinstance(data, Tensor) else versant.tensor(data)
        return given.detach().requires_grad_(requires_grad)

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, Tensor)


class Variable(metaclass=_Kind):
    """Variable(data, requires_grad=False): the tensor over the same memory. All tensors are instances."""
