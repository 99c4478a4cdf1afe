"""Measuring in turns: one process for each column, of which one runs while all the others are stopped.

Frameworks bring OpenMP runtimes and thread pools of their own that would spin beside each other. So every
column lives in its own process, and every process that is not being asked something is stopped by signal: it
can neither spin nor collect garbage while another one is measured. A round asks each process in turn for one
slice of the same workload, so that slow drifts of the machine meet all of them alike.
"""

import contextlib
import json
import os
import select
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

from .frameworks import Column
from .machine import wait_until_quiet
from .processes import WorkerError, begin, end, obituary, tell
from .workloads.workload import Workload

START = 120.0  # seconds that a framework gets to be imported


class Worker:
    """A process with one framework in it, stopped except while it answers. One that errs in time is ended."""

    def __init__(self, column: Column, python: str, threads: int, scratch: str) -> None:
        self.column, self.python, self.threads, self.scratch = column, python, threads, scratch
        self.said = tempfile.TemporaryFile()  # noqa: SIM115  (closed by close)
        words = ["worker", column.contestant.name, str(threads)]
        try:
            self.process = begin(
                python, words, threads=threads, scratch=scratch, stderr=self.said, stdin=subprocess.PIPE
            )
        except OSError:
            self.said.close()
            raise
        try:
            self.about = self._answer(START)
        except BaseException:
            self.close()
            raise

    def ask(self, limit: float, **request: Any) -> dict[str, Any]:
        """The answer, for which the process has `limit` seconds."""
        assert self.process.stdin is not None
        tell(self.process, signal.SIGCONT)
        with contextlib.suppress(BrokenPipeError):  # then there will be no answer either
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        return self._answer(limit)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def again(self) -> "Worker":
        """A new process in place of one that ended."""
        return Worker(self.column, self.python, self.threads, self.scratch)

    def close(self) -> None:
        end(self.process)
        self.said.close()

    def _answer(self, limit: float) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._line(limit))
        tell(self.process, signal.SIGSTOP)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def _line(self, limit: float) -> bytes:
        assert self.process.stdout is not None
        pipe, line, deadline = self.process.stdout.fileno(), b"", time.monotonic() + limit
        while not line.endswith(b"\n"):
            if not select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
                end(self.process)
                raise WorkerError(f"no answer within {limit:g} seconds")
            piece = os.read(pipe, 1 << 16)
            if not piece:
                raise WorkerError(obituary(self.process, self.said))
            line += piece
        return line


class Rounds:
    """The workers of one run. Ends their processes when its `with` block is left."""

    def __init__(self, rounds: int, seconds: float, patience: float, limit: float = 600.0) -> None:
        self.rounds = rounds
        self.seconds = seconds
        self.patience = patience  # seconds that may still be spent on waiting for others to finish
        self.limit = limit  # seconds that a column gets to build a workload and take its first steps
        self.deadline = float("inf")  # on the monotonic clock; then no further round is begun but the first
        self.workers: dict[str, Worker] = {}
        self.slices = 0
        self.disturbed = 0
        self._scratch = tempfile.TemporaryDirectory(prefix="versant-bench-", ignore_cleanup_errors=True)

    def __enter__(self) -> "Rounds":
        return self

    def __exit__(self, *error: object) -> None:
        self.rest()
        self._scratch.cleanup()

    def rest(self) -> None:
        """Ends the workers."""
        for worker in self.workers.values():
            worker.close()
        self.workers.clear()

    @property
    def scratch(self) -> str:
        """A folder for temporary files, as long as the run lasts."""
        return self._scratch.name

    def start(self, column: Column, python: str, threads: int) -> Worker:
        """The worker of a column; raises WorkerError where its framework cannot be measured.

        The message of a framework that is not installed is one line.
        """
        worker = Worker(column, python, threads, self.scratch)
        if "missing" in worker.about:
            worker.close()
            raise WorkerError(worker.about["missing"])
        self.workers[column.label] = worker
        return worker

    def measure(
        self,
        workload: Workload,
        columns: Sequence[Column],
        tick: Callable[[str], None] = lambda label: None,
    ) -> dict[str, dict[str, Any]]:
        """For each column its first six values and its microseconds per step, or the error that it met.

        `tick` is told the label of a column before each of its 1 + rounds parts.
        """
        cells: dict[str, dict[str, Any]] = {}
        for column in columns:
            tick(column.label)
            try:
                cells[column.label] = self._build(column.label, workload.name)
            except WorkerError as error:
                cells[column.label] = {"error": str(error).strip()}
        for number in range(self.rounds):
            if number > 0 and time.monotonic() > self.deadline:
                break
            for label, cell in cells.items():
                tick(label)
                if "error" not in cell:
                    try:
                        cell["slices"].append(self._slice(self.workers[label]))
                    except WorkerError as error:
                        cell["error"] = str(error).strip()
        for label, cell in cells.items():
            if "error" not in cell:
                cell["microseconds"] = statistics.median(piece["microseconds"] for piece in cell["slices"])
                if self.workers[label].column.contestant.compiles:
                    cell["compile_seconds"] = compile_seconds(cell)
        return cells

    def _build(self, label: str, workload: str) -> dict[str, Any]:
        if not self.workers[label].alive:
            self.workers[label].close()
            self.workers[label] = self.workers[label].again()
        return self.workers[label].ask(self.limit, build=workload) | {"slices": []}

    def _slice(self, worker: Worker) -> dict[str, Any]:
        """One slice; where others disturb it, another one when they are done, at most three in all."""
        for _ in range(3):
            piece = worker.ask(self.limit, seconds=self.seconds)
            if not piece["disturbed"] or self.patience <= 0:
                break
            self.patience -= wait_until_quiet(self.patience)
        self.slices += 1
        self.disturbed += piece["disturbed"]
        return piece


def compile_seconds(cell: dict[str, Any]) -> float:
    """What the first steps took beyond their usual time: tracing and compiling, as often as it happened."""
    first: list[float] = cell["first_seconds"]
    usual: float = cell["microseconds"] / 1e6
    return max(0.0, sum(first) - len(first) * usual)


def disagreement(cells: dict[str, dict[str, Any]], rtol: float) -> str | None:
    """Where two columns of a workload computed different values; None where all computed the same six."""
    values = {label: cell["values"] for label, cell in cells.items() if "values" in cell}
    if not values:
        return None
    first, *others = values
    for other in others:
        for step, (a, b) in enumerate(zip(values[first], values[other], strict=True), start=1):
            if not abs(a - b) <= rtol * max(abs(a), abs(b)):  # a nan differs too
                return f"in step {step} {first} computes {a!r}, {other} {b!r}"
    return None
