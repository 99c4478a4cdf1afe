"""Counts the instructions of one op: an add without gradient, one with gradient, a node of backward.

    python bench/instructions.py                  ours
    python bench/instructions.py --against torch  and torch's: some minutes, its import alone is one

A loop of ops runs under callgrind in two lengths; the difference between the two counts is free of start-up.
Unlike times, the counts are the same on a busy machine. Needs valgrind, whose processor has no AVX-512.
"""

import argparse
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import results
from harness import frameworks

OPS = 1000  # in one turn of a loop
SHORT, LONG = 2, 6  # turns


def bare_loop(torch: Any, turns: int) -> None:
    for _ in range(turns):
        for _ in range(OPS):
            pass


def add(torch: Any, turns: int, requires_grad: bool = False, backward: bool = False) -> None:
    x, c = torch.ones(1, requires_grad=requires_grad), torch.ones(1)
    for _ in range(turns):
        x.grad = None
        y = x
        for _ in range(OPS):
            y = y + c
        if backward:
            y.backward()


def add_with_gradient(torch: Any, turns: int) -> None:
    add(torch, turns, requires_grad=True)


def add_and_backward(torch: Any, turns: int) -> None:
    add(torch, turns, requires_grad=True, backward=True)


LOOPS = [bare_loop, add, add_with_gradient, add_and_backward]


def run_loops(name: str, turns: list[str]) -> None:
    """Runs each loop as many turns as it is told; this is what callgrind watches."""
    face, module = frameworks.FRAMEWORKS[name]
    framework = face(module, threads=1)
    for loop, number in zip(LOOPS, turns, strict=True):
        loop(framework.module, int(number))


def callgrind(name: str, python: str, turns: list[int]) -> int:
    """Instructions of a process that runs the loops so many turns each."""
    command = [
        "valgrind",
        "--tool=callgrind",
        "--callgrind-out-file=/dev/null",
        python,
        __file__,
        "--loops",
        name,
    ]
    done = subprocess.run(
        [*command, *map(str, turns)],
        env=os.environ | {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    match = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or match is None:
        sys.exit(f"[instructions] {' '.join(command)} failed:\n{done.stderr}")
    return int(match[1])


def count(name: str, python: str) -> dict[str, float]:
    """Instructions per op, the loop around it taken off."""
    shorts = [SHORT] * len(LOOPS)
    longs = [[LONG if k == which else SHORT for k in range(len(LOOPS))] for which in range(len(LOOPS))]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        start, *ends = pool.map(lambda turns: callgrind(name, python, turns), [shorts, *longs])
    loop, plain, recorded, walked = ((end - start) / (LONG - SHORT) / OPS for end in ends)
    return {
        "add without gradient": plain - loop,
        "add with gradient": recorded - loop,
        "one backward node": walked - recorded,
    }


def main() -> None:
    purpose, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=purpose, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--against", choices=["torch"], help="count a peer's as well")
    parser.add_argument("--python", default=sys.executable, help="the interpreter to count with")
    parser.add_argument("--loops", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.loops:
        return run_loops(arguments.loops[0], arguments.loops[1:])

    record = results.begin()
    names = ["versant"] + ([arguments.against] if arguments.against else [])
    record["instructions"] = {name: count(name, arguments.python) for name in names}
    print("instructions".ljust(24) + "".join(name.rjust(12) for name in names))
    for what in record["instructions"]["versant"]:
        print(what.ljust(24) + "".join(f"{record['instructions'][name][what]:12.0f}" for name in names))
    print(f"figures in {results.save(record, 'instructions')}", file=sys.stderr)


if __name__ == "__main__":
    main()
