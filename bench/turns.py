"""Worker processes of a script, each stopped except while it answers, so that none disturbs another.

The script is started again with `--worker NAME --threads N`. It writes one line of JSON about itself, then
one for each name that it reads: the microseconds of one call (`answer_by`).
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any


def answer_by(programs: Mapping[str, Callable[[], Any]], about: Any, seconds: float) -> None:
    """Answers each name on the input with the microseconds of one call, over a slice of so many seconds."""
    print(json.dumps(about), flush=True)
    for line in sys.stdin:
        call = programs[line.strip()]
        call()
        calls, start = 0, time.perf_counter()
        while (spent := time.perf_counter() - start) < seconds or calls < 3:
            call()
            calls += 1
        print(json.dumps(spent / calls * 1e6), flush=True)


class Process:
    """One worker; `about` is what it said of itself."""

    def __init__(self, script: str, name: str, threads: int, python: str = sys.executable) -> None:
        self.process = subprocess.Popen(
            [python, script, "--worker", name, "--threads", str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
            text=True,
        )
        self.about = self.answer()

    def answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"a worker ended with status {self.process.wait()}")
        self.process.send_signal(signal.SIGSTOP)
        return json.loads(line)

    def measure(self, name: str) -> float:
        assert self.process.stdin is not None
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()
        microseconds: float = self.answer()
        return microseconds

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
