"""One run of `versant bench`: times per step in turns, footprints, peak memory. The result is one record."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from . import footprint, peak
from .columns import OURS, interpreter, start, takes_part
from .frameworks import Column
from .machine import describe
from .processes import WorkerError
from .progress import Progress
from .rounds import Rounds, disagreement
from .table import Cells, shares
from .workloads.workload import Workload

LATE = "left out, the time of --quick was used up"
SCHEMA = 1  # of the record; a change that a reader must know of counts it up
MEMORY = ("W9", "W10")  # the workloads whose memory tells most
FEW = 3
SPARE = 30.0


@dataclass(frozen=True)
class Effort:
    """How long a run may take."""

    rounds: int
    seconds: float
    """Length of a slice."""

    patience: float
    """Seconds to wait, in all, for other processes to finish."""

    limit: float
    """Seconds that a column gets to build a workload and take its first steps."""

    starts: int
    """Processes of each kind that are started to time imports."""

    budget: float = float("inf")
    """Seconds after which no other workload is begun; SPARE seconds later nothing is."""

    turn: float = float("inf")
    """Seconds of one workload after which it gets no further round."""

    slowly_compiled: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """For columns that call a C++ compiler, which takes seconds: the workloads that they take part in.

    Where few are asked for, they take part in those."""

    narrow: bool = True
    """Whether workloads in bfloat16 are among those that are measured where none is named."""

    memory: Sequence[str] = MEMORY


FULL = Effort(rounds=15, seconds=0.1, patience=60, limit=300, starts=7)
QUICK = Effort(
    rounds=3,
    seconds=0.05,
    patience=3,
    limit=30,
    starts=2,
    budget=70,
    turn=6,
    slowly_compiled={"torch-compile": (), "torch-onestep": ("W1", "W5", "W13")},
    narrow=False,
    memory=MEMORY[:1],
)


@dataclass
class Run:
    """What is to be measured, and `measure` to do it. `row` is told of every workload that is done."""

    workloads: Sequence[Workload]
    columns: Sequence[Column]
    effort: Effort
    threads: int
    command: str
    """What to type for the same run."""

    pythons: Mapping[str, str] = field(default_factory=dict)
    begun: Callable[[dict[str, Any], Sequence[Column]], None] = lambda record, columns: None
    """Told of the record and the columns that run, before the first measurement."""

    row: Callable[[Workload, Cells, dict[str, float]], None] = lambda workload, cells, ratios: None

    _deadline: float = field(default=float("inf"), init=False)

    def measure(self) -> dict[str, Any]:
        """The record, which the page and the JSON file are made of."""
        effort, begin = self.effort, time.monotonic()
        self._deadline = begin + effort.budget
        record: dict[str, Any] = {
            "schema": SCHEMA,
            "when": datetime.now().astimezone().isoformat(timespec="seconds"),
            "command": self.command,
            "machine": describe(),
            "threads": self.threads,
            "rounds": effort.rounds,
            "seconds": effort.seconds,
            "limit": effort.limit,
        }
        with Rounds(effort.rounds, effort.seconds, effort.patience, effort.limit) as rounds:
            running, record["absent"] = start(
                rounds, self.columns, pythons=self.pythons, threads=self.threads
            )
            record["columns"] = {column.label: self._about(rounds, column) for column in running}
            if OURS not in record["columns"]:
                raise RuntimeError(f"[bench] Versant does not start: {record['absent'][OURS]}")
            self.begun(record, running)
            frameworks = {c.contestant.framework: interpreter(c, self.pythons) for c in running}
            remembered = self._remembered()
            with Progress(self._parts(running, len(frameworks), len(remembered))) as progress:
                record["workloads"] = self._steps(rounds, running, progress)
                record |= {"slices": rounds.slices, "disturbed": rounds.disturbed}
                rounds.rest()
                record["footprint"] = self._footprints(frameworks, progress)
                record["peaks"] = {
                    workload.name: self._peaks(workload, running, rounds.scratch, progress)
                    for workload in remembered
                }
        record["took"] = round(time.monotonic() - begin, 1)
        return record

    def _about(self, rounds: Rounds, column: Column) -> dict[str, Any]:
        contestant, version = column.contestant, rounds.workers[column.label].about["version"]
        return {
            "title": column.title,
            "framework": contestant.framework,
            "peer": column.peer,
            "what": contestant.what,
            "compiles": contestant.compiles,
            "version": version,
            "threads": column.threads or self.threads,
        }

    def _remembered(self) -> list[Workload]:
        """The workloads whose peak memory is measured; always one."""
        return [w for w in self.workloads if w.name in self.effort.memory] or list(self.workloads[:1])

    def _parts(self, running: Sequence[Column], frameworks: int, remembered: int) -> int:
        cells = sum(takes_part(c, w) for c in running for w in self.workloads)
        starts = frameworks * self.effort.starts
        return cells * (1 + self.effort.rounds) + starts + remembered * len(running)

    def _footprints(self, frameworks: Mapping[str, str], progress: Progress) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for framework, python in frameworks.items():

            def tick(framework: str = framework) -> None:
                progress.step(f"importing {framework}")

            if self._late(SPARE):
                found[framework] = {"left_out": LATE}
                continue
            try:
                measured = footprint.measure(python, framework, self.effort.starts, tick)
                if measured is not None:
                    found[framework] = measured
            except WorkerError as error:
                found[framework] = {"error": str(error)}
        return found

    def _steps(self, rounds: Rounds, running: Sequence[Column], progress: Progress) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for workload in self._order():
            competing = [column for column in running if takes_part(column, workload)]
            left_out = self.left_out(workload, competing)
            measured = [column for column in competing if column.label not in left_out]
            rounds.deadline = min(self._deadline, time.monotonic() + self.effort.turn)
            end = progress.done + len(competing) * (1 + self.effort.rounds)

            def tick(label: str, name: str = workload.name) -> None:
                progress.step(f"{name} {label}")

            cells = rounds.measure(workload, measured, tick)
            progress.reach(end)
            cells |= {label: {"left_out": reason} for label, reason in left_out.items()}
            ratios = shares(cells, running)
            found[workload.name] = entry(workload, cells, ratios)
            with progress.paused():
                self.row(workload, cells, ratios)
        return {workload.name: found[workload.name] for workload in self.workloads}

    def _late(self, spare: float = 0.0) -> bool:
        """Whether the budget and some spare seconds are used up."""
        return time.monotonic() > self._deadline + spare

    def _order(self) -> list[Workload]:
        """Where time is short, the dear workloads come last."""
        hurried = self.effort.budget < float("inf")
        return sorted(self.workloads, key=lambda w: w.flops) if hurried else list(self.workloads)

    def left_out(self, workload: Workload, competing: Sequence[Column]) -> dict[str, str]:
        """The columns that the time does not suffice for, and why."""
        if self._late():
            return {column.label: LATE for column in competing}
        reasons: dict[str, str] = {}
        if len(self.workloads) <= FEW:
            return reasons
        for column in competing:
            compiled = self.effort.slowly_compiled.get(column.contestant.name)
            if compiled is not None and workload.name not in compiled:
                alone = f", which lets it compile {', '.join(compiled)} alone" if compiled else ""
                reasons[column.label] = f"left out by --quick{alone}"
        return reasons

    def _peaks(
        self, workload: Workload, running: Sequence[Column], scratch: str, progress: Progress
    ) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for column in running:
            if not takes_part(column, workload):
                continue
            progress.step(f"memory of {workload.name} {column.label}")
            slow = column.contestant.name in self.effort.slowly_compiled
            if slow or self._late(SPARE):
                found[column.label] = {"left_out": "left out by --quick" if slow else LATE}
                continue
            python = interpreter(column, self.pythons)
            try:
                size = peak.measure(
                    column,
                    workload.name,
                    python=python,
                    threads=self.threads,
                    scratch=scratch,
                    limit=self.effort.limit,
                )
                found[column.label] = {"bytes": size}
            except WorkerError as error:
                found[column.label] = {"error": str(error)}
        return found


def entry(workload: Workload, cells: Cells, ratios: dict[str, float]) -> dict[str, Any]:
    """What a record keeps of one workload."""
    return {
        "title": workload.title,
        "about": workload.about,
        "targets": workload.targets,
        "flops": workload.flops,
        "traffic": workload.traffic,
        "narrow": workload.narrow,
        "cells": cells,
        "shares": ratios,
        "disagreement": disagreement(cells, workload.rtol),
    }
