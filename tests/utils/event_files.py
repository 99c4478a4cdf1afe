"""Event files read back, for tests of what writes them."""

import io
import struct
from pathlib import Path

from versant.utils.events import _masked_crc


def fields(message: bytes) -> list[tuple[int, object]]:
    """The fields of a message of protocol buffers: number, and value or bytes."""
    found: list[tuple[int, object]] = []
    stream = io.BytesIO(message)

    def varint() -> int:
        value = shift = 0
        while True:
            byte = stream.read(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while stream.tell() < len(message):
        number, kind = divmod(varint(), 8)
        value: object
        if kind == 0:
            value = varint()
        elif kind == 1:
            (value,) = struct.unpack("<d", stream.read(8))
        elif kind == 5:
            (value,) = struct.unpack("<f", stream.read(4))
        else:
            value = stream.read(varint())
        found.append((number, value))
    return found


def events(folder: Path) -> list[dict[int, object]]:
    """The events of the only file of a folder, whose checksums are looked at."""
    (path,) = folder.glob("events.out.tfevents.*")
    data, found = path.read_bytes(), []
    while data:
        length = struct.unpack("<Q", data[:8])[0]
        assert data[8:12] == _masked_crc(data[:8])
        event = data[12 : 12 + length]
        assert data[12 + length : 16 + length] == _masked_crc(event)
        found.append(dict(fields(event)))
        data = data[16 + length :]
    return found


def values(folder: Path) -> list[tuple[int | None, str, dict[int, object]]]:
    """Step, tag, and fields of each value."""
    rows = []
    for event in events(folder)[1:]:
        value = dict(fields(dict(fields(event[5]))[1]))
        rows.append((event.get(2), value.pop(1).decode(), value))
    return rows
