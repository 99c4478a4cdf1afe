"""One process with one framework in it: builds workloads and times slices of them, as told through a pipe.

The harness starts it with the name of a contestant and the number of threads, writes one request a line as
JSON on its standard input, and reads one answer a line from what was its standard output. Whatever the
framework prints goes to standard error.
"""

import ctypes
import gc
import json
import os
import signal
import sys
import time
import traceback
from typing import Any

from frameworks import CONTESTANTS, FRAMEWORKS
from machine import Disturbance
from workloads import WORKLOADS
from workloads.workload import Step


def die_with_parent() -> None:
    """A stopped process cannot notice that the harness is gone; the kernel can."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


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


def main() -> None:
    die_with_parent()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**facts: Any) -> None:
        answers.write(json.dumps(facts) + "\n")
        answers.flush()

    contestant = CONTESTANTS[sys.argv[1]]
    face, module = FRAMEWORKS[contestant.framework]
    try:
        framework = face(module, threads=int(sys.argv[2]))
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == module:
            return answer(missing=str(error))
        return answer(error=traceback.format_exc())
    empty = time_slice(lambda: None, 0.1)["microseconds"]
    answer(
        version=framework.version(), place=os.path.dirname(framework.module.__file__ or ""), empty_step=empty
    )

    step: Step | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "build" in request:
                step = None
                gc.collect()
                workload = WORKLOADS[request["build"]]
                step = workload.programs[face.dialect](framework.module, contestant.options)
                answer(values=[workload.value(framework.arrays(step())) for _ in range(6)])
            else:
                assert step is not None
                answer(**time_slice(step, request["seconds"]))
        except Exception:
            answer(error=traceback.format_exc())


if __name__ == "__main__":
    main()
