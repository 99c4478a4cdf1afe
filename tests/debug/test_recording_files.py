"""Recordings as files: bytes that anybody may have changed, disks that are full, readers beside writers."""

import contextlib
import errno
import json
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import versant as vs
from versant import nn
from versant.cli.debug import summary
from versant.debug import Recording, RecordingError, diff, record
from versant.debug.page.server import Pages
from versant.debug.recording import HEAD, MAGIC, ROW, STEP


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A recording of three steps of training, with values."""
    path = tmp_path_factory.mktemp("whole") / "run"
    vs.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    optimizer = vs.optim.SGD(net.parameters(), lr=0.1)
    with record(path, values=True) as recorder:
        for _ in range(3):
            optimizer.zero_grad()
            loss = net(vs.ones(2, 2)).square().mean()
            loss.backward()
            optimizer.step()
            recorder.step(loss=loss.item())
    return path


def frames_of(data):
    """The frames after the magic, as (kind, payload)."""
    at, frames = len(MAGIC), []
    while at < len(data):
        length, _ = HEAD.unpack_from(data, at)
        at += HEAD.size
        frames.append((data[at : at + 1], data[at + 1 : at + length]))
        at += length
    return frames


def file_of(frames):
    """The frames in a file, with checksums that are right."""
    contents = [kind + payload for kind, payload in frames]
    return MAGIC + b"".join(HEAD.pack(len(c), zlib.crc32(c)) + c for c in contents)


def look_at_all(path, good):
    """What the command and the page do with a recording; RecordingError is the one error."""
    with contextlib.suppress(RecordingError):
        recording = Recording(path)
        summary(recording).encode()
        for pair in ((recording, Recording(good)), (Recording(good), recording)):
            str(diff(*pair)).encode()
        for step in recording.steps:
            for row in step.rows:
                if recording.has_value(step.number, row.kind, row.order):
                    recording.value(step.number, row.kind, row.order)
        pages = Pages([path, good])
        for step in recording.steps[:2]:
            query = {"step": str(step.number)}
            for page in (pages.summary, pages.step, pages.graph, pages.diff):
                json.dumps(page(query))
        for kind in list(recording.kinds)[:3]:
            json.dumps([pages.history({"kind": str(kind)}), pages.source({"kind": str(kind)})])


changes = st.lists(
    st.tuples(
        st.sampled_from(["flip", "set", "cut", "repeat", "swap"]),
        st.integers(0, 1 << 16),
        st.integers(0, 255),
    ),
    min_size=1,
    max_size=4,
)


def changed(data, kind, at, value):
    at %= len(data) or 1
    if kind == "flip":
        return data[:at] + bytes([data[at] ^ (1 << value % 8)]) + data[at + 1 :] if data else data
    if kind == "set":
        return data[:at] + bytes([value]) + data[at + 1 :]
    if kind == "cut":
        return data[:at] + data[at + value :]
    if kind == "repeat":
        return data[:at] + data[at : at + value] + data[at:]
    return data[at:] + data[:at]


@settings(max_examples=150)
@given(changes=changes)
def test_changed_bytes_raise_one_error(whole, changes):
    data = whole.read_bytes()
    for change in changes:
        data = changed(data, *change)
    other = whole.with_name("bytes")
    other.write_bytes(data)
    look_at_all(other, whole)


@settings(max_examples=300)
@given(number=st.integers(0, 1 << 16), changes=changes, moved=st.booleans())
def test_changed_frames_with_right_checksums_raise_one_error(whole, number, changes, moved):
    frames = frames_of(whole.read_bytes())
    at = number % len(frames)
    kind, payload = frames[at]
    for change in changes:
        payload = changed(payload, *change)
    frames[at] = (kind, payload)
    if moved:
        frames.insert(changes[0][1] % len(frames), frames.pop(at))
    other = whole.with_name("frames")
    other.write_bytes(file_of(frames))
    look_at_all(other, whole)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
kinds = st.tuples(
    st.integers(0, 3),
    st.text(max_size=9),
    st.integers(-2, 1 << 40),
    st.sampled_from(["float32[2]", "complex64[1]", "float32[]", "int64[0, 99999999999999999999]", "bool[0]"]),
    st.text(max_size=20),
    st.text(max_size=9),
    st.booleans(),
    st.text(max_size=9),
    st.lists(st.integers(0, 2), max_size=3),
)
numbers = st.floats(width=64)
rows = st.builds(
    ROW.pack,
    st.integers(0, 3), st.integers(0, 2), st.sampled_from([0, 1, 2, -1]), *[st.integers(-1, 2)] * 3,
    *[numbers] * 4, *[st.integers(0, 65535)] * 16,
)  # fmt: skip


@settings(max_examples=300)
@given(
    about=st.just({"format": 1}) | json_values,
    kinds=st.lists(kinds | json_values, max_size=4),
    logged=st.dictionaries(st.text(max_size=5), st.floats() | st.integers() | json_values, max_size=3),
    rows=st.lists(st.tuples(rows, rows), max_size=5),
    number=st.integers(0, (1 << 64) - 1),
)
def test_made_up_recordings_raise_one_error(whole, about, kinds, logged, rows, number):
    text = json.dumps(logged).encode()
    frames = [(b"H", json.dumps(about).encode())]
    frames += [(b"K", json.dumps(kind).encode()) for kind in kinds]
    paths = [whole.with_name(f"made_up_{i}") for i in (0, 1)]
    for i, path in enumerate(paths):
        steps = [
            STEP.pack(n, len(text)) + text + b"".join(row[i] for row in rows) for n in (number, number, 0)
        ]
        path.write_bytes(file_of([*frames, *((b"S", step) for step in steps)]))
    look_at_all(*paths)


def test_a_number_that_no_float_holds_raises_one_error(whole):
    frames = frames_of(whole.read_bytes())[:1]
    text = b'{"a": 1' + b"0" * 400 + b"}"
    other = whole.with_name("large")
    other.write_bytes(file_of([*frames, (b"S", STEP.pack(0, len(text)) + text)]))
    with pytest.raises(RecordingError, match="OverflowError"):
        Recording(other)


def test_text_of_a_recording_steers_no_terminal(whole, capsys):
    frames = frames_of(whole.read_bytes())
    at = next(i for i, (kind, _) in enumerate(frames) if kind == b"K")
    fields = json.loads(frames[at][1])
    fields[1], fields[4] = "\x1b]0;owned\x07tanh\ud800", "a.py\n:3"
    frames[at] = (b"K", json.dumps(fields).encode())
    other = whole.with_name("escapes")
    other.write_bytes(file_of(frames))
    kind = Recording(other).kinds[fields[0]]
    assert (kind.op, kind.line) == ("\ufffd]0;owned\ufffdtanh\ufffd", "a.py\ufffd:3")


@pytest.mark.parametrize("order", [-1, 256, 10**12])
def test_a_gradient_of_an_order_that_cannot_be_is_damage(tmp_path, order):
    kind = json.dumps([0, "exp", 0, "float32[2]", "a.py:1", "", order, "a.py:1", []]).encode()
    (tmp_path / "a").write_bytes(file_of([(b"H", b'{"format": 1}'), (b"K", kind)]))
    with pytest.raises(RecordingError, match=f"a gradient of order {order}"):
        Recording(tmp_path / "a")


def test_many_calls_of_one_line_that_differ_are_compared(tmp_path):
    """Rows of one place that all differ, which took a square of comparisons."""
    kind = json.dumps([0, "exp", 0, "float32[2]", "a.py:1", "", 0, "a.py:1", []]).encode()
    for name, sign in (("a", 1), ("b", -1)):
        many = b"".join(
            ROW.pack(0, n, 2, 0, 0, 0, sign * n, sign * n, n, 0.0, *[0] * 16) for n in range(1, 20_001)
        )
        frames = [(b"H", b'{"format": 1}'), (b"K", kind), (b"S", STEP.pack(0, 2) + b"{}" + many)]
        (tmp_path / name).write_bytes(file_of(frames))
    found = diff(tmp_path / "a", tmp_path / "b", most=20_000)
    assert (found.compared, len(found.found)) == (20_000, 20_000)


# Disks that are full.

TRAINS_ON = """
import resource, sys
import versant as vs

resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
vs.manual_seed(0)
net = vs.nn.Linear(8, 8)
optimizer = vs.optim.SGD(net.parameters(), lr=0.1)
errors = 0
with vs.debug.record(sys.argv[1], values=True) as recorder:
    for n in range(60):
        optimizer.zero_grad()
        loss = net(vs.ones(4, 8)).square().mean()
        loss.backward()
        optimizer.step()
        try:
            recorder.step(loss=loss.item())
        except OSError as error:
            errors += 1
            print(error.errno, error)
print(recorder.full, recorder.number, errors, loss.item() < 1e-2)
"""


def test_training_goes_on_when_the_file_can_grow_no_more(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", TRAINS_ON, str(tmp_path / "a")], capture_output=True, text=True, check=True
    )
    told, last = done.stdout.splitlines()
    number = int(told.partition("step ")[2].partition(":")[0])
    assert told.startswith(f"{errno.EFBIG} [Errno {errno.EFBIG}] [record] cannot write: File too large;")
    assert last == "True 60 1 True"
    recording = Recording(tmp_path / "a")
    assert [step.number for step in recording.steps] == list(range(number))
    assert number > 3
    for step in recording.steps:
        for row in step.rows:
            assert recording.value(step.number, row.kind, row.order).numel() == row.numel


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no disk that is always full")
def test_a_disk_that_is_full_from_the_start_is_told_of():
    with (
        pytest.raises(OSError, match=r"\[record\] the disk is full; .* at step 0") as error,
        record("/dev/full"),
    ):
        pass
    assert error.value.errno == errno.ENOSPC


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"), record(tmp_path / "nowhere" / "a"):
        pass


# Readers beside writers.

WRITES = """
import sys
import versant as vs

with vs.debug.record(sys.argv[1], values=True) as recorder:
    for n in range(300):
        (vs.ones(300) * n).exp()
        (vs.ones(2, n % 7 + 1) * n).tanh()
        recorder.step(n=n)
        if n == 0:
            print("begun", flush=True)
"""


def test_a_recording_is_read_while_another_process_writes_it(tmp_path):
    path = tmp_path / "a"
    with subprocess.Popen(
        [sys.executable, "-c", WRITES, str(path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout.readline() == "begun\n"
        recording, seen = Recording(path), []
        while True:
            ended = writer.poll() is not None
            new = recording.refresh()
            seen += recording.steps[len(recording.steps) - new :] if seen else recording.steps
            for step in seen[-1:]:
                row = step.rows[-1]
                assert recording.value(step.number, row.kind, row.order).numel() == row.numel
            if ended:
                break
    assert [step.number for step in seen] == list(range(300))
    assert Recording(path).steps == seen


def test_what_a_writer_takes_back_is_no_damage(whole, tmp_path):
    """A writer whose disk is full in the middle of a step takes the step back; a reader may have seen it."""
    data, path = whole.read_bytes(), tmp_path / "a"
    frames = frames_of(data)
    last = max(i for i, (kind, _) in enumerate(frames) if kind == b"S")
    before = max(i for i, (kind, _) in enumerate(frames[:last]) if kind == b"S")
    path.write_bytes(file_of(frames[:last]))  # values of the last step, but no step
    recording = Recording(path)
    assert len(recording.steps) == 2
    row = recording.steps[-1].rows[0]
    assert not recording.has_value(2, row.kind, row.order)
    path.write_bytes(file_of(frames[: before + 1]))
    assert recording.refresh() == 0
    path.write_bytes(data)
    assert recording.refresh() == 1
    assert recording.has_value(2, row.kind, row.order)
    path.write_bytes(data[:40])
    with pytest.raises(RecordingError, match="became shorter"):
        recording.refresh()
