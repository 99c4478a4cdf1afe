"""What vs.compile gains: each workload's step eager and compiled, in turns, in a process of its own.

    python bench/compiled.py
    python bench/compiled.py --only W1,W9 --threads 1

Times are medians over the rounds. *First call* is what the first call takes beyond a steady eager one. Peaks
are those of our allocator during a steady step. The first six values of both must be the same, bit for bit.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from typing import Any

import results
from harness import WORKLOADS, frameworks

ROUNDS = 9
SECONDS = 0.1
CHECKED = 6


def seconds_of(step: Any, seconds: float) -> float:
    """Seconds per step, over about so many."""
    steps, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds / 10:
        step()
        steps += 1
    repeats = max(1, round(seconds * steps / (time.perf_counter() - start)))
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    return (time.perf_counter() - start) / repeats


def measure(vs: Any, name: str) -> dict[str, Any]:
    workload = WORKLOADS[name]
    program = workload.programs["torch"]

    def value(result: Any) -> float:
        parts = result if isinstance(result, (tuple, list)) else [result]
        return workload.value([part.detach().double().numpy() for part in parts])

    def peak(step: Any) -> int:
        vs.memory.reset_peak()
        step()
        return int(vs.memory.stats()["peak_bytes"])

    eager = program(vs, frameworks.OURS)
    values = [value(eager()) for _ in range(CHECKED)]
    peaks = [peak(eager)]
    steady = min(seconds_of(eager, SECONDS) for _ in range(3))
    del eager
    compiled = vs.compile(program(vs, frameworks.OURS))
    start = time.perf_counter()
    result = compiled()
    latency = time.perf_counter() - start - steady
    found = [value(result)]
    del result  # it counts in the peak
    same = values == found + [value(compiled()) for _ in range(CHECKED - 1)]
    peaks.append(peak(compiled))
    eager = program(vs, frameworks.OURS)
    times: list[list[float]] = [[], []]
    for _ in range(ROUNDS):
        for step, some in zip((eager, compiled), times, strict=True):
            some.append(seconds_of(step, SECONDS))
    return {
        "title": workload.title,
        "eager": statistics.median(times[0]) * 1e6,
        "compiled": statistics.median(times[1]) * 1e6,
        "first_call": latency * 1e3,
        "peaks": peaks,
        "same": same,
        "traces": compiled.stats()["traces"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--only", metavar="W1,W9", default=",".join(WORKLOADS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--here", action="store_true", help="one workload in this process, as JSON")
    arguments = parser.parse_args()
    names = [name for name in arguments.only.split(",") if "torch" in WORKLOADS[name].programs]
    if arguments.here:
        vs = frameworks.load("versant")
        vs.set_num_threads(arguments.threads)
        return print(json.dumps(measure(vs, *names)))
    record = results.begin() | {"threads": arguments.threads, "compiled": {}}
    failed = []
    for name in names:
        words = [sys.executable, __file__, "--here", "--only", name, "--threads", str(arguments.threads)]
        found = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)
        record["compiled"][name] = found
        print(
            f"{name:8} eager {found['eager']:12,.2f}  compiled {found['compiled']:12,.2f}  "
            f"{found['compiled'] / found['eager']:.2f}  first call {found['first_call']:7,.1f} ms  "
            f"peak {found['peaks'][0] / 1e6:6.1f} -> {found['peaks'][1] / 1e6:6.1f} MB",
            flush=True,
        )
        if not found["same"] or found["traces"] != 1:
            failed.append(f"{name}: same bits {found['same']}, {found['traces']} traces")
    print(f"figures in {results.save(record, 'compiled')}", file=sys.stderr)
    if failed:
        sys.exit("\n".join(failed))


if __name__ == "__main__":
    main()
