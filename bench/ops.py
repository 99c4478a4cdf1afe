"""Single operations on Versant and PyTorch, in turns: microseconds of each, and their ratio.

python bench/ops.py [--threads 2] [--rounds 7] [--only sort]

Each framework lives in a process of its own, which is stopped while the other one is measured (rounds.py says
why). A cell is the median over the rounds.
"""

import argparse
import importlib
import statistics
from collections.abc import Callable
from typing import Any

import turns

SLICE = 0.02  # seconds of one measurement

Op = Callable[[], Any]


def operations(t: Any) -> dict[str, Op]:
    """The operations over arrays of about a million float32 numbers, with `t` as torch."""
    t.manual_seed(0)
    million, matrix = t.randn(1_000_000), t.randn(1000, 1000)
    rows = t.randint(0, 1000, (1000,))
    places = t.randint(0, 1000, (1000, 1000))
    flat = t.randint(0, 1_000_000, (100_000,))
    mask = matrix > 0
    return {
        "relu": lambda: t.relu(million),
        "sum": lambda: million.sum(),
        "sum, rows": lambda: matrix.sum(1),
        "sum, columns": lambda: matrix.sum(0),
        "mean": lambda: million.mean(),
        "max, rows": lambda: matrix.max(1),
        "argmax, rows": lambda: matrix.argmax(1),
        "cumsum, rows": lambda: matrix.cumsum(1),
        "cumsum, columns": lambda: matrix.cumsum(0),
        "sort, rows": lambda: matrix.sort(1),
        "sort, all": lambda: million.sort(),
        "topk 10, rows": lambda: matrix.topk(10, 1),
        "gather": lambda: matrix.gather(1, places),
        "index_select, rows": lambda: matrix.index_select(0, rows),
        "index_select, columns": lambda: matrix.index_select(1, rows),
        "x[rows]": lambda: matrix[rows],
        "x[flat]": lambda: million[flat],
        "x[mask]": lambda: matrix[mask],
        "x[:, ::2] copied": lambda: matrix[:, ::2].contiguous(),
        "transposed copied": lambda: matrix.t().contiguous(),
        "cat, rows": lambda: t.cat([matrix, matrix], 0),
        "cat, columns": lambda: t.cat([matrix, matrix], 1),
        "where": lambda: t.where(mask, matrix, 0.0),
        "masked_fill": lambda: matrix.masked_fill(mask, 0.0),
        "unique": lambda: flat.unique(),
        "median, rows": lambda: matrix.median(1),
    }


def work(framework: str, threads: int) -> None:
    module = importlib.import_module(framework)
    module.set_num_threads(threads)
    known = operations(module)
    turns.answer_by(known, [f"{framework} {module.__version__}", list(known)], SLICE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="operations whose name contains this")
    parser.add_argument("--worker", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return work(arguments.worker, arguments.threads)
    processes = [turns.Process(__file__, name, arguments.threads) for name in ("versant", "torch")]
    try:
        print(", ".join(p.about[0] for p in processes), f"{arguments.threads} threads, microseconds")
        for name in processes[0].about[1]:
            if arguments.only not in name:
                continue
            taken = [[p.measure(name) for p in processes] for _ in range(arguments.rounds)]
            ours, theirs = (statistics.median(column) for column in zip(*taken, strict=True))
            print(f"{name:24}{ours:12.1f}{theirs:12.1f}{ours / theirs:8.2f}", flush=True)
    finally:
        for process in processes:
            process.end()


if __name__ == "__main__":
    main()
