"""What the machine itself can do: the largest products and copies that anybody gets out of it.

    python bench/limits.py

Of every framework that is installed, the best rate of square float32 and bfloat16 products, and of copies of
arrays far larger than the caches. docs/performance.md sets the time that a workload would take at these rates
beside the time that it takes.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import results
from harness import frameworks

SIDES = [512, 1024, 2048]
COPIED = 128 * 2**20  # bytes


def seconds(call: Callable[[], Any], budget: float = 0.5) -> float:
    """The median time of a call."""
    call()
    times: list[float] = []
    while sum(times) < budget or len(times) < 5:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def rates(module: Any) -> dict[str, float]:
    """Operations and bytes per second that one framework reaches."""
    found = {}
    with module.inference_mode():
        for dtype in ("float32", "bfloat16"):
            best = 0.0
            for side in SIDES:
                a = module.rand(side, side).to(getattr(module, dtype))
                best = max(best, 2 * side**3 / seconds(lambda a=a: a @ a))
            found[dtype] = best
        source = module.rand(COPIED // 4)
        target = module.empty(COPIED // 4)
        found["copy"] = 2 * COPIED / seconds(lambda: target.copy_(source))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    record = results.begin() | {"rates": {}, "threads": arguments.threads}
    for name in ("versant", "torch"):
        face, module = frameworks.FRAMEWORKS[name]
        try:
            framework = face(module, arguments.threads)
        except ModuleNotFoundError:
            print(f"{name} is left out: not installed", file=sys.stderr)
            continue
        found = record["rates"][name] = rates(framework.module)
        print(
            f"{name}: {found['float32'] / 1e9:.0f} GFLOP/s in float32, {found['bfloat16'] / 1e9:.0f} in "
            f"bfloat16, {found['copy'] / 1e9:.1f} GB/s copying (read and written)"
        )
    print(f"figures in {results.save(record, 'limits')}", file=sys.stderr)


if __name__ == "__main__":
    main()
