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
from harness import WORKLOADS, columns, frameworks, processes, rounds, run, table

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
        arguments.columns = [
            frameworks.Column.parse(name) for name in (arguments.against or OTHERS).split(",")
        ]
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


def start(turns: rounds.Rounds, arguments: argparse.Namespace) -> list[frameworks.Column]:
    """One worker a column; a peer that is not installed is left out, unless it was asked for by name."""
    wanted = [frameworks.Column.parse(columns.OURS), *arguments.columns]
    running, absent = columns.start(turns, wanted, pythons=arguments.python, threads=arguments.threads)
    for label, reason in absent.items():
        if arguments.against or label == columns.OURS or not reason.endswith("is not installed"):
            sys.exit(f"[bench] {label} does not start: {reason}")
        print(f"{label} is left out: {reason}", file=sys.stderr)
    return running


def main() -> None:
    arguments = parse_arguments()
    if arguments.list:
        for workload in WORKLOADS.values():
            print(f"{workload.name:<16} {workload.title} ({', '.join(workload.programs)})")
        for contestant in frameworks.CONTESTANTS.values():
            print(f"{contestant.name:<16} {contestant.what}")
        return

    record = results.begin() | {"rounds": arguments.rounds, "seconds": arguments.seconds}
    record |= {"columns": {}, "workloads": {}}
    failures = []
    with (
        processes.leave_on_signals(),
        rounds.Rounds(arguments.rounds, arguments.seconds, arguments.patience) as turns,
    ):
        running = start(turns, arguments)
        print("; ".join(f"{key} {value}" for key, value in record["machine"].items()), file=sys.stderr)
        for column in running:
            about = record["columns"][column.label] = turns.workers[column.label].about
            about |= {"what": column.contestant.what, "threads": column.threads or arguments.threads}
            print(f"{column.label}: " + "; ".join(f"{k} {v}" for k, v in about.items()), file=sys.stderr)
        printer = table.Printer(running, goals=True)
        for workload in arguments.workloads:
            cells = turns.measure(workload, [c for c in running if columns.takes_part(c, workload)])
            ratios = table.shares(cells, running)
            printer.row(workload, cells, ratios)
            entry = record["workloads"][workload.name] = run.entry(workload, cells, ratios)
            failures += [f"{workload.name}, {x}: {cells[x]['error']}" for x in cells if "error" in cells[x]]
            if entry["disagreement"]:
                failures.append(f"{workload.name}: values differ; {entry['disagreement']}")

    record |= {"slices": turns.slices, "disturbed": turns.disturbed}
    if turns.disturbed:
        print(
            f"{turns.disturbed} of {turns.slices} slices were disturbed by other processes", file=sys.stderr
        )
    whole = len(arguments.workloads) == len(WORKLOADS) and not arguments.quick
    path = results.save(record, "steps" if whole else "glance", arguments.json)
    print(f"figures in {path}", file=sys.stderr)
    if failures:
        sys.exit("\n\n".join(failures))


if __name__ == "__main__":
    main()
