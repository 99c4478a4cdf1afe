"""What a gradient tape costs: programs on versant.tf, with the tape, with backward(), and on TensorFlow.

    python bench/tape.py                                 W1 to W9
    python bench/tape.py --only W1,W5 --rounds 5
    python bench/tape.py --python tf=../tf/bin/python    TensorFlow that lives in another environment

The columns take turns, each in a process of its own. Goals: the tape takes at most 1.1 of the time of
backward() in the same program, and at most a fifth of TensorFlow's. W7 has second derivatives, which
backward() does not give; there the tape is compared with the same network by autograd.grad
(`bench/run.py --only W7 --against versant-tf`).
"""

import argparse
import statistics
import sys

from harness import WORKLOADS, columns, frameworks, processes, rounds

TAPE, BACKWARD, PEER = "versant-tf", "versant-tf-backward", "tf"
GOALS = {BACKWARD: 1.1, PEER: 0.2}


def share(cells: dict, other: str) -> float | None:
    """The tape's time as a share of another column's: the median over rounds."""
    if any("slices" not in cells.get(label, {}) or "error" in cells[label] for label in (TAPE, other)):
        return None
    pairs = zip(cells[TAPE]["slices"], cells[other]["slices"], strict=True)
    return statistics.median(a["microseconds"] / b["microseconds"] for a, b in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default=",".join(f"W{i}" for i in range(1, 10)), metavar="W1,W2")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument(
        "--seconds", type=float, default=0.05, help="length of a slice (default: %(default)s)"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--patience", type=float, default=30)
    parser.add_argument("--python", metavar="NAME=PATH", action="append", default=[])
    arguments = parser.parse_args()
    wanted = [frameworks.Column.parse(label) for label in (TAPE, BACKWARD, PEER)]
    pythons = dict(pair.split("=", 1) for pair in arguments.python)
    missed = []
    with (
        processes.leave_on_signals(),
        rounds.Rounds(arguments.rounds, arguments.seconds, arguments.patience) as turns,
    ):
        running, absent = columns.start(turns, wanted, pythons=pythons, threads=arguments.threads)
        for label, reason in absent.items():
            print(f"{label} is left out: {reason}", file=sys.stderr)
        print(f"{'':6}{'tape, us':>12}{'of backward':>14}{'of tf':>10}")
        for name in arguments.only.split(","):
            workload = WORKLOADS[name]
            taking = [c for c in running if not (name == "W7" and c.label == BACKWARD)]
            cells = turns.measure(workload, taking)
            for label, cell in cells.items():
                if "error" in cell:
                    missed.append(f"{name}, {label}: {cell['error']}")
            shares = {other: share(cells, other) for other in (BACKWARD, PEER)}
            told = [f"{value:.2f}" if value is not None else "" for value in shares.values()]
            time = cells[TAPE].get("microseconds", float("nan"))
            print(f"{name:6}{time:12.1f}{told[0]:>14}{told[1]:>10}", flush=True)
            for other, value in shares.items():
                if value is not None and value > GOALS[other]:
                    missed.append(f"{name}: {value:.2f} of {other}, the goal is {GOALS[other]}")
    if missed:
        sys.exit("\n".join(missed))


if __name__ == "__main__":
    main()
