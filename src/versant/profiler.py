"""PyTorch's names for profiles, over `versant.profile`: with schedules of steps and ranges of the user's own.

>>> import versant as vs
>>> with vs.profiler.profile() as p, vs.profiler.record_function("product"):
...     y = vs.ones(100, 100) @ vs.ones(100, 100)
>>> sorted(row.key for row in p.key_averages())
['fill', 'matmul', 'product']
"""

import os
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import ContextDecorator
from dataclasses import dataclass, fields
from enum import Enum
from pathlib import Path
from time import perf_counter
from typing import Any, Self

from versant.profiling import Profile

__all__ = [
    "ProfilerAction",
    "ProfilerActivity",
    "profile",
    "record_function",
    "schedule",
    "supported_activities",
    "tensorboard_trace_handler",
]


class ProfilerActivity(Enum):
    """What is profiled: here it is the CPU in any case."""

    CPU = 0
    CUDA = 2


class ProfilerAction(Enum):
    """What a profile does in a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


def supported_activities() -> set[ProfilerActivity]:
    """The CPU alone."""
    return {ProfilerActivity.CPU}


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0, skip_first_wait: int = 0
) -> Callable[[int], ProfilerAction]:
    """Which steps are recorded: after skip_first steps, cycles of wait, warmup and active steps.

    repeat: how many cycles, 0 without end. skip_first_wait: the first cycle does not wait.
    """
    if min(wait, warmup, repeat, skip_first) < 0 or active <= 0:
        raise ValueError(
            "[schedule] expected active above 0 and the other numbers of at least 0, got "
            f"wait={wait}, warmup={warmup}, active={active}, repeat={repeat}, skip_first={skip_first}"
        )
    cycle = wait + warmup + active

    def action(step: int) -> ProfilerAction:
        if step < 0:
            raise ValueError(f"[schedule] expected a step of at least 0, got {step}")
        if step < skip_first:
            return ProfilerAction.NONE
        step -= skip_first
        if skip_first_wait:
            step += wait
        if repeat > 0 and step // cycle >= repeat:
            return ProfilerAction.NONE
        place = step % cycle
        if place < wait:
            return ProfilerAction.NONE
        if place < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD if place < cycle - 1 else ProfilerAction.RECORD_AND_SAVE

    return action


@dataclass(frozen=True)
class Average:
    """Calls of one op or range, their times in microseconds, and the bytes that they asked for."""

    key: str
    count: int
    cpu_time_total: float
    self_cpu_time_total: float
    cpu_memory_usage: int

    @property
    def cpu_time(self) -> float:
        """The mean time of a call."""
        return self.cpu_time_total / self.count


class Averages(list[Average]):
    """One row for each op and range."""

    def table(self, sort_by: str | None = None, row_limit: int = 100, **options: Any) -> str:
        """The rows as text.  sort_by: a column, largest first, as "self_cpu_time_total" """
        rows = list(self)
        if sort_by is not None:
            column = sort_by.replace("device_", "cpu_").replace("cuda_", "cpu_")
            if column not in {"cpu_time", *(field.name for field in fields(Average))}:
                raise AttributeError(f"[table] rows have no column {sort_by!r}")
            rows.sort(key=lambda row: getattr(row, column), reverse=True)
        shown = rows if row_limit < 0 else rows[:row_limit]
        width = max([4, *(len(row.key) for row in shown)])
        lines = [f"{'Name':<{width}}  {'Self CPU us':>12}  {'CPU us':>12}  {'mean us':>10}  {'calls':>7}"]
        for row in shown:
            lines.append(
                f"{row.key:<{width}}  {row.self_cpu_time_total:>12.1f}  {row.cpu_time_total:>12.1f}  "
                f"{row.cpu_time:>10.1f}  {row.count:>7}"
            )
        total = sum(row.self_cpu_time_total for row in rows)
        return "\n".join([*lines, f"Self CPU time total: {total / 1e3:.3f} ms"])

    def total_average(self) -> Average:
        """All rows as one."""
        count = sum(row.count for row in self)
        seconds = sum(row.self_cpu_time_total for row in self)
        return Average("Total", count, seconds, seconds, sum(row.cpu_memory_usage for row in self))


_running: list["profile"] = []  # profiles that record now; ranges are told to them


class record_function(ContextDecorator):
    """A range of the user's own, by `with` or as a decorator: a row of the profile that is being taken."""

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name
        self._begins: list[float] = []

    def __enter__(self) -> Self:
        self._begins.append(perf_counter())
        return self

    def __exit__(self, *error: object) -> None:
        begin = self._begins.pop()
        for one in _running:
            one._ranges.append((self.name, begin, perf_counter() - begin))


class profile:
    """What runs between start and stop, or inside of `with`: `versant.profile` under PyTorch's name.

    schedule: which steps to record (`schedule`); `step()` says that one is over. Without one all is recorded.
    on_trace_ready: called with the profile whenever a recording is complete.
    activities, record_shapes, with_stack and the like are taken: everything is recorded in any case.
    """

    def __init__(
        self,
        *,
        activities: Iterable[ProfilerActivity] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[["profile"], Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        with_modules: bool = False,
        experimental_config: Any = None,
        execution_trace_observer: Any = None,
        acc_events: bool = False,
        use_cuda: bool | None = None,
        custom_trace_id_callback: Any = None,
    ) -> None:
        self.activities = set(activities or supported_activities())
        self._schedule = schedule or (lambda step: ProfilerAction.RECORD)
        self.on_trace_ready = on_trace_ready
        self.step_num = 0
        self.current_action = self._schedule(0)
        self.profiler: Profile | None = None  # the recording, running or last
        self._ranges: list[tuple[str, float, float]] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        self._begin()

    def stop(self) -> None:
        if self in _running:
            self._end(ready=True)

    def step(self) -> None:
        """One step is over: the schedule says what is done in the next one."""
        before = self.current_action
        self.step_num += 1
        self.current_action = self._schedule(self.step_num)
        if before is ProfilerAction.RECORD_AND_SAVE:
            self._end(ready=True)
        self._begin()

    def _begin(self) -> None:
        wanted = self.current_action in (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)
        if wanted and self not in _running:
            self._ranges = []
            self.profiler = Profile().__enter__()
            _running.append(self)

    def _end(self, ready: bool) -> None:
        _running.remove(self)
        self._recording.__exit__(None, None, None)
        if ready and self.on_trace_ready is not None:
            self.on_trace_ready(self)

    @property
    def _recording(self) -> Profile:
        if self.profiler is None:
            raise RuntimeError("[profile] nothing has been recorded yet")
        return self.profiler

    def key_averages(self, group_by_input_shape: bool = False, group_by_stack_n: int = 0) -> Averages:
        """One row for each op, and for each range of record_function."""
        recording = self._recording
        rows = [
            Average(row.name, row.calls, row.seconds * 1e6, row.seconds * 1e6, row.allocated)
            for row in recording.rows("op")
        ]
        for name in dict.fromkeys(name for name, _, _ in self._ranges):
            spans = [(begin, lasts) for other, begin, lasts in self._ranges if other == name]
            total = sum(lasts for _, lasts in spans) * 1e6
            inside = sum(self._op_time(begin - recording._began, lasts) for begin, lasts in spans)
            rows.append(Average(name, len(spans), total, max(total - inside, 0.0), 0))
        return Averages(rows)

    def _op_time(self, begin: float, lasts: float) -> float:
        """Microseconds of the ops that began in a stretch of seconds."""
        first, last = begin * 1e6, (begin + lasts) * 1e6
        return sum(time for _, start, time, _ in self._recording.actions if first <= start <= last)

    def events(self) -> list[Average]:
        """Every op and every range, in the order of their begins; times in microseconds."""
        recording = self._recording
        ops = [(b, recording.kinds[kind].key("op"), t) for kind, b, t, _ in recording.actions]
        ranges = [((b - recording._began) * 1e6, name, t * 1e6) for name, b, t in self._ranges]
        return [Average(name, 1, t, t, 0) for _, name, t in sorted(ops + ranges)]

    def export_chrome_trace(self, path: str) -> None:
        """Writes a trace for chrome://tracing and ui.perfetto.dev."""
        self._recording.chrome_trace(path)

    def __str__(self) -> str:
        return self.key_averages().table()


def tensorboard_trace_handler(
    dir_name: str, worker_name: str | None = None, use_gzip: bool = False
) -> Callable[[profile], None]:
    """For on_trace_ready: writes each recording as a trace into the folder."""
    if use_gzip:
        raise NotImplementedError("[tensorboard_trace_handler] expected use_gzip=False")

    def handler(taken: profile) -> None:
        os.makedirs(dir_name, exist_ok=True)
        worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"
        taken.export_chrome_trace(str(Path(dir_name) / f"{worker}.{time.time_ns()}.pt.trace.json"))

    return handler
