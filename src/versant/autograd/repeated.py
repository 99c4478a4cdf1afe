"""Python that replays of a compiled function call again: steps of optimizers, whose numbers differ."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from versant import _core

Method = TypeVar("Method", bound=Callable[..., Any])


def call_again(function: Callable[[], Any], name: str) -> Any:
    """Calls the function now, apart from the trace that is being made, and again in every replay."""
    _core.trace_host(function, name)
    _core.trace_pause(True)
    try:
        result = function()
    finally:
        _core.trace_pause(False)
    _core.trace_host_outputs(result)
    return result


def repeated(method: Method) -> Method:
    """The method; while a trace is made, its call is one step, which replays repeat with these arguments."""

    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not _core.is_tracing():
            return method(*args, **kwargs)
        return call_again(functools.partial(method, *args, **kwargs), method.__qualname__)

    return call  # type: ignore[return-value]
