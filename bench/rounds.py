"""Measuring in turns: one process for each column, of which one runs while all the others are stopped.

Frameworks bring OpenMP runtimes and thread pools of their own that would spin beside each other. So every
column lives in its own process, and every process that is not being asked something is stopped by signal: it
can neither spin nor collect garbage while another one is measured. A round asks each process in turn for one
slice of the same workload, so that slow drifts of the machine meet all of them alike.
"""

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from frameworks import Column
from machine import wait_until_quiet
from workloads.workload import Workload

WORKER = Path(__file__).with_name("worker.py")


class WorkerError(Exception):
    """A worker's framework raised, or its process died; the message is what it said."""


class Worker:
    """A process with one framework in it, stopped except while it answers."""

    def __init__(self, column: Column, python: str, threads: int) -> None:
        self.column = column
        self.process = subprocess.Popen(
            [python, str(WORKER), column.contestant.name, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONHASHSEED": "0"},
            text=True,
        )
        self.about = self._answer()

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.send_signal(signal.SIGCONT)
        with contextlib.suppress(BrokenPipeError):  # then there will be no answer either
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise WorkerError(f"the process ended with status {self.process.wait()}")
        self.process.send_signal(signal.SIGSTOP)
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer


class Rounds:
    """The workers of one run. Ends their processes when its `with` block is left."""

    def __init__(self, rounds: int, seconds: float, patience: float) -> None:
        self.rounds = rounds
        self.seconds = seconds
        self.patience = patience  # seconds that may still be spent on waiting for others to finish
        self.workers: dict[str, Worker] = {}
        self.slices = 0
        self.disturbed = 0

    def __enter__(self) -> "Rounds":
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self.workers.values():
            worker.close()

    def start(self, column: Column, python: str, threads: int) -> Worker | None:
        """The worker of a column, or None where its framework is not installed."""
        worker = Worker(column, python, threads)
        if "missing" in worker.about:
            worker.close()
            return None
        self.workers[column.label] = worker
        return worker

    def measure(self, workload: Workload, columns: Sequence[Column]) -> dict[str, dict[str, Any]]:
        """For each column its first six values and its microseconds per step, or the error that it met."""
        cells: dict[str, dict[str, Any]] = {}
        for column in columns:
            try:
                cells[column.label] = self.workers[column.label].ask(build=workload.name) | {"slices": []}
            except WorkerError as error:
                cells[column.label] = {"error": str(error).strip()}
        for _ in range(self.rounds):
            for label, cell in cells.items():
                if "error" not in cell:
                    try:
                        cell["slices"].append(self._slice(self.workers[label]))
                    except WorkerError as error:
                        cell["error"] = str(error).strip()
        for cell in cells.values():
            if "error" not in cell:
                cell["microseconds"] = statistics.median(piece["microseconds"] for piece in cell["slices"])
        return cells

    def _slice(self, worker: Worker) -> dict[str, Any]:
        """One slice; where others disturb it, another one when they are done, at most three in all."""
        for _ in range(3):
            piece = worker.ask(seconds=self.seconds)
            if not piece["disturbed"] or self.patience <= 0:
                break
            self.patience -= wait_until_quiet(self.patience)
        self.slices += 1
        self.disturbed += piece["disturbed"]
        return piece


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


def leave_on_signals() -> None:
    """Told to end, leaves through the `with` blocks, so that no stopped process stays behind."""

    def leave(number: int, frame: object) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)
