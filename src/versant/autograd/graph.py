"""The tape: hooks on the values that are saved for backward, and on the gradients of several tensors."""

from __future__ import annotations

from versant import _core
from versant._core import Tensor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Literal, Self


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


class MultiGradHandle:
    """A registration on several tensors; remove() takes it away."""

    def __init__(self, handles: Sequence[Any]) -> None:
        self.handles = tuple(handles)

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def register_multi_grad_hook(
    tensors: Sequence[Tensor], fn: Callable[..., Any], *, mode: Literal["all", "any"] = "all"
) -> MultiGradHandle:
    """Calls fn when the gradients of several tensors are known, once in every backward pass that reaches any.

    mode "all": fn(gradients), a list with None for tensors that the pass does not reach; "any":
    fn(gradient), of the first that is known. What fn returns is dropped.

    >>> import versant as vs
    >>> a, b = vs.ones(2, requires_grad=True), vs.ones(2, requires_grad=True)
    >>> seen = []
    >>> handle = vs.autograd.graph.register_multi_grad_hook([a, b], seen.append)
    >>> (a * 2 + b).sum().backward()
    >>> seen
    [[tensor([2., 2.]), tensor([1., 1.])]]
    """
    if mode not in ("all", "any"):
        raise ValueError(f"[register_multi_grad_hook] mode is 'all' or 'any', got {mode!r}")
    tensors = list(tensors)
    state: dict[str, Any] = {"pass": 0}

    def begin() -> None:
        now = _core.running_pass()
        if state["pass"] == now:
            return
        comes = _core.will_come_to(tensors)
        state.update({"pass": now, "grads": [None] * len(tensors), "awaited": sum(comes), "done": False})

    def hook_of(i: int) -> Callable[[Tensor], None]:
        def hook(grad: Tensor) -> None:
            begin()
            if mode == "any":
                if not state["done"]:
                    state["done"] = True
                    fn(grad)
                return
            state["grads"][i] = grad
            state["awaited"] -= 1
            if state["awaited"] == 0:
                fn(state.pop("grads"))

        return hook

    return MultiGradHandle([tensor.register_hook(hook_of(i)) for i, tensor in enumerate(tensors)])


__all__ = ["MultiGradHandle", "register_multi_grad_hook", "save_on_cpu", "saved_tensors_hooks"]
