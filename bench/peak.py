"""The peak memory of a training process, ours beside torch's.

    python bench/peak.py
    python bench/peak.py --only W9 --against torch

For each workload and column a fresh process imports its framework, takes ten steps, and is asked what the
operating system counted as its largest resident size (`ru_maxrss`).
"""

import argparse
import sys
import tempfile

import results
from harness import WORKLOADS, frameworks, peak, processes


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--only", metavar="W9,W10", default="W9,W10")
    parser.add_argument("--against", metavar="A,B", default="torch,torch-fused")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    columns = [frameworks.Column.parse(label) for label in ("versant", *arguments.against.split(","))]
    record = results.begin() | {"peaks": {}}
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.only.split(","):
            peaks = record["peaks"][f"{name} {WORKLOADS[name].title}"] = {}
            for column in columns:
                try:
                    peaks[column.label] = peak.measure(
                        column, name, python=sys.executable, threads=arguments.threads, scratch=scratch
                    )
                except processes.WorkerError as error:
                    sys.exit(f"[peak] {name} {column.label} failed:\n{error}")
                print(f"{name} {column.label}: {peaks[column.label] / 1e6:.0f} MB", flush=True)
    print(f"figures in {results.save(record, 'peak')}", file=sys.stderr)


if __name__ == "__main__":
    main()
