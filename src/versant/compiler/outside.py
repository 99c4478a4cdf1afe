"""Files and whatever else lies outside of the program: a function that is traced may not touch them.

A replay would neither read a file again nor write it. Python tells hooks of auditing (PEP 578) what is
opened, by whatever library; one hook is installed with the first trace, and calls `look` only while
something is recorded (core/python/ran.cc).
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from versant import _core
from versant.compiler.errors import CompileError

EVENTS = {
    "open": "opens",
    "builtins.input": "asks the user:",
    "os.listdir": "lists",
    "os.scandir": "lists",
    "os.mkdir": "makes",
    "os.remove": "removes",
    "os.rename": "renames",
    "os.system": "runs",
    "subprocess.Popen": "runs",
    "socket.connect": "connects to",
}
PYTHONS_OWN = ("importlib", "linecache", "tokenize")  # modules that may be imported, lines shown in warnings

_installed = threading.Event()
_state = threading.local()


def begin() -> None:
    """From now on the trace of this thread is looked at."""
    _state.touched = ""
    if not _installed.is_set():
        _installed.set()
        _core.trace_audit(look)


def touched() -> str:
    """What the trace touched outside, in words, though the function may have caught the error."""
    words: str = _state.touched
    return words


def look(event: str, args: tuple[Any, ...]) -> None:
    if event in EVENTS and not pythons_own():
        what = f" {args[1]}" if event == "socket.connect" else f" {args[0]}" if args else ""
        _state.touched = (
            f"[compile] the function {EVENTS[event]}{what}, which replays would not do again: do it outside, "
            "and pass what it gives as an argument"
        )
        raise CompileError(_state.touched)


def pythons_own() -> bool:
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith(PYTHONS_OWN):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False
