"""The peak memory of a training process: its largest resident size, as the operating system counts it."""

import json
import resource
import subprocess
import tempfile
from collections.abc import Sequence

from .frameworks import CONTESTANTS, FRAMEWORKS, Column
from .processes import WorkerError, begin, end, obituary
from .workloads import WORKLOADS

STEPS = 10


def measure(
    column: Column, workload: str, *, python: str, threads: int, scratch: str, limit: float = 600.0
) -> int:
    """Bytes, from a process of its own that imports its framework and takes ten steps."""
    words = ["peak", column.contestant.name, workload, str(column.threads or threads)]
    with tempfile.TemporaryFile() as said:
        process = begin(
            python, words, threads=threads, scratch=scratch, stderr=said, stdin=subprocess.DEVNULL
        )
        try:
            answer, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            raise WorkerError(f"not done within {limit:g} seconds") from None
        finally:
            end(process)
        if process.returncode != 0:
            raise WorkerError(obituary(process, said))
    return int(json.loads(answer.splitlines()[-1]))


def main(words: Sequence[str]) -> None:
    name, workload, threads = words
    contestant = CONTESTANTS[name]
    face, module = FRAMEWORKS[contestant.framework]
    framework = face(module, int(threads))
    program = WORKLOADS[workload].programs[contestant.dialect]
    step = framework.in_mode(program(framework.module, contestant.options), contestant.mode)
    for _ in range(STEPS):
        result = step()
    framework.arrays(result)
    print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))
