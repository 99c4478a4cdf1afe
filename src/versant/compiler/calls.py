"""What the calls of a compiled function are like: modes, shapes, names of arguments, the user's line."""

from __future__ import annotations

import inspect
import os
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import versant
from versant import Tensor, _core
from versant.compiler.record import short_place
from versant.structure import take_apart

# As `modes` gives them.
MODES = ("gradient mode", "inference mode", "autocast", "the default dtype", "a gradient tape")
MUCH = 4 << 20  # bytes


def count(number: int, what: str) -> str:
    plural = "es" if what.endswith("ch") else "s"
    return f"{number} {what}{plural * (number != 1)}"


def place_of_call() -> str:
    """The line of the user's program that runs."""
    package = os.path.dirname(versant.__file__) + os.sep
    frame: types.FrameType | None = sys._getframe(1)
    while frame and frame.f_back and frame.f_code.co_filename.startswith(package):
        frame = frame.f_back
    return short_place(f"{frame.f_code.co_filename}:{frame.f_lineno}") if frame else ""


def mode_text(mode: tuple[Any, ...]) -> str:
    """What is unusual about the modes of a trace."""
    grad, inference, autocast, floats, taping = mode
    parts = ["inference mode" if inference else "" if grad else "gradients off"]
    parts += ["under a gradient tape" if taping else ""]
    parts += ["autocast" if autocast[0] else "", "" if floats is versant.float32 else f"default {floats}"]
    return "".join(f", {part}" for part in parts if part)


def release_cached_memory() -> None:
    """Gives much that is kept for reuse back: a plan needs other memory than what ran before it."""
    if _core.memory_stats()["cached_bytes"] >= MUCH:
        _core.release_cached_memory()


def shapes_of(tensors: list[Tensor]) -> list[Any]:
    return [(tuple(x.shape), x.dtype) for x in tensors]


def argument_of(function: Callable[..., Any], args: Any, kwargs: Any, index: int) -> str:
    """The name of the argument that holds the tensor of that number."""
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        names = []
    for i, value in enumerate((*args, *kwargs.values())):
        inside: list[Tensor] = []
        take_apart(value, inside)
        if index < len(inside):
            name = names[i] if i < min(len(args), len(names)) else f"argument {i}"
            name = name if i < len(args) else list(kwargs)[i - len(args)]
            return name if len(inside) == 1 else f"tensor {index} in {name}"
        index -= len(inside)
    return "an argument"


def modes() -> tuple[Any, ...]:
    """The modes under which a function runs."""
    return (
        versant.is_grad_enabled(),
        versant.is_inference_mode_enabled(),
        _core.get_autocast(),
        versant.get_default_dtype(),
        _core.is_taping(),
    )


@contextmanager
def compile_disabled() -> Iterator[None]:
    """Compiled functions run as they are written, to be stepped through."""
    _core.disable_compiled(1)
    try:
        yield
    finally:
        _core.disable_compiled(-1)
