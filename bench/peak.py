"""The peak memory of a training process, ours beside torch's.

    python bench/peak.py
    python bench/peak.py --only W9 --against torch

For each workload and column a fresh process imports its framework, takes ten steps, and is asked what the
operating system counted as its largest resident size (`ru_maxrss`).
"""

import argparse
import json
import os
import resource
import subprocess
import sys

import results
from frameworks import CONTESTANTS, FRAMEWORKS, Column
from workloads import WORKLOADS

STEPS = 10


def measure(column: Column, workload: str, threads: int) -> int:
    """Bytes, from a process of its own."""
    words = [sys.executable, __file__, "--inside", column.contestant.name, workload, str(threads)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    answer = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, env=environment).stdout
    return int(json.loads(answer.splitlines()[-1]))


def inside(name: str, workload: str, threads: int) -> None:
    contestant = CONTESTANTS[name]
    face, module = FRAMEWORKS[contestant.framework]
    framework = face(module, threads)
    step = WORKLOADS[workload].programs[face.dialect](framework.module, contestant.options)
    for _ in range(STEPS):
        result = step()
    framework.arrays(result)
    print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--only", metavar="W9,W10", default="W9,W10")
    parser.add_argument("--against", metavar="A,B", default="torch,torch-fused")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--inside", nargs=3, metavar=("COLUMN", "WORKLOAD", "THREADS"), help="used by itself")
    arguments = parser.parse_args()
    if arguments.inside:
        column, workload, threads = arguments.inside
        inside(column, workload, int(threads))
        return
    columns = [Column.parse(label) for label in ("versant", *arguments.against.split(","))]
    record = results.begin() | {"peaks": {}}
    for name in arguments.only.split(","):
        peaks = record["peaks"][f"{name} {WORKLOADS[name].title}"] = {}
        for column in columns:
            peaks[column.label] = measure(column, name, arguments.threads)
            print(f"{name} {column.label}: {peaks[column.label] / 1e6:.0f} MB", flush=True)
    print(f"figures in {results.save(record, 'peak')}", file=sys.stderr)


if __name__ == "__main__":
    main()
