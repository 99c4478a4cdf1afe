"""Event files hold what was written, in the format that TensorBoard reads."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

import versant as vs
from tests.utils.event_files import events, fields, values
from versant.utils.events import _masked_crc
from versant.utils.tensorboard import SummaryWriter


def test_the_checksum_is_that_of_the_standard() -> None:
    crc = struct.unpack("<I", _masked_crc(b"123456789"))[0] - 0xA282EAD8 & 0xFFFFFFFF
    assert (crc << 15 | crc >> 17) & 0xFFFFFFFF == 0xE3069283  # RFC 3720, of CRC-32C


def test_numbers(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        writer.add_scalar("loss", vs.tensor(0.25), 3, walltime=12.5)
        writer.add_scalar("exact", 1 / 3, double_precision=True)
        writer.add_scalars("both", {"a": 1.0, "b": 2.0}, 300)
    first = events(tmp_path)[0]
    assert first[3] == b"brain.Event:2"
    assert events(tmp_path)[1][1] == 12.5
    loss, exact = values(tmp_path)
    assert loss == (3, "loss", {2: 0.25})
    assert exact[:2] == (None, "exact")
    assert dict(fields(exact[2][8]))[6] == struct.pack("<d", 1 / 3)
    assert values(tmp_path / "both_b") == [(300, "both", {2: 2.0})]


def test_histograms(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        writer.add_histogram("edges", vs.arange(10), 1, bins=5)
        writer.add_histogram("grown", vs.tensor([0.0, 0.0, -1.5, 2.0]), 1)
    (_, _, edges), (_, _, grown) = values(tmp_path)
    found = dict(fields(edges[5]))
    assert [found[i] for i in range(1, 6)] == [0, 9, 10, 45, 285]
    np.testing.assert_allclose(np.frombuffer(found[6]), [0, 1.8, 3.6, 5.4, 7.2, 9])
    assert np.frombuffer(found[7]).tolist() == [0, 2, 2, 2, 2, 2]
    limits, counts = (np.frombuffer(dict(fields(grown[5]))[i]) for i in (6, 7))
    assert counts.sum() == 4
    assert counts[np.searchsorted(limits, 0.0, "right")] == 2


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images(tmp_path: Path, channels: int) -> None:
    pixels = np.arange(channels * 6, dtype=np.uint8).reshape(channels, 2, 3)
    with SummaryWriter(tmp_path) as writer:
        writer.add_image("picture", pixels)
        writer.add_image("same", vs.tensor(pixels.transpose(1, 2, 0)), dataformats="HWC")
        writer.add_images("grid", np.stack([pixels] * 3))
    picture, same, grid = (dict(fields(value[4])) for _, _, value in values(tmp_path))
    assert [picture[i] for i in (1, 2, 3)] == [2, 3, channels]
    assert same == picture
    assert [grid[i] for i in (1, 2)] == [4, 6]
    data = picture[4]
    start = data.index(b"IDAT") + 4
    length = struct.unpack(">I", data[start - 8 : start - 4])[0]
    rows = np.frombuffer(zlib.decompress(data[start : start + length]), np.uint8).reshape(2, -1)
    np.testing.assert_array_equal(rows[:, 1:].reshape(2, 3, channels), pixels.transpose(1, 2, 0))


def test_texts_and_sounds(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        writer.add_text("note", "**bold**", 2)
        writer.add_audio("tone", vs.linspace(-1, 1, 100), 2, 8000)
    note, tone = values(tmp_path)
    assert note[1] == "note/text_summary"
    assert dict(fields(note[2][8]))[8] == b"**bold**"
    sound = dict(fields(tone[2][6]))
    assert (sound[1], sound[3], sound[5]) == (8000.0, 100, b"audio/wav")
    assert sound[4][-2:] == struct.pack("<h", 32767)


def test_what_cannot_be_written_says_so(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        with pytest.raises(NotImplementedError, match=r"\[add_graph\].*graph_svg"):
            writer.add_graph(vs.nn.Linear(1, 1))
        with pytest.raises(
            ValueError, match=r"\[add_scalar\] expected one number, got a value of shape \(2,\)"
        ):
            writer.add_scalar("loss", vs.ones(2))
        with pytest.raises(ValueError, match=r"\[add_image\] expected the axes CHW, got shape \(2, 2\)"):
            writer.add_image("x", vs.ones(2, 2))
        with pytest.raises(ValueError, match=r"\[add_histogram\] expected values, got none"):
            writer.add_histogram("x", [])
