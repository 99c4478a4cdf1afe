"""save and load: what comes back, other readers and writers of the format, damaged and hostile files."""

import json
import math
import os
import struct
import threading
from io import BytesIO, StringIO
from pathlib import Path

import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

import versant as vs
from versant import nn, optim
from versant.io import FileFormatError

DTYPES = [
    vs.bool,
    vs.uint8,
    vs.int8,
    vs.int16,
    vs.int32,
    vs.int64,
    vs.float16,
    vs.bfloat16,
    vs.float32,
    vs.float64,
]


def alike(a, b) -> bool:
    """Equal in form, types and values."""
    if isinstance(a, vs.Tensor):
        return isinstance(b, vs.Tensor) and a.dtype is b.dtype and a.shape == b.shape and vs.equal(a, b)
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(alike(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(alike, a, b))
    return a == b or (a != a and b != b)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4), (0,), (2, 0)])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_tensors_come_back(dtype, shape, tmp_path: Path) -> None:
    tensor = (vs.arange(math.prod(shape)) % 2).reshape(shape).to(dtype)
    vs.save(tensor, tmp_path / "x")
    assert alike(vs.load(tmp_path / "x"), tensor)


CHECKPOINT = {
    "epoch": 3,
    "nested": {"a": [1, 2.5, None, True, "text", (vs.ones(2), -math.inf)], "empty": {}, "nothing": []},
    "numbered": {0: vs.zeros(1), (1, "x"): 2, None: 3, 1.5: 4},
    "$marked": {"$tensor": "not one", "a.b": vs.ones(1), "a": {"b": vs.zeros(1)}},
    "__metadata__": vs.ones(1),
    "nan": math.nan,
    "ü\n": 2**80,
}


def test_checkpoints_come_back(tmp_path: Path) -> None:
    vs.save(CHECKPOINT, tmp_path / "x")
    assert alike(vs.load(tmp_path / "x"), CHECKPOINT)


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.builds(vs.tensor, st.integers(0, 9))
)
KEYS = st.text() | st.integers()


@given(
    st.recursive(
        LEAVES, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner) | st.tuples(inner, inner)
    )
)
def test_any_value_comes_back(value) -> None:
    file = BytesIO()
    vs.save(value, file)
    assert alike(vs.load(BytesIO(file.getvalue())), value)


def test_a_training_state_comes_back(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm2d(3))
    optimizer = optim.AdamW(model.parameters(), betas=(0.8, 0.99))
    model[0](vs.ones(1, 2)).sum().backward()
    optimizer.step()
    vs.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "x")
    state = vs.load(tmp_path / "x")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    assert alike(state["optimizer"], optimizer.state_dict())


def test_non_contiguous_tensors_and_parameters(tmp_path: Path) -> None:
    values = {"t": vs.arange(6).reshape(2, 3).t(), "p": nn.Parameter(vs.ones(2)), "s": vs.arange(10)[::3]}
    vs.save(values, tmp_path / "x")
    loaded = vs.load(tmp_path / "x")
    assert loaded["t"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert type(loaded["p"]) is vs.Tensor
    assert not loaded["p"].requires_grad
    assert loaded["s"].tolist() == [0, 3, 6, 9]


@pytest.mark.parametrize("mmap", [False, True])
def test_loaded_tensors_can_be_written_and_leave_the_file_alone(mmap: bool, tmp_path: Path) -> None:
    path = tmp_path / "x"
    vs.save({"a": vs.zeros(1000)}, path)
    vs.load(path, mmap=mmap)["a"].fill_(7.0)
    assert vs.load(path, mmap=mmap)["a"].sum().item() == 0.0


@pytest.mark.parametrize("mmap", [False, True])
def test_a_loaded_tensor_outlives_its_file(mmap: bool, tmp_path: Path) -> None:
    path = tmp_path / "x"
    vs.save({"a": vs.arange(1000)}, path)
    loaded = vs.load(path, mmap=mmap)["a"]
    vs.save({"a": vs.zeros(1000)}, path)
    path.unlink()
    assert loaded.sum().item() == 499500


def test_a_loaded_tensor_outlives_the_bytes_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    vs.save({"a": vs.arange(1000)}, path)
    loaded = vs.load(path)["a"]
    path.write_bytes(b"")
    assert loaded.sum().item() == 499500


def test_a_file_without_a_size_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=vs.save, args=({"a": vs.arange(3)}, path))
    writer.start()
    assert vs.load(path)["a"].tolist() == [0, 1, 2]
    writer.join()


def test_files_of_other_writers(tmp_path: Path) -> None:
    values = {
        f"{i}": (vs.arange(5) % 2).to(dtype) for i, dtype in enumerate(DTYPES) if dtype is not vs.bfloat16
    }
    path = tmp_path / "x.safetensors"
    safetensors.numpy.save_file(
        {name: value.numpy() for name, value in values.items()}, path, {"note": "theirs"}
    )
    assert alike(dict(sorted(vs.load(path).items())), values)


def test_files_for_other_readers(tmp_path: Path) -> None:
    values = {f"a.{i}": (vs.arange(6) % 2).reshape(2, 3).to(dtype) for i, dtype in enumerate(DTYPES)}
    path = tmp_path / "x.safetensors"
    vs.save(values, path)
    with safetensors.safe_open(path, "numpy") as file:
        assert set(file.keys()) == set(values)
        for name, value in values.items():
            assert file.get_slice(name).get_shape() == [2, 3]
            if value.dtype is not vs.bfloat16:
                assert file.get_tensor(name).tolist() == value.tolist()
    vs.save({"model": {"weight": vs.ones(2)}, "epoch": 1}, path)
    assert safetensors.numpy.load_file(path)["model.weight"].tolist() == [1.0, 1.0]


def test_data_is_aligned(tmp_path: Path) -> None:
    vs.save({"flag": vs.ones(3, dtype=vs.bool), "wide": vs.ones(2, dtype=vs.float64)}, tmp_path / "x")
    raw = (tmp_path / "x").read_bytes()
    (length,) = struct.unpack_from("<Q", raw)
    assert (8 + length) % 64 == 0
    assert json.loads(raw[8 : 8 + length])["wide"]["data_offsets"] == [0, 16]


# Saving that fails ------------------------------------------------------------------------------------------


class Broken:
    """A file whose disk is full after some bytes."""

    def write(self, data) -> int:
        raise OSError("disk full")


def circle() -> list:
    values: list = []
    values.append(values)
    return values


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": vs.ones(1), "b": object()}, "cannot save the object at 'b'"),
        ([{1, 2}], "cannot save the set at '0'"),
        ({(vs.ones(1),): {b"x": 1}}, "cannot save a dict with a bytes as key"),
    ],
)
def test_values_of_other_types_leave_the_old_file(value, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    vs.save({"a": vs.zeros(1)}, path)
    with pytest.raises(TypeError, match=message):
        vs.save(value, path)
    assert vs.load(path)["a"].item() == 0.0
    assert os.listdir(tmp_path) == ["x"]


def test_a_container_in_itself_raises() -> None:
    with pytest.raises(ValueError, match="holds itself"):
        vs.save(circle(), BytesIO())


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    vs.save({"a": vs.zeros(1)}, path)

    def full(descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        vs.save({"a": vs.ones(1)}, path)
    monkeypatch.undo()
    assert vs.load(path)["a"].item() == 0.0
    assert os.listdir(tmp_path) == ["x"]
    with pytest.raises(OSError, match="disk full"):
        vs.save({"a": vs.ones(1)}, Broken())


def test_saving_keeps_permissions_and_follows_links(tmp_path: Path) -> None:
    path, link = tmp_path / "x", tmp_path / "link"
    vs.save({"a": vs.zeros(1)}, path)
    path.chmod(0o640)
    link.symlink_to(path)
    vs.save({"a": vs.ones(1)}, link)
    assert link.is_symlink()
    assert vs.load(path)["a"].item() == 1.0
    assert path.stat().st_mode & 0o777 == 0o640


# Files that are not what they should be ---------------------------------------------------------------------


def file_of(header: str | bytes | dict, data: bytes = b"", length: int | None = None) -> bytes:
    text = json.dumps(header).encode() if isinstance(header, dict) else header
    text = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype="F32", shape=(1,), offsets=(0, 4), **more) -> dict:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}


def structured(form: str) -> bytes:
    return file_of({"__metadata__": {"versant.structure": form}, "a": entry()}, bytes(4))


HOSTILE = {
    "empty": (b"", "8 bytes of header length"),
    "short": (b"\x01\x02", "the whole file has 2"),
    "header beyond the end": (
        file_of("{}", length=3),
        "the header claims 3 bytes, after its length the file has 2",
    ),
    "huge header": (file_of("{}", length=2**64 - 1), "the header claims"),
    "not JSON": (file_of("{a}"), "not valid JSON"),
    "not UTF-8": (file_of(b'{"\xff": 1}'), "not valid JSON"),
    "deep JSON": (file_of("[" * 100_000), "not valid JSON"),
    "a list": (file_of("[]"), "not a JSON object"),
    "twice": (file_of('{"a": 1, "a": 2}'), "the key 'a' stands twice"),
    "NaN": (file_of('{"a": NaN}'), "NaN is not JSON"),
    "metadata": (file_of({"__metadata__": {"a": 1}}), "does not map strings to strings"),
    "no entry": (file_of({"a": 3}), "must have dtype, shape and data_offsets"),
    "more keys": (file_of({"a": entry(more=1)}, bytes(4)), "must have dtype, shape and data_offsets"),
    "dtype": (file_of({"a": entry("F33")}, bytes(4)), "unknown dtype 'F33'"),
    "dtype list": (file_of({"a": entry(["F32"])}, bytes(4)), "unknown dtype"),
    "shape float": (file_of({"a": entry(shape=[1.0])}, bytes(4)), r"has the shape \[1.0\]"),
    "shape negative": (file_of({"a": entry(shape=[-1])}, bytes(4)), r"has the shape \[-1\]"),
    "shape bool": (file_of({"a": entry(shape=[True])}, bytes(4)), r"has the shape \[True\]"),
    "offset float": (file_of({"a": entry(offsets=[0, 4.0])}, bytes(4)), r"has the data_offsets \[0, 4.0\]"),
    "offset negative": (file_of({"a": entry(offsets=[-4, 0])}, bytes(4)), "has the data_offsets"),
    "three offsets": (file_of({"a": entry(offsets=[0, 2, 4])}, bytes(4)), "has the data_offsets"),
    "backwards": (file_of({"a": entry(offsets=[4, 0])}, bytes(4)), "takes 4 bytes, got -4"),
    "wrong size": (file_of({"a": entry(shape=[2])}, bytes(4)), "takes 8 bytes, got 4"),
    "product overflow": (
        file_of({"a": entry(shape=[2**62, 8])}, bytes(4)),
        "takes 147573952589676412928 bytes",
    ),
    "truncated": (
        file_of({"a": entry(shape=[4], offsets=[0, 16])}, bytes(9)),
        "take 16 bytes of data, the file has 9",
    ),
    "left over": (file_of({"a": entry()}, bytes(5)), "take 4 bytes of data, the file has 5"),
    "overlap": (
        file_of({"a": entry(), "b": entry()}, bytes(4)),
        "'b' starts at byte 0 of the data, expected 4",
    ),
    "hole": (file_of({"a": entry(offsets=[4, 8])}, bytes(8)), "starts at byte 4 of the data, expected 0"),
    "structure": (structured("{"), "not valid JSON"),
    "structure of no tensor": (structured('{"$tensor": "b"}'), "damaged structure: KeyError"),
    "structure of a list": (structured('{"$tensor": []}'), "damaged structure: TypeError"),
    "structure of no pairs": (structured('{"$dict": [1]}'), "damaged structure: TypeError"),
    "structure with an unknown mark": (structured('{"$code": 1}'), "unknown mark"),
}


@pytest.mark.parametrize(("raw", "message"), HOSTILE.values(), ids=HOSTILE)
def test_damaged_and_hostile_files_raise(raw: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(raw)
    with pytest.raises(FileFormatError, match=message) as caught:
        vs.load(path)
    assert str(path) in str(caught.value)
    with pytest.raises(ValueError, match=message):
        vs.load(BytesIO(raw))
    assert path.read_bytes() == raw


def test_every_truncation_raises() -> None:
    file = BytesIO()
    vs.save({"a": vs.arange(3), "b": vs.ones(2, dtype=vs.bool)}, file)
    raw = file.getvalue()
    for size in range(len(raw)):
        with pytest.raises(FileFormatError):
            vs.load(BytesIO(raw[:size]))


@given(st.binary(max_size=200))
def test_random_bytes_never_do_worse_than_raise(raw: bytes) -> None:
    for content in (raw, struct.pack("<Q", len(raw)) + raw):
        try:
            vs.load(BytesIO(content))
        except FileFormatError:
            continue


def test_empty_axes_of_absurd_size_raise_or_load() -> None:
    with pytest.raises(FileFormatError):
        vs.load(BytesIO(file_of({"a": entry(shape=[0, 2**63], offsets=[0, 0])})))


def test_missing_files_and_other_devices() -> None:
    with pytest.raises(FileNotFoundError):
        vs.load("no such file")
    with pytest.raises(ValueError, match="map_location must be 'cpu'"):
        vs.load("no such file", map_location="cuda")


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path):
    pipe, found = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    vs.save({"a": vs.ones(2)}, pipe)
    reader.join()
    assert pipe.is_fifo()
    assert vs.load(BytesIO(found[0]))["a"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("path", "error"), [("missing/x", FileNotFoundError), (".", IsADirectoryError)], ids=["missing", "folder"]
)
def test_an_error_names_the_path_that_was_given(tmp_path, path, error):
    with pytest.raises(error) as caught:
        vs.save({"a": vs.ones(2)}, tmp_path / path)
    assert caught.value.filename == os.path.realpath(tmp_path / path)
    assert list(tmp_path.iterdir()) == []


def nested(depth):
    return [nested(depth - 1)] if depth else []


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: vs.save({}, None), TypeError, "path or a file with write"),
        (lambda: vs.load(3), TypeError, "path or a file with read"),
        (lambda: vs.load(StringIO("x")), TypeError, "open for text"),
        (lambda: vs.save(nested(900), BytesIO()), ValueError, "too deeply"),
        (lambda: vs.load(BytesIO(b"PK\x03\x04" + bytes(100))), FileFormatError, "zip archive"),
        (lambda: vs.load(BytesIO(), map_location="cuda"), ValueError, "map_location"),
    ],
)
def test_wrong_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_map_location_may_be_a_device():
    file = BytesIO()
    vs.save({"a": vs.ones(1)}, file)
    assert vs.load(BytesIO(file.getvalue()), map_location=vs.device("cpu"))["a"].tolist() == [1.0]
