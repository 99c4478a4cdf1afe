"""Looking at values from inside of compiled functions: what is done here, replays do again.

An ordinary `print` in a compiled function prints when the function is traced and never again. `debug.print`
and `debug.callback` are part of the trace.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import Any

from versant import Tensor, _core

__all__ = ["callback", "print"]


def callback(function: Callable[..., Any], *tensors: Tensor) -> None:
    """Calls function(*tensors) now and in every replay, with the values of then; it gets no history.

    What it returns is dropped; the tensors are those of the machine: copy what you keep or change.
    """
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            raise TypeError(f"[debug.callback] expected tensors, got {type(tensor).__name__}")
    if not _core.is_tracing():
        function(*(tensor.detach() for tensor in tensors))
        return

    def again(now: Sequence[Tensor]) -> tuple[Tensor, ...]:
        if not _core.in_body():
            function(*now)
        return ()

    plain = [tensor.detach() for tensor in tensors]
    from versant.compiler.function import excused

    _core.trace_pause(True)
    try:
        with excused():
            again(plain)
    finally:
        _core.trace_pause(False)
    _core.trace_apply(again, "debug.callback", plain, [])


def print(*values: Any, sep: str = " ", end: str = "\n", file: Any = None) -> None:
    """Prints now and in every replay; tensors among the values with the values of then."""
    places = [i for i, value in enumerate(values) if isinstance(value, Tensor)]

    def show(*tensors: Tensor) -> None:
        shown = list(values)
        for place, tensor in zip(places, tensors, strict=True):
            shown[place] = tensor
        builtins.print(*shown, sep=sep, end=end, file=file, flush=True)

    callback(show, *(values[place] for place in places))
