"""tf.summary: numbers of a training run, as JSON lines in a file."""

import json
import time
from pathlib import Path
from typing import Any

from versant import _core

__all__ = ["SummaryWriter", "create_file_writer", "experimental_step", "flush", "histogram", "scalar", "text"]

_writers: list["SummaryWriter"] = []
_step: list[Any] = [None]


class SummaryWriter:
    """A file of summaries; a context in which `scalar` writes to it."""

    def __init__(self, logdir: Any) -> None:
        folder = Path(logdir)
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"summaries.{time.time_ns()}.jsonl"
        self._lines: list[str] = []
        self._closed = False

    def as_default(self, step: Any = None) -> "SummaryWriter":
        """The writer, to be entered as a context."""
        if step is not None:
            _step[0] = step
        return self

    def set_as_default(self, step: Any = None) -> None:
        """Write to it from now on."""
        self.as_default(step)
        _writers.append(self)

    def __enter__(self) -> "SummaryWriter":
        _writers.append(self)
        return self

    def __exit__(self, *exception: Any) -> None:
        _writers.remove(self)
        self.flush()

    def write(self, line: dict[str, Any]) -> None:
        """Append a line."""
        if self._closed:
            raise RuntimeError("[summary] the writer is closed")
        self._lines.append(json.dumps(line) + "\n")
        if len(self._lines) >= 100:
            self.flush()

    def flush(self) -> None:
        """Write what is buffered."""
        with self.path.open("a") as file:
            file.writelines(self._lines)
        self._lines.clear()

    def close(self) -> None:
        """Write what is buffered, and no more."""
        self.flush()
        self._closed = True


def create_file_writer(
    logdir: Any,
    max_queue: Any = None,
    flush_millis: Any = None,
    filename_suffix: Any = None,
    name: Any = None,
) -> SummaryWriter:
    """A writer to a file in that folder."""
    return SummaryWriter(logdir)


def experimental_step(step: Any) -> None:
    """The step of summaries that name none."""
    _step[0] = step


def _write(kind: str, name: str, value: Any, step: Any) -> bool:
    if not _writers:
        return False
    at = _step[0] if step is None else step
    if at is None:
        raise ValueError(f"[{kind}] no step: pass step=, or set it on the writer")
    line = {"kind": kind, "name": name, "step": int(at), "time": time.time(), "value": value}
    _writers[-1].write(line)
    return True


def scalar(name: str, data: Any, step: Any = None, description: Any = None) -> bool:
    """Write a number to the writer that is entered; whether there is one."""
    return _write("scalar", name, float(data), step)


def text(name: str, data: Any, step: Any = None, description: Any = None) -> bool:
    """Write a text."""
    return _write("text", name, str(data), step)


def histogram(name: str, data: Any, step: Any = None, buckets: Any = None, description: Any = None) -> bool:
    """Write how often values occur: edges and counts of buckets (30)."""
    import numpy

    values = _core.plain(data).detach().numpy() if isinstance(data, _core.Tensor) else numpy.asarray(data)
    counts, edges = numpy.histogram(values, bins=buckets or 30)
    return _write("histogram", name, {"counts": counts.tolist(), "edges": edges.tolist()}, step)


def flush(writer: Any = None, name: Any = None) -> None:
    """Write what is buffered."""
    for own in [writer] if writer is not None else _writers:
        own.flush()
