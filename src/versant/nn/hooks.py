"""Hooks of a Module: functions called before and after its forward, and around its backward."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from versant import Tensor
from versant.autograd import Function

if TYPE_CHECKING:
    from versant.nn.module import Module


class RemovableHandle:
    """Takes a hook out again: by remove(), or at the end of a `with` block."""

    def __init__(self, hooks: "Hooks", calls: "Calls") -> None:
        self._hooks = hooks
        self._calls = calls

    def remove(self) -> None:
        self._calls.pop(self, None)
        self._hooks.refresh()

    def __enter__(self) -> "RemovableHandle":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.remove()


Calls = dict[RemovableHandle, Any]  # what to call, in order


class Shown(Mapping[RemovableHandle, Any]):
    """Hooks of one kind under their handles, as PyTorch's `_forward_hooks`; `clear` removes them."""

    def __init__(self, hooks: "Hooks", calls: Calls) -> None:
        self._hooks = hooks
        self._calls = calls

    def __getitem__(self, handle: RemovableHandle) -> Any:
        entry = self._calls[handle]
        return entry[0] if isinstance(entry, tuple) else entry

    def __iter__(self) -> Iterator[RemovableHandle]:
        return iter(self._calls)

    def __len__(self) -> int:
        return len(self._calls)

    def clear(self) -> None:
        self._calls.clear()
        self._hooks.refresh()


class Hooks:
    """All hooks of one module. A module without any is called straight through (Module.__call__)."""

    # Compiled functions watch these, whatever code says (compiler/watch.py).
    _watched_always = ("before", "after", "before_backward", "after_backward")

    def __init__(self, module: "Module") -> None:
        self._module = module
        self.before: Calls = {}  # (hook, with_kwargs)
        self.after: Calls = {}  # (hook, with_kwargs, always_call)
        self.before_backward: Calls = {}  # hook
        self.after_backward: Calls = {}  # hook
        self.before_state: Calls = {}  # hook
        self.after_state: Calls = {}  # hook
        self.before_load: Calls = {}  # (hook, with_module)
        self.after_load: Calls = {}  # hook

    def add(self, calls: Calls, entry: Any, *, prepend: bool = False) -> RemovableHandle:
        handle = RemovableHandle(self, calls)
        others = list(calls) if prepend else []
        calls[handle] = entry
        for other in others:
            calls[other] = calls.pop(other)
        self.refresh()
        return handle

    def refresh(self) -> None:
        """Tell the module whether any hook is left."""
        hooked = bool(self.before or self.after or self.before_backward or self.after_backward)
        self._module.__dict__["_has_hooks"] = hooked

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The module's forward with everything that stands around it."""
        pending = list(self.after.values())
        result = None
        try:
            args, kwargs = self._run_before(args, kwargs)
            boundary = None
            if self.before_backward or self.after_backward:
                boundary = _Boundary(self)
                args = boundary.mark_inputs(args)
            result = self._module.forward(*args, **kwargs)
            while pending:
                hook, with_kwargs, _ = pending.pop(0)
                changed = (
                    hook(self._module, args, kwargs, result)
                    if with_kwargs
                    else hook(self._module, args, result)
                )
                if changed is not None:
                    result = changed
            return result if boundary is None else boundary.mark_outputs(result)
        except Exception:
            for hook, with_kwargs, always_call in pending:
                if always_call:
                    hook(self._module, args, kwargs, result) if with_kwargs else hook(
                        self._module, args, result
                    )
            raise

    def _run_before(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        for hook, with_kwargs in list(self.before.values()):
            changed = hook(self._module, args, kwargs) if with_kwargs else hook(self._module, args)
            if changed is None:
                continue
            if not with_kwargs:
                args = changed if isinstance(changed, tuple) else (changed,)
            elif isinstance(changed, tuple) and len(changed) == 2:
                args, kwargs = changed
            else:
                raise RuntimeError(
                    f"[{type(self._module).__name__}] a forward pre-hook with kwargs must return None "
                    f"or (args, kwargs), got {type(changed).__name__}"
                )
        return args, kwargs


class _Boundary:
    """One call of a module with backward hooks: identities around it catch the gradients that pass."""

    def __init__(self, hooks: Hooks) -> None:
        self._module = hooks._module
        self._before = list(hooks.before_backward.values())
        self._after = list(hooks.after_backward.values())
        self._grad_output: tuple[Any, ...] = ()
        self._has_inputs = False
        self._n_inputs = 0

    def mark_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        places = [i for i, value in enumerate(args) if isinstance(value, Tensor)]
        self._n_inputs = len(places)
        if not any(args[i].requires_grad for i in places):
            return args
        self._has_inputs = True
        marked = list(args)
        for i, value in zip(places, _apply(self._inputs_reached, [args[i] for i in places]), strict=True):
            marked[i] = value
        return tuple(marked)

    def mark_outputs(self, result: Any) -> Any:
        if isinstance(result, Tensor):
            return _apply(self._outputs_reached, [result])[0] if result.requires_grad else result
        if not isinstance(result, tuple | list):
            return result
        places = [i for i, value in enumerate(result) if isinstance(value, Tensor)]
        if not any(result[i].requires_grad for i in places):
            return result
        marked = list(result)
        for i, value in zip(places, _apply(self._outputs_reached, [result[i] for i in places]), strict=True):
            marked[i] = value
        return type(result)(marked)

    def _outputs_reached(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in self._before:
            grads = _replaced(hook(self._module, grads), grads)
        self._grad_output = grads
        if not self._has_inputs:  # nothing below wants a gradient: the hooks still see what came
            for hook in self._after:
                hook(self._module, (None,) * self._n_inputs, grads)
        return grads

    def _inputs_reached(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in self._after:
            grads = _replaced(hook(self._module, grads, self._grad_output), grads)
        return grads


def _replaced(changed: Any, grads: tuple[Any, ...]) -> tuple[Any, ...]:
    if changed is None:
        return grads
    replacement: tuple[Any, ...] = changed if isinstance(changed, tuple) else (changed,)
    if len(replacement) != len(grads):
        raise RuntimeError(f"[backward hook] returned {len(replacement)} gradients in place of {len(grads)}")
    return replacement


class _Identity(Function):
    """Passes its tensors on unchanged and shows the gradients on their way back to `reached`."""

    @staticmethod
    def forward(ctx: Any, reached: Callable[..., Any], *tensors: Tensor) -> Any:
        ctx.reached = reached
        return tuple(tensor.view_as(tensor) for tensor in tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return (None, *ctx.reached(grads))


def _apply(reached: Callable[..., Any], tensors: list[Any]) -> Any:
    return _Identity.apply(reached, *tensors)
