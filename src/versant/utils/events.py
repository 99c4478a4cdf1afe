"""Event files, which TensorBoard reads.

An event file is a series of records (TFRecord: length, payload, both with a CRC-32C), each an Event of
tensorflow/core/util/event.proto in the wire format of protocol buffers.
"""

import itertools
import os
import socket
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from versant import Tensor, _core

__all__ = ["FileWriter", "array", "field", "png", "tensor_value"]

# --- messages ---------------------------------------------------------------------------------------------


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: Any, kind: str = "") -> bytes:
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


def png(pixels: Any) -> bytes:
    """(H, W, C) of uint8, of one, three or four channels, as a PNG (RFC 2083)."""
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in np.ascontiguousarray(pixels))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def array(value: Any) -> Any:
    """A value as an array of numpy."""
    if isinstance(value, Tensor):
        value = _core.plain(value).detach()
        return (value.float() if value.dtype.itemsize == 2 else value).numpy()
    return np.asarray(value)


def tensor_value(values: Any, kind: int, shape: tuple[int, ...], plugin: str, data_class: int = 0) -> bytes:
    """A Summary.Value whose content is a tensor.  kind: 1 float32, 2 float64, 7 strings; values: its elements

    plugin: which part of TensorBoard shows it. data_class: 1 scalar, 2 tensor, 3 images; 0 is not said.
    """
    sizes = b"".join(field(2, field(1, n)) for n in shape)
    tensor = field(1, kind) + field(2, sizes)
    if kind == 7:
        tensor += b"".join(field(8, value) for value in values)
    else:
        place, dtype = {1: (5, "<f4"), 2: (6, "<f8")}[kind]
        tensor += field(place, np.asarray(values, dtype).tobytes())
    said = field(4, data_class) if data_class else b""
    return field(8, tensor) + field(9, field(1, field(1, plugin)) + said)


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
        self._write(field(1, time.time(), "d") + field(3, "brain.Event:2"))
        self.flush()

    def get_logdir(self) -> str:
        """The folder."""
        return str(self.path.parent)

    def add_value(self, tag: str, content: bytes, step: Any, walltime: float | None) -> None:
        """Appends a value of a summary; `content` is a field of Summary.Value."""
        event = field(1, time.time() if walltime is None else walltime, "d")
        if step is not None:
            event += field(2, int(step))
        self._write(event + field(5, field(1, field(1, tag) + content)))
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
