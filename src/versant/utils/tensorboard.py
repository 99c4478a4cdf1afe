"""SummaryWriter: numbers, histograms, images and texts of a run, in the event files that TensorBoard reads.

An event file is a series of records (TFRecord: length, payload, both with a CRC-32C), each an Event of
tensorflow/core/util/event.proto in the wire format of protocol buffers.
"""

import io
import itertools
import os
import socket
import struct
import time
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from versant import Tensor, _core

__all__ = ["FileWriter", "SummaryWriter"]

# --- messages ---------------------------------------------------------------------------------------------


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _field(number: int, value: Any, kind: str = "") -> bytes:
    """One field of a message.  kind: "d" or "f", how a number is packed; else the value says it."""
    if kind:
        return _varint(number << 3 | (1 if kind == "d" else 5)) + struct.pack("<" + kind, value)
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else bytes(value)
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _crc_table() -> list[int]:
    table = list(range(256))
    for _ in range(8):
        table = [c >> 1 ^ 0x82F63B78 if c & 1 else c >> 1 for c in table]
    return table


_CRC = _crc_table()


def _masked_crc(data: bytes) -> bytes:
    """CRC-32C as TFRecord masks it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _png(pixels: Any) -> bytes:
    """(H, W, C) of uint8, of one, three or four channels, as a PNG (RFC 2083)."""
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in np.ascontiguousarray(pixels))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


# --- values -----------------------------------------------------------------------------------------------


def _array(value: Any) -> Any:
    if isinstance(value, Tensor):
        value = _core.plain(value).detach()
        return (value.float() if value.dtype.itemsize == 2 else value).numpy()
    return np.asarray(value)


def _number(who: str, value: Any) -> float:
    array = _array(value)
    if array.size != 1:
        raise ValueError(f"[{who}] expected one number, got a value of shape {array.shape}")
    return float(array.reshape(()))


def _histogram(values: Any, bins: Any, max_bins: int | None) -> bytes:
    values = _array(values).astype("float64").reshape(-1)
    if not values.size:
        raise ValueError("[add_histogram] expected values, got none")
    if isinstance(bins, str) and bins == "tensorflow":  # edges that grow by a tenth, to both sides
        upper = 1e-12 * 1.1 ** np.arange(int(np.log(1e32) / np.log(1.1)) + 1)
        bins = np.concatenate([-upper[::-1], [0.0], upper])
    counts, edges = np.histogram(values, bins)
    if max_bins is not None and len(counts) > max_bins:
        step = len(counts) // max_bins
        counts = np.add.reduceat(counts, np.arange(0, len(counts), step))
        edges = np.append(edges[:-1:step], edges[-1])
    used = np.flatnonzero(counts)
    if not used.size:
        raise ValueError("[add_histogram] no value lies in a bin")
    kept = slice(used[0], used[-1] + 2)  # with an empty bin before
    limits, heights = edges[kept], np.append(0, counts)[kept]
    figures = (values.min(), values.max(), values.size, values.sum(), (values**2).sum())
    message = b"".join(_field(i + 1, float(v), "d") for i, v in enumerate(figures))
    return message + _field(6, limits.astype("<f8").tobytes()) + _field(7, heights.astype("<f8").tobytes())


def _image(who: str, value: Any, dataformats: str) -> bytes:
    array = _array(value)
    letters = dataformats.upper()
    if array.ndim != len(letters) or set(letters) - set("NCHW") or len(set(letters)) != len(letters):
        raise ValueError(f"[{who}] expected the axes {dataformats}, got shape {array.shape}")
    if array.dtype != np.uint8:
        array = np.clip(array.astype("float32") * 255, 0, 255).astype(np.uint8)
    order = [letters.index(letter) for letter in "NHWC" if letter in letters]
    array = array.transpose(order)
    if "C" not in letters:
        array = array[..., None]
    if "N" in letters:  # beside and below each other
        n, height, width, channels = array.shape
        columns = int(np.ceil(np.sqrt(n)))
        lines = -(-n // columns)
        grid = np.zeros((lines * columns, height, width, channels), np.uint8)
        grid[:n] = array
        array = grid.reshape(lines, columns, height, width, channels).swapaxes(1, 2)
        array = array.reshape(lines * height, columns * width, channels)
    if array.shape[-1] not in (1, 3, 4):
        raise ValueError(f"[{who}] expected 1, 3 or 4 channels, got shape {array.shape} of {dataformats}")
    height, width, channels = array.shape
    return _field(1, height) + _field(2, width) + _field(3, channels) + _field(4, _png(array))


# --- files ------------------------------------------------------------------------------------------------


class FileWriter:
    """One event file of a folder."""

    _numbers = itertools.count()

    def __init__(
        self, log_dir: Any, max_queue: int = 10, flush_secs: float = 120, filename_suffix: str = ""
    ) -> None:
        os.makedirs(log_dir, exist_ok=True)
        name = f"{time.time():.0f}.{socket.gethostname()}.{os.getpid()}.{next(self._numbers)}"
        self.path = Path(log_dir) / f"events.out.tfevents.{name}{filename_suffix}"
        self._file = self.path.open("wb")
        self._max_queue, self._flush_secs = max_queue, flush_secs
        self._waiting, self._flushed = 0, time.monotonic()
        self._write(_field(1, time.time(), "d") + _field(3, "brain.Event:2"))
        self.flush()

    def get_logdir(self) -> str:
        """The folder."""
        return str(self.path.parent)

    def add_value(self, tag: str, field: bytes, step: Any, walltime: float | None) -> None:
        """Appends a value of a summary; `field` is its content as a field of Summary.Value."""
        event = _field(1, time.time() if walltime is None else walltime, "d")
        if step is not None:
            event += _field(2, int(step))
        self._write(event + _field(5, _field(1, _field(1, tag) + field)))
        self._waiting += 1
        if self._waiting > self._max_queue or time.monotonic() - self._flushed > self._flush_secs:
            self.flush()

    def _write(self, event: bytes) -> None:
        if self._file.closed:
            self._file = self.path.open("ab")  # as PyTorch's: a closed writer that is used again goes on
        length = struct.pack("<Q", len(event))
        self._file.write(length + _masked_crc(length) + event + _masked_crc(event))

    def flush(self) -> None:
        """Writes what is buffered to the disk."""
        if not self._file.closed:
            self._file.flush()
        self._waiting, self._flushed = 0, time.monotonic()

    def close(self) -> None:
        self._file.close()


class SummaryWriter:
    """Writes what a training run reports for TensorBoard.

    log_dir: the folder; "runs/DATE_HOSTcomment" by default. purge_step is taken; the file is a new one.
    max_queue, flush_secs: how many values, and seconds, wait at most before they are written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, SummaryWriter(folder) as writer:
    ...     for step in range(3):
    ...         writer.add_scalar("loss", 1 / (1 + step), step)
    """

    def __init__(
        self,
        log_dir: Any = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: float = 120,
        filename_suffix: str = "",
    ) -> None:
        if not log_dir:
            log_dir = Path("runs") / f"{time.strftime('%b%d_%H-%M-%S')}_{socket.gethostname()}{comment}"
        self.log_dir = str(log_dir)
        self._options = (max_queue, flush_secs, filename_suffix)
        self.file_writer = FileWriter(self.log_dir, *self._options)
        self.all_writers = {self.log_dir: self.file_writer}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def get_logdir(self) -> str:
        """The folder."""
        return self.log_dir

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: Any = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """Writes a number, in float32 or with double_precision in float64.  walltime: seconds since 1970"""
        number = _number("add_scalar", scalar_value)
        field = _field(2, number, "f")
        if new_style or double_precision:  # a tensor of the plugin "scalars": DT_DOUBLE or DT_FLOAT
            kind, code, place = ("<d", 2, 6) if double_precision else ("<f", 1, 5)
            tensor = _field(1, code) + _field(2, b"") + _field(place, struct.pack(kind, number))
            field = _field(8, tensor) + _field(9, _field(1, _field(1, "scalars")))
        self.file_writer.add_value(tag, field, global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Writes several numbers under one tag, each into a folder of its own, which TensorBoard overlays."""
        for tag, value in tag_scalar_dict.items():
            folder = f"{self.log_dir}/{main_tag.replace('/', '_')}_{tag}"
            if folder not in self.all_writers:
                self.all_writers[folder] = FileWriter(folder, *self._options)
            field = _field(2, _number("add_scalars", value), "f")
            self.all_writers[folder].add_value(main_tag, field, global_step, walltime)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: Any = None,
        bins: Any = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """Writes how often values occur.  bins: edges, their number, or a rule of numpy.histogram"""
        field = _field(5, _histogram(values, bins, max_bins))
        self.file_writer.add_value(tag, field, global_step, walltime)

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """Writes an image: uint8, or numbers of 0 to 1.  dataformats: the axes, "CHW", "HWC" or "HW" """
        field = _field(4, _image("add_image", img_tensor, dataformats))
        self.file_writer.add_value(tag, field, global_step, walltime)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Writes a batch of images as one, side by side in rows."""
        field = _field(4, _image("add_images", img_tensor, dataformats))
        self.file_writer.add_value(tag, field, global_step, walltime)

    def add_figure(
        self,
        tag: str,
        figure: Any,
        global_step: Any = None,
        close: bool = True,
        walltime: float | None = None,
    ) -> None:
        """Writes a figure of matplotlib, or a list of them, as an image."""
        from matplotlib import pyplot
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        for one in figure if isinstance(figure, Iterable) else [figure]:
            canvas: Any = FigureCanvasAgg(one)
            canvas.draw()
            pixels = np.asarray(canvas.buffer_rgba())
            self.add_image(tag, pixels, global_step, walltime, "HWC")
            if close:
                pyplot.close(one)

    def add_text(
        self, tag: str, text_string: str, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """Writes a text, which TensorBoard shows as Markdown."""
        # A tensor of DT_STRING and shape (1,), of the plugin "text".
        tensor = _field(1, 7) + _field(2, _field(2, _field(1, 1))) + _field(8, text_string)
        field = _field(8, tensor) + _field(9, _field(1, _field(1, "text")))
        self.file_writer.add_value(f"{tag}/text_summary", field, global_step, walltime)

    def add_audio(
        self,
        tag: str,
        snd_tensor: Any,
        global_step: Any = None,
        sample_rate: int = 44100,
        walltime: float | None = None,
    ) -> None:
        """Writes a sound, numbers between -1 and 1.  snd_tensor: (1, L) or (L,)"""
        import wave

        samples = (np.clip(_array(snd_tensor), -1, 1).reshape(-1) * 32767).astype("<i2")
        memory = io.BytesIO()
        with wave.open(memory, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(sample_rate)
            file.writeframes(samples.tobytes())
        audio = _field(1, float(sample_rate), "f") + _field(2, 1) + _field(3, samples.size)
        audio += _field(4, memory.getvalue()) + _field(5, "audio/wav")
        self.file_writer.add_value(tag, _field(6, audio), global_step, walltime)

    def add_graph(self, model: Any, *args: Any, **kwargs: Any) -> None:
        """Raises NotImplementedError: compiled functions draw their graph, `compile(model).graph_svg()`."""
        raise NotImplementedError(
            "[add_graph] event files hold no graphs of Versant; compiled functions show theirs: "
            "compile(model).graph_svg()"
        )

    def flush(self) -> None:
        """Writes what is buffered to the disk."""
        for writer in self.all_writers.values():
            writer.flush()

    def close(self) -> None:
        """Writes what is buffered, and closes the files."""
        for writer in self.all_writers.values():
            writer.close()
