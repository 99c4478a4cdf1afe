"""Our time per step beside that of our peers, measured in turns on the same machine.

    python bench/run.py                               all workloads, against the peers that are installed
    python bench/run.py --only W5,W6 --quick          a glance at two of them
    python bench/run.py --python tf=../tf/bin/python  a peer that lives in another environment
    python bench/run.py --against torch-fused:1       a peer on one thread
    python bench/run.py --against versant@before --python versant@before=../before/bin/python
                                                      another build of ourselves
    chrt -f 10 python bench/run.py                    where others use the machine: nobody preempts us

Every workload is first run for six steps by everyone; unless all compute the same six numbers, the run
fails. Times are medians over the rounds; a round gives every column one slice and takes its mean per step.
"""

import argparse
import sys
from pathlib import Path

import results
from frameworks import CONTESTANTS, FRAMEWORKS, Column
from rounds import Rounds, WorkerError, disagreement, leave_on_signals
from table import Printer, shares
from workloads import WORKLOADS
from workloads.workload import Workload

OURS = "versant"
OTHERS = "versant-plain,torch,torch-fused,torch-cells,tf"


def parse_arguments() -> argparse.Namespace:
    purpose, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=purpose, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    option = parser.add_argument
    option("--only", metavar="W1,W2", default=",".join(WORKLOADS), help="these workloads alone")
    option("--against", metavar="A,B", help=f"these columns alone, see --list (default: {OTHERS})")
    option("--rounds", type=int, default=21, help="slices of each column (default: %(default)s)")
    option("--seconds", type=float, default=0.1, help="length of a slice (default: %(default)s)")
    option("--quick", action="store_true", help="5 rounds of 0.05 seconds")
    option("--threads", type=int, default=2, help="threads of each column (default: %(default)s)")
    option(
        "--patience",
        type=float,
        default=60,
        metavar="SECONDS",
        help="wait so long at most, in all, for other processes to finish (default: %(default)s)",
    )
    option(
        "--python",
        metavar="NAME=PATH",
        action="append",
        default=[],
        help="the interpreter of a peer or column",
    )
    option("--json", type=Path, metavar="FILE", help="keep the figures there instead of under bench/results")
    option("--list", action="store_true", help="list the workloads and columns, measure nothing")
    arguments = parser.parse_args()
    try:
        arguments.workloads = [WORKLOADS[name] for name in arguments.only.split(",")]
        arguments.columns = [Column.parse(name) for name in (arguments.against or OTHERS).split(",")]
        arguments.python = dict(pair.split("=", 1) for pair in arguments.python)
    except KeyError as error:
        parser.error(f"no workload {error}; there are {', '.join(WORKLOADS)}")
    except ValueError as error:
        parser.error(str(error))
    if min(arguments.rounds, arguments.threads) < 1 or arguments.seconds <= 0:
        parser.error("--rounds, --threads and --seconds want positive numbers")
    if arguments.quick:
        arguments.rounds, arguments.seconds = 5, 0.05
    return arguments


def start(rounds: Rounds, arguments: argparse.Namespace) -> list[Column]:
    """One worker a column; a peer that is not installed is left out, unless it was asked for by name."""
    columns = []
    for column in [Column.parse(OURS), *arguments.columns]:
        pythons = arguments.python
        python = pythons.get(column.label) or pythons.get(column.contestant.framework) or sys.executable
        try:
            worker = rounds.start(column, python, column.threads or arguments.threads)
        except WorkerError as error:
            sys.exit(f"[bench] {column.label} does not start with {python}:\n{error}")
        if worker is not None:
            columns.append(column)
        elif arguments.against or column.label == OURS:
            sys.exit(f"[bench] {column.label} is not installed for {python}")
        else:
            print(f"{column.label} is left out: not installed for {python}", file=sys.stderr)
    return columns


def takes_part(column: Column, workload: Workload) -> bool:
    """Whether the column's dialect has the workload, and the column is ours or no repetition in it."""
    chosen = column.contestant.options.chosen()
    spoken = FRAMEWORKS[column.contestant.framework][0].dialect in workload.programs
    return spoken and (column.label == OURS or not chosen or bool(chosen & workload.reads))


def main() -> None:
    arguments = parse_arguments()
    if arguments.list:
        for workload in WORKLOADS.values():
            print(f"{workload.name:<14} {workload.title} ({', '.join(workload.programs)})")
        for contestant in CONTESTANTS.values():
            print(f"{contestant.name:<14} {contestant.what}")
        return

    leave_on_signals()
    record = results.begin() | {"rounds": arguments.rounds, "seconds": arguments.seconds}
    record |= {"columns": {}, "workloads": {}}
    failures = []
    with Rounds(arguments.rounds, arguments.seconds, arguments.patience) as rounds:
        columns = start(rounds, arguments)
        print("; ".join(f"{key} {value}" for key, value in record["machine"].items()), file=sys.stderr)
        for column in columns:
            about = record["columns"][column.label] = rounds.workers[column.label].about
            about |= {"what": column.contestant.what, "threads": column.threads or arguments.threads}
            print(f"{column.label}: " + "; ".join(f"{k} {v}" for k, v in about.items()), file=sys.stderr)
        printer = Printer(columns)
        for workload in arguments.workloads:
            taking_part = [c for c in columns if takes_part(c, workload)]
            cells = rounds.measure(workload, taking_part)
            ratios = shares(cells, columns)
            printer.row(workload, cells, ratios)
            record["workloads"][workload.name] = {
                "title": workload.title,
                "targets": workload.targets,
                "flops": workload.flops,
                "traffic": workload.traffic,
                "narrow": workload.narrow,
            }
            record["workloads"][workload.name] |= {"cells": cells, "shares": ratios}
            failures += [f"{workload.name}, {x}: {cells[x]['error']}" for x in cells if "error" in cells[x]]
            if difference := disagreement(cells, workload.rtol):
                failures.append(f"{workload.name}: values differ; {difference}")

    record |= {"slices": rounds.slices, "disturbed": rounds.disturbed}
    if rounds.disturbed:
        print(
            f"{rounds.disturbed} of {rounds.slices} slices were disturbed by other processes", file=sys.stderr
        )
    whole = len(arguments.workloads) == len(WORKLOADS) and not arguments.quick
    path = results.save(record, "steps" if whole else "glance", arguments.json)
    print(f"figures in {path}", file=sys.stderr)
    if failures:
        sys.exit("\n\n".join(failures))


if __name__ == "__main__":
    main()
