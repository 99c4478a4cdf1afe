"""Files that are damaged, hostile or of another version are refused in words, or stay in their memory."""

import random
import resource
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from compiler.saved_files import crc32c, loaded, saved, section, sections, with_section
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import versant as vs
from versant import nn
from versant.compiler.saved import Program
from versant.nn import functional as F


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    weight = vs.arange(4.0)
    return saved(vs.compile(lambda x: x * weight + 1), tmp_path_factory.mktemp("file"), vs.ones(4))


def changed(data: bytes, at: int, content: bytes) -> bytes:
    return data[:at] + content + data[at + len(content) :]


def test_the_checksum_is_that_of_the_standard() -> None:
    assert crc32c(b"123456789") == 0xE3069283


def test_a_file_is_made_of_aligned_sections(data: bytes) -> None:
    found = sections(data)
    assert list(found) == ["info", "tabl", "plan", "data"]
    assert all(at % 64 == 0 for at, _ in found.values())
    assert section(data, "info").startswith(b"versant ")
    assert section(data, "data")[:16] == struct.pack("<4f", 0, 1, 2, 3)
    assert with_section(data, "plan", section(data, "plan")) == data
    assert b"pickle" not in data


DAMAGE: dict[str, Any] = {
    "another file": (lambda d: b"PK\x03\x04" + d[4:], "this is no saved program"),
    "nothing": (lambda d: b"", "is empty"),
    "a text transfer": (lambda d: d.replace(b"\r\n", b"\n"), "this is no saved program"),
    "a newer version": (
        lambda d: changed(d, 8, struct.pack("<I", 2)),
        "format version 2.*load it with a newer",
    ),
    "cut off": (lambda d: d[:-1], "bytes and should have"),
    "cut off in the header": (lambda d: d[:60], "cut off"),
    "longer": (lambda d: d + b"\0", "bytes and should have"),
    "a byte of the data": (lambda d: changed(d, sections(d)["data"][0], b"\1"), "checksum of section 'data'"),
    "a byte of the plan": (lambda d: changed(d, sections(d)["plan"][0], b"\7"), "checksum of section 'plan'"),
    "a byte of the header": (lambda d: changed(d, 30, b"\1"), "checksum of the header"),
    "an unknown micro-op": (lambda d: plan(d, b"\3\0\0\0mul", b"\3\0\0\0mux"), "no micro-op 'mux'"),
    "no plan": (lambda d: with_section(d, "plan", b""), "ends in the middle"),
    "more than a plan": (lambda d: with_section(d, "plan", section(d, "plan") + b"\0"), "belong to nothing"),
    "no data": (lambda d: with_section(d, "data", b""), "reach beyond their section"),
    "another shape": (
        lambda d: with_section(
            d, "tabl", section(d, "tabl").replace(struct.pack("<IQ", 1, 4), struct.pack("<IQ", 1, 5))
        ),
        "tensor 'weight' reaches beyond its memory",
    ),
}


def plan(data: bytes, old: bytes, new: bytes) -> bytes:
    content = section(data, "plan")
    assert old in content
    return with_section(data, "plan", content.replace(old, new))


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named(name: str, data: bytes, tmp_path: Path) -> None:
    damage, words = DAMAGE[name]
    with pytest.raises(vs.ProgramError, match=words):
        loaded(damage(data), tmp_path)
    assert loaded(data, tmp_path)(vs.ones(4)).tolist() == [1, 2, 3, 4]


def test_a_path_that_is_no_file_is_an_error_of_the_system(tmp_path: Path) -> None:
    for path, kind in ((tmp_path / "none.vsp", FileNotFoundError), (tmp_path, IsADirectoryError)):
        with pytest.raises(kind, match=rf"\[load_program\] .*: '{path}'") as caught:
            vs.load_program(path)
        assert caught.value.filename == str(path)
    for value in (5, None):
        with pytest.raises(TypeError, match=rf"\[load_program\] expected a path, got {type(value).__name__}"):
            vs.load_program(value)


def test_a_file_that_is_no_program_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "it.vsp"
    path.touch()
    with pytest.raises(vs.ProgramError, match=rf"\[load_program\] {path} is empty"):
        vs.load_program(path)
    path.write_text("no program")
    with pytest.raises(vs.ProgramError, match=rf"\[load_program\] {path}: this is no saved program"):
        vs.load_program(path)
    path.write_bytes(data)
    assert vs.load_program(str(path).encode())(vs.ones(4)).tolist() == [1, 2, 3, 4]


def test_a_folder_is_not_written_over(tmp_path: Path) -> None:
    f = vs.compile(lambda x: x * 2)
    with pytest.raises(IsADirectoryError, match=rf": '{tmp_path}'$"):
        f.save(tmp_path, vs.ones(2))
    with pytest.raises(TypeError, match=r"\[save\] expected a path, got int"):
        f.save(5, vs.ones(2))
    assert list(tmp_path.iterdir()) == []


def test_a_primitive_that_this_version_lacks_is_named(tmp_path: Path) -> None:
    data = saved(vs.compile(lambda x: x.softmax(0)), tmp_path, vs.ones(3))
    with pytest.raises(vs.ProgramError, match="no primitive 'hardmax'"):
        loaded(plan(data, b"softmax", b"hardmax"), tmp_path)


@pytest.mark.parametrize("target", [3, -1, 1 << 40])
def test_classes_out_of_range_are_found_though_the_file_holds_no_check(target: int, tmp_path: Path) -> None:
    f = vs.compile(F.cross_entropy)
    program = loaded(saved(f, tmp_path, vs.randn(2, 3), vs.tensor([0, 1])), tmp_path)
    with pytest.raises(IndexError, match="out of bounds for 3 classes"):
        program(vs.randn(2, 3), vs.tensor([0, target]))
    with pytest.raises(IndexError):
        loaded(saved(vs.compile(nn.Embedding(5, 2)), tmp_path, vs.tensor([1])), tmp_path)(vs.tensor([5]))


# Mutations --------------------------------------------------------------------------------------------------

conv = nn.Sequential(
    nn.Conv2d(1, 2, 3, padding=1),
    nn.BatchNorm2d(2),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Dropout(0.5),
    nn.Linear(8, 3),
)
rows = nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.GELU(), nn.Softmax(-1))
attention = nn.TransformerEncoderLayer(8, 2, 8, batch_first=True)
table = nn.Embedding(5, 4)
weight = vs.arange(12.0).reshape(3, 4)
velocity = vs.zeros(3)


def branches(x: vs.Tensor) -> Any:
    y = x * 2
    return y + 1 if x.sum() > 0 else (y.cumsum(0), y.sort(0)[0])


def losses(x: vs.Tensor, target: vs.Tensor) -> Any:
    return F.cross_entropy(x, target), x.max(1)[1], x[:, 1:], vs.cat([x, x], 1)


def trains(x: vs.Tensor) -> vs.Tensor:
    velocity.mul_(0.9).add_((x * weight).sum(1))
    weight.sub_(0.1 * x)
    return velocity.clone()


def others(x: vs.Tensor) -> Any:
    picked = (
        x.gather(1, vs.zeros(3, 1, dtype=vs.int64)),
        x[vs.tensor([0, 2])],
        x.argmax(1),
        x.nonzero().shape[0],
    )
    moved = x.flip(0), x.roll(1, 0), vs.tril(x), F.pad(x, (1, 2)), F.one_hot(vs.arange(3), 4)
    return picked, moved, x.std(1), x.amax(1), x.logsumexp(1), vs.rand(3)


def sequences(x: vs.Tensor) -> Any:
    """The way back too."""
    labels, full = vs.tensor([[1, 2], [2, 1]]), vs.tensor([3, 3])
    with vs.enable_grad():
        logits = x.detach().requires_grad_()
        loss = F.ctc_loss(logits.log_softmax(-1), labels, full, vs.tensor([2, 1]))
        (grad,) = vs.autograd.grad(loss, logits)
    index = vs.tensor([[0, 1, 0], [1, 1, 0]])
    spread = [x[0].scatter_reduce(0, index, x[1], how) for how in ("prod", "mean", "amax")]
    return loss.detach(), grad, spread, F.multilabel_margin_loss(x[0], vs.tensor([[0, 2, -1], [1, -1, 0]]))


lstm = vs.nn.LSTM(3, 4)


def recurrent(x: vs.Tensor) -> Any:
    """The way back too."""
    with vs.enable_grad():
        loss = lstm(x)[0].square().sum()
        return vs.autograd.grad(loss, list(lstm.parameters()))


PROGRAMS: dict[str, Any] = {
    "recurrent": (recurrent, [vs.ones(3, 2, 3)]),
    "convolutions": (conv, [vs.ones(2, 1, 4, 4)]),
    "rows": (rows, [vs.ones(2, 4)]),
    "branches": (branches, [vs.ones(5)]),
    "embedding": (lambda i: table(i).mean(1) @ weight.T, [vs.tensor([[0, 1], [2, 4]])]),
    "losses": (losses, [vs.arange(6.0).reshape(2, 3), vs.tensor([0, 2])]),
    "training": (trains, [vs.ones(3, 4)]),
    "attention": (attention, [vs.ones(1, 3, 8)]),
    "sequences": (sequences, [vs.arange(18.0).reshape(3, 2, 3) / 9]),
    "others": (others, [vs.arange(12.0).reshape(3, 4) - 5]),
}
NUMBERS = [
    0,
    1,
    2,
    3,
    7,
    8,
    16,
    63,
    64,
    65,
    127,
    255,
    256,
    1 << 31,
    (1 << 32) - 1,
    1 << 40,
    1 << 62,
    (1 << 63) - 1,
    1 << 63,
]
CASES = 500  # of each program


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Some bits, bytes, numbers or pieces of the content are others."""
    made = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        at = rng.randrange(len(made))
        way = rng.randrange(6)
        if way == 0:
            made[at] ^= 1 << rng.randrange(8)
        elif way == 1:
            made[at] = rng.randrange(256)
        elif way in (2, 3):
            size = 4 * (way - 1)
            made[at : at + size] = (rng.choice(NUMBERS) & (1 << 8 * size) - 1).to_bytes(size, "little")
        elif way == 4:
            size, start = rng.choice([1, 4, 8, 16]), rng.randrange(len(made))
            made[at : at + size] = made[start : start + size]
        else:
            del made[at : at + rng.randrange(1, 9)]
    return bytes(made)


def survives(data: bytes, args: list[vs.Tensor]) -> bool:
    """Whether the program could be read. What it raises when it runs is an exception like any other."""
    try:
        program = Program(data, "mutated")
    except (vs.ProgramError, MemoryError):
        return False
    for _ in range(2):
        with suppress(ValueError, RuntimeError, TypeError, IndexError, MemoryError, ZeroDivisionError):
            program(*args)
    return True


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Half a gigabyte more than now: sizes that a mutation made large end in a MemoryError at once."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (1 << 29), limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("name", PROGRAMS)
def test_mutations_with_right_checksums_are_refused_or_run(name: str, tmp_path: Path) -> None:
    rng = random.Random(name)
    function, args = PROGRAMS[name]
    with vs.no_grad():
        compiled = vs.compile(function)
        compiled(*args)
        if name == "branches":
            compiled(-args[0])
        data = saved(compiled, tmp_path)
    read = 0
    for case in range(CASES):
        part = "tabl" if case % 5 == 0 else "plan"
        read += survives(with_section(data, part, mutated(section(data, part), rng)), args)
    assert 0 < read < CASES
    assert survives(data, args)


@pytest.mark.usefixtures("little_memory")
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_bytes_in_a_section_are_refused_or_run(data: bytes, draw: st.DataObject) -> None:
    part = draw.draw(st.sampled_from(["tabl", "plan"]))
    content = section(data, part)
    at = draw.draw(st.integers(0, len(content)))
    survives(with_section(data, part, content[:at] + draw.draw(st.binary(max_size=64))), [vs.ones(4)])


def test_every_truncation_is_refused(data: bytes) -> None:
    for end in range(0, len(data), 7):
        with pytest.raises(vs.ProgramError):
            Program(data[:end], "cut")
    content = section(data, "plan")
    for end in range(len(content)):
        with pytest.raises(vs.ProgramError):
            Program(with_section(data, "plan", content[:end]), "cut")
