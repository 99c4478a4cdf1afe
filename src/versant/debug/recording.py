"""Recordings in files: frames that are written one after another and checked one by one.

    file    = MAGIC frame*
    frame   = length (u32) crc32 of kind and payload (u32) kind (1 byte) payload
    kind H  = JSON: how it was recorded (first frame)
    kind K  = JSON: a kind of tensor: [number, op, output, type, line, module, back, call, sources]
    kind S  = a step: number (u64), length of JSON (u32), JSON of values logged with it, rows
    kind V  = the elements of a tensor: step (u64), kind (u32), order (u32), row by row, as they lay in memory

All numbers are little-endian. A file may be read while it is written: what comes after the last whole step is
left for later, and may be taken back (by a writer whose disk is full). Anything else that does not fit raises
RecordingError; nothing in a file is ever run, no length in it is believed before it is compared with what is
there, and text is shown without what would steer a terminal.
"""

from __future__ import annotations

import json
import math
import os
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from versant import Tensor

__all__ = ["Recording", "RecordingError"]

MAGIC = b"VSRECORD1\n"
HEAD = struct.Struct("<II")
STEP = struct.Struct("<QI")
VALUE = struct.Struct("<QII")
ROW = struct.Struct("<II4q4d16H")
MOST_FRAME = 1 << 28  # bytes
MOST_KINDS = 1 << 20
MOST_TEXT = 4096
MOST_ORDER = 255
MOST_ELEMENTS = 1 << 48
FIELDS = ("number", "op", "output", "type", "line", "module", "back", "call", "sources")
DTYPES = {
    "bool": 1, "uint8": 1, "int8": 1, "int16": 2, "int32": 4, "int64": 8, "float16": 2, "bfloat16": 2,
    "float32": 4, "float64": 8, "complex64": 8, "complex128": 16,
}  # fmt: skip


class RecordingError(ValueError):
    """A recording that is damaged, or none at all."""


@dataclass(frozen=True)
class Kind:
    """A kind of tensor that was recorded: output `output` of an op, called from one place.

    type: "float32[2, 3]"; line: the user's, of a gradient that of its op; back: of which order the gradient
    is, 0 on the way forward; call: the line that ran; sources: the kinds of what it was computed from.
    """

    number: int
    op: str
    output: int
    type: str
    line: str
    module: str
    back: int
    call: str
    sources: tuple[int, ...]

    @property
    def dtype(self) -> str:
        return self.type.partition("[")[0]

    @property
    def shape(self) -> tuple[int, ...]:
        inside = self.type.partition("[")[2].rstrip("]")
        return tuple(int(size) for size in inside.split(",")) if inside else ()

    @property
    def title(self) -> str:
        return f"{'gradient of ' * self.back}{self.op}"

    @property
    def place(self) -> tuple[str, str, int, str, int, tuple[int, ...]]:
        """What makes it the same tensor in another recording."""
        return (self.module, self.line, self.back, self.op, self.output, self.shape)


@dataclass(frozen=True)
class Row:
    """What one tensor was like in one step; `order`: how many of its kind the step had before."""

    kind: int
    order: int
    numel: int
    nan: int
    inf: int
    zeros: int
    min: float
    max: float
    mean: float
    std: float
    bins: tuple[int, ...]

    @property
    def health(self) -> tuple[Any, ...]:
        return (self.numel, self.nan, self.inf, self.zeros, self.min, self.max, self.mean, self.std)


def _shown(text: str) -> str:
    """The text without characters that steer terminals or that no encoding has."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)


def _row_of(fields: tuple[Any, ...]) -> Row:
    kind, order, numel, nan, inf, zeros, low, high, mean, std, *bins = fields
    return Row(kind, order, numel, nan, inf, zeros, low, high, mean, std, tuple(bins))


@dataclass
class Step:
    number: int
    logged: dict[str, float]
    rows: list[Row]


@dataclass(frozen=True)
class _Value:
    offset: int
    size: int


@dataclass
class Recording:
    """A recording in a file: `steps`, `kinds`, and the elements of tensors where they were recorded.

    Raises RecordingError for a file that is damaged or is none. `refresh` reads what was added since.
    """

    path: Path
    about: dict[str, Any] = field(default_factory=dict)
    kinds: dict[int, Kind] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    _values: dict[tuple[int, int, int], _Value] = field(default_factory=dict)
    _read: int = 0  # bytes up to the end of a step

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.about, self.kinds, self.steps = {}, {}, []
        self._values, self._read = {}, 0
        self.refresh()

    def refresh(self) -> int:
        """Reads what the file has more than before; how many steps that are."""
        before = len(self.steps)
        with open(self.path, "rb") as file:
            if self._read == 0:
                if file.read(len(MAGIC)) != MAGIC:
                    raise RecordingError(f"[debug] {self.path} is no recording")
                self._read = len(MAGIC)
            size = os.fstat(file.fileno()).st_size
            if size < self._read:
                raise RecordingError(f"[debug] {self.path} became shorter while it was read")
            file.seek(self._read)
            early: list[tuple[dict[Any, Any], Any]] = []  # what belongs to a step that is not there yet
            while (frame := self._frame(file, size)) is not None:
                kind, payload, offset = frame
                try:
                    early += self._take(kind, payload, offset)
                except (
                    KeyError,
                    TypeError,
                    ValueError,
                    OverflowError,
                    struct.error,
                    RecursionError,
                ) as error:
                    if isinstance(error, RecordingError):
                        raise
                    raise self._damaged(offset, f"{type(error).__name__}: {error}") from None
                if kind in (b"H", b"S"):
                    self._read = file.tell()
                    early.clear()
            for table, key in early:
                del table[key]
        return len(self.steps) - before

    def _frame(self, file: BinaryIO, size: int) -> tuple[bytes, bytes, int] | None:
        start = file.tell()
        head = file.read(HEAD.size)
        if len(head) < HEAD.size:
            return None
        length, crc = HEAD.unpack(head)
        if not 1 <= length <= MOST_FRAME:
            raise self._damaged(start, f"a frame of {length} bytes")
        if start + HEAD.size + length > size:
            return None  # being written
        content = file.read(length)
        if len(content) < length:
            return None  # taken back
        if zlib.crc32(content) != crc:
            raise self._damaged(start, "the checksum is another one")
        return content[:1], content[1:], start + HEAD.size + 1

    def _damaged(self, offset: int, why: str) -> RecordingError:
        return RecordingError(f"[debug] {self.path} is damaged at byte {offset}: {why}")

    def _take(self, kind: bytes, payload: bytes, offset: int) -> list[tuple[dict[Any, Any], Any]]:
        """Takes a frame; gives the table and the key of what it added for a step to come."""
        if not self.about and kind != b"H":
            raise self._damaged(offset, "the first frame is no header")
        if kind == b"H":
            about = json.loads(payload)
            if self.about or not isinstance(about, dict) or about.get("format") != 1:
                raise self._damaged(offset, "the header is none")
            self.about = about
        elif kind == b"K":
            return [(self.kinds, self._take_kind(json.loads(payload), offset))]
        elif kind == b"S":
            self.steps.append(self._step_of(payload, offset))
        elif kind == b"V":
            return [(self._values, self._take_value(payload, offset))]
        else:
            raise self._damaged(offset, f"no frame is called {kind!r}")
        return []

    def _take_kind(self, fields: Any, offset: int) -> int:
        types = (int, str, int, str, str, str, int, str, list)
        if not isinstance(fields, list) or [type(x) for x in fields] != list(types):
            raise self._damaged(offset, "a kind of tensor has other fields")
        if not 0 <= fields[6] <= MOST_ORDER:
            raise self._damaged(offset, f"a gradient of order {fields[6]}")
        if any(isinstance(x, str) and len(x) > MOST_TEXT for x in fields) or len(self.kinds) >= MOST_KINDS:
            raise self._damaged(offset, "too much text")
        if len(fields[8]) > 1000 or not all(type(x) is int and 0 <= x < fields[0] for x in fields[8]):
            raise self._damaged(offset, "sources that cannot be")
        shown: list[Any] = [_shown(x) if isinstance(x, str) else x for x in fields[:8]]
        kind = Kind(**dict(zip(FIELDS, [*shown, tuple(fields[8])], strict=True)))
        if (
            kind.number in self.kinds
            or not 0 <= kind.number < MOST_KINDS
            or kind.dtype not in DTYPES
            or not re.fullmatch(r"\w+\[(\d+(, \d+)*)?\]", kind.type, re.ASCII)
            or math.prod(n or 1 for n in kind.shape) > MOST_ELEMENTS
        ):
            raise self._damaged(offset, "a kind of tensor that cannot be")
        self.kinds[kind.number] = kind
        return kind.number

    def _step_of(self, payload: bytes, offset: int) -> Step:
        number, length = STEP.unpack_from(payload)
        if length > len(payload) - STEP.size:
            raise self._damaged(offset, "a text that is longer than its frame")
        logged = json.loads(payload[STEP.size : STEP.size + length])
        if not isinstance(logged, dict) or len(logged) > 1000:
            raise self._damaged(offset, "what was logged is no table")
        values = {_shown(key)[:MOST_TEXT]: float(value) for key, value in logged.items()}
        rest = payload[STEP.size + length :]
        if len(rest) % ROW.size:
            raise self._damaged(offset, "rows of another size")
        rows = [_row_of(fields) for fields in ROW.iter_unpack(rest)]
        for row in rows:
            if row.kind not in self.kinds:
                raise self._damaged(offset, f"a row of a kind {row.kind} that was not told")
            about = self.kinds[row.kind]
            parts = math.prod(about.shape) * (2 if about.dtype.startswith("complex") else 1)
            counts = (row.nan, row.inf, row.zeros)
            if row.numel != parts or min(counts) < 0 or sum(counts) > parts:
                raise self._damaged(offset, f"counts that cannot be, for {about.type}")
        return Step(number, values, rows)

    def _take_value(self, payload: bytes, offset: int) -> tuple[int, int, int]:
        step, kind, order = VALUE.unpack_from(payload)
        if kind not in self.kinds:
            raise self._damaged(offset, f"values of a kind {kind} that was not told")
        size = len(payload) - VALUE.size
        if size != math.prod(self.kinds[kind].shape) * DTYPES[self.kinds[kind].dtype]:
            raise self._damaged(offset, f"{size} bytes of values for {self.kinds[kind].type}")
        self._values[step, kind, order] = _Value(offset + VALUE.size, size)
        return step, kind, order

    # Reading ------------------------------------------------------------------------------------------------

    def has_value(self, step: int, kind: int, order: int = 0) -> bool:
        return (step, kind, order) in self._values

    def value(self, step: int, kind: int, order: int = 0) -> Tensor:
        """The elements of a tensor. KeyError where only its health was recorded."""
        import versant

        found = self._values[step, kind, order]
        with open(self.path, "rb") as file:
            file.seek(found.offset)
            data = file.read(found.size)
        if len(data) != found.size:
            raise self._damaged(found.offset, "the values are gone")
        about = self.kinds[kind]
        dtype = getattr(versant, about.dtype)
        if not found.size:
            return versant.empty(about.shape, dtype=dtype)
        return versant.frombuffer(bytearray(data), dtype=dtype).view(about.shape)

    def history(self, kind: int) -> Iterator[tuple[int, Row]]:
        """The rows of a kind of tensor, with the steps' numbers."""
        for step in self.steps:
            for row in step.rows:
                if row.kind == kind:
                    yield step.number, row
