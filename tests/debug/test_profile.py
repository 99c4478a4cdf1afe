"""Profiles: sums by op, module and line, memory at the peak, and the files that are written."""

import json

import pytest
from debug.planted import marked_line

import versant as vs
from versant import nn


def training():
    vs.manual_seed(0)
    net = nn.Sequential(nn.Linear(32, 64), nn.Tanh(), nn.Linear(64, 2))
    optimizer = vs.optim.AdamW(net.parameters())

    def step(x):
        optimizer.zero_grad()
        loss = net(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    return step


@pytest.fixture(params=["eager", "compiled"])
def profile(request):
    step = training()
    if request.param == "compiled":
        step = vs.compile(step)
    x = vs.randn(512, 32)
    for _ in range(3):
        step(x)
    with vs.profile() as profile:
        for _ in range(5):
            step(x)
    return profile


def test_calls_are_counted(profile):
    calls = {row.name: row.calls for row in profile.rows("op")}
    assert calls["matmul"] == 10
    assert calls["matmul (backward)"] == 15
    assert any("adam" in name.lower() for name in calls)
    modules = {row.name for row in profile.rows("module")}
    assert modules >= {"Sequential.0", "Sequential.1", "Sequential.2", "outside of modules"}
    assert sum(row.share for row in profile.rows("line")) == pytest.approx(1)
    assert 0 < profile.op_seconds <= profile.seconds
    with pytest.raises(ValueError, match=r"\[profile\] by is"):
        profile.rows("day")


def test_actions_follow_each_other(profile):
    end = 0.0
    for _, begin, duration, _ in profile.actions:
        assert begin >= end - 1e-3
        end = begin + duration


def held(x):
    big = x * 2  # planted
    small = big[:10] + 1
    del x
    return big.sum() + small.sum()


def test_the_line_that_holds_memory_at_the_peak_is_named():
    x = vs.ones(1000, 250)
    with vs.profile() as profile:
        held(x)
    most = max((entry for entry in profile.at_peak() if entry.kind), key=lambda entry: entry.bytes)
    assert most.bytes >= 1_000_000
    assert most.kind.line.rpartition("/")[2] == marked_line(held)
    assert profile.peak_bytes >= most.bytes
    assert marked_line(held) in profile.memory_text()


def test_memory_comes_and_goes(profile):
    assert profile._timeline
    assert all(bytes_held >= 0 for _, bytes_held in profile._timeline)


def test_a_trace_for_perfetto(profile, tmp_path):
    profile.chrome_trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    spans = [event for event in events if event["ph"] == "X"]
    assert len(spans) == len(profile.actions)
    assert all(event["dur"] >= 0 and event["args"]["line"] for event in spans)
    assert {event["cat"] for event in spans} == {"forward", "backward"}


def test_a_flame_graph(profile, tmp_path):
    profile.flame_graph(tmp_path / "flame.html")
    page = (tmp_path / "flame.html").read_text()
    for name in ("forward", "backward", "Sequential", "matmul"):
        assert f'data-name="{name}"' in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_a_table(profile):
    text = str(profile)
    assert "matmul" in text
    assert "peak" in text
    assert len(profile.table("op", top=2).splitlines()) == 5


def test_one_profile_at_a_time():
    with (
        vs.profile(),
        pytest.raises(RuntimeError, match=r"\[profile\] a profile is being taken"),
        vs.profile(),
    ):
        pass
    with vs.profile() as again:
        vs.ones(3).exp()
    assert again.rows("op")


def test_profiles_change_no_bit():
    first, second = training(), training()
    x = vs.randn(16, 32)
    plain = [first(x).item() for _ in range(4)]
    with vs.profile():
        assert [second(x).item() for _ in range(4)] == plain
