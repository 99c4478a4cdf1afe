"""PyTorch's names of scripts: functions and modules stay as they are, in Python.

`versant.compile` compiles code as it is, and needs no dialect; programs that are decorated for scripts run
unchanged.
"""

from typing import Any, Final, TypeVar

from versant import _core
from versant.nn.module import Module as ScriptModule

Any_ = TypeVar("Any_")

__all__ = [
    "Final",
    "ScriptModule",
    "annotate",
    "export",
    "freeze",
    "ignore",
    "interface",
    "is_scripting",
    "is_tracing",
    "optimize_for_inference",
    "save",
    "script",
    "script_if_tracing",
    "script_method",
    "trace",
    "unused",
]


def script(obj: Any_, *args: Any, **kwargs: Any) -> Any_:
    """The function, class or module itself."""
    return obj


export = script_method = script_if_tracing = unused = interface = script


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """A decorator, with or without arguments, that changes nothing."""
    return drop if callable(drop) else script


def annotate(the_type: Any, the_value: Any_) -> Any_:
    """The value."""
    return the_value


def trace(func: Any_, *args: Any, **kwargs: Any) -> Any_:
    """The function or module itself: it runs as it is, for inputs of other shapes too."""
    return func


def freeze(mod: Any_, *args: Any, **kwargs: Any) -> Any_:
    """The module itself."""
    return mod


optimize_for_inference = freeze


def save(m: Any, f: Any, *args: Any, **kwargs: Any) -> None:
    """Raises NotImplementedError: compiled functions save themselves as programs."""
    raise NotImplementedError(
        "[jit.save] there are no scripts; save a program: vs.compile(model).save(path, *inputs), "
        "which vs.load_program(path) reads"
    )


def is_scripting() -> bool:
    """False: Python runs."""
    return False


def is_tracing() -> bool:
    """Whether a compiled function is being traced."""
    return _core.is_tracing()
