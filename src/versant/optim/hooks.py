"""Hooks of an optimizer: functions called around step, state_dict and load_state_dict."""

from collections.abc import Callable
from typing import Any

from versant import _core
from versant.autograd.repeated import call_again

Hook = Callable[..., Any]


class RemovableHandle:
    """Takes a hook out again: by remove(), or at the end of a `with` block."""

    def __init__(self, hooks: "Hooks", name: str) -> None:
        self._hooks = hooks
        self._name = name

    def remove(self) -> None:
        self._hooks.remove(self._name, self)

    def __enter__(self) -> "RemovableHandle":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.remove()


class Hooks:
    """The hooks of one optimizer, by the moment at which they are called."""

    def __init__(self, optimizer: Any) -> None:
        self._optimizer = optimizer
        self._by_moment: dict[str, dict[RemovableHandle, Hook]] = {}

    def add(self, moment: str, hook: Hook, prepend: bool = False) -> RemovableHandle:
        handle = RemovableHandle(self, moment)
        there = self._by_moment.get(moment, {})
        self._by_moment[moment] = {handle: hook, **there} if prepend else {**there, handle: hook}
        if moment in ("before step", "after step"):
            self._optimizer.__dict__["step"] = self.step
        return handle

    def remove(self, moment: str, handle: RemovableHandle) -> None:
        self._by_moment.get(moment, {}).pop(handle, None)
        if not any(self.at(moment) for moment in ("before step", "after step")):
            self._optimizer.__dict__.pop("step", None)

    def at(self, moment: str) -> list[Hook]:
        return list(self._by_moment.get(moment, {}).values())

    def step(self, *args: Any, **kwargs: Any) -> Any:
        """The step of the optimizer's class with the hooks around it."""
        own = self._optimizer._is_of_the_trace()
        if _core.is_tracing() and not own and not args and not kwargs:
            hooks = [*self.at("before step"), *self.at("after step")]
            known = all(getattr(hook, "__module__", "").startswith("versant.") for hook in hooks)
            changed = self._optimizer._changed() if known else None
            return call_again(self.step, f"{type(self._optimizer).__name__}.step", changed=changed)
        optimizer = self._optimizer
        for hook in self.at("before step"):
            changed = hook(optimizer, args, kwargs)
            if changed is not None:
                if not (isinstance(changed, tuple) and len(changed) == 2):
                    raise RuntimeError(
                        f"[{type(optimizer).__name__}] a hook before step returns None or (args, kwargs), "
                        f"got {changed!r}"
                    )
                args, kwargs = changed
        result = type(optimizer).step(optimizer, *args, **kwargs)
        for hook in self.at("after step"):
            hook(optimizer, args, kwargs)
        return result
