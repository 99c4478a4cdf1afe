"""What the tape keeps: hooks on the values that are saved for backward."""

from __future__ import annotations

from versant import _core
from versant._core import Tensor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self


class saved_tensors_hooks:
    """Inside, every value that an op saves for backward goes through pack_hook, and comes back by
    unpack_hook.

    pack_hook(tensor) returns anything; unpack_hook(what it returned) returns a tensor of the same values,
    shape and dtype when backward asks. The innermost pair is in force.

    >>> import versant as vs
    >>> x = vs.tensor([3.0], requires_grad=True)
    >>> with vs.autograd.graph.saved_tensors_hooks(lambda t: t.numpy().tobytes(), lambda b: vs.tensor([3.0])):
    ...     y = x * x
    >>> y.backward()
    >>> x.grad
    tensor([6.])
    """

    def __init__(self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook
        self._before: list[Any] = []

    def __enter__(self) -> Self:
        self._before.append(_core.exchange_saving_hooks((self.pack_hook, self.unpack_hook)))
        return self

    def __exit__(self, *error: object) -> None:
        _core.exchange_saving_hooks(self._before.pop())


class save_on_cpu(saved_tensors_hooks):
    """Keeps saved values in the memory of the processor, where Versant keeps them anyway: nothing changes."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cpu") -> None:
        super().__init__(lambda tensor: tensor, lambda tensor: tensor)


__all__ = ["save_on_cpu", "saved_tensors_hooks"]
