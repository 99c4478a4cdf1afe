"""Profiles: what the machine did while they were taken."""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from versant import _core
from versant.debug.words import Place, op_name

__all__ = ["Profile", "profile"]

By = Literal["op", "module", "line"]


@dataclass(frozen=True)
class Kind:
    """One kind of action: an op, called from one place.

    module: the path of the module it belongs to; line: the user's line, of a gradient that of its op; back:
    it was on a way back.
    """

    op: str
    module: str
    line: str
    back: bool

    def key(self, by: By) -> str:
        if by == "op":
            return f"{self.op} (backward)" if self.back else self.op
        return (self.module or "outside of modules") if by == "module" else self.line or "an unknown line"


@dataclass(frozen=True)
class Row:
    """A line of a table: calls, seconds, share of the seconds of all ops, bytes asked of the allocator."""

    name: str
    calls: int
    seconds: float
    share: float
    allocated: int


@dataclass(frozen=True)
class Held:
    """Memory at the peak: bytes that one kind of action had asked for and that were still held."""

    kind: Kind | None
    bytes: int
    blocks: int


class Profile:
    """Actions of the machine in one thread, with their times; begun and ended by `with`.

    seconds: how long it was taken; the difference to `op_seconds` is Python, and whatever else ran.
    """

    def __init__(self) -> None:
        self.kinds: list[Kind] = []
        self.actions: list[tuple[int, float, float, int]] = []  # kind, begin and duration in us, bytes held
        self.seconds = 0.0
        self._blocks: list[tuple[int, int, float, float]] = []
        self._held_before = 0
        self._number = 0

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        self._number = _core.profile_begin()
        return self

    def __exit__(self, *error: object) -> None:
        kinds, self.actions, self._blocks, self._held_before = _core.profile_end(self._number)
        self.seconds = time.perf_counter() - self._began
        self.kinds = [_kind_of(name, Place.of_row(row)) for name, row in kinds]

    @property
    def op_seconds(self) -> float:
        """The time that ops took."""
        return sum(duration for _, _, duration, _ in self.actions) / 1e6

    # Tables -------------------------------------------------------------------------------------------------

    def rows(self, by: By = "op") -> list[Row]:
        """Sums by "op", "module" or "line", the longest first."""
        if by not in ("op", "module", "line"):
            raise ValueError(f"[profile] by is 'op', 'module' or 'line', got {by!r}")
        keys = [kind.key(by) for kind in self.kinds]
        calls: defaultdict[str, int] = defaultdict(int)
        times: defaultdict[str, float] = defaultdict(float)
        memory: defaultdict[str, int] = defaultdict(int)
        for kind, _, duration, _ in self.actions:
            calls[keys[kind]] += 1
            times[keys[kind]] += duration
        for kind, size, _, _ in self._blocks:
            if kind >= 0:
                memory[keys[kind]] += size
        total = sum(times.values()) or 1.0
        rows = [
            Row(key, calls[key], times[key] / 1e6, times[key] / total, memory[key])
            for key in dict.fromkeys(keys)
        ]
        return sorted((row for row in rows if row.calls), key=lambda row: -row.seconds)

    def table(self, by: By = "op", top: int = 20) -> str:
        """The rows as text."""
        rows = self.rows(by)
        width = max([len(by), *(len(row.name) for row in rows[:top])])
        lines = [f"{by:<{width}}  {'calls':>7}  {'ms':>9}  {'share':>6}  {'MB asked for':>12}"]
        for row in rows[:top]:
            lines.append(
                f"{row.name:<{width}}  {row.calls:>7}  {row.seconds * 1e3:>9.3f}  {row.share:>6.1%}  "
                f"{row.allocated / 1e6:>12.2f}"
            )
        if len(rows) > top:
            lines.append(f"and {len(rows) - top} more")
        lines.append(f"ops {self.op_seconds * 1e3:.3f} ms of {self.seconds * 1e3:.3f} ms")
        return "\n".join(lines)

    def __str__(self) -> str:
        return "\n\n".join([self.table("op"), self.table("module"), self.table("line"), self.memory_text()])

    # Memory -------------------------------------------------------------------------------------------------

    @cached_property
    def _timeline(self) -> list[tuple[float, int]]:
        """When which block came or went, and the bytes held then."""
        changes = [(made, size) for _, size, made, _ in self._blocks]
        changes += [(freed, -size) for _, size, _, freed in self._blocks if freed >= 0]
        held, line = self._held_before, []
        for when, change in sorted(changes):
            held += change
            line.append((when, held))
        return line

    @property
    def peak_bytes(self) -> int:
        """The most that arrays held, what was there before the profile included."""
        return max([self._held_before, *(held for _, held in self._timeline)])

    def at_peak(self) -> list[Held]:
        """Who held memory when most was held, the largest first; kind None: what was there before."""
        if not self._timeline:
            return [Held(None, self._held_before, 0)]
        when = max(self._timeline, key=lambda entry: entry[1])[0]
        sizes: defaultdict[int, int] = defaultdict(int)
        counts: defaultdict[int, int] = defaultdict(int)
        for kind, size, made, freed in self._blocks:
            if made <= when and not 0 <= freed <= when:
                sizes[kind] += size
                counts[kind] += 1
        held = [Held(self.kinds[k] if k >= 0 else None, sizes[k], counts[k]) for k in sizes]
        held.append(Held(None, self._held_before, 0))
        return sorted((entry for entry in held if entry.bytes > 0), key=lambda entry: -entry.bytes)

    def memory_text(self, top: int = 10) -> str:
        """The lines that hold memory at the peak, as text."""
        lines = [f"peak {self.peak_bytes / 1e6:.2f} MB, of which"]
        for entry in self.at_peak()[:top]:
            what = f"{entry.kind.op} at {entry.kind.line}" if entry.kind else "held before, or by no op"
            if entry.kind and entry.kind.module:
                what += f", in {entry.kind.module}"
            lines.append(f"{entry.bytes / 1e6:>9.2f} MB  {what}")
        return "\n".join(lines)

    # Files --------------------------------------------------------------------------------------------------

    def chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Write the actions and the memory held as a trace for chrome://tracing and ui.perfetto.dev."""
        events: list[dict[str, Any]] = [
            {"ph": "M", "pid": 1, "tid": 1, "name": "process_name", "args": {"name": "versant"}}
        ]
        for number, begin, duration, held in self.actions:
            kind = self.kinds[number]
            events.append(
                {
                    "ph": "X", "pid": 1, "tid": 1, "ts": begin, "dur": duration,
                    "name": kind.key("op"), "cat": "backward" if kind.back else "forward",
                    "args": {"module": kind.module, "line": kind.line},
                }
            )  # fmt: skip
            events.append({"ph": "C", "pid": 1, "ts": begin, "name": "memory", "args": {"bytes": held}})
        text = json.dumps({"traceEvents": events, "displayTimeUnit": "ms"})
        Path(path).write_text(text, encoding="utf-8")

    def flame_graph(self, path: str | os.PathLike[str]) -> None:
        """Write a page with a flame graph: modules, lines and ops, as wide as the time they took."""
        from versant.profiling.flame import flame_page

        Path(path).write_text(flame_page(self), encoding="utf-8")


def _kind_of(name: str, place: Place) -> Kind:
    return Kind(op_name(name), place.module, place.line, place.back > 0)


def profile() -> Profile:
    """A profile of what runs inside of `with`, eager or compiled: time and memory by op, module and line.

    >>> import versant as vs
    >>> with vs.profile() as p:
    ...     y = (vs.ones(100, 100) @ vs.ones(100, 100)).tanh()
    >>> sorted(row.name for row in p.rows("op"))
    ['fill', 'matmul', 'tanh']
    >>> print(p.table("op"))
    op  ...
    """
    return Profile()
