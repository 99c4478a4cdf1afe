"""What the tools of versant.debug cost in a step of training: W9, the small language model.

    python bench/debugging.py [--rounds N] [--threads N]

Each column runs in turn with the others, a few steps at a time; medians of the steps and the ratio to the
plain one are printed.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import versant as vs
from versant.bench.workloads.gpt import gpt
from versant.bench.workloads.workload import Options

STEPS = 3  # of one turn


def columns(folder: Path) -> dict[str, Callable[[], AbstractContextManager[Any]]]:
    return {
        "plain": nullcontext,
        "nan_guard": vs.debug.nan_guard,
        "record": lambda: vs.debug.record(folder / "run.vsrec"),
        "profile": vs.profile,
    }


def measure(step: Callable[[], Any], rounds: int, folder: Path) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in columns(folder)}
    for _ in range(rounds):
        for name, tool in columns(folder).items():
            with tool() as watcher:
                for turn in range(STEPS + 1):
                    began = time.perf_counter()
                    step()
                    if name == "record":
                        watcher.step()
                    if turn:  # the first one warms the caches up
                        times[name].append(time.perf_counter() - began)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--threads", type=int, default=vs.get_num_threads())
    args = parser.parse_args()
    vs.set_num_threads(args.threads)
    print(f"versant {vs.__version__}, {vs._core.instruction_set()}, {args.threads} threads")
    print(f"{'W9':<10} {'tool':<10} {'median ms':>10} {'ratio':>7}")
    with tempfile.TemporaryDirectory() as folder:
        for form in ("eager", "compiled"):
            vs.manual_seed(0)
            step = gpt(vs, Options())
            if form == "compiled":
                step = vs.compile(step)
            for _ in range(4):
                step()
            times = measure(step, args.rounds, Path(folder))
            plain = statistics.median(times["plain"])
            for name, some in times.items():
                median = statistics.median(some)
                print(f"{form:<10} {name:<10} {median * 1e3:>10.2f} {median / plain:>7.3f}")


if __name__ == "__main__":
    main()
