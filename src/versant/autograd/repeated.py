"""Python that replays of a compiled function call again: steps of optimizers, whose numbers differ."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from versant import Tensor, _core

Method = TypeVar("Method", bound=Callable[..., Any])


class Place:
    """Stands in arguments for a tensor that is another one in every call."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index


def lifted(value: Any, tensors: list[Tensor]) -> Any:
    """The value with places for the tensors of the call, which are added to the list."""
    if isinstance(value, Tensor):
        if not _core.trace_is_new(value):
            return value
        tensors.append(value)
        return Place(len(tensors) - 1)
    if type(value) in (list, tuple):
        return type(value)(lifted(item, tensors) for item in value)
    if type(value) is dict:
        return {key: lifted(item, tensors) for key, item in value.items()}
    return value


def filled(value: Any, tensors: list[Tensor]) -> Any:
    """The value with tensors in their places."""
    if isinstance(value, Place):
        return tensors[value.index]
    if type(value) in (list, tuple):
        return type(value)(filled(item, tensors) for item in value)
    if type(value) is dict:
        return {key: filled(item, tensors) for key, item in value.items()}
    return value


def call_again(
    function: Callable[..., Any],
    name: str,
    *args: Any,
    pure: bool = False,
    changed: list[Tensor] | None = None,
    **kwargs: Any,
) -> Any:
    """Calls the function now, apart from the trace that is being made, and again in every replay.

    Tensors among the arguments, in lists and dicts too, are those of the replay. pure: the call has no effect
    but its result. changed: all other tensors that it may change, from before the function; None if unknown.
    """
    tensors: list[Tensor] = []
    places = lifted((args, kwargs), tensors)

    def with_tensors(now: list[Tensor]) -> Any:
        args, kwargs = filled(places, now)
        return function(*args, **kwargs)

    again = with_tensors if tensors else functools.partial(function, *args, **kwargs)
    _core.trace_host(again, name, tensors, pure, changed)
    _core.trace_pause(True)
    try:
        result = function(*args, **kwargs)
    finally:
        _core.trace_pause(False)
    _core.trace_host_outputs(result)
    return result


def repeated(method: Method) -> Method:
    """The method; while a trace is made, its call is one step, which replays repeat with these arguments.

    What the call may change is what `_changed` of the object says, where it has that.
    """

    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not _core.is_tracing():
            return method(*args, **kwargs)
        changed = args[0]._changed() if hasattr(args[0], "_changed") else None
        return call_again(method, method.__qualname__, *args, changed=changed, **kwargs)

    return call  # type: ignore[return-value]
