"""PyTorch's names of profiles: schedules, ranges, tables, traces."""

import json

import pytest

import versant as vs
from versant.profiler import ProfilerAction, profile, record_function, schedule, tensorboard_trace_handler


def work() -> None:
    (vs.ones(30, 30) @ vs.ones(30, 30)).tanh()


def test_ops_and_ranges() -> None:
    with profile() as taken:
        for _ in range(3):
            with record_function("step"):
                work()
    rows = {row.key: row for row in taken.key_averages()}
    assert {key: row.count for key, row in rows.items()} == {"matmul": 3, "tanh": 3, "fill": 6, "step": 3}
    assert rows["step"].cpu_time_total >= rows["matmul"].cpu_time_total + rows["tanh"].cpu_time_total
    assert [event.key for event in taken.events()][:5] == ["step", "fill", "fill", "matmul", "tanh"]
    table = taken.key_averages().table(sort_by="cpu_time_total", row_limit=1)
    assert table.splitlines()[1].startswith("step")
    with pytest.raises(AttributeError, match="no column 'colour'"):
        taken.key_averages().table(sort_by="colour")


def test_a_range_without_a_profile_does_nothing() -> None:
    @record_function("work")
    def function():
        return vs.ones(2).sum()

    assert function().item() == 2


def test_a_schedule() -> None:
    plan = schedule(wait=1, warmup=1, active=2, repeat=2, skip_first=1)
    letters = "".join(plan(step).name[0] if plan(step).value < 3 else "S" for step in range(11))
    assert letters == "NNWRSNWRSNN"
    with pytest.raises(ValueError, match="expected active above 0"):
        schedule(wait=0, warmup=0, active=0)


def test_steps_are_recorded_as_scheduled() -> None:
    seen = []

    def ready(taken):
        seen.append((taken.step_num, {row.key: row.count for row in taken.key_averages()}["tanh"]))

    with profile(schedule=schedule(wait=1, warmup=1, active=2, repeat=2), on_trace_ready=ready) as taken:
        for _ in range(10):
            work()
            taken.step()
    assert seen == [(4, 2), (8, 2)]
    assert taken.current_action is ProfilerAction.NONE


def test_traces_in_files(tmp_path) -> None:
    with profile(on_trace_ready=tensorboard_trace_handler(str(tmp_path), "me")):
        work()
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("me.")
    names = {event["name"] for event in json.loads(file.read_text())["traceEvents"]}
    assert {"matmul", "tanh"} <= names


def test_nothing_was_recorded() -> None:
    with pytest.raises(RuntimeError, match="nothing has been recorded"):
        profile().key_averages()
