"""Processes that hold one framework each: how they start, and how they end with all that they started."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

ALONE = Path(__file__).with_name("alone.py")


class WorkerError(Exception):
    """A process's framework raised, took too long, or the process died; the message says what is known."""


def begin(
    python: str, words: Sequence[str], *, threads: int, scratch: str, stderr: IO[bytes], stdin: int
) -> "subprocess.Popen[bytes]":
    """Starts a module of this package in a process group of its own, so that Ctrl-C meets the harness alone.

    Temporary files, among them compiled code that a framework would find again, go to the folder `scratch`.
    """
    environment = {"OMP_NUM_THREADS": str(threads), "PYTHONHASHSEED": "0", "TMPDIR": scratch}
    return subprocess.Popen(
        [python, str(ALONE), *words],
        env=os.environ | environment,
        start_new_session=True,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=stderr,
    )


def tell(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    """Sends a signal to the process and to those that it has started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Ends it and those that it started. A second call does nothing: its number may be another's by then."""
    pipes = [pipe for pipe in (process.stdin, process.stdout, process.stderr) if pipe is not None]
    if not pipes or not all(pipe.closed for pipe in pipes):
        tell(process, signal.SIGKILL)
        process.wait()
        for pipe in pipes:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def obituary(process: "subprocess.Popen[bytes]", said: IO[bytes]) -> str:
    """How a process ended, and the last that it wrote to standard error; what tells most stands last."""
    status = process.wait()
    said.seek(max(0, said.seek(0, os.SEEK_END) - 2000))
    last = said.read().decode(errors="replace").strip()
    if status < 0:
        return f"{last}\nthe process ended by {signal.Signals(-status).name}".strip()
    return f"the process ended with status {status}\n{last}".strip()


@contextlib.contextmanager
def leave_on_signals() -> Iterator[None]:
    """Told to end, leaves through the `with` blocks inside, so that no stopped process stays behind."""

    def leave(number: int, frame: object) -> None:
        sys.exit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
