"""tf.summary: what a training run reports, in the event files that TensorBoard reads."""

from typing import Any

import numpy as np

from versant.utils.events import FileWriter, array, png, tensor_value

__all__ = [
    "SummaryWriter",
    "create_file_writer",
    "experimental_step",
    "flush",
    "histogram",
    "image",
    "scalar",
    "text",
]

_writers: list["SummaryWriter"] = []
_step: list[Any] = [None]


class SummaryWriter(FileWriter):
    """A file of summaries; a context in which `scalar` and the others write to it."""

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

    def _write(self, event: bytes) -> None:
        if self._file.closed:
            raise RuntimeError("[summary] the writer is closed")
        super()._write(event)


def create_file_writer(
    logdir: Any,
    max_queue: Any = None,
    flush_millis: Any = None,
    filename_suffix: Any = None,
    name: Any = None,
) -> SummaryWriter:
    """A writer to a file in that folder.  flush_millis: how long values wait at most"""
    seconds = 120.0 if flush_millis is None else float(flush_millis) / 1000
    return SummaryWriter(logdir, 10 if max_queue is None else int(max_queue), seconds, filename_suffix or "")


def experimental_step(step: Any) -> None:
    """The step of summaries that name none."""
    _step[0] = step


def _write(kind: str, name: str, step: Any, content: Any) -> bool:
    if not _writers:
        return False
    at = _step[0] if step is None else step
    if at is None:
        raise ValueError(f"[{kind}] no step: pass step=, or set it on the writer")
    _writers[-1].add_value(name, content(), int(at), None)
    return True


def scalar(name: str, data: Any, step: Any = None, description: Any = None) -> bool:
    """Write a number to the writer that is entered; whether there is one."""
    return _write("scalar", name, step, lambda: tensor_value([float(data)], 1, (), "scalars", 1))


def text(name: str, data: Any, step: Any = None, description: Any = None) -> bool:
    """Write a text."""
    return _write("text", name, step, lambda: tensor_value([str(data)], 7, (), "text", 2))


def histogram(name: str, data: Any, step: Any = None, buckets: Any = None, description: Any = None) -> bool:
    """Write how often values occur: edges and counts of buckets (30)."""

    def content() -> bytes:
        counts, edges = np.histogram(array(data), bins=buckets or 30)
        rows = np.stack([edges[:-1], edges[1:], counts], 1)
        return tensor_value(rows, 2, rows.shape, "histograms", 2)

    return _write("histogram", name, step, content)


def image(name: str, data: Any, step: Any = None, max_outputs: int = 3, description: Any = None) -> bool:
    """Write images (N, H, W, C) of uint8 or of numbers from 0 to 1, the first max_outputs of them."""

    def content() -> bytes:
        pixels = array(data)
        if pixels.ndim != 4 or pixels.shape[-1] not in (1, 3, 4):
            raise ValueError(f"[image] expected (N, H, W, C) of 1, 3 or 4 channels, got shape {pixels.shape}")
        if pixels.dtype != np.uint8:
            pixels = np.clip(pixels * 255.0 + 0.5, 0, 255).astype(np.uint8)
        pictures = [png(one) for one in pixels[:max_outputs]]
        sizes = [str(pixels.shape[2]), str(pixels.shape[1])]
        return tensor_value([*sizes, *pictures], 7, (2 + len(pictures),), "images", 3)

    return _write("image", name, step, content)


def flush(writer: Any = None, name: Any = None) -> None:
    """Write what is buffered."""
    for own in [writer] if writer is not None else _writers:
        own.flush()
