"""Saved programs as bytes, and damage to them that their checksums do not show."""

import struct
from pathlib import Path
from typing import Any

import versant as vs

HEADER = 24
ROWS = 4


def crc32c(data: bytes) -> int:
    """RFC 3720, section 12.1, bit by bit through a table."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _row(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


TABLE = [_row(byte) for byte in range(256)]


def sections(data: bytes) -> dict[str, tuple[int, int]]:
    """Where each section stands: name to (offset, bytes)."""
    found = {}
    for k in range(ROWS):
        tag, _, offset, size = struct.unpack_from("<4sIQQ", data, HEADER + 24 * k)
        found[tag.decode()] = (offset, size)
    return found


def with_section(data: bytes, name: str, content: bytes) -> bytes:
    """The file with other content in a section, of any length, and checksums that are right."""
    parts = [(tag, data[at : at + size]) for tag, (at, size) in sections(data).items()]
    body, rows, end = b"", b"", HEADER + 24 * ROWS
    for tag, part in parts:
        part = content if tag == name else part
        body += bytes(-end % 64)
        end += -end % 64
        rows += struct.pack("<4sIQQ", tag.encode(), crc32c(part), end, len(part))
        body += part
        end += len(part)
    return data[:8] + struct.pack("<IIQ", 1, crc32c(rows), end) + rows + body


def section(data: bytes, name: str) -> bytes:
    at, size = sections(data)[name]
    return data[at : at + size]


def saved(function: Any, folder: Path, *args: Any) -> bytes:
    path = folder / "program.vsp"
    function.save(path, *args)
    return path.read_bytes()


def loaded(data: bytes, folder: Path) -> Any:
    path = folder / "loaded.vsp"
    path.write_bytes(data)
    return vs.load_program(path)
