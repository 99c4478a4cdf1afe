"""One process with one framework in it: builds workloads and times slices of them, as told through a pipe.

The harness starts it with the name of a contestant and the number of threads, writes one request a line as
JSON on its standard input, and reads one answer a line from what was its standard output. Whatever the
framework prints goes to standard error.
"""

import gc
import importlib.util
import json
import os
import sys
import time
import traceback
from collections.abc import Sequence
from typing import Any

from .frameworks import CONTESTANTS, FRAMEWORKS, is_ours
from .machine import Disturbance
from .workloads import WORKLOADS
from .workloads.workload import Step, Workload

CHECKED_STEPS = 6  # whose values are compared


def time_slice(step: Step, seconds: float) -> dict[str, Any]:
    """Microseconds per step over about `seconds`, after a tenth of that time to warm up."""
    steps, start, elapsed = 0, time.perf_counter(), 0.0
    while elapsed < seconds / 10:
        step()
        steps += 1
        elapsed = time.perf_counter() - start
    repeats = range(max(1, round(seconds * steps / elapsed)))
    with Disturbance() as disturbance:
        start = time.perf_counter()
        for _ in repeats:
            step()
        elapsed = time.perf_counter() - start
    return {
        "microseconds": elapsed / len(repeats) * 1e6,
        "others": disturbance.others,
        "disturbed": disturbance.disturbed,
    }


def first_steps(workload: Workload, framework: Any, step: Step) -> dict[str, Any]:
    """The values of the first steps, and the seconds of each: the first ones trace and compile."""
    values, seconds = [], []
    for _ in range(CHECKED_STEPS):
        start = time.perf_counter()
        result = step()
        seconds.append(time.perf_counter() - start)
        values.append(workload.value(framework.arrays(result)))
    return {"values": values, "first_seconds": seconds}


def main(words: Sequence[str]) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**facts: Any) -> None:
        answers.write(json.dumps(facts) + "\n")
        answers.flush()

    name, threads = words
    contestant = CONTESTANTS[name]
    face, module = FRAMEWORKS[contestant.framework]
    if not is_ours(module) and importlib.util.find_spec(module) is None:
        return answer(missing=f"{module} is not installed")
    try:
        framework = face(module, int(threads))
        lack = framework.lacks(contestant.mode)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == module:
            return answer(missing=f"{module} is not installed")
        return answer(error=traceback.format_exc())
    if lack is not None:
        return answer(missing=lack)
    empty = time_slice(lambda: None, 0.1)["microseconds"]
    place = os.path.dirname(framework.module.__file__ or "")
    answer(version=framework.version(), place=place, empty_step=empty)

    step: Step | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "build" in request:
                step = None
                gc.collect()
                workload = WORKLOADS[request["build"]]
                program = workload.programs[contestant.dialect]
                step = framework.in_mode(program(framework.module, contestant.options), contestant.mode)
                answer(**first_steps(workload, framework, step))
            else:
                assert step is not None
                answer(**time_slice(step, request["seconds"]))
        except Exception:
            answer(error=traceback.format_exc())
