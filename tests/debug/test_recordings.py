"""Recordings: what is in them, where two of them part; files that are damaged, hostile or being written."""

import errno
import json
import zlib

import numpy as np
import pytest
from debug import recordings

import versant as vs
from versant import nn
from versant.cli import main
from versant.debug import Recording, RecordingError, diff, record
from versant.debug.recording import HEAD, MAGIC, ROW, STEP


def small_run(path, *, steps=4, bad=-1, compiled=False, **options):
    vs.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    optimizer = vs.optim.AdamW(net.parameters(), lr=1e-2)
    x = vs.randn(8, 4)

    def step(scale):
        optimizer.zero_grad()
        loss = (net(x) * scale).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    run = vs.compile(step) if compiled else step
    with record(path, **options) as recorder:
        for n in range(steps):
            loss = run(vs.tensor(float("nan") if n == bad else 1.0))
            recorder.step(loss=loss.item())
    return recorder


def test_a_recording_holds_what_tensors_are_like(tmp_path):
    small_run(tmp_path / "a", values=True)
    recording = Recording(tmp_path / "a")
    assert [step.number for step in recording.steps] == [0, 1, 2, 3]
    losses = [step.logged["loss"] for step in recording.steps]
    assert losses == sorted(losses, reverse=True)
    for step in recording.steps:
        for row in step.rows:
            kind = recording.kinds[row.kind]
            values = recording.value(step.number, row.kind, row.order).numpy().astype("f8")
            assert tuple(values.shape) == kind.shape
            assert row.numel == values.size
            assert (row.min, row.max) == (values.min(), values.max())
            assert row.zeros == (values == 0).sum()
            assert np.isclose(row.mean, values.mean(), atol=1e-6)
            assert np.isclose(row.std, values.std(), rtol=1e-3, atol=1e-6)
            assert sum(row.bins) >= min(values.size, 100)
    titles = [recording.kinds[row.kind].title for row in recording.steps[-1].rows]
    assert titles[:4] == ["matmul", "tanh", "matmul", "mul"]
    assert "gradient of tanh" in titles
    assert titles[-1] == "adam_step"


def test_sources_tell_what_was_computed_from_what(tmp_path):
    small_run(tmp_path / "a")
    kinds = Recording(tmp_path / "a").kinds
    tanh = next(kind for kind in kinds.values() if kind.op == "tanh" and not kind.back)
    assert [kinds[source].op for source in tanh.sources] == ["matmul"]
    assert tanh.module == "Sequential.1"


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"modules": "*.1"}, lambda kind: kind.module == "Sequential.1"),
        ({"ops": ["mat*", "mean"]}, lambda kind: kind.op in ("matmul", "mean")),
        (
            {"lines": lambda line: "test_recordings" in line, "ops": "square"},
            lambda kind: kind.op == "square",
        ),
    ],
)
def test_filters_choose_tensors(tmp_path, options, kept):
    small_run(tmp_path / "all")
    small_run(tmp_path / "some", **options)

    def shown(path, test):
        recording = Recording(path)
        kinds = [recording.kinds[row.kind] for row in recording.steps[2].rows]
        return [(kind.title, kind.type) for kind in kinds if test(kind)]

    chosen = shown(tmp_path / "some", lambda kind: True)
    assert chosen
    assert chosen == shown(tmp_path / "all", kept)


@pytest.mark.parametrize(
    ("steps", "kept"), [(2, [0, 2, 4]), ({1, 3}, [1, 3]), (lambda n: n > 2, [3, 4]), (None, [0, 1, 2, 3, 4])]
)
def test_filters_choose_steps(tmp_path, steps, kept):
    small_run(tmp_path / "a", steps=5) if steps is None else recorded_steps(tmp_path / "a", steps)
    assert [step.number for step in Recording(tmp_path / "a").steps] == kept


def recorded_steps(path, steps):
    with record(path, steps=steps) as recorder:
        for _ in range(5):
            vs.ones(3).exp()
            recorder.step()


def test_a_recording_changes_no_bit(tmp_path):
    def trained(recorded):
        vs.manual_seed(0)
        net = nn.Linear(4, 4)
        step = vs.compile(lambda x: net(x).tanh().sum())
        for n in range(4):
            if recorded:
                with record(tmp_path / str(n), values=True) as recorder:
                    value = step(vs.ones(2, 4) * n)
                    recorder.step()
            else:
                value = step(vs.ones(2, 4) * n)
        return value.item()

    assert trained(True) == trained(False)


def test_eager_and_compiled_runs_do_not_differ(tmp_path):
    small_run(tmp_path / "eager", values=True)
    small_run(tmp_path / "compiled", values=True, compiled=True)
    found = diff(tmp_path / "eager", tmp_path / "compiled")
    assert found.first is None
    assert found.compared > 40


def test_a_loop_whose_calls_are_done_in_another_order_does_not_differ(tmp_path):
    vs.manual_seed(0)
    cell, data = vs.nn.GRUCell(3, 4), vs.randn(2, 5, 3)

    def step():
        h = vs.zeros(2, 4)
        for t in range(5):
            h = cell(data[:, t], h)
        cell.zero_grad()
        h.square().mean().backward()

    compiled = vs.compile(step)
    for _ in range(3):
        compiled()
    for name, function in (("eager", step), ("compiled", compiled)):
        with vs.debug.record(tmp_path / name, values=True) as recorder:
            function()
            recorder.step()
    found = diff(tmp_path / "eager", tmp_path / "compiled")
    assert found.first is None, found
    assert found.compared > 20
    with vs.no_grad():
        cell.weight_hh.mul_(1.5)
    with vs.debug.record(tmp_path / "other", values=True) as recorder:
        compiled()
        recorder.step()
    assert diff(tmp_path / "eager", tmp_path / "other").first.first.op in ("linear", "matmul", "sigmoid")


@pytest.mark.parametrize("loop", ["while_loop", "scan"])
def test_turns_are_recorded_once_in_the_call_that_traces_their_loop(loop, tmp_path):
    """Gradients arrive at one result alone, so that the way back has bodies of its own."""
    vs.manual_seed(0)
    layer, x = nn.Linear(4, 4), vs.randn(2, 4)

    def turn(state):
        count, h, _ = state
        return count + 1, (layer(h) + x).tanh(), h

    def step():
        layer.zero_grad()
        start = (0, x.tanh(), vs.zeros_like(x))
        if loop == "while_loop":
            _, h, _ = vs.while_loop(lambda state: state[0] < 5, turn, start)
        else:
            (_, h, _), _ = vs.scan(lambda state, _: (turn(state), state[1]), start, vs.zeros(5))
        h.square().sum().backward()

    for name, function in (("eager", step), ("traced", vs.compile(step))):
        with vs.debug.record(tmp_path / name, values=True) as recorder:
            function()
            recorder.step()
    counts = []
    for name in ("eager", "traced"):
        recording = Recording(tmp_path / name)
        ops = [recording.kinds[row.kind] for row in recording.steps[0].rows]
        counts.append({(k.op, k.back): ops.count(k) for k in ops if k.op in ("tanh", "matmul", "square")})
    assert counts[0] == counts[1]
    assert counts[0]["matmul", False] == 5
    assert diff(tmp_path / "eager", tmp_path / "traced").first is None


def slope_of(u, x):
    (slope,) = vs.autograd.grad(u.sum(), x, create_graph=True)
    return slope


def test_second_derivatives_and_row_chains_do_not_differ(tmp_path):
    """Steps of a row chain write over what steps before them gave; parts of fused steps have outputs of
    their own numbers."""

    def recorded(name, compiled):
        vs.manual_seed(0)
        net = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))
        optimizer = vs.optim.Adam(net.parameters(), lr=1e-3)

        def step():
            x, t = (vs.rand(256, 1).requires_grad_() for _ in range(2))
            u = net(vs.cat([x, t], 1))
            u_x, u_t = slope_of(u, x), slope_of(u, t)
            residual = u_t + u * u_x - 0.01 * slope_of(u_x, x)
            loss = residual.square().mean() + net(vs.cat([x.detach(), vs.zeros(256, 1)], 1)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss.detach()

        run = vs.compile(step) if compiled else step
        with record(tmp_path / name, values=True) as recorder:
            for _ in range(3):
                recorder.step(loss=run().item())

    recorded("eager", False)
    recorded("compiled", True)
    found = diff(tmp_path / "eager", tmp_path / "compiled")
    assert found.first is None, found
    assert found.compared > 200


def test_the_first_tensor_that_differs_is_found(tmp_path):
    recordings.digits_run(tmp_path / "wide", values=True)
    recordings.digits_run(tmp_path / "narrow", vs.bfloat16, values=True)
    first = diff(tmp_path / "wide", tmp_path / "narrow").first
    assert (first.step, first.first.op, first.first.module) == (0, "convolution", "Sequential.0")
    assert (first.first.dtype, first.second.dtype) == ("float32", "bfloat16")
    assert 1e-4 < first.error < 2e-2


def test_nan_differs_without_limit(tmp_path):
    small_run(tmp_path / "good")
    small_run(tmp_path / "bad", bad=2)
    first = diff(tmp_path / "good", tmp_path / "bad", tolerance=100).first
    assert (first.step, first.first.op, first.error) == (2, "mul", float("inf"))


def test_the_command_says_in_words_what_is_in_them(tmp_path, capsys):
    small_run(tmp_path / "good")
    small_run(tmp_path / "bad", bad=2)
    assert main(["debug", str(tmp_path / "bad"), str(tmp_path / "good"), "--text"]) == 1
    shown = capsys.readouterr().out
    assert "step 2: " in shown
    assert "mul at " in shown
    assert main(["debug", str(tmp_path / "none"), "--text"]) == 1
    assert "No such file" in capsys.readouterr().err


# Bounds, full disks, readers beside writers.


def test_a_recording_ends_at_its_limit(tmp_path):
    recorder = small_run(tmp_path / "a", steps=50, limit=20_000)
    assert recorder.full
    assert (tmp_path / "a").stat().st_size <= 20_000
    assert 0 < len(Recording(tmp_path / "a").steps) < 50


def fills_the_disk(path):
    with record(path) as recorder:
        for n in range(4):
            vs.ones(3).exp()
            if n == 2:
                recorder._file = Full(recorder._file)
            recorder.step()


def test_a_full_disk_raises_and_leaves_whole_steps(tmp_path):
    with pytest.raises(OSError, match=r"\[record\] the disk is full; the recording ends at step 2") as error:
        fills_the_disk(tmp_path / "a")
    assert error.value.errno == errno.ENOSPC
    assert [step.number for step in Recording(tmp_path / "a").steps] == [0, 1]


class Full:
    """A file whose disk takes half of what is written and is full then."""

    def __init__(self, file):
        self.file, self.written = file, False

    def write(self, data):
        if self.written:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.written = True
        return self.file.write(data[: len(data) // 2])

    def __getattr__(self, name):
        return getattr(self.file, name)


def test_a_reader_follows_a_writer(tmp_path):
    with record(tmp_path / "a") as recorder:
        recording = Recording(tmp_path / "a")
        assert recording.steps == []
        for n in range(3):
            vs.ones(3).exp()
            recorder.step()
            assert recording.refresh() == 1
            assert recording.steps[-1].number == n


@pytest.mark.parametrize("missing", [1, 5, 9, 40])
def test_a_last_frame_that_is_not_whole_is_left_for_later(tmp_path, missing):
    small_run(tmp_path / "a")
    data = (tmp_path / "a").read_bytes()
    (tmp_path / "b").write_bytes(data[:-missing])
    recording = Recording(tmp_path / "b")
    assert [step.number for step in recording.steps] == [0, 1, 2]
    (tmp_path / "b").write_bytes(data)
    assert recording.refresh() == 1


# Hostile files.


def frame(kind, payload):
    content = kind + payload
    return HEAD.pack(len(content), zlib.crc32(content)) + content


def kind_frame(*fields):
    usual = [0, "exp", 0, "float32[2]", "a.py:1", "", False, "a.py:1", []]
    for i, value in fields:
        usual[i] = value
    return frame(b"K", json.dumps(usual).encode())


HEADER = MAGIC + frame(b"H", b'{"format": 1, "begun": 0, "version": "0", "values": true}')
ONE_ROW = ROW.pack(0, 0, 2, 0, 0, 0, 0.0, 1.0, 0.5, 0.1, *[0] * 16)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not one",
        MAGIC + b"\xff\xff\xff\xff" + b"\0" * 8,
        MAGIC + b"\0\0\0\0" + b"\0" * 8,
        MAGIC + frame(b"S", STEP.pack(0, 2) + b"{}"),
        MAGIC + frame(b"H", b"[]"),
        MAGIC + frame(b"H", b'{"format": 2}'),
        MAGIC + frame(b"H", b"\xff\xfe"),
        HEADER + frame(b"H", b'{"format": 1}'),
        HEADER + frame(b"Z", b""),
        HEADER + frame(b"K", b"["),
        HEADER + frame(b"K", b"[" * 100_000),
        HEADER + kind_frame((0, "0")),
        HEADER + kind_frame((0, True)),
        HEADER + kind_frame((3, "object[2]")),
        HEADER + kind_frame((3, "float32[-2]")),
        HEADER + kind_frame((3, "float32[a]")),
        HEADER + kind_frame((4, "a" * 5000)),
        HEADER + kind_frame((8, [7])),
        HEADER + kind_frame((8, [-1])),
        HEADER + kind_frame() + kind_frame(),
        HEADER + frame(b"S", b"\0"),
        HEADER + frame(b"S", STEP.pack(0, 1 << 31) + b"{}"),
        HEADER + frame(b"S", STEP.pack(0, 2) + b"[]"),
        HEADER + frame(b"S", STEP.pack(0, 10) + b'{"a": "x"}'),
        HEADER + frame(b"S", STEP.pack(0, 2) + b"{}" + ONE_ROW),
        HEADER + kind_frame() + frame(b"S", STEP.pack(0, 2) + b"{}" + ONE_ROW[:-1]),
        HEADER + kind_frame() + frame(b"V", b"\0" * 16 + b"\0" * 7),
        HEADER + kind_frame((3, "float32[99999999999, 99999999]")) + frame(b"V", b"\0" * 16 + b"\0" * 8),
        HEADER + frame(b"V", b"\0" * 16),
    ],
)
def test_hostile_files_raise_one_error(tmp_path, data):
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(RecordingError, match=r"^\[debug\] "):
        Recording(tmp_path / "a")


def test_every_damaged_byte_is_noticed(tmp_path):
    small_run(tmp_path / "a", steps=1, ops="t*")
    data = bytearray((tmp_path / "a").read_bytes())
    whole = len(Recording(tmp_path / "a").steps)
    for at in range(0, len(data), 7):
        damaged = bytearray(data)
        damaged[at] ^= 0x40
        (tmp_path / "b").write_bytes(damaged)
        try:
            steps = len(Recording(tmp_path / "b").steps)
        except RecordingError:
            continue
        assert steps < whole  # a length that says there is more to come


@pytest.mark.parametrize("options", [{"modules": 3}, {"ops": [1]}, {"steps": 0}])
def test_options_that_make_no_sense_raise(tmp_path, options):
    with pytest.raises((TypeError, ValueError), match=r"^(\[record\]|'int')"):
        record(tmp_path / "a", **options)


def test_steps_end_inside_of_the_block(tmp_path):
    recorder = record(tmp_path / "a")
    with pytest.raises(RuntimeError, match=r"\[record\] steps end inside"):
        recorder.step()
    with recorder:
        recorder.step()
    with pytest.raises(RuntimeError, match=r"\[record\] steps end inside"):
        recorder.step()
    with pytest.raises(RuntimeError, match=r"\[record\] a recording is made once"), recorder:
        pass


def fails_in_its_second_step(path):
    with record(path) as recorder:
        vs.ones(3).exp()
        recorder.step()
        vs.ones(3).tanh()
        raise ZeroDivisionError


def test_what_was_computed_until_an_error_is_kept(tmp_path):
    with pytest.raises(ZeroDivisionError):
        fails_in_its_second_step(tmp_path / "a")
    recording = Recording(tmp_path / "a")
    assert [recording.kinds[row.kind].op for row in recording.steps[1].rows] == ["fill", "tanh"]


def test_a_branch_that_was_left_is_not_in_the_recording(tmp_path):
    """A replay whose values choose another branch is taken back, and so is what was recorded of it."""

    def move(x):
        y = x.exp() * 2
        if y.sum() > 10:
            return y.tanh()
        return y.sin()

    inputs = [vs.tensor([float(n)]) for n in (0, 3, 0, 3, 3, 0, 4)]
    for name, run in (("eager", move), ("compiled", vs.compile(move))):
        for x in inputs[:2]:
            run(x)
        with record(tmp_path / name, values=True) as recorder:
            for x in inputs:
                run(x)
                recorder.step()
    found = diff(tmp_path / "eager", tmp_path / "compiled")
    assert found.first is None, found
    recording = Recording(tmp_path / "compiled")
    for step in recording.steps:
        names = [recording.kinds[row.kind].op for row in step.rows]
        assert names.count("mul") <= 1
        assert len(set(names) & {"tanh", "sin"}) == 1
        for row in step.rows:
            assert recording.has_value(step.number, row.kind, row.order)
